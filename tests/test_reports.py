"""Reports: complete, honest about what is missing, harmless to open, the same again, and verifiable."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from markupsafe import Markup
from pypdf import PdfReader

from ledger import controls
from ledger.cli import cli
from ledger.config import EnvironmentSettings
from ledger.errors import IntegrityError, LedgerError, NotFoundError, UsageError
from ledger.events import (
    Application,
    ApplicationCreated,
    ApplicationSource,
    ClusterSurveyed,
    CollectorGap,
    Identity,
    NewEvent,
    PullRequest,
    PullRequestMerged,
    ReportIssued,
    ReviewSubmitted,
    Sync,
    SyncApplied,
)
from ledger.periods import Period, parse_period
from ledger.reports import find, find_all, pdf, templates
from ledger.reports.facts import Hole
from ledger.reports.issue import Issued, issue
from ledger.reports.shown import Shown, address, any_character
from ledger.reports.verify import verify
from ledger.testing import Ledger, Person, make_ledger, make_repo, track

NAME = "change-control-evidence"
NOW = "2026-11-23T01:00:00Z"
JANUARY = parse_period("2025-01", "UTC", NOW)
FORGE = "forge.example/acme/infra"
EVIL = "<script>alert(1)</script>"
HIDDEN = "exe.\u202etxt\x07 נעה 田中 🚀 \u2fe0"


def recorded(ledger: Ledger, *events: tuple[str, Any], at: str = "2025-01-20T00:00:00Z") -> None:
    """Appends facts as their sources would, each under a key of its own."""
    made = [
        NewEvent(stream="test", key=key, source="test", occurred_at=at, data=data)
        for key, data in events
    ]
    with ledger.store() as store:
        store.append(made, source="test", recorded_at=at)


def synced(
    commit: str, *, application: str = "payments", at: str = "2025-01-10T12:00:00Z"
) -> SyncApplied:
    source = ApplicationSource(url="https://forge.example/acme/infra", repository="infra", path=".")
    sync = Sync(
        cluster="prod-eu" if application == "payments" else "lab",
        namespace="argocd",
        application=application,
        uid=application,
        sources=[source],
        revisions=[commit],
        started_at=at,
        finished_at=at,
        initiated_by="argocd",
        automated=True,
    )
    return SyncApplied(sync=sync)


def created(application: str, cluster: str) -> ApplicationCreated:
    source = ApplicationSource(url="https://forge.example/acme/infra", repository="infra", path=".")
    told = Application(
        cluster=cluster, namespace="argocd", name=application, uid=application, sources=[source],
        destination=cluster, destination_namespace=application,
    )  # fmt: skip
    return ApplicationCreated(application=told, created_at="2025-01-01T00:00:00Z")


@pytest.fixture
def story(tmp_path: Path, database_url: str) -> Ledger:
    """A pull request that was approved, a direct push with hostile text, a forced push; both applied."""
    return make_story(tmp_path, database_url)


def make_story(folder: Path, database_url: str) -> Ledger:
    repo = make_repo(folder / "infra")
    start = repo.commit({"a.yaml": "a: 1\n"}, "Start", when="2025-01-01T00:00:00")
    environments = [EnvironmentSettings(name="production", tier="production", clusters=["prod-eu"])]
    ledger = make_ledger(
        folder / "ledger",
        track(repo, forge=FORGE),
        environments=environments,
        database=database_url,
    )
    ledger.grow()
    head = repo.commit(
        {"a.yaml": "a: 2\n"}, "Two", branch="two", parents=[start], when="2025-01-02T00:00:00"
    )
    repo.pull_head(7, head)
    merged = repo.merge("two", "Merge pull request #7 from ann/two", when="2025-01-03T00:00:00")
    evil = repo.commit(
        {"a.yaml": "a: 3\n"},
        f"=cmd|' /C calc'!A0 {EVIL} {HIDDEN}",
        author=Person(HIDDEN, "e@example.org"),
        when="2025-01-04T00:00:00",
    )
    ledger.grow()
    repo.force(merged)
    ledger.grow()
    pull = PullRequest(
        number=7, title="Two", author=Identity(login="ann"), head=head, base="main",
        url="https://forge.example/acme/infra/pull/7",
    )  # fmt: skip
    recorded(
        ledger,
        ("pull", PullRequestMerged(repository="infra", forge=FORGE, pull_request=pull, merge_commit=merged,
                                   merged_at="2025-01-03T00:00:00Z", merged_by=Identity(login="ann"))),
        ("review", ReviewSubmitted(repository="infra", forge=FORGE, number=7, review="1", state="approved",
                                   reviewer=Identity(login="bob"), commit=head,
                                   submitted_at="2025-01-02T12:00:00Z")),
        ("app", created("payments", "prod-eu")),
        ("app2", created("lab", "lab")),
        ("sync 0", synced(start, at="2025-01-02T00:00:00Z")),
        ("sync 1", synced(merged, at="2025-01-10T12:00:00Z")),
        ("sync 2", synced(evil, at="2025-01-11T12:00:00Z")),
        ("sync 3", synced(merged, application="lab", at="2025-01-12T12:00:00Z")),
        ("gap", CollectorGap(repository="infra", kind="lost", detail=f"a delivery {EVIL}",
                             since="2025-01-05T00:00:00Z")),
    )  # fmt: skip
    return ledger


def made(ledger: Ledger, file: Path, period: Period = JANUARY, at: int | None = None) -> Issued:
    now = "2025-02-01T06:00:00Z"
    return issue(ledger.settings, NAME, period, file=file, at_position=at, clock=lambda: now)


class Page(HTMLParser):
    """The text of a page, its tags, and the addresses that it leads to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


