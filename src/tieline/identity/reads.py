"""What is known of devices, claims, clients and keys. Functions on a Reader join a caller's transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.columns import structs
from tieline.identity import model
from tieline.identity.model import Client, Root, SigningKey, TokenPolicy
from tieline.identity.scopes import Role
from tieline.identity.store import authority, claim, client, credential, signing_key
from tieline.ports import Reader, Rows

_AT_ONCE = 500  # names of a query
_CLIENTS = sa.select(*[client.c[name] for name in Client.__struct_fields__])


# --- devices ----------------------------------------------------------------------------------------------------------


class Credential(msgspec.Struct, frozen=True):
    """A device's, as it stands; `generation` counts its renewals."""

    ven_id: str
    generation: int
    issued_at: datetime
    enrolled_at: datetime | None
    paused_until_at: datetime | None
    revoked_at: datetime | None


class Held(msgspec.Struct, frozen=True):
    """What a device that connects is measured by."""

    secret_digest: str
    generation: int
    revoked_at: datetime | None
    paused_until_at: datetime | None


_CREDENTIALS = sa.select(
    credential.c.subject.label("ven_id"), *[credential.c[name] for name in Credential.__struct_fields__[1:]]
)
_HELD = sa.select(*[credential.c[name] for name in Held.__struct_fields__])
_VALID = credential.c.revoked_at.is_(None)


def held(reader: Reader, subject: str) -> Held | None:
    return next(iter(structs(Held, reader.execute(_HELD.where(credential.c.subject == subject)))), None)


def generation(reader: Reader, subject: str) -> int | None:
    """Of a device that may connect."""
    found: int | None = reader.execute(
        sa.select(credential.c.generation).where(credential.c.subject == subject, _VALID)
    ).scalar()
    return found


def the_credential(reader: Reader, ven_id: str) -> Credential:
    """Raises `NotFound`."""
    found = structs(Credential, reader.execute(_CREDENTIALS.where(credential.c.subject == ven_id)))
    if not found:
        raise NotFound(f"there is no VEN {ven_id!r}: register it first")
    return found[0]


async def credentials(
    rows: Rows, *, new_at: datetime | None, after: str = "", limit: int | None = None
) -> list[Credential]:
    """In order of VEN id, after one; `new_at`: only of VENs that no device enrolled for and that no claim is open for
    at that instant."""
    query = _CREDENTIALS.where(credential.c.subject > after).order_by(credential.c.subject).limit(limit)
    if new_at is not None:
        open_ = sa.and_(claim.c.revoked_at.is_(None), claim.c.expires_at > new_at, claim.c.used < claim.c.uses)
        claimed = sa.exists().where(claim.c.ven_id == credential.c.subject, open_)
        query = query.where(_VALID, credential.c.enrolled_at.is_(None), ~claimed)
    return await rows.read(lambda reader: structs(Credential, reader.execute(query)))


def admitted(reader: Reader, ven_ids: Sequence[str], now: datetime) -> dict[str, int]:
    """Those of these VENs that may be connected, each with the generation of its credential."""
    free = sa.or_(credential.c.paused_until_at.is_(None), credential.c.paused_until_at <= now)
    query = sa.select(credential.c.subject, credential.c.generation).where(_VALID, free)
    found: dict[str, int] = {}
    for begin in range(0, len(ven_ids), _AT_ONCE):
        chunk = ven_ids[begin : begin + _AT_ONCE]
        found |= {row.subject: row.generation for row in reader.execute(query.where(credential.c.subject.in_(chunk)))}
    return found


def is_another_s(reader: Reader, mqtt_client_id: str, user: str) -> bool:
    """Whether a client id at the broker belongs to a device, a client or the platform, and not to this user."""
    if mqtt_client_id == user:
        return False
    if mqtt_client_id.startswith(model.PLATFORM) or not mqtt_client_id.isprintable():
        return True
    taken = sa.union_all(
        sa.select(sa.literal(1)).where(credential.c.subject == mqtt_client_id),
        sa.select(sa.literal(1)).where(client.c.client_id == mqtt_client_id),
    )
    return reader.execute(taken).first() is not None


# --- claims -----------------------------------------------------------------------------------------------------------


class Claim(msgspec.Struct, frozen=True):
    """The right to enrol a device for one VEN, so many times until it expires."""

    claim_id: str
    ven_id: str
    uses: int
    used: int
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


class Kept(msgspec.Struct, frozen=True):
    """What a claim that is shown is measured by."""

    ven_id: str
    secret_digest: str
    uses: int
    used: int
    expires_at: datetime
    revoked_at: datetime | None
    key_digest: str | None
    generation: int | None


_CLAIMS = sa.select(*[claim.c[name] for name in Claim.__struct_fields__])
_KEPT = sa.select(*[claim.c[name] for name in Kept.__struct_fields__])


def kept_claim(reader: Reader, claim_id: str) -> Kept | None:
    return next(iter(structs(Kept, reader.execute(_KEPT.where(claim.c.claim_id == claim_id)))), None)


def the_claim(reader: Reader, claim_id: str) -> Claim:
    """Raises `NotFound`."""
    found = structs(Claim, reader.execute(_CLAIMS.where(claim.c.claim_id == claim_id)))
    if not found:
        raise NotFound(f"there is no claim {claim_id[:40]!r}: `tieline claim list` shows them all")
    return found[0]


async def claims(rows: Rows, ven_id: str | None, *, after: str = "", limit: int | None = None) -> list[Claim]:
    """In order of id, after one; spent and revoked ones too."""
    query = _CLAIMS.where(claim.c.claim_id > after).order_by(claim.c.claim_id).limit(limit)
    query = query.where(claim.c.ven_id == ven_id) if ven_id else query
    return await rows.read(lambda reader: structs(Claim, reader.execute(query)))


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


def count_clients(reader: Reader) -> int:
    """Of those that are not revoked."""
    query = sa.select(sa.func.count()).select_from(client).where(client.c.revoked_at.is_(None))
    found: int = reader.execute(query).scalar_one()
    return found


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
