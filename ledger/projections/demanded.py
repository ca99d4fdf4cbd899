"""What the rules in force at its merge demanded of a pull request, as far as anybody had looked by then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ledger import codeowners
from ledger.approval import NOT_CODE_OWNER, TOO_FEW, Quota, Rules, person
from ledger.codeowners import GITEA, GITHUB, GITLAB, CodeOwners, Demand
from ledger.contents import digest_bytes
from ledger.events import CommitObserved
from ledger.people import LOGIN
from ledger.projections import Context
from ledger.projections.code_owners import OwnersFileRow
from ledger.projections.commits import CommitRow
from ledger.projections.hands import landed
from ledger.projections.people.rows import MappingRow, email_key
from ledger.projections.reviews import ReportedPullRequestRow
from ledger.projections.revisions import BranchRow, RevisionRow
from ledger.projections.rules import RuleRow, first_seen, host_of, in_force, members, team_key
from ledger.projections.trees import ContextReader, line_at

_TEAM, _ROLE, _ID, _NOBODY = "team:", "role:", "id:", "role:nobody"
_SHOWN = 3


@dataclass(slots=True)
class Demanded:
    """`rules` for the judge; `text` for people; the `teams` (host, team) that were asked for."""

    rules: Rules = field(default_factory=Rules)
    text: str = ""
    teams: list[tuple[str, str]] = field(default_factory=list)
    evidence: list[tuple[int, str]] = field(default_factory=list)


def demanded(context: Context, pull: ReportedPullRequestRow) -> Demanded:
    """What was demanded at the merge; nothing where it is not merged or no rules were seen by then."""
    if not pull.merged_at or not pull.base:
        return Demanded()
    dialect = dialect_of(pull.url)
    rows = in_force(context, pull.repository, pull.base, pull.merged_at, dialect, pull.number)
    if rows is None:
        first = first_seen(context, pull.repository, pull.base, dialect)
        seen = f"first seen at {first}" if first else "never seen"
        return Demanded(text=f"not known: the rules for {pull.base} were {seen}")
    return _Demander(context, pull, dialect).of([row for row in rows if row.enforced != 0])


def dialect_of(url: str) -> str:
    """How the forge of a pull request reads CODEOWNERS, told by its page's address."""
    if "/-/merge_requests/" in url:
        return GITLAB
    return GITEA if "/pulls/" in url else GITHUB


