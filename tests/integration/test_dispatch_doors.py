"""The HTTP door of dispatch: rules and targets that change, why a plan chose so, what was given minute by minute."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from litestar.di import Provide

from tests.integration.dispatch_world import NOW, Floor
from tests.servers.rows import with_tables
from tieline import doors
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import VirtualClock, iso
from tieline.dispatch.model import NewProgram
from tieline.dispatch.routes import ROUTES


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    clock = VirtualClock(NOW)
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        floor = Floor(rows, clock)
        await floor.add_program(NewProgram("peak", "Peak"))
        yield floor


@pytest.fixture
async def door(floor: Floor) -> AsyncIterator[httpx.AsyncClient]:
    def given(port: object) -> Provide:
        return Provide(lambda: port, sync_to_thread=False)

    app = Litestar(
        ROUTES,
        dependencies={"rows": given(floor.rows), "clock": given(floor.clock)},
        exception_handlers=doors.PROBLEMS,
    )
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar names its scopes more narrowly
    async with httpx.AsyncClient(transport=transport, base_url="http://tieline") as client:
        yield client


async def test_a_programs_rules_are_changed_and_checked(door: httpx.AsyncClient) -> None:
    rules = {"events_a_day": 2, "rest_h": 4, "return_s": 900}
    changed = (await door.patch("/v1/programs/peak", json={"rules": rules})).json()
    assert changed["rules"] == {
        "events_a_day": 2, "hours_a_month": None, "rest_h": 4.0, "fair": True, "return_s": 900.0,
    }  # fmt: skip
    assert (await door.get("/v1/programs")).json()["items"] == [changed]
    assert (await door.patch("/v1/programs/none", json={"rules": {}})).status_code == 404
    wrong = await door.patch("/v1/programs/peak", json={"rules": {"return_s": -1}})
    assert wrong.status_code in (400, 422)


async def test_a_call_is_changed_while_it_runs_and_says_what_it_gave(floor: Floor, door: httpx.AsyncClient) -> None:
    event_id = await floor.call(4.0)
    await floor.pass_time(420)
    changed = await door.patch(f"/v1/events/{event_id}", json={"target_kw": 9.0})
    assert (changed.status_code, changed.json()["target_kw"]) == (200, 9.0)
    await floor.pass_time(130)
    seen = (await door.get(f"/v1/events/{event_id}/delivery", params={"limit": 2})).json()
    more = (await door.get(f"/v1/events/{event_id}/delivery", params={"cursor": seen["next_cursor"]})).json()
    assert [one["target_kw"] for one in seen["items"] + more["items"]][-1] == 9.0
    assert more["items"][-1]["delivered_kw"] >= 9.0
    table = (await door.get(f"/v1/events/{event_id}/delivery", headers={"accept": "text/csv"})).text
    assert table.splitlines()[0] == "at,target_kw,delivered_kw,expected_kw,headroom_kw,held"


async def test_a_plan_says_why(floor: Floor, door: httpx.AsyncClient) -> None:
    event_id = await floor.call(4.0)
    assert (await door.get(f"/v1/events/{event_id}/plan")).json() == {
        "plans": [], "plan_id": None, "items": [], "next_cursor": None,
    }  # fmt: skip
    await floor.pass_time(420)
    shown = (await door.get(f"/v1/events/{event_id}/plan", params={"limit": 6})).json()
    rest = (await door.get(f"/v1/events/{event_id}/plan", params={"cursor": shown["next_cursor"]})).json()
    whys = shown["items"] + rest["items"]
    assert [one["ven_id"] for one in whys] == [ven_id for ven_id, _ in floor.draws]
    assert sum(one["chosen"] for one in whys) == shown["plans"][-1]["called"]
    assert all(one["said"].startswith(("Called", "Not called")) for one in whys)
    unknown = await door.get(f"/v1/events/{event_id}/plan", params={"plan_id": 999})
    assert (unknown.status_code, "keeps no reasons" in unknown.text) == (404, True)


async def test_every_step_of_a_home_is_shown(floor: Floor, door: httpx.AsyncClient) -> None:
    event_id = await floor.call(2.0)
    await floor.pass_time(420)
    (row,) = (await door.get(f"/v1/events/{event_id}/ledger")).json()["items"]
    steps = (await door.get(f"/v1/events/{event_id}/ledger/{row['ven_id']}")).json()["items"]
    assert [one["state"] for one in steps] == ["planned", "sent", "acked", "acting", "metered"]
    assert steps[0]["at"] == iso(floor.clock.now().replace(hour=17, minute=4, second=0))
