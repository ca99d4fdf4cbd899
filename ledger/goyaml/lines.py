"""The everyday shape of YAML, read line by line without libyaml: several times its speed.

Manifests repeat themselves: of a million lines in a repository's history about four in a hundred are new.
So a line is understood once, on its own, and remembered; a document is then put together from
what is known of its lines. This holds for block mappings and sequences whose values stand on one line,
for literal and folded blocks and for plain text over several lines. Whatever else a
line may be (anchors, aliases, tags, `<<`, complex keys, tabs, duplicate keys, every error), it is
UNFIT here and the caller reads the whole text event by event. `tests/test_goyaml.py` holds both to
the same answers.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from ledger.goyaml.events import read_events
from ledger.goyaml.scalars import YamlError, key_text, resolve
from ledger.resources import Value

UNFIT: Final = object()
# Depth of block collections; with what one line can nest, below the limit of events.py.
_MAX_BLOCKS = 150
_MAX_BRACKETS = 40
_MAX_REMEMBERED = 32_768
_MAX_REMEMBERED_LINE = 256
# A regular expression's memory grows with the line; longer lines are libyaml's.
_MAX_LINE = 65_536

# What a line is.
_ENTRY, _ITEM, _TEXT, _NOTHING, _ODD = range(5)
# What may follow a value: nothing deeper; a nested value, for there is none yet; more lines of
# plain text. Or it is not yet the value: what is remembered must be copied, or goes on below.
_CLOSED, _EMPTY, _OPEN, _FLOW, _BELOW = range(5)

_LINE = re.compile(
    r"""(?P<indent>\ *)
    (?P<dash>-\ +|-$)?
    (?:(?:(?P<plain>[A-Za-z0-9_./$][A-Za-z0-9_./$@+()-]*)|"(?P<double>[^"\\]*)"|'(?P<single>[^']*)')
    :(?:\ +|$))?
    (?P<rest>.*)""",
    re.VERBOSE,
)
_QUOTED = re.compile(r"""(?:"(?:[^"\\]|\\.)*+"|'(?:[^']|'')*+')( +#.*)?""")
_HEADER = re.compile(r"([|>][+-]?)(?: +#.*)?")
# A line inside a quoted scalar that does not end it, and one that does.
_INSIDE = {'"': re.compile(r'(?:[^"\\]|\\.)*+\\?'), "'": re.compile(r"(?:[^']|'')*+")}
_ENDING = {
    '"': re.compile(r'(?:[^"\\]|\\.)*+"(?: *| +#.*)'),
    "'": re.compile(r"(?:[^']|'')*'(?: *| +#.*)"),
}

# (what it is, its column, column of its key, key, value, what may follow)
_Record = tuple[int, int, int, Any, Any, int]
_records: dict[str, _Record] = {}
_ODD_RECORD: _Record = (_ODD, 0, 0, None, None, _CLOSED)


