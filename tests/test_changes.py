"""Who changed which field of which resource: held against what plain Git says of every two trees.

The oracle reads trees with `git ls-tree` and `git cat-file`, parses whole files with the parsers'
public contract, and never looks at a digest, a cache, a projection or a shortcut of the product.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ledger import fields, registry
from ledger.config import EnvironmentSettings
from ledger.errors import NotFoundError
from ledger.events import CommitObserved, EnvironmentMapped
from ledger.fields import parse_path
from ledger.moves import MAX_CANDIDATES, Document, pair_moves
from ledger.parsers import choose, parse
from ledger.queries import Asker, ResourceName, Scope
from ledger.resources import FIELDS, LINES
from ledger.testing import (
    Entry,
    Ledger,
    Repo,
    executable,
    link,
    make_ledger,
    make_repo,
    submodule,
    track,
)
from ledger.verify import Verifier, verify_source

Address = tuple[str, str, str, str, str, int]  # path, group, kind, namespace, name, ordinal


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """An empty repository."""
    return make_repo(tmp_path / "infra.git")


@pytest.fixture
def ledger(tmp_path: Path, repo: Repo) -> Ledger:
    return make_ledger(tmp_path / "ledger", track(repo))


def manifest(name: str, kind: str = "Deployment", group: str = "apps/v1", **spec: Any) -> str:
    """A manifest as text."""
    body = {"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": spec}
    return str(yaml.safe_dump(body, sort_keys=False))


# -- the oracle ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Declared:
    """A document as it stands in a tree."""

    body: Any
    syntax: str


PARSERS = registry.parsers()


class Oracle:
    """What stands in the trees of a repository's commits."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._parsed: dict[tuple[str, bytes], list[tuple[Address, Declared]]] = {}
        self._trees: dict[str, dict[Address, Declared]] = {}

    def at(self, commit: str) -> dict[Address, Declared]:
        """Every document of a commit's tree."""
        if commit not in self._trees:
            found: dict[Address, Declared] = {}
            for path, (mode, oid, blob) in self._repo.files(commit).items():
                found.update(self._file(path.decode(), mode, oid, blob))
            self._trees[commit] = found
        return self._trees[commit]

    def _file(self, path: str, mode: str, oid: str, blob: bytes) -> list[tuple[Address, Declared]]:
        if mode == "160000":
            return [((path, "", "Submodule", "", path, 0), Declared({"content": oid}, FIELDS))]
        if mode == "120000":
            body = {"target": blob.decode()}
            return [((path, "", "Symlink", "", path, 0), Declared(body, FIELDS))]
        if b"\0" in blob:
            body = {"content": "sha256:" + hashlib.sha256(blob).hexdigest()}
            return [((path, "", "Binary", "", path, 0), Declared(body, FIELDS))]
        if (path, blob) not in self._parsed:
            self._parsed[path, blob] = list(self._documents(path, blob))
        return self._parsed[path, blob]

    @staticmethod
    def _documents(path: str, blob: bytes) -> Iterator[tuple[Address, Declared]]:
        counts: Counter[tuple[str, ...]] = Counter()
        for one in parse(choose(PARSERS, path), path, blob):
            name = (one.api_group, one.kind, one.namespace, one.name)
            address = (path, *name, counts[name])
            counts[name] += 1
            yield address, Declared(one.body, one.syntax)


# -- applying rows, without the product's own reading of lists ---------------------------------------


@dataclass
class Leaf:
    """A scalar or an empty container, and who set it."""

    value: Any
    by: Any


@dataclass
class Node:
    """A mapping or a list of leaves and nodes; `by` counts once it is empty."""

    parts: dict[str, Any] | list[Any]
    by: Any


def wrapped(value: Any, by: Any) -> Leaf | Node:
    if isinstance(value, dict):
        return Node({key: wrapped(item, by) for key, item in value.items()}, by)
    if isinstance(value, list):
        return Node([wrapped(item, by) for item in value], by)
    return Leaf(value, by)


def plain(node: Leaf | Node) -> Any:
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node.parts, dict):
        return {key: plain(part) for key, part in node.parts.items()}
    return [plain(part) for part in node.parts]


def as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value) if isinstance(value, str | int) else None


def place_of(items: list[Any], segment: Any) -> int:
    """The index of the item that a segment names; -1 where there is none."""
    if isinstance(segment, int):
        return segment
    defaults = {"protocol": "TCP", "namespace": ""}
    for index, item in enumerate(items):
        body = plain(item)
        if all(as_text(body.get(key, defaults.get(key))) == text for key, text in segment):
            return index
    return -1


def inner(node: Leaf | Node, segment: Any) -> Leaf | Node:
    assert isinstance(node, Node)
    if isinstance(node.parts, dict):
        return node.parts[segment]  # type: ignore[no-any-return]
    return node.parts[place_of(node.parts, segment)]  # type: ignore[no-any-return]


Row = tuple[str, str, Any, Any]


def applied(node: Leaf | Node | None, rows: Sequence[Row], by: Any, *, lines: bool) -> Leaf | Node:
    """The document after some rows (field, action, old, new), each part tagged with who set it."""
    if any(row[0] == "" for row in rows):
        assert len(rows) == 1
        return wrapped(rows[0][3], by)
    assert node is not None
    todo: list[tuple[list[Any], str, Any]] = []
    for text, action, _, new in rows:
        path: list[Any] = list(parse_path(text))
        if lines:
            path = [path[1] - 1]
        todo.append((path, action, new))
    # Outer lists first; in one list what went by its old index, then what came by its new one.
    order = {"removed": 0, "added": 1, "changed": 2}

    def rank(item: tuple[list[Any], str, Any]) -> tuple[int, int, int]:
        path, action, _ = item
        last = path[-1] if isinstance(path[-1], int) else 0
        return len(path), order[action], -last if action == "removed" else last

    for path, action, new in sorted(todo, key=rank):
        above = node
        for segment in path[:-1]:
            above = inner(above, segment)
        assert isinstance(above, Node)
        last, parts = path[-1], above.parts
        above.by = by
        if isinstance(parts, dict):
            if action == "removed":
                del parts[last]
            else:
                assert (action == "added") == (last not in parts)
                parts[last] = wrapped(new, by)
        else:
            at = place_of(parts, last)
            if action == "removed":
                del parts[at]
            elif action == "changed":
                parts[at] = wrapped(new, by)
            else:
                parts.insert(at if isinstance(last, int) else len(parts), wrapped(new, by))
    return node


