"""Operations about voices: upload, list_voices and delete_voice.

Fields of a request flow in, answers flow out. None needs a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from f5serve.errors import InvalidRequest
from f5serve.service import answers
from f5serve.service.erasure import erase_voice
from f5serve.service.parse import Fields
from f5serve.service.pools import Pools
from f5serve.service.uploads import Uploads
from f5serve.store.base import ObjectStore
from f5serve.voices.library import VoiceLibrary


class VoiceCalls:
    """What is asked of one library."""

    def __init__(
        self, voices: VoiceLibrary, uploads: Uploads, pools: Pools, store: ObjectStore
    ) -> None:
        self._voices = voices
        self._store = store
        self._uploads = uploads
        self._pools = pools

    async def upload(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """Keep a recording as a voice, for the holder of the key `owner`."""
        take = self._uploads.take
        record, warnings = await self._pools.recordings.run(take, payload, owner)
        return answers.upload_answer(record, warnings)

    async def list(self) -> dict[str, Any]:
        """All voices."""
        return answers.voices_answer(await self._pools.listings.run(self._voices.list))

    async def delete(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Remove one voice; with its results, where `with_results` is true.

        Raises:
            InvalidRequest: MISSING_FIELD, BAD_OPTION, or as `VoiceLibrary.delete`.
        """
        fields = Fields(payload)
        name = fields.text("voice_name")
        with_results = fields.flag("with_results", False)
        if not name:
            raise InvalidRequest(
                "voice_name is required.",
                code="MISSING_FIELD",
                hint="Send a name of list_voices.",
            )
        told = {"status": f"Voice '{name}' deleted."}
        if not with_results:
            await self._pools.lookups.run(self._voices.delete, name)
            return told
        erased = await self._pools.upkeep.run(erase_voice, self._voices, self._store, name)
        return {**told, "results": asdict(erased)}
