"""`POST /webhooks/{kind}`: a delivery is checked, kept durably, and only then acknowledged.

The signature is over the raw body, so the body is read first, up to a limit, and nothing of it is looked
at before the signature is right. What the body means is decided later, by the source that it is of.
What is refused is counted (`refusals`); a signed body that is no JSON is refused and kept all the same, so
that the ledger tells of it by its id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from ledger import jsontext, registry
from ledger.config import FILE, Settings
from ledger.errors import LedgerError, UsageError
from ledger.ingest import Clock
from ledger.instants import moment
from ledger.sources import Webhook
from ledger.store.inbox import ACCEPTED, CONFLICTING, Arrival
from ledger.web import bodies
from ledger.web.bodies import Body, NoRoomError, Room, TooLargeError
from ledger.web.keeping import Keeper
from ledger.web.refusals import Counter, Refusal, Refused

LONGEST_HEADER = 200
MOST_APART = 300  # seconds, as the Standard Webhooks specification advises
LARGE = 65_536  # bytes of a body that others would wait for while it is checked
_log = logging.getLogger("ledger.web")


@dataclass(frozen=True, slots=True)
class Sender:
    """A kind of sender whose deliveries are taken: how they are checked, and the secrets they may bear."""

    webhook: Webhook
    secrets: Sequence[bytes]

    def authentic(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether any of the secrets signed the body; two of them let a secret be changed without a gap."""
        return any(self.webhook.authentic(headers, body, one) for one in self.secrets)


def senders(settings: Settings) -> dict[str, Sender]:
    """The configured senders by kind. Raises UsageError that names the `[[webhook]]` at fault."""
    known = {kind: one.webhook for kind, one in registry.sources().items() if one.webhook}
    secrets: dict[str, list[bytes]] = {}
    for one in settings.webhook:
        if one.kind not in known:
            raise UsageError(
                f"{FILE}: nothing takes deliveries of kind {one.kind!r}",
                hint=f"Known: {', '.join(sorted(known)) or 'none'}.",
            )
        secrets.setdefault(one.kind, []).append(_secret(settings.path(one.secret_file)))
    return {kind: Sender(known[kind], found) for kind, found in secrets.items()}


def _secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes().strip(b"\r\n")
    except OSError as error:
        raise UsageError(
            f"the webhook secret {path} cannot be read: {error.strerror}",
            hint="Write the secret that you gave the sender into that file.",
        ) from error
    if not secret:
        raise UsageError(
            f"the webhook secret {path} is empty",
            hint="Anybody could sign with it. Write the secret that you gave the sender into it.",
        )
    return secret


