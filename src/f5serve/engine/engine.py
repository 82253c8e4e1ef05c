"""Utterances in, waves out: the engine that clones a voice.

    Utterance -> tokens + reference mel -> Row -> packed rows -> sampler -> mel -> Vocos -> Wave

A row owns its noise and its text; nothing of a request is kept once its waves are returned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from f5serve.audio.edit import match_loudness
from f5serve.engine import checkpoint, sampler
from f5serve.engine.attention import choose
from f5serve.engine.config import N_MELS
from f5serve.engine.mel import log_mel
from f5serve.engine.packing import Layout
from f5serve.engine.quantize import quantize_blocks
from f5serve.engine.rows import Row, batches
from f5serve.engine.schedule import Schedules
from f5serve.engine.vocoder import Vocos
from f5serve.errors import EngineFailed
from f5serve.text.plan import spoken_ref_text
from f5serve.text.tokens import Vocab, tokenize
from f5serve.types import OnDone, Utterance, Voice, Wave
from f5serve.units import MAX_DURATION_FRAMES, samples_to_frames

log = logging.getLogger(__name__)

BATCH_FRAMES = {"cpu": 1024, "cuda": 8192}
"""Most mel frames that are sampled together; a longer row runs alone."""


class F5Engine:
    """F5-TTS or E2-TTS with Vocos; see `types.Engine`."""

    kind = "f5"
    clones_voice = True
    warnings: tuple[str, ...] = ()
    concurrent = False
    broken = False
    max_text_bytes = 4 * MAX_DURATION_FRAMES

    def __init__(
        self,
        backbone: checkpoint.Backbone,
        schedules: Schedules,
        vocoder: Vocos,
        vocab: Vocab,
        model: str,
    ) -> None:
        self._backbone = backbone
        self._schedules = schedules
        self._vocoder = vocoder
        self._vocab = vocab
        self._attention, self._attend = choose(schedules.device, schedules.dtype)
        self._precision = str(schedules.dtype).removeprefix("torch.")
        self.model = model

    def quantize(self) -> None:
        """Turn the blocks' linear layers to int8, in place."""
        quantize_blocks(self._backbone)
        self._precision = "int8"

    @property
    def description(self) -> str:
        """Device, precision and attention, for a log line."""
        threads = f", {torch.get_num_threads()} threads" if self._device.type == "cpu" else ""
        return f"{self._device.type}, {self._precision}, {self._attention}{threads}"

    @property
    def _device(self) -> torch.device:
        return self._schedules.device

    def unspeakable(self, text: str) -> list[str]:
        """Characters of `text` that the vocabulary lacks, in order, each once."""
        return self._vocab.missing(text)

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """One wave for each utterance, 24 kHz, the reference cut off.

        Raises:
            EngineFailed: codes OUT_OF_MEMORY (retryable) and NOT_FINITE.
            ModelUnavailable: code SCHEDULE_NOT_IN_ARTIFACT.
        """
        waves: list[Wave] = []  # batches keep the order of the rows
        with torch.inference_mode(), _memory_named():
            rows = self._rows(utterances)
            for batch in batches(rows, BATCH_FRAMES[self._device.type]):
                mels = self.sample([rows[i] for i in batch], check)
                for i, mel in zip(batch, mels, strict=True):
                    waves.append(self._decode(rows[i], mel))
                    if on_done:
                        on_done(i, waves[-1])
        return waves

    def estimate_s(self, utterances: Sequence[Utterance]) -> float | None:
        """Seconds for these alone."""
        return None

    def counters(self) -> Mapping[str, float]:
        """See `types.Engine.counters`."""
        return {}

    def _rows(self, utterances: Sequence[Utterance]) -> list[Row]:
        references = {u.voice.revision: u.voice for u in utterances}
        mels = {key: self._reference(voice) for key, voice in references.items()}
        return [self._row(u, *mels[u.voice.revision]) for u in utterances]

    def _reference(self, voice: Voice) -> tuple[Tensor, float]:
        """Reference mel [n N_MELS] at the loudness the model expects, and the gain back."""
        wave, gain = match_loudness(voice.wave)
        samples = torch.from_numpy(np.ascontiguousarray(wave.samples)).to(self._device)
        return log_mel(samples[None])[0], gain

    def _row(self, utterance: Utterance, cond: Tensor, gain: float) -> Row:
        text = spoken_ref_text(utterance.voice) + utterance.text
        tokens = self._vocab.ids(tokenize(text))
        shortest = max(len(tokens), len(cond)) + 1  # so that something is generated
        frames = min(max(utterance.duration_frames, shortest), MAX_DURATION_FRAMES)
        padded = torch.zeros(max(frames, len(cond) + 1), N_MELS, device=self._device)
        padded[: len(cond)] = cond
        return Row(
            tokens=torch.tensor(tokens, device=self._device),
            cond=padded,
            cond_frames=len(cond),
            first_frame=samples_to_frames(len(utterance.voice.wave.samples)),
            gain=gain,
            seed=utterance.seed,
            options=utterance.options,
        )

    @torch.inference_mode()
    def sample(self, rows: Sequence[Row], check: Callable[[], None] | None = None) -> list[Tensor]:
        """Mels of rows that agree in steps, sway and whether guidance is on.

        Args:
            check: called before each step; what it raises ends the work.

        Returns:
            float32 [n N_MELS] each, the reference included.
        """
        options = rows[0].options
        guided = rows[0].guided
        schedule = self._schedules.get(options.nfe_step, options.sway_sampling_coef)
        lengths = [row.frames for row in rows]
        time_token = self._schedules.arch.backbone == "unett"
        layout = Layout.of(lengths * 2 if guided else lengths, self._device, time_token)
        constant = self._constants(rows, guided)
        strength = torch.cat(
            [row.cond.new_full((row.frames, 1), row.options.cfg_strength) for row in rows]
        )
        dtype, attend = self._schedules.dtype, self._attend

        def velocity(x: Tensor, step: int) -> Tensor:
            if check is not None:
                check()
            table = schedule.table[step]
            out = self._backbone(x.to(dtype), constant, table, layout, attend).float()
            return sampler.guide(out, strength) if guided else out

        start = torch.cat([sampler.noise(row.seed, row.frames) for row in rows]).to(self._device)
        mels = sampler.integrate(velocity, start, schedule.times).split(lengths)
        return [self._with_reference(row, mel) for row, mel in zip(rows, mels, strict=True)]

    def _constants(self, rows: Sequence[Row], guided: bool) -> Tensor:
        """Share of reference and text in the input, conditional rows first: [m d]."""
        dtype = self._schedules.dtype
        conditional, unconditional = [], []
        for row in rows:
            text = self._backbone.text(row.tokens, row.frames, guided)
            conditional.append(self._backbone.input.constant(row.cond.to(dtype), text[0]))
            if guided:
                unconditional.append(self._backbone.input.constant(None, text[1]))
        return torch.cat(conditional + unconditional)

    @staticmethod
    def _with_reference(row: Row, mel: Tensor) -> Tensor:
        """The sampled mel with the reference frames put back, checked to be finite."""
        if not torch.isfinite(mel).all():
            raise EngineFailed(
                "The model produced numbers that are not finite.",
                code="NOT_FINITE",
                hint="Try another seed; if it happens again, the weights or the precision "
                "(F5_DTYPE=fp32) are the cause.",
            )
        return torch.cat([row.cond[: row.cond_frames], mel[row.cond_frames :]])

    def _decode(self, row: Row, mel: Tensor) -> Wave:
        samples = self._vocoder(mel[None, row.first_frame :])[0] * row.gain
        return Wave(samples.cpu().numpy())


@contextmanager
def _memory_named() -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise EngineFailed(
            f"The device ran out of memory: {(str(error) or repr(error)).splitlines()[0]}",
            code="OUT_OF_MEMORY",
            hint="Send a shorter text or reference, or use a device with more memory.",
            retryable=True,
        ) from None
