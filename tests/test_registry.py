"""What the registry finds, and that nobody reads tables of another version of the program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger import registry
from ledger.store import Store
from ledger.testing import Ledger, make_ledger, make_repo, track


def test_the_versions_read_off_the_files_are_those_of_the_projections() -> None:
    declared = {one.name: one.version for one in registry.projections()}
    assert registry.projection_versions() == declared


@pytest.fixture
def ledger(tmp_path: Path, database_url: str) -> Ledger:
    repo = make_repo(tmp_path / "infra.git")
    repo.commit({"a.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"}, "Begin")
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=database_url)
    ledger.grow()
    return ledger


@pytest.mark.parametrize(
    "question",
    [
        ["when", "configmap/a"],
        ["trace", "configmap/a"],
        ["changes"],
        ["sql", "select count(*) from revisions"],
        ["control", "run", "CHG-02"],
        ["ingest"],
    ],
    ids=lambda words: words[0],
)
def test_readers_that_meet_tables_of_another_version_stop_and_name_the_command(
    ledger: Ledger, question: list[str]
) -> None:
    with Store.open(ledger.settings.database_url) as store, store.connection.transaction():
        store.connection.execute(
            "update projection_state set version = version + 1 where projection = ?", ["live"]
        )
    config = ledger.settings.folder / "ledger.toml"
    done = subprocess.run(
        [sys.executable, "-m", "ledger", *question],
        env={**os.environ, "LEDGER_CONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7
    assert "live" in done.stderr
    assert "ledger rebuild" in done.stderr
    assert done.stdout == ""
