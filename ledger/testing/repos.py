"""Small Git repositories made by real Git: the same calls give the same commit ids everywhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from ledger.errors import SourceError

FILE, EXECUTABLE, LINK, SUBMODULE = "100644", "100755", "120000", "160000"
PULL_REFS = {
    "github": "refs/pull/{}/head",
    "gitlab": "refs/merge-requests/{}/head",
    "bitbucket": "refs/pull-requests/{}/from",
}
FIRST_COMMIT = datetime(2024, 1, 1, tzinfo=UTC)
_SCRATCH = "refs/scratch/commit"


class Person(NamedTuple):
    """An author or committer."""

    name: str
    email: str


ANN = Person("Ann", "ann@example.org")
BOB = Person("Bob", "bob@example.org")


class Entry(NamedTuple):
    """A file with its mode. Plain text or bytes stand for an ordinary file."""

    mode: str
    content: bytes


def link(target: str | bytes) -> Entry:
    """A symbolic link."""
    return Entry(LINK, _bytes(target))


def executable(content: str | bytes) -> Entry:
    """A file that may be run."""
    return Entry(EXECUTABLE, _bytes(content))


def submodule(commit: str) -> Entry:
    """A commit of another repository at a path (a gitlink)."""
    return Entry(SUBMODULE, commit.encode("ascii"))


# path → text, bytes or an Entry; None removes the file
Files = Mapping[str, Any] | Mapping[bytes, Any]


def make_repo(path: Path, *, branch: str = "main") -> Repo:
    """A new, empty, bare repository whose HEAD names `branch`."""
    path.mkdir(parents=True)
    repo = Repo(path, branch)
    repo.git("init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", ".")
    return repo


class Repo:
    """A bare repository to write into. Every method that makes a commit gives its id."""

    def __init__(self, path: Path, branch: str = "main") -> None:
        self.path = path
        self.branch = branch
        self._clock = FIRST_COMMIT

    @property
    def url(self) -> str:
        """What to configure as a source's URL."""
        return str(self.path)

    def git(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> bytes:
        """The output of a git command in the repository. Raises SourceError when it fails."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            input=stdin,
            capture_output=True,
            check=False,
            env={**_environment(), **(env or {})},
        )
        if done.returncode:
            raise SourceError(
                f"git {arguments[0]} failed: {done.stderr.decode('utf-8', 'replace')}"
            )
        return done.stdout

    def commit(
        self,
        files: Files | None = None,
        message: str | bytes = "A change",
        *,
        branch: str | None = "",
        parents: Sequence[str] | None = None,
        tree: str = "",
        author: Person = ANN,
        committer: Person | None = None,
        when: str | int = "",
        authored: str | int = "",
        encoding: str = "",
        signing_key: Path | None = None,
    ) -> str:
        """Commits `files` (None removes one) on top of the first parent's, and moves the branch there.

        `branch` is the default branch if left out; with None no ref moves. `parents` are the
        branch's tip if left out; `[]` makes a root. `tree` replaces the first parent's files.
        `when` is an ISO time or seconds since 1970; if left out, a minute after the last one.
        `signing_key` is a private ssh key.
        """
        ref = None if branch is None else f"refs/heads/{branch or self.branch}"
        if parents is None:
            tip = self.tip(ref) if ref else ""
            parents = [tip] if tip else []
        at = self._at(when)
        written = self._at(authored) if authored != "" else at
        lines: list[bytes] = [f"commit {_SCRATCH}\nmark :1\n".encode()]
        lines.append(b"author " + _person(author, written))
        lines.append(b"committer " + _person(committer or author, at))
        if encoding:
            lines.append(f"encoding {encoding}\n".encode())
        lines.append(_data(_bytes(message)))
        for index, parent in enumerate(parents):
            lines.append(f"{'merge' if index else 'from'} {parent}\n".encode())
        if tree:
            lines.append(f'M 040000 {tree} ""\n'.encode())
        lines += [_file_command(path, content) for path, content in (files or {}).items()]
        lines.append(b"get-mark :1\n")
        if ref and signing_key is None:
            lines.append(f"reset {ref}\nfrom :1\n\n".encode())
        width = len(parents[0]) if parents else len(self._empty_tree())
        lines.append(f"reset {_SCRATCH}\nfrom {'0' * width}\n\ndone\n".encode())
        made = self._import(lines)
        if signing_key is not None:
            made = self._signed(made, signing_key)
            if ref:
                self.set_ref(ref, made)
        return made

    def _empty_tree(self) -> str:
        return self.git("mktree").decode("ascii").strip()

    def _import(self, lines: list[bytes]) -> str:
        arguments = ["--quiet", "--force", "--done", "--date-format=raw-permissive"]
        output = self.git("fast-import", *arguments, stdin=b"".join(lines))
        return output.decode("ascii").strip()

    def _signed(self, commit: str, key: Path) -> str:
        """The same commit once more, with an ssh signature."""
        raw = self.git("cat-file", "commit", commit)
        head, _, message = raw.partition(b"\n\n")
        fields = [line.split(b" ", 1) for line in head.split(b"\n")]
        parents = [value.decode() for name, value in fields if name == b"parent"]
        people: dict[str, str] = {}
        for name, value in fields:
            if name in (b"author", b"committer"):
                who = name.decode().upper()
                person, _, rest = value.decode().partition(" <")
                email, _, date = rest.partition("> ")
                people |= {
                    f"GIT_{who}_NAME": person,
                    f"GIT_{who}_EMAIL": email,
                    f"GIT_{who}_DATE": date,
                }
        sign = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={key}", "commit-tree", "-S"]
        ancestry = [word for parent in parents for word in ("-p", parent)]
        made = self.git(*sign, f"{commit}^{{tree}}", *ancestry, stdin=message, env=people)
        return made.decode("ascii").strip()

    def raw_commit(self, raw: bytes, *, branch: str | None = "") -> str:
        """A commit object of exactly these bytes, however odd, and the branch moved there."""
        made = self.write_object("commit", raw)
        if branch is not None:
            name = f"refs/heads/{branch or self.branch}"
            self.git("update-ref", "--stdin", stdin=f"update {name} {made}\n".encode())
        return made

    def write_object(self, kind: str, data: bytes) -> str:
        """An object of any kind, unchecked."""
        arguments = ["hash-object", "-t", kind, "-w", "--stdin", "--literally"]
        return self.git(*arguments, stdin=data).decode("ascii").strip()

    # -- branches, merges, refs ------------------------------------------------------------------

    def tip(self, ref: str = "") -> str:
        """The commit that a branch or a full ref name leads to, empty where there is none."""
        name = ref if ref.startswith("refs/") else f"refs/heads/{ref or self.branch}"
        return self.git("for-each-ref", "--format=%(objectname)", name).decode("ascii").strip()

    def make_branch(self, name: str, at: str = "") -> None:
        """A branch at a commit, or at the default branch's tip."""
        self.set_ref(f"refs/heads/{name}", at or self.tip())

    def force(self, commit: str, branch: str = "") -> None:
        """Moves a branch to a commit, whatever it left behind."""
        self.set_ref(f"refs/heads/{branch or self.branch}", commit)

    def set_ref(self, ref: str, commit: str) -> None:
        """Moves any ref, or makes it."""
        self.git("update-ref", ref, commit)

    def delete_ref(self, ref: str) -> None:
        """Removes a ref."""
        self.git("update-ref", "-d", ref)

    def rename_branch(self, old: str, new: str) -> None:
        """Gives a branch another name; HEAD follows if it named the old one."""
        self.git("branch", "--force", "-m", old, new)
        self.branch = new if self.branch == old else self.branch

    def merged_tree(self, ours: str, theirs: str) -> str:
        """The tree of a clean merge. Raises SourceError on a conflict."""
        arguments = ["merge-tree", "--write-tree", "--allow-unrelated-histories", ours, theirs]
        return self.git(*arguments).decode("ascii").strip()

    def merge(
        self,
        other: str,
        message: str = "Merge",
        *,
        into: str = "",
        files: Files | None = None,
        **who: Any,
    ) -> str:
        """A merge commit of a branch or commit into a branch; `files` are changed besides."""
        ours, theirs = self.tip(into), self.resolve(other)
        tree = self.merged_tree(ours, theirs)
        return self.commit(files, message, branch=into, parents=[ours, theirs], tree=tree, **who)

    def squash(
        self,
        other: str,
        message: str = "Squashed",
        *,
        into: str = "",
        files: Files | None = None,
        **who: Any,
    ) -> str:
        """What a forge's squash button does: the merge's files as one commit with one parent."""
        ours = self.tip(into)
        tree = self.merged_tree(ours, self.resolve(other))
        return self.commit(files, message, branch=into, parents=[ours], tree=tree, **who)

    def rebase(self, other: str, *, onto: str = "", **who: Any) -> list[str]:
        """What a forge's rebase button does: the commits of a branch once more on top of another."""
        ours, theirs = self.tip(onto), self.resolve(other)
        wanted = (
            self.git("rev-list", "--reverse", "--topo-order", theirs, f"^{ours}").decode().split()
        )
        made: list[str] = []
        for commit in wanted:
            base = self.git("rev-parse", f"{commit}^").decode().strip()
            merge = ["merge-tree", "--write-tree", f"--merge-base={base}"]
            try:
                tree = self.git(*merge, self.tip(onto), commit).decode().strip()
            except SourceError:  # git before 2.40 has no --merge-base
                tree = self._picked_tree(self.tip(onto), base, commit)
            message = self.git("log", "-1", "--format=%B", commit).rstrip(b"\n")
            made.append(self.commit(None, message, branch=onto, tree=tree, **who))
        return made

    def _picked_tree(self, ours: str, base: str, commit: str) -> str:
        """A three-way merge by way of a commit that pretends to stand on `base`."""
        above = self.git("rev-parse", f"{ours}^{{tree}}").decode().strip()
        twin = self.commit(None, "twin", branch=None, parents=[base], tree=above)
        self._clock -= timedelta(minutes=1)
        return self.merged_tree(twin, commit)

    def resolve(self, name: str) -> str:
        """The commit of a branch, a full ref name or a commit id."""
        return self.tip(name) or name

    def tag(self, name: str, at: str = "", message: str = "") -> str:
        """A tag at a commit (annotated where it has a message), moved there if it stood elsewhere."""
        commit = at or self.tip()
        if not message:
            self.set_ref(f"refs/tags/{name}", commit)
            return commit
        tagger = _person(ANN, self._at("")).decode()
        raw = f"object {commit}\ntype commit\ntag {name}\ntagger {tagger}\n{message}\n"
        made = self.write_object("tag", raw.encode())
        self.set_ref(f"refs/tags/{name}", made)
        return made

    def pull_head(self, number: int, commit: str, *, forge: str = "github") -> None:
        """Says what a pull request's head is, as `github`, `gitlab` or `bitbucket` name it."""
        self.set_ref(PULL_REFS[forge].format(number), commit)

    def drop_pull_head(self, number: int, *, forge: str = "github") -> None:
        """Removes a pull request's head."""
        self.delete_ref(PULL_REFS[forge].format(number))

    def bundle(self, path: Path) -> Path:
        """Writes every ref and object into a bundle file; an older one is replaced."""
        self.git("bundle", "create", "--quiet", str(path.absolute()), "--all")
        return path

    # -- reading, for oracles --------------------------------------------------------------------

    def chain(self, tip: str = "") -> list[str]:
        """The first-parent line below a commit or the default branch, oldest first."""
        output = self.git("rev-list", "--first-parent", "--reverse", tip or self.tip())
        return output.decode("ascii").split()

    def files(self, commit: str) -> dict[bytes, tuple[str, str, bytes]]:
        """path → (mode, object id, content) of every file of a commit, by plain Git."""
        listing = self.git("ls-tree", "-r", "-z", "--full-tree", commit)
        found: dict[bytes, tuple[str, str]] = {}
        for line in listing.split(b"\0")[:-1]:
            head, _, path = line.partition(b"\t")
            mode, _, oid = head.decode("ascii").split(" ")
            found[path] = (mode, oid)
        blobs = self.blobs([oid for mode, oid in found.values() if mode != SUBMODULE])
        return {path: (mode, oid, blobs.get(oid, b"")) for path, (mode, oid) in found.items()}

    def blobs(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The content of each blob."""
        wanted = sorted(set(ids))
        output = self.git(
            "cat-file", "--batch", stdin="".join(f"{one}\n" for one in wanted).encode()
        )
        found: dict[str, bytes] = {}
        at = 0
        for oid in wanted:
            end = output.index(b"\n", at)
            size = int(output[at:end].split()[2])
            found[oid] = output[end + 1 : end + 1 + size]
            at = end + 2 + size
        return found

    def _at(self, when: str | int) -> str:
        """Git's raw date of a time."""
        if isinstance(when, int):
            return f"{when} +0000"
        if when:
            moment = datetime.fromisoformat(when)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return f"{int(moment.timestamp())} {moment.strftime('%z')}"
        self._clock += timedelta(minutes=1)
        return f"{int(self._clock.timestamp())} +0000"


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _person(person: Person, at: str) -> bytes:
    return _bytes(f"{person.name} <{person.email}> {at}\n".removeprefix(" "))


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _file_command(path: str | bytes, content: str | bytes | Entry | None) -> bytes:
    quoted = b'"' + b"".join(_quoted(byte) for byte in _bytes(path)) + b'"'
    if content is None:
        return b"D " + quoted + b"\n"
    entry = content if isinstance(content, Entry) else Entry(FILE, _bytes(content))
    if entry.mode == SUBMODULE:
        return b"M 160000 " + entry.content + b" " + quoted + b"\n"
    return f"M {entry.mode} inline ".encode() + quoted + b"\n" + _data(entry.content)


def _quoted(byte: int) -> bytes:
    plain = 32 <= byte < 127 and byte not in b'"\\'
    return bytes([byte]) if plain else f"\\{byte:03o}".encode()


# -- ledgers -------------------------------------------------------------------------------------
