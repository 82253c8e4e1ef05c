"""Script files of f5-tts_infer-cli, key by key; paths; what is refused, with its line."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from f5serve.cli.script_file import VoiceEntry, read_script_file
from f5serve.cli.toml_source import MAX_FILE_BYTES
from f5serve.errors import InvalidRequest
from f5serve.voices.prepare import default_voice
from tests.cli.scripts import BASIC, REFERENCE, STORY, home, read, write

__all__ = ["home"]


def refused(home: Path, text: str, replaced: Sequence[str] = ()) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(home, text, replaced)
    assert caught.value.code == "BAD_SCRIPT_FILE"
    assert caught.value.message.startswith("a.toml")
    assert caught.value.message.endswith(".")
    assert len(caught.value.message) < 300
    assert caught.value.hint
    return caught.value


# -- keys


def test_the_shape_of_one_voice(home: Path) -> None:
    file = read(home, BASIC)
    assert (file.model, file.output_dir, file.output_file) == ("F5TTS_v1_Base", "made", "walk.wav")
    assert (file.ref_audio, file.ref_text) == (
        home / "project" / "me.wav",
        default_voice().ref_text,
    )
    assert file.gen_text == "The tide is out. We can walk to the island."
    assert (file.gen_file, file.remove_silence, file.voices) == (None, False, ())
    assert file.warnings == ()


def test_the_shape_of_a_story(home: Path) -> None:
    file = read(home, STORY)
    folder = home / "project"
    assert (file.gen_text, file.gen_file) == ("", folder / "tale.txt")
    assert (file.ref_text, file.remove_silence) == ("", True)
    assert file.voices == (
        VoiceEntry("fox", folder / "fox.wav", "I am the fox.", 0.8),
        VoiceEntry("crow", folder / "crow.wav"),
    )
    assert file.warnings == ()


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ('model = "E2TTS_Base"', "model", "E2TTS_Base"),
        ('model_cfg = "configs/F5TTS_Small.yaml"', "model_cfg", "configs/F5TTS_Small.yaml"),
        ('ckpt_file = "hf://owner/name/model.pt"', "ckpt_file", "hf://owner/name/model.pt"),
        ('vocab_file = "hf://owner/name/vocab.txt"', "vocab_file", "hf://owner/name/vocab.txt"),
        ('ckpt_file = ""', "ckpt_file", ""),
        ('ref_text = "Words. "', "ref_text", "Words."),
        ('ref_text = " "', "ref_text", ""),
        ('output_dir = "there"', "output_dir", "there"),
        ('output_file = "a.flac"', "output_file", "a.flac"),
        ("save_chunk = true", "save_chunk", True),
        ("remove_silence = true", "remove_silence", True),
        ("remove_silence = false", "remove_silence", False),
        ("cross_fade_duration = 0", "cross_fade_duration", 0.0),
        ("nfe_step = 32", "nfe_step", 32),
        ("cfg_strength = 0.0", "cfg_strength", 0.0),
        ("sway_sampling_coef = -1", "sway_sampling_coef", -1.0),
        ("speed = 1.5", "speed", 1.5),
        ("fix_duration = 12.5", "fix_duration", 12.5),
        ('device = "cpu"', "device", "cpu"),
        ('device = "cuda:0"', "device", "cuda"),
    ],
)
def test_each_key(line: str, field: str, value: object, home: Path) -> None:
    file = read(home, f'gen_text = "Hello."\nref_audio = "me.wav"\n{line}\n')
    assert getattr(file, field) == value
    assert file.warnings == ()


@pytest.mark.parametrize(
    "line",
    [
        'vocoder_name = "vocos"',
        "target_rms = 0.1",
        "load_vocoder_from_local = false",
        "no_legacy_text = true",
        "no_legacy_text = false",
    ],
)
def test_keys_that_say_what_is_done_anyway(line: str, home: Path) -> None:
    assert read(home, f'gen_text = "Hi."\nref_audio = "me.wav"\n{line}\n').warnings == ()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("target_rms = 0.2", "target_rms = 0.2 is not used: the loudness"),
        ("load_vocoder_from_local = true", "load_vocoder_from_local = True is not used: the voc"),
        ('gen_txt = "A."', "gen_txt is an unknown key, not used. Did you mean gen_text?"),
        ("zzzz = 1", "zzzz is an unknown key, not used."),
        ('[voices.ana]\nref_audio = "me.wav"\npitch = 2', "voices.ana.pitch is an unknown key"),
        ('[voices.main]\nref_audio = "gone.wav"', "voices.main is not used: ref_audio at the top"),
    ],
)
def test_what_is_not_used_is_named(line: str, named: str, home: Path) -> None:
    (warning,) = read(home, f'gen_text = "Hi."\nref_audio = "me.wav"\n{line}\n').warnings
    assert warning.startswith(named)


def test_many_unknown_keys_are_counted(home: Path) -> None:
    keys = "\n".join(f"zz{i} = 1" for i in range(2_000))
    warnings = read(home, f'gen_text = "Hi."\nref_audio = "me.wav"\n{keys}').warnings
    assert len(warnings) == 6
    assert warnings[-1] == "1995 more unknown keys are not used."


def test_a_file_without_a_reference_has_the_default_voice_and_says_so(home: Path) -> None:
    file = read(home, 'gen_text = "Hi."')
    assert file.ref_audio is None
    assert "the voice main is the default voice" in file.warnings[0]
    assert read(home, 'gen_text = "Hi."', ["ref_audio", "ref_text"]).warnings == ()


# -- what is refused


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("model = 1", "model is 1"),
        ("gen_text = ['a']", "gen_text is ['a']"),
        ("ref_text = true", "ref_text is True"),
        ('remove_silence = "no"', "remove_silence is 'no'"),
        ("save_chunk = 1", "save_chunk is 1"),
        ('speed = "fast"', "speed is 'fast'"),
        ("speed = true", "speed is True"),
        ("speed = 9", "speed is 9"),
        ("speed = nan", "speed is nan"),
        ("speed = -inf", "speed is -inf"),
        (f"speed = 1{'0' * 400}", "speed is 1000"),
        ("nfe_step = 16.5", "nfe_step is 16.5"),
        ("nfe_step = 0", "nfe_step is 0"),
        ("nfe_step = 65", "nfe_step is 65"),
        ("cfg_strength = -1", "cfg_strength is -1"),
        ("sway_sampling_coef = 2", "sway_sampling_coef is 2"),
        ("cross_fade_duration = 6", "cross_fade_duration is 6"),
        ("fix_duration = 0", "fix_duration is 0"),
        (f"fix_duration = 1{'0' * 400}", "fix_duration is 1000"),
        ("fix_duration = nan", "fix_duration is nan"),
        ('device = "mps"', "device is 'mps'"),
        ('vocoder_name = "bigvgan"', "vocoder_name is 'bigvgan'"),
        ('ref_audio = "gone.wav"', "ref_audio is 'gone.wav', and there is no such file"),
        ('ref_audio = "."', "ref_audio is '.', and there is no such file"),
        (f'ref_audio = "{"x" * 5000}"', "ref_audio is 'xxx"),
        ('ref_audio = "a\\u0000b"', r"ref_audio is 'a\x00b'"),
        ('gen_file = "gone.txt"', "gen_file is 'gone.txt'"),
        ('ckpt_file = "gone.pt"', "ckpt_file is 'gone.pt'"),
        ('vocab_file = "gone.txt"', "vocab_file is 'gone.txt'"),
        ("voices = 3", "voices is 3"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_line(
    line: str, what: str, home: Path
) -> None:
    rest = '# a comment\n\noutput_dir = "made"\n'
    assert refused(home, f"{rest}{line}\n").message.startswith(f"a.toml, line 4: {what}")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[voices.ana]\nspeed = 1", ": voices.ana has no ref_audio"),
        ("[voices.ana]\nref_audio = 'gone.wav'", ", line 4: voices.ana.ref_audio is 'gone.wav'"),
        ("[voices.ana]\nref_audio = 'me.wav'\nspeed = 5", ", line 5: voices.ana.speed is 5"),
        ("[voices.'a.b']\nref_audio = 'me.wav'\nspeed = 5", ", line 5: voices.a.b.speed is 5"),
        ("voices.ana = {ref_audio = 'me.wav', speed = 5}", ": voices.ana.speed is 5"),
        ("[voices]\nana = 'me.wav'", ", line 4: voices.ana is 'me.wav', not a table"),
        ("[voices.'a b']\nref_audio = 'me.wav'", ": voices has a voice called 'a b'"),
        ("[voices.'']\nref_audio = 'me.wav'", ": voices has a voice called ''"),
        (
            "[voices.Ana]\nref_audio = 'me.wav'\n[voices.ana]\nref_audio = 'me.wav'",
            ": voices has the voices Ana and ana, which differ in case alone",
        ),
        ("".join(f"[voices.v{i}]\n" for i in range(101)), ": voices has 101 voices"),
    ],
)
def test_a_voice_that_cannot_be_used(text: str, what: str, home: Path) -> None:
    text = f'gen_text = "Hi."\nref_audio = "me.wav"\n{text}\n'
    assert refused(home, text).message.startswith(f"a.toml{what}")


def test_main_is_the_top_of_the_file(home: Path) -> None:
    text = "gen_text = 'Hi.'\n[voices.main]\nref_audio = 'me.wav'"
    assert "ref_audio at the top" in refused(home, text).message
    assert read(home, text, ["ref_audio", "ref_text"]).voices == ()


def test_names_of_voices_may_be_in_any_script(home: Path) -> None:
    text = "gen_text = 'Hi.'\nref_audio = 'me.wav'\n[voices.\"小明\"]\nref_audio = 'me.wav'"
    assert read(home, text).voices[0].name == "小明"


def test_the_line_is_that_of_the_key_and_not_of_a_text_like_it(home: Path) -> None:
    text = '''\
gen_text = """
speed = 7
[voices.ana]
speed = 8
"""
[voices.ben]
ref_audio = "me.wav"
speed = 1
[voices.ana]
ref_audio = "me.wav"
speed = 9
'''
    assert refused(home, text).message == "a.toml, line 11: voices.ana.speed is 9."
    assert refused(home, text.replace("\n", "\r\n")).message.startswith("a.toml, line 11:")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("speed = fast", "(at line 1, column 9)"),
        ('gen_text = "Hi."\nspeed 2', "(at line 2, column"),
        ("speed = 1\nspeed = 2\n", "(at line 2, column"),
        (r'ref_audio = "C:\users\me.wav"', "(at line 1, column"),
        ("a = " + "[" * 100_000, "brackets are nested too deeply"),
        ("a = " + "{a=" * 100_000, "brackets are nested too deeply"),
        ("speed = " + "9" * 10_000, "limit"),
    ],
)
def test_a_file_that_is_no_toml(text: str, why: str, home: Path) -> None:
    error = refused(home, text)
    assert error.message.startswith("a.toml is not TOML: ")
    assert why in error.message


def test_bytes_that_are_no_text(home: Path) -> None:
    path = write(home, "")
    path.write_bytes(b'gen_text = "Hi."\nref_text = "caf\xe9"')
    with pytest.raises(InvalidRequest, match=r"^a\.toml, line 2: byte 0xe9 is not UTF-8\.$"):
        read_script_file(path)
    path.write_bytes("\ufeffgen_text = 'Hi.'".encode())
    assert read_script_file(path).gen_text == "Hi."


def test_a_file_that_is_too_large_or_not_there(home: Path) -> None:
    assert f"{MAX_FILE_BYTES:,} bytes" in refused(home, "#" * (MAX_FILE_BYTES + 1)).message
    assert read(home, "gen_text = 'Hi.'\n#" + "#" * (MAX_FILE_BYTES - 20)).gen_text == "Hi."
    with pytest.raises(InvalidRequest) as caught:
        read_script_file(home / "gone.toml")
    assert caught.value.code == "FILE_UNREADABLE"


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * 60_000) + " = 1",
        "[" + " . ".join("a" * 40_000) + "]",
        "a = {" + ".".join(['"b"'] * 30_000) + " = 1}",
    ],
)
def test_keys_of_many_parts_are_refused_at_once(text: str, home: Path) -> None:
    began = time.thread_time()
    assert "more than 16 parts" in refused(home, text).message
    assert time.thread_time() - began < 2  # tomllib takes minutes


def test_points_in_texts_and_comments_are_no_keys(home: Path) -> None:
    dots = "a." * 40
    text = f"# {dots}\ngen_text = '''{dots}'''\nref_text = \"{dots} \\\" {dots}\"\n"
    assert read(home, text).gen_text == dots


@pytest.mark.parametrize("text", ["", "speed = 1", "gen_text = ' '\ngen_file = ''"])
def test_a_file_without_a_text(text: str, home: Path) -> None:
    assert refused(home, text).message == "a.toml has no text to speak."
    assert read(home, text, ["gen_text", "gen_file"]).gen_text == ""


# -- paths


def test_a_file_beside_the_script_goes_before_one_in_the_working_folder(home: Path) -> None:
    (home / "me.wav").write_bytes(b"another")
    (home / "here.wav").write_bytes(b"only here")
    text = "gen_text = 'Hi.'\nref_audio = 'me.wav'\n[voices.ana]\nref_audio = 'here.wav'"
    file = read(home, text)
    assert file.ref_audio == home / "project" / "me.wav"
    assert file.voices[0].ref_audio == Path("here.wav")
    assert file.warnings == (
        "ref_audio is the file 'me.wav' beside a.toml, not the one in the working folder.",
    )
    (home / "me.wav").unlink()
    (home / "me.wav").symlink_to(home / "project" / "me.wav")
    assert read(home, text).warnings == ()


def test_absolute_paths(home: Path) -> None:
    file = read(home, f"gen_text = 'Hi.'\nref_audio = '{REFERENCE}'")
    assert file.ref_audio == REFERENCE
    assert file.warnings == ()


def test_files_of_the_other_package_are_to_be_copied(home: Path) -> None:
    text = "gen_text = 'Hi.'\nref_audio = 'infer/examples/multi/main.flac'"
    assert refused(home, text).hint == "It is part of the f5-tts package: copy it beside a.toml."
    there = home / "project" / "infer" / "examples" / "multi"
    there.mkdir(parents=True)
    (there / "main.flac").write_bytes(b"")
    assert read(home, text).ref_audio == there / "main.flac"
