"""What syncs shipped: path-exact, in any order of ingest, and never more than is known."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ledger import registry
from ledger.config import EnvironmentSettings, SourceSettings
from ledger.contents import Content
from ledger.documents import Documents
from ledger.events import (
    Event,
    Identity,
    NewEvent,
    PullRequest,
    PullRequestMerged,
    RecordedEvent,
    ReviewDismissed,
    ReviewSubmitted,
)
from ledger.ingest import import_files
from ledger.projector import Projector
from ledger.sources import Import
from ledger.store.schema import model_tables
from ledger.testing import Ledger, Repo, make_ledger, make_repo, track

Json = dict[str, Any]
Rows = list[tuple[Any, ...]]
URL = "https://forge.example.com/acme/infra.git"
ENVIRONMENTS = [
    EnvironmentSettings(name="prod", tier="production", clusters=["prod-eu", "prod-us"]),
    EnvironmentSettings(name="stage", tier="staging", clusters=["hub"], namespaces=["stage*"]),
]


def manifest(name: str, replicas: int = 1) -> str:
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n"
        f"  replicas: {replicas}\n"
    )


def at(minute: int) -> str:
    return f"2024-02-01T{minute // 60:02}:{minute % 60:02}:00Z"


class Story:
    """A repository, applications that are synced to it, and the files that tell of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repo: Repo = make_repo(folder / "infra")
        self.applications: dict[str, Json] = {}
        self.files: list[tuple[str, Path]] = []
        self.revisions: list[str] = []

    def commit(self, files: dict[str, Any], message: str = "A change", **options: Any) -> str:
        made = self.repo.commit(files, message, **options)
        self.revisions.append(made)
        return made

    def application(
        self, name: str, path: str, *, destination: str = "prod-eu", made: str = at(0), **spec: Any
    ) -> Json:
        source = {"repoURL": URL, "path": path, "targetRevision": "main"}
        value: Json = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {
                "name": name,
                "namespace": "argocd",
                "uid": f"uid-{name}",
                "creationTimestamp": made,
            },
            "spec": {
                "source": source,
                "destination": {"name": destination, "namespace": spec.pop("namespace", name)},
            }
            | spec,
            "status": {"history": []},
        }
        self.applications[name] = value
        return value

    def sync(
        self,
        name: str,
        minute: int,
        revision: str,
        *,
        number: int | None = None,
        phase: str = "",
        synced: Sequence[str] = (),
        source: Json | None = None,
        **sync: Any,
    ) -> None:
        """A sync in the history, or with a phase one that only the operation tells of."""
        value = self.applications[name]
        history = value["status"]["history"]
        where = source or value["spec"]["source"]
        started, finished = at(minute), at(minute)[:-3] + "30Z"
        if not phase:
            history.append({
                "id": (history[-1]["id"] + 1 if history else 0) if number is None else number,
                "revision": revision,
                "source": where,
                "deployStartedAt": started,
                "deployedAt": finished,
                "initiatedBy": {"automated": True},
            })  # fmt: skip
        value["status"]["operationState"] = {
            "operation": {"sync": {"revision": revision, **sync}, "initiatedBy": {"username": "ann"}},
            "phase": phase or "Succeeded",
            "startedAt": started,
            "finishedAt": finished,
            "syncResult": {
                "revision": revision,
                "source": where,
                "resources": [
                    {"group": "apps", "kind": "Deployment", "namespace": "shop", "name": one,
                     "status": "Synced", "message": ""}
                    for one in synced
                ],
            },
        }  # fmt: skip
        if phase:
            value["status"]["operationState"]["operation"]["initiatedBy"] = {"automated": True}

    def look(self, minute: int, cluster: str = "hub") -> Path:
        """What the applications are like at a minute, as a file."""
        path = self.folder / f"look{len(self.files)}.json"
        items = list(self.applications.values())
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        seconds = datetime.fromisoformat(at(minute)).astimezone(UTC).timestamp()
        os.utime(path, (seconds, seconds))
        self.files.append((cluster, path))
        return path

    def ledger(self, name: str, database: str = "", **options: Any) -> Ledger:
        source = track(self.repo, forge="forge.example.com/acme/infra", **options)
        return make_ledger(self.folder / name, source, environments=ENVIRONMENTS, database=database)

    def told(self, database: str = "") -> Ledger:
        """A ledger that was told everything, Git first."""
        ledger = self.ledger("ledger", database)
        ledger.grow()
        for number in range(len(self.files)):
            self.tell(ledger, number)
        return ledger

    def tell(self, ledger: Ledger, number: int) -> None:
        cluster, path = self.files[number]
        given = Import(files=[path], cluster=cluster)
        outcome = import_files(
            ledger.settings, "argocd", given, clock=lambda: "2025-01-01T00:00:00Z"
        )
        assert (outcome.failure, outcome.stopped) == ("", ())


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def kinds(ledger: Ledger, application: str = "shop") -> list[str]:
    rows = ledger.rows(
        "select kind from deployments where application = ? order by started_at", application
    )
    return [row[0] for row in rows]


