"""Whether a pull request was approved: every reason for a no, and what can never make a yes."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.approval import (
    APPROVED,
    NOT_CODE_OWNER,
    TOO_FEW,
    UNAPPROVED,
    UNKNOWN,
    Approver,
    Comparison,
    Proposal,
    Quota,
    Review,
    Rules,
    judge,
    person,
    same_commit,
)

OLD, HEAD = "a" * 40, "b" * 40
MERGED_AT = "2026-09-01T10:00:00Z"
NOT_SHOWN = "no_write_access: nothing shows that they can write; the forge calls them"
PULL = Proposal(author="ann", head=HEAD, merged_at=MERGED_AT)
_ids = count(1)


def at(minute: int) -> str:
    """A time in the hour before the merge; 60 is the merge's own second, more is after it."""
    return f"2026-09-01T{9 + minute // 60:02}:{minute % 60:02}:00Z"


def review(reviewer: str = "bob", state: str = "approved", minute: int = 30, **more: Any) -> Review:
    values = {"commit": HEAD, "submitted_at": at(minute), **more}
    return Review(review=str(next(_ids)), reviewer=reviewer, state=state, **values)


def words(pull: Proposal, *reviews: Review) -> list[str]:
    """The word of each review's ruling, empty where it counts, in the order of `reviews`."""
    rulings = {one.review: one for one in judge(pull, reviews).rulings}
    return ["" if rulings[one].counts else rulings[one].reason.partition(":")[0] for one in reviews]


def verdict(pull: Proposal, *reviews: Review) -> tuple[str, str]:
    judged = judge(pull, reviews)
    return judged.verdict, judged.reason


# -- yes -----------------------------------------------------------------------------------------


def test_another_persons_approval_at_the_head_that_merged_approves() -> None:
    judged = judge(PULL, [review("bob", minute=30)])
    assert (judged.verdict, judged.approved_at) == (APPROVED, at(30))
    assert judged.reason == "approved by bob at the head that merged"
    assert judged.approvers == (Approver("bob", at(30)),)


def test_the_second_of_the_merge_counts_as_before_it() -> None:
    assert verdict(PULL, review(minute=60))[0] == APPROVED
    assert words(PULL, review(minute=61)) == ["after_merge"]


def test_a_later_comment_does_not_cancel_an_approval() -> None:
    assert words(PULL, review(minute=10), review(state="commented", minute=20)) == ["", "comment"]
    assert verdict(PULL, review(minute=10), review(state="commented", minute=20))[0] == APPROVED


def test_a_change_of_mind_is_the_last_word() -> None:
    no, yes = review(state="changes_requested", minute=10), review(minute=20)
    assert verdict(PULL, no, yes)[0] == APPROVED
    assert words(PULL, no, yes) == ["changes_requested", ""]
    yes, no = review(minute=10), review(state="changes_requested", minute=20)
    assert verdict(PULL, no, yes)[0] == UNAPPROVED
    assert words(PULL, yes, no) == ["superseded", "changes_requested"]


def test_an_approval_given_again_at_the_new_head_counts_from_then() -> None:
    judged = judge(PULL, [review(commit=OLD, minute=10), review(minute=20)])
    assert (judged.verdict, judged.approved_at) == (APPROVED, at(20))
    assert judged.approvers == (Approver("bob", at(20)),)


def test_one_of_several_approvals_is_enough_and_the_first_tells_since_when() -> None:
    reviews = [review("carol", minute=20), review("bob", minute=10), review("ann", minute=5)]
    judged = judge(PULL, reviews)
    assert (judged.verdict, judged.approved_at) == (APPROVED, at(10))
    assert [one.login for one in judged.approvers] == ["bob", "carol"]
    assert judged.reason == "approved by bob and carol at the head that merged"


def test_two_who_pushed_approve_for_each_other_from_the_second_on() -> None:
    pull = replace(PULL, contributors=frozenset({"ann", "bob", "carol"}))
    judged = judge(pull, [review("bob", minute=10), review("carol", minute=20)])
    assert (judged.verdict, judged.approved_at) == (APPROVED, at(20))


def test_a_persons_approval_covers_a_bots_work() -> None:
    pull = replace(PULL, author="renovate[bot]", contributors=frozenset({"renovate[bot]"}))
    assert verdict(pull, review("bob"))[0] == APPROVED


