"""GitLab's API v4: every merge request there is, who approved it, pushes, and the rules in force.

Merge requests are read in the order in which they last changed (`updated_after`), so the cursor is a time
and reading can stop anywhere. Of each that changed: itself, its versions, notes, approvals and commits, and
where it merged, the approval rules that it has of its own.
Pushes to branches are read from the events of the project, which GitLab keeps for some years. Rules and
teams are asked for each time, and recorded where they differ from what was recorded last.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import Identity, NewEvent, TeamObserved
from ledger.httpio import Absent, Answer, Api, Denied
from ledger.sources import Batch, Configured, Tools, keyed, payloads, ruled
from ledger.sources.apis import ForgeOptions, connected, token, wrong_address
from ledger.sources.gitlab import facts, rules, trail
from ledger.sources.gitlab.facts import KIND
from ledger.sources.payloads import Json
from ledger.sources.ruled import Rules

PAGE = 100


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Until when it is read; which merge requests of that very moment are; the tag of an idle answer.

    `pushed` and `pushed_on` are the id and the day of the last event of a push that was read.
    """

    since: str = ""
    seen: dict[str, str] = {}
    etag: str = ""
    pushed: int = 0
    pushed_on: str = ""


def options(configured: Configured) -> ForgeOptions:
    """The options of a `[[source]]`. Raises UsageError where it names no project or no readable token."""
    parts = urlsplit(configured.url)
    path = parts.path.strip("/").removesuffix(".git")
    if parts.scheme not in ("http", "https") or not parts.hostname or path.count("/") < 1:
        raise wrong_address(configured, "project of GitLab", "https://gitlab.com/GROUP/NAME")
    return ForgeOptions(
        name=configured.name,
        forge=f"{parts.hostname}/{path}".lower(),
        api=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/api/v4",
        path=quote(path, safe=""),
        token=token(configured, "GITLAB_TOKEN"),
    )


