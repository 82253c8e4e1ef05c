"""Which route is where."""

from __future__ import annotations

import copy

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter

from f5serve import build
from f5serve.http import (
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
from f5serve.http.service import Service

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
        openapi_url=None,  # see `routes_docs`: FastAPI would make the document in the event loop
        docs_url=None,
        redoc_url=None,
    )
    for room in ROOMS:
        _add_head(room.router)
        app.include_router(room.router)
    errors.install(app, [route for room in ROOMS for route in room.router.routes])
    contract.install(app)
    app.state.writer = routes_docs.Writer()
    return app


def _add_head(router: APIRouter) -> None:
    """Have HEAD answered wherever GET is, as GET without its body, which the server leaves out.

    `contract` documents it. A route with a HEAD of its own, which does less, keeps it.
    """
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    have = {route.path for route in routes if "HEAD" in (route.methods or ())}
    for route in routes:
        if "GET" in (route.methods or ()) and route.path not in have:
            twin = copy.copy(route)
            twin.methods = {"HEAD"}
            twin.include_in_schema = False
            router.routes.append(twin)
