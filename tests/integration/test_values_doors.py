"""The doors of values on real stores: every format says the same, each page once, tags tell when data changed."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree as Tree

import duckdb
import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.values_world import DAY, HOMES, MINUTE, NOW, POWER, SPAN, World, opened, used
from tieline.base.series import ROLLUPS, Declaration
from tieline.base.time import Span, iso
from tieline.telemetry.values.answers import MOST_FILES
from tieline.telemetry.values.formats import Format
from tieline.telemetry.values.model import Asked


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as one:
        yield one


# --- formats and pages ------------------------------------------------------------------------------------------------


def read(kind: str, data: bytes) -> list[tuple[str, float]]:
    match kind:
        case "csv":
            return [(row["at"], float(row["value_kW"])) for row in csv.DictReader(io.StringIO(data.decode()))]
        case "ndjson":
            return [(row["at"], row["value"]) for row in map(json.loads, data.splitlines())]
        case "arrow":
            table = pa.ipc.open_stream(data).read_all()
        case _:
            table = pq.read_table(io.BytesIO(data))
    return [(iso(row["at"]), row["value"]) for row in table.to_pylist()]


async def test_every_format_and_every_page_has_the_same_readings_once(world: World, tmp_path: Path) -> None:
    expected = [(iso(DAY + (m + 1) * MINUTE), used(0, m)) for m in range(24 * 60 - 1)]
    for kind in ("csv", "ndjson", "arrow", "parquet"):
        answer = await world.get(f"/v1/series/{POWER}/values.{kind}", **SPAN)
        assert read(kind, answer.content) == expected, kind
        assert "content-encoding" not in answer.headers
    (tmp_path / "day.parquet").write_bytes(answer.content)
    with duckdb.connect(":memory:") as tool:
        assert tool.execute(f"SELECT max(value) FROM '{tmp_path}/day.parquet'").fetchall() == [(99.0,)]
    accepted = await world.http.get(f"/v1/series/{POWER}/values", params=SPAN, headers={"accept": "text/csv"})
    assert read("csv", accepted.content) == expected
    for limit in (137, 1439, 5000):
        assert await paged(world, limit=limit) == expected
    columns = (await world.values(shape="columns"))["columns"]
    assert columns["at"][0] == (DAY + MINUTE).timestamp()
    assert columns["value"] == [value for _, value in expected]


async def paged(world: World, **params: Any) -> list[tuple[str, float]]:
    found, cursor = [], None
    while True:
        page = await world.values(cursor=cursor, **params)
        assert len(page["items"]) <= params["limit"]
        found += [(one["at"], one["value"]) for one in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            return found


async def test_steps_have_their_means_and_each_is_on_one_page(world: World) -> None:
    """The span begins and ends amid steps: they are all there, whole, and stand at their start."""
    span = {"start": iso(DAY + timedelta(minutes=7)), "end": iso(DAY + timedelta(minutes=63))}
    whole = await paged(world, resolution="15m", limit=100, **span)
    assert [at for at, _ in whole] == [iso(DAY + timedelta(minutes=15 * n)) for n in range(5)]
    assert whole[1][1] == pytest.approx(np.mean([used(0, m) for m in range(15, 30)]))
    assert await paged(world, resolution="15m", limit=2, **span) == whole
    (hour,) = (await world.values("home-2.power_kw", resolution="1h", start=iso(DAY + timedelta(hours=9)),
                                  end=iso(DAY + timedelta(hours=11))))["items"][:1]  # fmt: skip
    assert (hour["covered_s"], hour["count"]) == (3600, 60)
    assert hour["integral"] == pytest.approx(sum(used(1, m) for m in range(540, 600)) / 60)


async def test_days_are_those_of_the_zone(world: World) -> None:
    lisbon = await world.values(resolution="1d")
    assert [one["at"] for one in lisbon["items"]] == ["2026-06-30T23:00:00Z", "2026-07-01T23:00:00Z"]
    utc = await world.values(resolution="1d", zone="UTC")
    assert [one["at"] for one in utc["items"]] == ["2026-07-01T00:00:00Z"]


# --- charts -----------------------------------------------------------------------------------------------------------


async def test_auto_gives_no_more_than_asked_and_loses_no_spike(world: World) -> None:
    found = await world.values(resolution="auto", points=100)
    assert (found["resolution"], found["next_cursor"]) == ("raw", None)
    assert len(found["items"]) <= 100
    assert max(one["value"] for one in found["items"]) == 99.0
    gapped = await world.values("home-2.power_kw", resolution="auto", points=5000)
    assert [n for n, one in enumerate(gapped["items"]) if one["value"] is None] == [600]


async def test_auto_reads_steps_where_readings_are_too_many(world: World) -> None:
    """A year at a minute's step is read by the hour; the day that has values is all there."""
    year = {"start": iso(DAY - timedelta(days=300)), "end": iso(DAY + timedelta(days=65))}
    found = await world.values(resolution="auto", points=5000, **year)
    assert found["resolution"] == "1h"
    assert max(one["value"] for one in found["items"] if one["value"] is not None) == 99.0
    then = await world.values(resolution="auto", points=1000, as_of=iso(NOW), **year)
    assert then["resolution"] == "raw"


