"""Answers of the `f5-tts` package, to compare ours with.

Runs under a Python of its own that has `f5-tts` installed (`make oracle`), with this checkout's
`src` on PYTHONPATH for one thing only: the random weights, drawn from a seed by the same function
on both sides.

    oracle.py CASES.json ANSWERS.npz

CASES.json holds {"mels": [...], "vocos": [...], "waves": [...], "batches": [...]}; each case has a
"name", under which its answer is stored. See `tests/parity/cases.py` for the fields.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from f5serve.engine.config import ModelConfig
from f5serve.engine.vocos import random_tensors as random_vocos
from f5serve.engine.weight_map import random_tensors

Answers = dict[str, np.ndarray]


def build(case: dict[str, Any]) -> Any:
    """Upstream's CFM on the case's random weights, in eval mode."""
    from f5_tts.model import CFM, DiT, UNetT

    arch = ModelConfig(**case["arch"])
    shared = {
        "dim": arch.dim,
        "depth": arch.depth,
        "heads": arch.heads,
        "ff_mult": arch.ff_mult,
        "text_dim": arch.text_dim,
        "text_mask_padding": arch.mask_text_padding,
        "conv_layers": arch.conv_layers,
        "pe_attn_head": arch.rope_heads,
        "text_num_embeds": arch.vocab_size - 1,
        "mel_dim": 100,
        "attn_mask_enabled": case.get("attn_mask_enabled", False),
    }
    net = (DiT if arch.backbone == "dit" else UNetT)(**shared)
    vocab = case.get("vocab")
    chars = None
    if vocab:
        lines = Path(vocab).read_text(encoding="utf-8").split("\n")[:-1]
        chars = {char: i for i, char in enumerate(lines)}
    model = CFM(transformer=net, mel_spec_kwargs={"mel_spec_type": "vocos"}, vocab_char_map=chars)
    weights = random_tensors(arch, case["weights_seed"])
    missing, unexpected = model.transformer.load_state_dict(weights, strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {"rotary_embed.inv_freq"}, missing
    dtype = getattr(torch, case.get("dtype", "float32"))
    return model.to(dtype).eval()


def sample(model: Any, case: dict[str, Any]) -> torch.Tensor:
    """The mel that upstream samples: float32 [n 100]."""
    generator = torch.Generator().manual_seed(case["cond_seed"])
    cond = torch.randn(1, case["cond_frames"], 100, generator=generator) * 2 - 4
    with torch.inference_mode():
        mel, _ = model.sample(
            cond=cond,
            text=torch.tensor([case["tokens"]]),
            duration=case["frames"],
            steps=case["nfe_step"],
            cfg_strength=case["cfg_strength"],
            sway_sampling_coef=case["sway"],
            seed=case["seed"],
        )
    return mel[0].float()


def sample_batch(model: Any, batch: list[dict[str, Any]]) -> list[torch.Tensor]:
    """Upstream's own batch of several rows, padded as it pads them."""
    from torch.nn.utils.rnn import pad_sequence

    conds, lens = [], []
    for case in batch:
        generator = torch.Generator().manual_seed(case["cond_seed"])
        conds.append(torch.randn(case["cond_frames"], 100, generator=generator) * 2 - 4)
        lens.append(case["cond_frames"])
    text = pad_sequence(
        [torch.tensor(c["tokens"]) for c in batch], padding_value=-1, batch_first=True
    )
    with torch.inference_mode():
        mel, _ = model.sample(
            cond=pad_sequence(conds, batch_first=True),
            text=text,
            duration=torch.tensor([c["frames"] for c in batch]),
            lens=torch.tensor(lens),
            steps=batch[0]["nfe_step"],
            cfg_strength=batch[0]["cfg_strength"],
            sway_sampling_coef=batch[0]["sway"],
            seed=batch[0]["seed"],
        )
    return [mel[i, : c["frames"]].float() for i, c in enumerate(batch)]


def vocos(case: dict[str, Any]) -> torch.Tensor:
    """The wave that the `vocos` package decodes from a random mel on random weights."""
    from vocos.heads import ISTFTHead
    from vocos.models import VocosBackbone

    backbone = VocosBackbone(100, case["width"], case["inner"], case["depth"])
    head = ISTFTHead(case["width"], 1024, 256, padding="center")
    net = torch.nn.ModuleDict({"backbone": backbone, "head": head}).eval()
    sizes = (case["width"], case["inner"], case["depth"])
    missing, unexpected = net.load_state_dict(
        random_vocos(case["weights_seed"], *sizes), strict=False
    )
    assert (missing, unexpected) == (["head.istft.window"], [])
    generator = torch.Generator().manual_seed(case["mel_seed"])
    mel = torch.randn(1, case["frames"], 100, generator=generator).transpose(1, 2) - 2
    with torch.inference_mode():
        return head(backbone(mel))[0]


def speech(model: Any, case: dict[str, Any]) -> torch.Tensor:
    """Mel of a whole request as upstream's inference makes it: wave and strings in."""
    from f5_tts.model.utils import convert_char_to_pinyin

    generator = torch.Generator().manual_seed(case["cond_seed"])
    wave = torch.randn(1, case["samples"], generator=generator) * 0.05
    wave = wave * (0.1 / wave.square().mean().sqrt())
    with torch.inference_mode():
        mel, _ = model.sample(
            cond=wave,
            text=convert_char_to_pinyin([case["ref_text"] + " " + case["text"]]),
            duration=case["frames"],
            steps=case["nfe_step"],
            cfg_strength=case["cfg_strength"],
            sway_sampling_coef=case["sway"],
            seed=case["seed"],
        )
    return mel[0, case["samples"] // 256 :]


def mel_spectrogram(case: dict[str, Any]) -> torch.Tensor:
    """Upstream's log-mel [n 100] of a random wave."""
    from f5_tts.model.modules import MelSpec

    generator = torch.Generator().manual_seed(case["cond_seed"])
    wave = torch.randn(1, case["samples"], generator=generator) * 0.1
    return MelSpec()(wave)[0].t()


def answer(cases: dict[str, list[dict[str, Any]]]) -> Answers:
    """All answers, by the name of their case."""
    answers: Answers = {}
    for case in cases.get("spectrograms", []):
        answers[case["name"]] = mel_spectrogram(case).numpy()
    for case in cases.get("vocos", []):
        answers[case["name"]] = vocos(case).numpy()
    for case in cases.get("mels", []):
        answers[case["name"]] = sample(build(case), case).numpy()
    for case in cases.get("waves", []):
        answers[case["name"]] = speech(build(case), case).numpy()
    for batch in cases.get("batches", []):
        model = build(batch["rows"][0] | {"attn_mask_enabled": batch["attn_mask_enabled"]})
        for i, mel in enumerate(sample_batch(model, batch["rows"])):
            answers[f"{batch['name']}.{i}"] = mel.numpy()
    return answers


def main() -> None:
    """Read the cases, write the answers."""
    torch.set_num_threads(1)  # small models lose by a second thread, and the tests have its core
    cases = json.loads(Path(sys.argv[1]).read_text())
    np.savez_compressed(sys.argv[2], **answer(cases))
    print(json.dumps({"f5_tts": version("f5-tts"), "torch": torch.__version__}))


if __name__ == "__main__":
    from importlib.metadata import version

    main()
