"""The `f5-tts` package as a worker: loaded and called as its own api.py does.

Runs under a Python that has f5-tts; nothing of this project is imported.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import worker
from worker import Answer


class Upstream:
    """One loaded model and vocoder."""

    def __init__(self) -> None:
        self.device = "cpu"
        self.model: Any = None
        self.vocoder: Any = None
        self.step_inputs: dict[str, Any] = {}

    def load(self, request: dict[str, Any]) -> Answer:
        """Everything up to "ready to speak", stage by stage."""
        stages = {}
        self.device = request["device"]
        import f5_tts.api  # noqa: F401 - what a program that uses the package imports
        import torch

        torch.set_num_threads(request["threads"])
        stages["import"] = worker.now()
        from f5_tts.infer.utils_infer import load_model, load_vocoder

        self.vocoder = load_vocoder("vocos", True, request["vocoder"], self.device)
        stages["vocoder"] = worker.now()
        self.model = load_model(
            backbone(request["arch"]),
            settings(request["arch"]),
            request["weights"],
            vocab_file=request["vocab"],
            device=self.device,
        ).eval()  # it comes back in training mode, dropout on
        stages["model"] = worker.now()
        return {"stages": stages}

    def facts(self, request: dict[str, Any]) -> Answer:
        """Versions and device."""
        named = {name: version(name) for name in ("f5-tts", "vocos")}
        return worker.device_facts(self.device) | named

    def memory(self, request: dict[str, Any]) -> Answer:
        """Where the process stands."""
        return worker.now() | {"gpu_mb": worker.gpu_peak_mb(self.device)}

    def prepare(self, request: dict[str, Any]) -> Answer:
        """Take a row of that length for `step`; saves its mel of one step with guidance."""
        import numpy as np
        import torch

        frames = request["frames"]
        cond, tokens = worker.step_inputs(frames, request["tokens"])
        cond, tokens = cond[None].to(self.device), tokens[None].to(self.device)
        self.model.transformer.clear_cache()  # what `_step` left: another length is not noticed
        with torch.inference_mode():
            mel, _ = self.model.sample(
                cond=cond,
                text=tokens,
                duration=frames,
                steps=1,
                cfg_strength=2.0,
                sway_sampling_coef=-1.0,
                seed=worker.STEP_SEED,
            )
        np.save(request["out"], mel[0].float().cpu().numpy())
        kind = next(self.model.parameters()).dtype
        padded = torch.nn.functional.pad(cond, (0, 0, 0, frames - cond.shape[1])).to(kind)
        self.step_inputs = {
            "x": torch.randn(1, frames, 100).to(padded),
            "cond": padded,
            "text": tokens,
            "time": torch.zeros((), dtype=kind, device=self.device),
        }
        self._step()  # embeds the text
        return {}

    def _step(self) -> Any:
        """One velocity with guidance; the text embedding is cached as it is within a request."""
        import torch

        with torch.inference_mode():
            both = self.model.transformer(**self.step_inputs, cfg_infer=True, cache=True)
            conditional, unconditional = both.chunk(2)
            return (conditional + (conditional - unconditional) * 2.0)[0]

    def step(self, request: dict[str, Any]) -> Answer:
        """Time the step that was prepared."""
        return worker.timed(self._step, self.device, request["repeat"])

    def request(self, request: dict[str, Any]) -> Answer:
        """Time a whole request, strings and samples to samples; saves the wave."""
        import numpy as np
        import torch

        reference = torch.from_numpy(worker.reference_samples(request["ref_s"]))[None]
        waves: list[Any] = []
        self.model.transformer.clear_cache()
        torch.manual_seed(request["seed"])  # what the package's own seed_everything comes down to
        result = worker.timed(lambda: waves.append(self._speak(reference, request)), self.device)
        np.save(request["out"], waves[0])
        return {"timing": result, "state": self.memory({})}

    def _speak(self, reference: Any, request: dict[str, Any]) -> Any:
        from f5_tts.infer.utils_infer import infer_batch_process

        return next(
            infer_batch_process(
                (reference, 24_000),
                request["ref_text"],
                [request["text"]],
                self.model,
                self.vocoder,
                progress=None,
                nfe_step=request["nfe_step"],
                fix_duration=(request["frames"] + 0.5) * 256 / 24_000,
                device=self.device,
            )
        )[0]

    def traffic(self, request: dict[str, Any]) -> Answer:
        """Serve clients, each in its thread; `policy` "serial" lets one in at a time."""
        import threading
        from contextlib import nullcontext

        import traffic

        gate = threading.Lock() if request["policy"] == "serial" else nullcontext()

        def speak(asked: dict[str, Any], first: Any) -> int:
            with gate:
                return self._answer(asked)

        return traffic.drive(request["clients"], speak) | {"state": self.memory({})}

    def _answer(self, request: dict[str, Any]) -> int:
        """Samples of a request, before its parts are joined: those are threads of the package."""
        import torch
        from f5_tts.infer.utils_infer import infer_batch_process

        reference = torch.from_numpy(worker.reference_samples(request["ref_s"]))[None]
        made = infer_batch_process(
            (reference, 24_000),
            request["ref_text"],
            [part["text"] for part in request["parts"]],
            self.model,
            self.vocoder,
            progress=None,
            nfe_step=request["nfe_step"],
            cross_fade_duration=0,
            device=self.device,
        )
        return len(next(made)[0])

    def tokens(self, request: dict[str, Any]) -> Answer:
        """Ids of each line of a file."""
        from f5_tts.model.utils import convert_char_to_pinyin, get_tokenizer, list_str_to_idx

        ids_of, _ = get_tokenizer(request["vocab"], "custom")
        lines = Path(request["lines"]).read_text(encoding="utf-8").split("\n")[:-1]
        words = [convert_char_to_pinyin([line])[0] for line in lines]
        ids = [list_str_to_idx([line], ids_of)[0].tolist() for line in words]
        return {"ids": ids}


def backbone(arch: dict[str, Any]) -> Any:
    """The class of an architecture."""
    from f5_tts.model import DiT, UNetT

    return DiT if arch["backbone"] == "dit" else UNetT


def settings(arch: dict[str, Any]) -> dict[str, Any]:
    """What that class is made with."""
    same = ("dim", "depth", "ff_mult", "text_dim", "conv_layers")
    return {name: arch[name] for name in same} | {
        "heads": arch["dim"] // 64,
        "text_mask_padding": arch["mask_text_padding"],
        "pe_attn_head": arch["rope_heads"],
    }


def main() -> None:
    """Serve the commands."""
    upstream = Upstream()
    names = ("load", "facts", "memory", "prepare", "step", "request", "traffic", "tokens")
    worker.serve({name: getattr(upstream, name) for name in names})


if __name__ == "__main__":
    main()
