"""Azure DevOps' service hooks and API answers become facts; votes get the head of their time, and say so."""

from __future__ import annotations

import base64
import csv
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
    CollectorGap,
    PullRequestClosed,
    PullRequestListed,
    PullRequestMerged,
    PullRequestOpened,
    PullRequestPushed,
    RefPushed,
    ReviewSubmitted,
    RulesObserved,
)
from ledger.jsontext import Value, compact
from ledger.sources import Configured, ruled
from ledger.sources.azure_devops import authentic, events_from_value, identify, policies
from ledger.sources.azure_devops.facts import forge as forge_of
from ledger.sources.azure_devops.polling import options
from ledger.testing import Ledger, make_ledger
from ledger.testing.payloads import altered, as_files, bare_tools
from ledger.testing.servers import Asked, Reply, WebServer, emulated

Json = dict[str, Any]
KIND = "azure_devops"
BASE, OLD, HEAD, MERGE = "c" * 40, "a" * 40, "b" * 40, "d" * 40
PAGE = "https://dev.azure.com/acme/platform/_git/infra"
TRACKED = SourceSettings(
    kind="git", name="prod", url="https://acme@dev.azure.com/acme/platform/_git/infra"
)


def user(name: str) -> Json:
    told = {"id": f"00-{name}", "uniqueName": f"{name}@x.org", "displayName": name.title()}
    return told | ({"descriptor": "svc.robot"} if name == "robot" else {})


def time(minute: int) -> str:
    return f"2026-03-01T10:{minute:02d}:00.2879096Z"


def pull(status: str = "active", *, head: str = HEAD, **more: Any) -> Json:
    """Pull request 7 by ann."""
    closed = {"closedDate": time(9), "closedBy": user("bob")} if status != "active" else {}
    return {
        "repository": {"name": "infra", "remoteUrl": PAGE, "project": {"name": "platform"}},
        "pullRequestId": 7,
        "status": status,
        "createdBy": user("ann"),
        "creationDate": time(0),
        "title": "Open port 443",
        "sourceRefName": "refs/heads/work",
        "targetRefName": "refs/heads/main",
        "lastMergeSourceCommit": {"commitId": head},
        "lastMergeTargetCommit": {"commitId": BASE},
        "lastMergeCommit": {"commitId": MERGE},
        "reviewers": [],
        "labels": [{"name": "urgent", "active": True}],
        "completionOptions": {"mergeStrategy": "squash"},
        **closed,
        **more,
    }


def hook(name: str, minute: int, resource: Json, **more: Any) -> Json:
    told = {"id": f"event-{minute}", "createdDate": time(minute), "resource": resource}
    return {"eventType": name, **told, **more}


def vote(who: str, minute: int, value: int) -> Json:
    properties = {
        "CodeReviewThreadType": {"$value": "VoteUpdate"},
        "CodeReviewVotedByIdentity": {"$value": "1"},
        "CodeReviewVoteResult": {"$value": str(value)},
    }
    return {
        "id": minute,
        "publishedDate": time(minute),
        "properties": properties,
        "identities": {"1": user(who)},
        "comments": [{"author": {"id": "system"}, "commentType": "system"}],
    }


def iteration(number: int, minute: int, head: str, who: str = "ann") -> Json:
    return {
        "id": number,
        "createdDate": time(minute),
        "author": user(who),
        "sourceRefCommit": {"commitId": head},
    }


COMMITS = [
    {"commitId": HEAD, "author": {"name": "Ann", "email": "ann@x.org"}},
    {"commitId": OLD, "author": {"name": "Ann", "email": "ann@x.org"}},
]
ITERATIONS = [iteration(1, 0, OLD), iteration(2, 3, HEAD)]


def bundle(*threads: Json, status: str = "completed") -> Json:
    """All that the API tells of a pull request, as people may record it."""
    lists = {"threads": {"value": list(threads)}, "iterations": ITERATIONS, "commits": COMMITS}
    return {"pullRequest": pull(status), **lists}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path / "ledger", TRACKED)


def imported(ledger: Ledger, folder: Path, *bodies: Any) -> None:
    ledger.hand_over(KIND, *as_files(folder, *bodies))


def verdict(ledger: Ledger) -> tuple[str, str]:
    ((approval, reason),) = ledger.rows("select approval, reason from pull_requests")
    return approval, reason


