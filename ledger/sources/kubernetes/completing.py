"""Dumps of which a person says that they hold everything: what was there before and is not in them is gone.

All files of one command are one look, at the time of the newest. Nothing is said of a kind in a namespace
of which they show no object; and nothing at all where a part of them could not be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ledger.events import Identity, NewEvent
from ledger.jsontext import clean
from ledger.sources import Batch, Tools, clusters, surveys
from ledger.sources.kubernetes.telling import KIND, absence_of, known_in, read_told
from ledger.sources.looks import Look, Name

EVENTS_AT_ONCE: Final = 500


class Whole:
    """What the files of one command hold together."""

    def __init__(self, cluster: str, tools: Tools) -> None:
        self.cluster = cluster
        self._tools = tools
        self._at = ""
        self._held: dict[Name, str] = {}
        self._files: set[str] = set()
        self._faults: list[str] = []

    def broken_by(self, path: Path, reason: str) -> NewEvent:
        """The gap that a file, or a part of it, cannot be read; then the files are not complete."""
        self._faults.append(f"{path.name}: {reason}")
        return clusters.file_gap(KIND, self.cluster, path, reason, self._tools)

    def add(self, path: Path, key: str, look: Look, *, is_page: bool) -> None:
        """Takes in a file that was read to its end; `key` is that of its survey."""
        self._at = max(self._at, look.at)
        self._held |= look.seen
        self._files.add(key.rsplit("/", 2)[1])
        if is_page:
            reason = "it is one page of a longer list (metadata.continue is set)"
            self._faults.append(f"{path.name}: {reason}")

    def stated(self, person: Identity) -> Iterator[Batch]:
        """What is gone on a person's word, and the survey that keeps it; else the gap that says why not."""
        if self._faults:
            yield Batch(events=[self._refused()])
            return
        look = surveys.look_again(KIND, self.cluster, self._at, self._tools, read_told)
        events: list[NewEvent] = []
        for scope in sorted({name.scope for name in self._held}):
            known = known_in(self.cluster, scope, self._tools)
            for name in sorted(known.keys() - self._held.keys()):
                events += absence_of(name, known[name], look, person)
            if len(events) >= EVENTS_AT_ONCE:
                yield Batch(events=events)
                events = []
        survey, lists = surveys.stated_survey(look, self._held, self._files, person, self._tools)
        yield Batch(events=[*events, *survey], contents=lists)

    def _refused(self) -> NewEvent:
        more = f" (and {len(self._faults) - 1} more)" if len(self._faults) > 1 else ""
        detail = (
            f"the files are not complete, so nothing is said to be gone: {self._faults[0]}{more}. "
            "Hand over a whole dump with --complete again"
        )
        return clusters.gap(KIND, self.cluster, "incomplete", self._tools.redact(clean(detail)))
