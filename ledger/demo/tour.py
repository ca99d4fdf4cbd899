"""What the demo asks, in order. Questions and commands stand here; answers never do."""

from __future__ import annotations

from dataclasses import dataclass

_BASTION = "aws_security_group.bastion"
_LIVE = """\
select kind, namespace, name, state, approval, reason from live_resources
where cluster = 'prod-eu1' and state not in ('in_sync', 'derived') order by state, name"""
REPORT = "change-control-2025-09.pdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A question, the commands that answer it, and what to take from the answers."""

    question: str
    commands: tuple[tuple[str, ...], ...]
    moral: str


INTRODUCTION = """\
Acme runs its payments by GitOps: one repository, GitHub, Argo CD, the clusters prod-eu1 and
staging-eu1. This is its September 2025. A ledger looked at the repository every two minutes and was
handed webhooks, applications and dumps of the clusters: the demo set its clock to the story's.
Everything below a command is that command's own output."""

STEPS: tuple[Step, ...] = (
    Step(
        question="Payments lets a vendor's network in. Who opened this rule, who approved it, is it live?",
        commands=(
            (
                *("trace", "networkpolicy/payments", "-n", "payments", "--cluster", "prod-eu1"),
                *("--field", "spec.ingress"),
            ),
        ),
        moral="Sam Costa, at 02:13, by a direct push; nobody; and yes. An approved label came on top later.",
    ),
    Step(
        question="What happened in production that night?",
        commands=(
            (
                *("changes", "--env", "prod"),
                *("--since", "2025-09-17 02:00", "--until", "2025-09-17 09:00"),
            ),
        ),
        moral="The morning closed SSH to the world again. The rule of payments it did not know of.",
    ),
    Step(
        question="Who set the SSH rule as it is now? What else came without a pull request?",
        commands=(("blame", _BASTION, "--field", "ingress"), ("log", "--direct")),
        moral="“(#2)” is only text. The ledger merges pull request 2 again itself, and gets another content.",
    ),
    Step(
        question="What runs in production that Git does not say?",
        commands=(("sql", _LIVE),),
        moral="A peer added by hand, in a field that Git does not even declare; a pod that nobody declared.",
    ),
    Step(
        question="Which changes reached an environment without an approval that counts?",
        commands=(("control", "run", "CHG-01", "--period", "2025-09"),),
        moral="Too late, for oneself, before a last push, against a reviewer: each has its own reason.\n"
        "What was live before the first look is unknown, which never counts as passed.",
    ),
    Step(
        question="On the 29th the company made rules. What came past them, and why does it not count?",
        commands=(("log", "--unapproved", "--since", "2025-09-29"), ("pr", "25")),
        moral="A push past the rules, a second account, a co-author, nobody who owns it. #25 was brought\n"
        "up to date with main once it was approved; merged again by the ledger it is the same: that stands.",
    ),
    Step(
        question="Has anything been pushed away from main?",
        commands=(("log", "--superseded", "--since", "2025-09-22", "--until", "2025-09-23"),),
        moral="A force-push displaced one revision 18 by another. No branch leads to it; the ledger does.",
    ),
    Step(
        question="When was the database password rotated?",
        commands=(("when", "secret/payments-db", "--field", "stringData.password"),),
        moral="That it changed is provable. What it is never entered the ledger: only keyed digests did.",
    ),
    Step(
        question="And for the auditor: all of it on paper, and proof that it is what was recorded",
        commands=(
            ("report", "run", "change-control-evidence", "--period", "2025-09", "--file", REPORT),
            ("verify", "--all-sources"),
        ),
        moral="The PDF carries its evidence inside. Every event and content was hashed again.",
    ),
)

NEXT = """\
ledger log                                    # every step of main, and how it came there
ledger history netpol/payments                # names as in kubectl
ledger blame aws_security_group.bastion       # which revision set each field
ledger pr 15                                  # the whole story of a pull request
ledger log --unapproved --since 2025-09-15    # what reached main without an approval that counts
ledger people maya-l                          # who is one person, and on what ground
ledger changes --env prod --since 2025-09-26 --until 2025-09-28
ledger control list                           # what is judged; `ledger control explain CHG-01` says how
ledger sql --views                            # what can be asked in SQL
ledger when deploy/payments --output json     # the same answers for programs

Change a file in infra, commit it, and:
ledger ingest && ledger log --limit 1
"""
