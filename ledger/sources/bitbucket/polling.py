"""Bitbucket Cloud's REST API 2.0: every pull request, and what webhooks lost.

Of each that changed: itself, its activities (approvals, pushes, the merge), its commits and statuses, and
the whole name of its merge commit. An approval that was told and is listed no more was taken back. With a
token the branch restrictions are asked for each time, and recorded where they differ from what was recorded
last.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import ReviewDismissed, ReviewSubmitted
from ledger.httpio import MAX_PAGES, Absent, Api, Denied
from ledger.sources import Batch, Configured, Tools, payloads, recorded, ruled, votes
from ledger.sources.apis import ForgeOptions, connected, token, wrong_address
from ledger.sources.bitbucket import facts, restrictions
from ledger.sources.bitbucket.facts import HOST, KIND
from ledger.sources.following import Listed, Reading, follow, mark
from ledger.sources.payloads import Json, Told, number, part, parts

VARIABLE = "BITBUCKET_TOKEN"
PAGE = 50
_FIELDS = quote("+values.participants")


def options(configured: Configured) -> ForgeOptions:
    """The options of a `[[source]]`. Raises UsageError where it names no repository or no readable token."""
    address = urlsplit(configured.url)
    path = address.path.strip("/").removesuffix(".git")
    if address.scheme not in ("http", "https") or not address.hostname or path.count("/") != 1:
        raise wrong_address(
            configured, "repository of Bitbucket Cloud", "https://bitbucket.org/WORKSPACE/NAME"
        )
    host = address.netloc.rpartition("@")[2]
    api = "https://api.bitbucket.org/2.0" if host == HOST else f"{address.scheme}://{host}/2.0"
    return ForgeOptions(
        name=configured.name,
        forge=f"{HOST}/{path}".lower(),
        api=api,
        path=quote(path),
        token=token(configured, VARIABLE),
    )


def authorization(token: str) -> str:
    """An access token, or `user:token` for an API token of a person."""
    if not token:
        return ""
    if ":" in token:
        return f"Basic {base64.b64encode(token.encode()).decode()}"
    return f"Bearer {token}"


def pull(options: ForgeOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """The branch restrictions, and every pull request that changed since the cursor, some at a time.

    Raises SourceError where the API cannot be read; what was read until then is kept.
    """
    with connected(options, authorization(options.token)) as api:
        forge = _Forge(options, api, tools)
        if options.token:  # to others Bitbucket tells no restrictions
            batch = forge.restrictions()
            if batch.events:
                yield batch
        yield from follow(forge, cursor)


class _Forge:
    def __init__(self, options: ForgeOptions, api: Api, tools: Tools) -> None:
        self._api = api
        self._tools = tools
        self._forge = options.forge
        self._name = options.name
        self._repository = f"repositories/{options.path}"
        self._pulls = f"{self._repository}/pullrequests"
        self._commits = f"repositories/{options.path}/commit"

    def restrictions(self) -> Batch:
        """What differs of the branch restrictions."""
        repository, model, reviewers = self._repository, None, None
        try:
            told = self._all(f"{repository}/branch-restrictions?pagelen=100")
            if restrictions.has_types(told):
                model = self._one(f"{repository}/effective-branching-model")
        except (Absent, Denied) as error:
            gap = payloads.unread(KIND, self._forge, "the branch restrictions", error, self._tools)
            return Batch(events=[gap])
        if restrictions.asks_default_reviewers(told):
            try:
                reviewers = self._all(f"{repository}/effective-default-reviewers?pagelen=100")
            except (Absent, Denied):  # then it is not known who they are
                reviewers = None
        found = list(restrictions.in_force(restrictions.Settings(told, model, reviewers)))
        return ruled.changed(KIND, self._forge, [*found, ruled.no_other(found)], self._tools)

    def _one(self, path: str) -> Json:
        found = self._api.get(path).value()
        return found if isinstance(found, dict) else {}

    def listed_open(self) -> Iterator[Sequence[Listed]]:
        return self._listed("state=OPEN")

    def listed_newest(self) -> Iterator[Sequence[Listed]]:
        return self._listed("state=MERGED&state=DECLINED&state=SUPERSEDED&sort=-updated_on")

    def _listed(self, query: str) -> Iterator[Sequence[Listed]]:
        path = f"{self._pulls}?{query}&pagelen={PAGE}&fields={_FIELDS}"
        for page in self._pages(path):
            yield [
                Listed(number(one.get("id")), one.get("state") == facts.OPEN, _look(one))
                for one in page
            ]

    def _pages(self, path: str) -> Iterator[list[Json]]:
        address = path
        for _ in range(MAX_PAGES):
            page = self._api.get(address).value()
            if not isinstance(page, dict) or not isinstance(page.get("values"), list):
                raise SourceError(f"source {self._name}: a page of a list is no page")
            yield parts(page, "values")
            following = page.get("next")
            if not isinstance(following, str) or not following:
                return
            address = following
        raise SourceError(f"source {self._name}: a list has no end of pages")

    def read(self, number: int) -> Reading:
        path = f"{self._pulls}/{number}"
        before = self._reviews(number)  # what a delivery tells while we ask is not missed below
        try:
            pull = self._api.get(path).value()
            activities = self._all(f"{path}/activity?pagelen={PAGE}")
        except Absent as error:
            return Reading(self._unread(number, error), False)
        if not isinstance(pull, dict):
            return Reading(self._unread(number, SourceError("it is no JSON object")), False)
        commits = self._there(f"{path}/commits?pagelen=100")
        whole = self._whole(pull, commits)
        try:
            batch = self._told(number, pull, activities, commits, whole, before)
            for status in self._there(f"{path}/statuses?pagelen=100"):
                batch = _joined(batch, self._status(number, status))
        except SourceError as error:
            batch = self._unread(number, error)
        return Reading(batch, pull.get("state") == facts.OPEN)

    def _all(self, path: str) -> list[Json]:
        return [one for page in self._pages(path) for one in page]

    def _there(self, path: str) -> list[Json]:
        """A list that may be gone, as the commits of a branch that was deleted."""
        try:
            return self._all(path)
        except Absent:
            return []

    def _whole(self, pull: Json, commits: Sequence[Json]) -> dict[str, str]:
        """The whole names of abbreviated commits: those listed, and the merge commit."""
        names = [payloads.sha(one.get("hash")) for one in commits]
        whole = {one[:12]: one for one in names if one}
        merge = facts.short(part(pull, "merge_commit"))
        if merge and merge not in whole:
            try:
                found = self._api.get(f"{self._commits}/{merge}").value()
            except Absent:
                return whole
            name = payloads.sha(found.get("hash")) if isinstance(found, dict) else ""
            if name.startswith(merge):
                whole[merge] = name
        return whole

    def _told(
        self,
        number: int,
        pull: Json,
        activities: Sequence[Json],
        commits: Sequence[Json],
        whole: Mapping[str, str],
        before: Mapping[str, ReviewSubmitted],
    ) -> Batch:
        told = self._of(pull)
        known = facts.heads(activities, whole)
        events = [facts.standing(told, pull, whole, facts.end(activities))]
        contents = list(told.contents)
        reviews: set[str] = set()
        for one in activities:
            of_one = self._of(one)
            found = facts.activity(of_one, pull, one, known, whole)
            if found is None:
                continue
            events.append(found)
            contents += of_one.contents
            if isinstance(found.data, ReviewSubmitted):
                reviews.add(found.data.review)
        gone = [review for name, review in before.items() if name not in reviews]
        events += [votes.vanished(told, one) for one in gone]
        head = facts.head_of(pull, whole)
        if commits and payloads.sha(head):
            of_all = self._of(list(commits))
            events.append(facts.listed(of_all, number, head, commits))
            contents += of_all.contents
        return Batch(events=events, contents=contents)

    def _reviews(self, of: int) -> dict[str, ReviewSubmitted]:
        """The votes that were told and not taken back."""
        told = [one.data for one in self._tools.told(f"{self._forge}/review/{of}/")]
        over = {one.review for one in told if isinstance(one, ReviewDismissed)}
        return {
            one.review: one
            for one in told
            if isinstance(one, ReviewSubmitted)
            and one.state != votes.DISMISSED
            and one.review not in over
        }

    def _status(self, number: int, status: Json) -> Batch:
        try:
            told = self._of(status)
            found = facts.check(told, status)
        except SourceError as error:
            return self._unread(number, error)
        return Batch(events=[found] if found else [], contents=told.contents if found else [])

    def _of(self, value: Any) -> Told:
        return recorded.told_of(KIND, self._forge, value, self._tools)

    def _unread(self, number: int, error: SourceError) -> Batch:
        what = f"pull request {number}"
        return Batch(events=[payloads.unread(KIND, self._forge, what, error, self._tools)])


def _look(one: Json) -> str:
    said = [
        (str(part(who, "user").get("uuid")), str(who.get("state")), str(who.get("participated_on")))
        for who in parts(one, "participants")
    ]
    return mark(str(one.get("updated_on")), facts.head_of(one, {}), said)


def _joined(first: Batch, second: Batch) -> Batch:
    contents: list[Content] = [*first.contents, *second.contents]
    return Batch(events=[*first.events, *second.events], contents=contents)
