"""Proofs: re-hashing the log, exporting it for others to check, the key that signs tree heads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ledger.anchors import Held
    from ledger.config import Settings
    from ledger.notes import PublicKey
    from ledger.signing import SigningKey
    from ledger.verify import Checked, Finding, Verifier

_FILE = click.Path(path_type=Path)


@click.command()
@click.option(
    "--source", "sources", multiple=True, help="Also count this source's commits again. Repeatable."
)
@click.option("--all-sources", is_flag=True, help="Also count every source's commits again.")
@click.option(
    "--against",
    "outside",
    multiple=True,
    type=_FILE,
    help="A tree head that somebody keeps: a checkpoint, a folder of tiles, a line that this command "
    "printed, or a report's report.json. Repeatable.",
)
@click.option(
    "--key", "public", default="", help="The public key that must have signed what --against names."
)
@click.option(
    "--projections",
    is_flag=True,
    help="Also make every projection again, beside the tables in use, and compare.",
)
@click.option("--log-only", is_flag=True, help="Leave the contents alone.")
def verify(
    sources: tuple[str, ...],
    all_sources: bool,
    outside: tuple[Path, ...],
    public: str,
    projections: bool,
    log_only: bool,
) -> None:
    """Re-hash everything that was recorded; names the first bad position and exits with 1."""
    from ledger import config  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415
    from ledger.verify import Verifier, verify_source  # noqa: PLC0415

    settings = config.load()
    held = _held(settings, outside, public)
    names = [one.name for one in settings.source] if all_sources else sources
    for name in names:
        settings.find_source(name)
    with Store.open(settings.database_url, read_only=True) as store, store.connection.snapshot():
        verifier = Verifier(store, [one for one, _ in held])
        findings = [*verifier.log(), *(() if log_only else verifier.kept())]
        for name in names:
            findings += verify_source(settings, store, name)
    if projections:
        findings += _verify_projections(settings)
    _tell(verifier.checked(), findings, log_only)
    for name in names:
        click.echo(f"source      {name} counted again")
    if projections:
        click.echo("projections made again from the log and compared")
    _tell_anchoring(verifier, held)
    if findings:
        count = f"{len(findings)} finding{'s' * (len(findings) > 1)}"
        click.echo(click.style(f"{count}: the ledger is not as recorded", fg="red", bold=True))
        sys.exit(1)
    click.echo(click.style("everything is as recorded", fg="green", bold=True))


def _held(settings: Settings, outside: tuple[Path, ...], public: str) -> list[tuple[Held, str]]:
    """The tree heads held outside, and what is known of each one's signature."""
    from ledger.anchors import read_held  # noqa: PLC0415
    from ledger.errors import IntegrityError, UsageError  # noqa: PLC0415
    from ledger.notes import parse_public_key  # noqa: PLC0415
    from ledger.signing import is_signed_by  # noqa: PLC0415

    if public and not outside:
        raise UsageError("--key says who signed what --against names", hint="Add --against FILE.")
    if not outside:
        return []
    key = parse_public_key(public) if public else _own_key(settings)
    told: list[tuple[Held, str]] = []
    for path in outside:
        held = read_held(path)
        if key and held.note and is_signed_by(held.note, key):
            told.append((held, f"signed by {key.name}"))
        elif public:
            raise IntegrityError(
                f"{path} is not signed by {public}", hint="Another key signed it, or none did."
            )
        elif held.note and held.note.signatures:
            told.append((held, "its signature was not checked: name the key with --key"))
        else:
            told.append((held, "unsigned"))
    return told


def _own_key(settings: Settings) -> PublicKey | None:
    key = _signing_key(settings)
    return key.public if key else None


def _signing_key(settings: Settings) -> SigningKey | None:
    from ledger.signing import read_key  # noqa: PLC0415

    path = settings.signing_key
    return read_key(path) if path.exists() else None


def _verify_projections(settings: Settings) -> list[Finding]:
    from ledger.cli.progress import shown_steps  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415
    from ledger.verify.tables import verify_projections  # noqa: PLC0415

    with Store.open(settings.database_url) as store, shown_steps("projecting") as progress:
        return list(verify_projections(store, progress=progress))


