"""What a baseline looks at beside its meters: the temperature outdoors; the load of the group, as it was and as it was
forecast. Read as known at an instant, its gaps counted, and told so that the same can be read again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from tieline.base.series import Stamp
from tieline.base.time import Span, micros
from tieline.dispatch.model import Event
from tieline.forecasts import reads as forecasts
from tieline.forecasts.model import STEP, STEP_S, Horizon, Measure, Subject, step_start, target_group
from tieline.ports import Rows, Series
from tieline.registry import reads as registry
from tieline.settlement.model import SeriesUsed
from tieline.telemetry.integration import Floats, Ints, contributing, integrate


@dataclass(frozen=True)
class Covariate:
    """One, in order of time: each value stands from its stamp, for so long at most."""

    used: SeriesUsed
    at_us: Ints
    value: Floats
    stamp: Stamp
    hold_s: int

    def on(self, edges_us: Ints) -> Floats:
        """Its mean over each step, by time; NaN where nothing is known of a step."""
        return integrate(self.at_us, self.value, edges_us, stamp=self.stamp, hold_s=self.hold_s).mean_kw


@dataclass(frozen=True)
class Outlooks:
    """The mean load of one meter of a group: as it came, as it was forecast before an event was published, and as it
    was forecast of each day before that began."""

    came: Covariate
    forecast: Covariate
    before: Covariate


async def temperature(rows: Rows, series: Series, series_id: str, span: Span, known_at: datetime) -> Covariate:
    """Degrees Celsius. Raises `NotFound` for a series that was never declared."""
    declared = await rows.read(lambda reader: registry.the_series(reader, series_id))
    hold = timedelta(seconds=declared.hold_s)
    table = await series.scan([series_id], span.start - hold, span.end + hold, as_of=known_at)
    at_us, value = table["at"].cast(pa.int64()).to_numpy(), table["value"].to_numpy()
    stamp, hold_s, one = declared.stamp, declared.hold_s, np.zeros(len(at_us), np.int64)
    used = contributing(one, at_us, micros(span.start), micros(span.end), stamp=stamp, hold_s=hold_s)
    found = at_us[used], value[used]
    return _covariate(series_id, declared.unit, span, known_at, *found, stamp=stamp, hold_s=hold_s)


async def outlooks(rows: Rows, series: Series, event: Event, span: Span, known_at: datetime) -> Outlooks | None:
    """Of the event's target, where it has one alone and all hours of the event were forecast for that, else of the
    fleet: what was forecast before the event was published, what came as known at an instant. None where nothing was
    forecast."""
    whole = Span(step_start(span.start), step_start(span.end) + STEP)
    ahead = Span(step_start(event.start_at), step_start(event.end_at - timedelta(microseconds=1)) + STEP)
    for group in _groups(event.request.targets or ()):
        at_us, forecast, _ = await forecasts.per_device(rows, series, group, ahead, event.created_at)
        if not np.isnan(forecast).any():
            found = await _day_ahead(rows, series, group, whole, known_at)
            name = Subject(group, Measure.LOAD).forecast_id
            return replace(found, forecast=_steps(f"forecast.{name}", ahead, event.created_at, at_us, forecast))
    return None


async def day_ahead(rows: Rows, series: Series, targets: Sequence[str], span: Span, known_at: datetime) -> Outlooks:
    """Of one target, else of the fleet, what was forecast of each day before it began, and what came."""
    return await _day_ahead(rows, series, _groups(targets)[0], span, known_at)


async def _day_ahead(rows: Rows, series: Series, group: str, span: Span, known_at: datetime) -> Outlooks:
    at_us, forecast, came = await forecasts.per_device(rows, series, group, span, known_at, [Horizon.DAY_AHEAD])
    name = Subject(group, Measure.LOAD).forecast_id
    before = _steps(f"forecast.{Horizon.DAY_AHEAD}.{name}", span, known_at, at_us, forecast)
    return Outlooks(_steps(f"forecast.actual.{name}", span, known_at, at_us, came), before, before)


def _groups(targets: Sequence[str]) -> list[str]:
    return [*([target_group(targets[0])] if len(targets) == 1 else []), "fleet"]


def _steps(name: str, span: Span, known_at: datetime, at_us: Ints, kw: Floats) -> Covariate:
    known = ~np.isnan(kw)
    return _covariate(name, "kW a device", span, known_at, at_us[known], kw[known], stamp=Stamp.START, hold_s=STEP_S)


def _covariate(
    name: str, unit: str, span: Span, known_at: datetime, at_us: Ints, value: Floats, *, stamp: Stamp, hold_s: int
) -> Covariate:
    edges_us = np.array([micros(span.start), micros(span.end)], np.int64)
    covered_s = float(integrate(at_us, value, edges_us, stamp=stamp, hold_s=hold_s).covered_s[0])
    digest = hashlib.sha256(at_us.astype("<i8").tobytes() + value.astype("<f8").tobytes()).hexdigest()
    gap_s = round(span.seconds - covered_s, 6)
    used = SeriesUsed(name, unit, span.start, span.end, known_at, len(at_us), gap_s, digest)
    return Covariate(used, at_us, value, stamp, hold_s)
