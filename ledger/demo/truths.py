"""What is true of the demo's story, as plain data: written by hand from the story, never from an answer.

The tests compare with it what the ledger says. Times are UTC text. A landing is one step of main; a
row below names landings, so that no commit id is written twice.
"""

from __future__ import annotations

from typing import Final

from ledger.demo import files
from ledger.demo.people import BOT, JONAS, MAYA, PRIYA, SAM, TOM
from ledger.demo.ruled import PAST_RULES
from ledger.demo.shapes import (
    PROD_CLUSTER,
    Answer,
    Applied,
    Drift,
    Landing,
    Live,
    Sync,
    Trace,
)
from ledger.demo.story import DENIED, DISPLACED, NIGHT, WRONG_NUMBER

PROD, STAGING = "prod", "staging"
STAGING_CLUSTER = "staging-eu1"
APPROVED, UNAPPROVED, UNEXPLAINED, UNKNOWN = "approved", "unapproved", "unexplained", "unknown"


# -- landings ------------------------------------------------------------------------------------

START = Landing("Start the infrastructure repository", MAYA)
FIRST = Landing("Payments: first deployment (#1)", MAYA, 1, "equal_tree")
POLICY = Landing("Payments: let only the web front end in (#2)", PRIYA, 2, "equal_tree")
BASTION = Landing("Merge pull request #3 from acme/tom-o/3", TOM, 3, "head_is_parent")
STAGES = Landing("Payments: staging and production (#4)", MAYA, 4, "equal_tree")
WEB = Landing("Web: first deployment (#5)", JONAS, 5, "equal_tree")
ORDERS = Landing("Orders: first deployment (#6)", SAM, 6, "equal_tree")
TOOLBOX = Landing("A toolbox for the operators (#7)", TOM, 7, "equal_tree")
STAGED_5 = Landing("Payments 1.5.0 on staging (#8)", BOT, 8, "equal_tree")
PROMOTED_5 = Landing("Promote payments 1.5.0 to production (#9)", BOT, 9, "equal_tree")
ROTATED = Landing("Payments: rotate the database password (#10)", PRIYA, 10, "equal_tree")
FIVE = Landing(WRONG_NUMBER, SAM)
WEB_1 = Landing("Web 2.1.0 (#12)", JONAS, 12, "equal_tree")
OPENED = Landing(NIGHT, SAM)
CLOSED = Landing("Close SSH to the world again (#13)", TOM, 13, "equal_tree")
MOVED = Landing("One folder for all firewall rules (#14)", TOM, 14, "equal_tree")
WEB_2 = Landing("Web 2.2.0 (#15)", JONAS, 15, "equal_tree")
DEBUG = Landing(DISPLACED, JONAS, superseded=True)
QUIETER = Landing("Payments: log at warning level (#16)", JONAS, 16, "equal_tree")
OWNED = Landing("Payments: say who owns the policy (#17)", PRIYA, 17, "equal_tree")
STAGED_6 = Landing("Payments 1.6.0 on staging (#19)", BOT, 19, "equal_tree")
PROMOTED_6 = Landing("Promote payments 1.6.0 to production (#20)", BOT, 20, "equal_tree")
DESKS = Landing("Bastion: only the operators' desks (#18)", TOM, 18, "equal_blobs")
SLOWER = Landing("Orders: longer timeouts (#21)", SAM, 21, "equal_tree")
OWNERS = Landing("Say who owns what (#22)", MAYA, 22, "equal_tree")
SUBNET = Landing("Network: a subnet for the vendor (#23)", SAM, 23, "equal_tree")
BACKUP = Landing("Hosts: let the backup server in (#24)", TOM, 24, "equal_tree")
ZONE = Landing("DNS: a zone inside the network (#25)", JONAS, 25, "equal_tree")
HOUR = Landing("DNS: keep answers for an hour (#26)", MAYA, 26, "equal_tree")
REVERTED = Landing('Revert "Network: a subnet for the vendor (#23)" (#27)', PRIYA, 27, "equal_tree")
PHONE = Landing(PAST_RULES, TOM)

LANDINGS: Final = (
    START, FIRST, POLICY, BASTION, STAGES, WEB, ORDERS, TOOLBOX, STAGED_5, PROMOTED_5, ROTATED, FIVE,
    WEB_1, OPENED, CLOSED, MOVED, WEB_2, DEBUG, QUIETER, OWNED, STAGED_6, PROMOTED_6, DESKS, SLOWER,
    OWNERS, SUBNET, BACKUP, ZONE, HOUR, REVERTED, PHONE,
)  # fmt: skip

