"""Terraform, OpenTofu and other HCL: every block is a resource named by its address.

The body speaks Terraform's JSON syntax: a literal is its JSON value, any other expression is its text in
`${}`, a nested block is an item of a list under its type and its labels: `{"dynamic": {"ingress": [{...}]}}`.
Re-formatting and comments leave no trace. Modules are not opened: the address is the file's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from ledger import hcl
from ledger.parsers import Parser
from ledger.resources import Resource, Value, unparsed

if TYPE_CHECKING:
    from tree_sitter import Node

GROUP = "terraform"
MAX_JSON = 4 * 1024 * 1024
"""Bytes of one file in JSON syntax."""
_TOO_DEEP = f"more than {hcl.MAX_DEPTH} blocks, lists or objects inside one another"
_EXACT = 2**53  # whole numbers from here on are not exact in JSON (RFC 8785)


def parse(piece: bytes) -> list[Resource]:
    """The resources of one piece; one unparsed resource if it is no HCL, none if it has only comments."""
    try:
        if hcl.is_json(piece):
            return list(_json_resources(piece))
        return list(_resources(piece))
    except hcl.HclError as error:
        return [unparsed("HCL", piece, str(error))]


def _resources(piece: bytes) -> Iterator[Resource]:
    attributes = _Reader(piece)
    values: dict[str, Value] = {}
    for child in _declarations(hcl.tree(piece)):
        if child.type == "block":
            yield from _block_resources(piece, child)
        elif child.type == "attribute":
            attributes.read_attribute(child, values, 0)
        else:
            values.update(attributes.object(child, 0))
    if values:
        yield Resource(GROUP, "tfvars", "", "", values, warnings=attributes.warnings())


def _declarations(root: Node) -> Iterator[Node]:
    """The attributes and blocks of a file, or the object that is all of it."""
    for child in root.children:
        if child.type == "body":
            yield from (one for one in child.children if one.type != "comment")
        elif child.type == "object":
            yield child


def _block_resources(piece: bytes, block: Node) -> Iterator[Resource]:
    reader = _Reader(piece)
    kind, *labels = reader.header(block)
    body = reader.body(block, 0)
    yield from _declared(kind, labels, body, reader.warnings())


def _declared(
    block: str, labels: list[str], body: Value, warnings: tuple[str, ...] = ()
) -> Iterator[Resource]:
    """The resources that a block declares: one, but each of its values for `locals`."""
    if block == "locals" and isinstance(body, dict) and body and not labels:
        for local, value in body.items():
            one: Value = {"value": value}
            yield Resource(GROUP, "local", "", f"local.{local}", one, warnings=warnings)
        return
    kind, name = _address(block, labels, body)
    yield Resource(GROUP, kind, "", name, body, warnings=warnings)


def _address(block: str, labels: list[str], body: Value) -> tuple[str, str]:
    """The kind and the name of a block, as Terraform addresses it where it has an address."""
    if block == "resource" and len(labels) == 2:
        return labels[0], ".".join(labels)
    name = ".".join([block, *labels])
    if block in ("data", "ephemeral") and len(labels) == 2:
        return f"{block}.{labels[0]}", name
    if block == "provider" and isinstance(body, dict):
        alias = body.get("alias")
        if isinstance(alias, str) and "${" not in alias:
            name = f"{name}.{alias}"
    return block, name


# ---- native syntax ---------------------------------------------------------------------------------------

_SIMPLE = re.compile(
    rb'"(?P<string>[^"\\$%\r\n]*+)"'
    rb"|(?P<integer>-?(?:0|[1-9]\d{0,14}))"
    rb"|(?P<word>true|false|null)"
    rb"|(?P<name>[A-Za-z_\x80-\xff][\w\x80-\xff-]*+)"
    rb"|(?P<reference>[A-Za-z_\x80-\xff][\w\x80-\xff-]*+"
    rb'(?:\.(?:[A-Za-z_\x80-\xff][\w\x80-\xff-]*+|\d++)|\[(?:\d++|\*|"[^"\\$%\r\n]*+")\])++)'
)
_STRINGS = re.compile(rb'\[\s*+(?:"[^"\\$%\r\n]*+"\s*+(?:,\s*+)?)*+\]')
_STRING = re.compile(rb'"([^"]*+)"')
_NUMBER = re.compile(r"-?\s*+(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][+-]?\d++)?")
_WORDS: dict[bytes, Value] = {b"true": True, b"false": False, b"null": None}


class _Reader:
    """Reads values from the nodes of one piece and remembers what a reader should be warned of."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self._warnings: dict[str, None] = {}

    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    def header(self, block: Node) -> list[str]:
        """The type and the labels of a block."""
        words: list[str] = []
        for child in block.children:
            if child.type == "identifier":
                words.append(self._text(child))
            elif child.type == "string_lit":
                words.append(hcl.quoted(self._text(child)))
            elif child.type == "block_start":
                break
        return words

    def body(self, block: Node, depth: int) -> dict[str, Value]:
        """The attributes of a block by name, and under each type of nested block the list of them."""
        _check(depth)
        values: dict[str, Value] = {}
        blocks: dict[str, Value] = {}
        for part in block.children:
            if part.type != "body":
                continue
            for child in part.children:
                if child.type == "attribute":
                    self.read_attribute(child, values, depth)
                elif child.type == "block":
                    self._place(blocks, self.header(child), self.body(child, depth + 1))
        for name, value in blocks.items():
            if name in values:
                self._warn(f"{name} is an attribute and a block; the block stands under {name}{{}}")
            values[f"{name}{{}}" if name in values else name] = value
        return values

    def _place(self, blocks: dict[str, Value], path: list[str], body: dict[str, Value]) -> None:
        """Add a nested block under its type and labels, as Terraform's JSON syntax does."""
        level = blocks
        for word in path[:-1]:
            inner = level.setdefault(word, {})
            if not isinstance(inner, dict):
                break
            level = inner
        else:
            last = level.setdefault(path[-1], [])
            if isinstance(last, list):
                last.append(body)
                return
        self._warn(f"{path[0]} stands with different numbers of labels")
        others = blocks.setdefault(f"{' '.join(path)}{{}}", [])
        if isinstance(others, list):
            others.append(body)

    def read_attribute(self, node: Node, values: dict[str, Value], depth: int) -> None:
        """Add one attribute to the values of its body."""
        name, _, value = (child for child in node.children if child.type != "comment")
        key = self._text(name)
        if key in values:
            self._warn(f"duplicate attribute {key}: the last one counts")
        values[key] = self.value(value, depth)

    def value(self, node: Node, depth: int) -> Value:
        """The value of an expression: JSON for literals, else its text in `${}`."""
        match = _SIMPLE.fullmatch(self._piece, node.start_byte, node.end_byte)
        if match:
            return _simple(match)
        children = [child for child in node.children if child.type != "comment"]
        kind = children[0].type if len(children) == 1 else ""
        if kind in ("collection_value", "template_expr", "literal_value"):
            return self._term(children[0], depth)
        text = self._text(node)
        if kind == "operation" and _NUMBER.fullmatch(text):
            return _number(text)
        return hcl.expression(text)

    def _term(self, node: Node, depth: int) -> Value:
        term = next(child for child in node.children if child.type != "comment")
        if term.type == "tuple":
            if _STRINGS.fullmatch(self._piece, term.start_byte, term.end_byte):
                found = _STRING.findall(self._piece, term.start_byte, term.end_byte)
                return [one.decode() for one in found]
            return self._tuple(term, depth + 1)
        if term.type == "object":
            return self.object(term, depth + 1)
        text = self._text(term)
        if term.type == "numeric_lit":
            return _number(text)
        return hcl.heredoc(text) if term.type == "heredoc_template" else hcl.quoted(text)

    def _tuple(self, node: Node, depth: int) -> list[Value]:
        _check(depth)
        return [self.value(child, depth) for child in node.children if child.type == "expression"]

    def object(self, node: Node, depth: int) -> dict[str, Value]:
        """The elements of an object by key; a key that is an expression is its text in `${}`."""
        _check(depth)
        values: dict[str, Value] = {}
        for element in node.children:
            if element.type == "object_elem":
                key_node, value = (one for one in element.children if one.type == "expression")
                key = self._key(key_node, depth)
                if key in values:
                    self._warn(f"duplicate key {key}: the last one counts")
                values[key] = self.value(value, depth)
        return values

    def _key(self, node: Node, depth: int) -> str:
        match = _SIMPLE.fullmatch(self._piece, node.start_byte, node.end_byte)
        if match and match.lastgroup != "reference":
            return match[match.lastgroup or 0].decode()
        if (
            node.children[0].type == "("
        ):  # `(var.key) = 1`: an expression although it looks like a name
            node = next(child for child in node.children if child.type == "expression")
        value = self.value(node, depth)
        return value if isinstance(value, str) else hcl.expression(self._text(node))

    def _text(self, node: Node) -> str:
        return self._piece[node.start_byte : node.end_byte].decode()

    def _warn(self, warning: str) -> None:
        self._warnings[warning] = None


