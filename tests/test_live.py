"""What runs in a cluster held against what Git declares of it: one object at a time, and in a ledger.

The recorded pairs of Argo CD's own diff tests are the corpus: what Argo CD calls equal is equal here, but
for what it overlooks on purpose, which is named.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import random
from collections.abc import Sequence
from datetime import datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml

from ledger import registry
from ledger.contents import Content, digest_text, pack
from ledger.documents import Documents
from ledger.events import (
    Application,
    ApplicationChanged,
    ApplicationCreated,
    ApplicationDeleted,
    ApplicationSource,
    ClusterSurveyed,
    Event,
    Identity,
    LiveObserved,
    LiveRemoved,
    NewEvent,
    PullRequest,
    PullRequestMerged,
    ReviewSubmitted,
    ScopeCounted,
    Sync,
    SyncApplied,
    SyncedResource,
)
from ledger.ingest import import_files
from ledger.live import Circumstances, Comparison, compare, ignores, in_force
from ledger.projector import Projector
from ledger.redaction import redact
from ledger.resources import split_api_version
from ledger.sources import Import
from ledger.testing import Ledger, Repo, make_ledger, make_repo, track

Body = dict[str, Any]


# -- two documents -------------------------------------------------------------------------------


def deployment(**spec: Any) -> Body:
    container = {"name": "api", "image": "quay.io/x/api:v1"}
    template = {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "api"}},
            "template": template,
            **spec,
        },
    }


def policy(**spec: Any) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "allow"},
        "spec": {
            "podSelector": {},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}],
            **spec,
        },
    }


def role(*rules: Body) -> Body:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader"},
        "rules": list(rules),
    }


def held(desired: Body, live: Body, **given: Any) -> Comparison:
    group = split_api_version(desired["apiVersion"])
    return compare(desired, live, group, desired["kind"], Circumstances(**given))


def standing(desired: Body, live: Body, **given: Any) -> list[str]:
    return [f"{one.action} {one.field}" for one in held(desired, live, **given).standing()]


def with_(body: Body, *path: str | int, value: Any) -> Body:
    """A copy with one value set; a step past the end of a list appends."""
    made: Any = copy.deepcopy(body)
    at = made
    for step in path[:-1]:
        at = at[step] if isinstance(step, int) else at.setdefault(step, {})
    if isinstance(at, list) and path[-1] == len(at):
        at.append(value)
    else:
        at[path[-1]] = value
    return made  # type: ignore[no-any-return]


def test_a_peer_that_was_added_by_hand_is_a_difference() -> None:
    peer = {"ipBlock": {"cidr": "0.0.0.0/0"}}
    live = with_(policy(), "spec", "ingress", 0, "from", 1, value=peer)
    assert standing(policy(), live) == ["undeclared spec.ingress[0].from[1]"]
    live = with_(
        policy(),
        "spec",
        "ingress",
        0,
        "from",
        value=[peer, *policy()["spec"]["ingress"][0]["from"]],
    )
    assert standing(policy(), live) == ["undeclared spec.ingress[0].from[0]"]


def test_an_ingress_that_nobody_declared_is_a_difference() -> None:
    desired = policy()
    del desired["spec"]["ingress"]
    live = with_(desired, "spec", "ingress", value=[{}])
    live["spec"]["policyTypes"] = ["Ingress"]
    assert standing(desired, live) == ["undeclared spec.ingress"]


def test_policy_types_are_a_default_only_where_they_follow_from_the_rules() -> None:
    live = with_(policy(), "spec", "policyTypes", value=["Ingress"])
    assert held(policy(), live).verdict == "excused"
    live = with_(policy(), "spec", "policyTypes", value=["Egress"])
    assert standing(policy(), live) == ["undeclared spec.policyTypes"]


def test_an_empty_selector_is_not_the_same_as_none() -> None:
    desired = policy(ingress=[{"from": [{"podSelector": {}}]}])
    live = policy(ingress=[{"from": [{}]}])
    assert standing(desired, live) == ["missing spec.ingress[0].from[0].podSelector"]


def test_rules_of_roles_are_compared_whole_in_any_order() -> None:
    read = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    write = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]}
    assert held(role(read, write), role(write, read)).verdict == "same"
    assert standing(role(read), role(read, write)) == ["undeclared rules[1]"]
    more = {**read, "verbs": ["get", "delete"]}
    assert standing(role(read), role(more)) == ["undeclared rules[0].verbs[1]"]


def test_a_subject_that_was_added_by_hand_is_a_difference() -> None:
    binding: Body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "User", "name": "ann"}],
    }
    live = copy.deepcopy(binding)
    live["subjects"] = [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}]
    assert held(binding, live).verdict == "excused"
    live["subjects"].append({"kind": "User", "name": "eve"})
    assert standing(binding, live) == ["undeclared subjects[1]"]


def test_what_the_api_server_fills_in_is_excused_and_shown() -> None:
    live = with_(deployment(), "spec", "template", "spec", "restartPolicy", value="Always")
    live = with_(
        live, "spec", "template", "spec", "containers", 0, "imagePullPolicy", value="IfNotPresent"
    )
    found = held(deployment(), live)
    assert found.verdict == "excused"
    assert {one.excuse for one in found.differences} == {"a default of the API"}


def test_another_value_than_the_default_is_a_difference() -> None:
    live = with_(
        deployment(), "spec", "template", "spec", "containers", 0, "imagePullPolicy", value="Never"
    )
    assert standing(deployment(), live) == [
        "undeclared spec.template.spec.containers[name=api].imagePullPolicy"
    ]
    live = with_(deployment(), "spec", "template", "spec", "hostNetwork", value=True)
    assert standing(deployment(), live) == ["undeclared spec.template.spec.hostNetwork"]


def test_a_container_or_variable_that_was_added_is_one_difference() -> None:
    live = with_(
        deployment(), "spec", "template", "spec", "containers", 1, value={"name": "x", "image": "y"}
    )
    assert standing(deployment(), live) == ["undeclared spec.template.spec.containers[name=x]"]


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        ("1000m", "1"), (1, "1"), (0.5, "500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"),
        ("1e3", "1k"), ("0.1", "100m"), (2, "2000m"),
    ],
)  # fmt: skip
def test_quantities_are_equal_however_they_are_written(desired: Any, live: str) -> None:
    place = ("spec", "template", "spec", "containers", 0, "resources")
    one = with_(
        deployment(), *place, value={"limits": {"cpu": desired}, "requests": {"cpu": desired}}
    )
    other = with_(deployment(), *place, value={"limits": {"cpu": live}, "requests": {"cpu": live}})
    assert held(one, other).verdict == "same"


@pytest.mark.parametrize(("desired", "live"), [("1", "2"), ("1Gi", "1G"), ("x", "y"), (1, "1001m")])
def test_other_quantities_differ(desired: Any, live: str) -> None:
    place = ("spec", "template", "spec", "containers", 0, "resources", "limits", "memory")
    one, other = with_(deployment(), *place, value=desired), with_(deployment(), *place, value=live)
    assert len(standing(one, other)) == 1


def test_ports_may_be_numbers_or_text() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 80, "targetPort": "8080"}]},
    }
    live = with_(
        service, "spec", "ports", 0, value={"port": 80, "targetPort": 8080, "protocol": "TCP"}
    )
    assert held(service, live).verdict == "excused"


def test_secrets_compare_by_their_tokens_in_data_and_string_data() -> None:
    token, other = "hmac-sha256:" + "a" * 64, "hmac-sha256:" + "b" * 64
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "stringData": {"k": token},
    }
    live = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque"}
    assert held(secret, {**live, "data": {"k": token}}).verdict == "excused"
    assert standing(secret, {**live, "data": {"k": other}}) == ["changed data.k"]
    assert standing(secret, {**live, "data": {"k": token, "more": other}}) == [
        "undeclared data.more"
    ]
    assert held(secret, {**live, "data": {"k": "clear"}}).verdict == "doubtful"


def test_an_autoscaler_owns_the_replicas_and_nothing_else() -> None:
    live = with_(deployment(), "spec", "replicas", value=5)
    scaler = "HorizontalPodAutoscaler api"
    found = held(deployment(), live, scaled_by=scaler)
    assert [one.excuse for one in found.differences] == [f"{scaler} sets the replicas"]
    assert standing(deployment(), live) == ["changed spec.replicas"]


def test_tracking_marks_are_excused_for_the_application_that_they_name() -> None:
    live = with_(deployment(), "metadata", "labels", value={"app.kubernetes.io/instance": "shop"})
    assert held(deployment(), live, application="shop").verdict == "excused"
    assert standing(deployment(), live, application="other") == [
        'undeclared metadata.labels["app.kubernetes.io/instance"]'
    ]
    live = with_(deployment(), "metadata", "annotations", value={"note": "by hand"})
    assert standing(deployment(), live) == ["undeclared metadata.annotations.note"]


def test_ignore_differences_excuse_what_they_point_at() -> None:
    rules = ignores(
        [
            {"group": "apps", "kind": "*", "jsonPointers": ["/spec/replicas"]},
            {"kind": "Service", "jsonPointers": ["/spec"]},
            {"group": "apps", "kind": "Deployment", "name": "other", "jsonPointers": ["/metadata"]},
            {"group": "apps", "kind": "Deployment", "jqPathExpressions": [".spec.template"]},
        ]
    )
    found = in_force(rules, "apps", "Deployment", "", "api")
    live = with_(deployment(), "spec", "replicas", value=9)
    compared = held(deployment(), live, rules=found)
    assert [one.excuse for one in compared.differences] == ["ignoreDifferences: /spec/replicas"]
    assert compared.unread == ("jqPathExpressions .spec.template",)
    live = with_(deployment(), "spec", "replicasX", value=9)
    assert standing(deployment(), live, rules=found) == ["undeclared spec.replicasX"]


def test_rules_on_managers_excuse_what_those_manage() -> None:
    owned: Any = {
        "f:spec": {
            "f:replicas": {},
            "f:template": {
                "f:spec": {
                    "f:containers": {'k:{"name":"api"}': {".": {}, "f:image": {}}},
                }
            },
        }
    }
    managers = [
        {"manager": "scaler", "fieldsV1": owned},
        {"manager": "kubectl-edit", "fieldsV1": {}},
    ]
    rules = ignores([{"group": "apps", "kind": "Deployment", "managedFieldsManagers": ["scaler"]}])
    live = with_(deployment(), "spec", "replicas", value=9)
    live = with_(live, "spec", "template", "spec", "containers", 0, "image", value="other")
    compared = held(deployment(), live, rules=rules, managers=managers)
    assert {one.excuse for one in compared.differences} == {
        "ignoreDifferences: what scaler manages"
    }
    live = with_(live, "spec", "paused", value=True)
    assert standing(deployment(), live, rules=rules, managers=managers) == [
        "undeclared spec.paused"
    ]


def test_of_kinds_whose_defaults_are_not_known_an_undeclared_field_is_a_doubt() -> None:
    widget = {"apiVersion": "e.x/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"a": 1}}
    live = with_(widget, "spec", "b", value=2)
    assert held(widget, live).verdict == "doubtful"
    by_hand = [{"manager": "kubectl-edit", "fieldsV1": {"f:spec": {"f:b": {}}}}]
    assert held(widget, live, managers=by_hand).verdict == "different"
    by_argo = [{"manager": "argocd-controller", "fieldsV1": {"f:spec": {"f:b": {}}}}]
    assert held(widget, live, managers=by_argo).verdict == "excused"
    assert held(widget, with_(widget, "spec", "a", value=2)).verdict == "different"


def test_a_hash_behind_a_generated_name_is_expected_and_nothing_else() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    given: Any = {"open_fields": frozenset({"metadata.name"}), "unknown": frozenset({"data"})}
    live = {**config, "metadata": {"name": "c-abc123defg"}, "data": {"k": "v"}}
    found = held(config, live, **given)
    assert [(one.field, one.excuse) for one in found.differences] == [
        ("data", "the contents of generators are not read")
    ]
    assert standing(config, {**live, "metadata": {"name": "c-other"}}, **given) == [
        "changed metadata.name"
    ]


def test_aggregated_roles_and_injected_certificates_are_excused() -> None:
    aggregated = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "a"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]},
        "rules": [],
    }
    live = {**aggregated, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    assert held(aggregated, live).verdict == "excused"


def test_another_version_of_the_api_makes_every_difference_a_doubt() -> None:
    live = with_({**deployment(), "apiVersion": "apps/v2"}, "spec", "replicas", value=3)
    assert held(deployment(), live).verdict == "doubtful"


@pytest.mark.parametrize("seed", range(20))
def test_any_two_documents_compare_in_bounded_time(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311

    def value(depth: int) -> Any:
        if depth > 5 or rng.random() < 0.3:
            return rng.choice([None, 1, 1.0, True, "", "x", "1", [], {}])
        names = [
            "spec",
            "rules",
            "containers",
            "env",
            "ports",
            "name",
            "port",
            "limits",
            "metadata",
        ]
        if rng.random() < 0.5:
            return [value(depth + 1) for _ in range(rng.randint(0, 4))]
        return {rng.choice(names): value(depth + 1) for _ in range(rng.randint(0, 4))}

    for kind in ("Deployment", "NetworkPolicy", "Widget", "Secret"):
        one, other = ({"apiVersion": "apps/v1", "kind": kind, "spec": value(0)} for _ in range(2))
        compare(one, other, "apps", kind, Circumstances(managers=value(0), rules=ignores(value(0))))
        assert compare(one, one, "apps", kind).verdict == "same"


def test_ten_thousand_items_that_moved_are_compared_in_time() -> None:
    items = [{"apiGroups": [str(number)], "verbs": ["get"]} for number in range(10_000)]
    found = held(role(*items), role(*reversed(items)))
    assert 0 < len(found.differences) <= 500


# -- Argo CD's own pairs ---------------------------------------------------------------------------

EQUAL = (
    "aggr-clusterrole", "elasticsearch", "endpoints", "grafana-clusterrole", "mutatingwebhookconfig",
    "sealedsecret", "smd-deploy", "spinnaker-sa", "ssd-service", "wordpress",
)  # fmt: skip
# What stands differently there. Argo CD overlooks what it did not apply itself (`VAR2`, requests).
DIFFERENT = {
    "deployment": {"undeclared spec.template.spec.containers[name=guestbook-ui].env[name=VAR2]"},
    "smd-deploy2": {
        "undeclared spec.template.spec.containers[name=nginx].ports[containerPort=8080,protocol=TCP]",
        "undeclared spec.template.spec.containers[name=nginx].resources.requests.cpu",
        "undeclared spec.template.spec.containers[name=nginx].resources.requests.memory",
    },
    "ssd-deploy-nested": {
        "missing spec.template.spec.containers[name=main-container].env[name=ENV_VAR2]",
        "missing spec.template.spec.containers[name=main-container].ports[containerPort=443,protocol=TCP]",
    },
    "ssd-deploy-composite-key": {
        "missing spec.template.spec.containers[name=nginx].ports[containerPort=8080,protocol=TCP]"
    },
    "ssd-deploy-with-manual-apply": {
        "missing spec.template.spec.containers[name=main-container].ports[containerPort=40,protocol=TCP]",
        "undeclared spec.template.spec.containers[name=idle]",
    },
    "smd-service": {"changed spec.ports[port=1935,protocol=TCP].targetPort"},
}


def recorded(corpus: Path, name: str) -> tuple[Body, Body, Any]:
    """A pair as the ledger would see it: without the status and what the server counts."""
    folder = corpus / "fixtures" / "argocd" / "gitops-engine-diff"
    found = []
    for side in ("config", "live"):
        path = next(folder.glob(f"{name}-{side}.*"))
        found.append(json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str)))
    desired, live = found
    live.pop("status", None)
    notes = live["metadata"].get("annotations") or {}
    notes.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    notes.pop("deployment.kubernetes.io/revision", None)
    return desired, live, live["metadata"].pop("managedFields", None)


@pytest.mark.parametrize("name", EQUAL)
def test_what_argo_cd_calls_equal_is_equal(corpus: Path, name: str) -> None:
    desired, live, managers = recorded(corpus, name)
    assert standing(desired, live, managers=managers) == []


@pytest.mark.parametrize("name", sorted(DIFFERENT))
def test_what_differs_in_the_recorded_pairs_is_named(corpus: Path, name: str) -> None:
    desired, live, managers = recorded(corpus, name)
    assert set(standing(desired, live, managers=managers)) == DIFFERENT[name]


def test_a_child_application_differs_in_its_revision(corpus: Path) -> None:
    folder = corpus / "fixtures" / "argocd"
    target, live = (
        yaml.safe_load((folder / f"{side}-child-application.yaml").read_text())
        for side in ("target", "live")
    )
    assert standing(target, live) == ["changed spec.source.targetRevision"]


# -- a ledger --------------------------------------------------------------------------------------

CLUSTER = "c1"
SCOPES = ("apps/Deployment", "networking.k8s.io/NetworkPolicy", "/ConfigMap", "/Service")


def at(hour: int) -> str:
    return f"2025-01-{1 + hour // 24:02}T{hour % 24:02}:00:00Z"


class World:
    """A repository, an application on a cluster, and what is told of them."""

    def __init__(self, folder: Path, database: str = "", **options: Any) -> None:
        self.repo: Repo = make_repo(folder / "infra.git")
        self.ledger: Ledger = make_ledger(
            folder / "ledger", track(self.repo, **options), database=database
        )
        self.told: list[tuple[NewEvent, list[Content]]] = []
        self.named: set[str] = set()

    # What may be told

    def application(
        self, hour: int = 0, path: str = "prod", name: str = "shop", **facts: Any
    ) -> None:
        first = name not in self.named
        self.named.add(name)
        source = ApplicationSource(
            url="https://forge/infra",
            repository=facts.pop("repository", "infra"),
            path=path,
            target_revision=facts.pop("follows", "main"),
            options=facts.pop("options", ""),
            chart=facts.pop("chart", ""),
        )
        application = Application(
            cluster="hub",
            namespace="argocd",
            name=name,
            uid="u1",
            sources=facts.pop("sources", [source]),
            destination=facts.pop("destination", CLUSTER),
            destination_namespace=facts.pop("into", "team-a"),
            **facts,
        )
        data: Event = (
            ApplicationCreated(application=application, observed_at=at(hour))
            if first
            else ApplicationChanged(application=application, observed_at=at(hour))
        )
        self._note(f"application/{name}/{hour}", data)

    def no_application(self, hour: int, name: str = "shop") -> None:
        data = ApplicationDeleted(
            cluster="hub", namespace="argocd", name=name, uid="u1", observed_at=at(hour)
        )
        self._note(f"application/{name}/gone/{hour}", data)

    def sync(self, hour: int, revision: str, name: str = "shop", **facts: Any) -> None:
        sources = [
            ApplicationSource(
                url="https://forge/infra", repository="infra", path=facts.pop("path", "prod")
            )
        ]
        sync = Sync(
            cluster="hub",
            namespace="argocd",
            application=name,
            uid="u1",
            sources=sources,
            revisions=[revision],
            history_id=hour,
            started_at=at(hour),
            finished_at=at(hour),
            **facts,
        )
        self._note(f"sync/{name}/{hour}", SyncApplied(sync=sync))

    def live(
        self,
        hour: int,
        body: Body,
        *,
        namespace: str = "team-a",
        tracked: str = "shop",
        **facts: Any,
    ) -> None:
        body = copy.deepcopy(body)
        group, kind, name = (
            split_api_version(body["apiVersion"]),
            body["kind"],
            body["metadata"]["name"],
        )
        if namespace:
            body["metadata"]["namespace"] = namespace
        if tracked:
            notes = body["metadata"].setdefault("annotations", {})
            notes["argocd.argoproj.io/tracking-id"] = f"{tracked}:{group}/{kind}:{namespace}/{name}"
        content = pack(json.dumps(body, sort_keys=True).encode())
        kept = [content]
        managers = ""
        if told := facts.pop("managers", None):
            kept.append(pack(json.dumps(told, sort_keys=True).encode()))
            managers = digest_text(kept[1].digest)
        data = LiveObserved(
            cluster=CLUSTER,
            api_group=group,
            api_version=body["apiVersion"],
            kind=kind,
            namespace=namespace,
            name=name,
            content=digest_text(content.digest),
            observed_at=at(hour),
            managers=managers,
            **facts,
        )
        self._note(f"live/{kind}/{name}/{hour}", data, kept)

    def gone(
        self, hour: int, body: Body, namespace: str = "team-a", stated_by: Identity | None = None
    ) -> None:
        data = LiveRemoved(
            cluster=CLUSTER,
            api_group=split_api_version(body["apiVersion"]),
            kind=body["kind"],
            namespace=namespace,
            name=body["metadata"]["name"],
            observed_at=at(hour),
            stated_by=stated_by,
        )
        self._note(f"gone/{body['kind']}/{data.name}/{hour}", data)

    def pull_request(self, number: int, commit: str, *, approved: bool) -> None:
        """A merge that a forge tells of, with another person's approval or without."""
        told = PullRequest(
            number=number,
            author=Identity(login="ann"),
            head="a" * 40,
            base="main",
            updated_at=at(0),
        )
        forge = "github.com/acme/infra"
        merged = PullRequestMerged(
            repository="infra", forge=forge, pull_request=told, merge_commit=commit,
            merged_at=at(number), merged_by=Identity(login="ann"), commits=1,
        )  # fmt: skip
        self._note(f"{forge}/pull/{number}/merged", merged)
        if approved:
            review = ReviewSubmitted(
                repository="infra", forge=forge, number=number, review=f"r{number}",
                reviewer=Identity(login="bob"), state="approved", commit="a" * 40, submitted_at=at(0),
            )  # fmt: skip
            self._note(f"{forge}/review/r{number}", review)

    def survey(
        self, hour: int, *scopes: str, namespace: str = "", stated_by: Identity | None = None
    ) -> None:
        counted = [
            ScopeCounted(api_group=group, kind=kind, namespace=namespace, count=1)
            for group, _, kind in (one.partition("/") for one in scopes or SCOPES)
        ]
        data = ClusterSurveyed(
            cluster=CLUSTER, observed_at=at(hour), scopes=counted, stated_by=stated_by
        )
        self._note(f"survey/{hour}", data)

    def _note(self, key: str, data: Event, kept: Sequence[Content] = ()) -> None:
        event = NewEvent(stream="made up", key=key, source="made up", data=data)
        self.told.append((event, list(kept)))

    # Telling it

    def tell(self, order: Sequence[int] = (), one_by_one: bool = False) -> None:
        """Records what was noted since, in some order, and settles."""
        told = [self.told[place] for place in order] if order else self.told
        self.told = []
        batches = [[one] for one in told] if one_by_one else [told]
        with self.ledger.store() as store:
            projector = Projector(
                store, registry.projections(), Documents(registry.parsers, store.content)
            )
            for batch in batches:
                events = [event for event, _ in batch]
                kept = [content for _, several in batch for content in several]
                done = store.append(
                    events, source="made up", recorded_at=self.ledger.now, kept=kept
                )
                projector.catch_up(done)
            assert [one for one in projector.failures if one.startswith("live")] == []

    # What came of it

    def states(self) -> dict[str, tuple[str, str | None, str]]:
        """name → state, approval, grade."""
        rows = self.ledger.rows("select name, state, approval, grade from live_resources")
        return {row[0]: row[1:] for row in rows}

    def state(self, name: str) -> str:
        return self.states()[name][0]

    def reason(self, name: str) -> str:
        return str(self.ledger.rows("select reason from live_resources where name = ?", name)[0][0])

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row that is settled, but for where and when it was recorded."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        for projection in registry.projections():
            for table in projection.tables if projection.name == "live" else ():
                names = [
                    one for one in table.columns if one not in ("evidence_position", "recorded_at")
                ]
                sql = f"select {', '.join(names)} from {table.name}"
                found[table.name] = sorted(self.ledger.rows(sql), key=repr)
        return found