def test_a_dismissal_after_the_merge_takes_nothing_back() -> None:
    late = review(dismissed=True, dismissed_at=at(61))
    assert verdict(PULL, late)[0] == APPROVED


@pytest.mark.parametrize("association", ["", "OWNER", "MEMBER", "COLLABORATOR", "Member"])
def test_whoever_may_write_or_is_not_told_of_approves_and_blocks(association: str) -> None:
    assert verdict(PULL, review(association=association))[0] == APPROVED
    no = review("carol", "changes_requested", association=association)
    assert verdict(PULL, review(), no)[0] == UNAPPROVED


def test_whoever_merged_it_can_write_whatever_the_forge_calls_them() -> None:
    merged = replace(PULL, merged_by="Bob")
    assert verdict(merged, review("bob", association="CONTRIBUTOR"))[0] == APPROVED
    no = review("bob", "changes_requested", association="CONTRIBUTOR")
    assert verdict(merged, review("carol"), no)[0] == UNAPPROVED
    unknown = replace(PULL, merged_by="")
    assert words(unknown, review("", association="NONE")) == ["unknown_reviewer"]


def test_commits_whose_people_are_told_leave_no_doubt_about_who_pushed() -> None:
    many = replace(PULL, commits=3, contributors=frozenset({"ann"}))
    assert "is not all told" in verdict(many, review())[1]
    assert "is not all told" not in verdict(replace(many, listed=3), review())[1]
    assert "is not all told" in verdict(replace(many, listed=2), review())[1]


def test_an_approval_that_the_forge_carried_to_another_head_does_not_count() -> None:
    assert words(PULL, review(carried=True)) == ["carried"]
    assert verdict(PULL, review(carried=True))[0] == UNAPPROVED


@pytest.mark.parametrize("association", ["NONE", "none", "CONTRIBUTOR", "FIRST_TIMER", " "])
def test_whoever_has_no_write_access_neither_approves_nor_blocks(association: str) -> None:
    yes, no = review(minute=10), review("carol", "changes_requested", association=association)
    assert verdict(PULL, yes, no)[0] == APPROVED
    assert words(PULL, yes, no) == ["", "no_write_access"]
    assert words(PULL, review(association=association)) == ["no_write_access"]
    # Nor does it take the place of what the same person said while it counted.
    stands = review("carol", "changes_requested", minute=5)
    later = review("carol", minute=20, association=association)
    assert verdict(PULL, yes, stands, later)[0] == UNAPPROVED


@pytest.mark.parametrize(
    ("commits", "pushes", "doubted"),
    [(0, 0, False), (1, 0, False), (2, 0, True), (2, 1, False), (5, 3, True), (5, 4, False)],
)
def test_a_lone_approval_names_the_doubt_where_pushes_do_not_cover_the_commits(
    commits: int, pushes: int, doubted: bool
) -> None:
    pull = replace(PULL, commits=commits, pushes=pushes)
    doubt = f"; who pushed its {commits} commits is not all told" if doubted else ""
    assert verdict(pull, review()) == (
        APPROVED,
        f"approved by bob at the head that merged{doubt}",
    )
    # Each of two approves for the other, whoever pushed.
    assert verdict(pull, review(), review("carol", minute=31))[1] == (
        "approved by bob and carol at the head that merged"
    )


