"""Which pull requests were approved, and what became of each review.

All that bears on it may come last: a push, a rule, a team, the commit that it merged as, who is one
person. So events only mark what has to be judged, and it is judged when the tables have caught up.
"""

from __future__ import annotations

from ledger.projections import Projection
from ledger.projections.approvals.recording import HANDLES, project
from ledger.projections.approvals.rows import TABLES
from ledger.projections.approvals.settling import settle

PROJECTION = Projection(
    name="approvals",
    version=2,
    tables=TABLES,
    handles=HANDLES,
    project=project,
    after=("reviews", "pull_requests", "people", "rules", "code_owners", "revisions", "commits"),
    settle=settle,
)
