"""Rules, teams, CODEOWNERS, equal heads and checks: what was in force then decides about an approval."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import registry
from ledger.contents import digest_text, pack
from ledger.documents import Documents
from ledger.events import (
    CheckCompleted,
    CommitObserved,
    Event,
    FileChange,
    FileSide,
    HeadCompared,
    Identity,
    ListedReview,
    NewEvent,
    PersonMapped,
    ProposedCommit,
    PullRequest,
    PullRequestListed,
    PullRequestMatched,
    PullRequestMerged,
    PullRequestPushed,
    RefMoved,
    ReviewDismissed,
    ReviewsListed,
    ReviewSubmitted,
    RevisionObserved,
    RulesObserved,
    TeamObserved,
    Trailer,
)
from ledger.projections import approvals, checks, code_owners, reviews, rules
from ledger.projector import Projector
from ledger.testing import Ledger, make_ledger

FORGE = "github.com/acme/infra"
OWNERS = b"* @acme/platform\n/docs/ @erin\n/free/\n/mail/ kim@example.org\n"
Row = tuple[Any, ...]


def sha(name: str) -> str:
    return (name * 40).encode().hex()[:40]


def at(minute: int) -> str:
    return f"2026-09-01T{9 + minute // 60:02}:{minute % 60:02}:00Z"


def merged(
    *, number: int = 7, minute: int = 60, commit: str = "c2", head: str = "head", **more: Any
) -> Event:
    """A pull request of ann that merged at a minute."""
    pull = PullRequest(
        number=number,
        author=Identity(login="ann"),
        head=sha(head),
        base="main",
        url=more.pop("url", f"https://github.com/acme/infra/pull/{number}"),
        updated_at=at(minute),
    )
    return PullRequestMerged(
        repository="infra",
        forge=FORGE,
        pull_request=pull,
        merge_commit=sha(commit),
        merged_at=at(minute),
        merged_by=Identity(login="mona"),
        **more,
    )


def reviewed(reviewer: str, minute: int = 30, state: str = "approved", **more: Any) -> Event:
    values = {"commit": sha("head"), "review": f"{reviewer}/{minute}", "number": 7, **more}
    return ReviewSubmitted(
        repository="infra",
        forge=FORGE,
        reviewer=Identity(login=reviewer),
        state=state,
        submitted_at=at(minute),
        **values,
    )


def ruled(minute: int, ruleset: str = "branch protection", **more: Any) -> Event:
    values = {"branch": "main", **more}
    return RulesObserved(repository="infra", forge=FORGE, ruleset=ruleset, at=at(minute), **values)


def team(minute: int, *logins: str, name: str = "acme/platform") -> Event:
    members = [Identity(login=one) for one in logins]
    return TeamObserved(forge="github.com", team=name, members=members, at=at(minute))


def compared(reviewed_at: str, tree: str = "t", head_tree: str = "t", **more: Any) -> Event:
    return HeadCompared(
        repository="infra",
        number=7,
        reviewed=sha(reviewed_at),
        head=sha("head"),
        base=sha("c1"),
        tree=tree and sha(tree),
        head_tree=sha(head_tree),
        **more,
    )


def without_base(reviewed_at: str, **more: Any) -> Event:
    made: Event = msgspec.structs.replace(compared(reviewed_at, tree="", **more), base="")
    return made


def commit(
    name: str,
    *parents: str,
    files: dict[str, bytes | str] | None = None,
    trailers: Sequence[tuple[str, str]] = (),
) -> Event:
    """A commit of somebody of whom no login is known, with files: their content, or why none is kept."""
    someone = Identity(name="Somebody", email=f"somebody-{name}@example.org")
    changes = []
    for path, told in (files or {}).items():
        side = (
            FileSide(mode="100644", id=sha(path), digest=digest_text(pack(told).digest))
            if isinstance(told, bytes)
            else FileSide(mode="100644", id=sha(path), content=told)
        )
        changes.append(FileChange(path=path, after=side))
    return CommitObserved(
        repository="infra",
        commit=sha(name),
        tree=sha(f"tree of {name}"),
        parents=[sha(one) for one in parents],
        author=someone,
        committer=someone,
        message=name,
        object_digest=f"sha256:{sha(name)}",
        files=changes,
        trailers=[Trailer(key=key, value=value) for key, value in trailers],
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


def landed(
    paths: dict[str, bytes | str] | None = None, owners: bytes | str = OWNERS, **more: Any
) -> list[Event]:
    """A branch with CODEOWNERS, on which the pull request lands with some files as its second step."""
    return [
        commit("c1", files={".github/CODEOWNERS": owners}),
        revision(1, "c1"),
        commit("c2", "c1", files=paths or {"app.yaml": b"a"}, **more),
        revision(2, "c2", "c1"),
        PullRequestMatched(
            repository="infra", commit=sha("c2"), number=7, method="merge_tree", head=sha("head")
        ),
    ]


def tell(ledger: Ledger, *facts: Event, one_by_one: bool = False) -> int:
    """Appends facts and follows them; gives how many were new."""
    events = [
        NewEvent(
            stream="repository/infra",
            key=f"{one.TYPE}/{_key(one)}",
            source="made up",
            actor=Identity(login="ann"),
            data=one,
        )
        for one in facts
    ]
    new = 0
    with ledger.store() as store:
        projector = Projector(
            store, registry.projections(), Documents(registry.parsers, store.content)
        )
        for batch in [[one] for one in events] if one_by_one else [events]:
            recorded = store.append(
                batch, source="made up", recorded_at=ledger.now, kept=[pack(one) for one in KEPT]
            )
            projector.catch_up(recorded)
            new += len(recorded)
        assert projector.failures == []
    return new


KEPT = [OWNERS, b"a", b"[Ops][2] @acme/platform\n*\n", b"/x @y\n", b"* @@maintainer\n"]


def _key(one: Event) -> str:
    if isinstance(one, CommitObserved | RevisionObserved):
        return one.commit
    return repr(one)[:900]


@pytest.fixture
def ledger(tmp_path: Any, database_url: str) -> Ledger:
    """An empty ledger on both databases."""
    return make_ledger(tmp_path / "ledger", database=database_url)


@pytest.fixture
def quick(tmp_path: Any) -> Ledger:
    """An empty ledger."""
    return make_ledger(tmp_path / "ledger")


def shown(ledger: Ledger, columns: str = "approval, refusal", number: int = 7) -> Row:
    [row] = ledger.rows(f"select {columns} from pull_requests where number = ?", number)
    return row


# -- rules in force then -----------------------------------------------------------------------------


def test_rules_are_spans_from_when_they_were_seen(ledger: Ledger) -> None:
    tell(
        ledger,
        ruled(10, approvals_required=1),
        ruled(30, approvals_required=2, checks_required=["b", "a"]),
        ruled(20, approvals_required=1),
        ruled(50, found=False),
        ruled(15, "rulesets", approvals_required=3, enforced=False),
    )
    sql = (
        "select ruleset, in_force, approvals_required, code_owners_required, checks_required, valid_from, "
        "last_seen_at, valid_until from rules_in_force order by ruleset, valid_from"
    )
    assert ledger.rows(sql) == [
        ("branch protection", 1, 1, None, "", at(10), at(20), at(30)),
        ("branch protection", 1, 2, None, "a\nb", at(30), at(30), at(50)),
        ("branch protection", 0, None, None, "", at(50), at(50), None),
        ("rulesets", 0, 3, None, "", at(15), at(15), None),
    ]


UNSEEN = "not known: the rules for main were"
NONE = "none that demand an approval"


def one(minute: int = 10, **more: Any) -> Event:
    return ruled(minute, approvals_required=1, **more)


def two(minute: int = 10, **more: Any) -> Event:
    return ruled(minute, approvals_required=2, **more)


@pytest.mark.parametrize(
    ("looks", "verdict", "told"),
    [
        ([], "approved", f"{UNSEEN} never seen"),
        ([two(61)], "approved", f"{UNSEEN} first seen at {at(61)}"),
        ([two()], "unapproved", "2 approvals"),
        ([two(), ruled(61, found=False)], "unapproved", "2 approvals"),
        ([two(), ruled(59, found=False)], "approved", NONE),
        ([two(enforced=False)], "approved", NONE),
        ([one(), two(ruleset="1")], "unapproved", "2 approvals"),
        ([two(branch="other")], "approved", f"{UNSEEN} never seen"),
        ([two(branch="ma*")], "unapproved", "2 approvals"),
        ([two(branch="**"), one()], "approved", "1 approval"),
        ([two(branch="**"), one(), ruled(59, found=False)], "unapproved", "2 approvals"),
    ],
)
def test_what_the_rules_demanded_at_the_merge_decides(
    quick: Ledger, looks: list[Event], verdict: str, told: str
) -> None:
    tell(quick, merged(), reviewed("bob"), *looks)
    assert shown(quick, "approval, rules") == (verdict, told)
    if verdict == "unapproved":
        assert shown(quick, "refusal, reason, approvers, approved_at") == (
            "too_few",
            "approved by bob, but the rules demand 2 approvals by anybody else, and 1 counts",
            "bob",
            None,
        )
    tell(quick, reviewed("carol", 40))
    assert shown(quick, "approval, refusal") == ("approved", "")


def test_of_giteas_patterns_one_alone_holds(quick: Ledger) -> None:
    tell(
        quick,
        merged(url="https://gitea.example/acme/infra/pulls/7"),
        reviewed("bob"),
        ruled(10, branch="*", approvals_required=3, priority=2),
        ruled(11, branch="**", approvals_required=2, priority=1),
    )
    assert shown(quick, "rules") == ("2 approvals",)
    tell(quick, ruled(12, branch="main", approvals_required=1))
    assert shown(quick, "approval, rules") == ("approved", "1 approval")


def test_approvals_of_those_whom_a_rule_names_are_counted_apart(quick: Ledger) -> None:
    named = ruled(10, "rule Security", approvals_required=1, approvers=["carol", "team:acme/sec"])
    tell(quick, merged(), reviewed("bob"), named)
    assert shown(quick) == ("unknown", "unknown_approver")
    tell(quick, team(20, "dave", name="acme/sec"))
    assert shown(quick) == ("unapproved", "not_approver")
    tell(quick, reviewed("DAVE", 50))
    assert shown(quick, "approval, approved_at") == ("approved", at(50))


def test_who_pushed_last_must_be_known_where_another_has_to_approve_it(quick: Ledger) -> None:
    tell(quick, merged(commits=3), reviewed("bob"), ruled(10, last_push_approval=True))
    assert shown(quick) == ("unknown", "unknown_push")
    tell(quick, reviewed("carol", 40))
    assert shown(quick) == ("approved", "")


# -- code owners -------------------------------------------------------------------------------------

CODE_OWNERS = ruled(10, code_owners_required=True)


def test_an_owner_of_every_changed_file_must_approve(ledger: Ledger) -> None:
    facts = landed({"docs/a": b"a", "app.yaml": b"a", "free/x": b"a"})
    tell(ledger, merged(), *facts, CODE_OWNERS, team(5, "carol"), reviewed("bob"))
    assert shown(ledger, "approval, refusal, rules") == (
        "unapproved",
        "not_code_owner",
        "code owners",
    )
    assert ledger.rows("select counts, reason from reviews") == [
        (0, "not_code_owner: a code owner of app.yaml (@acme/platform) must approve")
    ]
    tell(ledger, reviewed("carol", 40))
    assert shown(ledger) == ("unapproved", "not_code_owner")
    assert "a code owner of docs/a (@erin)" in shown(ledger, "reason")[0]
    tell(ledger, reviewed("Erin", 50))
    assert shown(ledger, "approval, approved_at, approvers") == (
        "approved", at(50), "bob, carol, Erin",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("looks", "wanted"),
    [
        ([], ("unknown", "unknown_approver")),
        ([team(61, "bob")], ("unknown", "unknown_approver")),
        ([team(5, "bob")], ("approved", "")),
        ([team(5, "bob"), team(50, "carol")], ("unapproved", "not_code_owner")),
        ([team(5, "carol"), team(50, "BOB")], ("approved", "")),
    ],
)
def test_a_team_has_the_members_that_it_had_then(
    quick: Ledger, looks: list[Event], wanted: Row
) -> None:
    tell(quick, merged(), *landed(), CODE_OWNERS, reviewed("bob"), *looks)
    assert shown(quick) == wanted
    if not looks:
        assert shown(quick, "reason") == (
            "approved by bob, but it must be by a code owner of app.yaml (@acme/platform), "
            "and who @acme/platform is was not known then",
        )


def test_an_address_that_nobody_is_known_by_is_nobodys(quick: Ledger) -> None:
    tell(quick, merged(), *landed({"mail/x": b"a"}), CODE_OWNERS, reviewed("kim"))
    assert shown(quick) == ("unknown", "unknown_approver")
    joined = [Identity(login="github.com/kim"), Identity(email="kim@example.org")]
    tell(quick, PersonMapped(person="Kim", identities=joined))
    known = [Identity(login="kim", email="kim@example.org")]
    tell(quick, TeamObserved(forge="github.com", team="acme/x", members=known, at=at(1)))
    assert shown(quick) == ("approved", "")


def test_what_nobody_owns_demands_nothing(quick: Ledger) -> None:
    tell(quick, merged(), *landed({"free/x": b"a"}), CODE_OWNERS, reviewed("bob"))
    assert shown(quick) == ("approved", "")


def test_the_file_of_the_base_counts_and_not_that_of_the_change(quick: Ledger) -> None:
    tell(quick, merged(), CODE_OWNERS, team(5, "carol"), reviewed("bob"))
    tell(quick, *landed({".github/CODEOWNERS": b"/x @y\n", "app.yaml": b"a"}))
    assert shown(quick) == ("unapproved", "not_code_owner")


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ([], "the commit that it merged as is on no branch that is read"),
        (landed(owners="binary"), ".github/CODEOWNERS of the commit below it is not kept (binary)"),
    ],
)
def test_where_owners_are_not_known_it_is_said(quick: Ledger, facts: list[Event], why: str) -> None:
    tell(quick, merged(), CODE_OWNERS, reviewed("bob"), *facts)
    assert shown(quick, "approval, reason") == (
        "unknown", f"approved by bob, but it must be by its code owners, and {why}",
    )  # fmt: skip


def test_gitlab_counts_by_section(quick: Ledger) -> None:
    url = "https://gitlab.example/acme/infra/-/merge_requests/7"
    facts = landed()
    owners = commit("c1", files={"CODEOWNERS": b"[Ops][2] @acme/platform\n*\n"})
    tell(quick, merged(url=url), owners, *facts[1:], CODE_OWNERS, team(5, "bob", "carol"))
    tell(quick, reviewed("bob"))
    assert shown(quick, "approval, reason") == (
        "unapproved",
        "approved by bob, but the rules demand 2 approvals by a code owner of app.yaml in Ops "
        "(@acme/platform), and 1 counts",
    )
    tell(quick, reviewed("carol"))
    assert shown(quick) == ("approved", "")


# -- equal heads -------------------------------------------------------------------------------------


def test_an_approval_counts_at_a_head_whose_merge_into_the_base_is_what_merged(
    ledger: Ledger,
) -> None:
    tell(ledger, merged(), reviewed("bob", commit=sha("old")))
    assert shown(ledger) == ("unapproved", "stale")
    tell(ledger, compared("old"))
    assert shown(ledger, "approval, reason") == (
        "approved",
        "approved by bob at a head that, merged into the base, gives the very tree that merged",
    )
    assert ledger.rows("select counts, reason from reviews") == [
        (1, f"given at {sha('old')[:12]}; merging it into the base gives the very tree that merged")
    ]


@pytest.mark.parametrize(
    ("comparison", "why"),
    [
        (compared("old", tree="other"), "merging what was approved into the base gives another tree"),
        (compared("old", tree=""), "merging what was approved into the base conflicts"),
        (compared("old", tree="", missing=sha("old")), f"{sha('old')[:12]} is not to be had to compare them"),
        (without_base("old", missing="base"), "merged; it is not known where its head left the branch, to"),
        (without_base("old"), "merged; its head left the branch in several places: they are not"),
        (compared("else"), ""),
    ],
)  # fmt: skip
def test_else_it_is_stale_and_says_why(quick: Ledger, comparison: Event, why: str) -> None:
    tell(quick, comparison, merged(), reviewed("bob", commit=sha("old")))
    assert shown(quick) == ("unapproved", "stale")
    assert why in shown(quick, "reason")[0]


def test_a_carried_vote_counts_where_the_content_is_proved_to_be_the_same(quick: Ledger) -> None:
    tell(quick, merged(), reviewed("bob", 20, commit=sha("old")), reviewed("bob", 30, carried=True))
    assert shown(quick) == ("unapproved", "carried")
    tell(quick, compared("old"))
    assert shown(quick) == ("approved", "")


def test_a_clean_update_from_the_base_makes_nobody_a_contributor(quick: Ledger) -> None:
    update = PullRequestPushed(
        repository="infra",
        forge=FORGE,
        pull_request=PullRequest(number=7, head=sha("head"), updated_at=at(50)),
        before=sha("old"),
        after=sha("head"),
        at=at(50),
    )
    bob = ProposedCommit(commit=sha("head"), author=Identity(login="bob"))
    listed = PullRequestListed(
        repository="infra", forge=FORGE, number=7, head=sha("head"), commits=[bob]
    )
    tell(quick, merged(), update, listed, reviewed("bob", commit=sha("old")))
    tell(quick, compared("old"))
    assert shown(quick) == ("unapproved", "contributor")
    tell(quick, commit("c1"), revision(1, "c1"), commit("old", "c1"), commit("head", "old", "c1"))
    tell(quick, head_seen())
    assert shown(quick) == ("approved", "")


def head_seen() -> Event:
    """The ref of the pull request's head is seen, after its commits."""
    return RefMoved(
        repository="infra", ref="refs/pull/7/head", kind="created", sequence=1, new=sha("head")
    )


