"""GitHub's API is read from the oldest change on; reading stops and goes on anywhere."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ledger import deliveries
from ledger import ingest as shell
from ledger.config import SourceSettings
from ledger.events import (
    CheckCompleted,
    CollectorGap,
    Identity,
    PullRequestListed,
    PullRequestPushed,
    RefPushed,
    ReviewDismissed,
    ReviewSubmitted,
    RulesObserved,
    TeamObserved,
)
from ledger.ingest import Outcome
from ledger.sources import Configured
from ledger.sources.github.access import App, GithubOptions, connect, options
from ledger.store.inbox import Inbox
from ledger.testing import Ledger, make_ledger
from ledger.testing.github import MISSING, Delivery, Github, github, sha
from ledger.testing.servers import Asked, Reply

Json = dict[str, Any]


def at(forge: Github, **settings: Any) -> SourceSettings:
    """The forge as a source; nothing of the environment's is used."""
    return SourceSettings(
        kind="github", name="infra-github", url=f"{forge.server.url}/acme/infra", **settings
    )


def of(ledger: Ledger, kind: type[Any]) -> list[Any]:
    """The recorded events of a type."""
    return list(ledger.events(kind))


def deliver(ledger: Ledger, *delivered: Delivery) -> None:
    """Deliveries come, and are recorded."""
    with Inbox.open(ledger.settings.database_url) as inbox:
        for one in delivered:
            headers, body = one.signed(b"secret")
            inbox.accept("github", one.id, received_at=ledger.now, headers=headers, body=body)
    deliveries.drain(ledger.settings, clock=lambda: ledger.now)


@pytest.fixture
def forge() -> Iterator[Github]:
    with github() as forge:
        forge.page = 2
        yield forge


@pytest.fixture
def ledger(forge: Github, tmp_path: Path) -> Ledger:
    return with_token(forge, tmp_path, "")


@pytest.fixture
def on_both(forge: Github, tmp_path: Path, database_url: str) -> Ledger:
    """The same on SQLite and on PostgreSQL, for what the database could change."""
    return with_token(forge, tmp_path, database_url)


def with_token(forge: Github, tmp_path: Path, database: str) -> Ledger:
    (tmp_path / "token").write_text("secret-token\n")
    source = SourceSettings(
        kind="github",
        name="infra-github",
        url=f"{forge.server.url}/acme/infra",
        token_file=str(tmp_path / "token"),
    )
    return make_ledger(tmp_path / "ledger", source, database=database)


def verdicts(ledger: Ledger) -> list[tuple[Any, ...]]:
    return ledger.rows("select number, state, approval from pull_requests order by number")


def asked_of(forge: Github, what: str) -> list[str]:
    return [one.path.rpartition("infra/")[2] for one in forge.server.asked if what in one.path]


def test_every_pull_request_is_read_with_its_reviews_and_judged(
    forge: Github, on_both: Ledger
) -> None:
    for number in range(1, 6):
        forge.open(number)
    forge.review(2, "bob")
    forge.merge(2)
    forge.review(3, "ann")
    forge.merge(3)
    on_both.grow()
    assert verdicts(on_both) == [
        (1, "open", "unapproved"),
        (2, "merged", "approved"),
        (3, "merged", "unapproved"),
        (4, "open", "unapproved"),
        (5, "open", "unapproved"),
    ]
    (row,) = on_both.rows("select merged_by, merge_commit_sha from pull_requests where number = 2")
    assert row == ("bob", sha("merge", 2))
    assert {one.headers.get("authorization") for one in forge.server.asked} == {
        "Bearer secret-token"
    }


def test_who_wrote_a_commit_cannot_approve_alone(forge: Github, ledger: Ledger) -> None:
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


def test_nothing_new_is_two_requests_that_cost_nothing(forge: Github, ledger: Ledger) -> None:
    forge.open(1)
    ledger.grow()
    ledger.grow()
    forge.server.asked.clear()
    assert ledger.grow() == 0
    assert [one.path.rpartition("/")[2] for one in forge.server.asked] == ["issues", "activity"]
    assert all("if-none-match" in one.headers for one in forge.server.asked)


def test_what_changes_while_it_is_read_hides_nothing(forge: Github, ledger: Ledger) -> None:
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


def test_many_changes_in_one_second_are_all_read(forge: Github, ledger: Ledger) -> None:
    for number in range(1, 8):
        forge.open(number)
        forge.pulls[number]["updated_at"] = "2026-03-01T11:00:00Z"
    ledger.grow()
    assert len(verdicts(ledger)) == 7


