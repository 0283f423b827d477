"""Settlement with money through its doors: terms put, a period settled, restated, explained and reviewed."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.settlement_world import END, QUARTER, START, World, opened, world
from tieline.base.names import power_series
from tieline.base.series import Declaration, Stamp, readings
from tieline.base.time import iso
from tieline.dispatch.model import NewProgram
from tieline.registry import actions as registry
from tieline.registry import openadr
from tieline.settlement.runs import routes

__all__ = ["world"]  # a fixture

HOMES = ("home-1", "home-2")
PERIOD = {"from_day": "2026-07-01", "until_day": "2026-08-01"}
AUGUST = datetime(2026, 8, 1, 8, tzinfo=UTC)
TERMS: dict[str, Any] = {
    "valid_from": "2026-07-01",
    "zone": "America/Los_Angeles",
    "currency": "USD",
    "baseline": "caiso-10-in-10",
    "energy": {"type": "fixed", "price_per_kwh": "0.50"},
    "tax": {"name": "VAT", "rate": "0.10"},
}


@pytest.fixture
async def on_either(tables: str, tmp_path: Path) -> AsyncIterator[World]:
    """On SQLite, then on PostgreSQL."""
    async with opened(tmp_path, tables) as world:
        yield world


@pytest.fixture(autouse=True)
def nothing_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings are in Series as soon as a test has put them there."""
    monkeypatch.setattr(routes, "LAG_S", 0.0)


async def put(door: httpx.AsyncClient, **given: Any) -> httpx.Response:
    return await door.put("/v1/programs/summer/terms", json=TERMS | given)


async def settle(door: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    answer = await door.post("/v1/programs/summer/settlements", json=PERIOD | given)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(answer: httpx.Response, status: int, said: str) -> None:
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]


async def delivered(world: World, *, late: float | None = None) -> None:
    """Two homes that usually draw 2 kW: one goes down to 0.5 kW, the other to 1.5; its meter may say so later."""
    await world.history(*HOMES)
    await world.freeze(await world.call(*HOMES))
    await world.read("home-1", START, END + QUARTER, 0.5, known_at=END)
    await world.read("home-2", START, END + QUARTER, 1.5, known_at=END)
    await world.over()
    await world.until(END + timedelta(seconds=120))
    await world.settle()
    await world.until(AUGUST)


async def test_a_period_to_the_cent(world: World) -> None:
    """3 kWh and 1 kWh at 0.50, and a tenth of tax; the same again changes nothing; the CSV says the same."""
    await world.register(*HOMES)
    await world.add_program(NewProgram("summer", "Summer peaks"))
    async with world.door() as door:
        assert (await put(door)).status_code == 200
        await delivered(world)
        run = await settle(door)
        assert (run["run_id"], run["net"], run["tax"], run["total"]) == ("summer-2026-07-01-1", "2.00", "0.20", "2.20")
        assert (run["participants"], run["events"], run["delivered_kwh"]) == (2, 1, "4.000000")
        assert [each["kind"] for each in run["inputs"]] == ["terms", "statement"]
        assert await settle(door) == run
        await world.rows.transaction(lambda tx: openadr.delete_ven(tx, "home-2", world.clock.now()))
        assert (await settle(door, anew=True))["digest"] == run["digest"]  # who left is owed what it was owed
        assert (await door.get("/v1/settlements")).json()["items"][0]["total"] == "2.20"
        accounts = (await door.get(f"/v1/settlements/{run['run_id']}/accounts?limit=1")).json()
        (home_1,) = accounts["items"]
        assert (home_1["ven_id"], home_1["total"]) == ("home-1", "1.65")
        assert home_1["deliveries"][0]["asked_kwh"] == "3.000000"
        csv = await door.get(f"/v1/settlements/{run['run_id']}/accounts", headers={"accept": "text/csv"})
        assert csv.text.splitlines()[1:] == ["home-1,1,1.50,0.15,1.65,USD", "home-2,1,0.50,0.05,0.55,USD"]
        entries = await door.get(f"/v1/settlements/{run['run_id']}", headers={"accept": "text/csv"})
        assert len(entries.text.splitlines()) == 5