# -- who had a hand in it ----------------------------------------------------------------------------


def test_whoever_is_named_as_a_co_author_needs_another(quick: Ledger) -> None:
    trailer = [("Co-authored-by", "Bob <7+bob@users.noreply.github.com>")]
    tell(quick, merged(), *landed(trailers=trailer), reviewed("bob"))
    assert shown(quick) == ("unapproved", "co_author")
    tell(quick, reviewed("carol", 40))
    assert shown(quick, "approval, approved_at") == ("approved", at(40))


def test_a_co_author_of_whom_no_login_is_known_is_a_doubt_that_is_named(quick: Ledger) -> None:
    tell(
        quick,
        merged(),
        *landed(trailers=[("Co-authored-by", "X <x@example.org>")]),
        reviewed("bob"),
    )
    assert shown(quick, "approval, reason") == (
        "approved",
        "approved by bob at the head that merged; no login is known of x@example.org, who had a hand in it",
    )


def test_an_author_known_by_an_address_alone_is_a_doubt_and_one_not_known_a_refusal(
    quick: Ledger,
) -> None:
    def listed(who: Identity | None) -> Event:
        one = ProposedCommit(commit=sha("part"), author=who)
        return PullRequestListed(
            repository="infra", forge=FORGE, number=7, head=sha("head"), commits=[one]
        )

    tell(quick, merged(), reviewed("bob"), listed(Identity(name="X", email="x@example.org")))
    assert "no login is known of x@example.org" in shown(quick, "reason")[0]
    assert shown(quick) == ("approved", "")
    tell(quick, listed(None))
    assert shown(quick) == ("unapproved", "contributor")


