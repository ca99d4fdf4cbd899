"""A small web server of our own that answers as told, for what is read over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    """One request: its path, its query, its headers by lower-case name."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    method: str = "GET"


class Reply(NamedTuple):
    """One answer; `body` is sent as JSON unless it is bytes.

    With a `content-length` of its own, larger than the body, it breaks off.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = {}


@dataclass
class WebServer:
    """A running server: where it is, what it was asked, and how it answers."""

    url: str
    answer: Callable[[Asked], Reply]
    asked: list[Asked] = field(default_factory=list)


class Emulated(Protocol):
    """An API of our own: something that answers."""

    def answer(self, asked: Asked) -> Reply:
        """What it answers."""


E = TypeVar("E", bound=Emulated)


@contextmanager
def emulated(make: Callable[[WebServer], E]) -> Iterator[E]:
    """An API of our own, made for a server that then answers as it does, until the end of the block."""
    with web_server(lambda _: Reply()) as server:
        api = make(server)
        server.answer = api.answer
        yield api


@contextmanager
def web_server(answer: Callable[[Asked], Reply]) -> Iterator[WebServer]:
    """Serves on a free port of this machine until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(parts.path, dict(parse_qsl(parts.query)), headers, method)
            running.asked.append(asked)
            reply = running.answer(asked)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if "content-length" not in reply.headers:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = WebServer(f"http://127.0.0.1:{server.server_port}", answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