# -- what a report says --------------------------------------------------------------------------


def test_one_report_is_shipped_and_names_its_controls() -> None:
    assert [one.name for one in find_all()] == [NAME]
    assert find(NAME).controls == ("CHG-01", "CHG-02", "CHG-03")
    with pytest.raises(NotFoundError, match="no report 'x'") as error:
        find("x")
    assert NAME in error.value.hint


def test_a_report_tells_populations_exceptions_gaps_and_what_it_rests_on(
    story: Ledger, tmp_path: Path
) -> None:
    done = made(story, tmp_path / "r.html")
    facts, page = done.facts, Page(tmp_path / "r.html")
    results = {one.control.id: one for one in facts.results}
    assert results["CHG-02"].population == 3
    assert results["CHG-02"].count("pass") == 1
    assert {one.outcome for one in results["CHG-01"].items} >= {"pass", "unknown"}
    assert "NOT EXTERNALLY ANCHORED" in page.text
    for told in (
        done.facts.standing.root,
        str(facts.standing.position),
        "January 2025",
        "Section 2.3 lists them",
    ):
        assert told in page.text
    assert [(one.kind, one.abandoned) for one in facts.moves] == [("forced", 1)]
    assert [one.detail for one in facts.gaps] == [f"a delivery {EVIL}"]
    assert [(one.cluster, one.application) for one in facts.unmapped] == [("lab", "lab")]
    assert [(one.repository, one.complete) for one in facts.surveys] == [("infra", True)]
    assert facts.standing.position == facts.standing.events
    for control in results.values():
        assert control.control.digest in page.text


def test_a_report_tells_what_nobody_read_and_what_no_application_ships(
    tmp_path: Path, database_url: str
) -> None:
    repo = make_repo(tmp_path / "infra")
    repo.commit({"apps/a/a.yaml": "a: 1\n"}, "Start", when="2025-01-01T00:00:00")
    repo.commit({"firewall/a.conf": "a\n"}, "Open", when="2025-01-02T00:00:00")
    mapped = EnvironmentSettings(name="production", paths=["apps/*", "firewall/*"])
    ledger = make_ledger(
        tmp_path / "ledger", track(repo), environments=[mapped], database=database_url
    )
    ledger.grow()
    source = ApplicationSource(url="-", repository="infra", path="apps/a")
    told = Application(
        cluster="hub", namespace="argocd", name="a", uid="a", sources=[source], destination="hub",
        destination_namespace="a",
    )  # fmt: skip
    created_at = "2025-01-03T12:00:00Z"
    looks = [
        NewEvent(stream="cluster/hub", key=at, source="kubernetes", occurred_at=at,
                 data=ClusterSurveyed(cluster="hub", observed_at=at, scopes=[]))
        for at in ("2025-01-02T00:00:00Z", "2025-01-27T08:00:00Z")
    ]  # fmt: skip
    with ledger.store() as store:
        store.append(looks, source="kubernetes", recorded_at="2025-01-27T08:00:00Z")
    recorded(ledger, ("a", ApplicationCreated(application=told, created_at=created_at)))
    facts = made(ledger, tmp_path / "r.html").facts
    page = Page(tmp_path / "r.html")
    [hub] = facts.looked
    assert hub in facts.unread
    assert hub.before == Hole("1 day", "2025-01-02T00:00:00Z", "2025-01-02T00:00:00Z")
    assert hub.after == Hole("4 days and 16 hours", *["2025-01-27T08:00:00Z"] * 2)
    assert "4 days and 16 hours not read after 2025-01-27T08:00:00Z" in page.text
    [one] = facts.unshipped
    assert (one.environment, one.patterns, one.subject, one.judged) == (
        "production", ("firewall/*",), "Open", False,
    )  # fmt: skip
    assert "NOT COVERED: landings in the period" in page.text
    assert sum(feed.events for feed in facts.feeds) == facts.standing.events
    tables = [int(number) for number in re.findall(r"Table (\d+)\.", page.text)]
    assert tables == list(range(1, len(tables) + 1))


