"""The rules of a GitLab project, made of what its API tells of protection, approvals and merging.

A protected branch is one set of rules, each approval rule another; all hold at once. Whoever may push to a
protected branch may pass over merge requests; where every developer may, none is required. Approvals in
GitLab's free tier are never required; what is not told stays None. A merge request may have approval rules
of its own in place of those of the project; when it merges, GitLab keeps those that held. Pure; facts are
from GitLab's `doc/api/protected_branches.md`, `doc/api/merge_request_approvals.md` and
`ee/app/services/approval_rules/finalize_service.rb`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from ledger.jsontext import clean
from ledger.sources.gitlab.facts import PIPELINE
from ledger.sources.payloads import Json, count, parts
from ledger.sources.ruled import Rules

PROTECTION: Final = "branch protection"
APPROVAL_RULE: Final = "approval rule "
_DEVELOPER = 30
_EVERY_BRANCH = "*"
_BY_HAND = ("regular", "any_approver")
_ROLES = {_DEVELOPER: "role:developer", 40: "role:maintainer", 60: "role:admin"}
_METHODS = {"merge": ["merge"], "rebase_merge": ["merge"], "ff": ["fast-forward"]}
_PROJECT = (
    "default_branch",
    "merge_method",
    "squash_option",
    "only_allow_merge_if_pipeline_succeeds",
)


class Settings(NamedTuple):
    """What the API tells of a project; None where it cannot be had, as in the free tier."""

    project: Json
    branches: Sequence[Json]
    approvals: Json | None = None
    rules: Sequence[Json] | None = None


def mentioned(given: Settings) -> tuple[set[int], set[int]]:
    """The ids of users and of groups that the rules name."""
    users: set[int] = set()
    groups = {one["id"] for rule in given.rules or () for one in _groups(rule)}
    for branch in given.branches:
        levels = parts(branch, "push_access_levels") + parts(branch, "merge_access_levels")
        for level in levels:
            for found, name in ((users, "user_id"), (groups, "group_id")):
                if type(level.get(name)) is int:
                    found.add(level[name])
    return users, groups


def in_force(
    given: Settings, users: Mapping[int, str], groups: Mapping[int, str]
) -> Iterator[Rules]:
    """Every set of rules. `users` and `groups` are logins and full paths by id, as far as known."""
    names = [name for one in given.branches if (name := _name(one))]
    default = given.project.get("default_branch")
    base = {name: given.project[name] for name in _PROJECT if name in given.project}
    for branch in given.branches:
        if name := _name(branch):
            evidence = {"protected_branch": branch, "project": base, "approvals": given.approvals}
            fields = _protection(given, branch, users, groups)
            yield Rules(name, PROTECTION, fields, evidence)
    if isinstance(default, str) and not any(fnmatchcase(default, name) for name in names):
        names.append(clean(default))
        seen: Json = {"project": base, "protected_branches": names[:-1]}
        yield Rules(clean(default), PROTECTION, {"found": False}, seen)
    for rule in given.rules or ():
        if rule.get("rule_type") in _BY_HAND and type(rule.get("id")) is int:
            ruleset = f"{APPROVAL_RULE}{rule['id']}"
            evidence = {"approval_rule": rule, "approvals": given.approvals}
            for name in _branches(rule):
                yield Rules(name, ruleset, _approval(rule, groups, given.approvals), evidence)


def kept(request: Json, state: Json) -> Iterator[Rules]:
    """The approval rules that a merged request has of its own, as GitLab's `approval_state` tells them.

    Those of CODEOWNERS are left out: what it demands is told by the file. A rule that fewer people could
    approve than it needs holds nobody up.
    """
    branch = clean(_text(request, "target_branch"))
    if state.get("approval_rules_overwritten") is not True or not branch:
        return
    for rule in parts(state, "rules"):
        kind = rule.get("rule_type")
        if kind not in (*_BY_HAND, "report_approver") or type(rule.get("id")) is not int:
            continue
        needed = count(rule.get("approvals_required"))
        people = _logins(rule, "eligible_approvers") | _logins(rule, "approved_by")
        anybody = kind == "any_approver"
        fields = {
            "enforced": anybody or len(people) >= needed,
            "approvals_required": needed,
            "approvers": [] if anybody else sorted(people),
        }
        evidence = {"approval_rule": rule, "merge_request": request.get("iid")}
        yield Rules(branch, f"{APPROVAL_RULE}{rule['id']}", fields, evidence)


def _protection(
    given: Settings, branch: Json, users: Mapping[int, str], groups: Mapping[int, str]
) -> dict[str, Any]:
    pushers, anybody = _whom(parts(branch, "push_access_levels"), users, groups)
    mergers, _ = _whom(parts(branch, "merge_access_levels"), users, groups)
    if "merge_access_levels" in branch and not mergers:
        mergers = ["role:nobody"]
    fields: dict[str, Any] = {
        "enforced": True,
        "pull_request_required": not anybody if "push_access_levels" in branch else None,
        "code_owners_required": _boolean(branch, "code_owner_approval_required"),
        "bypassers": [] if anybody else pushers,
        "mergers": mergers,
        "merge_methods": _methods(given.project),
    }
    if given.project.get("only_allow_merge_if_pipeline_succeeds") is True:
        fields["checks_required"] = [PIPELINE]
    if given.approvals is not None:
        fields["dismisses_stale"] = _boolean(given.approvals, "reset_approvals_on_push")
    return fields


def _methods(project: Json) -> list[str]:
    method, squash = project.get("merge_method"), project.get("squash_option")
    found = list(_METHODS.get(method, ())) if isinstance(method, str) else []
    if squash == "always":
        return ["squash"] if found else []
    return [*found, "squash"] if found and squash in ("default_on", "default_off") else found


def _whom(
    levels: Sequence[Json], users: Mapping[int, str], groups: Mapping[int, str]
) -> tuple[list[str], bool]:
    """Whom levels of access let through, and whether these are all who may write."""
    anybody = any(_is_role(one) and one.get("access_level") == _DEVELOPER for one in levels)
    return sorted({_someone(one, users, groups) for one in levels} - {""}), anybody


def _someone(level: Json, users: Mapping[int, str], groups: Mapping[int, str]) -> str:
    """Whom a level of access lets through; empty for nobody."""
    user, group, key = level.get("user_id"), level.get("group_id"), level.get("deploy_key_id")
    if type(user) is int:
        return users.get(user, f"user:{user}")
    if type(group) is int:
        return f"team:{groups.get(group, group)}"
    if type(key) is int:
        return f"deploy-key:{key}"
    role = level.get("access_level")
    return _ROLES.get(role, f"role:{role}") if type(role) is int and role else ""


def _is_role(level: Json) -> bool:
    return not any(level.get(name) for name in ("user_id", "group_id", "deploy_key_id"))


def _approval(
    rule: Json, groups: Mapping[int, str], approvals: Json | None = None
) -> dict[str, Any]:
    logins = _logins(rule, "users")
    teams = {f"team:{groups.get(one['id'], one['id'])}" for one in _groups(rule)}
    if rule.get("contains_hidden_groups") is True:
        # Whoever is in the groups that we are not shown is told all the same.
        eligible = _logins(rule, "eligible_approvers")
        logins |= eligible
        teams |= set() if eligible else {"team:hidden"}
    return {
        "enforced": True,
        "approvals_required": count(rule.get("approvals_required")),
        "approvers": sorted(logins | teams),
        "author_counts": _boolean(approvals or {}, "merge_requests_author_approval"),
    }


def _logins(rule: Json, name: str) -> set[str]:
    return {clean(one["username"]) for one in parts(rule, name) if _text(one, "username")}


def _branches(rule: Json) -> list[str]:
    """The branches that an approval rule is for, perhaps every one."""
    found = [name for one in parts(rule, "protected_branches") if (name := _name(one))]
    every = not found and rule.get("applies_to_all_protected_branches") is not True
    return [_EVERY_BRANCH] if every else found


def _groups(rule: Json) -> list[Json]:
    return [one for one in parts(rule, "groups") if type(one.get("id")) is int]


def _name(branch: Json) -> str:
    return clean(_text(branch, "name"))


def _text(value: Json, name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _boolean(value: Json, name: str) -> bool | None:
    found = value.get(name)
    return found if isinstance(found, bool) else None
