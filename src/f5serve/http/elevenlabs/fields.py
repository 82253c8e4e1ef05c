"""Bodies of ElevenLabs' requests for speech, and what they mean as fields of ours."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from f5serve.http.errors import BadField
from f5serve.service.fields import Flag, Tag, whole, within
from f5serve.settings import MAX_CHARS
from f5serve.text.plan import MAX_SEED

MAX_MODEL_CHARS = 200
MAX_VOICE_CHARS = 200
NAMED_FIELDS = 5
"""How many fields that are not known a warning names."""

MAX_LINES = 200
"""Of a dialogue."""

_MAX_SEED = 2**32 - 1
_MAX_CONTEXT_CHARS = 100_000
_NO_EFFECT = "Accepted without effect."

Share = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Context = Annotated[str, Field(strict=True, max_length=_MAX_CONTEXT_CHARS)]


class VoiceSettings(BaseModel):
    """How a voice speaks. A clone sounds like its recording, so `speed` alone has an effect."""

    model_config = ConfigDict(extra="allow")

    stability: Share | None = Field(None, description=_NO_EFFECT)
    similarity_boost: Share | None = Field(None, description=_NO_EFFECT)
    style: Share | None = Field(None, description=_NO_EFFECT)
    use_speaker_boost: Flag | None = Field(None, description=_NO_EFFECT)
    speed: Annotated[float, within("speed")] | None = Field(
        None, description="2.0 is twice as fast as the voice speaks in its recording."
    )


class SpeechOptions(BaseModel):
    """What requests for speech have beside the text, over HTTP and sockets."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    model_id: Annotated[str, Field(strict=True, max_length=MAX_MODEL_CHARS)] | None = Field(
        None,
        description="ElevenLabs' models (`eleven_...`) mean the one that speaks here; so does its "
        "own id.",
    )
    language_code: Tag | None = Field(
        None, description="Of the text. Without it: what the text itself shows, then the voice's."
    )
    voice_settings: VoiceSettings | None = None
    seed: Annotated[int, Field(ge=0, le=_MAX_SEED, strict=True), BeforeValidator(whole)] | None = (
        Field(None, description="With equal inputs it gives equal speech.")
    )
    apply_text_normalization: Literal["auto", "on", "off"] | None = Field(
        None,
        description="Whether numbers, dates and signs are read as words; `auto` is what the voice "
        "says, then F5_NORMALIZE.",
    )
    pronunciation_dictionary_locators: Annotated[list[JsonValue], Field(max_length=100)] | None = (
        Field(None, description="Refused unless it is empty: rules of pronunciation are lexicons.")
    )

    @property
    def warnings(self) -> list[str]:
        """A sentence in ASCII for each of the first fields that are not known."""
        names = list(self.model_extra or {})[:NAMED_FIELDS]
        return [f"The field {name[:40]!a} has no effect." for name in names]

    def fields(self) -> dict[str, Any]:
        """Our own fields that are given: `language`, `speed`, `seed`, `normalize`.

        Raises:
            BadField: BAD_OPTION for what would be heard and is not here.
        """
        if self.pronunciation_dictionary_locators:
            raise BadField(
                "pronunciation_dictionary_locators names dictionaries, which are not kept here.",
                code="BAD_OPTION",
                hint="Leave it out, and put the rules into the lexicon of the voice or of the "
                "library: /v1/lexicons.",
                param="pronunciation_dictionary_locators",
            )
        normalize = self.apply_text_normalization
        found = {
            "language": self.language_code,
            "speed": self.voice_settings.speed if self.voice_settings else None,
            "seed": None if self.seed is None else self.seed % (MAX_SEED + 1),
            "normalize": None if normalize == "auto" else normalize,
        }
        return {name: value for name, value in found.items() if value is not None}


class TextToSpeech(SpeechOptions):
    """ElevenLabs' request for speech. Fields that are not known change nothing."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_CHARS, strict=True)] = Field(
        description="What to say: up to F5_MAX_TEXT_CHARS characters, 5000 unless that is set. "
        '`<break time="1.5s" />` is a pause.'
    )
    previous_text: Context | None = Field(None, description=_NO_EFFECT)
    next_text: Context | None = Field(None, description=_NO_EFFECT)

    def fields(self) -> dict[str, Any]:
        """As `SpeechOptions.fields`, with the text."""
        return {"text": self.text, **super().fields()}


class DialogueInput(BaseModel):
    """A line of a dialogue."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_CHARS, strict=True)]
    voice_id: Annotated[str, Field(min_length=1, max_length=MAX_VOICE_CHARS, strict=True)] = Field(
        description="As in the URL of a request for one voice."
    )


class Dialogue(SpeechOptions):
    """ElevenLabs' request for a dialogue. Fields that are not known change nothing."""

    inputs: Annotated[list[DialogueInput], Field(min_length=1, max_length=MAX_LINES)] = Field(
        description="What is said, in order; up to F5_MAX_TEXT_CHARS characters together."
    )
