"""The receiver's rate beside a bare handler that keeps one row durably for each request."""

from __future__ import annotations

import hmac
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks._figures import PLAIN_GIT, Bar, FailedError, Figure, not_measured, rate, value
from benchmarks._places import LEDGER, ROOT, Place, ledger
from ledger.store.inbox import WAITING, Inbox

SENT, CLIENTS, WARMING = 2_000, 16, 200
SECRET: Final = b"correct horse battery staple"
PEER = "a bare handler"
BARE = [sys.executable, "-m", "benchmarks._bare"]
PADDING = "x" * 18_000  # GitHub describes the repository and every person in 100 fields each


def measure(place: Place) -> list[Figure]:
    """Two rows for each database: what is acknowledged, and what is in the log in the same time."""
    figures = _compared("SQLite", place, lambda name: f"sqlite:///{place.new(name)}.db")
    try:
        figures += _compared("PostgreSQL", place, lambda _: place.new_postgres())
    except (FailedError, OSError) as error:
        figures.append(not_measured("deliveries, PostgreSQL", error))
    return figures


def _compared(kind: str, place: Place, database: Callable[[str], str]) -> list[Figure]:
    requests = [_request(number) for number in range(WARMING + SENT)]
    ours: list[float] = []
    theirs: list[float] = []
    recorded: list[float] = []
    for number in range(place.rounds):
        for side in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
            if side == "theirs":
                with _serving([*BARE, database("bare")], ROOT) as line:
                    theirs.append(_rate(int(line), requests))
            else:
                accepted, told = _received(place, database("deliveries"), requests)
                ours.append(accepted)
                recorded.append(told)
    what = f"deliveries, {CLIENTS} clients, {kind}"
    return [
        rate(f"{what}: acknowledged", ours, PEER, theirs, Bar(least=0.5, unit=" times")),
        value(f"{what}: until all are in the log and the views", recorded, "/s", Bar()),
    ]


def _received(place: Place, database: str, requests: Sequence[bytes]) -> tuple[float, float]:
    """(acknowledged, recorded) deliveries a second."""
    folder = place.new("receiver")
    folder.mkdir()
    ledger(folder, "init", "--database", database)
    (folder / "secret").write_bytes(SECRET)
    with (folder / "ledger.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[webhook]]\nkind = "github"\nsecret_file = "secret"\n')
    with _serving([*LEDGER, "serve", "--port", "0"], folder) as line:
        port = int(line.split()[2].rstrip(",").rpartition(":")[2])
        accepted = _rate(port, requests)
        start = time.perf_counter()
        with Inbox.open(database) as inbox:
            while inbox.counts()[WAITING]:
                time.sleep(0.02)
            kept = sum(inbox.counts().values())
    if kept != len(requests):
        raise FailedError(f"{len(requests)} deliveries were acknowledged, {kept} are kept")
    return accepted, SENT / (SENT / accepted + time.perf_counter() - start)


@contextmanager
def _serving(command: Sequence[str], folder: Path) -> Iterator[str]:
    """The first line that a server says, which runs meanwhile."""
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **PLAIN_GIT, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise FailedError(f"{' '.join(command[1:4])} does not start")
            yield line
        finally:
            process.kill()


def _request(number: int) -> bytes:
    body = json.dumps(_body(number)).encode()
    head = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-GitHub-Event": "pull_request",
        "X-GitHub-Delivery": f"delivery-{number}",
        "X-Hub-Signature-256": f"sha256={hmac.digest(SECRET, body, 'sha256').hex()}",
    }
    lines = "".join(f"{name}: {text}\r\n" for name, text in head.items())
    return f"POST /webhooks/github HTTP/1.1\r\n{lines}\r\n".encode() + body


def _body(number: int) -> dict[str, Any]:
    page = "https://github.com/acme/infra"
    person = {"login": "mona", "type": "User"}
    at = "2026-03-01T10:09:00Z"
    return {
        "action": "closed",
        "number": number + 1,
        "pull_request": {
            "number": number + 1,
            "html_url": f"{page}/pull/{number}",
            "title": f"Raise the limit of service {number}",
            "user": {"login": "ann", "type": "User"},
            "state": "closed",
            "merged": True,
            "merged_at": at,
            "merge_commit_sha": f"{number:040x}",
            "merged_by": person,
            "head": {"ref": "limit", "sha": f"{number + 1_000_000:040x}"},
            "base": {"ref": "main", "sha": "c" * 40},
            "created_at": at,
            "updated_at": at,
        },
        "repository": {"full_name": "acme/infra", "html_url": page, "description": PADDING},
        "sender": person,
    }


def _rate(port: int, requests: Sequence[bytes]) -> float:
    """Acknowledged requests a second, each client on a connection of its own."""
    _send_all(port, requests[:WARMING])
    start = time.perf_counter()
    _send_all(port, requests[WARMING:])
    return SENT / (time.perf_counter() - start)


def _send_all(port: int, requests: Sequence[bytes]) -> None:
    failures: list[str] = []

    def send(mine: Sequence[bytes]) -> None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as opened:
                for one in mine:
                    opened.sendall(one)
                    answer = _answer(opened)
                    if not answer.startswith(b"HTTP/1.1 202 "):
                        raise FailedError(answer.decode("latin-1").splitlines()[0])
        except (OSError, FailedError) as error:
            failures.append(str(error))

    threads = [
        threading.Thread(target=send, args=[requests[one::CLIENTS]]) for one in range(CLIENTS)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if failures:
        raise FailedError(f"a request was not acknowledged: {failures[0]}")


def _answer(opened: socket.socket) -> bytes:
    """The whole answer to one request."""
    found = b""
    while part := opened.recv(65_536):
        found += part
        head, mark, rest = found.partition(b"\r\n\r\n")
        if mark:
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            if len(rest) >= length:
                break
    return found
