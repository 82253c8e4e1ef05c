"""The form of a new voice, for FastAPI and the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import File, Form, UploadFile

from f5serve.errors import InvalidRequest
from f5serve.voices.consents import VoiceConsents
from f5serve.voices.records import Consent
from f5serve.voices.storage import MAX_CONSENT_CHARS

MAX_REF_TEXT_CHARS = 10_000
MAX_NORMALIZE_CHARS = 1_000
MAX_STYLE_QUERY = 200  # the library has its own words for a name that is too long


@dataclass(frozen=True, slots=True)
class VoiceForm:
    """The fields of a new voice: those of OpenAI's custom voices, and some more."""

    name: Annotated[
        str,
        Form(
            max_length=4_096,  # the library has its own words for a name that is too long
            description="What requests for speech will call it: up to 64 letters, digits, _, - "
            "and ., starting with a letter or digit. A voice of that name is replaced.",
            examples=["ana"],
        ),
    ]
    style: Annotated[
        str,
        Form(
            max_length=MAX_STYLE_QUERY,
            description="Keep it as a style of the voice of that name, which must exist: up to 32 "
            "letters, digits, _ and -. A style of that name is replaced.",
            examples=["happy"],
        ),
    ] = ""
    audio_sample: Annotated[
        UploadFile | None,
        File(
            description="The recording: 3 to 12 seconds of one person, as wav, flac, mp3, ogg or "
            "m4a; a longer one, of at most 60, is cut in a pause, together with its words."
        ),
    ] = None
    file: Annotated[UploadFile | None, File(description="Another name of `audio_sample`.")] = None
    ref_text: Annotated[
        str,
        Form(
            max_length=MAX_REF_TEXT_CHARS,
            description="The words that are spoken in it; without them they are written down by "
            "the recogniser, where there is one.",
        ),
    ] = ""
    language: Annotated[
        str, Form(max_length=16, description="BCP 47 tag, such as en or pt-BR.")
    ] = ""
    normalize: Annotated[
        str,
        Form(
            max_length=MAX_NORMALIZE_CHARS,
            description="How its texts are normalized where a request does not say: auto, on, off, "
            "or kinds to leave alone, with commas between. Without it F5_NORMALIZE decides.",
            examples=["date,money"],
        ),
    ] = ""
    consent_by: Annotated[
        str,
        Form(
            max_length=MAX_CONSENT_CHARS,
            description="Who says that the person who is heard agrees to be cloned.",
        ),
    ] = ""
    consent: Annotated[
        str,
        Form(
            max_length=MAX_CONSENT_CHARS,
            description="OpenAI's field, the id of a recording in which they agree, which "
            "/v1/audio/voice_consents has answered. What does not begin with `cons_` is noted as "
            "`consent_by`, where that is not sent.",
        ),
    ] = ""
    type: Annotated[
        Literal["audio_sample"], Form(description="OpenAI's field; voices come from recordings.")
    ] = "audio_sample"

    @property
    def recording(self) -> UploadFile:
        """The recording, under whichever name it came.

        Raises:
            InvalidRequest: BAD_OPTION, MISSING_FIELD.
        """
        if self.audio_sample is not None and self.file is not None:
            raise InvalidRequest(
                "Both audio_sample and file were sent.", code="BAD_OPTION", hint="Send one of them."
            )
        found = self.audio_sample or self.file
        if found is None:
            raise InvalidRequest(
                "audio_sample is required.",
                code="MISSING_FIELD",
                hint="Send the recording as a file in a multipart body, under that name.",
            )
        return found

    def find_consent(self, consents: VoiceConsents) -> Consent | None:
        """The consent that came with it; a recorded one counts for more than a name.

        Raises:
            InvalidRequest: CONSENT_NOT_FOUND.
        """
        named = consents.attested(self.consent.strip()) if self.consent.strip() else None
        by = self.consent_by.strip()
        return Consent(by) if by and not (named and named.id) else named
