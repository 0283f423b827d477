"""Settlement at its doors and by its loop: baselines and statements served, made once, told."""

import asyncio
from datetime import UTC

import msgspec
import sqlalchemy as sa

from tests.integration.settlement_world import (
    END,
    QUARTER,
    START,
    World,
    settled_world,
    world,
)
from tieline.adapters.sql.outbox import OUTBOX
from tieline.base.time import iso
from tieline.dispatch import actions as dispatch
from tieline.dispatch.model import EventState, NewEvent, NewProgram
from tieline.settlement import reads

__all__ = ["world"]  # a fixture


# --- the doors --------------------------------------------------------------------------------------------------------


async def test_the_baseline_at_its_door(world: World) -> None:
    await world.register("home-1", "home-2", "newcomer")
    await world.history("home-1", "home-2")
    async with world.door() as door:
        missing = await door.get("/v1/events/hot/baseline")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        event = await world.call("home-1")
        early = (await door.get("/v1/events/hot/baseline")).json()
        assert (early["known_at"], early["at"], early["baseline_kw"]) == (None, [], [])
        await world.freeze(event)
        body = (await door.get("/v1/events/hot/baseline")).json()
    assert body["baseline_kw"] == [4.0] * 24
    assert body["at"] == [START.timestamp() + 300 * n for n in range(24)]
    assert (body["vens"], body["step_s"], body["rule"]) == (2, 300, "caiso-10-in-10")
    assert body["start_at"] == iso(START.astimezone(UTC))
    assert [one["ven_id"] for one in body["left_out"]] == ["newcomer"]


async def test_statements_at_their_doors(world: World) -> None:
    statement = await settled_world(world)
    async with world.door() as door:
        page = (await door.get("/v1/statements?event_id=hot")).json()
        assert page == {"items": [msgspec.to_builtins(statement.summary())], "next_cursor": None}
        assert (await door.get("/v1/statements?event_id=cold")).json()["items"] == []
        csv = await door.get("/v1/statements/hot-1", headers={"accept": "text/csv"})
        assert csv.text.splitlines() == [
            (
                "ven_id,baseline_kwh,used_kwh,delivered_kwh,gap_seconds,readings,note,asked_kwh,settled,"
                "delivered_low_kwh,delivered_high_kwh"
            ),
            "home-1,4.0,1.0,3.0,0.0,8,,3.0,True,,",
            "home-2,4.0,4.0,0.0,0.0,8,,3.0,True,,",
        ]
        for path in ("/v1/statements/hot-9", "/v1/statements/hot-1/readings?ven_id=nobody"):
            assert (await door.get(path)).status_code == 404


async def test_pages_of_statements(world: World) -> None:
    await settled_world(world)
    for kw in (1.5, 1.0):
        await world.clock.advance(60)
        await world.read("home-2", START, END, kw, known_at=world.clock.now())
        await world.settle()
    async with world.door() as door:
        first = (await door.get("/v1/statements?limit=2")).json()
        rest = (await door.get("/v1/statements", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [one["statement_id"] for one in first["items"] + rest["items"]] == ["hot-3", "hot-2", "hot-1"]
    assert rest["next_cursor"] is None


async def test_the_readings_behind_a_line(world: World) -> None:
    await settled_world(world)
    async with world.door() as door:
        found = (await door.get("/v1/statements/hot-1/readings?ven_id=home-1&limit=5")).json()
        more = (
            await door.get("/v1/statements/hot-1/readings", params={"ven_id": "home-1", "cursor": found["next_cursor"]})
        ).json()
    items = found["items"] + more["items"]
    assert [item["at"] for item in items] == [iso((START + QUARTER * n).astimezone(UTC)) for n in range(1, 9)]
    assert sum(item["value"] * 0.25 for item in items) == 1.0


# --- the loop ---------------------------------------------------------------------------------------------------------


async def test_the_loop_freezes_at_the_start_and_settles_after_the_delay(world: World) -> None:
    await world.register("home-1")
    await world.history("home-1")
    settler = world.settler(delay_s=120)
    await world.call("home-1")
    await settler.look(world.clock.now())
    assert await world.rows.read(reads.frozen_events) == {"hot"}
    await world.over()
    await world.clock.advance(119)
    await settler.look(world.clock.now())
    assert await reads.summaries(world.rows) == []
    await world.clock.advance(1)
    await settler.look(world.clock.now())
    (summary,) = await reads.summaries(world.rows)
    assert summary.known_at == world.clock.now()


async def test_what_nobody_looked_at_is_made_up_for_once(world: World) -> None:
    """A process that was down for the whole event; then two of them, at the same time."""
    await world.register("home-1")
    await world.history("home-1")
    event = await world.call("home-1")
    await world.over()
    await world.clock.advance(500)
    await asyncio.gather(*[world.settler().look(world.clock.now()) for _ in range(2)])
    (summary,) = await reads.summaries(world.rows)
    frozen = await world.rows.read(lambda reader: reads.the_baseline(reader, summary.event_id))
    assert frozen.known_at == event.started_at


async def test_an_event_cancelled_before_its_start_has_no_statement(world: World) -> None:
    await world.add_program(NewProgram("summer", "Summer peaks"))
    await world.publish(NewEvent("summer", START, END, 3.0, event_id="hot"))
    await world.step("hot", lambda tx, event: dispatch.close(tx, event, EventState.CANCELLED, world.clock.now()))
    await world.clock.advance(86400)
    await world.settler().look(world.clock.now())
    assert await reads.summaries(world.rows) == []


async def test_a_statement_is_told_with_its_summary(world: World) -> None:
    statement = await settled_world(world)
    outbox = sa.select(OUTBOX.c.data).where(OUTBOX.c.subject == "news.statement.made")
    (news,) = await world.rows.read(lambda reader: reader.execute(outbox).scalars().all())
    assert msgspec.json.decode(news) == msgspec.to_builtins(statement.summary())
