"""What others may ask of forecasts: what was thought when, how good it was, and what a group could give up."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from tieline.base.errors import NotFound, Refused
from tieline.base.time import Span, iso, micros, parse_instant
from tieline.columns import Instant
from tieline.forecasts import sums
from tieline.forecasts.days import STEP_US
from tieline.forecasts.model import (
    COLUMNS,
    LOWER,
    MEDIAN,
    SOURCE,
    STEP_S,
    Floats,
    Horizon,
    Ints,
    Measure,
    Method,
    Run,
    Score,
    Subject,
    subject_of,
    target_group,
)
from tieline.forecasts.store import KINDS, run, score, turn
from tieline.ports import Reader, Rows, Series
from tieline.registry import reads as registry

ACCURACY = timedelta(days=28)
"""So far back accuracy is counted."""
MOST_STEPS = 10_000
_RUN = [run.c[name] for name in Run.__struct_fields__ if name not in KINDS]


# --- what was thought ------------------------------------------------------------------------------------------------


class Forecast(msgspec.Struct, frozen=True):
    """Mean power by step of a quarter hour, `at` the start of each in seconds since 1970; None where nothing was known.

    The 5 and 95 % quantiles bound what should come nine times in ten. `known_at` is when each step was forecast.
    """

    forecast_id: str
    horizon: Horizon
    start: datetime
    end: datetime
    as_of: datetime | None
    at: list[float]
    known_at: list[float | None]
    p05_kw: list[float | None]
    p50_kw: list[float | None]
    p95_kw: list[float | None]
    naive_p05_kw: list[float | None]
    naive_p50_kw: list[float | None]
    naive_p95_kw: list[float | None]
    actual_kw: list[float | None]


async def as_known_at(
    series: Series, forecast_id: str, horizon: Horizon, span: Span, as_of: datetime | None = None
) -> Forecast:
    """The newest forecast of each step of a span that was known at an instant (None: now), and what came as known then.
    Raises `NotFound` for an id that none can have, `Refused` for too long a span."""
    subject = subject_of(forecast_id)
    _check(span)
    ids = [*subject.series(horizon), subject.actual_series()[0]]
    starts, values, known = await _columns(series, ids, span, as_of)
    columns = {name: _told(values[n]) for n, name in enumerate((*COLUMNS, "actual_kw"))}
    at = [one / 1e6 for one in starts]
    told = [None if np.isnan(one) else float(one) for one in known[MEDIAN]]
    return Forecast(forecast_id, horizon, span.start, span.end, as_of, at, told, **columns)


async def quantiles(
    series: Series, subjects: Sequence[Subject], horizon: Horizon, span: Span, as_of: datetime | None = None
) -> dict[Subject, tuple[Floats, Floats]]:
    """What was served and the naive of each, [3, steps] in kW, NaN where nothing was known."""
    ids = [one for subject in subjects for one in subject.series(horizon)]
    _, values, _ = await _columns(series, ids, span, as_of)
    rows = {subject: values[n * len(COLUMNS) : (n + 1) * len(COLUMNS)] for n, subject in enumerate(subjects)}
    return {subject: (six[:3], six[3:]) for subject, six in rows.items()}


async def per_device(
    rows: Rows,
    series: Series,
    group: str,
    span: Span,
    as_of: datetime,
    horizons: Sequence[Horizon] = tuple(Horizon),
) -> tuple[Ints, Floats, Floats]:
    """The load of one device of a group: the starts of the steps of a span (µs), what it was last forecast to draw
    (the middle; of several horizons the last one that says anything), and what it drew; both as known at an instant,
    NaN where nothing was."""
    subject = Subject(group, Measure.LOAD)
    starts, (kw, devices), _ = await _columns(series, subject.actual_series(), span, as_of)
    forecast = np.full(len(starts), np.nan)
    for horizon in horizons:
        _, (middle,), (known_s,) = await _columns(series, subject.series(horizon)[MEDIAN : MEDIAN + 1], span, as_of)
        of = await rows.read(lambda reader, at=horizon: _devices(reader, subject.forecast_id, at, as_of))  # type: ignore[misc]
        number = np.array([of.get(0 if np.isnan(one) else round(one * 1e6), np.nan) for one in known_s])
        forecast = np.where(np.isnan(middle / number), forecast, middle / number)
    return np.array(starts, np.int64), forecast, sums.per_device(kw, devices)


def _devices(reader: Reader, forecast_id: str, horizon: Horizon, as_of: datetime) -> dict[int, int]:
    """Of how many devices each forecast was, by the instant at which it was made (µs)."""
    made = sa.and_(run.c.forecast_id == forecast_id, run.c.horizon == horizon, run.c.made_at <= as_of)
    query = sa.select(run.c.made_at, run.c.devices).where(made, run.c.devices > 0)
    return {micros(one.made_at): one.devices for one in reader.execute(query)}


async def _columns(
    series: Series, ids: Sequence[str], span: Span, as_of: datetime | None
) -> tuple[list[int], Floats, Floats]:
    """The starts of the steps (µs), then values and when they were known (seconds), [ids, steps]."""
    first, last = micros(span.start) // STEP_US, -(-micros(span.end) // STEP_US)
    found = await series.scan(ids, span.start, span.end, as_of=as_of)
    row = pc.index_in(found["series_id"], pa.array(ids, pa.string())).to_numpy()
    step = _micros(found, "at") // STEP_US - first
    values, known = np.full((len(ids), last - first), np.nan), np.full((len(ids), last - first), np.nan)
    values[row, step] = found["value"].to_numpy()
    known[row, step] = _micros(found, "known_at") / 1e6
    return [(first + n) * STEP_US for n in range(last - first)], values, known


def _check(span: Span) -> None:
    """Raises `Refused` for more than one answer should hold."""
    if span.seconds > MOST_STEPS * STEP_S:
        raise Refused(f"{span.seconds:g} s in steps of {STEP_S} s: ask for at most {MOST_STEPS} steps")


def _micros(rows: pa.Table, name: str) -> Ints:
    return np.asarray(rows[name].cast(pa.int64()).to_numpy(), np.int64)


def _told(values: Floats) -> list[float | None]:
    return [None if np.isnan(one) else round(float(one), 6) for one in values]


# --- headroom --------------------------------------------------------------------------------------------------------


class Headroom(msgspec.Struct, frozen=True):
    """What could be given up in each step of a quarter hour, `at` its start in seconds since 1970: what is expected,
    and what is there nineteen times in twenty. None where nothing is forecast."""

    at: list[float]
    expected_kw: list[float | None]
    sure_kw: list[float | None]


async def headroom(series: Series, targets: Sequence[str], span: Span, as_of: datetime | None = None) -> Headroom:
    """Of the VENs with one of the targets, or of the fleet without any; of each step what was thought last, be it hours
    or a day before. VENs with two of the targets count twice, but never to more than the fleet. Nothing is told of a
    step of which one target is not forecast. Raises `Refused` for too long a span."""
    _check(span)
    groups = [target_group(one) for one in dict.fromkeys(targets)] or ["fleet"]
    subjects = [Subject(one, Measure.FLEXIBLE) for one in dict.fromkeys([*groups, "fleet"])]
    day, hours = [await quantiles(series, subjects, horizon, span, as_of) for horizon in Horizon]
    newest = {one: np.where(np.isnan(hours[one][0]), day[one][0], hours[one][0]) for one in subjects}
    total = np.sum([newest[one] for one in subjects if one.group in groups], axis=0)
    if len(groups) > 1:  # what is unknown of one target is unknown of them all, be the fleet forecast or not
        total = np.where(newest[subjects[-1]] < total, newest[subjects[-1]], total)
    first = micros(span.start) // STEP_US
    at = [(first + n) * STEP_S * 1.0 for n in range(total.shape[1])]
    return Headroom(at, _told(total[MEDIAN]), _told(total[LOWER]))


# --- how good it was -------------------------------------------------------------------------------------------------


class Accuracy(msgspec.Struct, frozen=True):
    """Of what was served, over `n` steps of the last 28 days, against what came; the naive's own beside it. Pinball is
    the mean loss of the three quantiles, coverage the share of steps within the interval (0.9 is promised)."""

    n: int
    pinball_kw: float
    rrmse: float | None
    bias: float | None
    coverage: float
    naive_pinball_kw: float | None
    naive_rrmse: float | None
    naive_bias: float | None
    naive_coverage: float | None


class Listed(msgspec.Struct, frozen=True):
    """What is forecast of a group at one horizon: the newest run, and how good the last ones were."""

    forecast_id: str
    horizon: Horizon
    group: str
    measure: Measure
    newest: Run
    accuracy: Accuracy | None


async def listed(
    rows: Rows, now: datetime, *, horizon: Horizon | None = None, after: str = "", limit: int = 100
) -> list[Listed]:
    """In order of id and horizon, after `place` of the last one of the page before."""
    newest = sa.select(sa.func.max(run.c.run_id)).group_by(run.c.forecast_id, run.c.horizon)
    forecast_id, _, last = after.partition("|")
    key = sa.tuple_(run.c.forecast_id, run.c.horizon)
    query = sa.select(run.c.run_id, *_RUN).where(run.c.run_id.in_(newest), key > sa.tuple_(forecast_id, last))
    query = query.order_by(run.c.forecast_id, run.c.horizon).limit(limit)
    if horizon is not None:
        query = query.where(run.c.horizon == horizon)

    def work(reader: Reader) -> list[Listed]:
        runs = _runs(reader, query)
        good = _accuracies(reader, [one.forecast_id for one in runs], now - ACCURACY)
        return [
            Listed(one.forecast_id, one.horizon, *_subject(one), one, good.get((one.forecast_id, one.horizon)))
            for one in runs
        ]

    return await rows.read(work)


def place(one: Listed) -> str:
    return f"{one.forecast_id}|{one.horizon}"


async def runs_of(
    rows: Rows, forecast_id: str, horizon: Horizon | None, *, after: str = "", limit: int = 100
) -> list[Run]:
    """The newest first, after `run_place` of the last one of the page before. Raises `NotFound` where there is none."""
    key = sa.tuple_(run.c.made_at, run.c.horizon)
    query = sa.select(run.c.run_id, *_RUN).where(run.c.forecast_id == forecast_id)
    if horizon is not None:
        query = query.where(run.c.horizon == horizon)
    if not await rows.read(lambda reader: reader.execute(query.limit(1)).all()):
        raise NotFound(f"there is no forecast {forecast_id!r}; GET /v1/forecasts lists them")
    if after:
        made_at, _, last = after.partition("|")
        query = query.where(key < sa.tuple_(sa.literal(parse_instant(made_at, "cursor"), Instant), last))
    ordered = query.order_by(run.c.made_at.desc(), run.c.horizon.desc()).limit(limit)
    return await rows.read(lambda reader: _runs(reader, ordered))


def run_place(one: Run) -> str:
    return f"{iso(one.made_at)}|{one.horizon}"


async def unscored(rows: Rows, over: datetime, most: int) -> list[tuple[int, Run]]:
    """Of the forecasts made whose span is over, those that nobody has compared with what came; the oldest first."""
    query = sa.select(run.c.run_id, *_RUN).where(run.c.scored_at.is_(None), run.c.end_at <= over)
    query = query.where(run.c.state == "made").order_by(run.c.end_at, run.c.run_id).limit(most)

    def work(reader: Reader) -> list[tuple[int, Run]]:
        found = reader.execute(query).mappings().all()
        return [(one["run_id"], _run(one, {})) for one in found]

    return await rows.read(work)


def _runs(reader: Reader, query: sa.Select[Any]) -> list[Run]:
    found = reader.execute(query).mappings().all()
    scores: dict[int, dict[str, Score]] = {}
    wanted = [one["run_id"] for one in found]
    for row in reader.execute(sa.select(score).where(score.c.run_id.in_(wanted))).mappings():
        scores.setdefault(row["run_id"], {})[row["kind"]] = Score(*[row[name] for name in Score.__struct_fields__])
    return [_run(one, scores.get(one["run_id"], {})) for one in found]


def _run(row: sa.RowMapping, scores: Mapping[str, Score]) -> Run:
    plain = {name: row[name] for name in Run.__struct_fields__ if name not in KINDS}
    method = None if row["method"] is None else Method(row["method"])
    return msgspec.convert({**plain, **scores, "method": method}, Run)


def _subject(one: Run) -> tuple[str, Measure]:
    subject = subject_of(one.forecast_id)
    return subject.group, subject.measure


def _accuracies(reader: Reader, forecast_ids: Sequence[str], since: datetime) -> dict[tuple[str, str], Accuracy]:
    """Of what was scored since, by forecast and horizon."""
    names = ("actual_kw", "pinball_kw", "squared_kw2", "error_kw", "coverage")
    means = [(sa.func.sum(score.c[one] * score.c.n) / sa.func.sum(score.c.n)).label(one) for one in names]
    query = sa.select(run.c.forecast_id, run.c.horizon, score.c.kind, sa.func.sum(score.c.n).label("n"), *means)
    query = query.join(run).where(
        run.c.forecast_id.in_(forecast_ids), run.c.end_at >= since, score.c.kind.like("scored%")
    )
    found: dict[tuple[str, str], dict[str, Score]] = {}
    for row in reader.execute(query.group_by(run.c.forecast_id, run.c.horizon, score.c.kind)).mappings():
        one = Score(int(row["n"]), *[float(row[name]) for name in names])
        found.setdefault((row["forecast_id"], row["horizon"]), {})[row["kind"]] = one
    return {key: _accuracy(one["scored"], one.get("scored_naive")) for key, one in found.items() if "scored" in one}


def _accuracy(served: Score, naive: Score | None) -> Accuracy:
    return Accuracy(
        served.n,
        served.pinball_kw,
        served.rrmse,
        served.bias,
        served.coverage,
        *((naive.pinball_kw, naive.rrmse, naive.bias, naive.coverage) if naive else (None,) * 4),
    )


# --- turns -----------------------------------------------------------------------------------------------------------


class TurnNow(msgspec.Struct, frozen=True):
    """How far the work of a name is."""

    done_at: datetime | None = None
    asked: bool = False
    position: int = 0


async def turn_of(rows: Rows, name: str) -> TurnNow:
    query = sa.select(turn.c.done_at, turn.c.asked, turn.c.position).where(turn.c.name == name)
    found = await rows.read(lambda reader: reader.execute(query).first())
    return TurnNow(*found) if found else TurnNow()


async def declared(rows: Rows) -> set[str]:
    """The ids of the series of forecasts that are declared."""
    return {one.series_id for one in await registry.declarations(rows, source=SOURCE, limit=100_000)}
