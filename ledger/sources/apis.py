"""How the API of a forge is reached: what a `[[source]]` says of it, its token, and the connection.

It imports HTTP, so only what polls imports it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import UsageError
from ledger.httpio import Api
from ledger.sources import Configured


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeOptions:
    """One `[[source]]` of a forge, the same for most of them.

    `forge` is the repository's full name with its host, `api` the API's address, `path` what the API
    calls the repository, ready to be put in an address.
    """

    name: str
    forge: str
    api: str
    path: str
    token: str = ""


def wrong_address(configured: Configured, wanted: str, example: str) -> UsageError:
    """The error of a `[[source]]` whose address is no `wanted`, such as `project of GitLab`."""
    return UsageError(
        f"source {configured.name}: {configured.url!r} is no {wanted}",
        hint=f"Give its web address: {example}",
    )


def token(configured: Configured, variable: str) -> str:
    """The token of `token_file`, else of the environment's `variable`; empty without both.

    Raises UsageError where the file cannot be read.
    """
    file = configured.settings.get("token_file")
    if not file:
        return os.environ.get(variable, "").strip()
    try:
        return (configured.folder / Path(str(file)).expanduser()).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"source {configured.name}: cannot read the token in {file}: {error}",
            hint=f"Give token_file in ledger.toml, or set {variable} and leave it out.",
        ) from None


@contextmanager
def connected(options: ForgeOptions, authorization: str) -> Iterator[Api]:
    """The API while it is read, asked with a header Authorization unless that is empty.

    Nothing is sent before the first request. Raises SourceError where the address is none.
    """
    headers = {"accept": "application/json", "user-agent": "ledger"}
    if authorization:
        headers["authorization"] = authorization
    api = Api.open(options.name, options.api, headers)
    try:
        yield api
    finally:
        api.close()
