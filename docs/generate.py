"""Writes what the documentation can take from the program itself, so that none of it is made up.

    docs/generate.py            writes it
    docs/generate.py --check    changes nothing; exits with 1 and names the pages that are stale
    docs/generate.py --images   draws the first page of the demo's report again (pdftoppm)

The reference pages of commands, views and events come from their definitions. In every page, what
stands below a `$ ledger …` of a `console` block is that command's output in a fresh demo.
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click
import msgspec

from ledger import events, reports
from ledger.cli import cli
from ledger.codec import Envelope
from ledger.demo.tour import REPORT

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
WIDTH = 100
WIDE = 160  # columns of the terminal in which examples run
_NOTE = (
    "<!-- Written by docs/generate.py from the program. Run `make docs` to write it again. -->\n\n"
)


def pages() -> dict[Path, str]:
    """Path of each page that is made or holds an example → its text as it should be."""
    made = {
        DOCS / "reference" / "cli.md": commands_page(),
        DOCS / "reference" / "events.md": events_page(),
        DOCS / "reference" / "views.md": views_page(),
    }
    written = [
        page for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md"))) if page not in made
    ]
    texts = {page: page.read_text("utf-8") for page in written}
    with_examples = {page: text for page, text in texts.items() if _EXAMPLE.search(text)}
    with tempfile.TemporaryDirectory() as folder:
        run = _demo(Path(folder))
        return made | {page: examples(text, run) for page, text in with_examples.items()}


# -- commands ------------------------------------------------------------------------------------


def commands_page() -> str:
    """The help of every command, as it prints itself."""
    lines = [
        "# Commands",
        "",
        "What each command prints with `--help`. How a resource is named and how times are written stands",
        "in [Ask a question](../tutorial.md#ask); exit codes have [a page of their own](exit-codes.md), and",
        "so has [the JSON](json-output.md).",
    ]
    for name, text in helps():
        lines += ["", f"## {name}", "", "```text", text, "```"]
    return _NOTE + "\n".join(lines) + "\n"


def helps() -> Iterator[tuple[str, str]]:
    """(`ledger source add git`, its help) of every command, in the order in which they are listed."""
    yield from _helps(cli, "ledger", None)


def _helps(
    command: click.Command, name: str, above: click.Context | None
) -> Iterator[tuple[str, str]]:
    word = name.rsplit(" ", 1)[-1]
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, info_name=word, parent=above, **settings)
    text = click.unstyle(command.get_help(context))
    yield name, "\n".join(line.rstrip() for line in text.splitlines())
    if isinstance(command, click.Group):
        for one in command.list_commands(context):
            below = command.get_command(context, one)
            if below is not None and not below.hidden:
                yield from _helps(below, f"{name} {one}", context)


# -- views ---------------------------------------------------------------------------------------


def views_page() -> str:
    """The data dictionary that `ledger sql --views` prints."""
    return _NOTE + reports.data_dictionary().lstrip("\n")


# -- events --------------------------------------------------------------------------------------


def events_page() -> str:
    """Every event type with its fields, and the values that stand in them."""
    lines = [
        "# Events",
        "",
        _prose(events.__doc__),
        "",
        "Every event stands in the log inside one envelope. Its bytes are RFC 8785 JSON; members at their",
        "default are left out. `position` is no member: it is the event's place in the log.",
        "",
        *_table(Envelope, data="the event's own data, below"),
        "",
        "A list of more than 100 items or a text above 8 KiB is kept apart, and",
        '`{"attachment": "sha256:…", "bytes": …}` stands in its place. The bytes of one event of each type',
        "stand in `tests/golden/events`; they are never edited.",
        "",
        "In SQL these are the rows of the view [`events`](views.md#events).",
        "",
        "# Event types",
    ]
    for kind in events.EVENT_TYPES:
        lines += ["", f"## {kind.TYPE}", "", f"Version {kind.VERSION}. {_prose(kind.__doc__)}", ""]
        lines += _table(kind)
    lines += ["", "# Values inside events"]
    for value in _values():
        lines += ["", f"## {value.__name__}", "", _prose(value.__doc__), "", *_table(value)]
    return _NOTE + "\n".join(lines) + "\n"


def _values() -> list[type[msgspec.Struct]]:
    """The structs that stand in the fields of events, in order of name."""
    found: dict[str, type[msgspec.Struct]] = {}
    waiting: list[Any] = list(events.EVENT_TYPES)
    while waiting:
        for annotation in get_type_hints(waiting.pop()).values():
            for part in (annotation, *get_args(annotation)):
                inside = part if isinstance(part, type) else type(None)
                if issubclass(inside, events.Fact) and inside.__name__ not in found:
                    found[inside.__name__] = inside
                    waiting.append(inside)
    return [found[name] for name in sorted(found)]


def _table(kind: type[msgspec.Struct], **meanings: str) -> list[str]:
    hints = get_type_hints(kind)
    lines = ["| field | type | if left out |", "|---|---|---|"]
    for one in msgspec.structs.fields(kind):
        shown = meanings.get(one.name) or _type(hints[one.name])
        lines.append(f"| `{one.name}` | {shown} | {_default(one)} |")
    return lines


def _type(annotation: Any) -> str:
    options = [one for one in get_args(annotation) if one is not type(None)]
    if get_origin(annotation) is list:
        return f"list of {_type(options[0])}"
    if options:
        return " or ".join(_type(one) for one in options)
    names = {str: "text", int: "integer", bool: "true or false"}
    if annotation in names:
        return names[annotation]
    return f"[{annotation.__name__}](#{annotation.__name__.lower()})"


def _default(one: msgspec.structs.FieldInfo) -> str:
    if one.required:
        return "never left out"
    value = one.default_factory() if one.default is msgspec.NODEFAULT else one.default
    names = {"": "empty", "None": "none", "[]": "empty", "False": "false"}
    return names.get(str(value), f"`{value}`")


def _prose(text: str | None) -> str:
    """A docstring as Markdown: paragraphs on their own lines, one space between words."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(re.sub(r"\s+", " ", one) for one in paragraphs)


