"""What a GitHub of our own for tests answers: a repository's pull requests and what stands around them.

It answers on the paths and in the shapes of GitHub's OpenAPI document (REST version 2022-11-28) below
`/api/v3`, with pages, tags (304) and Apps' tokens, as far as the ledger reads them. What fails is said
(`fail`, `deny`). What happens is `ledger.testing.github`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode

from ledger.testing.servers import Asked, Reply, WebServer

Json = dict[str, Any]
API = "/api/v3/"
REPO = "repos/acme/infra"
MISSING = Reply({"message": "Not Found", "status": "404"}, status=404)
NOT_PERMITTED = Reply({"message": "Resource not accessible by integration"}, status=403)


def sha(*what: object) -> str:
    """The name of a commit, made up."""
    return hashlib.sha1(repr(what).encode(), usedforsecurity=False).hexdigest()


class Delivery(NamedTuple):
    """What GitHub posts to a webhook."""

    event: str
    id: str
    body: Json

    def signed(self, secret: bytes) -> tuple[dict[str, str], bytes]:
        """Its headers and bytes, signed with a secret."""
        data = json.dumps(self.body).encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "GitHub-Hookshot/0000000",
            "x-github-event": self.event,
            "x-github-delivery": self.id,
            "x-hub-signature-256": f"sha256={hmac.digest(secret, data, 'sha256').hex()}",
        }
        return headers, data


def user(login: str) -> Json:
    """A user, or an app where the name says so."""
    return {"login": login, "type": "Bot" if login.endswith("[bot]") else "User"}


@dataclass
class Answers:
    """The repository acme/infra, as its API shows it. `page` is the largest page that is given."""

    server: WebServer
    page: int = 100
    clock: datetime = datetime(2026, 3, 1, 10, tzinfo=UTC)
    pulls: dict[int, Json] = field(default_factory=dict)
    reviews: dict[int, list[Json]] = field(default_factory=dict)
    commits: dict[int, list[Json]] = field(default_factory=dict)
    events: dict[int, list[Json]] = field(default_factory=dict)
    runs: dict[str, list[Json]] = field(default_factory=dict)
    statuses: dict[str, list[Json]] = field(default_factory=dict)
    activity: list[Json] = field(default_factory=list)
    suites: list[Json] = field(default_factory=list)
    evaluations: dict[int, list[Json]] = field(default_factory=dict)
    protection: Json | None = None
    rulesets: dict[int, Json] = field(default_factory=dict)
    teams: dict[str, list[str]] = field(default_factory=dict)
    logins: dict[int, str] = field(default_factory=dict)
    owner_type: str = "Organization"
    deliveries: list[Delivery] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    denied: dict[str, Reply] = field(default_factory=dict)
    failures: list[tuple[str, Reply]] = field(default_factory=list)
    check_token: Callable[[str], bool] = lambda _: True
    issue_token: Callable[[str], Json | None] = lambda _: None
    tip: str = sha("start")
    _changes: int = 0

    # -- what fails --------------------------------------------------------------------------

    def fail(self, path: str, *replies: Reply) -> None:
        """The next requests whose path ends so get these answers instead, one each."""
        self.failures += [(path, reply) for reply in replies]

    def deny(self, *parts: str, reply: Reply = NOT_PERMITTED) -> None:
        """What has such a part in its path may not be read."""
        self.denied |= dict.fromkeys(parts, reply)

    # -- answers -----------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Reply:
        """The answer to a request."""
        token = asked.headers.get("authorization", "")
        path = unquote(asked.path).removeprefix(API)
        if path.endswith("access_tokens") or path == f"{REPO}/installation":
            return self._app(asked, token, path)
        if not self.check_token(token):
            return Reply({"message": "Bad credentials"}, status=401)
        for number, (end, reply) in enumerate(self.failures):
            if path.endswith(end):
                del self.failures[number]
                return reply
        for part, reply in self.denied.items():
            if part in path:
                return reply
        found = self._found(path, asked.query)
        if found is None:
            return MISSING
        return found if isinstance(found, Reply) else self._tagged(asked, found)

    def _app(self, asked: Asked, jwt: str, path: str) -> Reply:
        answer = self.issue_token(jwt.removeprefix("Bearer "))
        if answer is None:
            return Reply({"message": "A JSON web token could not be decoded"}, status=401)
        if path.endswith("installation"):
            return Reply({"id": 4711})
        if asked.method != "POST" or path != "app/installations/4711/access_tokens":
            return MISSING
        return Reply(answer, status=201)

    def _tagged(self, asked: Asked, value: Any) -> Reply:
        reply = self._paged(asked, value) if isinstance(value, list) else Reply(value)
        tag = f'W/"{hashlib.sha256(json.dumps([reply.body, dict(reply.headers)]).encode()).hexdigest()}"'
        if asked.headers.get("if-none-match") == tag:
            return Reply(status=304, headers={"etag": tag})
        return Reply(reply.body, headers={**reply.headers, "etag": tag})

    def _paged(self, asked: Asked, items: list[Any]) -> Reply:
        size = min(self.page, int(asked.query.get("per_page", "30")))
        page = int(asked.query.get("page", "1"))
        headers = {}
        if len(items) > page * size:
            query = urlencode({**asked.query, "page": page + 1})
            headers["link"] = f'<{self.server.url}{asked.path}?{query}>; rel="next"'
        return Reply(items[(page - 1) * size : page * size], headers=headers)

    def _found(self, path: str, query: Mapping[str, str]) -> Any:
        if path == REPO:
            return self._repository()
        if path.startswith("user/"):
            login = self.logins.get(int(path.removeprefix("user/")))
            return user(login) if login else None
        if path.startswith("orgs/acme/teams/"):
            return [user(one) for one in self.teams.get(path.split("/")[3], [])]
        parts = path.removeprefix(f"{REPO}/").split("/")
        if parts[0] in ("issues", "pulls"):
            return self._proposed(parts, query)
        if parts[0] == "commits":
            return self._checked(parts[1], parts[2])
        if parts[0] == "hooks":
            return self._delivered(parts[2:], query)
        return self._around(parts, query)

    def _around(self, parts: list[str], query: Mapping[str, str]) -> Any:
        match parts:
            case ["activity"]:
                return [one for one in self.activity if one["ref"] == query["ref"]]
            case ["rulesets", *rest]:
                return self._rulesets(rest)
            case ["rules", "branches", "main"]:
                return [
                    {**rule, "ruleset_id": number, "ruleset_source_type": "Repository"}
                    for number, one in self.rulesets.items()
                    for rule in one["rules"]
                ]
            case ["branches", "main", "protection"]:
                if self.protection is None:
                    return Reply({"message": "Branch not protected"}, status=404)
                return self.protection
            case ["teams"]:
                return [{"id": number, "slug": one} for number, one in enumerate(self.teams, 1)]
        return None

    def _rulesets(self, parts: list[str]) -> Any:
        match parts:
            case ["rule-suites"]:
                return self.suites[::-1]
            case ["rule-suites", number]:
                [suite] = [one for one in self.suites if str(one["id"]) == number]
                return suite | {"rule_evaluations": self.evaluations[int(number)]}
        return self.rulesets.get(int(parts[0]))

    def _proposed(self, parts: list[str], query: Mapping[str, str]) -> Any:
        if parts == ["issues"]:
            return self._changed(query.get("since", ""))
        number = int(parts[1])
        if number not in self.pulls:
            return None
        if parts[0] == "issues":
            return self.events[number]
        if len(parts) == 2:
            return self.pulls[number]
        return (self.reviews if parts[2] == "reviews" else self.commits)[number]

    def _changed(self, since: str) -> list[Json]:
        found = [one for one in self.pulls.values() if one["updated_at"] >= since]
        return [
            {"number": one["number"], "updated_at": one["updated_at"], "pull_request": {"url": "…"}}
            for one in sorted(found, key=lambda one: str(one["updated_at"]))
        ]

    def _checked(self, head: str, what: str) -> Any:
        if what == "check-runs":
            runs = self.runs.get(head, [])
            return {"total_count": len(runs), "check_runs": runs}
        return {"sha": head, "state": "success", "statuses": self.statuses.get(head, [])}

    def _delivered(self, parts: list[str], query: Mapping[str, str]) -> Any:
        """`deliveries` with `status=failure`, newest first, and one delivery."""
        failed = [
            self._delivery(number, one)
            for number, one in enumerate(self.deliveries, 1)
            if one.id in self.failed
        ]
        if len(parts) == 1:
            return failed[::-1] if query.get("status") == "failure" else None
        one = self.deliveries[int(parts[1]) - 1]
        headers, _ = one.signed(b"secret")
        request = {"headers": headers, "payload": one.body}
        return self._delivery(int(parts[1]), one) | {"request": request, "response": {}}

    def _delivery(self, number: int, one: Delivery) -> Json:
        return {
            "id": number,
            "guid": one.id,
            "delivered_at": one.body["delivered_at"],
            "redelivery": False,
            "duration": 0.1,
            "status": "Service Unavailable",
            "status_code": self.failed.get(one.id, 202),
            "event": one.event,
            "action": one.body.get("action"),
        }

    def _repository(self) -> Json:
        return {
            "id": 9_001,
            "full_name": "acme/infra",
            "html_url": f"{self.server.url}/acme/infra",
            "default_branch": "main",
            "owner": {"login": "acme", "type": self.owner_type},
        }
