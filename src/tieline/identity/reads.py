"""Whether a device or a client is who it says. Functions on a Reader join a caller's transaction."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

import msgspec
import sqlalchemy as sa

from tieline.base.access import Caller, Grant
from tieline.base.errors import NotFound, Unauthenticated
from tieline.columns import structs
from tieline.identity import model
from tieline.identity.model import Bearer, Client, Root, SigningKey, TokenPolicy
from tieline.identity.scopes import Role, hears
from tieline.identity.store import authority, client, credential, signing_key
from tieline.ports import Reader, Rows
from tieline.wires.openadr31 import topics


class Verifier(Protocol):
    """Raises `Unauthenticated` for a token that is nobody's."""

    async def verify(self, token: str) -> Bearer: ...


_CLIENTS = sa.select(*[client.c[name] for name in Client.__struct_fields__])


# --- the MQTT door ----------------------------------------------------------------------------------------------------


async def device(rows: Rows, caller: Caller) -> Grant | None:
    """What a device that connects may say and hear; None unless secret and client id are its own.

    The client id is bound to the user: MQTT closes the older of two sessions of one client id, so whoever could take
    another's could shut it out.
    """
    expected = await rows.read(lambda reader: _secret_digest(reader, caller.user))
    known = model.matches(caller.password, expected or model.NOBODY) and expected is not None
    return model.device_grant(caller.user) if known and caller.mqtt_client_id == caller.user else None


async def bearer_device(rows: Rows, caller: Caller, verifier: Verifier) -> Grant | None:
    """What a client that connects with its token as password may hear; None unless the token is the user's own. It is
    heard no longer than its token is valid.

    It may choose its MQTT client id, as such clients do, except one that belongs to a device, to another client or to
    the platform, which it would shut out.
    """
    try:
        bearer = await verifier.verify(caller.password)
    except Unauthenticated:
        return None
    if bearer.client_id != caller.user or await _is_another_s(rows, caller.mqtt_client_id, caller.user):
        return None
    return _listening(bearer)


async def certified_device(rows: Rows, caller: Caller) -> Grant | None:
    """What a device or a client may do whose certificate the broker has verified: as much as with its secret or its
    token, which it needs not, until the certificate expires. None where another user is named than it certifies."""
    proof = caller.proof
    if proof is None or caller.user not in ("", proof.name):
        return None
    if proof.purpose != model.CLIENT and await rows.read(lambda reader: has_credential(reader, proof.name)):
        return model.device_grant(proof.name, proof.until) if caller.mqtt_client_id == proof.name else None
    found = await standing(rows, proof.name)
    if found is None or found.revoked_at or await _is_another_s(rows, caller.mqtt_client_id, proof.name):
        return None
    return _listening(Bearer(found.client_id, found.role, frozenset(found.scopes), proof.until))


async def anyone(rows: Rows, caller: Caller) -> Grant | None:
    """What may be heard by whoever does not say who it is; None for a client id that is somebody's."""
    return None if await _is_another_s(rows, caller.mqtt_client_id, "") else model.listener_grant([topics.ANYONE])


def _listening(bearer: Bearer) -> Grant:
    if not hears(bearer.role, bearer.scopes):
        return Grant(until=bearer.expires_at)
    place = topics.ROOT if bearer.role is Role.BL else topics.of_client(bearer.client_id)
    return model.listener_grant([place], bearer.expires_at)


def has_credential(reader: Reader, subject: str) -> bool:
    """Whether it is a device that may connect."""
    return _secret_digest(reader, subject) is not None


def _secret_digest(reader: Reader, subject: str) -> str | None:
    valid = sa.and_(credential.c.subject == subject, credential.c.revoked_at.is_(None))
    found: str | None = reader.execute(sa.select(credential.c.secret_digest).where(valid)).scalar()
    return found


async def _is_another_s(rows: Rows, mqtt_client_id: str, user: str) -> bool:
    if mqtt_client_id == user:
        return False
    if mqtt_client_id.startswith(model.PLATFORM) or not mqtt_client_id.isprintable():
        return True
    taken = sa.union_all(
        sa.select(sa.literal(1)).where(credential.c.subject == mqtt_client_id),
        sa.select(sa.literal(1)).where(client.c.client_id == mqtt_client_id),
    )
    return await rows.read(lambda reader: reader.execute(taken).first() is not None)


# --- clients ----------------------------------------------------------------------------------------------------------


class Standing(msgspec.Struct, frozen=True):
    """What a client's secret and tokens are measured by."""

    client_id: str
    role: Role
    scopes: list[str]
    secret_digest: str
    generation: int
    revision: int
    revoked_at: datetime | None


_STANDINGS = sa.select(*[client.c[name] for name in Standing.__struct_fields__])


def find_client(reader: Reader, client_id: str) -> Client | None:
    return next(iter(structs(Client, reader.execute(_CLIENTS.where(client.c.client_id == client_id)))), None)


def the_client(reader: Reader, client_id: str) -> Client:
    """Raises `NotFound`."""
    if (found := find_client(reader, client_id)) is None:
        raise NotFound(f"there is no client {client_id!r}: `tieline client list` shows them all")
    return found


async def clients(rows: Rows, *, after: str = "", limit: int | None = None) -> list[Client]:
    """In order of id, after an id; revoked ones too."""
    query = _CLIENTS.where(client.c.client_id > after).order_by(client.c.client_id).limit(limit)
    return await rows.read(lambda reader: structs(Client, reader.execute(query)))


async def standing(rows: Rows, client_id: str) -> Standing | None:
    query = _STANDINGS.where(client.c.client_id == client_id)
    return await rows.read(lambda reader: next(iter(structs(Standing, reader.execute(query))), None))


async def changed(rows: Rows, revision: int) -> list[Standing]:
    """The clients that were renewed or revoked after a revision, in order of theirs."""
    query = _STANDINGS.where(client.c.revision > revision).order_by(client.c.revision)
    return await rows.read(lambda reader: structs(Standing, reader.execute(query)))


def revoked(reader: Reader, ids: Collection[str]) -> set[str]:
    """Those of these clients that were shut out."""
    query = sa.select(client.c.client_id).where(client.c.client_id.in_(ids), client.c.revoked_at.is_not(None))
    return set(reader.execute(query).scalars())


async def last_revision(rows: Rows) -> int:
    query = sa.select(sa.func.coalesce(sa.func.max(client.c.revision), 0))
    found: int = await rows.read(lambda reader: reader.execute(query).scalar_one())
    return found


# --- signing keys -----------------------------------------------------------------------------------------------------


def newest_key(reader: Reader, policy: TokenPolicy, now: datetime) -> SigningKey | None:
    """The key to sign with, unless it is too old or there is none."""
    valid = sa.and_(
        signing_key.c.algorithm == policy.algorithm,
        signing_key.c.retires_at.is_(None),
        signing_key.c.created_at > now - policy.key_age,
    )
    query = sa.select(signing_key).where(valid).order_by(signing_key.c.created_at.desc(), signing_key.c.kid).limit(1)
    return next(iter(structs(SigningKey, reader.execute(query))), None)


async def signing_keys(rows: Rows) -> list[SigningKey]:
    """All that are kept, the newest first; those retired too, until the next rotation."""
    query = sa.select(signing_key).order_by(signing_key.c.created_at.desc(), signing_key.c.kid)
    return await rows.read(lambda reader: structs(SigningKey, reader.execute(query)))


# --- the certificate authority ----------------------------------------------------------------------------------------


def root(reader: Reader) -> Root | None:
    return next(iter(structs(Root, reader.execute(sa.select(authority)))), None)
