"""Any YAML text, read event by event from libyaml's parser.

libyaml keeps its own stack on the heap, so nesting cannot overflow the C stack here (PyYAML's composer,
behind `yaml.load`, recurses in C and crashes the process on 100 KB of `[`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from yaml._yaml import CParser
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from ledger.goyaml.scalars import HINTS, MERGE_TAG, Scalar, YamlError, key_text, resolve, tagged
from ledger.resources import Value

MAX_DEPTH = 200
# go-yaml refuses a document when aliases account for more than about 400,000 of its nodes.
MAX_ALIASED_NODES = 400_000
MAX_WARNINGS = 100
# libyaml compares each %TAG directive with all before it.
MAX_TAG_DIRECTIVES = 100

_MERGE: Final = object()


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a YAML stream: its value in JSON's terms, and what a reader should know."""

    value: Value
    warnings: tuple[str, ...] = ()


class _Notes:
    """What one document needs to remember beside the tree that is being built."""

    __slots__ = ("aliased", "anchors", "merged", "open", "warnings")

    def __init__(self) -> None:
        self.anchors: dict[str, Any] = {}
        # Of lists and mappings that are not yet closed, by id:
        self.open: set[int] = set()  # those with an anchor
        self.merged: dict[int, set[str]] = {}  # keys that came from `<<`
        self.warnings: list[str] = []
        self.aliased = 0

    def warn(self, text: str) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(text)
        elif len(self.warnings) == MAX_WARNINGS:
            self.warnings.append("more warnings left out")


def read_events(text: bytes) -> list[Document]:
    """Every document of UTF-8 `text`. Raises YamlError; takes time and memory linear in the text.

    Nothing is shared between two places of the result: an alias is a copy.
    """
    if text.count(b"%TAG") > MAX_TAG_DIRECTIVES:
        raise YamlError(f"more than {MAX_TAG_DIRECTIVES} %TAG directives")
    try:
        return _read(CParser(text))
    except YAMLError as error:
        raise YamlError(_reason(error)) from None


def _read(parser: Any) -> list[Document]:  # noqa: C901, PLR0912, PLR0915
    """The loop over the events; long because a call for each would cost a third of its speed."""
    next_event = parser.get_event
    documents: list[Document] = []
    notes = _Notes()
    stack: list[tuple[Any, Any]] = []
    node: Any = []  # the innermost open list or mapping; a list of one stands for the document
    key: Any = None  # of a mapping: the key that waits for its value
    while True:
        event = next_event()
        kind = type(event)
        if kind is ScalarEvent:
            value: Any = event.value
            if event.tag is not None or event.anchor is not None:
                value = _marked_scalar(event, notes)
            elif event.implicit[0] and (not value or value[0] in HINTS):
                value = resolve(value)
                if type(value) is float and not math.isfinite(value):
                    awaits_key = key is None and type(node) is dict
                    value = value if awaits_key else _not_json(event, notes)
            if type(node) is list:
                node.append(value)
            elif key is None:
                key = _key(event, value, node, notes)
            elif key is _MERGE:
                raise _at(event, "`<<` takes a mapping or a list of mappings")
            else:
                node[key] = value
                key = None
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            child: Any = {} if kind is MappingStartEvent else []
            if event.anchor is not None:
                notes.anchors[event.anchor] = child
                notes.open.add(id(child))
            if len(stack) >= MAX_DEPTH:
                raise _at(event, f"nested deeper than {MAX_DEPTH} levels")
            stack.append((node, key if key is _MERGE else None))
            if type(node) is list:
                node.append(child)
            elif key is None:
                raise _at(event, "a mapping key must be a scalar")
            elif key is not _MERGE:
                node[key] = child
            node, key = child, None
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            child = node
            node, key = stack.pop()
            if notes.open:
                notes.open.discard(id(child))
            if notes.merged:
                notes.merged.pop(id(child), None)
            if key is _MERGE:
                _merge(event, node, child, notes)
                key = None
        elif kind is AliasEvent:
            value = _alias(event, len(stack), notes)
            if type(node) is list:
                node.append(value)
            elif key is None:
                if isinstance(value, dict | list):
                    raise _at(event, "a mapping key must be a scalar")
                key = _key(event, value, node, notes)
            elif key is _MERGE:
                _merge(event, node, value, notes)
                key = None
            else:
                node[key] = value
                key = None
        elif kind is DocumentStartEvent:
            node, notes = [], _Notes()
        elif kind is DocumentEndEvent:
            documents.append(Document(node[0], tuple(notes.warnings)))
        elif kind is StreamEndEvent:
            return documents


