"""GitLab's webhooks and API answers become facts, in any order, and odd ones are recorded as gaps."""

from __future__ import annotations

import base64
import hmac
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import ingest as shell
from ledger.config import SourceSettings
from ledger.errors import SourceError
from ledger.events import (
    CheckCompleted,
    CollectorGap,
    PullRequestMerged,
    RefPushed,
    ReviewSubmitted,
)
from ledger.jsontext import Value, compact
from ledger.sources import Import
from ledger.sources.gitlab import authentic, events_from_value, identify, signed_at
from ledger.testing import Ledger, make_ledger
from ledger.testing.payloads import altered, bare_tools

Json = dict[str, Any]
OLD, HEAD, MERGE, SQUASH = "a" * 40, "b" * 40, "d" * 40, "e" * 40
PAGE = "https://gitlab.example.org/infra/live/prod"
TRACKED = SourceSettings(kind="git", name="prod", url=f"{PAGE}.git", branches=["main"])
IDS = {"ann": 1, "bob": 2, "cid": 3}


def user(login: str) -> Json:
    return {"id": IDS[login], "username": login, "name": login.title()}


def hook(action: str, who: str, minute: int, *, head: str = HEAD, **more: Any) -> Json:
    """The webhook of merge request 7 by ann, at a minute past ten."""
    return {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": user(who),
        "project": {"web_url": PAGE, "path_with_namespace": "infra/live/prod"},
        "labels": [{"title": "urgent"}],
        "object_attributes": {
            "iid": 7,
            "action": action,
            "author_id": IDS["ann"],
            "title": "Open port 443",
            "source_branch": "work",
            "target_branch": "main",
            "last_commit": {"id": head},
            "url": f"{PAGE}/-/merge_requests/7",
            "created_at": "2026-03-01 10:00:00 UTC",
            "updated_at": f"2026-03-01 10:{minute:02d}:00 UTC",
            "merge_commit_sha": None,
            **more,
        },
    }


OPENED = hook("open", "ann", 0)
APPROVED = hook("approved", "bob", 5)
MERGED = hook("merge", "bob", 9, merge_commit_sha=MERGE)


@pytest.fixture
def ledger(tmp_path: Path, database_url: str) -> Ledger:
    return make_ledger(tmp_path / "ledger", TRACKED, database=database_url)


@pytest.fixture
def plain(tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path / "plain", TRACKED)


def imported(ledger: Ledger, tmp_path: Path, *bodies: Any) -> None:
    for index, body in enumerate(bodies):
        file = tmp_path / f"body-{index}.json"
        file.write_text(json.dumps(body) if not isinstance(body, str) else body)
        shell.import_files(
            ledger.settings, "gitlab", Import(files=[file]), clock=lambda: ledger.now
        )


def pull(ledger: Ledger) -> tuple[Any, ...]:
    sql = "select state, author, merge_commit_sha, approval, reason from pull_requests"
    (row,) = ledger.rows(sql)
    return row


def test_a_merge_request_that_another_person_approved(ledger: Ledger, tmp_path: Path) -> None:
    imported(ledger, tmp_path, OPENED, APPROVED, MERGED)
    reason = (
        "approved by bob at the head that merged; which head was approved is deduced from the time"
    )
    assert pull(ledger) == ("merged", "ann", MERGE, "approved", reason)
    assert ledger.rows("select repository, number, labels, base from pull_requests") == [
        ("prod", 7, "urgent", "main")
    ]


def test_any_order_and_repeats_tell_the_same(tmp_path: Path) -> None:
    pushed = hook("update", "ann", 3, oldrev=OLD)
    taken_back = hook("unapproved", "bob", 7)
    again = hook("approval", "cid", 8)
    bodies = [OPENED, pushed, APPROVED, taken_back, again, MERGED]
    seen = set()
    orders = [*itertools.permutations(range(6))][::131]
    for at, order in enumerate(orders):
        ledger = make_ledger(tmp_path / f"l{at}", TRACKED)
        folder = tmp_path / f"f{at}"
        folder.mkdir()
        imported(ledger, folder, *[bodies[one] for one in order], *[bodies[order[0]]])
        reviews = ledger.rows(
            "select reviewer, state, counts, reason from reviews order by submitted_at"
        )
        seen.add((pull(ledger), tuple(reviews)))
    assert len(seen) == 1
    ((row, ruled),) = seen
    assert row[4].startswith("approved by cid at the head that merged; ")
    assert [one[:3] for one in ruled] == [
        ("bob", "approved", 0),
        ("bob", "dismissed", 0),
        ("cid", "approved", 1),
    ]


