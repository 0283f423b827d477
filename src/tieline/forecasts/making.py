"""One round of forecasts: of every subject, as of one instant, by one way of computing."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import structlog

from tieline.base.errors import Broken, Refused
from tieline.base.series import readings
from tieline.base.time import Span
from tieline.forecasts.apart import Compute
from tieline.forecasts.days import LocalDays, local_days, starts
from tieline.forecasts.forecasting import Made, Task, days_known, forecast
from tieline.forecasts.history import KEPT, per_device_of
from tieline.forecasts.model import Floats, Horizon, Run, State, Subject, step_start
from tieline.ports import Series

log = structlog.get_logger(__name__)

LEARN_S = 120.0
"""Of the wall: for what comes after it in a round the naive must do."""
_DIGITS = 6


class Round(NamedTuple):
    """What is asked for, and what is known: the mean of one device of each subject, [days, slots]."""

    horizon: Horizon
    span: Span
    now: datetime
    days: LocalDays
    past: Mapping[Subject, Floats]


class Outcome(NamedTuple):
    """What became of a subject; `rows` of Series, where a forecast was made."""

    run: Run
    rows: pa.Table | None


async def opened(
    series: Series, subjects: Sequence[Subject], horizon: Horizon, span: Span, now: datetime, zone: str
) -> Round:
    """A round as of now: nothing that was not known by then is read."""
    begun, first = step_start(now), step_start(now - KEPT)
    days = local_days(Span(first, span.end), zone)
    return Round(horizon, span, now, days, await per_device_of(series, subjects, days, Span(first, begun), now))


async def outcomes(asked: Round, members: Mapping[Subject, Sequence[str]], compute: Compute) -> list[Outcome]:
    """One after the other; whatever is wrong with one, the others go on."""
    loop = asyncio.get_running_loop()
    began, found = loop.time(), list[Outcome]()
    for subject, devices in members.items():
        start = loop.time()
        task = _task(asked, subject)
        try:
            days_known(task)  # here: a process that learns is not started for nothing
            made: Made | None = await _in_time(task, compute, began + LEARN_S - start)
            state, reason = State.MADE, made.reason if made else ""
        except Refused as refused:
            made, state, reason = None, State.WAITING, str(refused)
        except Exception as error:
            log.error("forecast fails", forecast_id=subject.forecast_id, exc_info=error)
            made, state, reason = None, State.FAILED, f"{type(error).__name__}: {error}"[:400]
        found.append(_outcome(asked, subject, len(devices), state, reason, made, loop.time() - start))
    return found


async def _in_time(task: Task, compute: Compute, seconds: float) -> Made:
    """Learnt where there is time for it, and nothing dies of it; the naive needs little of either."""
    unlearnt = msgspec.structs.replace(task, learn=False)
    try:
        async with asyncio.timeout(seconds):
            return await compute(task)
    except TimeoutError:
        return await asyncio.to_thread(forecast, unlearnt)
    except Broken as died:
        made = await asyncio.to_thread(forecast, unlearnt)
        return msgspec.structs.replace(made, reason=str(died))


def _task(asked: Round, subject: Subject) -> Task:
    origin = asked.days.place(step_start(asked.now))
    targets = np.array([asked.days.place(at) for at in starts(asked.span)], np.int64)
    targets = np.maximum(targets, origin)  # an hour that the clock repeats was there before: it is forecast as now is
    values, weekday = asked.past[subject], asked.days.first.weekday()
    return Task(values, weekday, origin, targets, asked.horizon, subject.signed)


def _outcome(
    asked: Round, subject: Subject, devices: int, state: State, reason: str, made: Made | None, took_s: float
) -> Outcome:
    run = Run(
        subject.forecast_id,
        asked.horizon,
        made_at=asked.now,
        start_at=asked.span.start,
        end_at=asked.span.end,
        state=state,
        method=made.method if made else None,
        reason=reason,
        devices=devices,
        took_s=round(took_s, 3),
        tried=made.tried if made else None,
        tried_naive=made.tried_naive if made else None,
    )
    return Outcome(run, _rows(asked, subject, made, devices) if made else None)


def _rows(asked: Round, subject: Subject, made: Made, devices: int) -> pa.Table:
    """Of all devices together."""
    six = np.concatenate([made.served, made.naive]) * devices
    at, ids = starts(asked.span), subject.series(asked.horizon)
    known = np.isfinite(six)
    names = [ids[n] for n, step in np.argwhere(known)]
    values = [round(float(one), _DIGITS) for one in six[known]]
    return readings(names, [at[step] for _, step in np.argwhere(known)], values, known_at=asked.now)
