"""Identity's HTTP door: the authority that the MQTT door is known by, and certificates for devices."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import get, post
from litestar.params import FromPath

from tieline.base.errors import NotFound, Refused
from tieline.doors import WithRows
from tieline.identity import reads
from tieline.identity.authority import Authority

PEM = "application/x-pem-file"


class DeviceCertificate(msgspec.Struct, frozen=True):
    """What a device shows the broker, as PEM, and the authority that it knows the broker by."""

    ven_id: str
    certificate: str
    key: str
    ca: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"DeviceCertificate({self.ven_id!r})"


def routes(trusted: str, authority: Authority | None) -> list[Any]:
    """`trusted` is empty where the MQTT door speaks in clear, `authority` None where no certificate is of use."""

    @get("/v1/ca.pem", media_type=PEM)
    async def show_ca() -> str:
        """The authority that the MQTT door's certificate is of, as PEM."""
        if not trusted:
            raise NotFound("the MQTT door speaks in clear here: set TIELINE_MQTT_TLS=true")
        return trusted

    @post("/v1/vens/{ven_id:str}/certificate")
    async def certify_ven(ven_id: FromPath[str], rows: WithRows) -> DeviceCertificate:
        """A short-lived certificate for the VEN, and its key, which is shown this once; ask again to renew it."""
        if authority is None:
            raise Refused("devices show their secret here: certificates need TIELINE_MQTT_AUTH=certificate")
        if not await rows.read(lambda reader: reads.has_credential(reader, ven_id)):
            raise NotFound(f"there is no VEN {ven_id!r}, or its credential was revoked")
        issued = authority.for_client(ven_id)
        return DeviceCertificate(ven_id, issued.certificate, issued.key, trusted, issued.until)

    return [show_ca, certify_ven]
