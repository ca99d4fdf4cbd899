"""`ledger changes`: one timeline of what touched an environment, and how far it can be trusted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest

from ledger.config import EnvironmentSettings
from ledger.contents import Content
from ledger.errors import NotFoundError
from ledger.events import (
    Application,
    ApplicationChanged,
    ApplicationCreated,
    ApplicationDeleted,
    CollectorGap,
    Event,
    LiveRemoved,
    NewEvent,
    SyncApplied,
    SyncFailed,
)
from ledger.queries import Deployed, Scope, Timeline
from ledger.queries.timeline import Watched, timeline
from ledger.testing import BOB, Ledger, Repo, facts, make_ledger, make_repo, track
from ledger.testing.programs import Run

DAY = datetime(2025, 1, 2, tzinfo=UTC)
UID = "6f1d"
BASE = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: api}}\nspec: {{replicas: {}}}\n"
FILES = {
    "apps/api/base/deployment.yaml": BASE.format(1),
    "apps/api/base/kustomization.yaml": "resources: [deployment.yaml]\n",
    "apps/api/overlays/prod/kustomization.yaml": "resources: [../../base]\nnamespace: api\n",
    "apps/api/overlays/staging/kustomization.yaml": "resources: [../../base]\nnamespace: api\n",
    "docs/readme.md": "hello\n",
}
ENVIRONMENTS = [
    EnvironmentSettings(name="prod", tier="production", clusters=["prod"]),
    EnvironmentSettings(name="staging", paths=["apps/*/overlays/staging/*"]),
]


def at(clock: str) -> str:
    return f"2025-01-02T{clock}:00Z"


def event(data: Event, key: str, when: str) -> NewEvent:
    return NewEvent(stream="test", key=key, source="argocd", occurred_at=when, data=data)


def application(**more: Any) -> Application:
    values = {"uid": UID, "sources": [facts.source("apps/api/overlays/prod")]}
    return facts.application(**{**values, **more})


def created(clock: str, **more: Any) -> NewEvent:
    data = ApplicationCreated(application=application(**more), observed_at=at(clock))
    return event(data, f"created {clock}", at(clock))


def changed(clock: str, **more: Any) -> NewEvent:
    data = ApplicationChanged(application=application(**more), observed_at=at(clock))
    return event(data, f"changed {clock}", at(clock))


def synced(clock: str, revision: str, failed: str = "", **more: Any) -> NewEvent:
    values = {"uid": UID, "sources": application().sources}
    sync = facts.sync(revision, at(clock), **{**values, **more})
    data: Event = SyncApplied(sync=sync)
    if failed:
        data = SyncFailed(sync=sync, phase="Failed", message=failed)
    return event(data, f"sync {clock}", at(clock))


def looked(clock: str, cluster: str = "prod") -> NewEvent:
    data = facts.looked(at(clock), "Application", "argoproj.io", cluster)
    return NewEvent(
        stream=f"cluster/{cluster}",
        key=f"look/{cluster}/{clock}",
        source="argocd",
        occurred_at=at(clock),
        data=data,
    )


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = make_repo(tmp_path / "infra.git")
    repo.commit(FILES, "start")
    return repo


@pytest.fixture
def ledger(tmp_path: Path, repo: Repo, database_url: str) -> Ledger:
    """A ledger that has read the repository at 10:00, and knows the application since then."""
    ledger = make_ledger(
        tmp_path / "ledger", track(repo), environments=ENVIRONMENTS, database=database_url
    )
    ingest(ledger, "10:00")
    ledger.tell(looked("10:00"), created("10:00"), synced("10:01", repo.tip()))
    return ledger


def ingest(ledger: Ledger, clock: str) -> None:
    hour, minute = (int(part) for part in clock.split(":"))
    ledger.clock = DAY + timedelta(hours=hour, minutes=minute - 1)
    ledger.grow()


def ask(ledger: Ledger, since: str, until: str, environment: str = "", **more: Any) -> Timeline:
    values: dict[str, Any] = {
        "sources": [Watched(name="infra")],
        "now": at(until),
        "patience": 900,
        **more,
    }
    with ledger.store() as store:
        return timeline(
            store,
            since=at(since),
            until=at(until),
            environment=environment,
            **values,
        )


def told(found: Timeline) -> list[tuple[str, str, str]]:
    return [(one.at[11:16], one.kind, one.what) for one in found.entries]


# -- what is in it ---------------------------------------------------------------------------------


def test_landings_and_syncs_stand_in_the_order_in_which_they_happened(
    ledger: Ledger, repo: Repo
) -> None:
    head = repo.commit({"apps/api/overlays/prod/extra.yaml": "a: 1\n"}, "More", author=BOB)
    ingest(ledger, "11:30")
    ledger.tell(synced("11:32", head), looked("11:35"))
    found = ask(ledger, "11:00", "12:00", "prod")
    assert told(found) == [
        ("11:30", "landed", "More"),
        ("11:32", "synced", head[:9]),
    ]
    landed, sync = found.entries
    assert (landed.who, landed.repository, landed.branch) == ("Bob", "infra", "main")
    assert (landed.commit_sha, landed.pull_request, landed.application) == (head, None, "api")
    assert (landed.grade, landed.approval) == ("reported", "unknown")
    assert (sync.application, sync.cluster, sync.who, sync.alarming) == (
        "api",
        "prod",
        "automated",
        False,
    )
    assert sync.recorded_at >= landed.recorded_at


def test_a_landing_belongs_to_every_environment_whose_inputs_it_touches(
    ledger: Ledger, repo: Repo
) -> None:
    repo.commit({"apps/api/base/deployment.yaml": BASE.format(2)}, "Base")
    repo.commit(
        {"apps/api/overlays/staging/kustomization.yaml": FILES["docs/readme.md"]}, "Staging"
    )
    repo.commit({"docs/readme.md": "bye\n"}, "Docs")
    ingest(ledger, "11:30")
    everything = ask(ledger, "11:00", "12:00")
    assert [(one.what, one.environments) for one in everything.entries] == [
        ("Base", ["prod"]),  # staging maps paths, and the base is none of them
        ("Staging", ["staging"]),
        ("Docs", []),
    ]
    assert [one.what for one in ask(ledger, "11:00", "12:00", "prod").entries] == ["Base"]
    assert [one.what for one in ask(ledger, "11:00", "12:00", "staging").entries] == ["Staging"]


def test_what_an_overlay_no_longer_refers_to_does_not_touch_it(ledger: Ledger, repo: Repo) -> None:
    repo.commit({"apps/api/overlays/prod/kustomization.yaml": "resources: []\n"}, "Cut")
    repo.commit({"apps/api/base/deployment.yaml": BASE.format(3)}, "Base")
    ingest(ledger, "11:30")
    assert [one.what for one in ask(ledger, "11:00", "12:00", "prod").entries] == ["Cut"]


def test_every_source_of_an_application_counts(ledger: Ledger, repo: Repo) -> None:
    values = msgspec.structs.replace(application().sources[0], path="./values/")
    ledger.tell(changed("10:30", sources=[*application().sources, values]))
    repo.commit({"values/prod.yaml": "a: 1\n"}, "Values")
    ingest(ledger, "11:30")
    [entry] = ask(ledger, "11:00", "12:00", "prod").entries
    assert (entry.what, entry.application) == ("Values", "api")


def test_an_application_that_follows_another_branch_is_not_touched(
    ledger: Ledger, repo: Repo
) -> None:
    source = msgspec.structs.replace(application().sources[0], target_revision="release")
    ledger.tell(changed("10:30", sources=[source]))
    repo.commit({"apps/api/base/deployment.yaml": BASE.format(2)}, "Base")
    ingest(ledger, "11:30")
    assert ask(ledger, "11:00", "12:00", "prod").entries == []
    [entry] = ask(ledger, "11:00", "12:00").entries
    assert entry.environments == []


def test_a_sync_that_failed_is_told_with_its_reason(ledger: Ledger, repo: Repo) -> None:
    ledger.tell(synced("11:10", repo.tip(), "one or more objects failed to apply"))
    [entry] = ask(ledger, "11:00", "12:00", "prod").entries
    assert (entry.kind, entry.alarming) == ("sync_failed", True)
    assert entry.what == f"{repo.tip()[:9]} failed: one or more objects failed to apply"


def test_how_a_sync_was_unusual_is_told(ledger: Ledger, repo: Repo) -> None:
    old = repo.tip()
    new = repo.commit({"apps/api/base/deployment.yaml": BASE.format(2)}, "Base")
    ingest(ledger, "11:00")
    person: dict[str, Any] = {"initiated_by": "maya", "automated": False}
    ledger.tell(
        synced("11:10", new),
        synced("11:20", old, **person),
        synced("11:30", old, **person),
        synced("11:40", old, local=True, **person),
        synced("11:50", old, self_heal=True),
    )
    found = ask(ledger, "11:05", "12:00", "prod").entries
    assert [(one.who, one.what.partition(", ")[2], one.alarming) for one in found] == [
        ("automated", "", False),
        ("maya", "back to an older revision", True),
        ("maya", "the same revision again", False),
        ("maya", "from a person's own files, not from Git", True),
        ("automated", "putting back what was changed by hand", False),
    ]


def test_a_suspension_stands_out_and_so_does_its_end(ledger: Ledger) -> None:
    ledger.tell(
        changed("11:10", automated=False),
        changed("11:20", automated=True, prune=True),
        changed("11:30", automated=True, prune=True, destination_namespace="other"),
        event(
            ApplicationDeleted(
                cluster="prod", namespace="argocd", name="api", uid=UID, observed_at=at("11:40")
            ),
            "deleted",
            at("11:40"),
        ),
    )
    found = ask(ledger, "11:00", "12:00").entries
    assert [(one.kind, one.what, one.alarming) for one in found] == [
        ("suspended", "automated sync was turned off", True),
        ("resumed", "automated sync was turned on; also changed: prune", False),
        (
            "application",
            'the application was changed: destination_namespace: "api" → "other"',
            False,
        ),
        ("application", "the application was deleted", True),
    ]
    assert "since the look before" in found[0].clock


def test_an_application_is_news_when_it_was_made_and_not_when_it_was_first_seen(
    ledger: Ledger,
) -> None:
    young = application(name="young", uid="2")
    old = application(name="old", uid="3")
    ledger.tell(
        event(
            ApplicationCreated(application=young, observed_at=at("11:30"), created_at=at("11:12")),
            "young",
            at("11:30"),
        ),
        event(
            ApplicationCreated(application=old, observed_at=at("11:30"), created_at=at("08:00")),
            "old",
            at("11:30"),
        ),
    )
    [entry] = ask(ledger, "11:00", "12:00").entries
    assert (entry.at, entry.application, entry.what) == (
        at("11:12"),
        "young",
        "the application was created",
    )
    assert entry.clock == "as its cluster claims"
    assert [one.application for one in ask(ledger, "09:30", "10:01").entries] == []


def test_a_branch_that_was_rewritten_stands_out(ledger: Ledger, repo: Repo) -> None:
    first = repo.tip()
    gone = repo.commit({"apps/api/base/deployment.yaml": BASE.format(2)}, "Gone")
    ingest(ledger, "11:10")
    repo.force(first)
    kept = repo.commit({"apps/api/base/deployment.yaml": BASE.format(3)}, "Kept")
    ingest(ledger, "11:20")
    found = ask(ledger, "11:00", "12:00", "prod").entries
    assert [(one.kind, one.what, one.alarming) for one in found] == [
        ("landed", "Gone, which the branch has moved away from", True),
        ("landed", "Kept", False),
        (
            "rewritten",
            f"main was forced from {gone[:9]} to {kept[:9]}, leaving 1 behind",
            True,
        ),
    ]


def test_the_span_includes_its_beginning_and_not_its_end(ledger: Ledger, repo: Repo) -> None:
    ledger.tell(synced("11:00", repo.tip()), synced("12:00", repo.tip()))
    assert [one.at for one in ask(ledger, "11:00", "12:00").entries] == [at("11:00")]


def test_an_environment_that_is_not_mapped_is_refused_with_those_that_are(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError) as refused:
        ask(ledger, "11:00", "12:00", "production")
    assert refused.value.hint == "Mapped in ledger.toml: prod, staging."


# -- what clusters show ------------------------------------------------------------------------------


def seen(
    clock: str,
    replicas: int | None,
    kind: str = "Deployment",
    name: str = "api",
    namespace: str = "api",
    **more: Any,
) -> tuple[NewEvent, Content]:
    """A look at an object that saw it with so many replicas, or gone."""
    spec = {"replicas": replicas} if kind == "Deployment" else {"size": replicas}
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}
    identity: dict[str, Any] = {"kind": kind, "namespace": namespace, "name": name}
    data: Event
    data, kept = facts.observed(body, at(clock), **identity, **more)
    if replicas is None:
        data = LiveRemoved(cluster="prod", api_group="apps", observed_at=at(clock), **identity)
    return event(data, f"live {kind} {name} {clock}", at(clock)), kept


def look(ledger: Ledger, *looks: tuple[NewEvent, Content]) -> None:
    ledger.tell(*(one for one, _ in looks), contents=[kept for _, kept in looks])


def test_drift_is_told_when_it_begins_and_when_it_ends(ledger: Ledger, repo: Repo) -> None:
    look(ledger, seen("10:10", 1))
    look(ledger, seen("11:10", 9, manager="kubectl-edit", changed_at=at("11:04")))
    ledger.tell(synced("11:20", repo.tip(), self_heal=True))
    look(ledger, seen("11:21", 1, manager="argocd-controller"))
    found = ask(ledger, "11:00", "12:00", "prod").entries
    assert [(one.at[11:16], one.kind, one.who, one.what) for one in found] == [
        (
            "11:10",
            "drifted",
            "kubectl-edit",
            f"differs from Git in spec.replicas, changed at {at('11:04')}",
        ),
        (
            "11:20",
            "synced",
            "automated",
            f"{repo.tip()[:9]}, putting back what was changed by hand",
        ),
        (
            "11:21",
            "drift_ended",
            "",
            "no longer differs in spec.replicas: a sync made it as Git has it",
        ),
    ]
    begun, _, ended = found
    assert (begun.resource, begun.application, begun.cluster) == (
        "deployment/api -n api",
        "api",
        "prod",
    )
    assert (begun.alarming, ended.alarming) == (True, False)
    assert ended.reason == f"it differed since {at('11:10')}"
    assert [one.kind for one in ask(ledger, "11:15", "12:00", "prod").entries] == [
        "synced",
        "drift_ended",
    ]


def test_an_edit_outside_git_is_told_with_its_fields_and_tool(ledger: Ledger) -> None:
    look(ledger, seen("10:10", 1, "StatefulSet", "db"))
    look(ledger, seen("11:10", 2, "StatefulSet", "db", manager="kubectl-scale"))
    look(ledger, seen("11:20", 5, "StatefulSet", "shadow", manager="kubectl-create"))
    look(ledger, seen("11:30", None, "StatefulSet", "db"))
    found = ask(ledger, "11:00", "12:00").entries
    assert [(one.kind, one.resource, one.who, one.what) for one in found] == [
        ("edited", "statefulset/db -n api", "kubectl-scale", "changed in spec.size"),
        ("edited", "statefulset/shadow -n api", "kubectl-create", "appeared"),
        ("edited", "statefulset/db -n api", "", "is gone"),
    ]
    assert {one.alarming for one in found} == {True}
    assert {tuple(one.environments) for one in found} == {("prod",)}  # by its cluster


def test_an_object_that_claims_to_be_young_is_new_even_if_it_is_the_first_of_its_kind(
    ledger: Ledger,
) -> None:
    look(ledger, seen("10:10", 1))
    old = seen("11:10", 1, "StatefulSet", "old", changed_at=at("08:00"))
    young = seen("11:10", 1, "StatefulSet", "young", changed_at=at("11:00"), manager="kubectl-run")
    look(ledger, old, young)
    [entry] = ask(ledger, "11:00", "12:00").entries
    assert (entry.resource, entry.what) == (
        "statefulset/young -n api",
        f"appeared, changed at {at('11:00')}",
    )


FIRST = "was seen first: nothing tells since when it is there"


def test_an_object_that_nothing_dates_is_told_by_the_look_that_saw_it_first(ledger: Ledger) -> None:
    """Dumps of kubectl hide managed fields: what a person made by hand then claims no time at all."""
    look(ledger, seen("10:10", 1))
    look(ledger, seen("11:10", 1, "RoleBinding", "night"))
    [entry] = ask(ledger, "11:00", "12:00", "prod").entries
    assert (entry.kind, entry.at, entry.resource, entry.what) == (
        "edited",
        at("11:10"),
        "rolebinding/night -n api",
        FIRST,
    )
    look(ledger, seen("11:20", 1, "RoleBinding", "later"))
    assert told(ask(ledger, "11:15", "12:00")) == [("11:20", "edited", "appeared")]


def test_an_owner_that_makes_no_such_objects_hides_nothing(ledger: Ledger) -> None:
    look(ledger, seen("10:10", 1))
    by = {"owner": "Deployment/api", "owner_group": "apps"}
    look(
        ledger,
        seen("11:10", 1, "StatefulSet", "posing", **by),
        seen("11:10", 1, "ReplicaSet", "api-1", **by),
    )
    assert [one.resource for one in ask(ledger, "11:00", "12:00").entries] == [
        "statefulset/posing -n api"
    ]


def test_what_stands_in_no_namespace_belongs_to_the_environments_of_its_cluster(
    tmp_path: Path, repo: Repo, database_url: str
) -> None:
    mapped = [
        EnvironmentSettings(name="narrow", clusters=["prod"], namespaces=["api"]),
        EnvironmentSettings(name="wide", clusters=["prod"]),
        EnvironmentSettings(name="elsewhere", clusters=["test"]),
        EnvironmentSettings(name="anywhere", namespaces=["api"]),
    ]
    folder = tmp_path / "ledger"
    ledger = make_ledger(folder, track(repo), environments=mapped, database=database_url)
    ingest(ledger, "10:00")
    look(ledger, seen("10:10", 1))
    look(ledger, seen("11:10", 1, "RoleBinding", "inside"))
    look(ledger, seen("11:20", 1, "ClusterRoleBinding", "night", namespace=""))
    look(ledger, seen("11:30", 1, "RoleBinding", "outside", namespace="other"))
    found = {one.resource: one.environments for one in ask(ledger, "11:00", "12:00").entries}
    assert found == {
        "rolebinding/inside -n api": ["anywhere", "narrow", "wide"],
        "clusterrolebinding/night": ["narrow", "wide"],
        "rolebinding/outside -n other": ["wide"],
    }
    ledger.tell(created("11:40"))  # an application of the first of them, into this cluster
    [night] = ask(ledger, "11:15", "11:25").entries
    assert night.environments == ["anywhere", "narrow", "wide"]


def test_what_syncs_and_controllers_change_is_no_edit(ledger: Ledger, repo: Repo) -> None:
    look(ledger, seen("10:10", 1), seen("10:10", 1, "ReplicaSet", "api-1", owner="Deployment/api"))
    look(ledger, seen("10:20", 1, "StatefulSet", "db"))
    head = repo.commit({"apps/api/base/deployment.yaml": BASE.format(2)}, "Two")
    ingest(ledger, "11:00")
    ledger.tell(synced("11:05", head))
    look(ledger, seen("11:10", 2, manager="argocd-controller"))
    look(ledger, seen("11:11", 2, "ReplicaSet", "api-1", owner="Deployment/api"))
    look(ledger, seen("11:12", 4, "StatefulSet", "db", manager="kube-controller-manager"))
    assert [one.kind for one in ask(ledger, "11:02", "12:00").entries] == ["synced"]


def test_the_first_look_at_a_cluster_is_no_news(ledger: Ledger) -> None:
    look(ledger, seen("11:10", 7, "StatefulSet", "db"), seen("11:10", 1))
    assert ask(ledger, "11:00", "12:00").entries == []


# -- how far it can be trusted -----------------------------------------------------------------------


def test_feeds_say_how_far_they_are_read(ledger: Ledger) -> None:
    found = ask(ledger, "11:00", "12:00").feeds
    assert [(one.feed, one.kind, one.read_at[11:16], one.stale) for one in found] == [
        ("infra", "source", "10:00", True),
        ("prod", "cluster", "10:00", True),
    ]
    ingest(ledger, "11:50")
    ledger.tell(looked("11:58"))
    assert [one.stale for one in ask(ledger, "11:00", "12:00").feeds] == [False, False]


def test_a_feed_read_after_the_span_has_told_all_of_it(ledger: Ledger) -> None:
    found = ask(ledger, "09:00", "10:00", now=at("20:00")).feeds
    assert [one.stale for one in found] == [False, False]


def test_a_feed_that_cannot_be_read_or_never_was_is_stale(ledger: Ledger, repo: Repo) -> None:
    repo.path.rename(repo.path.with_name("gone"))
    ledger.clock = DAY + timedelta(hours=11)
    ledger.ingest()
    sources = [Watched(name="infra"), Watched(name="never", cluster="prod")]
    infra, never = ask(ledger, "10:30", "11:02", sources=sources).feeds
    assert (infra.stale, infra.read_at[11:16], infra.gaps) == (True, "10:00", 1)
    assert "infra" in infra.failure
    assert (never.read_at, never.stale) == ("", True)


def test_what_else_has_gaps_is_named(ledger: Ledger) -> None:
    gap = CollectorGap(repository="", kind="unreadable", detail="a delivery was no JSON")
    ledger.clock = DAY + timedelta(hours=11)
    ledger.tell(event(gap, "gap", at("11:00")))
    other = ask(ledger, "10:30", "12:00").feeds[-1]
    assert (other.feed, other.kind, other.gaps, other.stale) == ("argocd", "other", 1, True)


# -- where a change is live --------------------------------------------------------------------------


def live(ledger: Ledger, path: str = "apps/api/overlays/prod/kustomization.yaml") -> list[Deployed]:
    """Where the last change of a file is live."""
    with ledger.ask() as asker:
        change = next(asker.history(asker.resolve(path, Scope()), limit=1))
        return asker.where_live(change)


OVERLAY = "apps/api/overlays/prod/kustomization.yaml"


def test_a_change_is_live_since_the_sync_that_brought_it(ledger: Ledger, repo: Repo) -> None:
    head = repo.commit({OVERLAY: "resources: [../../base]\n"}, "Change")
    ingest(ledger, "11:00")
    [before] = live(ledger)
    assert (before.state, before.since, before.grade) == ("pending", "", "inferred")
    later = repo.commit({"docs/readme.md": "bye\n"}, "Docs")
    ingest(ledger, "11:10")
    ledger.tell(synced("11:20", later, initiated_by="maya", automated=False))
    [one] = live(ledger)
    assert (one.environment, one.cluster, one.application) == ("prod", "prod", "api")
    assert (one.state, one.since, one.initiated_by) == ("live", at("11:20"), "maya")
    assert (one.grade, one.reason) == ("reported", "a sync of api brought it")
    assert one.evidence_position is not None
    ledger.tell(synced("11:30", repo.chain()[0]))
    [back] = live(ledger)
    assert (back.state, back.since) == ("rolled_back", at("11:30"))
    ledger.tell(synced("11:40", head))
    [again] = live(ledger)
    assert (again.state, again.since) == ("live", at("11:40"))


def test_what_comes_by_a_kustomization_is_inferred(ledger: Ledger, repo: Repo) -> None:
    head = repo.commit({"apps/api/base/deployment.yaml": BASE.format(2)}, "Base")
    ingest(ledger, "11:00")
    ledger.tell(synced("11:20", head))
    [one] = live(ledger, "apps/api/base/deployment.yaml")
    assert (one.state, one.since, one.grade) == ("live", at("11:20"), "inferred")
    assert "kustomizations" in one.reason
    assert live(ledger, "docs/readme.md") == []


def test_what_was_before_the_first_known_sync_is_live_unknown_since_when(ledger: Ledger) -> None:
    [one] = live(ledger)
    assert (one.state, one.since, one.known_at) == ("live", "", at("10:01"))


def test_an_application_without_a_known_sync_says_nothing(tmp_path: Path, repo: Repo) -> None:
    ledger = make_ledger(tmp_path / "ledger", track(repo), environments=ENVIRONMENTS)
    ledger.grow()
    assert live(ledger) == []
    ledger.tell(created("10:00"))
    [one] = live(ledger)
    assert (one.state, one.grade, one.since) == ("not_observed", "unlinked", "")


# -- on the command line -----------------------------------------------------------------------------


@pytest.fixture
def run(ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("LEDGER_CONFIG", str(ledger.settings.folder / "ledger.toml"))
    return run


SPAN = ("--since", "2025-01-02T11:00Z", "--until", "2025-01-02T12:00Z")


def test_the_text_is_one_line_for_each_entry_and_one_for_each_feed(
    ledger: Ledger, repo: Repo, run: Run
) -> None:
    head = repo.commit({"apps/api/base/deployment.yaml": BASE.format(2)}, "Two \x1b[31m replicas")
    ingest(ledger, "11:30")
    ledger.tell(synced("11:32", head, initiated_by="maya", automated=False), looked("12:05"))
    done = run("changes", "--env", "prod", *SPAN)
    assert done.code == 0
    header, landed, sync, infra, cluster = done.out.splitlines()
    assert header == "prod  2025-01-02T11:00:00Z to 2025-01-02T12:00:00Z"
    assert landed == (
        f"2025-01-02T11:30:00Z  landed       infra@main {head[:9]}  direct push, approval unknown  "
        "Two \\x1b[31m replicas  by Ann"
    )
    assert sync == f"2025-01-02T11:32:00Z  synced       api in prod: {head[:9]}  by maya"
    assert infra.startswith("infra was last read ")
    assert infra.endswith(" d ago: what came later is not above")
    assert cluster.startswith("cluster prod was read ")
    everywhere = run("changes", *SPAN).out.splitlines()
    assert everywhere[0].startswith("all environments  ")
    assert "  prod          infra@main" in everywhere[1]


def test_when_says_where_the_change_is_live(ledger: Ledger, repo: Repo, run: Run) -> None:
    head = repo.commit({OVERLAY: "resources: [../../base]\n"}, "Change")
    ingest(ledger, "11:00")
    pending = run("when", OVERLAY).out.splitlines()[-1]
    assert pending == "  pending   prod  (inferred: no known sync of api brought it)"
    ledger.tell(synced("11:20", head))
    told = run("when", OVERLAY).out.splitlines()[-1]
    assert told == (
        "  live      prod since 2025-01-02T11:20:00Z, automated  "
        "(reported: a sync of api brought it)"
    )
    [one] = json.loads(run("when", OVERLAY, "-o", "json").out)["live"]
    shape(Deployed, one)


def test_unmapped_is_said_and_never_left_out(ledger: Ledger, repo: Repo, run: Run) -> None:
    repo.commit({"docs/readme.md": "bye\n"}, "Docs")
    ingest(ledger, "11:30")
    assert "  unmapped      infra@main" in run("changes", *SPAN).out


def test_how_much_is_left_out_because_it_is_not_mapped_is_said(
    ledger: Ledger, repo: Repo, run: Run
) -> None:
    left_out = "more of no environment that is mapped; without --env they are listed"
    assert left_out not in run("changes", "--env", "prod", *SPAN).out
    repo.commit({"docs/readme.md": "bye\n"}, "Docs")
    ingest(ledger, "11:30")
    said = run("changes", "--env", "prod", *SPAN).out.splitlines()
    assert said[1:3] == ["nothing is known to have happened", f"1 {left_out}"]
    assert left_out not in run("changes", *SPAN).out
    assert json.loads(run("changes", "--env", "prod", *SPAN, "-o", "json").out)["unmapped"] == 1


def test_nothing_is_claimed_only_where_every_feed_has_told(ledger: Ledger, run: Run) -> None:
    assert "nothing is known to have happened" in run("changes", *SPAN).out
    ingest(ledger, "12:10")
    ledger.tell(looked("12:10"))
    assert "\nnothing happened\n" in run("changes", *SPAN).out


def test_wrong_spans_and_environments_have_their_exit_codes(run: Run) -> None:
    assert run("changes", "--since", "soon").code == 2
    assert run("changes", "--since", "1h", "--until", "2h").code == 2
    unknown = run("changes", "--env", "produktion")
    assert unknown.code == 3
    assert "prod, staging" in unknown.err


def shape(kind: type[msgspec.Struct], value: Any) -> None:
    """Asserts that a JSON object has exactly the members of a struct, with values of their types."""
    hints = get_type_hints(kind)
    assert list(value) == list(kind.__struct_fields__)
    for name, hint in hints.items():
        inner = get_args(hint)
        if get_origin(hint) is list and isinstance(inner[0], type):
            if issubclass(inner[0], msgspec.Struct):
                for one in value[name]:
                    shape(inner[0], one)
            else:
                assert all(isinstance(one, inner[0]) for one in value[name])
        else:
            assert isinstance(value[name], hint), name


def test_the_json_has_the_documented_shape(ledger: Ledger, repo: Repo, run: Run) -> None:
    head = repo.commit({"apps/api/base/deployment.yaml": BASE.format(2)}, "Base")
    ingest(ledger, "11:30")
    ledger.tell(synced("11:32", head), changed("11:33", automated=False))
    answer = json.loads(run("changes", "--env", "prod", *SPAN, "-o", "json").out)
    shape(Timeline, answer)
    assert len(answer["entries"]) == 3
    assert {one["kind"] for one in answer["feeds"]} == {"source", "cluster"}
