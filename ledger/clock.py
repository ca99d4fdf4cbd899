"""The system's clock, for the shell alone; pure code is given the time."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """Now, as UTC text."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
