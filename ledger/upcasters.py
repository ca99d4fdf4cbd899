"""One function per retired event shape: the data of an older version becomes that of the next.

A shape that was ever recorded is read for ever. `UPCASTERS[(type, version)]` takes the data as
decoded JSON and gives the data of `version + 1`; golden files hold one example of every shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
