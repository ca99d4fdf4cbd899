"""Bitbucket Cloud's webhooks and API answers become facts; what it does not tell is not invented."""

from __future__ import annotations

import csv
import hmac
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.config import SourceSettings
from ledger.errors import SourceError
from ledger.events import (
    CheckCompleted,
    CollectorGap,
    PullRequestClosed,
    PullRequestListed,
    PullRequestMerged,
    PullRequestOpened,
    PullRequestPushed,
    RefPushed,
    ReviewDismissed,
    ReviewSubmitted,
    RulesObserved,
)
from ledger.jsontext import Value, compact
from ledger.sources import payloads, ruled
from ledger.sources.bitbucket import authentic, events_from_value, identify, restrictions
from ledger.testing import Ledger, make_ledger
from ledger.testing.payloads import altered, as_files, bare_tools
from ledger.testing.servers import Asked, Reply, WebServer, emulated

Json = dict[str, Any]
BASE, OLD, HEAD, MERGE = "c" * 40, "a" * 40, "b" * 40, "d" * 40
REPOSITORY = {"full_name": "Acme/infra", "type": "repository"}
TRACKED = SourceSettings(
    kind="git", name="prod", url="https://bitbucket.org/acme/infra.git", branches=["main"]
)


def user(name: str) -> Json:
    kind = "app_user" if name == "robot" else "user"
    return {"account_id": f"557058:{name}", "display_name": name.title(), "type": kind}


def time(minute: int) -> str:
    return f"2026-03-01T10:{minute:02d}:00.123456+00:00"


def pull(minute: int, state: str = "OPEN", *, head: str = HEAD, **more: Any) -> Json:
    """Pull request 7 by ann as it stands at a minute past ten."""
    return {
        "id": 7,
        "state": state,
        "title": "Open port 443",
        "author": user("ann"),
        "source": {"branch": {"name": "work"}, "commit": {"hash": head[:12]}, "repository": None},
        "destination": {
            "branch": {"name": "main"},
            "commit": {"hash": BASE[:12]},
            "repository": REPOSITORY,
        },
        "merge_commit": {"hash": MERGE[:12]} if state == "MERGED" else None,
        "closed_by": user("bob") if state == "MERGED" else None,
        "participants": [],
        "links": {"html": {"href": "https://bitbucket.org/acme/infra/pull-requests/7"}},
        "created_on": time(0),
        "updated_on": time(minute),
        **more,
    }


def hook(name: str, who: str, told: Json, **more: Any) -> Json:
    """A delivery as people keep it, with its headers."""
    body = {"actor": user(who), "repository": REPOSITORY, "pullrequest": told, **more}
    return {"headers": {"X-Event-Key": name, "X-Request-UUID": "u"}, "body": body}


def said(name: str, who: str, minute: int, head: str = HEAD) -> Json:
    word = "approval" if "approved" in name else "changes_request"
    told = pull(minute, head=head)
    return hook(
        f"pullrequest:{name}", who, told, **{word: {"user": user(who), "date": time(minute)}}
    )


OPENED = hook("pullrequest:created", "ann", pull(0, head=OLD))
UPDATED = hook("pullrequest:updated", "ann", pull(3))
APPROVED = said("approved", "bob", 5)
MERGED = hook("pullrequest:fulfilled", "bob", pull(9, "MERGED"))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path / "ledger", TRACKED)


def imported(ledger: Ledger, folder: Path, *bodies: Any) -> None:
    ledger.hand_over("bitbucket", *as_files(folder, *bodies))


def verdict(ledger: Ledger) -> tuple[str, str]:
    ((approval, reason),) = ledger.rows("select approval, reason from pull_requests")
    return approval, reason


def test_a_pull_request_that_another_person_approved(ledger: Ledger, tmp_path: Path) -> None:
    imported(ledger, tmp_path, OPENED, UPDATED, APPROVED, MERGED)
    assert ledger.rows(
        "select repository, number, state, author, merged_by from pull_requests"
    ) == [("prod", 7, "merged", "557058:ann", "557058:bob")]
    approval, reason = verdict(ledger)
    assert (approval, reason.split(" at ")[0]) == ("approved", "approved by 557058:bob")
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.commit, review.commit_deduced) == (HEAD[:12], True)
    assert review.reviewer.name == "Bob"


