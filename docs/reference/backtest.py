"""Writes the table of `docs/reference/forecasts.md` from real meters: `python docs/reference/backtest.py`.

They are in `../shared/samples/metering`, beside the repository. Where they are absent the page keeps what is committed;
`tests/unit/test_forecasts_households.py` makes a row of it again and compares, where they are there.
"""

import csv
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from tieline.forecasts.forecasting import Made, Task, forecast
from tieline.forecasts.model import INTRADAY_STEPS, Floats, Horizon, Method, Score, score

HERE = Path(__file__).parent
PAGE = HERE / "forecasts.md"
SAMPLES = HERE.parents[2] / "shared" / "samples" / "metering"
BEGIN, END = "<!-- backtest: made by docs/reference/backtest.py -->", "<!-- /backtest -->"
HISTORY_DAYS, TIMES = 56, 30
"""What each forecast is made of, and about how many are made of each meter and horizon."""
MADE_H = 9
HEAD = ["of", "horizon", "steps", "served by the model", "pinball", "RRMSE", "bias", "90 % covers"]
HEAD += ["naive: pinball", "RRMSE", "bias", "covers"]


class Meter(NamedTuple):
    """Power [days, slots] by the clock of the place, NaN where it is not known."""

    title: str
    kw: Floats
    weekday: int
    signed: bool = True


class Result(NamedTuple):
    meter: Meter
    horizon: Horizon
    learnt: float
    served: Score
    naive: Score


def meters() -> list[Meter]:
    homes = smart_grid_smart_city()
    return [
        Meter("ten homes, their mean", _mean([one.kw for one in homes]), homes[0].weekday),
        homes[0],
        *citylearn(),
        inverter(),
    ]


def _mean(kw: list[Floats]) -> Floats:
    """Over those that are known, as the platform does it; where half of them are."""
    known = np.isfinite(kw)
    count = known.sum(axis=0)
    mean: Floats = np.where(known, kw, 0.0).sum(axis=0) / np.where(count * 2 >= len(kw), count, np.nan)
    return mean


def smart_grid_smart_city() -> list[Meter]:
    """New South Wales, half-hourly, February 2012 to March 2014."""
    table = pq.read_table(SAMPLES / "sgsc_gravitas/smart_meter10.parquet")
    ids, at, kwh = (table[name].to_numpy() for name in ("customer_id", "reading_datetime", "general_supply_kwh"))
    days = at.astype("datetime64[D]").min(), at.astype("datetime64[D]").max()
    names = np.unique(ids.astype(str))
    found = [_daily(at[ids == name], kwh[ids == name] * 2, days, 48) for name in names]
    return [Meter(f"home {n}", kw, _weekday(days[0])) for n, kw in enumerate(found, 1)]


