"""The nouns: what is forecast, of which group, how far ahead; how its series are named; how well it did."""

import enum
import zoneinfo
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieline.base.errors import NotFound
from tieline.base.names import escaped, is_series_id, power_series, sheddable_series
from tieline.base.series import Declaration, Stamp
from tieline.base.time import EPOCH, Span
from tieline.registry.model import Kind, Resource, Ven

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP_S = 900
STEP = timedelta(seconds=STEP_S)
LEVELS = (0.05, 0.5, 0.95)
LOWER, MEDIAN, UPPER = range(len(LEVELS))
"""Rows of quantiles, [3, steps]; the outer ones bound an interval that should cover 90 %."""
COLUMNS = ("p05_kw", "p50_kw", "p95_kw", "naive_p05_kw", "naive_p50_kw", "naive_p95_kw")
"""What is served, and the seasonal naive beside it; each is a series of its own."""
SOURCE = "forecasts"
INTRADAY_STEPS = 24


def step_start(at: datetime) -> datetime:
    """The start of the step that an instant is in."""
    return at - (at - EPOCH) % STEP


class Measure(enum.StrEnum):
    """What meters draw, net; what loads could give up; what PV makes, positive."""

    LOAD = "load"
    FLEXIBLE = "flexible"
    PV = "pv"


class Horizon(enum.StrEnum):
    """The whole of the next local day, made once a day; the next six hours, made again and again."""

    DAY_AHEAD = "day-ahead"
    INTRADAY = "intraday"


class Method(enum.StrEnum):
    BOOSTING = "gradient-boosting"
    NAIVE = "seasonal-naive"


class State(enum.StrEnum):
    MADE = "made"
    WAITING = "waiting"  # for history
    FAILED = "failed"


class Subject(msgspec.Struct, frozen=True, order=True):
    """A measure of a group: `fleet`, `kind.ev`, `target.east`."""

    group: str
    measure: Measure

    @property
    def forecast_id(self) -> str:
        return f"{self.group}.{self.measure}"

    @property
    def signed(self) -> bool:
        """Whether it may be negative: a net load may."""
        return self.measure is Measure.LOAD

    def actual_series(self) -> tuple[str, str]:
        """The ids of what was measured, and of the number of devices that it was measured at."""
        return f"forecast.actual.{self.forecast_id}_kw", f"forecast.actual.{self.forecast_id}_devices"

    def series(self, horizon: Horizon) -> list[str]:
        """The ids of what is forecast, in the order of `COLUMNS`."""
        return [f"forecast.{horizon}.{self.forecast_id}.{name}" for name in COLUMNS]

    def declarations(self, zone: str) -> list[Declaration]:
        """Of all its series. A forecast stands for its own step only."""
        kw, devices = self.actual_series()
        units = {kw: "kW", devices: "1"} | {one: "kW" for horizon in Horizon for one in self.series(horizon)}
        return [
            Declaration(series_id, unit, STEP_S, zone, Stamp.START, STEP_S, SOURCE) for series_id, unit in units.items()
        ]


def subject_of(forecast_id: str) -> Subject:
    """Raises `NotFound` for an id that no forecast can have."""
    group, _, measure = forecast_id.rpartition(".")
    if measure not in set(Measure) or not is_series_id(group):
        raise NotFound(
            f"there is no forecast {forecast_id!r}: ids are such as fleet.load; GET /v1/forecasts lists them"
        )
    return Subject(group, Measure(measure))


def target_group(target: str) -> str:
    return f"target.{escaped(target)}"


def subjects(vens: Sequence[Ven], loads: Iterable[Resource], most: int) -> dict[Subject, list[str]]:
    """What is forecast, each with the series it is the sum of: the fleet, the kinds of load that can be shed, then
    targets, those of most VENs first; `most` subjects in all. Targets whose name is too long for a series are not."""
    known, found = {ven.ven_id: ven for ven in vens}, dict[Subject, list[str]]()
    for ven in vens:
        for group in _groups(ven):
            found.setdefault(Subject(group, Measure.LOAD), []).append(power_series(ven.ven_id))
    for load in loads:
        if (owner := known.get(load.ven_id)) is not None:
            for subject, series_id in _of_load(load, _groups(owner)):
                found.setdefault(subject, []).append(series_id)
    order = sorted(
        found, key=lambda one: (*_rank(one.group, len(found[one])), one.group, list(Measure).index(one.measure))
    )
    return {one: found[one] for one in order[:most]}


def _groups(ven: Ven) -> list[str]:
    targets = (target_group(target) for target in sorted(set(ven.targets or ())))
    return ["fleet", *(one for one in targets if is_series_id(one))]


