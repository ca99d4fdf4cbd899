"""What is exported is tlog-tiles, is never forked, and the standalone verifier takes nothing forged."""

from __future__ import annotations

import ast
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import exporting, registry, standalone
from ledger.codec import MAX_LEAF
from ledger.errors import IntegrityError, NotFoundError, StoreError, UsageError
from ledger.events import NewEvent, QueryExecuted
from ledger.merkle import TreeHead, parse_tile_path
from ledger.notes import parse_checkpoint, parse_note
from ledger.signing import SigningKey, new_key
from ledger.store import Store, schema
from ledger.testing import make_database
from ledger.verify import Verifier

TIME = "2026-09-01T00:00:00Z"


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    make_database(sqlite_url)
    with Store.open(sqlite_url) as opened:
        yield opened


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return new_key(tmp_path / "signing.key", "ledger.example.com/infra")


def grow(store: Store, size: int, text: str = "") -> None:
    """Events up to a size."""
    start = store.head().size
    events = [
        NewEvent(
            stream="s", key=f"k/{at}", source="t", data=QueryExecuted(sql=f"{text}{at}", rows=at)
        )
        for at in range(start, size)
    ]
    store.append(events, source="t", recorded_at=TIME)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def checked(*arguments: object) -> int:
    return standalone.main([str(one) for one in arguments])


def test_the_files_are_those_that_the_format_names(
    store: Store, key: SigningKey, tmp_path: Path
) -> None:
    grow(store, 600)
    done = exporting.export_tiles(store, tmp_path / "log", "", key)
    found = files(tmp_path / "log")
    assert found.keys() == {
        "checkpoint",
        *(
            f"tile/{level}/{tile}"
            for level in ("0", "entries")
            for tile in ("000", "001", "002.p/88")
        ),
        "tile/1/000.p/2",
    }
    assert done.files == 7
    assert len(found["tile/0/001"]) == 256 * 32
    assert parse_checkpoint(parse_note(found["checkpoint"]).text).head == store.head()
    [[first]] = store.connection.rows("select leaf from log_event where position = 0")
    assert found["tile/entries/000"].startswith(len(first).to_bytes(2, "big") + first)


