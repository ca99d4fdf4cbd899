"""GitHub's REST API: every pull request and review there is, and what webhooks lost.

Pull requests are read in the order in which they last changed (`GET /repos/{repo}/issues?since=`, which
lists both), so the cursor is a time and reading can stop anywhere. Of each that changed: itself, for who
merged it; its reviews; its commits. Where nothing changed the one request costs nothing of the quota.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from ledger.contents import Content
from ledger.errors import SourceError, UsageError
from ledger.events import CollectorGap, NewEvent
from ledger.httpio import Absent, Api
from ledger.jsontext import Value, compact
from ledger.sources import Batch, Configured, Tools
from ledger.sources.github import facts
from ledger.sources.github.facts import KIND
from ledger.sources.payloads import Json

PAGE = 100
MAX_COMMITS = 250  # that the API lists of one pull request


@dataclass(frozen=True, slots=True, kw_only=True)
class GithubOptions:
    """One `[[source]]` of kind github. `forge` is its full name with its host, `api` the API's address."""

    name: str
    forge: str
    api: str
    path: str
    token: str = ""


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Until when it is read; which pull requests of that very second are; the tag of an idle answer."""

    since: str = ""
    seen: dict[str, str] = {}
    etag: str = ""


def options(configured: Configured) -> GithubOptions:
    """The options of a `[[source]]`. Raises UsageError where it names no repository or no readable token."""
    parts = urlsplit(configured.url)
    path = parts.path.strip("/").removesuffix(".git")
    if parts.scheme not in ("http", "https") or not parts.hostname or path.count("/") != 1:
        raise UsageError(
            f"source {configured.name}: {configured.url!r} is no repository of GitHub",
            hint="Give its web address: https://github.com/OWNER/NAME",
        )
    host = parts.netloc.rpartition("@")[2]
    api = "https://api.github.com" if host == "github.com" else f"{parts.scheme}://{host}/api/v3"
    return GithubOptions(
        name=configured.name,
        forge=f"{parts.hostname}/{path}".lower(),
        api=api,
        path=quote(path),
        token=_token(configured),
    )


def _token(configured: Configured) -> str:
    file = configured.settings.get("token_file")
    if not file:
        return os.environ.get("GITHUB_TOKEN", "").strip()
    try:
        return (configured.folder / Path(str(file)).expanduser()).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"source {configured.name}: cannot read the token in {file}: {error}",
            hint="Give token_file in ledger.toml, or set GITHUB_TOKEN and leave it out.",
        ) from None


def pull(options: GithubOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """Every pull request that changed since the cursor, oldest change first, a page at a time.

    Raises SourceError where the API cannot be read; what was read until then is kept.
    """
    reached = msgspec.json.decode(cursor, type=Cursor) if cursor else Cursor()
    headers = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
    if options.token:
        headers["authorization"] = f"Bearer {options.token}"
    api = Api.open(options.name, options.api, {**headers, "user-agent": "ledger"})
    try:
        yield from _Pull(options, api, tools).run(reached)
    finally:
        api.close()


class _Pull:
    def __init__(self, options: GithubOptions, api: Api, tools: Tools) -> None:
        self._api = api
        self._tools = tools
        self._forge = options.forge
        self._name = options.name
        self._repo = f"repos/{options.path}"
        self._done = 0

    def run(self, reached: Cursor) -> Iterator[Batch]:
        answer = self._api.get(self._changed_since(reached.since), etag=reached.etag)
        while not answer.unchanged:
            since = reached.since
            listed = answer.value()
            if not isinstance(listed, list):
                raise SourceError(f"source {self._name}: the list of pull requests is no list")
            items = [one for one in listed if isinstance(one, dict)]
            batch, reached = self._page(items, reached)
            # Of the last page the tag is kept: while it stays, nothing changed.
            idle = "" if answer.next else answer.etag
            reached = msgspec.structs.replace(reached, etag=idle if not batch.events else "")
            if batch.events or reached.etag:
                yield Batch(
                    events=batch.events,
                    contents=batch.contents,
                    cursor=msgspec.json.encode(reached),
                    done=self._done,
                    total=self._done,
                )
            if not answer.next:
                return
            # Not the next page: while we read, what changes leaves its place, and another would move up
            # into the page that is read already. Only many changes in one second need a second page.
            on = self._changed_since(reached.since) if reached.since > since else answer.next
            answer = self._api.get(on)

    def _changed_since(self, since: str) -> str:
        path = f"{self._repo}/issues?state=all&sort=updated&direction=asc&per_page={PAGE}"
        return f"{path}&since={quote(since)}" if since else path

    def _page(self, items: list[Json], reached: Cursor) -> tuple[Batch, Cursor]:
        events: list[NewEvent] = []
        contents: list[Content] = []
        since, seen = reached.since, dict(reached.seen)
        for item in items:
            number, changed = item.get("number"), str(item.get("updated_at", ""))
            if changed < since or type(number) is not int:
                continue
            if changed > since:
                since, seen = changed, {}
            if "pull_request" in item and seen.get(str(number)) != changed:
                for batch in self._pull_request(number):
                    events += batch.events
                    contents += batch.contents
                self._done += 1
            seen[str(number)] = changed
        return Batch(events=events, contents=contents), Cursor(since=since, seen=seen)

    def _pull_request(self, number: int) -> Iterator[Batch]:
        path = f"{self._repo}/pulls/{number}"
        try:
            pull = self._api.get(path).value()
            reviews = self._list(f"{path}/reviews")
            commits = self._list(f"{path}/commits")
        except Absent as error:
            yield self._unread(number, error)
            return
        if not isinstance(pull, dict):
            yield self._unread(number, SourceError("it is no JSON object"))
            return
        yield self._told(number, pull, lambda told: facts.standing(told, pull))
        for one in reviews:
            if str(one.get("state", "")).lower() != "pending":
                yield self._told(number, one, lambda told, one=one: facts.review(told, number, one))
        head = facts.head_of(pull)
        if head and commits:
            yield self._told(
                number, commits, lambda told: facts.listed(told, number, head, commits)
            )

    def _list(self, path: str) -> list[Json]:
        found: list[Json] = []
        for answer in self._api.pages(f"{path}?per_page={PAGE}"):
            value = answer.value()
            found += [one for one in value if isinstance(one, dict)] if type(value) is list else []
        return found

    def _told(self, number: int, value: Any, tell: Any) -> Batch:
        """The event of a value of the API. What cannot be told is a gap and stops nothing else."""
        try:
            read = Value("", compact(value), value)
            told = facts.told(self._forge, read, self._tools)
            return Batch(events=[tell(told)], contents=told.contents)
        except (SourceError, ValueError) as error:
            return self._unread(number, SourceError(str(error)))

    def _unread(self, number: int, error: SourceError) -> Batch:
        detail = self._tools.redact(f"pull request {number} of {self._forge}: {error.message}")
        repository = self._tools.repository(self._forge) or self._forge
        gap = CollectorGap(repository=repository, kind="unreadable", detail=detail)
        event = NewEvent(
            stream=f"repository/{repository}",
            key=f"{self._forge}/pull/{number}/unread/{detail[:200]}",
            source=KIND,
            data=gap,
        )
        return Batch(events=[event])
