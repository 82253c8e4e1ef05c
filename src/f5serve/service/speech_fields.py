"""The fields that requests for speech share: how it is made, and a recording to clone."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from f5serve.alignment.subtitles import FORMATS, SubtitleFormat
from f5serve.audio.decode import DecodeLimits
from f5serve.download.url import decode_base64
from f5serve.errors import InvalidRequest
from f5serve.service.fields import Flag, Name, TextFields, lower, lower_each, whole, within
from f5serve.service.request_errors import (
    MAX_BASE64_CHARS,
    MAX_NAME_CHARS,
    MAX_REF_TEXT_CHARS,
)
from f5serve.text_kinds import Markup
from f5serve.types import AudioFormat
from f5serve.voices.names import is_url
from f5serve.voices.records import Consent

_SCHEME_CHARS = 64
"""Where the scheme of a URL is looked for."""

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
        description="`opus` is Opus in Ogg, `aac` is ADTS, `pcm` is 16 bit, little-endian, mono, "
        "without a header, `ulaw` and `alaw` are G.711 without a header. Without it: `mp3` for "
        "/v1/audio/speech, `wav` for jobs.",
    )
    sample_rate: Annotated[int, within("sample_rate"), BeforeValidator(whole)] | None = Field(
        None,
        description="Of the file, Hz; without it 8000 for `ulaw` and `alaw`, 24000 for others. "
        "`mp3` and `aac` take 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100 or 48000; "
        "`opus` 8000, 12000, 16000, 24000 or 48000; the others any.",
    )
    bit_rate_kbps: Annotated[int, within("bit_rate_kbps"), BeforeValidator(whole)] | None = Field(
        None,
        description="Of an `mp3` or `opus` file, kbit/s. `opus` takes 6 to 256, `mp3` the rates of "
        "its standard, such as 32, 64 or 128.",
    )
    ref_audio: (
        Annotated[str, Field(strict=True, min_length=1, max_length=MAX_BASE64_CHARS)] | None
    ) = Field(
        None,
        description="A recording to clone in place of `voice`: its https URL, or the file itself "
        "in base64 or as a data: URL, up to 20 MB. It is not kept. Queued jobs take a URL only.",
        examples=["https://example.com/ana.wav"],
    )
    ref_text: Annotated[str, Field(strict=True, max_length=MAX_REF_TEXT_CHARS)] | None = Field(
        None,
        description="The words that are spoken in the recording. Without it the recogniser writes "
        "them, if one is installed.",
    )
    consent: ConsentFields | None = Field(
        None,
        description="That the speaker of the recording agrees; F5_REQUIRE_CONSENT asks for it.",
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
    wait_for_model: Flag | None = Field(
        None,
        description="false: where the model is still being loaded, answer MODEL_LOADING at once, "
        "with the seconds that are left. Without it the request waits.",
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

    @property
    def holds_recording(self) -> bool:
        """Whether `ref_audio` is a recording itself, rather than its URL."""
        return bool(self.ref_audio) and not _is_link(self.ref_audio or "")

    def check_reference(self) -> str:
        """What `ref_audio` is as a speaker: its URL, or a data: URL of its hash; "" without one.

        Raises:
            InvalidRequest: URL_NOT_ALLOWED for one that is too long.
        """
        given = self.ref_audio
        if not given:
            return ""
        if self.holds_recording:
            return f"data:,sha256-{hashlib.sha256(given.encode()).hexdigest()}"
        if len(given) > MAX_NAME_CHARS:
            raise InvalidRequest(
                f"The URL in ref_audio has {len(given):,} characters.",
                code="URL_NOT_ALLOWED",
                hint=f"Send one of at most {MAX_NAME_CHARS:,}.",
            )
        return given

    def recording(self) -> bytes:
        """The recording that `ref_audio` holds; blocks for as long as decoding takes.

        Raises:
            InvalidRequest: BASE64_INVALID, BASE64_TOO_LARGE.
        """
        return decode_base64(self.ref_audio or "", DecodeLimits().max_bytes, "ref_audio")


def _is_link(given: str) -> bool:
    head = given[:_SCHEME_CHARS]  # a recording has millions of characters
    return is_url(head) and not head.lower().startswith("data:")
