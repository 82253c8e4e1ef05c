"""The server process: `f5serve serve`, and the image with F5_MODE=serve.

    init_process -> sockets -> the model, in threads of its own -> FastAPI -> server

Sockets come first, so that early connections wait rather than fail. FastAPI and uvicorn are not
imported with this module.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from f5serve import build
from f5serve.errors import F5Error, ModelUnavailable
from f5serve.settings import Settings, on_runpod, read_address
from f5serve.startup.listening import listen
from f5serve.startup.process import exit_after, init_process, model_loader

if TYPE_CHECKING:
    from f5serve.http.server import Server
    from f5serve.http.state import AppState
    from f5serve.startup import LoadOptions
    from f5serve.store.base import ObjectStore
    from f5serve.synthesis.synthesizer import Synthesizer

_log = logging.getLogger(__name__)

PACKAGES = ("fastapi", "uvicorn", "websockets", "httptools", "python_multipart")
"""Packages of the extra `serve`."""

RUNPOD_ANSWER_MB = 30
"""Largest answer that RunPod's load balancer passes on."""

ENDING_S = 2.0
"""Longest wait at the end for a thread that cannot be interrupted, such as an import."""

LoadSpeech = Callable[[], "Synthesizer"]

WILDCARD_HOSTS = ("0.0.0.0", "::")
"""Hosts that stand for all addresses of a machine."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Facts of a server that listens, for the terminal or the log.

    Attributes:
        url: its address on this machine.
        is_everywhere: whether it listens on all addresses.
        health_url: address of PORT_HEALTH, which answers /ping alone, or "".
        wyoming_url: address of F5_WYOMING, or "".
        speaker: the model, as a sentence.
        keys: whether keys are needed, as a sentence.
    """

    program: str
    url: str
    is_everywhere: bool
    health_url: str
    wyoming_url: str
    speaker: str
    keys: str


@dataclass(frozen=True, slots=True)
class Sockets:
    """Listening sockets of a server."""

    main: socket.socket
    health: socket.socket | None = None
    wyoming: socket.socket | None = None

    def close(self) -> None:
        """Close them; connections that wait are refused."""
        for one in filter(None, (self.main, self.health, self.wyoming)):
            one.close()


def main(
    on_listening: Callable[[ServerInfo], None], host: str | None = None, port: int | None = None
) -> None:
    """Run the server until it is stopped.

    Args:
        on_listening: called once, when the server listens.
        host, port: in the place of F5_HOST and PORT.

    Raises:
        F5Error: it could not start, or had to stop.
    """
    began = time.monotonic()
    given = [name for name, value in (("F5_HOST", host), ("PORT", port)) if value is not None]
    settings = effective_settings(init_process("server", given), host, port)
    check_installed()
    from f5serve.startup import LoadOptions, Timeline, check_engine
    from f5serve.synthesis.recognition import SpeechRecognition

    check_engine(settings)
    sockets = open_sockets(settings, "PORT" if port is None else "--port")
    timeline = Timeline.of_process()
    timeline.mark("interpreter", began)
    timeline.mark("settings, doctor")
    load_options = LoadOptions(
        timeline=timeline, warm_up=True, recognition=SpeechRecognition(settings)
    )
    load_speech = model_loader(settings, load_options, at_once=True)
    exit_code = 1
    try:
        with timeline.step("service", concurrent=True):
            from f5serve.http import server

            made = _build(settings, load_options, load_speech, sockets.wyoming)
        on_listening(describe(settings, sockets))
        server.run(made, sockets.main, sockets.health)
        exit_code = 0
    except F5Error as error:
        exit_code = error.exit_code
        raise
    finally:
        load_options.stop.set()
        sockets.close()
        exit_after(ENDING_S, exit_code)


def effective_settings(
    settings: Settings, host: str | None = None, port: int | None = None
) -> Settings:
    """The settings with host, port and answer limit resolved for this machine or RunPod."""
    at_runpod = on_runpod()
    limit = settings.max_answer_mb or (RUNPOD_ANSWER_MB if at_runpod else 0)
    return replace(
        settings,
        host=host or settings.host or ("0.0.0.0" if at_runpod else "127.0.0.1"),
        port=settings.port if port is None else port,
        max_answer_mb=limit,
    )


