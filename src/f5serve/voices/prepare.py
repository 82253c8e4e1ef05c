"""An uploaded recording and its transcript to a voice that can be cloned.

In flow bytes and words, out flows a `Voice` whose words are those of exactly its audio; whatever
would make the two differ is refused. Where voices are kept and what they say is not known here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from f5serve.audio.decode import decode
from f5serve.audio.edit import (
    levels_db,
    speech_threshold_db,
    trim_edges,
    without_low_sound,
    without_offset,
)
from f5serve.audio.encode_file import to_pcm16
from f5serve.errors import BadAudio, InvalidRequest
from f5serve.text.normalize import clean_text
from f5serve.types import Voice, Wave
from f5serve.units import MAX_REFERENCE_S
from f5serve.voices.cut import CLAUSE_ENDS, CLOSING, cut_at_words, cut_together
from f5serve.voices.hearing import NOBODY, Hearing, refuse_other_words
from f5serve.voices.notes import told_of

MIN_REFERENCE_S = 1.0
MIN_SPEECH_S = 0.6
"""Least time above the level of silence."""

SILENT_DBFS = -60.0
"""A recording whose loudest moment is below this holds nothing to imitate."""

LOW_HZ = 250.0
"""Below it lies the hum of mains and its first harmonics; what tells words apart lies above."""

LEVEL_WINDOW_S = 0.05
MIN_SPREAD_DB = 1.5
"""Between quiet and loud windows of speech lie 20 dB and more, 3 in noise as loud as it is; of hum
and noise alone, 0.7."""

MIN_CONFIDENCE = 0.5
"""Of a transcript that a recogniser wrote: below it, it was music, noise or another language."""

MAX_REF_TEXT_CHARS = 3_000
LETTERS_PER_S = (1.0, 40.0)
"""Slower or faster than anybody speaks, in any script: words and sound do not belong together."""

_SENTENCE_ENDS = ".!?…。！？．।॥؟۔։።។"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A voice, and how sure the recogniser is that wrote its words; None when they came with it."""

    voice: Voice
    confidence: float | None = None


def prepare_voice(
    name: str, data: bytes, ref_text: str, language: str = "", hearing: Hearing = NOBODY
) -> Voice:
    """Make a voice of a recording (any format that `decode` reads) and the words spoken in it.

    Edges are trimmed. Of more than 12 s the leading sentences are kept, with their words, if it
    can be told where they end: by the pauses, else by listening; else the recording is refused.

    Args:
        name: what the voice is called.
        data: the recording.
        ref_text: its transcript; a full stop is added where it ends without punctuation. Empty
            where somebody who hears is to write it.
        language: ISO 639-1 code, or "" when unknown.
        hearing: who listens.

    Raises:
        BadAudio: a code of audio/refusals.py, AUDIO_SILENT, AUDIO_TOO_SHORT, AUDIO_NO_SPEECH,
            REFERENCE_TOO_LONG, REF_TEXT_MISMATCH or NOT_UNDERSTOOD.
        InvalidRequest: code REF_TEXT_REQUIRED, or one of `clean_text`.
        ModelUnavailable: somebody was to hear it and cannot.
    """
    return prepare(name, data, ref_text, language, hearing).voice


def prepare(
    name: str, data: bytes, ref_text: str, language: str = "", hearing: Hearing = NOBODY
) -> Prepared:
    """As `prepare_voice`, and where the words come from."""
    is_told = bool(ref_text.strip()) or hearing.hear is None
    text = clean_ref_text(ref_text) if is_told else ""
    wave = trim_edges(without_offset(decode(data)))
    _refuse_silence(wave)
    _refuse_steady_sound(wave)
    if not is_told:
        return _recognised(name, wave, language, hearing)
    if wave.duration_s > MAX_REFERENCE_S:
        wave, text = _shorten(wave, text, language, hearing)
    _refuse_impossible_pace(wave, text)
    if hearing.compare is not None and hearing.max_error_rate:
        found = hearing.compare(wave, text, language)
        refuse_other_words(found, hearing.max_error_rate)
    voice = make_voice(name, wave, text, language)
    return Prepared(replace(voice, warnings=told_of(voice, is_unread=False)))


