"""What a device and the platform say to each other when it enrols, and when it renews its certificate."""

from datetime import datetime
from typing import Annotated

import msgspec

from tieline.base.names import Id
from tieline.base.time import micros

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Pem = Annotated[str, msgspec.Meta(max_length=8192)]


class NewEnrolment(msgspec.Struct, frozen=True):
    """`csr` is a PKCS #10 request for the device's own key. It may be empty where `mqtt_auth` is not certificate; with
    it the device may ask again should the answer be lost."""

    claim: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    ven_id: Id
    csr: Pem = ""

    def __repr__(self) -> str:
        return f"NewEnrolment({self.ven_id!r})"


class Renewal(msgspec.Struct, frozen=True):
    """Signed by the key of the certificate before: `signature` is ECDSA with SHA-256 (DER, in base64) over
    `renewal_text`."""

    certificate: Pem
    csr: Pem
    at: Instant
    signature: Annotated[str, msgspec.Meta(max_length=400)]


class Enrolment(msgspec.Struct, frozen=True):
    """What a device connects with: to the MQTT door there, which it knows by `ca` (empty: it speaks in clear), and
    which knows it by `certificate`, or else by `secret`. `renew_at` is when to ask for the next certificate."""

    ven_id: str
    mqtt_host: str
    mqtt_port: int
    ca: str = ""
    certificate: str = ""
    secret: str = ""
    renew_at: datetime | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Enrolment({self.ven_id!r}, expires_at={self.expires_at})"


def renewal_text(csr: str, at: datetime) -> bytes:
    """What is signed: these words, the instant in whole microseconds since 1970, the request; a line each."""
    return f"tieline certificate renewal\n{micros(at)}\n{csr}".encode()
