"""Bulk import through the HTTP door, on both kinds of Rows: whole VENs or nothing, the same again changes nothing."""

import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.di import Provide

from tests.servers.rows import rows_at
from tieline import doors
from tieline.adapters.sql.outbox import OUTBOX
from tieline.adapters.sql.postgres import PostgresRows
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import NotFound
from tieline.base.time import VirtualClock
from tieline.identity import claims
from tieline.identity import reads as identity
from tieline.registry import openadr, reads, sheet
from tieline.registry.routes import ROUTES
from tieline.wires.openadr31.messages import BlVenRequest

NOW = datetime(2026, 7, 15, tzinfo=UTC)
HEADER = "site_id,zone,ven_id,ven_name,resource_id,kind,rated_kw,sheddable,targets"
HOME_1 = ["s1,Europe/Lisbon,home-1,Home 1,boiler,water_heater,3,yes,lisbon;peak", "s1,,home-1,,ev,ev,7.4,yes,"]
HOME_2 = ["s1,,home-2,,hvac,hvac,5,no,"]


class World:
    def __init__(self, rows: SqliteRows | PostgresRows, door: httpx.AsyncClient) -> None:
        self.rows, self.door = rows, door

    async def load(self, *lines: str, dry_run: bool = False, status: int = 200, **more: Any) -> Any:
        how = more or {"content": "\n".join((HEADER, *lines)).encode(), "headers": {"content-type": "text/csv"}}
        answer = await self.door.post("/v1/vens/import", params={"dry_run": dry_run}, **how)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def counts(self) -> tuple[int, int, int]:
        sites, vens = await reads.sites(self.rows), await reads.vens(self.rows)
        return len(sites), len(vens), len(await reads.resources(self.rows))


def outcomes(report: Any) -> list[tuple[int, str]]:
    return [(line["row"], line["outcome"]) for line in report["items"]]


@pytest.fixture
async def world(tables: str) -> AsyncIterator[World]:
    clock: Any = VirtualClock(NOW)
    async with rows_at(tables, clock) as rows:
        provided = {
            "rows": Provide(lambda: rows, sync_to_thread=False),
            "clock": Provide(lambda: clock, sync_to_thread=False),
        }
        app: Any = Litestar(ROUTES, dependencies=provided, exception_handlers=dict[Any, Any](doors.PROBLEMS))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tieline") as door:
            yield World(rows, door)


async def test_vens_are_added_and_the_same_again_is_unchanged(world: World) -> None:
    first = await world.load(*HOME_1, *HOME_2)
    assert (first["rows"], first["added"], first["refused"]) == (3, 3, 0)
    assert await world.counts() == (1, 2, 3)
    home = next(ven for ven in await reads.vens(world.rows) if ven.ven_id == "home-1")
    assert (home.name, home.zone, home.targets) == ("Home 1", "Europe/Lisbon", ("lisbon", "peak"))
    said = await world.rows.read(lambda reader: reader.execute(sa.select(OUTBOX.c.subject)).scalars().all())
    again = await world.load(*HOME_1, *HOME_2)
    assert (again["added"], again["unchanged"], again["refused"]) == (0, 3, 0)
    assert await world.rows.read(lambda reader: reader.execute(sa.select(OUTBOX.c.subject)).scalars().all()) == said
    assert said.count("news.ven.registered") == 2


async def test_nobody_is_given_a_secret_and_devices_enrol_by_claims(world: World) -> None:
    report = await world.load(*HOME_1, *HOME_2)
    assert "secret" not in str(report)
    body = BlVenRequest(client_id="aggregator", ven_name="by OpenADR")
    ven = await world.rows.transaction(lambda tx: openadr.create_ven(tx, body, "UTC", NOW, named=True))
    new = [one.ven_id for one in await identity.credentials(world.rows, new_at=NOW)]
    assert new == sorted(["home-1", "home-2", ven.id])
    for ven_id in new:
        added = await world.rows.transaction(
            lambda tx, ven_id=ven_id: claims.add(tx, ven_id, 1, timedelta(days=1), NOW)  # type: ignore[misc]
        )
        enrolled = await world.rows.transaction(
            lambda tx, added=added: claims.use(tx, added.claim, added.ven_id, "", NOW, by_secret=True)  # type: ignore[misc]
        )
        assert enrolled.secret
    assert await identity.credentials(world.rows, new_at=NOW) == []
    await world.rows.transaction(lambda tx: openadr.delete_ven(tx, ven.id, NOW))
    with pytest.raises(NotFound):
        await world.rows.transaction(lambda tx: claims.add(tx, ven.id, 1, timedelta(days=1), NOW))