def test_an_update_is_no_push_because_it_may_be_another_title(
    ledger: Ledger, tmp_path: Path
) -> None:
    imported(ledger, tmp_path, OPENED, UPDATED)
    assert ledger.facts(PullRequestPushed) == []
    assert ledger.rows("select head_sha from model_reported_pull_request") == [(HEAD[:12],)]


@pytest.mark.parametrize(
    ("bodies", "why"),
    [
        ([said("approved", "bob", 2, OLD)], "stale: given at aaaaaaaaaaaa"),
        ([said("approved", "ann", 5)], "self"),
        ([said("approved", "robot", 5)], "bot"),
        ([APPROVED, said("unapproved", "bob", 7)], "dismissed"),
        ([said("changes_request_created", "cid", 6), APPROVED], "557058:cid requested stood"),
    ],
)
def test_what_does_not_approve(
    ledger: Ledger, tmp_path: Path, bodies: list[Json], why: str
) -> None:
    imported(ledger, tmp_path, OPENED, UPDATED, *bodies, MERGED)
    approval, reason = verdict(ledger)
    assert approval == "unapproved"
    assert why in reason


def test_changes_that_are_requested_no_more_do_not_block(ledger: Ledger, tmp_path: Path) -> None:
    asked, no_more = (
        said("changes_request_created", "cid", 4),
        said("changes_request_removed", "cid", 6),
    )
    imported(ledger, tmp_path, OPENED, UPDATED, asked, APPROVED, no_more, MERGED)
    assert verdict(ledger)[0] == "approved"


def test_any_order_and_repeats_tell_the_same(tmp_path: Path) -> None:
    bodies = [
        OPENED,
        UPDATED,
        APPROVED,
        said("unapproved", "bob", 7),
        said("approved", "cid", 8),
        MERGED,
    ]
    seen = set()
    for at, order in enumerate([*itertools.permutations(range(6))][::181]):
        ledger = make_ledger(tmp_path / f"l{at}", TRACKED)
        (tmp_path / f"f{at}").mkdir()
        imported(ledger, tmp_path / f"f{at}", *[bodies[one] for one in order], bodies[order[0]])
        reviews = ledger.rows("select reviewer, state, counts from reviews order by submitted_at")
        seen.add((verdict(ledger), tuple(reviews)))
    assert len(seen) == 1


def test_the_webhook_tells_when_it_was_merged_and_the_api_alone_does_not(
    ledger: Ledger, tmp_path: Path
) -> None:
    imported(ledger, tmp_path, pull(30, "MERGED"))
    (merged,) = ledger.facts(PullRequestMerged)
    assert (merged.merged_at, merged.merge_commit) == ("", MERGE[:12])
    imported(ledger, tmp_path, MERGED)
    assert ledger.rows("select state, merged_at from pull_requests") == [
        ("merged", "2026-03-01T10:09:00Z")
    ]


def test_a_merged_pull_request_of_the_api_tells_who_approved_and_not_what(
    ledger: Ledger, tmp_path: Path
) -> None:
    participants = [
        {"user": user("bob"), "approved": True, "state": "approved", "participated_on": time(5)},
        {"user": user("cid"), "approved": False, "state": None, "participated_on": time(6)},
    ]
    imported(
        ledger, tmp_path, {"values": [pull(30, "MERGED", participants=participants)], "page": 1}
    )
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.reviewer.login, review.state, review.commit) == ("557058:bob", "approved", "")
    assert verdict(ledger)[0] == "unapproved"


def test_declined_and_superseded_ones_are_closed(ledger: Ledger, tmp_path: Path) -> None:
    imported(
        ledger,
        tmp_path,
        hook("pullrequest:rejected", "bob", pull(9, "DECLINED")),
        pull(9, "SUPERSEDED", id=8),
    )
    found = [(one.pull_request.number, one.closed_at) for one in ledger.facts(PullRequestClosed)]
    assert found == [(7, "2026-03-01T10:09:00Z"), (8, "")]


