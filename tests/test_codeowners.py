"""Who owns a path by CODEOWNERS: GitHub's documented cases, GitLab's sections, and hostile files."""

from __future__ import annotations

import fnmatch
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codeowners
from ledger.codeowners import GITEA, GITLAB, Demand, TooMuch, demands, read

# The example of GitHub's own documentation, in our words.
EXAMPLE = b"""\
# Anything nobody else owns.
*       @global-owner1 @global-owner2
*.js    @js-owner #an inline comment
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/*  docs2@example.com
apps/ @octocat
/scripts/ @doctocat @octocat
**/logs @logger
/apps2/ @octocat
/apps2/github
/deep/**/end @deep
"""


def owners(raw: bytes, path: str, dialect: str = codeowners.GITHUB) -> tuple[str, ...]:
    return next((one.owners for one in demands(read(raw, dialect), [path])), ())


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("README", ("@global-owner1", "@global-owner2")),
        ("a/b/x.js", ("@js-owner",)),
        ("x.JS", ("@global-owner1", "@global-owner2")),  # case matters
        ("x.go", ("docs@example.com",)),
        ("a/x.txt", ("@octo-org/octocats",)),
        ("build/logs/a/b", ("@logger",)),
        ("x/build/logs2/a", ("@global-owner1", "@global-owner2")),
        ("docs/getting-started.md", ("docs2@example.com",)),
        ("docs/build-app/trouble.md", ("@global-owner1", "@global-owner2")),
        ("x/docs/a.md", ("@global-owner1", "@global-owner2")),
        ("apps/a", ("@octocat",)),
        ("x/apps/y/a", ("@octocat",)),
        ("x/apps", ("@global-owner1", "@global-owner2")),  # a file, not a folder
        ("scripts/a/b", ("@doctocat", "@octocat")),
        ("x/scripts/a", ("@global-owner1", "@global-owner2")),
        ("deeply/nested/logs/x", ("@logger",)),
        ("logs", ("@logger",)),
        ("apps2/x", ("@octocat",)),
        ("apps2/github", ()),
        ("apps2/github/x", ()),
        ("deep/end", ("@deep",)),
        ("deep/a/b/end/c", ("@deep",)),
    ],
)
def test_the_last_pattern_that_matches_says_who_owns_a_path(
    path: str, wanted: tuple[str, ...]
) -> None:
    assert owners(EXAMPLE, path) == wanted


def test_every_set_of_owners_is_demanded_once_with_a_path() -> None:
    found = demands(read(EXAMPLE), ["b.js", "a.js", "apps/z", "apps2/github"])
    assert found == [
        Demand("", ("@js-owner",), 1, "a.js"),
        Demand("", ("@octocat",), 1, "apps/z"),
    ]


def test_what_github_cannot_read_is_left_out_and_told() -> None:
    raw = b"* @all\n!a @x\n[ab].c @x\n\\#a @x\nb @@dev\nc nobody\nd bob @x\n***/e @x\n/ @root\n"
    read_ = read(raw)
    assert [one.split()[1] for one in read_.problems] == list("2345678")
    assert all(owners(raw, path) == ("@all",) for path in ("a", "b", "c", "d", "x/e", "a.c"))
    assert read_.unjudged == ""


def test_a_file_above_three_megabytes_owns_nothing() -> None:
    raw = b"* @all\n" + b"#" * codeowners.MAX_BYTES
    assert demands(read(raw), ["a"]) == []
    assert "3 MB" in read(raw).problems[0]
    assert owners(raw[: codeowners.MAX_BYTES], "a") == ("@all",)


def test_a_space_in_a_path_is_escaped() -> None:
    assert owners(b"/a\\ b/c @x", "a b/c") == ("@x",)
    assert owners(b"\xef\xbb\xbf/a @x\r\n", "a") == ("@x",)


SECTIONS = b"""\
* @all
/docs @file
[Docs][2] @writers
docs/
/x/README.md @readme
!docs/generated/
^[Hints] @hinter
*
[DATABASE]
/db/ @dba
[database]
/db/x/ @@maintainer word
"""


def test_gitlab_demands_each_section_apart() -> None:
    found = {one.section: one for one in demands(read(SECTIONS, GITLAB), ["a/docs/b"])}
    assert found == {
        "": Demand("", ("@all",), 1, "a/docs/b"),
        "Docs": Demand("Docs", ("@writers",), 2, "a/docs/b"),
    }
    assert [one.owners for one in demands(read(SECTIONS, GITLAB), ["db/x/y"])] == [
        ("@all",), ("@@maintainer",),
    ]  # fmt: skip
    assert [one.owners for one in demands(read(SECTIONS, GITLAB), ["docs/generated/y"])] == [
        ("@all",)
    ]
    # A name without a slash at its end is a file's; a path that does not begin with one is anywhere.
    assert owners(SECTIONS, "docs/y", GITLAB) == ("@all",)
    assert owners(b"docs/a @x", "deep/docs/a", GITLAB) == ("@x",)
    assert owners(b"docs/a @x", "deep/docs/a") == ()


def test_a_section_that_is_required_anywhere_is_required() -> None:
    raw = b"^[A]\n/a @x\n[a][3]\n/b @y\n"
    assert demands(read(raw, GITLAB), ["a", "b"]) == [
        Demand("A", ("@x",), 1, "a"), Demand("A", ("@y",), 3, "b"),
    ]  # fmt: skip
    assert demands(read(b"^[A][2] @x\n/a\n^[a]\n/b @y\n[A]\n", GITLAB), ["a", "b"]) == []


