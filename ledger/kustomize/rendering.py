"""What comes out of a directory: its effective resources, and the input that decided each field.

This is kustomize's own order of work (`KustTarget.accumulateTarget`, `configureBuiltinTransformers`), from
files alone: nothing is run or fetched. What it cannot follow is named in the result, so that nobody
takes it for the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ledger.fields.paths import extend
from ledger.goyaml import YamlError, load_all
from ledger.kustomize.generating import generate
from ledger.kustomize.items import Item, always, taken
from ledger.kustomize.kinds import is_cluster_scoped
from ledger.kustomize.merging import PatchError, apply_operations, merge_strategic
from ledger.kustomize.naming import fix_references
from ledger.kustomize.references import (
    FILE,
    NAMES,
    REMOTE,
    UNREAD,
    is_inline,
    is_remote,
    kind_of,
    resolve,
    text,
    texts,
)
from ledger.kustomize.results import Effective, Files, Overlay, Rendered, Unread
from ledger.kustomize.selecting import UnreadSelectorError, find, select
from ledger.kustomize.transforming import AFTER, BEFORE, each, pairs_as_text
from ledger.kustomize.trees import (
    Budget,
    Input,
    Origin,
    TooMuchError,
    explained,
    joined,
    scalar,
)
from ledger.resources import FIELDS, Resource, Value

GROUP = "kustomize.config.k8s.io"
MAX_DEPTH = 40
MAX_VISITS = 2_000
MAX_PROBLEMS = 200
_LOCAL = "config.kubernetes.io/local-config"


def render(
    directory: str,
    files: Files,
    *,
    recurse: bool = False,
    overlay: Overlay | None = None,
) -> Rendered:
    """The effective resources of a directory: its kustomization's, else every manifest in it.

    `recurse` takes manifests below it, too, where it has no kustomization. Never raises for what stands
    in files. Costs time and memory in the size of what is taken in, up to fixed limits.
    """
    work = _Rendering(files)
    items: list[Item] = []
    try:
        found = work.kustomization(directory)
        if found is not None:
            items = work.accumulate(directory, found, [], (), 0)
        else:
            items = work.plain(directory, recurse)
        if overlay is not None and isinstance(overlay.body, dict) and overlay.body:
            items = work.overlaid(items, overlay.body, overlay.name, directory)
        fix_references(items, work.budget)
        if overlay is not None and overlay.namespace:
            _place(items, overlay)
    except (TooMuchError, RecursionError):
        work.note("limit", directory, "the rendering is too large")
    resources = [_finished(item) for item in items if not _is_local(item)]
    return Rendered(resources, frozenset(work.read), frozenset(work.listed), work.unread)


def _place(items: Sequence[Item], overlay: Overlay) -> None:
    origin = Input(overlay.name, "spec.destination.namespace")
    for item in items:
        if not item.namespace and not is_cluster_scoped(item.group, item.kind):
            item.rename("namespace", overlay.namespace, origin)


def _finished(item: Item) -> Effective:
    group, kind, namespace, name = item.identity
    done = explained(item.tree, item.items if item.shifted else [], item.original)
    return Effective(
        api_group=group,
        kind=kind,
        namespace=namespace,
        name=name,
        body=done.body,
        path=item.path,
        number=item.number,
        included=item.included,
        decided=done.decided,
        removed={
            field: inputs for field, inputs in item.removed.items() if field not in done.decided
        },
        moved=done.moved,
        open=done.open | ({"metadata.name"} if item.hashed else frozenset()),
        unknown=item.unknown,
    )


def _is_local(item: Item) -> bool:
    annotations = item.metadata().get("annotations")
    return isinstance(annotations, dict) and scalar(annotations.get(_LOCAL)) == "true"


@dataclass(slots=True)
class _Rendering:
    files: Files
    budget: Budget = field(default_factory=Budget)
    read: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    unread: list[Unread] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    visits: int = 0

    def note(self, kind: str, path: str, what: str) -> None:
        """Notes what was not followed."""
        one = Unread(kind, path, what)
        if len(self.unread) < MAX_PROBLEMS and one not in self.unread:
            self.unread.append(one)

    def documents(self, path: str) -> Sequence[Resource] | None:
        """The documents of a file; that it was looked at is noted whether it is there or not."""
        self.read.add(path)
        return self.files.documents(path)

    def kustomization(self, directory: str) -> tuple[str, dict[str, Value]] | None:
        """The path and the body of a directory's kustomization."""
        for name in NAMES:
            path = f"{directory}/{name}" if directory else name
            documents = self.documents(path)
            if documents is None:
                continue
            for one in documents:
                if one.api_group == GROUP and isinstance(one.body, dict):
                    return path, one.body
            if documents:
                self.note("unreadable", path, documents[0].unparsed or "no kustomization")
            return path, {}
        return None

    # -- taking in -------------------------------------------------------------------------------

    def plain(self, directory: str, recurse: bool) -> list[Item]:
        """Every manifest of a directory without a kustomization."""
        items: list[Item] = []
        for one in [directory, *(self.files.below(directory) if recurse else ())]:
            self.listed.add(one)
            listing = self.files.listing(one)
            if any(path.rpartition("/")[2] == "Chart.yaml" for path in listing):
                self.note("unsupported", one, "a Helm chart")
                continue
            for path in listing:
                items += self.declared(path, ())
        return items

    def declared(self, path: str, included: tuple[Input, ...]) -> list[Item]:
        """The objects that a file declares."""
        documents = self.documents(path)
        items: list[Item] = []
        for number, one in enumerate(documents or ()):
            if one.unparsed:
                self.note("unreadable", path, one.unparsed)
            elif one.syntax == FIELDS:
                item = taken(one.body, path, number, included, self.budget)
                if item is not None:
                    items.append(item)
        return items

    def accumulate(
        self,
        directory: str,
        found: tuple[str, dict[str, Value]],
        above: list[Item],
        included: tuple[Input, ...],
        depth: int,
    ) -> list[Item]:
        """What a kustomization gives. A component works on what stands `above`, too."""
        path, body = found
        self.visits += 1
        if directory in self.open or depth > MAX_DEPTH or self.visits > MAX_VISITS:
            kind = "conflict" if directory in self.open else "limit"
            self.note(kind, path, f"{directory or '.'} is not entered once more")
            return above
        self.open.append(directory)
        items = list(above)
        for name in ("resources", "bases"):
            for entry, where in _entries(body, name):
                inputs = (*included, Input(path, where))
                items += self.entry(directory, path, entry, inputs, depth)
        items = generate(items, body, path, included)
        for entry, where in _entries(body, "components"):
            inputs = (*included, Input(path, where))
            items = self.component(directory, path, entry, items, inputs, depth)
        items = self.transformed(items, body, path, directory)
        self.open.pop()
        return items

    def entry(
        self, directory: str, path: str, entry: str, inputs: tuple[Input, ...], depth: int
    ) -> list[Item]:
        """What one entry of `resources` gives: a file's objects, or those of another kustomization."""
        target = self.target(directory, path, entry)
        if target is None:
            return []
        if kind_of(entry) == FILE:
            items = self.declared(target, inputs)
            if items or self.files.documents(target) is not None:
                return items
        found = self.kustomization(target)
        if found is not None:
            return self.accumulate(target, found, [], inputs, depth + 1)
        if self.documents(target) is not None:
            return self.declared(target, inputs)
        self.note("missing", path, entry)
        return []

    def component(
        self,
        directory: str,
        path: str,
        entry: str,
        items: list[Item],
        inputs: tuple[Input, ...],
        depth: int,
    ) -> list[Item]:
        target = self.target(directory, path, entry)
        found = self.kustomization(target) if target is not None else None
        if target is not None and found is not None:
            return self.accumulate(target, found, items, inputs, depth + 1)
        if target is not None:
            self.note("missing", path, entry)
        return items

    def target(self, directory: str, path: str, entry: str) -> str | None:
        """The path that an entry names; None for what is not in the repository."""
        if is_remote(entry):
            self.note(REMOTE, path, entry)
            return None
        target = resolve(directory, entry)
        if target is None:
            self.note(REMOTE, path, entry)
        return target

    def overlaid(
        self, items: list[Item], body: dict[str, Value], path: str, directory: str
    ) -> list[Item]:
        """What an application's own settings make of a directory's objects."""
        for entry, where in _entries(body, "components"):
            inputs = (Input(path, where),)
            items = self.component(directory, path, entry, items, inputs, 0)
        return self.transformed(items, body, path, directory)

    # -- transforming ----------------------------------------------------------------------------

    def transformed(
        self,
        items: list[Item],
        body: dict[str, Value],
        path: str,
        directory: str,
    ) -> list[Item]:
        """What a kustomization makes of the objects that it took in."""
        for name in UNREAD:
            if body.get(name):
                self.note("unsupported", path, name)
        items = self.strategic(items, body, path, directory)
        items = self.patched(items, body, "patches", path, directory)
        for transform in BEFORE:
            transform(items, body, path, self.budget)
        items = self.patched(items, body, "patchesJson6902", path, directory)
        for transform in AFTER:
            transform(items, body, path, self.budget)
        for item in items:
            pairs_as_text(item)
        return items

    def strategic(
        self, items: list[Item], body: dict[str, Value], path: str, directory: str
    ) -> list[Item]:
        for entry, where in _entries(body, "patchesStrategicMerge"):
            own = Input(path, where)
            for patch, origin in self.bodies(entry, is_inline(entry), own, directory):
                items = self.merge(items, None, patch, origin, own)
        return items

    def patched(
        self, items: list[Item], body: dict[str, Value], name: str, path: str, directory: str
    ) -> list[Item]:
        """`patches` and `patchesJson6902`: each entry inline or in a file, for its target or by name."""
        for where, one in each(body, name):
            inline, file = text(one.get("patch")), text(one.get("path"))
            key = "patch" if inline else "path"
            own = Input(path, extend(where, key))
            target = one.get("target")
            chosen = target if isinstance(target, dict) else None
            for patch, origin in self.bodies(inline or file, bool(inline), own, directory):
                items = self.merge(items, chosen, patch, origin, own)
        return items

    def bodies(
        self, entry: str, inline: bool, own: Input, directory: str
    ) -> Iterator[tuple[Value, Origin]]:
        """The patches of an entry, each with what tells the inputs of a field of it."""
        if inline:
            try:
                documents = load_all(entry.encode("utf-8", "surrogatepass"))
            except YamlError as error:
                self.note("unreadable", own.path, f"{own.field}: {error.reason}")
                return
            for document in documents:
                if document.value is not None:
                    yield document.value, always(own)
            return
        target = self.target(directory, own.path, entry)
        if target is None:
            return
        resources = self.documents(target)
        if resources is None:
            self.note("missing", own.path, entry)
        for resource in resources or ():
            if resource.unparsed:
                self.note("unreadable", target, resource.unparsed)
            elif resource.syntax == FIELDS:
                yield resource.body, _from_file(target, own)

    def merge(
        self,
        items: list[Item],
        target: dict[str, Value] | None,
        patch: Value,
        origin: Origin,
        own: Input,
    ) -> list[Item]:
        """Applies one patch to the objects that it is for."""
        try:
            chosen = self.chosen(items, target, patch)
        except UnreadSelectorError as error:
            self.note("unsupported", own.path, f"the selector {error} of {own.field}")
            return items
        if not chosen and target is None:
            self.note("conflict", own.path, f"{own.field} names no resource")
        gone: list[int] = []
        for item in chosen:
            before = item.identity
            self.budget.take(steps=1 + len(item.tree))
            if isinstance(patch, dict):
                if not merge_strategic(item, patch, origin, self.budget):
                    gone.append(id(item))
            elif isinstance(patch, list):
                try:
                    apply_operations(item, patch, origin, self.budget)
                except PatchError as error:
                    self.note("conflict", own.path, f"{own.field}: {error}")
            if item.identity != before:
                item.was.append(before)
        return [item for item in items if id(item) not in gone] if gone else items

    def chosen(
        self, items: list[Item], target: dict[str, Value] | None, patch: Value
    ) -> list[Item]:
        self.budget.take(steps=len(items))
        if target is not None:
            return select(items, target)
        return find(items, patch) if isinstance(patch, dict) else []


def _from_file(path: str, own: Input) -> Callable[[str], tuple[Input, ...]]:
    return lambda below: joined((Input(path, below),), (own,))


def _entries(body: dict[str, Value], name: str) -> Iterator[tuple[str, str]]:
    """The texts of a list with the path of each."""
    items = body.get(name)
    if texts(items) and isinstance(items, list):
        for index, entry in enumerate(items):
            if isinstance(entry, str) and entry:
                yield entry, f"{name}[{index}]"
