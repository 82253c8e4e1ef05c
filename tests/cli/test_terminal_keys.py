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

import pytest

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


@contextmanager
def terminal() -> Iterator[tuple[int, int, subprocess.Popen[bytes]]]:
    """Both ends of a terminal, and a program that has it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
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
