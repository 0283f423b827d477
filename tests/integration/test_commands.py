"""Direct commands from the door to the load and back, through a real broker: every one ends in what became of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.house.tree import ROOT
from tests.integration.commands_world import NOW, RESEND_S, World, opened, running
from tests.servers.devices import secret
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.sql.postgres import PostgresRows
from tieline.base.time import RatedClock, VirtualClock, iso
from tieline.dispatch.commands import actions, reads
from tieline.dispatch.commands.model import CommandState, NewCommand, Outcomes
from tieline.dispatch.commands.sender import Sender
from tieline.ports import Transaction
from tieline.wires.mqtt.codec import encode
from tieline.wires.mqtt.messages import ACK, COMMAND, Ack, Answer, Command, Op, topic


@pytest.fixture
async def world(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(nats_server, tmp_path) as world:
        yield world


async def test_a_load_is_shed_and_given_back(world: World) -> None:
    async with world.home("cabin") as home:
        end = NOW + timedelta(minutes=30)
        shed = await world.ask("cabin", op="shedLoad", resource_id="boiler", end_at=iso(end))
        assert (shed.state, shed.issued_at, shed.expires_at) == (CommandState.SENT, NOW, NOW + timedelta(seconds=60))
        await world.sender.step()
        answered = await world.settled(shed.command_id)
        assert (answered.state, answered.answered_at, answered.last_send_at) == (CommandState.ACCEPTED, NOW, NOW)
        assert home.control.limits(NOW) == {"boiler": 0.0}
        assert home.control.limits(end) == {}
        back = await world.ask("cabin", op="restore", resource_id="boiler")
        await world.sender.step()
        assert (await world.settled(back.command_id)).state is CommandState.ACCEPTED
        assert home.control.limits(NOW) == {}


async def test_the_device_of_the_page_takes_commands(world: World) -> None:
    page = (ROOT / "docs/howto/device.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    code = code.replace('"127.0.0.1", 1883', f"{world.server.mqtt_host!r}, {world.server.mqtt_port}")
    code = code.replace("the secret you were shown", secret("cabin")).replace("asyncio.run(main())", "")
    device: dict[str, Any] = {}
    exec(code, device)
    await world.register("cabin")
    world.clock = world.sender._clock = VirtualClock(RatedClock().now())  # the page's device looks at the wall
    async with running(device["main"]):
        for asked, state in (({"op": "ping"}, "accepted"), ({"op": "get"}, "refused"), ({"op": "restore"}, "accepted")):
            command = await world.ask("cabin", **asked, valid_s=3600)
            while (await world.shown(command.command_id)).state is CommandState.SENT:
                await world.clock.advance(RESEND_S)  # it may not have subscribed yet
                await world.sender.step()
                await asyncio.sleep(0.05)
            assert (await world.shown(command.command_id)).state == state


async def test_what_a_get_asks_for_comes_with_the_answer(world: World) -> None:
    async with world.home("cabin") as home:
        set_ = await world.ask("cabin", op="set", values={"beat_s": 30})
        await world.sender.step()
        await world.settled(set_.command_id)
        get = await world.ask("cabin", op="get", names=["beat_s", "meter_kw"])
        await world.sender.step()
        assert (await world.settled(get.command_id)).values == {"beat_s": 30, "meter_kw": 1.5}
        assert home.control.settings == {"beat_s": 30}


async def test_what_a_ven_refuses_is_shown_with_its_reason(world: World) -> None:
    async with world.home("cabin"):
        refused = await world.ask("cabin", op="set", values={"colour": "red"})
        await world.sender.step()
        answered = await world.settled(refused.command_id)
    assert (answered.state, "colour" in answered.reason) == (CommandState.REFUSED, True)


async def test_without_an_answer_it_is_said_again_and_acted_on_once(world: World) -> None:
    async with world.home("cabin") as home:
        home.silent = True
        asked = await world.ask("cabin", op="set", values={"beat_s": 10})
        await world.sender.step()
        await world.sender.step()  # not yet due again
        await world.clock.advance(RESEND_S)
        await world.sender.step()
        while len(home.heard) < 2:
            await asyncio.sleep(0.02)
        assert home.heard[0] == home.heard[1]
        for command in home.heard * 2:
            home.answer(command)
        assert (await world.settled(asked.command_id)).state is CommandState.ACCEPTED
        await world.clock.advance(RESEND_S)
        await world.sender.step()
        ping = await world.ask("cabin", op="ping")
        home.silent = False
        await world.sender.step()
        await world.settled(ping.command_id)
    assert [command.op for command in home.heard] == [Op.SET, Op.SET, Op.PING]


async def test_who_comes_back_before_it_expires_still_hears_it(world: World) -> None:
    await world.register("cabin")
    asked = await world.ask("cabin", op="ping", valid_s=300)
    await world.sender.step()
    assert (await world.shown(asked.command_id)).state is CommandState.SENT
    async with world.home("elsewhere"):  # another VEN hears nothing of it
        await world.clock.advance(RESEND_S)
        async with world.device("cabin") as device:
            await device.subscribe(topic(COMMAND, "cabin"), qos=0)
            await world.sender.step()
            async with asyncio.timeout(90):
                message = await anext(aiter(device.messages))
    assert message.retain is False
    assert asked.command_id.encode() in message.payload


async def test_no_answer_is_unanswered_and_one_that_comes_late_is_shown_as_such(world: World) -> None:
    async with world.home("cabin") as home:
        home.silent = True
        asked = await world.ask("cabin", op="ping")
        await world.sender.step()
        while not home.heard:
            await asyncio.sleep(0.02)
        early = home.control.take(home.heard[0], world.clock.now())
        await world.clock.advance(61)
        await world.sender.step()
        given_up = await world.shown(asked.command_id)
        assert (given_up.state, given_up.reason) == (CommandState.UNANSWERED, "no answer before it expired")
        home.session.send(ACK, early)
        late = await world.settled(asked.command_id, CommandState.ACCEPTED)
    assert (late.reason, late.answered_at) == ("answered late", NOW + timedelta(seconds=61))


async def test_a_ven_that_gets_it_too_late_says_so(world: World) -> None:
    async with world.home("cabin") as home:
        home.silent = True
        asked = await world.ask("cabin", op="shedPanel", limit_kw=2, end_at=iso(NOW + timedelta(hours=1)))
        await world.sender.step()
        while not home.heard:
            await asyncio.sleep(0.02)
        await world.clock.advance(61)
        home.answer(home.heard[0])
        answered = await world.settled(asked.command_id, CommandState.EXPIRED)
        assert answered.reason.startswith("answered late: it expired at")
        assert home.control.panel_limit(world.clock.now()) is None


async def test_an_answer_is_read_in_messagepack_too(world: World) -> None:
    await world.register("cabin")
    asked = await world.ask("cabin", op="ping")
    ack = Ack(asked.command_id, Answer.ACCEPTED, NOW, "with love", {"meter_kw": 2.5})
    async with world.device("cabin") as device:
        await device.publish(topic(ACK, "cabin"), encode(ack, packed=True), qos=1)
        answered = await world.settled(asked.command_id)
    assert (answered.state, answered.reason) == (CommandState.ACCEPTED, "with love")
    assert answered.values == {"meter_kw": 2.5}


async def test_of_two_answers_the_first_counts(world: World) -> None:
    await world.register("cabin")
    asked = await world.ask("cabin", op="ping")
    async with world.device("cabin") as device:
        for answer in (Answer.REFUSED, Answer.ACCEPTED):
            await device.publish(topic(ACK, "cabin"), encode(Ack(asked.command_id, answer, NOW)), qos=1)
        await device.publish(topic(ACK, "cabin"), b"the end", qos=1)
        await world.dead(1)
    assert (await world.shown(asked.command_id)).state is CommandState.REFUSED


async def test_an_answer_to_nothing_or_to_another_s_command_is_a_dead_letter(world: World) -> None:
    await world.register("cabin", "other")
    asked = await world.ask("other", op="ping")
    forged = [f"direct:cabin:{'0' * 24}", asked.command_id, "direct:cabin:short", "direct:cabin:" + "g" * 24]
    forged += ["never:cabin:event", f"direct:cabin:{'1' * 24}"]
    async with world.device("cabin") as device:
        for command_id in forged:
            await device.publish(topic(ACK, "cabin"), encode(Ack(command_id, Answer.ACCEPTED, NOW)), qos=1)
        dead = await world.dead(6)
    reasons = sorted((letter.reason, letter.ven_id) for letter in dead)
    assert reasons == [("answer to nothing", "cabin")] * 3 + [("malformed", "cabin")] * 3
    assert any("answered a command to other" in letter.detail for letter in dead)
    assert (await world.shown(asked.command_id)).state is CommandState.SENT


async def test_an_event_s_retained_command_stays_the_last(world: World) -> None:
    await world.register("cabin")
    until = NOW + timedelta(hours=1)
    called = Command("e:cabin:event", Op.EVENT, NOW, until, event_id="e", start_at=NOW, end_at=until)
    await world.sender._publish(topic(COMMAND, "cabin"), encode(called), retain=True)
    await world.ask("cabin", op="ping")
    await world.sender.step()
    async with world.device("cabin") as device:
        await device.subscribe(topic(COMMAND, "cabin"), qos=0)
        async with asyncio.timeout(90):
            message = await anext(aiter(device.messages))
    assert (message.retain, message.payload) == (True, encode(called))


async def test_a_ven_that_is_retired_or_unknown_is_not_found(world: World) -> None:
    await world.register("cabin")
    await world.retire("cabin")
    async with world.door() as door:
        for ven_id, said in (("cabin", "was retired"), ("nobody", "there is no VEN")):
            answer = await door.post(f"/v1/vens/{ven_id}/commands", json={"op": "ping"})
            assert (answer.status_code, said in answer.json()["detail"]) == (404, True)
        assert (await door.get("/v1/commands")).json() == {"items": [], "next_cursor": None}
        assert (await door.get("/v1/commands/direct:cabin:0")).status_code == 404


LATER, BEFORE = iso(NOW + timedelta(hours=1)), iso(NOW)


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"op": "event"}, 422, "POST /v1/events"),
        ({"op": "shedLoad", "resource_id": "boiler"}, 422, "needs end_at"),
        ({"op": "shedLoad", "resource_id": "boiler", "end_at": BEFORE}, 422, "must be after now"),
        ({"op": "shedLoad", "resource_id": "boiler", "start_at": LATER, "end_at": LATER}, 422, "after start_at"),
        ({"op": "shedLoad", "resource_id": "oven", "end_at": LATER}, 422, "boiler"),
        ({"op": "shedLoad", "resource_id": "sauna", "end_at": LATER}, 422, "boiler"),
        ({"op": "setLoad", "resource_id": "boiler"}, 422, "needs limit_kw"),
        ({"op": "shedPanel", "end_at": LATER}, 422, "needs limit_kw"),
        ({"op": "set"}, 422, "needs values"),
        ({"op": "ping", "limit_kw": 3}, 422, "takes no limit_kw"),
        ({"op": "restore", "resource_id": "boiler", "event_id": "e"}, 422, "one of them"),
        ({"op": "dance"}, 400, ""),
        ({"op": "ping", "valid_s": 0}, 400, ""),
        ({"op": "ping", "volume": 11}, 400, ""),
        ({"op": "setLoad", "resource_id": "boiler", "limit_kw": -1}, 400, ""),
        ({"op": "shedLoad", "resource_id": "boiler", "end_at": "2026-07-15T18:00:00"}, 400, ""),
        ({"op": "set", "values": {"beat_s": [1]}}, 400, ""),
    ],
)
async def test_what_cannot_be_asked_is_refused_at_the_door(
    world: World, asked: dict[str, Any], status: int, said: str
) -> None:
    await world.register("cabin")
    async with world.door() as door:
        answer = await door.post("/v1/vens/cabin/commands", json=asked)
        assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
        assert (await door.get("/v1/commands")).json()["items"] == []


async def test_many_are_commanded_at_once_and_each_that_cannot_be_is_told(world: World) -> None:
    await world.register("a", "b", "gone")
    await world.retire("gone")
    async with world.door() as door:
        body = {"op": "setLoad", "resource_id": "boiler", "limit_kw": 1, "ven_ids": ["a", "gone", "b", "nobody", "a"]}
        told = (await door.post("/v1/commands", json=body)).json()
        assert (told["sent"], told["refused"]) == (2, 2)
        assert [(one["ven_id"], bool(one["command_id"])) for one in told["items"]] == [
            ("a", True), ("gone", False), ("b", True), ("nobody", False),
        ]  # fmt: skip
        nobody = await door.post("/v1/commands", json=body | {"ven_ids": []})
        impossible = await door.post("/v1/commands", json={"op": "event", "ven_ids": ["a"]})
    assert (nobody.status_code, impossible.status_code) == (400, 422)


async def test_pages_are_newest_first_and_can_be_narrowed(world: World) -> None:
    await world.register("a", "b")
    asked = []
    for n in range(5):
        asked.append((await world.ask("ab"[n % 2], op="ping")).command_id)
        await world.clock.advance(n % 2)  # some are issued at the same instant
    async with world.door() as door:
        first = (await door.get("/v1/commands?limit=3")).json()
        rest = (await door.get(f"/v1/commands?limit=3&cursor={first['next_cursor']}")).json()
        of_b = (await door.get("/v1/commands?ven_id=b&state=sent")).json()["items"]
        answered = (await door.get("/v1/commands?state=accepted")).json()["items"]
        strange = await door.get("/v1/commands?state=lost")
    listed = [one["command_id"] for one in first["items"] + rest["items"]]
    assert (sorted(listed), rest["next_cursor"]) == (sorted(asked), None)
    issued = [one["issued_at"] for one in first["items"] + rest["items"]]
    assert issued == sorted(issued, reverse=True)
    assert (len(of_b), answered, strange.status_code) == (2, [], 400)


# --- several processes, crashes, the other database -------------------------------------------------------------------


async def test_what_was_commanded_long_ago_is_forgotten(world: World) -> None:
    await world.register("cabin")
    await world.ask("cabin", op="ping")
    await world.clock.advance(actions.KEEP.total_seconds())
    recent = await world.ask("cabin", op="ping")
    for later, known in ((0, 2), (3600, 2), (86_400, 1)):  # it is looked for once a day
        await world.clock.advance(later)
        await world.sender.sweep()
        assert len(await reads.commands(world.rows)) == known
    assert (await reads.commands(world.rows))[0].command_id == recent.command_id


async def test_many_are_asked_with_few_queries(world: World) -> None:
    await world.register("cabin")
    tokens = dict.fromkeys(["cabin", *(f"nobody-{n}" for n in range(400))], "0" * 24)
    queries = 0

    def work(tx: Transaction) -> Outcomes:
        class Counting:
            say = tx.say

            def execute(self, *asked: Any) -> Any:
                nonlocal queries
                queries += 1
                return tx.execute(*asked)

        return actions.ask_all(Counting(), tokens, NewCommand(op=Op.PING), NOW)

    told = await world.rows.transaction(work)
    assert (told.sent, told.refused, queries) == (1, 400, 4)


async def test_two_senders_say_a_command_once(world: World) -> None:
    await world.register("cabin")
    said: list[str] = []

    async def publish(topic: str, payload: bytes, *, retain: bool = True) -> None:
        said.append(f"{topic} {retain}")

    senders = [Sender(world.rows, world.clock, publish, RESEND_S) for _ in range(4)]
    for _ in range(20):
        await world.ask("cabin", op="ping")
        await asyncio.gather(*(sender.step() for sender in senders))
    assert said == ["ven/cmd/cabin False"] * 20


async def test_killed_between_writing_and_speaking_it_is_said_again(world: World) -> None:
    async with world.home("cabin"):
        asked = await world.ask("cabin", op="ping")
        now = world.clock.now()
        await world.rows.transaction(lambda tx: actions.send(tx, now, now))  # and here the process ends
        await world.sender.step()
        assert (await world.shown(asked.command_id)).state is CommandState.SENT
        await world.clock.advance(RESEND_S)
        await world.sender.step()
        assert (await world.settled(asked.command_id)).state is CommandState.ACCEPTED


async def test_in_postgresql_it_is_the_same(nats_server: NatsServer, tmp_path: Path, postgres_tables: str) -> None:
    async with (
        PostgresRows(postgres_tables, VirtualClock(NOW)) as rows,
        opened(nats_server, tmp_path, rows) as world,
        world.home("cabin"),
    ):
        asked = await world.ask("cabin", op="get")
        await world.sender.step()
        answered = await world.settled(asked.command_id)
        assert (answered.values or {})["meter_kw"] == 1.5
        strange = await world.ask("cabin", op="ping")
        ack = Ack(strange.command_id, Answer.REFUSED, NOW, "\x00" * 400, {"a\x00": "\x00", "b": "\ud7ff"})
        await world.rows.transaction(lambda tx: actions.hear(tx, ack, NOW))
        assert (await world.shown(strange.command_id)).values == ack.values
        tokens = {"cabin": "0" * 24}
        await rows.transaction(lambda tx: actions.ask_all(tx, tokens, NewCommand(op=Op.PING), NOW))
        assert len(await reads.commands(rows, state=CommandState.SENT)) == 1
