"""One function for each question about resources; each opens nothing and prints nothing.

They read the projections through the driver. A few indexed reads each, whatever the length of the
history.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from ledger import fields
from ledger.documents import Documents
from ledger.errors import NotFoundError
from ledger.fields import FieldChange
from ledger.queries.answers import (
    Blame,
    Blamed,
    Change,
    Difference,
    Field,
    Moment,
    Shown,
)
from ledger.queries.deployed import Deployed, where_live
from ledger.queries.many import for_each, growing
from ledger.queries.names import ResourceName, Scope, ambiguous, is_identity, resolve
from ledger.queries.revisions import Revisions
from ledger.queries.spelling import is_meant, spellings
from ledger.resources import FIELDS, Value
from ledger.store import Store

if TYPE_CHECKING:
    from ledger.queries.effective import Places


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A change as its table holds it, with what places it on a line."""

    change: int
    resource: str
    action: str
    path: str
    old_path: str
    api_group: str
    kind: str
    namespace: str
    name: str
    coarse: int
    before_digest: bytes | None
    before_item: int
    before_opaque: str | None
    after_digest: bytes | None
    after_item: int
    after_opaque: str | None
    unparsed: str
    warnings: str
    copied_from: str
    commit_sha: str
    revision_number: int
    superseded: int


_STEP = tuple(name for name in Step.__struct_fields__ if name != "superseded")
Rows = dict[int, list[FieldChange]]


