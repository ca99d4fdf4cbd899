"""Commits as events, their contents made ready in other processes meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from sys import intern

from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import CommitObserved, FileChange, FileSide, NewEvent
from ledger.gitio import NULL_MODE, Mirror, RawChange, RawCommit
from ledger.sources import CommitHead, Heads, Kept, Promise
from ledger.sources.git.state import Pull, text_path

SUBMODULE = "160000"
FIRST_CHANGES = 300
# Each chunk is two transactions, which write the pages of every index anew that they touch.
CHUNK_CHANGES = 5_000
CHUNK_LIGHT_CHANGES = 10_000  # where no contents are kept
CHUNK_COMMITS = 2_000
AHEAD = 16_000  # commits and changes that are asked for and not yet told
MOST_ASKED = 6_000  # more than an ordinary chunk holds: a huge commit makes several requests
REMEMBERED_BLOBS = 200_000
REMEMBERED_SIDES = 10_000
NOT_KEPT = "not_kept"
PatchId = tuple[str, str]  # commit, patch id
_PENDING = Kept(content="pending")
_PENDING_LIGHT = Kept(content=NOT_KEPT)


@dataclass(frozen=True, slots=True)
class _Request:
    """Blobs asked for: (base name, id) in the order of the promise's answer."""

    keys: list[tuple[str, str]]
    promise: Promise


def tell_commits(
    state: Pull,
    tips: Sequence[str],
    exclude: Sequence[str],
    mainline: set[str],
    *,
    walk: bool = True,
    patches: Iterable[PatchId] = (),
    stream: Iterator[RawCommit] | None = None,
) -> Iterator[tuple[list[NewEvent], list[Content]]]:
    """Commit events in chunks, parents first; the blobs of the next chunks are prepared meanwhile.

    `patches` come in the order of the commits; those of a branch are asked for where they tell something.
    `stream` are the commits where they are read already.
    """
    if not tips:
        return
    known = _PatchIds(iter(patches))
    waiting: deque[tuple[list[RawCommit], list[_Request], Heads]] = deque()

    def tell() -> Iterator[tuple[list[NewEvent], list[Content]]]:
        commits, requests, asked = waiting.popleft()
        contents: list[Content] = []
        for request in requests:
            if len(contents) >= MOST_ASKED:
                yield [], contents  # of a huge commit: kept before the event that names them
                contents = []
            contents += _receive(state, request)
        heads = [_held(state, one, head) for one, head in zip(commits, asked(), strict=True)]
        if mainline:
            known.know(_wanted_patches(state, commits, heads, mainline))
        events = [
            _commit_event(state, one, head, one.commit in mainline, known)
            for one, head in zip(commits, heads, strict=True)
        ]
        state.done += len(commits)
        _forget(state, [commit for later, _, _ in waiting for commit in later])
        # Others hold these lists, too, and what is told takes long to be projected.
        commits.clear()
        requests.clear()
        yield events, contents

    ahead = 0
    most = CHUNK_CHANGES if mainline else CHUNK_LIGHT_CHANGES
    for commits in _chunks(stream or state.mirror.commits(tips, exclude, walk=walk), most):
        requests = _ask(state, commits, mainline)
        heads = state.tools.heads(state.options.mirror, [one.commit for one in commits])
        waiting.append((commits, requests, heads))
        ahead += _size(commits)
        while ahead > AHEAD and len(waiting) > 1:
            ahead -= _size(waiting[0][0])
            yield from tell()
    while waiting:
        yield from tell()


def _wanted_patches(
    state: Pull, commits: list[RawCommit], heads: list[CommitHead], mainline: set[str]
) -> dict[str, str]:
    """Patch ids where they can tell something: not for a mainline commit that names a pull request."""
    if not state.options.pull_requests:
        return {}
    wanted = [
        one.commit
        for one, head in zip(commits, heads, strict=True)
        if len(head.commit.parents) < 2
        and (one.commit not in mainline or not head.names_pull_request)
    ]
    return state.mirror.patch_ids_of(wanted)


def _size(commits: list[RawCommit]) -> int:
    return len(commits) + sum(len(one.changes) for one in commits)


def _chunks(stream: Iterator[RawCommit], largest: int) -> Iterator[list[RawCommit]]:
    """Small ones first: the processes that prepare contents and this one soon work side by side."""
    chunk: list[RawCommit] = []
    changes, most = 0, FIRST_CHANGES
    for commit in stream:
        chunk.append(commit)
        changes += len(commit.changes)
        if changes >= most or len(chunk) >= CHUNK_COMMITS:
            yield chunk
            chunk, changes = [], 0
            most = min(2 * most, largest)
    if chunk:
        yield chunk


def patch_ids(
    mirror: Mirror, tips: Sequence[str], exclude: Sequence[str]
) -> Iterator[list[PatchId]]:
    """The patch ids of every commit from `tips` on that `exclude` does not reach, some at a time."""
    stream = mirror.patch_ids(tips, exclude)
    while some := list(islice(stream, CHUNK_COMMITS)):
        yield some


class _PatchIds:
    """Looks ahead in a stream that runs in the order of the commits."""

    def __init__(self, stream: Iterator[PatchId]) -> None:
        self._stream = stream
        self._next = next(stream, None)
        self._known: dict[str, str] = {}

    def know(self, known: dict[str, str]) -> None:
        """Patch ids that are told beside the stream."""
        self._known = known

    def of(self, commit: str) -> str:
        if commit in self._known:
            return self._known[commit]
        if self._next is None or self._next[0] != commit:
            return ""
        patch = self._next[1]
        self._next = next(self._stream, None)
        return patch