def test_an_approval_at_an_older_head_is_stale(ledger: Ledger, tmp_path: Path) -> None:
    early = hook("approved", "bob", 2, head=OLD)
    imported(ledger, tmp_path, OPENED, early, hook("update", "ann", 3, oldrev=OLD), MERGED)
    assert "stale: given at" in pull(ledger)[4]


@pytest.mark.parametrize(
    ("given", "landed"),
    [
        ({"merge_commit_sha": MERGE}, MERGE),
        ({"merge_commit_sha": None}, HEAD),
        ({"merge_commit_sha": None, "squash": True}, ""),
    ],
)
def test_what_landed(plain: Ledger, tmp_path: Path, given: Json, landed: str) -> None:
    imported(plain, tmp_path, hook("merge", "bob", 9, **given))
    (merged,) = plain.facts(PullRequestMerged)
    assert merged.merge_commit == landed


def test_what_an_open_one_is_called_now_and_its_labels(plain: Ledger, tmp_path: Path) -> None:
    renamed = hook("update", "cid", 4, title="Open port 8443", draft=True, state="opened")
    renamed |= {"changes": {"title": {}}, "labels": [{"title": "later"}]}
    imported(plain, tmp_path, OPENED, renamed)
    columns = "select title, author, labels, draft from model_reported_pull_request"
    assert plain.rows(columns) == [("Open port 8443", "ann", "later", 1)]
    later = hook("update", "cid", 8, state="closed") | {"changes": {"labels": {}}}
    imported(plain, tmp_path, hook("close", "bob", 6), later)
    assert pull(plain)[0] == "closed"  # whatever changes of it then, it is not open again


def test_an_author_who_did_not_act_is_known_among_the_reviewers(
    plain: Ledger, tmp_path: Path
) -> None:
    imported(plain, tmp_path, hook("close", "bob", 5) | {"reviewers": [user("cid"), user("ann")]})
    assert pull(plain)[:2] == ("closed", "ann")


def test_whoever_requests_changes_is_heard(plain: Ledger, tmp_path: Path) -> None:
    state = {"previous": [user("cid")], "current": [user("cid") | {"state": "requested_changes"}]}
    asked = hook("update", "cid", 4, state="opened") | {"changes": {"reviewers": state}}
    imported(plain, tmp_path, OPENED, asked, APPROVED, MERGED)
    assert "changes that cid requested" in pull(plain)[4]


def test_approvals_that_gitlab_resets_itself_are_nobodys_word(
    plain: Ledger, tmp_path: Path
) -> None:
    reset = hook("unapproved", "ann", 6, system=True, system_action="approvals_reset_on_push")
    imported(plain, tmp_path, OPENED, APPROVED, reset)
    assert plain.rows("select reviewer, state from reviews") == [("bob", "approved")]


def test_an_approval_after_the_merge_is_none(plain: Ledger, tmp_path: Path) -> None:
    late = hook("approved", "bob", 9, state="merged")  # the time of the last change is the merge's
    imported(plain, tmp_path, OPENED, MERGED, late)
    assert pull(plain)[3] == "unapproved"
    timed = hook("approved", "cid", 9, state="merged", actioned_at="2026-03-01T10:20:00.000Z")
    imported(plain, tmp_path, timed)
    reasons = dict(plain.rows("select reviewer, reason from reviews"))
    assert reasons["cid"].startswith("after_merge")


def test_the_commit_of_an_approval_is_marked_as_deduced(plain: Ledger, tmp_path: Path) -> None:
    imported(plain, tmp_path, APPROVED)
    (review,) = plain.facts(ReviewSubmitted)
    assert (review.commit, review.commit_deduced) == (HEAD, True)


