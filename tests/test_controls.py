"""Controls: they judge whole populations, within the auditors' wall, and what is not known never passes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ledger import auditor, controls
from ledger.auditor import Contract, check
from ledger.cli import cli
from ledger.cli.controls import FOUND
from ledger.controls import COLUMNS, Result, find_all, parse
from ledger.errors import LedgerError, NotFoundError, QueryError, UsageError
from ledger.periods import Period, parse_period
from ledger.store import drivers
from ledger.store.roles import grant_sql
from ledger.testing import make_database, make_ledger, make_repo, track

ROOT = Path(__file__).resolve().parent.parent
NOW = "2026-11-23T01:00:00Z"
SEPTEMBER = parse_period("2026-09", "UTC", NOW)
ALL = parse_period("all", "UTC", NOW)
SHIPPED = find_all(Path("/nowhere"))
# The columns that the controls read of each population, with a value that passes.
APPLIED: dict[str, Any] = {
    "item_id": "production/infra@aaa", "environment": "production", "tier": "production",
    "cluster": "prod-eu", "application": "payments", "repository": "infra", "branch": "main",
    "number": 7, "commit_sha": "aaa", "subject": "Five replicas", "pull_request": 12,
    "link_grade": "proved", "author": "ann", "approvers": "bob",
    "approved_at": "2026-09-02T10:00:00Z", "merged_by": "ann", "landed_at": "2026-09-02T11:00:00Z",
    "first_applied_at": "2026-09-02T11:05:00Z", "initiated_by": "", "change_ticket": "",
    "emergency": 0, "kind": "pull_request", "approval": "approved", "reason": "bob approved it",
    "url": "https://forge.example/pull/12", "deployment": "d", "evidence_position": 40,
    "recorded_at": "2026-09-02T11:06:00Z", "approval_at_apply": "approved", "reason_at_apply": "",
}  # fmt: skip
LIVE: dict[str, Any] = {
    "cluster": "prod-eu", "api_group": "apps", "kind": "Deployment", "namespace": "payments",
    "name": "api", "observed_at": "2026-10-01T00:00:00Z", "application": "payments",
    "repository": "infra", "branch": "main", "path": "a.yaml", "seen_at": "2026-10-01T00:00:00Z",
    "manager": "argocd", "changed_at": "", "differences": "[]", "state": "in_sync",
    "controller_cluster": "hub", "application_namespace": "argocd",
    "approval": "approved", "grade": "proved",
    "synced_commit_sha": "aaa", "changed_commit_sha": "aaa", "pull_request": 12, "reason": "as declared",
    "evidence_position": 41, "recorded_at": "2026-10-01T00:01:00Z",
}  # fmt: skip


def judge(
    database_url: str,
    control: str,
    populations: Mapping[str, Sequence[Mapping[str, Any]]],
    period: Period = SEPTEMBER,
) -> Result:
    """Runs a shipped control over populations that are made up, in place of public views."""
    make_database(database_url)
    contract = dict(controls.contract().views)
    connection = drivers.connect(database_url)
    for view, rows in populations.items():
        contract[view] = tuple(rows[0])
        selects = [
            f"select {', '.join(f'{literal(row[one])} as {one}' for one in contract[view])}"
            for row in rows
        ]
        connection.script(
            [f"drop view if exists {view}", f"create view {view} as {' union all '.join(selects)}"]
        )
    if connection.dialect == drivers.POSTGRESQL:
        connection.script(grant_sql(sorted(contract)))
    connection.close()
    chosen = controls.find(Path("/nowhere"), control)
    with auditor.session(database_url, Contract(contract)) as session:
        return controls.run(chosen, period, session)


def literal(value: Any) -> str:
    if value is None:
        return "cast(null as text)"
    return (
        str(value) if isinstance(value, int) else "cast('" + value.replace("'", "''") + "' as text)"
    )


# -- the shipped controls ------------------------------------------------------------------------


def test_three_controls_are_shipped_under_their_names() -> None:
    assert [one.id for one in SHIPPED] == ["CHG-01", "CHG-02", "CHG-03"]
    assert [Path(one.file).stem for one in SHIPPED] == [one.id for one in SHIPPED]
    assert all(one.criteria and one.rationale and one.remediation for one in SHIPPED)


@pytest.mark.parametrize(
    ("changed", "outcome", "reason"),
    [
        ({}, "pass", "bob approved it"),
        (
            {"approval": "unapproved", "reason": "nobody reviewed it"},
            "exception",
            "nobody reviewed it",
        ),
        ({"approval": "unknown", "reason": ""}, "unknown", "nothing is known of an approval"),
        ({"approval": "", "reason": "new word"}, "unknown", "new word"),
        ({"approval": None, "reason": None}, "unknown", "nothing is known of an approval"),
        ({"approvers": ""}, "unknown", "no approver is named"),
        ({"approvers": None}, "unknown", "no approver is named"),
        ({"approved_at": ""}, "unknown", "not known since when"),
        ({"approved_at": None}, "unknown", "not known since when"),
        ({"approvers": "Ann"}, "exception", "its only approver is its author"),
        ({"approved_at": "2026-09-02T11:05:01Z"}, "exception", "after it was applied"),
        ({"approved_at": "2026-09-02T11:05:00Z"}, "pass", "bob approved it"),
        (
            {"approval_at_apply": "unapproved", "reason_at_apply": "dismissed: then"},
            "exception",
            "not any more when it was first applied: dismissed: then",
        ),
        ({"link_grade": "inferred"}, "unknown", "only guessed to be this change"),
        ({"link_grade": None}, "unknown", "only guessed to be this change"),
        (
            {"approval": "unapproved", "emergency": 1},
            "exception",
            "bob approved it; labelled as an emergency",
        ),
    ],
)
def test_an_applied_change_passes_only_with_the_known_approval_of_another(
    database_url: str, changed: dict[str, Any], outcome: str, reason: str
) -> None:
    [item] = judge(database_url, "CHG-01", {"applied_changes": [APPLIED | changed]}).items
    assert (item.outcome, reason in item.reason) == (outcome, True), item.reason
    assert (item.item, item.evidence, item.owner) == ("production/infra@aaa", "40", "ann")


def test_a_period_takes_its_first_instant_and_not_its_last(database_url: str) -> None:
    times = (
        "2026-08-31T23:59:59Z",
        "2026-09-01T00:00:00Z",
        "2026-09-30T23:59:59Z",
        "2026-10-01T00:00:00Z",
    )
    rows = [APPLIED | {"item_id": at, "first_applied_at": at} for at in times]
    found = judge(database_url, "CHG-01", {"applied_changes": rows})
    assert [one.item for one in found.items] == list(times[1:3])
    assert judge(database_url, "CHG-01", {"applied_changes": rows}, ALL).population == 4


@pytest.mark.parametrize(
    ("changed", "outcome", "reason"),
    [
        ({}, "pass", "as declared"),
        ({"state": "pending"}, "pass", "as declared"),
        ({"state": "rolled_back"}, "pass", "as declared"),
        (
            {"state": "derived", "approval": None},
            "not_applicable",
            "made by a controller: as declared",
        ),
        ({"state": "drifted", "reason": "replicas is 5"}, "exception", "drifted: replicas is 5"),
        ({"state": "extra", "reason": "undeclared"}, "exception", "extra: undeclared"),
        ({"state": "absent"}, "not_applicable", "declared, and not live"),
        ({"state": "not_observed", "reason": ""}, "unknown", "it was not looked at"),
        ({"approval": "waived", "reason": "INC-7"}, "exception", "waived: INC-7"),
        ({"approval": "unapproved"}, "exception", "not approved: as declared"),
        ({"approval": "unexplained"}, "exception", "not approved: as declared"),
        ({"state": "rolled_back", "approval": "unapproved"}, "exception", "not approved"),
        ({"state": "unknown", "reason": "no parser"}, "unknown", "nothing is known"),
        ({"approval": "unknown", "reason": ""}, "unknown", "nothing is known"),
        ({"approval": None, "reason": None}, "unknown", "nothing is known"),
        ({"state": "new word"}, "unknown", "nothing is known"),
        ({"state": None}, "unknown", "nothing is known"),
    ],
)
def test_a_live_resource_passes_only_as_declared_and_approved(
    database_url: str, changed: dict[str, Any], outcome: str, reason: str
) -> None:
    [item] = judge(database_url, "CHG-03", {"live_resources": [LIVE | changed]}).items
    assert (item.outcome, reason in item.reason) == (outcome, True), item.reason
    assert item.item == "prod-eu: Deployment.apps payments/api"


def test_a_cluster_wide_resource_of_the_core_group_has_a_short_name(database_url: str) -> None:
    row = LIVE | {"api_group": "", "kind": "Namespace", "namespace": "", "name": "payments"}
    [item] = judge(database_url, "CHG-03", {"live_resources": [row]}).items
    assert item.item == "prod-eu: Namespace payments"


def test_of_a_live_resource_the_worst_field_is_named(database_url: str) -> None:
    names = ("cluster", "api_group", "kind", "namespace", "name")
    one = {name: LIVE[name] for name in names} | {"path": "a.yaml", "input_field": ""}
    one |= {"repository": "infra", "pull_request": 99}
    fields = [
        one | {"field": "spec.a", "commit_sha": "aaa", "approval": "approved"},
        one | {"field": "spec.b", "commit_sha": "bbb", "approval": "unknown"},
        one | {"field": "spec.d", "commit_sha": "ddd", "approval": "unapproved"},
        one | {"field": "spec.c", "commit_sha": "ccc", "approval": "unapproved"},
    ]
    views = {"live_resources": [LIVE | {"approval": "unapproved"}], "live_fields": fields}
    [item] = judge(database_url, "CHG-03", views).items
    assert item.reason == (
        "not approved: spec.c was set by ccc (#99), and 1 more field: spec.d by ddd (#99)"
    )
    assert item.url == "", "no link to the pull request of another change"


def test_a_change_of_an_unknown_time_tells_its_own_approval(sqlite_url: str) -> None:
    baseline = APPLIED | {
        "kind": "unknown_since",
        "approval": "unknown",
        "reason": "as the view says",
    }
    own = {name: APPLIED[name] for name in ("repository", "branch", "commit_sha", "pull_request")}
    own |= {"approval": "unapproved", "approval_reason": "its forge tells of no approval"}
    views = {"applied_changes": [baseline], "revisions": [own]}
    [item] = judge(sqlite_url, "CHG-01", views).items
    since = (
        "it was live, with all before it, when the ledger first looked: since when, and whether it was "
        "approved by then, is not known; "
    )
    told = since + "its pull request #12 is unapproved: its forge tells of no approval"
    assert (item.outcome, item.reason) == ("unknown", told)
    own |= {"approval": "approved", "approval_reason": "approved by bob at the head that merged"}
    [item] = judge(sqlite_url, "CHG-01", views | {"revisions": [own]}).items
    told = since + "its pull request #12 was approved by bob at the head that merged"
    assert (item.outcome, item.reason) == ("unknown", told)
    own |= {"pull_request": None, "approval": "unapproved", "approval_reason": "no link"}
    [item] = judge(sqlite_url, "CHG-01", views | {"revisions": [own]}).items
    assert item.reason == since + "the revision itself is unapproved: no link"


def test_a_live_resource_is_of_its_applications_environment_or_its_namespaces(
    database_url: str,
) -> None:
    app = {
        "application": "payments", "environment": "production", "cluster": "prod-eu",
        "destination_namespace": "payments", "controller_cluster": "hub", "application_namespace": "argocd",
    }  # fmt: skip
    rows = [
        LIVE,
        LIVE | {"name": "b", "application": "", "state": "extra"},
        LIVE | {"name": "c", "application": "", "namespace": "other", "state": "extra"},
    ]
    found = judge(database_url, "CHG-03", {"live_resources": rows, "applications": [app]})
    assert sorted(one.environment for one in found.items) == ["", "production", "production"]
    assert found.control.judges_state
    assert found.observed == ("2026-10-01T00:00:00Z",)


def test_a_revision_without_a_known_pull_request_is_a_direct_push(
    tmp_path: Path, database_url: str
) -> None:
    repo = make_repo(tmp_path / "infra")
    start = repo.commit({"a.yaml": "a: 1\n"}, "Start")
    head = repo.commit({"a.yaml": "a: 2\n"}, "Two", branch="two", parents=[start])
    repo.pull_head(7, head)
    repo.merge("two", "Merge pull request #7 from ann/two")
    repo.commit({"a.yaml": "a: 3\n"}, "Three (#8)")
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=database_url)
    ledger.grow()
    with auditor.session(database_url, controls.contract()) as session:
        found = controls.run(controls.find(tmp_path, "chg-02"), ALL, session)
    assert [one.outcome for one in found.items] == ["exception", "pass", "unknown"]
    assert "direct push" in found.items[0].reason
    assert "only inferred" in found.items[2].reason
    assert (found.population, found.count("pass"), found.count("not_applicable")) == (3, 1, 0)
    number = found.columns.index("number") - len(COLUMNS)
    assert [one.more[number] for one in found.items] == [1, 2, 3]


@pytest.mark.parametrize("control", SHIPPED, ids=lambda one: one.id)
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_every_shipped_control_passes_the_gate(control: controls.Control, dialect: str) -> None:
    contract = controls.contract()
    bounds = {"period_start": SEPTEMBER.start, "period_end": SEPTEMBER.end}
    assert check(auditor.with_values(control.sql, bounds), contract, dialect)


# -- files ---------------------------------------------------------------------------------------

HEADER = """-- id: OWN-01
-- version: 3
-- title: A rule of ours
-- criteria: House rule 1; House rule 2,
--   continued
-- population: Every commit.
-- parameters: none
-- rationale: Because.
-- remediation: Repair it.
"""
ROW = (
    "'x' as item, 'pass' as outcome, '' as reason, '' as evidence, '2026-09-01T00:00:00Z' as occurred_at,"
    " '' as environment, '' as application, '' as owner, '' as url"
)


def own(folder: Path, sql: str, header: str = HEADER, name: str = "own.sql") -> None:
    (folder / "controls").mkdir(parents=True, exist_ok=True)
    (folder / "controls" / name).write_text(header + sql, "utf-8")


def test_a_control_of_ones_own_stands_beside_the_configuration(tmp_path: Path) -> None:
    own(tmp_path, "-- a comment of the query\nselect 1")
    one = controls.find(tmp_path, "OWN-01")
    assert (one.version, one.title) == (3, "A rule of ours")
    assert one.criteria == ("House rule 1", "House rule 2, continued")
    assert one.sql == "-- a comment of the query\nselect 1"
    assert [known.id for known in find_all(tmp_path)] == ["CHG-01", "CHG-02", "CHG-03", "OWN-01"]


def test_the_example_in_the_documentation_runs(tmp_path: Path, database_url: str) -> None:
    page = (ROOT / "docs" / "how-to" / "write-a-control.md").read_text("utf-8")
    [example] = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    own(tmp_path, example, header="")
    make_ledger(tmp_path / "ledger", database=database_url)
    with auditor.session(database_url, controls.contract()) as session:
        assert controls.run(controls.find(tmp_path, "OPS-01"), SEPTEMBER, session).population == 0


def test_two_controls_of_one_id_are_refused_with_both_files(tmp_path: Path) -> None:
    own(tmp_path, "select 1", HEADER.replace("OWN-01", "CHG-01"))
    with pytest.raises(
        UsageError, match=r"two controls are called CHG-01.*CHG-01\.sql and .*own\.sql"
    ):
        find_all(tmp_path)


def test_an_unknown_control_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as error:
        controls.find(tmp_path, "CHG-99")
    assert "CHG-01" in error.value.hint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-- title: A rule of ours\n", "", "lacks title"),
        ("-- rationale: Because.\n", "", "lacks rationale"),
        ("-- title:", "-- owner: me\n-- title:", "has owner"),
        ("-- title:", "-- id: OWN-02\n-- title:", "id twice"),
        ("OWN-01", "own 1", "is no id"),
        ("version: 3", "version: 1.0", "is no version"),
        ("version: 3", "version: 0", "is no version"),
        ("parameters: none", "parameters: since", "no parameter since"),
        ("parameters: none", "parameters: period_start", "does not name the parameters"),
        ("select 1", "select :period_end", "does not name the parameters"),
        ("select 1", "select :today", "no parameter today"),
        ("select 1", "", "no query"),
    ],
)
def test_a_faulty_file_is_named_with_its_fault(old: str, new: str, message: str) -> None:
    text = (HEADER + "select 1").replace(old, new)
    with pytest.raises(UsageError, match=message) as error:
        parse(text, Path("own.sql"))
    assert "own.sql" in error.value.message


def test_a_file_that_is_no_text_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "controls").mkdir()
    (tmp_path / "controls" / "a.sql").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        find_all(tmp_path)


# -- the contract of rows ------------------------------------------------------------------------


def run_own(folder: Path, sql: str) -> Result:
    ledger = make_ledger(folder / "ledger")
    own(folder, sql)
    with auditor.session(ledger.settings.database_url, controls.contract()) as session:
        return controls.run(controls.find(folder, "OWN-01"), ALL, session)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select 'x' as item, 'pass' as outcome", "first columns are item, outcome"),
        (f"select {ROW.replace('as owner', 'as who')}", "first columns are"),
        (f"select {ROW}, 1 as a, 2 as a", "two columns a"),
        (f"select {ROW} union all select {ROW}", "'x' comes twice"),
        (f"select {ROW.replace(chr(39) + 'x' + chr(39), 'null')}", "has no item"),
        (f"select {ROW.replace('pass', 'passed')}", "outcome 'passed'"),
        (f"select {ROW.replace('pass', 'exception')}", "exception without a reason"),
        (f"select {ROW.replace('pass', 'unknown')}", "unknown without a reason"),
        ("select * from log_event", "no view log_event"),
        ("delete from events", "only reads"),
        ("selec 1", "not accepted"),
        (f"select {ROW}, no_such as b from commits", "no column"),
    ],
)
def test_what_breaks_the_contract_names_the_control(tmp_path: Path, sql: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as error:
        run_own(tmp_path, sql)
    assert error.value.message.startswith("control OWN-01 (own.sql): ")


def test_an_empty_population_is_an_answer(tmp_path: Path) -> None:
    found = run_own(tmp_path, f"select {ROW} from commits where 1 = 0")
    assert (found.population, found.items) == (0, ())


def test_items_come_in_order_of_time_and_name_whatever_the_query_says(tmp_path: Path) -> None:
    items = (("b", "09-02"), ("a", "09-03"), ("c", "09-01"), ("a2", "09-01"))
    rows = [ROW.replace("'x'", f"'{name}'").replace("09-01", at) for name, at in items]
    found = run_own(
        tmp_path, " union all ".join(f"select {row}" for row in rows) + " order by item desc"
    )
    assert [one.item for one in found.items] == ["a2", "c", "b", "a"]


# -- the command ---------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of two direct pushes, as the command line finds it."""
    repo = make_repo(tmp_path / "infra")
    repo.commit({"a.yaml": "a: 1\n"}, "Start")
    repo.commit({"a.yaml": "a: 2\n"}, "=cmd|' /C calc'!A0")
    make_ledger(tmp_path / "ledger", track(repo)).grow()
    monkeypatch.setenv("LEDGER_CONFIG", str(tmp_path / "ledger" / "ledger.toml"))
    return tmp_path / "ledger"


