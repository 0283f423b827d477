"""What an event counts on ahead: forecasts where there are some, else what is metered; and what follows from it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.integration.dispatch_world import NOW, POLICY, Floor
from tests.servers.rows import rows_at, with_tables
from tieline.adapters.series import DeltaSeries
from tieline.base.errors import Unready
from tieline.base.series import readings
from tieline.base.time import Span, VirtualClock
from tieline.dispatch import reads
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.model import Event, EventChange, Level, NewProgram, Rules
from tieline.dispatch.outlook import Foreseen, foreseen
from tieline.dispatch.told import Basis, PlanTold
from tieline.forecasts.model import Horizon, Measure, Subject, target_group
from tieline.forecasts.reads import headroom
from tieline.ports import Series

MINUTE, QUARTER = timedelta(minutes=1), timedelta(minutes=15)


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    clock = VirtualClock(NOW)
    async with rows_at(str(with_tables(tmp_path / "rows.sqlite")), clock) as rows:
        floor = Floor(rows, clock)
        await floor.add_program(NewProgram("peak", "Peak", rules=Rules(return_s=0)))
        yield floor


@pytest.fixture
async def series(tmp_path: Path) -> AsyncIterator[Series]:
    found = DeltaSeries.in_folder(tmp_path / "series")
    yield found
    await found.close()


async def forecast(series: Series, *sure_kw: float, group: str = "fleet") -> None:
    """What a group could give up for sure, by quarter hours, as said an hour ago."""
    names = Subject(group, Measure.FLEXIBLE).series(Horizon.DAY_AHEAD)[:3]
    at = [NOW + n * QUARTER for n in range(len(sure_kw))]
    for place, series_id in enumerate(names):
        values = [kw + place for kw in sure_kw]
        rows = readings([series_id] * len(at), at, values, known_at=NOW - 4 * QUARTER)
        await series.append(rows, writer=series_id, position=1)


async def test_a_target_that_is_not_forecast_is_not_taken_for_the_fleet(series: Series) -> None:
    """Of east and west together nothing is known; of east and south no more than of the fleet."""
    await forecast(series, 20.0, 30.0)
    await forecast(series, 15.0, 5.0, group=target_group("east"))
    await forecast(series, 15.0, 5.0, group=target_group("south"))
    span = Span(NOW, NOW + 2 * QUARTER)
    assert (await headroom(series, ["east", "south"], span)).sure_kw == [20.0, 10.0]
    assert (await headroom(series, ["east", "west"], span)).sure_kw == [None, None]


async def plans(floor: Floor, event_id: str) -> list[PlanTold]:
    return await floor.rows.read(lambda reader: reads.plans_of(reader, event_id))


async def test_an_event_ahead_tells_what_it_can_count_on(floor: Floor, series: Series) -> None:
    """Of its first half hour the least is forecast, of its second nothing: ten homes of 2 kW are metered."""
    floor.dispatcher = Dispatcher(
        floor.rows, floor.clock, floor._speak, floor._measure, POLICY, partial(foreseen, series)
    )
    await forecast(series, 20.0, 30.0, 14.0)
    later = [Level(NOW + 45 * MINUTE, 15.0)]
    event_id = await floor.call(10.0, ahead=900, minutes=60, profile=later)
    await floor.pass_time(60)
    (told,) = await plans(floor, event_id)
    assert (told.method, told.called, told.headroom_kw) == ("ahead", 0, 14.0)
    assert told.ahead is not None
    assert [(one.target_kw, round(one.headroom_kw), one.by) for one in told.ahead] == [
        (10.0, 14, Basis.FORECAST),
        (15.0, 20, Basis.METERED),
    ]
    await floor.change(event_id, EventChange(target_kw=12.0))
    await floor.pass_time(60)
    assert [one.target_kw for one in await plans(floor, event_id)] == [12.0, 15.0]  # the most of each
    await floor.pass_time(900)
    newest, *_ = await plans(floor, event_id)
    assert newest.called
    assert newest.ahead is not None
    assert (newest.ahead[0].from_at, newest.ahead[0].until_at) == (NOW + 15 * MINUTE, NOW + 75 * MINUTE)
    assert newest.ahead[0].by is Basis.METERED  # nothing is forecast of its end


@pytest.mark.parametrize(("sure_kw", "held"), [(5.0, True), (40.0, False)])
async def test_what_will_be_short_soon_is_not_given_back(floor: Floor, sure_kw: float, held: bool) -> None:
    """16 kW, for ten minutes 4 kW, and then 16 kW again, of which is forecast that there will not be as much."""

    async def short(event: Event, since: object) -> list[Foreseen]:
        last = event.levels[-1]
        return [Foreseen(Span(last.from_at, event.end_at), last.target_kw, sure_kw)]

    floor.dispatcher = Dispatcher(floor.rows, floor.clock, floor._speak, floor._measure, POLICY, short)
    start = NOW + 5 * MINUTE
    profile = [Level(start + 35 * MINUTE, 4.0), Level(start + 45 * MINUTE, 16.0)]
    event_id = await floor.call(16.0, minutes=60, profile=profile)
    await floor.pass_time(300 + 35 * 60 + 300)
    assert (floor.held_kw() > 15.0) is held
    assert (await plans(floor, event_id))[0].ahead is not None


async def test_without_forecasts_to_be_read_what_is_metered_must_do(floor: Floor) -> None:
    async def away(event: Event, since: object) -> list[Foreseen]:
        raise Unready("the object store is away")

    floor.dispatcher = Dispatcher(floor.rows, floor.clock, floor._speak, floor._measure, POLICY, away)
    event_id = await floor.call(8.0)
    await floor.pass_time(420)
    assert floor.held_kw() >= 8.0
    assert [one.ahead for one in await plans(floor, event_id)] == [[]]
