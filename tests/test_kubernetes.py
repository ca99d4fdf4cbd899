"""What clusters hold: from dumps of kubectl, and by polling an API server that is a thread of the test."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import permutations
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from ledger.config import SourceSettings
from ledger.errors import UsageError
from ledger.events import (
    ApplicationCreated,
    ApplicationDeleted,
    ClusterSurveyed,
    CollectorGap,
    Identity,
    LiveObserved,
    LiveRemoved,
    SyncApplied,
)
from ledger.ingest import Outcome, import_files
from ledger.sources import Import
from ledger.testing import Ledger, make_ledger
from ledger.verify import Verifier

Json = dict[str, Any]
TOKEN = "token-of-the-ledger"
KUBE_SYSTEM = "0b1f3c9e-7a52-4e0f-8b0e-3f1f7a4cfe77"


def deployment(name: str = "api", replicas: int = 2, **metadata: Any) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"} | metadata,
        "spec": {"replicas": replicas},
    }


def config_map(name: str = "settings", **data: str) -> Json:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def kube_system(uid: str = KUBE_SYSTEM) -> Json:
    metadata = {"name": "kube-system", "uid": uid}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def listed(*items: Json) -> Json:
    return {"apiVersion": "v1", "items": list(items), "kind": "List", "metadata": {}}


class Files:
    """A ledger that is handed dumps, each of a day."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder = folder
        self.ledger = ledger
        self._count = 0

    def write(self, content: Any, day: int = 10) -> Path:
        self._count += 1
        path = self.folder / f"dump{self._count}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        seconds = datetime(2024, 1, day, tzinfo=UTC).timestamp()
        os.utime(path, (seconds, seconds))
        return path

    def read(self, *files: Path, cluster: str = "prod-eu") -> Outcome:
        given = Import(files=files, cluster=cluster)
        return import_files(self.ledger.settings, "kubernetes", given, clock=lambda: AT)

    def read_all(self, *files: Path, person: str = "ann") -> Outcome:
        """Reads files of which a person says that they hold everything."""
        given = Import(files=files, cluster="prod-eu", stated_by=Identity(login=person))
        return import_files(self.ledger.settings, "kubernetes", given, clock=lambda: AT)

    def gone(self) -> list[tuple[str, str, str]]:
        """(day, name, who says so) of each removal, in order."""
        return [
            (one.data.observed_at[:10], one.data.name, getattr(one.data.stated_by, "login", ""))
            for one in self.ledger.events(LiveRemoved)
            if isinstance(one.data, LiveRemoved)
        ]

    def live(self) -> list[tuple[str, str]]:
        """(day, what) of each observation, in order of the log."""
        return [
            (one.data.observed_at[:10], f"{one.data.kind}/{one.data.name}")
            for one in self.ledger.events(LiveObserved)
            if isinstance(one.data, LiveObserved)
        ]

    def only(self) -> LiveObserved:
        [event] = self.ledger.events(LiveObserved)
        assert isinstance(event.data, LiveObserved)
        return event.data

    def content(self, digest: str) -> Any:
        with self.ledger.store() as store:
            return json.loads(store.attachment(digest))

    def gaps(self) -> list[str]:
        return gaps(self.ledger)


AT = "2025-06-01T00:00:00Z"


def gaps(ledger: Ledger) -> list[str]:
    found = ledger.events(CollectorGap)
    return [one.data.detail for one in found if isinstance(one.data, CollectorGap)]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path, make_ledger(tmp_path / "ledger"))


# -- dumps ---------------------------------------------------------------------------------------

KUBECTL = """\
apiVersion: v1
items:
- apiVersion: v1
  data:
    script: |
      - not an item

      kind: List
    "- key": "x"
  kind: ConfigMap
  metadata:
    name: settings
    namespace: shop
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    name: api
    namespace: shop
  spec:
    replicas: 2
kind: List
metadata:
  resourceVersion: ""
"""


@pytest.mark.parametrize(
    "content",
    [
        listed(config_map(), deployment()),
        json.dumps(config_map()) + "\n" + json.dumps(deployment()),
        json.dumps([config_map(), deployment()]),
        KUBECTL,
        "---\n" + KUBECTL,
        f"---\n{yaml.safe_dump(config_map())}---\n{yaml.safe_dump(deployment())}",
        yaml.safe_dump(listed(config_map(), listed(deployment()))),
    ],
    ids=["List", "one after another", "array", "kubectl", "kubectl ---", "documents", "nested"],
)
def test_every_shape_of_dump_is_read(files: Files, content: Any) -> None:
    files.read(files.write(content))
    assert {what for _, what in files.live()} == {"ConfigMap/settings", "Deployment/api"}
    assert files.gaps() == []


