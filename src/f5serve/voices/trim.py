"""Trims a recording that is too long together with its transcript, or not at all.

`trim_by_pauses` needs no recogniser; `trim_by_words` needs the times of the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from f5serve.audio.edit import pauses, speech_threshold_db
from f5serve.text.split import split_sentences
from f5serve.types import Wave, WordTiming, s_to_samples, samples_to_s

MIN_PAUSE_S = 0.3
"""Shortest pause that can be the end of a sentence."""

MIN_PAUSE_RATIO = 1.5
"""A pause at the end of a sentence is this many times longer than every pause within one."""

MAX_SHARE_ERROR = 0.08
"""Largest distance of a pause from the place that the number of letters predicts, as a share of
the speech time."""

MIN_GAPS_S = (0.2, 0.12, 0.12)
"""Shortest pause to cut in: between words, after a clause, after a sentence. The silence inside a
p, t or k is shorter."""

MIN_KEPT_S = 3.0
"""A shorter recording is too short to clone from."""

_KEPT_PAUSE_S = 0.05
CLAUSE_ENDS = ",;:،؛，；：、-–—"
CLOSING = "\"'”’»›)]}」』】》〉）］｝"
_OPENING = "\"'“‘«‹([{「『【《〈（［｛"

Pause = tuple[int, int]
"""First sample and the sample after the last."""


def trim_by_pauses(wave: Wave, text: str, max_s: float) -> tuple[Wave, str] | None:
    """Keep the leading sentences that end before `max_s`; None if their ends are not certain.

    They are certain if the n - 1 longest pauses separate the n sentences of `text`: each is clearly
    longer than any other pause, and is where the letters before it predict.
    """
    sentences = split_sentences(text)
    ends = _sentence_pauses(wave, len(sentences) - 1)
    if not ends or not _match_letters(wave, sentences, ends):
        return None
    kept = [i for i, (start, _) in enumerate(ends) if _is_usable(wave, start, max_s)]
    if not kept:
        return None
    last = kept[-1]
    stop = ends[last][0] + s_to_samples(_KEPT_PAUSE_S, wave.sample_rate)
    return Wave(wave.samples[:stop], wave.sample_rate), text[
        : _sentence_ends(text, sentences)[last]
    ]


def trim_by_words(
    wave: Wave, text: str, words: Sequence[WordTiming], max_s: float
) -> tuple[Wave, str] | None:
    """Keep what ends before `max_s`: with a sentence, else a clause, else a word.

    Args:
        words: of `text`, in order, with times accurate to 0.2 s; words with confidence 0 are
            ignored.

    Returns:
        None if there is no pause to cut in.
    """
    found = pauses(wave, speech_threshold_db(wave), min(MIN_GAPS_S))
    ends = _sentence_ends(text, split_sentences(text))
    best: tuple[int, int, int] | None = None
    position = 0
    for word, following in pairwise(words):
        position = text.find(word.word, position)
        if position < 0:
            return None
        position += len(word.word)
        end = _skip_punctuation(text, position)
        rank = _boundary_rank(text, end, ends)
        if not (word.confidence and following.confidence) or _is_inside_word(text, end):
            continue
        pause = _pause_between(found, word, following, wave.sample_rate)
        if pause is None or not _is_usable(wave, pause[0], max_s):
            continue
        if samples_to_s(pause[1] - pause[0], wave.sample_rate) >= MIN_GAPS_S[rank]:
            best = max(best or (0, 0, 0), (rank, pause[0], end))
    if best is None:
        return None
    _, start, end = best
    stop = start + s_to_samples(_KEPT_PAUSE_S, wave.sample_rate)
    return Wave(wave.samples[:stop], wave.sample_rate), text[:end].rstrip()


def _skip_punctuation(text: str, position: int) -> int:
    """The position after the punctuation that follows a word."""
    while position < len(text) and not text[position].isalnum():
        if text[position].isspace() or text[position] in _OPENING:
            break
        position += 1
    return position


def _is_inside_word(text: str, position: int) -> bool:
    """Whether a letter follows directly, as in well-known."""
    following = text[position : position + 1]
    return following.isascii() and following.isalnum()


def _boundary_rank(text: str, position: int, ends: Sequence[int]) -> int:
    """2 if a sentence ends there, 1 for a clause, 0 for a word."""
    if position in ends:
        return 2
    return int(text[:position].rstrip(CLOSING)[-1:] in CLAUSE_ENDS)


def _pause_between(
    found: Sequence[Pause], word: WordTiming, following: WordTiming, sample_rate: int
) -> Pause | None:
    """The longest pause between the middles of two words."""
    left = s_to_samples((word.start_s + word.end_s) / 2, sample_rate)
    right = s_to_samples((following.start_s + following.end_s) / 2, sample_rate)
    within = [pause for pause in found if pause[0] < right and pause[1] > left]
    return max(within, key=lambda pause: pause[1] - pause[0], default=None)


def _is_usable(wave: Wave, pause_start: int, max_s: float) -> bool:
    start_s = samples_to_s(pause_start, wave.sample_rate)
    return MIN_KEPT_S <= start_s <= max_s - _KEPT_PAUSE_S


def _sentence_pauses(wave: Wave, count: int) -> list[Pause]:
    """The `count` longest pauses in order of time; empty if they are not clearly the longest."""
    found = pauses(wave, speech_threshold_db(wave), min_s=0.05)
    found.sort(key=lambda pause: pause[0] - pause[1])
    chosen, others = found[:count], found[count:]
    if count < 1 or len(chosen) < count:
        return []
    shortest_s = samples_to_s(chosen[-1][1] - chosen[-1][0], wave.sample_rate)
    longest_other_s = max((samples_to_s(b - a, wave.sample_rate) for a, b in others), default=0.0)
    if shortest_s < max(MIN_PAUSE_S, MIN_PAUSE_RATIO * longest_other_s):
        return []
    return sorted(chosen)


def _match_letters(wave: Wave, sentences: list[str], ends: list[Pause]) -> bool:
    sizes = [len(sentence.encode()) for sentence in sentences]
    # Half of the shortest sentence: beyond it, a pause could be the end of another sentence.
    tolerance = min(MAX_SHARE_ERROR, min(sizes) / sum(sizes) / 2)
    speech = len(wave.samples) - sum(end - start for start, end in ends)
    paused = spoken = 0
    for size, (start, end) in zip(sizes[:-1], ends, strict=True):
        spoken += size
        if abs((start - paused) / speech - spoken / sum(sizes)) > tolerance:
            return False
        paused += end - start
    return True


def _sentence_ends(text: str, sentences: list[str]) -> list[int]:
    """Positions in `text` after each of its sentences."""
    ends = [0]
    for sentence in sentences:
        ends.append(text.index(sentence, ends[-1]) + len(sentence))
    return ends[1:]
