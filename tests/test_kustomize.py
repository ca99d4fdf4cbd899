"""What comes out of a directory: held against kustomize itself where kubectl brings it, and by rule.

The oracle is `kubectl kustomize`, over made-up trees of many features and over real ones. Skipped where
there is no kubectl.
"""

from __future__ import annotations

import base64
import copy
import json
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from ledger import fields, registry
from ledger.kustomize.applications import overlay
from ledger.kustomize.rendering import render
from ledger.kustomize.results import Effective, Overlay, Rendered
from ledger.kustomize.trees import Input
from ledger.parsers import choose, parse
from ledger.resources import Resource

Body = dict[str, Any]
PARSERS = registry.parsers()
KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl, the oracle, is not installed")


class Tree:
    """Files by their paths, as a rendering reads them."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self.files = {
            path: text.encode() if isinstance(text, str) else text for path, text in files.items()
        }
        self._known: dict[str, list[Resource]] = {}

    def documents(self, path: str) -> Sequence[Resource] | None:
        if path not in self.files:
            return None
        if path not in self._known:
            parser = choose(PARSERS, path)
            self._known[path] = list(parse(parser, path, self.files[path]))
        return self._known[path]

    def listing(self, directory: str) -> Sequence[str]:
        inside = [path for path in self.files if path.rpartition("/")[0] == directory]
        return sorted(path for path in inside if path.endswith((".yaml", ".yml", ".json")))

    def below(self, directory: str) -> Sequence[str]:
        above = {path.rpartition("/")[0] for path in self.files}
        start = f"{directory}/" if directory else ""
        return sorted(one for one in above if one.startswith(start) and one != directory)


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, _: Any) -> bool:
        return True


def dump(*bodies: Any) -> str:
    return str(yaml.dump_all(bodies, Dumper=_NoAliases, sort_keys=False))


def workload(
    kind: str = "Deployment", name: str = "api", image: str = "x/api:v1", **spec: Any
) -> Body:
    pod = {"containers": [{"name": "api", "image": image}]}
    template = {"metadata": {"labels": {"app": "api"}}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": "api"}}, "template": template, **spec},
    }


def thing(kind: str, name: str, group: str = "v1", **body: Any) -> Body:
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name}, **body}


def built(*bodies: Body, **kustomization: Any) -> Rendered:
    """What one kustomization makes of documents in one file."""
    kustomization = {"resources": ["all.yaml"], **kustomization}
    files = {"k/all.yaml": dump(*bodies), "k/kustomization.yaml": dump(kustomization)}
    return render("k", Tree(files))


def one(rendered: Rendered, kind: str = "") -> Effective:
    found = [each for each in rendered.resources if kind in ("", each.kind)]
    assert len(found) == 1, found
    return found[0]


def at(effective: Effective, field: str) -> Any:
    return fields.at(effective.body, field)


IMAGE = "spec.template.spec.containers[name=api].image"


# -- what is decided, and by what ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "told", "becomes"),
    [
        ("x/api:v1", {"newTag": "v2"}, "x/api:v2"),
        ("x/api", {"newTag": "v2"}, "x/api:v2"),
        ("x/api@sha256:aa", {"newTag": "v2"}, "x/api:v2"),
        ("x/api:v1", {"newName": "y/api"}, "y/api:v1"),
        ("x/api:v1", {"digest": "sha256:bb"}, "x/api@sha256:bb"),
        ("x/api:v1", {"newName": "n/m", "newTag": "v2", "digest": "sha256:bb"}, "n/m:v2@sha256:bb"),
        ("host:5000/x/api:v1", {"newTag": "v2"}, "host:5000/x/api:v1"),
        ("x/api-more:v1", {"newTag": "v2"}, "x/api-more:v1"),
        ("x/api:v1", {"newTag": 2}, "x/api:2"),
    ],
)
def test_images_take_new_names_tags_and_digests(image: str, told: Body, becomes: str) -> None:
    found = one(built(workload(image=image), images=[{"name": "x/api", **told}]))
    assert at(found, IMAGE) == becomes
    inputs = found.inputs(IMAGE)
    if becomes == image:
        assert inputs == (Input("k/all.yaml", IMAGE),)
    else:
        assert inputs[0].path == "k/kustomization.yaml"
        assert inputs[0].field.startswith("images[name=x/api].")
        replaced = "newName" in told and len(told) > 1
        assert (Input("k/all.yaml", IMAGE) in inputs) is not replaced


def test_every_level_of_overlays_that_had_a_part_in_a_field_is_named() -> None:
    files = {
        "base/all.yaml": dump(workload()),
        "base/kustomization.yaml": dump(
            {"resources": ["all.yaml"], "images": [{"name": "x/api", "newName": "n/m"}]}
        ),
        "prod/kustomization.yaml": dump(
            {"resources": ["../base"], "images": [{"name": "n/m", "newTag": "v9"}]}
        ),
    }
    found = one(render("prod", Tree(files)))
    assert at(found, IMAGE) == "n/m:v9"
    assert found.inputs(IMAGE) == (
        Input("prod/kustomization.yaml", "images[name=n/m].newTag"),
        Input("base/kustomization.yaml", "images[name=x/api].newName"),
        Input("base/all.yaml", IMAGE),
    )
    assert found.included == (
        Input("prod/kustomization.yaml", "resources[0]"),
        Input("base/kustomization.yaml", "resources[0]"),
    )


def test_a_namespace_is_set_where_there_can_be_one_and_subjects_follow() -> None:
    binding = thing(
        "ClusterRoleBinding",
        "b",
        "rbac.authorization.k8s.io/v1",
        roleRef={"kind": "ClusterRole", "name": "r"},
        subjects=[
            {"kind": "ServiceAccount", "name": "api"},
            {"kind": "ServiceAccount", "name": "other", "namespace": "else"},
            {"kind": "ServiceAccount", "name": "default"},
            {"kind": "User", "name": "ann"},
        ],
    )
    rendered = built(
        binding,
        thing("ServiceAccount", "api"),
        thing("Namespace", "old"),
        thing("ClusterRole", "r", "rbac.authorization.k8s.io/v1"),
        thing("Widget", "w", "example.com/v1"),
        namespace="team",
    )
    found = {each.kind: each for each in rendered.resources}
    assert {kind: each.namespace for kind, each in found.items()} == {
        "ClusterRoleBinding": "", "ServiceAccount": "team", "Namespace": "", "ClusterRole": "",
        "Widget": "team",
    }  # fmt: skip
    assert found["Namespace"].name == "team"
    subjects = [each.get("namespace") for each in at(found["ClusterRoleBinding"], "subjects")]
    assert subjects == ["team", "else", "team", None]
    assert found["Widget"].inputs("metadata.namespace") == (
        Input("k/kustomization.yaml", "namespace"),
    )


def test_prefix_and_suffix_change_names_and_what_refers_to_them() -> None:
    deployment = workload()
    deployment["spec"]["template"]["spec"]["volumes"] = [
        {"name": "v", "configMap": {"name": "conf"}}
    ]
    scaler = thing(
        "HorizontalPodAutoscaler", "api", "autoscaling/v2",
        spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}},
    )  # fmt: skip
    rendered = built(
        deployment, scaler, thing("ConfigMap", "conf"), thing("Namespace", "one"),
        namePrefix="p-", nameSuffix="-s",
    )  # fmt: skip
    found = {each.kind: each for each in rendered.resources}
    assert {each.name for each in rendered.resources} == {"p-api-s", "p-conf-s", "one"}
    assert (
        at(found["Deployment"], "spec.template.spec.volumes[name=v].configMap.name") == "p-conf-s"
    )
    assert at(found["HorizontalPodAutoscaler"], "spec.scaleTargetRef.name") == "p-api-s"
    assert found["ConfigMap"].inputs("metadata.name") == (
        Input("k/kustomization.yaml", "nameSuffix"),
        Input("k/kustomization.yaml", "namePrefix"),
        Input("k/all.yaml", "metadata.name"),
    )


def test_replicas_find_their_workload_by_the_name_that_it_had() -> None:
    found = one(built(workload(), namePrefix="p-", replicas=[{"name": "api", "count": 5}]))
    assert (found.name, at(found, "spec.replicas")) == ("p-api", 5)
    assert found.inputs("spec.replicas") == (
        Input("k/kustomization.yaml", "replicas[name=api].count"),
    )


def test_a_patch_merges_lists_by_key_deletes_and_replaces() -> None:
    deployment = workload(replicas=1)
    pod = deployment["spec"]["template"]["spec"]
    pod["containers"].append({"name": "side", "image": "side"})
    pod["containers"][0]["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    pod["tolerations"] = [{"key": "a"}]
    patch = workload()
    patch["spec"] = {
        "replicas": None,
        "template": {
            "spec": {
                "containers": [
                    {"name": "side", "$patch": "delete"},
                    {
                        "name": "api",
                        "env": [{"name": "A", "value": "9"}, {"name": "C", "value": "3"}],
                    },
                ],
                "tolerations": [{"key": "b"}],
            }
        },
    }
    files = {
        "k/all.yaml": dump(deployment),
        "k/p.yaml": dump(patch),
        "k/kustomization.yaml": dump({"resources": ["all.yaml"], "patches": [{"path": "p.yaml"}]}),
    }
    found = one(render("k", Tree(files)))
    spec = at(found, "spec.template.spec")
    assert [each["name"] for each in spec["containers"]] == ["api"]
    assert {each["name"]: each["value"] for each in spec["containers"][0]["env"]} == {
        "A": "9", "B": "2", "C": "3",
    }  # fmt: skip
    assert spec["tolerations"] == [{"key": "b"}]
    assert "replicas" not in found.body["spec"]  # type: ignore[index, operator, call-overload]
    value = "spec.template.spec.containers[name=api].env[name=A].value"
    own = Input("k/kustomization.yaml", "patches[0].path")
    assert found.inputs(value) == (Input("k/p.yaml", value), own)
    assert found.inputs(value.replace("=A", "=B")) == (
        Input("k/all.yaml", value.replace("=A", "=B")),
    )
    assert found.removed["spec.replicas"] == (Input("k/p.yaml", "spec.replicas"), own)
    assert "spec.template.spec.containers[name=side]" in found.removed


def test_a_patch_may_remove_the_whole_object() -> None:
    patch = dump({**thing("ConfigMap", "a"), "$patch": "delete"})
    rendered = built(thing("ConfigMap", "a"), thing("ConfigMap", "b"), patches=[{"patch": patch}])
    assert one(rendered).name == "b"


def test_json_patches_apply_to_what_their_target_selects() -> None:
    operations = dump(
        [
            {"op": "add", "path": "/metadata/annotations/a~1b", "value": "1"},
            {"op": "replace", "path": "/spec/replicas", "value": 3},
        ]
    )
    rendered = built(
        workload(replicas=1), workload(name="api-two", replicas=1), workload(name="web", replicas=1),
        patches=[{"patch": operations, "target": {"kind": "Deployment", "name": "api.*"}}],
    )  # fmt: skip
    found = {each.name: each for each in rendered.resources}
    assert {name: at(each, "spec.replicas") for name, each in found.items()} == {
        "api": 3, "api-two": 3, "web": 1,
    }  # fmt: skip
    assert at(found["api"], 'metadata.annotations["a/b"]') == "1"
    assert found["api"].inputs("spec.replicas") == (
        Input("k/kustomization.yaml", "patches[0].patch"),
    )


def test_custom_resources_have_their_lists_replaced() -> None:
    widget = thing("Widget", "w", "e.x/v1", spec={"items": [{"name": "a"}], "keep": 1})
    patch = dump(thing("Widget", "w", "e.x/v1", spec={"items": [{"name": "b"}]}))
    found = one(built(widget, patches=[{"patch": patch}]))
    assert at(found, "spec") == {"items": [{"name": "b"}], "keep": 1}


def test_a_component_works_on_everything_that_was_taken_in() -> None:
    files = {
        "all.yaml": dump(workload()),
        "component/kustomization.yaml": dump(
            {
                "kind": "Component",
                "apiVersion": "kustomize.config.k8s.io/v1alpha1",
                "commonAnnotations": {"a": "b"},
            }
        ),
        "kustomization.yaml": dump({"resources": ["all.yaml"], "components": ["component"]}),
    }
    found = one(render("", Tree(files)))
    assert at(found, "metadata.annotations.a") == "b"
    assert found.inputs("metadata.annotations.a") == (
        Input("component/kustomization.yaml", "commonAnnotations.a"),
    )


def test_generated_objects_have_an_open_name_and_known_literals() -> None:
    rendered = built(
        workload(),
        configMapGenerator=[
            {"name": "conf", "literals": ["a=1", 'b="2"']},
            {"name": "files", "files": ["x.txt"]},
            {"name": "plain", "options": {"disableNameSuffixHash": True}},
        ],
    )
    found = {each.name: each for each in rendered.resources}
    assert "metadata.name" in found["conf"].open
    assert at(found["conf"], "data") == {"a": "1", "b": "2"}
    assert found["conf"].number == -1
    assert found["files"].unknown == ("binaryData", "data")
    assert "metadata.name" not in found["plain"].open


def test_a_reference_to_a_generated_object_is_open_too() -> None:
    deployment = workload()
    deployment["spec"]["template"]["spec"]["volumes"] = [
        {"name": "v", "configMap": {"name": "conf"}}
    ]
    found = one(built(deployment, configMapGenerator=[{"name": "conf"}]), "Deployment")
    assert found.open == {"spec.template.spec.volumes[name=v].configMap.name"}


# -- what is not followed --------------------------------------------------------------------------


def test_what_is_not_read_is_named() -> None:
    rendered = built(
        thing("ConfigMap", "a"),
        resources=["all.yaml", "https://e.x/base?ref=v1", "gone.yaml", "../../out"],
        helmCharts=[{"name": "c"}],
        replacements=[{"path": "r.yaml"}],
        patches=[{"path": "p.yaml"}, {"patch": "a: [", "target": {"kind": "ConfigMap"}}],
    )
    assert one(rendered).name == "a"
    told = {(each.kind, each.what.partition(": ")[0]) for each in rendered.unread}
    assert told == {
        ("remote", "https://e.x/base?ref=v1"),
        ("remote", "../../out"),
        ("missing", "gone.yaml"),
        ("missing", "p.yaml"),
        ("unsupported", "helmCharts"),
        ("unsupported", "replacements"),
        ("unreadable", "patches[1].patch"),
    }
    assert {"k/gone.yaml", "k/p.yaml"} <= rendered.read


@pytest.mark.parametrize(
    "files",
    [
        {"a/kustomization.yaml": dump({"resources": ["../a"]})},
        {
            "a/kustomization.yaml": dump({"resources": ["../b"]}),
            "b/kustomization.yaml": dump({"resources": ["../a"]}),
        },
        {"a/kustomization.yaml": dump({"components": ["."]})},
    ],
)
def test_cycles_end(files: dict[str, str]) -> None:
    rendered = render("a", Tree(files))
    assert rendered.resources == []
    assert [each.kind for each in rendered.unread] == ["conflict"]


def test_a_chain_that_is_too_deep_ends() -> None:
    files = {
        f"{number}/kustomization.yaml": dump({"resources": [f"../{number + 1}"]})
        for number in range(200)
    }
    assert [each.kind for each in render("0", Tree(files)).unread] == ["limit"]


def test_what_multiplies_is_bounded_in_time_and_named() -> None:
    """Every level takes in the one below twice: 2^30 objects, if it were followed to the end."""
    files = {
        "0/kustomization.yaml": dump({"resources": ["x.yaml"]}),
        "0/x.yaml": dump(thing("ConfigMap", "c")),
    }
    for number in range(1, 31):
        entries = [f"../{number - 1}", f"../{number - 1}/."]
        files[f"{number}/kustomization.yaml"] = dump({"resources": entries, "namePrefix": "p"})
    start = time.perf_counter()
    rendered = render("30", Tree(files))
    assert time.perf_counter() - start < 20
    assert "limit" in {each.kind for each in rendered.unread}


@pytest.mark.parametrize(
    "name", ["(a+)+$", "(a|aa)*b", "a{1,9}{1,9}", "(?=a)a", r"\d+", ".*.*.*.*.*x"]
)
def test_expressions_that_may_take_for_ever_are_not_evaluated(name: str) -> None:
    rendered = built(
        thing("ConfigMap", "a" * 200),
        patches=[{"patch": "- {op: remove, path: /data}", "target": {"name": name}}],
    )
    assert [each.kind for each in rendered.unread] == ["unsupported"]


@pytest.mark.parametrize(
    "kustomization",
    [
        [], "x", 7, {"resources": {"a": 1}}, {"images": [{"name": 1}, {"name": "x/api", "newTag": [1]}]},
        {"patches": [{"patch": "[1, 2]", "target": {"kind": "Deployment"}}]},
        {"patches": [{"patch": '[{"op": "add", "path": "/spec/template/x/y/z", "value": 1}]', "target": {}}]},
        {"patches": [{"patch": '[{"op": "move", "from": "/spec", "path": "/spec/a"}]', "target": {}}]},
        {"patches": [{"patch": '[{"op": "copy", "from": "", "path": "/a"}]', "target": {}}]},
        {"patches": [{"patch": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: 7\n"}]},
        {"patches": [{"patch": "apiVersion: apps/v1\nkind: Deployment\nmetadata: [1]\n"}]},
        {"labels": [{"pairs": 1}, {"pairs": {"a": [1]}, "fields": [{"path": "a/b[]/c", "create": True}]}]},
        {"commonLabels": {"a": None}, "commonAnnotations": {"b": {}}},
        {"replicas": [{"name": "api", "count": {}}]},
        {"configMapGenerator": [{"literals": ["=x", "y"]}, {}, {"name": 3}]},
        {"namespace": "\u202e" * 300, "namePrefix": "\x00"},
    ],
)  # fmt: skip
def test_any_kustomization_gives_an_answer(kustomization: Any) -> None:
    if isinstance(kustomization, dict):
        kustomization = {"resources": ["all.yaml"], **kustomization}
    files = {
        "all.yaml": dump(workload(replicas=1)),
        "kustomization.yaml": json.dumps(kustomization),
    }
    for each in render("", Tree(files)).resources:
        assert json.loads(json.dumps(each.body)) == each.body


# -- directories without a kustomization, and applications -----------------------------------------


def test_without_a_kustomization_every_manifest_counts() -> None:
    files = {
        "d/a.yaml": dump(thing("ConfigMap", "a"), thing("ConfigMap", "b")),
        "d/note.yaml": "just: text\n",
        "d/c.json": json.dumps(thing("ConfigMap", "c")),
        "d/sub/e.yaml": dump(thing("ConfigMap", "e")),
        "d/broken.yaml": "a: [\n",
    }
    rendered = render("d", Tree(files))
    assert [each.name for each in rendered.resources] == ["a", "b", "c"]
    assert [each.kind for each in rendered.unread] == ["unreadable"]
    assert rendered.listed == {"d"}
    assert all(not each.decided for each in rendered.resources)
    assert len(render("d", Tree(files), recurse=True).resources) == 4


def test_a_chart_is_not_read() -> None:
    files = {
        "d/Chart.yaml": "apiVersion: v2\nname: c\nversion: '1'\n",
        "d/x.yaml": dump(thing("ConfigMap", "a")),
    }
    rendered = render("d", Tree(files))
    assert (rendered.resources, rendered.unread[0].what) == ([], "a Helm chart")


def test_what_an_application_sets_comes_last_and_is_named() -> None:
    told: Any = {
        "images": ["x/api=y/api:v7", "z@sha256:aa"],
        "namePrefix": "p-",
        "replicas": [{"name": "api", "count": "4"}],
        "commonLabels": {"l": "1"},
    }
    files = {
        "d/all.yaml": dump(workload(), thing("ClusterRole", "r", "rbac.authorization.k8s.io/v1"))
    }
    over = Overlay("application argocd/shop", overlay(told), "team")
    found = one(render("d", Tree(files), overlay=over), "Deployment")
    assert (found.name, found.namespace) == ("p-api", "team")
    assert (at(found, IMAGE), at(found, "spec.replicas")) == ("y/api:v7", 4)
    assert found.inputs(IMAGE)[0].path == "application argocd/shop"
    assert found.inputs("metadata.namespace") == (
        Input("application argocd/shop", "spec.destination.namespace"),
    )


# -- kustomize itself ------------------------------------------------------------------------------


def kustomized(folder: Path) -> list[Body] | str:
    """What kustomize makes of a directory, or what it says against it."""
    assert KUBECTL is not None
    done = subprocess.run(
        [KUBECTL, "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        return done.stderr
    return [each for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if each]


def differences(rendered: Rendered, theirs: list[Body]) -> list[str]:
    """Where a rendering is not what kustomize made."""
    found: list[str] = []
    left = {_called(body): body for body in theirs}
    for each in rendered.resources:
        name = (str(each.body["apiVersion"]), each.kind, each.namespace, each.name)  # type: ignore[index, call-overload]
        if "metadata.name" in each.open:
            hashed = re.compile(re.escape(each.name) + "-[a-z0-9]{10}")
            alike = [key for key in left if key[:3] == name[:3] and hashed.fullmatch(key[3])]
            name = alike[0] if len(alike) == 1 else name
        if name not in left:
            found.append(f"only ours: {name}")
            continue
        found += [f"{name}: {told}" for told in _apart(each, left.pop(name))]
    return found + [f"only theirs: {name}" for name in left]


def _called(body: Body) -> tuple[str, str, str, str]:
    metadata = body["metadata"]
    namespace = metadata.get("namespace", "")
    if body["kind"].startswith("ValidatingAdmissionPolicy"):
        namespace = (
            metadata.pop("namespace", "") and ""
        )  # kustomize 5.5 does not know that it has none
    return body["apiVersion"], body["kind"], namespace, metadata["name"]


def _apart(ours: Effective, theirs: Body) -> Iterator[str]:
    mine, other = copy.deepcopy(ours.body), json.loads(json.dumps(theirs, default=str))
    assert isinstance(mine, dict)
    for name in ours.unknown:
        mine.pop(name, None)
        other.pop(name, None)
    if ours.kind == "Secret" and ours.number < 0 and "data" in other:
        # Literals of secrets are tokens of the decoded value in the ledger.
        other["data"] = {
            key: base64.b64decode(value).decode() for key, value in other["data"].items()
        }
    for row in fields.diff(mine, other) or ():
        open_ = row.field in ours.open and str(row.new).startswith(f"{row.old}-")
        word = isinstance(row.old, bool) and row.new in ("yes", "no", "on", "off")
        if not open_ and not word:
            yield f"{row.action} {row.field}: {row.old!r} {row.new!r}"


class Maker:
    """Makes trees of kustomizations by chance: a base, a component, and an overlay on both."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311
        self.files: dict[str, str] = {}
        self.objects = self._objects()

    def maybe(self, chance: float = 0.4) -> bool:
        return self.rng.random() < chance

    def make(self) -> dict[str, str]:
        self.files["base/all.yaml"] = dump(*self.objects)
        self._write("base/kustomization.yaml", {"resources": ["all.yaml"]}, "base")
        component = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
        self._write("comp/kustomization.yaml", component, "comp")
        top: Body = {"resources": ["../base"]}
        if self.maybe():
            top["components"] = ["../comp"]
        self._write("over/kustomization.yml", top, "over")
        return self.files

    def _write(self, path: str, body: Body, level: str) -> None:
        self._features(body, level)
        self.files[path] = dump(body)

    def _features(self, body: Body, level: str) -> None:
        choose_ = self.rng.choice
        images = [
            choose_([{"name": "nginx", "newTag": "9"}, {"name": "nginx", "newName": "mirror/nginx"},
                     {"name": "nginx", "digest": "sha256:fff"}]),
            choose_([{"name": "quay.io/a/api", "newName": "b", "newTag": "2"},
                     {"name": "quay.io/a/api", "newTag": "2", "digest": "sha256:eee"}]),
            {"name": "localhost:5000/x/y", "newTag": "5"},
        ]  # fmt: skip
        offered: dict[str, Any] = {
            "namespace": choose_(["ns-a", "ns-b"]),
            "namePrefix": choose_(["p-", "q-"]),
            "nameSuffix": "-s",
            "commonLabels": {"cl": level},
            "labels": [
                {"pairs": {f"l{level}": level}, "includeSelectors": self.maybe(0.5)},
                {"pairs": {f"t{level}": level}, "includeTemplates": True},
            ],
            "commonAnnotations": {"ca": level},
            "images": images,
            "configMapGenerator": [
                {"name": f"gen{level.removeprefix('base')}", "literals": ["a=1", 'b="q"']}
            ],
            "secretGenerator": [
                {
                    "name": f"gensec{level.removeprefix('base')}",
                    "literals": ["x=y"],
                    "options": {"labels": {"o": "p"}},
                }
            ],
        }
        if any(each["kind"] == "Deployment" for each in self.objects):
            offered["replicas"] = [{"name": "dep", "count": 5}]
        body.update({name: value for name, value in offered.items() if self.maybe(0.35)})
        if self.maybe(0.2):
            body["generatorOptions"] = {"disableNameSuffixHash": True, "annotations": {"go": "1"}}
        self._patches(body, level)

    def _patches(self, body: Body, level: str) -> None:
        few = self.rng.sample(self.objects, min(len(self.objects), self.rng.randint(0, 3)))
        for number, each in enumerate(few):
            kind, name = each["kind"], each["metadata"]["name"]
            target = {"kind": kind, "name": name}
            file = f"p{number}.yaml"
            way = self.rng.randrange(5)
            group, _, version = each["apiVersion"].rpartition("/")
            if way == 0:
                body.setdefault("patches", []).append({"patch": dump(self._merge(each))})
            elif way == 1:
                wide = self.rng.choice(
                    [target, {"kind": kind}, {"name": name[:1] + ".*", "kind": kind}]
                )
                self.files[f"{level}/{file}"] = dump(self._merge(each))
                body.setdefault("patches", []).append({"path": file, "target": wide})
            elif way == 2:
                body.setdefault("patches", []).append(
                    {"patch": dump(self._operations(each)), "target": target}
                )
            elif way == 3:
                body.setdefault("patchesStrategicMerge", []).append(dump(self._merge(each)))
            else:
                self.files[f"{level}/{file}"] = dump(self._operations(each))
                wanted = {"group": group, "version": version, **target}
                body.setdefault("patchesJson6902", []).append({"path": file, "target": wanted})

    def _merge(self, each: Body) -> Body:
        patch: Body = {"apiVersion": each["apiVersion"], "kind": each["kind"],
                       "metadata": {"name": each["metadata"]["name"]}}  # fmt: skip
        if self.maybe(0.1):
            return {**patch, "$patch": "delete"}
        if self.maybe():
            patch["metadata"]["labels"] = {"patched": "yes-1"}
        by_kind: dict[str, Callable[[], Body]] = {
            "Service": lambda: {
                "spec": {"ports": [{"port": 80, "name": "h2"}, {"port": 8080, "name": "x"}]}
            },
            "Widget": lambda: {"spec": {"items": [{"name": "b", "v": 2}], "new": {}}},
            "NetworkPolicy": lambda: {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}},
            "ClusterRole": lambda: {
                "rules": [{"apiGroups": [""], "resources": ["x"], "verbs": ["*"]}]
            },
            "ConfigMap": lambda: {"data": {"k": None, "j": "w"}},
            "ServiceAccount": lambda: {"imagePullSecrets": [{"name": "other"}]},
        }
        if "template" in each.get("spec", {}) and each["kind"] != "Widget":
            patch["spec"] = self._pod_patch()
        elif each["kind"] in by_kind:
            patch.update(by_kind[each["kind"]]())
        return patch

    def _pod_patch(self) -> Body:
        name = self.rng.choice(["api", "side", "web", "new"])
        container: Body = {"name": name}
        offered: list[tuple[str, Any]] = [
            ("image", "patched:1"),
            ("ports", [{"containerPort": 80, "name": "web"}, {"containerPort": 81}]),
            ("env", [{"name": "A", "value": "2"}, {"name": "C", "value": "3"}]),
            ("args", ["x"]),
            (
                "volumeMounts",
                [{"name": "nn", "mountPath": "/v"}, {"name": "nn", "mountPath": "/n"}],
            ),
            ("resources", {"limits": {"cpu": 1}}),
            ("securityContext", None),
        ]
        container.update({key: value for key, value in offered if self.maybe(0.3)})
        if self.maybe(0.15):
            container = {"name": name, "$patch": "delete"}
        spec: Body = {"containers": [container]}
        more: dict[str, Any] = {
            "volumes": [{"name": "v", "$patch": "delete"}],
            "tolerations": [{"key": "b"}],
            "affinity": self.rng.choice([None, {"$patch": "replace", "nodeAffinity": {"a": 1}}]),
            "topologySpreadConstraints": [
                {"topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 2}
            ],
        }
        spec.update({key: value for key, value in more.items() if self.maybe(0.25)})
        return {"template": {"spec": spec}}

    def _operations(self, each: Body) -> list[Body]:
        found: list[Body] = [{"op": "add", "path": "/metadata/annotations/j~1k", "value": "1"}]
        by_kind: dict[str, list[Body]] = {
            "Deployment": [
                {"op": "replace", "path": "/spec/replicas", "value": 7},
                {
                    "op": "add",
                    "path": "/spec/template/spec/containers/-",
                    "value": {"name": "j", "image": "redis"},
                },
                {
                    "op": "replace",
                    "path": "/spec/template/spec/containers/0/image",
                    "value": "redis:j",
                },
                {
                    "op": "add",
                    "path": "/spec/template/spec/containers/0",
                    "value": {"name": "f", "image": "redis"},
                },
            ],
            "ConfigMap": [{"op": "move", "from": "/data/k", "path": "/data/moved"}],
            "Secret": [
                {"op": "copy", "from": "/data/k", "path": "/data/copied"},
                {"op": "remove", "path": "/data/k"},
            ],
        }
        return found + by_kind.get(each["kind"], [])

    def _pod(self) -> Body:
        images = [
            "nginx:1",
            "quay.io/a/api:v1",
            "quay.io/a/api@sha256:abc",
            "localhost:5000/x/y",
            "redis",
        ]
        names = self.rng.sample(["api", "side", "web"], self.rng.randint(1, 3))
        pod: Body = {
            "containers": [{"name": name, "image": self.rng.choice(images)} for name in names]
        }
        inside: dict[str, Any] = {
            "ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}],
            "env": [{"name": "A", "value": "1"},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}],
            "envFrom": [{"secretRef": {"name": "sec"}}, {"configMapRef": {"name": "gen"}}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "w", "mountPath": "/w"}],
        }  # fmt: skip
        pod["containers"][0].update(
            {key: value for key, value in inside.items() if self.maybe(0.5)}
        )
        projected = [{"secret": {"name": "sec"}}, {"configMap": {"name": "gen"}}]
        term = {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "k"}
        around: dict[str, Any] = {
            "volumes": [
                {"name": "v", "configMap": {"name": "cm"}},
                {"name": "w", "secret": {"secretName": "gensec"}},
                {"name": "p", "projected": {"sources": projected}},
            ],
            "serviceAccountName": "sa",
            "initContainers": [{"name": "init", "image": "nginx:1", "args": ["a", "b"]}],
            "imagePullSecrets": [{"name": "sec"}],
            "tolerations": [{"key": "a", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}},
            "topologySpreadConstraints": [
                {"topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 1,
                 "labelSelector": {"matchLabels": {"app": "x"}}}
            ],
        }  # fmt: skip
        pod.update({key: value for key, value in around.items() if self.maybe()})
        return pod

    def _objects(self) -> list[Body]:
        def template() -> Body:
            return {"metadata": {"labels": {"app": "x"}}, "spec": self._pod()}

        selector = {"matchLabels": {"app": "x"}}
        rbac = "rbac.authorization.k8s.io/v1"
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cr"}
        backend = {"service": {"name": "svc", "port": {"number": 80}}}
        paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
        deployment = {"replicas": 1, "selector": selector, "template": template()}
        claims = [{"metadata": {"name": "d"}, "spec": {}}]
        ports = [{"port": 80, "name": "http"}, {"port": 53, "protocol": "UDP", "name": "dns"}]
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
        account = {"kind": "ServiceAccount", "name": "sa"}
        subjects = [
            {**account, "namespace": "x"},
            {"kind": "ServiceAccount", "name": "default", "namespace": "yy"},
            {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"},
        ]
        scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "dep"}
        peers = [
            {"podSelector": {"matchLabels": {"a": "b"}}},
            {"ipBlock": {"cidr": "10.0.0.0/8"}},
        ]
        widget = {
            "items": [{"name": "a", "v": 1}],
            "containers": [{"name": "z", "image": "nginx:1"}],
            "template": {"spec": {"x": 1}},
        }
        ingress = {
            "ingressClassName": "nginx",
            "tls": [{"hosts": ["h"], "secretName": "sec"}],
            "rules": [{"host": "h", "http": {"paths": paths}}],
        }
        stateful = {**deployment, "serviceName": "svc", "volumeClaimTemplates": claims}
        job = {"template": {"spec": self._pod()}}
        policy = {"podSelector": selector, "ingress": [{"from": peers}]}
        networking = "networking.k8s.io/v1"
        everything = [
            thing("Deployment", "dep", "apps/v1", spec=deployment),
            thing("StatefulSet", "sts", "apps/v1", spec={**stateful, "template": template()}),
            thing("CronJob", "cj", "batch/v1", spec={"jobTemplate": {"spec": job}}),
            thing("Job", "job", "batch/v1", spec=copy.deepcopy(job)),
            thing("Service", "svc", spec={"selector": {"app": "x"}, "ports": ports}),
            thing("ConfigMap", "cm", data={"k": "v"}),
            thing("Secret", "sec", data={"k": "dg=="}),
            thing("ServiceAccount", "sa", imagePullSecrets=[{"name": "sec"}]),
            thing("Namespace", "team"),
            thing("ClusterRole", "cr", rbac, rules=rules),
            thing("ClusterRoleBinding", "crb", rbac, roleRef=role, subjects=subjects),
            thing("RoleBinding", "rb", rbac, roleRef=role, subjects=[account]),
            thing(
                "HorizontalPodAutoscaler", "hpa", "autoscaling/v2", spec={"scaleTargetRef": scaled}
            ),
            thing("NetworkPolicy", "np", networking, spec=policy),
            thing("Ingress", "ing", networking, spec=ingress),
            thing("Widget", "wid", "example.com/v1", spec=widget),
            thing("PodDisruptionBudget", "pdb", "policy/v1", spec={"selector": selector}),
        ]
        return self.rng.sample(everything, self.rng.randint(2, len(everything)))