# -- no, each with its own reason ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        (review("ann"), "self: the author's own"),
        (review("ANN"), "self: the author's own"),
        (
            review("Eve"),
            "contributor: given by somebody who pushed to it, and nobody else approved",
        ),
        (review(commit=OLD), f"stale: given at {OLD[:12]}, but {HEAD[:12]} merged"),
        (review(dismissed=True, dismissed_at=at(40)), f"dismissed: {at(40)}"),
        (review(dismissed=True, dismissed_at=at(60)), f"dismissed: {at(60)}"),
        (review(dismissed=True), "dismissed: the forge does not tell when"),
        (
            review(state="dismissed", dismissed=True, dismissed_at=at(61)),
            "dismissed: what it said before is not told",
        ),
        (review(state="commented"), "comment: it says neither yes nor no"),
        (review(state="pending"), "comment: it says neither yes nor no"),
        (review(is_bot=True), "bot: bots do not approve"),
        (review("Acme-Approve[bot]"), "bot: bots do not approve"),
        (review(minute=61), "after_merge: given after the merge"),
        (review(""), "unknown_reviewer: the forge does not tell who gave it"),
        (review("bob, carol"), "unknown_reviewer: the forge does not tell who gave it"),
        (review("b" * 300), "unknown_reviewer: the forge does not tell who gave it"),
        (review(submitted_at=""), "undated: the forge does not tell when it was given"),
        (review(commit=""), "unknown_head: the forge does not tell at which head it was given"),
        (review(state="changes_requested"), "changes_requested: it stands"),
        (review(association="NONE"), f"{NOT_SHOWN} NONE"),
        (review(association="x" * 99), f"{NOT_SHOWN} {'x' * 32}"),
        (
            review(commit=OLD, association="NONE"),
            f"stale: given at {OLD[:12]}, but {HEAD[:12]} merged",
        ),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_every_no_has_its_one_reason(given_: Review, reason: str) -> None:
    pull = replace(PULL, contributors=frozenset({"eve"}))
    judged = judge(pull, [given_])
    assert (judged.verdict, judged.approvers, judged.approved_at) == (UNAPPROVED, (), "")
    [ruling] = judged.rulings
    assert (ruling.counts, ruling.reason) == (False, reason)


def test_the_verdict_says_whose_approval_failed_and_why() -> None:
    reviews = [review("bob", commit=OLD, minute=10), review("ann", minute=20)]
    assert verdict(PULL, *reviews) == (
        UNAPPROVED,
        f"no approval counts: ann (self: the author's own), "
        f"bob (stale: given at {OLD[:12]}, but {HEAD[:12]} merged)",
    )
    assert verdict(PULL) == (UNAPPROVED, "its forge tells of no approval")
    assert verdict(PULL, review(state="commented")) == (
        UNAPPROVED,
        "its forge tells of no approval",
    )


def test_a_request_for_changes_of_anybody_that_stands_blocks_every_approval() -> None:
    for who in ("carol", "", "scanner[bot]", "ann"):
        no = review(who, state="changes_requested", minute=5)
        said, reason = verdict(PULL, review("bob"), no)
        assert said == UNAPPROVED
        assert "requested stood at the merge" in reason
    assert verdict(PULL, review("bob"), review("carol", "changes_requested", 61))[0] == APPROVED
    gone = review("carol", "changes_requested", 5, dismissed=True, dismissed_at=at(7))
    assert verdict(PULL, review("bob"), gone)[0] == APPROVED
    late = review("carol", "changes_requested", 5, dismissed=True, dismissed_at=at(61))
    assert verdict(PULL, review("bob"), late)[0] == UNAPPROVED
    undated = review("bob", "changes_requested", submitted_at="")
    assert verdict(PULL, review("bob"), undated)[0] == UNAPPROVED


def test_a_dismissed_review_is_still_the_last_word_of_its_person() -> None:
    yes = review(minute=10)
    no = review(state="changes_requested", minute=20, dismissed=True, dismissed_at=at(30))
    assert words(PULL, yes, no) == ["superseded", "dismissed"]
    assert verdict(PULL, yes, no)[0] == UNAPPROVED


def test_of_two_reviews_in_one_second_the_stricter_is_the_later() -> None:
    yes, no = review(minute=10), review(state="changes_requested", minute=10)
    assert verdict(PULL, yes, no)[0] == verdict(PULL, no, yes)[0] == UNAPPROVED


def test_one_who_pushed_needs_another_and_then_counts_too() -> None:
    pull = replace(PULL, contributors=frozenset({"BOB"}))
    assert verdict(pull, review("bob"))[0] == UNAPPROVED
    judged = judge(pull, [review("bob", minute=10), review("carol", minute=20)])
    assert (judged.verdict, judged.approved_at) == (APPROVED, at(20))
    assert [one.login for one in judged.approvers] == ["bob", "carol"]


def test_the_author_and_one_who_pushed_are_not_two_others() -> None:
    pull = replace(PULL, contributors=frozenset({"bob"}))
    assert words(pull, review("ann"), review("bob")) == ["self", "contributor"]


