"""The commands that prove: verify, export, key."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from ledger import standalone
from ledger.testing import make_ledger, make_repo, track
from ledger.testing.programs import Run


@pytest.fixture
def run(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the program in the folder of a small ledger."""
    repo = make_repo(tmp_path / "r.git")
    for number in range(3):
        repo.commit({"a.yaml": f"kind: Namespace\nmetadata: {{name: n{number}}}\n"}, f"{number}")
    make_ledger(tmp_path / "ledger", track(repo)).grow()
    monkeypatch.chdir(tmp_path / "ledger")
    return run


def tamper(*statements: str) -> None:
    with sqlite3.connect("ledger.db") as database:
        for sql in statements:
            database.execute(sql)


def test_a_changed_event_is_named_and_ends_with_1(run: Run) -> None:
    assert run("verify", "--projections")[0] == 0
    tamper(
        "drop trigger log_event_no_update",
        "update log_event set leaf = cast(replace(cast(leaf as text), 'n', 'm') as blob) where position = 4",
    )
    code, out, err = run("verify")
    assert code == 1
    assert "position 4: the event's bytes do not match the hash in the tree" in err
    assert "the ledger is not as recorded" in out


def test_a_changed_row_of_a_projection_is_named_only_where_it_is_asked_for(run: Run) -> None:
    tamper("update model_revision set committed_at = 'x' where number = 2")
    assert run("verify")[0] == 0
    code, out, err = run("verify", "--projections")
    assert code == 1
    assert "table model_revision, row repository 'infra', branch 'main', commit_sha '" in err
    assert "column committed_at says 'x'" in err
    assert "1 finding: the ledger is not as recorded" in out
    assert run("rebuild")[0] == 0
    assert run("verify", "--projections")[0] == 0


def test_a_log_is_exported_signed_grown_and_proved(run: Run) -> None:
    code, out, err = run("key", "show")
    assert code == 2
    assert "ledger key new" in err
    code, out, _ = run("export", "--tiles", "tiles")
    assert (code, "UNSIGNED" in out) == (0, True)
    code, out, _ = run("key", "new", "ledger.example.com/infra")
    public = out.splitlines()[-1]
    assert Path("signing.key").stat().st_mode & 0o777 == 0o600
    assert run("key", "show")[1].strip() == public
    assert run("key", "new", "another")[0] == 2
    assert b"PRIVATE" not in Path("ledger.db").read_bytes()

    code, out, _ = run("export", "--tiles", "signed")
    assert (code, "signed by ledger.example.com/infra" in out) == (0, True)
    old = Path("old")
    old.write_bytes(Path("signed/checkpoint").read_bytes())
    assert run("sql", "select 1")[0] == 0
    code, out, _ = run("export", "--tiles", "signed")
    assert "1 of them new" in out
    code, out, _ = run("export", "--proof", old, "signed/checkpoint")
    Path("proof").write_text(out)
    assert standalone.main(["consistency", "old", "proof", "--key", public]) == 0
    code, out, _ = run("export", "--event", "2")
    Path("event").write_text(out)
    assert standalone.main(["inclusion", "event", "--key", public]) == 0
    assert standalone.main(["log", "signed", "old", "--key", public]) == 0

    code, out, _ = run("verify", "--against", old, "--against", "signed")
    assert code == 0
    assert "NOT EXTERNALLY ANCHORED" not in out
    assert out.count("signed by ledger.example.com/infra") == 2
    assert run("verify", "--against", old, "--key", public)[0] == 0


def test_a_tail_that_was_cut_off_is_found_by_what_verify_printed_before(run: Run) -> None:
    code, before, _ = run("verify")
    Path("kept.txt").write_text(before)
    copy = Path("ledger.db").read_bytes()
    assert run("sql", "select 1")[0] == 0
    code, after, _ = run("verify")
    Path("later.txt").write_text(after)
    Path("ledger.db").write_bytes(copy)
    for name in ("ledger.db-wal", "ledger.db-shm"):
        Path(name).unlink(missing_ok=True)
    assert run("verify", "--against", "kept.txt")[0] == 0
    code, out, err = run("verify", "--against", "later.txt")
    assert code == 1
    assert "the log ends at size" in err
    assert "NOT EXTERNALLY ANCHORED" in out


def test_a_tree_head_that_the_key_has_not_signed_is_no_anchor(run: Run) -> None:
    _, out, _ = run("key", "new", "mine")
    public = out.splitlines()[-1]
    run("export", "--tiles", "unsigned", "--unsigned")
    code, out, err = run("verify", "--against", "unsigned")
    assert (code, "unsigned\n" in out) == (0, True)
    code, _, err = run("verify", "--against", "unsigned", "--key", public)
    assert (code, "is not signed by" in err) == (1, True)
    run("export", "--tiles", "signed")
    text = Path("signed/checkpoint").read_text()
    size = int(text.splitlines()[1])
    Path("signed/checkpoint").write_text(text.replace(f"\n{size}\n", f"\n{size - 1}\n"))
    code, _, err = run("verify", "--against", "signed/checkpoint")
    assert (code, "does not fit" in err) == (1, True)


def test_the_head_in_a_report_is_one_that_is_held_outside(run: Run) -> None:
    _, out, _ = run("verify")
    (line,) = (one for one in out.splitlines() if one.startswith("tree head"))
    position, root = line.split()[2:]
    told = {"log": {"position": int(position), "root": root}, "report": "x"}
    Path("report.json").write_text(json.dumps(told))
    assert run("verify", "--against", "report.json")[0] == 0
    told["log"] = {"position": int(position), "root": "00" * 32}
    Path("report.json").write_text(json.dumps(told))
    assert run("verify", "--against", "report.json")[0] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("export",),
        ("export", "--tiles", "x", "--event", "1"),
        ("export", "--proof", "nope", "nope"),
        ("verify", "--against", "nope"),
        ("verify", "--against", "ledger.toml"),
        ("verify", "--key", "x+00000000+AAAA"),
        ("verify", "--against", "ledger.toml", "--key", "x"),
        ("key", "new", "a b"),
        ("key", "show"),
    ],
)
def test_what_cannot_be_understood_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    code, _, err = run(*arguments)
    assert (code, err.startswith(("error", "Usage", "Error"))) == (2, True), err


def test_there_is_no_proof_of_an_event_that_is_not_there(run: Run) -> None:
    code, _, err = run("export", "--event", "99999")
    assert (code, "There is no entry 99999" in err) == (3, True)