def check_installed(packages: Sequence[str] = PACKAGES) -> None:
    """Refuse to start without the packages of a server.

    Raises:
        ModelUnavailable: SERVER_NOT_INSTALLED.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ModelUnavailable(
            f"The server needs packages that are not installed: {', '.join(missing)}.",
            code="SERVER_NOT_INSTALLED",
            hint="Run: pip install 'f5serve[serve]'",
        )


def open_sockets(settings: Settings, set_by: str = "PORT") -> Sockets:
    """Listen where the settings say; `set_by` and errors as `listen`."""
    health = wyoming = None
    listening = listen(settings.host, settings.port, set_by)
    try:
        if settings.health_port not in (0, settings.port):
            health = listen(settings.host, settings.health_port, "PORT_HEALTH")
        if settings.wyoming:
            wyoming = listen(*read_address(settings.wyoming), "F5_WYOMING")
    except F5Error:
        Sockets(listening, health).close()
        raise
    return Sockets(listening, health, wyoming)


def describe(settings: Settings, sockets: Sockets) -> ServerInfo:
    """Facts of a server with these settings on these sockets."""
    is_everywhere = settings.host in WILDCARD_HOSTS
    if settings.auth == "none":
        keys = "none is required, as F5_AUTH says"
    elif settings.api_keys:
        names = ", ".join(key.name for key in settings.api_keys)
        keys = f"everybody is asked for one: {names}"
    else:
        keys = "none is required, as only this machine can call"
    return ServerInfo(
        program=str(build.stamp()),
        url=url_of(sockets.main, settings.host),
        is_everywhere=is_everywhere,
        health_url=url_of(sockets.health, settings.host) if sockets.health else "",
        wyoming_url=_wyoming_url(settings, sockets),
        speaker=speaker_of(settings),
        keys=keys,
    )


def _wyoming_url(settings: Settings, sockets: Sockets) -> str:
    if sockets.wyoming is None:
        return ""
    host, _ = read_address(settings.wyoming)
    return url_of(sockets.wyoming, host, "tcp")


def speaker_of(settings: Settings) -> str:
    """The model that will be loaded, as a sentence."""
    from f5serve.startup import select_engine
    from f5serve.startup.weights import should_download

    if should_download(settings):
        return f"F5-TTS with {settings.model}, whose weights are fetched if they are not here"
    spec = select_engine(settings)
    if spec.kind != "standin":
        return f"F5-TTS with {spec.model}"
    if settings.engine == "standin":
        return "the built-in speaker, which clones no voice, as F5_ENGINE says"
    why = spec.note or f"for F5-TTS run: f5serve models pull {settings.model}"
    return f"the built-in speaker, which clones no voice; {why}"


def _build(
    settings: Settings,
    load_options: LoadOptions,
    load_speech: LoadSpeech,
    wyoming: socket.socket | None,
) -> Server:
    """The server with the store, voices and model of the settings; `wyoming` as in `Sockets`."""
    from f5serve.http.app import build_middleware, make_app
    from f5serve.http.connections import Connections
    from f5serve.http.middleware.access_log import AccessLogMiddleware, LogLimit
    from f5serve.http.middleware.capacity import Capacity
    from f5serve.http.server import Server, ServerOptions, freeze_gc
    from f5serve.process import FileDescriptors
    from f5serve.startup.process import make_checks
    from f5serve.store.config import open_store
    from f5serve.wyoming.server import MAX_CONNECTIONS, ServerLimits, WyomingServer
    from f5serve.wyoming.session import Speaker

    store = open_store(settings)
    state = _make_state(settings, load_options, load_speech, store)
    operations = state.operations
    descriptors = FileDescriptors()
    beside = []
    max_connections = descriptors.max_connections
    if wyoming is not None:
        limits = ServerLimits(max_connections=min(MAX_CONNECTIONS, max_connections // 4))
        max_connections -= limits.max_connections
        beside.append(WyomingServer(wyoming, Speaker(operations, state.voices, settings), limits))
    connections = Connections(max_connections, settings.request_timeout_s)
    inner = build_middleware(make_app(state), settings, capacity=Capacity(descriptors, connections))
    lines = LogLimit(operations.metrics)
    app = AccessLogMiddleware(inner, operations.metrics, lines)
    checks = make_checks(settings, store)
    server_options = ServerOptions(
        settings.shutdown_s,
        checks,
        on_ready=freeze_gc,
        connections=connections,
        lines=lines,
        beside=beside,
    )
    return Server(app, operations, state.lifecycle, server_options)


def _make_state(
    settings: Settings, load_options: LoadOptions, load_speech: LoadSpeech, store: ObjectStore
) -> AppState:
    """The state over the whole store, with a service for each tenant of the keys."""
    from f5serve.doctor.report import quick
    from f5serve.http.state import AppState
    from f5serve.service import ServiceOptions
    from f5serve.service.tenants import Tenants
    from f5serve.startup.model_set import ModelSet

    recognition, timeline = load_options.recognition, load_options.timeline
    assert recognition is not None
    assert timeline is not None
    options = ServiceOptions(
        models=ModelSet(settings, load_options),
        start=timeline.as_dict,
        examine=lambda: quick(listens=True),  # or it would find its own ports taken
    )
    tenants = Tenants(store, recognition.libraries(store), load_speech, settings, options)
    tenants.open(key.tenant for key in settings.api_keys)
    service = tenants.first
    return AppState(
        *(service, service.store, service.voices, recognition.aligners(), settings),
        recognition=recognition,
        tenants=tenants,
    )


def url_of(listening: socket.socket, host: str, scheme: str = "http") -> str:
    """The address of a socket on this machine."""
    port = listening.getsockname()[1]
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"{scheme}://{f'[{here}]' if ':' in here and here[0] != '[' else here}:{port}"
