"""Prepares a reference recording and its transcript as a `Voice`, and checks that they match."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np

from f5serve.asr_types import Transcript, WordErrors
from f5serve.audio.decode import decode
from f5serve.audio.edit import (
    levels_db,
    speech_threshold_db,
    trim_edges,
    without_low_sound,
    without_offset,
)
from f5serve.audio.encode import read_wav, to_pcm16
from f5serve.errors import BadAudio, InvalidRequest
from f5serve.text.clean import clean_text
from f5serve.types import MAX_REFERENCE_S, Voice, Wave, WordTiming
from f5serve.voices.names import DEFAULT_NAME
from f5serve.voices.transcripts import transcript_warnings
from f5serve.voices.trim import CLAUSE_ENDS, CLOSING, trim_by_pauses, trim_by_words

MIN_REFERENCE_S = 1.0
MIN_SPEECH_S = 0.6
"""Least time above the level of silence."""

SILENT_DBFS = -60.0
"""A recording whose loudest moment is below this is refused as silent."""

LOW_HZ = 250.0
"""Mains hum and its first harmonics are below this; what distinguishes words is above."""

LEVEL_WINDOW_S = 0.05
MIN_SPREAD_DB = 1.5
"""Least difference between loud and quiet windows: 20 dB and more in speech, 3 dB in speech with
noise as loud as it is, 0.7 dB in hum and noise alone."""

MIN_CONFIDENCE = 0.5
"""Of a recognised transcript; below it, it was music, noise or another language."""

MAX_REF_TEXT_CHARS = 3_000
LETTERS_PER_S = (1.0, 40.0)
"""No person speaks slower or faster in any script: the transcript is not of this recording."""

MAX_ERROR_RATE = 0.5
"""Word error rate up to which a transcript is accepted: a small recogniser gets up to a third of
the words of an unusual voice wrong, and nearly all words of a wrong transcript."""

MIN_ERRORS = 3
"""With fewer word errors, a transcript is always accepted."""

_SHOWN = 3
_SHOWN_CHARS = 60
_SENTENCE_ENDS = ".!?…。！？．।॥؟۔։።။"


@dataclass(frozen=True, slots=True)
class Transcriber:
    """Functions of speech recognition and alignment; None where they are not installed.

    Attributes:
        transcribe: wave and language ("" if unknown) to transcript with word times; None for a
            language that is not supported.
        compare: wave, text and language to word errors; None if they cannot be counted.
        align: wave, text and language to the words of the text with times, in order; empty if it
            fails, confidence 0 for a single word whose time is unknown.
        max_error_rate: word error rate up to which a transcript is accepted; 0 accepts all.
    """

    transcribe: Callable[[Wave, str], Transcript | None] | None = None
    compare: Callable[[Wave, str, str], WordErrors | None] | None = None
    align: Callable[[Wave, str, str], Sequence[WordTiming]] | None = None
    max_error_rate: float = MAX_ERROR_RATE


NO_TRANSCRIBER = Transcriber()


@dataclass(frozen=True, slots=True)
class PreparedVoice:
    """A voice; `confidence` is the recogniser's, None if the transcript came with the recording."""

    voice: Voice
    confidence: float | None = None


@functools.cache
def default_voice() -> Voice:
    """The packaged voice: a recording in the public domain, see data/SOURCE.md."""
    data = resources.files("f5serve.voices") / "data"
    wave = read_wav((data / "default.wav").read_bytes())  # prepared already: no decoder is started
    ref_text = (data / "default.txt").read_text(encoding="utf-8").strip()
    return make_voice(DEFAULT_NAME, wave, ref_text, language="en")


def make_voice(name: str, wave: Wave, ref_text: str, language: str = "") -> Voice:
    """A voice from canonical audio and transcript; samples are rounded to 16 bits."""
    pcm = to_pcm16(wave.samples)
    exact = Wave(pcm.astype(np.float32) / np.float32(32_768.0), wave.sample_rate)
    revision = hashlib.sha256(pcm.tobytes() + b"\0" + ref_text.encode()).hexdigest()
    return Voice(name, exact, ref_text, revision, language)


