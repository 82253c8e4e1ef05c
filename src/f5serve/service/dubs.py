"""Dubs: speech at the times of subtitles. A dub is a tts job whose text is a subtitle file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr
from pydantic.json_schema import SkipJsonSchema

from f5serve.download.connection import NetworkPolicy
from f5serve.download.url import FetchLimits, fetch_url
from f5serve.errors import InvalidRequest
from f5serve.service.fields import Flag, Name, lower, own_fields_first, within
from f5serve.service.request_errors import bad_option
from f5serve.service.requests import TTSRequest
from f5serve.synthesis.script_request import (
    Cast,
    CastScript,
    ScriptSyntax,
    cast_script,
    check_script,
)
from f5serve.text.cue_files import MAX_FILE_BYTES, MAX_FILE_CHARS, decode_subtitles
from f5serve.text.cues import parse_cues
from f5serve.text.script import Script, VoiceNames
from f5serve.types import SamplingOptions, SpeechRequest, Voice

DUB = "dub"
"""The operation."""

Fetch = Callable[[str], bytes]
"""The content of a URL."""

_OF_TEXTS = ("text", "markup", "ssml", "duration_s")


class DubRequest(TTSRequest):
    """Speech at the times of subtitles: the fields of the dub operation."""

    model_config = ConfigDict(json_schema_extra=own_fields_first)

    subtitles: Annotated[str, Field(strict=True, max_length=MAX_FILE_CHARS)] | None = Field(
        None,
        description="A file of SRT, WebVTT, ASS or SSA. `ana:` at the start of a line, `<v ana>` "
        "and the actors of ASS name voices of the library; `voice` speaks the rest.",
        examples=["1\n00:00:01,000 --> 00:00:02,500\nHello there.\n"],
    )
    subtitles_url: Name | None = Field(
        None, description="Or the https URL of that file, which is read once, before the answer."
    )
    subtitles_format: (
        Annotated[Literal["srt", "vtt", "ass", "ssa"], BeforeValidator(lower)] | None
    ) = Field(None, description="Of a file that does not show it by its heading.")
    max_speed: Annotated[float, within("max_speed")] | None = Field(
        None,
        description="How much faster than `speed` a subtitle may be spoken that is too long for "
        "its time; 1.5 without it. `warnings` name those that do not fit even so.",
    )
    endpoint: SkipJsonSchema[Annotated[Literal["dub"], BeforeValidator(lower)] | None] = None  # type: ignore[assignment]
    text: SkipJsonSchema[Annotated[str, BeforeValidator(lambda value: value or "")]] = ""
    markup: SkipJsonSchema[Name | None] = None  # type: ignore[assignment]
    ssml: SkipJsonSchema[Flag | None] = None
    duration_s: SkipJsonSchema[float | None] = None

    _cues: Script | None = PrivateAttr(default=None)

    def _note(self, payload: Mapping[str, Any]) -> None:
        for name in _OF_TEXTS:
            if payload.get(name):
                raise bad_option(name, payload[name], "nothing here: subtitles say what it would")
        if bool(self.subtitles) == bool(self.subtitles_url):
            given = "Both subtitles and subtitles_url are" if self.subtitles else "No subtitles are"
            raise InvalidRequest(
                f"{given} sent.",
                code="BAD_SUBTITLES",
                hint="Send a file of SRT, WebVTT or ASS as subtitles, or its URL as subtitles_url.",
            )
        super()._note(payload)

    def load(self, fetch: Fetch) -> None:
        """Read the subtitles, from their URL if there is one, and parse them; blocks.

        From then on the request is the same as one that was sent with the subtitles themselves.

        Raises:
            InvalidRequest: BAD_SUBTITLES, or as `parse_cues`.
            F5Error: as `fetch`.
        """
        url = self.subtitles_url
        if url:
            self.subtitles, self.subtitles_url = decode_subtitles(fetch(url)), None
        self._cues = self._parse(_NoVoices())
        if url:
            unknown = self._unknown
            self._note({**self._sent, "subtitles": self.subtitles, "subtitles_url": None})
            self._unknown = unknown

    def _parse(self, names: VoiceNames) -> Script:
        return parse_cues(self.subtitles or "", names, self.subtitles_format or "")

    def prepare(
        self,
        defaults: SamplingOptions,
        max_text_chars: int,
        quick_start: bool = False,
        verify: bool = False,
        normalize: str = "",
    ) -> DubRequest:
        """As `TTSRequest.prepare`, after `load`."""
        script = self._cues or self._parse(_NoVoices())
        check_script(script, max_text_chars)
        self.text = " ".join(part.text.text for part in script.parts)
        super().prepare(defaults, len(self.text), quick_start, verify, normalize)
        return self

    def syntax(self, speed: float) -> ScriptSyntax:
        """Tags are not read: subtitles have their own."""
        return replace(super().syntax(speed), markup="off")

    def cast(self, cast: Cast) -> CastScript:
        """As `TTSRequest.cast`."""
        return cast_script(self._parse(cast), cast)

    def speech_request(self, voice: Voice) -> SpeechRequest:
        """As `TTSRequest.speech_request`."""
        speech = super().speech_request(voice)
        return speech if self.max_speed is None else replace(speech, max_speed=self.max_speed)


class _NoVoices:
    """Names for a file that is looked at before the library is."""

    def styles(self, voice: str) -> frozenset[str] | None:
        return None

    def similar(self, voice: str) -> Sequence[str]:
        return ()


def subtitle_fetcher(allow_http: bool, network: NetworkPolicy | None) -> Fetch:
    """Downloads subtitles under the rules for all URLs of callers.

    Args:
        allow_http: whether plain http URLs are let through.
        network: the way out; None is the real one.
    """
    limits = FetchLimits(max_bytes=MAX_FILE_BYTES, allow_http=allow_http)
    return partial(fetch_url, limits=limits, what="subtitles", network=network)