def alike(one: Any, two: Any) -> bool:
    """Equal but for the order of keys, and of the items of lists of objects."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(alike(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        if all(alike(a, b) for a, b in zip(one, two, strict=True)):
            return True
        if not all(isinstance(item, dict) for item in [*one, *two]):
            return False
        left = list(two)
        for item in one:
            match = next((index for index, other in enumerate(left) if alike(item, other)), -1)
            if match < 0:
                return False
            left.pop(match)
        return True
    return bool(one == two) and isinstance(one, bool) == isinstance(two, bool)


def in_order_of(node: Leaf | Node, body: Any) -> Leaf | Node:
    """The same tagged document with its lists in the order in which they really stand."""
    if isinstance(node, Leaf):
        return Leaf(body, node.by)
    if isinstance(node.parts, dict):
        parts = {key: in_order_of(node.parts[key], body[key]) for key in body}
        return Node(parts, node.by)
    left = list(node.parts)
    found: list[Any] = []
    for item in body:
        match = next(index for index, part in enumerate(left) if alike(plain(part), item))
        found.append(in_order_of(left.pop(match), item))
    return Node(found, node.by)


def tags(node: Leaf | Node) -> Iterator[Any]:
    """Who set each leaf, in the order of `fields.leaves`."""
    parts = node.parts if isinstance(node, Node) else []
    if isinstance(node, Leaf) or not parts:
        yield node.by
    for part in parts.values() if isinstance(parts, dict) else parts:
        yield from tags(part)


# -- random histories --------------------------------------------------------------------------------

FOLDERS = ["", "apps/", "overlays/dev/", "overlays/prod/", "infra/"]
GROUPS = ["apps/v1", "v1", "networking.k8s.io/v1", "extensions/v1beta1"]
KINDS = ["Deployment", "Service", "ConfigMap", "Ingress"]


@dataclass
class File:
    """A file of a made-up repository: documents and how they are written, or any bytes."""

    kind: str
    docs: list[Any] = field(default_factory=list)
    style: int = 0
    raw: str | bytes | Entry = ""

    def render(self) -> str | bytes | Entry:
        if self.kind == "raw":
            return self.raw
        if self.kind == "json":
            return json.dumps(self.docs[0], indent=self.style % 4 or None)
        if self.kind == "tf":
            blank = "\n" * (1 + self.style % 3)
            return blank.join(_block(*doc, wide=self.style % 2) for doc in self.docs)
        if self.kind == "list":
            return _yaml({"apiVersion": "v1", "kind": "List", "items": self.docs}, self.style)
        comment = f"# style {self.style}\n" if self.style % 3 == 1 else ""
        mark = "---\n" if self.style % 2 or not self.docs else ""
        return comment + mark + "---\n".join(_yaml(doc, self.style) for doc in self.docs)


def _yaml(body: Any, style: int) -> str:
    flow = None if style % 5 == 4 else False
    indent = 2 + style % 3
    return str(
        yaml.safe_dump(body, sort_keys=style % 4 == 2, default_flow_style=flow, indent=indent)
    )


def _block(kind: str, name: str, values: dict[str, Any], *, wide: int) -> str:
    lines = [f"  {key}{' ' * wide * 3} = {json.dumps(value)}" for key, value in values.items()]
    return f'resource "{kind}" "{name}" {{\n' + "\n".join(lines) + "\n}\n"


class Story:
    """Makes up a history, commit by commit, the same for the same seed."""

    def __init__(self, repo: Repo, seed: int, *, force: bool = False) -> None:
        self.repo = repo
        self.force = force
        self.rng = random.Random(seed)  # noqa: S311
        self.files: dict[str, File] = {}
        self.snapshots: list[tuple[str, dict[str, File]]] = []
        self.count = 0

    def go(self, steps: int, after: Callable[[], object] = lambda: None) -> Story:
        """Makes some steps; `after` is called after each."""
        for _ in range(steps):
            self.step()
            after()
        return self

    def step(self) -> None:
        rng = self.rng
        if self.force and len(self.snapshots) > 2 and rng.random() < 0.25:
            commit, files = rng.choice(self.snapshots[-4:])
            self.repo.force(commit)
            self.files = deepcopy(files)
            if rng.random() < 0.4:
                return
        if len(self.snapshots) > 1 and rng.random() < 0.2:
            self._merge()
        else:
            before = {path: file.render() for path, file in self.files.items()}
            for _ in range(rng.choice([1, 1, 2, 3])):
                self._edit()
            self.repo.commit(self._delta(before), f"step {self.count}")
        self.count += 1
        self.snapshots.append((self.repo.tip(), deepcopy(self.files)))

    def _delta(self, before: dict[str, Any]) -> dict[str, Any]:
        after = {path: file.render() for path, file in self.files.items()}
        gone: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
        return gone | {path: new for path, new in after.items() if before.get(path) != new}

    def _merge(self) -> None:
        """Two commits on a side branch and their merge; the first parent is sometimes the side."""
        repo, rng = self.repo, self.rng
        old = repo.tip()
        path = f"side/{self.count}.yaml"
        made = File("yaml", [self._document()])
        repo.make_branch("side", old)
        repo.commit({path: made.render()}, "side one", branch="side")
        self._mutate(made.docs[0])
        repo.commit({path: made.render()}, "side two", branch="side")
        note = f"notes/{self.count}.txt"
        self.files[note] = File("raw", raw=f"note {self.count}\n")
        repo.commit({note: self.files[note].render()}, "meanwhile")
        self.files[path] = made
        ours, theirs = repo.tip(), repo.tip("side")
        tree = repo.merged_tree(ours, theirs)
        parents = [theirs, ours] if self.force and rng.random() < 0.5 else [ours, theirs]
        repo.commit(None, "Merge side", parents=parents, tree=tree)

    # one edit

    def _edit(self) -> None:
        rng = self.rng
        edits: list[Callable[[], None]] = [self._add, self._add]
        if self.files:
            edits += [self._change] * 6
            edits += [
                *(self._restyle, self._rename, self._drop, self._copy, self._twin, self._take_out),
                *(self._move_document, self._wrap, self._regroup, self._break, self._oddity),
            ]
        rng.choice(edits)()

    def _path(self, ending: str) -> str:
        folder = self.rng.choice(FOLDERS)
        return f"{folder}{self.rng.choice('abcdef')}{ending}"

    def _document(self) -> dict[str, Any]:
        rng = self.rng
        body: dict[str, Any] = {
            "apiVersion": rng.choice(GROUPS),
            "kind": rng.choice(KINDS),
            "metadata": {"name": rng.choice(["api", "web", "db"])},
            "spec": {
                "replicas": rng.randrange(4),
                "ports": [
                    {"port": port, "name": f"p{port}"} for port in rng.sample([80, 81, 82], 2)
                ],
                "args": [rng.choice("uvw") for _ in range(rng.randrange(4))],
                "on": rng.choice([True, False, None, 1, 1.5, "x"]),
            },
        }
        if rng.random() < 0.5:
            body["metadata"]["namespace"] = rng.choice(["one", "two"])
        return body

    def _add(self) -> None:
        rng = self.rng
        kind = rng.choice(
            ["yaml", "yaml", "yaml", "json", "tf", "list", "raw", "values", "kustomize"]
        )
        if kind == "tf":
            blocks = [
                ("aws_instance", name, {"size": rng.randrange(3)}) for name in rng.sample("xyz", 2)
            ]
            self.files[self._path(".tf")] = File("tf", blocks)
        elif kind == "raw":
            lines = [f"{rng.choice('lmn')}\n" for _ in range(rng.randrange(1, 8))]
            self.files[self._path(".txt")] = File("raw", raw="".join(lines))
        elif kind == "values":
            folder = rng.choice(FOLDERS)
            values = {"image": {"tag": rng.choice("123")}, "env": [{"name": "A", "value": "1"}]}
            self.files[f"{folder}values.yaml"] = File("yaml", [values])
        elif kind == "kustomize":
            body = {"resources": rng.sample(["a.yaml", "b.yaml", "c.yaml"], 2)}
            self.files[f"{rng.choice(FOLDERS)}kustomization.yaml"] = File("yaml", [body])
        elif kind == "json":
            self.files[self._path(".json")] = File("json", [self._document()])
        else:
            docs = [self._document() for _ in range(rng.randrange(1, 4))]
            self.files[self._path(".yaml")] = File(kind, docs)

    def _some(self, *kinds: str) -> tuple[str, File] | None:
        found = [(path, file) for path, file in sorted(self.files.items()) if file.kind in kinds]
        return self.rng.choice(found) if found else None

    def _change(self) -> None:
        rng = self.rng
        chosen = self._some("yaml", "json", "tf", "list", "raw")
        if chosen is None:
            return
        _, file = chosen
        if file.kind == "raw":
            if isinstance(file.raw, str):
                lines = file.raw.splitlines(keepends=True)
                place = rng.randrange(len(lines) + 1)
                lines[place : place + rng.randrange(2)] = [
                    f"{rng.choice('lmno')}\n"
                ] * rng.randrange(3)
                file.raw = "".join(lines)
        elif file.docs:
            doc = rng.choice(file.docs)
            self._mutate(doc[2] if file.kind == "tf" else doc)

    def _mutate(self, body: Any) -> None:
        """Changes one place of a document, deep or shallow."""
        rng = self.rng
        node = body.get("spec", body)
        while True:
            members = list(node.values()) if isinstance(node, dict) else list(node)
            deeper = [one for one in members if isinstance(one, dict | list)]
            if not deeper or rng.random() < 0.4:
                break
            node = rng.choice(deeper)
        value = rng.choice([0, 1, "x", "y", True, None, [], {}, ["u"], {"k": "v"}, 2.5])
        if isinstance(node, dict):
            key = rng.choice([*map(str, node), "new", "other key", "a.b/c"])
            if key in node and rng.random() < 0.3:
                del node[key]
            else:
                node[key] = value
            return
        action = rng.choice(["insert", "remove", "replace", "shuffle"])
        place = rng.randrange(len(node) + 1)
        item = {"name": rng.choice("rst"), "port": rng.randrange(3)} if _objects(node) else value
        if action == "insert" or not node:
            node.insert(place, item)
        elif action == "remove":
            node.pop(place % len(node))
        elif action == "replace":
            node[place % len(node)] = item
        else:
            rng.shuffle(node)

    def _restyle(self) -> None:
        if chosen := self._some("yaml", "json", "tf", "list"):
            chosen[1].style = self.rng.randrange(60)

    def _rename(self) -> None:
        path, file = self.rng.choice(sorted(self.files.items()))
        del self.files[path]
        base = path.rsplit("/", 1)[-1]
        name, dot, ending = base.partition(".")
        if self.rng.random() < 0.4 and name in "abcdef":
            base = self.rng.choice("abcdef") + dot + ending
        if self.rng.random() < 0.3 and file.docs and file.kind == "yaml":
            self._mutate(file.docs[0])
        self.files[self.rng.choice(FOLDERS) + base] = file

    def _drop(self) -> None:
        del self.files[self.rng.choice(sorted(self.files))]

    def _copy(self) -> None:
        path, file = self.rng.choice(sorted(self.files.items()))
        self.files[self.rng.choice(FOLDERS) + path.rsplit("/", 1)[-1]] = deepcopy(file)

    def _twin(self) -> None:
        if (chosen := self._some("yaml", "list", "tf")) and chosen[1].docs:
            doc = deepcopy(self.rng.choice(chosen[1].docs))
            if self.rng.random() < 0.5:
                self._mutate(doc[2] if chosen[1].kind == "tf" else doc)
            chosen[1].docs.insert(self.rng.randrange(len(chosen[1].docs) + 1), doc)

    def _take_out(self) -> None:
        if (chosen := self._some("yaml", "list", "tf")) and chosen[1].docs:
            chosen[1].docs.pop(self.rng.randrange(len(chosen[1].docs)))
            self.rng.shuffle(chosen[1].docs)

    def _move_document(self) -> None:
        one, two = self._some("yaml"), self._some("yaml")
        if one and two and one[0] != two[0] and one[1].docs:
            doc = one[1].docs.pop(self.rng.randrange(len(one[1].docs)))
            if self.rng.random() < 0.4:
                self._mutate(doc)
            two[1].docs.append(doc)

    def _wrap(self) -> None:
        if chosen := self._some("yaml", "list"):
            chosen[1].kind = "list" if chosen[1].kind == "yaml" else "yaml"

    def _regroup(self) -> None:
        if (chosen := self._some("yaml", "list", "json")) and chosen[1].docs:
            chosen[1].docs[0]["apiVersion"] = self.rng.choice(GROUPS)

    def _break(self) -> None:
        path, file = self.rng.choice(sorted(self.files.items()))
        rendered = file.render()
        if isinstance(rendered, str):
            broken = self.rng.choice([rendered + "\n\t- : [", "{{ if }}\n" + rendered, "a: *b\n"])
            self.files[path] = File("raw", raw=broken)

    def _oddity(self) -> None:
        path = self.rng.choice(sorted(self.files))
        odd: list[str | bytes | Entry] = [
            *(link("target"), link("other"), b"\0binary", b"\0other", submodule("1" * 40)),
            *(submodule("2" * 40), "", "\n", "---\n", executable("#!/bin/sh\n")),
        ]
        self.files[path] = File("raw", raw=self.rng.choice(odd))


def _objects(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, dict) for item in items)


# -- what the ledger says ----------------------------------------------------------------------------

_CHANGE = (
    "change, resource, commit_sha, revision_number, action, path, old_path, api_group, kind, "
    "namespace, name, ordinal, copied_from, coarse"
)


@dataclass
class Told:
    """A change as the ledger tells it."""

    change: int
    resource: str
    commit: str
    number: int
    action: str
    address: Address
    old_path: str
    copied_from: str
    coarse: int
    rows: list[Row] = field(default_factory=list)


def told(ledger: Ledger, branch: str = "main") -> dict[str, list[Told]]:
    """commit → its changes."""
    rows: dict[int, list[Row]] = {}
    for change, name, action, old, new in ledger.rows(
        "select change, field, action, old_value, new_value from model_field_change order by change, sequence"
    ):
        values = [None if text is None else json.loads(text) for text in (old, new)]
        rows.setdefault(change, []).append((name, action, *values))
    found: dict[str, list[Told]] = {}
    sql = f"select {_CHANGE} from model_resource_change where branch = ? order by change"
    for row in ledger.rows(sql, branch):
        change, resource, commit, number, action, path, old_path, *rest = row
        address = (path, *rest[:5])
        copied_from, coarse = rest[5:]
        one = Told(change, resource, commit, number, action, address, old_path, copied_from, coarse)
        one.rows = rows.get(change, [])
        found.setdefault(commit, []).append(one)
    return found


def current(ledger: Ledger, branch: str = "main") -> dict[Address, str]:
    """address → resource of what is present on a branch."""
    rows = ledger.rows(
        "select path, api_group, kind, namespace, name, ordinal, resource from model_resource "
        "where present = 1 and branch = ?",
        branch,
    )
    assert len({row[:6] for row in rows}) == len(rows)
    return {row[:6]: row[6] for row in rows}


class Replayed:
    """The state of a branch as the ledger's own changes lead to it, revision by revision."""

    def __init__(self) -> None:
        self.at: dict[Address, str] = {}
        self.bodies: dict[str, Leaf | Node] = {}
        self.history: dict[str, list[Told]] = {}

    def take(
        self,
        changes: Sequence[Told],
        before: dict[Address, Declared],
        after: dict[Address, Declared],
    ) -> None:
        """One revision: checks its changes against the two trees and applies them."""
        gone = set(before) - set(after)
        come = set(after) - set(before)
        both = set(before) & set(after)
        by_action: dict[str, list[Told]] = {}
        for one in changes:
            by_action.setdefault(one.action, []).append(one)
        where = {resource: address for address, resource in self.at.items()}
        moved = by_action.get("moved", [])
        left = {where[one.resource] for one in moved}
        assert {one.address for one in by_action.get("added", [])} | {
            one.address for one in moved
        } == come
        assert {one.address for one in by_action.get("removed", [])} | left == gone
        assert all(where[one.resource] == one.address for one in by_action.get("removed", []))
        assert all(where[one.resource][0] == one.old_path for one in moved)
        assert all(where[one.resource][2] == one.address[2] for one in moved), (
            "a move keeps the kind"
        )
        really = {one for one in both if not _same_document(before[one], after[one])}
        assert {one.address for one in by_action.get("changed", [])} == really
        assert {one.address for one in by_action.get("formatted", [])} <= both - really
        assert len(changes) == len({one.resource for one in changes})
        for one in changes:
            self._apply(one, before, after)
        assert self.at.keys() == after.keys()

    def _apply(
        self, one: Told, before: dict[Address, Declared], after: dict[Address, Declared]
    ) -> None:
        where = {resource: address for address, resource in self.at.items()}
        self.history.setdefault(one.resource, []).append(one)
        if one.action == "removed":
            del self.at[one.address]
            del self.bodies[one.resource]
            assert [row[:2] for row in one.rows] == [("", "removed")]
            assert one.rows[0][2] == before[one.address].body
            return
        if one.action == "added":
            assert one.address not in self.at or one.resource != self.at[one.address]
            assert [row[:2] for row in one.rows] == [("", "added")]
        else:
            assert self.at.get(where[one.resource]) == one.resource
            del self.at[where[one.resource]]
            assert one.rows or one.action in ("moved", "formatted")
        self.at[one.address] = one.resource
        new = after[one.address]
        old = self.bodies.get(one.resource)
        if one.coarse:
            assert old is not None
            assert before[where[one.resource]].syntax != new.syntax, "fields became lines or back"
            assert [row[:2] for row in one.rows] == [("", "changed")]
            one.rows = [("", "changed", plain(old), new.body)]
        lines = new.syntax == LINES
        node = applied(old, one.rows, one.commit, lines=lines)
        assert alike(plain(node), new.body), (one, plain(node), new.body)
        self.bodies[one.resource] = in_order_of(node, new.body)


