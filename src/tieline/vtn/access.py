"""Which scopes open which operation, and who is calling: the guard of the OpenADR doors.

Definition 3.1.0 "Security", and the `security` of each operation; where that asks a VEN for `read_all`, which is
business logic's alone, the reading scopes of a VEN open it, and object privacy holds as everywhere.
"""

from typing import Any

from litestar.connection import ASGIConnection

from tieline.base.errors import Forbidden, Unauthenticated
from tieline.identity.model import Bearer
from tieline.identity.scopes import SCOPES, Role, told
from tieline.identity.verification import Verifier
from tieline.registry.openadr import UNCLAIMED
from tieline.vtn.privacy import ANYONE, Viewer
from tieline.vtn.view import View
from tieline.wires.openadr31.messages import ObjectType

ALL = "read_all"
READ_TARGETED = (ALL, "read_targets")
READ_OWN = (ALL, "read_ven_objects")
READ_ANY = (ALL, "read_bl", "read_targets", "read_ven_objects")
READ_BUSINESS = ("read_bl",)

READS = {
    ObjectType.PROGRAM: READ_TARGETED,
    ObjectType.EVENT: READ_TARGETED,
    ObjectType.REPORT: READ_OWN,
    ObjectType.SUBSCRIPTION: READ_OWN,
    ObjectType.VEN: READ_OWN,
    ObjectType.RESOURCE: READ_OWN,
}
WRITES = {
    ObjectType.PROGRAM: "write_programs",
    ObjectType.EVENT: "write_events",
    ObjectType.REPORT: "write_reports",
    ObjectType.SUBSCRIPTION: "write_subscriptions",
    ObjectType.VEN: "write_vens",
    ObjectType.RESOURCE: "write_vens",
}


class Doorkeeper:
    """Tells who is calling. `anonymous`: who has no token may read what has no targets."""

    def __init__(self, verifier: Verifier, view: View, *, anonymous: bool) -> None:
        self._verifier = verifier
        self._view = view
        self._anonymous = anonymous

    async def viewer(self, connection: ASGIConnection[Any, Any, Any, Any], *scopes: str) -> Viewer:
        """Who calls, if one of the scopes is theirs. Raises `Unauthenticated` or `Forbidden`."""
        await self._view.load()
        authorization = connection.headers.get("authorization")
        if authorization is None and self._anonymous and scopes in (READ_TARGETED, READ_ANY):
            return ANYONE
        bearer = await self._bearer(authorization or "")
        open_to = [one for one in scopes if one in SCOPES[bearer.role]]
        if not bearer.scopes.intersection(open_to) or bearer.client_id == UNCLAIMED:
            wanted = " or ".join(open_to or scopes)
            raise Forbidden(
                f"this takes the scope {wanted}; the token of {bearer.client_id} holds {told(bearer.scopes)}"
            )
        return self._view.viewer(bearer.client_id, business=bearer.role is Role.BL, scopes=bearer.scopes)

    async def _bearer(self, authorization: str) -> Bearer:
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not (token := token.strip()):
            raise Unauthenticated("send `Authorization: Bearer …` with a token from where /auth/server says")
        return self._verifier.known(token) or await self._verifier.verify(token)