def test_items_of_kubectls_list_keep_every_byte(files: Files) -> None:
    files.read(files.write(KUBECTL))
    [settings] = [
        one.data
        for one in files.ledger.events(LiveObserved)
        if isinstance(one.data, LiveObserved) and one.data.kind == "ConfigMap"
    ]
    assert files.content(settings.content)["data"] == {
        "script": "- not an item\n\nkind: List\n",
        "- key": "x",
    }


def test_items_of_a_typed_list_get_its_kind(files: Files) -> None:
    item = deployment()
    del item["kind"], item["apiVersion"]
    typed = {"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {}, "items": [item]}
    files.read(files.write(typed))
    assert (files.only().kind, files.only().api_group) == ("Deployment", "apps")


def test_powershell_writes_utf_16(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "dump.yaml"
    path.write_bytes(KUBECTL.encode("utf-16"))
    files.read(path)
    assert len(files.live()) == 2


def test_a_cluster_must_be_named(files: Files) -> None:
    with pytest.raises(UsageError, match="no cluster is named"):
        files.read(files.write(deployment()), cluster="")


def test_what_the_server_counts_is_left_out(files: Files) -> None:
    one = deployment(
        resourceVersion="7",
        generation=3,
        creationTimestamp="2024-01-01T00:00:00Z",
        selfLink="/x",
        annotations={
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "deployment.kubernetes.io/revision": "4",
            "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api",
        },
        ownerReferences=[
            {"kind": "Thing", "name": "other"},
            {"kind": "Rollout", "name": "api", "controller": True},
        ],
        managedFields=[
            {"manager": "kubectl-edit", "time": "2024-01-03T00:00:00Z"},
            {"manager": "argocd-controller", "time": "2024-01-02T00:00:00Z"},
            {"manager": "kubelet", "time": "2024-01-09T00:00:00Z", "subresource": "status"},
        ],
    ) | {"status": {"replicas": 2}}
    files.read(files.write(one))
    told = files.only()
    assert (told.manager, told.changed_at) == ("kubectl-edit", "2024-01-03T00:00:00Z")
    assert (told.owner, told.uid) == ("Rollout/api", "uid-api")
    assert files.content(told.content) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "api",
            "namespace": "shop",
            "annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"},
        },
        "spec": {"replicas": 2},
    }


def test_secrets_become_tokens_that_tell_a_change_and_nothing_else(files: Files) -> None:
    def secret(value: str) -> Json:
        metadata = {"name": "login", "namespace": "shop"}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"pin": value}}

    inside = config_map(app="url=postgres://ann:hunter2hunter2@db/shop\npassword: hunter2hunter2\n")
    for day, value in ((10, "MTIzNA=="), (11, "MTIzNA=="), (12, "OTk5OQ==")):
        files.read(files.write(listed(secret(value), inside), day))
    assert [day for day, what in files.live() if what == "Secret/login"] == [
        "2024-01-10",
        "2024-01-12",
    ]
    assert [what for _, what in files.live()].count("ConfigMap/settings") == 1
    rows = files.ledger.rows("select digest from log_content")
    with files.ledger.store() as store:
        kept = b"".join(store.content(bytes(digest)) for (digest,) in rows)
    assert b"MTIz" not in kept
    assert b"hunter2" not in kept


# -- only what changed, in any order -----------------------------------------------------------------


def test_reading_a_dump_again_adds_nothing(files: Files) -> None:
    path = files.write(listed(deployment(), config_map()))
    assert files.read(path).appended == 3
    assert files.read(path).appended == 0


def test_a_status_that_moves_on_is_no_change(files: Files) -> None:
    for day in (10, 11):
        one = deployment(resourceVersion=str(day)) | {"status": {"observed": day}}
        files.read(files.write(one, day))
    assert files.live() == [("2024-01-10", "Deployment/api")]


def test_a_change_and_its_return_are_three_facts(files: Files) -> None:
    for day, replicas in ((10, 2), (11, 3), (12, 2), (13, 2)):
        files.read(files.write(deployment(replicas=replicas), day))
    assert [day for day, _ in files.live()] == ["2024-01-10", "2024-01-11", "2024-01-12"]


def test_the_same_object_made_anew_is_a_change(files: Files) -> None:
    files.read(files.write(deployment(uid="first"), 10))
    files.read(files.write(deployment(uid="second"), 11))
    assert [day for day, _ in files.live()] == ["2024-01-10", "2024-01-11"]


