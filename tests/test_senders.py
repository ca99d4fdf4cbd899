"""Every sender's deliveries pass through one receiver: authentic or refused, once, and recorded."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient

from ledger import deliveries
from ledger.config import WebhookSettings
from ledger.events import CollectorGap, PullRequestMerged
from ledger.testing import Ledger, make_ledger
from ledger.web.app import build_app

SECRET = b"correct horse battery staple"
HEAD, MERGE = "b" * 40, "d" * 40
AT = "2026-03-01T10:09:00Z"
Json = dict[str, Any]


def hex_signature(body: bytes) -> str:
    return hmac.digest(SECRET, body, "sha256").hex()


def like_github(page: str) -> Json:
    person = {"login": "bob", "type": "User"}
    return {
        "action": "closed",
        "number": 7,
        "pull_request": {
            "number": 7,
            "state": "closed",
            "user": {"login": "ann", "type": "User"},
            "html_url": f"{page}/pulls/7",
            "head": {"sha": HEAD, "ref": "work"},
            "base": {"sha": "c" * 40, "ref": "main"},
            "merged": True,
            "merged_at": AT,
            "merged_by": person,
            "merge_commit_sha": MERGE,
            "created_at": AT,
            "updated_at": AT,
        },
        "repository": {"html_url": page},
        "sender": person,
    }


GITLAB = {
    "object_kind": "merge_request",
    "user": {"id": 2, "username": "bob"},
    "project": {"web_url": "https://gitlab.example.org/acme/infra"},
    "object_attributes": {
        "iid": 7,
        "action": "merge",
        "author_id": 1,
        "last_commit": {"id": HEAD},
        "merge_commit_sha": MERGE,
        "created_at": AT,
        "updated_at": AT,
    },
}


def standard_webhook(body: bytes, delivery: str) -> dict[str, str]:
    signed = f"{delivery}.1772359740.".encode() + body
    made = base64.b64encode(hmac.digest(SECRET, signed, "sha256")).decode()
    return {
        "X-Gitlab-Event": "Merge Request Hook",
        "webhook-id": delivery,
        "webhook-timestamp": "1772359740",
        "webhook-signature": f"v1,{made}",
    }


class Sender(NamedTuple):
    """A kind of sender: a body that tells of a merge, and how a delivery of it is headed."""

    kind: str
    body: Json
    headers: Callable[[bytes, str], dict[str, str]]


SENDERS = {
    "github": Sender(
        "github",
        like_github("https://github.com/acme/infra"),
        lambda body, delivery: {
            "X-GitHub-Event": "pull_request",
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": f"sha256={hex_signature(body)}",
        },
    ),
    "gitlab token": Sender(
        "gitlab",
        GITLAB,
        lambda _, delivery: {
            "X-Gitlab-Event": "Merge Request Hook",
            "X-Gitlab-Token": SECRET.decode(),
            "Idempotency-Key": delivery,
        },
    ),
    "gitlab signature": Sender("gitlab", GITLAB, standard_webhook),
    "gitea": Sender(
        "gitea",
        like_github("https://git.example.org/acme/infra"),
        lambda body, delivery: {
            "X-Gitea-Event": "pull_request",
            "X-Gitea-Delivery": delivery,
            "X-Gitea-Signature": hex_signature(body),
            # As Gitea does, so that tools made for GitHub take them, too.
            "X-GitHub-Event": "pull_request",
            "X-GitHub-Delivery": delivery,
        },
    ),
    "forgejo": Sender(
        "gitea",
        like_github("https://codeberg.example.org/acme/infra"),
        lambda body, delivery: {
            "X-Forgejo-Event": "pull_request",
            "X-Forgejo-Delivery": delivery,
            "X-Forgejo-Signature": hex_signature(body),
        },
    ),
}


@pytest.fixture(params=SENDERS.values(), ids=list(SENDERS))
def sender(request: pytest.FixtureRequest) -> Sender:
    found: Sender = request.param
    return found


@pytest.fixture
def ledger(tmp_path: Path, sender: Sender) -> Ledger:
    ledger = make_ledger(tmp_path)
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    return ledger.replace(webhook=[WebhookSettings(kind=sender.kind, secret_file="secret")])


def post(ledger: Ledger, sender: Sender, body: bytes, **changes: str) -> Any:
    headers = {"Content-Type": "application/json", **sender.headers(body, "d-1"), **changes}
    to = TestClient(build_app(ledger.settings, clock=lambda: ledger.now))
    return to.post(f"/webhooks/{sender.kind}", content=body, headers=headers)


def test_an_authentic_delivery_is_kept_recorded_and_known_again(
    ledger: Ledger, sender: Sender
) -> None:
    body = json.dumps(sender.body).encode()
    assert post(ledger, sender, body).status_code == 202
    deliveries.drain(ledger.settings, clock=lambda: ledger.now)
    (merged,) = [one.data for one in ledger.events(PullRequestMerged)]
    assert isinstance(merged, PullRequestMerged)
    assert (merged.pull_request.number, merged.merge_commit) == (7, MERGE)
    assert merged.merged_by is not None
    assert merged.merged_by.login == "bob"
    assert post(ledger, sender, body).status_code == 200
    assert deliveries.drain(ledger.settings, clock=lambda: ledger.now).read == 0


def test_another_body_under_its_signature_is_refused(ledger: Ledger, sender: Sender) -> None:
    if "token" in str(sender.headers(b"", "d-1").keys()).lower():
        pytest.skip("a token says nothing of the body")
    body = json.dumps(sender.body).encode()
    to = TestClient(build_app(ledger.settings, clock=lambda: ledger.now))
    headers = {"Content-Type": "application/json", **sender.headers(body, "d-1")}
    forged = body.replace(b"ddd", b"eee")
    assert forged != body
    answer = to.post(f"/webhooks/{sender.kind}", content=forged, headers=headers)
    assert answer.status_code == 401


def test_a_delivery_without_a_signature_is_refused(ledger: Ledger, sender: Sender) -> None:
    to = TestClient(build_app(ledger.settings, clock=lambda: ledger.now))
    body = json.dumps(sender.body).encode()
    bare = {
        name: value
        for name, value in sender.headers(body, "d-1").items()
        if "signature" not in name.lower() and "token" not in name.lower()
    }
    bare["Content-Type"] = "application/json"
    answer = to.post(f"/webhooks/{sender.kind}", content=body, headers=bare)
    assert answer.status_code == 401


def test_a_body_that_tells_nonsense_is_a_gap_and_does_not_hold_up_the_next(
    ledger: Ledger, sender: Sender
) -> None:
    broken = json.loads(json.dumps(sender.body))
    (broken.get("pull_request") or broken["object_attributes"]).update(number="x", iid="x")
    raw, good = json.dumps(broken).encode(), json.dumps(sender.body).encode()
    assert post(ledger, sender, raw).status_code == 202
    to = TestClient(build_app(ledger.settings, clock=lambda: ledger.now))
    headers = {"Content-Type": "application/json", **sender.headers(good, "d-2")}
    assert to.post(f"/webhooks/{sender.kind}", content=good, headers=headers).status_code == 202
    deliveries.drain(ledger.settings, clock=lambda: ledger.now)
    assert len(ledger.events(PullRequestMerged)) == 1
    assert len(ledger.events(CollectorGap)) == 1
