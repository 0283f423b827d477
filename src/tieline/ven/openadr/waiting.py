"""Waiting for a thing to happen, but not for ever."""

import asyncio

from tieline.base.time import Clock


async def within(clock: Clock, event: asyncio.Event, seconds: float) -> bool:
    """Whether it happened before the seconds of that clock were over."""
    waits = asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
    return event.is_set()
