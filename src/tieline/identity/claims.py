"""Claims: the right to enrol a device for a VEN without knowing its secret, by a token that is shown once.

operator  add(ven_id) ──► id.secret ──► device  use(id.secret, its key) ──► the VEN's credential is this device's

Each use replaces the device before. All is done inside the caller's transaction, on the wall's clock.
"""

import secrets
from datetime import datetime, timedelta

import msgspec

from tieline.base.errors import Conflict, Unauthenticated
from tieline.identity import actions, model, reads, store
from tieline.identity.reads import Kept
from tieline.ports import Transaction

_WRONG = (
    "this claim opens nothing: it is misspelt, used up, revoked or expired, or for another VEN; ask for another one"
)


KEEP = timedelta(days=90)
"""How long it is known of a claim that has expired that there was one."""


class Added(msgspec.Struct, frozen=True):
    """A new claim; `claim` is shown this once."""

    claim_id: str
    ven_id: str
    claim: str
    uses: int
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Added({self.claim_id!r})"


class Enrolled(msgspec.Struct, frozen=True):
    """The device whose the VEN's credential is now; the secret is empty where it is the same as before."""

    ven_id: str
    generation: int
    secret: str

    def __repr__(self) -> str:
        return f"Enrolled({self.ven_id!r}, {self.generation})"


def add(tx: Transaction, ven_id: str, uses: int, lasts: timedelta, now: datetime) -> Added:
    """Raises `NotFound` for a VEN that is not registered; one that was revoked may be enrolled again."""
    reads.the_credential(tx, ven_id)
    claim_id, secret = secrets.token_hex(8), model.new_secret()
    store.add_claim(
        tx,
        claim_id=claim_id,
        ven_id=ven_id,
        secret_digest=model.digest(secret),
        uses=uses,
        created_at=now,
        expires_at=now + lasts,
    )
    return Added(claim_id, ven_id, f"{claim_id}.{secret}", uses, now + lasts)


def forget(tx: Transaction, now: datetime) -> None:
    """Those that expired long ago; done where claims are added, for only that makes more."""
    store.forget_claims(tx, now - KEEP)


def revoke(tx: Transaction, claim_id: str, now: datetime) -> None:
    """It can no longer be used. Raises `NotFound`; whoever enrolled by it stays."""
    if reads.the_claim(tx, claim_id).revoked_at is None:
        store.change_claim(tx, claim_id, revoked_at=now)


def use(tx: Transaction, shown: str, ven_id: str, key_digest: str, now: datetime, *, by_secret: bool) -> Enrolled:
    """Enrol whoever shows the claim. The same key may ask again: its answer may have been lost, and with it the secret
    of who is known by one. Raises `Unauthenticated` for a claim that does not open this VEN, without saying why to who
    knows none."""
    claim_id, _, secret = shown.partition(".")
    kept = reads.kept_claim(tx, claim_id)
    genuine = model.matches(secret, kept.secret_digest if kept else model.NOBODY)
    if kept is None or not genuine or kept.ven_id != ven_id or kept.revoked_at or now >= kept.expires_at:
        raise Unauthenticated(_WRONG)
    again = bool(key_digest) and (key_digest, reads.generation(tx, ven_id)) == (kept.key_digest, kept.generation)
    if again and not by_secret:
        return Enrolled(ven_id, kept.generation or 0, "")
    if not again and kept.used >= kept.uses:
        raise Conflict(f"this claim was used by another device: ask for a new claim for VEN {ven_id}")
    return _enrolled(tx, claim_id, kept, kept.used + (not again), key_digest, now)


def _enrolled(tx: Transaction, claim_id: str, kept: Kept, used: int, key_digest: str, now: datetime) -> Enrolled:
    secret = actions.issue(tx, kept.ven_id, now)
    generation = reads.the_credential(tx, kept.ven_id).generation
    store.change_credential(tx, kept.ven_id, enrolled_at=now)
    store.change_claim(tx, claim_id, used=used, used_at=now, key_digest=key_digest or None, generation=generation)
    actions.tell_device(tx, "enrolled", kept.ven_id, now)
    return Enrolled(kept.ven_id, generation, secret)
