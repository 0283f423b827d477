"""Time: instants are UTC and aware, spans are [start, end), the clock is passed in.

A clock may run faster than the wall, so that an hour of a fleet can be watched in a minute:

    wall   |----+----+----+----|        one anchor: at wall second `wall` it was `at`,
    clock  |---------+---------+---...  and since then `speed` seconds pass per wall second

The anchor is all there is to know; any process that has it reads the same time.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from tieline.base.errors import Refused

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What time it is, and waiting for a later one; in clock seconds, not wall seconds."""

    def now(self) -> datetime: ...
    async def sleep(self, seconds: float) -> None: ...


class Anchor(msgspec.Struct, frozen=True):
    """At wall time `wall` (seconds since 1970) the clock showed `at`; it runs `speed` clock seconds a wall second."""

    at: datetime
    wall: float
    speed: float = 1.0

    def read(self, wall: float) -> datetime:
        return self.at + timedelta(seconds=(wall - self.wall) * self.speed)


def real_time() -> Anchor:
    return Anchor(at=EPOCH, wall=0.0)


class RatedClock:
    """The wall's time, or a simulated one that runs at a rate; re-anchoring never turns it back."""

    def __init__(self, anchor: Anchor | None = None, wall: Callable[[], float] = time.time) -> None:
        self.anchor = anchor or real_time()
        self._wall = wall
        self._told = EPOCH

    def now(self) -> datetime:
        """Never before what it told last: it stands until an anchor, or a wall, that was turned back has caught up."""
        self._told = max(self._told, self.anchor.read(self._wall()))
        return self._told

    def start(self, anchor: Anchor) -> None:
        """Begin at an anchor, be it in the past."""
        self.anchor, self._told = anchor, EPOCH

    def rated(self, speed: float) -> Anchor:
        """The anchor that goes on from now at another speed."""
        return Anchor(at=self.now(), wall=self._wall(), speed=speed)

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock. Wakes at least every quarter second, since the rate may change meanwhile."""
        until = self.now() + timedelta(seconds=seconds)
        while (left := (until - self.now()).total_seconds()) > 0:
            await asyncio.sleep(min(left / self.anchor.speed, 0.25))
        await asyncio.sleep(0)


class VirtualClock:
    """A clock that stands until it is advanced: tests run hours of it in milliseconds."""

    def __init__(self, start: datetime) -> None:
        self._now = instant(start)
        self._order = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return await asyncio.sleep(0)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), next(self._order), done))
        return await done

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, waking each sleeper at its own instant and letting it run."""
        until = self._now + timedelta(seconds=seconds)
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            self._now, _, done = heapq.heappop(self._sleepers)
            if not done.cancelled():
                done.set_result(None)
            await _settle()
        self._now = until


async def _settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


class Span(msgspec.Struct, frozen=True):
    """The time from `start` up to but not including `end`. Raises `Refused` when it would be empty or reversed."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if instant(self.end) <= instant(self.start):
            raise Refused(f"a span must end after it starts: {iso(self.start)} to {iso(self.end)}")

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    @property
    def hours(self) -> float:
        return self.seconds / 3600

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end


def instant(at: datetime) -> datetime:
    """The same instant in UTC. Raises `Refused` for a naive datetime: nobody can know what it means."""
    if at.tzinfo is None:
        raise Refused(f"{at.isoformat()} has no time zone: write it in UTC (…Z) or with an offset (…-03:00)")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise Refused(f"{at.isoformat()} is not within the years 1 to 9999 of UTC") from None


def later(now: datetime, *, than: datetime) -> datetime:
    """Now, or just after an instant that now is not past: of two changes at once each has a time of its own."""
    return max(than + MICROSECOND, now)


def parse_instant(text: str, what: str = "instant") -> datetime:
    """An RFC 3339 instant. Raises `Refused` when it is none or has no zone."""
    try:
        return instant(datetime.fromisoformat(text))
    except ValueError:
        raise Refused(f"{what} {text!r} is not an RFC 3339 instant such as 2026-01-31T17:00:00Z") from None


def iso(at: datetime) -> str:
    """RFC 3339 in UTC with a Z, microseconds only where there are any."""
    return instant(at).isoformat().replace("+00:00", "Z") if at.tzinfo else at.isoformat()


def micros(at: datetime) -> int:
    """Microseconds since 1970 UTC: how instants stand in columns."""
    return (at - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)
