"""The voices of a script file, and words in brackets that name none."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from f5serve.cli.script_file import read_script_file
from f5serve.cli.script_voices import ScriptVoices, leave_out_unknown
from f5serve.errors import BadAudio, InvalidRequest
from f5serve.types import Voice
from f5serve.voices.bulk_import import read_recording
from f5serve.voices.prepare import default_voice, prepare_voice
from tests.cli.scripts import home, read, write

__all__ = ["home"]


def prepare(made: list[str], name: str, path: Path, ref_text: str) -> Voice:
    made.append(name)
    text = ref_text or default_voice().ref_text
    return prepare_voice(name, read_recording(path), text).voice


def voices(home: Path, library: ScriptVoices | None = None) -> ScriptVoices:
    return ScriptVoices(read(home, PLAY), default_voice(), partial(prepare, []), library)


PLAY = """\
gen_text = "Hi."
ref_audio = "me.wav"
speed = 1.2
[voices.fox]
ref_audio = "fox.wav"
speed = 0.8
[voices.Crow]
ref_audio = "crow.wav"
"""


def test_voices_of_the_file_by_name(home: Path) -> None:
    found = voices(home)
    assert [found.styles(name) for name in ("", "main", "MAIN", "fox", "crow", "FOX")] == [
        frozenset()
    ] * 6
    assert found.styles("wolf") is None
    assert (found.speed("fox"), found.speed("Crow"), found.speed("")) == (0.8, None, None)
    assert found.similar("fxo") == ["fox"]
    assert found.similar("crov") == ["Crow"]
    assert found.similar("maine") == ["main"]
    assert found.get("") is found.get("main") is default_voice()


def test_each_voice_is_prepared_once_and_only_if_needed(home: Path) -> None:
    made: list[str] = []
    found = ScriptVoices(read(home, PLAY), default_voice(), partial(prepare, made))
    assert made == []
    assert found.get("crow") is found.get("Crow") is found.get("CROW")
    assert found.get("crow").name == "Crow"
    assert made == ["Crow"]


def test_a_library_is_asked_for_names_that_the_file_does_not_have(home: Path) -> None:
    made: list[str] = []
    text = "gen_text = 'Hi.'\n[voices.fox]\nref_audio = 'me.wav'\n[voices.wolf]\n"
    other = read_script_file(write(home, f"{text}ref_audio = 'me.wav'", "b.toml"))
    library = ScriptVoices(other, default_voice(), partial(prepare, made))
    found = voices(home, library)
    assert found.styles("wolf") == frozenset()
    assert found.similar("wofl") == ["wolf"]
    assert found.get("wolf").name == "wolf"
    found.get("fox")
    assert made == ["wolf"]


def test_names_and_styles_that_are_not_there(home: Path) -> None:
    found = voices(home)
    with pytest.raises(InvalidRequest) as caught:
        found.get("wolf")
    assert (caught.value.code, caught.value.hint) == ("UNKNOWN_VOICE", "It has fox, Crow.")
    with pytest.raises(InvalidRequest) as caught:
        found.get("fox", "sly")
    assert caught.value.code == "UNKNOWN_STYLE"
    assert "fox" in caught.value.message


def test_a_recording_that_cannot_be_used_is_named_by_its_voice(home: Path) -> None:
    (home / "project" / "fox.wav").write_bytes(b"no sound")
    found = voices(home)
    with pytest.raises(BadAudio, match=r"^") as caught:
        found.get("fox")
    assert caught.value.message.startswith("Voice fox: ")


@pytest.mark.parametrize(
    ("text", "kept", "named"),
    [
        ("No tags.", "No tags.", []),
        ("One [fox] two [main] three.", "One [fox] two [main] three.", []),
        ("[FOX] One.", "[FOX] One.", []),
        ("It is [sic] so.", "It is  so.", ["sic"]),
        ("So he said[1].", "So he said.", ["1"]),
        ("[fxo] One. [fxo] Two.", " One.  Two.", ["fxo"]),
        (r"\[sic] [pause] [break]", r"\[sic] [pause] [break]", []),
        ("[pause:1.2s] [voice:wolf] [two words] [/] [] [", None, []),
        ("[小狐] 你好。", " 你好。", ["小狐"]),
        (f"[{'x' * 65}]", None, []),
    ],
)
def test_words_in_brackets_that_are_no_voice_are_not_spoken(
    text: str, kept: str | None, named: list[str], home: Path
) -> None:
    found = voices(home)
    left, warnings = leave_out_unknown(text, found)
    assert left == (text if kept is None else kept)
    assert [warning.split("]")[0][1:] for warning in warnings] == named
    if "fxo" in named:
        assert warnings == ("[fxo] is no voice and is not spoken. Did you mean [fox]?",)


def test_many_words_in_brackets_are_counted_and_too_many_refused(home: Path) -> None:
    found = voices(home)
    _, warnings = leave_out_unknown(" ".join(f"[{n}]" for n in range(1_000)), found)
    assert len(warnings) == 6
    assert warnings[-1] == "995 more words in brackets are not spoken."
    with pytest.raises(InvalidRequest) as caught:
        leave_out_unknown(" ".join(f"[{n}]" for n in range(1_001)), found)
    assert caught.value.code == "TOO_MANY_TAGS"