def test_without_its_name_a_webhook_of_a_vote_is_read_by_the_participants(
    ledger: Ledger, tmp_path: Path
) -> None:
    body = APPROVED["body"]
    taken = {"user": user("bob"), "approved": False, "state": None}
    told = {**body, "pullrequest": {**body["pullrequest"], "participants": [taken]}}
    imported(ledger, tmp_path, body, told)
    (review,) = ledger.facts(ReviewSubmitted)
    (gap,) = ledger.facts(CollectorGap)
    assert review.state == "dismissed"
    assert "X-Event-Key" in gap.detail


def test_pushes_of_branches_are_told_with_who_pushed(ledger: Ledger, tmp_path: Path) -> None:
    def end(kind: str, name: str, commit: str) -> Json:
        return {"type": kind, "name": name, "target": {"hash": commit}}

    changes = [
        {
            "old": end("branch", "main", OLD),
            "new": end("branch", "main", HEAD),
            "forced": True,
            "truncated": False,
            "commits": [{"hash": HEAD}, {"hash": MERGE}],
        },
        {"old": None, "new": end("branch", "other", HEAD), "truncated": True, "commits": []},
        {"old": None, "new": end("tag", "v1", HEAD)},
    ]
    body = {"actor": user("robot"), "repository": REPOSITORY, "push": {"changes": changes}}
    imported(ledger, tmp_path, body)
    main, other = ledger.facts(RefPushed)
    assert (main.ref, main.before, main.after, main.forced) == ("refs/heads/main", OLD, HEAD, True)
    assert (main.commits, main.commit_count, main.pusher_is_bot) == ([MERGE, HEAD], 2, True)
    assert (other.before, other.commit_count, other.at) == ("", 0, "")


def test_a_status_is_told_once_it_has_ended(ledger: Ledger, tmp_path: Path) -> None:
    def status(state: str, minute: int) -> Json:
        told = {
            "key": "build",
            "name": "Build 4",
            "state": state,
            "commit": {"hash": HEAD},
            "created_on": time(1),
            "updated_on": time(minute),
        }
        return {"actor": user("robot"), "repository": REPOSITORY, "commit_status": told}

    imported(
        ledger, tmp_path, status("INPROGRESS", 1), status("FAILED", 2), status("SUCCESSFUL", 3)
    )
    found = ledger.facts(CheckCompleted)
    assert [(one.commit, one.name, one.check, one.conclusion) for one in found] == [
        (HEAD, "Build 4", "build", "failure"),
        (HEAD, "Build 4", "build", "success"),
    ]


ADDRESS = "https://api.bitbucket.org/2.0/repositories/acme/infra/pullrequests/7"


def test_recorded_answers_of_the_api_need_the_address_that_was_asked(
    ledger: Ledger, tmp_path: Path
) -> None:
    commits = [
        {"hash": HEAD, "author": {"raw": "Cid <cid@example.org>"}},
        {"hash": OLD, "author": {"raw": "Ann <ann@example.org>", "user": user("ann")}},
    ]
    activities = [
        {"approval": {"user": user("bob"), "date": time(5)}},
        {"update": {"date": time(3), "author": user("cid"), "source": {"commit": {"hash": HEAD}}}},
        {"comment": {"content": {"raw": "hm"}}},
        {"update": {"date": time(0), "author": user("ann"), "source": {"commit": {"hash": OLD}}}},
    ]
    imported(
        ledger,
        tmp_path,
        {"url": f"{ADDRESS}/commits?pagelen=100", "body": {"values": commits}},
        {"url": f"{ADDRESS}/activity", "body": {"values": activities}},
        {
            "url": "https://api.bitbucket.org/2.0/x",
            "body": {"values": [pull(9, "MERGED"), pull(9, id=8)]},
        },
        commits[0],
    )
    (listed,) = ledger.facts(PullRequestListed)
    assert [one.commit for one in listed.commits] == [OLD, HEAD]
    ann, cid = (one.author for one in listed.commits)
    assert (ann.login, ann.email, cid.login, cid.email) == ("557058:ann", "", "", "cid@example.org")
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.commit, review.commit_deduced) == (HEAD, True)
    (push,) = ledger.facts(PullRequestPushed)
    assert (push.before, push.after, push.at) == (OLD, HEAD, "2026-03-01T10:03:00Z")
    assert [one.pull_request.number for one in ledger.facts(PullRequestMerged)] == [7]
    assert [one.pull_request.number for one in ledger.facts(PullRequestOpened)] == [8]
    (gap,) = ledger.facts(CollectorGap)
    assert "a commit alone does not tell of which pull request it is" in gap.detail


