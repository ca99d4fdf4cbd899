"""The demo tells the truth: what its ledger answers is what its story's author wrote down."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ledger import demo
from ledger.cli import cli
from ledger.demo import story, tour
from ledger.errors import SourceError, UsageError
from ledger.store import Store, schema

ROOT = Path(__file__).resolve().parent.parent
TIP = "c383bc567a71ff739c683963489af49622a9d911"


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


@pytest.mark.slow
def test_every_answer_is_the_storys_truth(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    demo.run(folder, database=database_url)
    shown = capsys.readouterr().out

    head = ["git", "-c", "safe.directory=*", "rev-parse", "main"]
    tip = subprocess.run(head, cwd=folder / "infra", capture_output=True, text=True, check=True)
    assert tip.stdout.strip() == TIP

    for truth in story.TRUTHS:
        at = ["--at", truth.at] if truth.at else []
        about = ["--field", truth.field] if truth.field else []
        revision = answer(folder, "when", truth.name, *about, *at)["change"]["revision"]
        told = (revision["subject"], revision["author"]["name"])
        assert told == (truth.answer.subject, truth.answer.author[0]), truth
        link = revision["pull_request"]
        assert (link["number"], link["grade"]) == (truth.answer.number, truth.answer.grade), truth
        assert revision["superseded"] == truth.answer.superseded, truth

    landed = answer(folder, "log", "--superseded")["revisions"]
    assert [
        (one["subject"], one["author"]["name"], one["pull_request"]["number"], one["superseded"])
        for one in reversed(landed)
    ] == [(one.subject, one.author[0], one.number, one.superseded) for one in story.LANDINGS]

    methods = "select number, method from revision_pull_requests where best = 1 order by number"
    assert [(row["number"], row["method"]) for row in answer(folder, "sql", methods)] == [
        (one.number, one.method) for one in story.LANDINGS if one.number is not None
    ]
    lies = (
        "select l.number, v.subject from revision_pull_requests l join revisions v "
        "on v.commit_sha = l.commit_sha where l.role = 'contradicted'"
    )
    assert answer(folder, "sql", lies) == [{"number": 2, "subject": story.WRONG_NUMBER}]
    moves = (
        "select kind, abandoned from ref_moves where ref = 'refs/heads/main' and kind = 'forced'"
    )
    assert answer(folder, "sql", moves) == [{"kind": "forced", "abandoned": 1}]
    verified = ask(folder, "verify", "--all-sources")
    assert "everything is as recorded" in verified

    kept = everything_kept(database_url)
    for secret in story.SECRETS:
        for spelling in spellings(secret):
            assert spelling not in kept
            assert spelling not in shown.encode()
    assert b"hmac-sha256:" in kept


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
    assert time.monotonic() - begun < 60  # five on a quiet machine; this one may be busy
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
    assert asked.stdout.count(b"\n") == 3


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
    named = {truth.answer for truth in story.TRUTHS}
    assert named <= set(story.LANDINGS)
    numbers = [one.number for one in story.LANDINGS if one.number is not None]
    assert len(numbers) == len(set(numbers))
