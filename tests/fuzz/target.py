"""A coverage-guided fuzz target: whatever bytes a repository holds, they are read to an answer.

    python tests/fuzz/target.py FOLDER -max_total_time=600

libFuzzer (by Atheris) keeps in FOLDER the inputs that reach new code, starts from the samples of the
parsers, and writes an input that breaks a promise to a file `crash-…`, `timeout-…` or `oom-…`; named
instead of FOLDER, such a file is tried alone. LEDGER_FUZZ_ONLY=main.tf tries files of that name only.
Its own options: https://llvm.org/docs/LibFuzzer.html.
"""

# ruff: noqa: PLC0415 (only what is imported under Atheris's eyes guides it)

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.parsers import Parser
    from ledger.resources import Resource

KEY = bytes(range(32))
ONLY = os.environ.get("LEDGER_FUZZ_ONLY", "")
SAMPLES = Path(__file__).parent.parent / "parsers"
BETWEEN = b"\x1e"  # stands between the two versions of a file
PATHS = (
    "app.yaml",
    "Chart.yaml",
    "values.yaml",
    "kustomization.yaml",
    "service.json",
    "main.tf",
    "main.tf.json",
    "prod.tfvars",
    "shop.ini",
    "shop.toml",
    "shop.properties",
    "prod.env",
    "notes.txt",
)
COMMIT, STREAM, PAIRS, MESSAGE = range(len(PATHS), len(PATHS) + 4)
TOKENS = (
    *("apiVersion: v1\\x0a", "kind: Secret\\x0a", "kind: List\\x0aitems:\\x0a", "stringData:\\x0a"),
    *("- name: ", "---\\x0a", "&a ", "*a", "<<: ", "!!binary ", "|2-\\x0a", ">+\\x0a", "? ", "%TAG "),
    *("resource \\x22a\\x22 \\x22b\\x22 {\\x0a", "<<-E\\x0a", "\\x0aE\\x0a", "${", "%{if x}", "%{endif}"),
    *("{{ .Values.x }}", "[[a.b]]\\x0a", "\\x22\\x22\\x22", "export ", "\\\\ud800", "1e999"),
    *("\\xef\\xbb\\xbf", "- op: replace\\x0a"),
    *("password: ", "-----BEGIN PRIVATE KEY-----", "ghp_", "://a:b@", "eyJ", "patches:\\x0a", "\\x1e"),
)  # fmt: skip


def survives(data: bytes) -> None:
    """Reads `data` as what its first byte says; anything but an answer is an AssertionError or crash."""
    found = faults(data)
    assert not found, found


def faults(data: bytes) -> list[str]:
    """What is wrong with how `data` is read as what its first byte says."""
    which, text = data[:1], data[1:]
    kind = which[0] % (MESSAGE + 1) if which else 0
    if ONLY:
        kind = PATHS.index(ONLY)
    if kind < len(PATHS):
        before, _, after = text.partition(BETWEEN)
        return file_faults(PATHS[kind], before, after)
    if kind == COMMIT:
        _read_commit(text)
    elif kind == MESSAGE:
        return _message_faults(text)
    else:
        _read_stream(text, kind)
    return []


def file_faults(path: str, before: bytes, after: bytes) -> list[str]:
    """What is wrong when both versions are hidden, cut, read and compared, as an ingest does it."""
    from ledger.comparing import compare, shape

    found: list[str] = []
    old, new = _read(path, before, found), _read(path, after, found)
    for one in (*old, *new):
        msgspec_json(shape(one))
        if compare(one, one) not in ([], None):
            found.append("a document differs from itself")
    for left, right in zip(old, new, strict=False):
        msgspec_json(compare(left, right))
    return found


