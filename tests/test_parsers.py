"""What every parser promises, whoever wrote it, and what the parsers of this house read."""

from __future__ import annotations

import importlib
import json
import pkgutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import parsers
from ledger.parsers import Parser, choose, parse
from ledger.resources import FIELDS, LINES, Resource, lines_of, unparsed

SAMPLES = Path(__file__).parent / "parsers"


def found_by_scan() -> Iterator[Parser]:
    for module in pkgutil.iter_modules(parsers.__path__):
        parser = getattr(importlib.import_module(f"ledger.parsers.{module.name}"), "PARSER", None)
        if parser is not None:
            assert isinstance(parser, Parser)
            assert parser.name == module.name
            yield parser


PARSERS = {parser.name: parser for parser in found_by_scan()}
FILES = [
    (parser, path)
    for parser in PARSERS.values()
    for path in sorted(SAMPLES.glob(f"{parser.name}/*"))
]
every_parser = pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)


def resources(name: str, blob: bytes | str, path: str = "some/path") -> list[Resource]:
    """The resources of a file as one parser reads it."""
    return list(parse(PARSERS[name], path, blob.encode() if isinstance(blob, str) else blob))


def body(name: str, blob: bytes | str) -> Any:
    """The body of the only resource, which has no warnings."""
    (resource,) = resources(name, blob)
    assert (resource.unparsed, resource.warnings) == ("", ())
    return resource.body


# ---- the contract ------------------------------------------------------------------------------


def faults(parser: Parser, blob: bytes) -> list[str]:
    """What does not hold of a file although it must for any bytes."""
    pieces = parser.split(blob)
    found = [] if b"".join(pieces) == blob else ["the pieces are not the file"]
    for piece in pieces:
        resources = parser.parse(piece)
        if resources != parser.parse(piece):
            found.append("a piece is not always read alike")
        for resource in resources:
            found += _faults_of(resource)
    return found


def _faults_of(resource: Resource) -> list[str]:
    # What is stored and compared is JSON in UTF-8.
    texts = [resource.api_group, resource.kind, resource.namespace, resource.name]
    whole = [*texts, resource.body, resource.unparsed, resource.warnings]
    json.dumps(whole, allow_nan=False, ensure_ascii=False).encode()
    body = resource.body
    is_lines = isinstance(body, list) and all(isinstance(line, str) for line in body)
    wrong = {
        "the syntax is none that there is": resource.syntax not in (FIELDS, LINES),
        "there is no kind": not resource.kind,
        "it has fields though it was not parsed": resource.unparsed and resource.syntax != LINES,
        "the body is no lines": resource.syntax == LINES and not is_lines,
    }
    return [what for what, is_so in wrong.items() if is_so]


LINE_ENDS = [b"\n", b"\n", b"\r\n", b"\n---\n", b"\n\n", b"\n    ", b"\n  ", b"\n- ", b"\\\n"]
TOKENS = [
    *[
        b"a",
        b"key",
        b": ",
        b" = ",
        b"=",
        b"[section]",
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"1",
    ],
    *[
        b"# c",
        b"apiVersion: v1",
        b"kind: List",
        b"items:",
        b"metadata: {name: x}",
        b"\\",
        b"\\u00e9",
    ],
    *[
        b"\\ud800",
        b"NaN",
        b"1e999",
        b"99999999999999999999999",
        b"\xff",
        b"\0",
        b"\xef\xbb\xbf",
        b"|",
    ],
    *[
        b"&a ",
        b"*a ",
        b"<<: ",
        b"!!binary /w==",
        b".inf",
        b"2024-01-02",
        b"%TAG",
        b"{{ x }}",
        b"\t",
    ],
    *[b'resource "a" "b" {', b"<<EOT", b"${x}", b"export A=1", b"[[t]]", b"a.b.c", b'"""', b"null"],
]
anything = st.binary() | st.lists(st.sampled_from(TOKENS + LINE_ENDS), max_size=30).map(b"".join)


@every_parser
@given(anything)
def test_any_bytes_give_resources(parser: Parser, blob: bytes) -> None:
    assert faults(parser, blob) == []