def test_other_hooks_are_ignored_and_nonsense_is_a_gap(ledger: Ledger, tmp_path: Path) -> None:
    imported(
        ledger,
        tmp_path,
        hook("pullrequest:comment_created", "bob", pull(1), comment={"id": 1}),
        {"actor": user("bob"), "repository": REPOSITORY, "issue": {}},
        {"type": "error", "error": {"message": "Repository not found"}},
        {"hello": "world"},
        pull(1, "OPEN|MERGED"),
        pull(1, destination={"repository": {"full_name": "../../etc"}}),
    )
    gaps = [one.detail for one in ledger.facts(CollectorGap)]
    assert [one.partition(": ")[2] for one in gaps] == [
        "it is an error that the forge answered: Repository not found",
        "it is no webhook and no pull request of Bitbucket",
        "a pull request in the unknown state 'OPEN|MERGED'",
        "it does not tell of which repository it is",
    ]


def test_only_the_right_signature_is_believed() -> None:
    body, secret = b'{"a": 1}', b"correct horse"
    right = "sha256=" + hmac.digest(secret, body, "sha256").hex()
    assert authentic({"x-hub-signature": right}, body, secret)
    for told in ("", right[7:], right[:-1], "sha1" + right[6:], right + "é"):
        assert not authentic({"x-hub-signature": told}, body, secret)
    assert not authentic({"x-hub-signature": right}, body + b" ", secret)
    empty = "sha256=" + hmac.digest(b"", body, "sha256").hex()
    assert not authentic({"x-hub-signature": empty}, body, b"")
    assert not authentic({"x-hub-signature": ""}, body, b"")
    assert identify({"x-event-key": "repo:push", "x-request-uuid": "u1"}, b"") == "u1"
    assert (
        identify({"x-request-uuid": "u1"}, b"") == identify({"x-event-key": "repo:push"}, b"") == ""
    )


# -- anything ------------------------------------------------------------------------------------


@given(st.data())
def test_any_part_of_a_payload_may_be_anything(data: st.DataObject) -> None:
    body = altered(data, [OPENED, APPROVED, MERGED, pull(9, "MERGED")])
    try:
        batch = events_from_value(Value("line 1", compact(body), body), bare_tools())
    except SourceError:
        return
    assert len(batch.events) + batch.ignored >= 1


# -- the API -------------------------------------------------------------------------------------


def sha(number: int) -> str:
    return f"{number:040x}"[::-1]


