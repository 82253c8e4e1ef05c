"""/v1/user: whose key it is and what it may do, as ElevenLabs tells it."""

from __future__ import annotations

from fastapi import APIRouter, Request

from f5serve.http.elevenlabs.schemas import Subscription, User
from f5serve.http.scopes import needs
from f5serve.http.state import AppState, Owner, StateDep
from f5serve.secrets import SPEAK

LOCAL = "local"
"""Id of the user where the server asks for no keys."""

router = APIRouter(tags=["elevenlabs"])


@router.get(
    "/v1/user",
    operation_id="elevenlabs_get_user",
    summary="Look at the account, as ElevenLabs shows it",
)
@needs(SPEAK)
async def get_user(request: Request, owner: Owner, state: StateDep) -> User:
    """The key that the request has."""
    key = getattr(request.state, "key", None)
    return User(
        user_id=owner or LOCAL,
        first_name=key.name if key else None,
        subscription=_subscription(state),
    )


@router.get(
    "/v1/user/subscription",
    operation_id="elevenlabs_get_subscription",
    summary="Look at limits, as ElevenLabs tells them",
)
@needs(SPEAK)
async def get_subscription(state: StateDep) -> Subscription:
    """How many characters a request may have; there is no budget and no price."""
    return _subscription(state)


def _subscription(state: AppState) -> Subscription:
    return Subscription(
        character_limit=state.settings.max_text_chars,
        can_use_instant_voice_cloning=state.voices.can_transcribe,
    )