def test_hooks_tell_how_a_pull_request_went(ledger: Ledger, tmp_path: Path) -> None:
    imported(
        ledger,
        tmp_path,
        hook("git.pullrequest.created", 0, pull(head=OLD)),
        hook("git.pullrequest.updated", 3, pull()),
        hook("git.pullrequest.merged", 4, pull()),  # a test merge
        hook("git.pullrequest.merged", 9, pull("completed")),
    )
    sql = "select repository, number, state, author, merged_by, merged_at, url from pull_requests"
    assert ledger.rows(sql) == [
        (
            "prod",
            7,
            "merged",
            "ann@x.org",
            "bob@x.org",
            "2026-03-01T10:09:00Z",
            f"{PAGE}/pullrequest/7",
        )
    ]
    (merged,) = ledger.facts(PullRequestMerged)
    assert (merged.merge_commit, merged.pull_request.head) == (MERGE, HEAD)
    assert merged.method == "squash"
    assert len(ledger.facts(PullRequestOpened)) == 2
    assert merged.pull_request.labels == ["urgent"]


def test_the_latest_hook_tells_the_head_whatever_the_order(ledger: Ledger, tmp_path: Path) -> None:
    later, first = hook("git.pullrequest.updated", 3, pull()), pull(head=OLD)
    imported(ledger, tmp_path, later, hook("git.pullrequest.created", 0, first))
    assert ledger.rows("select head_sha from model_reported_pull_request") == [(HEAD,)]


@pytest.mark.parametrize(
    ("threads", "approval", "why"),
    [
        ([vote("bob", 5, 10)], "approved", "approved by bob@x.org"),
        ([vote("bob", 5, 5)], "approved", "approved by bob@x.org"),
        ([vote("bob", 2, 10)], "unapproved", "stale: given at aaaaaaaaaaaa"),
        ([vote("ann", 5, 10)], "unapproved", "self"),
        ([vote("robot", 5, 10)], "unapproved", "bot"),
        ([vote("bob", 5, 10), vote("bob", 6, 0)], "unapproved", "dismissed"),
        ([vote("bob", 5, 10), vote("cid", 6, -5)], "unapproved", "cid@x.org requested stood"),
        ([vote("cid", 5, -10), vote("cid", 6, 0), vote("bob", 7, 10)], "approved", "bob"),
        ([], "unapproved", "its forge tells of no approval"),
    ],
)
def test_votes_count_as_they_were_given(
    ledger: Ledger, tmp_path: Path, threads: list[Json], approval: str, why: str
) -> None:
    imported(ledger, tmp_path, bundle(*threads))
    assert verdict(ledger)[0] == approval
    assert why in verdict(ledger)[1]
    assert all(one.commit_deduced for one in ledger.facts(ReviewSubmitted))


def test_a_vote_in_the_very_second_of_a_push_is_of_no_known_head(
    ledger: Ledger, tmp_path: Path
) -> None:
    imported(ledger, tmp_path, bundle(vote("bob", 3, 10)))
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.commit, review.commit_deduced) == ("", False)


def test_iterations_tell_who_pushed_and_commits_who_wrote(ledger: Ledger, tmp_path: Path) -> None:
    imported(ledger, tmp_path, bundle())
    (push,) = ledger.facts(PullRequestPushed)
    assert (push.before, push.after, push.at) == (OLD, HEAD, "2026-03-01T10:03:00Z")
    (listed,) = ledger.facts(PullRequestListed)
    assert [one.commit for one in listed.commits] == [OLD, HEAD]
    assert listed.commits[0].author.email == "ann@x.org"
    assert listed.commits[0].author.login == ""


def test_old_threads_name_voters_by_id(ledger: Ledger, tmp_path: Path) -> None:
    old = vote("bob", 5, 10)
    del old["identities"], old["properties"]["CodeReviewVotedByIdentity"]
    old["properties"]["CodeReviewVotedByTfId"] = {"$value": "00BOB"}
    told = bundle(old, {**vote("cid", 6, 10), "identities": {}})
    told["pullRequest"]["reviewers"] = [{**user("bob"), "vote": 10}]
    imported(ledger, tmp_path, told)
    reviewers = [one.reviewer and one.reviewer.login for one in ledger.facts(ReviewSubmitted)]
    assert reviewers == ["bob@x.org", None]


