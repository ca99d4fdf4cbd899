"""The API v1 of Gitea and Forgejo: every pull request and review there is, checks of heads, rules and teams.

Pull requests are listed from the latest change on, back to where reading stopped, and read from the oldest
change on, so reading can stop after any of them; the cursor is a time. Of each: itself, its reviews, its
commits, the statuses of its head. The list is walked whole before, so nothing hides while it moves: what
changes meanwhile moves to its top and is found by the next walk. Rules are told where they differ from
what was told before.

`Link` leads to the forge's public address, which need not be the one that we reach, and the list of reviews
has none. So pages are counted, and end with one that is not full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import NewEvent, RulesObserved, TeamObserved
from ledger.httpio import MAX_PAGES, Absent, Api, Denied
from ledger.jsontext import Value, compact
from ledger.sources import Batch, Configured, Tools, keyed, payloads
from ledger.sources.apis import ForgeOptions, connected, token, wrong_address
from ledger.sources.gitea import branches, facts
from ledger.sources.gitea.facts import KIND
from ledger.sources.payloads import Json, Told

PAGE = 50
_TOKENS = {"forgejo": "FORGEJO_TOKEN"}


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Until when it is read, and which pull requests that changed in that very second are."""

    since: str = ""
    seen: list[int] = []


def options(configured: Configured) -> ForgeOptions:
    """The options of a `[[source]]`. Raises UsageError where it names no repository or no readable token."""
    parts = urlsplit(configured.url)
    names = parts.path.strip("/").removesuffix(".git").split("/")
    if parts.scheme not in ("http", "https") or not parts.hostname or len(names) < 2:
        raise wrong_address(configured, "repository of Gitea or Forgejo", "https://HOST/OWNER/NAME")
    path = "/".join(names[-2:])
    below = "".join(
        f"/{name}" for name in names[:-2]
    )  # where the forge does not have the host alone
    host = parts.netloc.rpartition("@")[2]
    public = str(configured.settings.get("forge") or f"{parts.hostname}{below}/{path}")
    return ForgeOptions(
        name=configured.name,
        forge=public.lower(),
        api=f"{parts.scheme}://{host}{below}/api/v1",
        path=quote(path),
        token=token(configured, _TOKENS.get(str(configured.settings.get("kind")), "GITEA_TOKEN")),
    )


