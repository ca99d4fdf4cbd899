"""What runs in clusters, held against what Git declares: states, origins of fields, episodes of drift."""

from __future__ import annotations

from ledger.projections import Projection
from ledger.projections.live.recording import HANDLES, project
from ledger.projections.live.rows import TABLES, EpisodeRow, LiveRow, OriginRow
from ledger.projections.live.settling import settle

__all__ = ["PROJECTION", "EpisodeRow", "LiveRow", "OriginRow"]

PROJECTION = Projection(
    name="live",
    version=2,
    tables=TABLES,
    handles=HANDLES,
    project=project,
    after=("applications", "changes", "commits", "deployments", "references", "revisions"),
    settle=settle,
)
