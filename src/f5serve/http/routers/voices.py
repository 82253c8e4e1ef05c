"""/v1/audio/voices: the voice library.

A voice that is sent again under the same name is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response, UploadFile

from f5serve.audio.decode import DecodeLimits
from f5serve.audio.encode import encode
from f5serve.errors import StorageFailed
from f5serve.http import errors
from f5serve.http.request_body import read_upload, upload_route
from f5serve.http.scopes import needs
from f5serve.http.state import Owner, StateDep
from f5serve.http.voice_form import MAX_STYLE_QUERY, VoiceForm
from f5serve.http.voice_path import VOICE_PATH, VOICES_PATH, VoiceId
from f5serve.http.voice_schemas import (
    ErasedResults,
    StyleRecording,
    Voice,
    VoiceConsent,
    VoiceDeleted,
    VoiceDetail,
    VoiceList,
)
from f5serve.secrets import SPEAK, VOICES
from f5serve.types import Voice as Reference
from f5serve.voices.catalog import MAX_PAGE, Page
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import (
    DEFAULT_NAME,
    StyleNotFound,
    casefold,
    check_name,
    is_default,
    is_public,
)
from f5serve.voices.records import UNREADABLE, VoiceRecord

MAX_BYTES = DecodeLimits().max_bytes
MAX_AFTER_CHARS = 128

_WHICH = "Of its recordings; without it the main one."

router = APIRouter(tags=["voices"], route_class=upload_route(MAX_BYTES))


@router.get(
    VOICES_PATH,
    operation_id="list_voices",
    summary="List voices",
    responses=errors.error_responses(400, 503),
)
@needs(SPEAK)
async def list_voices(
    state: StateDep,
    limit: Annotated[
        int, Query(ge=1, le=MAX_PAGE, description="The most voices that are answered.")
    ] = MAX_PAGE,
    after: Annotated[
        str,
        Query(
            max_length=MAX_AFTER_CHARS,
            description="Begin behind the voice of this id: `last_id` of the page before.",
        ),
    ] = "",
) -> VoiceList:
    """Voices that speech can be asked for in, in the order of their names; public ones come last.

    Up to 1,000 are answered at once; where `has_more` is true, ask again with `after`. A voice that
    another server has taken in may be seconds late here; by its name it is there at once.
    """
    return await state.operations.work("list_voices", _list, state.voices, after, limit)


@router.get(
    VOICE_PATH,
    operation_id="get_voice",
    summary="Look at one voice",
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(SPEAK)
async def get_voice(voice_id: VoiceId, state: StateDep) -> VoiceDetail:
    """What is known of a voice, and the words that are spoken in it."""
    return await state.operations.work("get_voice", _detail, state.voices, voice_id)


@router.get(
    f"{VOICE_PATH}/sample",
    operation_id="get_voice_sample",
    summary="Hear one voice",
    response_class=Response,
    responses={
        200: {
            "description": "The recording.",
            "content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "It is still the one that `If-None-Match` names."},
        **errors.error_responses(400, 404, 409, 503),
    },
)
@needs(SPEAK)
async def get_voice_sample(
    voice_id: VoiceId,
    state: StateDep,
    style: Annotated[str, Query(max_length=MAX_STYLE_QUERY, description=_WHICH)] = "",
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """The recording that is cloned: 24 kHz mono, trimmed, at most 12 seconds."""
    return await state.operations.work(
        "get_voice_sample", _sample, state.voices, voice_id, style, if_none_match
    )


@router.post(
    VOICES_PATH,
    operation_id="create_voice",
    summary="Make a voice of a recording",
    status_code=201,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(VOICES)
async def create_voice(
    new: Annotated[VoiceForm, Depends()], owner: Owner, state: StateDep, response: Response
) -> VoiceDetail:
    """Keep a recording under a name, or as a style of a voice; it can be used at once."""
    with state.operations.track("upload"):
        kept = await state.operations.pools.recordings.run(
            _keep, state.voices, new, new.recording, owner
        )
    response.headers["Location"] = f"{VOICES_PATH}/{kept.id}"
    return kept


@router.delete(
    VOICE_PATH,
    operation_id="delete_voice",
    summary="Delete one voice",
    response_model_exclude_none=True,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(VOICES)
async def delete_voice(
    voice_id: VoiceId,
    state: StateDep,
    style: Annotated[
        str | None,
        Query(max_length=MAX_STYLE_QUERY, description="Remove this style of it alone."),
    ] = None,
    with_results: Annotated[
        bool,
        Query(
            description="Remove all speech that was made in it as well: jobs, their audio, texts "
            "and word times. Every job of the store is read for it, so it takes minutes where "
            "there are many; a call that is cut short may be sent again."
        ),
    ] = False,
) -> VoiceDeleted:
    """Remove a voice with its styles: recordings, words, and what is known of them."""
    asked = {"endpoint": "delete_voice", "voice_name": voice_id, "style": style}
    answer = await state.operations.answer({**asked, "with_results": with_results}, "")
    results = answer.get("results")
    return VoiceDeleted(
        id=voice_id,
        style=style and style.lower(),
        results=ErasedResults(**results) if results else None,
    )


def _list(voices: VoiceLibrary, after: str, limit: int) -> VoiceList:
    """A page; the voice that comes with f5serve is the first of all."""
    if after:
        behind = "" if is_default(after) else after if is_public(after) else check_name(after)
        page, first = voices.page(behind, limit), []
    else:
        first = [builtin_voice(voices.get(None))]
        page = voices.page("", limit)
        page = Page(page.records[: limit - 1], page.has_more or len(page.records) >= limit)
    styles = voices.all_styles()
    rest = (library_voice(one, styles.get(casefold(one.name), ())) for one in page.records)
    found = [*first, *rest]
    return VoiceList(
        voices=found,
        first_id=found[0].id if found else None,
        last_id=found[-1].id if found else None,
        has_more=page.has_more,
    )


def _detail(voices: VoiceLibrary, name: str) -> VoiceDetail:
    if is_default(name):
        return builtin_voice(voices.get(None))
    record = voices.get_record(name)
    return _whole_detail(voices, record, voices.get(name) if record.text else None)


def _whole_detail(
    voices: VoiceLibrary, record: VoiceRecord, voice: Reference | None
) -> VoiceDetail:
    """A voice with its words and those of its styles; `voice` is None if it cannot be used yet."""
    styles = [_style_recording(voices, record.name, style) for style in voices.styles(record.name)]
    recordings = [one for one in styles if one is not None]
    return VoiceDetail(
        **library_voice(record, [one.style for one in recordings]).model_dump(),
        ref_text=voice.ref_text if voice else None,
        warnings=list(voice.warnings) if voice else [],
        style_recordings=recordings,
    )


def _style_recording(voices: VoiceLibrary, name: str, style: str) -> StyleRecording | None:
    """What is known of a style; None if it is gone."""
    try:
        record, voice = voices.get_record(name, style), voices.get(name, style)
    except StyleNotFound:
        return None
    except StorageFailed as error:
        if error.code not in UNREADABLE:
            raise
        return StyleRecording(style=style, needs_review=True, warnings=[error.message])
    known = library_voice(record, ()).model_dump(include={*StyleRecording.model_fields})
    return StyleRecording(
        **known, style=style, ref_text=voice.ref_text, warnings=list(voice.warnings)
    )


def _keep(voices: VoiceLibrary, new: VoiceForm, recording: UploadFile, owner: str) -> VoiceDetail:
    data = read_upload(recording, MAX_BYTES)
    consent = new.find_consent(voices.consents)
    record = voices.put(
        *(new.name, data, new.ref_text, new.language, consent, owner),
        normalize=new.normalize,
        style=new.style,
    )
    return _detail(voices, record.voice)


def _sample(voices: VoiceLibrary, name: str, style: str, if_none_match: str) -> Response:
    voice = voices.get(name, style)
    filename = "-".join(filter(None, (voice.name, voice.style))).replace("/", "-")
    etag = f'"{voice.revision}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{filename}.wav"',
    }
    if etag in if_none_match or if_none_match.strip() == "*":
        return Response(status_code=304, headers=headers)
    return Response(encode(voice.wave, "wav"), media_type="audio/wav", headers=headers)


def builtin_voice(voice: Reference) -> VoiceDetail:
    """The voice that comes with f5serve."""
    return VoiceDetail(
        id=DEFAULT_NAME,
        name=DEFAULT_NAME,
        builtin=True,
        duration_s=round(voice.wave.duration_s, 3),
        language=voice.language or None,
        normalize=voice.normalize or None,
        created_at=0,
        needs_review=False,
        has_transcript=True,
        ref_text=voice.ref_text,
    )


def library_voice(record: VoiceRecord, styles: Sequence[str]) -> Voice:
    """A voice of the library, as lists show it."""
    consent = record.consent
    return Voice(
        id=record.voice,
        name=record.voice,
        builtin=False,
        read_only=is_public(record.voice),
        duration_s=record.duration_s or None,
        language=record.language or None,
        normalize=record.normalize or None,
        created_at=_unix_s(record.created_at),
        needs_review=record.needs_review,
        has_transcript=record.text is not None,
        consent=VoiceConsent.of(consent) if consent else None,
        styles=list(styles),
    )


def _unix_s(iso: str) -> int:
    """Seconds since 1970; 0 where no time is known."""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return 0
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
