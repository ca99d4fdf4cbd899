"""GitHub's API is read from the oldest change on; reading stops and goes on anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ledger.config import SourceSettings
from ledger.events import CollectorGap, PullRequestListed
from ledger.testing import Ledger, make_ledger
from ledger.testing.servers import Asked, Reply, WebServer, web_server

Json = dict[str, Any]
BASE, MERGE = "c" * 40, "d" * 40


def sha(number: int) -> str:
    return f"{number:040x}"


@dataclass
class Forge:
    """GitHub's repository acme/infra, as far as its API shows it."""

    server: WebServer
    page: int = 2
    limited: bool = False
    pulls: dict[int, Json] = field(default_factory=dict)
    reviews: dict[int, list[Json]] = field(default_factory=dict)
    commits: dict[int, list[Json]] = field(default_factory=dict)
    clock: int = 0

    def now(self) -> str:
        self.clock += 1
        return f"2026-03-01T10:{self.clock // 60:02d}:{self.clock % 60:02d}Z"

    def open(self, number: int, author: str = "ann", *committers: str) -> None:
        at = self.now()
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "title": f"Change {number}",
            "user": {"login": author, "type": "User"},
            "html_url": f"{self.server.url}/acme/infra/pull/{number}",
            "head": {"sha": sha(number), "ref": "work"},
            "base": {"sha": BASE, "ref": "main"},
            "labels": [],
            "draft": False,
            "merged": False,
            "created_at": at,
            "updated_at": at,
        }
        self.commits[number] = [
            {
                "sha": sha(1_000 * number + index),
                "author": {"login": who},
                "committer": {"login": "web-flow"},
            }
            for index, who in enumerate(committers or (author,))
        ]
        self.reviews[number] = []

    def review(self, number: int, who: str, state: str = "APPROVED") -> None:
        at = self.now()
        self.reviews[number].append(
            {
                "id": 10_000 + self.clock,
                "user": {"login": who, "type": "User"},
                "state": state,
                "commit_id": self.pulls[number]["head"]["sha"],
                "submitted_at": at,
                "author_association": "MEMBER",
            }
        )
        self.pulls[number]["updated_at"] = at

    def merge(self, number: int, who: str = "bob") -> None:
        at = self.now()
        self.pulls[number] |= {
            "state": "closed",
            "merged": True,
            "merged_at": at,
            "closed_at": at,
            "updated_at": at,
            "merged_by": {"login": who, "type": "User"},
            "merge_commit_sha": MERGE,
            "commits": len(self.commits[number]),
        }

    def answer(self, asked: Asked) -> Reply:
        parts = asked.path.removeprefix("/api/v3/repos/acme/infra/").split("/")
        if parts[0] == "issues":
            return self._list(asked)
        number = int(parts[1])
        if self.limited:
            return Reply(status=403, headers={"retry-after": "3600"})
        if number not in self.pulls:
            return Reply({"message": "Not Found"}, status=404)
        if len(parts) == 2:
            return Reply(self.pulls[number])
        return Reply((self.reviews if parts[2] == "reviews" else self.commits)[number])

    def _list(self, asked: Asked) -> Reply:
        since, page = asked.query.get("since", ""), int(asked.query.get("page", "1"))
        tag = f'"{since} {page} {self.clock}"'
        if asked.headers.get("if-none-match") == tag:
            return Reply(status=304)
        found = sorted(
            (one for one in self.pulls.values() if one["updated_at"] >= since),
            key=lambda one: str(one["updated_at"]),
        )
        items = [
            {
                "number": one["number"],
                "updated_at": one["updated_at"],
                "pull_request": {"url": "…"},
            }
            for one in found[(page - 1) * self.page : page * self.page]
        ]
        following = f"{self.server.url}{asked.path}?since={since}&page={page + 1}"
        more = {"link": f'<{following}>; rel="next"'} if len(found) > page * self.page else {}
        return Reply(items, headers={"etag": tag, **more})


@pytest.fixture
def forge() -> Iterator[Forge]:
    with web_server(lambda _: Reply()) as server:
        forge = Forge(server)
        server.answer = forge.answer
        yield forge


@pytest.fixture
def ledger(forge: Forge, tmp_path: Path, database_url: str) -> Ledger:
    (tmp_path / "token").write_text("secret-token\n")
    source = SourceSettings(
        kind="github",
        name="infra-github",
        url=f"{forge.server.url}/acme/infra",
        token_file=str(tmp_path / "token"),
    )
    return make_ledger(tmp_path / "ledger", source, database=database_url)


def verdicts(ledger: Ledger) -> list[tuple[Any, ...]]:
    return ledger.rows("select number, state, approval from pull_requests order by number")


def asked_of(forge: Forge, what: str) -> list[str]:
    return [one.path.rpartition("infra/")[2] for one in forge.server.asked if what in one.path]


