"""Which pull request's content a mainline commit holds, from Git alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import matching
from ledger.commits import named_pull_request
from ledger.events import PullRequestMatched, PullRequestMismatched
from ledger.gitio import Mirror
from ledger.testing import BOB, Ledger, Repo, make_ledger, make_repo, track

LINES = [f"line {number}\n" for number in range(40)]


def text(**changed: str) -> str:
    """A file of forty lines, some of them changed: `text(l3="x")`."""
    lines = list(LINES)
    for name, value in changed.items():
        lines[int(name[1:])] = value + "\n"
    return "".join(lines)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A repository with one commit of two files on main."""
    made = make_repo(tmp_path / "infra.git")
    made.commit({"a.txt": text(), "b.txt": text()}, "start")
    return made


@pytest.fixture
def ledger(tmp_path: Path, repo: Repo) -> Ledger:
    return make_ledger(tmp_path / "ledger", track(repo))


def pull(repo: Repo, number: int, *changes: dict[str, Any], at: str = "") -> str:
    """A pull request of some commits; gives its head."""
    name = f"pull-{number}"
    repo.make_branch(name, at)
    for index, files in enumerate(changes):
        repo.commit(files, f"{name}, part {index}", branch=name, author=BOB)
    head = repo.tip(name)
    repo.pull_head(number, head)
    return head


Link = tuple[int, str, str, str, int]


def links(ledger: Ledger, commit: str) -> list[Link]:
    """(number, role, grade, method, best) of every link of a commit."""
    sql = (
        "select number, role, grade, method, best from revision_pull_requests "
        "where commit_sha = ? order by number"
    )
    return ledger.rows(sql, commit)


def shown(ledger: Ledger, commit: str) -> tuple[int | None, str, str]:
    """(number, grade, reason) that the revision shows."""
    sql = "select pull_request, link_grade, link_reason from revisions where commit_sha = ?"
    [row] = ledger.rows(sql, commit)
    return row


def proved(number: int, method: str) -> list[Link]:
    return [(number, "merged", "proved", method, 1)]


# -- the ways in which a pull request lands -------------------------------------------------------------


