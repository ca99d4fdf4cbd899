"""Azure DevOps' REST API: every pull request of a repository, and what service hooks lost.

Of each that looks different than before: itself, its threads (votes), iterations (pushes) and commits. The
policies for branches are asked for each time, and recorded where they differ from what was recorded last.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from urllib.parse import quote, unquote, urlsplit

from ledger.errors import SourceError
from ledger.httpio import MAX_PAGES, Absent, Api, Denied
from ledger.sources import Batch, Configured, Tools, payloads, recorded, ruled
from ledger.sources.apis import ForgeOptions, connected, token, wrong_address
from ledger.sources.azure_devops import facts, policies
from ledger.sources.azure_devops.facts import KIND
from ledger.sources.following import Listed, Reading, follow, mark
from ledger.sources.payloads import Json, number, part, parts

VARIABLE = "AZURE_DEVOPS_EXT_PAT"  # as Azure's own command line calls it
PAGE = 100
_VERSION = "api-version=7.0"


def options(configured: Configured) -> ForgeOptions:
    """The options of a `[[source]]`. Raises UsageError where it names no repository or no readable token."""
    address = urlsplit(configured.url)
    above, marker, name = address.path.strip("/").partition("_git/")
    places = above.strip("/").split("/")
    name = name.strip("/")
    if address.scheme not in ("http", "https") or not address.hostname or not marker or not name:
        raise wrong_address(
            configured,
            "repository of Azure DevOps",
            "https://dev.azure.com/ORGANIZATION/PROJECT/_git/NAME",
        )
    alone = len(places) < 2 and not address.hostname.endswith(".visualstudio.com")
    project = name if alone or not places[-1] else places.pop()
    host = address.netloc.rpartition("@")[2]
    root = "/".join([f"{address.scheme}://{host}", *filter(None, places)])
    return ForgeOptions(
        name=configured.name,
        forge=facts.forge({"remoteUrl": configured.url}),
        api=root,
        path=f"{_quoted(project)}/_apis/git/repositories/{_quoted(name)}",
        token=token(configured, VARIABLE),
    )


def _quoted(name: str) -> str:
    return quote(unquote(name))


def authorization(token: str) -> str:
    """A personal access token is the password of a user without a name."""
    return f"Basic {base64.b64encode(f':{token}'.encode()).decode()}" if token else ""


def pull(options: ForgeOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """The policies, and every pull request that looks different than before, some at a time.

    Raises SourceError where the API cannot be read; what was read until then is kept.
    """
    with connected(options, authorization(options.token)) as api:
        forge = _Forge(options, api, tools)
        batch = forge.policies()
        if batch.events:
            yield batch
        yield from follow(forge, cursor)


class _Forge:
    def __init__(self, options: ForgeOptions, api: Api, tools: Tools) -> None:
        self._api = api
        self._tools = tools
        self._forge = options.forge
        self._name = options.name
        self._repository = options.path
        self._policies = f"{options.path.partition('/_apis/')[0]}/_apis/policy/configurations"
        self._pulls = f"{options.path}/pullrequests"

    def policies(self) -> Batch:
        """What differs of the policies for branches."""
        try:
            repository = self._api.get(f"{self._repository}?{_VERSION}").value()
            if not isinstance(repository, dict):
                raise SourceError("the repository is no JSON object")
            told = self._one(f"{self._policies}?{_VERSION}")
            recent = (
                self._one(f"{self._pulls}?searchCriteria.status=all&{_VERSION}&$top={PAGE}&$skip=0")
                if policies.named(told)
                else []
            )
        except (Absent, Denied) as error:
            gap = payloads.unread(KIND, self._forge, "the policies", error, self._tools)
            return Batch(events=[gap])
        found = list(policies.in_force(told, repository, policies.people(recent)))
        return ruled.changed(KIND, self._forge, [*found, ruled.no_other(found)], self._tools)

    def listed_open(self) -> Iterator[Sequence[Listed]]:
        return self._listed("active")

    def listed_newest(self) -> Iterator[Sequence[Listed]]:
        return self._listed("all")

    def _listed(self, status: str) -> Iterator[Sequence[Listed]]:
        for page in self._pages(f"{self._pulls}?searchCriteria.status={status}&{_VERSION}"):
            yield [
                Listed(
                    number(one.get("pullRequestId")), one.get("status") == facts.ACTIVE, _look(one)
                )
                for one in page
            ]

    def _pages(self, path: str) -> Iterator[list[Json]]:
        before: list[Json] = []
        for index in range(MAX_PAGES):
            page = self._one(f"{path}&$top={PAGE}&$skip={index * PAGE}")
            if page == before:  # a list that cannot be skipped in
                return
            yield page
            if len(page) < PAGE:
                return
            before = page
        raise SourceError(f"source {self._name}: a list has no end of pages")

    def _one(self, path: str) -> list[Json]:
        page = self._api.get(path).value()
        if not isinstance(page, dict) or not isinstance(page.get("value"), list):
            raise SourceError(f"source {self._name}: a page of a list is no page")
        return parts(page, "value")

    def read(self, number: int) -> Reading:
        path = f"{self._pulls}/{number}"
        try:
            pull = self._api.get(f"{path}?{_VERSION}").value()
            threads = self._one(f"{path}/threads?{_VERSION}")
            iterations = self._one(f"{path}/iterations?{_VERSION}")
            commits = self._commits(f"{path}/commits?{_VERSION}")
        except Absent as error:
            return Reading(self._unread(number, error), False)
        if not isinstance(pull, dict):
            return Reading(self._unread(number, SourceError("it is no JSON object")), False)

        def of(value: object) -> payloads.Told:
            return recorded.told_of(KIND, self._forge, value, self._tools)

        try:
            batch = facts.whole(of, pull, threads, iterations, commits)
        except SourceError as error:
            batch = self._unread(number, error)
        return Reading(batch, pull.get("status") == facts.ACTIVE)

    def _commits(self, path: str) -> list[Json]:
        try:
            return [one for page in self._pages(path) for one in page]
        except Absent:  # of a branch that is gone
            return []

    def _unread(self, number: int, error: SourceError) -> Batch:
        what = f"pull request {number}"
        return Batch(events=[payloads.unread(KIND, self._forge, what, error, self._tools)])


def _look(one: Json) -> str:
    votes = [(str(who.get("id")), str(who.get("vote"))) for who in parts(one, "reviewers")]
    head = part(one, "lastMergeSourceCommit").get("commitId")
    said = (str(one.get("title")), str(one.get("isDraft")), str(one.get("targetRefName")))
    return mark(str(one.get("status")), str(head), votes, said)
