"""A Git repository: commits, ref moves, mainline revisions, and what Git alone knows of pull requests.

One pull: list the remote's refs; fetch those that moved into the mirror; then tell, branch by branch,
every new commit (parents first), each first-parent step after its commit, and the move of the branch;
then the commits and moves of pull request heads and tags; then which commit holds which pull
request's content; and once a day a survey of everything reachable. The cursor goes with the last
batch only: after a crash the pull starts again and recorded facts are recognised by their keys.

Commits on the first-parent line keep the content of their text files. Others keep ids and lists.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ledger.commits import CommitObject, named_pull_request, read_commit, trailers
from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import (
    CollectorGap,
    CommitObserved,
    Event,
    FileChange,
    FileSide,
    Identity,
    NewEvent,
    RefMoved,
    RefState,
    RevisionObserved,
    SignatureVerified,
    SourceSurveyed,
)
from ledger.gitio import NULL_MODE, Mirror, RawChange, RawCommit, bundle_stamp, list_remote
from ledger.matching import match_pull_requests
from ledger.sources import Batch, Configured, Kept, Promise, Source, Tools

HEADS, TAGS = "refs/heads/", "refs/tags/"
DISPLACED = "refs/ledger/line/"
LONG_REF = 500
PULLS = {"refs/pull/": "/head", "refs/merge-requests/": "/head", "refs/pull-requests/": "/from"}
LINK, SUBMODULE = "120000", "160000"
CHUNK_CHANGES = 5_000
CHUNK_COMMITS = 2_000
AHEAD = 4
REMEMBERED_BLOBS = 200_000
_NUMBER = re.compile("[1-9][0-9]{0,8}")
_LETTERS = {
    "G": "good",
    "B": "bad",
    "U": "untrusted",
    "E": "unknown_key",
    "X": "expired",
    "Y": "expired",
    "R": "revoked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOptions:
    """One `[[source]]` of kind git. `branches` empty means the branch that HEAD names."""

    name: str
    url: str
    mirror: Path
    branches: tuple[str, ...] = ()
    pull_requests: bool = True
    allowed_signers: Path | None = None


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far a repository is read: every ref as recorded, and each tracked branch's tip and number."""

    refs: dict[str, str] = {}
    moves: dict[str, int] = {}
    numbers: dict[str, int] = {}
    branches: list[str] = []
    pull_requests: bool = False
    stamp: str = ""
    surveyed: str = ""


@dataclass(slots=True)
class _Pull:
    """The state of one pull."""

    options: GitOptions
    tools: Tools
    mirror: Mirror
    before: Cursor
    after: Cursor
    branches: list[str]
    known: dict[tuple[str, str], Kept] = field(default_factory=dict)
    revisions: list[tuple[str, str, str]] = field(default_factory=list)  # branch, commit, message
    signed: list[str] = field(default_factory=list)
    done: int = 0
    total: int = 0
    graphs: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)

    def graph(self, tips: Sequence[str]) -> dict[str, str]:
        """Every commit reachable from the tips, with its first parent; listed once in a pull."""
        key = tuple(sorted(tips))
        if key not in self.graphs:
            lines = self.mirror.graph(key)
            self.graphs = {key: {one[0]: one[1] if len(one) > 1 else "" for one in lines}}
        return self.graphs[key]

    @property
    def stream(self) -> str:
        return f"repository/{self.options.name}"

    def event(
        self, key: str, data: Event, *, occurred_at: str = "", actor: Identity | None = None
    ) -> NewEvent:
        return NewEvent(
            stream=self.stream,
            key=f"{self.options.name}/{key}",
            source=self.options.name,
            occurred_at=occurred_at,
            actor=actor,
            data=data,
        )

    def batch(self, events: list[NewEvent], contents: list[Content] | None = None) -> Batch:
        return Batch(events=events, contents=contents or [], done=self.done, total=self.total)


