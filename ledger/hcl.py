"""HCL as text: its top-level pieces, its syntax tree, and one spelling for what means the same.

The rules are those of the HCL native syntax specification (hashicorp/hcl, hclsyntax/spec.md). The tree
comes from tree-sitter, which is imported when the first piece is parsed, not when this module is.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

MAX_PIECE = 512 * 1024
"""Bytes of one piece that tree-sitter is given: at most 1 s and 150 MB of memory, whatever they are."""
MAX_DEPTH = 200
"""Blocks, lists and objects inside one another."""
MAX_TEMPLATES = 60
"""Templates inside one another; tree-sitter-hcl gives up at 64."""
_CAREFUL = (
    16 * 1024
)  # beyond this many bytes parsing stops at the first error: recovery costs 1 KB a byte


class HclError(Exception):
    """A piece that is no HCL, or more than we read of it; the text is the reason to record."""


# ---- pieces ----------------------------------------------------------------------------------------------

# Possessive quantifiers (`*+`, `++`) everywhere: these patterns read any bytes once, without going back.
_NAME = rb"[A-Za-z_\x80-\xff][\w\x80-\xff-]*+"
_PLAIN = rb'"(?:[^"\\$%\n]++|\\[^\n]|\$\$\{|%%\{|[$%](?!\{))*+"'
_SPAN = rb'[$%]\{(?:[^{}"#/<\n]++|' + _PLAIN + rb")*+\}"
_STRING = rb'"(?:[^"\\$%\n]++|\\[^\n]|\$\$\{|%%\{|[$%](?!\{)|' + _SPAN + rb')*+"'
_COMMENT = rb"\#[^\n]*+|//[^\n]*+|/\*(?s:.*?)\*/"
_REST = rb"|" + _STRING + rb"|" + _COMMENT + rb"|/(?![/*])|<(?!<)"
_FLAT = rb'\{(?:[^{}"#/<]++' + _REST + rb")*+\}"

_CODE = re.compile(rb'(?:[^{}"#/<]++' + _REST + rb"|" + _FLAT + rb")*+")
_STATEMENT = re.compile(rb'(?:[^{}"#/<\n]++' + _REST + rb"|" + _FLAT + rb")*+")
_QUOTED = re.compile(rb'(?:[^"\\$%\n]++|\\[^\n]|\$\$\{|%%\{|[$%](?!\{)|' + _SPAN + rb")*+")
_GAP = rb"(?:[ \t]++|/\*(?s:.*?)\*/)*+"
_HEAD = re.compile(
    rb"(?:[ \t\r\n]++|" + _COMMENT + rb")*+"
    rb"(?P<block>"
    + _NAME
    + rb"(?:"
    + _GAP
    + rb"(?:"
    + _NAME
    + rb"|"
    + _PLAIN
    + rb"))*+"
    + _GAP
    + rb"\{)?"
)
_LINE_END = re.compile(rb"[ \t]*+(?:(?:\#|//)[^\n]*+)?\r?\n?")
_HEREDOC = re.compile(rb"<<-?(" + _NAME + rb")[ \t]*+\r?(?=\n)")

# What is open, innermost last: a body or expression, a statement at the top, a quoted template, or a heredoc.
_BRACES, _TOP, _QUOTES = b"{", b"\n", b'"'
_CODES = frozenset({_BRACES, _TOP})


def pieces(blob: bytes) -> list[bytes]:
    """Cut a file into its top-level blocks, each with the comments before it, and runs of attributes.

    Any bytes: the pieces joined are the blob. A file whose braces or quotes do not match stays whole.
    JSON syntax stays whole too. Linear in the size, about 40 MB/s.
    """
    cuts, pos, run = [0], 0, False
    if is_json(blob):
        return [blob]
    while True:
        head = _HEAD.match(blob, pos)
        assert head is not None  # both of its parts may be empty
        block = head["block"] is not None
        if (block or head.end() == len(blob)) and run:
            cuts.append(pos)
            run = False
        if head.end() == len(blob) and not block:
            break
        run = run or not block
        pos = _skip(blob, head.end(), _BRACES if block else _TOP)
        if pos < 0:
            return [blob]
        if block:
            end = _LINE_END.match(blob, pos)
            pos = end.end() if end else pos
            cuts.append(pos)
    cuts.append(len(blob))
    return [blob[a:b] for a, b in pairwise(cuts) if a < b] or [blob]


def is_json(blob: bytes) -> bool:
    """Does a file speak the JSON syntax? No HCL starts with a brace."""
    return blob[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _skip(blob: bytes, pos: int, opened: bytes) -> int:
    """The place after the end of what is `opened` before `pos`; -1 where it does not end."""
    stack = [opened]
    while stack:
        top = stack[-1]
        inside = _inside(top).match(blob, pos)
        assert inside is not None  # it may be empty
        pos = inside.end()
        if pos >= len(blob):
            return pos if stack == [_TOP] else -1
        found = blob[pos : pos + 1]
        pos = (
            _in_code(blob, pos, found, stack)
            if top in _CODES
            else _in_text(blob, pos, found, stack)
        )
        if pos < 0:
            break
    return pos


def _in_code(blob: bytes, pos: int, found: bytes, stack: list[bytes]) -> int:
    """What `found` opens or closes in a body or an expression; the place after it, or -1."""
    if found == b"<":
        heredoc = _HEREDOC.match(blob, pos)
        if heredoc is None:
            return pos + 2  # no HCL, but nothing is opened
        stack.append(heredoc[1])
        return heredoc.end()
    if found in (_BRACES, _QUOTES):
        stack.append(found)
    elif found == b"\n" or (found == b"}" and stack[-1] == _BRACES):
        stack.pop()
    else:
        return -1  # a `}` too many, or a comment without an end
    return pos + 1


def _in_text(blob: bytes, pos: int, found: bytes, stack: list[bytes]) -> int:
    """What `found` opens or closes in a quoted template or a heredoc; the place after it, or -1."""
    if found in b"$%":
        stack.append(_BRACES)
        return pos + 2
    marker = stack.pop()
    if marker == _QUOTES:
        return pos + 1 if found == _QUOTES else -1  # a line end or a lone backslash
    end = _heredoc_end(marker).match(blob, pos)
    return end.end() if end else -1


def _inside(opened: bytes) -> re.Pattern[bytes]:
    if opened == _BRACES:
        return _CODE
    if opened == _TOP:
        return _STATEMENT
    return _QUOTED if opened == _QUOTES else _heredoc_text(opened)


@lru_cache(maxsize=64)
def _heredoc_end(marker: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\n[ \t]*+" + re.escape(marker) + rb"(?=[ \t]*+\r?(?:\n|\Z))")


@lru_cache(maxsize=64)
def _heredoc_text(marker: bytes) -> re.Pattern[bytes]:
    end = _heredoc_end(marker).pattern
    return re.compile(
        rb"(?:[^\n$%]++|\$\$\{|%%\{|[$%](?!\{)|" + _SPAN + rb"|(?!" + end + rb")\n)*+"
    )


# ---- the tree --------------------------------------------------------------------------------------------


def tree(piece: bytes) -> Node:
    """The root of a piece's syntax tree, free of errors; HclError says what is wrong with the others.

    Deterministic bounds: a size, a depth, and for large pieces an end at the first error. About 5 MB/s.
    """
    if len(piece) > MAX_PIECE:
        raise HclError(f"a piece of {len(piece)} bytes; at most {MAX_PIECE} are read")
    if b"\0" in piece:
        raise HclError("binary content")
    try:
        piece.decode()
    except UnicodeDecodeError as error:
        line = piece.count(b"\n", 0, error.start) + 1
        raise HclError(f"not UTF-8 on line {line}") from error
    try:
        return _root(piece)
    except HclError:
        readable = _readable(piece)
        if readable == piece:
            raise
        return _root(readable)


# `key = name` before a line that starts with a key in parentheses, `(var.key) = 1`.
_BLANKS = rb"(?:\s|\#[^\n]*+\n|//[^\n]*+\n)*+"
_KEY = rb"\([^\n]*\)[ \t]*+[=:]"
_CALL = re.compile(
    rb'^([ \t]*+(?:[\w-]++|"[^"\n]*+"|\([^()\n]*+\))[ \t]*+[=:][ \t]*+[\w-]++)'
    rb"(?:\n(?=" + _BLANKS + _KEY + rb")"
    rb"|[ \t\r](?=[ \t\r]*+(?:(?:\#|//)[^\n]*+)?\n" + _BLANKS + _KEY + rb"))",
    re.MULTILINE,
)
_EXPONENT = re.compile(rb"(?<![\w.])\d++[eE][+-]?\d++")


def _readable(piece: bytes) -> bytes:
    """The piece in the same length, with what tree-sitter-hcl 1.2 cannot read said otherwise.

    It ignores line ends, so a name and a key in parentheses on the next line look like a call: a comma parts
    them. It wants a fraction before an exponent: other digits stand for the number.
    """
    return _EXPONENT.sub(lambda number: b"1" * len(number[0]), _CALL.sub(rb"\1,", piece))


_LONG_BLANKS = re.compile(
    rb"(?:\s|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)|\xe3\x80\x80){64,}"
)


def _as_comment(blanks: re.Match[bytes]) -> bytes:
    run = blanks[0]
    margin = len(run) - run.rfind(b"\n") if b"\n" in run else 0
    end = len(run) - margin if margin < 200 else len(run)
    return run if end < 4 else b"/*" + run[2 : end - 2] + b"*/" + run[end:]


def _root(piece: bytes) -> Node:
    # tree-sitter-hcl wants a line end after a heredoc, HCL does not.
    source = _LONG_BLANKS.sub(_as_comment, piece) + b"\n"
    if len(source) < _CAREFUL:
        root = _parser().parse(source).root_node
    else:
        root = _root_or_stop(source)
    if root.has_error:
        line = min(_error_row(root), piece.count(b"\n")) + 1
        raise HclError(f"syntax error near line {line}")
    return root


def _root_or_stop(source: bytes) -> Node:
    errors: list[int] = []

    def stop(offset: int, has_error: bool) -> bool:
        if has_error:
            errors.append(offset)
        return has_error

    try:
        parsed = _parser().parse(lambda at, _: source[at : at + 65536], progress_callback=stop)
    except ValueError as error:  # what py-tree-sitter makes of a stop
        _parser().reset()
        line = source.count(b"\n", 0, errors[0]) + 1 if errors else 1
        raise HclError(f"syntax error near line {line}") from error
    return parsed.root_node


@cache
def _parser() -> Parser:
    import tree_sitter  # noqa: PLC0415 - most commands never parse
    import tree_sitter_hcl  # noqa: PLC0415

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_hcl.language()))


def _error_row(root: Node) -> int:
    """The row of the first error, found without recursion."""
    cursor = root.walk()
    row = 0
    while (node := cursor.node) is not None:
        row = node.start_point.row
        if node.is_error or node.is_missing:
            break
        if not (cursor.goto_first_child() if node.has_error else cursor.goto_next_sibling()):
            break
    return row


# ---- one spelling ----------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<gap>(?:\s++|\#[^\n]*+|//[^\n]*+|/\*(?s:.*?)\*/)++)
    |(?P<word>[^\W\d][\w-]*+(?:::[^\W\d][\w-]*+)*+)
    |(?P<number>\d++(?:\.\d++)?(?:[eE][+-]?\d++)?)
    |(?P<string>"(?:[^"\\$%]++|\\.|\$\$\{|%%\{|[$%](?!\{))*+")
    |(?P<quote>")
    |(?P<heredoc><<-?(?P<marker>[^\W\d][\w-]*+)[^\n]*+\n)
    |(?P<splat>\[\s*+\*\s*+\])
    |(?P<sign>\.\.\.|\.\*|[=!<>]=|&&|\|\||=>|.)""",
    re.VERBOSE | re.DOTALL,
)
# What needs no other spelling: text, escapes, and interpolations of names.
_VERBATIM = r"\$\$\{|%%\{|[$%](?!\{)|\$\{[^\W\d][\w.-]*+\}"
_LITERAL = re.compile(rf'(?:[^"\\$%]++|\\.|{_VERBATIM})*+', re.DOTALL)
_HEREDOC_LITERAL = re.compile(rf"(?:[^\n$%]++|{_VERBATIM})*+\n?")
_KEYWORDS = frozenset({"in", "if"})
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_INFIX = frozenset({*"=:?<>+-*/%", "=>", "==", "!=", "<=", ">=", "&&", "||"})
_UNARY = "unary -"
_BEFORE_UNARY = _INFIX | _KEYWORDS | {"", "(", "[", "{", ",", "!", _UNARY}
_NO_SPACE_AFTER = frozenset({"", "(", "[", ".", "!", _UNARY, "<<"})
_NO_SPACE_BEFORE = frozenset({")", "]", ",", ".", "...", ".*", "[*]"})
_INDEXED = frozenset({")", "]", "}", ".*", "[*]"})
_NO_COMMA_AFTER = _INFIX | _NO_SPACE_AFTER | {"{", ","}
_NO_COMMA_BEFORE = _INFIX | _NO_SPACE_BEFORE | {"}", "["}


