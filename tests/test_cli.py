"""The command line: shapes, exit codes, and that nothing from outside acts on a terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest

from ledger import auditor, ingest
from ledger.cli import cli, text
from ledger.config import EnvironmentSettings
from ledger.errors import UsageError
from ledger.events import QueryExecuted
from ledger.instants import parse_instant
from ledger.queries import Link
from ledger.queries.revisions import approval_grade
from ledger.sources import Import
from ledger.store import schema
from ledger.testing import (
    BOB,
    Ledger,
    Person,
    Repo,
    executable,
    make_ledger,
    make_repo,
    track,
)
from ledger.testing.programs import Run

HOSTILE = "\x1b[2J\x1b]0;pwned\x07 \u202egnp.exe\u2066 \x9b31m\u200b\r\b\x7f"
HOSTILE_PATH = "notes/\x1b[31mred\u202e.txt"
MANIFEST = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: prod
spec:
  replicas: {}
  template:
    spec:
      containers:
      - name: api
        image: shop/api:{}
"""
TERRAFORM = (
    'resource "aws_security_group" "web" {{\n  ingress {{\n    cidr_blocks = ["{}"]\n  }}\n}}\n'
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the environment of whoever runs the tests must not matter."""
    for name in list(os.environ):
        if name.startswith("LEDGER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv(
        "LEDGER_TRACEBACK", "1"
    )  # a fault of the program must not pass for an answer
    monkeypatch.setenv("COLUMNS", "200")


# -- one story on both databases ---------------------------------------------------------------------


def tell(repo: Repo) -> Iterator[None]:
    """A story in two parts; the ledger is read after each."""
    repo.commit(
        {"prod/api.yaml": MANIFEST.format(1, 1), "tf/main.tf": TERRAFORM.format("10.0.0.0/8")},
        "start",
    )
    repo.make_branch("pull-1")
    head = repo.commit({"prod/api.yaml": MANIFEST.format(2, 1)}, "two", branch="pull-1", author=BOB)
    repo.pull_head(1, head)
    repo.commit({HOSTILE_PATH: "one\ntwo\n", "notes/plain.txt": "one\ntwo\n"}, f"Note {HOSTILE}")
    repo.squash("pull-1", "Two replicas (#1)", author=BOB)
    yield
    repo.commit(
        {"tf/main.tf": TERRAFORM.format("0.0.0.0/0")}, "open", author=Person(HOSTILE, "eve@x")
    )
    old = repo.commit({"prod/api.yaml": MANIFEST.format(2, 2)}, "Bump the image (#7)")
    repo.commit({"prod/api.yaml": MANIFEST.format(9, 2)}, "displaced")
    yield
    repo.force(old)
    files = {
        "prod/api.yaml": None,
        "live/api.yaml": MANIFEST.format(3, 2),
        "t.yaml": "{{ if }}\nx\n",
    }
    repo.commit(files, f"Move it {HOSTILE}")
    repo.commit({"dup.yaml": "a: 1\na: 2\n", "notes/plain.txt": None}, "duplicate key")
    repo.tag("v1")
    yield


ENVIRONMENT = EnvironmentSettings(name="prod", tier="production", paths=["prod/*", "live/*"])


def story(folder: Path, url: str) -> Ledger:
    repo = make_repo(folder / "infra.git")
    missing = track(str(folder / "nowhere"), "missing")
    ledger = make_ledger(
        folder / "ledger",
        track(repo, forge="github.com/acme/infra"),
        missing,
        environments=[ENVIRONMENT],
        database=url,
    )
    for _ in tell(repo):
        ledger.ingest()
    told = folder / "github.json"
    told.write_text(json.dumps(from_github(repo)), "utf-8")
    ingest.import_files(
        ledger.settings, "github", Import(files=[told]), clock=lambda: "2025-01-01T01:00:00Z"
    )
    return ledger


def from_github(repo: Repo) -> list[Any]:
    """The pull request that the third revision landed, approved, as the API gives it."""
    head = repo.tip("pull-1")
    page = "https://github.com/acme/infra/pull/1"
    return [
        {
            "html_url": page,
            "number": 1,
            "state": "closed",
            "merged_at": "2024-01-01T00:10:00Z",
            "merge_commit_sha": repo.chain(repo.resolve("main"))[2],
            "merged_by": {"login": "mona"},
            "user": {"login": "bob"},
            "title": f"Two replicas {HOSTILE}",
            "head": {"sha": head},
            "base": {"ref": "main"},
            "created_at": "2024-01-01T00:01:00Z",
            "updated_at": "2024-01-01T00:10:00Z",
        },
        {
            "html_url": f"{page}#1",
            "pull_request_url": "https://api.github.com/repos/acme/infra/pulls/1",
            "id": 1,
            "user": {"login": "carol"},
            "state": "APPROVED",
            "commit_id": head,
            "submitted_at": "2024-01-01T00:05:00Z",
        },
    ]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """The story on SQLite."""
    return story(tmp_path_factory.mktemp("cli"), "")


@pytest.fixture(scope="module")
def postgres_ledger(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Path
) -> Iterator[Ledger]:
    """The story on PostgreSQL."""
    admin = f"postgresql://postgres@/postgres?host={postgres_server}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("create database test_cli")
        yield story(tmp_path_factory.mktemp("cli"), admin.replace("/postgres?", "/test_cli?"))
        connection.execute("drop database test_cli with (force)")


@pytest.fixture
def asked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, run: Run) -> Run:
    """Runs the program on the story's ledger, from another folder."""
    monkeypatch.setenv("LEDGER_CONFIG", str(ledger.settings.folder / "ledger.toml"))
    monkeypatch.chdir("/")
    return run


# -- the shape of JSON -----------------------------------------------------------------------------------


class Whatever:
    """Any JSON value."""


class Maybe:
    """One shape or null."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


PERSON = {"name": str, "email": str}
REVISION = {
    "repository": str,
    "branch": str,
    "number": int,
    "commit_sha": str,
    "subject": str,
    "author": PERSON,
    "committer": PERSON,
    "authored_at": str,
    "committed_at": str,
    "landed_at": str,
    "landed_grade": str,
    "recorded_at": str,
    "signature_status": str,
    "superseded": bool,
    "pull_request": {
        "number": Maybe(int),
        "grade": str,
        "reason": str,
        "merged_by": str,
        "merged_at": str,
    },
    "push": {"by": str, "at": str, "direct": str, "reason": str},
    "names": [
        {
            "role": str,
            "commit_sha": str,
            "number": Maybe(int),
            "grade": str,
            "reason": str,
        }
    ],
    "approval": {
        "verdict": str,
        "grade": str,
        "reason": str,
        "approvers": [str],
        "approved_at": str,
    },
}
FIELD = {"field": str, "action": str, "old": Whatever, "new": Whatever}
CHANGE = {
    "resource": str,
    "action": str,
    "path": str,
    "old_path": str,
    "api_group": str,
    "kind": str,
    "namespace": str,
    "name": str,
    "fields": [FIELD],
    "copied_from": str,
    "unparsed": str,
    "warnings": str,
    "revision": REVISION,
}
MOMENT = {"at": str, "commit_sha": str, "number": int, "clock": str}
NAME = {
    "resource": str,
    "repository": str,
    "branch": str,
    "path": str,
    "api_group": str,
    "kind": str,
    "namespace": str,
    "name": str,
    "present": int,
    "first_revision": int,
    "last_revision": int,
    "effective_namespace": str,
    "set_by": str,
}
BLAMED = {
    "field": str,
    "value": Whatever,
    "revision": REVISION,
    "path": str,
    "input_field": str,
}
SETTER = {"path": str, "field": str, "resource": Maybe(NAME)}
DECIDED = {
    "field": str,
    "value": Whatever,
    "directory": str,
    "namespace": str,
    "name": str,
    "grade": str,
    "setters": [SETTER],
    "included": [SETTER],
    "unread": str,
}
SHOWN = {
    "resource": NAME,
    "moment": MOMENT,
    "path": str,
    "text": str,
    "body": Whatever,
    "changed": REVISION,
}
SHAPES: dict[str, Any] = {
    "when": {
        "name": str,
        "field": Maybe(str),
        "written_as": Maybe(str),
        "resources": [NAME],
        "decided_by": [DECIDED],
        "moment": MOMENT,
        "change": Maybe(CHANGE),
        "live": [Whatever],
        "unread": int,
    },
    "history": {
        "name": str,
        "field": Maybe(str),
        "written_as": Maybe(str),
        "resources": [NAME],
        "decided_by": [DECIDED],
        "changes": [CHANGE],
        "unread": int,
    },
    "blame": {
        "name": str,
        "written_as": Maybe(str),
        "resources": [{"resource": NAME, "moment": MOMENT, "fields": [BLAMED]}],
    },
    "show": {"name": str, "resources": [SHOWN]},
    "diff": {
        "name": str,
        "resources": [{"resource": NAME, "before": MOMENT, "after": MOMENT, "fields": [FIELD]}],
    },
    "log": {"revisions": [REVISION]},
}


def misfits(value: Any, shape: Any, where: str = "") -> list[str]:
    """Where a JSON value has not exactly this shape."""
    if shape is Whatever or (isinstance(shape, Maybe) and value is None):
        return []
    if isinstance(shape, Maybe):
        return misfits(value, shape.shape, where)
    if isinstance(shape, dict) and isinstance(value, dict):
        found = [f"{where}.{key}" for key in value.keys() ^ shape.keys()]
        for key in value.keys() & shape.keys():
            found += misfits(value[key], shape[key], f"{where}.{key}")
        return found
    if isinstance(shape, list) and isinstance(value, list):
        return [one for item in value for one in misfits(item, shape[0], f"{where}[]")]
    return [] if type(value) is shape else [f"{where}: {value!r} is no {shape}"]


NAMES = [
    "deployment/api",
    "aws_security_group.web",
    HOSTILE_PATH,
    "notes/plain.txt",
    "t.yaml",
    "dup.yaml",
    "tf/main.tf",
]


@pytest.mark.parametrize("question", ["when", "history", "blame", "show", "diff"])
@pytest.mark.parametrize("name", NAMES)
def test_json_has_the_documented_shape(question: str, name: str, asked: Run) -> None:
    more = ["--from", "2024-01-01T12:00:00"] if question == "diff" else []
    done = asked(question, name, *more, "--output", "json")
    if name == "notes/plain.txt" and question in ("blame", "show"):
        assert done.code == 3, "it was removed"
        return
    if question == "diff":
        more = ["--from", "2025-01-01T00:01:00Z", "--to", "2025-01-01T00:02:00Z"]
        done = asked(question, name, *more, "--output", "json")
    assert misfits(done.json, SHAPES[question], question) == []
    assert done.err == ""


def test_json_of_a_field(asked: Run) -> None:
    done = asked("when", "deployment/api", "--field", "image", "-o", "json").json
    assert misfits(done, SHAPES["when"]) == []
    assert done["field"] == "image"
    [field] = done["change"]["fields"]
    assert (field["old"], field["new"]) == ("shop/api:1", "shop/api:2")
    assert field["field"] == "spec.template.spec.containers[name=api].image"
    assert done["change"]["revision"]["pull_request"] == {
        "number": 7,
        "grade": "inferred",
        "reason": "subject says “(#7)”; nothing in Git confirms it",
        "merged_by": "",
        "merged_at": "",
    }
    assert done["change"]["revision"]["approval"] == {
        "verdict": "unknown",
        "grade": "unlinked",
        "reason": "nothing was told of it by its forge",
        "approvers": [],
        "approved_at": "",
    }
    assert (
        asked("when", "deployment/api", "--field", "nowhere", "-o", "json").json["change"] is None
    )
    history = asked("history", "deployment/api", "--field", "spec.replicas", "-o", "json").json
    assert misfits(history, SHAPES["history"]) == []
    numbers = [one["revision"]["pull_request"]["number"] for one in history["changes"]]
    assert numbers == [None, 1, None]
    blame = asked("blame", "deployment/api", "--field", "image", "-o", "json").json
    assert [len(one["fields"]) for one in blame["resources"]] == [1]


def test_log(asked: Run) -> None:
    everything = asked("log", "-o", "json").json
    assert misfits(everything, SHAPES["log"]) == []
    assert [one["number"] for one in everything["revisions"]] == [7, 6, 5, 4, 3, 2, 1]
    displaced = asked("log", "--superseded", "-o", "json").json["revisions"]
    assert [one["subject"] for one in displaced if one["superseded"]] == ["displaced"]

    def numbers(*options: str) -> list[int]:
        found = asked("log", *options, "-o", "json").json
        assert misfits(found, SHAPES["log"]) == []
        return [one["number"] for one in found["revisions"]]

    assert numbers("--limit", "2") == [7, 6]
    assert numbers("--direct") == [7, 6, 4, 2, 1]
    assert numbers("--path", "prod") == [6, 5, 3, 1]
    assert numbers("--path", "prod/api.yaml") == [6, 5, 3, 1]
    assert numbers("--path", "tf/*") == [4, 1]
    assert numbers("--path", "*.tf") == [4, 1]
    assert numbers("--path", "pro") == []
    assert numbers("--author", "bob@example.org") == [3]
    assert numbers("--author", "Bob") == [3]
    assert numbers("--since", "2025-01-01") == [7, 6, 5, 4]
    assert numbers("--until", "2025-01-01") == [3, 2, 1]
    assert numbers("--branch", "other") == []
    none = asked("log", "--repository", "other")
    assert (none.code, none.out, none.err) == (0, "", "no revision matches\n")


def test_show_at_times_and_commits(asked: Run) -> None:
    commits = {
        one["number"]: one["commit_sha"] for one in asked("log", "-o", "json").json["revisions"]
    }

    def replicas(*options: str) -> int:
        done = asked("show", "deployment/api", *options, "-o", "json").json
        assert misfits(done, SHAPES["show"]) == []
        [shown] = done["resources"]
        assert f"replicas: {shown['body']['spec']['replicas']}" in shown["text"]
        return int(shown["body"]["spec"]["replicas"])

    assert replicas() == 3
    assert replicas("--at", commits[1]) == 1
    assert replicas("--at", commits[3][:10]) == 2
    assert replicas("--at", "2025-01-01T00:01:00Z") == 2
    assert replicas("--at", "2025-01-01 00:02") == 9
    assert replicas("--at", "2025-01-01T00:03:00+00:00") == 3
    assert replicas("--at", "now") == 3
    done = asked("diff", "deployment/api", f"{commits[1]}..{commits[7]}", "-o", "json").json
    fields = {one["field"]: (one["old"], one["new"]) for one in done["resources"][0]["fields"]}
    assert fields["spec.replicas"] == (1, 3)
    assert asked("diff", "deployment/api", "--from", commits[7]).out.endswith("no difference\n")


# -- text ------------------------------------------------------------------------------------------------

QUESTIONS: list[tuple[str, ...]] = [
    *((question, name) for question in ("when", "history", "blame", "show") for name in NAMES),
    *(("diff", name, "--from", "2025-01-01T00:01:00Z") for name in NAMES),
    ("log",),
    ("log", "--superseded"),
    ("sql", "select * from revisions"),
    ("sql", "select * from commits", "-o", "json"),
    ("sql", "select path, subject from resource_changes join commits using (commit_sha)"),
    ("sql", "select data from events", "--limit", "0"),
    ("source", "list"),
    ("when", "notes/" + HOSTILE),
    ("when", "red"),
    ("when", "nothing/" + HOSTILE),
    ("show", "one"),
    ("history", HOSTILE_PATH, "--field", HOSTILE),
    ("log", "--since", HOSTILE),
    ("diff", "t.yaml", HOSTILE),
    ("ingest", HOSTILE),
]


@pytest.mark.parametrize("arguments", QUESTIONS, ids=" ".join)
def test_nothing_from_outside_acts_on_the_terminal(arguments: tuple[str, ...], asked: Run) -> None:
    done = asked(*arguments)
    assert done.code in (0, 2, 3, 4), done.err
    for char in done.out + done.err:
        assert char in "\n\t" or not unicodedata.category(char).startswith(("C", "Zl", "Zp")), (
            f"{char!r} in {arguments}"
        )
    if done.code == 0:
        assert done.out


def test_an_ambiguous_hostile_name_is_listed_harmlessly(tmp_path: Path, run: Run) -> None:
    repo = make_repo(tmp_path / "r.git")
    evil = "a\x1b[31m\u202e\\nb"
    body = f'apiVersion: v1\nkind: "{evil}"\nmetadata: {{name: "x\\n  forged line\\x1b"}}\n'
    repo.commit({f"{evil}.yaml": body.encode(), "b.yaml": body.encode()}, "x")
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    os.environ["LEDGER_CONFIG"] = str(ledger.settings.folder / "ledger.toml")
    for name in ("x\n  forged line\x1b", "x\n  forged lin"):
        done = run("when", name)
        assert done.code in (3, 4)
        lines = [line for line in done.err.split("\n") if line]
        assert all(
            char == "\n" or not unicodedata.category(char).startswith("C") for char in done.err
        )
        assert not any(line.startswith("  forged") for line in lines)
    del os.environ["LEDGER_CONFIG"]


def test_text_tells_who_what_when_and_how_it_is_known(asked: Run) -> None:
    out = asked("when", "deployment/api", "--field", "spec.replicas").out
    assert "deployment/api -n prod  moved in revision 6 of infra@main" in out
    assert "live/api.yaml  (was prod/api.yaml)" in out
    assert "spec.replicas: 2 → 3" in out
    assert "Ann <ann@example.org>" in out
    assert "seen by the ledger" in out
    assert "none unlinked: a direct push" in out
    assert "approval  not approved: no pull request is linked to it" in out
    assert asked("log").out.count("\n") == 7
    assert "superseded" in asked("log", "--superseded").out


def test_text_tells_who_approved_and_who_merged(asked: Run) -> None:
    at = ["--at", "2025-01-01T00:01:30Z"]
    out = asked("when", "deployment/api", "--field", "spec.replicas", *at).out
    assert "approval  approved by carol at 2024-01-01T00:05:00Z (reported)" in out
    assert "merged    by mona at 2024-01-01T00:10:00Z (reported)" in out
    assert "landed    2024-01-01T00:10:00Z  as the forge says" in out
    assert "approved by carol" in asked("history", "deployment/api").out
    assert "# approval approved by carol" in asked("show", "deployment/api", *at).out
    verdicts = [line.split()[6] for line in asked("log").out.splitlines()]
    no = "unapproved"
    assert verdicts == [no, no, "unknown", no, "approved", no, no]


def test_text_tells_where_nothing_is_known_of_approvals(tmp_path: Path, run: Run) -> None:
    ledger = fresh(tmp_path)
    os.environ["LEDGER_CONFIG"] = str(ledger.settings.folder / "ledger.toml")
    assert "approval  unknown: nothing was told by a forge" in run("when", "a.yaml").out
    del os.environ["LEDGER_CONFIG"]


# -- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("when", "deployment/nope"), 3, "nothing recorded is called"),
        (("when", "deployment/api", "-n", "other"), 3, "is not declared in namespace 'other'"),
        (("when", "deployment/api", "--field", "spec.nope"), 3, "never had a field"),
        (("when", "deployment/api", "--field", "spec["), 2, "not a field path"),
        (("history", "deployment/api", "--field", "spec.nope"), 3, "never had a field"),
        (("blame", "deployment/api", "--field", "spec.nope"), 3, "has no field"),
        (("log", "--limit", "-1"), 2, "Invalid value"),
        (("history", "deployment/api", "--limit", "-1"), 2, "Invalid value"),
        (("sql", "select 1", "--limit", "-1"), 6, "negative"),
        (("ingest", "--processes", "-1"), 2, "Invalid value"),
        (("show", "notes/plain.txt"), 3, "was removed by then"),
        (("show", "t.yaml", "--at", "2025-01-01T00:01:00Z"), 3, "was not declared yet"),
        (("show", "t.yaml", "--at", "1999-01-01"), 3, "had no revision"),
        (("show", "t.yaml", "--at", "2024-13-45"), 2, "is no time"),
        (("show", "t.yaml", "--at", "yesterday-ish"), 2, "is no time"),
        (("show", "t.yaml", "--at", "deadbeef"), 2, "no revision"),
        (("show", "t.yaml", "--at", "0001-01-01T00:00:00+14:00"), 2, "is no time"),
        (("log", "--since", "9999-12-31T23:59:59-12:00"), 2, "is no time"),
        (("log", "--since", "soon"), 2, "is no time"),
        (("diff", "t.yaml"), 2, "needs a beginning"),
        (("diff", "t.yaml", "abc"), 2, "no range"),
        (("diff", "t.yaml", "..abc"), 2, "no range"),
        (("ingest", "nope"), 2, "there is no source 'nope'"),
        (("verify", "--source", "nope"), 2, "there is no source 'nope'"),
        (("nope",), 2, "No such command"),
        (("when",), 2, "Missing argument"),
        (("when", "x", "--output", "xml"), 2, "Invalid value"),
        (("sql",), 2, "no query"),
        (("sql", ""), 2, "no query"),
        (("sql", "drop table events"), 6, ""),
        (("sql", "select * from log_event"), 6, "log_event"),
        (("sql", "select * from nope"), 6, "nope"),
        (("sql", "select nope from events"), 6, "nope"),
        (("sql", "selec"), 6, ""),
        (("sql", "select 1", "--seconds", "0"), 6, "time limit"),
        (("source", "add", "git", "infra", "--url", "x"), 2, "already"),
        (("source", "add", "git", "Bad Name", "--url", "x"), 2, "cannot be the name"),
        (("source", "add", "git", "new", "--url", "ext::sh -c true"), 2, "may run programs"),
        (("source", "add", "git", "new", "--url=--upload-pack=x"), 2, "no repository URL"),
        (("init", "--database", "sqlite:///other.db"), 2, "names another database"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_exit_codes(arguments: tuple[str, ...], code: int, message: str, asked: Run) -> None:
    done = asked(*arguments)
    assert done.code == code, done.err
    assert message in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


def test_ingest_tells_what_failed_and_ends_with_5(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repo(tmp_path / "r.git")
    repo.commit({"a": "1"}, "x")
    make_ledger(tmp_path / "ledger", track(repo, "good"), track(str(tmp_path / "no"), "bad"))
    monkeypatch.chdir(tmp_path / "ledger")
    done = run("ingest")
    assert done.code == 5
    assert re.search(r"^good: \d+ new events$", done.out, re.MULTILINE)
    assert done.err.startswith("bad: git ls-remote failed")
    done = run("ingest", "good")
    assert (done.code, done.out, done.err) == (0, "good: nothing new\n", "")
    listed = run("source", "list").out
    assert "never read" not in listed
    assert "ls-remote failed" in listed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "database"),
        ("database = ", "cannot be read"),
        ("database = 1\n", "database"),
        ('database = "x"\nsurprise = 1\n', "surprise"),
        ('database = "sqlite:///x"\n[[source]]\nkind = "git"\n', "name"),
        (
            'database = "sqlite:///x"\n[[source]]\nkind="git"\nname="A B"\nurl="x"\n',
            "cannot be the name",
        ),
        (
            'database = "sqlite:///x"\n' + '[[source]]\nkind="git"\nname="a"\nurl="x"\n' * 2,
            "two sources",
        ),
        (
            'database = "sqlite:///x"\n' + '[[environment]]\nname="a"\npaths=["x"]\n' * 2,
            "two environments",
        ),
        ('database = "sqlite:///x"\n[redaction]\npatterns = 1\n', "patterns"),
        ("\ufeffdatabase = 'x'", ""),
        ("database = '\x00'", "cannot be read"),
    ],
)
@pytest.mark.parametrize("command", ["log", "ingest", "init", "sql"])
def test_a_broken_configuration_names_the_file_and_the_fault(
    text: str, message: str, command: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ledger.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = run(command, *(["select 1"] if command == "sql" else []))
    assert done.code == 2, done.err
    assert "ledger.toml" in done.err
    assert message in done.err


def test_a_configuration_that_is_not_there(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("log")
    assert done.code == 2
    assert "ledger init" in done.err
    (tmp_path / "ledger.toml").mkdir()
    assert run("log").code == 2
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("LEDGER_CONFIG", "binary")
    assert run("log").code == 2


COMMANDS: list[tuple[str, ...]] = [
    ("log",),
    ("when", "deployment/api"),
    ("sql", "select count(*) from events"),
    ("verify",),
    ("rebuild",),
    ("ingest",),
    ("source", "list"),
]


def fresh(tmp_path: Path) -> Ledger:
    repo = make_repo(tmp_path / "r.git")
    repo.commit({"a.yaml": MANIFEST.format(1, 1)}, "x")
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    return ledger


def damage_nothing_there(path: Path) -> None:
    path.unlink()


def damage_no_database(path: Path) -> None:
    path.write_bytes(b"this is no database at all, not even a little " * 100)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 // 4096 * 4096])


def damage_scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(16_384, len(data), 8_192):
        data[at : at + 4_096] = b"\xa5" * 4_096
    path.write_bytes(data[: path.stat().st_size])


def damage_other_version(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("update alembic_version set version_num = '9999'")
    database.close()


def damage_foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("create table alembic_version (version_num text)")
    database.close()


def damage_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing_there,
        damage_no_database,
        damage_empty,
        damage_cut,
        damage_scribble,
        damage_other_version,
        damage_foreign,
        damage_folder,
    ],
)
def test_a_database_that_cannot_be_used_is_one_clear_message(
    damage: Callable[[Path], None], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = fresh(tmp_path)
    path = Path(ledger.settings.database_url.removeprefix("sqlite:///"))
    damage(path)
    for leftover in path.parent.glob("ledger.db-*"):
        leftover.unlink()
    kept = path.read_bytes() if path.is_file() else None
    monkeypatch.chdir(ledger.settings.folder)
    for command in COMMANDS:
        done = run(*command)
        assert done.code in (1, 5, 6, 7), (command, done)
        assert done.err, command
        assert "Traceback" not in done.err
        assert "internal error" not in done.err
        if kept is None and damage is damage_nothing_there:
            assert "ledger init" in done.err
            assert not path.exists(), f"{command} made a database"


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mysql://x/y",
        "sqlite://relative.db",
        "sqlite:////nowhere/at/all/x.db",
        "postgresql://user:hunter2@127.0.0.1:1/none?connect_timeout=1",
        "postgresql://user:hunter2@/none?host=/nowhere",
        "postgresql://user:hunter2@[bad/none",
        "sqlite:///",
    ],
)
@pytest.mark.parametrize(
    "command", [("init",), ("log",), ("sql", "select 1")], ids=lambda one: one[0]
)
def test_database_urls_that_lead_nowhere(
    url: str, command: tuple[str, ...], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ledger.toml").write_text(f"database = {json.dumps(url)}\n")
    monkeypatch.chdir(tmp_path)
    done = run(*command)
    assert done.code in (2, 7), done
    assert done.err
    assert "hunter2" not in done.err


def test_a_missing_key_stops_an_ingest_and_no_question(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = fresh(tmp_path)
    key = ledger.settings.folder / "ledger.key"
    monkeypatch.chdir(ledger.settings.folder)
    for broken in ("", "xyz", "00"):
        key.write_text(broken)
        done = run("ingest")
        assert done.code == 2
        assert "ledger.key" in done.err
    key.unlink()
    done = run("ingest")
    assert done.code == 2
    assert "backup" in done.err
    assert run("when", "deployment/api").code == 0
    assert run("rebuild").code == 0
    assert not key.exists()


# -- setting up ------------------------------------------------------------------------------------------


def test_from_nothing_to_an_answer(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repo(tmp_path / "infra.git")
    repo.commit({"prod/api.yaml": MANIFEST.format(1, 1)}, "start")
    folder = tmp_path / "ledger"
    folder.mkdir()
    monkeypatch.chdir(folder)
    first = run("init")
    assert first.code == 0
    assert "Made the ledger" in first.out
    key = (folder / "ledger.key").read_text()
    assert (folder / "ledger.key").stat().st_mode & 0o777 == 0o600
    assert "ledger.toml" in run("init").out
    assert (folder / "ledger.key").read_text() == key
    assert run("ingest").code == 2, "there is no source yet"
    assert run("source", "add", "git", "infra", "--url", "../infra.git").code == 0
    assert "never read" in run("source", "list").out
    assert run("ingest", "--processes", "1").code == 0
    assert run("when", "deployment/api").code == 0
    done = run("verify", "--all-sources")
    assert done.code == 0
    assert "everything is as recorded" in done.out
    assert "NOT EXTERNALLY ANCHORED" in done.out
    assert "Rebuilt the projections" in run("rebuild").out
    assert "Upgraded" in run("init").out


def test_init_upgrades_and_never_makes_a_second_key(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("init")
    (tmp_path / "ledger.key").unlink()
    done = run("init")
    assert done.code == 0
    assert not (tmp_path / "ledger.key").exists(), "equal secrets would no longer compare as equal"


def test_another_folder_and_another_database(
    ledger: Ledger, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEDGER_CONFIG", str(ledger.settings.folder / "ledger.toml"))
    assert run("log").code == 0
    copy = tmp_path / "copy.db"
    shutil.copy(ledger.settings.database_url.removeprefix("sqlite:///"), copy)
    monkeypatch.setenv("LEDGER_DATABASE", f"sqlite:///{copy}")
    assert run("log").out
    monkeypatch.setenv("LEDGER_DATABASE", "sqlite:///relative.db")
    assert run("log").code == 7
    assert not (tmp_path / "relative.db").exists()


def test_the_program_as_a_shell_runs_it(ledger: Ledger, tmp_path: Path) -> None:
    """Once in a process of its own: no traceback, no colours, and a reader that goes away is no fault."""
    environment = {**os.environ, "LEDGER_CONFIG": str(ledger.settings.folder / "ledger.toml")}
    for name in ("LEDGER_TRACEBACK", "PYTHONUNBUFFERED"):
        environment.pop(name, None)
    command = [
        sys.executable,
        "-m",
        "ledger",
        "sql",
        "select a.data from events a, events b",
        "--limit",
        "0",
    ]
    script = 'set -o pipefail; "$@" | head -c 10 > /dev/null; echo "${PIPESTATUS[0]}"'
    done = subprocess.run(
        ["bash", "-c", script, "-", *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "141"
    assert done.stderr == ""


@pytest.mark.parametrize("name", [*sorted(cli.commands), "source list", "source add git"])
def test_every_command_has_help(name: str, run: Run) -> None:
    done = run(*name.split(), "--help")
    assert done.code == 0
    assert "Usage:" in done.out


def test_version(run: Run) -> None:
    assert re.fullmatch(r"ledger, version \S+\n", run("--version").out)


# -- SQL ----------------------------------------------------------------------------------------------------


def test_sql_as_csv_json_and_table(asked: Run) -> None:
    query = (
        "select number, subject, pull_request from revisions where superseded = 0 order by number"
    )
    rows = list(csv.reader(io.StringIO(asked("sql", query, "-o", "csv").out)))
    assert rows[0] == ["number", "subject", "pull_request"]
    assert rows[3] == ["3", "Two replicas (#1)", "1"]
    assert len(rows) == 8
    objects = asked("sql", query, "--output", "json").json
    assert objects[2] == {"number": 3, "subject": "Two replicas (#1)", "pull_request": 1}
    assert objects[0]["pull_request"] is None
    table = asked("sql", query).out
    assert "Two replicas (#1)" in table
    assert table.endswith("(7 rows)\n")
    assert asked("sql", "-", "-o", "json", stdin="select 1 as one").json == [{"one": 1}]


def test_sql_limits(asked: Run) -> None:
    done = asked(
        "sql", "select position from events order by position", "--limit", "3", "-o", "json"
    )
    assert [row["position"] for row in done.json] == [0, 1, 2]
    assert "only the first 3 rows" in done.err
    whole = asked("sql", "select count(*) as n from events", "-o", "json").json[0]["n"]
    done = asked("sql", "select position from events", "--limit", "0", "-o", "json")
    assert len(done.json) >= whole
    assert done.err == ""


def test_sql_is_recorded_and_a_refused_one_is_not(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = fresh(tmp_path)
    monkeypatch.chdir(ledger.settings.folder)
    assert run("sql", "select count(*) from commits").code == 0
    assert run("sql", "select * from log_event").code == 6
    [event] = ledger.events(QueryExecuted)
    assert isinstance(event.data, QueryExecuted)
    assert "commits" in event.data.sql
    assert event.data.rows == 1
    assert run("verify").code == 0


def test_the_data_dictionary_names_every_view_and_column(run: Run) -> None:
    text = run("sql", "--views").out
    for view in schema.views():
        assert view.name in text
        assert all(column in text and sentence in text for column, sentence in view.columns.items())


# -- the views -----------------------------------------------------------------------------------------------

PROMISED = """
events(position, type, version, stream, key, source, actor, occurred_at, recorded_at, data)
repositories(repository, url, branch, commits, revisions)
commits(repository, commit_sha, author_name, author_email, authored_at, committer_name, committed_at, subject, signature_status)
revisions(repository, branch, number, commit_sha, committed_at, landed_at, landed_grade, author_name, subject, pull_request, link_grade, link_reason, superseded)
revision_pull_requests(repository, commit_sha, number, role, grade, reason)
pull_requests(repository, number, title, author, merged_by, merged_at, merge_commit_sha, method, url, approvals, approval, reason)
reviews(repository, number, reviewer, state, commit_sha, submitted_at, counts, reason)
resources(resource, repository, branch, path, api_group, kind, namespace, name, first_revision, last_revision, present)
resource_changes(resource, repository, branch, revision_number, commit_sha, committed_at, path, api_group, kind, namespace, name, action, fields_changed, pull_request)
field_changes(resource, repository, branch, revision_number, commit_sha, committed_at, field, action, old_value, new_value, pull_request)
deployments(repository, application, environment, cluster, revision, outcome, kind, initiated_by, automated, started_at, finished_at)
deployed_revisions(repository, application, environment, cluster, commit_sha, pull_request, deployed_at)
live_resources(cluster, api_group, kind, namespace, name, observed_at, application, repository, state, approval, grade, synced_commit_sha, changed_commit_sha, pull_request, reason)
"""  # noqa: E501
OPERATIONAL = {"feeds", "projections"}
NOT_BY_EVENTS = {"events", "tree_heads", "resources", *OPERATIONAL}


def promised() -> dict[str, list[str]]:
    found = re.findall(r"^(\w+)\((.*)\)$", PROMISED, re.MULTILINE)
    return {name: columns.split(", ") for name, columns in found}


def test_views_have_the_promised_columns() -> None:
    standing = {view.name: view.columns for view in schema.views()}
    must = {"events", "repositories", "commits", "revisions", "resources", "field_changes", "gaps"}
    assert must | {"feeds", "environments", "tree_heads", "projections"} <= standing.keys()
    for name, wanted in promised().items():
        if name in standing:
            assert not set(wanted) - standing[name].keys(), name
    for name, columns in standing.items():
        if name not in NOT_BY_EVENTS:
            assert {"evidence_position", "recorded_at"} <= columns.keys(), name
        if {"number", "commit_sha"} & columns.keys():
            assert "repository" in columns


# Nothing is deployed in this story, no forge tells of it and no report is made: test_deployments, test_live,
# test_reports, test_rules and test_demo fill these on both databases.
NEEDS_MORE = {
    "application_changes",
    "applications",
    "applied_changes",
    "checks",
    "deployed_revisions",
    "deployment_sources",
    "deployments",
    "drift_episodes",
    "live_fields",
    "live_resources",
    "reports",
    "rules_in_force",
}


def contract() -> auditor.Contract:
    return auditor.Contract(views={view.name: tuple(view.columns) for view in schema.views()})


def test_every_view_gives_its_columns_and_the_same_rows_on_both_databases(
    ledger: Ledger, postgres_ledger: Ledger
) -> None:
    for view in schema.views():
        if view.name == "tree_heads":
            continue
        answers = []
        for one in (ledger, postgres_ledger):
            sql = f"select * from {view.name}"
            if view.name == "events":
                sql += " where type <> 'query.executed'"
            answer = auditor.query(one.settings.database_url, sql, contract(), limit=None)
            assert answer.columns == tuple(view.columns), view.name
            folder = str(one.settings.folder.parent)
            answers.append(
                sorted(
                    [
                        tuple(v.replace(folder, "") if isinstance(v, str) else v for v in row)
                        for row in answer.rows
                    ],
                    key=repr,
                )
            )
        if (
            view.name == "events"
        ):  # the survey's URL has the folder's name in it, hence its digests differ
            answers = [[row for row in rows if "survey" not in row[4]] for rows in answers]
        assert answers[0] == answers[1], view.name
        assert answers[0] or view.name in NEEDS_MORE, f"{view.name} is empty in the story"


def test_text_sorts_bytewise_on_both_databases(ledger: Ledger, postgres_ledger: Ledger) -> None:
    for one in (ledger, postgres_ledger):
        sql = "select distinct path from resource_changes order by path"
        paths = [row[0] for row in auditor.query(one.settings.database_url, sql, contract()).rows]
        assert paths == sorted(paths, key=lambda path: path.encode())


def test_json_columns_are_json_and_times_are_iso(ledger: Ledger, postgres_ledger: Ledger) -> None:
    for one in (ledger, postgres_ledger):
        rows = auditor.query(
            one.settings.database_url, "select * from events", contract(), limit=None
        )
        data = rows.columns.index("data")
        assert all(isinstance(json.loads(row[data]), dict) for row in rows.rows)
        for view in schema.views():
            times = [name for name in view.columns if name.endswith("_at")]
            if not times or view.name == "pull_requests":
                continue
            sql = f"select {', '.join(times)} from {view.name}"
            for row in auditor.query(one.settings.database_url, sql, contract(), limit=None).rows:
                for value in row:
                    assert value == "" or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value)


# -- times -----------------------------------------------------------------------------------------

NOW = "2026-03-15T10:20:30Z"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("now", NOW),
        ("2026-09-01", "2026-09-01T00:00:00Z"),
        ("2026-09-01 02:00", "2026-09-01T02:00:00Z"),
        ("2026-09-01T02:00Z", "2026-09-01T02:00:00Z"),
        ("2026-09-01T02:00:03.9Z", "2026-09-01T02:00:03Z"),
        ("2026-09-01T02:00+02:00", "2026-09-01T00:00:00Z"),
        ("20260901T0200Z", "2026-09-01T02:00:00Z"),
        ("  2026-09-01  ", "2026-09-01T00:00:00Z"),
        ("0800-01-01", "0800-01-01T00:00:00Z"),
        ("1h", "2026-03-15T09:20:30Z"),
        ("90 minutes ago", "2026-03-15T08:50:30Z"),
        ("2.days.ago", "2026-03-13T10:20:30Z"),
        ("1 week", "2026-03-08T10:20:30Z"),
        ("30s", "2026-03-15T10:20:00Z"),
        ("5m", "2026-03-15T10:15:30Z"),
        ("2W", "2026-03-01T10:20:30Z"),
        ("0d", NOW),
        ("9999 years ago", "0001-01-01T00:00:00Z"),
        ("999999 weeks", "0001-01-01T00:00:00Z"),
    ],
)
def test_times(text: str, instant: str) -> None:
    assert parse_instant(text, NOW) == instant


@pytest.mark.parametrize(
    "text",
    ["", " ", "then", "2026", "2026-13-01", "2026-02-30", "1 fortnight", "-1h", "1", "1e3h", "h",
     "2026-09-01T25:00", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "1" * 400 + "h", "٣h",
     "2026-09-01T02:00+99:99", "\0", "2026-09-01\n; drop"],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="is no time") as raised:
        parse_instant(text, NOW)
    assert raised.value.hint
    assert raised.value.exit_code == 2


# -- start-up --------------------------------------------------------------------------------------------

HEAVY = (
    "sqlalchemy", "alembic", "git", "jinja2", "weasyprint", "apscheduler", "fastapi", "lightkube", "httpx2",
    "cryptography", "tree_sitter", "sqlmodel", "pydantic",
)  # fmt: skip
LIGHT = ("msgspec", "yaml", "sqlite3", "psycopg", "sqlglot", "zstandard")
ASKING = ("ledger.kustomize.rendering", "ledger.gitio", "ledger.ingest", "psycopg", "sqlglot")


@pytest.mark.parametrize(
    ("arguments", "most", "also"),
    [
        (("--help",), 180, LIGHT),
        (("when", "--help"), 180, LIGHT),
        (("when", "a.yaml"), 310, ASKING),
        (("history", "a.yaml"), 310, ASKING),
        (("log",), 310, ASKING),
        (("changes",), 310, ASKING),
        (("sql", "select 1"), 380, ("ledger.ingest", "ledger.gitio", "psycopg")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_command_imports_no_more_than_it_needs(
    arguments: tuple[str, ...], most: int, also: tuple[str, ...], tmp_path: Path
) -> None:
    """Imports are what start-up costs; to count them does not depend on how busy a machine is."""
    imported = imported_by(fresh(tmp_path), *arguments)
    assert not {*HEAVY, *also}.intersection(imported)
    assert len(imported) < most


def imported_by(ledger: Ledger, *arguments: str) -> list[str]:
    """The modules that a command has imported by its end."""
    code = (
        "import sys\n"
        "from ledger.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end\n"
        "print('modules', *sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ledger.settings.folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = done.stderr.partition("modules ")[2].split()
    assert "ledger.cli" in imported
    return imported


RECORDING = (
    "ledger.workbench",
    "ledger.redaction",
    "ledger.projector",
    "ledger.parsers.kubernetes",
    "yaml",
)


def test_an_ingest_imports_what_recording_takes_only_where_there_is_something_new(
    tmp_path: Path,
) -> None:
    repo = make_repo(tmp_path / "r.git")
    repo.commit({"a.yaml": MANIFEST.format(1, 1)}, "x")
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    other_kinds = ("httpx2", "lightkube", "ledger.sources.github", "ledger.sources.gerrit")

    first = imported_by(ledger, "ingest")
    nothing = imported_by(ledger, "ingest")

    assert {*RECORDING, "ledger.sources.git"} <= {*first}
    assert not {*other_kinds}.intersection(first)
    unwanted = {*RECORDING, *other_kinds, "multiprocessing", "ledger.queries"}
    assert not unwanted.intersection(nothing)
    assert len(nothing) < 430


# -- what is said where something is not as usual ----------------------------------------------------------


def test_a_check_that_does_not_reach_the_tree_head_says_so(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = fresh(tmp_path)
    monkeypatch.chdir(ledger.settings.folder)
    assert re.search(r"^tree head   [1-9]\d* [0-9a-f]{64}$", run("verify").out, re.MULTILINE)
    with sqlite3.connect(ledger.settings.folder / "ledger.db") as connection:
        rows = connection.execute("select name from sqlite_master where type = 'trigger'")
        for (name,) in rows.fetchall():
            connection.execute(f"drop trigger {name}")
        connection.execute("update log_event set leaf = x'00' where position = 2")
    done = run("verify")
    assert done.code == 1
    assert "tree head   not reached: the first 2 events could be followed up to" in done.out
    assert "tree head   0" not in done.out


def test_an_auditors_own_login_asks_the_views_and_is_told_the_truth_about_the_rest(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    repo = make_repo(tmp_path / "r.git")
    repo.commit({"a.yaml": MANIFEST.format(1, 1)}, "x")
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=postgres_url)
    ledger.grow()
    monkeypatch.chdir(ledger.settings.folder)
    login = f"auditor_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"create role {login} login".encode())
        admin.execute(f"grant ledger_auditor to {login}".encode())
    try:
        monkeypatch.setenv("LEDGER_DATABASE", postgres_url.replace("postgres@", f"{login}@"))
        done = run("sql", "select count(*) as n from commits", "-o", "json")
        assert (done.code, done.json) == (0, [{"n": 1}])
        assert "not recorded in the ledger" in done.err
        for question in (("when", "a.yaml"), ("log",), ("changes",), ("verify",)):
            done = run(*question)
            assert (done.code, done.out) == (7, "")
            assert "this database user may not read the ledger" in done.err
            assert "there is no ledger" not in done.err
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(f"drop role {login}".encode())
    monkeypatch.delenv("LEDGER_DATABASE")
    assert ledger.events(QueryExecuted) == []


def test_a_branch_that_was_renamed_tells_its_revisions_once(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repo(tmp_path / "r.git")
    repo.commit({"a.yaml": MANIFEST.format(1, 1)}, "First")
    repo.commit({"a.yaml": MANIFEST.format(2, 1)}, "Second")
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    repo.rename_branch("main", "trunk")
    ledger.grow()
    monkeypatch.chdir(ledger.settings.folder)
    told = run("log", "-o", "json").json["revisions"]
    assert [(one["branch"], one["subject"]) for one in told] == [
        ("trunk", "Second"),
        ("trunk", "First"),
    ]
    assert len(run("log", "--branch", "main", "-o", "json").json["revisions"]) == 2
    span = ("--since", "2000-01-01", "-o", "json")
    landed = [one for one in run("changes", *span).json["entries"] if one["kind"] == "landed"]
    assert [one["branch"] for one in landed] == ["trunk", "trunk"]


def test_a_change_of_a_mode_stands_in_the_log_and_its_limit_in_the_help(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repo(tmp_path / "r.git")
    repo.commit({"run.sh": "echo\n"}, "Plain")
    repo.commit({"run.sh": executable("echo\n")}, "Executable")
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    monkeypatch.chdir(ledger.settings.folder)
    told = run("history", "run.sh", "-o", "json").json["changes"]
    assert [one["revision"]["subject"] for one in told] == ["Plain"]
    assert "Executable" in run("log").out
    query = "select data from events where type = 'commit.observed' order by position desc limit 1"
    assert "100755" in run("sql", query, "-o", "csv").out
    for command in ("history", "log"):
        assert "mode" in run(command, "--help").out


@pytest.mark.parametrize(
    ("verdict", "number", "link", "grade"),
    [
        ("approved", 1, "proved", "reported"),
        ("approved", 1, "reported", "reported"),
        ("approved", 1, "inferred", "inferred"),
        ("unapproved", 1, "inferred", "inferred"),
        ("unapproved", None, "unlinked", "unlinked"),
        ("unknown", 1, "proved", "unlinked"),
    ],
)
def test_an_approval_is_known_no_better_than_the_link(
    verdict: str, number: int | None, link: str, grade: str
) -> None:
    linked = Link(number=number, grade=link, reason="", merged_by="", merged_at="")
    assert approval_grade(verdict, linked) == grade


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_long_lines_are_broken_between_words_and_lose_nothing(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = " ".join(f"word{number}" for number in range(80))
    styled = click.style(words, fg="red")
    for line, margin in ((f"  label      {styled}", 13), (styled, 4), (f"  a.b.c: {styled}", 4)):
        parts = [click.unstyle(one) for one in text.fitted([line])]
        assert all(len(one) <= columns for one in parts)
        assert all(one.startswith(" " * margin + "word") for one in parts[1:])
        assert " ".join(parts).split() == click.unstyle(line).split()
    whole = "x" * 300
    assert text.fitted([whole]) == [whole]
