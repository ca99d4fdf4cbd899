"""From the inbox into the log: accepted deliveries are recorded, each by the source it is of.

A delivery is read once it is durable, and again after a crash: its events have natural keys, so that
nothing is recorded twice. Those that wait together are recorded together. One that cannot be read becomes
a `collector.gap` and never holds up the next.
Requests that were refused become one gap for each sender, reason and hour, when the hour is over.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess

from ledger import registry
from ledger.background import deaf_to_interrupts, ended_early, start_apart
from ledger.clock import utc_now
from ledger.config import Settings
from ledger.contents import Content
from ledger.errors import IntegrityError, LedgerError, SourceError, StoreError
from ledger.events import CollectorGap, NewEvent
from ledger.ingest import Clock, Record, recording
from ledger.instants import moment
from ledger.reconciling import noting
from ledger.sources import Batch, Source, Tools
from ledger.store.inbox import TOGETHER, Delivery, Inbox
from ledger.store.refusals import Refusals

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
LOOK_SECONDS = 300.0
STOP_SECONDS = 20.0
LATENESS = timedelta(minutes=1)  # what is counted for an hour may be written a little after it
_log = logging.getLogger("ledger.deliveries")

REFUSALS = {
    "unsigned": "the signature was missing or wrong",
    "too large": "the body was larger than max_body",
    "cut off": "the connection ended before the body did",
    "slow": "the body did not come in time",
    "busy": "too much was being received at once",
    "unconfigured": "no secret is configured for this kind",
    "outdated": "it was signed at another time than it came",
    "unnamed": "no usable delivery id, or no name of an event",
    "conflicting": "the delivery id was used before with another body",
    "not kept": "it could not be kept",
}
"""Why a request is refused, by the reason that it is counted under."""
SIGNED = frozenset(
    {"outdated", "unnamed", "conflicting", "not kept"}
)  # found out behind the signature


@dataclass(frozen=True, slots=True)
class Drained:
    """What came of the waiting deliveries: how many events are new, and how many were unreadable.

    `refused` requests were told as gaps; `counting` is how many are not yet, because their hour goes on.
    """

    read: int = 0
    appended: int = 0
    unreadable: int = 0
    refused: int = 0
    counting: int = 0


def drain(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    stopped: Callable[[], bool] = lambda: False,
    project: bool = True,
) -> Drained:
    """Records every waiting delivery; several processes may do so at once.

    Those that wait together stand in one transaction for each sender, which is several times as fast.
    Then tells of the requests that were refused, in hours that are over. Costs two looks at the inbox
    where nothing waits. `stopped` is asked before each transaction. Raises LedgerError where the ledger
    cannot be written; what is left then waits for the next time.
    """
    inbox = Inbox.find(settings.database_url)
    if inbox is None:
        return Drained()
    with inbox:
        numbers = inbox.waiting()
        refusals = inbox.refused.final(_hour(clock()))
        counting = inbox.refused.counting()
        if not (numbers or refusals) or stopped():
            return Drained(counting=counting)
        with recording(settings, clock=clock, project=project) as recorder:
            record = noting(recorder, inbox, clock)
            recorder_of = _Recorder(record, registry.sources(), settings.may_tell)
            done = recorder_of.record_all(inbox, numbers, stopped)
            inbox.sweep()
            for one in refusals:
                record(one.kind.sender, partial(_refused, one))
                inbox.refused.forget(one.number)
        refused = sum(one.total.requests for one in refusals)
        return replace(done, refused=refused, counting=counting)


class _Recorder:
    """Records deliveries by their sources, which are looked up once: that takes longer than a delivery."""

    def __init__(
        self, record: Record, sources: Mapping[str, Source], may_tell: Callable[[str, str], bool]
    ) -> None:
        self._record = record
        self._sources = sources
        self._may_tell = may_tell

    def record_all(
        self, inbox: Inbox, numbers: Sequence[int], stopped: Callable[[], bool]
    ) -> Drained:
        """Records all, until it is stopped."""
        read = appended = unreadable = 0
        left = list(numbers)
        while left and not stopped():
            taken = inbox.take(left)
            gone = {one.number for one in taken} or set(
                left[:TOGETHER]
            )  # if none, others have them
            left = [one for one in left if one not in gone]
            count, faults = self._together(taken)
            inbox.done([one.number for one in taken if one.number not in faults])
            for number, reason in faults.items():
                inbox.failed(number, reason)
            read += len(taken)
            appended += count
            unreadable += len(faults)
        return Drained(read, appended, unreadable)

    def _together(self, taken: Sequence[Delivery]) -> tuple[int, dict[int, str]]:
        """(new events, why deliveries could not be read, by number): one transaction for each sender.

        Where that fails, each is recorded in one of its own.
        """
        appended = 0
        faults: dict[int, str] = {}
        for sender in {one.sender: None for one in taken}:
            of_sender = [one for one in taken if one.sender == sender]
            try:
                count, found = self._some(sender, of_sender)
            except (IntegrityError, StoreError):
                raise
            except Exception as error:  # noqa: BLE001 (a fault of ours: it must not hold up the others)
                count, found = self._one_by_one(of_sender, error)
            appended += count
            faults |= found
        return appended, faults

    def _one_by_one(
        self, deliveries: Sequence[Delivery], error: Exception
    ) -> tuple[int, dict[int, str]]:
        if len(deliveries) == 1:
            reason = _reason(error)
            self._tell_gap(deliveries[0], reason)
            return 0, {deliveries[0].number: reason}
        parts = [self._together([one]) for one in deliveries]
        faults = {number: reason for _, found in parts for number, reason in found.items()}
        return sum(count for count, _ in parts), faults

    def _some(self, sender: str, deliveries: Sequence[Delivery]) -> tuple[int, dict[int, str]]:
        faults: dict[int, str] = {}

        def tell(tools: Tools) -> Batch:
            events: list[NewEvent] = []
            contents: list[Content] = []
            for one in deliveries:
                try:
                    told = _tell(self._sources.get(sender), one, tools)
                    self._check(sender, told)
                except (IntegrityError, StoreError):
                    raise
                except LedgerError as error:
                    faults[one.number] = error.message
                else:
                    events += told.events
                    contents += told.contents
            return Batch(events=events, contents=contents)

        appended = self._record(sender, tell)
        for one in deliveries:
            if one.number in faults:
                self._tell_gap(one, faults[one.number])
        return appended, faults

    def _check(self, sender: str, told: Batch) -> None:
        for event in told.events:
            forge = getattr(event.data, "forge", "")
            if forge and not self._may_tell(sender, forge):
                raise SourceError(f"it tells of {forge}, which delivers nothing as {sender}")

    def _tell_gap(self, delivery: Delivery, reason: str) -> None:
        self._record(delivery.sender, lambda tools: _gap(delivery, tools.redact(reason)))
        _log.warning("delivery %s of %s: %s", delivery.delivery, delivery.sender, reason)


def _reason(error: Exception) -> str:
    if isinstance(error, LedgerError):
        return error.message
    return f"the program failed to record it ({type(error).__name__}); please report this"


def _tell(source: Source | None, delivery: Delivery, tools: Tools) -> Batch:
    if source is None or source.webhook is None:
        raise SourceError(f"nothing reads deliveries of {delivery.sender!r} any more")
    try:
        return source.webhook.events(delivery.headers, delivery.body, tools)
    except LedgerError:
        raise
    except Exception as error:  # a fault of the source: it must not hold up what comes behind
        reason = f"the program failed to read it ({type(error).__name__}); please report this"
        raise SourceError(reason) from error


def _hour(now: str) -> str:
    """The hour that is counted: all before it are over, and nothing more is written for them."""
    return (moment(now) - LATENESS).strftime("%Y-%m-%dT%H")


def _refused(found: Refusals, _: Tools) -> Batch:
    """The gap that tells of refused requests. It claims no loss that nobody can know of."""
    (sender, reason, hour), (requests, first, last) = found.kind, found.total
    many = f"{requests:,} requests" if requests > 1 else "1 request"
    when = f"from {first} to {last}" if requests > 1 else f"at {first}"
    proof = (
        "The signature was right: what was told so is not recorded, unless it was delivered again."
        if reason in SIGNED
        else "Anybody can send such requests: it is not known whether a delivery was lost by this."
    )
    gap = CollectorGap(
        repository="",
        kind="refused",
        detail=f"{many} to /webhooks/{sender} refused {when}: "
        f"{REFUSALS.get(reason, reason)}. Nothing of what was sent is kept. {proof}",
        since=first,
        until=last,
        count=requests,
    )
    event = NewEvent(
        stream=f"deliveries/{sender}",
        key=f"{sender}/refused/{reason.replace(' ', '_')}/{hour}/{found.number}",
        source=sender,
        occurred_at=first,
        data=gap,
    )
    return Batch(events=[event])


def _gap(delivery: Delivery, reason: str) -> Batch:
    sender, name = delivery.sender, delivery.delivery
    gap = CollectorGap(
        repository="",
        kind="unreadable",
        detail=f"delivery {name}, received {delivery.received_at}: {reason}",
    )
    event = NewEvent(
        stream=f"deliveries/{sender}", key=f"{sender}/delivery/{name}", source=sender, data=gap
    )
    return Batch(events=[event])


class Apart:
    """Drains in another process, so that whoever accepts meanwhile waits for no interpreter lock.

    It ends with this process, however that ends: it hears the end of its pipe between two transactions. What
    kills it costs one try, and the next one starts another.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: BaseProcess | None = None
        self._pipe: Pipe | None = None

    def drain(self) -> None:
        """Records what waits, and returns when that is done. Raises LedgerError where it could not be."""
        if self._pipe is None:
            self._start()
        assert self._pipe is not None
        assert self._process is not None
        try:
            self._pipe.send(True)
            failure = self._pipe.recv()
        except (EOFError, OSError):
            self._pipe.close()
            self._pipe = None
            raise ended_early(self._process, "recording deliveries") from None
        if failure:
            raise StoreError(failure)

    def stop(self) -> None:
        """Has it end after the transaction that it is at."""
        if self._pipe is not None:
            with suppress(OSError):
                self._pipe.send(False)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_drain_when_asked, args=(theirs, self._settings), daemon=True
        )
        start_apart(self._process)
        theirs.close()


