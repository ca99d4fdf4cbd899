"""The vocabulary: every fact the ledger records, as frozen data with a chosen type name and version.

A type name is a string we choose and never a class path, so that moving code never breaks the log.
Facts only: what a fact means is decided by projections, so that a better reading is a rebuild.
All times are UTC text `YYYY-MM-DDTHH:MM:SSZ`, which sorts as it reads. Digests are `sha256:<hex>`.
Paths and texts that are not UTF-8 are told apart by a sibling field that names how they were written.
"""

from __future__ import annotations

import msgspec

from ledger.events.base import Fact, Identity
from ledger.events.deployment import (
    Application,
    ApplicationChanged,
    ApplicationCreated,
    ApplicationDeleted,
    ApplicationSource,
    ClusterSurveyed,
    LiveObserved,
    LiveRemoved,
    ScopeCounted,
    Sync,
    SyncApplied,
    SyncedResource,
    SyncFailed,
)
from ledger.events.forge import (
    CheckCompleted,
    ListedReview,
    ProposedCommit,
    PullRequest,
    PullRequestClosed,
    PullRequestListed,
    PullRequestMerged,
    PullRequestOpened,
    PullRequestPushed,
    RefPushed,
    ReviewDismissed,
    ReviewsListed,
    ReviewSubmitted,
    RulesObserved,
    TeamObserved,
)
from ledger.events.git import (
    CommitObserved,
    FileChange,
    FileSide,
    HeadCompared,
    PullRequestMatched,
    PullRequestMismatched,
    RefMoved,
    RefState,
    RevisionObserved,
    Signature,
    SignatureVerified,
    SourceSurveyed,
    Trailer,
)
from ledger.events.own import (
    CollectorGap,
    ControlCounted,
    EnvironmentMapped,
    PersonMapped,
    QueryExecuted,
    ReportIssued,
)

__all__ = [
    "EVENT_TYPES",
    "Application",
    "ApplicationChanged",
    "ApplicationCreated",
    "ApplicationDeleted",
    "ApplicationSource",
    "CheckCompleted",
    "ClusterSurveyed",
    "CollectorGap",
    "CommitObserved",
    "ControlCounted",
    "EnvironmentMapped",
    "Event",
    "Fact",
    "FileChange",
    "FileSide",
    "HeadCompared",
    "Identity",
    "ListedReview",
    "LiveObserved",
    "LiveRemoved",
    "NewEvent",
    "PersonMapped",
    "Position",
    "ProposedCommit",
    "PullRequest",
    "PullRequestClosed",
    "PullRequestListed",
    "PullRequestMatched",
    "PullRequestMerged",
    "PullRequestMismatched",
    "PullRequestOpened",
    "PullRequestPushed",
    "QueryExecuted",
    "RecordedEvent",
    "RefMoved",
    "RefPushed",
    "RefState",
    "ReportIssued",
    "ReviewDismissed",
    "ReviewSubmitted",
    "ReviewsListed",
    "RevisionObserved",
    "RulesObserved",
    "ScopeCounted",
    "Signature",
    "SignatureVerified",
    "SourceSurveyed",
    "Sync",
    "SyncApplied",
    "SyncFailed",
    "SyncedResource",
    "TeamObserved",
    "Trailer",
]

Position = int

Event = (
    CommitObserved
    | SignatureVerified
    | RefMoved
    | RevisionObserved
    | SourceSurveyed
    | PullRequestMatched
    | PullRequestMismatched
    | PullRequestOpened
    | PullRequestPushed
    | PullRequestMerged
    | PullRequestClosed
    | PullRequestListed
    | ReviewSubmitted
    | ReviewDismissed
    | ReviewsListed
    | RefPushed
    | CheckCompleted
    | RulesObserved
    | TeamObserved
    | HeadCompared
    | ApplicationCreated
    | ApplicationChanged
    | ApplicationDeleted
    | SyncApplied
    | SyncFailed
    | LiveObserved
    | LiveRemoved
    | ClusterSurveyed
    | EnvironmentMapped
    | PersonMapped
    | CollectorGap
    | QueryExecuted
    | ReportIssued
)

EVENT_TYPES: tuple[type[Event], ...] = (
    CommitObserved,
    SignatureVerified,
    RefMoved,
    RevisionObserved,
    SourceSurveyed,
    PullRequestMatched,
    PullRequestMismatched,
    PullRequestOpened,
    PullRequestPushed,
    PullRequestMerged,
    PullRequestClosed,
    PullRequestListed,
    ReviewSubmitted,
    ReviewDismissed,
    ReviewsListed,
    RefPushed,
    CheckCompleted,
    RulesObserved,
    TeamObserved,
    HeadCompared,
    ApplicationCreated,
    ApplicationChanged,
    ApplicationDeleted,
    SyncApplied,
    SyncFailed,
    LiveObserved,
    LiveRemoved,
    ClusterSurveyed,
    EnvironmentMapped,
    PersonMapped,
    CollectorGap,
    QueryExecuted,
    ReportIssued,
)


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A fact about to be appended. `key` is natural: the same fact read again has the same key."""

    stream: str
    key: str
    source: str
    occurred_at: str = ""
    actor: Identity | None = None
    data: Event


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A fact as it stands in the log."""

    position: Position
    stream: str
    key: str
    source: str
    occurred_at: str
    recorded_at: str
    actor: Identity | None
    data: Event
