"""TOML 1.0. Dates and times become text."""

from __future__ import annotations

import math
import re
import tomllib
from datetime import date, datetime, time
from typing import Any

from ledger.parsers import Parser, whole
from ledger.resources import Resource, Value, unparsed

MAX_DEPTH = 200
MAX_KEY_PARTS = 50
# tomllib's time grows with the square of the parts of a dotted key.
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(
    rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_KEY_PARTS}}}", re.ASCII
)


def parse(piece: bytes) -> list[Resource]:
    """The one document of a file; none if it holds only comments."""
    warnings: dict[str, None] = {}
    try:
        text = piece.decode("utf-8-sig")
        if _LONG_KEY.search(text):
            raise ValueError(f"a dotted key of more than {MAX_KEY_PARTS} parts")
        body = _json(tomllib.loads(text), 0, warnings)
    except UnicodeDecodeError as error:
        return [unparsed("TOML", piece, f"not UTF-8 at byte {error.start}")]
    except RecursionError:
        return [unparsed("TOML", piece, f"nested deeper than {MAX_DEPTH} levels")]
    except ValueError as error:
        return [unparsed("TOML", piece, str(error))]
    return [Resource("", "TOML", "", "", body, warnings=tuple(warnings))] if body else []


def _json(value: Any, depth: int, warnings: dict[str, None]) -> Value:
    """A value of TOML in JSON's terms, with a warning where JSON has no such number."""
    if depth >= MAX_DEPTH and isinstance(value, dict | list):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return {key: _json(item, depth + 1, warnings) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item, depth + 1, warnings) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        warnings[f"{value} is no number in JSON: kept as text"] = None
        return str(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        warnings["an integer does not fit 64 bits: kept as hexadecimal text"] = None
        return hex(value)  # decimal text of a very long one takes quadratic time
    scalar: Value = value
    return scalar


PARSER = Parser(name="toml", version=1, patterns=("*.toml",), split=whole, parse=parse)
