"""The tables of credentials, claims, clients, signing keys and the certificate authority, and their writes."""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from tieline.columns import Instant, Json
from tieline.identity.model import NewClient, Root, SigningKey
from tieline.ports import Transaction

metadata = sa.MetaData()

credential = sa.Table(
    "credential",
    metadata,
    sa.Column("subject", sa.String(64), primary_key=True),  # whose it is: a VEN id
    sa.Column("secret_digest", sa.String(64), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False, server_default="1"),  # certificates of an older one are void
    sa.Column("issued_at", Instant, nullable=False),
    sa.Column("enrolled_at", Instant),  # a device took it by a claim
    sa.Column("paused_until_at", Instant),  # by the wall's clock: it may not connect before
    sa.Column("revoked_at", Instant),
)

claim = sa.Table(
    "claim",
    metadata,
    sa.Column("claim_id", sa.String(24), primary_key=True),
    sa.Column("ven_id", sa.String(64), nullable=False),
    sa.Column("secret_digest", sa.String(64), nullable=False),
    sa.Column("uses", sa.Integer, nullable=False),
    sa.Column("used", sa.Integer, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
    sa.Column("used_at", Instant),
    sa.Column("key_digest", sa.String(64)),  # of the key that it last certified, and on which generation: an answer
    sa.Column("generation", sa.Integer),  # that was lost may be asked for again
    sa.Column("revoked_at", Instant),
    sa.Index("claim_by_ven", "ven_id"),
)

client = sa.Table(
    "client",
    metadata,
    sa.Column("client_id", sa.String(128), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("role", sa.String(8), nullable=False),
    sa.Column("scopes", Json(list[str]), nullable=False),
    sa.Column("secret_digest", sa.String(64), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),  # of its secret: tokens that an older one opened are void
    sa.Column("revision", sa.BigInteger, nullable=False),  # counts renewals and revocations of all, in order of commit
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("renewed_at", Instant),
    sa.Column("revoked_at", Instant),
    sa.Index("client_by_revision", "revision"),
)

signing_key = sa.Table(
    "signing_key",
    metadata,
    sa.Column("kid", sa.String(64), primary_key=True),
    sa.Column("algorithm", sa.String(16), nullable=False),
    sa.Column("private_pem", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("retires_at", Instant),
)

authority = sa.Table(
    "authority",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),  # there is one: "root"
    sa.Column("certificate_pem", sa.Text, nullable=False),
    sa.Column("sealed_key", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)


# --- credentials ------------------------------------------------------------------------------------------------------


def add_credential(tx: Transaction, subject: str, secret_digest: str, now: datetime) -> None:
    tx.execute(sa.insert(credential).values(subject=subject, secret_digest=secret_digest, generation=1, issued_at=now))


def change_credential(tx: Transaction, subject: str, **values: object) -> None:
    tx.execute(sa.update(credential).where(credential.c.subject == subject).values(**values))


def drop_credential(tx: Transaction, subject: str) -> None:
    tx.execute(sa.delete(credential).where(credential.c.subject == subject))


# --- claims -----------------------------------------------------------------------------------------------------------


def add_claim(tx: Transaction, **values: object) -> None:
    tx.execute(sa.insert(claim).values(used=0, **values))


def change_claim(tx: Transaction, claim_id: str, **values: object) -> None:
    tx.execute(sa.update(claim).where(claim.c.claim_id == claim_id).values(**values))


def forget_claims(tx: Transaction, expired_before: datetime) -> None:
    tx.execute(sa.delete(claim).where(claim.c.expires_at < expired_before))


def revoke_claims(tx: Transaction, ven_id: str, now: datetime) -> None:
    """All that could still be used for the VEN."""
    usable = sa.and_(claim.c.ven_id == ven_id, claim.c.revoked_at.is_(None))
    tx.execute(sa.update(claim).where(usable).values(revoked_at=now))


# --- clients ----------------------------------------------------------------------------------------------------------


def add_client(tx: Transaction, new: NewClient, secret_digest: str, now: datetime) -> None:
    tx.execute(
        sa.insert(client).values(
            client_id=new.client_id,
            name=new.name,
            role=new.role,
            scopes=sorted(new.held),
            secret_digest=secret_digest,
            generation=1,
            revision=0,
            created_at=now,
        )
    )


def renew_client(tx: Transaction, client_id: str, secret_digest: str, now: datetime) -> None:
    generation = client.c.generation + 1
    _change(tx, client_id, secret_digest=secret_digest, generation=generation, renewed_at=now, revoked_at=None)


def revoke_client(tx: Transaction, client_id: str, now: datetime) -> None:
    _change(tx, client_id, revoked_at=now)


def _change(tx: Transaction, client_id: str, **values: object) -> None:
    # Read and written in one serialisable transaction: whoever sees a revision sees all before it.
    revision = tx.execute(sa.select(sa.func.max(client.c.revision))).scalar_one() + 1
    tx.execute(sa.update(client).where(client.c.client_id == client_id).values(**values, revision=revision))


# --- signing keys -----------------------------------------------------------------------------------------------------


def add_key(tx: Transaction, new: SigningKey) -> None:
    tx.execute(sa.insert(signing_key).values(**msgspec.structs.asdict(new)))


def retire_keys(tx: Transaction, retires_at: datetime, algorithm: str | None) -> None:
    """Those in use, of an algorithm or of all."""
    used = signing_key.c.retires_at.is_(None)
    chosen = used if algorithm is None else sa.and_(used, signing_key.c.algorithm == algorithm)
    tx.execute(sa.update(signing_key).where(chosen).values(retires_at=retires_at))


def drop_keys(tx: Transaction, retired_before: datetime) -> None:
    tx.execute(sa.delete(signing_key).where(signing_key.c.retires_at < retired_before))


# --- the certificate authority ----------------------------------------------------------------------------------------


def put_root(tx: Transaction, root: Root) -> None:
    """In place of the one before."""
    tx.execute(sa.delete(authority))
    tx.execute(sa.insert(authority).values(name="root", **msgspec.structs.asdict(root)))