def test_a_completed_pull_request_alone_tells_its_votes_without_times(
    ledger: Ledger, tmp_path: Path
) -> None:
    reviewers = [
        {**user("bob"), "vote": 10},
        {**user("cid"), "vote": 0},
        {"uniqueName": "team", "vote": 10, "isContainer": True},
    ]
    imported(ledger, tmp_path, {"value": [pull("completed", reviewers=reviewers)], "count": 1})
    (review,) = ledger.facts(ReviewSubmitted)
    assert (review.reviewer.login, review.submitted_at, review.commit) == ("bob@x.org", "", "")
    assert "undated" in verdict(ledger)[1]


def test_pushes_of_branches_are_told_with_who_pushed(ledger: Ledger, tmp_path: Path) -> None:
    def push(*updates: tuple[str, str, str]) -> Json:
        return {
            "repository": pull()["repository"],
            "pushedBy": {"uniqueName": "Windows Live ID\\ann@x.org", "displayName": "Ann"},
            "pushId": 14,
            "date": time(1),
            "commits": COMMITS,
            "refUpdates": [
                {"name": ref, "oldObjectId": old, "newObjectId": new} for ref, old, new in updates
            ],
        }

    main, gone = ("refs/heads/main", OLD, HEAD), ("refs/heads/gone", OLD, "0" * 40)
    imported(
        ledger,
        tmp_path,
        hook("git.push", 1, push(main)),
        hook("git.push", 2, push(gone, ("refs/tags/v1", "0" * 40, OLD))),
    )
    first, second = ledger.facts(RefPushed)
    assert (first.ref, first.before, first.after, first.push) == (*main, "14")
    assert (first.commits, first.at) == ([OLD, HEAD], "2026-03-01T10:01:00Z")
    assert (second.ref, second.after, second.commits) == ("refs/heads/gone", "", [])
    assert {one.actor.login for one in ledger.events() if one.actor} == {"ann@x.org"}


def test_other_hooks_are_ignored_and_nonsense_is_a_gap(ledger: Ledger, tmp_path: Path) -> None:
    imported(
        ledger,
        tmp_path,
        hook("build.complete", 1, {"status": "succeeded"}),
        {"message": "TF400813: The user is not authorized"},
        {"hello": "world"},
        pull("notSet"),
        {**pull(), "repository": {"name": "infra"}},
        bundle(vote("bob", 5, 7)),
        COMMITS[0],
    )
    gaps = [one.detail.partition(": ")[2] for one in ledger.facts(CollectorGap)]
    assert [one[:47] for one in gaps] == [
        "it is an error that the forge answered: TF40081",
        "it is no webhook and no pull request of Azure D",
        "a pull request in the unknown status 'notSet'",
        "it does not tell of which repository it is",
        "a vote of an unknown value: 7",
        "a commit alone does not tell of which pull requ",
    ]


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"remoteUrl": f"https://acme@{PAGE[8:]}"}, "dev.azure.com/acme/platform/_git/infra"),
        (
            {
                "name": "infra",
                "url": "https://dev.azure.com/acme/7a3f/_apis/git/repositories/0d50",
                "project": {"id": "7a3f", "name": "My Platform"},
            },
            "dev.azure.com/acme/my%20platform/_git/infra",
        ),
        (
            {
                "name": "infra",
                "url": "https://tfs.example.org/tfs/Ops/_apis/git/repositories/0d50",
                "project": {"id": "7a3f", "name": "infra"},
            },
            "tfs.example.org/tfs/ops/_git/infra",
        ),
    ],
)
def test_a_repository_is_named_as_git_clones_it(told: Json, name: str) -> None:
    assert forge_of(told) == name


def test_a_password_or_a_token_shows_who_sent_it() -> None:
    secret = b"correct:horse"

    def password(text: bytes) -> dict[str, str]:
        return {"authorization": f"Basic {base64.b64encode(text).decode()}"}

    assert authentic({"x-ledger-token": "correct:horse"}, b"", secret)
    assert authentic(password(b"anybody:correct:horse"), b"", secret)
    assert authentic(password(b"correct:horse"), b"", secret)
    for headers in (
        {},
        {"x-ledger-token": ""},
        {"authorization": "Basic !"},
        {"authorization": "Bearer correct:horse"},
        password(b"anybody:horse"),
        password(b""),
    ):
        assert not authentic(headers, b"", secret)
        assert not authentic(headers, b"", b"")


