"""Which names are sensitive, and which of their values are secrets rather than references.

Strong names end in the word `password`, `passwd` or `pwd`: any literal is hidden. Weak names end in
`token`, in `_pass`, in `key` behind api, access, secret, private, account, encryption, signing or
master, or in `secret` behind client, consumer, shared, cookie, webhook, app, application, signing,
oauth, jwt or session. They often hold the name of a secret, so their value must look like one: at least
8 characters, no blanks, not a name such as `my-app-token` or `tls.key`, not a size. Spelling is free
(`apiKey`, `API_KEY`, `api-key`), and words before do not matter (`DB_PASSWORD`). A word behind
makes another name: `passwordSecretRef`, `tokenUrl`, `access_key_id`.

Never hidden: what is empty, true or false, a placeholder or mask, a variable, a template, a command's
output, a path, a URL (its credentials have their own rule), a reference to a vault, ciphertext, or a
token of ours.
"""

from __future__ import annotations

import re

from ledger.redaction.spans import is_token

WEAK, STRONG = 1, 2
NAME_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_STRONG = (b"password", b"passwd")
_PWD = re.compile(rb"(?:^|[_.-])(?i:pwd)$|[a-z0-9]Pwd$")
_KEYS = (b"api", b"access", b"secret", b"private", b"account", b"encryption", b"signing", b"master")
_SECRETS = (b"client", b"consumer", b"shared", b"cookie", b"webhook", b"app", b"application")
_WEAK = (
    b"token",
    *(kind + b"key" for kind in _KEYS),
    *(kind + b"secret" for kind in (*_SECRETS, b"signing", b"oauth", b"jwt", b"session")),
)
_NEITHER = (b"nopassword", b"nopasswd", b"nexttoken", b"pagetoken", b"continuetoken")

_VARIABLE = re.compile(rb"\$?\{\{[^{}]*\}\}|[$#@%]\{[^{}]*\}|\$\([^()]*\)")
_COMMAND = (b"$(", b"<(", b"`")
_NO_SECRET = re.compile(
    rb"(?i:~|null|nil|none|undefined|true|false|yes|no|on|off"
    rb"|str|string|text|int|integer|number|bool|boolean|object|bytes|any|optional|required"
    rb"|\*[\w.-]+|[*.x\xe2\x80\xa2_-]+|<[^<>]*>|\[[^\[\]]*\]|\([^()]*\)|\{[^{}]*\}|\$\d|%\w+%|@\w+@|%[sqv]"
    rb"|(?:vault|ref\+\w+|ssm|asm|sm|gcpsm|awssm|op|env|file|keyvault|secret|secretref|k8s)://\S*"
    rb"|(?:vault|ref\+\w+|env|file|secretref):\S*|arn:aws\S*|projects/\S+/secrets/\S+|https?://\S*"
    rb"|ENC\[[^\[\]]*\]|\{cipher\}\S*|[a-z]:\\[\w.\\-]+"
    rb"|(?:var|local|data|module|each|self|random_password)\.[\w.\[\]\"*-]+)"
    rb"|\$[A-Z_][A-Z0-9_]*|\$[a-z_]+|[~.]{0,2}(?:/[a-z0-9._-]+){2,}/?|\.{1,2}/[\w./-]+|/[a-z]+"
    rb"|[A-Z][A-Z0-9]*_[A-Z0-9_]*(?:PASSWORD|PASSWD|PWD|SECRET|TOKEN|KEY)[A-Z0-9_]*"
)
_NAME_LIKE = re.compile(
    rb"[a-z]+(?:[-_.][a-z]+)+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"
    rb"|(?i:(?:[a-z0-9]+[-_.])+(?:secret|key|token|password|credentials?|id)(?:[-_.][a-z0-9]{1,9})?)"
    rb"|[a-z]+(?:[A-Z][a-z]+)*(?:Secret|Key|Token|Password|Credentials?|Id|ID)"
    rb"|(?i:[\w./-]+\.(?:pem|key|crt|cer|pub|txt|json|ya?ml|p12|jks|env|gpg|asc))"
    rb"|[\d.,]+ ?[a-zA-Z%]{0,3}"
)


def strength(name: bytes) -> int:
    """How sensitive a key is by its name: STRONG, WEAK, or 0 if it is not."""
    lower = name.lower()
    if lower.endswith(b"pwd"):
        return STRONG if _PWD.search(name) else 0
    word = lower.translate(None, b"_.-")
    if word.endswith(_NEITHER):
        return 0
    if word.endswith(_STRONG):
        return STRONG
    return WEAK if word.endswith(_WEAK) or lower.endswith(b"_pass") else 0


def hides(value: bytes, strong: bool) -> bool:
    """Whether this value of a sensitive key is a secret."""
    value = value.strip()
    if not value or is_token(value) or _NO_SECRET.fullmatch(value) or value.startswith(_COMMAND):
        return False
    literal = _VARIABLE.sub(b"", value)
    if len(literal) < len(value):
        return strong and len(re.sub(rb"\W", b"", literal)) >= 6
    if value.startswith(b"${" if strong else b"$"):  # cut short by a quote inside the braces
        return False
    if strong:
        return not (value.isdigit() and len(value) < 4)
    return len(value) >= 8 and len(value.split()) == 1 and not _NAME_LIKE.fullmatch(value)


# What may stay inside a Secret: nothing, ciphertext of SOPS, and templates that only name where a value
# comes from. A template with any literal in it (a quote, a number) is hidden.
_KEPT = re.compile(rb"~|null|ENC\[AES256_GCM,[^\[\]]*\]|\{\{-?\s*(?:end|else)\s*-?\}\}")
_TEMPLATES = re.compile(rb"(?:\{\{[^{}]*\}\}\s*+)++")
_PATH = re.compile(rb"[.$][A-Za-z_]")
_LITERAL = re.compile(rb"[\"'`\\\x80-\xff]|(?<![\w.$-])\d")


def keeps(value: bytes) -> bool:
    """Whether this value of a Secret may stay as it is."""
    value = value.strip()
    if not value or is_token(value) or _KEPT.fullmatch(value):
        return True
    if not value.startswith(b"{{") or not _TEMPLATES.fullmatch(value):
        return False
    return _PATH.search(value) is not None and _LITERAL.search(value) is None