def _recognised(name: str, wave: Wave, language: str, hearing: Hearing) -> Prepared:
    """A voice whose words are those that are heard."""
    heard = hearing.hear(wave, language) if hearing.hear else None
    if heard is None:
        raise _words_required(f"The recogniser of this worker does not understand {language!r}:")
    if not any(map(str.isalnum, heard.text)) or heard.confidence < MIN_CONFIDENCE:
        raise BadAudio(
            "What is said in the recording is not understood"
            f" (confidence {heard.confidence:.2f}, {MIN_CONFIDENCE:g} is needed).",
            code="NOT_UNDERSTOOD",
            hint="Send the words spoken in it as ref_text.",
        )
    text = clean_ref_text(heard.text)
    if wave.duration_s > MAX_REFERENCE_S:
        cut = cut_at_words(wave, text, heard.words, MAX_REFERENCE_S)
        if cut is None:
            raise _too_long(wave)
        wave, text = cut[0], clean_ref_text(cut[1])
    _refuse_impossible_pace(wave, text)
    voice = make_voice(name, wave, text, language or heard.language)
    return Prepared(replace(voice, warnings=told_of(voice, is_unread=True)), heard.confidence)


def _shorten(wave: Wave, text: str, language: str, hearing: Hearing) -> tuple[Wave, str]:
    cut = cut_together(wave, text, MAX_REFERENCE_S)
    if cut is None and hearing.words_of is not None:
        cut = cut_at_words(wave, text, hearing.words_of(wave, text, language), MAX_REFERENCE_S)
    if cut is None:
        raise _too_long(wave)
    return cut[0], clean_ref_text(cut[1])


def make_voice(name: str, wave: Wave, ref_text: str, language: str = "") -> Voice:
    """A voice of audio and words that are canonical already; its samples become 16-bit exact."""
    pcm = to_pcm16(wave)
    exact = Wave(pcm.astype(np.float32) / np.float32(32_768.0), wave.sample_rate)
    revision = hashlib.sha256(pcm.tobytes() + b"\0" + ref_text.encode()).hexdigest()
    return Voice(name, exact, ref_text, revision, language)


def clean_ref_text(ref_text: str) -> str:
    """The transcript as one clean line that ends with punctuation.

    Raises:
        InvalidRequest: code REF_TEXT_REQUIRED when there are no words in it.
    """
    try:
        text = clean_text(ref_text, MAX_REF_TEXT_CHARS)
    except InvalidRequest as error:
        if error.code != "EMPTY_TEXT":
            raise
        raise _words_required("No speech recogniser is installed:") from None
    if text.rstrip(CLOSING).endswith(tuple(_SENTENCE_ENDS)):
        return text
    text = text.rstrip(CLAUSE_ENDS + " ")
    return text + ("。" if "\u3040" <= text[-1] <= "\u9fff" else ".")


def _words_required(reason: str) -> InvalidRequest:
    return InvalidRequest(
        "The transcript of the reference recording is required.",
        code="REF_TEXT_REQUIRED",
        hint=f"{reason} send the words spoken in it as ref_text.",
    )


def _refuse_silence(wave: Wave) -> None:
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


def _refuse_steady_sound(wave: Wave) -> None:
    """Refuse hum and noise alone: speech has loud and quiet moments, above the hum of mains."""
    levels = levels_db(without_low_sound(wave, LOW_HZ), LEVEL_WINDOW_S)
    quiet, loud = np.percentile(levels, (5, 95))
    if loud < SILENT_DBFS or loud - quiet < MIN_SPREAD_DB:
        raise BadAudio(
            "There is no speech in the recording, only a sound that does not change.",
            code="AUDIO_NO_SPEECH",
            hint="Check which microphone is used and its cable, and record again.",
        )


def _too_long(wave: Wave) -> BadAudio:
    return BadAudio(
        f"The recording lasts {wave.duration_s:.1f} s; {MAX_REFERENCE_S:g} s is the most that can"
        " be cloned from, and which words a shorter part of it holds cannot be told.",
        code="REFERENCE_TOO_LONG",
        hint="Send a clip of 4 to 12 s with the transcript of exactly that clip.",
    )


def _refuse_impossible_pace(wave: Wave, text: str) -> None:
    pace = sum(map(str.isalnum, text)) / wave.duration_s
    slowest, fastest = LETTERS_PER_S
    if not slowest <= pace <= fastest:
        raise BadAudio(
            f"The transcript does not belong to the recording: {pace:.1f} letters a second are"
            f" {'slower' if pace < slowest else 'faster'} than anybody speaks.",
            code="REF_TEXT_MISMATCH",
            hint="Send the words of the whole recording, and no others.",
        )
