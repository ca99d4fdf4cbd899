"""The command line: arguments, one call, text. Every heavy import waits for the command that needs it."""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType

import click

from ledger import __version__
from ledger.cli import (
    changes,
    commands,
    controls,
    imports,
    people,
    proofs,
    pulls,
    questions,
    reports,
    server,
    sources,
    trace,
    worker,
)
from ledger.errors import LedgerError

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="ledger")
def cli() -> None:
    """Who changed what, when, and which pull request approved it: the audit ledger for GitOps.

    Start with `ledger demo`, or with `ledger init` in an empty folder.
    """


for command in (
    commands.init,
    sources.source,
    commands.ingest,
    imports.import_files,
    changes.changes,
    questions.when,
    questions.history,
    questions.blame,
    questions.show,
    questions.diff,
    trace.trace,
    questions.log,
    pulls.pull_request,
    people.people,
    commands.sql,
    controls.control,
    reports.report,
    proofs.verify,
    proofs.export,
    proofs.key,
    commands.rebuild,
    server.serve,
    worker.worker,
    commands.demo,
):
    cli.add_command(command)


def main() -> None:
    """Runs the command line; every error of ours is one clear message and a stable exit status.

    SIGTERM is heard as Ctrl-C is.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _run()
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run() -> None:
    stdout = sys.stdout
    _write_what_the_terminal_knows()
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.Abort:
        click.echo("Stopped. What was done is kept; run it again to go on.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("Stopped. What was done is kept; run it again to go on.", err=True)
        sys.exit(130)
    except LedgerError as error:
        from ledger.cli.text import visible  # noqa: PLC0415 (names and reasons come from outside)

        click.echo(click.style("error: ", fg="red", bold=True) + visible(error.message), err=True)
        if error.hint:
            click.echo(visible(error.hint, lines=True), err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        # Where the reader of our output went away, click replaces stdout and ends with 1, which
        # means something else here.
        sys.exit(141 if sys.stdout is not stdout else end.code)
    except BrokenPipeError:
        # The reader of our output went away; Python must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get("LEDGER_TRACEBACK"):
            raise
        click.echo(
            click.style("internal error: ", fg="red", bold=True)
            + f"{type(error).__name__}: {error}",
            err=True,
        )
        click.echo(
            "This is a fault of the program. LEDGER_TRACEBACK=1 shows where; please report it.",
            err=True,
        )
        sys.exit(70)


def _write_what_the_terminal_knows() -> None:
    """Not every terminal can show an arrow; what it cannot comes as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
