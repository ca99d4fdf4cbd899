"""GitHub's REST API: what there is, and what webhooks lost.

Pull requests are read in the order in which they last changed (`GET /repos/{repo}/issues?since=`, which
lists both), so the cursor is a time and reading can stop anywhere. Of each that changed: itself, for who
merged it; its reviews; its commits; what happened to it (dismissals, forced pushes); and where it is merged,
the checks of its head. Then follow the pushes to the branches, and now and then what else is looked at
(`looking`). Where nothing changed, each request costs nothing of the quota.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import msgspec

from ledger.errors import SourceError
from ledger.events import NewEvent
from ledger.httpio import Absent, Denied
from ledger.sources import Batch, Tools
from ledger.sources.github import checks, facts, pushes
from ledger.sources.github.access import GithubOptions, connect
from ledger.sources.github.asking import PAGE, Asking, Cursor
from ledger.sources.github.looking import Looking
from ledger.sources.payloads import Json, Told, part

AT_ONCE = 10  # pull requests that are recorded together: so many are read again after a crash


def pull(options: GithubOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """Everything that changed since the cursor, oldest change of a pull request first, some at a time.

    Raises SourceError where the API cannot be read; what was read until then is kept.
    """
    reached = msgspec.json.decode(cursor, type=Cursor) if cursor else Cursor()
    api = connect(options)
    try:
        asking = Asking(options, api, tools, reached)
        yield from _Pulls(asking).read()
        yield from Looking(asking).read()
    finally:
        api.close()


class _Pulls:
    """The pull requests that changed."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._done = 0

    def read(self) -> Iterator[Batch]:
        asking, reached = self._asking, self._asking.cursor
        answer = asking.api.get(self._changed_since(reached.since), etag=reached.etag)
        while not answer.unchanged:
            since = reached.since
            listed = answer.value()
            if not isinstance(listed, list):
                raise SourceError(
                    f"source {asking.options.name}: the list of pull requests is no list"
                )
            news = False
            for batch in self._page([one for one in listed if isinstance(one, dict)]):
                news = True
                yield batch
            if not news and not answer.next:
                # Of a last page without news the tag is kept: while it stays, nothing changed.
                reached.etag = answer.etag
                yield asking.batch()
            if not answer.next:
                return
            # Not the next page: while we read, what changes leaves its place, and another would move up
            # into the page that is read already. Only many changes in one second need a second page.
            on = self._changed_since(reached.since) if reached.since > since else answer.next
            answer = asking.api.get(on)

    def _changed_since(self, since: str) -> str:
        path = f"{self._asking.repo}/issues?state=all&sort=updated&direction=asc&per_page={PAGE}"
        return f"{path}&since={quote(since)}" if since else path

    def _page(self, items: list[Json]) -> Iterator[Batch]:
        """What a page of changed pull requests tells; what is read is kept when the next one fails."""
        asking, reached = self._asking, self._asking.cursor
        waiting = 0
        try:
            for item in items:
                number, changed = item.get("number"), str(item.get("updated_at", ""))
                if changed < reached.since or type(number) is not int:
                    continue
                if "pull_request" in item and reached.seen.get(str(number)) != changed:
                    events, contents = asking.together(self._pull_request(number))
                    asking.hold(events, contents)
                    self._done += 1
                    waiting += 1
                if changed > reached.since:
                    reached.since, reached.seen = changed, {}
                reached.seen[str(number)] = changed
                if waiting >= AT_ONCE:
                    waiting = 0
                    reached.etag = ""
                    yield asking.batch(self._done)
        except SourceError:
            if waiting:
                reached.etag = ""
                yield asking.batch(self._done)
            raise
        if waiting:
            reached.etag = ""
            yield asking.batch(self._done)

    def _pull_request(self, number: int) -> Iterator[Batch]:
        asking, what = self._asking, f"pull request {number}"
        path = f"{asking.repo}/pulls/{number}"
        try:
            pull = asking.api.get(path).value()
            reviews = asking.items(f"{path}/reviews")
            commits = asking.items(f"{path}/commits")
        except (Absent, Denied) as error:
            yield asking.unread(what, error)
            return
        if not isinstance(pull, dict):
            yield asking.unread(what, SourceError("it is no JSON object"))
            return
        yield asking.told(what, pull, lambda told: [facts.standing(told, pull)])
        yield from self._reviews(number, reviews)
        head = facts.head_of(pull)
        if head and commits:
            yield asking.told(
                what, commits, lambda told: [facts.listed(told, number, head, commits)]
            )
        if head and pull.get("merged") is True:
            yield from self._checks(head)

    def _reviews(self, number: int, reviews: list[Json]) -> Iterator[Batch]:
        """The reviews, and what became of them; one that was dismissed is told with what it had said."""
        asking, what = self._asking, f"pull request {number}"
        events = asking.allowed(
            "events", lambda: asking.items(f"{asking.repo}/issues/{number}/events")
        )
        dismissals = {
            part(one, "dismissed_review").get("review_id"): one
            for one in events or ()
            if one.get("event") == "review_dismissed"
        }
        for one in reviews:
            if str(one.get("state", "")).lower() == "pending":
                continue
            dismissal = dismissals.get(one.get("id"))
            said = part(dismissal, "dismissed_review").get("state") if dismissal else None
            given = {**one, "state": said, "dismissed_by": dismissal} if said else one
            yield asking.told(what, given, _reviewed(number, given, dismissal))
        for event in events or ():
            if event.get("event") == "head_ref_force_pushed":
                yield asking.told(what, event, _force_pushed(number, event))

    def _checks(self, head: str) -> Iterator[Batch]:
        asking, path = self._asking, f"{self._asking.repo}/commits/{head}"
        runs = asking.allowed(
            "checks", lambda: asking.items(f"{path}/check-runs?filter=latest", "check_runs")
        )
        for one in runs or ():
            asking.know(part(one, "app"))
            own = checks.own(one)
            yield asking.told(f"checks of {head}", own, _checked(checks.run, own))
        statuses = asking.allowed("statuses", lambda: asking.items(f"{path}/status", "statuses"))
        for one in statuses or ():
            own = checks.own(one, sha=head)
            yield asking.told(f"checks of {head}", own, _checked(checks.status, own))


Tell = Callable[[Told], list[NewEvent]]


def _reviewed(number: int, review: Json, dismissal: Json | None) -> Tell:
    def tell(told: Told) -> list[NewEvent]:
        events = [facts.review(told, number, review)]
        if dismissal is not None:
            events.append(facts.dismissal(told, number, review, dismissal))
        return events

    return tell


def _force_pushed(number: int, event: Json) -> Tell:
    return lambda told: pushes.forced(told, number, event)


def _checked(tell: Callable[[Told, Json], list[NewEvent]], check: Json) -> Tell:
    return lambda told: tell(told, check)
