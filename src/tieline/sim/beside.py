"""A simulated fleet beside a platform of one's own: what `tieline up --fleet` and the demo start as a child process."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from tieline.base.part import Task

ZONE = "America/Los_Angeles"
AFTERNOON = time(16, 30)
"""When a simulated day is worth watching: people come home, houses are hot."""
PATIENCE = {"lead_s": 120.0, "ack_s": 120.0, "resend_s": 60.0, "online_s": 900.0, "settle_delay_s": 180.0}
"""Settings for a clock of a minute a second: there a busy machine's second of delay is a minute."""


def start_at(now: datetime | None = None) -> datetime:
    """Half past four in the afternoon, where the homes are, on the latest working day that has had it."""
    local = (now or datetime.now(UTC)).astimezone(ZoneInfo(ZONE))
    day = local.date() if local.time() >= AFTERNOON else local.date() - timedelta(days=1)
    while day.weekday() >= 5:
        day -= timedelta(days=1)
    return datetime.combine(day, AFTERNOON, ZoneInfo(ZONE)).astimezone(UTC)


def fleet(url: str, *, homes: int, folder: Path, token: str = "") -> Sequence[Task]:
    """The fleet and its story, kept going as long as the platform."""
    files = ["--state", str(folder / "sim.json"), "--weather", str(folder / "weather.csv")]
    arguments = ["--homes", str(homes), *files, "--story"]

    async def run() -> None:
        async with started(url, *arguments, token=token) as child:
            await child.wait()

    return [Task("fleet", run)]


def parent_gone() -> asyncio.Event:
    """Set when whoever started us is gone, however it went: our standard input, a pipe from it, ends."""
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heed() -> None:
        if not os.read(0, 1024):
            loop.remove_reader(0)
            gone.set()

    loop.add_reader(0, heed)
    return gone


@contextlib.asynccontextmanager
async def started(
    url: str, *arguments: str, token: str = "", output: int | IO[bytes] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`tieline sim` as a child: it stops with the block, and, its input being ours, with us."""
    command = [sys.executable, "-m", "tieline.cli", "sim", "--url", url, "--with-parent", *arguments]
    environment = {**os.environ, **({"TIELINE_API_TOKEN": token} if token else {})}
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=output, stderr=output, env=environment
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), 5)
        except TimeoutError:
            child.kill()
