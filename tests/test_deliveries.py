"""Deliveries of every sender: what is acknowledged is recorded once, in whatever order it comes.

A short run always. LEDGER_DELIVERIES=2000 sends as many while the server is killed, LEDGER_DELIVERY_SEED=N
others:

    LEDGER_DELIVERIES=2000 python -m pytest tests/test_deliveries.py -k killed
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from datetime import timedelta
from functools import cache
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from ledger import deliveries, registry
from ledger.config import WebhookSettings
from ledger.errors import LedgerError, StoreError
from ledger.events import CollectorGap, PullRequestMerged
from ledger.store import schema
from ledger.store.inbox import ACCEPTED, CONFLICTING, DONE, FAILED, WAITING, Arrival, Inbox, file_of
from ledger.testing import Ledger, make_ledger
from ledger.verify import Verifier
from ledger.web.keeping import Keeper

SENT = int(os.environ.get("LEDGER_DELIVERIES") or 200)
SEED = int(os.environ.get("LEDGER_DELIVERY_SEED") or 1)
CLIENTS, KILLS = 16, 3
MOST = 30_000  # bytes of a body
SLOW = 120
Json = dict[str, Any]


@cache
def senders() -> ModuleType:
    """The samples of tests/test_senders.py."""
    spec = importlib.util.spec_from_file_location(
        "senders", Path(__file__).with_name("test_senders.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_webhooks(ledger: Ledger) -> Ledger:
    """The ledger with a secret for every kind of sender, in its file as well."""
    kinds = sorted({one.kind for one in senders().SENDERS.values()})
    folder = ledger.settings.folder
    (folder / "secret").write_bytes(senders().SECRET)
    with (folder / "ledger.toml").open("a") as file:
        for kind in kinds:
            file.write(f'\n[[webhook]]\nkind = "{kind}"\nsecret_file = "secret"\n')
        file.write(f"\n[server]\nmax_body = {MOST}\n")
    return ledger.replace(
        webhook=[WebhookSettings(kind=kind, secret_file="secret") for kind in kinds]
    )


# -- killed --------------------------------------------------------------------------------------


class Sent(NamedTuple):
    """One request, the statuses that are right for it, and the pull request that it tells of, if any."""

    kind: str
    headers: dict[str, str]
    body: bytes
    right: tuple[int, ...]
    number: int = 0
    delivery: str = ""


def renumbered(value: Any, number: int) -> Any:
    """A body of the samples, whose pull request is number 7, with another."""
    if isinstance(value, dict):
        return {name: renumbered(part, number) for name, part in value.items()}
    if isinstance(value, list):
        return [renumbered(part, number) for part in value]
    return number if value == 7 and not isinstance(value, bool) else value


def request(name: str, number: int, delivery: str, **changes: Any) -> Sent:
    """A delivery that tells of the merge of a pull request, as a sender makes it."""
    sender = senders().SENDERS[name]
    body = json.dumps(sender.named(renumbered(sender.body, number), delivery) | changes).encode()
    headers = sender.headers(body, delivery)
    if "webhook-timestamp" in headers:
        headers = senders().standard_webhook(body, delivery, int(time.time()))
    headers = {"Content-Type": "application/json", **headers}
    return Sent(sender.kind, headers, body, (202,), number, delivery)


def unsigned(one: Sent) -> Sent:
    proof = ("signature", "token", "authorization")
    bare = {
        name: value
        for name, value in one.headers.items()
        if not any(word in name.lower() for word in proof)
    }
    return Sent(one.kind, bare, one.body, (401,))


def half(name: str, number: int) -> Sent:
    """A signed body that is cut off; senders whose bodies hold the delivery's id then have none."""
    sender, delivery = senders().SENDERS[name], f"half-{number}"
    whole = request(name, number, delivery)
    body = whole.body[:-9]
    headers = sender.headers(body, delivery)
    if "webhook-timestamp" in headers:
        headers = senders().standard_webhook(body, delivery, int(time.time()))
    return Sent(sender.kind, {**whole.headers, **headers}, body, (400,), delivery=delivery)


