"""YAML as Kubernetes reads it: sigs.k8s.io/yaml, which is go-yaml v2 and then JSON.

Two readers with the same answers: `lines` knows the everyday shape of a manifest and is fast, `events` knows
all of YAML. What one scalar means is in `scalars`.
"""

from __future__ import annotations

from ledger.goyaml.events import Document, read_events
from ledger.goyaml.lines import UNFIT, read_lines
from ledger.goyaml.scalars import YamlError

__all__ = ["Document", "YamlError", "load_all", "split_documents"]

_MARK = b"\xef\xbb\xbf"  # UTF-8's byte order mark


def load_all(text: bytes) -> list[Document]:
    """Every document of a YAML stream, in order.

    Values are what JSON knows: None, bool, int within 64 bits, finite float, str, list, dict with text keys.
    Raises YamlError for what cannot be read or is refused: not UTF-8, NUL, nested
    deeper than 200 levels, aliases that repeat more than 400,000 nodes. Linear in time and memory.
    """
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise YamlError("UTF-16, not UTF-8")
    if b"\0" in text:
        raise YamlError(f"NUL at byte {text.index(0)}")
    text = text.removeprefix(_MARK)
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise YamlError(f"not UTF-8 at byte {error.start}") from None
    value = read_lines(decoded)
    return read_events(text) if value is UNFIT else [Document(value)]


def split_documents(blob: bytes) -> list[bytes]:
    """Cut a YAML stream before each line `---`, so that the pieces together are the blob.

    Such a line in the first column always begins a document, whatever is before it. A stream with
    directives (`%`) stays whole, for those belong to the document after the next `---`.
    """
    first, *others = blob.split(b"\n---")
    if not others or b"\n%" in blob or blob.removeprefix(_MARK).startswith(b"%"):
        return [blob]
    pieces: list[bytes] = []
    open_piece = [first]
    for part in others:
        if part[:1] in (b"", b"\n", b"\r", b" ", b"\t"):
            pieces.append(b"\n---".join(open_piece) + b"\n")
            open_piece = [b"---" + part]
        else:
            open_piece.append(part)
    pieces.append(b"\n---".join(open_piece))
    return pieces