def test_a_retry_has_the_id_of_the_first_attempt() -> None:
    event = {"eventType": "git.push", "id": "e", "subscriptionId": "s", "notificationId": 3}
    assert identify({}, json.dumps(event).encode()) == "e/s/3"
    assert identify({}, json.dumps({"eventType": "git.push", "id": "e"}).encode()) == "e"
    assert identify({}, json.dumps({"id": "e"}).encode()) == ""
    assert identify({}, b"[]") == identify({}, b"{") == ""


# -- anything ------------------------------------------------------------------------------------


@given(st.data())
def test_any_part_of_a_payload_may_be_anything(data: st.DataObject) -> None:
    body = altered(
        data,
        [
            hook(
                "git.pullrequest.merged",
                9,
                pull("completed", reviewers=[{**user("bob"), "vote": 10}]),
            ),
            bundle(),
            {**bundle(), "threads": [vote("bob", 5, 10)]},
            vote("bob", 5, 10),
        ],
    )
    try:
        batch = events_from_value(Value("line 1", compact(body), body), bare_tools())
    except SourceError:
        return
    assert len(batch.events) + batch.ignored >= 1


# -- the API -------------------------------------------------------------------------------------


@dataclass
class Forge:
    """The repository infra of acme/platform, as far as the API of Azure DevOps shows it."""

    server: WebServer
    pulls: dict[int, Json] = field(default_factory=dict)
    threads: dict[int, list[Json]] = field(default_factory=dict)
    policies: list[Json] | None = field(default_factory=list)
    down: bool = False

    def open(self, number: int) -> None:
        repository = {"name": "infra", "url": "…", "project": {"name": "platform"}}
        self.pulls[number] = pull(pullRequestId=number, repository=repository)
        self.threads[number] = []

    def vote(self, number: int, who: str, minute: int, value: int) -> None:
        self.threads[number].append(vote(who, minute, value))
        others = [one for one in self.pulls[number]["reviewers"] if one["id"] != f"00-{who}"]
        self.pulls[number]["reviewers"] = [*others, {**user(who), "vote": value}]

    def complete(self, number: int) -> None:
        done = {"status": "completed", "closedDate": time(9), "closedBy": user("bob")}
        self.pulls[number] |= done

    def answer(self, asked: Asked) -> Reply:
        if self.down:
            return Reply(status=429, headers={"retry-after": "9999"})
        assert asked.query["api-version"] == "7.0"
        if asked.path == "/acme/platform/_apis/git/repositories/infra":
            return Reply({"id": REPOSITORY, "defaultBranch": "refs/heads/main"})
        if asked.path == "/acme/platform/_apis/policy/configurations":
            told = self.policies
            return Reply(status=403) if told is None else Reply({"value": told})
        prefix = "/acme/platform/_apis/git/repositories/infra/pullrequests"
        assert asked.path.startswith(prefix)
        parts = asked.path.removeprefix(prefix).strip("/").split("/")
        if parts == [""]:
            status = asked.query["searchCriteria.status"]
            found = [one for one in self.pulls.values() if status in ("all", one["status"])]
            return self._page(asked, found[::-1])
        number = int(parts[0])
        if number not in self.pulls:
            return Reply({"message": "TF401180: not found"}, status=404)
        if len(parts) == 1:
            return Reply(self.pulls[number])
        if parts[1] == "commits":
            return self._page(asked, COMMITS)
        return Reply({"value": self.threads[number] if parts[1] == "threads" else ITERATIONS})

    def _page(self, asked: Asked, found: list[Json]) -> Reply:
        skip, top = int(asked.query["$skip"]), int(asked.query["$top"])
        return Reply({"value": found[skip : skip + top]})


@pytest.fixture
def forge() -> Iterator[Forge]:
    with emulated(Forge) as forge:
        yield forge


@pytest.fixture
def reading(forge: Forge, tmp_path: Path) -> Ledger:
    (tmp_path / "token").write_text("secret-token\n")
    source = SourceSettings(
        kind=KIND,
        name="infra-azure",
        url=f"{forge.server.url}/acme/platform/_git/infra",
        token_file=str(tmp_path / "token"),
    )
    return make_ledger(tmp_path / "ledger", source)