def pull(options: GitOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """Everything new in the repository since the cursor; no batch at all when nothing is.

    Raises SourceError when the remote cannot be read or a tracked branch is not there.
    """
    before = msgspec.convert(json.loads(cursor), Cursor) if cursor else Cursor()
    stamp = bundle_stamp(options.url)
    same_options = before.pull_requests == options.pull_requests and (
        not options.branches or list(options.branches) == before.branches
    )
    due = tools.survey or before.surveyed[:10] != tools.now[:10]
    if stamp and stamp == before.stamp and same_options and not due:
        return
    found, branches = _remote_refs(options)
    remote = {ref: oid for ref, oid in found.items() if _wanted(ref, options, branches)}
    moved = {ref: oid for ref, oid in remote.items() if before.refs.get(ref) != oid}
    gone = [ref for ref in before.refs if ref not in found and _listed(ref, options, branches)]
    due = due or branches != before.branches
    if not (moved or gone or due) and same_options:
        return
    mirror = Mirror(options.mirror, sha256=any(len(oid) == 64 for oid in found.values()))
    if moved:
        wanted = list(moved if mirror.refs(HEADS) else remote)
        try:
            mirror.fetch(options.url, wanted)
        except SourceError:
            if not _made_way(mirror, moved):
                raise
            mirror.fetch(options.url, wanted)
    after = msgspec.structs.replace(
        before,
        refs=dict(before.refs),
        moves=dict(before.moves),
        numbers=dict(before.numbers),
        branches=branches,
        pull_requests=options.pull_requests,
        stamp=stamp,
    )
    state = _Pull(options, tools, mirror, before, after, branches)
    yield from _tell(state, moved, gone, due)


def _made_way(mirror: Mirror, moved: dict[str, str]) -> bool:
    """Puts refs aside that the remote no longer has and that stand in the way of new ones: `v1` of `v1/a`."""
    held = mirror.refs()
    folders = {ref[: match.start()] for ref in moved for match in re.finditer("/", ref)}
    clashing = [
        ref
        for ref in held
        if ref in folders
        or (ref not in moved and any(ref[: m.start()] in moved for m in re.finditer("/", ref)))
    ]
    for ref in clashing:
        keep = f"update refs/ledger/kept/{held[ref]} {held[ref]}\n"
        mirror.update_refs([keep, f"delete {ref}\n"])
    return bool(clashing)


def _remote_refs(options: GitOptions) -> tuple[dict[str, str], list[str]]:
    patterns = [f"{TAGS}*"]
    patterns += [f"{HEADS}{branch}" for branch in options.branches] or [f"{HEADS}*"]
    if options.pull_requests:
        patterns += [f"{prefix}*{suffix}" for prefix, suffix in PULLS.items()]
    found, head = list_remote(options.url, patterns)
    branches = list(options.branches) or ([head] if head else [])
    for branch in branches:
        if HEADS + branch not in found:
            raise _no_branch(options, branch)
    if not branches:
        raise SourceError(
            f"source {options.name}: {options.url} has no default branch",
            hint='Name one in ledger.toml: branches = ["…"]. An empty repository has none.',
        )
    return found, branches


def _no_branch(options: GitOptions, branch: str) -> SourceError:
    found, _ = list_remote(options.url, [f"{HEADS}*"])
    names = sorted(ref.removeprefix(HEADS) for ref in found)
    shown = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
    return SourceError(
        f"source {options.name}: there is no branch {branch!r} in {options.url}",
        hint=f"Its branches: {shown}" if names else "The repository is empty.",
    )


def _wanted(ref: str, options: GitOptions, branches: Sequence[str]) -> bool:
    if ref.startswith(HEADS):
        return ref.removeprefix(HEADS) in branches
    return ref.startswith(TAGS) or (options.pull_requests and pull_number(ref) is not None)


def _listed(ref: str, options: GitOptions, branches: Sequence[str]) -> bool:
    """Whether the remote's list would show the ref: also branches that are no longer tracked."""
    every_branch = ref.startswith(HEADS) and not options.branches
    return every_branch or _wanted(ref, options, branches)


def pull_number(ref: str) -> int | None:
    """The number of the pull request whose head a ref is."""
    for prefix, suffix in PULLS.items():
        if ref.startswith(prefix) and ref.endswith(suffix):
            number = ref[len(prefix) : -len(suffix)]
            return int(number) if _NUMBER.fullmatch(number) else None
    return None


def _tell(state: _Pull, moved: dict[str, str], gone: list[str], due: bool) -> Iterator[Batch]:
    commits = state.mirror.refs()
    heads = {ref: commits[ref] for ref in moved if ref in commits}
    for branch in state.branches:
        if HEADS + branch not in commits:
            raise SourceError(
                f"source {state.options.name}: the branch {branch!r} could not be fetched",
                retryable=True,
            )
    if state.mirror.is_shallow():
        gap = CollectorGap(
            repository=state.options.name,
            kind="shallow",
            detail="history below some commits is cut off",
        )
        yield state.batch([state.event("gap/shallow", gap)])
    yield from _tell_branches(state, heads)
    others = [ref for ref in heads if not ref.startswith(HEADS)]
    if state.options.pull_requests:
        yield from _tell_heads(state, {ref: heads[ref] for ref in others if pull_number(ref)})
    yield from _tell_moves(state, heads, moved, others, gone)
    if state.options.pull_requests:
        yield from _tell_matches(state, commits)
    if state.options.allowed_signers and state.signed:
        yield from _tell_signatures(state)
    last: list[NewEvent] = []
    contents: list[Content] = []
    if due or not state.before.surveyed:
        last.append(_survey(state))
        state.after.surveyed = state.tools.now
    # The standard library's JSON, for names of refs may hold bytes that are not UTF-8.
    cursor = json.dumps(msgspec.to_builtins(state.after), separators=(",", ":")).encode("ascii")
    yield Batch(events=last, contents=contents, cursor=cursor, done=state.done, total=state.total)


# -- tracked branches --------------------------------------------------------------------------


def _tell_branches(state: _Pull, heads: dict[str, str]) -> Iterator[Batch]:
    told = [oid for ref, oid in state.before.refs.items() if ref.startswith(HEADS)]
    told = [tip for tip in told if state.mirror.has(tip)]
    for branch in state.branches:
        if tip := heads.get(HEADS + branch):
            yield from _tell_branch(state, branch, tip, told)
            told.append(tip)


def _tell_branch(state: _Pull, branch: str, tip: str, told: list[str]) -> Iterator[Batch]:
    ref = HEADS + branch
    old = state.before.refs.get(ref, "")
    chain, number = _new_chain(state, branch, tip, old)
    move = _move(state, ref, old, tip)
    new = set(state.mirror.reachable([tip], told) if told else state.graph([tip]))
    state.total += len(new)
    pending = deque(chain)

    def steps() -> Iterator[NewEvent]:
        nonlocal number
        while pending and pending[0][0] not in new:
            commit, parent = pending.popleft()
            number += 1
            data = RevisionObserved(
                repository=state.options.name,
                branch=branch,
                number=number,
                commit=commit,
                first_parent=parent,
                move=move.key,
            )
            yield state.event(f"revision/{branch}/{commit}", data)

    mainline = {commit for commit, _ in chain}
    bare = _told_off_the_line(state, [commit for commit, _ in chain if commit not in new], told)
    for events, contents in _commits(state, bare, [], mainline, walk=False):
        state.revisions += [(branch, one.data.commit, one.data.message) for one in events]  # type: ignore[union-attr]
        yield state.batch(events, contents)
    first = list(steps())
    for events, contents in _commits(state, [tip], told, mainline):
        together: list[NewEvent] = first
        first = []
        for event in events:
            together.append(event)
            data = event.data
            assert isinstance(data, CommitObserved)
            new.discard(data.commit)
            if data.commit in mainline:
                state.revisions.append((branch, data.commit, data.message))
            together.extend(steps())
        yield state.batch(together, contents)
    state.after.refs[ref] = tip
    state.after.numbers[branch] = number
    yield state.batch([*first, *steps(), move])


def _new_chain(state: _Pull, branch: str, tip: str, old: str) -> tuple[list[tuple[str, str]], int]:
    """The first-parent steps of the branch that were not yet told, oldest first, with their parents;
    and the number of the step below them."""
    mirror = state.mirror
    place = f"{DISPLACED}{branch}/"
    displaced = list(mirror.refs(place).values())
    line: list[str] = []
    below, exclude, number = "", "", 0
    if old and mirror.has(old):
        line = mirror.first_parents(tip, old)
        below = _parent_of(mirror, line[-1]) if line else tip
        if below == old:
            exclude, number = old, state.before.numbers.get(branch, 0)
        else:
            # A forced move, or a merge whose second parent is the old tip: the lines part further down.
            mirror.update_refs([f"update {place}{old} {old}\n"])
            displaced.append(old)
    if not exclude:
        line, below = _line(state.graph([tip]), tip), ""
    told = {commit for one in displaced for commit in mirror.first_parents(one, exclude)}
    fresh = [commit for commit in line if commit not in told]
    shared = line[len(fresh)] if len(fresh) < len(line) else below
    return _with_parents(fresh[::-1], shared), number + len(line) - len(fresh)


def _line(graph: Mapping[str, str], tip: str) -> list[str]:
    """The first-parent chain from `tip`, newest first."""
    line: list[str] = []
    while tip:
        line.append(tip)
        tip = graph.get(tip, "")
    return line


def _told_off_the_line(state: _Pull, steps: list[str], told: list[str]) -> list[str]:
    """Which of these steps were told as commits of a side branch so far, hence without contents."""
    if not steps:
        return []
    line = {commit for tip in told for commit in state.mirror.first_parents(tip)}
    return [commit for commit in steps if commit not in line]


def _parent_of(mirror: Mirror, commit: str) -> str:
    line = mirror.rev_list(["--first-parent", "--max-count=2"], [f"{commit}\n".encode()])
    return line[1] if len(line) > 1 else ""


def _with_parents(oldest_first: list[str], below: str) -> list[tuple[str, str]]:
    return list(zip(oldest_first, [below, *oldest_first], strict=False))


# -- commits -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Request:
    """Blobs asked for: (suffix, id) in the order of the promise's answer."""

    keys: list[tuple[str, str]]
    promise: Promise


def _commits(
    state: _Pull,
    tips: Sequence[str],
    exclude: Sequence[str],
    mainline: set[str],
    *,
    walk: bool = True,
) -> Iterator[tuple[list[NewEvent], list[Content]]]:
    """Commit events in chunks, parents first; the blobs of the next chunks are prepared meanwhile."""
    if not tips:
        return
    stream = (
        state.mirror.patch_ids(tips, exclude)
        if not mainline and state.options.pull_requests
        else iter(())
    )
    patches = _PatchIds(stream)
    waiting: deque[tuple[list[RawCommit], list[_Request]]] = deque()
    with state.mirror.objects() as read:

        def tell() -> tuple[list[NewEvent], list[Content]]:
            commits, requests = waiting.popleft()
            contents = _receive(state, requests)
            raws = read([one.commit for one in commits])
            heads = [_head(state, one, raw) for one, raw in zip(commits, raws, strict=True)]
            if mainline:
                patches.know(_wanted_patches(state, commits, heads, mainline))
            events = [
                _commit_event(state, one, head, one.commit in mainline, patches)
                for one, head in zip(commits, heads, strict=True)
            ]
            state.done += len(commits)
            _forget(state, [commit for later, _ in waiting for commit in later])
            return events, contents

        for commits in _chunks(state.mirror.commits(tips, exclude, walk=walk)):
            waiting.append((commits, _ask(state, commits, mainline)))
            if len(waiting) > AHEAD:
                yield tell()
        while waiting:
            yield tell()


def _wanted_patches(
    state: _Pull, commits: list[RawCommit], heads: list[_Head], mainline: set[str]
) -> dict[str, str]:
    """Patch ids where they can tell something: not for a mainline commit that names a pull request."""
    if not state.options.pull_requests:
        return {}
    wanted = [
        one.commit
        for one, head in zip(commits, heads, strict=True)
        if len(head.commit.parents) < 2
        and (one.commit not in mainline or named_pull_request(head.commit.message) is None)
    ]
    return state.mirror.patch_ids_of(wanted)


def _chunks(stream: Iterator[RawCommit]) -> Iterator[list[RawCommit]]:
    chunk: list[RawCommit] = []
    changes = 0
    for commit in stream:
        chunk.append(commit)
        changes += len(commit.changes)
        if changes >= CHUNK_CHANGES or len(chunk) >= CHUNK_COMMITS:
            yield chunk
            chunk, changes = [], 0
    if chunk:
        yield chunk


class _PatchIds:
    """Looks ahead in a stream of (commit, patch id) that runs in the order of the commits."""

    def __init__(self, stream: Iterator[tuple[str, str]]) -> None:
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


def suffix(path: str) -> str:
    """What of a path decides how its content is read: the ending of its base name, or the whole."""
    base = path.rsplit("/", 1)[-1]
    return base


def _ask(state: _Pull, commits: list[RawCommit], mainline: set[str]) -> list[_Request]:
    """Asks for the blobs of a chunk that were not asked for before.

    Those off the first-parent line are only looked at for secrets, which must not be named by a
    plain digest either.
    """
    asked: dict[bool, dict[tuple[str, str], str]] = {True: {}, False: {}}
    pairs: list[tuple[str, str, str]] = []
    for commit in commits:
        keep = commit.commit in mainline
        for change in commit.changes:
            path = text_path(change.path)[0]
            sides = ((change.mode_before, change.id_before), (change.mode_after, change.id_after))
            blobs = ["" if mode in (NULL_MODE, SUBMODULE) else oid for mode, oid in sides]
            for oid in blobs:
                key = (suffix(path), oid)
                known = state.known.get(key)
                if oid and (known is None or (keep and known.content == NOT_KEPT)):
                    asked[keep][key] = path
            if keep:
                pairs.append((path, blobs[0], blobs[1]))
    requests: list[_Request] = []
    for keep, wanted in asked.items():
        if wanted or (keep and pairs):
            state.known.update(dict.fromkeys(wanted, _PENDING if keep else _PENDING_LIGHT))
            blobs_wanted = [(path, oid) for (_, oid), path in wanted.items()]
            ahead = pairs if keep else []
            promise = state.tools.prepare(state.options.mirror, blobs_wanted, keep, ahead)
            requests.append(_Request(list(wanted), promise))
    return requests


NOT_KEPT = "not_kept"
_PENDING = Kept(content="pending")
_PENDING_LIGHT = Kept(content=NOT_KEPT)


def _receive(state: _Pull, requests: list[_Request]) -> list[Content]:
    contents: list[Content] = []
    for request in requests:
        answer = request.promise()
        contents += answer.contents
        for key, kept in zip(request.keys, answer.kept, strict=True):
            if not (
                kept.content == NOT_KEPT and state.known[key].content not in (NOT_KEPT, "pending")
            ):
                state.known[key] = kept
    return contents


def _forget(state: _Pull, waiting: list[RawCommit]) -> None:
    """Makes room in the memory of blobs, but for those that commits asked for and not yet told need."""
    if len(state.known) <= REMEMBERED_BLOBS:
        return
    needed = {
        (suffix(text_path(change.path)[0]), oid)
        for commit in waiting
        for change in commit.changes
        for oid in (change.id_before, change.id_after)
    }
    for key in list(state.known)[: REMEMBERED_BLOBS // 2]:
        if key not in needed:
            del state.known[key]


@dataclass(frozen=True, slots=True)
class _Head:
    """A commit's own object, and its SHA-256."""

    commit: CommitObject
    digest: str


def _head(state: _Pull, commit: RawCommit, raw: bytes | None) -> _Head:
    if raw is None:
        raise SourceError(
            f"source {state.options.name}: commit {commit.commit} is missing from the repository"
        )
    return _Head(read_commit(raw), "sha256:" + hashlib.sha256(raw).hexdigest())


def _commit_event(
    state: _Pull, commit: RawCommit, told: _Head, keep: bool, patches: _PatchIds
) -> NewEvent:
    head = told.commit
    redact = state.tools.redact
    files = [_file(state, change, keep) for change in commit.changes]
    patch = patches.of(commit.commit)
    if patch and any(side.hmac for one in files for side in (one.before, one.after) if side):
        patch = state.tools.fingerprint(patch.encode("ascii"))
    message = redact(head.message)
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
        message=message,
        encoding=head.encoding,
        trailers=trailers(message),
        signature=head.signature,
        object_digest=told.digest,
        patch_id=patch,
        files=files,
        claims=head.claims,
    )
    key = f"commit/{commit.commit}"
    return state.event(key, data, occurred_at=head.committed_at, actor=head.committer)


def text_path(path: bytes) -> tuple[str, str]:
    """A path as text and how it was written: "" for UTF-8, else "percent" (non-UTF-8 bytes as %XX)."""
    try:
        return path.decode("utf-8"), ""
    except UnicodeDecodeError:
        pieces = [
            f"%{ord(char) - 0xDC00:02X}"
            if "\udc80" <= char <= "\udcff"
            else char.replace("%", "%25")
            for char in path.decode("utf-8", "surrogateescape")
        ]
        return "".join(pieces), "percent"


def _file(state: _Pull, change: RawChange, keep: bool) -> FileChange:
    path, encoding = text_path(change.path)
    return FileChange(
        path=path,
        path_encoding=encoding,
        before=_side(state, path, change.mode_before, change.id_before, keep),
        after=_side(state, path, change.mode_after, change.id_after, keep),
    )


def _side(state: _Pull, path: str, mode: str, oid: str, keep: bool) -> FileSide | None:
    if mode == NULL_MODE:
        return None
    if mode == SUBMODULE:
        return FileSide(mode=mode, id=oid, content="submodule")
    kept = state.known[(suffix(path), oid)]
    hmac = state.tools.fingerprint(oid.encode("ascii")) if kept.secret else ""
    named = "" if hmac else oid
    if keep:
        return FileSide(mode=mode, id=named, hmac=hmac, digest=kept.digest, content=kept.content)
    return FileSide(mode=mode, id=named, hmac=hmac, content=NOT_KEPT)


# -- refs --------------------------------------------------------------------------------------


def _move(state: _Pull, ref: str, old: str, new: str) -> NewEvent:
    """The move of a ref, as an event; what a forced move abandons is kept in the mirror for good."""
    sequence = state.after.moves.get(ref, 0) + 1
    kind = "fast_forward"
    abandoned: list[str] = []
    if not old or not new:
        kind = "deleted" if old else "created"
    elif not state.mirror.has(old):
        kind = "forced"
    elif not state.mirror.is_ancestor(old, new):
        kind = "forced"
        abandoned = sorted(state.mirror.reachable([old], [new]))
        state.mirror.update_refs([f"update refs/ledger/kept/{old} {old}\n"])
    data = RefMoved(
        repository=state.options.name,
        ref=readable_ref(ref),
        kind=kind,
        sequence=sequence,
        old=old,
        new=new,
        abandoned=abandoned,
    )
    name = data.ref
    if len(name) > LONG_REF:  # a key is indexed
        name = f"{name[:LONG_REF]}…{hashlib.sha256(name.encode()).hexdigest()}"
    return state.event(f"ref/{name}/{sequence}", data)


def readable_ref(ref: str) -> str:
    """A ref name as text; bytes that are not UTF-8 as %XX."""
    return text_path(ref.encode("utf-8", "surrogateescape"))[0]


def _tell_heads(state: _Pull, heads: dict[str, str]) -> Iterator[Batch]:
    tips = sorted(set(heads.values()))
    if not tips:
        return
    told = {oid for ref, oid in state.after.refs.items() if ref.startswith(HEADS)}
    told |= {oid for ref, oid in state.before.refs.items() if pull_number(ref) is not None}
    exclude = [
        oid
        for oid, size in zip(told, state.mirror.sizes(list(told)), strict=True)
        if size is not None
    ]
    state.total += len(state.mirror.reachable(tips, exclude))
    for events, contents in _commits(state, tips, exclude, set()):
        yield state.batch(events, contents)


def _tell_moves(
    state: _Pull, heads: dict[str, str], moved: dict[str, str], others: list[str], gone: list[str]
) -> Iterator[Batch]:
    events: list[NewEvent] = []
    for ref in sorted(others, key=_ref_order):
        old = state.before.refs.get(ref, "")
        events.append(_move(state, ref, _peeled(state, ref, old), heads[ref]))
        state.after.refs[ref] = moved[ref] if ref.startswith(TAGS) else heads[ref]
        state.after.moves[ref] = state.after.moves.get(ref, 0) + 1
    for branch in state.branches:
        ref = HEADS + branch
        if ref in heads:
            state.after.moves[ref] = state.after.moves.get(ref, 0) + 1
    for ref in sorted(gone):
        old = state.before.refs[ref]
        events.append(_move(state, ref, _peeled(state, ref, old), ""))
        if ref.startswith(HEADS) and state.mirror.has(old):
            place = DISPLACED + ref.removeprefix(HEADS)
            state.mirror.update_refs([f"update {place}/{old} {old}\n"])
        state.after.moves[ref] = state.after.moves.get(ref, 0) + 1
        del state.after.refs[ref]
    if events:
        yield state.batch(events)


def _peeled(state: _Pull, ref: str, oid: str) -> str:
    if not oid or not ref.startswith(TAGS):
        return oid
    found = state.mirror.rev_list(["--max-count=1"], [f"{oid}\n".encode()])
    return found[0] if found else oid


def _ref_order(ref: str) -> tuple[str, int, str]:
    return (ref.split("/")[1], pull_number(ref) or 0, ref)


# -- pull requests -----------------------------------------------------------------------------


def _tell_matches(state: _Pull, commits: dict[str, str]) -> Iterator[Batch]:
    heads = {
        number: oid for ref, oid in commits.items() if (number := pull_number(ref)) is not None
    }
    if not heads:
        return
    first_time = not any(pull_number(ref) is not None for ref in state.before.refs)
    for branch in state.branches:
        tip = state.after.refs.get(HEADS + branch)
        if tip is None:
            continue
        new = [commit for one, commit, _ in state.revisions if one == branch]
        if not first_time and not new:
            continue
        tip = commits.get(HEADS + branch, tip)
        wanted = state.mirror.first_parents(tip)[::-1] if first_time else new
        for found in match_pull_requests(state.mirror, state.options.name, tip, wanted, heads):
            events = [state.event(f"match/{one.commit}/{one.number}", one) for one in found]
            if events:
                yield state.batch(events)


# -- survey and signatures ---------------------------------------------------------------------


def _survey(state: _Pull) -> NewEvent:
    held = {
        ref: oid
        for ref, oid in state.after.refs.items()
        if _wanted(ref, state.options, state.branches)
    }
    refs = sorted((readable_ref(ref), oid) for ref, oid in held.items())
    peeled = state.mirror.refs()
    tips = {
        peeled[ref]
        for ref in held
        if ref in peeled and (ref.startswith(HEADS) or pull_number(ref) is not None)
    }
    commits_digest, count = survey_digest(state.graph(sorted(tips)))
    refs_digest = hashlib.sha256(
        "".join(f"{oid} {ref}\n" for ref, oid in refs).encode()
    ).hexdigest()
    data = SourceSurveyed(
        repository=state.options.name,
        url=state.tools.redact(state.options.url),
        branches=state.branches,
        ref_count=len(refs),
        refs_digest=f"sha256:{refs_digest}",
        commit_count=count,
        commits_digest=commits_digest,
        refs=[RefState(ref=ref, commit=oid) for ref, oid in refs],
    )
    return state.event(f"survey/{state.tools.now}", data, occurred_at=state.tools.now)


def survey_digest(commits: Iterable[str]) -> tuple[str, int]:
    """The digest of a set of commit ids (sorted, each with a newline) and how many there are."""
    ids = sorted(set(commits))
    digest = hashlib.sha256("".join(f"{commit}\n" for commit in ids).encode("ascii"))
    return f"sha256:{digest.hexdigest()}", len(ids)


def _tell_signatures(state: _Pull) -> Iterator[Batch]:
    trusted = state.options.allowed_signers
    assert trusted is not None
    try:
        trust = "sha256:" + hashlib.sha256(trusted.read_bytes()).hexdigest()
    except OSError as error:
        raise SourceError(
            f"source {state.options.name}: the allowed signers {trusted} cannot be read: {error.strerror}",
            hint="Correct `allowed_signers` in ledger.toml.",
        ) from error
    for start in range(0, len(state.signed), CHUNK_COMMITS):
        events: list[NewEvent] = []
        for line in state.mirror.signatures(state.signed[start : start + CHUNK_COMMITS], trusted):
            commit, letter, signer, key, fingerprint = line
            data = SignatureVerified(
                repository=state.options.name,
                commit=commit,
                status=_LETTERS.get(letter, "error"),
                signer=signer,
                key=key,
                fingerprint=fingerprint,
                trust=trust,
            )
            events.append(
                state.event(f"signature/{commit}/{trust[7:23]}", data, occurred_at=state.tools.now)
            )
        yield state.batch(events)


def options(configured: Configured) -> GitOptions:
    """The options of a `[[source]]` of kind git."""
    settings = configured.settings
    signers = settings.get("allowed_signers")
    return GitOptions(
        name=configured.name,
        url=configured.url,
        mirror=configured.mirror,
        branches=tuple(settings.get("branches", ())),
        pull_requests=bool(settings.get("pull_requests", True)),
        allowed_signers=configured.folder / signers if signers else None,
    )


SOURCE = Source(kind="git", options=options, pull=pull)