@dataclass
class Forge:
    """The repository acme/infra as far as the API of Bitbucket Cloud shows it, two of a list on a page."""

    server: WebServer
    pulls: dict[int, Json] = field(default_factory=dict)
    activities: dict[int, list[Json]] = field(default_factory=dict)
    commits: dict[int, list[Json]] = field(default_factory=dict)
    statuses: dict[int, list[Json]] = field(default_factory=dict)
    restrictions: list[Json] | None = field(default_factory=list)
    reviewers: list[Json] | None = None
    model_shown: bool = True
    limited: bool = False
    clock: int = 0

    def now(self) -> str:
        self.clock += 1
        return f"2026-03-01T10:{self.clock // 60:02d}:{self.clock % 60:02d}.5+00:00"

    def open(self, number: int, who: str = "ann") -> None:
        at = self.now()
        told = pull(0, id=number, author=user(who), created_on=at, updated_on=at)
        self.pulls[number] = told
        self.activities[number], self.commits[number], self.statuses[number] = [], [], []
        self.push(number, who)

    def push(self, number: int, who: str) -> None:
        commit = sha(1_000 * number + self.clock)
        self.commits[number].insert(0, {"hash": commit, "author": {"user": user(who)}})
        self.pulls[number]["source"] = {"branch": {"name": "w"}, "commit": {"hash": commit[:12]}}
        self._updated(number, who)

    def _updated(self, number: int, who: str, state: str = "OPEN") -> None:
        at = self.now()
        one = self.pulls[number]
        one |= {"updated_on": at, "state": state}
        parts = {name: one[name] for name in ("title", "source", "destination", "state")}
        self.activities[number].insert(0, {"update": {"date": at, "author": user(who), **parts}})

    def approve(self, number: int, who: str) -> None:
        at = self.now()
        self.activities[number].insert(0, {"approval": {"date": at, "user": user(who)}})
        self.pulls[number]["participants"].append(
            {"user": user(who), "approved": True, "state": "approved", "participated_on": at}
        )

    def unapprove(self, number: int) -> None:
        self.activities[number] = [one for one in self.activities[number] if "approval" not in one]
        self.pulls[number]["participants"] = []

    def merge(self, number: int, who: str = "bob") -> None:
        self.pulls[number] |= {"merge_commit": {"hash": MERGE[:12]}, "closed_by": user(who)}
        self._updated(number, who, "MERGED")

    def answer(self, asked: Asked) -> Reply:
        if self.limited:
            return Reply(status=429, headers={"retry-after": "3600"})
        parts = asked.path.removeprefix("/2.0/repositories/acme/infra/").split("/")
        if parts[0] == "commit":
            return Reply({"hash": MERGE})
        if parts[0] in ("branch-restrictions", "effective-default-reviewers"):
            told = self.reviewers if "reviewers" in parts[0] else self.restrictions
            return Reply(status=403) if told is None else self._page(asked, told)
        if parts[0] == "effective-branching-model":
            return Reply(MODEL) if self.model_shown else Reply(status=404)
        if len(parts) == 1:
            wanted = "state=OPEN" in asked.path or asked.query["state"] == "OPEN"
            found = [one for one in self.pulls.values() if (one["state"] == "OPEN") == wanted]
            return self._page(asked, sorted(found, key=lambda one: str(one["updated_on"]))[::-1])
        number = int(parts[1])
        if number not in self.pulls:
            return Reply({"type": "error", "error": {"message": "gone"}}, status=404)
        if len(parts) == 2:
            return Reply(self.pulls[number])
        lists = {"activity": self.activities, "commits": self.commits, "statuses": self.statuses}
        return self._page(asked, lists[parts[2]][number])

    def _page(self, asked: Asked, found: list[Json]) -> Reply:
        page = int(asked.query.get("page", "1"))
        body: Json = {"values": found[2 * page - 2 : 2 * page], "page": page}
        if len(found) > 2 * page:
            state = f"&state={asked.query['state']}" if "state" in asked.query else ""
            body["next"] = f"{self.server.url}{asked.path}?page={page + 1}{state}"
        return Reply(body)


@pytest.fixture
def forge() -> Iterator[Forge]:
    with emulated(Forge) as forge:
        yield forge


@pytest.fixture
def reading(forge: Forge, tmp_path: Path) -> Ledger:
    (tmp_path / "token").write_text("secret-token\n")
    source = SourceSettings(
        kind="bitbucket",
        name="infra-bitbucket",
        url=f"{forge.server.url}/acme/infra",
        token_file=str(tmp_path / "token"),
    )
    return make_ledger(tmp_path / "ledger", TRACKED, source)


def read(ledger: Ledger) -> int:
    return ledger.grow("infra-bitbucket")


def verdicts(ledger: Ledger) -> list[tuple[Any, ...]]:
    return ledger.rows("select number, state, approval from pull_requests order by number")


def test_every_pull_request_is_read_with_its_log_and_judged(forge: Forge, reading: Ledger) -> None:
    for number in range(1, 6):
        forge.open(number)
    forge.approve(1, "bob")
    forge.push(1, "ann")
    forge.merge(1)
    forge.approve(2, "bob")
    forge.merge(2)
    forge.merge(3, "ann")
    status = {"key": "b", "state": "SUCCESSFUL", "commit": {"hash": HEAD}, "updated_on": time(1)}
    forge.statuses[2] = [status]
    read(reading)
    assert verdicts(reading) == [
        (1, "merged", "unapproved"),
        (2, "merged", "approved"),
        (3, "merged", "unapproved"),
        (4, "open", "unapproved"),
        (5, "open", "unapproved"),
    ]
    merges = {one.pull_request.number: one for one in reading.facts(PullRequestMerged)}
    assert merges[2].merge_commit == MERGE  # its whole name
    assert merges[2].merged_at == forge.pulls[2]["updated_on"][:19] + "Z"
    head = forge.commits[1][0]["hash"]
    assert merges[1].pull_request.head == head
    (push,) = reading.facts(PullRequestPushed)
    assert (push.before, push.after) == (forge.commits[1][1]["hash"], head)
    assert [one.commit for one in reading.facts(CheckCompleted)] == [HEAD]
    (reason,) = reading.rows("select reason from pull_requests where number = 1")
    assert "stale" in reason[0]
    asked = {one.headers.get("authorization") for one in forge.server.asked}
    assert asked == {"Bearer secret-token"}


