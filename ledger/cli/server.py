"""Starting the server."""

from __future__ import annotations

import signal
import socket
import sys

import click


@click.command()
@click.option("--host", default="", help="Where to listen; [server] of ledger.toml if left out.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=None, help="The port; 0 for any free one."
)
def serve(host: str, port: int | None) -> None:
    """Take signed webhooks and record them. Ends cleanly on SIGTERM and Ctrl-C."""
    import uvicorn  # noqa: PLC0415

    from ledger import config  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415
    from ledger.web import app, serving, webhooks  # noqa: PLC0415

    settings = config.load()
    config.read_key(settings)
    Store.open(settings.database_url).close()
    senders = webhooks.senders(settings)
    host = host or settings.server.host
    webhooks.check_exposure(host, senders)
    application = app.build_app(settings, apart=True)
    listening = _listen(host, settings.server.port if port is None else port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    click.echo(f"Listening on {_url(listening)}, {_what(list(senders))}.")
    sys.stdout.flush()
    uvicorn.Server(serving.configure(application)).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Connections wait in it from now on, so that it may be announced."""
    from ledger.errors import UsageError  # noqa: PLC0415

    name = host.strip("[]")
    try:
        family = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((name, port), family=family, backlog=512)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}",
            hint="Name another --host or --port, or set them in [server] of ledger.toml.",
        ) from error


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _what(kinds: list[str]) -> str:
    if not kinds:
        return "taking no deliveries: no [[webhook]] is configured"
    paths = ", ".join(f"/webhooks/{kind}" for kind in sorted(kinds))
    return f"taking deliveries signed with the configured secrets at {paths}"
