"""Where sound and words may be cut: each condition by itself, on tones for sentences."""

from __future__ import annotations

import numpy as np
import pytest

from f5serve.types import Wave
from f5serve.voices.trim import trim_by_pauses

TEXT = "Sentence one, a part. Sentence two, it is. Sentence three ends."
"""Three sentences of about one length; the first has a comma in its middle."""


def spoken(seconds: list[float], pauses_s: list[float]) -> Wave:
    """Tones of `seconds`, with silence of `pauses_s` between them."""
    parts = []
    for tone_s, pause_s in zip(seconds, [*pauses_s, 0.0], strict=True):
        time_s = np.arange(round(tone_s * 24_000)) / 24_000
        parts += [0.3 * np.sin(1380 * time_s), np.zeros(round(pause_s * 24_000))]
    return Wave(np.concatenate(parts).astype(np.float32))


def test_cut_after_the_last_sentence_that_fits() -> None:
    kept = trim_by_pauses(spoken([5, 5, 5], [0.5, 0.5]), TEXT, 12.0)
    assert kept is not None
    wave, text = kept
    assert text == "Sentence one, a part. Sentence two, it is."
    assert wave.duration_s == pytest.approx(10.55, abs=0.03)


def test_a_comma_is_heard_but_shorter() -> None:
    kept = trim_by_pauses(spoken([2.5, 2.5, 5, 5], [0.3, 0.5, 0.5]), TEXT, 12.0)
    assert kept is not None
    assert kept[1] == "Sentence one, a part. Sentence two, it is."


@pytest.mark.parametrize(
    ("seconds", "pauses_s"),
    [
        pytest.param([2.5, 2.5, 5, 5], [0.4, 0.5, 0.5], id="a comma is heard as long"),
        pytest.param([5, 5, 5], [0.2, 0.2], id="pauses too short"),
        pytest.param([5, 5, 5], [0.5, 0.0], id="a pause is missing"),
        pytest.param([3, 7, 5], [0.5, 0.5], id="a pause where no sentence ends"),
        pytest.param([13, 13, 13], [0.5, 0.5], id="the first sentence alone is too long"),
        pytest.param([2, 11, 2], [0.5, 0.5], id="what fits is too short and misplaced"),
    ],
)
def test_not_cut(seconds: list[float], pauses_s: list[float]) -> None:
    assert trim_by_pauses(spoken(seconds, pauses_s), TEXT, 12.0) is None


def test_too_little_is_not_kept() -> None:
    text = "One two three. Four five six seven eight nine ten eleven twelve thirteen fourteen."
    assert trim_by_pauses(spoken([2.5, 11.0], [0.6]), text, 12.0) is None


def test_one_sentence_cannot_be_cut() -> None:
    assert trim_by_pauses(spoken([13], []), "Only one sentence.", 12.0) is None


def test_chinese_is_cut_without_a_space() -> None:
    text = "今天的天气非常好。我们一起去公园吧。晚上再回来吃饭。"
    kept = trim_by_pauses(spoken([5, 5, 5], [0.5, 0.5]), text, 12.0)
    assert kept is not None
    assert kept[1] == "今天的天气非常好。我们一起去公园吧。"
