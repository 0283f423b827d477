"""Money is owed once: no day is approved twice, no event counted twice or never, no knowledge undone by less of it."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import sqlalchemy as sa

from tests.integration.settlement_world import END, QUARTER, START, World, opened, world
from tests.integration.test_settlement_runs import (
    AUGUST,
    HOMES,
    PERIOD,
    delivered,
    nothing_on_its_way,
    on_either,
    put,
    refused,
    settle,
)
from tieline.dispatch import publishing
from tieline.dispatch.model import EventState, NewProgram
from tieline.registry import openadr
from tieline.settlement import reads as statements
from tieline.settlement.model import digest_of
from tieline.settlement.runs import reads

__all__ = ["nothing_on_its_way", "on_either", "world"]  # fixtures
JULY_20 = PERIOD | {"until_day": "2026-07-20"}


async def approve(door: httpx.AsyncClient, run_id: str) -> httpx.Response:
    return await door.post(f"/v1/settlements/{run_id}/reviews", json={"verdict": "approved", "by": "Finance"})


async def begun(world: World, door: httpx.AsyncClient, **given: Any) -> None:
    await world.register(*HOMES)
    await world.add_program(NewProgram("summer", "Summer peaks"))
    await put(door, **given)


async def test_of_periods_that_share_days_one_is_approved(world: World) -> None:
    async with world.door() as door:
        await begun(world, door)
        await delivered(world)
        whole, part = await settle(door), await settle(door, until_day="2026-07-20")
        assert (await approve(door, part["run_id"])).status_code == 201
        await refused(await approve(door, whole["run_id"]), 409, f"{part['run_id']}, until 2026-07-20, has some")


async def test_no_account_is_approved_while_the_whole_is_disputed(world: World) -> None:
    async with world.door() as door:
        await begun(world, door)
        await delivered(world)
        path = f"/v1/settlements/{(await settle(door))['run_id']}/reviews"
        await door.post(path, json={"verdict": "disputed", "by": "Auditor"})
        of_one = {"verdict": "approved", "by": "Finance", "ven_id": "home-1"}
        await refused(await door.post(path, json=of_one), 409, "the whole of summer-2026-07-01-1 is disputed")


async def test_who_lacked_too_much_by_terms_that_came_later_is_not_paid_unseen(world: World) -> None:
    """Without terms gaps do not matter; by those put since, home-2 is not to be settled."""
    async with world.door() as door:
        await world.register(*HOMES)
        await world.add_program(NewProgram("summer", "Summer peaks"))
        await world.history(*HOMES)
        await world.freeze(await world.call(*HOMES))
        await world.read("home-1", START, END + QUARTER, 0.5, known_at=END)
        await world.read("home-2", START, START + QUARTER, 0.5, known_at=END)
        await world.over()
        await world.until(END + timedelta(seconds=120))
        await world.settle()
        await world.until(AUGUST)
        await put(door, most_gap="0.2")
        await refused(await door.post("/v1/programs/summer/settlements", json=PERIOD), 409, "settle it anew")
        run = await settle(door, anew=True)
        assert run["net"] == "1.50"


async def test_holidays_that_came_later(world: World) -> None:
    async with world.door() as door:
        await begun(world, door)
        await delivered(world)
        await put(door, holidays={"also": ["2026-07-14"]})
        await refused(await door.post("/v1/programs/summer/settlements", json=PERIOD), 409, "holidays")


async def test_what_was_deleted_since_is_still_owed(world: World) -> None:
    """Whoever publishes events may tidy up; what was delivered stays delivered."""
    async with world.door() as door:
        await begun(world, door)
        await delivered(world)
        now = world.clock.now()
        await world.rows.transaction(lambda tx: publishing.delete_event(tx, "hot", now))
        assert (await settle(door))["net"] == "2.00"
        await world.rows.transaction(lambda tx: publishing.delete_program(tx, "summer", now))
        assert (await settle(door, anew=True))["number"] == 1


async def test_a_home_that_left_since_is_still_owed(world: World) -> None:
    async with world.door() as door:
        await begun(world, door)
        await delivered(world)
        await world.rows.transaction(lambda tx: openadr.delete_ven(tx, "home-1", world.clock.now()))
        run = await settle(door, anew=True)
        assert (run["net"], run["participants"]) == ("2.00", 2)
        path = f"/v1/settlements/{run['run_id']}/accounts/home-1/explanation"
        assert (await door.get(path)).json()["account"]["net"] == "1.50"


async def test_terms_for_a_day_too_far_ahead_do_not_stand_in_the_way(world: World) -> None:
    async with world.door() as door:
        await begun(world, door)
        await put(door, valid_from="2062-08-01")
        between = (await put(door, valid_from="2026-08-01", places=3)).json()
        assert (between["number"], between["valid_until"]) == (3, "2062-08-01")
        assert (await put(door, valid_from="2026-08-01", places=3)).json() == between
        listed = (await door.get("/v1/programs/summer/terms")).json()["items"]
        assert [(one["number"], one["valid_until"]) for one in listed] == [
            (2, None),
            (3, "2062-08-01"),
            (1, "2026-08-01"),
        ]


async def test_a_program_keeps_its_zone(world: World) -> None:
    """Else an event of the last evening would be of two periods, or of none."""
    async with world.door() as door:
        await begun(world, door)
        assert (await put(door, zone="America/New_York")).status_code == 200
        later = await put(door, valid_from="2026-08-01", zone="Asia/Taipei")
        await refused(later, 409, "America/New_York")


async def test_a_statement_that_knows_less_does_not_follow_one_that_knows_more(world: World) -> None:
    await world.register(*HOMES)
    await delivered(world)
    await world.read("home-1", START, END + QUARTER, 1.0, known_at=AUGUST)
    newest = await world.settle()
    assert await world.settle(known_at=END) == newest


async def test_an_event_cancelled_as_it_began_is_worth_nothing(world: World) -> None:
    async with world.door() as door:
        await begun(world, door)
        await world.history(*HOMES)
        await world.freeze(await world.call(*HOMES))
        await world.over(at=START, state=EventState.CANCELLED)
        await world.until(END)
        statement = await world.settle()
        assert [line.settled for line in statement.lines] == [True, True]
        await world.until(AUGUST)
        assert (await settle(door))["total"] == "0.00"


async def test_the_database_may_sort_as_it_likes(postgres_tables: str, tmp_path: Path) -> None:
    """A run is of the same bytes where PostgreSQL sorts a before B."""
    async with opened(tmp_path, postgres_tables) as world:
        said = sa.text('ALTER TABLE account ALTER COLUMN ven_id TYPE varchar(64) COLLATE "en-x-icu"')
        await world.rows.transaction(lambda tx: tx.execute(said).rowcount)
        async with world.door() as door:
            await begun(world, door)
            await world.register("Zoe")
            await put(door, capacity={"price_per_kw_month": "1"})
            rows = "ven_id,kw,valid_from\nZoe,1,2026-07-01\n"
            await door.post("/v1/programs/summer/commitments", content=rows, headers={"content-type": "text/csv"})
            await delivered(world)
            run = await settle(door)
            whole = await reads.the_run(world.rows, run["run_id"])
            assert [one.ven_id for one in whole.accounts] == ["Zoe", *HOMES]
            assert digest_of(msgspec.structs.replace(whole, digest="")) == whole.digest
            assert (await settle(door))["number"] == 1


async def test_two_settlers_that_look_at_once_make_one_statement(on_either: World) -> None:
    """Each as of an instant of its own, with a late reading between them."""
    world = on_either
    await world.register(*HOMES)
    await world.history(*HOMES)
    await world.freeze(await world.call(*HOMES))
    await world.over()
    soon, later = END + timedelta(seconds=120), END + timedelta(seconds=122)
    for home in HOMES:
        await world.read(home, START, END, 0.5, known_at=END)
    await world.read("home-1", END - QUARTER, END + QUARTER, 0.7, known_at=soon + timedelta(seconds=1))
    await world.until(later)
    await asyncio.gather(world.settler().look(soon), world.settler().look(later))
    assert len(await statements.summaries(world.rows)) == 1


async def test_two_who_ask_at_once_get_one_run(on_either: World) -> None:
    async with on_either.door() as door:
        await begun(on_either, door)
        await delivered(on_either)
        asked = [door.post("/v1/programs/summer/settlements", json=PERIOD) for _ in range(2)]
        answers = await asyncio.gather(*asked)
        assert {one.status_code for one in answers} <= {201, 409}, answers
        runs = (await door.get("/v1/settlements")).json()["items"]
        assert len(runs) == 1
