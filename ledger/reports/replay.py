"""The ledger as it was: the first events of a log in a throw-away store, projected by this program."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from ledger import registry
from ledger.documents import Documents
from ledger.projector import Projector
from ledger.store import Store, schema

BATCH = 1_000


@contextmanager
def replayed(store: Store, position: int) -> Iterator[str]:
    """The URL of a ledger that holds the first `position` events and no more; gone afterwards.

    Contents are read from the original. Costs what a rebuild of that many events costs, and a
    database file in the folder for temporary files. IntegrityError where the log breaks off before.
    """
    with tempfile.TemporaryDirectory(prefix="ledger-replay-") as folder:
        url = f"sqlite:///{Path(folder) / 'ledger.db'}"
        projections = registry.projections()
        schema.initialise(url, projections)
        with Store.open(url, lender=store) as copy:
            rows = islice(store.leaves(), position)
            while batch := list(islice(rows, BATCH)):
                copy.take_over(batch)
            Projector(copy, projections, Documents(registry.parsers, store.content)).catch_up()
        yield url
