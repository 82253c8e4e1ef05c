"""A wave becomes the log-mel that F5-TTS was trained on (and Vocos inverts).

24 kHz, n_fft = win = 1024, hop 256, 100 HTK bands without area normalisation, magnitude, centred
with reflected edges, natural logarithm clamped at 1e-5.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from f5serve.engine.config import N_MELS
from f5serve.engine.cuda import to_device
from f5serve.units import HOP_LENGTH, SAMPLE_RATE

N_FFT = 1024
LOG_FLOOR = 1e-5


def _hz_to_mel(hz: Tensor) -> Tensor:
    return 2595.0 * torch.log10(1.0 + hz / 700.0)


def _mel_to_hz(mel: Tensor) -> Tensor:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


@cache
def filterbank() -> Tensor:
    """Triangular HTK filters from 0 to 12 kHz: [N_FFT // 2 + 1, N_MELS]."""
    frequencies = torch.linspace(0, SAMPLE_RATE // 2, N_FFT // 2 + 1)
    top = _hz_to_mel(torch.tensor(SAMPLE_RATE / 2))
    corners = _mel_to_hz(torch.linspace(0.0, float(top), N_MELS + 2))
    widths = corners.diff()
    distance = corners[None, :] - frequencies[:, None]  # [513 N_MELS+2]
    rising = -distance[:, :-2] / widths[:-1]
    falling = distance[:, 2:] / widths[1:]
    return torch.minimum(rising, falling).clamp_(min=0.0)


@cache
def _placed(device: torch.device) -> tuple[Tensor, Tensor]:
    """Window and filters on a device; copied there once."""
    return torch.hann_window(N_FFT, device=device), to_device(device, filterbank())


def log_mel(wave: Tensor) -> Tensor:
    """Log-mel of a wave.

    Args:
        wave: float32 [b nw] at 24 kHz, at least 513 samples (the edges are reflected).

    Returns:
        float32 [b n N_MELS], n = nw // 256 + 1.
    """
    window, filters = _placed(wave.device)
    spectrum = torch.stft(wave, N_FFT, HOP_LENGTH, window=window, return_complex=True)
    mel = spectrum.abs().transpose(1, 2) @ filters  # [b n N_MELS]
    return mel.clamp_(min=LOG_FLOOR).log_()
