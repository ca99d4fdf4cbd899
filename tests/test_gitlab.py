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
from ledger.events import CollectorGap, PullRequestMerged
from ledger.jsontext import Value, compact
from ledger.sources import Import, Stored, Tools
from ledger.sources.gitlab import authentic, events_from_value, identify
from ledger.testing import Ledger, make_ledger

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
    reason = "approved by bob at the head that merged"
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
    assert row[4] == "approved by cid at the head that merged"
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
    ("told", "landed"),
    [
        ({"merge_commit_sha": MERGE}, MERGE),
        ({"merge_commit_sha": None}, HEAD),
        ({"merge_commit_sha": None, "squash": True}, ""),
    ],
)
def test_what_landed(ledger: Ledger, tmp_path: Path, told: Json, landed: str) -> None:
    imported(ledger, tmp_path, hook("merge", "bob", 9, **told))
    (merged,) = [one.data for one in ledger.events() if isinstance(one.data, PullRequestMerged)]
    assert merged.merge_commit == landed


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
        {"object_kind": "push", "project": {"web_url": PAGE}},
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


# -- anything ------------------------------------------------------------------------------------


def tools() -> Tools:
    def nothing(*_: Any) -> Any:
        raise AssertionError("not needed")

    return Tools(
        now="2026-03-01T12:00:00Z",
        prepare=nothing,
        redact=lambda text: text,
        fingerprint=lambda value: value.hex(),
        store=lambda _name, _data: Stored("sha256:" + "0" * 64, []),
        repository=lambda _: "prod",
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.data())
def test_any_part_of_a_payload_may_be_anything(data: st.DataObject) -> None:
    body = json.loads(json.dumps(data.draw(st.sampled_from([OPENED, APPROVED, MERGED, answer()]))))
    inside = body.get("object_attributes", body)
    where = data.draw(st.sampled_from([body, inside]))
    where[data.draw(st.sampled_from(sorted(where)))] = data.draw(JSON)
    try:
        batch = events_from_value(Value("line 1", compact(body), body), tools())
    except SourceError:
        return
    assert len(batch.events) + batch.ignored == 1


@pytest.mark.corpus
def test_recorded_webhooks_of_gitlab_are_understood(corpus: Path, tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger", TRACKED)
    folder = corpus / "fixtures/forge-webhooks"
    files = sorted(file for file in folder.glob("*gitlab/*.json"))
    assert len(files) > 40
    shell.import_files(ledger.settings, "gitlab", Import(files=files), clock=lambda: ledger.now)
    gaps = [one.data.detail for one in ledger.events() if isinstance(one.data, CollectorGap)]
    merged = [one.data for one in ledger.events() if isinstance(one.data, PullRequestMerged)]
    why = "it has no usable number of a pull request or review"
    assert gaps == [f"group_merge_request.json, line 1: {why}"]  # an invented one, without `iid`
    assert {one.merge_commit[:12] for one in merged} == {"78a76ee6b499"}
