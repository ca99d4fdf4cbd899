"""${message}

Rules: the log is never altered, only tables are added. Never rebuild a guarded table (Alembic's
batch mode on SQLite drops its triggers without a word). Numbered, readable names. There is no
downgrade: evidence is never taken away.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
