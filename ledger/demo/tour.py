"""What the demo asks, in order. Questions and commands stand here; answers never do."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.demo import files

_BASTION = "aws_security_group.bastion"
_ENV = "spec.template.spec.containers[name=payments].env"
_PRODUCTION = """\
select committed_at, field, old_value, new_value, author_name, pull_request
from field_changes where path like '%/production/%' and field <> '' order by revision_number"""
_SQL = """\
select committed_at, author_name, old_value, new_value, pull_request
from field_changes where name = 'aws_security_group.bastion' and field like 'ingress%'
order by revision_number"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A question, the commands that answer it, and what to take from the answers."""

    question: str
    commands: tuple[tuple[str, ...], ...]
    moral: str


INTRODUCTION = """\
Acme runs its payments from one repository: Kubernetes manifests, Terraform, a plain text file.
This is its September 2025. A ledger looked at the repository every five minutes: the demo set its
clock to the story's. Everything below a command is that command's own output."""

STEPS: tuple[Step, ...] = (
    Step(
        question="In the night of 17 September a rule opened SSH to the world. When, and by whose hand?",
        commands=(("when", _BASTION, "--field", "ingress", "--at", "2025-09-17 03:00"),),
        moral="Sam Costa, 02:13, straight onto main: nothing in Git links it to a pull request.",
    ),
    Step(
        question="What was in force before?",
        commands=(("show", _BASTION, "--at", "2025-09-17 02:00"),),
        moral="The second line says which revision “before” is taken to be, and which clock told it.",
    ),
    Step(
        question="And what became of it since?",
        commands=(("history", _BASTION, "--limit", "3"),),
        moral="A rollback by pull request next morning. The file moved later; its history went on.",
    ),
    Step(
        question="Who set each value that stands there now? In a text file, too?",
        commands=(("blame", _BASTION, "--field", "ingress"), ("blame", files.HOSTS)),
        moral="One line a field. What no parser knows is answered line by line.",
    ),
    Step(
        question="What else reached main without a pull request?",
        commands=(("log", "--direct"), ("when", files.PRODUCTION, "--field", "replicas")),
        moral="“(#2)” is only text. The ledger merges pull request 2 again itself, and gets another content.",
    ),
    Step(
        question="Has anything been pushed away from main?",
        commands=(
            ("log", "--superseded", "--since", "2025-09-22", "--until", "2025-09-23"),
            ("when", "deploy/payments", "--field", _ENV, "--at", "2025-09-22 18:10"),
        ),
        moral="A force-push displaced one revision 13 by another. No branch leads to it; the ledger does.",
    ),
    Step(
        question="When was the database password rotated?",
        commands=(("history", "secret/payments-db", "--field", "stringData.password"),),
        moral="That it changed is provable. What it is never entered the ledger: only keyed digests did.",
    ),
    Step(
        question="In SQL: what was changed for production? And the first question again",
        commands=(("sql", _PRODUCTION), ("sql", _SQL)),
        moral="The views are a public contract: `ledger sql --views` prints them. Queries are recorded, too.",
    ),
    Step(
        question="And is all this what was recorded?",
        commands=(("verify", "--all-sources"),),
        moral="Every event and content was hashed again, and the commits of the repository counted again.",
    ),
)

NEXT = """\
ledger log                                    # every step of main, and how it came there
ledger history netpol/payments                # names as in kubectl
ledger diff hosts/firewall.conf --from 2025-09-16 --to "2025-09-17 03:00"
ledger sql --views                            # what can be asked in SQL
ledger when deploy/payments --output json     # the same answers for programs

Change a file in infra, commit it, and:
ledger ingest && ledger log --limit 1
"""
