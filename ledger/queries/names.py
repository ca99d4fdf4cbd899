"""Which resource a name means: kubectl's habits, Terraform addresses, paths, or an identity.

`deploy/api`, `deployments.apps/api`, `aws_security_group.web`, `module.vpc`, `path/to/file`, or the
twenty hexadecimal digits that `resources.resource` shows. What is declared now goes before what was
removed; an ambiguous name lists the candidates and an unknown one suggests near ones.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import msgspec

from ledger.errors import AmbiguousError, NotFoundError
from ledger.store.drivers import Connection

# Kubernetes' own short names (kubectl api-resources), and those of the GitOps controllers.
SHORT_NAMES = {
    "app": "Application", "apps": "Application", "appset": "ApplicationSet", "appsets": "ApplicationSet",
    "cj": "CronJob", "cm": "ConfigMap", "crd": "CustomResourceDefinition",
    "crds": "CustomResourceDefinition", "csr": "CertificateSigningRequest", "deploy": "Deployment",
    "ds": "DaemonSet", "ep": "Endpoints", "ev": "Event", "hpa": "HorizontalPodAutoscaler",
    "hr": "HelmRelease", "ing": "Ingress", "ks": "Kustomization", "limits": "LimitRange",
    "netpol": "NetworkPolicy", "no": "Node", "ns": "Namespace", "pc": "PriorityClass",
    "pdb": "PodDisruptionBudget", "po": "Pod", "pv": "PersistentVolume",
    "pvc": "PersistentVolumeClaim", "quota": "ResourceQuota", "rc": "ReplicationController",
    "rs": "ReplicaSet", "sa": "ServiceAccount", "sc": "StorageClass", "sts": "StatefulSet",
    "svc": "Service",
}  # fmt: skip
_IDENTITY = re.compile(r"^[0-9a-f]{20}$")
_TERRAFORM = re.compile(
    r"^(?:(?:data|module|var|variable|output|local|provider)\.)?[A-Za-z_][\w-]*(?:\.[\w-]+)*$"
)
_COLUMNS = (
    "resource", "repository", "branch", "path", "api_group", "kind", "namespace", "name",
    "present", "first_revision", "last_revision",
)  # fmt: skip
_VERSION = re.compile(r"^v[0-9]+(?:(?:alpha|beta)[0-9]+)?(?:\.|$)")  # deployments.v1.apps
MANY = 20


class ResourceName(msgspec.Struct, frozen=True, kw_only=True):
    """A resource by all its names.

    `namespace` is what its document says. Where it was asked for by the namespace that something else
    sets, `effective_namespace` is that, and `set_by` the file or application that sets it.
    """

    resource: str
    repository: str
    branch: str
    path: str
    api_group: str
    kind: str
    namespace: str
    name: str
    present: int
    first_revision: int
    last_revision: int
    effective_namespace: str = ""
    set_by: str = ""

    def title(self) -> str:
        """How a person would name it."""
        if self.name == self.path:
            return self.path
        if self.api_group == "terraform":
            return self.name
        namespace = self.effective_namespace or self.namespace
        return f"{self.kind.lower()}/{self.name}{f' -n {namespace}' if namespace else ''}"


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What narrows a name; empty for any."""

    namespace: str | None = None
    repository: str = ""
    branch: str = ""
    path: str = ""


def is_identity(name: str) -> bool:
    """Whether a name is a resource's identity."""
    return bool(_IDENTITY.match(name))


def resolve(connection: Connection, name: str, scope: Scope) -> list[ResourceName]:
    """The resource of a name, or every resource of a path. Raises NotFoundError and AmbiguousError.

    A few indexed queries.
    """
    found = candidates(connection, name, scope) if is_identity(name) else []
    found = found or _by_path(connection, name, scope)
    if found:
        return found
    chosen = candidates(connection, name, scope)
    if not chosen:
        raise _unknown(connection, name, scope)
    if len(chosen) > 1:
        raise ambiguous(name, chosen)
    return chosen


