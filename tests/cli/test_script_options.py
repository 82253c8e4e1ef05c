"""`f5serve say -c`: what options and a script file do to one another, and what is spoken."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from f5serve.audio.encode import read_wav
from f5serve.cli.main import run
from f5serve.cli.options import make_parser
from f5serve.cli.script_file import KEYS
from f5serve.cli.script_options import REPLACED, apply_script_file, speech_s
from f5serve.errors import InvalidRequest
from f5serve.settings import Settings
from f5serve.voices.prepare import default_voice
from tests.cli.scripts import BASIC, STANDIN, STORY, home, read, write

__all__ = ["home"]


def options(home: Path, text: str, *argv: str, settings: Settings | None = None) -> Namespace:
    """What the options are after the file; with the warnings of the file."""
    args = make_parser().parse_args(["say", "-c", str(write(home, text)), *argv])
    with apply_script_file(args, settings or Settings(models_dir=home / "models")) as file:
        assert file is not None
        args.warnings = file.warnings
        args.file = file
    return args


FILLED = """\
gen_text = "Hi."
ref_audio = "me.wav"
ref_text = "Words of the file."
output_dir = "made"
output_file = "a.wav"
remove_silence = true
cross_fade_duration = 0.5
nfe_step = 20
cfg_strength = 3
sway_sampling_coef = -0.5
speed = 1.5
device = "cuda"
"""


@pytest.mark.parametrize(
    ("option", "of_file", "argv", "given"),
    [
        ("remove_silence", True, ["--no-remove-silence"], False),
        ("cross_fade_s", 0.5, ["--cross-fade-s", "0"], 0.0),
        ("cross_fade_s", 0.5, ["--cross-fade-s", "0.15"], 0.15),
        ("nfe_step", 20, ["--nfe-step", "7"], 7),
        ("nfe_step", 20, ["--quality", "fast"], None),
        ("cfg_strength", 3.0, ["--cfg-strength", "0"], 0.0),
        ("sway_sampling_coef", -0.5, ["--sway", "0"], 0.0),
        ("speed", 1.5, ["--speed", "1"], 1.0),
        ("device", "cuda", ["--device", "cpu"], "cpu"),
        ("output", "made/a.wav", ["-o", "b.wav"], "b.wav"),
        ("output", "made/a.wav", ["--format", "mp3"], "made/a.mp3"),
        ("ref_text", "Words of the file.", ["--ref-text", ""], ""),
        ("ref_text", "Words of the file.", ["--ref-text-file", "x.txt"], None),
        ("ref_text", "Words of the file.", ["-v", "ana"], None),
        ("voice", "me.wav", ["-v", "default"], "default"),
    ],
)
def test_an_option_goes_before_the_file(
    option: str, of_file: object, argv: list[str], given: object, home: Path
) -> None:
    found = getattr(options(home, FILLED), option)
    assert (Path(found).name if option == "voice" else found) == of_file
    assert getattr(options(home, FILLED, *argv), option) == given


def test_every_option_that_goes_before_a_key_is_an_option_and_the_key_a_key() -> None:
    args = make_parser().parse_args(["say", "Hi."])
    assert all(hasattr(args, option) for option in REPLACED)
    assert {key for keys in REPLACED.values() for key in keys} <= set(KEYS)


def test_what_an_option_replaces_is_not_judged(home: Path) -> None:
    text = "gen_text = 'Hi.'\nref_audio = 'gone.wav'\nspeed = 9\ndevice = 'mps'\nnfe_step = 'x'"
    argv = ["-v", "ana", "--speed", "1", "--device", "cpu", "--quality", "fast"]
    assert options(home, text, *argv).voice == "ana"


def test_a_text_of_the_command_goes_before_that_of_the_file(home: Path) -> None:
    args = options(home, "ref_audio = 'me.wav'\ngen_file = 'gone.txt'", "Good morning.")
    assert args.text == "Good morning."


def test_without_a_name_the_output_is_as_ever(home: Path) -> None:
    text = "gen_text = 'Hi.'\nref_audio = 'me.wav'\n"
    assert options(home, text).output is None
    assert options(home, f"{text}output_dir = 'd'").output == "d/speech.wav"
    assert options(home, f"{text}output_dir = 'd'", "--format", "opus").output == "d/speech.opus"
    assert options(home, f"{text}output_file = 'a.flac'").output == "a.flac"


# -- model


def install(folder: Path) -> Path:
    """A checkpoint and a vocabulary, which are only named here."""
    for name in ("mine.safetensors", "words.txt"):
        (folder / "project" / name).write_bytes(b"x")
    return folder / "project"


@pytest.mark.parametrize(
    ("text", "argv", "found"),
    [
        ("model = 'F5TTS_Base'", (), ("F5TTS_Base", "", "", "")),
        ("", (), (None, None, None, None)),
        ("model = 'F5TTS_Base'", ("--model", "E2TTS_Base"), ("E2TTS_Base", None, None, None)),
        ("ckpt_file = 'gone.pt'", ("--model", "E2TTS_Base"), ("E2TTS_Base", None, None, None)),
        ("ckpt_file = 'gone.pt'", ("--weights", "random:F5TTS_v1_Small"), (None,) * 4),
        ("ckpt_file = 'gone.pt'", STANDIN, (None,) * 4),
        (
            "ckpt_file = 'mine.safetensors'\nvocab_file = 'words.txt'",
            (),
            (None, "mine.safetensors", "words.txt", "F5TTS_v1_Base"),
        ),
        (
            "model = 'E2TTS_Small'\nckpt_file = 'mine.safetensors'",
            ("--vocab", "v.txt"),
            (None, "mine.safetensors", "v.txt", "E2TTS_Base"),
        ),
        (
            "model = 'german'\nckpt_file = 'mine.safetensors'",
            (),
            (None, "mine.safetensors", None, "F5TTS_Base"),
        ),
        (
            "model = 'x'\nmodel_cfg = 'configs/F5TTS_Small.yaml'\nckpt_file = 'mine.safetensors'",
            (),
            (None, "mine.safetensors", None, "F5TTS_Small"),
        ),
        (
            "model_cfg = 'mine.yaml'\nckpt_file = 'mine.safetensors'",
            ("--arch", "F5TTS_Base"),
            (None, "mine.safetensors", None, "F5TTS_Base"),
        ),
        (
            "model = 'F5TTS_Base'\nckpt_file = 'gone.pt'",
            ("--ckpt", "other.pt"),
            (None, "other.pt", None, "F5TTS_Base"),
        ),
        ("model = 'F5TTS_Base'\nckpt_file = 'gone.pt'", ("--ckpt", ""), ("F5TTS_Base", "", "", "")),
        (
            "ckpt_file = 'hf://hvoss-techfak/F5-TTS-German/model_f5tts_german.pt'",
            (),
            ("german", "", "", ""),
        ),
        ("model = 'x'\nckpt_file = 'gone.pt'", STANDIN, (None,) * 4),
    ],
)
def test_model_and_checkpoint(
    text: str, argv: tuple[str, ...], found: tuple[str | None, ...], home: Path
) -> None:
    folder = install(home)
    args = options(home, f"gen_text = 'Hi.'\nref_audio = 'me.wav'\n{text}", *argv)
    names = (args.model, args.ckpt, args.vocab, args.arch)
    inside = tuple(str(Path(n).relative_to(folder)) if n and n[0] == "/" else n for n in names)
    assert inside == found
    assert args.warnings == ()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("ckpt_file = 'hf://a/b/c.pt'", "ckpt_file is 'hf://a/b/c.pt', which is no model of"),
        ("ckpt_file = 'mine.safetensors'\nmodel = 'x'", "model is 'x', not the name of an arch"),
        ("ckpt_file = 'mine.safetensors'\nmodel_cfg = 'x.yaml'", "model_cfg is 'x.yaml', not"),
        ("ckpt_file = 'mine.safetensors'\nvocab_file = 'hf://a/b'", "vocab_file is 'hf://a/b'"),
    ],
)
def test_a_model_that_cannot_be_had(text: str, what: str, home: Path) -> None:
    install(home)
    with pytest.raises(InvalidRequest) as caught:
        options(home, f"gen_text = 'Hi.'\nref_audio = 'me.wav'\n{text}")
    assert caught.value.code == "BAD_SCRIPT_FILE"
    assert f": {what}" in caught.value.message
    assert caught.value.message.startswith("a.toml, line ")


def test_a_vocabulary_without_a_checkpoint_is_not_used(home: Path) -> None:
    install(home)
    text = "model = 'F5TTS_Base'\nvocab_file = 'words.txt'\nmodel_cfg = 'F5TTS_Base.yaml'"
    args = options(home, f"gen_text = 'Hi.'\nref_audio = 'me.wav'\n{text}")
    assert args.vocab == ""
    assert args.warnings == ("vocab_file is not used: F5TTS_Base has its own.",)


def test_a_fixed_duration_is_that_of_reference_and_speech(home: Path) -> None:
    voice = default_voice()
    reference_s = voice.wave.duration_s
    text = "gen_text = 'Hi.'\nref_audio = 'me.wav'\n"
    file = read(home, f"{text}fix_duration = {reference_s + 2.5}")
    assert speech_s(file, voice) == pytest.approx(2.5)
    assert speech_s(read(home, text), voice) is None
    with pytest.raises(InvalidRequest, match=r"line 3: fix_duration is 1 s, no more than"):
        speech_s(read(home, f"{text}fix_duration = 1"), voice)


# -- the command


Say = Callable[..., dict[str, Any]]


@pytest.fixture
def say(home: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run `say -c` with the stand-in speaker; its answer as JSON."""

    def answer(text: str, *argv: str, exit_code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        command = ["say", "-c", str(write(home, text)), "--json", *STANDIN, *argv]
        assert run(command) == exit_code
        found = json.loads(capsys.readouterr().out)
        assert isinstance(found, dict)
        return found

    return answer


def test_a_file_is_spoken(say: Say, home: Path) -> None:
    said = say(BASIC + "hue = 1\n")
    assert said["path"] == "made/walk.wav"
    assert said["text"] == "The tide is out. We can walk to the island."
    assert said["voice"] == "me"
    assert said["warnings"][0].startswith("hue is an unknown key")
    assert 1 < read_wav((home / "made" / "walk.wav").read_bytes()).duration_s < 8
    assert [path.name for path in (home / "made").iterdir()] == ["walk.wav"]


def test_a_file_of_texts_goes_before_the_text(say: Say, home: Path) -> None:
    (home / "project" / "t.txt").write_text("\ufeffGood [sic] evening. [main] Come in.")
    said = say(BASIC.replace('gen_file = ""', 'gen_file = "t.txt"') + "speed = 2\n")
    assert said["text"] == "Good evening. Come in."
    assert said["warnings"][0].startswith("[sic] is no voice and is not spoken.")


def test_chunks_are_written_beside_the_speech(say: Say, home: Path) -> None:
    text = BASIC.replace("The tide is out.", "¿Qué? A/B: out.") + "save_chunk = true\n"
    said = say(text, "-o", "x.mp3")
    (chunk,) = (home / "x_chunks").iterdir()
    assert chunk.name == "0_Qué_A_B_out_We_can_walk_to_the_island.wav"
    assert read_wav(chunk.read_bytes()).duration_s == pytest.approx(said["duration"], abs=0.01)
    assert not (home / "made").exists()


def test_voices_of_a_file_speak_their_parts(say: Say, home: Path) -> None:
    words = default_voice().ref_text
    (home / "project" / "fox.txt").write_text(words)
    (home / "project" / "crow.txt").write_text(words)
    tale = (
        "A fox sat under a tree. [fox] Sing for me! [crow] Kra, [hen] kra! [pause:1s] [main] Bye."
    )
    (home / "project" / "tale.txt").write_text(tale)
    text = STORY.replace("I am the fox.", "").replace("remove_silence = true", "save_chunk = true")
    said = say(text)
    parts = [(part["voice"], part["speed"], part["text"]) for part in said["parts"]]
    assert parts == [
        ("me", 1.0, "A fox sat under a tree."),
        ("fox", 0.8, "Sing for me!"),
        ("crow", 1.0, "Kra, kra!"),
        ("me", 1.0, "Bye."),
    ]
    assert said["warnings"][0].startswith("[hen] is no voice and is not spoken.")
    assert len(list((home / "made" / "tale_chunks").iterdir())) == 4
    _, _, crow, bye = said["parts"]
    assert bye["start_time"] - crow["end_time"] == pytest.approx(1.0, abs=0.01)


def test_a_fixed_duration_is_the_sum_of_all_parts(say: Say) -> None:
    seconds = default_voice().wave.duration_s + 2.0
    said = say(f"fix_duration = {seconds}\n" + BASIC)
    assert said["duration"] == pytest.approx(2.0, rel=0.05)


def test_speed_of_the_command_goes_before_that_of_the_file(say: Say) -> None:
    slow = say(BASIC + "speed = 0.5\n", "--speed", "2")["duration"]
    fast = say(BASIC + "speed = 2\n")["duration"]
    assert slow == pytest.approx(fast)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("nfe_step", "nfe_step = 100", "BAD_SCRIPT_FILE"),
        ("gen_file", 'gen_file = "latin.txt"', "NOT_TEXT"),
        ("gen_file", 'gen_file = "long.txt"', "TEXT_TOO_LONG"),
        ("gen_text", 'gen_text = "?!"', "EMPTY_TEXT"),
        ("output_file", 'output_file = "a.doc"', "UNKNOWN_FORMAT"),
        ("output_file", 'output_file = "a\\u0000.wav"', "OUTPUT_UNWRITABLE"),
        ("output_dir", 'output_dir = "project/me.wav/x"', "OUTPUT_UNWRITABLE"),
        ("output_dir", 'output_dir = "new/er"\nvoices = 1', "BAD_SCRIPT_FILE"),
        ("ref_audio", 'ref_audio = "long.txt"', "NOT_AUDIO"),
        ("ref_text", "ref_text = ''", "REF_TEXT_REQUIRED"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    old: str, new: str, code: str, say: Say, home: Path
) -> None:
    (home / "project" / "long.txt").write_text("word " * 5_000)
    (home / "project" / "latin.txt").write_bytes(b"caf\xe9")
    (home / "project" / "me.txt").unlink()
    kept = [line for line in BASIC.splitlines() if not line.startswith(f"{old} =")]
    answer = say(
        "\n".join([*kept, new]).replace('"made"', '"made/deep"'),
        exit_code=3 + 2 * (code == "OUTPUT_UNWRITABLE"),
    )
    assert answer["code"] == code
    assert answer["hint"]
    assert [path.name for path in home.iterdir()] == ["project"]


def test_a_server_is_not_sent_a_file_of_this_machine(say: Say) -> None:
    answer = say(BASIC, "--server", "http://127.0.0.1:9", exit_code=3)
    assert answer["code"] == "BAD_OPTION"


def test_neither_text_nor_file_is_a_wrong_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["say", "-o", "x.wav"]) == 2
    assert "required: TEXT, or -c FILE" in capsys.readouterr().err
