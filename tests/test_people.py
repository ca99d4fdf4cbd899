"""One person, many names: what joins them, what never does, and that a joining only takes away."""

from __future__ import annotations

import json
import random
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ledger import config, registry
from ledger.cli import cli
from ledger.config import PersonSettings
from ledger.documents import Documents
from ledger.errors import NotFoundError, UsageError
from ledger.events import (
    CommitObserved,
    Event,
    Identity,
    NewEvent,
    PersonMapped,
    ProposedCommit,
    PullRequest,
    PullRequestListed,
    PullRequestMerged,
    RefPushed,
    ReviewSubmitted,
    TeamObserved,
    Trailer,
)
from ledger.people import (
    BOT,
    EMAIL,
    HUMAN,
    LOGIN,
    PERSON,
    Joining,
    Key,
    Partition,
    address,
    bot_or_person,
    co_authors,
    cuts,
    hands,
    in_force,
    is_own,
    login_of,
    read_mailmap,
)
from ledger.projections.people import PeopleVersionRow, is_bot, person_of
from ledger.projector import Workspace
from ledger.testing import Ledger, make_ledger, make_repo, track
from ledger.testing.repos import Person

FORGE = "github.com/acme/infra"
RENOVATE, RENOVATES = "github.com/renovate[bot]", "9+renovate[bot]@users.noreply.github.com"
Row = tuple[Any, ...]


