"""Who changed which field of which resource: held against what plain Git says of every two trees.

The oracle reads trees with `git ls-tree` and `git cat-file`, parses whole files with the parsers'
public contract, and never looks at a digest, a cache, a projection or a shortcut of the product.
"""

from __future__ import annotations

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
from ledger.resources import LINES
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
    unparsed: bool
    text: str


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
            return [((path, "", "Submodule", "", path, 0), Declared({"content": oid}, "fields", False, ""))]
        if mode == "120000":
            body = {"target": blob.decode()}
            return [((path, "", "Symlink", "", path, 0), Declared(body, "fields", False, ""))]
        if b"\0" in blob:
            body = {"content": "sha256:" + hashlib.sha256(blob).hexdigest()}
            return [((path, "", "Binary", "", path, 0), Declared(body, "fields", True, ""))]
        if (path, blob) not in self._parsed:
            self._parsed[path, blob] = list(self._documents(path, blob))
        return self._parsed[path, blob]

    @staticmethod
    def _documents(path: str, blob: bytes) -> Iterator[tuple[Address, Declared]]:
        counts: Counter[tuple[str, ...]] = Counter()
        parser = choose(PARSERS, path)
        pieces = {id(one): piece for piece in parser.split(blob) for one in parser.parse(piece)}
        del pieces
        for one in parse(parser, path, blob):
            name = (one.api_group, one.kind, one.namespace, one.name)
            address = (path, *name, counts[name])
            counts[name] += 1
            yield address, Declared(one.body, one.syntax, bool(one.unparsed), "")


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
    return str(yaml.safe_dump(body, sort_keys=style % 4 == 2, default_flow_style=flow, indent=indent))


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
                "ports": [{"port": port, "name": f"p{port}"} for port in rng.sample([80, 81, 82], 2)],
                "args": [rng.choice("uvw") for _ in range(rng.randrange(4))],
                "on": rng.choice([True, False, None, 1, 1.5, "x"]),
            },
        }
        if rng.random() < 0.5:
            body["metadata"]["namespace"] = rng.choice(["one", "two"])
        return body

    def _add(self) -> None:
        rng = self.rng
        kind = rng.choice(["yaml", "yaml", "yaml", "json", "tf", "list", "raw", "values", "kustomize"])
        if kind == "tf":
            blocks = [("aws_instance", name, {"size": rng.randrange(3)}) for name in rng.sample("xyz", 2)]
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
                lines[place : place + rng.randrange(2)] = [f"{rng.choice('lmno')}\n"] * rng.randrange(3)
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
    rows: list[Row]


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
        mine = rows.get(change, [])
        one = Told(change, resource, commit, number, action, address, old_path, *rest[5:], mine)
        found.setdefault(commit, []).append(one)
    return found


def current(ledger: Ledger) -> dict[Address, str]:
    """address → resource of what is present on main."""
    rows = ledger.rows(
        "select path, api_group, kind, namespace, name, ordinal, resource from model_resource "
        "where present = 1 and branch = 'main'"
    )
    assert len({row[:6] for row in rows}) == len(rows)
    return {row[:6]: row[6] for row in rows}  # type: ignore[misc]


class Replayed:
    """The state of a branch as the ledger's own changes lead to it, revision by revision."""

    def __init__(self) -> None:
        self.at: dict[Address, str] = {}
        self.bodies: dict[str, Leaf | Node] = {}
        self.history: dict[str, list[Told]] = {}

    def copy(self) -> Replayed:
        return deepcopy(self)

    def take(self, changes: Sequence[Told], before: dict[Address, Declared], after: dict[Address, Declared]) -> None:
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
        assert {one.address for one in by_action.get("added", [])} | {one.address for one in moved} == come
        assert {one.address for one in by_action.get("removed", [])} | left == gone
        assert all(where[one.resource] == one.address for one in by_action.get("removed", []))
        assert all(where[one.resource][0] == one.old_path for one in moved)
        assert all(where[one.resource][2] == one.address[2] for one in moved), "a move keeps the kind"
        really = {one for one in both if not _same_document(before[one], after[one])}
        assert {one.address for one in by_action.get("changed", [])} == really
        assert {one.address for one in by_action.get("formatted", [])} <= both - really
        assert len(changes) == len({one.resource for one in changes})
        for one in changes:
            self._apply(one, before, after)
        assert self.at.keys() == after.keys()

    def _apply(self, one: Told, before: dict[Address, Declared], after: dict[Address, Declared]) -> None:
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
            assert before[where[one.resource]].syntax != new.syntax, "fields became lines or the reverse"
            assert [row[:2] for row in one.rows] == [("", "changed")]
            one.rows = [("", "changed", plain(old), new.body)]
        lines = new.syntax == LINES
        node = applied(old, one.rows, one.commit, lines=lines)
        assert alike(plain(node), new.body), (one, plain(node), new.body)
        self.bodies[one.resource] = in_order_of(node, new.body)


def _same_document(one: Declared, two: Declared) -> bool:
    """The product's word for no change: keys and keyed items in another order, and nothing else."""
    return one.syntax == two.syntax and fields.diff(one.body, two.body, syntax=one.syntax) == []


def replay(repo: Repo, ledger: Ledger, tip: str = "") -> Replayed:
    """Checks every revision of the current line; gives the state at its end."""
    oracle = Oracle(repo)
    changes = told(ledger)
    state = Replayed()
    before: dict[Address, Declared] = {}
    for commit in repo.chain(tip):
        after = oracle.at(commit)
        state.take(changes.get(commit, []), before, after)
        before = after
    return state


SEEDS = range(8)


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
            (row[0], row[1], None if row[1] == "added" else row[2], None if row[1] == "removed" else row[3])
            for row in one.rows
        ]
    assert list(asker.history([name], limit=2)) == history[:2]
    roots = [value for one in real for row in one.rows if not row[0] for value in row[2:]]
    if not all(isinstance(root, dict) and root for root in roots if root is not None):
        return  # a document that is a bare scalar, or lines
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
