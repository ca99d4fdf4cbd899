"""The SQL that auditors may write: a closed list of tree nodes, arguments, types and words.

Closed twice. On the tree: a node of another class, or a node with another argument, is refused, so
that what a later sqlglot learns to parse stays refused until someone adds it here. On the text that
is generated from the tree: every name stands in quotes, so that the bare words that are left must
all be known keywords or allowed functions. A name in quotes is never a keyword that acts
(`current_user`), and on SQLite it stands in backticks, because there a double-quoted name that
does not exist silently becomes a text.

Functions are not translated: each call keeps its name and arguments. (sqlglot would turn
`strftime`, `to_char` and `date` into its own notions and back, losing some on the way.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from sqlglot import TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.postgres import Postgres
from sqlglot.dialects.sqlite import SQLite
from sqlglot.generators.postgres import PostgresGenerator
from sqlglot.generators.sqlite import SQLiteGenerator
from sqlglot.parser import build_json_extract, build_json_extract_scalar
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.parsers.sqlite import SQLiteParser

from ledger.auditor.functions import FUNCTIONS, POSTGRESQL, SQLITE, words
from ledger.errors import QueryError


def _keep(table: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: table[name] for name in names}


class _BoundedWork:
    """Refuses a text that makes the parser try again and again: nested types cost 2^depth."""

    budget: int = 0

    def _retreat(self, index: int) -> None:
        self.budget -= 1
        if self.budget < 0:
            raise QueryError(
                "This SQL takes too long to understand.",
                hint="Nest types and brackets less deeply.",
            )
        super()._retreat(index)  # type: ignore[misc]


class _LedgerSqlite(SQLite):
    """SQLite as it is written here: plain function calls, names in backticks."""

    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        return path

    class Tokenizer(SQLite.Tokenizer):
        # The first is how names are written.
        IDENTIFIERS: ClassVar[list[str | tuple[str, str]]] = ["`", '"', ("[", "]")]

    class Parser(_BoundedWork, SQLiteParser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS = _keep(SQLiteParser.FUNCTION_PARSERS, "CAST")
        NO_PAREN_FUNCTION_PARSERS = _keep(SQLiteParser.NO_PAREN_FUNCTION_PARSERS, "CASE")

    class Generator(SQLiteGenerator):
        TYPE_MAPPING: ClassVar[dict[Any, str]] = {
            **SQLiteGenerator.TYPE_MAPPING,
            exp.DType.DECIMAL: "NUMERIC",
        }


class _LedgerPostgres(Postgres):
    """PostgreSQL as it is written here: plain function calls, `->` with its argument unchanged."""

    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        return path

    class Parser(_BoundedWork, PostgresParser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS = _keep(PostgresParser.FUNCTION_PARSERS, "CAST", "EXTRACT")
        NO_PAREN_FUNCTION_PARSERS = _keep(PostgresParser.NO_PAREN_FUNCTION_PARSERS, "CASE", "ANY")
        JSON_OPERATORS: ClassVar[dict[TokenType, Any]] = {
            **PostgresParser.JSON_OPERATORS,
            TokenType.ARROW: build_json_extract,
            TokenType.DARROW: build_json_extract_scalar,
        }

        def _parse_interval_span(
            self,
            this: exp.Expr,
            parse_function_unit: bool = True,  # noqa: ARG002
        ) -> exp.Interval:
            """The text as it stands; sqlglot would keep the `1 day` of `1 day 02:00`."""
            return exp.Interval(this=this)

    class Generator(PostgresGenerator):
        TRANSFORMS: ClassVar[dict[Any, Any]] = {
            **PostgresGenerator.TRANSFORMS,
            exp.Pow: lambda self, node: self.binary(node, "^"),
        }
        MULTI_ARG_DISTINCT = True  # count(DISTINCT a, b) is the database's to refuse
        JSON_TYPE_REQUIRED_FOR_EXTRACTION = False


DIALECTS: Final[Mapping[str, type[Dialect]]] = {
    SQLITE: _LedgerSqlite,
    POSTGRESQL: _LedgerPostgres,
}

_QUERY = "with_ joins where group having windows order limit offset"
_SET = "with_ this expression distinct order limit offset"
_BINARY = "this expression"


def _table(text: str) -> dict[type[exp.Expr], frozenset[str]]:
    """`Name: arg arg` lines as class -> the arguments it may have."""
    lines = (line.partition(":") for line in text.strip().splitlines())
    return {getattr(exp, name.strip()): frozenset(args.split()) for name, _, args in lines}


def _same(names: str, args: str) -> dict[type[exp.Expr], frozenset[str]]:
    return {getattr(exp, name): frozenset(args.split()) for name in names.split()}


_SHARED = {
    **_table(
        f"""
        Select: {_QUERY} expressions distinct from_
        Union: {_SET}
        Except: {_SET}
        Intersect: {_SET}
        Subquery: {_QUERY} this alias
        Values: expressions alias order limit offset
        Table: this alias joins ordinality
        TableAlias: this columns
        With: expressions recursive
        CTE: this alias materialized
        From: this
        Join: this on side kind using method
        Where: this
        Group: expressions grouping_sets cube rollup
        Having: this
        Order: this expressions
        Ordered: this desc nulls_first
        Limit: expression
        Offset: expression
        Distinct: expressions
        Alias: this alias
        Column: this table
        Identifier: this quoted
        Star:
        Literal: this is_string
        Null:
        Boolean: this
        Paren: this
        Tuple: expressions
        Case: this ifs default
        If: this true false
        Cast: this to
        DataType: this expressions nested
        DataTypeParam: this
        Anonymous: this expressions
        Window: this partition_by order spec alias over first
        WindowSpec: kind start start_side end end_side exclude
        Filter: this expression
        In: this expressions query
        Exists: this
        Between: this low high
        Like: this expression negate
        Is: this expression negate
        Div: this expression typed safe
        DPipe: this expression safe
        JSONExtract: this expression only_json_types
        JSONExtractScalar: this expression only_json_types scalar_only
        CurrentDate:
        CurrentTime:
        CurrentTimestamp:
        Var: this
        """
    ),
    **_same("Not Neg BitwiseNot", "this"),
    **_same("And Or EQ NEQ GT GTE LT LTE Add Sub Mul Mod", _BINARY),
    **_same("BitwiseAnd BitwiseOr BitwiseLeftShift BitwiseRightShift", _BINARY),
    **_same("NullSafeEQ NullSafeNEQ Collate Escape", _BINARY),
}
_ON_POSTGRESQL = {
    **_table(
        """
        Distinct: expressions on
        Between: this low high symmetric
        ILike: this expression negate
        Fetch: direction count limit_options
        LimitOptions: rows with_ties
        WithinGroup: this expression
        Lateral: this alias ordinality
        Unnest: expressions alias offset
        Any: this
        All: this
        Array: expressions bracket_notation
        Bracket: this expressions offset
        Extract: this expression
        Interval: this
        AtTimeZone: this zone
        GroupingSets: expressions
        Rollup: expressions
        Cube: expressions
        """
    ),
    **_same("RegexpLike RegexpILike SimilarTo Pow BitwiseXor", _BINARY),
    **_same("JSONBExtract JSONBExtractScalar JSONBContainsTopKey", _BINARY),
    **_same("ArrayContainsAll ArrayContainedBy ArrayOverlaps", _BINARY),
}
NODES: Final[Mapping[str, Mapping[type[exp.Expr], frozenset[str]]]] = {
    SQLITE: {**_SHARED, **_same("Glob", _BINARY)},
    POSTGRESQL: {**_SHARED, **_ON_POSTGRESQL},
}


def _types(names: str) -> frozenset[exp.DType]:
    return frozenset(exp.DType[name] for name in names.split())


_TYPES_EVERYWHERE: Final = _types("TEXT VARCHAR SMALLINT INT BIGINT FLOAT DOUBLE DECIMAL")
TYPES: Final[Mapping[str, frozenset[exp.DType]]] = {
    SQLITE: _TYPES_EVERYWHERE,
    POSTGRESQL: _TYPES_EVERYWHERE
    | _types("BOOLEAN DATE TIME TIMESTAMP TIMESTAMPTZ INTERVAL JSON JSONB UUID ARRAY"),
}
COLLATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    SQLITE: {"binary": "binary", "nocase": "nocase", "rtrim": "rtrim"},
    POSTGRESQL: {"c": "C", "posix": "POSIX", "default": "default", "und-x-icu": "und-x-icu"},
}
DATE_PARTS: Final = words(
    "CENTURY DAY DECADE DOW DOY EPOCH HOUR ISODOW ISOYEAR JULIAN MICROSECONDS MILLISECONDS MINUTE"
    " MONTH QUARTER SECOND WEEK YEAR"
)
FRAME_EXCLUSIONS: Final = frozenset({"CURRENT ROW", "GROUP", "TIES", "NO OTHERS"})

_WORDS: Final = words(
    "SELECT DISTINCT ALL FROM WHERE GROUP BY HAVING ORDER ASC DESC NULLS FIRST LAST LIMIT OFFSET"
    " WITH RECURSIVE AS MATERIALIZED UNION EXCEPT INTERSECT VALUES JOIN LEFT RIGHT FULL OUTER INNER"
    " CROSS NATURAL ON USING AND OR NOT IN IS NULL TRUE FALSE LIKE ESCAPE BETWEEN CASE WHEN THEN"
    " ELSE END CAST EXISTS OVER PARTITION ROWS RANGE GROUPS UNBOUNDED PRECEDING FOLLOWING CURRENT"
    " ROW EXCLUDE TIES NO OTHERS FILTER WINDOW COLLATE CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP"
    " TEXT INTEGER REAL NUMERIC VARCHAR"
)
WORDS: Final[Mapping[str, frozenset[str]]] = {
    SQLITE: _WORDS | {"GLOB"},
    POSTGRESQL: _WORDS
    | DATE_PARTS
    | words(
        "ILIKE SIMILAR TO LATERAL ORDINALITY ANY ARRAY WITHIN ROLLUP CUBE GROUPING SETS INTERVAL"
        " EXTRACT AT TIME ZONE FETCH NEXT ONLY SYMMETRIC SMALLINT INT BIGINT DECIMAL DOUBLE"
        " PRECISION FLOAT BOOLEAN DATE TIMESTAMP TIMESTAMPTZ JSON JSONB UUID"
    ),
}
_QUOTE: Final = {SQLITE: "`", POSTGRESQL: '"'}
_SYMBOLS: Final = {SQLITE: r"[-+*/%(),.<>=|&~]", POSTGRESQL: r"[-+*/%(),.<>=|&~^#@?!\[\]]"}


def unknown_text(sql: str, dialect: str) -> str:
    """The first thing in generated SQL that is no known keyword, allowed function, quoted name,
    plain text, number or operator; empty if there is none.

    Independent of the tree: what no rule has foreseen must still be spelled in these words. A
    quoted name may stand before a parenthesis only where it names a row, never as a function.
    """
    quote = _QUOTE[dialect]
    token = re.compile(
        rf"\s+|'(?:[^']|'')*'|(?P<name>{quote}(?:[^{quote}]|{quote}{quote})+{quote})"
        rf"|(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?![\w.])|(?P<word>[A-Za-z_]\w*)"
        rf"|(?!--|/\*){_SYMBOLS[dialect]}"
    )
    at, words = 0, WORDS[dialect] | {name.upper() for name in FUNCTIONS[dialect]}
    while at < len(sql):
        match = token.match(sql, at)
        if match is None or (match["word"] and match["word"].upper() not in words):
            return sql[at : at + 40]
        if match["name"] and sql.startswith("(", match.end()) and not _names_rows(sql, match):
            return sql[at : at + 40]
        at = match.end()
    return ""


_COLUMN_LIST: Final = re.compile(
    r"""\(["`][^"`]+["`](?:, ["`][^"`]+["`])*\) AS (?:(?:NOT )?MATERIALIZED )?\("""
)


def _names_rows(sql: str, name: re.Match[str]) -> bool:
    """Whether `"t"(` is the column list of an alias or CTE: after AS, or before `) AS (`."""
    return sql.endswith(" AS ", 0, name.start()) or bool(_COLUMN_LIST.match(sql, name.end()))
