"""What forecasts offers the process: history kept, forecasts made and compared, and the door that shows them."""

from tieline.base.part import Part, Task
from tieline.base.time import Clock
from tieline.forecasts.actions import Turns
from tieline.forecasts.apart import apart
from tieline.forecasts.forecaster import Forecaster
from tieline.forecasts.history import History
from tieline.forecasts.model import Plan
from tieline.forecasts.routes import ROUTES
from tieline.ports import Log, Rows, Series
from tieline.telemetry.tail import Tail


def part(log: Log, rows: Rows, series: Series, clock: Clock, wall: Clock, tail: Tail, plan: Plan) -> Part:
    """`wall` is the wall's own clock; `tail` is this process's."""
    turns = Turns(rows, wall)
    history = History(log, rows, series, clock, turns, tail)
    forecaster = Forecaster(rows, series, clock, history, turns, apart, plan)
    tasks = [Task("forecasts.history", history.follow), Task("forecasts.make", forecaster.run)]
    return Part("forecasts", tasks=tasks, routes=ROUTES)
