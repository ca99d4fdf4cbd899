"""Runs the migrations of the log's schema on a connection that the caller hands over.

Only the log and the operational tables are migrated; projections are rebuilt instead.
"""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from ledger import tables

connection = context.config.attributes["connection"]
assert tables.LogEvent
context.configure(connection=connection, target_metadata=SQLModel.metadata)
with context.begin_transaction():
    context.run_migrations()