def read_lines(text: str) -> Any:
    """The value of the one document in `text`, or UNFIT. Linear in time and memory."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return _read(text.split("\n"))


def _read(lines: list[str]) -> Any:  # noqa: C901, PLR0911, PLR0912, PLR0915
    """The loop over the lines; long because a call for each would cost a third of its speed."""
    remembered = _records.get
    i = 0
    marked = False  # by `---`
    root: list[Any] = [None]
    stack: list[tuple[Any, int]] = []
    node: Any = root  # the innermost open list or mapping
    indent = -1  # its column
    is_list = True
    last: Any = None  # the key of a mapping that came last
    after = _EMPTY
    end = len(lines)
    while i < end:
        line = lines[i]
        i += 1
        record = remembered(line)
        if record is None:
            record = _record(line)
        kind, column, inner, key, value, follows = record
        if kind == _ENTRY:
            if column != indent or is_list:
                if column > indent:
                    if after != _EMPTY or len(stack) > _MAX_BLOCKS:
                        return UNFIT
                    child: Any = {}
                    node[-1 if is_list else last] = child
                    stack.append((node, indent))
                    node, indent, is_list = child, column, False
                else:
                    while indent > column or (is_list and indent == column):
                        node, indent = stack.pop()
                        is_list = type(node) is list
                    if indent != column:
                        return UNFIT
            if key in node:
                return UNFIT
            node[key] = value
            last = key
        elif kind == _ITEM:
            if column > indent or (column == indent and not is_list):
                if after != _EMPTY:
                    if after != _OPEN or column == indent:
                        return UNFIT
                    kind = _TEXT
                elif len(stack) > _MAX_BLOCKS:
                    return UNFIT
                else:
                    child = []
                    node[-1 if is_list else last] = child
                    stack.append((node, indent))
                    node, indent, is_list = child, column, True
            elif column < indent:
                while indent > column:
                    node, indent = stack.pop()
                is_list = type(node) is list
                if indent != column or not is_list:
                    return UNFIT
            if kind == _ITEM:
                if key is None:
                    node.append(value)
                else:
                    child = {key: value}
                    node.append(child)
                    stack.append((node, indent))
                    node, indent, is_list = child, inner, False
                    last = key
        elif kind == _NOTHING:
            if value and after == _OPEN:
                after = _CLOSED  # a comment ends plain text
            continue
        elif kind == _ODD:
            begun = node is not root or after != _EMPTY
            if marked or begun or line.rstrip(" ") != "---":
                return UNFIT
            marked = True
            continue
        if kind == _TEXT:
            if column <= indent:
                return UNFIT
            if after == _OPEN:
                i, value = _plain(lines, i - 1, indent)
                if value is None:
                    return UNFIT
                follows = _CLOSED
            elif after != _EMPTY or follows > _FLOW:
                return UNFIT
            node[-1 if is_list else last] = value
        after = follows
        if after > _OPEN:
            if after == _FLOW:
                value = _fresh(value)
            else:
                i, value = _below(lines, i, indent, value)
                if value is None:
                    return UNFIT
            node[-1 if is_list else last] = value
            after = _CLOSED
    return UNFIT if root[0] is None else root[0]


def _record(line: str) -> _Record:
    """What a line is when it stands alone, remembered."""
    record = _understand(line)
    if len(line) <= _MAX_REMEMBERED_LINE:
        if len(_records) >= _MAX_REMEMBERED:
            _records.clear()
        _records[line] = record
    return record


def _understand(line: str) -> _Record:
    # Printable to Python is less than what libyaml takes: no tab, no control, no exotic space.
    if not line.isprintable() or line.startswith(("---", "...")) or len(line) > _MAX_LINE:
        return _ODD_RECORD
    match = _LINE.match(line)
    assert match is not None
    indent, dash, plain, double, single, rest = match.groups()
    column = len(indent)
    rest = rest.rstrip(" ")
    if dash is None and (not rest or rest[0] == "#") and match.end("indent") == match.start("rest"):
        return (_NOTHING, column, 0, None, rest, _CLOSED)
    found = _value(rest)
    if found is None:
        return _ODD_RECORD
    value, follows = found
    inner = column + len(dash or "")
    key: str | None = double if double is not None else single
    if plain is not None:
        try:
            key = key_text(resolve(plain))
        except YamlError:
            return _ODD_RECORD
    if key is None:
        return (_TEXT if dash is None else _ITEM, column, inner, None, value, follows)
    if match.start("rest") - inner > 1000:  # libyaml takes keys of up to 1,024 characters
        return _ODD_RECORD
    return (_ENTRY if dash is None else _ITEM, column, inner, key, value, follows)


def _value(rest: str) -> tuple[Any, int] | None:
    """The value that `rest` of a line begins, and what may follow it; None where that is not sure."""
    if not rest or rest[0] == "#":
        return None, _EMPTY
    first = rest[0]
    if first in "\"'":
        return _quoted_here(rest)
    if first in "|>":
        match = _HEADER.fullmatch(rest)
        return (match[1], _BELOW) if match else None
    if first in "[{":
        return _flow(rest)
    if first in "&*!%@`?:,]}" or (first == "-" and rest[1:2] in ("", " ")):
        return None
    text, comment, _ = rest.partition(" #")
    text = text.rstrip(" ")
    if ": " in text or text[-1] == ":":
        return None
    value = resolve(text)
    if type(value) is float and not math.isfinite(value):
        return None
    return value, _CLOSED if comment else _OPEN


def _quoted_here(rest: str) -> tuple[Any, int] | None:
    quote = rest[0]
    if match := _QUOTED.fullmatch(rest):
        text = rest[: match.start(1)].rstrip(" ") if match[1] else rest
        if quote == "'":
            return text[1:-1].replace("''", "'"), _CLOSED
        value = _alone(text) if "\\" in text else text[1:-1]
        return (value, _CLOSED) if isinstance(value, str) else None
    return (quote, _BELOW) if _INSIDE[quote].fullmatch(rest, 1) else None


def _flow(rest: str) -> tuple[Any, int] | None:
    """A flow collection that stands alone on its line, as libyaml reads it.

    Without anchors: their copies are counted for the whole text.
    """
    if rest in ("[]", "{}"):
        return ([] if rest == "[]" else {}), _FLOW
    if rest.count("[") + rest.count("{") > _MAX_BRACKETS or "&" in rest:
        return None
    value = _alone(rest)
    expected = list if rest[0] == "[" else dict
    return (value, _FLOW) if type(value) is expected else None


def _alone(text: str) -> Any:
    """The value of a text that is one document without warnings; else None."""
    try:
        documents = read_events(text.encode())
    except YamlError:
        return None
    return documents[0].value if len(documents) == 1 and not documents[0].warnings else None


def _fresh(value: Any) -> Value:
    """A copy, for what is remembered must not be shared between documents."""
    if type(value) is dict:
        return {key: _fresh(item) for key, item in value.items()}
    if type(value) is list:
        return [_fresh(item) for item in value]
    scalar: Value = value
    return scalar


def _plain(lines: list[str], i: int, indent: int) -> tuple[int, str | None]:
    """Plain text that line `i` continues: the index after its last line, and the text."""
    begin = i - 1
    while not lines[begin].strip(" "):
        begin -= 1
    match = _LINE.match(lines[begin])
    assert match is not None
    text = [match["rest"].rstrip(" ")]
    breaks = i - begin - 1
    end = len(lines)
    while i < end:
        line = lines[i]
        part = line.strip(" ")
        if not part:
            breaks += 1
        elif len(line) - len(line.lstrip(" ")) <= indent or part[0] == "#":
            break
        elif not _is_plain(part) or line.startswith(("---", "...")):
            return i, None
        else:
            text.append("\n" * breaks or " ")
            text.append(part)
            breaks = 0
        i += 1
    return i, "".join(text)


def _is_plain(part: str) -> bool:
    """Whether a line can go on plain text without ending it."""
    return part.isprintable() and ": " not in part and " #" not in part and part[-1] != ":"


def _below(lines: list[str], i: int, indent: int, sign: str) -> tuple[int, str | None]:
    """The text that line `i - 1` opens with a quote or a block's header: the index after, and it."""
    return _quoted(lines, i, sign) if sign in "\"'" else _block(lines, i, indent, sign)


