"""`POST /webhooks/{kind}`: a delivery is checked, kept durably, and only then acknowledged.

The signature is over the raw body, so the body is read first, up to a limit, and nothing of it is looked
at before the signature is right. What the body means is decided later, by the source that it is of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from ledger import registry
from ledger.config import FILE, Settings
from ledger.errors import LedgerError, UsageError
from ledger.ingest import Clock
from ledger.sources import Webhook
from ledger.store.inbox import ACCEPTED, CONFLICTING, Inbox

BODY_SECONDS = 30.0
_log = logging.getLogger("ledger.web")


@dataclass(frozen=True, slots=True)
class Sender:
    """A kind of sender whose deliveries are taken: how they are checked, and the secrets they may bear."""

    webhook: Webhook
    secrets: Sequence[bytes]

    def authentic(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether any of the secrets signed the body; two of them let a secret be changed without a gap."""
        return any(self.webhook.authentic(headers, body, one) for one in self.secrets)


class Refused(Exception):  # noqa: N818 (it becomes an answer)
    """A request that is not accepted: the status, whose fault it is and what to do."""

    def __init__(self, status: int, error: str, hint: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.hint = hint


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


def router(
    settings: Settings, found: Mapping[str, Sender], clock: Clock, wake: Callable[[], None]
) -> APIRouter:
    """The route. `wake` is called after each delivery that is accepted."""
    routes = APIRouter(tags=["webhooks"])

    @routes.post(
        "/webhooks/{kind}",
        status_code=202,
        summary="Take a delivery of a forge or controller",
        responses={code: {"description": text} for code, text in _ANSWERS.items()},
    )
    async def receive(kind: str, request: Request) -> JSONResponse:
        try:
            return await _receive(kind, request)
        except Refused as refused:
            return JSONResponse(
                {"error": refused.error, "hint": refused.hint},
                status_code=refused.status,
                headers={"connection": "close"},
            )

    async def _receive(kind: str, request: Request) -> JSONResponse:
        sender = found.get(kind)
        if sender is None:
            raise Refused(
                404,
                f"no secret is configured for deliveries of {kind!r}",
                f"Add a [[webhook]] of that kind to {FILE} and start the server again.",
            )
        body = await _read_body(request, settings.server.max_body)
        headers = dict(request.headers)
        delivery = await run_in_threadpool(_checked, sender, headers, body)
        kept = {name: headers[name] for name in sender.webhook.headers if name in headers}
        state = await run_in_threadpool(_keep, settings, kind, delivery, clock(), kept, body)
        if state == CONFLICTING:
            raise Refused(
                409,
                f"delivery {delivery} was received before with another body",
                "An id stands for one delivery. Look at who else knows the secret.",
            )
        if state == ACCEPTED:
            wake()
        return JSONResponse(
            {"delivery": delivery, "state": state}, 202 if state == ACCEPTED else 200
        )

    return routes


_ANSWERS: dict[int | str, str] = {
    200: "It was received before; nothing is added.",
    202: "It is kept durably and will be recorded.",
    400: "It has no usable delivery id, or no name of an event.",
    401: "The signature is missing or wrong.",
    404: "Deliveries of this kind are not taken.",
    408: "The body did not come in time.",
    409: "The delivery id was used before, with another body.",
    413: "The body is too large.",
    503: "It cannot be kept now. It is not recorded; deliver it again later.",
}


async def _read_body(request: Request, most: int) -> bytes:
    """The raw body; refused as soon as it is known to be too large, whatever its length is said to be."""
    too_large = Refused(
        413,
        f"the body is larger than {most:,} bytes",
        f"Raise max_body in [server] of {FILE} if such deliveries are wanted.",
    )
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and (len(said) > 15 or int(said) > most):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise Refused(408, f"the body did not come in {BODY_SECONDS:.0f} s", "Try again.") from None
    except ClientDisconnect:
        raise Refused(400, "the connection ended before the body did", "Try again.") from None
    return bytes(body)


def _checked(sender: Sender, headers: Mapping[str, str], body: bytes) -> str:
    """The id of an authentic delivery."""
    if not sender.authentic(headers, body):
        raise Refused(
            401,
            "the signature is missing or wrong",
            "The sender's secret and the one in secret_file must be the same.",
        )
    delivery = sender.webhook.identify(headers, body)
    if not delivery:
        raise Refused(
            400,
            "the request lacks a usable delivery id, or the name of its event",
            "Deliver it as the sender's webhooks do, with the headers that they set.",
        )
    return delivery


def _keep(
    settings: Settings, kind: str, delivery: str, now: str, headers: Mapping[str, str], body: bytes
) -> str:
    try:
        with Inbox.open(settings.database_url) as inbox:
            return inbox.accept(kind, delivery, received_at=now, headers=headers, body=body)
    except LedgerError as error:
        _log.error("delivery %s of %s could not be kept: %s", delivery, kind, error)
        raise Refused(503, "the delivery cannot be kept now", "Deliver it again later.") from error
