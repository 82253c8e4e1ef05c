"""What all models on one device share: the loop with its thread, and the vocoder."""

from __future__ import annotations

import threading
from pathlib import Path
from weakref import WeakValueDictionary

import torch

from f5serve.engine.checkpoint import CheckpointFile
from f5serve.engine.cpu import ParallelCfg
from f5serve.engine.cuda import RunAheadLimit, SideStream
from f5serve.engine.loop import EngineLoop
from f5serve.engine.model_runner import max_batch_frames
from f5serve.engine.scheduler import Scheduler
from f5serve.engine.vocos import Vocos


class SharedDevice:
    """A device and what is there once, however many models are.

    Attributes:
        loop: works on the requests of all models.
        parallel_cfg, run_ahead, side_stream: see `ModelRunner`.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.loop = EngineLoop(Scheduler(max_batch_frames(device)))
        self.parallel_cfg = ParallelCfg.on(device)
        self.run_ahead: RunAheadLimit | None = None
        self.side_stream: SideStream | None = None
        if device.type == "cuda":
            self.run_ahead, self.side_stream = RunAheadLimit(), SideStream(device)
            self.loop.scheduler.by_cost = True
            # Libraries keep what they have found out by thread: a new one would begin anew.
            self.loop.idle_s = None
        self._vocoders: WeakValueDictionary[tuple[object, ...], Vocos] = WeakValueDictionary()
        self._loading = threading.Lock()

    def vocoder(self, path: Path) -> Vocos:
        """The vocoder of a file, the same for all models that are loaded with it.

        Raises:
            ModelUnavailable: as `Vocos.from_tensors` and `CheckpointFile.inspect`.
        """
        file = CheckpointFile.inspect(path)
        status = path.stat()
        key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        with self._loading:
            vocoder = self._vocoders.get(key)
            if vocoder is None:
                with file.open() as tensors:
                    vocoder = Vocos.from_tensors(tensors, self.device)
                self._vocoders[key] = vocoder
            return vocoder

    @property
    def memory_bytes(self) -> int:
        """All that a GPU has."""
        return torch.cuda.mem_get_info(self.device)[1]

    def fit_batches(self) -> None:
        """Let steps be as long as memory allows, now that a model has come or gone."""
        self.loop.scheduler.fit(max_batch_frames(self.device))
