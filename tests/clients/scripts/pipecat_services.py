"""Pipecat's services: `tts` and `stt` of the guide in pipelines of their own."""

import asyncio
import json
import sys
import wave
from collections.abc import Sequence
from typing import Any

import aiohttp
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner


def report(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


class Reports(FrameProcessor):
    """Prints what a service makes; `done` once it has ended or failed."""

    def __init__(self) -> None:
        super().__init__()
        self.done = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            report("audio", bytes=len(frame.audio), rate=frame.sample_rate)
        elif isinstance(frame, TTSTextFrame):
            report("text", text=frame.text, at_s=(frame.pts or 0) / 1e9)
        elif isinstance(frame, TTSStoppedFrame | TranscriptionFrame | ErrorFrame):
            if isinstance(frame, ErrorFrame):
                report("error", message=frame.error)
            else:
                report("end", text=getattr(frame, "text", ""))
            self.done.set()
        await self.push_frame(frame, direction)


async def run(service: FrameProcessor, lines: Sequence[Sequence[Frame]], rate: int) -> None:
    """Send each of `lines` once the one before has ended."""
    before, behind = Reports(), Reports()  # errors go up
    before.done = behind.done
    params = PipelineParams(audio_in_sample_rate=rate, audio_out_sample_rate=24_000)
    worker = PipelineWorker(
        Pipeline([before, service, behind]), params=params, cancel_on_idle_timeout=False
    )
    has_started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def note(*_: Any) -> None:
        has_started.set()

    async def send() -> None:
        await has_started.wait()
        for frames in lines:
            if not service.is_usable:
                break
            behind.done.clear()
            for frame in frames:
                await worker.queue_frame(frame)
            await behind.done.wait()
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner()
    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), send())


def spoken(path: str) -> tuple[list[Frame], int]:
    with wave.open(path) as file:
        rate, sound = file.getframerate(), file.readframes(file.getnframes())
    step = rate // 5
    audio = [
        InputAudioRawFrame(sound[at : at + step], rate, 1) for at in range(0, len(sound), step)
    ]
    return [VADUserStartedSpeakingFrame(), *audio, VADUserStoppedSpeakingFrame()], rate


async def main() -> None:
    config = json.load(sys.stdin)
    names: dict[str, Any] = {}
    exec(config["source"], names)
    asks = config["asks"]
    texts = [[TTSSpeakFrame(ask["text"])] for ask in asks if "text" in ask]
    if "make_tts" in names:
        async with aiohttp.ClientSession() as session:
            await run(names["make_tts"](session), texts, 16_000)
    elif texts:
        await run(names["tts"], texts, 16_000)
    for ask in asks:
        if "file" in ask:
            frames, rate = spoken(ask["file"])
            await run(names["stt"], [frames], rate)


asyncio.run(main())
