"""Reads HCL expressions and templates: one spelling of each, and its value where it is literal."""

from __future__ import annotations

import re

from ledger.hcl.literals import (
    NAME,
    NO_TEMPLATE,
    SPACES,
    TEXT,
    HclError,
    decoded,
    failure,
    number,
    word_value,
)
from ledger.resources import Value

MAX_DEPTH = 200
"""Blocks, lists and objects inside one another."""
MAX_TEMPLATES = 60
"""Templates inside one another."""


# ---- tokens ----------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    rf"[ \t]*+(?:(?P<gap>{SPACES}++)"
    rf"|(?P<reference>{NAME}(?:\.(?:{NAME}|[0-9]++))++)"
    rf"|(?P<word>{NAME}(?:::{NAME})*+)"
    r"|(?P<number>[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)"
    rf'|(?P<string>"(?:{TEXT})*+")'
    r'|(?P<quote>")'
    rf"|(?P<heredoc><<-?(?P<marker>{NAME})[ \t]*+\r?\n)"
    r"|(?P<splat>\[[ \t\r\n]*+\*[ \t\r\n]*+\]|\.\*)"
    rf"|(?P<get>\.[ \t\r\n]*+(?:{NAME}|[0-9]++))"
    r"|(?P<sign>\.\.\.|[=!<>]=|&&|\|\||=>|(?s:.))"
    r"|(?P<end>\Z))"
)
_INTRO = re.compile(
    rf"for{SPACES}++({NAME}){SPACES}*+(?:,{SPACES}*+({NAME}){SPACES}*+)?in(?![\w-])"
)
_BINARY = frozenset({*"+-*/%<>", "==", "!=", "<=", ">=", "&&", "||"})
_CLOSING = {"(": ")", "call": ")", "[": "]", "index": "]", "for[": "]", "{": "}", "for{": "}"}
_PLAIN_TERMS = frozenset({"reference", "word", "number", "string"})
_MAY_BE_EMPTY = frozenset({"call", "[", "{"})


class _Open:
    """What is open in an expression. `phase` is where an object or a `for` has come to; `choices` counts
    the `?` whose `:` is still to come."""

    __slots__ = ("choices", "index", "kind", "phase")

    def __init__(self, kind: str, index: int) -> None:
        self.kind = kind
        self.index = index
        self.phase = "key" if kind == "{" else ""
        self.choices = 0

    def complete(self) -> bool:
        """May it end after a term?"""
        return not self.choices and self.phase in ("", "value", "condition")


