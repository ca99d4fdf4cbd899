"""A bare handler on the receiver's own framework and server: it keeps each body durably, and nothing else.

    python -m benchmarks._bare DATABASE_URL

As quick as it is written by hand: one connection behind a lock on SQLite, where writers would only wait
for each other, and one for each thread on PostgreSQL, which then syncs for several at once.
"""

from __future__ import annotations

import socket
import sqlite3
import sys
import threading
from collections.abc import Callable

import psycopg
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from ledger.web import serving

Keep = Callable[[bytes], None]


def main() -> None:
    """Serves until it is killed; the first line of its output is its port."""
    url = sys.argv[1]
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listening.getsockname()[1], flush=True)
    keep = _on_sqlite(url[10:]) if url.startswith("sqlite:///") else _on_postgres(url)
    uvicorn.Server(serving.configure(_build(keep))).run(sockets=[listening])


def _build(keep: Keep) -> FastAPI:
    app = FastAPI()

    @app.post("/webhooks/{kind}")
    async def receive(kind: str, request: Request) -> JSONResponse:
        await run_in_threadpool(keep, await request.body())
        return JSONResponse({"kind": kind}, 202)

    return app


def _on_sqlite(path: str) -> Keep:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("pragma journal_mode = wal")
    database.execute("pragma synchronous = full")
    database.execute("create table body (number integer primary key, body blob not null)")
    alone = threading.Lock()

    def keep(body: bytes) -> None:
        with alone:
            database.execute("insert into body (body) values (?)", [body])

    return keep


def _on_postgres(url: str) -> Keep:
    mine = threading.local()
    with psycopg.connect(url) as connection:
        connection.execute("create table body (number serial primary key, body bytea not null)")

    def keep(body: bytes) -> None:
        if not hasattr(mine, "connection"):
            mine.connection = psycopg.connect(url, autocommit=True)
        mine.connection.execute("insert into body (body) values (%s)", [body])

    return keep


if __name__ == "__main__":
    main()
