"""Feeds projections with recorded events: rows and checkpoint in one transaction.

Theory. A projection sees its tables "as of this event", also the rows it has just made. So rows
live in a workspace first: a cache of rows by key that is written back at the end of a batch. What
the cache holds never changes an answer, because a row that is not there is read from the table;
hence any split into batches, and a rebuild, give the same tables.

A projection that fails stops at that position, with those that read its tables; its rows and
checkpoint stay as they were and `feeds` says why. The log and the other projections go on. As the
others are then ahead of it, it comes back by a rebuild.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from ledger.documents import Documents
from ledger.errors import IntegrityError, LedgerError, StoreError
from ledger.events import RecordedEvent
from ledger.projections import Projection
from ledger.projector.workspace import Workspace
from ledger.store import Store
from ledger.store.drivers import POSTGRESQL

__all__ = ["Projector", "Workspace"]

BATCH = 4_000


class _Overtaken(Exception):  # noqa: N818 (never leaves this module)
    """Another process has moved the checkpoints."""


class _Failed(Exception):  # noqa: N818 (never leaves this module)
    def __init__(self, projection: Projection, position: int, reason: str) -> None:
        super().__init__(reason)
        self.projection = projection
        self.position = position
        self.reason = reason


class Projector:
    """Keeps the tables of projections up with the log."""

    def __init__(
        self,
        store: Store,
        projections: Sequence[Projection],
        documents: Documents,
        *,
        suffix: str = "",
    ) -> None:
        self._store = store
        self._projections = projections
        self._documents = documents
        self._suffix = suffix
        self._inside = False
        self._checkpoint = 0
        self._end = 0
        self._failed: set[str] = set()
        self.failures: list[str] = []
        self._resume()

    def _resume(self) -> None:
        """Goes on from where the tables stand, with nothing remembered."""
        if not self._suffix:
            states = _states(self._store, self._projections)
            self._failed = {name for name, (_, failure) in states.items() if failure}
            healthy = [at for name, (at, _) in states.items() if name not in self._failed]
            self._checkpoint = min(healthy, default=self._store.head().size)
        self._workspace = self._new_workspace()

    def _new_workspace(self) -> Workspace:
        return Workspace(self._store, self._projections, self._documents, self._suffix)

    @property
    def checkpoint(self) -> int:
        """The position up to which the healthy projections have read (exclusive)."""
        return self._checkpoint

    @property
    def workspace(self) -> Workspace:
        """What the projections read, for warming it."""
        return self._workspace

    def catch_up(self, recent: Sequence[RecordedEvent] = (), *, until: int | None = None) -> int:
        """Projects everything recorded and not yet projected; gives the new checkpoint.

        `recent` are events just appended, which are then not read again.
        """
        self._end = self._store.head().size
        end = self._end if until is None else until
        while self._checkpoint < end:
            if recent and recent[0].position == self._checkpoint:
                events = list(recent[:BATCH])
                recent = recent[BATCH:]
            else:
                events = self._store.read(self._checkpoint, min(BATCH, end - self._checkpoint))
            if not events:
                raise IntegrityError(
                    f"the log has no position {self._checkpoint} although its size is {end}",
                    hint="Run `ledger verify`.",
                )
            self._batch(events)
        return self._checkpoint

    def catch_up_inside(self, until: int) -> None:
        """As `catch_up`, inside a transaction that the caller holds."""
        self._inside = True
        self.catch_up(until=until)

    def _batch(self, events: list[RecordedEvent]) -> None:
        while events:
            try:
                self._attempt(events)
            except _Overtaken:
                self._resume()
                events = [one for one in events if one.position >= self._checkpoint]
            except _Failed as failed:
                before = [one for one in events if one.position < failed.position]
                self._workspace = self._new_workspace()
                if before:
                    self._batch(before)  # which another process may overtake
                self._give_up(failed)
                events = [one for one in events if one.position >= self._checkpoint]
            else:
                return

    def _attempt(self, events: Sequence[RecordedEvent]) -> None:
        workspace = self._workspace
        workspace.remember(events, BATCH)
        active = [one for one in self._projections if one.name not in self._failed]
        readers = {
            kind: [one for one in active if kind in one.handles]
            for kind in {type(recorded.data) for recorded in events}
        }
        last = events[-1].position + 1
        with nullcontext() if self._inside else self._store.connection.transaction(durable=False):
            if not self._suffix:
                self._check_not_overtaken(active)
            for recorded in events:
                workspace.at = recorded.position
                for one in readers[type(recorded.data)]:
                    self._project(one, recorded)
            if last == self._end:
                for one in active:
                    self._settle(one, last)
            workspace.flush()
            if not self._suffix:
                _save_states(self._store, active, last)
        self._checkpoint = last

    def _check_not_overtaken(self, active: Sequence[Projection]) -> None:
        """Another process may have projected the same events since; it holds the rows until then."""
        lock = (
            " order by projection for update"
            if self._store.connection.dialect == POSTGRESQL
            else ""
        )
        rows = self._store.connection.rows(
            f"select projection, checkpoint from projection_state{lock}"  # noqa: S608
        )
        checkpoints: dict[str, int] = dict(rows)
        if any(checkpoints.get(one.name) != self._checkpoint for one in active):
            raise _Overtaken

    def _project(self, one: Projection, recorded: RecordedEvent) -> None:
        try:
            self._workspace.apply(one.project(recorded, self._workspace))
        except (IntegrityError, StoreError):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise _Failed(one, recorded.position, reason) from error

    def _settle(self, one: Projection, end: int) -> None:
        if one.settle is None:
            return
        try:
            self._workspace.apply(one.settle(self._workspace))
        except (IntegrityError, StoreError):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise _Failed(one, end - 1, reason) from error

    def _give_up(self, failed: _Failed) -> None:
        if self._suffix:
            raise LedgerError(
                f"projection {failed.projection.name} failed at position {failed.position}: {failed.reason}",
                hint="The tables in use are unchanged. Please report this.",
            ) from failed
        names = {failed.projection.name}
        for one in self._projections:
            if names.intersection(one.after):
                names.add(one.name)
        with self._store.connection.transaction():
            for one in self._projections:
                if one.name in names - self._failed:
                    why = (
                        failed.reason
                        if one is failed.projection
                        else f"waits for {failed.projection.name}"
                    )
                    text = f"stopped at position {failed.position}: {why}"
                    self._store.connection.execute(
                        "update projection_state set failure = ? where projection = ?",
                        [text, one.name],
                    )
                    self.failures.append(f"{one.name} {text}")
        self._failed |= names


def _states(store: Store, projections: Sequence[Projection]) -> dict[str, tuple[int, str]]:
    rows = store.connection.rows(
        "select projection, version, checkpoint, failure from projection_state"
    )
    known = {name: (version, checkpoint, failure) for name, version, checkpoint, failure in rows}
    wrong = [one.name for one in projections if known.get(one.name, (0, 0, ""))[0] != one.version]
    if wrong or len(known) != len(projections):
        raise StoreError(
            f"projections of another version: {', '.join(wrong) or 'one that this program lacks'}",
            hint="Run `ledger rebuild`; it makes the tables again from the log.",
        )
    return {name: (int(checkpoint), failure) for name, (_, checkpoint, failure) in known.items()}


def _save_states(store: Store, projections: Sequence[Projection], checkpoint: int) -> None:
    if not projections:
        return
    marks = ", ".join("?" * len(projections))
    store.connection.execute(
        f"update projection_state set checkpoint = ? where projection in ({marks})",  # noqa: S608
        [checkpoint, *(one.name for one in projections)],
    )
