"""How the application is served: the limits of a connection, whoever opens it."""

from __future__ import annotations

import asyncio

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
CONNECTIONS = 256


class HurriedProtocol(H11Protocol):
    """Ends a connection that does not bring the whole head of a request in time.

    uvicorn waits for it without end, so that as many half heads as there may be connections would keep
    everybody else out.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Gives the first request its time."""
        super().connection_made(transport)
        self._await_head()

    def on_response_complete(self) -> None:
        """Gives the next request its time."""
        self._await_head()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._end_without_head)

    def _end_without_head(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self.transport.close()


def configure(application: FastAPI) -> uvicorn.Config:
    """The server's configuration. It says nothing of itself, and logs what goes wrong only."""
    return uvicorn.Config(
        application,
        http=HurriedProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=10,
    )
