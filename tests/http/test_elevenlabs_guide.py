"""docs/guides/elevenlabs.md does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from elevenlabs.client import ElevenLabs
from fastapi.routing import APIRoute

from f5serve.http.app import ROUTERS
from f5serve.http.elevenlabs.errors import STATUSES
from f5serve.http.elevenlabs.fields import TextToSpeech, VoiceSettings
from f5serve.http.elevenlabs.formats import OUTPUT_FORMATS
from f5serve.http.elevenlabs.premade import PREMADE, premade_voice
from f5serve.settings import Settings
from tests.http.house import house
from tests.http.sound import heard_s

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "elevenlabs.md").read_text()
(SNIPPET,) = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
SERVER = "http://127.0.0.1:8000"


def test_its_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with house(tmp_path / "disk", api_keys="a-key-of-the-guide") as home:
        assert SERVER in SNIPPET
        program = SNIPPET.replace(SERVER, home.url).replace("your-key", "a-key-of-the-guide")
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(program, "elevenlabs.md", "exec"), names)
        assert isinstance(names["client"], ElevenLabs)
        names["client"]._client_wrapper.httpx_client.httpx_client.close()
    assert heard_s((tmp_path / "hello.mp3").read_bytes(), "mp3") > 0.5
    assert capsys.readouterr().out.startswith("When is each letter heard?")


def test_its_lists_are_complete() -> None:
    fields = TextToSpeech.model_fields.keys() - {"voice_settings"}
    for name in (*OUTPUT_FORMATS, *fields, *VoiceSettings.model_fields):
        assert re.search(rf"`(voice_settings\.)?{name}`", GUIDE), name
    for status in STATUSES.values():
        assert f"`{status}`" in GUIDE
    assert f"{len(PREMADE)} of these ids" in GUIDE
    routes = [route for room in ROUTERS for route in room.router.routes if room.router.tags]
    own = [one for one in routes if isinstance(one, APIRoute) and "elevenlabs" in one.tags]
    assert len(own) > 15
    table = GUIDE.partition("## Routes")[2].partition("##")[0]
    named = re.findall(r"`(?:[A-Z]+ )?(/[^`]*)`", table)
    endings = tuple(path for path in named if not path.startswith(("/v1", "/v2")))
    paths = [re.sub(r":\w+}", "}", one.path) for one in own]
    assert not [path for path in paths if path not in named and not path.endswith(endings)]


def test_its_setting_is_read() -> None:
    (pairs,) = re.findall(r"F5_ELEVENLABS_VOICES=(\S+)", GUIDE)
    settings = Settings.from_environ({"F5_ELEVENLABS_VOICES": pairs})
    stands_for = {one: premade_voice(settings.elevenlabs_voices, one) for one in PREMADE}
    assert stands_for["21m00Tcm4TlvDq8ikWAM"] == "ana"
    assert stands_for["pNInz6obpgDQGcFmaJgB"] == "ben"
    assert set(stands_for.values()) == {"ana", "ben", "default"}
    assert premade_voice(pairs, "ana") is None
    assert premade_voice("", "21m00Tcm4TlvDq8ikWAM") == "coral"
