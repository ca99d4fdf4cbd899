"""The branch restrictions of a Bitbucket Cloud repository, as its API tells them.

Each names one thing for the branches of a pattern or of a type of the branching model. Who may write and
merge is one set of rules (`branch permissions`), what a merge needs another (`merge checks`), and what it
needs of default reviewers a third. A merge check is advice unless `enforce_merge_checks` is there for the
branch, which is for Premium alone. How many builds have to pass is not told as a rule, for it names no
builds. Pure; facts are from Atlassian's `api-group-branch-restrictions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ledger.codeowners import fits
from ledger.jsontext import clean
from ledger.sources.bitbucket.facts import user
from ledger.sources.payloads import Json, count, part, parts
from ledger.sources.ruled import ANY_BRANCH, Rules

APPROVALS: Final = "require_approvals_to_merge"
DEFAULT_REVIEWERS: Final = "require_default_reviewer_approvals_to_merge"
ENFORCED: Final = "enforce_merge_checks"
_RESETS = ("reset_pullrequest_approvals_on_change", "smart_reset_pullrequest_approvals")
_CHECKS = (APPROVALS, DEFAULT_REVIEWERS, "require_no_changes_requested", *_RESETS)
_PERMISSIONS = ("push", "restrict_merges")
_NOBODY, _REVIEWERS = "role:nobody", "role:default-reviewer"
_MAX_NAME = 300


class Settings(NamedTuple):
    """What the API tells of a repository.

    `model` is its effective branching model, `reviewers` are its effective default reviewers; None where
    nothing asks for them, or it is not known who they are.
    """

    restrictions: Sequence[Json]
    model: Json | None = None
    reviewers: Sequence[Json] | None = None


def has_types(restrictions: Sequence[Json]) -> bool:
    """Whether restrictions name branches by the branching model."""
    return any(one.get("branch_match_kind") == "branching_model" for one in restrictions)


def asks_default_reviewers(restrictions: Sequence[Json]) -> bool:
    """Whether restrictions demand approvals of default reviewers."""
    return any(one.get("kind") == DEFAULT_REVIEWERS for one in restrictions)


def in_force(given: Settings) -> Iterator[Rules]:
    """Every set of rules. A type of branches that the model does not tell is left out."""
    by_branch: dict[str, dict[str, list[Json]]] = {}
    for one in given.restrictions:
        kind = str(one.get("kind"))
        for branch in _branches(one, given.model):
            by_branch.setdefault(branch, {}).setdefault(kind, []).append(one)
    enforced = [branch for branch, kinds in by_branch.items() if ENFORCED in kinds]
    for branch, kinds in sorted(by_branch.items()):
        # Named by the pattern, for what is said of a pattern and of a branch that it matches holds both.
        evidence: Json = {"restrictions": [one for found in kinds.values() for one in found]}
        if not kinds.keys().isdisjoint(_PERMISSIONS):
            fields = _permissions(kinds)
            yield Rules(branch, f"branch permissions of {branch}", fields, evidence)
        if not kinds.keys().isdisjoint(_CHECKS):
            blocks = any(one == branch or fits(one, branch, crossing=False) for one in enforced)
            yield Rules(branch, f"merge checks of {branch}", _checks(kinds, blocks), evidence)
            if DEFAULT_REVIEWERS in kinds:
                fields = _reviewed(kinds[DEFAULT_REVIEWERS], given.reviewers, blocks)
                named = {**evidence, "default_reviewers": given.reviewers}
                yield Rules(branch, f"default reviewers of {branch}", fields, named)


def _branches(one: Json, model: Json | None) -> list[str]:
    """The branch or the patterns of them that a restriction is for."""
    if one.get("branch_match_kind") != "branching_model":
        pattern = one.get("pattern")
        if not isinstance(pattern, str) or not pattern:
            return []
        return [ANY_BRANCH if pattern == "*" else clean(pattern)[:_MAX_NAME]]
    kind, told = one.get("branch_type"), model or {}
    if kind in ("development", "production"):
        name = part(part(told, kind), "branch").get("name")
        return [clean(name)[:_MAX_NAME]] if isinstance(name, str) and name else []
    prefixes = [two.get("prefix") for two in parts(told, "branch_types") if two.get("kind") == kind]
    return [f"{clean(two)[:_MAX_NAME]}**" for two in prefixes if isinstance(two, str) and two]


def _permissions(kinds: Mapping[str, Sequence[Json]]) -> dict[str, Any]:
    """Who may write without a pull request: whoever is listed, or everybody where nothing restricts it."""
    pushers = _allowed(kinds.get("push", ()))
    fields: dict[str, Any] = {
        "enforced": True,
        "pull_request_required": "push" in kinds,
        "bypassers": pushers,
    }
    if "restrict_merges" in kinds:
        fields["mergers"] = _allowed(kinds["restrict_merges"]) or [_NOBODY]
    return fields


def _allowed(restrictions: Sequence[Json]) -> list[str]:
    """The accounts and groups that restrictions except, which all of them must do."""
    found: set[str] | None = None
    for one in restrictions:
        logins = {who.login for told in parts(one, "users") if (who := user(told))}
        groups = {f"team:{name}" for told in parts(one, "groups") if (name := _group(told))}
        found = logins | groups if found is None else found & (logins | groups)
    return sorted(found or ())


def _group(told: Json) -> str:
    name = told.get("full_slug") or told.get("slug")
    return clean(name)[:_MAX_NAME] if isinstance(name, str) else ""


def _checks(kinds: Mapping[str, Sequence[Json]], blocks: bool) -> dict[str, Any]:
    return {
        "enforced": blocks,
        "approvals_required": _value(kinds[APPROVALS]) if APPROVALS in kinds else None,
        "dismisses_stale": any(one in kinds for one in _RESETS),
        "rejections_block": "require_no_changes_requested" in kinds,
    }


def _reviewed(
    restrictions: Sequence[Json], reviewers: Sequence[Json] | None, blocks: bool
) -> dict[str, Any]:
    if reviewers is None:
        approvers = [_REVIEWERS]
    else:
        people = (user(part(one, "user") or one) for one in reviewers)
        approvers = sorted({who.login for who in people if who}) or [_NOBODY]
    return {
        "enforced": blocks,
        "approvals_required": _value(restrictions),
        "approvers": approvers,
    }


def _value(restrictions: Sequence[Json]) -> int:
    """The most that restrictions ask for."""
    return max(count(one.get("value")) for one in restrictions)