HEADINGS = b"""\
[Docs][2] @docs @acme/writers lead@example.org
/docs/
/docs/api/ @api # also @spare
/docs/free/ nobody
[docs] @late
/late/
[Ops][none] @lost
/ops/
[Ops][0] @ops
/ops/x/
"""


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("docs/a", [("Docs", ("@docs", "@acme/writers", "lead@example.org"), 2)]),
        ("docs/api/a", [("Docs", ("@api", "@spare"), 2)]),  # GitLab has no comment at a line's end
        ("docs/free/a", []),  # what is no owner is not made up for by the owners of the heading
        ("late/a", [("Docs", ("@late",), 1)]),  # of the heading that it stands below
        ("ops/a", []),  # behind a count that is none nothing is read
        ("ops/x/a", [("Ops", ("@ops",), 1)]),
    ],
)
def test_gitlabs_headings_say_how_many_and_who_for_what_is_below_them(
    path: str, wanted: list[tuple[str, tuple[str, ...], int]]
) -> None:
    found = demands(read(HEADINGS, GITLAB), [path])
    assert [(one.section, one.owners, one.count) for one in found] == wanted


def test_in_gitlab_an_entry_takes_the_place_of_an_earlier_one_of_the_same_pattern() -> None:
    assert owners(b"a @x\n* @y\na @z\n", "a", GITLAB) == ("@y",)
    assert owners(b"* @y\na @x\n/**/a @z\n", "a", GITLAB) == ("@z",)
    assert owners(b"a @x\n!b\nb @y\n", "b", GITLAB) == ("@y",)
    assert owners(b"a @x\n* @y\na @z\n", "a") == ("@z",)


def test_a_heading_that_is_never_closed_is_an_entry_that_matches_nothing() -> None:
    raw = b"[Docs]\n/docs/ @x\n[Section name\n/x @y\n"
    found = read(raw, GITLAB)
    assert found.unjudged == ""
    assert found.problems == ("line 3 has a range in brackets",)
    assert demands(found, ["x"]) == [Demand("Docs", ("@y",), 1, "x")]


def test_in_gitlab_two_stars_at_the_end_are_one() -> None:
    assert owners(b"/docs/** @x", "docs/a", GITLAB) == ("@x",)
    assert owners(b"/docs/** @x", "docs/a/b", GITLAB) == ()
    assert owners(b"/docs/** @x", "docs/a/b") == ("@x",)


def test_what_gitlab_reads_and_we_do_not_is_said_and_not_passed_over() -> None:
    assert "line 1" in read(b"/[ab].c @x", GITLAB).unjudged
    assert read(b".*\\.go @x\n!a @y", GITEA).unjudged != ""
    assert demands(read(b"* @x", GITEA), ["a"]) == []


# -- whatever the file is ------------------------------------------------------------------------


@given(st.binary(max_size=300), st.sampled_from([codeowners.GITHUB, GITLAB, GITEA]))
def test_any_bytes_are_read(raw: bytes, dialect: str) -> None:
    found = read(raw, dialect)
    demands(found, ["a", "a/b", "\udc80/x"])
    assert found == read(raw, dialect)


@given(st.text("ab*?", min_size=1, max_size=12), st.text("ab", max_size=10))
def test_a_segment_matches_as_a_shell_pattern_does(pattern: str, name: str) -> None:
    if "**" in pattern or not name:
        return
    expected = re.fullmatch(fnmatch.translate(pattern), name) is not None
    assert bool(owners(b"/" + pattern.encode() + b" @x", name)) is expected


PARTS = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=6)


@given(PARTS, st.lists(st.sampled_from("ab"), min_size=1, max_size=6))
def test_two_stars_stand_for_any_folders(parts: list[str], path: list[str]) -> None:
    def fits(left: list[str], right: list[str]) -> bool:
        if not left:
            return not right
        if left[0] == "**":
            return fits(left[1:], right) or (bool(right) and fits(left, right[1:]))
        return bool(right) and left[0] in ("*", right[0]) and fits(left[1:], right[1:])

    assert codeowners.matches(tuple(parts), path) is fits(parts, path)


@given(st.lists(st.sampled_from(["* @a", "/a/ @b", "b @c", "/a/b", "*b* @d"]), max_size=6))
def test_an_entry_added_at_the_end_decides_what_it_matches(lines: list[str]) -> None:
    raw = "\n".join([*lines, "/a/b/ @last"]).encode()
    assert owners(raw, "a/b/c") == ("@last",)
    assert owners(raw, "x") == owners("\n".join(lines).encode(), "x")


@pytest.mark.parametrize(
    "pattern", ["/" + "a*" * 2_000, "**/a/" * 800 + "b", "*a" * 1_000 + "/**/x"]
)
def test_hostile_patterns_take_no_longer_than_their_length_times_that_of_the_path(
    pattern: str,
) -> None:
    raw = f"{pattern} @x\n".encode()
    path = "/".join(["a" * 200] * 20)
    start = time.process_time()
    assert owners(raw, path) == ()
    assert time.process_time() - start < 5


def test_too_many_patterns_for_too_many_paths_are_refused() -> None:
    raw = b"*a*b*c*d @x\n" * 3_000
    with pytest.raises(TooMuch):
        demands(read(raw), [f"{number}/x" for number in range(5_000)])
    # Patterns below other folders cost nothing.
    raw = b"".join(b"/dir%d/ @x\n" % number for number in range(20_000))
    found = demands(read(raw), [f"dir7/{number}" for number in range(2_000)])
    assert [one.path for one in found] == ["dir7/0"]
