"""Whether a head holds what was reviewed, apart from clean updates from its base, as Git recomputes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ledger.events import (
    HeadCompared,
    Identity,
    NewEvent,
    PullRequest,
    PullRequestMerged,
    PullRequestPushed,
    ReviewSubmitted,
)
from ledger.testing import Ledger, Repo, make_ledger, make_repo, track

FORGE = "github.com/acme/infra"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = make_repo(tmp_path / "infra.git")
    made.commit({"a.txt": "one\n", "b.txt": "one\n"}, "start")
    return made


@pytest.fixture
def ledger(tmp_path: Path, repo: Repo) -> Ledger:
    return make_ledger(tmp_path / "ledger", track(repo))


def event(key: str, data: Any, actor: str = "") -> NewEvent:
    return NewEvent(
        stream="repository/infra",
        key=f"{FORGE}/{key}",
        source="github",
        actor=Identity(login=actor) if actor else None,
        data=data,
    )


def approved(commit: str, number: int = 7, by: str = "bob") -> NewEvent:
    data = ReviewSubmitted(
        repository="infra",
        forge=FORGE,
        number=number,
        review=f"{by}{number}{commit[:9]}",
        reviewer=Identity(login=by),
        state="approved",
        commit=commit,
        submitted_at="2026-09-01T09:00:00Z",
    )
    return event(f"review/{data.review}/submitted", data)


def pull(head: str, number: int = 7) -> PullRequest:
    return PullRequest(number=number, head=head, author=Identity(login="ann"), base="main")


def merged(head: str, commit: str, number: int = 7, commits: int = 0) -> NewEvent:
    data = PullRequestMerged(
        repository="infra",
        forge=FORGE,
        pull_request=pull(head, number),
        merge_commit=commit,
        merged_at="2026-09-01T10:00:00Z",
        commits=commits,
    )
    return event(f"pull/{number}/merged", data)


def pushed(before: str, after: str, actor: str, number: int = 7) -> NewEvent:
    data = PullRequestPushed(
        repository="infra",
        forge=FORGE,
        pull_request=pull(after, number),
        before=before,
        after=after,
        at="2026-09-01T09:30:00Z",
    )
    return event(f"pull/{number}/pushed/{before}..{after}", data, actor)


def compared(ledger: Ledger) -> list[HeadCompared]:
    return [one.data for one in ledger.events(HeadCompared)]  # type: ignore[misc]


def verdicts(ledger: Ledger) -> list[tuple[str, str, bool]]:
    """(reviewed, head, equal) of every comparison that could be made."""
    return [
        (one.reviewed, one.head, bool(one.tree) and one.tree == one.head_tree)
        for one in compared(ledger)
        if not one.missing
    ]


def proposed(repo: Repo, files: dict[str, Any] | None = None) -> str:
    """A pull request from the tip of main; gives its head."""
    repo.make_branch("topic")
    return repo.commit(files or {"a.txt": "two\n"}, "part", branch="topic")


def landed(repo: Repo, ledger: Ledger, reviewed: str, **more: Any) -> list[tuple[str, str, bool]]:
    """Merges the topic by a merge commit, approved at `reviewed`; gives what was compared."""
    head = repo.tip("topic")
    repo.pull_head(7, head)
    merge = repo.merge("topic", "Merge pull request #7 from ann/topic", **more)
    ledger.tell(approved(reviewed), merged(head, merge))
    ledger.grow()
    return verdicts(ledger)


def test_an_update_from_the_base_keeps_what_was_reviewed(repo: Repo, ledger: Ledger) -> None:
    reviewed = proposed(repo)
    base = repo.commit({"b.txt": "two\n"}, "meanwhile")
    repo.merge("main", "Merge main into topic", into="topic")
    assert landed(repo, ledger, reviewed) == [(reviewed, repo.tip("topic"), True)]
    [one] = compared(ledger)
    assert (one.number, one.base, one.missing) == (7, base, "")
    assert [row.key for row in ledger.events(HeadCompared)] == [
        f"infra/pull/7/compared/{reviewed}..{one.head}"
    ]


def test_something_slipped_into_the_update_does_not(repo: Repo, ledger: Ledger) -> None:
    reviewed = proposed(repo)
    repo.commit({"b.txt": "two\n"}, "meanwhile")
    repo.merge("main", "Merge main into topic", into="topic", files={"evil.txt": "x\n"})
    assert landed(repo, ledger, reviewed) == [(reviewed, repo.tip("topic"), False)]


def test_a_commit_after_the_review_does_not(repo: Repo, ledger: Ledger) -> None:
    reviewed = proposed(repo)
    repo.commit({"a.txt": "evil\n"}, "one more", branch="topic")
    assert landed(repo, ledger, reviewed) == [(reviewed, repo.tip("topic"), False)]


def rebased(repo: Repo, ledger: Ledger, tree: str = "") -> list[tuple[str, str, bool]]:
    reviewed = proposed(repo)
    repo.commit({"b.txt": "two\n"}, "meanwhile")
    tree = tree or repo.merged_tree("main", reviewed)
    head = repo.commit(None, "part", branch=None, parents=[repo.tip()], tree=tree)
    repo.set_ref("refs/heads/topic", head)
    return landed(repo, ledger, reviewed)


def test_a_rebase_keeps_what_was_reviewed_and_the_hidden_commit_is_fetched(
    repo: Repo, ledger: Ledger
) -> None:
    [(reviewed, head, equal)] = rebased(repo, ledger)
    assert equal
    assert reviewed != head
    assert reviewed not in {one.data.new for one in ledger.events() if hasattr(one.data, "new")}


def test_the_same_tree_on_another_base_takes_the_base_back(repo: Repo, ledger: Ledger) -> None:
    """A rebase that drops what landed meanwhile has the reviewed tree, but reverts the base."""
    start = repo.tip()
    twin = repo.commit({"a.txt": "two\n"}, "twin", branch=None, parents=[start])
    tree = repo.git("rev-parse", f"{twin}^{{tree}}").decode().strip()
    [(_, _, equal)] = rebased(repo, ledger, tree)
    assert not equal


def test_a_fast_forward_does_not_take_its_own_commits_for_the_base(
    repo: Repo, ledger: Ledger
) -> None:
    """Approved at the first commit; then something bad, and an empty commit on top."""
    reviewed = proposed(repo)
    repo.commit({"evil.txt": "x\n"}, "bad", branch="topic")
    head = repo.commit({}, "nothing", branch="topic")
    repo.force(head)
    repo.pull_head(7, head)
    ledger.tell(approved(reviewed), merged(head, head, commits=3))
    ledger.grow()
    assert verdicts(ledger) == [(reviewed, head, False)]
    [one] = compared(ledger)
    assert one.base == repo.chain()[0]


def test_without_a_count_the_base_of_a_fast_forward_is_not_known(
    repo: Repo, ledger: Ledger
) -> None:
    reviewed = proposed(repo)
    head = repo.commit({}, "nothing", branch="topic")
    repo.force(head)
    ledger.tell(approved(reviewed), merged(head, head))
    ledger.grow()
    assert [(one.missing, one.tree) for one in compared(ledger)] == [("base", "")]


def test_a_head_that_was_on_the_branch_before_proves_nothing(repo: Repo, ledger: Ledger) -> None:
    """Pushed past its pull request first; the forge names a later commit as its merge."""
    reviewed = proposed(repo)
    head = repo.commit({"evil.txt": "x\n"}, "bad", branch="topic")
    repo.force(head)
    later = repo.commit({"c.txt": "x\n"}, "later")
    ledger.tell(approved(reviewed), merged(head, later, commits=2))
    ledger.grow()
    assert [one.missing for one in compared(ledger)] == ["base"]


def test_a_conflict_and_several_bases_are_not_equal(repo: Repo, ledger: Ledger) -> None:
    reviewed = proposed(repo)
    repo.commit({"a.txt": "three\n"}, "meanwhile")
    tree = repo.git("rev-parse", f"{reviewed}^{{tree}}").decode().strip()
    repo.commit(None, "Merge main", branch="topic", parents=[reviewed, repo.tip()], tree=tree)
    assert landed(repo, ledger, reviewed) == [(reviewed, repo.tip("topic"), False)]
    assert compared(ledger)[0].tree == ""


# -- what costs nothing, and what is asked again --------------------------------------------------------


def test_an_approval_at_the_head_asks_nothing(repo: Repo, ledger: Ledger) -> None:
    head = proposed(repo)
    assert landed(repo, ledger, head) == []
    assert ledger.grow() == 0


def test_facts_may_come_in_any_order_and_in_any_ingest(repo: Repo, ledger: Ledger) -> None:
    reviewed = proposed(repo)
    repo.commit({"b.txt": "two\n"}, "meanwhile")
    head = repo.merge("main", "Merge main into topic", into="topic")
    merge_event = merged(head, repo.merge("topic", "Merge pull request #7 from ann/topic"))
    ledger.grow()
    ledger.tell(merge_event)
    ledger.grow()
    assert verdicts(ledger) == []
    ledger.tell(approved(reviewed))
    assert ledger.grow() == 1, "nothing moved, and the comparison is made all the same"
    assert verdicts(ledger) == [(reviewed, head, True)]
    assert ledger.grow() == 0
    ledger.tell(approved(reviewed, by="carol"))
    assert ledger.grow() == 0, "it is recorded once"


def test_a_merge_that_git_has_not_brought_yet_waits_for_it(repo: Repo, ledger: Ledger) -> None:
    reviewed = proposed(repo)
    repo.commit({"b.txt": "two\n"}, "meanwhile")
    ledger.grow()
    head = repo.merge("main", "Merge main into topic", into="topic")
    merge = repo.commit({"a.txt": "two\n"}, "Squashed (#7)", branch=None, parents=[repo.tip()])
    ledger.tell(merged(head, merge), approved(reviewed))
    ledger.grow()
    assert compared(ledger) == []
    repo.force(merge)
    repo.pull_head(7, head)
    ledger.grow()
    assert verdicts(ledger) == [(reviewed, head, True)]


def test_what_the_remote_lacks_is_told_once_and_asked_again_the_next_day(
    repo: Repo, ledger: Ledger
) -> None:
    gone = "1" * 40
    proposed(repo)
    assert landed(repo, ledger, gone) == []
    [one] = compared(ledger)
    assert (one.reviewed, one.missing) == (gone, gone)
    assert ledger.grow() == 0
    with ledger.store() as store:
        cursor = store.reading("infra").cursor
    ledger.clock = ledger.clock.replace(day=2)
    ledger.grow()
    with ledger.store() as store:
        assert store.reading("infra").cursor != cursor, "it was asked again"
    assert len(compared(ledger)) == 1, "and nothing is told anew"


def test_one_that_is_lacking_does_not_hide_the_others(repo: Repo, ledger: Ledger) -> None:
    reviewed = proposed(repo)
    repo.commit({"b.txt": "two\n"}, "meanwhile")
    tree = repo.merged_tree("main", reviewed)
    head = repo.commit(None, "part", branch=None, parents=[repo.tip()], tree=tree)
    repo.force(head, "topic")
    ledger.tell(approved("1" * 40, by="eve"), approved("2" * 40, by="mallory"))
    assert landed(repo, ledger, reviewed) == [(reviewed, head, True)]
    assert sorted(one.missing for one in compared(ledger)) == ["", "1" * 40, "2" * 40]


def test_a_commit_that_comes_later_is_another_telling(repo: Repo, ledger: Ledger) -> None:
    reviewed = proposed(repo)
    repo.commit({"b.txt": "two\n"}, "meanwhile")
    head = repo.merge("main", "Merge main into topic", into="topic")
    merge = repo.merge("topic", "Merge pull request #7 from ann/topic")
    later = repo.commit({"z.txt": "z\n"}, "later", branch=None, parents=[reviewed])
    kept = repo.path.parent / "kept.bundle"
    repo.set_ref("refs/heads/kept", later)
    repo.git("bundle", "create", "--quiet", str(kept), "refs/heads/kept")
    repo.delete_ref("refs/heads/kept")
    repo.git("repack", "-adq")
    repo.git("prune", "--expire=now")
    ledger.tell(approved(later), merged(head, merge))
    ledger.grow()
    assert [one.missing for one in compared(ledger)] == [later]
    repo.git("bundle", "unbundle", str(kept))
    ledger.clock = ledger.clock.replace(day=2)
    ledger.grow()
    assert [one.missing for one in compared(ledger)] == [later, ""]
    assert verdicts(ledger) == [(later, head, False)]


def test_what_others_push_is_compared_with_what_stood_before(repo: Repo, ledger: Ledger) -> None:
    first = proposed(repo)
    repo.commit({"b.txt": "two\n"}, "meanwhile")
    updated = repo.merge("main", "Merge main into topic", into="topic")
    head = repo.commit({"c.txt": "x\n"}, "more", branch="topic")
    merge = repo.merge("topic", "Merge pull request #7 from ann/topic")
    ledger.tell(
        pushed(first, updated, "bob"),
        pushed(updated, head, "carol"),
        pushed(first, head, "ann"),
        merged(head, merge),
    )
    ledger.grow()
    assert sorted(verdicts(ledger), key=lambda one: one[2]) == [
        (updated, head, False),
        (first, updated, True),
    ]


def test_what_forges_write_reaches_git_as_ids_alone(repo: Repo, ledger: Ledger) -> None:
    head = proposed(repo)
    merge = repo.merge("topic", "Merge")
    hostile = ["--output=x", "HEAD", "main", "a" * 11, "", "A" * 40, "1" * 40 + "\n" + "2" * 40]
    ledger.tell(*(approved(one, by=f"b{at}") for at, one in enumerate(hostile)))
    ledger.tell(merged(head, merge))
    ledger.grow()
    assert compared(ledger) == []


def test_a_bundle_has_no_hidden_commits(tmp_path: Path, repo: Repo) -> None:
    reviewed = proposed(repo)
    tree = repo.merged_tree("main", reviewed)
    head = repo.commit(None, "again", branch=None, parents=[repo.tip()], tree=tree)
    repo.set_ref("refs/heads/topic", head)
    merge = repo.merge("topic", "Merge")
    bundle = repo.bundle(tmp_path / "infra.bundle")
    ledger = make_ledger(tmp_path / "bundled", track(str(bundle)))
    ledger.tell(approved(reviewed), merged(head, merge))
    ledger.grow()
    assert [one.missing for one in compared(ledger)] == [reviewed]


def test_it_works_the_same_on_both_databases(tmp_path: Path, repo: Repo, database_url: str) -> None:
    ledger = make_ledger(tmp_path / "other", track(repo), database=database_url)
    reviewed = proposed(repo)
    repo.commit({"b.txt": "two\n"}, "meanwhile")
    repo.merge("main", "Merge main into topic", into="topic")
    assert landed(repo, ledger, reviewed) == [(reviewed, repo.tip("topic"), True)]