def check_exposure(host: str, found: Mapping[str, Sender]) -> None:
    """Raises UsageError where a server without anything to check signatures with would be reachable."""
    if found or _is_loopback(host):
        return
    raise UsageError(
        f"the server does not listen on {host}, beyond this machine, without a webhook secret",
        hint=f"Add a [[webhook]] with a secret_file to {FILE}, or listen on 127.0.0.1.",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Receiver:
    """Takes deliveries. `wake` is called after each that is kept."""

    def __init__(
        self,
        settings: Settings,
        found: Mapping[str, Sender],
        clock: Clock,
        counter: Counter,
        keeper: Keeper,
        wake: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._found = found
        self._known = {kind for kind, one in registry.sources().items() if one.webhook}
        self._clock = clock
        self._counter = counter
        self._keeper = keeper
        self._wake = wake
        self._room = Room(settings.server.max_body)

    async def receive(self, kind: str, request: Request) -> JSONResponse:
        """The answer to a request, whatever it holds."""
        with Body(request, self._room) as body:
            try:
                return await self._take(kind, request, body)
            except Refused as refused:
                if refused.reason:
                    await self._counter.note(kind, refused.reason, self._clock())
                return Refusal(refused, body)

    async def _take(self, kind: str, request: Request, body: Body) -> JSONResponse:
        sender = self._found.get(kind)
        if sender is None:
            raise Refused(
                404,
                f"no secret is configured for deliveries of {kind!r}",
                f"Add a [[webhook]] of that kind to {FILE} and start the server again.",
                reason="unconfigured" if kind in self._known else "",
            )
        raw = await self._read(body)
        headers = dict(request.headers)
        now = self._clock()
        if len(raw) > LARGE:
            delivery, fault = await run_in_threadpool(_checked, sender, headers, raw, now)
        else:
            delivery, fault = _checked(sender, headers, raw, now)
        kept = {
            name: headers[name][:LONGEST_HEADER]
            for name in sender.webhook.headers
            if name in headers
        }
        state = await self._keep(Arrival(kind, delivery, now, kept, raw))
        if state != CONFLICTING:
            self._wake()
        if state == CONFLICTING:
            raise Refused(
                409,
                f"delivery {delivery} was received before with another body",
                "An id stands for one delivery. Look at who else knows the secret.",
                reason="conflicting",
            )
        if fault:
            raise Refused(
                400,
                f"the body of delivery {delivery} cannot be read: {fault}",
                "It is kept as it came, and recorded as a gap. Deliver it again as a whole.",
            )
        return JSONResponse(
            {"delivery": delivery, "state": state}, 202 if state == ACCEPTED else 200
        )

    async def _keep(self, arrival: Arrival) -> str:
        try:
            return await self._keeper.keep(arrival)
        except LedgerError as error:
            _log.error(
                "delivery %s of %s could not be kept: %s", arrival.delivery, arrival.sender, error
            )
            raise Refused(
                503,
                "the delivery cannot be kept now",
                "Deliver it again later.",
                reason="not kept",
            ) from error

    async def _read(self, body: Body) -> bytes:
        most = self._settings.server.max_body
        try:
            return await body.read()
        except TooLargeError:
            raise Refused(
                413,
                f"the body is larger than {most:,} bytes",
                f"Raise max_body in [server] of {FILE} if such deliveries are wanted.",
                reason="too large",
            ) from None
        except NoRoomError:
            raise Refused(
                503, "too much is being received at once", "Deliver it again later.", reason="busy"
            ) from None
        except TimeoutError:
            seconds = f"{bodies.BODY_SECONDS:.0f}"
            raise Refused(
                408, f"the body did not come in {seconds} s", "Try again.", reason="slow"
            ) from None
        except ClientDisconnect:
            raise Refused(
                400, "the connection ended before the body did", "Try again.", reason="cut off"
            ) from None


def router(receiver: Receiver) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["webhooks"])

    @routes.post(
        "/webhooks/{kind}",
        status_code=202,
        summary="Take a delivery of a forge or controller",
        responses={code: {"description": text} for code, text in _ANSWERS.items()},
    )
    async def receive(kind: str, request: Request) -> JSONResponse:
        return await receiver.receive(kind, request)

    return routes


_ANSWERS: dict[int | str, str] = {
    200: "It was received before; nothing is added.",
    202: "It is kept durably and will be recorded.",
    400: "It has no usable delivery id, or no name of an event, or its body is no JSON object.",
    401: "The signature is missing or wrong, or covers another time than now.",
    404: "Deliveries of this kind are not taken.",
    408: "The body did not come in time.",
    409: "The delivery id was used before, with another body.",
    413: "The body is too large.",
    503: "It cannot be kept now. It is not recorded; deliver it again later.",
}


def _checked(sender: Sender, headers: Mapping[str, str], body: bytes, now: str) -> tuple[str, str]:
    """(the id of an authentic delivery, why its body is nothing that any sender sends)."""
    if not sender.authentic(headers, body):
        raise Refused(
            401,
            "the signature is missing or wrong",
            "The sender's secret and the one in secret_file must be the same.",
            reason="unsigned",
        )
    if _is_outdated(sender.webhook, headers, now):
        raise Refused(
            401,
            f"the request was signed more than {MOST_APART} s before or after now",
            "A request is not taken when somebody sends it again later. Compare the clocks of both machines.",
            reason="outdated",
        )
    delivery = sender.webhook.identify(headers, body)
    if not delivery:
        raise Refused(
            400,
            "the request lacks a usable delivery id, or the name of its event",
            "Deliver it as the sender's webhooks do, with the headers that they set.",
            reason="unnamed",
        )
    return delivery, _fault(headers, body)


def _is_outdated(webhook: Webhook, headers: Mapping[str, str], now: str) -> bool:
    """Whether a signature covers another time than now; senders that sign none are known by their ids."""
    signed = webhook.signed_at(headers) if webhook.signed_at is not None else None
    return signed is not None and abs(moment(now).timestamp() - signed) > MOST_APART


def _fault(headers: Mapping[str, str], body: bytes) -> str:
    """Why a body that is said to be JSON is no JSON object; empty where it is one, or said to be else."""
    if not headers.get("content-type", "").lower().startswith("application/json"):
        return ""
    try:
        return "" if isinstance(jsontext.only_value(body).value, dict) else "it is no JSON object"
    except ValueError as error:
        return str(error)