def _simple(match: re.Match[bytes]) -> Value:
    kind = match.lastgroup or ""
    text = match[kind]
    if kind == "string":
        return text.decode()
    if kind == "integer":
        return int(text)
    return _WORDS[text] if kind == "word" else f"${{{text.decode()}}}"


def _number(text: str) -> Value:
    """A JSON number if that is the same number, else the text as an expression."""
    text = re.sub(r"\s", "", text)
    number = float(text) if _NUMBER.fullmatch(text) else float("inf")
    if abs(number) >= _EXACT or Decimal(repr(number)) != Decimal(text):
        return f"${{{text}}}"
    return int(number) if number.is_integer() else number


def _check(depth: int) -> None:
    if depth > hcl.MAX_DEPTH:
        raise hcl.HclError(_TOO_DEEP)


# ---- JSON syntax -----------------------------------------------------------------------------------------

_LABELS = {
    **dict.fromkeys(("resource", "data", "ephemeral"), 2),
    **dict.fromkeys(("module", "variable", "output", "provider", "check"), 1),
    **dict.fromkeys(("locals", "terraform", "moved", "import", "removed"), 0),
}
_COMMENT = "//"


def _json_resources(piece: bytes) -> Iterator[Resource]:
    """The resources of a file in Terraform's JSON syntax; anything but blocks makes it a file of values."""
    document, warnings = _json(piece)
    blocks = {key: value for key, value in document.items() if key != _COMMENT}
    if not blocks or not all(_is_block(*item) for item in blocks.items()):
        yield Resource(GROUP, "tfvars", "", "", document, warnings=warnings)
        return
    for block, value in blocks.items():
        for labels, body in _labelled(value, _LABELS[block]):
            yield from _declared(block, labels, _without_comment(body), warnings)