def _same_document(one: Declared, two: Declared) -> bool:
    """The product's word for no change: keys and keyed items in another order, and nothing else."""
    return one.syntax == two.syntax and fields.diff(one.body, two.body, syntax=one.syntax) == []


def replay(repo: Repo, ledger: Ledger, branch: str = "main") -> Replayed:
    """Checks every revision of a branch's current line; gives the state at its end."""
    oracle = Oracle(repo)
    changes = told(ledger, branch)
    state = Replayed()
    before: dict[Address, Declared] = {}
    for commit in repo.chain(repo.tip(branch)):
        after = oracle.at(commit)
        state.take(changes.get(commit, []), before, after)
        before = after
    return state


SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_revision_is_what_its_two_trees_say(seed: int, repo: Repo, ledger: Ledger) -> None:
    Story(repo, seed).go(24)
    ledger.grow()
    state = replay(repo, ledger)
    assert current(ledger) == state.at
    assert ledger.rows("select failure from projections where failure <> ''") == []


@pytest.mark.parametrize("seed", SEEDS)
def test_also_where_branches_are_moved_by_force(seed: int, repo: Repo, ledger: Ledger) -> None:
    def look() -> None:
        ledger.grow()
        state = replay(repo, ledger)
        assert current(ledger) == state.at
        chain = [(number, commit) for number, commit in enumerate(repo.chain(), 1)]
        shown = "select number, commit_sha from revisions where superseded = 0 order by number"
        assert ledger.rows(shown) == chain

    Story(repo, seed + 100, force=True).go(12, look)


