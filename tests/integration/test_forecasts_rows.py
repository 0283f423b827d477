"""The rows of forecasts on both databases: one turn at a time, runs page by page, accuracy of what was scored."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.servers.rows import rows_at
from tieline.base.errors import NotFound
from tieline.base.time import VirtualClock
from tieline.forecasts import actions, reads
from tieline.forecasts.actions import LEASE, Turns
from tieline.forecasts.model import Horizon, Method, Run, Score, State

NOW = datetime(2026, 7, 15, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
SCORE = Score(4, actual_kw=10.0, pinball_kw=1.0, squared_kw2=4.0, error_kw=-1.0, coverage=1.0)


def made(hours: int, horizon: Horizon, forecast_id: str = "fleet.load") -> Run:
    at = NOW + hours * HOUR
    return Run(forecast_id, horizon, at, at, at + 6 * HOUR, State.MADE, Method.NAIVE, "so", 3, 0.1, tried_naive=SCORE)


async def test_a_turn_is_one_process_at_a_time_and_lost_when_it_dies(tables: str) -> None:
    wall = VirtualClock(NOW)
    async with rows_at(tables, wall) as rows:
        turns = Turns(rows, wall)
        async with turns.taken("day-ahead") as turn, turns.taken("day-ahead") as other:
            assert (turn.taken, other.taken) == (True, False)
            turn.done_at = NOW
        assert (await reads.turn_of(rows, "day-ahead")).done_at == NOW
        async with turns.taken("day-ahead"):
            await wall.advance(LEASE.total_seconds())
            async with turns.taken("day-ahead") as heir:
                assert heir.taken
        assert (await reads.turn_of(rows, "day-ahead")).done_at == NOW
        await actions.ask(rows, [Horizon.DAY_AHEAD, Horizon.INTRADAY])
        assert (await reads.turn_of(rows, "day-ahead")).asked
        assert (await reads.turn_of(rows, "intraday")).asked


async def test_runs_are_paged_and_their_accuracy_is_of_what_was_served(tables: str) -> None:
    async with rows_at(tables, VirtualClock(NOW)) as rows:
        runs = [made(n, horizon) for n in (0, 1, 2) for horizon in Horizon] + [
            made(0, Horizon.INTRADAY, "kind.ev.load")
        ]
        await actions.keep(rows, runs, NOW)
        first = await reads.runs_of(rows, "fleet.load", None, limit=4)
        rest = await reads.runs_of(rows, "fleet.load", None, after=reads.run_place(first[-1]), limit=4)
        assert [*first, *rest] == sorted(runs[:6], key=lambda one: (one.made_at, one.horizon), reverse=True)

        over = await reads.unscored(rows, NOW + 7 * HOUR, 10)
        assert [(one.made_at - NOW) / HOUR for _, one in over] == [0, 0, 0, 1, 1]
        worse = Score(12, 10.0, 3.0, 16.0, 1.0, 0.5)
        scores = [(run_id, SCORE if one.made_at == NOW else worse, None) for run_id, one in over]
        for _ in range(2):  # two processes that compare at once
            await actions.keep_scores(rows, scores, NOW + 8 * HOUR)
        assert await reads.unscored(rows, NOW + 7 * HOUR, 10) == []
        listed = await reads.listed(rows, NOW + 8 * HOUR, limit=2)
        assert [reads.place(one) for one in listed] == ["fleet.load|day-ahead", "fleet.load|intraday"]
        assert listed[0].newest.made_at == NOW + 2 * HOUR
        good = listed[0].accuracy
        assert good is not None
        assert (good.n, good.pinball_kw, good.coverage, good.bias) == (16, 2.5, 0.625, 0.05)
        assert good.rrmse == pytest.approx(13**0.5 / 10)
        assert good.naive_rrmse is None
        [last] = await reads.listed(rows, NOW, after=reads.place(listed[-1]))
        assert last.forecast_id == "kind.ev.load"
        await actions.keep(rows, [], NOW + timedelta(days=200))
        with pytest.raises(NotFound):
            await reads.runs_of(rows, "fleet.load", None)
