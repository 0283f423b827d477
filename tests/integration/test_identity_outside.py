"""An outside issuer: a small HTTP server with keys of its own, that rotates, lies, hangs and goes away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, RSAKey

from tieline.base.errors import Unauthenticated, Unready
from tieline.base.time import VirtualClock
from tieline.identity.discovery import Discovered
from tieline.identity.outside import OutsideIssuer
from tieline.identity.scopes import Role
from tieline.identity.verification import OutsideTokens, Verifier

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
AT = int(NOW.timestamp())
Key = ECKey | RSAKey


class IssuerServer:
    """Answers discovery and key set; `answer` may be replaced to misbehave."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {"k1": ECKey.generate_key("P-256")}
        self.more: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.metadata: dict[str, Any] = {}
        self.answer: Callable[[str], bytes | None] = self.honest
        self.issuer = ""

    def honest(self, path: str) -> bytes:
        if path == "/realm/.well-known/openid-configuration":
            return self.ok({**self.standard, **self.metadata})
        if path == "/realm/keys":
            return self.ok({"keys": [*[self.jwk(kid) for kid in self.keys], *self.more]})
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"

    @property
    def standard(self) -> dict[str, str]:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint": f"{self.issuer}/token",
        }

    def jwk(self, kid: str) -> dict[str, Any]:
        return {**self.keys[kid].as_dict(private=False), "kid": kid, "use": "sig", "x5t": "ignored"}

    @staticmethod
    def ok(body: object) -> bytes:
        text = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            self.asked.append(path)
            if (answer := self.answer(path)) is None:
                await reader.read()  # never answered: until the other side gives up
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()

    def token(self, kid: str | None = "k1", key: Key | None = None, algorithm: str = "ES256", **claims: Any) -> str:
        body = {"iss": self.issuer, "aud": "vtn", "sub": "ven-1", "scope": "read_all", "exp": AT + 3600, **claims}
        header = {"alg": algorithm} | ({"kid": kid} if kid else {})
        signing = key or self.keys[kid or "k1"]
        kept = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(header, kept, signing, algorithms=[algorithm], default_type=None)


class World:
    def __init__(self, server: IssuerServer, clock: VirtualClock, **chosen: Any) -> None:
        self.server, self.clock = server, clock
        chosen = {"audiences": ("vtn",), **chosen}
        issuer = OutsideIssuer(issuer=server.issuer, insecure=True, **chosen)
        self.discovered = Discovered(issuer, clock)
        self.verifier = Verifier(OutsideTokens(issuer, clock, self.discovered), clock)

    async def refuses(self, token: str) -> bool:
        try:
            await self.verifier.verify(token)
        except Unauthenticated:
            return True
        return False


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IssuerServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = IssuerServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    server.issuer = f"http://127.0.0.1:{port}/realm"
    async with listening:
        yield server


@pytest.fixture
def world(server: IssuerServer) -> World:
    return World(server, VirtualClock(NOW))


async def test_a_token_of_the_issuer_is_good_and_its_endpoint_is_known(world: World) -> None:
    token = world.server.token(azp="c", scope="read_all write_events openid")
    bearer = await world.verifier.verify(token)
    assert (bearer.client_id, bearer.role) == ("c", Role.BL)
    assert world.verifier.known(token) is bearer
    assert await world.discovered.token_url() == f"{world.server.issuer}/token"
    assert len(world.server.asked) == 2


async def test_what_it_did_not_sign_for_here_and_now_is_refused(world: World) -> None:
    server, other = world.server, ECKey.generate_key("P-256")
    forged = [
        server.token(key=other),
        server.token(iss="https://elsewhere.example"),
        server.token(iss=f"{server.issuer}/"),
        server.token(aud="billing"),
        server.token(aud=["billing"]),
        server.token(aud=None),
        server.token(exp=AT - 31),
        server.token(exp=None),
        server.token(nbf=AT + 31),
        server.token(scope="openid"),
        server.token("k2", key=other),
    ]
    assert [await world.refuses(token) for token in forged] == [True] * len(forged)


async def test_clocks_may_differ_by_half_a_minute(world: World) -> None:
    for token in (world.server.token(exp=AT - 29), world.server.token(nbf=AT + 29), world.server.token(iat=AT + 29)):
        assert not await world.refuses(token)


async def test_an_algorithm_that_is_not_allowed_is_refused_though_the_issuer_has_such_a_key(
    server: IssuerServer,
) -> None:
    server.keys["r"] = RSAKey.generate_key(2048)
    token = server.token("r", algorithm="RS256")
    assert not await World(server, VirtualClock(NOW)).refuses(token)
    assert await World(server, VirtualClock(NOW), algorithms=frozenset({"ES256"})).refuses(token)