def _of_load(load: Resource, groups: Sequence[str]) -> Iterable[tuple[Subject, str]]:
    power = power_series(load.ven_id, load.resource_id)
    if load.kind is Kind.PV:
        yield from ((Subject(group, Measure.PV), power) for group in groups)
    if load.sheddable:
        kind, could = f"kind.{load.kind}", sheddable_series(load.ven_id, load.resource_id)
        yield Subject(kind, Measure.LOAD), power
        yield from ((Subject(group, Measure.FLEXIBLE), could) for group in (*groups, kind))


def _rank(group: str, devices: int) -> tuple[int, int]:
    rank = ["fleet", "kind", "target"].index(group.partition(".")[0])
    return rank, -devices if rank == 2 else 0


# --- when ------------------------------------------------------------------------------------------------------------


class Plan(msgspec.Struct, frozen=True):
    """When forecasts are due: day-ahead once a day at a local hour, intraday every so often."""

    zone: str = "UTC"
    hour: int = 9
    every_s: int = 3600

    def due_at(self, horizon: Horizon, now: datetime) -> datetime:
        """The last instant, not after now, at which one was due."""
        if horizon is Horizon.INTRADAY:
            return now - (now - EPOCH) % timedelta(seconds=self.every_s)
        zone = zoneinfo.ZoneInfo(self.zone)
        today = now.astimezone(zone).date()
        dues = (datetime.combine(today - timedelta(days=ago), time(self.hour), zone) for ago in (0, 1))
        return next(due for due in dues if due.astimezone(UTC) <= now).astimezone(UTC)

    def span(self, horizon: Horizon, due: datetime, now: datetime) -> Span:
        """What one that was due is made of now: the local day after the due one, as far as it has not begun; or the
        next hours."""
        begun = step_start(now)
        if horizon is Horizon.INTRADAY:
            return Span(begun, begun + INTRADAY_STEPS * STEP)
        zone = zoneinfo.ZoneInfo(self.zone)
        day = due.astimezone(zone).date() + timedelta(days=1)
        start, end = (datetime.combine(day + timedelta(days=n), time(), zone).astimezone(UTC) for n in (0, 1))
        return Span(max(start, begun), end)


# --- how well --------------------------------------------------------------------------------------------------------


class Score(msgspec.Struct, frozen=True):
    """Means over `n` steps: pinball loss over the three quantiles, squared and plain error of the median (forecast less
    actual), and the share of steps within the interval."""

    n: int
    actual_kw: float
    pinball_kw: float
    squared_kw2: float
    error_kw: float
    coverage: float

    @property
    def rrmse(self) -> float | None:
        """Relative to the mean of what was; None where that is nothing."""
        return self.squared_kw2**0.5 / abs(self.actual_kw) if self.actual_kw else None

    @property
    def bias(self) -> float | None:
        return self.error_kw / abs(self.actual_kw) if self.actual_kw else None


def score(actual_kw: Floats, quantiles_kw: Floats) -> Score | None:
    """Of quantiles [3, n] against what was, where that is known; None where it is known nowhere."""
    known = np.isfinite(actual_kw) & np.isfinite(quantiles_kw).all(axis=0)
    if not known.any():
        return None
    actual, low, middle, high = actual_kw[known], *quantiles_kw[:, known]
    error = middle - actual
    return Score(
        n=int(known.sum()),
        actual_kw=float(actual.mean()),
        pinball_kw=float(np.mean([pinball(actual, q, of) for q, of in zip((low, middle, high), LEVELS, strict=True)])),
        squared_kw2=float((error**2).mean()),
        error_kw=float(error.mean()),
        coverage=float(((low <= actual) & (actual <= high)).mean()),
    )


def pinball(actual: Floats, quantile: Floats, level: float) -> float:
    """The mean loss that the quantile of that level makes least (Koenker and Bassett 1978)."""
    under = actual - quantile
    return float(np.maximum(level * under, (level - 1) * under).mean())


class Run(msgspec.Struct, frozen=True):
    """One forecast as it was made: of `start_at` to `end_at`, as known at `made_at`, for a group of so many devices.

    `tried` and `tried_naive` are the model and the naive out of sample before; `scored` and `scored_naive` are what
    was served and the naive against what came, once it is known.
    """

    forecast_id: str
    horizon: Horizon
    made_at: datetime
    start_at: datetime
    end_at: datetime
    state: State
    method: Method | None
    reason: str
    devices: int
    took_s: float
    tried: Score | None = None
    tried_naive: Score | None = None
    scored_at: datetime | None = None
    scored: Score | None = None
    scored_naive: Score | None = None
