"""For sources of forges: tools that keep nothing, payloads as files, and payloads with anything in them.

It needs hypothesis.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from ledger.sources import Stored, Tools

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


def bare_tools() -> Tools:
    """Tools that redact and keep nothing, for what is read without a ledger."""

    def nothing(*_: Any) -> Any:
        raise AssertionError("nothing of a forge is a blob")

    return Tools(
        now="2026-03-01T12:00:00Z",
        prepare=nothing,
        heads=nothing,
        redact=lambda text: text,
        fingerprint=lambda value: value.hex(),
        store=lambda _name, _data: Stored("sha256:" + "0" * 64, []),
        repository=lambda _: "prod",
    )


def altered(data: st.DataObject, bodies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One of the bodies, any one value of which, however deep, is any other JSON."""
    body: dict[str, Any] = json.loads(json.dumps(data.draw(st.sampled_from(bodies))))
    where = body
    while data.draw(st.booleans()):
        inside = [*where.values()]
        inside += [one for each in inside if isinstance(each, list) for one in each]
        objects = [one for one in inside if isinstance(one, dict) and one]
        if not objects:
            break
        where = data.draw(st.sampled_from(objects))
    where[data.draw(st.sampled_from(sorted(where)))] = data.draw(JSON)
    return body


def as_files(folder: Path, *bodies: Any) -> list[Path]:
    """JSON values as files of a folder, one each, in their order by name."""
    files = [folder / f"body-{index}.json" for index in range(len(bodies))]
    for file, body in zip(files, bodies, strict=True):
        file.write_text(json.dumps(body))
    return files
