"""Finds the sources, parsers and projections: every module of the three rooms, and entry points.

A built-in is found because its file is there; one of another package through the entry points
`ledger.sources`, `ledger.parsers` and `ledger.projections`. There is no list to keep.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, cast

import ledger.parsers
import ledger.projections
import ledger.sources
from ledger.errors import StoreError, UsageError
from ledger.parsers import Parser
from ledger.projections import Projection
from ledger.sources import Source


def _found(room: ModuleType, attribute: str) -> Iterator[Any]:
    for module in pkgutil.iter_modules(room.__path__):
        value = getattr(importlib.import_module(f"{room.__name__}.{module.name}"), attribute, None)
        if value is not None:
            yield value
    if _is_extended(room.__name__):
        from importlib.metadata import entry_points  # noqa: PLC0415 (25 ms, for nothing mostly)

        for entry in entry_points(group=room.__name__):
            yield entry.load()


def _is_extended(group: str) -> bool:
    """Whether an installed package may have entry points of a group; True where that is not plain to see."""
    told = [one for one in sys.meta_path if hasattr(one, "find_distributions")]
    return told != [PathFinder] or any(_may_name(place, group.encode()) for place in sys.path)


def _may_name(place: str, group: bytes) -> bool:
    try:
        names = os.listdir(place or ".")  # noqa: PTH208 (no import of pathlib)
    except NotADirectoryError:  # a zip file
        return True
    except OSError:
        return False
    for name in names:
        if name.endswith(".egg"):
            return True
        if name.endswith((".dist-info", ".egg-info")):
            try:
                with open(os.path.join(place, name, "entry_points.txt"), "rb") as file:  # noqa: PTH118,PTH123
                    if group in file.read():
                        return True
            except OSError:
                continue
    return False


def parsers() -> list[Parser]:
    """Every parser. Raises UsageError when two have one name."""
    return _distinct(list(_found(ledger.parsers, "PARSER")), "parser")


def sources() -> dict[str, Source]:
    """Every source by its kind."""
    return {source.kind: source for source in _found(ledger.sources, "SOURCE")}


def source(kind: str) -> Source | None:
    """The source of a kind; of those that are built in, only its own module is imported."""
    room = ledger.sources.__name__
    if kind.isidentifier() and importlib.util.find_spec(f"{room}.{kind}") is not None:
        found = getattr(importlib.import_module(f"{room}.{kind}"), "SOURCE", None)
        if found is not None and found.kind == kind:
            return cast(Source, found)
    return sources().get(kind)


def projections() -> list[Projection]:
    """Every projection, each after those that it reads."""
    left = {
        one.name: one
        for one in _distinct(list(_found(ledger.projections, "PROJECTION")), "projection")
    }
    ordered: list[Projection] = []
    done: set[str] = set()
    while left:
        ready = sorted(name for name, one in left.items() if done.issuperset(one.after))
        if not ready:
            raise UsageError(f"projections wait for each other: {', '.join(sorted(left))}")
        for name in ready:
            ordered.append(left.pop(name))
            done.add(name)
    return ordered


_DECLARED = re.compile(
    r'^PROJECTION = Projection\(\s*name="([a-z_]+)",\s*version=([0-9]+),', re.MULTILINE
)


def projection_versions() -> dict[str, int]:
    """The version of each built-in projection, read off its file: importing all takes a question's time."""
    found: dict[str, int] = {}
    for module in pkgutil.iter_modules(ledger.projections.__path__):
        spec = importlib.util.find_spec(f"{ledger.projections.__name__}.{module.name}")
        if spec is not None and spec.origin is not None:
            with open(spec.origin, encoding="utf-8") as file:  # noqa: PTH123 (no import of pathlib)
                found |= {name: int(version) for name, version in _DECLARED.findall(file.read())}
    return found


def is_current(recorded: Iterable[Sequence[Any]]) -> bool:
    """Whether tables are exactly those of the built-in projections: [name, version, …] as recorded.

    False where it is not plain that no others are installed.
    """
    versions = {str(row[0]): int(row[1]) for row in recorded}
    return versions == projection_versions() and not _is_extended(ledger.projections.__name__)


def check_projections(recorded: Iterable[Sequence[Any]]) -> None:
    """Raises StoreError where tables are of another version of the program: [name, version] as recorded."""
    known = {str(row[0]): int(row[1]) for row in recorded}
    wanted = projection_versions()
    wrong = sorted(name for name, version in wanted.items() if known.get(name) != version)
    if wrong:
        raise StoreError(
            f"the tables are those of another version of the program: {', '.join(wrong)}",
            hint="Run `ledger init`, then `ledger rebuild`; it makes them again from the log.",
        )


def _distinct(values: Sequence[Any], what: str) -> list[Any]:
    names = [value.name for value in values]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(f"two {what}s are called {', '.join(sorted(twice))}")
    return list(values)
