"""What a kustomization refers to, read from its body alone: no other file is looked at.

Targets stand as they are written, relative to the directory of the kustomization; `resolve` gives
them as paths of the repository. Whether an entry of `resources` is a file or a directory is told by
its ending, as nearly everybody writes it: `.yaml`, `.yml` and `.json` are files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from ledger.resources import Value

FILE, DIRECTORY, REMOTE = "file", "directory", "remote"
NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""The names of a kustomization's file; where several stand in a directory, the first of them counts."""

MAX_TARGETS = 5_000
MAX_TARGET = 1_000
UNREAD = (
    "helmCharts", "helmChartInflationGenerator", "generators", "transformers", "validators",
    "replacements", "configurations", "vars", "crds", "openapi", "inventory",
)  # fmt: skip
"""Fields that decide what is built and that `render` does not follow (`crds` decide names only)."""

_FILE = re.compile(r"\.(?:ya?ml|json)$", re.IGNORECASE)
_REMOTE = re.compile(
    r"[a-z][a-z0-9+.-]*://|git::|gh:|[\w.-]+@[\w.-]+:|(?:www\.)?github\.com[/:]", re.IGNORECASE
)
_QUERY = re.compile(r"[?&](?:ref|version|timeout|submodules)=")


class Target(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One thing that a kustomization takes in: `kind` is file, directory or remote."""

    kind: str
    target: str


class References(msgspec.Struct, frozen=True, array_like=True):
    """What a kustomization refers to and what it sets for everything below it.

    `unread` names the fields in use that are not followed.
    """

    targets: list[Target]
    namespace: str = ""
    prefix: str = ""
    suffix: str = ""
    unread: list[str] = []


def references(body: Value) -> References:
    """What a kustomization refers to. Any value gives an answer; at most MAX_TARGETS targets."""
    if not isinstance(body, dict):
        return References([])
    targets = dict.fromkeys(islice(_targets(body), MAX_TARGETS))
    return References(
        sorted(targets),
        text(body.get("namespace")),
        text(body.get("namePrefix")),
        text(body.get("nameSuffix")),
        [name for name in UNREAD if body.get(name)],
    )


def resolve(directory: str, target: str) -> str | None:
    """The path in the repository of a target that a kustomization in `directory` names.

    Empty for the root of the repository; None where the path leaves the repository or is absolute.
    """
    if target.startswith("/"):
        return None
    parts: list[str] = directory.split("/") if directory else []
    for part in target.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def kind_of(target: str) -> str:
    """Whether an entry of `resources` names a file, a directory or something elsewhere."""
    if is_remote(target):
        return REMOTE
    return FILE if _FILE.search(target) else DIRECTORY


def is_remote(target: str) -> bool:
    """Whether an entry names something outside of the repository."""
    return bool(_REMOTE.match(target) or _QUERY.search(target))


def is_inline(entry: str) -> bool:
    """Whether an entry that may be a path is a document itself."""
    return "\n" in entry or ": " in entry or entry.lstrip()[:1] in ("{", "[")


def text(value: Value) -> str:
    """A text value; empty for anything else."""
    return value if isinstance(value, str) else ""


def _targets(body: dict[str, Value]) -> Iterator[Target]:
    for name in ("resources", "bases", "components", "generators", "transformers", "validators"):
        yield from _entries(texts(body.get(name)))
    for name in ("patchesStrategicMerge", "crds", "configurations"):
        yield from _files(entry for entry in texts(body.get(name)) if not is_inline(entry))
    for name in ("patches", "patchesJson6902", "replacements"):
        yield from _files(text(one.get("path")) for one in objects(body.get(name)))
    openapi = body.get("openapi")
    if isinstance(openapi, dict):
        yield from _files([text(openapi.get("path"))])
    for name in ("configMapGenerator", "secretGenerator"):
        for one in objects(body.get(name)):
            yield from _files(entry.rpartition("=")[2] for entry in texts(one.get("files")))
            yield from _files([*texts(one.get("envs")), text(one.get("env"))])
    yield from _charts(body)


def _charts(body: dict[str, Value]) -> Iterator[Target]:
    globals_ = body.get("helmGlobals")
    home = text(globals_.get("chartHome")) if isinstance(globals_, dict) else ""
    for one in objects(body.get("helmCharts")):
        yield from _files([text(one.get("valuesFile")), *texts(one.get("additionalValuesFiles"))])
        name, repository = text(one.get("name")), text(one.get("repo"))
        if repository:
            yield Target(REMOTE, f"{repository}/{name}@{text(one.get('version'))}"[:MAX_TARGET])
        elif name:
            yield Target(DIRECTORY, f"{home or 'charts'}/{name}"[:MAX_TARGET])
    for one in objects(body.get("helmChartInflationGenerator")):
        yield from _files([text(one.get("values"))])
        repository = text(one.get("chartRepoUrl"))
        if repository:
            name, version = text(one.get("chartName")), text(one.get("chartVersion"))
            yield Target(REMOTE, f"{repository}/{name}@{version}"[:MAX_TARGET])


def _entries(entries: Iterable[str]) -> Iterator[Target]:
    for entry in entries:
        if not entry or "\n" in entry or len(entry) > MAX_TARGET:
            continue
        yield Target(kind_of(entry), entry)


def _files(entries: Iterable[str]) -> Iterator[Target]:
    for entry in entries:
        if entry and "\n" not in entry and len(entry) <= MAX_TARGET:
            yield Target(REMOTE if is_remote(entry) else FILE, entry)


def texts(value: Value) -> list[str]:
    """The texts of a list; nothing of anything else."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def objects(value: Value) -> list[dict[str, Value]]:
    """The objects of a list; nothing of anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