def test_nothing_new_costs_three_requests_and_records_nothing(
    forge: Forge, reading: Ledger
) -> None:
    forge.open(1)
    for number in range(2, 8):  # three pages
        forge.open(number)
        forge.merge(number)
    read(reading)
    read(reading)
    forge.server.asked.clear()
    assert read(reading) == 0
    assert len(forge.server.asked) == 3  # one for the restrictions


def test_an_approval_that_is_listed_no_more_was_taken_back(forge: Forge, reading: Ledger) -> None:
    forge.open(1)
    forge.approve(1, "bob")
    read(reading)
    forge.unapprove(1)
    read(reading)
    (gone,) = reading.facts(ReviewDismissed)
    assert (gone.reviewer.login, gone.at) == ("557058:bob", "")
    forge.merge(1)
    read(reading)
    assert verdicts(reading) == [(1, "merged", "unapproved")]
    assert len(reading.facts(ReviewDismissed)) == 1


def test_reading_goes_on_where_a_limit_ended_it(forge: Forge, reading: Ledger) -> None:
    for number in range(1, 8):
        forge.open(number)
        if number % 2:
            forge.merge(number)

    def answer(asked: Asked) -> Reply:
        forge.limited = forge.limited or "/pullrequests/3/commits" in asked.path
        return forge.answer(asked)

    forge.server.answer = answer
    (outcome,) = reading.ingest("infra-bitbucket")
    assert "limit" in outcome.failure
    first = {row[0] for row in verdicts(reading)}
    assert first >= {2, 4, 6}
    forge.limited, forge.server.answer = False, forge.answer
    forge.server.asked.clear()
    read(reading)
    assert [row[0] for row in verdicts(reading)] == list(range(1, 8))
    assert not any("/pullrequests/2/" in one.path for one in forge.server.asked)


def test_what_closes_or_is_deleted_between_two_reads_is_found(
    forge: Forge, reading: Ledger
) -> None:
    for number in range(1, 7):
        forge.open(number)
    read(reading)
    forge.merge(1)
    for number in (8, 9, 10):
        forge.open(number)
        forge.merge(number)
    del forge.pulls[2]
    read(reading)
    merged = [row[0] for row in verdicts(reading) if row[1] == "merged"]
    assert merged == [1, 8, 9, 10]
    (gap,) = reading.facts(CollectorGap)
    assert "pull request 2 of bitbucket.org/acme/infra" in gap.detail
    assert read(reading) == 0


def test_webhook_and_api_tell_one_merge_under_one_key(
    forge: Forge, reading: Ledger, tmp_path: Path
) -> None:
    forge.open(7)
    forge.merge(7)
    read(reading)
    imported(reading, tmp_path, hook("pullrequest:fulfilled", "bob", forge.pulls[7]))
    keys = [one.key for one in reading.events() if isinstance(one.data, PullRequestMerged)]
    assert {one.partition("#")[0] for one in keys} == {"bitbucket.org/acme/infra/pull/7/merged"}
    assert len(verdicts(reading)) == 1


MODEL = {
    "production": {"branch": {"name": "prod"}, "use_mainbranch": False},
    "development": {"branch": None},
    "branch_types": [{"kind": "release", "prefix": "release/"}],
}


def restriction(kind: str, pattern: str = "main", **more: Any) -> Json:
    """A restriction as `branch-restrictions` lists it."""
    told = {"id": 1, "kind": kind, "branch_match_kind": "glob", "pattern": pattern, "value": None}
    return {**told, "users": [], "groups": [], **more}