class Expression:
    """One expression as tokens in one spelling. Without recursion, but for templates in templates."""

    def __init__(self, text: str, depth: int = 0) -> None:
        self._text = text
        self._depth = depth
        self._tokens: list[str] = []
        self._spaces: list[str] = []
        self._kinds: list[str] = []
        self._templates: dict[int, str] = {}
        self._closes: dict[int, int] = {}
        self._stack = [_Open("", -1)]
        self._term = True  # the next token must begin a term
        self._glue = True  # without a space
        self.strip = ""  # `~` where `~}` ended it

    # -- reading

    def read(self, pos: int, *, in_template: bool = False) -> int:
        """Read up to the end of the line, or in a template up to its `}`; return the place of that."""
        text, stack = self._text, self._stack
        while True:
            match = _TOKEN.match(text, pos)
            assert match is not None  # a sign is any character
            kind = match.lastgroup or ""
            token = match[kind]
            if kind == "gap":
                if "\n" in token:
                    if len(stack) == 1 and not in_template:
                        break
                    self._end_element()
            elif kind == "end" or (len(stack) == 1 and token == "}"):
                break
            elif self._term:
                if kind in _PLAIN_TERMS and token != "for":
                    self._put(token, kind)
                    self._term = False
                else:
                    pos = self._read_term(match, kind, token)
                    continue
            elif in_template and token == "~" and len(stack) == 1:
                self.strip = token
                pos = match.end()
                break
            else:
                self._read_operator(match, kind, token)
            pos = match.end()
        if self._term or len(stack) > 1:
            raise failure(text, pos, "an expression is not complete")
        if stack[0].choices:
            raise failure(text, pos, "a ? without a :")
        return match.start(kind) if token == "}" else pos

    def _end_element(self) -> None:
        """A line end parts the elements of an object as a comma does."""
        top = self._stack[-1]
        if top.kind == "{" and not self._term and top.complete():
            self._next_element(top)

    def _next_element(self, top: _Open) -> None:
        self._put(",", "comma", glued=True)
        self._term = True
        if top.kind == "{":
            top.phase = "key"

    def _read_term(self, match: re.Match[str], kind: str, token: str) -> int:
        pos = match.end()
        if kind == "word":
            if self._kinds and self._kinds[-1] in ("[", "{"):
                return self._read_intro(match.start(kind))
            self._put(token, kind)
        elif kind == "quote":
            inner, decoded, pos = _quoted(self._text, pos, self._depth)
            self._templates[len(self._tokens)] = decoded
            self._put(f'"{inner}"', "template")
        elif kind == "heredoc":
            body, pos = _heredoc(self._text, match, self._depth)
            self._templates[len(self._tokens)] = body
            self._put(f"<<{match['marker']}\n{body}{match['marker']}\n", kind)
        elif token in ("(", "[", "{"):
            self._open(token, token)
            return pos
        elif token in ("-", "!"):
            self._put(token, "unary")
            return pos
        elif token in (")", "]", "}"):
            self._close(match.start(kind), token)
        else:
            raise self._unexpected(match.start(kind), token)
        self._term = False
        return pos

    def _read_intro(self, pos: int) -> int:
        intro = _INTRO.match(self._text, pos)
        if intro is None:
            raise failure(self._text, pos, "a for without its in")
        names = [name for name in intro.groups() if name]
        for word in ("for", ", ".join(names), "in"):
            self._put(word, "keyword")
        top = self._stack[-1]
        top.kind, top.phase = f"for{top.kind}", "collection"
        return intro.end()

    def _read_operator(self, match: re.Match[str], kind: str, token: str) -> None:
        top = self._stack[-1]
        if kind == "get":
            self._put(re.sub(r"[ \t\r\n]", "", token), kind, glued=True)
        elif kind == "splat":
            self._put(token if token == ".*" else "[*]", kind, glued=True)
        elif token in _BINARY:
            self._infix(token)
        elif token == "?":
            top.choices += 1
            self._infix(token)
        elif token == "[":
            self._open(token, "index")
        elif token == "(" and self._kinds[-1] == "word":
            self._open(token, "call")
        elif token in (")", "]", "}"):
            self._close(match.start(kind), token)
        elif not self._read_part(top, token):
            raise self._unexpected(match.start(kind), token)

    def _read_part(self, top: _Open, token: str) -> bool:
        """What parts a choice, a list, an object or a `for`. False where it does not belong."""
        if token == ":" and top.choices:
            top.choices -= 1
            self._infix(token)
        elif top.choices:
            return False
        elif token in ("=", ":") and top.kind == "{" and top.phase == "key":
            top.phase = "value"
            self._infix("=", "assign")  # which means the same
        elif token == ":" and top.phase == "collection":
            top.phase = "for key" if top.kind == "for{" else "value"
            self._infix(token)
        elif token == "=>" and top.phase == "for key":
            top.phase = "value"
            self._infix(token)
        elif token == "if" and top.kind in ("for[", "for{") and top.phase == "value":
            top.phase = "condition"
            self._infix(token, "keyword")
        elif token == "," and top.kind in _MAY_BE_EMPTY and top.complete():
            self._next_element(top)
        elif token == "..." and (
            top.kind == "call" or (top.kind == "for{" and top.phase == "value")
        ):
            self._put(token, "sign", glued=True)
        else:
            return False
        return True

    def _infix(self, token: str, kind: str = "sign") -> None:
        self._put(token, kind)
        self._term = True

    def _open(self, token: str, kind: str) -> None:
        self._stack.append(_Open(kind, len(self._tokens)))
        self._put(token, token, glued=kind in ("call", "index"))
        self._term = True

    def _close(self, pos: int, token: str) -> None:
        top, last = self._stack[-1], self._kinds[-1] if self._kinds else ""
        fits = _CLOSING.get(top.kind) == token
        if self._term:
            fits = fits and top.kind in _MAY_BE_EMPTY and last in ("(", "[", "{", "comma")
            if last == "comma":
                self._drop()
        else:
            fits = fits and top.complete()
        if not fits:
            raise self._unexpected(pos, token)
        self._stack.pop()
        self._closes[top.index] = len(self._tokens)
        self._put(token, "close", glued=token != "}" or self._kinds[-1] == "{")
        self._term = False

    def _put(self, token: str, kind: str, *, glued: bool = False) -> None:
        self._tokens.append(token)
        self._spaces.append("" if glued or self._glue else " ")
        self._kinds.append(kind)
        self._glue = kind in ("(", "[", "unary", "heredoc")

    def _drop(self) -> None:
        for column in (self._tokens, self._spaces, self._kinds):
            column.pop()

    def _unexpected(self, pos: int, token: str) -> HclError:
        return failure(self._text, pos, f"unexpected {token}")

    # -- meaning

    def text(self) -> str:
        """The one spelling."""
        return self._spelling(0, len(self._tokens))

    def value(self, warnings: list[str], depth: int = 0) -> Value:
        """JSON for literals, else the text in `${}`, as Terraform's JSON syntax has it."""
        return self._value(0, len(self._tokens), warnings, depth)

    def _spelling(self, start: int, end: int) -> str:
        first = len(self._spaces[start])
        return "".join(
            [
                part
                for pair in zip(self._spaces[start:end], self._tokens[start:end], strict=True)
                for part in pair
            ]
        )[first:]

    def _value(self, start: int, end: int, warnings: list[str], depth: int) -> Value:
        kind, token = self._kinds[start], self._tokens[start]
        if end - start == 1:
            return self._literal(start, kind, token)
        if end - start == 2 and token == "-" and self._kinds[start + 1] == "number":
            return number("-" + self._tokens[start + 1])
        whole = self._closes.get(start) == end - 1 and self._kinds[start + 1] != "keyword"
        if not whole or kind == "(":
            return f"${{{self._spelling(start, end)}}}"
        if depth >= MAX_DEPTH:
            raise HclError(f"more than {MAX_DEPTH} blocks, lists or objects inside one another")
        if kind == "[":
            return [
                self._value(left, right, warnings, depth + 1)
                for left, right in self._elements(start, end)
            ]
        return self._object(start, end, warnings, depth + 1)

    def _literal(self, index: int, kind: str, token: str) -> Value:
        if kind in ("reference", "word"):
            return word_value(token)
        if kind == "number":
            return number(token)
        return decoded(token[1:-1]) if kind == "string" else self._templates[index]

    def _elements(self, start: int, end: int) -> list[tuple[int, int]]:
        """Where the elements between two brackets start and end."""
        found = []
        left = at = start + 1
        while at < end - 1:
            if self._kinds[at] == "comma":
                found.append((left, at))
                left = at + 1
            at = self._closes.get(at, at) + 1
        if left < end - 1:
            found.append((left, end - 1))
        return found

    def _object(self, start: int, end: int, warnings: list[str], depth: int) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for left, right in self._elements(start, end):
            at = left
            while self._kinds[at] != "assign":
                at = self._closes.get(at, at) + 1
            key = self._key(left, at, warnings, depth)
            if key in values:
                warnings.append(f"duplicate key {key}: the last one counts")
            values[key] = self._value(at + 1, right, warnings, depth)
        return values

    def _key(self, start: int, end: int, warnings: list[str], depth: int) -> str:
        if end - start == 1 and self._kinds[start] in ("word", "number"):
            return self._tokens[start]
        if self._kinds[start] == "(" and self._closes[start] == end - 1:
            start, end = start + 1, end - 1
        key = self._value(start, end, warnings, depth)
        return key if isinstance(key, str) else f"${{{self._spelling(start, end)}}}"


