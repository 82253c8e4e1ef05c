"""vox-tts as a worker: an engine in C++ for CPUs and Vulkan, on weights in a file of its own.

Runs under a Python that has vox-tts; nothing of this project is imported.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import worker
from worker import Answer


class Vox:
    """One loaded model with Vocos, and the voice of the last reference."""

    def __init__(self) -> None:
        self.engine: Any = None

    def convert(self, request: dict[str, Any]) -> Answer:
        """Write the file that the package loads; one that is there is kept."""
        from vox.build_f5 import build

        out = Path(request["out"])
        if not out.exists():
            partial = out.with_suffix(".partial")
            build(
                request["published"],
                request["vocab"],
                request["vocoder"],
                str(partial),
                dtype="f32",
                quant=request["quant"],
                pinyin=False,
                sha=False,
                model_cfg="v1",
            )
            partial.replace(out)
        return {"mb": out.stat().st_size / 2**20}

    def load(self, request: dict[str, Any]) -> Answer:
        """The converted file, on the CPU."""
        import vox

        self.engine = vox.Engine(request["weights"], device="cpu", threads=request["threads"])
        return {}

    def facts(self, request: dict[str, Any]) -> Answer:
        """Its version."""
        return {"vox-tts": version("vox-tts")}

    def request(self, request: dict[str, Any]) -> Answer:
        """Time a whole request, strings and samples to samples; saves the wave.

        Its length is the package's own choice: it takes none.
        """
        import numpy as np

        reference = (worker.reference_samples(request["ref_s"]), 24_000)
        waves: list[Any] = []
        result = worker.timed(lambda: waves.append(self._speak(reference, request)), "cpu")
        np.save(request["out"], waves[0])
        return {"timing": result, "state": worker.now(), "samples": len(waves[0])}

    def _speak(self, reference: Any, request: dict[str, Any]) -> Any:
        voice = self.engine.clone_voice(reference, request["ref_text"])
        return self.engine.synthesize(
            request["text"],
            voice,
            seed=request["seed"],
            nfe_step=request["nfe_step"],
            cfg_strength=2.0,
            sway_sampling_coef=-1.0,
        )


def main() -> None:
    """Serve the commands."""
    vox = Vox()
    names = ("convert", "load", "facts", "request")
    worker.serve({name: getattr(vox, name) for name in names})


if __name__ == "__main__":
    main()
