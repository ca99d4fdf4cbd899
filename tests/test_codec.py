"""The stored bytes: canonical, whole or in attachments, readable for ever, never guessed at.

`golden/events` holds what was once recorded: `<type>.v<version>.json`, and `<type>.v<version>.<what>.json`
for more examples of a shape. Such a file is never changed; a new shape gets a new version and a new file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, cast, get_args, get_origin

import msgspec
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import codec, events
from ledger.codec import MAX_INTEGER, MAX_LEAF, Encoded, decode, encode, same_fact, variant_key
from ledger.errors import IntegrityError, LedgerError
from ledger.events import (
    EVENT_TYPES,
    CollectorGap,
    CommitObserved,
    EnvironmentMapped,
    Event,
    FileChange,
    FileSide,
    Identity,
    NewEvent,
    QueryExecuted,
    RecordedEvent,
    RefMoved,
    RefState,
    SourceSurveyed,
)
from ledger.merkle import leaf_hash
from ledger.upcasters import UPCASTERS, Upcaster

GOLDEN = Path(__file__).parent / "golden" / "events"
FILES = sorted(GOLDEN.glob("*.json"))
AT = "2026-09-01T00:00:00Z"


def event(data: Event, **changes: Any) -> NewEvent:
    given: dict[str, Any] = {"stream": "repository/infra", "key": "k", "source": "infra"}
    return NewEvent(**(given | changes), data=data)


def query(sql: str, rows: int = 0) -> NewEvent:
    return event(QueryExecuted(sql=sql, rows=rows))


def as_told(recorded: RecordedEvent) -> NewEvent:
    return NewEvent(
        stream=recorded.stream,
        key=recorded.key,
        source=recorded.source,
        occurred_at=recorded.occurred_at,
        actor=recorded.actor,
        data=recorded.data,
    )


def reader(contents: Mapping[str, bytes]) -> codec.ReadContent:
    def read(digest: str) -> bytes:
        if digest not in contents:
            raise IntegrityError(f"content {digest} is not there")
        return contents[digest]

    return read


def decoded(encoded: Encoded, position: int = 0) -> RecordedEvent:
    return decode(position, encoded.leaf, reader(encoded.attachments))


def whole(told: NewEvent, recorded_at: str = AT) -> bytes:
    """The canonical bytes with nothing taken out, made by the reference encoder alone."""
    envelope = {name: value for name, value in msgspec.to_builtins(told).items() if value}
    envelope |= {"stream": told.stream, "key": told.key, "source": told.source}
    if told.actor is not None:
        envelope["actor"] = msgspec.to_builtins(told.actor)
    envelope |= {"recorded_at": recorded_at, "type": told.data.TYPE, "version": told.data.VERSION}
    return rfc8785.dumps(envelope)


# -- what was once recorded ----------------------------------------------------------------------


def golden(path: Path) -> tuple[dict[str, Any], bytes, codec.ReadContent]:
    held = json.loads(path.read_text("utf-8"))
    contents = {digest: text.encode() for digest, text in held.get("attachments", {}).items()}
    return held, held["leaf"].encode(), reader(contents)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_every_event_type_has_a_golden_file_of_its_version() -> None:
    missing = {f"{kind.TYPE}.v{kind.VERSION}.json" for kind in EVENT_TYPES} - {
        path.name for path in FILES
    }
    assert not missing, "record an example of each new shape; see the top of this file"


def test_the_golden_files_of_a_shape_show_every_field_of_it() -> None:
    shown: dict[str, set[str]] = {kind.TYPE: set() for kind in EVENT_TYPES}
    for path in FILES:
        leaf = json.loads(golden(path)[1])
        if leaf["version"] == {kind.TYPE: kind.VERSION for kind in EVENT_TYPES}[leaf["type"]]:
            shown[leaf["type"]] |= leaf["data"].keys()
    assert shown == {kind.TYPE: set(kind.__struct_fields__) for kind in EVENT_TYPES}


def test_every_event_type_is_told_apart_by_its_name() -> None:
    assert len({kind.TYPE for kind in EVENT_TYPES}) == len(EVENT_TYPES)
    assert set(get_args(Event)) == set(EVENT_TYPES)
    declared = {
        one for one in vars(events).values() if isinstance(one, type) and "TYPE" in vars(one)
    }
    assert declared == set(EVENT_TYPES)


def test_a_golden_leaf_is_named_by_its_type_and_version(path: Path) -> None:
    leaf = json.loads(golden(path)[1])
    assert path.name.startswith(f"{leaf['type']}.v{leaf['version']}.")


def test_a_golden_leaf_has_its_hash(path: Path) -> None:
    held, leaf, _ = golden(path)
    assert held["leaf_hash"] == leaf_hash(leaf).hex() == sha256(b"\x00" + leaf).hexdigest()


def test_a_golden_leaf_is_canonical(path: Path) -> None:
    leaf = golden(path)[1]
    assert rfc8785.dumps(json.loads(leaf)) == leaf


def test_a_golden_leaf_decodes_to_the_newest_shape(path: Path) -> None:
    _, leaf, read = golden(path)
    said = json.loads(leaf)
    recorded = decode(41, leaf, read)
    assert {kind.TYPE: kind for kind in EVENT_TYPES}[said["type"]] is type(recorded.data)
    assert recorded.position == 41
    envelope = (recorded.stream, recorded.key, recorded.source, recorded.recorded_at)
    assert envelope == (said["stream"], said["key"], said["source"], said["recorded_at"])
    assert recorded.occurred_at == said.get("occurred_at", "")
    assert recorded.actor == (Identity(**said["actor"]) if "actor" in said else None)


def test_a_golden_leaf_of_the_newest_shape_encodes_to_the_same_bytes(path: Path) -> None:
    held, leaf, read = golden(path)
    recorded = decode(0, leaf, read)
    if json.loads(leaf)["version"] != recorded.data.VERSION:
        pytest.skip("a retired shape")
    again = encode(as_told(recorded), recorded_at=recorded.recorded_at)
    assert again.leaf == leaf
    assert {key: data.decode() for key, data in again.attachments.items()} == held.get(
        "attachments", {}
    )


# -- any event -----------------------------------------------------------------------------------

SPICY = st.sampled_from([
    "\x00", "\x08", "\t", "\n", "\x0b", "\x0c", "\r", "\x1b", "\x1f", '"', "\\", "/", "\x7f", "\x80",
    "\x85", "é", "e\u0301", "\u2028", "\u2029", "\u202e", "\ufeff", "\ufffe", "\uffff", "\ue000",
    "\U0001f680", "\U0001f469\u200d\U0001f680", "\U0010ffff", "\\u0000", "</script>",
    '{"attachment":"sha256:00","bytes":1}',
])  # fmt: skip
TEXT = st.lists(SPICY | st.characters(exclude_categories=["Cs"]), max_size=12).map("".join)
NUMBERS = st.sampled_from([0, -1, MAX_INTEGER, -MAX_INTEGER]) | st.integers(
    -MAX_INTEGER, MAX_INTEGER
)


def any_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type: text, number, truth, lists, structs and what may be absent."""
    plain = {str: TEXT, int: NUMBERS, bool: st.booleans(), NoneType: st.none()}
    if annotation in plain:
        return plain[annotation]
    if get_origin(annotation) is list:
        return st.lists(any_of(get_args(annotation)[0]), max_size=4)
    if isinstance(annotation, UnionType):
        return st.one_of([any_of(one) for one in get_args(annotation)])
    fields = msgspec.structs.fields(annotation)
    needed = {one.name: any_of(one.type) for one in fields if one.required}
    others = {one.name: any_of(one.type) for one in fields if not one.required}
    return st.fixed_dictionaries(needed, optional=others).map(lambda given: annotation(**given))


