"""Checks that ended: check runs and suites, and statuses, from webhooks and from the API.

What still runs tells nothing that is recorded. Of an answer of the API only what a check says of itself is
kept, because the rest of it (which pull requests are open just now) is another each time.
"""

from __future__ import annotations

from typing import Any, Final

from ledger.events import CheckCompleted, NewEvent
from ledger.instants import utc_text
from ledger.jsontext import clean
from ledger.sources.payloads import Json, Told, number, part, sha

_OWN: Final = (
    "id", "name", "head_sha", "external_id", "status", "conclusion", "started_at", "completed_at",
    "html_url", "details_url", "sha", "context", "state", "description", "target_url", "created_at",
    "updated_at",
)  # fmt: skip
_ENDED = ("success", "failure", "error")  # states of a status


def own(check: Json, **more: Any) -> Json:
    """What a check run or status of the API says of itself."""
    kept: Json = {name: check[name] for name in _OWN if name in check}
    app = part(check, "app")
    told = {name: app[name] for name in ("id", "slug", "name") if name in app}
    return {**kept, **({"app": told} if told else {}), **more}


def run(told: Told, check: Json) -> list[NewEvent]:
    """A check run that is completed."""
    if check.get("status") != "completed":
        return []
    app = part(check, "app")
    return _completed(
        told, "check", check, told.text(check.get("name")), _app(told, app), check.get("html_url")
    )


def suite(told: Told, check: Json) -> list[NewEvent]:
    """A check suite that is completed: all runs of one app at a commit together, by the app's name."""
    if check.get("status") != "completed":
        return []
    app = part(check, "app")
    name = told.text(app.get("name")) or _app(told, app)
    return _completed(told, "check_suite", check, name, _app(told, app), None)


def status(told: Told, check: Json) -> list[NewEvent]:
    """A status of a commit, but for one that is pending."""
    if check.get("state") not in _ENDED:
        return []
    ended = {
        "id": check.get("id"),
        "head_sha": check.get("sha"),
        "conclusion": check.get("state"),
        "started_at": check.get("created_at"),
        "completed_at": check.get("updated_at") or check.get("created_at"),
    }
    name = told.text(check.get("context"))
    return _completed(told, "status", ended, name, "", check.get("target_url"))


def _completed(told: Told, kind: str, check: Json, name: str, app: str, url: Any) -> list[NewEvent]:
    commit, identifier = sha(check.get("head_sha")), number(check.get("id"))
    if not commit:
        return []
    at = utc_text(check.get("completed_at")) or utc_text(check.get("updated_at"))
    data = CheckCompleted(
        repository=told.repository,
        forge=told.forge,
        commit=commit,
        name=name,
        conclusion=clean(str(check.get("conclusion") or ""))[:40],
        app=app,
        check=str(identifier),
        started_at=utc_text(check.get("started_at")) or utc_text(check.get("created_at")),
        completed_at=at,
        url=told.text(url),
        raw=told.raw,
    )
    return [told.event(f"{kind}/{identifier}/completed", at, None, data)]


def _app(told: Told, app: Json) -> str:
    return told.text(app.get("slug")) or told.text(app.get("name"))
