"""Single keys of a terminal, read beside what goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType


@contextmanager
def keys(actions: Mapping[str, Callable[[], None]]) -> Iterator[bool]:
    """Call an action for each key that is pressed; yields whether there is a terminal for it.

    Inside of a running event loop. The terminal is left as it was, however this ends.
    """
    terminal = _terminal()
    if terminal is None:
        yield False
        return
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()

    def restore() -> None:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)

    def read() -> None:
        for key in os.read(terminal, 64).decode("ascii", "ignore"):
            actions.get(key.lower(), _nothing)()

    def end(number: int, frame: FrameType | None) -> None:
        restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def go_on(number: int, frame: FrameType | None) -> None:
        tty.setcbreak(terminal)  # the shell has set it back when this was stopped by Ctrl-Z

    handlers = {signal.SIGTERM: end, signal.SIGHUP: end, signal.SIGCONT: go_on}
    replaced = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    tty.setcbreak(terminal)
    loop.add_reader(terminal, read)
    try:
        yield True
    finally:
        loop.remove_reader(terminal)
        restore()
        for number, handler in replaced.items():
            signal.signal(number, handler)


def _terminal() -> int | None:
    """Standard input, where it and standard error are a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    descriptor = sys.stdin.fileno()
    # A job in the background would be stopped for reading.
    return descriptor if os.tcgetpgrp(descriptor) == os.getpgrp() else None


def _nothing() -> None:
    pass
