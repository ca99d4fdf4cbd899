"""Secrets of Kubernetes, wherever they stand: parsed as YAML or JSON and hidden value by value.

Hidden are all values under `data` and `stringData` of every mapping whose `kind` is Secret (also through
anchors, merge keys, lists and templates around it), the comments among them, what `kubectl apply`
remembered of it, literals of kustomize's secret generators, and texts that hold such a manifest. The
result is parsed again: where anything is left, or the shape has changed, or the text never parsed,
the rules of `lines.py` hide more.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from ledger.redaction.graph import Graph, Node, TooHardError, compose
from ledger.redaction.lines import line_edits
from ledger.redaction.names import keeps
from ledger.redaction.scan import may_be_binary, unescape
from ledger.redaction.spans import Edit, apply
from ledger.redaction.values import decoded, flat

RULE = "kubernetes secret"
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_MAX_STEPS = 500_000

_WORD = re.compile(rb"Secret(?<![A-Za-z0-9_.-]Secret)(?:List)?(?![A-Za-z0-9_-])")
_BEHIND_WORD = re.compile(rb"\\{0,8}[\"']?[ \t]*(?:[\r\n,}\]#\\]|\xc2\x85|\xe2\x80|\Z)")
_KIND = re.compile(rb"kind\\{0,8}[\"']?\s{0,9}:")
_VALUES = re.compile(rb"(?:data|stringData|literals)\\{0,8}[\"']?\s{0,9}:")
_HOLDER = re.compile(
    rb"data(?<![A-Za-z]data)(?![A-Za-z])|stringData|last-applied-conf|literals|patch"
)
_DOCUMENT = re.compile(rb"(?m)^---(?=\s|\Z)")
_TEMPLATED_KIND = re.compile(r"\{\{.*\bSecret\b|\bSecret\b.*\{\{")
_TEMPLATE_PATH = re.compile(r"[.$][A-Za-z_][\w.]*")
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_COMMENT_LINE = re.compile(rb"[ \t]*#")
_COMMENT = re.compile(rb"#(?:(?<=[\s\x85\xa8\xa9]#)|(?<=\A#))[ \t]*([^\r\n]*)")


class _Entry(NamedTuple):
    """One entry of a mapping; from the end of its key to the next key."""

    name: str
    value: Node
    start: int
    end: int


def secret_edits(blob: bytes) -> list[Edit]:
    """Edits for every Secret that the text holds or speaks of. Linear; parses twice where one is held."""
    if not _may_hold_secret(blob):
        return []
    try:
        graph = compose(blob)
        if all(node.sort == "scalar" for node in graph.nodes):
            raise TooHardError("prose or code, which YAML takes for one long string")
        edits = _Hider(blob, graph).edits
        hidden = apply(blob, edits, b"", Counter())
        if hidden is blob:
            return []
        result = compose(hidden)
        if result.shape == graph.shape and not _Hider(hidden, result).edits:
            return edits
    except TooHardError:
        pass
    return list(_fallback(blob))


def _may_hold_secret(blob: bytes) -> bool:
    if b"ecretGenerator" in blob or may_be_binary(blob):
        return True
    if next(_secret_kinds(blob), None) is None:
        spelt = unescape(blob)
        return spelt is not blob and next(_secret_kinds(spelt), None) is not None
    return b"\\" in blob or _HOLDER.search(blob) is not None


def _secret_kinds(blob: bytes) -> Iterator[int]:
    """Where `Secret` stands as a whole scalar or on the line of a `kind`, in any quotes and escapes."""
    for word in _WORD.finditer(blob):
        start = word.start()
        low = max(0, start - 200)
        line = blob[
            max(blob.rfind(b"\n", low, start), blob.rfind(b"\r", low, start), low - 1) + 1 : start
        ]
        if (b"kind" in line and _KIND.search(line)) or (
            _BEHIND_WORD.match(blob, word.end()) and _stands_alone(line)
        ):
            yield start


def _stands_alone(line: bytes) -> bool:
    """Whether a value behind `line` has its key on another line, or an anchor to be used elsewhere."""
    before = line.rstrip(b"\"'\\").split()
    return not before or before == [b":"] or before[-1][:1] in (b"&", b"!")


def _fallback(blob: bytes) -> Iterator[Edit]:
    """Line rules for the documents that mention a Secret; all of one that spells its keys in escapes."""
    cuts = [0, *(match.start() for match in _DOCUMENT.finditer(blob)), len(blob)]
    for start, end in pairwise(cuts):
        document = blob[start:end]
        spelt = unescape(document)
        if next(_secret_kinds(spelt), None) is None and b"ecretGenerator" not in spelt:
            continue
        if len(_VALUES.findall(spelt)) > len(_VALUES.findall(document)) or (
            next(_secret_kinds(document), None) is None and b"ecretGenerator" not in document
        ):
            yield Edit(start, start + len(document.rstrip()), document, RULE)
        else:
            yield from line_edits(blob, start, end)


class _Hider:
    """Walks a graph once and collects the edits that hide its Secrets, within a budget of steps."""

    def __init__(self, blob: bytes, graph: Graph) -> None:
        self.blob = blob
        self.spans = graph.spans
        self.edits: list[Edit] = []
        self.hidden: set[int] = set()
        self.steps = 0
        for node in graph.nodes:
            if node.sort == "mapping":
                self._mapping(node)
        for node in graph.nodes:
            if node.sort == "scalar" and "Secret" in node.text and id(node) not in self.hidden:
                self._embedded(node)
        self._speaking_comments()

    def _mapping(self, node: Node) -> None:
        entries = list(self._entries(node))
        kinds = [_meaning(value).strip() for name, value, *_ in entries if name == "kind"]
        if any(kind == "Secret" or _TEMPLATED_KIND.search(kind) for kind in kinds):
            self._secret(entries)
        for name, value, *_ in entries:
            if name == "items" and "SecretList" in kinds:
                for item in value.children:
                    self._secret(list(self._entries(item)))
            elif name == "secretGenerator":
                for below in self._below(value):
                    self._generator(list(self._entries(below)))
            elif name == "patch" and self._is_aimed_at_secret(entries):
                self._hide(value, encoded=False)
        if "SecretGenerator" in kinds:
            self._generator(entries)

    def _entries(self, mapping: Node) -> Iterator[_Entry]:
        """Name, value and the span of each entry, those of merged mappings included."""
        stack, seen = [mapping], {id(mapping)}
        while stack:
            one = stack.pop()
            self._count(len(one.children))
            keys = one.children[::2] if one.sort == "mapping" else []
            for (key, value), following in zip(one.pairs(), [*keys[1:], None], strict=False):
                stop = following.start if following else one.end
                yield _Entry(_meaning(key), value, key.end, max(stop, key.end))
                merged = [value, *value.children] if _meaning(key) == "<<" else []
                for other in merged:
                    if other.sort == "mapping" and id(other) not in seen:
                        seen.add(id(other))
                        stack.append(other)

    def _below(self, node: Node) -> Iterator[Node]:
        stack, seen = [node], {id(node)}
        while stack:
            one = stack.pop()
            yield one
            self._count(len(one.children))
            for child in one.children:
                if id(child) not in seen:
                    seen.add(id(child))
                    stack.append(child)

    def _count(self, steps: int) -> None:
        self.steps += steps + 1
        if self.steps > _MAX_STEPS:
            raise TooHardError("too many merges")

    def _secret(self, entries: list[_Entry]) -> None:
        for entry in entries:
            if entry.name in ("data", "stringData"):
                self._hide(entry.value, encoded=entry.name == "data")
                self._comments(entry.start, entry.end)
                if entry.value.sort != "scalar":
                    self._comments(entry.value.start, entry.value.end)
            elif entry.name == "metadata":
                for node in self._below(entry.value):
                    for key, value in node.pairs():
                        if _meaning(key) == _APPLIED:
                            self._hide(value, encoded=False)

    def _generator(self, entries: list[_Entry]) -> None:
        for entry in entries:
            if entry.name == "literals":
                self._comments(entry.start, entry.end)
                for literal in entry.value.children:
                    name, equals, value = literal.text.partition("=")
                    if equals and _PLAIN_NAME.fullmatch(name) and not keeps(value.encode()):
                        self._replace(literal, value.strip("\"'").encode(), f"{name}=")
                    elif not equals or not _PLAIN_NAME.fullmatch(name):
                        self._hide(literal, encoded=False)

    def _is_aimed_at_secret(self, entries: list[_Entry]) -> bool:
        targets = [entry.value for entry in entries if entry.name == "target"]
        return any(
            entry.name == "kind" and _meaning(entry.value) == "Secret"
            for target in targets
            for entry in self._entries(target)
        )

    def _hide(self, node: Node, *, encoded: bool) -> None:
        """Hide every value below a node. Keys stay, but not mappings as keys: templates look like that."""
        stack, seen = [(node, False)], set()
        while stack:
            one, keys_too = stack.pop()
            if (id(one), keys_too) in seen:
                continue
            seen.add((id(one), keys_too))
            self._count(len(one.children))
            if one.sort == "scalar":
                self._scalar(one, encoded=encoded, in_template=keys_too)
            elif one.sort == "sequence":
                stack += [(child, keys_too) for child in one.children]
            for key, value in one.pairs():
                stack.append((value, keys_too))
                if keys_too or key.sort != "scalar":
                    stack.append((key, True))

    def _scalar(self, node: Node, *, encoded: bool, in_template: bool) -> None:
        if id(node) in self.hidden or keeps(node.text.encode(errors="replace")):
            return
        if in_template and not node.style and _TEMPLATE_PATH.fullmatch(node.text):
            return
        value = node.text.encode(errors="replace")
        self._replace(node, decoded(value) if encoded else value)

    def _replace(self, node: Node, value: bytes, lead: str = "") -> None:
        """Put a token in the place of a scalar, in a style that is valid there; its anchor stays."""
        self.hidden.add(id(node))
        quote = node.style if node.style in ("'", '"') else '"' if node.in_flow else ""
        anchor = f"&{node.anchor} " if node.anchor else ""
        end = node.start + len(self.blob[node.start : node.end].rstrip(b" \t\r\n"))
        before = f"{anchor}{quote}{lead}".encode()
        self.edits.append(Edit(node.start, end, flat(value), RULE, before, quote.encode()))

    def _embedded(self, node: Node) -> None:
        """A text that holds a manifest itself: by lines where they stand as they are, else all of it."""
        text = node.text.encode(errors="replace")
        if next(_secret_kinds(text), None) is None or not _VALUES.search(text):
            return
        if node.style == "|":
            self.edits += line_edits(self.blob, node.start, node.end)
        else:
            self._replace(node, text)

    def _comments(self, start: int, end: int) -> None:
        """Hide the comments between two positions: they stand outside of all written scalars."""
        while (start := self.blob.find(b"#", start, end)) >= 0:
            self._count(1)
            index = bisect_right(self.spans, (start, len(self.blob)))
            if index and self.spans[index - 1][1] > start:
                start = self.spans[index - 1][1]
                continue
            comment = _COMMENT.match(self.blob, start, end)
            if comment is None:
                start += 1
                continue
            text = comment[1].rstrip()
            if not keeps(text):
                first = comment.start(1)
                self.edits.append(Edit(first, first + len(text), text, RULE))
            start = comment.end()

    def _speaking_comments(self) -> None:
        """Line rules for runs of comment lines that mention a Secret."""
        done = 0
        for position in _secret_kinds(self.blob):
            index = bisect_right(self.spans, (position, len(self.blob)))
            in_span = index > 0 and self.spans[index - 1][1] > position
            if position >= done and not in_span:
                start, done = _comment_run(self.blob, position)
                self.edits += line_edits(self.blob, start, done)


def _comment_run(blob: bytes, position: int) -> tuple[int, int]:
    start = blob.rfind(b"\n", 0, position) + 1
    while start and _COMMENT_LINE.match(blob, previous := blob.rfind(b"\n", 0, start - 1) + 1):
        start = previous
    end = position
    while end < len(blob):
        end = blob.find(b"\n", end) + 1 or len(blob)
        if not _COMMENT_LINE.match(blob, end):
            break
    return start, end


def _meaning(node: Node) -> str:
    if not node.binary:
        return node.text
    return decoded(node.text.encode(errors="replace")).decode(errors="replace")
