"""What is compared with the `f5-tts` package: architectures, rows, batches.

The small cases keep every architecture's structure at a fraction of its size; the package's
answers to them are checked in (tests/data/goldens.npz, `make goldens`). The full ones need the
package itself (`make parity`).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from f5serve.engine.config import PRESETS, ModelConfig

Case = dict[str, Any]

SMALL_VOCAB = 60


def small(name: str) -> ModelConfig:
    """The preset with few, narrow layers; everything that sets it apart is kept."""
    arch = PRESETS[name]
    conv_layers = min(arch.conv_layers, 2)
    text_dim = 64 if conv_layers else arch.text_dim
    return replace(
        arch,
        dim=192 if "Small" in name else 128,
        depth=4,
        text_dim=text_dim,
        conv_layers=conv_layers,
        vocab_size=SMALL_VOCAB + 1,
    )


def row(arch: ModelConfig, name: str, frames: int, **changes: Any) -> Case:
    """One row: random reference mel, tokens and noise, each from its own seed."""
    case = {
        "name": name,
        "arch": asdict(arch),
        "weights_seed": 11,
        "cond_seed": 3 + frames,
        "cond_frames": frames // 3,
        "tokens": [(7 * i + frames) % (arch.vocab_size - 1) for i in range(frames // 4)],
        "frames": frames,
        "seed": 1000 + frames,
        "nfe_step": 7,
        "cfg_strength": 2.0,
        "sway": -1.0,
    }
    return case | changes


def small_cases() -> dict[str, list[Any]]:
    """Cases whose answers are checked in."""
    mels = [row(small(name), name, 96) for name in PRESETS]
    v1 = small("F5TTS_v1_Base")
    mels += [
        row(v1, "steps-16", 48, nfe_step=16),
        row(v1, "steps-32", 40, nfe_step=32),
        row(v1, "steps-9-even", 40, nfe_step=9, sway=-0.5),
        row(v1, "no-guidance", 64, cfg_strength=0.0),
        row(v1, "no-sway", 64, sway=0.0),
        # More tokens than frames is impossible (the row grows); as many as fit is the edge.
        row(v1, "text-as-long-as-the-row", 64, tokens=[5] * 63),
        row(v1, "one-token", 64, tokens=[9]),
    ]
    return {
        "mels": mels,
        "vocos": [
            {"name": "vocos", "width": 64, "inner": 96, "depth": 3, "frames": 40}
            | {"weights_seed": 5, "mel_seed": 6}
        ],
        "spectrograms": [{"name": "spectrogram", "cond_seed": 9, "samples": 24_000}],
    }


def full_cases(vocab: str) -> dict[str, list[Any]]:
    """Cases that need the package at hand; `vocab` is the path of its vocab.txt."""
    v1 = replace(PRESETS["F5TTS_v1_Base"], depth=2)
    batch = [row(v1, f"{frames}", frames, seed=77, weights_seed=2) for frames in (200, 140, 90)]
    singles = [case | {"name": f"single.{case['name']}"} for case in batch]
    half = row(v1, "half", 72, dtype="float16", weights_seed=4)
    return {
        "mels": [
            *(row(replace(PRESETS[n], depth=4), f"wide.{n}", 150) for n in PRESETS),
            *singles,
            half | {"dtype": "float32", "name": "half-in-fp32"},
            half,
        ],
        "batches": [
            {"name": "padded", "rows": batch, "attn_mask_enabled": False},
        ],
        "vocos": [
            {"name": "vocos-full", "width": 512, "inner": 1536, "depth": 8, "frames": 300}
            | {"weights_seed": 1, "mel_seed": 2}
        ],
        "waves": [
            row(v1, "request", 260, samples=24_000, vocab=vocab, cond_seed=21)
            | {"ref_text": "Some call me nature.", "text": "你好, this is a mixed sentence."}
        ],
    }


def whole_model_case() -> dict[str, list[Any]]:
    """F5TTS_v1_Base at its real size: 337 M parameters."""
    return {"mels": [row(PRESETS["F5TTS_v1_Base"], "whole", 120)]}