DATA = st.one_of([any_of(kind) for kind in EVENT_TYPES])
EVENTS = st.builds(
    NewEvent,
    stream=TEXT,
    key=TEXT,
    source=TEXT,
    occurred_at=TEXT,
    actor=st.none() | any_of(Identity),
    data=DATA,
)


def large_text(base: str) -> st.SearchStrategy[str]:
    sizes = st.integers(0, 100) | st.integers(8_000, 8_300) | st.integers(0, 90_000)
    return st.tuples(sizes, st.sampled_from([1, 2, 3, 4])).map(
        lambda drawn: (base * drawn[0]).encode()[: drawn[0]].decode(errors="ignore")
    )


LARGE = st.builds(
    CommitObserved,
    repository=st.just("infra"),
    commit=st.just("1" * 40),
    tree=st.just("2" * 40),
    parents=st.integers(0, 130).map(lambda count: ["3" * 40] * count),
    author=st.builds(Identity, name=large_text("é"), email=large_text("x")),
    committer=st.just(Identity(name="Bob")),
    message=large_text("a\n") | large_text("🚀") | large_text("\x01"),
    encoding=large_text("u"),
    object_digest=st.just("sha256:" + "0" * 64),
    claims=st.lists(large_text("c"), max_size=3),
    files=st.tuples(st.integers(0, 140), large_text("p/é")).map(
        lambda drawn: [
            FileChange(path=f"{drawn[1]}{number}", after=FileSide(mode="100644", id="5" * 40))
            for number in range(drawn[0])
        ]
    ),
).map(event)


