"""A Git source tells what real Git says: commits, revisions, ref moves, contents, surveys, gaps."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger import contents, gitio
from ledger.commits import read_commit, trailers
from ledger.errors import SourceError, UsageError
from ledger.events import (
    CollectorGap,
    CommitObserved,
    FileChange,
    PullRequestMatched,
    RefMoved,
    RevisionObserved,
    SignatureVerified,
    SourceSurveyed,
)
from ledger.sources.git import commits as git_commits
from ledger.testing import (
    ANN,
    BOB,
    FIRST_COMMIT,
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
from ledger.verify import Finding, verify_source


@pytest.fixture(autouse=True)
def no_user_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the configuration of whoever runs the tests must not matter."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """An empty repository."""
    return make_repo(tmp_path / "infra.git")


@pytest.fixture
def ledger(tmp_path: Path, repo: Repo) -> Ledger:
    """A ledger that tracks the repository's default branch."""
    return make_ledger(tmp_path / "ledger", track(repo))


def manifest(name: str, replicas: int = 1) -> str:
    """A small Deployment."""
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n"
        f"spec:\n  replicas: {replicas}\n"
    )


def told(ledger: Ledger) -> list[CommitObserved]:
    """Every telling of a commit, in order."""
    return [one.data for one in ledger.events(CommitObserved)]  # type: ignore[misc]


def told_ids(ledger: Ledger) -> list[str]:
    return [one.commit for one in told(ledger)]


def steps(ledger: Ledger, branch: str = "main") -> list[tuple[int, str]]:
    """(number, commit) of the first-parent steps told of a branch, in order."""
    found: list[RevisionObserved] = [one.data for one in ledger.events(RevisionObserved)]  # type: ignore[misc]
    return [(one.number, one.commit) for one in found if one.branch == branch]


def moves(ledger: Ledger, ref: str = "refs/heads/main") -> list[tuple[str, str, str]]:
    """(kind, old, new) of a ref's moves, in order; their sequence has no gaps."""
    found: list[RefMoved] = [one.data for one in ledger.events(RefMoved)]  # type: ignore[misc]
    mine = [one for one in found if one.ref == ref]
    assert [one.sequence for one in mine] == list(range(1, len(mine) + 1))
    return [(one.kind, one.old, one.new) for one in mine]


def commit_of(ledger: Ledger, commit: str) -> CommitObserved:
    """The last telling of a commit."""
    return [one for one in told(ledger) if one.commit == commit][-1]


def standing(ledger: Ledger) -> dict[str, tuple[int, int]]:
    """commit → (number, superseded) of the revisions of main."""
    rows = ledger.rows("select commit_sha, number, superseded from revisions where branch = 'main'")
    return {commit: (number, superseded) for commit, number, superseded in rows}


def differences(repo: Repo, commit: str) -> set[tuple[str, str, str, str, bytes]]:
    """(modes, ids, path) of the files of a commit against its first parent, by plain diff-tree."""
    parents = repo.git("log", "-1", "--format=%P", commit).decode().split()
    before = parents[0] if parents else repo.git("mktree", stdin=b"").decode().strip()
    arguments = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", before, commit]
    tokens = repo.git(*arguments).split(b"\0")
    found = set()
    for head, path in zip(tokens[::2], tokens[1::2], strict=False):
        mode, mode_after, oid, oid_after, _ = head.decode().removeprefix(":").split(" ")
        found.add(
            (mode, mode_after, oid.strip("0") and oid, oid_after.strip("0") and oid_after, path)
        )
    return found


def as_raw(file: FileChange) -> tuple[str, str, str, str, bytes]:
    """A file of an event as `differences` writes it."""
    before, after = file.before, file.after
    path = file.path.encode()
    if file.path_encoding == "percent":
        path = bytes.fromhex("".join(_hex_of(file.path)))
    return (
        before.mode if before else "000000",
        after.mode if after else "000000",
        before.id if before else "",
        after.id if after else "",
        path,
    )


def _hex_of(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text):
        if text[at] == "%":
            found.append(text[at + 1 : at + 3])
            at += 3
        else:
            found.append(text[at].encode().hex())
            at += 1
    return found


def messy(repo: Repo) -> None:
    """A history with everything that a graph can have."""
    a = repo.commit({"a.yaml": manifest("a"), "dir/b.yaml": manifest("b")}, "root")
    repo.make_branch("one", a)
    repo.make_branch("two", a)
    one = repo.commit({"one.txt": "1\n"}, "one", branch="one", author=BOB)
    two = repo.commit({"two.txt": "2\n", "a.yaml": manifest("a", 2)}, "two", branch="two")
    repo.commit({"dir/b.yaml": None}, "remove b")
    repo.merge("one", "Merge one")
    repo.commit(None, "empty")
    tree = repo.merged_tree(repo.tip(), two)
    three = repo.commit({"three.txt": "3\n"}, "three", branch="three", parents=[a])
    repo.commit({"three.txt": "3\n"}, "octopus", parents=[repo.tip(), two, three, one], tree=tree)
    repo.commit({"other/x.txt": "x\n"}, "another root", branch="other", parents=[])
    repo.merge("other", "Merge unrelated")
    repo.commit({"a.yaml": manifest("a", 3)}, "last")


# -- the builder -----------------------------------------------------------------------------------


def test_the_same_calls_give_the_same_ids_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tips = []
    for zone in ("UTC", "Pacific/Kiritimati"):
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("GIT_AUTHOR_NAME", zone)
        made = make_repo(tmp_path / zone.replace("/", "-"))
        for step in story(made):
            step()
        files: dict[Any, Any] = {"x": link("y"), b"\xff": executable("z")}
        messy_branch = made.commit(files, branch="odd", parents=[])
        tips.append([made.tip(), messy_branch, made.tag("v2", message="Two")])
    assert tips[0] == tips[1]
    assert tips[0][0] == "2bc4f318a090d0cff3c2934fe78d5ccc49059316"


def test_a_conflict_is_an_error_of_the_builder(repo: Repo) -> None:
    root = repo.commit({"a": "1\n"}, "root")
    repo.make_branch("side", root)
    repo.commit({"a": "2\n"}, "ours")
    repo.commit({"a": "3\n"}, "theirs", branch="side")
    for land in (repo.merge, repo.squash, repo.rebase):
        with pytest.raises(SourceError):
            land("side")


# -- commits and revisions -------------------------------------------------------------------------


def test_first_ingest_tells_every_reachable_commit_once_and_parents_first(
    repo: Repo, ledger: Ledger
) -> None:
    messy(repo)
    ledger.grow()
    ids = told_ids(ledger)
    assert sorted(ids) == sorted(repo.git("rev-list", repo.tip()).decode().split())
    place = {commit: index for index, commit in enumerate(ids)}
    for one in told(ledger):
        assert all(place[parent] < place[one.commit] for parent in one.parents)


def test_first_parent_steps_are_numbered_from_1_each_after_its_commit(
    repo: Repo, ledger: Ledger
) -> None:
    messy(repo)
    ledger.grow()
    assert steps(ledger) == list(enumerate(repo.chain(), 1))
    seen: set[str] = set()
    below = ""
    for event in ledger.events(CommitObserved, RevisionObserved):
        data = event.data
        if isinstance(data, CommitObserved):
            seen.add(data.commit)
        elif isinstance(data, RevisionObserved):
            assert data.commit in seen
            assert data.first_parent == below
            below = data.commit


def test_files_are_those_of_diff_tree_against_the_first_parent(repo: Repo, ledger: Ledger) -> None:
    messy(repo)
    ledger.grow()
    for one in told(ledger):
        assert {as_raw(file) for file in one.files} == differences(repo, one.commit), one.message
        assert len({file.path for file in one.files}) == len(one.files)
    by_message = {one.message: one for one in told(ledger)}
    assert len(by_message["octopus"].parents) == 4
    assert {file.path for file in by_message["octopus"].files} == {
        "two.txt",
        "three.txt",
        "a.yaml",
    }
    assert by_message["empty"].files == []
    assert [file.path for file in by_message["Merge unrelated"].files] == ["other/x.txt"]


def test_commits_say_what_git_says(repo: Repo, ledger: Ledger) -> None:
    messy(repo)
    repo.commit(
        {"x": "1"},
        "Subject\n\nBody\n",
        author=BOB,
        committer=ANN,
        authored="2023-05-06T07:08:09+02:00",
        when="2024-02-29T23:59:59-11:30",
    )
    ledger.grow()
    for one in told(ledger):
        raw = repo.git("cat-file", "commit", one.commit)
        shown = repo.git("log", "-1", "--format=%T%n%P%n%an%n%ae%n%at%n%cn%n%ce%n%ct", one.commit)
        tree, parents, *people = shown.decode().splitlines()
        assert [one.tree, one.parents] == [tree, parents.split()]
        assert people == [
            *(one.author.name, one.author.email, seconds(one.authored_at)),
            *(one.committer.name, one.committer.email, seconds(one.committed_at)),
        ]
        assert one.object_digest == "sha256:" + hashlib.sha256(raw).hexdigest()
        assert one.message == raw.partition(b"\n\n")[2].decode()
    assert told(ledger)[-1].author_zone == "+0200"
    assert told(ledger)[-1].committer_zone == "-1130"


