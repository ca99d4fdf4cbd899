"""Reading a cluster's API: the only module that imports lightkube, which knows kubeconfigs and logins.

Only GET is ever sent. Objects come as the server wrote them, page by page; what kinds there are, the server
says itself. Every error says which cluster, whose fault it is and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx2 as httpx
import msgspec
import yaml
from lightkube import KubeConfig
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import SingleConfig
from lightkube.exceptions import ConfigError

from ledger.errors import SourceError

PAGE: Final = 500
MAX_ANSWER: Final = 256 * 2**20
SECONDS: Final = 30.0
ATTEMPTS: Final = 3
_LOGIN = (ConfigError, OSError, SubprocessError, ValueError, KeyError, TypeError)

Json = dict[str, Any]


class Kind(NamedTuple):
    """A kind of object that a server serves, and how its API calls it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    names: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`deployments.apps`, as kubectl and RBAC rules name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


class Page(NamedTuple):
    """Some of the objects of a list. `first` where the list begins, perhaps once more from the start."""

    first: bool
    items: list[Json]


class Refused(SourceError):  # noqa: N818 (an answer of the server, not a fault of ours)
    """The server knows us and does not let us read this; others may still be read."""


class Absent(SourceError):  # noqa: N818
    """The server does not serve this."""


class Expired(SourceError):  # noqa: N818
    """The server has forgotten the list that was being read; it must be read from its start."""


