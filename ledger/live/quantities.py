"""Values that Kubernetes writes in one way whichever way they were given in.

Quantities: k8s.io/apimachinery/pkg/api/resource. Ports and percentages may be numbers or text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from ledger.fields.lists import same
from ledger.resources import Value

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30}))"
    r"(?:[eE](?P<exponent>[+-]?\d{1,2})|(?P<suffix>Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]))?"
)
_POWERS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
# Objects whose members are quantities, whatever they are called, and members that are one.
_HOLDERS = frozenset(
    {
        "limits", "requests", "capacity", "allocatable", "hard", "used", "default", "defaultRequest",
        "max", "min", "maxLimitRequestRatio", "overhead", "podFixed", "allocatedResources",
    }
)  # fmt: skip
_MEMBERS = frozenset(
    {"sizeLimit", "averageValue", "targetAverageValue", "divisor", "storage", "cpu", "memory"}
)
_INT_OR_TEXT = frozenset(
    {"targetPort", "port", "maxSurge", "maxUnavailable", "minAvailable", "containerPort", "number"}
)
# What is a boolean to go-yaml v2 and a word to the YAML library of kustomize.
_WORDS = {True: frozenset({"yes", "on", "y"}), False: frozenset({"no", "off", "n"})}


def equal(desired: Value, live: Value, steps: Sequence[str]) -> bool:
    """Whether two scalars mean the same where they stand; `steps` are the keys down to them."""
    if same(desired, live):
        return True
    name = steps[-1] if steps else ""
    holder = steps[-2] if len(steps) > 1 else ""
    if isinstance(desired, bool) or isinstance(live, bool):
        return (
            isinstance(desired, bool) and isinstance(live, str) and live.lower() in _WORDS[desired]
        )
    if holder in _HOLDERS or name in _MEMBERS:
        one, other = quantity(desired), quantity(live)
        return one is not None and one == other
    return name in _INT_OR_TEXT and str(desired) == str(live)


def quantity(value: Value) -> Decimal | None:
    """A quantity as a number; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    return _parsed(text) if len(text) <= 80 else None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Decimal | None:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    try:
        number = Decimal(match["number"])
        if match["exponent"]:
            return number * Decimal(10) ** int(match["exponent"])
        suffix = match["suffix"] or ""
        if suffix in _BINARY:
            return number * Decimal(1024) ** _BINARY[suffix]
        return number * Decimal(10) ** _POWERS.get(suffix, 0)
    except InvalidOperation:
        return None
