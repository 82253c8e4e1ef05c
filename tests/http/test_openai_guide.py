"""docs/guides/openai-clients.md does what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import openai
import pytest

from f5serve.audio.encode import MEDIA_TYPES
from f5serve.http.errors import STATUSES
from f5serve.http.voice_names import OPENAI_VOICES
from f5serve.service.speech_fields import SpeechFields
from f5serve.settings import Settings
from tests.http.house import house
from tests.http.sound import heard_s

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "openai-clients.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
SERVER = "http://127.0.0.1:8000"


def test_its_programs_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(SNIPPETS) == 4
    monkeypatch.chdir(tmp_path)
    with house(tmp_path / "disk", api_keys="a-key-of-the-guide") as home:
        for snippet in SNIPPETS:
            assert SERVER in snippet
            program = snippet.replace(SERVER, home.url).replace("your-key", "a-key-of-the-guide")
            names: dict[str, Any] = {"__name__": "__main__"}
            exec(compile(program, "openai-clients.md", "exec"), names)
            # A program's end closes its connections; the garbage collector may warn of them first.
            for client in [each for each in names.values() if isinstance(each, openai.OpenAI)]:
                client.close()
    for name, format in [("hello.mp3", "mp3"), ("hello.pcm", "pcm"), ("events.mp3", "mp3")]:
        assert heard_s((tmp_path / name).read_bytes(), format) > 0.5
    told = capsys.readouterr().out
    assert [line.split()[-1] for line in told.splitlines()[1:]] == [
        "When",
        "is",
        "each",
        "word",
        "heard?",
    ]


def test_its_curl_is_a_request(tmp_path: Path) -> None:
    (body,) = re.findall(r"-d '(.*?)'", GUIDE)
    with house(tmp_path) as home:
        assert home.speak(**json.loads(body)).content[:4] == b"RIFF"


def test_its_tables_are_complete() -> None:
    for format, media_type in MEDIA_TYPES.items():
        assert re.search(rf"\| `{format}`.*\| `{media_type}` \|", GUIDE)
    for field in set(SpeechFields.model_fields) - {"speed", "response_format"}:  # OpenAI's
        assert f"`{field}`" in GUIDE
    assert all(re.search(rf"\b{name}\b", GUIDE) for name in OPENAI_VOICES)
    told = dict(re.findall(r"^\| (\d{3}) \| `\w+` \| (.*?) \|", GUIDE, flags=re.MULTILINE))
    for status, codes in told.items():
        for code in re.findall(r"`(\w+)`", codes):
            assert STATUSES.get(code.upper(), int(status)) == int(status)
    assert f"{Settings().openai_max_chars:,} characters" in GUIDE
    assert f"{Settings().request_timeout_s:g} s from" in GUIDE
