"""Reports: facts of one log position, printed with the evidence inside, issued and verified.

`templates` are what `reports/` holds; `collect` asks the ledger through the public views; `pages` makes
the bytes; `issue` writes the file and records it; `verify` tells whether a file is such a report.
"""

from __future__ import annotations

from ledger.reports.templates import data_dictionary, find, find_all

__all__ = ["data_dictionary", "find", "find_all"]
