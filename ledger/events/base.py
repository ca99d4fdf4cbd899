"""What the data of every event is built from."""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the data of every event; fields at their default are left out of the stored bytes."""


class Identity(Fact, frozen=True, kw_only=True):
    """A person as a source names them: the only value in events that stands for people."""

    name: str = ""
    email: str = ""
    login: str = ""
