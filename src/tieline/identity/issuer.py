"""The embedded issuer: an id and its secret become a token (RFC 6749 4.4), for clients that `tieline client` made."""

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from tieline.base.time import Clock
from tieline.identity import model, reads, requests, tokens
from tieline.identity.keys import KeyRing
from tieline.identity.model import TokenPolicy
from tieline.identity.reads import Standing
from tieline.identity.requests import TokenRequest
from tieline.identity.scopes import answered, granted, told
from tieline.ports import Rows
from tieline.wires.openadr31.auth import AuthError, AuthFault, TokenResponse

_HEADERS = {"cache-control": "no-store", "pragma": "no-cache"}  # RFC 6749 5.1
_CHALLENGE = {"www-authenticate": 'Basic realm="tieline", charset="UTF-8"'}
_WRONG = requests.error(AuthFault.INVALID_CLIENT, "there is no such client with this secret")
_NO_SCOPE = requests.error(AuthFault.INVALID_SCOPE, "this client holds none of these scopes; leave scope out for all")


class TokenAnswer(msgspec.Struct, frozen=True):
    """What the token endpoint answers, as JSON: a token, or why not (RFC 6749 5.1, 5.2)."""

    status: int
    body: TokenResponse | AuthError
    headers: Mapping[str, str]


class Issuer:
    """Gives tokens to clients of Rows, and tells which keys signed them."""

    def __init__(self, rows: Rows, clock: Clock, policy: TokenPolicy, keys: KeyRing) -> None:
        self._rows = rows
        self._clock = clock
        self._policy = policy
        self._keys = keys
        self._patience = _Patience(clock)

    async def fetch_token(self, form: bytes, authorization: str | None) -> TokenAnswer:
        """Of the body and the Authorization header of a request. Raises only what Rows does."""
        asked = requests.read(form, authorization)
        if isinstance(asked, AuthError):
            return _refusal(asked)
        if (client := await self._authenticated(asked)) is None:
            await self._patience.wait(asked.client_id)
            return _refusal(_WRONG)
        self._patience.forget(asked.client_id)
        scopes = granted(client.role, frozenset(client.scopes), asked.scope)
        if not scopes:
            return _refusal(_NO_SCOPE)
        text, lifetime_s = await self._token(client, told(scopes))
        said = told(answered(client.role, scopes, asked.scope)) or told(scopes)
        return TokenAnswer(200, TokenResponse(access_token=text, expires_in=lifetime_s, scope=said), _HEADERS)

    async def jwks(self) -> dict[str, Any]:
        """The JSON Web Key Set by which anyone can verify the tokens."""
        return await self._keys.jwks()

    async def _authenticated(self, asked: TokenRequest) -> Standing | None:
        named = model.is_client_id(asked.client_id)
        found = await reads.standing(self._rows, asked.client_id) if named else None
        known = model.matches(asked.client_secret, found.secret_digest if found else model.NOBODY)
        return found if known and found is not None and found.revoked_at is None else None

    async def _token(self, client: Standing, scope: str) -> tuple[str, int]:
        """A token and for how many seconds it is valid."""
        key = await self._keys.signing()
        now = int(self._clock.now().timestamp())
        lifetime_s = int(self._policy.lifetime.total_seconds())
        claims = tokens.OwnClaims(
            iss=tokens.OWN.issuer,
            aud=tokens.OWN.audiences[0],
            sub=client.client_id,
            client_id=client.client_id,
            role=client.role,
            scope=scope,
            generation=client.generation,
            iat=now,
            nbf=now,
            exp=now + lifetime_s,
            jti=secrets.token_urlsafe(16),
        )
        return tokens.signed(msgspec.structs.asdict(claims), key.pair, key.kid, key.algorithm), lifetime_s


def _refusal(error: AuthError) -> TokenAnswer:
    if error.error is AuthFault.INVALID_CLIENT:
        return TokenAnswer(401, error, {**_HEADERS, **_CHALLENGE})
    return TokenAnswer(400, error, _HEADERS)


class _Patience:
    """Whoever names a client by a wrong secret again and again is answered a little later each time; the right secret
    never waits. What is remembered and who is kept waiting is bounded."""

    FREE, STEP_S, LONGEST_S, NAMES, WAITING = 5, 0.05, 0.5, 1024, 256

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refused: OrderedDict[str, int] = OrderedDict()
        self._waiting = 0

    async def wait(self, client_id: str) -> None:
        client_id = client_id[:128]  # longer ones are nobody's
        count = self._refused.pop(client_id, 0) + 1
        self._refused[client_id] = count
        if len(self._refused) > self.NAMES:
            self._refused.popitem(last=False)
        if count <= self.FREE or self._waiting >= self.WAITING:
            return
        self._waiting += 1
        try:
            await self._clock.sleep(min(self.STEP_S * 2 ** min(count - self.FREE, 10), self.LONGEST_S))
        finally:
            self._waiting -= 1

    def forget(self, client_id: str) -> None:
        self._refused.pop(client_id, None)
