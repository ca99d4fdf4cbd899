"""Refusals of SQL: what is not accepted, where it stands, and what to write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from sqlglot import exp

from ledger.errors import QueryError

ONE_QUERY: Final = "Write one SELECT, WITH … SELECT or VALUES."
_PLAINLY: Final = "Say it with plain joins, CTEs, aggregates and windows over the views."


@dataclass(frozen=True, slots=True)
class Source:
    """The SQL as it was written, for which `dialect`; knows where things stand in it."""

    sql: str
    dialect: str

    def place(self, offset: int) -> str:
        """`line 1, column 8`."""
        line = self.sql.count("\n", 0, offset) + 1
        return f"line {line}, column {offset - self.sql.rfind(chr(10), 0, offset)}"

    def at(self, node: exp.Expr) -> str:
        """' at line 1, column 8' of the first place known in a node; names and numbers know it."""
        starts = [part.meta["start"] for part in node.walk() if "start" in part.meta]
        return f" at {self.place(min(starts))}" if starts else ""

    def refuse(self, node: exp.Expr, what: str, hint: str = "") -> NoReturn:
        """Raises the QueryError that says so."""
        raise QueryError(
            f"{what} is not accepted in auditors' SQL{self.at(node)}.", hint=hint or _PLAINLY
        )


def spoken(name: str) -> str:
    """`TableSample` and `for_` as TABLE SAMPLE and FOR."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", name).strip("_").replace("_", " ").upper()


def too_deep() -> QueryError:
    """The refusal of nesting that the checks cannot follow."""
    return QueryError(
        "This SQL is nested too deeply to be checked.",
        hint="Split it into CTEs: WITH first AS (SELECT …), second AS (…) SELECT …",
    )