def test_where_it_is_not_known_who_wrote_or_pushed_one_approval_may_be_their_own() -> None:
    for pull in (replace(PULL, author=""), replace(PULL, contributors=frozenset({""}))):
        said, reason = verdict(pull, review("bob"))
        assert said == UNAPPROVED
        assert "may be their own" in reason
        assert verdict(pull, review("bob"), review("carol"))[0] == APPROVED


def test_a_head_that_is_not_known_approves_nothing() -> None:
    assert words(replace(PULL, head=""), review("bob")) == ["unknown_head"]
    assert words(replace(PULL, head=""), review("bob", commit="")) == ["unknown_head"]


def test_what_is_not_merged_is_not_approved_but_says_who_stands_behind_it() -> None:
    pull = replace(PULL, merged_at="")
    assert verdict(pull) == (UNAPPROVED, "its forge tells of no merge")
    judged = judge(pull, [review("bob", minute=90)])
    assert judged.verdict == UNAPPROVED
    assert judged.reason == "its forge tells of no merge; its head now is approved by bob"
    assert [one.login for one in judged.approvers] == ["bob"]
    assert judged.approved_at == ""
    [ruling] = judge(pull, [review(commit=OLD)]).rulings
    assert ruling.reason == f"stale: given at {OLD[:12]}, but {HEAD[:12]} is its head now"


def test_only_what_no_forge_told_of_is_unknown() -> None:
    judged = judge(None, [])
    assert (judged.verdict, judged.reason) == (UNKNOWN, "nothing was told of it by its forge")
    judged = judge(None, [review("bob")])
    assert judged.verdict == UNKNOWN
    assert judged.reason == "its forge told reviews of it and nothing else"
    assert not judged.rulings[0].counts


def test_many_approvers_are_counted_and_not_all_named() -> None:
    judged = judge(PULL, [review(f"r{number}", minute=number) for number in range(5)])
    assert judged.reason == "approved by r0, r1 and 3 others at the head that merged"


@pytest.mark.parametrize("login", ["", " ", "a b", "a,b", "a\0b", "a\u202eb", "a\nb", "x" * 256])
def test_what_is_no_login_names_nobody(login: str) -> None:
    assert person(login) == ""


# -- whatever the reviews are ----------------------------------------------------------------------

# Mostly what counts, so that what must not count is tried beside it.
LOGINS = st.sampled_from(["bob", "BOB", "carol", "dave", "erin", "ann", "Ann", "ci[bot]", ""])
MINUTES = st.sampled_from([*(at(number * 10) for number in range(7)), at(61), ""])
REVIEWS = st.lists(
    st.builds(
        Review,
        review=st.integers(0, 10**9).map(str),
        reviewer=LOGINS,
        is_bot=st.sampled_from([False] * 5 + [True]),
        state=st.sampled_from(["approved", "approved", "changes_requested", "commented", "dismissed"]),
        commit=st.sampled_from([HEAD, HEAD, HEAD, OLD, ""]),
        submitted_at=MINUTES,
        dismissed=st.sampled_from([False, False, False, True]),
        dismissed_at=MINUTES,
        association=st.sampled_from(["", "", "MEMBER", "member", "NONE"]),
    ),
    max_size=7,
    unique_by=lambda one: one.review,
)  # fmt: skip
PULLS = st.builds(
    Proposal,
    author=st.sampled_from(["ann", "ANN", "bob", "ci[bot]", ""]),
    contributors=st.frozensets(st.sampled_from(["ann", "Bob", "carol", ""]), max_size=2),
    head=st.sampled_from([HEAD] * 5 + [""]),
    merged_at=st.sampled_from([MERGED_AT, MERGED_AT, ""]),
)


def outcome(pull: Proposal | None, reviews: list[Review]) -> tuple[Any, ...]:
    judged = judge(pull, reviews)
    return judged.verdict, judged.reason, judged.approvers, judged.approved_at


@given(PULLS, REVIEWS, st.randoms(use_true_random=False))
def test_the_order_of_reviews_never_matters(
    pull: Proposal, reviews: list[Review], rng: Any
) -> None:
    mixed = list(reviews)
    rng.shuffle(mixed)
    assert judge(pull, mixed) == judge(pull, reviews)


