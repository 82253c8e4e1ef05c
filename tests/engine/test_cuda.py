"""What is left of a GPU's memory, and what a recording does where little is."""

from __future__ import annotations

import pytest
import torch

from f5serve.engine.cuda import CAPTURE_BYTES, check_free_memory, is_out_of_memory
from f5serve.engine.model_runner import CPU_FRAMES, MAX_GPU_FRAMES, gpu_batch_frames

IN_CAPTURE = "CUDA error: operation not permitted when stream is capturing"


def test_frames_of_a_step_go_by_what_is_free() -> None:
    assert gpu_batch_frames(80 * 10**9) == MAX_GPU_FRAMES
    assert gpu_batch_frames(22 * 10**9) == pytest.approx(7500, rel=0.01)
    assert gpu_batch_frames(2 * 10**9) == 680  # of a large card that others have nearly filled
    assert gpu_batch_frames(0) == CPU_FRAMES


def test_other_faults_are_not_about_memory() -> None:
    words = ["CUDA error: an illegal memory access was encountered", IN_CAPTURE]
    assert not any(is_out_of_memory(torch.AcceleratorError(said)) for said in words)
    assert not is_out_of_memory(ValueError("out of memory"))


def test_nothing_is_recorded_where_little_is_free() -> None:
    begun: list[int] = []
    with pytest.raises(torch.OutOfMemoryError):
        check_free_memory(lambda: begun.append(1), lambda: CAPTURE_BYTES - 1)
    assert begun == []
    assert check_free_memory(lambda: 7, lambda: CAPTURE_BYTES) == 7


@pytest.mark.parametrize(("left", "memory"), [(CAPTURE_BYTES - 1, True), (CAPTURE_BYTES, False)])
def test_a_recording_that_fails_with_little_free_ran_out_of_memory(left: int, memory: bool) -> None:
    free = iter([CAPTURE_BYTES, left])

    def capture() -> None:
        raise torch.AcceleratorError(IN_CAPTURE)

    with pytest.raises(RuntimeError) as raised:
        check_free_memory(capture, lambda: next(free))
    assert is_out_of_memory(raised.value) is memory