def test_only_what_changed_is_read_again(forge: Github, ledger: Ledger) -> None:
    for number in range(1, 8):
        forge.open(number)
    ledger.grow()
    forge.server.asked.clear()
    forge.review(4, "bob")
    forge.merge(4)
    ledger.grow()
    assert set(asked_of(forge, "/pulls/")) == {"pulls/4", "pulls/4/reviews", "pulls/4/commits"}
    assert (4, "merged", "approved") in verdicts(ledger)


def test_reading_that_a_limit_stopped_goes_on_where_it_was(forge: Github, on_both: Ledger) -> None:
    for number in range(1, 6):
        forge.open(number)

    forge.fail("/pulls/5", Reply(status=403, headers={"retry-after": "3600"}))
    (outcome,) = on_both.ingest()
    assert "the limit of" in outcome.failure
    assert [row[0] for row in verdicts(on_both)] == [1, 2, 3, 4]
    forge.server.asked.clear()
    on_both.grow()
    assert [row[0] for row in verdicts(on_both)] == [1, 2, 3, 4, 5]
    assert "pulls/1" not in asked_of(forge, "/pulls/")


def test_a_pull_request_that_the_token_may_not_see_is_a_gap(forge: Github, ledger: Ledger) -> None:
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


def test_a_list_that_is_none_is_an_error_and_records_nothing(forge: Github, ledger: Ledger) -> None:
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


# -- what became of reviews and heads --------------------------------------------------------------


def test_a_review_that_was_dismissed_is_told_with_what_it_said(
    forge: Github, ledger: Ledger
) -> None:
    forge.open(1)
    forge.review(1, "bob")
    forge.dismiss(1, "mona")
    forge.merge(1)
    ledger.grow()
    [submitted] = of(ledger, ReviewSubmitted)
    [dismissed] = of(ledger, ReviewDismissed)
    assert (submitted.data.state, submitted.actor) == ("approved", Identity(login="bob"))
    assert (dismissed.data.review, dismissed.actor) == (
        submitted.data.review,
        Identity(login="mona"),
    )
    assert dismissed.occurred_at > submitted.occurred_at
    assert [row[2] for row in verdicts(ledger)] == ["unapproved"]


def test_who_forced_another_head_contributed(forge: Github, ledger: Ledger) -> None:
    forge.open(1)
    forge.force_push(1, "eve")
    forced = forge.pulls[1]["head"]["sha"]
    later = sha("a push that is not forced")
    forge.pulls[1] |= {"head": {"sha": later, "ref": "work"}, "updated_at": forge.now()}
    ledger.grow()
    [pushed] = of(ledger, PullRequestPushed)
    assert (pushed.actor, pushed.data.after) == (Identity(login="eve"), forced)
    assert ledger.rows("select head_sha from model_reported_pull_request") == [(later,)]


def test_the_checks_of_a_head_that_merged_are_told_once(forge: Github, ledger: Ledger) -> None:
    forge.open(1)
    forge.check(1, "test")
    forge.check(1, "lint", "failure")
    forge.status(1, "ci/build")
    forge.status(1, "ci/slow", "pending")
    ledger.grow()
    assert of(ledger, CheckCompleted) == []
    forge.merge(1)
    ledger.grow()
    forge.review(1, "bob")
    ledger.grow()
    found = [one.data for one in of(ledger, CheckCompleted)]
    assert [(one.name, one.conclusion, one.app) for one in found] == [
        ("test", "success", "github-actions"),
        ("lint", "failure", "github-actions"),
        ("ci/build", "success", ""),
    ]
    assert {one.commit for one in found} == {forge.pulls[1]["head"]["sha"]}


# -- pushes ----------------------------------------------------------------------------------------


def pushes(ledger: Ledger) -> list[tuple[Any, ...]]:
    return [
        (one.actor.login if one.actor else "", one.data.kind, one.data.forced)
        for one in of(ledger, RefPushed)
        if not one.data.result
    ]


def test_who_pushed_is_told_page_by_page_and_once(forge: Github, on_both: Ledger) -> None:
    for who, kind in [("ann", "push"), ("bob", "force_push"), ("renovate[bot]", "push")]:
        forge.push(who, kind)
    on_both.grow()
    forge.push("eve")
    on_both.grow()
    on_both.grow()
    assert pushes(on_both) == [
        ("ann", "push", False),
        ("bob", "force_push", True),
        ("renovate[bot]", "push", False),
        ("eve", "push", False),
    ]
    assert [one.data.pusher_is_bot for one in of(on_both, RefPushed)][2]


