"""This project's start as a worker's: first log line, weights from where they are, first wave.

Does what `runpod.worker` does up to the point where it would take jobs; only the
registry differs, because the weights are random and have other hashes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import worker
from f5serve.startup.process import init_process
from worker import Answer
from worker_ours import Ours


class Starting(Ours):
    """One start, and the requests after it."""

    def load(self, request: dict[str, Any]) -> Answer:
        """Everything up to "ready to speak", with the steps as they are logged."""
        began = time.monotonic()
        settings = init_process("worker")
        from f5serve.startup import LoadOptions, Timeline, load_in_background

        timeline = Timeline.of_process()
        timeline.mark("interpreter", began)
        timeline.mark("settings, doctor")
        options = LoadOptions(timeline=timeline, warm_up=True, registry=_registry(request["files"]))
        begun = load_in_background(settings, options)
        with timeline.step("service", concurrent=True):
            from f5serve.runpod import sdk as runpod_sdk

            runpod_sdk.load()
        loaded = begun.result()
        self.engine, self.device = loaded.synthesizer.engine, request["device"]
        source = loaded.resolved.source if loaded.resolved else ""
        return {"state": worker.now(), "source": source, "timeline": timeline.as_dict()}


def _registry(files: dict[str, Any]) -> Any:
    """The published registry, with the sizes and hashes of the random files."""
    from f5serve.models.registry import PUBLISHED, Registry

    specs = [
        replace(spec, files=tuple(replace(f, **files.get(f.path, {})) for f in spec.files))
        for spec in (PUBLISHED.models[0], PUBLISHED.vocoder)
    ]
    return Registry((specs[0],), specs[1])


def main() -> None:
    """Serve the commands."""
    ours = Starting()
    worker.serve({"load": ours.load, "request": ours.request})


if __name__ == "__main__":
    main()
