"""Terraform, OpenTofu and other HCL: every block is a resource named by its address.

The body speaks Terraform's JSON syntax: a literal is its JSON value, any other expression is its text in
`${}`, a nested block is an item of a list under its type and its labels: `{"dynamic": {"ingress": [{...}]}}`.
Re-formatting and comments leave no trace. Modules are not opened: the address is the file's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ledger import hcl
from ledger.parsers import Parser
from ledger.resources import Resource, Value, unparsed

GROUP = "terraform"
MAX_PIECE = 1024 * 1024
"""Bytes of one piece in native syntax: at most 4 s and 150 MB, whatever they are."""
MAX_JSON = 4 * 1024 * 1024
"""Bytes of one file in JSON syntax."""
_TOO_DEEP = f"more than {hcl.MAX_DEPTH} blocks, lists or objects inside one another"


def parse(piece: bytes) -> list[Resource]:
    """The resources of one piece; one unparsed resource if it is no HCL, none if it has only comments."""
    try:
        if hcl.is_json(piece):
            return list(_json_resources(piece))
        return list(_resources(_decoded(piece)))
    except hcl.HclError as error:
        return [unparsed("HCL", piece, str(error))]


def _decoded(piece: bytes) -> str:
    if len(piece) > MAX_PIECE:
        raise hcl.HclError(f"a piece of {len(piece)} bytes; at most {MAX_PIECE} are read")
    if b"\0" in piece:
        raise hcl.HclError("binary content")
    try:
        return piece.decode()
    except UnicodeDecodeError as error:
        line = piece.count(b"\n", 0, error.start) + 1
        raise hcl.HclError(f"line {line}: not UTF-8") from error


def _resources(text: str) -> Iterator[Resource]:
    body = hcl.read(text)
    if body.attributes:
        values = dict(body.attributes)
        yield Resource(GROUP, "tfvars", "", "", values, warnings=_distinct(body.warnings))
    for block in body.blocks:
        warnings: list[str] = []
        values = _contents(block.body, warnings)
        yield from _declared(block.type, block.labels, values, _distinct(warnings))


def _contents(body: hcl.Body, warnings: list[str]) -> dict[str, Value]:
    """The attributes of a body by name, and under the type of each nested block the list of them."""
    warnings += body.warnings
    values = dict(body.attributes)
    blocks: dict[str, Value] = {}
    for block in body.blocks:
        _place(blocks, [block.type, *block.labels], _contents(block.body, warnings), warnings)
    for name, items in blocks.items():
        if name in values:
            warnings.append(
                f"{name} is an attribute and a block; the block stands under {name}{{}}"
            )
        values[f"{name}{{}}" if name in values else name] = items
    return values


def _place(
    blocks: dict[str, Value], path: list[str], values: dict[str, Value], warnings: list[str]
) -> None:
    """Add a nested block under its type and labels, as Terraform's JSON syntax does."""
    level = blocks
    for word in path[:-1]:
        inner = level.setdefault(word, {})
        if not isinstance(inner, dict):
            break
        level = inner
    else:
        last = level.setdefault(path[-1], [])
        if isinstance(last, list):
            last.append(values)
            return
    warnings.append(f"{path[0]} stands with different numbers of labels")
    others = blocks.setdefault(f"{' '.join(path)}{{}}", [])
    if isinstance(others, list):
        others.append(values)


def _distinct(warnings: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warnings))


def _declared(
    block: str, labels: list[str], body: Value, warnings: tuple[str, ...] = ()
) -> Iterator[Resource]:
    """The resources that a block declares: one, but each of its values for `locals`."""
    if block == "locals" and isinstance(body, dict) and body and not labels:
        for local, value in body.items():
            one: Value = {"value": value}
            yield Resource(GROUP, "local", "", f"local.{local}", one, warnings=warnings)
        return
    kind, name = _address(block, labels, body)
    yield Resource(GROUP, kind, "", name, body, warnings=warnings)