class _Demander:
    def __init__(self, context: Context, pull: ReportedPullRequestRow, dialect: str) -> None:
        self._context = context
        self._pull = pull
        self._dialect = dialect
        self._found = Demanded()

    def of(self, rows: Sequence[RuleRow]) -> Demanded:
        quotas: list[Quota] = []
        texts: list[str] = []
        strictest = max((row for row in rows if not row.approvers), key=_by_others, default=None)
        if strictest is not None and strictest.approvals_required > 0:
            needed = strictest.approvals_required
            texts.append(("1 approval" if needed == 1 else f"{needed} approvals") + _own(strictest))
            if (others := _by_others(strictest)) > 0:
                quotas.append(Quota(word=TOO_FEW, what="anybody else", count=others))
        for row in rows:
            if row.approvers and row.approvals_required > 0:
                quotas += self._by_approvers(row)
                names = _together(row.approvers.split("\n"))
                texts.append(f"{row.approvals_required} by {names}{_own(row)}")
        if any(row.code_owners_required == 1 for row in rows) and self._dialect != GITEA:
            quotas += self._code_owners()
            texts.append("code owners")
        last_push = any(row.last_push_approval == 1 for row in rows)
        if last_push:
            texts.append("somebody else than who pushed last")
        found = self._found
        found.rules = Rules(quotas=tuple(quotas), last_push=last_push)
        found.text = "; ".join(texts) or "none that demand an approval"
        found.evidence = [(row.evidence_position, row.recorded_at) for row in rows]
        return found

    def _by_approvers(self, row: RuleRow) -> Iterable[Quota]:
        named = [one for one in row.approvers.split("\n") if one != _NOBODY]
        people, unknown = self._people(named)
        own = unknown or person(self._pull.author) in people
        count = _by_others(row) if own else row.approvals_required
        if count > 0:
            yield Quota(
                word="not_approver",
                what=f"those whom the rule {row.ruleset or row.branch} names",
                count=count,
                people=people,
                unknown=unknown,
            )

    # -- who somebody is

    def _people(self, names: Iterable[str]) -> tuple[frozenset[str], str]:
        """The logins that are named, perhaps by addresses and teams; and of whom that is not known."""
        found: set[str] = set()
        unknown: list[str] = []
        for name in names:
            who = self._members(name)
            if who is None:
                unknown.append(name)
            else:
                found.update(who)
        why = f"who {_together(unknown)} is was not known then" if unknown else ""
        return frozenset(found), why

    def _members(self, name: str) -> list[str] | None:
        """The logins that a name stands for; None where that is not known."""
        if name.startswith((_ROLE, _ID, "@@")):
            return None
        if "@" in name[1:]:
            return self._by_address(name)
        plain = name.removeprefix(_TEAM).removeprefix("@")
        is_team = name.startswith(_TEAM) or "/" in name
        if is_team or self._dialect == GITLAB:
            team = (host_of(self._pull.forge), team_key(plain))
            self._found.teams.append(team)
            known = members(self._context, *team, self._pull.merged_at)
            if known is not None:
                return [person(one.login) for one in known]
            if is_team:
                return None
        return [person(plain)]

    def _by_address(self, email: str) -> list[str] | None:
        """The logins that the configuration gives to whoever has an address.

        Nothing else counts here, as a `.mailmap` may be written by whoever wants to be an owner.
        """
        key = email_key(email)
        host = host_of(self._pull.forge)
        found = {
            login.value
            for row in (self._context.find(MappingRow, **key._asdict()) if key else ())
            for login in self._context.find(MappingRow, person=row.person)
            if login.kind == LOGIN and login.forge in ("", host)
            if not row.valid_until and not login.valid_until
        }
        return sorted(found) or None

    # -- code owners

    def _code_owners(self) -> list[Quota]:
        """What CODEOWNERS of the base commit demands for the files that the merge changed."""
        base, paths, lacking = self._merged()
        owned, why = (None, lacking) if lacking else self._file(*base)
        if owned is None:
            return [_not_known(why)] if why else []
        if owned.unjudged:
            return [_not_known(owned.unjudged)]
        try:
            found = codeowners.demands(owned, paths)
        except codeowners.TooMuch:
            return [_not_known("CODEOWNERS is too long for so many files")]
        return [self._quota(one) for one in found]

    def _quota(self, one: Demand) -> Quota:
        people, unknown = self._people(one.owners)
        section = f" in {one.section}" if one.section else ""
        return Quota(
            word=NOT_CODE_OWNER,
            what=f"a code owner of {one.path}{section} ({_together(one.owners)})",
            count=one.count,
            people=people,
            unknown=unknown,
        )

    def _merged(self) -> tuple[tuple[str, str], list[str], str]:
        """The branch and commit below the merge, and what it changed; else why that is not known."""
        pull, context = self._pull, self._context
        nothing = ("", ""), list[str]()
        links = landed(context, pull)
        steps = self._steps([link.commit_sha for link in links])
        if not steps:
            return *nothing, "the commit that it merged as is on no branch that is read"
        single = len(links) == 1 and links[0].grade != "proved" and pull.merge_method != "squash"
        paths: set[str] = set()
        for step in steps:
            row = context.get(CommitRow, pull.repository, step.commit_sha)
            observed = context.event(row.evidence_position).data if row is not None else None
            if row is None or not isinstance(observed, CommitObserved):
                return *nothing, "the commit that it merged as is not recorded"
            if single and pull.commits > 1 and len(row.parents.split()) < 2:
                return (
                    *nothing,
                    f"which of its {pull.commits} commits are on the branch is not known",
                )
            paths.update(file.path for file in observed.files)
        first = min(steps, key=lambda step: step.number)
        if pull.merge_method == "rebase" and len(steps) < pull.commits:
            return *nothing, f"not all of its {pull.commits} commits are known on the branch"
        return (first.branch, first.first_parent), sorted(paths), ""

    def _steps(self, commits: Sequence[str]) -> list[RevisionRow]:
        """The revisions that commits are, on the base branch if that is read, else on one that has them."""
        repository = self._pull.repository
        branches = [row.branch for row in self._context.find(BranchRow, repository=repository)]
        for branch in sorted(branches, key=lambda name: (name != self._pull.base, name)):
            found = [self._context.get(RevisionRow, repository, branch, one) for one in commits]
            if any(found):
                return [one for one in found if one is not None]
        return []

    def _file(self, branch: str, commit: str) -> tuple[CodeOwners | None, str]:
        """The CODEOWNERS in force at a commit; None where there is none, or it is not known, with why."""
        repository = self._pull.repository
        rows = self._context.find(OwnersFileRow, repository=repository, branch=branch)
        reader = ContextReader(self._context)
        line = line_at(reader, repository, branch, commit) if commit else None
        if line is None:
            return None, "the commit below it is on no branch that is read" if commit else ""
        there: dict[str, OwnersFileRow] = {}
        for row in sorted(rows, key=lambda one: one.number):
            step = reader.step(repository, branch, row.commit_sha)
            if step is not None and line.has(step) and step.number <= line.number:
                there[row.path] = row
        for path in codeowners.LOCATIONS[self._dialect]:
            row_there = there.get(path)
            if row_there is not None and row_there.present:
                return self._read(row_there)
        return None, ""

    def _read(self, row: OwnersFileRow) -> tuple[CodeOwners | None, str]:
        if row.lacking == "too_large" and self._dialect == GITHUB:
            return CodeOwners(), ""  # GitHub does not load it
        if row.lacking:
            return None, f"{row.path} of the commit below it is not kept ({row.lacking})"
        raw = self._context.content(digest_bytes(row.digest))
        return codeowners.read(raw, self._dialect), ""


def _not_known(why: str) -> Quota:
    return Quota(word=NOT_CODE_OWNER, what="its code owners", people=frozenset(), unknown=why)


def _by_others(row: RuleRow) -> int:
    """How many approvals of somebody else than the author a set of rules needs at the least."""
    return row.approvals_required - (row.author_counts == 1)


def _own(row: RuleRow) -> str:
    return ", the author's own among them" if row.author_counts == 1 else ""


def _together(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
