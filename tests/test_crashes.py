"""Killed, interrupted, crowded out or starved, an ingest loses nothing, and the next one goes on.

A few rounds run always. LEDGER_CRASH_ROUNDS=300 runs as many of those that kill at random, and
LEDGER_CRASH_SEED=N goes through others.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import psycopg
import pytest
from psycopg import sql

from ledger import registry
from ledger.gitio import Mirror, leftovers
from ledger.store import schema
from ledger.testing import Ledger, make_ledger, track
from ledger.verify import Verifier

ROUNDS = int(os.environ.get("LEDGER_CRASH_ROUNDS") or 2)
SEED = int(os.environ.get("LEDGER_CRASH_SEED") or 1)
Process = subprocess.Popen[str]
NOW = "2026-09-01T00:00:00Z"
SLOW = 120  # seconds after which a run hangs, on the slowest machine

# `ledger ingest` itself, with a clock that stands still and small batches, so that a kill falls between
# them. It counts what it does, and at a given count something happens to it.
DRIVER = """
import ctypes, dataclasses, json, os, resource, signal, subprocess, sys, threading
plan = json.loads(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it
from ledger import cli, ingest, preparing, projector, registry
from ledger.sources.git import commits, refs
from ledger.store import Store, drivers

ingest.ingest.__kwdefaults__["clock"] = lambda: plan["now"]
commits.FIRST_CHANGES, commits.CHUNK_COMMITS, commits.AHEAD = 20, 40, 120
commits.CHUNK_CHANGES = commits.CHUNK_LIGHT_CHANGES = 60
projector.BATCH, preparing.MANY, refs.MANY = 50, 30, 10
drivers.BUSY_SECONDS = plan.get("busy", 60)
ticks = 0

def tick():
    global ticks
    ticks += 1
    if ticks == plan.get("kill"):
        threading.Timer(plan["after"], die).start() if plan.get("after") else die()
    if ticks == plan.get("pause"):
        print("here", flush=True)
        sys.stdin.readline()

def die():
    os.killpg(0, signal.SIGKILL)

def counted(owner, name):
    real = getattr(owner, name)
    def both(*arguments, **options):
        tick()
        result = real(*arguments, **options)
        tick()
        if plan.get("kill") == "cursor" and options.get("cursor") and options["source"] == "charts":
            die()
        return result
    setattr(owner, name, both)

counted(Store, "append")
counted(Store, "_insert")
counted(projector.Projector, "_attempt")
counted(projector, "_save_states")
counted(subprocess.Popen, "__init__")

if "pages" in plan:
    set_up = drivers.SqliteConnection._set_up
    def small(self, read_only):
        set_up(self, read_only)
        self._db.execute(f"pragma max_page_count = {plan['pages']}")
    drivers.SqliteConnection._set_up = small
if "file_size" in plan:
    resource.setrlimit(resource.RLIMIT_FSIZE, (plan["file_size"], resource.RLIM_INFINITY))
if plan.get("powerless") and os.geteuid() == 0:  # root may write what is read-only
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(header, none) == 0
if "broken" in plan:
    whole = registry.projections()
    def fail(project):
        def read(recorded, context):
            if recorded.position >= 100:
                raise ValueError("not understood")
            yield from project(recorded, context)
        return read
    registry.projections = lambda: [
        dataclasses.replace(one, project=fail(one.project)) if one.name == plan["broken"] else one
        for one in whole
    ]

sys.argv = ["ledger", *plan["command"]]
try:
    cli.main()
finally:
    print("ticks", ticks)
"""


# -- a repository with all that is told, in two states ---------------------------------------------


class History:
    """Writes commits into one stream for `git fast-import`; the same seed gives the same ids."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self._chance = random.Random(seed)  # noqa: S311 (a seed is the point)
        self._lines: list[str] = []
        self._at = 1_700_000_000
        self._marks = count(1)
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--template=", "--initial-branch=main", ".")

    def git(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            input=stdin,
            text=True,
            capture_output=True,
            check=True,
            env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null"},
        )
        return done.stdout

    def commit(self, subject: str, *parents: int | str, files: int = 2) -> int:
        mark = next(self._marks)
        self._at += 60
        message = f"{subject}\n\nBy seed."
        lines = [
            f"commit refs/scratch/{mark}\nmark :{mark}",
            f"author Ann <ann@example.org> {self._at} +0000",
            f"committer Bob <bob@example.org> {self._at} +0000",
            f"data {len(message)}\n{message}",
        ]
        for place, parent in enumerate(parents):
            name = f":{parent}" if isinstance(parent, int) else parent
            lines.append(f"{'merge' if place else 'from'} {name}")
        for _ in range(files):
            path, text = self._file()
            lines.append(f"M 100644 inline {path}\ndata {len(text)}\n{text}")
        self._lines.append("\n".join(lines) + "\n")
        return mark

    def _file(self) -> tuple[str, str]:
        number = self._chance.randrange(30)
        value = self._chance.randrange(1_000)
        if number < 4:  # a secret
            body = (
                f"kind: Secret\nmetadata: {{name: s{number}}}\nstringData: {{password: p{value}}}\n"
            )
            return f"secrets/s{number}.yaml", f"apiVersion: v1\n{body}"
        documents = [
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}-{one}, namespace: n}}\n"
            f"data: {{value: '{value * one}', other: x}}\n"
            for one in range(1 + number % 3)
        ]
        return f"apps/team{number % 5}/c{number}.yaml", "---\n".join(documents)

    def line(self, length: int, parent: int | str | None, heads: bool) -> int | str | None:
        """A first-parent line with merges and squashes, with the heads that they came from."""
        for _ in range(length):
            kind = self._chance.random()
            if parent is None or kind < 0.5 or not heads:
                parent = self.commit("A change", *([] if parent is None else [parent]))
                continue
            number = self._number = getattr(self, "_number", 0) + 1
            head = self.commit(f"Work on {number}", parent)
            self._chance.random()
            head = self.commit(f"More on {number}", head)
            self.head(number, head)
            if kind < 0.8:
                parent = self.commit(
                    f"Merge pull request #{number} from x/y", parent, head, files=0
                )
            elif kind < 0.9:
                parent = self.commit(f"Squash (#{number})", parent)
        return parent

    def head(self, number: int, mark: int | str) -> None:
        name = f":{mark}" if isinstance(mark, int) else mark
        self._lines.append(f"reset refs/pull/{number}/head\nfrom {name}\n\n")

    def ref(self, name: str, mark: int | str | None) -> None:
        self._lines.append(
            f"reset {name}\nfrom {f':{mark}' if isinstance(mark, int) else mark}\n\n"
        )

    def write(self) -> None:
        """Hands over what was told so far."""
        self.git("fast-import", "--quiet", "--force", stdin="".join(self._lines))
        scratch = self.git("for-each-ref", "--format=delete %(refname)", "refs/scratch")
        self.git("update-ref", "--stdin", stdin=scratch)
        self._lines, self._marks = [], count(1)