def _tell(checked: Checked, findings: list[Finding], log_only: bool) -> None:
    from ledger.cli.text import visible  # noqa: PLC0415

    for one in findings:
        click.echo(click.style(visible(str(one)), fg="red"), err=True)
    size = f"{checked.content_bytes / 1e6:,.1f} MB"
    click.echo(
        f"events      {checked.events:,} re-hashed, {checked.tree_heads:,} tree heads followed"
    )
    click.echo(
        f"contents    {checked.contents:,} re-hashed, {size}"
        if not log_only
        else "contents    not looked at"
    )
    if findings and not checked.head.size:
        reached = f"the first {checked.events:,} events" if checked.events else "nothing"
        click.echo(f"tree head   not reached: {reached} could be followed up to the first finding")
    else:
        click.echo(f"tree head   {checked.head.size} {checked.head.root.hex()}")


def _tell_anchoring(verifier: Verifier, held: list[tuple[Held, str]]) -> None:
    from ledger.cli.text import visible  # noqa: PLC0415

    agreed = [(one, signed) for one, signed in held if one in verifier.agreed]
    for one, signed in agreed:
        click.echo(
            f"anchoring   goes on from {visible(one.name)}: the tree head of size {one.head.size}, "
            f"{visible(signed)}"
        )
    if not agreed:
        click.echo(
            "anchoring   NOT EXTERNALLY ANCHORED: "
            "keep this tree head where this database's owner cannot reach"
        )


@click.command()
@click.option(
    "--tiles",
    type=_FILE,
    help="Bring a folder of static files up to the log: entries, tiles of its tree, a checkpoint.",
)
@click.option(
    "--proof",
    nargs=2,
    type=_FILE,
    metavar="OLD NEW",
    help="Print the proof that the log of the checkpoint NEW goes on from that of OLD.",
)
@click.option(
    "--event",
    type=click.IntRange(0),
    metavar="POSITION",
    help="Print an event with the proof that it stands in the log.",
)
@click.option("--unsigned", is_flag=True, help="Sign nothing, also where there is a key.")
def export(
    tiles: Path | None, proof: tuple[Path, Path] | None, event: int | None, unsigned: bool
) -> None:
    """Write the log, or a proof from it, as files that others check without this program.

    The formats are C2SP's tlog-tiles, tlog-checkpoint and tlog-proof. Checkpoints are signed if `ledger key
    new` has made a key. `python -m ledger.standalone` checks all of it and imports nothing of the ledger.
    """
    from ledger import config, exporting  # noqa: PLC0415
    from ledger.cli.text import visible  # noqa: PLC0415
    from ledger.errors import UsageError  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415

    if sum(one is not None for one in (tiles, proof, event)) != 1:
        raise UsageError(
            "what is to be exported?", hint="Give one of --tiles, --proof and --event."
        )
    settings = config.load()
    key = None if unsigned else _signing_key(settings)
    origin = " ".join(settings.name.split()) or "ledger"
    with Store.open(settings.database_url, read_only=True) as store, store.connection.snapshot():
        if proof:
            click.echo(exporting.consistency(store, *proof), nl=False)
        elif event is not None:
            click.echo(exporting.inclusion(store, event, origin, key), nl=False)
        elif tiles:
            done = exporting.export_tiles(store, tiles, origin, key)
            signed = (
                f"signed by {key.public.name}" if key else "UNSIGNED: `ledger key new` makes a key"
            )
            click.echo(f"folder      {visible(str(tiles))}, {done.files:,} new files")
            click.echo(
                f"events      {done.head.size:,}, {done.head.size - done.before:,} of them new"
            )
            click.echo(f"tree head   {done.head.size} {done.head.root.hex()}")
            click.echo(f"checkpoint  {visible(signed)}")


@click.group()
def key() -> None:
    """The key that signs tree heads. It stands in a file of its own, never in the database."""


@key.command("new")
@click.argument("name")
def key_new(name: str) -> None:
    """Make a key under NAME, which is also the log's name: an address, such as ledger.example.com/infra."""
    from ledger import config, signing  # noqa: PLC0415

    settings = config.load()
    made = signing.new_key(settings.signing_key, name)
    click.echo(f"Made {settings.signing_key}. Keep it out of Git, and apart from the database.")
    click.echo("Give this public key to those who are to check what it signs:")
    click.echo(str(made.public))


@key.command("show")
def key_show() -> None:
    """Print the public key, as NAME+ID+KEY."""
    from ledger import config, signing  # noqa: PLC0415

    click.echo(str(signing.read_key(config.load().signing_key).public))
