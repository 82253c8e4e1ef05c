"""Answers of ElevenLabs' routes, for FastAPI and the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from f5serve.http.elevenlabs.alignment import CharacterAlignment


class TimedSpeech(BaseModel):
    """Speech in base64, and when each character is heard."""

    audio_base64: str
    alignment: CharacterAlignment | None = Field(
        description="Of the text as it was sent; null where no times are known."
    )
    normalized_alignment: CharacterAlignment | None = Field(
        description="Of the words that were spoken for it."
    )


class TimedSpeechLine(BaseModel):
    """A line of a stream: the next part of the file, the next characters, or both.

    All parts, joined, are the file, and all characters the text.
    """

    audio_base64: str
    alignment: CharacterAlignment | None = None
    normalized_alignment: CharacterAlignment | None = None


class VoiceSegment(BaseModel):
    """Where a line of a dialogue is heard, and its characters in `alignment`."""

    voice_id: str
    start_time_seconds: float
    end_time_seconds: float
    character_start_index: int
    character_end_index: int
    dialogue_input_index: int


class TimedDialogue(TimedSpeech):
    """Speech of several voices in base64, when each character is heard, and whose it is."""

    voice_segments: list[VoiceSegment]


class ShownSettings(BaseModel):
    """Settings of a voice: `speed` is used, the others are ElevenLabs' usual values."""

    stability: float = 0.5
    similarity_boost: float = 0.75
    style: float = 0.0
    use_speaker_boost: bool = True
    speed: float = 1.0


class ElevenLabsVoice(BaseModel):
    """A voice, as ElevenLabs shows it."""

    voice_id: str = Field(description="What requests for speech call it.", examples=["ana"])
    name: str = Field(examples=["ana"])
    category: Literal["premade", "cloned"] = Field(
        description="`premade` comes with f5serve; `cloned` was made of a recording."
    )
    labels: dict[str, str] = Field(description="`language`, where it is known.")
    description: str | None = None
    preview_url: str = Field(description="Its recording; it asks for a key as every route does.")
    settings: ShownSettings = ShownSettings()
    samples: list[str] = Field(default=[], description="Recordings are not listed.")
    high_quality_base_model_ids: list[str] = []
    created_at_unix: int | None = None
    is_owner: bool = True


class ElevenLabsVoices(BaseModel):
    """All voices; with more than 1,000, ask /v2/voices."""

    voices: list[ElevenLabsVoice]


class ElevenLabsVoicePage(BaseModel):
    """Some of the voices that were asked for."""

    voices: list[ElevenLabsVoice]
    has_more: bool
    total_count: int = Field(description="Of all pages together.")
    next_page_token: str | None = Field(description="What asks for the next page; null for none.")


class VoiceAdded(BaseModel):
    """A voice that was made of recordings; it can be used at once."""

    voice_id: str = Field(description="Made of the name.", examples=["ana"])
    requires_verification: Literal[False] = False


class StatusOk(BaseModel):
    """It is done."""

    status: Literal["ok"] = "ok"


class ModelLanguage(BaseModel):
    """A language that a model speaks."""

    language_id: str = Field(examples=["en"])
    name: str = Field(examples=["en"])


class ElevenLabsModel(BaseModel):
    """A model, as ElevenLabs lists it to those who send `xi-api-key`."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str = Field(examples=["F5TTS_v1_Base"])
    name: str = Field(examples=["F5TTS_v1_Base"])
    description: str = ""
    can_be_finetuned: Literal[False] = False
    can_do_text_to_speech: Literal[True] = True
    can_do_voice_conversion: Literal[False] = False
    can_use_style: Literal[False] = False
    can_use_speaker_boost: Literal[False] = False
    serves_pro_voices: Literal[False] = False
    token_cost_factor: float = 1.0
    requires_alpha_access: Literal[False] = False
    max_characters_request_free_user: int
    max_characters_request_subscribed_user: int
    maximum_text_length_per_request: int
    languages: list[ModelLanguage]
    concurrency_group: str = "standard"


class Subscription(BaseModel):
    """What a key may do. Nothing is counted or sold here: there is no price."""

    tier: Literal["self-hosted"] = "self-hosted"
    status: Literal["active"] = "active"
    character_count: Literal[0] = Field(default=0, description="Characters are not counted.")
    character_limit: int = Field(description="Of one request.")
    can_extend_character_limit: Literal[False] = False
    allowed_to_extend_character_limit: Literal[False] = False
    can_use_instant_voice_cloning: bool = Field(
        description="Whether a recording may come without its transcript."
    )
    can_use_professional_voice_cloning: Literal[False] = False


class User(BaseModel):
    """Whose key it is."""

    user_id: str = Field(description="Stable for a key; `local` without one.")
    first_name: str | None = Field(description="Name of the key.")
    subscription: Subscription
    is_new_user: Literal[False] = False
    is_onboarding_completed: Literal[True] = True


class TimedCharacter(BaseModel):
    """A character of a text, and when it is heard, in seconds."""

    text: str
    start: float
    end: float


class TimedWord(TimedCharacter):
    """A word of a text, and when it is heard, in seconds."""

    loss: float = Field(description="0 is sure, 1 is not.")


class ForcedAlignment(BaseModel):
    """When the characters and words of a text are heard in a recording."""

    characters: list[TimedCharacter]
    words: list[TimedWord]
    loss: float = Field(description="Of the whole; 0 is sure, 1 is not.")


class TranscriptWord(BaseModel):
    """A word of a transcript with its punctuation, or the space behind one; times in seconds."""

    text: str
    start: float
    end: float
    type: Literal["word", "spacing"]
    logprob: float = Field(description="Natural logarithm of the confidence.")
    characters: list[TimedCharacter] | None = Field(
        default=None, description="With `timestamps_granularity=character`."
    )


class SpeechToText(BaseModel):
    """What is said in a recording."""

    language_code: str = Field(examples=["en"])
    language_probability: float = Field(description="1: how sure it is, is not told.")
    text: str
    words: list[TranscriptWord]
    audio_duration_secs: float
