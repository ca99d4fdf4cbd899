"""Who somebody is, and on what grounds: the names that are one person, and those that may be."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.errors import NotFoundError
from ledger.store.drivers import Connection


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """Why a name is this person's, or might be, as in the view `people`; `joined_to` empty is nothing."""

    kind: str
    value: str
    forge: str
    joined_to: str
    ground: str
    grade: str
    reason: str
    counts: bool
    valid_from: str
    valid_until: str
    evidence_position: int


class Somebody(msgspec.Struct, frozen=True, kw_only=True):
    """One person or bot, with every ground."""

    person: str
    bot: bool
    grounds: list[Ground]


_COLUMNS = (
    "person, bot, kind, value, forge, joined_to, ground, grade, reason, counts, valid_from, "
    "valid_until, evidence_position"
)

_NEAR = 5


def find_people(connection: Connection, name: str = "") -> list[Somebody]:
    """Everybody who bears a name (a login, an address, a shown name, in any case), or all people.

    NotFoundError where nobody does. Reads the whole view once: some names for each person.
    """
    sql = f"select {_COLUMNS} from people order by person, kind, forge, value, ground, joined_to, valid_from"  # noqa: S608 (columns are ours)
    found: dict[str, list[dict[str, Any]]] = {}
    for values in connection.rows(sql):
        row = dict(zip(_COLUMNS.split(", "), values, strict=True))
        found.setdefault(row["person"], []).append(row)
    wanted = name.strip().casefold()
    people = [_somebody(rows) for rows in found.values() if not wanted or _bears(rows, wanted)]
    if not people and wanted:
        names = sorted(
            one for one, rows in found.items() if any(wanted in _folded(row) for row in rows)
        )
        near = f" Perhaps: {', '.join(names[:_NEAR])}." if names else ""
        raise NotFoundError(
            f"nobody is called {name!r} in anything that was read",
            hint=f"Give a login, an e-mail address or a whole name as it is shown.{near}",
        )
    return people


def _folded(row: dict[str, Any]) -> str:
    return f"{row['person']} {row['value']}".casefold()


def _bears(rows: list[dict[str, Any]], wanted: str) -> bool:
    return any(
        wanted
        in (row["person"].casefold(), row["value"].casefold(), f"{row['forge']}/{row['value']}")
        for row in rows
    )


def _somebody(rows: list[dict[str, Any]]) -> Somebody:
    grounds = [
        Ground(
            **{name: row[name] or "" for name in Ground.__struct_fields__[:7]},
            counts=bool(row["counts"]),
            valid_from=row["valid_from"],
            valid_until=row["valid_until"],
            evidence_position=row["evidence_position"],
        )
        for row in rows
    ]
    return Somebody(person=rows[0]["person"], bot=any(row["bot"] for row in rows), grounds=grounds)
