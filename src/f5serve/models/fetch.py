"""The bytes of one file, from the hub onto disk, going on where an earlier attempt broke off.

A `RemoteFile` and the path of a part flow in; a part that is complete in length flows out. Whether
its content is right is for the caller to find out. This module must not know models.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f5serve.errors import StorageFailed
from f5serve.models.disk import Reservation, cannot_write
from f5serve.models.remote import (
    HubSource,
    RemoteFile,
    bounded,
    cut,
    library,
    stalled,
    translated,
)

_CUTS = 5
_PAUSE_S = 0.2
_LEAST_BYTES_PER_S = 1024  # below this a model would take weeks: a hub that drips counts as silent


@dataclass(frozen=True, slots=True)
class Download:
    """One file to be fetched.

    Attributes:
        name: what errors call it.
        part: where its bytes gather.
        room: gives back the space that they take.
        on_bytes: called with the length of the part.
    """

    name: str
    remote: RemoteFile
    part: Path
    room: Reservation
    on_bytes: Callable[[int], None]


def fetch(source: HubSource, download: Download) -> None:
    """Complete the part, whatever of it is there already; it is kept when the hub fails.

    Raises:
        StorageFailed: HUB_UNREACHABLE, HUB_STALLED, HUB_CUT, HUB_FAILED, NO_SPACE, NOT_WRITABLE.
        ModelUnavailable: HUB_FORBIDDEN or HUB_NOT_FOUND.
    """
    library()
    import httpx2

    size = download.remote.size
    for _ in range(_CUTS):
        have = _length(download.part)
        if size is None or have > size:  # nothing tells whether such a part is a beginning of it
            download.part.unlink(missing_ok=True)
        elif have and have == size:
            return
        try:
            with translated(source, download.name):
                _stream(source, download)
        except StorageFailed as error:
            broke_off = isinstance(
                error.__cause__, httpx2.NetworkError | httpx2.RemoteProtocolError
            )
            if error.code != "HUB_FAILED" or not broke_off:
                raise
            time.sleep(_PAUSE_S)
            continue
        if size is None or _length(download.part) == size:
            return
    raise cut(source, download.name)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _stream(source: HubSource, download: Download) -> None:
    """One answer of the hub, written behind what is there."""
    hub = library()
    have = _length(download.part)
    headers = {**source.headers, **({"range": f"bytes={have}-"} if have else {})}
    with contextlib.ExitStack() as stack:
        asked = hub.get_session().stream(
            "GET",
            download.remote.url,
            headers=headers,
            timeout=source.timeout_s,
            follow_redirects=True,
        )
        answer = bounded(lambda: stack.enter_context(asked), source, download.name)
        if answer.status_code == 416:  # the part is longer than the file: it was another one
            download.part.unlink()
            return
        hub.utils.hf_raise_for_status(answer)
        _write(source, download, answer, have if answer.status_code == 206 else 0)


def _write(source: HubSource, download: Download, answer: Any, start: int) -> None:
    size = download.remote.size
    window_start, window_bytes = time.monotonic(), 0
    at = start
    try:
        # Written at explicit places: should a lock not hold, two writers put the same bytes there.
        descriptor = os.open(download.part, os.O_WRONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(download.part.parent, 0, error) from None
    try:
        download.on_bytes(at)
        for block in answer.iter_raw():
            download.room.release(len(block))
            _put(descriptor, block, at, download)
            at += len(block)
            window_bytes += len(block)
            download.on_bytes(at)
            if size is not None and at > size:
                raise _too_long(source, download)
            elapsed = time.monotonic() - window_start
            if elapsed > source.timeout_s:
                if window_bytes < _LEAST_BYTES_PER_S * elapsed:
                    raise stalled(source, download.name)
                window_start, window_bytes = time.monotonic(), 0
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(descriptor: int, block: bytes, at: int, download: Download) -> None:
    left = memoryview(block)
    try:
        while left:
            written = os.pwrite(descriptor, left, at)
            at, left = at + written, left[written:]
    except OSError as error:
        download.part.unlink(missing_ok=True)  # a full disk is worse than a second download
        needed = max(len(left), (download.remote.size or 0) - at)
        raise cannot_write(download.part.parent, needed, error) from None


def _too_long(source: HubSource, download: Download) -> StorageFailed:
    download.part.unlink(missing_ok=True)
    return StorageFailed(
        f"The hub {source.shown} sent more of {download.name} than the "
        f"{download.remote.size} bytes it had announced.",
        code="HUB_FAILED",
        hint="Try again; look at HF_ENDPOINT and at a proxy in between if it happens again.",
        retryable=True,
    )
