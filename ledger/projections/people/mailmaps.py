"""What the `.mailmap` of each tracked branch says, with the times between which it says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from ledger.contents import digest_bytes
from ledger.people import Key, is_own, read_mailmap
from ledger.projections import Context, key_text
from ledger.projections.people.rows import (
    MAILMAP,
    MAILMAP_PATH,
    REPORTED,
    JoiningRow,
    MailmapRow,
    StepRow,
    email_key,
)
from ledger.projections.revisions import RevisionRow

GRACE = timedelta(hours=1)
_FOREVER = "~"  # after every time
_Pair = tuple[Key, Key]  # the proper address, and the one that it stands for
_Span = tuple[str, str, StepRow]  # from, until, and the revision that begins it


def mailmap_joinings(context: Context) -> Iterator[JoiningRow]:
    """Every joining that a `.mailmap` says or once said; costs a look at every version of each."""
    steps = context.find(StepRow, path=MAILMAP_PATH)
    if not steps:
        return
    reader = _Reader(context)
    for _, found in groupby(steps, key=lambda one: (one.repository, one.branch)):
        spans: dict[_Pair, list[_Span]] = {}
        for span in _versions(context, list(found)):
            for pair in reader.pairs(span[2]):
                spans.setdefault(pair, []).append(span)
        for pair, each in spans.items():
            yield from (_row(pair, span) for span in _merged(each))


def _versions(context: Context, steps: Sequence[StepRow]) -> Iterator[_Span]:
    """The versions of one branch's file: each until the next, a displaced one until it was displaced."""
    rows = [
        (row, step)
        for step in steps
        if (row := context.get(RevisionRow, step.repository, step.branch, step.commit_sha))
    ]
    line = sorted((row.number, row.landed_floor, step) for row, step in rows if not row.superseded)
    ends = [since for _, since, _ in line[1:]] + [_FOREVER]
    for (_, since, step), until in zip(line, ends, strict=False):
        yield since, until, step
    for row, step in rows:
        if row.superseded:
            yield row.landed_floor, context.event(row.superseded_at).recorded_at, step


def _merged(spans: Sequence[_Span]) -> Iterator[_Span]:
    """Spans without those that begin before another ends."""
    since, until, step = spans[0]
    for one in sorted(spans, key=lambda span: span[:2]):
        if one[0] > until:
            yield since, until, step
            since, until, step = one
        elif one[1] > until:
            until = one[1]
    yield since, until, step


class _Reader:
    """Reads each content once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pairs: dict[str, frozenset[_Pair]] = {}

    def pairs(self, step: StepRow) -> frozenset[_Pair]:
        """The addresses that a version joins."""
        row = self._context.get(MailmapRow, step.repository, step.commit_sha)
        digest = row.digest if row is not None else ""
        if digest not in self._pairs:
            self._pairs[digest] = frozenset(self._read(digest)) if digest else frozenset()
        return self._pairs[digest]

    def _read(self, digest: str) -> Iterator[_Pair]:
        text = self._context.content(digest_bytes(digest)).decode("utf-8", "replace")
        for old, new in read_mailmap(text).pairs():
            proper, other = email_key(new), email_key(old)
            if proper is None or other is None or proper == other:
                continue
            if is_own(proper.value) and is_own(other.value):
                yield proper, other


def _row(pair: _Pair, span: _Span) -> JoiningRow:
    since, until, step = span
    proper, other = pair
    where = f"{step.repository} on {step.branch}"
    ended = until != _FOREVER
    said = f"the .mailmap of {where} {'said' if ended else 'says'} so"
    return JoiningRow(
        MAILMAP,
        *proper,
        *other,
        place=key_text(where),
        valid_from=since,
        valid_until=_later(until) if ended else "",
        grade=REPORTED,
        reason=f"{said}, which anybody who can merge can edit",
        refused=0,
        evidence_position=step.evidence_position,
        recorded_at=step.recorded_at,
    )


def _later(until: str) -> str:
    """The end with an hour's grace: its time is one that commits claim.

    Else somebody could take the line of their own out, and approve that very change.
    """
    try:
        return (datetime.fromisoformat(until) + GRACE).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return until
