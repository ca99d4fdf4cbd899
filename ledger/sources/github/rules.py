"""The rules for changing a branch: classic protection and rulesets, and who is in the teams they name.

Rules are told when they differ from what was told of them last. What is told as `found` false ended: there
is no such rule any more, or there never was one. A ruleset that excludes branches by pattern is
told by the API alone, which says what holds for a branch. Who may pass over a ruleset is told by ids:
`team:id 7` where nothing else tells who that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ledger.events import Identity, NewEvent, RulesObserved, TeamObserved
from ledger.instants import utc_text
from ledger.jsontext import clean
from ledger.sources import Tools, keyed
from ledger.sources.payloads import Json, Told, count, identity, number, part, parts

PROTECTION: Final = "branch protection"
NONE: Final = "rulesets"  # the name under which it is told that there is no ruleset
_BYPASS = {
    "Team": "team",
    "RepositoryRole": "role",
    "OrganizationAdmin": "role",
    "Integration": "app",
    "DeployKey": "deploy_key",
    "User": "user",
}
_ROLES = {2: "maintain", 4: "write", 5: "admin"}  # those of every organization


# -- classic protection ----------------------------------------------------------------------------


def protection(told: Told, branch: str, answer: Json | None, at: str) -> RulesObserved:
    """What `GET /branches/{branch}/protection` tells; None where it says that there is none."""
    if answer is None:
        return _rules(told, branch, PROTECTION, at, found=False)
    reviews = part(answer, "required_pull_request_reviews")
    allowed = part(reviews, "bypass_pull_request_allowances")
    checks = part(answer, "required_status_checks")
    listed = [one.get("context") for one in parts(checks, "checks")]
    return _rules(
        told,
        branch,
        PROTECTION,
        at,
        enforced=True,
        pull_request_required="required_pull_request_reviews" in answer,
        approvals_required=count(reviews.get("required_approving_review_count")),
        code_owners_required=reviews.get("require_code_owner_reviews") is True,
        dismisses_stale=reviews.get("dismiss_stale_reviews") is True,
        last_push_approval=reviews.get("require_last_push_approval") is True,
        admins_included=part(answer, "enforce_admins").get("enabled") is True,
        checks_required=_texts(listed or checks.get("contexts")),
        bypassers=sorted(
            _texts(one.get("login") for one in parts(allowed, "users"))
            + [f"team:{one}" for one in _texts(t.get("slug") for t in parts(allowed, "teams"))]
            + [f"app:{one}" for one in _texts(a.get("slug") for a in parts(allowed, "apps"))]
        ),
    )


def protection_changed(told: Told, body: Json) -> list[NewEvent]:
    """What the webhook `branch_protection_rule` tells; its branch may be a pattern."""
    rule, action = part(body, "rule"), body.get("action")
    branch, at = told.text(rule.get("name")), utc_text(rule.get("updated_at"))
    if not branch or not at:
        return []
    if action == "deleted":
        at = utc_text(body.get("deleted_at")) or at
        return [event(told, _rules(told, branch, PROTECTION, at, found=False), body)]
    needed = rule.get("pull_request_reviews_enforcement_level")
    data = _rules(
        told,
        branch,
        PROTECTION,
        at,
        enforced=True,
        pull_request_required=needed not in (None, "off"),
        approvals_required=count(rule.get("required_approving_review_count")),
        code_owners_required=rule.get("require_code_owner_review") is True,
        dismisses_stale=rule.get("dismiss_stale_reviews_on_push") is True,
        last_push_approval=_known(rule.get("require_last_push_approval")),
        admins_included=_known(rule.get("admin_enforced")),
        checks_required=_texts(rule.get("required_status_checks")),
    )
    return [event(told, data, body)]


# -- rulesets --------------------------------------------------------------------------------------


def no_rulesets(told: Told, branch: str, at: str) -> RulesObserved:
    """That no ruleset holds for a branch."""
    return _rules(told, branch, NONE, at, found=False)


def gone(told: Told, branch: str, ruleset: str, at: str) -> RulesObserved:
    """That a ruleset that was told no longer holds for a branch."""
    return _rules(told, branch, ruleset, at, found=False)


def ruleset(
    told: Told,
    branch: str,
    name: str,
    rules: Sequence[Json],
    whole: Json,
    at: str,
    names: Mapping[tuple[str, int], str] | None = None,
) -> RulesObserved:
    """One ruleset in force at a branch: its rules, and the ruleset itself for who may pass over it.

    `names` are those of actors (their type and id) as far as known.
    """
    reviews = [part(one, "parameters") for one in rules if one.get("type") == "pull_request"]
    checks = [
        part(one, "parameters") for one in rules if one.get("type") == "required_status_checks"
    ]
    enforcement = whole.get("enforcement")
    return _rules(
        told,
        branch,
        name,
        at,
        enforced=None if enforcement is None else enforcement == "active",
        pull_request_required=bool(reviews),
        approvals_required=max(
            (count(one.get("required_approving_review_count")) for one in reviews), default=0
        ),
        code_owners_required=any(one.get("require_code_owner_review") is True for one in reviews),
        dismisses_stale=any(one.get("dismiss_stale_reviews_on_push") is True for one in reviews),
        last_push_approval=any(one.get("require_last_push_approval") is True for one in reviews),
        checks_required=sorted(
            {
                context
                for one in checks
                for context in _texts(
                    c.get("context") for c in parts(one, "required_status_checks")
                )
            }
        ),
        merge_methods=_texts(reviews[0].get("allowed_merge_methods")) if len(reviews) == 1 else [],
        bypassers=sorted(
            {_bypasser(one, names or {}) for one in parts(whole, "bypass_actors")} - {""}
        ),
    )


def actors(whole: Json) -> set[tuple[str, int]]:
    """The type and id of each who may pass over a ruleset."""
    found = {
        (str(one.get("actor_type")), one.get("actor_id")) for one in parts(whole, "bypass_actors")
    }
    return {(kind, number) for kind, number in found if type(number) is int}


def ruleset_changed(told: Told, body: Json) -> list[NewEvent]:
    """What the webhook `repository_ruleset` tells: one event for each branch or pattern that it names."""
    whole = part(body, "repository_ruleset")
    at = utc_text(whole.get("updated_at"))
    refs = part(part(whole, "conditions"), "ref_name")
    if whole.get("target") != "branch" or not at or refs.get("exclude"):
        return []
    name = str(number(whole.get("id")))
    default = told.text(part(body, "repository").get("default_branch"))
    found: list[NewEvent] = []
    for ref in _texts(refs.get("include")):
        branch = {"~DEFAULT_BRANCH": default, "~ALL": "**"}.get(
            ref, ref.removeprefix("refs/heads/")
        )
        if body.get("action") == "deleted":
            data = gone(told, branch, name, at)
        else:
            data = ruleset(told, branch, name, parts(whole, "rules"), whole, at)
        found += [event(told, data, body)] if branch else []
    return found


def _bypasser(actor: Json, names: Mapping[tuple[str, int], str]) -> str:
    kind = str(actor.get("actor_type"))
    known = _BYPASS.get(kind, "")
    if kind == "OrganizationAdmin":
        return "role:organization_admin"
    identifier = actor.get("actor_id")
    if not known or type(identifier) is not int:
        return known
    name = names.get((kind, identifier))
    if kind == "RepositoryRole":
        name = _ROLES.get(identifier)
    if kind == "User" and name:
        return name
    return f"{known}:{name or f'id {identifier}'}"


# -- teams -----------------------------------------------------------------------------------------


def team(told: Told, host: str, name: str, members: Sequence[Json], at: str) -> TeamObserved:
    """Who is in a team, sorted by login."""
    found = [identity(one.get("login")) for one in members]
    known = {one.login: one for one in found if one is not None}
    people: list[Identity] = [known[login] for login in sorted(known)]
    return TeamObserved(forge=host, team=name, members=people, at=at, raw=told.raw)


# -- what is new -----------------------------------------------------------------------------------


def in_force(forge: str, branch: str, tools: Tools) -> set[str]:
    """The rulesets that were told last as holding for a branch."""
    last: dict[str, RulesObserved] = {}
    told = [one.data for one in tools.told(f"{forge}/rules/{branch}/")]
    found = [one for one in told if isinstance(one, RulesObserved) and one.branch == branch]
    for one in sorted(found, key=lambda rules: rules.at):
        last[one.ruleset] = one
    return {name for name, one in last.items() if one.found}


def event(told: Told, data: RulesObserved, body: Json | None = None) -> NewEvent:
    """The event of rules; who changed them where a webhook says so."""
    who = identity(part(body, "sender").get("login")) if body else None
    return keyed.rules(told, data, who)


def _rules(told: Told, branch: str, ruleset: str, at: str, **found: Any) -> RulesObserved:
    return RulesObserved(
        repository=told.repository,
        forge=told.forge,
        branch=branch,
        ruleset=ruleset,
        at=at,
        raw=told.raw,
        **found,
    )


def _known(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _texts(values: Any) -> list[str]:
    if not hasattr(values, "__iter__") or isinstance(values, str | dict):
        return []
    return [clean(one)[:300] for one in values if isinstance(one, str) and one]