def test_every_pull_request_is_read_with_its_votes_and_judged(
    forge: Forge, reading: Ledger
) -> None:
    for number in (3, 14, 15, 92):
        forge.open(number)
    forge.vote(3, "bob", 5, 10)
    forge.complete(3)
    forge.vote(14, "bob", 1, 10)
    forge.complete(14)
    forge.vote(15, "bob", 5, 10)
    reading.grow()
    sql = "select number, state, approval from pull_requests order by number"
    assert reading.rows(sql) == [
        (3, "merged", "approved"),
        (14, "merged", "unapproved"),
        (15, "open", "unapproved"),
        (92, "open", "unapproved"),
    ]
    pair = base64.b64encode(b":secret-token").decode()
    assert {one.headers.get("authorization") for one in forge.server.asked} == {f"Basic {pair}"}
    forge.server.asked.clear()
    assert reading.grow() == 0
    assert len(forge.server.asked) == 4  # two for the policies
    forge.vote(15, "bob", 6, -5)
    forge.complete(15)
    reading.grow()
    assert reading.rows(sql)[2] == (15, "merged", "unapproved")


def test_lists_of_many_pages_are_read_to_the_end(forge: Forge, reading: Ledger) -> None:
    for number in range(1, 104):
        forge.open(number)
        if number > 1:
            forge.complete(number)
    reading.grow()
    assert reading.rows("select count(*) from pull_requests") == [(103,)]
    assert "100" in {one.query.get("$skip") for one in forge.server.asked}


def test_reading_goes_on_where_it_failed(forge: Forge, reading: Ledger) -> None:
    for number in range(1, 43):
        forge.open(number)
        forge.complete(number)

    def answer(asked: Asked) -> Reply:
        forge.down = forge.down or "/pullrequests/10/" in asked.path
        return forge.answer(asked)

    forge.server.answer = answer
    (outcome,) = reading.ingest()
    assert "limit" in outcome.failure
    assert len(reading.facts(PullRequestMerged)) == 20
    forge.down, forge.server.answer = False, forge.answer
    forge.server.asked.clear()
    reading.grow()
    assert len(reading.facts(PullRequestMerged)) == 42
    assert not any("/pullrequests/42" in one.path for one in forge.server.asked)


REPOSITORY = "3C87F4F3-0000-4000-8000-000000000001"
BOB, OPS, EVE = (f"1d1dad71-f27c-4370-810d-00000000000{n}" for n in (1, 2, 3))


def policy(number: int, kind: str, *scopes: Json, **settings: Any) -> Json:
    """A policy as `policy/configurations` lists it; for main where no scope is given."""
    main = {"repositoryId": REPOSITORY.lower(), "refName": "refs/heads/main", "matchKind": "Exact"}
    return {
        "id": number,
        "isEnabled": True,
        "isBlocking": settings.pop("blocks", True),
        "isDeleted": False,
        "revision": 1,
        "type": {"id": kind, "displayName": "Comment requirements"},
        "settings": {**settings, "scope": list(scopes or [main])},
    }


MINIMUM_OF_TWO = {
    "minimumApproverCount": 2,
    "creatorVoteCounts": False,
    "allowDownvotes": False,
    "resetOnSourcePush": True,
    "blockLastPusherVote": True,
}
COMMENTS = "c6a1889d-b943-4856-b76f-9e46bb6b0df2"


def found_rules(ledger: Ledger) -> dict[tuple[str, str], RulesObserved]:
    return {(one.branch, one.ruleset): one for one in ledger.facts(RulesObserved)}