@given(PULLS, REVIEWS, LOGINS, MINUTES)
def test_a_comment_never_changes_a_verdict(
    pull: Proposal, reviews: list[Review], who: str, when: str
) -> None:
    comment = Review(
        review="comment", reviewer=who, state="commented", commit=HEAD, submitted_at=when
    )
    assert outcome(pull, [*reviews, comment]) == outcome(pull, reviews)


@given(PULLS, REVIEWS)
def test_the_case_of_logins_never_matters(pull: Proposal, reviews: list[Review]) -> None:
    upper = replace(
        pull,
        author=pull.author.upper(),
        contributors=frozenset(one.upper() for one in pull.contributors),
    )
    shouted = [replace(one, reviewer=one.reviewer.upper()) for one in reviews]
    one, other = judge(pull, reviews), judge(upper, shouted)
    assert (one.verdict, one.approved_at) == (other.verdict, other.approved_at)
    assert [ruling.reason for ruling in one.rulings] == [ruling.reason for ruling in other.rulings]


@given(PULLS, REVIEWS)
def test_nobody_ever_approves_their_own_work(pull: Proposal, reviews: list[Review]) -> None:
    judged = judge(pull, reviews)
    approvers = {one.login.casefold() for one in judged.approvers}
    assert pull.author.casefold() not in approvers
    if judged.verdict == APPROVED:
        for hand in {pull.author.casefold(), *(one.casefold() for one in pull.contributors)}:
            assert approvers - {hand}
            assert hand or len(approvers) > 1


@given(PULLS, REVIEWS)
def test_an_approval_stands_on_what_was_said_at_that_head_by_then(
    pull: Proposal, reviews: list[Review]
) -> None:
    judged = judge(pull, reviews)
    assert len(judged.rulings) == len(reviews)
    counted = {one.review.review for one in judged.rulings if one.counts}
    for one in reviews:
        if one.review in counted:
            assert (one.state, one.commit, one.is_bot) == ("approved", pull.head, False)
            assert one.submitted_at
            assert one.association != "NONE"
            assert not pull.merged_at or one.submitted_at <= pull.merged_at
            assert not one.dismissed or one.dismissed_at > pull.merged_at > ""
    if judged.verdict == APPROVED:
        assert judged.approved_at in {one.approved_at for one in judged.approvers}
        assert judged.approved_at <= pull.merged_at
        assert not any(one.reason == "changes_requested: it stands" for one in judged.rulings)
    else:
        assert judged.verdict == UNAPPROVED
        assert judged.approved_at == ""


@given(PULLS, REVIEWS)
def test_what_comes_after_the_merge_changes_no_verdict(
    pull: Proposal, reviews: list[Review]
) -> None:
    merged = replace(pull, merged_at=MERGED_AT)
    before = [one for one in reviews if one.submitted_at <= MERGED_AT]
    assert outcome(merged, reviews)[0::2] == outcome(merged, before)[0::2]


# -- what rules demand on top ----------------------------------------------------------------------

TWO = Quota(word=TOO_FEW, what="anybody else", count=2)


def owners(*logins: str, count: int = 1, unknown: str = "") -> Quota:
    people = frozenset(logins)
    return Quota(word=NOT_CODE_OWNER, what="an owner", count=count, people=people, unknown=unknown)


def ruled(pull: Proposal, rules: Rules, *reviews: Review) -> tuple[str, str, str]:
    judged = judge(pull, reviews, rules)
    return judged.verdict, judged.refusal, judged.approved_at


def test_an_approval_counts_from_when_the_last_demand_was_met() -> None:
    reviews = [review("bob", minute=10), review("carol", minute=20), review("dave", minute=30)]
    assert ruled(PULL, Rules(quotas=(TWO,)), *reviews) == (APPROVED, "", at(20))
    assert ruled(PULL, Rules(quotas=(TWO, owners("dave"))), *reviews) == (APPROVED, "", at(30))
    assert ruled(PULL, Rules(quotas=(TWO,)), *reviews[:1]) == (UNAPPROVED, TOO_FEW, "")