def test_a_webhook_and_the_api_tell_one_push_under_one_key(forge: Github, ledger: Ledger) -> None:
    delivery = forge.push("ann")
    deliver(ledger, delivery)
    ledger.grow()
    keys = {one.key.partition("#")[0] for one in of(ledger, RefPushed)}
    assert len(keys) == 1


def test_a_push_past_the_rules_names_those_that_it_passed_over(
    forge: Github, ledger: Ledger
) -> None:
    forge.push("ann")
    forge.judge("pass")
    forge.push("eve")
    forge.judge("bypass", "pull_request", "required_status_checks")
    forge.push("mal")
    forge.judge("fail", "pull_request")
    ledger.grow()
    told = {
        one.actor.login: (one.data.result, one.data.bypassed)
        for one in of(ledger, RefPushed)
        if one.data.result and one.actor
    }
    assert told == {
        "ann": ("pass", []),
        "eve": ("bypass", ["pull_request", "required_status_checks"]),
    }


def test_a_page_of_pushes_that_is_gone_is_read_anew(forge: Github, ledger: Ledger) -> None:
    forge.push("ann")
    ledger.grow()
    forge.push("bob")
    forge.push("cid")
    ledger.grow()
    forge.push("eve")
    forge.fail("/activity", Reply({"message": "Invalid cursor"}, status=422))
    ledger.grow()
    assert [row[0] for row in pushes(ledger)] == ["ann", "bob", "cid", "eve"]


# -- rules and teams -------------------------------------------------------------------------------

REVIEWED: Json = {
    "type": "pull_request",
    "parameters": {"required_approving_review_count": 1, "require_code_owner_review": True},
}


def look(ledger: Ledger) -> None:
    ledger.clock += timedelta(minutes=15)
    ledger.grow()


def rules(ledger: Ledger) -> list[tuple[Any, ...]]:
    return [
        (one.data.ruleset, one.data.found, one.data.approvals_required)
        for one in of(ledger, RulesObserved)
    ]


def test_rules_are_told_when_they_are_others_than_before(forge: Github, on_both: Ledger) -> None:
    look(on_both)
    look(on_both)
    first = [("branch protection", False, None), ("rulesets", False, None)]
    assert rules(on_both) == first
    forge.protection = {
        "required_pull_request_reviews": {"required_approving_review_count": 2},
        "enforce_admins": {"enabled": False},
        "required_status_checks": {"contexts": ["test"], "checks": [{"context": "test"}]},
    }
    forge.rulesets[31] = {
        "enforcement": "active",
        "rules": [REVIEWED],
        "bypass_actors": [{"actor_id": 7, "actor_type": "Team"}],
    }
    look(on_both)
    look(on_both)
    second = [("branch protection", True, 2), ("31", True, 1)]
    assert rules(on_both) == first + second
    last = [one.data for one in of(on_both, RulesObserved)][-2:]
    assert (last[0].checks_required, last[0].admins_included) == (["test"], False)
    assert (last[1].code_owners_required, last[1].bypassers) == (True, ["team:id 7"])
    del forge.rulesets[31]
    forge.protection = None
    look(on_both)
    look(on_both)
    third = [("branch protection", False, None), ("31", False, None)]
    assert rules(on_both) == first + second + third


def test_who_may_pass_over_a_ruleset_is_named_where_anything_tells_the_name(
    forge: Github, ledger: Ledger
) -> None:
    forge.teams = {"platform": ["bob"]}
    forge.logins = {41: "eve"}
    kinds = ["Team", "Integration", "User", "RepositoryRole"]
    known = {"Team": 1, "Integration": 15_368, "User": 41, "RepositoryRole": 4}
    forge.rulesets[31] = {
        "enforcement": "active",
        "rules": [REVIEWED],
        "bypass_actors": [
            *({"actor_id": known[kind], "actor_type": kind} for kind in kinds),
            *({"actor_id": 99, "actor_type": kind} for kind in kinds),
            {"actor_id": 1, "actor_type": "OrganizationAdmin"},
            {"actor_id": None, "actor_type": "DeployKey"},
        ],
    }
    forge.open(1)
    forge.check(1, "test")
    forge.merge(1)
    look(ledger)
    look(ledger)  # the name of the app is remembered: no check is read again
    last = [one.data for one in of(ledger, RulesObserved) if one.data.ruleset == "31"]
    assert [one.bypassers for one in last] == [
        [
            "app:github-actions",
            "app:id 99",
            "deploy_key",
            "eve",
            "role:id 99",
            "role:organization_admin",
            "role:write",
            "team:id 99",
            "team:platform",
            "user:id 99",
        ]
    ]
    assert not of(ledger, CollectorGap)


