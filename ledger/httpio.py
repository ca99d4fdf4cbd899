"""Reading the APIs of forges over HTTP: the only module beside kubeio that does.

Only GET is ever sent, but for a POST without a body that asks for an access token. Pages are followed by
`Link: rel="next"` (RFC 8288), what has not changed costs no body (RFC 9110, `If-None-Match`), and limits are
obeyed: a short wait is waited for, a long one ends the reading with an error that says until when, for the
next pull goes on from the cursor. Credentials go to the API's own origin alone. Every error says whose
fault it is and what to do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import httpx2 as httpx
import msgspec

from ledger.errors import SourceError
from ledger.instants import FORMAT

MAX_ANSWER: Final = 64 * 2**20
MAX_PAGES: Final = 10_000
SECONDS: Final = 30.0
ATTEMPTS: Final = 4
MAX_WAIT: Final = 90.0
MAX_HOPS: Final = 5
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next"?')
_MOVED = (301, 302, 307, 308)
_OWN = ("127.0.0.1", "localhost", "::1")
_AGAIN = (429, 500, 502, 503, 504)


class Answer(NamedTuple):
    """An answer: `body` is empty where nothing changed, `next` the address of the next page, if any."""

    status: int
    etag: str
    next: str
    body: bytes

    @property
    def unchanged(self) -> bool:
        """Whether it is what the caller has already."""
        return self.status == httpx.codes.NOT_MODIFIED

    def value(self) -> Any:
        """The JSON in the body. Raises SourceError where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SourceError(f"the answer is no JSON: {error}", retryable=True) from None


class Absent(SourceError):  # noqa: N818 (an answer, not a fault)
    """The API has no such thing, or does not show it to us. `said` is what it answered."""

    said: str = ""


class Denied(SourceError):  # noqa: N818 (an answer, not a fault)
    """The API says that we may not read this, and no limit is why."""


