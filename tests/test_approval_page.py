"""The page that an auditor reads names every word that the judge can say, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from ledger import approval

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "explanation" / "approval.md").read_text("utf-8")
JUDGE = "\n".join(
    one.read_text("utf-8")
    for one in [
        *sorted((ROOT / "ledger" / "approval").glob("*.py")),
        ROOT / "ledger" / "projections" / "demanded.py",
    ]
)
# Written as names in the code, because other modules ask for them.
NAMED = {approval.CHANGES_REQUESTED, approval.NOT_CODE_OWNER}


def table(heading: str) -> set[str]:
    """The words in the first column of the table that begins with a heading."""
    rows = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    assert rows
    return {word for row in rows for word in re.findall(r"`(\w+)`", row.split("|")[1])}


def listed(view: str, column: str) -> str:
    """What the header of a view says of a column."""
    text = (ROOT / "ledger" / "views" / f"{view}.sql").read_text("utf-8")
    return next(line for line in text.splitlines() if line.startswith(f"-- {column}: "))


def test_every_reason_of_a_review_stands_in_the_table_and_in_the_view() -> None:
    said = set(re.findall(r"[\"']([a-z_]+): ", JUDGE)) | NAMED
    assert table("reason in `reviews`") == said
    assert set(re.findall(r"\w+", listed("reviews", "reason").rpartition("(")[2])) == said


def test_every_refusal_of_a_pull_request_stands_in_the_table_and_in_the_view() -> None:
    words = re.findall(
        r"(?:word=|UNAPPROVED, |UNKNOWN, |\.word == )\"([a-z_]+)\"|\"(unknown_\w+)\" if", JUDGE
    )
    said = {one for pair in words for one in pair if one} | NAMED | {approval.TOO_FEW}
    said |= set(re.findall(r"else \"(unknown_approver)\"", JUDGE))
    shown = table("refusal in `pull_requests`")
    assert said <= shown
    assert all(f'"{one}"' in JUDGE for one in shown - NAMED - {approval.TOO_FEW})
    header = listed("pull_requests", "refusal")
    assert not [one for one in shown - {approval.CHANGES_REQUESTED} if one not in header]
