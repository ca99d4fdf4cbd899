"""The people of the demo's company, as Git and as their forge knows them."""

from __future__ import annotations

from typing import Final, NamedTuple


class Person(NamedTuple):
    """`name` and `email` stand in commits, `login` and `number` are the forge's."""

    name: str
    email: str
    login: str
    number: int

    @property
    def co_author(self) -> str:
        """The line that names them as a co-author, with the address that the forge gives to a login."""
        address = f"{self.number}+{self.login}@users.noreply.github.com"
        return f"Co-authored-by: {self.name} <{address}>"

    @property
    def is_bot(self) -> bool:
        return self.login.endswith("[bot]")


FORGE: Final = Person("GitHub", "noreply@github.com", "web-flow", 19864447)
MAYA: Final = Person("Maya Lindqvist", "maya@acme.example", "maya-l", 30510021)
PRIYA: Final = Person("Priya Raman", "priya@acme.example", "priya-r", 30510022)
TOM: Final = Person("Tom Okafor", "tom@acme.example", "tom-o", 30510023)
SAM: Final = Person("Sam Costa", "sam@acme.example", "sam-c", 30510024)
JONAS: Final = Person("Jonas Weber", "jonas@acme.example", "jonas-w", 30510025)
BOT: Final = Person(
    "acme-release-bot", "release-bot@acme.example", "acme-release-bot[bot]", 30510026
)
# The same Maya with an account of her own: `[[person]]` of the demo's ledger.toml says so.
MAYA_AT_HOME: Final = Person("Maya Lindqvist", "maya@lindqvist.example", "maya-home", 30510027)
