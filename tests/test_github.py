"""GitHub's webhooks and API answers become facts: the same in any order, and none is lost silently."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import ingest as shell
from ledger import jsontext, redaction
from ledger.config import Settings, SourceSettings
from ledger.contents import digest_text, pack
from ledger.errors import SourceError, UsageError
from ledger.events import (
    CheckCompleted,
    CollectorGap,
    Identity,
    NewEvent,
    PullRequestClosed,
    PullRequestMerged,
    PullRequestOpened,
    PullRequestPushed,
    RecordedEvent,
    RefPushed,
    ReviewDismissed,
    ReviewSubmitted,
    RulesObserved,
    TeamObserved,
)
from ledger.ingest import Outcome
from ledger.jsontext import Fault, Value
from ledger.sources import Import, Stored, Tools
from ledger.sources.github import (
    SOURCE,
    authentic,
    events_from_answer,
    events_from_delivery,
    identify,
)
from ledger.testing import Ledger, make_ledger

KEY = b"k" * 32
BASE, HEAD, OLD, MERGE, TEST_MERGE = "c" * 40, "b" * 40, "a" * 40, "d" * 40, "e" * 40
FORGE = "github.com/acme/infra"
TRACKED = SourceSettings(
    kind="git", name="infra", url="https://github.com/Acme/Infra.git", branches=["main"]
)
Json = dict[str, Any]


# -- payloads, as GitHub spells them -------------------------------------------------------------


def user(login: str = "mona", kind: str = "User") -> Json:
    return {"login": login, "id": 7, "type": kind, "html_url": f"https://github.com/{login}"}


def repository(name: str = "acme/infra", host: str = "github.com") -> Json:
    return {"id": 9001, "full_name": name, "html_url": f"https://{host}/{name}"}


def simple_pull(number: int = 42, host: str = "github.com", **changes: Any) -> Json:
    """A pull request as lists and reviews hold it: without `merged`, `merged_by` and `commits`."""
    return {
        "url": f"https://api.{host}/repos/acme/infra/pulls/{number}",
        "html_url": f"https://{host}/acme/infra/pull/{number}",
        "id": 5550000 + number,
        "number": number,
        "state": "open",
        "draft": False,
        "title": "Raise the limit",
        "body": "Because of Friday.",
        "user": user("ann"),
        "labels": [{"name": "production"}, {"name": "database"}],
        "head": {"ref": "limit", "sha": HEAD, "repo": None},
        "base": {"ref": "main", "sha": BASE, "repo": repository()},
        "merge_commit_sha": TEST_MERGE,
        "merged_at": None,
        "closed_at": None,
        "created_at": "2026-11-19T08:00:00Z",
        "updated_at": "2026-11-19T09:00:00Z",
    } | changes


def full_pull(number: int = 42, **changes: Any) -> Json:
    full = {"merged": False, "merged_by": None, "commits": 3, "auto_merge": None}
    return simple_pull(number) | full | changes


MERGED: Json = {
    "state": "closed",
    "merged": True,
    "merged_at": "2026-11-20T10:02:03Z",
    "closed_at": "2026-11-20T10:02:03Z",
    "updated_at": "2026-11-20T10:02:04Z",
    "merge_commit_sha": MERGE,
    "merged_by": user("mona"),
}
CLOSED: Json = {"state": "closed", "closed_at": "2026-11-20T11:00:00Z"}


def a_pull_request(action: str, number: int = 42, **changes: Any) -> Json:
    """The body of a `pull_request` webhook; `changes` are of the pull request."""
    return {
        "action": action,
        "number": number,
        "pull_request": full_pull(number, **changes),
        "repository": repository(),
        "sender": user("mona"),
    }


def a_review(**changes: Any) -> Json:
    return {
        "id": 237895671,
        "user": user("bob"),
        "body": "",
        "state": "approved",
        "commit_id": HEAD,
        "submitted_at": "2026-11-20T09:30:00Z",
        "html_url": "https://github.com/acme/infra/pull/42#pullrequestreview-237895671",
        "pull_request_url": "https://api.github.com/repos/acme/infra/pulls/42",
        "author_association": "MEMBER",
    } | changes


def a_pull_request_review(action: str, sender: str = "bob", **changes: Any) -> Json:
    return {
        "action": action,
        "review": a_review(**changes),
        "pull_request": simple_pull(updated_at="2026-11-20T09:45:00Z"),
        "repository": repository(),
        "sender": user(sender),
    }


def a_push() -> Json:
    return {
        "ref": "refs/heads/main",
        "before": BASE,
        "after": MERGE,
        "commits": [],
        "repository": repository(),
        "pusher": {"name": "mona"},
        "sender": user("mona"),
    }


def a_check_run(**changes: Any) -> Json:
    run = {
        "id": 70001,
        "name": "test",
        "head_sha": HEAD,
        "status": "completed",
        "conclusion": "success",
        "started_at": "2026-11-20T09:00:00Z",
        "completed_at": "2026-11-20T09:05:00Z",
        "html_url": "https://github.com/acme/infra/runs/70001",
        "app": {"slug": "github-actions", "name": "GitHub Actions"},
    } | changes
    return {
        "action": "completed",
        "check_run": run,
        "repository": repository(),
        "sender": user("mona"),
    }


def a_status(state: str = "success") -> Json:
    return {
        "id": 80001,
        "sha": HEAD,
        "state": state,
        "context": "ci/build",
        "target_url": "https://ci.example.com/1",
        "created_at": "2026-11-20T09:04:00Z",
        "updated_at": "2026-11-20T09:04:00Z",
        "repository": repository(),
        "sender": user("mona"),
    }


def a_protection(action: str = "edited", **changes: Any) -> Json:
    rule = {
        "name": "release/*",
        "updated_at": "2026-11-20T08:00:00Z",
        "pull_request_reviews_enforcement_level": "everyone",
        "required_approving_review_count": 2,
        "dismiss_stale_reviews_on_push": True,
        "require_code_owner_review": True,
        "require_last_push_approval": False,
        "admin_enforced": True,
        "required_status_checks": ["test"],
    } | changes
    return {"action": action, "rule": rule, "repository": repository(), "sender": user("mona")}


def a_ruleset(action: str = "edited", **changes: Any) -> Json:
    ruleset = {
        "id": 31,
        "target": "branch",
        "enforcement": "active",
        "updated_at": "2026-11-20T08:00:00Z",
        "bypass_actors": [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}],
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [
            {
                "type": "pull_request",
                "parameters": {
                    "required_approving_review_count": 1,
                    "allowed_merge_methods": ["squash"],
                },
            },
            {
                "type": "required_status_checks",
                "parameters": {"required_status_checks": [{"context": "test"}]},
            },
        ],
    } | changes
    return {
        "action": action,
        "repository_ruleset": ruleset,
        "repository": repository() | {"default_branch": "main"},
        "sender": user("mona"),
    }


def nested(depth: int) -> Json:
    return {"in": nested(depth - 1)} if depth else {}


STORY: list[tuple[str, Json]] = [
    ("pull_request", a_pull_request("opened")),
    ("pull_request", a_pull_request("synchronize") | {"before": OLD, "after": HEAD}),
    ("pull_request_review", a_pull_request_review("submitted")),
    ("pull_request_review", a_pull_request_review("edited", body="Looks good")),
    ("pull_request_review", a_pull_request_review("dismissed", "mona", state="dismissed")),
    ("pull_request", a_pull_request("closed", **CLOSED)),
    ("pull_request", a_pull_request("reopened", updated_at="2026-11-20T11:30:00Z")),
    ("pull_request", a_pull_request("closed", **MERGED)),
    ("pull_request", a_pull_request("closed", 43, **MERGED)),
    ("push", a_push()),
]


# -- reading -------------------------------------------------------------------------------------


def tools(*sources: SourceSettings) -> Tools:
    def store(name: str, data: bytes) -> Stored:
        redacted = redaction.redact(name, data, KEY)
        content = pack(redacted.data)
        return Stored(digest_text(content.digest), [content], bool(redacted.findings))

    def prepare(*_: Any) -> Any:
        raise AssertionError("nothing of a forge is a blob")

    return Tools(
        now="2026-11-21T00:00:00Z",
        prepare=prepare,
        heads=prepare,
        redact=lambda text: redaction.redact_text(text, KEY),
        fingerprint=lambda value: redaction.fingerprint(KEY, value),
        store=store,
        repository=Settings(database="", source=list(sources)).repository,
    )


def read_value(value: Any) -> Value:
    return Value("line 1", json.dumps(value), value)


def delivered(name: str, body: Json, *sources: SourceSettings) -> list[NewEvent]:
    return events_from_delivery(name, read_value(body), tools(*sources)).events


def answered(value: Any, *sources: SourceSettings) -> list[NewEvent]:
    return events_from_answer(read_value(value), tools(*sources)).events


def import_files(ledger: Ledger, *files: Path) -> Outcome:
    return shell.import_files(
        ledger.settings, "github", Import(files=files), clock=lambda: ledger.now
    )


def write(path: Path, *values: Any) -> Path:
    path.write_text("\n".join(json.dumps(one) for one in values) + "\n", "utf-8")
    return path


def told(ledger: Ledger) -> dict[str, RecordedEvent]:
    """The facts by key, without their positions."""
    return {one.key: _placeless(one) for one in ledger.events() if one.source == "github"}


def _placeless(one: RecordedEvent) -> RecordedEvent:
    return RecordedEvent(
        **{name: getattr(one, name) for name in one.__struct_fields__} | {"position": 0}
    )


def gaps(ledger: Ledger) -> list[str]:
    return [
        one.data.detail for one in ledger.events(CollectorGap) if isinstance(one.data, CollectorGap)
    ]


# -- webhooks ------------------------------------------------------------------------------------


def test_an_opened_pull_request_says_who_and_what() -> None:
    [event] = delivered("pull_request", a_pull_request("opened"), TRACKED)
    assert (event.stream, event.source) == ("repository/infra", "github")
    assert (event.key, event.occurred_at) == (f"{FORGE}/pull/42/opened", "2026-11-19T08:00:00Z")
    assert event.actor == Identity(login="mona")
    data = event.data
    assert isinstance(data, PullRequestOpened)
    assert (data.repository, data.forge, data.reopened) == ("infra", FORGE, False)
    pull = data.pull_request
    assert (pull.number, pull.title, pull.author) == (42, "Raise the limit", Identity(login="ann"))
    assert (pull.base, pull.base_commit, pull.head_ref, pull.head) == ("main", BASE, "limit", HEAD)
    assert pull.labels == ["database", "production"]
    assert (pull.created_at, pull.updated_at) == ("2026-11-19T08:00:00Z", "2026-11-19T09:00:00Z")
    assert data.raw.startswith("sha256:")


def test_a_repository_that_is_not_tracked_keeps_its_full_name_with_its_host() -> None:
    [event] = delivered("pull_request", a_pull_request("opened"))
    assert isinstance(event.data, PullRequestOpened)
    assert event.data.repository == event.data.forge == FORGE


def test_an_enterprise_host_and_other_capitals_are_one_spelling() -> None:
    body = a_pull_request("opened") | {"repository": repository("Acme/Infra", "ghe.acme.com:8443")}
    [event] = delivered("pull_request", body)
    assert event.key == "ghe.acme.com/acme/infra/pull/42/opened"


def test_reopening_is_told_as_often_as_it_happens() -> None:
    keys = set()
    for at in ("2026-11-20T11:30:00Z", "2026-11-21T11:30:00Z"):
        [event] = delivered("pull_request", a_pull_request("reopened", updated_at=at))
        assert isinstance(event.data, PullRequestOpened)
        assert event.data.reopened
        assert event.occurred_at == event.data.at == at
        keys.add(event.key)
    assert len(keys) == 2


def test_a_push_to_a_pull_request_names_both_heads_and_who_pushed() -> None:
    body = a_pull_request("synchronize") | {"before": OLD, "after": HEAD, "sender": user("eve")}
    [event] = delivered("pull_request", body)
    assert isinstance(event.data, PullRequestPushed)
    assert (event.data.before, event.data.after) == (OLD, HEAD)
    assert event.actor == Identity(login="eve")


def test_a_merge_says_who_merged_what_landed_and_which_head() -> None:
    [event] = delivered("pull_request", a_pull_request("closed", **MERGED))
    data = event.data
    assert isinstance(data, PullRequestMerged)
    assert event.key == f"{FORGE}/pull/42/merged"
    assert (data.merge_commit, data.pull_request.head) == (MERGE, HEAD)
    assert (data.merged_at, event.occurred_at) == ("2026-11-20T10:02:03Z", "2026-11-20T10:02:03Z")
    assert (data.merged_by, data.merged_by_bot, data.commits) == (
        Identity(login="mona"),
        False,
        3,
    )
    assert data.method == ""


def test_the_commit_of_a_test_merge_is_no_merge() -> None:
    [event] = delivered("pull_request", a_pull_request("closed", **CLOSED))
    assert isinstance(event.data, PullRequestClosed)
    assert event.data.closed_at == "2026-11-20T11:00:00Z"
    assert TEST_MERGE not in repr(event.data)


def test_a_closed_pull_request_that_does_not_say_whether_it_was_merged_is_not_guessed() -> None:
    body = a_pull_request("closed", **CLOSED)
    del body["pull_request"]["merged"], body["pull_request"]["merged_at"]
    with pytest.raises(SourceError, match="whether the pull request was merged"):
        delivered("pull_request", body)


def test_a_merge_by_somebody_who_left_names_nobody() -> None:
    body = a_pull_request("closed", **MERGED | {"merged_by": None, "user": None})
    body["sender"] = None
    [event] = delivered("pull_request", body)
    assert isinstance(event.data, PullRequestMerged)
    assert event.actor is event.data.merged_by is event.data.pull_request.author is None


@pytest.mark.parametrize(
    ("who", "bot"),
    [
        (user("renovate[bot]", "Bot"), True),
        (user("renovate[bot]"), True),
        (user("acme-deployer", "Bot"), True),
        (user("robert"), False),
        (None, False),
    ],
)
def test_bots_are_told_apart(who: Json | None, bot: bool) -> None:
    body = a_pull_request("closed", **MERGED | {"merged_by": who, "user": who})
    [event] = delivered("pull_request", body)
    assert isinstance(event.data, PullRequestMerged)
    assert (event.data.merged_by_bot, event.data.pull_request.author_is_bot) == (bot, bot)
    [event] = delivered("pull_request_review", a_pull_request_review("submitted", user=who))
    assert isinstance(event.data, ReviewSubmitted)
    assert event.data.reviewer_is_bot == bot


@pytest.mark.parametrize("state", ["approved", "APPROVED", "Changes_Requested", "COMMENTED"])
def test_a_review_in_any_spelling_has_one_state(state: str) -> None:
    [event] = delivered("pull_request_review", a_pull_request_review("submitted", state=state))
    data = event.data
    assert isinstance(data, ReviewSubmitted)
    assert event.key == f"{FORGE}/review/237895671/submitted"
    assert data.state == state.lower()
    assert (data.number, data.review, data.commit) == (42, "237895671", HEAD)
    assert (data.reviewer, event.actor) == (Identity(login="bob"), Identity(login="bob"))
    assert (data.submitted_at, data.association) == ("2026-11-20T09:30:00Z", "MEMBER")


def test_a_dismissal_names_the_review_and_who_dismissed_it() -> None:
    body = a_pull_request_review("dismissed", "mona", state="dismissed")
    [event] = delivered("pull_request_review", body)
    data = event.data
    assert isinstance(data, ReviewDismissed)
    assert (data.review, data.reviewer, data.at) == (
        "237895671",
        Identity(login="bob"),
        "2026-11-20T09:45:00Z",
    )
    assert event.actor == Identity(login="mona")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("push", a_push() | {"ref": "refs/tags/v1"}),
        ("check_run", a_check_run() | {"action": "created"}),
        ("check_run", a_check_run(status="in_progress")),
        ("status", a_status("pending")),
        ("ping", {"zen": "Keep it logically awesome.", "hook_id": 1}),
        ("pull_request", a_pull_request("edited")),
        ("pull_request", a_pull_request("labeled")),
        ("pull_request", a_pull_request("opened") | {"action": None}),
        ("pull_request_review_comment", a_pull_request_review("created") | {"comment": {}}),
    ],
)
def test_what_is_not_recorded_is_counted_and_keeps_nothing(name: str, body: Json) -> None:
    batch = events_from_delivery(name, read_value(body), tools())
    assert (batch.events, batch.contents, batch.ignored) == ([], [], 1)


def test_times_become_utc() -> None:
    [event] = delivered(
        "pull_request", a_pull_request("opened", created_at="2026-11-19T10:30:00.25+02:00")
    )
    assert event.occurred_at == "2026-11-19T08:30:00Z"


def test_a_push_says_who_pushed_what_and_from_where() -> None:
    body = a_push() | {"forced": True, "commits": [{"id": OLD}, {"id": MERGE}]}
    body["repository"] = repository() | {"pushed_at": 1_795_000_000}
    [event] = delivered("push", body, TRACKED)
    assert event.key == f"{FORGE}/ref/refs/heads/main/pushed/{BASE}..{MERGE}"
    assert (event.actor, event.occurred_at) == (Identity(login="mona"), "2026-11-18T11:06:40Z")
    data = event.data
    assert isinstance(data, RefPushed)
    assert (data.before, data.after, data.forced) == (BASE, MERGE, True)
    assert (data.commits, data.commit_count) == ([OLD, MERGE], 2)


def test_a_branch_that_is_made_or_deleted_has_one_end() -> None:
    [made] = delivered("push", a_push() | {"before": "0" * 40})
    [gone] = delivered("push", a_push() | {"after": "0" * 40})
    assert isinstance(made.data, RefPushed)
    assert isinstance(gone.data, RefPushed)
    assert (made.data.before, made.data.after) == ("", MERGE)
    assert (gone.data.before, gone.data.after) == (BASE, "")


@pytest.mark.parametrize(
    ("name", "body", "key", "told"),
    [
        ("check_run", a_check_run(), "check/70001", ("test", "success", "github-actions")),
        (
            "check_run",
            a_check_run(conclusion="action_required"),
            "check/70001",
            ("test", "action_required", "github-actions"),
        ),
        ("status", a_status("failure"), "status/80001", ("ci/build", "failure", "")),
        (
            "check_suite",
            a_check_run() | {"check_suite": a_check_run()["check_run"]},
            "check_suite/70001",
            ("GitHub Actions", "success", "github-actions"),
        ),
    ],
)
def test_a_check_that_ended_is_of_a_commit(
    name: str, body: Json, key: str, told: tuple[str, ...]
) -> None:
    [event] = delivered(name, body)
    data = event.data
    assert isinstance(data, CheckCompleted)
    assert event.key == f"{FORGE}/{key}/completed"
    assert (data.commit, data.name, data.conclusion, data.app) == (HEAD, *told)


def test_protection_is_told_with_its_pattern_when_it_changes_and_when_it_ends() -> None:
    [event] = delivered("branch_protection_rule", a_protection())
    rules = event.data
    assert isinstance(rules, RulesObserved)
    assert event.actor == Identity(login="mona")
    assert (rules.branch, rules.ruleset, rules.found) == ("release/*", "branch protection", True)
    assert (rules.approvals_required, rules.code_owners_required) == (2, True)
    assert (rules.dismisses_stale, rules.last_push_approval) == (True, False)
    assert (rules.admins_included, rules.checks_required) == (True, ["test"])
    [ended] = delivered("branch_protection_rule", a_protection("deleted"))
    assert isinstance(ended.data, RulesObserved)
    assert not ended.data.found


def test_a_ruleset_is_told_for_the_branches_that_it_names() -> None:
    [event] = delivered("repository_ruleset", a_ruleset())
    rules = event.data
    assert isinstance(rules, RulesObserved)
    assert (rules.branch, rules.ruleset, rules.enforced) == ("main", "31", True)
    assert (rules.pull_request_required, rules.approvals_required) == (True, 1)
    assert (rules.merge_methods, rules.checks_required) == (["squash"], ["test"])
    assert rules.bypassers == ["role:admin"]


def test_a_ruleset_that_excludes_branches_is_left_to_the_api() -> None:
    conditions = {"ref_name": {"include": ["~ALL"], "exclude": ["refs/heads/main"]}}
    assert delivered("repository_ruleset", a_ruleset(conditions=conditions)) == []


# -- answers of the API with their addresses -----------------------------------------------------

API = "https://api.github.com"
AT = "2026-11-20T12:00:00Z"
SUITE = {
    "id": 21,
    "ref": "refs/heads/main",
    "before_sha": BASE,
    "after_sha": MERGE,
    "actor_name": "mona",
    "pushed_at": AT,
    "result": "bypass",
    "rule_evaluations": [
        {"rule_type": "pull_request", "enforcement": "active", "result": "fail"},
        {"rule_type": "deletion", "enforcement": "active", "result": "pass"},
    ],
}


def test_a_kept_rule_suite_says_which_rules_a_push_passed_over() -> None:
    address = f"{API}/repos/Acme/infra/rulesets/rule-suites/21"
    [event] = answered({"url": address, "body": SUITE}, TRACKED)
    assert event.key == f"{FORGE}/ref/refs/heads/main/pushed/{BASE}..{MERGE}"
    data = event.data
    assert isinstance(data, RefPushed)
    assert (data.repository, data.result, data.bypassed) == ("infra", "bypass", ["pull_request"])


def test_kept_members_of_a_team_are_told_with_the_time_of_the_answer() -> None:
    address = "https://ghe.example/api/v3/orgs/acme/teams/Platform/members?per_page=100"
    body = [user("mona"), user("bob")]
    [event] = answered({"url": address, "at": AT, "body": body})
    assert event.key == f"ghe.example/team/acme/platform/{AT}"
    data = event.data
    assert isinstance(data, TeamObserved)
    assert (data.team, data.at) == ("acme/platform", AT)
    assert [one.login for one in data.members] == ["bob", "mona"]


@pytest.mark.parametrize(
    ("body", "found", "approvals"),
    [
        ({"required_pull_request_reviews": {"required_approving_review_count": 2}}, True, 2),
        ({"message": "Branch not protected", "status": "404"}, False, None),
    ],
)
def test_kept_branch_protection_is_told_whether_there_is_any(
    body: Json, found: bool, approvals: int | None
) -> None:
    address = f"{API}/repos/acme/infra/branches/release%2F1/protection"
    [event] = answered({"url": address, "at": AT, "body": body})
    rules = event.data
    assert isinstance(rules, RulesObserved)
    assert (rules.branch, rules.at, rules.found) == ("release/1", AT, found)
    assert rules.approvals_required == approvals


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"url": f"{API}/orgs/acme/teams/x/members", "body": []}, '"at" is missing'),
        ({"url": f"{API}/orgs/acme/teams/x/members", "at": AT, "body": {}}, "no list"),
        ({"url": f"{API}/orgs/acme/teams/x", "at": AT, "body": {}}, "not known here"),
        ({"url": f"{API}/repos/acme/infra/hooks", "body": []}, "not known here"),
        ({"url": "ftp://x", "body": []}, "not known here"),
        (
            {
                "url": f"{API}/repos/acme/infra/branches/main/protection",
                "at": AT,
                "body": {"message": "Not Found"},
            },
            "an error that the forge answered: Not Found",
        ),
        ({"url": f"{API}/repos/acme/infra/rulesets/rule-suites/1", "body": []}, "no JSON object"),
    ],
)
def test_a_kept_answer_that_tells_nothing_says_why(value: Any, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        answered(value)


# -- answers of the API --------------------------------------------------------------------------


def test_a_merged_pull_request_of_the_api_has_the_key_of_its_webhook() -> None:
    [webhook] = delivered("pull_request", a_pull_request("closed", **MERGED))
    [answer] = answered(full_pull(**MERGED))
    assert answer.key == webhook.key
    assert isinstance(answer.data, PullRequestMerged)
    assert answer.data.merged_by == Identity(login="mona")


def test_a_pull_request_of_a_list_is_merged_where_it_has_the_time_of_it() -> None:
    changes = {key: value for key, value in MERGED.items() if key not in ("merged", "merged_by")}
    [event] = answered(simple_pull(**changes))
    assert isinstance(event.data, PullRequestMerged)
    assert (event.data.merge_commit, event.data.merged_by, event.actor) == (MERGE, None, None)
    [event] = answered(simple_pull(**CLOSED))
    assert isinstance(event.data, PullRequestClosed)
    [event] = answered(simple_pull())
    assert isinstance(event.data, PullRequestOpened)


@pytest.mark.parametrize(
    ("changes", "forge"),
    [
        ({}, FORGE),
        ({"html_url": None}, FORGE),
        (
            {
                "html_url": "https://ghe.acme.com/acme/infra/pull/42#pullrequestreview-1",
                "pull_request_url": "https://ghe.acme.com/api/v3/repos/acme/infra/pulls/42",
            },
            "ghe.acme.com/acme/infra",
        ),
        (
            {
                "html_url": None,
                "pull_request_url": "https://api.acme.ghe.com/repos/acme/infra/pulls/42",
            },
            "acme.ghe.com/acme/infra",
        ),
    ],
)
def test_a_review_of_the_api_knows_its_pull_request_by_the_address(
    changes: Json, forge: str
) -> None:
    [event] = answered(a_review(state="APPROVED", **changes))
    assert isinstance(event.data, ReviewSubmitted)
    assert (event.data.number, event.data.forge, event.data.state) == (42, forge, "approved")


def test_a_review_that_is_not_yet_given_is_none() -> None:
    batch = events_from_answer(read_value(a_review(state="PENDING", submitted_at=None)), tools())
    assert (batch.events, batch.ignored) == ([], 1)


def test_a_review_of_a_commit_that_is_gone_has_none() -> None:
    [event] = answered(a_review(commit_id=None, user=None))
    assert isinstance(event.data, ReviewSubmitted)
    assert (event.data.commit, event.data.reviewer) == ("", None)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda body: {"headers": {"X-GitHub-Event": "pull_request"}, "body": body},
        lambda body: {"headers": {"x-github-event": "pull_request"}, "body": json.dumps(body)},
        lambda body: {
            "headers": {
                "X-GitHub-Event": "pull_request",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            "body": urlencode({"payload": json.dumps(body)}),
        },
        lambda body: {
            "guid": "0b989ba4",
            "event": "pull_request",
            "request": {"headers": {"X-GitHub-Event": "pull_request"}, "payload": body},
        },
        lambda body: {
            "type": "PullRequestEvent",
            "actor": user("mona"),
            "repo": {"name": "acme/infra"},
            "payload": {key: body[key] for key in ("action", "number", "pull_request")},
        },
        lambda body: body,
    ],
    ids=["headers", "text", "form", "delivery", "event", "body"],
)
def test_a_delivery_is_recognised_however_it_was_saved(wrap: Any) -> None:
    [event] = answered(wrap(a_pull_request("closed", **MERGED)))
    assert event.key == f"{FORGE}/pull/42/merged"
    assert event.actor == Identity(login="mona")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"message": "Not Found"}, "an error that the forge answered: Not Found"),
        ({"kind": "Deployment"}, "no webhook, pull request or review"),
        (["nested"], "no JSON object"),
        (17, "no JSON object"),
        (simple_pull() | {"number": "42"}, "no usable number"),
        (simple_pull() | {"number": 2**60}, "no usable number"),
        (simple_pull() | {"number": True}, "no usable number"),
        (simple_pull() | {"html_url": "ftp://x"}, "of which repository"),
        (simple_pull() | {"html_url": "https://h/a b/c"}, "of which repository"),
        (a_review(pull_request_url="https://api.github.com/x"), "of which pull request"),
        (a_review(state="maybe"), "unknown state"),
        (full_pull(**MERGED | {"merged_at": None, "closed_at": None}), "no time of it"),
        (a_pull_request("opened", user=user("x" * 300)), "login"),
        (a_pull_request("opened", body=nested(300)), "deeper than 200 levels"),
        ({"headers": {}, "body": {}}, "no header X-GitHub-Event"),
        ({"headers": {"x-github-event": "push"}, "body": []}, "no JSON object"),
        ({"headers": {"x-github-event": "push"}, "body": "{"}, "cut off"),
    ],
)
def test_what_cannot_be_read_says_why(value: Any, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        answered(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["Bot", HEAD]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside),
    max_leaves=6,
)


@given(st.data())
def test_any_part_of_a_payload_may_be_anything(data: st.DataObject) -> None:
    name, body = data.draw(st.sampled_from(STORY))
    body = json.loads(json.dumps(body))
    for _ in range(data.draw(st.integers(1, 4))):
        place = body
        for _ in range(3):
            key = data.draw(st.sampled_from(sorted(place)))
            if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
                place[key] = data.draw(JSON)
                break
            place = place[key]
    for read in (delivered, lambda _, value: answered(value)):
        try:
            events = read(name, body)
        except SourceError:
            continue
        assert all("\0" not in one.key and one.key.isprintable() for one in events)


# -- deliveries ----------------------------------------------------------------------------------


def sign(secret: bytes, body: bytes) -> str:
    return "sha256=" + hmac.new(secret, body, "sha256").hexdigest()


def test_the_signature_is_the_one_that_github_documents() -> None:
    told = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    secret = b"It's a Secret to Everybody"
    assert authentic({"x-hub-signature-256": told}, b"Hello, World!", secret)
    assert not authentic({"x-hub-signature-256": told}, b"Hello, World?", secret)
    assert not authentic({"x-hub-signature-256": told}, b"Hello, World!", b"another")


@pytest.mark.parametrize("told", ["", "sha256=", "sha1=00", "sha256=ÿ", "sha256=" + "0" * 64])
def test_other_signatures_are_wrong(told: str) -> None:
    assert not authentic({"x-hub-signature-256": told}, b"{}", b"secret")


def test_nothing_is_authentic_under_an_empty_secret() -> None:
    assert not authentic({"x-hub-signature-256": sign(b"", b"{}")}, b"{}", b"")


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"x-github-delivery": "72d3162e-cc78", "x-github-event": "push"}, "72d3162e-cc78"),
        ({"x-github-delivery": "72d3162e-cc78"}, ""),
        ({"x-github-event": "push"}, ""),
        ({"x-github-delivery": "7", "x-github-event": "push", "x-gitea-event": "push"}, ""),
        ({"x-github-delivery": "a b", "x-github-event": "push"}, ""),
        ({"x-github-delivery": "x" * 201, "x-github-event": "push"}, ""),
    ],
)
def test_a_delivery_is_told_by_its_id(headers: dict[str, str], found: str) -> None:
    assert identify(headers, b"") == found


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b'{"action": "clo', "cut off"),
        (b"[]", "no JSON object"),
        (b'"x"', "no JSON object"),
        (b'{"a": 1} {"b": 2}', "more follows"),
        (b'{"title": "caf\xe9"}', "not UTF-8"),
        (b'{"a": "\x00"}', "no JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    assert SOURCE.webhook is not None
    with pytest.raises(SourceError, match=reason):
        SOURCE.webhook.events({"x-github-event": "pull_request"}, body, tools())


def test_a_form_holds_the_same_delivery() -> None:
    assert SOURCE.webhook is not None
    text = json.dumps(a_pull_request("closed", **MERGED | {"title": "für später"}))
    headers = {"x-github-event": "pull_request"}
    plain = SOURCE.webhook.events(headers, text.encode(), tools())
    form = SOURCE.webhook.events(
        headers | {"content-type": "application/x-www-form-urlencoded"},
        urlencode({"payload": text}).encode(),
        tools(),
    )
    assert plain.events == form.events


# -- secrets and odd texts -----------------------------------------------------------------------


def test_secrets_in_texts_of_people_are_not_kept(tmp_path: Path) -> None:
    title = "Set password=hunter2hunter2"
    body = "See below\r\npassword: hunter2hunter2\r\nhttps://bob:hunter2hunter2@example.com/\r\n"
    ledger = make_ledger(tmp_path)
    payload = a_pull_request("closed", **MERGED | {"title": title, "body": body})
    import_files(ledger, write(tmp_path / "a.json", payload))
    [event] = ledger.events(PullRequestMerged)
    assert isinstance(event.data, PullRequestMerged)
    assert event.data.pull_request.title.startswith("Set password=hmac-sha256:")
    with ledger.store() as store:
        raw = store.attachment(event.data.raw)
    assert b"hunter2" not in raw
    kept = json.loads(raw)["pull_request"]
    assert kept["merge_commit_sha"] == MERGE
    assert kept["body"].startswith("See below\r\npassword: hmac-sha256:")


def test_a_text_without_secrets_is_kept_byte_by_byte(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    text = json.dumps(a_pull_request("closed", **MERGED), indent=3)
    (tmp_path / "a.json").write_text(f"  {text}\n\n")
    import_files(ledger, tmp_path / "a.json")
    [event] = ledger.events(PullRequestMerged)
    assert isinstance(event.data, PullRequestMerged)
    with ledger.store() as store:
        assert store.attachment(event.data.raw) == text.encode()


@pytest.mark.parametrize(
    ("escaped", "title"),
    [
        (r"half \ud800 a pair", r"half \ud800 a pair"),
        (r"nul \u0000 here", "nul \0 here"),
        (r"turned \u202e around", "turned \u202e around"),
        (r"pair \ud83d\ude80", "pair 🚀"),
    ],
)
def test_odd_characters_in_a_title_cost_no_fact(
    tmp_path: Path, database_url: str, escaped: str, title: str
) -> None:
    ledger = make_ledger(tmp_path, database=database_url)
    text = json.dumps(a_pull_request("closed", **MERGED | {"title": "TITLE"}))
    (tmp_path / "a.json").write_text(text.replace("TITLE", escaped), "ascii")
    import_files(ledger, tmp_path / "a.json")
    [event] = ledger.events(PullRequestMerged)
    assert isinstance(event.data, PullRequestMerged)
    assert event.data.pull_request.title == title
    assert import_files(ledger, tmp_path / "a.json").appended == 0


def test_a_payload_beyond_a_leaf_is_kept_apart(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    labels = [{"name": f"label {number} {'x' * 100}"} for number in range(5_000)]
    payload = a_pull_request("closed", **MERGED | {"title": "t" * 300_000, "labels": labels})
    import_files(ledger, write(tmp_path / "a.json", payload))
    [event] = ledger.events(PullRequestMerged)
    assert isinstance(event.data, PullRequestMerged)
    assert len(event.data.pull_request.title) == 300_000
    assert len(event.data.pull_request.labels) == 5_000


# -- files ---------------------------------------------------------------------------------------


def test_importing_again_adds_nothing(tmp_path: Path, database_url: str) -> None:
    ledger = make_ledger(tmp_path, TRACKED, database=database_url)
    file = write(tmp_path / "story.jsonl", *(body for _, body in STORY))
    assert import_files(ledger, file).appended == len(STORY)
    assert import_files(ledger, file).appended == 0
    assert gaps(ledger) == []


def test_the_same_values_in_any_order_and_twice_are_the_same_facts(tmp_path: Path) -> None:
    bodies = [body for _, body in STORY]
    expected: dict[str, RecordedEvent] = {}
    orders = [bodies * 2, bodies[::-1] * 2, bodies[5:] + bodies + bodies[:5]]
    for turn, ordered in enumerate([*orders, sorted(bodies * 2, key=repr)]):
        ledger = make_ledger(tmp_path / str(turn), TRACKED)
        for number, body in enumerate(ordered):
            import_files(ledger, write(tmp_path / str(turn) / f"{number}.json", body))
        assert len(told(ledger)) == len(STORY)
        # The two tellings of one review: which of them came first decides which has the plain key.
        facts = {one.key.partition("#")[0]: one for one in told(ledger).values()}
        expected = expected or facts
        assert facts.keys() == expected.keys()
        data = {repr((one.data, one.actor, one.occurred_at)) for one in told(ledger).values()}
        assert len(data) == len(STORY)


def test_a_webhook_and_the_api_tell_one_merge_side_by_side(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    import_files(ledger, write(tmp_path / "a.json", a_pull_request("closed", **MERGED)))
    import_files(ledger, write(tmp_path / "b.json", full_pull(**MERGED)))
    merges = ledger.events(PullRequestMerged)
    assert [one.key.partition("#")[0] for one in merges] == [f"{FORGE}/pull/42/merged"] * 2


def test_a_list_on_other_pages_tells_the_same(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    pulls = [simple_pull(number, **CLOSED) for number in range(1, 8)]
    import_files(ledger, write(tmp_path / "a.json", pulls))
    again = import_files(
        ledger,
        write(tmp_path / "page-1.json", pulls[:2]),
        write(tmp_path / "page-2.json", pulls[2:]),
    )
    assert again.appended == 0


def test_a_bad_value_costs_only_itself_and_is_named(tmp_path: Path, database_url: str) -> None:
    ledger = make_ledger(tmp_path, database=database_url)
    good = [json.dumps(a_pull_request("opened", number)) for number in range(1, 6)]
    lines = [
        good[0],
        good[1][:-30],
        good[2],
        '{"caf\xe9": 1}',
        good[3],
        '{"message": "Bad"}',
        good[4],
    ]
    file = tmp_path / "mixed.jsonl"
    file.write_bytes("\n".join(lines).encode("latin-1"))
    outcome = import_files(ledger, file)
    assert outcome.appended == 4 + 3
    opened = [one.key for one in ledger.events(PullRequestOpened)]
    assert opened == [f"{FORGE}/pull/{number}/opened" for number in (1, 3, 4, 5)]
    found = gaps(ledger)
    assert [one.partition(": ")[0] for one in found] == [
        "mixed.jsonl, line 2",
        "mixed.jsonl, line 4",
        "mixed.jsonl, line 6",
    ]
    assert "not UTF-8" in found[1]
    assert import_files(ledger, file).appended == 0


def test_a_list_that_is_cut_off_keeps_what_came_before(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    text = json.dumps([simple_pull(number) for number in (1, 2, 3)], indent=2)
    (tmp_path / "half.json").write_text(text[: len(text) * 3 // 4])
    assert import_files(ledger, tmp_path / "half.json").appended == 3
    assert len(ledger.events(PullRequestOpened)) == 2
    [gap] = gaps(ledger)
    assert "item 3" in gap
    assert "cut off" in gap


def test_two_bad_files_of_one_name_are_two_gaps(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.json").write_text(f'{{"in {folder}": 1}}')
    import_files(ledger, tmp_path / "a" / "x.json", tmp_path / "b" / "x.json")
    assert len(gaps(ledger)) == 2


def test_files_that_cannot_be_opened_are_named_and_the_others_read(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    (tmp_path / "empty.json").touch()
    good = write(tmp_path / "good.json", a_pull_request("opened"))
    import_files(ledger, tmp_path / "absent.json", tmp_path, tmp_path / "empty.json", good)
    assert len(ledger.events(PullRequestOpened)) == 1
    assert [one.partition(":")[0] for one in gaps(ledger)] == [
        "absent.json",
        tmp_path.name,
        "empty.json, line 1",
    ]


def test_a_file_as_powershell_writes_it_is_read(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    text = json.dumps([simple_pull(title="für später")], ensure_ascii=False)
    (tmp_path / "a.json").write_bytes(text.encode("utf-16"))
    (tmp_path / "b.json").write_bytes(text.encode("utf-8-sig"))
    import_files(ledger, tmp_path / "a.json", tmp_path / "b.json")
    [event] = ledger.events(PullRequestOpened)
    assert isinstance(event.data, PullRequestOpened)
    assert event.data.pull_request.title == "für später"


def test_a_kind_that_reads_no_files_is_an_error_that_names_those_that_do(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    with pytest.raises(UsageError, match="'svn'") as error:
        shell.import_files(ledger.settings, "svn", Import(files=[]))
    assert "github" in error.value.hint


# -- JSON of others ------------------------------------------------------------------------------


def read_all(data: bytes) -> list[Any]:
    return [one.value if isinstance(one, Value) else one.reason for one in jsontext.values(data)]


@given(st.lists(JSON, max_size=5), st.sampled_from(["\n", "", " \r\n\t", "\n\n"]), st.booleans())
def test_values_are_read_however_they_follow_each_other(
    values: list[Any], between: str, as_list: bool
) -> None:
    values = [{"v": one} for one in values]
    text = json.dumps(values) if as_list else between.join(map(json.dumps, values))
    if values or as_list:
        assert read_all(text.encode()) == values


def test_pages_that_were_joined_into_one_list_are_read() -> None:
    assert read_all(b'[[{"a": 1}, {"b": 2}], [], [{"c": 3}]]') == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert read_all(b"[[1, [2]]]") == [1, [2]]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for one in jsontext.values(data):
        assert isinstance(one, Value | Fault)


@given(st.text(alphabet='[]{}",:1a\n \\', max_size=60))
def test_any_almost_json_is_read_or_refused(text: str) -> None:
    found = list(jsontext.values(text.encode()))
    assert all(one.place.startswith("line ") for one in found)


def test_a_file_of_nothing_but_faults_is_given_up() -> None:
    found = read_all(b"[\n" * 10_000)
    assert len(found) == jsontext.MAX_FAULTS + 1
    assert "too many faults" in found[-1]


def test_redacting_texts_leaves_the_rest_of_the_value_alone() -> None:
    read = read_value({"a": ["token=x", 1, None, {"b": True}], "c": 2**70})
    assert jsontext.without_secrets(read, lambda text: text) == read.text.encode()
    hidden = jsontext.without_secrets(read, lambda text: text.replace("token=x", "token=*"))
    assert hidden == b'{"a":["token=*",1,null,{"b":true}],"c":1180591620717411303424}'


# -- recorded payloads ---------------------------------------------------------------------------


@pytest.fixture
def fixtures(corpus: Path) -> Path:
    return corpus / "fixtures"


def values_of(files: Iterable[Path]) -> list[Any]:
    return [
        one.value
        for path in files
        for one in jsontext.values(path.read_bytes())
        if isinstance(one, Value)
    ]


def test_recorded_merges_and_reviews_are_read_without_loss(tmp_path: Path, fixtures: Path) -> None:
    files = sorted((fixtures / "github-events-hub4j").glob("*.json"))
    merges: dict[str, Json] = {}
    reviews: set[tuple[str, ...]] = set()
    for event in values_of(files):
        pull = event["payload"].get("pull_request")
        if event["type"] == "PullRequestEvent" and pull["merged"]:
            merges[pull["html_url"]] = pull
        if event["type"] == "PullRequestReviewEvent":
            one = event["payload"]["review"]
            reviews.add((str(one["id"]), one["state"], one["commit_id"], one["user"]["login"]))
    assert len(merges) == 40
    assert len({one[0] for one in reviews}) == 37
    assert len(reviews) == 39  # two are told again, as dismissed

    ledger = make_ledger(tmp_path)
    import_files(ledger, *files)
    assert gaps(ledger) == []
    merged = [one.data for one in ledger.events(PullRequestMerged)]
    assert {
        (one.pull_request.url, one.merge_commit, one.merged_by and one.merged_by.login)
        for one in merged
        if isinstance(one, PullRequestMerged)
    } == {(url, one["merge_commit_sha"], one["merged_by"]["login"]) for url, one in merges.items()}
    submitted = [one.data for one in ledger.events(ReviewSubmitted)]
    assert {
        (one.review, one.state, one.commit, one.reviewer and one.reviewer.login)
        for one in submitted
        if isinstance(one, ReviewSubmitted)
    } == reviews


def test_recorded_webhooks_of_every_kind_are_understood(tmp_path: Path, fixtures: Path) -> None:
    root = fixtures / "github-webhooks-octokit"
    ledger = make_ledger(tmp_path)
    seen = 0
    with shell.recording(ledger.settings) as record:
        for path in sorted(root.glob("*/*.json")):
            headers = {"x-github-event": path.parent.name}
            body = path.read_bytes()
            assert SOURCE.webhook is not None
            read = SOURCE.webhook.events
            record("github", lambda lent: read(headers, body, lent))  # noqa: B023 (called at once)
            seen += 1
    assert seen > 80
    kinds = {one.data.TYPE for one in ledger.events() if one.source == "github"}
    assert kinds == {
        "pull_request.opened",
        "pull_request.pushed",
        "pull_request.closed",
        "review.submitted",
        "review.dismissed",
        "check.completed",
        "ref.pushed",
        "rules.observed",
    }
    before = len(ledger.events())
    files = sorted(root.glob("*/*.json"))
    assert import_files(ledger, *files).appended == 0
    assert len(ledger.events()) == before


def test_recorded_answers_of_the_api_are_read(tmp_path: Path, fixtures: Path) -> None:
    recordings = fixtures / "github-events-hub4j" / "rest-recordings"
    ledger = make_ledger(tmp_path)
    pending = recordings / "pullRequestReviews/__files/7-r_h_g_pulls_482_reviews.json"
    assert import_files(ledger, pending).appended == 0
    given = "pullRequestReviews/__files/8-r_h_g_pulls_482_reviews_2121304234_events.json"
    import_files(ledger, recordings / given)
    [review] = [one.data for one in ledger.events(ReviewSubmitted)]
    assert isinstance(review, ReviewSubmitted)
    assert (review.number, review.forge) == (482, "github.com/hub4j-test-org/github-api")
    for number in (5, 6, 7):
        file = recordings / f"mergeCommitSHA/__files/{number}-r_h_g_pulls_309.json"
        import_files(ledger, file)
    assert ledger.events(PullRequestOpened)
    assert not ledger.events(PullRequestMerged, PullRequestClosed)
    assert gaps(ledger) == []
