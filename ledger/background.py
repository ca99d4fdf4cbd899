"""Work that another process does meanwhile."""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection as Pipe
from typing import Any, Generic, TypeVar

from ledger.errors import LedgerError

MOST = 100  # items given and not yet taken, before the other process waits
T = TypeVar("T")


class Background(Generic[T]):
    """The items that `work(*arguments)` gives, worked out in another process from now on.

    All of it travels by pickle, so `work` is a function of a module. Iterate once. What LedgerError it
    raises is raised here in its place; anything else as a LedgerError that says so. At most MOST items
    wait in memory.
    """

    def __init__(self, work: Callable[..., Iterator[T]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_serve, args=(theirs, work, arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._given: queue.Queue[tuple[str, Any]] = queue.Queue(MOST)
        # A thread takes items in at once, so that the other process seldom waits.
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        try:
            while True:
                self._given.put(self._pipe.recv())
        except (EOFError, OSError):
            self._given.put(("failed", LedgerError("the other process ended")))

    def __iter__(self) -> Iterator[T]:
        while True:
            what, item = self._given.get()
            if what == "end":
                return
            if what == "failed":
                raise item
            yield item

    def close(self) -> None:
        """Ends the other process, whatever it does."""
        self._process.terminate()
        self._process.join(timeout=5)
        self._pipe.close()


def _serve(pipe: Pipe, work: Callable[..., Iterator[Any]], arguments: Sequence[Any]) -> None:
    import os  # noqa: PLC0415
    import signal  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)  # what is waited for at once goes first
    try:
        for item in work(*arguments):
            pipe.send(("item", item))
        pipe.send(("end", None))
    except OSError:
        pass  # nobody waits any more
    except LedgerError as error:
        pipe.send(("failed", error))
    except Exception as error:  # noqa: BLE001 (told to the parent, which raises it)
        pipe.send(("failed", LedgerError(f"{type(error).__name__}: {error}")))
