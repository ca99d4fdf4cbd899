"""What forges tell of pull requests becomes one row each, a judgement, and links to the mainline."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import click
import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import ingest, registry
from ledger.cli import text
from ledger.documents import Documents
from ledger.events import (
    CommitObserved,
    Event,
    Identity,
    NewEvent,
    PullRequest,
    PullRequestClosed,
    PullRequestMatched,
    PullRequestMerged,
    PullRequestMismatched,
    PullRequestOpened,
    PullRequestPushed,
    RefMoved,
    ReviewDismissed,
    ReviewSubmitted,
    RevisionObserved,
)
from ledger.projections import approvals, pull_requests, reviews
from ledger.projector import Projector
from ledger.queries import Scope
from ledger.queries.pulls import find_pull_request
from ledger.sources import Import
from ledger.store import Store
from ledger.store.schema import initialise
from ledger.tellings import Tellings
from ledger.testing import BOB, Ledger, Repo, make_ledger, make_repo, track

FORGE = "github.com/acme/infra"
Row = tuple[Any, ...]


# -- what a forge tells ------------------------------------------------------------------------------


def sha(name: str) -> str:
    """A commit id that a name stands for."""
    return (name * 40).encode().hex()[:40]


def at(minute: int) -> str:
    return f"2026-09-01T{9 + minute // 60:02}:{minute % 60:02}:00Z"


def who(login: str) -> Identity | None:
    return Identity(login=login) if login else None


def pull(number: int = 7, minute: int = 0, **more: Any) -> PullRequest:
    """A pull request of ann as its forge tells it at a minute."""
    values = {"author": who("ann"), "head": sha("head"), "base": "main", "title": "Do it"}
    return PullRequest(number=number, **{**values, "updated_at": at(minute), **more})


def opened(minute: int = 0, number: int = 7, **more: Any) -> Event:
    return PullRequestOpened(
        repository="infra",
        forge=FORGE,
        pull_request=pull(number, minute, **more),
        at=at(minute),
    )


def pushed(minute: int, after: str, number: int = 7, **more: Any) -> Event:
    return PullRequestPushed(
        repository="infra",
        forge=FORGE,
        pull_request=pull(number, minute, head=after, **more),
        before=sha("before"),
        after=after,
        at=at(minute),
    )


def merged(
    minute: int, commit: str = "", number: int = 7, by: str = "mona", **more: Any
) -> PullRequestMerged:
    fields = {"commits", "method", "told_at"} & more.keys()
    told = {name: more.pop(name) for name in fields}
    return PullRequestMerged(
        repository="infra",
        forge=FORGE,
        pull_request=pull(number, told.pop("told_at", minute), **more),
        merge_commit=commit or sha("merge"),
        merged_at=at(minute),
        merged_by=who(by),
        **told,
    )


def closed(minute: int, number: int = 7) -> Event:
    return PullRequestClosed(
        repository="infra", forge=FORGE, pull_request=pull(number, minute), closed_at=at(minute)
    )


def reviewed(
    minute: int,
    reviewer: str = "bob",
    state: str = "approved",
    number: int = 7,
    commit: str = "",
    review: str = "",
    association: str = "",
) -> Event:
    return ReviewSubmitted(
        repository="infra",
        forge=FORGE,
        number=number,
        review=review or f"{reviewer}/{minute}",
        reviewer=who(reviewer),
        state=state,
        commit=commit or sha("head"),
        submitted_at=at(minute),
        association=association,
    )


def dismissed(minute: int, review: str, number: int = 7) -> Event:
    return ReviewDismissed(
        repository="infra", forge=FORGE, number=number, review=review, at=at(minute)
    )


def key_of(data: Event) -> str:
    """The natural key, as the forge's source gives it."""
    if isinstance(data, ReviewSubmitted | ReviewDismissed):
        return f"{FORGE}/review/{data.review[:50]!r}/{data.TYPE}"
    if isinstance(data, PullRequestMerged):
        return f"{FORGE}/pull/{data.pull_request.number}/merged"
    if isinstance(data, PullRequestOpened | PullRequestPushed | PullRequestClosed):
        number, when = data.pull_request.number, data.pull_request.updated_at
        return f"{FORGE}/pull/{number}/{data.TYPE}/{when}"
    if isinstance(data, RefMoved):
        return f"infra/{data.ref}/{data.sequence}"
    assert isinstance(
        data, CommitObserved | RevisionObserved | PullRequestMatched | PullRequestMismatched
    )
    return f"infra/{data.TYPE}/{data.commit}/{getattr(data, 'number', '')}"


def event(data: Event, actor: str = "") -> NewEvent:
    pusher = isinstance(data, PullRequestPushed) and not actor
    return NewEvent(
        stream="repository/infra",
        key=key_of(data),
        source="made up",
        actor=who("ann" if pusher else actor),
        data=data,
    )


def tell(ledger: Ledger, *facts: Event | NewEvent, one_by_one: bool = False) -> int:
    """Appends facts and follows them; gives how many were new."""
    events = [one if isinstance(one, NewEvent) else event(one) for one in facts]
    batches = [[one] for one in events] if one_by_one else [events]
    new = 0
    with ledger.store() as store:
        projector = Projector(
            store, registry.projections(), Documents(registry.parsers, store.content)
        )
        for batch in batches:
            recorded = store.append(batch, source="made up", recorded_at=ledger.now)
            projector.catch_up(recorded)
            new += len(recorded)
        assert projector.failures == []
    return new


