"""At the limit of open files the error names it, and records can still be written."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from f5serve.errors import StorageFailed
from f5serve.store.bounded import SpareDescriptors
from f5serve.store.s3_errors import from_exception

STORY = """
    import errno, os, resource, sys
    from pathlib import Path
    from f5serve.errors import F5Error
    from f5serve.store.bounded import BoundedStore
    from f5serve.store.local import LocalStore
    from f5serve.store.bounded import SpareDescriptors

    inner = LocalStore(Path(sys.argv[1]))
    bare = BoundedStore(inner, inner_has_deadlines=False)
    kept = BoundedStore(inner, inner_has_deadlines=False, spares=SpareDescriptors(8))
    for store in (bare, kept):
        store.put("jobs/a/state.json", b"before")  # whatever is loaded at the first call is loaded
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EMFILE
    calls = {
        "put": lambda s: s.put("jobs/a/state.json", b"after"),
        "put_new": lambda s: s.put("jobs/b/done.json", b"1"),
        "put_file": lambda s: s.put_file("output/a", Path(sys.argv[2])),
        "get": lambda s: s.get("jobs/a/state.json", 100),
        "exists": lambda s: s.exists("jobs/a/state.json"),
    }
    for name, call in calls.items():
        try:
            call(bare)
            print(name, "worked")
        except F5Error as error:
            print(name, error.code, error.retryable, "ulimit" in error.hint)
    for name, call in calls.items():
        print(name, call(kept))
    try:
        list(kept.list("jobs/"))
    except F5Error as error:
        print("list", error.code)
    try:
        os.open(os.devnull, os.O_RDONLY)
        print("one was left open for others")
    except OSError:
        print("kept back again")
"""


def test_records_are_written_where_no_more_files_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "sound").write_bytes(b"speech")
    command = [sys.executable, "-c", textwrap.dedent(STORY)]
    command += [str(tmp_path / "store"), str(tmp_path / "sound")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert told.stderr == ""
    lines = told.stdout.splitlines()
    calls = ("put", "put_new", "put_file", "get", "exists")
    assert lines[:5] == [f"{name} TOO_MANY_OPEN_FILES True True" for name in calls]
    assert lines[5:8] == ["put None", "put_new None", "put_file None"]
    assert lines[8:10] == ["get b'after'", "exists True"]
    # Cut off in its middle, a listing cannot go on: it is refused, never told in part.
    assert lines[10:] == ["list TOO_MANY_OPEN_FILES", "kept back again"]


@pytest.mark.parametrize("number", [23, 24])  # ENFILE, EMFILE
def test_a_connection_that_cannot_be_opened_is_told_alike(number: int) -> None:
    error = ConnectionError("Could not connect to the endpoint URL")
    error.__cause__ = OSError(number, "Too many open files")
    told = from_exception(error)
    assert isinstance(told, StorageFailed)
    assert told.code == "TOO_MANY_OPEN_FILES"


def test_spares_go_back_when_the_last_borrower_is_done() -> None:
    spares = SpareDescriptors(3)
    assert len(spares._kept) == 3
    with spares.lent():
        with spares.lent():
            assert spares._kept == []
        assert spares._kept == []
    assert len(spares._kept) == 3