def looked_at(ledger: Ledger, cluster: str, *times: str) -> None:
    events = [
        NewEvent(stream=f"cluster/{cluster}", key=f"{cluster} {at}", source="kubernetes", occurred_at=at,
                 data=ClusterSurveyed(cluster=cluster, observed_at=at, scopes=[]))
        for at in times
    ]  # fmt: skip
    with ledger.store() as store:
        store.append(events, source="kubernetes", recorded_at="2025-02-01T00:00:00Z")


def test_a_report_tells_how_seldom_each_cluster_was_looked_at(
    story: Ledger, tmp_path: Path
) -> None:
    often = [f"2025-01-{day:02}T00:00:00Z" for day in range(1, 32)]
    del often[9:12]
    looked_at(story, "often", "2024-12-31T12:00:00Z", *often, "2025-02-01T00:00:00Z")
    looked_at(story, "seldom", "2025-01-05T08:00:00Z", "2025-01-27T08:00:00Z")
    looked_at(story, "once", "2025-01-05T08:00:00Z")
    looked_at(story, "around", "2024-12-01T00:00:00Z", "2025-03-01T00:00:00Z")
    looked_at(story, "long ago", "2024-11-01T00:00:00Z", "2024-12-01T00:00:00Z")
    done, page = made(story, tmp_path / "r.html"), Page(tmp_path / "r.html")
    looked = {one.cluster: one for one in done.facts.looked}
    assert {name: one.looks for name, one in looked.items()} == {
        "around": 0, "long ago": 0, "often": 28, "once": 1, "seldom": 2,
    }  # fmt: skip
    between = {name: one.between for name, one in looked.items()}
    assert between == {
        "around": Hole("90 days", "2024-12-01T00:00:00Z", "2025-03-01T00:00:00Z"),
        "long ago": None,
        "often": Hole("4 days", "2025-01-09T00:00:00Z", "2025-01-13T00:00:00Z"),
        "once": None,
        "seldom": Hole("22 days", "2025-01-05T08:00:00Z", "2025-01-27T08:00:00Z"),
    }
    assert (looked["often"].before, looked["often"].after) == (None, None)
    assert looked["long ago"].after == Hole("31 days", *["2024-12-01T00:00:00Z"] * 2)
    assert "cluster seldom: 2 recorded looks in the period, up to 22 days apart" in page.text
    assert "What came and went between two looks is not seen" in page.text
    ever = made(story, tmp_path / "all.html", parse_period("all", "UTC", NOW)).facts
    [long_ago] = [one for one in ever.looked if one.cluster == "long ago"]
    assert (long_ago.looks, long_ago.before, long_ago.after) == (2, None, None)
    assert long_ago.between is not None
    assert long_ago.between.span == "30 days"


def test_that_no_failure_is_recorded_is_not_said_to_be_no_hole(
    story: Ledger, tmp_path: Path
) -> None:
    made(story, tmp_path / "r.html", parse_period("2024-12", "UTC", NOW))
    page = Page(tmp_path / "r.html")
    assert "No source recorded a failure that meets the period" in page.text
    assert "That none is recorded does not say that all was seen" in page.text
    assert "Times in which nobody looked are no failures" in page.text