def of_type(kind: str, name: str, **more: Any) -> Json:
    return restriction(kind, "", branch_match_kind="branching_model", branch_type=name, **more)


def found_rules(ledger: Ledger) -> dict[str, RulesObserved]:
    return {one.ruleset: one for one in ledger.facts(RulesObserved)}


def test_restrictions_are_rules_for_their_branches(forge: Forge, reading: Ledger) -> None:
    operators = {"slug": "operators", "full_slug": "acme:operators"}
    forge.restrictions = [
        restriction("push", users=[user("bob")], groups=[operators]),
        restriction("restrict_merges"),
        restriction("force"),
        restriction(restrictions.APPROVALS, value=2),
        restriction(restrictions.APPROVALS, "*", value=1),
        restriction("require_no_changes_requested"),
        restriction("smart_reset_pullrequest_approvals"),
        restriction("require_passing_builds_to_merge", "builds", value=1),
        restriction(restrictions.ENFORCED, "ma*"),
        restriction(restrictions.DEFAULT_REVIEWERS, value=1),
        of_type("push", "production"),
        of_type("restrict_merges", "release", users=[user("bob")]),
        of_type("push", "development"),
        restriction("push", ""),
    ]
    forge.reviewers = [{"reviewer_type": "project", "user": user("cid")}, user("bob")]
    read(reading)
    found = found_rules(reading)
    assert {(one.branch, one.ruleset) for one in found.values()} == {
        ("**", "merge checks of **"),
        ("**", "no other rules"),
        ("main", "branch permissions of main"),
        ("main", "default reviewers of main"),
        ("main", "merge checks of main"),
        ("prod", "branch permissions of prod"),
        ("release/**", "branch permissions of release/**"),
    }
    main = found["branch permissions of main"]
    assert (main.pull_request_required, main.mergers) == (True, ["role:nobody"])
    assert main.bypassers == ["557058:bob", "team:acme:operators"]
    checks = found["merge checks of main"]
    assert (checks.enforced, checks.approvals_required) == (True, 2)
    assert (checks.dismisses_stale, checks.rejections_block) == (True, True)
    advice = found["merge checks of **"]  # nothing enforces it on every branch
    assert (advice.enforced, advice.approvals_required) == (False, 1)
    reviewers = found["default reviewers of main"]
    assert (reviewers.approvers, reviewers.approvals_required) == (["557058:bob", "557058:cid"], 1)
    assert found["branch permissions of prod"].bypassers == []
    release = found["branch permissions of release/**"]
    assert (release.pull_request_required, release.mergers) == (False, ["557058:bob"])
    assert read(reading) == 0
    del forge.restrictions[3]
    read(reading)
    assert found_rules(reading)["merge checks of main"].approvals_required is None


@pytest.mark.parametrize(
    ("reviewers", "approver", "verdict"),
    [
        ([user("cid")], "bob", ("unapproved", "not_approver")),
        ([user("cid")], "cid", ("approved", "")),
        ([], "cid", ("unapproved", "not_approver")),
        (None, "cid", ("unknown", "unknown_approver")),  # we may not see who they are
    ],
)
def test_an_approval_of_a_default_reviewer_is_one_where_it_is_enforced(
    forge: Forge,
    reading: Ledger,
    reviewers: list[Json] | None,
    approver: str,
    verdict: tuple[str, str],
) -> None:
    forge.restrictions = [
        restriction(restrictions.DEFAULT_REVIEWERS, value=1),
        restriction(restrictions.ENFORCED),
    ]
    forge.reviewers = reviewers
    forge.open(1)
    forge.approve(1, approver)
    read(reading)  # before it merges
    forge.merge(1)
    read(reading)
    assert reading.rows("select approval, refusal from pull_requests") == [verdict]


@pytest.mark.parametrize("listed", [False, True])
def test_restrictions_that_the_token_may_not_see_are_one_gap(
    forge: Forge, reading: Ledger, listed: bool
) -> None:
    # Where it is not known which branches are meant, it is not known which have no restriction.
    forge.restrictions = [of_type("push", "production")] if listed else None
    forge.model_shown = False
    forge.open(1)
    read(reading)
    read(reading)
    (gap,) = reading.facts(CollectorGap)
    assert gap.detail.startswith("the branch restrictions of bitbucket.org/acme/infra: ")
    assert reading.facts(RulesObserved) == []
    assert len(verdicts(reading)) == 1