def text(*bodies: Body) -> str:
    return str(yaml.safe_dump_all(bodies, sort_keys=False))


def kustomization(**fields: Any) -> str:
    return str(yaml.safe_dump(fields))


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> World:
    """The application `shop` deploys `prod`: a base in the namespace team-a, with an image tag of its own."""
    world = World(tmp_path, database_url)
    world.repo.commit(
        {
            "base/all.yaml": text(deployment(), policy()),
            "base/kustomization.yaml": kustomization(resources=["all.yaml"]),
            "prod/kustomization.yaml": prod("v1"),
        },
        "Begin",
    )
    world.ledger.grow()
    return world


def prod(tag: str, **more: Any) -> str:
    images = [{"name": "quay.io/x/api", "newTag": tag}]
    return kustomization(**{"resources": ["../base"], "images": images, **more})


def running(tag: str, **spec: Any) -> Body:
    """The deployment as a cluster runs it."""
    place = ("spec", "template", "spec", "containers", 0)
    made = with_(deployment(**spec), *place, "image", value=f"quay.io/x/api:{tag}")
    return with_(made, *place, "imagePullPolicy", value="IfNotPresent")


def test_an_object_goes_from_in_sync_to_pending_to_in_sync(world: World) -> None:
    first = world.repo.tip()
    world.application()
    world.sync(1, first)
    world.live(2, running("v1"))
    world.tell()
    assert world.states()["api"] == ("in_sync", "unknown", "inferred")
    second = world.repo.commit({"prod/kustomization.yaml": prod("v2")}, "Two")
    world.ledger.grow()
    assert world.state("api") == "pending"
    assert world.reason("api").endswith(
        "Git is ahead in spec.template.spec.containers[name=api].image"
    )
    world.sync(3, second)
    world.live(4, running("v2"))
    world.tell()
    row = world.ledger.rows(
        "select state, synced_commit_sha, changed_commit_sha, repository, path from live_resources "
        "where name = 'api'"
    )
    assert row == [("in_sync", second, second, "infra", "base/all.yaml")]


