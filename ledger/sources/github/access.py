"""How the API is asked: with a token of a person, or as a GitHub App that is installed for the repository.

An App signs a statement about itself with its private key (a JWT, RS256), and is given a token of the
installation for it, which lasts an hour and is renewed before it ends. Keys and tokens come from files or
the environment alone, go to the API's own address alone, and stand in no event, cursor or message.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ledger.errors import SourceError, UsageError
from ledger.httpio import Absent, Api
from ledger.instants import moment, utc_text
from ledger.sources import Configured
from ledger.sources.apis import ForgeOptions, token, wrong_address

HEADERS: Final[Mapping[str, str]] = {
    "accept": "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
    "user-agent": "ledger",
}
JWT_SECONDS: Final = 540  # GitHub takes at most ten minutes, by its own clock
EARLY_SECONDS: Final = 300  # before the end of a token, a new one is asked for
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A GitHub App: its id and private key, and the number of its installation, 0 where it is asked for."""

    id: str
    key: RSAPrivateKey
    installation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GithubOptions(ForgeOptions):
    """One `[[source]]` of kind github: where its API is, and as whom it is asked.

    `branches` are those whose pushes and rules are read, none for the default branch. `hook` is the number
    of the webhook that delivers to us, 0 if none is named.
    """

    app: App | None = None
    branches: tuple[str, ...] = ()
    hook: int = 0


def options(configured: Configured) -> GithubOptions:
    """The options of a `[[source]]`. Raises UsageError where it names no repository or no readable secret."""
    parts = urlsplit(configured.url)
    path = parts.path.strip("/").removesuffix(".git")
    if parts.scheme not in ("http", "https") or not parts.hostname or path.count("/") != 1:
        raise wrong_address(configured, "repository of GitHub", "https://github.com/OWNER/NAME")
    app = _app(configured)
    return GithubOptions(
        name=configured.name,
        forge=f"{parts.hostname}/{path}".lower(),
        api=_api(parts.scheme, parts.netloc.rpartition("@")[2]),
        path=quote(path),
        token="" if app else token(configured, "GITHUB_TOKEN"),
        app=app,
        branches=tuple(configured.settings.get("branches") or ()),
        hook=int(configured.settings.get("hook") or 0),
    )


def _api(scheme: str, host: str) -> str:
    """The API of a host: github.com and its tenants have a host for it, other servers a path."""
    if host == "github.com" or host.endswith(".ghe.com"):
        return f"https://api.{host}"
    return f"{scheme}://{host}/api/v3"


def _app(configured: Configured) -> App | None:
    settings = configured.settings
    app_id, file = str(settings.get("app_id") or ""), str(settings.get("app_key_file") or "")
    if not app_id and not file:
        return None
    if not app_id or not file or settings.get("token_file"):
        raise UsageError(
            f"source {configured.name}: a GitHub App needs app_id and app_key_file, and no token_file",
            hint="Give both of an App, or a token_file alone.",
        )
    try:
        data = (configured.folder / Path(file).expanduser()).read_bytes()
        key = load_pem_private_key(data, None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no private key in PEM"
        raise UsageError(
            f"source {configured.name}: cannot read the App's key in {file}: {reason}",
            hint="Generate a private key on the App's page and keep the file as GitHub gives it.",
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise UsageError(f"source {configured.name}: the App's key in {file} is no RSA key")
    return App(id=app_id, key=key, installation=int(settings.get("installation") or 0))


def jwt(app: App, now: float) -> str:
    """The App's statement about itself (RFC 7519, RS256), from a minute ago for clocks that differ."""
    claims = {"iat": int(now) - 60, "exp": int(now) + JWT_SECONDS, "iss": app.id}
    signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_base64(app.key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _part(value: Any) -> str:
    return _base64(msgspec.json.encode(value))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def connect(options: GithubOptions, clock: Clock = time.time) -> Api:
    """The API, asked with the source's token or App; nothing is sent before the first request."""
    if options.app is not None:
        authorize = Installation(options, options.app, clock).authorization
        return Api.open(options.name, options.api, HEADERS, authorize=authorize)
    own = {"authorization": f"Bearer {options.token}"} if options.token else {}
    return Api.open(options.name, options.api, {**HEADERS, **own})


class Installation:
    """The token of an App's installation, asked for when there is none or when it is about to end."""

    def __init__(self, options: GithubOptions, app: App, clock: Clock) -> None:
        self._options = options
        self._app = app
        self._clock = clock
        self._number = app.installation
        self._token = ""
        self._until = 0.0

    def authorization(self) -> str:
        """The header Authorization of a request. Raises SourceError where GitHub gives no token."""
        if self._clock() >= self._until - EARLY_SECONDS:
            self._renew()
        return f"Bearer {self._token}"

    def _renew(self) -> None:
        source = self._options.name
        headers = {**HEADERS, "authorization": f"Bearer {jwt(self._app, self._clock())}"}
        api = Api.open(source, self._options.api, headers)
        try:
            if not self._number:
                self._number = _whole(
                    api.get(f"repos/{self._options.path}/installation").value(), "id"
                )
            answer = api.exchange(f"app/installations/{self._number}/access_tokens").value()
        except Absent as error:
            raise SourceError(
                error.message,
                hint="Install the App for this repository, or correct app_id and installation.",
            ) from None
        finally:
            api.close()
        token = answer.get("token") if isinstance(answer, dict) else None
        until = utc_text(answer.get("expires_at")) if isinstance(answer, dict) else ""
        if not isinstance(token, str) or not token.isascii() or not until:
            raise SourceError(f"source {source}: GitHub gave the App no token that can be used")
        self._token, self._until = token, moment(until).timestamp()


def _whole(value: Any, name: str) -> int:
    found = value.get(name) if isinstance(value, dict) else None
    if type(found) is not int:
        raise SourceError(f"GitHub's answer about the App's installation has no {name}")
    return found