def test_a_joining_that_comes_later_judges_what_leans_on_it_again(quick: Ledger) -> None:
    tell(quick, merged(), *landed(trailers=[("Co-authored-by", "B <b@example.org>")]))
    tell(quick, reviewed("bob"), merged(number=8, commit="c3"))
    assert shown(quick) == ("approved", "")
    # The forge itself ties the address to the login.
    told = Identity(login="bob", email="b@example.org")
    tell(quick, TeamObserved(forge="github.com", team="acme/x", members=[told], at=at(1)))
    assert shown(quick) == ("unapproved", "co_author")


def test_two_accounts_of_one_person_approve_nothing_for_each_other(quick: Ledger) -> None:
    tell(quick, merged(), reviewed("ann-admin"))
    assert shown(quick) == ("approved", "")
    both = [Identity(login="github.com/ann"), Identity(login="github.com/ann-admin")]
    tell(quick, PersonMapped(person="Ann", identities=both))
    assert shown(quick, "approval, refusal, reason") == (
        "unapproved",
        "self",
        "no approval counts: ann-admin (self: the author's own, who is ann too)",
    )


# -- what is told in passing -------------------------------------------------------------------------


def test_a_review_told_without_an_id_gives_way_to_the_list_that_has_it(ledger: Ledger) -> None:
    tell(
        ledger,
        merged(),
        reviewed("bob", 30, review="made up", provisional=True, commit_deduced=True),
    )
    assert shown(ledger, "approval, reason") == (
        "approved",
        "approved by bob at the head that merged; which head was approved is deduced from the time",
    )
    listing = ReviewsListed(
        repository="infra", forge=FORGE, number=7, at=at(55), reviews=[ListedReview(review="9")]
    )
    tell(ledger, listing, reviewed("bob", 30, review="9", commit=sha("old")))
    assert shown(ledger) == ("unapproved", "stale")
    assert ledger.rows("select review, deduced from reviews") == [("9", 0)]


