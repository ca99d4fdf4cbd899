"""Who owns which paths by a CODEOWNERS file, as GitHub and GitLab read it.

Theory. A file is one section (GitHub) or several (GitLab). In each section the last entry whose
pattern matches a path says who owns it; an entry without owners says that nobody does. Every section
demands its owners apart, unless it is optional. GitHub leaves out a line that it cannot read, and a
file above 3 MB altogether. GitLab lets a heading hold for the entries below it alone (how many have to
approve, the owners of those that name none), also where several headings make one section; facts are
from its `doc/user/project/codeowners` and `ee/lib/gitlab/code_owners`. Gitea and Forgejo read regular
expressions and demand nothing by them: that form is recognised and not judged.

Patterns are matched segment by segment, never by a regular expression, so no pattern takes more than
its own length times that of the path. What would take too long altogether is refused (`TooMuch`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

GITHUB, GITLAB, GITEA = "github", "gitlab", "gitea"
# Where each looks, the first one that there is.
LOCATIONS: Final = {
    GITHUB: (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"),
    GITLAB: ("CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"),
    GITEA: (
        "CODEOWNERS",
        "docs/CODEOWNERS",
        ".gitea/CODEOWNERS",
        ".forgejo/CODEOWNERS",
    ),
}
PATHS: Final = frozenset(path for paths in LOCATIONS.values() for path in paths)
MAX_BYTES: Final = 3 * 1024 * 1024
MAX_WORK: Final = 1_000_000
_MAX_PROBLEMS = 100
_MAX_PATTERN = 4_096
_SHOWN = 80
# What stands behind it is passed over, as is a number in brackets that is none.
_HEADING = re.compile(r"(\^?)\[([^\]]*)\](?:\[([0-9]*)\])?(\s[@\w.\-/\s+]*)?", re.ASCII)
_MAX_COUNT = 9_999
_MAX_NAME = 255
_LOGIN = re.compile(r"@@?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,254})(?:/[A-Za-z0-9._/-]{1,255})?")
_EMAIL = re.compile(r"[^\s@]{1,128}@[^\s@]{1,255}")
_SPACE = re.compile(r"(?<!\\)[ \t]+")
_ANY = "**"
_WILD = frozenset("*?\\")


# What a segment of a pattern is matched by: plain text, `*`, `**`, or its characters (`_units`).
Segment = str | tuple[str, ...]


class TooMuch(Exception):  # noqa: N818 (an answer, which the caller tells)
    """There are too many patterns for so many paths."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A pattern and who owns what it matches: `@login`, `@group/team`, an address, `@@role`.

    `count` of them have to approve, unless it is `optional`.
    """

    line: int
    pattern: str
    owners: tuple[str, ...]
    excludes: bool = False
    segments: tuple[Segment, ...] = ()
    count: int = 1
    optional: bool = False

    @property
    def wild(self) -> bool:
        """Whether matching it may take longer than reading it."""
        return len(self.segments) > 1 or not all(isinstance(one, str) for one in self.segments)


@dataclass(slots=True)
class Section:
    """Entries of which the last that matches a path counts. It is required where any of them is."""

    name: str = ""
    entries: list[Entry] = field(default_factory=list)

    @property
    def optional(self) -> bool:
        """Whether nobody has to approve."""
        return all(one.optional for one in self.entries)


@dataclass(frozen=True, slots=True)
class _Heading:
    """What a heading says of the entries below it."""

    count: int = 1
    optional: bool = False
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeOwners:
    """A file as it is read. `problems` are lines left out, with why; `unjudged` is why nothing is said."""

    sections: tuple[Section, ...] = ()
    problems: tuple[str, ...] = ()
    unjudged: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """`count` of `owners` have to approve, for `path` and perhaps others; owners in order, each once."""

    section: str
    owners: tuple[str, ...]
    count: int
    path: str


def read(raw: bytes, dialect: str = GITHUB) -> CodeOwners:
    """Reads a CODEOWNERS file; in time linear in it. Never fails: what is wrong is told."""
    if dialect == GITEA:
        return CodeOwners(unjudged="Gitea and Forgejo demand nothing by CODEOWNERS")
    if dialect == GITHUB and len(raw) > MAX_BYTES:
        return CodeOwners(problems=("the file is above 3 MB, which GitHub does not load",))
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    return _Reader(dialect).read(text)


class _Reader:
    def __init__(self, dialect: str) -> None:
        self._gitlab = dialect == GITLAB
        self._sections = {"": Section()}
        self._section = self._sections[""]
        self._heading = _Heading()
        self._places: dict[tuple[str, tuple[Segment, ...]], int] = {}
        self._problems: list[str] = []
        self._unjudged = ""

    def read(self, text: str) -> CodeOwners:
        for number, line in enumerate(text.split("\n"), 1):
            stripped = line.strip()
            if stripped and not stripped.startswith("#"):
                self._line(number, stripped)
        return CodeOwners(tuple(self._sections.values()), tuple(self._problems), self._unjudged)

    def _line(self, number: int, line: str) -> None:
        heading = _HEADING.match(line) if self._gitlab else None
        if heading is not None:
            self._begin(heading)
            return
        pattern, *words = _SPACE.split(line)
        excludes = self._gitlab and pattern.startswith("!")
        pattern = pattern.removeprefix("!") if excludes else pattern
        wrong = _wrong(pattern, self._gitlab)
        if wrong and self._gitlab and not _never_matches(pattern):
            self._unjudged = self._unjudged or f"line {number} {wrong}, which is not judged here"
        owners, strange = self._owners(words)
        wrong = wrong or strange
        if wrong:
            self._problem(number, wrong)
            return
        segments = _segments(pattern.replace("\\ ", " "), self._gitlab)
        below = self._heading
        self._enter(
            Entry(
                number,
                pattern,
                owners if words else below.owners,
                excludes,
                segments,
                below.count,
                below.optional,
            )
        )

    def _enter(self, entry: Entry) -> None:
        """Adds an entry; GitLab lets one of the same pattern take the place of the earlier."""
        entries = self._section.entries
        before = self._places.get((self._section.name, entry.segments)) if self._gitlab else None
        if before is not None:
            entries[before] = entry
            return
        self._places[self._section.name, entry.segments] = len(entries)
        entries.append(entry)

    def _begin(self, heading: re.Match[str]) -> None:
        name = heading[2]
        owners, _ = self._owners(_SPACE.split((heading[4] or "").strip()))
        count = min(int((heading[3] or "0")[:9]), _MAX_COUNT) or 1
        self._heading = _Heading(count, bool(heading[1]), owners)
        # One name is one section, in any case; it is called as its first heading says.
        self._section = self._sections.setdefault(
            f"[{name.casefold()}]", Section(name[:_MAX_NAME] or "[]")
        )

    def _owners(self, words: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """The owners that words name, and what is wrong with them.

        GitLab passes over other words, and knows no comments behind an entry.
        """
        found: dict[str, None] = {}
        for word in words:
            if word.startswith("#") and not self._gitlab:
                break
            if self._names(word):
                found[word] = None
            elif word and not self._gitlab:
                return (), f"names {_told(word)} as an owner"
        return tuple(found), ""

    def _names(self, word: str) -> bool:
        if len(word) > 512 or (word.startswith("@@") and not self._gitlab):
            return False
        return bool(_LOGIN.fullmatch(word) or _EMAIL.fullmatch(word))

    def _problem(self, number: int, wrong: str) -> None:
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(f"line {number} {wrong}")


def _told(word: str) -> str:
    return ascii(word[:_SHOWN])


def _never_matches(pattern: str) -> bool:
    """Whether it has a bracket that is never closed, as a heading that is none."""
    return "[" in pattern and "]" not in pattern and "\\" not in pattern


def _wrong(pattern: str, gitlab: bool) -> str:
    if pattern.startswith("!") and not gitlab:
        return "takes files out with `!`"
    if "[" in pattern or "]" in pattern:
        return "has a range in brackets"
    if len(pattern) > _MAX_PATTERN:
        return "has a pattern longer than any path"
    if "***" in pattern:
        return "has three stars in a row"
    if pattern.startswith("\\#") and not gitlab:
        return "begins with an escaped `#`"
    return ""


def _segments(pattern: str, gitlab: bool) -> tuple[Segment, ...]:
    """What a pattern is matched by: `**` stands for any number of segments, also none."""
    pattern = pattern.removeprefix("\\") if pattern.startswith("\\#") else pattern
    parts = pattern.split("/")
    anchored = parts[0] == ""
    inside = parts[-1] == "" and len(parts) > 1
    parts = [part for part in parts if part]
    if not parts:
        return (_ANY, "*") if gitlab and inside else ()  # `/` owns nothing on GitHub
    if not anchored and (gitlab or len(parts) == 1):
        parts.insert(0, _ANY)
    last = parts[-1]
    if gitlab and not inside and last == _ANY:
        parts[-1] = "*"  # at the end two stars are one
    elif inside or last == _ANY:
        parts = [*parts[: len(parts) - (last == _ANY)], _ANY, "*"]
    elif last != "*" and not gitlab:
        parts.append(_ANY)  # a folder's name owns what is in it
    kept = [one for at, one in enumerate(parts) if one != _ANY or parts[at - 1 : at] != [_ANY]]
    return tuple(one if one in ("*", _ANY) or not set(one) & _WILD else _units(one) for one in kept)


def matches(segments: Sequence[Segment], path: Sequence[str]) -> bool:
    """Whether segments of a pattern match those of a path, in time of one length times the other."""
    at = place = 0
    star, mark = -1, 0
    while place < len(path):
        if at < len(segments) and segments[at] == _ANY:
            star, mark = at, place
            at += 1
        elif at < len(segments) and _segment(segments[at], path[place]):
            at += 1
            place += 1
        elif star >= 0:
            mark += 1
            at, place = star + 1, mark
        else:
            return False
    return all(one == _ANY for one in segments[at:]) and bool(segments)


def _segment(pattern: Segment, text: str) -> bool:
    if isinstance(pattern, str):
        return pattern in ("*", text)
    at = place = 0
    star, mark = -1, 0
    while place < len(text):
        if at < len(pattern) and pattern[at] == "**":
            star, mark = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("??", text[place]):
            at += 1
            place += 1
        elif star >= 0:
            mark += 1
            at, place = star + 1, mark
        else:
            return False
    return all(one == "**" for one in pattern[at:])


def _units(pattern: str) -> tuple[str, ...]:
    """The characters of a segment; `**` stands for its stars (any characters, also none), `??` for
    its question marks (any one). A backslash takes the next as it is."""
    found: list[str] = []
    escaped = False
    for one in pattern:
        if escaped or one not in _WILD:
            found.append(one)
            escaped = False
        elif one == "\\":
            escaped = True
        elif one == "?" or found[-1:] != ["**"]:
            found.append(one * 2)
    return tuple(found)


def fits(pattern: str, name: str, *, crossing: bool) -> bool:
    """Whether a pattern of branches matches one; a single star goes over `/` where it is `crossing`."""
    if len(pattern) > _MAX_PATTERN:
        return False
    if crossing:
        return _segment(_units(pattern), name)
    return matches(
        [one if one == _ANY else _units(one) for one in pattern.split("/")], name.split("/")
    )


def demands(owned: CodeOwners, paths: Iterable[str]) -> list[Demand]:
    """Whose approval the paths demand: each set of owners of a section once, with the first path.

    Raises TooMuch where patterns times paths are above `MAX_WORK`. Optional sections demand nothing.
    """
    found: dict[tuple[str, tuple[str, ...], int], Demand] = {}
    wanted = sorted(set(paths))
    work = 0
    for section in owned.sections:
        if section.optional:
            continue
        index = _Index(section.entries)
        for path in wanted:
            parts = path.split("/")
            entries, length = index.for_first(parts[0])
            work += len(entries) + length * len(path) // 256
            if work > MAX_WORK:
                raise TooMuch
            entry = next((one for one in entries if matches(one.segments, parts)), None)
            if entry is not None and entry.owners and not entry.excludes:
                demand = Demand(section.name, entry.owners, entry.count, path)
                found.setdefault((section.name, entry.owners, entry.count), demand)
    return list(found.values())


class _Index:
    """Entries by the first segment of the paths that they can match: exclusions, then the last first."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._anywhere: list[tuple[int, Entry]] = []
        self._below: dict[str, list[tuple[int, Entry]]] = {}
        self._ready: dict[str, tuple[list[Entry], int]] = {}
        for at, entry in enumerate(entries):
            first = entry.segments[0] if entry.segments else ""
            plain = isinstance(first, str) and first not in ("", "*", _ANY)
            where = self._below.setdefault(str(first), []) if plain else self._anywhere
            where.append((at, entry))

    def for_first(self, segment: str) -> tuple[list[Entry], int]:
        """The entries that a path in a folder of the root can match, and the length of the wild ones."""
        key = segment if segment in self._below else ""
        known = self._ready.get(key)
        if known is None:
            chosen = self._anywhere + self._below.get(key, [])
            chosen.sort(key=lambda one: (not one[1].excludes, -one[0]))
            entries = [entry for _, entry in chosen]
            length = sum(len(entry.pattern) for entry in entries if entry.wild)
            known = self._ready[key] = entries, length
        return known
