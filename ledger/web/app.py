"""The web application. It serves signed webhooks and its own health; nobody reads through it yet."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from ledger import __version__
from ledger.clock import utc_now
from ledger.config import Settings
from ledger.deliveries import Apart, Drainer
from ledger.errors import LedgerError
from ledger.ingest import Clock
from ledger.store import Store
from ledger.store.inbox import Inbox
from ledger.web import webhooks
from ledger.web.keeping import Keeper
from ledger.web.refusals import Counter

_log = logging.getLogger("ledger.web")


def build_app(settings: Settings, *, clock: Clock = utc_now, apart: bool = False) -> FastAPI:
    """The application over a ledger. Deliveries are recorded while its lifespan runs.

    With `apart` another process records them, by the clock of the machine.

    Raises UsageError where a webhook of the configuration cannot be used.
    """
    drainer = Drainer(settings, clock, Apart(settings) if apart else None)
    counter = Counter(settings.database_url)
    keeper = Keeper(settings.database_url)
    found = webhooks.senders(settings)
    receiver = webhooks.Receiver(settings, found, clock, counter, keeper, drainer.wake)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        drainer.start()
        yield
        await counter.flush()
        await keeper.close()
        await run_in_threadpool(drainer.stop)

    app = FastAPI(
        title="ledger",
        summary="An event-sourced audit and deployment ledger for GitOps",
        version=__version__,
        docs_url=None,  # its pages would fetch scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(webhooks.router(receiver))
    _add_health(app, settings)
    return app


def _add_health(app: FastAPI, settings: Settings) -> None:
    @app.get("/healthz", tags=["health"], summary="Whether the server runs")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Whether deliveries can be kept and recorded",
        responses={503: {"description": "The database cannot be used."}},
    )
    async def readyz() -> JSONResponse:
        try:
            counts = await run_in_threadpool(_look, settings)
        except LedgerError as error:
            _log.warning("not ready: %s", error)
            return JSONResponse({"status": "the database cannot be used"}, 503)
        return JSONResponse({"status": "ready", "deliveries": counts})


def _look(settings: Settings) -> dict[str, int]:
    """The state of the inbox. Raises LedgerError where the ledger or the inbox cannot be used."""
    with Store.open(settings.database_url) as store, Inbox.open(settings.database_url) as inbox:
        store.head()
        return inbox.counts()