def test_policies_are_rules_for_their_branches(forge: Forge, reading: Ledger) -> None:
    other = {"repositoryId": BOB, "refName": "refs/heads/main", "matchKind": "Exact"}
    scopes = (
        {"repositoryId": None, "refName": "refs/heads/release", "matchKind": "Prefix"},
        {"repositoryId": None, "refName": None, "matchKind": "DefaultBranch"},
        {"repositoryId": REPOSITORY},
    )
    forge.policies = [
        policy(1, policies.MINIMUM, **MINIMUM_OF_TWO),
        policy(2, policies.MINIMUM, *scopes, blocks=False, minimumApproverCount=1),
        policy(3, policies.MINIMUM, other, minimumApproverCount=9),
        policy(4, policies.STRATEGY, allowSquash=True, allowRebase=False, allowNoFastForward=True),
        policy(5, COMMENTS),
        {**policy(6, COMMENTS), "isEnabled": False},
        {**policy(7, COMMENTS), "id": None},
    ]
    reading.grow()
    found = found_rules(reading)
    assert sorted(found) == [
        ("**", "minimum number of reviewers 2"),
        ("**", "no other rules"),
        ("main", "Comment requirements 5"),
        ("main", "merge strategy 4"),
        ("main", "minimum number of reviewers 1"),
        ("main", "minimum number of reviewers 2"),
        ("release/**", "minimum number of reviewers 2"),
    ]
    first = found["main", "minimum number of reviewers 1"]
    assert (first.enforced, first.pull_request_required, first.approvals_required) == (
        True,
        True,
        2,
    )
    assert (first.dismisses_stale, first.last_push_approval) == (True, True)
    assert (first.rejections_block, first.author_counts) == (True, False)
    advice = found["main", "minimum number of reviewers 2"]
    assert (advice.enforced, advice.pull_request_required, advice.author_counts) == (
        False,
        None,
        None,
    )
    assert found["main", "merge strategy 4"].merge_methods == ["merge", "squash"]
    assert found["main", "Comment requirements 5"].approvals_required is None
    assert reading.grow() == 0
    forge.policies = forge.policies[1:]
    reading.grow()
    assert found_rules(reading)["main", "minimum number of reviewers 1"].found is False


def test_a_policy_for_the_default_branch_of_an_empty_repository_is_for_none() -> None:
    scope = {"repositoryId": None, "refName": None, "matchKind": "DefaultBranch"}
    told = [policy(1, policies.MINIMUM, scope, minimumApproverCount=1)]
    assert list(policies.in_force(told, {"id": REPOSITORY}, {})) == []


def test_a_pull_request_is_judged_by_the_policies_that_were_seen(
    forge: Forge, reading: Ledger
) -> None:
    forge.policies = [policy(1, policies.MINIMUM, minimumApproverCount=2, creatorVoteCounts=True)]
    forge.open(7)
    forge.vote(7, "bob", 5, 10)
    reading.grow()
    forge.complete(7)
    reading.grow()
    rows = reading.rows("select approval, rules from pull_requests")
    # The author's vote may be one of two: one of somebody else is what is needed.
    assert rows == [("approved", "2 approvals, the author's own among them")]
    forge.policies = [policy(1, policies.MINIMUM, minimumApproverCount=3, creatorVoteCounts=True)]
    forge.open(8)
    forge.vote(8, "bob", 5, 10)
    reading.grow()
    forge.complete(8)
    reading.grow()
    rows = reading.rows("select approval, refusal from pull_requests where number = 8")
    assert rows == [("unapproved", "too_few")]


def test_required_reviewers_are_named_by_the_pull_requests_that_have_them(
    forge: Forge, reading: Ledger
) -> None:
    forge.open(7)
    forge.pulls[7]["reviewers"] = [
        {**user("bob"), "id": BOB.upper()},
        {"id": OPS, "displayName": "[platform]\\Ops", "isContainer": True},
    ]
    everybody = [BOB, OPS, EVE]
    forge.policies = [
        policy(1, policies.REQUIRED, requiredReviewerIds=everybody, minimumApproverCount=2),
        policy(2, policies.REQUIRED, requiredReviewerIds=[OPS], minimumApproverCount=2),
        policy(3, policies.REQUIRED, requiredReviewerIds=[BOB], filenamePatterns=["/db/*"]),
    ]
    reading.grow()
    told = {
        ruleset: (one.approvers, one.approvals_required)
        for (_, ruleset), one in found_rules(reading).items()
        if one.found
    }
    ops = "team:[platform]\\Ops"
    assert told == {
        f"required reviewer 1/{BOB}": (["bob@x.org"], 1),
        f"required reviewer 1/{OPS}": ([ops], 1),
        f"required reviewer 1/{EVE}": ([f"id:{EVE}"], 1),  # nothing tells who that is
        f"required reviewer 2/{OPS}": ([ops], 2),
        f"required reviewer 3/{BOB}": (["bob@x.org"], None),  # it depends on the change
    }
    forge.policies = [policy(1, policies.REQUIRED, requiredReviewerIds=[EVE])]
    forge.threads[7] = [vote("bob", 5, 10)]
    forge.complete(7)
    reading.grow()
    (row,) = reading.rows("select approval, refusal, reason from pull_requests")
    assert row[:2] == ("unknown", "unknown_approver")
    assert f"who id:{EVE} is was not known then" in row[2]


