"""Twins through their doors on a real server: operators change them, devices report and are told what is desired."""

import asyncio
import contextlib
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from tests.integration.twins_world import MINE, NOW, TWINS, World, change, publisher, until, working, world
from tests.servers.devices import secret
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.base.errors import Conflict, Unready
from tieline.base.time import iso
from tieline.registry import openadr
from tieline.registry.twins import reads
from tieline.registry.twins.actions import TRIES, Twins
from tieline.registry.twins.model import MAX_BYTES, MAX_TWINS, TwinChange
from tieline.registry.twins.mqtt import BEATS, GROUP, REPORTS
from tieline.ven.session import Session
from tieline.ven.twin import DeviceTwin, State
from tieline.wires.mqtt.messages import PRESENCE, TWIN, TwinReport

__all__ = ["publisher", "world"]  # fixtures

# --- the HTTP door ----------------------------------------------------------------------------------------------------


async def test_a_twin_is_made_shown_changed_and_deleted(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1")
    async with world.door(world.part(publisher)) as door:
        assert (await door.get(MINE)).status_code == 404
        made = await change(door, {"desired": {"setpoint_c": 21, "mode": {"eco": True}}})
        shown = await door.get(MINE)
        assert shown.json() == made
        assert made == {
            "ven_id": "home-1", "name": "classic", "version": 1, "at": iso(NOW),
            "desired": {"setpoint_c": 21, "mode": {"eco": True}}, "reported": {},
            "delta": {"setpoint_c": 21, "mode": {"eco": True}},
            "metadata": {"desired": {"setpoint_c": iso(NOW), "mode": {"eco": iso(NOW)}}},
            "deleted": False,
        }  # fmt: skip
        assert (await door.get(MINE, headers={"if-none-match": shown.headers["etag"]})).status_code == 304

        await world.clock.advance(1)
        then = await change(door, {"reported": {"setpoint_c": 21}, "desired": {"mode": None, "fan": "low"}})
        assert (then["version"], then["delta"]) == (2, {"fan": "low"})
        assert then["metadata"]["desired"] == {"setpoint_c": iso(NOW), "fan": iso(world.clock.now())}
        assert (await door.get(MINE, headers={"if-none-match": shown.headers["etag"]})).status_code == 200

        assert (await door.delete(MINE)).status_code == 204
        for gone in (await door.get(MINE), await door.delete(MINE)):
            assert (gone.status_code, gone.headers["content-type"]) == (404, "application/problem+json")
        assert (await door.get(TWINS)).json()["items"] == []
        again = await change(door, {"desired": None})
        assert (again["version"], again["desired"], again["delta"]) == (4, {}, {})


async def test_a_change_of_another_version_is_a_conflict(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1")
    async with world.door(world.part(publisher)) as door:
        await change(door, {"desired": {"a": 1}, "version": 0})
        await change(door, {"desired": {"a": 2}, "version": 1})
        stale = await door.patch(MINE, json={"desired": {"a": 3}, "version": 1})
        assert (stale.status_code, stale.json()["title"]) == (409, "Conflict")
        assert "at version 2, not 1" in stale.json()["detail"]
        assert (await door.get(MINE)).json()["desired"] == {"a": 2}


async def test_what_is_no_change_is_refused_and_leaves_the_twin_as_it_was(
    world: World, publisher: MqttPublisher
) -> None:
    await world.register("home-1")
    async with world.door(world.part(publisher)) as door:
        before = await change(door, {"desired": {"a": 1}})
        wrong: list[dict[str, Any]] = [{}, {"desired": {"a": "x" * MAX_BYTES}}, {"reported": {"a": [None]}}]
        assert [(await door.patch(MINE, json=one)).status_code for one in wrong] == [422] * 3
        wrong = [{"desired": 7}, {"wanted": {}}, {"desired": {}, "version": -1}]
        assert [(await door.patch(MINE, json=one)).status_code for one in wrong] == [400] * 3
        assert (await door.patch(f"{TWINS}/no.name", json={"desired": {}})).status_code == 422
        assert (await door.get(f"{TWINS}/no.name")).status_code == 404
        assert (await door.get(MINE)).json() == before


async def test_named_twins_stand_beside_the_classic_one(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1", "home-10")
    async with world.door(world.part(publisher)) as door:
        await change(door, {"desired": {"a": 1}})
        await change(door, {"desired": {"a": 2}, "reported": {"a": 2}}, f"{TWINS}/firmware")
        await change(door, {"desired": {"a": 3}}, "/v1/vens/home-10/twins/other")
        page = (await door.get(TWINS)).json()
        assert [(one["name"], one["version"], one["differs"]) for one in page["items"]] == [
            ("classic", 1, True),
            ("firmware", 1, False),
        ]
        first = (await door.get(TWINS, params={"limit": 1})).json()
        then = (await door.get(TWINS, params={"limit": 1, "cursor": first["next_cursor"]})).json()
        assert [one["name"] for one in first["items"] + then["items"]] == ["classic", "firmware"]
        assert then["next_cursor"] is None
        for number in range(MAX_TWINS - 2):
            await change(door, {"desired": {}}, f"{TWINS}/n{number}")
        full = await door.patch(f"{TWINS}/one-more", json={"desired": {}})
        assert (full.status_code, "one more" in full.json()["detail"]) == (422, True)


async def test_the_history_of_a_twin_tells_its_deletion_too(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1")
    async with world.door(world.part(publisher)) as door:
        assert (await door.get(f"{MINE}/history")).status_code == 404
        for value in (1, 2):
            await change(door, {"desired": {"a": value}})
        await door.delete(MINE)
        await change(door, {"reported": {"a": 3}})
        items = (await door.get(f"{MINE}/history")).json()["items"]
    assert [(one["version"], one["desired"], one["reported"], one["deleted"]) for one in items] == [
        (1, {"a": 1}, {}, False), (2, {"a": 2}, {}, False), (3, {}, {}, True), (4, {}, {"a": 3}, False),
    ]  # fmt: skip


async def test_only_vens_that_there_are_have_twins(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1")
    async with world.door(world.part(publisher)) as door:
        await change(door, {"desired": {"a": 1}})
        await world.rows.transaction(lambda tx: openadr.delete_ven(tx, "home-1", NOW))
        for ven_id in ("home-1", "nobody"):
            place = f"/v1/vens/{ven_id}/twins"
            asked = [place, f"{place}/classic", f"{place}/classic/history"]
            assert [(await door.get(one)).status_code for one in asked] == [404] * 3
            assert (await door.patch(f"{place}/classic", json={"desired": {"a": 2}})).status_code == 404
            assert (await door.delete(f"{place}/classic")).status_code == 404


# --- many at once -----------------------------------------------------------------------------------------------------


async def test_of_many_that_change_a_twin_at_once_no_change_is_lost(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1")
    twins = [Twins(world.documents, world.rows, world.clock, publisher.publish) for _ in range(2)]
    count = 16
    await asyncio.gather(
        *(twins[n % 2].change("home-1", "classic", TwinChange(reported={f"f{n}": n})) for n in range(count))
    )
    twin = await reads.the_twin(world.documents, "home-1", "classic")
    assert (twin.version, twin.reported) == (count, {f"f{n}": n for n in range(count)})


async def test_of_many_with_the_same_version_one_is_taken(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1")
    twins = Twins(world.documents, world.rows, world.clock, publisher.publish)
    changes = [TwinChange(reported={"a": n}, version=0) for n in range(10)]
    done = await asyncio.gather(*(twins.change("home-1", "classic", one) for one in changes), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["Conflict"] * 9 + ["TwinView"]


async def test_whoever_never_comes_first_is_asked_to_try_again(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1")
    twins, tries = Twins(world.documents, world.rows, world.clock, publisher.publish), 0

    async def beaten(*_: object, **__: object) -> int:
        nonlocal tries
        tries += 1
        raise Conflict("another came first")

    with patch.object(world.documents, "put", beaten), pytest.raises(Unready, match="too many at once"):
        await twins.change("home-1", "classic", TwinChange(desired={"a": 1}))
    assert tries == TRIES


# --- the MQTT door ----------------------------------------------------------------------------------------------------


async def test_a_device_is_told_what_is_desired_until_it_has_reported_it(
    world: World, publisher: MqttPublisher
) -> None:
    await world.register("home-1")
    served = world.part(publisher)
    async with world.door(served) as door, working(served), world.device("home-1") as device:
        await change(door, {"desired": {"setpoint_c": 21, "fan": "low"}})
        told = await device.told()
        assert (told.name, told.version, told.state) == ("classic", 1, {"setpoint_c": 21, "fan": "low"})
        await device.report({"setpoint_c": 21})
        assert ((told := await device.told()).version, told.state) == (2, {"fan": "low"})
        await device.report({"fan": "low", "light": "on"}, packed=True, token="t-1")
        assert ((told := await device.told()).version, told.state, told.token) == (3, {}, "t-1")
        shown = (await door.get(MINE)).json()
        assert (shown["delta"], shown["reported"]) == ({}, {"setpoint_c": 21, "fan": "low", "light": "on"})


async def test_a_device_that_was_away_is_told_when_it_is_back(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1", "home-2")
    served = world.part(publisher)
    async with world.door(served) as door, working(served):
        await change(door, {"desired": {"a": 1}})
        await change(door, {"desired": {"v": 2}}, f"{TWINS}/firmware")
        await change(door, {"desired": {"x": 1}, "reported": {"x": 1}}, f"{TWINS}/met")
        async with world.device("home-1") as device, world.device("home-2") as other:
            await other.beat()
            await device.beat(online=False)
            await device.say(PRESENCE, b"nonsense")
            states: dict[str, State] = {}
            while len(states) < 2:
                await device.beat()
                told = await device.told()
                states[told.name] = told.state
            assert states == {"classic": {"a": 1}, "firmware": {"v": 2}}


async def test_a_device_that_has_reported_all_that_is_desired_is_told_no_more(
    world: World, publisher: MqttPublisher
) -> None:
    await world.register("home-1")
    served = world.part(publisher)
    async with world.door(served) as door, working(served), world.device("home-1") as device:
        await change(door, {"desired": {"a": 1}})
        assert (await device.told()).state == {"a": 1}
        await device.report({"a": 1}, token="done")
        assert (await device.told()).token == "done"
        await device.beat()
        while await world.log.waiting(BEATS, group=GROUP):
            await asyncio.sleep(0.02)
        await device.report(token="asked")
        assert (await device.told()).token == "asked"


async def test_what_was_desired_before_a_start_is_told_after_it(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1")
    async with world.door(world.part(publisher)) as door:
        await change(door, {"desired": {"a": 1}})
    async with working(world.part(publisher)), world.device("home-1") as device:
        told = asyncio.ensure_future(device.told())
        while not told.done():
            await device.beat()
            await asyncio.sleep(0.05)
        assert (await told).state == {"a": 1}


async def test_a_device_that_asks_is_told_of_each_of_its_twins(world: World, publisher: MqttPublisher) -> None:
    await world.register("home-1")
    served = world.part(publisher)
    async with world.door(served) as door, working(served):
        async with world.device("home-1") as device:
            await device.report(token="first")
            assert ((told := await device.told()).version, told.state, told.token) == (0, {}, "first")
        await change(door, {"desired": {"v": 2}}, f"{TWINS}/firmware")
        async with world.device("home-1") as device:
            names: set[str] = set()
            while names != {"classic", "firmware"}:
                await device.report()
                names.add((await device.told()).name)


async def test_a_report_of_another_version_is_refused_to_the_device_alone(
    world: World, publisher: MqttPublisher
) -> None:
    await world.register("home-1")
    served = world.part(publisher)
    async with world.door(served) as door, working(served), world.device("home-1") as device:
        await change(door, {"desired": {"a": 1}})
        await device.told()
        await device.report({"a": 7}, version=0, token="t")
        told = await device.told()
        assert ("not 0" in told.refused, told.version, told.state, told.token) == (True, 1, {"a": 1}, "t")
        await device.report({"a": 1}, version=1, token="u")
        assert ((told := await device.told()).version, told.refused) == (2, "")
    assert world.refused == []


async def test_what_is_refused_is_kept_with_its_reason_and_the_device_told(
    world: World, publisher: MqttPublisher
) -> None:
    await world.register("home-1")
    served = world.part(publisher)
    wrong: list[tuple[bytes, str]] = [
        (b"nonsense", "no TwinReport"),
        (b'{"name": "no.name", "reported": {}}', "no TwinReport"),
        (b'{"reported": {"a": [null]}}', "has a null"),
        (b'{"reported": ' + b'{"a":' * 20 + b"1" + b"}" * 20 + b"}", "goes deeper"),
        (b'{"reported": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", "too deep"),
        (msgspec.json.encode(TwinReport(reported={"a": "x" * MAX_BYTES})), "at most 8192"),
        (msgspec.msgpack.encode({"reported": {"a": {1: 2}}}), "named by no text"),
    ]
    async with working(served), world.device("home-1") as device, world.device("stranger") as stranger:
        await stranger.report({"a": 1})
        for data, why in wrong:
            await device.say(TWIN, data)
            told = await device.told()
            assert why in told.refused
            assert (told.name, told.version) == ("classic", 0)
        await until(lambda: len(world.refused) == len(wrong) + 1)
    kept = {(ven_id, reason, data) for ven_id, reason, _, data in world.refused}
    assert kept >= {("home-1", "no twin", data) for data, _ in wrong}
    assert ("stranger", "unknown VEN") in {(ven_id, reason) for ven_id, reason, _ in kept}
    assert await reads.names(world.documents, "stranger") == []


@pytest.mark.parametrize("processes", [1, 2])
async def test_what_a_device_reported_last_stands_however_many_processes_enter_it(
    world: World, publisher: MqttPublisher, processes: int
) -> None:
    devices = [f"home-{n}" for n in range(4)]
    await world.register(*devices)

    async def count(ven_id: str) -> None:
        async with world.device(ven_id) as device:
            for number in range(25):
                await device.report({"count": number})

    async with contextlib.AsyncExitStack() as stack:
        for _ in range(processes):
            await stack.enter_async_context(working(world.part(publisher)))
        await asyncio.gather(*map(count, devices))
        while await world.log.waiting(REPORTS, group=GROUP):
            await asyncio.sleep(0.02)
    for ven_id in devices:
        twin = await reads.the_twin(world.documents, ven_id, "classic")
        assert twin.reported == {"count": 24}
        assert twin.version == 25 or processes > 1  # one that was overtaken is not entered


async def test_a_broker_that_is_away_makes_no_change_fail(world: World) -> None:
    await world.register("home-1")

    async def away(*_: object, **__: object) -> None:
        raise Unready("the broker is away")

    twins = Twins(world.documents, world.rows, world.clock, away)
    assert (await twins.change("home-1", "classic", TwinChange(desired={"a": 1}))).version == 1


async def test_the_agents_twin_over_its_session(world: World, publisher: MqttPublisher) -> None:
    """A thermostat that was away while its setpoint was changed."""
    await world.register("home-1")
    served, state = world.part(publisher), {"setpoint_c": 19}

    def apply(desired: State) -> State:
        state.update(desired)
        return state

    async with world.door(served) as door, working(served):
        await change(door, {"desired": {"setpoint_c": 21}})
        session = Session(
            "home-1", secret("home-1"), host=world.server.mqtt_host, port=world.server.mqtt_port,
            on_command=lambda _: None,
        )  # fmt: skip
        twin = DeviceTwin(session.send, apply)
        session.on_desired, session.on_connected = twin.on_desired, twin.on_connected
        twin.report(state)
        twin.version = 99  # of the platform as it was before it was restored from a backup
        running = asyncio.ensure_future(session.run())
        while (shown := (await door.get(MINE)).json())["delta"]:
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (state, shown["reported"]) == ({"setpoint_c": 21}, {"setpoint_c": 21})
