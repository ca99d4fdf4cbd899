"""Triggers that refuse to change or remove what was recorded."""

from __future__ import annotations

from alembic import op

from ledger.store.guards import guard_statements

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    for statement in guard_statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