def pull(options: ForgeOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """The rules in force, every merge request that changed since the cursor, oldest change first, and pushes.

    Raises SourceError where the API cannot be read; what was read until then is kept.
    """
    reached = msgspec.json.decode(cursor, type=Cursor) if cursor else Cursor()
    authorization = f"Bearer {options.token}" if options.token else ""
    with connected(options, authorization) as api:
        yield from _Pull(options, api, tools, reached).run()


class _Pull:
    def __init__(self, options: ForgeOptions, api: Api, tools: Tools, reached: Cursor) -> None:
        self._api = api
        self._tools = tools
        self._forge = options.forge
        self._name = options.name
        self._project = f"projects/{options.path}"
        self._signed_in = bool(options.token)
        self._has_approval_rules = False
        self._reached = reached
        self._done = 0

    def run(self) -> Iterator[Batch]:
        if self._signed_in:  # to others GitLab tells neither rules nor approvals
            batch = self._rules()
            if batch.events:
                yield batch
        yield from self._merge_requests()
        yield from self._pushes()

    # -- merge requests ----------------------------------------------------------------------------

    def _merge_requests(self) -> Iterator[Batch]:
        answer = self._api.get(self._changed_since(self._reached.since), etag=self._reached.etag)
        while not answer.unchanged:
            since = self._reached.since
            batch = self._page(self._items(answer, "merge requests"))
            # Of the last page the tag is kept: while it stays, nothing changed.
            idle = "" if answer.next or batch.events else answer.etag
            self._advance(etag=idle)
            if batch.events or idle:
                yield self._with_cursor(batch)
            if not answer.next:
                return
            # Not the next page: while we read, what changes leaves its place, and another would move up
            # into the page that is read already. Only many changes at one moment need a second page.
            now = self._reached.since
            answer = self._api.get(self._changed_since(now) if now > since else answer.next)

    def _changed_since(self, since: str) -> str:
        path = (
            f"{self._project}/merge_requests?scope=all&state=all&order_by=updated_at&sort=asc"
            f"&per_page={PAGE}"
        )
        return f"{path}&updated_after={quote(since)}" if since else path

    def _page(self, items: list[Json]) -> Batch:
        events: list[NewEvent] = []
        contents: list[Content] = []
        since, seen = self._reached.since, dict(self._reached.seen)
        for item in items:
            number, changed = item.get("iid"), str(item.get("updated_at", ""))
            if changed < since or type(number) is not int:
                continue
            if changed > since:
                since, seen = changed, {}
            if seen.get(str(number)) != changed:
                batch = self._merge_request(number)
                events += batch.events
                contents += batch.contents
                self._done += 1
            seen[str(number)] = changed
        self._advance(since=since, seen=seen)
        return Batch(events=events, contents=contents)

    def _merge_request(self, number: int) -> Batch:
        path = f"{self._project}/merge_requests/{number}"
        request = self._value(path)
        if request is None:
            return Batch(events=[self._unread(f"pull request {number}", "it is not shown to us")])
        given = trail.Answers(
            merge_request=request,
            versions=self._optional_list(f"{path}/versions"),
            notes=self._optional_list(f"{path}/notes", "sort=asc&activity_filter=only_activity&"),
            approvals=self._value(f"{path}/approvals") if self._signed_in else None,
            commits=self._optional_list(f"{path}/commits"),
            approval_state=self._approval_state(request, path),
        )
        batch = trail.events(self._forge, given, self._tools)
        missing = [
            self._unread(f"pull request {number}", f"its {name} are not shown to us")
            for name, value in zip(given._fields, given, strict=True)
            if value is None
            and name != "approval_state"
            and (name != "approvals" or self._signed_in)
        ]
        return Batch(events=[*batch.events, *missing], contents=batch.contents)

    def _approval_state(self, request: Json, path: str) -> Json | None:
        """The approval rules of a merge request that merged, where this tier of GitLab has such rules."""
        wanted = self._has_approval_rules and request.get("state") == "merged"
        return self._value(f"{path}/approval_state") if wanted else None

    def _unread(self, what: str, why: str) -> NewEvent:
        return payloads.unread(KIND, self._forge, what, SourceError(why), self._tools)

    # -- pushes --------------------------------------------------------------------------------------

    def _pushes(self) -> Iterator[Batch]:
        """The pushes since the last one that was read. GitLab takes days only, so a day is read again."""
        path = f"{self._project}/events?action=pushed&sort=asc&per_page={PAGE}"
        if self._reached.pushed_on:
            day = date.fromisoformat(self._reached.pushed_on) - timedelta(days=1)
            path += f"&after={day.isoformat()}"
        try:
            for answer in self._api.pages(path):
                batch = self._pushed(self._items(answer, "pushes"))
                if batch.events:
                    yield self._with_cursor(batch)
        except (Absent, Denied) as error:
            event = payloads.unread(KIND, self._forge, "the pushes", error, self._tools)
            yield Batch(events=[event])

    def _pushed(self, items: list[Json]) -> Batch:
        events: list[NewEvent] = []
        contents: list[Content] = []
        for item in items:
            number, at = item.get("id"), payloads.time(item.get("created_at"))
            if type(number) is not int or number <= self._reached.pushed:
                continue
            try:
                told = facts.told(self._forge, item, self._tools)
                if event := facts.push_listed(told, item):
                    events.append(event)
                    contents += told.contents
            except SourceError as error:
                events.append(self._unread(f"push {number}", error.message))
            self._advance(pushed=number, pushed_on=at[:10] or self._reached.pushed_on)
        return Batch(events=events, contents=contents)

    # -- rules and teams -----------------------------------------------------------------------------

    def _rules(self) -> Batch:
        try:
            given = rules.Settings(
                project=self._value(self._project) or {},
                branches=self._list(f"{self._project}/protected_branches"),
                approvals=self._value(f"{self._project}/approvals"),
                rules=self._optional_list(f"{self._project}/approval_rules"),
            )
        except (Absent, Denied) as error:
            return Batch(
                events=[payloads.unread(KIND, self._forge, "the rules", error, self._tools)]
            )
        self._has_approval_rules = given.rules is not None
        users, groups = rules.mentioned(given)
        logins = {one: name for one in users if (name := self._text(f"users/{one}", "username"))}
        paths = {one: name for one in groups if (name := self._text(f"groups/{one}", "full_path"))}
        batch = self._changed_rules(given, list(rules.in_force(given, logins, paths)))
        for group, path in sorted(paths.items()):
            found = self._team(group, path)
            batch = Batch(
                events=[*batch.events, *found.events],
                contents=[*batch.contents, *found.contents],
            )
        return batch

    def _changed_rules(self, given: rules.Settings, found: list[Rules]) -> Batch:
        return ruled.changed(
            KIND,
            self._forge,
            found,
            self._tools,
            lambda ruleset: given.rules is None and ruleset.startswith(rules.APPROVAL_RULE),
        )

    def _team(self, group: int, path: str) -> Batch:
        """Who is in a group, where that is another than was recorded last."""
        try:
            members = self._list(f"groups/{group}/members/all")
        except (Absent, Denied) as error:
            event = payloads.unread(KIND, self._forge, f"team {path}", error, self._tools)
            return Batch(events=[event])
        host = self._forge.partition("/")[0]
        told = facts.told(self._forge, members, self._tools)
        people = {one.login: one for member in members if (one := facts.user(member))}
        data = TeamObserved(
            forge=host,
            team=path,
            members=[Identity(login=login) for login in sorted(people)],
            at=self._tools.now,
            raw=told.raw,
        )
        if not keyed.is_news(data, f"{host}/team/{path}/", self._tools):
            return Batch(events=[])
        return Batch(events=[keyed.team(KIND, data)], contents=told.contents)

    # -- answers -------------------------------------------------------------------------------------

    def _advance(self, **fields: Any) -> None:
        self._reached = msgspec.structs.replace(self._reached, **fields)

    def _with_cursor(self, batch: Batch) -> Batch:
        return Batch(
            events=batch.events,
            contents=batch.contents,
            cursor=msgspec.json.encode(self._reached),
            done=self._done,
            total=self._done,
        )

    def _items(self, answer: Answer, what: str) -> list[Json]:
        value = answer.value()
        if not isinstance(value, list):
            raise SourceError(f"source {self._name}: the list of {what} is no list")
        return [one for one in value if isinstance(one, dict)]

    def _list(self, path: str, query: str = "") -> list[Json]:
        found: list[Json] = []
        for answer in self._api.pages(f"{path}?{query}per_page={PAGE}"):
            found += self._items(answer, path.rpartition("/")[2])
        return found

    def _optional_list(self, path: str, query: str = "") -> list[Json] | None:
        """None where this tier of GitLab has no such thing, or the token may not see it."""
        try:
            return self._list(path, query)
        except (Absent, Denied):
            return None

    def _value(self, path: str) -> Json | None:
        try:
            value = self._api.get(path).value()
        except (Absent, Denied):
            return None
        return value if isinstance(value, dict) else None

    def _text(self, path: str, name: str) -> str:
        found = (self._value(path) or {}).get(name)
        return found if isinstance(found, str) else ""
