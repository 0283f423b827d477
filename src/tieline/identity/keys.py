"""The keys that sign our own tokens: kept in Rows, made at first need, replaced with age, known to every process.

key 1   signs ────────────┐ verifies until what it signed has expired ┤ dropped
key 2                     └ signs ───────────────…
                          ▲ rotation: by age, or by `tieline client rotate-keys`
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec
from joserfc.jwk import ECKey, RSAKey

from tieline.base.time import EPOCH, Clock
from tieline.identity import actions, reads
from tieline.identity.model import SigningKey, TokenPolicy
from tieline.identity.tokens import AnyKey
from tieline.ports import Rows

_KNOWN_FOR = timedelta(seconds=60)  # what was read of the keys; far less than they overlap
_AGAIN = timedelta(seconds=1)  # between looks for a key that a token names: anyone can name one that never was
_KINDS: dict[str, type[AnyKey]] = {"E": ECKey, "R": RSAKey}


class Key(msgspec.Struct, frozen=True):
    """A signing key, ready for use."""

    kid: str
    algorithm: str
    pair: AnyKey
    created_at: datetime
    retires_at: datetime | None


def new_key(algorithm: str, now: datetime) -> SigningKey:
    """Its id is the thumbprint of its public half (RFC 7638). Takes a while for RS256: call it in a thread."""
    pair: AnyKey = ECKey.generate_key("P-256") if algorithm == "ES256" else RSAKey.generate_key(2048)
    return SigningKey(pair.thumbprint(), algorithm, pair.as_pem(private=True).decode(), now)


class KeyRing:
    """The signing keys as this process knows them."""

    def __init__(self, rows: Rows, clock: Clock, policy: TokenPolicy) -> None:
        self._rows = rows
        self._clock = clock
        self._policy = policy
        self._keys: dict[str, Key] = {}
        self._read_at = EPOCH
        self._reading = asyncio.Lock()
        self._making = asyncio.Lock()

    async def signing(self) -> Key:
        """The key to sign with now; made where there is none, or none that is young enough."""
        await self._read_after(_KNOWN_FOR)
        async with self._making:
            if (key := self._youngest()) is None:
                await self._make()
                key = self._youngest()
        assert key is not None
        return key

    async def verifying(self, kid: str) -> Key | None:
        """The key of that id, unless it has retired."""
        await self._read_after(_AGAIN if kid not in self._keys else _KNOWN_FOR)
        key = self._keys.get(kid)
        return key if key is not None and self._verifies(key) else None

    async def jwks(self) -> dict[str, Any]:
        """The public halves of all keys whose tokens may be valid (RFC 7517)."""
        await self.signing()
        return {
            "keys": [
                {**key.pair.as_dict(private=False), "kid": key.kid, "alg": key.algorithm, "use": "sig"}
                for key in self._keys.values()
                if self._verifies(key)
            ]
        }

    def _youngest(self) -> Key | None:
        oldest = self._clock.now() - self._policy.key_age
        fit = (
            key
            for key in self._keys.values()
            if key.retires_at is None and key.algorithm == self._policy.algorithm and key.created_at > oldest
        )
        return next(fit, None)  # they are kept with the newest first

    def _verifies(self, key: Key) -> bool:
        return key.retires_at is None or key.retires_at > self._clock.now()

    async def _make(self) -> None:
        now, policy = self._clock.now(), self._policy
        candidate = await asyncio.to_thread(new_key, policy.algorithm, now)
        await self._rows.transaction(lambda tx: actions.settle_key(tx, candidate, policy, now))
        await self._read_after(timedelta(0))

    async def _read_after(self, age: timedelta) -> None:
        """Read the keys again where they were last read that long ago."""
        async with self._reading:
            now = self._clock.now()
            if now - self._read_at < age:
                return
            found = await reads.signing_keys(self._rows)
            self._keys = {one.kid: self._ready(one) for one in found}
            self._read_at = now

    def _ready(self, one: SigningKey) -> Key:
        known = self._keys.get(one.kid)  # reading a PEM takes as long as signing
        pair = known.pair if known else _KINDS[one.algorithm[0]].import_key(one.private_pem)
        return Key(one.kid, one.algorithm, pair, one.created_at, one.retires_at)
