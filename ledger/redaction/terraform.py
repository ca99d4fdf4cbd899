"""Defaults of Terraform variables that are declared sensitive or named so.

Other attributes fall to their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ledger.redaction.names import STRONG, hides, strength
from ledger.redaction.spans import Edit

TERRAFORM_FILES = (".tf", ".tofu", ".tfvars", ".hcl")
RULE = "terraform variable"

_VARIABLE = re.compile(rb"(?m)^[ \t]*variable[ \t]+\"?(?P<name>[^\"\s{]*)[^\"\r\n{]*\"?[ \t]*\{")
_SENSITIVE = re.compile(rb"(?m)(?:^|\{)[ \t]*sensitive[ \t]*=[ \t]*true\b")
_DEFAULT = re.compile(rb"(?m)(?:^|\{)[ \t]*default[ \t]*=[ \t]*")
_NEXT_ATTRIBUTE = re.compile(
    rb"(?m)^[ \t]*(?:type|description|sensitive|nullable|ephemeral)[ \t]*="
)
_VALIDATION = re.compile(rb"(?m)^[ \t]*validation[ \t]*\{")
_BLOCK_END = re.compile(rb"(?m)^\}")
_HEREDOC = re.compile(rb"<<[-~]?(\w+)[ \t]*(?:\r\n?|\n)")
_LITERAL = re.compile(
    rb'"(?P<text>(?:[^"\\\r\n]|\\.)*+)"(?P<key>[ \t]*[=:])?|(?P<number>(?<![\w."-])-?\d[\w.+-]*)'
)


def variable_edits(blob: bytes) -> Iterator[Edit]:
    """The literals in the `default` of `variable` blocks that are `sensitive = true`, all of them; and
    of those with a sensitive name, where the value counts as a secret (see `names.py`)."""
    blocks = list(_VARIABLE.finditer(blob))
    ends = [*(match.start() for match in blocks[1:]), len(blob)]
    for match, following in zip(blocks, ends, strict=False):
        start = match.end()
        closing = _BLOCK_END.search(blob, start, following)
        end = closing.start() if closing else following
        default = _DEFAULT.search(blob, start - 1, end)
        if default is None:
            continue
        grade = strength(match["name"])
        if _SENSITIVE.search(blob, start - 1, end):
            yield from _literals(blob, default.end(), end)
        elif grade:
            found = _literals(blob, default.end(), end)
            yield from (one for one in found if hides(one.value, grade == STRONG))


def _literals(blob: bytes, start: int, end: int) -> Iterator[Edit]:
    if heredoc := _HEREDOC.match(blob, start):
        closing = re.compile(rb"(?m)^[ \t]*" + heredoc[1] + rb"\b").search(blob, heredoc.end(), end)
        body = blob[heredoc.end() : closing.start() if closing else end]
        first = heredoc.end() + len(body) - len(body.lstrip())
        yield Edit(first, heredoc.end() + len(body.rstrip()), body.strip(), RULE)
        return
    for stop in (_NEXT_ATTRIBUTE, _VALIDATION):
        found = stop.search(blob, start, end)
        end = found.start() if found else end
    for match in _LITERAL.finditer(blob, start, end):
        if match["number"]:
            yield Edit(*match.span(), match["number"], RULE, b'"', b'"')
        elif not match["key"]:
            yield Edit(*match.span("text"), match["text"], RULE)
