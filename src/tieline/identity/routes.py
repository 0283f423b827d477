"""Identity's HTTP door: the authority that the MQTT door is known by, certificates, claims, and revoking devices."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, Parameter

from tieline.base.errors import NotFound, Refused
from tieline.base.names import Id
from tieline.base.time import Clock
from tieline.doors import Cursor, Limit, Page, WithRows, after, page
from tieline.identity import actions, claims, model, reads
from tieline.identity.authority import Authority
from tieline.identity.claims import Added
from tieline.identity.reads import Claim, Credential
from tieline.ports import Transaction

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


class NewClaims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A claim for each of these VENs, which are registered, for so many hours of real time."""

    ven_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=1000)]
    uses: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    valid_h: Annotated[float, msgspec.Meta(gt=0, le=8760)] = 7 * 24


class AddedClaims(msgspec.Struct, frozen=True):
    """Their tokens are shown this once."""

    items: list[Added]


OnlyNew = Annotated[bool, Parameter(description="Only VENs that no device enrolled for and that no open claim is for")]
OfVen = Annotated[str | None, Parameter(description="Only claims for this VEN")]


def routes(trusted: str, authority: Authority | None, wall: Clock) -> list[Any]:
    """`trusted` is empty where the MQTT door speaks in clear, `authority` None where no certificate is of use."""
    return [*_certificate_routes(trusted, authority), *_claim_routes(wall), *_device_routes(wall)]


def _certificate_routes(trusted: str, authority: Authority | None) -> list[Any]:
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
        generation = await rows.read(lambda reader: reads.generation(reader, ven_id))
        if generation is None:
            raise NotFound(f"there is no VEN {ven_id!r}, or its credential was revoked")
        issued = authority.for_client(ven_id, model.device_purpose(generation))
        return DeviceCertificate(ven_id, issued.certificate, issued.key, trusted, issued.until)

    return [show_ca, certify_ven]


def _claim_routes(wall: Clock) -> list[Any]:
    @post("/v1/claims")
    async def add_claims(data: JSONBody[NewClaims], rows: WithRows) -> AddedClaims:
        """Claims by which devices enrol; their tokens are shown this once."""
        now, lasts = wall.now(), timedelta(hours=data.valid_h)

        def work(tx: Transaction) -> list[Added]:
            claims.forget(tx, now)
            return [claims.add(tx, ven_id, data.uses, lasts, now) for ven_id in dict.fromkeys(data.ven_ids)]

        return AddedClaims(await rows.transaction(work))

    @get("/v1/claims")
    async def list_claims(
        rows: WithRows, ven_id: OfVen = None, limit: Limit = 100, cursor: Cursor = None
    ) -> Page[Claim]:
        """All claims, spent and revoked ones too, without their tokens."""
        found = await reads.claims(rows, ven_id, after=after(cursor), limit=limit + 1)
        return page(found, limit, lambda one: one.claim_id)

    @post("/v1/claims/{claim_id:str}/revoke")
    async def revoke_claim(claim_id: FromPath[str], rows: WithRows) -> Claim:
        """The claim can no longer be used; a device that enrolled by it stays."""

        def work(tx: Transaction) -> Claim:
            claims.revoke(tx, claim_id, wall.now())
            return reads.the_claim(tx, claim_id)

        return await rows.transaction(work)

    return [add_claims, list_claims, revoke_claim]


def _device_routes(wall: Clock) -> list[Any]:
    @get("/v1/credentials")
    async def list_credentials(
        rows: WithRows, new: OnlyNew = False, limit: Limit = 100, cursor: Cursor = None
    ) -> Page[Credential]:
        """What each VEN's device connects by: since when, whether a device enrolled, whether it was revoked."""
        new_at = wall.now() if new else None
        found = await reads.credentials(rows, new_at=new_at, after=after(cursor), limit=limit + 1)
        return page(found, limit, lambda one: one.ven_id)

    @post("/v1/vens/{ven_id:str}/revoke")
    async def revoke_ven(ven_id: FromPath[str], rows: WithRows) -> Credential:
        """The VEN's device is shut out: its secret, certificates and claims open nothing, and it is disconnected."""

        def work(tx: Transaction) -> Credential:
            actions.revoke(tx, ven_id, wall.now())
            return reads.the_credential(tx, ven_id)

        return await rows.transaction(work)

    return [list_credentials, revoke_ven]
