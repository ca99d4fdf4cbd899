"""How a change landed: rebased, queued, fast-forwarded, past the gate, taken back, brought again."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from ledger import auditor, controls, periods
from ledger.cli import text
from ledger.cli.pulls import story as story_of
from ledger.events import (
    Identity,
    NewEvent,
    PullRequest,
    PullRequestMerged,
    RefPushed,
    ReviewSubmitted,
)
from ledger.projections import pull_requests, pushes, relations
from ledger.queries import Scope
from ledger.queries.pulls import find_pull_request
from ledger.testing import ANN, BOB, Ledger, Person, Repo, make_ledger, make_repo, track

FORGE = "github.com/acme/infra"
Row = tuple[Any, ...]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = make_repo(tmp_path / "infra.git")
    made.commit({"a.txt": "one\n"}, "start")
    return made


@pytest.fixture
def ledger(tmp_path: Path, repo: Repo) -> Ledger:
    return make_ledger(tmp_path / "ledger", track(repo))


def at(minute: int) -> str:
    return f"2024-09-01T09:{minute:02}:00Z"


def event(key: str, data: Any, actor: str = "", forge: str = FORGE) -> NewEvent:
    return NewEvent(
        stream="repository/infra",
        key=f"{forge}/{key}",
        source="made up",
        actor=Identity(login=actor) if actor else None,
        data=data,
    )


def merged(
    head: str, commit: str, number: int = 7, minute: int = 30, forge: str = FORGE, **more: Any
) -> NewEvent:
    pull = PullRequest(number=number, head=head, author=Identity(login="ann"), base="main")
    data = PullRequestMerged(
        repository="infra",
        forge=forge,
        pull_request=pull,
        merge_commit=commit,
        merged_at=at(minute),
        merged_by=Identity(login="mona"),
        **more,
    )
    return event(f"pull/{number}/merged", data, "mona", forge)


def approved(head: str, number: int = 7, by: str = "bob") -> NewEvent:
    data = ReviewSubmitted(
        repository="infra",
        forge=FORGE,
        number=number,
        review=f"{number}{by}",
        reviewer=Identity(login=by),
        state="approved",
        commit=head,
        submitted_at=at(1),
    )
    return event(f"review/{number}{by}/submitted", data, by)


def pushed(before: str, after: str, by: str = "mona", minute: int = 20, **more: Any) -> NewEvent:
    data = RefPushed(
        repository="infra",
        forge=FORGE,
        ref="refs/heads/main",
        before=before,
        after=after,
        at=at(minute),
        **more,
    )
    return event(f"ref/refs/heads/main/pushed/{before}..{after}", data, by)


def topic(repo: Repo, *changes: dict[str, Any], number: int = 7, at: str = "") -> list[str]:
    """A pull request of several commits from the tip of main; gives them, the head last."""
    name = f"topic-{number}"
    repo.make_branch(name, at)
    made = [
        repo.commit(files, f"step {place} of {number}", branch=name, author=BOB)
        for place, files in enumerate(changes, 1)
    ]
    repo.pull_head(number, made[-1])
    return made


def links(ledger: Ledger, *commits: str) -> list[Row]:
    sql = (
        "select number, role, grade, method, best from revision_pull_requests "
        "where commit_sha = ? order by number, role"
    )
    return [row for one in commits for row in ledger.rows(sql, one)]


def why(ledger: Ledger, commit: str, number: int = 7) -> str:
    sql = "select reason from revision_pull_requests where commit_sha = ? and number = ?"
    return str(ledger.rows(sql, commit, number)[0][0])


STEPS = ({"b.txt": "1\n"}, {"c.txt": "1\n"}, {"b.txt": "2\n"})
REBASED = (7, "merged", "proved", "rebased", 1)


# -- rebase merges -----------------------------------------------------------------------------------


def test_every_commit_of_a_rebase_merge_is_linked(repo: Repo, ledger: Ledger) -> None:
    steps = topic(repo, *STEPS)
    repo.commit({"a.txt": "two\n"}, "meanwhile")
    landed = repo.rebase("topic-7", committer=ANN)
    ledger.grow()
    ledger.tell(merged(steps[-1], landed[-1], commits=3), approved(steps[-1]))
    assert links(ledger, *landed) == [REBASED] * 3
    assert why(ledger, landed[0]) == (
        f"it changes the same files to the same content as {steps[0][:12]}, a commit of #7; "
        f"the forge says that it was merged as {landed[-1][:12]}"
    )
    sql = (
        "select landed_at, landed_grade, merged_by, approval, direct from revisions order by number"
    )
    assert ledger.rows(sql)[2:] == [(at(30), "reported", "mona", "approved", None)] * 3
    assert ledger.rows(sql)[1][3:] == ("unapproved", "unknown")
    assert ledger.rows("select merge_commit_sha, method from pull_requests") == [
        (landed[-1], "rebased")
    ]


def test_a_rebase_merge_is_known_without_the_number_of_its_commits(
    repo: Repo, ledger: Ledger
) -> None:
    steps = topic(repo, *STEPS)
    repo.commit({"a.txt": "two\n"}, "meanwhile")
    landed = repo.rebase("topic-7", committer=ANN)
    ledger.tell(merged(steps[-1], landed[-1]))
    ledger.grow()
    assert links(ledger, *landed) == [REBASED] * 3
    assert links(ledger, *repo.chain()[:2]) == []


def test_what_only_looks_like_a_commit_of_the_pull_request_is_not_linked(
    repo: Repo, ledger: Ledger
) -> None:
    """The first commit comes to nothing on the new base; below it stands one of the same words."""
    steps = topic(repo, {"b.txt": "1\n"}, {"c.txt": "1\n"})
    evil = repo.commit({"evil.txt": "x\n"}, "step 1 of 7", author=BOB)
    last = repo.commit({"c.txt": "1\n"}, "step 2 of 7", author=BOB)
    ledger.tell(merged(steps[-1], last, commits=2))
    ledger.grow()
    assert links(ledger, last) == [REBASED]
    assert links(ledger, evil) == []


def test_the_walk_ends_at_the_first_revision_that_is_none_of_its_commits(
    repo: Repo, ledger: Ledger
) -> None:
    steps = topic(repo, {"b.txt": "1\n"}, {"c.txt": "1\n"}, {"d.txt": "1\n"})
    below = repo.commit({"b.txt": "1\n"}, "step 1 of 7")
    repo.commit({"evil.txt": "x\n"}, "between")
    last = repo.commit({"d.txt": "1\n"}, "step 3 of 7")
    ledger.tell(merged(steps[-1], last, commits=3))
    ledger.grow()
    assert links(ledger, last) == [REBASED]
    assert links(ledger, below) == []


def test_a_patch_id_alone_only_infers(repo: Repo, ledger: Ledger) -> None:
    text = "\n".join(f"line {number}" for number in range(20))
    repo.commit({"b.txt": f"{text}\n"}, "text")
    changed = text.replace("line 3\n", "line three\n")
    steps = topic(repo, {"b.txt": f"{changed}\n"}, {"c.txt": "1\n"})
    repo.commit({"b.txt": text.replace("line 19", "the end") + "\n"}, "meanwhile")
    landed = repo.rebase("topic-7", committer=ANN)
    ledger.tell(merged(steps[-1], landed[-1], commits=2))
    ledger.grow()
    assert links(ledger, *landed) == [(7, "merged", "inferred", "rebased", 1), REBASED]
    assert "says nothing of white space" in why(ledger, landed[0])


def test_without_a_forge_the_commits_of_a_rebase_merge_are_inferred(
    repo: Repo, ledger: Ledger
) -> None:
    topic(repo, {"b.txt": "1\n"}, {"c.txt": "1\n"})
    below = repo.commit({"a.txt": "two\n"}, "meanwhile")
    landed = repo.rebase("topic-7", committer=ANN)
    ledger.grow()
    assert links(ledger, *landed) == [(7, "merged", "inferred", "patch_id", 1)] * 2
    assert "a commit of #7, and the head has that of" in why(ledger, landed[0])
    assert links(ledger, below) == []


def test_commits_that_came_to_nothing_are_passed_over(repo: Repo, ledger: Ledger) -> None:
    steps = topic(repo, *STEPS)
    repo.commit({"c.txt": "1\n"}, "the same, meanwhile")
    first = repo.commit({"b.txt": "1\n"}, "step 1 of 7")
    last = repo.commit({"b.txt": "2\n"}, "step 3 of 7")
    ledger.tell(merged(steps[-1], last, commits=3))
    ledger.grow()
    assert links(ledger, first, last) == [REBASED] * 2


def test_what_was_pushed_apart_from_the_merge_is_no_part_of_it(repo: Repo, ledger: Ledger) -> None:
    """Somebody pushes the first commit, and the rest of the pull request is merged later."""
    start = repo.tip()
    steps = topic(repo, {"b.txt": "1\n"}, {"c.txt": "1\n"})
    first = repo.commit({"b.txt": "1\n"}, "step 1 of 7")
    last = repo.commit({"c.txt": "1\n"}, "step 2 of 7")
    ledger.tell(merged(steps[-1], last, commits=2), approved(steps[-1]))
    ledger.grow()
    assert links(ledger, first, last) == [REBASED] * 2
    ledger.tell(pushed(start, first, "eve"), pushed(first, last))
    assert links(ledger, first, last) == [(7, "content", "proved", "rebased", 1), REBASED]
    assert why(ledger, first).endswith("but it was pushed apart from that merge")
    sql = "select approval, direct, pushed_by from revisions where commit_sha = ?"
    assert ledger.rows(sql, first) == [("unapproved", "person", "eve")]
    assert ledger.rows(sql, last) == [("approved", None, "mona")]


def test_a_squash_of_several_commits_is_one_revision(repo: Repo, ledger: Ledger) -> None:
    steps = topic(repo, *STEPS)
    before = repo.commit({"a.txt": "two\n"}, "meanwhile")
    squash = repo.squash("topic-7", "Do it (#7)")
    ledger.tell(merged(steps[-1], squash, commits=3))
    ledger.grow()
    assert links(ledger, squash)[0][:4] == (7, "merged", "proved", "equal_blobs")
    assert links(ledger, before) == []


def test_every_commit_of_a_fast_forward_is_linked(repo: Repo, ledger: Ledger) -> None:
    start = repo.tip()
    steps = topic(repo, *STEPS)
    repo.force(steps[-1])
    forge = "gitlab.example.org/acme/infra"
    ledger.tell(merged(steps[-1], steps[-1], commits=3, forge=forge))
    ledger.grow()
    assert links(ledger, *steps) == [REBASED] * 3
    assert why(ledger, steps[0]).startswith(f"it is {steps[0][:12]}, a commit of #7")
    assert links(ledger, start) == []


def test_each_pull_request_of_a_merge_queue_has_its_own_commit(repo: Repo, ledger: Ledger) -> None:
    start = repo.tip()
    topic(repo, {"b.txt": "1\n"}, number=7)
    topic(repo, {"c.txt": "1\n"}, number=8)
    first = repo.squash("topic-7", "One")
    second = repo.squash("topic-8", "Two")
    ledger.grow()
    ledger.tell(
        pushed(start, second, "github-merge-queue[bot]", pusher_is_bot=True),
        merged(repo.tip("topic-8"), second, number=8),
        merged(repo.tip("topic-7"), first, number=7),
    )
    assert links(ledger, first, second) == [REBASED, (8, *REBASED[1:])]
    sql = "select pushed_by, direct from revisions order by number"
    assert ledger.rows(sql)[1:] == [("github-merge-queue[bot]", None)] * 2


# -- what is put beside a merge ------------------------------------------------------------------------


def test_what_a_merge_holds_besides_the_pull_request_is_not_proved(
    repo: Repo, ledger: Ledger
) -> None:
    [head] = topic(repo, {"b.txt": "1\n"})
    repo.commit({"a.txt": "two\n"}, "meanwhile")
    message = "Merge pull request #7 from bob/topic"
    merge = repo.merge("topic-7", message, files={"evil.txt": "x\n"})
    ledger.grow()
    assert links(ledger, merge) == [(7, "merged", "inferred", "head_is_parent", 1)]
    assert why(ledger, merge).endswith("does not give this tree: more was changed by hand")
    ledger.tell(merged(head, merge))
    assert links(ledger, merge) == [(7, "merged", "reported", "forge", 1)]
    assert "more was changed by hand" in why(ledger, merge)


def test_a_clean_merge_is_proved_whatever_its_message_says(repo: Repo, ledger: Ledger) -> None:
    topic(repo, {"b.txt": "1\n"})
    repo.commit({"a.txt": "two\n"}, "meanwhile")
    merge = repo.merge("topic-7", "Take it")
    ledger.grow()
    assert links(ledger, merge) == [(7, "merged", "proved", "head_is_parent", 1)]


# -- beside the forge's gate -----------------------------------------------------------------------------


def test_a_head_that_somebody_pushed_to_the_branch_passed_no_gate(
    repo: Repo, ledger: Ledger
) -> None:
    [head] = topic(repo, {"b.txt": "1\n"})
    repo.force(head)
    ledger.tell(merged(head, head, commits=1))
    ledger.grow()
    assert why(ledger, head).endswith("merged without the forge's gate")
    other = merged(head, head, number=8, forge="gitea.example.org/acme/infra", commits=1)
    ledger.tell(other)
    assert "gate" not in why(ledger, head, 8), "others fast-forward"


def test_a_pull_request_that_came_with_another_passed_no_gate_of_its_own(
    repo: Repo, ledger: Ledger
) -> None:
    inner, outer = topic(repo, {"b.txt": "1\n"}, {"c.txt": "1\n"})
    repo.commit({"a.txt": "two\n"}, "meanwhile")
    merge = repo.merge("topic-7", "Merge pull request #7 from bob/topic")
    ledger.grow()
    ledger.tell(merged(outer, merge), merged(inner, merge, number=8))
    assert "came with that of #7: merged without the forge's gate" in why(ledger, merge, 8)
    assert links(ledger, merge)[1] == (8, "merged", "reported", "forge", 0)


def test_a_merge_that_github_did_not_sign_was_made_elsewhere(repo: Repo, ledger: Ledger) -> None:
    [head] = topic(repo, {"b.txt": "1\n"})
    merge = repo.merge("topic-7", "Merge pull request #7 from bob/topic")
    ledger.tell(merged(head, merge))
    ledger.grow()
    assert "not signed, as GitHub's merges are: perhaps merged without" in why(ledger, merge)


def test_a_push_past_the_rules_is_named_with_its_rules(repo: Repo, ledger: Ledger) -> None:
    start = repo.tip()
    [head] = topic(repo, {"b.txt": "1\n"})
    squash = repo.squash("topic-7", "Do it (#7)")
    ledger.grow()
    ledger.tell(merged(head, squash))
    assert "gate" not in why(ledger, squash)
    ledger.tell(pushed(start, squash, "root", bypassed=["two reviews"]))
    assert "root pushed it past its rules: two reviews: merged without" in why(ledger, squash)


# -- reverts and back-ports --------------------------------------------------------------------------


def landed_pull(repo: Repo) -> str:
    topic(repo, {"b.txt": "1\n", "a.txt": "two\n"})
    return repo.squash("topic-7", "Do it (#7)")


def test_a_revert_names_the_pull_request_that_it_takes_back(repo: Repo, ledger: Ledger) -> None:
    first = landed_pull(repo)
    message = f'Revert "Do it (#7)"\n\nThis reverts commit {first}.\n'
    back = repo.commit({"b.txt": None, "a.txt": "one\n"}, message)
    ledger.grow()
    assert links(ledger, back) == [(7, "reverts", "proved", "message", 0)]
    assert "every file goes back to what it was" in why(ledger, back)
    with ledger.ask() as asker:
        newest = asker.log(Scope())[0]
        [named] = newest.names
        assert (named.role, named.number, named.commit_sha) == ("reverts", 7, first)
        assert newest.pull_request.number is None, "a revert is not the pull request's"


def test_a_revert_with_more_in_it_is_only_inferred(repo: Repo, ledger: Ledger) -> None:
    first = landed_pull(repo)
    message = f"This reverts commit {first}."
    more = repo.commit({"b.txt": None, "a.txt": "one\n", "evil.txt": "x\n"}, message)
    ledger.grow()
    assert links(ledger, more) == [(7, "reverts", "inferred", "message", 0)]
    unknown = repo.commit({"c.txt": "1\n"}, f"This reverts commit {'1' * 40}.")
    ledger.grow()
    assert links(ledger, unknown) == []


def test_a_merge_has_what_its_commits_say(repo: Repo, ledger: Ledger) -> None:
    first = landed_pull(repo)
    repo.make_branch("undo")
    message = f"This reverts commit {first}."
    head = repo.commit({"b.txt": None, "a.txt": "one\n"}, message, branch="undo")
    repo.pull_head(9, head)
    repo.commit({"z.txt": "1\n"}, "meanwhile")
    merge = repo.merge("undo", "Merge pull request #9 from bob/undo")
    ledger.grow()
    assert links(ledger, merge) == [
        (7, "reverts", "proved", "message", 0),
        (9, "merged", "proved", "head_is_parent", 1),
    ]


def test_a_back_port_leads_to_the_pull_request_of_the_other_branch(
    tmp_path: Path, repo: Repo
) -> None:
    repo.make_branch("stable")
    first = landed_pull(repo)
    ledger = make_ledger(tmp_path / "both", track(repo, branches=["stable", "main"]))
    message = f"Do it\n\n(cherry picked from commit {first})\n"
    again = repo.commit({"b.txt": "1\n", "a.txt": "two\n"}, message, branch="stable")
    ledger.grow()
    assert links(ledger, again) == [
        (7, "backports", "proved", "message", 0),
        (7, "content", "inferred", "patch_id", 0),
    ]
    sql = "select reason from revision_pull_requests where commit_sha = ? order by role"
    reasons = [row[0] for row in ledger.rows(sql, again)]
    assert "the same files to the same content" in reasons[0]
    assert reasons[1].endswith(f"its content landed as {first[:12]}")


# -- direct pushes ------------------------------------------------------------------------------------


def direct(ledger: Ledger) -> list[Row]:
    return ledger.rows("select direct, pushed_by, direct_reason from revisions order by number")


def test_direct_pushes_are_told_apart_by_who_the_forge_says_pushed(
    repo: Repo, ledger: Ledger
) -> None:
    tips = [repo.commit({"a.txt": f"{number}\n"}, f"push {number}") for number in range(4)]
    ledger.grow()
    ledger.tell(
        pushed(tips[0], tips[1], "sam"),
        pushed(tips[1], tips[2], "updater", pusher_is_bot=True),
        pushed(tips[2], tips[3], "root", result="bypass"),
    )
    assert direct(ledger)[2:] == [
        ("person", "sam", "github.com says that sam pushed it"),
        ("bot", "updater", "github.com says that updater pushed it"),
        ("bypass", "root", "github.com says that root pushed it past its rules"),
    ]
    assert [row[0] for row in direct(ledger)[:2]] == ["unknown", "unknown"]
    sql = "select landed_at, landed_grade from revisions order by number"
    assert ledger.rows(sql)[2:] == [(at(20), "reported")] * 3


def test_author_text_is_only_what_it_suggests(repo: Repo, ledger: Ledger) -> None:
    bot = Person("renovate[bot]", "1+renovate[bot]@users.noreply.github.com")
    repo.commit({"a.txt": "2\n"}, "bump", author=bot)
    ledger.grow()
    said = "who pushed it is not known; the author text, which anybody can write, names a "
    assert direct(ledger) == [
        ("unknown", "", f"{said}person: Ann"),
        ("unknown", "", f"{said}bot: renovate[bot]"),
    ]


def test_a_push_holds_every_step_that_it_brought_and_no_other(repo: Repo, ledger: Ledger) -> None:
    start = repo.tip()
    inside = [repo.commit({"a.txt": f"{number}\n"}, f"push {number}") for number in range(3)]
    after = repo.commit({"a.txt": "9\n"}, "later")
    ledger.tell(pushed(start, inside[-1], "sam"))
    ledger.grow()
    assert [row[1] for row in direct(ledger)] == ["", "sam", "sam", "sam", ""]
    ledger.tell(pushed(inside[0], inside[-1], "eve", minute=40))
    assert [row[1] for row in direct(ledger)] == ["", "sam", "sam", "sam", ""], "the first counts"
    assert ledger.rows("select count(*) from revisions where commit_sha = ?", after) == [(1,)]


def test_of_a_forced_push_from_a_tip_that_was_never_seen_only_what_is_listed_is_its_own(
    repo: Repo, ledger: Ledger
) -> None:
    one, two, three = (repo.commit({"a.txt": f"{n}\n"}, f"push {n}") for n in range(3))
    ledger.grow()
    ledger.tell(pushed("1" * 40, three, "sam", forced=True))
    assert [row[1] for row in direct(ledger)] == ["", "", "", "sam"]
    ledger.tell(pushed("1" * 40, three, "sam", forced=True, commits=[two, three]))
    assert [row[1] for row in direct(ledger)] == ["", "", "sam", "sam"]
    assert one


def test_whoever_made_the_branch_pushed_all_of_it(repo: Repo, ledger: Ledger) -> None:
    repo.commit({"a.txt": "2\n"}, "more")
    ledger.tell(pushed("", repo.tip(), "sam"))
    ledger.grow()
    assert [row[1] for row in direct(ledger)] == ["sam", "sam"]


def test_another_ref_says_nothing_of_the_branch(repo: Repo, ledger: Ledger) -> None:
    start = repo.tip()
    tip = repo.commit({"a.txt": "2\n"}, "more")
    ledger.grow()
    data = pushed(start, tip, "sam").data
    for ref in ("refs/heads/other", "refs/tags/v1", "main"):
        ledger.tell(event(f"x/{ref}", msgspec.structs.replace(data, ref=ref), "sam"))
    assert [row[1] for row in direct(ledger)] == ["", ""]


# -- the order of events ------------------------------------------------------------------------------

ARRIVAL = {"evidence_position", "recorded_at"}


def tables(ledger: Ledger) -> dict[str, list[Row]]:
    found = {}
    for one in (pull_requests, pushes, relations):
        for table in one.PROJECTION.tables:
            columns = ", ".join(name for name in table.columns if name not in ARRIVAL)
            rows = ledger.rows(f"select {columns} from {table.name}")
            found[table.name] = sorted(rows)
    return found


def story(repo: Repo) -> list[NewEvent]:
    """A repository that grows, and what its forge tells of each time."""
    start = repo.tip()
    steps = topic(repo, *STEPS)
    repo.commit({"a.txt": "two\n"}, "meanwhile")
    landed = repo.rebase("topic-7", committer=ANN)
    direct_one = repo.commit({"z.txt": "1\n"}, "by hand")
    [head] = topic(repo, {"y.txt": "1\n"}, number=8)
    repo.force(head)
    back = repo.commit({"y.txt": None}, f"This reverts commit {head}.")
    return [
        merged(steps[-1], landed[-1], commits=3),
        approved(steps[-1]),
        merged(head, head, number=8, commits=1),
        pushed(start, landed[0], "eve", minute=5),
        pushed(landed[0], landed[-1], "mona", minute=6),
        pushed(landed[-1], direct_one, "sam", minute=7),
        pushed(landed[-1], direct_one, "sam", minute=8, bypassed=["review"]),
        pushed(direct_one, back, "bob", minute=9),
    ]


def test_no_order_makes_a_difference_and_nor_does_a_rebuild(
    tmp_path: Path, repo: Repo, database_url: str
) -> None:
    facts = story(repo)
    straight = make_ledger(tmp_path / "straight", track(repo), database=database_url)
    straight.grow()
    straight.tell(*facts)
    expected = tables(straight)
    straight.rebuild()
    assert tables(straight) == expected
    assert expected["model_landing"]
    assert expected["model_relation"]
    for seed in range(6):
        rng = random.Random(seed)  # noqa: S311
        told = rng.sample(facts, len(facts))
        cut = rng.randint(0, len(told))
        other = make_ledger(tmp_path / f"other{seed}", track(repo))
        for one in told[:cut]:
            other.tell(one)
        other.grow()
        other.tell(*told[cut:])
        assert tables(other) == expected, f"seed {seed}"


# -- where it is shown ----------------------------------------------------------------------------------


def test_the_control_says_who_pushed(tmp_path: Path, repo: Repo, database_url: str) -> None:
    other = make_ledger(tmp_path / "audited", track(repo), database=database_url)
    start = repo.tip()
    tip = repo.commit({"a.txt": "2\n"}, "more")
    other.grow()
    other.tell(pushed(start, tip, "sam"))
    period = periods.Period("all", "1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "UTC")
    with auditor.session(database_url, controls.contract()) as session:
        found = controls.run(controls.find(tmp_path, "chg-02"), period, session)
    reasons = sorted(one.reason for one in found.items)
    assert reasons[1].endswith("github.com says that sam pushed it")
    assert reasons[0].endswith("which anybody can write, names a person: Ann")


def test_the_story_of_a_pull_request_tells_what_took_it_back(repo: Repo, ledger: Ledger) -> None:
    first = landed_pull(repo)
    topic(repo, {"b.txt": None, "a.txt": "one\n"}, number=9)
    back = repo.squash("topic-9", f"Take it back (#9)\n\nThis reverts commit {first}.")
    ledger.grow()
    with ledger.store() as store:
        told = [
            [click.unstyle(line) for line in story_of(find_pull_request(store.connection, number))]
            for number in (7, 9)
        ]
    assert [line[:40] for line in told[0] if "revert" in line[:14]] == [
        f"  reverted   by #9, {back[:12]} (proved: "[:40]
    ]
    assert [line[:40] for line in told[1] if "revert" in line[:14]] == [
        f"  reverts    #7, {first[:12]} (proved: its"[:40]
    ]


def test_questions_show_who_pushed_and_what_is_taken_back(repo: Repo, ledger: Ledger) -> None:
    first = landed_pull(repo)
    message = f"This reverts commit {first}.\n"
    back = repo.commit({"b.txt": None, "a.txt": "one\n"}, message)
    ledger.grow()
    ledger.tell(pushed(first, back, "root", bypassed=["review"]))
    with ledger.ask() as asker:
        found = asker.log(Scope(), unapproved=True)
        lines = [click.unstyle(one) for one in text.log_lines(found[:1], why=True)]
        shown = "\n".join(click.unstyle(one) for one in text.revision_lines(found[0]))
        oldest = "\n".join(click.unstyle(one) for one in text.revision_lines(found[-1]))
    assert " bypass unlinked " in lines[0]
    assert lines[1].startswith(f"    reverts #7, {first[:12]} (proved: ")
    assert lines[2].endswith("root pushed it past its rules: review")
    assert f"  pushed    by root at {at(20)} (reported), bypass: github.com says" in shown
    assert f"  reverts   #7, {first[:12]} (proved: " in shown
    assert "  pushed    unknown: who pushed it is not known" in oldest