@needs_kubectl
@pytest.mark.parametrize("seed", range(30))
def test_any_tree_comes_out_as_kustomize_makes_it(tmp_path: Path, seed: int) -> None:
    files = Maker(seed).make()
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    theirs = kustomized(tmp_path / "over")
    rendered = render("over", Tree(files))
    if isinstance(theirs, str):
        return  # it refuses the tree; any answer will do
    assert differences(rendered, theirs) == []


@pytest.mark.parametrize("seed", range(60))
def test_every_field_is_explained_by_inputs_that_are_there(seed: int) -> None:
    """What is not decided stands so in its document; what is leads to a field of a file."""
    tree = Tree(Maker(seed).make())
    for each in render("over", tree).resources:
        documents = tree.documents(each.path) or ()
        own = documents[each.number].body if each.number >= 0 else None
        for leaf, value in fields.leaves(each.body):
            if leaf not in each.decided:
                ((path, field),) = each.inputs(leaf)
                assert (path, fields.at(own, field)) == (each.path, value)
        for inputs in [*each.decided.values(), *each.removed.values(), each.included]:
            for path, field in inputs:
                bodies = [one.body for one in tree.documents(path) or ()]
                if field and bodies != [own]:
                    assert any(_leads(body, field) for body in bodies), (path, field)


