"""Two names of one field: what a Secret writes under `stringData` is under `data` in the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger import fields

_SECRET = ("", "Secret")
_NAMES = ("data", "stringData")


def spellings(api_group: str, kind: str, field: str) -> tuple[str, ...]:
    """A field as it was asked for, then under its other name if it has one. Empty means every field."""
    if (api_group, kind) == _SECRET:
        for name, other in (_NAMES, _NAMES[::-1]):
            if fields.under(field, name):
                return field, f"{other}{field.removeprefix(name)}"
    return (field,)


def is_meant(field: str, wanted: Sequence[str]) -> bool:
    """Whether a field is meant by any of its spellings."""
    return any(fields.matches(field, one) for one in wanted)


def written_as(api_group: str, kind: str, field: str, found: Iterable[str]) -> str:
    """The other name under which all that was found is written; empty where it is written as asked."""
    asked, *others = spellings(api_group, kind, field)
    told = list(found)
    if not told or any(fields.matches(one, asked) for one in told):
        return ""
    return next((one for one in others if any(fields.matches(each, one) for each in told)), "")