def shipped(ledger: Ledger, application: str = "shop") -> Rows:
    """(minute's digits, kind, number) of each revision that a sync brought."""
    rows = ledger.rows(
        "select substr(deployed_at, 12, 5), kind, number from deployed_revisions "
        "where application = ? order by deployed_at, number, kind",
        application,
    )
    return [tuple(row) for row in rows]


# -- what a sync shipped ---------------------------------------------------------------------------


def test_a_sync_ships_the_revisions_that_touched_its_directory(
    story: Story, database_url: str
) -> None:
    one = story.commit({"apps/shop/api.yaml": manifest("api")})
    story.commit({"apps/shop/api.yaml": manifest("api", 2)})
    story.commit({"apps/other/web.yaml": manifest("web")})
    story.commit({"apps/shopping/web.yaml": manifest("web")})
    last = story.commit({"apps/shop/deep/below/api.yaml": manifest("deep"), "README": "x"})
    story.application("shop", "./apps/shop/")
    story.sync("shop", 1, one, number=5)
    story.sync("shop", 2, last)
    story.look(3)
    ledger = story.told(database_url)
    assert kinds(ledger) == ["unknown_since", "change"]
    assert shipped(ledger) == [
        ("00:01", "unknown_since", 1),
        ("00:02", "shipped", 2),
        ("00:02", "shipped", 5),
    ]


def test_what_a_kustomization_refers_to_belongs_to_what_is_shipped(
    story: Story, database_url: str
) -> None:
    """From the revision on that refers to it, until one no longer does; also what that refers to."""
    overlay = "apps/shop/overlays/prod/kustomization.yaml"
    first = story.commit({
        "apps/shop/base/kustomization.yaml": "resources: [api.yaml, ../../common]\n",
        "apps/shop/base/api.yaml": manifest("api"),
        "apps/common/kustomization.yaml": "resources: [settings.yaml]\n",
        "apps/common/settings.yaml": manifest("settings"),
        overlay: "resources: [../../base]\n",
    })  # fmt: skip
    story.commit({"apps/shop/base/api.yaml": manifest("api", 2)})  # 2
    story.commit({"apps/common/settings.yaml": manifest("settings", 2)})  # 3
    story.commit({"apps/shop/overlays/stage/kustomization.yaml": "resources: [../../base]\n"})  # 4
    story.commit({overlay: "resources: [own.yaml]\n"})  # 5: the base is no input any more
    last = story.commit({"apps/shop/base/api.yaml": manifest("api", 3)})  # 6
    story.application("shop", "apps/shop/overlays/prod")
    story.sync("shop", 1, first, number=5)
    story.sync("shop", 2, last)
    story.look(3)
    ledger = story.told(database_url)
    assert [number for _, kind, number in shipped(ledger) if kind == "shipped"] == [2, 3, 5]


def test_an_application_made_under_our_eyes_begins_with_an_initial_deployment(
    story: Story, database_url: str
) -> None:
    story.commit({"apps/shop/api.yaml": manifest("api")})
    story.commit({"elsewhere": "x"})
    last = story.commit({"apps/shop/api.yaml": manifest("api", 2)})
    story.application("other", "elsewhere")
    story.look(1)
    story.application("shop", "apps/shop", made=at(2))
    story.sync("shop", 3, last)
    story.look(4)
    ledger = story.told(database_url)
    assert kinds(ledger) == ["initial"]
    assert shipped(ledger) == [("00:03", "initial", 1), ("00:03", "initial", 3)]


