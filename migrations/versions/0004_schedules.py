"""When scheduled work was last done: neither log nor projection."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.tables import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schedule_state",
        sa.Column("job", text(), primary_key=True),
        sa.Column("planned_at", text(), nullable=False),
        sa.Column("ran_at", text(), nullable=False),
    )
