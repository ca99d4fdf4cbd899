"""The only place that runs Git.

The ledger keeps a private bare mirror of each repository. It never prunes and never collects
garbage, so that what a force-push abandons stays readable. Bulk data comes from long-lived
streams (`log --raw -z`, `cat-file --batch`): one process for a whole history instead of one for
each commit, which is about a hundred times faster. Everything read here is hostile.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from ledger.errors import LedgerError, SourceError
from ledger.gitio.bundles import bundle_stamp, is_bundle, local_path, read_header, unpack
from ledger.gitio.leftovers import tidy, writing
from ledger.gitio.processes import Process, check_url, piped, run, version
from ledger.gitio.refs import holds_refs, read_refs, write_packed
from ledger.gitio.streams import (
    NULL_MODE,
    OID,
    BrokenStreamError,
    RawChange,
    RawCommit,
    all_but_unfinished,
    merge_results,
    raw_commits,
    raw_pairs,
    read_objects,
    tokens,
)
from ledger.interrupts import signals_later

__all__ = [
    "NULL_MODE",
    "Mirror",
    "RawChange",
    "RawCommit",
    "bundle_stamp",
    "check_url",
    "is_bundle",
    "list_remote",
    "version",
]

_HEADS = "refs/heads/"
_WHOLE = ("HEAD", "config", "objects", "refs")
_PATIENCE = 30.0  # seconds for a git to end that outlived the run that started it
_MANY_REFS = 500
_FEW_REFS = 100  # of which Git need not tell the remote all that there is already, but the branches
T = TypeVar("T")
_FETCH = (
    "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--force", "--no-recurse-submodules",
    "--no-auto-maintenance", "--update-shallow", "--stdin",
)  # fmt: skip
_NEVER = "unadvertised object"  # the remote gives nothing that no ref names
_PATCH = ("-p", "--no-renames", "--root", "--no-ext-diff", "--no-textconv", "--full-index")


def list_remote(url: str, patterns: Sequence[str]) -> tuple[dict[str, str], str]:
    """The refs of a remote that match, and the branch its HEAD names; one network round trip.

    A bundle says only which commit HEAD is, so there it is the first branch of that commit, `main`
    and `master` before others. Raises SourceError when the remote cannot be reached or is no
    repository.
    """
    if is_bundle(url):
        return _bundle_refs(Path(local_path(url)), patterns)
    place = check_url(url)
    arguments = ["ls-remote", "--symref", "--", place, "HEAD", *patterns]
    output = run(None, arguments, isolated=False)
    lines = output.decode("utf-8", "surrogateescape").split("\n")[:-1]
    pairs = [line.split("\t", 1) for line in lines]
    heads = [left for left, name in pairs if name == "HEAD"]
    head = next((one[5:].removeprefix(_HEADS) for one in heads if one.startswith("ref: ")), "")
    refs = {name: left for left, name in pairs if name[-3:] != "^{}"}
    tip = refs.pop("HEAD", "")
    return refs, head or _branch_at(refs, tip)


def _bundle_refs(path: Path, patterns: Sequence[str]) -> tuple[dict[str, str], str]:
    refs = read_header(path).refs
    tip = refs.pop("HEAD", "")
    heads = [
        ref.removeprefix(_HEADS)
        for ref, oid in refs.items()
        if oid == tip and ref.startswith(_HEADS)
    ]
    head = min(heads, key=lambda name: (name != "main", name != "master", name), default="")
    chosen = {
        ref: oid for ref, oid in refs.items() if any(fnmatchcase(ref, one) for one in patterns)
    }
    return chosen, head


def _branch_at(refs: Mapping[str, str], tip: str) -> str:
    """The branch that HEAD must be, where a bundle does not say; empty where it could be several."""
    at = [
        ref.removeprefix(_HEADS)
        for ref, oid in refs.items()
        if ref.startswith(_HEADS) and oid == tip
    ]
    usual = [name for name in ("main", "master") if name in at]
    return usual[0] if usual else at[0] if len(at) == 1 else ""


class Mirror:
    """Our private bare copy of one repository."""

    def __init__(self, path: Path, *, sha256: bool = False) -> None:
        """Opens the mirror at `path`, making an empty one where there is none."""
        self.path = path
        self._tidy = False
        self._held: set[str] = set()
        self._begun: list[Process] = []
        if not all((path / name).exists() for name in _WHOLE):
            _make(path, f"--object-format={'sha256' if sha256 else 'sha1'}")

    def __reduce__(self) -> tuple[type[Mirror], tuple[Path]]:
        return Mirror, (self.path,)  # what is begun stays with the process that began it

    @property
    def is_new(self) -> bool:
        """Whether nothing was fetched yet."""
        return not holds_refs(self.path)

    def fetch(self, url: str, refs: Sequence[str]) -> None:
        """Brings the named refs, by force, and nothing else. A bundle file is unpacked whole."""
        if is_bundle(url):
            self._unbundle(url, refs)
            return
        specs = _refname_bytes("".join(f"+{ref}:{ref}\n" for ref in refs))
        few = () if self.is_new or len(refs) > _FEW_REFS else (f"--negotiation-tip={_HEADS}*",)
        arguments = [*_FETCH, *few, "--", check_url(url)]
        self._write(
            lambda handle: run(self.path, arguments, stdin=specs, isolated=False, holding=handle)
        )
        if len(refs) > _MANY_REFS:
            self.compact()

    def compact(self) -> None:
        """Makes later fetches short where there are many refs: one file of them all, and one of their graph.

        After a fetch Git asks whether all that came hangs together, for which it looks at the commit of
        every ref. Nothing else reads the graph: what is told comes from the commits themselves. Costs
        some 10 µs a commit.
        """
        write = ["-c", "core.commitGraph=true", "commit-graph", "write", "--reachable"]
        self._write(lambda handle: run(self.path, ["pack-refs", "--all"], holding=handle))
        self._write(lambda handle: run(self.path, write, holding=handle))

    def fetch_commits(self, url: str, commits: Sequence[str], tries: int) -> dict[str, str]:
        """Tries to bring commits that no ref of the remote leads to; they are kept for good.

        Gives those that the remote refuses with its reason. A fetch is refused whole because of one of
        them, so it takes one more for each, at most `tries`; those that were not decided by then, or when
        it fails for another reason, are neither there nor in the answer. A bundle has no others than
        its refs reach.
        """
        refused: dict[str, str] = {}
        left = [one for one in dict.fromkeys(commits) if OID.match(one)]
        if is_bundle(url):
            return dict.fromkeys(left, "a bundle holds no other commits")
        while left and tries:
            tries -= 1
            try:
                self._fetch_exactly(url, left)
                return refused
            except SourceError as error:
                named = next((one for one in left if one in error.message), "")
                if not named:
                    return refused
                refused[named] = error.message
                left.remove(named)
                if _NEVER in error.message:
                    return refused | dict.fromkeys(left, error.message)
        return refused

    def _fetch_exactly(self, url: str, commits: Sequence[str]) -> None:
        specs = "".join(f"+{one}:refs/ledger/kept/{one}\n" for one in commits).encode("ascii")
        arguments = [*_FETCH, "--", check_url(url)]
        self._write(
            lambda handle: run(self.path, arguments, stdin=specs, isolated=False, holding=handle)
        )

    def _unbundle(self, url: str, refs: Sequence[str]) -> None:
        path = Path(local_path(url))
        every = self._write(lambda handle: unpack(path, self.path, handle))
        held = {ref: every[ref] for ref in refs if ref in every}
        if None in self.sizes(list(held.values())) or not write_packed(self.path, held):
            self.update_refs([f"update {ref} {oid}\n" for ref, oid in held.items()])

    def update_refs(self, commands: Sequence[str]) -> None:
        """Runs `git update-ref --stdin` commands in one transaction."""
        if commands:
            feed = _refname_bytes("".join(commands))
            update = ["update-ref", "--stdin"]
            self._write(lambda handle: run(self.path, update, stdin=feed, holding=handle))
            self._write(lambda handle: run(self.path, ["pack-refs", "--all"], holding=handle))

    def _write(self, work: Callable[[int], T]) -> T:
        """Lets a git write; where one that was killed left things in its way, they go first."""
        if not self._tidy:
            tidy(self.path)
            self._tidy = True
        try:
            with writing(self.path) as handle:
                return work(handle)
        except SourceError:
            if not tidy(self.path, _PATIENCE):
                raise
            with writing(self.path) as handle:
                return work(handle)

    def refs(self, *under: str, known: Container[str] = ()) -> dict[str, str]:
        """Every ref below some places with the commit it leads to; those that lead to none are left out.

        Raises SourceError where an object that a ref names is missing. `known` are ids of commits: only
        for others does Git look (10 µs each).
        """
        found = read_refs(self.path)
        if found is None:
            output = run(self.path, ["for-each-ref", "--format=%(objectname) %(refname)"])
            lines = output.decode("utf-8", "surrogateescape").split("\n")[:-1]
            found = {ref: oid for oid, ref in (line.split(" ", 1) for line in lines)}
        if under:
            found = {ref: oid for ref, oid in found.items() if ref.startswith(under)}
        unknown = list({oid: None for oid in found.values() if oid not in known})
        commits = dict(zip(unknown, self._named(unknown, "commit"), strict=True))
        if None in self.sizes([oid for oid in unknown if not commits[oid]]):
            raise SourceError(
                f"{self.path} lacks what some of its refs name",
                hint=f"Remove {self.path}: the next ingest fetches it again.",
                retryable=True,
            )
        leads = ((ref, commits.get(oid, oid)) for ref, oid in found.items())
        return {ref: oid for ref, oid in leads if oid}

    def is_shallow(self) -> bool:
        """Whether history below some commits is cut off."""
        return (self.path / "shallow").exists()

    def has(self, commit: str) -> bool:
        """Whether the mirror holds the commit."""
        if commit not in self._held and OID.match(commit) and self.sizes([commit])[0] is not None:
            self._held.add(commit)  # for good: nothing is ever removed
        return commit in self._held

    def sizes(self, ids: Sequence[str]) -> list[int | None]:
        """The size in bytes of each object, None where it is missing."""
        if not ids:
            return []
        feed = "".join(f"{oid}\n" for oid in ids).encode()
        output = run(self.path, ["cat-file", "--batch-check=%(objectsize)"], stdin=feed)
        lines = output.decode().splitlines()
        return [int(line) if line.isdigit() else None for line in lines]

    def commits(
        self, tips: Iterable[str], exclude: Iterable[str], *, walk: bool = True
    ) -> Iterator[RawCommit]:
        """New commits, parents first, with their files against their first parent.

        Git begins when this is called. Without `walk` only the tips themselves, in their order. Never
        reads a blob. Constant memory here; Git itself holds the list of new commits.
        """
        order = ["--topo-order", "--reverse"] if walk else ["--no-walk=unsorted"]
        arguments = ["log", "--stdin", *order, "--raw", "-z", "--no-renames"]
        arguments += ["--no-abbrev", "--diff-merges=first-parent", "--root", "--no-ext-diff"]
        arguments += ["--no-textconv", "--no-color", "--no-show-signature", "--no-notes"]
        arguments += ["--ignore-submodules=none", "--format=%H"]
        return _told(self._begin(arguments, _revisions(tips, exclude)))

    def patch_ids(self, tips: Iterable[str], exclude: Iterable[str]) -> Iterator[tuple[str, str]]:
        """(commit, stable patch id) in the order of `commits`; none for merges and empty commits.

        Reads every blob once more; runs beside the caller in two processes of its own.
        """
        arguments = ["log", "--stdin", "--topo-order", "--reverse", "--no-merges", "--format=%H"]
        arguments += ["--no-show-signature", "--no-notes", "--no-color", *_PATCH]
        return self._patch_ids(arguments, _revisions(tips, exclude))

    def patch_ids_of(self, commits: Sequence[str]) -> dict[str, str]:
        """The stable patch id of each commit that has one (merges and empty commits have none)."""
        if not commits:
            return {}
        feed = [f"{commit}\n".encode("ascii") for commit in commits]
        return dict(self._patch_ids(["diff-tree", "--stdin", *_PATCH], feed))

    def _patch_ids(
        self, arguments: Sequence[str], feed: Iterable[bytes]
    ) -> Iterator[tuple[str, str]]:
        with self._stream(arguments, feed) as log:
            child = piped(self.path, ["patch-id", "--stable"], log.stdout)
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    patch, _, commit = line.decode("ascii").strip().partition(" ")
                    yield commit, patch
                child.wait()
                log.finish()
            finally:
                child.kill()
                child.wait()
                child.stdout.close()

    def rev_list(self, arguments: Sequence[str], revisions: Iterable[bytes] = ()) -> list[str]:
        """The commit ids that `git rev-list` gives."""
        feed = b"".join(revisions)
        output = run(self.path, ["rev-list", "--stdin", *arguments], stdin=feed)
        return output.decode("ascii").split()

    def first_parents(self, tip: str, exclude: str = "") -> list[str]:
        """The first-parent chain from `tip`, newest first, without what `exclude` reaches."""
        return self.rev_list(["--first-parent"], _revisions([tip], [exclude] if exclude else []))

    def reachable(self, tips: Iterable[str], exclude: Iterable[str] = ()) -> list[str]:
        """Every commit reachable from the tips and not from the excluded, in no promised order."""
        return self.rev_list([], _revisions(tips, exclude))

    def reach(self, tips: Iterable[str]) -> Callable[[], list[str]]:
        """As `reachable`; Git begins now, and goes on until what this gives is called, once."""
        process = self._begin(["rev-list", "--stdin"], _revisions(tips, []))
        return lambda: _read_whole(process).decode("ascii").split()

    def count(self, tips: Iterable[str], exclude: Iterable[str]) -> Callable[[], int]:
        """How many commits `reachable` gives; Git counts until what this gives is called, once."""
        process = self._begin(["rev-list", "--stdin", "--count"], _revisions(tips, exclude))
        return lambda: int(_read_whole(process))

    def graph(self, tips: Iterable[str], exclude: Iterable[str] = ()) -> Iterator[list[str]]:
        """[commit, parents…] of every commit reachable from the tips and not from the excluded."""
        feed = b"".join(_revisions(tips, exclude))
        output = run(self.path, ["rev-list", "--stdin", "--parents"], stdin=feed)
        return (line.split() for line in output.decode("ascii").splitlines())

    def merge_bases(self, one: str, other: str) -> list[str]:
        """The best common ancestors of two commits, none where their histories are unrelated."""
        try:
            return run(self.path, ["merge-base", "--all", one, other]).decode("ascii").split()
        except SourceError:
            return []

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `old` can be reached from `new`."""
        return not self.rev_list(["--max-count=1"], _revisions([old], [new]))

    @contextmanager
    def objects(
        self, most: int | None = None
    ) -> Iterator[Callable[[Sequence[str]], Iterator[bytes | None]]]:
        """A reader of many objects: give ids, get their bytes in order, None where missing.

        With `most`, of a larger object only so many bytes and one more are given.
        """
        with self._stream(["cat-file", "--batch"], None) as process:
            yield lambda ids: read_objects(process, ids, most)

    def tree_changes(self, pairs: Sequence[tuple[str, str]]) -> Iterator[list[RawChange]]:
        """The changed files of each pair of tree ids, in order. One process for all."""
        arguments = ["diff-tree", "--stdin", "-r", "--raw", "-z", "--no-renames", "--no-abbrev"]
        feed = [f"{one} {other}\n".encode() for one, other in pairs]
        with self._stream(arguments, feed) as process:
            yield from all_but_unfinished(raw_pairs(tokens(process.stdout)), process.finish)

    def merge_trees(self, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
        """The tree of merging each pair of commits, empty where they conflict.

        About 5 ms a pair (git 2.39 or newer). New objects go to a folder of their own, which is
        thrown away.
        """
        scratch = tempfile.mkdtemp(prefix="ledger-merge-")
        env = {
            "GIT_OBJECT_DIRECTORY": scratch,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.path / "objects"),
        }
        feed = [f"{ours} {theirs}\n".encode() for ours, theirs in pairs]
        # The results are thrown away, so nothing needs to survive a crash of the machine.
        arguments = ["-c", "core.fsync=none", "-c", "core.looseCompression=0"]
        arguments += ["merge-tree", "--write-tree", "--no-messages", "--stdin", "-z"]
        arguments += ["--allow-unrelated-histories"]
        try:
            with self._stream(arguments, feed, env) as process:
                yield from merge_results(tokens(process.stdout))
                process.finish()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def trees(self, commits: Sequence[str]) -> list[str]:
        """The tree id of each commit, empty where it is missing."""
        return self._named(commits, "tree")

    def commits_of(self, names: Sequence[str]) -> list[str]:
        """The whole id of each commit, empty where it is missing or where the digits fit several."""
        return self._named(names, "commit")

    def _named(self, ids: Sequence[str], kind: str) -> list[str]:
        """What of a kind each object is or leads to, empty where there is none."""
        if not ids:
            return []
        feed = "".join(f"{oid}^{{{kind}}}\n" for oid in ids).encode()
        output = run(self.path, ["cat-file", "--batch-check=%(objectname)"], stdin=feed)
        lines = output.decode().splitlines()
        return [line if OID.match(line) else "" for line in lines]

    def signatures(self, commits: Sequence[str], allowed_signers: Path) -> Iterator[list[str]]:
        """[commit, letter, signer, key, fingerprint] of each commit, checked by Git's own programs."""
        arguments = ["-c", f"gpg.ssh.allowedSignersFile={allowed_signers}", "log", "--no-walk"]
        arguments += ["--stdin", "--format=%H%x00%G?%x00%GS%x00%GK%x00%GF"]
        output = run(self.path, arguments, stdin="".join(f"{one}\n" for one in commits).encode())
        for line in output.decode("utf-8", "replace").split("\n")[:-1]:
            yield line.split("\0")

    def _begin(self, arguments: Sequence[str], feed: Iterable[bytes]) -> Process:
        with signals_later():  # until it is known whom to end
            process = Process(self.path, arguments, feed=feed)
            self._begun.append(process)
        return process

    def close(self) -> None:
        """Ends every git that was begun and whose answer nobody took to its end."""
        for process in self._begun:
            process.close()
        self._begun.clear()

    def _stream(
        self,
        arguments: Sequence[str],
        feed: Iterable[bytes] | None,
        env: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Process]:
        return _closing(Process(self.path, arguments, feed=feed, env=env))


