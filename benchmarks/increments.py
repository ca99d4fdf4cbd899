"""Reading on after the first time: one new commit, nothing new, an unchanged bundle.

Against `git ls-remote` on the same source in the same round, which nobody can do without. The clock of a
ledger's first reading counts: once a day an ingest also surveys the source, which these do not.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks._figures import Bar, FailedError, Figure, beyond, interleaved, ratio, timed, value
from benchmarks._places import Place, git, ledger, set_up
from ledger.store import Store

ONE, NOTHING, REMOTE = "one new commit", "nothing new", "`git ls-remote`"
EDITED = "components/README.md"


def measure(place: Place) -> list[Figure]:
    """Six rows."""
    sources = {"whole": _copy(place, 1), "tenth": _copy(place, 10)}
    sides: dict[str, Callable[[int], float]] = {}
    for size, source in sources.items():
        folder = place.folder / f"increments-{size}"
        set_up(folder, source)
        ledger(folder, "ingest")
        sides |= _sides(size, source, folder)
    commits = {size: git(one, "rev-list", "--count", "--all") for size, one in sources.items()}
    # A few more rounds: these take a second at most, and their bars are tenths of one.
    times = interleaved(max(place.rounds, 5) if place.rounds > 1 else 1, sides)
    figures: list[Figure] = []
    for size in sources:
        what, remote = f"{int(commits[size]):,} commits", times[f"remote {size}"]
        one, nothing = times[f"one {size}"], times[f"nothing {size}"]
        figures.append(beyond(f"{ONE} after {what}", one, REMOTE, remote, Bar(most=0.6, unit=" s")))
        figures.append(
            beyond(f"{NOTHING} after {what}", nothing, REMOTE, remote, Bar(most=0.3, unit=" s"))
        )
    more = {
        size: [
            mine - other
            for mine, other in zip(times[f"one {size}"], times[f"remote {size}"], strict=True)
        ]
        for size in sources
    }
    what = f"{ONE}, beyond {REMOTE}: whole history against a tenth of it"
    figures.append(ratio(what, more["whole"], "a tenth", more["tenth"], Bar(most=1.2)))
    return [*figures, *_bundle(place)]


def _copy(place: Place, share: int) -> Path:
    """A repository with the first part of the history: main, and the first pull requests."""
    steps = git(place.clone, "rev-list", "--first-parent", "--reverse", "main").split()
    listed = git(place.clone, "for-each-ref", "--format=%(refname)", "refs/pull/").split()
    pulls = sorted(listed, key=lambda ref: int(ref.split("/")[2]))
    path = place.folder / f"source-{share}.git"
    git(place.folder, "init", "--quiet", "--bare", "--initial-branch=main", path.name)
    specs = [f"{steps[len(steps) // share - 1]}:refs/heads/main"]
    specs += [f"{ref}:{ref}" for ref in pulls[: len(pulls) // share]]
    feed = "".join(f"{one}\n" for one in specs).encode()
    allow = ["-c", "uploadpack.allowAnySHA1InWant=true"]
    fetch = ["fetch", "--quiet", "--no-tags", "--stdin", str(place.clone)]
    git(path, *allow, *fetch, stdin=feed)
    git(path, "repack", "-adq")
    git(path, "pack-refs", "--all")
    return path


def _sides(size: str, source: Path, folder: Path) -> dict[str, Callable[[int], float]]:
    def remote(_: int) -> float:
        return timed(["git", "ls-remote", str(source)], folder)

    def one(number: int) -> float:
        _commit(source, f"Line {number}\n")
        spent = ledger(folder, "ingest")
        with Store.open(f"sqlite:///{folder / 'ledger.db'}", read_only=True) as store:
            tip = "select commit_sha from revisions order by number desc limit 1"
            if store.connection.rows(tip) != [(git(source, "rev-parse", "main"),)]:
                raise FailedError("the new commit was not read")
        return spent

    def nothing(_: int) -> float:
        return ledger(folder, "ingest")

    return {f"remote {size}": remote, f"one {size}": one, f"nothing {size}": nothing}


def _commit(source: Path, text: str) -> None:
    """One more commit on main, which edits one file."""
    person = "Ann <ann@example.org> 1800000000 +0000"
    parts = [f"commit refs/heads/main\ncommitter {person}\ndata {len(text)}\n{text}"]
    parts += ["from refs/heads/main^0\n", f"M 100644 inline {EDITED}\ndata {len(text)}\n{text}\n"]
    git(source, "fast-import", "--quiet", "--force", stdin="".join(parts).encode())


def _bundle(place: Place) -> list[Figure]:
    """An unchanged bundle is not read: one whose pack was blanked out meanwhile is not noticed."""
    folder, bundle = place.new("bundle"), place.folder / "copy.bundle"
    shutil.copyfile(place.bundle, bundle)
    set_up(folder, bundle)
    ledger(folder, "ingest")
    status = bundle.stat()
    with bundle.open("r+b") as file:
        file.truncate(64)
        file.truncate(status.st_size)
    os.utime(bundle, ns=(status.st_atime_ns, status.st_mtime_ns))
    spent = [ledger(folder, "ingest") for _ in range(place.rounds)]
    bundle.unlink()
    what = "an unchanged bundle, blanked out behind its first line: not read, so not noticed"
    return [value(what, spent, " s", Bar())]
