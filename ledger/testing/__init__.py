"""For tests of your own: small Git repositories made by real Git, and throw-away ledgers that read them.

    repo = make_repo(tmp_path / "infra")
    repo.commit({"app.yaml": MANIFEST}, "Add the app")
    head = repo.commit({"app.yaml": CHANGED}, "Two replicas (#7)", branch="feature")
    repo.pull_head(7, head)
    repo.merge("feature", "Merge pull request #7 from ann/feature")

    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.ingest()
    assert ledger.rows("select number from revisions where pull_request = 7")

The same calls give the same commit ids on every machine: people, clocks, keys and Git's settings are
fixed, and nothing of the user's configuration is read.

`facts` makes up what controllers and clusters tell. `servers` are web servers that answer as you say,
`github` is one that answers as GitHub does, and `payloads` helps with what forges send. `programs` is for
the command line.
"""

from __future__ import annotations

from ledger.testing.ledgers import FIRST_INGEST, TEST_KEY, Ledger, make_database, make_ledger, track
from ledger.testing.repos import (
    ANN,
    BOB,
    FIRST_COMMIT,
    Entry,
    Person,
    Repo,
    executable,
    link,
    make_repo,
    submodule,
)

__all__ = [
    "ANN",
    "BOB",
    "FIRST_COMMIT",
    "FIRST_INGEST",
    "TEST_KEY",
    "Entry",
    "Ledger",
    "Person",
    "Repo",
    "executable",
    "link",
    "make_database",
    "make_ledger",
    "make_repo",
    "submodule",
    "track",
]