@pytest.mark.parametrize(
    ("by", "state", "submitted_at", "is_that"),
    [
        ("bob", "approved", "2026-09-01T09:31:00Z", True),
        ("bob", "approved", "2026-09-01T09:29:00Z", True),
        ("bob", "approved", "2026-09-01T09:31:01Z", False),
        ("bob", "approved", "2026-09-01T09:28:59Z", False),
        ("dave", "approved", "2026-09-01T09:30:00Z", False),
        ("bob", "commented", "2026-09-01T09:30:00Z", False),
    ],
)
def test_a_review_told_without_an_id_is_the_one_with_an_id_that_said_the_same_in_that_minute(
    quick: Ledger, by: str, state: str, submitted_at: str, is_that: bool
) -> None:
    passing = reviewed("bob", 30, review="passing", provisional=True)
    named = reviewed(by, 30, state, review="9")
    tell(quick, merged(), passing, msgspec.structs.replace(named, submitted_at=submitted_at))
    reviews = quick.rows("select review from reviews order by review")
    assert reviews == ([("9",)] if is_that else [("9",), ("passing",)])


def test_reviews_told_without_an_id_do_not_give_way_to_each_other(quick: Ledger) -> None:
    two = [reviewed("bob", 30, review=name, provisional=True) for name in ("x", "y")]
    tell(quick, merged(), *two)
    assert quick.rows("select count(*) from reviews") == [(2,)]


