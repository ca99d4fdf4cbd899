"""Secrets of Kubernetes, wherever they stand: parsed as YAML or JSON and hidden value by value.

Hidden are all values under `data` and `stringData` of every mapping whose `kind` is Secret (also through
anchors, merge keys, lists and templates around it), the comments among them, what `kubectl apply`
remembered of it, literals of kustomize's secret generators, and texts that hold such a manifest. The
result is parsed again: where anything is left, or the shape has changed, or the text never parsed,
the rules of `lines.py` hide more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from ledger.redaction.graph import Graph, Node, TooHard, compose
from ledger.redaction.lines import line_edits
from ledger.redaction.names import keeps
from ledger.redaction.scan import unescape
from ledger.redaction.spans import Edit, apply
from ledger.redaction.values import decoded, flat

RULE = "kubernetes secret"
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_MAX_STEPS = 500_000

_WORD = re.compile(rb"Secret(?<![A-Za-z0-9_.-]Secret)(?:List)?(?![A-Za-z0-9_-])")
_BEHIND_WORD = re.compile(rb"\\{0,8}[\"']?[ \t]*(?:[\r\n,}\]#\\]|\xc2\x85|\xe2\x80|\Z)")
_KIND = re.compile(rb"kind\\{0,8}[\"']?\s{0,9}:")
_VALUES = re.compile(rb"(?:data|stringData|literals)\\{0,8}[\"']?\s{0,9}:")
_DOCUMENT = re.compile(rb"(?m)^---(?=\s|\Z)")
_COMMENT = re.compile(rb"(?:^|(?<=[ \t\r\n]))#[ \t]*([^\r\n]*)")


def secret_edits(blob: bytes) -> list[Edit]:
    """Edits for every Secret that the text holds or speaks of. Linear, about 10 MB/s where one is held."""
    if not _may_hold_secret(blob):
        return []
    try:
        edits = _Hider(blob, compose(blob)).edits
        hidden = apply(blob, edits, b"", Counter())
        if not edits or (_same_shape(blob, hidden) and not _Hider(hidden, compose(hidden)).edits):
            return edits
    except TooHard:
        pass
    return list(_fallback(blob))