@pytest.fixture
def ledger(tmp_path: Path, database_url: str) -> Ledger:
    """An empty ledger on both databases."""
    return make_ledger(tmp_path / "ledger", database=database_url)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = make_repo(tmp_path / "infra.git")
    made.commit({"a.txt": "one\n"}, "start")
    return made


@pytest.fixture
def tracked(tmp_path: Path, repo: Repo) -> Ledger:
    """A ledger that reads the repository."""
    return make_ledger(tmp_path / "tracked", track(repo))


def shown(ledger: Ledger, *columns: str, number: int = 7) -> Row:
    """Columns of one pull request."""
    sql = f"select {', '.join(columns)} from pull_requests where number = ?"
    [row] = ledger.rows(sql, number)
    return row


# -- one pull request out of many tellings --------------------------------------------------------


def test_a_pull_request_is_told_in_full(ledger: Ledger) -> None:
    tell(
        ledger,
        opened(0, created_at=at(0), url="https://x/7", labels=["a", "b"], draft=True),
        merged(60, by="Mona", labels=["b"], commits=3, method="squash"),
        reviewed(30),
    )
    columns = (
        "title, author, merged_by, merged_at, head_sha, merge_commit_sha, url, approvals, approval, "
        "reason, state, base, approvers, approved_at, merge_method, commits, labels, draft, created_at, "
        "closed_at, updated_at, forge"
    )
    assert shown(ledger, columns) == (
        "Do it", "ann", "Mona", at(60), sha("head"), sha("merge"), "https://x/7", 1, "approved",
        "approved by bob at the head that merged; who pushed its 3 commits is not all told",
        "merged", "main", "bob", at(30), "squash", 3, "b", 0,
        at(0), None, at(60), FORGE,
    )  # fmt: skip
    assert ledger.rows("select reviewer, state, commit_sha, submitted_at, counts from reviews") == [
        ("bob", "approved", sha("head"), at(30), 1)
    ]


def test_what_one_telling_leaves_out_another_keeps(ledger: Ledger) -> None:
    poor = merged(60, by="", told_at=90, title="Do it well", author=None)
    tell(ledger, merged(60), poor)
    assert shown(ledger, "title", "author", "merged_by", "updated_at") == (
        "Do it well", "ann", "mona", at(90),
    )  # fmt: skip


def test_a_pull_request_closes_and_opens_again_and_a_merge_is_final(ledger: Ledger) -> None:
    tell(ledger, opened(0), closed(5))
    assert shown(ledger, "state", "closed_at", "approval") == ("closed", at(5), "unapproved")
    tell(ledger, opened(9), opened(7))
    assert shown(ledger, "state", "closed_at") == ("open", None)
    tell(ledger, closed(9))
    assert shown(ledger, "state", "closed_at") == ("closed", at(9))
    tell(ledger, merged(8))
    assert shown(ledger, "state", "closed_at", "merged_at") == ("merged", None, at(8))


def test_a_review_that_was_dismissed_keeps_what_it_said(ledger: Ledger) -> None:
    tell(ledger, opened(), merged(60))
    tell(ledger, reviewed(10, state="dismissed", review="1"))
    columns = "state, dismissed, dismissed_at, counts, reason"
    sql = f"select {columns} from reviews"
    assert ledger.rows(sql) == [("dismissed", 1, "", 0, "dismissed: the forge does not tell when")]
    tell(ledger, reviewed(10, review="1"))
    assert ledger.rows(sql)[0][:4] == ("approved", 1, "", 0)
    tell(ledger, event(dismissed(70, "1"), actor="carol"))
    assert ledger.rows(sql) == [("approved", 1, at(70), 1, "given at the head that counts")]
    assert ledger.rows("select dismissed_by from reviews") == [("carol",)]
    assert shown(ledger, "approval") == ("approved",)


def test_what_a_dismissed_review_said_is_known_from_whichever_telling_says_it(
    ledger: Ledger,
) -> None:
    for number in range(8):
        for state in ("approved", "dismissed") if number % 2 else ("dismissed", "approved"):
            tell(ledger, reviewed(10, state=state, review=str(number)))
    assert ledger.rows("select distinct state, dismissed from reviews") == [("approved", 1)]


def test_who_pushed_is_a_contributor_and_the_judgement_follows_every_fact(ledger: Ledger) -> None:
    tell(ledger, reviewed(20))
    assert shown(ledger, "approval", "reason", "state", "approvals") == (
        "unknown", "its forge told reviews of it and nothing else", None, 0,
    )  # fmt: skip
    tell(ledger, opened(0))
    assert shown(ledger, "approval", "state", "approvals") == ("unapproved", "open", 1)
    tell(ledger, merged(60))
    assert shown(ledger, "approval", "approved_at") == ("approved", at(20))
    tell(ledger, event(pushed(10, sha("head")), actor="BOB"))
    assert shown(ledger, "approval", "approvals", "approved_at") == ("unapproved", 0, None)
    assert ledger.rows("select reason from reviews")[0][0].startswith("contributor: ")
    tell(ledger, reviewed(30, "carol"))
    assert shown(ledger, "approval", "approvers", "approved_at") == (
        "approved", "bob, carol", at(30),
    )  # fmt: skip
    tell(ledger, reviewed(40, "dave", "changes_requested"))
    assert shown(ledger, "approval")[0] == "unapproved"
    assert "changes that dave requested stood" in shown(ledger, "reason")[0]


