"""YAML means what it means to Kubernetes, and no text hurts the process that reads it."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.goyaml import Document, YamlError, load_all, split_documents
from ledger.goyaml.events import MAX_DEPTH, MAX_TAG_DIRECTIVES, MAX_WARNINGS, read_events
from ledger.goyaml.lines import UNFIT, read_lines
from ledger.goyaml.scalars import resolve


def load(text: str) -> Any:
    """The value of the only document, which has no warnings."""
    (document,) = load_all(textwrap.dedent(text).encode())
    assert document.warnings == ()
    return document.value


def load_with_warnings(text: str) -> tuple[Any, tuple[str, ...]]:
    (document,) = load_all(textwrap.dedent(text).encode())
    return document.value, document.warnings


def load_without_asking(text: str) -> Any:
    """The value of the first document."""
    return load_all(text.encode())[0].value


def refused(text: str | bytes) -> str:
    """The reason why a text is refused."""
    with pytest.raises(YamlError) as caught:
        load_all(text.encode() if isinstance(text, str) else text)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


def same(one: Any, other: Any) -> bool:
    """Equal, of equal types (True is not 1, 1.0 is not 1), with keys in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# ---- scalars -----------------------------------------------------------------------------------

PLAIN: list[tuple[str, Any]] = [
    *[(text, True) for text in ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE")],
    *[(text, True) for text in ("on", "On", "ON")],
    *[(text, False) for text in ("n", "N", "no", "No", "NO", "false", "False", "FALSE")],
    *[(text, False) for text in ("off", "Off", "OFF")],
    *[(text, text) for text in ("yEs", "tRUE", "oN", "nO", "fALSE", "oFF", "nuLL")],
    *[(text, None) for text in ("~", "null", "Null", "NULL", "")],
    # integers, in Go's notation
    *[("0", 0), ("-0", 0), ("+12", 12), ("-12", -12), ("1_000", 1000), ("1__0_", 10)],
    *[("0777", 511), ("0o777", 511), ("0O17", 15), ("-0o17", -15), ("00", 0), ("0_7", 7)],
    *[("0x1F", 31), ("0Xff", 255), ("-0x10", -16), ("+0x10", 16), ("0b101", 5), ("-0b11", -3)],
    *[("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63))],
    *[("18446744073709551615", 2**64 - 1), ("0xFFFFFFFFFFFFFFFF", 2**64 - 1)],
    # beyond 64 bits
    *[("18446744073709551616", 2.0**64), ("-9223372036854775809", -(2.0**63))],
    *[("+9223372036854775808", 2.0**63), ("0x10000000000000000", "0x10000000000000000")],
    # floats
    *[("1e3", 1000.0), ("1.5", 1.5), ("-1.5e-3", -0.0015), (".5", 0.5), ("1.", 1.0)],
    *[("08", 8.0), ("0999", 999.0), ("1_0.5", 10.5), (".5_0", 0.5), ("6.8523015e+5", 685230.15)],
    *[("1e999", "1e999"), ("._5", "._5"), ("0x1p-2", "0x1p-2"), ("1e", "1e"), ("1.2.3", "1.2.3")],
    # what others take for something else
    *[("12:30:45", "12:30:45"), ("22:22", "22:22"), ("190:20:30.15", "190:20:30.15")],
    *[("2024-01-02", "2024-01-02"), ("2001-12-14t21:59:43.1Z", "2001-12-14t21:59:43.1Z")],
    *[
        ("=", "="),
        ("<<", "<<"),
        ("+", "+"),
        (".", "."),
        ("_1", "_1"),
        ("0b102", "0b102"),
        ("0o", "0o"),
    ],
    *[("١", "١"), ("1 2", "1 2"), ("500m", "500m"), ("1.4.2", "1.4.2"), ("v1", "v1")],
]


@pytest.mark.parametrize(("text", "value"), PLAIN)
def test_a_plain_scalar_means_what_go_yaml_v2_says(text: str, value: Any) -> None:
    for document in (f"a: {text}\n", f"- {text}\n", f"{{a: {text} }}\n", f"a:\n  {text} # why\n"):
        found = load_without_asking(document)
        assert same(found[0] if isinstance(found, list) else found["a"], value)
    assert same(resolve(text), value)
    assert load(f"a: '{text}'") == load(f'a: "{text}"') == {"a": text}


@pytest.mark.parametrize("text", [".inf", ".Inf", "+.INF", "-.inf", ".nan", ".NaN", ".NAN"])
def test_what_is_no_number_in_json_stays_text_with_a_warning(text: str) -> None:
    value, warnings = load_with_warnings(f"a: {text}\n")
    assert value == {"a": text}
    assert warnings == (f"{text} on line 1 is no number in JSON: kept as text",)
    assert load(f"a: '{text}'") == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!!str 5", "5"),
        ('!!int "5"', 5),
        ("!!float 5", 5.0),
        ('!!bool "yes"', True),
        ("!!null ''", None),
        ("!!binary aGVsbG8=", "hello"),
        ('!!binary "aGVs\\nbG8="', "hello"),
        ("!!timestamp 2001-01-01", "2001-01-01"),
        ("!custom 5", "5"),
        ("!custom true", "true"),
        ("! '5'", "5"),
        ("! 5", "5"),
        ("!custom {b: 1}", {"b": 1}),
        ("!!set {b, c}", {"b": None, "c": None}),
        ("!<tag:example.com,2020:x> [1]", [1]),
    ],
)
def test_tags(text: str, value: Any) -> None:
    assert same(load(f"a: {text}"), {"a": value})


@pytest.mark.parametrize(
    "text",
    ["!!int x", "!!int 1.5", "!!int true", "!!bool 1", "!!null x", "!!float x", "!!binary =="],
)
def test_a_tag_that_does_not_fit_is_refused(text: str) -> None:
    assert refused(f"a: 1\nb: {text}\n").startswith("line 2: ")


def test_binary_that_is_no_text_is_replaced_with_a_warning() -> None:
    assert load_with_warnings("a: !!binary /w==") == (
        {"a": "\ufffd"},
        ("!!binary on line 1 is no UTF-8: bytes replaced",),
    )


# ---- mappings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("on", "true"),
        ("n", "false"),
        ("80", "80"),
        ("0777", "511"),
        ("-0", "0"),
        ("1.5", "1.5"),
        ("1e3", "1000"),
        ("1e6", "1e+06"),
        ("0.00001", "1e-05"),
        ("16777217.0", "1.6777216e+07"),
        ("1e300", ".inf"),
        (".NaN", ".nan"),
        ("-.INF", "-.inf"),
        ("2024-01-02", "2024-01-02"),
        ("'on'", "on"),
        ('"80"', "80"),
        ("!!str on", "on"),
        ("&a x", "x"),
        ("a b", "a b"),
        ("a#b", "a#b"),
    ],
)
def test_a_key_is_text_as_sigs_k8s_io_yaml_makes_it(written: str, key: str) -> None:
    assert load(f"{written}: 1\n") == {key: 1}
    assert load(f"- {written}: 1\n") == [{key: 1}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("null: 1", "a mapping key may not be null"),
        ("~: 1", "a mapping key may not be null"),
        (": 1", "while parsing a block mapping, did not find expected key"),
        ("18446744073709551615: 1", "the mapping key 18446744073709551615 does not fit 64 bits"),
        ("? [a]\n: 1", "a mapping key must be a scalar"),
        ("{a: 1}: 1", "a mapping key must be a scalar"),
        ("? *a\n: 1", 'unknown anchor "a"'),
    ],
)
def test_a_key_that_json_cannot_have_is_refused(text: str, reason: str) -> None:
    assert refused(f"{text}\n") == f"line 1: {reason}"


