"""/v1/audio/voice_consents: recordings in which people agree to be cloned, as OpenAI has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, File, Form, Path, Query, Response, UploadFile
from pydantic import BaseModel, Field

from f5serve.http import errors
from f5serve.http.request_body import JsonRoute, read_upload, upload_route
from f5serve.http.scopes import needs
from f5serve.http.state import Owner, StateDep
from f5serve.secrets import SPEAK, VOICES
from f5serve.text.language import MAX_TAG_CHARS
from f5serve.voices.consent_records import MAX_BYTES, ConsentRecord
from f5serve.voices.consents import MAX_PAGE, VoiceConsents
from f5serve.voices.storage import MAX_CONSENT_CHARS

MAX_ID_CHARS = 64
DEFAULT_PAGE = 20

router = APIRouter(tags=["voices"], route_class=upload_route(MAX_BYTES))

ConsentId = Annotated[str, Path(description="Its id, as its creation has answered it.")]
ConsentName = Annotated[str, Field(min_length=1, max_length=MAX_CONSENT_CHARS)]


class RecordedConsent(BaseModel):
    """A recording in which a person agrees to be cloned; voices are created with its `id`."""

    id: str = Field(examples=["cons_fe5d1a2b3c4d0123456789abcdef"])
    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    name: str = Field(description="Of the person.", examples=["Ana Example"])
    language: str = Field(description="BCP 47 tag of what is said.", examples=["en-US"])
    created_at: int = Field(description="Unix time, in seconds.")


class ConsentList(BaseModel):
    """Recorded consents, the newest first."""

    object: Literal["list"] = "list"
    data: list[RecordedConsent]
    first_id: str | None = Field(description="Of `data`; null where there are none.")
    last_id: str | None = Field(description="What the next page is asked for with, as `after`.")
    has_more: bool = Field(description="Whether older ones come behind `last_id`.")


class ConsentUpdate(BaseModel):
    """What of a recorded consent can change."""

    name: ConsentName = Field(description="Of the person.", examples=["Ana Example"])


class ConsentDeleted(BaseModel):
    """A recorded consent that is no more."""

    id: str
    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    deleted: Literal[True] = True


@dataclass(frozen=True, slots=True)
class ConsentForm:
    """The fields of a new consent."""

    name: Annotated[
        str,
        Form(
            max_length=MAX_CONSENT_CHARS,
            description="Of the person who agrees; voices that are created with it show it.",
            examples=["Ana Example"],
        ),
    ]
    language: Annotated[
        str,
        Form(
            max_length=MAX_TAG_CHARS,
            description="BCP 47 tag of what is said, such as en-US.",
            examples=["en-US"],
        ),
    ]
    recording: Annotated[
        UploadFile,
        File(
            description="The person says that they agree: up to 60 seconds and 10 MiB, as wav, "
            "flac, mp3, ogg or m4a. It is kept as it is; whether the words are a consent is not "
            "checked."
        ),
    ]


@router.post(
    "/v1/audio/voice_consents",
    operation_id="create_voice_consent",
    summary="Keep a recording of a consent",
    status_code=201,
    responses=errors.error_responses(400, 503),
)
@needs(VOICES)
async def create_voice_consent(
    new: Annotated[ConsentForm, Depends()], owner: Owner, state: StateDep, response: Response
) -> RecordedConsent:
    """Keep it under an id, with which voices of this person are created."""
    with state.operations.track("create_voice_consent"):
        kept = await state.operations.pools.recordings.run(
            _create, state.voices.consents, new, owner
        )
    response.headers["Location"] = f"/v1/audio/voice_consents/{kept.id}"
    return kept


@router.get(
    "/v1/audio/voice_consents",
    operation_id="list_voice_consents",
    summary="List recorded consents",
    responses=errors.error_responses(400, 404, 503),
)
@needs(SPEAK)
async def list_voice_consents(
    state: StateDep,
    limit: Annotated[
        int, Query(ge=1, le=MAX_PAGE, description="The most consents that are answered.")
    ] = DEFAULT_PAGE,
    after: Annotated[
        str,
        Query(
            max_length=MAX_ID_CHARS,
            description="Begin behind the consent of this id: `last_id` of the page before.",
        ),
    ] = "",
) -> ConsentList:
    """Recorded consents, the newest first; where `has_more` is true, ask again with `after`."""
    consents = state.voices.consents
    page = await state.operations.work("list_voice_consents", consents.page, after, limit)
    found = [_shown(record) for record in page.records]
    return ConsentList(
        data=found,
        first_id=found[0].id if found else None,
        last_id=found[-1].id if found else None,
        has_more=page.has_more,
    )


@router.get(
    "/v1/audio/voice_consents/{consent_id}",
    operation_id="get_voice_consent",
    summary="Look at one recorded consent",
    responses=errors.error_responses(404, 503),
)
@needs(SPEAK)
async def get_voice_consent(consent_id: ConsentId, state: StateDep) -> RecordedConsent:
    """Whose it is, and since when."""
    consents = state.voices.consents
    return _shown(await state.operations.work("get_voice_consent", consents.get, consent_id))


@needs(VOICES)
async def update_voice_consent(
    consent_id: ConsentId, update: ConsentUpdate, state: StateDep
) -> RecordedConsent:
    """Give it another name. Voices that were created with it keep the name it had then."""
    consents = state.voices.consents
    return _shown(
        await state.operations.work(
            "update_voice_consent", consents.rename, consent_id, update.name
        )
    )


router.add_api_route(
    "/v1/audio/voice_consents/{consent_id}",
    update_voice_consent,
    methods=["POST"],
    operation_id="update_voice_consent",
    summary="Rename one recorded consent",
    responses=errors.error_responses(400, 404, 503),
    route_class_override=JsonRoute,
)


@router.delete(
    "/v1/audio/voice_consents/{consent_id}",
    operation_id="delete_voice_consent",
    summary="Delete one recorded consent",
    responses=errors.error_responses(404, 409, 503),
)
@needs(VOICES)
async def delete_voice_consent(consent_id: ConsentId, state: StateDep) -> ConsentDeleted:
    """Remove it with its recording. One that a voice was created with is refused: delete the voice
    first, or upload it with another consent.
    """
    await state.operations.work("delete_voice_consent", state.voices.consents.delete, consent_id)
    return ConsentDeleted(id=consent_id)


def _create(consents: VoiceConsents, new: ConsentForm, owner: str) -> RecordedConsent:
    data = read_upload(new.recording, MAX_BYTES)
    return _shown(consents.create(new.name, new.language, data, owner))


def _shown(record: ConsentRecord) -> RecordedConsent:
    return RecordedConsent(
        id=record.id, name=record.name, language=record.language, created_at=record.created_at
    )
