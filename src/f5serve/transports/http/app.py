"""Which route is where."""

from __future__ import annotations

from fastapi import FastAPI

from f5serve import build
from f5serve.transports.http import (
    errors,
    routes_alignments,
    routes_health,
    routes_jobs,
    routes_models,
    routes_speech,
    routes_voices,
    studio,
)
from f5serve.transports.http.service import Service

ROOMS = (
    *(routes_speech, routes_voices, routes_models, routes_jobs, routes_alignments),
    *(routes_health, studio),
)


def make_app(service: Service) -> FastAPI:
    """The application over `service`; `guard.protect` and `observed.observe` wrap it."""
    app = FastAPI(
        title="f5serve",
        version=build.stamp().version,
        description="Text to speech in a cloned voice with F5-TTS.",
        license_info={"name": "Apache-2.0"},
    )
    app.state.service = service
    errors.install(app)
    for room in ROOMS:
        app.include_router(room.router)
    return app