PUSH = {
    "object_kind": "push",
    "ref": "refs/heads/main",
    "before": OLD,
    "after": HEAD,
    "user_username": "bob",
    "user_email": "",
    "project": {"web_url": PAGE},
    "commits": [{"id": MERGE}, {"id": HEAD}],
    "total_commits_count": 25,
}


def test_a_push_tells_who_pushed_what(plain: Ledger, tmp_path: Path) -> None:
    made = PUSH | {"before": "0" * 40, "ref": "refs/heads/new", "user_username": "project_1_bot"}
    gone = PUSH | {"after": "0" * 40, "commits": [], "total_commits_count": 0}
    imported(plain, tmp_path, PUSH, made, gone, PUSH | {"ref": "main"}, PUSH | {"after": None})
    event = plain.events(RefPushed)[0]
    assert event.actor is not None
    assert event.actor.login == "bob"
    assert event.key.endswith(f"/prod/ref/refs/heads/main/pushed/{OLD}..{HEAD}")
    first, second, third = plain.facts(RefPushed)
    assert (first.commits, first.commit_count) == ([MERGE, HEAD], 25)
    assert (second.before, second.pusher_is_bot) == ("", True)
    assert (third.before, third.after) == (OLD, "")
    assert len(plain.events(CollectorGap)) == 2


def pipeline(status: str) -> Json:
    return {
        "object_kind": "pipeline",
        "project": {"web_url": PAGE},
        "object_attributes": {
            "id": 31,
            "sha": HEAD,
            "status": status,
            "created_at": "2026-03-01 10:00:00 UTC",
            "finished_at": "2026-03-01 10:03:00 UTC",
        },
    }


def test_a_pipeline_is_a_check_once_it_ended(plain: Ledger, tmp_path: Path) -> None:
    imported(plain, tmp_path, *map(pipeline, ("pending", "running", "failed", "success")))
    found = plain.facts(CheckCompleted)
    assert [(one.name, one.commit, one.conclusion) for one in found] == [
        ("pipeline", HEAD, "failure"),
        ("pipeline", HEAD, "success"),
    ]
    assert {one.completed_at for one in found} == {"2026-03-01T10:03:00Z"}


def test_deliveries_that_somebody_saved_with_their_headers(plain: Ledger, tmp_path: Path) -> None:
    headers = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Event-UUID": "u-1"}
    imported(plain, tmp_path, {"headers": headers, "body": json.dumps(PUSH)})
    (push,) = plain.facts(RefPushed)
    assert push.push == "u-1"


def answer(**more: Any) -> Json:
    return {
        "iid": 7,
        "project_id": 1,
        "state": "merged",
        "title": "Open port 443",
        "author": user("ann"),
        "merge_user": user("bob"),
        "web_url": f"{PAGE}/-/merge_requests/7",
        "target_branch": "main",
        "source_branch": "work",
        "sha": HEAD,
        "merge_commit_sha": None,
        "squash_commit_sha": None,
        "labels": ["urgent"],
        "created_at": "2026-03-01T10:00:00.000Z",
        "updated_at": "2026-03-01T10:09:30.000Z",
        "merged_at": "2026-03-01T10:09:00.000Z",
        **more,
    }


def test_the_api_tells_what_the_webhook_of_a_squash_cannot(ledger: Ledger, tmp_path: Path) -> None:
    imported(
        ledger, tmp_path, hook("merge", "bob", 9, squash=True), [answer(squash_commit_sha=SQUASH)]
    )
    assert pull(ledger)[:3] == ("merged", "ann", SQUASH)


def test_other_hooks_are_ignored_and_nonsense_is_a_gap(ledger: Ledger, tmp_path: Path) -> None:
    imported(
        ledger,
        tmp_path,
        {"object_kind": "tag_push", "project": {"web_url": PAGE}},
        hook("update", "ann", 3),
        {"hello": "world"},
        '{"object_kind": "merge_request", ',
        hook("merge", "bob", 9) | {"project": {"web_url": "javascript:alert(1)"}},
    )
    gaps = [one.data.detail for one in ledger.events() if isinstance(one.data, CollectorGap)]
    assert len(gaps) == 3
    assert "it is no webhook and no merge request of GitLab" in gaps[0]
    assert "it does not tell of which project it is" in gaps[2]
    assert ledger.rows("select * from pull_requests") == []


