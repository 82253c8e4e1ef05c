"""This project's engine as a worker: by itself, or through the service's own boot."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import worker
from worker import Answer


class Enough(Exception):
    """As many steps as were wanted."""


class Ours:
    """One loaded engine."""

    def __init__(self) -> None:
        self.device = "cpu"
        self.engine: Any = None
        self.sequence: Any = None
        self.floors: dict[str, Any] = {}

    def load(self, request: dict[str, Any]) -> Answer:
        """Everything up to "ready to speak", stage by stage; the vocoder is part of the model's."""
        self.device = request["device"]
        ready = self._boot if request["through"] == "boot" else self._load
        return {"stages": ready(request)}

    def _load(self, request: dict[str, Any]) -> Answer:
        stages = {}
        from f5serve.engine.engine import EngineOptions, load

        stages["import"] = worker.now()
        options = EngineOptions(
            device=self.device, dtype=request["dtype"], threads=request["threads"]
        )
        self.engine = load(*_files(request), request["arch"]["name"], options)
        stages["model"] = worker.now()
        return stages

    def _boot(self, request: dict[str, Any]) -> Answer:
        stages = {}
        from f5serve.models.installed import ModelFiles
        from f5serve.settings import Settings
        from f5serve.startup import EngineSpec, LoadOptions, load
        from f5serve.startup.loader import import_engine

        name = request["arch"]["name"]
        files = ModelFiles(name, name, *_files(request), license="", commercial=False, revision="")
        settings = Settings(device=self.device, dtype=request["dtype"], threads=request["threads"])

        import_engine("f5")
        stages["import"] = worker.now()
        spec = EngineSpec("f5", name, name, files)
        self.engine = load(settings, LoadOptions(spec)).synthesizer.engine
        stages["model"] = worker.now()
        return stages

    def facts(self, request: dict[str, Any]) -> Answer:
        """Version, commit and device."""
        from f5serve.build import stamp

        ours = {"f5serve": stamp().version, "commit": stamp().commit}
        return worker.device_facts(self.device) | ours

    def memory(self, request: dict[str, Any]) -> Answer:
        """Where the process stands."""
        return worker.now() | {"gpu_mb": worker.gpu_peak_mb(self.device)}

    def prepare(self, request: dict[str, Any]) -> Answer:
        """Take a sequence of that length for `step`; saves its mel of one step with guidance."""
        import numpy as np

        from f5serve.types import SamplingOptions

        seq = step_sequence(request["frames"], request["tokens"], 1)
        np.save(request["out"], self.engine.runner.sample([seq])[0].cpu().numpy())
        self.sequence = replace(seq, options=SamplingOptions(nfe_step=32))
        if self.device == "cuda":
            self._capture(seq)
        return {}

    def _capture(self, seq: Any) -> None:
        """Miss steps of that length, capture and validate them: from here on they are replayed."""
        from f5serve.engine.cuda_graphs import CAPTURE_AFTER
        from f5serve.types import SamplingOptions

        for _ in range(2):
            self.engine.runner.sample(
                [replace(seq, options=SamplingOptions(nfe_step=CAPTURE_AFTER))]
            )
            while self.engine.runner.capture_pending():
                pass

    def step(self, request: dict[str, Any]) -> Answer:
        """Time the first steps of the sequence that was prepared.

        `ModelRunner.sample` calls `check` before each step, which is where the clock is read.
        """
        watch = worker.Watch(self.device, request["repeat"])

        def check() -> None:
            if watch.lap():
                raise Enough

        with suppress(Enough):
            self.engine.runner.sample([self.sequence], check)
        return watch.read()

    def request(self, request: dict[str, Any]) -> Answer:
        """Time a whole request, strings and samples to samples; saves the wave."""
        import numpy as np

        (utterance,) = utterances(request, [request])
        waves: list[Any] = []
        result = worker.timed(lambda: waves.extend(self.engine.generate([utterance])), self.device)
        np.save(request["out"], waves[0].samples)
        return {"timing": result, "state": self.memory({})}

    def traffic(self, request: dict[str, Any]) -> Answer:
        """Serve clients; `policy` and `budget` as in engine/scheduler.py, "" and 0 for its own."""
        import policies
        import traffic
        from f5serve.engine.scheduler import select

        loop, scheduler = self.engine.loop, self.engine.scheduler
        scheduler.policy = getattr(policies, request["policy"]) if request["policy"] else select
        if request["budget"]:
            scheduler.resize(request["budget"])
        before = loop.counters()
        told = traffic.drive(request["clients"], self._answer)
        after = loop.counters()
        counted = {name: after[name] - before.get(name, 0) for name in after}
        return told | {
            "counted": counted | {"budget": scheduler.max_batch_frames},
            "state": self.memory({}),
        }

    def _answer(self, request: dict[str, Any], first: Any) -> int:
        asked = utterances(request, request["parts"])
        waves = self.engine.generate(asked, lambda index, _: index or first())
        return sum(len(wave.samples) for wave in waves)

    def tokens(self, request: dict[str, Any]) -> Answer:
        """Ids of each line of a file."""
        from f5serve.text.tokens import Vocab, tokenize

        vocab = Vocab.from_file(Path(request["vocab"]))
        lines = Path(request["lines"]).read_text(encoding="utf-8").split("\n")[:-1]
        return {"ids": [vocab.ids(tokenize(line)) for line in lines]}

    def gemm(self, request: dict[str, Any]) -> Answer:
        """Best rate of the matrix product that dominates a step, in FLOP a second."""
        import torch

        m, k, n = request["shape"]
        kind = torch.float16 if self.device == "cuda" else torch.float32
        a = torch.randn(m, k, device=self.device, dtype=kind)
        b = torch.randn(n, k, device=self.device, dtype=kind)
        rounds = [
            worker.timed(lambda: torch.nn.functional.linear(a, b), self.device, 3)
            for _ in range(10)
        ]
        best = min(timing[request["clock"]] for timing in rounds)
        return {"flop_per_s": 2 * m * k * n / best}

    def floor(self, request: dict[str, Any]) -> Answer:
        """Time what a step of that length cannot do without."""
        import arithmetic

        library, frames = request["library"], request["frames"]
        if self.floors.get("frames") != frames:
            self.floors = {"frames": frames}
        if library not in self.floors:
            self.floors[library] = arithmetic.of_step(request["arch"], frames, library)
            self.floors[library]()
        return worker.timed(self.floors[library], self.device, request["repeat"])


