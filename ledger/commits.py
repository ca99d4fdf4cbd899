"""Git's commit object read as it stands: people, clocks, message, trailers, signature.

Everything in it is a claim of whoever made the commit. Header fields that do not follow Git's
format are named in `claims` and read as far as they can be; no bytes make this raise.
Format: `gitformat-commit`, and `git-interpret-trailers` for what a trailer is.
"""

from __future__ import annotations

import codecs
import re
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from ledger.events import Identity, Signature, Trailer

_PERSON = re.compile(
    rb"^(?P<name>.*?) ?<(?P<email>[^>]*)>(?: (?P<seconds>-?\d+)(?: (?P<zone>[+-]\d{4}))?)?"
)
_TRAILER = re.compile(r"^([A-Za-z0-9-]+)[ \t]*:(.*)$")
_GIT_TRAILERS = ("Signed-off-by: ", "(cherry picked from commit ")
_SIGNATURES = {
    b"-----BEGIN PGP": "pgp",
    b"-----BEGIN SSH": "ssh",
    b"-----BEGIN SIG": "x509",
}
# UTF-8 goes the usual way; the others are Python's own and no charsets.
_NOT_DECLARED = {
    "utf-8",
    "unicode_escape",
    "unicode-escape",
    "raw-unicode-escape",
    "punycode",
    "idna",
}
_SQUASHED = re.compile(r"\(#([1-9][0-9]{0,8})\)\s*$")
_MERGED = re.compile(r"^Merge pull request #([1-9][0-9]{0,8}) from ")
_MERGE_REQUEST = re.compile(r"^See merge request \S*!([1-9][0-9]{0,8})\s*$", re.MULTILINE)


class CommitObject(msgspec.Struct, array_like=True):
    """The parts of a commit object. Times are UTC text, empty where unreadable."""

    tree: str = ""
    parents: list[str] = []
    author: Identity = Identity()
    authored_at: str = ""
    author_zone: str = ""
    committer: Identity = Identity()
    committed_at: str = ""
    committer_zone: str = ""
    encoding: str = ""
    signature: Signature | None = None
    message: str = ""
    claims: list[str] = []


def read_commit(raw: bytes) -> CommitObject:
    """The commit of an object's bytes."""
    head, _, message = raw.partition(b"\n\n")
    headers = _headers(head)
    commit = CommitObject()
    commit.encoding = next((v.decode("latin-1") for n, v in headers if n == b"encoding"), "")
    for name, value in headers:
        if name == b"tree":
            commit.tree = value.decode("latin-1")
        elif name == b"parent":
            commit.parents.append(value.decode("latin-1"))
        elif name == b"author":
            commit.author, commit.authored_at, commit.author_zone = _person(value, commit, "author")
        elif name == b"committer":
            person = _person(value, commit, "committer")
            commit.committer, commit.committed_at, commit.committer_zone = person
        elif name in (b"gpgsig", b"gpgsig-sha256") and commit.signature is None:
            commit.signature = _signature(value)
    commit.message = _text(message, commit, "message")
    return commit


def _headers(head: bytes) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    for line in head.replace(b"\n ", b"\0").split(b"\n"):
        name, _, value = line.partition(b" ")
        headers.append((name, value.replace(b"\0", b"\n")))
    return headers


def _person(value: bytes, commit: CommitObject, which: str) -> tuple[Identity, str, str]:
    match = _PERSON.match(value)
    if match is None:
        commit.claims.append(which)
        return Identity(name=_text(value, commit, which)), "", ""
    identity = Identity(
        name=_text(match["name"], commit, which), email=_text(match["email"], commit, which)
    )
    digits = match["seconds"] or b""
    at = instant(int(digits)) if 0 < len(digits) < 20 else ""
    if not at:
        commit.claims.append(f"{which} time")
    return identity, at, (match["zone"] or b"").decode("ascii")


@lru_cache(maxsize=1_024)
def instant(seconds: int) -> str:
    """UTC text of seconds since 1970; empty outside the years 1 to 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()[:19] + "Z"
    except (ValueError, OverflowError, OSError):
        return ""


def _text(value: bytes, commit: CommitObject, which: str) -> str:
    """UTF-8, else the encoding that the commit declares, else Latin-1, which is said."""
    try:
        if commit.encoding and codecs.lookup(commit.encoding).name not in _NOT_DECLARED:
            text = value.decode(commit.encoding)
            text.encode("utf-8")  # half of a surrogate pair is no text
            return text
        return value.decode("utf-8")
    except (UnicodeDecodeError, LookupError, ValueError):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            claim = f"{which} encoding"
            if claim not in commit.claims:
                commit.claims.append(claim)
            return value.decode("latin-1")


def _signature(value: bytes) -> Signature:
    kind = next((name for mark, name in _SIGNATURES.items() if value.startswith(mark)), "unknown")
    return Signature(kind=kind, text=value.decode("utf-8", "replace"))


def trailers(message: str) -> list[Trailer]:
    """The trailers of a message: its last paragraph, if that consists of them.

    As Git decides: all lines are trailers, or one is made by Git and a quarter of them are.
    """
    paragraphs = _paragraphs(message)
    while paragraphs and all(line.startswith("#") for line in paragraphs[-1]):
        paragraphs.pop()
    if len(paragraphs) < 2:
        return []
    found: list[tuple[str, str]] = []
    others = by_git = 0
    below = ""
    for line in paragraphs[-1]:
        match = _TRAILER.match(line)
        if match:
            found.append((match[1], match[2].strip()))
        elif below and line[:1].isspace():
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}".strip())
            continue
        elif not line.startswith(("#", *_GIT_TRAILERS)):
            others += 1
        by_git += line.startswith(_GIT_TRAILERS)
        below = line if match else ""
    cherries = sum(line.startswith(_GIT_TRAILERS[1]) for line in paragraphs[-1])
    if others and not (by_git and (len(found) + cherries) * 3 >= others):
        return []
    return [Trailer(key=key, value=value) for key, value in found]


def _paragraphs(message: str) -> list[list[str]]:
    """The lines of each paragraph; only a line feed ends a line, and white space may fill a blank one."""
    paragraphs: list[list[str]] = []
    open_one = False
    for line in message.split("\n"):
        if not line or line.isspace():
            open_one = False
        elif open_one:
            paragraphs[-1].append(line)
        else:
            paragraphs.append([line])
            open_one = True
    return paragraphs


def subject(message: str) -> str:
    """The first paragraph of a message on one line, as Git shows it."""
    paragraphs = _paragraphs(message)
    return " ".join(line.rstrip() for line in paragraphs[0]).strip() if paragraphs else ""


def named_pull_request(message: str) -> tuple[int, str] | None:
    """(number, how) when a message says which pull request it lands. Text, so only a claim."""
    line = subject(message)
    if match := _MERGED.match(line):
        return int(match[1]), f"subject says “Merge pull request #{match[1]}”"
    if match := _MERGE_REQUEST.search(message):
        return int(match[1]), f"message says “See merge request !{match[1]}”"
    if match := _SQUASHED.search(line):
        return int(match[1]), f"subject says “(#{match[1]})”"
    return None
