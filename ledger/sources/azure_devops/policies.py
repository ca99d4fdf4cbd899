"""The branch policies of an Azure DevOps project, as its API tells them, for the branches of one repository.

Each enabled policy is a set of rules; all of them hold at once, those that do not block only as advice
(`enforced` is false). Whoever may bypass them is told by permissions, which are not read. Of policies for
some files alone it is not told how many have to approve, for that depends on the change. Pure; facts are from
Microsoft's `policy/configurations` and `repos/git/branch-policies`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ledger.jsontext import clean
from ledger.sources.azure_devops.facts import user
from ledger.sources.payloads import Json, count, part, parts
from ledger.sources.ruled import ANY_BRANCH, Rules

MINIMUM: Final = "fa4e907d-c16b-4a4c-9dfa-4906e5d171dd"
REQUIRED: Final = "fd2167ab-b0be-447a-8ec8-39368250530e"
STRATEGY: Final = "fa4e907d-c16b-4a4c-9dfa-4916e5d171ab"
_HEADS = "refs/heads/"
_MAX_NAME = 300
_METHODS = {
    "allowNoFastForward": "merge",
    "allowSquash": "squash",
    "allowRebase": "rebase",
    "allowRebaseMerge": "rebase_merge",
}


def named(policies: Sequence[Json]) -> bool:
    """Whether policies name people or groups, which they do by their ids alone."""
    return any(_reviewers(one) for one in policies)


def people(pulls: Sequence[Json]) -> dict[str, str]:
    """Whoever pull requests name as reviewers, by id: logins, and the names of groups as `team:`."""
    found: dict[str, str] = {}
    for one in (who for pull in pulls for who in parts(pull, "reviewers")):
        identifier, shown = one.get("id"), one.get("displayName")
        if not isinstance(identifier, str):
            continue
        if one.get("isContainer") is True:
            if isinstance(shown, str) and shown:
                found[identifier.lower()] = f"team:{clean(shown)[:_MAX_NAME]}"
        elif who := user(one):
            found[identifier.lower()] = who.login
    return found


def in_force(
    policies: Sequence[Json], repository: Json, names: Mapping[str, str]
) -> Iterator[Rules]:
    """Every set of rules for branches of a repository. `names` are those of `people`."""
    for one in policies:
        number = one.get("id")
        if type(number) is not int or one.get("isEnabled") is not True or one.get("isDeleted"):
            continue
        branches = {
            branch
            for scope in parts(part(one, "settings"), "scope")
            if (branch := _branch(scope, repository))
        }
        for branch in sorted(branches):
            for ruleset, fields in _sets(one, names):
                yield Rules(branch, ruleset, {**_every(one), **fields}, {"policy": one})


def _branch(scope: Json, repository: Json) -> str:
    """The branch or the pattern of them that a scope means; empty where it is of another repository."""
    of, ref = scope.get("repositoryId"), scope.get("refName")
    if of is not None and str(of).lower() != str(repository.get("id")).lower():
        return ""
    kind = str(scope.get("matchKind", "")).lower()
    if kind == "defaultbranch":
        ref = repository.get("defaultBranch") or ""  # an empty repository has none
    if ref is None:  # of a repository or a project as a whole
        return ANY_BRANCH
    if not isinstance(ref, str) or not f"{ref}/".startswith(_HEADS):
        return ""
    name = clean(ref.removeprefix(_HEADS.rstrip("/")).strip("/"))[:_MAX_NAME]
    if kind == "prefix":
        return f"{name}/**" if name else ANY_BRANCH
    return name


def _every(policy: Json) -> dict[str, Any]:
    """What holds of any policy: one that blocks makes pull requests the only way."""
    blocks = policy.get("isBlocking")
    return {
        "enforced": blocks if isinstance(blocks, bool) else None,
        "pull_request_required": True if blocks is True else None,
    }


def _sets(policy: Json, names: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    kind, settings = str(part(policy, "type").get("id")).lower(), part(policy, "settings")
    number = policy["id"]
    if kind == MINIMUM:
        yield f"minimum number of reviewers {number}", _minimum(settings)
    elif kind == STRATEGY:
        yield f"merge strategy {number}", {"merge_methods": _methods(settings)}
    elif kind == REQUIRED:
        yield from _required(policy, settings, names)
    else:
        shown = part(policy, "type").get("displayName")
        what = clean(shown)[:100] if isinstance(shown, str) and shown else "policy"
        yield f"{what} {number}", {}


def _minimum(settings: Json) -> dict[str, Any]:
    downvotes = _flag(settings, "allowDownvotes")
    return {
        "approvals_required": count(settings.get("minimumApproverCount")),
        "author_counts": _flag(settings, "creatorVoteCounts"),
        "dismisses_stale": _flag(settings, "resetOnSourcePush"),
        "last_push_approval": _flag(settings, "blockLastPusherVote"),
        "rejections_block": None if downvotes is None else not downvotes,
    }


def _methods(settings: Json) -> list[str]:
    if settings.get("useSquashMerge") is True:  # how older servers say it
        return ["squash"]
    return [word for name, word in _METHODS.items() if settings.get(name) is True]


def _required(
    policy: Json, settings: Json, names: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A set for each of the reviewers: everybody who is named has to approve, of a group one.

    Of a group that is named alone it may be more.
    """
    whom = _reviewers(policy)
    for one in whom:
        who = names.get(one, f"id:{one}")
        more = count(settings.get("minimumApproverCount")) if len(whom) == 1 else 0
        fields = {
            "approvals_required": None if settings.get("filenamePatterns") else max(1, more),
            "approvers": [who],
            "author_counts": _flag(settings, "creatorVoteCounts"),
        }
        yield f"required reviewer {policy['id']}/{one}", fields


def _reviewers(policy: Json) -> list[str]:
    if str(part(policy, "type").get("id")).lower() != REQUIRED:
        return []
    told = part(policy, "settings").get("requiredReviewerIds")
    found = told if isinstance(told, list) else []
    return sorted({clean(one)[:100].lower() for one in found if isinstance(one, str) and one})


def _flag(settings: Json, name: str) -> bool | None:
    found = settings.get(name)
    return found if isinstance(found, bool) else None
