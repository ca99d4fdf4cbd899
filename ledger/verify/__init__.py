"""Re-derives what is recorded and compares; names the first place that differs."""

from ledger.verify.findings import Finding
from ledger.verify.log import Checked, Verifier
from ledger.verify.sources import verify_source

__all__ = ["Checked", "Finding", "Verifier", "verify_source"]
