"""How a VEN comes to its token and keeps one that is valid (OAuth 2 client credentials; Definition, "Security").

GET {vtn}/auth/server ──▶ tokenURL ──▶ POST client id and secret ──▶ token, used until shortly before it expires
                                                                      └─ or until a 401, then a new one, once
"""

import asyncio
import base64
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote_plus

import httpx
import msgspec

from tieline.base.errors import Refused, Unauthenticated, Unready
from tieline.ven.openadr.exchange import Exchange, Reply, failure

T = TypeVar("T")
EARLY = 0.1
"""A token is renewed when this part of its life is left."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a VEN was given when it was enrolled.

    `basic` sends them by HTTP Basic instead of in the form; `token_url` is only for a VTN that does not tell its own.
    """

    client_id: str
    secret: str
    scope: str = ""
    basic: bool = False
    token_url: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.client_id!r})"


class _Server(msgspec.Struct):
    token_url: str = msgspec.field(name="tokenURL")


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float | None = None


class Tokens:
    """One valid token at a time, whoever asks. `seconds` tells a time that only runs forward."""

    def __init__(
        self,
        exchange: Exchange,
        base: httpx.URL,
        credentials: Credentials,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchange = exchange
        self._base = base
        self._credentials = credentials
        self._seconds = seconds
        self._asking = asyncio.Lock()
        self._token = ""
        self._until_s = 0.0

    async def token(self) -> str:
        """Raises `Unauthenticated` for credentials that are refused, `Unready` when nobody answers."""
        async with self._asking:
            if not self._token or self._seconds() >= self._until_s:
                granted = await self._granted()
                lives_s = float("inf") if granted.expires_in is None else granted.expires_in
                self._token, self._until_s = granted.access_token, self._seconds() + lives_s * (1 - EARLY)
            return self._token

    def forget(self, token: str) -> None:
        """It was refused: the next one asks for a new one, unless somebody did already."""
        if token == self._token:
            self._token = ""

    async def _granted(self) -> _Granted:
        given, form, headers = self._credentials, {"grant_type": "client_credentials"}, {}
        if given.scope:
            form["scope"] = given.scope
        if given.basic:
            headers["Authorization"] = _basic(given)
        else:
            form |= {"client_id": given.client_id, "client_secret": given.secret}
        url = await self._token_url()
        reply = await self._exchange.ask(
            self._exchange.http.build_request("POST", url, data=form, headers=headers), repeatable=True
        )
        if reply.status in (400, 401, 403):
            raise Unauthenticated(f"no token for client {given.client_id!r}: {failure(reply)}")
        return _read(reply, _Granted)

    async def _token_url(self) -> httpx.URL:
        told = self._credentials.token_url
        if not told:
            request = self._exchange.http.build_request("GET", httpx.URL(f"{self._base}/auth/server"))
            told = _read(await self._exchange.ask(request, repeatable=True), _Server).token_url
        if told == "/auth/token":  # as the specification names it: below the VTN's own URL
            told = told.removeprefix("/")
        try:
            return self._exchange.check(httpx.URL(f"{self._base}/").join(told))
        except httpx.InvalidURL as error:
            raise Refused(f"the VTN's tokenURL {told[:200]!r} is none: {error}") from None


def _read(reply: Reply, kind: type[T]) -> T:
    if reply.status != 200:
        raise failure(reply)
    try:
        return msgspec.json.decode(reply.body, type=kind, strict=False)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unready(f"{reply.request.url}: the answer is not what a token is asked with: {error}") from None


def _basic(given: Credentials) -> str:
    """Quoted as RFC 6749 2.3.1 has it."""
    pair = f"{quote_plus(given.client_id)}:{quote_plus(given.secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
