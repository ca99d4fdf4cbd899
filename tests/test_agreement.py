"""Every question tells one fact alike: when, history, blame, trace, changes, and the views, on the demo."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from ledger import demo
from ledger.cli import cli

Ask = Callable[..., Any]
SPAN = ("--since", "2025-09-01", "--until", "2025-10-01")


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Asks the demo's ledger for JSON."""
    folder = tmp_path_factory.mktemp("agreement") / "demo"
    demo.run(folder)
    environment = {"LEDGER_CONFIG": str(folder / "ledger.toml"), "LEDGER_DATABASE": ""}

    def call(*arguments: str) -> Any:
        asked = [*arguments, "--output", "json"]
        done = CliRunner().invoke(cli, asked, env=environment, catch_exceptions=False)
        assert done.exit_code == 0, (arguments, done.output)
        return json.loads(done.stdout)

    return call


@pytest.fixture(scope="module")
def objects(ask: Ask) -> list[dict[str, Any]]:
    """The objects that an application declares."""
    found: list[dict[str, Any]] = ask(
        "sql",
        "select cluster, kind, namespace, name, application, state, approval, synced_commit_sha "
        "from live_resources where application <> '' and path <> '' and state <> 'derived'",
    )
    assert len(found) > 15
    return found


def named(one: dict[str, Any]) -> tuple[str, ...]:
    return (f"{one['kind'].lower()}/{one['name']}", "-n", one["namespace"])


def traced(ask: Ask, one: dict[str, Any], *more: str) -> dict[str, Any]:
    found: dict[str, Any] = ask("trace", *named(one), "--cluster", one["cluster"], *more)["trace"]
    return found


@pytest.mark.slow
def test_the_view_and_the_trace_give_one_verdict(ask: Ask, objects: list[dict[str, Any]]) -> None:
    for one in objects:
        found = traced(ask, one)
        assert found["state"]["verdict"] == one["state"], one
        assert found["approval"]["verdict"] == (one["approval"] or ""), one


@pytest.mark.slow
def test_of_every_field_every_question_tells_the_same(
    ask: Ask, objects: list[dict[str, Any]]
) -> None:
    """Of each field as it was applied: who set it, its pull request and approval, since when it is live."""
    compared = 0
    for one in objects:
        at = ("--at", one["synced_commit_sha"])
        [blame] = ask("blame", *named(one), *at)["resources"]
        for row in blame["fields"]:
            field = ("--field", row["field"])
            answer = ask("when", *named(one), *field, *at)
            change = answer["change"]
            assert change["revision"] == row["revision"], (one, field)
            told = ask("history", *named(one), *field, *at)["changes"]
            assert change["revision"] in [each["revision"] for each in told], (one, field)
            if one["state"] != "drifted" or row["field"] != "spec.ingress":
                check_trace(traced(ask, one, *field), answer, one["application"])
                compared += 1
    assert compared > 150


def check_trace(trace: dict[str, Any], answer: dict[str, Any], application: str) -> None:
    """The chain of a field says what `when` says of the same field."""
    where = (trace["kind"], trace["name"], trace["namespace"], answer["field"])
    revision = answer["change"]["revision"]
    link, approval = revision["pull_request"], revision["approval"]
    hops = {hop["hop"]: hop for hop in trace["hops"]}
    assert trace["decides"] == revision["commit_sha"], where
    reasons = [link["reason"], *filter(None, [revision["push"]["reason"]])]
    assert hops["pull_request"]["grade"] == link["grade"], where
    assert hops["pull_request"]["reason"] == "; ".join(reasons), where
    number = f"#{link['number']}" if link["number"] is not None else "none"
    assert hops["pull_request"]["what"].split(",")[0] == number, where
    assert (hops["approval"]["grade"], hops["approval"]["reason"]) == (
        approval["grade"],
        approval["reason"],
    ), where
    assert hops["approval"]["what"].split(":")[0] == approval["verdict"], where
    [live] = [one for one in answer["live"] if one["application"] == application]
    assert (hops["sync"]["grade"], hops["sync"]["reason"]) == (live["grade"], live["reason"]), where
    assert (live["since"] or live["known_at"]) in hops["sync"]["what"], where
    assert hops["sync"]["evidence"] == [live["evidence_position"]], where


