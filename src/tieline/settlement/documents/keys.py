"""The keys that sign documents: made at first use, kept sealed in Rows as the authority's is, replaced by command.

key 1   signs ──────┤ its private half is forgotten, its public half stays: what it signed can be checked for ever
key 2               └ signs ───────…
"""

import asyncio
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tieline.base.errors import Refused
from tieline.base.time import Clock
from tieline.identity.sealing import sealed, unsealed
from tieline.ports import Rows, Transaction
from tieline.settlement.documents import store
from tieline.settlement.documents.verification import KeySet, PublicKey, public_key


class _New(msgspec.Struct, frozen=True):
    public: PublicKey
    sealed_key: bytes


class Keys:
    """Signing keys as this process knows them. The clock is the wall's; `passphrase` is asked for at first use."""

    def __init__(self, rows: Rows, wall: Clock, passphrase: Callable[[], str]) -> None:
        self._rows = rows
        self._wall = wall
        self._passphrase = passphrase
        self._opened: tuple[str, Ed25519PrivateKey] | None = None
        self._opening = asyncio.Lock()

    async def signing(self) -> tuple[str, Ed25519PrivateKey]:
        """The key in use and its id. Raises `Refused` for a passphrase that does not open it."""
        async with self._opening:
            known = await self._rows.read(store.key_in_use)
            kid, kept = known if known is not None else await self._made()
            if self._opened is None or self._opened[0] != kid:
                self._opened = kid, await asyncio.to_thread(_private, kid, kept, self._passphrase())
            return self._opened

    async def public(self) -> KeySet:
        """Of all keys that ever signed; one is made where there is none."""
        if await self._rows.read(store.key_in_use) is None:
            await self._made()
        return KeySet([PublicKey(kid=kid, x=x) for kid, x in await self._rows.read(store.public_keys)])

    async def rotate(self) -> str:
        """Sign with a new key from now on; its id."""
        new, now = await self._new(), self._wall.now()

        def work(tx: Transaction) -> str:
            store.retire_keys(tx, now)
            store.add_key(tx, new.public.kid, new.public.x, new.sealed_key, now)
            return new.public.kid

        return await self._rows.transaction(work)

    async def _made(self) -> tuple[str, bytes]:
        """Unless another process was quicker."""
        new, now = await self._new(), self._wall.now()

        def work(tx: Transaction) -> tuple[str, bytes]:
            if (known := store.key_in_use(tx)) is not None:
                return known
            store.add_key(tx, new.public.kid, new.public.x, new.sealed_key, now)
            return new.public.kid, new.sealed_key

        return await self._rows.transaction(work)

    async def _new(self) -> _New:
        private = Ed25519PrivateKey.generate()
        public, secret = public_key(private), private.private_bytes_raw()
        kept = await asyncio.to_thread(sealed, secret, self._passphrase(), _bound(public.kid))
        return _New(public, kept)


def _private(kid: str, kept: bytes, passphrase: str) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(unsealed(kept, passphrase, _bound(kid)))
    except Refused:
        raise Refused(
            f"the settlement key {kid} does not open: set TIELINE_CA_KEY to what it was made with, bring back the file "
            "ca.key of its data folder, or sign with another key (`tieline settlement rotate-key`)"
        ) from None


def _bound(kid: str) -> bytes:
    return b"settlement-key " + kid.encode()
