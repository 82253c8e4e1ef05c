"""An uploaded recording and its transcript to a voice that can be cloned.

In flow bytes and words, out flows a `Voice` whose words are those of exactly its audio; whatever
would make the two differ is refused. Where voices are kept and what they say is not known here.
"""

from __future__ import annotations

import hashlib

import numpy as np

from f5serve.audio.decode import decode
from f5serve.audio.edit import levels_db, speech_threshold_db, trim_edges
from f5serve.audio.encode import to_pcm16
from f5serve.errors import BadAudio, InvalidRequest
from f5serve.text.normalize import clean_text
from f5serve.types import Voice, Wave
from f5serve.units import MAX_REFERENCE_S
from f5serve.voices.cut import cut_together

MIN_REFERENCE_S = 1.0
MIN_SPEECH_S = 0.6
"""Least time above the level of silence."""

SILENT_DBFS = -60.0
"""A recording whose loudest moment is below this holds nothing to imitate."""

MAX_REF_TEXT_CHARS = 3_000
LETTERS_PER_S = (1.0, 40.0)
"""Slower or faster than anybody speaks, in any script: words and sound do not belong together."""

_SENTENCE_ENDS = ".!?…。！？．।॥؟۔։።។"
_CLAUSE_ENDS = ",;:،؛，；：、-–—"
_CLOSING = "\"'”’»›)]}」』】》〉）］｝"


def prepare_voice(name: str, data: bytes, ref_text: str, language: str = "") -> Voice:
    """Make a voice of a recording (any format that `decode` reads) and the words spoken in it.

    Edges are trimmed. Of more than 12 s the leading sentences are kept, with their words, if the
    pauses show where they end; else the recording is refused.

    Args:
        name: what the voice is called.
        data: the recording.
        ref_text: its transcript; a full stop is added where it ends without punctuation.
        language: ISO 639-1 code, or "" when unknown.

    Raises:
        BadAudio: a code of audio/refusals.py, AUDIO_SILENT, AUDIO_TOO_SHORT, REFERENCE_TOO_LONG
            or REF_TEXT_MISMATCH.
        InvalidRequest: code REF_TEXT_REQUIRED, or one of `clean_text`.
    """
    text = clean_ref_text(ref_text)
    wave = trim_edges(decode(data))
    _refuse_silence(wave)
    if wave.duration_s > MAX_REFERENCE_S:
        cut = cut_together(wave, text, MAX_REFERENCE_S)
        if cut is None:
            raise _too_long(wave)
        wave, text = cut
    _refuse_impossible_pace(wave, text)
    return make_voice(name, wave, text, language)


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
        raise InvalidRequest(
            "The transcript of the reference recording is required.",
            code="REF_TEXT_REQUIRED",
            hint="No speech recogniser is installed: send the words spoken in it as ref_text.",
        ) from None
    if text.rstrip(_CLOSING).endswith(tuple(_SENTENCE_ENDS)):
        return text
    text = text.rstrip(_CLAUSE_ENDS + " ")
    return text + ("。" if "\u3040" <= text[-1] <= "\u9fff" else ".")


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
