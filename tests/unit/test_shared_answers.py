"""Answers made once for all who ask at once: one read for a hundred browsers, bounded bytes, no failure kept."""

import asyncio

import pytest

from tieline.base.errors import Unready
from tieline.telemetry.values.shared import Shared


class Making:
    def __init__(self, size: int = 1) -> None:
        self.size, self.times, self.go = size, 0, asyncio.Event()

    async def __call__(self) -> bytes:
        self.times += 1
        await self.go.wait()
        return b"x" * self.size


async def test_a_hundred_who_ask_at_once_cost_one() -> None:
    shared, make = Shared(), Making()
    asked = [asyncio.create_task(shared.get("key", make)) for _ in range(100)]
    await asyncio.sleep(0)
    asked[0].cancel()  # who asked first goes: the others still get theirs
    make.go.set()
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert told[1:] == [b"x"] * 99
    assert await shared.get("key", make) == b"x"
    assert make.times == 1


async def test_another_key_is_another_answer() -> None:
    shared, make = Shared(), Making()
    make.go.set()
    await shared.get(("key", 1), make)
    await shared.get(("key", 2), make)
    assert make.times == 2


async def test_what_fails_is_tried_again() -> None:
    shared, make = Shared(), Making()
    make.go.set()

    async def fail() -> bytes:
        raise Unready("not now")

    for _ in range(2):
        with pytest.raises(Unready):
            await shared.get("key", fail)
    assert await shared.get("key", make) == b"x"


async def test_it_keeps_no_more_than_it_may_and_nothing_that_is_huge() -> None:
    shared = Shared(most_bytes=100, largest=40)
    for n in range(10):
        make = Making(30)
        make.go.set()
        await shared.get(n, make)
        assert shared.size <= 100
    huge, kept = Making(41), Making(30)
    huge.go.set()
    await shared.get("huge", huge)
    await shared.get("huge", huge)
    await shared.get(9, kept)
    assert (huge.times, kept.times) == (2, 0)
