"""The client's token: fetched once, renewed in time, bought where the VTN says, and its secret told to nobody else."""

import asyncio
import base64

import httpx
import pytest

from tests.integration.ven_world import BASE, CREDENTIALS, SECRET, START, SmallVtn, answering, listed
from tieline.base.errors import Refused, Unauthenticated, Unready
from tieline.ven import Credentials, VtnClient
from tieline.ven.openadr.exchange import Exchange
from tieline.ven.openadr.token import Tokens


@pytest.fixture
def world() -> SmallVtn:
    return SmallVtn(lambda: START)


async def test_a_token_is_fetched_once_for_all_who_ask(world: SmallVtn) -> None:
    async with world.client() as vtn:
        await asyncio.gather(*(listed(vtn.programs.search()) for _ in range(10)))
    assert (world.asked["GET /auth/server"], world.asked["POST /auth/token"]) == (1, 1)


async def test_a_token_that_is_refused_is_renewed_once(world: SmallVtn) -> None:
    async with world.client() as vtn:
        await listed(vtn.programs.search())
        world.tokens.clear()
        await asyncio.gather(*(listed(vtn.programs.search()) for _ in range(5)))
        assert world.asked["POST /auth/token"] == 2
        world.reach = lambda what: world.tokens.clear() if what == "GET /events" else None
        with pytest.raises(Unauthenticated):
            await listed(vtn.events.search())
    assert world.asked["GET /events"] == 2


class Passing:
    """Seconds that pass when they are told to."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_token_is_renewed_before_it_expires(world: SmallVtn) -> None:
    seconds = Passing()
    through = Exchange(httpx.create_ssl_context(), httpx.MockTransport(world.answer))
    async with through.http:
        tokens = Tokens(through, httpx.URL(BASE), CREDENTIALS, seconds)
        first = await tokens.token()
        seconds.now_s += 3200
        assert await tokens.token() == first
        seconds.now_s += 100
        second = await tokens.token()
        assert second != first
        tokens.forget(first)
        assert await tokens.token() == second


@pytest.mark.parametrize(
    "told",
    ["/auth/token", "auth/token", f"{BASE}/auth/token", "/openadr3/3.1.0/auth/token", "https://localhost/openadr3/3.1.0/auth/token"],
)  # fmt: skip
async def test_the_token_endpoint_is_where_the_vtn_says(world: SmallVtn, told: str) -> None:
    world.reach = lambda what: httpx.Response(200, json={"tokenURL": told}) if what.endswith("/auth/server") else None
    async with world.client() as vtn:
        assert await vtn.connection.token()


@pytest.mark.parametrize("told", ["http://elsewhere.example/token", "ftp://x/y", "http://[", 7, None])
async def test_a_token_endpoint_in_clear_gets_no_secret(world: SmallVtn, told: object) -> None:
    world.reach = lambda what: httpx.Response(200, json={"tokenURL": told}) if what.endswith("/auth/server") else None
    async with world.client() as vtn:
        with pytest.raises((Refused, Unready)) as caught:
            await vtn.connection.token()
    assert world.asked["POST /auth/token"] == 0
    assert SECRET not in str(caught.value)


async def test_credentials_go_in_the_form_or_by_basic(world: SmallVtn) -> None:
    seen: list[httpx.Request] = []

    def grant(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"access_token": "t", "expires_in": "60"})

    for basic in (False, True):
        given = Credentials(
            client_id="a:b", secret="c%d", scope="read_all", basic=basic, token_url="https://id.example/t"
        )
        async with VtnClient(BASE, given, transport=httpx.MockTransport(grant)) as vtn:
            assert await vtn.connection.token() == "t"
    form, header = seen
    assert form.content == b"grant_type=client_credentials&scope=read_all&client_id=a%3Ab&client_secret=c%25d"
    assert "Authorization" not in form.headers
    assert header.content == b"grant_type=client_credentials&scope=read_all"
    assert base64.b64decode(header.headers["Authorization"].removeprefix("Basic ")) == b"a%3Ab:c%25d"


async def test_refused_credentials_are_told_without_the_secret(world: SmallVtn) -> None:
    wrong = Credentials(client_id="ven-client", secret="not it")
    async with world.client(wrong) as vtn:
        with pytest.raises(Unauthenticated, match=r"no token for client 'ven-client': .*no such client") as caught:
            await listed(vtn.events.search())
    assert "not it" not in f"{caught.value!r} {wrong!r}"


async def test_without_credentials_nothing_is_shown_or_asked_for() -> None:
    seen: list[httpx.Request] = []

    def public(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=[])

    async with answering(public) as vtn:
        await listed(vtn.programs.search())
        assert await vtn.connection.token() is None
    assert [(one.url.path, "Authorization" in one.headers) for one in seen] == [("/openadr3/3.1.0/programs", False)]