def _marked_scalar(event: Any, notes: _Notes) -> Scalar:
    """A scalar with a tag or an anchor."""
    text: str = event.value
    value: Scalar = text
    if event.tag is not None:
        try:
            value, replaced = tagged(event.tag, text)
        except YamlError as error:
            raise _at(event, error.reason) from None
        if replaced:
            notes.warn(f"!!binary on line {_line(event)} is no UTF-8: bytes replaced")
    elif event.implicit[0]:
        value = resolve(text)
    if isinstance(value, float) and not math.isfinite(value):
        value = _not_json(event, notes)
    if event.anchor is not None:
        notes.anchors[event.anchor] = value
    return value


def _not_json(event: Any, notes: _Notes) -> str:
    text: str = event.value
    notes.warn(f"{text} on line {_line(event)} is no number in JSON: kept as text")
    return text


def _key(event: Any, value: Scalar, node: dict[str, Value], notes: _Notes) -> Any:
    """The text of a mapping key, or the sign for `<<`. Warns where the mapping has the key already."""
    if (
        value == "<<"
        and type(event) is ScalarEvent
        and (event.implicit[0] or event.tag == MERGE_TAG)
    ):
        return _MERGE
    try:
        key = key_text(value)
    except YamlError as error:
        raise _at(event, error.reason) from None
    if key in node:
        merged = notes.merged.get(id(node), ())
        if key in merged:
            notes.merged[id(node)].discard(key)
        else:
            notes.warn(
                f"duplicate key {_quoted(key)} on line {_line(event)}: the last value counts"
            )
    return key


def _merge(event: Any, node: dict[str, Value], value: Value, notes: _Notes) -> None:
    """Add what `<<` names. Keys of the mapping's own win, and of a list the earlier mappings."""
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise _at(event, "`<<` takes a mapping or a list of mappings")
    added: dict[str, Value] = {}
    for source in reversed(sources):
        if isinstance(source, dict):
            added.update(source)
    merged = notes.merged.setdefault(id(node), set())
    for key, item in added.items():
        if key not in node or key in merged:
            node[key] = item
            merged.add(key)
        elif node[key] != item:
            # go-yaml v2 lets a later `<<` win, v3 (kustomize) and the specification do not.
            notes.warn(
                f"key {_quoted(key)} before `<<` on line {_line(event)}:"
                " readers differ on which value counts, here its own"
            )


def _alias(event: Any, depth: int, notes: _Notes) -> Any:
    """A copy of what an alias names."""
    name = event.anchor
    if name not in notes.anchors:
        raise _at(event, f"unknown anchor {_quoted(name)}")
    value = notes.anchors[name]
    if id(value) in notes.open:
        raise _at(event, f"anchor {_quoted(name)} contains itself")
    return _copy(value, depth, event, notes)


def _copy(value: Any, depth: int, event: Any, notes: _Notes) -> Any:
    """A deep copy of `value` for a place `depth` levels down, counted against the limits."""
    notes.aliased += 1
    if notes.aliased > MAX_ALIASED_NODES:
        raise _at(event, f"aliases repeat more than {MAX_ALIASED_NODES} nodes")
    if not isinstance(value, dict | list):
        return value
    if depth >= MAX_DEPTH:
        raise _at(event, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return {key: _copy(item, depth + 1, event, notes) for key, item in value.items()}
    return [_copy(item, depth + 1, event, notes) for item in value]


def _quoted(key: str) -> str:
    return f'"{key[:80]}"'


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


def _at(event: Any, reason: str) -> YamlError:
    return YamlError(f"line {_line(event)}: {reason}")


def _reason(error: YAMLError) -> str:
    """One line for one of PyYAML's errors, without its stream name."""
    if isinstance(error, ReaderError):
        return f"{error.reason} at byte {error.position}"
    if not isinstance(error, MarkedYAMLError):
        return str(error)
    mark = error.problem_mark or error.context_mark
    text = f"{error.context}, {error.problem}" if error.context else str(error.problem)
    return f"line {mark.line + 1}: {text}" if mark else text
