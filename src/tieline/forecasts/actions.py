"""The verbs: taking a turn, so that of several processes one does it; asking for forecasts; keeping what was made."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.base.series import Declaration
from tieline.base.time import Clock
from tieline.forecasts import store
from tieline.forecasts.model import Horizon, Run, Score
from tieline.ports import Rows, Transaction
from tieline.registry import actions as registry

LEASE = timedelta(minutes=15)
"""Of the wall: who took a turn and has not ended it by then has died."""
REMEMBERED = timedelta(days=100)


class Turn(msgspec.Struct):
    """A turn at some work. What it comes to is set within it, and kept when it ends."""

    taken: bool
    done_at: datetime | None = None
    position: int = 0


class Turns:
    """`wall` tells how long one lasts: the platform's own clock may run a thousand times as fast."""

    def __init__(self, rows: Rows, wall: Clock) -> None:
        self._rows, self._wall = rows, wall

    @contextlib.asynccontextmanager
    async def taken(self, name: str) -> AsyncIterator[Turn]:
        """A turn, or word that another has it. It is free again at the end, however it ended."""
        now = self._wall.now()
        turn = Turn(await self._rows.transaction(lambda tx: store.take_turn(tx, name, now, now + LEASE)))
        try:
            yield turn
        finally:
            if turn.taken:
                await self._rows.transaction(lambda tx: store.end_turn(tx, name, turn.done_at, turn.position))


async def declare(rows: Rows, name: str, declared: Sequence[Declaration], since: datetime, now: datetime) -> None:
    """Declare series, by who has the turn of that name; its work begins anew since an instant, for these have none."""

    def work(tx: Transaction) -> None:
        registry.declare_series(tx, declared, now)
        store.restart(tx, name, since)

    await rows.transaction(work)


async def ask(rows: Rows, horizons: Sequence[Horizon]) -> None:
    """Have forecasts made at the next look, due or not."""
    await rows.transaction(lambda tx: store.ask(tx, [str(one) for one in horizons]))


async def keep(rows: Rows, runs: Sequence[Run], now: datetime) -> None:
    def work(tx: Transaction) -> None:
        for one in runs:
            store.add_run(tx, one)
        store.forget_runs(tx, now - REMEMBERED)

    await rows.transaction(work)


async def keep_scores(rows: Rows, scores: Sequence[tuple[int, Score | None, Score | None]], now: datetime) -> None:
    """What each run's forecast and its naive came to."""

    def work(tx: Transaction) -> None:
        for run_id, scored, naive in scores:
            store.set_scored(tx, run_id, scored, naive, now)

    await rows.transaction(work)
