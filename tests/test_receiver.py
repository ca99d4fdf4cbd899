"""`ledger serve` and `ledger import`: what is acknowledged is recorded once, what is wrong is refused."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import psycopg
import pytest
import uvicorn
from click.testing import CliRunner, Result
from fastapi import Request as Asked
from fastapi.testclient import TestClient

from ledger import deliveries
from ledger.cli import cli
from ledger.config import ServerSettings, WebhookSettings
from ledger.errors import UsageError
from ledger.events import CollectorGap, PullRequestMerged, PullRequestOpened
from ledger.periods import Period
from ledger.queries.timeline import timeline
from ledger.reports.issue import issue
from ledger.store import inbox as inbox_module
from ledger.store.drivers import driver_url
from ledger.store.inbox import DONE, FAILED, WAITING, Inbox, file_of
from ledger.store.refusals import Count, Kind, RefusalCounts
from ledger.testing import Ledger, make_ledger
from ledger.web import bodies, serving, webhooks
from ledger.web.app import build_app
from ledger.web.refusals import Counter

SECRET = b"correct horse battery staple"
SECONDS = 60
Json = dict[str, Any]


def pull_request(action: str = "closed", number: int = 42, **changes: Any) -> Json:
    """A webhook body; closed ones are merged."""
    merged = action == "closed"
    return {
        "action": action,
        "number": number,
        "pull_request": {
            "number": number,
            "html_url": f"https://github.com/acme/infra/pull/{number}",
            "title": "Raise the limit",
            "user": {"login": "ann", "type": "User"},
            "state": "closed" if merged else "open",
            "merged": merged,
            "merged_at": "2026-11-20T10:02:03Z" if merged else None,
            "merge_commit_sha": "d" * 40,
            "merged_by": {"login": "mona", "type": "User"} if merged else None,
            "head": {"ref": "limit", "sha": "b" * 40},
            "base": {"ref": "main", "sha": "c" * 40},
            "created_at": "2026-11-19T08:00:00Z",
            "updated_at": "2026-11-20T10:02:04Z",
        }
        | changes,
        "repository": {
            "full_name": "acme/infra",
            "html_url": "https://github.com/acme/infra",
        },
        "sender": {"login": "mona", "type": "User"},
    }


def signed(body: bytes, delivery: str, event: str = "pull_request", **more: str) -> dict[str, str]:
    """The headers that GitHub sends with a body."""
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET, body, "sha256").hexdigest(),
        "Content-Type": "application/json",
    } | more


def encoded(body: Json) -> bytes:
    return json.dumps(body).encode()


@pytest.fixture
def ledger(tmp_path: Path, database_url: str) -> Ledger:
    return with_webhook(make_ledger(tmp_path, database=database_url))


@pytest.fixture
def small(tmp_path: Path) -> Ledger:
    """A ledger on SQLite, for what does not depend on the database."""
    return with_webhook(make_ledger(tmp_path))


def with_webhook(ledger: Ledger) -> Ledger:
    (ledger.settings.folder / "github.secret").write_bytes(SECRET + b"\n")
    with (ledger.settings.folder / "ledger.toml").open("a") as file:
        file.write('\n[[webhook]]\nkind = "github"\nsecret_file = "github.secret"\n')
    return ledger.replace(webhook=[WebhookSettings(kind="github", secret_file="github.secret")])


def client(ledger: Ledger) -> TestClient:
    """A client of the server without its thread: nothing is recorded until `drain`."""
    return TestClient(build_app(ledger.settings, clock=lambda: ledger.now))


def post(to: TestClient, body: Json | bytes, delivery: str = "d-1", **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else encoded(body)
    return to.post("/webhooks/github", content=raw, headers=signed(raw, delivery) | headers)


def drain(ledger: Ledger) -> deliveries.Drained:
    return deliveries.drain(ledger.settings, clock=lambda: ledger.now)


def counts(ledger: Ledger) -> dict[str, int]:
    with Inbox.open(ledger.settings.database_url) as inbox:
        return inbox.counts()


def inbox_rows(ledger: Ledger, sql: str) -> list[tuple[Any, ...]]:
    with Inbox.open(ledger.settings.database_url) as inbox:
        return inbox._connection.rows(sql.replace("delivery", inbox._table, 1))


def refusals(ledger: Ledger) -> list[tuple[Any, ...]]:
    """(sender, reason, requests) of what is counted and not yet told."""
    with Inbox.open(ledger.settings.database_url) as inbox:
        return inbox._connection.rows(
            f"select sender, reason, requests from {inbox.beside('refusal')} order by reason"
        )


def gaps(ledger: Ledger) -> list[CollectorGap]:
    return [one.data for one in ledger.events(CollectorGap) if isinstance(one.data, CollectorGap)]


# -- taking deliveries ---------------------------------------------------------------------------


def test_a_signed_delivery_is_accepted_then_recorded_once(ledger: Ledger) -> None:
    to = client(ledger)
    answer = post(to, pull_request())
    assert (answer.status_code, answer.json()) == (202, {"delivery": "d-1", "state": "accepted"})
    assert ledger.events(PullRequestMerged) == []
    assert drain(ledger) == deliveries.Drained(read=1, appended=1, unreadable=0)
    assert len(ledger.events(PullRequestMerged)) == 1
    feeds = "select feed, kind, succeeded_at, gaps from feeds where kind = 'sender'"
    assert ledger.rows(feeds) == [("github", "sender", ledger.now, 0)]

    answer = post(to, pull_request())
    assert (answer.status_code, answer.json()) == (200, {"delivery": "d-1", "state": "repeated"})
    assert drain(ledger) == deliveries.Drained()
    assert post(to, pull_request(), "d-2").status_code == 202
    assert drain(ledger) == deliveries.Drained(read=1, appended=0, unreadable=0)


def test_an_id_with_another_body_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    to = client(ledger)
    post(to, pull_request())
    answer = post(to, pull_request(number=43))
    assert answer.status_code == 409
    assert "another body" in answer.json()["error"]
    drain(ledger)
    assert [one.key for one in ledger.events(PullRequestMerged)] == [
        "github.com/acme/infra/pull/42/merged"
    ]
    assert post(to, pull_request(number=43)).status_code == 409


@pytest.mark.parametrize(
    "signature",
    ["", "sha256=" + "0" * 64, "sha256=", "sha1=" + "0" * 40, "\xff", "0" * 10_000],
)
def test_a_missing_or_wrong_signature_leaves_nothing_but_a_count(
    small: Ledger, signature: str
) -> None:
    raw = encoded(pull_request())
    headers: dict[str, Any] = signed(raw, "d-1")
    headers["X-Hub-Signature-256"] = signature.encode("latin-1")
    answer = client(small).post("/webhooks/github", content=raw, headers=headers)
    assert answer.status_code == 401
    assert "signature" in answer.json()["error"]
    assert counts(small) == {WAITING: 0, DONE: 0, FAILED: 0}
    assert refusals(small) == [("github", "unsigned", 1)]


def test_the_signature_is_over_the_raw_bytes(small: Ledger) -> None:
    raw = encoded(pull_request())
    headers = signed(raw, "d-1")
    assert (
        client(small).post("/webhooks/github", content=raw + b" ", headers=headers).status_code
        == 401
    )


def test_two_secrets_of_one_kind_are_both_taken(small: Ledger) -> None:
    (small.settings.folder / "next.secret").write_bytes(b"the next one")
    small = small.replace(
        webhook=[
            WebhookSettings(kind="github", secret_file="next.secret"),
            WebhookSettings(kind="github", secret_file="github.secret"),
        ]
    )
    assert post(client(small), pull_request()).status_code == 202


@pytest.mark.parametrize("kind", ["gitlab", "git", "%2e%2e", "GITHUB"])
def test_a_kind_without_a_secret_is_not_there(small: Ledger, kind: str) -> None:
    answer = client(small).post(f"/webhooks/{kind}", content=b"{}", headers=signed(b"{}", "d-1"))
    assert answer.status_code == 404


@pytest.mark.parametrize("delivery", ["", "with blank", "x" * 300])
def test_a_delivery_without_a_usable_id_is_refused(small: Ledger, delivery: str) -> None:
    answer = post(client(small), pull_request(), delivery)
    assert answer.status_code == 400
    assert "delivery id" in answer.json()["error"]


def test_a_body_beyond_the_limit_is_refused_with_or_without_a_length(small: Ledger) -> None:
    to = client(small.replace(server=ServerSettings(max_body=1_000)))
    raw = b"x" * 1_001
    answer = to.post("/webhooks/github", content=raw, headers=signed(raw, "d-1"))
    assert answer.status_code == 413
    assert "1,000 bytes" in answer.json()["error"]
    in_parts = (raw[at : at + 100] for at in range(0, len(raw), 100))
    answer = to.post("/webhooks/github", content=in_parts, headers=signed(raw, "d-1"))
    assert answer.status_code == 413
    raw = encoded({"zen": "x" * 900})
    assert to.post("/webhooks/github", content=raw, headers=signed(raw, "d-1")).status_code == 202


def test_a_body_that_does_not_come_ends_the_wait(
    small: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)
    sent = asyncio.run(_ask_without_a_body(build_app(small.settings), {"type": "http.request"}))
    assert sent[0]["status"] == 408
    gone = {"type": "http.disconnect"}
    sent = asyncio.run(_ask_without_a_body(build_app(small.settings), gone))
    assert sent[0]["status"] == 400
    assert refusals(small) == [("github", "cut off", 1), ("github", "slow", 1)]


async def _ask_without_a_body(app: Any, message: Json) -> list[Json]:
    """The messages that the application answers when only the beginning of a body comes, or nothing."""
    coming = [message | {"body": b"{", "more_body": True}]
    sent: list[Json] = []

    async def receive() -> Json:
        if not coming:
            await asyncio.Event().wait()
        return coming.pop()

    async def send(answer: Json) -> None:
        sent.append(answer)

    scope = {"type": "http", "method": "POST", "path": "/webhooks/github", "headers": []}
    await app(scope | {"query_string": b"", "http_version": "1.1"}, receive, send)
    return sent


def test_a_form_is_taken_as_well(small: Ledger) -> None:
    raw = urlencode({"payload": json.dumps(pull_request(title="für später"))}).encode()
    headers = signed(raw, "d-1") | {"Content-Type": "application/x-www-form-urlencoded"}
    assert client(small).post("/webhooks/github", content=raw, headers=headers).status_code == 202
    drain(small)
    [event] = small.events(PullRequestMerged)
    assert isinstance(event.data, PullRequestMerged)
    assert event.data.pull_request.title == "für später"


def test_where_nothing_can_be_kept_nothing_is_acknowledged(small: Ledger) -> None:
    file_of(small.settings.database_url).mkdir()
    answer = post(client(small), pull_request())
    assert answer.status_code == 503
    assert str(small.settings.folder) not in answer.text
    assert client(small).get("/readyz").status_code == 503


def test_health_and_readiness_are_told(ledger: Ledger) -> None:
    to = client(ledger)
    assert to.get("/healthz").json() == {"status": "ok"}
    post(to, pull_request())
    ready = to.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "deliveries": {"waiting": 1, "done": 0, "failed": 0},
    }


def test_the_interface_describes_itself_without_pages_from_elsewhere(small: Ledger) -> None:
    to = client(small)
    described = to.get("/openapi.json").json()
    assert {"/webhooks/{kind}", "/healthz", "/readyz"} <= described["paths"].keys()
    assert {"202", "401", "409", "413"} <= described["paths"]["/webhooks/{kind}"]["post"][
        "responses"
    ].keys()
    assert to.get("/docs").status_code == to.get("/redoc").status_code == 404


# -- the inbox -----------------------------------------------------------------------------------


def test_deliveries_stand_where_auditors_do_not_read(ledger: Ledger) -> None:
    to = client(ledger)
    post(to, pull_request(body="the password is opensesame"))
    url = ledger.settings.database_url
    if url.startswith("sqlite"):
        assert stat.S_IMODE(file_of(url).stat().st_mode) == 0o600
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
            tables = {name for (name,) in db.execute("select name from sqlite_master")}
            assert not any("deliver" in name for name in tables)
        assert b"opensesame" not in Path(url.removeprefix("sqlite:///")).read_bytes()
    else:
        with psycopg.connect(driver_url(url)) as connection:
            connection.execute("set role ledger_auditor")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select * from public_inbox.delivery")


def test_no_file_of_the_inbox_is_open_to_others(small: Ledger) -> None:
    with Inbox.open(small.settings.database_url) as inbox:
        inbox.accept("github", "d-1", received_at="", headers={}, body=b"secret")
        files = list(small.settings.folder.glob("*-inbox*"))
        assert len(files) == 3
        assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}


def test_a_body_is_dropped_once_it_is_recorded(ledger: Ledger) -> None:
    post(client(ledger), pull_request(title="set password=opensesame99"))
    drain(ledger)
    assert inbox_rows(ledger, "select state, body, attempts from delivery") == [(DONE, b"", 1)]
    if ledger.settings.database_url.startswith("sqlite"):
        for file in ledger.settings.folder.glob("ledger.db*"):
            assert b"opensesame99" not in file.read_bytes()


def test_only_the_headers_that_are_needed_are_kept_and_not_more_of_them(ledger: Ledger) -> None:
    long = {"Content-Type": "application/json; " + "x" * 50_000}
    post(client(ledger), pull_request(), Authorization="Bearer secret", Cookie="a=b", **long)
    [(headers,)] = inbox_rows(ledger, "select headers from delivery")
    assert json.loads(headers) == {
        "content-type": long["Content-Type"][:200],
        "x-github-event": "pull_request",
    }


def test_two_requests_with_one_delivery_at_once_are_one(ledger: Ledger) -> None:
    url = ledger.settings.database_url
    Inbox.open(url).close()

    def accept(_: int) -> str:
        with Inbox.open(url) as inbox:
            return inbox.accept("github", "d-1", received_at="", headers={}, body=b"{}")

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(accept, range(8))) == ["accepted"] + ["repeated"] * 7


def test_the_inbox_is_made_by_many_at_once(ledger: Ledger) -> None:
    def make(_: int) -> dict[str, int]:
        return counts(ledger)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(make, range(6))) == [{WAITING: 0, DONE: 0, FAILED: 0}] * 6


def test_where_nothing_was_ever_delivered_draining_makes_no_inbox(ledger: Ledger) -> None:
    assert drain(ledger) == deliveries.Drained()
    assert Inbox.find(ledger.settings.database_url) is None


def test_a_ledger_in_a_schema_of_its_own_has_an_inbox_of_its_own(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute('create schema "Audit-1"')
    url = f"{postgres_url}&options=-csearch_path%3D%22Audit-1%22"
    with Inbox.open(url) as inbox:
        inbox.accept("github", "d-1", received_at="", headers={}, body=b"{}")
    with Inbox.open(postgres_url) as inbox:
        assert inbox.counts()[WAITING] == 0


# -- recording -----------------------------------------------------------------------------------

NO_JSON = {
    "half": b'{"action": "closed", "pull_re',
    "empty": b"",
    "no json": b"hello",
    "no object": b"[1, 2]",
    "not utf-8": b'{"action": "caf\xe9"}',
    "deep": b'{"a":' * 200_000,
    "nul": b'{"action": "\x00"}',
}
BAD_BODIES = NO_JSON | {
    "no number": encoded({"action": "opened", "pull_request": {"html_url": "https://h/a/b"}}),
    "no repository": encoded({"action": "opened", "pull_request": {"number": 1}}),
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_a_signed_body_that_is_no_json_is_refused_and_kept_all_the_same(
    small: Ledger, body: bytes
) -> None:
    answer = post(client(small), body, "bad-1")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the body of delivery bad-1 cannot be read: ")
    assert inbox_rows(small, "select state, body from delivery") == [(WAITING, body)]


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_what_cannot_be_read_is_a_gap_and_does_not_hold_up_the_next(
    ledger: Ledger, body: bytes
) -> None:
    to = client(ledger)
    assert post(to, body, "bad-1").status_code in (202, 400)
    assert post(to, pull_request(), "good-1").status_code == 202
    assert drain(ledger) == deliveries.Drained(read=2, appended=1, unreadable=1)
    assert len(ledger.events(PullRequestMerged)) == 1
    [gap] = ledger.events(CollectorGap)
    assert isinstance(gap.data, CollectorGap)
    assert gap.data.detail.startswith(f"delivery bad-1, received {ledger.now}: ")
    assert counts(ledger) == {WAITING: 0, DONE: 1, FAILED: 1}


def test_an_unreadable_delivery_is_kept_and_read_again_when_it_is_sent_again(
    ledger: Ledger,
) -> None:
    to = client(ledger)
    post(to, b"half", "bad-1")
    drain(ledger)
    assert inbox_rows(ledger, "select state, body from delivery") == [(FAILED, b"half")]
    assert post(to, b"half", "bad-1").status_code == 400
    assert counts(ledger)[WAITING] == 1
    drain(ledger)
    assert len(ledger.events(CollectorGap)) == 1
    assert post(to, b"other", "bad-1").status_code == 409


def test_what_the_program_fails_to_record_is_a_gap_and_does_not_hold_up_the_next(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = client(ledger)
    post(to, pull_request(number=1), "poison")
    post(to, pull_request(number=2), "good")
    tell = deliveries._tell

    def told(source: Any, delivery: Any, tools: Any) -> Any:
        if delivery.delivery == "poison":
            raise ZeroDivisionError("secret")
        return tell(source, delivery, tools)

    monkeypatch.setattr(deliveries, "_tell", told)
    assert drain(ledger) == deliveries.Drained(read=2, appended=1, unreadable=1)
    [gap] = gaps(ledger)
    assert gap.detail.endswith(
        "the program failed to record it (ZeroDivisionError); please report this"
    )


def test_a_delivery_of_an_earlier_day_tells_nothing_again_by_its_id_or_another(
    ledger: Ledger,
) -> None:
    to = client(ledger)
    post(to, pull_request("opened"), "d-1")
    post(to, pull_request("closed"), "d-2")
    drain(ledger)
    before = [(one.key, one.data) for one in ledger.events()]
    ledger.clock += timedelta(days=3)
    assert post(to, pull_request("opened"), "d-1").status_code == 200
    assert post(to, pull_request("opened"), "d-3").status_code == 202
    assert drain(ledger) == deliveries.Drained(read=1)
    assert [(one.key, one.data) for one in ledger.events()] == before


def test_a_kind_that_is_no_longer_known_is_a_gap(ledger: Ledger) -> None:
    with Inbox.open(ledger.settings.database_url) as inbox:
        inbox.accept("sourceforge", "1", received_at="then", headers={}, body=b"{}")
    assert drain(ledger).unreadable == 1
    [gap] = ledger.events(CollectorGap)
    assert gap.source == "sourceforge"


def test_unknown_fields_and_other_events_are_no_gaps(ledger: Ledger) -> None:
    to = client(ledger)
    post(to, pull_request() | {"surprise": {"deep": [1, 2.5, None]}}, "1")
    raw = encoded({"zen": "Design for failure."})
    to.post("/webhooks/github", content=raw, headers=signed(raw, "2", "ping"))
    assert drain(ledger) == deliveries.Drained(read=2, appended=1, unreadable=0)
    assert ledger.events(CollectorGap) == []


def test_deliveries_in_any_order_and_twice_tell_the_same(tmp_path: Path) -> None:
    bodies = [
        pull_request(action, number) for number in (1, 2, 3) for action in ("opened", "closed")
    ]
    told = set()
    for turn, order in enumerate([bodies, bodies[::-1], bodies[3:] + bodies[:3]]):
        ledger = with_webhook(make_ledger(tmp_path / str(turn)))
        to = client(ledger)
        for number, body in enumerate(order + order[::-1]):
            post(to, body, f"d-{number}")
            if number % (turn + 2) == 0:
                drain(ledger)
        drain(ledger)
        told.add(frozenset(repr((one.key, one.data)) for one in ledger.events()))
    assert len(told) == 1
    assert len(next(iter(told))) == 6


def test_a_ledger_that_cannot_be_written_loses_no_delivery(small: Ledger) -> None:
    post(client(small), pull_request())
    path = Path(small.settings.database_url.removeprefix("sqlite:///"))
    hidden = path.with_name("elsewhere.db")
    path.rename(hidden)
    with pytest.raises(Exception, match="no ledger"):
        drain(small)
    hidden.rename(path)
    assert drain(small).appended == 1


def test_what_fails_again_and_again_comes_after_what_is_new(ledger: Ledger) -> None:
    to = client(ledger)
    post(to, pull_request(number=1), "first")
    with Inbox.open(ledger.settings.database_url) as inbox:
        [first] = inbox.waiting()
        assert inbox.take([first])
        post(to, pull_request(number=2), "second")
        assert len(inbox.waiting()) == 2
        assert inbox.waiting()[-1] == first


def test_many_drain_at_once_and_nothing_is_told_twice(ledger: Ledger) -> None:
    to = client(ledger)
    for number in range(1, 13):
        post(to, pull_request(number=number), f"d-{number}")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: drain(ledger), range(3)))
    assert len(ledger.events(PullRequestMerged)) == 12
    assert counts(ledger) == {WAITING: 0, DONE: 12, FAILED: 0}


def test_stopping_leaves_the_rest_for_the_next_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "TOGETHER", 1)
    to = client(ledger)
    for number in (1, 2, 3):
        post(to, pull_request(number=number), f"d-{number}")
    asked = iter([False, False, True])
    done = deliveries.drain(ledger.settings, clock=lambda: ledger.now, stopped=lambda: next(asked))
    assert (done.read, counts(ledger)[WAITING]) == (1, 2)
    assert drain(ledger).read == 2


def test_the_server_records_by_itself_what_comes_and_what_was_left(small: Ledger) -> None:
    post(client(small), pull_request(number=1), "left")
    with client(small) as to:
        post(to, pull_request(number=2), "comes")
        wait_until_recorded(lambda: to.get("/readyz").json())
    assert len(small.events(PullRequestMerged)) == 2


def wait_until_recorded(ready: Any) -> None:
    """Asks until nothing waits; each question takes some milliseconds."""
    for _ in range(20_000):
        if ready()["deliveries"][WAITING] == 0:
            return
    pytest.fail("deliveries are not recorded")


# -- what is refused -----------------------------------------------------------------------------


def refuse(to: TestClient, *reasons: str) -> None:
    """Sends a request that is refused for each reason."""
    raw = encoded(pull_request())
    for reason in reasons:
        headers = signed(raw, "d-1")
        body = raw
        if reason == "unsigned":
            headers["X-Hub-Signature-256"] = "sha256=" + "0" * 64
        elif reason == "unnamed":
            headers["X-GitHub-Delivery"] = "an id\twith blanks"
        elif reason == "too large":
            body = b"x" * 5_001
        answer = to.post("/webhooks/github", content=body, headers=headers)
        assert answer.status_code == {"unsigned": 401, "unnamed": 400, "too large": 413}[reason]


@pytest.fixture
def tight(ledger: Ledger) -> Ledger:
    return ledger.replace(server=ServerSettings(max_body=5_000))


def test_refused_requests_are_one_gap_for_each_sender_reason_and_hour(tight: Ledger) -> None:
    to = client(tight)
    refuse(to, "unsigned", "too large", "unnamed")
    tight.clock += timedelta(minutes=59, seconds=59)
    refuse(to, "unsigned", "unsigned")
    assert drain(tight) == deliveries.Drained(counting=5)
    tight.clock += timedelta(seconds=1)
    refuse(to, "unsigned")
    tight.clock += timedelta(seconds=59)
    assert drain(tight) == deliveries.Drained(counting=6), "what is written late still counts"
    tight.clock += timedelta(seconds=1)
    assert drain(tight) == deliveries.Drained(refused=5, counting=1)
    assert drain(tight) == deliveries.Drained(counting=1)
    assert refusals(tight) == [("github", "unsigned", 1)]

    large, unnamed, unsigned = gaps(tight)
    assert unsigned == CollectorGap(
        repository="",
        kind="refused",
        detail="3 requests to /webhooks/github refused from 2025-01-01T00:00:00Z to "
        "2025-01-01T00:59:59Z: the signature was missing or wrong. Nothing of what was sent is kept. "
        "Anybody can send such requests: it is not known whether a delivery was lost by this.",
        since="2025-01-01T00:00:00Z",
        until="2025-01-01T00:59:59Z",
        count=3,
    )
    assert large.detail.startswith(
        "1 request to /webhooks/github refused at 2025-01-01T00:00:00Z: the body was larger than max_body."
    )
    assert "it is not known whether a delivery was lost" in large.detail
    assert unnamed.detail.endswith(
        "The signature was right: what was told so is not recorded, unless it was delivered again."
    )
    tight.clock += timedelta(hours=5)
    assert drain(tight) == deliveries.Drained(refused=1)
    keys = [one.key.rpartition("/")[0] for one in tight.events(CollectorGap)]
    assert keys == [
        "github/refused/too_large/2025-01-01T00",
        "github/refused/unnamed/2025-01-01T00",
        "github/refused/unsigned/2025-01-01T00",
        "github/refused/unsigned/2025-01-01T01",
    ]


def test_every_reason_to_refuse_can_be_told(small: Ledger) -> None:
    url = small.settings.database_url
    with Inbox.open(url) as inbox:
        at = small.now
        inbox.refused.add(
            {Kind("github", one, at[:13]): Count(1, at, at) for one in deliveries.REFUSALS}
        )
    small.clock += timedelta(hours=2)
    assert drain(small).refused == len(deliveries.REFUSALS) == len(gaps(small))
    assert deliveries.REFUSALS.keys() > deliveries.SIGNED


def test_a_crash_between_telling_and_forgetting_tells_nothing_twice(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(client(ledger), "unsigned", "unsigned")
    ledger.clock += timedelta(hours=2)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RefusalCounts, "forget", crash)
        with pytest.raises(KeyboardInterrupt):
            drain(ledger)
    assert len(gaps(ledger)) == len(refusals(ledger)) == 1
    ledger.clock += timedelta(hours=1)
    assert drain(ledger).refused == 2
    assert (len(gaps(ledger)), refusals(ledger)) == (1, [])


def test_what_is_counted_after_its_hour_was_told_is_told_besides(ledger: Ledger) -> None:
    to = client(ledger)
    refuse(to, "unsigned")
    first = ledger.clock
    ledger.clock += timedelta(hours=2)
    with Inbox.open(ledger.settings.database_url) as inbox:
        assert len(inbox.refused.final("2025-01-01T02")) == 1
    ledger.clock = first
    refuse(to, "unsigned")
    ledger.clock += timedelta(hours=2)
    assert drain(ledger).refused == 2
    assert [one.count for one in gaps(ledger)] == [1, 1]


def test_many_count_and_tell_at_once_and_no_request_is_lost(ledger: Ledger) -> None:
    url = ledger.settings.database_url
    Inbox.open(url).close()
    early, late = "2025-01-01T00:00:00Z", "2025-01-01T03:00:00Z"

    def work(number: int) -> None:
        if number % 5 == 4:
            deliveries.drain(ledger.settings, clock=lambda: late)
        else:
            with Inbox.open(url) as inbox:
                inbox.refused.add({Kind("github", "unsigned", early[:13]): Count(1, early, early)})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(30)))
    deliveries.drain(ledger.settings, clock=lambda: late)
    assert sum(one.count for one in gaps(ledger)) == 24
    assert refusals(ledger) == []


def test_a_flood_of_refused_requests_costs_few_writes(
    small: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = []
    refuse = RefusalCounts.add

    def counted(counts: RefusalCounts, found: Any) -> None:
        writes.append(found)
        refuse(counts, found)

    monkeypatch.setattr(RefusalCounts, "add", counted)

    async def flood() -> None:
        counter = Counter(small.settings.database_url)
        await asyncio.gather(*(counter.note("github", "unsigned", small.now) for _ in range(500)))

    asyncio.run(flood())
    assert refusals(small) == [("github", "unsigned", 500)]
    assert len(writes) <= 2


def test_a_count_that_cannot_be_written_is_remembered_and_the_answer_still_given(
    small: Ledger,
) -> None:
    inbox = file_of(small.settings.database_url)
    inbox.mkdir()
    to = client(small)
    refuse(to, "unsigned")
    assert post(to, pull_request()).status_code == 503
    inbox.rmdir()
    refuse(to, "unsigned")
    assert refusals(small) == [("github", "not kept", 1), ("github", "unsigned", 2)]


def test_a_server_that_ends_writes_what_it_remembered(small: Ledger) -> None:
    inbox = file_of(small.settings.database_url)
    with client(small) as to:
        inbox.mkdir()
        refuse(to, "unsigned")
        inbox.rmdir()
    assert refusals(small) == [("github", "unsigned", 1)]


def test_nobody_chooses_what_is_counted_but_by_the_sender_and_the_reason(small: Ledger) -> None:
    small = small.replace(webhook=[])
    to = client(small)
    for kind in ("EVIL", "github"):
        assert (
            to.post(f"/webhooks/{kind}", content=b"EVIL", headers={"x": "EVIL"}).status_code == 404
        )
    assert refusals(small) == [("github", "unconfigured", 1)]


def test_an_inbox_of_before_counts_were_kept_is_upgraded(ledger: Ledger) -> None:
    post(client(ledger), pull_request())
    url = ledger.settings.database_url
    with Inbox.open(url) as inbox:
        inbox._connection.execute(f"drop table {inbox.beside('refusal')}")
    assert drain(ledger).read == 1
    with Inbox.open(url) as inbox:
        inbox._connection.execute(f"drop table {inbox.beside('refusal')}")
    refuse(client(ledger), "unsigned")
    assert refusals(ledger) == [("github", "unsigned", 1)]


def test_refused_requests_are_seen_in_feeds_timelines_and_reports(
    ledger: Ledger, tmp_path: Path
) -> None:
    refuse(client(ledger), "unsigned")
    ledger.clock += timedelta(hours=2)
    drain(ledger)
    assert ledger.rows("select feed, kind, gaps from feeds where kind <> 'projection'") == [
        ("github", "sender", 1)
    ]
    with ledger.store() as store:
        span = {"since": "2025-01-01T00:00:00Z", "until": "2025-01-02T00:00:00Z"}
        [feed] = timeline(store, **span, sources=[], now=ledger.now, patience=60).feeds
    assert (feed.feed, feed.kind, feed.gaps) == ("github", "receiver", 1)
    period = Period("2025-01", "2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z", "UTC")
    file = tmp_path / "report.html"
    issue(ledger.settings, "change-control-evidence", period, file=file, clock=lambda: ledger.now)
    text = " ".join(file.read_text("utf-8").split())
    assert (
        "1 gap meets the period: hours in which the receiver refused requests, which alone prove"
        in text
    )
    assert "1 request to /webhooks/github refused at 2025-01-01T00:00:00Z" in text
    assert "could not be read. Section 2.3" not in text


def test_the_server_tells_by_itself_of_hours_that_are_over(
    small: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "LOOK_SECONDS", 0.01)
    with client(small) as to:
        refuse(to, "unsigned")
        small.clock += timedelta(hours=2)
        for _ in range(5_000):
            if gaps(small):
                break
    assert [one.count for one in gaps(small)] == [1]


# -- connections ---------------------------------------------------------------------------------


@contextmanager
def served(ledger: Ledger) -> Iterator[str]:
    """The address of a server in a thread, as `ledger serve` runs it. Its socket listens from the start."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    app = build_app(ledger.settings, clock=lambda: ledger.now)
    server = uvicorn.Server(serving.configure(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(SECONDS)
        assert not thread.is_alive()


def answered(address: str, body: Any, path: str = "/webhooks/github") -> tuple[int, Json]:
    """What urllib is told, which sends everything before it listens."""
    raw = body if isinstance(body, bytes) else b""
    request = Request(f"http://{address}{path}", body, signed(raw, "d-1"))
    try:
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


BIG = b"x" * 30_000_000


def test_a_body_of_30_mb_gets_its_answer_and_the_server_goes_on(small: Ledger) -> None:
    pieces = (BIG[at : at + 1_000_000] for at in range(0, len(BIG), 1_000_000))
    with served(small) as address:
        for body in (BIG, pieces):
            status, answer = answered(address, body)
            assert status == 413
            assert "26,214,400 bytes" in answer["error"]
        assert answered(address, BIG, "/webhooks/nobody")[0] == 404
        assert answered(address, encoded(pull_request()))[0] == 202
        assert refusals(small) == [("github", "too large", 2)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
def test_curl_gets_the_answer_as_well(small: Ledger, tmp_path: Path, expect: str) -> None:
    (tmp_path / "big").write_bytes(BIG)
    with served(small) as address:
        done = subprocess.run(
            ["curl", "-sS", "-m", str(SECONDS), "-H", expect, "--data-binary", f"@{tmp_path / 'big'}",
             "-w", "%{http_code}", f"http://{address}/webhooks/github"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr, done.stdout[-3:]) == (0, "", "413")


def connection(address: str) -> socket.socket:
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), timeout=SECONDS)


def everything(opened: socket.socket) -> bytes:
    """What comes until the other side ends."""
    found = b""
    with suppress(ConnectionResetError):
        while part := opened.recv(65_536):
            found += part
    return found


def test_what_is_too_large_is_not_read_for_ever(
    small: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "DISCARD_SECONDS", 0.05)
    with served(small) as address, connection(address) as opened:
        opened.sendall(
            b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx"
        )
        assert everything(opened).startswith(b"HTTP/1.1 413 ")


def test_what_is_dropped_is_bounded() -> None:
    given = 0

    async def receive() -> Json:
        nonlocal given
        given += 1
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    async def drop() -> None:
        request = Asked({"type": "http", "headers": []}, receive)
        await bodies.Body(request, bodies.Room(1_000)).discard()

    asyncio.run(drop())
    assert given == 21


def test_bodies_that_come_together_share_a_limit_and_give_it_back(small: Ledger) -> None:
    app = build_app(small.replace(server=ServerSettings(max_body=1_000)).settings)
    scope = {"type": "http", "method": "POST", "path": "/webhooks/github", "headers": []}

    async def ask(full: asyncio.Event, sent: list[Json]) -> None:
        coming = [{"type": "http.request", "body": b"x" * 1_000, "more_body": True}]

        async def receive() -> Json:
            if coming:
                return coming.pop()
            await full.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(answer: Any) -> None:
            sent.append(answer)
            full.set()

        await app(scope | {"query_string": b"", "http_version": "1.1"}, receive, send)

    async def together() -> list[int]:
        full, answers = asyncio.Event(), [[] for _ in range(bodies.AT_ONCE + 1)]  # type: ignore[var-annotated]
        await asyncio.gather(*(ask(full, sent) for sent in answers))
        more: list[Json] = []
        await ask(full, more)
        return [sent[0]["status"] for sent in [*answers, more]]

    assert sorted(asyncio.run(together())) == [401] * (bodies.AT_ONCE + 1) + [503]
    assert refusals(small) == [("github", "busy", 1), ("github", "unsigned", bodies.AT_ONCE + 1)]


@pytest.mark.parametrize("begun", [b"", b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\n"])
def test_a_connection_that_brings_no_whole_head_is_ended(
    small: Ledger, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.05)
    with served(small) as address:
        with connection(address) as opened:
            opened.sendall(begun)
            assert everything(opened) == b""
        with connection(address) as opened:
            opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + begun)
            assert everything(opened).startswith(b"HTTP/1.1 200 ")


def test_a_request_may_take_longer_than_its_head(
    small: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    with served(small) as address, connection(address) as opened:
        opened.sendall(b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx")
        assert everything(opened).startswith(b"HTTP/1.1 408 ")


def test_headers_beyond_bounds_are_refused_and_the_server_goes_on(small: Ledger) -> None:
    with served(small) as address:
        with connection(address) as opened:
            opened.sendall(b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000)
            assert everything(opened)[:13] in (b"HTTP/1.1 400 ", b"")
        assert answered(address, encoded(pull_request()))[0] == 202


# -- ledger ingest -------------------------------------------------------------------------------


def run_ingest(ledger: Ledger, *arguments: str) -> Result:
    environment = {"LEDGER_CONFIG": str(ledger.settings.folder / "ledger.toml")}
    return CliRunner().invoke(cli, ["ingest", *arguments], env=environment)


def test_ingest_without_names_records_what_was_delivered(ledger: Ledger) -> None:
    to = client(ledger)
    post(to, pull_request(number=1), "d-1")
    post(to, pull_request(number=2), "d-2")
    done = run_ingest(ledger)
    assert (done.exit_code, done.stdout) == (0, "deliveries: 2 recorded, 2 new events\n")
    assert len(ledger.events(PullRequestMerged)) == 2
    assert ledger.rows("select count(*) from pull_requests") == [(2,)]
    assert (run_ingest(ledger).exit_code, run_ingest(ledger).stdout) == (0, "")


def test_ingest_of_a_source_leaves_deliveries_alone(small: Ledger) -> None:
    post(client(small), pull_request())
    assert run_ingest(small, "infra").exit_code != 0
    assert counts(small)[WAITING] == 1


def test_ingest_into_the_log_alone_leaves_the_projections_for_later(small: Ledger) -> None:
    post(client(small), pull_request())
    assert run_ingest(small, "--log-only").exit_code == 0
    assert len(small.events(PullRequestMerged)) == 1
    assert small.rows("select count(*) from pull_requests") == [(0,)]


def test_ingest_says_what_could_not_be_read_and_what_was_refused(small: Ledger) -> None:
    to = client(small)
    post(to, b"half", "bad-1")
    refuse(to, "unsigned", "unsigned")
    done = run_ingest(small)
    assert done.exit_code == 5
    assert done.stdout == (
        "deliveries: 1 recorded, nothing new\n"
        "deliveries: 2 requests were refused, see the view gaps\n"
    )
    assert done.stderr == "deliveries: 1 could not be read, see the view gaps\n"
    with Inbox.open(small.settings.database_url) as inbox:
        inbox.refused.add({Kind("github", "unsigned", "9999"): Count(1, "9999", "9999")})
    done = run_ingest(small)
    assert done.exit_code == 0
    assert "1 refused in an hour that is not over" in done.stdout


# -- starting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "ledger.example.com", ""])  # noqa: S104
def test_without_a_secret_nothing_listens_beyond_this_machine(host: str) -> None:
    with pytest.raises(UsageError, match="without a webhook secret"):
        webhooks.check_exposure(host, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_this_machine_a_server_may_listen_without_secrets(host: str) -> None:
    webhooks.check_exposure(host, {})


@pytest.mark.parametrize(
    ("webhook", "content", "reason"),
    [
        (WebhookSettings(kind="git", secret_file="s"), b"x", "deliveries of kind 'git'"),
        (WebhookSettings(kind="github", secret_file="absent"), b"x", "cannot be read"),
        (WebhookSettings(kind="github", secret_file="s"), b"\n", "is empty"),
    ],
)
def test_a_webhook_that_cannot_work_is_named_at_start(
    tmp_path: Path, webhook: WebhookSettings, content: bytes, reason: str
) -> None:
    ledger = make_ledger(tmp_path).replace(webhook=[webhook])
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        webhooks.senders(ledger.settings)


def test_a_port_in_use_is_named(small: Ledger) -> None:
    with running(small) as server:
        port = str(urlsplit(server.url).port)
        with running_process(small, "--port", port) as other:
            _, errors = other.communicate(timeout=SECONDS)
    assert other.returncode == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in errors


class Server(NamedTuple):
    """A running `ledger serve`."""

    process: subprocess.Popen[str]
    line: str
    url: str

    def ask(
        self, method: str, path: str, body: Any = None, headers: Any = None
    ) -> tuple[int, Json]:
        place = urlsplit(self.url)
        with closing(HTTPConnection(place.hostname or "", place.port, timeout=SECONDS)) as http:
            http.request(method, path, body, headers or {})
            answer = http.getresponse()
            return answer.status, json.loads(answer.read())

    def deliver(self, body: Json, delivery: str) -> int:
        raw = encoded(body)
        return self.ask("POST", "/webhooks/github", raw, signed(raw, delivery))[0]


@contextmanager
def running_process(ledger: Ledger, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"LEDGER_CONFIG": str(ledger.settings.folder / "ledger.toml")}
    command = [sys.executable, "-m", "ledger", "serve", *arguments]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def running(ledger: Ledger) -> Iterator[Server]:
    with running_process(ledger, "--port", "0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        yield Server(process, line, line.split()[2].rstrip(","))


@contextmanager
def log_locked(url: str) -> Iterator[None]:
    """Holds the lock that appending takes."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as db:
            db.execute("begin immediate")
            yield
            db.execute("rollback")
    else:
        with psycopg.connect(driver_url(url)) as connection:
            connection.execute("select size from log_head where id = 1 for update")
            yield
            connection.rollback()


def test_what_was_acknowledged_survives_kill_9_before_it_is_recorded(ledger: Ledger) -> None:
    url = ledger.settings.database_url
    with log_locked(url):
        with running(ledger) as server:
            assert server.deliver(pull_request(number=1), "d-1") == 202
            assert server.deliver(pull_request(number=2), "d-2") == 202
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(SECONDS)
        assert ledger.rows("select count(*) from log_event") == [(0,)]
    with running(ledger) as server:
        wait_until_recorded(lambda: server.ask("GET", "/readyz")[1])
        assert server.deliver(pull_request(number=1), "d-1") == 200
    assert len(ledger.events(PullRequestMerged)) == 2
    assert counts(ledger) == {WAITING: 0, DONE: 2, FAILED: 0}


def test_the_server_says_where_it_listens_and_ends_cleanly_on_sigterm(small: Ledger) -> None:
    with running(small) as server:
        assert server.line.startswith("Listening on http://127.0.0.1:")
        assert "/webhooks/github" in server.line
        assert server.ask("GET", "/healthz") == (200, {"status": "ok"})
        assert server.deliver(pull_request(), "d-1") == 202
        server.process.send_signal(signal.SIGTERM)
        out, errors = server.process.communicate(timeout=SECONDS)
    assert (server.process.returncode, out, errors) == (0, "", "")
    drain(small)
    assert len(small.events(PullRequestMerged)) == 1


def test_a_server_without_webhooks_says_so(tmp_path: Path) -> None:
    with running(make_ledger(tmp_path)) as server:
        assert "taking no deliveries" in server.line
        assert server.deliver(pull_request(), "d-1") == 404


def test_a_server_without_a_ledger_does_not_start(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    (tmp_path / "ledger.db").unlink()
    with running_process(ledger) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 7
    assert "ledger init" in errors
    assert "Traceback" not in errors


def test_a_server_beyond_this_machine_without_secrets_does_not_start(tmp_path: Path) -> None:
    with running_process(make_ledger(tmp_path), "--host", "0.0.0.0") as process:  # noqa: S104
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert "without a webhook secret" in errors


def test_an_unreadable_delivery_is_told_to_the_operator(
    small: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    post(client(small), b"half", "bad-1")
    with caplog.at_level(logging.WARNING):
        drain(small)
    assert "delivery bad-1 of github" in caplog.text


# -- ledger import -------------------------------------------------------------------------------


def run_import(ledger: Ledger, *arguments: str) -> Result:
    environment = {"LEDGER_CONFIG": str(ledger.settings.folder / "ledger.toml")}
    return CliRunner().invoke(cli, ["import", *arguments], env=environment)


def test_import_tells_what_is_new_and_what_is_ignored(small: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "story.jsonl"
    bodies = [pull_request("opened"), pull_request("closed"), {"zen": "x", "hook_id": 1}]
    file.write_text("\n".join(map(json.dumps, bodies)))
    done = run_import(small, "github", str(file))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "github: 2 new events; 1 of the values tells nothing that is recorded\n"
    assert run_import(small, "github", str(file)).stdout.startswith("github: nothing new")
    assert len(small.events(PullRequestOpened, PullRequestMerged)) == 2


def test_import_names_what_it_could_not_read_each_time(small: Ledger, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"action": ')
    (tmp_path / "good.json").write_text(json.dumps(pull_request()))
    files = [str(tmp_path / name) for name in ("bad.json", "good.json")]
    for _ in range(2):
        done = run_import(small, "github", *files)
        assert done.exit_code == 5
        assert done.stderr == "not read: bad.json, line 1: no JSON: it is cut off\n"
    assert len(small.events(PullRequestMerged)) == len(small.events(CollectorGap)) == 1


def test_import_of_an_absent_file_or_kind_is_a_question_that_cannot_be_understood(
    small: Ledger, tmp_path: Path
) -> None:
    assert run_import(small, "github", str(tmp_path / "absent.json")).exit_code == 2
    assert run_import(small, "github").exit_code == 2
    (tmp_path / "a.json").write_text("{}")
    failed = run_import(small, "svn", str(tmp_path / "a.json"))
    assert isinstance(failed.exception, UsageError)
    assert small.events() == []
