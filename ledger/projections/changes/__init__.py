"""Who changed which field of which resource, and when: the heart of the ledger.

For each mainline revision the files it changed are compared document by document with the state of
the branch below it. A resource keeps its identity when its document moves. State is kept per
branch; when the line of a branch changes, the resources that the displaced revisions touched go
back to where the remaining line left them.

Documents whose digest did not change are neither parsed nor compared.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledger.comparing import CHANGED, REMOVED
from ledger.events import CommitObserved, FileChange, RecordedEvent, RefMoved, RevisionObserved
from ledger.projections import Context, Projection, Row, key_text
from ledger.projections.changes.documents import documents
from ledger.projections.changes.moves import came_and_went
from ledger.projections.changes.recording import changed
from ledger.projections.changes.rows import (
    CHANGES,
    FIELD_CHANGES,
    LINES,
    RESOURCES,
    ChangeRow,
    Come,
    FieldRow,
    LineRow,
    ResourceRow,
    Revision,
    address_of,
)
from ledger.projections.commits import CommitRow
from ledger.projections.revisions import HEADS, RevisionRow, lines_apart

__all__ = ["PROJECTION", "ChangeRow", "FieldRow", "LineRow", "ResourceRow"]


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, RevisionObserved):
        step = context.get(RevisionRow, data.repository, data.branch, data.commit)
        if step is not None and step.evidence_position != recorded.position:
            yield from _realign(data.repository, data.branch, data.commit, context)
            return
        yield from _realign(data.repository, data.branch, data.first_parent, context)
        yield from _revision(recorded, data, context)
        yield LineRow(data.repository, data.branch, data.commit)
    elif isinstance(data, RefMoved):
        branch = data.ref.removeprefix(HEADS)
        if branch != data.ref and data.new:
            yield from _realign(data.repository, branch, data.new, context)


# -- the line of the branch ----------------------------------------------------------------------


def _realign(repository: str, branch: str, tip: str, context: Context) -> Iterable[Row]:
    line = context.get(LineRow, repository, branch)
    if line is None or line.tip == tip:
        return
    leaving, returning = lines_apart(repository, branch, line.tip, tip, context)
    touched: dict[str, None] = {}
    for step in [*leaving, *returning]:
        for change in context.find(
            ChangeRow, repository=repository, branch=branch, revision_number=step.number
        ):
            if change.commit_sha == step.commit_sha:
                touched[change.resource] = None
    for resource in touched:
        yield from _restored(resource, repository, branch, context)
    yield LineRow(repository, branch, tip)


def _restored(resource: str, repository: str, branch: str, context: Context) -> Iterable[Row]:
    """The resource as the last change on the current line left it; absent if there is none."""
    row = context.get(ResourceRow, resource)
    assert row is not None
    history = sorted(
        context.find(ChangeRow, resource=resource),
        key=lambda one: (-one.revision_number, -one.change),
    )
    for change in history:
        step = context.get(RevisionRow, repository, branch, change.commit_sha)
        if step is not None and not step.superseded:
            yield row._replace(
                path=change.path,
                api_group=change.api_group,
                kind=change.kind,
                namespace=change.namespace,
                name=change.name,
                ordinal=change.ordinal,
                present=int(change.action != REMOVED),
                digest=change.after_digest,
                item=change.after_item,
                opaque=change.after_opaque,
                unparsed=change.unparsed,
                warnings=change.warnings,
                last_revision=change.revision_number,
            )
            return
    yield row._replace(present=0, digest=None, opaque=None)


# -- one revision --------------------------------------------------------------------------------


def _revision(recorded: RecordedEvent, data: RevisionObserved, context: Context) -> Iterable[Row]:
    commit = context.get(CommitRow, data.repository, data.commit)
    if commit is None:
        return
    observed = context.event(commit.evidence_position).data
    assert isinstance(observed, CommitObserved)
    at = Revision(data.repository, data.branch, data.commit, data.number, recorded)
    gone: list[ResourceRow] = []
    come: list[Come] = []
    for file in observed.files:
        yield from _file(at, file, gone, come, context)
    yield from came_and_went(at, gone, come, context)


def _file(
    at: Revision, file: FileChange, gone: list[ResourceRow], come: list[Come], context: Context
) -> Iterable[Row]:
    path = key_text(file.path)
    rows = context.find(ResourceRow, repository=at.repository, branch=at.branch, path=path)
    present = {address_of(row): row for row in rows if row.present}
    for found in documents(path, file.after, present, context):
        held = present.pop(found.address, None)
        if held is None:
            come.append(Come(path, found))
        elif (held.digest, held.item, held.opaque) != (found.digest, found.item, found.opaque):
            yield from changed(at, held, path, found, CHANGED, context)
    gone.extend(present.values())


PROJECTION = Projection(
    name="changes",
    version=1,
    tables=(RESOURCES, CHANGES, FIELD_CHANGES, LINES),
    handles=(RevisionObserved, RefMoved),
    project=project,
    after=("revisions", "commits", "environments"),
)
