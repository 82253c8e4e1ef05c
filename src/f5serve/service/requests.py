"""Requests: every field once, for HTTP, RunPod, the queue and the OpenAPI document.

Null counts as absent. pydantic checks the fields; `Request.parse` raises its errors as our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic.json_schema import SkipJsonSchema

from f5serve.alignment.subtitles import FORMATS, SubtitleFormat
from f5serve.jobs.records import sha256_of
from f5serve.service.fields import (
    Flag,
    Name,
    Request,
    TextFields,
    lower,
    lower_each,
    own_fields_first,
    whole,
    within,
)
from f5serve.service.request_errors import (
    MAX_REF_TEXT_CHARS,
    MAX_TIMEOUT_S,
    bad_option,
    refusal,
)
from f5serve.settings import MAX_CHARS
from f5serve.synthesis.script_request import (
    Cast,
    CastScript,
    ScriptSyntax,
    cast_script,
    check_markup,
    check_script,
    read_script,
)
from f5serve.synthesis.speech_plan import SpeechPlan
from f5serve.text.clean import clean_text
from f5serve.text.script_parser import may_be_script
from f5serve.text_kinds import Markup
from f5serve.types import AudioFormat, SamplingOptions, SpeechRequest, Voice
from f5serve.voices.names import is_url
from f5serve.voices.records import Consent

DEFAULT_VOICE = "default"
CROSS_FADE_S = 0.15
ABOUT_CHARS = 120
"""Longest beginning of a text in lists of jobs."""

_SHOWN_CHARS = 40
_WARNED = 5
"""Unknown fields in the warnings of one answer."""

_NOT_HASHED = ("endpoint", "mode", "return_audio", "timeout_s", "local_voice", "timing_method")
"""Fields that say how an answer is wanted, or that have another name."""


Formats = Annotated[list[SubtitleFormat], Field(max_length=len(FORMATS))]


class ConsentFields(BaseModel):
    """That the person who is heard in a recording agrees to be cloned."""

    model_config = ConfigDict(json_schema_extra={"required": ["by"]})

    by: Name | None = None
    attested: Flag | None = None
    at: Name | None = None
    statement_sha256: Name | None = None

    def consent(self) -> Consent:
        """As records keep it."""
        attested = self.attested is not False
        return Consent(self.by or "", attested, self.at or "", self.statement_sha256 or "")


class SpeechFields(TextFields):
    """The fields that every request for speech has, at each entrypoint."""

    response_format: Annotated[AudioFormat, BeforeValidator(lower)] | None = Field(
        None,
        description="`opus` is Opus in Ogg, `aac` is ADTS, `pcm` is 24 kHz, 16 bit, little-endian, "
        "mono, without a header. Without it: `mp3` for /v1/audio/speech, `wav` for jobs.",
    )
    style: Name | None = Field(
        None,
        description="Of the voice: which of its recordings is cloned. Without it: its main one.",
        examples=["happy"],
    )
    speed: Annotated[float, within("speed")] | None = Field(
        None, description="2.0 is twice as fast as the voice speaks in its recording."
    )
    seed: Annotated[int, within("seed"), BeforeValidator(whole)] | None = Field(
        None, description="With equal inputs it gives equal speech; without it one is chosen."
    )
    nfe_step: Annotated[int, within("nfe_step"), BeforeValidator(whole)] | None = Field(
        None, description="ODE steps: fewer are faster, more are finer."
    )
    cfg_strength: Annotated[float, within("cfg_strength")] | None = Field(
        None, description="Strength of classifier-free guidance: how closely the text is followed."
    )
    sway_sampling_coef: Annotated[float, within("sway_sampling_coef")] | None = Field(
        None,
        description="Bends the time grid of sampling towards its start; 0 leaves it even.",
    )
    cross_fade_s: Annotated[float, within("cross_fade_s")] | None = Field(
        None, description="Overlap of neighbouring utterances, seconds."
    )
    remove_silence: Flag | None = Field(None, description="Shorten long silences.")
    return_word_timings: Flag | None = Field(
        None,
        description="Find out when each word is heard, for the result of the job. Without it: true "
        "for jobs, false for /v1/audio/speech.",
    )
    timing_format: Annotated[SubtitleFormat | Formats, BeforeValidator(lower_each)] | None = Field(
        None, description="Files of word times that the result of the job has, one or several."
    )
    verify: Flag | None = Field(
        None, description="Have the recogniser hear the speech, and say again what it misses."
    )
    markup: Annotated[Markup, BeforeValidator(lower)] | None = Field(
        None,
        description="Tags for voices, styles, pauses and speeds in the text, such as `[pause:1s]` "
        "and `[voice:ana]`. `auto`: brackets that are no tag are spoken. `strict`: they are an "
        "error. `off`: nothing is a tag. Without it: `auto`.",
    )
    ssml: Flag | None = Field(None, description="The text is SSML.")
    duration_s: Annotated[float, within("duration_s")] | None = Field(
        None, description="How long the speech is to be: its speed follows from that."
    )
    quick_start: Flag | None = Field(
        None,
        description="Begin with a short utterance, so that the first sound comes early. Without "
        "it: true where speech is streamed. Both ways give other speech.",
    )


class TTSRequest(Request, SpeechFields):
    """Speech to be made: the fields of the tts operation. Null is as good as absent."""

    model_config = ConfigDict(json_schema_extra=own_fields_first)

    fixed_fields: ClassVar[dict[str, Any]] = {}
    """What a subclass takes in place of what was sent."""

    text: Annotated[
        str, Field(min_length=1, max_length=MAX_CHARS, strict=True, examples=["Hello there."])
    ] = Field(description="What to say; F5_MAX_TEXT_CHARS is the longest.")
    voice: Name | None = Field(
        None, description="Name of a voice, or the https URL of a recording.", examples=["default"]
    )
    local_voice: Name | None = Field(None, description="Another name of `voice`.")
    ref_text: Annotated[str, Field(strict=True, max_length=MAX_REF_TEXT_CHARS)] | None = Field(
        None, description="The words that are spoken in the recording under that URL."
    )
    consent: ConsentFields | None = Field(None, description="For a recording under a URL.")
    takes: Annotated[int, within("takes"), BeforeValidator(whole)] | None = Field(
        None,
        description="Versions of each part of the text, with other seeds; the first ones make the "
        "speech, and the result has all as files.",
    )
    model: Name | None = Field(None, description="Refused unless it is the model that speaks here.")
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
        names = type(self).model_fields
        sent = {name: payload[name] for name in names if payload.get(name) is not None}
        if self.consent is not None:  # its other fields may be no JSON, such as an infinite number
            sent["consent"] = {
                name: value
                for name, value in sent["consent"].items()
                if name in ConsentFields.model_fields and value is not None
            }
        unknown = islice((str(name) for name in payload if name not in names), _WARNED)
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
        """The request as it was sent, as JSON; of unknown fields the names alone."""
        return {**self._sent, **dict.fromkeys(self._unknown)}

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each of the first unknown fields."""
        return tuple(f"The field {name!r} is not known." for name in self._unknown)

    @property
    def speaker(self) -> str:
        """Name or URL of the voice."""
        return self.local_voice or self.voice or DEFAULT_VOICE

    @property
    def format(self) -> AudioFormat:
        return self.response_format or "wav"

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
            F5Error: as `read_script` and `cast_script`.
        """
        script = None
        if self._script:
            script = read_script(self._script, cast, self.syntax(self._defaults.speed))
        if script is None:
            return CastScript(())
        check_script(script, self._max_text_chars)
        return cast_script(script, cast)

    @property
    def summary(self) -> dict[str, Any]:
        """How lists show the job while it has no result."""
        voice = "url" if is_url(self.speaker) else self.speaker
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
            "cross_fade_s": speech.cross_fade_s,
            "remove_silence": speech.remove_silence,
            "quick_start": speech.quick_start,
            "word_timings": self.word_timings,
            "timing_formats": list(self.timing_formats),
            "language": speech.language,
            "unnormalized": sorted(speech.unnormalized),
            "script": plan.identity,
        }
