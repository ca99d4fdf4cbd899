"""Git as a child process, and its files where we write them ourselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.gitio import Mirror
from ledger.gitio.refs import write_packed
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
