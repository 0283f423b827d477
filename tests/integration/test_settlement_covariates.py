"""What a baseline knows beside its meters, through the doors: temperature, outages, what was forecast."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.integration.settlement_world import END, QUARTER, START, World, world
from tieline.base.series import Declaration, Stamp, readings
from tieline.base.time import iso
from tieline.dispatch.model import NewProgram
from tieline.forecasts import actions as forecasts
from tieline.forecasts.model import Horizon, Measure, Method, Run, State, Subject
from tieline.registry import actions as registry

__all__ = ["world"]  # a fixture

DAYS = 35
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
STATION = Declaration("weather.fresno.outdoor_degc", "degC", 3600, "UTC", Stamp.START, 3600, "test")
TERMS: dict[str, Any] = {
    "valid_from": "2026-01-01",
    "zone": "America/Los_Angeles",
    "currency": "USD",
    "baseline": "weather",
    "most_gap": "1",
    "energy": {"type": "fixed", "price_per_kwh": "0.50"},
}


async def put(door: httpx.AsyncClient, **given: Any) -> httpx.Response:
    return await door.put("/v1/programs/summer/terms", json=TERMS | given)


async def append(
    world: World, series_id: str, at: Sequence[datetime], value: Sequence[float], known_at: datetime
) -> None:
    stamps = [one.astimezone(UTC) for one in at]
    rows = readings([series_id] * len(at), stamps, list(value), known_at=known_at.astimezone(UTC))
    position = await world.series.position(series_id)
    await world.series.append(rows, writer=series_id, position=position + 1)


async def lived(world: World, *homes: str) -> None:
    """Homes that draw 1 kW, and 0.1 kW for each degree above 20; every third day is at 30 °C, all others at 20."""
    await world.register(*homes)
    for ago in range(DAYS, -1, -1):
        midnight = START.replace(hour=0) - ago * DAY
        until = midnight + DAY if ago else START
        for home in homes:
            await world.read(home, midnight, until, 2.0 if ago % 3 == 1 else 1.0, known_at=START)


async def weather(world: World, today_c: float, until: datetime = END) -> None:
    """By the hour, known when the event was over; two days ago the station was silent."""
    await registry.declare(world.rows, world.clock, STATION)
    first = START.replace(hour=0) - DAYS * DAY
    hours = [first + n * HOUR for n in range(24 * (DAYS + 1))]
    known = [at for at in hours if at < until and (START - at.replace(hour=17)).days != 2]
    ago = [(START.date() - at.date()).days for at in known]
    celsius = [today_c if n == 0 else 30.0 if n % 3 == 1 else 20.0 for n in ago]
    await append(world, STATION.series_id, known, celsius, END)


async def test_the_weather_makes_a_baseline(world: World) -> None:
    """A day of 35 °C, hotter than any before: 1 kW, and 1.5 kW of cooling."""
    await world.add_program(NewProgram("summer", "Summer peaks"))
    async with world.door() as door:
        assert "looks at the weather" in (await put(door)).json()["detail"]
        assert "no series" in (await put(door, temperature=STATION.series_id)).json()["detail"]
        await lived(world, "home-1")
        power = await put(door, temperature="home-1.power_kw")
        assert "is in kW: a series in degC" in power.json()["detail"]
        await weather(world, 35.0)
        assert (await put(door, temperature=STATION.series_id)).status_code == 200
        await world.call("home-1")
        await world.settler().look(world.clock.now())
        assert (await door.get("/v1/events/hot/baseline")).json()["known_at"] is None  # its hours are still to come
        await world.read("home-1", START, END + QUARTER, 0.5, known_at=END)
        await world.over()
        await world.until(END + timedelta(minutes=5))
        await world.settler().look(world.clock.now())
        (line,) = (await door.get("/v1/statements/hot-1")).json()["lines"]
        assert abs(line["delivered_kwh"] - 2 * (2.5 - 0.5)) < 0.1
        told = (await door.get("/v1/statements/hot-1/explanation?ven_id=home-1")).json()
        assert len(told["days"]) == DAYS - 1  # without the day of which nobody knows how hot it was
        (used,) = told["beside"]
        assert (used["series_id"], used["known_at"]) == (STATION.series_id, iso(world.clock.now()))
        assert used["readings"] == 24 * (DAYS - 1) + 19
        span = {"start": used["start_at"], "end": used["end_at"]}
        assert used["gap_s"] > 24 * 3600, span


async def test_hours_without_a_temperature_have_no_baseline(world: World) -> None:
    await world.add_program(NewProgram("summer", "Summer peaks"))
    await lived(world, "home-1")
    await weather(world, 35.0, until=END - HOUR)
    async with world.door() as door:
        await put(door, temperature=STATION.series_id)
        await world.call("home-1")
        await world.over()
        (line,) = (await world.settle()).lines
        assert not line.settled
        assert "needs the temperature of the days and of the event day" in line.note


# --- outages ----------------------------------------------------------------------------------------------------------


async def test_days_of_an_outage_are_no_baseline_days(world: World) -> None:
    """Home 1 was dark yesterday and the day before: declared, one of them corrected, the other withdrawn again."""
    await world.register("home-1", "home-2")
    await world.history("home-1", "home-2")
    dark = {"reason": "feeder fault", "said_by": "control room"}

    def span(ago: int, hours: float) -> dict[str, Any]:
        start = START.replace(hour=9) - ago * DAY
        return {"start_at": iso(start), "end_at": iso(start + hours * HOUR)}

    async with world.door() as door:
        await world.until(START - HOUR)
        declared = [await door.post("/v1/outages", json={**span(ago, 1), **dark, "ven_id": "home-1"}) for ago in (1, 2)]
        yesterday, before = (one.json() for one in declared)
        corrected = {**span(1, 2), **dark, "site_id": "site-home-1", "outage_id": yesterday["outage_id"]}
        second = (await door.post("/v1/outages", json=corrected)).json()
        assert (second["version"], second["ven_ids"]) == (2, ["home-1"])
        assert (await door.post("/v1/outages", json=corrected)).json() == second  # nothing new
        withdrawn = {**span(2, 1), **dark, "ven_id": "home-1", "outage_id": before["outage_id"], "withdrawn": True}
        await door.post("/v1/outages", json=withdrawn)
        await world.freeze(await world.call("home-1", "home-2"))
        await world.read("home-1", START, END + QUARTER, 0.5, known_at=END)
        await world.over()
        await world.settle()
        told = [(await door.get(f"/v1/statements/hot-1/explanation?ven_id=home-{n}")).json() for n in (1, 2)]
        assert told[0]["outages"] == [f"{yesterday['outage_id']}-2"]
        days = [{(START.date() - datetime.fromisoformat(day).date()).days for day in one["days"]} for one in told]
        assert (days[0] & {1, 2}, days[1] & {1, 2}) == ({2}, {1, 2})
        listed = (await door.get("/v1/outages", params={"limit": 1})).json()
        assert [one["outage_id"] for one in listed["items"]] == [yesterday["outage_id"]]
        rest = (await door.get("/v1/outages", params={"cursor": listed["next_cursor"]})).json()["items"]
        assert [(one["outage_id"], one["withdrawn"]) for one in rest] == [(before["outage_id"], True)]
        earlier = {"as_of": iso(START - 2 * HOUR)}
        assert (await door.get("/v1/outages", params=earlier)).json()["items"] == []
        versions = (await door.get(f"/v1/outages/{before['outage_id']}")).json()["items"]
        assert [one["version"] for one in versions] == [2, 1]


async def test_an_outage_in_the_event_is_a_gap(world: World) -> None:
    """The first half hour of two was dark: what was not drawn then was not given."""
    await world.register("home-1")
    await world.history("home-1")
    await world.freeze(await world.call("home-1"))
    await world.read("home-1", START, END + QUARTER, 0.5, known_at=END)
    await world.over()
    assert (await world.settle()).lines[0].delivered_kwh == 3.0
    dark = {"start_at": iso(START - HOUR), "end_at": iso(START + HOUR / 2), "reason": "fuse", "said_by": "H. Meyer"}
    async with world.door() as door:
        made = await door.post("/v1/outages", json={**dark, "ven_id": "home-1", "resource_id": "hvac"})
        assert made.status_code == 201, made.text
        (line,) = (await world.settle()).lines
        assert (line.delivered_kwh, line.gap_seconds) == (2.25, 1800.0)
        assert line.note == f"outage {made.json()['outage_id']}-1: fuse"


async def test_what_is_no_outage_is_refused(world: World) -> None:
    await world.register("home-1")
    right = {"start_at": iso(START), "end_at": iso(END), "reason": "x", "said_by": "y", "ven_id": "home-1"}
    async with world.door() as door:
        for wrong, status, says in (
            ({"end_at": iso(START)}, 400, "an outage ends after it starts"),
            ({"site_id": "site-home-1"}, 400, "one VEN (ven_id) or of one site"),
            ({"ven_id": "home-9"}, 404, "home-9"),
            ({"resource_id": "pool"}, 404, "has no circuit 'pool': there are hvac"),
            ({"outage_id": "none"}, 404, "there is no outage 'none' to correct"),
            ({"withdrawn": True}, 400, "name its outage_id"),
        ):
            answer = await door.post("/v1/outages", json=right | wrong)
            assert answer.status_code in (status, 422), answer.text
            assert says in answer.text


# --- forecasts --------------------------------------------------------------------------------------------------------


async def test_what_was_forecast_is_a_baseline(world: World) -> None:
    """The fleet's two homes drew 3 kW on all days; 4.5 kW were forecast before the event was called, and 9 kW after."""
    await world.add_program(NewProgram("summer", "Summer peaks"))
    await world.register("home-1", "home-2")
    await world.history("home-1", kw=1.0)
    await world.history("home-2", kw=2.0)
    fleet = Subject("fleet", Measure.LOAD)
    await world.rows.transaction(lambda tx: registry.declare_series(tx, fleet.declarations("UTC"), world.clock.now()))
    steps = [START - 13 * DAY + n * QUARTER for n in range(13 * 96)]
    for series_id, value in zip(fleet.actual_series(), (3.0, 2.0), strict=True):
        await append(world, series_id, steps, [value] * len(steps), START - DAY)
    ahead = [START + n * QUARTER for n in range(8)]
    for made_at, kw in ((START - 12 * HOUR, 4.5), (START - HOUR / 2, 9.0)):
        await append(world, fleet.series(Horizon.DAY_AHEAD)[1], ahead, [kw] * 8, made_at)
        made = Run("fleet.load", Horizon.DAY_AHEAD, made_at, START, END, State.MADE, Method.NAIVE, "", 2, 0.1)
        await forecasts.keep(world.rows, [made], made_at)
    async with world.door() as door:
        assert (await put(door, baseline="forecast")).status_code == 200
        await world.until(START - HOUR)
        await world.freeze(await world.call("home-1", "home-2"))
        await world.over()
        await world.settle()
        told = (await door.get("/v1/statements/hot-1/explanation?ven_id=home-1")).json()
        assert [(one["series_id"], one["readings"]) for one in told["beside"]][1] == ("forecast.fleet.load", 8)
        assert told["beside"][1]["known_at"] == iso(START - HOUR)
        shown = (await door.get("/v1/events/hot/baseline")).json()
        assert shown["baseline_kw"] == [4.5] * 24
