"""The bodies of requests: read up to a limit, and beyond it only to be dropped."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import Request
from starlette.requests import ClientDisconnect

BODY_SECONDS = 30.0
DISCARD_SECONDS = 10.0
AT_ONCE = 8  # bodies of the largest size that are in memory together, whoever sends them


class TooLargeError(Exception):
    """The body is larger than the limit."""


class NoRoomError(Exception):
    """The bodies that are being received fill the room that there is for all."""


class Room:
    """The memory for bodies. They come before anybody knows who sends them, so they share a limit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._left = AT_ONCE * most

    def take(self, size: int) -> None:
        """Raises NoRoomError where there is not as much left."""
        if size > self._left:
            raise NoRoomError
        self._left -= size

    def give_back(self, size: int) -> None:
        """What is no longer needed."""
        self._left += size


class Body:
    """The body of one request, as it comes. Use it as a context: it gives its room back at the end."""

    def __init__(self, request: Request, room: Room) -> None:
        said = request.headers.get("content-length", "")
        self._said = int(said[:15]) if said.isascii() and said.isdigit() else 0
        self._chunks = request.stream()
        self._room = room
        self._held = 0

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give_back(self._held)
        self._held = 0

    async def read(self) -> bytes:
        """All of it. Refused as soon as it is known to be too large, whatever its length is said to be.

        Raises TooLargeError, NoRoomError, TimeoutError after BODY_SECONDS, and ClientDisconnect.
        """
        if self._said > self._room.most:
            raise TooLargeError
        body = bytearray()
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in self._chunks:
                if len(body) + len(chunk) > self._room.most:
                    raise TooLargeError
                self._room.take(len(chunk))
                self._held += len(chunk)
                body += chunk
        return bytes(body)

    async def discard(self) -> None:
        """Reads what is left and drops it: at most twice the limit, and not longer than DISCARD_SECONDS."""
        left = 2 * self._room.most
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout(DISCARD_SECONDS):
                async for chunk in self._chunks:
                    left -= len(chunk)
                    if left < 0:
                        return
