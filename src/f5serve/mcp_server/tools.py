"""The tools of the MCP server, over a `Backend` and a folder; errors as results with our codes."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from collections.abc import Coroutine, Iterable
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    InputRequiredResult,
    TextContent,
    ToolAnnotations,
)
from pydantic import BaseModel, Field, ValidationError

from f5serve import build
from f5serve.audio.decode import LONG, DecodeLimits
from f5serve.audio.encode import MEDIA_TYPES
from f5serve.errors import F5Error, InvalidRequest
from f5serve.mcp_server.backend import (
    Backend,
    ClonedVoice,
    NewVoice,
    OnProgress,
    TranscriptResult,
    VoicePage,
)
from f5serve.mcp_server.folder import FORMATS, Folder
from f5serve.service.request_errors import refusal
from f5serve.types import AudioFormat
from f5serve.voices.names import is_url

_log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_INLINE_BYTES = 700_000
"""Largest audio inside a result: 85 s of mp3. Clients keep a result in the model's context."""

INSTRUCTIONS = """\
Speech in cloned voices. list_voices names the voices; say speaks a text in one of them; clone_voice
makes a voice of a few seconds of speech, for which the speaker must have agreed; transcribe writes
down what is said in a recording. Files are read and written below one folder only.\
"""

_HINTS = {"upload the voice": "use clone_voice"}
"""What hints say of operations, and the tools that do it here."""

SpokenText = Annotated[str, Field(description="What to say, in a language of the model.")]
VoiceName = Annotated[str, Field(description="A name of list_voices.")]
VoiceStyle = Annotated[str, Field(description="One of the styles of the voice.")]
TextLanguage = Annotated[
    str, Field(description="Of the text, a BCP 47 tag such as en; else it is detected.")
]
NewFile = Annotated[
    str,
    Field(
        description="File to write, below the server's folder, such as intro.wav. Without it short "
        "speech comes in the result, and longer speech in a new file."
    ),
]
FileFormat = Annotated[
    AudioFormat | None,
    Field(description="Else by the ending of path, and mp3 without one."),
]
Overwrite = Annotated[bool, Field(description="Whether path may be replaced.")]
After = Annotated[
    str, Field(description="Begin behind this name, if the list before had has_more.")
]
NewName = Annotated[
    str,
    Field(
        max_length=4_096,
        description="Of the voice: letters, digits, _, - and . A voice of that name is replaced.",
    ),
]
RecordingSource = Annotated[
    str,
    Field(
        description="A file below the server's folder, or an https URL: 3 to 12 seconds of one "
        "person speaking."
    ),
]
RefText = Annotated[
    str, Field(description="The exact words of the recording; else they are transcribed.")
]
ConsentBy = Annotated[
    str,
    Field(
        description="Who confirms that the speaker agrees to be cloned; or the id of a recorded "
        "consent."
    ),
]
NewStyle = Annotated[
    str, Field(description="Keep it as this style of the voice, which must exist.")
]
SpeakerLanguage = Annotated[str, Field(description="Of the speaker, a BCP 47 tag.")]
RecordingFile = Annotated[
    str, Field(description="A recording below the server's folder, of at most half an hour.")
]
SpokenLanguage = Annotated[str, Field(description="ISO 639-1, such as en; else it is detected.")]


class Speech(BaseModel):
    """Speech that was made. `path` is the file, or null where the audio is in the result."""

    path: str | None
    format: str
    duration_s: float
    voice: str
    model: str
    seed: int | None
    warnings: list[str]


