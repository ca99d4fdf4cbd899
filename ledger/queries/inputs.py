"""What is made from what: from files that changed to the applications that deploy them.

The same reading of kustomizations as the view `deployed_revisions` has, walked from the other end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ledger.projections.applications import directory
from ledger.queries.many import for_each
from ledger.store.drivers import Connection

# The index by target holds all but `until`: SQLite takes it only where that is looked up apart.
_TAKEN_IN_BY = (
    "select distinct r.directory from w cross join model_reference i cross join model_reference r "
    "where i.repository = ? and i.branch = ? and i.target = w.wanted "
    "and i.kind in ('file', 'directory') and i.since <= ? "
    "and r.repository = i.repository and r.branch = i.branch and r.directory = i.directory "
    "and r.kind = i.kind and r.target = i.target and r.since = i.since "
    "and (r.until is null or r.until > ?)"
)


class Deployable(NamedTuple):
    """One source of an application as it is now, where that deploys to, and the environment of this."""

    controller_cluster: str
    application_namespace: str
    application: str
    cluster: str
    environment: str
    tier: str
    repository: str
    path: str
    target_revision: str


def directories_made_from(
    connection: Connection, repository: str, branch: str, number: int, paths: Iterable[str]
) -> set[str]:
    """Every directory that any of `paths` was part of at a revision: above it, or by a kustomization.

    The files themselves are among them. Costs an indexed query for each step of a chain of references.
    """
    found: set[str] = set()
    for path in paths:
        above = path
        while above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    frontier = sorted(found)
    while frontier:
        rows = for_each(
            connection,
            frontier,
            _TAKEN_IN_BY,
            repository,
            branch,
            number,
            number,
        )
        frontier = sorted({row[0] for row in rows} - found)
        found.update(frontier)
    return found


def is_any_application(connection: Connection) -> bool:
    """Whether a controller ever told of an application: the view of them costs more than to look."""
    return bool(connection.rows("select 1 from model_application_state limit 1"))


def deployables(connection: Connection, repository: str = "") -> list[Deployable]:
    """The applications that are there now, once for each source; only of a repository where one is named.

    An application with no source in a repository that the ledger reads stands there once all the same.
    """
    if not is_any_application(connection):
        return []
    rows = connection.rows(
        "select controller_cluster, application_namespace, application, cluster, environment, tier, "
        "repository, path, target_revision, facts from applications where present = 1 "
        "order by environment, cluster, application, controller_cluster, application_namespace"
    )
    found: list[Deployable] = []
    for *columns, facts in rows:
        one = Deployable(*columns)
        told = _Facts() if not facts else msgspec.json.decode(facts, type=_Facts)
        sources = [
            one._replace(
                repository=each.repository,
                path=directory(each.path),
                target_revision=each.target_revision,
            )
            for each in told.sources
            if each.repository
        ]
        found += sources or [one]
    return [one for one in found if repository in ("", one.repository)]


class _Source(msgspec.Struct):
    repository: str = ""
    path: str = ""
    target_revision: str = ""


class _Facts(msgspec.Struct):
    sources: list[_Source] = []


def follows(one: Deployable, branch: str) -> bool:
    """Whether an application may take what lands on a branch. HEAD may be any: Git alone knows which."""
    wanted = one.target_revision.removeprefix("refs/heads/").removeprefix("origin/")
    return wanted in ("", "HEAD", branch)