def test_a_duplicate_key_is_warned_of_and_the_last_value_counts() -> None:
    value, warnings = load_with_warnings("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert value == {"a": 3, "b": {"c": 2}}
    assert warnings == (
        'duplicate key "c" on line 4: the last value counts',
        'duplicate key "a" on line 5: the last value counts',
    )
    assert load_with_warnings("on: 1\n'true': 2\n")[0] == {"true": 2}


def test_warnings_are_bounded() -> None:
    _, warnings = load_with_warnings("a: 1\n" * 1000)
    assert len(warnings) == MAX_WARNINGS + 1
    assert warnings[-1] == "more warnings left out"


def test_merge_keys() -> None:
    value = load(
        """
        centre: &centre {x: 1, z: 2}
        left: &left {x: 0, z: 2}
        big: &big {r: 10}
        one: {<<: *centre , r: 10}
        many: {<<: [*centre , *left , *big ], label: l}
        inline: {<<: {x: 1, z: 2}, r: 10}
        tagged: {!!merge "<<": *big }
        override:
          <<: [*big , *left ]
          x: 1
        nested: {<<: {<<: {a: 1, b: 1}, b: 2}, c: 3}
        quoted: {"<<": 1}
        """
    )
    assert value["one"] == {"x": 1, "z": 2, "r": 10}
    assert value["many"] == {"x": 1, "z": 2, "r": 10, "label": "l"}
    assert value["inline"] == {"x": 1, "z": 2, "r": 10}
    assert value["tagged"] == {"r": 10}
    assert value["override"] == {"x": 1, "z": 2, "r": 10}
    assert value["nested"] == {"a": 1, "b": 2, "c": 3}
    assert value["quoted"] == {"<<": 1}


def test_a_key_before_a_merge_counts_and_is_warned_of() -> None:
    value, warnings = load_with_warnings("x: 5\nz: 3\n<<: {x: 2, z: 3, w: 1}\n")
    assert value == {"x": 5, "z": 3, "w": 1}
    assert warnings == (
        'key "x" before `<<` on line 3: readers differ on which value counts, here its own',
    )


@pytest.mark.parametrize("text", ["<<: 1", "<<: null", "<<: [1]", "a: &a 1\n<<: *a", "<<: [[{}]]"])
def test_a_merge_of_no_mapping_is_refused(text: str) -> None:
    assert "`<<` takes a mapping or a list of mappings" in refused(f"{text}\n")


# ---- aliases -----------------------------------------------------------------------------------


def test_an_alias_is_a_copy() -> None:
    value = load("a: &a [{b: 1}]\nc: *a\nd: &a 2\ne: *a\n")
    assert value == {"a": [{"b": 1}], "c": [{"b": 1}], "d": 2, "e": 2}
    assert value["a"] is not value["c"]
    assert value["a"][0] is not value["c"][0]


def test_anchors_end_with_their_document() -> None:
    assert refused("a: &a 1\n---\nb: *a\n") == 'line 3: unknown anchor "a"'


@pytest.mark.parametrize("text", ["&a [*a ]", "a: &a {b: *a }", "a: &a\n  b:\n    - c: [*a ]"])
def test_an_anchor_that_contains_itself_is_refused(text: str) -> None:
    assert "contains itself" in refused(f"{text}\n")


def bomb(levels: int) -> str:
    text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for level in range(1, levels):
        text += f"a{level}: &a{level} [{' , '.join([f'*a{level - 1}'] * 9)} ]\n"
    return text


def test_alias_bombs_are_refused_in_bounded_time() -> None:
    assert load(bomb(5))
    started = time.perf_counter()
    assert "aliases repeat more than 400000 nodes" in refused(bomb(12))
    wide = f"a: &a {{{', '.join(f'k{i}: 1' for i in range(1000))}}}\n"
    wide += "".join(f"b{i}: {{<<: *a }}\n" for i in range(1000))
    assert "aliases repeat" in refused(wide)
    assert time.perf_counter() - started < 5


def test_aliases_do_not_nest_deeper_than_anything_else() -> None:
    half = MAX_DEPTH // 2 + 1
    deep = "a: &a " + "[" * half + "]" * half + "\nb: " + "[" * half + "*a " + "]" * half + "\n"
    assert "nested deeper" in refused(deep)


# ---- nesting and size --------------------------------------------------------------------------


def test_nesting_up_to_the_limit() -> None:
    flow = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert load(flow)
    assert refused(f"[{flow}]") == f"line 1: nested deeper than {MAX_DEPTH} levels"
    block = "".join(f"{' ' * level}a:\n" for level in range(MAX_DEPTH))
    assert load(block)
    assert "nested deeper" in refused(block + " " * MAX_DEPTH + "a: 1\n")
    items = "".join(f"{' ' * level}-\n" for level in range(MAX_DEPTH))
    assert load(items)
    assert "nested deeper" in refused(items + " " * MAX_DEPTH + "-\n")


def test_deep_nesting_does_not_crash_the_process() -> None:
    """PyYAML's own loaders end in a segmentation fault here, so another process must try it."""
    program = """
        from ledger.goyaml import YamlError, load_all
        for sign in (b"[", b"{", b"- ", b"? ", b"{a: ", b"[{", b"- [", b"!!seq [", b"&a ["):
            for text in (sign * 100_000, b"a:\\n  " + sign * 100_000):
                try:
                    load_all(text)
                except YamlError as error:
                    continue
                raise SystemExit(f"read {sign!r}")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def repeat(text: str, size: int = 200_000) -> str:
    return text * (size // len(text))


@pytest.mark.parametrize(
    "text",
    [
        *map(
            repeat,
            ["[", "- ", "? ", "[],", "!a ", "&a ", "'", '"', "\\", " ", "\n", ": ", " #", "1"],
        ),
        *map(
            repeat,
            [
                "- |\n  a\n",
                "- >\n  a\n",
                '- "x\n',
                "- 'a\n  b'\n",
                "#\n",
                "---\n",
                "...\n",
                "a\r\n",
            ],
        ),
        *map(repeat, ["a: 1\n", "? a\n: b\n", "- a\u2028", "- [a, b]\n", "%\n", "\t", "- a:\n"]),
        "[" + repeat("a,") + "]",
        "{" + repeat("a,") + "}",
        'a: "' + repeat("\\\\"),
        "a: '" + repeat("''"),
        "a: b" + repeat(" ") + "x",
        "-" + repeat(" ") + "x",
        "a: b\n" + repeat("  c\n"),
        "a: b\n" + repeat("  \n") + "  c",
        "a: |\n" + repeat(" \n") + "  c\n",
        "a: >\n" + repeat("  c\n"),
        'a: "' + repeat("x\n"),
        "a: 1" + repeat("_"),
        "a: 0x" + repeat("f"),
        "a: ." + repeat("1"),
        "a: &a []\nb: [" + repeat("*a , ") + "]",
        "a: &a {x: 1}\nb: {<<: [" + repeat("*a , ") + "]}",
        "".join(f"- [a{i}]\n" for i in range(20_000)),
        "".join(f'- "\\n{i}"\n' for i in range(20_000)),
        "".join(f"k{i}: {i}\n" for i in range(20_000)),
        "".join(f"%TAG !a{i}! tag:{i},\n" for i in range(8_000)),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    started = time.perf_counter()
    with suppress(YamlError):
        load_all(text.encode())
    assert time.perf_counter() - started < 5


def test_too_many_tag_directives_are_refused() -> None:
    text = "".join(f"%TAG !a{i}! tag:{i},\n" for i in range(MAX_TAG_DIRECTIVES + 1)) + "---\na: 1\n"
    assert "%TAG" in refused(text)


# ---- bytes -------------------------------------------------------------------------------------


def test_a_byte_order_mark_is_dropped() -> None:
    assert load_all(b"\xef\xbb\xbfa: 1\n") == [Document({"a": 1})]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a: \xff\n", "not UTF-8 at byte 3"),
        (b"a\x00: 1", "NUL at byte 1"),
        ("a: 1".encode("utf-16"), "UTF-16, not UTF-8"),
        (b"\xfe\xff\x00a", "UTF-16, not UTF-8"),
        ("a: 1".encode("utf-16-le"), "NUL at byte 1"),
        (b"a: \x01\n", "control characters are not allowed at byte 3"),
        (b"a:\n\tb: 1\n", "line 2: while scanning for the next token, found character that cannot"),
        (b"a: 'x\n", "line 2: while scanning a quoted scalar, found unexpected end of stream"),
        (b"a: *b\n", 'line 1: unknown anchor "b"'),
        (b"a: {{ .Values.x }}\n", "line 1: a mapping key must be a scalar"),
        (b"{{- if .Values.x }}\na: 1\n", "line 1: "),
        (b"a: 1\n  b: 2\n", "line 2: mapping values are not allowed in this context"),
        (b'a: "\\ud800"\n', "line 1: while parsing a quoted scalar, found invalid Unicode"),
    ],
)
def test_the_reason_says_what_and_where(text: bytes, reason: str) -> None:
    assert refused(text).startswith(reason)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"", []),
        (b"# only this\n", []),
        (b"---\n", [None]),
        (b"---\n# and this\n", [None]),
        (b"a: 1\n---\n- b\n...\n---\nc\n", [{"a": 1}, ["b"], "c"]),
        (b"~\n---\n- x\n", [None, ["x"]]),
        (b"%YAML 1.1\n---\na: 1\n", [{"a": 1}]),
        (b"%TAG ! tag:yaml.org,2002:\n---\na: !int '5'\n", [{"a": 5}]),
    ],
)
def test_documents_of_a_stream(text: bytes, values: list[Any]) -> None:
    assert [document.value for document in load_all(text)] == values


@pytest.mark.parametrize(
    ("blob", "pieces"),
    [
        (b"", [b""]),
        (b"a: 1", [b"a: 1"]),
        (b"---\na: 1\n---\nb: 1\n", [b"---\na: 1\n", b"---\nb: 1\n"]),
        (b"a: 1\n---", [b"a: 1\n", b"---"]),
        (b"a: 1\r\n---\r\nb: 1\r\n", [b"a: 1\r\n", b"---\r\nb: 1\r\n"]),
        (b"a: 1\n--- # b\nb: 1\n--- {c: 1}\n", [b"a: 1\n", b"--- # b\nb: 1\n", b"--- {c: 1}\n"]),
        (b"a: |\n  x\n----\n---x\n---\nb", [b"a: |\n  x\n----\n---x\n", b"---\nb"]),
        (b"%YAML 1.1\n---\na: 1\n---\nb: 1\n", [b"%YAML 1.1\n---\na: 1\n---\nb: 1\n"]),
        (b"a: 1\n...\n%YAML 1.1\n---\nb: 1\n", [b"a: 1\n...\n%YAML 1.1\n---\nb: 1\n"]),
        (b"\xef\xbb\xbf%YAML 1.1\n---\na: 1\n", [b"\xef\xbb\xbf%YAML 1.1\n---\na: 1\n"]),
    ],
)
def test_a_stream_is_split_before_each_document_mark(blob: bytes, pieces: list[bytes]) -> None:
    assert split_documents(blob) == pieces


# ---- the two readers agree ---------------------------------------------------------------------

EVERYDAY = """\
# A comment
---
apiVersion: v1   # why
kind: "ConfigMap"
metadata:
  name: 'it''s'
  labels: {}
  annotations: {a: b, c: [1, 2]}
data:
  script: |
    #!/bin/sh

      echo "one: two" # three
    exit 0


  strip: |-
    a

  keep: |+
    a

  folded: >
    one
    two

      three
  empty: |
  long: Text over
    several - lines,
      "quoted" or not, but 'so'


    and a gap
  double: "one
    two\\
    \\ three # four

    five" # six
  single: 'one
    it''s

    two'
list:
- a
- b: 1
  c: 2
-
  d: 3
-   e:
      - 1
- - nested
-
- |
  f
on: off
80: 0o17
last:
  text below
"""


def test_the_everyday_shape_is_read_by_lines() -> None:
    text = EVERYDAY.replace("- - nested\n", "")
    value = read_lines(text)
    assert value is not UNFIT
    assert [Document(value)] == read_events(text.encode())
    for ours, theirs in (("0o17", "15"), ("\non:", "\n'true':"), ("80:", "'80':")):
        text = text.replace(ours, theirs)
    assert same(value, yaml.load(text, yaml.CSafeLoader))
    assert read_lines(EVERYDAY) is UNFIT
    assert same(load_all(text.replace("\n", "\r\n").encode())[0].value, value)


def test_what_is_remembered_of_a_line_is_not_shared() -> None:
    text = "a: [1, {b: 2}]\nc: {}\nd: []\n"
    first, second = load(text), load(text)
    first["a"][1]["b"] = first["c"]["x"] = 3
    first["d"].append(3)
    assert second == load(text) == {"a": [1, {"b": 2}], "c": {}, "d": []}


KEYS = ["a", "b", "c", "on", "80", '"q r"', "'s'", "a.b/c", "~", "a b", "a:b", "$x", "1e3"]
VALUES = [
    *[
        "",
        "1",
        "v w",
        '"dq"',
        "'sq'",
        "|",
        "|-",
        ">",
        ">-",
        "|+",
        "[]",
        "{}",
        "[a, b]",
        "{a: 1}",
        "~",
    ],
    *[
        '"esc\\n"',
        '"open',
        "'open",
        '"open\\',
        '"open\\ ',
        "- x",
        "-",
        "-1",
        "# c",
        "v # c",
        '"q" # c',
    ],
    *[
        "[a",
        "x: y",
        "x:",
        "--- x",
        "<<",
        "&a x",
        "*a",
        "!t x",
        '"a"b',
        '"a": b',
        "? x",
        ": x",
        "|2",
    ],
    *[
        "| # c",
        "||",
        "@x",
        "a#b",
        "http://x",
        "{{ x }}",
        "'a''b'",
        "'''",
        "[a]: b",
        "{a: b}: c",
        "é",
    ],
    *[".inf", "\u00a0x", "text'", 'text"', "end\\", "0777", "12:30"],
]
TEXTS = [
    *[
        "text",
        '"closing"',
        'closing"',
        "closing'",
        "# comment",
        "a: b",
        "x:",
        "---",
        "...",
        "--- a",
    ],
    *["%x", "", "   ", "\t", "\tx", "x\ty", "x #c", "x # c", "}", "'' '", '"\\', "~", "5", "\r"],
]
indents = st.sampled_from(["", "", "", " ", "  ", "  ", "  ", "   ", "    ", "      "])
entries = st.builds(
    "{}{}{}:{}{}{}".format,
    indents,
    st.sampled_from(["", "", "", "- ", "- ", "-   ", "- - "]),
    st.sampled_from(KEYS),
    st.sampled_from([" ", " ", " ", "  ", ""]),
    st.sampled_from(VALUES),
    st.sampled_from(["", "", " "]),
)
items = st.builds(
    "{}{}{}".format, indents, st.sampled_from(["- ", "-", "-  "]), st.sampled_from(VALUES)
)
texts = st.builds("{}{}".format, indents, st.sampled_from(TEXTS))
documents = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "", "", "---\n", "# c\n---\n", "--- \n"]),
    st.lists(entries | items | texts | st.sampled_from(EVERYDAY.split("\n")), max_size=9).map(
        "\n".join
    ),
    st.sampled_from(["\n", "", "\n\n", "\r\n"]),
)


@given(documents)
@example("~\n---\n- x\n")
@example("a:\n    - b\n   - c\n")
@example("a: 1\n# c\n  b\n")
@example('a: "b\\ \nc"\n')
def test_both_readers_give_the_same_answer(text: str) -> None:
    value = read_lines(text)
    if value is not UNFIT:
        (document,) = read_events(text.encode())
        assert same(document.value, value)
        assert document.warnings == ()


# ---- properties --------------------------------------------------------------------------------

fragments = st.sampled_from(
    [text.encode() for text in KEYS + VALUES + TEXTS]
    + [b": ", b"\n", b"- ", b"\xff", b"\0", b"<<: "]
)


@given(st.binary() | st.lists(fragments).map(b"".join))
def test_any_bytes_give_documents_or_a_reason(blob: bytes) -> None:
    assert b"".join(split_documents(blob)) == blob
    try:
        documents = load_all(blob)
    except YamlError as error:
        reason = error.reason
    else:
        assert all(isinstance(document, Document) for document in documents)
        return
    assert reason
    assert "\n" not in reason


def is_text(text: str) -> bool:
    return isinstance(resolve(text), str)


strings = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"])).filter(
    is_text
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings,
    lambda inner: st.lists(inner) | st.dictionaries(strings.filter(lambda key: key != "<<"), inner),
    max_leaves=20,
)


@given(values, st.sampled_from([None, '"', "'"]), st.sampled_from([None, True, False]))
def test_what_pyyaml_writes_is_read_back(value: Any, style: str | None, flow: bool | None) -> None:
    text = yaml.safe_dump(value, default_style=style, default_flow_style=flow, allow_unicode=True)
    (document,) = load_all(text.encode())
    assert document.value == value
    assert not isinstance(document.value, float) or math.isfinite(document.value)