@pytest.mark.parametrize("seed", range(3))
def test_two_branches_that_share_commits_are_each_what_their_trees_say(
    seed: int, repo: Repo, tmp_path: Path
) -> None:
    """The branch that merges come from is tracked too: what is a side here is the mainline there."""
    ledger = make_ledger(tmp_path / "both", track(repo, branches=["main", "side"]))
    story = Story(repo, seed + 400, force=True)
    story.step()
    repo.make_branch("side")

    def look() -> None:
        ledger.grow()
        for branch in ("main", "side"):
            assert current(ledger, branch) == replay(repo, ledger, branch).at

    story.go(9, look)


@pytest.mark.parametrize("seed", SEEDS)
def test_show_blame_when_and_history_are_those_of_a_naive_replay(
    seed: int, repo: Repo, ledger: Ledger
) -> None:
    Story(repo, seed + 200).go(14)
    ledger.grow()
    oracle = Oracle(repo)
    changes = told(ledger)
    state = Replayed()
    before: dict[Address, Declared] = {}
    with ledger.ask() as asker:
        for commit in repo.chain():
            after = oracle.at(commit)
            state.take(changes.get(commit, []), before, after)
            for address, resource in state.at.items():
                name = identity(asker, resource)
                shown = asker.show(name, at=commit)
                assert shown.body == after[address].body
                assert shown.path == address[0]
                assert shown.moment.commit_sha == commit
                blame = asker.blame(name, at=commit)
                leaves = list(fields.leaves(after[address].body, syntax=after[address].syntax))
                said = [(one.field, one.value, one.revision.commit_sha) for one in blame.fields]
                naive = list(tags(state.bodies[resource]))
                assert said == [(*leaf, tag) for leaf, tag in zip(leaves, naive, strict=True)]
            before = after
        gone = state.history.keys() - state.at.values()
        for resource in state.history:
            check_history(asker, identity(asker, resource), state.history[resource])
        for resource in gone:
            with pytest.raises(NotFoundError, match="was removed"):
                asker.show(identity(asker, resource))


def identity(asker: Asker, resource: str) -> ResourceName:
    [name] = asker.resolve(resource, Scope())
    return name


def check_history(asker: Asker, name: ResourceName, naive: Sequence[Told]) -> None:
    real = [one for one in naive if one.action != "formatted"][::-1]
    history = list(asker.history([name]))
    assert [(one.revision.commit_sha, one.action, one.path) for one in history] == [
        (one.commit, one.action, one.address[0]) for one in real
    ]
    for said, one in zip(history, real, strict=True):
        assert [(row.field, row.action, row.old, row.new) for row in said.fields] == [
            (
                row[0],
                row[1],
                None if row[1] == "added" else row[2],
                None if row[1] == "removed" else row[3],
            )
            for row in one.rows
        ]
    assert list(asker.history([name], limit=2)) == history[:2]
    roots = [value for one in real for row in one.rows if not row[0] for value in row[2:]]
    if any(not isinstance(root, dict) or "items" in root for root in roots if root is not None):
        return  # lines, a bare scalar, or manifests inside one document
    for wanted in ("spec.replicas", "metadata.name", "nowhere"):
        narrowed = [one.revision.commit_sha for one in asker.history([name], field=wanted)]
        touching = [one.commit for one in real if any(_touches(row, wanted) for row in one.rows)]
        assert narrowed == touching


def _touches(row: Row, wanted: str) -> bool:
    """Whether a row sets, changes or removes a plain dotted path from the root."""

    def value(body: Any, path: str) -> Any:
        for key in path.split(".") if path else []:
            if not isinstance(body, dict) or key not in body:
                return KeyError
            body = body[key]
        return body

    name, action, old, new = row
    if name.startswith((f"{wanted}.", f"{wanted}[")):
        return True
    if name and not (wanted == name or wanted.startswith(f"{name}.")):
        return False
    below = wanted.removeprefix(name).lstrip(".") if wanted.startswith(name) else ""
    one = KeyError if action == "added" else value(old, below)
    two = KeyError if action == "removed" else value(new, below)
    return not (one is KeyError and two is KeyError) and not (alike(one, two) and one == two)


# -- the same tables by every way ---------------------------------------------------------------------

ARRIVAL = {"evidence_position", "recorded_at", "superseded_at", "move", "sequence", "change"}


def tables(ledger: Ledger, *, arrival: bool = False) -> dict[str, list[tuple[Any, ...]]]:
    """Every projection table, sorted. Without `arrival` what tells in which order facts came is left
    out, the moves of refs are too, and changes are named by what they change."""
    dump: dict[str, list[tuple[Any, ...]]] = {}
    names: dict[int, str] = {}
    count: Counter[tuple[str, str]] = Counter()
    for change, resource, commit in ledger.rows(
        "select change, resource, commit_sha from model_resource_change order by change"
    ):
        names[change] = f"{resource} {commit} {count[resource, commit]}"
        count[resource, commit] += 1
    for one in registry.projections():
        for table in one.tables:
            rows = ledger.rows(f"select {', '.join(table.columns)} from {table.name}")
            if arrival:
                found = [tuple(_value(value) for value in row) for row in rows]
            elif table.name == "model_ref_move":
                continue
            else:
                found = [_settled(table.columns, row, names) for row in rows]
            dump[table.name] = sorted(found, key=repr)
    return dump


def _settled(
    columns: Sequence[str], row: tuple[Any, ...], names: dict[int, str]
) -> tuple[Any, ...]:
    kept = [
        _value(value)
        for name, value in zip(columns, row, strict=True)
        if name not in ARRIVAL or (name == "sequence" and "field" in columns)
    ]
    if "change" in columns:
        kept.insert(0, names[row[columns.index("change")]])
    return tuple(kept)