def candidates(connection: Connection, name: str, scope: Scope) -> list[ResourceName]:
    """Every resource that a name may mean, but paths: those declared now go before those removed."""
    found = _by_name(connection, name, scope)
    present = [one for one in found if one.present]
    return _tracked(connection, present or found)


def at_path(connection: Connection, path: str, scope: Scope) -> list[ResourceName]:
    """The resources that a file declares now."""
    return [one for one in _select(connection, "path = ?", (path,), scope) if one.present]


def ambiguous(name: str, found: Sequence[ResourceName]) -> AmbiguousError:
    """The error that says that several resources answer to a name."""
    return AmbiguousError(
        f"{name!r} is ambiguous: {len(found)} resources answer to it", hint=_listing(found)
    )


def _tracked(connection: Connection, found: list[ResourceName]) -> list[ResourceName]:
    """Of several, those on branches that are tracked now: one may have been renamed or let go."""
    if len({(one.repository, one.branch) for one in found}) < 2:
        return found
    rows = tracked(connection)
    kept = [one for one in found if (one.repository, one.branch) in rows]
    return kept or found


def tracked(connection: Connection) -> list[tuple[str, str]]:
    """(repository, branch) of every branch that is tracked now."""
    rows = connection.rows(
        "select r.repository, r.branch from model_repository r where r.evidence_position = "
        "(select max(x.evidence_position) from model_repository x where x.repository = r.repository)"
    )
    return [(repository, branch) for repository, branch in rows]


def _listing(found: Sequence[ResourceName]) -> str:
    rows = [
        f"  {one.resource}  {one.kind}{'.' + one.api_group if one.api_group else ''}/{one.name}"
        f"{' -n ' + one.namespace if one.namespace else ''}"
        f"  {one.repository}@{one.branch}:{one.path}{'' if one.present else ' (removed)'}"
        for one in found[:MANY]
    ]
    rows = [row.replace("\n", "\\n") for row in rows]  # a name may hold a line end
    more = [f"  … and {len(found) - MANY} more"] if len(found) > MANY else []
    return "\n".join(
        ["Narrow it with -n, --path, --repository, or name one by its identity:", *rows, *more]
    )


def _select(
    connection: Connection, where: str, parameters: Sequence[object], scope: Scope
) -> list[ResourceName]:
    values = list(parameters)
    for column in ("repository", "branch"):
        if wanted := getattr(scope, column):
            where += f" and {column} = ?"
            values.append(wanted)
    if scope.namespace is not None:
        where += " and namespace = ?"
        values.append(scope.namespace)
    sql = (
        f"select {', '.join(_COLUMNS)} from model_resource where {where} "  # noqa: S608
        "order by repository, branch, path, kind, name, ordinal, resource"
    )
    rows = [
        ResourceName(**dict(zip(_COLUMNS, row, strict=True)))
        for row in connection.rows(sql, values)
    ]
    return [one for one in rows if scope.path in one.path]


def branches(connection: Connection, scope: Scope) -> list[tuple[str, str]]:
    """(repository, branch) of every tracked branch within the scope."""
    rows = connection.rows(
        "select repository, branch from model_branch order by repository, branch"
    )
    return [
        (repository, branch)
        for repository, branch in rows
        if scope.repository in ("", repository) and scope.branch in ("", branch)
    ]


def _by_path(connection: Connection, name: str, scope: Scope) -> list[ResourceName]:
    path = name.removeprefix("./").rstrip("/")
    found: list[ResourceName] = []
    for repository, branch in branches(connection, scope):
        where = "repository = ? and branch = ? and path = ?"
        found += _select(connection, where, (repository, branch, path), scope)
    found = _tracked(connection, found)
    places = {(one.repository, one.branch) for one in found}
    if len(places) > 1:
        raise AmbiguousError(
            f"{name!r} stands in several branches", hint="Choose one with --repository or --branch."
        )
    return found


