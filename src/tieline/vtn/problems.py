"""Failures as OpenADR clients read them: a `problem` as application/json, whatever failed (Definition "Problem")."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from tieline.base.errors import Broken, Refused, TielineError
from tieline.doors import problem_headers
from tieline.wires.openadr31.messages import Problem

log = structlog.get_logger(__name__)
LONGEST = 500


def _problem(status: int, detail: str) -> Response[bytes]:
    told = detail if len(detail) <= LONGEST else f"{detail[:LONGEST]}…"  # a refusal repeats little of what it refuses
    body = msgspec.json.encode(Problem(title=HTTPStatus(status).phrase, status=status, detail=told))
    return Response(body, status_code=status, media_type="application/json", headers=problem_headers(status))


def _ours(_: Request[Any, Any, Any], error: TielineError) -> Response[bytes]:
    """What is refused without a status of its own is malformed to a client: the specification knows no 422."""
    status = 400 if type(error) is Refused else error.status
    if isinstance(error, Broken):
        log.error("broken", error=str(error), exc_info=error)
    return _problem(status, str(error))


def _litestar_s(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    response = _problem(error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response


def _unforeseen(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.error("unforeseen", path=request.url.path, exc_info=error)
    return _problem(500, "This is our fault; it was logged.")


PROBLEMS: ExceptionHandlersMap = {TielineError: _ours, HTTPException: _litestar_s, Exception: _unforeseen}
