"""Normalizes a text for speech: numbers, dates, signs and abbreviations become words, with spans.

A text is taken apart by script first: words of another script are normalized in a language of that
script, so a Chinese sentence may hold English words and the other way round.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from f5serve.text.mapped_text import MappedText
from f5serve.text_kinds import TEXT_KINDS

LANGUAGES = {
    "de": "german", "en": "english", "es": "spanish", "fr": "french", "it": "italian",
    "ja": "japanese", "pt": "portuguese", "zh": "chinese",
}  # fmt: skip
"""Languages with rules of their own and the modules that hold them, by ISO 639-1.

Each module has `verbalize(mapped, off)`; others have plain numbers alone (`cardinals.py`).
"""

DAY_FIRST_ENGLISH = "en-GB"
"""English where 03/04 is the third of April."""

_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_RUN = re.compile(f"(?P<cjk>[{_CJK}]+)|(?P<other>[^\\W\\d_{_CJK}]+)")
_PASSES = 3
"""The words of one rule may complete the pattern of another; a text that is spoken as it is needs
one pass, others one more than changes anything."""

_CLOSING = frozenset(".,;:!?)]}…、。，！？：；」』）")
_EXTRA_SPACE = re.compile(r"^ |  | $| [.,;:!?)\]}…、。，！？：；」』）]")
_KANA = re.compile("[\u3040-\u30ff]")


@dataclass(frozen=True, slots=True)
class NormalizedText:
    """A text as it is spoken.

    Attributes:
        mapped: the words, each character with its span in the text that was given.
        warnings: what was left alone although it may be read wrongly.
    """

    mapped: MappedText
    warnings: tuple[str, ...] = ()


def normalize(text: MappedText, language: str, off: frozenset[str] = frozenset()) -> NormalizedText:
    """What is spoken for `text`.

    Args:
        text: as `clean` returns it.
        language: ISO 639-1, `DAY_FIRST_ENGLISH`, or "" where it is unknown.
        off: kinds of rules that leave the text alone; all of `TEXT_KINDS` change nothing.
    """
    if off.issuperset(TEXT_KINDS):
        return NormalizedText(text)
    warnings: dict[str, None] = {}
    for _ in range(_PASSES):
        parts = []
        for part, own in _by_script(text, language):
            done, warning = _normalize_part(part, own, off)
            parts.append(done)
            if warning:
                warnings[warning] = None
        spoken = _without_extra_spaces(MappedText.join(parts))
        if spoken.text == text.text:
            break
        text = spoken
    return NormalizedText(_with_separate_spans(text), tuple(warnings))


def _with_separate_spans(mapped: MappedText) -> MappedText:
    """Spans that overlap, where a rule rewrote a part of what another had written, become one."""
    different = [span for span, _ in groupby(mapped.spans)]
    if all(left[1] <= right[0] for left, right in pairwise(different)):
        return mapped
    spans = list(mapped.spans)
    start = 0
    low, high = spans[0] if spans else (0, 0)
    overlap = False
    for index in range(1, len(spans) + 1):
        if index < len(spans) and spans[index][0] < high:
            overlap = overlap or spans[index] != (low, high)
            low, high = min(low, spans[index][0]), max(high, spans[index][1])
            continue
        if overlap:
            spans[start:index] = [(low, high)] * (index - start)
        if index < len(spans):
            start, overlap = index, False
            low, high = spans[index]
    return MappedText(mapped.text, tuple(spans))


def _without_extra_spaces(mapped: MappedText) -> MappedText:
    """Without the spaces that rules put around words where there is one, or a mark follows.

    A space of the text itself is kept where there is a choice, for it has its own span.
    """
    if not _EXTRA_SPACE.search(mapped.text):
        return mapped
    text, spans = mapped.text, mapped.spans
    kept: list[int] = []
    for index, char in enumerate(text):
        if char == " ":
            before = text[kept[-1]] if kept else " "
            made = spans[index] in (spans[index - 1 : index] + spans[index + 1 : index + 2])
            if before == " " and (made or not kept):
                continue
            if before == " ":
                kept.pop()
            elif made and text[index + 1 : index + 2] in _CLOSING:
                continue
        kept.append(index)
    if kept and text[kept[-1]] == " ":
        kept.pop()
    return MappedText("".join(text[i] for i in kept), tuple(spans[i] for i in kept))


def _normalize_part(text: MappedText, language: str, off: frozenset[str]) -> tuple[MappedText, str]:
    if language == DAY_FIRST_ENGLISH:
        from f5serve.text.normalization.english import verbalize

        return verbalize(text, off, day_first=True), ""
    if language in LANGUAGES:
        module = importlib.import_module(f"f5serve.text.normalization.{LANGUAGES[language]}")
        return module.verbalize(text, off), ""
    from f5serve.text.normalization.cardinals import verbalize_cardinals

    return verbalize_cardinals(text, language, off)


def _by_script(text: MappedText, language: str) -> Iterator[tuple[MappedText, str]]:
    """Parts of one script and their languages; digits and marks go with the script around them.

    Between two scripts they go with that of the text's language.
    """
    if language in ("zh", "ja"):
        from f5serve.text.normalization.cjk import split_scripts

        yield from split_scripts(text, language)
        return
    runs = list(_RUN.finditer(text.text))
    if not any(run.lastgroup == "cjk" for run in runs):
        yield text, language
        return
    cjk, other = "ja" if _KANA.search(text.text) else "zh", language or "en"
    start, current = 0, runs[0].lastgroup == "cjk"
    for before, run in pairwise(runs):
        following = run.lastgroup == "cjk"
        if following != current:
            end = before.end() if current else run.start()
            yield text[start:end], cjk if current else other
            start, current = end, following
    yield text[start:], cjk if current else other