def test_a_content_that_was_set_anew_is_told_with_its_time(files: Files) -> None:
    for day, hour in ((10, 1), (11, 1), (12, 2)):
        managed = [{"manager": "argocd-controller", "time": f"2024-01-0{hour}T00:00:00Z"}]
        files.read(files.write(deployment(managedFields=managed), day))
    assert [day for day, _ in files.live()] == ["2024-01-10", "2024-01-12"]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_dumps_may_come_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    files = Files(tmp_path, make_ledger(tmp_path / "ledger"))
    replicas = [2, 3, 2, 2]
    paths = [files.write(deployment(replicas=one), 10 + day) for day, one in enumerate(replicas)]
    for number in order:
        files.read(paths[number])
    seen = sorted(
        (one.data.observed_at[:10], files.content(one.data.content)["spec"]["replicas"])
        for one in files.ledger.events(LiveObserved)
        if isinstance(one.data, LiveObserved)
    )
    states = [one for index, one in enumerate(seen) if not index or seen[index - 1][1] != one[1]]
    assert states == [("2024-01-10", 2), ("2024-01-11", 3), ("2024-01-12", 2)]
    assert files.read(*paths).appended == 0


def test_a_dump_removes_nothing_because_it_may_have_been_chosen(files: Files) -> None:
    files.read(files.write(listed(deployment(), config_map()), 10))
    files.read(files.write(deployment(replicas=5), 11))
    assert files.ledger.events(LiveRemoved) == []
    surveys = [one.data for one in files.ledger.events(ClusterSurveyed)]
    assert all(isinstance(one, ClusterSurveyed) and one.partial for one in surveys)


# -- files of which a person says that they hold everything -----------------------------------------


def elsewhere(one: Json, namespace: str) -> Json:
    return {**one, "metadata": {**one["metadata"], "namespace": namespace}}


def test_what_a_complete_dump_lacks_is_gone_on_a_persons_word(files: Files) -> None:
    before = [deployment("api"), deployment("web"), config_map()]
    before.append(elsewhere(deployment("far"), "other"))
    files.read(files.write(listed(*before), 10))
    dump = files.write(deployment("api"), 11)
    files.read(dump)
    assert files.gone() == []
    files.read_all(dump)
    assert files.gone() == [("2024-01-11", "web", "ann")]  # neither another kind nor namespace
    survey = files.ledger.events(ClusterSurveyed)[-1].data
    assert isinstance(survey, ClusterSurveyed)
    assert (survey.partial, survey.stated_by) == (False, Identity(login="ann"))
    assert [(one.kind, one.namespace, one.count) for one in survey.scopes] == [
        ("Deployment", "shop", 1)
    ]
    assert files.read_all(dump).appended == 0
    assert files.read_all(dump, person="bob").appended == 0


def test_the_files_of_one_command_are_one_look(files: Files) -> None:
    files.read(files.write(listed(*(deployment(one) for one in "abc")), 10))
    files.read_all(files.write(deployment("a"), 11), files.write(deployment("b"), 12))
    assert files.gone() == [("2024-01-12", "c", "ann")]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ('{"apiVersion": "v1", "ki', "it is cut off"),
        (listed(deployment("b"), {"kind": "A"}), "no apiVersion"),
        (listed(), "it holds no objects"),
        (
            {**listed(deployment("b")), "metadata": {"continue": "abc"}},
            "one page of a longer list",
        ),
        ("apiVersion: v1\nitems: []\nkind: List\nmetadata:\n  continue: abc\n", "no objects"),
        (
            "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: A\n  metadata:\n    name: x\n",
            "the file is cut off",
        ),
        (kube_system("another"), "another cluster"),
    ],
)
def test_nothing_is_complete_where_a_part_cannot_be_read(
    files: Files, broken: Any, why: str
) -> None:
    files.read(files.write(listed(kube_system(), deployment("api"), deployment("web")), 10))
    good = files.write(deployment("api"), 11)
    files.read_all(good, files.write(broken, 11))
    assert files.gone() == []
    told = [gap for gap in files.gaps() if gap.startswith("the files are not complete")]
    assert len(told) == 1
    assert why in told[0]
    assert not any(
        isinstance(one.data, ClusterSurveyed) and one.data.stated_by
        for one in files.ledger.events(ClusterSurveyed)
    )


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_complete_dumps_may_come_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    files = Files(tmp_path, make_ledger(tmp_path / "ledger"))
    days = [
        [deployment("api"), deployment("web")],
        [deployment("api")],  # complete: web is gone
        [deployment("api"), deployment("web")],
        [deployment("api", 5)],
    ]
    paths = [files.write(listed(*one), 10 + day) for day, one in enumerate(days)]
    for _ in range(2):
        for number in order:
            (files.read_all if number == 1 else files.read)(paths[number])
    web = sorted(
        (one.data.observed_at[:10], isinstance(one.data, LiveObserved))
        for one in files.ledger.events(LiveObserved, LiveRemoved)
        if isinstance(one.data, LiveObserved | LiveRemoved) and one.data.name == "web"
    )
    assert web == [("2024-01-10", True), ("2024-01-11", False), ("2024-01-12", True)]