def ask(*words: str) -> Any:
    return CliRunner().invoke(cli, ["control", *words])


def test_the_command_lists_controls(here: Path) -> None:
    own(here, "select 1")
    assert ask("list").output.splitlines()[-1] == "OWN-01  A rule of ours (version 3)"
    told = json.loads(ask("list", "--output", "json").output)["controls"]
    assert [one["id"] for one in told] == ["CHG-01", "CHG-02", "CHG-03", "OWN-01"]


@pytest.mark.usefixtures("here")
def test_the_command_explains_a_control_with_its_whole_text() -> None:
    shown = ask("explain", "CHG-02")
    assert shown.exit_code == 0
    assert SHIPPED[1].text.rstrip() in shown.output


@pytest.mark.usefixtures("here")
def test_the_command_judges_and_prints_what_did_not_pass() -> None:
    shown = ask("run", "CHG-02")
    assert shown.exit_code == 0
    assert "2 items\n2 exception, 0 unknown, 0 pass, 0 not applicable\n" in shown.output
    assert ask("run", "CHG-02", "--period", "1999").output.startswith("CHG-02")
    assert "nothing to judge" in ask("run", "CHG-02", "--period", "1999").output


@pytest.mark.usefixtures("here")
def test_the_command_prints_every_item_as_json_and_csv() -> None:
    rows = json.loads(ask("run", "CHG-02", "--output", "json").output)
    assert [one["subject"] for one in rows] == ["Start", "=cmd|' /C calc'!A0"]
    assert list(rows[0])[: len(COLUMNS)] == list(COLUMNS)
    assert "'=cmd|' /C calc'!A0" in ask("run", "CHG-02", "--output", "csv").output


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["CHG-02"], 0),
        (["CHG-02", "--fail-on", "exception"], FOUND),
        (["CHG-02", "--fail-on", "unknown"], FOUND),
        (["CHG-02", "--fail-on", "exception", "--period", "1999"], 0),
    ],
)
def test_exceptions_are_a_failure_only_where_asked_for(words: list[str], code: int) -> None:
    assert ask("run", *words).exit_code == code


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "kind"), [(["run", "X-1"], 3), (["run", "CHG-02", "--period", "soon"], 2)]
)
def test_what_cannot_be_asked_has_the_usual_exit_codes(words: list[str], kind: int) -> None:
    error = ask(*words).exception
    assert isinstance(error, LedgerError)
    assert error.exit_code == kind
