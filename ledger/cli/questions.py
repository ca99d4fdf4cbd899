"""The questions: when, history, blame, show, diff, log."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ledger.queries import Asker, ResourceName, Scope
    from ledger.queries.deciding import Decision

Command = Callable[..., Any]
Answer = TypeVar("Answer")


def _options(*names: str) -> Callable[[Command], Command]:
    known = {
        "namespace": click.option(
            "-n",
            "--namespace",
            help="The namespace: written in the document, or set by a kustomization or an application.",
        ),
        "repository": click.option("--repository", default="", help="Only this source."),
        "branch": click.option("--branch", default="", help="Only this tracked branch."),
        "path": click.option("--path", default="", help="Only files whose path holds this text."),
        "field": click.option("--field", default="", help="Only this field, such as roleRef.name."),
        "at": click.option("--at", default="", help="As of a time (2024-06-01, 2h) or a commit."),
        "output": click.option(
            "-o",
            "--output",
            type=click.Choice(["text", "json"]),
            default="text",
            help="How to print.",
        ),
    }

    def decorate(function: Command) -> Command:
        for name in reversed(names):
            function = known[name](function)
        return function

    return decorate


@contextmanager
def _asking() -> Iterator[Asker]:
    from ledger import config, registry  # noqa: PLC0415
    from ledger.documents import Documents  # noqa: PLC0415
    from ledger.queries import Asker  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415

    settings = config.load()
    with Store.open(settings.database_url, read_only=True) as store, store.connection.snapshot():
        registry.check_projections(store.versions())
        yield Asker(store, Documents(registry.parsers, store.content))


def _scope(options: dict[str, Any]) -> Scope:
    from ledger.queries import Scope  # noqa: PLC0415

    return Scope(
        **{
            name: options[name]
            for name in ("namespace", "repository", "branch", "path")
            if name in options
        }
    )


def _time(text: str) -> str:
    """UTC text of a time, or a commit id as it is."""
    from ledger.clock import utc_now  # noqa: PLC0415
    from ledger.instants import parse_instant  # noqa: PLC0415

    if not text or _looks_like_commit(text):
        return text
    return parse_instant(text, utc_now())


def _looks_like_commit(text: str) -> bool:
    if re.fullmatch(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", text):
        return False  # 20240601 is a day
    return len(text) >= 7 and all(char in "0123456789abcdef" for char in text)


def _each(resources: Sequence[ResourceName], ask: Callable[[ResourceName], Answer]) -> list[Answer]:
    """The answer for each document of a file that stood then; the first refusal where none did."""
    from ledger.errors import NotFoundError  # noqa: PLC0415

    answers: list[Answer] = []
    refusals: list[NotFoundError] = []
    for one in resources:
        try:
            answers.append(ask(one))
        except NotFoundError as error:
            refusals.append(error)
    if not answers:
        raise refusals[0]
    return answers


def _is_file(name: str, resources: Sequence[ResourceName]) -> bool:
    """Whether a question is about a file, and so about what is written there."""
    return any(one.path == name.removeprefix("./").rstrip("/") for one in resources)


def _written_as(
    resources: Sequence[ResourceName], decision: Decision, field: str, found: Sequence[str]
) -> str:
    """The other name under which a field is written; empty where another file decides the field."""
    from ledger.queries.spelling import written_as  # noqa: PLC0415

    if not field or decision.decided or len(resources) != 1:
        return ""
    return written_as(resources[0].api_group, resources[0].kind, field, found)


def _print_json(value: Any) -> None:
    from ledger.cli.text import json_text  # noqa: PLC0415

    click.echo(json_text(value))


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line)


@click.command()
@click.argument("name")
@_options("field", "namespace", "repository", "branch", "path", "at", "output")
def when(name: str, field: str, at: str, output: str, **where: Any) -> None:
    """When did NAME, or one field of it, change last; who did it; which pull request landed it.

    That is NAME as a cluster gets it: a change of a kustomization, patch or image that made it another one
    counts, one that is overridden does not. Of a path it is what is written there.

    NAME is KIND/NAME as in kubectl, a Terraform address, a path, or a resource's identity.
    """
    from ledger.cli import effective, text  # noqa: PLC0415
    from ledger.cli.trace import live_lines  # noqa: PLC0415
    from ledger.queries.deciding import Decider  # noqa: PLC0415

    with _asking() as asker:
        scope = _scope(where)
        resources = asker.resolve(name, scope)
        until = _time(at)
        decider = Decider(asker)
        if field or _is_file(name, resources):
            decision = decider.decide(resources, field, scope, until)
        else:
            decision = decider.last(resources, scope, until)
        found = decision.change
        if found is None:
            found = next(asker.history(resources, field=field, until=until, limit=1), None)
        moment = asker.moment(resources[0].repository, resources[0].branch, until)
        live = asker.where_live(found) if found is not None else []
        changed = found.fields if found is not None else []
        written = _written_as(resources, decision, field, [one.field for one in changed])
        if output == "json":
            asked = {"name": name, "field": field or None, "written_as": written or None}
            told = {"resources": resources, "decided_by": decision.decided, "moment": moment}
            answer = {"change": found, "live": live, "unread": decision.unread}
            _print_json({**asked, **told, **answer})
            return
        if found is None:
            raise asker.never_changed(resources, field)
        _print(text.fitted(effective.lines(resources, decision)))
        _print(effective.spelled(field, written))
        title = effective.title_of(found, resources, decision)
        _print(text.fitted(text.change_block(found, title)))
        _print(text.fitted(live_lines(live)))


@click.command()
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(0), default=0, help="At most this many changes; 0 for all."
)
@_options("field", "namespace", "repository", "branch", "path", "at", "output")
def history(name: str, field: str, at: str, limit: int, output: str, **where: Any) -> None:
    """Every change of NAME, or of one field of it, newest first.

    Those of its document, and those of the kustomizations, patches and images that made it another one for
    the cluster, under the name of their file. Of a path it is what is written there.

    A change of a file's mode alone (chmod) is no change of what it declares: it stands in the event of its
    commit (`ledger sql "select data from events where type = 'commit.observed'"`), not here.
    """
    from ledger.cli import effective, text  # noqa: PLC0415
    from ledger.queries.deciding import Decider  # noqa: PLC0415

    with _asking() as asker:
        scope, until = _scope(where), _time(at)
        resources = asker.resolve(name, scope)
        decider = Decider(asker)
        if field or _is_file(name, resources):
            decision = decider.decide(resources, field, scope, until)
        else:
            decision = decider.last(resources, scope, until, find=False)
        changes = decider.history(resources, decision, field=field, until=until, limit=limit)
        newest = next(changes, None)
        changed = newest.fields if newest is not None else []
        written = _written_as(resources, decision, field, [one.field for one in changed])
        changes = chain([newest] if newest is not None else [], changes)
        if output == "json":
            asked = {"name": name, "field": field or None, "written_as": written or None}
            told = {"resources": resources, "decided_by": decision.decided}
            every = list(changes)
            _print_json({**asked, **told, "changes": every, "unread": decider.unread})
            return
        _print(text.fitted(effective.lines(resources, decision)))
        _print(effective.spelled(field, written))
        first = True
        for change in changes:
            if not first:
                click.echo()
            first = False
            title = effective.title_of(change, resources, decision)
            _print(text.fitted(text.change_block(change, title)))
        if first:
            raise asker.never_changed(resources, field)
        _print(text.fitted(effective.left_out(decider.unread)))


@click.command()
@click.argument("name")
@_options("field", "namespace", "repository", "branch", "path", "at", "output")
def blame(name: str, field: str, at: str, output: str, **where: Any) -> None:
    """For each field of NAME as it is, the revision that set it."""
    import msgspec  # noqa: PLC0415

    from ledger.cli import effective, text  # noqa: PLC0415
    from ledger.errors import NotFoundError  # noqa: PLC0415
    from ledger.queries.deciding import Decider, Decision  # noqa: PLC0415
    from ledger.queries.spelling import is_meant, spellings  # noqa: PLC0415

    with _asking() as asker:
        scope = _scope(where)
        resources = asker.resolve(name, scope)
        decider = Decider(asker)
        told = _each(resources, lambda one: decider.blame(one, scope, at=_time(at)))
        answers = [answer for answer, _ in told]
        apart = sorted({one for _, directories in told for one in directories})
        if field:
            answers = [
                msgspec.structs.replace(
                    one,
                    fields=[
                        row
                        for row in one.fields
                        if is_meant(
                            row.field, spellings(one.resource.api_group, one.resource.kind, field)
                        )
                    ],
                )
                for one in answers
            ]
        found = [row.field for one in answers for row in one.fields]
        written = _written_as(resources, Decision(), field, found)
        if output == "json":
            _print_json({"name": name, "written_as": written or None, "resources": answers})
            return
        if field and not any(one.fields for one in answers):
            hint = asker.never_changed(resources, field).hint
            raise NotFoundError(f"{resources[0].title()} has no field {field!r}", hint=hint)
        _print(text.fitted(effective.lines(resources, Decision(each_for_itself=apart))))
        _print(effective.spelled(field, written))
        for answer in answers:
            _print(text.rows(text.blame_block(answer)))


@click.command()
@click.argument("name")
@_options("namespace", "repository", "branch", "path", "at", "output")
def show(name: str, at: str, output: str, **where: Any) -> None:
    """NAME as it is, or as it was --at a time: its document as kept, secrets redacted."""
    from ledger.cli import effective, text  # noqa: PLC0415

    with _asking() as asker:
        resources = asker.resolve(name, _scope(where))
        answers = _each(resources, lambda one: asker.show(one, at=_time(at)))
        if output == "json":
            _print_json({"name": name, "resources": answers})
            return
        _print([f"# {click.unstyle(line)}" for line in effective.lines(resources)])
        for answer in answers:
            _print(text.shown_block(answer))


@click.command()
@click.argument("name")
@click.argument("revisions", required=False)
@click.option("--from", "start", default="", help="The earlier time or commit.")
@click.option("--to", "end", default="", help="The later time or commit; now if left out.")
@_options("namespace", "repository", "branch", "path", "output")
def diff(name: str, revisions: str | None, start: str, end: str, output: str, **where: Any) -> None:
    """What differs in NAME between two times (--from, --to) or two revisions (A..B)."""
    from ledger.cli import text  # noqa: PLC0415
    from ledger.errors import UsageError  # noqa: PLC0415

    if revisions:
        start, dots, end = revisions.partition("..")
        if not dots or not start or not end:
            raise UsageError(
                f"{revisions!r} is no range of revisions", hint="Write A..B with commit ids."
            )
    if not start:
        raise UsageError(
            "diff needs a beginning", hint="Give --from TIME (and --to TIME), or A..B."
        )
    with _asking() as asker:
        resources = asker.resolve(name, _scope(where))
        answers = [asker.diff(one, start=_time(start), end=_time(end)) for one in resources]
        if output == "json":
            _print_json({"name": name, "resources": answers})
            return
        shown = [one for one in answers if one.fields] or answers[:1]
        for answer in shown:
            _print(text.fitted(text.difference_block(answer)))


@click.command()
@click.option("--since", default="", help="Landed at or after this time.")
@click.option("--until", default="", help="Landed before this time.")
@click.option(
    "--path", default="", help="Touched this file, or a file below this folder; * is any text."
)
@click.option("--author", default="", help="This author's name or e-mail.")
@click.option("--direct", is_flag=True, help="Only what no pull request is linked to.")
@click.option(
    "--unapproved",
    is_flag=True,
    help="Only what has no valid approval, each with why; also what was moved away from since.",
)
@click.option("--superseded", is_flag=True, help="Also what the branch has moved away from.")
@click.option("--limit", type=click.IntRange(0), default=0, help="At most this many; 0 for all.")
@_options("repository", "branch", "output")
def log(
    since: str,
    until: str,
    path: str,
    unapproved: bool,
    limit: int,
    output: str,
    **where: Any,
) -> None:
    """Mainline revisions, newest first, each with its pull request and how well that is known.

    The time is when it landed, in UTC; ~ marks one that is inferred from commit times. What only changed
    the mode of a file (chmod) is listed, too, but --path does not find it by that file.
    """
    from ledger.cli import text  # noqa: PLC0415

    with _asking() as asker:
        found = asker.log(
            _scope({**where, "path": path}),
            since=_time(since),
            until=_time(until),
            author=where["author"],
            direct=where["direct"],
            unapproved=unapproved,
            superseded=where["superseded"],
            limit=limit,
        )
        if output == "json":
            _print_json({"revisions": found})
            return
        _print(text.rows(text.log_lines(found, why=unapproved)))
        if not found:
            click.echo("no revision matches", err=True)
