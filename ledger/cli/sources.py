"""Which sources are read: adding to them, and how far each is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class _Forge(NamedTuple):
    """A forge whose API is read with a token: its page, what stands for the token's file, what it tells."""

    kind: str
    page: str
    variable: str
    tells: str
    token: str = "a token"


_FORGES = (
    _Forge(
        "gitlab",
        "The project's page: https://gitlab.com/GROUP/NAME.",
        "GITLAB_TOKEN",
        "Read merge requests, approvals, pushes and rules from GitLab's API under NAME.",
    ),
    _Forge(
        "gitea",
        "The repository's page: https://HOST/OWNER/NAME.",
        "GITEA_TOKEN",
        "Read pull requests, reviews, checks and rules from Gitea's API under NAME.",
    ),
    _Forge(
        "forgejo",
        "The repository's page: https://HOST/OWNER/NAME.",
        "FORGEJO_TOKEN",
        "Read pull requests, reviews, checks and rules from Forgejo's API under NAME.",
    ),
    _Forge(
        "bitbucket",
        "The repository's page: https://bitbucket.org/WORKSPACE/NAME.",
        "BITBUCKET_TOKEN",
        "Read pull requests, approvals, statuses and rules from Bitbucket Cloud's API under NAME.",
        "a token, or with user:token",
    ),
    _Forge(
        "bitbucket_datacenter",
        "The repository's page: https://HOST/projects/KEY/repos/NAME.",
        "BITBUCKET_DATACENTER_TOKEN",
        "Read pull requests and approvals from the API of a Bitbucket Data Center under NAME.",
        "an access token",
    ),
    _Forge(
        "azure_devops",
        "The repository's page: https://dev.azure.com/ORGANIZATION/PROJECT/_git/NAME.",
        "AZURE_DEVOPS_EXT_PAT",
        "Read pull requests, votes and rules from the API of Azure DevOps under NAME.",
        "a personal access token",
    ),
)
_GITHUB = _Forge(
    "github",
    "The repository's page: https://github.com/OWNER/NAME.",
    "GITHUB_TOKEN",
    "Read pull requests, reviews, checks, pushes and rules from GitHub's API under NAME.",
)


def _of(forge: _Forge) -> Callable[[F], F]:
    """The name, page and token of a source that reads a forge's API."""

    def with_options(command: F) -> F:
        told = f"A file with {forge.token}; without it {forge.variable} is used."
        command = click.option("--token-file", default="", help=told)(command)
        command = click.option("--url", required=True, help=forge.page)(command)
        return click.argument("name")(command)

    return with_options


@click.group()
def source() -> None:
    """The repositories that are read."""


@source.group("add")
def source_add() -> None:
    """Add a source to ledger.toml."""


@source_add.command("git")
@click.argument("name")
@click.option("--url", required=True, help="A path, a bundle file, or an https or ssh URL.")
@click.option(
    "--branch", "branches", multiple=True, help="A branch to track; HEAD's if left out. Repeatable."
)
@click.option("--no-pull-requests", is_flag=True, help="Leave pull request heads alone.")
@click.option(
    "--allowed-signers", default="", help="An ssh allowed-signers file to check signatures with."
)
def source_add_git(
    name: str, url: str, branches: tuple[str, ...], no_pull_requests: bool, allowed_signers: str
) -> None:
    """Track the Git repository at URL under NAME."""
    _add_repository(
        "git",
        name,
        url,
        branches=list(branches),
        pull_requests=not no_pull_requests,
        allowed_signers=allowed_signers,
    )


@source_add.command("gerrit")
@click.argument("name")
@click.option("--url", required=True, help="A path, a bundle file, or an https or ssh URL.")
@click.option(
    "--branch", "branches", multiple=True, help="A branch to track; HEAD's if left out. Repeatable."
)
def source_add_gerrit(name: str, url: str, branches: tuple[str, ...]) -> None:
    """Track the repository at URL, of a Gerrit server, under NAME: also its changes and votes."""
    _add_repository("gerrit", name, url, branches=list(branches))


@source_add.command(_GITHUB.kind, help=_GITHUB.tells)
@_of(_GITHUB)
@click.option(
    "--app-id", default="", help="The id of a GitHub App, which is used in place of a token."
)
@click.option("--app-key-file", default="", help="The file of the App's private key.")
def source_add_github(name: str, url: str, token_file: str, app_id: str, app_key_file: str) -> None:
    app = {"app_id": app_id, "app_key_file": app_key_file}
    _add_repository("github", name, url, token_file=token_file, **app)


def _with_token(forge: _Forge) -> click.Command:
    """The command that adds a source of a forge."""

    @click.command(forge.kind, help=forge.tells)
    @_of(forge)
    def command(name: str, url: str, token_file: str) -> None:
        _add_repository(forge.kind, name, url, token_file=token_file)

    return command


for _forge in _FORGES:
    source_add.add_command(_with_token(_forge))


def _add_repository(kind: str, name: str, url: str, **settings: Any) -> None:
    from ledger import config, gitio  # noqa: PLC0415
    from ledger.errors import UsageError  # noqa: PLC0415

    known = config.load()
    config.check_name(name)
    gitio.check_url(url)
    if any(one.name == name for one in known.source):
        raise UsageError(f"there is a source {name!r} already", hint="Change it in ledger.toml.")
    added = config.SourceSettings(kind=kind, name=name, url=url, **settings)
    config.append_source(config.config_path(), added)
    click.echo(f"Added {name}. Next: ledger ingest {name}")


@source.command("list")
def source_list() -> None:
    """The sources of ledger.toml and how far each is read."""
    from ledger import config  # noqa: PLC0415
    from ledger.cli.text import visible  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415

    settings = config.load()
    with Store.open(settings.database_url, read_only=True) as store:
        for one in settings.source:
            reading = store.reading(one.name)
            state = visible(reading.failure) or (
                f"read at {reading.succeeded_at}" if reading.succeeded_at else "never read"
            )
            place = visible(f"{one.url}  {', '.join(one.branches) or 'HEAD'}")
            click.echo(f"{one.name}  {visible(one.kind)}  {place}  {state}")
