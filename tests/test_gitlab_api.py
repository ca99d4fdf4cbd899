"""GitLab's API is read from the oldest change on; whose approval counts follows from all it answers."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from ledger import config, deliveries, httpio
from ledger import ingest as shell
from ledger.cli import cli
from ledger.config import SourceSettings
from ledger.contents import digest_bytes
from ledger.events import (
    CheckCompleted,
    CollectorGap,
    PullRequestListed,
    PullRequestMerged,
    PullRequestPushed,
    RefPushed,
    ReviewSubmitted,
    RulesObserved,
    TeamObserved,
)
from ledger.sources import Import
from ledger.store.inbox import Inbox
from ledger.testing import Ledger, make_ledger
from ledger.testing.servers import Asked, Reply, WebServer, emulated

Json = dict[str, Any]
MERGE, SQUASH, BASE = "d" * 40, "e" * 40, "c" * 40
IDS = {"ann": 1, "bob": 2, "cid": 3}
START = datetime(2026, 3, 1, 10, tzinfo=UTC)
PROJECT = "/api/v4/projects/infra/live/prod"


def sha(number: int) -> str:
    return f"{number:08x}" * 5


def user(login: str) -> Json:
    return {"id": IDS[login], "username": login, "name": login.title()}


@dataclass
class Forge:
    """GitLab's project infra/live/prod, as far as its API shows it."""

    server: WebServer
    page: int = 2
    requests: dict[int, Json] = field(default_factory=dict)
    versions: dict[int, list[Json]] = field(default_factory=dict)
    notes: dict[int, list[Json]] = field(default_factory=dict)
    approved: dict[int, list[Json]] = field(default_factory=dict)
    commits: dict[int, list[Json]] = field(default_factory=dict)
    pushes: list[Json] = field(default_factory=list)
    branches: list[Json] = field(default_factory=list)
    settings: Json | None = None
    rules: list[Json] | None = None
    states: dict[int, Json] = field(default_factory=dict)
    members: list[Json] = field(default_factory=list)
    clock: int = 0

    def now(self) -> str:
        """Ten seconds later."""
        self.clock += 1
        at = START + timedelta(seconds=10 * self.clock)
        return at.strftime("%Y-%m-%dT%H:%M:%S.123Z")

    def open(self, number: int, author: str = "ann") -> None:
        at = self.now()
        self.requests[number] = {
            "id": 1_000 + number,
            "iid": number,
            "project_id": 1,
            "state": "opened",
            "title": f"Change {number}",
            "author": user(author),
            "web_url": f"{self.server.url}/infra/live/prod/-/merge_requests/{number}",
            "target_branch": "main",
            "source_branch": "work",
            "sha": sha(100 * number),
            "merge_commit_sha": None,
            "squash_commit_sha": None,
            "labels": [],
            "draft": False,
            "diff_refs": {"base_sha": BASE, "head_sha": sha(100 * number), "start_sha": BASE},
            "created_at": at,
            "updated_at": at,
        }
        for made in (self.versions, self.notes, self.approved, self.commits):
            made[number] = []
        self.version(number, author, sha(100 * number), at)

    def version(self, number: int, who: str, head: str, at: str) -> None:
        self.versions[number].insert(
            0, {"id": self.clock, "head_commit_sha": head, "created_at": at, "state": "collected"}
        )
        commit = {"id": head, "parent_ids": [], "title": "Work"}
        for role in ("author", "committer"):
            commit |= {f"{role}_name": who.title(), f"{role}_email": f"{who}@example.org"}
        self.commits[number].insert(0, commit)

    def note(self, number: int, who: str, body: str, *, system: bool = True) -> str:
        at = self.now()
        note = {"id": 9_000 + self.clock, "body": body, "author": user(who), "system": system}
        self.notes[number].append({**note, "created_at": at, "noteable_iid": number})
        self.requests[number]["updated_at"] = at
        return at

    def push(self, number: int, who: str) -> None:
        head = sha(100 * number + len(self.versions[number]))
        self.requests[number]["sha"] = head
        self.version(number, who, head, self.now())
        body = f"added 1 commit\n\n<ul><li>{head[:8]} - Work</li></ul>\n\n[Compare](/x)"
        self.note(number, who, body)

    def approve(self, number: int, who: str) -> None:
        at = self.note(number, who, "approved this merge request")
        self.approved[number].append({"user": user(who), "approved_at": at})

    def unapprove(self, number: int, who: str) -> None:
        self.note(number, who, "unapproved this merge request")
        self.approved[number] = []

    def merge(self, number: int, who: str = "bob", **landed: Any) -> None:
        at = self.now()
        self.requests[number] |= {
            "state": "merged",
            "merge_user": user(who),
            "merged_at": at,
            "updated_at": at,
            **(landed or {"merge_commit_sha": MERGE}),
        }

    def answer(self, asked: Asked) -> Reply:
        path = unquote(asked.path)
        if path.startswith("/api/v4/groups/5"):
            return self._pages(asked, self.members) if "members" in path else Reply(GROUP)
        parts = path.removeprefix(PROJECT).strip("/").split("/")
        if parts == [""]:
            return Reply(INFO)
        if parts[0] == "merge_requests" and len(parts) > 1:
            return self._one(asked, int(parts[1]), parts[2:])
        whole: dict[str, Any] = {
            "merge_requests": self._changed(asked),
            "events": [one for one in self.pushes if one["created_at"] > after(asked)],
            "protected_branches": self.branches,
            "approval_rules": self.rules,
            "approvals": self.settings,
        }
        found = whole.get(parts[0])
        if found is None:
            return Reply({"message": "404 Not Found"}, status=404)
        return self._pages(asked, found) if isinstance(found, list) else Reply(found)

    def _changed(self, asked: Asked) -> list[Json]:
        since = asked.query.get("updated_after", "")
        found = [one for one in self.requests.values() if one["updated_at"] >= since]
        return sorted(found, key=lambda one: str(one["updated_at"]))

    def _one(self, asked: Asked, number: int, parts: list[str]) -> Reply:
        if number not in self.requests:
            return Reply({"message": "404 Not found"}, status=404)
        if not parts:
            return Reply(self.requests[number])
        if parts == ["approvals"]:
            return Reply({"approved_by": self.approved[number]})
        if parts == ["approval_state"]:
            return Reply(self.states.get(number, {"approval_rules_overwritten": False}))
        lists = {"versions": self.versions, "notes": self.notes, "commits": self.commits}
        return self._pages(asked, lists[parts[0]][number])

    def _pages(self, asked: Asked, found: list[Json]) -> Reply:
        page = int(asked.query.get("page", "1"))
        tag = f'W/"{asked.query} {self.clock}"'
        if asked.headers.get("if-none-match") == tag:
            return Reply(status=304)
        query = "&".join(f"{name}={value}" for name, value in asked.query.items() if name != "page")
        following = f"{self.server.url}{asked.path}?{query}&page={page + 1}"
        more = len(found) > page * self.page
        headers = {"etag": tag, **({"link": f'<{following}>; rel="next"'} if more else {})}
        return Reply(found[(page - 1) * self.page : page * self.page], headers=headers)


