"""What the operator's doors tell of webhooks, and what they keep to themselves: the secret in a callback URL."""

from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.di import Provide

from tests.integration.webhook_world import World, rows, world
from tests.servers.receiver import answering
from tieline import doors
from tieline.identity import actions
from tieline.identity.model import NewClient
from tieline.identity.scopes import Role
from tieline.ports import Transaction
from tieline.vtn import v1

__all__ = ["rows", "world"]  # fixtures


@pytest.fixture
def door(world: World) -> httpx.AsyncClient:
    handlers = v1.routes({}, world.clock.now, lambda: None, public_url="", development=True, embedded=True)
    provided = {
        "rows": Provide(lambda: world.rows, sync_to_thread=False),
        "clock": Provide(lambda: world.clock, sync_to_thread=False),
    }
    app: Any = Litestar(handlers, dependencies=provided, exception_handlers=dict[Any, Any](doors.PROBLEMS))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tieline")


async def _told(door: httpx.AsyncClient, path: str) -> Any:
    answer = await door.get(path)
    assert answer.status_code == 200, answer.text
    assert "secret" not in answer.text
    return answer.json()


async def test_the_gateway_counts_the_clients_that_may_come_in(world: World, door: httpx.AsyncClient) -> None:
    def enrol(tx: Transaction) -> None:
        for client_id in ("first", "second", "gone"):
            actions.add_client(tx, NewClient(client_id, client_id, Role.VEN), world.clock.now())
        actions.revoke_client(tx, "gone", world.clock.now())

    async with door:
        assert (await _told(door, "/v1/openadr"))["clients"] == 0
        await world.rows.transaction(enrol)
        assert (await _told(door, "/v1/openadr"))["clients"] == 2


async def test_the_gateway_tells_where_a_broken_endpoint_is_without_its_secret(
    world: World, door: httpx.AsyncClient
) -> None:
    world.receiver.behave = answering(503)
    await world.enqueue(world.new(path="/away?key=secret"))
    async with door, world.working():
        while not (broken := (await _told(door, "/v1/openadr"))["broken"]):
            await world.clock.advance(1)
    assert [one["callback_url"] for one in broken] == [world.receiver.url("/away")]


async def test_what_was_given_up_is_told_without_the_receivers_secret(world: World, door: httpx.AsyncClient) -> None:
    world.receiver.behave = answering(410)
    await world.enqueue(*[world.new(f"o{n}", f"/gone?n={n}&key=secret") for n in range(3)])
    async with door, world.working():
        await world.settled()
        first = await _told(door, "/v1/webhooks/dead?limit=2")
        rest = await _told(door, f"/v1/webhooks/dead?cursor={first['next_cursor']}")
    dead = [*first["items"], *rest["items"]]
    assert {one["object_id"] for one in dead} == {"o0", "o1", "o2"}
    assert {one["callback_url"] for one in dead} == {world.receiver.url("/gone")}