@pytest.mark.parametrize(
    "sizes", [(600,), (1, 600), (255, 256, 257, 600), (256, 512, 600), (300, 301, 600, 600)]
)
def test_exports_step_by_step_give_the_same_log_and_write_nothing_twice(
    store: Store, key: SigningKey, tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    folder = tmp_path / "log"
    written: dict[str, int] = {}
    for size in sizes:
        grow(store, size)
        exporting.export_tiles(store, folder, "", key)
        now = {path: (folder / path).stat().st_mtime_ns for path in files(folder)}
        now.pop("checkpoint")
        assert written.items() <= now.items()
        written = now
        assert checked("log", folder, "--key", key.public) == 0
    exporting.export_tiles(store, tmp_path / "whole", "", key)
    whole = files(tmp_path / "whole")
    assert whole.items() <= files(folder).items()
    partial = files(folder).keys() - whole.keys()
    assert all(parse_tile_path(path)[2] < 256 for path in partial)


def test_an_empty_log_is_a_checkpoint(store: Store, key: SigningKey, tmp_path: Path) -> None:
    exporting.export_tiles(store, tmp_path, "", key)
    assert files(tmp_path).keys() - {
        "signing.key",
        "ledger.db",
        "ledger.db-wal",
        "ledger.db-shm",
    } == {"checkpoint"}
    assert checked("log", tmp_path, "--key", key.public) == 0


def test_a_log_of_three_levels_is_accepted(tmp_path: Path, store: Store) -> None:
    grow(store, 66_000)
    exporting.export_tiles(store, tmp_path / "log", "ledger", None)
    assert (tmp_path / "log/tile/2/000.p/1").stat().st_size == 32
    assert checked("log", tmp_path / "log") == 0
    assert checked("log", tmp_path / "log", "--hashes-only") == 0


def test_without_a_key_the_checkpoint_is_unsigned_and_no_key_has_signed_it(
    store: Store, key: SigningKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grow(store, 3)
    done = exporting.export_tiles(store, tmp_path / "log", "ledger", None)
    assert done.note.signatures == ()
    assert (tmp_path / "log/checkpoint").read_text().startswith("ledger\n3\n")
    assert checked("log", tmp_path / "log") == 0
    assert "no signature was checked" in capsys.readouterr().out
    assert checked("log", tmp_path / "log", "--key", key.public) == 1
    assert "the key has not signed it" in capsys.readouterr().err


def test_a_log_that_does_not_go_on_from_the_folder_is_not_exported(
    tmp_path: Path, store: Store, key: SigningKey
) -> None:
    grow(store, 300)
    exporting.export_tiles(store, tmp_path / "log", "", key)
    before = files(tmp_path / "log")
    for size, why in ((299, "has only 299"), (300, "has the root"), (700, "has the root")):
        url = f"sqlite:///{tmp_path / f'other-{size}.db'}"
        schema.initialise(url, registry.projections())
        with Store.open(url) as other:
            grow(other, 299)
            grow(other, size, "other ")
            with pytest.raises(IntegrityError, match=why):
                exporting.export_tiles(other, tmp_path / "log", "", key)
        assert files(tmp_path / "log") == before


def test_a_folder_keeps_its_name(tmp_path: Path, store: Store, key: SigningKey) -> None:
    grow(store, 3)
    exporting.export_tiles(store, tmp_path / "log", "ledger", None)
    with pytest.raises(UsageError, match="holds the log ledger"):
        exporting.export_tiles(store, tmp_path / "log", "ledger", key)


def test_a_damaged_folder_is_not_built_upon(tmp_path: Path, store: Store, key: SigningKey) -> None:
    grow(store, 600)
    exporting.export_tiles(store, tmp_path / "log", "", key)
    tile = tmp_path / "log/tile/1/000.p/2"
    grow(store, 601)
    tile.write_bytes(b"x" * 64)
    with pytest.raises(IntegrityError):
        exporting.export_tiles(store, tmp_path / "log", "", key)
    tile.unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        exporting.export_tiles(store, tmp_path / "log", "", key)


def test_what_an_export_left_that_did_not_end_is_written_anew(
    tmp_path: Path, store: Store, key: SigningKey
) -> None:
    grow(store, 100)
    folder = tmp_path / "log"
    exporting.export_tiles(store, folder, "", key)
    grow(store, 300)
    (folder / "tile/0/000").write_bytes(b"half")
    exporting.export_tiles(store, folder, "", key)
    assert checked("log", folder, "--key", key.public) == 0
    assert not list(folder.rglob(".new-*"))


def test_a_changed_event_ends_the_export_before_a_checkpoint(
    tmp_path: Path, store: Store, key: SigningKey
) -> None:
    grow(store, 300)
    store.connection.execute("drop trigger log_event_no_update")
    store.connection.execute("update log_event set leaf = ? where position = 7", [b"{}"])
    with pytest.raises(IntegrityError, match="the events give the root"):
        exporting.export_tiles(store, tmp_path / "log", "", key)
    assert not (tmp_path / "log/checkpoint").exists()


def test_the_longest_event_fits_and_a_longer_one_is_refused(
    tmp_path: Path, store: Store, key: SigningKey
) -> None:
    assert MAX_LEAF == 0xFFFF
    grow(store, 2)
    store.connection.execute("drop trigger log_event_no_update")
    sql = "update log_event set leaf = ? where position = 1"
    store.connection.execute(sql, [b"x" * (MAX_LEAF + 1)])
    with pytest.raises(IntegrityError, match="no event has more than 65535"):
        exporting.export_tiles(store, tmp_path / "log", "", key)


def test_a_folder_that_cannot_be_written_is_one_clear_message(
    tmp_path: Path, store: Store, key: SigningKey
) -> None:
    (tmp_path / "log").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        exporting.export_tiles(store, tmp_path / "log", "", key)


def test_any_two_checkpoints_are_consistent_by_proof_and_by_folder(
    tmp_path: Path, store: Store, key: SigningKey
) -> None:
    sizes = (1, 2, 7, 255, 256, 257, 511, 600)
    for size in sizes:
        grow(store, size)
        exporting.export_tiles(store, tmp_path / "log", "", key)
        (tmp_path / str(size)).write_bytes((tmp_path / "log/checkpoint").read_bytes())
    heads = [tmp_path / str(size) for size in sizes]
    assert checked("log", tmp_path / "log", *heads, "--key", key.public) == 0
    proof = tmp_path / "proof"
    for at, old in enumerate(heads):
        for new in heads[at:]:
            proof.write_text(exporting.consistency(store, old, new))
            assert checked("consistency", old, proof, "--key", key.public) == 0
    with pytest.raises(UsageError):
        exporting.consistency(store, heads[3], heads[2])


def test_a_checkpoint_of_another_log_has_no_proof(
    tmp_path: Path, store: Store, key: SigningKey
) -> None:
    grow(store, 10)
    head = store.head()
    for name, wrong in {"root": TreeHead(5, bytes(32)), "size": TreeHead(11, head.root)}.items():
        (tmp_path / name).write_text(str(exporting.checkpoint_note("", wrong, key)))
        (tmp_path / "now").write_text(str(exporting.checkpoint_note("", head, key)))
        with pytest.raises(IntegrityError, match="holds the tree head of a log"):
            exporting.consistency(store, tmp_path / name, tmp_path / "now")


def test_every_event_has_a_proof_that_holds_it(
    tmp_path: Path, store: Store, key: SigningKey, capsys: pytest.CaptureFixture[str]
) -> None:
    grow(store, 300)
    for position in (0, 1, 255, 256, 299):
        text = exporting.inclusion(store, position, "", key)
        (tmp_path / "proof").write_text(text)
        assert checked("inclusion", tmp_path / "proof", "--key", key.public) == 0
        assert f'"sql":"{position}"' in capsys.readouterr().out
    with pytest.raises(NotFoundError):
        exporting.inclusion(store, 300, "", key)


def flips(data: bytes, step: int) -> Iterator[bytes]:
    for at in {*range(0, len(data), step), len(data) - 1}:
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        yield bytes(changed)


def test_a_flipped_byte_anywhere_in_a_folder_is_found(
    tmp_path: Path, store: Store, key: SigningKey
) -> None:
    folder = tmp_path / "log"
    for size in (3, 259):
        grow(store, size)
        exporting.export_tiles(store, folder, "", key)
    assert checked("log", folder, "--key", key.public) == 0
    kept = files(folder)
    assert len(kept) == 8
    for path, data in kept.items():
        for changed in flips(data, 1 if len(data) < 400 else 1511):
            (folder / path).write_bytes(changed)
            assert checked("log", folder, "--key", key.public) == 1, path
        (folder / path).write_bytes(data[:-1])
        assert checked("log", folder, "--key", key.public) == 1, path
        (folder / path).write_bytes(data + b"\0")
        assert checked("log", folder, "--key", key.public) == 1, path
        (folder / path).unlink()
        partial = ".p/" in path and path.endswith("3") and "000" in path
        assert checked("log", folder, "--key", key.public) == (0 if partial else 1), path
        (folder / path).write_bytes(data)
    assert checked("log", folder, "--key", key.public) == 0


def test_a_flipped_byte_anywhere_in_a_proof_is_found(
    tmp_path: Path, store: Store, key: SigningKey
) -> None:
    grow(store, 3)
    old, new, proof = tmp_path / "old", tmp_path / "new", tmp_path / "proof"
    old.write_text(str(exporting.checkpoint_note("", store.head(), key)))
    grow(store, 9)
    new.write_text(str(exporting.checkpoint_note("", store.head(), key)))
    told = {
        "consistency": (exporting.consistency(store, old, new).encode(), [old]),
        "inclusion": (exporting.inclusion(store, 4, "", key).encode(), []),
    }
    for what, (data, before) in told.items():
        proof.write_bytes(data)
        assert checked(what, *before, proof, "--key", key.public) == 0
        for changed in flips(data, 1):
            proof.write_bytes(changed)
            assert checked(what, *before, proof, "--key", key.public) == 1, changed
    proof.write_bytes(told["consistency"][0])
    for changed in flips(old.read_bytes(), 1):
        old.write_bytes(changed)
        assert checked("consistency", old, proof, "--key", key.public) == 1


def test_two_logs_with_one_name_are_not_taken_for_one(
    tmp_path: Path, store: Store, key: SigningKey
) -> None:
    grow(store, 9)
    exporting.export_tiles(store, tmp_path / "log", "", key)
    forged = TreeHead(5, b64decode("A" * 43 + "="))
    (tmp_path / "forged").write_text(str(exporting.checkpoint_note("", forged, key)))
    assert checked("log", tmp_path / "log", tmp_path / "forged", "--key", key.public) == 1


def test_the_standalone_verifier_runs_by_itself_and_imports_the_standard_library_alone(
    tmp_path: Path, store: Store
) -> None:
    grow(store, 5)
    exporting.export_tiles(store, tmp_path / "log", "ledger", None)
    source = Path(standalone.__file__).read_text("utf-8")
    (tmp_path / "check.py").write_text(source)
    command = [sys.executable, "-I", "-S", str(tmp_path / "check.py"), "log", str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1][:6]) == (0, "proved"), done.stderr
    imported = {
        name
        for node in ast.walk(ast.parse(source))
        for name in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {"__future__", "base64", "hashlib", "pathlib", "re", "sys"}


def test_the_standalone_verifier_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert checked() == 2
    assert "standalone.py consistency OLD PROOF" in capsys.readouterr().err
    assert checked("log", "/nowhere") == 1
    assert "NOT PROVED" in capsys.readouterr().err


def test_an_exported_log_verifies_on_either_database(database_url: str, tmp_path: Path) -> None:
    schema.initialise(database_url, registry.projections())
    with Store.open(database_url) as opened:
        grow(opened, 300)
        exporting.export_tiles(opened, tmp_path / "log", "ledger", None)
        assert list(Verifier(opened).log()) == []
    assert checked("log", tmp_path / "log") == 0


def test_our_sample_log_passes_the_standalone_verifier(corpus: Path) -> None:
    sample = corpus / "fixtures/merkle/own-sample-log"
    public = (sample / "vkey").read_text().strip()
    assert checked("log", sample, "--key", public) == 0


def test_a_log_written_by_tessera_passes_the_standalone_verifier(corpus: Path) -> None:
    log = corpus / "fixtures/merkle/tessera-log/testdata/log"
    heads = sorted(log.glob("checkpoint.*"))
    assert len(heads) == 16
    assert checked("log", log, *heads) == 0
