"""/v1/text-to-dialogue: lines of several voices, as ElevenLabs has them; they become a script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from f5serve.http.elevenlabs.fields import Dialogue, DialogueInput
from f5serve.http.elevenlabs.schemas import TimedDialogue, VoiceSegment
from f5serve.http.request_body import JsonRoute
from f5serve.http.routers.elevenlabs_speech import (
    AUDIO,
    JSON,
    KEYED,
    Caller,
    Speech,
    SpeechQuery,
    resolve_library_voice,
    resolve_speech,
    timed_speech,
)
from f5serve.http.scopes import needs
from f5serve.secrets import SPEAK

router = APIRouter(tags=["elevenlabs"], route_class=JsonRoute)


@dataclass(frozen=True, slots=True)
class Script:
    """A dialogue as the text of a job.

    Attributes:
        starts: where each line begins in `text`, and where the last one ends.
    """

    text: str
    starts: Sequence[int]


@dataclass(frozen=True, slots=True)
class DialogueCall:
    """A request for a dialogue."""

    body: Dialogue
    query: Annotated[SpeechQuery, Depends()]
    caller: Annotated[Caller, Depends()]

    async def resolve(self, *, words: bool) -> tuple[Speech, Script]:
        """What is asked for, checked; errors as `resolve_speech`, and VOICE_NOT_FOUND."""
        state, lines = self.caller.state, self.body.inputs
        ids = dict.fromkeys(line.voice_id for line in lines)
        names = {voice_id: await resolve_library_voice(state, voice_id) for voice_id in ids}
        script = write_script(lines, names)
        fields = {**self.body.fields(), "text": script.text, "return_word_timings": words}
        first = names[lines[0].voice_id]
        job = await resolve_speech(state, self.body, self.query, fields, first)
        text = "".join(line.text for line in lines)
        return Speech(job, self.query.output, text, self.body.warnings, self.caller), script


Call = Annotated[DialogueCall, Depends()]


@router.post(
    "/v1/text-to-dialogue",
    operation_id="elevenlabs_dialogue",
    summary="Turn a dialogue into speech, as ElevenLabs does",
    response_class=Response,
    responses=AUDIO,
    openapi_extra=KEYED,
)
@needs(SPEAK)
async def convert_dialogue(call: Call) -> Response:
    """Lines of several voices as one file, which is sent as it is made."""
    speech, _ = await call.resolve(words=False)
    return await speech.file()


@router.post(
    "/v1/text-to-dialogue/stream",
    operation_id="elevenlabs_dialogue_stream",
    summary="Turn a dialogue into a stream of speech, as ElevenLabs does",
    response_class=Response,
    responses=AUDIO,
    openapi_extra=KEYED,
)
@needs(SPEAK)
async def stream_dialogue(call: Call) -> Response:
    """The same as without `/stream`."""
    speech, _ = await call.resolve(words=False)
    return await speech.file()


@router.post(
    "/v1/text-to-dialogue/with-timestamps",
    operation_id="elevenlabs_dialogue_with_timestamps",
    summary="Turn a dialogue into speech with times of characters, as ElevenLabs does",
    response_model=TimedDialogue,
    responses=JSON,
    openapi_extra=KEYED,
)
@needs(SPEAK)
async def convert_dialogue_with_timestamps(call: Call) -> Response:
    """The whole file in base64, when each character is heard, and whose it is."""
    speech, script = await call.resolve(words=True)
    return await speech.whole(partial(_timed_dialogue, call.body.inputs, script, speech.text))


def write_script(lines: Sequence[DialogueInput], names: Mapping[str, str]) -> Script:
    """The text of a job that speaks these lines; `names` are the voices of their ids."""
    parts = [f"{json.dumps({'name': names[line.voice_id]})} {line.text}\n" for line in lines]
    return Script("".join(parts), [0, *accumulate(map(len, parts))])


def _timed_dialogue(
    lines: Sequence[DialogueInput],
    script: Script,
    text: str,
    audio: str,
    response: Mapping[str, Any],
) -> TimedDialogue:
    speech = timed_speech(text, audio, response)
    return TimedDialogue(
        **dict(speech), voice_segments=voice_segments(lines, script, response["parts"])
    )


def voice_segments(
    lines: Sequence[DialogueInput], script: Script, parts: Sequence[Mapping[str, Any]]
) -> list[VoiceSegment]:
    """Where each line is heard; `parts` are those of the job's result."""
    ends = [0, *accumulate(len(line.text) for line in lines)]
    segments = []
    for index, (line, (first, behind)) in enumerate(
        zip(lines, pairwise(script.starts), strict=True)
    ):
        own = [part for part in parts if first <= part["start"] < behind]
        if own:
            segments.append(
                VoiceSegment(
                    voice_id=line.voice_id,
                    start_time_seconds=own[0]["start_time"],
                    end_time_seconds=own[-1]["end_time"],
                    character_start_index=ends[index],
                    character_end_index=ends[index + 1],
                    dialogue_input_index=index,
                )
            )
    return segments