@every_parser
@given(st.data())
def test_a_damaged_sample_gives_resources(parser: Parser, data: st.DataObject) -> None:
    blob = data.draw(
        st.sampled_from([path.read_bytes() for owner, path in FILES if owner is parser])
    )
    begin = data.draw(st.integers(0, len(blob)))
    end = begin + data.draw(st.integers(0, 20))
    damaged = blob[:begin] + data.draw(anything) + blob[end:]
    assert faults(parser, damaged) == []


@pytest.mark.parametrize(
    ("parser", "path"), FILES, ids=[f"{path.parent.name}/{path.name}" for _, path in FILES]
)
def test_samples_are_read(parser: Parser, path: Path) -> None:
    assert choose(PARSERS.values(), f"some/where/{path.name}") in (parser, PARSERS["text"])
    blob = path.read_bytes()
    assert faults(parser, blob) == []
    found = [resource for piece in parser.split(blob) for resource in parser.parse(piece)]
    assert any(not resource.unparsed for resource in found)
    for resource in parse(parser, "some/path", blob):
        assert resource.name


@every_parser
def test_every_parser_has_samples(parser: Parser) -> None:
    assert any(owner is parser for owner, _ in FILES)


HOSTILE = [
    *[b"[", b"{", b"(", b'{"a":', b"a.", b"a: ", b"- ", b'"', b"\\", b" ", b"\n", b"=\n", b"a\n "],
    *[b"[[a]]\n", b"a=1\n", b"# \n", b"x", b"\xff", b"${"],
]


@every_parser
@pytest.mark.parametrize("token", HOSTILE, ids=repr)
def test_hostile_files_take_bounded_time(parser: Parser, token: bytes) -> None:
    started = time.perf_counter()
    for prefix in (b"", b"a = ", b"a: "):
        assert faults(parser, prefix + token * (60_000 // len(token))) == []
    assert time.perf_counter() - started < 10


@every_parser
def test_patterns_are_lower_case_and_their_own(parser: Parser) -> None:
    assert parser.patterns
    assert all(pattern == pattern.casefold() for pattern in parser.patterns)
    assert parser.version >= 1
    others = [other for other in PARSERS.values() if other is not parser]
    assert not set(parser.patterns).intersection(*[other.patterns for other in others])


def test_every_path_has_one_parser() -> None:
    patterns = [pattern for parser in PARSERS.values() for pattern in parser.patterns]
    assert patterns.count("*") == 1
    assert len(patterns) == len(set(patterns))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("apps/shop/deployment.yaml", "kubernetes"),
        ("apps/shop/SERVICE.YML", "kubernetes"),
        ("apps/kustomization.yaml", "kustomize"),
        ("apps/kustomization.yml", "kustomize"),
        ("apps/Kustomization", "kustomize"),
        ("apps/my-kustomization.yaml", "kubernetes"),
        ("charts/shop/Chart.yaml", "helm"),
        ("charts/shop/Chart.lock", "helm"),
        ("charts/shop/values.yaml", "helm"),
        ("charts/shop/values-prod.yaml", "helm"),
        ("charts/shop/values.prod.yml", "helm"),
        ("charts/shop/prod-values.yaml", "helm"),
        ("charts/shop/prod.values.yaml", "helm"),
        ("charts/shop/templates/deployment.yaml", "kubernetes"),
        ("package.json", "json"),
        ("pyproject.toml", "toml"),
        ("setup.cfg", "ini"),
        ("etc/app.ini", "ini"),
        (".editorconfig", "ini"),
        ("src/app.properties", "properties"),
        ("prod.env", "properties"),
        (".env", "properties"),
        (".env.local", "properties"),
        ("README.md", "text"),
        ("Dockerfile", "text"),
        ("values", "text"),
        ("main.tf", "terraform"),
        ("prod.tfvars", "terraform"),
    ],
)
def test_a_path_finds_its_parser(path: str, name: str) -> None:
    assert choose(PARSERS.values(), path).name == name


# ---- lines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blob", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\n\r\nb", ["a\r", "\r", "b"]),
        (b"a\x0cb\x1dc\xc2\x85d\xe2\x80\xa8e\n", ["a\x0cb\x1dc\x85d\u2028e"]),
        (b"x" * 10_000, ["x" * 10_000]),
    ],
)
def test_lines(blob: bytes, lines: list[str]) -> None:
    assert lines_of(blob) == (lines, ())
    assert resources("text", blob) == [Resource("", "Text", "", "some/path", list(lines), LINES)]


