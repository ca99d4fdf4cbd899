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
    no longer knows it; `commit_deduced` where it does not tell the commit, and it is the head that stood
    when the review was given. `carried` is a review given at an earlier head that the forge counts at
    this one by a rule of its own. `provisional` where it is told without the forge's id, and `review` is
    made of what is told: once the reviews are listed, it is one of those.
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
    commit_deduced: bool = False
    carried: bool = False
    provisional: bool = False
    raw: str = ""


class ListedReview(Fact, frozen=True, kw_only=True):
    """How a review stood when it was listed. None is not told.

    `official` is whether the forge counts it, `stale` whether it says that the change is another since.
    """

    review: str
    official: bool | None = None
    stale: bool | None = None
    dismissed: bool = False


class ReviewsListed(Fact, frozen=True, kw_only=True):
    """All reviews that a pull request had when the forge was asked, however they stood then.

    `at` is when the pull request had last changed by then: what was told of it until then is in the list,
    or was deleted. `head` is its head then.
    """

    TYPE: ClassVar[str] = "review.listed"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    number: int
    at: str
    head: str = ""
    reviews: list[ListedReview]
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


class RefPushed(Fact, frozen=True, kw_only=True):
    """The forge says that somebody pushed to a branch; the actor is who, as the forge authenticated them.

    `before` is empty where the branch was made, `after` where it was deleted. `commits` are the pushed
    ones that the forge lists, oldest first, `commit_count` how many there are, 0 where it does not
    tell. `kind` is the forge's word for how it came about (push, force_push, pr_merge, merge_queue_merge,
    branch_creation, branch_deletion), `result` its word for how the push stood to its rules (pass,
    bypass), both empty where it does not say. `bypassed` are the rules that the forge says were passed
    over. `push` is the forge's own id.
    """

    TYPE: ClassVar[str] = "ref.pushed"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    ref: str
    before: str = ""
    after: str = ""
    forced: bool = False
    kind: str = ""
    pusher_is_bot: bool = False
    at: str = ""
    commits: list[str] = []
    commit_count: int = 0
    result: str = ""
    bypassed: list[str] = []
    push: str = ""
    raw: str = ""


class CheckCompleted(Fact, frozen=True, kw_only=True):
    """A check of a commit ended: a check run, a status, a pipeline, a verification vote.

    `check` is the forge's own id, empty where it has none, `app` what ran it as the forge names it.
    `conclusion`: success, failure, neutral, cancelled, timed_out, action_required, skipped, stale,
    error, else the forge's own word.
    """

    TYPE: ClassVar[str] = "check.completed"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    commit: str
    name: str
    conclusion: str
    app: str = ""
    check: str = ""
    started_at: str = ""
    completed_at: str = ""
    url: str = ""
    raw: str = ""


class RulesObserved(Fact, frozen=True, kw_only=True):
    """The rules for changing a branch, as the forge told them when it was asked or when they changed.

    None and empty are not told. `found` is false where the forge says that there are no rules. `at`
    is when they were seen in force, which says nothing of the time before. `bypassers` are who may
    pass over them: logins, `team:` and `role:` names; `approvers` whose approvals fulfil them, anybody's
    where there are none; `mergers` who may merge, whoever may write where there are none. `role:nobody`
    is an empty list that counts. `rejections_block` is whether changes that somebody requested do,
    `stale_ignored` whether approvals of an earlier change do not count without being dismissed.
    `ruleset` parts several sets of rules that hold for one branch; all of them hold at once. Where a forge
    lets one of several branch patterns hold, it is that of the lowest `priority` that is not 0.
    `author_counts` is whether the author's own approval is one of those that are required. `number` is the
    pull request that they are of alone, as the forge kept them when it merged, 0 where they are of all.
    """

    TYPE: ClassVar[str] = "rules.observed"
    VERSION: ClassVar[int] = 1

    repository: str
    forge: str
    branch: str
    ruleset: str = ""
    found: bool = True
    enforced: bool | None = None
    pull_request_required: bool | None = None
    approvals_required: int | None = None
    code_owners_required: bool | None = None
    dismisses_stale: bool | None = None
    last_push_approval: bool | None = None
    admins_included: bool | None = None
    checks_required: list[str] = []
    merge_methods: list[str] = []
    bypassers: list[str] = []
    approvers: list[str] = []
    mergers: list[str] = []
    rejections_block: bool | None = None
    signatures_required: bool | None = None
    stale_ignored: bool | None = None
    author_counts: bool | None = None
    priority: int = 0
    number: int = 0
    at: str
    raw: str = ""


class TeamObserved(Fact, frozen=True, kw_only=True):
    """Who is in a team (`acme/platform` on `forge`, which is the host) when the forge was asked."""

    TYPE: ClassVar[str] = "team.observed"
    VERSION: ClassVar[int] = 1

    forge: str
    team: str
    members: list[Identity]
    at: str
    raw: str = ""
