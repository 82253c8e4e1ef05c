"""Client of a Hugging Face hub: metadata and bodies of files, in bounded time and with our errors.

huggingface_hub speaks the protocol, but snapshot_download and hf_hub_download are not called: the
first waits for ever on a hub that hangs, the second for minutes, and both publish a file before it
was hashed (docs/decisions/0004-hub-access.md). Here every wait ends after `HubSource.timeout_s`
without a byte, and every answer that is no file's body within twice that time.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from f5serve import __version__
from f5serve.errors import F5Error, ModelUnavailable, StorageFailed
from f5serve.models.disk import DiskReservation, cannot_write
from f5serve.secrets import bare_url
from f5serve.settings import disable_hub_telemetry

T = TypeVar("T")

USER_AGENT = f"f5serve/{__version__}"  # in place of the library's, which lists installed packages
_TRIES = 3  # of a question, while the hub says that it is busy
_CUTS = 5  # of one body, before the download fails
_PAUSE_S = 0.2
_LONGEST_ANSWER = 2  # times `HubSource.timeout_s`; a silence is reported first, as its own error
_LEAST_BYTES_PER_S = 1024  # a slower hub counts as silent
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # becomes a file name
_LOCAL_HINT = "Models that are on this machine already work without the hub."
_HINTS = {
    "HUB_FAILED": f"Try again in a while. {_LOCAL_HINT}",
    "HUB_UNREACHABLE": f"Look at the network and at HF_ENDPOINT. {_LOCAL_HINT}",
    "HUB_STALLED": "Try again; what has arrived is kept. F5_HUB_TIMEOUT_S sets how long to wait.",
    "HUB_CUT": "Try again; what has arrived is kept and the rest is asked for.",
    "NOT_A_HUB": "Look at HF_ENDPOINT, and at a proxy that may have answered in its place.",
}


@dataclass(frozen=True, slots=True)
class HubSource:
    """Which hub to ask, and how long to wait for it.

    Attributes:
        endpoint: base URL.
        token: for private and gated repositories, or "".
        timeout_s: longest silence, for each answer and between bytes; an answer that is no body
            has twice as long in all.
    """

    endpoint: str = "https://huggingface.co"
    token: str = field(default="", repr=False)
    timeout_s: float = 20.0

    @property
    def shown(self) -> str:
        """The endpoint for messages, without a password."""
        return bare_url(self.endpoint)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request; identity encoding, so that a Range means what it says."""
        headers = {"user-agent": USER_AGENT, "accept-encoding": "identity"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return headers


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the hub describes it.

    Attributes:
        size: bytes, or None when the hub does not say.
        etag: names the content: sha256 of a large file, git blob id of a small one.
        commit: revision it belongs to.
    """

    url: str
    size: int | None
    etag: str
    commit: str


@dataclass(frozen=True, slots=True)
class Download:
    """One file to fetch.

    Attributes:
        name: what errors call it.
        part: the file that its bytes are written to.
        room: gives back the space that they take.
        on_bytes: called with the length of the part.
    """

    name: str
    remote: RemoteFile
    part: Path
    room: DiskReservation
    on_bytes: Callable[[int], None]

    @property
    def length(self) -> int:
        """Bytes of the part so far."""
        return self.part.stat().st_size if self.part.exists() else 0


def import_hub() -> Any:
    """The library huggingface_hub.

    Raises:
        ModelUnavailable: code ENGINE_NOT_INSTALLED.
    """
    disable_hub_telemetry()
    try:
        import huggingface_hub
    except ImportError:
        raise ModelUnavailable(
            "Models are pulled with huggingface_hub, which is not installed.",
            code="ENGINE_NOT_INSTALLED",
            hint="Install the engine: pip install 'f5serve[engine]'.",
        ) from None
    return huggingface_hub


def file_metadata(source: HubSource, repo: str, revision: str, path: str) -> RemoteFile:
    """Ask for one file without fetching it.

    Raises:
        StorageFailed: NOT_A_HUB, or retryable HUB_UNREACHABLE, HUB_STALLED, HUB_FAILED.
        ModelUnavailable: HUB_FORBIDDEN or HUB_NOT_FOUND.
    """
    hub = import_hub()
    endpoint = source.endpoint.rstrip("/")
    url = hub.hf_hub_url(repo, path, revision=revision, endpoint=endpoint)
    found = _ask(
        lambda: hub.get_hf_file_metadata(
            url,
            token=source.token or False,
            timeout=source.timeout_s,
            headers={"user-agent": USER_AGENT},
            endpoint=endpoint,
        ),
        source,
        f"{repo}/{path} at {revision[:12]}",
    )
    if not _COMMIT.fullmatch(found.commit_hash or "") or not _ETAG.fullmatch(found.etag or ""):
        raise _not_a_hub(source)
    return RemoteFile(url, found.size, found.etag, found.commit_hash)


def newest_revision(source: HubSource, repo: str) -> tuple[str, list[str]]:
    """Newest commit of a repository and the paths of its files.

    Raises:
        StorageFailed, ModelUnavailable: as `file_metadata`.
    """
    endpoint = source.endpoint.rstrip("/")
    api = import_hub().HfApi(endpoint=endpoint, headers={"user-agent": USER_AGENT})
    info = _ask(
        lambda: api.model_info(
            repo, revision="main", timeout=source.timeout_s, token=source.token or False
        ),
        source,
        repo,
    )
    names = [sibling.rfilename for sibling in info.siblings or ()]
    outside = any(name.startswith("/") or ".." in name.split("/") for name in names)
    if not _COMMIT.fullmatch(info.sha or "") or outside:
        raise _not_a_hub(source)
    return info.sha, names


def fetch(source: HubSource, download: Download) -> None:
    """Complete the part, resuming from what is there; it is kept when the hub fails.

    Only its length is checked; hashing is for the caller.

    Raises:
        StorageFailed: HUB_UNREACHABLE, HUB_STALLED, HUB_CUT, HUB_FAILED, NO_SPACE, NOT_WRITABLE.
        ModelUnavailable: HUB_FORBIDDEN or HUB_NOT_FOUND.
    """
    import_hub()
    import httpx2

    size = download.remote.size
    for _ in range(_CUTS):
        have = download.length
        if size is None or have > size:  # such a part may not be a beginning of the file
            download.part.unlink(missing_ok=True)
        elif have and have == size:
            return
        try:
            with _map_errors(source, download.name):
                _stream(source, download)
        except StorageFailed as error:
            lost = isinstance(error.__cause__, httpx2.NetworkError | httpx2.RemoteProtocolError)
            if error.code != "HUB_FAILED" or not lost:
                raise
            time.sleep(_PAUSE_S)
            continue
        if size is None or download.length == size:
            return
    raise _error(source, "HUB_CUT", f"broke off {download.name} again and again")


def _stream(source: HubSource, download: Download) -> None:
    """One answer of the hub, written behind what is there."""
    hub = import_hub()
    have = download.length
    headers = {**source.headers, **({"range": f"bytes={have}-"} if have else {})}
    with contextlib.ExitStack() as stack:
        request = hub.get_session().stream(
            "GET",
            download.remote.url,
            headers=headers,
            timeout=source.timeout_s,
            follow_redirects=True,
        )
        answer = _with_deadline(lambda: stack.enter_context(request), source, download.name)
        if answer.status_code == 416:  # the part is longer than the file: it was another one
            download.part.unlink()
            return
        hub.utils.hf_raise_for_status(answer)
        _write(source, download, answer, have if answer.status_code == 206 else 0)


def _write(source: HubSource, download: Download, answer: Any, at: int) -> None:
    size = download.remote.size
    window_start, window_bytes = time.monotonic(), 0
    try:
        # Written at explicit places: should a lock not hold, two writers put the same bytes there.
        descriptor = os.open(download.part, os.O_WRONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(download.part.parent, 0, error) from None
    try:
        download.on_bytes(at)
        for block in answer.iter_raw():
            download.room.release(len(block))
            _write_block(descriptor, block, at, download)
            at += len(block)
            window_bytes += len(block)
            download.on_bytes(at)
            if size is not None and at > size:
                download.part.unlink(missing_ok=True)
                did = f"sent more of {download.name} than the {size} bytes it had announced"
                raise _error(source, "HUB_FAILED", did)
            elapsed = time.monotonic() - window_start
            if elapsed > source.timeout_s:
                if window_bytes < _LEAST_BYTES_PER_S * elapsed:
                    raise _timed_out(source, f"sent nothing of {download.name}")
                window_start, window_bytes = time.monotonic(), 0
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_block(descriptor: int, block: bytes, at: int, download: Download) -> None:
    left = memoryview(block)
    try:
        while left:
            written = os.pwrite(descriptor, left, at)
            at, left = at + written, left[written:]
    except OSError as error:
        download.part.unlink(missing_ok=True)  # a full disk is worse than a second download
        needed = max(len(left), (download.remote.size or 0) - at)
        raise cannot_write(download.part.parent, needed, error) from None


def _ask(ask: Callable[[], T], source: HubSource, what: str) -> T:
    """Ask up to `_TRIES` times while the hub says that it is busy."""
    for attempt in range(1, _TRIES + 1):
        try:
            with _map_errors(source, what):
                return _with_deadline(ask, source, what)
        except StorageFailed as error:
            if error.code != "HUB_FAILED" or attempt == _TRIES:
                raise
        except (ValueError, KeyError, TypeError) as error:  # no JSON, or JSON of something else
            raise _not_a_hub(source) from error
        time.sleep(attempt / 2)
    raise AssertionError("unreachable")


def _with_deadline(ask: Callable[[], T], source: HubSource, what: str) -> T:
    """What `ask` returns, or an error after a time that the hub cannot lengthen.

    The library limits single waits alone, so an answer that comes byte by byte never ends. It
    runs in a thread, which ends when its connection is closed under it.

    Raises:
        StorageFailed: code HUB_STALLED.
        Exception: what `ask` raised.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            answer.set_exception(error)

    threading.Thread(target=work, name="f5-hub", daemon=True).start()
    try:
        return answer.result(_LONGEST_ANSWER * source.timeout_s)
    except TimeoutError:
        if answer.done():  # just now, or it was an error of that kind
            return answer.result()
        import_hub().close_session()
        raise _timed_out(source, f"has not finished its answer about {what}") from None


@contextlib.contextmanager
def _map_errors(source: HubSource, what: str) -> Iterator[None]:
    """Turn errors of huggingface_hub and its HTTP client into ours; `what` was asked for."""
    import_hub()
    import httpx2
    from huggingface_hub import errors

    unreachable = (
        *(httpx2.ConnectError, httpx2.ProxyError, httpx2.UnsupportedProtocol),
        *(httpx2.InvalidURL, errors.OfflineModeIsEnabled),
    )
    try:
        yield
    except errors.HfHubHTTPError as error:
        raise _status_error(error.response.status_code, source, what) from error
    except httpx2.ConnectTimeout as error:
        did = "cannot be reached: no connection in time"
        raise _error(source, "HUB_UNREACHABLE", did) from error
    except httpx2.TimeoutException as error:
        raise _timed_out(source, f"sent nothing of {what}") from error
    except unreachable as error:
        did = f"cannot be reached: {str(error) or type(error).__name__}"
        raise _error(source, "HUB_UNREACHABLE", did) from error
    except httpx2.HTTPError as error:
        did = f"broke off while it was asked for {what}: {str(error) or type(error).__name__}"
        raise _error(source, "HUB_FAILED", did) from error


def _status_error(status: int, source: HubSource, what: str) -> F5Error:
    if status in (401, 403):
        given = "the token in HF_TOKEN" if source.token else "without a token"
        return ModelUnavailable(
            f"The hub {source.shown} does not give {what} to us ({status}, {given}).",
            code="HUB_FORBIDDEN",
            hint="Accept the model's terms on its page if it has any, and put a token that may "
            "read it in HF_TOKEN. The hub answers the same for a repository that does not exist.",
        )
    if status == 404:
        return ModelUnavailable(
            f"The hub {source.shown} has no {what}.",
            code="HUB_NOT_FOUND",
            hint="It may have been renamed or withdrawn; F5_CKPT takes a file of your own.",
        )
    return _error(source, "HUB_FAILED", f"answered {status} when asked for {what}")


def _error(source: HubSource, code: str, did: str) -> StorageFailed:
    message = f"The hub {source.shown} {did}."
    return StorageFailed(message, code=code, hint=_HINTS[code], retryable=code != "NOT_A_HUB")


def _not_a_hub(source: HubSource) -> StorageFailed:
    return _error(source, "NOT_A_HUB", "does not answer like a model hub")


def _timed_out(source: HubSource, did: str) -> StorageFailed:
    return _error(source, "HUB_STALLED", f"{did} for {source.timeout_s:g} s")