@given(st.data())
def test_any_part_of_a_restriction_may_be_anything(data: st.DataObject) -> None:
    told = altered(data, [{
        "restrictions": [
            restriction("push", users=[user("bob")], groups=[{"slug": "ops"}]),
            of_type(restrictions.APPROVALS, "release", value=2),
            restriction(restrictions.DEFAULT_REVIEWERS, value=1),
        ],
        "reviewers": [{"user": user("cid")}],
        "model": MODEL,
    }])  # fmt: skip
    if isinstance(told, dict):
        lists = [payloads.parts(told, name) for name in ("restrictions", "reviewers")]
        settings = restrictions.Settings(lists[0], payloads.part(told, "model"), lists[1])
        found = list(restrictions.in_force(settings))
        batch = ruled.changed("bitbucket", "bitbucket.org/acme/infra", found, bare_tools())
        events = batch.events
        assert all(codec.encode(one, recorded_at="2026-03-01T12:00:00Z").leaf for one in events)


@pytest.mark.parametrize("url", ["https://bitbucket.org/acme", "ssh://git@bitbucket.org/a/b", "x"])
def test_what_is_no_repository_of_bitbucket_is_refused(tmp_path: Path, url: str) -> None:
    ledger = make_ledger(tmp_path / "l", SourceSettings(kind="bitbucket", name="b", url=url))
    (outcome,) = ledger.ingest()
    assert "is no repository of Bitbucket Cloud" in outcome.failure
    assert "https://bitbucket.org/WORKSPACE/NAME" in outcome.hint


# -- real traffic --------------------------------------------------------------------------------


@pytest.mark.corpus
def test_recorded_webhooks_of_bitbucket_are_understood(corpus: Path, tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger", TRACKED)
    files = sorted((corpus / "fixtures/forge-webhooks").glob("*-bitbucket/*.json"))
    assert len(files) == 31
    ledger.hand_over("bitbucket", *files)
    gaps = [one.detail.partition(".json, line 1: ") for one in ledger.facts(CollectorGap)]
    # Documentation, not traffic: its state is a list of the possible ones, its votes have no headers.
    assert {(name, why[:20]) for name, _, why in gaps} == {
        ("pull-request-approval-removed", "the body does not sa"),
        ("pull-request-approved", "the body does not sa"),
        ("pull-request-created", "a pull request in th"),
        ("pull-request-declined", "a pull request in th"),
        ("pull-request-merged", "a pull request in th"),
        ("pull-request-updated", "a pull request in th"),
    }
    (merged,) = ledger.facts(PullRequestMerged)
    assert (merged.merge_commit, merged.merged_at) == ("4f8f6de9d0ff", "2018-07-03T01:28:05Z")
    assert len(ledger.facts(RefPushed)) == 4
    assert len(ledger.facts(CheckCompleted)) == 2


@pytest.mark.corpus
def test_recorded_answers_of_bitbucket_are_read_whole(corpus: Path, tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger", TRACKED)
    pulls = _rows(corpus, "pull_requests")
    imported(ledger, tmp_path, {"values": [json.loads(one["data"]) for one in pulls]})
    merged, opened = ledger.facts(PullRequestMerged), ledger.facts(PullRequestOpened)
    assert (len(merged), len(opened), ledger.facts(CollectorGap)) == (27, 30, [])
    assert all(len(one.merge_commit) == 12 and not one.merged_at for one in merged)
    by_address: dict[str, list[Json]] = {}
    for one in _rows(corpus, "pull_request_commits"):
        by_address.setdefault(one["url"], []).append(json.loads(one["data"]))
    answers = [{"url": url, "body": {"values": found}} for url, found in by_address.items()]
    imported(ledger, tmp_path, *answers)
    assert sum(len(one.commits) for one in ledger.facts(PullRequestListed)) == 8
    assert ledger.facts(CollectorGap) == []


def _rows(corpus: Path, what: str) -> list[dict[str, str]]:
    path = corpus / f"fixtures/api-raw-devlake/_raw_bitbucket_api_{what}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