def test_what_a_person_changed_by_hand_is_drift_and_an_episode_of_it(world: World) -> None:
    peer = {"ipBlock": {"cidr": "0.0.0.0/0"}}
    by_hand = with_(policy(), "spec", "ingress", 0, "from", 1, value=peer)
    world.application()
    world.sync(1, world.repo.tip())
    world.live(2, policy())
    world.live(5, by_hand, manager="kubectl-edit")
    world.tell()
    assert world.states()["allow"] == ("drifted", "unexplained", "inferred")
    (shown,) = world.ledger.rows("select differences from live_resources where name = 'allow'")
    assert json.loads(shown[0]) == [
        {"field": "spec.ingress[0].from[1]", "action": "undeclared", "desired": None, "live": peer}
    ]
    episodes = "select first_seen, fields, manager, closed_at, closed_by from drift_episodes"
    fields = '["spec.ingress[0].from[1]"]'
    assert world.ledger.rows(episodes) == [(at(5), fields, "kubectl-edit", None, "")]
    world.live(7, policy())
    world.tell()
    assert world.state("allow") == "in_sync"
    assert world.ledger.rows(episodes) == [(at(5), fields, "kubectl-edit", at(7), "reverted")]


@pytest.mark.parametrize("how", ["sync", "git", "removed"])
def test_an_episode_says_how_it_ended(world: World, how: str) -> None:
    first = world.repo.tip()
    world.application()
    world.sync(1, first)
    world.live(2, running("v1"))
    world.live(3, running("v1", replicas=7))
    if how == "sync":
        world.sync(5, first)
        world.live(6, running("v1"))
    elif how == "git":
        changed = with_(deployment(), "spec", "replicas", value=7)
        second = world.repo.commit({"base/all.yaml": text(changed, policy())}, "Seven")
        world.ledger.grow()
        world.sync(5, second)
        world.survey(6)
    else:
        world.gone(6, deployment())
    world.tell()
    rows = world.ledger.rows("select first_seen, closed_at, closed_by from drift_episodes")
    assert rows == [(at(3), at(5 if how == "git" else 6), how)]


