"""The templates of `reports/`: which there are, and how one is filled.

A report is one file `NAME.html.j2`. It begins with a comment of `key: text` lines: its title, a sentence, and
the controls that it runs. Templates run in a sandbox, get data and can reach nothing else; whatever
they print is escaped and made visible.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from ledger.errors import NotFoundError, UsageError
from ledger.periods import local_text
from ledger.reports.shown import Draws, Shown, address, short_address
from ledger.store import schema

_HEADER = re.compile(r"\A\{#\n(.*?)#\}", re.DOTALL)
_KEYS = ("title", "sentence", "controls")


@dataclass(frozen=True, slots=True)
class Report:
    """One kind of report, as its template tells it."""

    name: str
    title: str
    sentence: str
    controls: tuple[str, ...]


def find_all() -> tuple[Report, ...]:
    """Every report there is, in order of its name. Raises UsageError for a template without a header."""
    paths = sorted(schema.shipped("reports").glob("[!_]*.html.j2"))
    return tuple(_report(path.name, path.read_text("utf-8")) for path in paths)


def find(name: str) -> Report:
    """The report with a name. Raises NotFoundError with those there are."""
    known = find_all()
    for one in known:
        if one.name == name:
            return one
    names = ", ".join(one.name for one in known)
    raise NotFoundError(f"there is no report {name!r}", hint=f"Known: {names}.")


def _report(file: str, text: str) -> Report:
    match = _HEADER.match(text)
    lines = match[1].splitlines() if match else []
    header = dict(re.findall(r"^([a-z]+): (.+)$", "\n".join(lines), re.MULTILINE))
    if missing := [key for key in _KEYS if key not in header]:
        raise UsageError(f"the template {file} lacks {', '.join(missing)} in its first comment")
    return Report(
        name=file.removesuffix(".html.j2"),
        title=header["title"],
        sentence=header["sentence"],
        controls=tuple(header["controls"].replace(",", " ").split()),
    )


def fill(template: str, values: Mapping[str, Any], time_zone: str, draws: Draws) -> str:
    """The text of a template with its values, for readers in a time zone.

    `draws` tells whether there is a glyph for a character. Raises jinja2's errors for a template that
    asks for what is not there: a fault of the template.
    """
    from jinja2 import FileSystemLoader, StrictUndefined  # noqa: PLC0415 (slow to import)
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    shown = Shown(draws)
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(schema.shipped("reports")),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=shown.value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.clear()
    environment.filters |= {
        "address": address,
        "count": lambda number: f"{number:,}",
        "cut": shown.cut,
        "lines": shown.lines,
        "local": lambda utc: local_text(utc, time_zone) if utc else "",
        "plain": lambda text: Markup.escape(shown.plain(text)),
        "short_address": short_address,
    }
    return environment.get_template(template).render(values)


def data_dictionary() -> str:
    """Every public view and column with its sentence, as Markdown."""
    from jinja2 import FileSystemLoader, StrictUndefined  # noqa: PLC0415 (slow to import)
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(schema.shipped("reports")),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown of our own sentences
        keep_trailing_newline=True,
    )
    return environment.get_template("data-dictionary.md.j2").render(views=schema.views())
