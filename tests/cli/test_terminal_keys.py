"""Keys of a terminal: read at once, and the terminal is as before however the program ends."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.service.test_book_kills import write_book

PROGRAM = """
import asyncio, os, sys
from f5serve.cli.terminal_keys import keys
async def main():
    done = asyncio.Event()
    actions = {"p": lambda: print("p pressed", flush=True), "q": done.set, "x": lambda: 1 / 0}
    with keys(actions) as is_there:
        print("there" if is_there else "none", flush=True)
        if is_there:
            await asyncio.wait_for(done.wait(), 60)
    print("left", flush=True)
asyncio.run(main())
"""

SHELL = """
import os, signal, subprocess, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
before = termios.tcgetattr(0)
def come_to_front():
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
child = subprocess.Popen(sys.argv[1:], preexec_fn=come_to_front)
_, status = os.waitpid(child.pid, os.WUNTRACED)
assert os.WIFSTOPPED(status), status
print("as before" if termios.tcgetattr(0) == before else "changed", flush=True)
child.send_signal(signal.SIGCONT)
assert child.wait() == 0
"""
BOOK = """
import asyncio, sys, time
from pathlib import Path
from f5serve.cli.book import speak_with_keys
from f5serve.cli.book_output import BookProgress
from f5serve.fallback.tone import Tone
from f5serve.service import SpeechService
from f5serve.settings import Settings
from f5serve.store.local import LocalStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary
from tests.service.book_speaker import chapters_of
folder = Path(sys.argv[1])
class Endless(Tone):
    def generate(self, utterances, on_done=None, check=None, *, deadline=None):
        while True:
            check()
            time.sleep(0.005)
async def main():
    store = LocalStore(folder / "store")
    voices = VoiceLibrary(store, folder / "cache")
    settings = Settings(data_dir=folder)
    service = SpeechService(store, voices, lambda: Synthesizer(Endless()), settings)
    requests = await service.work("book", chapters_of, service, folder / "book.md")
    progress = BookProgress()
    try:
        await speak_with_keys(service, service.book_store.get("book"), requests, progress)
    finally:
        progress.close()
        await service.close(5)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@contextmanager
def terminal(*argv: str) -> Iterator[tuple[int, int, subprocess.Popen[bytes]]]:
    """Both ends of a terminal, and a program that has it."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))  # a bar in no columns shows nothing
    process = subprocess.Popen(
        [sys.executable, "-c", *(argv or (PROGRAM,))],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=lambda: (os.setsid(), os.close(os.open(os.ttyname(0), os.O_RDWR))),  # type: ignore[func-returns-value]
    )
    try:
        yield ours, theirs, process
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def read_until(end: int, words: str) -> str:
    """What is shown until these words are, which must come."""
    text = ""
    while words not in text:
        text += os.read(end, 4096).decode()
    return text


def test_a_key_is_read_without_return_and_the_terminal_is_left_as_it_was() -> None:
    with terminal() as (ours, theirs, process):
        before = termios.tcgetattr(theirs)
        read_until(ours, "there")
        assert termios.tcgetattr(theirs) != before
        os.write(ours, b"zP")
        read_until(ours, "p pressed")
        os.write(ours, b"q")
        read_until(ours, "left")
        assert process.wait(30) == 0
        assert termios.tcgetattr(theirs) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(number: int) -> None:
    with terminal() as (ours, theirs, process):
        before = termios.tcgetattr(theirs)
        read_until(ours, "there")
        process.send_signal(number)
        assert process.wait(30) in (-number, 1)
        assert termios.tcgetattr(theirs) == before


def test_a_stopped_program_leaves_the_terminal_to_the_shell() -> None:
    with terminal(SHELL, sys.executable, "-c", PROGRAM) as (ours, _, process):
        read_until(ours, "there")
        os.write(ours, b"\x1a")
        read_until(ours, "as before")
        os.write(ours, b"p")
        read_until(ours, "p pressed")
        os.write(ours, b"q")
        read_until(ours, "left")
        assert process.wait(30) == 0


def test_keys_pause_a_book_and_end_it(tmp_path: Path) -> None:
    write_book(tmp_path / "book.md")
    with terminal(BOOK, str(tmp_path)) as (ours, theirs, process):
        before = termios.tcgetattr(theirs)
        read_until(ours, "p pauses at the next sentence")
        os.write(ours, b" ")
        read_until(ours, "paused, p goes on")
        os.write(ours, b"p")
        read_until(ours, "going on")
        os.write(ours, b"q")
        read_until(ours, "interrupted")
        assert process.wait(30) == 0
        assert termios.tcgetattr(theirs) == before


def test_without_a_terminal_there_are_no_keys() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["none", "left"]
