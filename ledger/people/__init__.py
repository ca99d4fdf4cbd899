"""Who is who: the names that sources give to people, and on what grounds two of them are one person.

A name that stands for somebody is a *login* on a forge's host or an *e-mail address*. Names that are
shown, such as `Mona Lisa`, are nobody's own and join nothing. Two names are joined by what the
configuration says, by what a forge says, by what an address says by its forge's convention, or by
a `.mailmap`; never by likeness.

Theory. To the judgement of approvals a joining is a suspicion: it can only take an approval away,
because two accounts turn out to be one person. So no ground needs to be strong, each is told with its
grade, and one that was taken back goes on to count for what merged before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from ledger.events import CommitObserved, Identity, Trailer
from ledger.people.joining import EMAIL, LOGIN, PERSON, Joining, Key, Partition, cuts, in_force
from ledger.people.mailmap import Mailmap, read_mailmap

__all__ = [
    "BOT",
    "EMAIL",
    "HUMAN",
    "LOGIN",
    "PERSON",
    "Joining",
    "Key",
    "Mailmap",
    "Partition",
    "address",
    "bot_or_person",
    "co_authors",
    "cuts",
    "hands",
    "host_of",
    "in_force",
    "is_own",
    "login_of",
    "read_mailmap",
]

BOT: Final = "bot"
HUMAN: Final = "person"
MAX_BYTES = 320  # of an address; a longer one is none
MAX_CO_AUTHORS = 100
# Programs that no forge marks, by the logins that it gives them: GitLab's access tokens, and the
# runners of Gitea and Forgejo.
_BOTS = re.compile(
    r".\[bot\]|(?:project|group)_[0-9]+_bot(?:_?[0-9a-f]+)?|(?:gitea|forgejo)-actions"
)
_NUMBERED = re.compile(r"[0-9]+([+-])(?=.)")
_SHARED_BOX = re.compile(r"no-?reply|do-?not-?reply|nobody|root|none|unknown")
_SHARED_HOST = re.compile(r"localhost|(?:.*\.)?(?:localdomain|local|\(none\))")
_PERSON = re.compile(r"([^<>]*)<([^<>]*)>")


@lru_cache(maxsize=4_096)
def address(email: str) -> str:
    """An e-mail address so that equal texts are one mailbox; empty where it is no address.

    Upper and lower case mean one mailbox, though a server might tell them apart.
    """
    text = email.strip().casefold()
    return text if "@" in text and len(text.encode()) <= MAX_BYTES else ""


@lru_cache(maxsize=4_096)
def is_own(email: str) -> bool:
    """Whether an address can be somebody's own: not one like noreply@…, or of a machine without a name."""
    box, _, host = email.rpartition("@")
    return not (_SHARED_BOX.fullmatch(box) or _SHARED_HOST.fullmatch(host)) and bool(box and host)


def host_of(forge: str) -> str:
    """The host of a forge's full name: `github.com` of `github.com/acme/infra`."""
    return forge.partition("/")[0].casefold()


def login_of(email: str) -> tuple[str, str]:
    """The host and login that an address names by its forge's convention; empty where it names none.

    GitHub gives `12345+mona@users.noreply.github.com` and once gave `mona@…`, an Enterprise host the
    same under its own name, and GitLab `12345-mona@users.noreply.gitlab.com`.
    """
    box, _, domain = email.rpartition("@")
    host = domain.removeprefix("users.noreply.")
    if host == domain or not box or not host:
        return "", ""
    numbered = _NUMBERED.match(box)
    if numbered is None or (numbered[1] == "-" and host == "github.com"):
        return host, box
    return host, box[numbered.end() :]


def bot_or_person(login: str, email: str = "", *, told: bool = False, mapped: bool = False) -> str:
    """BOT, HUMAN, or empty where nobody is named.

    A bot is whom its forge says to be one (`told`), whom the configuration says to be one (`mapped`),
    and who bears a login that its forge gives to programs alone, itself or in an address.
    """
    if not login and not email:
        return ""
    names = (login.casefold(), login_of(address(email))[1])
    return BOT if told or mapped or any(_BOTS.search(name) for name in names) else HUMAN


def co_authors(trailers: Iterable[Trailer]) -> list[Identity]:
    """Whom the trailers `Co-authored-by: Mona Lisa <mona@example.org>` name, at most 100."""
    found: list[Identity] = []
    for one in trailers:
        if one.key.casefold() == "co-authored-by" and len(found) < MAX_CO_AUTHORS:
            match = _PERSON.match(one.value)
            name, email = (match[1], match[2]) if match else (one.value, "")
            found.append(Identity(name=name.strip(), email=email.strip()))
    return found


def hands(commit: CommitObserved) -> list[Identity]:
    """Whoever had a hand in a commit, as it claims: its author, its committer, its co-authors.

    A committer like `GitHub <noreply@github.com>` is the forge, not a person.
    """
    found = [commit.author]
    others = co_authors(commit.trailers) if commit.trailers else []
    if commit.committer != commit.author and is_own(address(commit.committer.email)):
        found.append(commit.committer)
    found += (one for one in others if one not in found)
    return found
