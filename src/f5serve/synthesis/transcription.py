"""Transcribes recordings of any length up to `LONG`, piece by piece.

    recording -> pieces that end in pauses -> a transcript of each -> times of its words

Pieces of several recordings take turns, so that a short one does not wait for a long one to end.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from f5serve.alignment.aligners import Aligners
from f5serve.alignment.subtitles import gap_between
from f5serve.asr_types import Recogniser, Transcript, TranscriptSegment
from f5serve.audio.decode import LONG
from f5serve.audio.pieces import Piece, decode_pieces, halve
from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.process import Check
from f5serve.types import Wave, WordTiming

_log = logging.getLogger(__name__)

SAMPLE_RATE = 16_000
"""Of the pieces, Hz: what Whisper hears."""

WHOLE_S = 8.0
"""A piece that lasts longer is halved where the recogniser seems to repeat itself."""


@dataclass(frozen=True, slots=True)
class TranscriptionOptions:
    """How a recording is transcribed.

    Attributes:
        language: that is spoken, ISO 639-1; "" is detected in the first piece with words.
        prompt: see `Recogniser.transcribe`; it is used for each piece.
        word_times: whether words are timed as well.
        translate: whether the words are written in English, whatever is spoken.
    """

    language: str = ""
    prompt: str = ""
    word_times: bool = False
    translate: bool = False


@dataclass(frozen=True, slots=True)
class TranscribedPiece:
    """What was understood of one piece, with times in the recording.

    Attributes:
        end_s: of the piece; of the last one, the duration of the recording.
        language: ISO 639-1.
        segments: their texts, joined, are the text of the whole: each begins with its gap.
        words: empty unless asked for.
    """

    end_s: float
    language: str
    segments: tuple[TranscriptSegment, ...]
    words: tuple[WordTiming, ...]


def check_language(recogniser: Recogniser, language: str) -> None:
    """Refuse a language that the recogniser does not know; "" is none.

    Raises:
        InvalidRequest: UNKNOWN_LANGUAGE.
    """
    if language and not recogniser.supports(language):
        raise InvalidRequest(
            f"The recogniser {recogniser.model} does not understand {language!r}.",
            code="UNKNOWN_LANGUAGE",
            hint="Use one that supports many languages, e.g. F5_RECOGNISER=large-v3-turbo.",
        )


def check_translation(recogniser: Recogniser) -> None:
    """Refuse to translate with a recogniser that was not trained to.

    Raises:
        InvalidRequest: TRANSLATION_NOT_SUPPORTED.
    """
    if not recogniser.can_translate:
        raise InvalidRequest(
            f"The recogniser {recogniser.model} cannot translate.",
            code="TRANSLATION_NOT_SUPPORTED",
            hint="Use one that was trained to, e.g. F5_RECOGNISER=large-v3; those in .en and turbo"
            " were not. /v1/audio/transcriptions writes down what is said.",
        )


def transcribe_pieces(
    recogniser: Recogniser,
    aligners: Aligners,
    data: bytes,
    options: TranscriptionOptions,
    check: Check | None = None,
) -> Iterator[TranscribedPiece]:
    """Understand a recording; at least one piece.

    Args:
        aligners: time the words, more exactly than the recogniser, whose times are used else.
        data: the file; see `LONG`.
        check: called before each piece and while one waits; what it raises ends the work.

    Raises:
        InvalidRequest: UNKNOWN_LANGUAGE, TRANSLATION_NOT_SUPPORTED.
        BadAudio: as `decode`, before the first piece.
        ModelUnavailable: as `Recogniser.transcribe`.
    """
    check_language(recogniser, options.language)
    if options.translate:
        check_translation(recogniser)
    last = ""
    for piece in decode_pieces(data, LONG, SAMPLE_RATE, check):
        for part, found in _transcribe(recogniser, piece, options, check):
            if found.text:
                options = replace(options, language=options.language or found.language)
            segments = []
            for one in found.segments:
                if text := " ".join(one.text.split()):
                    gap = gap_between(last, text) if last else ""
                    segments.append(_moved(one, gap + text, part.start_s))
                    last = text
            end_s = part.start_s + part.wave.duration_s
            timed = found.words
            if not options.translate:  # the words of a translation are not in the sound
                timed = tuple(_aligned(aligners, part.wave, found, check)) or timed
            words = tuple(_word(word, part.start_s, end_s) for word in timed)
            yield TranscribedPiece(end_s, found.language, tuple(segments), words)


def _transcribe(
    recogniser: Recogniser, piece: Piece, options: TranscriptionOptions, check: Check | None
) -> Iterator[tuple[Piece, Transcript]]:
    """A piece, or its parts: what is said twice is none of the model's loops in a short one."""
    if check is not None:
        check()
    found = recogniser.transcribe(
        piece.wave,
        options.language,
        word_times=options.word_times,
        prompt=options.prompt,
        translate=options.translate,
        check=check,
    )
    if found.is_cut and piece.wave.duration_s > WHOLE_S:
        for half in halve(piece):
            yield from _transcribe(recogniser, half, options, check)
    else:
        yield piece, found


def _aligned(
    aligners: Aligners, wave: Wave, found: Transcript, check: Check | None
) -> Sequence[WordTiming]:
    """The words of a transcript by an aligner; none where it has no times or no aligner does."""
    if not found.words:
        return ()
    try:
        return aligners.align(wave, found.text, found.language, check).words
    except ModelUnavailable as error:  # less exact times are better than no transcript
        _log.warning("words are timed by the recogniser: %s", error.message)
        return ()


def _moved(segment: TranscriptSegment, text: str, by_s: float) -> TranscriptSegment:
    return replace(segment, text=text, start_s=segment.start_s + by_s, end_s=segment.end_s + by_s)


def _word(word: WordTiming, by_s: float, end_s: float) -> WordTiming:
    """The word in the recording; the model may time it behind the end of its piece."""
    return replace(
        word, start_s=min(word.start_s + by_s, end_s), end_s=min(word.end_s + by_s, end_s)
    )
