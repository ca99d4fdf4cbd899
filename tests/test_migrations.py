"""The migrations lead from nothing, and from every older schema, to what `ledger/tables.py` says."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from ledger import contents, registry, tables
from ledger.errors import StoreError
from ledger.events import NewEvent, QueryExecuted
from ledger.store import SCHEMA_VERSION, Store
from ledger.store.drivers import driver_url
from ledger.store.guards import check_guards
from ledger.store.schema import initialise, model_tables, shipped, views

AT = "2026-09-01T00:00:00Z"
CONFIG = Config()
CONFIG.set_main_option("script_location", str(shipped("migrations")))
SCRIPTS = list(ScriptDirectory.from_config(CONFIG).walk_revisions())[::-1]
REVISIONS = [script.revision for script in SCRIPTS]


def make(url: str) -> bool:
    return initialise(url, registry.projections()).fresh


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    scheme, _, rest = url.partition("://")
    engine = sa.create_engine(f"{scheme.replace('postgresql', 'postgresql+psycopg')}://{rest}")
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def differences(url: str) -> list[Any]:
    """What alembic would still change to reach `ledger/tables.py`."""

    def ours(name: str | None, kind: str, _: Any) -> bool:
        return kind != "table" or not str(name).startswith("model_")

    assert tables.LogEvent.metadata is SQLModel.metadata
    with connected(url) as connection:
        context = MigrationContext.configure(connection, opts={"include_name": ours})
        return list(compare_metadata(context, SQLModel.metadata))


def upgrade(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    with connected(url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def table_names(url: str) -> set[str]:
    with connected(url) as connection:
        return set(sa.inspect(connection).get_table_names())


def run(url: str, statement: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as db:
            db.execute(statement)
    else:
        with psycopg.connect(driver_url(url), autocommit=True) as connection:
            connection.execute(statement.encode())


# -- the files -----------------------------------------------------------------------------------


def test_the_migrations_are_shipped() -> None:
    assert (shipped("migrations") / "env.py").is_file()
    assert shipped("migrations") == Path(__file__).resolve().parent.parent / "migrations"
    assert shipped("reports").is_dir()


def test_the_migrations_are_numbered_and_named_by_what_they_do() -> None:
    names = sorted(path.name for path in (shipped("migrations") / "versions").glob("*.py"))
    assert all(re.fullmatch(r"\d{4}(_[a-z]+)+\.py", name) for name in names)
    assert [name[:4] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]
    assert [Path(script.path).name for script in SCRIPTS] == names
    assert all(script.doc for script in SCRIPTS)


def test_the_migrations_form_one_chain() -> None:
    assert [script.revision for script in SCRIPTS] == [
        Path(script.path).name[:4] for script in SCRIPTS
    ]
    assert [script.down_revision for script in SCRIPTS] == [None, *REVISIONS[:-1]]
    assert not any(script.branch_labels or script.dependencies for script in SCRIPTS)


def test_the_program_needs_the_newest_schema() -> None:
    assert REVISIONS[-1] == SCHEMA_VERSION


def test_evidence_is_never_taken_away() -> None:
    for script in SCRIPTS:
        assert not hasattr(script.module, "downgrade")


# -- the schema ----------------------------------------------------------------------------------


def test_from_nothing_to_the_tables_of_the_program(database_url: str) -> None:
    assert make(database_url)
    assert differences(database_url) == []
    named = {name for name in table_names(database_url) if not name.startswith("model_")}
    assert named == {*SQLModel.metadata.tables, "alembic_version"}


def test_the_comparison_sees_what_is_missing(database_url: str) -> None:
    make(database_url)
    run(database_url, "drop index log_event_type")
    run(database_url, "alter table source_state add column extra integer")
    assert {found[0] for found in differences(database_url)} == {"add_index", "remove_column"}


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_older_schema_is_upgraded_to_the_same(database_url: str, revision: str) -> None:
    upgrade(database_url, revision)
    assert make(database_url)
    assert differences(database_url) == []
    with Store.open(database_url) as store:
        check_guards(store.connection)


def test_the_guards_stand_and_hold_after_an_upgrade(database_url: str) -> None:
    make(database_url)
    with Store.open(database_url) as store:
        check_guards(store.connection)
        data = QueryExecuted(sql="", rows=0)
        event = NewEvent(stream="s", key="k", source="s", data=data)
        store.append([event], source="s", recorded_at=AT)
        with pytest.raises(StoreError), store.connection.transaction():
            store.connection.execute("delete from log_event")


def test_text_sorts_by_bytes_on_postgresql(postgres_url: str) -> None:
    make(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        columns = connection.execute(
            "select c.relname, a.attname, l.collname from pg_attribute a "
            "join pg_class c on c.oid = a.attrelid join pg_collation l on l.oid = a.attcollation "
            "where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace "
            "and a.attnum > 0 and c.relname <> 'alembic_version'"
        ).fetchall()
    assert ("log_event", "key", "C") in columns
    assert [one for one in columns if one[2] != "C"] == []


# -- making and upgrading ------------------------------------------------------------------------


def test_making_a_ledger_twice_is_harmless_and_keeps_what_it_holds(database_url: str) -> None:
    assert make(database_url)
    data = QueryExecuted(sql="select 1", rows=1)
    event = NewEvent(stream="s", key="k", source="s", data=data)
    content = contents.pack(b"kept")
    with Store.open(database_url) as store:
        store.append([event], source="s", recorded_at=AT, kept=[content], cursor=b"c")
        head, reading = store.head(), store.reading("s")
        store.connection.execute("update projection_state set checkpoint = 1")
    assert not make(database_url)
    with Store.open(database_url) as store:
        assert (store.head(), store.reading("s")) == (head, reading)
        assert [one.data for one in store.read(0, 10)] == [data]
        assert store.content(content.digest) == b"kept"
        assert store.connection.rows("select distinct checkpoint from projection_state") == [(1,)]
        check_guards(store.connection)
    assert differences(database_url) == []


def test_a_new_ledger_has_every_projection_table_and_view(database_url: str) -> None:
    make(database_url)
    projections = registry.projections()
    with Store.open(database_url) as store:
        found = model_tables(store.connection)
        assert sorted(found) == sorted(table.name for one in projections for table in one.tables)
        states = store.connection.rows(
            "select projection, version, checkpoint, failure from projection_state"
        )
        assert sorted(states) == sorted((one.name, one.version, 0, "") for one in projections)
        for view in views():
            store.connection.rows(f"select {', '.join(view.columns)} from {view.name}")


def test_a_ledger_of_a_newer_program_is_not_touched(database_url: str) -> None:
    make(database_url)
    run(database_url, "update alembic_version set version_num = '9999'")
    before = table_names(database_url)
    with pytest.raises(StoreError) as caught:
        make(database_url)
    assert "newer program" in caught.value.hint
    assert table_names(database_url) == before


def test_an_upgrade_that_fails_leaves_nothing_and_can_be_done_again(database_url: str) -> None:
    run(database_url, "create table log_content (theirs integer)")
    with pytest.raises(StoreError, match="log_content"):
        make(database_url)
    assert table_names(database_url) == {"log_content"}
    run(database_url, "drop table log_content")
    assert make(database_url)
    assert differences(database_url) == []


MAKER = """
import sys
from ledger import registry
from ledger.store.schema import initialise
made = initialise(sys.argv[1], registry.projections())
print(made.fresh, made.warning)
"""


def test_a_ledger_is_made_once_by_two_at_the_same_time(database_url: str) -> None:
    command = [sys.executable, "-c", MAKER, database_url]
    makers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [maker.communicate(timeout=60)[0].strip() for maker in makers]
    assert sorted(said) == ["False", "True"]
    assert differences(database_url) == []


def test_the_file_of_a_ledger_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "what? 100% #1 & é"
    folder.mkdir()
    url = f"sqlite:///{folder / 'ledger.db'}"
    assert make(url)
    for read_only in (False, True):
        with Store.open(url, read_only=read_only) as store:
            assert store.head().size == 0
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert {path.name.removesuffix("-wal").removesuffix("-shm") for path in folder.iterdir()} == {
        "ledger.db"
    }


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot open") as caught:
        make(f"sqlite:///{tmp_path / 'missing' / 'ledger.db'}")
    assert "ledger.toml" in caught.value.hint
