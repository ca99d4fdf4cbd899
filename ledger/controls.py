"""Controls: rules that judge a whole population, one SQL file each, run within the auditors' wall.

A control is `reports/controls/NAME.sql`, or `controls/NAME.sql` beside `ledger.toml`. It begins with
a header of `-- key: text` lines, which `--   more text` lines continue, and is one query over the
public views that runs on both databases. It gives one row for each item of its population. What is
not known is `unknown` and never counts as pass.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ledger.auditor import Answer, Contract, Session
from ledger.errors import NotFoundError, QueryError, UsageError
from ledger.periods import Period
from ledger.store import schema

OUTCOMES = ("exception", "unknown", "pass", "not_applicable")
COLUMNS = (
    "item", "outcome", "reason", "evidence",
    "occurred_at", "environment", "application", "owner", "url",
)  # fmt: skip
KEYS = (
    "id", "version", "title", "criteria", "population", "parameters", "rationale", "remediation",
)  # fmt: skip
PARAMETERS = ("period_start", "period_end")
SECONDS = 600.0
MAX_DETAIL = 80
_ID = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*")
_KEY = re.compile(r"-- ([a-z_]+): (\S.*)")
_MORE = re.compile(r"--  +(\S.*)")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


@dataclass(frozen=True, slots=True)
class Control:
    """One control as its file tells it; `digest` is the SHA-256 of the file."""

    id: str
    version: int
    title: str
    criteria: tuple[str, ...]
    population: str
    parameters: tuple[str, ...]
    rationale: str
    remediation: str
    sql: str
    text: str
    digest: str
    file: str

    @property
    def judges_state(self) -> bool:
        """Whether its population is a state as of the log position, and not of a period."""
        return not self.parameters


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a population, judged. `more` are the columns after the common ones, as they came."""

    item: str
    outcome: str
    reason: str
    evidence: str
    occurred_at: str
    environment: str
    application: str
    owner: str
    url: str
    more: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a control found: every item, in order of time, then of name."""

    control: Control
    period: Period
    columns: tuple[str, ...]
    items: tuple[Item, ...] = field(repr=False)

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(one.outcome for one in self.items)

    def count(self, outcome: str) -> int:
        """How many items have an outcome."""
        return self._counts[outcome]

    @property
    def population(self) -> int:
        """How many items there are."""
        return len(self.items)

    @property
    def observed(self) -> tuple[str, ...]:
        """When the first and the last of the items are of (UTC), or the one time of all of them."""
        times = [one.occurred_at for one in self.items if one.occurred_at]
        return tuple(dict.fromkeys((min(times), max(times)))) if times else ()

    def of(self, *outcomes: str) -> tuple[Item, ...]:
        """The items with one of these outcomes."""
        return tuple(one for one in self.items if one.outcome in outcomes)

    def details(self, item: Item) -> tuple[tuple[str, str], ...]:
        """The further columns of an item that say more than its common ones, by their names.

        Long ones are left out: this is for people.
        """
        names = self.columns[len(COLUMNS) :]
        said = [word for word in re.split(r"[\s@:/]+", item.item) if len(word) > 2]
        found: list[tuple[str, str]] = []
        for name, value in zip(names, item.more, strict=True):
            text = "" if value in (None, 0, "0", "[]") else str(value)
            told = text.startswith(tuple(said)) or (len(text) > 2 and text in item.item)
            if 0 < len(text) <= MAX_DETAIL and name != "recorded_at" and not told:
                found.append((name.replace("_", " "), text))
        return tuple(found)

    def environments(self) -> tuple[tuple[str, Counter[str]], ...]:
        """Each environment that an item names, and the counts of its outcomes, in order of name."""
        found: dict[str, Counter[str]] = {}
        for one in self.items:
            found.setdefault(one.environment, Counter())[one.outcome] += 1
        return tuple(sorted(found.items())) if any(found) else ()

    def answer(self) -> Answer:
        """The items as rows, for whatever prints answers."""
        rows = [(*(getattr(one, name) for name in COLUMNS), *one.more) for one in self.items]
        return Answer(self.columns, rows, False, self.control.sql, 0.0)


# -- finding -------------------------------------------------------------------------------------


def folders(beside: Path) -> tuple[Path, Path]:
    """Where controls are: what the program ships, and `controls` in the folder of `ledger.toml`."""
    return schema.shipped("reports") / "controls", beside / "controls"


def find_all(beside: Path) -> tuple[Control, ...]:
    """Every control, in order of its id. Raises UsageError that names the file at fault."""
    paths = [path for folder in folders(beside) for path in sorted(folder.glob("*.sql"))]
    found: dict[str, Control] = {}
    for path in paths:
        one = read(path)
        if one.id in found:
            raise UsageError(
                f"two controls are called {one.id}: {found[one.id].file} and {path}",
                hint="Give one of them another id.",
            )
        found[one.id] = one
    return tuple(found[name] for name in sorted(found))


def find(beside: Path, name: str) -> Control:
    """The control with an id, in any case. Raises NotFoundError with those there are."""
    known = find_all(beside)
    for one in known:
        if one.id == name.upper():
            return one
    raise NotFoundError(
        f"there is no control {name!r}", hint=f"Known: {', '.join(one.id for one in known)}."
    )


def read(path: Path) -> Control:
    """The control of a file. Raises UsageError that says what is wrong with the file."""
    try:
        raw = path.read_bytes()
        return parse(raw.decode("utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the control {path} cannot be read: {error}") from error


def parse(text: str, path: Path) -> Control:
    """The control that a text is. Raises UsageError that says what is wrong with it."""
    header, sql = _header(text, path)
    if missing := [key for key in KEYS if key not in header]:
        raise _faulty(path, f"its header lacks {', '.join(missing)}")
    if unknown := [key for key in header if key not in KEYS]:
        raise _faulty(path, f"its header has {', '.join(unknown)}, which no control has")
    if not _ID.fullmatch(header["id"]):
        raise _faulty(path, f"{header['id']!r} is no id: capitals, digits and dashes, as CHG-01")
    if not re.fullmatch(r"[1-9][0-9]{0,8}", header["version"], re.ASCII):
        raise _faulty(path, f"{header['version']!r} is no version: a number from 1")
    names = () if header["parameters"] == "none" else _listed(header["parameters"], ",")
    used = set(_PARAMETER.findall(sql))
    if strange := sorted({*names, *used} - set(PARAMETERS)):
        raise _faulty(path, f"there is no parameter {strange[0]}, only {', '.join(PARAMETERS)}")
    if used != set(names):
        raise _faulty(path, "its header does not name the parameters that its SQL uses")
    return Control(
        id=header["id"],
        version=int(header["version"]),
        title=header["title"],
        criteria=_listed(header["criteria"], ";"),
        population=header["population"],
        parameters=names,
        rationale=header["rationale"],
        remediation=header["remediation"],
        sql=sql,
        text=text,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        file=str(path),
    )


def _header(text: str, path: Path) -> tuple[dict[str, str], str]:
    """The header by its keys, and the query below it."""
    header: dict[str, str] = {}
    key = ""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if match := _KEY.fullmatch(line.rstrip()):
            key = match[1]
            if key in header:
                raise _faulty(path, f"its header has {key} twice")
            header[key] = match[2]
        elif key and (match := _MORE.fullmatch(line.rstrip())):
            header[key] += f" {match[1]}"
        else:
            return header, "\n".join(lines[number:]).strip()
    raise _faulty(path, "there is no query below its header")


def _listed(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def _faulty(path: Path, what: str) -> UsageError:
    return UsageError(
        f"the control {path} cannot be used: {what}",
        hint="`ledger control explain CHG-01` shows one that can.",
    )


# -- running -------------------------------------------------------------------------------------


def contract() -> Contract:
    """What a control may read: the public views."""
    return Contract({view.name: tuple(view.columns) for view in schema.views()})


def run(control: Control, period: Period, connection: Session) -> Result:
    """Judges the whole population of a control. Reads only, and only the public views.

    Raises QueryError, which names the control, where its SQL is refused or fails, and where its
    rows break the contract of controls.
    """
    try:
        bounds = {"period_start": period.start, "period_end": period.end}
        answer = connection.query(control.sql, bounds, seconds=SECONDS)
    except QueryError as error:
        raise QueryError(f"{_name(control)}: {error.message}", hint=error.hint) from error
    _check_columns(control, answer.columns)
    items = sorted(map(_item, answer.rows), key=lambda one: (one.occurred_at, one.item))
    _check_items(control, items)
    return Result(control, period, answer.columns, tuple(items))


def _item(row: Sequence[Any]) -> Item:
    said = ["" if value is None else str(value) for value in row[: len(COLUMNS)]]
    item, outcome, reason, evidence, occurred_at, environment, application, owner, url = said
    return Item(
        item=item,
        outcome=outcome,
        reason=reason,
        evidence=evidence,
        occurred_at=occurred_at,
        environment=environment,
        application=application,
        owner=owner,
        url=url,
        more=tuple(row[len(COLUMNS) :]),
    )


def _check_columns(control: Control, columns: tuple[str, ...]) -> None:
    if columns[: len(COLUMNS)] != COLUMNS:
        raise _broken(
            control,
            f"its first columns are {', '.join(columns[: len(COLUMNS)])}",
            f"They must be {', '.join(COLUMNS)}, in this order.",
        )
    if len(set(columns)) != len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise _broken(control, f"it has two columns {twice}", "Give one of them another name.")


def _check_items(control: Control, items: Iterable[Item]) -> None:
    seen: set[str] = set()
    for one in items:
        if not one.item:
            raise _broken(control, "a row has no item", "Each row names what it judges.")
        if one.item in seen:
            raise _broken(
                control,
                f"the item {one.item[:200]!r} comes twice",
                "A population has each item once; a join may have doubled it.",
            )
        seen.add(one.item)
        if one.outcome not in OUTCOMES:
            raise _broken(
                control,
                f"the item {one.item[:200]!r} has the outcome {one.outcome[:80]!r}",
                f"Outcomes are {', '.join(OUTCOMES)}.",
            )
        if one.outcome in ("exception", "unknown") and not one.reason:
            raise _broken(
                control,
                f"the item {one.item[:200]!r} is {one.outcome} without a reason",
                "Say why in the column reason.",
            )


def _broken(control: Control, what: str, hint: str) -> QueryError:
    return QueryError(f"{_name(control)}: {what}", hint=hint)


def _name(control: Control) -> str:
    return f"control {control.id} ({Path(control.file).name})"
