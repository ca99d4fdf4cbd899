"""Every sender's deliveries pass through one receiver: authentic or refused, once, and recorded."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient

from ledger import deliveries
from ledger.config import SourceSettings, WebhookSettings
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


def standard_webhook(body: bytes, delivery: str, at: int = 1_735_689_600) -> dict[str, str]:
    signed = f"{delivery}.{at}.".encode() + body
    made = base64.b64encode(hmac.digest(SECRET, signed, "sha256")).decode()
    return {
        "X-Gitlab-Event": "Merge Request Hook",
        "webhook-id": delivery,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{made}",
    }


BITBUCKET = {
    "repository": {"full_name": "acme/infra"},
    "actor": {"account_id": "bob", "type": "user"},
    "pullrequest": {
        "id": 7,
        "state": "MERGED",
        "author": {"account_id": "ann", "type": "user"},
        "source": {"branch": {"name": "work"}, "commit": {"hash": HEAD[:12]}},
        "destination": {"branch": {"name": "main"}, "repository": {"full_name": "acme/infra"}},
        "merge_commit": {"hash": MERGE},
        "closed_by": {"account_id": "bob", "type": "user"},
        "created_on": AT,
        "updated_on": AT,
    },
}

DATACENTER = {
    "eventKey": "pr:merged",
    "date": "2026-03-01T11:09:00+0100",
    "actor": {"name": "bob", "id": 2, "type": "NORMAL"},
    "pullRequest": {
        "id": 7,
        "state": "MERGED",
        "author": {"user": {"name": "ann", "id": 1, "type": "NORMAL"}},
        "fromRef": {"id": "refs/heads/work", "latestCommit": HEAD},
        "toRef": {
            "id": "refs/heads/main",
            "repository": {"slug": "infra", "project": {"key": "ACME"}},
        },
        "properties": {"mergeCommit": {"id": MERGE}},
    },
}

AZURE = {
    "id": "d-1",
    "eventType": "git.pullrequest.merged",
    "createdDate": AT,
    "resource": {
        "repository": {"remoteUrl": "https://dev.azure.com/acme/platform/_git/infra"},
        "pullRequestId": 7,
        "status": "completed",
        "createdBy": {"uniqueName": "ann"},
        "closedBy": {"uniqueName": "bob"},
        "closedDate": AT,
        "lastMergeSourceCommit": {"commitId": HEAD},
        "lastMergeCommit": {"commitId": MERGE},
    },
}


class Sender(NamedTuple):
    """A kind of sender: a body that tells of a merge, and how a delivery of it is headed.

    `named` puts the delivery's id into the body, where the sender does so.
    """

    kind: str
    body: Json
    headers: Callable[[bytes, str], dict[str, str]]
    named: Callable[[Json, str], Json] = lambda body, _: body


def basic(_: bytes, __: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(b'ledger:' + SECRET).decode()}"}


def in_body(body: Json, delivery: str) -> Json:
    return {**body, "id": delivery}


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
    "bitbucket": Sender(
        "bitbucket",
        BITBUCKET,
        lambda body, delivery: {
            "X-Event-Key": "pullrequest:fulfilled",
            "X-Request-UUID": delivery,
            "X-Attempt-Number": "1",
            "X-Hub-Signature": f"sha256={hex_signature(body)}",
        },
    ),
    "bitbucket_datacenter": Sender(
        "bitbucket_datacenter",
        DATACENTER,
        lambda body, delivery: {
            "X-Event-Key": "pr:merged",
            "X-Request-Id": delivery,
            "X-Hub-Signature": f"sha256={hex_signature(body)}",
        },
    ),
    "azure_devops password": Sender("azure_devops", AZURE, basic, in_body),
    "azure_devops token": Sender(
        "azure_devops", AZURE, lambda _, __: {"X-Ledger-Token": SECRET.decode()}, in_body
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
    if {"X-Gitlab-Token", "X-Ledger-Token", "Authorization"} & sender.headers(b"", "d-1").keys():
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
        if not any(word in name.lower() for word in ("signature", "token", "authorization"))
    }
    bare["Content-Type"] = "application/json"
    answer = to.post(f"/webhooks/{sender.kind}", content=body, headers=bare)
    assert answer.status_code == 401


@pytest.mark.parametrize("sender", [SENDERS["github"]], ids=["github"])
@pytest.mark.parametrize(
    "name", ["X-Gitea-Event", "X-Gitea-Delivery", "X-Forgejo-Signature", "X-Gogs-Event-Type"]
)
def test_a_forge_that_sends_the_headers_of_github_too_is_not_taken_for_it(
    ledger: Ledger, sender: Sender, name: str
) -> None:
    body = json.dumps(sender.body).encode()
    refused = post(ledger, sender, body, **{name: "x"})
    assert refused.status_code == 400
    deliveries.drain(ledger.settings, clock=lambda: ledger.now)
    assert ledger.events(PullRequestMerged) == []
    assert post(ledger, sender, body).status_code == 202


@pytest.mark.parametrize(
    ("sender", "page", "source", "taken"),
    [
        (SENDERS["gitea"], "https://github.com/acme/infra", "", False),
        (SENDERS["github"], "https://codeberg.org/acme/infra", "", False),
        (SENDERS["gitea"], "https://codeberg.org/acme/infra", "", True),
        (SENDERS["gitea"], "https://git.example.org/acme/infra", "gitlab", False),
        (SENDERS["gitea"], "https://git.example.org/acme/infra", "forgejo", True),
        (SENDERS["github"], "https://git.example.org/acme/infra", "", True),
    ],
)
def test_whoever_knows_one_forges_secret_signs_nothing_for_another(
    ledger: Ledger, sender: Sender, page: str, source: str, taken: bool
) -> None:
    if source:
        told = SourceSettings(kind=source, name="forge", url="https://git.example.org/acme/other")
        ledger = ledger.replace(source=[told])
    body = json.dumps(like_github(page)).encode()
    assert post(ledger, sender, body).status_code == 202
    deliveries.drain(ledger.settings, clock=lambda: ledger.now)
    assert bool(ledger.events(PullRequestMerged)) == taken
    if not taken:
        [gap] = [one.data for one in ledger.events(CollectorGap)]
        assert isinstance(gap, CollectorGap)
        where = page.removeprefix("https://")
        assert f"tells of {where}, which delivers nothing as {sender.kind}" in gap.detail


@pytest.mark.parametrize("sender", [SENDERS["gitlab signature"]], ids=["gitlab signature"])
def test_what_was_signed_long_ago_is_refused_and_counted(ledger: Ledger, sender: Sender) -> None:
    body = json.dumps(sender.body).encode()
    ledger.clock += timedelta(minutes=5)
    assert post(ledger, sender, body).status_code == 202
    ledger.clock += timedelta(seconds=1)
    refused = post(ledger, sender, body)
    assert refused.status_code == 401
    assert "clocks" in refused.json()["hint"]
    ledger.clock += timedelta(hours=2)
    deliveries.drain(ledger.settings, clock=lambda: ledger.now)
    (gap,) = [one.data for one in ledger.events(CollectorGap)]
    assert isinstance(gap, CollectorGap)
    assert "it was signed at another time than it came" in gap.detail


def test_a_body_that_tells_nonsense_is_a_gap_and_does_not_hold_up_the_next(
    ledger: Ledger, sender: Sender
) -> None:
    broken = json.loads(json.dumps(sender.body))
    told = ("pull_request", "object_attributes", "pullrequest", "pullRequest", "resource")
    pull = next(broken[name] for name in told if name in broken)
    pull.update(number="x", iid="x", id="x", pullRequestId="x")
    raw, good = (
        json.dumps(sender.named(body, delivery)).encode()
        for body, delivery in ((broken, "d-1"), (sender.body, "d-2"))
    )
    assert post(ledger, sender, raw).status_code == 202
    to = TestClient(build_app(ledger.settings, clock=lambda: ledger.now))
    headers = {"Content-Type": "application/json", **sender.headers(good, "d-2")}
    assert to.post(f"/webhooks/{sender.kind}", content=good, headers=headers).status_code == 202
    deliveries.drain(ledger.settings, clock=lambda: ledger.now)
    assert len(ledger.events(PullRequestMerged)) == 1
    assert len(ledger.events(CollectorGap)) == 1
