"""`ledger demo`: a small company's story, ingested as it happens and then asked.

The company works, and the ledger looks: at its repository, and at what its forge, its Argo CD and its
clusters tell in files. Nothing here knows an answer: every line below a command comes from the command
itself. Nothing of the user's own ledger is read or written, whatever the environment names.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import click

from ledger.errors import LedgerError, SourceError, UsageError

NAME = "ledger-demo"
MADE = "README.txt"
_GIT_SETTINGS = ".ledger/gitconfig"
_MARK = "Made by `ledger demo`"
# One application belongs to no environment: what nobody mapped is said to be unmapped.
_CONFIGURATION = """\
name = "Acme"

[[source]]
kind = "git"
name = "infra"
url = "infra"
forge = "github.com/acme/infra"
branches = ["main"]

[[person]]
name = "Maya Lindqvist"
logins = ["github.com/maya-l", "github.com/maya-home"]
emails = ["maya@acme.example"]

[[environment]]
name = "prod"
tier = "production"
repository = "infra"
paths = ["apps/*/overlays/production/*", "terraform/*", "firewall/*", "hosts/*"]
clusters = ["prod-eu1"]
namespaces = ["payments", "web", "orders"]

[[environment]]
name = "staging"
tier = "staging"
repository = "infra"
paths = ["apps/*/overlays/staging/*"]
clusters = ["staging-eu1"]
"""


def run(directory: Path | None, *, database: str = "sqlite:///ledger.db") -> None:
    """Makes the demo in a folder (a new one if None), then asks its ledger; asks again if it is there.

    Raises UsageError where the folder holds anything else. Takes some fifteen seconds.
    """
    folder = (directory or _free_folder()).absolute()
    there = _is_made(folder)
    with _own_environment(folder):
        if not there:
            _make(folder, database)
        with chdir(folder):  # where a person would type the commands
            _tour(folder, there)
    _farewell(folder)


# -- the folder ----------------------------------------------------------------------------------


def _free_folder() -> Path:
    number = 1
    while True:
        folder = Path(NAME if number == 1 else f"{NAME}-{number}")
        if not folder.exists() and not folder.is_symlink():
            return folder
        number += 1


def _is_made(folder: Path) -> bool:
    """Whether a finished demo stands in the folder. UsageError if anything else does."""
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return False
        mark = folder / MADE
        if mark.is_file() and mark.read_text("utf-8", "replace").startswith(_MARK):
            return True
    except OSError as error:
        raise _unusable(folder, error) from error
    raise UsageError(
        f"{folder} is not empty and holds no finished demo; nothing was changed in it",
        hint="Name a folder that does not exist yet: ledger demo --directory FOLDER. "
        "If this is a demo that was stopped half-way, remove it.",
    )


def _unusable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"the demo cannot use {folder}: {error.strerror or error}",
        hint="Name a folder that you may write to: ledger demo --directory FOLDER.",
    )


@contextmanager
def _own_environment(folder: Path) -> Iterator[None]:
    """The demo's configuration in place of the user's: of the ledger, and of Git."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("LEDGER_", "GIT_")) and name != "GIT_EXEC_PATH":
            del os.environ[name]
    os.environ["LEDGER_CONFIG"] = str(folder / "ledger.toml")
    os.environ |= {"GIT_CONFIG_GLOBAL": str(folder / _GIT_SETTINGS), "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# -- making --------------------------------------------------------------------------------------


def _make(folder: Path, database: str) -> None:
    from ledger import config  # noqa: PLC0415 (heavy, and not needed to refuse a folder)
    from ledger.cli.commands import set_up  # noqa: PLC0415

    if shutil.which("git") is None:
        raise SourceError("git is not installed", hint="Install git 2.39 or newer.")
    begun = time.monotonic()
    click.echo(f"Making a company's repository and its ledger in {folder} …")
    path = folder / "ledger.toml"
    try:
        (folder / _GIT_SETTINGS).parent.mkdir(parents=True, exist_ok=True)
        # On some mounts what we write belongs to somebody else, and Git would refuse to read it.
        (folder / _GIT_SETTINGS).write_text("[safe]\n\tdirectory = *\n", "utf-8")
        config.write_new(path, database)
        with path.open("a", encoding="utf-8") as file:
            file.write(_CONFIGURATION)
    except OSError as error:
        raise _unusable(folder, error) from error
    if warning := set_up(config.load()).warning:
        click.echo(f"warning: {warning}", err=True)
    looks, events = _live_through(folder)
    (folder / MADE).write_text(f"{_MARK}.\n\n{_next_steps()}", "utf-8")
    seconds = time.monotonic() - begun
    click.echo(f"{events} events recorded in {looks} looks, {seconds:.1f} seconds in all.")


def _live_through(folder: Path) -> tuple[int, int]:
    """Lets the company work and the ledger look, in turns; gives the looks and the events."""
    from ledger import config  # noqa: PLC0415
    from ledger.demo import story  # noqa: PLC0415
    from ledger.ingest import import_files, ingest  # noqa: PLC0415
    from ledger.sources import Import  # noqa: PLC0415

    settings = config.load()
    looks = events = 0
    for look in story.tell(folder):

        def clock(now: str = look.at) -> str:
            return now

        outcomes = ingest(settings, clock=clock, processes=1)
        for file in look.files:
            given = Import(files=[file.path], cluster=file.cluster)
            outcomes.append(import_files(settings, file.kind, given, clock=clock))
        for outcome in outcomes:
            if outcome.failure or outcome.stopped:
                raise LedgerError(outcome.failure or "; ".join(outcome.stopped), hint=outcome.hint)
            events += outcome.appended
        looks += 1
    return looks, events


# -- asking --------------------------------------------------------------------------------------


def _tour(folder: Path, again: bool) -> None:
    from ledger.demo.tour import INTRODUCTION, STEPS  # noqa: PLC0415

    if again:
        click.echo(f"The demo in {folder} is made already; its ledger is asked again.")
    click.echo(f"\n{INTRODUCTION}")
    for number, step in enumerate(STEPS, 1):
        click.echo(f"\n{click.style(f'{number}. {step.question}', bold=True)}")
        for command in step.commands:
            _ask(command)
        click.echo(f"\n{step.moral}")


def _ask(command: tuple[str, ...]) -> None:
    """Prints a command as a person would type it, and runs it."""
    from ledger.cli import cli  # noqa: PLC0415

    typed = " ".join(map(_quoted, command))
    click.echo(f"\n{click.style(f'$ ledger {typed}', fg='cyan')}")
    sys.stdout.flush()
    cli.main(list(command), prog_name="ledger", standalone_mode=False)


def _quoted(word: str) -> str:
    """A word for the shell, as a person would quote it."""
    plain = shlex.quote(word)
    return f'"{word}"' if plain != word and not set(word) & set('"$`\\!') else plain


def _next_steps() -> str:
    from ledger.demo.tour import NEXT  # noqa: PLC0415

    return NEXT


def _farewell(folder: Path) -> None:
    from ledger.demo.tour import REPORT  # noqa: PLC0415

    click.echo(f"\n{click.style('The report', bold=True)}  {folder / REPORT}")
    click.echo(f"\n{click.style('Ask on', bold=True)}\n")
    click.echo(f"  cd {shlex.quote(str(folder))}")
    program = _program()
    if program != shutil.which("ledger"):  # which may be the accounting tool of that name
        click.echo(f"  alias ledger={shlex.quote(program)}")
    for name in ("LEDGER_CONFIG", "LEDGER_DATABASE", "LEDGER_REDACTION_KEY_FILE"):
        if os.environ.get(name):
            click.echo(f"  unset {name}    # it names a ledger of yours, which the demo left alone")
    click.echo(
        "".join(f"  {line}\n" if line else "\n" for line in _next_steps().splitlines()), nl=False
    )


def _program() -> str:
    """How this program was started, so that it works from any folder."""
    started = shutil.which(sys.argv[0])
    if started and Path(started).name == "ledger":
        return str(Path(started).absolute())
    return shlex.join([sys.executable, "-m", "ledger"])
