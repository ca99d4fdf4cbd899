"""Names and grounds as events tell them. The same events in any order give the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from ledger.events import (
    CommitObserved,
    Event,
    FileChange,
    Identity,
    PersonMapped,
    PullRequestClosed,
    PullRequestListed,
    PullRequestMerged,
    PullRequestOpened,
    PullRequestPushed,
    RecordedEvent,
    RefMoved,
    RefPushed,
    ReviewDismissed,
    ReviewSubmitted,
    RevisionObserved,
    TeamObserved,
)
from ledger.people import BOT, EMAIL, LOGIN, Key, bot_or_person, hands, is_own, login_of
from ledger.projections import Context, Row, key_text
from ledger.projections.commits import CommitRow
from ledger.projections.people.rows import (
    COMMIT,
    CONVENTION,
    INFERRED,
    MAILMAP_PATH,
    REPORTED,
    TOLD,
    AuthorRow,
    JoiningRow,
    MailmapRow,
    MappingRow,
    NameRow,
    StepRow,
    email_key,
    has_mailmap,
    login_key,
    touched,
)

_PULLS = (PullRequestOpened, PullRequestPushed, PullRequestMerged, PullRequestClosed)
_BY_FORGES = (
    *_PULLS, PullRequestListed, ReviewSubmitted, ReviewDismissed, RefPushed, TeamObserved,
)  # fmt: skip
HANDLES: tuple[type[Event], ...] = (
    CommitObserved, RevisionObserved, RefMoved, PersonMapped, *_BY_FORGES,
)  # fmt: skip


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    """What an event adds to the names and grounds."""
    data = recorded.data
    if isinstance(data, CommitObserved):
        yield from _committed(recorded, data, context)
    elif isinstance(data, RevisionObserved):
        if context.get(MailmapRow, data.repository, data.commit) is not None:
            yield from _stepped(recorded, data, context)
    elif isinstance(data, RefMoved):
        if data.ref.startswith("refs/heads/") and has_mailmap(context):
            yield from touched(context)
    elif isinstance(data, PersonMapped):
        yield from _mapped(recorded, data, context)
    elif isinstance(data, _BY_FORGES):
        for told, is_bot in _people(recorded):
            if told is not None:
                yield from _named(recorded, context, data.forge, told, is_bot)
        if isinstance(data, PullRequestListed):
            yield from _listed(recorded, data, context)


def _committed(recorded: RecordedEvent, data: CommitObserved, context: Context) -> Iterator[Row]:
    for who in hands(data):
        email, shown = _shown(who.email, who.name)
        # Hundreds of people make tens of thousands of commits.
        if email is not None and context.get(NameRow, *email, shown) is None:
            yield from _seen(recorded, context, email, who.name, False)
    if context.find(AuthorRow, repository=data.repository, commit_sha=data.commit):
        yield from _tied(recorded, context, data.repository, data.commit)
    for file in data.files:
        if file.path == MAILMAP_PATH:
            yield from _with_mailmap(data, file, context)


def _people(recorded: RecordedEvent) -> Iterator[tuple[Identity | None, bool]]:
    """Whom a forge names, and whether it says that this is a bot."""
    data = recorded.data
    yield recorded.actor, isinstance(data, RefPushed) and data.pusher_is_bot
    if isinstance(data, _PULLS):
        yield data.pull_request.author, data.pull_request.author_is_bot
        if isinstance(data, PullRequestMerged):
            yield data.merged_by, data.merged_by_bot
    elif isinstance(data, ReviewSubmitted):
        yield data.reviewer, data.reviewer_is_bot
    elif isinstance(data, ReviewDismissed):
        yield data.reviewer, False
    elif isinstance(data, TeamObserved):
        yield from ((who, False) for who in data.members)
    elif isinstance(data, PullRequestListed):
        yield from ((who, False) for one in data.commits for who in (one.author, one.committer))


# -- names -------------------------------------------------------------------------------------------


def _named(
    recorded: RecordedEvent, context: Context, forge: str, who: Identity, is_bot: bool = False
) -> Iterator[Row]:
    """The names of somebody that are not known yet, joined where one telling has two or one shows two."""
    email = email_key(who.email)
    if email is not None:
        yield from _seen(recorded, context, email, who.name, is_bot)
    login = login_key(forge, who.login) if forge else None
    if login is None:
        return
    yield from _seen(recorded, context, login, who.name, is_bot)
    if email is not None and is_own(email.value):
        reason = f"{login.forge} tells of {login.value} with this address"
        yield from _joined(recorded, context, TOLD, login, email, reason)
    named = email_key(who.login)
    if named is not None and named != email:
        reason = f"the login on {login.forge} is this address"
        yield from _joined(recorded, context, CONVENTION, login, named, reason)


def _seen(
    recorded: RecordedEvent, context: Context, key: Key, name: str, is_bot: bool
) -> Iterator[Row]:
    shown = _shown("", name)[1]
    known = context.get(NameRow, *key, shown)
    if known is not None and (known.bot or not is_bot):
        return
    login, email = (key.value, "") if key.kind == LOGIN else ("", key.value)
    bot = int(bot_or_person(login, email, told=is_bot) == BOT)
    yield NameRow(
        *key,
        name=shown,
        folded=" ".join(shown.casefold().split()),
        bot=bot,
        evidence_position=known.evidence_position if known else recorded.position,
        recorded_at=known.recorded_at if known else recorded.recorded_at,
    )
    if key.kind == EMAIL and known is None:
        yield from _by_convention(recorded, context, key)
    on_any_forge = login and context.find(MappingRow, kind=LOGIN, forge="", value=login)
    if bot or on_any_forge:
        yield from touched(context)


@lru_cache(maxsize=4_096)
def _shown(email: str, name: str) -> tuple[Key | None, str]:
    return email_key(email), key_text(name.strip())


def _by_convention(recorded: RecordedEvent, context: Context, email: Key) -> Iterator[Row]:
    login = login_key(*login_of(email.value))
    if login is not None:
        reason = f"{login.forge} gives such an address to {login.value}, by its convention"
        yield from _joined(recorded, context, CONVENTION, login, email, reason)


def _joined(
    recorded: RecordedEvent, context: Context, ground: str, one: Key, other: Key, reason: str
) -> Iterator[Row]:
    """A ground; told for several reasons, the first of them by its text stays."""
    known = context.get(JoiningRow, ground, *one, *other, "", "")
    if known is not None and known.reason <= reason:
        return
    yield JoiningRow(
        ground,
        *one,
        *other,
        place="",
        valid_from="",
        valid_until="",
        grade=INFERRED if ground == CONVENTION else REPORTED,
        reason=reason,
        refused=known.refused if known else 0,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )
    if known is None:
        yield from touched(context)


# -- what a forge says of commits --------------------------------------------------------------------


def _listed(recorded: RecordedEvent, data: PullRequestListed, context: Context) -> Iterator[Row]:
    """A forge ties a commit to logins; the commit itself, which may come later, has the addresses."""
    for one in data.commits:
        commit = key_text(one.commit)
        for role, who in (("author", one.author), ("committer", one.committer)):
            login = login_key(data.forge, who.login) if who is not None else None
            if login is not None:
                yield AuthorRow(data.repository, commit, role, login.forge, login.value)
        yield from _tied(recorded, context, data.repository, commit)


def _tied(recorded: RecordedEvent, context: Context, repository: str, commit: str) -> Iterator[Row]:
    """The addresses of a commit, joined with the logins that its forge gives to the same people."""
    authors = context.find(AuthorRow, repository=repository, commit_sha=commit)
    row = context.get(CommitRow, repository, commit) if authors else None
    if row is None:
        return
    for one in authors:
        email = email_key(row.author_email if one.role == "author" else row.committer_email)
        if email is not None and is_own(email.value):
            what = f"{one.role} of {commit[:12]}, which bears this address"
            reason = f"{one.forge} says that {one.login} is the {what}"
            login = Key(LOGIN, one.forge, one.login)
            yield from _joined(recorded, context, COMMIT, login, email, reason)


# -- what the configuration and files say ------------------------------------------------------------


def _mapped(recorded: RecordedEvent, data: PersonMapped, context: Context) -> Iterator[Row]:
    at = recorded.occurred_at or recorded.recorded_at
    person = key_text(data.person)
    wanted = set(_mapped_keys(data))
    for row in context.find(MappingRow, person=person):
        key = Key(row.kind, row.forge, row.value)
        if not row.valid_until and key in wanted:
            wanted.remove(key)
            yield row._replace(bot=int(data.bot))
        elif not row.valid_until:
            yield row._replace(valid_until=at)
    for key in sorted(wanted):
        yield MappingRow(
            person,
            *key,
            valid_from=at,
            valid_until="",
            bot=int(data.bot),
            evidence_position=recorded.position,
            recorded_at=recorded.recorded_at,
        )
    yield from touched(context)


def _mapped_keys(data: PersonMapped) -> Iterator[Key]:
    """`github.com/mona` is a login on that host, `mona` one on any."""
    for who in data.identities:
        forge, _, login = who.login.rpartition("/")
        for key in (login_key(forge, login), email_key(who.email)):
            if key is not None:
                yield key


def _with_mailmap(data: CommitObserved, file: FileChange, context: Context) -> Iterator[Row]:
    digest = file.after.digest if file.after else ""
    known = context.get(MailmapRow, data.repository, data.commit)
    if known is None or (digest and not known.digest):
        yield MailmapRow(data.repository, data.commit, digest)
        if known is not None:
            yield from touched(context)


def _stepped(recorded: RecordedEvent, data: RevisionObserved, context: Context) -> Iterator[Row]:
    if context.get(StepRow, data.repository, data.branch, data.commit) is None:
        where = (data.repository, data.branch, data.commit, MAILMAP_PATH)
        yield StepRow(*where, recorded.position, recorded.recorded_at)
    yield from touched(context)
