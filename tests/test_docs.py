"""The documentation keeps up with the program: all that is public has its place, every link a target."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click
import msgspec
import pytest

from ledger import config, errors, events, queries
from ledger.cli import cli
from ledger.queries import people, pulls
from ledger.store import schema

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def read(name: str) -> str:
    """A page without the fences that hide headings."""
    return (ROOT / name).read_text("utf-8")


def sections(text: str) -> dict[str, str]:
    """Heading → what stands below it until the next one."""
    parts = re.split(r"^#+ (.+)$", without_code(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def without_code(text: str) -> str:
    """The text without its blocks of code, in which # is no heading."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def rows(text: str) -> dict[str, list[str]]:
    """First cell, without its backticks → the other cells, of every table."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]] for cells in lines}


def commands(command: click.Command, name: str = "ledger") -> Iterator[tuple[str, click.Command]]:
    """(full name, command) of every command."""
    yield name, command
    if isinstance(command, click.Group):
        for word, below in command.commands.items():
            yield from commands(below, f"{name} {word}")


@pytest.mark.slow
def test_generated_pages_and_examples_are_up_to_date() -> None:
    check = [sys.executable, str(DOCS / "generate.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_command_and_option_is_documented() -> None:
    page = read("docs/reference/cli.md")
    for name, command in commands(cli):
        part = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert part, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert all(option in part[1] for option in parameter.opts), (name, parameter.name)


def test_every_event_type_and_field_is_documented() -> None:
    found = sections(read("docs/reference/events.md"))
    for kind in events.EVENT_TYPES:
        part = found[kind.TYPE]
        assert f"Version {kind.VERSION}." in part
        assert [one.name for one in msgspec.structs.fields(kind)] == list(rows(part))[1:]
    assert {"Identity", "FileChange", "FileSide", "RefState", "Signature", "Trailer"} <= set(found)


def test_every_view_and_column_is_documented() -> None:
    found = sections(read("docs/reference/views.md"))
    for view in schema.views():
        assert view.sentence in found[view.name]
        assert list(rows(found[view.name]))[1:] == list(view.columns)


def test_every_setting_is_documented() -> None:
    found = sections(read("docs/reference/configuration.md"))
    places: dict[str, type[msgspec.Struct]] = {
        "The file": config.Settings,
        "`[redaction]`": config.RedactionSettings,
        "`[signing]`": config.SigningSettings,
        "`[[source]]`": config.SourceSettings,
        "`[[environment]]`": config.EnvironmentSettings,
        "`[[person]]`": config.PersonSettings,
        "`[[webhook]]`": config.WebhookSettings,
        "`[server]`": config.ServerSettings,
        "`[worker]`": config.WorkerSettings,
        "`[[report]]`": config.ReportSettings,
    }
    for heading, settings in places.items():
        names = {one.name for one in msgspec.structs.fields(settings)}
        nested = (
            {"redaction", "signing", "source", "environment", "folder"}
            | {"webhook", "server", "worker", "report", "person"}
            if heading == "The file"
            else set()
        )
        documented = set(rows(found[heading])) - {"member", "---"}
        assert documented == names - nested, heading


def test_every_environment_variable_is_documented() -> None:
    used: set[str] = set()
    for path in (ROOT / "ledger").rglob("*.py"):
        used |= set(re.findall(r"\bLEDGER_[A-Z][A-Z_]*[A-Z]\b", path.read_text("utf-8")))
    documented = set(rows(sections(read("docs/reference/configuration.md"))["The environment"]))
    assert used <= documented
    assert documented - used <= {"variable", "---"}


def test_the_example_configuration_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = re.search(r"```toml\n(.*?)```", read("docs/reference/configuration.md"), re.DOTALL)
    assert example
    (tmp_path / "ledger.toml").write_text(example[1], "utf-8")
    monkeypatch.setenv("LEDGER_CONFIG", str(tmp_path / "ledger.toml"))
    settings = config.load()
    assert settings.source[0].branches == ["main", "release"]
    assert settings.environment[0].tier == "production"


def test_every_exit_code_is_documented() -> None:
    documented = set(rows(read("docs/reference/exit-codes.md")))
    kinds = [
        one
        for _, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, errors.LedgerError)
    ]
    main = inspect.getsource(sys.modules["ledger.cli"])
    assert {str(kind.exit_code) for kind in kinds} <= documented
    assert set(re.findall(r"sys\.exit\((\d+)\)", main)) <= documented


STRUCTS = [
    one
    for room in (queries, pulls, people)
    for _, one in inspect.getmembers(room, inspect.isclass)
    if issubclass(one, msgspec.Struct) and not one.__name__.startswith(("_", "Scope"))
]


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: str(kind.__name__))
def test_json_shapes_are_documented(kind: type[msgspec.Struct]) -> None:
    documented = rows(sections(read("docs/reference/json-output.md"))[kind.__name__])
    hints = get_type_hints(kind)
    expected = {name: shown_type(hints[name]) for name in kind.__struct_fields__}
    told = {name: cells[0] for name, cells in documented.items() if name not in ("member", "---")}
    assert told == expected


def shown_type(annotation: Any) -> str:
    """A type as the page writes it."""
    if get_origin(annotation) is list:
        return f"list of {shown_type(get_args(annotation)[0])}"
    if type(None) in get_args(annotation) and len(get_args(annotation)) == 2:
        return f"{shown_type(get_args(annotation)[0])} or null"
    simple = {str: "text", int: "integer", bool: "true or false"}
    if annotation in simple:
        return simple[annotation]
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return "any"


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as forges make them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in sections(page.read_text("utf-8"))
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(without_code(page.read_text("utf-8"))):
        if "://" in link or "NNNN" in link:
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


def test_every_page_is_reached_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        links = LINK.findall(without_code(page.read_text("utf-8")))
        waiting += [
            (page.parent / link.partition("#")[0]).resolve() for link in links if "://" not in link
        ]
    assert set(DOCS.rglob("*.md")) <= seen


def test_decisions_are_numbered_and_titled_alike() -> None:
    index = read("docs/decisions/index.md")
    pages = sorted((DOCS / "decisions").glob("[0-9]*.md"))[1:]
    for number, page in enumerate(pages, 1):
        title = page.read_text("utf-8").splitlines()[0]
        assert page.name.startswith(f"{number:04}-")
        assert title.startswith(f"# {number:04}. ")
        assert f"{number}. [{title[8:]}]({page.name})" in index


def test_readme_names_the_two_commands_that_the_makefile_has() -> None:
    readme, makefile = read("README.md"), read("Makefile")
    for target in ("demo", "test"):
        assert f"    make {target} " in readme
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE)


def test_readme_answers_before_it_explains() -> None:
    lines = read("README.md").splitlines()
    begun = lines.index("```console")
    assert begun < 8
    assert 12 <= lines.index("```") - begun - 1 <= 20


def test_changelog_names_every_event_and_view() -> None:
    found = sections(read("CHANGELOG.md"))
    assert {f"{kind.TYPE}" for kind in events.EVENT_TYPES} <= set(
        re.findall(r"`([^`]+)`", found["Events"])
    )
    assert {view.name for view in schema.views()} <= set(re.findall(r"`([^`]+)`", found["Views"]))