async def test_keys_that_are_not_for_signing_or_cannot_be_read_are_left_out(world: World) -> None:
    server = world.server
    with pytest.warns(SecurityWarning):
        weak = RSAKey.generate_key(1024)
    enc = ECKey.generate_key("P-256")
    server.more = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "o", "alg": "HS256"},
        {"kty": "EC", "crv": "P-256", "x": "!", "y": "?", "kid": "broken"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "ed"},
        {**enc.as_dict(private=False), "kid": "e", "use": "enc"},
        {**weak.as_dict(private=False), "kid": "w"},
    ]
    assert not await world.refuses(server.token())
    assert await world.refuses(server.token("e", key=enc))
    assert await world.refuses(server.token("w", key=weak, algorithm="RS256"))


async def test_a_token_that_names_no_key_is_opened_by_the_only_one_that_fits(world: World) -> None:
    world.server.keys["r"] = RSAKey.generate_key(2048)
    assert not await world.refuses(world.server.token(None))
    world.server.keys["k2"] = ECKey.generate_key("P-256")
    await world.clock.advance(3600)
    assert await world.refuses(world.server.token(None, exp=AT + 7200))


async def test_a_new_key_is_heard_of_and_made_up_ones_ask_at_most_once_a_minute(world: World) -> None:
    server = world.server
    assert not await world.refuses(server.token())
    await world.clock.advance(60)
    server.keys = {"k2": ECKey.generate_key("P-256")}
    assert not await world.refuses(server.token("k2"))
    assert len(server.asked) == 4
    other = ECKey.generate_key("P-256")
    for n in range(20):
        assert await world.refuses(server.token(f"x{n}", key=other))
    assert len(server.asked) == 4
    await world.clock.advance(3600)  # by age
    assert await world.refuses(server.token("k1", key=other, exp=AT + 7200))
    assert len(server.asked) == 6


async def test_while_the_issuer_is_away_its_keys_are_good_for_a_day(world: World) -> None:
    server = world.server
    await world.verifier.verify(server.token())
    server.answer = lambda _: b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
    await world.clock.advance(86_399)
    assert not await world.refuses(server.token(exp=AT + 100_000, jti="1"))
    await world.clock.advance(1)
    with pytest.raises(Unready, match="503"):
        await world.verifier.verify(server.token(exp=AT + 100_000, jti="2"))
    server.answer = server.honest
    with pytest.raises(Unready):
        await world.discovered.token_url()  # not asked again at once
    await world.clock.advance(5)
    assert not await world.refuses(server.token(exp=AT + 100_000, jti="2"))


def _huge(_: str) -> bytes:
    return IssuerServer.ok(b" " * (2 << 20))


def _elsewhere(_: str) -> bytes:
    return b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (_huge, "more than"),
        (_elsewhere, "302"),
        (lambda _: IssuerServer.ok(b"{"), "Decode|truncated"),
        (lambda _: IssuerServer.ok(b"[" * 100_000), "Validation"),
        (lambda _: IssuerServer.ok(b'{"deep":' + b"[" * 100_000), "Recursion"),
        (lambda _: IssuerServer.ok({"issuer": "i"}), "jwks_uri"),
        (lambda _: b"no HTTP at all\r\n\r\n", "Protocol"),
        (lambda _: b"", "disconnected|Protocol"),
    ],
)
async def test_an_issuer_that_answers_nonsense_makes_tokens_wait(
    world: World, answer: Callable[[str], bytes], said: str
) -> None:
    world.server.answer = answer
    with pytest.raises(Unready, match=said):
        await world.verifier.verify(world.server.token())


async def test_an_issuer_that_speaks_for_another_or_names_plain_addresses_is_not_believed(server: IssuerServer) -> None:
    server.metadata = {"issuer": "https://elsewhere.example"}
    with pytest.raises(Unready, match="oidc_issuer"):
        await World(server, VirtualClock(NOW)).verifier.verify(server.token())
    server.metadata = {"jwks_uri": "file:///etc/passwd"}
    with pytest.raises(Unready, match="https"):
        await World(server, VirtualClock(NOW)).verifier.verify(server.token())


async def test_an_issuer_that_never_answers_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.identity.discovery._TIMEOUT_S", 0.2)
    world.server.answer = lambda _: None
    waiting = [world.verifier.verify(world.server.token(jti=str(n))) for n in range(5)]
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in found] == [Unready] * 5
    assert len(world.server.asked) == 1  # those who wait do not each wait anew


async def test_cognito_s_tokens_have_no_audience_but_a_use(server: IssuerServer) -> None:
    """https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html"""
    chosen = {"audiences": (), "token_use": "access", "scope_prefix": "vtn/"}
    world = World(server, VirtualClock(NOW), **chosen)
    claims: dict[str, Any] = {
        "aud": None,
        "client_id": "1example23456789",
        "token_use": "access",
        "scope": "vtn/read_targets",
    }
    bearer = await world.verifier.verify(server.token(**claims))
    assert (bearer.client_id, bearer.role) == ("1example23456789", Role.VEN)
    assert await world.refuses(server.token(**{**claims, "token_use": "id"}))
    assert await world.refuses(server.token(**{**claims, "scope": "other/read_targets"}))
    strict = World(server, VirtualClock(NOW), **{**chosen, "audiences": ("vtn",)})
    assert not await strict.refuses(server.token(**claims))
    assert await strict.refuses(server.token(**{**claims, "aud": "billing"}))
