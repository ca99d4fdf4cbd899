"""What is refused gets a clear answer and is counted, so that nobody can fill the ledger with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from ledger.errors import LedgerError
from ledger.store.inbox import Inbox
from ledger.store.refusals import Count, Kind
from ledger.web.bodies import Body

_log = logging.getLogger("ledger.web")


class Refused(Exception):  # noqa: N818 (it becomes an answer)
    """A request that is not accepted: the status, whose fault it is and what to do.

    `reason` is one of `deliveries.REFUSALS`, under which it is counted; empty where it is not.
    """

    def __init__(self, status: int, error: str, hint: str, *, reason: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.hint = hint
        self.reason = reason


class Refusal(JSONResponse):
    """The answer. It goes out at once, and the connection ends when the body was read and dropped.

    Ending it earlier would reset it, and clients that send all before they listen would see no answer.
    """

    def __init__(self, refused: Refused, body: Body) -> None:
        super().__init__(
            {"error": refused.error, "hint": refused.hint},
            refused.status,
            {"connection": "close"},
        )
        self._rest = body

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answers, reads on within bounds, and ends."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send(start | {"headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        await self._rest.discard()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Counter:
    """Counts what is refused in the inbox, durably before it is answered.

    One write takes all that came while the one before it was made, so that a flood of requests costs few
    writes and one thread. Where the inbox cannot be written, the counts stay in memory for the next try.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: dict[Kind, Count] = {}
        self._writing = asyncio.Lock()
        self._came = self._tried = 0

    async def note(self, sender: str, reason: str, at: str) -> None:
        """Counts one request. Returns when it is kept, or when that was tried."""
        self._add({Kind(sender, reason, at[:13]): Count(1, at, at)})
        self._came += 1
        mine = self._came
        async with self._writing:
            if self._tried < mine:
                await self._write()

    async def flush(self) -> None:
        """Keeps what could not be kept before."""
        async with self._writing:
            if self._waiting:
                await self._write()

    async def _write(self) -> None:
        counts, self._waiting, self._tried = self._waiting, {}, self._came
        try:
            await run_in_threadpool(_keep, self._url, counts)
        except LedgerError as error:
            self._add(counts)
            _log.error("refused requests could not be counted, they are remembered: %s", error)

    def _add(self, counts: Mapping[Kind, Count]) -> None:
        for kind, count in counts.items():
            known = self._waiting.get(kind)
            self._waiting[kind] = known.plus(count) if known else count


def _keep(url: str, counts: Mapping[Kind, Count]) -> None:
    with Inbox.open(url) as inbox:
        inbox.refused.add(counts)