def test_rules_are_not_asked_for_with_every_pull(forge: Github, ledger: Ledger) -> None:
    ledger.grow()
    forge.server.asked.clear()
    ledger.grow()
    assert not asked_of(forge, "/rules/")


def test_a_team_is_told_when_others_are_in_it(forge: Github, ledger: Ledger) -> None:
    forge.teams = {"platform": ["bob", "ann"], "empty": []}
    look(ledger)
    look(ledger)
    forge.teams["platform"] = ["ann", "eve"]
    look(ledger)
    told = [one.data for one in of(ledger, TeamObserved)]
    assert [(one.team, [who.login for who in one.members]) for one in told] == [
        ("acme/platform", ["ann", "bob"]),
        ("acme/empty", []),
        ("acme/platform", ["ann", "eve"]),
    ]
    assert {one.forge for one in told} == {"127.0.0.1"}


def test_a_repository_of_a_person_has_no_teams(forge: Github, ledger: Ledger) -> None:
    forge.owner_type = "User"
    look(ledger)
    assert not asked_of(forge, "teams")


def test_what_the_token_may_not_read_is_a_gap_once_and_not_asked_for_until_tomorrow(
    forge: Github, ledger: Ledger
) -> None:
    parts = ("activity", "rule-suites", "protection", "/teams", "check-runs", "/events")
    forge.deny(*parts)
    forge.deny("rules/branches", reply=MISSING)
    forge.open(1)
    forge.review(1, "bob")
    forge.merge(1)
    look(ledger)
    assert [row[2] for row in verdicts(ledger)] == ["approved"]
    kinds = {one.data.kind for one in of(ledger, CollectorGap)}
    details = sorted(one.data.detail.partition(" of ")[0] for one in of(ledger, CollectorGap))
    assert kinds == {"denied"}
    assert details == sorted(
        ["branch protection", "checks", "events", "pushes", "rule suites", "rulesets", "teams"]
    )
    forge.server.asked.clear()
    forge.review(1, "cid")
    look(ledger)
    assert not [one for one in forge.server.asked if any(part in one.path for part in parts)]
    assert len(of(ledger, CollectorGap)) == 7
    forge.denied.clear()
    ledger.clock += timedelta(days=1)
    forge.review(1, "eve")
    look(ledger)
    assert pushes(ledger)
    assert of(ledger, RulesObserved)
    assert len(of(ledger, CollectorGap)) == 7


# -- deliveries that failed ------------------------------------------------------------------------


def test_what_github_could_not_deliver_is_recovered_and_named(
    forge: Github, tmp_path: Path
) -> None:
    ledger = make_ledger(tmp_path / "ledger", at(forge, hook=7))
    opened = forge.open(1)
    lost = forge.force_push(1, "eve")
    sent_again = forge.review(1, "bob")
    forge.failed = {lost.id: 503, sent_again.id: 503}
    deliver(ledger, opened)
    deliver(ledger, sent_again)
    ledger.clock = forge.clock + timedelta(minutes=50)
    ledger.grow()
    gap = [one.data for one in of(ledger, CollectorGap)]
    assert gap == []
    look(ledger)
    look(ledger)
    [gap] = [one.data for one in of(ledger, CollectorGap)]
    assert gap.kind == "undelivered"
    assert gap.detail.startswith(f"delivery {lost.id} (pull_request.synchronize) of ")
    assert [one.data.before for one in of(ledger, PullRequestPushed)] == [
        "",
        lost.body["before"],
    ]


# -- as an App -------------------------------------------------------------------------------------