def prepare_voice(
    name: str,
    data: bytes,
    ref_text: str,
    language: str = "",
    transcriber: Transcriber = NO_TRANSCRIBER,
) -> PreparedVoice:
    """Make a voice from a recording and its transcript.

    Silence at both ends is removed. A recording of more than 12 s is cut after a sentence together
    with its transcript, if the place is found by its pauses or by alignment; else it is refused.

    Args:
        name: of the voice.
        data: the recording, in any format that `decode` reads.
        ref_text: transcript; a full stop is added if it ends without punctuation. Empty if
            `transcriber` is to write it.
        language: ISO 639-1 code, or "" if unknown.

    Raises:
        BadAudio: a code of audio/decode.py, AUDIO_SILENT, AUDIO_TOO_SHORT, AUDIO_NO_SPEECH,
            REFERENCE_TOO_LONG, REF_TEXT_MISMATCH or NOT_UNDERSTOOD.
        InvalidRequest: code REF_TEXT_REQUIRED, or one of `clean_text`.
        ModelUnavailable: the recogniser's model cannot be loaded.
    """
    has_text = bool(ref_text.strip()) or transcriber.transcribe is None
    text = clean_ref_text(ref_text) if has_text else ""
    wave = read_speech(data)
    if not has_text:
        return _transcribed(name, wave, language, transcriber)
    if wave.duration_s > MAX_REFERENCE_S:
        cut = trim_by_pauses(wave, text, MAX_REFERENCE_S)
        if cut is None and transcriber.align is not None:
            words = transcriber.align(wave, text, language)
            cut = trim_by_words(wave, text, words, MAX_REFERENCE_S)
        wave, text = _trimmed(wave, cut)
    _check_letter_rate(wave, text)
    if transcriber.compare is not None and transcriber.max_error_rate:
        _check_errors(transcriber.compare(wave, text, language), transcriber.max_error_rate)
    voice = make_voice(name, wave, text, language)
    return PreparedVoice(replace(voice, warnings=transcript_warnings(voice, is_unread=False)))


def read_speech(data: bytes) -> Wave:
    """The speech of a recording, without silence at both ends.

    Raises:
        BadAudio: a code of audio/decode.py, AUDIO_SILENT, AUDIO_TOO_SHORT or AUDIO_NO_SPEECH.
    """
    wave = trim_edges(without_offset(decode(data)))
    _check_speech(wave)
    _check_dynamics(wave)
    return wave


def clean_ref_text(ref_text: str) -> str:
    """The transcript as one clean line that ends with punctuation.

    Raises:
        InvalidRequest: code REF_TEXT_REQUIRED if it has no words.
    """
    try:
        text = clean_text(ref_text, MAX_REF_TEXT_CHARS)
    except InvalidRequest as error:
        if error.code != "EMPTY_TEXT":
            raise
        raise _text_required("No speech recogniser is installed:") from None
    if text.rstrip(CLOSING).endswith(tuple(_SENTENCE_ENDS)):
        return text
    text = text.rstrip(CLAUSE_ENDS + " ")
    return text + ("。" if "\u3040" <= text[-1] <= "\u9fff" else ".")


def _transcribed(name: str, wave: Wave, language: str, transcriber: Transcriber) -> PreparedVoice:
    """A voice with a recognised transcript."""
    found = transcriber.transcribe(wave, language) if transcriber.transcribe else None
    if found is None:
        raise _text_required(f"The recogniser of this worker does not understand {language!r}:")
    if not any(map(str.isalnum, found.text)) or found.confidence < MIN_CONFIDENCE:
        raise BadAudio(
            "The recording cannot be understood"
            f" (confidence {found.confidence:.2f}, {MIN_CONFIDENCE:g} is needed).",
            code="NOT_UNDERSTOOD",
            hint="Send the words spoken in it as ref_text.",
        )
    text = clean_ref_text(found.text)
    if wave.duration_s > MAX_REFERENCE_S:
        wave, text = _trimmed(wave, trim_by_words(wave, text, found.words, MAX_REFERENCE_S))
    _check_letter_rate(wave, text)
    voice = make_voice(name, wave, text, language or found.language)
    voice = replace(voice, warnings=transcript_warnings(voice, is_unread=True))
    return PreparedVoice(voice, found.confidence)


