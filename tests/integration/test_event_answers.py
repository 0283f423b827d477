"""Answers to events through a real broker that should not be, or come too late: none undoes anything, each is seen."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.commands_world import World, opened
from tests.integration.dispatch_world import Floor
from tieline.adapters.nats.server import NatsServer
from tieline.dispatch.model import NewProgram
from tieline.wires.mqtt.codec import encode
from tieline.wires.mqtt.messages import ACK, Ack, Answer, Op, OptOut, topic

HOME = "home-00"


class Street:
    """A dispatcher and its ledger, whose VENs answer over the broker, or not."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.floor = Floor(world.rows, world.clock, homes=1)
        self.floor.behave = lambda *_: None

    async def called(self) -> str:
        """An event that was said to the home a moment ago."""
        await self.world.register(HOME)
        await self.floor.add_program(NewProgram("peak", "Peak"))
        event_id = await self.floor.call(2.0, ahead=60)
        await self.floor.pass_time(30)
        return event_id

    async def say(self, ack: Ack) -> None:
        async with self.world.device(HOME) as device:
            await device.publish(topic(ACK, HOME), encode(ack), qos=1)

    async def row(self, event_id: str) -> dict[str, Any]:
        """As /v1 shows it."""
        async with self.world.door() as door:
            found: list[dict[str, Any]] = (await door.get(f"/v1/events/{event_id}/ledger")).json()["items"]
        return found[0]

    async def until(self, event_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(90):
            while not wanted(row := await self.row(event_id)):
                await asyncio.sleep(0.02)
        return row


@pytest.fixture
async def street(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Street]:
    async with opened(nats_server, tmp_path) as world:
        yield Street(world)


async def test_answers_to_commands_never_sent_are_dead_letters_and_change_nothing(street: Street) -> None:
    event_id = await street.called()
    before = await street.row(event_id)
    forged = [f"{event_id}:{HOME}:event:9", f"{event_id}:{HOME}:restore:1", f"never:{HOME}:event:1"]
    forged += [f"{event_id}:home-01:event:1", f"{event_id}:{HOME}:event:01"]
    async with street.world.device(HOME) as device:
        for command_id in forged:
            ack = Ack(command_id, Answer.ACCEPTED, street.world.clock.now(), opt_outs=[OptOut()])
            await device.publish(topic(ACK, HOME), encode(ack), qos=1)
        dead = await street.world.dead(5)
    assert sorted(letter.reason for letter in dead) == ["answer to nothing"] * 3 + ["malformed"] * 2
    assert {letter.ven_id for letter in dead} == {HOME}
    assert await street.row(event_id) == before


async def test_an_answer_after_expiry_is_noted_and_who_never_restores_is_escalated_until_it_comes_back(
    street: Street,
) -> None:
    event_id, floor = await street.called(), street.floor
    await floor.pass_time(17 * 60, step=15)
    assert (await street.row(event_id))["state"] == "restoring"
    await street.say(Ack(f"{event_id}:{HOME}:event:1", Answer.ACCEPTED, street.world.clock.now()))
    noted = await street.until(event_id, lambda row: row["answer"] is not None)
    assert (noted["state"], noted["answer"], noted["cause"]) == (
        "restoring", "accepted", "no answer before the event ended",
    )  # fmt: skip
    await floor.pass_time(16 * 60, step=30)
    escalated = await street.row(event_id)
    assert (escalated["state"], escalated["cause"]) == ("escalated", "no answer to the restore: look at this VEN")
    assert escalated["escalated_at"] is not None
    await street.world.clock.advance(timedelta(days=2).total_seconds())
    command = floor.retained[HOME]  # as the broker keeps it for who comes back
    answer = floor.controls[HOME].take(command, street.world.clock.now())
    assert (command.op, answer.answer) == (Op.RESTORE, Answer.ACCEPTED)
    await street.say(answer)
    restored = await street.until(event_id, lambda row: row["state"] == "restored")
    assert restored["restored_at"] is not None


async def test_a_device_that_is_retired_while_it_is_held_is_commanded_no_more_and_escalated(street: Street) -> None:
    event_id, world = await street.called(), street.world
    await street.say(Ack(f"{event_id}:{HOME}:event:1", Answer.ACCEPTED, world.clock.now()))
    await street.until(event_id, lambda row: row["state"] == "acked")
    await world.retire(HOME)
    async with world.door() as door:
        refused = await door.post(f"/v1/vens/{HOME}/commands", json={"op": "restore"})
    assert (refused.status_code, "was retired" in refused.json()["detail"]) == (404, True)
    await street.floor.pass_time(33 * 60, step=30)
    row = await street.row(event_id)
    assert (row["state"], row["cause"]) == ("escalated", "no answer to the restore: look at this VEN")


async def test_an_opt_out_in_part_reaches_the_ledger_whatever_the_format(street: Street) -> None:
    event_id = await street.called()
    from_at = street.world.clock.now() + timedelta(minutes=5)
    parts = [OptOut("ev", from_at, reason="guests\x00")]
    ack = Ack(f"{event_id}:{HOME}:event:1", Answer.ACCEPTED, street.world.clock.now(), opt_outs=parts)
    async with street.world.device(HOME) as device:
        await device.publish(topic(ACK, HOME), msgspec.msgpack.encode(ack), qos=1)
    row = await street.until(event_id, lambda row: row["opted_out_from_at"] is not None)
    assert row["state"] == "acked"
    assert row["cause"].endswith("on: guests\ufffd")
    await street.floor.pass_time(6 * 60)
    assert (await street.row(event_id))["state"] == "restoring"
