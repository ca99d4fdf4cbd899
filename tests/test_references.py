"""What every kustomization refers to since when: held against the files of every revision."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from ledger.kustomize import References, Target, references, resolve
from ledger.testing import Ledger, Repo, make_ledger, make_repo, track

Held = set[tuple[str, str, str]]  # directory, kind, target


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "infra.git")


def in_force(ledger: Ledger, number: int) -> Held:
    """What the table says of a revision."""
    rows = ledger.rows(
        "select directory, kind, target from model_reference "
        "where since <= ? and (until is null or until > ?)",
        number,
        number,
    )
    assert len(rows) == len(set(rows))
    return set(rows)


def expected(repo: Repo, commit: str) -> Held:
    """The same, from a commit's files."""
    found: Held = set()
    files = {path.decode(): content for path, (_, _, content) in repo.files(commit).items()}
    for directory in {path.rpartition("/")[0] for path in files}:
        for name in ("kustomization.yaml", "kustomization.yml", "Kustomization"):
            path = f"{directory}/{name}" if directory else name
            if path in files:
                found.add((directory, "file", path))
                body = yaml.safe_load(files[path])
                for one in references(body).targets:
                    at = None if one.kind == "remote" else resolve(directory, one.target)
                    if at is None:
                        found.add((directory, "remote", one.target))
                    else:
                        found.add((directory, one.kind, at))
                break
    return found


def kustomization(**fields: Any) -> str:
    return str(yaml.safe_dump(fields))


# -- one body --------------------------------------------------------------------------------------


def test_every_field_that_takes_something_in_is_read() -> None:
    found = references(
        {
            "resources": ["a.yaml", "../base", "https://github.com/a/b?ref=v1", "sub/x.json"],
            "bases": ["../old"],
            "components": ["../component/"],
            "patches": [{"path": "p.yaml"}, {"patch": "kind: X"}],
            "patchesStrategicMerge": ["s.yaml", "kind: Deployment\nmetadata: {}"],
            "patchesJson6902": [{"path": "j.json"}],
            "configMapGenerator": [{"files": ["key=f.txt", "g.txt"], "envs": ["h.env"]}],
            "secretGenerator": [{"env": "i.env"}],
            "helmCharts": [
                {
                    "name": "c",
                    "repo": "https://charts.example",
                    "version": "1",
                    "valuesFile": "v.yaml",
                },
                {"name": "local"},
            ],
            "replacements": [{"path": "r.yaml"}],
            "namespace": "team-a",
            "namePrefix": "x-",
            "nameSuffix": "-y",
        }
    )
    files = ["a.yaml", "f.txt", "g.txt", "h.env", "i.env", "j.json", "p.yaml", "r.yaml", "s.yaml"]
    files += ["sub/x.json", "v.yaml"]
    directories = ["../base", "../component/", "../old", "charts/local"]
    remote = ["https://charts.example/c@1", "https://github.com/a/b?ref=v1"]
    assert found == References(
        sorted(
            [Target("file", one) for one in files]
            + [Target("directory", one) for one in directories]
            + [Target("remote", one) for one in remote]
        ),
        "team-a",
        "x-",
        "-y",
        ["helmCharts", "replacements"],
    )


@pytest.mark.parametrize("entry", ["github.com/a/b", "git@github.com:a/b.git", "git::ssh://x/y"])
def test_a_repository_elsewhere_is_remote(entry: str) -> None:
    assert references({"resources": [entry]}).targets == [Target("remote", entry)]


@pytest.mark.parametrize(
    "body",
    [
        None,
        1,
        "x",
        [],
        {"resources": "x"},
        {"resources": [1, None, {}]},
        {"patches": [1, {"path": 3}]},
    ],
)
def test_any_value_gives_an_answer(body: Any) -> None:
    assert references(body).targets == []


@pytest.mark.parametrize(
    ("directory", "target", "path"),
    [
        ("a/b", "../c", "a/c"),
        ("a", "..", ""),
        ("a", "./x.yaml", "a/x.yaml"),
        ("", "x//y/", "x/y"),
        ("a", "../../x", None),
        ("a", "/etc/passwd", None),
    ],
)
def test_paths_are_those_of_the_repository(directory: str, target: str, path: str | None) -> None:
    assert resolve(directory, target) == path