def test_a_head_pushed_after_the_merge_does_not_count(ledger: Ledger) -> None:
    tell(ledger, merged(60), reviewed(30), pushed(70, sha("later")))
    assert shown(ledger, "approval", "head_sha") == ("approved", sha("head"))
    tell(ledger, reviewed(31, "carol", commit=sha("later")))
    assert ledger.rows("select counts from reviews where reviewer = 'carol'") == [(0,)]


def test_a_lone_approval_names_the_doubt_until_enough_pushes_up_to_the_merge_are_told(
    ledger: Ledger,
) -> None:
    plain = "approved by bob at the head that merged"
    doubt = f"{plain}; who pushed its 3 commits is not all told"
    tell(ledger, merged(60, commits=3), reviewed(30), pushed(70, sha("later")))
    assert shown(ledger, "approval", "reason") == ("approved", doubt)
    tell(ledger, pushed(10, sha("second")), pushed(11, sha("second")))
    assert shown(ledger, "approval", "reason") == ("approved", doubt)
    tell(ledger, pushed(20, sha("head")))
    assert shown(ledger, "approval", "reason") == ("approved", plain)


def test_a_review_without_write_access_neither_approves_nor_blocks(ledger: Ledger) -> None:
    tell(ledger, merged(60), reviewed(30, association="NONE"))
    assert shown(ledger, "approval", "reason") == (
        "unapproved",
        "no approval counts: bob (no_write_access: nothing shows that they can write; "
        "the forge calls them NONE)",
    )
    tell(ledger, reviewed(31, "carol", association="member"))
    tell(ledger, reviewed(32, "dave", "changes_requested", association="CONTRIBUTOR"))
    assert shown(ledger, "approval", "approvers") == ("approved", "carol")


HOSTILE = "x\0y\u202e\n; drop table"


def test_hostile_texts_are_kept_and_approve_nothing(ledger: Ledger) -> None:
    long = "l" * 5_000
    tell(
        ledger,
        opened(0, author=Identity(login=HOSTILE), title=HOSTILE, labels=[HOSTILE], url=long),
        merged(60, by=HOSTILE, title=HOSTILE, author=Identity(name=HOSTILE)),
        reviewed(10, HOSTILE, review=HOSTILE),
        reviewed(11, "bob", HOSTILE, review=long),
        event(pushed(5, sha("head")), actor=HOSTILE),
    )
    assert shown(ledger, "approval", "approvals") == ("unapproved", 0)
    assert "\0" not in shown(ledger, "title")[0]
    assert len(ledger.rows("select * from reviews")) == 2


# -- the order of events makes no difference -------------------------------------------------------------


def commit(name: str, message: str, *parents: str, patch_id: str = "") -> Event:
    ann = Identity(name="Ann", email="ann@example.org")
    return CommitObserved(
        repository="infra",
        commit=sha(name),
        tree=sha(f"tree of {name}"),
        parents=[sha(one) for one in parents],
        author=ann,
        committer=ann,
        authored_at=at(0),
        committed_at=at(0),
        message=message,
        object_digest=f"sha256:{sha(name)}",
        patch_id=patch_id,
    )


def revision(number: int, name: str, parent: str = "") -> Event:
    return RevisionObserved(
        repository="infra",
        branch="main",
        number=number,
        commit=sha(name),
        first_parent=sha(parent) if parent else "",
        move="infra/refs/heads/main/1",
    )


def head(number: int, name: str) -> Event:
    return RefMoved(
        repository="infra",
        ref=f"refs/pull/{number}/head",
        kind="created",
        sequence=1,
        new=sha(name),
    )


def matched(name: str, number: int, method: str, tip: str) -> Event:
    return PullRequestMatched(
        repository="infra", commit=sha(name), number=number, method=method, head=sha(tip)
    )


def mismatched(name: str, number: int, tip: str, shared: int) -> Event:
    return PullRequestMismatched(
        repository="infra",
        commit=sha(name),
        number=number,
        head=sha(tip),
        paths=2,
        shared_paths=shared,
        equal_paths=0,
    )


