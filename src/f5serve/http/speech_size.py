"""Whether speech can be too large for what carries the answer, known before it is made.

A request flows in, a refusal flows out where it is certain that the answer would be cut off on its
way, as RunPod's load balancer does with 30 MB. Anything that may fit is let through.
"""

from __future__ import annotations

from f5serve.errors import InvalidRequest
from f5serve.http.speech_body import SpeechBody
from f5serve.types import AudioFormat

FASTEST_BYTES_PER_S = 40.0
"""Bytes of text in a second of speech that nobody exceeds at speed 1; 15 are usual."""

LEAST_BYTES_PER_S: dict[AudioFormat, int] = {
    "wav": 48_000,
    "pcm": 48_000,
    "flac": 4_000,
    "aac": 4_000,
    "mp3": 2_000,
    "opus": 1_500,
}
"""Bytes of a second of speech at least, by format."""


def check(body: SpeechBody, max_answer_mb: int) -> None:
    """Refuse what cannot fit; 0 is no limit.

    Raises:
        InvalidRequest: ANSWER_TOO_LARGE.
    """
    least_mb = least_bytes(body) / 1e6
    if max_answer_mb and least_mb > max_answer_mb:
        raise InvalidRequest(
            f"The speech would be more than {least_mb:.0f} MB of {body.format}; {max_answer_mb} MB "
            "is the most that reaches a caller here.",
            code="ANSWER_TOO_LARGE",
            hint="Take mp3 or opus, send the text in parts, or have POST /v1/jobs make it.",
        )


def least_bytes(body: SpeechBody) -> float:
    """Bytes that the answer has at least."""
    seconds = len(body.input.encode("utf-8", "replace")) / FASTEST_BYTES_PER_S / (body.speed or 1.0)
    told = 4 / 3 if body.stream_format == "sse" else 1.0
    return seconds * LEAST_BYTES_PER_S[body.format] * told
