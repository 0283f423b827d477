"""Webhook deliveries over real rows and a real receiver: signed, in order, once, by one worker or several."""

import asyncio
import json

import msgspec

from tests.integration.webhook_world import NOW, POLICY, Counting, Severed, World, rows, world
from tests.servers.receiver import Answer, Heard, answering
from tieline.vtn.webhooks import signing
from tieline.vtn.webhooks.model import Policy

__all__ = ["rows", "world"]  # fixtures


# --- delivered --------------------------------------------------------------------------------------------------------


async def test_what_is_enqueued_is_delivered_signed_and_gone(world: World) -> None:
    new = world.new(path="/hook?site=1")
    await world.enqueue(new)
    async with world.working():
        await world.settled()
    (heard,) = world.receiver.taken
    assert (heard.method, heard.path, heard.query, heard.body) == ("POST", "/hook", "site=1", new.body)
    stamp = str(int(NOW.timestamp()))
    assert heard.headers["Content-Type"] == "application/json"
    assert heard.headers["Authorization"] == "Bearer t0ken"
    assert heard.headers["webhook-id"] == new.delivery_id
    assert heard.headers["webhook-timestamp"] == stamp
    assert heard.headers["webhook-signature"] == signing.signature(new.delivery_id, stamp, new.body, "t0ken")
    assert await world.left() == {}


async def test_without_a_token_it_is_not_signed(world: World) -> None:
    world.tokens["open"] = None
    await world.enqueue(world.new(subscription_id="open"))
    async with world.working():
        await world.settled()
    assert not {"Authorization", "webhook-signature"} & world.receiver.taken[0].headers.keys()


async def test_the_same_change_enqueued_again_is_the_same_delivery(world: World) -> None:
    new = [world.new("a"), world.new("b")]
    for _ in range(3):
        await world.enqueue(*new)
    await world.enqueue(*new, world.new("c"))
    async with world.working():
        await world.settled()
    assert len(world.receiver.heard) == 3


async def test_a_body_told_to_many_is_kept_once(world: World) -> None:
    first = world.new()
    many = [msgspec.structs.replace(first, callback_url=world.receiver.url(f"/{n}")) for n in range(300)]
    await world.enqueue(*many)
    assert await world.left() == {"endpoint": 300, "lane": 300, "body": 1, "delivery": 300}
    async with world.working():
        await world.settled()
    assert {one.path for one in world.receiver.taken} == {f"/{n}" for n in range(300)}
    assert await world.left() == {}


async def test_what_is_enqueued_later_is_sent_once_woken_with_no_time_passing(world: World) -> None:
    async with world.working() as courier:
        for n in range(3):
            await world.enqueue(world.new())
            courier.wake()
            await world.settled()
            assert len(world.receiver.taken) == n + 1


async def test_what_another_process_enqueued_is_found_within_a_poll(world: World) -> None:
    async with world.working():
        await asyncio.sleep(0.05)
        await world.enqueue(world.new())
        await world.settled(step=POLICY.poll_s / 2)


async def test_one_object_in_order_others_beside_it_within_bounds(world: World) -> None:
    async def slow(_: Heard) -> Answer:
        await asyncio.sleep(0.01)
        return None

    world.receiver.behave = slow
    new = [world.new(f"o{n % 40}", f"/{n % 2}") for n in range(400)]
    await world.enqueue(*new)
    async with world.working(Policy(per_endpoint=8)):
        await world.settled(step=0.001)
    for path in ("/0", "/1"):
        taken = [json.loads(body) for body in world.receiver.bodies(path)]
        assert len(taken) == 200
        for object_id in {one["object"] for one in taken}:
            numbers = [one["n"] for one in taken if one["object"] == object_id]
            assert numbers == sorted(numbers)
        assert 1 < world.receiver.most[path] <= 8


# --- workers ----------------------------------------------------------------------------------------------------------


async def test_what_a_killed_worker_had_in_hand_is_sent_by_another_once_its_lease_ends(world: World) -> None:
    async def hangs(_: Heard) -> Answer:
        await asyncio.sleep(30)
        return None

    world.receiver.behave = hangs
    bodies = await world.enqueue(*[world.new() for _ in range(3)])
    doomed = Severed(world.rows)
    async with world.working(rows=doomed):
        await world.until(lambda: bool(world.receiver.heard))
        doomed.killed = True
    world.receiver.behave = answering(200)
    async with world.working():
        await world.clock.advance(POLICY.hold_s)
        await asyncio.sleep(0.05)
        assert len(world.receiver.heard) == 1  # it may still be at it
        await world.settled(step=1)
    assert [one.body for one in world.receiver.heard] == [bodies[0], *bodies]
    assert (world.clock.now() - NOW).total_seconds() < 600


async def test_a_worker_that_is_stopped_gives_back_what_it_held(world: World) -> None:
    async def hangs(_: Heard) -> Answer:
        await asyncio.sleep(30)
        return None

    world.receiver.behave = hangs
    await world.enqueue(*[world.new(f"o{n}") for n in range(20)])
    async with world.working():
        await world.until(lambda: bool(world.receiver.heard))
    world.receiver.behave = answering(200)
    async with world.working():
        await world.settled()
    assert world.clock.now() == NOW


async def test_several_workers_share_while_more_comes_in(world: World) -> None:
    senders = [Counting() for _ in range(3)]
    bodies: dict[tuple[str, str], list[bytes]] = {}

    async def comes() -> None:
        for _ in range(20):
            new = [world.new(f"o{n % 3}", f"/{n % 17}") for n in range(51)]
            for one in new:
                bodies.setdefault((f"/{one.callback_url.rpartition('/')[2]}", one.object_id), []).append(one.body)
            await world.enqueue(*new)

    async with (
        world.working(Policy(in_flight=8), sender=senders[0]),
        world.working(Policy(in_flight=8), sender=senders[1]),
        world.working(Policy(in_flight=8), sender=senders[2]),
    ):
        await asyncio.gather(comes(), world.settled(0, step=0.1))
        await world.settled(step=0.1)
    for (path, object_id), enqueued in bodies.items():
        taken = [body for body in world.receiver.bodies(path) if json.loads(body)["object"] == object_id]
        assert taken == enqueued  # each once, since nobody died, and in order
    assert all(sender.posted for sender in senders)
    assert await world.left() == {}


async def test_rows_that_are_away_for_a_while_are_waited_for(world: World) -> None:
    flaky = Severed(world.rows)
    await world.enqueue(*[world.new(f"o{n}") for n in range(50)])
    async with world.working(rows=flaky):
        await world.until(lambda: bool(world.receiver.heard))
        flaky.killed = True
        await world.clock.advance(3)
        await asyncio.sleep(0.05)
        flaky.killed = False
        await world.settled(step=1)
    assert len({one.headers["webhook-id"] for one in world.receiver.heard}) == 50
    assert len(world.receiver.heard) == 50  # what was answered meanwhile was remembered