def test_a_kustomization_of_many_targets_is_read_in_part() -> None:
    body = {"resources": [f"{number}.yaml" for number in range(6_000)]}
    assert len(references(body).targets) == 5_000  # type: ignore[arg-type]


# -- the history -----------------------------------------------------------------------------------


def test_intervals_begin_and_end_with_revisions(
    tmp_path: Path, repo: Repo, database_url: str
) -> None:
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=database_url)
    repo.commit({"prod/kustomization.yaml": kustomization(resources=["../base"], namespace="a")})
    repo.commit({"prod/kustomization.yaml": kustomization(resources=["../base", "x.yaml"])})
    repo.commit({"README": "nothing of ours"})
    repo.commit({"prod/kustomization.yaml": kustomization(resources=["x.yaml"])})
    repo.commit({"prod/kustomization.yaml": None})
    ledger.grow()
    rows = ledger.rows("select kind, target, since, until from model_reference order by 1, 2, 3")
    assert rows == [
        ("directory", "base", 1, 4),
        ("file", "prod/kustomization.yaml", 1, 5),
        ("file", "prod/x.yaml", 2, 5),
    ]
    assert ledger.rows("select present, namespace from model_kustomization") == [(0, "")]


def test_a_displaced_revision_leaves_an_empty_interval_and_may_come_back(
    tmp_path: Path, repo: Repo, database_url: str
) -> None:
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=database_url)
    repo.commit({"k/kustomization.yaml": kustomization(resources=["a"])})
    fork = repo.tip()
    there = repo.commit({"k/kustomization.yaml": kustomization(resources=["a", "b"])})
    ledger.grow()
    repo.force(fork)
    here = repo.commit({"k/kustomization.yaml": kustomization(resources=["c"])})
    ledger.grow()
    assert in_force(ledger, 2) == expected(repo, here)
    assert ("directory", "k/b", 2, 2) in ledger.rows(
        "select kind, target, since, until from model_reference"
    )
    repo.force(there)
    ledger.grow()
    assert in_force(ledger, 2) == expected(repo, there)
    assert in_force(ledger, 1) == expected(repo, fork)


@pytest.mark.parametrize("seed", range(6))
def test_any_history_gives_what_the_files_of_each_revision_say(
    tmp_path: Path, repo: Repo, seed: int
) -> None:
    choice = random.Random(seed)  # noqa: S311 (a test, not a secret)
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    for _ in range(10):
        for _ in range(choice.randint(1, 4)):
            repo.commit(_random_files(choice))
        ledger.grow()
        if choice.random() < 0.4 and len(repo.chain()) > 2:
            repo.force(choice.choice(repo.chain()[1:]))
            if choice.random() < 0.5:
                repo.commit(_random_files(choice))
            ledger.grow()
        _agree(ledger, repo)
    before = _tables(ledger)
    ledger.rebuild()
    assert _tables(ledger) == before


def _random_files(choice: random.Random) -> dict[str, str | None]:
    files: dict[str, str | None] = {}
    for directory in choice.sample(["", "a", "a/b", "c"], choice.randint(1, 3)):
        name = choice.choice(["kustomization.yaml"] * 4 + ["kustomization.yml", "Kustomization"])
        path = f"{directory}/{name}" if directory else name
        entries = ["x.yaml", "../c", "b", "https://e.x/y", "../../..", "y.yaml"]
        resources = choice.sample(entries, choice.randint(0, 4))
        files[path] = None if choice.random() < 0.3 else kustomization(resources=resources)
    return {**files, "seen": str(choice.random())}


def _agree(ledger: Ledger, repo: Repo) -> None:
    for number, commit in enumerate(repo.chain(), 1):
        assert in_force(ledger, number) == expected(repo, commit)
    rows = ledger.rows("select directory, kind, target from model_reference where until is null")
    assert set(rows) == expected(repo, repo.tip())
    present = ledger.rows("select directory from model_kustomization where present = 1")
    assert {row[0] for row in present} == {one[0] for one in expected(repo, repo.tip())}


def _tables(ledger: Ledger) -> list[list[tuple[Any, ...]]]:
    names = ["model_reference", "model_kustomization", "model_manifest_file", "model_directory"]
    return [sorted(ledger.rows(f"select * from {name}"), key=repr) for name in names]