def citylearn() -> list[Meter]:
    """A home in California, hourly, August 2016 to July 2017; the file begins with 31 July 2016, 23:00."""
    with (SAMPLES / "citylearn2022/Building_1.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[1:]
    first = _weekday(np.datetime64("2016-08-01"))
    load, sun = (np.array([float(row[name]) for row in rows]) for name in ("non_shiftable_load", "solar_generation"))
    whole = len(rows) // 24 * 24
    return [
        Meter("CityLearn, load", load[:whole].reshape(-1, 24), first),
        Meter("CityLearn, PV", sun[:whole].reshape(-1, 24), first, signed=False),
    ]


def inverter() -> Meter:
    """A PV inverter by the quarter hour, in shares of its rating, winter 2010 to 2011."""
    with (SAMPLES / "pvanalytics/ac_power_inv_2173.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    at = np.array([row["timestamp"][:19] for row in rows], "datetime64[s]") - np.timedelta64(7, "h")
    power = np.array([float(row["value_normalized"] or "nan") for row in rows])
    days = at.astype("datetime64[D]").min(), at.astype("datetime64[D]").max()
    return Meter("inverter, PV", _daily(at, power, days, 96), _weekday(days[0]), signed=False)


def _daily(at: Any, kw: Floats, days: tuple[np.datetime64, np.datetime64], slots: int) -> Floats:
    """The mean of what falls into each slot of each day."""
    n = int((days[1] - days[0]).astype(int)) + 1
    slot = ((at - days[0]).astype("timedelta64[s]").astype(np.int64) * slots) // 86400
    known = np.isfinite(kw)
    count = np.bincount(slot[known], minlength=n * slots)
    total = np.bincount(slot[known], kw[known], minlength=n * slots)
    mean: Floats = total / np.where(count > 0, count, np.nan)
    return mean.reshape(n, slots)


def _weekday(day: np.datetime64) -> int:
    return int((day.astype("datetime64[D]").astype(np.int64) + 3) % 7)


def tried(meter: Meter, horizon: Horizon, days: int | None = None) -> Result:
    """Forecasts made now and then over all that there is (or so many days of it), each of what came before it alone."""
    meter = _from_first(meter)
    slots, made, came = meter.kw.shape[1], list[Made](), list[Floats]()
    flat = meter.kw.ravel()
    for day in _days(len(meter.kw) if days is None else days):
        first = max(0, day - HISTORY_DAYS)
        task = _task(meter, horizon, first, day)
        actual = flat[first * slots + task.targets]
        if np.isfinite(actual).any():
            made.append(forecast(task))
            came.append(actual)
    learnt = sum(one.method is Method.BOOSTING for one in made) / len(made)
    served, naive = (_scored(came, [getattr(one, name) for one in made]) for name in ("served", "naive"))
    return Result(meter, horizon, learnt, served, naive)


def _days(known: int) -> range:
    """Days that are spread over all that is known, and over the days of the week: no step is counted twice."""
    first = min(HISTORY_DAYS, known // 2)
    every = max(1, (known - first) // TIMES)
    return range(first, known - 1, every + (every % 7 == 0))


def _from_first(meter: Meter) -> Meter:
    """Without the days before anything is known."""
    first = int(np.flatnonzero(np.isfinite(meter.kw).any(axis=1))[0])
    return meter._replace(kw=meter.kw[first:], weekday=(meter.weekday + first) % 7)


def _scored(came: list[Floats], quantiles: list[Floats]) -> Score:
    found = score(np.concatenate(came), np.concatenate(quantiles, axis=1))
    assert found is not None
    return found


def _task(meter: Meter, horizon: Horizon, first: int, day: int) -> Task:
    """Day-ahead at nine; intraday at an hour that goes round the clock."""
    slots = meter.kw.shape[1]
    hour = MADE_H if horizon is Horizon.DAY_AHEAD else (day * 5) % 24
    origin = (day - first) * slots + hour * slots // 24
    known = meter.kw[first : day + 2]
    if horizon is Horizon.DAY_AHEAD:
        targets = np.arange((day - first + 1) * slots, (day - first + 2) * slots)
    else:
        targets = np.arange(origin, min(origin + INTRADAY_STEPS * slots // 96, known.size))
    return Task(known, (meter.weekday + first) % 7, origin, targets, horizon, meter.signed)


def line(one: Result) -> str:
    cells = [one.meter.title, one.horizon, f"{one.served.n:,}", _share(one.learnt)]
    for found in (one.served, one.naive):
        rrmse, bias = found.rrmse, found.bias
        cells += [f"{found.pinball_kw:.4f}", _share(rrmse), _share(bias), _share(found.coverage)]
    return f"| {' | '.join(cells)} |"


def _share(of: float | None) -> str:
    return "" if of is None else f"{100 * of + 0.0:.1f} %"


def section(results: Callable[[], Iterator[Result]]) -> str:
    """The text between the marks."""
    lines = [line(one) for one in results()]
    return "\n".join([BEGIN, "", f"| {' | '.join(HEAD)} |", "|---|---|" + "---:|" * (len(HEAD) - 2), *lines, "", END])


def placed(page: str, text: str) -> str:
    """The page with the text in its place."""
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: text, page, flags=re.DOTALL)


@functools.cache
def everything() -> list[Result]:
    return [tried(meter, horizon) for meter in meters() for horizon in Horizon]


if __name__ == "__main__":
    PAGE.write_text(placed(PAGE.read_text(encoding="utf-8"), section(lambda: iter(everything()))), encoding="utf-8")