def test_a_head_that_is_cut_short_is_the_same_head(quick: Ledger) -> None:
    tell(quick, merged(), reviewed("bob", commit=sha("head")[:12]))
    assert shown(quick) == ("approved", "")
    tell(quick, reviewed("bob", 40, commit=sha("head")[:11]))
    assert shown(quick) == ("unapproved", "stale")


# -- checks ------------------------------------------------------------------------------------------


def checked(name: str, minute: int, conclusion: str, **more: Any) -> Event:
    return CheckCompleted(
        repository="infra",
        forge=FORGE,
        commit=more.pop("commit", sha("head")),
        name=name,
        conclusion=conclusion,
        app="ci",
        completed_at=at(minute),
        **more,
    )


def test_the_latest_run_of_a_check_is_shown_with_what_held_at_the_merge(ledger: Ledger) -> None:
    tell(
        ledger,
        merged(),
        checked("test", 20, "failure", check="1"),
        checked("test", 50, "success", check="2", url="https://x/2"),
        checked("test", 70, "failure", check="3"),
        checked("late", 70, "success"),
        checked("else", 10, "success", commit=sha("else")),
    )
    sql = (
        "select name, conclusion, completed_at, pull_request, conclusion_at_merge, runs, run from checks "
        "order by name"
    )
    assert ledger.rows(sql) == [
        ("else", "success", at(10), None, None, 1, at(10)),
        ("late", "success", at(70), 7, None, 1, at(70)),
        ("test", "failure", at(70), 7, "success", 3, "3"),
    ]