# -- deliveries ----------------------------------------------------------------------------------

SECRET = b"correct horse"


def signature(secret: bytes, body: bytes, at: str = "1740000000") -> dict[str, str]:
    signed = b"msg_1." + at.encode() + b"." + body
    made = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": at,
        "webhook-signature": f"v1,AAAA v1,{made}",
    }


def test_a_token_or_a_signature_shows_who_sent_it() -> None:
    body = b'{"a": 1}'
    assert authentic({"x-gitlab-token": "correct horse"}, body, SECRET)
    assert authentic(signature(SECRET, body), body, SECRET)
    encoded = b"whsec_" + base64.b64encode(b"0123456789abcdef")
    assert authentic(signature(b"0123456789abcdef", body), body, encoded)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-gitlab-token": ""},
        {"x-gitlab-token": "correct horsf"},
        signature(SECRET, b"another"),
        signature(SECRET, b'{"a": 1}') | {"webhook-timestamp": "1740000001"},
        signature(SECRET, b'{"a": 1}') | {"webhook-signature": "v1,"},
        # A wrong signature is not made good by a token beside it.
        signature(SECRET, b"another") | {"x-gitlab-token": "correct horse"},
    ],
)
def test_nobody_else_is_believed(headers: dict[str, str]) -> None:
    assert not authentic(headers, b'{"a": 1}', SECRET)
    assert not authentic(headers, b'{"a": 1}', b"")


def test_a_retry_has_the_id_of_the_first_attempt() -> None:
    event = {"x-gitlab-event": "Merge Request Hook"}
    assert identify(event | {"idempotency-key": "k1"}, b"x") == "k1"
    old = event | {"x-gitlab-event-uuid": "u1"}
    assert identify(old, b"x") == identify(old, b"x") != identify(old, b"y")
    assert identify({}, b"x") == ""
    assert identify(event | {"idempotency-key": "k 1"}, b"x") == ""


def test_the_time_that_a_signature_covers() -> None:
    assert signed_at(signature(SECRET, b"x", "1740000000")) == 1_740_000_000
    assert signed_at({"x-gitlab-token": "correct horse"}) is None
    # Signed and without a time it is far from now, whatever stands there.
    for told in ("", "soon", "-1", "9" * 30):
        assert signed_at(signature(SECRET, b"x", told)) == 0


def test_the_id_of_a_signed_delivery_is_the_one_that_is_signed() -> None:
    headers = {"x-gitlab-event": "Push Hook", "idempotency-key": "another"}
    assert identify(headers | signature(SECRET, b"x"), b"x") == "msg_1"


# -- anything ------------------------------------------------------------------------------------


@given(st.data())
def test_any_part_of_a_payload_may_be_anything(data: st.DataObject) -> None:
    body = altered(data, [OPENED, APPROVED, MERGED, PUSH, pipeline("failed"), answer()])
    try:
        batch = events_from_value(Value("line 1", compact(body), body), bare_tools())
    except SourceError:
        return
    assert len(batch.events) + batch.ignored == 1


@pytest.mark.corpus
def test_recorded_webhooks_of_gitlab_are_understood(corpus: Path, tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger", TRACKED)
    folder = corpus / "fixtures/forge-webhooks"
    files = sorted(file for file in folder.glob("*gitlab/*.json"))
    assert len(files) > 40
    ledger.hand_over("gitlab", *files)
    gaps = [one.data.detail for one in ledger.events() if isinstance(one.data, CollectorGap)]
    merged = ledger.facts(PullRequestMerged)
    why = "it has no usable number of a pull request or review"
    assert gaps == [f"group_merge_request.json, line 1: {why}"]  # an invented one, without `iid`
    assert {one.merge_commit[:12] for one in merged} == {"78a76ee6b499"}
