"""What it takes to record something: redaction, parsers, the projections with their tables.

All of that is imported when the first thing is to be recorded. Most readings of a source find nothing new,
and the imports take several times as long as to find that out.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger import redaction, registry
from ledger.config import Settings
from ledger.contents import DIGEST_SIZE, PIECES, Content, digest_text, pack
from ledger.documents import Documents
from ledger.events import RecordedEvent
from ledger.preparing import Orders, Preparer
from ledger.projector import Projector
from ledger.sources import Stored
from ledger.store import Store


class Workbench:
    """Makes facts ready to be appended, and takes the tables along with what was."""

    def __init__(
        self, settings: Settings, store: Store, key: bytes, *, processes: int, project: bool
    ) -> None:
        self._key = key
        self._patterns = redaction.compile_patterns(settings.redaction.patterns)
        parsers = registry.parsers()
        documents = Documents(lambda: parsers, store.content)
        self._projector = Projector(store, registry.projections(), documents) if project else None
        orders = Orders(key, tuple(settings.redaction.patterns), project)
        preparer = Preparer(orders, parsers, documents, processes=processes)
        self.prepare, self.heads = preparer.prepare, preparer.heads
        self.expect_much, self.end, self.close = preparer.expect_much, preparer.end, preparer.close

    def redact(self, text: str) -> str:
        """A text without its secrets."""
        return redaction.redact_text(text, self._key, patterns=self._patterns)

    def fingerprint(self, value: bytes) -> str:
        """The keyed digest that stands for a secret."""
        return redaction.fingerprint(self._key, value)

    def make_ready(self, name: str, data: bytes) -> Stored:
        """A text redacted as a file of that name would be, and packed."""
        redacted = redaction.redact(name, data, self._key, patterns=self._patterns)
        content = pack(redacted.data)
        secret = bool(redacted.findings)
        return Stored(digest_text(content.digest), [content], secret)

    def project(self, recorded: Sequence[RecordedEvent] = (), kept: Sequence[Content] = ()) -> None:
        """Projects all that the tables lack; `recorded` was just appended, `kept` along with it."""
        if self._projector is not None:
            self._note_pieces(self._projector, kept)
            self._projector.catch_up(recorded)

    @staticmethod
    def _note_pieces(projector: Projector, kept: Sequence[Content]) -> None:
        workspace = projector.workspace
        for one in kept:
            if one.kind == PIECES:
                size = DIGEST_SIZE
                pieces = [one.data[at : at + size] for at in range(0, len(one.data), size)]
                workspace.note_pieces(one.digest, pieces)
            else:
                workspace.note_pieces(one.digest, [one.digest])

    @property
    def stopped(self) -> tuple[str, ...]:
        """The projections that stopped, each with where and why."""
        return tuple(self._projector.failures) if self._projector is not None else ()
