"""Log formats: JSON lines, one object each with the id of its job, or text for a terminal.

Values of secret variables and the signatures of URLs are removed from every line. The text of a
request is kept out by the code that logs; `quotes` finds it in messages that others composed.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

JOB_ID: ContextVar[str] = ContextVar("job_id", default="")
"""The job that the current task works for; threads started by asyncio inherit it."""

_SIGNED = re.compile(r"(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"'\\]+", re.IGNORECASE)
_LEVELS = {"WARNING": "WARN"}  # as RunPod's log viewer knows it
_PIECE = 8
_LONGEST_LEAF = 20_000


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: time, level, job_id, logger, message.

    Args:
        secrets: values that are replaced wherever they occur.
    """

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """One line; control characters are escaped by JSON itself."""
        at = time.gmtime(record.created)
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', at)}.{int(record.msecs):03d}Z",
            "level": _LEVELS.get(record.levelname, record.levelname),
        }
        job_id = getattr(record, "job_id", "") or JOB_ID.get()
        if job_id:
            # RunPod's log viewer files a line under its request by this second name.
            line |= {"job_id": job_id, "requestId": job_id}
        line |= {"logger": record.name, "message": self._clean(record.getMessage())}
        if record.exc_info:
            line["traceback"] = self._clean(self.formatException(record.exc_info))
        return json.dumps(line)

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _SIGNED.sub(r"\1***", text)


class TextLines(JsonLines):
    """Formats a record as a line for people: time, level if it is worth a look, job, message."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback below it."""
        line = json.loads(super().format(record))
        job_id = f" [{line['job_id']}]" if "job_id" in line else ""
        level = "" if record.levelno == logging.INFO else f" {line['level']}"
        # An escape sequence in a message would be obeyed by the terminal.
        message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line["message"])
        text = (
            f"{time.strftime('%H:%M:%S', time.localtime(record.created))}{level}{job_id} {message}"
        )
        return f"{text}\n{line['traceback']}" if "traceback" in line else text


def set_up_logging(level: str, secrets: tuple[str, ...] = (), *, as_text: bool = False) -> None:
    """Send every log record of this process to standard error as JSON lines or text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines(secrets) if as_text else JsonLines(secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("asyncio", "urllib3", "botocore", "boto3", "s3transfer", "httpx2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def quotes(message: str, payload: object) -> bool:
    """Whether `message` repeats a piece of what `payload` says, so that it cannot be logged."""
    pieces = {message[at : at + _PIECE] for at in range(max(len(message) - _PIECE + 1, 0))}
    for leaf in _strings(payload):
        if len(leaf) < _PIECE:
            if len(leaf) > 2 and leaf in message:
                return True
        elif any(piece in leaf[:_LONGEST_LEAF] for piece in pieces):
            return True
    return False


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
