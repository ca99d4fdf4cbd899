"""A GitHub of our own for tests: a repository's pull requests and what stands around them.

It answers on the paths and in the shapes of GitHub's OpenAPI document (REST version 2022-11-28) below
`/api/v3`, with pages, tags (304), Apps' tokens and webhooks, as far as the ledger reads them. What happens
is typed (`open`, `review`, `merge`, ...); what fails is said (`fail`, `deny`). Its clock goes on by a second
with each thing that happens.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode

from ledger.testing.servers import Asked, Reply, WebServer, emulated

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


@dataclass
class Github:
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
    owner_type: str = "Organization"
    deliveries: list[Delivery] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    denied: dict[str, Reply] = field(default_factory=dict)
    failures: list[tuple[str, Reply]] = field(default_factory=list)
    check_token: Callable[[str], bool] = lambda _: True
    issue_token: Callable[[str], Json | None] = lambda _: None
    tip: str = sha("start")
    _changes: int = 0

    # -- what happens ------------------------------------------------------------------------

    def now(self) -> str:
        """A second later."""
        self._changes += 1
        self.clock += timedelta(seconds=1)
        return self.clock.strftime("%Y-%m-%dT%H:%M:%SZ")

    def open(self, number: int, author: str = "ann", *committers: str) -> Delivery:
        """A pull request with one commit of each committer, else of its author."""
        at = self.now()
        self.pulls[number] = {
            "id": 5_000_000 + number,
            "number": number,
            "state": "open",
            "title": f"Change {number}",
            "user": user(author),
            "html_url": f"{self.server.url}/acme/infra/pull/{number}",
            "head": {"sha": sha("head", number), "ref": "work"},
            "base": {"sha": self.tip, "ref": "main"},
            "labels": [],
            "draft": False,
            "merged": False,
            "merged_at": None,
            "merged_by": None,
            "merge_commit_sha": None,
            "closed_at": None,
            "created_at": at,
            "updated_at": at,
            "commits": len(committers or (author,)),
        }
        self.commits[number] = [
            {
                "sha": sha("commit", number, index),
                "author": user(who),
                "committer": user("web-flow"),
            }
            for index, who in enumerate(committers or (author,))
        ]
        self.reviews[number] = []
        self.events[number] = []
        return self._deliver("pull_request", author, action="opened", number=number)

    def review(self, number: int, who: str, state: str = "APPROVED") -> Delivery:
        """A review at the head."""
        at = self.now()
        review = {
            "id": 10_000 + self._changes,
            "user": user(who),
            "state": state,
            "commit_id": self.pulls[number]["head"]["sha"],
            "submitted_at": at,
            "author_association": "MEMBER",
            "html_url": f"{self.server.url}/acme/infra/pull/{number}#pullrequestreview-1",
            "pull_request_url": f"{self.server.url}{API}{REPO}/pulls/{number}",
        }
        self.reviews[number].append(review)
        self.pulls[number]["updated_at"] = at
        told = {**review, "state": state.lower()}
        return self._deliver(
            "pull_request_review", who, action="submitted", number=number, review=told
        )

    def dismiss(self, number: int, who: str) -> Delivery:
        """The last review of a pull request, dismissed."""
        at = self.now()
        review = self.reviews[number][-1]
        dismissed = {"state": review["state"].lower(), "review_id": review["id"]}
        self.events[number].append(
            {
                "id": self._changes,
                "event": "review_dismissed",
                "actor": user(who),
                "created_at": at,
                "dismissed_review": {**dismissed, "dismissal_message": "stale"},
            }
        )
        review["state"] = "DISMISSED"
        self.pulls[number]["updated_at"] = at
        told = {**review, "state": "dismissed", "updated_at": at}
        return self._deliver(
            "pull_request_review", who, action="dismissed", number=number, review=told
        )

    def force_push(self, number: int, who: str) -> Delivery:
        """Another head of a pull request."""
        at, pull = self.now(), self.pulls[number]
        before, after = pull["head"]["sha"], sha("head", number, self._changes)
        pull |= {"head": {"sha": after, "ref": "work"}, "updated_at": at}
        self.events[number].append(
            {
                "id": self._changes,
                "event": "head_ref_force_pushed",
                "actor": user(who),
                "commit_id": after,
                "created_at": at,
            }
        )
        heads: Json = {"before": before, "after": after}
        return self._deliver("pull_request", who, action="synchronize", number=number, **heads)

    def check(self, number: int, name: str, conclusion: str = "success") -> Delivery:
        """A check run of the head that is completed."""
        at, head = self.now(), self.pulls[number]["head"]["sha"]
        run = {
            "id": 70_000 + self._changes,
            "name": name,
            "head_sha": head,
            "status": "completed",
            "conclusion": conclusion,
            "started_at": at,
            "completed_at": at,
            "html_url": f"{self.server.url}/acme/infra/runs/{self._changes}",
            "app": {"id": 15_368, "slug": "github-actions", "name": "GitHub Actions"},
        }
        self.runs.setdefault(head, []).append(run)
        return self._deliver("check_run", "ann", action="completed", check_run=run)

    def status(self, number: int, context: str, state: str = "success") -> Delivery:
        """A status of the head."""
        at, head = self.now(), self.pulls[number]["head"]["sha"]
        status: Json = {
            "id": 80_000 + self._changes,
            "context": context,
            "state": state,
            "target_url": "https://ci.example.com/1",
            "created_at": at,
            "updated_at": at,
        }
        self.statuses.setdefault(head, []).append(status)
        return self._deliver("status", "ann", sha=head, **status)

    def merge(self, number: int, who: str = "bob") -> list[Delivery]:
        """A pull request, merged; it is pushed, too."""
        merge = sha("merge", number)
        pushed = self.push(who, "pr_merge", merge)
        at = self.clock.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.pulls[number] |= {
            "state": "closed",
            "merged": True,
            "merged_at": at,
            "closed_at": at,
            "updated_at": at,
            "merged_by": user(who),
            "merge_commit_sha": merge,
        }
        return [pushed, self._deliver("pull_request", who, action="closed", number=number)]

    def push(self, who: str, kind: str = "push", after: str = "") -> Delivery:
        """A push to main."""
        at = self.now()
        before, self.tip = self.tip, after or sha("push", self._changes)
        self.activity.append(
            {
                "id": 90_000 + self._changes,
                "before": before,
                "after": self.tip,
                "ref": "refs/heads/main",
                "timestamp": at,
                "activity_type": kind,
                "actor": user(who),
            }
        )
        commit = {"id": self.tip, "message": "Change", "timestamp": at}
        return self._deliver(
            "push",
            who,
            ref="refs/heads/main",
            before=before,
            after=self.tip,
            created=False,
            deleted=False,
            forced=kind == "force_push",
            commits=[commit],
            head_commit=commit,
            pusher={"name": who},
        )

    def judge(self, result: str, *failed: str) -> None:
        """A rule suite of the last push, with the kinds of rules that failed."""
        last, number = self.activity[-1], 60_000 + self._changes
        self.suites.append(
            {
                "id": number,
                "actor_name": last["actor"]["login"],
                "before_sha": last["before"],
                "after_sha": last["after"],
                "ref": last["ref"],
                "pushed_at": last["timestamp"],
                "result": result,
            }
        )
        self.evaluations[number] = [
            {"rule_type": one, "result": "fail", "enforcement": "active"} for one in failed
        ]

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

    # -- webhooks ----------------------------------------------------------------------------

    def _repository(self) -> Json:
        return {
            "id": 9_001,
            "full_name": "acme/infra",
            "html_url": f"{self.server.url}/acme/infra",
            "default_branch": "main",
            "owner": {"login": "acme", "type": self.owner_type},
        }

    def _deliver(self, event: str, sender: str, *, number: int = 0, **more: Any) -> Delivery:
        """A delivery; GitHub says in none when it delivers, `delivered_at` is for its own list of them."""
        at = int(self.clock.timestamp())
        body = {
            "sender": user(sender),
            "repository": self._repository() | {"pushed_at": at},
            "delivered_at": self.clock.strftime("%Y-%m-%dT%H:%M:%SZ"),
            **more,
        }
        if number:
            body |= {"number": number, "pull_request": json.loads(json.dumps(self.pulls[number]))}
        made = Delivery(event, f"guid-{len(self.deliveries) + 1}", body)
        self.deliveries.append(made)
        return made


def user(login: str) -> Json:
    """A user, or an app where the name says so."""
    return {"login": login, "type": "Bot" if login.endswith("[bot]") else "User"}


def github() -> AbstractContextManager[Github]:
    """Serves on a free port of this machine until the end of the block."""
    return emulated(Github)