@pytest.mark.slow
def test_the_last_change_of_an_object_is_the_newest_of_its_fields(
    ask: Ask, objects: list[dict[str, Any]]
) -> None:
    """Asked without a field, `when` knows of no older change than blame does of a field."""
    compared = 0
    for one in objects:
        [blame] = ask("blame", *named(one))["resources"]
        newest = max(row["revision"]["number"] for row in blame["fields"])
        answer = ask("when", *named(one))
        told = ask("history", *named(one))["changes"]
        assert answer["change"]["revision"]["number"] == newest, one
        assert answer["change"] in told, one
        compared += bool(answer["decided_by"])
    assert compared > 3


@pytest.mark.slow
def test_the_last_change_of_a_promoted_deployment_is_its_promotion(ask: Ask) -> None:
    promoted = ask("when", "deploy/payments", "-n", "payments")
    overlay = "apps/payments/overlays/production/kustomization.yaml"
    assert (promoted["change"]["path"], promoted["change"]["revision"]["number"]) == (overlay, 21)
    [live] = promoted["live"]
    assert (live["state"], live["since"]) == ("live", "2025-09-25T15:10:11Z")
    web = ask("when", "deploy/web", "-n", "web")
    assert web["change"]["revision"]["number"] == 17
    assert [one["state"] for one in web["live"]] == ["rolled_back"]
    told = ask("history", "deploy/web", "-n", "web")["changes"]
    numbers = [one["revision"]["number"] for one in told]
    assert numbers[:3] == [17, 13, 6]
    verdicts = {one["revision"]["number"]: one["revision"]["approval"]["verdict"] for one in told}
    assert (verdicts[17], verdicts[13]) == ("unapproved", "unapproved")


@pytest.mark.slow
def test_the_views_and_the_timeline_tell_of_a_revision_what_the_log_tells(ask: Ask) -> None:
    rows = ask("sql", "select * from revisions order by landed_at, number")
    views = {(one["branch"], one["commit_sha"]): one for one in rows}
    landed = [one for one in ask("changes", *SPAN)["entries"] if one["kind"] == "landed"]
    timeline = {(one["branch"], one["commit_sha"]): one for one in landed}
    revisions = ask("log", "--superseded")["revisions"]
    assert len(revisions) == len(views) == len(timeline) > 20
    for one in revisions:
        key = (one["branch"], one["commit_sha"])
        link, approval, view, entry = (
            one["pull_request"],
            one["approval"],
            views[key],
            timeline[key],
        )
        assert (one["landed_at"], one["landed_grade"]) == (entry["at"], entry["grade"])
        assert (one["landed_at"], one["landed_grade"]) == (view["landed_at"], view["landed_grade"])
        assert link["number"] == view["pull_request"] == entry["pull_request"]
        assert (link["grade"], link["reason"]) == (view["link_grade"], view["link_reason"])
        assert approval["verdict"] == view["approval"] == entry["approval"]
        assert approval["reason"] == view["approval_reason"] == entry["reason"]
        assert ", ".join(approval["approvers"]) == view["approvers"]
        assert approval["approved_at"] == view["approved_at"]


@pytest.mark.slow
def test_what_is_live_since_a_sync_is_what_that_sync_deployed(ask: Ask) -> None:
    rows = ask("sql", "select application, commit_sha, deployed_at, kind from deployed_revisions")
    shipped = {(one["application"], one["commit_sha"]): one["deployed_at"] for one in rows
               if one["kind"] in ("shipped", "initial")}  # fmt: skip
    known = {one["deployed_at"] for one in rows}
    compared = 0
    for path in ask("sql", "select distinct path from resources where present = 1"):
        for change in ask("history", path["path"])["changes"]:
            asked = ask("when", path["path"], "--at", change["revision"]["commit_sha"])
            for live in asked["live"]:
                key = (live["application"], asked["change"]["revision"]["commit_sha"])
                if live["state"] == "live" and live["since"]:
                    assert live["since"] in known
                    if "went back" not in live["reason"]:
                        assert live["since"] == shipped[key], key
                        compared += 1
    assert compared > 10
