"""What a report prints, as plain frozen values: a template can reach nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.controls import Item, Result
from ledger.periods import Period


@dataclass(frozen=True, slots=True)
class Standing:
    """The log that a report stands on. `position` is its size; times are UTC text."""

    position: int
    root: str
    first_recorded_at: str
    last_recorded_at: str
    events: int
    program: str
    projections: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Feed:
    """What one source told: how many events, and when the first and the last were recorded."""

    source: str
    events: int
    first_recorded_at: str
    last_recorded_at: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What a repository held when it was last counted, and how many of its commits are recorded."""

    repository: str
    branches: tuple[str, ...]
    refs: int
    commits: int
    commits_digest: str
    recorded: int
    position: int
    recorded_at: str

    @property
    def complete(self) -> bool:
        """Whether at least as many commits are recorded as were counted."""
        return self.recorded >= self.commits


@dataclass(frozen=True, slots=True)
class ClusterSurvey:
    """What the last look at a cluster covered: how many objects, in how many kinds and namespaces.

    Both are None where the list of scopes is so long that it is kept apart from its event.
    """

    cluster: str
    identity: str
    scopes: int | None
    objects: int | None
    source: str
    observed_at: str
    position: int
    recorded_at: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of a source that could not be read, or (of kind `refused`) requests that were refused."""

    source: str
    kind: str
    detail: str
    since: str
    recorded_at: str
    position: int


@dataclass(frozen=True, slots=True)
class Hole:
    """A time in which nobody looked: its length in words, and the instants at its ends."""

    span: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of the period the looks of one source speak for, at one cluster where it reads clusters.

    `before` is the part of the period before the source's first look ever, `after` the part after its
    last; None where there is none. `counted` is whether looks are recorded: of a source whose looks are
    not, the ends are when the first or last happened of what it told. `looks` is how many at the
    cluster are of the period, `between` the longest time between two that follow each other and meet
    the period; both are None for a source that reads no cluster.
    """

    source: str
    cluster: str
    counted: bool
    before: Hole | None
    after: Hole | None
    looks: int | None
    between: Hole | None


@dataclass(frozen=True, slots=True)
class Unshipped:
    """A revision that landed on paths of an environment that are in no application's directory.

    `judged` is whether the population of applied changes has it in this environment all the same, as
    another part of it was shipped.
    """

    environment: str
    patterns: tuple[str, ...]
    repository: str
    branch: str
    number: int
    commit: str
    landed_at: str
    subject: str
    pull_request: int | None
    approval: str
    reason: str
    judged: bool
    position: int


@dataclass(frozen=True, slots=True)
class Move:
    """A tracked branch that was moved back, sideways, or deleted."""

    repository: str
    ref: str
    kind: str
    old: str
    new: str
    abandoned: int
    recorded_at: str
    position: int


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment, and how many items of the population are of it."""

    name: str
    tier: str
    items: int


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A cluster and application that no environment is mapped to, and how much of it there is."""

    cluster: str
    application: str
    count: int


@dataclass(frozen=True, slots=True)
class LateEvents:
    """Events that happened in the period and were recorded after an earlier report of it."""

    type: str
    source: str
    count: int
    first_occurred_at: str
    last_occurred_at: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier report of the same name and period, and what has come to be known since."""

    position: int
    digest: str
    recorded_at: str
    events: tuple[LateEvents, ...]
    items: tuple[tuple[str, Item], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """All of a report."""

    name: str
    title: str
    sentence: str
    ledger: str
    period: Period
    standing: Standing
    results: tuple[Result, ...]
    feeds: tuple[Feed, ...]
    surveys: tuple[Survey, ...]
    clusters: tuple[ClusterSurvey, ...]
    gaps: tuple[Gap, ...]
    moves: tuple[Move, ...]
    coverage: tuple[Coverage, ...]
    unshipped: tuple[Unshipped, ...]
    environments: tuple[Environment, ...]
    unmapped: tuple[Unmapped, ...]
    earlier: Earlier | None

    def total(self, outcome: str) -> int:
        """How many items of the period have an outcome."""
        return sum(one.count(outcome) for one in self.results if not one.control.judges_state)

    @property
    def population(self) -> int:
        """How many items of the period the controls judged; a state is none of them."""
        return sum(one.population for one in self.results if not one.control.judges_state)

    @property
    def unread(self) -> tuple[Coverage, ...]:
        """The sources that nobody read from the beginning of the period to its end."""
        return tuple(one for one in self.coverage if one.before or one.after)

    @property
    def looked(self) -> tuple[Coverage, ...]:
        """The looks at clusters: of each no more than moments."""
        return tuple(one for one in self.coverage if one.cluster)

    @property
    def states(self) -> tuple[Result, ...]:
        """The results that are as of the log position, whatever the period."""
        return tuple(one for one in self.results if one.control.judges_state)


@dataclass(frozen=True, slots=True)
class Attached:
    """One file that a report carries."""

    name: str
    description: str
    relationship: str
    data: bytes
    digest: str
