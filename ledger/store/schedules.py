"""When scheduled work was last done: operational, neither log nor projection."""

from __future__ import annotations

from ledger.store import Store


def last_planned(store: Store, job: str) -> str:
    """The planned time (UTC text) of the last run of a job that was done; empty if it is new."""
    rows = store.connection.rows("select planned_at from schedule_state where job = ?", [job])
    return str(rows[0][0]) if rows else ""


def note_run(store: Store, job: str, planned_at: str, ran_at: str) -> None:
    """Notes that the run planned for a time was done; nothing before it will be caught up."""
    columns = ("job", "planned_at", "ran_at")
    with store.connection.transaction():
        row = (job, planned_at, ran_at)
        store.connection.upsert("schedule_state", columns, ("job",), [row])
