"""Gate 1, pure: SQL in, the same query regenerated from its checked tree out, or a refusal.

What was checked is what runs: comments, odd spellings, and whatever a database could read in
another way than the parser here, are gone from the result. And nothing else is gone: what was
written must stand in the result, in its order. `grammar` says which SQL there is at all, `nodes`
what each part of it may say, `names` what the names mean.

The second gate, in the database, does not trust this one; see `sqlite_child` and `postgres`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from sqlglot import ErrorLevel, Token, TokenType, exp
from sqlglot.errors import ParseError, SqlglotError, TokenError

from ledger.auditor import grammar
from ledger.auditor.contract import MAX_SQL_BYTES, Contract
from ledger.auditor.functions import DATABASE, POSTGRESQL, SQLITE, words
from ledger.auditor.names import check_tables, folded, name_columns, write_names
from ledger.auditor.nodes import check_node
from ledger.auditor.refusals import ONE_QUERY, Source, too_deep
from ledger.errors import QueryError

MAX_DEPTH: Final = 50
MAX_TOKENS: Final = 15_000
_DIALECTS: Final = {"sqlite": SQLITE, "postgres": POSTGRESQL, "postgresql": POSTGRESQL}


def check(sql: str, contract: Contract, dialect: str) -> str:
    """The SQL to run instead of `sql`; QueryError if it is anything but one harmless query.

    About a millisecond for a short query and seconds for 64 KiB of the worst; never more.
    """
    if dialect not in _DIALECTS:
        raise QueryError(f"There is no SQL dialect {dialect!r} here.", hint="sqlite or postgresql.")
    source = Source(sql, _DIALECTS[dialect])
    _check_text(source)
    try:
        return _Gate(source, contract).pass_through()
    except RecursionError:
        raise too_deep() from None


def _check_text(source: Source) -> None:
    if not source.sql.strip():
        raise QueryError("There is no SQL to run.", hint=ONE_QUERY)
    try:
        size = len(source.sql.encode())
    except UnicodeEncodeError:
        raise QueryError("This SQL is not valid Unicode text.", hint="Save it as UTF-8.") from None
    if size > MAX_SQL_BYTES:
        raise QueryError(
            f"This SQL has {size:,} bytes; the limit is {MAX_SQL_BYTES:,}.",
            hint="Join or filter by a view instead of listing values.",
        )
    if control := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", source.sql):
        raise QueryError(
            f"This SQL contains the control character U+{ord(control[0]):04X}"
            f" at {source.place(control.start())}.",
            hint="Remove it.",
        )


@dataclass(frozen=True, slots=True)
class _Gate:
    source: Source
    contract: Contract

    def pass_through(self) -> str:
        written = self._tokens(self.source.sql)
        if len(written) > MAX_TOKENS:
            raise QueryError(
                f"This SQL has more than {MAX_TOKENS:,} words and signs.",
                hint="Join or filter by a view instead of listing values.",
            )
        tree = self._parse(written, self.source.sql)
        for node in tree.walk():
            check_node(node, self.contract, self.source)
        write_names(tree, self.contract)
        check_tables(tree, self.contract, self.source)
        name_columns(tree)
        sql = self._generate(tree)
        if unknown := grammar.unknown_text(sql, self.source.dialect):
            raise QueryError(
                f"This part is not accepted: {unknown}", hint="Write it in plainer SQL."
            )
        self._check_nothing_lost(written, sql)
        return sql

    def _tokens(self, sql: str) -> list[Token]:
        """The tokens without closing semicolons."""
        try:
            tokens = grammar.DIALECTS[self.source.dialect]().tokenize(sql)
        except TokenError:
            raise QueryError(
                "This SQL cannot be read: a text, name or comment is not closed.",
                hint="Text stands in 'single quotes', with '' for a quote inside.",
            ) from None
        while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
            tokens.pop()
        return tokens

    def _parse(self, tokens: list[Token], sql: str) -> exp.Expr:
        self._check_one_query(tokens)
        parser: Any = grammar.DIALECTS[self.source.dialect]().parser(
            error_level=ErrorLevel.IMMEDIATE
        )
        parser.budget = 2000 + 10 * len(tokens)
        try:
            trees = parser.parse(tokens, sql)
        except ParseError as error:
            raise _not_understood(error) from None
        if len(trees) != 1 or not isinstance(trees[0], (exp.Query, exp.Values)):
            raise QueryError("This is not one query.", hint=ONE_QUERY)
        return trees[0]

    def _check_one_query(self, tokens: list[Token]) -> None:
        depth, after_number = 0, -1
        for token in tokens:
            if token.token_type is TokenType.SEMICOLON:
                raise QueryError(
                    f"There is more than one statement: a semicolon stands at"
                    f" {self.source.place(token.start)}.",
                    hint="Run one query at a time.",
                )
            depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
            if depth > MAX_DEPTH:
                raise too_deep()
            if token.start == after_number and token.token_type is TokenType.VAR:
                raise QueryError(
                    f"A name starts inside a number at {self.source.place(token.start)}.",
                    hint="Write numbers without _ and letters.",
                )
            after_number = token.end + 1 if token.token_type is TokenType.NUMBER else -1
        first = next((token for token in tokens if token.token_type is not TokenType.L_PAREN), None)
        if first is None or first.token_type not in _STARTS:
            word = first.text[:40].upper() if first else "This"
            raise QueryError(f"{word} is not accepted: auditors' SQL only reads.", hint=ONE_QUERY)

    def _generate(self, tree: exp.Expr) -> str:
        try:
            return grammar.DIALECTS[self.source.dialect]().generate(
                tree,
                copy=False,
                comments=False,
                normalize_functions=False,
                unsupported_level=ErrorLevel.IMMEDIATE,
            )
        except SqlglotError as error:
            raise QueryError(
                f"{DATABASE[self.source.dialect]} cannot do this: {error}",
                hint="Write it another way.",
            ) from None

    def _check_nothing_lost(self, written: list[Token], sql: str) -> None:
        """Every text, number, name, parenthesis and operator must be in the result, in this order.

        sqlglot reads some things as something simpler, and a generator may drop a parenthesis.
        """
        tokens = self._tokens(sql)
        results = iter([_spelling(token) for token in tokens])
        for token in written:
            if _must_stay(token) and _spelling(token) not in results:  # goes on from the last one
                raise QueryError(
                    f"This SQL would change its meaning when written out again: see {token.text!r}"
                    f" at {self.source.place(token.start)}.",
                    hint='Write it in plainer SQL: names in "double quotes", text in single ones,'
                    " LIMIT … OFFSET …, parentheses around what belongs together.",
                )
        if self._generate(self._parse(tokens, sql)) != sql:
            raise QueryError("This SQL is ambiguous.", hint="Put parentheses around its parts.")


_OPENING: Final = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE})
_CLOSING: Final = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END})
_STARTS: Final = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.VALUES})
_LASTING: Final = frozenset(
    TokenType[name]
    for name in words(
        "STRING NUMBER IDENTIFIER VAR L_PAREN L_BRACKET EQ NEQ LT LTE GT GTE DASH STAR SLASH MOD"
        " DPIPE AMP PIPE CARET HASH TILDE ARROW DARROW HASH_ARROW DHASH_ARROW"
    )
)
_DEFAULTS: Final = frozenset({"NULLS", "FIRST", "LAST"})  # left out where they change nothing


def _must_stay(token: Token) -> bool:
    return token.token_type in _LASTING and token.text.upper() not in _DEFAULTS


def _spelling(token: Token) -> str:
    match token.token_type:
        case TokenType.STRING:
            return f"'{token.text}"
        case TokenType.NUMBER:
            return token.text.removeprefix("0") if "." in token.text else token.text
        case TokenType.VAR | TokenType.IDENTIFIER:
            return folded(token.text)
    return token.token_type.name if token.token_type in _LASTING else folded(token.text)


def _not_understood(error: ParseError) -> QueryError:
    detail = error.errors[0] if error.errors else {}
    near = f", near {detail['highlight'][:40]!r}" if detail.get("highlight") else ""
    return QueryError(
        f"This SQL cannot be understood at line {detail.get('line', 1)},"
        f" column {detail.get('col', 1)}{near}.",
        hint="Check commas and parentheses there. Functions take plain arguments:"
        " substr(x, 1, 2), not substring(x FROM 1 FOR 2).",
    )
