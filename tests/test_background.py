"""Another process works out items meanwhile; here they arrive as if it had been done on the spot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from pickle import PicklingError
from typing import Any

import pytest

from ledger.background import MOST, Background
from ledger.errors import LedgerError, SourceError


def count(to: int) -> Iterator[int]:
    yield from range(to)


def fail(error: Exception) -> Iterator[int]:
    yield 1
    raise error


def never() -> Iterator[int]:
    yield 1
    time.sleep(600)


def test_items_come_in_order_and_more_of_them_than_may_wait() -> None:
    work = Background(count, 3 * MOST)
    assert list(work) == list(range(3 * MOST))
    work.close()


def measure(texts: list[str]) -> Iterator[int]:
    yield from map(len, texts)


def test_what_is_worked_on_may_be_more_than_a_pipe_holds() -> None:
    work = Background(measure, ["x" * 5_000_000, ""])
    assert list(work) == [5_000_000, 0]
    work.close()


def test_what_cannot_travel_is_refused_at_once() -> None:
    with pytest.raises((TypeError, AttributeError, PicklingError)):
        Background(measure, lambda: None)


def test_an_error_of_ours_comes_whole_after_the_items_before_it() -> None:
    work = Background(fail, SourceError("git log failed", hint="Try again.", retryable=True))
    items: list[Any] = []
    with pytest.raises(SourceError) as caught:
        items.extend(work)
    work.close()
    assert (caught.value.message, caught.value.hint) == ("git log failed", "Try again.")
    assert caught.value.retryable


def test_any_other_error_is_named() -> None:
    work = Background(fail, ValueError("of no kind we know"))
    with pytest.raises(LedgerError, match="ValueError: of no kind we know"):
        list(work)
    work.close()


def test_work_that_is_not_wanted_any_more_ends_with_its_process() -> None:
    work = Background(never)
    assert next(iter(work)) == 1
    work.close()
    with pytest.raises(LedgerError, match="the other process ended"):
        list(work)


def tidy(place: Path) -> Iterator[int]:
    try:
        yield 1
        time.sleep(600)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        place.write_text("tidied")


def test_work_that_is_told_twice_to_end_still_puts_its_things_away(tmp_path: Path) -> None:
    work = Background(tidy, tmp_path / "place")
    assert next(iter(work)) == 1
    work.close()
    assert (tmp_path / "place").read_text() == "tidied"


ENDING = """
import atexit, os, signal
from ledger.background import deaf_to_interrupts
atexit.register(os.kill, os.getpid(), signal.SIGTERM)  # runs after what is registered later
deaf_to_interrupts()
"""


def test_a_process_that_is_ended_while_it_ends_says_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDING], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