def _value(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def pulls(repo: Repo, story: Story) -> None:
    """Pull requests whose heads were there before they landed, for the tables of links."""
    repo.make_branch("pull-1")
    head = repo.commit({"pulled.yaml": manifest("pulled", replicas=1)}, "one", branch="pull-1")
    repo.pull_head(1, head)
    story.go(2)
    repo.squash("pull-1", "Land it (#1)")
    story.files["pulled.yaml"] = File("raw", raw=manifest("pulled", replicas=1))
    story.snapshots.append((repo.tip(), deepcopy(story.files)))


@pytest.mark.parametrize("seed", range(3))
def test_one_ingest_several_and_a_rebuild_give_the_same_tables(
    seed: int, repo: Repo, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.preparing.MANY", 3)
    count = 0

    def now_and_then() -> None:
        nonlocal count
        count += 1
        if count % 3 == 0:
            ledger.grow()

    story = Story(repo, seed + 300).go(6, now_and_then)
    pulls(repo, story)
    story.go(8, now_and_then)
    ledger.grow()
    whole = make_ledger(tmp_path / "whole", track(repo))
    whole.grow(processes=2)
    assert tables(ledger) == tables(whole)
    assert len(tables(whole)["model_resource_change"]) > 10
    for one in (ledger, whole):
        before = tables(one, arrival=True)
        one.rebuild()
        assert tables(one, arrival=True) == before


def test_a_rebuild_gives_the_same_tables_also_after_moves_by_force(
    repo: Repo, ledger: Ledger
) -> None:
    Story(repo, 3, force=True).go(14, ledger.grow)
    before = tables(ledger, arrival=True)
    ledger.rebuild()
    assert tables(ledger, arrival=True) == before
    ledger.rebuild()
    assert tables(ledger, arrival=True) == before
    repo.commit({"after.yaml": manifest("after")}, "after the rebuild")
    ledger.grow()
    assert current(ledger) == replay(repo, ledger).at
    with ledger.store() as store:
        verifier = Verifier(store)
        assert [*verifier.log(), *verifier.kept()] == []
    ledger.ingest(survey=True)
    with ledger.store() as store:
        assert list(verify_source(ledger.settings, store, "infra")) == []


def test_both_databases_hold_the_same_tables(
    repo: Repo, ledger: Ledger, tmp_path: Path, postgres_url: str
) -> None:
    other = make_ledger(tmp_path / "other", track(repo), database=postgres_url)
    story = Story(repo, 5, force=True).go(5)
    ledger.grow()
    other.grow()
    story.go(8)
    ledger.grow()
    other.grow()
    assert tables(ledger, arrival=True) == tables(other, arrival=True)
    other.rebuild()
    assert tables(ledger, arrival=True) == tables(other, arrival=True)


def test_small_batches_and_a_small_cache_give_the_same_tables(
    repo: Repo, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Story(repo, 9).go(14)
    ledger.grow()
    monkeypatch.setattr("ledger.projector.BATCH", 3)
    monkeypatch.setattr("ledger.projector.cache.SMALL", 2)
    monkeypatch.setattr("ledger.projector.cache.MAX_ROWS", 5)
    monkeypatch.setattr("ledger.sources.git.commits.CHUNK_COMMITS", 2)
    other = make_ledger(tmp_path / "other", track(repo))
    other.grow()
    assert tables(other) == tables(ledger)


# -- moves --------------------------------------------------------------------------------------------


def changes_of(ledger: Ledger, number: int) -> list[tuple[str, str, str, str]]:
    """(action, path, old path, name) of a revision's changes."""
    sql = "select action, path, old_path, name from resource_changes where revision_number = ?"
    return sorted(ledger.rows(sql, number))


def history_of(ledger: Ledger, name: str) -> list[tuple[str, str]]:
    """(action, path) of every change of what a name means, oldest first."""
    with ledger.ask() as asker:
        found = asker.resolve(name, Scope())
        return [(one.action, one.path) for one in asker.history(found)][::-1]


def test_a_moved_file_keeps_its_history(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"old/a.yaml": manifest("api", replicas=1), "old/n.txt": "one\ntwo\n"}, "start")
    repo.commit({"old/a.yaml": manifest("api", replicas=2)}, "edit")
    files: dict[str, Any] = {"old/a.yaml": None, "new/a.yaml": manifest("api", replicas=2)}
    repo.commit(files | {"old/n.txt": None, "new/n.txt": "one\ntwo\n"}, "move")
    repo.commit({"new/a.yaml": manifest("api", replicas=3)}, "edit again")
    ledger.grow()
    assert changes_of(ledger, 3) == [
        ("moved", "new/a.yaml", "old/a.yaml", "api"),
        ("moved", "new/n.txt", "old/n.txt", "new/n.txt"),
    ]
    assert history_of(ledger, "deployment/api") == [
        ("added", "old/a.yaml"),
        ("changed", "old/a.yaml"),
        ("moved", "new/a.yaml"),
        ("changed", "new/a.yaml"),
    ]
    assert history_of(ledger, "new/n.txt") == [("added", "old/n.txt"), ("moved", "new/n.txt")]


def test_a_moved_and_edited_document_is_the_closest_one(repo: Repo, ledger: Ledger) -> None:
    text = "".join(f"line {number}\n" for number in range(20))
    repo.commit({"a.txt": text, "b.txt": text.replace("line", "word")}, "start")
    edited = text.replace("line 3\n", "line three\n")
    repo.commit(
        {"a.txt": None, "b.txt": None, "c.txt": edited, "d.txt": "something else\n"}, "move"
    )
    ledger.grow()
    assert changes_of(ledger, 2) == [
        ("added", "d.txt", "", "d.txt"),
        ("moved", "c.txt", "a.txt", "c.txt"),
        ("removed", "b.txt", "", "b.txt"),
    ]
    rows = ledger.rows("select field, old_value, new_value from field_changes where path = 'c.txt'")
    assert rows == [("line[4]", '"line 3"', '"line three"')]


def test_identical_content_goes_before_the_same_name_and_ties_go_by_path(
    repo: Repo, ledger: Ledger
) -> None:
    api = manifest("api", replicas=1)
    repo.commit(
        {"a/x.yaml": api, "b/x.yaml": manifest("api", replicas=2), "z/x.yaml": api}, "start"
    )
    files: dict[str, Any] = dict.fromkeys(("a/x.yaml", "b/x.yaml", "z/x.yaml"))
    files |= {"m/x.yaml": api, "n/x.yaml": api, "o/x.yaml": manifest("api", replicas=9)}
    repo.commit(files, "move all")
    ledger.grow()
    assert changes_of(ledger, 2) == [
        ("moved", "m/x.yaml", "a/x.yaml", "api"),
        ("moved", "n/x.yaml", "z/x.yaml", "api"),
        ("moved", "o/x.yaml", "b/x.yaml", "api"),
    ]


def test_a_document_moves_between_files_of_many(repo: Repo, ledger: Ledger) -> None:
    one, two, three = (manifest(name) for name in ("one", "two", "three"))
    repo.commit({"a.yaml": f"{one}---\n{two}", "b.yaml": three}, "start")
    repo.commit({"a.yaml": one, "b.yaml": f"{three}---\n{two}"}, "move two")
    repo.commit({"a.yaml": one, "b.yaml": f"{two}---\n{three}"}, "swap")
    repo.commit({"a.yaml": f"# note\n---\n{one}", "b.yaml": f"{two}\n---\n\n{three}"}, "format")
    ledger.grow()
    assert changes_of(ledger, 2) == [("moved", "b.yaml", "a.yaml", "two")]
    assert changes_of(ledger, 3) == changes_of(ledger, 4) == []


def test_another_api_group_is_a_move(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"a.yaml": manifest("api", "Ingress", "extensions/v1beta1", tls=[])}, "old group")
    repo.commit({"a.yaml": manifest("api", "Ingress", "networking.k8s.io/v1", tls=[])}, "new group")
    repo.commit(
        {"a.yaml": manifest("api", "Ingress", "networking.k8s.io/v2", tls=[])}, "new version"
    )
    ledger.grow()
    assert changes_of(ledger, 2) == [("moved", "a.yaml", "a.yaml", "api")]
    assert changes_of(ledger, 3) == [("changed", "a.yaml", "", "api")]
    rows = ledger.rows(
        "select field, old_value, new_value from field_changes where revision_number = 2"
    )
    assert rows == [("apiVersion", '"extensions/v1beta1"', '"networking.k8s.io/v1"')]
    assert len(history_of(ledger, "ingress/api")) == 3


def test_another_kind_or_name_is_no_move(repo: Repo, ledger: Ledger) -> None:
    repo.commit(
        {"a.yaml": manifest("api", replicas=1), "b.yaml": manifest("web", replicas=1)}, "start"
    )
    repo.commit(
        {
            "a.yaml": manifest("api", "StatefulSet", replicas=1),
            "b.yaml": manifest("www", replicas=1),
        },
        "x",
    )
    ledger.grow()
    assert [row[0] for row in changes_of(ledger, 2)] == ["added", "added", "removed", "removed"]


def test_what_is_added_again_at_its_path_continues(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"a.yaml": manifest("api", replicas=1)}, "add")
    repo.commit({"a.yaml": None}, "remove")
    repo.commit({"x.txt": "x\n"}, "meanwhile")
    repo.commit({"a.yaml": manifest("api", replicas=2)}, "add again")
    ledger.grow()
    assert history_of(ledger, "deployment/api") == [
        ("added", "a.yaml"),
        ("removed", "a.yaml"),
        ("added", "a.yaml"),
    ]
    with ledger.ask() as asker:
        [name] = asker.resolve("deployment/api", Scope())
        blame = asker.blame(name)
    assert {one.revision.number for one in blame.fields} == {4}


ENVIRONMENTS = [
    EnvironmentSettings(name="dev", tier="test", paths=["overlays/dev/*"]),
    EnvironmentSettings(name="prod", tier="production", paths=["overlays/prod/*"]),
]