# -- the order of events makes no difference ---------------------------------------------------------

GIT = landed({"docs/a": b"a"})
TOLD: list[Event] = [
    merged(),
    reviewed("bob", 20, commit=sha("old")),
    reviewed("erin", 25, commit=sha("old")),
    reviewed("carol", 61, "changes_requested"),
    ReviewDismissed(
        repository="infra", forge=FORGE, number=7, review="erin/25", commit=sha("old"), at=at(70)
    ),
    ruled(10, code_owners_required=True),
    ruled(12, "1", approvals_required=2),
    ruled(62, "1", approvals_required=9),
    team(5, "bob"),
    team(61, "nobody"),
    compared("old"),
    reviewed("hal", 26, commit=sha("else")),
    compared("else", tree="", missing=sha("head")),
    compared("else", tree="", missing=sha("else")),
    compared("else", tree=""),
    PersonMapped(person="B", identities=[Identity(login="github.com/bob"), Identity(login="github.com/eve")]),
    checked("test", 20, "failure", check="1"),
    checked("test", 20, "success", check="1"),
    reviewed("dave", 30, provisional=True, review="x"),
    ReviewsListed(repository="infra", forge=FORGE, number=7, at=at(31), reviews=[]),
]  # fmt: skip
PROJECTIONS = (approvals, checks, code_owners, reviews, rules)


