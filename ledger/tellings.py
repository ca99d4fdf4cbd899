"""Several tellings of one thing made into one, whatever the order in which they arrive.

A webhook and an API tell of one pull request at different times and in different words. For each
field the latest telling that says anything of it wins, by the source's own time; where two times are
equal, by the digest of what was told. Never by arrival, so every order gives the same. The name of a
commit that some tellings cut short is known in full where any of them has it so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ledger.events import Fact

SHORT, WHOLE = 12, 40
"""Digits of a commit's name: forges that cut it tell at least SHORT; of SHA-1 it has WHOLE."""


def digest(fact: Fact) -> str:
    """A digest of what an event tells, to break ties with."""
    return hashlib.sha256(msgspec.json.encode(fact, order="deterministic")).hexdigest()[:32]


def is_short(commit: str) -> bool:
    """Whether the name of a commit is cut short, as far as its length tells."""
    return SHORT <= len(commit) < WHOLE


class Tellings:
    """What is told of one thing: field → value, each with the time and digest of its telling.

    `text` is all of it as JSON text for a column; the same tellings give the same text.
    """

    def __init__(self, text: str = "") -> None:
        self._fields: dict[str, tuple[str, str, Any]] = {}
        if text:
            kept = msgspec.json.decode(text, type=dict[str, tuple[str, str, Any]])
            self._fields = kept

    def add(
        self, values: Mapping[str, Any], at: str, digest: str, *, even_empty: Iterable[str] = ()
    ) -> None:
        """Takes in what one telling says. An empty value says nothing, but for those `even_empty`."""
        kept = set(even_empty)
        for name, value in values.items():
            known = self._fields.get(name)
            if (value or name in kept) and (known is None or (at, digest) > known[:2]):
                self._fields[name] = (at, digest, value)

    def get(self, name: str, default: Any = "") -> Any:
        """What is told of a field."""
        known = self._fields.get(name)
        return default if known is None else known[2]

    def add_commits(self, *commits: str) -> None:
        """Takes in names of commits, for those that other tellings cut short."""
        for one in commits:
            if len(one) > SHORT:
                name = f"commit {one[:SHORT]}"
                names = {one, *self.get(name, ())}
                longest = (a for a in names if not any(b != a and b.startswith(a) for b in names))
                # Two that begin alike are as good as many: the short name tells neither.
                self._fields[name] = ("", "", sorted(longest)[:2])

    def commit(self, name: str) -> str:
        """The commit that a field names, in full if just one that was told begins so, else as told."""
        told = str(self.get(name))
        if not is_short(told):
            return told
        longer = [one for one in self.get(f"commit {told[:SHORT]}", ()) if one.startswith(told)]
        return longer[0] if len(longer) == 1 else told

    @property
    def text(self) -> str:
        """All of it as JSON text, fields in order."""
        return msgspec.json.encode(self._fields, order="deterministic").decode()