async def test_a_hundred_who_look_at_once_cost_one_read(world: World) -> None:
    with patch.object(world.series, "scan", wraps=world.series.scan) as scan:
        answers = await asyncio.gather(*[world.values(resolution="auto") for _ in range(100)])
    assert all(answer == answers[0] for answer in answers)
    assert scan.call_count == 1


# --- tags and what was known ------------------------------------------------------------------------------------------


async def test_a_tag_stays_while_nothing_changes_and_changes_with_the_data(world: World) -> None:
    paths = [f"/v1/series/{POWER}/values", f"/v1/series/{POWER}/values.csv", f"/v1/series/values?series_id={POWER}"]
    tags = {path: (await world.get(path, **SPAN)).headers["etag"] for path in paths[:2]}
    tags[paths[2]] = (await world.http.get(paths[2] + "&" + str(httpx.QueryParams(SPAN)))).headers["etag"]
    assert len(set(tags.values())) == 3
    for path in paths[:2]:
        again = await world.http.get(path, params=SPAN, headers={"if-none-match": tags[path]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await world.get(path, **{**SPAN, "resolution": "1h"})).headers["etag"] != tags[path]
    await world.append(POWER, [10], [7.0], NOW)
    for path in paths[:2]:
        changed = await world.http.get(path, params=SPAN, headers={"if-none-match": tags[path]})
        assert changed.status_code == 200
        assert b"7" in changed.content
        assert changed.headers["etag"] != tags[path]


async def test_steps_written_again_are_told_again(world: World) -> None:
    hours = {**SPAN, "resolution": "1h"}
    tag = (await world.get(f"/v1/series/{POWER}/values", **hours)).headers["etag"]
    await world.answers.rollups.levels.hour.kept.append(ROLLUPS.empty_table(), writer="rollups", position=1 << 20)
    assert (await world.get(f"/v1/series/{POWER}/values", **hours)).headers["etag"] != tag


async def test_what_was_known_then_never_changes(world: World) -> None:
    then: dict[str, list[Any]] = {}
    for resolution in ("raw", "15m", "1h", "1d", "auto"):
        then[resolution] = await known_then(world, resolution)
        now = (await world.values(resolution=resolution))["items"]
        assert [one["value"] for one in then[resolution]] == pytest.approx([one["value"] for one in now])
    await world.append(POWER, list(range(60)), [50.0] * 60, NOW)
    for resolution, before in then.items():
        assert await known_then(world, resolution) == before
        assert (await world.values(resolution=resolution))["items"] != before


async def known_then(world: World, resolution: str) -> list[Any]:
    found: list[Any] = (await world.values(resolution=resolution, as_of=iso(DAY + timedelta(days=1))))["items"]
    return found


# --- many -------------------------------------------------------------------------------------------------------------


async def test_many_in_one_answer_and_what_is_unknown_is_told(world: World) -> None:
    ids = [f"{home}.power_kw" for home in reversed(HOMES)]
    asked = {**SPAN, "series_ids": [*ids, "nobody.power_kw", ids[0]], "resolution": "1h"}
    answer = (await world.http.post("/v1/series/values", json=asked)).json()
    assert answer["unknown"] == ["nobody.power_kw"]
    assert [one["series_id"] for one in answer["series"]] == sorted(ids)
    single = [
        {"series_id": name, **one}
        for name in sorted(ids)
        for one in (await world.values(name, resolution="1h"))["items"]
    ]
    assert answer["items"] == single
    refused = await world.http.post("/v1/series/values.parquet", json=asked)
    assert (refused.status_code, "nobody.power_kw" in refused.text) == (404, True)
    parquet = await world.http.post("/v1/series/values.parquet", json={**asked, "series_ids": ids})
    table = pq.read_table(io.BytesIO(parquet.content))
    assert [(row["series_id"], iso(row["at"]), row["value"]) for row in table.to_pylist()] == [
        (one["series_id"], one["at"], one["value"]) for one in single
    ]
    got = await world.http.get("/v1/series/values", params={**SPAN, "resolution": "1h", "series_id": ids})
    assert got.json()["items"] == single
    charts = (await world.http.post("/v1/series/values", json={**asked, "resolution": "auto", "points": 50})).json()
    assert all(sum(one["series_id"] == name for one in charts["items"]) <= 50 for name in ids)


async def test_the_last_values_of_all_have_their_age(world: World) -> None:
    found = (await world.get("/v1/series/last", within_s=3 * 86_400)).json()
    assert [one["series_id"] for one in found["items"]] == [f"{home}.power_kw" for home in HOMES]
    assert {(one["value"], one["unit"], one["age_s"]) for one in found["items"]} == {
        (used(n, 1439), "kW", 86_400.0) for n in range(3)
    }
    assert found["silent"] == 1
    some = (await world.get("/v1/series/last", series_id=[POWER, "no.power_kw"], within_s=3 * 86_400)).json()
    assert ([one["series_id"] for one in some["items"]], some["unknown"]) == ([POWER], ["no.power_kw"])
    assert (await world.get("/v1/series/last", q="HOME-2", within_s=60)).json()["silent"] == 1
    lines = (await world.get("/v1/series/last.csv", within_s=3 * 86_400)).text.splitlines()
    assert (lines[0], len(lines)) == ("series_id,at,value,unit,flags,age_s", 4)


async def test_a_group_is_summed_and_its_gaps_are_counted(world: World) -> None:
    asked = {**SPAN, "resolution": "1h"}
    whole = (await world.get("/v1/fleet/energy", **asked)).json()
    feeder = (await world.get("/v1/fleet/energy", by="target", key="feeder-7", **asked)).json()
    site = (await world.get("/v1/fleet/energy", by="site", key="site-home-2", **asked)).json()
    assert (whole["members"], feeder["items"], site["members"]) == (3, whole["items"], 1)
    hour = whole["items"][9]
    assert hour["energy_kwh"] == pytest.approx(sum(used(n, m) for n in range(3) for m in range(540, 600)) / 60)
    assert (hour["series"], hour["covered_s"]) == (3, 3 * 3600)
    assert hour["mean_kw"] == pytest.approx(hour["energy_kwh"])
    assert [one["series"] for one in whole["items"]].count(2) >= 1
    assert len(site["items"]) < 24
    refused = await world.get("/v1/fleet/energy", **SPAN)
    assert (refused.status_code, "resolution" in refused.text) == (422, True)
    assert (await world.get("/v1/fleet/energy", by="site", key="nowhere", **asked)).status_code == 404


# --- Green Button and refusals ----------------------------------------------------------------------------------------


async def test_green_button_has_the_energy_of_the_day(world: World) -> None:
    answer = await world.get(f"/v1/series/{POWER}/values.xml", **SPAN)
    assert answer.headers["content-type"].startswith("application/atom+xml")
    values = [int(one.text or "") for one in Tree.fromstring(answer.text).iter("{http://naesb.org/espi}value")]
    steps = (await world.values(resolution="15m"))["items"]
    assert sum(values) == pytest.approx(1000 * sum(one["integral"] for one in steps), abs=1)
    refused = await world.get("/v1/series/es.price_eur_per_mwh/values.xml", **SPAN)
    assert (refused.status_code, "EUR/MWh" in refused.text) == (422, True)


async def test_what_is_wrong_is_told(world: World) -> None:
    values = f"/v1/series/{POWER}/values"
    wrong: list[tuple[str, dict[str, Any], int, str]] = [
        (values, {"start": "2026-07-01T00:00:00"}, 422, "time zone"),
        (values, {"end": iso(DAY)}, 422, "end after"),
        (values, {"resolution": "1d", "zone": "Mars/Olympus"}, 422, "IANA"),
        (values, {"resolution": "2m"}, 400, "resolution"),
        (values, {"points": 5001, "resolution": "auto"}, 400, "points"),
        (values, {"cursor": "!!!"}, 422, "cursor"),
        ("/v1/series/nobody.power_kw/values.csv", {}, 404, "nobody"),
        ("/v1/series/values", {}, 400, "series_id"),
    ]
    for path, params, status, said in wrong:
        answer = await world.get(path, **{**SPAN, **params})
        assert (answer.status_code, said in answer.text) == (status, True), answer.text


async def test_no_more_files_are_written_at_once_than_memory_has_room_for(world: World) -> None:
    declared = (await world.values(limit=1))["series"]
    one = msgspec.convert(declared, Declaration)
    asked = Asked(Span(DAY, DAY + timedelta(days=1)))
    open_ = [await world.answers.written(Format.CSV, [one], asked, many=False) for _ in range(MOST_FILES)]
    refused = await world.get(f"/v1/series/{POWER}/values.csv", **SPAN)
    assert (refused.status_code, "again" in refused.text) == (503, True)
    async for _ in open_[0]:
        pass
    assert (await world.get(f"/v1/series/{POWER}/values.csv", **SPAN)).status_code == 200
    for file in open_:
        await anext(file, None)
        await file.aclose()


async def test_a_span_of_ages_is_bounded(world: World) -> None:
    ages = {"start": "0001-01-01T00:00:00Z", "end": "9999-01-01T00:00:00Z"}
    assert len((await world.values(limit=5000, **ages))["items"]) == 1440
    refused = await world.get(f"/v1/series/{POWER}/values.csv", **ages)
    assert (refused.status_code, "values" in refused.text) == (422, True)
    for path in (f"/v1/series/{POWER}/values", "/v1/fleet/energy"):
        for resolution in ("1m", "1d"):
            refused = await world.get(path, **{**ages, "resolution": resolution})
            assert (refused.status_code, "from 0001-01-01T00:00:00Z to 9999" in refused.text) == (422, True), (
                refused.text
            )
    century = {"start": "1970-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z", "resolution": "1d"}
    assert len((await world.values(**century))["items"]) == 2
