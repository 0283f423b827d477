"""Webhook deliveries whose receivers fail: tried again, rested, broken and mended, or dead, told and replayed."""

import asyncio
import json

import msgspec
import pytest
import sqlalchemy as sa
from aiohttp import web

from tests.integration.webhook_world import NOW, POLICY, World, rows, world
from tests.servers.receiver import Answer, Heard, answering, receiving
from tieline.base.errors import Conflict, NotFound
from tieline.vtn.webhooks import actions, reads, store
from tieline.vtn.webhooks.model import Policy
from tieline.vtn.webhooks.sender import Sender
from tieline.vtn.webhooks.sweeping import Sweeper

__all__ = ["rows", "world"]  # fixtures


# --- receivers that fail ----------------------------------------------------------------------------------------------


async def test_an_object_that_fails_waits_with_all_that_follows_and_holds_up_no_other(world: World) -> None:
    poison = True

    async def behave(heard: Heard) -> Answer:
        return web.Response(status=500) if poison and json.loads(heard.body)["object"] == "bad" else None

    world.receiver.behave = behave
    bad = await world.enqueue(*[world.new("bad") for _ in range(5)])
    good = await world.enqueue(*[world.new("good") for _ in range(5)])
    async with world.working():
        await world.settled(5, step=0.1)
        assert world.receiver.bodies("/hook") == good
        assert {one.body for one in world.receiver.heard} == {*good, bad[0]}
        poison = False
        await world.settled(step=1)
    assert world.receiver.bodies("/hook") == good + bad


async def test_an_endpoint_that_is_away_breaks_is_probed_and_comes_back_in_order(world: World) -> None:
    world.receiver.behave = answering(503)
    bodies = [await world.enqueue(*[world.new(f"o{n}", "/hook?key=secret") for _ in range(3)]) for n in range(50)]
    async with world.working():
        while not (broken := await reads.broken(world.rows)):
            await world.passing(1)
        tried, at = len(world.receiver.heard), world.clock.now()
        assert POLICY.break_after <= tried <= POLICY.break_after + POLICY.per_endpoint
        assert (broken[0].failures, broken[0].reason) == (POLICY.break_after, "it answered 503")
        await world.until(lambda: (world.clock.now() - at).total_seconds() > 600, step=1)
        assert 5 <= len(world.receiver.heard) - tried <= 2 * 600 / POLICY.probe_s + 1
        (still,) = await reads.broken(world.rows)
        assert still.broken_at == broken[0].broken_at
        world.receiver.behave = answering(204)
        await world.settled(step=1)
    assert await reads.broken(world.rows) == []
    got = [one.body for one in world.receiver.heard]
    for of_object in bodies:
        last = [max(n for n, body in enumerate(got) if body == one) for one in of_object]
        assert last == sorted(last)
    address = world.receiver.url("/hook")
    assert await world.news() == [("news.webhook.broken", address), ("news.webhook.mended", address)]


async def test_nobody_at_home_is_tried_again_later(world: World) -> None:
    async with receiving() as gone:
        url = gone.url("/hook")
    await world.enqueue(msgspec.structs.replace(world.new(), callback_url=url), world.new())
    async with world.working():
        await world.settled(1)
        assert len(world.receiver.taken) == 1
    delivery = await world.rows.read(lambda reader: reader.execute(sa.select(store.delivery)).one())
    assert (delivery.attempts, delivery.reason) == (1, "cannot connect: connection refused")


async def test_one_that_hangs_holds_up_no_other(world: World) -> None:
    async def behave(heard: Heard) -> Answer:
        if heard.path != "/well":
            await asyncio.sleep(30)
        return None

    world.receiver.behave = behave
    slow = [world.new(f"o{n}", f"/slow{n % 8}") for n in range(200)]
    await world.enqueue(*slow, *[world.new(f"o{n}", "/well") for n in range(100)])
    async with world.working(Policy(in_flight=32)):
        await world.until(lambda: len(world.receiver.bodies("/well")) == 100)
        assert len(world.receiver.heard) <= 100 + 32


