"""How a process is told to stop: SIGTERM and SIGINT end its waiting, never its work in the middle."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether to stop, and a way of waiting that ends when it is so."""

    def __init__(self, said: Callable[[], None]) -> None:
        self._said = said
        self._asked = False
        self._bell, self._button = os.pipe()
        os.set_blocking(self._button, False)

    def asked(self) -> bool:
        """Whether it is time to stop."""
        return self._asked

    def wait(self, seconds: float) -> None:
        """Comes back after some seconds, or as soon as it is time to stop."""
        # A signal between this test and the wait rings the bell all the same.
        if not self._asked:
            select.select([self._bell], [], [], max(0.0, seconds))

    def _ask(self, *_: object) -> None:
        self._asked = True
        for one in _SIGNALS:  # a second one ends it at once: all that was recorded is kept
            signal.signal(one, signal.SIG_DFL)
        os.write(self._button, b"!")
        self._said()

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Within it, the first signal asks to stop."""
        before = {one: signal.signal(one, self._ask) for one in _SIGNALS}
        try:
            yield self
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
            os.close(self._bell)
            os.close(self._button)
