"""Starts the service with the lowest versions that pyproject.toml allows: `make lower-bounds`.

    python -m tests.tools.try_lower_bounds

An environment of its own gets them from wherever packages come from here, with the extras of a
server without torch. The server then lists models, takes a voice, speaks in every format over a
bucket of rclone, and ends at SIGTERM; the command line speaks as well. The first thing that is not
as it should be ends this with its reason and exit code 1.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path

from tests.books import made_books
from tests.store.servers import free_port, rclone

from f5serve.audio.decode import decode

ROOT = Path(__file__).parents[2]
EXTRAS = "serve,local,s3,media,books"
FORMATS = ("wav", "mp3", "flac", "opus", "aac", "pcm")
RECORDING = ROOT / "tests" / "data" / "librivox-0870.wav"
SENTENCE = "It rained all night, and the lamp went out."
BOOKS = {
    "lamp.md": f"# One\n\n{SENTENCE}\n".encode(),
    "lamp.html": f"<html><body><h1>One</h1><p>{SENTENCE}</p></body></html>".encode(),
    "lamp.epub": made_books.epub({"one.xhtml": made_books.page(f"<p>{SENTENCE}</p>")}),
    "lamp.pdf": made_books.pdf([[SENTENCE]]),
    "lamp.docx": made_books.docx([SENTENCE]),
}
"""One for each library that reads books."""

START_S = 60.0


def main() -> None:
    """Install, start, speak, stop."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="f5-lowest-") as folder:
        work = Path(folder)
        program = install(work / "environment")
        say(program, work)
        with rclone(work / "bucket") as bucket:
            environ = {
                "F5_STORE": f"s3://{bucket.bucket}",
                "AWS_ENDPOINT_URL": bucket.endpoint_url,
                "AWS_ACCESS_KEY_ID": bucket.access_key,
                "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
            }
            serve(program, work, environ)
    print(f"the lowest versions are enough: {time.monotonic() - began:.0f} s")


def install(environment: Path) -> Path:
    """f5serve's program in a new environment."""
    uv = [sys.executable, "-m", "uv"]
    run([*uv, "venv", "-q", "--python", sys.executable, str(environment)])
    python = ["--python", str(environment / "bin" / "python")]
    lowest = ["--resolution", "lowest-direct", "--only-binary=:all:", "--no-binary=f5serve"]
    run([*uv, "pip", "install", "-q", *python, *lowest, "-e", f"{ROOT}[{EXTRAS}]"])
    run([*uv, "pip", "list", *python])
    return environment / "bin" / "f5serve"


def run(command: list[str], **named: str) -> None:
    """A command that must succeed."""
    subprocess.run(command, check=True, timeout=600, env=os.environ | named)


def say(program: Path, work: Path) -> None:
    """One sentence on the command line."""
    out = work / "said.wav"
    run(
        [str(program), "say", "The lowest versions speak.", "-o", str(out)],
        F5_ENGINE="standin",
        F5_DATA_DIR=str(work / "said"),
    )
    assert 0.5 < decode(out.read_bytes()).duration_s < 10


def serve(program: Path, work: Path, environ: dict[str, str]) -> None:
    """A server that is asked for everything that its libraries do."""
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", work / "log"
    ours = {"F5_ENGINE": "standin", "F5_DATA_DIR": str(work / "served"), **environ}
    with log.open("wb") as file:
        server = subprocess.Popen(
            [str(program), "serve", "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | ours,
            stdout=file,
            stderr=file,
        )
    try:
        until_ready(server, url)
        ask(url)
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0, "SIGTERM did not end it well"
    except BaseException:
        print(log.read_text(errors="replace")[-5000:], file=sys.stderr)
        raise
    finally:
        server.kill()
        server.wait()


def until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    """Wait for the first answer."""
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        try:
            get(f"{url}/health")
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


def ask(url: str) -> None:
    """Models, the description, a voice by upload, speech in every format, books, an error."""
    assert json.loads(get(f"{url}/v1/models"))["data"], "no models are listed"
    assert len(json.loads(get(f"{url}/openapi.json"))["paths"]) > 10
    upload(f"{url}/v1/audio/voices")
    voices = json.loads(get(f"{url}/v1/audio/voices"))
    assert "ana" in json.dumps(voices)
    for name in FORMATS:
        body = {"model": "tts-1", "voice": "default", "input": "Hello.", "response_format": name}
        sound = post(f"{url}/v1/audio/speech", json.dumps(body).encode(), "application/json")
        heard_s = len(sound) / 48_000 if name == "pcm" else decode(sound).duration_s
        assert 0.2 < heard_s < 5, f"{name}: {heard_s} s"
    for name, data in BOOKS.items():
        plan = json.loads(post_file(f"{url}/v1/books/plan", {}, name, data))
        assert plan["characters"] > 20, f"{name}: {plan}"
    assert refused(f"{url}/v1/audio/speech") == 400, "an empty request was not refused"


def refused(url: str) -> int:
    """The status of the answer to an empty request."""
    try:
        post(url, b"{}", "application/json")
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


def get(url: str) -> bytes:
    """The body of an answer."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


def post(url: str, body: bytes, kind: str) -> bytes:
    """The body of an answer to this one."""
    request = urllib.request.Request(url, body, {"content-type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


def upload(url: str) -> None:
    """A voice as a form with a file, which each version of the libraries reads in its own way."""
    fields = {
        "name": "ana",
        "consent": "the reader",
        "ref_text": "Mister Quilter is the apostle of the middle classes.",
    }
    post_file(url, fields, "ana.wav", RECORDING.read_bytes())


def post_file(url: str, fields: Mapping[str, str], filename: str, data: bytes) -> bytes:
    """The body of an answer to a form with a file."""
    edge = uuid.uuid4().hex
    parts = [
        f'--{edge}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{edge}\r\ncontent-disposition: form-data; name="file"; filename="{filename}"\r\n'
    parts.append(head.encode() + b"content-type: application/octet-stream\r\n\r\n" + data)
    body = b"".join(parts) + f"\r\n--{edge}--\r\n".encode()
    return post(url, body, f"multipart/form-data; boundary={edge}")


if __name__ == "__main__":
    main()
