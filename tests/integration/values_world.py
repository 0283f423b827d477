"""A world of three homes that sent a day of readings: the real stores, the real application, its doors of values."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.servers.rows import rows_at, with_tables
from tieline import api, doors
from tieline.adapters.series import DeltaSeries
from tieline.app.parts import LOCAL_NAMES
from tieline.base.series import ROLLUPS, Declaration, Stamp, readings
from tieline.base.time import VirtualClock, iso
from tieline.ports import Rows
from tieline.registry import actions as registry
from tieline.registry import routes as registered
from tieline.registry.model import NewSite, NewVen
from tieline.telemetry.rollups.levels import Levels
from tieline.telemetry.rollups.reads import Rollups
from tieline.telemetry.values import network, routes
from tieline.telemetry.values.answers import Answers
from tieline.telemetry.values.catalogue import Catalogue
from tieline.telemetry.values.live import Live

DAY = datetime(2026, 7, 1, tzinfo=UTC)
NOW = DAY + timedelta(days=2)
MINUTE = timedelta(minutes=1)
HOMES = ("home-1", "home-2", "home-3")
POWER = "home-1.power_kw"
SPAN = {"start": iso(DAY), "end": iso(DAY + timedelta(days=1))}
GAP = range(600, 720)  # minutes in which home-2 tells nothing


class World:
    """Three homes that send each minute of a day; the second has two hours' gap, the first a spike."""

    def __init__(self, rows: Rows, series: DeltaSeries, answers: Answers, app: Any, http: httpx.AsyncClient) -> None:
        self.rows, self.series, self.answers, self.app, self.http = rows, series, answers, app, http
        self._position = 0

    async def append(self, name: str, minutes: list[int], values: list[float], known_at: datetime) -> None:
        self._position += 1
        at = [DAY + (n + 1) * MINUTE for n in minutes]
        told = readings([name] * len(at), at, values, known_at=known_at, seq=self._position)
        await self.series.append(told, writer="test", position=self._position)

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(path, params={name: value for name, value in params.items() if value is not None})

    async def values(self, name: str = POWER, **params: Any) -> dict[str, Any]:
        answer = await self.get(f"/v1/series/{name}/values", **{**SPAN, **params})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def used(home: int, minute: int) -> float:
    return 99.0 if (home, minute) == (0, 777) else round(1 + home + minute % 60 / 100, 3)


async def stocked(world: World) -> World:
    clock = VirtualClock(NOW)
    for home in HOMES:
        site = NewSite(f"site-{home}", home, "Europe/Lisbon")
        await registry.register_ven(world.rows, clock, NewVen(home, home, site=site, targets=["feeder-7"]))
    price = Declaration("es.price_eur_per_mwh", "EUR/MWh", 3600, "Europe/Madrid", Stamp.START, 3600, "omie")
    await registry.declare(world.rows, clock, price)
    for n, home in enumerate(HOMES):
        minutes = [m for m in range(24 * 60) if n != 1 or m not in GAP]
        await world.append(f"{home}.power_kw", minutes, [used(n, m) for m in minutes], DAY + timedelta(days=1))
    return world


def application(clock: VirtualClock, **provided: object) -> Any:
    def index(_: str) -> api.Index:
        return api.Index("Tieline", "0", clock.now(), 1.0, "localhost", 1883, False, "token", "UTC")

    return api.application(
        [*registered.ROUTES, *routes.ROUTES, *network.ROUTES],
        [],
        gate=doors.Gate(None, LOCAL_NAMES),
        index=index,
        rate=None,
        checked={},
        provided={"clock": clock, **provided},
    )


@contextlib.asynccontextmanager
async def opened(folder: Path, live: Live | None = None) -> AsyncIterator[World]:
    clock = VirtualClock(NOW)
    raw, five, hour = (
        DeltaSeries.in_folder(folder / "series"),
        *(DeltaSeries.in_folder(folder / name, shape=ROLLUPS) for name in ("series-5m", "series-1h")),
    )
    async with rows_at(str(with_tables(folder / "rows.sqlite")), clock) as rows:
        rollups = Rollups(Levels(rows, raw, five, hour))
        answers = Answers(raw, rollups, clock, lambda: 0)
        app = application(clock, rows=rows, series=raw, answers=answers, catalogue=Catalogue(rows), live=live)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
            yield await stocked(World(rows, raw, answers, app, http))
    for one in (raw, five, hour):
        await one.close()