@pytest.mark.parametrize(
    ("made", "number"), [(at(0), 0), (at(2), 3)], ids=["before the first look", "syncs were lost"]
)
def test_what_was_before_the_first_known_sync_is_never_one_deployment(
    story: Story, made: str, number: int
) -> None:
    last = [story.commit({"apps/shop/api.yaml": manifest("api", n)}) for n in range(5)][-1]
    story.application("other", "elsewhere")
    story.look(1)
    story.application("shop", "apps/shop", made=made)
    story.sync("shop", 3, last, number=number)
    story.look(4)
    ledger = story.told()
    assert shipped(ledger) == [("00:03", "unknown_since", 5)]
    [item] = ledger.rows("select kind, approval, reason from applied_changes")
    assert item[:2] == ("unknown_since", "unknown")
    assert "since when" in item[2]


def test_repeats_ship_nothing_and_a_rollback_ships_the_reverse(
    story: Story, database_url: str
) -> None:
    commits = [story.commit({"apps/shop/api.yaml": manifest("api", n)}) for n in range(1, 5)]
    story.application("shop", "apps/shop")
    steps = [(commits[0], 4), (commits[3], 5), (commits[3], 6), (commits[1], 7), (commits[2], 8)]
    for minute, (revision, number) in enumerate(steps, 1):
        story.sync("shop", minute, revision, number=number)
    story.look(9)
    ledger = story.told(database_url)
    assert kinds(ledger) == ["unknown_since", "change", "repeat", "rollback", "change"]
    assert shipped(ledger) == [
        ("00:01", "unknown_since", 1),
        ("00:02", "shipped", 2),
        ("00:02", "shipped", 3),
        ("00:02", "shipped", 4),
        ("00:04", "rolled_back", 3),
        ("00:04", "rolled_back", 4),
        ("00:05", "shipped", 3),
    ]
    rows = ledger.rows(
        "select number, substr(first_applied_at, 12, 5) from applied_changes order by number"
    )
    assert rows == [(1, "00:01"), (2, "00:02"), (3, "00:02"), (4, "00:02")]


def test_a_failed_sync_ships_only_what_was_applied_all_the_same(
    story: Story, database_url: str
) -> None:
    first = story.commit({"apps/shop/api.yaml": manifest("api")})
    story.commit({"apps/shop/api.yaml": manifest("api", 2)})
    story.commit({"apps/shop/web.yaml": manifest("web")})
    last = story.commit({"apps/shop/job.yaml": manifest("job")})
    story.application("shop", "apps/shop")
    story.sync("shop", 1, first, number=3)
    story.look(2)
    story.sync("shop", 3, last, phase="Failed", synced=["web"])
    story.look(4)
    story.sync("shop", 5, last)
    story.look(6)
    ledger = story.told(database_url)
    assert kinds(ledger) == ["unknown_since", "failed", "change"]
    assert shipped(ledger)[1:] == [
        ("00:03", "partial", 3),
        ("00:05", "shipped", 2),
        ("00:05", "shipped", 3),
        ("00:05", "shipped", 4),
    ]
    [failed] = ledger.rows(
        "select outcome, resources, synced from deployments where kind = 'failed'"
    )
    assert failed == ("failed", 1, 1)
    rows = ledger.rows("select number, substr(first_applied_at, 12, 5) from applied_changes")
    assert (3, "00:03") in rows


def test_self_heals_and_partial_syncs_do_not_move_what_is_applied(story: Story) -> None:
    first = story.commit({"apps/shop/api.yaml": manifest("api")})
    last = story.commit({"apps/shop/api.yaml": manifest("api", 2)})
    story.application("shop", "apps/shop")
    story.sync("shop", 1, first, number=3)
    story.look(2)
    chosen = [{"group": "apps", "kind": "Deployment", "name": "api"}]
    story.sync("shop", 3, first, phase="Succeeded", resources=chosen, autoHealAttemptsCount=1)
    story.look(4)
    story.sync("shop", 5, last, phase="Succeeded", resources=chosen, synced=["api"])
    story.look(6)
    story.sync("shop", 7, last)
    story.look(8)
    ledger = story.told()
    assert kinds(ledger) == ["unknown_since", "self_heal", "partial", "change"]
    assert shipped(ledger)[1:] == [("00:05", "partial", 2), ("00:07", "shipped", 2)]


