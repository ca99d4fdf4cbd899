"""What a forge calls a merge is compared with what landed, also where no ref names its head."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from ledger.events import (
    Identity,
    NewEvent,
    PullRequest,
    PullRequestMatched,
    PullRequestMerged,
    PullRequestMismatched,
    ReviewSubmitted,
)
from ledger.projections.links import CLAIMS, LINKS
from ledger.testing import Ledger, Repo, make_ledger, make_repo, track

FORGE = "git.example.com/acme/infra"
SAID = "the forge says that this commit is the merge of #7"
UNCOMPARED = f"{SAID}; what landed was not compared with its head"
EVIL = {"evil.txt": "x\n"}


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = make_repo(tmp_path / "infra.git")
    made.commit({"a.txt": "one\n", "b.txt": "one\n"}, "start")
    return made


@pytest.fixture
def ledger(tmp_path: Path, repo: Repo) -> Ledger:
    """A ledger that reads no refs of pull requests."""
    return make_ledger(tmp_path / "ledger", track(repo, pull_requests=False))


def event(key: str, data: Any) -> NewEvent:
    return NewEvent(stream="repository/infra", key=f"{FORGE}/{key}", source="forge", data=data)


def told(head: str, commit: str, number: int = 7, commits: int = 1) -> list[NewEvent]:
    """A pull request of ann's that bob approved at its head, and that its forge merged."""
    pull = PullRequest(number=number, head=head, author=Identity(login="ann"), base="main")
    merged = PullRequestMerged(
        repository="infra",
        forge=FORGE,
        pull_request=pull,
        merge_commit=commit,
        merged_at="2026-09-01T10:00:00Z",
        commits=commits,
    )
    review = ReviewSubmitted(
        repository="infra",
        forge=FORGE,
        number=number,
        review=f"{number}",
        reviewer=Identity(login="bob"),
        state="approved",
        commit=head,
        submitted_at="2026-09-01T09:00:00Z",
    )
    return [
        event(f"review/{number}/submitted", review),
        event(f"pull/{number}/merged", merged),
    ]


def proposed(repo: Repo, name: str = "topic", files: dict[str, Any] | None = None) -> str:
    """A pull request from main, which has moved on since; gives its head."""
    repo.make_branch(name)
    head = repo.commit(files or {"a.txt": "two\n"}, "part", branch=name)
    repo.commit({f"meanwhile-{name}.txt": "1\n"}, "meanwhile")
    return head


def landing(ledger: Ledger, commit: str) -> tuple[Any, ...]:
    sql = "select pull_request, link_grade, approval, approvers from revisions where commit_sha = ?"
    [row] = ledger.rows(sql, commit)
    return row


def why(ledger: Ledger, commit: str) -> str:
    [(reason,)] = ledger.rows("select link_reason from revisions where commit_sha = ?", commit)
    return str(reason)


def tables(ledger: Ledger) -> list[tuple[Any, ...]]:
    found = []
    for table in (LINKS, CLAIMS):
        names = [one for one in table.columns if one not in ("evidence_position", "recorded_at")]
        found += sorted(ledger.rows(f"select {', '.join(names)} from {table.name}"))
    return found


def test_a_merge_with_something_slipped_in_is_not_approved(repo: Repo, ledger: Ledger) -> None:
    head = proposed(repo)
    merge = repo.merge("topic", "Merge it", files=EVIL)
    ledger.tell(*told(head, merge))
    ledger.grow()
    assert landing(ledger, merge) == (7, "reported", "unapproved", "")
    assert "merging it again does not give this tree" in why(ledger, merge)
    [mismatch] = ledger.facts(PullRequestMismatched)
    assert (mismatch.commit, mismatch.number, mismatch.head) == (merge, 7, head)
    assert ledger.grow() == 0


def test_a_merge_of_just_its_head_is_proved(repo: Repo, ledger: Ledger) -> None:
    head = proposed(repo)
    merge = repo.merge("topic", "Merge it")
    ledger.tell(*told(head, merge))
    ledger.grow()
    assert landing(ledger, merge) == (7, "proved", "approved", "bob")


def test_what_is_told_of_a_merge_long_known_is_compared_too(repo: Repo, ledger: Ledger) -> None:
    head = proposed(repo)
    merge = repo.merge("topic", "Merge it", files=EVIL)
    ledger.grow()
    ledger.tell(*told(head, merge))
    assert why(ledger, merge) == UNCOMPARED
    ledger.grow()
    assert landing(ledger, merge) == (7, "reported", "unapproved", "")


def test_a_merge_that_is_told_before_git_brings_it_waits_for_it(repo: Repo, ledger: Ledger) -> None:
    head = proposed(repo)
    ledger.grow()
    merge = repo.merge("topic", "Merge it", files=EVIL)
    before = repo.resolve(f"{merge}^")
    repo.force(before)
    ledger.tell(*told(head, merge))
    ledger.grow()
    assert not ledger.events(PullRequestMismatched)
    repo.force(merge)
    ledger.grow()
    assert landing(ledger, merge) == (7, "reported", "unapproved", "")


def test_a_head_that_is_not_at_hand_leaves_the_word_of_the_forge(
    repo: Repo, ledger: Ledger
) -> None:
    head = proposed(repo)
    squash = repo.squash("topic", "Do it", files=EVIL)
    ledger.tell(*told(head, squash))
    ledger.grow()
    assert landing(ledger, squash) == (7, "reported", "approved", "bob")
    assert why(ledger, squash) == UNCOMPARED


