"""What the benchmarks share: the real repository, ledgers that hold it, the machine they run on."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks._figures import PLAIN_GIT, FailedError, timed
from benchmarks._postgres import new_database, running_server
from ledger import __version__

ROOT = Path(__file__).resolve().parent.parent
BUNDLE = "data/infra-deployments.bundle"
LEDGER = [sys.executable, "-m", "ledger"]
MAIN_ONLY = "--no-pull-requests"


@dataclass
class Place:
    """A temporary folder with what several benchmarks need, each thing made when first asked for."""

    folder: Path
    rounds: int
    commits: int
    stack: ExitStack
    _numbers: dict[str, int] = field(default_factory=dict)

    def new(self, name: str) -> Path:
        """The path of a new folder that does not exist yet."""
        self._numbers[name] = number = self._numbers.get(name, 0) + 1
        return self.folder / f"{name}-{number}"

    @cached_property
    def bundle(self) -> Path:
        """The real repository as a bundle. FailedError where it is not there."""
        corpus = Path(os.environ.get("LEDGER_CORPUS") or ROOT.parent / "shared")
        path = (corpus / BUNDLE).absolute()
        if not path.is_file():
            raise FailedError(f"no {BUNDLE} in the folder that LEDGER_CORPUS names")
        return path

    @cached_property
    def clone(self) -> Path:
        """The real repository, bare, with every ref, for others to read. Nobody changes it."""
        path = self.folder / "infra.git"
        git(self.folder, "clone", "--quiet", "--mirror", str(self.bundle), path.name)
        return path

    @cached_property
    def whole(self) -> Path:
        """The folder of a ledger with everything of the real repository."""
        path = self.new("whole")
        set_up(path, self.bundle)
        ledger(path, "ingest")
        return path

    @cached_property
    def postgres(self) -> Path:
        """The socket folder of a PostgreSQL server. FailedError where none can be had."""
        return self.stack.enter_context(running_server())

    def new_postgres(self) -> str:
        """The URL of an empty PostgreSQL database."""
        return new_database(self.postgres)


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    """The output of a git command. FailedError where it fails."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, **PLAIN_GIT},
    )
    if done.returncode:
        raise FailedError(f"git {arguments[0]}: {done.stderr.decode('utf-8', 'replace')}")
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def ledger(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> float:
    """Wall seconds of one run of the program in a folder."""
    return timed([*LEDGER, *arguments], folder, env)


def set_up(
    folder: Path, url: Path, *options: str, database: str = "", branch: str = "main"
) -> None:
    """A new, empty ledger in a folder with one source, `infra`."""
    folder.mkdir(parents=True)
    ledger(folder, "init", *(["--database", database] if database else []))
    ledger(folder, "source", "add", "git", "infra", "--url", str(url), "--branch", branch, *options)


def first_ingest(
    place: Place, url: Path, *options: str, log_only: bool = False, postgres: bool = False
) -> Callable[[int], float]:
    """A side that ingests a repository into a new ledger in every round, which is thrown away."""

    def run(_: int) -> float:
        folder = place.new("ingest")
        database = place.new_postgres() if postgres else ""
        set_up(folder, url, *options, database=database)
        spent = ledger(folder, "ingest", *(["--log-only"] if log_only else []))
        shutil.rmtree(folder)
        return spent

    return run


def files_size(folder: Path, *names: str) -> int:
    """The bytes of files in a folder, those that exist."""
    return sum((folder / name).stat().st_size for name in names if (folder / name).exists())


def versions() -> str:
    """What took part, with the versions that matter."""
    found = [f"ledger {__version__}", f"Python {platform.python_version()}"]
    found += [git(ROOT, "version").replace(" version", ""), f"SQLite {sqlite3.sqlite_version}"]
    return ", ".join(found)


def machine() -> str:
    """The processor, how many of it, and memory; nothing that names the machine."""
    kind = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        kind = names[0].partition(":")[2].strip() if names else kind
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} × {kind}, {memory:.0f} GiB, {platform.system()}"