def test_a_persons_own_manifests_are_an_item_of_their_own(story: Story, database_url: str) -> None:
    first = story.commit({"apps/shop/api.yaml": manifest("api")})
    story.application("shop", "apps/shop")
    story.sync("shop", 1, first, number=3)
    story.look(2)
    story.sync("shop", 3, first, phase="Succeeded", manifests=["{}"])
    story.look(4)
    ledger = story.told(database_url)
    assert kinds(ledger) == ["unknown_since", "local"]
    [item] = ledger.rows(
        "select environment, approval, reason from applied_changes where kind = 'local'"
    )
    assert item[:2] == ("prod", "unapproved")
    assert "own manifests" in item[2]


def test_the_two_tellings_of_a_sync_are_one_row(story: Story, database_url: str) -> None:
    first = story.commit({"apps/shop/api.yaml": manifest("api")})
    story.application("shop", "apps/shop")
    story.sync("shop", 1, first, number=3, synced=["api"])
    story.look(2)
    ledger = story.told(database_url)
    rows = ledger.rows("select history_id, resources, synced, initiated_by from deployments")
    assert rows == [(3, 1, 1, "ann")]


def test_multi_source_syncs_ship_the_revisions_of_each(story: Story, database_url: str) -> None:
    first = story.commit({"apps/shop/a.yaml": manifest("a"), "values/shop.yaml": "a: 1\n"})
    last = story.commit({"values/shop.yaml": "a: 2\n"})
    chart = {"repoURL": "https://charts.example.com", "chart": "redis", "targetRevision": "15.x"}
    values = {"repoURL": URL, "path": "values", "targetRevision": "main"}
    one = story.application("shop", "", sources=[chart, values])
    one["status"]["history"] = [
        {
            "id": number,
            "revisions": [version, revision],
            "sources": [chart, values],
            "deployStartedAt": at(number),
            "deployedAt": at(number),
        }
        for number, version, revision in ((1, "15.0.0", first), (2, "15.7.1", last))
    ]
    story.look(3)
    ledger = story.told(database_url)
    assert kinds(ledger) == ["unknown_since", "change"]
    rows = ledger.rows(
        "select kind, repository, commit_sha from deployed_revisions "
        "order by deployed_at, kind, repository"
    )
    assert rows == [
        ("unknown_since", "https://charts.example.com", "15.0.0"),
        ("unknown_since", "infra", first),
        ("shipped", "infra", last),
        ("untracked", "https://charts.example.com", "15.7.1"),
    ]
    [row] = ledger.rows(
        "select repository, revision, sources from deployments where kind = 'change'"
    )
    assert row == ("infra", last, 2)


def test_a_revision_off_the_tracked_branch_is_shown_as_such(story: Story) -> None:
    first = story.commit({"apps/shop/api.yaml": manifest("api")})
    side = story.repo.commit(
        {"apps/shop/api.yaml": manifest("api", 9)}, branch="hotfix", parents=[first]
    )
    story.commit({"apps/shop/api.yaml": manifest("api", 2)})
    last = story.commit({"apps/shop/api.yaml": manifest("api", 3)})
    story.application("shop", "apps/shop")
    story.sync("shop", 1, first, number=3)
    story.sync("shop", 2, side)
    story.sync("shop", 3, last)
    story.look(4)
    ledger = story.told()
    assert shipped(ledger)[1:] == [
        ("00:02", "off_mainline", None),
        ("00:03", "shipped", 2),
        ("00:03", "shipped", 3),
    ]
    [item] = ledger.rows(
        "select commit_sha, approval, reason from applied_changes where kind = 'off_mainline'"
    )
    assert item == (side, "unknown", "the applied revision is on no tracked branch")


def test_another_source_is_no_change_of_what_was_before(story: Story) -> None:
    first = story.commit({"apps/a/api.yaml": manifest("api"), "apps/b/api.yaml": manifest("api")})
    last = story.commit({"apps/b/api.yaml": manifest("api", 2)})
    story.application("shop", "apps/a")
    story.sync("shop", 1, first, number=3)
    moved = {"repoURL": URL, "path": "apps/b", "targetRevision": "main"}
    story.sync("shop", 2, first, source=moved)
    story.sync("shop", 3, last, source=moved)
    story.look(4)
    ledger = story.told()
    assert kinds(ledger) == ["unknown_since", "source_changed", "change"]
    assert shipped(ledger)[1:] == [("00:02", "source_changed", 1), ("00:03", "shipped", 2)]


