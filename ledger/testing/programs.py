"""The program as somebody types it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Protocol


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, of a command that went well."""
        assert self.code == 0, self.err
        return json.loads(self.out)


class Run(Protocol):
    """Runs `ledger` with words, which may be paths and numbers."""

    def __call__(self, *words: object, stdin: str = "") -> Done:
        """How it ended."""