FROM_GIT = [
    commit("h1", "part"),
    commit("h3", "part"),
    commit("h8", "part", patch_id="p8"),
    head(3, "h3"),
    head(8, "h8"),
    commit("c1", "Do it (#1)"),
    revision(1, "c1"),
    commit("c2", "Again (#1)", "c1"),
    revision(2, "c2", "c1"),
    commit("c3", "Merge pull request #5 from x", "c2", "h3"),
    revision(3, "c3", "c2"),
    commit("c4", "Slip it in (#4)", "c3"),
    revision(4, "c4", "c3"),
    commit("c5", "Another (#6)", "c4"),
    revision(5, "c5", "c4"),
    commit("c6", "rebased", "c5", patch_id="p8"),
    revision(6, "c6", "c5"),
    matched("c1", 1, "equal_tree", "h1"),
    matched("c2", 1, "merge_tree", "h1"),
    matched("c3", 3, "head_is_parent", "h3"),
    mismatched("c4", 4, "h4", 1),
    mismatched("c5", 6, "h6", 0),
    matched("c6", 9, "head_is_commit", "c6"),
]
FROM_FORGE: list[Event | NewEvent] = [
    opened(0, number=1, head=sha("h0"), title="First"),
    event(pushed(5, sha("h1"), number=1), actor="eve"),
    reviewed(3, "bob", number=1, commit=sha("h0"), review="1"),
    reviewed(8, "bob", number=1, commit=sha("h1"), review="2"),
    reviewed(8, "bob", "dismissed", number=1, commit=sha("h1"), review="2"),
    event(dismissed(9, "2", number=1), actor="eve"),
    reviewed(10, "carol", number=1, commit=sha("h1"), review="3"),
    reviewed(11, "carol", "commented", number=1, commit=sha("h1"), review="4"),
    merged(20, sha("c1"), number=1, head=sha("h1"), labels=["late"]),
    merged(20, sha("c1"), number=1, head=sha("h1"), by="", told_at=25, title="Renamed"),
    merged(20, sha("c0"), number=1, head=sha("h1"), told_at=15),
    opened(1, number=3, head=sha("h3")),
    merged(21, sha("c3"), number=3, head=sha("h3")),
    merged(21, sha("c3"), number=5, head=sha("h5")),
    merged(22, sha("c4"), number=4, head=sha("h4")),
    merged(22, sha("c4"), number=4, head=sha("h4"), by="nina", title="Same second"),
    merged(23, sha("c5"), number=6, head=sha("h6")),
    reviewed(12, "bob", "changes_requested", number=6, commit=sha("h6")),
    merged(24, sha("c6"), number=8, head=sha("h8"), commits=3),
    opened(2, number=9, head=sha("c6")),
    closed(4, number=9),
    opened(6, number=9, head=sha("c6")),
    closed(6, number=9),
    reviewed(7, "dave", number=10),
]
TABLES = [
    *pull_requests.PROJECTION.tables,
    *reviews.PROJECTION.tables,
    *approvals.PROJECTION.tables,
]
ARRIVAL = {"evidence_position", "recorded_at"}


def tables(store: Store, without: set[str] = ARRIVAL) -> dict[str, list[Row]]:
    """All rows of the projections of pull requests, without what depends on arrival."""
    found = {}
    for table in TABLES:
        columns = ", ".join(name for name in table.columns if name not in without)
        found[table.name] = sorted(store.connection.rows(f"select {columns} from {table.name}"))
    return found


def interleaved(seed: int) -> list[Event | NewEvent]:
    """What the forge tells in any order, in between what Git tells in its own."""
    rng = random.Random(seed)  # noqa: S311
    told = list(FROM_FORGE)
    rng.shuffle(told)
    places = sorted(rng.randint(0, len(FROM_GIT)) for _ in told)
    mixed: list[Event | NewEvent] = []
    for place, one in zip(places, told, strict=True):
        mixed += FROM_GIT[len([x for x in mixed if x in FROM_GIT]) : place]
        mixed.append(one)
    return mixed + FROM_GIT[len([x for x in mixed if x in FROM_GIT]) :]


def emptied(ledger: Ledger) -> Ledger:
    """The ledger made anew in the same place."""
    url = ledger.settings.database_url
    if url.startswith("sqlite"):
        for file in Path(url.removeprefix("sqlite:///")).parent.glob("ledger.db*"):
            file.unlink()
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("drop schema public cascade")
            connection.execute("create schema public")
    initialise(url, registry.projections())
    return ledger


@pytest.fixture
def straight(ledger: Ledger) -> dict[str, list[Row]]:
    """The tables after everything came in its natural order."""
    tell(ledger, *FROM_GIT, *FROM_FORGE)
    with ledger.store() as store:
        return tables(store)