def _leads(body: Any, field: str) -> bool:
    try:
        fields.at(body, field)
    except KeyError:
        return False
    return True


@pytest.fixture(scope="session")
def real(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the real repository."""
    folder = tmp_path_factory.mktemp("real") / "infra"
    bundle = corpus / "data" / "infra-deployments.bundle"
    clone = ["git", "clone", "--quiet", "--single-branch", str(bundle), str(folder)]
    subprocess.run(clone, check=True, capture_output=True)
    return folder


@needs_kubectl
@pytest.mark.slow
def test_real_directories_come_out_as_kustomize_makes_them(real: Path) -> None:
    """A sample of them; where something is not read, or kustomize refuses, we say so, too."""
    everything = sorted(
        str(path.parent.relative_to(real)) for path in real.rglob("kustomization.yaml")
    )
    files = _Checkout(real)
    compared = 0
    for directory in random.Random(1).sample(everything, 120):  # noqa: S311
        rendered = render(directory, files)
        if any(each.kind in ("remote", "unsupported") for each in rendered.unread):
            continue
        theirs = kustomized(real / directory)
        if isinstance(theirs, str):
            assert rendered.unread, (directory, theirs)
            continue
        assert differences(rendered, theirs) == [], directory
        compared += 1
    assert compared > 60


class _Checkout(Tree):
    def __init__(self, folder: Path) -> None:
        super().__init__({})
        self._folder = folder
        self.documents = cache(self._documents_of)  # type: ignore[method-assign]

    def _documents_of(self, path: str) -> Sequence[Resource] | None:
        file = self._folder / path
        return (
            list(parse(choose(PARSERS, path), path, file.read_bytes())) if file.is_file() else None
        )
