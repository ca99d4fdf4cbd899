"""The last days of the month: the company makes rules, and not everybody keeps to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.demo import files
from ledger.demo.company import Company, Look
from ledger.demo.people import JONAS, MAYA, MAYA_AT_HOME, PRIYA, SAM, TOM

TEAM: Final = "platform"
MEMBERS: Final = (MAYA, PRIYA, TOM)
PROTECTED_AT: Final = "2025-09-29 09:30"
PAST_RULES: Final = "hosts: the on-call phone, for tonight"
_BACKUP: Final = f"tcp 873 from {files.BACKUP}"


def tell(acme: Company) -> Iterator[Look]:
    """Owners and rules, and what comes of them; gives every time at which a ledger looks."""
    owners = {files.OWNERS: files.CODEOWNERS}
    yield acme.look(acme.land(22, MAYA, "2025-09-29 09:20", "Say who owns what", owners, PRIYA))
    acme.forge.protect(MAYA, PROTECTED_AT)
    acme.forge.tell_team(TEAM, MEMBERS, PROTECTED_AT)
    # The approval of somebody who owns nothing of it; an administrator merges all the same.
    subnet = {files.NETWORK: files.VPC + files.VENDOR_SUBNET}
    vendor = "Network: a subnet for the vendor"
    acme.propose(23, SAM, "2025-09-29 10:50", vendor, subnet)
    acme.forge.check(23, "2025-09-29 10:54", "success")
    acme.forge.review(23, JONAS, "2025-09-29 10:58", "approved")
    yield acme.look(acme.squash(23, SAM, "2025-09-29 11:05", vendor, TOM))
    made = acme.repository.tip
    yield from _updated(acme)
    title = "DNS: keep answers for an hour"
    acme.propose(26, MAYA, "2025-09-30 09:02", title, {files.DNS: files.dns(3600)})
    acme.forge.check(26, "2025-09-30 09:05", "failure")
    acme.forge.review(26, MAYA_AT_HOME, "2025-09-30 09:06", "approved")
    yield acme.look(acme.squash(26, MAYA, "2025-09-30 09:15", title))
    title, body = f'Revert "{vendor} (#23)"', f"This reverts commit {made}."
    acme.propose(27, PRIYA, "2025-09-30 10:21", title, {files.NETWORK: files.VPC})
    acme.forge.review(27, TOM, "2025-09-30 10:30", "approved")
    yield acme.look(acme.squash(27, PRIYA, "2025-09-30 10:41", title, body=body))
    phone = {files.HOSTS: files.hosts(files.SMALL_OFFICE, _BACKUP, f"tcp 22 from {files.LAPTOP}")}
    yield acme.look(acme.push_past_rules(TOM, "2025-09-30 22:51", PAST_RULES, phone))


def _updated(acme: Company) -> Iterator[Look]:
    """Approved and brought up to date with main; and what landed in between, approved by its co-author."""
    zone = "DNS: a zone inside the network"
    acme.propose(25, JONAS, "2025-09-29 13:40", zone, {files.DNS: files.dns(300)})
    acme.forge.check(25, "2025-09-29 13:44", "success")
    acme.forge.review(25, MAYA, "2025-09-29 13:52", "approved")
    title = "Hosts: let the backup server in"
    backup = {files.HOSTS: files.hosts(files.SMALL_OFFICE, _BACKUP)}
    acme.propose(24, TOM, "2025-09-29 13:55", f"{title}\n\n{PRIYA.co_author}", backup)
    acme.forge.review(24, PRIYA, "2025-09-29 14:03", "approved")
    yield acme.look(acme.squash(24, TOM, "2025-09-29 14:10", title, body=PRIYA.co_author))
    acme.update(25, JONAS, "2025-09-29 14:20")
    acme.forge.check(25, "2025-09-29 14:24", "success")
    yield acme.look(acme.squash(25, JONAS, "2025-09-29 14:31", zone))
