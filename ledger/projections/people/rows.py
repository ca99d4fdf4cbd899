"""The tables of people: names as they come, grounds that join them, and who is who."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from ledger import approval
from ledger.people import EMAIL, LOGIN, Key, address, host_of
from ledger.projections import Context, Row, Table, key_text

EVERYBODY: Final = "people"
REPORTED, INFERRED = "reported", "inferred"
CONFIGURED, COMMIT, TOLD, CONVENTION, MAILMAP = (
    "configuration", "commit", "told", "convention", "mailmap",
)  # fmt: skip
RANKS = {CONFIGURED: 0, TOLD: 1, COMMIT: 1, CONVENTION: 2, MAILMAP: 3}
MAILMAP_PATH: Final = ".mailmap"
_MAX_LOGIN = 255


class NameRow(NamedTuple):
    """A name of somebody as it was seen, with one that was shown beside it; `folded` is to compare that."""

    kind: str
    forge: str
    value: str
    name: str
    folded: str
    bot: int
    evidence_position: int
    recorded_at: str


class JoiningRow(NamedTuple):
    """A ground on which two names are one person. `place` parts several tellings of one ground.

    `refused` where the configuration gives the two to different persons.
    """

    ground: str
    one_kind: str
    one_forge: str
    one_value: str
    other_kind: str
    other_forge: str
    other_value: str
    place: str
    valid_from: str
    valid_until: str
    grade: str
    reason: str
    refused: int
    evidence_position: int
    recorded_at: str


class AuthorRow(NamedTuple):
    """A login that a forge gives to the author or committer (`role`) of a commit."""

    repository: str
    commit_sha: str
    role: str
    forge: str
    login: str


class MappingRow(NamedTuple):
    """What the configuration says, or said until a time, of one name."""

    person: str
    kind: str
    forge: str
    value: str
    valid_from: str
    valid_until: str
    bot: int
    evidence_position: int
    recorded_at: str


class MailmapRow(NamedTuple):
    """A commit that changed the `.mailmap`; no digest where it has none that is kept."""

    repository: str
    commit_sha: str
    digest: str


class StepRow(NamedTuple):
    """A revision of a branch that changed a `.mailmap`."""

    repository: str
    branch: str
    commit_sha: str
    path: str
    evidence_position: int
    recorded_at: str


class PersonRow(NamedTuple):
    """Who a joined name is, for what happened up to `before`; empty is now and since the last of these.

    `alone` where nothing joined the name then.
    """

    kind: str
    forge: str
    value: str
    before: str
    person: str
    alone: int
    bot: int


class PeopleVersionRow(NamedTuple):
    """A digest that moves whenever who is one person, or a bot, may have changed; `dirty` until settled."""

    key: str
    digest: str
    dirty: int


NAMES = Table(
    "model_person_name",
    NameRow,
    key=("kind", "forge", "value", "name"),
    lookups=(("kind", "forge", "value"), ("kind",), ("bot",)),
    indexes=(("folded",),),
)
JOININGS = Table(
    "model_person_joining",
    JoiningRow,
    key=(
        "ground", "one_kind", "one_forge", "one_value", "other_kind", "other_forge", "other_value",
        "place", "valid_from",
    ),
    lookups=(("ground",),),
)  # fmt: skip
AUTHORS = Table(
    "model_forge_author",
    AuthorRow,
    key=("repository", "commit_sha", "role", "forge", "login"),
    lookups=(("repository", "commit_sha"),),
)
MAPPINGS = Table(
    "model_person_mapping",
    MappingRow,
    key=("person", "kind", "forge", "value", "valid_from"),
    lookups=(("person",), ("kind",), ("kind", "forge", "value")),
)
MAILMAPS = Table("model_mailmap", MailmapRow, key=("repository", "commit_sha"))
STEPS = Table(
    "model_mailmap_step",
    StepRow,
    key=("repository", "branch", "commit_sha"),
    lookups=(("path",),),
)
PERSONS = Table(
    "model_person",
    PersonRow,
    key=("kind", "forge", "value", "before"),
    lookups=(("kind",), ("kind", "forge", "value")),
)
VERSIONS = Table("model_people_version", PeopleVersionRow, key=("key",))


def login_key(forge: str, login: str) -> Key | None:
    """A login on a forge's host; None where the text can be none. Logins are compared in any case."""
    value = approval.person(login)
    fits = value and len(value.encode()) <= _MAX_LOGIN
    return Key(LOGIN, key_text(host_of(forge)), value) if fits else None


def email_key(email: str) -> Key | None:
    """An e-mail address; None where the text is none."""
    value = address(email)
    return Key(EMAIL, "", key_text(value)) if value else None


def touched(context: Context) -> Iterator[Row]:
    """Has everything settled anew."""
    known = context.get(PeopleVersionRow, EVERYBODY)
    if known is None or not known.dirty:
        yield PeopleVersionRow(EVERYBODY, known.digest if known else "", 1)


def has_mailmap(context: Context) -> bool:
    """Whether any branch ever had a `.mailmap`."""
    return bool(context.find(StepRow, path=MAILMAP_PATH))