def test_policies_that_the_token_may_not_see_are_one_gap(forge: Forge, reading: Ledger) -> None:
    forge.policies = None
    forge.open(7)
    reading.grow()
    reading.grow()
    (gap,) = reading.facts(CollectorGap)
    assert gap.detail.startswith("the policies of 127.0.0.1/acme/platform/_git/infra: ")
    assert reading.rows("select count(*) from pull_requests") == [(1,)]


@given(st.data())
def test_any_part_of_a_policy_may_be_anything(data: st.DataObject) -> None:
    told = altered(data, [policy(1, policies.MINIMUM, **MINIMUM_OF_TWO), pull(),
                          policy(2, policies.REQUIRED, requiredReviewerIds=[BOB])])  # fmt: skip
    if isinstance(told, dict):
        names = policies.people([told])
        found = list(policies.in_force([told], {"id": REPOSITORY}, names))
        batch = ruled.changed(KIND, "dev.azure.com/acme/_git/infra", found, bare_tools())
        events = batch.events
        assert all(codec.encode(one, recorded_at="2026-03-01T12:00:00Z").leaf for one in events)


@pytest.mark.parametrize(
    ("url", "api", "path"),
    [
        (PAGE, "https://dev.azure.com/acme", "platform"),
        ("https://dev.azure.com/acme/_git/infra", "https://dev.azure.com/acme", "infra"),
        (
            "https://acme.visualstudio.com/My%20P/_git/infra",
            "https://acme.visualstudio.com",
            "My%20P",
        ),
        ("https://acme.visualstudio.com/_git/infra", "https://acme.visualstudio.com", "infra"),
        ("https://tfs.example.org/tfs/Ops/P/_git/infra", "https://tfs.example.org/tfs/Ops", "P"),
    ],
)
def test_addresses_of_a_repository(tmp_path: Path, url: str, api: str, path: str) -> None:
    found = options(Configured(name="a", url=url, mirror=tmp_path, folder=tmp_path, settings={}))
    assert (found.api, found.path) == (api, f"{path}/_apis/git/repositories/infra")


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    url = "https://dev.azure.com/acme/platform"
    (outcome,) = make_ledger(tmp_path / "l", SourceSettings(kind=KIND, name="a", url=url)).ingest()
    assert "is no repository of Azure DevOps" in outcome.failure


# -- real traffic --------------------------------------------------------------------------------


@pytest.mark.corpus
def test_recorded_traffic_is_understood(corpus: Path, tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger", TRACKED)
    files = sorted((corpus / "fixtures/forge-webhooks").glob("*azure*/*.json"))
    assert len(files) == 9
    ledger.hand_over(KIND, *files)
    raw = corpus / "fixtures/api-raw-devlake"
    told = {
        what: json.loads(_row(raw / f"_raw_azuredevops_go_api_{what}.csv"))
        for what in ("pull_requests", "pull_request_commits")
    }
    imported(
        ledger,
        tmp_path,
        {"pullRequest": told["pull_requests"], "commits": [told["pull_request_commits"]]},
    )
    assert ledger.facts(CollectorGap) == []
    assert ledger.facts(PullRequestClosed) == []
    assert {one.merge_commit[:6] for one in ledger.facts(PullRequestMerged)} == {"eef717"}
    names = {one.forge for one in ledger.facts(PullRequestOpened)}
    assert "dev.azure.com/johndoe/test-project/_git/test-repo2" in names
    (listed,) = ledger.facts(PullRequestListed)
    assert listed.commits[0].author.email == "john.doe@merico.dev"
    assert len(ledger.facts(RefPushed)) == 2


def _row(path: Path) -> str:
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.DictReader(file))["data"]
