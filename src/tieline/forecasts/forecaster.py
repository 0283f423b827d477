"""The forecaster: keeps history, makes what is due, and compares what was made with what came.

What is to be done stands in the rows, not here: whatever dies, the next look, in any process, finds it again; of
several processes one does it. Whatever the speed of the clock, a look is followed by a rest on the wall that is so many
times as long: what became due meanwhile is made once, as of then.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pyarrow as pa

from tieline import metrics
from tieline.base.time import Clock, Span
from tieline.forecasts import actions, making, reads
from tieline.forecasts.apart import Apart
from tieline.forecasts.days import STEP_US, local_days
from tieline.forecasts.history import SETTLE, History, append, per_device_of
from tieline.forecasts.model import SOURCE, Horizon, Plan, Run, Score, State, Subject, score, subject_of, subjects
from tieline.ports import Rows, Series
from tieline.registry import reads as registry

MOST_SUBJECTS = 60
LOOK_S = 5.0
REST = 4
"""Times as long as a look took: no more than a fifth of one processor."""
COMPARED_AT_ONCE = 500


class Forecaster:
    """`look` is safe to run in several processes at once."""

    def __init__(
        self, rows: Rows, series: Series, clock: Clock, history: History, turns: actions.Turns, apart: Apart, plan: Plan
    ) -> None:
        self._rows, self._series, self._clock = rows, series, clock
        self._history, self._turns = history, turns
        self._apart, self._plan = apart, plan

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self.look()
            await asyncio.sleep(max(LOOK_S, REST * (loop.time() - began)))

    async def look(self) -> None:
        """Some of what is to be done; forecasts wait until all history is summed."""
        members = subjects(await registry.vens(self._rows), await registry.resources(self._rows), MOST_SUBJECTS)
        if not members or not await self._history.keep(members, self._plan.zone):
            return
        now = self._clock.now()
        await self._compare(now)
        for horizon in Horizon:
            due = self._plan.due_at(horizon, now)
            if await self._is_due(horizon, due):
                async with self._turns.taken(horizon) as turn:
                    if turn.taken and await self._is_due(horizon, due):  # another may have ended its own meanwhile
                        turn.done_at = due if await self._make(horizon, members, due, now) else None

    async def _is_due(self, horizon: Horizon, due: datetime) -> bool:
        known = await reads.turn_of(self._rows, horizon)
        return known.asked or known.done_at is None or known.done_at < due

    async def _make(
        self, horizon: Horizon, members: Mapping[Subject, Sequence[str]], due: datetime, now: datetime
    ) -> bool:
        """A forecast of every subject, as of now, in one commit; False where nobody has history enough yet."""
        span = self._plan.span(horizon, due, now)
        asked = await making.opened(self._series, list(members), horizon, span, now, self._plan.zone)
        with metrics.FORECAST_SECONDS.labels(horizon).time():
            async with self._apart() as compute:
                made = await making.outcomes(asked, members, compute)
        if all(one.run.state is State.WAITING for one in made):
            return False
        if tables := [one.rows for one in made if one.rows is not None]:
            await append(self._series, pa.concat_tables(tables), f"{SOURCE}.{horizon}")
        await actions.keep(self._rows, [one.run for one in made], now)
        for one in made:
            metrics.FORECASTS.labels(horizon, one.run.method or one.run.state).inc()
        return True

    async def _compare(self, now: datetime) -> None:
        """What was made with what came, once all of its steps are summed."""
        over = await reads.unscored(self._rows, now - SETTLE - timedelta(microseconds=STEP_US), COMPARED_AT_ONCE)
        made_together = itertools.groupby(over, key=lambda one: (one[1].horizon, one[1].start_at, one[1].end_at))
        for _, found in made_together:
            scores = await self._scores(list(found), now)
            await actions.keep_scores(self._rows, scores, now)

    async def _scores(
        self, runs: Sequence[tuple[int, Run]], now: datetime
    ) -> list[tuple[int, Score | None, Score | None]]:
        """Of runs of the same span; for as many devices as were forecast."""
        one, of = runs[0][1], {run.forecast_id: subject_of(run.forecast_id) for _, run in runs}
        span, every = Span(one.start_at, one.end_at), list(of.values())
        days = local_days(span, "UTC")
        came = await per_device_of(self._series, every, days, span, now)
        found: list[tuple[int, Score | None, Score | None]] = []
        for run_id, run in runs:
            subject = of[run.forecast_id]
            made = await reads.quantiles(self._series, [subject], run.horizon, span, run.made_at)
            actual = came[subject].ravel()[days.places] * run.devices
            served, naive = made[subject]
            found.append((run_id, score(actual, served), score(actual, naive)))
        return found