def test_whoever_owns_nothing_of_it_does_not_count_where_an_owner_is_missing() -> None:
    judged = judge(PULL, [review("bob"), review("carol")], Rules(quotas=(owners("erin"),)))
    assert [one.reason for one in judged.rulings] == ["not_code_owner: an owner must approve"] * 2
    assert (judged.verdict, judged.refusal, judged.approvers) == (UNAPPROVED, NOT_CODE_OWNER, ())
    # An owner of something else of it counts, and so does anybody where the owners have approved.
    some = Rules(quotas=(owners("erin"), owners("bob")))
    assert [one.counts for one in judge(PULL, [review("bob"), review("carol")], some).rulings] == [
        True,
        False,
    ]
    met = judge(PULL, [review("bob"), review("erin")], Rules(quotas=(owners("erin"),)))
    assert [one.counts for one in met.rulings] == [True, True]


def test_a_doubt_is_unknown_and_no_refusal_where_it_could_be_met() -> None:
    doubtful = owners(unknown="who is in it is not known")
    assert ruled(PULL, Rules(quotas=(doubtful,)), review("bob"))[:2] == (
        UNKNOWN,
        "unknown_approver",
    )
    # What is known to be missing goes first; and two are not met by one, whoever that is.
    assert ruled(PULL, Rules(quotas=(doubtful, TWO)), review("bob"))[:2] == (UNAPPROVED, TOO_FEW)
    two = owners(count=2, unknown="who is in it is not known")
    assert ruled(PULL, Rules(quotas=(two,)), review("bob"))[:2] == (UNAPPROVED, NOT_CODE_OWNER)
    stands = review("carol", "changes_requested")
    assert ruled(PULL, Rules(quotas=(doubtful,)), review("bob"), stands)[:2] == (
        UNAPPROVED,
        "changes_requested",
    )


def test_one_person_is_one_approval_and_their_own_whichever_login_they_use() -> None:
    people = {"ann2": "p1", "ann": "p1", "bob": "p2", "bob2": "p2"}
    assert judge(PULL, [review("ann2")], None, people).refusal == "self"
    twice = [review("bob"), review("bob2", minute=31)]
    assert judge(PULL, twice, Rules(quotas=(TWO,)), people).refusal == TOO_FEW
    pull = replace(PULL, contributors=frozenset({"bob"}))
    assert judge(pull, twice, None, people).refusal == "contributor"
    assert judge(pull, twice).verdict == APPROVED
    # One account does not lift what the other one asked for, nor is it an owner for it.
    mixed = [review("bob", "changes_requested"), review("bob2", minute=40), review("carol")]
    assert judge(PULL, mixed, None, people).refusal == "changes_requested"
    assert (
        judge(PULL, [review("bob2")], Rules(quotas=(owners("bob"),)), people).verdict == UNAPPROVED
    )


def test_whoever_is_named_as_a_co_author_does_not_approve_alone() -> None:
    pull = replace(PULL, co_authors=frozenset({"bob"}))
    assert words(pull, review("bob")) == ["co_author"]
    assert verdict(pull, review("bob"), review("carol"))[0] == APPROVED


def test_a_head_of_the_same_content_counts_and_another_says_how_it_differs() -> None:
    same = Comparison(True, "given at a; the very tree")
    old = review(commit=OLD)
    judged = judge(replace(PULL, equals={OLD: same}), [old])
    assert (judged.verdict, judged.rulings[0].reason) == (APPROVED, "given at a; the very tree")
    other = judge(replace(PULL, equals={OLD: Comparison(False, "it conflicts")}), [old])
    assert other.rulings[0].reason.endswith("merged; it conflicts")
    carried = [review(commit=OLD, minute=10), review(minute=20, carried=True)]
    assert judge(PULL, carried).refusal == "carried"
    assert judge(replace(PULL, equals={OLD: same}), carried).verdict == APPROVED
    # A vote that was first given at the head itself was carried over nothing.
    assert judge(PULL, [review(minute=10), review(minute=20, carried=True)]).verdict == APPROVED


def test_commits_are_the_same_where_one_name_begins_the_other() -> None:
    assert same_commit(HEAD, HEAD[:12])
    assert same_commit(HEAD[:12], HEAD)
    assert not same_commit(HEAD[:11], HEAD)
    assert not same_commit("", HEAD)


# -- judged again ----------------------------------------------------------------------------------


