"""Bitbucket Data Center's REST API 1.0: every pull request, and what webhooks lost.

Of each that looks different than before: itself, its activities (approvals, pushes, the merge) and commits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from ledger.errors import SourceError
from ledger.httpio import MAX_PAGES, Absent, Api
from ledger.sources import Batch, Configured, Tools, payloads, recorded
from ledger.sources.apis import ForgeOptions, connected, token, wrong_address
from ledger.sources.bitbucket_datacenter import facts
from ledger.sources.bitbucket_datacenter.facts import KIND
from ledger.sources.following import Listed, Reading, follow, mark
from ledger.sources.payloads import Json, Told, number, part, parts

VARIABLE = "BITBUCKET_DATACENTER_TOKEN"
PAGE = 100
_PAGE_OF = re.compile(
    r"(?P<root>/.*?)?/(?P<what>projects|users|scm)/(?P<project>~?[\w.-]+)/(?:repos/)?(?P<name>[\w.-]+?)"
    r"(?:\.git|/browse)?/?$",
    re.ASCII,
)


def options(configured: Configured) -> ForgeOptions:
    """The options of a `[[source]]`. Raises UsageError where it names no repository or no readable token."""
    address = urlsplit(configured.url)
    match = _PAGE_OF.fullmatch(address.path)
    if address.scheme not in ("http", "https") or not address.hostname or match is None:
        raise wrong_address(
            configured,
            "repository of Bitbucket Data Center",
            "https://HOST/projects/KEY/repos/NAME",
        )
    project = f"~{match['project']}" if match["what"] == "users" else match["project"]
    host = address.netloc.rpartition("@")[2]
    return ForgeOptions(
        name=configured.name,
        forge=facts.name_of(address.hostname, project, match["name"]),
        api=f"{address.scheme}://{host}{match['root'] or ''}/rest/api/1.0",
        path=f"projects/{quote(project)}/repos/{quote(match['name'])}",
        token=token(configured, VARIABLE),
    )


def pull(options: ForgeOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """Every pull request that looks different than before, some at a time.

    Raises SourceError where the API cannot be read; what was read until then is kept.
    """
    authorization = f"Bearer {options.token}" if options.token else ""
    with connected(options, authorization) as api:
        yield from follow(_Forge(options, api, tools), cursor)


class _Forge:
    def __init__(self, options: ForgeOptions, api: Api, tools: Tools) -> None:
        self._api = api
        self._tools = tools
        self._forge = options.forge
        self._name = options.name
        self._pulls = f"{options.path}/pull-requests"

    def listed_open(self) -> Iterator[Sequence[Listed]]:
        return self._listed("OPEN")

    def listed_newest(self) -> Iterator[Sequence[Listed]]:
        return self._listed("ALL")

    def _listed(self, state: str) -> Iterator[Sequence[Listed]]:
        for page in self._pages(f"{self._pulls}?state={state}&order=NEWEST"):
            yield [
                Listed(number(one.get("id")), one.get("state") == facts.OPEN, _look(one))
                for one in page
            ]

    def _pages(self, path: str) -> Iterator[list[Json]]:
        start = 0
        for _ in range(MAX_PAGES):
            mark = "&" if "?" in path else "?"
            page = self._api.get(f"{path}{mark}limit={PAGE}&start={start}").value()
            if not isinstance(page, dict) or not isinstance(page.get("values"), list):
                raise SourceError(f"source {self._name}: a page of a list is no page")
            yield parts(page, "values")
            following = page.get("nextPageStart")
            if page.get("isLastPage") is not False or type(following) is not int:
                return
            start = following
        raise SourceError(f"source {self._name}: a list has no end of pages")

    def read(self, number: int) -> Reading:
        path = f"{self._pulls}/{number}"
        try:
            pull = self._api.get(path).value()
            activities = [one for page in self._pages(f"{path}/activities") for one in page]
        except Absent as error:
            return Reading(self._unread(number, error), False)
        if not isinstance(pull, dict):
            return Reading(self._unread(number, SourceError("it is no JSON object")), False)
        try:
            commits = [one for page in self._pages(f"{path}/commits") for one in page]
        except Absent:  # of a branch that is gone
            commits = []
        try:
            batch = self._told(number, pull, activities, commits)
        except SourceError as error:
            batch = self._unread(number, error)
        return Reading(batch, pull.get("state") == facts.OPEN)

    def _told(
        self, number: int, pull: Json, activities: Sequence[Json], commits: Sequence[Json]
    ) -> Batch:
        told = self._of(pull)
        known = facts.heads(activities, facts.time(pull.get("createdDate")))
        reviewed = _reviewed(pull, activities)
        events = [facts.standing(told, pull, facts.end(activities))]
        contents = list(told.contents)
        for one in activities:
            of_one = self._of(one)
            found = facts.activity(of_one, pull, reviewed.get(str(one.get("id")), one), known)
            if found is not None:
                events.append(found)
                contents += of_one.contents
        head = payloads.sha(part(pull, "fromRef").get("latestCommit"))
        if commits and head:
            of_all = self._of(list(commits))
            events.append(facts.listed(of_all, number, head, commits))
            contents += of_all.contents
        return Batch(events=events, contents=contents)

    def _of(self, value: Any) -> Told:
        return facts.told_of(self._forge, recorded.within(recorded.NOWHERE, value), self._tools)

    def _unread(self, number: int, error: SourceError) -> Batch:
        what = f"pull request {number}"
        return Batch(events=[payloads.unread(KIND, self._forge, what, error, self._tools)])


def _reviewed(pull: Json, activities: Sequence[Json]) -> dict[str, Json]:
    """The last vote of each reviewer, with the commit that the pull request says they reviewed last."""
    standing = {
        str(part(one, "user").get("name")): one
        for one in (*parts(pull, "participants"), *parts(pull, "reviewers"))
    }
    found: dict[str, Json] = {}
    for one in sorted(activities, key=lambda one: facts.time(one.get("createdDate"))):
        who = str(part(one, "user").get("name"))
        if facts.is_vote(one) and who in standing:
            found[who] = {**one, "participant": standing[who]}
    return {
        str(one.get("id")): one
        for one in found.values()
        if facts.agrees(one, part(one, "participant"))
    }


def _look(one: Json) -> str:
    said = [
        (
            str(part(who, "user").get("name")),
            str(who.get("status")),
            str(who.get("lastReviewedCommit")),
        )
        for who in (*parts(one, "reviewers"), *parts(one, "participants"))
    ]
    ref = part(one, "fromRef")
    return mark(
        str(one.get("version")), str(one.get("updatedDate")), str(ref.get("latestCommit")), said
    )
