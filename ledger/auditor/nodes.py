"""What each node of the tree may say: functions, types, words and names by their lists.

Some nodes are also put into the form in which they are written: functions in lower case, a comma
join as INNER JOIN.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NoReturn

from sqlglot import exp

from ledger.auditor import grammar
from ledger.auditor.contract import Contract, nearest
from ledger.auditor.functions import (
    BOUNDED,
    DATABASE,
    FORMAT,
    FUNCTIONS,
    INSTEAD,
    SQLITE,
    WIDTH_LIMIT,
    words,
)
from ledger.auditor.names import folded
from ledger.auditor.refusals import Source, spoken
from ledger.errors import QueryError

_NAME_BYTES: Final = 63  # PostgreSQL cuts longer names, which could turn one name into another
_LARGE_FORMAT: Final = re.compile(r"%[^%a-zA-Z]*(?:\*|\d{4})")
_SYSTEM_COLUMNS: Final = words("rowid oid _rowid_ ctid xmin xmax cmin cmax tableoid")


def check_node(node: exp.Expr, contract: Contract, source: Source) -> None:
    """Refuses a node that the grammar does not know, or that says more than it may."""
    allowed = grammar.NODES[source.dialect].get(type(node))
    if allowed is None:
        _refuse_node(node, source)
    for key, value in node.args.items():
        if value not in (None, False, []) and key not in allowed:
            what = f"{spoken(type(node).__name__)} … {spoken(key)}"
            source.refuse(node, *_ARGUMENTS.get((type(node), key), (what,)))
    if special := _SPECIAL.get(type(node)):
        special(node, contract, source)


def _refuse_node(node: exp.Expr, source: Source) -> NoReturn:
    if isinstance(node, (exp.Placeholder, exp.Parameter, exp.SessionParameter)):
        raise QueryError(
            f"Parameters are not accepted{source.at(node)}.",
            hint="Write the value itself; text stands in 'single quotes'.",
        )
    if isinstance(node, _OTHER_TEXTS):
        raise QueryError(
            f"Only plain texts in 'single quotes' are accepted{source.at(node)}.",
            hint="No E'', U&'', X'', B'' and $$ texts; write '' for a quote inside.",
        )
    source.refuse(node, spoken(type(node).__name__))


def _check_in(node: exp.Expr, _contract: Contract, source: Source) -> None:
    query = node.args.get("query")
    if query is not None and not isinstance(query, exp.Subquery):
        source.refuse(node, "IN without a list or a query in parentheses")


def _check_not(node: exp.Expr, _contract: Contract, source: Source) -> None:
    """`a = NOT b`, also as `a = b NOT IN (…)`: databases disagree about what belongs together."""
    if isinstance(node.parent, _OPERATORS) and not isinstance(node.parent, exp.Connector):
        source.refuse(node, "NOT beside another operator", "Put parentheses around the NOT.")


def _check_join(node: exp.Expr, _contract: Contract, source: Source) -> None:
    kinds = {str(node.args.get(key) or "").upper() for key in ("side", "kind", "method")}
    if strange := kinds - {"", "LEFT", "RIGHT", "FULL", "INNER", "OUTER", "CROSS", "NATURAL"}:
        source.refuse(node, f"{strange.pop()} JOIN")
    free = not any(node.args.get(key) for key in ("on", "using", "side", "method"))
    if source.dialect == SQLITE and free:
        # A comma would be written as CROSS JOIN, and that fixes the order of the loops.
        node.set("kind", "INNER")
        node.set("on", exp.true())


def _check_type(node: exp.Expr, _contract: Contract, source: Source) -> None:
    if node.this not in grammar.TYPES[source.dialect]:
        known = ", ".join(sorted(kind.value for kind in grammar.TYPES[source.dialect]))
        name = node.this.value if isinstance(node.this, exp.DType) else node.sql()
        source.refuse(node, f"The type {name}", f"Cast to one of {known}.")


def _check_cast(node: exp.Expr, _contract: Contract, source: Source) -> None:
    kind = node.args.get("to")
    if not isinstance(kind, exp.DataType):
        source.refuse(node, f"A cast to {kind.sql() if isinstance(kind, exp.Expr) else kind}")


def _check_collation(node: exp.Expr, _contract: Contract, source: Source) -> None:
    names = grammar.COLLATIONS[source.dialect]
    name = names.get(node.expression.name.lower())
    qualified = isinstance(node.expression, exp.Column) and node.expression.table
    if name is None or qualified:
        source.refuse(node, "This collation", f"Write one of {', '.join(names.values())}.")
    node.set("expression", exp.to_identifier(name, quoted=True))


def _check_word(node: exp.Expr, _contract: Contract, source: Source) -> None:
    parent, key, word = node.parent, node.arg_key, node.name.upper()
    parts: frozenset[str] = frozenset()
    if isinstance(parent, exp.Extract) and key == "this":
        parts = grammar.DATE_PARTS
    if isinstance(parent, exp.WindowSpec) and key == "exclude":
        parts = grammar.FRAME_EXCLUSIONS
    if word not in parts and not (isinstance(parent, exp.Collate) and key == "expression"):
        source.refuse(parent or node, word, nearest(word, parts))
    node.set("this", word)


def _check_identifier(node: exp.Expr, _contract: Contract, source: Source) -> None:
    name = node.name
    if node.args.get("quoted"):
        sound = name.isprintable() and not re.search("^$|[\"`']", name)
    else:
        sound = bool(re.fullmatch(r"[^\W\d]\w*", name))
    if not sound or len(name.encode()) > _NAME_BYTES:
        source.refuse(node, f"The name {name[:80]!r}", "Names are letters, digits and _.")


def _check_column(node: exp.Expr, contract: Contract, source: Source) -> None:
    name = folded(node.name)
    if name in _SYSTEM_COLUMNS and name not in contract.columns():
        source.refuse(node, f"The system column {name}", "Views have documented columns alone.")


def _check_function(node: exp.Expr, _contract: Contract, source: Source) -> None:
    given = node.this
    name = folded(given if isinstance(given, str) else given.name)
    if name not in FUNCTIONS[source.dialect]:
        instead = INSTEAD[source.dialect].get(name)
        hint = f"Use {instead}." if instead else nearest(name, FUNCTIONS[source.dialect])
        raise QueryError(
            f"The function {name[:80]} is not accepted on {DATABASE[source.dialect]}"
            f"{source.at(node)}.",
            hint=hint or "Only functions that compute something from their arguments are.",
        )
    _check_size(name, node, source)
    node.set("this", name)


def _check_size(name: str, node: exp.Expr, source: Source) -> None:
    position = BOUNDED.get(name)
    if position is None:
        return
    if position == FORMAT:
        given = _literal(node, 0)
        small = given is not None and not _LARGE_FORMAT.search(given)
        rule = f"its format must be a plain text with widths below {WIDTH_LIMIT}"
    else:
        given = _literal(node, position)
        small = given is not None and given.isdigit() and int(given[:9]) <= WIDTH_LIMIT
        rule = f"its width must be a number up to {WIDTH_LIMIT}"
    if not small:
        source.refuse(node, f"This use of {name}", f"In {name}, {rule}.")


def _literal(call: exp.Expr, position: int) -> str | None:
    """The text of an argument that is a plain literal."""
    arguments = call.expressions
    argument = arguments[position] if position < len(arguments) else None
    return argument.name if isinstance(argument, exp.Literal) else None


_OTHER_TEXTS: Final = (
    exp.BitString,
    exp.ByteString,
    exp.HexString,
    exp.National,
    exp.RawString,
    exp.UnicodeString,
)
_OPERATORS: Final = (exp.Binary, exp.Between, exp.In, exp.Neg, exp.BitwiseNot, exp.Collate)
_ARGUMENTS: Final[dict[tuple[type[exp.Expr], str], tuple[str, ...]]] = {
    (exp.In, "field"): ("IN with a bare name", "Write IN (SELECT … FROM …) or IN (1, 2)."),
    (exp.Select, "into"): ("SELECT … INTO", "An auditor's query only reads."),
    (exp.Select, "locks"): ("FOR UPDATE or FOR SHARE", "An auditor's query only reads."),
    (exp.Table, "db"): ("A schema before a name", "Write the name of the view alone."),
    (exp.Column, "db"): ("A schema before a name", "Write view.column or column."),
}
_SPECIAL: Final[dict[type[exp.Expr], Callable[[exp.Expr, Contract, Source], None]]] = {
    exp.Anonymous: _check_function,
    exp.Cast: _check_cast,
    exp.Collate: _check_collation,
    exp.Column: _check_column,
    exp.DataType: _check_type,
    exp.Identifier: _check_identifier,
    exp.In: _check_in,
    exp.Join: _check_join,
    exp.Not: _check_not,
    exp.Var: _check_word,
}
