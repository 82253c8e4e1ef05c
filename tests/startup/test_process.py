"""A process that serves ends when it is asked to, from its first line on."""

from __future__ import annotations

import subprocess
import sys

LATER = """
import os, signal, weakref
from f5serve.startup.process import init_process

class Thing: pass

init_process("server")
thing = Thing()
gone = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
del thing  # Python ignores exceptions in the callback, SystemExit as well
print("it goes on")
"""


def test_a_stop_during_the_start_ends_the_process_wherever_it_comes() -> None:
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "Exception ignored" not in done.stderr