# -- questions about Git -------------------------------------------------------------------------

_GROUP, _TAG = "aws_security_group.bastion", f"images[name={files.IMAGES}/payments].newTag"
_LEVEL = "spec.template.spec.containers[name=payments].env"
_ALLOW = "networkpolicy/payments"
ANSWERS: Final = (
    Answer(name=_GROUP, field="ingress", at="2025-09-16", answer=BASTION),
    Answer(name=_GROUP, field="ingress", at="2025-09-17 03:00", answer=OPENED),
    Answer(name=_GROUP, field="ingress", at="2025-09-17 12:00", answer=CLOSED),
    Answer(name=_GROUP, field="ingress", answer=DESKS),
    Answer(name=_GROUP, field="egress", answer=BASTION),
    Answer(name=_GROUP, at="2025-09-19", answer=MOVED),
    Answer(name=files.HOSTS, at="2025-09-17 03:00", answer=OPENED),
    Answer(name=files.HOSTS, field="line[3]", answer=DESKS),
    Answer(name="secret/payments-db", field="stringData.password", answer=ROTATED),
    Answer(name="secret/payments-db", field="stringData.username", answer=FIRST),
    Answer(name=_ALLOW, answer=OWNED),
    Answer(name=_ALLOW, field="spec.ingress", answer=OPENED),
    Answer(name=_ALLOW, field="spec.ingress", at="2025-09-17", answer=POLICY),
    Answer(name=files.PRODUCTION, field="replicas[name=payments].count", answer=FIVE),
    Answer(name=files.PRODUCTION, field=_TAG, at="2025-09-10", answer=PROMOTED_5),
    Answer(name=files.PRODUCTION, field=_TAG, answer=PROMOTED_6),
    Answer(name=files.STAGING, field=_TAG, answer=STAGED_6),
    Answer(name="deploy/payments", field=_LEVEL, at="2025-09-22 18:10", answer=DEBUG),
    Answer(name="deploy/payments", field=_LEVEL, answer=QUIETER),
    Answer(name="svc/payments", answer=FIRST),
)

# -- syncs ---------------------------------------------------------------------------------------


def _production(started_at: str, landing: Landing, application: str = "payments") -> Sync:
    return Sync(
        application=application,
        environment=PROD,
        started_at=started_at,
        revision=landing,
        ships=(landing,),
    )


def _staging(started_at: str, landing: Landing) -> Sync:
    return Sync(
        application="payments-staging",
        environment=STAGING,
        cluster=STAGING_CLUSTER,
        started_at=started_at,
        revision=landing,
        ships=(landing,),
    )


def _baseline(application: str, environment: str, started_at: str, landing: Landing) -> Sync:
    """The first sync of what was there before the ledger: nobody knows since when it is live."""
    return Sync(
        application=application,
        environment=environment,
        cluster=STAGING_CLUSTER if environment == STAGING else PROD_CLUSTER,
        started_at=started_at,
        kind="unknown_since",
        revision=landing,
    )


SYNCS: Final = (
    _baseline("payments", PROD, "2025-09-04T10:45:10Z", STAGES),
    _baseline("payments-staging", STAGING, "2025-09-04T10:45:40Z", STAGES),
    _baseline("web", PROD, "2025-09-04T15:33:20Z", WEB),
    _baseline("toolbox", "", "2025-09-04T17:12:05Z", TOOLBOX),
    _staging("2025-09-08T10:05:00Z", STAGED_5),
    _production("2025-09-09T14:21:05Z", PROMOTED_5),
    # Made under the ledger's eyes; of all that main holds it takes what touches it.
    Sync(
        application="orders",
        environment=PROD,
        started_at="2025-09-10T09:02:11Z",
        kind="initial",
        by=SAM,
        revision=PROMOTED_5,
        ships=(ORDERS,),
    ),
    _production("2025-09-11T13:47:12Z", ROTATED),
    _staging("2025-09-11T13:47:40Z", ROTATED),
    _production("2025-09-12T16:55:31Z", FIVE),
    # The only object that it was to change was refused: nothing shipped.
    Sync(
        application="web",
        environment=PROD,
        started_at="2025-09-15T11:23:30Z",
        revision=WEB_1,
        kind="failed",
        outcome="failed",
        message=f"one or more objects failed to apply, reason: {DENIED}",
    ),
    Sync(
        application="web",
        environment=PROD,
        started_at="2025-09-15T11:52:00Z",
        by=JONAS,
        revision=WEB_1,
        ships=(WEB_1,),
    ),
    _production("2025-09-17T02:16:04Z", OPENED),
    _staging("2025-09-17T02:16:30Z", OPENED),
    _production("2025-09-19T10:43:10Z", WEB_2, "web"),
    Sync(
        application="web",
        environment=PROD,
        started_at="2025-09-19T11:20:00Z",
        kind="rollback",
        by=PRIYA,
        revision=WEB_1,
        takes_back=(WEB_2,),
    ),
    _production("2025-09-22T17:59:20Z", DEBUG),
    _staging("2025-09-22T17:59:50Z", DEBUG),
    _production("2025-09-22T18:24:18Z", QUIETER),
    _staging("2025-09-22T18:24:50Z", QUIETER),
    _production("2025-09-23T08:53:40Z", OWNED),
    _staging("2025-09-23T08:54:10Z", OWNED),
    _staging("2025-09-24T10:06:00Z", STAGED_6),
    _production("2025-09-25T15:10:02Z", PROMOTED_6),
)

