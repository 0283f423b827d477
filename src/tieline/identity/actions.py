"""Issuing and revoking credentials, inside the transaction of whoever registers their subject."""

from datetime import datetime

from tieline.identity import model, store
from tieline.ports import Transaction


def issue(tx: Transaction, subject: str, now: datetime) -> str:
    """A new secret for the subject, told this once; an older one stops working."""
    secret = model.new_secret()
    store.replace(tx, subject, model.digest(secret), now)
    return secret


def revoke(tx: Transaction, subject: str, now: datetime) -> None:
    """The subject's secret no longer opens anything."""
    store.revoke(tx, subject, now)
