"""Ingest of a made-up Terraform repository, against Git listing its changed files."""

from __future__ import annotations

from benchmarks._figures import Bar, Figure, interleaved, ratio, timed
from benchmarks._places import Place, first_ingest, git
from benchmarks._terraform import make

RAW, OURS = "`git log --raw`", "ingest"


def measure(place: Place) -> list[Figure]:
    """One row."""
    repository = place.folder / "terraform.git"
    make(repository, place.commits)
    kinds = git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
    blobs = kinds.split().count("blob")
    commits = int(git(repository, "rev-list", "--count", "main"))
    times = interleaved(
        place.rounds,
        {
            RAW: lambda _: timed(["git", "log", "--raw", "main"], repository),
            OURS: first_ingest(place, repository),
        },
    )
    what = f"ingest of {commits:,} commits with {blobs:,} distinct `.tf` files"
    return [ratio(what, times[OURS], RAW, times[RAW], Bar(most=8))]
