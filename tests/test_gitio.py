"""Git as a child process, and its files where we write them ourselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ledger.errors import SourceError
from ledger.gitio import Mirror
from ledger.gitio.refs import read_refs, write_packed
from ledger.testing import Repo, make_repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = make_repo(tmp_path / "origin")
    first = made.commit({"a": "1\n"}, "One")
    made.pull_head(7, first)
    made.tag("v1", message="An annotated tag")
    made.commit({"a": "2\n"}, "Two")
    return made


def refs_of(repo: Repo) -> dict[str, str]:
    lines = repo.git("for-each-ref", "--format=%(refname) %(objectname)").decode().splitlines()
    return {name: oid for name, _, oid in (line.partition(" ") for line in lines)}


def test_refs_written_in_one_file_are_read_by_git_as_if_it_had_written_them(
    repo: Repo, tmp_path: Path
) -> None:
    refs = refs_of(repo)
    ours, gits = Mirror(tmp_path / "ours"), Mirror(tmp_path / "gits")
    bundle = repo.bundle(tmp_path / "x.bundle")
    for mirror in (ours, gits):
        mirror.fetch(str(bundle), [])

    assert write_packed(ours.path, refs)
    gits.update_refs([f"update {ref} {oid}\n" for ref, oid in refs.items()])

    assert ours.refs() == gits.refs()
    assert len(ours.refs()) == len(refs)
    ours.update_refs([f"delete {next(iter(refs))}\n"])  # Git writes the file again
    assert len(ours.refs()) == len(refs) - 1


@pytest.mark.parametrize(
    "name",
    [
        "refs/heads/../../config",
        "refs/heads/.hidden",
        "refs/heads/a.lock",
        "refs/heads/a.lock/b",
        "refs/heads/a b",
        "refs/heads/a\nb",
        "refs/heads/a//b",
        "refs/heads/a/",
        "refs/heads/a.",
        "refs/heads/a@{1}",
        "HEAD",
        "config",
        "/refs/heads/a",
        "refs/heads/\udcff",
    ],
)
def test_a_ref_of_an_unusual_name_is_left_to_git(name: str, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror")

    assert not write_packed(mirror.path, {name: "0" * 40, "refs/heads/main": "0" * 40})
    assert not (mirror.path / "packed-refs").exists()


def test_refs_that_cannot_stand_together_are_left_to_git(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror")

    assert not write_packed(mirror.path, {"refs/heads/a": "0" * 40, "refs/heads/a/b": "0" * 40})


def test_a_mirror_that_holds_refs_is_left_to_git(repo: Repo, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror")
    bundle = repo.bundle(tmp_path / "x.bundle")
    mirror.fetch(str(bundle), ["refs/heads/main"])
    before = mirror.refs()

    assert not write_packed(mirror.path, {"refs/heads/other": repo.tip()})
    assert mirror.refs() == before


def test_refs_are_left_to_git_while_somebody_else_writes_them(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror")
    (mirror.path / "packed-refs.lock").touch()

    assert not write_packed(mirror.path, {"refs/heads/main": "0" * 40})


def test_many_fetched_refs_stand_in_one_file(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.gitio._MANY_REFS", 1)
    mirror = Mirror(tmp_path / "mirror")
    refs = refs_of(repo)

    mirror.fetch(repo.url, list(refs))

    assert not [file for file in (mirror.path / "refs").rglob("*") if file.is_file()]
    assert len(mirror.refs()) == len(refs)


def test_refs_are_read_from_their_files_as_git_lists_them(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror(tmp_path / "mirror")
    assert mirror.is_new
    mirror.fetch(repo.url, [*refs_of(repo)])
    assert not mirror.is_new
    mirror.compact()
    old = mirror.refs()
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    repo.git(*who, "tag", "twice", "-a", "-m", "A tag of a tag", "v1")
    blob = repo.git("rev-parse", "main:a").decode().strip()
    repo.git("update-ref", "refs/tags/blob", blob)
    tip = repo.commit({"a": "3\n"}, "Three")
    mirror.fetch(repo.url, [*refs_of(repo)])  # the branch now stands in both places

    ours, known = mirror.refs(), mirror.refs(known={old["refs/heads/main"]})
    some = mirror.refs("refs/tags/", "refs/pull/")
    monkeypatch.setattr("ledger.gitio.read_refs", lambda _: None)

    assert ours == known == mirror.refs()
    assert some == mirror.refs("refs/tags/", "refs/pull/")
    assert ours["refs/heads/main"] == tip
    assert ours["refs/tags/twice"] == ours["refs/tags/v1"]
    assert "refs/tags/blob" not in ours
    assert {*ours} - {*some} == {"refs/heads/main"}


def test_a_ref_of_which_the_object_is_lost_is_no_ref_that_leads_nowhere(
    repo: Repo, tmp_path: Path
) -> None:
    mirror = Mirror(tmp_path / "mirror")
    mirror.fetch(repo.url, [*refs_of(repo)])
    (mirror.path / "refs/pull/8").mkdir(parents=True)
    (mirror.path / "refs/pull/8/head").write_text(f"{'1' * 40}\n")

    with pytest.raises(SourceError, match="lacks what some of its refs name") as raised:
        mirror.refs()
    assert f"Remove {mirror.path}" in raised.value.hint


def test_a_ref_that_goes_while_the_files_are_read_is_left_to_git(
    repo: Repo, tmp_path: Path
) -> None:
    mirror = Mirror(tmp_path / "mirror")
    mirror.fetch(repo.url, ["refs/heads/main"])
    (mirror.path / "refs/heads/gone").symlink_to("nowhere")  # listed, and not there

    assert read_refs(mirror.path) is None


def test_a_ref_that_names_another_is_left_to_git(repo: Repo, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror")
    mirror.fetch(repo.url, ["refs/heads/main"])
    (mirror.path / "refs/heads/other").write_text("ref: refs/heads/main\n")

    assert read_refs(mirror.path) is None
    assert {*mirror.refs().values()} == {repo.tip()}


def test_what_is_told_comes_from_the_commits_and_not_from_the_graph_that_was_written_of_them(
    repo: Repo, tmp_path: Path
) -> None:
    mirror = Mirror(tmp_path / "mirror")
    mirror.fetch(repo.url, ["refs/heads/main"])
    mirror.compact()
    path = mirror.path / "objects/info/commit-graph"
    graph = bytearray(path.read_bytes())
    chunks = [graph[8 + 12 * number :][:12] for number in range(graph[6])]
    [start] = [int.from_bytes(one[4:]) for one in chunks if one[:4] == b"CDAT"]
    for at in range(start, start + 2 * 36, 36):  # no commit has a parent, says this one
        graph[at + 20 : at + 24] = (0x7000_0000).to_bytes(4)
    path.chmod(0o600)
    path.write_bytes(graph)
    believed = subprocess.run(
        ["git", "rev-list", "main"], cwd=mirror.path, capture_output=True, check=True
    )

    assert len(believed.stdout.split()) == 1
    assert len([*mirror.graph([repo.tip()])]) == 2
    assert len(mirror.first_parents(repo.tip())) == 2
    assert len([*mirror.commits([repo.tip()], [])]) == 2


def test_a_git_whose_answer_nobody_took_ends_when_the_mirror_is_closed(
    repo: Repo, tmp_path: Path
) -> None:
    mirror = Mirror(tmp_path / "m.git")
    mirror.fetch(str(repo.path), list(refs_of(repo)))
    tips = sorted(set(refs_of(repo).values()))
    told, reached = mirror.commits(tips, []), mirror.reach(tips)
    assert sorted(one.commit for one in told) == sorted(reached())
    waiting = mirror.commits(tips, [])
    mirror.close()
    with pytest.raises((SourceError, ValueError)):
        list(waiting)