async def test_each_cent_is_explained(world: World) -> None:
    await world.register(*HOMES)
    await world.add_program(NewProgram("summer", "Summer peaks"))
    async with world.door() as door:
        await put(door)
        await delivered(world)
        run_id = (await settle(door))["run_id"]
        found = (await door.get(f"/v1/settlements/{run_id}/accounts/home-1/explanation")).json()
        (event,) = found["events"]
        assert len(event["days"]) == 10
        assert event["readings"] == 8
        assert len(event["intervals"]) == 24
        assert sum(Decimal(one["amount"]) for one in event["intervals"]) == Decimal("1.5")
        assert found["account"]["entries"][0]["amount"] == "1.50"
        csv = await door.get("/v1/statements/hot-1/intervals?ven_id=home-1", headers={"accept": "text/csv"})
        assert len(csv.text.splitlines()) == 25
        line = (await door.get("/v1/statements/hot-1/explanation?ven_id=home-1")).json()
        assert sum(Decimal(str(one["delivered_kwh"])) for one in line["intervals"]) == Decimal("3.0")
        assert (await door.get(f"/v1/settlements/{run_id}/accounts/nobody")).status_code == 404


async def test_late_readings_make_a_restatement_that_shows_the_difference(on_either: World) -> None:
    world = on_either
    await world.register(*HOMES)
    await world.add_program(NewProgram("summer", "Summer peaks"))
    async with world.door() as door:
        await put(door)
        await delivered(world)
        first = await settle(door)
        await world.clock.advance(60)
        await world.read("home-2", START, END, 0.5, known_at=world.clock.now())
        await world.clock.advance(60)
        assert await settle(door) == first  # the event has no newer statement yet
        second = await settle(door, anew=True)
        assert (second["run_id"], second["restates"]) == ("summer-2026-07-01-2", first["digest"])
        assert second["total"] == "3.30"
        (changed,) = (await door.get(f"/v1/settlements/{second['run_id']}/differences")).json()["items"]
        assert (changed["ven_id"], changed["before"], changed["after"], changed["change"]) == (
            "home-2", "0.55", "1.65", "1.10",
        )  # fmt: skip
        assert changed["because"][0].startswith("energy of hot: 0.50 for 1.000000 kWh at 0.50 → 1.50 for 3.000000 kWh")
        assert (await door.get(f"/v1/settlements/{first['run_id']}")).json() == first  # nothing is overwritten
        first_page = (await door.get("/v1/settlements?limit=1")).json()
        rest = (await door.get("/v1/settlements", params={"limit": 1, "cursor": first_page["next_cursor"]})).json()
        assert [one["number"] for one in first_page["items"] + rest["items"]] == [2, 1]
        again = await settle(door, known_at=first["known_at"])
        assert again["digest"] == first["digest"]
        assert (await settle(door)) == second


async def test_reviews(world: World) -> None:
    await world.register(*HOMES)
    await world.add_program(NewProgram("summer", "Summer peaks"))
    async with world.door() as door:
        await put(door)
        await delivered(world)
        path = f"/v1/settlements/{(await settle(door))['run_id']}"

        async def say(verdict: str, ven_id: str = "") -> httpx.Response:
            said = {"verdict": verdict, "by": "auditor@example.org", "ven_id": ven_id}
            return await door.post(f"{path}/reviews", json=said)

        assert (await say("disputed", "home-2")).status_code == 201
        await refused(await say("approved"), 409, "the account of home-2")
        assert (await say("approved", "home-1")).status_code == 201
        await refused(await say("resolved", "home-1"), 409, "is not disputed")
        assert (await say("resolved", "home-2")).status_code == 201
        assert (await say("approved")).status_code == 201
        await refused(await say("disputed", "nobody"), 404, "no account")
        shown = (await door.get(path)).json()
        assert [one["verdict"] for one in shown["reviews"]] == ["disputed", "approved", "resolved", "approved"]
        assert shown["disputed"] == []
        other = await door.post("/v1/programs/summer/settlements", json=PERIOD | {"until_day": "2026-07-20"})
        await refused(other, 409, "has some of the same days and is approved")


async def market(world: World, until: datetime) -> None:
    """80 USD/MWh in the first hour and 200 in the second, by half hours; what comes after `until` is not told."""
    declared = Declaration("caiso.lap.price", "USD/MWh", 1800, "UTC", Stamp.END, 1800, "caiso")
    await registry.declare(world.rows, world.clock, declared)
    half_hours = [START + timedelta(minutes=30 * n) for n in range(1, 5)]
    said = [(at.astimezone(UTC), 80.0 if n < 2 else 200.0) for n, at in enumerate(half_hours) if at <= until]
    rows = readings([declared.series_id] * len(said), *zip(*said, strict=True), known_at=END.astimezone(UTC))
    await world.series.append(rows, writer="market", position=1)


