"""What a forge tells of pull requests and reviews.

`repository` is the name in `ledger.toml` that the forge's repository maps to, else its full name with
its host, `github.com/acme/infra`, which `forge` always holds. Who speaks is the envelope's actor.
`raw` addresses the redacted text that a fact was read from.
"""

from __future__ import annotations

from typing import ClassVar

from ledger.events.base import Fact, Identity


class PullRequest(Fact, frozen=True, kw_only=True):
    """A pull request as it stood when the forge told of it. Times as the forge claims them.

    `head` is the commit that would be merged, `base_commit` the base branch as the forge knew it.
    """

    number: int
    title: str = ""
    author: Identity | None = None
    author_is_bot: bool = False
    url: str = ""
    base: str = ""
    base_commit: str = ""
    head_ref: str = ""
    head: str = ""
    labels: list[str] = []
    draft: bool = False
    created_at: str = ""
    updated_at: str = ""


class PullRequestOpened(Fact, frozen=True, kw_only=True):
    """A pull request was opened, or opened again (`reopened`)."""

    TYPE: ClassVar[str] = "pull_request.opened"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    pull_request: PullRequest
    at: str
    reopened: bool = False
    raw: str = ""


class PullRequestPushed(Fact, frozen=True, kw_only=True):
    """The head of a pull request moved; the actor is who pushed, hence a contributor."""

    TYPE: ClassVar[str] = "pull_request.pushed"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    pull_request: PullRequest
    before: str
    after: str
    at: str
    raw: str = ""


class PullRequestMerged(Fact, frozen=True, kw_only=True):
    """A pull request was merged. `pull_request.head` is the head that was merged.

    `merge_commit` is what landed (merge or squash commit, or the last of a rebase). `method` is empty
    where the forge does not tell it. `commits` counts the commits of the pull request, 0 if not told.
    """

    TYPE: ClassVar[str] = "pull_request.merged"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    pull_request: PullRequest
    merge_commit: str
    merged_at: str
    merged_by: Identity | None = None
    merged_by_bot: bool = False
    method: str = ""
    commits: int = 0
    raw: str = ""


class PullRequestClosed(Fact, frozen=True, kw_only=True):
    """A pull request was closed and not merged."""

    TYPE: ClassVar[str] = "pull_request.closed"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    pull_request: PullRequest
    closed_at: str
    raw: str = ""


class ProposedCommit(Fact, frozen=True, kw_only=True):
    """A commit of a pull request, with its people as the forge knows them; None where it knows nobody."""

    commit: str
    author: Identity | None = None
    committer: Identity | None = None


class PullRequestListed(Fact, frozen=True, kw_only=True):
    """The commits of a pull request at a head, oldest first, as the forge lists them (perhaps not all)."""

    TYPE: ClassVar[str] = "pull_request.listed"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    number: int
    head: str
    commits: list[ProposedCommit]
    raw: str = ""


class ReviewSubmitted(Fact, frozen=True, kw_only=True):
    """A review was given at a commit. `state`: approved, changes_requested, commented, dismissed.

    A review read from the API after it was dismissed tells only that it was; what it said is then
    known from its webhook alone. `review` is the forge's own id; `commit` is empty where the forge
    no longer knows it. `carried` is a review given at an earlier head that the forge counts at this one
    by a rule of its own.
    """

    TYPE: ClassVar[str] = "review.submitted"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    number: int
    review: str
    reviewer: Identity | None = None
    reviewer_is_bot: bool = False
    state: str
    commit: str = ""
    submitted_at: str = ""
    association: str = ""
    url: str = ""
    carried: bool = False
    raw: str = ""


class ReviewDismissed(Fact, frozen=True, kw_only=True):
    """A review no longer counts. `at` is when the forge says so; the actor is who dismissed it."""

    TYPE: ClassVar[str] = "review.dismissed"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    number: int
    review: str
    reviewer: Identity | None = None
    commit: str = ""
    at: str = ""
    raw: str = ""