def test_every_pull_request_is_read_with_its_reviews_and_judged(
    forge: Forge, ledger: Ledger
) -> None:
    for number in range(1, 6):
        forge.open(number)
    forge.review(2, "bob")
    forge.merge(2)
    forge.review(3, "ann")
    forge.merge(3)
    ledger.grow()
    assert verdicts(ledger) == [
        (1, "open", "unapproved"),
        (2, "merged", "approved"),
        (3, "merged", "unapproved"),
        (4, "open", "unapproved"),
        (5, "open", "unapproved"),
    ]
    (row,) = ledger.rows("select merged_by, merge_commit_sha from pull_requests where number = 2")
    assert row == ("bob", MERGE)
    assert {one.headers.get("authorization") for one in forge.server.asked} == {
        "Bearer secret-token"
    }


def test_who_wrote_a_commit_cannot_approve_alone(forge: Forge, ledger: Ledger) -> None:
    forge.open(1, "ann", "ann", "bob")
    forge.review(1, "bob")
    forge.merge(1)
    forge.open(2, "ann", "ann", "bob")
    forge.review(2, "cid")
    forge.merge(2)
    ledger.grow()
    reasons = dict(ledger.rows("select number, reason from pull_requests"))
    assert "contributor" in reasons[1]
    assert reasons[2] == "approved by cid at the head that merged"
    listed = [one.data for one in ledger.events() if isinstance(one.data, PullRequestListed)]
    assert [who.author.login for who in listed[0].commits if who.author] == ["ann", "bob"]
    assert all(who.committer is None for who in listed[0].commits)


def test_nothing_new_is_one_request_that_costs_nothing(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    ledger.grow()
    ledger.grow()
    forge.server.asked.clear()
    assert ledger.grow() == 0
    assert len(forge.server.asked) == 1
    assert "if-none-match" in forge.server.asked[0].headers


def test_what_changes_while_it_is_read_hides_nothing(forge: Forge, ledger: Ledger) -> None:
    for number in range(1, 8):
        forge.open(number)

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/pulls/2/commits"):
            forge.review(1, "bob")  # moves to the end; what follows moves up a place
        return forge.answer(asked)

    forge.server.answer = answer
    ledger.grow()
    assert [row[0] for row in verdicts(ledger)] == [1, 2, 3, 4, 5, 6, 7]
    assert ledger.rows("select number, reviewer from reviews") == [(1, "bob")]


def test_many_changes_in_one_second_are_all_read(forge: Forge, ledger: Ledger) -> None:
    for number in range(1, 8):
        forge.open(number)
        forge.pulls[number]["updated_at"] = "2026-03-01T11:00:00Z"
    ledger.grow()
    assert len(verdicts(ledger)) == 7


def test_only_what_changed_is_read_again(forge: Forge, ledger: Ledger) -> None:
    for number in range(1, 8):
        forge.open(number)
    ledger.grow()
    forge.server.asked.clear()
    forge.review(4, "bob")
    forge.merge(4)
    ledger.grow()
    assert set(asked_of(forge, "/pulls/")) == {"pulls/4", "pulls/4/reviews", "pulls/4/commits"}
    assert (4, "merged", "approved") in verdicts(ledger)


def test_reading_that_a_limit_stopped_goes_on_where_it_was(forge: Forge, ledger: Ledger) -> None:
    for number in range(1, 6):
        forge.open(number)

    def answer(asked: Asked) -> Reply:
        forge.limited = asked.path.endswith("/pulls/5")
        return forge.answer(asked)

    forge.server.answer = answer
    (outcome,) = ledger.ingest()
    assert "the limit of" in outcome.failure
    assert [row[0] for row in verdicts(ledger)] == [1, 2, 3, 4]
    forge.limited = False
    forge.server.answer = forge.answer
    forge.server.asked.clear()
    ledger.grow()
    assert [row[0] for row in verdicts(ledger)] == [1, 2, 3, 4, 5]
    assert "pulls/1" not in asked_of(forge, "/pulls/")


def test_a_pull_request_that_the_token_may_not_see_is_a_gap(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.open(2)
    forge.server.answer = lambda asked: (
        Reply({"message": "Not Found"}, status=404)
        if "/pulls/1" in asked.path
        else forge.answer(asked)
    )
    ledger.grow()
    (gap,) = [one.data for one in ledger.events() if isinstance(one.data, CollectorGap)]
    assert gap.detail.startswith("pull request 1 of 127.0.0.1/acme/infra: ")
    assert [row[0] for row in verdicts(ledger)] == [2]


def test_a_list_that_is_none_is_an_error_and_records_nothing(forge: Forge, ledger: Ledger) -> None:
    forge.server.answer = lambda _: Reply({"message": "hello"})
    (outcome,) = ledger.ingest()
    assert "the list of pull requests is no list" in outcome.failure


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("git@github.com:acme/infra.git", "is no repository of GitHub"),
        ("https://github.com/acme", "is no repository of GitHub"),
    ],
)
def test_an_address_that_is_no_repository(tmp_path: Path, url: str, says: str) -> None:
    ledger = make_ledger(tmp_path, SourceSettings(kind="github", name="x", url=url))
    (outcome,) = ledger.ingest()
    assert says in outcome.failure


def test_a_token_that_cannot_be_read(tmp_path: Path) -> None:
    source = SourceSettings(
        kind="github", name="x", url="https://github.com/acme/infra", token_file="nowhere"
    )
    (outcome,) = make_ledger(tmp_path, source).ingest()
    assert "cannot read the token in nowhere" in outcome.failure
