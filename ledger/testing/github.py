"""A GitHub of our own for tests: what happens in it, and the webhooks that tell.

What happens is typed (`open`, `review`, `merge`, ...); what it answers is `ledger.testing.github_api`. Its
clock goes on by a second with each thing that happens.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ledger.testing.github_api import (
    API,
    MISSING,
    NOT_PERMITTED,
    REPO,
    Answers,
    Delivery,
    Json,
    sha,
    user,
)
from ledger.testing.servers import emulated

__all__ = [
    "API", "MISSING", "NOT_PERMITTED", "REPO", "Delivery", "Github", "github", "sha", "user",
]  # fmt: skip


@dataclass
class Github(Answers):
    """The repository acme/infra, and what people do in it."""

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

    # -- webhooks ----------------------------------------------------------------------------

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


def github() -> AbstractContextManager[Github]:
    """Serves on a free port of this machine until the end of the block."""
    return emulated(Github)
