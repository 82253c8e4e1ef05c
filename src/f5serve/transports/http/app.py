"""Which route is where."""

from __future__ import annotations

from fastapi import FastAPI

from f5serve import build
from f5serve.transports.http import (
    contract,
    errors,
    routes_alignments,
    routes_docs,
    routes_health,
    routes_jobs,
    routes_metrics,
    routes_models,
    routes_speech,
    routes_voices,
    studio,
)
from f5serve.transports.http.service import Service

ROOMS = (
    *(routes_speech, routes_voices, routes_models, routes_jobs, routes_alignments),
    *(routes_health, routes_metrics, routes_docs, studio),
)


def make_app(service: Service) -> FastAPI:
    """The application over `service`; `guard.protect` and `observed.observe` wrap it."""
    app = assemble()
    app.state.service = service
    return app


def assemble() -> FastAPI:
    """All routes, over nothing yet; its OpenAPI document is complete."""
    app = FastAPI(
        title="f5serve",
        version=build.stamp().version,
        license_info={"name": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
    )
    errors.install(app)
    contract.install(app)
    for room in ROOMS:
        app.include_router(room.router)
    return app
