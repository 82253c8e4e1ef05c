"""Plans a request as utterances: chunks of its text, each with a length and a seed.

The length of a line follows upstream: new text is spoken at the pace of the reference, counted in
bytes of UTF-8, so that a Chinese character (3 bytes) lasts as long as three Latin letters, which
is about right, and scripts can be mixed. Short lines differ:
docs/decisions/0002-minimum-duration-of-short-texts.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from f5serve.text.mapped_text import MappedText
from f5serve.text.markup import without_emoji
from f5serve.text.pinyin import spoken_bytes
from f5serve.text.split import split_lead, split_text
from f5serve.types import (
    FRAMES_PER_SECOND,
    MAX_DURATION_FRAMES,
    Span,
    SpeechRequest,
    Utterance,
    Voice,
    samples_to_frames,
)

MAX_UTTERANCE_S = 22.0
"""Reference and speech together, at speed 1, that upstream makes in one go."""

SHORT_LINE_FRAMES = 1.2 * FRAMES_PER_SECOND
"""A shorter line is lengthened halfway to this."""

FIRST_CHUNK_S = (1.5, 3.0)
"""How long the first utterance of a quick start lasts: long enough to sound like the others, and
to cover the making of the second."""

MAX_SEED = 2**31 - 1


def plan_utterances(
    request: SpeechRequest, spoken: MappedText, max_text_bytes: int, seed: int, language: str = ""
) -> list[Utterance]:
    """Cut what is spoken into utterances and give each its length and its seed.

    Args:
        request: voice, speed and sampling options, and the text as it was written.
        spoken: the words for it, as `spoken_text` returns them, with spans in `request.text`.
        max_text_bytes: the engine's own limit for the text of one utterance.
        seed: of the whole request, 0..2**31-1.
        language: of the text, ISO 639-1; decides which full stops end no sentence.
    """
    text = spoken.text
    voice, options = request.voice, request.options
    max_bytes = max(1, min(max_text_bytes, text_budget_bytes(voice, options.speed)))
    chunks = split_text(text, max_bytes, language)
    if request.quick_start:
        pace = bytes_per_s(voice) * options.speed
        least, most = (max(1, int(pace * seconds)) for seconds in FIRST_CHUNK_S)
        lead, rest = split_lead(text, least, min(most, max_bytes), language)
        chunks = [lead, *split_text(rest, max_bytes, language)] if rest else chunks
    return [
        Utterance(
            text=chunk,
            voice=voice,
            duration_frames=duration_frames(voice, chunk, options.speed),
            seed=derive_seed(str(seed), index),
            options=options,
            **_source(request.text, spoken, place),
        )
        for index, (chunk, place) in enumerate(_places(text, chunks))
    ]


def _places(text: str, chunks: Sequence[str]) -> Iterator[tuple[str, Span]]:
    """Each chunk, and where it is in the text that was cut."""
    end = 0
    for chunk in chunks:
        start = text.index(chunk, end)
        end = start + len(chunk)
        yield chunk, (start, end)


def _source(written: str, spoken: MappedText, place: Span) -> dict[str, Any]:
    """What was written for a part of what is spoken; nothing where they are the same."""
    start, end = spoken.source_span(*place)
    if written[start:end] == spoken.text[slice(*place)]:
        return {}
    spans = tuple((a - start, b - start) for a, b in spoken.spans[slice(*place)])
    return {"written": written[start:end], "spans": spans}


def text_budget_bytes(voice: Voice, speed: float) -> int:
    """Bytes of text that fit beside the reference, by upstream's rule."""
    return int(bytes_per_s(voice) * (MAX_UTTERANCE_S - voice.wave.duration_s) * speed)


def bytes_per_s(voice: Voice) -> float:
    """Bytes of text in a second of the reference."""
    return spoken_bytes(voice.ref_text) / voice.wave.duration_s


def duration_frames(voice: Voice, text: str, speed: float) -> int:
    """Mel frames of the reference and `text` together, at most `MAX_DURATION_FRAMES`.

    Emoji take no time: ten of them have more bytes than a sentence.
    """
    reference_frames = samples_to_frames(len(voice.wave.samples))
    frames = reference_frames / spoken_bytes(spoken_ref_text(voice))
    frames *= spoken_bytes(without_emoji(text))
    lengthened = max(frames, (frames + SHORT_LINE_FRAMES) / 2)
    return min(reference_frames + max(1, int(lengthened / speed)), MAX_DURATION_FRAMES)


def spoken_ref_text(voice: Voice) -> str:
    """The reference's words as they precede new text: a space between, unless Chinese ends them."""
    text = without_emoji(voice.ref_text) or voice.ref_text
    return text + " " if text[-1].isascii() else text


def derive_seed(job_id: str, *parts: str | int | float) -> int:
    """A seed, 0..2**31-1, that is the same for the same arguments on every machine.

    The first 31 bits of the SHA-256 of the arguments, written as text with a NUL between them.
    """
    joined = "\0".join([job_id, *map(str, parts)]).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(joined).digest()[:4], "big") & MAX_SEED
