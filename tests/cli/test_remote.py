"""`f5serve say --server`: a server speaks, files are whole or not there, errors told as ours."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from f5serve.audio.decode import decode
from f5serve.audio.encode import read_wav
from f5serve.cli.main import run
from tests.http.house import House, house
from tests.http.program import server as program
from tests.service.house import CountingTone

TEXT = "Hello there. This is a second sentence, which is longer. And a third one."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; whatever a command leaves in it is found."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("F5_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "here"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(capsys: pytest.CaptureFixture[str], argv: list[str], code: str, exit_code: int) -> str:
    """The sentence of a command that must fail, and leave nothing behind."""
    before = names(Path())
    capsys.readouterr()
    assert run([*argv, "--json"]) == exit_code
    told = json.loads(capsys.readouterr().out)
    assert told["code"] == code
    assert told["error"].endswith(".")
    assert told["hint"]
    assert names(Path()) == before
    return str(told["error"])


def test_how_a_text_is_read_is_sent(
    home: House, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "rules.json").write_text('[{"text": "Nguyen", "alias": "Win"}]')
    asked = ["say", "Nguyen hat 4 am 3.4.2024.", "--server", home.url, "-o", "a.wav", "--json"]
    home.tone.spoken.clear()
    reading = ["--language", "de", "--normalize", "date, money", "--lexicon", "rules.json"]
    assert run([*asked, *reading]) == 0
    assert home.tone.spoken == ["Win hat vier am 3.4.2024."]
    assert run([*asked, "--normalize", "off"]) == 0
    assert home.tone.spoken[1:] == ["Nguyen hat 4 am 3.4.2024."]
    (folder / "a.wav").unlink()
    assert "dates" in refused(capsys, [*asked[:-1], "--normalize", "dates"], "BAD_OPTION", 3)
    assert "english" in refused(capsys, [*asked[:-1], "--language", "english"], "BAD_OPTION", 3)


def test_a_server_speaks_into_a_file(
    home: House, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["say", TEXT, "--server", home.url, "-o", "a.wav"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("a.wav: ")
    assert f"tone at {home.url}" in said.err
    with wave.open("a.wav") as file:  # its header tells the true length
        assert file.getnframes() * 2 + 44 == Path("a.wav").stat().st_size
    assert names(folder) == ["a.wav"]
    assert not (folder.parent / "data").exists()


@pytest.mark.parametrize("format", ["mp3", "opus", "flac", "aac", "pcm"])
def test_the_ending_decides_the_format(home: House, format: str, folder: Path) -> None:
    assert run(["say", TEXT, "--server", home.url, "-o", f"a.{format}"]) == 0
    starts = {"mp3": b"\xff", "opus": b"OggS", "flac": b"fLaC", "aac": b"\xff\xf1", "pcm": b""}
    assert Path(f"a.{format}").read_bytes().startswith(starts[format])


@pytest.mark.parametrize("format", ["wav", "mp3", "flac"])
def test_a_file_tells_how_long_it_is(
    home: House, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the one that is written without a server, but for the silence that LAME puts around."""
    argv = ["say", f"{TEXT} For {format}.", "--server", home.url, "-o", f"a.{format}", "--json"]
    assert run(argv) == 0
    told = json.loads(capsys.readouterr().out)
    found, rate = soundfile.read(f"a.{format}")
    assert 0 <= len(found) / rate - told["duration"] < (0.08 if format == "mp3" else 1e-3)
    assert soundfile.info(f"a.{format}").frames == len(found)
    if format == "mp3":  # the number of its frames, for those who seek
        assert Path("a.mp3").read_bytes()[13:17] == b"Info"
    wave = decode(Path(f"a.{format}").read_bytes())
    assert 0 <= wave.duration_s - told["duration"] < 0.1


