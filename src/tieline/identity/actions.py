"""Issuing and revoking: the credentials of devices, the clients of OAuth2, the keys of tokens and certificates.

Each is done inside the caller's transaction. What happens to a device or a client is said on the Log, never its secret.
"""

from datetime import datetime, timedelta

import msgspec

from tieline.base.errors import Conflict
from tieline.identity import model, reads, store
from tieline.identity.model import NewClient, Root, SigningKey, TokenPolicy
from tieline.ports import Transaction

# A process that has not yet heard of a new key goes on with the old one for a minute, on a clock of its own.
_OVERLAP = timedelta(minutes=5)


class DeviceNews(msgspec.Struct, frozen=True):
    """What is said under `news.device.revoked` (its credential is another's or nobody's), `.enrolled` and `.paused`."""

    ven_id: str
    at: datetime


class ClientNews(msgspec.Struct, frozen=True):
    """What is said under `news.client.added`, `.renewed` and `.revoked`."""

    client_id: str
    at: datetime


# --- devices ----------------------------------------------------------------------------------------------------------


def issue(tx: Transaction, subject: str, now: datetime) -> str:
    """A new secret for the VEN, told this once. An older one stops working, as do the certificates issued on it, and
    whoever is connected by them is disconnected."""
    secret = model.new_secret()
    if (known := reads.held(tx, subject)) is None:
        store.add_credential(tx, subject, model.digest(secret), now)
        return secret
    store.change_credential(
        tx,
        subject,
        secret_digest=model.digest(secret),
        generation=known.generation + 1,
        issued_at=now,
        enrolled_at=None,
        paused_until_at=None,
        revoked_at=None,
    )
    tell_device(tx, "revoked", subject, now)
    return secret


def revoke(tx: Transaction, subject: str, now: datetime) -> None:
    """Nothing that the VEN's device has opens anything any more: no secret, no certificate, no claim. Whoever is
    connected by them is disconnected. Raises `NotFound`; one that is revoked already stays as it was."""
    if reads.the_credential(tx, subject).revoked_at is None:
        store.change_credential(tx, subject, revoked_at=now)
        store.revoke_claims(tx, subject, now)
        tell_device(tx, "revoked", subject, now)


def retire(tx: Transaction, subject: str, now: datetime) -> None:
    """The VEN is no more: it is revoked, and can have no device again."""
    store.revoke_claims(tx, subject, now)
    store.drop_credential(tx, subject)
    tell_device(tx, "revoked", subject, now)


def pause(tx: Transaction, subject: str, until: datetime, now: datetime) -> None:
    """The VEN's device is disconnected, and may not connect again before an instant of the wall's clock."""
    store.change_credential(tx, subject, paused_until_at=until)
    tell_device(tx, "paused", subject, now)


def tell_device(tx: Transaction, what: str, ven_id: str, now: datetime) -> None:
    tx.say(f"news.device.{what}", msgspec.json.encode(DeviceNews(ven_id, now)))


# --- clients ----------------------------------------------------------------------------------------------------------


def add_client(tx: Transaction, new: NewClient, now: datetime) -> str:
    """The client's secret, told this once. Raises `Conflict` where the id is taken, by a revoked client too."""
    if reads.find_client(tx, new.client_id) is not None:
        raise Conflict(f"there is a client {new.client_id!r} already: renew it, or choose another id")
    secret = model.new_secret()
    store.add_client(tx, new, model.digest(secret), now)
    _say(tx, "added", new.client_id, now)
    return secret


def renew_client(tx: Transaction, client_id: str, now: datetime) -> str:
    """A new secret, told this once. The old one and all tokens that it opened stop working; a revoked client is back.

    Raises `NotFound`.
    """
    reads.the_client(tx, client_id)
    secret = model.new_secret()
    store.renew_client(tx, client_id, model.digest(secret), now)
    _say(tx, "renewed", client_id, now)
    return secret


def revoke_client(tx: Transaction, client_id: str, now: datetime) -> None:
    """Its secret and its tokens stop working. Raises `NotFound`; a client that is revoked already stays as it was."""
    if reads.the_client(tx, client_id).revoked_at is None:
        store.revoke_client(tx, client_id, now)
        _say(tx, "revoked", client_id, now)


def _say(tx: Transaction, what: str, client_id: str, now: datetime) -> None:
    tx.say(f"news.client.{what}", msgspec.json.encode(ClientNews(client_id, now)))


# --- signing keys -----------------------------------------------------------------------------------------------------


def settle_key(tx: Transaction, candidate: SigningKey, policy: TokenPolicy, now: datetime) -> None:
    """Sees to it that there is a key young enough to sign with: the candidate, unless another was quicker."""
    if reads.newest_key(tx, policy, now) is None:
        _put_key(tx, candidate, policy, now, candidate.algorithm)


def rotate_keys(tx: Transaction, candidate: SigningKey, policy: TokenPolicy, now: datetime) -> datetime:
    """The candidate signs from now on. All others verify until what they signed has expired: the instant returned."""
    return _put_key(tx, candidate, policy, now, None)


def _put_key(
    tx: Transaction, candidate: SigningKey, policy: TokenPolicy, now: datetime, instead_of: str | None
) -> datetime:
    retires_at = now + policy.lifetime + _OVERLAP
    store.drop_keys(tx, now)
    store.retire_keys(tx, retires_at, instead_of)
    store.add_key(tx, candidate)
    return retires_at


# --- the certificate authority ----------------------------------------------------------------------------------------


def settle_root(tx: Transaction, candidate: Root) -> Root:
    """The root of this platform: the candidate, unless there is one."""
    if (known := reads.root(tx)) is not None:
        return known
    store.put_root(tx, candidate)
    return candidate


def put_root(tx: Transaction, root: Root) -> None:
    """In place of the one before, if any: all that it has issued is void for whoever trusts this one."""
    store.put_root(tx, root)