@dataclass
class Tokens:
    """What GitHub gives an App, each for an hour."""

    key: rsa.RSAPublicKey
    given: list[str] = field(default_factory=list)
    asked_with: list[Json] = field(default_factory=list)

    def issue(self, jwt: str) -> Json | None:
        head, claims, signature = jwt.split(".")
        raw = [base64.urlsafe_b64decode(one + "==") for one in (head, claims, signature)]
        try:
            self.key.verify(raw[2], f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return None
        self.asked_with.append(json.loads(raw[1]))
        assert json.loads(raw[0]) == {"alg": "RS256", "typ": "JWT"}
        self.given.append(f"token-{len(self.given)}")
        until = datetime.fromtimestamp(self.asked_with[-1]["iat"] + 60 + 3_600, UTC)
        return {"token": self.given[-1], "expires_at": until.strftime("%Y-%m-%dT%H:%M:%SZ")}


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


@pytest.fixture
def app(forge: Github, tmp_path: Path, key: rsa.RSAPrivateKey) -> Tokens:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (tmp_path / "app.pem").write_bytes(pem)
    tokens = Tokens(key.public_key())
    forge.issue_token = tokens.issue
    forge.check_token = lambda told: told.removeprefix("Bearer ") == (tokens.given or [""])[-1]
    return tokens


def test_an_app_reads_with_the_token_of_its_installation(
    forge: Github, app: Tokens, tmp_path: Path
) -> None:
    source = at(forge, app_id=1234, app_key_file=str(tmp_path / "app.pem"))
    ledger = make_ledger(tmp_path / "ledger", source)
    forge.open(1)
    ledger.grow()
    assert [row[0] for row in verdicts(ledger)] == [1]
    claims = app.asked_with[-1]
    assert claims["iss"] == "1234"
    assert 0 < claims["exp"] - claims["iat"] <= 600
    assert not [one for one in ledger.events() if "token-" in repr(one)]


def test_a_token_is_renewed_before_it_ends(
    forge: Github, app: Tokens, key: rsa.RSAPrivateKey
) -> None:
    at_first = 1_790_000_000.0
    clock, given = [at_first], list[int]()
    forge.open(1)
    options = GithubOptions(
        name="x",
        forge="127.0.0.1/acme/infra",
        api=f"{forge.server.url}/api/v3",
        path="acme/infra",
        app=App(id="1234", key=key, installation=4711),
    )
    with contextlib.closing(connect(options, lambda: clock[0])) as api:
        for passed in (0, 3_200, 3_350, 3_600):
            clock[0] = at_first + passed
            api.get("repos/acme/infra")
            given.append(len(app.given))
    assert given == [1, 1, 2, 2]


@pytest.mark.usefixtures("app")
def test_an_app_that_is_not_installed_says_so(forge: Github, tmp_path: Path) -> None:
    source = at(forge, app_id=1234, app_key_file=str(tmp_path / "app.pem"), installation=1)
    (outcome,) = make_ledger(tmp_path / "ledger", source).ingest()
    assert "answered 404" in outcome.failure
    assert "Install the App" in outcome.hint


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"app_id": 1}, "needs app_id and app_key_file"),
        ({"app_id": 1, "app_key_file": "nowhere.pem"}, "cannot read the App's key in nowhere.pem"),
        ({"app_id": 1, "app_key_file": "ledger.toml"}, "it is no private key in PEM"),
        ({"app_id": 1, "app_key_file": "k", "token_file": "t"}, "and no token_file"),
    ],
)
def test_an_app_without_a_key_is_an_error_that_names_it(
    forge: Github, tmp_path: Path, settings: Json, says: str
) -> None:
    (outcome,) = make_ledger(tmp_path, at(forge, **settings)).ingest()
    assert says in outcome.failure


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://github.com/acme/infra", "https://api.github.com"),
        ("https://acme.ghe.com/acme/infra", "https://api.acme.ghe.com"),
        ("https://ghe.acme.com:8443/acme/infra.git", "https://ghe.acme.com:8443/api/v3"),
    ],
)
def test_the_api_of_a_host(tmp_path: Path, url: str, api: str) -> None:
    configured = Configured(name="x", url=url, mirror=tmp_path, folder=tmp_path, settings={})
    assert options(configured).api == api


def test_an_app_and_a_token_are_kept_in_the_configuration(tmp_path: Path) -> None:
    source = SourceSettings(
        kind="github", name="x", url="https://github.com/a/b", app_id="12", app_key_file="a.pem"
    )
    other = SourceSettings(kind="github", name="y", url="https://github.com/a/b", token_file="t")
    make_ledger(tmp_path, source, other)
    text = (tmp_path / "ledger.toml").read_text()
    assert 'app_id = "12"\napp_key_file = "a.pem"' in text
    assert 'token_file = "t"' in text


# -- faults ----------------------------------------------------------------------------------------