# ---- templates -------------------------------------------------------------------------------------------

# What needs no other spelling: text, escapes, and interpolations of references.
_PLAIN = rf"{NO_TEMPLATE}|\$\{{{NAME}(?:\.{NAME})*+\}}"
_LITERAL = re.compile(rf"(?:{TEXT}|\$\{{{NAME}(?:\.{NAME})*+\}})*+")
_HEREDOC_LITERAL = re.compile(rf"(?:[^\n$%]++|{_PLAIN})*+\n?")
_DIRECTIVE = re.compile(rf"%\{{(~?){SPACES}*+(if|else|endif|for|endfor)(?![\w-])")
_DIRECTIVE_END = re.compile(rf"{SPACES}*+(~?)\}}")


def _quoted(text: str, pos: int, depth: int) -> tuple[str, str, int]:
    """A template after its first quote: one spelling, the same with escapes decoded, the place after it."""
    parts: list[str] = []
    decodeds: list[str] = []
    opened: list[str] = []
    while True:
        literal = _LITERAL.match(text, pos)
        assert literal is not None  # it may be empty
        parts.append(literal.group())
        decodeds.append(decoded(literal.group()))
        pos = literal.end()
        if text.startswith('"', pos):
            break
        part, pos = _part(text, pos, depth, opened)
        parts.append(part)
        decodeds.append(part)
    if opened:
        raise failure(text, pos, f"a template without its {opened[-1]}")
    return "".join(parts), "".join(decodeds), pos + 1