def _read(path: str, blob: bytes, faults: list[str]) -> list[Resource]:
    from ledger.redaction import redact
    from ledger.resources import FIELDS, LINES

    parser = parser_of(path)
    pieces = parser.split(blob)
    if b"".join(pieces) != blob:
        faults.append("a piece is lost")
    found: list[Resource] = []
    for piece in pieces:
        hidden = redact(path, piece, KEY).data
        if redact(path, hidden, KEY).data != hidden:
            faults.append("what was hidden is not settled")
        found += parser.parse(hidden)
    for one in found:
        if one.syntax not in (FIELDS, LINES):
            faults.append(f"{one.syntax} is no syntax")
        json.dumps(one.body, ensure_ascii=False, allow_nan=False).encode()
        msgspec_json([one.api_group, one.kind, one.namespace, one.name, one.unparsed])
    return found


def _read_commit(raw: bytes) -> None:
    from ledger.commits import named_pull_request, read_commit, trailers

    commit = read_commit(raw)
    msgspec_json([commit.author, commit.committer, commit.claims, commit.encoding])
    named_pull_request(commit.message)
    msgspec_json([(one.key, one.value) for one in trailers(commit.message)])


def _message_faults(raw: bytes) -> list[str]:
    from ledger.redaction import redact_text

    once = redact_text(raw.decode("utf-8", "replace"), KEY)
    return [] if redact_text(once, KEY) == once else ["what was hidden is not settled"]


def _read_stream(raw: bytes, kind: int) -> None:
    """Git may die in the middle of any line that it prints; that is its source's fault, and told."""
    from ledger.errors import SourceError
    from ledger.gitio import streams

    with suppress(SourceError):
        read = streams.raw_commits if kind == STREAM else streams.raw_pairs
        list(read(streams.tokens(io.BytesIO(raw))))


def msgspec_json(value: object) -> None:
    """What is stored must be JSON in UTF-8."""
    import msgspec

    msgspec.json.encode(value).decode()


@cache
def parser_of(path: str) -> Parser:
    from ledger import registry
    from ledger.parsers import choose

    return choose(registry.parsers(), path)


def write_seeds(folder: Path) -> None:
    """The samples of the parsers, alone and against a shorter version of themselves."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(SAMPLES.glob("*/*")):
        blob = file.read_bytes()[:4_000]
        for number, path in enumerate(PATHS):
            if parser_of(path).name == parser_of(file.name).name and ONLY in ("", path):
                name = f"seed-{file.parent.name}-{file.name}-{number}"
                (folder / name).write_bytes(bytes([number]) + blob)
                half = blob[: len(blob) // 2]
                (folder / f"{name}-pair").write_bytes(bytes([number]) + blob + BETWEEN + half)
    person = b"Ann <ann@example.org> 1704067200 +0100"
    message = b"Subject (#7)\n\nBody\n\nReviewed-by: Bob\n"
    head = b"tree " + b"1" * 40 + b"\nauthor " + person + b"\ncommitter " + person
    (folder / "seed-commit").write_bytes(bytes([COMMIT]) + head + b"\n\n" + message)
    (folder / "seed-message").write_bytes(bytes([MESSAGE]) + message + b"password: hunter22\n")
    change = b":100644 100644 " + b"1" * 40 + b" " + b"2" * 40 + b" M\0a.yaml\0"
    (folder / "seed-stream").write_bytes(bytes([STREAM]) + b"3" * 40 + b"\0\n" + change)
    pair = b"4" * 40 + b" " + b"5" * 40 + b"\n"
    (folder / "seed-pairs").write_bytes(bytes([PAIRS]) + pair + change)


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["ledger"], enable_loader_override=False):
        from ledger import commits, comparing, gitio, redaction, registry

        del commits, comparing, gitio, redaction
        registry.parsers()
    folder = next((one for one in sys.argv[1:] if not one.startswith("-")), "")
    if folder and not Path(folder).is_file():
        write_seeds(Path(folder))
        tokens = Path(folder).with_suffix(".tokens")
        tokens.write_text("".join(f'"{one}"\n' for one in TOKENS), "ascii")
        sys.argv.append(f"-dict={tokens}")
    atheris.Setup(sys.argv, survives)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
