"""How far sources and projections have been read: neither log nor projection."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.tables import BigInt, text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_state",
        sa.Column("source", text(), primary_key=True),
        sa.Column("cursor", sa.LargeBinary, nullable=False),
        sa.Column("attempted_at", text(), nullable=False),
        sa.Column("succeeded_at", text(), nullable=False),
        sa.Column("failure", text(), nullable=False),
    )
    op.create_table(
        "projection_state",
        sa.Column("projection", text(), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("checkpoint", BigInt, nullable=False),
        sa.Column("failure", text(), nullable=False),
    )
