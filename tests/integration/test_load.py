"""Loading files through the doors of feeds: into a real Series, with a record of how each ended."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.di import Provide

from tests.servers.rows import with_tables
from tieline import doors
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.outbox import OUTBOX
from tieline.adapters.sql.postgres import PostgresRows
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import NotFound, Refused, Unready
from tieline.base.time import VirtualClock
from tieline.feeds import actions, reads
from tieline.feeds.model import Outcome, State
from tieline.feeds.routes import ROUTES
from tieline.ports import Rows
from tieline.registry import reads as registry
from tieline.wires.sources import files

START = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples"
HEADER = "id_subsistema;nom_subsistema;din_instante;val_cargaenergiahomwmed"
ANY_TIME = (datetime(1990, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC))


class World:
    """The ports that loading touches."""

    def __init__(self, rows: Rows, series: DeltaSeries, blobs: ObjectBlobs, clock: VirtualClock) -> None:
        self.rows, self.series, self.blobs, self.clock = rows, series, blobs, clock

    async def load(self, data: bytes, name: str = "x.csv", mapped_by: bytes | None = None) -> Outcome:
        ports: dict[str, Any] = {"rows": self.rows, "series": self.series, "blobs": self.blobs, "clock": self.clock}
        return await actions.load(data, name, **ports, mapped_by=mapped_by)

    async def ons(self, *values: float | str, first: int = 0) -> Outcome:
        """Load hours of one day of the south."""
        hours = [f"S;SUL;2022-01-01 {first + n:02}:00:00;{value}" for n, value in enumerate(values)]
        return await self.load("\n".join([HEADER, *hours, ""]).encode(), f"day-{len(values)}.csv")

    async def values(self, series_id: str = "ons.S.load_mw", as_of: datetime | None = None) -> list[float]:
        table = await self.series.scan([series_id], *ANY_TIME, as_of=as_of)
        return [float(value) for value in table["value"].to_pylist() if value is not None]

    async def news(self) -> list[dict[str, Any]]:
        query = sa.select(OUTBOX.c.data).where(OUTBOX.c.subject == "news.file.loaded").order_by(OUTBOX.c.id)
        said = await self.rows.read(lambda reader: reader.execute(query).scalars().all())
        return [msgspec.json.decode(one) for one in said]

    def door(self) -> httpx.AsyncClient:
        provided = {"rows": Provide(lambda: self.rows, sync_to_thread=False)}
        app: Any = Litestar(ROUTES, dependencies=provided, exception_handlers=dict[Any, Any](doors.PROBLEMS))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tieline")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock, series = VirtualClock(START), DeltaSeries.in_folder(tmp_path / "series")
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        yield World(rows, series, ObjectBlobs.folder(tmp_path / "blobs"), clock)
    await series.close()


# --- how a file ends --------------------------------------------------------------------------------------------------


async def test_a_file_is_loaded_declared_recorded_and_told(world: World) -> None:
    outcome = await world.ons(1.5, 2.5)
    file = outcome.file
    assert (file.state, file.dataset, file.rows, file.series, file.reason) == (State.LOADED, "ons.load", 2, 1, None)
    assert (outcome.stored, outcome.again, file.loaded_at) == (2, False, START)
    assert await world.values() == [1.5, 2.5]
    declared = await world.rows.read(lambda reader: registry.the_series(reader, "ons.S.load_mw"))
    assert (declared.unit, declared.zone, declared.step_s, declared.source) == ("MW", "America/Sao_Paulo", 3600, "ons")
    assert await world.rows.read(lambda reader: reads.the_file(reader, file.digest)) == file
    assert [(one["digest"], one["state"]) for one in await world.news()] == [(file.digest, "loaded")]
    assert (await world.blobs.get(file.digest)).startswith(HEADER.encode())


async def test_a_file_with_bad_rows_is_partly_loaded_and_they_are_named(world: World) -> None:
    file = (await world.ons(1, "dear", 3)).file
    assert (file.state, file.rows, file.quarantined) == (State.PARTLY_LOADED, 2, 1)
    assert [(row.file, row.line, row.reason) for row in file.quarantined_rows] == [
        ("day-3.csv", 3, "val_cargaenergiahomwmed is not a number")
    ]
    assert file.reason == "1 row quarantined; the first: line 3 of day-3.csv: val_cargaenergiahomwmed is not a number"
    assert [one.kind for one in file.findings] == ["gap"]
    assert await world.values() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"what is this", "x.csv is not a file that can be read: expected ONS hourly load"),
        (b"PK\x03\x04 and no more", "x.csv is not a whole ZIP archive"),
        (f"{HEADER}\nS;SUL;never;1\n".encode(), "1 row quarantined; the first: line 2 of x.csv: din_instante"),
    ],
)
async def test_a_file_nothing_can_be_taken_of_failed_and_keeps_its_reason_and_bytes(
    world: World, data: bytes, reason: str
) -> None:
    outcome = await world.load(data)
    assert (outcome.file.state, outcome.file.rows, outcome.stored) == (State.FAILED, 0, 0)
    assert (outcome.file.reason or "").startswith(reason)
    assert await world.blobs.get(outcome.file.digest) == data
    assert (await world.load(data)).again


MAPPING = b"""
dataset = "homes"
source = "homes"
zone = "UTC"
stamp = "start"
step_s = 1800
thing = "id"
at = ["at"]
[[measures]]
column = "kwh"
name = "supply_kw"
unit = "kW"
factor = 2.0
"""


async def test_a_mapping_is_kept_and_another_one_reads_the_same_file_anew(world: World) -> None:
    data = b"id,kwh,at\n7,0.5,2026-07-01 10:00:00\n"
    first = await world.load(data, mapped_by=MAPPING)
    assert (first.file.state, first.file.dataset, first.stored) == (State.LOADED, "homes", 1)
    assert first.file.mapping is not None
    assert await world.blobs.get(first.file.mapping) == MAPPING
    assert (await world.load(data, mapped_by=MAPPING)).again
    await world.clock.advance(3600)
    other = await world.load(data, mapped_by=MAPPING.replace(b"2.0", b"4.0"))
    assert (other.again, other.stored) == (False, 1)
    assert await world.values("homes.7.supply_kw") == [2.0]
    assert await world.values("homes.7.supply_kw", as_of=START) == [1.0]
    with pytest.raises(Refused, match="the mapping"):
        await world.load(data, mapped_by=b"nothing")


async def test_a_meter_file_is_loaded(world: World) -> None:
    day = ",".join(["300", "20260420", *["0.5"] * 48, "A,,,,"])
    outcome = await world.load(f"100,NEM12,202604210000,M,R\n200,NMI1,E1,1,E1,,,kWh,30,\n{day}\n900\n".encode())
    assert (outcome.file.state, outcome.stored, outcome.file.mapping) == (State.LOADED, 48, None)
    assert await world.values("meter.NMI1.E1_30m_kw") == [1.0] * 48


async def test_a_file_of_known_form_without_known_tables_is_loaded_with_a_finding(world: World) -> None:
    data = b'C,A,B\nI,MARKET_CONFIG,REGION,1,REGIONID\nD,MARKET_CONFIG,REGION,1,NSW1\nC,"END OF REPORT",4\n'
    file = (await world.load(data)).file
    assert (file.state, file.rows, [one.kind for one in file.findings]) == (State.LOADED, 0, ["left out"])


async def test_a_large_file_is_read_in_a_process_of_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "LARGE", 0)
    assert (await world.ons(1, "dear")).file.state is State.PARTLY_LOADED
    assert await world.values() == [1.0]
    assert (await world.load(b"what is this")).file.state is State.FAILED


# --- again and otherwise ----------------------------------------------------------------------------------------------


async def test_the_same_bytes_again_are_a_no_op_whatever_their_name(world: World) -> None:
    first = await world.ons(1, 2)
    await world.clock.advance(60)
    again = await world.load(await world.blobs.get(first.file.digest), "renamed.csv")
    assert (again.again, again.stored, again.file) == (True, 0, first.file)
    assert len(await world.news()) == 1


async def test_a_revision_is_a_new_vintage_and_only_what_differs_is_stored(world: World) -> None:
    await world.ons(1, 2, 3)
    await world.clock.advance(3600)
    assert (await world.ons(1, 2.5, 3, 4)).stored == 2
    assert await world.values() == [1.0, 2.5, 3.0, 4.0]
    assert await world.values(as_of=START + timedelta(seconds=1)) == [1.0, 2.0, 3.0]


async def test_a_revision_counts_also_where_the_clock_stands_still(world: World) -> None:
    for value in (1, 2, 3):
        await world.ons(value)
    assert await world.values() == [3.0]


async def test_the_order_of_files_with_equal_content_does_not_matter(world: World) -> None:
    await world.ons(3, 4, first=2)
    await world.ons(1, 2, 3, first=0)
    assert (await world.ons(4, 5, first=3)).stored == 1
    assert await world.values() == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_a_newer_parser_reads_the_same_bytes_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await world.ons(1, 2)
    monkeypatch.setattr(files, "VERSION", files.VERSION + 1)
    again = await world.load(await world.blobs.get(first.file.digest))
    assert (again.again, again.stored, again.file.state) == (False, 0, State.LOADED)


async def test_a_load_cut_off_before_its_record_is_completed_by_loading_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(*_: object) -> None:
        raise Unready("the power is gone")

    with monkeypatch.context() as cut:
        cut.setattr(actions, "_record", power_cut)
        with pytest.raises(Unready):
            await world.ons(1, 2)
    assert await reads.files(world.rows) == []
    # rollups must know of the series as soon as its readings are there
    assert "ons.S.load_mw" in await world.rows.read(lambda reader: registry.declared(reader, ["ons.S.load_mw"]))
    assert not (await world.ons(1, 2)).again
    assert await world.values() == [1.0, 2.0]
    assert len(await world.news()) == 1


# --- the HTTP door ----------------------------------------------------------------------------------------------------


async def test_files_are_listed_newest_first_in_pages(world: World) -> None:
    for value in range(5):
        await world.ons(value)
        await world.clock.advance(value % 2)  # some at the same instant
    async with world.door() as door:
        listed: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            answer = (await door.get("/v1/files", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
            listed, cursor = [*listed, *answer["items"]], answer["next_cursor"]
        assert len({one["digest"] for one in listed}) == 5
        assert [one["loaded_at"] for one in listed] == sorted((one["loaded_at"] for one in listed), reverse=True)
        assert {"digest", "name", "dataset", "state", "rows", "series", "reason", "loaded_at"} <= set(listed[0])
        assert (await door.get("/v1/files", params={"q": "nothing"})).json()["items"] == []
        assert (await door.get("/v1/files", params={"cursor": "x"})).status_code == 422


async def test_a_file_shows_its_quarantined_rows(world: World) -> None:
    digest = (await world.ons(1, "dear")).file.digest
    async with world.door() as door:
        shown = (await door.get(f"/v1/files/{digest}")).json()
        assert [row["line"] for row in shown["quarantined_rows"]] == [3]
        assert (await door.get("/v1/files/none")).status_code == NotFound.status


async def test_the_record_is_the_same_on_postgresql(tmp_path: Path, postgres_tables: str) -> None:
    clock, series = VirtualClock(START), DeltaSeries.in_folder(tmp_path / "series")
    async with PostgresRows(postgres_tables, clock) as rows:
        world = World(rows, series, ObjectBlobs.folder(tmp_path / "blobs"), clock)
        files = [(await world.ons(value, "dear")).file for value in range(3)]
        listed = await reads.files(rows, q="DAY", limit=2)
        listed += await reads.files(rows, after=reads.cursor(listed[-1]))
        assert {one.digest for one in listed} == {file.digest for file in files}
        assert len(listed) == 3
        assert await rows.read(lambda reader: reads.the_file(reader, files[0].digest)) == files[0]
    await series.close()


# --- published files --------------------------------------------------------------------------------------------------


def sample(path: str) -> bytes:
    if not (SAMPLES / path).exists():
        pytest.skip(f"no sample {SAMPLES / path}")
    return (SAMPLES / path).read_bytes()


async def test_a_published_year_of_ons_and_files_of_aemo_come_back_out_of_series(world: World) -> None:
    year = await world.load(sample("ons/curva_carga/CURVA_CARGA_2023.csv"), "CURVA_CARGA_2023.csv")
    assert (year.file.state, year.file.rows, year.stored, year.file.series) == (State.LOADED, 35040, 35040, 4)
    assert len(await world.values("ons.SE.load_mw")) == 8760
    name = "PUBLIC_ARCHIVE%23DISPATCHPRICE%23FILE01%23202408010000.zip"
    prices = await world.load(sample(f"aemo_nem/mmsdm/MMSDM_2024_08/{name}"), name)
    assert (prices.file.state, prices.stored) == (State.LOADED, 2880)
    found = await world.series.scan(
        ["nem.NSW1.price_aud_per_mwh"],
        datetime(2024, 7, 31, 14, 5, tzinfo=UTC),
        datetime(2024, 7, 31, 14, 6, tzinfo=UTC),
    )
    assert found["value"].to_pylist() == [199.99]


async def test_the_published_year_with_a_value_in_the_skipped_hour_is_partly_loaded(world: World) -> None:
    file = (await world.load(sample("ons/curva_carga/CURVA_CARGA_2018.csv"))).file
    assert (file.state, file.rows, file.quarantined) == (State.PARTLY_LOADED, 35036, 1)