def test_lines_that_are_not_utf_8_are_read_as_latin_1() -> None:
    assert lines_of(b"caf\xe9\n") == (["café"], ("not UTF-8: read as Latin-1",))
    (resource,) = resources("text", b"caf\xe9\n")
    assert resource.warnings == ("not UTF-8: read as Latin-1",)


def test_what_cannot_be_read_keeps_its_lines_and_the_reason() -> None:
    assert unparsed("INI", b"a\nb", "why") == Resource("", "INI", "", "", ["a", "b"], LINES, "why")


# ---- YAML --------------------------------------------------------------------------------------


def test_documents_of_a_manifest() -> None:
    found = resources("kubernetes", (SAMPLES / "kubernetes" / "shop.yaml").read_bytes())
    assert [(one.api_group, one.kind, one.namespace, one.name) for one in found] == [
        ("apps", "Deployment", "shop", "shop"),
        ("", "Service", "shop", "shop"),
        ("networking.k8s.io", "NetworkPolicy", "shop", "allow-api"),
    ]
    assert isinstance(found[0].body, dict)
    spec: Any = found[0].body["spec"]
    assert spec["template"]["spec"]["volumes"][0]["configMap"]["defaultMode"] == 0o644
    assert spec["template"]["spec"]["containers"][0]["image"].endswith(":1.4.2")


def test_lists_are_opened_and_crlf_is_no_matter() -> None:
    found = resources("kubernetes", (SAMPLES / "kubernetes" / "list.yml").read_bytes())
    assert [(one.kind, one.name) for one in found] == [
        ("ConfigMap", "one"),
        ("ClusterRole", "reader"),
    ]
    found = resources("kubernetes", (SAMPLES / "kubernetes" / "crlf.yaml").read_bytes())
    assert [(one.kind, one.name) for one in found] == [
        ("Namespace", "shop"),
        ("ServiceAccount", "deployer"),
    ]


def test_other_yaml_is_named_by_its_path() -> None:
    (found,) = resources("kubernetes", "on: push\n", ".github/workflows/test.yml")
    assert found == Resource("", "YAML", "", ".github/workflows/test.yml", {"true": "push"})


def test_one_document_that_cannot_be_read_leaves_the_others() -> None:
    blob = "apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\na: {{ .x }}\n---\n# c\n---\nb: 1\nb: 2\n"
    first, second, third = resources("kubernetes", blob)
    assert (first.kind, first.name) == ("A", "a")
    assert second == Resource(
        *("", "YAML", "", "some/path"),
        ["---", "a: {{ .x }}"],
        syntax=LINES,
        unparsed="line 2: a mapping key must be a scalar",
    )
    assert third.body == {"b": 2}
    assert third.warnings == ('duplicate key "b" on line 3: the last value counts',)


@pytest.mark.parametrize("blob", ["", "# nothing\n", "---\n", "---\n---\n# c\n", "---\nnull\n"])
@pytest.mark.parametrize("name", ["kubernetes", "kustomize", "helm"])
def test_blank_documents_declare_nothing(name: str, blob: str) -> None:
    assert resources(name, blob) == []


GROUP = "kustomize.config.k8s.io"


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("resources: [a.yaml]", (GROUP, "Kustomization", "", "some/path")),
        ("kind: Kustomization\nmetadata: {name: x}", (GROUP, "Kustomization", "", "some/path")),
        ("kind: Component", (GROUP, "Component", "", "some/path")),
        (f"apiVersion: {GROUP}/v1\nkind: Component", (GROUP, "Component", "", "some/path")),
        ("- a", (GROUP, "Kustomization", "", "some/path")),
        ("a: {{ x }}", (GROUP, "Kustomization", "", "some/path")),
        (
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}",
            ("kustomize.toolkit.fluxcd.io", "Kustomization", "", "apps"),
        ),
    ],
)
def test_kustomizations(text: str, identity: tuple[str, ...]) -> None:
    (found,) = resources("kustomize", text)
    assert (found.api_group, found.kind, found.namespace, found.name) == identity


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("replicas: 1", "HelmValues", "some/path"),
        ("name: x\nversion: 1", "HelmValues", "some/path"),
        ("apiVersion: v2\nname: x\nversion: 1.0.0", "HelmChart", "some/path"),
        ("dependencies: []\ndigest: x\ngenerated: y", "HelmLock", "some/path"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}", "ConfigMap", "x"),
        ("apiVersion: v1\nkind: ConfigMap", "HelmValues", "some/path"),
        ("a: {{ x }}", "HelmValues", "some/path"),
        ("- a", "HelmValues", "some/path"),
    ],
)
def test_helm(text: str, kind: str, name: str) -> None:
    (found,) = resources("helm", text)
    assert (found.api_group, found.kind, found.namespace, found.name) == ("", kind, "", name)


