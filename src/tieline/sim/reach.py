"""Reaching the platform, and keeping to its clock."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from tieline.base.errors import Forbidden, Unready
from tieline.base.time import Anchor, RatedClock
from tieline.ven.client import Client, Platform

READY_S = 30.0
FOLLOW_S = 5.0
DRIFT_S = 0.5  # wall seconds by which the clocks may differ before ours is set again


async def reach(client: Client, clock: RatedClock, speed: float | None, wall: Callable[[], float]) -> Platform:
    """The platform, waited for; its clock set to `speed` where it allows that, and `clock` anchored on it.

    Raises `Unready` when it does not answer within 30 s."""
    platform = await _patiently(client, clock, wall)
    if speed is not None and speed != platform.speed:
        with contextlib.suppress(Forbidden):  # a platform that others share keeps its own time
            await client.put_clock(speed)
        platform = await _anchored(client, clock, wall)
    return platform


async def follow(client: Client, clock: RatedClock, wall: Callable[[], float]) -> None:
    """Keep to the platform's clock, whose rate anyone may change; never returns."""
    while True:
        await asyncio.sleep(FOLLOW_S)
        with contextlib.suppress(Unready):
            await _anchored(client, clock, wall)


async def _patiently(client: Client, clock: RatedClock, wall: Callable[[], float]) -> Platform:
    give_up = time.monotonic() + READY_S
    while True:
        try:
            return await _anchored(client, clock, wall)
        except Unready as error:
            if time.monotonic() > give_up:
                raise Unready(f"no answer in {READY_S:g} s: {error}. Is the platform up (tieline up)?") from error
        await asyncio.sleep(0.5)


async def _anchored(client: Client, clock: RatedClock, wall: Callable[[], float]) -> Platform:
    asked = wall()
    platform = await client.index()
    theirs = Anchor(at=platform.now_at, wall=(asked + wall()) / 2, speed=platform.speed)
    drift_s = abs((theirs.read(wall()) - clock.now()).total_seconds()) / theirs.speed
    if theirs.speed != clock.anchor.speed or drift_s > DRIFT_S:
        clock.start(theirs)
    return platform