@pytest.mark.parametrize("looked_again", [False, True])
def test_a_sync_at_a_revision_that_nobody_knows_ends_no_drift(
    world: World, looked_again: bool
) -> None:
    known = world.repo.tip()
    world.ledger.grow()
    world.pull_request(1, known, approved=True)
    world.application()
    world.sync(1, known)
    world.live(2, policy())
    world.live(3, with_(policy(), "spec", "podSelector", value={"matchLabels": {"a": "b"}}))
    world.sync(4, "d" * 40)
    if looked_again:
        other = {"manager": "x", "time": at(2)}
        changed = with_(policy(), "spec", "podSelector", value={"matchLabels": {"a": "c"}})
        world.live(5, changed, managers=[other])
    world.survey(6)
    world.tell()
    episodes = "select first_seen, closed_at, closed_by from drift_episodes"
    assert world.ledger.rows(episodes) == [(at(3), None, "")]
    assert world.states()["allow"][:2] == ("unknown", "unknown")
    assert world.reason("allow").endswith(f" at {at(3)}, and since then that cannot be told")
    world.sync(8, known)
    world.survey(9)
    world.tell()
    assert world.state("allow") == "drifted"
    assert world.ledger.rows(episodes) == [(at(3), None, "")]
    world.live(10, policy())
    world.tell()
    [(_, closed_at, _)] = world.ledger.rows(episodes)
    assert closed_at == at(10)


def test_what_was_never_known_to_differ_begins_no_episode_at_an_unknown_revision(
    world: World,
) -> None:
    world.application()
    world.sync(1, "d" * 40)
    world.live(2, with_(policy(), "spec", "podSelector", value={"matchLabels": {"a": "b"}}))
    world.tell()
    assert world.state("allow") == "unknown"
    assert "cannot be told" not in world.reason("allow")
    assert world.ledger.rows("select 1 from drift_episodes") == []


SINCE = "select observed_at, changed_at from live_resources where name = 'api'"


@pytest.mark.parametrize("managed", [False, True])
def test_what_changed_and_came_back_between_two_looks_is_not_as_old_as_the_first(
    world: World, managed: bool
) -> None:
    first = world.repo.tip()
    second = world.repo.commit({"prod/kustomization.yaml": prod("v2")}, "Two")
    world.ledger.grow()

    def told(hour: int) -> dict[str, Any]:
        fields = {"changed_at": at(hour), "manager": "argocd-controller"}
        return {"managers": [{"time": at(hour)}], **fields} if managed else {}

    world.application()
    world.sync(1, first)
    world.live(2, running("v1"), **told(1))
    world.survey(2)
    world.tell()
    assert world.ledger.rows(SINCE) == [(at(2), at(1) if managed else "")]
    world.sync(3, second)
    world.sync(4, first)
    if managed:
        world.live(9, running("v1"), **told(4))
    world.survey(9)
    world.tell()
    assert world.ledger.rows(SINCE) == [(at(9), at(4)) if managed else (at(4), "")]


