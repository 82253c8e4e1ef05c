"""What only a CUDA device can show; skipped without one."""

from __future__ import annotations

import pytest
import torch

from f5serve.engine import checkpoint
from f5serve.engine.attention import choose, sdpa, varlen
from f5serve.engine.engine import F5Engine, prepare_process
from f5serve.engine.model_runner import MAX_GPU_FRAMES
from f5serve.engine.packing import PackedSequences
from f5serve.engine.quantize import fp8_works
from f5serve.engine.vocos import Vocos, random_tensors
from f5serve.types import Wave
from tests.parity.cases import row, small
from tests.parity.ours import engine_of, error, sequence_of, started

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CASES = [row(small("F5TTS_v1_Base"), str(n), n) for n in (120, 64, 90)]


def on_gpu(dtype: torch.dtype) -> F5Engine:
    stub = engine_of(CASES[0])
    prepare_process(torch.device("cuda"))
    placement = checkpoint.DeviceAndDtype(torch.device("cuda"), dtype)
    model = checkpoint.load_random(small("F5TTS_v1_Base"), placement, CASES[0]["weights_seed"])
    return F5Engine(*model, stub.runner.vocoder.cuda(), stub._vocab, "random")


def has(capability: tuple[int, int]) -> bool:
    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= capability


@pytest.mark.skipif(not has((8, 0)), reason="needs a GPU with bf16")
def test_bf16_says_nearly_what_the_cpu_says() -> None:
    is_near(on_gpu(torch.bfloat16), error_bound=2e-2)


@pytest.mark.skipif(not has((8, 9)), reason="needs a GPU with fp8")
def test_fp8_says_nearly_what_the_cpu_says() -> None:
    assert fp8_works(torch.device("cuda"))
    engine = on_gpu(torch.bfloat16)
    engine.quantize("fp8")
    is_near(engine, error_bound=5e-2)


def is_near(engine: F5Engine, error_bound: float) -> None:
    """Errors of small models on CPUs: 4e-3 in bf16, 1.4e-2 in fp8; beside others at most twice."""
    together = engine.runner.sample([sequence_of(case) for case in CASES])
    for case, mel in zip(CASES, together, strict=True):
        exact = engine_of(case).runner.sample([sequence_of(case)])[0]
        assert 1e-4 < error(mel.cpu(), exact) <= error_bound
        assert error(mel, engine.runner.sample([sequence_of(case)])[0]) <= 2 * error_bound


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float16, 3e-3)])
def test_gpu_says_what_the_cpu_says(dtype: torch.dtype, tolerance: float) -> None:
    engine = on_gpu(dtype)
    together = engine.runner.sample([sequence_of(case) for case in CASES])
    for case, mel in zip(CASES, together, strict=True):
        assert error(mel.cpu(), engine_of(case).runner.sample([sequence_of(case)])[0]) <= tolerance
        assert error(mel, engine.runner.sample([sequence_of(case)])[0]) <= tolerance


def test_varlen_attention_is_chosen_and_agrees() -> None:
    device = torch.device("cuda")
    assert choose(device, torch.float16)[0] == "varlen"
    qkv = torch.randn(300, 3, 16, 64, device=device, dtype=torch.float16)
    packing = PackedSequences.of((100, 180, 20), device)
    assert torch.allclose(varlen(qkv, packing), sdpa(qkv, packing), atol=5e-3)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float16, 3e-3)])
def test_rows_that_come_and_go_equal_their_singles(dtype: torch.dtype, tolerance: float) -> None:
    engine = on_gpu(dtype)
    cases = [*CASES, CASES[0] | {"cfg_strength": 0.0}, CASES[1] | {"nfe_step": 3}]
    rows = [sequence_of(case) for case in cases]
    alone = [engine.runner.sample([prepared])[0] for prepared in rows]
    runner, begun = engine.runner, []
    for step in range(12):
        if step < len(rows):
            begun.append(started(runner, rows[step]))
        if moving := [item for item in begun if item.steps_left]:
            runner.step(moving)
    for item, mel in zip(begun, alone, strict=True):
        speech = slice(item.prompt.frames, None)
        assert error(item.x[speech], mel[speech]) <= tolerance


def test_the_device_is_asked_for_its_size_and_its_health() -> None:
    engine = on_gpu(torch.float16)
    assert engine.runner.is_healthy()
    engine.runner.release_memory()
    assert 1024 < engine.scheduler.max_batch_frames <= MAX_GPU_FRAMES


def test_memory_that_runs_out_is_an_error_that_halves_the_batch() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(2**50, device="cuda", dtype=torch.uint8)
    assert on_gpu(torch.float16).runner.is_healthy()


def test_waves_of_several_mels_in_one_run_are_those_of_each() -> None:
    vocos = Vocos.from_tensors(random_tensors(0), torch.device("cuda"))
    mels = [torch.randn(n, 100, device="cuda") * 2 - 4 for n in (300, 64, 120)]
    with torch.inference_mode():
        for mel, wave in zip(mels, vocos.decode_batch(mels), strict=True):
            assert error(wave, vocos(mel[None])[0]) <= 1e-4


def test_rows_are_finished_beside_the_steps() -> None:
    engine = on_gpu(torch.float16)
    begun = [started(engine.runner, sequence_of(case)) for case in CASES]
    for item in begun:
        while item.steps_left:
            engine.runner.step([item])
    ending = engine.runner.vocode(begun)
    others = [started(engine.runner, sequence_of(CASES[0])) for _ in range(4)]
    engine.runner.step(others)  # takes memory while Vocos still reads the mels
    waves = ending.waves()
    assert ending.ready()
    side, engine.runner.side_stream = engine.runner.side_stream, None
    assert side is not None
    plain = [sound.cpu() for sound in engine.runner.sounds(begun)]
    for wave, sound in zip(waves, plain, strict=True):
        assert isinstance(wave, Wave)
        assert error(torch.tensor(wave.samples), sound[:-1]) <= 1e-4


def test_nothing_in_a_step_waits_for_the_gpu() -> None:
    engine = on_gpu(torch.float16)
    begun = [started(engine.runner, sequence_of(case)) for case in CASES]
    engine.runner.step(begun[:1])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2):
            engine.runner.step(begun)
    finally:
        torch.cuda.set_sync_debug_mode("default")