def _by_name(connection: Connection, name: str, scope: Scope) -> list[ResourceName]:
    if is_identity(name):
        return _select(connection, "resource = ?", (name,), scope)
    kind, slash, rest = name.partition("/")
    if slash and rest:
        word, dot, group = kind.partition(".")
        group = _VERSION.sub("", group)
        found: list[ResourceName] = []
        for known in kinds(connection):
            if kind.lower() == known.lower() or is_kind(word, known):
                rows = _select(connection, "kind = ? and name = ?", (known, rest), scope)
                found += [one for one in rows if not dot or one.api_group == group or kind == known]
        return found
    found = _select(connection, "name = ?", (name,), scope)
    if not found and _TERRAFORM.match(name):
        aliases = {"var.": "variable.", "variable.": "var."}
        for short, long in aliases.items():
            if name.startswith(short):
                found += _select(connection, "name = ?", (long + name.removeprefix(short),), scope)
    return found


def kinds(connection: Connection) -> list[str]:
    """Every kind there is, by walking the index from one to the next."""
    found: list[str] = []
    last = ""
    while True:
        row = connection.rows("select min(kind) from model_resource where kind > ?", (last,))[0]
        if row[0] is None:
            return found
        last = row[0]
        found.append(last)


def is_kind(word: str, kind: str) -> bool:
    """Whether a word names a kind: the kind itself in any case, its plural, or its short name."""
    lower, known = word.lower(), kind.lower()
    return SHORT_NAMES.get(lower) == kind or lower in (known, _plural(known))


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _unknown(connection: Connection, name: str, scope: Scope) -> NotFoundError:
    if scope.namespace is not None:
        wider = _by_name(connection, name, msgspec.structs.replace(scope, namespace=None))
        if wider:
            where = sorted({one.namespace or "no namespace of its own" for one in wider})
            return NotFoundError(
                f"{name!r} is not declared in namespace {scope.namespace!r}",
                hint=f"It is declared in: {', '.join(where[:MANY])}.",
            )
    near = _near(connection, name)
    lines = [f"  {one}".replace("\n", "\\n") for one in near]
    hint = "\n".join(["Did you mean:", *lines]) if near else ""
    if not hint and not branches(connection, Scope()):
        hint = "Nothing is ingested yet: run `ledger ingest`."
    return NotFoundError(f"nothing recorded is called {name!r}", hint=hint)


def _near(connection: Connection, name: str) -> list[str]:
    """Up to five names like the one that is not there."""
    kind, slash, rest = name.partition("/")
    known = [one for one in kinds(connection) if is_kind(kind.partition(".")[0], one)]
    if slash and known:
        marks = ", ".join("?" * len(known))
        sql = f"select distinct kind, name from model_resource where kind in ({marks}) limit 20000"  # noqa: S608
        names = {f"{one.lower()}/{other}" for one, other in connection.rows(sql, known)}
        return difflib.get_close_matches(f"{known[0].lower()}/{rest}", sorted(names), 5, 0.5)
    base = name.rsplit("/", 1)[-1]
    sql = "select distinct path from model_resource where path like ? escape '!' limit 200"
    pattern = "%" + re.sub(r"([!%_])", r"!\1", base) + "%"
    like = [row[0] for row in connection.rows(sql, (pattern,))]
    sql = "select distinct name from model_resource where name like ? escape '!' limit 200"
    like += [row[0] for row in connection.rows(sql, (pattern,))]
    if like:
        return difflib.get_close_matches(name, sorted(set(like)), 5, 0.0)
    column = "path" if slash else "name"
    rows = connection.rows(f"select distinct {column} from model_resource limit 20000")  # noqa: S608
    return difflib.get_close_matches(name, [row[0] for row in rows], 5, 0.6)
