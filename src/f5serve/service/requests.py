"""Requests: every field once, for HTTP, RunPod, the queue and the OpenAPI document.

Null counts as absent. pydantic checks the fields; `Request.parse` raises its errors as our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic.json_schema import SkipJsonSchema

from f5serve.alignment.subtitles import SubtitleFormat
from f5serve.audio.bit_rates import check_bit_rate
from f5serve.audio.encode import check_sample_rate, default_rate
from f5serve.jobs.records import sha256_of
from f5serve.jobs.store import MAX_ATTEMPTS
from f5serve.service.fields import (
    Name,
    Request,
    lower,
    own_fields_first,
    whole,
    within,
)
from f5serve.service.request_errors import (
    MAX_TIMEOUT_S,
    bad_option,
    refusal,
)
from f5serve.service.speech_fields import SpeechFields
from f5serve.settings import MAX_CHARS
from f5serve.synthesis.script_request import (
    Cast,
    CastScript,
    ScriptSyntax,
    cast_text,
    check_markup,
    check_script,
)
from f5serve.synthesis.speech_plan import SpeechPlan
from f5serve.text.clean import clean_text
from f5serve.text.script_parser import may_be_script
from f5serve.types import AudioFormat, SamplingOptions, SpeechRequest, Voice
from f5serve.voices.names import is_url

DEFAULT_VOICE = "default"
CROSS_FADE_S = 0.15
ABOUT_CHARS = 120
"""Longest beginning of a text in lists of jobs."""

_SHOWN_CHARS = 40
_WARNED = 5
"""Unknown fields in the warnings of one answer."""

_NOT_HASHED = (
    *("endpoint", "mode", "return_audio", "timeout_s", "local_voice", "timing_method"),
    "wait_for_model",
)
"""Fields that say how an answer is wanted, or that have another name."""


class TTSRequest(Request, SpeechFields):
    """Speech to be made: the fields of the tts operation. Null is as good as absent."""

    model_config = ConfigDict(json_schema_extra=own_fields_first)

    fixed_fields: ClassVar[dict[str, Any]] = {}
    """What a subclass takes in place of what was sent."""

    max_attempts: ClassVar[int] = MAX_ATTEMPTS
    """How often the job is begun at most."""

    text: Annotated[
        str, Field(min_length=1, max_length=MAX_CHARS, strict=True, examples=["Hello there."])
    ] = Field(description="What to say; F5_MAX_TEXT_CHARS is the longest.")
    voice: Name | None = Field(
        None, description="Name of a voice, or the https URL of a recording.", examples=["default"]
    )
    local_voice: Name | None = Field(None, description="Another name of `voice`.")
    takes: Annotated[int, within("takes"), BeforeValidator(whole)] | None = Field(
        None,
        description="Versions of each part of the text, with other seeds; the first ones make the "
        "speech, and the result has all as files.",
    )
    model: Name | None = Field(
        None,
        description="Id of a model; it is loaded if it is one of F5_MODELS, and refused if it is "
        "none of this worker. Without it `language` chooses among them.",
    )
    timeout_s: (
        Annotated[int, Field(ge=1, le=MAX_TIMEOUT_S, strict=True), BeforeValidator(whole)] | None
    ) = Field(None, description="How long the work itself may take.")
    endpoint: SkipJsonSchema[Annotated[Literal["tts"], BeforeValidator(lower)] | None] = None
    mode: SkipJsonSchema[Annotated[Literal["sync", "async"], BeforeValidator(lower)] | None] = None
    return_audio: SkipJsonSchema[
        Annotated[Literal["url", "base64"], BeforeValidator(lower)] | None
    ] = None
    timing_method: SkipJsonSchema[Name | None] = None  # of older clients; there is one method

    _sent: dict[str, Any] = PrivateAttr(default_factory=dict)
    _unknown: list[str] = PrivateAttr(default_factory=list)
    _defaults: SamplingOptions = PrivateAttr(default_factory=SamplingOptions)
    _quick_start: bool = PrivateAttr(default=False)
    _verify: bool = PrivateAttr(default=False)
    _normalize: str = PrivateAttr(default="")
    _sha256: str = PrivateAttr(default="")
    _script: str = PrivateAttr(default="")
    _reference: str = PrivateAttr(default="")
    _about: str = PrivateAttr(default="")
    _max_text_chars: int = PrivateAttr(default=MAX_CHARS)

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, payload: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(payload, Mapping):
            return handler(payload)
        payload = {**payload, **cls.fixed_fields}
        try:
            request = handler(payload)
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "missing":  # HTTP names the field, `parse` says what is missing
                raise
            raise refusal(first, payload) from None
        request._note(payload)
        return request

    @classmethod
    def of_valid(cls, fields: Mapping[str, Any]) -> Self:
        """The request with these fields, which were checked before."""
        request = cls.model_construct(**fields)
        request._note(fields)
        return request

    def _note(self, payload: Mapping[str, Any]) -> None:
        local, alias = self.local_voice, self.voice
        if local and alias and local != alias:
            takes = "the same value as local_voice, or leave one of them out"
            raise bad_option("voice", alias, takes)
        if self.sample_rate:
            check_sample_rate(self.format, self.sample_rate)
        if self.bit_rate_kbps:
            check_bit_rate(self.format, self.output_rate, self.bit_rate_kbps)
        if self.ref_audio:
            self._reference = self.check_reference()
        if self._reference and (local or alias):
            raise bad_option(
                "voice", local or alias, "nothing beside ref_audio, which is the voice"
            )
        names = type(self).model_fields
        sent = {name: payload[name] for name in names if payload.get(name) is not None}
        if self.consent is not None:  # its other fields may be no JSON, such as an infinite number
            sent["consent"] = self.consent.model_dump(exclude_none=True)
        unknown = islice((str(name) for name in payload if name not in names), _WARNED)
        if self._reference and self.holds_recording:
            sent["ref_audio"] = self._reference
        self._unknown = [
            name[:_SHOWN_CHARS].encode("utf-8", "backslashreplace").decode() for name in unknown
        ]
        self._sent = sent
        # Defaults are left out: they may differ between two workers.
        hashed = {name: value for name, value in sent.items() if name not in _NOT_HASHED}
        self._sha256 = sha256_of({**hashed, "voice": self.speaker})

    def prepare(
        self,
        defaults: SamplingOptions,
        max_text_chars: int,
        quick_start: bool = False,
        verify: bool = False,
        normalize: str = "",
    ) -> Self:
        """Clean the text, and take these values where a field is absent.

        Raises:
            InvalidRequest: as `clean_text`, `read_script` and `check_script`.
        """
        syntax, source = self.syntax(defaults.speed), self.text
        self._max_text_chars = max_text_chars
        script = check_markup(source, syntax, max_text_chars)
        if script is not None or (syntax.markup != "off" and may_be_script(source)):
            self._script = source  # its tags may name voices, which are looked up later
        if script is not None:
            check_script(script, max_text_chars)
            max_text_chars = max(max_text_chars, len(source))
            self._about = " ".join(part.text.text for part in script.parts).strip()
        self.text = clean_text(source, max_text_chars)
        self._defaults, self._quick_start, self._verify = defaults, quick_start, verify
        self._normalize = normalize
        return self

    @property
    def sha256(self) -> str:
        """Hash of everything that was asked for, as it was sent."""
        return self._sha256

    @property
    def raw_fields(self) -> dict[str, Any]:
        """The request as it was sent, as JSON: unknown fields without values, a recording as its
        hash."""
        return {**self._sent, **dict.fromkeys(self._unknown)}

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each of the first unknown fields."""
        return tuple(f"The field {name!r} is not known." for name in self._unknown)

    @property
    def speaker(self) -> str:
        """Name or URL of the voice; a data: URL without content for a recording that was sent."""
        return self._reference or self.local_voice or self.voice or DEFAULT_VOICE

    @property
    def kept_under(self) -> str:
        """What the keys of its utterances begin with, where they are kept for other jobs; ""
        where they are kept for its own next attempt alone."""
        return ""

    @property
    def format(self) -> AudioFormat:
        return self.response_format or "wav"

    @property
    def output_rate(self) -> int:
        """Sample rate of the audio, Hz."""
        return self.sample_rate or default_rate(self.format)

    @property
    def word_timings(self) -> bool:
        return self.return_word_timings is not False

    @property
    def timing_formats(self) -> tuple[SubtitleFormat, ...]:
        """Files of word times; srt for older clients, which ask for the times alone."""
        asked = self.timing_format
        if not asked:
            return ("srt",) if self.return_word_timings else ()
        return tuple(dict.fromkeys(asked if isinstance(asked, list) else [asked]))

    @property
    def returns_audio(self) -> bool:
        """Whether the audio is wanted in the response, as base64."""
        return self.return_audio == "base64"

    @property
    def is_async(self) -> bool:
        """Whether it is to be queued rather than done now."""
        return self.mode == "async"

    @property
    def options(self) -> SamplingOptions:
        """How to sample; settings decide what was not sent."""
        names = ("nfe_step", "cfg_strength", "sway_sampling_coef", "speed", "seed")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return replace(self._defaults, **given)

    def syntax(self, speed: float) -> ScriptSyntax:
        """How the markup of the text is read; `speed` is the default one."""
        return ScriptSyntax(self.markup or "auto", bool(self.ssml), self.speed or speed)

    def cast(self, cast: Cast) -> CastScript:
        """The parts of the text with their voices; none where it has no tag.

        Raises:
            F5Error: as `cast_text`.
        """
        if not self._script:
            return CastScript(())
        syntax = self.syntax(self._defaults.speed)
        return cast_text(self._script, cast, syntax, self._max_text_chars)

    @property
    def summary(self) -> dict[str, Any]:
        """How lists show the job while it has no result."""
        voice = self.speaker
        if is_url(voice):
            voice = "recording" if self.holds_recording else "url"
        return {
            "text": (self._about or self.text)[:ABOUT_CHARS],
            "voice": voice,
            "format": self.format,
        }

    def speech_request(self, voice: Voice) -> SpeechRequest:
        """The request of `Synthesizer`."""
        return SpeechRequest(
            text=self.text,
            voice=voice,
            options=self.options,
            format=self.format,
            cross_fade_s=CROSS_FADE_S if self.cross_fade_s is None else self.cross_fade_s,
            remove_silence=bool(self.remove_silence),
            quick_start=self._quick_start if self.quick_start is None else self.quick_start,
            time_words=self.word_timings or bool(self.timing_formats),
            verify=self._verify if self.verify is None else self.verify,
            language=self.language or "",
            unnormalized=self.reading(voice),
            duration_s=self.duration_s,
            takes=self.takes or 1,
            sample_rate=self.output_rate,
            bit_rate_kbps=self.bit_rate_kbps or 0,
        )

    def reading(self, voice: Voice) -> frozenset[str]:
        """Kinds of text normalization that are not used for texts in a voice."""
        return self.unnormalized(voice, self._normalize)

    def identity(self, plan: SpeechPlan) -> dict[str, Any]:
        """All that decides the sound and the answer."""
        speech = plan.request
        return {
            "text": speech.text,
            "voice": speech.voice.revision,
            "options": asdict(speech.options),
            "format": speech.format,
            "sample_rate": speech.sample_rate,
            "bit_rate_kbps": speech.bit_rate_kbps,
            "cross_fade_s": speech.cross_fade_s,
            "remove_silence": speech.remove_silence,
            "quick_start": speech.quick_start,
            "word_timings": self.word_timings,
            "timing_formats": list(self.timing_formats),
            "language": speech.language,
            "unnormalized": sorted(speech.unnormalized),
            "script": plan.identity,
        }
