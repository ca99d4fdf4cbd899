"""What questions read: counted statements, so that none is asked for each file, change or revision."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as some

from ledger import registry
from ledger.cli import cli
from ledger.contents import digest_bytes
from ledger.parsers import choose
from ledger.queries.many import for_each, growing
from ledger.store.drivers import SqliteConnection
from ledger.testing import Ledger, make_ledger, make_repo, track


def manifest(name: str, turn: int) -> str:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{turn: '{turn}'}}\n"
    )


def made(folder: Path, files: int, turns: int, database: str = "") -> Ledger:
    """A kustomization of some files, of which the first changes at each turn."""
    repo = make_repo(folder / "infra.git")
    names = [f"one-{number}" for number in range(files)]
    resources = "".join(f"- {name}.yaml\n" for name in names)
    first = {f"app/{name}.yaml": manifest(name, 0) for name in names}
    repo.commit({**first, "app/kustomization.yaml": f"resources:\n{resources}"}, "Begin")
    for turn in range(1, turns):
        repo.commit({"app/one-0.yaml": manifest("one-0", turn)}, f"Turn {turn}")
    place: dict[str, Any] = {"database": database} if database else {}
    ledger = make_ledger(folder / "ledger", track(repo), **place)
    ledger.grow()
    return ledger


@contextmanager
def statements(patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that are asked of SQLite meanwhile."""
    asked: list[str] = []
    rows = SqliteConnection.rows

    def noting(self: SqliteConnection, sql: str, parameters: Any = ()) -> Any:
        asked.append(sql)
        return rows(self, sql, parameters)

    with patch.context() as inner:
        inner.setattr(SqliteConnection, "rows", noting)
        yield asked


def ask(ledger: Ledger, patch: pytest.MonkeyPatch, *words: str) -> tuple[Any, int]:
    """The answer of a command as JSON, and how many statements it took."""
    with statements(patch) as asked:
        config = {"LEDGER_CONFIG": str(ledger.settings.folder / "ledger.toml")}
        done = CliRunner().invoke(cli, [*words, "-o", "json"], env=config)
    assert done.exit_code == 0, done.output
    return json.loads(done.output), len(asked)


@pytest.mark.parametrize("command", ["when", "history", "blame"])
def test_a_question_takes_as_many_statements_however_many_files_stand_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    few, many = made(tmp_path / "few", 2, 2), made(tmp_path / "many", 20, 2)
    _, least = ask(few, monkeypatch, command, "configmap/one-0")
    _, most = ask(many, monkeypatch, command, "configmap/one-0")
    assert most == least


def test_the_statements_of_a_history_are_far_fewer_than_its_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = made(tmp_path / "few", 2, 10), made(tmp_path / "many", 2, 50)
    told, least = ask(few, monkeypatch, "history", "configmap/one-0", "--field", "data.turn")
    assert len(told["changes"]) == 10
    told, most = ask(many, monkeypatch, "history", "configmap/one-0", "--field", "data.turn")
    assert [one["fields"][0]["new"] for one in told["changes"][:-1]] == [
        str(turn) for turn in range(49, 0, -1)
    ]
    assert most - least < 10


@pytest.mark.parametrize("limited", [[], ["--field", "data.turn"]])
def test_a_limit_bounds_what_a_history_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limited: list[str]
) -> None:
    few, many = made(tmp_path / "few", 2, 9), made(tmp_path / "many", 2, 60)
    words = ["history", "configmap/one-0", "--limit", "2", *limited]
    told, least = ask(few, monkeypatch, *words)
    assert len(told["changes"]) == 2
    told, most = ask(many, monkeypatch, *words)
    assert len(told["changes"]) == 2
    assert most == least


def test_contents_that_are_read_ahead_are_the_same_and_take_two_statements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    repo = make_repo(tmp_path / "infra.git")
    long = "---\n".join(manifest(f"part-{number}", 0) for number in range(40))
    repo.commit({"long.yaml": long, "short.yaml": manifest("short", 0)}, "Two")
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=database_url)
    ledger.grow()
    with ledger.store() as store:
        rows = store.connection.rows("select digest from model_manifest_file order by name")
        digests = [bytes(row[0]) for row in rows]
        expected = [store.content(one) for one in digests]
    with ledger.store() as store:
        missing = digest_bytes("sha256:" + "0" * 64)
        store.warm([*digests, missing])
        if isinstance(store.connection, SqliteConnection):
            with statements(monkeypatch) as asked:
                found = [store.content(one) for one in digests]
            assert asked == []
        else:
            found = [store.content(one) for one in digests]
        assert found == expected


def test_more_contents_than_may_be_held_are_read_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = made(tmp_path, 30, 2)
    monkeypatch.setattr("ledger.store.MAX_WARM", 100)
    monkeypatch.setattr("ledger.store._SOME", 5)
    with ledger.store() as store:
        digests = [bytes(row[0]) for row in store.connection.rows("select digest from log_content")]
        with statements(monkeypatch) as asked:
            store.warm(digests)
        assert len(asked) == 1
        with statements(monkeypatch) as asked:
            assert all(store.content(one) for one in digests)
        assert len(asked) == len(digests) - 5


def test_many_values_are_looked_up_one_by_one(tmp_path: Path, database_url: str) -> None:
    ledger = made(tmp_path, 3, 2, database_url)
    names = [f"one-{number}" for number in range(1_000)]
    with ledger.store() as store:
        select = "select r.name from w cross join model_resource r where r.name = w.wanted"
        assert sorted(for_each(store.connection, names, select)) == [
            ("one-0",), ("one-1",), ("one-2",)
        ]  # fmt: skip
        assert list(for_each(store.connection, [], select)) == []


@given(some.lists(some.integers(), max_size=2_000), some.integers(0, 9))
def test_growing_parts_are_the_whole_in_order(values: list[int], first: int) -> None:
    parts = list(growing(values, first))
    assert [one for part in parts for one in part] == values
    assert all(parts)


@given(some.text(alphabet="ab.*[]{}\n-envjsoymlKxtf", max_size=24))
def test_a_parser_is_chosen_as_its_patterns_say(name: str) -> None:
    parsers = registry.parsers()
    matches = [
        (len(pattern), one.name)
        for one in parsers
        for pattern in one.patterns
        if fnmatchcase(name.casefold(), pattern)
    ]
    assert choose(parsers, name).name == max(matches)[1]
