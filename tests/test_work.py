"""How much work a made-up history takes: counted, not timed, so that it holds on every machine.

What is counted, in one process on SQLite:

- statements: calls of the database; steps: instructions of SQLite's machine, in tens, which tell a scan
  from a look-up; rows TABLE: rows inserted or replaced there
- parsed, redacted: documents; messages: other texts that were looked through for secrets
- hashed KB: SHA-256 of contents, names and marks; tree KB: of the Merkle tree
- git: processes; git KB: what they said
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import IO, Any

import pytest

import ledger.gitio.processes
import ledger.ingest
import ledger.merkle
import ledger.preparing
import ledger.projector
import ledger.redaction
from ledger import registry
from ledger.cli import cli
from ledger.config import EnvironmentSettings
from ledger.events import (
    ApplicationCreated,
    Event,
    NewEvent,
    SyncApplied,
)
from ledger.store.drivers import SqliteConnection
from ledger.testing import Ledger, Repo, facts, make_ledger, make_repo, track

STEPS = 120  # pull requests in the shorter history; the longer one has four times as many
SERVICES = 8
ENVIRONMENT = EnvironmentSettings(name="production", tier="production", clusters=["prod"])

# -- the history ---------------------------------------------------------------------------------

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: api-{service}
  namespace: shop
spec:
  replicas: {replicas}
  template:
    spec:
      containers:
      - name: api
        image: shop/api:{tag:05d}
---
apiVersion: v1
kind: Service
metadata:
  name: api-{service}
  namespace: shop
spec:
  ports: [{{port: 80}}]
"""
SECRET = """apiVersion: v1
kind: Secret
metadata:
  name: api-{service}
  namespace: shop
stringData:
  password: made-up-{tag:05d}
"""
KUSTOMIZATION = "namespace: shop\nresources: [deployment.yaml, secret.yaml]\n"
TERRAFORM = 'resource "aws_s3_bucket" "logs_{service}" {{\n  bucket = "logs-{tag:05d}"\n}}\n'