def _quoted(lines: list[str], i: int, quote: str) -> tuple[int, str | None]:
    """The quoted scalar that begins on line `i - 1`: the index after its last line, and its text."""
    match = _LINE.match(lines[i - 1])
    assert match is not None
    begin, end = i, len(lines)
    inside, ending = _INSIDE[quote], _ENDING[quote]
    while i < end and len(lines[i]) <= _MAX_LINE and inside.fullmatch(lines[i]):
        i += 1
    if i == end or len(lines[i]) > _MAX_LINE or not ending.fullmatch(lines[i]):
        return i, None
    i += 1
    if any(line.startswith(("---", "...")) for line in lines[begin:i]):
        return i, None
    value = _alone("\n".join((match["rest"], *lines[begin:i])))
    return i, value if isinstance(value, str) else None


def _block(lines: list[str], i: int, indent: int, header: str) -> tuple[int, str | None]:
    """The literal or folded block that begins at line `i`: the index after it, and its text."""
    start, end = i, len(lines)
    while i < end and not lines[i].strip(" "):
        i += 1
    first = lines[i] if i < end else ""
    width = len(first) - len(first.lstrip(" "))
    if width <= indent:
        return i, None if "+" in header else ""
    pad = " " * width
    if first[width] == "\t" or any(len(line) > width for line in lines[start:i]):
        return i, None
    body = [""] * (i - start)
    while i < end:
        line = lines[i]
        if line.startswith(pad):
            body.append(line[width:])
        elif not line.strip(" "):
            body.append("")
        else:
            break
        i += 1
    if i == end and lines[-1]:
        return i, None  # no line end after the last line: chomping differs
    text = "\n".join(body)
    if not text.replace("\n", "").replace("\t", "").isprintable():
        return i, None
    if header[0] == ">" or header[-1] == "+":
        value = _alone(f"{header}\n" + "\n".join(lines[start:i]) + ("\n" if i < end else ""))
        return i, value if isinstance(value, str) else None
    text = text.rstrip("\n")
    return i, text if header == "|-" or not text else text + "\n"