class Asker(Revisions):
    """Answers questions from one open ledger."""

    def __init__(self, store: Store, documents: Documents) -> None:
        super().__init__(store.connection)
        self._store = store
        self._documents = documents
        self._steps: dict[str, list[Step]] = {}

    @cached_property
    def places(self) -> Places:
        """What becomes of documents in the directories that are built with them."""
        from ledger.queries.effective import Places  # noqa: PLC0415 (reads kustomizations: heavy)

        return Places(self._store, self._documents)

    def resolve(self, name: str, scope: Scope) -> list[ResourceName]:
        """The resource of a name, or every resource of a path; NotFoundError, AmbiguousError.

        Namespace and name may also be what a kustomization makes of them; `set_by` says so then.
        """
        try:
            found = resolve(self._connection, name, scope)
        except NotFoundError:
            found = self.places.made(name, scope)
            if not found:
                raise
        else:
            by_name = all(one.path != name for one in found)
            known = {one.resource for one in found}
            if scope.namespace is not None and by_name and not is_identity(name):
                made = self.places.made(name, scope)
                found += [one for one in made if one.resource not in known]
        if len(found) > 1 and all(one.path != name for one in found):
            raise ambiguous(name, found)
        return found

    def never_changed(self, resources: Sequence[ResourceName], field: str) -> NotFoundError:
        """The error that says that a field was never set, with the fields that are like it."""
        title = resources[0].title()
        if not field:
            return NotFoundError(f"{title} had no change by then")
        known: set[str] = set()
        for one in resources:
            state = self._state(self._line(one, "")[1])
            if state is not None:
                known |= {path for path, _ in fields.leaves(state[0], syntax=state[1])}
        near = difflib.get_close_matches(field, sorted(known), 5, 0.3)
        hint = "Fields like it:\n" + "\n".join(f"  {one}" for one in near) if near else ""
        return NotFoundError(f"{title} never had a field {field!r}", hint=hint)

    # -- questions -------------------------------------------------------------------------------

    def history(
        self, resources: Sequence[ResourceName], *, field: str = "", until: str = "", limit: int = 0
    ) -> Iterator[Change]:
        """The changes of resources, newest first; only those that touch `field` where one is named."""
        given = 0
        for some in growing(self.steps(resources, until), 0 if field else limit):
            told: list[tuple[Step, list[Field]]] = []
            known = self._many_rows(some)
            for step in some:
                changed = self._fields(step, known, field)
                if changed or not field:
                    told.append((step, changed))
                if limit and given + len(told) == limit:
                    break
            self._warm(resources, [step for step, _ in told])
            for step, changed in told:
                yield self._change(resources, step, changed)
            given += len(told)
            if limit and given == limit:
                return

    def steps(self, resources: Sequence[ResourceName], until: str = "") -> list[Step]:
        """Where resources changed, newest first, on the line that the tip had then."""
        steps = [step for one in resources for step in self._line(one, until)[1]]
        steps = [step for step in steps if step.action != "formatted"]
        return sorted(steps, key=lambda step: (-step.revision_number, step.change))

    def changes(self, resources: Sequence[ResourceName], steps: Sequence[Step]) -> list[Change]:
        """The changes that were made in some steps."""
        known = self._many_rows(steps)
        self._warm(resources, steps)
        return [self._change(resources, step, self._fields(step, known, "")) for step in steps]

    def _warm(self, resources: Sequence[ResourceName], steps: Sequence[Step]) -> None:
        for repository, branch in {(one.repository, one.branch) for one in resources}:
            own = {one.resource for one in resources if one.repository == repository}
            commits = [step.commit_sha for step in steps if step.resource in own]
            self.warm(repository, branch, commits)

    def where_live(self, change: Change) -> list[Deployed]:
        """Where a change is live, as controllers tell; empty where no application is made from it."""
        one = change.revision
        return where_live(
            self._connection,
            one.repository,
            one.branch,
            number=one.number,
            commit=one.commit_sha,
            paths=[change.path],
            fields=[each.field for each in change.fields],
        )

    def blame(self, resource: ResourceName, *, at: str = "") -> Blame:
        """The revision that set each field of a resource as it is, or was `at` a time."""
        moment, steps = self._line(resource, at)
        body, syntax = self._body_now(resource, steps)
        by_commit = {step.commit_sha: step for step in steps}

        def rows() -> Iterator[tuple[str, list[FieldChange] | None]]:
            for some in growing(steps[::-1]):
                known = self._many_rows([step for step in some if step.action != "added"])
                for step in some:
                    added = step.action == "added"
                    yield step.commit_sha, None if added else self._rows(step, known)

        def bodies(commit: str) -> tuple[Value, Value] | None:
            step = by_commit[commit]
            return self._body_before(step)[0], self._body_after(step)[0]

        told = fields.blame(body, rows(), syntax=syntax, bodies=bodies)
        self.warm(resource.repository, resource.branch, told.values())
        blamed = [
            Blamed(
                field=path,
                value=value,
                revision=self.revision(resource.repository, resource.branch, told[path]),
            )
            for path, value in fields.leaves(body, syntax=syntax)
            if path in told
        ]
        return Blame(resource=resource, moment=moment, fields=blamed)

    def show(self, resource: ResourceName, *, at: str = "") -> Shown:
        """A resource as it is, or was `at` a time."""
        moment, steps = self._line(resource, at)
        body, _ = self._body_now(resource, steps)
        last = steps[-1]
        text = self._text(last)
        real = [step for step in steps if step.action != "formatted"]
        return Shown(
            resource=resource,
            moment=moment,
            path=last.path,
            text=text,
            body=body,
            changed=self.revision(
                resource.repository, resource.branch, (real or steps)[-1].commit_sha
            ),
        )

    def diff(self, resource: ResourceName, *, start: str, end: str) -> Difference:
        """The fields of a resource that differ between two times or revisions."""
        before_moment, before_steps = self._line(resource, start)
        after_moment, after_steps = self._line(resource, end)
        before = self._state(before_steps)
        after = self._state(after_steps)
        if before is None or after is None:
            rows = _whole(before[0] if before else None, after[0] if after else None, before, after)
        else:
            same = before[1] == after[1]
            found = fields.diff(before[0], after[0], syntax=after[1]) if same else None
            rows = [FieldChange("", "changed", before[0], after[0])] if found is None else found
        shown = [
            Field(field=one.field, action=one.action, old=one.old, new=one.new) for one in rows
        ]
        return Difference(resource=resource, before=before_moment, after=after_moment, fields=shown)

    def _line(self, resource: ResourceName, at: str) -> tuple[Moment, list[Step]]:
        """The moment, and the resource's changes up to it on the line that the tip then had."""
        moment = self.moment(resource.repository, resource.branch, at)
        displaced, fork = self._displaced(resource.repository, resource.branch, moment)
        if resource.resource not in self._steps:
            columns = ", ".join(f"h.{name}" for name in _STEP)
            rows = self._connection.rows(
                f"select {columns}, r.superseded from model_resource_change h "  # noqa: S608
                "join model_revision r on r.repository = h.repository and r.branch = h.branch "
                "and r.commit_sha = h.commit_sha where h.resource = ? "
                "order by h.revision_number, h.change",
                (resource.resource,),
            )
            names = (*_STEP, "superseded")
            steps = [Step(**dict(zip(names, row, strict=True))) for row in rows]
            self._steps[resource.resource] = steps
        kept = [
            step
            for step in self._steps[resource.resource]
            if step.commit_sha in displaced
            or (not step.superseded and step.revision_number <= fork)
        ]
        return moment, kept

    # -- documents -------------------------------------------------------------------------------

    def _state(self, steps: Sequence[Step]) -> tuple[Value, str] | None:
        if not steps or steps[-1].action == "removed":
            return None
        return self._body_after(steps[-1])

    def _body_now(self, resource: ResourceName, steps: Sequence[Step]) -> tuple[Value, str]:
        state = self._state(steps)
        if state is None:
            word = "was removed by then" if steps else "was not declared yet"
            raise NotFoundError(
                f"{resource.title()} {word}", hint="`ledger history` tells its whole story."
            )
        return state

    def _body_after(self, step: Step) -> tuple[Value, str]:
        return self._body(step.path, step.after_digest, step.after_item, step.after_opaque)

    def _body_before(self, step: Step) -> tuple[Value, str]:
        path = step.old_path or step.path
        return self._body(path, step.before_digest, step.before_item, step.before_opaque)

    def _body(
        self, path: str, digest: bytes | None, item: int, opaque: str | None
    ) -> tuple[Value, str]:
        if opaque is not None:
            return msgspec.json.decode(opaque), FIELDS
        if digest is None:
            return None, FIELDS
        one = self._documents.parse(path, bytes(digest))[item]
        return one.body, one.syntax

    def _text(self, step: Step) -> str:
        if step.after_digest is None:
            return step.after_opaque or ""
        return self._store.content(bytes(step.after_digest)).decode("utf-8", "replace")

    # -- rows ------------------------------------------------------------------------------------

    def _many_rows(self, steps: Sequence[Step]) -> Rows:
        """The field rows of changes, but of those that had too many."""
        found: Rows = {}
        rows = for_each(
            self._connection,
            sorted({step.change for step in steps if not step.coarse}),
            "select f.change, f.field, f.action, f.old_value, f.new_value from w "
            "cross join model_field_change f where f.change = w.wanted order by f.change, f.sequence",
        )
        for change, field, action, old, new in rows:
            one = FieldChange(field, action, _value(old), _value(new))
            found.setdefault(change, []).append(one)
        return found

    def _rows(self, step: Step, known: Rows) -> list[FieldChange]:
        """The field rows of a change; made again from the documents where they were too many."""
        if not step.coarse:
            return known.get(step.change, [])
        before, syntax = self._body_before(step)
        after, new_syntax = self._body_after(step)
        found = fields.diff(before, after, syntax=syntax) if syntax == new_syntax else None
        return [FieldChange("", "changed", before, after)] if found is None else found

    def _fields(self, step: Step, known: Rows, wanted: str) -> list[Field]:
        rows = self._rows(step, known)
        if not wanted:
            return [
                Field(field=one.field, action=one.action, old=one.old, new=one.new) for one in rows
            ]
        names = spellings(step.api_group, step.kind, wanted)
        found: list[Field] = []
        for one in rows:
            if is_meant(one.field, names):
                found += self._narrowed(step, one, names)
        return found

    def _narrowed(self, step: Step, row: FieldChange, wanted: Sequence[str]) -> list[Field]:
        """A row on a subtree, cut down to the fields below it that were asked for."""
        whole = [Field(field=row.field, action=row.action, old=row.old, new=row.new)]
        if (
            row.field
            and not isinstance(row.old, dict | list)
            and not isinstance(row.new, dict | list)
        ):
            return whole
        before, after = self._body_before(step), self._body_after(step)
        old, new = self._leaves(before, row.field, wanted), self._leaves(after, row.field, wanted)
        everything = len(self._leaves(before, row.field, ())) + len(
            self._leaves(after, row.field, ())
        )
        if row.field and len(old) + len(new) == everything:
            return whole
        found: list[Field] = []
        for path in {**old, **new}:
            if path not in old:
                found.append(Field(field=path, action="added", old=None, new=new[path]))
            elif path not in new:
                found.append(Field(field=path, action="removed", old=old[path], new=None))
            elif old[path] != new[path] or type(old[path]) is not type(new[path]):
                found.append(Field(field=path, action="changed", old=old[path], new=new[path]))
        return found

    @staticmethod
    def _leaves(document: tuple[Value, str], above: str, wanted: Sequence[str]) -> dict[str, Value]:
        body, syntax = document
        if body is None:
            return {}
        return {
            path: value
            for path, value in fields.leaves(body, syntax=syntax)
            if fields.under(path, above) and (not wanted or is_meant(path, wanted))
        }

    def _change(
        self, resources: Sequence[ResourceName], step: Step, changed: list[Field]
    ) -> Change:
        owner = next(one for one in resources if one.resource == step.resource)
        return Change(
            resource=step.resource,
            action=step.action,
            path=step.path,
            old_path=step.old_path,
            api_group=step.api_group,
            kind=step.kind,
            namespace=step.namespace,
            name=step.name,
            fields=changed,
            copied_from=step.copied_from,
            unparsed=step.unparsed,
            warnings=step.warnings,
            revision=self.revision(owner.repository, owner.branch, step.commit_sha),
        )


def _value(text: str | None) -> Value:
    return None if text is None else msgspec.json.decode(text)


def _whole(before: Value, after: Value, was: object, is_: object) -> list[FieldChange]:
    if was is None and is_ is None:
        return []
    return [FieldChange("", "removed" if is_ is None else "added", before, after)]
