"""From the inbox into the log: accepted deliveries are recorded, each by the source it is of.

A delivery is read once it is durable, and again after a crash: its events have natural keys, so that
nothing is recorded twice. One that cannot be read becomes a `collector.gap` and never holds up the next.
Requests that were refused become one gap for each sender, reason and hour, when the hour is over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from ledger import registry
from ledger.clock import utc_now
from ledger.config import Settings
from ledger.errors import IntegrityError, LedgerError, SourceError, StoreError
from ledger.events import CollectorGap, NewEvent
from ledger.ingest import Clock, Record, recording
from ledger.instants import moment
from ledger.sources import Batch, Tools
from ledger.store.inbox import Delivery, Inbox, Refusals

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
    "unnamed": "no usable delivery id, or no name of an event",
    "conflicting": "the delivery id was used before with another body",
    "not kept": "it could not be kept",
}
"""Why a request is refused, by the reason that it is counted under."""
SIGNED = frozenset({"unnamed", "conflicting", "not kept"})  # found out behind the signature


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
    """Records every waiting delivery, one transaction each; several processes may do so at once.

    Then tells of the requests that were refused, in hours that are over. Costs two looks at the inbox
    where nothing waits. `stopped` is asked between two deliveries. Raises LedgerError where the ledger
    cannot be written; what is left then waits for the next time.
    """
    inbox = Inbox.find(settings.database_url)
    if inbox is None:
        return Drained()
    with inbox:
        numbers = inbox.waiting()
        refusals = inbox.refusals(_hour(clock()))
        counting = inbox.counting()
        if not (numbers or refusals) or stopped():
            return Drained(counting=counting)
        with recording(settings, clock=clock, project=project) as record:
            done = _record_all(inbox, numbers, record, stopped)
            for one in refusals:
                record(one.kind.sender, partial(_refused, one))
                inbox.forget(one.number)
        refused = sum(one.total.requests for one in refusals)
        return replace(done, refused=refused, counting=counting)


def _record_all(
    inbox: Inbox, numbers: Sequence[int], record: Record, stopped: Callable[[], bool]
) -> Drained:
    read = appended = unreadable = 0
    for number in numbers:
        if stopped():
            break
        delivery = inbox.take(number)
        if delivery is None:
            continue
        count, reason = _record(delivery, record)
        read += 1
        appended += count
        unreadable += bool(reason)
        if reason:
            inbox.failed(number, reason)
        else:
            inbox.done(number)
    return Drained(read, appended, unreadable)


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


def _record(delivery: Delivery, record: Record) -> tuple[int, str]:
    """(new events, why it could not be read); what is wrong with the ledger itself is raised."""
    try:
        return record(delivery.sender, lambda tools: _tell(delivery, tools)), ""
    except (IntegrityError, StoreError):
        raise
    except LedgerError as error:
        reason = error.message
    except Exception as error:  # noqa: BLE001 (a fault of ours: it must not hold up what comes behind)
        reason = f"the program failed to record it ({type(error).__name__}); please report this"
    record(delivery.sender, lambda tools: _gap(delivery, tools.redact(reason)))
    _log.warning("delivery %s of %s: %s", delivery.delivery, delivery.sender, reason)
    return 0, reason


def _tell(delivery: Delivery, tools: Tools) -> Batch:
    source = registry.sources().get(delivery.sender)
    if source is None or source.webhook is None:
        raise SourceError(f"nothing reads deliveries of {delivery.sender!r} any more")
    try:
        return source.webhook.events(delivery.headers, delivery.body, tools)
    except LedgerError:
        raise
    except Exception as error:  # a fault of the source: it must not hold up what comes behind
        reason = f"the program failed to read it ({type(error).__name__}); please report this"
        raise SourceError(reason) from error


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


class Drainer:
    """A thread that records deliveries as they come: the one writer of a server.

    It drains when it is started, whenever it is woken, every few minutes for the hours of refused requests
    that are over, and after a pause where the ledger could not be written. Stopping waits for the
    delivery that is being recorded.
    """

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        self._settings = settings
        self._clock = clock
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
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        pause: float | None = None
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                drain(self._settings, clock=self._clock, stopped=self._stopping.is_set)
                pause = None
            except Exception as error:  # noqa: BLE001 (the thread outlives whatever fails in it)
                pause = min(2 * (pause or FIRST_PAUSE / 2), LONGEST_PAUSE)
                _log.error("deliveries wait, next try in %.0f s: %s", pause, error)
            self._woken.wait(pause or LOOK_SECONDS)
