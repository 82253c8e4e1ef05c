"""What a row's result depends on: its own inputs, and nothing else."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.engine.attention import sdpa
from f5serve.engine.modules import ConvPositionEmbedding, TextEmbedding
from f5serve.engine.packing import BatchLayout, PackedSequences
from f5serve.engine.request import ReferencePrompt
from f5serve.engine.sampler import initial_noise, sample
from f5serve.engine.schedule import timesteps
from f5serve.engine.vocos import Vocos, random_tensors
from f5serve.errors import EngineFailed
from tests.parity.cases import row, small
from tests.parity.ours import engine_of, error, mels_of, sequence_of

CPU = torch.device("cpu")
LENGTHS = (120, 64, 90)
TOLERANCE = 1e-5


def rows_of(name: str) -> list[dict[str, Any]]:
    return [row(small(name), str(n), n) for n in LENGTHS]


@pytest.mark.parametrize("name", ["F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base"])
def test_batch_of_mixed_lengths_equals_the_singles(name: str) -> None:
    cases = rows_of(name)
    engine = engine_of(cases[0])
    singles = [mels_of(engine, [sequence_of(case)])[0] for case in cases]
    together = mels_of(engine, [sequence_of(case) for case in cases])
    backwards = mels_of(engine, [sequence_of(case) for case in reversed(cases)])
    for single, mel, other in zip(singles, together, reversed(backwards), strict=True):
        assert error(mel, single) <= TOLERANCE
        assert error(other, single) <= TOLERANCE


def test_the_architecture_shows_the_heart_of_the_algorithm() -> None:
    page = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    shown = page[page.index("    for dt, modulation") :].split("\n\n")[0]
    source = inspect.getsource(sample)
    for line in shown.splitlines():
        assert line.strip() in source


def test_attention_does_not_reach_into_the_next_sequence() -> None:
    qkv = torch.randn(30, 3, 2, 64)
    packing = PackedSequences.of((12, 18), CPU)
    out = sdpa(qkv, packing)
    qkv[12:] = torch.randn(18, 3, 2, 64)
    changed = sdpa(qkv, packing)
    assert torch.equal(out[:12], changed[:12])
    assert not torch.allclose(out[12:], changed[12:])


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(4, 90), min_size=1, max_size=5), seed=st.integers(0, 9))
def test_waves_of_several_mels_in_one_run_are_those_of_each(lengths: list[int], seed: int) -> None:
    vocos = Vocos.from_tensors(random_tensors(seed, 32, 48, 3), CPU)
    generator = torch.Generator().manual_seed(seed)
    mels = [torch.randn(n, 100, generator=generator) * 2 - 4 for n in lengths]
    with torch.inference_mode():
        for mel, wave in zip(mels, vocos.decode_batch(mels), strict=True):
            alone = vocos(mel[None])[0]
            assert wave.shape == alone.shape
            assert (wave - alone).norm() <= 1e-6 * alone.norm()


def layout(*lengths: int) -> BatchLayout:
    return BatchLayout.of(lengths, CPU, time_token=False)


def test_convolution_does_not_reach_into_the_next_sequence() -> None:
    conv = ConvPositionEmbedding(32).requires_grad_(False)
    x = torch.randn(70, 32)
    together = conv(x, layout(40, 30))
    alone = conv(x[:40], layout(40)), conv(x[40:], layout(30))
    assert error(together, torch.cat(alone)) <= TOLERANCE


def test_text_embedding_depends_on_the_length_of_its_row() -> None:
    """GRN takes its norm over the row: text embedded at another length is another text."""
    torch.manual_seed(0)
    arch = replace(small("F5TTS_Base"), conv_layers=2)
    embedding = TextEmbedding(arch).requires_grad_(False)
    for parameter in embedding.parameters():
        parameter.normal_()
    tokens = torch.arange(20)
    short, long = (embedding(tokens, n, unconditional=False)[0, :20] for n in (40, 80))
    assert error(short, long) > 1e-3


def test_noise_of_a_row_depends_on_its_seed_alone() -> None:
    torch.manual_seed(1)
    first = initial_noise(5, 40)
    torch.randn(1000)
    assert torch.equal(first, initial_noise(5, 40))
    assert not torch.equal(first, initial_noise(6, 40))


def test_same_seed_gives_the_same_bytes() -> None:
    case = row(small("F5TTS_v1_Base"), "x", 64)
    one, two = (engine_of(case).runner.sample([sequence_of(case)])[0] for _ in range(2))
    assert one.numpy().tobytes() == two.numpy().tobytes()
    other = engine_of(case).runner.sample([sequence_of(case | {"seed": 1})])[0]
    assert error(other[case["cond_frames"] :], one[case["cond_frames"] :]) > 0.01


def test_reference_frames_come_back_untouched() -> None:
    case = row(small("F5TTS_v1_Base"), "x", 64)
    prepared = sequence_of(case)
    mel = engine_of(case).runner.sample([prepared])[0]
    assert torch.equal(mel[: prepared.prompt.frames], prepared.prompt.mel(CPU))


def test_nothing_of_a_failed_request_is_left() -> None:
    """Upstream hands the next request the failed one's text; ours answers as if new."""
    first, second = row(small("F5TTS_v1_Base"), "a", 64), row(small("F5TTS_v1_Base"), "b", 64)
    second["tokens"] = list(reversed(first["tokens"]))
    fresh = engine_of(first).runner.sample([sequence_of(second)])[0]
    engine = engine_of(first)
    nowhere = ReferencePrompt.from_mel(torch.full((21, 100), float("nan")))
    broken = replace(sequence_of(first), prompt=nowhere)
    with pytest.raises(EngineFailed, match="not finite"):
        engine.runner.sample([broken])
    assert torch.equal(engine.runner.sample([sequence_of(second)])[0], fresh)


