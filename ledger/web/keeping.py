"""Keeps what is accepted: one durable write takes all that came while the one before it was made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ledger.errors import LedgerError, StoreError
from ledger.store.inbox import Arrival, Inbox

Waiting = tuple[Arrival, "asyncio.Future[str]"]


class Keeper:
    """Puts deliveries into the inbox, from one thread that keeps it open.

    However many come at once, each waits for the disk once or twice. One that the database does not take
    fails alone.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._inbox: Inbox | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._waiting: list[Waiting] = []
        self._writing = asyncio.Lock()

    async def keep(self, arrival: Arrival) -> str:
        """What `Inbox.accept` gives, once it is durable. Raises LedgerError where it is not kept."""
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrival, told))
        async with self._writing:
            if not told.done():
                taken, self._waiting = self._waiting, []
                await self._write(taken)
        return await told

    async def close(self) -> None:
        """Ends the connection, after what is being written."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        self._thread.shutdown()

    async def _write(self, taken: Sequence[Waiting]) -> None:
        states: Sequence[str | LedgerError] = [StoreError("the server ended")] * len(taken)
        try:
            arrivals = [arrival for arrival, _ in taken]
            run = asyncio.get_running_loop().run_in_executor
            states = await run(self._thread, self._keep_all, arrivals)
        finally:
            for (_, told), state in zip(taken, states, strict=True):
                if told.done():
                    continue  # nobody waits for it any more
                if isinstance(state, LedgerError):
                    told.set_exception(state)
                else:
                    told.set_result(state)

    # -- in the thread -----------------------------------------------------------------------------

    def _keep_all(self, arrivals: Sequence[Arrival]) -> Sequence[str | LedgerError]:
        try:
            return self._accept(arrivals)
        except Exception as error:  # noqa: BLE001 (whatever fails, each gets its answer)
            if len(arrivals) > 1 and not _concerns_all(error):
                return [self._keep_all([one])[0] for one in arrivals]
            failure = error if isinstance(error, LedgerError) else StoreError(repr(error))
            return [failure] * len(arrivals)

    def _accept(self, arrivals: Sequence[Arrival]) -> Sequence[str]:
        """With the connection that stands, or with a new one where that broke meanwhile."""
        if self._inbox is not None and self._inbox.stands():
            try:
                return self._inbox.accept_all(arrivals)
            except StoreError as error:
                if not _concerns_all(error):
                    raise
        self._drop()
        self._inbox = Inbox.open(self._url)
        return self._inbox.accept_all(arrivals)

    def _drop(self) -> None:
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.close()


def _concerns_all(error: Exception) -> bool:
    """Whether the database cannot be written at all, in the words that both drivers have for it."""
    return "OperationalError" in {one.__name__ for one in type(error.__cause__).__mro__}
