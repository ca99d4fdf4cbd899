"""The memory of a program and of all that it starts, looked at while it runs (Linux only)."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks._figures import PLAIN_GIT, FailedError

EVERY = 0.02  # seconds
PROC = Path("/proc")


@dataclass(slots=True)
class Peak:
    """In MB: the largest process by name (its own high-water mark), and the largest sum at any look.

    What processes share counts once in the sum (proportional set size), and in each of them alone.
    """

    sum: float = 0
    largest: dict[str, float] = field(default_factory=dict)

    def look(self, root: int) -> None:
        """One look at a process and all below it."""
        total = 0.0
        for pid in _tree(root):
            with suppress(OSError, ValueError, IndexError):
                status = _fields(PROC / str(pid) / "status")
                name, high = status["Name"], _mb(status.get("VmHWM", "0 kB"))
                self.largest[name] = max(self.largest.get(name, 0), high)
                total += _mb(_fields(PROC / str(pid) / "smaps_rollup").get("Pss", "0 kB"))
        self.sum = max(self.sum, total)


def peak_of(command: Sequence[str], folder: Path) -> Peak:
    """The peak of one run of a command. FailedError where it fails, or where there is no /proc."""
    if not (PROC / "self" / "smaps_rollup").exists():
        raise FailedError("this system has no /proc/PID/smaps_rollup")
    peak = Peak()
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **PLAIN_GIT},
    ) as process:
        while process.poll() is None:
            peak.look(process.pid)
            time.sleep(EVERY)
    if process.returncode:
        raise FailedError(f"{' '.join(command)} ended with {process.returncode}")
    return peak


def _tree(root: int) -> list[int]:
    """A process and all below it."""
    found = [root]
    for pid in found:
        with suppress(OSError):
            for task in (PROC / str(pid) / "task").iterdir():
                found += [int(one) for one in (task / "children").read_text().split()]
    return found


def _fields(path: Path) -> dict[str, str]:
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return {name: text.strip() for name, _, text in lines}


def _mb(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) * 1024 / 1e6
