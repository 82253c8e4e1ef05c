"""docs/guides/leaving-openai.md shows nothing that no test runs."""

from __future__ import annotations

import re

from f5serve.http.transcription_forms import OPENAI_IDS as TRANSCRIBERS
from f5serve.http.voice_names import OPENAI_VOICES
from tests.clients.environment import ROOT
from tests.clients.guide import BLOCKS, GUIDE
from tests.clients.test_requests import REQUESTS


def test_each_block_is_run() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "clients").glob("test_*.py"))
    sent = {request["heading"] for request in REQUESTS}
    by_elevenlabs = {name for name in BLOCKS if name.endswith((" protocol", " HTTP"))}
    assert by_elevenlabs == {
        "LiveKit Agents by ElevenLabs' protocol",
        "Pipecat by ElevenLabs' protocol",
        "Pipecat by ElevenLabs' HTTP",
    }
    for name in BLOCKS.keys() - sent - by_elevenlabs:
        assert f'"{name}"' in tests, name
    assert sent <= BLOCKS.keys()


def test_each_program_of_the_table_has_its_line() -> None:
    table = GUIDE[GUIDE.index("| program | change | sends |") : GUIDE.index("### ")]
    anchors = set(re.findall(r"\]\(#([\w-]+)\)", table))
    headings = {re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in BLOCKS}
    assert anchors == {one for one in headings if "elevenlabs" not in one}


def test_all_names_of_openais_are_there() -> None:
    assert set(OPENAI_VOICES) <= set(re.findall(r"`(\w+)`", GUIDE))
    assert "whisper-1" in TRANSCRIBERS
    assert "whisper-1" in GUIDE