def test_machines_are_told_of_the_job(home: House, capsys: pytest.CaptureFixture[str]) -> None:
    sampling = ["--seed", "7", "--speed", "2", "--quality", "fast", "--remove-silence"]
    argv = ["say", TEXT, "--server", home.url, "-o", "a.wav", "--json", *sampling]
    assert run([*argv, "--timings", "srt", "--timings", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    kept = home.client.get(f"/v1/jobs/{told['job_id']}/result").json()
    for name in ("duration", "seed", "text", "voice", "model", "warnings", "word_timings"):
        assert told[name] == kept[name]
    assert (told["seed"], told["status"], told["format"]) == (7, "COMPLETED", "wav")
    assert told["timing_files"] == {"srt": "a.srt", "json": "a.json"}
    assert "Hello there." in Path("a.srt").read_text()
    assert 0 < told["metrics"]["first_audio_s"] <= told["metrics"]["total_s"]
    assert read_wav(Path("a.wav").read_bytes()).duration_s == pytest.approx(told["duration"], 0.01)


def test_the_sound_is_as_from_a_job_with_that_seed(home: House) -> None:
    assert run(["say", TEXT, "--server", home.url, "-o", "a.pcm", "--seed", "5"]) == 0
    body = {"text": TEXT, "seed": 5, "response_format": "pcm", "return_word_timings": False}
    path = home.client.post("/v1/jobs", json=body).headers["Location"]
    while home.client.get(path).json()["status"] != "COMPLETED":
        time.sleep(0.02)
    assert home.client.get(f"{path}/audio").content == Path("a.pcm").read_bytes()


def test_standard_streams(home: House) -> None:
    command = [sys.executable, "-m", "f5serve", "say", "-", "--server", home.url, "-o", "-"]
    done = subprocess.run(command, input=TEXT.encode(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"RIFF")
    assert done.stderr.startswith(b"-: ")


def test_the_first_sound_is_written_before_the_last_is_made(tmp_path: Path) -> None:
    tone = CountingTone(cost_s=0.3)
    with house(tmp_path, tone=tone) as home:
        command = [sys.executable, "-m", "f5serve", "say", TEXT, "--server", home.url, "-o", "-"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.read(4) == b"RIFF"
            (job,) = home.client.get("/v1/jobs").json()["jobs"]
            assert job["status"] == "PROCESSING"
            process.communicate(timeout=30)
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("argv", "code", "exit_code"),
    [
        (["Hi.", "-v", "nobody"], "VOICE_NOT_FOUND", 3),
        (["  "], "EMPTY_TEXT", 3),
        (["Hi.", "--speed", "9"], "BAD_OPTION", 3),
        (["a" * 5000 + "."], "TEXT_TOO_LONG", 3),
        (["Hi.", "--model", "other"], "UNKNOWN_MODEL", 3),
        (["Hi.", "--engine", "f5"], "BAD_OPTION", 3),
        (["Hi.", "--ref-text", "Words."], "BAD_OPTION", 3),
        (["Hi.", "--threads", "3"], "BAD_OPTION", 3),
        (["Hi.", "-o", "a.doc"], "UNKNOWN_FORMAT", 3),
        (["Hi.", "-o", "no/such/a.wav"], "OUTPUT_UNWRITABLE", 5),
        (["Hi.", "--key", "a\nb"], "BAD_OPTION", 3),
    ],
)
def test_what_cannot_be_done(
    home: House, capsys: pytest.CaptureFixture[str], argv: list[str], code: str, exit_code: int
) -> None:
    refused(capsys, ["say", "--server", home.url, *argv], code, exit_code)


def test_a_recording_is_not_sent_along(
    home: House, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "me.wav").write_bytes(b"RIFF")
    said = refused(
        capsys, ["say", "Hi.", "-v", "me.wav", "--server", home.url], "RECORDING_NOT_SENT", 3
    )
    assert "'me.wav'" in said


@pytest.mark.parametrize(
    ("url", "code", "exit_code"),
    [
        ("ftp://x", "BAD_OPTION", 3),
        ("localhost:8000", "BAD_OPTION", 3),
        ("http://", "BAD_OPTION", 3),
        ("http://a:b@127.0.0.1", "BAD_OPTION", 3),
        ("http://127.0.0.1:99999", "BAD_OPTION", 3),
        ("http://127.0.0.1:8000/?x=1", "BAD_OPTION", 3),
        ("http://127.0.0.1:1", "SERVER_UNREACHABLE", 5),
        ("http://no-such-host.invalid", "SERVER_UNREACHABLE", 5),
    ],
)
def test_servers_that_are_none(
    capsys: pytest.CaptureFixture[str], url: str, code: str, exit_code: int
) -> None:
    assert "b@" not in refused(capsys, ["say", "Hi.", "--server", url], code, exit_code)


def whole_request(connection: socket.socket) -> bytes:
    """All of it: what is left unread when a server hangs up can take its answer away."""
    said = b""
    while part := connection.recv(1 << 16):
        said += part
        head, _, body = said.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if len(body) >= int(length[1] if length else 0) and b"\r\n\r\n" in said:
            break
    return said


@contextlib.contextmanager
def saying(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives these answers, one for each connection, whatever is asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                connection, _ = listening.accept()
                with connection:
                    asked.append(whole_request(connection))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        thread.join(10)


def answer(status: str, body: bytes, *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""])
    return head.encode() + body


def error(code: str) -> bytes:
    told = {"message": "So it is.", "type": "x", "param": None, "code": code}
    return json.dumps({"error": told}).encode()


@pytest.mark.parametrize(
    ("said", "code", "exit_code"),
    [
        (answer("401 Unauthorized", error("missing_api_key")), "MISSING_API_KEY", 3),
        (answer("429 Too Many", error("rate_limited")), "RATE_LIMITED", 3),
        (answer("503 Unavailable", error("model_loading")), "MODEL_LOADING", 4),
        (answer("501 Not", error("not_built")), "NOT_BUILT", 4),
        (answer("500 Fault", error("internal")), "INTERNAL", 5),
        (answer("504 Late", error("deadline_passed")), "DEADLINE_PASSED", 5),
        (answer("502 Bad Gateway", b"<html>"), "SERVER_REFUSED", 5),
        (answer("404 Not Found", b'{"detail": "no"}'), "SERVER_REFUSED", 3),
        (answer("400 Bad", b'{"error": {"message": 7, "code": 7}}'), "SERVER_REFUSED", 3),
        (answer("302 Found", b"", "Location: http://elsewhere.invalid/"), "SERVER_REFUSED", 3),
        (answer("200 OK", b"RIFF", "Content-Length: 10"), "CONNECTION_LOST", 5),
        (answer("200 OK", b"4\r\nRIFF\r\n", "Transfer-Encoding: chunked"), "CONNECTION_LOST", 5),
        (answer("200 OK", b"8\r\nRIFF", "Transfer-Encoding: chunked"), "CONNECTION_LOST", 5),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SERVER_UNREACHABLE", 5),
        (b"", "SERVER_UNREACHABLE", 5),
    ],
)
def test_answers_of_all_kinds(
    capsys: pytest.CaptureFixture[str], said: bytes, code: str, exit_code: int
) -> None:
    with saying(said) as (url, _):
        refused(capsys, ["say", "Hi.", "--server", url], code, exit_code)


def test_a_server_of_another_kind_and_a_path_before_its_own(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("F5_SERVER_KEY", "of-settings")
    good = answer("200 OK", b"sound", "Content-Length: 5")
    with saying(good, good, good) as (url, asked):
        assert run(["say", "Hi.", "--server", f"{url}/tts/", "-o", "a.mp3"]) == 0
        assert run(["say", "Hi.", "--server", url, "--key", "mine", "-o", "b.mp3"]) == 0
        assert Path("a.mp3").read_bytes() == b"sound"
        capsys.readouterr()
        argv = ["say", "Hi.", "--server", url, "-o", "c.mp3", "--timings", "srt", "--json"]
        assert run(argv) == 1
        assert json.loads(capsys.readouterr().out)["code"] == "NO_TIMINGS"
    assert asked[0].startswith(b"POST /tts/v1/audio/speech HTTP/1.1\r\n")
    assert b"Authorization: Bearer of-settings\r\n" in asked[0]
    assert b"Authorization: Bearer mine\r\n" in asked[1]


@pytest.mark.slow
def test_a_real_server_with_a_key(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "k" * 40
    with program(tmp_path, F5_API_KEYS=key, F5_ENGINE="standin") as serving:
        url = serving.url()
        assert (
            "key" in refused(capsys, ["say", "Hi.", "--server", url], "MISSING_API_KEY", 3).lower()
        )
        assert run(["say", "Hi there.", "--server", url, "--key", key, "-o", "a.wav"]) == 0
    assert read_wav(Path("a.wav").read_bytes()).duration_s > 0.3
