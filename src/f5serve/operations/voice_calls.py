"""Operations about voices: upload, list_voices and delete_voice.

Fields of a request flow in, answers flow out. None needs a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from f5serve.errors import InvalidRequest
from f5serve.operations import answers
from f5serve.operations.parse import Fields
from f5serve.operations.pools import Pools
from f5serve.operations.uploads import Uploads
from f5serve.voices.library import VoiceLibrary


class VoiceCalls:
    """What is asked of one library."""

    def __init__(self, voices: VoiceLibrary, uploads: Uploads, pools: Pools) -> None:
        self._voices = voices
        self._uploads = uploads
        self._pools = pools

    async def upload(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a recording as a voice."""
        return answers.upload_answer(await self._pools.recordings.run(self._uploads.take, payload))

    async def list(self) -> dict[str, Any]:
        """All voices."""
        return answers.voices_answer(await self._pools.listings.run(self._voices.list))

    async def delete(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Remove one voice.

        Raises:
            InvalidRequest: MISSING_FIELD, or as `VoiceLibrary.delete`.
        """
        name = Fields(payload).text("voice_name")
        if not name:
            raise InvalidRequest(
                "voice_name is required.",
                code="MISSING_FIELD",
                hint="Send a name of list_voices.",
            )
        await self._pools.lookups.run(self._voices.delete, name)
        return {"status": f"Voice '{name}' deleted."}