# -- the audited population ----------------------------------------------------------------------

_BASE, _PULL, _PUSH = "unknown_since", "pull_request", "direct_push"
APPLIED: Final = (
    Applied(PROD, "payments", STAGES, _BASE, UNKNOWN),
    Applied(STAGING, "payments-staging", STAGES, _BASE, UNKNOWN),
    Applied(PROD, "web", WEB, _BASE, UNKNOWN),
    Applied("", "toolbox", TOOLBOX, _BASE, UNKNOWN),
    Applied(STAGING, "payments-staging", STAGED_5, _PULL, APPROVED),
    Applied(PROD, "payments", PROMOTED_5, _PULL, APPROVED),
    Applied(PROD, "orders", ORDERS, _PULL, APPROVED),
    Applied(PROD, "payments", ROTATED, _PULL, APPROVED),
    Applied(STAGING, "payments-staging", ROTATED, _PULL, APPROVED),
    Applied(PROD, "payments", FIVE, _PUSH, UNAPPROVED),
    Applied(PROD, "web", WEB_1, _PULL, UNAPPROVED),
    Applied(PROD, "payments", OPENED, _PUSH, UNAPPROVED),
    Applied(STAGING, "payments-staging", OPENED, _PUSH, UNAPPROVED),
    Applied(PROD, "web", WEB_2, _PULL, UNAPPROVED),
    Applied(PROD, "payments", DEBUG, _PUSH, UNAPPROVED),
    Applied(STAGING, "payments-staging", DEBUG, _PUSH, UNAPPROVED),
    Applied(PROD, "payments", QUIETER, _PULL, UNAPPROVED),
    Applied(STAGING, "payments-staging", QUIETER, _PULL, UNAPPROVED),
    Applied(PROD, "payments", OWNED, _PULL, APPROVED),
    Applied(STAGING, "payments-staging", OWNED, _PULL, APPROVED),
    Applied(STAGING, "payments-staging", STAGED_6, _PULL, UNAPPROVED),
    Applied(PROD, "payments", PROMOTED_6, _PULL, UNAPPROVED),
)

# -- live objects --------------------------------------------------------------------------------


def _live(namespace: str, kind: str, name: str, state: str, approval: str) -> Live:
    cluster = STAGING_CLUSTER if namespace == "payments-staging" else PROD_CLUSTER
    return Live(cluster, kind, namespace, name, state, approval)


