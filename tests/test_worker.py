"""The worker: when things are due, one at a time, by one worker, whatever fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger import ingest as shell
from ledger.config import ReportSettings, Settings, SourceSettings, WorkerSettings
from ledger.cron import Cron, last_until, next_after, parse
from ledger.deliveries import Drained
from ledger.errors import SourceError, StoreError, UsageError
from ledger.events import ReportIssued
from ledger.ingest import Outcome
from ledger.periods import Period
from ledger.sources import Batch
from ledger.store import schedules
from ledger.store.drivers import driver_url
from ledger.store.leader import Lead
from ledger.testing import Ledger, Repo, make_ledger, make_repo, track
from ledger.worker import BUSY, Duties, Line, Progress, Worker, pollable
from ledger.worker.schedule import Schedule, due, next_run, read_schedules
from ledger.worker.signals import Stop

ZURICH = ZoneInfo("Europe/Zurich")
MONTHLY = ReportSettings(name="changes", cron="0 6 1 * *", period="last-month")


def local(text: str, zone: ZoneInfo = ZURICH) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def runs(text: str, after: str, count: int, zone: ZoneInfo = ZURICH) -> list[str]:
    """The next runs as the wall clock of the zone shows them."""
    cron, moment, found = parse(text), local(after, zone), []
    for _ in range(count):
        moment = next_after(cron, moment, zone)
        found.append(moment.astimezone(zone).strftime("%a %Y-%m-%d %H:%M"))
    return found


# -- cron expressions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("0 6 1 * *", "2026-09-15T12:00", ["Thu 2026-10-01 06:00", "Sun 2026-11-01 06:00"]),
        ("0 6 1 * *", "2026-10-01T06:00", ["Sun 2026-11-01 06:00"]),
        ("30 7 * * 1", "2026-09-15T12:00", ["Mon 2026-09-21 07:30"]),
        ("30 7 * * 0", "2026-09-15T12:00", ["Sun 2026-09-20 07:30"]),
        ("30 7 * * 7", "2026-09-15T12:00", ["Sun 2026-09-20 07:30"]),
        ("0 0 * * MON-Fri", "2026-09-18T00:00", ["Mon 2026-09-21 00:00"]),
        (
            "0 0 1,15 jan,jul *",
            "2026-02-01T00:00",
            ["Wed 2026-07-01 00:00", "Wed 2026-07-15 00:00"],
        ),
        ("*/20 5 * * *", "2026-09-15T05:10", ["Tue 2026-09-15 05:20", "Tue 2026-09-15 05:40"]),
        ("10-30/10 5 * * *", "2026-09-15T05:10", ["Tue 2026-09-15 05:20", "Tue 2026-09-15 05:30"]),
        ("0 22/1 * * *", "2026-09-15T05:10", ["Tue 2026-09-15 22:00", "Tue 2026-09-15 23:00"]),
        ("0 0 29 2 *", "2097-01-01T00:00", ["Fri 2104-02-29 00:00"]),
    ],
)
def test_five_fields_mean_what_crontab_says(text: str, after: str, expected: list[str]) -> None:
    assert runs(text, after, len(expected)) == expected


def test_a_day_of_the_month_and_one_of_the_week_are_either() -> None:
    found = runs("0 0 13 * 5", "2026-09-10T12:00", 3)
    assert found == ["Fri 2026-09-11 00:00", "Sun 2026-09-13 00:00", "Fri 2026-09-18 00:00"]
    # crontab(5): where one of them begins with a star, both must hold
    assert runs("0 0 */2 * 5", "2026-09-10T12:00", 1) == ["Fri 2026-09-11 00:00"]
    assert runs("0 0 13 * */5", "2026-09-10T12:00", 1) == ["Sun 2026-09-13 00:00"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("@monthly", "no cron expression of five fields"),
        ("0 6 1 *", "no cron expression of five fields"),
        ("0 0 6 1 * *", "no cron expression of five fields"),
        ("", "no cron expression of five fields"),
        ("60 * * * *", "'60' is no minute (0-59)"),
        ("0 24 * * *", "'24' is no hour (0-23)"),
        ("0 0 0 * *", "'0' is no day of the month (1-31)"),
        ("0 0 * 13 *", "'13' is no month (1-12)"),
        ("0 0 * * 8", "'8' is no day of the week (0-7)"),
        ("0 0 * foo *", "'foo' is no month (1-12)"),
        ("mon 0 * * *", "'mon' is no minute (0-59)"),
        ("*/0 * * * *", "'*/0' is no minute (0-59)"),
        ("9-5 * * * *", "'9-5' is no minute (0-59)"),
        ("1,,2 * * * *", "'' is no minute (0-59)"),
        ("٣ * * * *", "'٣' is no minute (0-59)"),
        ("0 0 31 2,4 *", "names a day that no month has"),
    ],
)
def test_what_is_no_cron_expression_is_refused_by_its_part(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text)
    assert reason in refused.value.message
    assert "five fields" in refused.value.hint


def test_a_time_that_is_skipped_in_spring_counts_when_the_clocks_are_put_forward() -> None:
    found = runs("30 2 * * *", "2026-03-27T12:00", 3)
    assert found == ["Sat 2026-03-28 02:30", "Sun 2026-03-29 03:00", "Mon 2026-03-30 02:30"]
    assert runs("*/30 2,3 * * *", "2026-03-28T12:00", 3) == [
        "Sun 2026-03-29 03:00",
        "Sun 2026-03-29 03:30",
        "Mon 2026-03-30 02:00",
    ]
    apia = ZoneInfo("Pacific/Apia")  # had no 30 December 2011
    assert runs("0 6 30 12 *", "2011-12-01T00:00", 1, apia) == ["Sat 2011-12-31 00:00"]


def test_a_time_that_comes_twice_in_autumn_counts_once() -> None:
    first = next_after(parse("30 2 * * *"), local("2026-10-24T12:00"), ZURICH)
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    second = next_after(parse("30 2 * * *"), first, ZURICH)
    assert second == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


_number = {"minute": (0, 59), "hour": (0, 23), "day": (1, 28), "month": (1, 12), "week": (0, 7)}
_fields = [
    st.one_of(
        st.just("*"), st.integers(low, high).map(str), st.integers(1, 9).map(lambda n: f"*/{n}")
    )
    for low, high in _number.values()
]
_minutes = st.integers(0, 10 * 366 * 24 * 60)
_moments = _minutes.map(lambda count: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=count))
_zones = st.sampled_from(["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe"])


@given(st.tuples(*_fields).map(" ".join), _moments, _zones)
@example("30 2 * * *", datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "Europe/Zurich")
@example("*/9 * * * *", datetime(2026, 10, 25, 0, 59, tzinfo=UTC), "Europe/Zurich")
@example("0 0 29 2 */7", datetime(2072, 3, 1, tzinfo=UTC), "UTC")
def test_the_next_run_and_the_last_one_agree(text: str, moment: datetime, name: str) -> None:
    cron, zone = parse(text), ZoneInfo(name)
    following = next_after(cron, moment, zone)
    assert following > moment
    assert last_until(cron, following, zone) == following
    before = last_until(cron, following - timedelta(seconds=1), zone)
    assert before <= moment
    assert next_after(cron, before, zone) == following


def matches(cron: Cron, wall: datetime) -> bool:
    return wall.minute in cron.minutes and wall.hour in cron.hours and cron.on(wall.date())


@given(st.tuples(*_fields).map(" ".join), _moments, _zones)
def test_no_matching_minute_is_left_out(text: str, moment: datetime, name: str) -> None:
    cron, zone = parse(text), ZoneInfo(name)
    minutes = [moment + timedelta(minutes=step) for step in range(1, 2_000)]
    walls = [one.astimezone(zone) for one in minutes]
    expected = next(
        (
            one
            for one, wall in zip(minutes, walls, strict=True)
            if matches(cron, wall) and not wall.fold
        ),
        None,
    )
    found = next_after(cron, moment, zone)
    if expected is not None:
        assert found <= expected
        if found != expected:  # the clocks skipped the time that was written
            assert (
                found.astimezone(zone).utcoffset()
                != (found - timedelta(minutes=1)).astimezone(zone).utcoffset()
            )


# -- what is due -----------------------------------------------------------------------------------


def schedule(text: str = "0 6 * * *", period: str = "last-day") -> Schedule:
    return Schedule("changes", period, parse(text), ZURICH)


def test_a_run_is_due_from_its_minute_on_until_it_is_done() -> None:
    daily = schedule()
    assert due(daily, "2026-09-14T04:00:00Z", "2026-09-15T03:59:59Z") == ""
    assert due(daily, "2026-09-14T04:00:00Z", "2026-09-15T04:00:00Z") == "2026-09-15T04:00:00Z"
    assert due(daily, "2026-09-14T04:00:00Z", "2026-09-15T23:00:00Z") == "2026-09-15T04:00:00Z"
    assert due(daily, "2026-09-15T04:00:00Z", "2026-09-15T23:00:00Z") == ""


def test_of_several_missed_runs_the_last_is_due_and_only_that() -> None:
    planned = due(schedule(), "2026-09-01T04:00:00Z", "2026-09-20T12:00:00Z")
    assert planned == "2026-09-20T04:00:00Z"
    assert due(schedule(), planned, "2026-09-20T12:00:00Z") == ""


def test_a_late_run_covers_the_period_it_was_planned_for() -> None:
    monthly = schedule("0 0 1 * *", "last-month")
    planned = due(monthly, "2026-09-02T00:00:00Z", "2026-10-17T12:00:00Z")
    assert planned == "2026-09-30T22:00:00Z"
    period = monthly.covers(planned)
    assert (period.name, period.start, period.end) == (
        "2026-09",
        "2026-08-31T22:00:00Z",
        "2026-09-30T22:00:00Z",
    )


def test_the_next_run_after_a_failure_is_an_hour_later_or_as_planned() -> None:
    daily = schedule()
    assert next_run(daily, "2026-09-15T04:00:00Z") == "2026-09-16T04:00:00Z"
    assert next_run(daily, "2026-09-15T04:00:00Z", failed=True) == "2026-09-15T05:00:00Z"
    assert next_run(daily, "2026-09-16T03:30:00Z", failed=True) == "2026-09-16T04:00:00Z"


def test_the_run_on_a_spring_forward_day_is_due_once() -> None:
    night = schedule("30 2 * * *")
    assert next_run(night, "2026-03-28T12:00:00Z") == "2026-03-29T01:00:00Z"
    assert due(night, "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z") == "2026-03-29T01:00:00Z"
    assert due(night, "2026-03-29T01:00:00Z", "2026-03-29T23:00:00Z") == ""


# -- the configuration -----------------------------------------------------------------------------


def known(report: str) -> None:
    if report != "changes":
        raise UsageError(f"there is no report {report!r}", hint="Reports: changes.")


def settings(*reports: ReportSettings, time_zone: str = "UTC") -> Settings:
    return Settings(database="sqlite:///x.db", report=list(reports), time_zone=time_zone)


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (settings(MONTHLY, time_zone="Mars/Olympus"), "'Mars/Olympus' is no time zone", "IANA"),
        (
            settings(ReportSettings(name="chages", cron="0 6 1 * *")),
            "ledger.toml: [[report]] 'chages': there is no report 'chages'",
            "Reports: changes.",
        ),
        (
            settings(ReportSettings(name="changes", cron="0 6 1 * *", period="last-fortnight")),
            "ledger.toml: [[report]] 'changes': 'last-fortnight' is no period",
            "last-day, last-week, last-month",
        ),
        (
            settings(ReportSettings(name="changes", cron="0 25 * * *")),
            "ledger.toml: [[report]] 'changes': cron '0 25 * * *': '25' is no hour (0-23)",
            "five fields",
        ),
        (settings(MONTHLY, MONTHLY), "[[report]] 'changes' stands there twice alike", ""),
    ],
)
def test_a_report_that_cannot_be_scheduled_is_refused_by_name(
    given: Settings, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as refused:
        read_schedules(given, known)
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_one_report_may_have_several_schedules() -> None:
    weekly = ReportSettings(name="changes", cron="0 6 * * 1", period="last-week")
    assert len({one.key for one in read_schedules(settings(MONTHLY, weekly), known)}) == 2


# -- the worker --------------------------------------------------------------------------------------


@dataclass
class Bench:
    """A worker with a clock of its own, on a real ledger; reports and deliveries are made up."""

    ledger: Ledger
    now: datetime = datetime(2020, 9, 15, 12, tzinfo=UTC)
    lines: list[Line] = field(default_factory=list)
    issued: list[tuple[str, str]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    stopped: bool = False
    delivered: Callable[[], Drained] = Drained
    on_wait: Callable[[], None] = lambda: None
    on_batch: Callable[[], None] = lambda: None
    fault: Exception | None = None

    def clock(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def wait(self, seconds: float) -> None:
        assert len(self.waits) < 10, self.told()
        self.waits.append(seconds)
        self.on_wait()

    def issue(self, report: str, period: Period) -> str:
        if self.fault is not None:
            raise self.fault
        self.issued.append((report, period.name))
        return f"reports/{report}-{period.name}.pdf"

    def duties(self) -> Duties:
        def ingest(name: str, progress: Progress) -> Outcome:
            def after(source: str, batch: Batch) -> None:
                self.on_batch()
                progress(source, batch)

            given = self.ledger.settings
            return shell.ingest(given, [name], clock=self.clock, progress=after, processes=1)[0]

        return Duties(ingest=ingest, drain=self.delivered, check=known, issue=self.issue)

    def worker(self, clock: Callable[[], str] | None = None) -> Worker:
        return Worker(
            self.ledger.settings,
            self.duties(),
            say=self.lines.append,
            stopping=lambda: self.stopped,
            wait=self.wait,
            clock=clock or self.clock,
        )

    def once(self) -> bool:
        self.lines.clear()
        return self.worker().once()

    def stop(self) -> None:
        self.stopped = True

    def told(self) -> list[str]:
        return [f"{one.job}: {one.text}" for one in self.lines]


def configured(ledger: Ledger, *reports: ReportSettings, every: int = 5) -> Bench:
    worker = WorkerSettings(every=every)
    return Bench(ledger.replace(report=list(reports), worker=worker, time_zone="Europe/Zurich"))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = make_repo(tmp_path / "infra.git")
    repo.commit({"app.yaml": "a: 1\n"}, "start")
    return repo


@pytest.fixture
def ledger(tmp_path: Path, repo: Repo, database_url: str) -> Ledger:
    return make_ledger(tmp_path / "ledger", track(repo), database=database_url)


def test_a_round_reads_every_source_and_takes_in_deliveries(ledger: Ledger) -> None:
    bench = configured(ledger)
    bench.delivered = lambda: Drained(read=3, appended=2)
    assert bench.once()
    assert [line.partition(":")[0] for line in bench.told()] == ["ingest infra", "deliveries"]
    assert bench.told()[0].endswith("new events")
    assert bench.once()
    assert bench.told()[1] == "deliveries: 3 recorded, 2 new events"
    bench.delivered = Drained
    assert bench.once()
    assert bench.told() == ["ingest infra: nothing new"]
    bench.delivered = lambda: Drained(read=2, appended=1, unreadable=1)
    assert not bench.once()
    assert "2 recorded, 1 new event; 1 could not be read" in bench.told()[1]


def test_what_fails_is_told_with_its_reason_and_next_run_and_stops_nothing(
    tmp_path: Path, ledger: Ledger, repo: Repo
) -> None:
    sources = [track(str(tmp_path / "nowhere"), "missing"), track(repo)]
    bench = configured(ledger.replace(source=sources), every=7)

    def broken() -> Drained:
        raise ZeroDivisionError("a fault of ours")

    bench.delivered = broken
    assert not bench.once()
    missing, infra, fault = bench.lines
    assert (missing.job, missing.failed) == ("ingest missing", True)
    assert "nowhere" in missing.text
    assert missing.text.endswith("; next run 2020-09-15T12:07:00Z")
    assert (infra.job, infra.failed) == ("ingest infra", False)
    assert fault.failed
    assert "internal error" in fault.text
    assert "ZeroDivisionError: a fault of ours" in fault.text


def test_a_source_that_fails_again_and_again_is_tried_less_often_until_it_answers(
    tmp_path: Path, ledger: Ledger, repo: Repo
) -> None:
    sources = [track(str(tmp_path / "late"), "late"), track(repo)]
    bench = configured(ledger.replace(source=sources), every=10)
    worker, start = bench.worker(), bench.now
    tried: list[int] = []
    last = ""
    for minute in range(0, 250, 10):
        bench.now = start + timedelta(minutes=minute)
        bench.lines.clear()
        worker.once()
        jobs = {one.job: one for one in bench.lines}
        assert not jobs["ingest infra"].failed
        if "ingest late" in jobs:
            tried.append(minute)
            last = jobs["ingest late"].text
        if minute == 190:
            assert "failed 6 times in a row, tried again from 2020-09-15T16:10:00Z" in last
            make_repo(tmp_path / "late").commit({"a.yaml": "a: 1\n"}, "at last")
    assert tried == [0, 10, 30, 70, 130, 190]
    bench.now = start + timedelta(minutes=250)
    for _ in range(2):
        bench.lines.clear()
        assert worker.once()
        assert "ingest late" in {one.job for one in bench.lines}
        bench.now += timedelta(minutes=10)
    assert len([one for one in ledger.events() if one.data.TYPE == "collector.gap"]) == 1


def test_a_new_schedule_catches_up_with_nothing(ledger: Ledger) -> None:
    bench = configured(ledger, MONTHLY)
    assert bench.once()
    assert bench.issued == []
    assert bench.told()[-1] == "report changes: not due; next run 2020-10-01T04:00:00Z"


def test_a_report_that_was_missed_is_written_exactly_once(ledger: Ledger) -> None:
    bench = configured(ledger, MONTHLY)
    bench.once()
    bench.now = datetime(2020, 12, 17, tzinfo=UTC)  # off on the first of three months
    assert bench.once()
    assert bench.issued == [("changes", "2020-11")]
    assert bench.told()[-1] == (
        "report changes: reports/changes-2020-11.pdf (2020-11, planned for 2020-12-01T05:00:00Z)"
    )
    assert bench.once()
    assert bench.once()
    assert bench.issued == [("changes", "2020-11")]


def test_a_report_that_fails_stays_due(ledger: Ledger) -> None:
    bench = configured(ledger, MONTHLY)
    bench.once()
    bench.now = datetime(2020, 10, 1, 4, 0, 3, tzinfo=UTC)
    bench.fault = SourceError("the disk is full", hint="Free some space.")
    assert not bench.once()
    assert bench.told()[-1] == (
        "report changes: the disk is full. Free some space.; next run 2020-10-01T05:00:03Z"
    )
    bench.fault = None
    bench.now = datetime(2020, 10, 3, tzinfo=UTC)
    assert bench.once()
    assert bench.issued == [("changes", "2020-09")]


def test_told_to_stop_the_batch_at_hand_is_kept_and_the_next_round_goes_on(ledger: Ledger) -> None:
    bench = configured(ledger, MONTHLY)
    kept: list[int] = []

    def on_batch() -> None:
        kept.append(len(ledger.events()))
        bench.stop()

    bench.on_batch = on_batch
    bench.worker().run()
    assert kept == [len(ledger.events())]
    assert kept[0] > 0
    assert bench.told()[-2:] == [
        "ingest infra: stopped between two batches; the next round goes on",
        "worker: stopped",
    ]
    left = Lead(ledger.settings.database_url)
    assert left.take()
    left.release()
    bench.stopped, bench.on_batch = False, lambda: None
    assert bench.once()
    assert ledger.rows("select number from revisions") == [(1,)]


def test_the_loop_does_what_is_due_at_once_and_then_waits(ledger: Ledger) -> None:
    bench = configured(ledger, MONTHLY, every=3)
    bench.on_wait = bench.stop
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    bench.worker(clock=lambda: now).run()
    jobs = [line.partition(":")[0] for line in bench.told()]
    assert jobs == ["worker", "worker", "ingest infra", "worker"]
    assert bench.told()[0] == f"worker: ingest: next run {now}"
    assert bench.told()[1].startswith("worker: report changes: next run ")
    assert len(bench.waits) == 1
    assert 0 <= bench.waits[0] <= 60  # a machine that slept is noticed within a minute


def test_the_loop_goes_on_after_a_failure_and_catches_up_at_start(ledger: Ledger) -> None:
    bench = configured(ledger, MONTHLY)
    bench.once()
    bench.now = datetime(2020, 10, 5, tzinfo=UTC)
    bench.fault = SourceError("no font")

    def on_wait() -> None:
        # The clock of any machine shows more than 2020, so the timer finds everything due at once.
        bench.now += timedelta(hours=1)
        bench.fault = None
        bench.stopped = len(bench.waits) > 3

    bench.on_wait = on_wait
    bench.lines.clear()
    bench.worker().run()
    told = [line for line in bench.told() if line.startswith("report")]
    assert told[0] == "report changes: no font; next run 2020-10-05T01:00:00Z"
    assert told[1].startswith("report changes: reports/changes-2020-09.pdf")
    assert bench.issued == [("changes", "2020-09")]
    first = bench.told().index(told[0])
    assert any(line.startswith("ingest infra") for line in bench.told()[:first])


def test_a_second_worker_waits_and_says_so_until_the_first_one_ends(ledger: Ledger) -> None:
    first = Lead(ledger.settings.database_url)
    assert first.take()
    bench = configured(ledger)

    def on_wait() -> None:
        if len(bench.waits) == 2:
            assert bench.told() == [f"worker: waits: {BUSY}"]
            first.release()
        bench.stopped = len(bench.waits) > 2

    bench.on_wait = on_wait
    bench.worker().run()
    assert bench.told()[:2] == [f"worker: waits: {BUSY}", "worker: has the lead now"]
    assert any(line.startswith("ingest infra") for line in bench.told())


def test_a_waiting_worker_can_be_stopped(ledger: Ledger) -> None:
    first = Lead(ledger.settings.database_url)
    assert first.take()
    bench = configured(ledger)
    bench.on_wait = bench.stop
    bench.worker().run()
    assert bench.told() == [f"worker: waits: {BUSY}"]
    first.release()


def test_one_round_beside_another_worker_is_refused(ledger: Ledger) -> None:
    first = Lead(ledger.settings.database_url)
    assert first.take()
    with pytest.raises(StoreError, match=BUSY):
        configured(ledger).once()
    first.release()
    assert configured(ledger).once()


def test_the_lead_is_one_for_each_database(tmp_path: Path, ledger: Ledger) -> None:
    other = make_ledger(tmp_path / "other")
    mine, theirs = Lead(ledger.settings.database_url), Lead(other.settings.database_url)
    assert mine.take()
    assert mine.take()  # again, by the one that holds it
    assert theirs.take()
    assert not Lead(ledger.settings.database_url).take()
    mine.release()
    theirs.release()


def test_ledgers_in_schemas_of_one_database_have_leads_of_their_own(postgres_url: str) -> None:
    with psycopg.connect(driver_url(postgres_url), autocommit=True) as connection:
        connection.execute("create schema audit")
    first, second = Lead(postgres_url), Lead(f"{postgres_url}&options=-csearch_path%3Daudit")
    assert first.take()
    assert second.take()
    first.release()
    second.release()


def test_a_lost_session_is_noticed_before_the_next_job(
    tmp_path: Path, repo: Repo, postgres_url: str
) -> None:
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=postgres_url)
    bench = configured(ledger)
    rival = Lead(postgres_url)

    def on_wait() -> None:
        if len(bench.waits) == 1:
            with psycopg.connect(driver_url(postgres_url), autocommit=True) as connection:
                connection.execute(
                    "select pg_terminate_backend(l.pid, 10000) from pg_locks l join pg_database d "
                    "on d.oid = l.database where l.locktype = 'advisory' "
                    "and d.datname = current_database()"
                )
            assert rival.take()
        elif len(bench.waits) == 2:
            assert bench.told()[-1] == f"worker: waits: {BUSY}"
            rival.release()
        bench.stopped = len(bench.waits) > 2

    bench.on_wait = on_wait
    bench.worker().run()
    assert "worker: has the lead now" in bench.told()


def test_what_cannot_be_polled_is_left_out_and_what_nobody_knows_is_refused(
    ledger: Ledger, repo: Repo
) -> None:
    assert pollable(ledger.settings) == ["infra"]
    odd = SourceSettings(kind="cvs", name="old")
    with pytest.raises(UsageError, match="source old: unknown kind 'cvs'"):
        pollable(ledger.replace(source=[track(repo), odd]).settings)


# -- the process -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_waiting_and_asks_to_stop(number: signal.Signals) -> None:
    heard: list[str] = []
    before = signal.getsignal(number)
    with Stop(lambda: heard.append("stop")).listening() as stop:
        assert not stop.asked()
        stop.wait(0)
        os.kill(os.getpid(), number)
        assert stop.asked()
        stop.wait(1e6)
        assert heard == ["stop"]
        assert signal.getsignal(number) == signal.SIG_DFL  # a second one ends it at once
    assert signal.getsignal(number) == before


def command(ledger: Ledger, *words: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    config = str(ledger.settings.folder / "ledger.toml")
    return {
        "args": [sys.executable, "-m", "ledger", "worker", *words],
        "env": {**kept, "LEDGER_CONFIG": config},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def test_the_command_works_until_sigterm_and_ends_with_0(ledger: Ledger) -> None:
    with subprocess.Popen(**command(ledger)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "ingest infra: " in line:
                break
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[-1].endswith("worker: stopped")
    assert ledger.rows("select number from revisions") == [(1,)]


def test_one_round_tells_a_line_for_each_job_and_its_status(
    tmp_path: Path, ledger: Ledger, repo: Repo
) -> None:
    done = subprocess.run(**command(ledger, "--once"), check=False)
    assert done.returncode == 0, done.stderr
    assert "ingest infra: " in done.stdout
    lead = Lead(ledger.settings.database_url)
    assert lead.take()
    refused = subprocess.run(**command(ledger, "--once"), check=False)
    assert (refused.returncode, BUSY in refused.stderr) == (7, True)
    lead.release()
    repo.path.rename(tmp_path / "gone.git")
    failed = subprocess.run(**command(ledger, "--once"), check=False)
    assert failed.returncode == 5
    assert "next run" in failed.stdout


@pytest.mark.slow
def test_a_report_that_is_due_is_written_where_the_configuration_says(ledger: Ledger) -> None:
    path = ledger.settings.folder / "ledger.toml"
    report = (
        '[[report]]\nname = "change-control-evidence"\ncron = "0 0 1 1 *"\nperiod = "last-year"\n'
    )
    path.write_text(f'{path.read_text("utf-8")}\n{report}[worker]\nreports = "out"\n', "utf-8")
    first = subprocess.run(**command(ledger, "--once"), check=False)
    assert "report change-control-evidence: not due" in first.stdout, first.stderr
    with ledger.store() as store:
        schedules.note_run(
            store, "report/change-control-evidence/last-year/0 0 1 1 *", "2020-01-01T00:00:00Z", ""
        )
    done = subprocess.run(**command(ledger, "--once"), check=False)
    assert done.returncode == 0, done.stdout
    [file] = (ledger.settings.folder / "out").iterdir()
    assert str(file) in done.stdout
    assert file.read_bytes().startswith(b"%PDF-")
    issued = [one.data for one in ledger.events() if isinstance(one.data, ReportIssued)]
    assert [one.report for one in issued] == ["change-control-evidence"]


def test_a_configuration_that_cannot_be_carried_out_ends_the_command_at_start(
    ledger: Ledger,
) -> None:
    path = ledger.settings.folder / "ledger.toml"
    path.write_text(
        path.read_text("utf-8").replace("database", 'time_zone = "Nowhere"\ndatabase', 1), "utf-8"
    )
    done = subprocess.run(**command(ledger), check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'Nowhere' is no time zone" in done.stderr
