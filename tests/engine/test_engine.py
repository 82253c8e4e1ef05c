"""Utterances through the whole engine on a small random model."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from f5serve.engine.attention import choose
from f5serve.engine.engine import EngineOptions, F5Engine, _check_vocab, _placement
from f5serve.engine.quantize import Int8Linear
from f5serve.engine.vocos import Vocos
from f5serve.engine.vocos import random_tensors as random_vocos
from f5serve.errors import EngineFailed, InvalidRequest, ModelUnavailable
from f5serve.text.tokens import Vocab
from f5serve.text.treatment import AS_WRITTEN, TextTreatment
from f5serve.types import SamplingOptions, Utterance, Voice, Wave
from tests.parity.cases import SMALL_VOCAB, row, small
from tests.parity.ours import CPU, engine_of, error, sequence_of

LETTERS = " abcdefghijklmnopqrstuvwxyz.,'ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:SMALL_VOCAB]


def speaker(name: str = "F5TTS_v1_Base", text: TextTreatment = AS_WRITTEN) -> F5Engine:
    model = engine_of(row(small(name), "x", 64))
    vocos = Vocos.from_tensors(random_vocos(0, 32, 48, 2), CPU)
    runner = model.runner
    vocab = Vocab(list(LETTERS))
    return F5Engine(runner.backbone, runner.schedules, vocos, vocab, "tiny", text=text)


def voice(seed: int = 0, loudness: float = 0.2, seconds: float = 1.0) -> Voice:
    samples = np.random.default_rng(seed).normal(0, loudness, round(24_000 * seconds))
    return Voice(
        f"v{seed}", Wave(samples.astype(np.float32)), "Some words.", f"rev{seed}{loudness}"
    )


def utterance(text: str, frames: int, voice: Voice, **options: float) -> Utterance:
    sampling = SamplingOptions(nfe_step=7, **options)  # type: ignore[arg-type]
    return Utterance(text, voice, frames, seed=5, options=sampling)


def test_waves_are_as_long_as_asked_and_told_in_order() -> None:
    one, two = voice(1), voice(2, seconds=0.8)
    asked = [utterance("hello there", 150, one), utterance("bye", 180, two)]
    done: list[int] = []
    waves = speaker().generate(asked, lambda index, _: done.append(index))
    assert done == [0, 1]
    reference = [24_000 // 256, 19_200 // 256]
    for wave, item, skipped in zip(waves, asked, reference, strict=True):
        assert len(wave.samples) == (item.duration_frames - skipped - 1) * 256
        assert wave.samples.dtype == np.float32
        assert np.isfinite(wave.samples).all()
        assert wave.samples.std() > 1e-4


def test_a_batch_says_what_each_would_say_alone() -> None:
    asked = [utterance("hello there", 150, voice(1)), utterance("bye", 190, voice(2))]
    engine = speaker()
    together = engine.generate(asked)
    for item, wave in zip(asked, together, strict=True):
        (alone,) = engine.generate([item])
        difference = np.linalg.norm(alone.samples - wave.samples)
        assert difference <= 1e-4 * np.linalg.norm(alone.samples)


def test_options_of_one_call_may_differ() -> None:
    asked = [utterance("a", 150, voice(1)), utterance("b", 150, voice(1), cfg_strength=0.0)]
    engine = speaker()
    for item, wave in zip(asked, engine.generate(asked), strict=True):
        assert np.allclose(engine.generate([item])[0].samples, wave.samples, atol=1e-4)


def test_a_new_schedule_holds_up_nobody_on_the_device() -> None:
    engine = speaker()
    schedules = engine.runner.schedules
    entered, go_on = threading.Event(), threading.Event()
    computed_in: list[str] = []
    real = schedules.open_time_layers
    assert real is not None

    @contextmanager
    def slow() -> Iterator[Mapping[str, torch.Tensor]]:
        computed_in.append(threading.current_thread().name)
        entered.set()
        assert go_on.wait(20)
        with real() as tensors:
            yield tensors

    def say(steps: int) -> None:
        options = SamplingOptions(nfe_step=steps)
        engine.generate([Utterance("a", voice(1), 150, 5, options)])

    say(7)
    schedules.open_time_layers = slow
    with ThreadPoolExecutor(2, "caller") as pool:
        waiting = [pool.submit(say, 11) for _ in range(2)]
        assert entered.wait(20)
        say(7)  # meanwhile
        go_on.set()
        for one in waiting:
            one.result(20)
    assert [name.startswith("caller") for name in computed_in] == [True]


def test_quiet_reference_gives_quiet_speech() -> None:
    quiet, loud = voice(1, loudness=0.01), voice(1, loudness=0.1001)
    engine = speaker()
    soft, strong = (engine.generate([utterance("a", 150, v)])[0] for v in (quiet, loud))
    assert soft.samples.std() / strong.samples.std() == pytest.approx(0.1, rel=0.05)


def test_row_grows_until_something_can_be_said() -> None:
    """Upstream's rule: at least one frame more than the tokens or the reference take."""
    (wave,) = speaker().generate([utterance("hello", 10, voice(1))])
    assert 0 < len(wave.samples) <= 2 * 256