def seconds(instant: str) -> str:
    moment = FIRST_COMMIT.fromisoformat(instant)
    return str(int(moment.timestamp()))


def test_patch_ids_are_those_of_git(repo: Repo, ledger: Ledger) -> None:
    messy(repo)
    ledger.grow()
    found = {one.commit: one.patch_id for one in told(ledger)}
    for commit, patch in found.items():
        parents = repo.git("log", "-1", "--format=%P", commit).decode().split()
        shown = repo.git("log", "-1", "-p", "--root", "--full-index", "--no-renames", commit)
        said = repo.git("patch-id", "--stable", stdin=shown).decode().split()
        wanted = "" if len(parents) > 1 or not said else said[0]
        assert patch == wanted
    assert sum(bool(patch) for patch in found.values()) > 5


def test_nothing_new_appends_nothing(repo: Repo, ledger: Ledger) -> None:
    messy(repo)
    assert ledger.grow() > 0
    before = ledger.rows("select size, root from tree_heads")
    for _ in range(3):
        assert ledger.grow() == 0
    assert ledger.rows("select size, root from tree_heads") == before
    [(succeeded,)] = ledger.rows("select succeeded_at from feeds where feed = 'infra'")
    assert succeeded == ledger.now


def test_more_commits_are_told_alone(repo: Repo, ledger: Ledger) -> None:
    messy(repo)
    ledger.grow()
    before = len(ledger.events())
    new = repo.commit({"new.txt": "new\n"}, "new")
    repo.make_branch("side", repo.chain()[2])
    side = repo.commit({"side.txt": "s\n"}, "side", branch="side")
    merge = repo.merge("side", "Merge side")
    ledger.grow()
    fresh = ledger.events()[before:]
    assert {one.data.commit for one in fresh if isinstance(one.data, CommitObserved)} == {
        new,
        side,
        merge,
    }
    assert steps(ledger) == list(enumerate(repo.chain(), 1))
    assert moves(ledger)[-1][0] == "fast_forward"


def story(repo: Repo) -> list[Callable[[], object]]:
    """A year in steps; an ingest may come after any of them."""
    state: dict[str, str] = {}

    def start() -> None:
        state["root"] = repo.commit({"a.yaml": manifest("a"), "b.txt": "b\n"}, "root")

    def open_pulls() -> None:
        for number in (1, 2, 3):
            name = f"pull-{number}"
            repo.make_branch(name, state["root"])
            files = {f"{name}.yaml": manifest(name), "a.yaml": manifest("a", number)}
            head = repo.commit(
                files if number == 1 else dict([*files.items()][:1]), name, branch=name
            )
            repo.pull_head(number, head)

    return [
        start,
        open_pulls,
        lambda: repo.merge("pull-1", "Merge pull request #1 from ann/pull-1"),
        lambda: repo.commit({"c.txt": "c\n"}, "direct"),
        lambda: repo.squash("pull-2", "Second (#2)"),
        lambda: repo.tag("v1"),
        lambda: repo.commit({"b.txt": None}, "remove"),
        lambda: repo.rebase("pull-3"),
        lambda: repo.commit({"c.txt": "c2\n", "a.yaml": manifest("a", 9)}, "both"),
    ]


def facts(ledger: Ledger) -> set[tuple[str, bytes]]:
    """(key, data) of what was told, apart from when and by which move it was seen."""
    found = set()
    for one in ledger.events():
        data = one.data
        if isinstance(data, RevisionObserved):
            data = msgspec.structs.replace(data, move="")
        if not isinstance(data, RefMoved | SourceSurveyed):
            found.add((one.key, msgspec.json.encode(data, order="sorted")))
    return found


def test_one_ingest_and_one_after_every_step_tell_the_same_facts(
    repo: Repo, ledger: Ledger, tmp_path: Path
) -> None:
    for step in story(repo):
        step()
        ledger.grow()
    whole = make_ledger(tmp_path / "whole", track(repo))
    whole.grow()
    assert facts(ledger) == facts(whole)
    assert len(told(whole)) == len(set(told_ids(whole)))


