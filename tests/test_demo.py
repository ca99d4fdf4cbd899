"""The demo tells the truth: what its ledger answers is what its story's author wrote down."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ledger import demo
from ledger.cli import cli
from ledger.demo import pull_truths, shapes, story, tour, truths
from ledger.demo.people import TOM
from ledger.errors import SourceError, UsageError
from ledger.store import Store, schema

ROOT = Path(__file__).resolve().parent.parent
TIP = "b8bc953f26e23f524f7ea5ea3b7dcad47c92cbf3"


def ask(folder: Path, *arguments: str) -> str:
    """The output of a command on the demo's ledger, from wherever the tests run."""
    environment = {"LEDGER_CONFIG": str(folder / "ledger.toml"), "LEDGER_DATABASE": ""}
    result = CliRunner().invoke(cli, list(arguments), env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def answer(folder: Path, *arguments: str) -> Any:
    """The JSON that a command prints."""
    return json.loads(ask(folder, *arguments, "--output", "json"))


def spellings(secret: str) -> list[bytes]:
    """A secret as it may stand in bytes: clear, or in base64."""
    return [secret.encode(), base64.b64encode(secret.encode()).rstrip(b"=")]


def everything_kept(url: str) -> bytes:
    """Every byte that a ledger keeps: events, contents unpacked, rows of read models."""
    with Store.open(url, read_only=True) as store:
        kept = [bytes(row[-1]) for row in store.leaves()]
        digests = [bytes(row[0]) for row in store.connection.rows("select digest from log_content")]
        kept += [store.content(digest) for digest in digests]
        for table in schema.model_tables(store.connection):
            rows = store.connection.rows(f"select * from {table}")
            kept += [repr(row).encode() for row in rows]
    return b"\n".join(kept)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Subject of each landing → its commit, by Git itself, with what a force-push displaced."""
    folder = tmp_path_factory.mktemp("story")
    commits: dict[str, str] = {}
    for _ in story.tell(folder):
        listed = git(folder / "infra", "log", "--first-parent", "--format=%H %s", "main")
        commits |= {subject: sha for sha, _, subject in (one.partition(" ") for one in listed)}
    return commits


def git(folder: Path, *arguments: str) -> list[str]:
    command = ["git", "-c", "safe.directory=*", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """What a query gives, as tuples."""
    return [tuple(one.values()) for one in answer(folder, "sql", query)]


@pytest.mark.slow
def test_every_answer_is_the_storys_truth(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], told: dict[str, str]
) -> None:
    folder = tmp_path / "demo"
    demo.run(folder, database=database_url)
    shown = capsys.readouterr().out
    assert git(folder / "infra", "rev-parse", "main") == [TIP]

    check_git(folder)
    check_pull_requests(folder)
    check_rules_and_pushes(folder, told)
    check_syncs(folder, told)
    check_live(folder)
    check_traces(folder, told)
    check_timeline(folder, told)
    check_controls(folder, told)
    verified = ask(folder, "verify", "--all-sources")
    assert "everything is as recorded" in verified
    assert rows(folder, "select * from gaps") == []

    kept = everything_kept(database_url)
    for secret in story.SECRETS:
        for spelling in spellings(secret):
            assert spelling not in kept
            assert spelling not in shown.encode()
    assert b"hmac-sha256:" in kept


def check_git(folder: Path) -> None:
    """What Git alone tells: who set what when, and which pull request that was."""
    for truth in truths.ANSWERS:
        at = ["--at", truth.at] if truth.at else []
        about = ["--field", truth.field] if truth.field else []
        revision = answer(folder, "when", truth.name, *about, *at)["change"]["revision"]
        told = (revision["subject"], revision["author"]["name"])
        assert told == (truth.answer.subject, truth.answer.author.name), truth
        link = revision["pull_request"]
        assert (link["number"], link["grade"]) == (truth.answer.number, truth.answer.grade), truth
        assert revision["superseded"] == truth.answer.superseded, truth

    landed = answer(folder, "log", "--superseded")["revisions"]
    assert [
        (one["subject"], one["author"]["name"], one["pull_request"]["number"], one["superseded"])
        for one in reversed(landed)
    ] == [(one.subject, one.author.name, one.number, one.superseded) for one in truths.LANDINGS]

    methods = rows(
        folder, "select number, method from revision_pull_requests where best = 1 order by number"
    )
    expected = [(one.number, one.method) for one in truths.LANDINGS if one.number is not None]
    assert methods == sorted(expected)
    lies = (
        "select l.number, v.subject from revision_pull_requests l join revisions v "
        "on v.commit_sha = l.commit_sha where l.role = 'contradicted'"
    )
    assert rows(folder, lies) == [(2, story.WRONG_NUMBER)]
    moves = (
        "select kind, abandoned from ref_moves where ref = 'refs/heads/main' and kind = 'forced'"
    )
    assert rows(folder, moves) == [("forced", 1)]


def check_pull_requests(folder: Path) -> None:
    """What the forge tells, and what follows from it."""
    query = "select number, approval, reason, merged_by from pull_requests order by number"
    assert rows(folder, query) == [
        (one.number, one.approval, one.reason, one.merged_by and one.merged_by.login)
        for one in pull_truths.PULLS
    ]
    query = (
        "select number, reviewer, state, counts, reason from reviews order by number, submitted_at"
    )
    found = [(*one[:4], "" if one[3] else one[4].split(":")[0]) for one in rows(folder, query)]
    assert found == [
        (pull.number, one.reviewer.login, one.state, int(not one.word), one.word)
        for pull in pull_truths.PULLS
        for one in pull.reviews
    ]


def check_rules_and_pushes(folder: Path, told: dict[str, str]) -> None:
    """What the rules demanded, who pushed past them, what was taken back, and who is one person."""
    query = (
        "select branch, ruleset, valid_from, approvals_required, code_owners_required "
        "from rules_in_force where in_force = 1"
    )
    assert rows(folder, query) == list(pull_truths.RULES)
    merged = [one for one in pull_truths.PULLS if one.merged_by is not None]
    demanded = "select number, rules from pull_requests where merged_at <> '' order by number"
    assert rows(folder, demanded) == [
        (
            one.number,
            pull_truths.DEMANDED if one.number in pull_truths.RULED_PULLS else pull_truths.NOT_SEEN,
        )
        for one in merged
    ]
    query = "select pull_request, name, conclusion_at_merge from checks order by pull_request"
    found = [one for one in rows(folder, query) if one[0] is not None]
    assert found == list(pull_truths.CHECKS)

    query = (
        "select commit_sha, pushed_by, direct from revisions where direct is not null "
        "order by number, superseded desc"
    )
    assert rows(folder, query) == [
        (told[landing.subject], who.login if who else "", direct)
        for landing, who, direct in pull_truths.DIRECT
    ]
    query = (
        "select l.commit_sha, l.number, l.grade from revision_pull_requests l "
        "where l.role = 'reverts' order by l.evidence_position"
    )
    assert rows(folder, query) == [
        (told[one.subject], other.number, "proved") for one, other in pull_truths.REVERTS
    ]
    query = (
        "select kind, value from people where person = 'Maya Lindqvist' and kind <> 'name' "
        "order by kind, value"
    )
    assert rows(folder, query) == list(pull_truths.MAYAS)

    assert f"pushed    by {TOM.login} at" in ask(folder, "when", "hosts/firewall.conf")
    # Whoever merged it on the forge pushed it, too: said once.
    said = ask(folder, "when", "svc/payments")
    assert "merged    by" in said
    assert "pushed" not in said


def check_syncs(folder: Path, told: dict[str, str]) -> None:
    """What the controller tells, and which revisions each sync shipped where."""
    query = (
        "select application, environment, cluster, kind, outcome, initiated_by, automated, "
        "started_at, revision, message from deployments order by started_at"
    )
    assert rows(folder, query) == [
        (
            *(one.application, one.environment, one.cluster, one.kind, one.outcome),
            *(one.by.email if one.by else "", int(one.by is None), one.started_at),
            *(told[one.revision.subject], one.message),
        )
        for one in truths.SYNCS
    ]
    query = (
        "select d.started_at, s.application, s.environment, s.commit_sha, s.kind "
        "from deployed_revisions s join deployments d on d.deployment = s.deployment "
        "where s.kind <> 'unknown_since' order by d.started_at, s.number"
    )
    kinds = {"change": "shipped", "rollback": "rolled_back"}
    assert rows(folder, query) == [
        (
            *(one.started_at, one.application, one.environment),
            *(told[landing.subject], kinds.get(one.kind, one.kind)),
        )
        for one in truths.SYNCS
        for landing in (*one.ships, *one.takes_back)
    ]
    query = (
        "select environment, application, commit_sha, pull_request, kind, approval "
        "from applied_changes order by first_applied_at"
    )
    assert rows(folder, query) == [
        (
            *(one.environment, one.application, told[one.landing.subject]),
            *(None if one.kind == "unknown_since" else one.landing.number, one.kind, one.approval),
        )
        for one in truths.APPLIED
    ]


def check_live(folder: Path) -> None:
    """What runs, whether it is what Git says, and whether somebody approved it."""
    query = "select cluster, kind, namespace, name, state, approval from live_resources"
    found = rows(folder, query)
    assert sorted(one for one in found if one[4] != "derived") == sorted(
        (one.cluster, one.kind, one.namespace, one.name, one.state, one.approval)
        for one in truths.LIVE
    )
    derived = [one for one in found if one[4] == "derived"]
    assert Counter(one[1] for one in derived) == truths.DERIVED
    assert {one[5] for one in derived} == {truths.UNAPPROVED}  # as what they were made of
    query = (
        "select kind, namespace, name, first_seen, coalesce(closed_at, ''), closed_by, fields "
        "from drift_episodes order by first_seen"
    )
    assert [(*one[:6], tuple(json.loads(one[6]))) for one in rows(folder, query)] == [
        (
            one.kind,
            one.namespace,
            one.name,
            one.first_seen,
            one.closed_at,
            one.closed_by,
            one.fields,
        )
        for one in truths.DRIFTS
    ]


def check_traces(folder: Path, told: dict[str, str]) -> None:
    """The way from what runs back to who approved it."""
    for truth in truths.TRACES:
        about = ["--field", truth.field] if truth.field else []
        where = ["-n", truth.namespace, "--cluster", shapes.PROD_CLUSTER]
        found = answer(folder, "trace", truth.name, *where, *about)["trace"]
        assert (
            found["state"]["verdict"],
            found["approval"]["verdict"],
            found["decides"],
            found["weakest"],
        ) == (truth.state, truth.approval, told[truth.decided_by.subject], truth.weakest), truth
        pushers = {one: who for one, who, _ in pull_truths.DIRECT if who is not None}
        if pusher := pushers.get(truth.decided_by):
            [hop] = [one for one in found["hops"] if one["hop"] == "pull_request"]
            assert hop["what"].startswith(f"none, pushed by {pusher.login} at ")
            assert hop["reason"].endswith(f"github.com says that {pusher.login} pushed it")


def check_timeline(folder: Path, told: dict[str, str]) -> None:
    """What happened in production over the month."""
    span = ["--since", "2025-09-01", "--until", "2025-10-01"]
    found = answer(folder, "changes", "--env", truths.PROD, *span)["entries"]
    landed = [one["commit_sha"] for one in found if one["kind"] == "landed"]
    assert landed == [told[one.subject] for one in truths.LANDED_IN_PROD]
    synced = {"succeeded": "synced", "failed": "sync_failed"}
    expected = [
        (one.finished_at, synced[one.outcome], one.application)
        for one in truths.SYNCS
        if one.environment == truths.PROD
    ]
    expected += [(at, "suspended", name) for name, at in truths.SUSPENDED]
    expected += [(at, "rewritten", "") for at, _ in truths.REWRITTEN]
    expected += [(at, "edited", "") for at in truths.MADE_BY_HAND_AT]
    expected += [(one.first_seen, "drifted", one.application) for one in truths.DRIFTS]
    ended = [(one.closed_at, "drift_ended", one.application) for one in truths.DRIFTS]
    expected += [one for one in ended if one[0]]
    happened = [
        (one["at"], one["kind"], one["application"])
        for one in found
        if one["kind"] not in ("landed", "application")
    ]
    assert sorted(happened) == sorted(expected)
    assert [(one["at"], one["who"]) for one in found if one["kind"] == "rewritten"] == [
        (at, who.login) for at, who in truths.REWRITTEN
    ]
    past = [one["who"] for one in found if "past the rules" in one["who"]]
    assert past == [f"{TOM.name}, pushed past the rules by {TOM.login}"]


def check_controls(folder: Path, told: dict[str, str]) -> None:
    """What each control excepts, and what it does not know, over the story's month."""

    def judged(control: str, outcome: str) -> list[dict[str, Any]]:
        found = answer(folder, "control", "run", control, "--period", "2025-09")
        return [one for one in found if one["outcome"] == outcome]

    def items(control: str, outcome: str) -> list[str]:
        return [one["item"] for one in judged(control, outcome)]

    def named(applied: Iterable[shapes.Applied]) -> list[str]:
        return [f"{one.environment}/infra@{told[one.landing.subject]}" for one in applied]

    assert items("CHG-01", "exception") == named(truths.UNAPPROVED_ITEMS)
    assert items("CHG-01", "unknown") == named(truths.UNKNOWN_ITEMS)
    assert items("CHG-02", "exception") == [
        f"infra@main {told[one.subject]}" for one in truths.DIRECT_PUSHES
    ]
    assert items("CHG-02", "unknown") == items("CHG-03", "unknown") == []
    excepted = [
        (one["cluster"], one["kind"], one["namespace"], one["name"], one["state"], one["approval"])
        for one in judged("CHG-03", "exception")
    ]
    assert sorted(excepted) == sorted(
        (one.cluster, one.kind, one.namespace, one.name, one.state, one.approval)
        for one in truths.LIVE_EXCEPTIONS
    )
    assert Counter(one["kind"] for one in judged("CHG-03", "not_applicable")) == truths.DERIVED


BARE = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LC_ALL": "C"}


def run(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    """The program as somebody without a home, a name or any setting runs it."""
    return subprocess.run(
        [sys.executable, "-m", "ledger", *arguments],
        cwd=cwd,
        env={**BARE, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The folder of a demo that the command made, and what it said. The environment is a trap."""
    above = tmp_path_factory.mktemp("anywhere")
    foreign = above / "foreign.db"
    trap = {
        "LEDGER_DATABASE": f"sqlite:///{foreign}",
        "LEDGER_CONFIG": str(above / "none.toml"),
        "GIT_DIR": "/nowhere",
        "GIT_AUTHOR_NAME": "Somebody",
    }
    begun = time.monotonic()
    done = run("demo", cwd=above, **trap)
    assert time.monotonic() - begun < 90  # fifteen on a quiet machine; this one may be busy
    assert (done.returncode, done.stderr) == (0, b"")
    assert not foreign.exists()
    return above / "ledger-demo", done.stdout


@pytest.mark.slow
def test_the_command_shows_every_step_and_no_secret(made: tuple[Path, bytes]) -> None:
    folder, shown = made
    assert str(folder).encode() in shown
    assert b"Sam Costa" in shown
    assert b"\x1b" not in shown
    assert not any(one in shown for secret in story.SECRETS for one in spellings(secret))
    for step in tour.STEPS:
        assert step.question.encode() in shown
    assert (folder / tour.REPORT).read_bytes().startswith(b"%PDF-")
    assert str(folder / tour.REPORT).encode() in shown
    count = sum(len(step.commands) for step in tour.STEPS)
    assert shown.count(b"$ ledger ") == count

    again = run("demo", "--directory", folder.name, cwd=folder.parent)
    assert again.returncode == 0
    assert b"made already" in again.stdout
    assert again.stdout.count(b"$ ledger ") == count


@pytest.mark.slow
def test_the_demo_can_be_asked_on(made: tuple[Path, bytes], tmp_path: Path) -> None:
    folder, _ = made
    for line in tour.NEXT.splitlines():
        for part in line.split("&&"):
            if part.strip().startswith("ledger "):
                asked = run(*shlex.split(part, comments=True)[1:], cwd=folder)
                assert (asked.returncode, asked.stderr) == (0, b""), part
                assert asked.stdout.strip(), part
    asked = run("log", "--direct", cwd=tmp_path, LEDGER_CONFIG=str(folder / "ledger.toml"))
    assert asked.returncode == 0
    assert asked.stdout.count(b"\n") == 4


@pytest.mark.slow
def test_what_was_told_once_is_not_recorded_again(made: tuple[Path, bytes]) -> None:
    folder, _ = made
    for kind, pattern in (("github", "*"), ("argocd", "*"), ("kubernetes", "prod-eu1-*")):
        files = [str(one.relative_to(folder)) for one in sorted((folder / kind).glob(pattern))]
        assert files
        again = run("import", kind, *files, "--cluster", "prod-eu1", cwd=folder)
        assert (again.returncode, again.stderr) == (0, b""), kind
        assert again.stdout.startswith(f"{kind}: nothing new".encode()), kind


@pytest.mark.slow
def test_answers_reach_any_terminal_and_none(made: tuple[Path, bytes]) -> None:
    folder, _ = made
    asked = run("history", "hosts/firewall.conf", cwd=folder, PYTHONIOENCODING="latin-1")
    assert asked.returncode == 0
    assert b"\\u2192" in asked.stdout

    reading, writing = os.pipe()
    os.close(reading)
    history = [sys.executable, "-m", "ledger", "history", "secret/payments-db"]
    gone = subprocess.run(
        history, cwd=folder, env=BARE, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (141, b"")


def test_demo_takes_a_new_folder_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo._free_folder() == Path("ledger-demo")
    (tmp_path / "ledger-demo").mkdir()
    (tmp_path / "ledger-demo-2").symlink_to("nowhere")
    assert demo._free_folder() == Path("ledger-demo-3")


def test_demo_leaves_a_foreign_folder_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ledger.toml").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        demo.run(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.toml"]
    assert (tmp_path / "ledger.toml").read_text() == "mine"


def test_demo_needs_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="git is not installed"):
        demo.run(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_demo_says_where_it_cannot_write(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot use"):
        demo.run(tmp_path / name)


def test_demo_puts_the_environment_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_DATABASE", "sqlite:///mine.db")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    before = dict(os.environ)
    with demo._own_environment(tmp_path):
        assert "LEDGER_DATABASE" not in os.environ
        assert "GIT_DIR" not in os.environ
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    "word", ["plain", "two words", "it's", 'say "it\'s"', "$(x) 'y'", "", "a!b 'c'"]
)
def test_commands_are_shown_as_a_shell_reads_them(word: str) -> None:
    assert shlex.split(demo._quoted(word)) == [word]


def test_the_story_knows_its_own_people() -> None:
    named = {truth.answer for truth in truths.ANSWERS}
    named |= {one.landing for one in truths.APPLIED}
    named |= {landing for one in truths.SYNCS for landing in (one.revision, *one.ships)}
    assert named <= set(truths.LANDINGS)
    numbers = [one.number for one in truths.LANDINGS if one.number is not None]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) < {one.number for one in pull_truths.PULLS}
