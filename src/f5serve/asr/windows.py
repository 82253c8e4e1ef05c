"""Windows of faster-whisper: tokens that go in and may come out, segments as a transcript."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from f5serve.asr_types import Transcript, TranscriptSegment
from f5serve.text.split import split_characters
from f5serve.types import WordTiming

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

TOKENS = (20, 15)
"""Largest number of tokens of a wave, and as many more for each second; without a limit Whisper may
repeat itself for ten seconds where there was no speech."""

PROMPT_TOKENS = 223
"""Longest prompt, as Whisper itself has it."""

_MODEL_TOKENS = 448  # of a window: prompt, marks and text
_MARKS = 8
_MOST_TOKENS = 400


def most_tokens(duration_s: float, prompt: int = 0) -> int:
    """Tokens of one window, which lasts 30 s at most, behind a prompt of so many."""
    least, per_s = TOKENS
    return min(_MOST_TOKENS, least + int(per_s * duration_s), _MODEL_TOKENS - _MARKS - prompt)


def prompt_tokens(model: WhisperModel, prompt: str) -> list[int]:
    """The end of a prompt, without the marks that begin or end a text."""
    if not prompt.strip():
        return []
    tokenizer = model.hf_tokenizer
    found: list[int] = tokenizer.encode(" " + prompt.strip(), add_special_tokens=False).ids
    first_mark = tokenizer.token_to_id("<|endoftext|>")
    return [token for token in found if token < first_mark][-PROMPT_TOKENS:]


def to_transcript(
    segments: Sequence[Any], language: str, duration_s: float, is_cut: bool
) -> Transcript:
    """What was understood of a wave of that duration."""
    text = " ".join("".join(segment.text for segment in segments).split())
    made = tuple(_segment(one, duration_s) for one in segments)
    return Transcript(text, language, _confidence(segments), _words(segments), made, is_cut)


def _segment(one: Any, duration_s: float) -> TranscriptSegment:
    return TranscriptSegment(
        one.text,
        min(float(one.start), duration_s),  # the model counts in windows of 30 s
        min(float(one.end), duration_s),
        tuple(one.tokens),
        float(one.temperature or 0.0),
        float(one.avg_logprob),
        float(one.compression_ratio),
        float(one.no_speech_prob),
    )


def _confidence(segments: Sequence[Any]) -> float:
    """Mean probability of the tokens, a geometric mean."""
    tokens = sum(len(segment.tokens) for segment in segments)
    if not tokens:
        return 0.0
    total = sum(segment.avg_logprob * len(segment.tokens) for segment in segments)
    return round(math.exp(total / tokens), 4)


def _words(segments: Sequence[Any]) -> tuple[WordTiming, ...]:
    """Words between spaces; characters or a few of them where a script has no spaces."""
    found: list[WordTiming] = []
    for segment in segments:
        for index, word in enumerate(segment.words or ()):
            text, sure = word.word.strip(), float(word.probability)
            if index and _goes_on(found[-1].word, word.word):  # "-hearted" behind "cold"
                last = found.pop()
                found.append(
                    WordTiming(
                        last.word + text, last.start_s, float(word.end), min(last.confidence, sure)
                    )
                )
            else:
                found.append(WordTiming(text, float(word.start), float(word.end), sure))
    return tuple(found)


def _goes_on(before: str, part: str) -> bool:
    """Whether a part without a space in front belongs to the word before it."""
    return not part[:1].isspace() and len(list(split_characters(before[-1:] + part[:1]))) == 1
