"""Who is one person, by every ground there is; worked out anew when any ground was told or taken back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ledger.people import EMAIL, LOGIN, PERSON, Joining, Key, Partition, cuts, in_force
from ledger.projections import Context, Dropped, Row
from ledger.projections.people.mailmaps import mailmap_joinings
from ledger.projections.people.rows import (
    COMMIT,
    CONFIGURED,
    CONVENTION,
    EVERYBODY,
    JOININGS,
    MAILMAP,
    PERSONS,
    RANKS,
    REPORTED,
    TOLD,
    JoiningRow,
    MappingRow,
    NameRow,
    PeopleVersionRow,
    PersonRow,
)

_BY_EVENTS = (TOLD, COMMIT, CONVENTION)
_Who = tuple[str, int, int]  # person, alone, bot


def settle(context: Context) -> Iterable[Row]:
    """The rows that are no longer as the grounds want them."""
    version = context.get(PeopleVersionRow, EVERYBODY)
    if version is None or not version.dirty:
        return
    mappings = [row for kind in (LOGIN, EMAIL) for row in context.find(MappingRow, kind=kind)]
    grounds = [row for ground in _BY_EVENTS for row in context.find(JoiningRow, ground=ground)]
    grounds = [row._replace(refused=0) for row in grounds]
    grounds += [*_configured(context, mappings), *mailmap_joinings(context)]
    work = _Settling(context, mappings, grounds)
    before = [
        row
        for ground in (*_BY_EVENTS, CONFIGURED, MAILMAP)
        for row in context.find(JoiningRow, ground=ground)
    ]
    persons = work.persons()
    yield from _changes(before, work.judged(), JOININGS.key)
    known = [row for kind in (LOGIN, EMAIL) for row in context.find(PersonRow, kind=kind)]
    yield from _changes(known, persons, PERSONS.key)
    seen = [*sorted(persons), *sorted(row[:3] for row in context.find(NameRow, bot=1))]
    digest = hashlib.sha256(msgspec.json.encode(seen)).hexdigest()[:32]
    yield PeopleVersionRow(EVERYBODY, digest, 0)


def _changes(before: Sequence[Row], after: Sequence[Row], names: tuple[str, ...]) -> Iterator[Row]:
    """What makes the one set of rows of a table into the other."""

    def keyed(rows: Sequence[Row]) -> dict[Row, Row]:
        return {tuple(getattr(row, name) for name in names): row for row in rows}

    old, new = keyed(before), keyed(after)
    for key, row in old.items():
        if key not in new:
            yield Dropped(type(row), key)
    yield from (row for key, row in new.items() if old.get(key) != row)


class _Settling:
    """All grounds, and who is who by them."""

    def __init__(
        self, context: Context, mappings: Sequence[MappingRow], grounds: Sequence[JoiningRow]
    ) -> None:
        self._mappings = mappings
        self._grounds = grounds
        self._joinings = [_joining(row) for row in grounds if not row.refused]
        self._now = Partition(one for one in self._joinings if in_force(one, ""))
        self._bots = {Key(*row[:3]) for row in context.find(NameRow, bot=1)}
        self._bots |= {one.other for one in self._joinings if one.one in self._bots}

    def judged(self) -> list[JoiningRow]:
        """The grounds, each with whether the configuration speaks against it now."""
        refused = set(self._now.refused)
        return [
            row._replace(refused=int(bool(row.refused) or _joining(row) in refused))
            for row in self._grounds
        ]

    def persons(self) -> list[PersonRow]:
        """Who every name is now, and who it was for what happened before, where that is another."""
        found: list[PersonRow] = []
        later: dict[Key, _Who] = {}
        for before in ["", *reversed(cuts(self._joinings))]:
            here = self._now
            if before:
                here = Partition(one for one in self._joinings if in_force(one, before))
            bots = {row.person for row in self._mappings if row.bot and _said(row, before)}
            for key in sorted({*here.keys(), *later}):
                if key.kind == PERSON:
                    continue
                who = self._who(key, here, bots)
                if who != later.get(key, (key.text, 1, int(key in self._bots))):
                    later[key] = who
                    found.append(PersonRow(*key, before, *who))
        return found

    def _who(self, key: Key, here: Partition, bots: set[str]) -> _Who:
        top = here.person(key)
        if top is None:
            return key.text, 1, int(key in self._bots)
        mapped = top.kind == PERSON and top.value in bots
        return top.text, 0, int(mapped or key in self._bots)


def _joining(row: JoiningRow) -> Joining:
    one, other = Key(*row[1:4]), Key(*row[4:7])
    return Joining(RANKS[row.ground], one, other, row.valid_from, row.valid_until)


def _said(row: MappingRow, before: str) -> bool:
    return not row.valid_until or bool(before and before <= row.valid_until)


def _configured(context: Context, mappings: Sequence[MappingRow]) -> Iterator[JoiningRow]:
    """What the configuration says and said; what it now says of another person was a mistake then."""
    now = {Key(row.kind, row.forge, row.value): row.person for row in mappings if _said(row, "")}
    logins = context.find(NameRow, kind=LOGIN)

    def owner(key: Key, before: str) -> str:
        return now.get(key) or now.get(Key(key.kind, "", key.value)) or before

    for row in mappings:
        key = Key(row.kind, row.forge, row.value)
        reason = f"ledger.toml {'said' if row.valid_until else 'says'} that it is {row.person}"
        yield _of_mapping(row, key, reason, owner(key, row.person))
        if key.kind == LOGIN and not key.forge:
            for host in sorted({one.forge for one in logins if one.value == key.value}):
                there = Key(LOGIN, host, key.value)
                told = f"{reason}, on any forge"
                yield _of_mapping(row, there, told, owner(there, row.person))


def _of_mapping(row: MappingRow, key: Key, reason: str, person: str) -> JoiningRow:
    if person != row.person:
        reason += f"; now it says that it is {person}"
    return JoiningRow(
        CONFIGURED,
        *Key(PERSON, "", row.person),
        *key,
        place="*" if key.forge and not row.forge else "",
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        grade=REPORTED,
        reason=reason,
        refused=int(person != row.person),
        evidence_position=row.evidence_position,
        recorded_at=row.recorded_at,
    )
