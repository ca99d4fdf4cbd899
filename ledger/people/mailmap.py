"""`.mailmap` as Git reads it: which name and address a commit's author is to be shown with.

After gitmailmap(5) and what `git check-mailmap` does. Four forms of a line:

    Proper Name <commit@email>
    <proper@email> <commit@email>
    Proper Name <proper@email> <commit@email>
    Proper Name <proper@email> Commit Name <commit@email>

A line that begins with `#` is a comment. Addresses and names are compared in any case of ASCII letters.
Of two lines for one address the later says the name, and the address, where it has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_LINES = 20_000
_SPACE = " \t\r\n"
_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})


@dataclass(slots=True)
class _Entry:
    """What an address is shown with, and what it is together with some names."""

    name: str = ""
    email: str | None = None
    by_name: dict[str, tuple[str, str | None]] = field(default_factory=dict)


@dataclass(slots=True)
class Mailmap:
    """A whole file."""

    _entries: dict[str, _Entry] = field(default_factory=dict)

    def shown(self, name: str, email: str) -> tuple[str, str]:
        """The name and address that Git shows in place of those of a commit."""
        entry = self._entries.get(fold(email))
        if entry is None:
            return name, email
        found = entry.by_name.get(fold(name), (entry.name, entry.email))
        return found[0] or name, email if found[1] is None else found[1]

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every commit address with its proper one, in lower case; not those that are given to several."""
        for old, entry in self._entries.items():
            emails = {email for _, email in entry.by_name.values()} | {entry.email}
            proper = {fold(email) for email in emails if email is not None}
            if len(proper) == 1:
                yield old, proper.pop()

    def add(self, line: str) -> None:
        """Takes in a line; one that says nothing is passed over, as Git does."""
        first = None if line.startswith("#") else _name_and_email(line)
        if first is None or not first[1]:
            return
        name, email, rest = first
        second = _name_and_email(rest)
        if second is None:
            self._entry(email).name = name or self._entry(email).name
            return
        old_name, old_email, _ = second
        entry = self._entry(old_email)
        if old_name:
            entry.by_name[fold(old_name)] = (name, email)
        else:
            entry.name, entry.email = name or entry.name, email

    def _entry(self, email: str) -> _Entry:
        return self._entries.setdefault(fold(email), _Entry())


def read_mailmap(text: str) -> Mailmap:
    """Reads a file; what stands after the first 20,000 lines or after a NUL does not count."""
    found = Mailmap()
    for line in text.partition("\0")[0].split("\n", MAX_LINES)[:MAX_LINES]:
        found.add(line)
    return found


def fold(text: str) -> str:
    """Text so that what differs in the case of ASCII letters only is equal."""
    return text.translate(_LOWER)


def _name_and_email(text: str) -> tuple[str, str, str] | None:
    """`Name <email>` at the beginning, and what stands behind it."""
    name, left, rest = text.partition("<")
    email, right, rest = rest.partition(">")
    return (name.strip(_SPACE), email, rest) if left and right else None
