"""Tasks that are kept going, and let go when told."""

import asyncio
import contextlib
import signal
import subprocess
import sys

import pytest

from tieline import process
from tieline.base.cancellation import heed_cancellation
from tieline.base.errors import Unready
from tieline.base.part import Task


async def fail() -> None:
    raise Unready("not now")


async def wait() -> None:
    await asyncio.sleep(3600)


async def fail_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        group.create_task(wait())


async def end() -> None:
    return


@pytest.mark.parametrize("how", [fail, fail_in_a_group, end])
async def test_a_task_that_ends_however_is_started_again(how: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_BACK_OFF_S", (0.001, 0.002))
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        await how()  # type: ignore[operator]

    async def thrice() -> None:
        while runs < 3:
            await asyncio.sleep(0.001)

    await asyncio.wait_for(process.run([Task("one", run)], thrice), 60)
    assert runs >= 3


async def test_a_task_that_swallows_its_cancellation_is_stopped_all_the_same() -> None:
    swallowed = 0

    async def run() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1

    async def soon() -> None:
        await asyncio.sleep(0.01)

    await asyncio.wait_for(process.run([Task("stubborn", run)], soon), 60)
    assert swallowed == 2


async def test_a_swallowed_cancellation_is_raised_at_the_next_look() -> None:
    async def swallow_and_look() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        heed_cancellation()

    task = asyncio.create_task(swallow_and_look())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


HANGS = """
import asyncio, time
from tieline import process
process.LONGEST_STOP_S = 0.5
async def work():
    asyncio.get_running_loop().call_soon(lambda: print("ready", flush=True))
    await process.until_stopped()
    time.sleep(60)
asyncio.run(work())
"""


def test_a_stop_that_hangs_ends_and_shows_where_it_hung() -> None:
    with subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as hanging:
        assert hanging.stdout is not None
        assert hanging.stdout.readline() == b"ready\n"
        hanging.send_signal(signal.SIGTERM)
        _, said = hanging.communicate(timeout=30)
    assert hanging.returncode == 1
    assert b"in work" in said