def _without_comment(body: Value) -> Value:
    if isinstance(body, dict):
        return {key: value for key, value in body.items() if key != _COMMENT}
    return body


def _is_block(key: str, value: Value) -> bool:
    return key in _LABELS and isinstance(value, dict | list)


def _json(piece: bytes) -> tuple[dict[str, Value], tuple[str, ...]]:
    warnings: dict[str, None] = {}

    def collect(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
        values = dict(pairs)
        if len(values) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    warnings[f"duplicate key {key}: the last one counts"] = None
                seen.add(key)
        return values

    if len(piece) > MAX_JSON:
        raise hcl.HclError(f"a file of {len(piece)} bytes; at most {MAX_JSON} are read")
    try:
        document = json.loads(
            piece.decode("utf-8-sig"),
            object_pairs_hook=collect,
            parse_int=lambda text: int(text) if len(text) < 16 else _number(text),
            parse_float=_number,
            parse_constant=_no_number,
        )
        json.dumps(
            document, ensure_ascii=False
        ).encode()  # half a surrogate pair has no place in UTF-8
    except RecursionError as error:  # Python's limit is far above ours
        raise hcl.HclError(_TOO_DEEP) from error
    except ValueError as error:
        raise hcl.HclError(f"no JSON: {error}") from error
    _check_json(document)
    return document, tuple(warnings)


def _check_json(document: Value) -> None:
    level = [document]
    for _ in range(hcl.MAX_DEPTH + 1):
        below: list[Value] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        level = below
    if level:
        raise hcl.HclError(_TOO_DEEP)


def _no_number(text: str) -> Value:
    raise ValueError(f"{text} is no number")


def _labelled(value: Value, labels: int) -> Iterator[tuple[list[str], Value]]:
    """Every body below so many labels; a list stands for several at any level."""
    if isinstance(value, list):
        for item in value:
            yield from _labelled(item, labels)
    elif labels and isinstance(value, dict):
        for label, inner in value.items():
            if label != _COMMENT:
                for more, body in _labelled(inner, labels - 1):
                    yield [label, *more], body
    else:
        yield [], value


PARSER = Parser(
    name="terraform",
    version=1,
    patterns=(
        *("*.tf", "*.tofu", "*.tfvars", "*.hcl", ".terraform.lock.hcl"),
        *("*.tf.json", "*.tofu.json", "*.tfvars.json"),
    ),
    split=hcl.pieces,
    parse=parse,
)