def _address(block: str, labels: list[str], body: Value) -> tuple[str, str]:
    """The kind and the name of a block, as Terraform addresses it where it has an address."""
    if block == "resource" and len(labels) == 2:
        return labels[0], ".".join(labels)
    name = ".".join([block, *labels])
    if block in ("data", "ephemeral") and len(labels) == 2:
        return f"{block}.{labels[0]}", name
    if block == "provider" and isinstance(body, dict):
        alias = body.get("alias")
        if isinstance(alias, str) and "${" not in alias:
            name = f"{name}.{alias}"
    return block, name


# ---- JSON syntax -----------------------------------------------------------------------------------------

_LABELS = {
    **dict.fromkeys(("resource", "data", "ephemeral"), 2),
    **dict.fromkeys(("module", "variable", "output", "provider", "check"), 1),
    **dict.fromkeys(("locals", "terraform", "moved", "import", "removed"), 0),
}
_COMMENT = "//"


def _json_resources(piece: bytes) -> Iterator[Resource]:
    """The resources of a file in Terraform's JSON syntax; anything but blocks makes it a file of values."""
    document, warnings = _json(piece)
    blocks = {key: value for key, value in document.items() if key != _COMMENT}
    if not blocks or not all(_is_block(*item) for item in blocks.items()):
        yield Resource(GROUP, "tfvars", "", "", document, warnings=warnings)
        return
    for block, value in blocks.items():
        for labels, body in _labelled(value, _LABELS[block]):
            yield from _declared(block, labels, _without_comment(body), warnings)


def _without_comment(body: Value) -> Value:
    if isinstance(body, dict):
        return {key: value for key, value in body.items() if key != _COMMENT}
    return body


def _is_block(key: str, value: Value) -> bool:
    return key in _LABELS and isinstance(value, dict | list)


def _json(piece: bytes) -> tuple[dict[str, Value], tuple[str, ...]]:
    warnings: dict[str, None] = {}

    def collect(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
        values = dict(pairs)
        if len(values) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    warnings[f"duplicate key {key}: the last one counts"] = None
                seen.add(key)
        return values

    if len(piece) > MAX_JSON:
        raise hcl.HclError(f"a file of {len(piece)} bytes; at most {MAX_JSON} are read")
    try:
        document = json.loads(
            piece.decode("utf-8-sig"),
            object_pairs_hook=collect,
            parse_int=lambda text: int(text) if len(text) < 16 else hcl.number(text),
            parse_float=hcl.number,
            parse_constant=_no_number,
        )
        json.dumps(
            document, ensure_ascii=False
        ).encode()  # half a surrogate pair has no place in UTF-8
    except RecursionError as error:  # Python's limit is far above ours
        raise hcl.HclError(_TOO_DEEP) from error
    except ValueError as error:
        raise hcl.HclError(f"no JSON: {error}") from error
    _check_json(document)
    return document, tuple(warnings)


def _check_json(document: Value) -> None:
    level = [document]
    for _ in range(hcl.MAX_DEPTH + 1):
        below: list[Value] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        level = below
    if level:
        raise hcl.HclError(_TOO_DEEP)


def _no_number(text: str) -> Value:
    raise ValueError(f"{text} is no number")


def _labelled(value: Value, labels: int) -> Iterator[tuple[list[str], Value]]:
    """Every body below so many labels; a list stands for several at any level."""
    if isinstance(value, list):
        for item in value:
            yield from _labelled(item, labels)
    elif labels and isinstance(value, dict):
        for label, inner in value.items():
            if label != _COMMENT:
                for more, body in _labelled(inner, labels - 1):
                    yield [label, *more], body
    else:
        yield [], value


PARSER = Parser(
    name="terraform",
    version=1,
    patterns=(
        *("*.tf", "*.tofu", "*.tfvars", "*.hcl", ".terraform.lock.hcl"),
        *("*.tf.json", "*.tofu.json", "*.tfvars.json"),
    ),
    split=hcl.pieces,
    parse=parse,
)
