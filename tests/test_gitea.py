"""Gitea's and Forgejo's webhooks and API answers become facts, and odd ones are recorded as gaps."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from ledger import ingest as shell
from ledger.config import SourceSettings
from ledger.events import CollectorGap, PullRequestMerged
from ledger.sources import Import
from ledger.sources.gitea import authentic, identify
from ledger.testing import Ledger, make_ledger

Json = dict[str, Any]
OLD, HEAD, BASE, MERGE = "a" * 40, "b" * 40, "c" * 40, "d" * 40
PAGE = "https://git.example.org/acme/infra"
TRACKED = SourceSettings(kind="git", name="infra", url=f"{PAGE}.git", branches=["main"])


def proposal(minute: int, *, head: str = HEAD, merged: bool = False) -> Json:
    at = f"2026-03-01T11:{minute:02d}:00+01:00"
    return {
        "number": 3,
        "state": "closed" if merged else "open",
        "title": "Open port 443",
        "user": {"login": "ann"},
        "html_url": f"{PAGE}/pulls/3",
        "head": {"sha": head, "ref": "work"},
        "base": {"sha": BASE, "ref": "main"},
        "labels": [],
        "merged": merged,
        "merged_at": at if merged else None,
        "merged_by": {"login": "bob"} if merged else None,
        "merge_commit_sha": MERGE if merged else None,
        "created_at": "2026-03-01T11:00:00+01:00",
        "updated_at": at,
    }


def hook(action: str, who: str, pull: Json, **more: Any) -> Json:
    repository = {"full_name": "acme/infra", "html_url": PAGE}
    sender = {"login": who}
    return {"action": action, "number": 3, "pull_request": pull, "repository": repository} | {
        "sender": sender,
        **more,
    }


def said(kind: str) -> Json:
    return {"review": {"type": f"pull_request_review_{kind}", "content": ""}}


OPENED = hook("opened", "ann", proposal(0))
MERGED = hook("closed", "bob", proposal(9, merged=True))


@pytest.fixture
def ledger(tmp_path: Path, database_url: str) -> Ledger:
    return make_ledger(tmp_path / "ledger", TRACKED, database=database_url)


def imported(ledger: Ledger, tmp_path: Path, *bodies: Any) -> None:
    file = tmp_path / "bodies.json"
    file.write_text(json.dumps(bodies))
    shell.import_files(ledger.settings, "gitea", Import(files=[file]), clock=lambda: ledger.now)


def pull(ledger: Ledger) -> tuple[Any, ...]:
    sql = "select state, author, merged_by, merge_commit_sha, approval, reason from pull_requests"
    (row,) = ledger.rows(sql)
    return row


def test_a_pull_request_that_another_person_approved(ledger: Ledger, tmp_path: Path) -> None:
    imported(
        ledger, tmp_path, MERGED, OPENED, hook("reviewed", "bob", proposal(5), **said("approved"))
    )
    reason = "approved by bob at the head that merged"
    assert pull(ledger) == ("merged", "ann", "bob", MERGE, "approved", reason)


@pytest.mark.parametrize(
    ("reviews", "why"),
    [
        ([hook("reviewed", "ann", proposal(5), **said("approved"))], "self: "),
        ([hook("reviewed", "bob", proposal(5, head=OLD), **said("approved"))], "stale: "),
        ([hook("reviewed", "bob", proposal(5), **said("rejected"))], "changes that bob requested"),
        ([hook("reviewed", "bob", proposal(5), **said("comment"))], "nobody approved it"),
    ],
)
def test_reviews_that_approve_nothing(
    ledger: Ledger, tmp_path: Path, reviews: list[Json], why: str
) -> None:
    imported(ledger, tmp_path, OPENED, *reviews, MERGED)
    assert pull(ledger)[4] == "unapproved"
    assert why in pull(ledger)[5]


def test_a_commit_pushed_by_the_approver_makes_it_their_own(ledger: Ledger, tmp_path: Path) -> None:
    pushed = hook("synchronized", "bob", proposal(3))
    imported(
        ledger,
        tmp_path,
        OPENED,
        pushed,
        hook("reviewed", "bob", proposal(5), **said("approved")),
        MERGED,
    )
    assert "contributor" in pull(ledger)[5]


def review(identifier: int, who: str, state: str, **more: Any) -> Json:
    return {
        "id": identifier,
        "user": {"login": who},
        "state": state,
        "commit_id": HEAD,
        "official": True,
        "dismissed": False,
        "submitted_at": "2026-03-01T10:06:00Z",
        "pull_request_url": f"{PAGE}/pulls/3",
        "html_url": f"{PAGE}/pulls/3#issuecomment-{identifier}",
        **more,
    }


@pytest.mark.parametrize(
    ("told", "verdict", "why"),
    [
        (review(1, "bob", "APPROVED"), "approved", "approved by bob"),
        (review(1, "cid", "APPROVED", official=False), "unapproved", "no_write_access"),
        (review(1, "bob", "APPROVED", dismissed=True), "unapproved", "dismissed"),
        (review(1, "bob", "REQUEST_CHANGES"), "unapproved", "changes that bob requested"),
        (review(1, "bob", "REQUEST_REVIEW"), "unapproved", "nobody approved it"),
        (review(1, "bob", "PENDING"), "unapproved", "nobody approved it"),
    ],
)
def test_what_the_api_tells_of_reviews(
    ledger: Ledger, tmp_path: Path, told: Json, verdict: str, why: str
) -> None:
    imported(ledger, tmp_path, told, proposal(9, merged=True))
    assert pull(ledger)[4] == verdict
    assert why in pull(ledger)[5]


def test_other_webhooks_are_ignored_and_nonsense_is_a_gap(ledger: Ledger, tmp_path: Path) -> None:
    push = {"ref": "refs/heads/main", "repository": {"html_url": PAGE}, "sender": {"login": "ann"}}
    imported(
        ledger,
        tmp_path,
        push,
        hook("label_updated", "ann", proposal(1)),
        {"hello": "world"},
        review(1, "bob", "DONE"),
        review(1, "bob", "APPROVED", pull_request_url="nowhere"),
    )
    gaps = [one.data.detail for one in ledger.events() if isinstance(one.data, CollectorGap)]
    assert len(gaps) == 3
    assert ledger.rows("select * from pull_requests") == []


SECRET, BODY = b"correct horse", b'{"a": 1}'


def test_the_signature_is_over_the_raw_body() -> None:
    right = hmac.digest(SECRET, BODY, "sha256").hex()
    assert authentic({"x-gitea-signature": right}, BODY, SECRET)
    assert authentic({"x-forgejo-signature": right, "x-gitea-signature": ""}, BODY, SECRET)
    assert not authentic({"x-gitea-signature": right}, BODY + b" ", SECRET)
    assert not authentic({"x-gitea-signature": ""}, BODY, SECRET)
    assert not authentic({"x-gitea-signature": ""}, BODY, b"")
    # Without a secret the forge signs with an empty key: that is unsigned.
    empty = hmac.digest(b"", BODY, "sha256").hex()
    assert not authentic({"x-gitea-signature": empty}, BODY, b"")


def test_a_delivery_has_the_id_of_its_forge() -> None:
    assert identify({"x-gitea-delivery": "g", "x-forgejo-delivery": "f"}, b"") == "f"
    assert identify({"x-gitea-delivery": "g"}, b"") == "g"
    assert identify({}, b"") == ""


@pytest.mark.corpus
def test_recorded_webhooks_of_gitea_are_understood(corpus: Path, tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger", TRACKED)
    files = sorted((corpus / "fixtures/forge-webhooks").glob("*gitea/*.json"))
    assert len(files) > 25
    shell.import_files(ledger.settings, "gitea", Import(files=files), clock=lambda: ledger.now)
    assert [one.data.detail for one in ledger.events() if isinstance(one.data, CollectorGap)] == []
    merged = [one.data for one in ledger.events() if isinstance(one.data, PullRequestMerged)]
    assert {one.merge_commit[:8] for one in merged} == {"a148a755"}
    approved = ledger.rows("select reviewer from reviews where state = 'approved'")
    assert approved == [("jcitizen",)]
