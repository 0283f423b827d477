"""Identity over real rows and a virtual clock: an issuer, verifiers of other processes, clients."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from tests.servers.rows import AnyRows
from tieline.base.time import VirtualClock
from tieline.identity import actions
from tieline.identity.issuer import Issuer, TokenAnswer
from tieline.identity.keys import KeyRing
from tieline.identity.model import NewClient, TokenPolicy
from tieline.identity.scopes import Role
from tieline.identity.verification import OwnTokens, Verifier
from tieline.wires.openadr31.auth import TokenResponse

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)


class World:
    """One process: `beside` is another on the same rows."""

    def __init__(self, rows: AnyRows, clock: VirtualClock, policy: TokenPolicy = TokenPolicy()) -> None:  # noqa: B008
        self.rows, self.clock, self.policy = rows, clock, policy
        self.keys = KeyRing(rows, clock, policy)
        self.issuer = Issuer(rows, clock, policy, self.keys)
        self.verifier = Verifier(OwnTokens(rows, clock, self.keys), clock)

    def beside(self, policy: TokenPolicy | None = None) -> "World":
        return World(self.rows, self.clock, policy or self.policy)

    async def add(self, client_id: str, role: Role = Role.VEN, *scopes: str) -> str:
        """The new client's secret."""
        new = NewClient(client_id, client_id, role, frozenset(scopes))
        return await self.rows.transaction(lambda tx: actions.add_client(tx, new, self.clock.now()))

    async def renew(self, client_id: str) -> str:
        return await self.rows.transaction(lambda tx: actions.renew_client(tx, client_id, self.clock.now()))

    async def revoke(self, client_id: str) -> None:
        await self.rows.transaction(lambda tx: actions.revoke_client(tx, client_id, self.clock.now()))

    async def ask(self, client_id: str, secret: str, **more: str) -> TokenAnswer:
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret, **more}
        return await self.issuer.fetch_token(urlencode(form).encode(), None)

    async def token(self, client_id: str, secret: str, **more: str) -> str:
        answer = await self.ask(client_id, secret, **more)
        assert isinstance(answer.body, TokenResponse), answer
        return answer.body.access_token

    async def rows_of(self, table: Any) -> list[Any]:
        return await self.rows.read(lambda reader: list(reader.execute(table.select())))