@given(EVENTS, TEXT)
def test_any_event_has_canonical_bytes(told: NewEvent, recorded_at: str) -> None:
    encoded = encode(told, recorded_at=recorded_at)
    assert encoded.leaf == whole(told, recorded_at)
    assert encoded.leaf == rfc8785.dumps(json.loads(encoded.leaf))


@given(EVENTS, TEXT, NUMBERS)
def test_any_event_is_read_back_as_it_was_told(
    told: NewEvent, recorded_at: str, position: int
) -> None:
    recorded = decoded(encode(told, recorded_at=recorded_at), position)
    assert as_told(recorded) == told
    assert (recorded.position, recorded.recorded_at) == (position, recorded_at)


@given(EVENTS)
def test_the_same_fact_has_the_same_bytes(told: NewEvent) -> None:
    first = encode(told, recorded_at=AT)
    again = as_told(decoded(first))
    assert encode(again, recorded_at=AT) == first
    assert same_fact(first.leaf, again)
    assert variant_key(told) == variant_key(again)


@given(LARGE)
@settings(max_examples=60)
def test_an_event_of_any_size_fits_into_a_leaf_and_is_read_back(told: NewEvent) -> None:
    encoded = encode(told, recorded_at=AT)
    assert len(encoded.leaf) <= MAX_LEAF
    assert encoded.leaf == rfc8785.dumps(json.loads(encoded.leaf))
    for digest, content in encoded.attachments.items():
        assert digest == "sha256:" + sha256(content).hexdigest()
        assert content == rfc8785.dumps(json.loads(content))
    assert as_told(decoded(encoded)) == told
    assert encode(told, recorded_at=AT) == encoded
    assert same_fact(encoded.leaf, told)


@given(LARGE)
@settings(max_examples=60)
def test_an_event_is_kept_whole_exactly_up_to_8_kib_or_where_no_part_is_large(
    told: NewEvent,
) -> None:
    plain, encoded = whole(told), encode(told, recorded_at=AT)
    if len(plain) <= 8_192:
        assert encoded == Encoded(plain, {})
    assert (encoded.leaf == plain) == (not encoded.attachments)


# -- how it is made smaller ----------------------------------------------------------------------


def attached(content: bytes) -> dict[str, Any]:
    return {"attachment": "sha256:" + sha256(content).hexdigest(), "bytes": len(content)}


def data_of(encoded: Encoded) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(encoded.leaf)["data"]
    return data


