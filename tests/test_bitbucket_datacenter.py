"""Bitbucket Data Center's webhooks and API answers become facts, approvals with the commit they are of."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.config import SourceSettings
from ledger.errors import SourceError
from ledger.events import (
    CollectorGap,
    PullRequestClosed,
    PullRequestListed,
    PullRequestMerged,
    PullRequestOpened,
    PullRequestPushed,
    RefPushed,
    ReviewSubmitted,
)
from ledger.jsontext import Value, compact
from ledger.sources import Configured
from ledger.sources.bitbucket_datacenter import events_from_value, identify
from ledger.sources.bitbucket_datacenter.polling import options
from ledger.testing import Ledger, make_ledger
from ledger.testing.payloads import altered, as_files, bare_tools
from ledger.testing.servers import Asked, Reply, WebServer, emulated

Json = dict[str, Any]
KIND = "bitbucket_datacenter"
BASE, OLD, HEAD, MERGE = "c" * 40, "a" * 40, "b" * 40, "d" * 40
PAGE = "https://git.example.org/projects/OPS/repos/infra"
TRACKED = SourceSettings(
    kind="git", name="prod", url="https://git.example.org/scm/ops/infra.git", branches=["main"]
)
IDS = {"ann": 1, "bob": 2, "cid": 3, "robot": 4}
TEN = 1_772_359_200_000  # 2026-03-01T10:00:00Z


def user(name: str) -> Json:
    kind = "SERVICE" if name == "robot" else "NORMAL"
    email = f"{name}@example.org"
    return {"name": name, "id": IDS[name], "emailAddress": email, "slug": name, "type": kind}


def ms(minute: int) -> int:
    return TEN + minute * 60_000


def pull(minute: int, state: str = "OPEN", *, head: str = HEAD, **more: Any) -> Json:
    """Pull request 7 by ann as it stands at a minute past ten."""
    repository = {"slug": "infra", "project": {"key": "OPS"}}
    return {
        "id": 7,
        "version": minute,
        "title": "Open port 443",
        "state": state,
        "createdDate": ms(0),
        "updatedDate": ms(minute),
        **({} if state == "OPEN" else {"closedDate": ms(minute)}),
        "fromRef": {"id": "refs/heads/work", "latestCommit": head, "repository": repository},
        "toRef": {"id": "refs/heads/main", "latestCommit": BASE, "repository": repository},
        "author": {"user": user("ann"), "role": "AUTHOR"},
        "reviewers": [],
        "participants": [],
        "properties": {"mergeCommit": {"id": MERGE}} if state == "MERGED" else {},
        "links": {"self": [{"href": f"{PAGE}/pull-requests/7"}]},
        **more,
    }


def hook(key: str, who: str, minute: int, told: Json, **more: Any) -> Json:
    date = f"2026-03-01T11:{minute:02d}:00+0100"
    return {"eventKey": key, "date": date, "actor": user(who), "pullRequest": told, **more}


def said(status: str, who: str, minute: int, head: str = HEAD) -> Json:
    participant = {"user": user(who), "lastReviewedCommit": head, "status": status}
    return hook(
        f"pr:reviewer:{status.lower()}", who, minute, pull(0, head=head), participant=participant
    )


OPENED = hook("pr:opened", "ann", 0, pull(0, head=OLD))
PUSHED = hook("pr:from_ref_updated", "ann", 3, pull(3), previousFromHash=OLD)
APPROVED = said("APPROVED", "bob", 5)
MERGED = hook("pr:merged", "bob", 9, pull(9, "MERGED"))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path / "ledger", TRACKED)


def imported(ledger: Ledger, folder: Path, *bodies: Any) -> None:
    ledger.hand_over(KIND, *as_files(folder, *bodies))


def verdict(ledger: Ledger) -> tuple[str, str]:
    ((approval, reason),) = ledger.rows("select approval, reason from pull_requests")
    return approval, reason


def test_a_pull_request_that_another_person_approved(ledger: Ledger, tmp_path: Path) -> None:
    imported(ledger, tmp_path, OPENED, PUSHED, APPROVED, MERGED)
    sql = "select repository, number, author, merged_by, merged_at, merge_commit_sha from pull_requests"
    assert ledger.rows(sql) == [("prod", 7, "ann", "bob", "2026-03-01T10:09:00Z", MERGE)]
    assert verdict(ledger)[0] == "approved"
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.commit, review.commit_deduced) == (HEAD, False)
    assert (review.submitted_at, review.reviewer.email) == (
        "2026-03-01T10:05:00Z",
        "bob@example.org",
    )
    (push,) = ledger.facts(PullRequestPushed)
    assert (push.before, push.after, push.at) == (OLD, HEAD, "2026-03-01T10:03:00Z")


@pytest.mark.parametrize(
    ("bodies", "why"),
    [
        ([said("APPROVED", "bob", 2, OLD)], "stale: given at aaaaaaaaaaaa"),
        ([said("APPROVED", "robot", 5)], "bot"),
        ([APPROVED, said("UNAPPROVED", "bob", 7)], "dismissed"),
        ([said("NEEDS_WORK", "cid", 6), APPROVED], "cid requested stood"),
    ],
)
def test_what_does_not_approve(
    ledger: Ledger, tmp_path: Path, bodies: list[Json], why: str
) -> None:
    imported(ledger, tmp_path, OPENED, PUSHED, *bodies, MERGED)
    approval, reason = verdict(ledger)
    assert approval == "unapproved"
    assert why in reason


def test_any_order_and_repeats_tell_the_same(tmp_path: Path) -> None:
    taken_back, again = said("UNAPPROVED", "bob", 7), said("APPROVED", "cid", 8)
    bodies = [OPENED, PUSHED, APPROVED, taken_back, again, MERGED]
    seen = set()
    for at, order in enumerate([*itertools.permutations(range(6))][::181]):
        ledger = make_ledger(tmp_path / f"l{at}", TRACKED)
        (tmp_path / f"f{at}").mkdir()
        imported(ledger, tmp_path / f"f{at}", *[bodies[one] for one in order], bodies[order[0]])
        reviews = ledger.rows("select reviewer, state, counts from reviews order by submitted_at")
        seen.add((verdict(ledger), tuple(reviews)))
    assert len(seen) == 1


def test_without_the_commit_that_was_reviewed_it_is_deduced(ledger: Ledger, tmp_path: Path) -> None:
    old = said("APPROVED", "bob", 5)
    del old["participant"]["lastReviewedCommit"]
    imported(ledger, tmp_path, old)
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.commit, review.commit_deduced) == (HEAD, True)


def test_declined_deleted_and_reopened_ones(ledger: Ledger, tmp_path: Path) -> None:
    imported(
        ledger,
        tmp_path,
        hook("pr:declined", "bob", 4, pull(4, "DECLINED")),
        hook("pr:reopened", "bob", 5, pull(5)),
        hook("pr:deleted", "bob", 6, pull(5)),
    )
    found = [(one.closed_at, one.pull_request.number) for one in ledger.facts(PullRequestClosed)]
    assert found == [("2026-03-01T10:04:00Z", 7), ("2026-03-01T10:06:00Z", 7)]
    (opened,) = ledger.facts(PullRequestOpened)
    assert (opened.reopened, opened.at) == (True, "2026-03-01T10:05:00Z")
    assert ledger.rows("select state from pull_requests") == [("closed",)]


def test_a_repository_without_links_is_known_by_project_and_name(tmp_path: Path) -> None:
    bare = pull(0)
    del bare["links"]
    source = SourceSettings(kind="git", name="old", url="/srv/infra.git", forge="ops/infra")
    for sources, name in (((), "ops/infra"), ((source,), "old")):
        ledger = make_ledger(tmp_path / name, *sources)
        imported(ledger, tmp_path, hook("pr:opened", "ann", 0, bare))
        (opened,) = ledger.facts(PullRequestOpened)
        assert (opened.forge, opened.repository) == ("ops/infra", name)


def test_pushes_of_branches_are_told_with_who_pushed(ledger: Ledger, tmp_path: Path) -> None:
    def change(ref: str, before: str, after: str, kind: str) -> Json:
        return {"ref": {"id": ref}, "fromHash": before, "toHash": after, "type": kind}

    body = {
        "eventKey": "repo:refs_changed",
        "date": "2026-03-01T10:01:00+0000",
        "actor": user("robot"),
        "repository": {
            "slug": "infra",
            "project": {"key": "OPS"},
            "links": {"clone": [{"href": "ssh://git@git.example.org:7999/ops/infra.git"}]},
        },
        "changes": [
            change("refs/heads/main", OLD, HEAD, "UPDATE"),
            change("refs/heads/new", "0" * 40, HEAD, "ADD"),
            change("refs/heads/gone", HEAD, "0" * 40, "DELETE"),
            change("refs/tags/v1", "0" * 40, HEAD, "ADD"),
        ],
    }
    imported(ledger, tmp_path, body)
    found = [(one.ref, one.before, one.after) for one in ledger.facts(RefPushed)]
    assert found == [
        ("refs/heads/main", OLD, HEAD),
        ("refs/heads/new", "", HEAD),
        ("refs/heads/gone", HEAD, ""),
    ]
    (main, *_) = ledger.facts(RefPushed)
    assert (main.repository, main.at, main.pusher_is_bot) == ("prod", "2026-03-01T10:01:00Z", True)


def test_a_merged_pull_request_of_the_api_tells_its_votes_without_times(
    ledger: Ledger, tmp_path: Path
) -> None:
    reviewers = [
        {"user": user("bob"), "status": "APPROVED", "lastReviewedCommit": HEAD},
        {"user": user("cid"), "status": "UNAPPROVED"},
    ]
    imported(ledger, tmp_path, {"values": [pull(9, "MERGED", reviewers=reviewers)], "size": 1})
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.reviewer.login, review.commit, review.submitted_at) == ("bob", HEAD, "")
    (merged,) = ledger.facts(PullRequestMerged)
    assert (merged.merged_by, merged.merged_at) == (None, "2026-03-01T10:09:00Z")
    approval, reason = verdict(ledger)
    assert approval == "unapproved"
    assert "undated" in reason


ADDRESS = "https://git.example.org/rest/api/1.0/projects/OPS/repos/infra/pull-requests/7"


def test_recorded_answers_of_the_api_need_the_address_that_was_asked(
    ledger: Ledger, tmp_path: Path
) -> None:
    commits = [
        {"id": HEAD, "author": {"name": "Cid", "emailAddress": "c@x.org"}, "authorTimestamp": 1},
        {"id": OLD, "author": user("ann"), "committer": user("bob"), "authorTimestamp": 1},
    ]
    activities = [
        {"id": 3, "action": "APPROVED", "createdDate": ms(5), "user": user("bob")},
        {"id": 2, "action": "COMMENTED", "createdDate": ms(4), "user": user("bob")},
        {
            "id": 1,
            "action": "RESCOPED",
            "createdDate": ms(3),
            "user": user("cid"),
            "previousFromHash": OLD,
            "fromHash": HEAD,
        },
    ]
    imported(
        ledger,
        tmp_path,
        {"url": f"{ADDRESS}/commits?limit=100", "body": {"values": commits}},
        {"url": f"{ADDRESS}/activities", "body": {"values": activities}},
        {"url": f"{ADDRESS}/commits", "body": {"values": commits, "isLastPage": False}},
        {"values": commits},
        {"errors": [{"message": "Authentication failed."}]},
        {"url": f"{ADDRESS}/activities", "body": {"values": [{"action": ["APPROVED"]}]}},
        {"headers": {}, "body": {"eventKey": ["pr:opened"]}},
    )
    (listed,) = ledger.facts(PullRequestListed)
    assert listed.repository == "prod"
    assert [one.author.login for one in listed.commits] == ["ann", ""]
    assert listed.commits[0].committer.login == "bob"
    assert listed.commits[1].author.email == "c@x.org"
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.commit, review.commit_deduced) == (HEAD, True)
    (push,) = ledger.facts(PullRequestPushed)
    assert (push.before, push.after, push.pull_request.title) == (OLD, HEAD, "")
    gaps = [one.detail.partition(": ")[2] for one in ledger.facts(CollectorGap)]
    assert gaps[0] == "the list of commits is empty, or only a part of it"
    assert [one[:27] for one in gaps[1:3]] == ["a commit alone does not tel"] * 2
    assert gaps[3] == "it is an error that the forge answered: Authentication failed."


def test_requests_are_known_by_their_id_or_by_what_they_say() -> None:
    event = {"x-event-key": "pr:opened"}
    assert identify(event | {"x-request-id": "r1"}, b"x") == "r1"
    assert identify(event, b"x") == identify(event, b"x") != identify(event, b"y")
    assert identify({"x-request-id": "r1"}, b"x") == ""


# -- anything ------------------------------------------------------------------------------------


@given(st.data())
def test_any_part_of_a_payload_may_be_anything(data: st.DataObject) -> None:
    body = altered(data, [OPENED, PUSHED, APPROVED, MERGED, pull(9, "MERGED")])
    try:
        batch = events_from_value(Value("line 1", compact(body), body), bare_tools())
    except SourceError:
        return
    assert len(batch.events) + batch.ignored >= 1


# -- the API -------------------------------------------------------------------------------------


@dataclass
class Forge:
    """The repository OPS/infra below /git, as far as the API of a Data Center shows it."""

    server: WebServer
    pulls: dict[int, Json] = field(default_factory=dict)
    activities: dict[int, list[Json]] = field(default_factory=dict)
    commits: dict[int, list[Json]] = field(default_factory=dict)
    down: bool = False
    clock: int = 0

    def now(self) -> int:
        self.clock += 1
        return TEN + self.clock * 1_000

    def open(self, number: int, who: str = "ann") -> None:
        at = self.now()
        self.pulls[number] = pull(
            0, id=number, createdDate=at, updatedDate=at, head=f"{number:040x}"
        )
        self.pulls[number]["author"] = {"user": user(who)}
        self.commits[number] = [{"id": f"{number:040x}", "author": user(who)}]
        self.activities[number] = []
        self._log(number, who, "OPENED")

    def _log(self, number: int, who: str, action: str, **more: Any) -> int:
        at = self.now()
        entry = {"id": self.clock, "createdDate": at, "user": user(who), "action": action, **more}
        self.activities[number].insert(0, entry)
        return at

    def push(self, number: int, who: str) -> None:
        one = self.pulls[number]
        before = one["fromRef"]["latestCommit"]
        after = f"{number * 1_000 + self.clock:040x}"
        self.commits[number].insert(0, {"id": after, "author": user(who)})
        one["fromRef"] = {**one["fromRef"], "latestCommit": after}
        one["updatedDate"] = self._log(
            number, who, "RESCOPED", previousFromHash=before, fromHash=after
        )

    def say(self, number: int, who: str, status: str) -> None:
        one = self.pulls[number]
        one["reviewers"] = [each for each in one["reviewers"] if each["user"]["name"] != who]
        commit = one["fromRef"]["latestCommit"]
        one["reviewers"].append({"user": user(who), "status": status, "lastReviewedCommit": commit})
        action = {"NEEDS_WORK": "REVIEWED"}.get(status, status)
        self._log(number, who, action)  # which changes neither its version nor its date

    def merge(self, number: int, who: str = "bob") -> None:
        at = self._log(number, who, "MERGED", commit={"id": MERGE})
        self.pulls[number] |= {"state": "MERGED", "closedDate": at, "updatedDate": at}

    def answer(self, asked: Asked) -> Reply:
        if self.down:
            return Reply(b"<html>", status=429, headers={"retry-after": "9999"})
        rest = asked.path.removeprefix("/git/rest/api/1.0/projects/OPS/repos/infra/pull-requests")
        parts = rest.strip("/").split("/")
        if parts == [""]:
            state = asked.query["state"]
            found = [one for one in self.pulls.values() if state in ("ALL", one["state"])]
            return self._page(asked, found[::-1])
        number = int(parts[0])
        if len(parts) == 1:
            return Reply(self.pulls[number])
        lists = {"activities": self.activities, "commits": self.commits}
        return self._page(asked, lists[parts[1]][number])

    def _page(self, asked: Asked, found: list[Json]) -> Reply:
        start = int(asked.query["start"])
        last = start + 2 >= len(found)
        more = None if last else start + 2
        page = {"values": found[start : start + 2], "isLastPage": last, "nextPageStart": more}
        return Reply(page)


@pytest.fixture
def forge() -> Iterator[Forge]:
    with emulated(Forge) as forge:
        yield forge


@pytest.fixture
def reading(forge: Forge, tmp_path: Path) -> Ledger:
    (tmp_path / "token").write_text("secret-token\n")
    source = SourceSettings(
        kind=KIND,
        name="infra-bitbucket",
        url=f"{forge.server.url}/git/projects/OPS/repos/infra",
        token_file=str(tmp_path / "token"),
    )
    return make_ledger(tmp_path / "ledger", source)


def test_every_pull_request_is_read_with_its_log_and_judged(forge: Forge, reading: Ledger) -> None:
    for number in range(1, 6):
        forge.open(number)
    forge.say(1, "bob", "APPROVED")
    forge.push(1, "ann")
    forge.merge(1)
    forge.push(2, "ann")
    forge.say(2, "bob", "NEEDS_WORK")
    forge.say(2, "bob", "APPROVED")
    forge.merge(2)
    forge.say(3, "bob", "APPROVED")
    forge.say(3, "bob", "UNAPPROVED")
    forge.merge(3)
    reading.grow()
    sql = "select number, state, approval from pull_requests order by number"
    assert reading.rows(sql) == [
        (1, "merged", "unapproved"),
        (2, "merged", "approved"),
        (3, "merged", "unapproved"),
        (4, "open", "unapproved"),
        (5, "open", "unapproved"),
    ]
    merges = reading.facts(PullRequestMerged)
    assert {(one.merged_by.login, one.merge_commit) for one in merges} == {("bob", MERGE)}
    by = {(one.number, one.state): one for one in reading.facts(ReviewSubmitted)}
    assert by[2, "approved"].commit == forge.pulls[2]["fromRef"]["latestCommit"]
    assert not by[2, "approved"].commit_deduced
    assert by[2, "changes_requested"].commit_deduced
    assert {one.headers.get("authorization") for one in forge.server.asked} == {
        "Bearer secret-token"
    }
    forge.server.asked.clear()
    assert reading.grow() == 0
    assert len(forge.server.asked) == 2


def test_a_vote_is_found_although_it_changes_no_date(forge: Forge, reading: Ledger) -> None:
    forge.open(1)
    reading.grow()
    forge.say(1, "bob", "APPROVED")
    reading.grow()
    assert [one.state for one in reading.facts(ReviewSubmitted)] == ["approved"]


def test_reading_goes_on_where_it_failed(forge: Forge, reading: Ledger) -> None:
    for number in range(1, 6):
        forge.open(number)
        forge.merge(number)

    def answer(asked: Asked) -> Reply:
        forge.down = forge.down or "/pull-requests/2" in asked.path
        return forge.answer(asked)

    forge.server.answer = answer
    (outcome,) = reading.ingest()
    assert "limit" in outcome.failure
    assert len(reading.facts(PullRequestMerged)) == 2  # the first page of the others
    forge.down, forge.server.answer = False, forge.answer
    forge.server.asked.clear()
    reading.grow()
    assert len(reading.facts(PullRequestMerged)) == 5
    assert not any("/pull-requests/5" in one.path for one in forge.server.asked)


@pytest.mark.parametrize(
    ("url", "forge_name", "api"),
    [
        (f"{PAGE}/browse", "git.example.org/ops/infra", "https://git.example.org/rest/api/1.0"),
        (
            "https://git.example.org/x/users/ann/repos/dots.and-more",
            "git.example.org/~ann/dots.and-more",
            "https://git.example.org/x/rest/api/1.0",
        ),
        (
            "https://ann@git.example.org:8443/scm/ops/infra.git",
            "git.example.org/ops/infra",
            "https://git.example.org:8443/rest/api/1.0",
        ),
    ],
)
def test_addresses_of_a_repository(tmp_path: Path, url: str, forge_name: str, api: str) -> None:
    found = options(Configured(name="b", url=url, mirror=tmp_path, folder=tmp_path, settings={}))
    assert (found.forge, found.api) == (forge_name, api)


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    url = "https://git.example.org/ops/infra"
    (outcome,) = make_ledger(tmp_path / "l", SourceSettings(kind=KIND, name="b", url=url)).ingest()
    assert "is no repository of Bitbucket Data Center" in outcome.failure


# -- real traffic --------------------------------------------------------------------------------


@pytest.mark.corpus
def test_recorded_webhooks_are_understood(corpus: Path, tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger", TRACKED)
    folder = corpus / "fixtures/forge-webhooks"
    files = sorted([*folder.glob("*stash/*.json"), *folder.glob("*-bitbucket-server/*.json")])
    assert len(files) == 44
    ledger.hand_over(KIND, *files)
    assert ledger.facts(CollectorGap) == []
    merged = {one.merge_commit[:12] for one in ledger.facts(PullRequestMerged)}
    assert merged == {"83f836ca538d", "cbf26be7bfc8"}
    reviews = ledger.facts(ReviewSubmitted)
    assert len(reviews) == 6
    assert all(one.commit and not one.commit_deduced for one in reviews)


@pytest.mark.corpus
def test_recorded_answers_are_read_whole(corpus: Path, tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger", TRACKED)
    pulls = [json.loads(one["data"]) for one in _rows(corpus, "pull_requests")]
    imported(ledger, tmp_path, {"values": pulls, "isLastPage": True})
    kinds = (PullRequestMerged, PullRequestOpened, PullRequestClosed)
    assert [len(ledger.facts(kind)) for kind in kinds] == [3, 1, 1]
    by_address: dict[str, list[Json]] = {}
    for one in _rows(corpus, "pull_request_commits"):
        by_address.setdefault(one["url"], []).append(json.loads(one["data"]))
    answers = [{"url": url, "body": {"values": found}} for url, found in by_address.items()]
    imported(ledger, tmp_path, *answers)
    assert sum(len(one.commits) for one in ledger.facts(PullRequestListed)) == 22
    assert ledger.facts(CollectorGap) == []


def _rows(corpus: Path, what: str) -> list[dict[str, str]]:
    path = corpus / f"fixtures/api-raw-devlake/_raw_bitbucket_server_api_{what}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
