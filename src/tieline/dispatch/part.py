"""What dispatch offers the process."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from tieline.base.part import Part, Task
from tieline.base.time import Clock
from tieline.dispatch import routes
from tieline.dispatch.commands import routes as command_routes
from tieline.dispatch.commands.sender import Sender
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.measuring import Readings
from tieline.dispatch.model import Policy
from tieline.dispatch.mqtt import Answers
from tieline.dispatch.outlook import foreseen
from tieline.ports import Log, Rows, Series
from tieline.telemetry.flooding import Flooding


class Publisher(Protocol):
    """What is said to devices by MQTT, one message or many, (topic, payload); returns when the broker has it, raises
    `Unready` when it has not."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None: ...
    async def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> None: ...


def part(
    log: Log, rows: Rows, series: Series, clock: Clock, publisher: Publisher, policy: Policy, flooding: Flooding
) -> Part:
    readings = Readings(rows, series, policy.online_s)
    foresee = partial(foreseen, series)
    dispatcher = Dispatcher(rows, clock, publisher.publish_all, readings.measure, policy, foresee)
    answers = Answers(log, rows, clock, policy, flooding, dispatcher.quiet)
    sender = Sender(rows, clock, publisher.publish, policy.resend_s)
    return Part(
        "dispatch",
        tasks=[
            Task("dispatch.dispatcher", dispatcher.run),
            Task("dispatch.news", lambda: dispatcher.listen(log)),
            Task("dispatch.readings", lambda: readings.keep_up(clock)),
            Task("dispatch.answers", answers.run),
            Task("dispatch.commands", sender.run),
        ],
        routes=[*routes.ROUTES, *command_routes.ROUTES],
    )