_SYNCED = "in_sync"
LIVE: Final = (
    # Replicas came by a direct push, the level by an own approval, the image by a late one. That an
    # autoscaler runs three where Git says five is no drift.
    _live("payments", "Deployment", "payments", _SYNCED, UNAPPROVED),
    _live("payments", "Service", "payments", _SYNCED, APPROVED),
    _live("payments", "Secret", "payments-db", _SYNCED, APPROVED),
    _live("payments", "HorizontalPodAutoscaler", "payments", _SYNCED, APPROVED),
    # An approved label on top of the night's rule: the rule stays unapproved.
    _live("payments", "NetworkPolicy", "payments", _SYNCED, UNAPPROVED),
    # A peer added by hand, in a field that Git does not even declare.
    _live("payments", "NetworkPolicy", "default-deny", "drifted", UNEXPLAINED),
    _live("payments", "Pod", "debug-shell", "extra", UNEXPLAINED),
    # Rolled back to what was itself merged on a stale approval.
    _live("web", "Deployment", "web", "rolled_back", UNAPPROVED),
    _live("web", "Service", "web", _SYNCED, APPROVED),
    _live("web", "ConfigMap", "web-settings", _SYNCED, APPROVED),
    _live("orders", "Deployment", "orders", _SYNCED, APPROVED),
    _live("orders", "Service", "orders", _SYNCED, APPROVED),
    _live("orders", "ConfigMap", "orders-settings", "pending", APPROVED),
    # Deleted by hand in the last night. A file that a person chose cannot show that something is gone,
    # so what was last seen of it stands.
    _live("orders", "ConfigMap", "orders-limits", _SYNCED, APPROVED),
    _live("toolbox", "Deployment", "toolbox", _SYNCED, UNAPPROVED),
    _live("payments-staging", "Deployment", "payments", _SYNCED, UNAPPROVED),
    _live("payments-staging", "Service", "payments", _SYNCED, APPROVED),
    _live("payments-staging", "Secret", "payments-db", _SYNCED, APPROVED),
    _live("payments-staging", "NetworkPolicy", "payments", _SYNCED, UNAPPROVED),
    _live("payments-staging", "NetworkPolicy", "default-deny", _SYNCED, APPROVED),
)
# What controllers make of the Deployment `payments`: they are approved as that is.
DERIVED: Final = {"ReplicaSet": 1, "Pod": 3}

DRIFTS: Final = (
    Drift(
        kind="ConfigMap",
        namespace="web",
        name="web-settings",
        application="web",
        fields=("data.greeting",),
        first_seen="2025-09-12T08:00:00Z",
        closed_at="2025-09-17T09:00:00Z",
        closed_by="sync",
    ),
    Drift(
        kind="NetworkPolicy",
        namespace="payments",
        name="default-deny",
        application="payments",
        fields=("spec.ingress",),
        first_seen="2025-09-27T08:00:00Z",
    ),
)

TRACES: Final = (
    Trace(
        name="secret/payments-db",
        namespace="payments",
        field="stringData.password",
        state="in_sync",
        approval=APPROVED,
        decided_by=ROTATED,
        weakest="desired",
    ),
    Trace(
        name="networkpolicy/payments",
        namespace="payments",
        field="spec.ingress",
        state="in_sync",
        approval=UNAPPROVED,
        decided_by=OPENED,
        weakest="pull_request",
    ),
    Trace(
        name="service/payments",
        namespace="payments",
        state="in_sync",
        approval=APPROVED,
        decided_by=STAGES,
        weakest="desired",
    ),
    Trace(
        name="deployment/web",
        namespace="web",
        state="rolled_back",
        approval=UNAPPROVED,
        decided_by=WEB_1,
        weakest="desired",
    ),
)

# -- what happened in production -------------------------------------------------------------------

# What landed on main that production is made from, as it was then.
LANDED_IN_PROD: Final = (
    START, BASTION, STAGES, WEB, ORDERS, PROMOTED_5, ROTATED, FIVE, WEB_1, OPENED, CLOSED, MOVED, WEB_2,
    DEBUG, QUIETER, OWNED, PROMOTED_6, DESKS, SLOWER, SUBNET, BACKUP, ZONE, HOUR, REVERTED, PHONE,
)  # fmt: skip
SUSPENDED: Final = (("web", "2025-09-19T11:30:00Z"),)
REWRITTEN: Final = (("2025-09-22T18:22:00Z", JONAS),)
# When something that nobody declared was seen to have been made by hand: the pod of the night.
MADE_BY_HAND_AT: Final = ("2025-09-27T08:00:00Z",)

# -- controls ------------------------------------------------------------------------------------

# Over September 2025: what each control excepts, and what it cannot know.
UNAPPROVED_ITEMS: Final = tuple(one for one in APPLIED if one.approval == UNAPPROVED)
UNKNOWN_ITEMS: Final = tuple(one for one in APPLIED if one.approval == UNKNOWN)
DIRECT_PUSHES: Final = (START, FIVE, OPENED, DEBUG, PHONE)
LIVE_EXCEPTIONS: Final = tuple(
    one for one in LIVE if one.state in ("drifted", "extra") or one.approval != APPROVED
)