async def test_a_row_that_cannot_be_kept_is_refused_and_the_others_are_not(world: World) -> None:
    report = await world.load("s1,UTC,home-1,a\x00b,,,,,", "s2,Europe,home-2,,,,,,", "s3,UTC,home-3,,,,,,")
    assert outcomes(report) == [(2, "refused"), (3, "refused"), (4, "added")]
    assert ["NUL" in line["reason"] for line in report["items"][:2]] == [True, False]


async def test_a_file_is_read_beside_what_else_the_process_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, read = list[int](), sheet.read

    def reading(data: bytes) -> list[sheet.Row]:
        threads.append(threading.get_ident())
        return read(data)

    monkeypatch.setattr(sheet, "read", reading)
    assert (await world.load(*HOME_1))["added"] == 2
    assert threads != [threading.get_ident()]


async def test_a_ven_is_taken_whole_or_not_at_all(world: World) -> None:
    report = await world.load(*HOME_1, "s1,,home-1,,dryer,toaster,1,yes,", *HOME_2, "s9,,home-3,,x,ev,1,no,")
    assert outcomes(report) == [(2, "refused"), (3, "refused"), (4, "refused"), (5, "refused"), (6, "refused")]
    reasons = [line["reason"] for line in report["items"]]
    assert reasons[0] == "row 4 of the same VEN is refused"
    assert "toaster" in reasons[2]
    assert reasons[3] == "site s1 is new: give its zone, such as Europe/Lisbon"
    assert await world.counts() == (0, 0, 0)


async def test_what_is_there_and_different_is_refused_and_stays(world: World) -> None:
    await world.load(*HOME_1)
    report = await world.load(HOME_1[0], "s1,,home-1,,ev,ev,11,yes,", "s1,UTC,home-4,,x,ev,1,no,")
    assert outcomes(report) == [(2, "refused"), (3, "refused"), (4, "refused")]
    reasons = [line["reason"] for line in report["items"]]
    assert reasons[0].startswith("resource ev is there, but its rated_kw is 7.4, not 11.0")
    assert reasons[2].startswith("site s1 is there, but its zone is Europe/Lisbon, not UTC")
    assert (await world.load("s2,UTC,home-5,Home 1,,,,,"))["items"][0]["reason"].startswith("VEN home-1 is named")
    assert (await reads.resources(world.rows, "home-1"))[1].rated_kw == 7.4


async def test_a_load_may_come_later(world: World) -> None:
    await world.load(*HOME_1)
    report = await world.load(*HOME_1, "s1,,home-1,,dryer,dryer,2,no,")
    assert outcomes(report) == [(2, "unchanged"), (3, "unchanged"), (4, "added")]
    assert (await world.load("s1,,home-1,,,,,,"))["unchanged"] == 1


async def test_a_dry_run_tells_the_same_and_does_nothing(world: World) -> None:
    lines = [*HOME_1, *HOME_2, "s1,UTC,home-3,,x,ev,1,no,", "s2,UTC,home-4,Home 1,,,,,"]
    told = await world.load(*lines, dry_run=True)
    assert await world.counts() == (0, 0, 0)
    done = await world.load(*lines)
    assert told["dry_run"]
    assert told["items"] == done["items"]
    assert (done["added"], done["refused"]) == (3, 2)


async def test_a_form_carries_a_file_as_well(world: World) -> None:
    data = "\n".join((HEADER, *HOME_1)).encode("utf-8-sig")
    assert (await world.load(files={"file": ("fleet.csv", data, "text/csv")}))["added"] == 2
    problem = await world.load(files={"a": ("a.csv", data), "b": ("b.csv", data)}, status=422)
    assert problem["detail"] == "the form has 2 files: send one"


async def test_what_is_no_sheet_or_too_much_is_a_problem(world: World) -> None:
    problem = await world.load(content=b"hello", headers={"content-type": "text/csv"}, status=422)
    assert "names no column" in problem["detail"]
    too_much = await world.door.post("/v1/vens/import", content=b"x" * 10_200_000)
    assert too_much.status_code == 413
