"""/v1/lexicons: rules of pronunciation, of the library and of each voice.

Bodies are JSON or PLS (XML) of up to 2 MB. They are read as files of lexicons are, not as other
bodies, because they may hold 10,000 rules; errors name the number of the rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field
from starlette.requests import Request

from f5serve.errors import InvalidRequest
from f5serve.http import errors
from f5serve.http.scopes import needs
from f5serve.http.state import AppState, StateDep
from f5serve.http.voice_path import VOICE_ID
from f5serve.secrets import SPEAK, VOICES
from f5serve.text.lexicon_files import (
    MAX_FILE_BYTES,
    dump_pls,
    read_changes,
    read_lexicon,
)
from f5serve.text.lexicon_rules import MAX_ALIAS_CHARS, MAX_RULES, MAX_TEXT_CHARS
from f5serve.voices.lexicon_records import StoredLexicon, check_voice
from f5serve.voices.lexicons import MAX_PAGE, LexiconLibrary

T = TypeVar("T")

PLS = "application/pls+xml"
MAX_AFTER_CHARS = 128
MAX_LANGUAGE_CHARS = 35

_JSON_TYPE = re.compile(r"application/(json|[\w.-]+\+json)", re.ASCII)
_XML_TYPE = re.compile(r"(application/pls\+xml|application/xml|text/xml)")

LIBRARY = "/v1/lexicons/library"
VOICE = f"/v1/lexicons/voices/{VOICE_ID}"

router = APIRouter(tags=["lexicons"])

VoiceId = Annotated[str, Path(description="A voice, as the list of voices names it.")]
Format = Annotated[
    Literal["json", "pls"] | None,
    Query(description="What is answered; without it `Accept` decides, and JSON is the default."),
]


class LexiconRule(BaseModel):
    """What is spoken for some words: `alias`, or for Chinese `pinyin`."""

    text: str = Field(max_length=MAX_TEXT_CHARS, description="The words as they are written.")
    alias: str | None = Field(
        default=None, max_length=MAX_ALIAS_CHARS, description="What is spoken in their place."
    )
    pinyin: str | None = Field(
        default=None,
        max_length=MAX_ALIAS_CHARS,
        description="Syllables with their tones in place of `alias`, such as `chong2 qing4`.",
    )
    case_sensitive: bool = Field(default=False, description="Only the same capitals match.")
    word_boundaries: bool = Field(
        default=True, description="No match inside a longer word; without meaning in Chinese."
    )
    language: str | None = Field(
        default=None,
        max_length=MAX_LANGUAGE_CHARS,
        description="ISO 639-1 of the texts it is for; all without it.",
    )


class LexiconSummary(BaseModel):
    """A lexicon without its rules."""

    voice: str | None = Field(description="Whose it is; null is the library, for all voices.")
    count: int = Field(description="Number of rules.")
    updated_at: str | None = Field(default=None, description="ISO 8601; null if unknown.")
    error: str | None = Field(
        default=None, description="The code of the error of a lexicon that cannot be read."
    )


class LexiconList(BaseModel):
    """Some lexicons that have rules; that of the library is the first."""

    object: Literal["list"] = "list"
    lexicons: list[LexiconSummary]
    has_more: bool
    last_id: str | None = Field(description="The page behind begins `after` this voice.")


class Lexicon(BaseModel):
    """A lexicon; one without rules is as good as none."""

    voice: str | None = Field(
        default=None, description="Whose it is; the library, for all voices, without it."
    )
    rules: list[LexiconRule]
    updated_at: str | None = Field(default=None, description="ISO 8601; null if unknown.")
    revision: str = Field(description="Changes with the rules; empty without any.")


class LexiconSaved(BaseModel):
    """A lexicon that was written."""

    voice: str | None = Field(description="Whose it is; null is the library.")
    count: int = Field(description="Number of rules now.")
    revision: str = Field(description="Changes with the rules; empty without any.")


class LexiconChanged(LexiconSaved):
    """A lexicon that was changed, and how many rules came, were replaced and went."""

    added: int
    replaced: int
    removed: int


class LexiconDeleted(BaseModel):
    """A lexicon that is no more."""

    voice: str | None
    deleted: Literal[True] = True


_RULE = f"#/components/schemas/{LexiconRule.__name__}"


def _body(schema: dict[str, Any], description: str) -> dict[str, Any]:
    """The request body of a route in the OpenAPI document."""
    pls = {"type": "string", "maxLength": MAX_FILE_BYTES}
    content = {"application/json": {"schema": schema}, PLS: {"schema": pls}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


_SELECTED_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARS}
_SELECTOR = {
    "anyOf": [
        _SELECTED_TEXT,
        {
            "type": "object",
            "required": ["text"],
            "properties": {
                "text": _SELECTED_TEXT,
                "language": {"type": ["string", "null"], "maxLength": MAX_LANGUAGE_CHARS},
                "case_sensitive": {"type": ["boolean", "null"]},
            },
        },
    ]
}
_RULES = {"maxItems": MAX_RULES, "items": {"$ref": _RULE}}
_CHANGES = {
    "type": "object",
    "properties": {
        "add": {"type": ["array", "null"], **_RULES},
        "remove": {"type": ["array", "null"], "maxItems": MAX_RULES, "items": _SELECTOR},
        "rules": {"type": "array", **_RULES},
    },
    "anyOf": [{"required": [name]} for name in ("add", "remove", "rules")],
}
_WHOLE = {
    "type": "object",
    "required": ["rules"],
    "properties": {"rules": {"type": "array", **_RULES}},
}
_WHOLE_BODY = _body(_WHOLE, "All rules, as JSON or PLS.")
_CHANGE_BODY = _body(_CHANGES, "Rules to remove and then to add, or a PLS file of rules to add.")
_EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The lexicon.",
        "content": {PLS: {"schema": {"type": "string"}}},
    }
}
_READ = _EXPORT | errors.error_responses(400, 404, 409, 503)
_WRITE = errors.error_responses(400, 404, 409, 503)


@router.get(
    "/v1/lexicons",
    operation_id="list_lexicons",
    summary="List lexicons",
    responses=errors.error_responses(400, 503),
)
@needs(SPEAK)
async def list_lexicons(
    state: StateDep,
    limit: Annotated[
        int, Query(ge=1, le=MAX_PAGE, description="The most lexicons of voices that are answered.")
    ] = MAX_PAGE,
    after: Annotated[
        str,
        Query(max_length=MAX_AFTER_CHARS, description="Begin behind this voice: `last_id`."),
    ] = "",
) -> LexiconList:
    """Which lexicons have rules, and how many: that of the library, then those of voices."""
    return await _work(state, "list_lexicons", _list, after, limit)


@router.get(
    LIBRARY,
    operation_id="get_library_lexicon",
    summary="Look at the rules for all voices",
    response_model=Lexicon,
    response_model_exclude_none=True,
    responses=_READ,
)
@needs(SPEAK)
async def get_library_lexicon(state: StateDep, request: Request, format: Format = None) -> Any:
    """The rules that count for every voice, as JSON or, with `?format=pls`, as PLS."""
    return await _work(state, "get_lexicon", _get, "", _wants_pls(request, format))


@router.put(
    LIBRARY,
    operation_id="put_library_lexicon",
    summary="Replace the rules for all voices",
    responses=_WRITE,
    openapi_extra=_WHOLE_BODY,
)
@needs(VOICES)
async def put_library_lexicon(state: StateDep, request: Request) -> LexiconSaved:
    """Import a lexicon in place of all rules that there are."""
    return await _work(state, "put_lexicon", _put, "", await _read_body(request))


@router.patch(
    LIBRARY,
    operation_id="patch_library_lexicon",
    summary="Add and remove rules for all voices",
    responses=_WRITE,
    openapi_extra=_CHANGE_BODY,
)
@needs(VOICES)
async def patch_library_lexicon(state: StateDep, request: Request) -> LexiconChanged:
    """Remove the rules for some texts, then add others, in place of those for the same text."""
    return await _work(state, "patch_lexicon", _patch, "", await _read_body(request))


@router.delete(
    LIBRARY,
    operation_id="delete_library_lexicon",
    summary="Delete the rules for all voices",
    responses=_WRITE,
)
@needs(VOICES)
async def delete_library_lexicon(state: StateDep) -> LexiconDeleted:
    """Remove all of these rules; there need not be any."""
    return await _work(state, "delete_lexicon", _delete, "")


@router.get(
    VOICE,
    operation_id="get_voice_lexicon",
    summary="Look at the rules of one voice",
    response_model=Lexicon,
    response_model_exclude_none=True,
    responses=_READ,
)
@needs(SPEAK)
async def get_voice_lexicon(
    voice_id: VoiceId, state: StateDep, request: Request, format: Format = None
) -> Any:
    """The rules that come before those of the library, as JSON or, with `?format=pls`, as PLS."""
    return await _work(state, "get_lexicon", _get, voice_id, _wants_pls(request, format))


@router.put(
    VOICE,
    operation_id="put_voice_lexicon",
    summary="Replace the rules of one voice",
    responses=_WRITE,
    openapi_extra=_WHOLE_BODY,
)
@needs(VOICES)
async def put_voice_lexicon(voice_id: VoiceId, state: StateDep, request: Request) -> LexiconSaved:
    """Import a lexicon in place of all rules of this voice."""
    return await _work(state, "put_lexicon", _put, voice_id, await _read_body(request))


@router.patch(
    VOICE,
    operation_id="patch_voice_lexicon",
    summary="Add and remove rules of one voice",
    responses=_WRITE,
    openapi_extra=_CHANGE_BODY,
)
@needs(VOICES)
async def patch_voice_lexicon(
    voice_id: VoiceId, state: StateDep, request: Request
) -> LexiconChanged:
    """Remove the rules for some texts, then add others, in place of those for the same text."""
    return await _work(state, "patch_lexicon", _patch, voice_id, await _read_body(request))


@router.delete(
    VOICE,
    operation_id="delete_voice_lexicon",
    summary="Delete the rules of one voice",
    responses=_WRITE,
)
@needs(VOICES)
async def delete_voice_lexicon(voice_id: VoiceId, state: StateDep) -> LexiconDeleted:
    """Remove all rules of this voice; there need not be any. Deleting the voice does that too."""
    return await _work(state, "delete_lexicon", _delete, voice_id)


async def _work(state: AppState, operation: str, call: Callable[..., T], *args: Any) -> T:
    return await state.operations.work(operation, call, state.operations.lexicons, *args)


async def _read_body(request: Request) -> bytes:
    """The bytes of a lexicon.

    Raises:
        InvalidRequest: NOT_JSON for a Content-Type that is none of a lexicon.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _JSON_TYPE.fullmatch(kind) and not _XML_TYPE.fullmatch(kind):
        problem = f"body's Content-Type is {kind[:60]!r}" if kind else "body has no Content-Type"
        raise InvalidRequest(
            f"The {problem}; this route takes application/json and {PLS}.",
            code="NOT_JSON",
            hint="Send the header `Content-Type: application/json`; curl takes it after -H.",
        )
    return await request.body()