def test_only_dumps_of_clusters_can_be_complete(files: Files) -> None:
    given = Import(files=[files.write("{}")], cluster="hub", stated_by=Identity(login="ann"))
    with pytest.raises(UsageError, match="are never complete"):
        import_files(files.ledger.settings, "argocd", given)


# -- who owns it -----------------------------------------------------------------------------------


def test_an_owner_is_told_with_its_group_and_uid_and_another_one_is_a_change(files: Files) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "controller": True}
    files.read(files.write(config_map(), 10))
    owned = config_map()
    owned["metadata"]["ownerReferences"] = [owner | {"uid": "u1"}]
    files.read(files.write(owned, 11))
    owned["metadata"]["ownerReferences"] = [owner | {"uid": 7}]
    files.read(files.write(owned, 12))
    told = [
        (one.data.owner, one.data.owner_group, one.data.owner_uid)
        for one in files.ledger.events(LiveObserved)
        if isinstance(one.data, LiveObserved)
    ]
    assert told == [("", "", ""), ("ReplicaSet/r", "apps", "u1"), ("ReplicaSet/r", "apps", "")]


# -- which cluster it is -------------------------------------------------------------------------


def test_a_name_stands_for_one_cluster(files: Files) -> None:
    files.read(files.write(listed(kube_system(), deployment()), 10))
    files.read(files.write(listed(kube_system("another"), deployment(replicas=9)), 11))
    [gap] = files.gaps()
    assert "the name prod-eu stands for another cluster" in gap
    assert KUBE_SYSTEM in gap
    assert "Give every cluster a name of its own" in gap
    assert [day for day, what in files.live() if what == "Deployment/api"] == ["2024-01-10"]
    files.read(files.write(listed(kube_system("another"), deployment()), 12), cluster="prod-us")
    assert len(files.gaps()) == 1


