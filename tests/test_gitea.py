"""Gitea's and Forgejo's webhooks and API answers become facts, and odd ones are recorded as gaps."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient

from ledger import deliveries
from ledger.config import SourceSettings, WebhookSettings
from ledger.events import (
    CheckCompleted,
    CollectorGap,
    Identity,
    PullRequestMerged,
    RefPushed,
    ReviewSubmitted,
)
from ledger.sources.gitea import authentic, identify
from ledger.testing import Ledger, make_ledger
from ledger.web.app import build_app

Json = dict[str, Any]
OLD, HEAD, BASE, MERGE = "a" * 40, "b" * 40, "c" * 40, "d" * 40
PAGE = "https://git.example.org/acme/infra"
TRACKED = SourceSettings(kind="git", name="infra", url=f"{PAGE}.git", branches=["main"])


def proposal(minute: int, *, head: str = HEAD, merged: bool = False) -> Json:
    at = f"2026-03-01T11:{minute:02d}:00+01:00"
    return {
        "number": 3,
        "state": "closed" if merged else "open",
        "title": "Open port 443",
        "user": {"login": "ann"},
        "html_url": f"{PAGE}/pulls/3",
        "head": {"sha": head, "ref": "work"},
        "base": {"sha": BASE, "ref": "main"},
        "labels": [],
        "merged": merged,
        "merged_at": at if merged else None,
        "merged_by": {"login": "bob"} if merged else None,
        "merge_commit_sha": MERGE if merged else None,
        "created_at": "2026-03-01T11:00:00+01:00",
        "updated_at": at,
    }


def answered(minute: int) -> Json:
    """As the API gives it once its branch is gone: with the head that the forge kept."""
    pull = proposal(minute, merged=True)
    return pull | {"head": {"sha": HEAD, "ref": "refs/pull/3/head", "label": "work"}}


def hook(action: str, who: str, pull: Json, **more: Any) -> Json:
    repository = {"full_name": "acme/infra", "html_url": PAGE}
    sender = {"login": who}
    return {"action": action, "number": 3, "pull_request": pull, "repository": repository} | {
        "sender": sender,
        **more,
    }


def said(kind: str) -> Json:
    return {"review": {"type": f"pull_request_review_{kind}", "content": ""}}


OPENED = hook("opened", "ann", proposal(0))
MERGED = hook("closed", "bob", proposal(9, merged=True))


@pytest.fixture
def ledger(tmp_path: Path, database_url: str) -> Ledger:
    return make_ledger(tmp_path / "ledger", TRACKED, database=database_url)


def imported(ledger: Ledger, tmp_path: Path, *bodies: Any) -> None:
    file = tmp_path / "bodies.json"
    file.write_text(json.dumps(bodies))
    ledger.hand_over("gitea", file)


def pull(ledger: Ledger) -> tuple[Any, ...]:
    sql = "select state, author, merged_by, merge_commit_sha, approval, reason from pull_requests"
    (row,) = ledger.rows(sql)
    return row


def test_a_pull_request_that_another_person_approved(ledger: Ledger, tmp_path: Path) -> None:
    imported(
        ledger, tmp_path, MERGED, OPENED, hook("reviewed", "bob", proposal(5), **said("approved"))
    )
    reason = (
        "approved by bob at the head that merged; which head was approved is deduced from the time"
    )
    assert pull(ledger) == ("merged", "ann", "bob", MERGE, "approved", reason)


@pytest.mark.parametrize(
    ("reviews", "why"),
    [
        ([hook("reviewed", "ann", proposal(5), **said("approved"))], "self: "),
        ([hook("reviewed", "bob", proposal(5, head=OLD), **said("approved"))], "stale: "),
        ([hook("reviewed", "bob", proposal(5), **said("rejected"))], "changes that bob requested"),
        (
            [hook("reviewed", "bob", proposal(5), **said("comment"))],
            "its forge tells of no approval",
        ),
    ],
)
def test_reviews_that_approve_nothing(
    ledger: Ledger, tmp_path: Path, reviews: list[Json], why: str
) -> None:
    imported(ledger, tmp_path, OPENED, *reviews, MERGED)
    assert pull(ledger)[4] == "unapproved"
    assert why in pull(ledger)[5]


def test_a_commit_pushed_by_the_approver_makes_it_their_own(ledger: Ledger, tmp_path: Path) -> None:
    pushed = hook("synchronized", "bob", proposal(3))
    imported(
        ledger,
        tmp_path,
        OPENED,
        pushed,
        hook("reviewed", "bob", proposal(5), **said("approved")),
        MERGED,
    )
    assert "contributor" in pull(ledger)[5]


def review(identifier: int, who: str, state: str, **more: Any) -> Json:
    return {
        "id": identifier,
        "user": {"login": who},
        "state": state,
        "commit_id": HEAD,
        "official": True,
        "dismissed": False,
        "submitted_at": "2026-03-01T10:06:00Z",
        "pull_request_url": f"{PAGE}/pulls/3",
        "html_url": f"{PAGE}/pulls/3#issuecomment-{identifier}",
        **more,
    }


@pytest.mark.parametrize(
    ("told", "verdict", "why"),
    [
        (review(1, "bob", "APPROVED"), "approved", "approved by bob"),
        (review(1, "cid", "APPROVED", official=False), "unapproved", "no_write_access"),
        (review(1, "bob", "APPROVED", dismissed=True), "unapproved", "dismissed"),
        (review(1, "bob", "REQUEST_CHANGES"), "unapproved", "changes that bob requested"),
        (review(1, "bob", "REQUEST_REVIEW"), "unapproved", "its forge tells of no approval"),
        (review(1, "bob", "PENDING"), "unapproved", "its forge tells of no approval"),
    ],
)
def test_what_the_api_tells_of_reviews(
    ledger: Ledger, tmp_path: Path, told: Json, verdict: str, why: str
) -> None:
    imported(ledger, tmp_path, told, answered(9))
    assert pull(ledger)[4] == verdict
    assert why in pull(ledger)[5]


def test_other_webhooks_are_ignored_and_nonsense_is_a_gap(ledger: Ledger, tmp_path: Path) -> None:
    push = {"ref": "refs/tags/v1", "before": OLD, "after": HEAD} | {
        "repository": {"html_url": PAGE},
        "sender": {"login": "ann"},
    }
    imported(
        ledger,
        tmp_path,
        push,
        hook("label_updated", "ann", proposal(1)),
        {"hello": "world"},
        review(1, "bob", "DONE"),
        review(1, "bob", "APPROVED", pull_request_url="nowhere"),
    )
    gaps = [one.data.detail for one in ledger.events() if isinstance(one.data, CollectorGap)]
    assert len(gaps) == 3
    assert ledger.rows("select * from pull_requests") == []


ZEROS = "0" * 40


def push(before: str = OLD, after: str = HEAD, **more: Any) -> Json:
    commits = [{"id": HEAD, "author": {"username": "eve"}}, {"id": MERGE, "author": {"name": "?"}}]
    return {
        "ref": "refs/heads/main",
        "before": before,
        "after": after,
        "commits": commits if after == HEAD else [],
        "total_commits": 5,
        "pusher": {"id": 7, "login": "ann", "email": "ann@example.org"},
        "repository": {"html_url": PAGE},
        "sender": {"id": 7, "login": "ann"},
        **more,
    }


def test_a_push_names_who_the_forge_authenticated_and_not_who_wrote_the_commits(
    ledger: Ledger, tmp_path: Path
) -> None:
    imported(ledger, tmp_path, push(), push())
    (event,) = ledger.events(RefPushed)
    assert event.actor == Identity(login="ann", email="ann@example.org")
    data = event.data
    assert isinstance(data, RefPushed)
    assert (data.repository, data.ref) == ("infra", "refs/heads/main")
    assert (data.before, data.after) == (OLD, HEAD)
    assert (data.commits, data.commit_count) == ([MERGE, HEAD], 5)  # the newest comes first


def test_a_branch_that_is_made_or_deleted_has_no_commit_before_or_after(
    ledger: Ledger, tmp_path: Path
) -> None:
    made, gone = push(before=ZEROS), push(before=HEAD, after=ZEROS)
    imported(ledger, tmp_path, made, gone)
    ends = [(one.before, one.after) for one in ledger.facts(RefPushed)]
    assert ends == [("", HEAD), (HEAD, "")]


def test_pushes_by_the_runner_of_the_forge_and_by_nobody_known(
    ledger: Ledger, tmp_path: Path
) -> None:
    runner, ghost = {"id": -2, "login": "gitea-actions"}, {"id": -1, "login": "Ghost"}
    imported(ledger, tmp_path, push(pusher=runner), push(before=MERGE, pusher=ghost))
    by_runner, by_ghost = ledger.events(RefPushed)
    assert isinstance(by_runner.data, RefPushed)
    assert by_runner.data.pusher_is_bot
    assert by_ghost.actor is None


STATUS = {
    "id": 4711,
    "sha": HEAD,
    "context": "ci / test",
    "state": "failure",
    "target_url": "https://ci.example.org/9",
    "created_at": "2026-03-01T10:07:00Z",
    "updated_at": None,
    "repository": {"html_url": PAGE},
    "sender": {"login": "ci"},
}
ANSWERED_STATUS = {
    "id": 3,  # counted in the commit; the webhook's is another
    "status": "failure",
    "context": "ci / test",
    "target_url": "https://ci.example.org/9",
    "creator": {"login": "ci"},
    "url": f"https://git.example.org/api/v1/repos/acme/infra/statuses/{HEAD}",
    "created_at": "2026-03-01T10:07:00Z",
}


def test_a_status_of_the_webhook_and_of_the_api_is_one_check(
    ledger: Ledger, tmp_path: Path
) -> None:
    imported(ledger, tmp_path, STATUS, STATUS | {"state": "pending"}, ANSWERED_STATUS)
    found = ledger.facts(CheckCompleted)
    assert {(one.commit, one.name, one.conclusion, one.completed_at) for one in found} == {
        (HEAD, "ci / test", "failure", "2026-03-01T10:07:00Z")
    }
    keys = {one.key.partition("#")[0] for one in ledger.events(CheckCompleted)}
    assert len(keys) == 1


def test_runs_of_actions_are_checks_once_they_ended(ledger: Ledger, tmp_path: Path) -> None:
    gitea = {
        "action": "completed",
        "workflow": {"name": "build"},
        "workflow_run": {
            "id": 5,
            "run_attempt": 1,
            "path": "build.yml@refs/heads/main",
            "head_sha": HEAD,
            "status": "completed",
            "conclusion": "success",
            "started_at": "2026-03-01T10:00:00Z",
            "completed_at": "2026-03-01T10:01:00Z",
        },
        "pull_request": proposal(1),
        "repository": {"html_url": PAGE},
        "sender": {"login": "ann"},
    }
    forgejo = {
        "action": "failure",
        "prior_status": "running",
        "run": {
            "id": 6,
            "workflow_id": "test.yml",
            "commit_sha": HEAD,
            "status": "failure",
            "started": "2026-03-01T10:00:00Z",
            "stopped": "2026-03-01T10:02:00Z",
            "repository": {"html_url": PAGE},
        },
    }
    started = gitea | {"action": "requested"}
    imported(ledger, tmp_path, started, gitea, forgejo)
    found = [(one.name, one.conclusion, one.completed_at) for one in ledger.facts(CheckCompleted)]
    assert found == [
        ("build", "success", "2026-03-01T10:01:00Z"),
        ("test.yml", "failure", "2026-03-01T10:02:00Z"),
    ]


def test_a_review_whose_time_is_the_year_1_has_none(ledger: Ledger, tmp_path: Path) -> None:
    never = "0001-01-01T00:00:00Z"
    imported(ledger, tmp_path, review(1, "bob", "APPROVED", submitted_at=never, updated_at=never))
    assert [one.submitted_at for one in ledger.facts(ReviewSubmitted)] == [""]


def test_a_forge_below_a_path_and_a_port_is_named_with_its_path(
    ledger: Ledger, tmp_path: Path
) -> None:
    page = "https://example.org:3000/Git/acme/infra"
    body = hook("opened", "ann", proposal(0)) | {"repository": {"html_url": page}}
    imported(ledger, tmp_path, body)
    (row,) = ledger.rows("select repository from pull_requests")
    assert row == ("example.org/git/acme/infra",)


SECRET, BODY = b"correct horse", b'{"a": 1}'


def test_the_signature_is_over_the_raw_body() -> None:
    right = hmac.digest(SECRET, BODY, "sha256").hex()
    assert authentic({"x-gitea-signature": right}, BODY, SECRET)
    assert authentic({"x-forgejo-signature": right, "x-gitea-signature": ""}, BODY, SECRET)
    assert not authentic({"x-gitea-signature": right}, BODY + b" ", SECRET)
    assert not authentic({"x-gitea-signature": ""}, BODY, SECRET)
    assert not authentic({"x-gitea-signature": ""}, BODY, b"")
    # Without a secret the forge signs with an empty key: that is unsigned.
    empty = hmac.digest(b"", BODY, "sha256").hex()
    assert not authentic({"x-gitea-signature": empty}, BODY, b"")


def test_the_signature_of_a_form_is_over_the_payload_in_it(ledger: Ledger) -> None:
    payload = json.dumps(push(pusher={"login": "ann", "full_name": "Änn +&%"}), ensure_ascii=False)
    form = urlencode({"payload": payload}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    signed = headers | {"x-gitea-signature": hmac.digest(SECRET, payload.encode(), "sha256").hex()}
    assert authentic(signed, form, SECRET)
    assert not authentic(signed, form.replace(b"ann", b"eve"), SECRET)
    assert not authentic(signed, form + b"&payload=%7B%7D", SECRET)
    assert not authentic(signed, b"\xff" + form, SECRET)
    over_form = headers | {"x-gitea-signature": hmac.digest(SECRET, form, "sha256").hex()}
    assert not authentic(over_form, form, SECRET)
    ledger = ledger.replace(webhook=[WebhookSettings(kind="forgejo", secret_file="secret")])
    ledger.settings.path("secret").write_bytes(SECRET)
    to = TestClient(build_app(ledger.settings, clock=lambda: ledger.now))
    answer = to.post("/webhooks/forgejo", content=form, headers=signed | {"x-gitea-delivery": "1"})
    assert answer.status_code == 202
    deliveries.drain(ledger.settings, clock=lambda: ledger.now)
    assert len(ledger.events(RefPushed)) == 1


def test_a_delivery_has_the_id_of_its_forge() -> None:
    assert identify({"x-gitea-delivery": "g", "x-forgejo-delivery": "f"}, b"") == "f"
    assert identify({"x-gitea-delivery": "g"}, b"") == "g"
    assert identify({}, b"") == ""


@pytest.mark.corpus
def test_recorded_webhooks_of_gitea_are_understood(corpus: Path, tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger", TRACKED)
    files = sorted((corpus / "fixtures/forge-webhooks").glob("*gitea/*.json"))
    assert len(files) > 25
    ledger.hand_over("gitea", *files)
    assert [one.data.detail for one in ledger.events() if isinstance(one.data, CollectorGap)] == []
    merged = ledger.facts(PullRequestMerged)
    assert {one.merge_commit[:8] for one in merged} == {"a148a755"}
    approved = ledger.rows("select reviewer from reviews where state = 'approved'")
    assert approved == [("jcitizen",)]
    pushes = [(one.actor, one.data) for one in ledger.events(RefPushed)]
    assert {who.login for who, _ in pushes if who} == {"unknwon", "example"}
    assert all(isinstance(one, RefPushed) and one.after == one.commits[-1] for _, one in pushes)