def _drain_when_asked(pipe: Pipe, settings: Settings) -> None:
    """In the other process: drains each time that it is asked, until it is told to end, or nobody can."""
    deaf_to_interrupts()
    with suppress(EOFError, OSError):
        while pipe.recv():
            failure = ""
            try:
                drain(settings, stopped=pipe.poll)
            except Exception as error:  # noqa: BLE001 (told to the other side, which tries again)
                failure = str(error) or repr(error)
            pipe.send(failure)


class Drainer:
    """A thread that has deliveries recorded as they come: the one writer of a server.

    It drains when it is started, whenever it is woken, every few minutes for the hours of refused requests
    that are over, and after a pause where the ledger could not be written. Stopping waits for the
    delivery that is being recorded.
    """

    def __init__(
        self, settings: Settings, clock: Clock = utc_now, apart: Apart | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._apart = apart
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deliveries", daemon=True)

    def start(self) -> None:
        """Begins with what was left waiting."""
        self._thread.start()

    def wake(self) -> None:
        """Tells that something was accepted."""
        self._woken.set()

    def stop(self) -> None:
        """Ends the thread; what still waits is recorded by the next one."""
        self._stopping.set()
        self._woken.set()
        if self._apart is not None:
            self._apart.stop()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        pause: float | None = None
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                if self._apart is None:
                    drain(self._settings, clock=self._clock, stopped=self._stopping.is_set)
                else:
                    self._apart.drain()
                pause = None
            except Exception as error:  # noqa: BLE001 (the thread outlives whatever fails in it)
                if self._stopping.is_set():
                    return
                pause = min(2 * (pause or FIRST_PAUSE / 2), LONGEST_PAUSE)
                _log.error("deliveries wait, next try in %.0f s: %s", pause, error)
            self._woken.wait(pause or LOOK_SECONDS)
