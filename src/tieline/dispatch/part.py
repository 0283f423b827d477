"""What dispatch offers the process."""

from collections.abc import Collection, Sequence
from datetime import datetime

from tieline.base.part import Part, Task
from tieline.base.time import Clock
from tieline.base.units import Kilowatts
from tieline.dispatch import routes
from tieline.dispatch.dispatcher import Dispatcher, Speak
from tieline.dispatch.model import Policy
from tieline.dispatch.mqtt import Answers
from tieline.dispatch.planning import Headroom
from tieline.ports import Blobs, Log, Rows, Series
from tieline.registry import openadr
from tieline.telemetry import reads as telemetry


def part(log: Log, rows: Rows, series: Series, blobs: Blobs, clock: Clock, speak: Speak, policy: Policy) -> Part:
    async def measure(now: datetime, targets: Collection[str]) -> Sequence[Headroom]:
        found = await telemetry.sheddable(rows, series, now, policy.online_s)
        headroom = [Headroom(ven_id, resource_id, Kilowatts(kw)) for (ven_id, resource_id), kw in found.items()]
        if not targets:
            return headroom
        granted = await rows.read(lambda reader: openadr.granted(reader, targets))
        return [one for one in headroom if one.ven_id in granted]

    dispatcher = Dispatcher(rows, clock, speak, measure, policy)
    answers = Answers(log, rows, blobs, clock, policy)
    return Part(
        "dispatch",
        tasks=[Task("dispatch.dispatcher", dispatcher.run), Task("dispatch.answers", answers.run)],
        routes=routes.ROUTES,
    )