def test_across_environments_nothing_moves_but_says_where_it_was_copied_from(
    repo: Repo, tmp_path: Path
) -> None:
    ledger = make_ledger(tmp_path / "mapped", track(repo), environments=ENVIRONMENTS)
    api = manifest("api", replicas=1)
    repo.commit({"overlays/dev/a.yaml": api, "base/b.yaml": manifest("base")}, "start")
    repo.commit({"overlays/dev/a.yaml": None, "overlays/prod/a.yaml": api}, "promote")
    repo.commit(
        {"base/b.yaml": None, "overlays/prod/b.yaml": manifest("base")}, "into an environment"
    )
    repo.commit(
        {"overlays/prod/b.yaml": None, "overlays/prod/c.yaml": manifest("base")}, "within one"
    )
    ledger.grow()
    assert changes_of(ledger, 2) == [
        ("added", "overlays/prod/a.yaml", "", "api"),
        ("removed", "overlays/dev/a.yaml", "", "api"),
    ]
    [(resource,)] = ledger.rows("select resource from resources where path = 'overlays/dev/a.yaml'")
    sql = "select copied_from from resource_changes where path = ? and action = 'added'"
    assert ledger.rows(sql, "overlays/prod/a.yaml") == [(resource,)]
    assert [row[0] for row in changes_of(ledger, 3)] == ["added", "removed"]
    assert changes_of(ledger, 4) == [
        ("moved", "overlays/prod/c.yaml", "overlays/prod/b.yaml", "base")
    ]


def test_a_mapping_counts_from_when_it_was_recorded_also_when_it_goes_back(
    repo: Repo, ledger: Ledger
) -> None:
    repo.commit({"a": "1"}, "start")
    wide = EnvironmentSettings(name="dev", tier="test", paths=["overlays/*"])
    for mapping in ([ENVIRONMENTS[0]], [wide], [ENVIRONMENTS[0]], [], [wide]):
        ledger = ledger.replace(environment=mapping)
        ledger.clock = ledger.clock.replace(hour=ledger.clock.hour + 1)
        ledger.grow()
        ledger.grow()
        shown = ledger.rows("select environment, tier, paths from environments")
        assert shown == [(one.name, one.tier, "\n".join(one.paths)) for one in mapping]
    assert len(ledger.events(EnvironmentMapped)) == 5


def test_moves_of_binaries_links_and_large_files_keep_their_history(
    repo: Repo, ledger: Ledger
) -> None:
    repo.commit(
        {"a.bin": b"\0one", "b.bin": b"\0two", "l": link("x"), "m": submodule("1" * 40)}, "start"
    )
    files: dict[str, Any] = dict.fromkeys(("a.bin", "b.bin", "l", "m"))
    files |= {
        "d/a.bin": b"\0one",
        "d/l": link("x"),
        "d/m": submodule("1" * 40),
        "d/c.bin": b"\0three",
    }
    repo.commit(files, "move")
    ledger.grow()
    assert changes_of(ledger, 2) == [
        ("added", "d/c.bin", "", "d/c.bin"),
        ("moved", "d/a.bin", "a.bin", "d/a.bin"),
        ("moved", "d/l", "l", "d/l"),
        ("moved", "d/m", "m", "d/m"),
        ("removed", "b.bin", "", "b.bin"),
    ]


def document(path: str, content: str, name: str = "", kind: str = "Text") -> Document:
    return Document(path, "", kind, "", name or path, hashlib.sha256(content.encode()).digest(), 0)


def test_beyond_a_thousand_candidates_only_identical_content_pairs() -> None:
    def lines(one: Document) -> Counter[bytes]:
        return Counter([one.path.rsplit("/", 1)[-1].encode()])

    def moved(count: int) -> set[tuple[int, int]]:
        gone = [document(f"a/{n}", str(n)) for n in range(count)]
        come = [document(f"b/{n}", str(n) if n % 2 else f"{n} edited") for n in range(count)]
        return set(pair_moves(gone, come, lines))

    half = MAX_CANDIDATES // 2
    assert moved(40) == {(n, n) for n in range(40)}
    assert moved(half + 1) == {(n, n) for n in range(half + 1) if n % 2}


def test_pairs_are_found_whatever_the_order_of_the_candidates() -> None:
    rng = random.Random(1)  # noqa: S311
    gone = [document(f"a/{n}.yaml", str(n % 3), f"n{n % 2}", "K") for n in range(8)]
    come = [document(f"b/{n}.yaml", str(n % 4), f"n{n % 2}", "K") for n in range(8)]

    def named(one: list[Document], two: list[Document]) -> set[tuple[str, str]]:
        pairs = pair_moves(one, two, lambda d: Counter([d.path.encode()]))
        assert [come for _, come in pairs] == sorted(come for _, come in pairs)
        return {(one[a].path, two[b].path) for a, b in pairs}

    expected = named(gone, come)
    for _ in range(5):
        rng.shuffle(gone)
        rng.shuffle(come)
        assert named(gone, come) == expected


def test_a_forced_move_takes_a_file_back_to_its_old_name(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"old.txt": "one\ntwo\n"}, "A")
    repo.commit({"old.txt": None, "new.txt": "one\ntwo\n"}, "B")
    ledger.grow()
    repo.force(a)
    ledger.grow()
    rows = ledger.rows("select path, name, present from resources")
    assert rows == [("old.txt", "old.txt", 1)]
    repo.commit({"old.txt": "one\ntwo\nthree\n"}, "C")
    ledger.grow()
    assert history_of(ledger, "old.txt") == [("added", "old.txt"), ("changed", "old.txt")]


def test_a_line_that_becomes_the_mainline_has_its_contents(repo: Repo, ledger: Ledger) -> None:
    """A side branch is told without contents; a reset or another branch may make it the first parent."""
    a = repo.commit({"a.yaml": manifest("api", replicas=1)}, "A")
    repo.make_branch("side")
    side = repo.commit({"a.yaml": manifest("api", replicas=2)}, "S", branch="side")
    repo.commit({"b.txt": "b\n"}, "B")
    repo.merge("side", "M")
    ledger.grow()
    repo.force(side)
    top = repo.commit({"a.yaml": manifest("api", replicas=3)}, "T")
    ledger.grow()
    assert current(ledger) == replay(repo, ledger).at
    sql = "select commit_sha, old_value, new_value from field_changes where action = 'changed' order by 2"
    assert ledger.rows(sql) == [(side, "1", "2"), (top, "2", "3")]
    both = ledger.replace(source=[track(repo, branches=["main", "release"])])
    repo.force(repo.merge("side", "again", into=""), "release")
    repo.force(a)
    release = repo.commit(None, "R", branch="release", parents=[side])
    both.grow()
    rows = both.rows(
        "select commit_sha from resource_changes where branch = 'release' order by revision_number"
    )
    assert rows == [(a,), (side,)]
    assert both.rows("select count(*) from revisions where commit_sha = ?", release) == [(1,)]


# -- duplicates, and what cannot be parsed ---------------------------------------------------------------


def test_documents_of_one_name_in_one_file_are_told_apart_by_their_order(
    repo: Repo, ledger: Ledger
) -> None:
    def file(*replicas: int) -> str:
        return "---\n".join(manifest("api", replicas=number) for number in replicas)

    repo.commit({"a.yaml": file(1, 2)}, "two of one name")
    repo.commit({"a.yaml": file(1, 5)}, "the second changes")
    repo.commit({"a.yaml": file(1, 5, 5)}, "a third")
    repo.commit({"a.yaml": file(5)}, "one is left")
    ledger.grow()
    sql = "select revision_number, ordinal, action from model_resource_change order by 1, 2"
    assert ledger.rows(sql) == [
        (1, 0, "added"),
        (1, 1, "added"),
        (2, 1, "changed"),
        (3, 2, "added"),
        (4, 0, "changed"),
        (4, 1, "removed"),
        (4, 2, "removed"),
    ]
    assert current(ledger) == replay(repo, ledger).at


def test_what_cannot_be_parsed_keeps_the_history_of_its_lines_and_says_why(
    repo: Repo, ledger: Ledger
) -> None:
    template = "{{ if .Values.on }}\napiVersion: v1\nkind: {{ .Kind }}\n{{ end }}\n"
    repo.commit({"t.yaml": template, "x.tf": 'resource "a" {\n', "j.json": '{"a": '}, "broken")
    repo.commit({"t.yaml": template.replace(".on", ".off")}, "edit")
    repo.commit({"t.yaml": manifest("api")}, "mended")
    ledger.grow()
    rows = ledger.rows(
        "select path, kind, unparsed <> '' from resources where path <> 't.yaml' order by path"
    )
    assert rows == [("j.json", "JSON", 1), ("x.tf", "HCL", 1)]
    sql = "select field, old_value, new_value from field_changes where revision_number = 2"
    assert ledger.rows(sql) == [("line[1]", '"{{ if .Values.on }}"', '"{{ if .Values.off }}"')]
    assert changes_of(ledger, 3) == [
        ("added", "t.yaml", "", "api"),
        ("removed", "t.yaml", "", "t.yaml"),
    ]
    with ledger.ask() as asker:
        names = asker.resolve("t.yaml", Scope())
        oldest = list(asker.history(names))[-1]
    assert oldest.unparsed


