"""Ingest of the real repository, against programs that read Git histories in Python.

They are installed by this benchmark into an environment of their own: the dependency group `peers` of
pyproject.toml. LEDGER_BENCH_PEERS names the folder of one that is kept and used again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from benchmarks._figures import Bar, FailedError, Figure, interleaved, not_measured, ratio, timed
from benchmarks._places import MAIN_ONLY, ROOT, Place, first_ingest, git

MAIN = "ingest of main without pull requests"
PYDRILLER = "against PyDriller, which only lists the modified files of main"
GIT_HISTORY = "against git-history, which reads one single file"
ONE_FILE = "components/pipeline-service/staging/stone-stage-p01/deploy.yaml"  # 202 versions
LIST = """
import sys
from pydriller import Repository
for commit in Repository(sys.argv[1], only_in_branch="main").traverse_commits():
    for file in commit.modified_files:
        file.new_path
"""
CONVERT = "[one for one in yaml.load_all(content, Loader=yaml.CSafeLoader) if one]"


def measure(place: Place) -> list[Figure]:
    """Two rows. A peer that cannot be had is a row that says why."""
    try:
        python = _environment(place)
    except (FailedError, subprocess.SubprocessError, OSError) as error:
        return [not_measured(PYDRILLER, error), not_measured(GIT_HISTORY, error)]
    tree = place.folder / "peers-tree"
    git(place.folder, "clone", "--quiet", "--branch", "main", str(place.clone), tree.name)

    def list_files(_: int) -> float:
        return timed([python, "-c", LIST, tree], place.folder)

    def one_file(_: int) -> float:
        program: list[str | Path] = [
            python.with_name("git-history"),
            "file",
            str(place.new("items.db")),
            ONE_FILE,
        ]
        options = ["--branch", "main", "--repo", str(tree), "--silent"]
        return timed([*program, *options, "--convert", CONVERT, "--import", "yaml"], tree)

    ours = first_ingest(place, place.bundle, MAIN_ONLY)
    figures: list[Figure] = []
    for what, peer, side, bar in (
        (PYDRILLER, "PyDriller", list_files, Bar(least=5)),
        (GIT_HISTORY, "git-history", one_file, Bar(least=1)),
    ):
        try:
            times = interleaved(place.rounds, {MAIN: ours, peer: side})
        except FailedError as error:
            figures.append(not_measured(what, error))
            continue
        name = f"{peer} {_version(python, peer)}"
        figures.append(ratio(what, times[MAIN], name, times[peer], bar, flip=True))
    return figures


def _environment(place: Place) -> Path:
    """The interpreter of an environment with the peers."""
    kept = os.environ.get("LEDGER_BENCH_PEERS")
    folder = Path(kept).absolute() if kept else place.folder / "peers"
    python = folder / "bin" / "python"
    if not python.exists():
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, *project["dependency-groups"]["peers"]])
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise FailedError(f"the peers cannot be installed: {lines[-1]}")


def _version(python: Path, package: str) -> str:
    ask = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    return done.stdout.strip()
