"""Git as a child process: always through GitPython, never through a shell, hardened against its input.

Hooks, file-system monitors, replace refs, grafts, external diff and text conversion programs, lazy
fetches and the `ext::` transport are off.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
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

from ledger.errors import LedgerError, SourceError, UsageError
from ledger.interrupts import signals_later

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
# What is told is read from the commits themselves, not from a graph that was written down of them.
_FIRSTHAND = ("-c", "core.commitGraph=false")
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
_LAST_WORDS = 10  # seconds in which a git that is stopped removes its lock files
_KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_DIED = re.compile(r"died of signal (\d+)")
LONGEST = 1_000  # characters of a complaint
_SIGNS = ("remote: fatal:", "remote: error:", "fatal:", "error:")
_NO_ANSWER = "fatal: Could not read from remote repository."
_HINTS = {
    "dubious ownership": (
        "It belongs to somebody else; trust it with: git config --global --add safe.directory PATH"
    ),
    "from promisor remote": "It is a partial clone, which lacks files; name the whole repository.",
    "corruption on the remote": "It lacks objects; repair it or name another copy of it.",
}


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
    if separator and scheme.lower() == "git" and "@" in rest.partition("/")[0]:
        raise UsageError(
            f"{url!r} gives a login, which the protocol git does not know",
            hint="Use https or ssh.",
        )
    if rest.startswith("-"):
        raise UsageError(f"the host of {url!r} looks like an option")
    return url


def _git(directory: Path | None = None) -> Git:
    # GitPython hands on all of our own environment. These would lead Git to another repository;
    # they are set where we are started by a hook.
    for name in _UNSET:
        os.environ.pop(name, None)
    return Git(str(directory) if directory else None)


def _environment(
    directory: Path | None, isolated: bool, extra: Mapping[str, str]
) -> dict[str, str]:
    # Named, so that Git never looks for a repository in the folders above, which may be anybody's:
    # their configuration can run programs.
    place = {"GIT_DIR": "." if directory else os.devnull}
    return {**(_ISOLATED if isolated else _ENVIRONMENT), **place, **extra}


def run(
    directory: Path | None,
    arguments: Sequence[str],
    *,
    stdin: bytes | BinaryIO = b"",
    isolated: bool = True,
    env: Mapping[str, str] | None = None,
    holding: int | None = None,
) -> bytes:
    """The standard output of one git command; SourceError with its first line of complaint.

    `stdin` is what it reads, or an open file that it reads from where the file stands. `holding` is a
    file handle that it keeps open while it runs. It never outlives this call, whatever ends it.
    """
    command = ["git", *_HARDENED, *(_FIRSTHAND if isolated else ()), *arguments]
    child: subprocess.Popen[bytes] | None = None
    try:
        with signals_later():
            process = _git(directory).execute(
                command,
                as_process=True,
                istream=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
                env=_environment(directory, isolated, env or {}),
                pass_fds=() if holding is None else (holding,),
            )
            child = cast("subprocess.Popen[bytes]", process.proc)
        output, complaint = child.communicate(stdin if isinstance(stdin, bytes) else None)
    except GitCommandNotFound as error:
        raise SourceError("git is not installed", hint="Install git 2.39 or newer.") from error
    except BaseException:
        if child is not None:
            _stop(child)
        raise
    if child.returncode != 0:
        raise _failure(arguments, complaint, child.returncode, directory)
    return output


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ends a git; one that writes gets the time to put its things away."""
    child.terminate()
    try:
        child.wait(_LAST_WORDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _reason(lines: Sequence[str]) -> str:
    """The line that says most; with the one above or below it where Git gives the reason there."""
    told = (at for sign in _SIGNS for at, line in enumerate(lines) if line.startswith(sign))
    at = next(told, 0)
    reason = lines[at]
    if reason.endswith(":"):
        return " ".join([reason, *lines[at + 1 : at + 2]])
    above = [line for line in lines[:at] if line and not line.lower().startswith("warning")]
    if reason == _NO_ANSWER and above:  # what ssh or the host behind it says
        return f"{reason} {above[-1]}"
    return reason


def _failure(
    arguments: Sequence[str], complaint: bytes, status: int, directory: Path | None = None
) -> LedgerError:
    """Git's complaint as an error: what the remote says of itself goes before what is said of it."""
    silent = f"ended by signal {-status}" if status < 0 else "no reason given"
    text = complaint.decode("utf-8", "replace").strip() or silent
    lines = [line.strip() for line in text.splitlines()]
    message = _reason(lines)[:LONGEST]
    command = next(one for one in arguments if not one.startswith("-") and "=" not in one)
    if killer := _killed_by(status, text):  # which tells nothing of the source
        return LedgerError(
            f"git {command} was ended by {killer} before it was done",
            hint="If nobody stopped it, memory is short. What was recorded is kept: run it again.",
        )
    hint = next((hint for sign, hint in _HINTS.items() if sign in text), "")
    if not hint and directory is not None and command != "fetch":
        hint = f"If the ledger's copy is damaged, remove {directory}: the next ingest fetches it again."
    return SourceError(f"git {command} failed: {message}", hint=hint, retryable=True)


def _killed_by(status: int, complaint: str) -> str:
    """The signal that ended a git, or one that it started, from outside; empty where none did."""
    told = _DIED.search(complaint)
    number = -status if status < 0 else int(told[1]) if told else 0
    return next((one.name for one in _KILLS if one == number), "")


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
        self.directory = directory
        started: list[subprocess.Popen[bytes]] = []
        try:
            with signals_later():
                process = _git(directory).execute(
                    ["git", *_HARDENED, *_FIRSTHAND, *arguments],
                    as_process=True,
                    istream=subprocess.PIPE,
                    env=_environment(directory, True, env or {}),
                )
                started.append(cast("subprocess.Popen[bytes]", process.proc))
                self._keeper = process
                self._take(started[0], feed)
        except BaseException:
            for one in started:
                one.kill()
            raise

    def _take(self, child: subprocess.Popen[bytes], feed: Iterable[bytes] | None) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self.child = child
        self.stdin: IO[bytes] = child.stdin
        self.stdout: IO[bytes] = child.stdout
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
        """Waits for the end; SourceError when the command failed, LedgerError when it was killed."""
        status = self.child.wait()
        self._drain.join(timeout=5)
        if status != 0:
            raise _failure(self.arguments, b"".join(self._complaint), status, self.directory)

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
        env={**_clean_environ(), **_environment(directory, True, {})},
    )
    assert child.stdout is not None
    widen(child.stdout)
    return child


def version() -> str:
    """The version line of the git in use. Raises SourceError when there is none."""
    return run(None, ["version"]).decode().strip()
