"""Answers of GitHub's API that were kept with the address that was asked: `{"url": …, "at": …, "body": …}`.

So a file can tell what only its address says, as of which team the members are. `at` is when GitHub
answered; what says no time of its own cannot be told without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from ledger.errors import SourceError
from ledger.events import NewEvent
from ledger.instants import utc_text
from ledger.jsontext import Value, clean
from ledger.sources import Batch, Tools, keyed, recorded
from ledger.sources.github import facts, pushes, rules
from ledger.sources.github.facts import KIND
from ledger.sources.payloads import Json, Told, parts

_PART = r"([\w.%-]{1,200})"
_ADDRESS = re.compile(
    rf"https?://(?:api\.)?([A-Za-z0-9.-]{{1,253}})(?::[0-9]+)?(?:/api/v3)?"
    rf"/(repos|orgs)/{_PART}/{_PART}/([\w.%/-]{{1,500}})(?:\?.*)?$",
    re.ASCII,
)
_SUITE = re.compile(r"rulesets/rule-suites/[0-9]+$", re.ASCII)
_PROTECTION = re.compile(r"branches/([^/]+)/protection$")
_MEMBERS: Final = "members"


class Answer(NamedTuple):
    """An answer, where it was asked for, and when; `at` is empty where that is not told."""

    host: str
    owner: str
    name: str
    path: str
    at: str
    read: Value
    body: Any


def answer(read: Value) -> Answer | None:
    """The answer that a value is, of an address that is known here; None where it is another value."""
    value: Json = read.value
    if not {"url", "body"} <= value.keys() <= {"url", "body", "at"}:
        return None
    match = _ADDRESS.match(value["url"]) if isinstance(value["url"], str) else None
    if match is None:
        raise SourceError("it is the answer of an address that is not known here")
    host, kind, owner, name, path = match.groups()
    if kind == "orgs":  # /orgs/acme/teams/platform/members
        if name != "teams" or not path.endswith(f"/{_MEMBERS}") or path.count("/") != 1:
            raise SourceError("it is the answer of an address that is not known here")
        name, _, path = path.partition("/")
    body = recorded.within(read, value["body"]).value
    return Answer(host.lower(), owner, unquote(name), path, utc_text(value.get("at")), read, body)


def events_from(one: Answer, tools: Tools) -> Batch:
    """What an answer tells. Raises SourceError where it is of another concern, or its time is missing."""
    told = facts.told(f"{one.host}/{one.owner}/{one.name}".lower(), one.read, tools)
    for shape, tell in _TELLS.items():
        if shape.match(one.path):
            events = tell(told, one, tools)
            return Batch(events=events, contents=told.contents, ignored=int(not events))
    raise SourceError("it is the answer of an address that is not known here")


def _suite(told: Told, one: Answer, _: Tools) -> list[NewEvent]:
    body = _object(one)
    return pushes.judged(told, body, parts(body, "rule_evaluations"))


def _protection(told: Told, one: Answer, tools: Tools) -> list[NewEvent]:
    match = _PROTECTION.match(one.path)
    branch = clean(unquote(match[1])) if match else ""
    body = _object(one)
    said = clean(str(body.get("message", "")))[:200]
    none = said.lower().startswith("branch not protected")
    if said and not none:
        raise SourceError(f"it is an error that the forge answered: {said}")
    data = rules.protection(told, branch, None if none else body, _time(one))
    prefix = f"{told.forge}/rules/{branch}/{data.ruleset}/"
    return [rules.event(told, data)] if keyed.is_news(data, prefix, tools) else []


def _members(told: Told, one: Answer, tools: Tools) -> list[NewEvent]:
    """All members of a team; the pages of a longer list are to be put together first."""
    if not isinstance(one.body, list):
        raise SourceError("the members of a team are no list")
    name = f"{one.owner}/{one.name}".lower()
    people = [each for each in one.body if isinstance(each, dict)]
    data = rules.team(told, one.host, name, people, _time(one))
    is_news = keyed.is_news(data, f"{one.host}/team/{name}/", tools)
    return [keyed.team(KIND, data)] if is_news else []


_TELLS: Mapping[re.Pattern[str], Callable[[Told, Answer, Tools], list[NewEvent]]] = {
    _SUITE: _suite,
    _PROTECTION: _protection,
    re.compile(f"{_MEMBERS}$"): _members,
}


def _object(one: Answer) -> Json:
    if not isinstance(one.body, dict):
        raise SourceError("the answer is no JSON object")
    return one.body


def _time(one: Answer) -> str:
    if not one.at:
        raise SourceError('it does not tell when GitHub answered: "at" is missing')
    return one.at
