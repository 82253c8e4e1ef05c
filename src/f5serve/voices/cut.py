"""A recording that is too long, and its transcript, cut at the same place or not at all.

In flow a wave and the words spoken in it, out flow a shorter wave and the words of exactly that,
or None when the place cannot be told. Recognising speech is not its business: it only believes a
transcript whose sentences the pauses of the recording confirm.
"""

from __future__ import annotations

from f5serve.audio.edit import pauses, speech_threshold_db
from f5serve.text.split import split_sentences
from f5serve.types import Wave
from f5serve.units import s_to_samples, samples_to_s

MIN_PAUSE_S = 0.3
"""Shortest pause that is believed to end a sentence."""

CLEARLY_LONGER = 1.5
"""How much longer it must be than every pause within a sentence."""

MAX_SHARE_ERROR = 0.08
"""How far, as a share of the whole, speech time may be from where the letters put a pause."""

MIN_KEPT_S = 3.0
"""A shorter rest is too little to clone from."""

_KEPT_PAUSE_S = 0.05

Pause = tuple[int, int]


def cut_together(wave: Wave, text: str, max_s: float) -> tuple[Wave, str] | None:
    """Keep the leading sentences that end before `max_s`, as sound and as text.

    The n sentences of `text` must be told apart by the n - 1 longest pauses, each clearly longer
    than any other pause, and each where the length of the sentences before it puts it.
    """
    sentences = split_sentences(text)
    ends = _sentence_pauses(wave, len(sentences) - 1)
    if not ends or not _agree(wave, sentences, ends):
        return None
    kept = [i for i, (start, _) in enumerate(ends) if _is_kept(wave, start, max_s)]
    if not kept:
        return None
    last = kept[-1]
    stop = ends[last][0] + s_to_samples(_KEPT_PAUSE_S, wave.sample_rate)
    return Wave(wave.samples[:stop], wave.sample_rate), _leading(text, sentences[: last + 1])


def _is_kept(wave: Wave, pause_start: int, max_s: float) -> bool:
    start_s = samples_to_s(pause_start, wave.sample_rate)
    return MIN_KEPT_S <= start_s <= max_s - _KEPT_PAUSE_S


def _sentence_pauses(wave: Wave, count: int) -> list[Pause]:
    """The `count` longest pauses in order of time; none if they do not stand out."""
    found = pauses(wave, speech_threshold_db(wave), min_s=0.05)
    found.sort(key=lambda pause: pause[0] - pause[1])
    chosen, others = found[:count], found[count:]
    if count < 1 or len(chosen) < count:
        return []
    shortest_s = samples_to_s(chosen[-1][1] - chosen[-1][0], wave.sample_rate)
    longest_other_s = max((samples_to_s(b - a, wave.sample_rate) for a, b in others), default=0.0)
    if shortest_s < max(MIN_PAUSE_S, CLEARLY_LONGER * longest_other_s):
        return []
    return sorted(chosen)


def _agree(wave: Wave, sentences: list[str], ends: list[Pause]) -> bool:
    sizes = [len(sentence.encode()) for sentence in sentences]
    # Half of the shortest sentence: beyond it, a pause might belong to the sentence beside it.
    tolerance = min(MAX_SHARE_ERROR, min(sizes) / sum(sizes) / 2)
    speech = len(wave.samples) - sum(end - start for start, end in ends)
    paused = said = 0
    for size, (start, end) in zip(sizes[:-1], ends, strict=True):
        said += size
        if abs((start - paused) / speech - said / sum(sizes)) > tolerance:
            return False
        paused += end - start
    return True


def _leading(text: str, sentences: list[str]) -> str:
    position = 0
    for sentence in sentences:
        position = text.index(sentence, position) + len(sentence)
    return text[:position]
