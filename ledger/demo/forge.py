"""The company's forge: the webhooks that GitHub would send of its pull requests and reviews.

The bodies have GitHub's shape (`webhook-events-and-payloads`), without the addresses of its API that
nobody reads. A pull request is told whole with its own actions and in short with a review's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from ledger.demo.people import Person

NAME: Final = "acme/infra"
HOST: Final = "github.com"
CLONE: Final = f"https://{HOST}/{NAME}.git"
PAGE: Final = f"https://{HOST}/{NAME}"
_API: Final = f"https://api.github.com/repos/{NAME}"
_FIRST_PULL: Final = 2_801_400_000
_FIRST_REVIEW: Final = 3_190_220_000
_WHOLE: Final = ("merged", "mergeable", "rebaseable", "mergeable_state", "merged_by", "commits")

Json = dict[str, Any]


@dataclass(slots=True)
class Forge:
    """Pull requests as they stand, and the deliveries that nobody has read yet."""

    deliveries: list[Json] = field(default_factory=list)
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

    def take(self) -> str:
        """The deliveries since the last call, one JSON text a line; empty if there are none."""
        taken = "".join(f"{json.dumps(one)}\n" for one in self.deliveries)
        self.deliveries.clear()
        return taken

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
