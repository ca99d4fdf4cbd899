"""What a forge did not deliver is found by its API; nothing else is ever called lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import deliveries
from ledger import ingest as shell
from ledger.config import SourceSettings
from ledger.events import CollectorGap, PullRequestMerged
from ledger.instants import FORMAT, moment
from ledger.reconciling import KIND, Reconciler, reconciling
from ledger.registry import sources
from ledger.sources import Import
from ledger.store import heard
from ledger.store.inbox import Inbox
from ledger.testing import Ledger, make_ledger
from ledger.testing.github import Delivery, Github, github


@pytest.fixture
def forge() -> Iterator[Github]:
    with github() as forge:
        yield forge


def ledger_of(forge: Github, folder: Path, database: str = "") -> Ledger:
    source = SourceSettings(kind="github", name="api", url=f"{forge.server.url}/acme/infra")
    return make_ledger(folder, source, database=database)


@pytest.fixture
def ledger(forge: Github, tmp_path: Path) -> Ledger:
    return ledger_of(forge, tmp_path)


@pytest.fixture
def on_both(forge: Github, tmp_path: Path, database_url: str) -> Ledger:
    """The same on SQLite and on PostgreSQL, for what the database could change."""
    return ledger_of(forge, tmp_path, database_url)


def accept(ledger: Ledger, one: Delivery, at: str) -> None:
    with Inbox.open(ledger.settings.database_url) as inbox:
        headers, body = one.signed(b"secret")
        inbox.accept("github", one.id, received_at=at, headers=headers, body=body)


def deliver(ledger: Ledger, *delivered: Delivery, late: timedelta = timedelta(seconds=2)) -> None:
    """Deliveries come some time after what they tell, and are recorded."""
    last = max(one.body["delivered_at"] for one in delivered)
    now = (moment(last) + late).strftime(FORMAT)
    for one in delivered:
        accept(ledger, one, now)
    deliveries.drain(ledger.settings, clock=lambda: now)


def read(forge: Github, ledger: Ledger, hours: float = 4) -> list[CollectorGap]:
    """The API is read some hours after the last thing that happened; gives what is called lost."""
    ledger.clock = forge.clock + timedelta(hours=hours)
    ledger.grow()
    return lost(ledger)


def lost(ledger: Ledger) -> list[CollectorGap]:
    found = [one.data for one in ledger.events(CollectorGap)]
    return [one for one in found if isinstance(one, CollectorGap) and one.kind == KIND]


def merged(forge: Github, *numbers: int) -> list[list[Delivery]]:
    """Pull requests that are opened and merged, and their deliveries but that of the push."""
    found = []
    for number in numbers:
        opened = forge.open(number)
        found.append([opened, forge.merge(number)[1]])
    return found


# -- what is lost ----------------------------------------------------------------------------------


def test_a_merge_between_delivered_ones_that_never_came_is_a_gap_with_its_span(
    forge: Github, on_both: Ledger
) -> None:
    first, second, third = merged(forge, 1, 2, 3)
    deliver(on_both, *first, second[0], *third)
    [gap] = read(forge, on_both)
    assert gap.detail.startswith("pull/2/merged of 127.0.0.1/acme/infra at ")
    assert gap.since == second[0].body["delivered_at"]
    assert gap.until == third[0].body["delivered_at"]
    assert len(on_both.events(PullRequestMerged)) == 5  # two of them told twice
    [row] = on_both.rows("select since from gaps")
    assert row == (gap.since,)


def test_a_review_that_never_came_is_a_gap(forge: Github, ledger: Ledger) -> None:
    opened = forge.open(1)
    given = [forge.review(1, who) for who in ("ann", "bob", "cid")]
    deliver(ledger, opened, given[0], given[2])
    [gap] = read(forge, ledger)
    assert gap.detail.startswith(f"review/{given[1].body['review']['id']}/submitted of ")


def test_a_push_that_never_came_is_a_gap(forge: Github, ledger: Ledger) -> None:
    pushed = [forge.push(who) for who in ("ann", "bob", "cid")]
    deliver(ledger, pushed[0], pushed[2])
    [gap] = read(forge, ledger)
    assert gap.detail.startswith("ref/refs/heads/main/pushed/")


def test_a_loss_is_told_once(forge: Github, on_both: Ledger) -> None:
    first, _, third = merged(forge, 1, 2, 3)
    deliver(on_both, *first, *third)
    before = read(forge, on_both)
    [fourth] = merged(forge, 4)
    forge.review(2, "bob")
    deliver(on_both, *fourth)
    assert read(forge, on_both) == before


def test_a_loss_is_told_though_the_process_ends_when_it_has_read_the_fact(
    forge: Github, ledger: Ledger
) -> None:
    first, _, third = merged(forge, 1, 2, 3)
    deliver(ledger, *first, *third)
    read(forge, ledger, hours=2)
    with reconciling(sources()["github"], ledger.settings.database_url) as reconciler:
        awaited = list(reconciler.lost("2030-01-01T00:00:00Z", lambda _: False))
    assert [one.key.rpartition("/")[0] for one, _ in awaited] == ["127.0.0.1/acme/infra/pull/2"]
    assert len(read(forge, ledger)) == 1


# -- what is not lost ------------------------------------------------------------------------------


def test_what_happened_before_the_webhook_began_is_not_lost(forge: Github, ledger: Ledger) -> None:
    _, second, third = merged(forge, 1, 2, 3)
    deliver(ledger, *second, *third)
    assert read(forge, ledger) == []


def test_what_happened_after_the_last_delivery_is_not_known_to_be_lost(
    forge: Github, ledger: Ledger
) -> None:
    first, second, _ = merged(forge, 1, 2, 3)
    deliver(ledger, *first, *second)
    assert read(forge, ledger) == []


def test_a_webhook_that_was_not_to_tell_of_reviews_lost_none(forge: Github, ledger: Ledger) -> None:
    for number in (1, 2, 3):
        opened = forge.open(number)
        forge.review(number, "bob")
        _, closed = forge.merge(number)
        deliver(ledger, opened, closed)
    assert read(forge, ledger) == []


def test_a_remark_is_never_called_lost(forge: Github, ledger: Ledger) -> None:
    opened = forge.open(1)
    first, _, last = (
        forge.review(1, who, state)
        for who, state in [("ann", "APPROVED"), ("bob", "COMMENTED"), ("cid", "APPROVED")]
    )
    deliver(ledger, opened, first, last)
    assert read(forge, ledger) == []


def test_a_forge_has_hours_to_deliver(forge: Github, ledger: Ledger) -> None:
    first, second, third = merged(forge, 1, 2, 3)
    deliver(ledger, *first, *third)
    assert read(forge, ledger, hours=2.5) == []
    deliver(ledger, *second, late=timedelta(hours=2.6))
    assert read(forge, ledger) == []


def test_what_waits_in_the_inbox_is_not_lost(forge: Github, on_both: Ledger) -> None:
    first, second, third = merged(forge, 1, 2, 3)
    deliver(on_both, *first, *third)
    for one in second:
        accept(on_both, one, "2026-03-01T12:00:00Z")
    assert read(forge, on_both) == []
    deliveries.drain(on_both.settings, clock=lambda: on_both.now)
    assert read(forge, on_both) == []


def test_what_came_late_says_nothing_of_the_time_around_it(forge: Github, ledger: Ledger) -> None:
    """A webhook that is set up today can be sent again what is three days old."""
    first, _, third = merged(forge, 1, 2, 3)
    deliver(ledger, *first, late=timedelta(days=2))
    deliver(ledger, *third)
    assert read(forge, ledger) == []


def test_files_are_no_deliveries(forge: Github, ledger: Ledger, tmp_path: Path) -> None:
    first, _, third = merged(forge, 1, 2, 3)
    for one in [*first, *third]:
        file = tmp_path / f"{one.id}.json"
        file.write_bytes(one.signed(b"")[1])
        shell.import_files(
            ledger.settings, "github", Import(files=[file]), clock=lambda: "2026-03-01T10:00:09Z"
        )
    assert read(forge, ledger) == []


def test_a_branch_that_the_webhook_does_not_tell_of_lost_nothing(
    forge: Github, ledger: Ledger
) -> None:
    pushed = [forge.push(who) for who in ("ann", "bob", "cid")]
    for one in (pushed[0], pushed[2]):
        one.body["ref"] = "refs/heads/other"
    deliver(ledger, pushed[0], pushed[2])
    assert read(forge, ledger) == []


def test_a_ledger_without_deliveries_keeps_no_notes(forge: Github, ledger: Ledger) -> None:
    merged(forge, 1, 2, 3)
    assert read(forge, ledger) == []
    assert Inbox.find(ledger.settings.database_url) is None
    assert isinstance(Reconciler("github", frozenset(), None), Reconciler)


# -- what is kept to know it ------------------------------------------------------------------------


def test_notes_older_than_can_matter_are_dropped_and_nothing_is_called_lost_for_it(
    forge: Github, on_both: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heard, "MOST_OLD", 0)
    long_ago = merged(forge, 1, 2, 3)
    deliver(on_both, *(one for told in long_ago for one in told))
    assert noted(on_both) == [1, 1, 2, 2, 3, 3]
    forge.clock += timedelta(days=89)
    deliver(on_both, *merged(forge, 4)[0])
    assert noted(on_both) == [1, 1, 2, 2, 3, 3, 4, 4]
    forge.clock += timedelta(days=2)
    deliver(on_both, *merged(forge, 5)[0])
    assert noted(on_both) == [3, 4, 4, 5, 5]  # the last one before stays
    assert read(forge, on_both) == []


def test_a_loss_since_the_last_old_note_is_still_found(
    forge: Github, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heard, "MOST_OLD", 0)
    deliver(ledger, *merged(forge, 1)[0])
    merged(forge, 2)
    forge.clock += timedelta(days=200)
    deliver(ledger, *merged(forge, 3)[0])
    assert noted(ledger) == [1, 3, 3]
    assert "pull/2/merged" in {gap.detail.partition(" of ")[0] for gap in read(forge, ledger)}


def test_few_old_notes_are_let_stand(forge: Github, ledger: Ledger) -> None:
    deliver(ledger, *(one for told in merged(forge, 1, 2, 3) for one in told))
    forge.clock += timedelta(days=200)
    deliver(ledger, *merged(forge, 4)[0])
    assert noted(ledger) == [1, 1, 2, 2, 3, 3, 4, 4]


def noted(ledger: Ledger) -> list[int]:
    """The numbers of the pull requests that deliveries are noted to have told of."""
    with Inbox.open(ledger.settings.database_url) as inbox:
        keys = inbox.connection.rows(f"select key from {inbox.beside('heard')} where live = 1")
    return sorted(int(key.split("/pull/")[1].split("/")[0]) for (key,) in keys)


# -- in any order ----------------------------------------------------------------------------------


@settings(max_examples=6, deadline=None)
@given(
    missing=st.sets(st.integers(0, 13), max_size=5),
    order=st.permutations(range(14)),
    early=st.booleans(),
)
def test_the_same_is_lost_in_whatever_order_deliveries_and_the_api_tell(
    tmp_path_factory: pytest.TempPathFactory, missing: set[int], order: list[int], early: bool
) -> None:
    with github() as forge:
        told: list[Delivery] = []
        for number in range(1, 4):
            told += [forge.open(number), forge.review(number, "bob"), *forge.merge(number)]
        told += [forge.push("eve"), forge.open(9)]
        came = [one for index, one in enumerate(told) if index not in missing]
        plain = ledger_of(forge, tmp_path_factory.mktemp("plain"))
        deliver(plain, *came)
        expected = sorted(one.detail for one in read(forge, plain))
        assert len(expected) <= len(missing)
        other = ledger_of(forge, tmp_path_factory.mktemp("other"))
        shuffled = [told[index] for index in order if index not in missing]
        half = len(shuffled) // 2
        deliver(other, *shuffled[:half])
        if early:
            read(forge, other, hours=0.5)
        deliver(other, *shuffled[half:], *shuffled[:half])
        assert sorted(one.detail for one in read(forge, other)) == expected