def traffic(chance: random.Random) -> list[Sent]:
    """What is sent: good deliveries of all senders in turn, and bad ones of each kind among them."""
    names = list(senders().SENDERS)
    found: list[Sent] = []
    for number in range(100, 100 + SENT):
        name = names[number % len(names)]
        good = request(name, number, f"d-{number}")
        found.append(good)
        bad = chance.randrange(12)
        if bad == 0:
            found.append(unsigned(request(name, number, f"bare-{number}")))
        elif bad == 1:
            found.append(half(name, number))
        elif bad == 2:
            found.append(good._replace(body=b" " * (MOST + 1), right=(413,), number=0))
        elif bad == 3:  # again: whichever comes second is known
            found[-1] = again = good._replace(right=(200, 202))
            found.insert(chance.randrange(len(found)), again)
        elif bad == 4:
            found.append(good._replace(kind="nobody", right=(404,), number=0))
    return found


class Running:
    """`ledger serve` on one port, killed and started again by whoever has its answer at that moment."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self._up = threading.Event()
        self._turn = threading.Lock()
        self.kills = 0
        self._start()

    def _start(self) -> None:
        environment = os.environ | {
            "LEDGER_CONFIG": str(self._ledger.settings.folder / "ledger.toml")
        }
        command = [sys.executable, "-m", "ledger", "serve", "--port", str(self._port)]
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line
        self._port = int(line.split()[2].rstrip(",").rpartition(":")[2])
        self._up.set()

    def kill(self) -> None:
        with self._turn:
            self._up.clear()
            self.end(signal.SIGKILL)
            self.kills += 1
            self._start()

    def end(self, how: signal.Signals) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.send_signal(how)
        self._process.wait(SLOW)
        self._process.stdout.close()

    def ask(self, method: str, path: str, body: bytes = b"", headers: Any = None) -> Any:
        """(status, answer); OSError or HTTPException where the server was killed meanwhile."""
        assert self._up.wait(SLOW)
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=SLOW)) as http:
            http.request(method, path, body, headers or {})
            answer = http.getresponse()
            return answer.status, json.loads(answer.read())


@contextmanager
def running(ledger: Ledger) -> Iterator[Running]:
    server = Running(ledger)
    try:
        yield server
    finally:
        server.end(signal.SIGKILL)


def send_all(server: Running, sent: Sequence[Sent]) -> tuple[list[tuple[Sent, int]], list[Sent]]:
    """(what was answered and how, what had no answer), with kills spread over the time."""
    answered: list[tuple[Sent, int]] = []
    lost: list[Sent] = []
    kill_at = {len(sent) * (turn + 1) // (KILLS + 1) for turn in range(KILLS)}
    done = count(1)

    def send(mine: Sequence[Sent]) -> None:
        for one in mine:
            try:
                path = f"/webhooks/{one.kind}"
                answered.append((one, server.ask("POST", path, one.body, one.headers)[0]))
            except (OSError, HTTPException):
                lost.append(one)
            if next(done) in kill_at:
                server.kill()

    threads = [threading.Thread(target=send, args=[sent[at::CLIENTS]]) for at in range(CLIENTS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return answered, lost


def wait_until_recorded(server: Running) -> Json:
    for _ in range(100_000):
        counts: Json = server.ask("GET", "/readyz")[1]["deliveries"]
        if counts[WAITING] == 0:
            return counts
    pytest.fail("deliveries are not recorded")


@pytest.mark.slow
def test_what_was_acknowledged_while_the_server_was_killed_again_and_again_is_recorded_once(
    tmp_path: Path, database_url: str
) -> None:
    ledger = with_webhooks(make_ledger(tmp_path, database=database_url))
    sent = traffic(random.Random(SEED))  # noqa: S311 (the same each time)
    with running(ledger) as server:
        answered, lost = send_all(server, sent)
        counts = wait_until_recorded(server)
        assert server.kills == KILLS
    assert len(answered) + len(lost) == len(sent)
    assert len(lost) <= KILLS * CLIENTS, "only what was under way had no answer"

    wrong = [(one.kind, one.delivery, one.right, told) for one, told in answered
             if told not in one.right]  # fmt: skip
    assert wrong == []
    merged = Counter(one.data.pull_request.number for one in ledger.events(PullRequestMerged)
                     if isinstance(one.data, PullRequestMerged))  # fmt: skip
    acknowledged = {one.number for one, told in answered if told in (200, 202)}
    assert acknowledged <= merged.keys() <= {one.number for one in sent}
    assert set(merged.values()) == {1}

    gaps = Counter(one.key for one in ledger.events(CollectorGap) if "/delivery/" in one.key)
    half_named = {f"{one.kind}/delivery/{one.delivery}" for one in sent if one.right == (400,)}
    assert gaps.keys() <= half_named
    assert gaps.total() == len(gaps) == counts[FAILED] > 0
    assert counts[DONE] == len(merged)
    with ledger.store() as store:
        assert list(Verifier(store).log()) == []
    refused = sum(told in (401, 413) for _, told in answered)
    with Inbox.open(database_url) as inbox:
        assert refused <= inbox.refused.counting()


# -- any order -----------------------------------------------------------------------------------

FIRST, SECOND = "a" * 40, "b" * 40
TIMES = [f"2026-03-0{day}T10:00:00Z" for day in range(1, 8)]
Told = tuple[str, dict[str, str], Json]


def github_story(kind: str, page: str, header: str) -> Iterator[Told]:
    """Opened, approved, pushed to, refused, dismissed, approved again, merged: as GitHub and Gitea tell."""
    people = {name: {"login": name, "type": "User"} for name in ("ann", "bob", "carol")}

    def told(event: str, action: str, by: str, at: str, head: str, **more: Any) -> Told:
        body: Json = deepcopy(senders().like_github(page))
        pull = body["pull_request"] | {
            "head": {"sha": head, "ref": "work"},
            "created_at": TIMES[0],
            "updated_at": at,
        }
        if action != "closed":
            pull |= {"state": "open", "merged": False, "merged_at": None, "merged_by": None}
            pull["merge_commit_sha"] = None
        body |= {"action": action, "pull_request": pull, "sender": people[by]} | more
        return kind, {"content-type": "application/json", header: event}, body

    def review(number: int, by: str, state: str, at: str, head: str) -> Json:
        return {
            "id": number,
            "user": people[by],
            "state": state,
            "commit_id": head,
            "submitted_at": at,
            "html_url": f"{page}/pulls/7#review-{number}",
            "type": f"pull_request_review_{state}",
        }

    push = "synchronized" if kind == "gitea" else "synchronize"
    yield told("pull_request", "opened", "ann", TIMES[0], FIRST)
    for number, by, state, at, head in (
        (1, "bob", "approved", TIMES[1], FIRST),
        (2, "carol", "changes_requested", TIMES[3], SECOND),
        (3, "bob", "approved", TIMES[5], SECOND),
    ):
        given = review(number, by, state, at, head)
        event = "pull_request_review" if kind == "github" else f"pull_request_{state}"
        yield told(event, "submitted", by, at, head, review=given)
    yield told("pull_request", push, "ann", TIMES[2], SECOND, before=FIRST, after=SECOND)
    dismissed = review(2, "carol", "dismissed", TIMES[3], SECOND)
    yield told("pull_request_review", "dismissed", "bob", TIMES[4], SECOND, review=dismissed)
    yield told("pull_request", "closed", "bob", TIMES[6], SECOND)


def gitlab_story() -> Iterator[Told]:
    """The same of a merge request."""
    people = {name: {"id": at, "username": name} for at, name in enumerate(("ann", "bob"), 1)}
    for action, by, at, head, more in (
        ("open", "ann", TIMES[0], FIRST, {}),
        ("approved", "bob", TIMES[1], FIRST, {}),
        ("update", "ann", TIMES[2], SECOND, {"oldrev": FIRST}),
        ("unapproved", "bob", TIMES[3], SECOND, {}),
        ("approved", "bob", TIMES[5], SECOND, {}),
        ("merge", "bob", TIMES[6], SECOND, {}),
    ):
        body = deepcopy(senders().GITLAB) | {"user": people[by]}
        body["object_attributes"] |= {
            "action": action,
            "state": "merged" if action == "merge" else "opened",
            "last_commit": {"id": head},
            "created_at": TIMES[0],
            "updated_at": at,
            "merge_commit_sha": senders().MERGE if action == "merge" else None,
        } | more
        yield "gitlab", {"x-gitlab-event": "Merge Request Hook"}, body


def bitbucket_story() -> Iterator[Told]:
    """The same as Bitbucket Cloud tells it."""
    bob = {"account_id": "bob", "type": "user"}
    for event, at, head, more in (
        ("created", TIMES[0], FIRST, {}),
        ("approved", TIMES[1], FIRST, {"approval": {"date": TIMES[1], "user": bob}}),
        ("updated", TIMES[2], SECOND, {}),
        ("approved", TIMES[4], SECOND, {"approval": {"date": TIMES[4], "user": bob}}),
        ("fulfilled", TIMES[6], SECOND, {}),
    ):
        body: Json = deepcopy(senders().BITBUCKET) | more
        body["pullrequest"] |= {"updated_on": at, "created_on": TIMES[0]}
        body["pullrequest"]["source"]["commit"]["hash"] = head[:12]
        if event != "fulfilled":
            body["pullrequest"] |= {"state": "OPEN", "merge_commit": None, "closed_by": None}
        yield "bitbucket", {"x-event-key": f"pullrequest:{event}"}, body


def stories() -> list[Told]:
    """What all senders tell, and what others tell of a merge alone."""
    gitea = "https://git.example.org/acme/infra"
    found = [
        *github_story("github", "https://github.com/acme/infra", "x-github-event"),
        *github_story("gitea", gitea, "x-gitea-event"),
        *gitlab_story(),
        *bitbucket_story(),
    ]
    for name, sender in senders().SENDERS.items():
        if sender.kind in ("bitbucket_datacenter", "azure_devops"):
            raw = json.dumps(sender.body).encode()
            headers = {key.lower(): text for key, text in sender.headers(raw, "d").items()}
            found.append((sender.kind, headers, sender.named(sender.body, name)))
    return found


OPERATIONAL = {"events", "feeds", "gaps", "projections", "tree_heads"}  # of the log and its order
APART = {"evidence_position", "recorded_at", "position", "first_position"}


def projected(ledger: Ledger) -> dict[str, list[str]]:
    """Every row of every projection and view, but for where in the log it stands and since when."""
    columns = {schema.table_name(table): table.columns
               for one in registry.projections() for table in one.tables}  # fmt: skip
    columns |= {view.name: tuple(view.columns) for view in schema.views()}
    with ledger.store() as store:
        return {
            name: sorted(map(repr, store.connection.rows(f"select {', '.join(kept)} from {name}")))
            for name, found in columns.items()
            if name not in OPERATIONAL and (kept := [one for one in found if one not in APART])
        }


def deliver(ledger: Ledger, told: Sequence[Told], parts: int) -> dict[str, list[str]]:
    """What is projected when these came in this order, recorded in so many parts."""
    number = count()
    for at in range(parts):
        mine = told[len(told) * at // parts : len(told) * (at + 1) // parts]
        with Inbox.open(ledger.settings.database_url) as inbox:
            states = inbox.accept_all(
                [
                    Arrival(
                        kind, f"d-{next(number)}", ledger.now, headers, json.dumps(body).encode()
                    )
                    for kind, headers, body in mine
                ]
            )
        assert CONFLICTING not in states
        ledger.clock += timedelta(minutes=1)
        done = deliveries.drain(ledger.settings, clock=lambda: ledger.now)
        assert (done.read, done.unreadable) == (len(mine), 0)
    return projected(ledger)


def differences(found: dict[str, list[str]], wanted: dict[str, list[str]]) -> list[Any]:
    return [
        (name, [row for row in found[name] if row not in wanted[name]],
         [row for row in wanted[name] if row not in found[name]])
        for name in wanted if found[name] != wanted[name]
    ]  # fmt: skip


orders = st.tuples(
    st.permutations(range(len(stories()))),
    st.lists(st.integers(0, len(stories()) - 1), max_size=6),
    st.integers(1, 3),
)


@cache
def in_order() -> dict[str, list[str]]:
    """What is projected of the stories as they happened, recorded at once."""
    with tempfile.TemporaryDirectory() as folder:
        return deliver(make_ledger(Path(folder)), stories(), 1)


def check_order(ledger: Ledger, order: tuple[Sequence[int], Sequence[int], int]) -> None:
    permuted, again, parts = order
    told = stories()
    found = deliver(ledger, [told[one] for one in [*permuted, *again]], parts)
    assert differences(found, in_order()) == []


@given(orders)
@settings(max_examples=12)
def test_deliveries_of_all_senders_in_any_order_and_again_are_projected_alike(
    order: tuple[Sequence[int], Sequence[int], int],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_order(make_ledger(Path(folder)), order)


@given(orders)
@settings(max_examples=2)
def test_they_are_on_postgresql_as_well(
    postgres_server: Path, order: tuple[Sequence[int], Sequence[int], int]
) -> None:
    with tempfile.TemporaryDirectory() as folder, empty_database(postgres_server) as url:
        check_order(make_ledger(Path(folder), database=url), order)


def test_the_stories_tell_what_they_seem_to() -> None:
    """So that the tests above compare something."""
    rows = in_order()
    assert len(rows["pull_requests"]) == 6
    assert len(rows["reviews"]) >= 7


@contextmanager
def empty_database(server: Path) -> Iterator[str]:
    """A database for one example."""
    name = sql.Identifier(f"order_{next(_numbers)}")
    with psycopg.connect(
        f"postgresql://postgres@/postgres?host={server}", autocommit=True
    ) as admin:
        admin.execute(sql.SQL("create database {}").format(name))
        yield f"postgresql://postgres@/{name._obj[0]}?host={server}"
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


_numbers = count(1)


# -- keeping and recording -------------------------------------------------------------------------


def arrival(number: int, **changes: Any) -> Arrival:
    """A delivery of GitHub that tells of a merge."""
    one = request("github", number, f"d-{number}")
    headers = {name.lower(): text for name, text in one.headers.items()}
    return Arrival("github", one.delivery, "2025-01-01T00:00:00Z", headers, one.body)._replace(
        **changes
    )


def keep_together(keeper: Keeper, arrivals: Sequence[Arrival]) -> list[Any]:
    """What each gets that comes at once with the others."""

    async def keep() -> list[Any]:
        found = await asyncio.gather(*map(keeper.keep, arrivals), return_exceptions=True)
        await keeper.close()
        return found

    return asyncio.run(keep())


def test_what_comes_at_once_is_kept_by_few_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = make_ledger(tmp_path)
    writes: list[int] = []
    accept_all = Inbox.accept_all

    def counted(inbox: Inbox, arrivals: Sequence[Arrival]) -> list[str]:
        writes.append(len(arrivals))
        return accept_all(inbox, arrivals)

    monkeypatch.setattr(Inbox, "accept_all", counted)
    keeper = Keeper(ledger.settings.database_url)
    assert keep_together(keeper, [arrival(one) for one in range(100, 300)]) == [ACCEPTED] * 200
    assert len(writes) <= 2


def test_one_that_the_database_does_not_take_fails_alone(tmp_path: Path, database_url: str) -> None:
    ledger = make_ledger(tmp_path, database=database_url)
    arrivals = [arrival(one) for one in range(100, 110)]
    arrivals[4] = arrivals[4]._replace(delivery="lone \ud800 surrogate")
    found = keep_together(Keeper(ledger.settings.database_url), arrivals)
    assert isinstance(found.pop(4), StoreError)
    assert found == [ACCEPTED] * 9


def test_an_inbox_that_is_moved_away_takes_nothing_more(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    url = ledger.settings.database_url
    keeper = Keeper(url)

    async def keep() -> list[str]:
        states = [await keeper.keep(arrival(100))]
        file_of(url).rename(tmp_path / "elsewhere")
        states.append(await keeper.keep(arrival(101)))
        await keeper.close()
        return states

    assert asyncio.run(keep()) == [ACCEPTED] * 2
    with Inbox.open(url) as inbox:
        assert inbox.counts()[WAITING] == 1


def test_what_was_tried_before_is_tried_alone(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    with Inbox.open(ledger.settings.database_url) as inbox:
        inbox.accept_all([arrival(one) for one in (100, 101, 102)])
        waiting = inbox.waiting()
        assert [one.number for one in inbox.take(waiting)] == waiting
        assert [one.number for one in inbox.take(waiting)] == waiting[:1]
        inbox.accept_all([arrival(103)])
        assert inbox.take(inbox.waiting())[0].delivery == "d-103"


def test_a_recording_process_that_is_killed_costs_one_try(tmp_path: Path) -> None:
    ledger = with_webhooks(make_ledger(tmp_path))
    apart = deliveries.Apart(ledger.settings)
    with Inbox.open(ledger.settings.database_url) as inbox:
        inbox.accept_all([arrival(100)])
        apart.drain()
        assert inbox.counts()[DONE] == 1
        assert apart._process is not None
        apart._process.kill()
        apart._process.join()
        inbox.accept_all([arrival(101)])
        with pytest.raises(LedgerError, match="recording deliveries"):
            apart.drain()
        apart.drain()
        assert inbox.counts()[DONE] == 2
    apart.stop()
