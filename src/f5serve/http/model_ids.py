"""Which ids a request may name as its model, and what they stand for here.

An id flows in, what to ask `tts` for flows out; no disk is looked at, so every request can ask.
What is told about models is in `routes_models`.

    OpenAI's names            whatever speaks here
    id of a model             itself, as long as it is the one that speaks
    anything else             UNKNOWN_MODEL
"""

from __future__ import annotations

import difflib
import re

from f5serve.errors import InvalidRequest
from f5serve.fallback.kokoro import MODEL as STANDIN
from f5serve.http.service import Service
from f5serve.models.registry import PUBLISHED

OPENAI_IDS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""What clients of OpenAI send; their dated forms are known as well."""

_OPENAI = re.compile(r"tts-1(-hd)?(-1106)?|gpt-4o-mini-tts(-\d{4}-\d\d-\d\d)?", re.ASCII)


def resolve(service: Service, model: str) -> str:
    """What `tts` is asked for when a request names this model; "" is whatever speaks here.

    Raises:
        InvalidRequest: UNKNOWN_MODEL, naming those that are spelled nearly so; MODEL_NOT_LOADED
            for one that exists and does not speak here.
    """
    if not model or is_openai(model):
        return ""
    speaking = str(service.operations.model["name"])
    own = service.settings.ckpt
    known = [spec.id for spec in PUBLISHED.models] + [STANDIN] + ([own.stem] if own else [])
    if model == speaking:
        return model
    if model not in known:
        raise unknown(model, known)
    if speaking:
        raise InvalidRequest(
            f"This server speaks with {speaking}, not with {model}.",
            code="MODEL_NOT_LOADED",
            hint=f"Send {speaking} or tts-1, or set F5_MODEL of the server.",
        )
    return model  # it may be the one that is being loaded; the job looks again when it is


def is_openai(model: str) -> bool:
    """Whether it is a name of OpenAI's, which stands for whatever speaks here."""
    return _OPENAI.fullmatch(model) is not None


def unknown(model: str, known: list[str]) -> InvalidRequest:
    """The error for an id that means nothing here."""
    folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(model[:60].lower(), folded, n=3, cutoff=0.6)
    meant = f"Did you mean {' or '.join(folded[name] for name in near)}? " if near else ""
    return InvalidRequest(
        f"There is no model {model[:60]!r}.",
        code="UNKNOWN_MODEL",
        hint=f"{meant}See GET /v1/models, or send tts-1 for the one that speaks here.",
    )
