"""Reports of devices that come again, late, too often, or at a bad moment; and the twins of those that are retired."""

import asyncio
from datetime import timedelta
from unittest.mock import patch

from tests.integration.floods import flooding
from tests.integration.twins_world import NOW, World, change, publisher, working, world
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.sql.outbox import Outbox
from tieline.base.errors import Unready
from tieline.identity import actions as identity
from tieline.identity import reads as credentials
from tieline.registry import openadr
from tieline.registry.twins import reads
from tieline.registry.twins.actions import Twins
from tieline.registry.twins.mqtt import GROUP, REPORTS, REVOKED
from tieline.telemetry.flood import Bounds
from tieline.wires.mqtt.messages import TwinReport

__all__ = ["publisher", "world"]  # fixtures


async def test_a_report_that_is_delivered_again_takes_nothing_back(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1")
    twins = Twins(world.documents, world.rows, world.clock, publisher.publish)
    older, newer, none = (TwinReport(reported=one) for one in ({"a": 1, "b": 1, "c": 1}, {"a": 2, "c": None}, {}))
    await twins.report("home-1", newer, 2, NOW)
    later = NOW + timedelta(seconds=1)  # another server's clock
    for _ in range(3):
        await twins.report("home-1", older, 1, later)
        await twins.report("home-1", newer, 2, NOW)
        await twins.report("home-1", none, 3, NOW)
    twin = await reads.the_twin(world.documents, "home-1", "classic")
    assert (twin.version, twin.reported, twin.at) == (2, {"a": 2, "b": 1}, later)


async def test_a_device_that_cannot_be_as_desired_is_not_told_each_time_that_it_says_so(
    world: World, publisher: MqttPublisher
) -> None:
    await world.register("home-1")
    served = world.part(publisher)
    async with world.door(served) as door, working(served), world.device("home-1") as device:
        await change(door, {"desired": {"setpoint_c": 40}})
        assert (await device.told()).state == {"setpoint_c": 40}
        for _ in range(3):
            await device.report({"setpoint_c": 25})
        await device.report({"setpoint_c": 25}, token="asked")
        assert ((told := await device.told()).state, told.token) == ({"setpoint_c": 40}, "asked")


async def test_while_one_twin_cannot_be_entered_others_are_and_it_is_later(
    world: World, publisher: MqttPublisher
) -> None:
    await world.register("home-1", "home-2")
    log = await NatsLog.open(world.log._connection, ack_wait_s=1)
    await log.prepare(REPORTS, group=GROUP)
    world.log = log
    put, full = world.documents.put, True

    async def put_unless_full(key: str, data: bytes, *, expected: int, alone: bool = False) -> int:
        if full and ".home-1." in key:
            raise Unready("the bucket is full")
        return await put(key, data, expected=expected, alone=alone)

    served = world.part(publisher)
    with patch.object(world.documents, "put", put_unless_full):
        async with working(served), world.device("home-1") as unlucky, world.device("home-2") as other:
            await unlucky.report({"a": 1})
            await unlucky.report({"a": None, "b": 2})
            for number in range(3):
                await other.report({"a": number}, token=str(number))
                assert (await other.told()).token == str(number)
            assert await reads.find_twin(world.documents, "home-1", "classic") is None
            full = False
            while await log.waiting(REPORTS, group=GROUP):
                await asyncio.sleep(0.05)
    assert (await reads.the_twin(world.documents, "home-1", "classic")).reported == {"b": 2}
    assert (await reads.the_twin(world.documents, "home-2", "classic")).version == 3


async def test_the_twins_of_a_ven_that_is_retired_go_with_their_histories(
    world: World, publisher: MqttPublisher
) -> None:
    await world.register("home-1", "home-2")
    served = world.part(publisher)
    async with world.door(served) as door:
        for ven_id in ("home-1", "home-2"):
            for value in (1, 2):
                await change(door, {"desired": {"a": value}}, f"/v1/vens/{ven_id}/twins/classic")
    await world.rows.transaction(lambda tx: openadr.delete_ven(tx, "home-1", NOW))
    await world.rows.transaction(lambda tx: identity.revoke(tx, "home-2", NOW))
    outbox = asyncio.ensure_future(Outbox(world.rows, world.log).run())
    async with working(served):
        while await reads.find_twin(world.documents, "home-1", "classic"):
            await asyncio.sleep(0.02)
        while await world.log.waiting(REVOKED, group=GROUP):
            await asyncio.sleep(0.02)
    outbox.cancel()
    await asyncio.gather(outbox, return_exceptions=True)
    assert [(one.version, one.deleted) for one in await reads.history(world.documents, "home-1", "classic")] == [
        (3, True)
    ]
    assert len(await reads.history(world.documents, "home-2", "classic")) == 2


async def test_a_device_that_floods_with_reports_is_shut_out_and_others_are_heard(
    world: World, publisher: MqttPublisher
) -> None:
    await world.register("home-1", "home-2")
    world.flooding = flooding(world.log, world.rows, world.clock, bounds=Bounds(per_s=0.001, burst=20, pause_s=60))
    served = world.part(publisher)
    async with working(served), world.device("home-1") as device, world.device("home-2") as other:
        for number in range(60):
            await device.report({"count": number})
        await other.report(token="heard")
        assert (await other.told()).token == "heard"
        while await world.log.waiting(REPORTS, group=GROUP):
            await asyncio.sleep(0.02)
    assert (await reads.the_twin(world.documents, "home-1", "classic")).reported == {"count": 19}
    shut_out = await world.rows.read(lambda reader: credentials.admitted(reader, ["home-1", "home-2"], NOW))
    assert list(shut_out) == ["home-2"]
