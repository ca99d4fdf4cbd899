"""The company's forge: the webhooks that GitHub would send of its pull requests, reviews, pushes and rules.

The bodies have GitHub's shape (`webhook-events-and-payloads`), without the addresses of its API that
nobody reads. A pull request is told whole with its own actions and in short with a review's. What no
webhook tells (who is in a team, whether a push passed over rules) stands in answers of its API.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ledger.demo.people import FORGE, Person

NAME: Final = "acme/infra"
HOST: Final = "github.com"
CLONE: Final = f"https://{HOST}/{NAME}.git"
PAGE: Final = f"https://{HOST}/{NAME}"
_API: Final = f"https://api.github.com/repos/{NAME}"
_FIRST_PULL: Final = 2_801_400_000
_FIRST_REVIEW: Final = 3_190_220_000
_FIRST_CHECK: Final = 51_020_400_000
_FIRST_SUITE: Final = 1_740_300_000
_RULE: Final = 66_120_431
_WHOLE: Final = ("merged", "mergeable", "rebaseable", "mergeable_state", "merged_by", "commits")

Json = dict[str, Any]


@dataclass(slots=True)
class Forge:
    """Pull requests as they stand, and the deliveries and answers that nobody has read yet."""

    deliveries: list[Json] = field(default_factory=list)
    answers: list[Json] = field(default_factory=list)
    _checks: int = 0
    _pulls: dict[int, Json] = field(default_factory=dict)
    _reviews: dict[tuple[int, str], Json] = field(default_factory=dict)

    def open(
        self, number: int, who: Person, when: str, title: str, *, base: str, head: str
    ) -> None:
        """A pull request is opened."""
        self._pulls[number] = _pull(number, who, when, title, base, head)
        self._tell("opened", number, who, when)

    def push(self, number: int, who: Person, when: str, head: str) -> None:
        """Somebody pushes to the branch of a pull request."""
        pull = self._pulls[number]
        before, pull["head"]["sha"] = pull["head"]["sha"], head
        pull["commits"] += 1
        self._tell("synchronize", number, who, when, before=before, after=head)

    def review(self, number: int, who: Person, when: str, state: str) -> None:
        """A review: approved, changes_requested or commented, at the head as it is now."""
        identifier = _FIRST_REVIEW + len(self._reviews)
        review = {
            "id": identifier,
            "node_id": f"PRR_{identifier:x}",
            "user": _user(who),
            "body": None,
            "commit_id": self._pulls[number]["head"]["sha"],
            "submitted_at": _stamp(when),
            "updated_at": _stamp(when),
            "state": state,
            "html_url": f"{PAGE}/pull/{number}#pullrequestreview-{identifier}",
            "pull_request_url": f"{_API}/pulls/{number}",
            "author_association": "MEMBER",
        }
        self._reviews[number, who.login] = review
        self._tell("submitted", number, who, when, review=review)

    def dismiss(self, number: int, reviewer: Person, who: Person, when: str) -> None:
        """Somebody takes the review of another person back; what it said is no longer told."""
        review = self._reviews[number, reviewer.login]
        review |= {"state": "dismissed", "updated_at": _stamp(when)}
        self._tell("dismissed", number, who, when, review=review)

    def merge(self, number: int, who: Person, when: str, commit: str) -> None:
        """Somebody merges a pull request."""
        self._pulls[number] |= {
            "state": "closed",
            "merged": True,
            "closed_at": _stamp(when),
            "merged_at": _stamp(when),
            "merged_by": _user(who),
            "merge_commit_sha": commit,
        }
        self._tell("closed", number, who, when)

    def close(self, number: int, who: Person, when: str) -> None:
        """Somebody closes a pull request and does not merge it."""
        self._pulls[number] |= {"state": "closed", "closed_at": _stamp(when)}
        self._tell("closed", number, who, when)

    def check(self, number: int, when: str, conclusion: str) -> None:
        """The plan of Terraform for the head of a pull request as it is now: how it ended."""
        self._checks += 1
        body: Json = {
            "action": "completed",
            "check_run": {
                "id": _FIRST_CHECK + self._checks,
                "name": "terraform plan",
                "head_sha": self._pulls[number]["head"]["sha"],
                "status": "completed",
                "conclusion": conclusion,
                "started_at": _stamp(when),
                "completed_at": _stamp(when),
                "html_url": f"{PAGE}/pull/{number}/checks",
                "app": {"slug": "github-actions"},
            },
            "repository": _repository(),
            "sender": _user(FORGE),
        }
        self.deliveries.append(body)

    def pushed(
        self, who: Person, when: str, before: str, after: str, *, forced: bool = False
    ) -> None:
        """Somebody moves main: by a push, or by merging a pull request."""
        seconds = int(datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp())
        body: Json = {
            "ref": "refs/heads/main",
            "before": before,
            "after": after,
            "created": False,
            "deleted": False,
            "forced": forced,
            "compare": f"{PAGE}/compare/{before[:12]}...{after[:12]}",
            "commits": [] if forced else [{"id": after}],
            "pusher": {"name": who.login, "email": who.email},
            "repository": {**_repository(), "pushed_at": seconds},
            "sender": _user(who),
        }
        self.deliveries.append(body)

    def protect(self, who: Person, when: str) -> None:
        """Somebody protects main: one approval, and one of a code owner. Administrators may pass over it."""
        rule: Json = {
            "id": _RULE,
            "name": "main",
            "created_at": _stamp(when),
            "updated_at": _stamp(when),
            "pull_request_reviews_enforcement_level": "everyone",
            "required_approving_review_count": 1,
            "require_code_owner_review": True,
            "dismiss_stale_reviews_on_push": False,
            "require_last_push_approval": False,
            "admin_enforced": False,
            "required_status_checks": [],
        }
        body = {"action": "created", "rule": rule, "repository": _repository()}
        self.deliveries.append({**body, "sender": _user(who)})

    def tell_team(self, name: str, members: Sequence[Person], when: str) -> None:
        """The API is asked who is in a team."""
        address = f"https://api.{HOST}/orgs/acme/teams/{name}/members"
        body = [_user(one) for one in members]
        self.answers.append({"url": address, "at": _stamp(when), "body": body})

    def passed_over(self, who: Person, when: str, before: str, after: str) -> None:
        """The API is asked how a push stood to the rules: it passed over them."""
        number = _FIRST_SUITE + len(self._pulls)
        body: Json = {
            "id": number,
            "actor_id": who.number,
            "actor_name": who.login,
            "before_sha": before,
            "after_sha": after,
            "ref": "refs/heads/main",
            "repository_id": _repository()["id"],
            "repository_name": "infra",
            "pushed_at": _stamp(when),
            "result": "bypass",
            "evaluation_result": None,
            "rule_evaluations": [
                {
                    "rule_source": {"type": "protected_branch"},
                    "enforcement": "active",
                    "result": "fail",
                    "rule_type": "pull_request",
                }
            ],
        }
        self.answers.append({"url": f"{_API}/rulesets/rule-suites/{number}", "body": body})

    def take(self) -> str:
        """The deliveries since the last call, one JSON text a line; empty if there are none."""
        return _taken(self.deliveries)

    def take_answers(self) -> str:
        """The answers of the API since the last call, likewise."""
        return _taken(self.answers)

    def _tell(self, action: str, number: int, who: Person, when: str, **more: Any) -> None:
        pull = self._pulls[number]
        pull["updated_at"] = _stamp(when)
        body: Json = {"action": action, **more}
        if "review" in more:
            body["pull_request"] = {key: one for key, one in pull.items() if key not in _WHOLE}
        else:
            body |= {"number": number, "pull_request": pull}
        body |= {"repository": _repository(), "sender": _user(who)}
        self.deliveries.append(json.loads(json.dumps(body)))


def _taken(waiting: list[Json]) -> str:
    taken = "".join(f"{json.dumps(one)}\n" for one in waiting)
    waiting.clear()
    return taken


def _pull(number: int, who: Person, when: str, title: str, base: str, head: str) -> Json:
    branch = f"{who.login.removesuffix('[bot]')}/{number}"
    return {
        "url": f"{_API}/pulls/{number}",
        "id": _FIRST_PULL + number,
        "node_id": f"PR_{_FIRST_PULL + number:x}",
        "html_url": f"{PAGE}/pull/{number}",
        "number": number,
        "state": "open",
        "locked": False,
        "title": title,
        "user": _user(who),
        "body": None,
        "created_at": _stamp(when),
        "updated_at": _stamp(when),
        "closed_at": None,
        "merged_at": None,
        "merge_commit_sha": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "labels": [],
        "draft": False,
        "head": _end(branch, head, who),
        "base": _end("main", base, None),
        "author_association": "NONE" if who.is_bot else "MEMBER",
        "auto_merge": None,
        "merged": False,
        "mergeable": True,
        "rebaseable": True,
        "mergeable_state": "clean",
        "merged_by": None,
        "commits": 1,
    }


def _end(branch: str, commit: str, who: Person | None) -> Json:
    label = f"acme:{branch}"
    owner = _user(who) if who else {"login": "acme", "id": 30510001, "type": "Organization"}
    return {"label": label, "ref": branch, "sha": commit, "user": owner, "repo": _repository()}


def _repository() -> Json:
    return {
        "id": 814_620_517,
        "name": "infra",
        "full_name": NAME,
        "private": True,
        "owner": {"login": "acme", "id": 30510001, "type": "Organization"},
        "html_url": PAGE,
        "clone_url": CLONE,
        "default_branch": "main",
    }


def _user(who: Person) -> Json:
    return {
        "login": who.login,
        "id": who.number,
        "html_url": f"https://{HOST}/{who.login}",
        "type": "Bot" if who.is_bot else "User",
        "site_admin": False,
    }


def _stamp(when: str) -> str:
    return f"{when.replace(' ', 'T')}:00Z"