@pytest.mark.parametrize(
    ("files", "expected"),
    [({}, (7, "proved", "approved", "bob")), (EVIL, (7, "reported", "unapproved", ""))],
)
def test_a_squash_whose_head_is_at_hand_is_compared_whatever_its_message_says(
    repo: Repo, ledger: Ledger, files: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    head = proposed(repo)
    repo.tag("kept", head)
    squash = repo.squash("topic", "Do it", files=files)
    ledger.tell(*told(head, squash))
    ledger.grow()
    assert landing(ledger, squash) == expected
    assert ("the message" in why(ledger, squash)) is False


def test_a_squash_of_other_files_is_a_contradiction(repo: Repo, ledger: Ledger) -> None:
    head = proposed(repo)
    repo.tag("kept", head)
    other = repo.commit(EVIL, "Do it")
    ledger.tell(*told(head, other))
    ledger.grow()
    assert landing(ledger, other) == (None, "unlinked", "unapproved", "")
    assert why(ledger, other) == (
        f"{SAID}, but its head changes none of the 1 files: a contradiction, no link"
    )


def test_what_a_head_that_moved_after_the_merge_proves_does_not_count(
    tmp_path: Path, repo: Repo
) -> None:
    ledger = make_ledger(tmp_path / "refs", track(repo))
    head = proposed(repo)
    repo.tag("kept", head)
    squash = repo.squash("topic", "Do it (#7)", files=EVIL)
    repo.pull_head(7, repo.commit(EVIL, "And that", branch="topic"))
    ledger.tell(*told(head, squash))
    ledger.grow()
    assert [one.method for one in ledger.facts(PullRequestMatched)] == ["equal_blobs"]
    assert landing(ledger, squash) == (7, "reported", "unapproved", "")


def test_what_a_head_that_moved_after_the_merge_does_not_give_hides_nothing(
    tmp_path: Path, repo: Repo
) -> None:
    ledger = make_ledger(tmp_path / "refs", track(repo))
    head = proposed(repo)
    repo.tag("kept", head)
    squash = repo.squash("topic", "Do it (#7)", files=EVIL)
    repo.pull_head(7, repo.commit({"other.txt": "1\n"}, "More", branch="topic"))
    ledger.tell(*told(head, squash))
    ledger.grow()
    assert len(ledger.events(PullRequestMismatched)) == 2
    assert landing(ledger, squash) == (7, "reported", "unapproved", "")


def test_the_last_commit_of_a_rebase_merge_need_not_merge_cleanly(
    tmp_path: Path, repo: Repo
) -> None:
    ledger = make_ledger(tmp_path / "refs", track(repo))
    repo.make_branch("topic")
    repo.commit({"a.txt": "two\n", "d.txt": "1\n"}, "one", branch="topic")
    head = repo.commit({"a.txt": "three\n"}, "two", branch="topic")
    repo.pull_head(7, head)
    repo.commit({"b.txt": "two\n"}, "meanwhile")
    landed = repo.rebase("topic")
    ledger.tell(*told(head, landed[-1], commits=2))
    ledger.grow()
    assert not ledger.events(PullRequestMismatched)
    assert [landing(ledger, one) for one in landed] == [(7, "proved", "approved", "bob")] * 2


def test_a_merge_of_two_is_compared_as_one(repo: Repo, ledger: Ledger) -> None:
    one, two = proposed(repo), proposed(repo, "other", {"c.txt": "1\n"})
    tree = repo.merged_tree(repo.tip(), one)
    both = repo.commit(
        {"c.txt": "1\n"} | EVIL, "Both", branch=None, parents=[repo.tip(), one, two], tree=tree
    )
    repo.force(both)
    ledger.tell(*told(one, both), *told(two, both, number=8))
    ledger.grow()
    assert {row.number for row in ledger.facts(PullRequestMismatched)} == {7, 8}
    assert landing(ledger, both)[2:] == ("unapproved", "")


def test_a_merge_that_is_named_by_its_first_digits_is_compared(repo: Repo, ledger: Ledger) -> None:
    head = proposed(repo)
    merge = repo.merge("topic", "Merge it", files=EVIL)
    ledger.tell(*told(head[:12], merge[:12]))
    ledger.grow()
    assert landing(ledger, merge) == (7, "reported", "unapproved", "")


def test_no_order_makes_a_difference_and_nor_does_a_rebuild(tmp_path: Path, repo: Repo) -> None:
    facts: list[NewEvent] = []
    head = ""
    for number, files in ((7, {}), (8, EVIL), (9, {})):
        head = proposed(repo, f"topic-{number}", {f"{number}.txt": "1\n"})
        repo.tag(f"kept-{number}", head)
        if number == 9:
            facts += told(head, repo.squash(f"topic-{number}", "Do it (#7)"), number=number)
        else:
            facts += told(head, repo.merge(f"topic-{number}", "Merge", files=files), number=number)
    facts += told(head, repo.commit({"z.txt": "1\n"}, "Do it"), number=10)
    settings = track(repo, pull_requests=False)
    straight = make_ledger(tmp_path / "straight", settings)
    straight.tell(*facts)
    straight.grow()
    expected = tables(straight)
    assert len(straight.events(PullRequestMismatched)) == 2
    straight.rebuild()
    assert tables(straight) == expected
    for seed in range(4):
        rng = random.Random(seed)  # noqa: S311
        shuffled = rng.sample(facts, len(facts))
        cuts = sorted(rng.choices(range(len(facts)), k=2))
        other = make_ledger(tmp_path / f"other{seed}", settings)
        for part in (shuffled[: cuts[0]], shuffled[cuts[0] : cuts[1]], shuffled[cuts[1] :]):
            other.tell(*part)
            other.grow()
        assert tables(other) == expected, f"seed {seed}"
