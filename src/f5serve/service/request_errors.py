"""Limits of request fields, and pydantic's errors as our own sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from f5serve.alignment.subtitles import FORMATS
from f5serve.audio.decode import DecodeLimits
from f5serve.errors import InvalidRequest
from f5serve.settings import MAX_CHARS
from f5serve.store.json_documents import is_sendable
from f5serve.synthesis.synthesizer import RANGES
from f5serve.text.clean import clean_text
from f5serve.text.cue_files import MAX_FILE_CHARS
from f5serve.text_kinds import VALUES

MAX_SPEAKERS = 100
MAX_PAUSE_S = 30.0
"""Of books."""

MAX_BOOK_CHARS = 70_000_000
"""Of a book in base64."""

MAX_NAME_CHARS = 4_096
"""Longest text in fields for names and URLs."""

MAX_REF_TEXT_CHARS = 10_000
MAX_LANGUAGE_CHARS = 16
MAX_BASE64_CHARS = 2 * DecodeLimits().max_bytes
MAX_TIMEOUT_S = 3600
MAX_JOB_ID_CHARS = 512
_SHOWN_CHARS = 40
_MAX_CHARS = {
    "ref_text": MAX_REF_TEXT_CHARS,
    "subtitles": MAX_FILE_CHARS,
    "language": MAX_LANGUAGE_CHARS,
    "queued_as": MAX_JOB_ID_CHARS,
    "book_file": MAX_BOOK_CHARS,
    **dict.fromkeys(["ref_audio", "voice_file", "text_file"], MAX_BASE64_CHARS),
}
MAX_REQUEST_RULES = 100
"""Rules of pronunciation in one request; more belong into a lexicon of the library."""

_WHOLE = ("seed", "nfe_step", "takes", "timeout_s", "sample_rate", "bit_rate_kbps")
_RULES = f"a list of at most {MAX_REQUEST_RULES} rules such as {{text: SQL, alias: sequel}}"
_PAUSE = f"0 to {MAX_PAUSE_S:g} seconds"
_TAKEN = {
    "normalize": VALUES,
    "lexicon": _RULES,
    **dict.fromkeys(
        ("sentence_pause", "paragraph_pause", "heading_pause", "chapter_pause"), _PAUSE
    ),
    "speakers": f"at most {MAX_SPEAKERS} names, each with a voice, a style or a speed",
    "chapter": "the number of a chapter",
    "revision": "the sha256 of a chapter, in hexadecimal",
    "revisions": "sha256 by name",
    "after": "the number of a chapter",
    "limit": "1 to 200",
    "retakes": "whole numbers by seed",
}
_TEXT = "text without halves of surrogate pairs, which are no characters"


def refusal(error: ErrorDetails, payload: Mapping[str, Any]) -> InvalidRequest:
    """Our error for a field that pydantic refuses."""
    names = [str(part) for part in error["loc"]]
    if names[0] == "text":
        return _text_refusal(payload.get("text"))
    if names[0] == "timing_format":
        return _formats_refusal(payload["timing_format"])
    if names[0] in _TAKEN and names[0] in payload:
        return bad_option(names[0], payload[names[0]], _TAKEN[names[0]])
    name = names[-1]
    value = payload[name] if len(names) == 1 else error["input"]
    kind = error["type"]
    if kind == "literal_error":
        takes = str(error["ctx"]["expected"]).replace("'", "")
    elif kind == "bool_type":
        takes = "true or false"
    elif kind == "string_unicode":
        takes = _TEXT
    elif kind.startswith("string"):
        takes = f"a text of at most {_MAX_CHARS.get(name, MAX_NAME_CHARS):,} characters"
    elif name in RANGES or name == "timeout_s":
        low, high = RANGES.get(name, (1, MAX_TIMEOUT_S))
        is_whole = name in _WHOLE
        takes = (
            f"a whole number from {low:.0f} to {high:.0f}" if is_whole else f"{low:g} to {high:g}"
        )
    else:
        takes = "an object"
    return bad_option(name, value, takes)


def _text_refusal(text: Any) -> InvalidRequest:
    if text is not None and not isinstance(text, str):
        return bad_option("text", text, "a text")
    try:
        clean_text(text or "", MAX_CHARS)
    except InvalidRequest as error:
        return error
    return bad_option("text", text, f"a text of at most {MAX_CHARS:,} characters")


def _formats_refusal(value: Any) -> InvalidRequest:
    given = value if isinstance(value, list) else [value]
    wrong = [one for one in given if not isinstance(one, str) or one.lower() not in FORMATS]
    shown = value if len(given) > len(FORMATS) else wrong[0]
    takes = f"one or a list of {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    return bad_option("timing_format", shown, takes)


def check_job_id(job_id: str) -> str:
    """`job_id`, if a record can hold it.

    Raises:
        InvalidRequest: BAD_OPTION.
    """
    if len(job_id) > MAX_NAME_CHARS:
        raise bad_option("job_id", job_id, f"a text of at most {MAX_NAME_CHARS:,} characters")
    if not is_sendable(job_id):
        raise bad_option("job_id", job_id, _TEXT)
    return job_id


def bad_option(name: str, value: Any, takes: str) -> InvalidRequest:
    """The error for a field that cannot be used."""
    shown = repr(value[: _SHOWN_CHARS + 1] if isinstance(value, str) else value)
    if len(shown) > _SHOWN_CHARS:
        shown = shown[:_SHOWN_CHARS] + "..."
    return InvalidRequest(f"{name} is {shown}.", code="BAD_OPTION", hint=f"It takes {takes}.")
