"""One device, followed: its limits, its faults, and that nobody else minds them; on virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from tieline.base.errors import Unready
from tieline.base.time import VirtualClock
from tieline.ven.agent.device import Device
from tieline.ven.agent.drivers.driver import Reading

START = datetime(2026, 7, 14, 18, tzinfo=UTC)


class Kettle:
    """A driver that says what it was told, and fails as it is asked to."""

    def __init__(self, clock: VirtualClock) -> None:
        self.fault: Exception | None = None
        self.told: list[tuple[float, float | None]] = []
        self.reads: list[float] = []
        self.closed = False
        self._clock = clock

    def seconds(self) -> float:
        return (self._clock.now() - START).total_seconds()

    async def read(self) -> Reading:
        self.reads.append(self.seconds())
        if self.fault:
            raise self.fault
        return Reading(2.0)

    async def limit(self, limit_kw: float | None) -> None:
        if self.fault:
            raise self.fault
        self.told.append((self.seconds(), limit_kw))

    async def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.kettle = Kettle(self.clock)
        self.turns = 0
        self.device = Device("kettle", self.kettle, self.clock, on_turn=self.turn, read_s=lambda: 5.0, refresh_s=60)

    def turn(self) -> None:
        self.turns += 1


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    task = asyncio.create_task(made.device.run())
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_at_its_start_it_is_free_and_read_again_and_again(bench: Bench) -> None:
    await bench.clock.advance(20)
    assert bench.kettle.told == [(0, None)]
    assert bench.kettle.reads == [0, 5, 10, 15, 20]
    assert (bench.device.reading, bench.device.trouble) == (Reading(2.0), "")


async def test_a_limit_is_obeyed_at_once_and_said_again_each_minute(bench: Bench) -> None:
    await bench.clock.advance(7)
    bench.device.hold(0.5)
    await bench.clock.advance(100)
    assert bench.kettle.told == [(0, None), (7, 0.5), (67, 0.5)]
    bench.device.hold(None)
    await bench.clock.advance(0)
    assert bench.kettle.told[-1] == (107, None)


async def test_a_fault_makes_it_unknown_and_it_is_tried_less_and_less_often(bench: Bench) -> None:
    await bench.clock.advance(1)
    bench.kettle.fault = Unready("no route")
    await bench.clock.advance(9)
    assert (bench.device.reading, bench.device.trouble) == (None, "no route")
    bench.kettle.reads.clear()
    await bench.clock.advance(1000)
    assert bench.device.trouble == "no route"
    assert bench.turns < 40


async def test_back_from_a_fault_it_is_told_its_limit_first(bench: Bench) -> None:
    bench.device.hold(0.5)
    await bench.clock.advance(1)
    bench.kettle.fault = OSError("gone")
    await bench.clock.advance(200)
    bench.device.hold(1.5)
    bench.kettle.fault = None
    bench.kettle.told.clear()
    await bench.clock.advance(1)
    assert [limit_kw for _, limit_kw in bench.kettle.told] == [1.5]
    assert bench.device.reading == Reading(2.0)


@pytest.mark.parametrize("fault", [Unready("no route"), OSError("gone"), ZeroDivisionError("a bug in a driver")])
async def test_whatever_a_driver_raises_is_its_own_fault_alone(bench: Bench, fault: Exception) -> None:
    bench.kettle.fault = fault
    await bench.clock.advance(30)
    assert str(fault) in bench.device.trouble
    bench.kettle.fault = None
    await bench.clock.advance(60)
    assert bench.device.trouble == ""


async def test_at_its_end_it_is_free_and_closed(bench: Bench) -> None:
    bench.device.hold(0.0)
    await bench.clock.advance(1)
    await bench.device.free()
    assert bench.kettle.told[-1][1] is None
    assert bench.kettle.closed


async def test_one_that_fails_at_its_end_is_closed_all_the_same(bench: Bench) -> None:
    await bench.clock.advance(1)
    bench.kettle.fault = Unready("no route")
    await bench.device.free()
    assert bench.kettle.closed