def test_another_branch_is_another_source(story: Story) -> None:
    """Numbers of two branches say nothing about each other."""
    first = story.commit({"apps/shop/api.yaml": manifest("api")})
    story.repo.make_branch("release", first)
    for replicas in (2, 3):
        story.commit({"apps/shop/api.yaml": manifest("api", replicas)})
    late = story.repo.commit({"apps/shop/api.yaml": manifest("api", 7)}, branch="release")
    story.application("shop", "apps/shop")
    story.sync("shop", 1, story.revisions[2], number=3)
    source = {"repoURL": URL, "path": "apps/shop", "targetRevision": "release"}
    story.sync("shop", 2, late, source=source)
    story.look(3)
    ledger = story.ledger("ledger", branches=["main", "release"])
    ledger.grow()
    story.tell(ledger, 0)
    assert kinds(ledger) == ["unknown_since", "source_changed"]
    assert shipped(ledger) == [("00:01", "unknown_since", 3), ("00:02", "source_changed", 2)]


@pytest.mark.parametrize("moved_first", [True, False])
def test_what_was_applied_before_a_forced_push_stays_known(
    story: Story, database_url: str, moved_first: bool
) -> None:
    base = story.commit({"apps/shop/api.yaml": manifest("api")})
    common = story.commit({"apps/shop/api.yaml": manifest("api", 2)})
    gone = [story.commit({"apps/shop/api.yaml": manifest("api", n)}) for n in (3, 4, 5)]
    story.application("shop", "apps/shop")
    story.sync("shop", 1, base, number=3)
    story.sync("shop", 2, gone[1])
    story.sync("shop", 3, gone[2])
    story.look(4)
    ledger = story.ledger("ledger", database_url)
    ledger.grow()
    if not moved_first:
        story.tell(ledger, 0)
    story.repo.force(common)
    last = [story.commit({"apps/shop/api.yaml": manifest("api", n)}) for n in (6, 7)][-1]
    ledger.grow()
    if moved_first:
        story.tell(ledger, 0)
    story.sync("shop", 5, last)
    story.look(6)
    story.tell(ledger, 1)
    rows = ledger.rows(
        "select substr(deployed_at, 12, 5), kind, commit_sha from deployed_revisions "
        "order by deployed_at, number"
    )
    assert rows == [
        ("00:01", "unknown_since", base),
        ("00:02", "shipped", common),
        ("00:02", "shipped", gone[0]),
        ("00:02", "shipped", gone[1]),
        ("00:03", "shipped", gone[2]),
        ("00:05", "shipped", story.revisions[5]),
        ("00:05", "shipped", last),
    ]


# -- environments --------------------------------------------------------------------------------


def test_one_item_for_each_revision_and_environment(story: Story, database_url: str) -> None:
    first = story.commit({"apps/shop/api.yaml": manifest("api"), "apps/web/w.yaml": manifest("w")})
    both = story.commit(
        {"apps/shop/api.yaml": manifest("api", 2), "apps/web/w.yaml": manifest("w", 2)}
    )
    for name, path, destination, namespace in (
        ("shop", "apps/shop", "prod-eu", "shop"),
        ("web", "apps/web", "prod-us", "web"),
        ("try", "apps/shop", "in-cluster", "stage-1"),
        ("lost", "apps/shop", "nowhere", "lost"),
    ):
        story.application(name, path, destination=destination, namespace=namespace)
        story.sync(name, 1, first, number=3)
    for minute, name in enumerate(story.applications, 5):
        story.sync(name, minute, both)
    story.look(9)
    ledger = story.told(database_url)
    rows = ledger.rows(
        "select item_id, environment, mapped, tier, application, cluster, "
        "substr(first_applied_at, 12, 5) from applied_changes where kind = 'direct_push' "
        "order by environment"
    )
    assert rows == [
        (f"/infra@{both}", "", 0, "", "lost", "nowhere", "00:08"),
        (f"prod/infra@{both}", "prod", 1, "production", "shop", "prod-eu", "00:05"),
        (f"stage/infra@{both}", "stage", 1, "staging", "try", "hub", "00:07"),
    ]
    assert ledger.rows("select application from applications where environment = ''") == [("lost",)]


