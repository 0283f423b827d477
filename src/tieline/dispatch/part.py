"""What dispatch offers the process."""

from tieline.base.part import Part, Task
from tieline.base.time import Clock
from tieline.dispatch import routes
from tieline.dispatch.commands import routes as command_routes
from tieline.dispatch.commands.sender import Publish, Sender
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.measuring import Readings
from tieline.dispatch.model import Policy
from tieline.dispatch.mqtt import Answers
from tieline.ports import Log, Rows, Series
from tieline.telemetry.flooding import Flooding


def part(
    log: Log, rows: Rows, series: Series, clock: Clock, speak: Publish, policy: Policy, flooding: Flooding
) -> Part:
    dispatcher = Dispatcher(rows, clock, speak, Readings(rows, series, policy.online_s).measure, policy)
    answers = Answers(log, rows, clock, policy, flooding)
    sender = Sender(rows, clock, speak, policy.resend_s)
    return Part(
        "dispatch",
        tasks=[
            Task("dispatch.dispatcher", dispatcher.run),
            Task("dispatch.answers", answers.run),
            Task("dispatch.commands", sender.run),
        ],
        routes=[*routes.ROUTES, *command_routes.ROUTES],
    )
