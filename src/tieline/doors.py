"""What every HTTP door shares: the ports it is handed, pages, problems, ETags, CSV, timing and who may come in."""

import base64
import csv
import hashlib
import hmac
import io
import time
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import structlog
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers.base import BaseRouteHandler
from litestar.params import Parameter, SkipValidation
from litestar.routes import HTTPRoute
from litestar.types import ExceptionHandlersMap

from tieline import metrics
from tieline.base.errors import Broken, Forbidden, Refused, TielineError, Unauthenticated
from tieline.base.part import Asgi
from tieline.base.time import Clock
from tieline.ports import Blobs, Log, Rows, Series

T = TypeVar("T")
log = structlog.get_logger(__name__)

# Handlers name what they need; `app` provides it.
WithLog = NamedDependency[SkipValidation[Log]]
WithRows = NamedDependency[SkipValidation[Rows]]
WithSeries = NamedDependency[SkipValidation[Series]]
WithBlobs = NamedDependency[SkipValidation[Blobs]]
WithClock = NamedDependency[SkipValidation[Clock]]

Limit = Annotated[int, Parameter(ge=1, le=1000, description="At most so many items")]
Cursor = Annotated[str | None, Parameter(description="next_cursor of the page before")]
Search = Annotated[str | None, Parameter(max_length=200, description="Text to find in ids and names")]