def test_environments_that_are_mapped_later_count_from_the_start(story: Story) -> None:
    first = story.commit({"apps/shop/api.yaml": manifest("api")})
    story.application("shop", "apps/shop")
    story.sync("shop", 1, first, number=3)
    story.look(2)
    ledger = story.told()
    for mapped, expected in (
        ([EnvironmentSettings(name="eu", clusters=["prod-*"])], ""),
        ([EnvironmentSettings(name="eu", applications=["sh*"])], "eu"),
        ([EnvironmentSettings(name="a", namespaces=["sho?"]), ENVIRONMENTS[0]], "a"),
        (
            [EnvironmentSettings(name="by-path", repository="infra", paths=["apps/shop/*"])],
            "by-path",
        ),
        ([EnvironmentSettings(name="by-path", repository="other", paths=["apps/shop/*"])], ""),
        ([], ""),
    ):
        ledger.replace(environment=mapped).ingest()
        assert ledger.rows("select environment from deployments") == [(expected,)]
        assert ledger.rows("select environment from applications") == [(expected,)]


def test_an_environment_of_clusters_alone_maps_no_path(story: Story) -> None:
    story.commit({"apps/shop/api.yaml": manifest("api")})
    ledger = story.told()
    rows = ledger.rows("select environment, tier, clusters, namespaces from environments")
    assert rows == [
        ("prod", "production", "prod-eu\nprod-us", ""),
        ("stage", "staging", "hub", "stage*"),
    ]
    ledger.replace(environment=[]).ingest()
    assert ledger.rows("select environment from environments") == []


def test_what_was_live_before_the_first_look_is_not_new_in_the_next_cluster(story: Story) -> None:
    commits = [story.commit({"apps/shop/api.yaml": manifest("api", n)}) for n in range(1, 5)]
    story.application("eu", "apps/shop", destination="prod-eu")
    story.sync("eu", 1, commits[1], number=7)
    story.look(2)
    story.application("us", "apps/shop", destination="prod-us", made=at(3))
    story.sync("us", 4, commits[3])
    story.look(5)
    ledger = story.told()
    assert [number for _, kind, number in shipped(ledger, "us") if kind == "initial"] == [
        1,
        2,
        3,
        4,
    ]
    rows = ledger.rows("select number, kind from applied_changes order by number")
    assert rows == [(2, "unknown_since"), (3, "direct_push"), (4, "direct_push")]


# -- the items of an audit ---------------------------------------------------------------------------


def test_a_change_ticket_is_what_the_trailer_says(story: Story) -> None:
    first = story.commit({"apps/shop/api.yaml": manifest("api")})
    story.commit({"apps/shop/api.yaml": manifest("api", 2)}, "Two\n\nRefs: OPS-1\nTicket: CHG-7")
    last = story.commit({"apps/shop/api.yaml": manifest("api", 3)}, "Three\n\nSigned-off-by: ann")
    story.application("shop", "apps/shop")
    story.sync("shop", 1, first, number=3)
    story.sync("shop", 2, last)
    story.look(3)
    ledger = story.told()
    rows = ledger.rows("select number, change_ticket from applied_changes order by number")
    assert rows == [(1, ""), (2, "CHG-7"), (3, "")]


def test_a_pull_request_gives_the_item_its_number(story: Story, database_url: str) -> None:
    first = story.commit({"apps/shop/api.yaml": manifest("api")})
    head = story.repo.commit({"apps/shop/api.yaml": manifest("api", 2)}, branch="more")
    head = story.repo.commit(
        {"apps/shop/api.yaml": manifest("api", 2)}, branch="more", parents=[first]
    )
    story.repo.pull_head(7, head)
    merged = story.repo.merge("more", "Merge pull request #7 from ann/more")
    story.application("shop", "apps/shop")
    story.sync("shop", 1, first, number=3)
    story.sync("shop", 2, merged)
    story.look(3)
    ledger = story.told(database_url)
    rows = ledger.rows(
        "select kind, pull_request, commit_sha, link_grade from applied_changes where number = 2"
    )
    assert rows == [("pull_request", 7, merged, "proved")]
    rows = ledger.rows("select pull_request from deployed_revisions where number = 2")
    assert rows == [(7,)]


