"""Merges that a forge names by the first digits of a commit: which mainline commit each of them is.

A name cut short says which commit it is only as long as no other revision of the repository begins so;
two that do are easily made on purpose. The revisions and what forges tell may come in any order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.projections import Context, Table, key_text
from ledger.projections.reviews import ReportedPullRequestRow
from ledger.tellings import SHORT, is_short


class PrefixRow(NamedTuple):
    """A revision, to be found by the first digits of its name."""

    repository: str
    prefix: str
    commit_sha: str


class ShortMergeRow(NamedTuple):
    """A short name of a merge. `commit_sha` is the revision that it names, "" if not just one does."""

    repository: str
    number: int
    merge_commit: str
    prefix: str
    commit_sha: str
    matches: int


PREFIXES = Table(
    "model_revision_prefix",
    PrefixRow,
    key=("repository", "prefix", "commit_sha"),
    lookups=(("repository", "prefix"),),
)
SHORT_MERGES = Table(
    "model_short_merge",
    ShortMergeRow,
    key=("repository", "number", "merge_commit"),
    lookups=(("repository", "prefix"),),
)


def short_merge(context: Context, repository: str, number: int, name: str) -> ShortMergeRow:
    """A short name of a merge, and what it names among the revisions that there are now."""
    found = revisions_like(context, repository, name)
    only = found[0] if len(found) == 1 else ""
    return ShortMergeRow(repository, number, name, name[:SHORT], only, len(found))


def revisions_like(context: Context, repository: str, name: str) -> list[str]:
    """The revisions whose names begin with a short one."""
    rows = context.find(PrefixRow, repository=repository, prefix=name[:SHORT])
    return [row.commit_sha for row in rows if row.commit_sha.startswith(name)]


def short_merges_of(context: Context, repository: str, commit: str) -> Iterable[ShortMergeRow]:
    """The short names that a revision begins with."""
    rows = context.find(ShortMergeRow, repository=repository, prefix=commit[:SHORT])
    return [row for row in rows if commit.startswith(row.merge_commit)]


def merge_of(context: Context, pull: ReportedPullRequestRow | None) -> tuple[str, int]:
    """The commit that a pull request was merged as, "" if none is told; and how many it may be."""
    told = pull.merge_commit_sha if pull is not None else ""
    if pull is None or not is_short(told):
        return told, 1
    row = context.get(ShortMergeRow, pull.repository, pull.number, key_text(told))
    return (row.commit_sha or told, row.matches) if row is not None else (told, 0)
