"""Throw-away ledgers that read such repositories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from ledger import config, registry
from ledger import ingest as shell
from ledger.config import EnvironmentSettings, Settings, SourceSettings
from ledger.contents import Content
from ledger.documents import Documents
from ledger.errors import SourceError, UsageError
from ledger.events import NewEvent, RecordedEvent
from ledger.ingest import Outcome
from ledger.projector import Projector
from ledger.queries import Asker
from ledger.sources import Import
from ledger.store import Store, schema
from ledger.testing.repos import Repo

FIRST_INGEST = datetime(2025, 1, 1, tzinfo=UTC)
TEST_KEY = "07" * 32
TEST_SERVER, TEMPLATE = "ledger-tests", "ledger_template"


def track(repo: Repo | str, name: str = "infra", **options: Any) -> SourceSettings:
    """A source that reads a repository; `options` as in `[[source]]`."""
    url = repo if isinstance(repo, str) else repo.url
    return SourceSettings(kind="git", name=name, url=url, **options)


def make_ledger(
    folder: Path,
    *sources: SourceSettings,
    environments: Sequence[EnvironmentSettings] = (),
    database: str = "",
) -> Ledger:
    """A ledger with its configuration, key and database in a folder; on SQLite unless a URL is given."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / config.FILE
    url = database or "sqlite:///ledger.db"
    config.write_new(file, url)
    for one in sources:
        config.append_source(file, one)
    (folder / config.KEY_FILE).write_text(TEST_KEY + "\n", "ascii")
    settings = Settings(
        database=url, source=list(sources), environment=list(environments), folder=folder.absolute()
    )
    ledger = Ledger(settings)
    make_database(settings.database_url)
    return ledger


_template: list[bytes] = []


def make_database(url: str) -> None:
    """Makes a ledger in an empty database; it is made once and then copied, which is faster."""
    path = Path(url.removeprefix("sqlite:///"))
    if not url.startswith("sqlite:///"):
        _initialise_postgres(url)
    elif path.exists():
        schema.initialise(url, registry.projections())
    elif _template:
        path.write_bytes(_template[0])
    else:
        schema.initialise(url, registry.projections())
        _template.append(path.read_bytes())


def _initialise_postgres(url: str) -> None:
    """The same on a server that says it is for tests (`cluster_name = ledger-tests`): copies a template."""
    name = urlsplit(url).path.removeprefix("/")
    with psycopg.connect(url, autocommit=True) as connection:
        is_for_tests = connection.execute("show cluster_name").fetchone() == (TEST_SERVER,)
        is_empty = not connection.execute(
            "select 1 from pg_tables where schemaname = 'public'"
        ).fetchone()
        databases = {row[0] for row in connection.execute("select datname from pg_database")}
    clones = is_for_tests and is_empty
    if not (clones and TEMPLATE in databases):
        schema.initialise(url, registry.projections())
    if not clones:
        return
    with psycopg.connect(url.replace(f"/{name}?", "/postgres?"), autocommit=True) as admin:
        made, kept = sql.Identifier(name), sql.Identifier(TEMPLATE)
        if TEMPLATE in databases:
            admin.execute(sql.SQL("drop database {}").format(made))
            admin.execute(sql.SQL("create database {} template {}").format(made, kept))
        else:
            admin.execute(sql.SQL("create database {} template {}").format(kept, made))


@dataclass(slots=True)
class Ledger:
    """A ledger under test. Its clock starts in 2025 and goes on by a minute with each ingest."""

    settings: Settings
    clock: datetime = field(default=FIRST_INGEST)

    @property
    def now(self) -> str:
        """The time of the clock."""
        return self.clock.strftime("%Y-%m-%dT%H:%M:%SZ")

    def ingest(self, *names: str, processes: int = 1, survey: bool = False) -> list[Outcome]:
        """Reads sources and gives what came of each; raises nothing for a source that fails."""
        self.clock += timedelta(minutes=1)
        now = self.now
        return shell.ingest(
            self.settings, names, clock=lambda: now, processes=processes, survey=survey
        )

    def grow(self, *names: str, processes: int = 1) -> int:
        """As `ingest`, but raises SourceError when anything fails; gives the number of new events."""
        outcomes = self.ingest(*names, processes=processes)
        for one in outcomes:
            if one.failure or one.stopped:
                raise SourceError(one.failure or "; ".join(one.stopped), hint=one.hint)
        return sum(one.appended for one in outcomes)

    def rebuild(self) -> int:
        """Makes every projection again."""
        return shell.rebuild(self.settings)

    def tell(self, *events: NewEvent, contents: Sequence[Content] = ()) -> int:
        """Records events as if a source had told them, in one batch; gives how many are new."""
        self.clock += timedelta(minutes=1)
        with self.store() as store:
            recorded = store.append(
                list(events), source="test", recorded_at=self.now, kept=contents
            )
            documents = Documents(registry.parsers, store.content)
            projector = Projector(store, registry.projections(), documents)
            projector.catch_up(recorded)
            if projector.failures:
                raise SourceError("; ".join(projector.failures))
        return len(recorded)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The open ledger."""
        with Store.open(self.settings.database_url) as store:
            yield store

    def events(self, *kinds: type[Any]) -> list[RecordedEvent]:
        """Every event, or those of some types, in order."""
        with self.store() as store:
            found = store.read(0, store.head().size or 1)
        return [one for one in found if not kinds or isinstance(one.data, kinds)]

    def facts(self, *kinds: type[Any]) -> list[Any]:
        """What the events of some types say, in order."""
        return [one.data for one in self.events(*kinds)]

    def hand_over(self, kind: str, *files: Path) -> Outcome:
        """Reads files as `ledger import KIND FILE...` does."""
        return shell.import_files(self.settings, kind, Import(files=files), clock=lambda: self.now)

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of any query, views and internal tables alike."""
        with self.store() as store:
            return store.connection.rows(sql, parameters)

    @contextmanager
    def ask(self) -> Iterator[Asker]:
        """What answers questions."""
        with self.store() as store:
            yield Asker(store, Documents(registry.parsers, store.content))

    def replace(self, **changes: Any) -> Ledger:
        """The same ledger and clock under other settings, such as `source=[…]`."""
        values = {name: getattr(self.settings, name) for name in self.settings.__struct_fields__}
        unknown = changes.keys() - values.keys()
        if unknown:
            raise UsageError(f"no such setting: {', '.join(sorted(unknown))}")
        return Ledger(Settings(**(values | changes)), self.clock)