def test_what_was_taken_back_between_merge_and_first_sync_is_judged_again(
    story: Story, database_url: str
) -> None:
    tip = story.commit({"apps/shop/api.yaml": manifest("api")})
    story.application("shop", "apps/shop")
    story.sync("shop", 1, tip, number=3)
    told: list[NewEvent] = []
    # Taken back before the sync, after it, and approved only after the merge.
    for number, gone, given in ((7, 12, 8), (8, 40, 8), (9, 0, 12)):
        files = {"apps/shop/api.yaml": manifest("api", number)}
        head = story.repo.commit(files, branch=f"more{number}", parents=[tip])
        story.repo.pull_head(number, head)
        tip = story.repo.merge(f"more{number}", f"Merge pull request #{number} from ann/more")
        told += approved(number, head, tip, given=given, gone=gone)
    story.sync("shop", 20, tip)
    story.look(50)
    ledger = story.told(database_url)
    with ledger.store() as store:
        projector = Projector(
            store, registry.projections(), Documents(registry.parsers, store.content)
        )
        recorded = store.append(told, source="made up", recorded_at=ledger.now)
        projector.catch_up(recorded)
    assert ledger.rows(
        "select pull_request, approval, approval_at_apply, reason_at_apply from applied_changes "
        "where pull_request is not null order by pull_request"
    ) == [
        (7, "approved", "unapproved", f"no approval counts: bob (dismissed: {at(12)})"),
        (8, "approved", "approved", ""),
        (9, "unapproved", "unapproved", ""),
    ]
    found = ledger.rows("select outcome, reason from (" + applied_control() + ") x order by item")
    assert sorted(row[0] for row in found if "bob" in row[1]) == ["exception", "exception", "pass"]
    assert [row[1] for row in found if "not any more when it was first applied" in row[1]] != []


def applied_control() -> str:
    """CHG-01 over all time."""
    path = Path(__file__).resolve().parent.parent / "reports" / "controls" / "CHG-01.sql"
    sql = path.read_text().replace(":period_start", "'2000'").replace(":period_end", "'2100'")
    return "\n".join(line for line in sql.splitlines() if not line.startswith("--"))


def approved(number: int, head: str, merge: str, *, given: int, gone: int) -> list[NewEvent]:
    """A pull request of ann, merged in minute 10, with an approval of bob that may be dismissed."""
    of: Json = {"repository": "infra", "forge": "forge.example.com/acme/infra"}
    pull = PullRequest(number=number, author=Identity(login="ann"), head=head, base="main")
    facts: list[Event] = [
        PullRequestMerged(
            **of,
            pull_request=pull,
            merge_commit=merge,
            merged_at=at(10),
            merged_by=Identity(login="mona"),
        ),
        ReviewSubmitted(
            **of,
            number=number,
            review=str(number),
            reviewer=Identity(login="bob"),
            state="approved",
            commit=head,
            submitted_at=at(given),
        ),
    ]
    if gone:
        facts.append(ReviewDismissed(**of, number=number, review=str(number), at=at(gone)))
    return [
        NewEvent(stream="repository/infra", key=f"{one.TYPE}/{number}", source="made up", data=one)
        for one in facts
    ]


# -- any order, again, rebuilt -------------------------------------------------------------------------


def busy(story: Story) -> None:
    """A story with everything in it, told in six files."""
    overlay = {"apps/shop/kustomization.yaml": "resources: [../base, api.yaml]\n"}
    commits = [story.commit({"apps/shop/api.yaml": manifest("api"), **overlay})]
    for n in range(2, 9):
        path = "apps/base/kustomization.yaml" if n % 3 == 0 else "apps/shop/api.yaml"
        text = f"commonLabels: {{n: '{n}'}}\n" if n % 3 == 0 else manifest("api", n)
        commits.append(story.commit({path: text, f"apps/web/{n}.yaml": manifest(f"w{n}")}))
    story.application("shop", "apps/shop", destination="prod-eu")
    story.sync("shop", 1, commits[0], number=4)
    story.look(2)
    story.sync("shop", 3, commits[3], synced=["api"])
    story.application("web", "apps/web", destination="in-cluster", namespace="stage-1", made=at(3))
    story.sync("web", 4, commits[4])
    story.look(5)
    story.sync("shop", 6, commits[6], phase="Failed", synced=["api"])
    story.look(7)
    story.sync("shop", 8, commits[2])
    story.applications["web"]["spec"]["destination"] = {"name": "prod-us", "namespace": "web"}
    story.sync("web", 9, commits[7])
    story.look(10)
    story.sync("shop", 11, commits[7])
    story.look(12)
    story.applications["web"]["spec"]["source"]["path"] = "apps/shop"
    story.look(13)


VIEWS = (
    "applications",
    "application_changes",
    "deployments",
    "deployment_sources",
    "deployed_revisions",
    "applied_changes",
)