# -- .mailmap ----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["", "Ann", "aNN", "Bob B", "  Bob B\t", "#x", "É", "é", "Zoë"])
EMAILS = st.sampled_from(["a@x", "A@X", "b@x", "", " b@x", "c@y", "É@x", "é@x", "odd"])
FORMS = st.sampled_from(
    [
        "{0} <{1}>",
        "<{1}> <{2}>",
        "{0} <{1}> <{2}>",
        "{0} <{1}> {3} <{2}>",
        " {0}<{1}>{3}<{2}> and more",
        "{0}\t<{1}>\t{3}\t<{2}>\r",
        "# {0} <{1}> <{2}>",
        "{0} <{1}",
        "{0} {1}",
    ]
)
LINES = st.builds(lambda form, *parts: form.format(*parts), FORMS, NAMES, EMAILS, EMAILS, NAMES)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository with a working tree."""
    folder = tmp_path_factory.mktemp("mailmap")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


@settings(max_examples=60)
@given(lines=st.lists(LINES, max_size=6), end=st.sampled_from(["", "\n"]))
def test_a_mailmap_says_what_git_says(scratch: Path, lines: list[str], end: str) -> None:
    text = "\n".join(lines) + end
    (scratch / ".mailmap").write_text(text, "utf-8", newline="")
    emails = ("a@x", "A@X", "b@x", "c@y", "É@x", "é@x", "nobody@x")
    names = ("Ann", "ANN", "Bob B", "É", "é", "Nobody")
    asked = [(name, email) for name in names for email in emails]
    done = subprocess.run(
        ["git", "-C", str(scratch), "check-mailmap", "--stdin"],
        input="".join(f"{name} <{email}>\n" for name, email in asked).encode(),
        capture_output=True,
        check=True,
    )
    found = read_mailmap(text)
    ours = ["{} <{}>".format(*found.shown(name, email)) for name, email in asked]
    assert ours == done.stdout.decode().splitlines()


def test_a_mailmap_joins_the_addresses_that_it_shows_as_one() -> None:
    text = "A <a@x> <old@x>\nOnly A Name <b@x>\n<c@x> Carl <was@x>\n\0D <d@x> <late@x>"
    assert sorted(read_mailmap(text).pairs()) == [("old@x", "a@x"), ("was@x", "c@x")]


def test_a_mailmap_joins_no_address_that_it_gives_to_several() -> None:
    by_name = "A <a@x> Ann <team@x>\nB <b@x> Bob <TEAM@x>"
    assert list(read_mailmap(by_name).pairs()) == []
    assert list(read_mailmap("A <a@x> <team@x>\nB <b@x> Bob <team@x>").pairs()) == []
    assert list(read_mailmap("A <a@x> Ann <old@x>\n<A@X> <old@x>").pairs()) == [("old@x", "a@x")]


# -- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("email", "named"),
    [
        ("12345+mona@users.noreply.github.com", ("github.com", "mona")),
        ("mona@users.noreply.github.com", ("github.com", "mona")),
        ("1-mona@users.noreply.github.com", ("github.com", "1-mona")),
        ("7+dependabot[bot]@users.noreply.github.com", ("github.com", "dependabot[bot]")),
        ("7+mona@users.noreply.ghe.acme.org", ("ghe.acme.org", "mona")),
        ("7-mona@users.noreply.gitlab.com", ("gitlab.com", "mona")),
        ("mona@github.com", ("", "")),
        ("noreply@github.com", ("", "")),
        ("@users.noreply.github.com", ("", "")),
        ("mona@users.noreply.", ("", "")),
    ],
)
def test_an_address_names_a_login_by_its_forges_convention(
    email: str, named: tuple[str, str]
) -> None:
    assert login_of(email) == named


def test_addresses_that_many_use_are_nobodys_own() -> None:
    nobodys = (
        "noreply@github.com no-reply@x.org root@web1.acme.org me@localhost a@b.local x@h.(none)"
    )
    assert not any(is_own(one) for one in nobodys.split())
    assert is_own("mona@example.org")
    assert is_own("1+mona@users.noreply.github.com")


def test_an_address_is_compared_in_any_case_and_a_text_that_is_none_is_empty() -> None:
    assert address(" Mona@Example.ORG ") == "mona@example.org"
    assert address("mona") == address("") == address("a@" + "x" * 400) == ""


def test_bots_are_known_by_their_forge_the_configuration_or_their_login() -> None:
    assert bot_or_person("renovate[bot]") == bot_or_person("mona", told=True) == BOT
    assert bot_or_person("mona", mapped=True) == bot_or_person("project_7_bot_0af3") == BOT
    assert bot_or_person("", "7+x[bot]@users.noreply.github.com") == BOT
    assert bot_or_person("robot") == bot_or_person("", "bot@acme.org") == HUMAN
    assert bot_or_person("[bot]") == HUMAN, "no forge gives that"
    assert bot_or_person("") == ""


def test_the_hands_of_a_commit_are_author_committer_and_co_authors_without_the_forge() -> None:
    trailers = [
        Trailer(key="co-authored-BY", value="Bob <bob@x.org>"),
        Trailer(key="Co-authored-by", value="carl"),
        Trailer(key="Reviewed-by", value="Dan <dan@x.org>"),
    ]
    assert co_authors(trailers) == [Identity(name="Bob", email="bob@x.org"), Identity(name="carl")]
    ann = Identity(name="Ann", email="ann@x.org")
    web = Identity(name="GitHub", email="noreply@github.com")
    assert hands(commit("a", ann, web, trailers)) == [ann, *co_authors(trailers)]
    assert hands(commit("a", ann, ann)) == [ann]


# -- joining -----------------------------------------------------------------------------------------

KEYS = [Key(LOGIN, "github.com", name) for name in "abcd"] + [
    Key(EMAIL, "", f"{name}@x") for name in "abcd"
]
PERSONS = [Key(PERSON, "", "A"), Key(PERSON, "", "B")]
LESSER = st.builds(Joining, st.integers(1, 3), st.sampled_from(KEYS), st.sampled_from(KEYS)).filter(
    lambda one: one.one != one.other
)
MAPPED = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(PERSONS)).map(
    lambda found: [Joining(0, person, key) for key, person in found.items()]
)


def connected(joinings: list[Joining]) -> dict[Key, set[Key]]:
    """Whom each name reaches, by walking."""
    reached: dict[Key, set[Key]] = {}
    for start in {key for one in joinings for key in (one.one, one.other)}:
        found, waiting = {start}, [start]
        while waiting:
            here = waiting.pop()
            for one in joinings:
                if here in (one.one, one.other):
                    for key in {one.one, one.other} - found:
                        found.add(key)
                        waiting.append(key)
        reached[start] = found
    return reached


@given(st.lists(LESSER, max_size=10))
def test_without_a_configuration_persons_are_what_joinings_connect(joinings: list[Joining]) -> None:
    partition = Partition(joinings)
    reached = connected(joinings)
    assert partition.refused == []
    assert set(partition.keys()) == set(reached)
    for key, others in reached.items():
        assert partition.person(key) == min(others, key=lambda one: one.place)
    assert all(partition.person(key) is None for key in KEYS if key not in reached)


@given(st.lists(LESSER, max_size=10), MAPPED, st.randoms(use_true_random=False))
def test_the_configuration_has_the_last_word_and_no_order_makes_a_difference(
    joinings: list[Joining], mapped: list[Joining], rng: random.Random
) -> None:
    told = joinings + mapped
    partition = Partition(told)
    again = Partition(rng.sample(told * 2, len(told) * 2))
    assert [partition.person(key) for key in KEYS] == [again.person(key) for key in KEYS]
    assert set(partition.refused) == set(again.refused)
    for one in mapped:
        assert partition.person(one.other) == one.one
    taken = [one for one in told if one not in partition.refused]
    for one in taken:
        assert partition.person(one.one) == partition.person(one.other)
    for one in partition.refused:
        assert one.rank > 0
        assert {partition.person(one.one), partition.person(one.other)} == set(PERSONS)


@given(st.lists(LESSER, max_size=8), LESSER)
def test_one_more_joining_never_parts_two(joinings: list[Joining], more: Joining) -> None:
    before, after = Partition(joinings), Partition([*joinings, more])
    for one, other in combinations(KEYS, 2):
        if before.person(one) is not None and before.person(one) == before.person(other):
            assert after.person(one) == after.person(other)


@given(st.lists(st.integers(0, 999), unique=True), st.integers(0, 999))
def test_an_end_between_two_cuts_counts_as_the_later(ends: list[int], at: int) -> None:
    told = [Joining(1, KEYS[0], KEYS[1], "", f"{end:03}") for end in ends]
    found = cuts(told)
    assert found == sorted(found)
    assert len(found) <= 64
    assert (found[-1:] or [""]) == [max((one.valid_until for one in told), default="")]
    assert set(found) <= {one.valid_until for one in told}
    assert sum(in_force(one, f"{at:03}") for one in told) == sum(end >= at for end in ends)


# -- what sources tell -------------------------------------------------------------------------------


def sha(name: str) -> str:
    return (name * 40).encode().hex()[:40]


def somebody(name: str, email: str) -> Identity:
    return Identity(name=name, email=email)


def commit(
    name: str, author: Identity, committer: Identity | None = None, trailers: Any = ()
) -> CommitObserved:
    return CommitObserved(
        repository="infra",
        commit=sha(name),
        tree=sha("t"),
        parents=[],
        author=author,
        committer=committer or author,
        message=name,
        trailers=list(trailers),
        object_digest="",
    )


def listed(number: int, **authors: str) -> PullRequestListed:
    """Commits by name, each with the login that the forge gives to its author."""
    commits = [
        ProposedCommit(commit=sha(name), author=Identity(login=login))
        for name, login in authors.items()
    ]
    return PullRequestListed(
        repository="infra", forge=FORGE, number=number, head=sha("h"), commits=commits
    )


def review(login: str, *, bot: bool = False, email: str = "", name: str = "") -> ReviewSubmitted:
    return ReviewSubmitted(
        repository="infra",
        forge=FORGE,
        number=1,
        review=f"{login} {bot} {email}",
        reviewer=Identity(login=login, email=email, name=name),
        reviewer_is_bot=bot,
        state="approved",
        commit=sha("h"),
        submitted_at="2024-09-01T10:00:00Z",
    )


def tell(ledger: Ledger, *facts: Event, apart: bool = False) -> None:
    said = "2025-01-01T00:00:00Z"
    events = [
        NewEvent(
            stream="test", key=f"{ledger.clock} {place}", source="test", occurred_at=said, data=one
        )
        for place, one in enumerate(facts)
    ]
    for some in [[one] for one in events] if apart else [events]:
        ledger.tell(*some)


def people(ledger: Ledger, where: str = "kind <> 'name'") -> list[Row]:
    sql = f"select person, value, ground, grade, counts from people where {where} order by 1, 2, 3"
    return ledger.rows(sql)


def persons(ledger: Ledger) -> dict[str, set[str]]:
    """The names of each person of more than one."""
    found: dict[str, set[str]] = {}
    for person, value, *_ in people(ledger):
        found.setdefault(person, set()).add(value)
    return found


def asked(ledger: Ledger, ask: Any, *arguments: Any) -> Any:
    """What a question of the projection answers."""
    with ledger.store() as store:
        documents = Documents(registry.parsers, store.content)
        return ask(Workspace(store, registry.projections(), documents), *arguments)


def tables(ledger: Ledger) -> dict[str, list[Row]]:
    """Every table of people, without what may differ."""
    [projection] = [one for one in registry.projections() if one.name == "people"]
    found = {}
    for table in projection.tables:
        names = [one for one in table.columns if one not in ("evidence_position", "recorded_at")]
        found[table.name] = sorted(ledger.rows(f"select {', '.join(names)} from {table.name}"))
    return found


@pytest.fixture
def ledger(tmp_path: Path, database_url: str) -> Ledger:
    """A ledger without sources, on both kinds of database."""
    return make_ledger(tmp_path / "ledger", database=database_url)


STORY: list[Event] = [
    commit("a", somebody("Mona Lisa", "Mona@Example.org")),
    commit("z", somebody("Mona Lisa", "mona@example.org")),
    commit("b", somebody("mona  lisa", "mona@old.example.org")),
    commit("c", somebody("M.", "7+mona@users.noreply.github.com")),
    commit("d", somebody("Bob", "bob@example.org"), somebody("GitHub", "noreply@github.com")),
    commit("e", somebody("Robot", "9+renovate[bot]@users.noreply.github.com")),
    commit(
        "f", somebody("root", "root@localhost"), None,
        [Trailer(key="Co-authored-by", value="Carl <carl@example.org>")],
    ),
    listed(1, a="Mona", d="bob", f="bob"),
    listed(2, z="mona", e="renovate[bot]"),
    review("carl", email="Carl@example.org", name="Carl"),
    review("argus", bot=True),
    review("argus"),
    review("dora@acme.example"),
    TeamObserved(forge="github.com", team="acme/sre", members=[Identity(login="erin")], at=""),
    RefPushed(repository="infra", forge=FORGE, ref="refs/heads/main", pusher_is_bot=True),
    PersonMapped(person="Bob B", identities=[Identity(login="bob"), Identity(email="bob@b.org")]),
]  # fmt: skip


def test_a_forge_a_convention_and_the_configuration_join_names_and_say_why(ledger: Ledger) -> None:
    tell(ledger, *STORY)
    assert people(ledger, "kind <> 'name' and ground is not null") == [
        ("Bob B", "bob", "commit", "reported", 1),
        ("Bob B", "bob", "configuration", "reported", 1),
        ("Bob B", "bob", "configuration", "reported", 1),
        ("Bob B", "bob@b.org", "configuration", "reported", 1),
        ("Bob B", "bob@example.org", "commit", "reported", 1),
        ("github.com/carl", "carl", "told", "reported", 1),
        ("github.com/carl", "carl@example.org", "told", "reported", 1),
        ("github.com/dora@acme.example", "dora@acme.example", "convention", "inferred", 1),
        ("github.com/dora@acme.example", "dora@acme.example", "convention", "inferred", 1),
        ("github.com/mona", "7+mona@users.noreply.github.com", "convention", "inferred", 1),
        ("github.com/mona", "mona", "commit", "reported", 1),
        ("github.com/mona", "mona", "convention", "inferred", 1),
        ("github.com/mona", "mona@example.org", "commit", "reported", 1),
        (RENOVATE, RENOVATES, "commit", "reported", 1),
        (RENOVATE, RENOVATES, "convention", "inferred", 1),
        (RENOVATE, "renovate[bot]", "commit", "reported", 1),
        (RENOVATE, "renovate[bot]", "convention", "inferred", 1),
    ]
    [[reason]] = ledger.rows("select reason from people where value = 'mona@example.org'")
    assert reason == (
        f"github.com says that mona is the author of {sha('a')[:12]}, which bears this address"
    )


def test_a_shown_name_joins_nothing_and_is_listed_as_a_suggestion(ledger: Ledger) -> None:
    tell(ledger, *STORY)
    sql = "select person, value, grade, reason from people where ground = 'suggestion' order by 1"
    said = "perhaps they are one, but a name joins nothing"
    assert [(row[0], row[1], row[2]) for row in ledger.rows(sql) if said in row[3]] == [
        ("github.com/mona", "Mona Lisa", "unlinked"),
        ("mona@old.example.org", "mona  lisa", "unlinked"),
    ]
    assert people(ledger, "value = 'mona@old.example.org'") == [
        ("mona@old.example.org", "mona@old.example.org", None, "unlinked", 0)
    ]


def test_an_address_of_nobody_joins_nothing_even_where_a_forge_says_so(ledger: Ledger) -> None:
    tell(ledger, *STORY)
    assert people(ledger, "value = 'root@localhost'")[0][2:] == (None, "unlinked", 0)


def test_every_view_row_has_its_evidence(ledger: Ledger) -> None:
    tell(ledger, *STORY)
    assert ledger.rows(
        "select count(*) from people left join events on position = evidence_position "
        "where position is null"
    ) == [(0,)]


def test_bots_are_told_in_the_view_and_to_other_projections(ledger: Ledger) -> None:
    tell(ledger, *STORY)
    assert ledger.rows("select distinct value from people where bot = 1 order by 1") == [
        ("9+renovate[bot]@users.noreply.github.com",), ("Robot",), ("argus",), ("renovate[bot]",),
    ]  # fmt: skip
    for who, expected in (
        (Identity(login="Argus"), True),
        (Identity(login="mona"), False),
        (Identity(email="9+renovate[bot]@users.noreply.github.com"), True),
        (Identity(login="unheard-of[bot]"), True),
    ):
        assert asked(ledger, is_bot, FORGE, who) is expected
    robot = commit("g", somebody("", "argus@acme.example"))
    tell(ledger, robot, listed(3, g="argus"))
    assert asked(ledger, is_bot, FORGE, Identity(email="argus@acme.example"))
    mapped = PersonMapped(person="M", bot=True, identities=[Identity(login="github.com/mona")])
    tell(ledger, mapped)
    assert asked(ledger, is_bot, FORGE, Identity(email="mona@example.org"))


def test_equal_texts_are_one_person_and_who_is_not_joined_stays_as_they_are(ledger: Ledger) -> None:
    tell(ledger, *STORY)

    def who(login: str = "", email: str = "") -> Any:
        return asked(ledger, person_of, "github.com", Identity(login=login, email=email))

    assert who("MONA") == who(email="mona@example.org") == "person: github.com/mona"
    assert who("bob") == who(email="BOB@b.org") == who(email="bob@example.org") == "person: Bob B"
    assert who("erin") == "erin"
    assert who("Never-Seen") == "never-seen"
    assert who(email="mona@old.example.org") == "<mona@old.example.org>"
    assert who(email="root@localhost") == who() == who(email="odd") == who("a b") == ""
    other = asked(ledger, person_of, "gitlab.com", Identity(login="mona"))
    assert other == "mona", "a login is one host's"


def test_the_version_moves_with_every_new_joining_and_only_then(ledger: Ledger) -> None:
    def version() -> str:
        row = asked(ledger, lambda context: context.get(PeopleVersionRow, "people"))
        assert row is None or not row.dirty
        return row.digest if row else ""

    seen = [version()]
    for fact, moves in (
        (commit("q", somebody("Q", "q@x.org")), False),
        (listed(1, q="quinn"), True),
        (listed(2, q="Quinn"), False),
        (review("quinn", bot=True), True),
        (PersonMapped(person="Q", identities=[Identity(email="q@x.org")]), True),
        (PersonMapped(person="Q"), True),
    ):
        tell(ledger, fact)
        seen.append(version())
        assert (seen[-1] != seen[-2]) is moves, fact


# -- the configuration -------------------------------------------------------------------------------


def configured(ledger: Ledger, *given: PersonSettings) -> Ledger:
    """The ledger after an ingest with these persons."""
    after = ledger.replace(person=list(given))
    after.ingest()
    return after


def test_a_mapping_is_recorded_once_with_its_time_and_taken_back_when_it_is_gone(
    ledger: Ledger,
) -> None:
    tell(ledger, review("mona"), review("mona-two"))
    both = PersonSettings(name="Mona", logins=["github.com/mona", "mona-two"])
    ledger = configured(ledger, both)
    told = ledger.now
    configured(ledger, both)
    assert len(ledger.events(PersonMapped)) == 1
    assert person(ledger, "mona") == person(ledger, "mona-two") == "person: Mona"
    ledger = configured(ledger)
    taken_back = ledger.now
    assert person(ledger, "mona") == "mona"
    times = "select distinct valid_from, valid_until, counts from people where ground is not null"
    assert ledger.rows(times) == [(told, taken_back, 0)]
    assert msgspec.to_builtins(ledger.events(PersonMapped)[1].data) == {"person": "Mona"}
    configured(ledger, both)
    assert person(ledger, "mona") == "person: Mona"


def person(ledger: Ledger, login: str, at: str = "") -> Any:
    return asked(ledger, person_of, "github.com", Identity(login=login), at)


def test_a_login_of_any_forge_is_mapped_also_where_it_is_first_seen_later(ledger: Ledger) -> None:
    ledger = configured(ledger, PersonSettings(name="Mona", logins=["mona"]))
    tell(ledger, review("Mona"))
    assert person(ledger, "mona") == "person: Mona"


def test_what_was_taken_back_still_counts_for_what_merged_before(ledger: Ledger) -> None:
    tell(ledger, review("mona"), review("mona-two"))
    ledger = configured(ledger, PersonSettings(name="Mona", logins=["mona", "mona-two"]))
    ledger = configured(ledger)
    for at in ("2019-01-01T00:00:00Z", ledger.now):
        assert person(ledger, "mona", at) == person(ledger, "mona-two", at) == "person: Mona"
    assert person(ledger, "mona", "2099-01-01T00:00:00Z") == "mona"


def test_what_the_configuration_gives_to_another_was_a_mistake_and_never_counts(
    ledger: Ledger,
) -> None:
    tell(ledger, review("mona"), review("lisa"))
    ledger = configured(ledger, PersonSettings(name="Mona", logins=["mona", "lisa"]))
    before = ledger.now
    ledger = configured(
        ledger, PersonSettings(name="Mona", logins=["mona"]),
        PersonSettings(name="Lisa", logins=["lisa"]),
    )  # fmt: skip
    assert person(ledger, "mona", before) == "person: Mona"
    assert person(ledger, "lisa", before) == "person: Lisa"
    [row] = people(ledger, "joined_to = 'Mona' and value = 'lisa' and forge <> ''")
    assert row == ("Lisa", "lisa", "configuration", "unlinked", 0)


def test_two_persons_of_the_configuration_are_never_joined_and_the_contradiction_is_shown(
    ledger: Ledger,
) -> None:
    tell(ledger, commit("a", somebody("A", "ann@x.org")), listed(1, a="bob"))
    assert person(ledger, "bob") == "person: github.com/bob"
    ledger = configured(
        ledger, PersonSettings(name="Ann", emails=["ann@x.org"]),
        PersonSettings(name="Bob", logins=["bob"]),
    )  # fmt: skip
    assert people(ledger, "ground = 'commit'") == [
        ("Ann", "ann@x.org", "commit", "unlinked", 0),
        ("Bob", "bob", "commit", "unlinked", 0),
    ]
    [[reason]] = ledger.rows("select distinct reason from people where ground = 'commit'")
    assert reason.endswith(
        "ledger.toml says that they are two persons: a contradiction, not joined"
    )
    ledger = configured(ledger)
    assert people(ledger, "ground = 'commit'")[0][3:] == ("reported", 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 'A'\nlogins = ['x']\n[[person]]\nname = 'B'\nlogins = ['X']", "x is given to 'A'"),
        (
            "name = 'A'\nlogins = ['x']\n[[person]]\nname = 'A'\nlogins = ['y']",
            "the name A is given",
        ),
        ("name = 'a@b'\nlogins = ['x']", "cannot be called 'a@b'"),
        ("name = 'A'", "neither logins nor emails"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    file = tmp_path / "ledger.toml"
    file.write_text(f"database = 'sqlite:///ledger.db'\n[[person]]\n{text}\n", "utf-8")
    monkeypatch.setenv("LEDGER_CONFIG", str(file))
    with pytest.raises(UsageError, match=said.replace("'", ".")):
        config.load()


# -- .mailmap of a tracked branch --------------------------------------------------------------------

OLD, NEW = Person("Ann", "ann@old.example.org"), Person("Ann A", "ann@example.org")


def test_the_mailmap_of_a_tracked_branch_joins_addresses_while_it_says_so(
    tmp_path: Path, database_url: str
) -> None:
    repo = make_repo(tmp_path / "infra.git")
    repo.commit({"a": "1"}, author=OLD, when="2024-01-01T00:00:00Z")
    repo.commit({"a": "2"}, author=NEW, when="2024-02-01T00:00:00Z")
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=database_url)
    ledger.grow()
    assert "ann@example.org" in persons(ledger)
    says = "Ann <ann@example.org> <ANN@old.example.org>\n"
    repo.commit({".mailmap": says}, author=NEW, when="2024-03-01T00:00:00Z")
    ledger.grow()
    assert persons(ledger)["ann@example.org"] == {"ann@example.org", "ann@old.example.org"}
    repo.commit({".mailmap": f"# more\n{says}"}, author=NEW, when="2024-04-01T00:00:00Z")
    repo.commit({".mailmap": "# none\n"}, author=NEW, when="2024-05-01T00:00:00Z")
    ledger.grow()
    sql = (
        "select valid_from, valid_until, counts, grade, reason from people "
        "where ground = 'mailmap' and value = 'ann@old.example.org'"
    )
    reason = "the .mailmap of infra on main said so, which anybody who can merge can edit"
    assert ledger.rows(sql) == [
        ("2024-03-01T00:00:00Z", "2024-05-01T01:00:00Z", 0, "reported", reason)
    ]
    same = tables(ledger)
    ledger.rebuild()
    assert tables(ledger) == same

    def who(email: str, at: str) -> Any:
        return asked(ledger, person_of, "github.com", Identity(email=email), at)

    for at, joined in (
        ("2024-05-01T00:59:59Z", True),
        ("2024-05-01T01:00:01Z", False),
        ("", False),
    ):
        assert (who(NEW.email, at) == who(OLD.email, at)) is joined, at


def test_the_mailmap_of_a_pull_request_joins_from_its_merge_on(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "infra.git")
    base = repo.commit({"a": "1"}, author=OLD)
    says = {".mailmap": "Ann <ann@example.org> <ann@old.example.org>\n"}
    head = repo.commit(says, author=NEW, branch=None, parents=[base])
    repo.pull_head(1, head)
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    assert not people(ledger, "ground = 'mailmap'")
    repo.force(head)
    ledger.grow()
    assert people(ledger, "ground = 'mailmap' and counts = 1")


def test_a_mailmap_that_was_displaced_no_longer_joins(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "infra.git")
    base = repo.commit({"a": "1"}, author=OLD)
    repo.commit({".mailmap": "Ann <ann@example.org> <ann@old.example.org>\n"}, author=NEW)
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    assert people(ledger, "ground = 'mailmap' and counts = 1")
    repo.force(base)
    repo.commit({"a": "2"}, author=NEW)
    ledger.grow()
    assert not people(ledger, "ground = 'mailmap' and counts = 1")
    assert people(ledger, "ground = 'mailmap' and counts = 0")


# -- order -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """The tables as the story is told."""
    ledger = make_ledger(tmp_path_factory.mktemp("straight"))
    tell(ledger, *STORY)
    return tables(ledger)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(STORY[:-1]), apart=st.booleans())
@example(order=STORY[-2::-1], apart=True)
def test_no_order_and_no_batches_make_a_difference(
    tmp_path_factory: pytest.TempPathFactory,
    straight: dict[str, list[Row]],
    order: list[Event],
    apart: bool,
) -> None:
    ledger = make_ledger(tmp_path_factory.mktemp("order"))
    tell(ledger, *order, STORY[-1], apart=apart)
    assert tables(ledger) == straight


def test_both_databases_and_a_rebuild_give_the_same_view(
    ledger: Ledger, straight: dict[str, list[Row]]
) -> None:
    tell(ledger, *STORY)
    found = tables(ledger)
    assert found == straight
    view = ledger.rows("select * from people order by 1, 2, 3, 4, 5, 6, 8")
    ledger.rebuild()
    assert tables(ledger) == found
    assert ledger.rows("select * from people order by 1, 2, 3, 4, 5, 6, 8") == view


# -- what follows for approvals, and the command --------------------------------------------------------


def merged(author: str) -> PullRequestMerged:
    pull = PullRequest(
        number=1, author=Identity(login=author), head=sha("h"), updated_at="2024-09-01T11:00:00Z"
    )
    return PullRequestMerged(
        repository="infra",
        forge=FORGE,
        pull_request=pull,
        merge_commit=sha("m"),
        merged_at="2024-09-01T11:00:00Z",
        merged_by=Identity(login="bob"),
    )


def verdict(ledger: Ledger) -> str:
    [[found]] = ledger.rows("select approval from pull_requests where number = 1")
    return str(found)


def test_an_approval_of_ones_own_second_account_is_none_whenever_that_comes_out(
    ledger: Ledger,
) -> None:
    tell(ledger, merged("mona"), review("mona-two"))
    assert verdict(ledger) == "approved"
    both = PersonSettings(name="Mona", logins=["mona", "mona-two"])
    ledger = configured(ledger, both)
    assert verdict(ledger) == "unapproved"
    ledger = configured(ledger)
    assert verdict(ledger) == "unapproved", "it merged before that was taken back"
    ledger = configured(
        ledger,
        PersonSettings(name="Mona", logins=["mona"]),
        PersonSettings(name="Other", logins=["mona-two"]),
    )
    assert verdict(ledger) == "approved", "that it was one person was a mistake"


def test_an_approval_is_refused_where_a_forge_gives_both_logins_one_address(ledger: Ledger) -> None:
    tell(ledger, merged("mona"), review("lisa"), commit("a", somebody("L", "l@x.org")))
    tell(ledger, listed(8, a="lisa"))
    assert verdict(ledger) == "approved"
    tell(ledger, commit("b", somebody("L", "L@X.org")), listed(9, b="mona"))
    assert verdict(ledger) == "unapproved"


def test_a_bot_by_configuration_approves_nothing(ledger: Ledger) -> None:
    tell(ledger, merged("mona"), review("approver"))
    assert verdict(ledger) == "approved"
    robot = PersonSettings(name="Approver", logins=["github.com/approver"], bot=True)
    ledger = configured(ledger, robot)
    assert verdict(ledger) == "unapproved"


def test_the_command_tells_who_an_address_is_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = make_ledger(tmp_path / "ledger")
    tell(ledger, *STORY)
    monkeypatch.setenv("LEDGER_CONFIG", str(ledger.settings.folder / "ledger.toml"))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["people", *arguments])

    text = run("MONA@example.org").output
    assert text.splitlines()[0] == "github.com/mona"
    assert "  email    mona@example.org = github.com/mona  (reported: github.com says" in text
    assert text.count(" = ") == 2, "each joining once"
    assert "Bob" not in text
    both = json.loads(run("mona lisa", "-o", "json").output)["people"]
    assert [one["person"] for one in both] == ["github.com/mona"]
    everybody = json.loads(run("-o", "json").output)["people"]
    assert {one["person"] for one in everybody} >= {"Bob B", "github.com/argus", "root@localhost"}
    assert [one["person"] for one in everybody if one["bot"]] == ["github.com/argus", RENOVATE]
    with pytest.raises(NotFoundError, match="nobody is called 'zoe'"):
        CliRunner().invoke(cli, ["people", "zoe"], catch_exceptions=False, standalone_mode=False)
    with pytest.raises(NotFoundError, match="nobody is called 'mon'") as near:
        CliRunner().invoke(cli, ["people", "mon"], catch_exceptions=False, standalone_mode=False)
    assert near.value.hint.endswith("Perhaps: github.com/mona, mona@old.example.org.")
