"""docs/reference/jobs.md: the input of RunPod jobs and their answers, found by asking.

Each operation is asked over a store in memory. Its request models name the fields; a value of no
kind at all, in the place of each, has the program itself say what it takes. What fields are for is
written here; none may be missing, and none too many.
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from tests.tools.http_reference import table
from tests.tools.jobs_meanings import ANSWERS, FIELDS, OPERATIONS, TAKES
from tests.voices.material import recording

from f5serve.errors import F5Error
from f5serve.fallback.tone import Tone
from f5serve.service import SpeechService
from f5serve.service.book_operations import BookName, BookQuery, NewBookRequest
from f5serve.service.dubs import DubRequest
from f5serve.service.job_handle import FileQuery, JobQuery, TimingQuery
from f5serve.service.requests import TTSRequest
from f5serve.service.speech_fields import ConsentFields
from f5serve.service.voices import VoiceDeletion, VoiceUpload
from f5serve.settings import Settings
from f5serve.startup import default_options
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.prepare import default_voice

KEPT_AS = {
    "response_format": "format",
    "mode": "",
    "return_audio": "",
}
"""Other names of fields in `SpeechRequest`; "" where the default is told in words."""

MODELS: dict[str, tuple[type[BaseModel], ...]] = {
    "tts": (TTSRequest,),
    "dub": (DubRequest,),
    "upload": (VoiceUpload,),
    **dict.fromkeys(["status", "result", "cancel"], (JobQuery,)),
    "download": (FileQuery, TimingQuery),
    "delete_voice": (VoiceDeletion,),
    "book": (NewBookRequest,),
    **dict.fromkeys(["book_status", "book_review"], (BookQuery,)),
    **dict.fromkeys(["book_pause", "book_resume", "book_file", "delete_book"], (BookName,)),
}
"""What reads the fields of an operation; the others have none."""


def jobs_page() -> str:
    """The page."""
    return "\n".join(asyncio.run(_page())).rstrip() + "\n"


async def _page() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        store = MemoryStore()
        voices = VoiceLibrary(store, Path(folder))
        operations = SpeechService(store, voices, lambda: Synthesizer(Tone()), Settings())
        try:
            return [line async for line in _Asker(operations).lines()]
        finally:
            await operations.close(1)


class _Asker:
    """Asks every operation what it takes, and what it answers."""

    def __init__(self, operations: SpeechService) -> None:
        self._operations = operations
        self._used: set[str] = set()

    async def lines(self) -> Any:
        """The lines of the page."""
        yield INTRODUCTION
        names = await self._names()
        assert set(names) == set(OPERATIONS), "an operation is not described"
        for name in names:
            said, examples = OPERATIONS[name]
            # First, since what is watched is done as well.
            answer = await self._first_answer(_filled(examples[0]), f"job-of-{name}")
            yield f"## {name}\n"
            yield f"{said}\n"
            for line in await self._fields(name, [_filled(each) for each in examples]):
                yield line
            for line in _answer(name, answer):
                yield line
        unused = set(FIELDS) - self._used
        assert not unused, f"fields that nothing takes: {unused}"

    async def _first_answer(self, payload: Mapping[str, Any], job_id: str) -> dict[str, Any]:
        """The answer, once what it is about is done."""
        while True:
            try:
                return await self._operations.answer(payload, job_id)
            except F5Error as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(0.05)

    async def _names(self) -> list[str]:
        """The operations, by the refusal of one that is none."""
        hint = (await self._refusal({"endpoint": "?"})).hint
        return hint.removeprefix("It is one of ").partition(";")[0].split(", ")

    async def _fields(self, name: str, examples: list[dict[str, Any]]) -> Iterator[str]:
        models = MODELS.get(name, ())
        fields = [field for model in models for field in model.model_fields if field != "endpoint"]
        if name == "dub":  # the others are those of tts
            fields = [field for field in fields if field not in TTSRequest.model_fields]
        if name == "tts":  # what its requests over HTTP have in common comes last
            fields.sort(key=lambda field: field not in TTSRequest.__annotations__)
        asked = {field: await self._takes(examples[-1], field) for field in fields}
        rows = [self._row(name, field, takes, examples) for field, takes in asked.items()]
        heads = ("field", "takes", "default", "meaning")
        return table(heads, rows) if rows else iter(["It takes no fields.\n"])

    async def _takes(self, example: Mapping[str, Any], field: str) -> str:
        """What the program says that a field takes, when it is sent something else."""
        if field in TAKES:
            return TAKES[field]
        refusal = await self._refusal({**example, field: ...})
        assert refusal.code in ("BAD_OPTION", "UNKNOWN_ENDPOINT"), (field, refusal)
        takes = refusal.hint.removeprefix("It takes ").removesuffix(".")
        return await self._parts(example, field) if takes == "an object" else takes

    async def _parts(self, example: Mapping[str, Any], field: str) -> str:
        """What an object in a field takes."""
        parts = []
        for name in ConsentFields.model_fields:
            refusal = await self._refusal({**example, field: {name: ...}})
            parts.append(f"`{name}`: {refusal.hint.removeprefix('It takes ').removesuffix('.')}")
        return f"an object: {'; '.join(parts)}"

    def _row(self, name: str, field: str, takes: str, examples: list[dict[str, Any]]) -> list[str]:
        key = f"{name}.{field}" if f"{name}.{field}" in FIELDS else field
        self._used.add(key)
        is_required = all(field in example for example in examples) and field in REQUIRED
        default = "required" if is_required else _default(name, field)
        return [f"`{field}`", takes, default, FIELDS[key]]

    async def _outcome(self, payload: Mapping[str, Any], job_id: str) -> F5Error | None:
        try:
            await self._operations.answer(payload, job_id)
        except F5Error as error:
            return error
        return None

    async def _refusal(self, payload: Mapping[str, Any]) -> F5Error:
        refusal = await self._outcome(payload, "refused")
        assert refusal is not None, payload
        return refusal


INTRODUCTION = """\
# Jobs

