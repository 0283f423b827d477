"""A rule proposed for a program from what its VENs drew, asked for and shown at the doors; and who may be gaming it."""

from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from litestar import Litestar
from litestar.di import Provide

from tests.integration.settlement_world import QUARTER, START, World, opened
from tieline import doors
from tieline.base.errors import Broken
from tieline.base.names import power_series
from tieline.base.series import readings
from tieline.dispatch.model import NewProgram
from tieline.forecasts import actions as forecasts
from tieline.forecasts.model import Horizon, Measure, Method, Run, State, Subject
from tieline.registry import actions as registry
from tieline.settlement import actions
from tieline.settlement.baseline.markets import LASTING_20
from tieline.settlement.choosing.part import Chooser
from tieline.settlement.choosing.routes import ROUTES

HOMES = [f"home-{n}" for n in range(6)]
DAYS = 40


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


def door(world: World) -> httpx.AsyncClient:
    def given(port: object) -> Provide:
        return Provide(lambda: port, sync_to_thread=False)

    provided = {"rows": given(world.rows), "series": given(world.series), "clock": given(world.clock)}
    app = Litestar(ROUTES, dependencies=provided, exception_handlers=doors.PROBLEMS)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar names its scopes more narrowly
    return httpx.AsyncClient(transport=transport, base_url="http://tieline")


async def lived(world: World) -> None:
    """Six homes whose evenings are a little different every day, for forty days until the morning of the event day."""
    await world.register(*HOMES)
    random = np.random.default_rng(4)
    midnight = START.replace(hour=0) - timedelta(days=DAYS)
    count = DAYS * 96
    stamps = [(midnight + QUARTER * (n + 1)).astimezone(UTC) for n in range(count)]
    for n, ven_id in enumerate(HOMES):
        kw = 1 + 0.2 * np.repeat(random.random(DAYS), 96) + 0.05 * random.random(count)
        table = readings([power_series(ven_id)] * count, stamps, kw.tolist(), known_at=stamps[-1], seq=n + 1)
        await world.series.append(table, writer="past", position=n + 1)
    await world.add_program(NewProgram("summer", "Summer peaks"))
    await world.until(START.replace(hour=6))


async def foretold(world: World) -> None:
    """The homes' mean load of 1.1 kW, forecast each evening for the whole next day."""
    fleet = Subject("fleet", Measure.LOAD)
    (kw, devices), ahead = fleet.actual_series(), fleet.series(Horizon.DAY_AHEAD)[1]
    await world.rows.transaction(lambda tx: registry.declare_series(tx, fleet.declarations("UTC"), world.clock.now()))
    for n in range(DAYS):
        midnight = START.replace(hour=0) - timedelta(days=DAYS - n)
        stamps = [(midnight + QUARTER * step).astimezone(UTC) for step in range(96)]
        made_at = stamps[0] - timedelta(hours=6)
        for series_id, value, known_at in ((kw, 6.6, stamps[-1]), (devices, 6.0, stamps[-1]), (ahead, 6.6, made_at)):
            table = readings([series_id] * 96, stamps, [value] * 96, known_at=known_at)
            await world.series.append(table, writer=series_id, position=n + 1)
        span = stamps[0], stamps[-1] + QUARTER
        made = Run("fleet.load", Horizon.DAY_AHEAD, made_at, *span, State.MADE, Method.NAIVE, "", 6, 0.1)
        await forecasts.keep(world.rows, [made], made_at)


