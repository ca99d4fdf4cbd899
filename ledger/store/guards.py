"""The barriers that keep the log append-only inside the database. They deter; the tree proves.

SQLite has a hole that two triggers do not close: `INSERT OR REPLACE` deletes a row that collides on
any unique key, the hidden rowid too, without firing the delete trigger. Further triggers refuse the
insert itself.
On PostgreSQL the triggers are ENABLE ALWAYS, so that `session_replication_role` does not skip them.
"""

from __future__ import annotations

from ledger.errors import IntegrityError
from ledger.store.drivers import SQLITE, Connection

APPEND_ONLY = ("log_event", "log_content", "log_tree_head")
_KEYS = {"log_event": "position", "log_content": "digest", "log_tree_head": "size"}


def _sqlite_triggers() -> dict[str, str]:
    triggers: dict[str, str] = {}
    for table in APPEND_ONLY:
        for verb in ("update", "delete"):
            name = f"{table}_no_{verb}"
            triggers[name] = (
                f"CREATE TRIGGER {name} BEFORE {verb.upper()} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    triggers["log_event_no_replace"] = (
        "CREATE TRIGGER log_event_no_replace BEFORE INSERT ON log_event "
        "WHEN EXISTS (SELECT 1 FROM log_event WHERE key = NEW.key) "
        "OR NEW.position <> coalesce((SELECT max(position) FROM log_event), -1) + 1 "
        "BEGIN SELECT RAISE(ABORT, 'log_event takes only the next position and a new key'); END"
    )
    triggers["log_content_no_replace"] = (
        "CREATE TRIGGER log_content_no_replace BEFORE INSERT ON log_content "
        "WHEN EXISTS (SELECT 1 FROM log_content WHERE digest = NEW.digest) "
        "BEGIN SELECT RAISE(IGNORE); END"
    )
    triggers["log_tree_head_no_replace"] = (
        "CREATE TRIGGER log_tree_head_no_replace BEFORE INSERT ON log_tree_head "
        "WHEN EXISTS (SELECT 1 FROM log_tree_head WHERE size >= NEW.size) "
        "BEGIN SELECT RAISE(ABORT, 'log_tree_head only grows'); END"
    )
    triggers["log_tile_no_delete"] = (
        "CREATE TRIGGER log_tile_no_delete BEFORE DELETE ON log_tile "
        "BEGIN SELECT RAISE(ABORT, 'log_tile is append-only'); END"
    )
    triggers["log_tile_no_replace"] = (
        "CREATE TRIGGER log_tile_no_replace BEFORE INSERT ON log_tile "
        "WHEN EXISTS (SELECT 1 FROM log_tile WHERE level = NEW.level AND number = NEW.number "
        "AND substr(NEW.hashes, 1, length(hashes)) <> hashes) "
        "BEGIN SELECT RAISE(ABORT, 'log_tile only grows'); END"
    )
    for table in ("log_content", "log_tile"):
        triggers[f"{table}_no_rowid"] = (
            f"CREATE TRIGGER {table}_no_rowid BEFORE INSERT ON {table} "  # noqa: S608
            f"WHEN NEW.rowid > 0 AND EXISTS (SELECT 1 FROM {table} WHERE rowid = NEW.rowid) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    triggers["log_tile_only_grows"] = (
        "CREATE TRIGGER log_tile_only_grows BEFORE UPDATE ON log_tile "
        "WHEN NEW.level <> OLD.level OR NEW.number <> OLD.number OR NEW.rowid <> OLD.rowid "
        "OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes "
        "BEGIN SELECT RAISE(ABORT, 'log_tile only grows'); END"
    )
    return triggers