GROUP = {"id": 5, "full_path": "infra/security"}
INFO = {
    "id": 1,
    "default_branch": "main",
    "merge_method": "merge",
    "squash_option": "default_off",
    "only_allow_merge_if_pipeline_succeeds": True,
    "runners_token": "GR1348941-never-keep-this",
}


def after(asked: Asked) -> str:
    told = asked.query.get("after", "")
    return f"{told}T99" if told else ""


@pytest.fixture
def forge() -> Iterator[Forge]:
    with emulated(Forge) as forge:
        yield forge


@pytest.fixture
def ledger(forge: Forge, tmp_path: Path) -> Ledger:
    (tmp_path / "token").write_text("secret-token\n")
    source = SourceSettings(
        kind="gitlab",
        name="prod-gitlab",
        url=f"{forge.server.url}/infra/live/prod",
        token_file=str(tmp_path / "token"),
    )
    return make_ledger(tmp_path / "ledger", source)


def verdicts(ledger: Ledger) -> list[tuple[Any, ...]]:
    return ledger.rows("select number, state, approval from pull_requests order by number")


def reviews(ledger: Ledger) -> list[tuple[Any, ...]]:
    sql = "select reviewer, state, commit_sha, counts, reason from reviews order by submitted_at"
    return ledger.rows(sql)


def asked_of(forge: Forge, what: str) -> list[str]:
    return [one.path for one in forge.server.asked if what in one.path]


# -- merge requests and approvals ------------------------------------------------------------------


def test_every_merge_request_is_read_with_its_approvals_and_judged(
    forge: Forge, ledger: Ledger
) -> None:
    for number in range(1, 6):
        forge.open(number)
    forge.approve(2, "bob")
    forge.merge(2)
    forge.approve(3, "ann")
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


def test_the_head_of_an_approval_is_deduced_from_the_versions_and_says_so(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.approve(1, "bob")
    forge.push(1, "ann")
    forge.merge(1)
    ledger.grow()
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.commit, review.commit_deduced) == (sha(100), True)
    (row,) = reviews(ledger)
    assert row[:4] == ("bob", "approved", sha(100), 0)
    assert row[4].startswith("stale: given at")


