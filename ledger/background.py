"""Work that another process does meanwhile."""

from __future__ import annotations

import atexit
import multiprocessing
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, TypeVar

from ledger.errors import LedgerError
from ledger.interrupts import signals_later

_TERMINATED = 128 + signal.SIGTERM
MOST = 100  # items given and not yet taken, before the other process waits
T = TypeVar("T")


def start_apart(process: BaseProcess) -> None:
    """Starts a process that hears no Ctrl-C until it says itself what it makes of that.

    A terminal sends it to every process at once, and one that is just starting would die of it loudly.
    """
    resource_tracker.ensure_running()  # or it is started within, and lets SIGINT in again
    with signals_later():  # one that was told only half of what it is to do complains aloud
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def deaf_to_interrupts() -> None:
    """Within such a process: the one that started it decides when it ends, and its own children end then."""
    signal.signal(signal.SIGTERM, _leave)
    # While it ends there is nothing left to end in order, and an exception has nowhere to go.
    atexit.register(signal.signal, signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _leave(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # told again, it still ends in order
    sys.exit(_TERMINATED)


def ended_early(process: BaseProcess, work: str) -> LedgerError:
    """What to say where a process broke off: the system kills what takes most of a short memory."""
    process.join(timeout=1)
    status = process.exitcode
    how = f"status {status}"
    if status is None or status < 0:
        how = "it was killed" if status is None else f"killed by {signal.Signals(-status).name}"
    return LedgerError(
        f"the other process ended while it was {work}: {how}",
        hint="If nobody stopped it, memory is short. What was recorded is kept: run it again to go on, "
        "with `--processes 1` for less memory.",
    )


class Background(Generic[T]):
    """The items that `work(*arguments)` gives, worked out in another process from now on.

    All of it travels by pickle, so `work` is a function of a module. Iterate once. What LedgerError it
    raises is raised here in its place; anything else as a LedgerError that says so. At most MOST items
    wait in memory.
    """

    def __init__(self, work: Callable[..., Iterator[T]], *arguments: Any) -> None:
        order = bytes(ForkingPickler.dumps((work, arguments)))
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        start_apart(self._process)
        theirs.close()
        self._given: queue.Queue[tuple[str, Any]] = queue.Queue(MOST)
        # A thread hands over what may be more than a pipe holds, and takes items in at once, so that
        # neither process waits for the other.
        threading.Thread(target=self._exchange, args=(order,), daemon=True).start()

    def _exchange(self, order: bytes) -> None:
        try:
            self._pipe.send_bytes(order)
            while True:
                self._given.put(self._pipe.recv())
        except (EOFError, OSError):
            self._given.put(("failed", ended_early(self._process, "reading ahead")))

    def __iter__(self) -> Iterator[T]:
        while True:
            what, item = self._given.get()
            if what == "end":
                return
            if what == "failed":
                raise item
            yield item

    def end(self) -> None:
        """Tells the other process to end, whatever it does; `close` waits until it has."""
        self._process.terminate()

    def close(self) -> None:
        """Ends the other process, whatever it does."""
        self.end()
        self._process.join(timeout=5)
        self._pipe.close()


def _serve(pipe: Pipe) -> None:
    import os  # noqa: PLC0415

    deaf_to_interrupts()
    os.nice(10)  # what is waited for at once goes first
    try:
        work, arguments = pipe.recv()
        for item in work(*arguments):
            pipe.send(("item", item))
        pipe.send(("end", None))
    except (EOFError, OSError):
        pass  # nobody waits any more
    except LedgerError as error:
        pipe.send(("failed", error))
    except Exception as error:  # noqa: BLE001 (told to the parent, which raises it)
        pipe.send(("failed", LedgerError(f"{type(error).__name__}: {error}")))