# -- what cannot be read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "gap"),
    [
        ({"kind": "A"}, "no apiVersion"),
        ({"apiVersion": "v1", "kind": "A"}, "no metadata"),
        ({"apiVersion": "v1", "kind": "A", "metadata": {}}, "it has no name"),
        ({"apiVersion": "v1", "kind": "A", "metadata": {"name": 7}}, "its name is no text"),
        ({"apiVersion": "v1", "kind": 7, "metadata": {"name": "a"}}, "its kind is no text"),
        ({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a" * 300}}, "its name is no text"),
        ("x", "it is no object"),
    ],
)
def test_an_object_that_cannot_be_read_is_a_gap_and_costs_only_itself(
    files: Files, bad: Any, gap: str
) -> None:
    files.read(files.write(listed(bad, deployment())))
    [detail] = files.gaps()
    assert detail.startswith("dump1.json: item 1: ")
    assert gap in detail
    assert files.live() == [("2024-01-10", "Deployment/api")]


def nested(depth: int) -> str:
    inside = "[" * depth + "]" * depth
    return f'{{"apiVersion":"v1","kind":"A","metadata":{{"name":"a"}},"x":{inside}}}'


@pytest.mark.parametrize(
    ("content", "gap"),
    [
        ("", "it holds no objects"),
        ("{", "cut off"),
        ('{"apiVersion": "v1", "items": [{"a": 1}, {', "cut off"),
        (nested(300), "nested deeper than 200"),
        (nested(50_000), "nested"),
        (
            '{"apiVersion":"v1","kind":"A","metadata":{"name":"\\ud800"}}',
            "half of a surrogate pair",
        ),
        ("a: &a [*a]", "the document: "),
        ("a: 1\n---\nb: [", "document 2: "),
    ],
)
def test_a_file_that_cannot_be_read_is_a_gap(files: Files, content: str, gap: str) -> None:
    path = files.write(content)
    outcome = files.read(path)
    assert (outcome.failure, outcome.stopped) == ("", ())
    assert gap in " ".join(files.gaps())
    assert files.read(path).appended == 0


def test_what_a_fact_speaks_of_is_missed_when_it_is_gone(files: Files, tmp_path: Path) -> None:
    files.read(files.write(deployment()))
    digest = files.only().content
    with sqlite3.connect(tmp_path / "ledger" / "ledger.db") as database:
        triggers = database.execute("select name from sqlite_master where type = 'trigger'")
        for (name,) in triggers.fetchall():
            database.execute(f"drop trigger {name}")
        database.execute("delete from log_content where digest = ?", [bytes.fromhex(digest[7:])])
    with files.ledger.store() as store:
        found = [one.what for one in Verifier(store).kept()]
    assert any(digest in one and "is missing" in one for one in found)


def test_real_objects_are_read(files: Files, corpus: Path) -> None:
    found = sorted((corpus / "fixtures" / "argocd" / "gitops-engine-diff").glob("*-live*"))
    assert files.read(*found).appended > 40
    assert files.gaps() == []
    assert files.read(*found).appended == 0


# -- an API server -------------------------------------------------------------------------------

RESOURCES = {
    ("", "v1"): [
        ("namespaces", "Namespace", False),
        ("configmaps", "ConfigMap", True),
        ("secrets", "Secret", True),
    ],
    ("apps", "v1"): [
        ("deployments", "Deployment", True),
        ("deployments/status", "Deployment", True),
    ],
    ("argoproj.io", "v1alpha1"): [("applications", "Application", True)],
    ("widgets.example.com", "v2"): [("widgets", "Widget", True)],
}


class FakeServer:
    """Serves objects as a Kubernetes API does: discovery, pages, and its errors."""

    def __init__(self) -> None:
        self.objects: list[Json] = [kube_system()]
        self.refused: set[str] = set()
        self.status = 200
        self.page = 500
        self.expire_after = 0  # how many first pages lead to a second that has expired
        self.requests: list[str] = []

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        self.requests.append(path)
        if self.status != 200:
            return self.status, {"kind": "Status", "message": "no entry"}
        parts = path.strip("/").split("/")
        if parts == ["apis"]:
            versions = [
                {"name": group, "preferredVersion": {"groupVersion": "x", "version": version}}
                for group, version in RESOURCES
                if group
            ]
            return 200, {"kind": "APIGroupList", "groups": versions}
        group, version, rest = ("", parts[1], parts[2:])
        if parts[0] == "apis":
            group, version, rest = parts[1], parts[2], parts[3:]
        known = RESOURCES.get((group, version))
        if known is None:
            return 404, {"kind": "Status", "message": "page not found"}
        if not rest:
            return 200, {"kind": "APIResourceList", "resources": [
                {"name": plural, "kind": kind, "namespaced": namespaced, "singularName": kind.lower(),
                 "verbs": ["get", "list"], "shortNames": [plural[:2]]}
                for plural, kind, namespaced in known
            ]}  # fmt: skip
        return self.listing(group, version, rest, query)

    def listing(
        self, group: str, version: str, rest: list[str], query: dict[str, list[str]]
    ) -> tuple[int, Any]:
        namespace = ""
        if rest[0] == "namespaces" and len(rest) == 3:
            namespace, rest = rest[1], rest[2:]
        plural = rest[0]
        if plural in self.refused:
            reason = f'{plural} is forbidden: User "ledger" cannot list resource'
            return 403, {"kind": "Status", "message": reason}
        kind = {one: kind for one, kind, _ in RESOURCES[group, version]}[plural]
        api = f"{group}/{version}" if group else version
        found = [
            one
            for one in self.objects
            if (one["apiVersion"], one["kind"]) == (api, kind)
            and namespace in ("", one["metadata"].get("namespace", ""))
        ]
        if len(rest) == 2:
            named = [one for one in found if one["metadata"]["name"] == rest[1]]
            return (200, named[0]) if named else (404, {"message": "not found"})
        start = int(query.get("continue", ["0"])[0])
        if start and self.expire_after:
            self.expire_after -= 1
            return 410, {"kind": "Status", "message": "The provided continue parameter is too old"}
        metadata = {"resourceVersion": "9"}
        if start + self.page < len(found):
            metadata["continue"] = str(start + self.page)
        items = [
            {key: value for key, value in one.items() if key not in ("kind", "apiVersion")}
            for one in found[start : start + self.page]
        ]
        return 200, {"kind": f"{kind}List", "apiVersion": api, "metadata": metadata, "items": items}


class Handler(BaseHTTPRequestHandler):
    fake: FakeServer

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        status, body = self.fake.answer(where.path, parse_qs(where.query))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, body = 401, {"kind": "Status", "message": "Unauthorized"}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(fake: FakeServer) -> Iterator[str]:
    handler = type("Bound", (Handler,), {"fake": fake})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Polled:
    """A ledger that polls the fake server."""

    def __init__(self, folder: Path, url: str, fake: FakeServer, database: str) -> None:
        self.fake = fake
        self.folder = folder
        self.write_config(url)
        common: dict[str, Any] = {"cluster": "prod-eu", "kubeconfig": str(folder / "kubeconfig")}
        kinds = ["configmaps", "secrets", "deployments.apps"]
        self.ledger = make_ledger(
            folder / "ledger",
            SourceSettings(kind="kubernetes", name="eu", kinds=kinds, **common),
            SourceSettings(kind="argocd", name="argo", **common),
            database=database,
        )

    def write_config(self, url: str, token: str = TOKEN) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        }
        (self.folder / "kubeconfig").write_text(yaml.safe_dump(config))

    def poll(self, name: str = "eu") -> Outcome:
        [outcome] = self.ledger.ingest(name)
        assert outcome.stopped == ()
        return outcome

    def live(self) -> list[tuple[str, str]]:
        """(seen or gone, name) in order."""
        found = self.ledger.events(LiveObserved, LiveRemoved)
        return [
            ("seen" if isinstance(one.data, LiveObserved) else "gone", one.data.name)
            for one in found
            if isinstance(one.data, LiveObserved | LiveRemoved)
        ]

    def surveys(self) -> list[ClusterSurveyed]:
        found = [one.data for one in self.ledger.events(ClusterSurveyed)]
        return [one for one in found if isinstance(one, ClusterSurveyed) and one.scopes]


