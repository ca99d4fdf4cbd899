"""What one YAML scalar means to Kubernetes: the rules of go-yaml v2, then of sigs.k8s.io/yaml.

Source: `resolve.go`, `decode.go` (go-yaml v2.4.0, which sigs.k8s.io/yaml carries as `goyaml.v2`) and
`convertToJSONableObject` in `yaml.go` of sigs.k8s.io/yaml.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from typing import TypeAlias

Scalar: TypeAlias = "None | bool | int | float | str"

TAG = "tag:yaml.org,2002:"
MERGE_TAG = TAG + "merge"

# Go's `resolveTable`: a plain scalar that begins with anything else is text, whatever follows.
HINTS = frozenset("0123456789+-.yYnNtTfFoO~")
_MAX_INT, _MAX_UINT = 2**63 - 1, 2**64 - 1

_CONSTANTS: dict[str, Scalar] = {
    **dict.fromkeys(
        ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True
    ),
    **dict.fromkeys(
        ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False
    ),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# Where go-yaml leaves a number that begins with a dot to strconv.ParseFloat, underscores in place.
_DOT_FLOAT = re.compile(r"\.[0-9](?:_?[0-9])*(?:[eE][-+]?[0-9](?:_?[0-9])*)?")


class YamlError(ValueError):
    """A text that cannot be read as YAML, or that is refused; `reason` says why, and where."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def resolve(text: str) -> Scalar:
    """The value of a plain scalar. May be infinite or not a number, which JSON cannot say.

    Timestamps stay text, as go-yaml leaves them when the target has no type.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    first = text[0]
    if first == ".":
        if not _DOT_FLOAT.fullmatch(text):
            return text
        return _finite(text.replace("_", ""), text)
    if first in "0123456789+-":
        return _number(text)
    return text


def _number(text: str) -> Scalar:
    digits = text.replace("_", "") if "_" in text else text
    if match := _INTEGER.fullmatch(digits):
        number = _integer(*match.groups())
        if number is not None:
            return number
    return _finite(digits, text) if _FLOAT.fullmatch(digits) else text


def _integer(
    sign: str, base16: str | None, base2: str | None, base8: str | None, base10: str | None
) -> int | None:
    """An integer in Go's notation if it fits int64, or unsigned uint64; else None."""
    if base10 is not None:
        # Longer ones do not fit, and Python refuses to convert very long ones.
        number = int(base10) if len(base10) <= 20 else _MAX_UINT + 1
    elif base8 is not None:
        number = int(base8, 8)
    else:
        number = int(base16, 16) if base16 is not None else int(base2 or "", 2)
    if sign == "-":
        return -number if number <= _MAX_INT + 1 else None
    return number if number <= (_MAX_INT if sign else _MAX_UINT) else None


def _finite(digits: str, text: str) -> float | str:
    """A float; the text where it is out of range, which is an error to strconv.ParseFloat."""
    number = float(digits)
    return number if math.isfinite(number) else text


def tagged(tag: str, text: str) -> tuple[Scalar, bool]:
    """The value of a scalar with an explicit tag, and whether bytes of it were replaced.

    Tags other than YAML's own types are ignored and leave the text as written.
    """
    if tag == TAG + "binary":
        return _binary(text)
    if tag not in _ACCEPTS:
        return text, False
    value = resolve(text)
    if tag == TAG + "float" and type(value) is int:
        return float(value), False
    if not isinstance(value, _ACCEPTS[tag]) or (tag == TAG + "int" and type(value) is bool):
        raise YamlError(f"cannot read {text[:40]!r} as !!{tag.removeprefix(TAG)}")
    return value, False


_ACCEPTS: dict[str, type | tuple[type, ...]] = {
    TAG + "bool": bool,
    TAG + "int": int,
    TAG + "float": float,
    TAG + "null": type(None),
}


def _binary(text: str) -> tuple[str, bool]:
    """Base64 as text; bytes that are no UTF-8 become U+FFFD, as Go's JSON encoder makes them."""
    try:
        decoded = base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise YamlError("!!binary value contains invalid base64 data") from None
    value = decoded.decode(errors="replace")
    return value, "\ufffd" in value


def key_text(value: Scalar) -> str:
    """A mapping key as sigs.k8s.io/yaml turns it into text; null and beyond int64 it refuses."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _go_float(value)
    if value is None:
        raise YamlError("a mapping key may not be null")
    if value > _MAX_INT:
        raise YamlError(f"the mapping key {value} does not fit 64 bits")
    return str(value)


def _go_float(value: float) -> str:
    """strconv.FormatFloat(value, 'g', -1, 32), with YAML's names for what is no number."""
    if math.isnan(value):
        return ".nan"
    try:
        (single,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        single = math.copysign(math.inf, value)
    if math.isinf(single):
        return ".inf" if single > 0 else "-.inf"
    precision = 0  # the fewest digits after the first that name this float32
    while struct.pack("f", float(f"{single:.{precision}e}")) != struct.pack("f", single):
        precision += 1
    mantissa, exponent = f"{single:.{precision}e}".split("e")
    places = int(exponent)
    # Go writes an exponent below 1e-4 and from 1e6 on.
    if places < -4 or places >= 6:
        return f"{mantissa}e{'-' if places < 0 else '+'}{abs(places):02d}"
    return f"{single:.{max(precision - places, 0)}f}"