def test_joint_between_transcript_and_text() -> None:
    """A space goes between single-byte letters, none after Chinese punctuation."""
    spoken = {}
    for ref in ("ab.", "ab。"):
        base = voice(1)
        reference = Voice("v", base.wave, ref, ref)
        spoken[ref] = speaker()._sequences([utterance("c", 150, reference)])[0].token_ids
    assert len(spoken["ab。"]) == len(spoken["ab."]) - 1


def test_text_is_spelled_as_the_model_expects_it() -> None:
    """Lower case and a first token, for the reference's text as well; others get it as written."""
    lower, plain = speaker(text=TextTreatment(lower_case=True, prefix="z")), speaker()
    written = [utterance(text, 150, voice(1)) for text in ("HELLO", "hello")]
    loud, soft = (sequence.token_ids for sequence in lower._sequences(written))
    assert loud == soft
    assert loud[0] == LETTERS.index("z")
    as_written = [sequence.token_ids for sequence in plain._sequences(written)]
    assert as_written[0] != as_written[1]
    assert [len(ids) for ids in as_written] == [len(loud) - 1] * 2
    assert soft[2:] == as_written[1][1:]  # all but the capital of "Some words."
    assert lower.unspeakable("Ab ÉÉé Ĳ") == ["É", "é", "Ĳ"]
    assert TextTreatment(lower_case=True).spell("İÉΣ") == "İéσ"  # one character each


def test_check_ends_the_work_within_a_step() -> None:
    calls = []

    def give_up() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise TimeoutError

    engine = speaker()
    with pytest.raises(TimeoutError):
        engine.generate([utterance("a", 150, voice(1))], check=give_up)
    assert len(calls) == 3
    assert len(engine.generate([utterance("a", 150, voice(1))])) == 1


def test_not_finite_numbers_fail_and_name_the_way_out() -> None:
    broken = voice(1)
    broken.wave.samples[100] = np.nan
    with pytest.raises(EngineFailed) as caught:
        speaker().generate([utterance("a", 150, broken)])
    assert caught.value.code == "NOT_FINITE"


def test_int8_stays_near_fp32() -> None:
    case = row(small("F5TTS_v1_Base"), "x", 96)
    exact = engine_of(case).runner.sample([sequence_of(case)])[0]
    engine = engine_of(case)
    engine.quantize()
    assert "int8" in engine.description
    assert 1e-4 < error(engine.runner.sample([sequence_of(case)])[0], exact) < 0.05


def test_int8_layer_keeps_each_token_to_its_own_scale() -> None:
    linear = torch.nn.Linear(64, 32).requires_grad_(False)
    x = torch.randn(10, 64) * torch.logspace(-3, 3, 10)[:, None]
    ours, exact = Int8Linear(linear)(x), linear(x)
    assert ((ours - exact).norm(dim=1) / exact.norm(dim=1)).max() < 0.05


def test_vocabulary_of_another_checkpoint_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="has 3 lines, the checkpoint was trained with 60"):
        _check_vocab(Vocab([" ", "a", "b"]), 60)
    with pytest.raises(ModelUnavailable, match="has no line '<egy>'"):
        _check_vocab(Vocab([" ", "a", "b"]), 3, "<egy>")


def test_placement_says_what_cannot_be() -> None:
    assert _placement(EngineOptions("cpu")).dtype is torch.float32
    assert _placement(EngineOptions("cpu", threads=1)).device.type == "cpu"
    assert torch.get_num_threads() == 1
    if not torch.cuda.is_available():
        with pytest.raises(InvalidRequest, match="no CUDA device"):
            _placement(EngineOptions("cuda"))


def test_attention_on_a_cpu_is_sdpa() -> None:
    assert choose(CPU, torch.float32)[0] == "sdpa"
