"""Hostile input from end to end: a clear recorded reason, nothing lost, bounded time and memory.

What one module makes of one kind of bad input stands in that module's tests (test_gitio,
test_git_source, test_goyaml, test_parsers, test_terraform, test_redaction). Here it goes through a
whole ingest, and every question is asked of what is stored then.
"""

from __future__ import annotations

import importlib.util
import io
import os
import resource
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ledger as package
from ledger import auditor, gitio, registry
from ledger.errors import SourceError
from ledger.events import CollectorGap, CommitObserved
from ledger.gitio import streams
from ledger.testing import (
    ANN,
    Ledger,
    Person,
    Repo,
    executable,
    link,
    make_ledger,
    make_repo,
    submodule,
    track,
)
from ledger.testing.programs import Run

TARGET = Path(__file__).parent / "fuzz" / "target.py"
ESC = "\x1b[2J\x1b]0;pwned\x07"
BIDI = "\u202egnp.exe\u2066\u200f\ufeff"
MANIFEST = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: {}
spec:
  replicas: {}
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "infra.git")


def commits(repo: Repo, count: int = 5) -> list[str]:
    """A line of commits that change the same two files."""
    files = [{f"{name}.yaml": MANIFEST.format(name, n) for name in "ab"} for n in range(count)]
    return [repo.commit(one, f"number {n}") for n, one in enumerate(files)]


def facts(ledger: Ledger) -> list[tuple[str, Any]]:
    """What was told of the repository itself."""
    with_time = (CollectorGap.TYPE, "source.surveyed")
    return [(one.key, one.data) for one in ledger.events() if one.data.TYPE not in with_time]


def only_gap(ledger: Ledger, repository: str = "infra") -> str:
    """Why a source could not be read: one gap in the log, and the failure that `feeds` shows."""
    [gap] = [one.data for one in ledger.events(CollectorGap)]
    assert isinstance(gap, CollectorGap)
    assert (gap.repository, gap.kind) == (repository, "unreadable")
    assert ledger.rows("select failure from feeds where feed = ?", repository) == [(gap.detail,)]
    return gap.detail


# -- objects that are missing ------------------------------------------------------------------------


def lose(place: Repo, oid: str) -> Callable[[], object]:
    """Takes an object out of a repository; gives what puts it back."""
    for pack in (place.path / "objects" / "pack").glob("*.pack"):
        data = pack.read_bytes()
        for part in pack.parent.glob(f"{pack.stem}.*"):
            part.unlink()
        place.git("unpack-objects", "-q", stdin=data)
    file = place.path / "objects" / oid[:2] / oid[2:]
    data = file.read_bytes()
    file.unlink()
    return partial(file.write_bytes, data)


def victim(repo: Repo, kind: str, line: list[str]) -> str:
    """An object of the history that may get lost."""
    return {
        "newest blob": lambda: repo.files(line[-1])[b"a.yaml"][1],
        "old blob": lambda: repo.files(line[1])[b"a.yaml"][1],
        "tree": lambda: repo.git("rev-parse", f"{line[2]}^{{tree}}").decode().strip(),
        "commit": lambda: line[2],
        "tip": lambda: line[-1],
    }[kind]()


KINDS = ["newest blob", "old blob", "tree", "commit", "tip"]