class SpeechServer(MCPServer[Any]):
    """An MCP server whose failed calls have `error`, `code` and `hint` as structured content."""

    def __init__(self, tools: SpeechTools) -> None:
        super().__init__("f5serve", instructions=INSTRUCTIONS, version=build.stamp().version)
        self._tools = tools
        writes = ToolAnnotations(destructive_hint=True, open_world_hint=False)
        reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
        self.add_tool(tools.say, title="Speak a text", annotations=writes)
        self.add_tool(tools.list_voices, title="List voices", annotations=reads)
        self.add_tool(tools.clone_voice, title="Clone a voice", annotations=writes)
        self.add_tool(tools.transcribe, title="Transcribe a recording", annotations=reads)

    async def close(self) -> None:
        """Cancel what is running, and wait until it has ended."""
        await self._tools.close()

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """The result of a tool, or its error as one."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            found = _as_f5_error(error, arguments)
        fields = found.as_dict()
        for operation, tool in _HINTS.items():
            fields["hint"] = fields["hint"].replace(operation, tool)
        text = " ".join(filter(None, (fields["error"], fields["hint"], f"[{fields['code']}]")))
        content: list[ContentBlock] = [TextContent(type="text", text=text)]
        return CallToolResult(content=content, structured_content=fields, is_error=True)


class SpeechTools:
    """The functions that tools call; their docstrings are what agents read."""

    def __init__(self, backend: Backend, folder: Folder) -> None:
        self._backend = backend
        self._folder = folder
        self._running: set[asyncio.Task[Any]] = set()

    async def say(  # noqa: PLR0913 - the arguments of the tool
        self,
        ctx: Context[Any, Any],
        text: SpokenText,
        voice: VoiceName = "default",
        style: VoiceStyle = "",
        language: TextLanguage = "",
        path: NewFile = "",
        format: FileFormat = None,
        overwrite: Overwrite = False,
    ) -> Annotated[CallToolResult, Speech]:
        """Speak a text in a voice, into an audio file or into the result."""
        if path:
            ending = FORMATS.get(self._folder.check_new(path, overwrite).suffix.lower(), "wav")
            if format and format != ending:
                raise InvalidRequest(
                    f"format is {format!r}, but {path[-100:]!r} is a file of {ending}.",
                    code="BAD_OPTION",
                    hint="Leave format out, or give path another ending.",
                )
            format = ending
        format = format or "mp3"
        output = _Output(self._folder, path, format, overwrite)
        fields: dict[str, Any] = {
            "text": text,
            "voice": voice or "default",
            "response_format": format,
            "return_word_timings": False,
        }
        fields |= {
            name: value for name, value in (("style", style), ("language", language)) if value
        }
        work = self._backend.say(fields, _reporter(ctx), output.save)
        found = await self._run(work)
        speech = Speech(
            path=str(output.path) if output.path else None,
            format=format,
            duration_s=found.get("duration") or 0.0,
            voice=str(found.get("voice") or voice),
            model=str(found.get("model") or ""),
            seed=found.get("seed"),
            warnings=list(found.get("warnings") or ()),
        )
        content: list[ContentBlock] = [TextContent(type="text", text=speech.model_dump_json())]
        if output.path is None:
            data = base64.b64encode(output.inline).decode()
            audio = AudioContent(type="audio", data=data, mime_type=MEDIA_TYPES[format])
            content.append(audio)
        return CallToolResult(content=content, structured_content=speech.model_dump())

    async def list_voices(self, after: After = "") -> VoicePage:
        """List the voices that can speak, with their styles; at most 1,000 at once."""
        return await self._run(self._backend.list_voices(after))

    async def clone_voice(  # noqa: PLR0913 - the arguments of the tool
        self,
        name: NewName,
        audio: RecordingSource,
        ref_text: RefText = "",
        consent_by: ConsentBy = "",
        style: NewStyle = "",
        language: SpeakerLanguage = "",
    ) -> ClonedVoice:
        """Make a voice of a recording. The person who is heard must have agreed to it."""
        source: bytes | str = audio
        if not is_url(audio):
            source = await asyncio.to_thread(self._folder.read, audio, DecodeLimits().max_bytes)
        new = NewVoice(name, style, source, ref_text, language, consent_by)
        return await self._run(self._backend.clone(new))

    async def transcribe(
        self, ctx: Context[Any, Any], path: RecordingFile, language: SpokenLanguage = ""
    ) -> TranscriptResult:
        """Write down what is said in a recording."""
        data = await asyncio.to_thread(self._folder.read, path, LONG.max_bytes)
        work = self._backend.transcribe(Path(path).name, data, language, _reporter(ctx))
        return await self._run(work)

    async def close(self) -> None:
        """Cancel what is running, and wait until it has ended."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns; if the client cancels, `work` ends before this does.

        The SDK cancels a request again and again, which would cut short what stops the device.
        """
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task})
            raise
        return task.result()


class _Output:
    """Where speech goes: into a file, or into the result while it is short.

    Attributes:
        path: of the file that was written; None where `inline` has everything.
    """

    def __init__(self, folder: Folder, name: str, format: AudioFormat, overwrite: bool) -> None:
        self._folder, self._name, self._overwrite = folder, name, overwrite
        self._new_name = f"speech-{secrets.token_hex(4)}.{format}"
        self.path: Path | None = None
        self.inline = b""

    def save(self, parts: Iterable[bytes]) -> None:
        """Take the whole file; see `Folder.write`."""
        rest = iter(parts)
        name = self._name
        if not name:
            kept = bytearray()
            for part in rest:
                kept += part
                if len(kept) > MAX_INLINE_BYTES:
                    break
            else:
                self.inline = bytes(kept)
                return
            name, rest = self._new_name, chain([bytes(kept)], rest)
        self.path = self._folder.write(name, rest, self._overwrite)


def _reporter(ctx: Context[Any, Any]) -> OnProgress:
    """Reports progress to the client, which takes values that increase."""
    last = -1.0

    async def report(progress: float, total: float | None, message: str) -> None:
        nonlocal last
        if progress > last:
            last = progress
            await ctx.report_progress(progress, total, message)

    return report


def _as_f5_error(error: ToolError, arguments: dict[str, Any]) -> F5Error:
    """The error that ended a tool; a fault in f5serve is logged under a trace id."""
    cause = error.__cause__
    if isinstance(cause, F5Error):
        return cause
    if isinstance(cause, ValidationError):
        return _bad_argument(cause, arguments)
    if cause is None:
        return InvalidRequest(f"{error}.", code="UNKNOWN_TOOL", hint="tools/list names the tools.")
    trace = secrets.token_hex(6)
    _log.error("trace %s: %s", trace, type(cause).__name__, exc_info=cause)
    return F5Error(
        "Something unexpected failed.",
        code="INTERNAL",
        hint=f"Report it with the trace id {trace}, under which the server's log tells more.",
    )


def _bad_argument(error: ValidationError, arguments: dict[str, Any]) -> F5Error:
    first = error.errors()[0]
    name = str(first["loc"][0])
    if first["type"] == "missing":
        return InvalidRequest(
            f"{name} is required.", code="MISSING_FIELD", hint="Give it; tools/list describes it."
        )
    if first["loc"][0] in arguments:
        return refusal(cast(Any, first), arguments)
    return InvalidRequest(f"{name}: {first['msg']}.", code="BAD_OPTION")