def pull(options: ForgeOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """The rules, and every pull request that changed since the cursor, oldest change first.

    Raises SourceError where the API cannot be read; what was read until then is kept.
    """
    reached = msgspec.json.decode(cursor, type=Cursor) if cursor else Cursor()
    authorization = f"token {options.token}" if options.token else ""
    with connected(options, authorization) as api:
        reading = _Reading(options, api, tools)
        yield from reading.rules()
        yield from reading.changed(reached)


class _Reading:
    def __init__(self, options: ForgeOptions, api: Api, tools: Tools) -> None:
        self._api = api
        self._tools = tools
        self._forge = options.forge
        self._name = options.name
        self._repo = f"repos/{options.path}"
        self._org = options.path.partition("/")[0]
        self._limit: tuple[int, int] | None = None

    # -- pull requests ---------------------------------------------------------------------------

    def changed(self, reached: Cursor) -> Iterator[Batch]:
        """What changed, a pull request at a time. A cursor follows each."""
        due = self._walk(reached)
        for done, (at, number) in enumerate(due, 1):
            seen = reached.seen if at == reached.since else []
            reached = Cursor(since=at, seen=[*seen, number])
            events: list[NewEvent] = []
            contents: list[Content] = []
            for batch in self._pull_request(number):
                events += batch.events
                contents += batch.contents
            yield Batch(
                events=events,
                contents=contents,
                cursor=msgspec.json.encode(reached),
                done=done,
                total=len(due),
            )

    def _walk(self, reached: Cursor) -> list[tuple[str, int]]:
        """(when it changed, number) of what is to be read, from the oldest change on."""
        found: dict[int, str] = {}
        listed = f"{self._repo}/pulls?state=all&sort=recentupdate"
        for one in self._items(listed):
            at, number = facts.time(one.get("updated_at")), one.get("number")
            if at and at < reached.since:
                break
            if at and type(number) is int and not (at == reached.since and number in reached.seen):
                found.setdefault(number, at)
        return sorted((at, number) for number, at in found.items())

    def _pull_request(self, number: int) -> Iterator[Batch]:
        path = f"{self._repo}/pulls/{number}"
        what = f"pull request {number}"
        try:
            # First itself: what comes after is then known to be in the lists.
            pull = self._api.get(path).value()
            reviews = list(self._items(f"{path}/reviews"))
            commits = list(self._items(f"{path}/commits?verification=false&files=false"))
        except (Absent, Denied) as error:
            yield self._unread(what, error)
            return
        if not isinstance(pull, dict):
            yield self._unread(what, SourceError("it is no JSON object"))
            return
        yield self._told(what, pull, facts.standing, pull, commits)
        yield from self._reviews(what, pull, reviews)
        head = facts.head_of(pull) if pull.get("state") == "open" else facts.tip(commits)
        if head and commits:
            yield self._told(what, commits, facts.listed, number, head, commits)
        if head:
            yield from self._checks(what, head)

    def _reviews(self, what: str, pull: Json, reviews: Sequence[Json]) -> Iterator[Batch]:
        number, changed = pull.get("number"), pull.get("updated_at")
        merged_at = facts.time(pull.get("merged_at")) or "~"
        for one in reviews:
            yield self._told(what, one, _given, number, one, merged_at)
        whole = [{"number": number, "updated_at": changed}, *reviews]
        yield self._told(what, whole, facts.reviews, pull, reviews)

    def _checks(self, what: str, head: str) -> Iterator[Batch]:
        try:
            for one in self._items(f"{self._repo}/commits/{head}/statuses"):
                if branches.has_ended(one):
                    yield self._told(what, one, branches.status, head, one)
        except (Absent, Denied) as error:
            yield self._unread(f"checks of {head}", error)

    # -- rules and teams -------------------------------------------------------------------------

    def rules(self) -> Iterator[Batch]:
        """The rules that differ from what was told before, and the teams that they name."""
        what, now = "branch protections", self._tools.now
        try:
            answer = self._api.get(f"{self._repo}/branch_protections").value()
        except (Absent, Denied) as error:
            yield self._unread(what, error)
            return
        values = [one for one in answer if isinstance(one, dict)] if type(answer) is list else []
        known = self._known_rules()
        found: set[str] = set()
        for one in values:
            batch = self._told(what, one, branches.rules, one, now)
            told = [event.data for event in batch.events if isinstance(event.data, RulesObserved)]
            found.update(rule.branch for rule in told)
            if not told or not _same(known.get(told[0].branch), told[0]):
                yield batch
        gone = [name for name, rule in known.items() if rule.found and name not in found]
        if len(found) < len(values):  # one that cannot be read is not gone
            gone = []
        elif not values and not known:
            gone = [branches.ANY_BRANCH]
        for name in gone:
            none = {"rule_name": name, "found": False}
            yield self._told(what, none, branches.no_rules, name, now)
        for name in sorted(branches.teams_of(values)):
            yield from self._team(name)

    def _known_rules(self) -> dict[str, RulesObserved]:
        told = self._tools.told(f"{self._forge}/rules/")
        return {one.data.branch: one.data for one in told if isinstance(one.data, RulesObserved)}

    def _team(self, name: str) -> Iterator[Batch]:
        what = f"team {self._org}/{name}"
        try:
            found = [
                one.get("id")
                for one in self._items(f"orgs/{self._org}/teams")
                if one.get("name") == name
            ]
            if not found or type(found[0]) is not int:
                raise Absent("the organisation shows no such team")
            members = list(self._items(f"teams/{found[0]}/members"))
        except (Absent, Denied) as error:
            yield self._unread(what, error)
            return
        batch = self._told(what, members, branches.team, self._org, name, members, self._tools.now)
        prefix = f"{self._forge.partition('/')[0]}/team/{self._org}/{name}/"
        told = [event.data for event in batch.events if isinstance(event.data, TeamObserved)]
        if not told or keyed.is_news(told[0], prefix, self._tools):
            yield batch

    # -- requests --------------------------------------------------------------------------------

    def _items(self, path: str) -> Iterator[Json]:
        """The objects of a list, page by page. Raises SourceError where it is no list, or has no end."""
        limit, full = self._limits()
        shown = path.partition("?")[0]
        path += f"{'&' if '?' in path else '?'}limit={limit}"
        for page in range(1, MAX_PAGES):
            answer = self._api.get(f"{path}&page={page}")
            found = answer.value()
            if found is None:  # how an empty list may be written
                return
            if not isinstance(found, list):
                raise SourceError(f"source {self._name}: {shown} is no list")
            yield from (one for one in found if isinstance(one, dict))
            if len(found) < full and not answer.next:
                return
        raise SourceError(f"source {self._name}: {shown} has no end of pages")

    def _limits(self) -> tuple[int, int]:
        """How many items to ask for, and how many a page holds that may not be the last one."""
        if self._limit is None:
            try:
                told = self._api.get("settings/api").value()
            except (Absent, Denied):
                told = {}
            most = told.get("max_response_items") if isinstance(told, dict) else None
            page = min(PAGE, most) if isinstance(most, int) and most > 0 else 0
            self._limit = (page or PAGE, page or 1)
        return self._limit

    def _told(self, what: str, value: Any, tell: Callable[..., Any], *arguments: Any) -> Batch:
        """The events of a value of the API. What cannot be told is a gap and stops nothing else."""
        try:
            read = Value("", compact(value), value)
            told = facts.told(self._forge, read, self._tools)
            made = tell(told, *arguments)
            events = made if isinstance(made, list) else [made]
            return Batch(events=events, contents=told.contents)
        except (SourceError, ValueError) as error:
            return self._unread(what, SourceError(str(error)))

    def _unread(self, what: str, error: SourceError) -> Batch:
        gap = payloads.unread(KIND, self._forge, what, error, self._tools)
        if isinstance(error, Denied):
            denied = msgspec.structs.replace(gap.data, kind="denied")
            gap = msgspec.structs.replace(gap, data=denied)
        return Batch(events=[gap])


def _given(told: Told, number: int, review: Json, merged_at: str) -> list[NewEvent]:
    return facts.review(told, number, review, merged_at) if facts.is_given(review) else []


def _same(before: RulesObserved | None, now: RulesObserved) -> bool:
    return before is not None and keyed.timeless(before) == keyed.timeless(now)
