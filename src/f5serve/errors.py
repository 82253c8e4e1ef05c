"""Every error that f5serve raises on purpose.

    F5Error
    ├── InvalidRequest     what was asked cannot be done as asked      exit 3
    ├── BadAudio           a recording cannot be used                  exit 3
    ├── ModelUnavailable   weights are missing, wrong or not permitted exit 4
    ├── StorageFailed      a disk, bucket or hub did not do its part   exit 5
    │   └── KeyMissing     the store works and holds nothing under a key
    └── EngineFailed       the device failed while computing           exit 6

Callers distinguish errors by `code`, which is stable, never by the sentence. `hint` says what to
do about it. Neither holds a traceback, a secret or, over a network, a path.
"""

from __future__ import annotations

import errno
from typing import Any, ClassVar


class F5Error(Exception):
    """One sentence for the person who met it, a stable code, and what to do.

    Args:
        message: what happened, with the value that caused it; one sentence, ends with a full stop.
        code: stable upper-case name, e.g. `EMPTY_TEXT`.
        hint: what to do about it; a sentence, or empty when there is nothing to add.
        retryable: True when the same call may work later unchanged.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, code: str, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.retryable = retryable

    def as_dict(self) -> dict[str, str]:
        """The shape of an error in every answer: error, code and hint."""
        return {"error": self.message, "code": self.code, "hint": self.hint}

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors come back from other processes as they were raised there."""
        return _revived, (type(self), self.args, self.__dict__)


def _revived(kind: type[F5Error], args: tuple[Any, ...], state: dict[str, Any]) -> F5Error:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidRequest(F5Error):
    """What was asked cannot be done as asked: empty text, an unknown option, a wrong type."""

    exit_code = 3


class BadAudio(F5Error):
    """A recording cannot be used: not audio, too long, silent, damaged or larger than declared."""

    exit_code = 3


class ModelUnavailable(F5Error):
    """Weights are missing, damaged, of another architecture, or not permitted by licence."""

    exit_code = 4


class StorageFailed(F5Error):
    """A disk is full or unwritable, or a bucket or hub did not answer as it should."""

    exit_code = 5


class KeyMissing(StorageFailed):
    """The store answered, and holds nothing under this key; `code` is KEY_MISSING."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The store has nothing under {key!r}.",
            code="KEY_MISSING",
            hint="Check the name; an object from another machine may need some seconds to appear.",
        )
        self.key = key


class EngineFailed(F5Error):
    """The device failed while computing: out of memory, or a result that is not finite."""

    exit_code = 6


TOO_MANY_FILES = "TOO_MANY_OPEN_FILES"


def means_too_many_files(error: BaseException) -> bool:
    """Whether the process, or the machine, may open no more files and connections."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def too_many_files() -> StorageFailed:
    """The error for that."""
    return StorageFailed(
        "No more files and connections can be opened.",
        code=TOO_MANY_FILES,
        hint="Try again later; raise the limit of open files (ulimit -n, LimitNOFILE=) when it "
        "stays.",
        retryable=True,
    )


def means_full(error: OSError) -> bool:
    """Whether a disk, a quota or a limit on file sizes was met."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