def _trimmed(wave: Wave, cut: tuple[Wave, str] | None) -> tuple[Wave, str]:
    if cut is None:
        raise BadAudio(
            f"The recording lasts {wave.duration_s:.1f} s; {MAX_REFERENCE_S:g} s is the most that"
            " can be cloned from, and the words of a shorter part of it are not known.",
            code="REFERENCE_TOO_LONG",
            hint="Send a clip of 4 to 12 s with the transcript of exactly that clip.",
        )
    return cut[0], clean_ref_text(cut[1])


def _text_required(reason: str) -> InvalidRequest:
    return InvalidRequest(
        "The transcript of the reference recording is required.",
        code="REF_TEXT_REQUIRED",
        hint=f"{reason} send the words spoken in it as ref_text.",
    )


def _check_speech(wave: Wave) -> None:
    levels = levels_db(wave)
    if not len(levels) or float(levels.max()) < SILENT_DBFS:
        raise BadAudio(
            "The recording is silent.",
            code="AUDIO_SILENT",
            hint="Check the microphone and record again.",
        )
    speech_s = wave.duration_s * float(np.mean(levels > speech_threshold_db(wave)))
    if wave.duration_s < MIN_REFERENCE_S or speech_s < MIN_SPEECH_S:
        raise BadAudio(
            f"The recording holds {min(speech_s, wave.duration_s):.2f} s of speech;"
            f" at least {MIN_REFERENCE_S:g} s is needed.",
            code="AUDIO_TOO_SHORT",
            hint="Record 4 to 8 s of one person speaking.",
        )


def _check_dynamics(wave: Wave) -> None:
    """Refuse hum and noise alone: speech has loud and quiet moments above the hum."""
    levels = levels_db(without_low_sound(wave, LOW_HZ), LEVEL_WINDOW_S)
    quiet, loud = np.percentile(levels, (5, 95))
    if loud < SILENT_DBFS or loud - quiet < MIN_SPREAD_DB:
        raise BadAudio(
            "There is no speech in the recording, only a constant sound.",
            code="AUDIO_NO_SPEECH",
            hint="Check which microphone is used and its cable, and record again.",
        )


def _check_letter_rate(wave: Wave, text: str) -> None:
    rate = sum(map(str.isalnum, text)) / wave.duration_s
    slowest, fastest = LETTERS_PER_S
    if not slowest <= rate <= fastest:
        raise BadAudio(
            f"The transcript does not belong to the recording: {rate:.1f} letters a second are"
            f" {'slower' if rate < slowest else 'faster'} than anybody speaks.",
            code="REF_TEXT_MISMATCH",
            hint="Send the words of the whole recording, and no others.",
        )


def _check_errors(found: WordErrors | None, max_error_rate: float) -> None:
    """Refuse a transcript whose word error rate against the audio is too high."""
    if found is None or found.errors < MIN_ERRORS or found.rate <= max_error_rate:
        return
    shown = "; ".join(_difference(*pair) for pair in found.differing[:_SHOWN])
    raise BadAudio(
        "The transcript does not fit the recording:"
        f" {found.errors} errors in {found.words} words; {shown}.",
        code="REF_TEXT_MISMATCH",
        hint="Send the exact words of the whole recording; F5_TRANSCRIPT_WER=0 switches this check"
        " off.",
    )


def _difference(expected: str, found: str) -> str:
    if not found:
        return f"{_shortened(expected)} is not heard"
    if not expected:
        return f"{_shortened(found)} is heard as well"
    return f"{_shortened(expected)} is heard as {_shortened(found)}"


def _shortened(words: str) -> str:
    return repr(words if len(words) <= _SHOWN_CHARS else words[:_SHOWN_CHARS].rstrip() + "...")
