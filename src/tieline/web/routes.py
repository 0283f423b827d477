"""The page's door: the files that `make web` built, held in memory, under a Content-Security-Policy without exceptions.

The page holds nothing secret, so it needs no token: what it shows it asks of /v1, which does.
"""

from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

BUILT = Path(__file__).parent / "built"
"""Where the build puts the page; not in the repository, but in the wheel."""

TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
ALWAYS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
FOR_EVER = "public, max-age=31536000, immutable"
NOT_BUILT = "The dashboard is not built: `make web` builds it. The API is at /v1.\n"
NOT_THERE = "There is no such page. The dashboard is at /, the API at /v1.\n"


class File(msgspec.Struct, frozen=True):
    content: bytes
    media_type: str
    cache: str


def routes(built: Path = BUILT) -> list[HTTPRouteHandler]:
    """The page's handlers, over the files of `built` as they are now."""
    files = _files(built)

    @get(["/", "/icon.svg", "/theme.js", "/assets/{name:str}"], include_in_schema=False, sync_to_thread=False)
    def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        file = files.get(request.url.path)
        if file is not None:
            return Response(file.content, media_type=file.media_type, headers={**ALWAYS, "cache-control": file.cache})
        return _plain(NOT_THERE, 404) if files else _plain(NOT_BUILT, 503)

    return [page]


def _files(built: Path) -> dict[str, File]:
    """By the path of their address; nothing else can be asked for."""
    found = {f"/{path.relative_to(built).as_posix()}": path for path in built.rglob("*") if path.suffix in TYPES}
    files = {address: _file(path, hashed=address.startswith("/assets/")) for address, path in found.items()}
    if (index := files.pop("/index.html", None)) is not None:
        files["/"] = index
    return files


def _file(path: Path, *, hashed: bool) -> File:
    """What carries its digest in its name never changes; the rest is asked for again, by its ETag."""
    return File(path.read_bytes(), TYPES[path.suffix], FOR_EVER if hashed else "no-cache")


def _plain(text: str, status: int) -> Response[bytes]:
    headers = {**ALWAYS, "cache-control": "no-store"}
    return Response(text.encode(), media_type="text/plain", status_code=status, headers=headers)


ROUTES = routes()