def _base(path: str) -> str:
    """The base name, which alone decides how a file's content is read."""
    return intern(path.rsplit("/", 1)[-1])  # few, in the keys of many


def _ask(state: Pull, commits: list[RawCommit], mainline: set[str]) -> list[_Request]:
    """Asks for the blobs of a chunk that were not asked for before.

    Those off the first-parent line are only looked at for secrets, which must not be named by a
    plain digest either.
    """
    asked: dict[bool, dict[tuple[str, str], str]] = {True: {}, False: {}}
    pairs: list[tuple[str, str, str]] = []
    requests: list[_Request] = []
    for commit in commits:
        keep = commit.commit in mainline
        for change in commit.changes:
            path = text_path(change.path)[0]
            sides = ((change.mode_before, change.id_before), (change.mode_after, change.id_after))
            blobs = ["" if mode in (NULL_MODE, SUBMODULE) else oid for mode, oid in sides]
            for oid in blobs:
                key = (_base(path), oid)
                known = state.known.get(key)
                if oid and (known is None or (keep and known.content == NOT_KEPT)):
                    asked[keep][key] = path
                    state.known[key] = _PENDING if keep else _PENDING_LIGHT
            if keep:
                pairs.append((path, blobs[0], blobs[1]))
            if len(asked[keep]) >= MOST_ASKED:
                requests += _requests(state, asked, pairs)
                asked, pairs = {True: {}, False: {}}, []
    return requests + _requests(state, asked, pairs)


def _requests(
    state: Pull,
    asked: dict[bool, dict[tuple[str, str], str]],
    pairs: list[tuple[str, str, str]],
) -> list[_Request]:
    requests: list[_Request] = []
    for keep, wanted in asked.items():
        if wanted or (keep and pairs):
            blobs_wanted = [(path, oid) for (_, oid), path in wanted.items()]
            ahead = pairs if keep else []
            promise = state.tools.prepare(state.options.mirror, blobs_wanted, keep, ahead)
            requests.append(_Request(list(wanted), promise))
    return requests


def _receive(state: Pull, request: _Request) -> list[Content]:
    answer = request.promise()
    for key, kept in zip(request.keys, answer.kept, strict=True):
        if not (kept.content == NOT_KEPT and state.known[key].content not in (NOT_KEPT, "pending")):
            state.known[key] = kept
    return answer.contents


def _forget(state: Pull, waiting: list[RawCommit]) -> None:
    """Makes room in the memory of blobs, but for those that commits asked for and not yet told need."""
    if len(state.sides) >= REMEMBERED_SIDES:
        state.sides.clear()
    if len(state.known) <= REMEMBERED_BLOBS:
        return
    needed = {
        (_base(text_path(change.path)[0]), oid)
        for commit in waiting
        for change in commit.changes
        for oid in (change.id_before, change.id_after)
    }
    for key in list(state.known)[: REMEMBERED_BLOBS // 2]:
        if key not in needed:
            del state.known[key]


def _held(state: Pull, commit: RawCommit, head: CommitHead | None) -> CommitHead:
    if head is None:
        raise SourceError(
            f"source {state.options.name}: commit {commit.commit} is missing from the repository"
        )
    return head


def _commit_event(
    state: Pull, commit: RawCommit, told: CommitHead, keep: bool, patches: _PatchIds
) -> NewEvent:
    head = told.commit
    files = [_file(state, change, keep) for change in commit.changes]
    patch = patches.of(commit.commit)
    if patch and any(side.hmac for one in files for side in (one.before, one.after) if side):
        patch = state.tools.fingerprint(patch.encode("ascii"))
    if head.signature is not None:
        state.signed.append(commit.commit)
    data = CommitObserved(
        repository=state.options.name,
        commit=commit.commit,
        tree=head.tree,
        parents=head.parents,
        author=head.author,
        authored_at=head.authored_at,
        author_zone=head.author_zone,
        committer=head.committer,
        committed_at=head.committed_at,
        committer_zone=head.committer_zone,
        message=head.message,
        encoding=head.encoding,
        trailers=told.trailers,
        signature=head.signature,
        object_digest=told.digest,
        patch_id=patch,
        files=files,
        claims=head.claims,
    )
    key = f"commit/{commit.commit}"
    return state.event(key, data, occurred_at=head.committed_at, actor=head.committer)


def _file(state: Pull, change: RawChange, keep: bool) -> FileChange:
    path, encoding = text_path(change.path)
    base = _base(path)
    return FileChange(
        path=path,
        path_encoding=encoding,
        before=_side(state, base, change.mode_before, change.id_before, keep),
        after=_side(state, base, change.mode_after, change.id_after, keep),
    )


def _side(state: Pull, base: str, mode: str, oid: str, keep: bool) -> FileSide | None:
    """One side of a change; what a change left is mostly what the next one found, so it is made once."""
    if mode == NULL_MODE:
        return None
    key = (base, mode, oid, keep)
    side = state.sides.get(key)
    if side is None:
        side = _new_side(state, base, mode, oid, keep)
        if len(state.sides) < REMEMBERED_SIDES:
            state.sides[key] = side
    return side


def _new_side(state: Pull, base: str, mode: str, oid: str, keep: bool) -> FileSide:
    if mode == SUBMODULE:
        return FileSide(mode=mode, id=oid, content="submodule")
    kept = state.known[(base, oid)]
    hmac = state.tools.fingerprint(oid.encode("ascii")) if kept.secret else ""
    named = "" if hmac else oid
    if keep:
        return FileSide(mode=mode, id=named, hmac=hmac, digest=kept.digest, content=kept.content)
    return FileSide(mode=mode, id=named, hmac=hmac, content=NOT_KEPT)
