"""Notes, checkpoints and keys are C2SP's, have one spelling each, and nothing forged passes."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledger import signing, standalone
from ledger.errors import IntegrityError, UsageError
from ledger.merkle import TreeHead
from ledger.notes import (
    Checkpoint,
    Note,
    check_key_name,
    parse_checkpoint,
    parse_note,
    parse_public_key,
)
from ledger.signing import SigningKey, is_signed_by, new_key, read_key

ROOT = bytes(range(32))
HEAD = Checkpoint("ledger.example.com/infra", TreeHead(5, ROOT))


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return new_key(tmp_path / "signing.key", "ledger.example.com/infra")


def test_a_checkpoint_reads_back_as_it_was_signed(key: SigningKey) -> None:
    note = key.sign(str(HEAD))
    assert parse_note(str(note).encode()) == note
    assert parse_checkpoint(note.text) == HEAD
    assert is_signed_by(note, key.public)
    assert parse_public_key(str(key.public)) == key.public
    assert str(note) == str(key.sign(str(HEAD))), "the same text, the same bytes"


def test_a_checkpoint_without_signatures_is_its_three_lines() -> None:
    assert parse_note(str(HEAD).encode()) == Note(str(HEAD))
    assert str(HEAD).splitlines() == [HEAD.origin, "5", b64encode(ROOT).decode()]


def test_a_key_stands_in_a_file_that_only_its_owner_reads(tmp_path: Path, key: SigningKey) -> None:
    file = tmp_path / "signing.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_key(file) == key
    with pytest.raises(UsageError, match="is there already"):
        new_key(file, "another")
    assert read_key(file) == key
    assert "seed" not in repr(key)
    file.chmod(0o640)
    with pytest.raises(UsageError, match="others may read"):
        read_key(file)


@pytest.mark.parametrize("change", ["cut", "other name", "other id", "empty", "binary", "none"])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, key: SigningKey, change: str) -> None:
    file = tmp_path / "signing.key"
    text = file.read_text()
    changed = {
        "cut": text[:-9].encode(),
        "other name": text.replace("/infra", "/other").encode(),
        "other id": text.replace(key.public.key_id.hex(), "00000000").encode(),
        "empty": b"",
        "binary": b"\xff\xfe",
    }
    file.write_bytes(changed.get(change, b""))
    if change == "none":
        file.unlink()
    with pytest.raises(UsageError):
        read_key(file)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\tb", "a\u2028b", "a\x00", "a" * 256])
def test_a_name_that_signature_lines_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_key_name(name)


def test_every_changed_byte_of_a_signed_checkpoint_is_noticed(key: SigningKey) -> None:
    data = str(key.sign(str(HEAD))).encode()
    for at in range(len(data)):
        for bit in (1, 32, 128):
            changed = bytearray(data)
            changed[at] ^= bit
            assert not accepted(bytes(changed), key), (at, bit)
    assert accepted(data, key)


def test_base64_that_spells_the_same_bytes_otherwise_is_refused(key: SigningKey) -> None:
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    text = str(key.sign(str(HEAD)))
    assert text.endswith("=\n")
    other = text[:-3] + digits[digits.index(text[-3]) + 1] + "=\n"
    assert b64decode(other.rpartition(" ")[2]) == b64decode(text.rpartition(" ")[2])
    assert not accepted(other.encode(), key)
    assert not accepted(text.replace("\n5\n", "\n05\n").encode(), key)


def accepted(data: bytes, key: SigningKey) -> bool:
    """By the ledger; the standalone verifier must say the same."""
    try:
        note = parse_note(data)
        parse_checkpoint(note.text)
        ours = is_signed_by(note, key.public)
    except (UsageError, IntegrityError):
        ours = False
    try:
        standalone.Checkpoint(standalone.utf8(data), str(key.public))
        theirs = True
    except standalone.Wrong:
        theirs = False
    assert ours == theirs, data
    return ours


def test_signatures_of_others_are_no_concern_and_one_of_ours_must_be_true(key: SigningKey) -> None:
    note, other = key.sign(str(HEAD)), signing._from_seed("other", bytes(32)).sign(str(HEAD))
    both = Note(note.text, other.signatures + note.signatures)
    assert is_signed_by(both, key.public)
    assert not is_signed_by(other, key.public)
    false = Note(str(Checkpoint(HEAD.origin, TreeHead(6, ROOT))), note.signatures)
    with pytest.raises(IntegrityError, match="does not fit"):
        is_signed_by(false, key.public)


@given(st.binary(max_size=200) | st.text(alphabet="a1+— =\nA/", max_size=80).map(str.encode))
def test_any_bytes_are_a_note_or_refused(data: bytes) -> None:
    try:
        note = parse_note(data)
    except UsageError:
        return
    assert str(note).encode() == data


# -- public vectors ------------------------------------------------------------------------------


def load(file: Path) -> Any:
    return json.loads(file.read_bytes())


def test_the_public_notes_verify_and_the_bad_keys_do_not(corpus: Path) -> None:
    vectors = load(corpus / "fixtures/merkle/notes/vectors.json")["vectors"]
    checked = refused = 0
    for one in vectors:
        if "reject" in one["expect"]:
            with pytest.raises(UsageError):
                parse_public_key(one["vkey"])
            refused += 1
            continue
        for text in (one[name] for name in ("note", "note2") if name in one):
            note = parse_note(text.encode())
            assert str(note) == text
            if "vkey" in one:
                assert is_signed_by(note, parse_public_key(one["vkey"])), one["name"]
                signatures = [standalone.signature(line) for line in text.splitlines()[-1:]]
                assert standalone.signed_by(one["vkey"], note.text, signatures)
                checked += 1
    assert (checked, refused) == (5, 2)


def test_a_published_key_signs_the_bytes_that_others_signed(corpus: Path, tmp_path: Path) -> None:
    vectors = load(corpus / "fixtures/merkle/notes/vectors.json")["vectors"]
    (peter,) = (one for one in vectors if "PeterNeumann" in one.get("skey", ""))
    file = tmp_path / "key"
    file.write_text(peter["skey"] + "\n")
    file.chmod(0o600)
    text = parse_note(peter["note"].encode()).text
    assert str(read_key(file).sign(text)) == peter["note"]
    assert str(read_key(file).public) == peter["vkey"]


def test_the_checkpoints_of_other_logs_verify(corpus: Path) -> None:
    folder = corpus / "fixtures/merkle"
    (case,) = (
        one
        for one in load(folder / "notes/vectors.json")["vectors"]
        if one["name"] == "tessera-testdata-log"
    )
    public = parse_public_key(case["vkey"])
    for file in sorted((folder / "tessera-log/testdata/log").glob("checkpoint*")):
        assert is_signed_by(parse_note(file.read_bytes()), public), file
    sample = folder / "own-sample-log"
    note = parse_note((sample / "checkpoint").read_bytes())
    assert is_signed_by(note, parse_public_key((sample / "vkey").read_text()))
    assert len(note.signatures) == 2, "a witness signed, too"


def test_the_standalone_verifier_judges_signatures_as_openssl_does(corpus: Path) -> None:
    folder = corpus / "fixtures/merkle"
    cctv = [
        (one["key"], one["sig"], one["msg"].encode(), None)
        for one in load(folder / "cctv-ed25519/ed25519vectors.json")
    ]
    wycheproof = [
        (
            group["publicKey"]["pk"],
            test["sig"],
            bytes.fromhex(test["msg"]),
            test["result"] == "valid",
        )
        for group in load(folder / "wycheproof/ed25519_test.json")["testGroups"]
        for test in group["tests"]
    ]
    assert (len(cctv), len(wycheproof)) == (914, 151)
    for key, value, message, expected in cctv + wycheproof:
        public, signed = bytes.fromhex(key), bytes.fromhex(value)
        ours = standalone.ed25519(public, message, signed)
        assert ours == openssl(public, message, signed), (key, value)
        assert expected is None or ours == expected, (key, value)


def openssl(public: bytes, message: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signed, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# Its roots have 12 bytes. A verifier that takes those takes anything.
NOT_A_HASH = "sizes-are-equal-one-and-proof-is-empty.json"


def test_the_standalone_verifier_agrees_with_the_public_proofs(corpus: Path) -> None:
    testdata = corpus / "fixtures/merkle/transparency-dev-merkle/testdata"
    for file in sorted((testdata / "inclusion").rglob("*.json")):
        case = load(file)
        proof = [b64decode(one) for one in case["proof"] or ()]
        assert fails(case, proof) == case["wantErr"], file
    for file in sorted((testdata / "consistency").rglob("*.json")):
        case = load(file)
        proof = [b64decode(one) for one in case["proof"] or ()]
        assert breaks(case, proof) == (case["wantErr"] or file.name == NOT_A_HASH), file


def fails(case: dict[str, Any], proof: list[bytes]) -> bool:
    try:
        leaf = b64decode(case["leafHash"])
        root = standalone.climb(leaf, case["leafIdx"], case["treeSize"], proof)
    except standalone.Wrong:
        return True
    return root != b64decode(case["root"])


def breaks(case: dict[str, Any], proof: list[bytes]) -> bool:
    try:
        root = standalone.extends(case["size1"], b64decode(case["root1"]), case["size2"], proof)
    except standalone.Wrong:
        return True
    return root != b64decode(case["root2"])
