"""The API of Gitea and Forgejo is read from the oldest change on; what it misleads about is not believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from ledger.cli.sources import source
from ledger.config import SourceSettings, load
from ledger.events import (
    CheckCompleted,
    CollectorGap,
    NewEvent,
    PullRequestListed,
    PullRequestMerged,
    ReviewDismissed,
    ReviewsListed,
    ReviewSubmitted,
    RulesObserved,
    TeamObserved,
)
from ledger.sources import Configured
from ledger.sources.gitea.polling import options
from ledger.store import schema
from ledger.testing import Ledger, make_ledger
from ledger.testing.servers import Asked, Reply, WebServer, emulated

Json = dict[str, Any]
MERGE, LATER = "d" * 40, "e" * 40
PUBLIC = "https://git.example.org/forge/acme/infra"


def sha(number: int) -> str:
    return f"{number:040x}"


def user(login: str) -> Json:
    return {"id": len(login) + 10, "login": login, "email": f"{login}@example.org"}


@dataclass
class Forge:
    """The repository acme/infra of a Gitea below /forge, as far as its API shows it.

    Its `Link` names its public address, its list of reviews has none, and a merged pull request shows the
    tip of its branch, as Gitea does.
    """

    server: WebServer
    most: int = 2
    pulls: dict[int, Json] = field(default_factory=dict)
    reviews: dict[int, list[Json]] = field(default_factory=dict)
    commits: dict[int, list[Json]] = field(default_factory=dict)
    statuses: dict[str, list[Json]] = field(default_factory=dict)
    protections: list[Json] | None = field(default_factory=list)
    teams: dict[str, list[str]] = field(default_factory=dict)
    clock: int = 0

    def now(self) -> str:
        self.clock += 1
        return f"2026-03-01T11:{self.clock // 60:02d}:{self.clock % 60:02d}+01:00"

    def open(self, number: int, author: str = "ann", commits: int = 1) -> None:
        at = self.now()
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "title": f"Change {number}",
            "user": user(author),
            "html_url": f"{PUBLIC}/pulls/{number}",
            "head": {"ref": "work", "label": "work"},
            "base": {"sha": "c" * 40, "ref": "main"},
            "labels": [],
            "merged": False,
            "merged_at": None,
            "created_at": at,
            "updated_at": at,
        }
        self.commits[number] = []
        self.reviews[number] = []
        for _ in range(commits):
            self.push(number, author)

    def push(self, number: int, who: str) -> None:
        listed = self.commits[number]
        parents = [{"sha": listed[0]["sha"] if listed else "c" * 40}]
        name = sha(1_000 * number + len(listed))
        listed.insert(0, {"sha": name, "author": user(who), "committer": None, "parents": parents})
        self.pulls[number]["head"]["sha"] = name
        self.pulls[number]["updated_at"] = self.now()

    def review(self, number: int, who: str, state: str = "APPROVED", **more: Any) -> int:
        at = self.now()
        identifier = 10_000 + self.clock
        self.reviews[number].append(
            {
                "id": identifier,
                "user": user(who),
                "team": None,
                "state": state,
                "commit_id": self.pulls[number]["head"]["sha"],
                "stale": False,
                "official": True,
                "dismissed": False,
                "submitted_at": at,
                "updated_at": at,
                "html_url": f"{PUBLIC}/pulls/{number}#issuecomment-{identifier}",
                "pull_request_url": f"{PUBLIC}/pulls/{number}",
                **more,
            }
        )
        self.pulls[number]["updated_at"] = at
        return identifier

    def merge(self, number: int, who: str = "bob") -> None:
        at = self.now()
        self.pulls[number] |= {
            "state": "closed",
            "merged": True,
            "merged_at": at,
            "closed_at": at,
            "updated_at": at,
            "merged_by": user(who),
            "merge_commit_sha": MERGE,
        }

    def answer(self, asked: Asked) -> Reply:
        path = asked.path.removeprefix("/forge/api/v1/")
        if path.startswith("repos/"):
            return self.of_repository(asked, path.removeprefix("repos/acme/infra/"))
        if path == "settings/api":
            return Reply({"max_response_items": self.most, "default_paging_num": 1})
        if path == "orgs/acme/teams":
            found = [{"id": index, "name": name} for index, name in enumerate(self.teams, 1)]
            return self.page(asked, found)
        name = list(self.teams)[int(path.split("/")[1]) - 1]
        return self.page(asked, [user(login) for login in self.teams[name]])

    def of_repository(self, asked: Asked, rest: str) -> Reply:
        if rest == "branch_protections":
            hidden = self.protections is None
            return Reply({"message": "no"}, status=403) if hidden else Reply(self.protections)
        if rest == "pulls":
            assert asked.query["state"] == "all"
            assert asked.query["sort"] == "recentupdate"
            newest = sorted(self.pulls.values(), key=lambda one: str(one["updated_at"]))[::-1]
            return self.page(asked, newest, link=True)
        if rest.startswith("commits/"):
            return self.page(asked, self.statuses.get(rest.split("/")[1], []), link=True)
        number, _, what = rest.removeprefix("pulls/").partition("/")
        if int(number) not in self.pulls:
            return Reply({"message": "not found"}, status=404)
        if not what:
            return Reply(self.pulls[int(number)])
        items = (self.commits if what == "commits" else self.reviews)[int(number)]
        return self.page(asked, items, link=what == "commits")

    def page(self, asked: Asked, items: list[Json], *, link: bool = False) -> Reply:
        page, size = int(asked.query["page"]), min(self.most, int(asked.query["limit"]))
        more = len(items) > page * size
        public = f'<https://git.example.org{asked.path}?page={page + 1}>; rel="next"'
        headers = {"link": public} if link and more else {}
        return Reply(items[(page - 1) * size : page * size], headers=headers)


@pytest.fixture
def forge() -> Iterator[Forge]:
    with emulated(Forge) as forge:
        yield forge


def tracking(forge: Forge, folder: Path, kind: str = "gitea") -> SourceSettings:
    (folder / "token").write_text("secret-token\n")
    return SourceSettings(
        kind=kind,
        name="infra-forge",
        url=f"{forge.server.url}/forge/acme/infra",
        forge="git.example.org/forge/acme/infra",
        token_file=str(folder / "token"),
    )


@pytest.fixture
def ledger(forge: Forge, tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path / "ledger", tracking(forge, tmp_path))


def verdicts(ledger: Ledger) -> list[tuple[Any, ...]]:
    return ledger.rows("select number, state, approval from pull_requests order by number")


def asked_of(forge: Forge, what: str) -> list[str]:
    return [one.path.rpartition("infra/")[2] for one in forge.server.asked if what in one.path]


@pytest.mark.parametrize("kind", ["gitea", "forgejo"])
def test_every_pull_request_is_read_with_its_reviews_and_judged(
    forge: Forge, tmp_path: Path, database_url: str, kind: str
) -> None:
    for number in range(1, 6):
        forge.open(number)
    for _ in range(3):
        forge.review(2, "cid", "COMMENT")
    forge.review(2, "bob")  # on the second page of a list without Link
    forge.merge(2)
    forge.review(3, "ann")
    forge.merge(3)
    ledger = make_ledger(
        tmp_path / "ledger", tracking(forge, tmp_path, kind), database=database_url
    )
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
    asked = {one.headers.get("authorization") for one in forge.server.asked}
    assert asked == {"token secret-token"}
    assert {one.forge for one in ledger.facts(PullRequestMerged)} == {
        "git.example.org/forge/acme/infra"
    }


def test_the_merged_head_is_that_of_the_listed_commits_and_not_the_tip_of_the_branch(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1, commits=3)
    head = forge.pulls[1]["head"]["sha"]
    forge.review(1, "bob")
    forge.merge(1)
    forge.pulls[1]["head"]["sha"] = LATER  # the branch went on
    ledger.grow()
    (merged,) = ledger.facts(PullRequestMerged)
    assert merged.pull_request.head == head
    assert verdicts(ledger) == [(1, "merged", "approved")]
    (listed,) = ledger.facts(PullRequestListed)
    assert [one.commit for one in listed.commits] == [sha(1_000), sha(1_001), sha(1_002)]


def test_a_merged_head_that_nothing_tells_stays_unknown(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.review(1, "bob")
    forge.merge(1)
    forge.commits[1] = []
    ledger.grow()
    (merged,) = ledger.facts(PullRequestMerged)
    assert merged.pull_request.head == ""
    assert verdicts(ledger) == [(1, "merged", "unapproved")]


def test_who_wrote_a_commit_cannot_approve_alone(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.push(1, "bob")
    forge.review(1, "bob")
    forge.merge(1)
    ledger.grow()
    assert verdicts(ledger) == [(1, "merged", "unapproved")]


def test_nothing_new_is_one_page_and_the_rules_and_records_nothing(
    forge: Forge, ledger: Ledger
) -> None:
    for number in range(1, 5):
        forge.open(number)
    ledger.grow()
    forge.server.asked.clear()
    assert ledger.grow() == 0
    assert asked_of(forge, "infra/") == ["branch_protections", "pulls"]


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


def test_what_changes_while_it_is_read_hides_nothing(forge: Forge, ledger: Ledger) -> None:
    for number in range(1, 8):
        forge.open(number)

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/pulls") and asked.query["page"] == "2" and not forge.reviews[1]:
            forge.review(1, "bob")  # moves to the top; what stood above moves down a place
        return forge.answer(asked)

    forge.server.answer = answer
    ledger.grow()
    ledger.grow()
    assert [row[0] for row in verdicts(ledger)] == [1, 2, 3, 4, 5, 6, 7]
    assert ledger.rows("select number, reviewer from reviews") == [(1, "bob")]


def test_many_changes_in_one_second_are_all_read(forge: Forge, ledger: Ledger) -> None:
    for number in range(1, 6):
        forge.open(number)
        forge.pulls[number]["updated_at"] = "2026-03-01T12:00:00Z"
    ledger.grow()
    forge.open(6)
    forge.pulls[6]["updated_at"] = "2026-03-01T12:00:00Z"
    ledger.grow()
    assert len(verdicts(ledger)) == 6


def test_a_change_in_the_second_of_the_last_one_that_was_read_is_read(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.open(2)
    ledger.grow()
    forge.review(1, "bob")
    forge.pulls[1]["updated_at"] = forge.pulls[2]["updated_at"]
    ledger.grow()
    assert ledger.rows("select number, reviewer from reviews") == [(1, "bob")]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (Reply(status=429, headers={"retry-after": "3600"}), "the limit of"),
        (Reply(b'{"number": 5, "sta'), "no JSON"),
        (Reply(b"", headers={"location": "https://elsewhere.example.org/"}, status=302), "another"),
    ],
)
def test_reading_that_something_stopped_goes_on_where_it_was(
    forge: Forge, ledger: Ledger, bad: Reply, says: str
) -> None:
    for number in range(1, 6):
        forge.open(number)
    broken = True
    forge.server.answer = lambda asked: (
        bad if broken and asked.path.endswith("/pulls/5") else forge.answer(asked)
    )
    (outcome,) = ledger.ingest()
    assert says in outcome.failure
    assert [row[0] for row in verdicts(ledger)] == [1, 2, 3, 4]
    broken = False
    forge.server.asked.clear()
    ledger.grow()
    assert [row[0] for row in verdicts(ledger)] == [1, 2, 3, 4, 5]
    assert asked_of(forge, "/pulls/") == ["pulls/5", "pulls/5/reviews", "pulls/5/commits"]


def test_a_server_that_tells_no_limits_is_read_to_an_empty_page(
    forge: Forge, ledger: Ledger
) -> None:
    for number in range(1, 4):
        forge.open(number)
    for who in ("bob", "cid", "dan"):
        forge.review(2, who)
    forge.server.answer = lambda asked: (
        Reply(status=404) if asked.path.endswith("settings/api") else forge.answer(asked)
    )
    ledger.grow()
    assert len(verdicts(ledger)) == 3
    assert len(ledger.rows("select * from reviews")) == 3


def test_a_pull_request_that_cannot_be_read_is_a_gap(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.open(2)
    forge.server.answer = lambda asked: (
        Reply({"message": "Not Found"}, status=404)
        if "/pulls/1" in asked.path
        else forge.answer(asked)
    )
    ledger.grow()
    (gap,) = ledger.facts(CollectorGap)
    assert gap.detail.startswith("pull request 1 of git.example.org/forge/acme/infra: ")
    assert gap.kind == "unreadable"
    assert [row[0] for row in verdicts(ledger)] == [2]


def test_a_dismissed_review_keeps_what_it_said(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    first = forge.review(1, "bob")
    forge.reviews[1][0] |= {"dismissed": True, "updated_at": forge.now()}
    second = forge.review(1, "bob", "REQUEST_REVIEW")
    forge.merge(1)
    ledger.grow()
    (given,), (gone,) = ledger.facts(ReviewSubmitted), ledger.facts(ReviewDismissed)
    assert (given.review, given.state) == (str(first), "approved")
    assert (gone.review, gone.at) == (str(first), "2026-03-01T10:00:04Z")
    (listed,) = ledger.facts(ReviewsListed)
    assert [(one.review, one.dismissed) for one in listed.reviews] == [(str(first), True)]
    assert verdicts(ledger) == [(1, "merged", "unapproved")]
    assert second


def test_a_review_that_changed_after_the_merge_was_dismissed_nobody_knows_when(
    forge: Forge, ledger: Ledger
) -> None:
    forge.open(1)
    forge.review(1, "bob")
    forge.merge(1)
    forge.reviews[1][0] |= {"dismissed": True, "updated_at": forge.now()}
    ledger.grow()
    assert ledger.facts(ReviewDismissed)[0].at == ""
    assert verdicts(ledger) == [(1, "merged", "unapproved")]


def test_a_review_was_given_when_its_draft_was_submitted(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    forge.review(1, "bob")
    forge.merge(1)
    forge.reviews[1][0]["updated_at"] = forge.now()  # begun before the merge, given after it
    ledger.grow()
    assert verdicts(ledger) == [(1, "merged", "unapproved")]


def test_statuses_of_the_head_that_ended_are_checks(forge: Forge, ledger: Ledger) -> None:
    forge.open(1)
    head = forge.pulls[1]["head"]["sha"]
    forge.statuses[head] = [
        {
            "id": index,
            "status": state,
            "context": f"ci / {state}",
            "target_url": "https://ci.example.org/1",
            "creator": user("ci"),
            "created_at": forge.now(),
        }
        for index, state in enumerate(["pending", "success", "failure", "warning"], 1)
    ]
    ledger.grow()
    found = [(one.name, one.conclusion, one.commit) for one in ledger.facts(CheckCompleted)]
    assert found == [
        ("ci / success", "success", head),
        ("ci / failure", "failure", head),
        ("ci / warning", "neutral", head),
    ]


PROTECTED = {
    "rule_name": "main",
    "branch_name": "main",
    "priority": 1,
    "enable_push": True,
    "enable_push_whitelist": True,
    "push_whitelist_usernames": ["release-bot"],
    "push_whitelist_teams": [],
    "enable_merge_whitelist": True,
    "merge_whitelist_usernames": [],
    "merge_whitelist_teams": ["Platform"],
    "enable_status_check": True,
    "status_check_contexts": ["ci / test", "ci / lint"],
    "required_approvals": 2,
    "enable_approvals_whitelist": True,
    "approvals_whitelist_username": ["bob"],
    "approvals_whitelist_teams": ["Platform"],
    "block_on_rejected_reviews": True,
    "dismiss_stale_approvals": True,
    "ignore_stale_approvals": False,
    "require_signed_commits": True,
    "block_admin_merge_override": False,
}


def test_rules_and_the_teams_in_them_are_told_when_they_change(
    forge: Forge, ledger: Ledger
) -> None:
    forge.protections = [PROTECTED]
    forge.teams = {"Owners": ["eve"], "Other": [], "Platform": ["dan", "cid"]}
    ledger.grow()
    ledger.grow()
    (rule,), (team,) = ledger.facts(RulesObserved), ledger.facts(TeamObserved)
    assert (rule.branch, rule.approvals_required, rule.priority) == ("main", 2, 1)
    assert rule.approvers == ["bob", "team:acme/Platform"]
    assert rule.mergers == ["team:acme/Platform"]
    assert rule.bypassers == ["release-bot", "role:admin"]
    assert rule.checks_required == ["ci / lint", "ci / test"]
    assert (rule.pull_request_required, rule.admins_included) == (True, False)
    assert (rule.dismisses_stale, rule.stale_ignored) == (True, False)
    assert (rule.rejections_block, rule.signatures_required) == (True, True)
    assert (team.forge, team.team) == ("git.example.org", "acme/Platform")
    assert [one.login for one in team.members] == ["cid", "dan"]
    forge.protections = [PROTECTED | {"required_approvals": 1}]
    forge.teams["Platform"].append("fay")
    ledger.grow()
    assert [one.approvals_required for one in ledger.facts(RulesObserved)] == [2, 1]
    assert len(ledger.facts(TeamObserved)) == 2
    forge.protections = []
    ledger.grow()
    ledger.grow()
    assert [one.found for one in ledger.facts(RulesObserved)] == [True, True, False]


@pytest.mark.parametrize(
    ("changed", "required", "passers", "approvers"),
    [
        ({"enable_push": False}, True, [], []),
        ({"enable_push": True, "enable_push_whitelist": False}, False, ["role:write"], []),
        ({"enable_push": True, "enable_push_whitelist": True}, True, [], []),
        ({"enable_push": False, "enable_approvals_whitelist": True}, True, [], ["role:nobody"]),
        ({"enable_push": False, "apply_to_admins": True}, True, [], []),  # Forgejo's word
        ({"enable_push": False, "apply_to_admins": False}, True, ["role:admin"], []),
        ({}, None, [], []),
    ],
)
def test_who_may_pass_over_a_rule(
    forge: Forge, ledger: Ledger, changed: Json, required: Any, passers: Any, approvers: Any
) -> None:
    forge.protections = [{"rule_name": "release/*", **changed}]
    ledger.grow()
    (rule,) = ledger.facts(RulesObserved)
    assert rule.branch == "release/*"
    assert rule.approvals_required is None
    assert (rule.pull_request_required, rule.bypassers) == (required, passers)
    assert rule.approvers == approvers


def test_no_rules_at_all_are_told_once(forge: Forge, ledger: Ledger) -> None:
    forge.protections = []
    ledger.grow()
    ledger.grow()
    (rule,) = ledger.facts(RulesObserved)
    assert (rule.branch, rule.found) == ("**", False)


def test_rules_that_the_token_may_not_read_are_a_gap_and_hide_nothing_else(
    forge: Forge, ledger: Ledger
) -> None:
    forge.protections = None
    forge.open(1)
    ledger.grow()
    ledger.grow()
    (gap,) = ledger.facts(CollectorGap)
    assert "branch protections of git.example.org/forge/acme/infra" in gap.detail
    assert gap.kind == "denied"
    assert len(verdicts(ledger)) == 1


def test_a_rule_that_cannot_be_read_is_a_gap_and_takes_no_other_away(
    forge: Forge, ledger: Ledger
) -> None:
    forge.protections = [PROTECTED]
    forge.teams = {"Platform": []}
    ledger.grow()
    forge.protections = [PROTECTED | {"rule_name": "", "branch_name": ""}]
    ledger.grow()
    assert [one.found for one in ledger.facts(RulesObserved)] == [True]
    assert len(ledger.facts(CollectorGap)) == 1


def reviewed(forge: Forge, number: int, who: str, kind: str = "approved") -> Json:
    """The webhook that Gitea sends when somebody gave a review, just now."""
    return {
        "action": "reviewed",
        "number": number,
        "pull_request": json.loads(json.dumps(forge.pulls[number])),
        "repository": {"html_url": PUBLIC},
        "sender": user(who),
        "commit_id": "",
        "review": {"type": f"pull_request_review_{kind}", "content": ""},
    }


def deliver(ledger: Ledger, folder: Path, *bodies: Json) -> None:
    file = folder / f"delivered-{len(list(folder.glob('delivered-*')))}.json"
    file.write_text(json.dumps(bodies))
    ledger.hand_over("gitea", file)


@pytest.mark.parametrize("first", ["webhook", "api"])
def test_a_review_of_the_webhook_and_of_the_api_is_one(
    forge: Forge, ledger: Ledger, tmp_path: Path, first: str
) -> None:
    forge.open(1)
    identifier = forge.review(1, "bob")
    body = reviewed(forge, 1, "bob")
    forge.merge(1)
    for step in ["webhook", "api"] if first == "webhook" else ["api", "webhook"]:
        if step == "webhook":
            deliver(ledger, tmp_path, body)
        else:
            ledger.grow()
    rows = ledger.rows("select review, reviewer, state, commit_sha from reviews")
    assert rows == [(str(identifier), "bob", "approved", forge.commits[1][0]["sha"])]
    assert verdicts(ledger) == [(1, "merged", "approved")]


def test_what_the_api_tells_of_the_commit_of_a_review_stands_against_the_webhook(
    forge: Forge, ledger: Ledger, tmp_path: Path
) -> None:
    forge.open(1)
    seen = forge.pulls[1]["head"]["sha"]
    forge.push(1, "ann")  # while bob looked at what was there before
    forge.review(1, "bob", commit_id=seen, stale=True)
    deliver(ledger, tmp_path, reviewed(forge, 1, "bob"))
    forge.merge(1)
    ledger.grow()
    assert ledger.rows("select commit_sha from reviews") == [(seen,)]
    assert verdicts(ledger) == [(1, "merged", "unapproved")]


def test_a_review_that_only_the_webhook_told_counts(
    forge: Forge, ledger: Ledger, tmp_path: Path
) -> None:
    forge.open(1)
    ledger.grow()
    forge.review(1, "bob")
    deliver(ledger, tmp_path, reviewed(forge, 1, "bob"))
    assert ledger.rows("select reviewer, state from reviews") == [("bob", "approved")]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("git@git.example.org:acme/infra.git", "is no repository of Gitea"),
        ("https://git.example.org/acme", "is no repository of Gitea"),
    ],
)
def test_an_address_that_is_no_repository(tmp_path: Path, url: str, says: str) -> None:
    ledger = make_ledger(tmp_path, SourceSettings(kind="gitea", name="x", url=url))
    (outcome,) = ledger.ingest()
    assert says in outcome.failure


@pytest.mark.parametrize(("kind", "token"), [("gitea", "of Gitea"), ("forgejo", "of Forgejo")])
def test_a_source_is_added_by_the_name_of_its_forge_and_has_its_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, token: str
) -> None:
    file = tmp_path / "ledger.toml"
    file.write_text('database = "sqlite:///ledger.db"\n')
    monkeypatch.setenv("LEDGER_CONFIG", str(file))
    monkeypatch.setenv("GITEA_TOKEN", "of Gitea\n")
    monkeypatch.setenv("FORGEJO_TOKEN", "of Forgejo\n")
    given = ["add", kind, "x", "--url", "https://example.org:3000/git/Acme/infra.git"]
    assert CliRunner().invoke(source, given).exit_code == 0
    added = load().find_source("x")
    configured = Configured(
        name="x",
        url=added.url,
        mirror=tmp_path,
        folder=tmp_path,
        settings=msgspec.to_builtins(added),
    )
    found = options(configured)
    assert (found.api, found.path) == ("https://example.org:3000/git/api/v1", "Acme/infra")
    assert (found.forge, found.token) == ("example.org/git/acme/infra", token)


def test_a_list_that_is_none_is_an_error(forge: Forge, ledger: Ledger) -> None:
    forge.server.answer = lambda asked: (
        Reply({"message": "hello"}) if asked.path.endswith("/pulls") else forge.answer(asked)
    )
    (outcome,) = ledger.ingest()
    assert "pulls is no list" in outcome.failure


def shown(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """What the views show, but for what says which telling came first."""
    views = {view.name: view for view in schema.views()}
    found = {}
    for name in ("pull_requests", "reviews", "checks", "rules_in_force"):
        columns = [
            one for one in views[name].columns if one not in ("evidence_position", "recorded_at")
        ]
        found[name] = sorted(ledger.rows(f"select {', '.join(columns)} from {name}"), key=repr)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_any_order_and_repetition_of_what_both_tell_gives_the_same_tables(
    forge: Forge, ledger: Ledger, tmp_path: Path, seed: int
) -> None:
    forge.protections = [PROTECTED]
    forge.teams = {"Platform": ["cid"]}
    forge.open(1, "ann", 2)
    forge.review(1, "bob")
    bodies = [reviewed(forge, 1, "bob")]
    ledger.grow()
    forge.push(1, "ann")
    forge.reviews[1][0] |= {"dismissed": True, "official": False, "updated_at": forge.now()}
    forge.review(1, "cid")
    bodies.append(reviewed(forge, 1, "cid"))
    forge.review(1, "bob", "REQUEST_CHANGES")
    bodies.append(reviewed(forge, 1, "bob", "rejected"))
    forge.statuses[forge.pulls[1]["head"]["sha"]] = [
        {"id": 1, "status": "success", "context": "ci / test", "created_at": forge.now()}
    ]
    ledger.grow()
    forge.review(1, "bob")
    forge.merge(1)
    ledger.grow()
    deliver(ledger, tmp_path, *bodies)
    told = [
        NewEvent(
            stream=one.stream,
            key=one.key.partition("#")[0],
            source=one.source,
            occurred_at=one.occurred_at,
            actor=one.actor,
            data=one.data,
        )
        for one in ledger.events()
    ]
    mixed = sorted(told + told[::3], key=lambda one: sha256(f"{seed} {one}".encode()).digest())
    other = make_ledger(tmp_path / "other")
    half = len(mixed) // 2
    other.tell(*mixed[:half])
    other.tell(*mixed[half:])
    assert shown(other) == shown(ledger)
    assert verdicts(other) == [(1, "merged", "approved")]
