"""What the dispatcher reads of telemetry: the same whether it looked before or has just started."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.servers.rows import with_tables
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.names import power_series, sheddable_series
from tieline.base.series import Flag, readings
from tieline.base.time import VirtualClock
from tieline.dispatch import measuring
from tieline.dispatch.measuring import Readings
from tieline.dispatch.metered import HeldSpan
from tieline.dispatch.past import EARLIER, REMEMBERED
from tieline.registry import actions as registry
from tieline.registry.model import Kind, NewResource, NewSite, NewVen

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOMES = ("home-0", "home-1", "home-2")


class Meters:
    """Three homes with a car each; `draw` is what they say for a minute."""

    def __init__(self, rows: SqliteRows, series: DeltaSeries, clock: VirtualClock) -> None:
        self.rows, self.series, self.clock, self._position = rows, series, clock, 0

    async def enrol(self, home: str) -> None:
        ev = NewResource(resource_id="ev", name="EV", kind=Kind.EV, rated_kw=7.0, sheddable=True)
        fridge = NewResource(resource_id="fridge", name="Fridge", kind=Kind.REFRIGERATOR, rated_kw=0.2)
        site = NewSite(site_id=home, name=home, zone="UTC")
        await registry.register_ven(self.rows, self.clock, NewVen(home, home, site=site, resources=[ev, fridge]))

    async def draw(self, start: datetime, minutes: int, kw: float, *homes: str, flags: Flag = Flag.GOOD) -> None:
        at = [start + MINUTE * (n + 1) for n in range(minutes)]
        for home in homes or HOMES:
            for name in (power_series, sheddable_series):
                self._position += 1
                rows = readings(
                    [name(home, "ev")] * minutes, at, [kw] * minutes,
                    known_at=NOW, seq=self._position, flags=[int(flags)] * minutes,
                )  # fmt: skip
                await self.series.append(rows, writer="test", position=self._position)


@pytest.fixture
async def meters(tmp_path: Path) -> AsyncIterator[Meters]:
    clock, series = VirtualClock(NOW), DeltaSeries.in_folder(tmp_path / "series")
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        meters = Meters(rows, series, clock)
        for home in HOMES:
            await meters.enrol(home)
        yield meters
    await series.close()


async def test_the_sheddable_loads_at_their_newest_readings(meters: Meters) -> None:
    await meters.draw(NOW - 61 * MINUTE, 1, 0.0)
    await meters.draw(NOW - 60 * MINUTE, 60, 6.6)
    await meters.draw(NOW - MINUTE, 1, 0.0, "home-1", flags=Flag.SHED)
    found = await Readings(meters.rows, meters.series, 300).measure(NOW, [])
    assert list(found.loads.ven_ids) == list(HOMES)
    assert found.loads.power_kw.tolist() == [6.6, 0.0, 6.6]
    assert found.shed.tolist() == [False, True, False]
    assert found.running.minutes.tolist() == [60, 0, 60]
    assert found.loads.ceiling_kw.tolist() == [7.0] * 3


async def test_looking_again_and_starting_anew_see_the_same(meters: Meters) -> None:
    """A home's readings of some minutes come late: the next look has them."""
    await meters.draw(NOW - 61 * MINUTE, 1, 0.0)
    await meters.draw(NOW - 60 * MINUTE, 60, 6.6, "home-0", "home-1")
    await meters.draw(NOW - 60 * MINUTE, 58, 6.6, "home-2")
    one = Readings(meters.rows, meters.series, 300)
    await one.measure(NOW, [])
    await meters.draw(NOW - 2 * MINUTE, 2, 3.3, "home-2")
    await meters.draw(NOW, 1, 1.1)
    later = NOW + MINUTE
    held = [HeldSpan(("home-0", "ev"), NOW - 30 * MINUTE, None)]
    again, anew = await one.measure(later, held), await Readings(meters.rows, meters.series, 300).measure(later, held)
    assert again.running.minutes.tolist() == anew.running.minutes.tolist() == [61, 61, 61]
    assert np.array_equal(again.running.kw, anew.running.kw)
    assert np.array_equal(again.counterfactual.shares, anew.counterfactual.shares)


async def test_habits_of_the_hours_before_are_read_look_by_look_while_nobody_is_held(meters: Meters) -> None:
    for hours, kw in ((7, 0.0), (6, 6.6), (5, 0.0)):
        await meters.draw(NOW - 60 * hours * MINUTE, 60, kw)
    calm, busy = (Readings(meters.rows, meters.series, 300) for _ in range(2))
    for _ in range(EARLIER // REMEMBERED):
        await calm.prepare(NOW, [])
    found = await calm.measure(NOW, [])
    assert found.counterfactual.traces.run_min[-1].tolist() == [60.0] * 3
    held = [HeldSpan(("home-0", "ev"), NOW - 30 * MINUTE, None)]
    await busy.prepare(NOW, held)
    found = await busy.measure(NOW, held)
    assert np.isnan(found.counterfactual.traces.run_min[-1]).all()


async def test_whom_to_call_is_chosen_by_what_was_read_a_minute_ago_what_is_held_by_the_last(meters: Meters) -> None:
    await meters.draw(NOW - 60 * MINUTE, 60, 6.6)
    readings = Readings(meters.rows, meters.series, 300)
    await readings.prepare(NOW, [])
    await meters.draw(NOW, 2, 1.1)
    soon = NOW + MINUTE
    chosen = await readings.measure(soon, [])
    assert (chosen.counterfactual.until, chosen.loads.power_kw.tolist()) == (NOW, [1.1] * 3)
    held = [HeldSpan(("home-0", "ev"), NOW - 30 * MINUTE, None)]
    assert (await readings.measure(soon, held)).counterfactual.until == soon
    assert (await readings.measure(soon + 2 * MINUTE, [])).counterfactual.until == soon + 2 * MINUTE


async def test_each_minute_is_read_as_it_ends(meters: Meters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "KEEPING_UP_S", 0.01)
    await meters.draw(NOW - 60 * MINUTE, 60, 6.6)
    readings, soon = Readings(meters.rows, meters.series, 300), NOW + MINUTE
    await readings.prepare(NOW, [])
    keeping_up = asyncio.create_task(readings.keep_up(meters.clock))
    try:
        await meters.clock.advance(60)
        async with asyncio.timeout(60):
            while (await readings.measure(soon, [])).counterfactual.until != soon:
                await asyncio.sleep(0.01)
    finally:
        keeping_up.cancel()


async def test_a_load_that_is_new_is_seen_at_once_and_its_hours_are_read(meters: Meters) -> None:
    await meters.draw(NOW - 61 * MINUTE, 1, 0.0, *HOMES, "home-1a")
    await meters.draw(NOW - 60 * MINUTE, 60, 6.6, *HOMES, "home-1a")
    readings = Readings(meters.rows, meters.series, 300)
    await readings.prepare(NOW, [])
    await meters.enrol("home-1a")
    found = await readings.measure(NOW, [])
    assert (list(found.loads.ven_ids), found.running.minutes.tolist()) == (sorted([*HOMES, "home-1a"]), [60] * 4)


async def test_nobody_heard_of_is_nobody(meters: Meters) -> None:
    found = await Readings(meters.rows, meters.series, 300).measure(NOW, [])
    assert found.loads.power_kw.tolist() == [0.0] * 3
    assert found.loads.heard_s.tolist() == [-np.inf] * 3
