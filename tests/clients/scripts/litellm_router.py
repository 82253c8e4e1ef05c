"""The router of LiteLLM's proxy, with the models of a configuration file."""

import asyncio
import json
import sys
from pathlib import Path

import litellm
import yaml


async def main() -> None:
    config = json.load(sys.stdin)
    router = litellm.Router(**yaml.safe_load(config["source"]))
    for ask in config["asks"]:
        if "file" in ask:
            with Path(ask["file"]).open("rb") as file:
                found = await router.atranscription(model=ask["model"], file=file)
            print(json.dumps({"event": "end", "text": found.text}), flush=True)
        else:
            speech = await router.aspeech(model=ask["model"], voice=ask["voice"], input=ask["text"])
            print(json.dumps({"event": "end", "bytes": len(speech.content)}), flush=True)


asyncio.run(main())
