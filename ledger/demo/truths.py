"""What is true of the demo's story, as plain data: written by hand from the story, never from an answer.

The tests compare with it what the ledger says. Times are UTC text. A landing is one step of main; a
row below names landings, so that no commit id is written twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ledger.demo import files
from ledger.demo.controller import STAMP, TAKES
from ledger.demo.people import BOT, JONAS, MAYA, PRIYA, SAM, TOM, Person
from ledger.demo.story import DENIED, DISPLACED, NIGHT, WRONG_NUMBER

PROD, STAGING = "prod", "staging"
PROD_CLUSTER, STAGING_CLUSTER = "prod-eu1", "staging-eu1"
APPROVED, UNAPPROVED, UNEXPLAINED, UNKNOWN = "approved", "unapproved", "unexplained", "unknown"


@dataclass(frozen=True, slots=True)
class Landing:
    """One step of main: its subject, its author, the pull request that it really landed, and how
    Git alone proves that; without a number nothing does."""

    subject: str
    author: Person
    number: int | None = None
    method: str = ""
    superseded: bool = False

    @property
    def grade(self) -> str:
        return "unlinked" if self.number is None else "proved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What `ledger when NAME --field FIELD --at AT` must answer."""

    name: str
    field: str = ""
    at: str = ""
    answer: Landing


@dataclass(frozen=True, slots=True)
class Review:
    """One review; `word` is the first word of why it does not count, empty where it does."""

    reviewer: Person
    state: str
    word: str = ""


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request: whether it was approved at its merge, and why."""

    number: int
    approval: str
    reason: str
    reviews: tuple[Review, ...] = ()
    merged_by: Person | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """One sync: what of it was new to its place (`ships`), and what it took away again (`takes_back`)."""

    application: str
    environment: str
    cluster: str = PROD_CLUSTER
    started_at: str
    kind: str = "change"
    by: Person | None = None
    outcome: str = "succeeded"
    message: str = ""
    revision: Landing
    ships: tuple[Landing, ...] = ()
    takes_back: tuple[Landing, ...] = ()

    @property
    def finished_at(self) -> str:
        """Each takes nine seconds."""
        return (datetime.fromisoformat(self.started_at) + TAKES).strftime(STAMP)


@dataclass(frozen=True, slots=True)
class Applied:
    """One item of the audited population: a landing that reached an environment."""

    environment: str
    application: str
    landing: Landing
    kind: str
    approval: str


@dataclass(frozen=True, slots=True)
class Live:
    """One object of a cluster at the end of the story, with its two verdicts."""

    cluster: str
    kind: str
    namespace: str
    name: str
    state: str
    approval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One span in which an object was not what Git says; `closed_at` is empty while it lasts."""

    kind: str
    namespace: str
    name: str
    application: str
    fields: tuple[str, ...]
    first_seen: str
    closed_at: str = ""
    closed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What `ledger trace NAME -n NAMESPACE --field FIELD` must find: the verdicts, and which landing
    decided the approval; `weakest` is the hop that is known least."""

    name: str
    namespace: str
    field: str = ""
    state: str
    approval: str
    decided_by: Landing
    weakest: str


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

LANDINGS: Final = (
    START, FIRST, POLICY, BASTION, STAGES, WEB, ORDERS, TOOLBOX, STAGED_5, PROMOTED_5, ROTATED, FIVE,
    WEB_1, OPENED, CLOSED, MOVED, WEB_2, DEBUG, QUIETER, OWNED, STAGED_6, PROMOTED_6, DESKS, SLOWER,
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

# -- pull requests -------------------------------------------------------------------------------


def _good(number: int, approver: Person, merged_by: Person) -> Pull:
    reason = f"approved by {approver.login} at the head that merged"
    return Pull(number, APPROVED, reason, (Review(approver, "approved"),), merged_by)


PULLS: Final = (
    _good(1, PRIYA, MAYA),
    _good(2, TOM, PRIYA),
    _good(3, MAYA, TOM),
    _good(4, TOM, MAYA),
    _good(5, MAYA, JONAS),
    _good(6, PRIYA, SAM),
    Pull(7, UNAPPROVED, "nobody approved it", (), TOM),
    _good(8, PRIYA, PRIYA),
    _good(9, MAYA, MAYA),
    _good(10, TOM, PRIYA),
    Pull(11, UNAPPROVED, "its forge tells of no merge"),
    Pull(
        12,
        UNAPPROVED,
        "no approval counts: maya-l (stale: given at 17ee5e2286b3, but 1fcd542c66f0 merged; "
        "merging what was approved into the base gives another tree)",
        (Review(MAYA, "approved", "stale"),),
        JONAS,
    ),
    _good(13, MAYA, TOM),
    _good(14, PRIYA, TOM),
    Pull(
        15,
        UNAPPROVED,
        "changes that priya-r requested stood at the merge",
        (Review(PRIYA, "changes_requested", "changes_requested"), Review(MAYA, "approved")),
        JONAS,
    ),
    Pull(
        16,
        UNAPPROVED,
        "no approval counts: jonas-w (self: the author's own)",
        (Review(JONAS, "approved", "self"),),
        JONAS,
    ),
    _good(17, MAYA, PRIYA),
    _good(18, PRIYA, TOM),
    Pull(
        19,
        UNAPPROVED,
        "no approval counts: priya-r (dismissed: 2025-09-24T09:58:00Z)",
        (Review(PRIYA, "approved", "dismissed"),),
        SAM,
    ),
    Pull(
        20,
        UNAPPROVED,
        "no approval counts: maya-l (after_merge: given after the merge)",
        (Review(MAYA, "approved", "after_merge"),),
        SAM,
    ),
    _good(21, TOM, SAM),
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
    DEBUG, QUIETER, OWNED, PROMOTED_6, DESKS, SLOWER,
)  # fmt: skip
SUSPENDED: Final = (("web", "2025-09-19T11:30:00Z"),)
REWRITTEN_AT: Final = ("2025-09-22T18:22:00Z",)
# When something that nobody declared was seen to have been made by hand: the pod of the night.
MADE_BY_HAND_AT: Final = ("2025-09-27T08:00:00Z",)

# -- controls ------------------------------------------------------------------------------------

# Over September 2025: what each control excepts, and what it cannot know.
UNAPPROVED_ITEMS: Final = tuple(one for one in APPLIED if one.approval == UNAPPROVED)
UNKNOWN_ITEMS: Final = tuple(one for one in APPLIED if one.approval == UNKNOWN)
DIRECT_PUSHES: Final = (START, FIVE, OPENED, DEBUG)
LIVE_EXCEPTIONS: Final = tuple(
    one for one in LIVE if one.state in ("drifted", "extra") or one.approval != APPROVED
)
