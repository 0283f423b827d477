"""The client of /v1: typed answers, and the platform's problems as the errors they left as."""

import subprocess
import sys
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from tieline.base.errors import Broken, Conflict, Forbidden, NotFound, Refused, TielineError, Unauthenticated, Unready
from tieline.ven.client import Client, Registration, Site

INDEX = {
    "name": "Tieline", "version": "0.1.0", "now_at": "2026-07-14T23:30:00Z", "speed": 60.0,
    "mqtt_host": "127.0.0.1", "mqtt_port": 1883, "site_zone": "America/Los_Angeles",
}  # fmt: skip


def client(
    reply: httpx.Response | Exception, seen: list[httpx.Request] | None = None, token: str | None = None
) -> Client:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return Client("http://127.0.0.1:8080", token=token, transport=httpx.MockTransport(answer))


async def test_the_index_is_typed_and_the_token_is_shown() -> None:
    seen: list[httpx.Request] = []
    async with client(httpx.Response(200, json=INDEX), seen, token="t") as platform:
        index = await platform.index()
    assert (index.now_at, index.speed) == (datetime(2026, 7, 14, 23, 30, tzinfo=UTC), 60.0)
    assert seen[0].headers["Authorization"] == "Bearer t"


async def test_a_ven_is_registered_with_its_site() -> None:
    seen: list[httpx.Request] = []
    site = Site("site-1", "Home 1", 36.7, -119.8, "America/Los_Angeles", 200)
    async with client(httpx.Response(201, json={"ven": {}, "secret": "s"}), seen) as platform:
        assert await platform.register(Registration("home-1", "Home 1", site, [])) == "s"
    assert msgspec.json.decode(seen[0].content)["site"]["panel_a"] == 200


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (401, Unauthenticated), (403, Forbidden), (404, NotFound), (409, Conflict), (422, Refused),
        (429, Unready), (500, Broken), (503, Unready),
    ],
)  # fmt: skip
async def test_a_problem_comes_back_as_its_family(status: int, family: type[TielineError]) -> None:
    problem = httpx.Response(status, json={"type": "about:blank", "title": "No", "status": status, "detail": "because"})
    async with client(problem) as platform:
        with pytest.raises(family, match="because") as caught:
            await platform.fleet()
    assert type(caught.value) is family


async def test_a_platform_out_of_reach_is_unready() -> None:
    async with client(httpx.ConnectError("refused")) as platform:
        with pytest.raises(Unready, match=r"http://127\.0\.0\.1:8080/v1 cannot be reached: refused"):
            await platform.index()


@pytest.mark.parametrize("body", [b"<html>", b"{}"])
async def test_an_answer_of_another_kind_is_broken(body: bytes) -> None:
    async with client(httpx.Response(200, content=body)) as platform:
        with pytest.raises(Broken, match="/v1 did not answer with a Platform"):
            await platform.index()


async def test_a_list_is_read_to_its_end() -> None:
    def page(request: httpx.Request) -> httpx.Response:
        cursor = request.url.params.get("cursor")
        ven = {"ven_id": f"home-{cursor or 1}", "name": "x", "online": True, "shed": False}
        return httpx.Response(200, json={"items": [ven], "next_cursor": None if cursor else "2"})

    async with Client("http://127.0.0.1:8080", transport=httpx.MockTransport(page)) as platform:
        assert [ven.ven_id async for ven in platform.vens()] == ["home-1", "home-2"]


def test_the_agent_needs_neither_the_platforms_libraries_nor_its_slices() -> None:
    heavy = "numpy pyarrow sqlalchemy duckdb litestar nats structlog tieline.ports tieline.registry"
    modules = "tieline.ven.client, tieline.ven.control, tieline.ven.session"
    check = f"import sys, {modules}; sys.exit(str(sorted(set('{heavy}'.split()) & set(sys.modules)) or ''))"
    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr.strip() == ""