@pytest.fixture
def polled(tmp_path: Path, sqlite_url: str) -> Iterator[Polled]:
    fake = FakeServer()
    with serving(fake) as url:
        yield Polled(tmp_path, url, fake, sqlite_url)


@pytest.fixture
def polled_anywhere(tmp_path: Path, database_url: str) -> Iterator[Polled]:
    fake = FakeServer()
    with serving(fake) as url:
        yield Polled(tmp_path, url, fake, database_url)


def test_a_poll_tells_what_is_new_what_changed_and_what_is_gone(polled_anywhere: Polled) -> None:
    polled, fake = polled_anywhere, polled_anywhere.fake
    fake.objects += [deployment("api"), deployment("web"), config_map()]
    assert polled.poll().failure == ""
    assert polled.live() == [("seen", "settings"), ("seen", "api"), ("seen", "web")]
    assert polled.poll().appended == 0
    fake.objects = [kube_system(), deployment("api", 3), config_map()]
    polled.poll()
    assert polled.live()[3:] == [("seen", "api"), ("gone", "web")]
    fake.objects += [deployment("web")]
    polled.poll()
    assert polled.live()[5:] == [("seen", "web")]


def test_a_survey_tells_what_was_covered(polled: Polled) -> None:
    polled.fake.objects += [deployment("api"), deployment("web")]
    polled.poll()
    [survey] = polled.surveys()
    assert (survey.cluster, survey.identity, survey.partial) == ("prod-eu", KUBE_SYSTEM, False)
    counts = {(one.api_group, one.kind, one.namespace): one.count for one in survey.scopes}
    assert counts == {
        ("", "ConfigMap", ""): 0,
        ("", "Secret", ""): 0,
        ("apps", "Deployment", ""): 2,
    }


def test_pages_are_put_together(polled: Polled) -> None:
    polled.fake.objects += [deployment(f"d{number}") for number in range(7)]
    polled.fake.page = 3
    polled.poll()
    assert len(polled.live()) == 7
    assert polled.poll().appended == 0


def test_a_list_that_the_server_forgot_is_read_again(polled: Polled) -> None:
    polled.fake.objects += [deployment(f"d{number}") for number in range(4)]
    polled.fake.page, polled.fake.expire_after = 3, 1
    assert polled.poll().failure == ""
    assert sorted(name for _, name in polled.live()) == ["d0", "d1", "d2", "d3"]
    polled.fake.expire_after = 99
    outcome = polled.poll()
    assert "changes faster than it can be read" in outcome.failure
    polled.fake.expire_after = 0
    assert polled.poll().failure == ""
    assert len(polled.live()) == 4


def test_a_kind_that_may_not_be_read_is_a_gap_and_nothing_is_concluded(polled: Polled) -> None:
    polled.fake.objects += [deployment("api"), config_map()]
    polled.poll()
    polled.fake.refused = {"deployments"}
    polled.fake.objects = [kube_system(), config_map()]
    assert polled.poll().failure == ""
    [gap] = gaps(polled.ledger)
    assert "deployments.apps may not be read" in gap
    assert "ClusterRole with the verbs get and list on deployments.apps" in gap
    assert ("gone", "api") not in polled.live()
    assert "Deployment" not in {one.kind for one in polled.surveys()[-1].scopes}
    assert polled.poll().appended == 0  # the same gap is one
    polled.fake.refused = set()
    polled.poll()
    assert polled.live()[-1] == ("gone", "api")


def test_limited_to_namespaces_it_asks_for_no_other(polled: Polled) -> None:
    far = config_map("far")
    far["metadata"]["namespace"] = "elsewhere"
    polled.fake.objects += [deployment("api"), far]
    source = polled.ledger.settings.source[0]
    limited = SourceSettings(
        kind="kubernetes",
        name="eu",
        cluster=source.cluster,
        kubeconfig=source.kubeconfig,
        namespaces=["shop"],
    )
    ledger = polled.ledger.replace(source=[limited])
    [outcome] = ledger.ingest()
    assert outcome.failure == ""
    assert polled.live() == [("seen", "api")]
    listings = [one for one in polled.fake.requests if one.count("/") > 3]
    assert all("/namespaces/" in one for one in listings)