def survey(refs: int) -> NewEvent:
    return event(
        SourceSurveyed(
            repository="infra",
            url="",
            branches=[],
            ref_count=refs,
            refs_digest="",
            commit_count=0,
            commits_digest="",
            refs=[RefState(ref=f"refs/heads/{number}", commit="c" * 64) for number in range(refs)],
        )
    )


def padded(size: int) -> NewEvent:
    """An event of that many bytes with a list of 150 items."""
    plain = EnvironmentMapped(environment="", tier="t", repository="r", paths=["p"] * 150)
    pad = "x" * (size - len(whole(event(plain))))
    return event(msgspec.structs.replace(plain, environment=pad))


def test_an_event_is_kept_whole_up_to_8_kib_whatever_is_in_it() -> None:
    told = padded(8_192)
    assert len(whole(told)) == 8_192
    assert encode(told, recorded_at=AT) == Encoded(whole(told), {})
    over = encode(padded(8_193), recorded_at=AT)
    assert data_of(over)["paths"] == attached(rfc8785.dumps(["p"] * 150))
    assert as_told(decoded(over)) == padded(8_193)


@pytest.mark.parametrize(("character", "count"), [("x", 8_192), ("é", 4_096), ("🚀", 2_048)])
def test_a_text_above_8_kib_is_attached(character: str, count: int) -> None:
    kept, over = (encode(query(character * more), recorded_at=AT) for more in (count, count + 1))
    assert not kept.attachments
    content = rfc8785.dumps(character * (count + 1))
    assert data_of(over) == {"rows": 0, "sql": attached(content)}
    assert list(over.attachments.values()) == [content]


def test_a_list_above_100_items_is_attached_once_the_event_is_large() -> None:
    kept, over = encode(survey(100), recorded_at=AT), encode(survey(101), recorded_at=AT)
    assert not kept.attachments
    content = rfc8785.dumps(msgspec.to_builtins(cast("SourceSurveyed", survey(101).data).refs))
    assert data_of(over)["refs"] == attached(content)
    assert data_of(over)["ref_count"] == 101


def test_large_parts_deep_inside_are_attached_where_they_stand() -> None:
    long = "n" * 9_000
    change = FileChange(path=long, after=FileSide(mode="100644", id="5" * 40))
    told = event(
        CommitObserved(
            repository="infra",
            commit="1",
            tree="2",
            parents=[],
            author=Identity(name=long),
            committer=Identity(),
            message="m",
            object_digest="",
            files=[change],
        )
    )
    encoded = encode(told, recorded_at=AT)
    content = rfc8785.dumps(long)
    assert data_of(encoded)["author"]["name"] == attached(content)
    assert data_of(encoded)["files"][0]["path"] == attached(content)
    assert list(encoded.attachments.values()) == [content]
    assert as_told(decoded(encoded)) == told


def test_the_largest_part_is_attached_until_a_leaf_fits() -> None:
    refs = [f"{number:03}" + "r" * 700 for number in range(90)]
    told = event(
        RefMoved(repository="i" * 7_000, ref="main", kind="forced", sequence=1, abandoned=refs)
    )
    assert len(whole(told)) > MAX_LEAF
    encoded = encode(told, recorded_at=AT)
    assert data_of(encoded)["abandoned"] == attached(rfc8785.dumps(refs))
    assert data_of(encoded)["repository"] == "i" * 7_000
    assert as_told(decoded(encoded)) == told


def test_an_event_whose_envelope_alone_is_too_long_is_refused() -> None:
    with pytest.raises(LedgerError, match="cannot be made to fit"):
        encode(
            event(CollectorGap(repository="", kind="", detail=""), stream="s" * 65_536),
            recorded_at=AT,
        )


def test_text_that_looks_like_an_attachment_stays_text() -> None:
    told = query('{"attachment":"sha256:00","bytes":1}')
    assert as_told(decoded(encode(told, recorded_at=AT))) == told
    long = query('{"attachment":"sha256:00","bytes":1}' * 500)
    assert as_told(decoded(encode(long, recorded_at=AT))) == long