def test_any_order_gives_the_same_tables_and_so_does_a_rebuild(
    ledger: Ledger, straight: dict[str, list[Row]]
) -> None:
    for seed in range(3):
        facts = interleaved(seed)
        assert len(facts) == len(FROM_GIT) + len(FROM_FORGE)
        tell(emptied(ledger), *facts, one_by_one=bool(seed % 2))
        with ledger.store() as store:
            assert tables(store) == straight
            exactly = tables(store, set())
        assert tell(ledger, *reversed(facts)) == 0, "everything is known"
        ledger.rebuild()
        with ledger.store() as store:
            assert tables(store, set()) == exactly


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 7))
def test_no_order_makes_a_difference(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cut: int
) -> None:
    results = []
    for facts in ([*FROM_GIT, *FROM_FORGE], interleaved(seed)):
        ledger = make_ledger(tmp_path_factory.mktemp("order"))
        for start in range(0, len(facts), len(facts) // cut + 1):
            tell(ledger, *facts[start : start + len(facts) // cut + 1])
        with ledger.store() as store:
            results.append(tables(store))
    assert results[0] == results[1]


def test_what_the_story_comes_to(ledger: Ledger, straight: dict[str, list[Row]]) -> None:
    """The expected ends of the story that is told in every order."""
    assert straight
    numbers = "select number, approval, state, title from pull_requests order by number"
    assert ledger.rows(numbers) == [
        (1, "approved", "merged", "Renamed"),
        (3, "unapproved", "merged", "Do it"),
        (4, "unapproved", "merged", ledger.rows(numbers)[2][3]),
        (5, "unapproved", "merged", "Do it"),
        (6, "unapproved", "merged", "Do it"),
        (8, "unapproved", "merged", "Do it"),
        (9, "unapproved", "closed", "Do it"),
        (10, "unknown", None, None),
    ]
    names = {sha(f"c{number}"): f"c{number}" for number in range(7)}
    sql = (
        "select commit_sha, number, role, grade, method, best from revision_pull_requests "
        "order by commit_sha, number"
    )
    assert [(names[commit], *rest) for commit, *rest in ledger.rows(sql)] == [
        ("c1", 1, "merged", "proved", "equal_tree", 1),
        ("c2", 1, "content", "proved", "merge_tree", 1),
        ("c3", 3, "merged", "proved", "head_is_parent", 1),
        ("c3", 5, "contradicted", "unlinked", "forge", 0),
        ("c4", 4, "merged", "reported", "forge", 1),
        ("c5", 6, "contradicted", "unlinked", "forge", 0),
        ("c6", 8, "merged", "reported", "forge", 1),
        ("c6", 9, "head", "proved", "head_is_commit", 0),
    ]
    sql = (
        "select number, approval, approvers, approved_at, merged_by from revisions order by number"
    )
    assert ledger.rows(sql) == [
        (1, "approved", "carol", at(10), "mona"),
        (2, "unapproved", "", "", ""),
        (3, "unapproved", "", "", "mona"),
        (4, "unapproved", "", "", ledger.rows(sql)[3][4]),
        (5, "unapproved", "", "", ""),
        (6, "unapproved", "", "", "mona"),
    ]


# -- links that a forge reports ------------------------------------------------------------------------


def proposed(repo: Repo, number: int, files: dict[str, Any]) -> str:
    """A pull request from the tip of main; gives its head."""
    name = f"pull-{number}"
    repo.make_branch(name)
    tip = repo.commit(files, f"part of {number}", branch=name, author=BOB)
    repo.pull_head(number, tip)
    return tip


def links(ledger: Ledger, commit: str) -> list[Row]:
    sql = (
        "select number, role, grade, method, best from revision_pull_requests "
        "where commit_sha = ? order by number"
    )
    return ledger.rows(sql, commit)


def why(ledger: Ledger, commit: str, number: int) -> str:
    sql = "select reason from revision_pull_requests where commit_sha = ? and number = ?"
    return str(ledger.rows(sql, commit, number)[0][0])


def test_a_forge_links_what_git_shows_nothing_of(repo: Repo, tracked: Ledger) -> None:
    repo.commit({"b.txt": "one\n"}, "first part")
    last = repo.commit({"c.txt": "one\n"}, "second part")
    tell(tracked, merged(60, last, commits=2))
    assert links(tracked, last) == []
    tracked.grow()
    assert links(tracked, last) == [(7, "merged", "reported", "forge", 1)]
    said = "the forge says that this commit is the merge of #7"
    assert why(tracked, last, 7) == f"{said}; what landed was not compared with its head"
    sql = "select pull_request, link_grade, landed_at, landed_grade, approval from revisions order by number"
    rows = tracked.rows(sql)
    assert rows[2] == (7, "reported", at(60), "reported", "unapproved")
    assert (rows[1][0], rows[1][4]) == (None, "unapproved")
    repo.commit({"d.txt": "one\n"}, "later")
    tracked.grow()
    tell(tracked, merged(61, repo.tip(), number=8))
    assert links(tracked, repo.tip()) == [(8, "merged", "reported", "forge", 1)]


def test_what_the_content_proves_stays_proved(repo: Repo, tracked: Ledger) -> None:
    proposed(repo, 7, {"a.txt": "two\n"})
    squash = repo.squash("pull-7", "Do it (#7)")
    tracked.grow()
    tell(tracked, merged(60, squash))
    assert links(tracked, squash) == [(7, "merged", "proved", "equal_tree", 1)]
    assert why(tracked, squash, 7).endswith("; the forge says that it is its merge")


def test_a_forges_word_outranks_a_subject_and_a_head_of_another_number(
    repo: Repo, tracked: Ledger
) -> None:
    commit = repo.commit({"a.txt": "two\n"}, "Do it (#5)")
    repo.pull_head(9, commit)
    tracked.grow()
    assert links(tracked, commit)[1] == (9, "merged", "proved", "head_is_commit", 1)
    tell(tracked, merged(60, commit))
    assert links(tracked, commit) == [
        (5, "merged", "inferred", "subject", 0),
        (7, "merged", "reported", "forge", 1),
        (9, "head", "proved", "head_is_commit", 0),
    ]


def test_a_fast_forward_that_the_forge_reports_is_proved(repo: Repo, tracked: Ledger) -> None:
    commit = repo.commit({"a.txt": "two\n"}, "Do it")
    repo.pull_head(7, commit)
    repo.pull_head(5, commit)
    tracked.grow()
    assert [row[4] for row in links(tracked, commit)] == [1, 0]
    tell(tracked, merged(60, commit, head=commit))
    assert links(tracked, commit) == [
        (5, "head", "proved", "head_is_commit", 0),
        (7, "merged", "proved", "head_is_commit", 1),
    ]


def test_a_merge_that_the_recomputation_refutes_is_a_contradiction(
    repo: Repo, tracked: Ledger
) -> None:
    tip = proposed(repo, 7, {"a.txt": "two\n"})
    commit = repo.commit({"evil.txt": "x\n"}, "Do it (#7)")
    tracked.grow()
    tell(tracked, merged(60, commit, head=tip), reviewed(30, commit=tip))
    assert links(tracked, commit) == [(7, "contradicted", "unlinked", "forge", 0)]
    assert "the forge says" in why(tracked, commit, 7)
    assert "none of the 1 files: a contradiction" in why(tracked, commit, 7)
    sql = "select pull_request, approval from revisions where commit_sha = ?"
    assert tracked.rows(sql, commit) == [(None, "unapproved")]
    assert shown(tracked, "approval", "merge_commit_sha", "link_grade", "method") == (
        "approved", commit, "unlinked", "forge",
    )  # fmt: skip


def test_a_merge_with_something_slipped_in_says_so(repo: Repo, tracked: Ledger) -> None:
    tip = proposed(repo, 7, {"a.txt": "two\n"})
    commit = repo.squash("pull-7", "Do it (#7)", files={"evil.txt": "x\n"})
    tracked.grow()
    tell(tracked, merged(60, commit, head=tip))
    assert links(tracked, commit) == [(7, "merged", "reported", "forge", 1)]
    assert "so the content is not proved" in why(tracked, commit, 7)


@pytest.mark.parametrize("slipped_in", [{"evil.txt": "x\n"}, {"b.txt": "one\n"}, {}])
@pytest.mark.parametrize("message", ["Do it (#7)", "Merge it"])
def test_what_was_slipped_into_a_merge_or_taken_back_by_it_is_approved_by_nobody(
    repo: Repo, tracked: Ledger, slipped_in: dict[str, str], message: str
) -> None:
    repo.commit({"b.txt": "one\n"}, "before")
    tip = proposed(repo, 7, {"a.txt": "two\n"})
    base = repo.commit({"b.txt": "two\n"}, "meanwhile")
    parents = [base, tip]
    commit = repo.commit({"a.txt": "two\n", **slipped_in}, message, branch=None, parents=parents)
    repo.force(commit)
    tracked.grow()
    tell(tracked, merged(60, commit, head=tip), reviewed(30, "eve", commit=tip))
    sql = "select approval, approvers, approval_reason from revisions where commit_sha = ?"
    [(approval, approvers, reason)] = tracked.rows(sql, commit)
    if slipped_in:
        assert (approval, approvers) == ("unapproved", "")
        assert reason.endswith("does not give what landed: nobody approved the difference")
        with tracked.store() as store:
            [landing] = find_pull_request(store.connection, 7).landed
        assert landing.reason.endswith(f"; unapproved: {reason}")
    else:
        assert (approval, approvers) == ("approved", "eve")


def test_an_equal_patch_id_carries_no_approval(repo: Repo, tracked: Ledger) -> None:
    tip = proposed(repo, 7, {"a.txt": "one\nk:\n  a: 1\n"})
    commit = repo.commit({"a.txt": "one\nk:\n    a: 1\n"}, "Do it")
    tracked.grow()
    merge = msgspec.structs.replace(merged(60, head=tip), merge_commit="")
    tell(tracked, merge, reviewed(30, "eve", commit=tip))
    assert links(tracked, commit) == [(7, "merged", "inferred", "patch_id", 1)]
    sql = "select approval, approvers from revisions where commit_sha = ?"
    assert tracked.rows(sql, commit) == [("unknown", "")]


def test_a_head_that_moved_since_says_nothing_of_the_one_that_merged(
    repo: Repo, tracked: Ledger
) -> None:
    tip = proposed(repo, 7, {"a.txt": "two\n"})
    commit = repo.squash("pull-7", "Do it (#7)")
    other = repo.commit({"z": "z"}, "other", branch=None, parents=[repo.chain()[0]])
    repo.pull_head(7, other)
    tracked.grow()
    assert links(tracked, commit)[0][1:3] == ("contradicted", "unlinked")
    tell(tracked, merged(60, commit, head=tip))
    assert links(tracked, commit) == [(7, "merged", "reported", "forge", 1)]


def test_a_forge_that_names_another_than_the_graph_shows_is_a_contradiction(
    repo: Repo, tracked: Ledger
) -> None:
    proposed(repo, 3, {"a.txt": "two\n"})
    repo.commit({"b.txt": "x\n"}, "meanwhile")
    merge = repo.merge("pull-3", "Merge pull request #5 from bob/pull-3")
    stranger = repo.commit({"z": "z"}, "other", branch=None, parents=[repo.chain()[0]])
    tracked.grow()
    tell(tracked, merged(60, merge, number=5, head=stranger))
    assert links(tracked, merge) == [
        (3, "merged", "proved", "head_is_parent", 1),
        (5, "contradicted", "unlinked", "forge", 0),
    ]


def test_a_pull_request_merged_by_the_merge_of_another_that_holds_it_is_none(
    repo: Repo, tracked: Ledger
) -> None:
    inner = proposed(repo, 5, {"b.txt": "x\n"})
    repo.make_branch("pull-3", inner)
    repo.pull_head(3, repo.commit({"c.txt": "x\n"}, "more", branch="pull-3"))
    repo.drop_pull_head(5)
    repo.commit({"d.txt": "x\n"}, "meanwhile")
    merge = repo.merge("pull-3", "Merge pull request #3 from bob/pull-3")
    tracked.grow()
    tell(tracked, merged(60, merge, number=5, head=inner))
    assert links(tracked, merge) == [
        (3, "merged", "proved", "head_is_parent", 1),
        (5, "merged", "reported", "forge", 0),
    ]


def test_an_approved_pull_request_approves_no_second_landing_of_its_content(
    repo: Repo, tracked: Ledger
) -> None:
    """Somebody takes an old, approved change that was taken back since, and pushes it again."""
    tip = proposed(repo, 7, {"firewall": "open\n"})
    first = repo.squash("pull-7", "Open it (#7)")
    repo.commit({"firewall": None}, "Close it")
    again = repo.squash("pull-7", "Open it (#7)")
    tracked.grow()
    tell(tracked, merged(60, first, head=tip), reviewed(30, commit=tip))
    assert links(tracked, first)[0][:3] == (7, "merged", "proved")
    assert links(tracked, again) == [(7, "content", "proved", "equal_tree", 1)]
    sql = "select approval, approval_reason from revisions where commit_sha = ?"
    assert tracked.rows(sql, first)[0][0] == "approved"
    [(verdict, reason)] = tracked.rows(sql, again)
    assert verdict == "unapproved"
    assert reason.endswith(f"the forge says that #7 was merged as {first[:12]}")


def test_what_a_commit_is_the_merge_of_goes_before_what_it_holds_again(
    repo: Repo, tracked: Ledger
) -> None:
    proposed(repo, 7, {"firewall": "open\n"})
    first = repo.squash("pull-7", "Open it (#7)")
    repo.commit({"firewall": None}, "Close it")
    again = repo.squash("pull-7", "Open it (#7)")
    tracked.grow()
    tell(tracked, merged(60, first), merged(61, again, number=9))
    assert links(tracked, again) == [
        (7, "content", "proved", "equal_tree", 0),
        (9, "merged", "reported", "forge", 1),
    ]


def test_a_head_that_was_merged_as_another_commit_is_no_merge(repo: Repo, tracked: Ledger) -> None:
    commit = repo.commit({"a.txt": "two\n"}, "Do it")
    repo.pull_head(9, commit)  # such as a promotion of main to another branch
    tracked.grow()
    assert links(tracked, commit) == [(9, "merged", "proved", "head_is_commit", 1)]
    tell(tracked, merged(60, sha("elsewhere"), number=9, head=commit))
    assert links(tracked, commit) == [(9, "head", "proved", "head_is_commit", 0)]
    sql = "select pull_request, link_grade from revisions where commit_sha = ?"
    assert tracked.rows(sql, commit) == [(None, "unlinked")]


def test_a_subject_borrows_no_approval(repo: Repo, tracked: Ledger) -> None:
    first = repo.commit({"a.txt": "two\n"}, "Do it (#7)")
    forged = repo.commit({"evil": "x\n"}, "Do it (#7)")
    tracked.grow()
    assert links(tracked, forged)[0][:3] == (7, "merged", "inferred")
    tell(tracked, merged(60, first), reviewed(30))
    assert links(tracked, forged) == [(7, "contradicted", "unlinked", "subject", 0)]
    assert "merged as" in why(tracked, forged, 7)
    sql = "select approval from revisions order by number"
    assert [row[0] for row in tracked.rows(sql)] == ["unapproved", "approved", "unapproved"]


def test_of_several_pull_requests_in_one_merge_the_worst_verdict_counts(
    repo: Repo, tracked: Ledger
) -> None:
    one, two = proposed(repo, 1, {"c.txt": "1\n"}), proposed(repo, 2, {"d.txt": "2\n"})
    files = {"c.txt": "1\n", "d.txt": "2\n"}
    merge = repo.commit(files, "Both", parents=[repo.tip(), one, two])
    tracked.grow()
    sql = "select pull_request, approval, approvers from revisions where commit_sha = ?"
    for number, tip in ((1, one), (2, two)):
        assert tracked.rows(sql, merge)[0][1] != "approved"
        tell(
            tracked,
            merged(60, merge, number=number, head=tip),
            reviewed(30, "carol", number=number, commit=tip, review=str(number)),
        )
    assert tracked.rows(sql, merge) == [(1, "approved", "carol")]


def test_what_only_git_knows_is_unknown(repo: Repo, tracked: Ledger) -> None:
    proposed(repo, 7, {"a.txt": "two\n"})
    repo.squash("pull-7", "Do it (#7)")
    repo.commit({"b.txt": "x\n"}, "directly")
    tracked.grow()
    assert shown(tracked, "approval", "reason", "approvals", "state", "title") == (
        "unknown", "nothing was told of it by its forge", None, None, None,
    )  # fmt: skip
    sql = "select approval, approval_reason from revisions order by number desc"
    rows = tracked.rows(sql)
    assert rows[0] == ("unknown", "nothing was told by a forge")
    assert rows[1] == ("unknown", "nothing was told of it by its forge")


# -- questions ------------------------------------------------------------------------------------------


def test_answers_say_who_approved_and_who_merged(repo: Repo, tracked: Ledger) -> None:
    tip = proposed(repo, 7, {"a.txt": "two\n"})
    squash = repo.squash("pull-7", "Do it (#7)")
    tracked.grow()
    tell(
        tracked,
        merged(60, squash, head=tip),
        *(reviewed(m, r, commit=tip) for m, r in ((30, "bob"), (40, "carol"))),
    )
    with tracked.ask() as asker:
        [newest, oldest] = asker.log(Scope())
        assert newest.approval.verdict == "approved"
        assert newest.approval.approvers == ["bob", "carol"]
        assert newest.approval.approved_at == at(30)
        assert (newest.pull_request.merged_by, newest.pull_request.merged_at) == ("mona", at(60))
        assert oldest.approval.verdict == "unapproved"
        assert oldest.approval.approvers == []
        change = next(asker.history(asker.resolve("a.txt", Scope()), limit=1))
        assert change.revision == newest


def test_an_approval_is_known_no_better_than_the_link_to_it(repo: Repo, tracked: Ledger) -> None:
    repo.commit({"a.txt": "two\n"}, "Do it (#7)")
    tracked.grow()
    tell(tracked, msgspec.structs.replace(merged(60), merge_commit=""), reviewed(30))
    with tracked.ask() as asker:
        newest = asker.log(Scope())[0]
    assert newest.pull_request.grade == "inferred"
    assert click.unstyle(text.approval(newest)) == f"approved by bob at {at(30)} (inferred)"
    assert newest.pull_request.merged_at == ""


# -- several tellings of one thing -------------------------------------------------------------------------

TELLINGS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y", 0, 1, []])),
        st.sampled_from([at(1), at(2), ""]),
        st.sampled_from("123"),
    ),
    max_size=6,
    unique_by=lambda one: one[1:],
)


@given(TELLINGS, st.randoms(use_true_random=False))
def test_tellings_give_the_same_in_any_order_also_through_text(
    told: list[tuple[dict[str, Any], str, str]], rng: random.Random
) -> None:
    straight = Tellings()
    for values, when, mark in told:
        straight.add(values, when, mark, even_empty="c")
    kept = ""
    for values, when, mark in rng.sample(told, len(told)) * 2:
        one = Tellings(kept)
        one.add(values, when, mark, even_empty="c")
        kept = one.text
    assert Tellings(kept).text == straight.text
    for name in "abc":
        said = [
            (when, mark, values[name])
            for values, when, mark in told
            if name in values and (values[name] or name == "c")
        ]
        expected = max(said, key=lambda one: one[:2])[2] if said else "nothing"
        assert straight.get(name, "nothing") == expected


# -- as it was recorded -----------------------------------------------------------------------------------


def test_the_recorded_stale_approval_is_found_stale(
    corpus: Path, tmp_path: Path, database_url: str
) -> None:
    """jenkinsci/audit-trail-plugin#96 was approved at one head and merged with another."""
    ledger = make_ledger(tmp_path / "ledger", database=database_url)
    files = sorted((corpus / "fixtures" / "github-events-hub4j").glob("*events*.json"))
    outcome = ingest.import_files(ledger.settings, "github", Import(files=files))
    assert (outcome.failure, outcome.stopped) == ("", ())
    sql = (
        "select approval, reason, approvals from pull_requests where repository = ? and number = ?"
    )
    assert ledger.rows(sql, "github.com/jenkinsci/audit-trail-plugin", 96) == [
        (
            "unapproved",
            "no approval counts: PierreBtz (stale: given at 08b1d1a6b4af, but ffedd60844f1 merged)",
            0,
        )
    ]
    others = "github.com/cloudbees-oss/zendesk-java-client"
    for number in (545, 552, 560):  # changed their mind; approved at two heads
        assert ledger.rows(sql, others, number)[0][::2] == ("approved", 1)
    counted = ledger.rows("select approval, count(*) from pull_requests group by approval")
    # Two are of a CONTRIBUTOR who merged them, too: somebody whose membership is not public.
    assert dict(counted)["approved"] == 28
    assert ledger.rows("select count(*) from pull_requests where state = 'merged'") == [(40,)]
    given = (
        "select count(distinct number || repository || url) from reviews where state = 'approved'"
    )
    assert ledger.rows(given) == [(33,)]
    both = "select state, dismissed, counts from reviews where dismissed = 1 order by number"
    assert ledger.rows(both) == [("approved", 1, 0), ("approved", 1, 0)]