# ---- JSON and TOML -----------------------------------------------------------------------------


def test_json() -> None:
    (found,) = resources("json", (SAMPLES / "json" / "service.json").read_bytes())
    assert (found.kind, found.namespace, found.name) == ("Service", "shop", "shop")
    assert body("json", "\ufeff[1, 1.5, true, null, 18446744073709551615]") == [
        *(1, 1.5, True, None, 2**64 - 1)
    ]
    assert resources("json", " \n") == []


@pytest.mark.parametrize(
    ("text", "value", "warning"),
    [
        ('{"a": 1, "a": 2}', {"a": 2}, 'duplicate key "a": the last value counts'),
        ("[18446744073709551616]", [2.0**64], "18446744073709551616 does not fit 64 bits: rounded"),
        ("[1e999]", ["1e999"], "1e999 is out of range: kept as text"),
    ],
)
def test_json_with_a_warning(text: str, value: Any, warning: str) -> None:
    (found,) = resources("json", text)
    assert (found.body, found.warnings) == (value, (warning,))


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"[NaN]", "NaN is no number in JSON"),
        (b"[-Infinity]", "-Infinity is no number in JSON"),
        (b'["\\ud800"]', "half of a surrogate pair"),
        (b"[\xff]", "not UTF-8 at byte 1"),
        (b"[" * 201 + b"]" * 201, "nested deeper than 200 levels"),
        (b"[" * 100_000, "nested deeper than 200 levels"),
    ],
)
def test_json_that_is_refused(blob: bytes, reason: str) -> None:
    (found,) = resources("json", blob)
    assert (found.kind, found.unparsed, found.body) == ("JSON", reason, [*lines_of(blob)[0]])


def test_json_and_toml_nest_as_deep_as_yaml() -> None:
    assert body("json", "[" * 200 + "]" * 200)
    assert body("toml", "a = " + "[" * 199 + "1" + "]" * 199)
    (found,) = resources("toml", "a = " + "[" * 200 + "]" * 200)
    assert found.unparsed == "nested deeper than 200 levels"


def test_json_with_very_many_digits() -> None:
    (found,) = resources("json", "[" + "9" * 5000 + ", " + "1" * 300 + "]")
    assert found.body == ["9" * 5000, float("1" * 300)]
    assert found.warnings[1] == "9" * 40 + " is out of range: kept as text"


def test_toml() -> None:
    (found,) = resources("toml", (SAMPLES / "toml" / "ledger.toml").read_bytes())
    assert found.body == {
        "title": "shop",
        "since": "2026-03-02T09:15:00+00:00",
        "opens": "07:30:00",
        "limits": {"requests": 1000, "ratio": 0.75, "top": "inf"},
        "source": [
            {"name": "infra", "url": "https://git.example.com/infra.git"},
            {"name": "apps", "paths": ["apps/*", "charts\\*"]},
        ],
    }
    assert found.warnings == ("inf is no number in JSON: kept as text",)
    assert resources("toml", "# nothing\n") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a", "Expected '=' after a key in a key/value pair (at end of document)"),
        ("a = 1\na = 2", "Cannot overwrite a value (at end of document)"),
        ("a = " + "[" * 250 + "]" * 250, "nested deeper than 200 levels"),
        ("a = " + "[" * 50_000, "nested deeper than 200 levels"),
        (".".join("a" * 60) + " = 1", "a dotted key of more than 50 parts"),
        ("[" + " . ".join(['"="'] * 60) + "]", "a dotted key of more than 50 parts"),
    ],
)
def test_toml_that_is_refused(text: str, reason: str) -> None:
    (found,) = resources("toml", text)
    assert (found.kind, found.unparsed) == ("TOML", reason)


