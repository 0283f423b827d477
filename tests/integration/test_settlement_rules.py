"""Baselines by other rules than the one statements are made with, frozen from readings as they were known."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.integration.settlement_world import QUARTER, START, World, world
from tieline.dispatch.model import Event
from tieline.settlement import actions
from tieline.settlement.baseline import markets
from tieline.settlement.baseline.rules import Adjust, Anchor, How, Rule, Window
from tieline.settlement.model import FrozenBaseline

__all__ = ["world"]  # a fixture

DAYS_KW = {1: 5.0, 2: 1.0, 5: 2.0, 6: 3.0, 7: 4.0, 8: 9.0}
"""What the home draws all day, so many days before the event; it is a Wednesday."""


async def frozen(world: World, event: Event, rule: Rule) -> FrozenBaseline:
    return await actions.freeze(event, rows=world.rows, series=world.series, rule=rule)


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


async def test_what_a_rule_lacks_is_said(world: World) -> None:
    """When a baseline is frozen, the hours after the event are still to come."""
    (left_out,) = (await frozen(world, await called(world, 2.5), markets.PJM_SAME_DAY)).left_out
    assert "every step of its hours beside the event" in left_out.reason


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (markets.AEMO_OTHER, "has no baseline for business days"),
        (markets.ISONE_10_OF_10, "6 week days with whole readings"),
        (markets.WEATHER, "needs the temperature"),
        (markets.CONTROL_GROUP, "needs 5 meters that were not called: there are 0"),
    ],
    ids=lambda of: of.name if isinstance(of, Rule) else None,
)
async def test_a_rule_that_does_not_apply_is_refused(world: World, rule: Rule, reason: str) -> None:
    (left_out,) = (await frozen(world, await called(world, 2.5), rule)).left_out
    assert reason in left_out.reason


async def test_a_window_on_the_clock(world: World) -> None:
    """A rule that looks at nine to eleven in the morning of the day, whenever the event is."""
    morning = Adjust(How.DIFFERENCE, (Window(Anchor.CLOCK, 9, 11),))
    event = await called(world, 4.0)
    nine = START.replace(hour=9)
    await world.read("home-1", nine, nine + 8 * QUARTER, 6.5, known_at=event.started_at or START)
    found = await frozen(world, event, replace(markets.PJM_4_OF_5, adjust=morning))
    assert found.vens[0].kw == [6.5] * 24
