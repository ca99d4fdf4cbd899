"""One statement for many values, and parts that grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from ledger.store.drivers import Connection, Row

_SOME = 400
FIRST, MOST = 8, 256
T = TypeVar("T")


def growing(values: Sequence[T], first: int = 0) -> Iterator[Sequence[T]]:
    """A sequence in parts that become longer: little is read in vain, and many with one statement."""
    start, size = 0, first or FIRST
    while start < len(values):
        yield values[start : start + size]
        start, size = start + size, min(4 * size, MOST)


def for_each(
    connection: Connection, values: Iterable[Any], select: str, *parameters: Any
) -> Iterator[Row]:
    """The rows of a query that names each of some values as `w.wanted`; `w` is the first of its tables.

    Looked up one after another by an index: of a list (`in`) SQLite expects more rows than of a whole branch,
    and reads that.
    """
    every = list(values)
    for start in range(0, len(every), _SOME):
        some = every[start : start + _SOME]
        marks = ", ".join(["(?)"] * len(some))
        sql = f"with w(wanted) as (values {marks}) {select}"
        yield from connection.rows(sql, [*some, *parameters])
