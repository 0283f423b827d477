"""What telemetry offers the process: the intake and the dead letters as one part, the tail wherever values are read."""

import asyncio

from tieline.base.part import Part, Task
from tieline.base.time import Clock
from tieline.ports import Blobs, Log, Rows, Series
from tieline.telemetry import actions, reported, routes
from tieline.telemetry.fleet import Fleet
from tieline.telemetry.intake import Intake
from tieline.telemetry.model import Limits
from tieline.telemetry.tail import Tail

COMPACT_SECONDS = 3600


def part(log: Log, rows: Rows, series: Series, blobs: Blobs, clock: Clock, limits: Limits) -> Part:
    """The work: devices' messages in, dead letters listed, Series kept compact."""
    intake = Intake(log, rows, blobs, clock, limits)

    async def compact() -> None:
        while True:
            await asyncio.sleep(COMPACT_SECONDS)
            await series.compact()
            await reported.forget(rows, clock, limits)

    return Part(
        "telemetry",
        tasks=[
            Task("telemetry.intake", intake.run),
            Task("telemetry.registry", intake.forget_changed),
            Task("telemetry.waiting", intake.watch_waiting),
            Task("telemetry.dead-letters", lambda: actions.list_dead_letters(log, rows)),
            Task("telemetry.compact", compact),
        ],
    )


def reading(tail: Tail, fleet: Fleet) -> Part:
    """What every process needs that answers questions about values."""

    async def follow() -> None:
        await fleet.remember()
        await tail.run()

    return Part("values", tasks=[Task("telemetry.tail", follow)], routes=routes.ROUTES)
