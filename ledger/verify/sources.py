"""Whether the log holds every commit that a source has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ledger.config import Settings
from ledger.errors import SourceError
from ledger.events import CommitObserved, SourceSurveyed
from ledger.gitio import Mirror
from ledger.sources.git import HEADS, pull_number, survey_digest
from ledger.store import Store
from ledger.verify.findings import Finding


def verify_source(settings: Settings, store: Store, name: str) -> Iterator[Finding]:
    """Counts a source's commits again and compares them with its last survey and with the log.

    Reads the mirror's own graph from the refs that the survey names; a commit that the source has
    and the log lacks is an omission. Cost: one `rev-list` and the commit ids of one repository.
    """
    source = settings.find_source(name)
    survey = store.latest(SourceSurveyed.TYPE, f"repository/{name}")
    if survey is None:
        yield Finding(None, f"{name} was never surveyed; run `ledger ingest {name} --survey`")
        return
    data = survey.data
    assert isinstance(data, SourceSurveyed)
    mirror = Mirror(settings.mirror(source))
    tips = [one.commit for one in data.refs if one.ref.startswith(HEADS) or pull_number(one.ref)]
    try:
        found = mirror.reachable(sorted(set(tips)))
    except SourceError as error:
        yield Finding(
            survey.position,
            f"the mirror of {name} no longer holds what was surveyed: {error.message}",
        )
        return
    digest, count = survey_digest(found)
    if (digest, count) != (data.commits_digest, data.commit_count):
        yield Finding(
            survey.position,
            f"the survey counted {data.commit_count} commits ({data.commits_digest}), "
            f"the repository has {count} ({digest})",
        )
    refs = "".join(f"{one.commit} {one.ref}\n" for one in data.refs)
    if "sha256:" + hashlib.sha256(refs.encode()).hexdigest() != data.refs_digest:
        yield Finding(
            survey.position, "the survey's list of refs does not have the digest that it gives"
        )
    rows = store.connection.rows(
        "select key from log_event where type = ? and stream = ? and position <= ?",
        [CommitObserved.TYPE, f"repository/{name}", survey.position],
    )
    told = {row[0].rsplit("/", 1)[-1].partition("#")[0] for row in rows}
    missing = sorted(set(found) - told)
    for commit in missing[:10]:
        yield Finding(None, f"{name} has commit {commit}, which the log lacks")
    if len(missing) > 10:
        yield Finding(None, f"… and {len(missing) - 10} more commits that the log lacks")