# -- examples ------------------------------------------------------------------------------------

_EXAMPLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What differs from one demo to the next: its key and its folder, how much was asked before, and today.
_VOLATILE = re.compile(
    r"hmac-sha256:[0-9a-f]*|^tree head .*$|^(?:events|contents) +\d.*$|\d+ \w+ ago", re.MULTILINE
)


def examples(text: str, run: Callable[[list[str]], str]) -> str:
    """The page with the output of each command put below it, or kept where it says the same."""

    def told(block: re.Match[str]) -> str:
        parts: list[str] = []
        for typed, old in _commands(block[1]):
            new = run(shlex.split(typed.removeprefix("$ "))).rstrip("\n") + "\n"
            same = _VOLATILE.sub("", new) == _VOLATILE.sub("", old.rstrip("\n") + "\n")
            parts.append(typed + (old.rstrip("\n") + "\n" if same else new))
        return "```console\n" + "\n".join(parts) + "```"

    return _EXAMPLE.sub(told, text)


def _commands(block: str) -> Iterator[tuple[str, str]]:
    """(a command with its `$ `, what stands below it); a command goes on while a quote is open."""
    for part in re.split(r"^(?=\$ )", block, flags=re.MULTILINE):
        lines = part.splitlines(keepends=True)
        for count in range(1, len(lines) + 1):
            typed = "".join(lines[:count])
            try:
                shlex.split(typed)
            except ValueError:
                continue
            yield typed, "".join(lines[count:])
            break


def _demo(folder: Path) -> Callable[[list[str]], str]:
    """Makes a demo; gives what runs a command in it."""
    program = [sys.executable, "-m", "ledger"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": str(WIDE), "PYTHONUTF8": "1"}

    def run(words: list[str]) -> str:
        if words[0] != "ledger":
            raise SystemExit(f"an example can only run ledger, not {shlex.join(words)}")
        done = subprocess.run(
            program + words[1:],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        return done.stdout

    made = run(["ledger", "demo", "--directory", str(folder / "demo")])
    folder = folder / "demo"
    if not (folder / "README.txt").exists():
        raise SystemExit(f"the demo failed:\n{made}")
    return run


def draw_report() -> None:
    """Draws the first page of the demo's report. It differs with each demo, whose key is its own."""
    with tempfile.TemporaryDirectory() as folder:
        _demo(Path(folder))
        page = DOCS / "images" / "report-page-1"
        page.parent.mkdir(exist_ok=True)
        command = ["pdftoppm", "-png", "-r", "80", "-f", "1", "-l", "1", "-singlefile"]
        subprocess.run([*command, Path(folder) / "demo" / REPORT, page], check=True)


def main(arguments: list[str]) -> int:
    """Writes the pages, or only says which are stale."""
    check = arguments == ["--check"]
    if arguments == ["--images"]:
        draw_report()
        return 0
    if arguments and not check:
        sys.stderr.write(f"usage: {Path(__file__).name} [--check | --images]\n")
        return 2
    stale = {
        page: text
        for page, text in pages().items()
        if not page.is_file() or page.read_text("utf-8") != text
    }
    for page, text in stale.items():
        name = page.relative_to(ROOT)
        if check:
            sys.stderr.write(f"{name} is stale: run `make docs`\n")
        else:
            page.write_text(text, "utf-8")
            sys.stdout.write(f"{name} written\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
