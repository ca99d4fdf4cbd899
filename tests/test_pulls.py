"""`ledger pr` tells the whole story of one pull request: what forge, Git and controllers say of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ledger import demo
from ledger.cli import cli, pulls
from ledger.errors import AmbiguousError, NotFoundError
from ledger.queries.pulls import Check, find_pull_request
from ledger.store import Store
from ledger.testing import Ledger, Repo, make_ledger, make_repo, track

Pr = Callable[..., Result]


@pytest.fixture(scope="module")
def pr(tmp_path_factory: pytest.TempPathFactory) -> Pr:
    """Asks the demo's ledger for a pull request, or for the log."""
    folder = tmp_path_factory.mktemp("pulls") / "demo"
    demo.run(folder)
    environment = {
        "LEDGER_CONFIG": str(folder / "ledger.toml"),
        "LEDGER_DATABASE": "",
        "COLUMNS": "120",
    }

    def call(*words: str) -> Result:
        asked = words if words[0] == "log" else ("pr", *words)
        return CliRunner().invoke(cli, asked, env=environment)

    return call


def told(pr: Pr, number: int) -> dict[str, Any]:
    done = pr(str(number), "--output", "json")
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_an_approved_pull_request_from_its_author_to_production(pr: Pr) -> None:
    one = told(pr, 17)
    assert (one["author"], one["merged_by"], one["state"]) == ("priya-r", "priya-r", "merged")
    assert one["approval"]["verdict"] == "approved"
    assert one["approval"]["approvers"] == ["maya-l"]
    assert [(each["number"], each["grade"], each["best"]) for each in one["landed"]] == [
        (19, "proved", True)
    ]
    assert {each["environment"] for each in one["delivered"]} == {"prod", "staging"}
    assert one["delivered"][0]["deployed_at"] == "2025-09-23T08:53:49Z"


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (12, "stale"),
        (16, "self"),
        (19, "dismissed"),
        (20, "after_merge"),
        (23, "not_code_owner"),
        (24, "co_author"),
        (26, "self"),
    ],
)
def test_why_a_review_does_not_count(pr: Pr, number: int, word: str) -> None:
    one = told(pr, number)
    assert one["approval"]["verdict"] == "unapproved"
    refused = [each for each in one["reviews"] if not each["counts"]]
    assert word in {each["reason"].partition(":")[0] for each in refused}
    assert one["refusal"] == word


def test_a_pull_request_that_was_never_merged(pr: Pr) -> None:
    one = told(pr, 11)
    assert one["merged_at"] == ""
    assert one["approval"]["reason"] == "its forge tells of no merge"
    assert one["delivered"] == []


def test_the_text_says_it_in_the_order_of_events(pr: Pr) -> None:
    lines = pr("17").stdout.splitlines()
    labels = [line[2:12].strip() for line in lines[1:] if line[2:3].strip()]
    assert lines[0].startswith("#17 Payments: say who owns the policy  merged")
    assert labels == [
        "author", "head", "review", "rules", "approval", "merged", "landed", "deployed", "deployed",
        "evidence",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("number", "lines"),
    [
        (15, ["priya-r requested changes at 4c9f791407e3: it stands"]),
        (19, ["does not count (dismissed): by tom-o at 2025-09-24T09:58:00Z"]),
        (20, ["does not count (after_merge): given after the merge"]),
        (
            23,
            [
                "terraform plan by github-actions: success review 2025-09-29T10:58:00Z jonas-w",
                "in force then: 1 approval; code owners",
                "by #27, ",
            ],
        ),
        (25, ["jonas-w: 1 later push", "merging it into the base gives the very tree that merged"]),
        (27, ["reverts #23, "]),
    ],
)
def test_an_auditor_reads_what_became_of_each_review_and_what_the_rules_demanded(
    pr: Pr, number: int, lines: list[str]
) -> None:
    said = " ".join(pr(str(number)).stdout.split())
    assert not [line for line in lines if line not in said]


def test_a_check_says_whether_it_had_ended_by_the_merge() -> None:
    def told(conclusion: str, at_merge: str) -> str:
        one = Check(
            name="plan",
            app="plan",
            conclusion=conclusion,
            completed_at="2025-09-30T10:00:00Z",
            at_merge=at_merge,
            evidence_position=1,
        )
        return pulls._check(one, True).split("plan: ")[1]

    assert told("success", "success") == "success"
    assert told("success", "failure") == "success; failure by the merge"
    assert told("success", "") == "success; after the merge"


def test_what_reached_the_branch_without_an_approval_stands_in_the_log_with_its_reason(
    pr: Pr,
) -> None:
    done = pr("log", "--unapproved", "--since", "2025-09-20")
    lines = done.stdout.splitlines()
    revisions, reasons = lines[::2], lines[1::2]
    assert len(revisions) == len(reasons) >= 3
    assert all("unapproved" in line for line in revisions)
    assert any("after_merge" in line for line in reasons)
    everything = json.loads(pr("log", "--superseded", "-o", "json").stdout)["revisions"]
    some = json.loads(pr("log", "--unapproved", "-o", "json").stdout)["revisions"]
    assert some == [one for one in everything if one["approval"]["verdict"] != "approved"]
    assert 0 < len(some) < len(everything)
    assert [one["subject"] for one in some if one["superseded"]] == ["payments: debug logging"], (
        "it reached the branch, though a force-push took it away"
    )


def test_one_that_nobody_knows(pr: Pr) -> None:
    done = pr("4711")
    assert done.exit_code != 0
    assert isinstance(done.exception, NotFoundError)


def merged_here(repo: Repo, number: int) -> None:
    tip = repo.commit({"a.txt": "a\n"}, "Begin")
    head = repo.commit({"b.txt": "b\n"}, "Work", branch=None, parents=[tip])
    repo.pull_head(number, head)
    repo.squash(head, f"Work (#{number})")


@pytest.fixture
def ledger(tmp_path: Path, database_url: str) -> Ledger:
    one, other = make_repo(tmp_path / "one.git"), make_repo(tmp_path / "other.git")
    merged_here(one, 5)
    merged_here(other, 5)
    sources = (track(one, "one"), track(other, "other"))
    ledger = make_ledger(tmp_path / "ledger", *sources, database=database_url)
    ledger.grow()
    return ledger


def test_what_git_alone_knows_is_told_as_that(ledger: Ledger) -> None:
    with Store.open(ledger.settings.database_url, read_only=True) as store:
        one = find_pull_request(store.connection, 5, "one")
    assert (one.state, one.author, one.merged_at) == ("", "", "")
    assert (one.approval.verdict, one.approval.grade) == ("unknown", "unlinked")
    (landing,) = one.landed
    assert (landing.number, landing.grade, landing.best) == (2, "proved", True)


def test_a_number_that_several_repositories_have(ledger: Ledger) -> None:
    with (
        Store.open(ledger.settings.database_url, read_only=True) as store,
        pytest.raises(AmbiguousError, match="one, other"),
    ):
        find_pull_request(store.connection, 5)