def test_a_sync_that_changed_nothing_makes_an_object_no_younger(world: World) -> None:
    first = world.repo.tip()
    world.ledger.grow()
    world.application()
    world.sync(1, first)
    world.live(2, running("v1"))
    world.sync(3, first)
    world.survey(4)
    world.tell()
    assert world.ledger.rows(SINCE) == [(at(2), "")]


def handed(world: World, dumps: Sequence[Path], views: Sequence[str]) -> list[Any]:
    for dump in dumps:
        given = Import(files=(dump,), cluster=CLUSTER)
        import_files(world.ledger.settings, "kubernetes", given)
    skipped = ("evidence_position", "recorded_at")
    found: list[Any] = []
    for view in views:
        lines = (Path(registry.__file__).parent / "views" / f"{view}.sql").read_text().splitlines()
        told = [line[3:].partition(":")[0] for line in lines if line.startswith("-- ")]
        names = ", ".join(name for name in told if name not in ("view", *skipped))
        found.append(sorted(world.ledger.rows(f"select {names} from {view}"), key=repr))
    return found


def test_dumps_may_come_in_any_order_and_twice(tmp_path: Path) -> None:
    """Content A, B, A again, A as it was; who set it is told by some of them only."""
    ways: list[tuple[str, int, str, str]] = [
        # tag, when it was set as managed fields say, and the rest of the peers
        ("v1", 2, "a", ""), ("v2", 12, "b", "x"), ("v1", 22, "a", ""), ("v1", 22, "a", "x"),
        ("v1", 0, "a", "x"),
    ]  # fmt: skip
    results = []
    more = [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 4, 0, 3, 1), (3, 0, 4, 1, 2)]
    orders = [*permutations(range(3)), *more]
    for number, order in enumerate(orders):
        world = World(tmp_path / str(number))
        files = {
            "base/all.yaml": text(deployment(), policy()),
            "base/kustomization.yaml": kustomization(resources=["all.yaml"]),
            "prod/kustomization.yaml": prod("v1"),
        }
        first = world.repo.commit(files, "Begin")
        second = world.repo.commit({"prod/kustomization.yaml": prod("v2")}, "Two")
        world.ledger.grow()
        world.application()
        for hour, revision in ((1, first), (12, second), (22, first)):
            world.sync(hour, revision)
        world.tell()
        dumps = []
        for place, (tag, hour, peer, extra) in enumerate(ways):
            items = [running(tag), with_(policy(), "metadata", "labels", value={"peer": peer})]
            if extra:
                items.append(with_(policy(), "metadata", "name", value="stray"))
            for one in items:
                one["metadata"] |= {"namespace": "team-a", "uid": f"uid-{one['metadata']['name']}"}
                if hour:
                    one["metadata"]["managedFields"] = [{"manager": "m", "time": at(hour)}]
            dump = tmp_path / f"{number}-{place}.json"
            dump.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
            seconds = datetime.fromisoformat(at(10 * (place + 1))).timestamp()
            os.utime(dump, (seconds, seconds))
            dumps.append(dump)
        chosen = [dumps[place] for place in order]
        views = ("live_resources", "live_fields", "drift_episodes")
        found = handed(world, chosen, views)
        if number % 5 == 0:
            assert handed(world, chosen[::-1], views) == found
        results.append((len(order), found))
    for count in (3, 5):
        alike = [found for size, found in results if size == count]
        assert all(found == alike[0] for found in alike)
        [row] = [row for row in alike[0][0] if "api" in row]
        assert (row[5], at(22) in row) == (at(30), True)


def test_a_rollback_is_told_from_git_being_ahead(world: World) -> None:
    first = world.repo.tip()
    second = world.repo.commit({"prod/kustomization.yaml": prod("v2")}, "Two")
    world.ledger.grow()
    world.application()
    world.sync(1, first)
    world.sync(2, second)
    world.sync(3, first)
    world.live(4, running("v1"))
    world.tell()
    assert world.state("api") == "rolled_back"


def test_an_object_that_nobody_looked_for_is_not_absent(world: World) -> None:
    world.application()
    world.sync(1, world.repo.tip())
    world.survey(2, "apps/Deployment")
    world.tell()
    states = world.states()
    assert states["api"][:2] == ("absent", "unexplained")
    assert states["allow"] == ("not_observed", None, "unlinked")
    world.survey(3, "networking.k8s.io/NetworkPolicy")
    world.tell()
    assert world.state("allow") == "absent"


def test_what_was_declared_since_the_last_sync_is_pending_and_not_absent(world: World) -> None:
    world.application()
    world.sync(1, world.repo.tip())
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "new"},
        "data": {"a": "b"},
    }
    world.repo.commit({"base/all.yaml": text(deployment(), policy(), config)}, "More")
    world.ledger.grow()
    world.survey(2)
    world.tell()
    assert world.state("new") == "pending"


def test_what_the_application_does_not_declare_is_extra_and_what_controllers_make_is_derived(
    world: World,
) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "api-1"}, "spec": {}}
    world.application()
    world.sync(1, world.repo.tip())
    world.live(2, with_(policy(), "metadata", "name", value="more"))
    replicas = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "api-77"}}
    world.live(2, running("v1"))
    world.live(2, replicas, tracked="", owner="Deployment/api")
    world.live(2, pod, tracked="", owner="ReplicaSet/api-77")
    world.live(2, with_(policy(), "metadata", "name", value="stray"), tracked="")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    world.live(2, account, tracked="")
    world.tell()
    states = world.states()
    assert states["more"] == ("extra", "unexplained", "inferred")
    assert states["api-77"] == states["api-1"] == ("derived", "unknown", "inferred")
    assert states["stray"] == ("extra", "unexplained", "unlinked")
    assert states["default"] == ("derived", None, "inferred")


def test_what_git_no_longer_declares_is_pending_until_a_sync_removes_it(world: World) -> None:
    world.application()
    world.sync(1, world.repo.tip())
    world.live(2, policy())
    second = world.repo.commit({"base/all.yaml": text(deployment())}, "Less")
    world.ledger.grow()
    world.tell()
    assert world.state("allow") == "pending"
    world.sync(3, second)
    world.survey(4)
    world.tell()
    assert world.state("allow") == "extra"
    world.gone(5, policy())
    world.tell()
    assert "allow" not in world.states()


def test_an_autoscaler_explains_the_replicas(world: World) -> None:
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "api"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}},
    }
    world.application()
    world.sync(1, world.repo.tip())
    world.live(2, running("v1", replicas=9))
    world.tell()
    state = "select state, excuses from live_resources where kind = 'Deployment'"
    assert world.ledger.rows(state)[0][0] == "drifted"
    world.live(3, scaler, tracked="")
    world.tell()
    ((found, excuses),) = world.ledger.rows(state)
    assert found == "in_sync"
    assert json.loads(excuses)[0]["reason"] == "HorizontalPodAutoscaler api sets the replicas"


def test_ignore_differences_of_the_application_are_in_force(world: World) -> None:
    rules = [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]
    world.application()
    world.sync(1, world.repo.tip())
    world.live(2, running("v1", replicas=9))
    world.tell()
    assert world.state("api") == "drifted"
    world.application(3, ignore_differences=json.dumps(rules))
    world.tell()
    assert world.state("api") == "in_sync"


def test_without_a_sync_nobody_can_tell_drift_from_git_being_ahead(world: World) -> None:
    world.application()
    world.live(2, running("v1"))
    world.live(2, with_(policy(), "spec", "ingress", value=[{}]))
    world.tell()
    states = world.states()
    assert states["api"][0] == "in_sync"
    assert states["allow"][0] == "unknown"


def test_what_is_built_from_a_chart_or_a_remote_base_is_unknown_and_not_extra(world: World) -> None:
    world.repo.commit(
        {
            "prod/kustomization.yaml": kustomization(
                resources=["../base", "https://github.com/a/b?ref=v1"]
            )
        },
        "Remote",
    )
    world.ledger.grow()
    world.application()
    world.sync(1, world.repo.tip())
    world.live(2, with_(policy(), "metadata", "name", value="more"))
    world.tell()
    assert world.state("more") == "unknown"
    assert "https://github.com/a/b?ref=v1" in world.reason("more")


