"""Who is one person: every name that a source gives to somebody, and every ground that joins two.

Names and what forges say of them are kept as they come. What the configuration and `.mailmap` files say
has times of validity, and who is one person is a function of all grounds there are: both are settled.
"""

from __future__ import annotations

from ledger import approval
from ledger.events import Identity
from ledger.people import BOT, LOGIN, Key, address, bot_or_person, is_own
from ledger.projections import Context, Projection
from ledger.projections.people.recording import HANDLES, project
from ledger.projections.people.rows import (
    AUTHORS,
    JOININGS,
    MAILMAPS,
    MAPPINGS,
    NAMES,
    PERSONS,
    STEPS,
    VERSIONS,
    NameRow,
    PeopleVersionRow,
    PersonRow,
    email_key,
    login_key,
)
from ledger.projections.people.settling import settle

__all__ = ["PROJECTION", "PeopleVersionRow", "is_bot", "person_of"]


def person_of(context: Context, forge: str, who: Identity, at: str = "") -> str:
    """Somebody on a forge's host, so that equal texts are one person; empty where nobody is named.

    Joinings count that were not taken back before `at` (UTC text; empty is now). A login that is not
    joined gives `approval.person` of it, an address alone `<mona@example.org>`; neither can be a login
    nor the text of a joined person, `person: github.com/mona`. Settled, so only `settle` may ask.
    """
    login, email = login_key(forge, who.login), email_key(who.email)
    for key in (login, email):
        row = _standing(context, key, at) if key is not None else None
        if row is not None and not row.alone:
            return f"person: {row.person}"
        if key is not None and key.kind == LOGIN:
            return key.value
    if who.login or email is None or not is_own(address(who.email)):
        return approval.person(who.login)
    return f"<{email.value}>"


def is_bot(context: Context, forge: str, who: Identity, at: str = "") -> bool:
    """Whether somebody is known to be a program: by the configuration, its forge or its name."""
    for key in (login_key(forge, who.login), email_key(who.email)):
        if key is None:
            continue
        row = _standing(context, key, at)
        if row is not None and row.bot:
            return True
        if any(one.bot for one in context.find(NameRow, **key._asdict())):
            return True
    return bot_or_person(who.login, who.email) == BOT


def _standing(context: Context, key: Key, at: str) -> PersonRow | None:
    rows = {row.before: row for row in context.find(PersonRow, **key._asdict())}
    return rows.get(min((one for one in rows if at and at <= one), default=""))


PROJECTION = Projection(
    name="people",
    version=1,
    tables=(NAMES, JOININGS, AUTHORS, MAPPINGS, MAILMAPS, STEPS, PERSONS, VERSIONS),
    handles=HANDLES,
    project=project,
    after=("commits", "revisions"),
    settle=settle,
)