def test_two_processes_tell_the_same_log_as_one(
    repo: Repo, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.preparing.MANY", 0)
    for step in story(repo):
        step()
    ledger.grow(processes=1)
    other = make_ledger(tmp_path / "other", track(repo))
    other.grow(processes=2)
    assert ledger.rows("select root from tree_heads") == other.rows("select root from tree_heads")


def test_heads_read_in_the_background_tell_the_same_log(
    repo: Repo, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.sources.git.refs.MANY", 1)
    tip = repo.commit({"a.yaml": manifest("a")}, "A")
    for number in range(1, 6):
        head = repo.commit({f"{number}.txt": "x\n"}, "work", branch=None, parents=[tip])
        repo.pull_head(number, head)
        tip = repo.squash(head, f"Work (#{number})")
    ledger.grow(processes=1)
    other = make_ledger(tmp_path / "other", track(repo))
    other.grow(processes=2)
    data = [one.data for one in other.events()]
    matches = [(one.number, one.method) for one in data if isinstance(one, PullRequestMatched)]
    assert matches == [(number, "equal_tree") for number in range(1, 6)]
    patched = [one.patch_id for one in data if isinstance(one, CommitObserved)]
    assert sum(map(bool, patched)) >= 5
    assert ledger.rows("select root from tree_heads") == other.rows("select root from tree_heads")


def test_small_chunks_and_a_short_memory_of_blobs_tell_the_same_log(
    repo: Repo, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messy(repo)
    for number in range(12):
        repo.commit({"a.yaml": manifest("a", number % 3), f"{number}.txt": f"{number % 2}\n"})
    ledger.grow()
    monkeypatch.setattr(git_commits, "CHUNK_COMMITS", 2)
    monkeypatch.setattr(git_commits, "REMEMBERED_BLOBS", 4)
    other = make_ledger(tmp_path / "other", track(repo))
    other.grow()
    one, two = ledger.events(), other.events()
    assert [(e.key, e.data) for e in one] == [(e.key, e.data) for e in two]


def test_a_pull_that_stopped_in_the_middle_goes_on_without_repeats(
    repo: Repo, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messy(repo)
    monkeypatch.setattr(git_commits, "CHUNK_COMMITS", 2)
    with pytest.MonkeyPatch.context() as patch:

        def stop(*_: Any) -> Any:
            raise SourceError("the line went dead")

        patch.setattr("ledger.sources.git.survey_event", stop)
        [outcome] = ledger.ingest()
        assert outcome.failure == "the line went dead"
    ledger.grow()
    whole = make_ledger(tmp_path / "whole", track(repo))
    whole.grow()
    lost = {fact for fact in facts(ledger) if "/gap/" in fact[0]}
    assert facts(ledger) - lost == facts(whole)
    assert Counter(told_ids(ledger)) == Counter(told_ids(whole))


def test_a_mirror_that_was_deleted_is_fetched_again(repo: Repo, ledger: Ledger) -> None:
    for step in story(repo):
        step()
    ledger.grow()
    before = len(ledger.events())
    shutil.rmtree(ledger.settings.mirror(ledger.settings.source[0]))
    new = repo.commit({"c.txt": "after\n"}, "after")
    ledger.grow()
    fresh = [one.data for one in ledger.events()[before:]]
    assert [one.commit for one in fresh if isinstance(one, CommitObserved)] == [new]
    assert survey_findings(ledger) == []
    ledger.ingest(survey=True)
    assert survey_findings(ledger) == []


# -- force pushes and odd moves ---------------------------------------------------------------------


def test_a_force_push_supersedes_what_it_displaced(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"a.yaml": manifest("a")}, "A")
    b = repo.commit({"a.yaml": manifest("a", 2)}, "B")
    c = repo.commit({"a.yaml": manifest("a", 3)}, "C")
    ledger.grow()
    d = repo.commit({"a.yaml": manifest("a", 4)}, "D", branch=None, parents=[a])
    e = repo.commit({"a.yaml": manifest("a", 5)}, "E", branch=None, parents=[d])
    repo.force(e)
    repo.git("gc", "--quiet", "--prune=now")
    ledger.grow()
    [created, forced] = ledger.events(RefMoved)
    assert created.data.kind == "created"  # type: ignore[union-attr]
    assert forced.data.kind == "forced"  # type: ignore[union-attr]
    assert forced.data.abandoned == sorted([b, c])  # type: ignore[union-attr]
    assert standing(ledger) == {a: (1, 0), b: (2, 1), c: (3, 1), d: (2, 0), e: (3, 0)}
    mirror = gitio.Mirror(ledger.settings.mirror(ledger.settings.source[0]))
    assert mirror.has(b)
    assert mirror.has(c)
    assert ledger.rows(
        "select distinct revision_number, commit_sha from resource_changes order by 1"
    ) == [
        (1, a),
        (2, d),
        (3, e),
    ]


def test_a_displaced_line_that_returns_is_current_again_and_told_once(
    repo: Repo, ledger: Ledger
) -> None:
    a = repo.commit({"a.yaml": manifest("a"), "old.txt": "x\n"}, "A")
    b = repo.commit({"a.yaml": manifest("a", 2), "old.txt": None, "new.txt": "x\n"}, "B")
    c = repo.commit({"a.yaml": manifest("a", 3)}, "C")
    ledger.grow()
    before = ledger.rows("select * from resource_changes order by 1, 2, 3, 4")
    state = ledger.rows("select * from resources order by 1")
    d = repo.commit({"a.yaml": manifest("a", 4)}, "D", branch=None, parents=[a])
    repo.force(d)
    ledger.grow()
    assert standing(ledger) == {a: (1, 0), b: (2, 1), c: (3, 1), d: (2, 0)}
    assert ledger.rows("select path from resources where present = 1 order by 1") == [
        ("a.yaml",),
        ("old.txt",),
    ]
    repo.force(c)
    ledger.grow()
    assert standing(ledger) == {a: (1, 0), b: (2, 0), c: (3, 0), d: (2, 1)}
    assert ledger.rows("select * from resource_changes order by 1, 2, 3, 4") == before
    assert ledger.rows("select * from resources order by 1") == state
    assert [kind for kind, _, _ in moves(ledger)] == ["created", "forced", "forced"]
    e = repo.commit({"a.yaml": manifest("a", 5)}, "E")
    ledger.grow()
    assert standing(ledger)[e] == (4, 0)
    assert ledger.rows("select count(*) from resource_changes where commit_sha = ?", e) == [(1,)]


def test_a_fast_forward_to_a_merge_whose_second_parent_is_the_old_tip_supersedes(
    repo: Repo, ledger: Ledger
) -> None:
    a = repo.commit({"a.yaml": manifest("a")}, "A")
    b = repo.commit({"b.yaml": manifest("b")}, "B")
    ledger.grow()
    x = repo.commit({"x.yaml": manifest("x")}, "X", branch=None, parents=[a])
    tree = repo.merged_tree(x, b)
    m = repo.commit(None, "foxtrot", parents=[x, b], tree=tree)
    ledger.grow()
    assert [kind for kind, _, _ in moves(ledger)] == ["created", "fast_forward"]
    assert standing(ledger) == {a: (1, 0), b: (2, 1), x: (2, 0), m: (3, 0)}
    rows = ledger.rows("select revision_number, name, action from resource_changes order by 1, 2")
    assert rows == [(1, "a", "added"), (2, "x", "added"), (3, "b", "added")]


def test_a_reset_to_an_older_commit_supersedes_what_came_after(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"a.yaml": manifest("a")}, "A")
    b = repo.commit({"a.yaml": manifest("a", 2), "b.yaml": manifest("b")}, "B")
    c = repo.commit({"b.yaml": None, "c.txt": "c\n"}, "C")
    ledger.grow()
    repo.force(b)
    ledger.grow()
    assert standing(ledger) == {a: (1, 0), b: (2, 0), c: (3, 1)}
    present = "select name from resources where present = 1 order by 1"
    assert ledger.rows(present) == [("a",), ("b",)]
    repo.force(a)
    ledger.grow()
    assert standing(ledger) == {a: (1, 0), b: (2, 1), c: (3, 1)}
    assert ledger.rows(present) == [("a",)]
    d = repo.commit({"a.yaml": manifest("a", 7)}, "D")
    ledger.grow()
    assert standing(ledger)[d] == (2, 0)
    [(old, new)] = ledger.rows(
        "select old_value, new_value from field_changes where commit_sha = ?", d
    )
    assert (old, new) == ("1", "7")
    assert [kind for kind, _, _ in moves(ledger)] == ["created", "forced", "forced", "fast_forward"]


def test_a_branch_replaced_by_an_unrelated_history(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"a.yaml": manifest("a")}, "A")
    ledger.grow()
    x = repo.commit({"x.yaml": manifest("ex")}, "X", branch=None, parents=[])
    y = repo.commit({"z.yaml": manifest("zed")}, "Y", branch=None, parents=[x])
    repo.force(y)
    ledger.grow()
    assert standing(ledger) == {a: (1, 1), x: (1, 0), y: (2, 0)}
    assert ledger.rows("select name from resources where present = 1 order by 1") == [
        ("ex",),
        ("zed",),
    ]


def test_the_default_branch_renamed(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"a.yaml": manifest("a")}, "A")
    repo.commit({"a.yaml": manifest("a", 2)}, "B")
    ledger.grow()
    repo.rename_branch("main", "trunk")
    c = repo.commit({"a.yaml": manifest("a", 3)}, "C")
    ledger.grow()
    assert steps(ledger, "trunk") == list(enumerate(repo.chain(), 1))
    assert Counter(told_ids(ledger)).most_common(1)[0][1] == 1
    assert moves(ledger, "refs/heads/trunk") == [("created", "", c)]
    assert moves(ledger)[-1][0] == "deleted"
    repo.rename_branch("trunk", "main")
    ledger.grow()
    assert [kind for kind, _, _ in moves(ledger)] == ["created", "deleted", "created"]


def test_a_second_branch_is_tracked_beside_the_first(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a.yaml": manifest("a")}, "A")
    b = repo.commit({"a.yaml": manifest("a", 2)}, "B")
    repo.make_branch("release", b)
    repo.commit({"a.yaml": manifest("a", 3)}, "C")
    ledger = make_ledger(tmp_path / "both", track(repo, branches=["main", "release"]))
    ledger.grow()
    assert Counter(told_ids(ledger)).most_common(1)[0][1] == 1
    assert steps(ledger) == list(enumerate(repo.chain(), 1))
    assert steps(ledger, "release") == list(enumerate(repo.chain(b), 1))
    repo.commit({"a.yaml": manifest("a", 9)}, "hotfix", branch="release")
    ledger.grow()
    assert steps(ledger, "release") == list(enumerate(repo.chain(repo.tip("release")), 1))
    state = "select branch, number from revisions order by 1, 2"
    assert ledger.rows(state) == [
        *(("main", n) for n in (1, 2, 3)),
        *(("release", n) for n in (1, 2, 3)),
    ]


def test_a_branch_that_is_tracked_later_and_again(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a.yaml": manifest("a")}, "A")
    repo.make_branch("release")
    ledger = make_ledger(tmp_path / "one", track(repo, branches=["main"]))
    ledger.grow()
    both = ledger.replace(source=[track(repo, branches=["main", "release"])])
    both.grow()
    assert steps(both, "release") == list(enumerate(repo.chain(repo.tip("release")), 1))
    alone = both.replace(source=[track(repo, branches=["main"])])
    alone.grow()
    again = alone.replace(source=[track(repo, branches=["main", "release"])])
    again.grow()
    repo.commit({"a.yaml": manifest("a", 9)}, "hotfix", branch="release")
    again.grow()
    assert steps(again, "release") == list(enumerate(repo.chain(repo.tip("release")), 1))
    assert moves(again, "refs/heads/release")[-1][0] == "fast_forward"
    keys = [one.key for one in again.events()]
    assert [key for key in keys if "#" in key] == []


def test_tags_and_moved_tags(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"a": "1"}, "A")
    b = repo.commit({"a": "2"}, "B")
    x = repo.commit({"a": "3"}, "X", branch=None, parents=[a])
    repo.tag("light", a)
    repo.tag("heavy", a, "Version 1")
    blob = repo.write_object("blob", b"a tag of a blob\n")
    repo.set_ref("refs/tags/blob", blob)
    ledger.grow()
    repo.tag("light", b)
    repo.tag("heavy", b, "Version 1 again")
    ledger.grow()
    repo.tag("light", x)
    repo.tag("heavy", x, "Version 1 at last")
    ledger.grow()
    repo.delete_ref("refs/tags/heavy")
    ledger.grow()
    expected = [("created", "", a), ("fast_forward", a, b), ("forced", b, x)]
    assert moves(ledger, "refs/tags/light") == expected
    assert moves(ledger, "refs/tags/heavy") == [*expected, ("deleted", x, "")]
    assert moves(ledger, "refs/tags/blob") == []
    assert ledger.grow() == 0


def test_odd_names_of_refs(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"a": "1"}, "A")
    names = ["v\u2028x", "v\x85y", "v\udcff\udcfe", "percent%41", "\u202ebidi", "-dash", "x" * 200]
    for name in names:
        repo.tag(name, a)
    long = "/".join(f"{number:0200}" for number in range(4))
    repo.tag(long, a)
    ledger.grow()
    assert ledger.grow() == 0
    told_refs = {one.data.ref for one in ledger.events(RefMoved)}  # type: ignore[union-attr]
    shown = {name: f"refs/tags/{name}" for name in [*names, long]}
    shown["v\udcff\udcfe"] = "refs/tags/v%FF%FE"
    assert told_refs == {"refs/heads/main", *shown.values()}
    for name in names:
        repo.delete_ref(f"refs/tags/{name}")
    ledger.grow()
    assert moves(ledger, "refs/tags/v%FF%FE") == [("created", "", a), ("deleted", a, "")]
    assert survey_findings(ledger) == []


