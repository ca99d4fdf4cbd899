"""A live object held against what Git declares of it: which fields differ, and what excuses them.

Every declared field must stand in the live object, in Kubernetes' own normal form. What stands there
besides is excused only by a default of the API, by a controller that is known to write it, or by the
rules of `ignoreDifferences` in force; and the excuse is shown. Lists that are atomic to the API are compared
whole, so that an item added by hand is a difference although Git names no such field.
"""

from __future__ import annotations

from ledger.live.comparing import (
    CHANGED,
    DIFFERENT,
    DOUBTFUL,
    EXCUSED,
    MISSING,
    SAME,
    UNDECLARED,
    Circumstances,
    Comparison,
    Difference,
    compare,
    stored,
)
from ledger.live.owning import Ignore, ignores, in_force, managers_of

__all__ = [
    "CHANGED",
    "DIFFERENT",
    "DOUBTFUL",
    "EXCUSED",
    "MISSING",
    "SAME",
    "UNDECLARED",
    "Circumstances",
    "Comparison",
    "Difference",
    "Ignore",
    "compare",
    "ignores",
    "in_force",
    "managers_of",
    "stored",
]