@dataclass(slots=True)
class Api:
    """An API under one address. `name` stands in errors; `rest` waits for some seconds.

    `authorize` gives the header Authorization for each request, where it changes while we read.
    """

    name: str
    base: str
    _client: httpx.Client
    rest: Callable[[float], None] = time.sleep
    authorize: Callable[[], str] | None = None

    @classmethod
    def open(
        cls,
        name: str,
        base: str,
        headers: Mapping[str, str],
        rest: Callable[[float], None] = time.sleep,
        authorize: Callable[[], str] | None = None,
    ) -> Api:
        """A connection that opens at the first request. Raises SourceError where `base` is no web address."""
        try:
            address = httpx.URL(base)
        except httpx.InvalidURL as error:
            raise SourceError(f"source {name}: {base!r} is no address: {error}") from None
        if address.scheme not in ("http", "https") or not address.host:
            raise SourceError(f"source {name}: {base!r} is no web address of an API")
        secret = authorize is not None or any(key.lower() == "authorization" for key in headers)
        if secret and address.scheme == "http" and address.host not in _OWN:
            raise SourceError(
                f"source {name}: {base!r} would send the token in clear", hint="Use https."
            )
        client = httpx.Client(
            headers=dict(headers), timeout=SECONDS, follow_redirects=False, trust_env=True
        )
        return cls(name, base.rstrip("/"), client, rest, authorize)

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def get(self, path: str, *, etag: str = "") -> Answer:
        """The answer to a path below the base, or to an address that a page named.

        Raises SourceError, `retryable` where trying later may help, and Absent for what is not there.
        """
        return self._answer("GET", path, etag)

    def exchange(self, path: str) -> Answer:
        """The answer to a POST without a body, which asks for an access token. Raises as `get`."""
        return self._answer("POST", path, "")

    def _answer(self, method: str, path: str, etag: str) -> Answer:
        address = path if "://" in path else f"{self.base}/{path.lstrip('/')}"
        attempt = hops = 0
        while attempt < ATTEMPTS and hops < MAX_HOPS:
            answer = self._ask(method, address, etag, attempt + 1)
            if answer is None:
                attempt += 1
            elif answer.status in _MOVED:  # a renamed repository
                hops += 1
                address = answer.next
            else:
                return answer
        raise SourceError(
            f"source {self.name}: {self._shown(address)} "
            + (f"failed {ATTEMPTS} times" if hops < MAX_HOPS else "leads in a circle"),
            retryable=True,
        )

    def pages(self, path: str) -> Iterator[Answer]:
        """The pages of a list, from the first on. Raises as `get`."""
        address = path
        for _ in range(MAX_PAGES):
            answer = self.get(address)
            yield answer
            if not answer.next:
                return
            address = answer.next
        raise SourceError(f"source {self.name}: {self._shown(path)} has no end of pages")

    def _ask(self, method: str, address: str, etag: str, attempt: int) -> Answer | None:
        """One attempt; None where another one is due, for which it has waited."""
        self._check_origin(address)
        asked = _condition(etag)
        if self.authorize is not None:
            asked["authorization"] = self.authorize()
        try:
            with self._client.stream(method, address, headers=asked) as response:
                body = self._read(response, address)
        except httpx.HTTPError as error:
            if attempt == ATTEMPTS:
                raise SourceError(
                    f"source {self.name}: cannot reach {self._shown(address)}: {error}",
                    retryable=True,
                ) from error
            self.rest(2.0**attempt)
            return None
        status, headers = response.status_code, response.headers
        if status in (httpx.codes.OK, httpx.codes.CREATED, httpx.codes.NOT_MODIFIED):
            return Answer(status, headers.get("etag", ""), _next(address, headers), body)
        if status in _MOVED and "location" in headers:
            return Answer(status, "", str(httpx.URL(address).join(headers["location"])), b"")
        limit = self._limit(status, headers)
        if limit is None and status not in _AGAIN:
            raise self._refused(status, address, body)
        self._wait(limit if limit is not None else 2.0**attempt, address)
        return None

    def _read(self, response: httpx.Response, address: str) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            size += len(part)
            if size > MAX_ANSWER:
                raise SourceError(
                    f"source {self.name}: the answer to {self._shown(address)} is larger than "
                    f"{MAX_ANSWER >> 20} MB"
                )
            parts.append(part)
        return b"".join(parts)

    def _check_origin(self, address: str) -> None:
        """The token goes nowhere else, whatever a page or a redirect names."""
        there, base = httpx.URL(address), httpx.URL(self.base)
        if (there.scheme, there.host, there.port) != (base.scheme, base.host, base.port):
            raise SourceError(
                f"source {self.name}: {self._shown(self.base)} leads to another server, {there.host}",
                hint="Give the API's own address.",
            )

    def _limit(self, status: int, headers: httpx.Headers) -> float | None:
        """Seconds to wait where a limit is reached; None where none is."""
        if status not in (403, 429, 503):
            return None
        told = headers.get("retry-after", "")
        if told:
            return _seconds(told)
        if headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining", "")) == "0":
            reset = headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", ""))
            if reset.isdigit():
                return max(1.0, int(reset) - time.time())
        return 60.0 if status == 429 else None

    def _wait(self, seconds: float, address: str) -> None:
        if seconds > MAX_WAIT:
            until = datetime.fromtimestamp(time.time() + min(seconds, 1e8), UTC).strftime(FORMAT)
            raise SourceError(
                f"source {self.name}: the limit of {self._shown(address)} is reached until {until}",
                hint="What was read is kept; the next pull goes on from there.",
                retryable=True,
            )
        self.rest(seconds)

    def _refused(self, status: int, address: str, body: bytes) -> SourceError:
        place = self._shown(address)
        said = _message(body)
        text = f"source {self.name}: {place} answered {status}{f': {said}' if said else ''}"
        if status in (404, 410):
            absent = Absent(text, hint="It is not there, or the token may not see it.")
            absent.said = said
            return absent
        if status in (401, 403):
            refused = Denied if status == 403 else SourceError
            return refused(text, hint="Check the token and its rights: reading is enough.")
        return SourceError(text, retryable=status >= 500)

    def _shown(self, address: str) -> str:
        """An address without its query, which may be long or secret."""
        url = httpx.URL(address if "://" in address else f"{self.base}/{address.lstrip('/')}")
        return f"{url.host}{url.path}"


def _next(address: str, headers: httpx.Headers) -> str:
    """The address of the next page: by its number where one is told, else by its link.

    Behind a proxy GitLab's links name another server than the one that was asked.
    """
    page = headers.get("x-next-page", "")
    if page.isascii() and page.isdigit():
        return str(httpx.URL(address).copy_set_param("page", page))
    found = _NEXT.search(headers.get("link", ""))
    return found[1] if found else ""


def _condition(etag: str) -> dict[str, str]:
    return {"if-none-match": etag} if etag else {}


def _seconds(told: str) -> float:
    if told.isdigit():
        return float(told)
    try:
        return max(1.0, parsedate_to_datetime(told).timestamp() - time.time())
    except (TypeError, ValueError):
        return 60.0


def _message(body: bytes) -> str:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    said = value.get("message") if isinstance(value, dict) else None
    return (
        "".join(char for char in said if char.isprintable())[:200] if isinstance(said, str) else ""
    )