def test_formatting_is_no_change(repo: Repo, ledger: Ledger) -> None:
    repo.commit(
        {"a.yaml": "apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec: {x: 1, y: [1, 2]}\n"}, "one"
    )
    spec = "spec:\n    y:\n    - 1\n    - 2\n    x: 0x1\n"
    text = f"# a\nkind: 'A'\napiVersion: \"v1\"\n{spec}metadata:\n  name: a\n"
    repo.commit({"a.yaml": text}, "two")
    ledger.grow()
    assert changes_of(ledger, 2) == []
    [(count,)] = ledger.rows("select count(*) from field_changes where revision_number = 2")
    assert count == 0
    with ledger.ask() as asker:
        [name] = asker.resolve("a/a", Scope())
        shown = asker.show(name)
        assert shown.text.startswith("# a\n")
        assert shown.changed.number == 1
        assert {one.revision.number for one in asker.blame(name).fields} == {1}


def test_large_values_are_a_digest_and_an_excerpt_and_come_back_whole(
    repo: Repo, ledger: Ledger
) -> None:
    big = "x" * 10_000
    repo.commit({"a.yaml": manifest("api", "ConfigMap", "v1", text="small")}, "small")
    repo.commit({"a.yaml": manifest("api", "ConfigMap", "v1", text=big)}, "big")
    ledger.grow()
    [(text,)] = ledger.rows("select new_value from field_changes where revision_number = 2")
    short = json.loads(text)
    whole = json.dumps(big).encode()
    assert short["digest"] == "sha256:" + hashlib.sha256(whole).hexdigest()
    assert short["bytes"] == len(whole)
    assert len(text) < 1_000
    with ledger.ask() as asker:
        [name] = asker.resolve("configmap/api", Scope())
        assert asker.show(name).body["spec"]["text"] == big  # type: ignore[index,call-overload]
        [blamed] = [one for one in asker.blame(name).fields if one.field == "spec.text"]
        assert blamed.revision.number == 2


def test_more_changes_than_are_worth_telling_are_one_row(repo: Repo, ledger: Ledger) -> None:
    many = {f"key{number}": 1 for number in range(1_500)}
    repo.commit({"a.yaml": manifest("api", "ConfigMap", "v1", **many)}, "many")
    repo.commit(
        {"a.yaml": manifest("api", "ConfigMap", "v1", **dict.fromkeys(many, 2))}, "all changed"
    )
    ledger.grow()
    [(name, action)] = ledger.rows(
        "select field, action from field_changes where revision_number = 2"
    )
    assert (name, action) == ("", "changed")
    with ledger.ask() as asker:
        [resource] = asker.resolve("configmap/api", Scope())
        blame = {one.field: one.revision.number for one in asker.blame(resource).fields}
        assert blame["spec.key7"] == 2
        [newest, _] = asker.history([resource], field="spec.key7")
        assert [(one.field, one.old, one.new) for one in newest.fields] == [("spec.key7", 1, 2)]


def test_long_and_odd_names_are_kept_on_both_databases(
    repo: Repo, tmp_path: Path, database_url: str
) -> None:
    rng = random.Random(1)  # noqa: S311

    def noise(size: int) -> str:
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=size))

    path = "/".join(noise(200) for _ in range(19)) + "/a.yaml"
    long = [noise(20_000) for _ in range(5)]
    files: dict[str, Any] = {
        path: "a: 1\n",
        f"{path}.txt": "one\n",
        "name.yaml": manifest(long[0]),
        "twin.yaml": manifest(long[0] + "x"),
        "kind.yaml": manifest("k", long[1]),
        "group.yaml": manifest("g", group=f"{long[2]}/v1"),
        "key.yaml": manifest("f", **{long[3]: 1}),  # type: ignore[arg-type]
        "nul.yaml": 'apiVersion: v1\nkind: A\nmetadata: {name: "a\\0b", namespace: "\\0"}\nx: "\\0"\n',
        "nul.json": '{"a": "\\u0000", "k\\u0000": 1}',
        "half.json": '{"a": "\\ud800"}',
        "half.tf": 'resource "a" "\\ud800" {\n}\n',
        "big.json": '{"a": 1' + "0" * 400 + ', "b": 1e400}',
        "big.yaml": "a: 1" + "0" * 5_000 + "\n",
    }
    repo.commit(files, "odd")
    repo.commit({path: "a: 2\n", "name.yaml": manifest(long[0], x=1)}, "changed")
    repo.commit({"nul.yaml": files["nul.yaml"].replace("x:", "y:"), path: None}, "changed again")
    ledger = make_ledger(tmp_path / "odd", track(repo), database=database_url)
    ledger.grow()
    assert ledger.rows("select failure from projections where failure <> ''") == []
    rows = ledger.rows("select revision_number, action, path from resource_changes order by 1, 3")
    assert len([row for row in rows if row[0] == 1]) == len(files)
    later = sorted(row[:2] for row in rows if row[0] > 1)
    assert later == [(2, "changed"), (2, "changed"), (3, "changed"), (3, "removed")]
    names = [row[0] for row in ledger.rows("select name from resources")]
    assert len(set(names)) == len(names)
    assert "a\\u0000b" in names
    assert all("\0" not in name and len(name.encode()) <= 1_000 for name in names)
    with ledger.ask() as asker:
        [one] = asker.resolve("name.yaml", Scope())
        assert asker.show(one).body["metadata"]["name"] == long[0]  # type: ignore[index,call-overload]
        [oldest, newest] = [c.action for c in list(asker.history([one]))[::-1]]
    assert (oldest, newest) == ("added", "changed")
    before = tables(ledger, arrival=True)
    ledger.rebuild()
    assert tables(ledger, arrival=True) == before


# -- secrets -------------------------------------------------------------------------------------------

CANARIES = ["kanarienvogel", "s3kr3t-0ne-x9", "hunter2-hunter2", "swordfish-77aa"]


def secret(value: str, key: str = "stringData", name: str = "db") -> str:
    return (
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n{key}:\n  password: {value}\n"
    )


def raw_bytes(ledger: Ledger) -> bytes:
    """Every byte of the database's files, with compressed contents also as they read."""
    path = Path(ledger.settings.database_url.removeprefix("sqlite:///"))
    found = b"".join(one.read_bytes() for one in sorted(path.parent.glob(path.name + "*")))
    with ledger.store() as store:
        digests = [bytes(row[0]) for row in store.connection.rows("select digest from log_content")]
        return found + b"".join(store.content(digest) for digest in digests)


def every_digest(value: bytes) -> list[bytes]:
    """What would give a short value away to somebody who guesses."""
    blob = b"blob %d\0" % len(value) + value
    digests = [hashlib.new(name, data) for name in ("sha1", "sha256") for data in (value, blob)]
    return [form for one in digests for form in (one.digest(), one.hexdigest().encode())]


def test_values_of_secrets_never_enter_the_database(repo: Repo, ledger: Ledger) -> None:
    one, two, three, four = CANARIES
    encoded = base64.b64encode(three.encode()).decode()
    first = secret(one)
    second = secret(two) + "---\n" + manifest("api", replicas=1)
    files: list[dict[str, Any]] = [
        {"s.yaml": first, "plain.yaml": manifest("web")},
        {"s.yaml": second},
        {"s.yaml": second.replace("replicas: 1", "replicas: 2")},
        {
            "d.yaml": secret(encoded, "data"),
            "main.tf": f'variable "db_password" {{\n  sensitive = true\n  default = "{four}"\n}}\n',
        },
        {"broken.yaml": "{{ if }}\n" + secret(one)},
        {"s.yaml": None, "moved/s.yaml": second},
        {"wide.yaml": secret(two).encode("utf-16"), "nul.yaml": secret(three).encode() + b"\0"},
    ]
    for number, one_commit in enumerate(files):
        repo.commit(one_commit, f"step {number}")
    head = repo.commit(
        {"pr.yaml": secret(four, name="pr")}, "in a pull request", branch=None, parents=[repo.tip()]
    )
    repo.pull_head(1, head)
    ledger.grow()
    data = raw_bytes(ledger)
    for value in [*CANARIES, encoded]:
        assert value.encode() not in data, value
        assert not any(digest in data for digest in every_digest(value.encode())), value
    blobs = {
        oid: blob
        for commit in [*repo.chain(), head]
        for _, oid, blob in repo.files(commit).values()
    }
    hot = {
        oid
        for oid, blob in blobs.items()
        if any(v.encode() in blob.replace(b"\0", b"") for v in [*CANARIES, encoded])
    }
    assert len(hot) == 9
    for oid in hot:
        assert oid.encode() not in data
        assert bytes.fromhex(oid) not in data
        assert not any(digest in data for digest in every_digest(blobs[oid]))
    for name in ("deployment/web", "deployment/api"):
        with ledger.ask() as asker:
            assert asker.resolve(name, Scope())


