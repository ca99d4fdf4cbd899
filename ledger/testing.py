"""For tests of your own: small Git repositories made by real Git, and throw-away ledgers that read them.

    repo = make_repo(tmp_path / "infra")
    repo.commit({"app.yaml": MANIFEST}, "Add the app")
    head = repo.commit({"app.yaml": CHANGED}, "Two replicas (#7)", branch="feature")
    repo.pull_head(7, head)
    repo.merge("feature", "Merge pull request #7 from ann/feature")

    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.ingest()
    assert ledger.rows("select number from revisions where pull_request = 7")

The same calls give the same commit ids on every machine: people, clocks, keys and Git's settings are
fixed, and nothing of the user's configuration is read.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from ledger import config, registry
from ledger import ingest as shell
from ledger.config import EnvironmentSettings, Settings, SourceSettings
from ledger.documents import Documents
from ledger.errors import SourceError, UsageError
from ledger.events import RecordedEvent
from ledger.ingest import Outcome
from ledger.queries import Asker
from ledger.store import Store, schema

FILE, EXECUTABLE, LINK, SUBMODULE = "100644", "100755", "120000", "160000"
PULL_REFS = {
    "github": "refs/pull/{}/head",
    "gitlab": "refs/merge-requests/{}/head",
    "bitbucket": "refs/pull-requests/{}/from",
}
FIRST_COMMIT = datetime(2024, 1, 1, tzinfo=UTC)
FIRST_INGEST = datetime(2025, 1, 1, tzinfo=UTC)
TEST_KEY = "07" * 32
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


def track(repo: Repo | str, name: str = "infra", **options: Any) -> SourceSettings:
    """A source that reads a repository; `options` as in `[[source]]`."""
    url = repo if isinstance(repo, str) else repo.url
    return SourceSettings(kind="git", name=name, url=url, **options)


def make_ledger(
    folder: Path,
    *sources: SourceSettings,
    environments: Sequence[EnvironmentSettings] = (),
    database: str = "",
) -> Ledger:
    """A ledger with its configuration, key and database in a folder; on SQLite unless a URL is given."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / config.FILE
    url = database or "sqlite:///ledger.db"
    config.write_new(file, url)
    for one in sources:
        config.append_source(file, one)
    (folder / config.KEY_FILE).write_text(TEST_KEY + "\n", "ascii")
    settings = Settings(
        database=url, source=list(sources), environment=list(environments), folder=folder.absolute()
    )
    ledger = Ledger(settings)
    _initialise(settings.database_url)
    return ledger


_template: list[bytes] = []


def _initialise(url: str) -> None:
    """Makes the database; an SQLite file is made once and then copied, which is faster."""
    path = Path(url.removeprefix("sqlite:///"))
    if not url.startswith("sqlite:///") or path.exists():
        schema.initialise(url, registry.projections())
    elif _template:
        path.write_bytes(_template[0])
    else:
        schema.initialise(url, registry.projections())
        _template.append(path.read_bytes())


@dataclass(slots=True)
class Ledger:
    """A ledger under test. Its clock starts in 2025 and goes on by a minute with each ingest."""

    settings: Settings
    clock: datetime = field(default=FIRST_INGEST)

    @property
    def now(self) -> str:
        """The time of the clock."""
        return self.clock.strftime("%Y-%m-%dT%H:%M:%SZ")

    def ingest(self, *names: str, processes: int = 1, survey: bool = False) -> list[Outcome]:
        """Reads sources and gives what came of each; raises nothing for a source that fails."""
        self.clock += timedelta(minutes=1)
        now = self.now
        return shell.ingest(
            self.settings, names, clock=lambda: now, processes=processes, survey=survey
        )

    def grow(self, *names: str, processes: int = 1) -> int:
        """As `ingest`, but raises SourceError when anything fails; gives the number of new events."""
        outcomes = self.ingest(*names, processes=processes)
        for one in outcomes:
            if one.failure or one.stopped:
                raise SourceError(one.failure or "; ".join(one.stopped), hint=one.hint)
        return sum(one.appended for one in outcomes)

    def rebuild(self) -> int:
        """Makes every projection again."""
        return shell.rebuild(self.settings)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The open ledger."""
        with Store.open(self.settings.database_url) as store:
            yield store

    def events(self, *kinds: type[Any]) -> list[RecordedEvent]:
        """Every event, or those of some types, in order."""
        with self.store() as store:
            found = store.read(0, store.head().size or 1)
        return [one for one in found if not kinds or isinstance(one.data, kinds)]

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of any query, views and internal tables alike."""
        with self.store() as store:
            return store.connection.rows(sql, parameters)

    @contextmanager
    def ask(self) -> Iterator[Asker]:
        """What answers questions."""
        with self.store() as store:
            yield Asker(store, Documents(registry.parsers, store.content))

    def replace(self, **changes: Any) -> Ledger:
        """The same ledger and clock under other settings, such as `source=[…]`."""
        values = {name: getattr(self.settings, name) for name in self.settings.__struct_fields__}
        unknown = changes.keys() - values.keys()
        if unknown:
            raise UsageError(f"no such setting: {', '.join(sorted(unknown))}")
        return Ledger(Settings(**(values | changes)), self.clock)