def make_states(folder: Path) -> None:
    """`first` and `second`: a repository, and the same with all kinds of moves; beside it a bundle."""
    made = History(folder / "first/infra.git", seed=7)
    main = made.line(60, None, heads=True)
    made.ref("refs/heads/main", main)
    made.ref("refs/heads/release", made.line(8, main, heads=False))
    made.ref("refs/tags/v1", main)
    made.write()
    shutil.copytree(folder / "first/infra.git", folder / "second/infra.git")
    made.path = folder / "second/infra.git"
    base = made.git("rev-parse", "refs/heads/main~5").strip()
    made.ref("refs/heads/main", made.line(25, base, heads=True))  # forced
    made.ref("refs/heads/release", made.line(5, "refs/heads/release^0", heads=False))
    made.head(1, made.line(2, "refs/pull/1/head^0", heads=False) or "")
    made.head(2, base)
    made.write()
    made.git("update-ref", "-d", "refs/pull/3/head")
    made.git("update-ref", "-d", "refs/tags/v1")
    made.git("tag", "v2", "refs/heads/main")
    charts = History(folder / "charts.git", seed=8)
    charts.ref("refs/heads/main", charts.line(30, None, heads=True))
    charts.write()
    charts.git("bundle", "create", "--quiet", str(folder / "first/charts.bundle"), "--all")
    charts.ref("refs/heads/main", charts.line(10, "refs/heads/main^0", heads=True))
    charts.write()
    charts.git("bundle", "create", "--quiet", str(folder / "second/charts.bundle"), "--all")