def test_whether_a_secret_changed_is_seen_and_what_to_is_not(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"s.yaml": secret(CANARIES[0])}, "one")
    repo.commit({"s.yaml": secret(CANARIES[1])}, "changed")
    repo.commit({"s.yaml": secret(CANARIES[1]) + "# a comment\n"}, "not changed")
    repo.commit({"s.yaml": secret(CANARIES[0])}, "back again")
    ledger.grow()
    rows = ledger.rows(
        "select revision_number, field, old_value, new_value from field_changes order by 1"
    )
    assert [(number, name) for number, name, _, _ in rows] == [
        (1, ""),
        (2, "stringData.password"),
        (4, "stringData.password"),
    ]
    assert rows[1][2:] == rows[2][2:][::-1]
    assert rows[1][2] != rows[1][3]
    observed = [one.data for one in ledger.events(CommitObserved)]
    sides = [file.after for data in observed for file in data.files if file.after]  # type: ignore[union-attr]
    assert all(side.hmac and not side.id for side in sides)
    assert sides[0].hmac == sides[3].hmac != sides[1].hmac


def test_patch_ids_of_commits_that_touch_secrets_are_keyed(
    repo: Repo, ledger: Ledger, tmp_path: Path
) -> None:
    repo.commit({"a.txt": "a\n"}, "plain")
    repo.commit({"s.yaml": secret(CANARIES[0])}, "a secret comes")
    repo.commit({"s.yaml": None}, "a secret goes")
    ledger.grow()
    observed: list[CommitObserved] = [one.data for one in ledger.events(CommitObserved)]  # type: ignore[misc]
    shown = repo.git("log", "-p", "--reverse", "--full-index", "--root", "--no-renames", repo.tip())
    lines = repo.git("patch-id", "--stable", stdin=shown).decode().split("\n")
    plain_ids = {line.split()[1]: line.split()[0] for line in lines if line}
    one, two, three = observed
    assert one.patch_id == plain_ids[one.commit]
    for data in (two, three):
        assert data.patch_id
        assert data.patch_id != plain_ids[data.commit]
        assert plain_ids[data.commit].encode() not in raw_bytes(ledger)
    other = make_ledger(tmp_path / "other", track(repo))
    (other.settings.folder / "ledger.key").write_text("08" * 32)
    other.grow()
    again: list[CommitObserved] = [one.data for one in other.events(CommitObserved)]  # type: ignore[misc]
    assert again[0].patch_id == one.patch_id
    assert again[1].patch_id != two.patch_id


def test_secrets_in_messages_and_urls_are_redacted(repo: Repo, tmp_path: Path) -> None:
    token = "ghp_" + "a1B2c3D4e5" * 3 + "F6g7H8"
    repo.commit({"a": "1"}, f"Use https://bob:{CANARIES[1]}@example.org and {token}")
    ledger = make_ledger(tmp_path / "ledger", track(f"file://{repo.path}"))
    ledger.grow()
    data = raw_bytes(ledger)
    assert CANARIES[1].encode() not in data
    assert token.encode() not in data


def test_a_rebuild_needs_no_key(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"s.yaml": secret(CANARIES[0])}, "one")
    repo.commit({"s.yaml": secret(CANARIES[1])}, "two")
    ledger.grow()
    before = tables(ledger, arrival=True)
    (ledger.settings.folder / "ledger.key").unlink()
    ledger.rebuild()
    assert tables(ledger, arrival=True) == before


# -- time ------------------------------------------------------------------------------------------------


def test_at_a_time_is_the_tip_that_the_branch_then_had(repo: Repo, ledger: Ledger) -> None:
    a = repo.commit({"a.yaml": manifest("api", replicas=1)}, "A", when="2024-01-01T00:00:00Z")
    b = repo.commit({"a.yaml": manifest("api", replicas=2)}, "B", when="2024-02-01T00:00:00Z")
    ledger.grow()
    first = ledger.now
    c = repo.commit({"a.yaml": manifest("api", replicas=3)}, "C", when="2024-03-01T00:00:00Z")
    ledger.grow()
    second = ledger.now
    d = repo.commit({"a.yaml": manifest("api", replicas=4)}, "D", branch=None, parents=[a])
    repo.force(d)
    ledger.grow()
    third = ledger.now
    with ledger.ask() as asker:
        [name] = asker.resolve("deployment/api", Scope())

        def at(when: str) -> tuple[int, str, str]:
            shown = asker.show(name, at=when)
            return shown.body["spec"]["replicas"], shown.moment.commit_sha, shown.moment.clock  # type: ignore[index,call-overload,return-value]

        assert at("2024-01-15T00:00:00Z")[:2] == (1, a)
        assert "inferred" in at("2024-01-15T00:00:00Z")[2]
        assert at(first)[:2] == (2, b)
        assert "saw" in at(first)[2]
        assert at(second)[:2] == (3, c)
        assert at(third)[:2] == at("")[:2] == (4, d)
        assert at(c)[:2] == (3, c)
        assert at(b[:8])[:2] == (2, b)
        with pytest.raises(NotFoundError, match="no revision"):
            at("2023-12-31T00:00:00Z")
        difference = asker.diff(name, start=second, end=third)
        assert [(one.field, one.old, one.new) for one in difference.fields] == [
            ("spec.replicas", 3, 4)
        ]
        numbers = [one.revision.number for one in asker.history([name])]
        assert numbers == [2, 1]
        assert [one.revision.commit_sha for one in asker.history([name], until=second)] == [c, b, a]


def test_times_of_commits_that_run_backwards_do_not_reorder_the_branch(
    repo: Repo, ledger: Ledger
) -> None:
    a = repo.commit({"a.yaml": manifest("api", replicas=1)}, "A", when="2024-05-01T00:00:00Z")
    b = repo.commit({"a.yaml": manifest("api", replicas=2)}, "B", when="2024-01-01T00:00:00Z")
    c = repo.commit({"a.yaml": manifest("api", replicas=3)}, "C", when="2024-06-01T00:00:00Z")
    ledger.grow()
    rows = ledger.rows("select commit_sha, landed_at, landed_grade from revisions order by number")
    assert rows == [
        (a, "2024-05-01T00:00:00Z", "inferred"),
        (b, "2024-05-01T00:00:00Z", "inferred"),
        (c, "2024-06-01T00:00:00Z", "inferred"),
    ]
    with ledger.ask() as asker:
        [name] = asker.resolve("deployment/api", Scope())
        with pytest.raises(NotFoundError):
            asker.show(name, at="2024-02-01T00:00:00Z")
        assert asker.show(name, at="2024-05-02T00:00:00Z").moment.commit_sha == b
    newest = repo.commit({"a.yaml": manifest("api", replicas=4)}, "D", when="2024-02-02T00:00:00Z")
    ledger.grow()
    sql = "select landed_at, landed_grade from revisions where commit_sha = ?"
    assert ledger.rows(sql, newest) == [(ledger.now, "reported")]


def test_every_row_names_the_event_that_tells_it(repo: Repo, ledger: Ledger) -> None:
    Story(repo, 7).go(6)
    ledger.grow()
    kinds = dict(ledger.rows("select position, type from events"))
    expected = {
        "commits": {"commit.observed"},
        "revisions": {"revision.observed"},
        "resource_changes": {"revision.observed"},
        "field_changes": {"revision.observed"},
        "ref_moves": {"ref.moved"},
        "repositories": {"source.surveyed"},
    }
    for view, wanted in expected.items():
        rows = ledger.rows(f"select evidence_position from {view}")
        assert {kinds[row[0]] for row in rows} == wanted, view
    texts = json.dumps(ledger.rows("select data from events"))
    assert msgspec.json.decode(texts)
    assert not re.search(r"\\u0000", texts)