def test_toml_integers_beyond_64_bits() -> None:
    (found,) = resources("toml", "a = 9223372036854775808\nb = 9223372036854775807\n")
    assert found.body == {"a": "0x8000000000000000", "b": 2**63 - 1}
    assert found.warnings == ("an integer does not fit 64 bits: kept as hexadecimal text",)


# ---- INI and properties ------------------------------------------------------------------------


def test_ini() -> None:
    (found,) = resources("ini", (SAMPLES / "ini" / "shop.ini").read_bytes())
    assert found.body == {
        "": {"debug": "no"},
        "database": {
            "host": "db.example.com",
            "port": "5432",
            "options": "\nsslmode=require\nconnect_timeout=5",
            "password": None,
        },
        "Paths": {"Data": "/var/lib/shop"},
    }
    assert found.warnings == ('duplicate key "Data" on line 14: the last value counts',)
    assert body("ini", (SAMPLES / "ini" / ".gitconfig").read_bytes()) == {
        "user": {"name": "A. Person", "email": "person@example.com"},
        "alias": {"last": "log -1 --stat"},
        'remote "origin"': {"url": "https://git.example.com/infra.git", "prune": None},
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[a]\n[b]\nx=\n[a]\ny = 1 ; no comment\n", {"a": {"y": "1 ; no comment"}, "b": {"x": ""}}),
        ("[a]\nx = 1\n  2\n\n  3\n\ny = %(x)s\n", {"a": {"x": "1\n2\n\n3", "y": "%(x)s"}}),
        ("[DEFAULT]\nx = 1\n[a]\n", {"DEFAULT": {"x": "1"}, "a": {}}),
        ("X: 1\nx = 2\n", {"": {"X": "1", "x": "2"}}),
        ("\ufeff[a]\r\nx = 1\r\n", {"a": {"x": "1"}}),
    ],
)
def test_ini_rules(text: str, value: Any) -> None:
    assert body("ini", text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a]\n= 1\n", "line 2: neither a section nor a key"),
        ("[a]\nkey\n  more\n", "line 3 continues a key that has no value"),
    ],
)
def test_ini_that_is_refused(text: str, reason: str) -> None:
    (found,) = resources("ini", text)
    assert (found.kind, found.unparsed) == ("INI", reason)


def test_java_properties() -> None:
    assert body("properties", (SAMPLES / "properties" / "shop.properties").read_bytes()) == {
        "server.port": "8080",
        "greeting": "Guten Tag",
        "path": "C:\\shop\\data",
        "key with blanks": "some value",
        "umlaut": "ü",
        "empty": "",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b = 1\nc:2\nd 3\n\te\t=\t4 \n", {"a.b": "1", "c": "2", "d": "3", "e": "4 "}),
        ("a.b=1\\\n  \\\n  2\\\\\nc=3\n", {"a.b": "12\\", "c": "3"}),
        ("a.b=1\\\n# 2\n! c\n", {"a.b": "1# 2"}),
        ("a\\=b\\:c\\ d=e\\=f\\tg\\q", {"a=b:c d": "e=f\tgq"}),
        ("a.b=\\ud83d\\ude00\\ud800\n", {"a.b": "\U0001f600\ufffd"}),
        ("a.b=x\\", {"a.b": "x"}),
        ("=1\nb=2", {"": "1", "b": "2"}),
    ],
)
def test_properties_rules(text: str, value: Any) -> None:
    assert body("properties", text) == value


def test_environment_files() -> None:
    assert body("properties", (SAMPLES / "properties" / ".env").read_bytes()) == {
        "DATABASE_URL": "postgres://shop@localhost:5432/shop?sslmode=disable",
        "PATTERN": "^\\d+$",
        "QUOTED": '"a b"',
        "DEBUG": "",
    }
    (found,) = resources("properties", (SAMPLES / "properties" / "prod.env").read_bytes())
    assert found.body == {"REPLICAS": "6"}
    assert found.warnings == ('duplicate key "REPLICAS": the last value counts',)


def test_properties_that_are_refused() -> None:
    (found,) = resources("properties", "a.b=\\u12\n")
    assert (found.kind, found.unparsed) == ("Properties", "malformed \\uXXXX escape")