def expression(text: str) -> str:
    """One spelling of an expression, as Terraform's JSON syntax has it: `${var.a + 1}`.

    Comments, line ends, spaces and commas before a closing bracket leave no trace outside of strings; line
    ends between the elements of an object become commas.
    """
    printer = _Printer()
    printer.read(text, 0, 0)
    return f"${{{printer.text()}}}"


def quoted(text: str) -> str:
    """The template in a quoted text: escapes decoded, `$${` and `%%{` kept, `${...}` in one spelling."""
    return _quoted(text, 1, 0, decode=True)[0]


def heredoc(text: str) -> str:
    """The template in a heredoc, its indentation taken away where it says `<<-`."""
    start = _TOKEN.match(text)
    assert start is not None
    return _heredoc(text, start, 0)[0]


class _Printer:
    """Collects the tokens of one expression, with one kind of spaces between them."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._opened: list[str] = []
        self._previous = self._kind = ""
        self.strip = ""  # `~` where the expression was ended by `~}`

    def text(self) -> str:
        return "".join(self._out)

    def read(self, text: str, pos: int, depth: int) -> int:
        """Collect from a place on; return the place of the `}` that opened nowhere here, or the end."""
        line_end = False
        while pos < len(text):
            match = _TOKEN.match(text, pos)
            assert match is not None  # a sign is any character
            kind, token = match.lastgroup or "", match.group()
            if token == "}" and not self._opened:
                break
            pos = match.end()
            if kind == "gap":
                line_end = line_end or "\n" in token
                continue
            if token == "~":
                self.strip = token
                continue
            if kind == "splat":
                token = "[*]"
            elif kind == "quote":
                inner, pos = _quoted(text, pos, depth, decode=False)
                token = f'"{inner}"'
            elif kind == "heredoc":
                body, pos = _heredoc(text, match, depth)
                token = f"<<{match['marker']}\n{body}{match['marker']}\n"
            self._add(kind, token, line_end)
            line_end = False
        return pos

    def _add(self, kind: str, token: str, line_end: bool) -> None:
        if line_end and self._ends_element(token):
            self._append("sign", ",", ",")
        name = token
        if token in _CLOSING:
            if self._previous == ",":
                self._out.pop()
            if self._opened:
                self._opened.pop()
        elif token == "-" and self._previous in _BEFORE_UNARY:
            name = _UNARY
        elif token == "for" and self._previous == "{":
            self._opened[-1] = token
        elif kind == "heredoc":
            name = "<<"
        self._append(kind, token, name)
        if token in _OPENING:
            self._opened.append(token)

    def _append(self, kind: str, token: str, name: str) -> None:
        if self._spaced(token):
            self._out.append(" ")
        self._out.append(token)
        self._previous, self._kind = name, kind

    def _ends_element(self, token: str) -> bool:
        """Does a line end before this token separate two elements of an object?"""
        inside = bool(self._opened) and self._opened[-1] == "{"
        return inside and self._previous not in _NO_COMMA_AFTER and token not in _NO_COMMA_BEFORE

    def _spaced(self, token: str) -> bool:
        previous = self._previous
        if previous in _NO_SPACE_AFTER or token in _NO_SPACE_BEFORE:
            return False
        named = self._kind == "word" and previous not in _KEYWORDS
        if token == "(":
            return not named
        if token == "[":
            return not (
                named or previous in _INDEXED or self._kind in ("string", "quote", "number")
            )
        return previous != "{" or token != "}"


def _quoted(text: str, pos: int, depth: int, *, decode: bool) -> tuple[str, int]:
    """The template from a place after its first quote on, and the place after its last."""
    parts: list[str] = []
    while True:
        literal = _LITERAL.match(text, pos)
        assert literal is not None  # it may be empty
        parts.append(_decoded(literal.group()) if decode else literal.group())
        pos = literal.end()
        if text[pos : pos + 2] not in ("${", "%{"):
            return "".join(parts), pos + 1
        part, pos = _interpolation(text, pos, depth)
        parts.append(part)


def _interpolation(text: str, pos: int, depth: int) -> tuple[str, int]:
    """One spelling of the `${...}` or `%{...}` at a place, and the place after it."""
    if depth >= MAX_TEMPLATES:
        raise HclError(f"more than {MAX_TEMPLATES} templates inside one another")
    sign, left = text[pos], "~" if text.startswith("~", pos + 2) else ""
    printer = _Printer()
    end = printer.read(text, pos + 2 + len(left), depth + 1)
    pad = " " if sign == "%" else ""
    return f"{sign}{{{left}{pad}{printer.text()}{pad}{printer.strip}}}", end + 1


def _heredoc(text: str, start: re.Match[str], depth: int) -> tuple[str, int]:
    """The template of a heredoc from its first line on, and the place after its last marker."""
    last = re.compile(rf"[ \t]*+{re.escape(start['marker'])}(?=[ \t]*+\r?(?:\n|\Z))")
    parts: list[str] = []
    holes: list[str] = []  # what stands for the NULs, which no piece has
    pos, line_start, end = start.end(), True, None
    while pos < len(text) and not (line_start and (end := last.match(text, pos))):
        literal = _HEREDOC_LITERAL.match(text, pos)
        assert literal is not None  # it may be empty
        parts.append(literal.group())
        pos, line_start = literal.end(), literal.group().endswith("\n")
        if not line_start and pos < len(text):
            hole, pos = _interpolation(text, pos, depth)
            holes.append(hole)
            parts.append("\0")
    body = "".join(parts)
    if start.group().startswith("<<-"):
        body = _without_margin(body)
    if holes:
        rest = iter(holes)
        body = re.sub("\0", lambda _: next(rest), body)
    return body, end.end() if end else pos


def _without_margin(text: str) -> str:
    lines = text.split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] if line.strip() else line for line in lines)


_ESCAPE = re.compile(r'\\(?:([nrt"\\])|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def _decoded(literal: str) -> str:
    """A literal part of a quoted template with its escapes decoded; what is no escape stays."""
    return _ESCAPE.sub(_character, literal) if "\\" in literal else literal


def _character(escape: re.Match[str]) -> str:
    if escape[1]:
        return _ESCAPED[escape[1]]
    code = int(escape[2] or escape[3], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:  # has no place in UTF-8
        return escape[0]
    # A `${` made by escapes is text, which a template spells `$${`.
    character, before = chr(code), escape.string[escape.start() - 1 : escape.start()]
    if character in "$%" and escape.string.startswith(("{", r"\u007b", r"\u007B"), escape.end()):
        return character * 2
    return before + character if character == "{" and before in ("$", "%") else character
