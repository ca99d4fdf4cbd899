"""JSON: Kubernetes manifests, and any other document."""

from __future__ import annotations

import json
import math
from typing import NoReturn

from ledger.parsers import Parser, whole
from ledger.resources import Resource, Value, resources_from_manifest, unparsed

MAX_DEPTH = 200
_MAX_INT, _MAX_UINT = 2**63 - 1, 2**64 - 1
_MAX_WARNINGS = 100


def parse(piece: bytes) -> list[Resource]:
    """The one document of a file. Unlike RFC 8259, no NaN and no half of a surrogate pair."""
    try:
        text = piece.decode("utf-8-sig")
        if not text.strip(" \t\r\n"):
            return []
        body, warnings = _load(text)
    except (ValueError, RecursionError) as error:
        return [unparsed("JSON", piece, _reason(error))]
    manifests = resources_from_manifest(body, warnings=warnings)
    return manifests or [Resource("", "JSON", "", "", body, warnings=warnings)]


def _load(text: str) -> tuple[Value, tuple[str, ...]]:
    """The value of a JSON text and what a reader should know. Raises ValueError or RecursionError."""
    warnings: dict[str, None] = {}

    def warn(warning: str) -> None:
        if len(warnings) < _MAX_WARNINGS:
            warnings[warning] = None

    def collect(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    warn(f'duplicate key "{key[:80]}": the last value counts')
                seen.add(key)
        return mapping

    def integer(digits: str) -> int | float | str:
        number = int(digits) if len(digits) <= 20 else _MAX_UINT + 1
        if -_MAX_INT - 1 <= number <= _MAX_UINT:
            return number
        warn(f"{digits[:40]} does not fit 64 bits: rounded")
        return decimal(digits)

    def decimal(digits: str) -> float | str:
        number = float(digits)
        if math.isfinite(number):
            return number
        warn(f"{digits[:40]} is out of range: kept as text")
        return digits

    value: Value = json.loads(
        text,
        object_pairs_hook=collect,
        parse_int=integer,
        parse_float=decimal,
        parse_constant=_refuse,
    )
    _check(text, value)
    return value, tuple(warnings)


def _check(text: str, value: Value) -> None:
    """Raises ValueError for what json.loads takes and others may not."""
    # Only these texts can hold it, and looking costs as much as reading.
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair has no UTF-8


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")


def _check_depth(value: Value) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Value] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    if any(isinstance(item, dict | list) for item in level):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return f"nested deeper than {MAX_DEPTH} levels"
    if isinstance(error, UnicodeEncodeError):
        return "half of a surrogate pair"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return str(error)


PARSER = Parser(name="json", version=1, patterns=("*.json",), split=whole, parse=parse)
