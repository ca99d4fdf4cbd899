"""What is seen in a Git repository."""

from __future__ import annotations

from typing import ClassVar

from ledger.events.base import Fact, Identity


class Trailer(Fact, frozen=True, kw_only=True):
    """One `Key: value` line at the end of a commit message."""

    key: str
    value: str


class Signature(Fact, frozen=True, kw_only=True):
    """The raw signature of a commit; `kind` is pgp, ssh or x509."""

    kind: str
    text: str


class FileSide(Fact, frozen=True, kw_only=True):
    """One side of a changed file.

    `id` is Git's object id; `hmac` stands in its place where the content holds a secret, because a
    plain digest of a short secret can be guessed. `digest` addresses the content as we keep it.
    `content` says why none is kept: binary, too_large, missing, submodule, not_kept (pull request heads).
    """

    mode: str
    id: str = ""
    hmac: str = ""
    digest: str = ""
    content: str = ""


class FileChange(Fact, frozen=True, kw_only=True):
    """One path that differs between a commit and its first parent."""

    path: str
    path_encoding: str = ""
    before: FileSide | None = None
    after: FileSide | None = None


class CommitObserved(Fact, frozen=True, kw_only=True):
    """A commit seen in a repository, with its files against its first parent.

    `object_digest` is the SHA-256 of Git's own commit object, because Git ids are SHA-1.
    `patch_id` (git patch-id --stable) is there where pull requests are tracked; it is an HMAC where
    a changed file holds a secret. `claims` names header fields that could not be read as written.
    """

    TYPE: ClassVar[str] = "commit.observed"
    VERSION: ClassVar[int] = 1

    repository: str
    commit: str
    tree: str
    parents: list[str]
    author: Identity
    authored_at: str = ""
    author_zone: str = ""
    committer: Identity
    committed_at: str = ""
    committer_zone: str = ""
    message: str
    encoding: str = ""
    trailers: list[Trailer] = []
    signature: Signature | None = None
    object_digest: str
    patch_id: str = ""
    files: list[FileChange] = []
    claims: list[str] = []


class SignatureVerified(Fact, frozen=True, kw_only=True):
    """The outcome of checking one commit's signature under one trust.

    `status`: good, bad, untrusted (valid, key not in the trust), unknown_key, expired, revoked, error.
    `trust` is the digest of the trust file used, for trust is "as of then".
    """

    TYPE: ClassVar[str] = "signature.verified"
    VERSION: ClassVar[int] = 1

    repository: str
    commit: str
    status: str
    signer: str = ""
    key: str = ""
    fingerprint: str = ""
    trust: str


class RefMoved(Fact, frozen=True, kw_only=True):
    """A ref of a repository is seen at another commit than before.

    `kind`: created, fast_forward, forced, deleted. `sequence` counts the moves of this ref from 1.
    `abandoned` lists the commits that the old tip reached and the new one does not.
    """

    TYPE: ClassVar[str] = "ref.moved"
    VERSION: ClassVar[int] = 1

    repository: str
    ref: str
    kind: str
    sequence: int
    old: str = ""
    new: str = ""
    abandoned: list[str] = []


class RevisionObserved(Fact, frozen=True, kw_only=True):
    """One first-parent step of a tracked branch, after its commit and in branch order.

    `number` counts first-parent steps from 1. `move` is the key of the ref move it came by.
    """

    TYPE: ClassVar[str] = "revision.observed"
    VERSION: ClassVar[int] = 1

    repository: str
    branch: str
    number: int
    commit: str
    first_parent: str = ""
    move: str


class RefState(Fact, frozen=True, kw_only=True):
    """Where one ref points."""

    ref: str
    commit: str


class SourceSurveyed(Fact, frozen=True, kw_only=True):
    """What a source held when it was counted, so that a missing commit can be proved missing.

    `commits_digest` is the SHA-256 of the sorted commit ids, each followed by a newline, reachable
    from `refs`; `refs_digest` of the lines `<commit> <ref>`.
    """

    TYPE: ClassVar[str] = "source.surveyed"
    VERSION: ClassVar[int] = 1

    repository: str
    url: str
    branches: list[str]
    ref_count: int
    refs_digest: str
    commit_count: int
    commits_digest: str
    refs: list[RefState]


class PullRequestMatched(Fact, frozen=True, kw_only=True):
    """Git alone recomputed that the content of a commit is that of a pull request's head.

    `method`: head_is_commit, head_is_parent, equal_tree, equal_blobs, merge_tree; brought where the commit is
    the merge that first brought `head` to the branch, as which a forge says that it was merged.
    """

    TYPE: ClassVar[str] = "pull_request.matched"
    VERSION: ClassVar[int] = 1

    repository: str
    commit: str
    number: int
    method: str
    head: str
    base: str = ""


class PullRequestMismatched(Fact, frozen=True, kw_only=True):
    """A commit names a pull request, merges its head or is called its merge, and does not hold that content.

    `paths` is the number of files the commit changed, `shared_paths` how many of those the head
    changed too, `equal_paths` how many to the very same content.
    """

    TYPE: ClassVar[str] = "pull_request.mismatched"
    VERSION: ClassVar[int] = 1

    repository: str
    commit: str
    number: int
    head: str
    paths: int
    shared_paths: int
    equal_paths: int


class HeadCompared(Fact, frozen=True, kw_only=True):
    """Whether two heads of a pull request hold the same content apart from clean updates from its base.

    Git alone recomputed it: `tree` is what merging `reviewed` into `base`, where `head` left the
    branch, gives (`git merge-tree --write-tree`), empty where it conflicts; `head_tree` is the tree
    of `head`. They are equal or not. `base` is empty where there are several; then they are not equal.
    `missing` says which commit was not to be had, `base` where it is not known what the branch held
    before the merge; then nothing is known.
    """

    TYPE: ClassVar[str] = "head.compared"
    VERSION: ClassVar[int] = 1

    repository: str
    number: int
    reviewed: str
    head: str
    base: str = ""
    tree: str = ""
    head_tree: str = ""
    missing: str = ""
