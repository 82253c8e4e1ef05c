"""The `f5-tts` package from a hub to its first wave, by the calls that its api.py makes.

Runs under a Python that has f5-tts; nothing of this project is imported.
"""

from __future__ import annotations

from typing import Any

import worker
from worker import Answer
from worker_upstream import Upstream, backbone, settings


class Starting(Upstream):
    """One start, and the requests after it."""

    def load(self, request: dict[str, Any]) -> Answer:
        """Import, fetch what the cache lacks, load."""
        self.device = request["device"]
        import f5_tts.api  # noqa: F401 - what a program that uses the package imports
        import torch
        from cached_path import cached_path
        from f5_tts.infer.utils_infer import load_model, load_vocoder

        torch.set_num_threads(request["threads"])
        imported = worker.now()
        cache = request["cache"]
        self.vocoder = load_vocoder("vocos", False, "", self.device, cache)
        weights = cached_path(request["weights"], cache_dir=cache)
        fetched = worker.now()
        self.model = load_model(
            backbone(request["arch"]),
            settings(request["arch"]),
            str(weights),
            vocab_file=request["vocab"],
            device=self.device,
        ).eval()
        return {"imported": imported, "fetched": fetched, "state": worker.now()}


def main() -> None:
    """Serve the commands."""
    upstream = Starting()
    worker.serve({"load": upstream.load, "request": upstream.request})


if __name__ == "__main__":
    main()