# -- the same fact, another telling --------------------------------------------------------------


def test_when_a_fact_was_recorded_is_no_part_of_it() -> None:
    told = query("select 1")
    assert same_fact(encode(told, recorded_at="2020-01-01T00:00:00Z").leaf, told)
    assert variant_key(told) == variant_key(query("select 1"))


@pytest.mark.parametrize(
    "change",
    [
        {"stream": "other"},
        {"source": "other"},
        {"occurred_at": AT},
        {"actor": Identity(login="anna")},
        {"data": QueryExecuted(sql="select 1", rows=1)},
    ],
)
def test_another_telling_is_not_the_same_fact_and_has_a_key_of_its_own(
    change: dict[str, Any],
) -> None:
    told = query("select 1")
    other = msgspec.structs.replace(told, **change)
    assert not same_fact(encode(told, recorded_at=AT).leaf, other)
    assert variant_key(told) != variant_key(other)
    assert variant_key(other).startswith("k#")


# -- what has no canonical bytes -----------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        query("half a pair: \ud83d"),
        query("x" * 9_000 + "\udc80"),
        event(QueryExecuted(sql="", rows=0), key="\udcff"),
        event(QueryExecuted(sql="", rows=0), actor=Identity(name="\ud800")),
        event(CollectorGap(repository="", kind="", detail="\udfff")),
    ],
)
def test_half_a_surrogate_pair_is_refused(told: NewEvent) -> None:
    with pytest.raises(LedgerError, match="not valid Unicode"):
        encode(told, recorded_at=AT)


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**64, 10**30])
def test_a_number_that_other_json_readers_would_round_is_refused(number: int) -> None:
    with pytest.raises(LedgerError, match="rows"):
        encode(query("", rows=number), recorded_at=AT)
    assert data_of(encode(query("", rows=MAX_INTEGER), recorded_at=AT))["rows"] == MAX_INTEGER


# -- what is no event ----------------------------------------------------------------------------

LEAF = encode(query("select 1"), recorded_at=AT).leaf


def changed(old: bytes, new: bytes) -> bytes:
    assert LEAF.count(old) == 1
    return LEAF.replace(old, new)


NO_EVENTS = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "not JSON": b"\x00\x01\x02",
    "cut off": LEAF[:-1],
    "something after the end": LEAF + b"x",
    "no data": changed(b'"data"', b'"date"'),
    "no key": changed(b'"key"', b'"kex"'),
    "a key that is no text": changed(b'"key":"k"', b'"key":1'),
    "a key that is not UTF-8": changed(b'"key":"k"', b'"key":"\xff"'),
    "data that is not UTF-8": changed(b"select 1", b"select \xff"),
    "half a surrogate pair": changed(b"select 1", b"\\ud800"),
    "an unknown type": changed(b"query.executed", b"query.imagined"),
    "an unknown older version": changed(b'"version":1', b'"version":0'),
    "a far older version": changed(b'"version":1', b'"version":-9007199254740991'),
    "a newer version": changed(b'"version":1', b'"version":2'),
    "a fractional version": changed(b'"version":1', b'"version":1.5'),
    "a field of another type": changed(b'"rows":0', b'"rows":"0"'),
    "a missing field": changed(b'"rows":0,', b""),
    "a number where data should stand": changed(b'{"rows":0,"sql":"select 1"}', b"7"),
    "deep nesting": changed(b'"select 1"', b"[" * 100_000 + b"]" * 100_000),
    "an attachment that is no digest": changed(
        b'"select 1"', b'{"attachment":"sha256:zz","bytes":1}'
    ),
    "an attachment that is no text": changed(
        b'"select 1"', b'[{"attachment":5,"bytes":1},{"attachment":"sha256:","bytes":1}]'
    ),
}


@pytest.mark.parametrize("leaf", NO_EVENTS.values(), ids=NO_EVENTS.keys())
def test_what_is_no_event_of_ours_is_never_guessed_at(leaf: bytes) -> None:
    with pytest.raises(IntegrityError):
        decode(7, leaf, reader({}))


