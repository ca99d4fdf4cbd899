"""The fields of a document, the difference of two documents, and which revision set each field."""

from __future__ import annotations

from ledger.fields.blame import blame
from ledger.fields.difference import FieldChange, diff
from ledger.fields.documents import at, leaves
from ledger.fields.lists import MAX_CHANGES
from ledger.fields.paths import Segment, format_path, matches, parse_path, under

__all__ = [
    "MAX_CHANGES",
    "FieldChange",
    "Segment",
    "at",
    "blame",
    "diff",
    "format_path",
    "leaves",
    "matches",
    "parse_path",
    "under",
]
