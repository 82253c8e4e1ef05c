"""English aligned in child processes: as beside them, and ended when nobody wants the answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from f5serve.alignment.sphinx import Sphinx
from f5serve.alignment.sphinx_process import SphinxProcesses
from f5serve.audio.decode import decode
from f5serve.errors import ModelUnavailable
from f5serve.types import Wave
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording


@pytest.fixture(scope="module")
def processes() -> SphinxProcesses:
    started = SphinxProcesses(processes=2)
    started.load()
    return started


@pytest.fixture(scope="module")
def wave() -> Wave:
    return decode(recording())


def long(times: int) -> tuple[Wave, str]:
    """Both recordings one behind the other, 8.3 s, so many times."""
    waves = [decode(recording()).samples, decode(other_recording()).samples]
    return Wave(np.concatenate(waves * times)), " ".join([WORDS, OTHER_WORDS] * times)


def children() -> set[int]:
    """Processes that were started by this one and run sphinx_child.py."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"alignment/sphinx_child.py" in command:
            found.add(int(path.parent.name))
    return found


def until(is_so: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_answers_are_those_of_sphinx(processes: SphinxProcesses, wave: Wave) -> None:
    other = decode(other_recording())
    sphinx = Sphinx()
    for sound, text in ((wave, WORDS), (other, OTHER_WORDS), (wave, OTHER_WORDS), (wave, "")):
        assert processes.align(sound, text, "en") == sphinx.align(sound, text, "en")
    assert processes.align(Wave(np.zeros(0, np.float32)), "Hi.", "en").words == ()


def test_a_long_recording_has_the_times_of_its_parts(processes: SphinxProcesses) -> None:
    one = processes.align(*long(1), "en")
    sound, text = long(12)
    found = processes.align(sound, text, "en")
    assert [word.word for word in found.words] == text.split()
    each_s = sound.duration_s / 12
    meant = [word.start_s + turn * each_s for turn in range(12) for word in one.words]
    assert [word.start_s for word in found.words] == pytest.approx(meant, abs=0.05)
    assert found.confidence == pytest.approx(one.confidence, abs=0.1)


def test_another_long_text_is_not_found(processes: SphinxProcesses) -> None:
    sound, _ = long(7)
    assert processes.align(sound, OTHER_WORDS * 7, "en").words == ()


def test_threads_get_their_own_words(processes: SphinxProcesses, wave: Wave) -> None:
    other = decode(other_recording())
    asked = [(wave, WORDS), (other, OTHER_WORDS)] * 6
    alone = [processes.align(w, t, "en") for w, t in asked[:2]]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda pair: processes.align(pair[0], pair[1], "en"), asked))
    assert found == alone * 6
    assert len(children()) <= 2


def test_nobody_waits_for_an_answer_that_is_not_wanted(wave: Wave) -> None:
    processes = SphinxProcesses()
    processes.load()
    before = children()
    sound, text = long(60)
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > 0.3:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        processes.align(sound, text, "en", check)
    until(lambda: not before <= children())
    assert processes.align(wave, WORDS, "en").words


def test_who_waits_for_a_turn_may_leave(wave: Wave) -> None:
    processes = SphinxProcesses()
    sound, text = long(20)
    begun, leave = threading.Event(), threading.Event()

    def gone() -> None:
        begun.set()
        if leave.is_set():
            raise KeyError

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(processes.align, sound, text, "en", gone)
        assert begun.wait(20)
        with pytest.raises(KeyError):
            processes.align(wave, WORDS, "en", _raise)
        leave.set()
        with pytest.raises(KeyError):
            first.result(20)


def _raise() -> None:
    raise KeyError


def test_a_process_that_was_ended_is_started_anew(wave: Wave) -> None:
    processes = SphinxProcesses()
    before = children()
    processes.load()
    (made,) = children() - before
    os.kill(made, signal.SIGKILL)
    assert processes.align(wave, WORDS, "en").words
    assert made not in children()


def test_processes_that_were_all_ended_are_started_anew(wave: Wave) -> None:
    processes = SphinxProcesses(3)
    before = children()
    taken = [processes._take(lambda: None) for _ in range(3)]
    for child in taken:
        processes._put_back(child)
    for made in children() - before:
        os.kill(made, signal.SIGKILL)
    until(lambda: all(child.has_died() for child in taken))
    assert processes.align(wave, WORDS, "en").words


def test_one_that_dies_each_time_is_an_error(wave: Wave, caplog: pytest.LogCaptureFixture) -> None:
    processes = SphinxProcesses()
    sound, text = long(60)
    before = children()

    def check() -> None:
        for child in children() - before:
            os.kill(child, signal.SIGKILL)

    with pytest.raises(ModelUnavailable) as caught:
        processes.align(sound, text, "en", check)
    assert (caught.value.code, caught.value.retryable) == ("ALIGNER_FAILED", True)
    assert "a process that aligns has ended" in caplog.text
    assert processes.align(wave, WORDS, "en").words


def test_processes_end_with_who_started_them() -> None:
    processes = SphinxProcesses()
    before = children()
    processes.load()
    (made,) = children() - before
    del processes
    until(lambda: made not in children())


def test_a_process_does_not_outlive_a_parent_that_was_killed() -> None:
    program = (
        "from f5serve.alignment.sphinx_process import SphinxProcesses\n"
        "processes = SphinxProcesses()\nprocesses.load()\n"
        "(child,) = processes._idle\nprint(child._process.pid, flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        until(lambda: not _runs(child))


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