async def test_a_market_price_and_one_that_is_missing(world: World) -> None:
    """0.75 kWh each half hour: 1.5 kWh at 0.08 and 0.75 at 0.20; the last half hour at what the terms say."""
    await world.register(*HOMES)
    await world.add_program(NewProgram("summer", "Summer peaks"))
    async with world.door() as door:
        await refused(await put(door, energy={"type": "market", "series_id": "caiso.lap.price"}), 422, "no series")
        await market(world, until=END - timedelta(minutes=30))
        energy = {"type": "market", "series_id": "caiso.lap.price"}
        await refused(await put(door, energy=energy, currency="EUR"), 422, "a price in EUR/MWh was expected")
        assert (await put(door, energy=energy)).status_code == 200
        await delivered(world)
        found = (await door.get("/v1/statements/hot-1/avoided?series_id=caiso.lap.price")).json()
        assert (found["unit"], found["delivered_kwh"], found["unknown_kwh"], found["amount"]) == ("USD", 4.0, 1.0, 0.36)
        assert [one["per_mwh"] for one in found["intervals"]] == [80.0] * 12 + [200.0] * 6 + [None] * 6
        await refused(await door.get("/v1/statements/hot-1/avoided?series_id=home-1.power_kw"), 422, "is in kW")
        missing = await door.post("/v1/programs/summer/settlements", json=PERIOD)
        await refused(missing, 422, f"says nothing of {iso((END - timedelta(minutes=30)).astimezone(UTC))}")
        assert (await put(door, energy=energy | {"otherwise_per_kwh": "0.40"})).status_code == 200
        run = await settle(door)
        assert [each["kind"] for each in run["inputs"]] == ["terms", "statement", "prices"]
        home_1 = (await door.get(f"/v1/settlements/{run['run_id']}/accounts/home-1")).json()
        assert home_1["net"] == "0.57"  # 0.12 + 0.15 + 0.30
        because = home_1["entries"][0]["because"]
        assert "caiso.lap.price in 18 intervals, 80.00 to 200.00 per MWh" in because
        assert "0.40 per kWh in 6 without" in because


async def test_terms_have_validity_and_stay_once_they_are_cited(world: World) -> None:
    await world.register(*HOMES)
    await world.add_program(NewProgram("summer", "Summer peaks"))
    async with world.door() as door:
        await put(door)
        assert (await put(door)).json()["number"] == 1
        await put(door, tax=None)  # nobody cited them yet
        await delivered(world)
        await settle(door)
        await refused(await put(door), 409, "the days before 2026-08-01 are settled")
        later = (await put(door, valid_from="2026-08-01", netting="all")).json()
        assert later["number"] == 2
        await refused(await put(door, valid_from="2026-07-31"), 409, "the days before 2026-08-01 are settled")
        listed = (await door.get("/v1/programs/summer/terms")).json()["items"]
        assert [(one["number"], one["valid_from"], one["valid_until"]) for one in listed] == [
            (2, "2026-08-01", None),
            (1, "2026-07-01", "2026-08-01"),
        ]
        assert (await settle(door))["number"] == 1
        both = await door.post("/v1/programs/summer/settlements", json=PERIOD | {"until_day": "2026-08-02"})
        await refused(both, 422, "other terms begin on 2026-08-01")


async def test_what_terms_name_must_be_known(world: World) -> None:
    await world.add_program(NewProgram("summer", "Summer peaks"))
    async with world.door() as door:
        await refused(await put(door, baseline="best"), 422, "there are caiso-10-in-10, ")
        await refused(await put(door, zone="Mars/Base"), 422, "IANA")
        await refused(await put(door, cap="1", floor="2"), 422, "cap 1 is below floor 2")
        backwards = PERIOD | {"until_day": "2026-06-01"}
        ends = await door.post("/v1/programs/summer/settlements", json=backwards)
        await refused(ends, 422, "a period ends after it begins")
        await refused(await put(door, currency="ABC"), 422, "ISO 4217")
        await refused(await put(door, holidays={"country": "ZZ"}), 422, "there is no calendar 'ZZ'")
        await refused(await put(door, holidays={"subdivision": "NSW"}), 422, "needs its country")
        assert (await door.put("/v1/programs/none/terms", json=TERMS)).status_code == 404
        early = await door.post("/v1/programs/summer/settlements", json=PERIOD)
        await refused(early, 404, "has no terms on 2026-07-01")
        await put(door)
        early = await door.post("/v1/programs/summer/settlements", json=PERIOD)
        await refused(early, 409, "the period ends at 2026-08-01T07:00:00Z")


