"""Baselines by other rules than the one statements are made with, frozen from readings as they were known."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from tests.integration.settlement_world import END, QUARTER, START, World, world
from tieline.base.errors import Conflict
from tieline.dispatch import reads as dispatch
from tieline.dispatch.model import Event
from tieline.settlement import actions
from tieline.settlement.baseline import markets
from tieline.settlement.baseline.rules import Adjust, Anchor, How, Rule, Window
from tieline.settlement.model import FrozenBaseline

__all__ = ["world"]  # a fixture

DAYS_KW = {1: 5.0, 2: 1.0, 5: 2.0, 6: 3.0, 7: 4.0, 8: 9.0}
"""What the home draws all day, so many days before the event; it is a Wednesday."""


async def frozen(world: World, event: Event, rule: Rule, known_at: datetime | None = None) -> FrozenBaseline:
    return await actions.freeze(event, rows=world.rows, series=world.series, rule=rule, known_at=known_at)


async def once_over(world: World, hours: float) -> tuple[Event, datetime]:
    """The event, so many hours after it ended."""
    await world.over()
    await world.until(END + timedelta(hours=hours))
    return await dispatch.event(world.rows, "hot"), world.clock.now()


async def called(world: World, today_kw: float) -> Event:
    """A home whose load differs from day to day, and is this on the day of the event until it starts."""
    await world.register("home-1")
    for days, kw in DAYS_KW.items():
        midnight = (START - timedelta(days=days)).replace(hour=0)
        await world.read("home-1", midnight, midnight + timedelta(days=1), kw, known_at=START)
    await world.read("home-1", START.replace(hour=0), START, today_kw, known_at=START)
    return await world.call("home-1")


async def test_pjm_high_four_of_five(world: World) -> None:
    """The mean of 5, 2, 3 and 4 kW is 3.5 kW; half a kilowatt more in the hours before."""
    found = await frozen(world, await called(world, 4.0), markets.PJM_4_OF_5)
    assert found.rule == "pjm-4-of-5"
    assert found.vens[0].kw == [4.0] * 24
    assert [(START.date() - day).days for day in found.vens[0].days] == [1, 5, 6, 7]


async def test_meter_before(world: World) -> None:
    event = await called(world, 2.5)
    assert (await frozen(world, event, markets.METER_BEFORE)).vens[0].kw == [2.5] * 24


async def test_a_rule_that_looks_beyond_the_start_is_frozen_once_that_is_over(world: World) -> None:
    """Three hours before at 2.5 kW, and two after at 1.5 kW."""
    event = await called(world, 2.5)
    with pytest.raises(Conflict, match="looks at hours until 2026-07-16T05:00:00Z"):
        await frozen(world, event, markets.PJM_SAME_DAY)
    event, early = await once_over(world, 2)
    with pytest.raises(Conflict, match="is frozen with the first statement after them"):
        await frozen(world, event, markets.PJM_SAME_DAY, early)
    _, now = await once_over(world, 3)
    await world.read("home-1", END, END + timedelta(hours=3), 1.5, known_at=now)
    (found,) = (await frozen(world, event, markets.PJM_SAME_DAY, now)).vens
    assert set(found.kw) == {(3 * 2.5 + 2 * 1.5) / 5}


async def test_what_a_rule_lacks_is_said(world: World) -> None:
    """Nothing was read in the hours after the event."""
    await called(world, 2.5)
    (left_out,) = (await frozen(world, *_of(await once_over(world, 3), markets.PJM_SAME_DAY))).left_out
    assert "every step of its hours beside the event" in left_out.reason


def _of(over: tuple[Event, datetime], rule: Rule) -> tuple[Event, Rule, datetime]:
    return over[0], rule, over[1]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (markets.AEMO_OTHER, "has no baseline for business days"),
        (markets.ISONE_10_OF_10, "6 week days with whole readings"),
        (markets.WEATHER, "needs the temperature"),
        (markets.CONTROL_GROUP, "needs 5 meters that were not called: there are 0"),
        (markets.FORECAST, "needs a forecast of all the event's hours"),
    ],
    ids=lambda of: of.name if isinstance(of, Rule) else None,
)
async def test_a_rule_that_does_not_apply_is_refused(world: World, rule: Rule, reason: str) -> None:
    await called(world, 2.5)
    (left_out,) = (await frozen(world, *_of(await once_over(world, 0), rule))).left_out
    assert reason in left_out.reason


async def test_homes_that_were_not_called_are_controls(world: World) -> None:
    """Six homes that always draw 2 kW; the five that were not called come down to 1 kW by themselves: so would the
    sixth have."""
    homes = [f"home-{n}" for n in range(1, 7)]
    await world.register(*homes)
    await world.history(*homes)
    await world.call("home-1")
    event, now = await once_over(world, 0)
    for home in homes:
        await world.read(home, START, END + QUARTER, 0.2 if home == "home-1" else 1.0, known_at=now)
    found = {one.ven_id: one for one in (await frozen(world, event, markets.CONTROL_GROUP, now)).vens}
    assert set(found["home-1"].kw) == {1.0}


async def test_a_window_on_the_clock(world: World) -> None:
    """A rule that looks at nine to eleven in the morning of the day, whenever the event is."""
    morning = Adjust(How.DIFFERENCE, (Window(Anchor.CLOCK, 9, 11),))
    event = await called(world, 4.0)
    nine = START.replace(hour=9)
    await world.read("home-1", nine, nine + 8 * QUARTER, 6.5, known_at=event.started_at or START)
    found = await frozen(world, event, replace(markets.PJM_4_OF_5, adjust=morning))
    assert found.vens[0].kw == [6.5] * 24
