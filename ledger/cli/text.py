"""Answers as text for a terminal. Nothing that came from outside can act on the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import click
import msgspec

from ledger.queries import Blame, Change, Difference, Field, Moment, ResourceName, Revision, Shown
from ledger.resources import Value

WIDE = 72
_ACTIONS = {"added": "green", "removed": "red", "changed": "yellow", "moved": "cyan"}
_VERDICTS = {"approved": "green", "unapproved": "red", "unknown": "yellow"}
_GRADES = {"proved": "green", "reported": "green", "inferred": "yellow", "unlinked": "red"}


def visible(text: str, *, lines: bool = False) -> str:
    """The text with control and direction characters written out as escapes."""
    if text.isprintable():
        return text
    keep = "\n\t" if lines else ""
    return "".join(
        char
        if char in keep or not unicodedata.category(char).startswith(("C", "Zl", "Zp"))
        else _escape(char)
        for char in text
    )


def _escape(char: str) -> str:
    code = ord(char)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}"
    )


def value(body: Value, width: int = WIDE) -> str:
    """A value as short JSON."""
    text = visible(msgspec.json.encode(body).decode())
    return text if len(text) <= width else text[: width - 1] + "…"


def _bold(text: str) -> str:
    return click.style(text, bold=True)


def _dim(text: str) -> str:
    return click.style(text, dim=True)


def person(name: str, email: str) -> str:
    """`Name <email>`."""
    return visible(f"{name} <{email}>" if email else name or "nobody named")


def field_line(one: Field) -> str:
    """`field: old → new`."""
    name = _bold(visible(one.field)) if one.field else _bold("(the whole resource)")
    if one.action == "added":
        return f"{name}: {click.style('+ ' + value(one.new), fg='green')}"
    if one.action == "removed":
        return f"{name}: {click.style('- ' + value(one.old), fg='red')}"
    return f"{name}: {click.style(value(one.old), fg='red')} → {click.style(value(one.new), fg='green')}"


def pull_request(revision: Revision) -> str:
    """`#12 (proved: …)`."""
    link = revision.pull_request
    number = f"#{link.number}" if link.number is not None else "none"
    return f"{number} {click.style(link.grade, fg=_GRADES.get(link.grade))}: {visible(link.reason)}"


def approval(revision: Revision) -> str:
    """`approved by bob at TIME (reported)`, `not approved: …` or `unknown: …`.

    What a forge reports of a pull request is known no better than the link to it.
    """
    one = revision.approval
    if one.verdict == "approved":
        link = revision.pull_request.grade
        grade = link if link == "inferred" else "reported"
        names = visible(", ".join(one.approvers))
        return f"{click.style('approved', fg='green')} by {names} at {one.approved_at} ({grade})"
    if one.verdict == "unapproved":
        return f"{click.style('not approved', fg='red')}: {visible(one.reason)}"
    return f"{click.style('unknown', fg='yellow')}: {visible(one.reason)}"


def change_block(change: Change, title: str) -> list[str]:
    """A change in full: who, what, when by every clock, where it landed, which pull request."""
    revision = change.revision
    action = click.style(change.action, fg=_ACTIONS.get(change.action), bold=True)
    lines = [
        f"{_bold(visible(title))}  {action} in revision {revision.number} "
        f"of {revision.repository}@{revision.branch}"
    ]
    lines.append(
        f"  {_dim('file')}      {visible(change.path)}"
        + (f"  (was {visible(change.old_path)})" if change.old_path else "")
    )
    lines += [f"  {field_line(one)}" for one in change.fields[:20]]
    if len(change.fields) > 20:
        lines.append(
            _dim(f"  … and {len(change.fields) - 20} more fields; --output json shows all")
        )
    if change.copied_from:
        lines.append(
            f"  {_dim('copied')}    from resource {change.copied_from} of another environment"
        )
    if change.unparsed:
        lines.append(f"  {_dim('unparsed')}  {visible(change.unparsed)}; compared by lines")
    if change.warnings:
        lines.append(f"  {_dim('warning')}   {visible(change.warnings)}")
    return lines + revision_lines(revision)


def revision_lines(revision: Revision) -> list[str]:
    """The revision that did it, with every clock."""
    author = person(revision.author.name, revision.author.email)
    committer = person(revision.committer.name, revision.committer.email)
    by = "" if committer == author else f", committed by {committer}"
    link = revision.pull_request
    landed = (
        "inferred from commit times"
        if revision.landed_grade == "inferred"
        else "as the forge says"
        if revision.landed_at == link.merged_at
        else "seen by the ledger"
    )
    lines = [
        f"  {_dim('who')}       {author}{by}  {_dim('(as the commit claims)')}",
        f"  {_dim('what')}      {revision.commit_sha[:12]}  {visible(revision.subject)}",
        f"  {_dim('landed')}    {revision.landed_at}  {_dim(landed)}",
        f"  {_dim('clocks')}    authored {revision.authored_at}, committed {revision.committed_at}, "
        f"recorded {revision.recorded_at}",
        f"  {_dim('pull')}      {pull_request(revision)}",
        f"  {_dim('approval')}  {approval(revision)}",
    ]
    if link.merged_at:
        by = visible(link.merged_by) or "somebody unknown"
        lines.append(f"  {_dim('merged')}    by {by} at {link.merged_at} (reported)")
    if revision.signature_status != "none":
        lines.append(f"  {_dim('signature')} {revision.signature_status}")
    if revision.superseded:
        lines.append(
            click.style("  superseded: the branch has moved away from this revision", fg="red")
        )
    return lines


def moment_line(moment: Moment) -> str:
    """Which state "at that time" was taken to be."""
    return _dim(
        f"at {moment.at}: revision {moment.number} ({moment.commit_sha[:12]}), {moment.clock}"
    )


def _headline(resource: ResourceName) -> str:
    title = resource.title()
    where = "" if title == resource.path else f"  {visible(resource.path)}"
    return _bold(visible(title)) + where


def blame_block(blame: Blame) -> list[str]:
    """A line for each field."""
    width = min(max((len(one.field) for one in blame.fields), default=0), 60)
    lines = [_headline(blame.resource), moment_line(blame.moment)]
    for one in blame.fields:
        revision = one.revision
        link = (
            f"#{revision.pull_request.number}"
            if revision.pull_request.number is not None
            else "direct"
        )
        lines.append(
            f"{revision.landed_at[:10]}  {revision.commit_sha[:9]}  {link:>7}  "
            f"{visible(revision.author.name)[:18]:<18}  {visible(one.field):<{width}}  {value(one.value, 48)}"
            + (_dim(f"  {visible(one.path)} {visible(one.input_field)}") if one.path else "")
        )
    return lines


def shown_block(shown: Shown) -> list[str]:
    """The document's text under a heading."""
    head = [f"# {click.unstyle(_headline(shown.resource))}"]
    head.append(f"# {click.unstyle(moment_line(shown.moment))}")
    revision = shown.changed
    link = (
        f"#{revision.pull_request.number}"
        if revision.pull_request.number is not None
        else "no pull request"
    )
    head.append(
        f"# last changed in revision {revision.number} ({revision.commit_sha[:12]}, {link})"
    )
    head.append(f"# approval {click.unstyle(approval(revision))}")
    return [*(_dim(line) for line in head), visible(shown.text, lines=True).rstrip("\n")]