def test_nothing_to_judge_is_never_called_a_pass(story: Ledger, tmp_path: Path) -> None:
    done = made(story, tmp_path / "r.html", parse_period("2031", "UTC", NOW))
    page = Page(tmp_path / "r.html")
    assert done.facts.population == 0
    assert "found nothing to judge. That is no pass" in page.text
    assert "An empty population is no pass." in page.text


def test_an_empty_ledger_has_no_report(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger")
    with pytest.raises(NotFoundError, match="nothing is recorded yet"):
        made(ledger, tmp_path / "r.html")


def test_text_from_outside_can_neither_act_nor_hide(story: Ledger, tmp_path: Path) -> None:
    made(story, tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    raw = (tmp_path / "r.html").read_text("utf-8")
    assert "script" not in page.tags
    assert EVIL in page.text, "it is printed as the text that it is"
    assert not re.search("[\u202e\x07\u2fe0]", raw)
    assert "U+202E" in page.text
    assert "<bdi>" in raw
    assert {one.partition(":")[0] for one in page.addresses if not one.startswith("#")} <= {
        "https",
        "data",
    }


def test_the_attached_files_hold_every_item_and_no_formula(story: Ledger, tmp_path: Path) -> None:
    done = made(story, tmp_path / "r.html")
    raw = (tmp_path / "r.html").read_text("utf-8")
    links = dict(re.findall(r'download="([^"]+)" href="data:[^,]+,([^"]+)"', raw))
    files = {name: base64.b64decode(data) for name, data in links.items()}
    names = [f"CHG-0{number}.{kind}" for number in (1, 2, 3) for kind in ("csv", "json", "sql")]
    assert sorted(files) == [*names, "report.json"]
    rows = list(csv.DictReader(io.StringIO(files["CHG-02.csv"].decode())))
    exact = json.loads(files["CHG-02.json"])
    result = done.facts.results[1]
    assert len(rows) == len(exact) == result.population
    assert [one["item"] for one in exact] == [one.item for one in result.items]
    [evil] = [one for one in rows if "calc" in one["subject"]]
    assert evil["subject"].startswith("'=cmd|")
    assert next(one["subject"] for one in exact if "calc" in one["subject"]).startswith("=cmd|")
    summary = json.loads(files["report.json"])
    assert summary["files"] == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if name != "report.json"
    }
    assert summary["log"]["root"] == done.facts.standing.root
    assert [one["population"] for one in summary["controls"]] == [
        one.population for one in done.facts.results
    ]


def test_long_tables_are_cut_and_say_so(
    story: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.reports.pages.PRINTED", 1)
    made(story, tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    assert "The first 1 of 3; all rows are in the attached CHG-02.csv" in page.text
    assert "The first 1 of 2 are printed; all rows are in the attached CHG-02.csv" in page.text


def test_what_came_in_since_an_earlier_report_of_the_period_is_listed(
    story: Ledger, tmp_path: Path
) -> None:
    first = made(story, tmp_path / "first.html")
    assert first.facts.earlier is None
    recorded(
        story, ("late", synced("f" * 40, at="2025-01-30T00:00:00Z")), at="2025-02-02T00:00:00Z"
    )
    recorded(
        story,
        ("late 2", CollectorGap(repository="infra", kind="lost", detail="-")),
        at="2025-01-31T00:00:00Z",
    )
    second = made(story, tmp_path / "second.html")
    earlier = second.facts.earlier
    assert earlier is not None
    assert (earlier.position, earlier.digest) == (first.facts.standing.position, first.digest)
    assert [(one.type, one.count) for one in earlier.events] == [("collector.gap", 1)]
    assert [item.occurred_at for _, item in earlier.items] == ["2025-01-30T00:00:00Z"]
    other = made(story, tmp_path / "other.html", parse_period("2025", "UTC", NOW))
    assert other.facts.earlier is None, "another period is another report"


def test_a_projection_that_stopped_stops_the_report(story: Ledger, tmp_path: Path) -> None:
    with story.store() as store, store.connection.transaction():
        store.connection.execute(
            "update projection_state set failure = 'stopped at position 3: ouch'"
            " where projection = 'reports'"
        )
    with pytest.raises(LedgerError, match="stopped at position 3: ouch"):
        made(story, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


# -- issuing and verifying -----------------------------------------------------------------------


def test_issuing_records_what_the_report_stands_on(story: Ledger, tmp_path: Path) -> None:
    done = made(story, tmp_path / "r.html")
    event = story.events(ReportIssued)[-1]
    data = event.data
    assert isinstance(data, ReportIssued)
    assert done.recorded
    assert event.position == data.position == done.facts.standing.position
    assert (
        data.digest == done.digest == f"sha256:{hashlib.sha256(done.path.read_bytes()).hexdigest()}"
    )
    assert (data.root, data.format, data.period) == (done.facts.standing.root, "html", "2025-01")
    assert [one.population for one in data.controls] == [
        one.population for one in done.facts.results
    ]
    rows = story.rows("select report, position, digest, population from reports")
    assert rows == [(NAME, data.position, done.digest, done.facts.population)]


def test_the_same_position_gives_the_same_bytes_however_much_came_after(
    story: Ledger, tmp_path: Path
) -> None:
    first = made(story, tmp_path / "first.html")
    recorded(
        story, ("late", synced("e" * 40, at="2025-01-30T00:00:00Z")), at="2025-02-02T00:00:00Z"
    )
    before = len(story.events())
    again = made(story, tmp_path / "again.html", at=first.facts.standing.position)
    assert again.path.read_bytes() == first.path.read_bytes()
    assert not again.recorded
    assert len(story.events()) == before, "a repeat adds nothing"
    assert made(story, tmp_path / "new.html").digest != first.digest


def test_both_databases_give_the_same_bytes(
    tmp_path: Path, sqlite_url: str, postgres_url: str
) -> None:
    pages = []
    for url in (sqlite_url, postgres_url):
        ledger = make_story(tmp_path / "story", url)  # in one place, for its path stands in the log
        pages.append(made(ledger, tmp_path / "r.html").path.read_bytes())
        (tmp_path / "story").rename(tmp_path / f"story {len(pages)}")
    assert pages[0] == pages[1]


@pytest.mark.parametrize("position", [0, -1, 10_000])
def test_a_position_that_never_was_is_refused(
    tmp_path: Path, sqlite_url: str, position: int
) -> None:
    ledger = make_story(tmp_path, sqlite_url)
    with pytest.raises(UsageError, match=f"no position {position}"):
        made(ledger, tmp_path / "r.html", at=position)


def test_a_report_verifies_until_a_byte_of_it_is_changed(story: Ledger, tmp_path: Path) -> None:
    done = made(story, tmp_path / "r.html")
    recorded(story, ("more", CollectorGap(repository="infra", kind="lost", detail="-")))
    with story.store() as store:
        found = verify(store, done.path)
        assert (found.issued.digest, found.size) == (done.digest, done.facts.standing.position + 2)
        done.path.write_bytes(done.path.read_bytes()[:-1] + b" ")
        with pytest.raises(IntegrityError, match="is no report that this ledger issued"):
            verify(store, done.path)
        with pytest.raises(UsageError, match="cannot be read"):
            verify(store, tmp_path / "nowhere.pdf")


def test_a_report_does_not_verify_when_an_event_below_it_was_changed(
    tmp_path: Path, sqlite_url: str
) -> None:
    ledger = make_story(tmp_path, sqlite_url)
    done = made(ledger, tmp_path / "r.html")
    with ledger.store() as store:
        connection = store.connection
        triggers = connection.rows("select name from sqlite_master where type = 'trigger'")
        connection.script(f"drop trigger {name}" for (name,) in triggers)
        connection.execute(
            "update log_event set leaf = replace(leaf, 'Start', 'Stark') where position = 1"
        )
        connection.execute("update log_event set leaf = cast(leaf as blob)")
        with pytest.raises(IntegrityError, match="the log was changed"):
            verify(store, done.path)


def test_a_file_that_cannot_be_written_records_nothing(story: Ledger, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        made(story, tmp_path / "file" / "r.html")
    assert story.events(ReportIssued) == []


# -- PDF -----------------------------------------------------------------------------------------


def test_a_pdf_is_tagged_archivable_complete_reproducible_and_verifiable(
    tmp_path: Path, sqlite_url: str
) -> None:
    """One test, because a PDF takes seconds."""
    ledger = make_story(tmp_path, sqlite_url)
    done = made(ledger, tmp_path / "r.pdf")
    reader = PdfReader(done.path)
    metadata = reader.metadata
    assert metadata is not None
    assert metadata.title == f"Change control evidence, 2025-01, {done.facts.ledger}"
    assert metadata.creation_date_raw == metadata.modification_date_raw
    at = re.sub(r"\D", "", done.facts.standing.last_recorded_at)
    assert metadata.creation_date_raw == f"D:{at}Z", "the last event's time and no clock"

    catalog: Any = reader.trailer["/Root"]
    assert catalog["/Lang"] == "en"
    assert catalog["/MarkInfo"]["/Marked"]
    assert catalog["/StructTreeRoot"]
    xmp = catalog["/Metadata"].get_object().get_data().decode()
    assert 'pdfaid:part="3"' in xmp
    assert 'pdfaid:conformance="A"' in xmp
    assert "<pdfuaid:part>1</pdfuaid:part>" in xmp

    files = {name: data[0] for name, data in reader.attachments.items()}
    names = [f"CHG-0{number}.{kind}" for number in (1, 2, 3) for kind in ("csv", "json", "sql")]
    assert sorted(files) == [*names, "report.json"]
    digests = json.loads(files["report.json"])["files"]
    assert all(
        hashlib.sha256(files[name]).hexdigest() == digest for name, digest in digests.items()
    )
    related = [one.get_object() for one in catalog["/AF"]]
    assert len(related) == len(files), "each file once"
    assert {one["/UF"]: one["/AFRelationship"] for one in related} == {
        name: {"csv": "/Data", "sql": "/Source"}.get(name[-3:], "/Data") for name in names
    } | {"report.json": "/Supplement"}

    text = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    for told in (
        "NOT EXTERNALLY ANCHORED",
        EVIL,
        "U+202E",
        "U+2FE0",
        "田中",
        done.facts.standing.root[:20],
    ):
        assert told in text, told

    recorded(ledger, ("more", CollectorGap(repository="infra", kind="lost", detail="-")))
    again = made(ledger, tmp_path / "again.pdf", at=done.facts.standing.position)
    assert again.path.read_bytes() == done.path.read_bytes()
    with ledger.store() as store:
        assert verify(store, done.path).issued.format == "pdf"


def typeset(body: str) -> bytes:
    page = f"<html lang=en><title>t</title><h1>t</h1>{body}</html>"
    return pdf.typeset(page, (), time="2025-01-01T00:00:00Z", identifier=b"x" * 16)


@pytest.mark.parametrize(
    "body",
    [
        "<img alt=x src='file:///etc/passwd'>",
        "<link rel=attachment href='file:///etc/passwd'>",
        "<style>@import url(http://192.0.2.1/a.css)</style>",
    ],
)
def test_a_page_that_asks_for_anything_is_refused(body: str) -> None:
    with pytest.raises(LedgerError, match="the page asks for"):
        typeset(body)


def test_a_machine_without_pango_is_told_what_to_install() -> None:
    error = pdf._failure(3, "OSError: cannot load library 'libpango-1.0-0'")
    assert "cannot make a PDF" in error.message
    assert "libpangoft2-1.0-0" in error.hint
    assert "--file report.html" in error.hint


def test_the_fonts_draw_the_common_scripts_and_have_their_licences() -> None:
    for text in (
        "Zoë Ωмир Nguyễn",
        "עברית",
        "العربية",
        "हिन्दी",
        "ภาษาไทย",
        "漢字かなカナ한글",
        "🚀✓×",
    ):
        assert [char for char in text if char != " " and not pdf.draws(char)] == []
    assert not pdf.draws("\u2fe0")
    told = (pdf.fonts() / "README.md").read_text("utf-8")
    for font in pdf.fonts().glob("*.ttf"):
        assert f"`{font.name}`" in told
    for licence in re.findall(r"`(LICENSE-[\w-]+\.txt)`", told):
        assert "SIL OPEN FONT LICENSE" in (pdf.fonts() / licence).read_text("utf-8")


# -- text and addresses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("plain & <b>", "plain &amp; &lt;b&gt;"),
        ("a\u202eb", 'a<span class="code-point">U+202E</span>b'),
        ("\ud800", '<span class="code-point">U+D800</span>'),
        (
            "\ue000\u200d",
            '<span class="code-point">U+E000</span><span class="code-point">U+200D</span>',
        ),
        ("שלום", "<bdi>שלום</bdi>"),
        ("☃\ufe0f", "☃\ufe0f"),
        (Markup("<b>ours</b>"), "<b>ours</b>"),
        (7, "7"),
    ],
)
def test_what_cannot_be_seen_stands_as_its_code_point(text: Any, markup: str) -> None:
    assert str(Shown(any_character).value(text)) == markup


def test_a_character_without_a_glyph_stands_as_its_code_point() -> None:
    shown = Shown(lambda char: char.isascii())
    assert str(shown.value("a漢")) == 'a<span class="code-point">U+6F22</span>'
    assert shown.plain("a漢") == "aU+6F22"


def test_a_long_text_is_cut_and_says_how_much_is_missing() -> None:
    assert Shown(any_character).cut("x" * 1_700, 600).endswith("… 1,100 more characters</span>")
    assert Shown(any_character).cut("x" * 681, 600).endswith("… 81 more characters</span>")


def test_a_text_is_not_cut_where_the_note_would_be_as_long() -> None:
    assert Shown(any_character).cut("x" * 680, 600) == "x" * 680


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("https://forge.example/a/pull/7#x", True),
        ("http://forge.example:8080/a", True),
        ("javascript:alert(1)", False),
        ("file:///etc/passwd", False),
        ("https://user:secret@forge.example/", False),
        ("https://forge.example/\"onclick='x'", False),
        ("https://forge.example/\u202e", False),
        ("//forge.example/", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_only_plain_web_addresses_become_links(text: str, sound: bool) -> None:
    assert bool(address(text)) is sound


def test_a_template_that_asks_for_what_is_not_there_fails() -> None:
    from jinja2 import UndefinedError  # noqa: PLC0415

    with pytest.raises(UndefinedError):
        templates.fill(f"{NAME}.html.j2", {"report": object()}, "UTC", any_character)


# -- the command ---------------------------------------------------------------------------------


def ask(*words: str) -> Any:
    return CliRunner().invoke(cli, ["report", *words])


def test_the_command_writes_lists_and_verifies(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = make_story(tmp_path, sqlite_url)
    monkeypatch.setenv("LEDGER_CONFIG", str(ledger.settings.folder / "ledger.toml"))
    monkeypatch.chdir(tmp_path)
    told = json.loads(ask("list", "--output", "json").output)
    assert [(one["name"], one["controls"][0]) for one in told] == [(NAME, "CHG-01")]
    assert NAME in ask("list").output

    done = ask("run", NAME, "--period", "2025-01", "--file", "r.html")
    assert done.exit_code == 0, done.exception
    digest = hashlib.sha256((tmp_path / "r.html").read_bytes()).hexdigest()
    assert f"digest      sha256:{digest}\n" in done.output
    assert "CHG-02      3 items, " in done.output

    good = ask("verify", "r.html")
    assert good.exit_code == 0
    assert good.output.startswith(f"verified: r.html is {NAME} for 2025-01, as it was issued at ")
    (tmp_path / "r.html").write_bytes(b"other")
    bad = ask("verify", "r.html")
    assert isinstance(bad.exception, IntegrityError)
    assert bad.exception.exit_code == 1


def test_a_report_is_named_after_what_it_stands_on(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = make_story(tmp_path, sqlite_url)
    monkeypatch.setattr("ledger.reports.issue.render", lambda *_: b"%PDF-")
    done = issue(ledger.settings, NAME, JANUARY, folder=tmp_path / "out")
    assert done.path == tmp_path / "out" / f"{NAME}_2025-01_{done.facts.standing.position}.pdf"


def test_a_control_of_ones_own_may_not_take_the_place_of_a_shipped_one(
    tmp_path: Path, sqlite_url: str
) -> None:
    ledger = make_story(tmp_path, sqlite_url)
    folder = ledger.settings.folder / "controls"
    folder.mkdir()
    (folder / "mine.sql").write_text(controls.find(tmp_path, "CHG-01").text, "utf-8")
    with pytest.raises(UsageError, match="two controls are called CHG-01"):
        made(ledger, tmp_path / "r.html")
