"""The vocoder's two ways, that of CPUs and that of GPUs, both on a CPU."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from f5serve.engine.modules import N_FFT, without_cudnn
from f5serve.engine.vocos import PADDING, _wave, embedded, overlapped
from tests.parity.ours import error


@pytest.mark.parametrize("frames", [3, 4, 57, 400])
@pytest.mark.parametrize("batch", [1, 2])
def test_pieces_laid_over_one_another_are_the_inverse_transform(frames: int, batch: int) -> None:
    generator = torch.Generator().manual_seed(frames)
    shape = (batch, N_FFT // 2 + 1, frames)
    spectrum = torch.complex(*(torch.randn(shape, generator=generator) for _ in range(2)))
    plain = _wave(spectrum)
    assert overlapped(spectrum).shape == plain.shape
    assert error(overlapped(spectrum), plain) <= 1e-6


@pytest.mark.parametrize("frames", [1, 5, 90])
def test_a_convolution_as_one_product_is_the_convolution(frames: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv1d(100, 32, 2 * PADDING + 1, padding=PADDING).requires_grad_(False)
    mel = torch.randn(2, 100, frames)
    assert error(embedded(conv, mel), conv(mel).transpose(1, 2)) <= 1e-6


def test_a_depthwise_convolution_without_cudnn_is_the_convolution() -> None:
    torch.manual_seed(0)
    conv = nn.Conv1d(24, 24, 7, padding=3, groups=24).requires_grad_(False)
    x = torch.randn(2, 24, 50)
    assert error(without_cudnn(conv, x), conv(x)) <= 1e-6
