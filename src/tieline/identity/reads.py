"""Whether a device is who it says."""

import sqlalchemy as sa

from tieline.base.access import Grant
from tieline.identity import model
from tieline.identity.store import credential
from tieline.ports import Reader, Rows

_NOBODY = model.digest("nobody")


async def device(rows: Rows, user: str, password: str, client_id: str) -> Grant | None:
    """What a device that connects may say and hear; None unless secret and client id are its own.

    The client id is bound to the user: MQTT closes the older of two sessions of one client id, so whoever could take
    another's could shut it out.
    """

    def secret_digest(reader: Reader) -> str | None:
        valid = sa.and_(credential.c.subject == user, credential.c.revoked_at.is_(None))
        found: str | None = reader.execute(sa.select(credential.c.secret_digest).where(valid)).scalar()
        return found

    expected = await rows.read(secret_digest)
    known = model.matches(password, expected or _NOBODY) and expected is not None
    return model.device_grant(user) if known and client_id == user else None
