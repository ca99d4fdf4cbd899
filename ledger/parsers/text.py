"""Any other file: its lines."""

from __future__ import annotations

from ledger.parsers import Parser, whole
from ledger.resources import LINES, Resource, lines_of


def parse(piece: bytes) -> list[Resource]:
    """One resource, also for an empty file."""
    lines, warnings = lines_of(piece)
    return [Resource("", "Text", "", "", lines, syntax=LINES, warnings=warnings)]


PARSER = Parser(name="text", version=1, patterns=("*",), split=whole, parse=parse)
