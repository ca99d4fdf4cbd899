"""Text from outside, made fit for a page: nothing in it can act, hide or reorder what stands beside it.

Control, format (bidirectional, zero-width), private and unassigned characters, and those that no
shipped font can draw, stand as their code point in a box; so a missing glyph is never an empty square.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup

Draws = Callable[[str], bool]
MAX_TEXT = 600
SPARED = 80  # characters beyond a limit that are printed all the same
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SEQUENCES = frozenset("\ufe0e\ufe0f")  # text or picture: the font decides
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


def any_character(_: str) -> bool:
    """For pages that a browser draws with its own fonts."""
    return True


class Shown:
    """What a template's `{{ … }}` pass through; `draws` tells whether there is a glyph for a character."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws

    def value(self, value: Any) -> Any:
        """Text made visible; what is markup of ours stays as it is."""
        if isinstance(value, Markup) or not isinstance(value, str):
            return value
        return self._markup(value, lines=False)

    def plain(self, text: str) -> str:
        """As `value`, without markup: for titles and attributes."""
        return "".join(char if self._can_show(char) else f"U+{ord(char):04X}" for char in text)

    def lines(self, text: str) -> Markup:
        """As `value`, with the ends of lines kept."""
        return self._markup(text.replace("\r\n", "\n").replace("\t", "    "), lines=True)

    def cut(self, text: str, limit: int = MAX_TEXT) -> Markup:
        """As `value`, with what is beyond a limit left out and said so; attached files have it whole.

        A little beyond it stays: a note of what is missing would be as long.
        """
        if len(text) <= limit + SPARED:
            return self._markup(text, lines=False)
        head = self._markup(text[:limit], lines=False)
        return head + Markup('<span class="cut">… {} more characters</span>').format(
            f"{len(text) - limit:,}"
        )

    def _markup(self, text: str, *, lines: bool) -> Markup:
        if text.isascii() and text.isprintable():
            return Markup.escape(text)
        parts: list[str] = []
        for char in text:
            if (lines and char == "\n") or char in _SEQUENCES or self._can_show(char):
                parts.append(str(Markup.escape(char)))
            else:
                parts.append(f'<span class="code-point">U+{ord(char):04X}</span>')
        whole = "".join(parts)
        turned = any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in text)
        return Markup(f"<bdi>{whole}</bdi>" if turned else whole)  # noqa: S704 (escaped above)

    def _can_show(self, char: str) -> bool:
        return unicodedata.category(char) not in _UNSEEN and self._draws(char)


def address(text: str) -> Markup:
    """A URL for an `href`: https or http and nothing else; empty for anything that is none."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return Markup("")
    sound = parts.scheme in ("https", "http") and parts.hostname and "@" not in parts.netloc
    plain = text.isascii() and text.isprintable() and not set(text) & set(" \"'<>\\`")
    return Markup.escape(text) if sound and plain and port != 0 else Markup("")


def short_address(text: str) -> str:
    """A URL without its scheme, as it is printed."""
    return text.partition("://")[2] or text