@contextmanager
def _closing(process: Process) -> Iterator[Process]:
    try:
        yield process
    except BrokenStreamError:
        process.finish()  # Git's own reason, where it gives one
        raise
    finally:
        process.close()


def _told(process: Process) -> Iterator[RawCommit]:
    with _closing(process):
        yield from all_but_unfinished(raw_commits(tokens(process.stdout)), process.finish)


def _read_whole(process: Process) -> bytes:
    with _closing(process):
        output = process.stdout.read()
        process.finish()
    return output


def _make(path: Path, kind: str) -> None:
    """Makes an empty mirror beside its place and then moves it there, so that it is whole or absent.

    One that stands there and lacks a part is completed, and loses nothing.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not path.exists() or not any(path.iterdir())
        place = path.with_name(f"{path.name}.new") if fresh else path
        if fresh:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
        run(place, ["init", "--quiet", "--bare", "--template=", kind])
        run(place, ["config", "gc.pruneExpire", "never"])
        if fresh:
            place.rename(path)
    except OSError as error:
        raise LedgerError(
            f"the mirror {path} cannot be made: {error.strerror}",
            hint="Check the rights on the folder and the room on the disk, then run it again.",
        ) from error


def _revisions(tips: Iterable[str], exclude: Iterable[str]) -> list[bytes]:
    lines = [f"{tip}\n".encode("ascii") for tip in tips]
    return lines + [f"^{tip}\n".encode("ascii") for tip in exclude]


def _refname_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
