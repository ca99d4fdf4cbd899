"""Git as a child process: always through GitPython, never through a shell, hardened against its input.

Hooks, file-system monitors, replace refs, grafts, external diff and text conversion programs, lazy
fetches and the `ext::` transport are off.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

# GitPython looks for git when it is imported; where there is none, the first use says so instead.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from git import Git
from git.exc import GitCommandNotFound

from ledger.errors import SourceError, UsageError

PROTOCOLS = "file:git:http:https:ssh"
_HARDENED = (
    "--no-replace-objects",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "protocol.ext.allow=never",
    "-c", "safe.directory=*",
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
    "-c", "submodule.recurse=false",
    "-c", "core.alternateRefsCommand=",
)  # fmt: skip
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_ALLOW_PROTOCOL": PROTOCOLS,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_GRAFT_FILE": "/dev/null",
    "LC_ALL": "C",
}
# What we read from our own mirror must not depend on the user's settings; a fetch needs them
# (credential helpers, proxies, ssh commands; also those given by GIT_CONFIG_KEY_n).
_ISOLATED = {
    **_ENVIRONMENT,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "0",
}
_UNSET = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_PROXY_COMMAND",
    "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_SHALLOW_FILE", "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE", "GIT_QUARANTINE_PATH", "GIT_DEFAULT_HASH", "GIT_ATTR_SOURCE",
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
)  # fmt: skip

_PIPE_SIZE = 1 << 20


def check_url(url: str) -> str:
    """The URL, or UsageError when it could make Git run a program or read an option."""
    if not url or url.startswith("-") or any(ord(char) < 32 for char in url):
        raise UsageError(f"{url!r} is no repository URL", hint="Give a path, https or ssh URL.")
    scheme, colons, _ = url.partition("::")
    if colons and re.fullmatch(r"[A-Za-z0-9+.-]+", scheme):
        raise UsageError(
            f"{url!r} uses the transport helper {scheme!r}, which may run programs",
            hint="Give a path, https or ssh URL.",
        )
    scheme, separator, rest = url.partition("://")
    if separator and scheme.lower() not in PROTOCOLS.split(":"):
        raise UsageError(f"the protocol {scheme!r} of {url!r} is not allowed")
    if rest.startswith("-"):
        raise UsageError(f"the host of {url!r} looks like an option")
    return url


def _git(directory: Path | None = None) -> Git:
    # GitPython hands on all of our own environment. These would lead Git to another repository;
    # they are set where we are started by a hook.
    for name in _UNSET:
        os.environ.pop(name, None)
    return Git(str(directory) if directory else None)


def _environment(isolated: bool, extra: Mapping[str, str]) -> dict[str, str]:
    env = {**(_ISOLATED if isolated else _ENVIRONMENT), **extra}
    return env


def run(
    directory: Path | None,
    arguments: Sequence[str],
    *,
    stdin: bytes | BinaryIO = b"",
    isolated: bool = True,
    env: Mapping[str, str] | None = None,
) -> bytes:
    """The standard output of one git command; SourceError with its first line of complaint.

    `stdin` is what it reads, or an open file that it reads from where the file stands.
    """
    command = ["git", *_HARDENED, *arguments]
    try:
        process = _git(directory).execute(
            command,
            as_process=True,
            istream=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
            env=_environment(isolated, env or {}),
        )
    except GitCommandNotFound as error:
        raise SourceError("git is not installed", hint="Install git 2.39 or newer.") from error
    child = cast("subprocess.Popen[bytes]", process.proc)
    output, complaint = child.communicate(stdin if isinstance(stdin, bytes) else None)
    if child.returncode != 0:
        raise _failure(arguments, complaint)
    return output


def _failure(arguments: Sequence[str], complaint: bytes) -> SourceError:
    text = complaint.decode("utf-8", "replace").strip() or "no reason given"
    lines = [line for line in text.splitlines() if line.startswith(("fatal:", "error:"))]
    message = (lines or text.splitlines())[0]
    command = next(one for one in arguments if not one.startswith("-") and "=" not in one)
    hint = ""
    if "dubious ownership" in text:
        hint = "It belongs to somebody else; trust it with: git config --global --add safe.directory PATH"
    return SourceError(f"git {command} failed: {message}", hint=hint, retryable=True)


class Process:
    """A long-lived git child whose standard error is drained, so that it never blocks on it."""

    def __init__(
        self,
        directory: Path,
        arguments: Sequence[str],
        *,
        feed: Iterable[bytes] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.arguments = arguments
        process = _git(directory).execute(
            ["git", *_HARDENED, *arguments],
            as_process=True,
            istream=subprocess.PIPE,
            env=_environment(True, env or {}),
        )
        self._keeper = process
        self.child = cast("subprocess.Popen[bytes]", process.proc)
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.stdin: IO[bytes] = self.child.stdin
        self.stdout: IO[bytes] = self.child.stdout
        widen(self.stdout)
        self._complaint: deque[bytes] = deque(maxlen=20)
        self._drain = threading.Thread(target=self._read_complaints, daemon=True)
        self._drain.start()
        if feed is not None:
            threading.Thread(target=self.write, args=(feed,), daemon=True).start()

    def _read_complaints(self) -> None:
        stderr = self.child.stderr
        if stderr is not None:
            for line in stderr:
                self._complaint.append(line)

    def write(self, feed: Iterable[bytes]) -> None:
        try:
            for part in feed:
                self.stdin.write(part)
            self.stdin.close()
        except (BrokenPipeError, ValueError):
            pass  # the child ended early; its exit status tells why

    def finish(self) -> None:
        """Waits for the end; SourceError when the command failed."""
        status = self.child.wait()
        self._drain.join(timeout=5)
        if status != 0:
            raise _failure(self.arguments, b"".join(self._complaint))

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        for stream in (self.stdin, self.stdout, self.child.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def _clean_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _UNSET}


def widen(pipe: IO[bytes]) -> None:
    """Lets a child run up to 1 MiB ahead of its reader, where the system allows it, not 64 KiB."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_SIZE)


def piped(directory: Path, arguments: Sequence[str], source: IO[bytes]) -> subprocess.Popen[bytes]:
    """A git command that reads what another one prints."""
    child = subprocess.Popen(
        [Git.GIT_PYTHON_GIT_EXECUTABLE or "git", *arguments],
        stdin=source,
        stdout=subprocess.PIPE,
        cwd=directory,
        env={**_clean_environ(), **_ISOLATED},
    )
    assert child.stdout is not None
    widen(child.stdout)
    return child


def version() -> str:
    """The version line of the git in use. Raises SourceError when there is none."""
    return run(None, ["version"]).decode().strip()
