"""One function for each question; each opens nothing and prints nothing.

They read the projections through the driver and give plain frozen data, which is also the shape of
`--output json`. A few indexed reads each, whatever the length of the history.
"""

from __future__ import annotations

from ledger.queries.answers import (
    Approval,
    Blame,
    Blamed,
    Change,
    Difference,
    Differing,
    Entry,
    Field,
    Finding,
    Freshness,
    Hop,
    Link,
    Moment,
    Named,
    Person,
    Push,
    Revision,
    Setting,
    Shown,
    Timeline,
    Trace,
)
from ledger.queries.asking import Asker
from ledger.queries.deployed import Deployed
from ledger.queries.names import ResourceName, Scope, branches
from ledger.queries.revisions import Revisions

__all__ = [
    "Approval",
    "Asker",
    "Blame",
    "Blamed",
    "Change",
    "Deployed",
    "Difference",
    "Differing",
    "Entry",
    "Field",
    "Finding",
    "Freshness",
    "Hop",
    "Link",
    "Moment",
    "Named",
    "Person",
    "Push",
    "ResourceName",
    "Revision",
    "Revisions",
    "Scope",
    "Setting",
    "Shown",
    "Timeline",
    "Trace",
    "branches",
]