def _wants_pls(request: Request, format: str | None) -> bool:
    if format is not None:
        return format == "pls"
    accepted = request.headers.get("accept", "").partition(",")[0].partition(";")[0].strip()
    return _XML_TYPE.fullmatch(accepted.lower()) is not None


def _list(lexicons: LexiconLibrary, after: str, limit: int) -> LexiconList:
    page = lexicons.page(after, limit)
    summaries = [
        LexiconSummary(
            voice=entry.voice or None,
            count=entry.rules,
            updated_at=entry.updated_at or None,
            error=entry.error.lower() or None,
        )
        for entry in page.lexicons
    ]
    return LexiconList(lexicons=summaries, has_more=bool(page.next), last_id=page.next or None)


def _get(lexicons: LexiconLibrary, voice: str, as_pls: bool) -> Any:
    lexicon = lexicons.get(voice)
    if as_pls:
        name = f"{(lexicon.voice or 'library').replace('/', '-')}.pls"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(dump_pls(lexicon.rules), media_type=PLS, headers=headers)
    return {
        "voice": lexicon.voice or None,
        "rules": [rule.as_dict() for rule in lexicon.rules],
        "updated_at": lexicon.updated_at or None,
        "revision": lexicon.revision,
    }


def _put(lexicons: LexiconLibrary, voice: str, body: bytes) -> LexiconSaved:
    return LexiconSaved(**_summary(lexicons.put(voice, read_lexicon(body))))


def _patch(lexicons: LexiconLibrary, voice: str, body: bytes) -> LexiconChanged:
    changes = read_changes(body)
    done = lexicons.patch(voice, changes.add, changes.remove)
    return LexiconChanged(
        **_summary(done.lexicon), added=done.added, replaced=done.replaced, removed=done.removed
    )


def _summary(lexicon: StoredLexicon) -> dict[str, Any]:
    return {
        "voice": lexicon.voice or None,
        "count": len(lexicon.rules),
        "revision": lexicon.revision,
    }


def _delete(lexicons: LexiconLibrary, voice: str) -> LexiconDeleted:
    lexicons.delete(voice)
    return LexiconDeleted(voice=check_voice(voice) or None)
