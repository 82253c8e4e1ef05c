"""Why a name does not lead to a voice: the errors of the library, in words."""

from __future__ import annotations

from f5serve.errors import InvalidRequest


class VoiceNotFound(InvalidRequest):
    """There is no voice of a name; code VOICE_NOT_FOUND.

    Args:
        near: names that are spelled much like it, the nearest first.
    """

    def __init__(self, name: str, near: tuple[str, ...]) -> None:
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        super().__init__(
            f"There is no voice {name!r}.",
            code="VOICE_NOT_FOUND",
            hint=f"{meant}See list_voices for all names, or upload the voice.",
        )
        self.near = near


def name_taken(name: str, other: str) -> InvalidRequest:
    """Two names that differ in capitals only are one voice."""
    return InvalidRequest(
        f"There is a voice {other!r}, which differs from {name!r} only in capitals.",
        code="VOICE_NAME_TAKEN",
        hint=f"Write {other}, or choose another name.",
    )
