"""Which object of a cluster a name means: KIND/NAME, KIND.GROUP/NAME, or NAME, as in kubectl."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import msgspec

from ledger.errors import AmbiguousError, NotFoundError
from ledger.queries.names import is_kind
from ledger.store.drivers import Connection

MANY = 20


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an object as its table holds it."""

    cluster: str
    api_group: str
    kind: str
    namespace: str
    name: str
    object: str
    present: int
    observed_at: str
    app_cluster: str
    app_namespace: str
    application: str
    repository: str
    branch: str
    path: str
    state: str
    grade: str
    reason: str
    differences: str
    excuses: str
    synced_commit_sha: str
    manager: str
    changed_at: str
    maker: str
    evidence_position: int

    def title(self) -> str:
        """How a person would name it."""
        return title(self.kind, self.namespace, self.name)


def title(kind: str, namespace: str, name: str) -> str:
    """`deployment/api -n prod`."""
    return f"{kind.lower()}/{name}{f' -n {namespace}' if namespace else ''}"


def find_object(
    connection: Connection, name: str, *, namespace: str | None = None, cluster: str = ""
) -> Object:
    """The one object that a name means, live or only declared.

    Raises NotFoundError with near names, and AmbiguousError with all that answer, such as one in each
    of several clusters. Costs an indexed read for each kind that the word may mean.
    """
    found = _named(connection, name, namespace, cluster)
    if len(found) == 1:
        return found[0]
    if not found:
        raise _unknown(connection, name, cluster)
    clusters = {one.cluster for one in found}
    where = f"{len(clusters)} clusters" if len(clusters) > 1 else f"cluster {found[0].cluster}"
    raise AmbiguousError(
        f"{name!r} is ambiguous: {len(found)} objects in {where} answer to it",
        hint="\n".join(["Narrow it with --cluster, -n or the kind:", *_listing(found)]),
    )


def object_of(connection: Connection, key: str) -> Object | None:
    """The object that tables call by a key; None where it has no state. One indexed read."""
    columns = Object.__struct_fields__
    rows = connection.rows(
        f"select {', '.join(columns)} from model_live_state where object = ?",  # noqa: S608
        [key],
    )
    return Object(**dict(zip(columns, rows[0], strict=True))) if rows else None


def _named(connection: Connection, name: str, namespace: str | None, cluster: str) -> list[Object]:
    kind, slash, rest = name.partition("/")
    word, _, group = kind.partition(".")
    kinds = [one for one in _kinds(connection) if not slash or is_kind(word, one)]
    columns = Object.__struct_fields__
    found: list[Object] = []
    for one in kinds:
        rows = connection.rows(
            f"select {', '.join(columns)} from model_live_state where kind = ? and name = ? "  # noqa: S608
            "order by cluster, namespace, api_group",
            [one, rest if slash else name],
        )
        found += [Object(**dict(zip(columns, row, strict=True))) for row in rows]
    return [
        one
        for one in found
        if namespace in (None, one.namespace)
        and cluster in ("", one.cluster)
        and (not slash or group in ("", one.api_group))
    ]


def _kinds(connection: Connection) -> list[str]:
    """Every kind there is, by walking the index from one to the next."""
    found: list[str] = []
    last = ""
    while True:
        [[kind]] = connection.rows("select min(kind) from model_live_state where kind > ?", [last])
        if kind is None:
            return found
        last = kind
        found.append(last)


def _listing(found: Sequence[Object]) -> list[str]:
    rows = [
        f"  --cluster {one.cluster}  {one.title()}"
        f"{f' ({one.api_group})' if one.api_group else ''}  {one.state}"
        for one in found[:MANY]
    ]
    more = [f"  … and {len(found) - MANY} more"] if len(found) > MANY else []
    return [*(row.replace("\n", "\\n") for row in rows), *more]


def _unknown(connection: Connection, name: str, cluster: str) -> NotFoundError:
    rows = connection.rows("select distinct cluster from model_live_state order by cluster")
    clusters = [str(row[0]) for row in rows]
    if not clusters:
        return NotFoundError(
            f"no cluster was looked at, so nothing live is known as {name!r}",
            hint="Add a [[source]] of kind kubernetes, or `ledger import kubernetes FILE...`.",
        )
    if cluster and cluster not in clusters:
        return NotFoundError(
            f"nothing is known of a cluster {cluster!r}", hint=f"Known: {', '.join(clusters)}."
        )
    elsewhere = _named(connection, name, None, "")
    if elsewhere:
        lines = ["It is elsewhere:", *_listing(elsewhere)]
        return NotFoundError(f"{name!r} is not there", hint="\n".join(lines))
    near = _near(connection, name)
    hint = "\n".join(["Did you mean:", *(f"  {one}" for one in near)]) if near else ""
    return NotFoundError(f"no cluster shows {name!r}, and nothing declares it", hint=hint)


def _near(connection: Connection, name: str) -> list[str]:
    """Up to five names like the one that is not there, of its kind if it has one."""
    kind, slash, rest = name.partition("/")
    word = kind.partition(".")[0]
    rows = connection.rows("select distinct kind, name from model_live_state limit 20000")
    alike = [row for row in rows if slash and is_kind(word, row[0])] or rows
    known = sorted({f"{one.lower()}/{other}".replace("\n", "\\n") for one, other in alike})
    if slash:
        return difflib.get_close_matches(f"{word.lower()}/{rest}", known, 5, 0.5)
    by_name = {one.partition("/")[2]: one for one in known}
    return [by_name[one] for one in difflib.get_close_matches(name, sorted(by_name), 5, 0.5)]
