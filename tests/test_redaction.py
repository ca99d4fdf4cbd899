"""Secrets do not survive redaction, whatever their layout; everything else does."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import UsageError
from ledger.redaction import (
    NONE,
    Finding,
    compile_patterns,
    fingerprint,
    redact,
    redact_text,
)

KEY = b"k" * 32
PLAIN = "hunter2-S3cr3t!"
ENCODED = base64.b64encode(PLAIN.encode()).decode()
PEM = "\n".join(
    ["-----BEGIN RSA PRIVATE KEY-----", "MIIEpAIBAAKCAQEA7hunter2", "q9v+/8Zf", "-----END RSA PRIVATE KEY-----"]
)
TOKEN = re.compile(r"hmac-sha256:[0-9a-f]{64}")


def hidden(path: str, text: str | bytes) -> str:
    """The redacted text, after the checks that hold for every text."""
    blob = text if isinstance(text, bytes) else text.encode()
    once = redact(path, blob, KEY)
    assert (once.data is blob) == (not once.findings)
    assert redact(path, once.data, KEY).data == once.data
    return once.data.decode()


def masked(value: Any) -> Any:
    """A parsed document with every secret and every token as `*`."""
    if isinstance(value, dict):
        return {masked(key): masked(one) for key, one in value.items()}
    if isinstance(value, list):
        return [masked(one) for one in value]
    if not isinstance(value, str | bytes):
        return value
    text = value.decode() if isinstance(value, bytes) else value
    if PLAIN in text or ENCODED in text:
        return "a=*" if re.match(r"[abc]=", text) else "*"
    return re.sub(r"^[abc]=\*$", "a=*", TOKEN.sub("*", text))


# P stands for the secret, B for its base64. Every value under data and stringData is one of them.
LAYOUTS = {
    "plain": "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\nstringData:\n  a: P\n",
    "base64": "kind: Secret\ndata:\n  a: B\n",
    "data first": "data:\n  a: B\nstringData:\n  b: P\nkind: Secret\n",
    "no indentation of kind": "kind:   Secret   # the kind\ndata:\n    a:    B\n",
    "double quotes": 'kind: "Secret"\nstringData:\n  a: "P"\n',
    "single quotes": "kind: 'Secret'\nstringData:\n  'a': 'P'\n",
    "quoted keys": '"kind": "Secret"\n"stringData":\n  "a": "P"\n',
    "escapes in quotes": 'kind: Secret\nstringData:\n  a: "\\u00e9\\t P\\u00e9"\n',
    "literal block": "kind: Secret\nstringData:\n  a: |\n    P\n    more P\n\n  b: P\n",
    "literal block to keep": "kind: Secret\nstringData:\n  a: |+\n    P\n\nmetadata: {}\n",
    "literal block with indent": "kind: Secret\nstringData:\n  a: |2-\n     P\n    P\ntype: Opaque\n",
    "folded block": "kind: Secret\nstringData:\n  a: >-\n    P\n    # P\n\n     P\ntype: Opaque\n",
    "block with comment": "kind: Secret\nstringData:\n  a: | # P\n    P\n  # P\n  b: P # P\ntype: Opaque\n",
    "comments": "kind: Secret\nstringData: # P\n# P\n  # was P\n  a: P # was P\n  #b: P\ntype: Opaque\n",
    "comments at the end": "kind: Secret\nstringData:\n  a: P\n  # P\n# P\n",
    "plain over lines": "kind: Secret\nstringData:\n  a: P\n    P\n    P\n  b: P\n",
    "quotes over lines": 'kind: Secret\nstringData:\n  a: "P\n    P\n\n  P"\n  b: \'P\n   P\'\n',
    "flow": "kind: Secret\nstringData: {a: P, 'b': 'P', \"c\": \"P\", d: [P, P], e: {f: P}}\n",
    "flow over lines": "kind: Secret\nstringData: {\n  a: P, # P\n  b: P\n}\ntype: Opaque\n",
    "all in flow": "{apiVersion: v1, kind: Secret, data: {a: B}, type: Opaque}\n",
    "windows lines": "kind: Secret\r\nstringData:\r\n  a: P\r\n  b: |\r\n    P\r\n    P\r\ntype: Opaque\r\n",
    "old mac lines": "kind: Secret\rstringData:\r  a: P\r  b: P # P\rtype: Opaque\r",
    "unicode line ends": "kind: Secret\u2028stringData:\u2028  a: P\u2028type: Opaque\n",
    "byte order mark": "\ufeffkind: Secret\nstringData:\n  é: P\n  b: P\n",
    "not ascii": "kind: Secret\nmetadata: {name: é😀}\nstringData:\n  ключ: P é😀\n  b: 'é P'\n",
    "tabs": "kind:\tSecret\nstringData:\t# P\n  a:\tP\t# P\n",
    "directives": "%YAML 1.1\n%TAG !e! tag:yaml.org,2002:\n---\nkind: !e!str Secret\ndata:\n  a: B\n...\n",
    "documents": "a: b\n---\nkind: Secret\ndata:\n  a: B\n---\nkind: ConfigMap\ndata:\n  a: kept\n",
    "list": "kind: List\nitems:\n- kind: Secret\n  data:\n    a: B\n- kind: ConfigMap\n  data:\n    a: kept\n",
    "list of secrets": "kind: SecretList\nitems:\n- metadata: {name: a}\n  data: {a: B}\n- data:\n    b: B\n",
    "template": "kind: Template\nobjects:\n- kind: Secret\n  stringData:\n    a: P\nparameters: []\n",
    "deep": "a:\n- - b:\n    - {c: [{kind: Secret, stringData: {d: P}}]}\n",
    "twice a kind": "kind: ConfigMap\nkind: Secret\ndata:\n  a: B\n",
    "twice a kind, other order": "kind: Secret\nkind: ConfigMap\ndata:\n  a: B\n",
    "twice the data": "kind: Secret\ndata:\n  a: B\ndata:\n  b: B\n",
    "anchor on kind": "x: &k Secret\nkind: *k\ndata:\n  a: B\n",
    "anchor inside": "kind: &k Secret\nstringData:\n  a: &v P\n  b: *v\n  c: &w !!str P\n",
    "anchored data": "kind: Secret\nx-data: &d\n  a: B # P\n  b: B\ndata: *d\n",
    "anchored value": "x: &v P\nkind: Secret\nstringData:\n  a: *v\n",
    "merged kind": "base: &b {kind: Secret}\nitem:\n  <<: *b\n  data:\n    a: B\n",
    "merged data": "base: &b\n  data:\n    a: B\nitem:\n  kind: Secret\n  <<: *b\n",
    "merged list": "a: &a {kind: Secret}\nb: &b {data: {a: B}}\nitem: {<<: [*a, *b]}\n",
    "merged in data": "x: &x {a: B}\nkind: Secret\ndata:\n  <<: *x\n  b: B\n",
    "explicit keys": "? kind\n: Secret\n? data\n:\n  ? a\n  : B\n",
    "kind below": "kind:\n  Secret\ndata:\n  a: B\n",
    "kind as block": "kind: |-\n  Secret\ndata:\n  a: B\n",
    "kind folded": "kind: >-\n\n  Secret\ndata:\n  a: B\n",
    "escaped kind": 'kind: "\\x53ecret"\ndata:\n  a: B\n',
    "escaped keys": '{"k\\u0069nd": "S\\u0065cret", "d\\u0061ta": {"a": "B"}}',
    "escaped line end": 'kind: "Sec\\\n  ret"\ndata:\n  a: B\n',
    "tagged kind": "kind: !!str Secret\ndata:\n  a: !!str B\n",
    "binary kind": "kind: !!binary U2VjcmV0\ndata:\n  a: B\n",
    "binary value": "kind: Secret\ndata:\n  a: !!binary B\n  b: !!binary |\n    B\n",
    "last applied": "kind: Secret\nmetadata:\n  annotations:\n"
    "    kubectl.kubernetes.io/last-applied-configuration: |\n"
    '      {"kind":"Secret","data":{"a":"B"}}\n    other: kept\ndata:\n  a: B\n',
    "last applied cut short": "kind: Secret\nmetadata:\n  annotations: {"
    "kubectl.kubernetes.io/last-applied-configuration: 'xxx P'}\ndata:\n  a: B\n",
    "template path": "kind: Secret\nstringData:\n  a: {{ \"P\" }}\n  b: P\n",
    "json": '{"apiVersion":"v1","kind":"Secret","data":{"a":"B"},"type":"Opaque"}',
    "json over lines": '{\n  "kind": "Secret",\n  "stringData": {\n    "a": "P",\n    "b": "P"\n  }\n}\n',
    "json with tabs": '{\n\t"kind": "Secret",\n\t"data": {\n\t\t"a": "B"\n\t}\n}\n',
    "json list": '{"kind":"List","items":[{"kind":"Secret","data":{"a":"B"}},{"kind":"Role"}]}',
    "json with slashes": '{"kind":"Secret","data":{"a":"B"},"x":"\\/"}',
    "in a config map": "kind: ConfigMap\ndata:\n  m.yaml: |\n    kind: Secret\n    stringData:\n"
    "      a: P\n      b: |\n        P\n  other: kept\n",
    "kustomize literals": "secretGenerator:\n- name: a\n  literals:\n  - a=P # P\n  - \"b=P\"\n  - 'c=P'\n"
    "configMapGenerator:\n- literals:\n  - a=kept\n",
    "kustomize literals in flow": "secretGenerator: [{name: a, literals: [a=P, 'b=P', P]}]\n",
    "kustomize generator": "kind: SecretGenerator\nmetadata: {name: a}\nliterals:\n- a=P\n",
    "kustomize patch": "patches:\n- target: {kind: Secret}\n  patch: |-\n    - op: add\n      path: /data/a\n"
    "      value: P\n- target: {kind: Role}\n  patch: kept\n",
}

# Texts that are no YAML; the words that must be left are behind the bar.
BROKEN = {
    "helm": "kind: Secret\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  {{- if .Values.a }}\n  a: B\n"
    "  {{- end }}\n  b: {{ \"P\" | b64enc }}\n  c: {{ .Values.c | b64enc | quote }}\ntype: Opaque\n"
    "|{{ .Release.Name }}|{{- if .Values.a }}|{{ .Values.c | b64enc | quote }}|type: Opaque",
    "helm range": "kind: Secret\nstringData:\n{{- range $k, $v := .Values.x }}\n  {{ $k }}: \"P\"\n"
    "{{- end }}\n  z: P\nimmutable: true\n---\nkind: ConfigMap\ndata:\n  a: {{ x }}\n  b: kept\n"
    "|immutable: true|b: kept",
    "helm kind": "kind: {{ .Values.kind | default \"Secret\" }}\ndata:\n  a: B\n{{ end }}\n",
    "block in a template": "{{ if x }}\nkind: Secret\nstringData:\n  a: |\n    P: x\n    user: P\n\n    P\n"
    "  b: >\n    P\n  c: P\n   P\nx: kept\n{{ end }}\n|x: kept",
    "open quote": "kind: Secret\nstringData:\n  a: \"P\n  b: P\n c: P\nP\n",
    "half-written": "kind: Secret\nstringData:\n  a: P\n  b P\n  - P\n  c: [P\n",
    "tab indentation": "kind: Secret\nstringData:\n\ta: P\n\tb: |\n\t\tP\ntype: Opaque\n|type: Opaque",
    "unknown alias": "kind: Secret\nstringData:\n  a: *nothing\n  b: P\n",
    "control character": "kind: Secret\nstringData:\n  a: P\x08\n  b: P\n",
    "commented out": "a: b\n# kind: Secret\n# data:\n#   a: B\n#   b: |\n#     P\n# type: Opaque\nc: d\n"
    "|# kind: Secret|# type: Opaque|c: d",
    "commented out, close": "#kind: Secret\n#stringData:\n#  a: P\n#type: Opaque\nc: d\n|c: d",
    "shell": "cat <<EOF | kubectl apply -f -\nkind: Secret\nstringData:\n  a: P\nEOF\necho done\n|echo done",
    "markdown": "# Use\n\n```yaml\nkind: Secret\nstringData:\n  a: P\n```\n\nAnd more: text.\n|And more: text.",
    "go": "const x = `{\"kind\":\"Secret\",\"data\":{\"a\":\"B\"}}`\nfunc main() {}\n|func main() {}",
    "escaped json": 'x := "{\\"kind\\":\\"Secret\\",\\"data\\":{\\"a\\":\\"B\\"}}"\ny := {{1}}\n|y := {{1}}',
    "patch": "@@ -1,3 +1,4 @@\n kind: Secret\n data:\n-  a: B\n+  b: B\n   c: B\n type: Opaque\n|type: Opaque",
    "json5": '{"kind": "Secret", // {{\n "data": {"a": "B", \'b\': \'B\'}, "type": "Opaque"}\n|"type": "Opaque"',
    "escapes that do not parse": '{"kind": "\\u0053ecret", {{ x }} "data": {"a": "B"}}',
    "deep nesting": "kind: Secret\nx: " + "[" * 300 + "]" * 300 + "\nstringData:\n  a: P\n",
    "literals": "secretGenerator:\n- name: {{ x }}\n  literals:\n  - a=P\n  - \"b=P\"\nx: kept\n|x: kept",
    "last applied": "kind: Secret\nx: {{ y\nmetadata:\n  annotations:\n"
    "    kubectl.kubernetes.io/last-applied-configuration: |\n      {P}\n    z: kept\n|z: kept",
    "folded manifest": "kind: ConfigMap\ndata:\n  a: >\n    kind: Secret\n    stringData: P\n  b: kept\n|b: kept",
    "manifest in a string": "a: \"kind: Secret\\ndata:\\n  a: B\\n\"\nb: kept\n|b: kept",
}


def filled(text: str) -> str:
    return re.sub(r"\bP\b", PLAIN, re.sub(r"\bB\b", ENCODED, text))


def assert_no_secret(text: str) -> None:
    for secret in (PLAIN, ENCODED, "hunter2", base64.b64encode(ENCODED.encode()).decode()):
        assert secret not in text


@pytest.mark.parametrize("name", LAYOUTS)
def test_secrets_are_hidden_and_the_document_keeps_its_structure(name: str) -> None:
    text = filled(LAYOUTS[name])
    result = hidden("x.json" if name.startswith("json") else "x.yaml", text)
    assert_no_secret(result)
    if name != "template path":
        before = list(yaml.load_all(text, yaml.CSafeLoader))
        after = list(yaml.load_all(result, yaml.CSafeLoader))
        if name not in ("in a config map",):
            assert masked(after) == masked(before)
        assert [type(one) for one in after] == [type(one) for one in before]
    if name.startswith("json"):
        assert masked(json.loads(result)) == masked(json.loads(text))
    assert ("kept" in text) == ("kept" in result)


@pytest.mark.parametrize("path", ["x.yaml", "x.json", "", "x.md", "x.tpl"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_name_of_the_file_makes_no_difference_to_a_secret(name: str, path: str) -> None:
    assert_no_secret(hidden(path, filled(LAYOUTS[name])))


@pytest.mark.parametrize("name", BROKEN)
def test_text_that_does_not_parse_is_hidden_by_lines(name: str) -> None:
    text, *kept = BROKEN[name].split("\n|")
    words = kept[0].split("|") if kept else []
    result = hidden("x.yaml", filled(text + "\n"))
    assert_no_secret(result)
    for word in words:
        assert word in result


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_hidden_too_when_the_text_around_it_breaks(name: str) -> None:
    if re.search("merged|anchor|kind|escaped|explicit|patch", name):
        pytest.skip("what only a parser can know")
    assert_no_secret(hidden("x.yaml", "{{ if }}\n" + filled(LAYOUTS[name]) + "{{ end }}\n"))
