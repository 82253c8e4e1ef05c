"""What one request runs of the source: distinct functions and files, and work that is done twice.

One `POST /v1/audio/speech` through the whole application, and one RunPod `tts` job through the
worker's loop; both in this process, with the tone as engine and a store in memory. A first request
warms up what is made once, the second is counted.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FrameType
from typing import Any

import httpx

from f5serve.alignment.aligners import Aligners
from f5serve.audio.encode import FileEncoder
from f5serve.audio.encode_stream import _Encoder
from f5serve.fallback.tone import Tone
from f5serve.http.app import build_middleware, make_app
from f5serve.http.middleware.access_log import AccessLogMiddleware
from f5serve.http.state import AppState
from f5serve.runpod.handler import Handler
from f5serve.runpod.job_loop import JobLoop, LoopOptions
from f5serve.runpod.sdk import Sdk
from f5serve.service.requests import TTSRequest
from f5serve.service.tenants import Tenants
from f5serve.settings import Settings
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer, check_options
from f5serve.text.clean import clean_text
from f5serve.text.plan import plan_utterances
from f5serve.voices.libraries import VoiceLibraries

SOURCE = Path(__file__).parents[2] / "src" / "f5serve"
TEXT = "Hello there."
_NO_FUNCTION = {"<module>", "<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"}

WORK: dict[str, tuple[Any, ...]] = {
    "cleaned": (clean_text,),
    "planned": (plan_utterances,),
    "validated": (TTSRequest._note, check_options),
    "encoded": (FileEncoder.write, _Encoder.add),
}
"""Functions that do what one request of one utterance needs once."""


@dataclass
class CallPath:
    """The functions of ours that ran.

    Attributes:
        functions: `file:qualified name`, with the number of calls.
        codes: the same by code object.
    """

    codes: Counter[CodeType] = field(default_factory=Counter)

    @property
    def functions(self) -> dict[str, int]:
        return {
            f"{Path(code.co_filename).relative_to(SOURCE)}:{code.co_qualname}": count
            for code, count in sorted(
                self.codes.items(), key=lambda one: (one[0].co_filename, one[0].co_firstlineno)
            )
        }

    @property
    def files(self) -> set[str]:
        return {code.co_filename for code in self.codes}

    def figures(self) -> dict[str, int]:
        """Numbers of functions and files, and of calls for each entry of `WORK`."""
        told = {"functions": len(self.codes), "files": len(self.files)}
        for name, functions in WORK.items():
            told[name] = sum(self.codes[function.__code__] for function in functions)
        return told


class Recorder:
    """Counts calls in every thread that is started while it is installed."""

    def __init__(self) -> None:
        self._path: CallPath | None = None
        self._names: dict[CodeType, bool] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        before = sys.getprofile()
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(before)
            threading.setprofile(None)  # type: ignore[arg-type]

    async def record(self, work: Callable[[], Awaitable[None]]) -> CallPath:
        """The calls while `work` runs, and what it leaves to end behind it."""
        path = self._path = CallPath()
        await work()
        await asyncio.sleep(0.2)
        self._path = None
        return path

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        path, code = self._path, frame.f_code
        if event != "call" or path is None:
            return
        is_ours = self._names.get(code)
        if is_ours is None:
            is_ours = code.co_filename.startswith(str(SOURCE)) and not (
                code.co_name in _NO_FUNCTION or code.co_flags & 0x2 == 0  # a class body
            )
            self._names[code] = is_ours
        if is_ours:
            path.codes[code] += 1


@asynccontextmanager
async def _service(
    settings: Settings,
) -> AsyncIterator[tuple[Tenants, AppState]]:
    store = MemoryStore()
    libraries = VoiceLibraries(settings, store)
    tenants = Tenants(store, libraries, lambda: Synthesizer(Tone()), settings)
    service = tenants.first
    service.begin()
    await service.ready()
    try:
        yield tenants, AppState(service, store, service.voices, Aligners(), settings)
    finally:
        await service.close(5)


async def speech_over_http(recorder: Recorder) -> CallPath:
    """The path of a `POST /v1/audio/speech`."""
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        async with _service(settings) as (tenants, state):
            app = AccessLogMiddleware(
                build_middleware(make_app(state), settings), tenants.first.metrics
            )
            transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1"
            ) as client:

                async def speak(text: str = TEXT) -> None:
                    body = {"model": "tts-1", "voice": "default", "input": text}
                    answer = await client.post("/v1/audio/speech", json=body)
                    assert answer.status_code == 200, answer.text
                    assert len(answer.content) > 1000

                await speak("Warm up.")
                return await recorder.record(speak)


async def job_of_runpod(recorder: Recorder) -> CallPath:
    """The path of a `tts` job of a RunPod worker."""
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        async with _service(settings) as (tenants, _):
            jobs: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            sdk = _local_sdk(jobs, answers)
            config: dict[str, Any] = {}
            handler = Handler(sdk, lambda: tenants, config, settings)
            config["handler"] = handler.handle
            loop = JobLoop(sdk, config, LoopOptions(1, 5), handler)
            running = asyncio.create_task(loop.run())

            async def speak(text: str = TEXT, job_id: str = "job-2") -> None:
                await jobs.put({"id": job_id, "input": {"text": text}})
                answer = await answers.get()
                assert answer["status"] == "COMPLETED", answer

            await speak("Warm up.", "job-1")
            path = await recorder.record(speak)
            running.cancel()  # `stop` would end this process
            await asyncio.wait({running})
            return path


def _local_sdk(jobs: asyncio.Queue[dict[str, Any]], answers: asyncio.Queue[dict[str, Any]]) -> Sdk:
    """RunPod's SDK over two queues."""

    async def get_job(session: Any, count: int) -> list[Any]:
        return [await jobs.get()]

    async def get_stop_signals(session: Any) -> list[str]:
        await asyncio.Event().wait()
        return []

    async def handle_job(session: Any, config: dict[str, Any], job: dict[str, Any]) -> None:
        await answers.put(await config["handler"](job))

    async def send_result(session: Any, body: dict[str, Any], job: dict[str, Any]) -> None:
        pass

    @asynccontextmanager
    async def make_session() -> AsyncIterator[object]:
        yield object()

    return Sdk(
        "0", get_job, get_stop_signals, handle_job, send_result, set(), make_session, OSError
    )


def measure() -> dict[str, CallPath]:
    """Both paths, by name."""
    recorder = Recorder()
    with recorder.installed():
        return {
            "speech": asyncio.run(speech_over_http(recorder)),
            "job": asyncio.run(job_of_runpod(recorder)),
        }
