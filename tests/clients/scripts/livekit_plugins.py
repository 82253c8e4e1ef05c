"""LiveKit's plugins: `tts` and `stt` of the guide speak and listen."""

import asyncio
import json
import sys
import wave
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.agents.utils import http_context

ONCE = APIConnectOptions(max_retry=0)


def report(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def report_audio(frame: Any) -> None:
    report("audio", s=frame.duration, rate=frame.sample_rate)
    for word in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, []):
        report("word", text=str(word), start_s=word.start_time, end_s=word.end_time)


async def speak(tts: Any, ask: dict[str, Any]) -> None:
    used: list[Any] = []
    tts.on("metrics_collected", used.append)
    try:
        async with tts.synthesize(ask["text"], conn_options=ONCE) as stream:
            async for audio in stream:
                report_audio(audio.frame)
    finally:
        tts.off("metrics_collected", used.append)
    report("end", output_tokens=used[-1].output_tokens)


async def speak_words(tts: Any, ask: dict[str, Any]) -> None:
    async with tts.stream(conn_options=ONCE) as stream:
        for word in ask["words"].split():
            stream.push_text(f"{word} ")
        stream.end_input()
        async for audio in stream:
            report_audio(audio.frame)
    report("end")


async def listen(stt: Any, ask: dict[str, Any]) -> None:
    with wave.open(ask["file"]) as file:
        frame = rtc.AudioFrame(
            data=file.readframes(file.getnframes()),
            sample_rate=file.getframerate(),
            num_channels=file.getnchannels(),
            samples_per_channel=file.getnframes(),
        )
    found = await stt.recognize([frame], conn_options=ONCE)
    report("end", text=found.alternatives[0].text)


async def main() -> None:
    config = json.load(sys.stdin)
    names: dict[str, Any] = {}
    async with http_context.open():  # as a job of theirs does
        exec(config["source"], names)
        for ask in config["asks"]:
            changed = {name: ask[name] for name in ("voice", "voice_id", "model") if name in ask}
            if changed:
                names["tts"].update_options(**changed)
            try:
                if "voices" in ask:
                    report("end", voices=[voice.id for voice in await names["tts"].list_voices()])
                elif "file" in ask:
                    await listen(names["stt"], ask)
                elif "words" in ask:
                    await speak_words(names["tts"], ask)
                else:
                    await speak(names["tts"], ask)
            except APIError as error:
                report("error", message=str(error))
        for name in ("tts", "stt"):
            if name in names:
                await names[name].aclose()


asyncio.run(main())
