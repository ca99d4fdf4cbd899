"""A YAML stream as a graph of nodes with exact positions, made from events in bounded time and memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import yaml

MAX_EVENTS = 100_000
MAX_DEPTH = 200
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BINARY = "tag:yaml.org,2002:binary"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True, eq=False)
class Node:
    """A scalar, mapping or sequence. The children of a mapping are key, value, key, value, ...

    Positions are bytes of the text. `style` is a scalar's quote or block indicator, empty if plain.
    """

    sort: str
    start: int
    end: int
    text: str = ""
    style: str = ""
    anchor: str = ""
    binary: bool = False
    in_flow: bool = False
    children: list[Node] = field(default_factory=list)

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """Keys and values of a mapping; none of any other node."""
        if self.sort == "mapping":
            yield from zip(self.children[::2], self.children[1::2], strict=True)


@dataclass(slots=True)
class Graph:
    """Every node in the order of the text; an alias is the node it stands for.

    `spans` are the written scalars and aliases, in order: what lies between is layout and comments.
    `shape` has the kinds of all events, equal for documents that differ in scalars only.
    """

    nodes: list[Node] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    shape: list[type[yaml.Event]] = field(default_factory=list)


class TooHardError(Exception):
    """The text is no YAML, or more than the limits allow: the caller falls back to line rules."""


def compose(blob: bytes) -> Graph:
    """The graph of all documents of a stream; TooHardError past 100,000 events or 200 levels.

    Made from libyaml's events without recursion, about 2 microseconds an event. JSON is YAML here.
    """
    mark = len(_BYTE_ORDER_MARK) if blob.startswith(_BYTE_ORDER_MARK) else 0
    graph = Graph()
    try:
        text = blob[mark:].decode()
        _build(graph, blob[mark:])
    except (yaml.YAMLError, ValueError) as error:
        raise TooHardError(str(error)) from error
    if mark or len(text) < len(blob):
        _to_bytes(graph, text, mark)
    return graph


def _build(graph: Graph, blob: bytes) -> None:
    stack: list[Node] = []
    anchors: dict[str, Node] = {}
    flow = 0
    for event in yaml.parse(blob, _LOADER):
        kind = type(event)
        graph.shape.append(kind)
        if len(graph.shape) > MAX_EVENTS or len(stack) > MAX_DEPTH:
            raise TooHardError("too many events or levels")
        if isinstance(event, yaml.NodeEvent):
            node = _node(event, anchors, in_flow=flow > 0)
            if stack:
                stack[-1].children.append(node)
            if kind is yaml.ScalarEvent:
                graph.spans.append((node.start, node.end))
            elif kind is yaml.AliasEvent:
                graph.spans.append(_span(event))
                continue
            else:
                stack.append(node)
                flow += node.in_flow
            graph.nodes.append(node)
        elif isinstance(event, yaml.CollectionEndEvent):
            node = stack.pop()
            node.end = _span(event)[1]
            flow -= node.in_flow
        elif kind is yaml.DocumentStartEvent:
            anchors = {}


def _span(event: yaml.Event) -> tuple[int, int]:
    first, last = event.start_mark, event.end_mark
    return (first.index if first else 0), (last.index if last else 0)


def _node(event: yaml.NodeEvent, anchors: dict[str, Node], *, in_flow: bool) -> Node:
    anchor = event.anchor or ""
    if isinstance(event, yaml.AliasEvent):
        if anchor not in anchors:
            raise TooHardError("unknown alias")
        return anchors[anchor]
    node = Node("scalar", *_span(event), anchor=anchor)
    if isinstance(event, yaml.ScalarEvent):
        node.text, node.style, node.in_flow = event.value, event.style or "", in_flow
        node.binary = event.tag == _BINARY
    elif isinstance(event, yaml.CollectionStartEvent):
        node.sort = "mapping" if isinstance(event, yaml.MappingStartEvent) else "sequence"
        node.in_flow = bool(event.flow_style)
    if anchor:
        anchors[anchor] = node
    return node


def _to_bytes(graph: Graph, text: str, mark: int) -> None:
    """Turn positions in characters, as the parser counts, into positions in bytes."""
    places = {place for node in graph.nodes for place in (node.start, node.end)}
    places.update(place for span in graph.spans for place in span)
    byte_of = dict(_byte_positions(text, sorted(places), mark))
    for node in graph.nodes:
        node.start, node.end = byte_of[node.start], byte_of[node.end]
    graph.spans = [(byte_of[start], byte_of[end]) for start, end in graph.spans]


def _byte_positions(text: str, places: Iterable[int], position: int) -> Iterator[tuple[int, int]]:
    before = 0
    for place in places:
        position += len(text[before:place].encode())
        before = place
        yield place, position