def test_without_versions_it_is_not_known_at_which_head_it_was_approved(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.approve(1, "bob")
    forge.merge(1)
    forge.versions[1] = []
    ledger.grow()
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.commit, review.commit_deduced) == ("", False)
    assert verdicts(ledger) == [(1, "merged", "unapproved")]


def test_the_notes_tell_what_was_taken_back_and_given_again(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.approve(1, "bob")
    forge.unapprove(1, "bob")
    forge.merge(1)
    forge.open(2)
    forge.approve(2, "bob")
    forge.unapprove(2, "bob")
    forge.approve(2, "bob")
    forge.merge(2)
    ledger.grow()
    assert verdicts(ledger) == [(1, "merged", "unapproved"), (2, "merged", "approved")]


def test_what_somebody_writes_is_no_approval(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.note(1, "bob", "approved this merge request", system=False)
    forge.merge(1)
    ledger.grow()
    assert reviews(ledger) == []


def test_an_approval_that_is_noted_and_listed_no_more_has_lapsed(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.approve(1, "bob")
    forge.approved[1] = []  # reset by GitLab, which leaves no note
    forge.merge(1)
    ledger.grow()
    assert [row[:2] for row in reviews(ledger)] == [("bob", "approved"), ("bob", "dismissed")]
    assert verdicts(ledger) == [(1, "merged", "unapproved")]
    lapsed = [one for one in ledger.events() if "/dismissed/" in one.key]
    assert [one.occurred_at for one in lapsed] == [""]  # nobody tells when


def test_an_approval_that_is_listed_and_not_noted_counts_too(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.approved[1] = [{"user": user("bob"), "approved_at": forge.now()}]
    forge.merge(1)
    ledger.grow()
    assert verdicts(ledger) == [(1, "merged", "approved")]


def test_what_is_said_after_the_merge_changes_nothing_of_what_was_said_before(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.approve(1, "bob")
    forge.merge(1)
    forge.unapprove(1, "bob")
    forge.approve(1, "bob")
    ledger.grow()
    assert verdicts(ledger) == [(1, "merged", "approved")]
    assert [row[3] for row in reviews(ledger)] == [1, 0, 0]


def test_requested_changes_stand_until_the_same_person_approves(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.note(1, "cid", "requested changes")
    forge.approve(1, "bob")
    forge.merge(1)
    ledger.grow()
    assert verdicts(ledger) == [(1, "merged", "unapproved")]


def test_who_pushed_is_told_by_the_note_about_the_push(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.push(1, "bob")
    forge.approve(1, "bob")
    forge.merge(1)
    ledger.grow()
    (push,) = ledger.events(PullRequestPushed)
    assert push.actor is not None
    assert push.actor.login == "bob"
    assert push.key.endswith(f"/pull/1/pushed/{sha(100)}..{sha(101)}")
    (row,) = reviews(ledger)
    assert row[4].startswith("contributor: ")
    (listed,) = ledger.facts(PullRequestListed)
    assert [one.commit for one in listed.commits] == [sha(100), sha(101)]
    assert [one.author.email for one in listed.commits] == ["ann@example.org", "bob@example.org"]


def test_a_push_in_the_second_of_the_last_change_takes_no_label_away(
    forge: Forge, ledger: Ledger
) -> None:
    for number in range(1, 8):
        forge.open(number)
        forge.push(number, "ann")
        forge.requests[number] |= {"labels": ["urgent"], "draft": True}
        forge.requests[number]["updated_at"] = forge.versions[number][0]["created_at"]
    ledger.grow()
    sql = "select distinct labels, draft, count(*) from model_reported_pull_request group by 1, 2"
    assert ledger.rows(sql) == [("urgent", 1, 7)]


def pushers(ledger: Ledger) -> list[str]:
    return [one.actor.login if one.actor else "" for one in ledger.events(PullRequestPushed)]


def test_pushes_soon_after_each_other_are_told_apart_by_their_commits(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.push(1, "bob")
    forge.push(1, "cid")
    ledger.grow()
    assert pushers(ledger) == ["bob", "cid"]


def test_a_push_whose_note_names_no_commit_is_told_by_its_time_or_not_at_all(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.push(1, "bob")
    forge.clock += 60
    forge.push(1, "cid")
    forge.push(1, "ann")
    for note in forge.notes[1]:
        note["body"] = "added 300 commits"
    ledger.grow()
    assert pushers(ledger) == ["bob", "", "ann"]  # two notes follow the second


@pytest.mark.parametrize(
    ("landed", "commit", "method"),
    [
        ({"merge_commit_sha": MERGE, "squash_commit_sha": SQUASH}, MERGE, "merge"),
        ({"squash_commit_sha": SQUASH}, SQUASH, "squash"),
        ({"squash_commit_sha": None}, sha(100), ""),
    ],
)
def test_what_landed(forge: Forge, ledger: Ledger, landed: Json, commit: str, method: str) -> None:
    forge.open(1)
    forge.merge(1, **landed)
    ledger.grow()
    (merged,) = ledger.facts(PullRequestMerged)
    assert (merged.merge_commit, merged.method) == (commit, method)


def test_the_pipeline_of_the_head_is_a_check(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.requests[1]["head_pipeline"] = {
        "id": 77,
        "sha": sha(100),
        "status": "failed",
        "created_at": forge.now(),
        "finished_at": forge.now(),
    }
    ledger.grow()
    (check,) = ledger.facts(CheckCompleted)
    assert (check.commit, check.name, check.conclusion) == (sha(100), "pipeline", "failure")


# -- webhooks and the API together -----------------------------------------------------------------


def hooked(forge: Forge, number: int, action: str, who: str, at: str) -> Json:
    request = forge.requests[number]
    return {
        "object_kind": "merge_request",
        "user": user(who),
        "project": {"web_url": f"{forge.server.url}/infra/live/prod"},
        "labels": [],
        "object_attributes": {
            **{name: request[name] for name in ("iid", "title", "target_branch", "source_branch")},
            "url": request["web_url"],
            "action": action,
            "state": "merged" if action == "merge" else "opened",
            "squash": True,
            "author_id": request["author"]["id"],
            "last_commit": {"id": request["sha"]},
            "created_at": request["created_at"],
            "updated_at": at,
            "merge_commit_sha": None,
        },
    }


def test_webhooks_and_the_api_give_the_same_rows_in_either_order(
    forge: Forge, tmp_path: Path
) -> None:
    forge.open(1)
    bodies = [hooked(forge, 1, "open", "ann", forge.requests[1]["updated_at"])]
    forge.approve(1, "bob")
    bodies.append(hooked(forge, 1, "approved", "bob", bodies[0]["object_attributes"]["updated_at"]))
    forge.merge(1, squash_commit_sha=SQUASH)
    bodies.append(hooked(forge, 1, "merge", "bob", forge.requests[1]["merged_at"]))
    file = tmp_path / "bodies.json"
    file.write_text(json.dumps(bodies))
    (tmp_path / "token").write_text("secret-token\n")
    source = SourceSettings(
        kind="gitlab",
        name="prod-gitlab",
        url=f"{forge.server.url}/infra/live/prod",
        token_file=str(tmp_path / "token"),
    )

    def rows(name: str, *ways: str) -> list[Any]:
        ledger = make_ledger(tmp_path / name, source)
        for way in ways:
            if way == "api":
                ledger.grow()
            else:
                given = Import(files=[file])
                shell.import_files(ledger.settings, "gitlab", given, clock=lambda: ledger.now)
        columns = "number, author, merged_by, merge_commit_sha, method, approval, reason"
        return [
            ledger.rows(f"select {columns} from pull_requests"),
            ledger.rows("select reviewer, state, commit_sha, submitted_at, counts from reviews"),
        ]

    first, second = rows("a", "api", "hooks"), rows("b", "hooks", "api")
    assert first == second
    ((request,), (review,)) = first
    assert request[3] == SQUASH
    assert request[5] == "approved"
    assert review[:3] == ("bob", "approved", sha(100))
    assert not rows("c", "hooks")[0][0][3]  # the webhook of a squash does not tell what landed


def test_answers_that_somebody_saved_tell_the_same(
    forge: Forge, ledger: Ledger, tmp_path: Path
) -> None:
    forge.open(1)
    forge.push(1, "ann")
    forge.approve(1, "bob")
    forge.merge(1)
    ledger.grow()
    saved = {
        "merge_request": forge.requests[1],
        "versions": forge.versions[1],
        "notes": forge.notes[1],
        "approvals": {"approved_by": forge.approved[1]},
        "commits": forge.commits[1],
    }
    file = tmp_path / "saved.json"
    file.write_text(json.dumps(saved))
    other = make_ledger(tmp_path / "other", *ledger.settings.source)
    shell.import_files(other.settings, "gitlab", Import(files=[file]), clock=lambda: other.now)
    keys = {one.key for one in ledger.events() if "/rules/" not in one.key}
    assert {one.key for one in other.events()} == keys
    assert verdicts(other) == verdicts(ledger) == [(1, "merged", "approved")]


def test_an_approval_that_no_webhook_told_is_a_gap(forge: Forge, ledger: Ledger) -> None:
    bodies = []
    for number in (1, 2, 3):
        forge.open(number)
        forge.approve(number, "bob")
        at = forge.requests[number]["updated_at"]
        bodies.append(hooked(forge, number, "approved", "bob", at))
    forge.note(2, "cid", "requested changes")
    now = (START + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with Inbox.open(ledger.settings.database_url) as inbox:
        for index in (0, 2):
            body = json.dumps(bodies[index]).encode()
            headers = {"x-gitlab-event": "Merge Request Hook"}
            inbox.accept("gitlab", f"d-{index}", received_at=now, headers=headers, body=body)
    deliveries.drain(ledger.settings, clock=lambda: now)
    ledger.clock = START + timedelta(hours=5)
    ledger.grow()
    (gap,) = ledger.facts(CollectorGap)
    assert gap.kind == "undelivered"
    assert gap.detail.startswith(f"review/2/bob/approved/{sha(200)} of ")


# -- reading on, limits and faults -----------------------------------------------------------------


def test_nothing_new_records_nothing_and_asks_for_no_merge_request(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.approve(1, "bob")
    ledger.grow()
    ledger.grow()
    forge.server.asked.clear()
    assert ledger.grow() == 0
    assert asked_of(forge, "/merge_requests/") == []
    (listed,) = [one for one in forge.server.asked if one.path.endswith("/merge_requests")]
    assert "if-none-match" in listed.headers


def test_only_what_changed_is_read_again(forge: Forge, ledger: Ledger) -> None:
    for number in range(1, 8):
        forge.open(number)
    ledger.grow()
    forge.server.asked.clear()
    forge.approve(4, "bob")
    forge.merge(4)
    ledger.grow()
    assert {path.split("/")[-1] for path in asked_of(forge, "/merge_requests/")} == {
        "4",
        "versions",
        "notes",
        "approvals",
        "commits",
    }
    assert (4, "merged", "approved") in verdicts(ledger)


def test_what_changes_while_it_is_read_hides_nothing(forge: Forge, ledger: Ledger) -> None:
    for number in range(1, 8):
        forge.open(number)

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/merge_requests/2/commits"):
            forge.approve(1, "bob")  # moves to the end; what follows moves up a place
        return forge.answer(asked)

    forge.server.answer = answer
    ledger.grow()
    assert [row[0] for row in verdicts(ledger)] == [1, 2, 3, 4, 5, 6, 7]
    assert ledger.rows("select number, reviewer from reviews") == [(1, "bob")]


def test_many_changes_at_one_moment_are_all_read(forge: Forge, ledger: Ledger) -> None:
    for number in range(1, 8):
        forge.open(number)
        forge.requests[number]["updated_at"] = "2026-03-01T11:00:00.000Z"
    ledger.grow()
    assert len(verdicts(ledger)) == 7


@pytest.fixture
def rested(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of the reader, which are not waited for."""
    found: list[float] = []
    opened = httpio.Api.open
    monkeypatch.setattr(
        httpio.Api, "open", lambda name, base, headers: opened(name, base, headers, found.append)
    )
    return found


BROKEN: dict[str, Callable[[], Reply]] = {
    "limit": lambda: Reply(status=429, headers={"retry-after": "3600", "ratelimit-remaining": "0"}),
    "failing": lambda: Reply(status=502),
    "truncated": lambda: Reply(b'{"iid": 5, "tit'),
    "cut off": lambda: Reply(b'{"iid": 5', headers={"content-length": "900"}),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_reading_that_a_fault_stopped_goes_on_where_it_was(
    forge: Forge, ledger: Ledger, rested: list[float], fault: str
) -> None:
    for number in range(1, 6):
        forge.open(number)
    forge.server.answer = lambda asked: (
        BROKEN[fault]() if asked.path.endswith("/merge_requests/5") else forge.answer(asked)
    )
    (outcome,) = ledger.ingest()
    assert outcome.failure
    assert [row[0] for row in verdicts(ledger)] == [1, 2, 3, 4]
    forge.server.answer = forge.answer
    forge.server.asked.clear()
    ledger.grow()
    assert [row[0] for row in verdicts(ledger)] == [1, 2, 3, 4, 5]
    assert asked_of(forge, "/merge_requests/1") == []
    assert sum(rested) <= 60


def test_a_short_limit_and_a_moment_of_failure_are_waited_for(
    forge: Forge, ledger: Ledger, rested: list[float]
) -> None:
    forge.open(1)
    left = [
        Reply(status=429, headers={"retry-after": "7"}),
        Reply(status=503),
    ]
    forge.server.answer = lambda asked: (
        left.pop() if left and asked.path.endswith("/versions") else forge.answer(asked)
    )
    ledger.grow()
    assert verdicts(ledger) == [(1, "open", "unapproved")]
    assert sorted(rested) == [2.0, 7.0]


def test_what_the_token_may_not_see_is_a_gap(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.open(2)
    hidden = ("/merge_requests/1", "/merge_requests/2/notes")
    forge.server.answer = lambda asked: (
        Reply({"message": "403 Forbidden"}, status=403)
        if asked.path.endswith(hidden)
        else forge.answer(asked)
    )
    ledger.grow()
    details = [one.detail for one in ledger.facts(CollectorGap)]
    assert details == [
        "pull request 1 of 127.0.0.1/infra/live/prod: it is not shown to us",
        "pull request 2 of 127.0.0.1/infra/live/prod: its notes are not shown to us",
    ]
    assert [row[0] for row in verdicts(ledger)] == [2]


def test_a_list_that_is_none_is_an_error(forge: Forge, ledger: Ledger) -> None:
    forge.server.answer = lambda _: Reply({"message": "hello"})
    (outcome,) = ledger.ingest()
    assert "is no list" in outcome.failure


# -- pushes, rules and teams -----------------------------------------------------------------------


def pushed(number: int, who: str, at: str, **push: Any) -> Json:
    return {
        "id": number,
        "action_name": "pushed to",
        "author": user(who),
        "author_username": who,
        "created_at": at,
        "push_data": {
            "commit_count": 2,
            "action": "pushed",
            "ref_type": "branch",
            "commit_from": sha(1),
            "commit_to": sha(2),
            "ref": "main",
            **push,
        },
    }


def test_pushes_are_read_once_with_who_pushed(forge: Forge, ledger: Ledger) -> None:
    forge.pushes = [
        pushed(1, "ann", "2026-03-01T10:00:00.000Z"),
        pushed(2, "ann", "2026-03-01T10:00:01.000Z", ref_type="tag", ref="v1"),
        pushed(3, "bob", "2026-03-01T10:00:02.000Z", commit_from=None, ref="new"),
    ]
    ledger.grow()
    forge.pushes.append(pushed(4, "cid", "2026-03-01T23:00:00.000Z", commit_from=sha(2)))
    ledger.grow()
    assert ledger.grow() == 0
    found = ledger.events(RefPushed)
    assert [(one.actor and one.actor.login, one.key.partition("/prod/")[2]) for one in found] == [
        ("ann", f"ref/refs/heads/main/pushed/{sha(1)}..{sha(2)}"),
        ("bob", f"ref/refs/heads/new/pushed/..{sha(2)}"),
        ("cid", f"ref/refs/heads/main/pushed/{sha(2)}..{sha(2)}"),
    ]


def protected(name: str, *levels: Json, **more: Any) -> Json:
    return {"id": 1, "name": name, "push_access_levels": list(levels), **more}


NOBODY = {"id": 1, "access_level": 0, "access_level_description": "No one"}
MAINTAINERS = {"id": 2, "access_level": 40, "access_level_description": "Maintainers"}
DEVELOPERS = {"id": 3, "access_level": 30, "access_level_description": "Developers"}


def test_rules_are_told_when_they_are_others(forge: Forge, ledger: Ledger) -> None:
    forge.branches = [
        protected(
            "main", MAINTAINERS, merge_access_levels=[DEVELOPERS], code_owner_approval_required=True
        ),
        protected("release/*", DEVELOPERS),
        protected("prod", NOBODY),
    ]
    forge.settings = {"reset_approvals_on_push": True}
    forge.rules = [
        {"id": 1, "rule_type": "any_approver", "approvals_required": 1},
        {
            "id": 2,
            "rule_type": "regular",
            "approvals_required": 2,
            "users": [user("bob")],
            "groups": [GROUP],
            "protected_branches": [{"name": "main"}],
        },
    ]
    forge.members = [user("cid"), user("bob"), user("ann")]
    ledger.grow()
    rules = {(one.branch, one.ruleset): one for one in ledger.facts(RulesObserved)}
    assert len(rules) == 5
    main = rules["main", "branch protection"]
    assert (main.pull_request_required, main.bypassers) == (True, ["role:maintainer"])
    assert (main.mergers, main.code_owners_required) == (["role:developer"], True)
    assert (main.dismisses_stale, main.checks_required) == (True, ["pipeline"])
    assert main.merge_methods == ["merge", "squash"]
    assert rules["release/*", "branch protection"].pull_request_required is False
    assert rules["prod", "branch protection"].bypassers == []
    anybody = rules["*", "approval rule 1"]
    assert (anybody.approvals_required, anybody.approvers) == (1, [])
    approvals = rules["main", "approval rule 2"]
    assert approvals.approvals_required == 2
    assert approvals.approvers == ["bob", "team:infra/security"]
    (team,) = ledger.facts(TeamObserved)
    assert (team.team, [one.login for one in team.members]) == (
        "infra/security",
        ["ann", "bob", "cid"],
    )
    assert ledger.grow() == 0
    forge.rules.pop()
    forge.branches[0]["code_owner_approval_required"] = False
    ledger.grow()
    changed = ledger.facts(RulesObserved)[5:]
    assert [(one.branch, one.ruleset, one.found) for one in changed] == [
        ("main", "branch protection", True),
        ("main", "approval rule 2", False),
    ]
    assert not any(b"never-keep-this" in one for one in kept(ledger))


def test_who_is_hidden_in_a_rule_is_told_as_eligible(forge: Forge, ledger: Ledger) -> None:
    forge.settings = {"merge_requests_author_approval": True}
    hidden = {"rule_type": "regular", "approvals_required": 1, "contains_hidden_groups": True}
    forge.rules = [
        {"id": 1, **hidden, "users": [user("bob")], "eligible_approvers": [user("cid")]},
        {"id": 2, **hidden},
        {"id": 3, **hidden, "applies_to_all_protected_branches": True, "protected_branches": []},
    ]
    ledger.grow()
    rules = {one.ruleset: one for one in ledger.facts(RulesObserved)}
    assert rules["approval rule 1"].approvers == ["bob", "cid"]
    assert rules["approval rule 1"].author_counts is True
    assert rules["approval rule 2"].approvers == ["team:hidden"]
    assert "approval rule 3" not in rules  # no branch is protected


def own_rule(number: int, needed: int, *people: str, **more: Any) -> Json:
    eligible = [user(one) for one in people]
    told = {"rule_type": "regular", "approvals_required": needed, "eligible_approvers": eligible}
    return {"id": number, "name": "Ops", **told, "approved_by": [], **more}


def demanded(ledger: Ledger) -> list[tuple[Any, ...]]:
    return ledger.rows("select number, approval, rules from pull_requests order by number")


def test_a_merge_request_is_judged_by_the_approval_rules_that_gitlab_kept_of_it(
    forge: Forge, ledger: Ledger
) -> None:
    forge.rules = [{"id": 1, "rule_type": "any_approver", "approvals_required": 2}]
    own = {
        1: [own_rule(11, 1, "cid")],
        2: [own_rule(12, 1, "bob", approved_by=[user("bob")])],
        3: [own_rule(13, 2, rule_type="any_approver")],
        4: [own_rule(14, 2, "bob")],  # nobody else could approve: GitLab lets it pass
        5: [own_rule(15, 1, "cid", rule_type="code_owner"), own_rule(16, 0, "cid")],
    }
    for number, rules in own.items():
        forge.open(number)
        forge.approve(number, "bob")
        forge.merge(number)
        forge.states[number] = {"approval_rules_overwritten": True, "rules": rules}
    forge.open(6)
    forge.approve(6, "bob")
    forge.merge(6)
    forge.states[6] = {"approval_rules_overwritten": False, "rules": [own_rule(17, 1, "bob")]}
    ledger.grow()
    none = "none that demand an approval"
    assert demanded(ledger) == [
        (1, "unapproved", "1 by cid"),
        (2, "approved", "1 by bob"),
        (3, "unapproved", "2 approvals"),
        (4, "approved", none),
        (5, "approved", none),
        (6, "unapproved", "2 approvals"),  # it has none of its own
    ]
    # Who could approve is told as it is when it is asked: the first answer stands.
    before = len(ledger.facts(RulesObserved))
    forge.states[1]["rules"][0]["eligible_approvers"].append(user("bob"))
    forge.requests[1]["updated_at"] = forge.now()
    ledger.grow()
    assert len(ledger.facts(RulesObserved)) == before
    # What is of one merge request alone is none of the rules for the branch.
    assert ledger.rows("select distinct ruleset from rules_in_force order by 1") == [
        ("approval rule 1",),
        ("branch protection",),
    ]


def test_without_approval_rules_no_merge_request_is_asked_for_its_own(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.merge(1)
    ledger.grow()
    assert asked_of(forge, "approval_state") == []
    assert ledger.facts(CollectorGap) == []


def kept(ledger: Ledger) -> Iterator[bytes]:
    """The text of every answer that is kept."""
    with ledger.store() as store:
        for one in ledger.events():
            if raw := getattr(one.data, "raw", ""):
                yield store.content(digest_bytes(raw))


def test_without_the_paid_tier_no_approvals_are_known_to_be_required(
    forge: Forge, ledger: Ledger
) -> None:
    forge.branches = [protected("prod", NOBODY)]
    ledger.grow()
    prod, main = ledger.facts(RulesObserved)
    assert (prod.approvals_required, prod.dismisses_stale) == (None, None)
    assert {one.ruleset for one in (prod, main)} == {"branch protection"}
    assert (main.branch, main.found) == ("main", False)
    assert ledger.facts(CollectorGap) == []


def test_rules_that_the_token_may_not_see_are_one_gap(forge: Forge, ledger: Ledger) -> None:
    forge.server.answer = lambda asked: (
        Reply(status=403) if "protected" in asked.path else forge.answer(asked)
    )
    ledger.grow()
    ledger.grow()
    (gap,) = ledger.facts(CollectorGap)
    assert gap.detail.startswith("the rules of 127.0.0.1/infra/live/prod: ")


# -- options ---------------------------------------------------------------------------------------


def test_a_source_that_is_added_with_its_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ledger.toml"
    file.write_text('database = "sqlite:///ledger.db"\n')
    monkeypatch.setenv("LEDGER_CONFIG", str(file))
    added = ["gitlab", "prod", "--url", "https://gitlab.com/infra/prod", "--token-file", "t"]
    result = CliRunner().invoke(cli, ["source", "add", *added])
    assert result.exit_code == 0, result.output
    (source,) = config.load().source
    assert (source.kind, source.url, source.token_file) == ("gitlab", added[3], "t")


@pytest.mark.parametrize("url", ["git@gitlab.com:acme/infra.git", "https://gitlab.com/acme"])
def test_an_address_that_is_no_project(tmp_path: Path, url: str) -> None:
    ledger = make_ledger(tmp_path, SourceSettings(kind="gitlab", name="x", url=url))
    (outcome,) = ledger.ingest()
    assert "is no project of GitLab" in outcome.failure


def test_a_token_that_cannot_be_read(tmp_path: Path) -> None:
    source = SourceSettings(
        kind="gitlab", name="x", url="https://gitlab.com/acme/infra", token_file="nowhere"
    )
    (outcome,) = make_ledger(tmp_path, source).ingest()
    assert "cannot read the token in nowhere" in outcome.failure


def test_without_a_token_neither_rules_nor_approvals_are_asked_for(
    forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITLAB_TOKEN", raising=False)
    source = SourceSettings(kind="gitlab", name="x", url=f"{forge.server.url}/infra/live/prod")
    ledger = make_ledger(tmp_path, source)
    forge.open(1)
    ledger.grow()
    assert asked_of(forge, "approvals") == asked_of(forge, "protected") == []
    assert ledger.facts(CollectorGap) == []


# -- recorded answers ------------------------------------------------------------------------------


@pytest.mark.corpus
def test_recorded_merge_requests_of_gitlab_com(corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "fixtures/api-raw-devlake"
    csv.field_size_limit(10**8)
    with (folder / "_raw_gitlab_api_merge_requests.csv").open() as file:
        lines = [row["data"] for row in csv.DictReader(file)]
    (tmp_path / "rows.json").write_text("\n".join(lines))
    ledger = make_ledger(tmp_path / "ledger")
    given = Import(files=[tmp_path / "rows.json"])
    shell.import_files(ledger.settings, "gitlab", given, clock=lambda: ledger.now)
    assert ledger.facts(CollectorGap) == []
    states = dict(ledger.rows("select state, count(*) from pull_requests group by state"))
    assert (sum(states.values()), states["merged"]) == (18, 10)  # one of them squashed, too
    merged = {one.pull_request.number: one for one in ledger.facts(PullRequestMerged)}
    assert (merged[14].merge_commit[:8], merged[14].method) == ("21840a7e", "merge")


@pytest.mark.corpus
def test_recorded_notes_tell_who_pushed(corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "fixtures/api-raw-devlake"
    csv.field_size_limit(10**8)

    def rows(name: str) -> list[Any]:
        with (folder / f"_raw_gitlab_api_{name}.csv").open() as file:
            return [json.loads(row["data"]) for row in csv.DictReader(file)]

    (request,) = [one for one in rows("merge_requests") if one["iid"] == 1]
    notes = [one for one in rows("merge_request_notes") if one["noteable_iid"] == 1]
    heads = [one["body"].partition("<li>")[2][:8] for one in notes if "added 1" in one["body"]]
    commits = {one["id"][:8]: one for one in rows("merge_request_commits")}
    versions = [
        {"id": index, "head_commit_sha": commits[head]["id"], "created_at": at}
        for index, (head, at) in enumerate(
            zip(
                heads, [one["created_at"] for one in notes if "added 1" in one["body"]], strict=True
            )
        )
        if head in commits
    ]
    saved = {"merge_request": request, "notes": notes, "versions": versions}
    (tmp_path / "saved.json").write_text(json.dumps(saved))
    ledger = make_ledger(tmp_path / "ledger")
    given = Import(files=[tmp_path / "saved.json"])
    shell.import_files(ledger.settings, "gitlab", given, clock=lambda: ledger.now)
    pushers = {one.actor.login for one in ledger.events(PullRequestPushed) if one.actor}
    assert len(versions) > 1
    assert pushers == {"emilie"}