def test_images_that_the_application_itself_overrides_are_from_no_revision(world: World) -> None:
    options = json.dumps({"kustomize": {"images": ["quay.io/x/api:v9"]}})
    world.application(options=options)
    world.sync(1, world.repo.tip())
    world.live(2, running("v9"))
    world.tell()
    assert world.states()["api"][:2] == ("in_sync", "unexplained")


def test_a_plain_directory_is_every_manifest_in_it(world: World) -> None:
    manifest = with_(policy(), "metadata", "name", value="plain")
    nested = with_(policy(), "metadata", "name", value="nested")
    tip = world.repo.commit(
        {"plain/a.yaml": text(manifest), "plain/sub/b.yaml": text(nested)}, "Plain"
    )
    world.ledger.grow()
    world.application(path="plain")
    world.sync(1, tip, path="plain")
    world.live(2, manifest)
    world.tell()
    assert world.states() == {"plain": ("in_sync", "unknown", "inferred")}
    world.application(3, path="plain", options=json.dumps({"directory": {"recurse": True}}))
    world.survey(4)
    world.tell()
    assert set(world.states()) == {"plain", "nested"}


def test_a_generated_config_map_is_found_under_its_name_with_a_hash(world: World) -> None:
    fields = {
        "resources": ["../base"],
        "configMapGenerator": [{"name": "conf", "literals": ["a=b"]}],
    }
    tip = world.repo.commit({"prod/kustomization.yaml": kustomization(**fields)}, "Generate")
    world.ledger.grow()
    world.application()
    world.sync(1, tip)
    live = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}
    world.survey(1)
    world.tell()
    assert world.state("conf") == "absent"
    world.live(2, {**live, "metadata": {"name": "conf-5g6c4hh24k"}})
    world.tell()
    assert world.state("conf-5g6c4hh24k") == "in_sync"
    assert "conf" not in world.states()


def test_fields_are_told_with_the_revision_and_the_file_that_set_them(world: World) -> None:
    first = world.repo.tip()
    second = world.repo.commit({"prod/kustomization.yaml": prod("v2")}, "Two")
    world.ledger.grow()
    world.application()
    world.tell()
    rows = world.ledger.rows(
        "select field, commit_sha, path, input_field from live_fields where name = 'api' order by 1, 3, 4"
    )
    image = "spec.template.spec.containers[name=api].image"
    assert rows == [
        ("", first, "base/all.yaml", ""),
        ("", first, "base/kustomization.yaml", "resources[0]"),
        ("", first, "prod/kustomization.yaml", "resources[0]"),
        (image, first, "base/all.yaml", ""),
        (image, second, "prod/kustomization.yaml", "images[name=quay.io/x/api].newTag"),
    ]


def test_of_a_partial_sync_only_the_objects_that_it_brought_are_at_its_revision(
    world: World,
) -> None:
    first = world.repo.tip()
    changed = with_(deployment(), "spec", "replicas", value=3)
    second = world.repo.commit(
        {"base/all.yaml": text(changed, policy(egress=[{}]))}, "Three, and out"
    )
    world.ledger.grow()
    brought = SyncedResource(
        api_group="apps", kind="Deployment", namespace="team-a", name="api", status="Synced"
    )
    world.application()
    world.sync(1, first)
    world.sync(2, second, partial=True, resources=[brought])
    world.live(3, running("v1", replicas=3))
    world.live(3, policy())
    world.tell()
    assert (world.state("api"), world.state("allow")) == ("in_sync", "pending")


def test_when_an_application_is_deleted_what_it_leaves_behind_is_extra(world: World) -> None:
    world.application()
    world.sync(1, world.repo.tip())
    world.live(2, policy())
    world.live(3, with_(policy(), "spec", "ingress", value=[{}]))
    world.no_application(4)
    world.tell()
    assert world.states() == {"allow": ("extra", "unexplained", "unlinked")}
    assert len(world.ledger.rows("select 1 from drift_episodes")) == 1


def test_a_copied_tracking_id_claims_nothing(world: World) -> None:
    copied = with_(policy(), "metadata", "name", value="copy")
    copied["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "shop:networking.k8s.io/NetworkPolicy:team-a/allow"
    }
    world.application()
    world.live(2, copied, tracked="")
    world.tell()
    rows = world.ledger.rows("select application, state from live_resources where name = 'copy'")
    assert rows == [("", "extra")]


def test_after_a_forced_push_the_synced_revision_is_still_known(world: World) -> None:
    first = world.repo.tip()
    second = world.repo.commit({"prod/kustomization.yaml": prod("v2")}, "Two")
    world.ledger.grow()
    world.application()
    world.sync(1, second)
    world.live(2, running("v2"))
    world.tell()
    assert world.state("api") == "in_sync"
    world.repo.force(first)
    world.repo.commit({"prod/kustomization.yaml": prod("v3")}, "Another two")
    world.ledger.grow()
    assert world.state("api") == "pending"


def test_hostile_contents_settle_all_the_same(world: World) -> None:
    world.application(options='{"kustomize": {"images": [1], "patches": "x"}, "directory": 7}')
    world.sync(1, "f" * 40)
    config: Body = {"apiVersion": "v1", "kind": "ConfigMap"}
    scaler: Body = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": []}
    world.live(0, {**config, "metadata": {"name": "a", "labels": [1]}}, tracked="")
    world.live(1, {**config, "metadata": {"name": "b\u202e"}, "data": 7}, tracked="")
    world.live(2, {**scaler, "metadata": {"name": "c" * 2_000}}, tracked="")
    world.tell()
    assert len(world.states()) == 5


@pytest.mark.parametrize("first_approved", [True, False])
@pytest.mark.parametrize("judged_last", [True, False])
def test_an_approved_edit_does_not_launder_an_unapproved_one(
    world: World, first_approved: bool, judged_last: bool
) -> None:
    first = world.repo.tip()
    second = world.repo.commit({"prod/kustomization.yaml": prod("v2")}, "Two (#2)")
    world.ledger.grow()
    if judged_last:
        world.application()
        world.sync(1, second)
        world.live(2, running("v2"))
        world.tell()
        assert world.states()["api"][1] == "unknown"
    world.pull_request(2, second, approved=True)
    if first_approved:
        world.pull_request(1, first, approved=True)
    if not judged_last:
        world.application()
        world.sync(1, second)
        world.live(2, running("v2"))
    world.tell()
    assert world.states()["api"][1] == ("approved" if first_approved else "unapproved")
    rows = world.ledger.rows(
        "select field, approval from live_fields where name = 'api' and path like 'prod/%' order by 1"
    )
    assert rows == [
        ("", "approved" if first_approved else "unapproved"),
        ("spec.template.spec.containers[name=api].image", "approved"),
    ]


# -- order, batches, rebuild -----------------------------------------------------------------------


def owners(world: World) -> None:
    """What controllers made, with the uids of their owners, and a person's word that one is not there."""
    replicas = plain("ReplicaSet", "api-1", "apps/v1")
    owner: dict[str, Any] = {"tracked": "", "owner": "Deployment/api", "owner_group": "apps"}
    world.live(9, replicas, **owner, owner_uid="uid-d", uid="uid-r")
    owner |= {"owner": "ReplicaSet/api-1", "owner_uid": "uid-r"}
    world.live(9, plain("Pod", "api-1-x"), **owner)
    owner |= {"owner": "Job/nosuch", "owner_group": "batch"}
    world.live(9, plain("Pod", "lost"), **owner)
    world.survey(15, "batch/Job", namespace="team-a", stated_by=Identity(login="ann"))