def test_one_guidance_strength_per_row() -> None:
    case = row(small("F5TTS_v1_Base"), "a", 64)
    weak, strong = (sequence_of(case | {"cfg_strength": w}) for w in (1.0, 3.0))
    engine = engine_of(case)
    together = engine.runner.sample([weak, strong])
    assert error(together[0], engine.runner.sample([weak])[0]) <= TOLERANCE
    assert error(together[1], engine.runner.sample([strong])[0]) <= TOLERANCE
    assert error(together[0], together[1]) > 0.01


@pytest.mark.parametrize("steps", [1, 5, 7, 9, 16, 32, 64])
@pytest.mark.parametrize("sway", [-1.0, 0.0, 1.0])
def test_time_grid_runs_from_0_to_1(steps: int, sway: float) -> None:
    times = timesteps(steps, sway)
    assert len(times) == steps + 1
    assert times[0] == 0
    assert times[-1] == pytest.approx(1.0, abs=1e-6)
    assert (times.diff() > 0).all()


def test_sway_bends_towards_the_start() -> None:
    even, bent = timesteps(9, 0.0), timesteps(9, -1.0)
    assert (bent[1:-1] < even[1:-1]).all()
    assert bent[3] == pytest.approx(1 - torch.cos(torch.pi / 2 * even[3]).item(), abs=1e-6)


@pytest.mark.parametrize("lengths", [(50,), (12, 40, 12)])
def test_empty_places_behind_the_last_sequence_change_nothing(lengths: tuple[int, ...]) -> None:
    """GPUs convolve sizes that are filled up."""
    torch.manual_seed(0)
    conv = ConvPositionEmbedding(64).requires_grad_(False)
    plain = BatchLayout.of(lengths, CPU, False, pad_convs=True)
    assert plain.conv_padding is not None
    empty = torch.cat([plain.conv_padding.mask, torch.ones(37, dtype=torch.bool)])
    filled = replace(plain, conv_padding=replace(plain.conv_padding, mask=empty))
    x = torch.randn(sum(lengths), 64)
    assert error(conv(x, filled), conv(x, BatchLayout.of(lengths, CPU, False))) <= 1e-6