def tables(ledger: Ledger) -> dict[str, list[Row]]:
    """All rows, without what depends on arrival."""
    found = {}
    with ledger.store() as store:
        for table in [table for one in PROJECTIONS for table in one.PROJECTION.tables]:
            columns = [
                one for one in table.columns if one not in ("evidence_position", "recorded_at")
            ]
            rows = store.connection.rows(f"select {', '.join(columns)} from {table.name}")
            found[table.name] = sorted(rows)
    return found


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), one_by_one=st.booleans())
def test_no_order_and_no_repetition_makes_a_difference(
    tmp_path_factory: pytest.TempPathFactory, seed: int, one_by_one: bool
) -> None:
    rng = random.Random(seed)  # noqa: S311
    told = TOLD + rng.sample(TOLD, 5)
    rng.shuffle(told)
    places = sorted(rng.randint(0, len(GIT)) for _ in told)
    mixed: list[Event] = []
    done = 0
    for place, one in zip(places, told, strict=True):
        mixed += [*GIT[done:place], one]
        done = place
    first, other = (make_ledger(tmp_path_factory.mktemp("order")) for _ in range(2))
    tell(first, *GIT, *TOLD)
    tell(other, *mixed, *GIT[done:], one_by_one=one_by_one)
    assert tables(first) == tables(other)
    other.rebuild()
    assert tables(first) == tables(other)
    assert shown(first) == ("approved", "")


def test_what_could_be_compared_later_is_told_instead_of_what_was_missing(quick: Ledger) -> None:
    missing, known = compared("else", tree="", missing=sha("else")), compared("else", tree="")
    tell(quick, merged(), reviewed("hal", commit=sha("else")), missing)
    assert "is not to be had" in shown(quick, "reason")[0]
    tell(quick, known)
    assert "conflicts" in shown(quick, "reason")[0]


def test_what_was_taken_back_after_the_merge_is_judged_again(ledger: Ledger) -> None:
    tell(ledger, *GIT, *TOLD)
    with ledger.store() as store:
        rows = store.connection.rows(
            "select judged_at, verdict, reason from model_later_approval order by judged_at"
        )
    assert rows == [
        (at(61), "unapproved", f"changes that carol requested stood at {at(61)}"),
        (at(70), "unapproved", f"changes that carol requested stood at {at(70)}"),
    ]
    tell(ledger, reviewed("carol", 65), reviewed("erin", 80))
    with ledger.store() as store:
        rows = store.connection.rows(
            "select judged_at, verdict from model_later_approval order by judged_at"
        )
    assert rows == [(at(61), "unapproved"), (at(65), "approved"), (at(70), "unapproved")]