@pytest.mark.parametrize(
    "name", ["feature/x", "ünï", "a%b", "x" * 200, "refs/heads/x", "-x", "a.b@c"]
)
def test_odd_names_of_branches(name: str, repo: Repo, tmp_path: Path) -> None:
    a = repo.commit({"a": "1"}, "A")
    repo.set_ref(f"refs/heads/{name}", a)
    ledger = make_ledger(tmp_path / "odd", track(repo, branches=["main", name]))
    ledger.grow()
    b = repo.commit({"a": "2"}, "B", branch=None, parents=[])
    repo.set_ref(f"refs/heads/{name}", b)
    ledger.grow()
    repo.set_ref(f"refs/heads/{name}", a)
    ledger.grow()
    assert steps(ledger, name) == [(1, a), (1, b)]
    assert [kind for kind, _, _ in moves(ledger, f"refs/heads/{name}")] == [
        "created",
        *["forced"] * 2,
    ]


def test_a_ref_that_becomes_a_folder_of_refs_and_back(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"a": "1"}, "A")
    b = repo.commit({"a": "2"}, "B", branch=None, parents=[])
    repo.tag("v1", b)
    ledger.grow()
    repo.delete_ref("refs/tags/v1")
    repo.tag("v1/x", a)
    repo.tag("v1/y", a)
    ledger.grow()
    assert moves(ledger, "refs/tags/v1") == [("created", "", b), ("deleted", b, "")]
    repo.delete_ref("refs/tags/v1/x")
    repo.delete_ref("refs/tags/v1/y")
    ledger.grow()
    repo.tag("v1", a)
    ledger.grow()
    assert moves(ledger, "refs/tags/v1")[-1] == ("created", "", a)
    assert gitio.Mirror(ledger.settings.mirror(ledger.settings.source[0])).has(b)


def test_a_head_that_names_no_branch(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"a": "1"}, "A")
    repo.commit({"a": "2"}, "B")
    repo.git("update-ref", "--no-deref", "HEAD", a)
    [outcome] = ledger.ingest()
    assert "no default branch" in outcome.failure
    repo.git("update-ref", "--no-deref", "HEAD", repo.tip())
    ledger.grow()
    assert len(steps(ledger)) == 2


def test_a_repository_of_sha256(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "wide.git")
    repo.path.mkdir()
    repo.git("init", "--quiet", "--bare", "--object-format=sha256", "--initial-branch=main", ".")
    repo.commit({"a.yaml": manifest("a")}, "A")
    repo.make_branch("pull-1")
    repo.pull_head(1, repo.commit({"a.yaml": manifest("a", 2)}, "one", branch="pull-1"))
    repo.commit({"b.txt": "b\n"}, "B")
    squash = repo.squash("pull-1", "Land (#1)")
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    assert steps(ledger) == list(enumerate(repo.chain(), 1))
    for one in told(ledger):
        assert len(one.commit) == 64
        assert {as_raw(file) for file in one.files} == differences(repo, one.commit)
    sql = "select pull_request, link_grade from revisions where commit_sha = ?"
    assert ledger.rows(sql, squash) == [(1, "proved")]
    assert survey_findings(ledger) == []


# -- pull request heads ----------------------------------------------------------------------------


@pytest.mark.parametrize("forge", ["github", "gitlab", "bitbucket"])
def test_heads_of_pull_requests_created_moved_forced_and_deleted(
    forge: str, repo: Repo, ledger: Ledger
) -> None:
    a = repo.commit({"a.yaml": manifest("a")}, "A")
    one = repo.commit({"b.yaml": manifest("b")}, "one", branch=None, parents=[a])
    repo.pull_head(12, one, forge=forge)
    ledger.grow()
    two = repo.commit({"b.yaml": manifest("b", 2)}, "two", branch=None, parents=[one])
    repo.pull_head(12, two, forge=forge)
    ledger.grow()
    three = repo.commit({"b.yaml": manifest("b", 3)}, "three", branch=None, parents=[a])
    repo.pull_head(12, three, forge=forge)
    ledger.grow()
    repo.drop_pull_head(12, forge=forge)
    ledger.grow()
    refs = {"github": "pull/12/head", "gitlab": "merge-requests/12/head"}
    ref = "refs/" + refs.get(forge, "pull-requests/12/from")
    assert moves(ledger, ref) == [
        ("created", "", one),
        ("fast_forward", one, two),
        ("forced", two, three),
        ("deleted", three, ""),
    ]
    assert sorted(told_ids(ledger)) == sorted([a, one, two, three])
    side = commit_of(ledger, three).files[0].after
    assert side is not None
    assert (side.content, side.digest) == ("not_kept", "")
    assert steps(ledger) == [(1, a)]


def test_refs_that_look_like_heads_of_pull_requests(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"a": "1"}, "A")
    for ref in (
        "pull/x/head",
        "pull/1/merge",
        "pull/1234567890123/head",
        "pull/٣/head",
        "x/1/head",
    ):
        repo.set_ref(f"refs/{ref}", a)
    repo.pull_head(3, a)
    ledger.grow()
    refs = {one.data.ref for one in ledger.events(RefMoved)}  # type: ignore[union-attr]
    assert refs == {"refs/heads/main", "refs/pull/3/head"}


def test_pull_requests_can_be_left_alone_and_taken_up_later(repo: Repo, tmp_path: Path) -> None:
    for step in story(repo):
        step()
    ledger = make_ledger(tmp_path / "alone", track(repo, pull_requests=False))
    ledger.grow()
    refs = {one.data.ref for one in ledger.events(RefMoved)}  # type: ignore[union-attr]
    assert refs == {"refs/heads/main", "refs/tags/v1"}
    assert all(one.patch_id == "" for one in told(ledger))
    assert sorted(told_ids(ledger)) == sorted(repo.git("rev-list", repo.tip()).decode().split())
    later = ledger.replace(source=[track(repo)])
    later.grow()
    assert later.rows(
        "select number, pull_request from revisions where pull_request is not null order by 1"
    ) == [
        (2, 1),
        (4, 2),
    ]
    off = later.replace(source=[track(repo, pull_requests=False)])
    off.grow()
    assert [kind for kind, _, _ in moves(off, "refs/pull/1/head")] == ["created"]


def test_a_head_to_which_the_branch_later_fast_forwards_gets_its_contents(
    repo: Repo, ledger: Ledger
) -> None:
    a = repo.commit({"a.yaml": manifest("a")}, "A")
    head = repo.commit(
        {"a.yaml": manifest("a", 2), "b.yaml": manifest("b")}, "B", branch=None, parents=[a]
    )
    repo.pull_head(5, head)
    ledger.grow()
    assert commit_of(ledger, head).files[0].after.content == "not_kept"  # type: ignore[union-attr]
    repo.force(head)
    ledger.grow()
    assert commit_of(ledger, head).files[0].after.content == ""  # type: ignore[union-attr]
    assert told_ids(ledger).count(head) == 2
    assert ledger.rows(
        "select action, name from resource_changes where revision_number = 2 order by 2"
    ) == [("changed", "a"), ("added", "b")]
    assert ledger.rows("select count(*) from commits where commit_sha = ?", head) == [(1,)]
    [(number, grade)] = ledger.rows(
        "select pull_request, link_grade from revisions where number = 2"
    )
    assert (number, grade) == (5, "proved")


# -- where a repository can be ---------------------------------------------------------------------