@given(st.binary(max_size=200))
def test_no_bytes_at_all_end_in_another_error(leaf: bytes) -> None:
    with pytest.raises(IntegrityError, match="position 7"):
        decode(7, leaf, reader({}))


@given(st.integers(0, len(LEAF) - 1), st.integers(0, 255))
def test_a_changed_byte_ends_in_no_other_error(at: int, byte: int) -> None:
    told = ""
    try:
        decode(0, LEAF[:at] + bytes([byte]) + LEAF[at + 1 :], reader({}))
    except IntegrityError as error:
        told = error.message
    assert not told or "position 0" in told


def test_an_attachment_that_is_gone_is_named() -> None:
    encoded = encode(survey(200), recorded_at=AT)
    [digest] = encoded.attachments
    with pytest.raises(IntegrityError, match=digest):
        decode(0, encoded.leaf, reader({}))


@pytest.mark.parametrize("content", [b"", b"\xff", b"[", b"7", b'["no ref state"]', b"[" * 100_000])
def test_an_attachment_that_is_not_what_the_event_needs_is_refused(content: bytes) -> None:
    encoded = encode(survey(200), recorded_at=AT)
    [digest] = encoded.attachments
    with pytest.raises(IntegrityError, match="position 3"):
        decode(3, encoded.leaf, reader({digest: content}))


# -- retired shapes ------------------------------------------------------------------------------


def retired(monkeypatch: pytest.MonkeyPatch, kind: str, version: int, upcaster: Upcaster) -> None:
    monkeypatch.setitem(
        cast("dict[tuple[str, int], Upcaster]", UPCASTERS), (kind, version), upcaster
    )


def test_a_retired_shape_becomes_the_newest_one_step_after_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    retired(
        monkeypatch, "query.executed", 0, lambda data: {"sql": data["text"], "rows": data["count"]}
    )
    retired(monkeypatch, "query.executed", -1, lambda data: {"text": data["q"].strip(), "count": 5})
    leaf = changed(b'{"rows":0,"sql":"select 1"}', b'{"q":" select 1 "}')
    oldest = leaf.replace(b'"version":1', b'"version":-1')
    assert decode(0, oldest, reader({})).data == QueryExecuted(sql="select 1", rows=5)
    older = changed(b'{"rows":0,"sql":"select 1"}', b'{"count":6,"text":"select 2"}')
    older = older.replace(b'"version":1', b'"version":0')
    assert decode(0, older, reader({})).data == QueryExecuted(sql="select 2", rows=6)


def test_the_newest_shape_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    retired(monkeypatch, "query.executed", 1, lambda _: {"sql": "wrong", "rows": 0})
    retired(monkeypatch, "query.executed", 0, lambda _: {"sql": "wrong", "rows": 0})
    assert decode(0, LEAF, reader({})).data == QueryExecuted(sql="select 1", rows=0)


def test_a_retired_shape_is_given_its_attachments_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    retired(monkeypatch, "query.executed", 0, lambda data: {"sql": data["sql"].upper(), "rows": 1})
    encoded = encode(query("x" * 9_000), recorded_at=AT)
    leaf = encoded.leaf.replace(b'"version":1', b'"version":0')
    recorded = decode(0, leaf, reader(encoded.attachments))
    assert recorded.data == QueryExecuted(sql="X" * 9_000, rows=1)


def test_every_step_from_a_retired_shape_leads_to_the_newest() -> None:
    newest = {kind.TYPE: kind.VERSION for kind in EVENT_TYPES}
    first = {
        kind: min([*(v for name, v in UPCASTERS if name == kind), newest[kind]]) for kind in newest
    }
    steps = {(kind, version) for kind in newest for version in range(first[kind], newest[kind])}
    assert set(UPCASTERS) == steps
    retired = {f"{kind}.v{version}.json" for kind, version in UPCASTERS}
    assert retired <= {path.name for path in FILES}
