"""`ledger trace`: from a live object to who approved it, each hop with its grade and evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest

from ledger.config import EnvironmentSettings
from ledger.contents import Content
from ledger.errors import AmbiguousError, NotFoundError
from ledger.events import (
    ApplicationCreated,
    ApplicationSource,
    Event,
    Identity,
    LiveRemoved,
    NewEvent,
    PullRequest,
    PullRequestMerged,
    ReviewSubmitted,
    SyncApplied,
)
from ledger.queries import Trace
from ledger.queries.deployed import where_live
from ledger.queries.trace import Tracer
from ledger.testing import BOB, Ledger, Repo, facts, make_ledger, make_repo, track
from ledger.testing.programs import Run

DAY = datetime(2025, 1, 2, tzinfo=UTC)
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: {}
  template:
    spec:
      containers:
      - name: api
        image: shop/api:{}
"""
POLICY = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: api
spec:
  podSelector: {}
"""
BASE = {
    "apps/api/base/deployment.yaml": DEPLOYMENT.format(1, 1),
    "apps/api/base/kustomization.yaml": "resources: [deployment.yaml]\n",
    "apps/api/prod/kustomization.yaml": "resources: [../base]\nnamespace: api\n",
}
ENVIRONMENTS = [EnvironmentSettings(name="production", tier="production", clusters=["prod"])]
GROUPS = {
    "Deployment": "apps", "NetworkPolicy": "networking.k8s.io", "Pod": "", "ReplicaSet": "apps", "Secret": "",
}  # fmt: skip


def at(clock: str) -> str:
    return f"2025-01-02T{clock}:00Z"


def event(data: Event, key: str) -> NewEvent:
    return NewEvent(stream="test", key=key, source="test", data=data)


class World:
    """A repository, a forge and clusters, told to one ledger."""

    def __init__(self, folder: Path, database: str) -> None:
        self.repo: Repo = make_repo(folder / "infra.git")
        self.repo.commit({"readme.md": "hello\n"}, "start")
        self.ledger: Ledger = make_ledger(
            folder / "ledger", track(self.repo), environments=ENVIRONMENTS, database=database
        )

    def ingest(self, clock: str) -> None:
        hour, minute = (int(part) for part in clock.split(":"))
        self.ledger.clock = DAY + timedelta(hours=hour, minutes=minute - 1)
        self.ledger.grow()

    def push(self, clock: str, files: Mapping[str, Any], message: str) -> str:
        """Straight to the branch, past every review."""
        made = self.repo.commit(files, message, author=BOB)
        self.ingest(clock)
        return made

    def merge(
        self, clock: str, number: int, files: Mapping[str, Any], approver: str = "bob"
    ) -> str:
        """A pull request of ann, squashed onto the branch; without an approver nobody approves it."""
        branch = f"pull-{number}"
        self.repo.make_branch(branch)
        head = self.repo.commit(files, "work", branch=branch)
        self.repo.pull_head(number, head)
        made = self.repo.squash(branch, f"Change {number} (#{number})")
        self.ingest(clock)
        pull = PullRequest(
            number=number, title=f"Change {number}", author=Identity(login="ann"), head=head
        )
        merged = PullRequestMerged(
            repository="infra",
            forge="github.com/acme/infra",
            pull_request=pull,
            merge_commit=made,
            merged_at=at(clock),
            merged_by=Identity(login="ann"),
        )
        told = [event(merged, f"merged {number}")]
        if approver:
            review = ReviewSubmitted(
                repository="infra",
                forge="github.com/acme/infra",
                number=number,
                review=str(number),
                reviewer=Identity(login=approver),
                state="approved",
                commit=head,
                submitted_at=at("08:00"),
            )
            told.append(event(review, f"review {number}"))
        self.ledger.tell(*told)
        return made

    def application(self, path: str = "apps/api/prod", cluster: str = "prod") -> ApplicationSource:
        source = facts.source(path)
        made = facts.application(cluster=cluster, sources=[source])
        created = ApplicationCreated(application=made, observed_at=at("09:00"))
        self.ledger.tell(event(created, f"created {cluster}"))
        return source

    def sync(
        self, clock: str, revision: str, source: ApplicationSource, cluster: str = "prod"
    ) -> None:
        sync = facts.sync(revision, at(clock), cluster=cluster, sources=[source])
        self.ledger.tell(event(SyncApplied(sync=sync), f"sync {cluster} {clock}"))

    def see(
        self,
        clock: str,
        kind: str,
        body: Mapping[str, Any] | None,
        *,
        cluster: str = "prod",
        name: str = "api",
        namespace: str = "api",
        **more: Any,
    ) -> None:
        """A look at a cluster that saw one object so, or no longer."""
        group = GROUPS[kind]
        identity: dict[str, Any] = {
            "cluster": cluster,
            "api_group": group,
            "kind": kind,
            "namespace": namespace,
            "name": name,
        }
        kept: list[Content] = []
        data: Event = LiveRemoved(**identity, observed_at=at(clock))
        if body is not None:
            data, content = facts.observed(body, at(clock), **identity, api_version="v1", **more)
            kept.append(content)
        look = facts.looked(at(clock), kind, group, cluster)
        mark = f"{cluster} {kind} {name} {clock}"
        self.ledger.tell(event(data, f"live {mark}"), event(look, f"look {mark}"), contents=kept)

    def trace(self, name: str = "deploy/api", **more: Any) -> Trace:
        with self.ledger.store() as store, self.ledger.ask() as asker:
            return Tracer(store, asker).trace(name, **more)


def deployment(replicas: int = 1, image: int = 1, **metadata: Any) -> dict[str, Any]:
    """The live object, with what Argo CD puts on it."""
    tracking = {"argocd.argoproj.io/tracking-id": "api:apps/Deployment:api/api"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api", "namespace": "api", "annotations": tracking, **metadata},
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": [{"name": "api", "image": f"shop/api:{image}"}]}},
        },
    }


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> World:
    return World(tmp_path, database_url)


def grades(found: Trace) -> dict[str, str]:
    return {one.hop: one.grade for one in found.hops}


# -- the chain ---------------------------------------------------------------------------------------


def test_an_object_declared_plainly_traces_to_its_approvers(world: World) -> None:
    source = world.application("apps/api/base/")
    plain = DEPLOYMENT.format(1, 1).replace("name: api\nspec", "name: api\n  namespace: api\nspec")
    head = world.merge("10:00", 1, {"apps/api/base/deployment.yaml": plain})
    world.sync("10:05", head, source)
    world.see("10:10", "Deployment", deployment())
    world.see("10:15", "Deployment", deployment(), name="other")
    found = world.trace()
    assert (found.observed_at, found.seen_at) == (at("10:10"), at("10:15"))
    assert (found.cluster, found.environment, found.tier) == ("prod", "production", "production")
    assert (found.kind, found.namespace, found.name, found.application) == (
        "Deployment",
        "api",
        "api",
        "api",
    )
    assert (found.state.verdict, found.approval.verdict) == ("in_sync", "approved")
    assert [one.hop for one in found.hops] == [
        "live",
        "desired",
        "revision",
        "pull_request",
        "approval",
        "sync",
    ]
    assert grades(found) == {
        "live": "reported",
        "desired": "reported",
        "revision": "proved",
        "pull_request": "proved",
        "approval": "reported",
        "sync": "reported",
    }
    assert (found.grade, found.weakest, found.decides) == ("reported", "live", head)
    told = {one.hop: one.what for one in found.hops}
    assert told["desired"] == "infra:apps/api/base/deployment.yaml, by application api"
    assert told["revision"].startswith(
        f"{head[:12]} Change 1 (#1), by Ann, landed 2025-01-02T10:00"
    )
    assert told["pull_request"] == f"#1, merged by ann at {at('10:00')}"
    assert told["approval"] == f"approved: bob at {at('08:00')}"
    assert told["sync"] == "live already at 2025-01-02T10:05:00Z, unknown since when, automated"
    assert found.differences == []


def test_every_hop_names_the_events_that_show_it(world: World) -> None:
    source = world.application()
    head = world.merge("10:00", 1, BASE)
    world.sync("10:05", head, source)
    world.see("10:10", "Deployment", deployment())
    events = {one.position: one.data.TYPE for one in world.ledger.events()}
    found = world.trace()
    shown = {one.hop: {events[position] for position in one.evidence} for one in found.hops}
    assert shown["live"] == {"live.observed"}
    assert shown["desired"] == shown["revision"] == {"revision.observed"}
    assert shown["pull_request"] <= {"pull_request.matched", "pull_request.merged"} != set()
    assert "review.submitted" in shown["approval"]
    assert shown["sync"] == {"sync.applied"}


def test_what_a_kustomization_makes_is_inferred_and_so_is_the_chain(world: World) -> None:
    source = world.application()
    world.merge("10:00", 1, BASE)
    head = world.merge(
        "10:20",
        2,
        {
            "apps/api/prod/kustomization.yaml": "resources: [../base]\nnamespace: api\n"
            "images: [{name: shop/api, newTag: '2'}]\n"
        },
    )
    world.sync("10:25", head, source)
    world.see("10:30", "Deployment", deployment(image=2))
    found = world.trace(field="image")
    assert (found.state.verdict, found.approval.verdict) == ("in_sync", "approved")
    assert (found.decides, found.grade) == (head, "inferred")
    setting = found.settings[0]
    assert setting.path == "apps/api/prod/kustomization.yaml"
    assert setting.input_field.startswith("images[name=shop/api]")
    revision = next(one for one in found.hops if one.hop == "revision")
    assert revision.grade == "inferred"
    assert "apps/api/prod/kustomization.yaml decides it" in revision.reason


def kustomized(tag: int, more: str = "") -> dict[str, str]:
    """The overlay of production with an image of its own."""
    text = "resources: [../base]\nnamespace: api\n"
    image = f"images: [{{name: shop/api, newTag: '{tag}'}}]\n"
    return {"apps/api/prod/kustomization.yaml": f"{text}{image}{more}"}


def sync_of(found: Trace) -> tuple[str, str]:
    hop = next(one for one in found.hops if one.hop == "sync")
    return hop.what, hop.reason


def test_what_a_rollback_made_live_again_is_live_since_the_rollback(world: World) -> None:
    source = world.application()
    world.sync("10:05", world.merge("10:00", 1, BASE), source)
    second = world.merge("10:20", 2, kustomized(2))
    world.sync("10:25", second, source)
    third = world.merge("10:30", 3, kustomized(3))
    world.sync("10:35", third, source)
    world.sync("10:45", second, source)
    world.see("10:50", "Deployment", deployment(image=2))
    found = world.trace(field="image")
    assert found.decides == second
    what, reason = sync_of(found)
    assert what.startswith(f"live since {at('10:45')}")
    assert reason.startswith("a sync of api went back to it")
    # Its namespace stands in the same file, and no later revision touched it.
    assert at("10:45") not in sync_of(world.trace(field="metadata.namespace"))[0]


def test_what_is_partly_taken_back_is_not_live_again(world: World) -> None:
    source = world.application()
    world.sync("10:05", world.merge("10:00", 1, BASE), source)
    second = world.merge("10:20", 2, kustomized(2))
    world.sync("10:25", second, source)
    third = world.merge("10:30", 3, kustomized(3))
    world.sync("10:35", third, source)
    world.sync("10:45", world.merge("10:40", 4, kustomized(4)), source)
    world.sync("10:55", third, source)
    with world.ledger.store() as store:
        [one] = where_live(
            store.connection,
            "infra",
            "main",
            number=3,
            commit=second,
            paths=["apps/api/prod/kustomization.yaml"],
        )
    assert (one.state, one.since) == ("live", at("10:25"))


def test_a_file_that_an_application_took_in_later_is_live_by_its_first_sync(world: World) -> None:
    base = {path: text for path, text in BASE.items() if "/base/" in path}
    first = world.merge("09:30", 1, base)
    overlay = {path: text for path, text in BASE.items() if path not in base}
    head = world.merge("10:00", 2, overlay)
    source = world.application()
    world.sync("10:05", head, source)
    with world.ledger.store() as store:
        [one] = where_live(
            store.connection,
            "infra",
            "main",
            number=2,
            commit=first,
            paths=["apps/api/base/deployment.yaml"],
        )
    assert (one.state, one.since, one.known_at) == ("live", "", at("10:05"))


def test_an_object_without_an_application_is_in_the_environment_of_its_place(world: World) -> None:
    source = world.application()
    world.sync("10:05", world.merge("10:00", 1, BASE), source)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "debug", "namespace": "api"}}
    world.see("10:10", "Pod", pod, name="debug")
    found = world.trace("pod/debug")
    assert (found.application, found.environment, found.tier) == ("", "production", "production")


def test_a_field_of_a_secret_has_one_setter_under_both_its_names(world: World) -> None:
    secret = (
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {{user: a, word: {}}}\n"
    )
    source = world.application()
    files = {
        **BASE,
        "apps/api/base/kustomization.yaml": "resources: [deployment.yaml, secret.yaml]\n",
        "apps/api/base/secret.yaml": secret.format("one"),
    }
    world.merge("10:00", 1, files)
    head = world.merge("10:20", 2, {"apps/api/base/secret.yaml": secret.format("two")})
    world.sync("10:25", head, source)
    live = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": "api"},
        "data": {"user": "YQ==", "word": "dHdv"},
    }
    world.see("10:30", "Secret", live, name="db")
    told = [world.trace("secret/db", field=name) for name in ("stringData.word", "data.word")]
    assert [one.decides for one in told] == [head, head]
    assert told[0].settings == told[1].settings
    assert told[0].settings[0].input_field == "stringData.word"
    assert world.trace("secret/db", field="stringData.user").decides != head


# -- the two verdicts ----------------------------------------------------------------------------------


def test_the_worst_change_decides_and_not_the_last(world: World) -> None:
    source = world.application()
    world.merge("10:00", 1, BASE)
    path = "apps/api/base/deployment.yaml"
    pushed = world.push("10:10", {path: DEPLOYMENT.format(5, 1)}, "Five, quickly")
    head = world.merge("10:20", 2, {path: DEPLOYMENT.format(5, 2)})
    world.sync("10:25", head, source)
    world.see("10:30", "Deployment", deployment(5, 2))
    found = world.trace()
    assert (found.state.verdict, found.approval.verdict) == ("in_sync", "unapproved")
    assert found.decides == pushed
    worst = found.settings[0]
    assert (worst.field, worst.approval) == ("spec.replicas", "unapproved")
    assert worst.revision is not None
    assert worst.revision.commit_sha == pushed
    assert f"spec.replicas, set by {pushed[:12]}" in found.approval.reason
    assert (found.grade, found.weakest) == ("unlinked", "pull_request")
    image = world.trace(field="image")
    assert (image.approval.verdict, image.decides) == ("approved", head)
    assert world.trace(field="spec.replicas").approval.verdict == "unapproved"


def test_the_verdict_is_the_one_that_the_view_gives(world: World) -> None:
    source = world.application()
    world.merge("10:00", 1, BASE)
    path = "apps/api/base/deployment.yaml"
    view = "select state, approval from live_resources where kind = 'Deployment'"

    def agree() -> tuple[str, str]:
        found = world.trace()
        verdicts = (found.state.verdict, found.approval.verdict)
        assert world.ledger.rows(view) == [verdicts]
        return verdicts

    head = world.merge("10:20", 2, {path: DEPLOYMENT.format(2, 1)}, approver="")
    world.sync("10:25", head, source)
    world.see("10:30", "Deployment", deployment(2))
    assert agree() == ("in_sync", "unapproved")
    world.see("10:40", "Deployment", deployment(3), manager="kubectl-edit")
    assert agree() == ("drifted", "unexplained")
    world.see("10:50", "Deployment", None)
    assert agree() == ("absent", "unexplained")


def test_a_hand_edit_breaks_the_chain_of_its_field_and_of_no_other(world: World) -> None:
    source = world.application()
    head = world.merge("10:00", 1, BASE)
    world.sync("10:05", head, source)
    world.see(
        "10:30",
        "Deployment",
        deployment(9),
        manager="kubectl-edit",
        changed_at=at("10:20"),
    )
    found = world.trace()
    assert (found.state.verdict, found.approval.verdict) == ("drifted", "unexplained")
    assert (found.grade, found.weakest) == ("unlinked", "desired")
    [difference] = found.differences
    assert (difference.field, difference.desired, difference.live, difference.excuse) == (
        "spec.replicas",
        1,
        9,
        "",
    )
    assert (
        found.hops[0].reason == f"the cluster showed it, changed at {at('10:20')} by kubectl-edit"
    )
    field = world.trace(field="replicas")
    assert (field.approval.verdict, field.decides) == ("unexplained", "")
    assert {one.grade for one in field.hops[1:]} == {"unlinked"}
    intact = world.trace(field="image")
    assert (intact.approval.verdict, intact.decides, intact.differences) == ("approved", head, [])
    assert intact.grade == "inferred"
    assert "what differs is elsewhere" in intact.hops[1].reason


def test_what_is_excused_is_shown_with_its_excuse(world: World) -> None:
    source = world.application()
    head = world.merge("10:00", 1, BASE)
    world.sync("10:05", head, source)
    noted = {"deployment.kubernetes.io/revision": "3"}
    world.see("10:30", "Deployment", deployment(annotations=noted))
    found = world.trace()
    assert found.state.verdict == "in_sync"
    [excused] = found.differences
    assert excused.field == 'metadata.annotations["deployment.kubernetes.io/revision"]'
    assert (excused.action, excused.live) == ("undeclared", "3")
    assert excused.excuse == "a controller notes its own state there"


def test_git_ahead_of_the_cluster_is_pending_and_not_yet_synced(world: World) -> None:
    source = world.application()
    first = world.merge("10:00", 1, BASE)
    world.sync("10:05", first, source)
    world.see("10:10", "Deployment", deployment())
    path = "apps/api/base/deployment.yaml"
    pushed = world.push("10:20", {path: DEPLOYMENT.format(2, 1)}, "Two")
    found = world.trace()
    assert (found.state.verdict, found.approval.verdict) == ("pending", "approved")
    assert found.decides == first
    assert "Git is ahead in spec.replicas" in found.state.reason
    world.see("10:30", "Deployment", deployment(2))
    ahead = world.trace()
    assert (ahead.state.verdict, ahead.approval.verdict) == ("in_sync", "unapproved")
    assert ahead.decides == pushed
    sync = ahead.hops[-1]
    assert (sync.grade, sync.reason) == ("unlinked", ANY_SYNC)


ANY_SYNC = (
    "no known sync of api brought it; that it is made from this is read from its kustomizations"
)


def test_what_a_controller_makes_is_approved_as_its_owner_is(world: World) -> None:
    world.application()
    world.merge("10:00", 1, BASE)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "api-x", "namespace": "api"}}
    world.see("10:10", "Deployment", deployment())
    replicas = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "api-77"}}
    world.see("10:10", "ReplicaSet", replicas, name="api-77", owner="Deployment/api")
    world.see("10:10", "Pod", pod, name="api-x", owner="ReplicaSet/api-77")
    found = world.trace("po/api-x")
    owner = world.trace("deploy/api").approval
    assert (found.state.verdict, found.approval.verdict) == ("derived", owner.verdict)
    assert "ReplicaSet/api-77 owns it, and was made of Deployment/api" in found.state.reason
    assert found.approval.reason == f"of its owner deployment/api -n api: {owner.reason}"


# -- names ---------------------------------------------------------------------------------------------


def test_an_object_in_several_clusters_is_listed(world: World) -> None:
    world.application()
    world.application(cluster="prod-us")
    world.merge("10:00", 1, BASE)
    with pytest.raises(AmbiguousError) as refused:
        world.trace()
    assert "2 objects in 2 clusters" in refused.value.message
    assert "  --cluster prod  deployment/api -n api (apps)  " in refused.value.hint
    assert "  --cluster prod-us  deployment/api -n api (apps)  " in refused.value.hint
    assert world.trace(cluster="prod-us").cluster == "prod-us"


def test_a_name_that_is_not_there_is_answered_with_near_ones(world: World) -> None:
    with pytest.raises(NotFoundError, match="no cluster was looked at"):
        world.trace()
    world.application()
    world.merge("10:00", 1, BASE)
    with pytest.raises(NotFoundError) as misspelt:
        world.trace("deploy/apii")
    assert "Did you mean:\n  deployment/api" in misspelt.value.hint
    with pytest.raises(NotFoundError) as elsewhere:
        world.trace(namespace="shop")
    assert "It is elsewhere:" in elsewhere.value.hint
    assert "deployment/api -n api" in elsewhere.value.hint
    with pytest.raises(NotFoundError) as cluster:
        world.trace(cluster="pord")
    assert cluster.value.hint == "Known: prod."
    world.see("10:10", "Deployment", deployment())
    with pytest.raises(NotFoundError) as field:
        world.trace(field="spec.replcas")
    assert field.value.hint.startswith("Fields like it:\n  spec.replicas\n")


def test_kinds_are_named_as_in_kubectl(world: World) -> None:
    world.application()
    world.merge("10:00", 1, BASE)
    for name in ("deploy/api", "Deployment/api", "deployments.apps/api", "api"):
        assert world.trace(name).kind == "Deployment"
    with pytest.raises(NotFoundError):
        world.trace("deployments.other/api")


# -- on the command line -----------------------------------------------------------------------------


@pytest.fixture
def run(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("LEDGER_CONFIG", str(world.ledger.settings.folder / "ledger.toml"))
    return run


def test_the_text_puts_the_verdicts_first(world: World, run: Run) -> None:
    source = world.application()
    world.merge("10:00", 1, BASE)
    path = "apps/api/base/deployment.yaml"
    pushed = world.push("10:10", {path: DEPLOYMENT.format(5, 1)}, "Five, \x1b[31mquickly")
    world.sync("10:25", pushed, source)
    world.see("10:30", "Deployment", deployment(5))
    done = run("trace", "deploy/api")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "deployment/api -n api  in cluster prod (production, production)"
    assert lines[1].startswith("  state      in sync: it is as the synced revision declares it")
    assert lines[2] == (
        f"  approval   unapproved: spec.replicas, set by {pushed[:12]}: "
        "no pull request is linked to it"
    )
    assert all(len(line) <= 120 for line in lines)
    told = [line for line in lines if not line.startswith(" " * 13)]  # the rest goes on from above
    labels = [line.split()[0] for line in told[3:10]]
    assert labels == ["live", "desired", "revision", "pull", "approvers", "sync", "chain"]
    assert told[9] == "  chain      unlinked, as pull is its weakest hop"
    assert "\x1b[31m" not in done.out
    last = " ".join(" ".join(lines[lines.index(told[-1]) :]).split())
    assert last == (
        f"set spec.replicas by {pushed[:12]} (direct push, Bob) in {path} "
        "unapproved: no pull request is linked to it"
    )
    assert run("trace", "deploy/nope").code == 3


def test_the_text_shows_what_differs(world: World, run: Run) -> None:
    source = world.application()
    head = world.merge("10:00", 1, BASE)
    world.sync("10:05", head, source)
    noted = {"deployment.kubernetes.io/revision": "3"}
    world.see("10:30", "Deployment", deployment(9, annotations=noted))
    out = run("trace", "deploy/api").out
    assert "  differs    spec.replicas: Git has 1, live is 9\n" in out
    assert "  excused    metadata.annotations" in out


def shape(kind: type[msgspec.Struct], value: Any) -> None:
    """Asserts that a JSON object has exactly the members of a struct, with values of their types."""
    assert list(value) == list(kind.__struct_fields__)
    for name, hint in get_type_hints(kind).items():
        inner = get_args(hint)
        if get_origin(hint) is list:
            for one in value[name]:
                if issubclass(inner[0], msgspec.Struct):
                    shape(inner[0], one)
                else:
                    assert isinstance(one, inner[0])
        elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            shape(hint, value[name])
        elif isinstance(hint, type):
            assert isinstance(value[name], hint), name


def test_the_json_has_the_documented_shape(world: World, run: Run) -> None:
    source = world.application()
    head = world.merge("10:00", 1, BASE)
    world.sync("10:05", head, source)
    world.see("10:30", "Deployment", deployment(9))
    answer = json.loads(run("trace", "deploy/api", "-n", "api", "-o", "json").out)
    assert list(answer) == ["name", "field", "trace"]
    shape(Trace, answer["trace"])
    assert answer["trace"]["settings"]


# -- since when, and what is not known -------------------------------------------------------------


def test_what_a_sync_at_an_unknown_revision_left_is_not_approved(world: World) -> None:
    source = world.application()
    head = world.merge("10:00", 1, {"apps/api/prod/deployment.yaml": DEPLOYMENT.format(1, 1)})
    world.sync("10:30", head, source)
    world.see("10:40", "Deployment", deployment())
    assert world.trace().approval.verdict == "approved"
    world.see("10:50", "Deployment", deployment(replicas=9))
    world.sync("11:00", "d" * 40, source)
    world.see("11:10", "Deployment", deployment(replicas=9))
    found = world.trace()
    assert (found.state.verdict, found.approval.verdict) == ("unknown", "unknown")
    assert "not known to be what was approved" in found.approval.reason
    assert world.trace(field="spec.replicas").approval.verdict == "unknown"
    assert world.trace(field="image").approval.verdict == "approved"
    [told] = world.ledger.rows("select approval from live_resources where kind = 'Deployment'")
    assert told == ("unknown",)


def test_since_when_it_is_so_is_a_span_where_only_looks_tell(world: World) -> None:
    source = world.application()
    head = world.merge("10:00", 1, {"apps/api/prod/deployment.yaml": DEPLOYMENT.format(1, 1)})
    more = world.merge("10:20", 2, {"apps/api/prod/deployment.yaml": DEPLOYMENT.format(2, 1)})

    def live() -> str:
        return world.trace().hops[0].what

    world.sync("10:30", head, source)
    world.see("10:40", "Deployment", deployment())
    assert live().startswith(f"as it is since {at('10:40')} or earlier, last looked at")
    world.sync("10:50", more, source)
    world.sync("10:55", head, source)
    world.see("11:10", "Deployment", deployment())
    assert live().startswith(f"as it is since {at('10:55')}, when a sync made it so again, ")
    world.see("11:20", "Deployment", deployment(replicas=9))
    assert live().startswith(f"as it is since a time between {at('11:10')} and {at('11:20')}, ")
