"""The tables that are never rebuilt: the log, the contents it speaks of, and operational state.

These classes are the schema that the migrations must reach, and nothing else: rows are written
through the driver inside `store`, because objects would make appending nine times slower.
Text sorts bytewise on every database. Projections bring tables of their own.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Text
from sqlalchemy.types import TypeEngine
from sqlmodel import Field, SQLModel

BigInt = BigInteger().with_variant(Integer(), "sqlite")


def text() -> TypeEngine[str]:
    """Text that compares by bytes."""
    return Text().with_variant(Text(collation="C"), "postgresql")


class LogHead(SQLModel, table=True):
    """One row: the size and root of the log, and the lock that writers take."""

    __tablename__ = "log_head"
    id: int = Field(sa_column=Column(BigInt, primary_key=True, autoincrement=False))
    size: int = Field(sa_column=Column(BigInt, nullable=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    recorded_at: str = Field(sa_column=Column(text(), nullable=False))


class LogEvent(SQLModel, table=True):
    """One event. `leaf` is the evidence; the other columns repeat parts of it for look-ups."""

    __tablename__ = "log_event"
    __table_args__ = (
        Index("log_event_key", "key", unique=True),
        Index("log_event_type", "type", "position"),
    )
    position: int = Field(sa_column=Column(BigInt, primary_key=True, autoincrement=False))
    key: str = Field(sa_column=Column(text(), nullable=False))
    type: str = Field(sa_column=Column(text(), nullable=False))
    stream: str = Field(sa_column=Column(text(), nullable=False))
    source: str = Field(sa_column=Column(text(), nullable=False))
    occurred_at: str = Field(sa_column=Column(text(), nullable=False))
    recorded_at: str = Field(sa_column=Column(text(), nullable=False))
    leaf: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class LogTile(SQLModel, table=True):
    """256 hashes of one level of the tree; only the right edge grows."""

    __tablename__ = "log_tile"
    level: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    number: int = Field(sa_column=Column(BigInt, primary_key=True, autoincrement=False))
    hashes: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class LogTreeHead(SQLModel, table=True):
    """The tree head after each append."""

    __tablename__ = "log_tree_head"
    size: int = Field(sa_column=Column(BigInt, primary_key=True, autoincrement=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    recorded_at: str = Field(sa_column=Column(text(), nullable=False))


class LogContent(SQLModel, table=True):
    """A content by the SHA-256 of its bytes: a document, or a file as the list of its documents."""

    __tablename__ = "log_content"
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    kind: int = Field(sa_column=Column(Integer, nullable=False))
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SourceState(SQLModel, table=True):
    """How far a source is read. Operational: neither log nor projection."""

    __tablename__ = "source_state"
    source: str = Field(sa_column=Column(text(), primary_key=True))
    cursor: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    attempted_at: str = Field(sa_column=Column(text(), nullable=False))
    succeeded_at: str = Field(sa_column=Column(text(), nullable=False))
    failure: str = Field(sa_column=Column(text(), nullable=False))


class ProjectionState(SQLModel, table=True):
    """How far a projection has read, and why it stopped if it did. Operational."""

    __tablename__ = "projection_state"
    projection: str = Field(sa_column=Column(text(), primary_key=True))
    version: int = Field(sa_column=Column(Integer, nullable=False))
    checkpoint: int = Field(sa_column=Column(BigInt, nullable=False))
    failure: str = Field(sa_column=Column(text(), nullable=False))


class ScheduleState(SQLModel, table=True):
    """The last run of a scheduled job that was done: the time it was planned for. Operational."""

    __tablename__ = "schedule_state"
    job: str = Field(sa_column=Column(text(), primary_key=True))
    planned_at: str = Field(sa_column=Column(text(), nullable=False))
    ran_at: str = Field(sa_column=Column(text(), nullable=False))
