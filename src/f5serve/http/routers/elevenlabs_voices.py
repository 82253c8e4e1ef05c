"""/v1/voices and /v2/voices: the voice library, as ElevenLabs shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, File, Form, Path, Query, Request, UploadFile

from f5serve.errors import InvalidRequest
from f5serve.http import errors
from f5serve.http.elevenlabs.errors import ElevenLabsErrorBody
from f5serve.http.elevenlabs.fields import MAX_VOICE_CHARS
from f5serve.http.elevenlabs.premade import PREMADE
from f5serve.http.elevenlabs.schemas import (
    ElevenLabsVoice,
    ElevenLabsVoicePage,
    ElevenLabsVoices,
    ShownSettings,
    StatusOk,
    VoiceAdded,
)
from f5serve.http.elevenlabs.voices import (
    Category,
    VoiceSearch,
    VoiceType,
    each_candidate,
    is_name_of,
    join_recordings,
    name_to_id,
    read_labels,
    show_voice,
)
from f5serve.http.request_body import read_upload, upload_route
from f5serve.http.routers.elevenlabs_speech import resolve_library_voice
from f5serve.http.routers.voices import MAX_BYTES, builtin_voice, library_voice
from f5serve.http.scopes import needs
from f5serve.http.state import Owner, StateDep
from f5serve.http.voice_form import MAX_REF_TEXT_CHARS
from f5serve.http.voice_path import VOICE_ID
from f5serve.http.voice_schemas import Voice
from f5serve.secrets import SPEAK, VOICES
from f5serve.voices.catalog import MAX_PAGE
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import MAX_NAME_CHARS, is_default
from f5serve.voices.records import Consent
from f5serve.voices.storage import MAX_CONSENT_CHARS

MAX_FILES = 25
MAX_TEXT_CHARS = 4_096
MAX_PAGE_SIZE = 100
MAX_SEARCH_CHARS = 100
MAX_IDS = 50
"""In one URL."""

_NO_EFFECT = "Accepted without effect."
_READ = errors.error_responses(400, 404, 409, 503, model=ElevenLabsErrorBody)
_LIST = errors.error_responses(400, 414, 503, model=ElevenLabsErrorBody)

VoiceId = Annotated[
    str,
    Path(max_length=MAX_VOICE_CHARS, description="Its id, as the list of voices tells it."),
]

router = APIRouter(tags=["elevenlabs"], route_class=upload_route(MAX_BYTES))


@router.get(
    "/v1/voices",
    operation_id="elevenlabs_list_voices",
    summary="List voices, as ElevenLabs does",
    responses=_LIST,
)
@needs(SPEAK)
async def list_voices(
    state: StateDep,
    request: Request,
    show_legacy: Annotated[bool, Query(description=_NO_EFFECT)] = False,
) -> ElevenLabsVoices:
    """The first 1,000 voices, the one that comes with f5serve before all others."""
    return await state.operations.work("list_voices", _first, state.voices, _server(request))


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What voices are looked for; other parameters of ElevenLabs change nothing."""

    page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="The most voices.")] = 10
    next_page_token: Annotated[
        str, Query(max_length=200, description="As the page before has it.")
    ] = ""
    search: Annotated[str, Query(max_length=MAX_SEARCH_CHARS, description="In the name.")] = ""
    sort: Annotated[
        Literal["name", "created_at_unix"], Query(description="What the order goes by.")
    ] = "name"
    sort_direction: Annotated[Literal["asc", "desc"], Query(description="Of the order.")] = "asc"
    voice_type: Annotated[VoiceType | None, Query(description="Whose they are.")] = None
    category: Annotated[Category | None, Query(description="How they were made.")] = None
    language: Annotated[str, Query(max_length=16, description="ISO 639-1, such as en.")] = ""
    voice_ids: Annotated[
        list[Annotated[str, Query(max_length=MAX_NAME_CHARS)]] | None,
        Query(max_length=MAX_IDS, description="These alone."),
    ] = None
    include_total_count: Annotated[bool, Query(description="It is always told.")] = True

    @property
    def wanted(self) -> VoiceSearch:
        """The same as the library is searched."""
        return VoiceSearch(
            text=self.search,
            category=self.category,
            voice_type=self.voice_type,
            language=self.language,
            ids=frozenset(self.voice_ids or ()),
            by_time=self.sort == "created_at_unix",
            descending=self.sort_direction == "desc",
            token=self.next_page_token,
        )


