"""The role that auditors' queries run under on PostgreSQL: it reads the public views, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

AUDITOR_ROLE: Final = "ledger_auditor"


def grant_sql(views: Sequence[str], role: str = AUDITOR_ROLE) -> list[str]:
    """Statements that make the role if need be and let it read these views of the current schema.

    To be run by the owner of the views, after they are made; running them again is harmless.
    Roles belong to the whole server, so that the first statement needs CREATEROLE unless someone
    has made the role before: `CREATE ROLE ledger_auditor NOLOGIN; GRANT ledger_auditor TO owner`.
    The texts contain no `%` and no `:`, so every driver passes them on unchanged.
    """
    name, text = quoted(role), quoted(role, "'")
    schema = "quote_ident(current_schema())"
    everything = [
        f"ALL ON SCHEMA ' || {schema} || '",
        f"ALL ON ALL TABLES IN SCHEMA ' || {schema} || '",
        f"ALL ON ALL SEQUENCES IN SCHEMA ' || {schema} || '",
        f"ALL ON ALL FUNCTIONS IN SCHEMA ' || {schema} || '",
    ]
    name_in_text = name.replace("'", "''")
    return [
        f"DO $ledger$ BEGIN"
        f" IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {text}) THEN"
        f" CREATE ROLE {name} NOLOGIN NOINHERIT; END IF;"
        f" EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;"  # made by another worker
        f" END $ledger$",
        # From PostgreSQL 16 on, who makes a role is its member but may not act as it before this.
        f"DO $ledger$ BEGIN GRANT {name} TO CURRENT_USER;"
        f" EXCEPTION WHEN insufficient_privilege THEN"
        f" IF NOT pg_has_role(current_user, {text}, 'MEMBER') THEN RAISE; END IF;"
        f" END $ledger$",
        *(
            f"DO $ledger$ BEGIN EXECUTE 'REVOKE {what} FROM {name_in_text}'; END $ledger$"
            for what in everything
        ),
        f"DO $ledger$ BEGIN"
        f" EXECUTE 'GRANT USAGE ON SCHEMA ' || {schema} || ' TO {name_in_text}'; END $ledger$",
        *(f"GRANT SELECT ON {quoted(view)} TO {name}" for view in sorted(views)),
    ]


def quoted(name: str, quote: str = '"') -> str:
    """An SQL identifier, or a text with `'`."""
    return quote + name.replace(quote, quote * 2) + quote
