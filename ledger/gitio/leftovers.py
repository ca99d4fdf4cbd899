"""What a Git that was killed leaves in a mirror: lock files, and halves of packs.

Git takes a lock file for the work of another one that still runs, so a left one stops every later run.
It may go only when nobody writes. So whatever git writes into a mirror holds a shared lock (flock) on
a file in there, which ends with that process, however it ends and whoever started it; these files are
removed under the exclusive one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILE = "ledger-writers"
_HALVES = ("pack/tmp_*", "pack/.tmp-*", "tmp_*", "incoming-*", "??/tmp_obj_*")
_PAUSE = 0.1


@contextmanager
def writing(mirror: Path) -> Iterator[int]:
    """Gives a handle to hand on to the git that writes. Waits while somebody tidies up."""
    handle = _open(mirror)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield handle
    finally:
        os.close(handle)


def tidy(mirror: Path, seconds: float = 0.0) -> bool:
    """Removes what killed processes left; whether there was anything.

    Where a git still writes, waits for its end that long, and then leaves all as it is. Costs a walk
    through the refs that stand in files of their own.
    """
    if not any(_leftovers(mirror)):
        return False
    handle = _open(mirror)
    try:
        if not _alone(handle, seconds):
            return False
        for path in list(_leftovers(mirror)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return True
    finally:
        os.close(handle)


def _open(mirror: Path) -> int:
    return os.open(mirror / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _alone(handle: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(_PAUSE)
        else:
            return True


def _leftovers(mirror: Path) -> Iterator[Path]:
    """No ref can be called `*.lock` (git-check-ref-format), so every file of that name is a lock."""
    yield from mirror.glob("*.lock")
    if (new := mirror / "packed-refs.new").exists():
        yield new
    for folder, _, files in os.walk(mirror / "refs"):
        yield from (Path(folder, name) for name in files if name.endswith(".lock"))
    objects = mirror / "objects"
    for folder in ("info", "pack"):
        yield from (objects / folder).rglob("*.lock")
    for pattern in _HALVES:
        yield from objects.glob(pattern)