@router.get(
    "/v2/voices",
    operation_id="elevenlabs_search_voices",
    summary="Search voices, as ElevenLabs does",
    responses=_LIST,
)
@needs(SPEAK)
async def search_voices(
    state: StateDep, request: Request, query: Annotated[SearchQuery, Depends()]
) -> ElevenLabsVoicePage:
    """Voices by name, kind or language, in pages."""
    return await state.operations.work(
        "list_voices", _search, state.voices, query, _server(request)
    )


@router.get(
    "/v1/voices/settings/default",
    operation_id="elevenlabs_get_default_settings",
    summary="Usual settings of voices, as ElevenLabs tells them",
)
@needs(SPEAK)
async def get_default_settings() -> ShownSettings:
    """`speed` is used; the others have no effect."""
    return ShownSettings()


@router.get(
    f"/v1/voices/{VOICE_ID}",
    operation_id="elevenlabs_get_voice",
    summary="Look at one voice, as ElevenLabs shows it",
    responses=_READ,
)
@needs(SPEAK)
async def get_voice(
    voice_id: VoiceId,
    state: StateDep,
    request: Request,
    with_settings: Annotated[bool, Query(description="They are always shown.")] = True,
) -> ElevenLabsVoice:
    """A voice by its id; an id of ElevenLabs' own voices shows what it stands for here."""
    name = await resolve_library_voice(state, voice_id)
    voice = await state.operations.work("get_voice", _one, state.voices, name)
    if voice_id in PREMADE:
        return show_voice(voice, _server(request), voice_id, PREMADE[voice_id].name)
    return show_voice(voice, _server(request))


@router.get(
    f"/v1/voices/{VOICE_ID}/settings",
    operation_id="elevenlabs_get_voice_settings",
    summary="Settings of one voice, as ElevenLabs tells them",
    responses=_READ,
)
@needs(SPEAK)
async def get_voice_settings(voice_id: VoiceId, state: StateDep) -> ShownSettings:
    """They are the same for all voices."""
    name = await resolve_library_voice(state, voice_id)
    await state.operations.work("get_voice", _one, state.voices, name)
    return ShownSettings()


