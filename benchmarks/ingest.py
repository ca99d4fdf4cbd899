"""How long an ingest of a real repository takes, against Git printing the same history.

    python -m benchmarks.ingest [ROUNDS]

Rounds are interleaved, because machines are shared: read the ratios. The repository is the bundle in
the folder LEDGER_CORPUS (default ../shared). Both databases stand in a temporary folder.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUNDLE = "data/infra-deployments.bundle"
LEDGER = [sys.executable, "-m", "ledger"]


def timed(command: list[str], folder: Path) -> float:
    """Wall seconds of a command whose output is read; a failing one ends the benchmark."""
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while process.stdout.read(1 << 20):
            pass
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - start


def ingest(folder: Path, bundle: Path, *options: str) -> float:
    """Seconds of one `ledger ingest` into a new ledger."""
    folder.mkdir()
    timed([*LEDGER, "init"], folder)
    add = ["source", "add", "git", "infra", "--url", str(bundle), "--branch", "main"]
    timed([*LEDGER, *add, *options], folder)
    return timed([*LEDGER, "ingest"], folder)


def main() -> None:
    """Prints seconds and ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    corpus = Path(os.environ.get("LEDGER_CORPUS") or ROOT.parent / "shared")
    bundle = (corpus / BUNDLE).absolute()
    if not bundle.is_file():
        print(f"skipped: no {BUNDLE} in the folder LEDGER_CORPUS")
        return
    times: dict[str, list[float]] = {"log main": [], "main": [], "log all": [], "all": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(
            ["git", "clone", "-q", "--mirror", str(bundle), "x.git"], cwd=folder, check=True
        )
        mirror = folder / "x.git"
        for number in range(rounds):
            times["log main"].append(timed(["git", "log", "-p", "main"], mirror))
            times["main"].append(ingest(folder / f"m{number}", bundle, "--no-pull-requests"))
            times["log all"].append(timed(["git", "log", "-p", "--all"], mirror))
            times["all"].append(ingest(folder / f"a{number}", bundle))
    middle = {what: statistics.median(values) for what, values in times.items()}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"rounds: {rounds}; medians")
    show("git log -p main", middle["log main"])
    show("ledger ingest, no pull requests", middle["main"], middle["log main"])
    show("git log -p --all", middle["log all"])
    show("ledger ingest, everything", middle["all"], middle["log all"])
    print(f"{'largest process':<34} {peak:7.0f} MB")


def show(what: str, seconds: float, peer: float = 0.0) -> None:
    """One line: seconds, and the ratio to the peer."""
    ratio = f"   ratio {seconds / peer:.2f}" if peer else ""
    print(f"{what:<34} {seconds:7.2f} s{ratio}")


if __name__ == "__main__":
    main()
