"""The event log: head, events, tiles, tree heads, contents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.tables import BigInt, text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_head",
        sa.Column("id", BigInt, primary_key=True, autoincrement=False),
        sa.Column("size", BigInt, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", text(), nullable=False),
    )
    op.create_table(
        "log_event",
        sa.Column("position", BigInt, primary_key=True, autoincrement=False),
        sa.Column("key", text(), nullable=False),
        sa.Column("type", text(), nullable=False),
        sa.Column("stream", text(), nullable=False),
        sa.Column("source", text(), nullable=False),
        sa.Column("occurred_at", text(), nullable=False),
        sa.Column("recorded_at", text(), nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
    )
    op.create_index("log_event_key", "log_event", ["key"], unique=True)
    op.create_index("log_event_type", "log_event", ["type", "position"])
    op.create_table(
        "log_tile",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", BigInt, primary_key=True, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_tree_head",
        sa.Column("size", BigInt, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", text(), nullable=False),
    )
    op.create_table(
        "log_content",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