@dataclass(frozen=True, slots=True)
class _VoiceFields:
    """What forms of new and changed voices share."""

    name: Annotated[
        str,
        Form(
            min_length=1,
            max_length=MAX_TEXT_CHARS,
            description="Of the voice, in any words; its id has letters, digits, _, - and . of it.",
            examples=["ana"],
        ),
    ]
    remove_background_noise: Annotated[bool, Form(description=_NO_EFFECT)] = False
    description: Annotated[str, Form(max_length=MAX_TEXT_CHARS, description=_NO_EFFECT)] = ""
    labels: Annotated[
        str,
        Form(
            max_length=MAX_TEXT_CHARS,
            description="A JSON object; `language` is kept, others have no effect.",
            examples=['{"language": "en"}'],
        ),
    ] = ""
    ref_text: Annotated[
        str,
        Form(
            max_length=MAX_REF_TEXT_CHARS,
            description="The words that are spoken; without them they are written down by the "
            "recogniser, where there is one.",
        ),
    ] = ""
    consent_by: Annotated[
        str,
        Form(
            max_length=MAX_CONSENT_CHARS,
            description="Who says that the person who is heard agrees to be cloned.",
        ),
    ] = ""

    def put(self, voices: VoiceLibrary, voice_id: str, data: bytes, owner: str) -> str:
        """Keep a recording under an id; returns it. Blocks; errors as `VoiceLibrary.put`."""
        language = read_labels(self.labels).get("language", "")
        consent = Consent(self.consent_by.strip()) if self.consent_by.strip() else None
        return voices.put(voice_id, data, self.ref_text, language, consent, owner).voice


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVoice(_VoiceFields):
    """A voice that is made of recordings; `ref_text` and `consent_by` are fields of ours."""

    files: Annotated[
        list[UploadFile],
        File(
            min_length=1,
            max_length=MAX_FILES,
            description="Recordings of one person, best one of 6 to 12 seconds. Several are joined "
            "in their order; what comes behind 12 seconds is not used.",
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedVoice(_VoiceFields):
    """What is new of a voice; `ref_text` and `consent_by` are fields of ours."""

    files: Annotated[
        list[UploadFile] | None,
        File(max_length=MAX_FILES, description="Other recordings, in place of the one it has."),
    ] = None


@router.post(
    "/v1/voices/add",
    operation_id="elevenlabs_add_voice",
    summary="Make a voice of recordings, as ElevenLabs does",
    responses=_READ,
)
@needs(VOICES)
async def add_voice(
    new: Annotated[NewVoice, Depends()], owner: Owner, state: StateDep
) -> VoiceAdded:
    """Clone a voice. Its id is made of the name; where that is taken, a number is added."""

    def add() -> str:
        data = join_recordings([read_upload(file, MAX_BYTES) for file in new.files])
        return new.put(state.voices, name_to_id(new.name, state.voices.exists), data, owner)

    with state.operations.track("upload"):
        return VoiceAdded(voice_id=await state.operations.pools.recordings.run(add))


@router.post(
    f"/v1/voices/{VOICE_ID}/edit",
    operation_id="elevenlabs_edit_voice",
    summary="Change one voice, as ElevenLabs does",
    responses=_READ,
)
@needs(VOICES)
async def edit_voice(
    voice_id: VoiceId, changed: Annotated[ChangedVoice, Depends()], owner: Owner, state: StateDep
) -> StatusOk:
    """Replace its recording. The name stays: requests for speech call the voice by it."""

    def edit() -> None:
        record = state.voices.get_record(voice_id)
        if not is_name_of(changed.name, record.voice):
            raise InvalidRequest(
                f"The voice {record.voice!r} cannot be renamed to {changed.name[:60]!r}.",
                code="BAD_OPTION",
                hint="Send its own name, or add the recording under the other name.",
            )
        if changed.files:
            data = join_recordings([read_upload(file, MAX_BYTES) for file in changed.files])
            changed.put(state.voices, record.voice, data, owner)

    with state.operations.track("upload"):
        await state.operations.pools.recordings.run(edit)
    return StatusOk()


@router.delete(
    f"/v1/voices/{VOICE_ID}",
    operation_id="elevenlabs_delete_voice",
    summary="Delete one voice, as ElevenLabs does",
    responses=_READ,
)
@needs(VOICES)
async def delete_voice(voice_id: VoiceId, state: StateDep) -> StatusOk:
    """Remove a voice with its styles."""
    await state.operations.answer({"endpoint": "delete_voice", "voice_name": voice_id}, "")
    return StatusOk()


def _server(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _first(voices: VoiceLibrary, server: str) -> ElevenLabsVoices:
    records = voices.page("", MAX_PAGE - 1).records
    found = [builtin_voice(voices.get(None)), *(library_voice(record, ()) for record in records)]
    return ElevenLabsVoices(voices=[show_voice(voice, server) for voice in found])


def _search(voices: VoiceLibrary, query: SearchQuery, server: str) -> ElevenLabsVoicePage:
    search = query.wanted
    wanted = search.find(each_candidate(voices))
    shown, token = search.page(wanted, query.page_size)
    found = (
        library_voice(one.record, ()) if one.record else builtin_voice(voices.get(None))
        for one in shown
    )
    return ElevenLabsVoicePage(
        voices=[show_voice(voice, server) for voice in found],
        has_more=bool(token),
        total_count=len(wanted),
        next_page_token=token or None,
    )


def _one(voices: VoiceLibrary, name: str) -> Voice:
    if is_default(name):
        return builtin_voice(voices.get(None))
    return library_voice(voices.get_record(name), ())
