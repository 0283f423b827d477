"""Learning apart from everything else: one process of low priority, one thread in it, gone when it is done."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from tieline.base.errors import Broken
from tieline.forecasts.forecasting import Made, Task, forecast

Compute: TypeAlias = Callable[[Task], Awaitable[Made]]
Apart: TypeAlias = Callable[[], AbstractAsyncContextManager[Compute]]
NICE = 10


@contextlib.asynccontextmanager
async def apart() -> AsyncIterator[Compute]:
    """One task at a time; who stops waits for no more than that one."""
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_humble)

    async def compute(task: Task) -> Made:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, forecast, task)
        except BrokenProcessPool as died:
            raise Broken("the process that learns died, perhaps for lack of memory") from died

    try:
        yield compute
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _humble() -> None:
    os.nice(NICE)  # readings come first
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the platform's to heed
