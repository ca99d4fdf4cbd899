"""Ctrl-C and SIGTERM, where they would come in the middle of what must be whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def signals_later() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the end of the block: a child that nobody knows yet would live on."""
    heard: list[int] = []
    before: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for one in (signal.SIGINT, signal.SIGTERM):
                if callable(handler := signal.getsignal(one)):
                    before[one] = handler
                    signal.signal(one, lambda number, _: heard.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in heard:
            before[number](number, None)
