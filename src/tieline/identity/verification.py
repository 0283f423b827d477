"""Whose token it is: found out once, then known until it expires or its client is revoked.

known   a digest, two looks into dictionaries: microseconds, nothing awaited. None when it must be asked
verify  ─► known? ─► what changed of clients since (at most twice a second, for all at once) ─► known now?
        ─► the signature, the claims, and for our own tokens the client as it stands in Rows
"""

import asyncio
import hashlib
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from tieline.base.time import EPOCH, Clock
from tieline.identity import outside, reads, scopes, tokens
from tieline.identity.discovery import Discovered
from tieline.identity.keys import KeyRing
from tieline.identity.model import Bearer
from tieline.identity.outside import OutsideIssuer
from tieline.identity.tokens import OWN, OwnClaims, refused
from tieline.ports import Rows

_CHANGES_AFTER = timedelta(milliseconds=500)  # with the read itself within the second that revoking may take


class Opened(msgspec.Struct, frozen=True):
    """A token's bearer; `generation` is that of the client's secret, 0 where that is not ours to know."""

    bearer: Bearer
    generation: int
    until: datetime


class Tokens(Protocol):
    """How tokens of one issuer are opened, and what is known of their clients since."""

    async def open(self, token: str) -> Opened: ...
    def stands(self, opened: Opened) -> bool: ...
    async def look(self) -> None: ...


class Verifier:
    """Tells whose a token is; remembers `at_most` tokens, those used last."""

    def __init__(self, of: Tokens, clock: Clock, *, at_most: int = 100_000) -> None:
        self._tokens = of
        self._clock = clock
        self._at_most = at_most
        self._opened: OrderedDict[bytes, Opened] = OrderedDict()

    def known(self, token: str) -> Bearer | None:
        """The bearer of a token that was verified before and needs no second look now."""
        digest = _digest(token)
        opened = self._opened.get(digest)
        if opened is None or self._clock.now() >= opened.until or not self._tokens.stands(opened):
            return None
        self._opened.move_to_end(digest)
        return opened.bearer

    async def verify(self, token: str) -> Bearer:
        """Raises `Unauthenticated`, and `Unready` while Rows or the issuer cannot be asked."""
        if bearer := self.known(token):
            return bearer
        await self._tokens.look()
        if bearer := self.known(token):
            return bearer
        digest = _digest(token)
        self._opened.pop(digest, None)
        opened = self._opened[digest] = await self._tokens.open(token)
        if len(self._opened) > self._at_most:
            self._opened.popitem(last=False)
        return opened.bearer


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class OwnTokens:
    """Tokens of the embedded issuer. A client's renewal or revocation is heard of in at most a second."""

    def __init__(self, rows: Rows, clock: Clock, keys: KeyRing) -> None:
        self._rows = rows
        self._clock = clock
        self._keys = keys
        self._generations: dict[str, int | None] = {}  # of clients that changed since we look; None: revoked
        self._revision: int | None = None
        self._looked_at = EPOCH
        self._looking = asyncio.Lock()

    async def open(self, token: str) -> Opened:
        claims = await self._claims(token)
        client = await reads.standing(self._rows, claims.client_id)
        if client is None or client.revoked_at is not None or client.generation != claims.generation:
            raise refused("its client was revoked or renewed")
        until = tokens.expiry(claims.exp)
        bearer = Bearer(claims.client_id, claims.role, scopes.parsed(claims.scope), until)
        return Opened(bearer, claims.generation, until)

    async def _claims(self, token: str) -> OwnClaims:
        header = tokens.header(token)
        key = await self._keys.verifying(header.kid or "")
        if key is None or header.alg != key.algorithm or header.typ != tokens.ACCESS:
            raise refused("it is not signed as ours are")
        return tokens.own(tokens.opened(token, key.pair, key.algorithm, OWN, self._clock.now()))

    def stands(self, opened: Opened) -> bool:
        if self._clock.now() - self._looked_at >= _CHANGES_AFTER:
            return False
        return self._generations.get(opened.bearer.client_id, opened.generation) == opened.generation

    async def look(self) -> None:
        async with self._looking:
            now = self._clock.now()
            if now - self._looked_at < _CHANGES_AFTER:
                return
            if self._revision is None:
                self._revision = await reads.last_revision(self._rows)
            for client in await reads.changed(self._rows, self._revision):
                self._generations[client.client_id] = client.generation if client.revoked_at is None else None
                self._revision = client.revision
            self._looked_at = now


class OutsideTokens:
    """Tokens of an outside issuer: they are good until they expire."""

    def __init__(self, issuer: OutsideIssuer, clock: Clock, discovered: Discovered) -> None:
        self._issuer = issuer
        self._clock = clock
        self._discovered = discovered

    async def open(self, token: str) -> Opened:
        header = tokens.header(token)
        if header.alg not in self._issuer.algorithms:
            raise refused(f"{header.alg} is not an algorithm that oidc_algorithms allows")
        if (key := await self._discovered.verifying(header)) is None:
            raise refused("its issuer has no such key")
        claims = tokens.opened(token, key, header.alg, self._issuer.rules, self._clock.now())
        bearer = outside.bearer(self._issuer, claims)
        return Opened(bearer, 0, bearer.expires_at)

    def stands(self, _: Opened) -> bool:
        return True

    async def look(self) -> None:
        """Nothing is known of its clients."""
