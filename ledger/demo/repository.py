"""The company's repository, made with real Git, and what its people do in it.

Names, dates, zone and contents are fixed, so the commit ids are the same on every machine. Git is
run without the user's settings: no identity, signing key, hook, template or ignore file of theirs
has a part in it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ledger.demo.people import FORGE, Person
from ledger.errors import SourceError

Contents = Mapping[str, str]


class Repository:
    """A working copy whose only branch is main; heads of pull requests stand where forges put them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self) -> None:
        self.path.mkdir()
        self._git("init", "--quiet", "--template=", "--object-format=sha1", "--initial-branch=main")

    @property
    def tip(self) -> str:
        """The commit that main is at."""
        return self._git("rev-parse", "refs/heads/main").strip()

    def push(self, who: Person, when: str, subject: str, contents: Contents) -> str:
        """A commit straight on main; gives its id."""
        return self._commit(who, when, subject, contents)

    def propose(self, number: int, who: Person, when: str, subject: str, contents: Contents) -> str:
        """One commit more on the branch of a pull request, which begins at main; gives its id."""
        start = f"refs/pull/{number}/head"
        known = self._git("for-each-ref", "--format=%(refname)", start).strip()
        self._git("checkout", "--quiet", "--detach", known or "main")
        head = self._commit(who, when, subject, contents)
        self._git("update-ref", start, head)
        self._git("checkout", "--quiet", "main")
        return head

    def move(self, number: int, who: Person, when: str, subject: str, old: str, new: str) -> str:
        """A pull request that moves a file; gives its head."""
        text = (self.path / old).read_text("utf-8")
        return self.propose(number, who, when, subject, {old: "", new: text})

    def update(self, number: int, who: Person, when: str) -> str:
        """Brings the branch of a pull request up to date with main, as the forge's button does."""
        head = f"refs/pull/{number}/head"
        self._git("checkout", "--quiet", "--detach", head)
        message = f"Merge branch 'main' into {who.login}/{number}"
        self._git(
            "merge", "--quiet", "--no-ff", "-m", message, "main", env=_people(who, FORGE, when)
        )
        self._git("update-ref", head, "HEAD")
        self._git("checkout", "--quiet", "main")
        return self._git("rev-parse", head).strip()

    def squash(self, number: int, who: Person, when: str, subject: str, body: str = "") -> str:
        """Squashes a pull request onto main as forges do: author kept, committer the forge."""
        head = f"refs/pull/{number}/head"
        self._git("merge", "--quiet", "--squash", head, env=_people(who, FORGE, when))
        message = "\n\n".join(filter(None, [f"{subject} (#{number})", body]))
        return self._commit(who, when, message, {}, committer=FORGE)

    def merge(self, number: int, who: Person, when: str, message: str) -> str:
        """Merges a pull request with a merge commit."""
        arguments = ["merge", "--quiet", "--no-ff", "-m", message, f"refs/pull/{number}/head"]
        self._git(*arguments, env=_people(who, FORGE, when))
        return self.tip

    def force_back(self, steps: int) -> None:
        """Takes commits off main, as somebody does who is about to push with --force."""
        self._git("reset", "--quiet", "--hard", f"HEAD~{steps}")

    def _commit(
        self,
        who: Person,
        when: str,
        subject: str,
        contents: Contents,
        *,
        committer: Person | None = None,
    ) -> str:
        for name, text in contents.items():
            target = self.path / name
            if not text:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
        self._git("add", "--all")
        self._git("commit", "--quiet", "-m", subject, env=_people(who, committer or who, when))
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        command = ["git", *_SETTINGS, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self.path,
                env={**_clean_environment(), **(env or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except FileNotFoundError as error:
            raise SourceError("git is not installed", hint="Install git 2.39 or newer.") from error
        if done.returncode:
            raise SourceError(
                f"git {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout


_SETTINGS: Final = (
    "-c", "safe.directory=*",
    "-c", "commit.gpgsign=false",
    "-c", "core.autocrlf=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.excludesFile=/dev/null",
    "-c", "core.attributesFile=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
    "-c", "advice.detachedHead=false",
)  # fmt: skip


def _clean_environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name == "GIT_EXEC_PATH"
    }
    mine = {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_EDITOR": "true",
        "LC_ALL": "C",
    }
    # Somebody must stand in the reflog too, also where the machine's own user has no name.
    return {**kept, **mine, **_people(FORGE, FORGE, "2025-09-01 09:00")}


def _people(author: Person, committer: Person, when: str) -> dict[str, str]:
    stamp = f"{when}:00 +0000"
    return {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_AUTHOR_DATE": stamp,
        "GIT_COMMITTER_NAME": committer.name,
        "GIT_COMMITTER_EMAIL": committer.email,
        "GIT_COMMITTER_DATE": stamp,
    }
