"""Answers as text for a terminal. Nothing that came from outside can act on the terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec

from ledger.queries import (
    Blame,
    Change,
    Difference,
    Field,
    Moment,
    Named,
    ResourceName,
    Revision,
    Shown,
)
from ledger.queries.revisions import landed_clock
from ledger.resources import Value

WIDE = 72
NARROWEST, WIDEST = 60, 120
_LABEL = re.compile(r" {2}\S.{0,11}? {2,}(?=\S)")
_TOKEN = re.compile(r"(hmac-sha256:[0-9a-f]{12})[0-9a-f]{52}")
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


def json_text(answer: Any) -> str:
    """An answer as indented JSON. What JSON lets stand and a terminal would obey is escaped, too."""
    text = msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(
        json.dumps(char)[1:-1]
        if char != "\n" and unicodedata.category(char).startswith(("C", "Zl", "Zp"))
        else char
        for char in text
    )


def _escape(char: str) -> str:
    code = ord(char)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}"
    )


def width() -> int:
    """How many columns a line may take: those of the terminal or of COLUMNS, within reason."""
    known = os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty()
    columns = shutil.get_terminal_size((WIDEST, 24)).columns if known else WIDEST
    return min(max(columns, NARROWEST), WIDEST)


def fitted(lines: Iterable[str]) -> list[str]:
    """The lines broken between words to fit; what follows a break stands below where the text began."""
    columns = width()
    return [part for line in lines for part in _broken(line, columns)]


def rows(lines: Iterable[str]) -> list[str]:
    """Lines that programs may read, too, one for each row: broken only where a person looks on."""
    return fitted(lines) if sys.stdout.isatty() else list(lines)


def _broken(line: str, columns: int) -> list[str]:
    plain = click.unstyle(line)
    if len(plain) <= columns:
        return [line]
    label = _LABEL.match(plain)
    margin = " " * (label.end() if label else 4)
    parts: list[str] = []
    words = line.split(" ")
    now = words[0]
    for word in words[1:]:
        longer = f"{now} {word}"
        text = click.unstyle(now).strip()
        if (
            word
            and text
            and len(click.unstyle(longer)) > columns
            and len(click.unstyle(now)) > len(margin)
        ):
            parts.append(now.rstrip())
            now = margin + word
        else:
            now = longer
    return [*parts, now]


def value(body: Value, width: int = WIDE) -> str:
    """A value as short JSON; of the digest of a secret the beginning, which tells it from others."""
    text = _TOKEN.sub(r"\1…", visible(msgspec.json.encode(body).decode()))
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


def pushed(revision: Revision) -> str:
    """`by sam at TIME (reported)`, with what kind of direct push it is, or `unknown: …`."""
    one = revision.push
    if one.direct == "unknown":
        return f"unknown: {visible(one.reason)}"
    at = f" at {one.at}" if one.at else ""
    kind = f"{one.direct}: {visible(one.reason)}" if one.direct else ""
    by = f"by {visible(one.by) or 'somebody unknown'}{at} (reported)"
    return f"{by}, {kind}" if kind else by


def named(one: Named) -> str:
    """`#7, 5069bf38c980 (proved: …)` of what a revision reverts or brings again."""
    number = f"#{one.number}, " if one.number is not None else ""
    grade = click.style(one.grade, fg=_GRADES.get(one.grade))
    return f"{number}{one.commit_sha[:12]} ({grade}: {visible(one.reason)})"


def approval(revision: Revision) -> str:
    """`approved by bob at TIME (reported)`, `not approved (reported): …` or `unknown: …`."""
    one = revision.approval
    if one.verdict == "approved":
        names = visible(", ".join(one.approvers))
        return (
            f"{click.style('approved', fg='green')} by {names} at {one.approved_at} ({one.grade})"
        )
    if one.verdict == "unapproved":
        told = f" ({one.grade})" if one.grade != "unlinked" else ""
        return f"{click.style('not approved', fg='red')}{told}: {visible(one.reason)}"
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
    landed = landed_clock(
        revision.landed_at, revision.landed_grade, link.merged_at, revision.push.at
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
    lines += [f"  {_dim(f'{one.role:<9}')} {named(one)}" for one in revision.names]
    if revision.push.direct or (revision.push.by and revision.push.by != link.merged_by):
        lines.append(f"  {_dim('pushed')}    {pushed(revision)}")
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
    width = min(max((len(one.field) for one in blame.fields), default=0), 48)
    people = min(max((len(one.revision.author.name) for one in blame.fields), default=0), 18)
    lines = [_headline(blame.resource), moment_line(blame.moment)]
    for one in blame.fields:
        revision = one.revision
        verdict = revision.approval.verdict
        lines.append(
            f"{revision.landed_at[:10]}  {revision.commit_sha[:9]}  {_number(revision)}  "
            + click.style(f"{verdict:<10}", fg=_VERDICTS.get(verdict))
            + f"  {visible(revision.author.name)[:people]:<{people}}  {visible(one.field):<{width}}"
            f"  {value(one.value, 48)}"
            + (_dim(f"  from {visible(one.path)} {visible(one.input_field)}") if one.path else "")
        )
    return lines


def _number(revision: Revision) -> str:
    """The pull request in a column, with its grade."""
    link = revision.pull_request
    direct = revision.push.direct if revision.push.direct in ("bot", "bypass") else "direct"
    number = f"#{link.number}" if link.number is not None else direct
    return click.style(f"{number:>7} {link.grade:<8}", fg=_GRADES.get(link.grade))


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


def log_lines(revisions: Sequence[Revision], *, why: bool = False) -> list[str]:
    """A line for each revision; with `why`, another one below it that gives the reason of the verdict."""
    lines = []
    for one in revisions:
        mark = "  superseded" if one.superseded else ""
        clock = "~" if one.landed_grade == "inferred" else " "
        lines.append(
            f"{one.landed_at}{clock} {one.repository}@{one.branch} {one.number:>6}  "
            f"{one.commit_sha[:9]}  "
            + _number(one)
            + "  "
            + click.style(f"{one.approval.verdict:<10}", fg=_VERDICTS.get(one.approval.verdict))
            + f"  {visible(one.author.name)[:20]:<20}  {visible(one.subject)[:90]}{mark}"
        )
        lines += [f"    {role.role} {named(role)}" for role in one.names]
        if why:
            direct = f"; {visible(one.push.reason)}" if one.push.direct else ""
            lines.append(f"    {visible(one.approval.reason)}{direct}")
    return lines


def title_of(change: Change, resources: Sequence[ResourceName]) -> str:
    """The name under which a change is shown."""
    return next(one for one in resources if one.resource == change.resource).title()
