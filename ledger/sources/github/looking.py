"""What is looked at beside the pull requests: pushes, rules, teams, and deliveries that failed.

Pushes are read with each pull, for who pushed what nobody proposed; the others now and then, because webhooks
tell of their changes at once. Rules and teams are recorded where they differ from what was told of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from ledger.errors import SourceError
from ledger.events import CollectorGap, NewEvent
from ledger.httpio import Absent, Denied
from ledger.instants import FORMAT, moment, utc_text
from ledger.jsontext import Value, clean, compact
from ledger.sources import Batch, keyed
from ledger.sources.github import pushes, rules
from ledger.sources.github.asking import PAGE, Asking
from ledger.sources.github.facts import KIND
from ledger.sources.payloads import Json, Told, part

EVERY: Final = timedelta(minutes=15)
SETTLED: Final = timedelta(hours=1)  # after which a failed delivery is not sent again by itself
NOT_PROTECTED: Final = "branch not protected"


class Looking:
    """One look around a repository."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._forge = asking.options.forge
        self._now = asking.tools.now
        self._teams_told: list[Json] | None = None

    def read(self) -> Iterator[Batch]:
        """Everything that is due, recorded part by part."""
        cursor = self._asking.cursor
        due = not cursor.looked or moment(self._now) - moment(cursor.looked) >= EVERY
        if due:
            self._who_it_is()
        for branch in self._branches():
            yield from self._pushes(branch)
        if due:
            for look in (self._suites, self._rules, self._teams, self._deliveries):
                yield from look()
            cursor.looked = self._now
            yield self._asking.batch()

    def _who_it_is(self) -> None:
        """The default branch, and the organization that it belongs to, if it is one's."""
        asking = self._asking
        found = asking.allowed("settings", lambda: asking.item(asking.repo))
        if found is not None:
            asking.cursor.branch = clean(str(found.get("default_branch") or ""))[:300]
            owner = part(found, "owner")
            is_one = owner.get("type") == "Organization"
            asking.cursor.organization = clean(str(owner.get("login")))[:100] if is_one else ""

    def _branches(self) -> list[str]:
        default = self._asking.cursor.branch
        return list(self._asking.options.branches) or ([default] if default else [])

    # -- pushes ------------------------------------------------------------------------------

    def _pushes(self, branch: str) -> Iterator[Batch]:
        """The activity of a branch, oldest first; the last page is asked for again until it has another.

        A page that is not to be had any more makes it begin anew, which records nothing twice.
        """
        asking, cursor = self._asking, self._asking.cursor
        ref = quote(f"{pushes.BRANCH}{branch}", safe="")
        first = f"{asking.repo}/activity?ref={ref}&direction=asc&per_page={PAGE}"
        address = cursor.pages.get(branch) or first
        while True:
            asked, tag = address, cursor.tags.get(branch, "")
            try:
                answer = asking.allowed("pushes", lambda: asking.api.get(asked, etag=tag))  # noqa: B023 (called at once)
            except SourceError as error:
                if error.retryable or address == first:
                    raise
                address = first
                cursor.tags.pop(branch, None)
                continue
            if answer is None:
                cursor.pages.pop(branch, None)
                yield asking.batch()
                return
            if answer.unchanged:
                return
            value = answer.value()
            for item in value if isinstance(value, list) else ():
                if isinstance(item, dict):
                    tell = _active(item)
                    asking.take([asking.told(f"pushes to {branch}", item, tell)])
            cursor.pages[branch] = address = answer.next or address
            cursor.tags[branch] = "" if answer.next else answer.etag
            yield asking.batch()
            if not answer.next:
                return

    def _suites(self) -> Iterator[Batch]:
        """How pushes stood to the rules, newest first, as far back as was not read yet."""
        asking, cursor = self._asking, self._asking.cursor
        path = f"{asking.repo}/rulesets/rule-suites?time_period={self._period(cursor.suites)}"
        suites = asking.allowed("rule suites", lambda: asking.items(path))
        reached = cursor.suites
        wanted = {f"{pushes.BRANCH}{one}" for one in self._branches()}
        for suite in suites or ():
            at = utc_text(suite.get("pushed_at"))
            if suite.get("ref") not in wanted or not at or at < cursor.suites:
                continue
            told = self._judged(suite)
            asking.take([asking.told("rule suites", told, _judged(told))])
            reached = max(reached, at)
        cursor.suites = reached
        yield asking.batch()

    def _period(self, since: str) -> str:
        """The shortest span that GitHub offers which begins before the last one that was read."""
        passed = moment(self._now) - moment(since) if since else timedelta(days=365)
        if passed < timedelta(hours=23):
            return "day"
        return "week" if passed < timedelta(days=6) else "month"

    def _judged(self, suite: Json) -> Json:
        """A rule suite with what each rule said, where one was passed over."""
        number = suite.get("id")
        if suite.get("result") != "bypass" or type(number) is not int:
            return suite
        path = f"{self._asking.repo}/rulesets/rule-suites/{number}"
        try:
            return {**suite, "rule_evaluations": self._asking.item(path).get("rule_evaluations")}
        except (Absent, Denied):
            return suite

    # -- rules -------------------------------------------------------------------------------

    def _rules(self) -> Iterator[Batch]:
        for branch in self._branches():
            self._protection(branch)
            self._rulesets(branch)
        yield self._asking.batch()

    def _protection(self, branch: str) -> None:
        asking = self._asking
        path = f"{asking.repo}/branches/{quote(branch, safe='')}/protection"

        def ask() -> tuple[Json | None]:
            try:
                return (asking.item(path),)
            except Absent as error:
                if error.said.lower().startswith(NOT_PROTECTED):
                    return (None,)
                raise

        found = asking.allowed(f"branch protection of {branch}", ask)
        if found is not None:
            self._if_new(
                found[0] or {"message": "Branch not protected"},
                branch,
                lambda told: rules.protection(told, branch, found[0], self._now),
            )

    def _rulesets(self, branch: str) -> None:
        asking = self._asking
        path = f"{asking.repo}/rules/branches/{quote(branch, safe='')}"
        active = asking.allowed(f"rulesets of {branch}", lambda: asking.items(path))
        if active is None:
            return
        sets: dict[str, list[Json]] = {}
        for rule in active:
            if type(rule.get("ruleset_id")) is int:
                sets.setdefault(str(rule["ruleset_id"]), []).append(rule)
        for name, held in sets.items():
            self._ruleset(branch, name, held)
        known = rules.in_force(self._forge, branch, asking.tools) - {rules.PROTECTION}
        for name in sorted(known - sets.keys()):
            self._if_new(active, branch, _gone(branch, name, self._now))
        if not sets and not known:
            self._if_new(active, branch, lambda told: rules.no_rulesets(told, branch, self._now))

    def _ruleset(self, branch: str, name: str, held: list[Json]) -> None:
        asking = self._asking
        whole = asking.allowed(
            f"ruleset {name}", lambda: asking.item(f"{asking.repo}/rulesets/{name}")
        )
        names = self._names(rules.actors(whole or {}))
        self._if_new(
            {"rules": held, "ruleset": whole},
            branch,
            lambda told: rules.ruleset(told, branch, name, held, whole or {}, self._now, names),
        )

    def _names(self, actors: set[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """Who actors are: teams of the repository, apps whose checks were read, and users."""
        kinds, asking = {kind for kind, _ in actors}, self._asking
        found = {("Integration", int(one)): name for one, name in asking.cursor.apps.items()}
        for team in self._repository_teams() if "Team" in kinds else ():
            if type(team.get("id")) is int and isinstance(team.get("slug"), str):
                found["Team", team["id"]] = clean(team["slug"])[:100]
        for kind, number in sorted(actors):
            if kind == "User":
                try:
                    login = asking.item(f"user/{number}").get("login")
                except (Absent, Denied):
                    continue
                if isinstance(login, str) and login:
                    found[kind, number] = clean(login)[:255]
        return found

    def _if_new(self, value: Any, branch: str, tell: Any) -> None:
        """Records rules that differ from what was told of them last."""

        def news(told: Told) -> list[NewEvent]:
            data = tell(told)
            prefix = f"{self._forge}/rules/{branch}/{data.ruleset}/"
            return [rules.event(told, data)] * keyed.is_news(data, prefix, self._asking.tools)

        self._asking.take([self._asking.told(f"rules of {branch}", value, news)])

    # -- teams -------------------------------------------------------------------------------

    def _teams(self) -> Iterator[Batch]:
        """The teams that have a right to the repository: CODEOWNERS can name no other."""
        asking, organization = self._asking, self._asking.cursor.organization
        if not organization:
            return
        for team in self._repository_teams():
            slug = team.get("slug")
            if not isinstance(slug, str) or not slug:
                continue
            path = f"orgs/{quote(organization)}/teams/{quote(slug, safe='')}/members"
            members = asking.allowed(f"members of team {clean(slug)}", lambda: asking.items(path))  # noqa: B023 (called at once)
            if members is not None:
                value = {"team": team, "members": members}
                asking.take([asking.told("teams", value, self._team(clean(slug), members))])
        yield asking.batch()

    def _repository_teams(self) -> list[Json]:
        """The teams that have a right to the repository, asked for once a look; a person's has none."""
        asking = self._asking
        if self._teams_told is None and asking.cursor.organization:
            self._teams_told = asking.allowed("teams", lambda: asking.items(f"{asking.repo}/teams"))
        return self._teams_told or []

    def _team(self, slug: str, members: list[Json]) -> Any:
        asking, organization = self._asking, self._asking.cursor.organization
        host = self._forge.partition("/")[0]
        name = f"{organization}/{slug}".lower()

        def news(told: Told) -> list[NewEvent]:
            data = rules.team(told, host, name, members, self._now)
            is_news = keyed.is_news(data, f"{host}/team/{name}/", asking.tools)
            return [keyed.team(KIND, data)] if is_news else []

        return news

    # -- deliveries that failed ----------------------------------------------------------------

    def _deliveries(self) -> Iterator[Batch]:
        """What GitHub says that it could not deliver: told from its copy, and recorded as lost."""
        asking, cursor = self._asking, self._asking.cursor
        if not asking.options.hook:
            return
        path = f"{asking.repo}/hooks/{asking.options.hook}/deliveries"
        failed = asking.allowed(
            "deliveries of the webhook", lambda: asking.items(f"{path}?status=failure")
        )
        until = (moment(self._now) - SETTLED).strftime(FORMAT)
        for one in sorted(failed or (), key=lambda item: str(item.get("delivered_at"))):
            at = utc_text(one.get("delivered_at"))
            if not at or not cursor.deliveries <= at <= until or one.get("event") == "ping":
                continue
            if not asking.tools.received(KIND, str(one.get("guid"))):
                asking.take(self._undelivered(path, one, at))
            cursor.deliveries = at
        yield asking.batch()

    def _undelivered(self, path: str, one: Json, at: str) -> Iterator[Batch]:
        asking = self._asking
        recovered = "what it held is recorded from there"
        try:
            whole = asking.item(f"{path}/{int(one['id'])}")
            batch = self._recovered(whole)
            recovered = recovered if batch.events else "it held nothing that is recorded"
            yield batch
        except (SourceError, KeyError, TypeError, ValueError):
            recovered = "what it held cannot be read there, either"
        guid = clean(str(one.get("guid")))[:100]
        repository = asking.tools.repository(self._forge) or self._forge
        what = ".".join(clean(str(one[name]))[:60] for name in ("event", "action") if one.get(name))
        gap = CollectorGap(
            repository=repository,
            kind="undelivered",
            detail=f"delivery {guid} ({what}) of {at} did not come: GitHub says that it failed with "
            f"{clean(str(one.get('status')))[:100]}; {recovered}",
            since=at,
            until=at,
        )
        event = NewEvent(
            stream=f"repository/{repository}",
            key=f"{self._forge}/undelivered/delivery/{guid}",
            source=KIND,
            occurred_at=at,
            data=gap,
        )
        yield Batch(events=[event])

    def _recovered(self, whole: Json) -> Batch:
        from ledger.sources.github import events_from_answer  # noqa: PLC0415 (which imports this)

        return events_from_answer(Value("", compact(whole), whole), self._asking.tools)


def _active(item: Json) -> Any:
    return lambda told: pushes.active(told, item)


def _judged(suite: Json) -> Any:
    evaluations = suite.get("rule_evaluations")
    listed = [one for one in evaluations if isinstance(one, dict)] if evaluations else []
    return lambda told: pushes.judged(told, suite, listed)


def _gone(branch: str, name: str, at: str) -> Any:
    return lambda told: rules.gone(told, branch, name, at)
