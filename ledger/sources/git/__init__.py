"""A Git repository: commits, ref moves, mainline revisions, and what Git alone knows of pull requests.

One pull: list the remote's refs; fetch those that moved into the mirror; then tell, branch by branch,
every new commit (parents first), each first-parent step after its commit, and the move of the branch;
then the commits and moves of pull request heads and tags; then which commit holds which pull
request's content; and once a day a survey of everything reachable. The cursor goes with the last
batch only: after a crash the pull starts again and recorded facts are recognised by their keys.

Commits on the first-parent line keep the content of their text files. Others keep ids and lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec

from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import CollectorGap, NewEvent
from ledger.gitio import Mirror, bundle_stamp, list_remote
from ledger.sources import Batch, Configured, Source, Tools
from ledger.sources.git.branches import tell_branches
from ledger.sources.git.heads import hear, tell_comparisons, tell_missing
from ledger.sources.git.merges import tell_merges
from ledger.sources.git.refs import find_heads, find_matches, tell_heads, tell_matches, tell_moves
from ledger.sources.git.state import (
    DISPLACED,
    HEADS,
    PULLS,
    TAGS,
    Cursor,
    GitOptions,
    Pull,
    is_listed,
    is_wanted,
    pull_number,
)
from ledger.sources.git.survey import begin_survey, survey_digest, survey_event, tell_signatures

__all__ = ["HEADS", "SOURCE", "GitOptions", "compare", "pull", "pull_number", "survey_digest"]


MANY = 500  # refs, from which on each fetch takes the longer the more there are
_PLACES = (HEADS, TAGS, DISPLACED, *PULLS)


def pull(options: GitOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """Everything new in the repository since the cursor; no batch at all when nothing is.

    Raises SourceError when the remote cannot be read or a tracked branch is not there.
    """
    before = _read_cursor(cursor)
    stamp = bundle_stamp(options.url)
    same_options = before.pull_requests == options.pull_requests and (
        not options.branches or list(options.branches) == before.branches
    )
    due = tools.survey or before.surveyed[:10] != tools.now[:10]
    asked = hear(options, before, tools)
    if stamp and stamp == before.stamp and same_options and not due:
        yield from _compare(options, before, tools) if asked else ()
        return
    found, branches = _remote_refs(options)
    moved = {
        ref: oid
        for ref, oid in found.items()
        if before.refs.get(ref) != oid and is_wanted(ref, options, branches)
    }
    gone = [ref for ref in before.refs if ref not in found and is_listed(ref, options, branches)]
    due = due or branches != before.branches
    if not (moved or gone or due) and same_options:
        yield from _compare(options, before, tools) if asked else ()
        return
    mirror = Mirror(options.mirror, sha256=any(len(oid) == 64 for oid in found.values()))
    if moved:
        tools.expect()
        everything = (ref for ref in found if is_wanted(ref, options, branches))
        wanted = list(everything if mirror.is_new else moved)
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
    state = Pull(options, tools, mirror, before, after, branches)
    try:
        yield from _tell(state, moved, gone, due)
    finally:
        mirror.close()


def compare(options: GitOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """Answers what was told of pull requests since the cursor, of a repository that was pulled before.

    For sources that pull a repository and then tell of its pull requests themselves.
    """
    before = _read_cursor(cursor)
    if hear(options, before, tools):
        yield from _compare(options, before, tools)


def _compare(options: GitOptions, cursor: Cursor, tools: Tools) -> Iterator[Batch]:
    """Answers what forges' news ask of a repository in which nothing moved."""
    state = Pull(options, tools, Mirror(options.mirror), cursor, cursor, cursor.branches)
    events = [*tell_comparisons(state), *tell_missing(state), *tell_merges(state)]
    yield Batch(events=events, cursor=_cursor_bytes(cursor))


def _read_cursor(cursor: bytes) -> Cursor:
    if not cursor:
        return Cursor()
    try:
        return msgspec.json.decode(cursor, type=Cursor)
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(cursor), Cursor)


def _cursor_bytes(cursor: Cursor) -> bytes:
    try:
        return msgspec.json.encode(cursor)
    except UnicodeEncodeError:
        # The standard library's JSON, for names of refs may hold bytes that are not UTF-8.
        return json.dumps(msgspec.to_builtins(cursor), separators=(",", ":")).encode("ascii")


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


def _tell(state: Pull, moved: dict[str, str], gone: list[str], due: bool) -> Iterator[Batch]:
    commits = state.mirror.refs(*_PLACES, known=_known_commits(state.before))
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
    pulls, matches = find_heads(state, commits, heads), find_matches(state, commits)
    yield from tell_branches(state, heads, commits)
    surveyed = due or not state.before.surveyed
    if surveyed:
        begin_survey(state, {**state.before.refs, **heads}.keys() - set(gone), commits)
    others = [ref for ref in heads if not ref.startswith(HEADS)]
    if pulls is not None:
        yield from tell_heads(state, pulls)
    yield from tell_moves(state, heads, moved, others, gone)
    if state.options.pull_requests:
        yield from tell_matches(state, commits, matches)
    if state.options.allowed_signers and state.signed:
        yield from tell_signatures(state)
    last: list[NewEvent] = [*tell_comparisons(state), *tell_missing(state), *tell_merges(state)]
    contents: list[Content] = []
    if surveyed:
        last.append(survey_event(state, _known_commits(state.after)))
        state.after.surveyed = state.tools.now
        if state.before.surveyed and not state.after.stamp and len(commits) > MANY:
            state.mirror.compact()
    cursor = _cursor_bytes(state.after)
    yield Batch(events=last, contents=contents, cursor=cursor, done=state.done, total=state.total)


def _known_commits(cursor: Cursor) -> set[str]:
    """What was recorded of branches and pull requests; a tag may name another object."""
    return {oid for ref, oid in cursor.refs.items() if not ref.startswith(TAGS)}


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


SOURCE = Source(kind="git", options=options, pull=pull, last=True)
