"""Learning apart from everything else: one process of low priority, one thread in it, gone when it is done, or when
who asked is gone."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractAsyncContextManager
from multiprocessing.connection import Connection, wait
from typing import TypeAlias

from tieline.base.errors import Broken
from tieline.forecasts.forecasting import Made, Task, forecast

Compute: TypeAlias = Callable[[Task], Awaitable[Made]]
Apart: TypeAlias = Callable[[], AbstractAsyncContextManager[Compute]]
NICE = 10


@contextlib.asynccontextmanager
async def apart() -> AsyncIterator[Compute]:
    """One task at a time; who stops waits for none."""
    context = multiprocessing.get_context("spawn")
    ended, end = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=_humble, initargs=(ended,))

    async def compute(task: Task) -> Made:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, forecast, task)
        except BrokenProcessPool as died:
            raise Broken("the process that learns died, perhaps for lack of memory") from died

    try:
        yield compute
    finally:
        end.close()
        pool.shutdown(wait=False, cancel_futures=True)
        ended.close()


def _humble(ended: Connection) -> None:
    os.nice(NICE)  # readings come first
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the platform's to heed
    threading.Thread(target=_end_with, args=(ended,), daemon=True).start()


def _end_with(ended: Connection) -> None:
    """Also when the platform was killed, whatever is being learnt."""
    wait([ended])
    os._exit(0)
