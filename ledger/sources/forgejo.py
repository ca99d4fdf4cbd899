"""Forgejo, under its own name. It speaks as Gitea does, and its facts are those of `gitea`."""

from __future__ import annotations

from dataclasses import replace

from ledger.sources import gitea

SOURCE = replace(gitea.SOURCE, kind="forgejo")
