"""The studio page at /, and its files in web/.

The page refers to its files under a name that changes with any of them, so that browsers may keep
them for good and never mix two versions. The page calls public routes only.
"""

from __future__ import annotations

import hashlib
import html
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from f5serve.http.state import StateDep
from f5serve.settings import Settings
from f5serve.startup import default_options

WEB = Path(__file__).parents[1] / "web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
"""The browser may keep it, and asks each time whether it is still the same."""

CROSS_FADE_S = 0.15
NO_MODULES = ("early.js", "recorder-worklet.js")

router = APIRouter(tags=["studio"], include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Page:
    """All files of the page, read once.

    Attributes:
        version: changes when any of them does.
    """

    files: dict[str, bytes]
    version: str


@lru_cache(maxsize=1)
def load_page() -> Page:
    """The files of web/; blocks for a moment, once."""
    files = {path.name: path.read_bytes() for path in sorted(WEB.iterdir()) if path.is_file()}
    digest = hashlib.sha256()
    for name, data in files.items():
        digest.update(f"{name} {len(data)} ".encode() + data)
    return Page(files, digest.hexdigest()[:16])


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request, state: StateDep) -> Response:
    """The page, with what it must know of the settings written into it."""
    page = load_page()
    facts = html.escape(json.dumps(_facts(state.settings)))
    text = page.files["index.html"].decode()
    text = text.replace("MODULES", _preloads(page)).replace("FACTS", facts)
    text = text.replace("studio/VERSION/", f"studio/{page.version}/")
    return _answer(request, text.encode(), "index.html", ASK_AGAIN)


@router.api_route("/studio/{version}/{name}", methods=["GET", "HEAD"])
async def file(version: str, name: str, request: Request) -> Response:
    """A file of the page; kept for good under the version that it has."""
    page = load_page()
    if name not in page.files or name == "index.html":
        raise HTTPException(404)
    kept = FOREVER if version == page.version else ASK_AGAIN
    return _answer(request, page.files[name], name, kept)


@router.api_route("/favicon.svg", methods=["GET", "HEAD"])
@router.api_route("/favicon.ico", methods=["GET", "HEAD"])
async def favicon(request: Request) -> Response:
    """The icon; browsers ask for it by itself."""
    return _answer(request, load_page().files["favicon.svg"], "favicon.svg", "max-age=86400")


def _preloads(page: Page) -> str:
    """Links that fetch all modules at once, and not one after the other as they are imported."""
    names = [name for name in page.files if name.endswith(".js") and name not in NO_MODULES]
    return "\n  ".join(
        f'<link rel="modulepreload" href="studio/VERSION/{name}">' for name in sorted(names)
    )


def _facts(settings: Settings) -> dict[str, float | str]:
    """The limit of the text, and what the options are without a choice."""
    options = default_options(settings)
    return {
        "max_chars": min(settings.openai_max_chars, settings.max_text_chars),
        "nfe_step": options.nfe_step,
        "cfg_strength": options.cfg_strength,
        "sway_sampling_coef": options.sway_sampling_coef,
        "speed": options.speed,
        "cross_fade_s": CROSS_FADE_S,
        "normalize": settings.normalize,
    }


def _answer(request: Request, data: bytes, name: str, cache: str) -> Response:
    etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": cache}
    is_same = etag in request.headers.get("if-none-match", "")
    # A browser takes the headers of a 304 for those of what it has kept, the policy of the page
    # among them, and SecurityHeadersMiddleware knows a page by its type.
    kind = TYPES[Path(name).suffix]
    return Response(b"" if is_same else data, 304 if is_same else 200, headers, kind)