@pytest.mark.parametrize("kind", KINDS)
def test_objects_that_a_remote_lacks_are_a_gap_until_they_are_there(
    kind: str, repo: Repo, tmp_path: Path
) -> None:
    line = commits(repo)
    whole = make_ledger(tmp_path / "whole", track(repo))
    whole.grow()
    put_back = lose(repo, victim(repo, kind, line))
    other = make_repo(tmp_path / "other.git")
    commits(other)
    ledger = make_ledger(tmp_path / "ledger", track(repo), track(other, "other"))
    [failed, fine] = ledger.ingest()
    assert failed.failure.startswith("git fetch failed: ")
    assert failed.hint or kind == "tip"
    assert (failed.appended, fine.failure) == (0, "")
    assert only_gap(ledger) == failed.failure
    assert ledger.rows("select * from revisions where repository = 'infra'") == []
    put_back()
    ledger.grow()
    told = [one for one in facts(ledger) if one[0].startswith("infra/")]
    assert told == facts(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_objects_that_our_copy_lost_are_a_gap_that_says_how_to_get_them(
    kind: str, repo: Repo, tmp_path: Path
) -> None:
    line = commits(repo)
    whole = make_ledger(tmp_path / "whole", track(repo))
    whole.grow()
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    mirror = ledger.settings.mirror(ledger.settings.source[0])
    gitio.Mirror(mirror).fetch(repo.url, ["refs/heads/main"])
    lose(Repo(mirror), victim(repo, kind, line))
    [outcome] = ledger.ingest()
    if kind == "tip":
        assert not outcome.failure  # it was fetched again
    else:
        assert only_gap(ledger) == outcome.failure
        assert f"remove {mirror}" in outcome.hint
        assert ledger.rows("select * from revisions") == []
        shutil.rmtree(mirror)
        ledger.grow()
    assert facts(ledger) == facts(whole)


@pytest.mark.parametrize("omitted", ["blob:none", "tree:0"])
def test_a_partial_clone_is_a_gap_and_nobody_asks_its_remote(
    omitted: str, repo: Repo, tmp_path: Path
) -> None:
    commits(repo)
    repo.git("config", "uploadpack.allowFilter", "true")
    partial_clone = tmp_path / "partial.git"
    url = f"file://{repo.path}"
    repo.git("clone", "-q", "--bare", f"--filter={omitted}", url, str(partial_clone))
    program, ran = trap(tmp_path, "exec git-upload-pack")
    Repo(partial_clone).git("config", "remote.origin.uploadpack", str(program))
    ledger = make_ledger(tmp_path / "ledger", track(str(partial_clone)))
    [failed] = ledger.ingest()
    assert "from promisor remote" in only_gap(ledger)
    assert "partial clone" in failed.hint
    assert not ran.exists()


# -- Git's answers that break off ----------------------------------------------------------------------

ONE, OTHER = "1" * 40, "2" * 40
CHANGE = f":100644 100644 {ONE} {OTHER} M\0a.yaml\0"
LOG = f"{ONE}\0\n{CHANGE}{CHANGE}{OTHER}\0\n{CHANGE}".encode()
DIFFS = f"{ONE} {OTHER}\n{CHANGE}{ONE} {OTHER}\n{CHANGE}".encode()


@pytest.mark.parametrize(
    ("read", "answer"), [(streams.raw_commits, LOG), (streams.raw_pairs, DIFFS)]
)
def test_an_answer_that_breaks_off_anywhere_is_never_told_in_part(
    read: Callable[[Iterator[bytes]], Iterator[Any]], answer: bytes
) -> None:
    def finish() -> None:
        raise SourceError("git died")

    whole = list(read(streams.tokens(io.BytesIO(answer))))
    assert len(whole) == 2
    for cut in range(len(answer)):
        given: list[Any] = []
        stream = read(streams.tokens(io.BytesIO(answer[:cut])))
        with pytest.raises(SourceError):
            given.extend(streams.all_but_unfinished(stream, finish))
        assert given in ([], whole[:1])


# -- repositories that want to run programs ------------------------------------------------------------


def trap(folder: Path, then: str = ":") -> tuple[Path, Path]:
    """A program, and the file that is there once it ran."""
    program, ran = folder / "program", folder / "ran"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {ran}\n{then}\n', "utf-8")
    program.chmod(0o755)
    return program, ran


EVIL = """
[core]
	sshCommand = {program}
	fsmonitor = {program}
	hooksPath = {folder}/hooks
	gitProxy = {program}
	askPass = {program}
	pager = {program}
	alternateRefsCommand = {program}
[uploadpack]
	packObjectsHook = {program}
[include]
	path = {folder}/included
[includeIf "gitdir:/"]
	path = {folder}/included
[credential]
	helper = {program}
[url "ext::sh -c {program}% "]
	insteadOf = {url}
[protocol]
	allow = always
[protocol "ext"]
	allow = always
[remote "{url}"]
	uploadpack = {program}
	url = ext::{program}
	vcs = ext
[remote "origin"]
	url = ext::{program}
	promisor = true
[gpg]
	program = {program}
[diff "odd"]
	command = {program}
	textconv = {program}
[filter "odd"]
	clean = {program}
	smudge = {program}
	process = {program}
[gc]
	auto = 1
	recentObjectsHook = {program}
"""
HOOKS = ("pre-upload", "post-upload", "reference-transaction", "post-checkout", "pre-auto-gc")


def corrupt(place: Path, url: str, folder: Path) -> Path:
    """Gives a repository's folder a configuration and hooks that run a program wherever Git lets them."""
    program, ran = trap(folder, 'exec "$@"')
    hooks = folder / "hooks"
    hooks.mkdir()
    for name in HOOKS:
        shutil.copy(program, hooks / name)
    shutil.copytree(hooks, place / "hooks", dirs_exist_ok=True)
    included = EVIL.partition("[include]")[0].format(program=program, folder=folder)
    (folder / "included").write_text(included, "utf-8")
    with (place / "config").open("a", encoding="utf-8") as config:
        config.write(EVIL.format(program=program, folder=folder, url=url))
    return ran


def test_the_configuration_and_hooks_of_a_local_remote_run_nothing(
    repo: Repo, tmp_path: Path
) -> None:
    repo.commit({".gitattributes": "* diff=odd filter=odd\n"}, "Attributes")
    line = commits(repo)
    ran = corrupt(repo.path, repo.url, tmp_path)
    work_tree = tmp_path / "clone"
    shutil.copytree(repo.path, work_tree / ".git")
    config = (work_tree / ".git" / "config").read_text("utf-8")
    (work_tree / ".git" / "config").write_text(config.replace("bare = true", "bare = false"))
    ledger = make_ledger(
        tmp_path / "ledger",
        track(repo, "path"),
        track(f"file://{repo.path}", "url"),
        track(str(work_tree), "clone"),
    )
    ledger.grow()
    ledger.ingest()
    for name in ("path", "url", "clone"):
        found = ledger.rows("select commit_sha from revisions where repository = ?", name)
        assert set(line) < {commit for (commit,) in found}
    assert not ran.exists(), ran.read_text("utf-8")


def test_the_repository_in_which_the_program_stands_has_no_say(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ledger` may be started in any folder, also below somebody else's repository."""
    commits(repo)
    around = make_repo(tmp_path / "around" / ".git")
    commits(around, 1)
    around.git("config", "core.bare", "false")
    ran = corrupt(around.path, repo.url, tmp_path)
    before = {path: path.read_bytes() for path in around.path.rglob("*") if path.is_file()}
    inside = tmp_path / "around" / "ledger"
    ledger = make_ledger(inside, track(repo), track("ssh://nobody@127.0.0.1:1/x", "ssh"))
    monkeypatch.chdir(inside)
    monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)
    [fine, failed] = ledger.ingest()
    assert fine.failure == ""
    assert failed.failure.startswith("git ls-remote failed")
    assert not ran.exists(), ran.read_text("utf-8")
    mirror = ledger.settings.mirror(ledger.settings.source[0])
    shutil.rmtree(mirror / "objects")  # no repository any more: Git looks in the folders above
    repo.commit({"a.yaml": "more\n"}, "More")
    assert not ledger.ingest("infra")[0].failure  # all was fetched again
    after = {path: path.read_bytes() for path in around.path.rglob("*") if path.is_file()}
    assert after == before


def test_a_repository_of_somebody_else_is_a_gap_that_says_how_to_trust_it(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits(repo)
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    [failed] = ledger.ingest()
    assert "dubious ownership" in only_gap(ledger)
    assert "safe.directory" in failed.hint


def test_no_credentials_of_a_url_are_recorded_with_a_failure(tmp_path: Path) -> None:
    password = "hunter2-" + "x" * 20
    sources = [
        track(f"{scheme}://ann:{password}@127.0.0.1:1/infra.git", f"source-{number}")
        for number, scheme in enumerate(["https", "http", "ssh", "git", "ftp", "ext"])
    ]
    sources.append(track(f"ext::https://ann:{password}@127.0.0.1:1/x", "helper"))
    ledger = make_ledger(tmp_path / "ledger", *sources)
    outcomes = ledger.ingest()
    assert all(one.failure for one in outcomes)
    assert len(ledger.events(CollectorGap)) == len(sources)
    assert not any(password in one.failure + one.hint for one in outcomes)
    database = Path(ledger.settings.database_url.removeprefix("sqlite:///"))
    for file in database.parent.glob("ledger.db*"):
        assert password.encode() not in file.read_bytes()


def test_a_remote_that_cannot_be_reached_is_one_gap_however_often_it_is_tried(
    tmp_path: Path,
) -> None:
    ledger = make_ledger(tmp_path / "ledger", track("git://127.0.0.1:1/infra"))
    outcomes = [ledger.ingest()[0] for _ in range(3)]
    assert "Connection refused" in only_gap(ledger)
    assert {one.failure for one in outcomes} == {only_gap(ledger)}


# -- very much of something ------------------------------------------------------------------------------

MEASURED = """
import resource
import sys
from pathlib import Path
from ledger.testing import make_ledger, track

if __name__ == "__main__":
    folder, url, database = sys.argv[1:]
    ledger = make_ledger(Path(folder), track(url), database=database)
    ledger.grow()
    # Not what getrusage says, in which the process that forked this one counts.
    status = Path("/proc/self/status")
    if status.exists():
        print(int(status.read_text().partition("VmHWM:")[2].split()[0]) // 1024)
    else:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def grown_apart(folder: Path, url: str, *, seconds: int, database: str = "") -> tuple[Ledger, int]:
    """An ingest in a process of its own, which dies at so many seconds; and its peak memory in MB."""
    program = folder / "measured.py"
    program.write_text(MEASURED, "utf-8")
    done = subprocess.run(
        [sys.executable, str(program), str(folder / "ledger"), url, database],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_CPU, (seconds, seconds)),
        env={**os.environ, "PYTHONPATH": str(Path(package.__file__).parent.parent)},
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    there = make_ledger(folder / "beside", track(url))
    shutil.copy(folder / "ledger" / "ledger.db", folder / "beside" / "ledger.db")
    return there, int(done.stdout)


def test_a_commit_of_100_000_files_takes_bounded_time_and_memory(
    repo: Repo, tmp_path: Path
) -> None:
    """About 20 s and 420 MB in one process: beside 100 MB some 3 KB for each file of the largest commit."""
    count = 100_000
    head = b"commit refs/heads/main\nmark :1\ncommitter Ann <a@x> 1704067200 +0000\ndata 4\nmany\n"

    def files() -> Iterator[bytes]:
        yield head
        for number in range(count):
            text = MANIFEST.format(f"app-{number}", number).encode()
            path = f"M 100644 inline apps/{number // 100}/{number}/app.yaml\ndata {len(text)}\n"
            yield path.encode() + text + b"\n"
        yield b"\ncommit refs/heads/main\ncommitter Ann <a@x> 1704067260 +0000\ndata 4\none\n\n"
        yield b"from :1\nM 100644 inline apps/0/0/app.yaml\ndata 2\nx\n\ndone\n"

    repo.git("fast-import", "--quiet", "--done", stdin=b"".join(files()))
    ledger, megabytes = grown_apart(tmp_path, repo.url, seconds=150)
    assert megabytes < 550
    assert ledger.rows("select count(*) from resources") == [(count + 1,)]
    changes = "select count(*) from resource_changes where action = 'added'"
    assert ledger.rows(changes) == [(count + 1,)]
    assert ledger.rows("select failure from projections where failure <> ''") == []
    assert ledger.rows("select max(number) from revisions") == [(2,)]


def test_files_of_50_mb_take_bounded_memory_and_are_named(repo: Repo, tmp_path: Path) -> None:
    """About 120 MB, whatever the size of the files: what is above 10 MB is not even read whole."""
    big = b"a: b\n" * 10_000_000
    first = repo.commit({"big.yaml": big, "a.yaml": "a: 1\n"}, "Big")
    repo.commit({"big.yaml": big + b"c: d\n", "a.yaml": "a: 2\n"}, "Bigger")
    ledger, megabytes = grown_apart(tmp_path, repo.url, seconds=60)
    assert megabytes < 200
    found = dict(ledger.rows("select path, unparsed from resources"))
    assert found == {"big.yaml": "too_large", "a.yaml": ""}
    [told] = [one.data for one in ledger.events(CommitObserved) if first in one.key]
    assert isinstance(told, CommitObserved)
    ids = {file.path: file.after.id for file in told.files if file.after}
    assert ids["big.yaml"] == repo.files(first)[b"big.yaml"][1]
    rows = ledger.rows("select path, field from field_changes where revision_number = 2")
    assert ("a.yaml", "a") in rows
    assert ("big.yaml", "content") in rows


# -- every question about everything at once ---------------------------------------------------------------

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE_FILES: dict[bytes, Any] = {
    b"line\nbreak.yaml": MANIFEST.format("newline", 1),
    b"quote\"'`$(x).yaml": MANIFEST.format("quote", 1),
    b"-rf": "leading dash\n",
    b"--upload-pack=x.yaml": MANIFEST.format("option", 1),
    b"latin\xe9\xff.yaml": MANIFEST.format("latin", 1),
    f"red{ESC}.yaml".encode(): MANIFEST.format("red", 1),
    f"bidi{BIDI}.yaml".encode(): MANIFEST.format("bidi", 1),
    b"\xc2\x9b31m.txt": "C1 control\n",
    b"names.yaml": f'apiVersion: v1\nkind: "K{BIDI}"\n'
    f'metadata: {{name: "n\\e[31m\\a{BIDI}", namespace: "s\\r\\n  forged"}}\n'
    f'data: {{"k\\e]0;x\\a{BIDI}": "v\\e[2J\\x9b{BIDI}", "": null}}\n',
    b"names.tf": f'resource "a{BIDI}" "b\\u001b[31m" {{\n  c = "{BIDI}\\u001b[2J\\u009b"\n}}\n',
    b"bomb.yaml": BOMB,
    b"brackets.yaml": "a: " + "[" * 50_000,
    b"closed.yaml": "a: " + "[" * 50_000 + "]" * 50_000,
    b"braces.yaml": "{a: " * 50_000,
    b"dashes.yaml": "- " * 50_000,
    b"brackets.json": "[" * 50_000 + "]" * 50_000,
    b"brackets.toml": "a = " + "[" * 50_000 + "]" * 50_000,
    b"brackets.tf": "a = " + "[" * 50_000 + "]" * 50_000,
    b"brackets.tf.json": '{"a":' * 50_000 + "1" + "}" * 50_000,
    b"secret.yaml": "kind: Secret\ndata: " + "[" * 50_000,
    b"twice.yaml": "a: 1\na: 2\n",
    b"twice.json": '{"a": 1, "a": 2}',
    b"chart/templates/app.yaml": "{{- if .Values.on }}\nkind: {{ .Values.kind }}\n{{- end }}\n",
    b"half.yaml": 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: "half',
    b"half.tf": 'resource "aws_instance" "web" {\n  ami = "${var.',
    b"half.json": '{"a": [1, 2',
    b"half.toml": "[a",
    b"half.ini": "[a\n=\n",
    b"nul.yaml": b"a: 1\0\n",
    b"utf16.yaml": "a: 1\n".encode("utf-16"),
    b"bom.yaml": b"\xef\xbb\xbf" + MANIFEST.format("bom", 1).encode(),
    b"crlf.yaml": MANIFEST.format("crlf", 1).replace("\n", "\r\n"),
    b"latin.yaml": b"a: gr\xfcn\n",
    b"control.yaml": b"a: \x01\x1b[2J\x9b\n",
    b"control.txt": f"{ESC}{BIDI}\r\x08\x7f\u2028\n".encode() + b"\x9b31m\xff\n",
    b"link": link(b"\x1b[31m/../\xff" + BIDI.encode()),
    b"module": submodule("1" * 40),
    b"run.sh": executable("#!/bin/sh\n"),
    b"empty.yaml": "",
    b"kustomization.yaml": f'resources: ["{BIDI}", "../../../etc", "\\e[2J"]\nnamePrefix: "\\e[31m"\n',
    b"large.txt": b"x" * 10_000_001,
    b"one-line.json": b'{"a": "' + b"x" * 300_000 + b'"}',
}


def hostile_story(repo: Repo) -> None:
    """Everything above, changed once, and half of it gone; and commits, refs and merges of all kinds."""
    evil = Person(f"Eve {ESC}{BIDI}", f"eve\x1b[31m{BIDI}@x")
    start = repo.commit(
        HOSTILE_FILES, f"Start {ESC}{BIDI}\n\nReviewed-by: {ESC}{BIDI}\n", author=evil
    )
    changed = {
        path: content + b"\nmore: 1\n" if isinstance(content, bytes) else f"{content}\nmore: 1\n"
        for path, content in HOSTILE_FILES.items()
        if isinstance(content, str | bytes)
    }
    repo.commit(changed, b"Gr\xfc\xdfe (#7)", author=Person("J\udcfcrgen", "j@x"))
    repo.commit({b"names.yaml": None, b"link": "no link\n", b"run.sh": "#!/bin/sh\n"}, b"Latin \xfc",
                encoding="ISO-8859-1", when=0, author=Person("", ""))  # fmt: skip
    repo.commit({"late.yaml": "a: 1\n"}, "2099", when="2099-12-31T23:59:59+14:00")
    repo.commit({"early.yaml": "a: 1\n"}, "1969", when=-1, authored=253_402_300_800)
    for number in range(3):
        made = repo.commit({f"{number}.txt": "x\n"}, f"{number} {BIDI}", branch=f"side-{number}",
                           parents=[start], author=ANN)  # fmt: skip
        repo.pull_head(number + 1, made)
    tips = [repo.tip(), *(repo.tip(f"side-{number}") for number in range(3))]
    repo.commit({"octopus.txt": "8\n"}, "Octopus", parents=tips)
    repo.commit({"alien.txt": "x\n"}, f"Alien {ESC}", branch="alien", parents=[])
    repo.merge("alien", f"Merge pull request #9 from {ESC}{BIDI}")
    repo.commit(dict.fromkeys(list(HOSTILE_FILES)[::3]), "A third of it gone")
    repo.tag("v1\u202e", message=f"{ESC}{BIDI}")
    displaced = repo.commit({"displaced.txt": ESC}, f"Displaced {BIDI}")
    repo.set_ref("refs/tags/displaced", displaced)


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """With lines that are long enough for what is hostile."""
    monkeypatch.setenv("COLUMNS", "200")
    return run


VIEWS = sorted(
    file.stem for file in (Path(package.__file__).parent / "views").glob("*.sql")
)  # fmt: skip


def questions(ledger: Ledger) -> Iterator[tuple[str, ...]]:
    """Every question; each about everything that the ledger holds, by its identity or its path."""
    asked = ("when", "history", "blame", "show", "diff")
    resources = ledger.rows("select resource, path from resources order by resource")
    for number, (identity, path) in enumerate(resources):
        for question in asked:
            since = ("--from", "2025-01-01T00:01:30Z") if question == "diff" else ()
            yield (question, *since, "--", identity)
        yield (asked[number % 4], "-o", "json", "--", path)
        yield ("log", f"--path={path}")
    fields = ledger.rows(
        "select distinct path, field from field_changes where length(field) between 1 and 200"
    )
    for number, (path, field) in enumerate(fields):
        if number < 10 or acts_on_a_terminal(field):
            yield (("when", "history", "blame")[number % 3], f"--field={field}", "--", path)
    yield from (("log",), ("log", "--superseded"), ("log", "-o", "json"), ("source", "list"))
    yield from (("changes", "--since", "2000-01-01"), ("verify",))
    for view in VIEWS:
        for form in ("table", "json"):
            yield ("sql", f"select * from {view}", "-o", form)
    yield ("log", f"--author=J\u00fcrgen{ESC}", "--until=2050-01-01")
    yield ("when", f"nothing/{ESC}{BIDI}")


def acts_on_a_terminal(text: str) -> set[str]:
    """Control characters, and those that change the direction of what is read."""
    signs = {char for char in set(text) if unicodedata.category(char).startswith(("C", "Zl", "Zp"))}
    return signs - {"\n", "\t"}


def test_every_question_survives_a_hostile_ledger_and_none_reaches_the_terminal(
    repo: Repo,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    hostile_story(repo)
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=database_url)
    ledger.grow()
    repo.force(repo.git("rev-parse", "main^").decode().strip())
    ledger.grow()
    assert ledger.rows("select failure from projections where failure <> ''") == []
    reasons = dict(ledger.rows("select path, unparsed from resources where unparsed <> ''"))
    for path in HOSTILE_FILES:
        broken = path.startswith((b"half", b"brackets", b"braces", b"closed", b"bomb"))
        if broken and path.decode() in dict(ledger.rows("select path, 1 from resources")):
            assert reasons[path.decode()], path
    monkeypatch.setenv("LEDGER_CONFIG", str(ledger.settings.folder / "ledger.toml"))
    answered = 0
    every = list(questions(ledger))
    if database_url.startswith("postgresql"):  # the answers are made by the same code
        every = [one for one in every if one[0] == "sql"] + every[::9]
    for arguments in every:
        done = run(*arguments)
        assert done.code in (0, 2, 3, 4), (arguments, done)
        assert "Traceback" not in done.err, arguments
        assert acts_on_a_terminal(done.out + done.err) == set(), arguments
        answered += done.code == 0
    assert answered > 80


class Screen(io.StringIO):
    """A terminal to write to."""

    def isatty(self) -> bool:
        return True


def test_csv_keeps_every_character_in_a_file_and_shows_it_on_a_terminal() -> None:
    answer = auditor.Answer(
        columns=("a",), rows=[(ESC + BIDI,)], truncated=False, sql="", seconds=0
    )
    screen, file = Screen(), io.StringIO()
    auditor.write_csv(answer, screen)
    auditor.write_csv(answer, file)
    assert acts_on_a_terminal(screen.getvalue()) <= {"\r"}
    assert ESC + BIDI in file.getvalue()


# -- any bytes -------------------------------------------------------------------------------------------


def fuzz_target() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_target", TARGET)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FUZZ = fuzz_target()
PIECES = [
    b"a: ", b"- ", b"\n", b"  ", b"[", b"]", b"{", b"}", b'"', b"'", b"|\n", b"---\n", b"&x ", b"*x",
    b"<<: ", b"kind: Secret\n", b"stringData:\n", b"password: hunter22\n", b"= ", b"<<E\n", b"${",
    b'resource "a" "b" {\n', b"[[t]]\n", b"\\", b"\xff", b"\0", b"\xef\xbb\xbf", b"\r\n", b"\x1b",
    b"apiVersion: v1\nkind: List\nitems:\n", b"name: x\n", b"{{ x }}", b"1e999", b"# ", b"://a:b@",
]  # fmt: skip
any_bytes = st.binary(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


@pytest.mark.parametrize("path", FUZZ.PATHS)
@settings(max_examples=60)
@given(before=any_bytes, after=any_bytes)
def test_any_two_versions_of_a_file_are_hidden_read_and_compared(
    path: str, before: bytes, after: bytes
) -> None:
    assert FUZZ.file_faults(path, before, after) == []


@settings(max_examples=200)
@given(st.integers(len(FUZZ.PATHS), FUZZ.MESSAGE), any_bytes)
@example(FUZZ.STREAM, LOG[:-20])
@example(FUZZ.PAIRS, DIFFS[:-20])
@example(FUZZ.PAIRS, b":100644 \xef\xbb\xbf\0a\0")
def test_any_commit_message_or_answer_of_git_is_read_or_refused(kind: int, text: bytes) -> None:
    assert FUZZ.faults(bytes([kind]) + text) == []


def test_the_fuzz_target_reads_every_kind_of_file_there_is_a_parser_for() -> None:
    read = {FUZZ.parser_of(path).name for path in FUZZ.PATHS}
    assert read == {parser.name for parser in registry.parsers()}


# -- the fuzzer --------------------------------------------------------------------------------------------


def fuzz(
    folder: Path, *options: str, source: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A run of the fuzz target, on another copy of the program where one is given."""
    pytest.importorskip("atheris", reason="Atheris has no wheel for this Python or platform")
    root = source or Path(package.__file__).parent.parent
    return subprocess.run(
        [sys.executable, str(TARGET), str(folder / "corpus"), "-timeout=10", "-rss_limit_mb=1000",
         "-seed=1", "-print_final_stats=1", f"-artifact_prefix={folder}/", *options],
        capture_output=True, text=True, check=False, errors="replace", cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip


def test_a_bounded_run_of_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    """About 20 s; a longer one is `make fuzz`."""
    done = fuzz(tmp_path, "-runs=12000", "-max_total_time=40")
    assert done.returncode == 0, done.stderr[-4_000:]
    executed = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    assert int(executed[0].split()[-1]) > 1_000


def test_the_fuzzer_finds_a_fault_that_no_blind_search_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted in a parser, behind a line of eight bytes that only its own comparison gives away."""
    here = Path(package.__file__).parent
    shutil.copytree(here, tmp_path / "ledger", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "ledger" / "parsers" / "properties.py"
    planted = """

def _planted(blob: bytes) -> list[Resource]:
    for line in blob.split(b"\\n"):
        if line == b"q!z~;7Kw":
            raise ValueError("planted")
    return _true(blob)


_true = PARSER.parse
object.__setattr__(PARSER, "parse", _planted)
"""
    with file.open("a", encoding="utf-8") as module:
        module.write(planted)
    monkeypatch.setenv("LEDGER_FUZZ_ONLY", "shop.properties")
    done = fuzz(tmp_path, "-max_total_time=120", source=tmp_path)
    assert "ValueError: planted" in done.stderr + done.stdout, done.stderr[-2_000:]
    assert done.returncode != 0
    [found] = tmp_path.glob("crash-*")
    assert b"q!z~;7Kw" in found.read_bytes()