def story(world: World, delete: bool = False) -> None:
    """Everything that a controller and a cluster may tell, in order of time."""
    commits = world.repo.chain()
    peer = {"ipBlock": {"cidr": "0.0.0.0/0"}}
    world.application()
    world.application(30, options=json.dumps({"directory": {"recurse": True}}))
    for hour, commit in zip((1, 4, 8, 12), commits, strict=False):
        world.sync(hour, commit)
    world.live(2, running("v1"))
    world.live(2, policy())
    world.live(
        3, with_(policy(), "spec", "ingress", 0, "from", 1, value=peer), manager="kubectl-edit"
    )
    world.live(5, running("v2"))
    world.live(6, running("v2", replicas=8))
    world.live(9, policy())
    world.live(10, running("v3"))
    world.live(11, with_(policy(), "metadata", "name", value="stray"), tracked="")
    world.live(11, with_(policy(), "metadata", "name", value="extra"))
    world.gone(13, with_(policy(), "metadata", "name", value="extra"))
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "api"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}},
    }
    world.live(7, scaler, tracked="")
    config: Body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}
    world.live(9, {**config, "metadata": {"name": "conf-5g6c4hh24k"}})
    widget = {
        "apiVersion": "e.x/v1",
        "kind": "Widget",
        "metadata": {"name": "wide"},
        "spec": {"a": 1},
    }
    world.live(9, widget, namespace="", tracked="")
    labelled = with_(deployment(), "metadata", value={"name": "other"})
    labelled["metadata"]["labels"] = {"app.kubernetes.io/instance": "shop"}
    world.live(9, labelled, tracked="")
    sets = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-db-0"}}
    world.live(9, sets, tracked="")
    world.live(9, claim, tracked="")
    owners(world)
    world.gone(16, labelled, stated_by=Identity(login="ann"))
    world.application(10, name="second", path="base", into="team-b")
    world.sync(11, commits[-1], name="second", path="base")
    world.live(12, running("v0"), namespace="team-b", tracked="second")
    world.survey(14)
    world.survey(20, "apps/Deployment")
    if delete:
        world.no_application(40)


