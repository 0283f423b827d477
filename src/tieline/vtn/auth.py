"""Where tokens come from: /auth/server and /auth/token, and the keys that verify them.

embedded   /auth/token gives tokens; /.well-known/jwks.json verifies them
outside    /auth/server names the outside issuer's endpoint; /auth/token is not implemented here (501)
"""

from typing import Any, Protocol

import msgspec
from litestar import Request, Response, get, post

from tieline.identity.issuer import Issuer
from tieline.vtn import bodies
from tieline.vtn.answers import Answer
from tieline.vtn.routes import answered
from tieline.wires.openadr31.auth import AuthServerInfo
from tieline.wires.openadr31.messages import Problem

Http = Request[Any, Any, Any]


class Outside(Protocol):
    """An issuer that is not ours."""

    async def token_url(self) -> str: ...


def _server_route(prefix: str, issuer: Issuer | Outside, public_url: str) -> Any:
    @get(f"{prefix}/auth/server", include_in_schema=False)
    async def show_server(request: Http) -> Response[bytes]:
        """The URL of the token endpoint."""
        here = f"{public_url or base_url(request)}{prefix}/auth/token"
        url = here if isinstance(issuer, Issuer) else await issuer.token_url()
        return answered(request, Answer(msgspec.json.encode(AuthServerInfo(url))))

    return show_server


def _token_route(prefix: str, issuer: Issuer | Outside) -> Any:
    @post(f"{prefix}/auth/token", include_in_schema=False)
    async def fetch_token(request: Http) -> Response[bytes]:
        if not isinstance(issuer, Issuer):
            detail = f"this VTN gives no tokens: {prefix}/auth/server names who does"
            problem = Problem(title="Not Implemented", status=501, detail=detail)
            return Response(msgspec.json.encode(problem), status_code=501, media_type="application/json")
        told = await issuer.fetch_token(await bodies.whole(request), request.headers.get("authorization"))
        body = msgspec.json.encode(told.body)
        return Response(body, status_code=told.status, media_type="application/json", headers=dict(told.headers))

    return fetch_token


def routes(prefix: str, issuer: Issuer | Outside, public_url: str) -> list[Any]:
    """Both for every version: a client of 3.0.1 knows /auth/token, and loses nothing by the other."""
    return [_token_route(prefix, issuer), _server_route(prefix, issuer, public_url)]


def well_known(issuer: Issuer) -> list[Any]:
    """What lets others verify our tokens."""

    @get("/.well-known/jwks.json", include_in_schema=False)
    async def show_keys(request: Http) -> Response[bytes]:
        return answered(request, Answer(msgspec.json.encode(await issuer.jwks())))

    return [show_keys]


def base_url(request: Http) -> str:
    """By which the caller reached us; behind a proxy the setting public_url says it."""
    return f"{request.url.scheme}://{request.url.netloc}"
