"""LiveKit's plugin for OpenAI: `tts` and `stt` of the guide speak and listen."""

import asyncio
import json
import sys
import wave
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError

ONCE = APIConnectOptions(max_retry=0)


def report(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


async def speak(tts: Any, ask: dict[str, Any]) -> None:
    if "voice" in ask or "model" in ask:
        tts.update_options(**{name: ask[name] for name in ("voice", "model") if name in ask})
    used: list[Any] = []
    tts.on("metrics_collected", used.append)
    try:
        async with tts.synthesize(ask["text"], conn_options=ONCE) as stream:
            async for audio in stream:
                frame = audio.frame
                report("audio", s=frame.duration, rate=frame.sample_rate)
    finally:
        tts.off("metrics_collected", used.append)
    report("end", output_tokens=used[-1].output_tokens)


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
    exec(config["source"], names)
    for ask in config["asks"]:
        try:
            if "file" in ask:
                await listen(names["stt"], ask)
            else:
                await speak(names["tts"], ask)
        except APIError as error:
            report("error", message=str(error))
    await names["tts"].aclose()
    await names["stt"].aclose()


asyncio.run(main())
