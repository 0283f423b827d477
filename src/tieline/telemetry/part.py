"""What telemetry offers the process: the intake and the dead letters as one part, the tail wherever values are read."""

import asyncio
from collections.abc import Mapping

from tieline.base.part import Part, Task
from tieline.base.time import Clock
from tieline.ports import Blobs, Log, Rows, Series
from tieline.telemetry import actions, reported, routes
from tieline.telemetry.fleet import Fleet
from tieline.telemetry.flooding import Flooding
from tieline.telemetry.intake import Intake
from tieline.telemetry.model import Limits
from tieline.telemetry.presence import actions as presence
from tieline.telemetry.presence.model import USUAL, Policy
from tieline.telemetry.presence.mqtt import Listener
from tieline.telemetry.rollups import routes as rolled
from tieline.telemetry.rollups.levels import Levels
from tieline.telemetry.rollups.reads import Rollups
from tieline.telemetry.rollups.rolling import Rolling
from tieline.telemetry.statistics.rollup import Rollup
from tieline.telemetry.tail import Tail
from tieline.telemetry.values import network
from tieline.telemetry.values import routes as values
from tieline.telemetry.values.answers import Answers
from tieline.telemetry.values.catalogue import Catalogue
from tieline.telemetry.values.live import Live

COMPACT_SECONDS = 3600
MEASURE_SECONDS = 30


def part(
    log: Log,
    rows: Rows,
    series: Series,
    refused: Blobs,
    clock: Clock,
    limits: Limits,
    flooding: Flooding,
    policy: Policy = USUAL,
) -> Part:
    """The work: devices' messages in, who is there, dead letters listed, Series kept compact. `refused` has the bytes
    of dead letters, and nothing else: they are forgotten with them."""
    listener = Listener(log, rows, clock, policy, flooding)
    intake = Intake(log, rows, clock, limits, listener.heard, flooding)

    async def compact() -> None:
        while True:
            await asyncio.sleep(COMPACT_SECONDS)
            await series.compact()
            await reported.forget(rows, clock, limits)
            await presence.forget(rows, clock)
            await actions.forget(rows, refused, clock)

    return Part(
        "telemetry",
        tasks=[
            Task("telemetry.intake", intake.run),
            Task("telemetry.registry", intake.forget_changed),
            Task("telemetry.waiting", intake.watch_waiting),
            Task("telemetry.presence", listener.run),
            Task("telemetry.dead-letters", lambda: actions.list_dead_letters(log, rows)),
            Task("telemetry.compact", compact),
        ],
    )


def floods(flooding: Flooding) -> Part:
    """In each process that takes devices' messages in."""
    return Part("flooding", tasks=[Task("telemetry.flooding", flooding.run)])


def statistics(log: Log, rows: Rows, series: Series, clock: Clock, fleet: Fleet) -> Part:
    """The fleet's sums by step, and as metrics: in one process that takes readings in."""
    rollup = Rollup(log, rows, series, clock, fleet.tail)

    async def measure() -> None:
        while True:
            await fleet.measure()
            await asyncio.sleep(MEASURE_SECONDS)

    return Part("statistics", tasks=[Task("telemetry.rollup", rollup.run), Task("telemetry.measure", measure)])


def rollups(levels: Levels, clock: Clock) -> Part:
    """Series by steps of five minutes and an hour: in one process, or several, that take readings in."""

    async def compact() -> None:
        while True:
            await asyncio.sleep(COMPACT_SECONDS)
            await levels.compact()

    tasks = [Task("telemetry.rollups", Rolling(levels, clock).run), Task("telemetry.rollups.compact", compact)]
    return Part("rollups", tasks=tasks, routes=rolled.ROUTES)


def answering(log: Log, rows: Rows, series: Series, rollups: Rollups, tail: Tail, clock: Clock) -> Mapping[str, object]:
    """What the doors of values ask for by name."""
    answers = Answers(series, rollups, clock, lambda: tail.position)
    return {"answers": answers, "catalogue": Catalogue(rows), "live": Live(log)}


def reading(tail: Tail, fleet: Fleet) -> Part:
    """What every process needs that answers questions about values."""

    async def follow() -> None:
        await fleet.remember()
        await tail.run()

    doors = [*routes.ROUTES, *values.ROUTES, *network.ROUTES]
    return Part("values", tasks=[Task("telemetry.tail", follow)], routes=doors)
