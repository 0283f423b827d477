"""The platform's clock where it is simulated: its anchor is a row, so that every process reads the same time."""

import asyncio
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from tieline.base.time import Anchor, RatedClock
from tieline.columns import Instant
from tieline.ports import Reader, Rows, Transaction

CLOCK = sa.Table(
    "clock",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("wall", sa.Double, nullable=False),
    sa.Column("speed", sa.Double, nullable=False),
)
WATCH_SECONDS = 0.5


class SharedClock:
    """Keeps a process's clock at the shared anchor. Without a row the clock is the wall's."""

    def __init__(self, rows: Rows, clock: RatedClock) -> None:
        self._rows = rows
        self._clock = clock

    async def open(self, speed: float, start_at: datetime | None) -> None:
        """Join the anchor that there is, at the asked speed; the first simulated start makes it, at `start_at`."""
        clock = self._clock
        if speed != 1 or start_at is not None:
            now = clock.rated(speed)
            clock.start(
                await self._rows.transaction(partial(_first, anchor=Anchor(start_at or now.at, now.wall, speed)))
            )
        elif (known := await self._rows.read(_anchor)) is not None:
            clock.start(known)
        if speed not in (1, clock.anchor.speed):
            await self.rate(speed)

    async def rate(self, speed: float) -> None:
        """Go on from now at another speed. Time never turns back: a simulated clock that was fast stays ahead."""
        await self._write(self._clock.rated(speed))

    async def watch(self) -> None:
        """For ever: another process may have changed the speed."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await self.read()

    async def read(self) -> None:
        if (anchor := await self._rows.read(_anchor)) is not None:
            self._clock.anchor = anchor

    async def _write(self, anchor: Anchor) -> None:
        def work(tx: Transaction) -> None:
            tx.execute(sa.delete(CLOCK))
            tx.execute(sa.insert(CLOCK).values(id=1, at=anchor.at, wall=anchor.wall, speed=anchor.speed))

        await self._rows.transaction(work)
        self._clock.anchor = anchor


def _first(tx: Transaction, anchor: Anchor) -> Anchor:
    """The anchor that there is; this one where there is none: of two processes that start at once one makes it."""
    if (known := _anchor(tx)) is not None:
        return known
    tx.execute(sa.insert(CLOCK).values(id=1, at=anchor.at, wall=anchor.wall, speed=anchor.speed))
    return anchor


def _anchor(reader: Reader) -> Anchor | None:
    row = reader.execute(sa.select(CLOCK.c.at, CLOCK.c.wall, CLOCK.c.speed)).first()
    return None if row is None else Anchor(row.at, row.wall, row.speed)
