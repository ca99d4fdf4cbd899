"""Secrets never enter the ledger in clear: they are replaced before anything is stored.

Each secret becomes `hmac-sha256:<64 hex>` under a key that is kept outside of the database, so that
"changed or not" can be proved and a guess cannot. The token is valid where the secret stood (YAML, JSON,
HCL, properties, URL), and the text keeps its structure. What counts as a secret:

- values of Kubernetes Secrets, parsed (`manifests.py`) or, where the text does not parse, by lines
  (`lines.py`); literals of kustomize's secret generators;
- literal values of sensitive keys in any text (the list of names is in `names.py`);
- defaults of Terraform variables declared sensitive or named so (`terraform.py`);
- private keys, well-known tokens, credentials in URLs (`shapes.py`);
- what configured patterns find (`patterns.py`).

Ciphertext (SOPS, SealedSecrets), references, templates and variables stay readable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ledger.redaction.keys import key_edits
from ledger.redaction.manifests import secret_edits
from ledger.redaction.patterns import NONE, Patterns, compile_patterns, pattern_edits
from ledger.redaction.scan import KEY, LOGIN, SECRET, SHAPE, look
from ledger.redaction.shapes import known_tokens, private_keys, url_credentials
from ledger.redaction.spans import Edit, apply, fingerprint
from ledger.redaction.terraform import TERRAFORM_FILES, variable_edits

__all__ = [
    "NONE",
    "Finding",
    "Patterns",
    "Redacted",
    "compile_patterns",
    "fingerprint",
    "redact",
    "redact_text",
]

Rule = Callable[[bytes], Iterable[Edit]]

_ROUNDS = 6
_MESSAGE = "message.txt"


@dataclass(frozen=True, slots=True)
class Finding:
    """How many secrets a rule has hidden; never what they were."""

    rule: str
    count: int


@dataclass(frozen=True, slots=True)
class Redacted:
    """What may be stored: the very object that was given where `findings` is empty."""

    data: bytes
    findings: tuple[Finding, ...]


def redact(path: str, blob: bytes, key: bytes, *, patterns: Patterns = NONE) -> Redacted:
    """The text with every secret replaced by its token. Never raises, and redacting again changes nothing.

    Binary content (a NUL byte) is returned as it is: it is not stored. Text in which nothing looks like
    a secret costs about 3 ns a byte and 1 us a call; the rules are linear, and a Kubernetes Secret, which
    is parsed three times, is read at 3 to 9 MB/s.
    """
    signs = look(blob)
    if not (signs or patterns.compiled or path.endswith(TERRAFORM_FILES)) or b"\0" in blob:
        return Redacted(blob, ())
    return _redact(path, blob, signs, key, patterns)


def redact_text(text: str, key: bytes, *, patterns: Patterns = NONE) -> str:
    """The same for commit messages, subjects and URLs."""
    blob = text.encode(errors="surrogatepass")
    signs = look(blob)
    if not (signs or patterns.compiled):
        return text
    redacted = _redact(_MESSAGE, blob, signs, key, patterns).data
    if redacted is blob:
        return text
    try:
        return redacted.decode(errors="surrogatepass")
    except UnicodeDecodeError:  # a configured pattern has cut a lone surrogate in two
        return redacted.decode(errors="replace")


def _redact(path: str, blob: bytes, signs: int, key: bytes, patterns: Patterns) -> Redacted:
    """Rounds until nothing changes: what one rule hides may let another one read more."""
    counts: Counter[str] = Counter()
    data = blob
    for _ in range(_ROUNDS):
        hidden = data
        for rule in _rules(path, data, signs, patterns):
            hidden = apply(hidden, rule(hidden), key, counts)
        if hidden is data:
            break
        data, signs = hidden, look(hidden)
    else:
        data = apply(blob, [Edit(0, len(blob), blob, "unsettled text")], key, counts)
    return Redacted(data, tuple(Finding(rule, count) for rule, count in sorted(counts.items())))


def _rules(path: str, blob: bytes, signs: int, patterns: Patterns) -> list[Rule]:
    """The rules that may find something, those that see more of the structure first."""
    rules: list[Rule] = []
    if path.endswith(TERRAFORM_FILES) and b"variable" in blob:
        rules.append(variable_edits)
    if signs & SECRET:
        rules.append(secret_edits)
    if signs & SHAPE:
        rules.append(private_keys)
    if signs & (KEY | SECRET):
        rules.append(lambda data: key_edits(path, data, signs))
    if signs & (KEY | SHAPE | LOGIN):
        rules.append(url_credentials)
    if signs & SHAPE:
        rules.append(known_tokens)
    if patterns.compiled:
        rules.append(lambda data: pattern_edits(data, patterns))
    return rules
