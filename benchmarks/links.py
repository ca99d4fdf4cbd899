"""Which pull request each revision of the real repository landed, held against what Git says itself."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import subprocess
from collections import defaultdict
from typing import NamedTuple

from benchmarks._figures import PLAIN_GIT, Bar, Figure
from benchmarks._places import Place, git
from ledger.gitio.streams import merge_results

SEED, SAMPLED = 20_250_101, 400
_SQUASHED = re.compile(r"\(#([1-9][0-9]*)\)\s*$")


class Revision(NamedTuple):
    """A mainline revision with its link."""

    commit: str
    parents: list[str]
    named: int
    number: int | None
    grade: str
    method: str
    direct: str


def measure(place: Place) -> list[Figure]:
    """Six rows; the ledger's links are compared with refs, trees and patch ids that plain Git gives."""
    revisions = _revisions(place)
    squashed = [one for one in revisions if one.named and len(one.parents) == 1]
    proved = [one for one in squashed if one.grade == "proved" and one.number == one.named]
    return [
        _grades(revisions),
        _row(
            "squash merges that are proved to be the pull request that they name",
            f"{len(proved):,} of {len(squashed):,}",
            100 * len(proved) / len(squashed),
            Bar(least=99, unit=" %"),
        ),
        _recomputed(place, squashed),
        _against_refs(place, revisions),
        _shared(place, revisions),
        _unclassified(revisions),
    ]


def _revisions(place: Place) -> list[Revision]:
    with sqlite3.connect(place.whole / "ledger.db") as connection:
        rows = connection.execute(
            """select v.commit_sha, c.parents, v.subject, v.pull_request, v.link_grade,
                      coalesce(l.method, ''), coalesce(v.direct, '')
               from revisions v
               join commits c on c.repository = v.repository and c.commit_sha = v.commit_sha
               left join revision_pull_requests l on l.repository = v.repository
                 and l.commit_sha = v.commit_sha and l.best = 1
               where v.superseded = 0 order by v.number"""
        ).fetchall()
    found = []
    for commit, parents, subject, *rest in rows:
        match = _SQUASHED.search(subject)
        found.append(Revision(commit, parents.split(), int(match[1]) if match else 0, *rest))
    return found


def _grades(revisions: list[Revision]) -> Figure:
    counts: dict[str, int] = defaultdict(int)
    for one in revisions:
        counts[one.grade] += 1
    text = ", ".join(
        f"{grade} {counts[grade]:,} ({100 * counts[grade] / len(revisions):.2f} %)"
        for grade in ("proved", "reported", "inferred", "unlinked")
    )
    return Figure(f"links of {len(revisions):,} revisions", figure=text)


def _recomputed(place: Place, squashed: list[Revision]) -> Figure:
    """A sample of squash merges, merged again by plain Git: first parent and head give the commit's tree."""
    sample = random.Random(SEED).sample(squashed, min(SAMPLED, len(squashed)))  # noqa: S311
    feed = "".join(f"{one.parents[0]} refs/pull/{one.named}/head\n" for one in sample)
    again = ["merge-tree", "--write-tree", "--no-messages", "--stdin", "-z"]
    output = git(place.clone, *again, stdin=feed.encode())
    asked = "".join(f"{one.commit}^{{tree}}\n" for one in sample).encode()
    trees = git(place.clone, "cat-file", "--batch-check=%(objectname)", stdin=asked).split()
    merged = merge_results(iter(output.encode().split(b"\0")))
    equal = sum(
        one.grade == "proved" and tree == theirs
        for one, tree, theirs in zip(sample, trees, merged, strict=True)
    )
    return _row(
        "sampled squash merges whose tree plain Git gives again, and that are proved",
        f"{equal} of {len(sample)}",
        100 * equal / len(sample),
        Bar(least=99, unit=" %"),
    )


def _against_refs(place: Place, revisions: list[Revision]) -> Figure:
    """Links by the graph that `refs/pull/*` contradict."""
    listing = git(place.clone, "for-each-ref", "--format=%(objectname) %(refname)", "refs/pull/")
    heads = {
        int(ref.split("/")[2]): oid for oid, ref in (line.split() for line in listing.splitlines())
    }
    wrong = unheaded = by_graph = 0
    for one in revisions:
        if one.number is None:
            continue
        unheaded += one.number not in heads
        if one.method in ("head_is_parent", "head_is_commit"):
            by_graph += 1
            there = one.parents[1:] if one.method == "head_is_parent" else [one.commit]
            wrong += heads.get(one.number) not in there
    return _row(
        f"links that contradict `refs/pull/*`, of {len(heads):,} heads",
        f"{wrong} of {by_graph} by the graph; {unheaded} to numbers without a head",
        wrong + unheaded,
        Bar(most=0),
    )


def _shared(place: Place, revisions: list[Revision]) -> Figure:
    """Revisions with a patch id in common, such as promotions: each belongs to the number that it names."""
    log = [
        "git",
        "log",
        "-p",
        "--first-parent",
        "--no-merges",
        "--format=%H",
        "--full-index",
        "main",
    ]
    environment = {**os.environ, **PLAIN_GIT}
    identify = ["git", "patch-id", "--stable"]
    with subprocess.Popen(log, cwd=place.clone, stdout=subprocess.PIPE, env=environment) as patches:
        done = subprocess.run(
            identify, stdin=patches.stdout, stdout=subprocess.PIPE, env=environment, check=True
        )
    alike = defaultdict(list)
    of = {one.commit: one for one in revisions}
    for line in done.stdout.decode("ascii").splitlines():
        patch, commit = line.split()
        alike[patch].append(of[commit])
    groups = [group for group in alike.values() if len(group) > 1]
    members = [one for group in groups for one in group]
    mixed = [one for one in members if one.named and one.number != one.named]
    mixed += [one for one in members if not one.named and one.grade == "proved"]
    return _row(
        f"mixed up among {len(members)} revisions that share {len(groups)} patch ids",
        f"{len(mixed)}",
        len(mixed),
        Bar(most=0),
    )


def _unclassified(revisions: list[Revision]) -> Figure:
    counts: dict[str, int] = defaultdict(int)
    for one in revisions:
        counts[one.direct or "linked"] += 1
    lost = sum(not one.direct and one.number is None for one in revisions)
    text = ", ".join(f"{kind} {count:,}" for kind, count in sorted(counts.items()))
    return _row(
        "revisions that are neither linked nor classified", f"{lost} ({text})", lost, Bar(most=0)
    )


def _row(what: str, text: str, value: float, bar: Bar) -> Figure:
    return Figure(what, figure=text, bar=str(bar), verdict=bar.judge([value]))