def test_judged_again_later_only_what_was_taken_back_counts() -> None:
    later = replace(PULL, judged_at=at(90))
    assert verdict(later, review("bob"))[0] == APPROVED
    assert verdict(later, review("bob", minute=70))[0] == UNAPPROVED
    assert verdict(later, review("bob", dismissed=True, dismissed_at=at(80)))[0] == UNAPPROVED
    assert verdict(later, review("bob", dismissed=True, dismissed_at=at(95)))[0] == APPROVED
    asked = review("carol", "changes_requested", minute=70)
    assert verdict(later, review("bob"), asked) == (
        UNAPPROVED,
        f"changes that carol requested stood at {at(90)}",
    )
    assert verdict(later, review("bob"), asked, review("carol", minute=80))[0] == APPROVED
    # A change of mind after the merge and back again leaves what was said before it.
    own = review("bob", "changes_requested", minute=70)
    assert verdict(later, review("bob"), own)[0] == UNAPPROVED
    assert verdict(later, review("bob"), own, review("bob", minute=80))[0] == APPROVED


# -- whatever is demanded --------------------------------------------------------------------------

RULES = st.builds(
    Rules,
    quotas=st.lists(
        st.builds(
            Quota,
            word=st.sampled_from([TOO_FEW, NOT_CODE_OWNER]),
            what=st.just("somebody"),
            count=st.integers(1, 3),
            people=st.none() | st.frozensets(st.sampled_from(["bob", "carol", "dave"])),
            unknown=st.sampled_from(["", "", "it is not known"]),
        ),
        max_size=3,
    ).map(tuple),
    last_push=st.booleans(),
)
PEOPLE = st.dictionaries(
    st.sampled_from(["bob", "carol", "dave", "ann"]), st.sampled_from(["p", "q"])
)
LATER = st.sampled_from(["", at(65), at(90)])


def test_who_is_one_person_is_known_of_a_login_in_any_case() -> None:
    pull = Proposal(author="ann", contributors=frozenset({"Bob"}), head=HEAD, merged_at=at(60))
    alone = Review(review="1", reviewer="bob", state=APPROVED, commit=HEAD, submitted_at=at(50))
    for people in ({}, {"bob": "p"}):
        assert judge(pull, [alone], people=people).refusal == "contributor"


def test_a_request_for_changes_that_stood_at_the_merge_stands_though_it_is_dismissed_later() -> (
    None
):
    asked = replace(review("carol", "changes_requested"), dismissed=True, dismissed_at=at(61))
    for judged_at in ("", at(65)):
        judged = judge(replace(PULL, judged_at=judged_at), [review("bob"), asked])
        assert judged.refusal == "changes_requested"


@given(PULLS, REVIEWS, RULES, PEOPLE, LATER)
def test_a_demand_a_joining_and_a_later_look_only_ever_take_approvals_away(
    pull: Proposal, reviews: list[Review], rules: Rules, people: dict[str, str], later: str
) -> None:
    judged = judge(replace(pull, judged_at=later), reviews, rules, people)
    if judged.verdict == APPROVED:
        assert judge(pull, reviews).verdict == APPROVED
        assert judge(pull, reviews, rules).verdict == APPROVED
        assert judge(pull, reviews, rules, people).verdict == APPROVED
        assert judged.refusal == ""
    else:
        assert judged.refusal


@given(PULLS, REVIEWS, RULES, LOGINS, MINUTES, LATER)
def test_a_refusal_that_is_added_never_approves(
    pull: Proposal, reviews: list[Review], rules: Rules, who: str, when: str, later: str
) -> None:
    pull = replace(pull, judged_at=later)
    no = Review(
        review="no", reviewer=who, state="changes_requested", commit=HEAD, submitted_at=when
    )
    if judge(pull, [*reviews, no], rules).verdict == APPROVED:
        assert judge(pull, reviews, rules).verdict == APPROVED
    for one in reviews:
        gone = replace(one, dismissed=True, dismissed_at="")
        left = [gone if other is one else other for other in reviews]
        if one.state == "approved" and judge(pull, left, rules).verdict == APPROVED:
            assert judge(pull, reviews, rules).verdict == APPROVED


@given(PULLS, REVIEWS, RULES, PEOPLE, st.randoms(use_true_random=False))
def test_no_order_of_reviews_or_demands_matters(
    pull: Proposal, reviews: list[Review], rules: Rules, people: dict[str, str], rng: Any
) -> None:
    mixed = list(reviews)
    rng.shuffle(mixed)
    assert judge(pull, mixed, rules, people) == judge(pull, reviews, rules, people)