_REFUSE = """
BEGIN
  RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only';
END
"""
_CONTIGUOUS = """
DECLARE
  expected bigint;
  lowest bigint;
  highest bigint;
  total bigint;
BEGIN
  SELECT size INTO expected FROM log_head WHERE id = 1;
  SELECT min(position), max(position), count(*) INTO lowest, highest, total FROM inserted;
  IF total > 0 AND (lowest <> expected OR highest <> expected + total - 1) THEN
    RAISE EXCEPTION USING MESSAGE = 'log_event takes only the next positions, from ' || expected;
  END IF;
  RETURN NULL;
END
"""
_TILE = """
BEGIN
  IF NEW.level <> OLD.level OR NEW.number <> OLD.number
     OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes THEN
    RAISE EXCEPTION 'log_tile only grows';
  END IF;
  RETURN NEW;
END
"""
_FUNCTIONS = {
    "ledger_refuse": _REFUSE,
    "ledger_contiguous": _CONTIGUOUS,
    "ledger_tile_grows": _TILE,
}


def _postgres_triggers() -> dict[str, tuple[str, str]]:
    """Trigger name → (table, definition after the name, spelled as `pg_get_triggerdef` does)."""
    triggers: dict[str, tuple[str, str]] = {}
    for table in (*APPEND_ONLY, "log_tile"):
        rows = "DELETE" if table == "log_tile" else "DELETE OR UPDATE"
        triggers[f"{table}_no_change"] = (
            table,
            f"BEFORE {rows} ON {table} FOR EACH ROW EXECUTE FUNCTION ledger_refuse()",
        )
        triggers[f"{table}_no_truncate"] = (
            table,
            f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()",
        )
    triggers["log_event_contiguous"] = (
        "log_event",
        "AFTER INSERT ON log_event REFERENCING NEW TABLE AS inserted "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_contiguous()",
    )
    triggers["log_tile_only_grows"] = (
        "log_tile",
        "BEFORE UPDATE ON log_tile FOR EACH ROW EXECUTE FUNCTION ledger_tile_grows()",
    )
    return triggers


def guard_statements(dialect: str) -> list[str]:
    """The statements that set up every guard on a fresh schema."""
    if dialect == SQLITE:
        return list(_sqlite_triggers().values())
    statements = [
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body${body}$body$"
        for name, body in _FUNCTIONS.items()
    ]
    for name, (table, definition) in _postgres_triggers().items():
        statements.append(f"CREATE TRIGGER {name} {definition}")
        statements.append(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
    return statements


def check_guards(connection: Connection) -> None:
    """Raises IntegrityError unless every guard stands exactly as it was set up. Two queries."""
    missing = (
        _missing_on_sqlite(connection)
        if connection.dialect == SQLITE
        else _missing_on_postgres(connection)
    )
    if missing:
        raise IntegrityError(
            f"the log is not protected: {', '.join(sorted(missing))} missing or changed",
            hint="Someone changed the database's schema. Run `ledger verify` before anything else.",
        )


def _missing_on_sqlite(connection: Connection) -> set[str]:
    found: dict[str, str] = dict(
        connection.rows("select name, sql from sqlite_master where type = 'trigger'")
    )
    return {name for name, sql in _sqlite_triggers().items() if found.get(name) != sql}


def _missing_on_postgres(connection: Connection) -> set[str]:
    triggers = connection.rows(
        "select t.tgname, pg_get_triggerdef(t.oid, true) "
        "from pg_trigger t join pg_class c on c.oid = t.tgrelid "
        "where t.tgenabled = 'A' and c.relnamespace = current_schema()::regnamespace"
    )
    functions = connection.rows(
        "select f.proname, f.prosrc from pg_proc f join pg_language l on l.oid = f.prolang "
        "where f.pronamespace = current_schema()::regnamespace and f.pronargs = 0 "
        "and f.proconfig is null and l.lanname = 'plpgsql'"
    )
    present = set(triggers)
    missing = {
        name
        for name, (_, definition) in _postgres_triggers().items()
        if (name, f"CREATE TRIGGER {name} {definition}") not in present
    }
    sources: dict[str, str] = dict(functions)
    return missing | {name for name, body in _FUNCTIONS.items() if sources.get(name) != body}
