"""Single keys of a terminal, read beside what goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType


@contextmanager
def keys(actions: Mapping[str, Callable[[], None]]) -> Iterator[bool]:
    """Call an action for each key that is pressed; yields whether there is a terminal for it.

    Inside of a running event loop of the main thread. The terminal is left as it was, however this
    ends, and while the program is stopped by Ctrl-Z.
    """
    terminal = _terminal()
    if terminal is None:
        yield False
        return
    reader = _KeyReader(terminal, actions)
    try:
        reader.begin()
        yield True
    finally:
        reader.end()


class _KeyReader:
    """Reads keys; signals that end or stop the program first give the terminal back."""

    def __init__(self, terminal: int, actions: Mapping[str, Callable[[], None]]) -> None:
        self._terminal, self._actions = terminal, actions
        self._before = termios.tcgetattr(terminal)
        self._loop = asyncio.get_running_loop()
        own = {
            signal.SIGTERM: self._die,
            signal.SIGHUP: self._die,
            signal.SIGTSTP: self._stop,
            signal.SIGCONT: self._go_on,
        }
        # What is ignored, as SIGHUP under nohup, stays so.
        self._own = {n: one for n, one in own.items() if signal.getsignal(n) != signal.SIG_IGN}
        self._replaced = {number: signal.getsignal(number) for number in self._own}

    def begin(self) -> None:
        for number, handler in self._own.items():
            signal.signal(number, handler)
        self._take()

    def end(self) -> None:
        self._give_back()
        for number, handler in self._replaced.items():
            signal.signal(number, handler)

    def _take(self) -> None:
        """Have keys without Return; nothing in the background, where it would stop the program."""
        if _is_in_front(self._terminal):
            with suppress(termios.error):
                tty.setcbreak(self._terminal, termios.TCSANOW)  # keys typed meanwhile count
                self._loop.add_reader(self._terminal, self._read)

    def _give_back(self) -> None:
        self._loop.remove_reader(self._terminal)
        if _is_in_front(self._terminal):  # else it is the shell's, which has set it
            with suppress(termios.error):  # it is gone
                termios.tcsetattr(self._terminal, termios.TCSANOW, self._before)

    def _read(self) -> None:
        try:
            pressed = os.read(self._terminal, 64)
        except OSError:
            pressed = b""
        if not pressed:  # the terminal is gone
            self._loop.remove_reader(self._terminal)
        for key in pressed.decode("ascii", "ignore").lower():
            if action := self._actions.get(key):
                action()

    def _die(self, number: int, frame: FrameType | None) -> None:
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # returns when the program is continued
        signal.signal(number, self._stop)
        self._take()

    def _go_on(self, number: int, frame: FrameType | None) -> None:
        self._take()  # it may have been stopped without being asked


def _terminal() -> int | None:
    """Standard input, where it and standard error are a terminal; None in the background."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    descriptor = sys.stdin.fileno()
    return descriptor if _is_in_front(descriptor) else None


def _is_in_front(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # it is not the one that controls this program, or it is gone
        return False
