"""Bundles: a repository in one file (gitformat-bundle).

Git itself reads a bundle's header byte by byte and checks afterwards what index-pack has just hashed.
With 14,000 refs that is more work than is left; so the header is read here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ledger.errors import SourceError
from ledger.gitio.processes import run
from ledger.gitio.streams import OID

_CAPABILITY, _PREREQUISITE, _SIGNATURE = b"@", b"-", b"#"


@dataclass(slots=True)
class Header:
    """What stands before the pack: refs, and whether the pack is one that stands alone."""

    refs: dict[str, str] = field(default_factory=dict)
    plain: bool = True
    pack_at: int = 0


def local_path(url: str) -> str:
    """A URL's path, where it is a local one."""
    return url.removeprefix("file://")


def is_bundle(url: str) -> bool:
    """Whether the URL names a local Git bundle file."""
    path = Path(local_path(url))
    if "://" in local_path(url) or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(16).startswith(b"# v")


def bundle_stamp(url: str) -> str:
    """What tells an unchanged bundle file: its size and time of change; empty for other URLs."""
    if not is_bundle(url):
        return ""
    status = Path(local_path(url)).stat()
    return f"{status.st_size}:{status.st_mtime_ns}"


def read_header(path: Path) -> Header:
    """The header of a bundle. Raises SourceError where it is broken."""
    header = Header()
    for line in _header_lines(path, header):
        if line[:1] == _SIGNATURE:
            continue
        if line[:1] in (_CAPABILITY, _PREREQUISITE):
            header.plain = header.plain and line.startswith(b"@object-format=")
            continue
        oid, _, name = line.decode("utf-8", "surrogateescape").partition(" ")
        if not OID.match(oid):
            raise SourceError(f"reading the header of the bundle {path} failed: it is broken")
        header.refs[name] = oid
    return header


def _header_lines(path: Path, header: Header) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line == b"\n":
                break
            yield line.rstrip(b"\n")
            header.pack_at += len(line)
        header.pack_at += 1


def unpack(path: Path, mirror: Path, holding: int) -> Mapping[str, str]:
    """Brings every object of a bundle into a mirror; gives the refs. Cost: one pass over the pack.

    `holding` is a file handle that the writing git keeps open.
    """
    header = read_header(path)
    if not header.plain:  # it builds on objects that must be there, or lacks some on purpose
        run(mirror, ["bundle", "unbundle", "--", str(path)], holding=holding)
        return header.refs
    with path.open("rb") as file:
        os.lseek(file.fileno(), header.pack_at, os.SEEK_SET)
        run(mirror, ["index-pack", "--fix-thin", "--stdin"], stdin=file, holding=holding)
    return header.refs
