"""What Gitea and Forgejo tell of branches: pushes, checks of commits, rules, and who is in a team.

A status that was posted for a commit is never changed; a new one is posted. Its id is another number in the
webhook than in the API, so what it says and when make it known. Of the rules for branches one alone holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ledger.errors import SourceError
from ledger.events import CheckCompleted, Identity, NewEvent, RefPushed, RulesObserved, TeamObserved
from ledger.jsontext import clean
from ledger.sources import keyed
from ledger.sources.gitea.facts import is_bot, person, time
from ledger.sources.payloads import Json, Told, count, parts, sha, side

RULESET: Final = "branch protection"
ANY_BRANCH: Final = "**"
_NOBODY = "role:nobody"
_MAX_KEY = 200
_ENDED = {
    "success": "success",
    "failure": "failure",
    "error": "error",
    "warning": "neutral",
    "cancelled": "cancelled",
    "skipped": "skipped",
}

# -- pushes --------------------------------------------------------------------------------------


def is_of_branch(body: Json) -> bool:
    """Whether a push is one to a branch, and no tag or ref of a pull request."""
    return str(body.get("ref")).startswith("refs/heads/")


def pushed(told: Told, body: Json) -> NewEvent:
    """A push to a branch. The forge does not tell when, nor whether it was forced."""
    ref = told.text(body.get("ref"))
    before, after = side(body.get("before")), side(body.get("after"))
    commits = [name for one in parts(body, "commits") if (name := sha(one.get("id")))]
    if commits and commits[0] == after:  # the newest first
        commits.reverse()
    who = body.get("pusher") or body.get("sender")
    data = RefPushed(
        repository=told.repository,
        forge=told.forge,
        ref=ref,
        before=before,
        after=after,
        pusher_is_bot=is_bot(who),
        commits=commits,
        commit_count=count(body.get("total_commits")),
        raw=told.raw,
    )
    return keyed.ref_pushed(told, data, person(who))


# -- checks --------------------------------------------------------------------------------------


def has_ended(status: Json) -> bool:
    """Whether a status says how something ended, and not that it goes on."""
    return (status.get("state") or status.get("status")) in _ENDED


def status(told: Told, commit: str, value: Json) -> NewEvent:
    """A status of a commit, from the webhook or the API."""
    if not commit:
        raise SourceError("a status that does not tell of which commit it is")
    conclusion = _ENDED[value.get("state") or value["status"]]
    name, at = told.text(value.get("context")), time(value.get("created_at"))
    data = CheckCompleted(
        repository=told.repository,
        forge=told.forge,
        commit=commit,
        name=name,
        conclusion=conclusion,
        completed_at=at,
        url=told.text(value.get("target_url")),
        raw=told.raw,
    )
    key = f"status/{commit}/{name[:_MAX_KEY]}/{conclusion}/{at}"
    return told.event(key, at, person(value.get("creator") or value.get("sender")), data)


def run(told: Told, value: Json, workflow: Json) -> NewEvent:
    """A run of Actions that ended, as Gitea (`workflow_run`) or Forgejo (`run`) tells it."""
    commit = sha(value.get("head_sha")) or sha(value.get("commit_sha"))
    if not commit:
        raise SourceError("a run that does not tell of which commit it is")
    name = workflow.get("name") or value.get("workflow_id") or value.get("path")
    said = value.get("conclusion") or value.get("status")
    conclusion = _ENDED.get(said, clean(said)[:40]) if isinstance(said, str) else ""
    at = time(value.get("completed_at")) or time(value.get("stopped"))
    data = CheckCompleted(
        repository=told.repository,
        forge=told.forge,
        commit=commit,
        name=told.text(name).partition("@")[0],
        conclusion=conclusion,
        app="actions",
        check=str(count(value.get("id")) or ""),
        started_at=time(value.get("started_at")) or time(value.get("started")),
        completed_at=at,
        url=told.text(value.get("html_url")),
        raw=told.raw,
    )
    attempt = count(value.get("run_attempt"))
    return told.event(f"run/{data.check}/{attempt}/{conclusion}/{at}/completed", at, None, data)


# -- rules and teams -----------------------------------------------------------------------------


def rules(told: Told, value: Json, at: str) -> NewEvent:
    """The protection of the branches that a name or pattern means, as it was found in force at a time."""
    owner = told.forge.rpartition("/")[0].rpartition("/")[2]
    may_push, needed = value.get("enable_push"), value.get("required_approvals")
    admins = value.get("apply_to_admins", value.get("block_admin_merge_override"))
    passers: list[str] = []
    if may_push is True:
        passers = _listed(value, owner, "enable_push_whitelist", "push_whitelist") or ["role:write"]
        if value.get("enable_push_whitelist") is True and value.get("push_whitelist_deploy_keys"):
            passers.append("role:deploy-key")
    if admins is False:
        passers.append("role:admin")
    checked = value.get("enable_status_check") is True
    data = RulesObserved(
        repository=told.repository,
        forge=told.forge,
        branch=rule_name(value),
        ruleset=RULESET,
        enforced=True,
        pull_request_required=None if may_push is None else "role:write" not in passers,
        approvals_required=None if needed is None else count(needed),
        dismisses_stale=_flag(value.get("dismiss_stale_approvals")),
        admins_included=_flag(admins),
        checks_required=_names(value.get("status_check_contexts")) if checked else [],
        bypassers=[one for one in passers if one != _NOBODY],
        approvers=_listed(value, owner, "enable_approvals_whitelist", "approvals_whitelist"),
        mergers=_listed(value, owner, "enable_merge_whitelist", "merge_whitelist"),
        rejections_block=_flag(value.get("block_on_rejected_reviews")),
        signatures_required=_flag(value.get("require_signed_commits")),
        stale_ignored=_flag(value.get("ignore_stale_approvals")),
        priority=count(value.get("priority")),
        at=at,
        raw=told.raw,
    )
    return keyed.rules(told, data)


def no_rules(told: Told, branch: str, at: str) -> NewEvent:
    """No rule of that name was there when the forge was asked."""
    data = RulesObserved(
        repository=told.repository,
        forge=told.forge,
        branch=branch,
        ruleset=RULESET,
        found=False,
        at=at,
        raw=told.raw,
    )
    return keyed.rules(told, data)


def rule_name(value: Json) -> str:
    """The branch or pattern of a rule. Raises SourceError where it has none."""
    name = value.get("rule_name") or value.get("branch_name")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_KEY:
        raise SourceError("a branch protection without a usable name")
    return clean(name)


def teams_of(values: Sequence[Json]) -> set[str]:
    """The names of the teams that rules mention."""
    lists = ("push_whitelist_teams", "merge_whitelist_teams", "approvals_whitelist_teams")
    return {name for value in values for one in lists for name in _names(value.get(one))}


def team(told: Told, org: str, name: str, members: Sequence[Json], at: str) -> NewEvent:
    """Who was in a team of an organisation when the forge was asked."""
    host = told.forge.partition("/")[0]
    found: list[Identity] = [who for one in members if (who := person(one)) is not None]
    data = TeamObserved(
        forge=host,
        team=f"{org}/{name}",
        members=sorted(found, key=lambda one: one.login),
        at=at,
        raw=told.raw,
    )
    return keyed.team(told.kind, data)


def _listed(value: Json, owner: str, switch: str, name: str) -> list[str]:
    """Who is on a whitelist that is in force: logins, and teams; nobody where it is empty."""
    if value.get(switch) is not True:
        return []
    people = _names(value.get(f"{name}_usernames") or value.get(f"{name}_username"))
    teams = [f"team:{owner}/{one}" for one in _names(value.get(f"{name}_teams"))]
    return [*people, *teams] or [_NOBODY]


def _names(value: Any) -> list[str]:
    found = value if isinstance(value, list) else []
    return sorted({clean(one)[:_MAX_KEY] for one in found if isinstance(one, str) and one})


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
