"""What the hub says about a repository, within a bounded time and in our errors.

A repository, a revision and a path flow in; where the file is, its size, its commit and what its
content must hash to flow out. huggingface_hub speaks the protocol. This module must not know
where anything is put on disk.

Every wait for the hub ends after `HubSource.timeout_s` without a byte, and every answer that is no
file's body within twice that time, however its bytes come. snapshot_download and hf_hub_download
are not called: the first waits for ever on a hub that hangs, the second for
minutes, and both publish a file before anybody has hashed it (docs/decisions/0004-hub-access.md).
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from f5serve import __version__
from f5serve.errors import F5Error, ModelUnavailable, StorageFailed
from f5serve.masking import bare_url
from f5serve.settings import keep_hub_silent

T = TypeVar("T")

USER_AGENT = f"f5serve/{__version__}"  # in place of the library's, which lists installed packages
_TRIES = 3
_LONGEST_ANSWER = 2  # times `HubSource.timeout_s`; a silence is told first, by its own error
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # becomes a file name
_LOCAL_HINT = "Models that are on this machine already work without the hub."


@dataclass(frozen=True, slots=True)
class HubSource:
    """Which hub to ask, and how long to wait for a sign of life from it.

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
        """The endpoint as people are told it, without a password."""
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


def library() -> Any:
    """huggingface_hub.

    Raises:
        ModelUnavailable: code ENGINE_NOT_INSTALLED.
    """
    keep_hub_silent()
    try:
        import huggingface_hub
    except ImportError:
        raise ModelUnavailable(
            "Models are pulled with huggingface_hub, which is not installed.",
            code="ENGINE_NOT_INSTALLED",
            hint="Install the engine: pip install 'f5serve[engine]'.",
        ) from None
    return huggingface_hub


def describe(source: HubSource, repo: str, revision: str, path: str) -> RemoteFile:
    """Ask for one file without fetching it.

    Raises:
        StorageFailed: HUB_UNREACHABLE, HUB_STALLED or HUB_FAILED, all retryable.
        ModelUnavailable: HUB_FORBIDDEN or HUB_NOT_FOUND.
    """
    hub = library()
    url = hub.hf_hub_url(repo, path, revision=revision, endpoint=source.endpoint.rstrip("/"))
    found = _asked(
        lambda: hub.get_hf_file_metadata(
            url,
            token=source.token or False,
            timeout=source.timeout_s,
            headers={"user-agent": USER_AGENT},
            endpoint=source.endpoint.rstrip("/"),
        ),
        source,
        f"{repo}/{path} at {revision[:12]}",
    )
    if not _COMMIT.fullmatch(found.commit_hash or "") or not _ETAG.fullmatch(found.etag or ""):
        raise _not_a_hub(source)
    return RemoteFile(url, found.size, found.etag, found.commit_hash)


