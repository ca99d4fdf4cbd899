"""A merge that is told by the first digits of a commit is the revision that begins so, if just one does."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from ledger.events import (
    CommitObserved,
    Event,
    Identity,
    NewEvent,
    PullRequest,
    PullRequestMerged,
    RevisionObserved,
)
from ledger.projections import pull_requests, reviews
from ledger.tellings import Tellings
from ledger.testing import Ledger, make_ledger

FORGE = "bitbucket.org/acme/infra"
BEGIN = "0123456789ab"
START, MERGE, LIKE_IT, OTHER = "e" * 40, BEGIN + "c" * 28, BEGIN + "d" * 28, "f" * 40
HEAD = "b" * 40
AT = "2026-03-01T10:09:00Z"
ARRIVAL = {"evidence_position", "recorded_at"}
Row = tuple[Any, ...]


def landed(commit: str, number: int, parent: str) -> list[Event]:
    """A commit whose message names nothing, and that it is the next of main."""
    ann = Identity(name="Ann", email="ann@example.org")
    observed = CommitObserved(
        repository="infra",
        commit=commit,
        tree=commit,
        parents=[parent] if parent else [],
        author=ann,
        committer=ann,
        message="More",
        object_digest=f"sha256:{commit}",
    )
    step = RevisionObserved(
        repository="infra",
        branch="main",
        number=number,
        commit=commit,
        first_parent=parent,
        move="infra/refs/heads/main/1",
    )
    return [observed, step]


def merged(commit: str, at: str = AT, head: str = HEAD[:12]) -> Event:
    return PullRequestMerged(
        repository="infra",
        forge=FORGE,
        pull_request=PullRequest(
            number=7, head=head, author=Identity(login="ann"), base="main", updated_at=at
        ),
        merge_commit=commit,
        merged_at=AT,
        merged_by=Identity(login="bob"),
    )


def new(place: int, data: Event) -> NewEvent:
    return NewEvent(
        stream="repository/infra",
        key=f"{data.TYPE}/{getattr(data, 'commit', place)}",
        source="made up",
        data=data,
    )


def told(ledger: Ledger, *facts: Event) -> Ledger:
    ledger.tell(*(new(place, one) for place, one in enumerate(facts)))
    return ledger


def link_of(ledger: Ledger, commit: str) -> Row:
    sql = "select pull_request, link_grade, link_reason, merged_by from revisions where commit_sha = ?"
    (row,) = ledger.rows(sql, commit)
    return row


def merge_of(ledger: Ledger) -> Row:
    (row,) = ledger.rows("select merge_commit_sha, link_grade, link_reason from pull_requests")
    return row


FIRST = landed(START, 1, "")
SECOND = landed(MERGE, 2, START)
THIRD = landed(LIKE_IT, 3, MERGE)


@pytest.mark.parametrize("digits", [12, 20, 39])
def test_the_one_revision_that_begins_so_is_the_merge(
    tmp_path: Path, database_url: str, digits: int
) -> None:
    ledger = make_ledger(tmp_path, database=database_url)
    told(ledger, *FIRST, *SECOND, merged(MERGE[:digits]))
    said = "the forge says that this commit is the merge of #7"
    said += "; what landed was not compared with its head"
    assert link_of(ledger, MERGE) == (7, "reported", said, "bob")
    assert merge_of(ledger) == (MERGE, "reported", said)
    assert link_of(ledger, START)[:2] == (None, "unlinked")


def test_it_is_found_although_the_forge_told_of_it_before_git_did(tmp_path: Path) -> None:
    ledger = told(make_ledger(tmp_path), merged(BEGIN))
    assert merge_of(ledger)[:2] == (BEGIN, "unlinked")
    told(ledger, *FIRST, *SECOND)
    assert link_of(ledger, MERGE)[:2] == (7, "reported")


def test_where_two_revisions_begin_so_neither_is_the_merge(
    tmp_path: Path, database_url: str
) -> None:
    ledger = told(make_ledger(tmp_path, database=database_url), *FIRST, *SECOND, merged(BEGIN))
    assert link_of(ledger, MERGE)[:2] == (7, "reported")
    told(ledger, *THIRD)
    reason = (
        f"the forge says that #7 was merged as {BEGIN}, and 2 commits of the mainline begin so: "
        "no link"
    )
    assert link_of(ledger, MERGE) == link_of(ledger, LIKE_IT) == (None, "unlinked", reason, "")
    assert merge_of(ledger)[:2] == (BEGIN, "unlinked")


def test_the_whole_name_told_at_any_time_tells_them_apart(tmp_path: Path) -> None:
    ledger = told(make_ledger(tmp_path), *FIRST, *SECOND, *THIRD, merged(BEGIN))
    told(ledger, merged(LIKE_IT, at="2026-03-01T10:00:00Z"))
    assert link_of(ledger, LIKE_IT)[:2] == (7, "reported")
    number, grade, reason, _ = link_of(ledger, MERGE)
    assert (number, grade) == (None, "unlinked")
    assert reason.endswith("which merely begins like this commit: no link")


def test_another_commit_than_the_one_named_by_its_digits_is_no_merge(tmp_path: Path) -> None:
    ledger = told(make_ledger(tmp_path), *FIRST, *SECOND, merged("0" * 12))
    assert link_of(ledger, MERGE)[:2] == (None, "unlinked")


def test_a_name_of_fewer_digits_is_no_name(tmp_path: Path) -> None:
    ledger = told(make_ledger(tmp_path), *FIRST, *SECOND, merged(MERGE[:11]))
    assert link_of(ledger, MERGE)[:2] == (None, "unlinked")


def tables(ledger: Ledger) -> list[list[Row]]:
    found = []
    for one in (reviews, pull_requests):
        for table in one.PROJECTION.tables:
            columns = ", ".join(name for name in table.columns if name not in ARRIVAL)
            found.append(sorted(ledger.rows(f"select {columns} from {table.name}")))
    return found


def test_no_order_makes_a_difference_and_nor_does_a_rebuild(tmp_path: Path) -> None:
    git = [*FIRST, *SECOND, *THIRD]
    forge = [merged(BEGIN), merged(MERGE[:20], "2026-03-01T10:01:00Z"), merged(OTHER[:12], "2026")]
    expected: list[list[Row]] = []
    ledgers = [make_ledger(tmp_path / str(turn)) for turn in range(6)]
    for turn, order in enumerate(itertools.permutations(forge)):
        ledger = ledgers[turn]
        cut, place = turn % 3, (0, 3, 5, 6)[turn % 4]
        for part in (order[:cut], git[:place], order[cut:], git[place:]):
            facts = [NewEvent(stream="x", key=repr(one), source="x", data=one) for one in part]
            ledger.tell(*facts)
        found = tables(ledger)
        expected = expected or found
        assert found == expected, turn
    ledgers[0].rebuild()
    assert tables(ledgers[0]) == expected


# -- names of commits in what several tellings say ------------------------------------------------------


def test_a_short_name_is_known_in_full_whenever_any_telling_had_it_so() -> None:
    told = [("a", BEGIN), ("b", MERGE), ("c", OTHER), ("d", BEGIN)]
    for order in itertools.permutations(told):
        found = Tellings()
        for at, name in order:
            found.add({"head": name}, at, "")
            found.add_commits(name)
        assert found.commit("head") == MERGE


def test_a_short_name_that_two_commits_begin_with_stays_short() -> None:
    texts = set()
    for order in itertools.permutations([MERGE, LIKE_IT, MERGE[:20], BEGIN + "e" * 28]):
        found = Tellings()
        found.add({"head": BEGIN}, "a", "")
        found.add_commits(*order)
        assert found.commit("head") == BEGIN
        texts.add(found.text)
    assert len(texts) == 1


def test_a_longer_short_name_tells_which_of_two_it_is() -> None:
    found = Tellings()
    found.add({"head": MERGE[:20]}, "a", "")
    found.add_commits(MERGE, LIKE_IT)
    assert found.commit("head") == MERGE