@dataclass
class World:
    """Remotes at a fixed place, that can be put into either state, and ledgers that read them."""

    folder: Path
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def become(self, state: str) -> None:
        new = self.folder / "remotes.new"
        new.symlink_to(self.folder / state)
        new.rename(self.folder / "remotes")

    def make(self, url: str = "") -> Ledger:
        """A new ledger in a folder of its own; at a database URL, if given."""
        folder = self.folder / f"ledger-{next(self.numbers)}"
        remotes = self.folder / "remotes"
        infra = track(str(remotes / "infra.git"), "infra", branches=["main", "release"])
        charts = track(str(remotes / "charts.bundle"), "charts", branches=["main"])
        return make_ledger(folder, infra, charts, database=url)


@dataclass(frozen=True)
class Expected:
    """What a ledger holds that nobody disturbed, and how much work it was."""

    states: dict[str, dict[str, Any]]
    ticks: dict[str, int]
    seconds: dict[str, float]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("crashes")
    make_states(folder)
    return World(folder)


@pytest.fixture(scope="module")
def expected(world: World) -> Expected:
    ledger = world.make()
    found = Expected({}, {}, {})
    for state in ("first", "second"):
        world.become(state)
        begun = time.monotonic()
        found.ticks[state] = finish(ledger)
        found.seconds[state] = time.monotonic() - begun
        found.states[state] = held(ledger)
    return found


def start(ledger: Ledger, *, env: Mapping[str, str] | None = None, **plan: Any) -> Process:
    """`ledger ingest` under a plan, in a group of processes of its own."""
    command = ["ingest", f"--processes={plan.pop('processes', 1)}", *plan.pop("options", ())]
    words = json.dumps({"now": NOW, "command": command, **plan})
    kept = {name: value for name, value in os.environ.items() if name != "LEDGER_CONFIG"}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, words],
        cwd=ledger.settings.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**kept, **(env or {})},
    )


def ended(process: Process) -> tuple[int, str]:
    """The exit status and what was said on standard error."""
    _, complaint = process.communicate(timeout=SLOW)
    return process.returncode, complaint


def finish(ledger: Ledger, **plan: Any) -> int:
    """One whole run, which nothing disturbs; how much it did."""
    process = start(ledger, **plan)
    output, complaint = process.communicate(timeout=SLOW)
    assert (process.returncode, complaint) == (0, "")
    return int(output.split()[-1])


def held(ledger: Ledger) -> dict[str, Any]:
    """All that a ledger and its mirrors hold, but for when it was read in which pieces."""
    settings = ledger.settings
    with ledger.store() as store:
        assert list(Verifier(store).log()) == []
        rows = store.connection.rows
        names = schema.model_tables(store.connection)
        tables = {name: sorted(rows(f'select * from "{name}"')) for name in names}
        leaves = [bytes(row[7]) for row in store.leaves()]
        head = store.head()
        gaps = [leaf for leaf in leaves if b"collector.gap" in leaf]
        assert gaps == []
        return {
            "leaves": leaves,
            "root": head.root,
            "contents": rows("select digest from log_content order by digest"),
            "cursors": rows("select source, cursor, failure from source_state order by source"),
            "projections": rows(
                "select projection, checkpoint, failure from projection_state order by 1"
            ),
            "mirrors": {one.name: refs(settings.mirror(one)) for one in settings.source},
            **tables,
        }


def refs(mirror: Path) -> str:
    command = ["git", "for-each-ref", "--format=%(refname) %(objectname)"]
    return subprocess.run(command, cwd=mirror, text=True, capture_output=True, check=True).stdout


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    return [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]


# -- killed ---------------------------------------------------------------------------------------