def step_sequence(frames: int, tokens: int, nfe_step: int) -> Any:
    """A sequence whose reference is a third of it.

    Args:
        tokens: lines of the vocabulary.
    """
    from f5serve.engine.request import ReferencePrompt, Sequence
    from f5serve.types import SamplingOptions

    mel, ids = worker.step_inputs(frames, tokens)
    options = SamplingOptions(nfe_step=nfe_step)
    prompt = ReferencePrompt.from_mel(mel)
    return Sequence(prompt, ids.tolist(), frames, worker.STEP_SEED, options)


def utterances(request: dict[str, Any], parts: list[dict[str, Any]]) -> list[Any]:
    """What the engine is asked for: `parts` have text, frames and seed, all the same voice."""
    from f5serve.types import SamplingOptions, Utterance, Voice, Wave

    reference = Wave(worker.reference_samples(request["ref_s"]))
    voice = Voice("bench", reference, request["ref_text"], revision=str(request["ref_s"]))
    options = SamplingOptions(nfe_step=request["nfe_step"])
    return [Utterance(p["text"], voice, p["frames"], p["seed"], options) for p in parts]


def _files(request: dict[str, Any]) -> tuple[Path, Path, Path]:
    """Weights, vocabulary, vocoder."""
    vocoder = Path(request["vocoder"]) / "pytorch_model.bin"
    return Path(request["weights"]), Path(request["vocab"]), vocoder


def main() -> None:
    """Serve the commands."""
    ours = Ours()
    names = ("load", "facts", "memory", "prepare", "step", "request", "traffic", "tokens")
    worker.serve({name: getattr(ours, name) for name in (*names, "gemm", "floor")})


if __name__ == "__main__":
    main()
