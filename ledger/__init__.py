"""An event-sourced audit and deployment ledger for GitOps."""

__version__ = "0.1.0"