def _part(text: str, pos: int, depth: int, opened: list[str]) -> tuple[str, int]:
    """One spelling of the `${...}` or `%{...}` at a place, and the place after it."""
    if depth >= MAX_TEMPLATES:
        raise HclError(f"more than {MAX_TEMPLATES} templates inside one another")
    if text.startswith("%{", pos):
        return _directive(text, pos, depth, opened)
    if not text.startswith("${", pos):
        what = "an escape that is none" if text.startswith("\\", pos) else "a text without an end"
        raise failure(text, pos, what)
    left = "~" if text.startswith("~", pos + 2) else ""
    expression, pos = _inside(text, pos + 2 + len(left), depth)
    return f"${{{left}{expression.text()}{expression.strip}}}", pos


def _inside(text: str, pos: int, depth: int) -> tuple[Expression, int]:
    expression = Expression(text, depth + 1)
    pos = expression.read(pos, in_template=True)
    if not text.startswith("}", pos):
        raise failure(text, pos, "a template without its }")
    return expression, pos + 1


def _directive(text: str, pos: int, depth: int, opened: list[str]) -> tuple[str, int]:
    match = _DIRECTIVE.match(text, pos)
    if match is None:
        raise failure(text, pos, "a %{ that is neither if nor for")
    left, word = match.groups()
    if word in ("if", "for"):
        opened.append(f"end{word}")
        words, pos = word, match.end()
        if word == "for":
            intro = _INTRO.match(text, match.start(2))
            if intro is None:
                raise failure(text, pos, "a for without its in")
            names = ", ".join(name for name in intro.groups() if name)
            words, pos = f"for {names} in", intro.end()
        expression, pos = _inside(text, pos, depth)
        return f"%{{{left} {words} {expression.text()} {expression.strip}}}", pos
    end = _DIRECTIVE_END.match(text, match.end())
    if end is None or not opened or opened[-1] not in (word, {"else": "endif"}.get(word)):
        raise failure(text, pos, f"unexpected {word}")
    if word != "else":
        opened.pop()
    return f"%{{{left} {word} {end[1]}}}", end.end()


def _heredoc(text: str, start: re.Match[str], depth: int) -> tuple[str, int]:
    """The template of a heredoc from its first line on, and the place after its last marker."""
    last = re.compile(rf"[ \t]*+{re.escape(start['marker'])}(?=[ \t]*+\r?(?:\n|\Z))")
    parts: list[str] = []
    holes: list[str] = []  # what stands for the NULs, which no text has
    opened: list[str] = []
    pos, line_start = start.end(), True
    while not (line_start and (end := last.match(text, pos))):
        literal = _HEREDOC_LITERAL.match(text, pos)
        assert literal is not None  # it may be empty
        parts.append(literal.group())
        pos, line_start = literal.end(), literal.group().endswith("\n")
        if pos >= len(text):
            raise failure(text, start.start(), "a heredoc without an end")
        if not line_start:
            hole, pos = _part(text, pos, depth, opened)
            holes.append(hole)
            parts.append("\0")
    if opened:
        raise failure(text, pos, f"a template without its {opened[-1]}")
    body = "".join(parts)
    if start["heredoc"].startswith("<<-"):
        body = _without_margin(body)
    if holes:
        rest = iter(holes)
        body = re.sub("\0", lambda _: next(rest), body)
    return body, end.end()


def _without_margin(text: str) -> str:
    lines = text.split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] if line.strip() else line for line in lines)