# --- pages ------------------------------------------------------------------------------------------------------------


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list; `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = None


def page(found: Sequence[T], limit: int, key: Callable[[T], str]) -> Page[T]:
    """A page out of up to `limit + 1` found items; the extra one only proves that there is more."""
    items = list(found[:limit])
    more = len(found) > limit
    return Page(items, cursor_of(key(items[-1])) if more else None)


def cursor_of(key: str) -> str:
    """What stands for the key of the last item of a page; see `after`."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def after(cursor: str | None) -> str:
    """The key that a cursor stands for; "" before the first page. Raises `Refused` for one that is not ours."""
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode() if cursor else ""
    except ValueError:
        raise Refused(f"cursor {cursor!r} is not one that this list gave: take next_cursor as it is") from None


# --- CSV --------------------------------------------------------------------------------------------------------------


def wants_csv(request: Request[Any, Any, Any]) -> bool:
    return "text/csv" in request.headers.get("accept", "")


def csv_response(header: Sequence[str], rows: Iterable[Sequence[object]], name: str) -> Response[bytes]:
    """RFC 4180; cells that a spreadsheet would run as a formula are quoted with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([[cell(value) for value in row] for row in rows])
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return Response(out.getvalue().encode(), media_type="text/csv; charset=utf-8", headers=headers)


def cell(value: object) -> object:
    """As it may stand in CSV that a spreadsheet opens."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "@", "\t") else value


# --- problems (RFC 9457) ----------------------------------------------------------------------------------------------


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    title: str
    status: int
    detail: str
    instance: str
    type: str = "about:blank"
    errors: list[str] = []


def _problem(request: Request[Any, Any, Any], title: str, status: int, detail: str, errors: Sequence[str] = ()) -> Any:
    body = Problem(title, status, detail, request.url.path, errors=list(errors))
    media, headers = "application/problem+json", problem_headers(status)
    return Response(msgspec.json.encode(body), status_code=status, media_type=media, headers=headers)


_SAID_WITH = {
    401: {"www-authenticate": "Bearer"},
    413: {"connection": "close"},  # its body stays unread: a client must not send more on that connection
    503: {"retry-after": "1"},
}


def problem_headers(status: int) -> dict[str, str]:
    """What a problem of that status says in its head."""
    return SAFE_HEADERS | _SAID_WITH.get(status, {})


def tieline_problem(request: Request[Any, Any, Any], error: TielineError) -> Response[bytes]:
    if isinstance(error, Broken):
        log.error("broken", path=request.url.path, error=str(error), exc_info=error)
    response: Response[bytes] = _problem(request, error.title, error.status, str(error))
    return response


def http_problem(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    wrong = error.extra if isinstance(error, ValidationException) and isinstance(error.extra, list) else []
    errors = [": ".join(str(one[name]) for name in ("key", "message") if name in one) for one in wrong]
    title = HTTPStatus(error.status_code).phrase
    response: Response[bytes] = _problem(request, title, error.status_code, error.detail, errors)
    response.headers.update(error.headers or {})
    return response


def too_deep_problem(request: Request[Any, Any, Any], _: RecursionError) -> Response[bytes]:
    response: Response[bytes] = _problem(request, "Bad Request", 400, "the body is nested too deeply to be read")
    return response


def unforeseen_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """What nobody foresaw is ours: logged whole, told to nobody."""
    log.error("unforeseen", path=request.url.path, exc_info=error)
    response: Response[bytes] = _problem(request, Broken.title, 500, "This is our fault; it was logged.")
    return response


PROBLEMS: ExceptionHandlersMap = {
    RecursionError: too_deep_problem,
    TielineError: tieline_problem,
    HTTPException: http_problem,
    Exception: unforeseen_problem,
}


# --- every answer -----------------------------------------------------------------------------------------------------

SAFE_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-cache"}


async def finish(response: Response[Any]) -> Response[Any]:
    """Give every answer its safe headers. A coroutine, since Litestar would run a plain function in a thread."""
    for name, value in SAFE_HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def tell_methods(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Answer OPTIONS: Litestar's own answer names only the methods of the handler that it was told of first."""
    if request.method != "OPTIONS":
        return None
    path = request.scope["path_template"]
    routes = [one for one in request.app.routes if isinstance(one, HTTPRoute) and one.path_format == path]
    allowed = sorted({method for route in routes for method in route.methods})
    return Response(None, status_code=204, headers={"allow": ", ".join(allowed)})


async def timed(app: Asgi, scope: Any, receive: Any, send: Any) -> None:
    """Call an ASGI application; its answer is counted, with the time that it took."""
    if scope["type"] != "http":
        await app(scope, receive, send)
        return
    began, status = time.perf_counter(), 0

    async def sent(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)
        await send(message)

    await app(scope, receive, sent)
    metrics.HTTP_SECONDS.labels(scope["method"], str(status)).observe(time.perf_counter() - began)


OPEN = {"open": True}
"""`opt` of a route that needs no token: what is sent there says who may send it."""


class Gate:
    """Who may call: anyone on a platform that listens on loopback only, else bearers of the token.

    A page of another origin must not be able to use the browser of someone who may: requests that name a foreign
    `Origin`, and on loopback a foreign `Host` (DNS rebinding), are refused.
    """

    def __init__(self, token: str | None, hosts: frozenset[str]) -> None:
        self._token = token
        self._hosts = hosts

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        host = connection.headers.get("host", "")
        origin = connection.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Forbidden(f"a page of {origin} may not call {host}")
        if self._token is None:
            if host.rsplit(":", 1)[0] not in self._hosts:
                raise Forbidden(f"this platform listens on loopback and does not answer to the name {host!r}")
        elif not handler.opt.get("open") and not _bears(connection.headers.get("authorization", ""), self._token):
            raise Unauthenticated("send `Authorization: Bearer …` with the token that TIELINE_API_TOKEN sets")


def _bears(authorization: str, token: str) -> bool:
    kind, _, given = authorization.partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def etag(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


class Conditional:
    """ASGI middleware: an ETag on every whole answer to a GET, and 304 with no body when the caller has it already. An
    answer that has one stays as it is."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, _Held(scope, send) if scope["type"] == "http" else send)


class _Held:
    """Holds back the head of an answer until its body is whole; what is streamed passes through untouched."""

    def __init__(self, scope: Any, send: Any) -> None:
        self._send = send
        self._get = scope["method"] in ("GET", "HEAD")
        self._known = dict(scope["headers"]).get(b"if-none-match", b"").decode("latin-1")
        self._head: dict[str, Any] | None = None

    async def __call__(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            tagged = any(name.lower() == b"etag" for name, _ in message["headers"])
            if self._get and message["status"] == 200 and not tagged:
                self._head = message
                return
        elif self._head is not None:
            head, self._head = self._head, None
            if not message.get("more_body"):
                message = self._tagged(head, message)
            await self._send(head)
        await self._send(message)

    def _tagged(self, head: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
        tag = etag(message.get("body", b""))
        head["headers"] = [*head["headers"], (b"etag", tag.encode())]
        if tag not in [known.strip().removeprefix("W/") for known in self._known.split(",")]:
            return message
        head["status"] = 304
        head["headers"] = [h for h in head["headers"] if h[0].lower() not in (b"content-length", b"content-type")]
        return {**message, "body": b""}