def difference_block(difference: Difference) -> list[str]:
    """The fields that differ."""
    lines = [_bold(visible(difference.resource.title()))]
    lines += [moment_line(difference.before), moment_line(difference.after)]
    if not difference.fields:
        return [*lines, "no difference"]
    return [*lines, *(f"  {field_line(one)}" for one in difference.fields)]


def log_lines(revisions: Sequence[Revision]) -> list[str]:
    """A line for each revision."""
    lines = []
    for one in revisions:
        link = one.pull_request
        number = f"#{link.number}" if link.number is not None else "direct"
        mark = " superseded" if one.superseded else ""
        lines.append(
            f"{one.landed_at}  {one.repository}@{one.branch} {one.number:>6}  {one.commit_sha[:9]}  "
            + click.style(f"{number:>7} {link.grade:<8}", fg=_GRADES.get(link.grade))
            + "  "
            + click.style(f"{one.approval.verdict:<10}", fg=_VERDICTS.get(one.approval.verdict))
            + f"  {visible(one.author.name)[:20]:<20}  {visible(one.subject)[:90]}{mark}"
        )
    return lines


def title_of(change: Change, resources: Sequence[ResourceName]) -> str:
    """The name under which a change is shown."""
    return next(one for one in resources if one.resource == change.resource).title()
