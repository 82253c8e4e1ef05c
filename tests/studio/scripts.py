"""A library with two voices, and a text that both speak."""

from __future__ import annotations

from pathlib import Path

from tests.http.house import House

RECORDING = Path(__file__).parents[1] / "data" / "librivox-0870.wav"
WORDS = "He was not an ill-disposed young man."
SCRIPT = (
    "ana: Good morning. [pause:0.5s] Did you sleep?\nben: Not at all 🙂. [voice:ana] [happy] Oh."
)


def add_voices(home: House) -> None:
    """Ana, who can be happy, and ben."""
    for fields in ({"name": "ana"}, {"name": "ana", "style": "happy"}, {"name": "ben"}):
        sample = {"audio_sample": ("a.wav", RECORDING.read_bytes())}
        answer = home.client.post(
            "/v1/audio/voices", files=sample, data={**fields, "ref_text": WORDS}
        )
        assert answer.status_code == 201, answer.text
