"""An outside issuer's keys and token endpoint: discovered (OpenID Connect Discovery 1.0, 4), and kept for a while."""

import asyncio
from datetime import datetime, timedelta
from typing import TypeVar

import httpx
import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from tieline.base.errors import Unready
from tieline.base.time import EPOCH, Clock
from tieline.identity.outside import OutsideIssuer
from tieline.identity.tokens import AnyKey, Header

T = TypeVar("T")
log = structlog.get_logger(__name__)

_AGES_IN = timedelta(hours=1)
_AGAIN = timedelta(minutes=1)  # between looks for a key that a token names: anyone can name one that never was
_AFTER_FAILURE = timedelta(seconds=5)
_OUTLIVES = timedelta(days=1)  # so long an issuer that is away is trusted by the keys it had
_TIMEOUT_S = 5.0
_LARGEST = 1 << 20
_MOST_KEYS = 64
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, TimeoutError, msgspec.MsgspecError, RecursionError, Unready)
_RSA_CHARACTERS = range(342, 1367)  # of a modulus of 2048 to 8192 bits in base64url


class _Metadata(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str
    token_endpoint: str


class _Jwk(msgspec.Struct, frozen=True, kw_only=True):
    """The members that make a public key of the kinds in use (RFC 7517 4, RFC 7518 6); no others are looked at."""

    kty: str
    use: str = "sig"
    kid: str | None = None
    alg: str | None = None
    crv: str = ""
    x: str = ""
    y: str = ""
    n: str = ""
    e: str = ""


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[_Jwk]


class _Key(msgspec.Struct, frozen=True):
    """A public key of the issuer; `algorithm` where it is for one alone."""

    kid: str | None
    algorithm: str | None
    public: AnyKey

    def fits(self, header: Header) -> bool:
        of_its_kind = isinstance(self.public, ECKey) == header.alg.startswith("ES")
        return of_its_kind and header.kid in (None, self.kid) and self.algorithm in (None, header.alg)


class Discovered:
    """What an issuer publishes, as this process knows it."""

    def __init__(self, issuer: OutsideIssuer, clock: Clock) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: list[_Key] = []
        self._token_url = ""
        self._read_at = EPOCH
        self._failed_at = EPOCH
        self._failure = ""
        self._reading = asyncio.Lock()

    async def token_url(self) -> str:
        """Where clients fetch their tokens. Raises `Unready` while the issuer cannot be asked."""
        await self._read_after(_AGES_IN)
        return self._token_url

    async def verifying(self, header: Header) -> AnyKey | None:
        """The key that a token names, or the only one that fits where it names none. Raises `Unready`."""
        await self._read_after(_AGES_IN)
        if (key := self._fitting(header)) is None:
            await self._read_after(_AGAIN)
            key = self._fitting(header)
        return key

    def _fitting(self, header: Header) -> AnyKey | None:
        fit = [key.public for key in self._keys if key.fits(header)]
        return fit[0] if len(fit) == 1 else None

    async def _read_after(self, age: timedelta) -> None:
        """Read all again where that was last done so long ago. While it fails, what was known is good for a day."""
        async with self._reading:
            now = self._clock.now()
            if now - self._read_at >= age and now - self._failed_at >= _AFTER_FAILURE:
                await self._read(now)
            if now - self._read_at >= _OUTLIVES:
                raise Unready(f"the issuer {self._issuer.issuer} cannot be asked for its keys: {self._failure}")

    async def _read(self, now: datetime) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S), httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
                metadata = await self._metadata(client)
                found = await _fetched(client, metadata.jwks_uri, _Jwks)
        except _FAILURES as error:
            told = f"{type(error).__name__}: {error}"[:300]
            if not self._failure:
                log.warning("the issuer of tokens cannot be asked", issuer=self._issuer.issuer, error=told)
            self._failure, self._failed_at = told, self._clock.now()
            return
        self._keys = [key for jwk in found.keys[:_MOST_KEYS] if (key := self._usable(jwk)) is not None]
        self._token_url, self._read_at, self._failure = metadata.token_endpoint, now, ""

    async def _metadata(self, client: httpx.AsyncClient) -> _Metadata:
        url = f"{self._issuer.issuer.rstrip('/')}/.well-known/openid-configuration"
        metadata = await _fetched(client, url, _Metadata)
        if metadata.issuer != self._issuer.issuer:
            raise Unready(f"{url} speaks for the issuer {metadata.issuer!r}: set oidc_issuer to exactly that")
        schemes = ("https://", "http://") if self._issuer.insecure else ("https://",)
        if not (metadata.jwks_uri.startswith(schemes) and metadata.token_endpoint.startswith(schemes)):
            raise Unready(f"{url} names addresses that are not https://")
        return metadata

    def _usable(self, jwk: _Jwk) -> _Key | None:
        if jwk.use != "sig" or (jwk.alg is not None and jwk.alg not in self._issuer.algorithms):
            return None
        try:
            public = _public(jwk)
        except (JoseError, ValueError, TypeError) as error:
            log.debug("a key of the issuer cannot be used", kid=jwk.kid, error=str(error))
            return None
        return None if public is None else _Key(jwk.kid, jwk.alg, public)


def _public(jwk: _Jwk) -> AnyKey | None:
    if jwk.kty == "EC":
        return ECKey.import_key({"kty": "EC", "crv": jwk.crv, "x": jwk.x, "y": jwk.y})
    if jwk.kty == "RSA" and len(jwk.n) in _RSA_CHARACTERS:
        return RSAKey.import_key({"kty": "RSA", "n": jwk.n, "e": jwk.e})
    return None


async def _fetched(client: httpx.AsyncClient, url: str, kind: type[T]) -> T:
    """No redirect is followed: what is not where the settings or the issuer say it is, is not the issuer's."""
    async with client.stream("GET", url, headers={"accept": "application/json"}) as response:
        if response.status_code != 200:
            raise Unready(f"{url} answers {response.status_code}")
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _LARGEST:
                raise Unready(f"{url} answers more than {_LARGEST} bytes")
    return msgspec.json.decode(body, type=kind)
