"""What is made from what: from files that changed to the applications that deploy them.

The same reading of kustomizations as the view `deployed_revisions` has, walked from the other end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.store.drivers import Connection

_SOME = 400


class Deployable(NamedTuple):
    """An application as it is now, where it deploys to, and the environment that this belongs to."""

    controller_cluster: str
    application_namespace: str
    application: str
    cluster: str
    destination_namespace: str
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
        reached: set[str] = set()
        for start in range(0, len(frontier), _SOME):
            some = frontier[start : start + _SOME]
            marks = ", ".join("?" * len(some))
            rows = connection.rows(
                "select distinct directory from model_reference where repository = ? and branch = ? "  # noqa: S608
                f"and target in ({marks}) and kind in ('file', 'directory') and since <= ? "
                "and (until is null or until > ?)",
                [repository, branch, *some, number, number],
            )
            reached |= {row[0] for row in rows}
        frontier = sorted(reached - found)
        found |= reached
    return found


def deployables(connection: Connection, repository: str = "") -> list[Deployable]:
    """The applications that are there now; only those made from a repository where one is named."""
    rows = connection.rows(
        "select controller_cluster, application_namespace, application, cluster, destination_namespace, "
        "environment, tier, repository, path, target_revision from applications "
        "where present = 1 and (repository = ? or ? = '') "
        "order by environment, cluster, application, controller_cluster, application_namespace",
        [repository, repository],
    )
    return [Deployable(*row) for row in rows]


def follows(one: Deployable, branch: str) -> bool:
    """Whether an application may take what lands on a branch. HEAD may be any: Git alone knows which."""
    wanted = one.target_revision.removeprefix("refs/heads/").removeprefix("origin/")
    return wanted in ("", "HEAD", branch)