def answers(ledger: Ledger, *more: str) -> dict[str, Rows]:
    """Every view of deployments, and more tables, but for positions and times of recording."""
    found: dict[str, Rows] = {}
    for name in [*VIEWS, *more]:
        with ledger.store() as store:
            columns = _columns(store.connection, name)
        kept = ", ".join(one for one in columns if one not in ("evidence_position", "recorded_at"))
        found[name] = sorted(ledger.rows(f"select {kept} from {name}"), key=repr)
    return found


def tables(ledger: Ledger) -> dict[str, Rows]:
    """The same, with every table behind them."""
    mine = (
        *("model_sync", "model_step", "model_application", "model_place"),
        *("model_first_look", "model_touch"),
    )
    with ledger.store() as store:
        names = [one for one in model_tables(store.connection) if one.startswith(mine)]
    return answers(ledger, *names)


def _columns(connection: Any, name: str) -> list[str]:
    if connection.dialect == "sqlite":
        return [row[1] for row in connection.rows(f"pragma table_info({name})")]
    rows = connection.rows(
        "select column_name from information_schema.columns where table_name = ? "
        "order by ordinal_position",
        [name],
    )
    return [row[0] for row in rows]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_files_makes_no_difference(story: Story, seed: int) -> None:
    busy(story)
    expected = answers(story.told())
    assert expected["deployed_revisions"]
    order: list[int] = [-1, *range(len(story.files))]
    random.Random(seed).shuffle(order)  # noqa: S311 (a seed makes the same order again)
    ledger = story.ledger(f"shuffled{seed}")
    for number in order:
        if number < 0:
            ledger.grow()
        else:
            story.tell(ledger, number)
    assert answers(ledger) == expected
    before = tables(ledger)
    for number in range(len(story.files)):
        story.tell(ledger, number)
    assert tables(ledger) == before
    ledger.rebuild()
    assert tables(ledger) == before


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_events_makes_no_difference(story: Story, seed: int) -> None:
    """Those of Git keep theirs; those of controllers come in between in any order."""
    busy(story)
    first = story.told()
    events = [one for one in first.events() if one.source == "infra"]
    chance = random.Random(seed)  # noqa: S311 (a seed makes the same order again)
    for one in first.events():
        if one.source != "infra":
            events.insert(chance.randrange(len(events) + 1), one)
    ledger = story.ledger(f"events{seed}")
    with first.store() as store:
        rows = store.connection.rows("select digest, kind, data from log_content")
    kept = [Content(bytes(digest), kind, bytes(data)) for digest, kind, data in rows]
    with ledger.store() as store:
        for start in range(0, len(events), 7):
            told = [_told_again(one) for one in events[start : start + 7]]
            store.append(told, source="test", recorded_at=ledger.now, kept=kept)
        documents = Documents(registry.parsers, store.content)
        Projector(store, registry.projections(), documents).catch_up()
    assert tables(ledger) == tables(first)


def _told_again(one: RecordedEvent) -> NewEvent:
    return NewEvent(
        stream=one.stream,
        key=one.key,
        source=one.source,
        occurred_at=one.occurred_at,
        actor=one.actor,
        data=one.data,
    )


def test_both_databases_answer_alike(story: Story, sqlite_url: str, postgres_url: str) -> None:
    busy(story)
    found = []
    for name, url in (("one", sqlite_url), ("two", postgres_url)):
        ledger = story.ledger(name, url)
        for number in reversed(range(len(story.files))):
            story.tell(ledger, number)
        ledger.grow()
        found.append(tables(ledger))
    assert found[0] == found[1]


def test_a_repository_that_is_named_later_is_mapped_then(story: Story) -> None:
    first = story.commit({"apps/shop/api.yaml": manifest("api")})
    last = story.commit({"apps/shop/api.yaml": manifest("api", 2)})
    story.application("shop", "apps/shop")
    story.sync("shop", 1, first, number=3)
    story.sync("shop", 2, last)
    story.look(3)
    ledger = story.ledger("ledger")
    unnamed = ledger.replace(source=[SourceSettings(kind="git", name="infra", url=story.repo.url)])
    unnamed.grow()
    story.tell(unnamed, 0)
    assert {kind for _, kind, _ in shipped(ledger)} == {"unknown_since", "untracked"}
    story.tell(ledger, 0)
    assert shipped(ledger) == [("00:01", "unknown_since", 1), ("00:02", "shipped", 2)]
    assert ledger.rows("select repository, action from application_changes") == [
        ("infra", "created")
    ]
    assert ledger.rows("select repository from applications") == [("infra",)]
