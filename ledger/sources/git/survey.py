"""What the repository holds in all, so that nothing can go missing unseen; and who signed what."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping

from ledger.errors import SourceError
from ledger.events import NewEvent, RefState, SignatureVerified, SourceSurveyed
from ledger.sources import Batch
from ledger.sources.git.commits import CHUNK_COMMITS
from ledger.sources.git.state import HEADS, Pull, is_wanted, pull_number, readable_ref

_LETTERS = {
    "G": "good",
    "B": "bad",
    "U": "untrusted",
    "E": "unknown_key",
    "X": "expired",
    "Y": "expired",
    "R": "revoked",
}


def begin_survey(state: Pull, held: Iterable[str], commits: Mapping[str, str]) -> None:
    """Lets Git list already what the survey will most likely ask for; `held` are names of refs."""
    wanted = (ref for ref in held if is_wanted(ref, state.options, state.branches))
    state.expect(_tips(wanted, commits))


def _tips(refs: Iterable[str], commits: Mapping[str, str]) -> list[str]:
    named = (ref for ref in refs if ref.startswith(HEADS) or pull_number(ref) is not None)
    return sorted({commits[ref] for ref in named if ref in commits})


def survey_event(state: Pull, known: Container[str]) -> NewEvent:
    """What the source holds now. `known` are ids that are known to be those of commits."""
    held = {
        ref: oid
        for ref, oid in state.after.refs.items()
        if is_wanted(ref, state.options, state.branches)
    }
    refs = sorted((readable_ref(ref), oid) for ref, oid in held.items())
    tips = _tips(held, state.mirror.refs(known=known))
    commits_digest, count = survey_digest(state.reached(tips))
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


def tell_signatures(state: Pull) -> Iterator[Batch]:
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