def test_a_path_a_file_url_and_a_bundle_tell_the_same(repo: Repo, tmp_path: Path) -> None:
    for step in story(repo):
        step()
    bundle = repo.bundle(tmp_path / "infra.bundle")
    places = [repo.url, f"file://{repo.path}", str(bundle), f"file://{bundle}"]
    found = []
    for index, place in enumerate(places):
        ledger = make_ledger(tmp_path / str(index), track(place, branches=["main"]))
        ledger.grow()
        found.append([(one.key, one.data) for one in ledger.events() if "survey" not in one.key])
    assert found[0] == found[1] == found[2] == found[3]


def test_a_relative_path_is_relative_to_the_configuration(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a": "1"}, "A")
    ledger = make_ledger(tmp_path / "deep" / "ledger", track("../../infra.git"))
    ledger.grow()
    assert len(told(ledger)) == 1


def test_a_bundle_is_read_again_only_when_it_was_replaced(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({"a": "1"}, "A")
    bundle = repo.bundle(tmp_path / "infra.bundle")
    ledger = make_ledger(tmp_path / "ledger", track(str(bundle), branches=["main"]))
    ledger.grow()

    def refuse(*_: Any) -> Any:
        raise AssertionError("the bundle was read")

    with monkeypatch.context() as patch:
        patch.setattr("ledger.sources.git.list_remote", refuse)
        assert ledger.grow() == 0
    b = repo.commit({"a": "2"}, "B")
    repo.bundle(bundle)
    ledger.grow()
    assert told_ids(ledger)[-1] == b
    repo.force(repo.chain()[0])
    repo.bundle(bundle)
    ledger.grow()
    assert moves(ledger)[-1][0] == "forced"


def test_a_bundle_without_a_named_branch_follows_its_head(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a": "1"}, "A")
    repo.make_branch("other", repo.commit({"a": "2"}, "B", branch="zzz"))
    bundle = repo.bundle(tmp_path / "infra.bundle")
    ledger = make_ledger(tmp_path / "ledger", track(str(bundle)))
    ledger.grow()
    assert steps(ledger) == list(enumerate(repo.chain(), 1))


@pytest.mark.parametrize(
    ("place", "branches", "message"),
    [
        ("empty", (), "no default branch"),
        ("empty", ("main",), "no branch 'main'"),
        ("good", ("nope",), "no branch 'nope'"),
        ("nothing", (), "ls-remote failed"),
        ("file", (), "ls-remote failed"),
        ("broken.bundle", ("main",), "failed"),
    ],
)
def test_what_cannot_be_read_is_a_gap_and_the_others_go_on(
    place: str, branches: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    make_repo(tmp_path / "empty")
    good = make_repo(tmp_path / "good")
    good.commit({"a": "1"}, "A")
    (tmp_path / "file").write_text("no repository")
    (tmp_path / "broken.bundle").write_text("# v2 git bundle\nnonsense\n")
    bad = track(str(tmp_path / place), "bad", branches=list(branches))
    ledger = make_ledger(tmp_path / "ledger", bad, track(good, "good"))
    outcomes = {one.source: one for one in ledger.ingest()}
    assert message in outcomes["bad"].failure
    assert outcomes["good"].appended > 0
    if "branch" in message:
        assert outcomes["bad"].hint
    [gap] = ledger.events(CollectorGap)
    assert isinstance(gap.data, CollectorGap)
    assert (gap.data.repository, gap.data.kind) == ("bad", "unreadable")
    assert message in gap.data.detail
    assert ledger.rows("select repository from gaps") == [("bad",)]
    [(failure, gaps)] = ledger.rows("select failure, gaps from feeds where feed = 'bad'")
    assert message in failure
    assert gaps == 1
    ledger.ingest()
    assert len(ledger.events(CollectorGap)) == 1, "the same gap is told once"


def test_a_gap_ends_and_another_one_is_told_with_its_beginning(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"a": "1"}, "A")
    ledger.grow()
    read_at = ledger.now
    hidden = repo.path.with_name("hidden.git")
    repo.path.rename(hidden)
    [outcome] = ledger.ingest()
    assert outcome.failure
    hidden.rename(repo.path)
    repo.commit({"a": "2"}, "B")
    ledger.grow()
    assert ledger.rows("select failure from feeds where feed = 'infra'") == [("",)]
    [gap] = ledger.events(CollectorGap)
    assert gap.data.since == read_at  # type: ignore[union-attr]
    assert len(steps(ledger)) == 2


def test_an_unknown_kind_of_source_does_not_stop_the_others(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a": "1"}, "A")
    strange = msgspec.structs.replace(track(repo, "strange"), kind="svn")
    ledger = make_ledger(tmp_path / "ledger", strange, track(repo, "good"))
    outcomes = {one.source: one for one in ledger.ingest()}
    assert "unknown kind 'svn'" in outcomes["strange"].failure
    assert outcomes["good"].appended > 0


def test_a_shallow_clone_is_a_gap(repo: Repo, tmp_path: Path) -> None:
    for number in range(4):
        repo.commit({"a.yaml": manifest("a", number)}, str(number))
    shallow = tmp_path / "shallow.git"
    repo.git("clone", "--quiet", "--bare", "--depth=2", f"file://{repo.path}", str(shallow))
    ledger = make_ledger(tmp_path / "ledger", track(str(shallow)))
    ledger.grow()
    [gap] = ledger.events(CollectorGap)
    assert gap.data.kind == "shallow"  # type: ignore[union-attr]
    assert len(steps(ledger)) == 2


HOSTILE = [
    "ext::sh -c touch% {}",
    "ext::sh -c touch% {} user@host:",
    "EXT::sh -c touch% {}",
    "fd::17",
    "--upload-pack=touch {}",
    "-oProxyCommand=touch {}",
    "-oProxyCommand=touch {}@host:repo",
    "ssh://-oProxyCommand=touch {}/x",
    "ssh://user@-oProxyCommand=touch {}/x",
    "ssh://-oProxyCommand=touch {}@host/x",
    "git@-oProxyCommand=touch {}:x",
    "ext://sh -c touch {}",
    "http+unix://x",
    "https://host/\n--upload-pack=touch {}",
    "",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_urls_are_refused_and_run_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    monkeypatch.setenv("GIT_SSH_COMMAND", "false")
    url = url.format(marker)
    mirror = gitio.Mirror(tmp_path / "mirror")
    for attempt in (
        lambda: gitio.list_remote(url, ["refs/heads/*"]),
        lambda: mirror.fetch(url, ["refs/heads/main"]),
    ):
        with pytest.raises((UsageError, SourceError)):
            attempt()
    assert not marker.exists()


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_urls_in_the_configuration_run_nothing_and_stop_nobody(
    url: str, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    monkeypatch.setenv("GIT_SSH_COMMAND", "false")
    repo.commit({"a": "1"}, "A")
    ledger = make_ledger(tmp_path / "ledger", track(url.format(marker), "bad"), track(repo, "good"))
    outcomes = {one.source: one for one in ledger.ingest()}
    assert outcomes["bad"].failure
    assert outcomes["good"].appended > 0
    assert not marker.exists()


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/infra.git",
        "ssh://git@github.com/acme/infra",
        "git@github.com:acme/infra.git",
        "github.com:acme/infra.git",
        "/srv/git/a:b",
        "./relative",
        "git://host/x",
        "file:///srv/x",
    ],
)
def test_ordinary_urls_are_taken(url: str) -> None:
    assert gitio.check_url(url) == url


def test_which_urls_are_paths(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger")
    shown = {
        url: ledger.settings.url(track(url))
        for url in ("git@host:x", "host:x/y", "ssh://host/x", "x/y", "./a:b", "/a:b")
    }
    folder = ledger.settings.folder
    assert shown == {
        "git@host:x": "git@host:x",
        "host:x/y": "host:x/y",
        "ssh://host/x": "ssh://host/x",
        "x/y": str(folder / "x/y"),
        "./a:b": str(folder / "a:b"),
        "/a:b": "/a:b",
    }


# -- odd content -----------------------------------------------------------------------------------

ODD_PATHS: list[bytes] = [
    b"with space.txt",
    b"line\nbreak.txt",
    b"tab\there.txt",
    b'quote".txt',
    b"back\\slash.txt",
    b"-leading.txt",
    b"--option=x.txt",
    b":100644 000000 x.txt",
    b"percent%41.txt",
    "zoë.txt".encode(),
    "日本.txt".encode(),
    b"latin\xe9.txt",
    b"bad\xff%25\x01.txt",
    b"dir with space/\xf0\x28.txt",
    "bidi\u202e.txt".encode(),
    b"*.txt",
    b"deep/" * 30 + b"x.txt",
    b"\x1b[31mred.txt",
]


def test_odd_paths_are_told_as_they_are(repo: Repo, ledger: Ledger) -> None:
    repo.commit({path: b"content of " + path for path in ODD_PATHS}, "odd")
    repo.commit(dict.fromkeys(ODD_PATHS[::2]), "half of them gone")
    ledger.grow()
    for one in told(ledger):
        assert {as_raw(file) for file in one.files} == differences(repo, one.commit)
        for file in one.files:
            assert (file.path_encoding == "percent") == (not is_utf8(as_raw(file)[-1]))
    for file in told(ledger)[0].files:
        with ledger.store() as store:
            assert file.after is not None
            assert store.attachment(file.after.digest) == b"content of " + as_raw(file)[-1]
    present = ledger.rows("select path from resources where present = 1")
    assert len(present) == len(ODD_PATHS[1::2])
    assert ("latin%E9.txt",) in ledger.rows("select path from resources")


def is_utf8(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_messages_and_names_in_other_encodings(repo: Repo, ledger: Ledger) -> None:
    declared = repo.commit({"a": "1"}, "Gr\xfc\xdfe".encode("latin-1"), encoding="ISO-8859-1")
    undeclared = repo.commit({"a": "2"}, b"Gr\xfc\xdfe")
    wrong = repo.commit({"a": "3"}, "Grüße", encoding="no-such-charset")
    japanese = repo.commit({"a": "4"}, "日本".encode("shift-jis"), encoding="Shift_JIS")
    named = repo.commit({"a": "5"}, "x", author=Person("J\udcfcrgen", "j@x"))
    ledger.grow()
    assert commit_of(ledger, declared).message == "Grüße"
    assert commit_of(ledger, declared).claims == []
    assert commit_of(ledger, undeclared).message == "Grüße"
    assert commit_of(ledger, undeclared).claims == ["message encoding"]
    assert commit_of(ledger, wrong).message == "Grüße"
    assert commit_of(ledger, japanese).message == "日本"
    assert commit_of(ledger, named).author.name == "Jürgen"
    assert commit_of(ledger, named).claims == ["author encoding", "committer encoding"]


def raw_commit(repo: Repo, **changes: bytes) -> bytes:
    """The bytes of a commit of the empty tree, some header fields other than usual."""
    tree = repo.git("mktree", stdin=b"").strip()
    fields = {
        b"tree": tree,
        b"author": b"Ann <ann@example.org> 1704067200 +0000",
        b"committer": b"Ann <ann@example.org> 1704067200 +0000",
    }
    message = changes.pop("message", b"odd\n")
    fields |= {name.encode(): value for name, value in changes.items()}
    return b"".join(name + b" " + value + b"\n" for name, value in fields.items()) + b"\n" + message


ODD_COMMITS: dict[str, dict[str, bytes]] = {
    "no name": {"author": b"<ann@x> 1704067200 +0000"},
    "no mail": {"author": b"Ann <> 1704067200 +0000"},
    "neither": {"author": b" <> 1704067200 +0000"},
    "no brackets": {"author": b"Ann ann@x 1704067200 +0000"},
    "no date": {"author": b"Ann <ann@x>"},
    "no zone": {"author": b"Ann <ann@x> 1704067200"},
    "odd zone": {"author": b"Ann <ann@x> 1704067200 +9999"},
    "before 1970": {"author": b"Ann <ann@x> -86400 +0000"},
    "far future": {"committer": b"Ann <ann@x> 99999999999 +0000"},
    "beyond every calendar": {"committer": b"Ann <ann@x> 99999999999999999999 +0000"},
    "more digits than Python reads": {"committer": b"Ann <ann@x> " + b"9" * 5000 + b" +0000"},
    "two mails": {"author": b"Ann <a@x> <b@x> 1704067200 +0000"},
    "NUL in the message": {"message": b"before\0after\n"},
    "only NUL": {"message": b"\0"},
    "no message": {"message": b""},
    "blank message": {"message": b"\n \n\n"},
    "control characters": {"message": b"\x1b]0;pwned\x07\n\nbody\r\n"},
    "bidirectional": {"message": "\u202etxet\u2066\n".encode()},
    "lone surrogate by encoding": {"encoding": b"unicode_escape", "message": b"\\ud800\n"},
    "half a pair in UTF-7": {"encoding": b"utf-7", "message": b"+2AA-\n"},
    "transform for an encoding": {"encoding": b"zip", "message": b"x\n"},
    "rot13": {"encoding": b"rot13", "message": b"uryyb\n"},
    "idna": {"encoding": b"idna", "message": b"xn--\xff\n"},
    "undefined": {"encoding": b"undefined", "message": b"x\n"},
    "encoding of NUL": {"encoding": b"a\0b", "message": b"x\n"},
    "UTF-16": {"encoding": b"utf-16", "message": "wide\n".encode("utf-16")},
    "unknown header": {"x-odd": b"1\n 2\n 3"},
    "surrogate bytes": {"message": b"\xed\xa0\x80\n"},
    "NUL in the name": {"author": b"A\0nn <a@x> 1704067200 +0000"},
    "name of controls": {"author": b"\x1b[31mAnn <a@x> 1704067200 +0000"},
    "long subject": {"message": b"x" * 200_000},
}


def test_odd_commits_are_read_and_what_was_unreadable_is_named(
    repo: Repo, database_url: str, tmp_path: Path
) -> None:
    made = {name: repo.raw_commit(raw_commit(repo, **odd), branch=name.replace(" ", "-"))
            for name, odd in ODD_COMMITS.items()}  # fmt: skip
    branches = [name.replace(" ", "-") for name in ODD_COMMITS]
    ledger = make_ledger(tmp_path / "ledger", track(repo, branches=branches), database=database_url)
    ledger.grow()
    found = {one.commit: one for one in told(ledger)}
    assert set(made.values()) == found.keys()
    claims = {name: found[commit].claims for name, commit in made.items()}
    assert claims["no brackets"] == ["author"]
    assert claims["no date"] == ["author time"]
    assert claims["beyond every calendar"] == ["committer time"]
    assert claims["more digits than Python reads"] == ["committer time"]
    assert claims["no name"] == []
    assert found[made["before 1970"]].authored_at == "1969-12-31T00:00:00Z"
    assert found[made["far future"]].committed_at == "5138-11-16T09:46:39Z"
    assert found[made["no name"]].author.name == ""
    assert found[made["no name"]].author.email == "ann@x"
    rows = ledger.rows("select commit_sha, subject, author_name from commits")
    assert len(rows) == len(made)
    assert all("\0" not in subject + author for _, subject, author in rows)
    assert ledger.rows("select failure from projections where failure <> ''") == []
    assert len(ledger.rows("select * from revisions")) == len(made)


def test_contents_are_kept_as_bytes(repo: Repo, ledger: Ledger) -> None:
    files: dict[str, Any] = {
        "nul.yaml": b"a: 1\0\n",
        "bom.yaml": b"\xef\xbb\xbf" + manifest("bom").encode(),
        "crlf.yaml": manifest("crlf").replace("\n", "\r\n"),
        "latin.yaml": b"a: gr\xfcn\n",
        "empty.yaml": "",
        "blank.yaml": "---\n---\n# nothing\n",
        "no-end.yaml": manifest("no-end").rstrip("\n"),
        "link.yaml": link("bom.yaml"),
        "dangling": link(b"no\xffwhere"),
        "module": submodule("1" * 40),
        "run.sh": executable("#!/bin/sh\n"),
    }
    first = repo.commit(files, "many")
    second = repo.commit(
        {"run.sh": "#!/bin/sh\n", "module": submodule("2" * 40)}, "mode and module"
    )
    ledger.grow()
    with ledger.store() as store:
        for file in commit_of(ledger, first).files:
            side = file.after
            assert side is not None
            if side.digest and not side.content:
                blob = repo.blobs([side.id])[side.id]
                assert store.attachment(side.digest) == blob
    kept = {file.path: file.after for file in commit_of(ledger, first).files if file.after}
    assert kept["nul.yaml"].content == "binary"
    assert kept["module"].content == "submodule"
    assert kept["module"].id == "1" * 40
    assert kept["link.yaml"].mode == "120000"
    assert kept["run.sh"].mode == "100755"
    changed = {file.path: file for file in commit_of(ledger, second).files}
    assert changed["run.sh"].before.mode, changed["run.sh"].after.mode == ("100755", "100644")  # type: ignore[union-attr]
    kinds = dict(ledger.rows("select path, kind from resources"))
    assert kinds["nul.yaml"] == "Binary"
    assert kinds["bom.yaml"] == kinds["crlf.yaml"] == "Deployment"
    assert kinds["link.yaml"] == "Symlink"
    assert kinds["module"] == "Submodule"
    assert ledger.rows("select unparsed <> '' from resources where path = 'latin.yaml'") == [(1,)]
    rows = ledger.rows(
        "select path, field, old_value, new_value from field_changes where revision_number = 2"
    )
    assert rows == [("module", "content", f'"{"1" * 40}"', f'"{"2" * 40}"')]


def test_a_file_above_the_limit_is_named_and_not_kept(repo: Repo, ledger: Ledger) -> None:
    big = b"x: y\n" * 2_300_000
    commit = repo.commit({"big.yaml": big, "small.yaml": manifest("small")}, "11 MB")
    ledger.grow()
    [large] = [file.after for file in commit_of(ledger, commit).files if file.path == "big.yaml"]
    assert large is not None
    assert (large.content, large.digest) == ("too_large", "")
    assert large.id == repo.files(commit)[b"big.yaml"][1]
    rows = ledger.rows("select kind, unparsed from resources where path = 'big.yaml'")
    assert rows == [("Large", "too_large")]
    assert ledger.rows("select kind from resources where path = 'small.yaml'") == [("Deployment",)]


def test_a_blob_that_the_repository_lacks_is_named(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"a.yaml": manifest("a")}, "A")
    ledger.grow()
    mirror = ledger.settings.mirror(ledger.settings.source[0])
    oid = repo.files(repo.tip())[b"a.yaml"][1]
    with gitio.Mirror(mirror).objects() as read:
        assert list(read([oid, "f" * 40, repo.tip()]))[1] is None


def test_a_directory_that_becomes_a_file_and_back(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"x/y.txt": "deep\n"}, "folder")
    repo.commit({"x/y.txt": None, "x": "flat\n"}, "file")
    repo.commit({"x": None, "x/y.txt": "deep\n"}, "folder again")
    repo.commit({"x/y.txt": link("z")}, "link")
    ledger.grow()
    for one in told(ledger):
        assert {as_raw(file) for file in one.files} == differences(repo, one.commit)
    assert ledger.rows("select path, kind from resources where present = 1") == [
        ("x/y.txt", "Symlink")
    ]


# -- trailers ---------------------------------------------------------------------------------------

TRAILERS = [
    "Subject only",
    "Subject\n\nSigned-off-by: Ann <a@x>\n",
    "Subject\n\nBody\n\nReviewed-by: Bob\nCo-authored-by: Cy <c@x>\n",
    "Subject\n\nBody\n\nReviewed-by: Bob\n  who looked twice\nFixes: #1\n",
    "Subject\n\nNot a trailer\nReviewed-by: Bob\n",
    "Subject\n\nText\nmore text\nSigned-off-by: Ann <a@x>\n",
    "Subject\n\nText\nmore\nand more\nstill more\nSigned-off-by: Ann <a@x>\n",
    "Subject\n\n(cherry picked from commit 1234567)\nSigned-off-by: Ann <a@x>\n",
    "Subject\n\nA: 1\n\nB: 2\n",
    "Subject\n\nA:1\nB : 2\nC:\n",
    "Subject\n\nhttps://example.org/x\n",
    "Subject\n\nA: 1\n\n\n",
    "A: 1\nB: 2\n",
    "Subject\n\nÄ: 1\n",
    "Subject\n\nA_b: 1\n",
    "Subject\n\nA: 1\r\nB: 2\r\n",
    "Subject\n\nbody\n\nA: 1\n---\nB: 2\n",
    "Subject\n\nbody\n\n# comment\nA: 1\n",
    "Subject\n   \nA: 1\n",
    "\n\nSubject\n\nA: 1\n",
]


@pytest.mark.parametrize("message", TRAILERS)
def test_trailers_are_those_of_git(message: str, repo: Repo) -> None:
    commit = repo.commit({"a": "1"}, message)
    raw = read_commit(repo.git("cat-file", "commit", commit))
    shown = repo.git("log", "-1", "--format=%(trailers:only,unfold)", commit).decode("utf-8")
    lines = [line for line in shown.split("\n") if line]
    expected = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
    assert [(one.key, one.value) for one in trailers(raw.message)] == expected


# -- signatures ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two ssh keys, `ann` and `eve`, and a list of allowed signers that has only ann."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen: signatures cannot be made")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ann", "eve"):
        command = [
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            name,
            "-f",
            str(folder / name),
        ]
        subprocess.run(command, check=True, capture_output=True)
    public = (folder / "ann.pub").read_text()
    (folder / "allowed").write_text(f"ann@example.org {public}")
    return folder


def test_ssh_signatures_are_checked_with_the_allowed_signers(
    keys: Path, repo: Repo, tmp_path: Path
) -> None:
    good = repo.commit({"a": "1"}, "signed by Ann", signing_key=keys / "ann")
    eve = repo.commit({"a": "2"}, "signed by Eve", signing_key=keys / "eve")
    none = repo.commit({"a": "3"}, "not signed")
    raw = repo.git("cat-file", "commit", good)
    bad = repo.raw_commit(raw.replace(b"signed by Ann", b"forged in her name"))
    pgp = raw_commit(
        repo, gpgsig=b"-----BEGIN PGP SIGNATURE-----\n \n nonsense\n -----END PGP SIGNATURE-----"
    )
    broken = repo.raw_commit(pgp.replace(b"author", b"parent " + bad.encode() + b"\nauthor", 1))
    repo.force(repo.commit({"a": "4"}, "last", branch=None, parents=[broken]))
    repo.force(repo.commit(None, "all", branch=None, parents=[none, bad, broken]))
    source = track(repo, allowed_signers=str(keys / "allowed"))
    ledger = make_ledger(tmp_path / "signed", source)
    ledger.grow()
    found: list[SignatureVerified] = [one.data for one in ledger.events(SignatureVerified)]  # type: ignore[misc]
    status = {one.commit: one.status for one in found}
    assert status[good] == "good"
    assert status[eve] == "untrusted"
    assert status[bad] == "bad"
    assert status[broken] in ("error", "unknown_key", "bad")
    assert none not in status
    [mine] = [one for one in found if one.commit == good]
    assert mine.signer == "ann@example.org"
    assert mine.fingerprint.startswith("SHA256:")
    assert mine.trust == "sha256:" + hashlib.sha256((keys / "allowed").read_bytes()).hexdigest()
    rows = ledger.rows("select commit_sha, signature_kind, signature_status, signer from commits")
    shown = {commit: rest for commit, *rest in rows}
    assert shown[good] == ["ssh", "good", "ann@example.org"]
    assert shown[eve][:2] == ["ssh", "untrusted"]
    assert shown[none] == ["", "none", ""]
    assert shown[broken][0] == "pgp"


def test_signatures_without_a_trust_are_unverified(keys: Path, repo: Repo, ledger: Ledger) -> None:
    repo.commit({"a": "1"}, "signed", signing_key=keys / "ann")
    ledger.grow()
    assert ledger.events(SignatureVerified) == []
    assert ledger.rows("select signature_status from commits") == [("unverified",)]


def test_a_list_of_allowed_signers_that_is_missing_is_said(
    keys: Path, repo: Repo, tmp_path: Path
) -> None:
    repo.commit({"a": "1"}, "signed", signing_key=keys / "ann")
    ledger = make_ledger(
        tmp_path / "signed", track(repo, allowed_signers="nowhere"), track(repo, "good")
    )
    outcomes = {one.source: one for one in ledger.ingest()}
    assert "nowhere" in outcomes["infra"].failure
    assert outcomes["good"].appended > 0


# -- surveys ------------------------------------------------------------------------------------------


def survey_findings(ledger: Ledger) -> list[Finding]:
    with ledger.store() as store:
        return list(verify_source(ledger.settings, store, "infra"))


def test_a_survey_gives_the_digests_that_anybody_can_compute(repo: Repo, ledger: Ledger) -> None:
    for step in story(repo):
        step()
    extra = repo.commit({"z": "z"}, "open pull request", branch=None, parents=[repo.chain()[0]])
    repo.pull_head(9, extra)
    ledger.grow()
    [event] = ledger.events(SourceSurveyed)
    survey = event.data
    assert isinstance(survey, SourceSurveyed)
    heads = ["refs/heads/main", *(f"refs/pull/{number}/head" for number in (1, 2, 3, 9))]
    ids = sorted(repo.git("rev-list", *heads).decode().split())
    digest = hashlib.sha256("".join(f"{one}\n" for one in ids).encode()).hexdigest()
    assert survey.commits_digest == f"sha256:{digest}"
    assert survey.commit_count == len(ids)
    assert set(ids) == set(told_ids(ledger))
    refs = sorted([*heads, "refs/tags/v1"])
    lines = "".join(f"{repo.tip(ref)} {ref}\n" for ref in refs)
    assert survey.refs_digest == "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
    assert [(one.ref, one.commit) for one in survey.refs] == [(ref, repo.tip(ref)) for ref in refs]
    assert survey_findings(ledger) == []


def test_a_survey_comes_once_a_day_and_on_demand(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"a": "1"}, "A")
    ledger.grow()
    repo.commit({"a": "2"}, "B")
    ledger.grow()
    assert len(ledger.events(SourceSurveyed)) == 1
    ledger.ingest(survey=True)
    assert len(ledger.events(SourceSurveyed)) == 2
    ledger.clock = ledger.clock.replace(day=2)
    ledger.grow()
    assert len(ledger.events(SourceSurveyed)) == 3
    assert ledger.grow() == 0
    assert survey_findings(ledger) == []


def tampered(ledger: Ledger, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Changes the database as somebody with the file would."""
    path = ledger.settings.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as database:
        triggers = database.execute(
            "select name from sqlite_master where type = 'trigger'"
        ).fetchall()
        for (name,) in triggers:
            database.execute(f"drop trigger {name}")
        for sql, parameters in statements:
            database.execute(sql, parameters)
    database.close()


def test_a_commit_that_the_log_lacks_is_found(repo: Repo, ledger: Ledger) -> None:
    commits = [repo.commit({"a": str(number)}, str(number)) for number in range(4)]
    ledger.grow()
    tampered(ledger, ("delete from log_event where key = ?", (f"infra/commit/{commits[2]}",)))
    [finding] = survey_findings(ledger)
    assert commits[2] in finding.what
    assert "the log lacks" in finding.what


def test_a_survey_that_was_changed_is_found(repo: Repo, ledger: Ledger) -> None:
    for number in range(3):
        repo.commit({"a": str(number)}, str(number))
    ledger.grow()
    [event] = ledger.events(SourceSurveyed)
    assert isinstance(event.data, SourceSurveyed)
    [(leaf,)] = ledger.rows("select leaf from log_event where position = ?", event.position)
    changes = {
        event.data.commits_digest: "sha256:" + "0" * 64,
        event.data.refs_digest: "sha256:" + "1" * 64,
        '"commit_count":3': '"commit_count":2',
    }
    for old, new in changes.items():
        changed = bytes(leaf).replace(old.encode(), new.encode())
        assert changed != leaf
        sql = "update log_event set leaf = ? where position = ?"
        tampered(ledger, (sql, (changed, event.position)))
        [finding] = survey_findings(ledger)
        assert finding.position == event.position
    tampered(ledger, ("update log_event set leaf = ? where position = ?", (leaf, event.position)))
    assert survey_findings(ledger) == []


def test_a_source_that_was_never_surveyed_is_said(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"a": "1"}, "A")
    [finding] = survey_findings(ledger)
    assert "never surveyed" in finding.what


# -- nothing of the user's Git ---------------------------------------------------------------------------


def test_settings_of_the_user_change_nothing(
    repo: Repo, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in story(repo):
        step()
    repo.commit({"moved.yaml": manifest("a", 9), "a.yaml": None, "ümlaut.txt": "x\n"}, "a rename")
    ledger.grow()
    plain = [(one.key, one.data) for one in ledger.events() if "survey" not in one.key]

    home = tmp_path / "home"
    (home / ".config" / "git").mkdir(parents=True)
    marker = home / "ran"
    script = home / "program"
    script.write_text(f"#!/bin/sh\ntouch {marker}\n")
    script.chmod(0o755)
    (home / ".gitconfig").write_text(
        f"""[log]
showSignature = true
date = relative
showRoot = false
follow = true
mailmap = true
[diff]
renames = copies
noprefix = true
external = {script}
algorithm = patience
context = 0
ignoreSubmodules = all
[diff "odd"]
textconv = {script}
command = {script}
[core]
quotePath = false
attributesFile = {home}/attributes
abbrev = 4
hooksPath = {home}/hooks
fsmonitor = {script}
pager = {script}
sshCommand = {script}
[color]
ui = always
[format]
pretty = oneline
[i18n]
logOutputEncoding = latin1
[gpg]
program = {script}
[fetch]
prune = true
[tag]
sort = version:refname
[transfer]
fsckObjects = true
"""
    )
    (home / "attributes").write_text("*.yaml diff=odd\n* text working-tree-encoding=UTF-16\n")
    monkeypatch.delenv("GIT_CONFIG_GLOBAL")
    monkeypatch.delenv("GIT_CONFIG_NOSYSTEM")
    elsewhere = make_repo(tmp_path / "elsewhere.git")
    elsewhere.commit({"wrong": "repository"}, "wrong")
    odd = {
        "HOME": home,
        "XDG_CONFIG_HOME": home / ".config",
        "GIT_DIR": elsewhere.path,
        "GIT_WORK_TREE": home,
        "GIT_INDEX_FILE": home / "index",
        "GIT_OBJECT_DIRECTORY": elsewhere.path / "objects",
        "GIT_NAMESPACE": "other",
        "GIT_EXTERNAL_DIFF": script,
        "GIT_DIFF_OPTS": "--unified=0",
        "GIT_PAGER": script,
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_REPLACE_REF_BASE": "refs/odd",
        "GIT_CONFIG_PARAMETERS": "'diff.external'='/bin/false' 'log.showsignature'='true'",
        "GIT_CONFIG": "/dev/null",
        "GIT_SHALLOW_FILE": "/dev/null",
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_TRACE": "1",
        "LC_ALL": "de_DE.UTF-8",
        "LANG": "de_DE.UTF-8",
        "TZ": "Pacific/Kiritimati",
    }
    for name, value in odd.items():
        monkeypatch.setenv(name, str(value))
    other = make_ledger(tmp_path / "other", track(repo))
    other.grow()
    assert [(one.key, one.data) for one in other.events() if "survey" not in one.key] == plain
    assert not marker.exists()


def test_replace_refs_and_grafts_change_nothing(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"a.yaml": manifest("a")}, "A")
    b = repo.commit({"a.yaml": manifest("a", 2)}, "B")
    ledger.grow()
    mirror = ledger.settings.mirror(ledger.settings.source[0])
    other = repo.commit({"evil.yaml": manifest("evil")}, "evil", branch=None, parents=[])
    c = repo.commit({"a.yaml": manifest("a", 3)}, "C", parents=[b], branch=None)
    repo.set_ref(f"refs/replace/{b}", other)
    there = Repo(mirror)
    there.git("fetch", "--quiet", repo.url, f"{other}:refs/replace/{b}")
    (mirror / "info").mkdir(exist_ok=True)
    (mirror / "info" / "grafts").write_text(f"{b} {other}\n")
    repo.force(c)
    ledger.grow()
    assert steps(ledger) == [(1, a), (2, b), (3, c)]
    assert sorted(told_ids(ledger)) == sorted([a, b, c])
    assert ledger.rows("select name from resources") == [("a",)]


def test_hooks_and_programs_of_the_repository_do_not_run(
    repo: Repo, ledger: Ledger, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    script = tmp_path / "program"
    script.write_text(f"#!/bin/sh\ntouch {marker}\n")
    script.chmod(0o755)
    repo.commit({".gitattributes": "*.yaml diff=odd filter=odd\n", "a.yaml": manifest("a")}, "A")
    ledger.grow()
    mirror = ledger.settings.mirror(ledger.settings.source[0])
    hooks = mirror / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-update", "update", "pre-auto-gc", "post-checkout"):
        shutil.copy(script, hooks / name)
    repo.commit({"a.yaml": manifest("a", 2)}, "B")
    ledger.grow()
    assert len(steps(ledger)) == 2
    assert not marker.exists()


def test_a_source_that_breaks_off_does_not_give_its_answers_to_the_next(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.preparing.MANY", 0)
    monkeypatch.setattr(git_commits, "CHUNK_COMMITS", 1)
    for number in range(6):
        repo.commit({"a.yaml": manifest("a", number)}, str(number))
    other = make_repo(tmp_path / "other.git")
    for number in range(6):
        other.commit({"b.yaml": manifest("b", number)}, str(number))
    ledger = make_ledger(tmp_path / "both", track(repo, "first"), track(other, "second"))
    real = git_commits._commit_event
    calls = 0

    def fail_once(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise SourceError("a commit is missing")
        return real(*arguments)

    monkeypatch.setattr(git_commits, "_commit_event", fail_once)
    outcomes = {one.source: one for one in ledger.ingest(processes=2)}
    assert outcomes["first"].failure == "a commit is missing"
    assert outcomes["second"].failure == ""
    names = ledger.rows("select distinct name from resources where repository = 'second'")
    assert names == [("b",)]
    with ledger.store() as store:
        for one in told(ledger):
            for file in one.files:
                assert file.after is not None
                kept = store.attachment(file.after.digest)
                assert contents.digest_text(hashlib.sha256(kept).digest()) == file.after.digest
                assert hashlib.sha1(b"blob %d\0" % len(kept) + kept).hexdigest() == file.after.id  # noqa: S324
    ledger.grow()
    assert len(ledger.rows("select * from revisions where superseded = 0")) == 12