What a RunPod job is sent under `input`, and what it answers under `output`. `endpoint` names the
operation; without it, `tts` is meant. Null is as good as absent. A field that `tts` does not know
becomes a warning of its answer. An error is `{"error", "code", "hint"}`: a sentence, a stable code,
and what to do.
"""

REQUIRED = ("text", "voice_name", "job_id", "book_id")


def _filled(example: Mapping[str, str]) -> dict[str, Any]:
    """An example with the recording in it."""
    audio = base64.b64encode(recording()).decode()
    return {name: audio if value == "<recording>" else value for name, value in example.items()}


def _default(operation: str, field: str) -> str:
    """The default of a field of tts, as the parser fills it in."""
    if (operation != "tts" and field != "max_speed") or KEPT_AS.get(field) == "":
        return ""
    request = TTSRequest.parse({"text": "x"}).prepare(default_options(Settings()), 1000)
    speech = request.speech_request(default_voice())
    known = {**asdict(speech), **asdict(speech.options), "local_voice": request.speaker}
    known |= {"return_word_timings": request.word_timings, "text": ""}
    value = None if field == "voice" else known.get(KEPT_AS.get(field, field))
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value not in (None, "", ()) else ""


def _answer(name: str, answer: Mapping[str, Any]) -> Iterator[str]:
    yield "Answers:\n"
    said = ANSWERS[name]
    assert set(said) == set(answer), (name, set(said) ^ set(answer))
    if name == "health":  # what its values are depends on the machine
        yield from table(("field", "meaning"), [(f"`{field}`", said[field]) for field in answer])
        return
    rows = [(f"`{field}`", _kind(answer[field]), said[field]) for field in answer]
    yield from table(("field", "is", "meaning"), rows)


def _kind(value: Any) -> str:
    """The JSON type of a value."""
    if value is None:
        return "object or null"
    if isinstance(value, list):
        return f"list of {_kind(value[0])}" if value else "list"
    if isinstance(value, dict):
        return "object"
    names = {bool: "boolean", int: "number", float: "number", str: "text"}
    return names[type(value)]