@dataclass(slots=True)
class Cluster:
    """An open connection to a cluster's API. `name` is ours and stands in errors."""

    name: str
    _client: httpx.Client
    _groups: dict[str, list[Kind]] = field(default_factory=dict)
    _versions: dict[str, str] | None = None

    @classmethod
    def open(cls, name: str, kubeconfig: Path | None = None, context: str = "") -> Cluster:
        """Reads the kubeconfig; without one, the cluster that the program runs in, else kubectl's own.

        Raises SourceError where there is none or it cannot be used. Nothing is sent yet.
        """
        where = f"cluster {name}: {kubeconfig or 'the connection'}"
        try:
            config = _config(kubeconfig, context)
            if config is None or config.user is None:
                raise ConfigError("the context names no user")
            limits = httpx.Timeout(SECONDS)
            client = client_adapter.Client(config, client_adapter.ConnectionParams(timeout=limits))
        except (*_LOGIN, AttributeError, yaml.YAMLError) as error:  # of any shape of YAML
            raise SourceError(
                f"{where} cannot be used: {_words(error)}",
                hint="Name a kubeconfig and a context of it in `[[source]]`, "
                "or run inside the cluster with a service account.",
            ) from error
        return cls(name, client)

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what there is ---------------------------------------------------------------------------

    def resolve(self, wanted: str) -> Kind | None:
        """The kind that `deployments.apps`, `Deployment.apps`, `configmaps` or `netpol` means here.

        Asks the server what it serves, in the version that it prefers; None where it serves none.
        """
        word, dot, group = wanted.partition(".")
        groups = [group] if dot else ["", *sorted(self._served())]
        for one in groups:
            for kind in self._kinds(one):
                if word.lower() in (kind.plural, kind.kind.lower(), *kind.names):
                    return kind
        return None

    def _served(self) -> dict[str, str]:
        """API group → the version of it that the server prefers."""
        if self._versions is None:
            told = self._get("apis", {}, "the list of API groups").get("groups")
            groups = [one for one in told or [] if isinstance(one, dict)]
            self._versions = {
                str(one.get("name")): str((one.get("preferredVersion") or {}).get("version"))
                for one in groups
                if one.get("name")
            }
        return self._versions

    def _kinds(self, group: str) -> list[Kind]:
        if group not in self._groups:
            self._groups[group] = self._discover(group)
        return self._groups[group]

    def _discover(self, group: str) -> list[Kind]:
        version = "v1" if not group else self._served().get(group, "")
        if not version:
            return []
        path = f"apis/{quote(group)}/{quote(version)}" if group else "api/v1"
        try:
            told = self._get(path, {}, f"the kinds of {group or 'the core API'}").get("resources")
        except Absent:
            return []
        found = [one for one in told or [] if isinstance(one, dict)]
        return [
            Kind(
                group,
                version,
                str(one.get("kind")),
                str(one.get("name")),
                bool(one.get("namespaced")),
                (str(one.get("singularName")), *map(str, one.get("shortNames") or ())),
            )
            for one in found
            if "list" in (one.get("verbs") or ()) and "/" not in str(one.get("name"))
        ]

    # -- objects ---------------------------------------------------------------------------------

    def pages(self, kind: Kind, namespace: str = "") -> Iterator[Page]:
        """Every object of a kind, in one namespace or all, page by page.

        When the server forgets the list between two pages, it is read again from its start.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                yield from self._pages(kind, namespace)
            except Expired:
                if attempt == ATTEMPTS:
                    raise
            else:
                return

    def _pages(self, kind: Kind, namespace: str) -> Iterator[Page]:
        path = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
        if namespace:
            path += f"/namespaces/{quote(namespace, safe='')}"
        parameters = {"limit": str(PAGE)}
        first = True
        while True:
            answer = self._get(f"{path}/{kind.plural}", parameters, kind.title, namespace)
            items = answer.get("items")
            version = f"{kind.group}/{kind.version}" if kind.group else kind.version
            # Lists leave out in their items what they say themselves.
            about = {"apiVersion": version, "kind": kind.kind}
            found = [{**about, **one} for one in items or [] if isinstance(one, dict)]
            yield Page(first, found)
            first = False
            metadata = answer.get("metadata")
            rest = metadata.get("continue") if isinstance(metadata, dict) else None
            if not rest or not isinstance(rest, str):
                return
            parameters["continue"] = rest

    def identity(self) -> str:
        """The uid of the namespace kube-system, which no two clusters share; empty if we may not see it."""
        try:
            told = self._get("api/v1/namespaces/kube-system", {}, "the namespace kube-system")
        except (Refused, Absent):
            return ""
        metadata = told.get("metadata")
        uid = metadata.get("uid") if isinstance(metadata, dict) else ""
        return uid if isinstance(uid, str) else ""

    # -- requests --------------------------------------------------------------------------------

    def _get(self, path: str, parameters: dict[str, str], what: str, namespace: str = "") -> Json:
        try:
            with self._client.stream("GET", path, params=parameters) as response:
                status, body = response.status_code, _read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(
                f"cluster {self.name} cannot be reached: {_words(error)}",
                hint="Check the server's address in the kubeconfig, the network and the certificate.",
                retryable=True,
            ) from error
        except _LOGIN as error:
            raise SourceError(
                f"cluster {self.name}: the login of the kubeconfig fails: {_words(error)}",
                hint="A login program must speak client.authentication.k8s.io/v1beta1; "
                "a token or a client certificate needs none.",
            ) from error
        if status != 200:
            raise self._failure(status, body, what, namespace)
        try:
            answer = msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise SourceError(
                f"cluster {self.name} answers {what} with what is no JSON: {error}",
                hint="Is the address that of a Kubernetes API, or does a proxy stand between?",
            ) from error
        if not isinstance(answer, dict):
            raise SourceError(f"cluster {self.name} answers {what} with no object")
        return answer

    def _failure(self, status: int, body: bytes, what: str, namespace: str) -> SourceError:
        said = _message(body)
        where = f"cluster {self.name}: {what}" + (f" in {namespace}" if namespace else "")
        if status == 401:
            return SourceError(
                f"cluster {self.name} does not accept the login: {said}",
                hint="Its token or certificate may be expired; renew it in the kubeconfig.",
            )
        if status == 403:
            role = "Role in that namespace" if namespace else "ClusterRole"
            return Refused(
                f"{where} may not be read: {said}",
                hint=f"Give the ledger's user a {role} with the verbs get and list on {what}.",
            )
        if status == 404:
            return Absent(f"{where} is not served: {said}", hint="Is its API installed there?")
        if status == 410:
            return Expired(
                f"{where} changes faster than it can be read: {said}",
                hint="Try again, or read fewer namespaces at once.",
                retryable=True,
            )
        return SourceError(
            f"{where} cannot be read: status {status}: {said}",
            hint="The server says so; see its log.",
            retryable=status >= 500 or status == 429,
        )


def _config(kubeconfig: Path | None, context: str) -> SingleConfig | None:
    if kubeconfig is not None:
        return KubeConfig.from_file(kubeconfig).get(context or None)
    if context:
        # In a cluster there are no contexts, so this one is of a file.
        return KubeConfig.from_env(service_account="/nonexistent").get(context)
    return KubeConfig.from_env().get()


def _read(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        size += len(part)
        if size > MAX_ANSWER:
            raise httpx.ReadError(f"an answer larger than {MAX_ANSWER >> 20} MB")
        parts.append(part)
    return b"".join(parts)


def _message(body: bytes) -> str:
    try:
        said = msgspec.json.decode(body[:100_000])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = None
    message = said.get("message") if isinstance(said, dict) else None
    return message[:500] if isinstance(message, str) else "it gives no reason"


def _words(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