async def test_retry_after_is_heeded_by_all_that_goes_there(world: World) -> None:
    world.receiver.behave = answering(429, Retry_After="120")
    await world.enqueue(*[world.new(f"o{n}") for n in range(100)])
    async with world.working(Policy(per_endpoint=4)):
        await world.until(lambda: bool(world.receiver.heard))
        await world.until(lambda: (world.clock.now() - NOW).total_seconds() > 110, step=1)
        asked = len(world.receiver.heard)
        assert asked <= 8
        world.receiver.behave = answering(200)
        await world.settled(step=1)
    assert await reads.broken(world.rows) == []


# --- death ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 410, 302])
async def test_what_trying_again_would_not_change_is_dead_at_once_and_can_be_replayed(
    world: World, status: int
) -> None:
    world.receiver.behave = answering(status, Location=world.receiver.url("/inside"))
    first, second = world.new(), world.new()
    await world.enqueue(first, second)
    async with world.working() as courier:
        await world.settled()
        dead = await reads.dead(world.rows)
        assert [(one.delivery_id, one.attempts) for one in dead] == [(first.delivery_id, 1), (second.delivery_id, 1)]
        assert all(str(status) in (one.reason or "") for one in dead)
        assert await reads.dead(world.rows, after=(dead[0].dead_at, dead[0].seq)) == dead[1:]
        assert await world.left() == {"body": 2, "delivery": 2}
        world.receiver.behave = answering(200)
        await world.rows.transaction(lambda tx: actions.replay(tx, first.delivery_id, world.clock.now()))
        with pytest.raises(Conflict):
            await world.rows.transaction(lambda tx: actions.replay(tx, first.delivery_id, world.clock.now()))
        courier.wake()
        await world.settled()
    assert [one.delivery_id for one in await reads.dead(world.rows)] == [second.delivery_id]
    assert {one.path for one in world.receiver.heard} == {"/hook"}
    with pytest.raises(NotFound):
        await world.rows.transaction(lambda tx: actions.replay(tx, first.delivery_id, world.clock.now()))


async def test_a_url_that_may_not_be_called_is_dead_at_once(world: World) -> None:
    await world.enqueue(world.new())
    async with world.working(sender=Sender()):
        await world.settled()
    (dead,) = await reads.dead(world.rows)
    assert "https" in (dead.reason or "")
    assert not world.receiver.peers


async def test_after_so_many_attempts_it_is_given_up(world: World) -> None:
    world.receiver.behave = answering(500)
    await world.enqueue(world.new(), world.new())
    async with world.working(Policy(attempts=3)):
        await world.settled(step=5)
    dead = await reads.dead(world.rows)
    assert [(one.attempts, one.reason) for one in dead] == [(3, "given up after 3 attempts: it answered 500")] * 2
    assert len(world.receiver.heard) == 6


async def test_what_is_too_old_is_swept(world: World) -> None:
    sweeper = Sweeper(world.rows, world.clock, POLICY)
    await world.enqueue(*[world.new(f"o{n}") for n in range(2500)])
    await world.clock.advance(POLICY.keep_s / 2)
    await world.enqueue(world.new("young"))
    await sweeper.sweep()
    assert (await world.rows.read(reads.backlog)).waiting == 2501
    await world.clock.advance(POLICY.keep_s / 2 + 1)
    await sweeper.sweep()
    backlog = await world.rows.read(reads.backlog)
    assert (backlog.waiting, len(await reads.dead(world.rows, limit=9999))) == (1, 2500)
    assert await world.left() == {"endpoint": 1, "lane": 1, "body": 2501, "delivery": 2501}
    await world.clock.advance(POLICY.keep_dead_s + POLICY.keep_s)
    await sweeper.sweep()
    await world.clock.advance(POLICY.keep_dead_s + POLICY.keep_s)
    await sweeper.sweep()
    assert await world.left() == {}


async def test_with_its_subscription_goes_all_that_it_was_to_be_told(world: World) -> None:
    world.tokens["other"] = None
    shared = world.new("o")
    await world.enqueue(shared, msgspec.structs.replace(shared, subscription_id="other"), world.new("p"))
    await world.rows.transaction(lambda tx: actions.forget(tx, "sub"))
    assert await world.left() == {"endpoint": 1, "lane": 1, "body": 1, "delivery": 1}
    await world.enqueue(world.new(subscription_id="gone"))  # one that was deleted while its change was on the way
    async with world.working():
        await world.settled()
    assert len(world.receiver.taken) == 1
    assert [one.reason for one in await reads.dead(world.rows)] == ["its subscription is gone"]