@pytest.fixture
def fresh(database_url: str) -> Iterator[Callable[[], str]]:
    """Gives the URL of a new ledger's database, or none for a file in its folder, again and again."""
    if not database_url.startswith("postgresql"):
        yield lambda: ""
        return
    schema.initialise(database_url, registry.projections())
    server, _, place = database_url.partition("?")
    server, _, template = server.rpartition("/")
    made: list[str] = []

    def another() -> str:
        made.append(f"{template}_{len(made)}")
        admin.execute(
            sql.SQL("create database {} template {}").format(
                *map(sql.Identifier, (made[-1], template))
            )
        )
        return f"{server}/{made[-1]}?{place}"

    with psycopg.connect(f"{server}/postgres?{place}", autocommit=True) as admin:
        yield another
        for name in made:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def kill_somewhere(ledger: Ledger, chance: random.Random, ticks: int, seconds: float) -> str:
    """Starts a run and kills it with all its processes, by what it has done or by the clock."""
    plan: dict[str, Any] = {"processes": chance.choice([1, 1, 2, 3])}
    kind = chance.choice(["count", "count", "shortly after", "time"])
    if kind != "time":
        plan["kill"] = chance.randint(1, ticks)
        plan["after"] = chance.uniform(0, 0.05) if kind == "shortly after" else 0
    process = start(ledger, **plan)
    if kind == "time":
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.1, 1.1 * seconds))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    _, complaint = process.communicate(timeout=SLOW)
    assert process.returncode in (0, -signal.SIGKILL), complaint
    assert complaint == ""
    return f"{kind} {plan} {process.returncode}"


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_run_after_any_number_of_kills_leaves_what_a_run_without_them_leaves(
    world: World, expected: Expected, fresh: Callable[[], str], number: int
) -> None:
    chance = random.Random(f"{SEED}/{number}")  # noqa: S311 (a seed is the point)
    ledger = world.make(fresh())
    for state in ("first", "second"):
        world.become(state)
        done = [
            kill_somewhere(ledger, chance, expected.ticks[state], expected.seconds[state])
            for _ in range(chance.randint(1, 4))
        ]
        finish(ledger, processes=chance.choice([1, 2]))
        assert differences(held(ledger), expected.states[state]) == [], done
    shutil.rmtree(ledger.settings.folder)


def test_what_was_recorded_just_before_a_kill_is_projected_although_nothing_new_comes(
    world: World, expected: Expected, fresh: Callable[[], str]
) -> None:
    ledger = world.make(fresh())
    world.become("first")
    assert ended(start(ledger, kill="cursor")) == (-signal.SIGKILL, "")
    with ledger.store() as store:
        behind = store.connection.rows("select min(checkpoint) from projection_state")[0][0]
        assert behind < store.head().size == len(expected.states["first"]["leaves"])
    finish(ledger)
    assert differences(held(ledger), expected.states["first"]) == []


def test_a_log_without_projections_gets_them_from_the_next_run(
    world: World, expected: Expected
) -> None:
    ledger = world.make()
    world.become("first")
    finish(ledger, options=["--log-only"])
    assert ledger.rows("select distinct checkpoint from projection_state") == [(0,)]
    finish(ledger)
    assert differences(held(ledger), expected.states["first"]) == []


# -- leftovers of git -----------------------------------------------------------------------------


LOCKS = [
    "config.lock",
    "HEAD.lock",
    "packed-refs.lock",
    "packed-refs.new",
    "shallow.lock",
    "refs/heads/main.lock",
    "refs/heads/release.lock",
    "refs/pull/1/head.lock",
    "refs/tags/v2.lock",
    "objects/info/commit-graph.lock",
    "objects/pack/multi-pack-index.lock",
    "objects/pack/tmp_pack_x1Y2z3",
    "objects/pack/tmp_idx_x1Y2z3",
    "objects/ab/tmp_obj_x1Y2z3",
    "objects/tmp_objdir-incoming-x1Y2z3/pack",
]


def plant(mirror: Path) -> list[Path]:
    planted = [mirror / name for name in LOCKS]
    for path in planted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"PACK half written")
    return planted


@pytest.mark.parametrize("again", [False, True])
def test_locks_and_half_packs_that_a_killed_git_left_stop_no_run(
    world: World, expected: Expected, again: bool
) -> None:
    ledger = world.make()
    world.become("first")
    if again:
        finish(ledger)
        world.become("second")
    mirrors = [ledger.settings.mirror(one) for one in ledger.settings.source]
    for mirror in mirrors:
        if not again:
            Mirror(mirror)
    planted = [path for mirror in mirrors for path in plant(mirror)]
    finish(ledger)
    if not again:
        world.become("second")
        finish(ledger)
    assert differences(held(ledger), expected.states["second"]) == []
    assert [path for path in planted if path.exists()] == []