async def test_capacity_is_committed_by_a_file(on_either: World) -> None:
    """5 kW for July at 4.00, all that was asked was delivered; from the seventeenth on 3 kW."""
    world = on_either
    await world.register(*HOMES)
    await world.add_program(NewProgram("summer", "Summer peaks"))
    async with world.door() as door:
        await put(door, capacity={"price_per_kw_month": "4.00"}, tax=None)
        file = "ven_id,kw,valid_from\nhome-1,5,2026-06-01\nhome-1,3,2026-07-17\n"
        headers = {"content-type": "text/csv"}
        kept = await door.post("/v1/programs/summer/commitments", content=file, headers=headers)
        assert kept.json() == {"commitments": 2}
        unknown = [{"ven_id": "nobody", "kw": "1", "valid_from": "2026-06-01"}]
        await refused(await door.post("/v1/programs/summer/commitments", json=unknown), 422, "there is no VEN 'nobody'")
        await delivered(world)
        run = await settle(door)
        home_1 = (await door.get(f"/v1/settlements/{run['run_id']}/accounts/home-1")).json()
        assert [(one["quantity"], one["amount"]) for one in home_1["entries"]] == [
            ("3.000000", "1.50"),
            ("2.580645", "10.32"),  # 5 kW × 16/31
            ("1.451613", "5.81"),  # 3 kW × 15/31
        ]
        listed = (await door.get("/v1/programs/summer/commitments?limit=1")).json()
        place = {"limit": 1, "cursor": listed["next_cursor"]}
        rest = (await door.get("/v1/programs/summer/commitments", params=place)).json()
        assert [(one["kw"], one["valid_from"]) for one in listed["items"] + rest["items"]] == [
            ("5", "2026-06-01"),
            ("3", "2026-07-17"),
        ]
        assert rest["next_cursor"] is None


async def test_terms_say_how_is_measured(world: World) -> None:
    """The baseline rule, a holiday among its days, export that is not counted, and gaps that are too long."""
    await world.register(*HOMES)
    await world.add_program(NewProgram("summer", "Summer peaks"))
    async with world.door() as door:
        day = (START - timedelta(days=1)).date().isoformat()
        holidays = {"country": "US", "subdivision": "CA", "also": [day]}
        await put(door, baseline="caiso-10-in-10-plain", holidays=holidays, export="ignored", most_gap="0.2")
        await world.history(*HOMES)
        frozen = await world.freeze(await world.call(*HOMES))
        assert frozen.rule == "caiso-10-in-10-plain"
        assert day not in [str(one) for one in frozen.vens[0].days]
        await world.read("home-1", START, END + QUARTER, -3.0, known_at=END)
        await world.read("home-2", START, END - timedelta(minutes=45), 1.0, known_at=END)
        await world.over()
        await world.until(END + timedelta(seconds=120))
        statement = await world.settle()
    home_1, home_2 = statement.lines
    assert (home_1.used_kwh, home_1.delivered_kwh) == (0.0, 4.0)
    assert (home_2.settled, home_2.delivered_kwh, home_2.gap_seconds) == (False, 0.0, 2700.0)
    assert "not settled: 37.5% of the event is a gap in its readings; 20.0% may be" in home_2.note
    assert json.loads(json.dumps(statement.export)) == "ignored"


async def test_what_called_loads_drew_by_their_own_meters(world: World) -> None:
    await world.register("home-1")
    await world.history("home-1")
    await world.freeze(await world.call("home-1"))
    await world.read("home-1", START, END + QUARTER, 0.5, known_at=END)
    series_id = power_series("home-1", "hvac")
    ats = [START + QUARTER * n for n in range(-4, 9)]
    rows = readings(
        [series_id] * len(ats),
        [at.astimezone(UTC) for at in ats],
        [1.6 if at <= START else 0.2 for at in ats],
        known_at=END.astimezone(UTC),
    )
    await world.series.append(rows, writer="loads", position=1)
    await world.over()
    await world.until(END + timedelta(seconds=120))
    await world.settle()
    async with world.door() as door:
        (hvac,) = (await door.get("/v1/statements/hot-1/loads?ven_id=home-1")).json()["items"]
    assert (hvac["resource_id"], hvac["metered"], hvac["before_kw"], hvac["during_kw"]) == ("hvac", True, 1.6, 0.2)
    assert (hvac["used_kwh"], hvac["covered_s"]) == (0.4, 7200.0)
