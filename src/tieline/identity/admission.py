"""Who is let in at the MQTT door, and what each may say and hear there; or why not."""

from typing import Protocol

from tieline.base.access import Caller, Grant, Proof
from tieline.base.errors import Unauthenticated
from tieline.base.time import Clock
from tieline.identity import model, reads
from tieline.identity.model import Bearer, Denied
from tieline.identity.reads import Held
from tieline.identity.scopes import Role, hears
from tieline.ports import Rows
from tieline.wires.openadr31 import topics


class Verifier(Protocol):
    """Raises `Unauthenticated` for a token that is nobody's."""

    async def verify(self, token: str) -> Bearer: ...


async def device(rows: Rows, clock: Clock, caller: Caller) -> Grant | Denied:
    """A device by its secret.

    The client id is bound to the user: MQTT closes the older of two sessions of one client id, so whoever could take
    another's could shut it out.
    """
    found = await rows.read(lambda reader: reads.held(reader, caller.user))
    known = model.matches(caller.password, found.secret_digest if found else model.NOBODY)
    if found is None:
        return Denied.UNKNOWN
    if not known:
        return Denied.WRONG_SECRET
    return _stopped(found, clock, caller, caller.user) or model.device_grant(caller.user, found.generation)


async def bearer_device(rows: Rows, caller: Caller, verifier: Verifier) -> Grant | Denied:
    """A client by its token as password: it is heard no longer than that is valid.

    It may choose its MQTT client id, as such clients do, except one that belongs to a device, to another client or to
    the platform, which it would shut out.
    """
    try:
        bearer = await verifier.verify(caller.password)
    except Unauthenticated:
        return Denied.WRONG_TOKEN
    if bearer.client_id != caller.user:
        return Denied.WRONG_TOKEN
    return await _another_s(rows, caller, caller.user) or _listening(bearer)


async def certified(rows: Rows, clock: Clock, caller: Caller) -> Grant | Denied:
    """A device or a client by a certificate that the broker has verified: as much as by secret or token, which it
    needs not, until the certificate expires. A certificate of ours is void once its device's credential is renewed."""
    proof = caller.proof
    if proof is None:
        return Denied.NO_CERTIFICATE
    if caller.user not in ("", proof.name):
        return Denied.OTHER_USER
    found = None
    if proof.purpose != model.CLIENT:
        found = await rows.read(lambda reader: reads.held(reader, proof.name))
    return _certified_device(found, clock, caller, proof) if found else await _certified_client(rows, caller, proof)


def _certified_device(found: Held, clock: Clock, caller: Caller, proof: Proof) -> Grant | Denied:
    if model.generation_of(proof.purpose) not in (None, found.generation):
        return Denied.REVOKED if found.revoked_at else Denied.OLD_CERTIFICATE
    stopped = _stopped(found, clock, caller, proof.name)
    return stopped or model.device_grant(proof.name, found.generation, proof.until)


async def _certified_client(rows: Rows, caller: Caller, proof: Proof) -> Grant | Denied:
    of_a_device = model.generation_of(proof.purpose) is not None  # there was one of this name
    found = None if of_a_device else await reads.standing(rows, proof.name)
    if found is None or found.revoked_at:
        return Denied.REVOKED if found else Denied.UNKNOWN
    bearer = Bearer(found.client_id, found.role, frozenset(found.scopes), proof.until)
    return await _another_s(rows, caller, proof.name) or _listening(bearer)


async def anyone(rows: Rows, caller: Caller) -> Grant | Denied:
    """Whoever does not say who it is may hear what has no targets, by a client id that is nobody's."""
    return await _another_s(rows, caller, "") or model.listener_grant([topics.ANYONE])


def _stopped(found: Held, clock: Clock, caller: Caller, ven_id: str) -> Denied | None:
    if found.revoked_at is not None:
        return Denied.REVOKED
    if caller.mqtt_client_id != ven_id:
        return Denied.OTHER_CLIENT_ID
    paused = found.paused_until_at is not None and clock.now() < found.paused_until_at
    return Denied.FLOODING if paused else None


async def _another_s(rows: Rows, caller: Caller, user: str) -> Denied | None:
    another_s = await rows.read(lambda reader: reads.is_another_s(reader, caller.mqtt_client_id, user))
    return Denied.OTHER_CLIENT_ID if another_s else None


def _listening(bearer: Bearer) -> Grant:
    if not hears(bearer.role, bearer.scopes):
        return Grant(until=bearer.expires_at)
    place = topics.ROOT if bearer.role is Role.BL else topics.of_client(bearer.client_id)
    return model.listener_grant([place], bearer.expires_at)
