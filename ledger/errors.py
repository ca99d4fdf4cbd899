"""Every error that a person can meet: what failed, where, whose fault, what to do next."""

from __future__ import annotations


class LedgerError(Exception):
    """Base of all errors that are shown to a person as one clear message, never as a traceback.

    `hint` says what to do next; `exit_code` is the process's exit status.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(LedgerError):
    """The question or the configuration cannot be understood as written."""

    exit_code = 2


class NotFoundError(LedgerError):
    """Nothing recorded answers to that name."""

    exit_code = 3


class AmbiguousError(LedgerError):
    """Several recorded things answer to that name."""

    exit_code = 4


class SourceError(LedgerError):
    """A source could not be read; `retryable` when trying again later may help."""

    exit_code = 5

    def __init__(self, message: str, *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable


class QueryError(LedgerError):
    """An auditor's SQL was refused or failed."""

    exit_code = 6


class StoreError(LedgerError):
    """The database cannot be used: missing, of another version, locked or read-only."""

    exit_code = 7


class DeniedError(StoreError):
    """The database user may not do that."""


class IntegrityError(LedgerError):
    """Stored evidence is not what was recorded. Never swallowed."""

    exit_code = 1
