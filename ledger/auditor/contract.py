"""What an auditor may read, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

MAX_SQL_BYTES: Final = 64 * 1024
# Beyond this an answer is refused instead of filling the memory of whoever asked.
MAX_ANSWER_BYTES: Final = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Contract:
    """The public views by name, each with its columns; all names in lower case."""

    views: Mapping[str, tuple[str, ...]]

    def columns(self) -> frozenset[str]:
        """Every column that any view has."""
        return frozenset(column for columns in self.views.values() for column in columns)


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of None, bool, int, float and str alone; `sql` is the text that ran.

    `truncated` says that there were more rows than were asked for.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool
    sql: str
    seconds: float


def nearest(name: str, candidates: frozenset[str]) -> str:
    """'Did you mean a, b?' for the most similar candidates; empty if none is similar."""
    near = get_close_matches(name.lower(), sorted(candidates), n=3, cutoff=0.75)
    return f"Did you mean {', '.join(near)}?" if near else ""
