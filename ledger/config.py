"""`ledger.toml`: where the database is, which sources are read, how secrets are found.

Relative paths are relative to the file. Secrets never stand in it: the redaction key is a file of
its own, which the environment may name (`LEDGER_REDACTION_KEY_FILE`); `LEDGER_DATABASE` overrides
the database.
"""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from pathlib import Path

import msgspec

from ledger.errors import UsageError

FILE = "ledger.toml"
KEY_FILE = "ledger.key"
SIGNING_KEY_FILE = "signing.key"
STATE = ".ledger"
GIT_KINDS = ("git", "gerrit")  # the sources that are a repository
_PUBLIC = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "bitbucket.org": "bitbucket",
    "dev.azure.com": "azure_devops",
    "codeberg.org": "gitea",
}
_ALIKE = {"forgejo": "gitea"}  # the same forge by another name
_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[source]]`.

    A repository has a `url`, and `forge` names it at its forge where the URL does not
    (`github.com/acme/infra`). A source that reads a cluster has `cluster`, our name for it, and reaches
    it by `kubeconfig` and `context`; without both it is the cluster that the program runs in. A source that
    reads a forge's API has the repository's web address as `url`, and a token in `token_file`; GitHub's also
    takes an App (`app_id`, its private key in `app_key_file`, and `installation` where it is known), and
    the number of the webhook that delivers to us (`hook`).
    """

    kind: str
    name: str
    url: str = ""
    forge: str = ""
    branches: list[str] = []
    pull_requests: bool = True
    allowed_signers: str = ""
    cluster: str = ""
    kubeconfig: str = ""
    context: str = ""
    namespaces: list[str] = []
    kinds: list[str] = []
    token_file: str = ""
    app_id: str | int = ""
    app_key_file: str = ""
    installation: int = 0
    hook: int = 0


class EnvironmentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[environment]]`: what belongs to it; `tier` is its class, such as production.

    `paths` are shell patterns of files of `repository` (empty: of any). `clusters` are names of
    clusters; `namespaces` and `applications` are shell patterns that narrow them down (empty: all).
    """

    name: str
    tier: str = ""
    repository: str = ""
    paths: list[str] = []
    clusters: list[str] = []
    namespaces: list[str] = []
    applications: list[str] = []


class PersonSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[person]]`: which logins and e-mail addresses are one person, or one bot.

    A login is `github.com/mona`, or `mona` for that login on any forge.
    """

    name: str
    logins: list[str] = []
    emails: list[str] = []
    bot: bool = False


class RedactionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[redaction]`: the key's file, and more patterns of secrets (group `secret`, or all of it)."""

    key_file: str = KEY_FILE
    patterns: list[str] = []


class SigningSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[signing]`: the file of the key that signs tree heads; `ledger key new` makes it."""

    key_file: str = SIGNING_KEY_FILE


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[webhook]]`: deliveries of a sender (a kind of source) signed with the secret in a file."""

    kind: str
    secret_file: str


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: where `ledger serve` listens, and the largest request it takes, in bytes."""

    host: str = "127.0.0.1"
    port: int = 8080
    max_body: int = 26_214_400


class ReportSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[report]]` that the worker writes: `cron` has five fields, in the ledger's time zone.

    `period` is what it covers when it runs: last-day, last-week, last-month, last-quarter or last-year.
    """

    name: str
    cron: str
    period: str = "last-month"


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[worker]`: minutes between two ingests, and the folder that reports are written to."""

    every: int = 5
    reports: str = "reports"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file, with the folder that it stands in.

    `time_zone` (an IANA name) is the one in which a report's period begins and ends; `name` is what
    reports call this ledger.
    """

    database: str
    name: str = ""
    time_zone: str = "UTC"
    redaction: RedactionSettings = RedactionSettings()
    signing: SigningSettings = SigningSettings()
    source: list[SourceSettings] = []
    environment: list[EnvironmentSettings] = []
    person: list[PersonSettings] = []
    webhook: list[WebhookSettings] = []
    server: ServerSettings = ServerSettings()
    report: list[ReportSettings] = []
    worker: WorkerSettings = WorkerSettings()
    folder: Path = Path()

    @property
    def database_url(self) -> str:
        """The database's URL; the path of an SQLite file made absolute."""
        url = os.environ.get("LEDGER_DATABASE") or self.database
        if url.startswith("sqlite:///"):
            return f"sqlite:///{self.path(url.removeprefix('sqlite:///'))}"
        return url

    def path(self, text: str) -> Path:
        """A path of the file, absolute."""
        return (self.folder / Path(text).expanduser()).absolute()

    @property
    def signing_key(self) -> Path:
        """Where the key that signs tree heads stands, if there is one; the environment may name it."""
        return self.path(os.environ.get("LEDGER_SIGNING_KEY_FILE") or self.signing.key_file)

    def url(self, source: SourceSettings) -> str:
        """The URL of a source; a local path made absolute."""
        if "://" in source.url or re.match(r"^[^/]+:", source.url):  # as Git tells host:path
            return source.url
        return str(self.path(source.url))

    def mirror(self, source: SourceSettings) -> Path:
        """Where our private copy of a repository stands."""
        return self.folder / STATE / "mirrors" / f"{source.name}.git"

    def repository(self, place: str) -> str:
        """The source that a Git URL, or a forge's full name with its host, means; empty if there is none."""
        wanted = forge_name(place)
        for one in self.source:
            if (
                one.kind in GIT_KINDS
                and one.url
                and wanted in (forge_name(one.forge), forge_name(self.url(one)))
            ):
                return one.name
        return ""

    def may_tell(self, kind: str, forge: str) -> bool:
        """Whether deliveries of a kind may tell of a forge's repository, by its full name with its host.

        A host that is known to be of some kinds, by the sources or because everybody knows it, is told of
        by no other: who knows one forge's secret must not sign approvals of another's.
        """
        host = forge.partition("/")[0]
        known = {
            _ALIKE.get(one.kind, one.kind)
            for one in self.source
            if one.kind not in GIT_KINDS and not one.cluster
            if forge_name(one.url).partition("/")[0] == host
        }
        known |= {_PUBLIC[host]} if host in _PUBLIC else set()
        return not known or _ALIKE.get(kind, kind) in known

    def find_source(self, name: str) -> SourceSettings:
        """The source with a name; UsageError with those there are."""
        for one in self.source:
            if one.name == name:
                return one
        names = ", ".join(one.name for one in self.source) or "none"
        raise UsageError(f"there is no source {name!r}", hint=f"Sources in {FILE}: {names}.")


def forge_name(place: str) -> str:
    """What is the same in all spellings of one repository's address: `github.com/acme/infra`.

    Takes https, ssh and scp-like URLs, with or without user, port and `.git`; a local path stays as it is.
    """
    text = place.strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scp = re.match(r"^(?:[^/@:]+@)?([^/:]+):(?!//)(.+)$", text)
        if scp is None:
            if text.startswith(("/", ".", "~")):
                return text
            rest = text
        else:
            rest = f"{scp[1]}/{scp[2].lstrip('/')}"
    elif scheme == "file":
        return rest
    host, slash, path = rest.rpartition("@")[2].partition("/")
    host = re.sub(r":[0-9]+$", "", host).lower()
    return host + slash + path.rstrip("/").removesuffix(".git").lower()


def config_path() -> Path:
    """The file in use: `LEDGER_CONFIG`, else `ledger.toml` in the current folder."""
    return Path(os.environ.get("LEDGER_CONFIG") or FILE).absolute()


def load() -> Settings:
    """Reads the configuration. Raises UsageError that names the file and the field at fault."""
    path = config_path()
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"there is no {path}",
            hint="Run `ledger init` here, or name another file in LEDGER_CONFIG.",
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    try:
        settings = msgspec.convert(raw, Settings)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}", hint="Correct that field.") from error
    _check(path, settings)
    return msgspec.structs.replace(settings, folder=path.parent)


def _check(path: Path, settings: Settings) -> None:
    names = [one.name for one in settings.source]
    for name in names:
        try:
            check_name(name)
        except UsageError as error:
            raise UsageError(f"{path}: {error.message}", hint=error.hint) from None
        if names.count(name) > 1:
            raise UsageError(f"{path}: two sources are called {name!r}")
    environments = [one.name for one in settings.environment]
    for name in environments:
        if environments.count(name) > 1:
            raise UsageError(
                f"{path}: two environments are called {name!r}",
                hint="Put all their paths into one.",
            )
    _check_persons(path, settings.person)


def _check_persons(path: Path, persons: list[PersonSettings]) -> None:
    """Names stand beside logins and addresses, so they must not look like one."""
    owners: dict[str, str] = {}
    for one in persons:
        if not one.name.strip() or re.search(r"[/@\x00-\x1f\x7f]", one.name) or len(one.name) > 200:
            raise UsageError(
                f"{path}: a person cannot be called {one.name!r}",
                hint="Give a name of at most 200 characters, without slashes and @.",
            )
        if not one.logins and not one.emails:
            raise UsageError(
                f"{path}: the person {one.name!r} has neither logins nor emails",
                hint="Name at least one, or take the person out.",
            )
        given = {text.casefold() for text in one.logins + one.emails}
        for name in (f"the name {one.name}", *sorted(given)):
            if name in owners:
                raise UsageError(
                    f"{path}: {name} is given to {owners[name]!r} and to {one.name!r}",
                    hint="Put all names of one person into one [[person]].",
                )
            owners[name] = one.name


def check_name(name: str) -> None:
    """Raises UsageError unless the name can stand for a source everywhere."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a source",
            hint="Use lower-case letters, digits, dots, dashes and underscores.",
        )


def write_new(path: Path, database: str) -> None:
    """Writes a first configuration. Raises UsageError where one stands already."""
    text = f"database = {_toml(database)}\n"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already") from None


def write_key(path: Path) -> None:
    """Makes a redaction key that only its owner can read, unless there is one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")


def read_key(settings: Settings) -> bytes:
    """The redaction key. Raises UsageError where it is missing or malformed."""
    named = os.environ.get("LEDGER_REDACTION_KEY_FILE") or settings.redaction.key_file
    path = settings.path(named)
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the redaction key {path} cannot be read: {error}",
            hint="Without the key that was used before, equal secrets no longer compare as equal. "
            "Restore it from your backup; `ledger init` makes one only for a new ledger.",
        ) from error
    if len(key) < 16:
        raise UsageError(f"the redaction key {path} is shorter than 16 bytes")
    return key


def append_source(path: Path, source: SourceSettings) -> None:
    """Adds a `[[source]]` at the end of the file, leaving what stands there as it is."""
    lines = ["", "[[source]]", f"kind = {_toml(source.kind)}", f"name = {_toml(source.name)}"]
    lines.append(f"url = {_toml(source.url)}")
    if source.branches:
        lines.append(f"branches = [{', '.join(_toml(one) for one in source.branches)}]")
    if not source.pull_requests:
        lines.append("pull_requests = false")
    if source.allowed_signers:
        lines.append(f"allowed_signers = {_toml(source.allowed_signers)}")
    told = {one: str(getattr(source, one)) for one in ("token_file", "app_id", "app_key_file")}
    lines.extend(f"{name} = {_toml(value)}" for name, value in told.items() if value)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def _toml(text: str) -> str:
    return msgspec.json.encode(text).decode()