def story(forge: Github) -> None:
    for number in range(1, 13):
        forge.open(number)
        forge.review(number, "bob")
        if number % 3 == 0:
            forge.dismiss(number, "mona")
        if number % 2:
            forge.check(number, "test")
            forge.merge(number)
    forge.push("eve", "force_push")
    forge.protection = {"required_pull_request_reviews": {"required_approving_review_count": 1}}
    forge.rulesets[31] = {"enforcement": "active", "rules": [REVIEWED]}
    forge.teams = {"platform": ["ann", "bob"]}


def facts(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Everything but gaps, in the order of the log."""
    return [
        (one.key, one.occurred_at, one.actor, one.data)
        for one in ledger.events()
        if not isinstance(one.data, CollectorGap)
    ]


def test_a_server_with_every_fault_gives_the_same_log(forge: Github, tmp_path: Path) -> None:
    story(forge)
    whole = make_ledger(tmp_path / "whole", at(forge))
    once(whole)
    soon = {"retry-after": "0"}
    forge.fail("/pulls/2", Reply(status=429, headers=soon), Reply(status=503, headers=soon))
    forge.fail("/pulls/3/reviews", Reply(status=403, headers=soon))
    forge.fail("/pulls/5", Reply(b'{"number": 5, "sta'))
    later = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "4102444800"}
    forge.fail("/issues/7/events", Reply(status=403, headers=later))
    forge.fail("/pulls/8", *[Reply(status=503, headers=soon)] * 4)
    forge.fail("/activity", Reply(b"[", headers={"content-length": "9"}))
    forge.fail("/teams", Reply({"message": "bye"}, status=401))
    ledger = make_ledger(tmp_path / "ledger", at(forge))
    failures = []
    while failure := once(ledger).failure:
        failures.append(failure)
    assert not forge.failures
    assert len(failures) == 4
    assert "is no JSON" in failures[0]
    assert "limit of" in failures[1]
    assert "answered 401: bye" in failures[3]
    assert facts(ledger) == facts(whole)


KILLED = """
import sys
from ledger import config, ingest
settings = config.load()
ingest.ingest(settings, clock=lambda: "2026-06-01T00:00:00Z", processes=1)
"""


def once(ledger: Ledger) -> Outcome:
    """One ingest, always at the same time."""
    (outcome,) = shell.ingest(ledger.settings, clock=lambda: "2026-06-01T00:00:00Z", processes=1)
    return outcome


@pytest.mark.parametrize("request_number", [20, 50, 65])
def test_what_is_killed_while_it_reads_goes_on_to_the_same_log(
    forge: Github, tmp_path: Path, request_number: int
) -> None:
    story(forge)
    whole = make_ledger(tmp_path / "whole", at(forge))
    once(whole)
    assert len(forge.server.asked) > 68
    forge.server.asked.clear()
    ledger = make_ledger(tmp_path / "ledger", at(forge))
    children: list[subprocess.Popen[bytes]] = []

    def answer(asked: Asked) -> Reply:
        if len(forge.server.asked) == request_number:
            children[0].kill()
        return forge.answer(asked)

    forge.server.answer = answer
    environment = os.environ | {"LEDGER_CONFIG": str(tmp_path / "ledger" / "ledger.toml")}
    children.append(subprocess.Popen([sys.executable, "-c", KILLED], env=environment))
    assert children[0].wait() == -signal.SIGKILL
    forge.server.answer = forge.answer
    forge.server.asked.clear()
    assert once(ledger).failure == ""
    assert facts(ledger) == facts(whole)
    assert len(forge.server.asked) <= 70


def test_a_repository_that_was_renamed_is_followed_on_its_own_server_alone(
    forge: Github, tmp_path: Path
) -> None:
    forge.open(1)
    moved = {"location": f"{forge.server.url}/api/v3/repositories/9001/pulls/1"}
    forge.fail("repos/acme/infra/pulls/1", Reply(status=301, headers=moved))
    ledger = make_ledger(tmp_path / "a", at(forge))
    forge.fail("repositories/9001/pulls/1", Reply(forge.pulls[1]))
    ledger.grow()
    assert [row[0] for row in verdicts(ledger)] == [1]
    moved = {"location": "https://evil.example.com/repositories/9001/pulls/1"}
    forge.fail("repos/acme/infra/pulls/1", Reply(status=301, headers=moved))
    (outcome,) = make_ledger(tmp_path / "b", at(forge)).ingest()
    assert "leads to another server, evil.example.com" in outcome.failure
