"""Asks the typesetter for a PDF. The fonts are the shipped ones, on every machine."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from ledger.errors import LedgerError
from ledger.instants import FORMAT
from ledger.reports import typesetter
from ledger.reports.facts import Attached
from ledger.store import schema

SECONDS: Final = 1_800
LIBRARIES: Final = ("weasyprint", "pydyf", "fonttools", "Jinja2")
_FONTS_CONF: Final = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


def fonts() -> Path:
    """The folder of the shipped fonts."""
    return schema.shipped("reports") / "fonts"


@cache
def drawn() -> frozenset[int]:
    """The code points that some shipped font has a glyph for. Costs 0.2 s once."""
    from fontTools.ttLib import TTFont  # noqa: PLC0415 (only a PDF needs it)

    found: set[int] = set()
    for path in sorted(fonts().glob("*.ttf")):
        with TTFont(path, lazy=True) as font:
            found |= font.getBestCmap().keys()
    return frozenset(found)


def draws(char: str) -> bool:
    """Whether a shipped font has a glyph for a character."""
    return ord(char) in drawn()


def libraries() -> dict[str, str]:
    """The versions of what decides on the bytes of a PDF, as far as Python knows."""
    return {name: version(name) for name in LIBRARIES}


def typeset(html: str, attached: Sequence[Attached], *, time: str, identifier: bytes) -> bytes:
    """The PDF of a page, with files attached: PDF/A-3a and PDF/UA-1.

    `time` is UTC text, and all that the file knows of time. The same arguments give the same bytes under the
    same versions of the libraries. Costs a process, 1.5 s, and 6 ms and 150 KiB a table row. Raises
    LedgerError where the machine lacks a library, or the page is too large or asks for anything.
    """
    request = {
        "html": html,
        "time": time,
        "identifier": identifier.hex(),
        "seconds": SECONDS,
        "attachments": [
            {
                "name": one.name,
                "description": one.description,
                "relationship": one.relationship,
                "data": base64.b64encode(one.data).decode("ascii"),
            }
            for one in attached
        ],
    }
    with tempfile.TemporaryDirectory(prefix="ledger-report-") as folder:
        done = _run(json.dumps(request).encode(), Path(folder), time)
    if done.returncode == 0 and done.stdout.startswith(b"%PDF-"):
        return done.stdout
    raise _failure(done.returncode, done.stderr.decode("utf-8", "replace").strip())


def _run(request: bytes, folder: Path, time: str) -> subprocess.CompletedProcess[bytes]:
    config = folder / "fonts.conf"
    config.write_text(_FONTS_CONF.format(fonts=fonts(), cache=folder / "cache"), "utf-8")
    moment = datetime.strptime(time, FORMAT).replace(tzinfo=UTC)
    known = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in known if name in os.environ}
    environment |= {
        "FONTCONFIG_FILE": str(config),
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": str(int(moment.timestamp())),
        "TMPDIR": str(folder),
        "TZ": "UTC",
    }
    command = [sys.executable, "-I", typesetter.__file__]
    try:
        return subprocess.run(
            command,
            input=request,
            capture_output=True,
            env=environment,
            cwd=folder,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LedgerError(
            f"the PDF was not done after {SECONDS // 60} minutes", hint=_SMALLER
        ) from None


_SMALLER: Final = "Choose a shorter period, or write HTML: --file report.html."


def _failure(code: int, said: str) -> LedgerError:
    last = said.splitlines()[-1] if said else f"it ended with {code} and said nothing"
    if code == typesetter.NO_LIBRARY:
        return LedgerError(
            f"this machine cannot make a PDF: {last}",
            hint="Install Pango: apt-get install libpangoft2-1.0-0 libharfbuzz-subset0 (Debian, Ubuntu); "
            "dnf install pango (Fedora); brew install pango (macOS). Or write HTML: --file report.html.",
        )
    if code in (typesetter.TOO_LARGE, -9, -24):
        return LedgerError("the PDF needs more memory or time than it may use", hint=_SMALLER)
    return LedgerError(
        f"the PDF could not be made: {last}",
        hint="This is a fault of the template or the program; please report it.",
    )