class History:
    """One stream for `git fast-import`: squashed pull requests, merges, direct pushes, a moved folder."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._parts: list[str] = []
        self._marks = self._tip = self._number = 0
        everything = {}
        for service in range(SERVICES):
            folder = f"apps/api-{service}"
            everything[f"{folder}/deployment.yaml"] = self._deployment(service, 1)
            everything[f"{folder}/secret.yaml"] = SECRET.format(service=service, tag=1)
            everything[f"{folder}/kustomization.yaml"] = KUSTOMIZATION
            everything[f"terraform/logs-{service}.tf"] = TERRAFORM.format(service=service, tag=1)
        self._tip = self._commit("main", everything, "Begin", self._tip)

    @staticmethod
    def _deployment(service: int, tag: int) -> str:
        return DEPLOYMENT.format(service=service, replicas=1 + tag % 5, tag=tag)

    def grow(self, steps: int) -> None:
        """So many changes of one service each; all of them but every eighth come as pull requests."""
        for step in range(2, steps + 2):
            service = step % SERVICES
            folder = f"apps/api-{service}"
            files = {f"{folder}/deployment.yaml": self._deployment(service, step)}
            if step % 10 == 0:
                files[f"{folder}/secret.yaml"] = SECRET.format(service=service, tag=step)
            if step % 15 == 0:
                path = f"terraform/logs-{service}.tf"
                files[path] = TERRAFORM.format(service=service, tag=step)
            moves = {"terraform/logs-0.tf": "terraform/moved/logs-0.tf"} if step == 50 else {}
            self.change(files, moves=moves, direct=step % 8 == 0, merged=step % 9 == 0)
        self.change({"apps/api-0/deployment.yaml": self._deployment(0, steps + 2)})

    def change(
        self,
        files: Mapping[str, str],
        *,
        moves: Mapping[str, str] | None = None,
        direct: bool = False,
        merged: bool = False,
    ) -> None:
        """A pull request that is squashed, or merged; or a direct push."""
        self._number += 1
        if direct:
            self._tip = self._commit("main", files, "By hand", self._tip, moves)
            return
        head = self._commit("work", files, "Work", self._tip, moves)
        self._parts.append(f"reset refs/pull/{self._number}/head\nfrom :{head}\n\n")
        title = f"Merge pull request #{self._number}" if merged else f"Tag (#{self._number})"
        other = head if merged else 0
        self._tip = self._commit("main", files, title, self._tip, moves, other)

    def _commit(
        self,
        branch: str,
        files: Mapping[str, str],
        message: str,
        parent: int,
        moves: Mapping[str, str] | None = None,
        other: int = 0,
    ) -> int:
        self._marks += 1
        who = f"Ann <ann@example.org> {1_704_067_200 + self._marks * 60} +0000"
        lines = [f"commit refs/heads/{branch}\nmark :{self._marks}\n"]
        lines.append(f"author {who}\ncommitter {who}\n{self._data(message)}")
        lines += [f"from :{parent}\n"] if parent else []
        lines += [f"merge :{other}\n"] if other else []
        lines += [f"R {old} {new}\n" for old, new in (moves or {}).items()]
        lines += [f"M 100644 inline {path}\n{self._data(text)}" for path, text in files.items()]
        self._parts.append("".join(lines))
        return self._marks

    @staticmethod
    def _data(text: str) -> str:
        return f"data {len(text.encode())}\n{text}\n"

    def write(self) -> None:
        """Makes the repository of all that was said so far."""
        end = f"reset refs/heads/work\nfrom {'0' * 40}\n\ndone\n"
        stream = "".join([*self._parts, end])
        self._repo.git("fast-import", "--quiet", "--force", "--done", stdin=stream.encode())


def run_in_cluster(ledger: Ledger, commit: str) -> None:
    """Tells of an application that synced a commit, and of the object that runs since."""
    source = facts.source("apps/api-0")
    application = facts.application(sources=[source], destination_namespace="shop")
    at = "2025-01-01T00:30:00Z"
    sync = facts.sync(commit, at, sources=[source], automated=False)
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "api-0",
            "namespace": "shop",
            "annotations": {"argocd.argoproj.io/tracking-id": "api:apps/Deployment:shop/api-0"},
        },
        "spec": {"replicas": 1},
    }
    live, kept = facts.observed(body, at, namespace="shop", name="api-0")
    told: list[Event] = [
        ApplicationCreated(application=application, observed_at=at),
        SyncApplied(sync=sync),
        live,
        facts.looked(at, "Deployment"),
    ]
    events = [
        NewEvent(stream="test", key=f"told/{number}", source="test", data=one)
        for number, one in enumerate(told)
    ]
    ledger.tell(*events, contents=[kept])


# -- counting ------------------------------------------------------------------------------------

Work = Counter[str]
Works = dict[str, Work]


@contextmanager
def counted() -> Iterator[Work]:
    """Counts all that this process does meanwhile."""
    work: Work = Counter()
    with pytest.MonkeyPatch.context() as patch:
        # Tables of so many rows are read whole at the start; these are to be long ones, as in real life.
        patch.setattr(ledger.projector.cache, "SMALL", 20)
        _count_database(patch, work)
        _count_documents(patch, work)
        _count_hashes(patch, work)
        _count_git(patch, work)
        yield work
    for name in [name for name in work if name.endswith(" KB")]:
        work[name] = round(work[name] / 1000)


def _count_database(patch: pytest.MonkeyPatch, work: Work) -> None:
    def step() -> int:
        work["steps"] += 1
        return 0

    set_up = SqliteConnection.__init__

    def opened(self: SqliteConnection, *arguments: Any, **options: Any) -> None:
        set_up(self, *arguments, **options)
        self._db.set_progress_handler(step, 10)

    patch.setattr(SqliteConnection, "__init__", opened)
    for name in ("rows", "execute", "stream"):
        _count_calls(patch, work, SqliteConnection, name, "statements")
    for name in ("insert", "upsert"):
        method = getattr(SqliteConnection, name)

        def write(self: Any, table: str, *arguments: Any, method: Any = method) -> None:
            work["statements"] += 1
            work[f"rows {table}"] += len(arguments[-1])
            method(self, table, *arguments)

        patch.setattr(SqliteConnection, name, write)


def _count_calls(
    patch: pytest.MonkeyPatch, work: Work, owner: object, name: str, what: str
) -> None:
    function = getattr(owner, name)

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        work[what] += 1
        return function(*arguments, **options)

    patch.setattr(owner, name, call)


def _count_documents(patch: pytest.MonkeyPatch, work: Work) -> None:
    found = registry.parsers()

    def counting(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def call(piece: bytes) -> Any:
            work["parsed"] += 1
            return parse(piece)

        return call

    counters = [replace(one, parse=counting(one.parse)) for one in found]
    patch.setattr(registry, "parsers", lambda: counters)
    _count_calls(patch, work, ledger.preparing, "redact", "redacted")
    _count_calls(patch, work, ledger.redaction, "redact_text", "messages")


def _count_hashes(patch: pytest.MonkeyPatch, work: Work) -> None:
    sha256 = hashlib.sha256

    def counting(what: str) -> Callable[..., Any]:
        def call(data: bytes = b"", **options: Any) -> Any:
            work[what] += len(data)
            return sha256(data, **options)

        return call

    patch.setattr(hashlib, "sha256", counting("hashed KB"))
    patch.setattr(ledger.merkle, "sha256", counting("tree KB"))


class _Pipe:
    """Counts what is read."""

    def __init__(self, stream: IO[bytes], work: Work) -> None:
        self._stream, self._work = stream, work

    def _counted(self, data: bytes) -> bytes:
        self._work["git KB"] += len(data)
        return data

    def read(self, size: int = -1) -> bytes:
        return self._counted(self._stream.read(size))

    def read1(self, size: int = -1) -> bytes:
        return self._counted(self._stream.read1(size))  # type: ignore[attr-defined]

    def readline(self, size: int = -1) -> bytes:
        return self._counted(self._stream.readline(size))

    def __iter__(self) -> Iterator[bytes]:
        return map(self._counted, self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _count_git(patch: pytest.MonkeyPatch, work: Work) -> None:
    start, communicate = subprocess.Popen.__init__, subprocess.Popen.communicate

    def started(self: Any, *arguments: Any, **options: Any) -> None:
        work["git"] += 1
        start(self, *arguments, **options)

    def communicated(self: Any, *arguments: Any, **options: Any) -> Any:
        output, complaint = communicate(self, *arguments, **options)
        work["git KB"] += len(output or b"")
        return output, complaint

    patch.setattr(subprocess.Popen, "__init__", started)
    patch.setattr(subprocess.Popen, "communicate", communicated)
    opened = ledger.gitio.processes.Process.__init__

    def process(self: Any, *arguments: Any, **options: Any) -> None:
        opened(self, *arguments, **options)
        self.stdout = _Pipe(self.stdout, work)

    patch.setattr(ledger.gitio.processes.Process, "__init__", process)


def work_of(steps: int, folder: Path) -> Works:
    """What each operation takes with a history of so many changes.

    `one` is an ingest of one pull request more, `cluster` of one that a cluster may run.
    """
    repo = make_repo(folder / "infra.git")
    history = History(repo)
    history.grow(steps)
    history.write()
    made = make_ledger(folder / "ledger", track(repo), environments=[ENVIRONMENT])
    found: dict[str, Work] = {}

    def note(name: str, run: Callable[[], object]) -> None:
        with counted() as work:
            run()
        found[name] = work

    def change(tag: int) -> None:
        history.change({"apps/api-1/deployment.yaml": History._deployment(1, tag)})
        history.write()

    note("first", made.grow)
    note("nothing", made.grow)
    change(90_000)
    note("one", made.grow)
    run_in_cluster(made, repo.tip())
    change(90_001)
    made.grow()  # the first reading after a cluster was told of catches up with it
    change(90_002)
    note("cluster", made.grow)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_CONFIG", str(made.settings.folder / "ledger.toml"))
        for name, arguments in QUESTIONS.items():
            note(name, partial(cli.main, arguments, standalone_mode=False))
    return found


FIELD = ["--field", "image"]
QUESTIONS = {
    "when": ["when", "deploy/api-2", *FIELD],
    "history": ["history", "deploy/api-2", "--limit", "3"],
    "blame": ["blame", "deploy/api-2"],
    "trace": ["trace", "deploy/api-0"],
    "verify": ["verify"],
}


@pytest.fixture(scope="module")
def shorter(tmp_path_factory: pytest.TempPathFactory) -> Works:
    """The work with the shorter history."""
    return work_of(STEPS, tmp_path_factory.mktemp("shorter"))


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Works:
    """The work with one four times as long."""
    return work_of(STEPS * 4, tmp_path_factory.mktemp("longer"))


# -- what it takes -------------------------------------------------------------------------------

WORK = """
counted                         first  nothing      one  cluster     when  history    blame    trace   verify
git                                27        1       18       18        -        -        -        -        -
git KB                            321        6        9       10        -        -        -        -        -
hashed KB                         169        -        2        2        -        -        -        -       77
messages                          229        -        2        2        -        -        -        -        -
parsed                            174        -        3        3        4        7        4        -        -
redacted                          196        -        3        3        -        -        -        -        -
statements                        219       13      188      188       33       40       32       27      293
steps                           18407       93      966      975      319      355      319      175     1883
tree KB                           477        -       41       51        -        -        -        -      540
rows log_content                  304        -        2        2        -        -        -        -        -
rows log_event                    565        -        6        6        -        -        -        -        -
rows log_tile                      11        -        5        5        -        -        -        -        -
rows log_tree_head                  7        -        5        5        -        -        -        -        -
rows model_branch                   1        -        1        1        -        -        -        -        -
rows model_claimed_commit         200        -        2        2        -        -        -        -        -
rows model_commit                 228        -        2        2        -        -        -        -        -
rows model_directory                9        -        -        -        -        -        -        -        -
rows model_environment              1        -        -        -        -        -        -        -        -
rows model_field_change           301        -        2        2        -        -        -        -        -
rows model_kustomization            8        -        -        -        -        -        -        -        -
rows model_line                     1        -        1        1        -        -        -        -        -
rows model_link                   200        -        2        2        -        -        -        -        -
rows model_link_claim             200        -        2        2        -        -        -        -        -
rows model_live_branch              2        -        2        2        -        -        -        -        -
rows model_manifest_file          157        -        1        1        -        -        -        -        -
rows model_patch                  122        -        1        1        -        -        -        -        -
rows model_person_name              1        -        -        -        -        -        -        -        -
rows model_pull_request           106        -        1        1        -        -        -        -        -
rows model_ref_move               107        -        2        2        -        -        -        -        -
rows model_reference               24        -        -        -        -        -        -        -        -
rows model_reference_line           1        -        1        1        -        -        -        -        -
rows model_repository               1        -        -        -        -        -        -        -        -
rows model_resource                41        -        1        1        -        -        -        -        -
rows model_resource_change        182        -        1        1        -        -        -        -        -
rows model_revision               122        -        1        1        -        -        -        -        -
rows model_revision_prefix        122        -        1        1        -        -        -        -        -
rows model_touch                  559        -        4        4        -        -        -        -        -
rows model_unnamed_revision        16        -        -        -        -        -        -        -        -
rows source_state                   1        1        1        1        -        -        -        -        -
"""
MORE, STEPS_MORE = 1.04, 1.3  # another release of SQLite may take other steps
ADVICE = """{operation!r} takes more work than before:
{above}
Find out what does that: if it can be done once, or not at all, do that. If it is needed, say why in the
commit's message and put this table into tests/test_work.py:

{table}"""
DEPENDS = """{operation!r} takes more work after a history four times as long:
{above}
Something reads more the longer the history is. Find it, and look up what is needed by an index."""
GROWS = """{operation!r} of a history four times as long takes more than four times the work:
{above}
Something is done for each pair of things, not for each thing. Find it."""


def expected() -> dict[str, Work]:
    """The table as numbers."""
    (_, *operations), *rows = (re.split(r"\s{2,}", line) for line in WORK.strip().splitlines())
    found: dict[str, Work] = {operation: Counter() for operation in operations}
    for name, *cells in rows:
        for operation, cell in zip(operations, cells, strict=True):
            found[operation][name] = int(cell.replace("-", "0"))
    return found


def as_table(works: Mapping[str, Work]) -> str:
    """The table of what was counted."""
    names = sorted({name for work in works.values() for name in work}, key=_rows_last)
    lines = [f"{'counted':28}" + "".join(f"{operation:>9}" for operation in works)]
    for name in names:
        cells = [f"{work[name] or '-':>7}" for work in works.values()]
        lines.append(f"{name:28}  " + "  ".join(cells))
    return "\n".join(lines)


def _rows_last(name: str) -> tuple[bool, str]:
    return name.startswith("rows "), name


def most(name: str, number: int) -> int:
    """What is let pass: a little more, for small changes elsewhere."""
    return int(number * (STEPS_MORE if name == "steps" else MORE)) + 2


def too_much(found: Work, allowed: Mapping[str, int]) -> list[str]:
    """What is above what is allowed; a thing that is not named there is not allowed."""
    return [
        f"  {name}: {number}, at most {allowed.get(name, 0)} expected"
        for name, number in found.items()
        if number > allowed.get(name, 0)
    ]


def test_no_operation_does_more_work_than_the_table_says(shorter: Works) -> None:
    table = expected()
    assert list(table) == list(shorter)
    for operation, found in shorter.items():
        allowed = {name: most(name, number) for name, number in table[operation].items() if number}
        above = too_much(found, allowed)
        assert not above, ADVICE.format(
            operation=operation, above="\n".join(above), table=as_table(shorter)
        )


@pytest.mark.slow
def test_reading_on_does_the_same_work_after_a_history_four_times_as_long(
    shorter: Works, longer: Works
) -> None:
    for operation in ("nothing", "one", "cluster", "trace"):
        before, found = shorter[operation], longer[operation]
        allowed = {name: most(name, number) for name, number in before.items()}
        if before["git"]:
            # Git lists each ref of the source and of the mirror, and is asked for each head known.
            allowed["git KB"] += 3 * STEPS * 150 // 1000
        # The open tiles of the tree, at most 256 hashes each, are hashed anew around each append.
        allowed["tree KB"] = found["rows log_tree_head"] * 2 * 17
        above = too_much(found, allowed)
        assert not above, DEPENDS.format(operation=operation, above="\n".join(above))


@pytest.mark.slow
def test_reading_everything_takes_work_in_proportion_to_the_history(
    shorter: Works, longer: Works
) -> None:
    for operation in ("first", "verify"):
        before = shorter[operation]
        allowed = {name: most(name, number * 4) for name, number in before.items()}
        above = too_much(longer[operation], allowed)
        assert not above, GROWS.format(operation=operation, above="\n".join(above))


def test_an_unchanged_bundle_is_not_read_again(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "infra.git")
    repo.commit({"app.yaml": "kind: Deployment\nmetadata:\n  name: api\n"})
    bundle = repo.bundle(tmp_path / "infra.bundle")
    made = make_ledger(tmp_path / "ledger", track(str(bundle)))
    assert made.grow()
    with counted() as work:
        assert made.grow() == 0
    assert (work["git"], work["hashed KB"], work["rows log_event"]) == (0, 0, 0)
