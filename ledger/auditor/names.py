"""What the names in a query mean, and how they are written.

- A table is a public view, or a CTE that is in scope at that place. Nothing else has a name here.
- No CTE and no alias is named like a view. With an SQLite authorizer alone a CTE named `events`
  reads hidden tables, because SQLite reports its name where it reports the view's.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from sqlglot import exp

from ledger.auditor.contract import Contract, nearest
from ledger.auditor.functions import TABLE_FUNCTIONS
from ledger.auditor.refusals import Source, spoken
from ledger.errors import QueryError


def folded(name: str) -> str:
    """ASCII letters in lower case, as both databases compare unquoted names."""
    return re.sub("[A-Z]+", lambda match: match[0].lower(), name)


def write_names(tree: exp.Expr, contract: Contract) -> None:
    """Puts every name in quotes; unquoted ones in lower case, as PostgreSQL reads them.

    A quoted name of a view or documented column gets its documented lower case too, unless the
    query itself gives that very spelling to something.
    """
    documented = contract.columns() | set(contract.views)
    identifiers = list(tree.find_all(exp.Identifier))
    given = {node.name for node in identifiers if node.args.get("quoted") and _is_given(node)}
    for node in identifiers:
        if isinstance(node.parent, exp.Collate):
            continue
        lower = folded(node.name)
        if not node.args.get("quoted") or (lower in documented and node.name not in given):
            node.set("this", lower)
        node.set("quoted", True)


def _is_given(identifier: exp.Expr) -> bool:
    """Whether this place gives a name to something, instead of using one."""
    return identifier.arg_key == "alias" or isinstance(identifier.parent, exp.TableAlias)


def check_tables(tree: exp.Expr, contract: Contract, source: Source) -> None:
    """Refuses every table that is neither a view nor a CTE visible at its place.

    To be called when the names are written as they will run: on PostgreSQL a CTE `"X"` does not
    hide a table x. A CTE is visible to the CTEs after it, to itself if recursive, and to the query
    it stands before. Databases see at least as much, so what is a CTE here is one there.
    """
    pending: list[tuple[exp.Expr, frozenset[str]]] = [(tree, frozenset())]
    while pending:
        node, visible = pending.pop()
        with_ = node.args.get("with_")
        if with_ is not None:
            for cte in with_.expressions:
                name = _check_alias(cte.args["alias"], contract, source)
                inside = visible | {name} if with_.args.get("recursive") else visible
                pending.append((cte.this, inside))
                visible |= {name}
        if isinstance(node, exp.Table):
            _check_table(node, visible, contract, source)
        elif isinstance(node.args.get("alias"), exp.TableAlias):
            _check_alias(node.args["alias"], contract, source)
        pending += [(child, visible) for child in node.iter_expressions() if child is not with_]


def _check_alias(alias: exp.Expr, contract: Contract, source: Source) -> str:
    if unicodedata.normalize("NFKC", alias.name).casefold() in contract.views:
        source.refuse(alias, f"The alias {alias.name}", "It is the name of a view; choose another.")
    return alias.name


def _check_table(
    node: exp.Table, visible: frozenset[str], contract: Contract, source: Source
) -> None:
    alias = node.args.get("alias")
    if isinstance(alias, exp.TableAlias) and alias.name != node.name:
        _check_alias(alias, contract, source)
    if isinstance(node.this, exp.Anonymous):
        if node.this.name not in TABLE_FUNCTIONS[source.dialect]:
            source.refuse(node, f"{node.this.name}(…) in place of a view")
    elif not isinstance(node.this, exp.Identifier):
        source.refuse(node, "This in place of a view")
    elif node.name not in visible and node.name not in contract.views:
        raise QueryError(
            f"There is no view {node.name}{source.at(node)}.",
            hint=nearest(node.name, frozenset(contract.views))
            or f"The views are {', '.join(sorted(contract.views))}.",
        )


def name_columns(tree: exp.Expr) -> None:
    """Names the unnamed columns of the answer the way PostgreSQL does, on every database."""
    top: Any = tree
    while isinstance(top, (exp.SetOperation, exp.Subquery)):
        top = top.this
    if not isinstance(top, exp.Select):
        return
    named = [_named(column, number) for number, column in enumerate(top.expressions, 1)]
    top.set("expressions", named)


def _named(column: Any, number: int) -> Any:
    if isinstance(column, (exp.Alias, exp.Column, exp.Star)):
        return column
    name = _natural_name(column) or f"column_{number}"
    return exp.Alias(this=column, alias=exp.to_identifier(name, quoted=True))


def _natural_name(node: Any) -> str:
    """The function, column or keyword that a reader would call this value by; empty if none."""
    while isinstance(node, (exp.Paren, exp.Window, exp.Filter, exp.WithinGroup, exp.Cast)):
        node = node.this
    match node:
        case exp.Anonymous() | exp.Column():
            return str(node.name)
        case exp.Alias():
            return str(node.alias)
        case exp.Subquery():
            return _natural_name(node.this.expressions[0]) if node.this.expressions else ""
        case exp.Case() | exp.Exists() | exp.Extract() | exp.Array():
            return type(node).__name__.lower()
        case exp.CurrentDate() | exp.CurrentTime() | exp.CurrentTimestamp():
            return spoken(type(node).__name__).replace(" ", "_").lower()
    return ""