@pytest.mark.parametrize("missing", ["config", "objects", "refs", "HEAD"])
def test_a_mirror_that_was_only_half_made_is_completed(tmp_path: Path, missing: str) -> None:
    whole = Mirror(tmp_path / "whole.git")
    half = tmp_path / "half.git"
    shutil.copytree(whole.path, half)
    shutil.rmtree(half / missing) if (half / missing).is_dir() else (half / missing).unlink()
    assert Mirror(half).refs() == {}
    shutil.copytree(half, tmp_path / "new.git.new")  # what a kill in the middle leaves
    (tmp_path / "new.git.new/HEAD").write_text("nonsense")
    assert Mirror(tmp_path / "new.git").refs() == {}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["half.git", "new.git", "whole.git"]


def test_a_lock_of_a_git_that_still_writes_is_left_to_it(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror.git")
    lock = mirror.path / "refs/heads/main.lock"
    lock.touch()
    with leftovers.writing(mirror.path) as handle:
        orphan = subprocess.Popen(["sleep", "600"], pass_fds=[handle])
    assert not leftovers.tidy(mirror.path)
    assert lock.exists()
    orphan.kill()
    orphan.wait()
    assert leftovers.tidy(mirror.path)
    assert not lock.exists()


def test_a_git_killed_by_the_system_is_no_gap_of_the_source(
    world: World, expected: Expected, tmp_path: Path
) -> None:
    ledger = world.make()
    world.become("first")
    for command in ("fetch", "log", "merge-tree"):
        env = with_git(tmp_path / command, command, "kill -9 $$")
        status, complaint = ended(start(ledger, env=env))
        assert status == 1
        assert f"error: git {command} was ended by SIGKILL before it was done" in complaint
        assert "run it again" in complaint
    finish(ledger)
    assert differences(held(ledger), expected.states["first"]) == []


def with_git(folder: Path, command: str, instead: str) -> dict[str, str]:
    """An environment whose git does something else in place of one command."""
    folder.mkdir()
    real = shutil.which("git")
    script = f'#!/bin/sh\ncase " $* " in *" {command} "*) {instead};; esac\nexec {real} "$@"\n'
    (folder / "git").write_text(script)
    (folder / "git").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


# -- two at once ----------------------------------------------------------------------------------


def test_of_two_runs_at_once_one_waits_or_reads_other_sources(
    world: World, expected: Expected, fresh: Callable[[], str]
) -> None:
    ledger = world.make(fresh())
    for state in ("first", "second"):
        world.become(state)
        runs = [start(ledger, processes=number) for number in (1, 2, 1)]
        said = [ended(run) for run in runs]
        assert [status for status, _ in said] == [0, 0, 0], said
        lines = {line for _, text in said for line in text.splitlines()}
        waiting = ": another process is reading it; waiting for its end"
        assert lines <= {f"{name}{waiting}" for name in ("infra", "charts")}
        assert lines
        found = held(ledger)
        wanted = expected.states[state]
        assert sorted(found["leaves"]) == sorted(wanted["leaves"])
        same = ("contents", "cursors", "mirrors")
        assert [found[name] for name in same] == [wanted[name] for name in same]
        ledger.rebuild()
        assert differences(held(ledger), found) == []


def test_a_run_that_waits_goes_on_when_the_other_is_killed(
    world: World, expected: Expected, fresh: Callable[[], str]
) -> None:
    ledger = world.make(fresh())
    world.become("first")
    first = start(ledger, pause=expected.ticks["first"] // 3, options=["infra"])
    assert first.stdout is not None
    assert first.stdout.readline() == "here\n"
    second = start(ledger, options=["infra"])
    assert second.stderr is not None
    assert "another process is reading it" in second.stderr.readline()
    os.killpg(first.pid, signal.SIGKILL)
    ended(first)
    assert ended(second) == (0, "")
    finish(ledger)
    assert differences(held(ledger), expected.states["first"]) == []


# -- interrupted ----------------------------------------------------------------------------------


def members(group: int) -> list[str]:
    """The living processes of a group, by what they are called."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit():
                head, _, rest = (entry / "stat").read_text().rpartition(")")
                state, _, pgrp = rest.split()[:3]
                if int(pgrp) == group and state != "Z":
                    found.append(head.partition("(")[2])
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists processes as Linux does")
@pytest.mark.parametrize(
    ("number", "everyone", "where"),
    [
        (signal.SIGINT, True, "fetch"),
        (signal.SIGTERM, False, "fetch"),
        (signal.SIGINT, False, "ls-remote"),
        (signal.SIGTERM, False, "log"),
        (signal.SIGINT, True, "cat-file"),
        (signal.SIGTERM, False, "merge-tree"),
        (signal.SIGINT, True, "append"),
        (signal.SIGTERM, False, "append"),
    ],
)
def test_an_interrupt_ends_a_run_with_one_line_and_all_its_processes(
    world: World,
    expected: Expected,
    tmp_path: Path,
    number: signal.Signals,
    everyone: bool,
    where: str,
) -> None:
    ledger = world.make()
    world.become("first")
    reached = tmp_path / "reached"
    if where == "append":
        process = start(ledger, processes=3, pause=expected.ticks["first"] // 2)
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    else:
        instead = f"echo >{reached}; exec sleep 600"
        process = start(ledger, processes=3, env=with_git(tmp_path / "bin", where, instead))
        wait_for(reached.exists)
    if everyone:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    status, complaint = ended(process)
    assert status == 130, complaint
    assert complaint.strip() == "Stopped. What was done is kept; run it again to go on."
    wait_for(lambda: not members(process.pid))
    finish(ledger)
    assert differences(held(ledger), expected.states["first"]) == []


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + SLOW
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


# -- starved --------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists processes as Linux does")
@pytest.mark.parametrize("at", [6, 4])  # while they still have work to do
def test_a_helping_process_that_is_killed_is_told_and_costs_nothing(
    world: World, expected: Expected, at: int
) -> None:
    ledger = world.make()
    world.become("first")
    process = start(ledger, processes=3, pause=expected.ticks["first"] // at)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    helpers = helping(process.pid)
    assert helpers
    for one in helpers:
        os.kill(one, signal.SIGKILL)
    output, complaint = process.communicate("\n", timeout=SLOW)
    assert process.returncode == 1, (output, complaint)
    assert "error: the other process ended while it was " in complaint
    assert "killed by SIGKILL" in complaint
    assert "What was recorded is kept" in complaint
    wait_for(lambda: not members(process.pid))
    finish(ledger)
    assert differences(held(ledger), expected.states["first"]) == []


def helping(parent: int) -> list[int]:
    """The processes that multiprocessing started for work."""
    children = (Path(f"/proc/{parent}/task/{parent}/children")).read_text().split()
    return [
        int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]


def test_a_database_that_somebody_locks_for_long_is_told_and_costs_nothing(
    world: World, expected: Expected, fresh: Callable[[], str]
) -> None:
    ledger = world.make(fresh())
    world.become("first")
    with ledger.store() as store, store.connection.transaction():
        store.lock()
        status, complaint = ended(start(ledger, busy=1))
    assert status == 7
    assert "error: the database refused: " in complaint
    assert "lock" in complaint
    assert "Another process may be writing; try again." in complaint
    assert ledger.events() == []
    finish(ledger)
    assert differences(held(ledger), expected.states["first"]) == []


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_database_that_may_not_be_written_is_told_and_costs_nothing(
    world: World, expected: Expected, what: str
) -> None:
    ledger = world.make()
    world.become("first")
    finish(ledger)
    world.become("second")
    file = ledger.settings.folder / "ledger.db"
    path, mode = (file, 0o444) if what == "file" else (file.parent, 0o555)
    before = path.stat().st_mode
    path.chmod(mode)
    status, complaint = ended(start(ledger, powerless=True))
    path.chmod(before)
    assert status == 7, complaint
    assert "Traceback" not in complaint
    assert "rights" in complaint
    assert differences(held(ledger), expected.states["first"] | {"mirrors": ANY}) == []
    finish(ledger)
    assert differences(held(ledger), expected.states["second"]) == []


@pytest.mark.parametrize("limit", [{"pages": 30}, {"pages": 10}, {"file_size": 1 << 20}], ids=str)
def test_a_full_disk_is_told_and_costs_nothing(
    world: World, expected: Expected, limit: dict[str, Any]
) -> None:
    ledger = world.make()
    world.become("first")
    if "pages" in limit:  # besides those of a ledger that holds nothing
        limit = {
            "pages": limit["pages"]
            + (ledger.settings.folder / "ledger.db").stat().st_size // 16_384
        }
    status, complaint = ended(start(ledger, env=None, **limit))
    assert status == 7, complaint
    assert "error: the database refused: " in complaint
    assert "Free space" in complaint
    assert 0 < len(ledger.events()) <= len(expected.states["first"]["leaves"])
    finish(ledger)
    assert differences(held(ledger), expected.states["first"]) == []


@pytest.fixture
def small_disk(postgres_server: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a database on PostgreSQL whose new tables stand on a disk of its own, and that disk."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk for PostgreSQL to fill")
    disk = Path(tempfile.mkdtemp(prefix="ledger-disk-", dir="/tmp"))
    owner = postgres_server.stat()
    options = f"size=48m,mode=700,uid={owner.st_uid},gid={owner.st_gid}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        disk.rmdir()
        pytest.skip(f"no disk for PostgreSQL to fill can be mounted: {mounted.stderr.strip()}")
    place = f"?host={postgres_server}"
    admin_url = f"postgresql://postgres@/postgres{place}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        try:
            admin.execute(
                sql.SQL("create tablespace small_disk location {}").format(sql.Literal(str(disk)))
            )
            admin.execute("create database on_small_disk")
            admin.execute("alter database on_small_disk set default_tablespace = small_disk")
            url = f"postgresql://postgres@/on_small_disk{place}"
            schema.initialise(url, registry.projections())  # a copy of another would be elsewhere
            yield url, disk
        finally:
            admin.execute("drop database if exists on_small_disk with (force)")
            admin.execute("drop tablespace if exists small_disk")
            subprocess.run(["umount", "-l", str(disk)], check=True)
            disk.rmdir()


@pytest.mark.parametrize("left", [100_000, 1_500_000])
def test_a_full_disk_of_postgresql_is_told_and_costs_nothing(
    world: World, expected: Expected, small_disk: tuple[str, Path], left: int
) -> None:
    url, disk = small_disk
    ledger = world.make(url)
    world.become("first")
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - left))
    status, complaint = ended(start(ledger))
    assert status == 7, complaint
    assert "error: the database refused: " in complaint
    assert "No space left on device" in complaint
    assert "Free space on the server's disk" in complaint
    assert len(ledger.events()) <= len(expected.states["first"]["leaves"])
    ballast.unlink()
    finish(ledger)
    assert differences(held(ledger), expected.states["first"]) == []


def test_a_server_that_takes_no_writes_is_told_and_costs_nothing(
    world: World, expected: Expected, postgres_url: str
) -> None:
    ledger = world.make(postgres_url)
    world.become("first")
    finish(ledger)
    world.become("second")
    name = sql.Identifier(postgres_url.partition("?")[0].rpartition("/")[2])
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("alter database {} set default_transaction_read_only = on").format(name)
        )
    status, complaint = ended(start(ledger))
    assert status == 7, complaint
    assert "read-only transaction" in complaint
    assert "The server takes no writes" in complaint
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("set default_transaction_read_only = off")
        admin.execute(sql.SQL("alter database {} reset default_transaction_read_only").format(name))
    assert differences(held(ledger), expected.states["first"] | {"mirrors": ANY}) == []
    finish(ledger)
    assert differences(held(ledger), expected.states["second"]) == []


def test_a_projection_that_fails_says_so_and_comes_back_by_a_rebuild(
    world: World, expected: Expected, fresh: Callable[[], str]
) -> None:
    ledger = world.make(fresh())
    world.become("first")
    status, complaint = ended(start(ledger, broken="revisions"))
    assert status == 5
    assert "projection revisions stopped at position 1" in complaint
    assert "ValueError: not understood" in complaint
    wanted = expected.states["first"]
    assert differences(held(ledger), wanted) != []
    with ledger.store() as store:
        assert [bytes(row[7]) for row in store.leaves()] == wanted["leaves"]
    size = len(wanted["leaves"])
    feeds = ledger.rows("select feed, position, failure from feeds where kind = 'projection'")
    stopped = {feed: (position, failure) for feed, position, failure in feeds if failure}
    position, failure = stopped["revisions"]
    assert 100 <= position < size
    assert failure == f"stopped at position {position}: ValueError: not understood"
    assert {position for _, position, failure in feeds if not failure} == {size}
    finish(ledger)
    assert ledger.rows("select position from feeds where feed = 'revisions'") == [(position,)]
    ledger.rebuild()
    assert differences(held(ledger), wanted) == []