def test_any_kind_that_is_served_can_be_asked_for(polled: Polled) -> None:
    widget = {
        "apiVersion": "widgets.example.com/v2",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": "shop"},
    }
    polled.fake.objects.append(widget)
    source = polled.ledger.settings.source[0]
    for kinds in (["widgets"], ["Widget.widgets.example.com"], ["wi"]):
        one = SourceSettings(
            kind="kubernetes",
            name="eu",
            cluster="prod-eu",
            kubeconfig=source.kubeconfig,
            kinds=kinds,
        )
        [outcome] = polled.ledger.replace(source=[one]).ingest()
        assert outcome.failure == ""
    assert polled.live() == [("seen", "w")]
    missing = SourceSettings(
        kind="kubernetes",
        name="eu",
        cluster="prod-eu",
        kubeconfig=source.kubeconfig,
        kinds=["gadgets.example.com"],
    )
    polled.ledger.replace(source=[missing]).ingest()
    assert "serves no gadgets.example.com" in gaps(polled.ledger)[-1]


def test_a_dump_between_two_polls_is_not_forgotten(polled: Polled) -> None:
    polled.fake.objects += [deployment("api", 2)]
    polled.poll()
    dump = polled.folder / "dump.json"
    dump.write_text(json.dumps(listed(deployment("api", 9), deployment("extra"))))
    moment = datetime.strptime(polled.ledger.now, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    os.utime(dump, (moment.timestamp() + 30, moment.timestamp() + 30))
    given = Import(files=[dump], cluster="prod-eu")
    import_files(polled.ledger.settings, "kubernetes", given, clock=lambda: "2025-02-01T00:00:00Z")
    polled.poll()
    assert polled.live() == [
        ("seen", "api"),
        ("seen", "api"),
        ("seen", "extra"),
        ("seen", "api"),
        ("gone", "extra"),
    ]
    assert polled.poll().appended == 0


def test_a_persons_word_between_two_polls_is_checked_by_the_next(polled: Polled) -> None:
    def state(seconds: float) -> None:
        dump = polled.folder / "dump.json"
        dump.write_text(json.dumps(deployment("api")) + " " * int(seconds % 7))
        os.utime(dump, (seconds, seconds))
        given = Import(files=[dump], cluster="prod-eu", stated_by=Identity(login="ann"))
        now = polled.ledger.now
        import_files(polled.ledger.settings, "kubernetes", given, clock=lambda: now)

    polled.fake.objects += [deployment("api"), deployment("web"), deployment("old")]
    polled.poll()
    state(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    assert "gone" not in dict(polled.live())  # it was of before the poll
    polled.poll()
    state(polled.ledger.clock.timestamp())
    assert polled.live()[-2:] == [("gone", "old"), ("gone", "web")]
    polled.fake.objects = [one for one in polled.fake.objects if one["metadata"]["name"] != "old"]
    polled.poll()
    assert polled.live()[-3:] == [("gone", "old"), ("gone", "web"), ("seen", "web")]


def test_another_cluster_under_the_same_name_is_refused(polled: Polled) -> None:
    polled.fake.objects += [deployment("api")]
    polled.poll()
    polled.fake.objects = [kube_system("another")]
    outcome = polled.poll()
    assert "the name prod-eu stands for another cluster" in outcome.failure
    assert "a name of its own" in outcome.hint
    assert "stands for another cluster" in gaps(polled.ledger)[0]
    assert ("gone", "api") not in polled.live()


def test_a_login_that_is_not_accepted_says_what_to_do(polled: Polled) -> None:
    url = yaml.safe_load((polled.folder / "kubeconfig").read_text())["clusters"][0]["cluster"]
    polled.write_config(url["server"], token="stale")
    outcome = polled.poll()
    assert "cluster prod-eu does not accept the login: Unauthorized" in outcome.failure
    assert "renew it in the kubeconfig" in outcome.hint


def test_a_server_that_does_not_answer_is_a_gap(polled: Polled) -> None:
    polled.write_config("http://127.0.0.1:1")
    outcome = polled.poll()
    assert "cluster prod-eu cannot be reached" in outcome.failure
    assert len(gaps(polled.ledger)) == 1


def test_a_server_that_answers_nonsense_is_a_gap(polled: Polled) -> None:
    polled.fake.answer = lambda *_: (200, b"<html>login here</html>")  # type: ignore[method-assign]
    assert "with what is no JSON" in polled.poll().failure
    polled.fake.answer = lambda *_: (200, [1])  # type: ignore[method-assign]
    assert "with no object" in polled.poll().failure
    polled.fake.answer = lambda *_: (500, b"")  # type: ignore[method-assign]
    assert "status 500" in polled.poll().failure


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (None, "not found"),
        ("", "cannot be used"),
        ("a: [", "cannot be used"),
        ("clusters: []\ncontexts: []\ncurrent-context: x\n", "Context 'x' not found"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_so(
    polled: Polled, config: str | None, reason: str
) -> None:
    path = polled.folder / "kubeconfig"
    path.unlink() if config is None else path.write_text(config)
    outcome = polled.poll()
    assert outcome.failure.startswith("cluster prod-eu: ")
    assert reason in outcome.failure
    assert "kubeconfig" in outcome.hint


def test_a_source_without_a_cluster_says_what_to_add(tmp_path: Path) -> None:
    for kind in ("kubernetes", "argocd"):
        ledger = make_ledger(tmp_path / kind, SourceSettings(kind=kind, name="eu"))
        [outcome] = ledger.ingest()
        assert "names no cluster" in outcome.failure
        assert 'cluster = "NAME"' in outcome.hint


# -- polling applications ------------------------------------------------------------------------


def shop(path: str = "apps/shop", syncs: int = 1, uid: str = "u1") -> Json:
    source = {"repoURL": "https://github.com/acme/infra", "path": path, "targetRevision": "main"}
    history = [
        {
            "id": number,
            "revision": "a" * 40,
            "source": {**source, "path": "apps/shop"},
            "deployStartedAt": f"2024-01-02T00:0{number}:00Z",
            "deployedAt": f"2024-01-02T00:0{number}:05Z",
        }
        for number in range(syncs)
    ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": "shop",
            "namespace": "argocd",
            "uid": uid,
            "creationTimestamp": "2024-01-01T00:00:00Z",
        },
        "spec": {"source": source, "destination": {"namespace": "shop"}},
        "status": {"history": history},
    }


def test_polled_applications_appear_change_and_go(polled_anywhere: Polled) -> None:
    polled, fake = polled_anywhere, polled_anywhere.fake
    assert polled.poll("argo").failure == ""
    fake.objects.append(shop())
    polled.poll("argo")
    assert polled.poll("argo").appended == 0
    fake.objects[-1] = shop("apps/other", 3)
    polled.poll("argo")
    fake.objects.pop()
    polled.poll("argo")
    assert polled.poll("argo").appended == 0
    fake.objects.append(shop(uid="u2"))
    polled.poll("argo")
    changes = polled.ledger.rows(
        "select action, fields, path, uid from application_changes order by observed_at"
    )
    assert changes == [
        ("created", "", "apps/shop", "u1"),
        ("changed", "sources", "apps/other", "u1"),
        ("deleted", "", "", "u1"),
        ("created", "", "apps/shop", "u2"),
    ]
    assert len(polled.ledger.events(SyncApplied)) == 4
    [row] = polled.ledger.rows("select present, uid, syncs from applications")
    assert row == (1, "u2", 4)


def test_a_poll_finds_that_a_file_was_of_another_cluster(polled: Polled) -> None:
    def born(uid: str, year: int) -> Json:
        one = shop()
        one["metadata"] |= {"uid": uid, "creationTimestamp": f"{year}-01-01T00:00:00Z"}
        return one

    polled.fake.objects.append(born("polled", 2020))
    polled.poll("argo")
    file = polled.folder / "app.json"
    file.write_text(json.dumps(born("handed over", 2021)))
    seconds = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
    os.utime(file, (seconds, seconds))
    given = Import(files=[file], cluster="prod-eu")
    import_files(polled.ledger.settings, "argocd", given, clock=lambda: polled.ledger.now)
    polled.poll("argo")
    [gap] = [one for one in gaps(polled.ledger) if "two clusters" in one]
    assert "uid polled" in gap
    polled.poll("argo")
    assert len([one for one in gaps(polled.ledger) if "two clusters" in one]) == 1


def test_an_application_is_gone_only_after_a_whole_listing(polled: Polled) -> None:
    polled.fake.objects.append(shop())
    polled.poll("argo")
    polled.fake.refused = {"applications"}
    polled.fake.objects.pop()
    assert "applications.argoproj.io may not be read" in polled.poll("argo").failure
    assert polled.ledger.events(ApplicationDeleted) == []
    polled.fake.refused = set()
    polled.poll("argo")
    assert len(polled.ledger.events(ApplicationDeleted)) == 1


def test_an_application_known_from_a_file_is_missed_by_a_poll(polled: Polled) -> None:
    file = polled.folder / "shop.json"
    file.write_text(json.dumps(shop()))
    os.utime(file, (1_704_200_000, 1_704_200_000))
    given = Import(files=[file], cluster="prod-eu")
    import_files(polled.ledger.settings, "argocd", given, clock=lambda: "2025-01-01T00:00:30Z")
    assert len(polled.ledger.events(ApplicationCreated)) == 1
    polled.poll("argo")
    assert len(polled.ledger.events(ApplicationDeleted)) == 1


def test_a_cluster_without_argo_cd_says_so(polled: Polled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RESOURCES, ("argoproj.io", "v1alpha1"))
    outcome = polled.poll("argo")
    assert "does not serve applications.argoproj.io" in outcome.failure
    assert "Is Argo CD installed there" in outcome.hint