async def test_a_rule_is_proposed_with_its_evidence(world: World) -> None:
    await lived(world)
    await foretold(world)
    async with door(world) as asking:
        asked = await asking.post("/v1/programs/summer/baseline-proposals", json={"days": 38})
        assert asked.status_code == 202
        waiting = asked.json()
        assert (waiting["proposal_id"], waiting["state"], waiting["evidence"]) == ("summer-1", "asked", None)
        chooser = Chooser(world.rows, world.series, world.clock)
        await chooser.look()
        made = (await asking.get("/v1/baseline-proposals/summer-1")).json()
        evidence = made["evidence"]
        assert (made["state"], made["done"]) == ("made", 1.0)
        assert (evidence["vens"], evidence["of_vens"], evidence["now"]) == (6, 6, "caiso-10-in-10")
        assert (evidence["start_h"], evidence["hours"]) == (17.0, 3.0)
        assert evidence["until_day"] == "2026-07-14"
        scored = {one["rule"]: one for one in evidence["scores"] if one["kind"] == "business"}
        assert evidence["rule"] in scored
        assert scored["forecast"]["fleet_rrmse"] < 0.2
        assert "weather" not in scored  # the terms name no temperature
        assert scored[evidence["rule"]]["fleet_rrmse"] <= scored["day-before"]["fleet_rrmse"] < 0.2
        assert evidence["rule"] in evidence["says"]
        (listed,) = (await asking.get("/v1/programs/summer/baseline-proposals")).json()["items"]
        assert listed["evidence"]["scores"] == []
        assert (await asking.get("/v1/programs/summer/gaming-alarms")).json()["items"] == []
        await chooser.look()  # it is made: nothing is to be done
        again = await asking.post("/v1/programs/summer/baseline-proposals", json={"start_h": 16.5, "hours": 0.5})
        assert again.json()["proposal_id"] == "summer-2"
        newest = (await asking.get("/v1/programs/summer/baseline-proposals?limit=1")).json()
        assert [one["proposal_id"] for one in newest["items"]] == ["summer-2"]
        rest = await asking.get("/v1/programs/summer/baseline-proposals", params={"cursor": newest["next_cursor"]})
        assert [one["proposal_id"] for one in rest.json()["items"]] == ["summer-1"]


async def test_a_baseline_is_frozen_by_what_lasts(world: World) -> None:
    """2 kW day after day, and 3 kW in the two hours before the event: half of the last quarter's and half of the two
    hours' difference lasts."""
    await world.register("home-1")
    await world.history("home-1", kw=2.0, until=START - timedelta(hours=2))
    await world.read("home-1", START - timedelta(hours=2), START, 3.0, known_at=START)
    event = await world.call("home-1")
    frozen = await actions.freeze(event, rows=world.rows, series=world.series, rule=LASTING_20)
    assert frozen.rule == "lasting-20"
    assert frozen.vens[0].kw == [3.0] * 24


async def test_what_cannot_be_proposed_is_said(world: World) -> None:
    await world.register("home-1")
    async with door(world) as asking:
        unknown = await asking.post("/v1/programs/nothing/baseline-proposals", json={})
        assert unknown.status_code == 404
        await world.add_program(NewProgram("summer", "Summer peaks"))
        wrong = await asking.post("/v1/programs/summer/baseline-proposals", json={"hours": 0.3})
        assert (wrong.status_code, "quarters of an hour" in wrong.text) == (422, True)
        await asking.post("/v1/programs/summer/baseline-proposals", json={"days": 30})
        await Chooser(world.rows, world.series, world.clock).look()
        (refused,) = (await asking.get("/v1/programs/summer/baseline-proposals")).json()["items"]
        assert refused["state"] == "refused"
        assert "too few with readings" in refused["refused"]
        assert (await asking.get("/v1/baseline-proposals/summer-9")).status_code == 404
        assert (await asking.get("/v1/programs/summer/baseline-proposals?cursor=eA==")).status_code == 422


@pytest.mark.parametrize("fault", [ValueError("a fault"), Broken("a fault")])
async def test_what_fails_is_not_tried_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def broken(*_: object) -> None:
        raise fault

    await lived(world)
    monkeypatch.setattr("tieline.settlement.choosing.actions.scores", broken)
    chooser = Chooser(world.rows, world.series, world.clock)
    async with door(world) as asking:
        await asking.post("/v1/programs/summer/baseline-proposals", json={"days": 30})
        await chooser.look()
        (refused,) = (await asking.get("/v1/programs/summer/baseline-proposals")).json()["items"]
        assert (refused["state"], "the fault is ours" in refused["refused"]) == ("refused", True)