@pytest.mark.parametrize("seed", range(4))
def test_neither_the_order_of_events_nor_the_batches_make_a_difference(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311
    results = []
    for number in range(3):
        world = World(tmp_path / str(number))
        world.repo.commit(
            {
                "base/all.yaml": text(deployment(), policy()),
                "base/kustomization.yaml": kustomization(resources=["all.yaml"]),
                "prod/kustomization.yaml": prod("v1"),
                "prod/widget.yaml": text(
                    {
                        "apiVersion": "e.x/v1",
                        "kind": "Widget",
                        "metadata": {"name": "wide"},
                        "spec": {"a": 1},
                    }
                ),
            }
        )
        more: Body = {
            "configMapGenerator": [{"name": "conf", "literals": ["a=b"]}],
            "namespace": "team-a",
        }
        more["resources"] = ["../base", "widget.yaml"]
        world.repo.commit({"prod/kustomization.yaml": prod("v1", **more)})
        for tag in ("v2", "v3", "v4"):
            world.repo.commit({"prod/kustomization.yaml": prod(tag, **more)}, tag)
        story(world, delete=seed % 3 == 2)
        order = list(range(len(world.told)))
        if number:
            rng.shuffle(order)
        if number < 2:
            world.ledger.grow()
            world.tell(order, one_by_one=bool(number))
        else:  # the cluster is told of before Git is read
            cut = rng.randint(1, len(order))
            told = world.told
            world.tell(order[:cut], one_by_one=True)
            world.ledger.grow()
            world.told = told
            if order[cut:]:
                world.tell(order[cut:])
        results.append(world.tables())
        world.ledger.rebuild()
        assert world.tables() == results[-1]
    assert results[0] == results[1] == results[2]
    assert results[0]["model_drift_episode"]


def test_both_databases_settle_alike(tmp_path: Path, sqlite_url: str, postgres_url: str) -> None:
    results = []
    for number, url in enumerate((sqlite_url, postgres_url)):
        world = World(tmp_path / str(number), url)
        world.repo.commit({"prod/all.yaml": text(deployment(), policy())})
        world.ledger.grow()
        story(world)
        world.tell()
        views = ("live_resources", "live_fields", "drift_episodes")
        results.append(
            [sorted(world.ledger.rows(f"select * from {one}"), key=repr) for one in views]
        )
    assert results[0] == results[1]


# -- what says that a controller made it -----------------------------------------------------------


def plain(kind: str, name: str, version: str = "v1", **more: Any) -> Body:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


RBAC = "rbac.authorization.k8s.io/v1"
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
OTHER_CERTIFICATE = CERTIFICATE.replace("TUlJ", "ZXZp")


def default_role(name: str, rules: Any) -> Body:
    role = plain("ClusterRole", name, RBAC, rules=rules)
    role["metadata"]["labels"] = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    return role


def test_what_only_says_that_a_controller_made_it_is_extra(world: World) -> None:
    world.live(2, plain("Pod", "shell"), tracked="", owner="ReplicaSet/nosuch")
    world.live(2, default_role("evil", EVERYTHING), tracked="", namespace="")
    world.live(2, default_role("system:evil", EVERYTHING), tracked="", namespace="")
    world.live(2, plain("ConfigMap", "kube-root-ca.crt", data={"ca.crt": "hacked"}), tracked="")
    world.live(2, plain("Endpoints", "away", subsets=[{"addresses": [{"ip": "6.6.6.6"}]}]))
    token = plain("Secret", "token", type="kubernetes.io/service-account-token")
    world.live(2, token, tracked="")
    world.survey(3, "/Pod", "apps/ReplicaSet", "/Service", "/ServiceAccount")
    world.tell()
    found = world.states()
    assert {one[0] for one in found.values()} == {"extra"}
    assert {one[1] for one in found.values()} == {"unexplained"}
    assert len(found) == 6
    assert world.reason("shell") == "ReplicaSet/nosuch, which is said to own it, is not there"


def test_what_is_owned_by_something_that_nobody_declares_is_extra(world: World) -> None:
    stray = with_(running("v1"), "metadata", "name", value="stray")
    world.application()
    world.live(2, stray, tracked="")
    world.live(2, running("v1"))
    world.live(2, plain("ReplicaSet", "stray-1", "apps/v1"), tracked="", owner="Deployment/stray")
    world.live(2, plain("Pod", "stray-1-x"), tracked="", owner="ReplicaSet/stray-1")
    world.live(2, plain("Pod", "a"), tracked="", owner="Pod/b")
    world.live(2, plain("Pod", "b"), tracked="", owner="Pod/a")
    world.live(2, plain("Secret", "hidden"), tracked="", owner="Deployment/api")
    world.tell()
    for name in ("stray", "stray-1", "stray-1-x", "a", "b", "hidden"):
        assert world.state(name) == "extra", name
    assert world.reason("stray-1-x") == "its owner ReplicaSet/stray-1 is itself not declared"


def test_what_a_controller_made_is_judged_again_when_its_owners_change(world: World) -> None:
    world.live(2, plain("Pod", "api-1-x"), tracked="", owner="ReplicaSet/api-1")
    world.tell()
    assert world.state("api-1-x") == "unknown"
    world.live(2, plain("ReplicaSet", "api-1", "apps/v1"), tracked="", owner="Deployment/api")
    world.live(2, running("v1"))
    world.tell()
    assert world.state("api-1-x") == "extra"
    world.application(3)
    world.tell()
    assert world.state("api-1-x") == "derived"
    world.gone(4, running("v1"))
    world.tell()
    assert world.state("api-1-x") == "extra"
    before = world.tables()
    world.ledger.rebuild()
    assert world.tables() == before


def owned(world: World, hour: int, owner_uid: str = "uid-d", **more: Any) -> None:
    """A replica set that says that a declared deployment owns it, and which by uid."""
    facts: dict[str, Any] = {"tracked": "", "owner": "Deployment/api", "owner_group": "apps"}
    replicas = plain("ReplicaSet", "api-1", "apps/v1")
    world.live(hour, replicas, owner_uid=owner_uid, uid="uid-r", **facts, **more)


def test_an_owner_is_known_by_its_uid(world: World) -> None:
    world.application()
    world.live(2, running("v1"), uid="uid-d")
    owned(world, 2)
    pod = plain("Pod", "api-1-x")
    facts: dict[str, Any] = {"tracked": "", "owner": "ReplicaSet/api-1", "owner_group": "apps"}
    world.live(2, pod, owner_uid="uid-r", **facts)
    world.live(2, plain("Pod", "old"), owner_uid="uid-of-before", **facts)
    world.live(2, plain("Pod", "named"), **facts)
    elsewhere = {**facts, "owner_group": "evil.example"}
    world.live(2, plain("Pod", "odd"), owner_uid="uid-r", **elsewhere)
    world.tell()
    assert world.reason("api-1") == "Deployment/api owns it"
    made = "ReplicaSet/api-1 owns it, and was made of Deployment/api"
    assert (world.state("api-1-x"), world.reason("api-1-x")) == ("derived", made)
    assert world.state("old") == "extra"
    assert world.reason("old").endswith("has another uid now than the one that it names")
    assert world.state("named") == "derived"
    assert world.reason("named") == f"{made}; that is by name only, for no uid is known"
    assert world.reason("odd") == "ReplicaSet/api-1, which is said to own it, was not looked at"


def test_an_owner_that_was_made_anew_no_longer_owns_what_it_left_behind(world: World) -> None:
    world.application()
    world.live(2, running("v1"), uid="uid-d")
    owned(world, 2)
    world.tell()
    assert world.state("api-1") == "derived"
    world.live(3, running("v2"), uid="uid-e")
    world.tell()
    assert world.state("api-1") == "extra"
    before = world.tables()
    world.ledger.rebuild()
    assert world.tables() == before


def test_an_owner_that_nobody_looked_for_is_no_proof_of_anything(world: World) -> None:
    facts: dict[str, Any] = {"tracked": "", "owner_uid": "u", "owner_group": "cert.example"}
    world.live(2, plain("Secret", "tls"), owner="Certificate/tls", **facts)
    impossible = {**facts, "owner_group": "apps"}
    world.live(2, plain("ConfigMap", "odd"), owner="ReplicaSet/any", **impossible)
    world.tell()
    assert world.states()["tls"] == ("unknown", "unknown", "unlinked")
    assert world.reason("tls") == "Certificate/tls, which is said to own it, was not looked at"
    assert world.state("odd") == "extra"
    world.survey(1, "cert.example/Certificate")
    world.tell()
    assert world.state("tls") == "unknown"  # it may have been made since
    world.survey(3, "cert.example/Certificate")
    world.tell()
    assert world.states()["tls"] == ("extra", "unexplained", "unlinked")
    assert world.reason("tls") == "Certificate/tls, which is said to own it, is not there"


def test_a_static_pod_says_that_a_node_runs_it_from_a_file(world: World) -> None:
    facts: dict[str, Any] = {"tracked": "", "owner": "Node/n1", "owner_uid": "u"}
    static = plain("Pod", "etcd-n1", spec={"nodeName": "n1"})
    static["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "0af"}
    world.live(2, static, **facts)
    world.live(2, plain("Pod", "forged"), **facts)
    world.tell()
    assert world.state("etcd-n1") == world.state("forged") == "extra"
    assert "the node n1 runs that from a file of its own" in world.reason("etcd-n1")
    assert "no mark of a static pod" in world.reason("forged")


def test_what_was_made_of_an_object_is_approved_as_that_is(world: World) -> None:
    world.application()
    world.sync(1, world.repo.tip())
    world.pull_request(1, world.repo.tip(), approved=False)
    world.live(2, running("v1"), uid="uid-d")
    owned(world, 2)
    pod: dict[str, Any] = {"owner": "ReplicaSet/api-1", "owner_uid": "uid-r"}
    world.live(2, plain("Pod", "p"), tracked="", owner_group="apps", **pod)
    world.live(2, plain("ServiceAccount", "default"), tracked="")
    world.tell()
    sql = "select name, approval, made_of from live_resources where state = 'derived' order by 1"
    unapproved = [(name, "unapproved", "Deployment/api") for name in ("api-1", "p")]
    nothing = ("default", None, "")
    assert sorted(map(tuple, world.ledger.rows(sql))) == sorted([*unapproved, nothing])
    world.live(3, running("v1", replicas=9), uid="uid-d")
    world.tell()
    unexplained = [(name, "unexplained", "Deployment/api") for name in ("api-1", "p")]
    assert sorted(map(tuple, world.ledger.rows(sql))) == sorted([*unexplained, nothing])


def test_that_an_object_is_absent_may_be_a_persons_word(world: World) -> None:
    ann = Identity(login="ann")
    world.application()
    world.sync(1, world.repo.tip())
    world.live(2, running("v1"))
    world.gone(3, running("v1"), stated_by=ann)
    world.survey(3, "networking.k8s.io/NetworkPolicy", namespace="team-a", stated_by=ann)
    world.tell()
    for name in ("api", "allow"):
        assert world.states()[name] == ("absent", "unexplained", "inferred")
        assert "is the word of ann" in world.reason(name)
    world.survey(4)
    world.tell()
    assert "ann" not in world.reason("api") + world.reason("allow")
    before = world.tables()
    world.ledger.rebuild()
    assert world.tables() == before


def test_files_without_namespaces_say_nothing_of_all_namespaces(world: World) -> None:
    world.application()
    world.sync(1, world.repo.tip())
    world.survey(3, "apps/Deployment", "rbac/Role", stated_by=Identity(login="ann"))
    world.tell()
    assert world.state("api") == "not_observed"


def test_what_the_cluster_brings_is_derived_by_what_it_holds(world: World) -> None:
    reads = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    for name, rules in (("system:reader", reads), ("cluster-admin", EVERYTHING), ("mine", reads)):
        world.live(2, default_role(name, rules), tracked="", namespace="")
    bundle = plain("ConfigMap", "kube-root-ca.crt", data={"ca.crt": CERTIFICATE})
    for place in ("team-a", "kube-system"):
        world.live(2 if place == "team-a" else 3, bundle, tracked="", namespace=place)
    forged = with_(bundle, "data", "ca.crt", value=OTHER_CERTIFICATE)
    world.live(4, forged, tracked="", namespace="team-b")
    world.tell()
    states = world.states()
    for name in ("system:reader", "cluster-admin"):
        assert (states[name][0], states[name][2]) == ("derived", "inferred")
    assert states["mine"][0] == "extra"
    sql = "select namespace, state from live_resources where kind = 'ConfigMap' order by 1"
    told = [("kube-system", "derived"), ("team-a", "derived"), ("team-b", "extra")]
    assert [tuple(one) for one in world.ledger.rows(sql)] == told


# -- secrets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "live", "same"),
    [
        ("stringData: {k: s3cret}", "s3cret", True),
        ("data: {k: czNjcmV0}", "s3cret", True),
        ("stringData: {k: other}", "s3cret", False),
        ("stringData:\n  k: |\n    two\n    lines\n", "two\nlines\n", True),
    ],
)
def test_redacted_secrets_of_one_value_compare_equal_wherever_they_stand(
    declared: str, live: str, same: bool
) -> None:
    """Git's text and the cluster's JSON are redacted apart, and the tokens are of the decoded value."""
    key = bytes(32)
    told = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{declared}\n"
    encoded = base64.b64encode(live.encode()).decode()
    seen: Body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque"}
    seen["data"] = {"k": encoded}
    desired = yaml.safe_load(redact("s.yaml", told.encode(), key).data)
    found = json.loads(redact("object.json", json.dumps(seen).encode(), key).data)
    assert "hmac-sha256:" in json.dumps(desired)
    assert "hmac-sha256:" in json.dumps(found)
    assert held(desired, found).verdict == ("excused" if same else "different")