def test_merge_commit(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")}, {"c.txt": "new\n"})
    repo.commit({"b.txt": text(l9="y")}, "meanwhile")
    merge = repo.merge("pull-7", "Merge pull request #7 from bob/pull-7")
    ledger.grow()
    assert links(ledger, merge) == proved(7, "head_is_parent")
    assert shown(ledger, merge) == (7, "proved", "a parent of the merge is the head of #7")


def test_merge_commit_that_names_nothing(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")})
    repo.commit({"b.txt": text(l9="y")}, "meanwhile")
    merge = repo.merge("pull-7", "Bring it in")
    ledger.grow()
    assert links(ledger, merge) == proved(7, "head_is_parent")


def test_octopus_of_two_pull_requests(repo: Repo, ledger: Ledger) -> None:
    one = pull(repo, 1, {"c.txt": "1\n"})
    two = pull(repo, 2, {"d.txt": "2\n"})
    files = {"c.txt": "1\n", "d.txt": "2\n"}
    merge = repo.commit(files, "Both", parents=[repo.tip(), one, two])
    ledger.grow()
    assert links(ledger, merge) == [
        (1, "merged", "proved", "head_is_parent", 1),
        (2, "merged", "proved", "head_is_parent", 0),
    ]


def test_octopus_with_something_slipped_in(repo: Repo, ledger: Ledger) -> None:
    one = pull(repo, 1, {"c.txt": "1\n"})
    two = pull(repo, 2, {"d.txt": "2\n"})
    files = {"c.txt": "1\n", "d.txt": "2\n", "evil.txt": "x\n"}
    merge = repo.commit(files, "Both", parents=[repo.tip(), one, two])
    ledger.grow()
    assert links(ledger, merge) == [
        (1, "merged", "inferred", "head_is_parent", 1),
        (2, "merged", "inferred", "head_is_parent", 0),
    ]
    assert "more was changed by hand" in shown(ledger, merge)[2]


def test_squash_onto_an_unchanged_base(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")}, {"a.txt": text(l3="z"), "c.txt": "new\n"})
    squash = repo.squash("pull-7", "Do it (#7)")
    ledger.grow()
    assert links(ledger, squash) == proved(7, "equal_tree")


def test_a_squash_to_the_tree_of_a_head_that_lags_behind_takes_the_base_back(
    repo: Repo, ledger: Ledger
) -> None:
    head = pull(repo, 7, {"a.txt": text(l3="x")})
    repo.commit({"d.txt": "meanwhile\n"}, "meanwhile")
    tree = repo.git("rev-parse", f"{head}^{{tree}}").decode().strip()
    squash = repo.commit(None, "Do it (#7)", tree=tree)
    ledger.grow()
    assert links(ledger, squash)[0][1:3] == ("merged", "inferred")
    assert ledger.events(PullRequestMatched) == []


def test_squash_beside_changes_of_other_files(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")}, {"c.txt": "new\n", "b.txt": None})
    repo.commit({"d.txt": "meanwhile\n"}, "meanwhile")
    squash = repo.squash("pull-7", "Do it (#7)\n\nlong text\n")
    ledger.grow()
    assert links(ledger, squash) == proved(7, "equal_blobs")
    [event] = ledger.events(PullRequestMatched)
    assert event.data.base == repo.chain()[0]  # type: ignore[union-attr]
    assert event.data.head == repo.tip("pull-7")  # type: ignore[union-attr]


def test_squash_beside_changes_of_the_same_file(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")})
    repo.commit({"a.txt": text(l30="y")}, "meanwhile")
    squash = repo.squash("pull-7", "Do it (#7)")
    ledger.grow()
    assert links(ledger, squash) == proved(7, "merge_tree")


def test_squash_of_a_branch_that_merged_the_base_into_itself(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")})
    repo.commit({"a.txt": text(l30="y"), "b.txt": text(l1="z")}, "meanwhile")
    tree = repo.merged_tree(repo.tip("pull-7"), repo.tip())
    parents = [repo.tip("pull-7"), repo.tip()]
    head = repo.commit(None, "Merge main", branch="pull-7", parents=parents, tree=tree)
    repo.pull_head(7, head)
    repo.commit({"c.txt": "more\n"}, "more")
    squash = repo.squash("pull-7", "Do it (#7)")
    ledger.grow()
    assert links(ledger, squash) == proved(7, "equal_blobs")


def test_rebase(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")}, {"c.txt": "new\n"})
    repo.commit({"b.txt": text(l9="y")}, "meanwhile")
    first, last = repo.rebase("pull-7")
    ledger.grow()
    assert links(ledger, last) == [(7, "merged", "inferred", "patch_id", 1)]
    assert "may be shared" in shown(ledger, last)[2]
    assert links(ledger, first) == [(7, "merged", "inferred", "patch_id", 1)]
    assert shown(ledger, first)[:2] == (7, "inferred")


def test_fast_forward(repo: Repo, ledger: Ledger) -> None:
    head = pull(repo, 7, {"a.txt": text(l3="x")}, {"c.txt": "new\n"})
    repo.force(head)
    ledger.grow()
    assert links(ledger, head) == proved(7, "head_is_commit")
    assert shown(ledger, repo.chain()[1])[:2] == (None, "unlinked")


def test_a_head_that_was_opened_from_the_branch_is_no_merge(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")})
    squash = repo.squash("pull-7", "Do it (#7)")
    repo.pull_head(9, squash)  # such as a promotion of main to another branch
    ledger.grow()
    assert links(ledger, squash) == [
        (7, "merged", "proved", "equal_tree", 1),
        (9, "head", "proved", "head_is_commit", 0),
    ]


def test_gitlab_names_its_merge_request_in_the_message(repo: Repo, ledger: Ledger) -> None:
    repo.make_branch("side")
    head = repo.commit({"a.txt": text(l3="x")}, "part", branch="side")
    repo.pull_head(12, head, forge="gitlab")
    repo.commit({"d.txt": "d\n"}, "meanwhile")
    squash = repo.squash("side", "Do it\n\nSee merge request acme/infra!12\n")
    ledger.grow()
    assert links(ledger, squash) == proved(12, "equal_blobs")


def test_a_number_that_no_ref_answers_to(repo: Repo, ledger: Ledger) -> None:
    commit = repo.commit({"a.txt": text(l3="x")}, "Do it (#99)")
    ledger.grow()
    assert links(ledger, commit) == [(99, "merged", "inferred", "subject", 1)]
    assert "nothing in Git confirms it" in shown(ledger, commit)[2]


def test_a_direct_push(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")})
    commit = repo.commit({"b.txt": text(l3="x")}, "Just so")
    ledger.grow()
    assert links(ledger, commit) == []
    number, grade, reason = shown(ledger, commit)
    assert (number, grade) == (None, "unlinked")
    assert reason.startswith("a direct push")


# -- what a message says and the content refutes ------------------------------------------------------


def test_a_subject_that_names_a_pull_request_of_other_files_is_a_contradiction(
    repo: Repo, ledger: Ledger
) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")})
    commit = repo.commit({"b.txt": text(l3="x")}, "Do it (#7)")
    ledger.grow()
    assert links(ledger, commit) == [(7, "contradicted", "unlinked", "mismatch", 0)]
    number, grade, reason = shown(ledger, commit)
    assert (number, grade) == (None, "unlinked")
    assert "contradiction" in reason
    [event] = ledger.events(PullRequestMismatched)
    data = event.data
    assert isinstance(data, PullRequestMismatched)
    assert (data.paths, data.shared_paths, data.equal_paths) == (1, 0, 0)


def test_a_squash_with_something_slipped_in_is_not_proved(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x"), "c.txt": "new\n"})
    repo.commit({"d.txt": "meanwhile\n"}, "meanwhile")
    commit = repo.squash("pull-7", "Do it (#7)", files={"evil.txt": "evil\n"})
    ledger.grow()
    assert links(ledger, commit) == [(7, "merged", "inferred", "mismatch", 1)]
    assert "2 of the 3 files, 2 of them to the same content" in shown(ledger, commit)[2]


def test_a_squash_that_leaves_a_file_out_is_not_proved(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x"), "c.txt": "new\n"})
    commit = repo.squash("pull-7", "Do it (#7)", files={"c.txt": None})
    ledger.grow()
    assert links(ledger, commit) == [(7, "merged", "inferred", "mismatch", 1)]


def test_a_squash_with_another_mode_is_not_proved(repo: Repo, ledger: Ledger) -> None:
    from ledger.testing import executable  # noqa: PLC0415

    pull(repo, 7, {"c.sh": "#!/bin/sh\n"})
    repo.commit({"d.txt": "meanwhile\n"}, "meanwhile")
    commit = repo.squash("pull-7", "Do it (#7)", files={"c.sh": executable("#!/bin/sh\n")})
    ledger.grow()
    assert links(ledger, commit)[0][2:4] == ("inferred", "mismatch")


def test_a_pull_request_that_conflicts_is_not_proved(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="theirs")})
    repo.commit({"a.txt": text(l3="ours")}, "meanwhile")
    commit = repo.commit({"a.txt": text(l3="both")}, "Do it (#7)")
    ledger.grow()
    assert links(ledger, commit) == [(7, "merged", "inferred", "mismatch", 1)]
    assert "1 of the 1 files, 0 of them" in shown(ledger, commit)[2]


def test_in_a_repository_made_anew_the_graph_refutes_the_subject(
    repo: Repo, ledger: Ledger
) -> None:
    """The numbers of an old forge stand in the subjects, the refs are those of the new one."""
    pull(repo, 3, {"a.txt": text(l3="x")})
    pull(repo, 5, {"b.txt": text(l3="x")})
    repo.commit({"d.txt": "d\n"}, "meanwhile")
    merge = repo.merge("pull-3", "Merge pull request #5 from bob/pull-3")
    ledger.grow()
    rows = links(ledger, merge)
    assert rows[0] == (3, "merged", "proved", "head_is_parent", 1)
    assert (rows[1][0], rows[1][1], rows[1][2], rows[1][4]) == (5, "contradicted", "unlinked", 0)
    assert shown(ledger, merge)[0] == 3


def test_promotions_that_share_a_patch_id_are_listed_and_none_is_chosen(
    repo: Repo, ledger: Ledger
) -> None:
    pull(repo, 1, {"a.txt": text(l3="x")})
    repo.make_branch("pull-2", repo.chain()[0])
    repo.commit({"a.txt": text(l3="x")}, "the same again", branch="pull-2")
    repo.pull_head(2, repo.tip("pull-2"))
    repo.commit({"b.txt": text(l3="x")}, "meanwhile")
    commit = repo.commit({"a.txt": text(l3="x")}, "by hand")
    ledger.grow()
    assert links(ledger, commit) == [
        (1, "merged", "inferred", "patch_id", 0),
        (2, "merged", "inferred", "patch_id", 0),
    ]
    assert shown(ledger, commit)[:2] == (None, "unlinked")


def test_a_patch_id_counts_whichever_is_seen_first(repo: Repo, ledger: Ledger) -> None:
    commit = repo.commit({"a.txt": text(l3="x")}, "by hand")
    ledger.grow()
    pull(repo, 4, {"a.txt": text(l3="x")}, at=repo.chain()[0])
    ledger.grow()
    assert links(ledger, commit) == [(4, "merged", "inferred", "patch_id", 1)]


def test_a_pull_request_pushed_to_after_its_merge_stays_proved_if_it_was_seen(
    repo: Repo, ledger: Ledger, tmp_path: Path
) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")})
    repo.commit({"d.txt": "meanwhile\n"}, "meanwhile")
    squash = repo.squash("pull-7", "Do it (#7)")
    ledger.grow()
    repo.commit({"a.txt": text(l3="later")}, "later", branch="pull-7")
    repo.pull_head(7, repo.tip("pull-7"))
    ledger.grow()
    repo.commit({"e.txt": "e\n"}, "next")
    ledger.grow()
    assert links(ledger, squash) == proved(7, "equal_blobs")
    late = make_ledger(tmp_path / "late", track(repo))
    late.grow()
    assert links(late, squash) == [(7, "merged", "inferred", "mismatch", 1)]


def test_a_head_without_common_history(repo: Repo, ledger: Ledger) -> None:
    stranger = repo.commit({"a.txt": text(), "b.txt": text()}, "stranger", branch=None, parents=[])
    repo.pull_head(7, stranger)
    commit = repo.commit({"c.txt": "c\n"}, "Do it (#7)")
    repo.pull_head(8, repo.commit({"x": "x"}, "other", branch=None, parents=[stranger]))
    same = repo.commit({"a.txt": None, "b.txt": None, "c.txt": None, "x": "x"}, "All new (#8)")
    ledger.grow()
    assert links(ledger, commit)[0][2] != "proved"
    assert links(ledger, same)[0][2] != "proved"


def test_an_empty_commit_that_names_a_pull_request(repo: Repo, ledger: Ledger) -> None:
    pull(repo, 7, {"a.txt": text(l3="x")})
    commit = repo.commit(None, "Nothing (#7)")
    ledger.grow()
    assert links(ledger, commit)[0][2] != "proved"


def test_a_root_commit_that_names_a_pull_request(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "root.git")
    root = repo.commit({"a": "a"}, "Begin (#7)")
    repo.pull_head(7, repo.commit({"b": "b"}, "head", branch=None, parents=[root]))
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    assert links(ledger, root) == [(7, "merged", "inferred", "subject", 1)]


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("Do it (#7)", 7),
        ("Do it (#7) ", 7),
        ("Do it (#7)\r\n\r\nbody", 7),
        ("Do it\nmore (#7)\n\nbody", 7),
        ('Revert "Do it (#7)" (#8)', 8),
        ("Do it (#7) again", None),
        ("Do it (#0)", None),
        ("Do it #7", None),
        ("(#7) Do it", None),
        ("Do it\n\nbody (#7)", None),
        ("Do it (#1234567890)", None),
        ("Merge pull request #12 from a/b", 12),
        ("Merge pull request #12 from a/b\n\nTitle (#7)", 12),
        ("merge pull request #12 from a/b", None),
        ("x\n\nSee merge request group/project!34", 34),
        ("x\n\nSee merge request !34\n", 34),
        ("x\n\nsee merge request !34", None),
        ("", None),
    ],
)
def test_what_a_message_names(message: str, number: int | None) -> None:
    named = named_pull_request(message)
    assert (named[0] if named else None) == number


# -- in memory as in Git ----------------------------------------------------------------------------


def test_merge_trees_are_those_of_git_also_between_conflicts(repo: Repo) -> None:
    base = repo.tip()
    odd = "1\n" + "a" * 40
    variants: list[dict[str, Any]] = [
        {"a.txt": text(l3="one")},
        {"a.txt": text(l3="two")},
        {"a.txt": text(l30="three"), odd: "x\n"},
        {"a.txt": None, odd: "y\n"},
        {"c.txt": "c\n"},
        {"a.txt": None, "a.txt/deep": "folder\n"},
    ]
    heads = [repo.commit(files, "x", branch=None, parents=[base]) for files in variants]
    heads.append(repo.commit({"z": "z"}, "stranger", branch=None, parents=[]))
    pairs = [(one, two) for one in heads for two in heads]
    expected = []
    for one, two in pairs:
        try:
            expected.append(repo.merged_tree(one, two))
        except Exception:  # noqa: BLE001 (a conflict)
            expected.append("")
    assert list(Mirror(repo.path).merge_trees(pairs)) == expected
    assert 5 < expected.count("") < len(pairs) - 5
    assert list(Mirror(repo.path).merge_trees([])) == []


def test_tree_changes_are_those_of_git(repo: Repo) -> None:
    base = repo.tip()
    odd = "new\nline\t\"'"
    one = repo.commit({odd: "x", "a.txt": None}, "x", branch=None, parents=[base])
    mirror = Mirror(repo.path)
    [tree, other, empty] = [*mirror.trees([base, one]), repo.git("mktree").decode().strip()]
    pairs = [
        (tree, other),
        (tree, tree),
        (other, tree),
        (empty, tree),
        (tree, empty),
        (empty, empty),
    ]
    found = [
        sorted((change.path, change.mode_after) for change in changes)
        for changes in mirror.tree_changes(pairs)
    ]
    mode, gone = "100644", "000000"
    assert found == [
        [(b"a.txt", gone), (odd.encode(), mode)],
        [],
        [(b"a.txt", mode), (odd.encode(), gone)],
        [(b"a.txt", mode), (b"b.txt", mode)],
        [(b"a.txt", gone), (b"b.txt", gone)],
        [],
    ]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """One repository for many random graphs."""
    return make_repo(tmp_path_factory.mktemp("graphs") / "graphs.git")


_streams = count(1)


def graph(
    repo: Repo, parents: Sequence[Sequence[int]], messages: Sequence[str], salt: int
) -> list[str]:
    """Commits with the given parents (by index), each with a file of its own; one git process."""
    lines: list[str] = []
    run = next(_streams)
    for index, above in enumerate(parents):
        lines.append(f"commit refs/scratch/{run}\nmark :{index + 1}\n")
        lines.append(f"author A <a> {salt} +0000\ncommitter A <a> {salt + index} +0000\n")
        lines.append(f"data {len(messages[index])}\n{messages[index]}\n")
        if not above:
            lines.insert(len(lines) - 3, f"reset refs/scratch/{run}\n\n")
        lines += [f"{'merge' if place else 'from'} :{one + 1}\n" for place, one in enumerate(above)]
        lines += [f"M 100644 inline f{one}\ndata 1\n{place}\n" for place, one in enumerate(above)]
        lines.append(f"M 100644 inline f{index}\ndata 1\nx\n")
    lines += [f"get-mark :{index + 1}\n" for index in range(len(parents))]
    lines.append("done\n")
    stream = "".join(lines).encode()
    output = repo.git(
        "fast-import", "--quiet", "--force", "--done", "--date-format=raw", stdin=stream
    )
    return output.decode().split()


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    """Parents of each commit, by index; a first-parent line that merges side branches is likely."""
    size = draw(st.integers(2, 14))
    parents: list[list[int]] = [[]]
    for index in range(1, size):
        number = draw(st.sampled_from([1, 1, 1, 2, 2, 3, 0]))
        near = st.integers(max(0, index - 4), index - 1)
        above = draw(
            st.lists(st.one_of(near, st.integers(0, index - 1)), min_size=number, max_size=number)
        )
        parents.append(list(dict.fromkeys(above)))
    return parents


def line_of(parents: Sequence[Sequence[int]], tip: int) -> list[int]:
    """The first-parent line down from a commit."""
    line = [tip]
    while parents[line[-1]]:
        line.append(parents[line[-1]][0])
    return line


@settings(max_examples=25)
@given(parents=graphs(), data=st.data())
def test_the_merge_base_in_memory_is_that_of_git(
    shared: Repo, parents: list[list[int]], data: st.DataObject
) -> None:
    ids = graph(shared, parents, ["x"] * len(parents), 1)
    mirror = Mirror(shared.path)
    tip = data.draw(st.integers(0, len(parents) - 1))
    heads = data.draw(
        st.lists(st.integers(0, len(parents) - 1), min_size=1, max_size=4, unique=True)
    )
    history = matching.read_history(mirror, ids[tip], [ids[one] for one in heads])
    line = line_of(parents, tip)
    for parent in line[:: max(1, len(line) // 3)]:
        for head in heads:
            found = matching._base(mirror, history, ids[parent], ids[head])
            best = mirror.merge_bases(ids[parent], ids[head])
            assert found == (best[0] if len(best) == 1 else "")


@settings(max_examples=20)
@given(parents=graphs(), seed=st.integers(0, 2**30))
def test_many_and_few_questions_give_the_same_events(
    shared: Repo, parents: list[list[int]], seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311
    numbers = range(1, 4)
    messages = [rng.choice(["x", *(f"x (#{number})" for number in numbers)]) for _ in parents]
    ids = graph(shared, parents, messages, 1)
    tip = len(parents) - 1
    heads = {number: rng.choice(ids) for number in numbers}
    wanted = [ids[one] for one in reversed(line_of(parents, tip))]
    answers = []
    for limit in (0, 1, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(matching, "ASK_GIT_UP_TO", limit)
            patch.setattr(matching, "BATCH", rng.choice([1, 3, 1000]))
            answers.append(list(flat(matching.match_pull_requests(
                Mirror(shared.path), "r", ids[tip], wanted, heads))))  # fmt: skip
    assert answers[0] == answers[1] == answers[2]


def flat(batches: Iterator[list[matching.Match]]) -> Iterator[matching.Match]:
    for batch in batches:
        yield from batch