def resolve(source: HubSource, repo: str) -> tuple[str, list[str]]:
    """Newest commit of a repository and the paths of its files.

    Raises:
        StorageFailed, ModelUnavailable: as `describe`.
    """
    hub = library()
    api = hub.HfApi(endpoint=source.endpoint.rstrip("/"), headers={"user-agent": USER_AGENT})
    info = _asked(
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


def _asked(ask: Callable[[], T], source: HubSource, what: str) -> T:
    """Ask up to `_TRIES` times when the hub says that it is busy."""
    for attempt in range(1, _TRIES + 1):
        try:
            with translated(source, what):
                return bounded(ask, source, what)
        except StorageFailed as error:
            if error.code != "HUB_FAILED" or attempt == _TRIES:
                raise
        except (ValueError, KeyError, TypeError) as error:  # no JSON, or JSON of something else
            raise _not_a_hub(source) from error
        time.sleep(attempt / 2)
    raise AssertionError("unreachable")


def bounded(ask: Callable[[], T], source: HubSource, what: str) -> T:
    """What `ask` returns, or an error after a time that the hub cannot lengthen.

    The library's own limits are those of one wait, so an answer that comes byte by byte never
    ends. It is asked in a thread, which ends when its connection is closed under it.

    Raises:
        StorageFailed: code HUB_STALLED.
        Exception: what `ask` raised.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            answer.set_exception(error)

    threading.Thread(target=work, name="f5-hub", daemon=True).start()
    try:
        return answer.result(_LONGEST_ANSWER * source.timeout_s)
    except TimeoutError:
        if answer.done():  # in this moment, or it was an error of that kind
            return answer.result()
        library().close_session()
        raise stalled(source, what, "has not finished its answer about") from None


@contextlib.contextmanager
def translated(source: HubSource, what: str) -> Iterator[None]:
    """Turn what huggingface_hub and its HTTP client raise into our errors; `what` was asked for."""
    library()
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.HfHubHTTPError as error:
        raise _refused(error.response.status_code, source, what) from error
    except httpx2.TimeoutException as error:
        if isinstance(error, httpx2.ConnectTimeout):
            raise _unreachable(source, "no connection in time") from error
        raise stalled(source, what) from error
    except (httpx2.ConnectError, httpx2.ProxyError, httpx2.UnsupportedProtocol) as error:
        raise _unreachable(source, str(error) or type(error).__name__) from error
    except (errors.OfflineModeIsEnabled, httpx2.InvalidURL) as error:
        raise _unreachable(source, str(error)) from error
    except httpx2.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise _failed(source, f"broke off while it was asked for {what}: {reason}") from error


def _refused(status: int, source: HubSource, what: str) -> F5Error:
    if status in (401, 403):
        given = "the token in HF_TOKEN" if source.token else "without a token"
        return ModelUnavailable(
            f"The hub {source.shown} does not give {what} to us ({status}, {given}).",
            code="HUB_FORBIDDEN",
            hint="Accept the model's terms on its page if it has any, and put a token that may "
            "read it in HF_TOKEN. The hub says the same of a repository that does not exist.",
        )
    if status == 404:
        return ModelUnavailable(
            f"The hub {source.shown} has no {what}.",
            code="HUB_NOT_FOUND",
            hint="It may have been renamed or withdrawn; F5_CKPT takes a file of your own.",
        )
    return _failed(source, f"answered {status} when asked for {what}")


def _failed(source: HubSource, did: str) -> StorageFailed:
    return StorageFailed(
        f"The hub {source.shown} {did}.",
        code="HUB_FAILED",
        hint=f"Try again in a while. {_LOCAL_HINT}",
        retryable=True,
    )


def _not_a_hub(source: HubSource) -> StorageFailed:
    return StorageFailed(
        f"{source.shown} does not answer like a model hub.",
        code="NOT_A_HUB",
        hint="Look at HF_ENDPOINT, and at a proxy that may have answered in its place.",
    )


def _unreachable(source: HubSource, reason: str) -> StorageFailed:
    return StorageFailed(
        f"The hub {source.shown} cannot be reached: {reason}.",
        code="HUB_UNREACHABLE",
        hint=f"Look at the network and at HF_ENDPOINT. {_LOCAL_HINT}",
        retryable=True,
    )


def stalled(source: HubSource, what: str, did: str = "sent nothing of") -> StorageFailed:
    """The error for a hub that took the question and then fell silent, or as good as that."""
    return StorageFailed(
        f"The hub {source.shown} {did} {what} for {source.timeout_s:g} s.",
        code="HUB_STALLED",
        hint="Try again; what has arrived is kept. F5_HUB_TIMEOUT_S sets how long to wait.",
        retryable=True,
    )


def cut(source: HubSource, what: str) -> StorageFailed:
    """The error for a hub that keeps breaking off."""
    return StorageFailed(
        f"The hub {source.shown} broke off {what} again and again.",
        code="HUB_CUT",
        hint="Try again; what has arrived is kept and the rest is asked for.",
        retryable=True,
    )
