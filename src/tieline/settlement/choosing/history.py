"""The past of a program's VENs as whole days of quarter hours, read from Series as known at an instant."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from tieline.base.time import Span, micros
from tieline.ports import Rows, Series
from tieline.settlement import covariates, metering
from tieline.settlement.baseline.fleet import DAY_S, Fleet
from tieline.settlement.baseline.frame import Floats, Ints, Mask
from tieline.settlement.baseline.rules import Forecast, Rule
from tieline.settlement.choosing.model import STEP_S
from tieline.settlement.covariates import Covariate
from tieline.settlement.metering import Meters
from tieline.settlement.terms.measuring import Measuring

MOST_VENS = 400
"""More than these are told by a sample of them."""
AT_ONCE = timedelta(days=7)
STEPS = DAY_S // STEP_S
MOST_OF = 0.75
Call = tuple[datetime, datetime]


@dataclass(frozen=True)
class Homes:
    """VENs of one zone and what they drew; `fleet.called` are the days on which they were."""

    ven_ids: list[str]
    zone: ZoneInfo
    fleet: Fleet


def sampled(ven_ids: Collection[str], salt: str) -> set[str]:
    """The same ones whenever it is asked."""
    by_chance = sorted(ven_ids, key=lambda ven_id: hashlib.sha256(f"{salt}/{ven_id}".encode()).digest())
    return set(by_chance[:MOST_VENS])


async def lived(
    series: Series, group: Meters, days: Sequence[date], known_at: datetime, how: Measuring
) -> AsyncIterator[tuple[float, Homes | None]]:
    """How much of it is read, and at last what was read: as the program measures it."""
    zone = ZoneInfo(group.zone)
    opens, closes = (_midnight(day, zone) for day in (days[0], days[-1] + timedelta(days=1)))
    parts: list[Floats] = []
    edges = np.arange(micros(opens), micros(closes) + 1, STEP_S * 1_000_000)
    at = opens
    while at < closes:
        until = min(at + AT_ONCE, closes)
        read = (await metering.read(series, group, at, until, known_at)).counting(how.export)
        parts.append((await read.on(edges[(edges >= micros(at)) & (edges <= micros(until))])).mean_kw)
        yield (until - opens) / (closes - opens), None
        at = until
    kw = await asyncio.to_thread(by_clock, np.concatenate(parts, axis=1), edges[:-1], zone, days)
    yield 1.0, Homes(list(group.ven_ids), zone, Fleet(kw, days[0], holidays=how.holidays))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def by_clock(kw: Floats, starts_us: Ints, zone: ZoneInfo, days: Sequence[date]) -> Floats:
    """Steps of time put where the clock was then [meters, days, steps]: one that the clock skips is unknown, one that
    it repeats is averaged."""
    local = [datetime.fromtimestamp(us / 1e6, UTC).astimezone(zone) for us in starts_us.tolist()]
    slots = np.array(
        [(one.date() - days[0]).days * STEPS + (one.hour * 60 + one.minute) * 60 // STEP_S for one in local]
    )
    by_slot, count = np.zeros((len(days) * STEPS, len(kw))), np.bincount(slots, minlength=len(days) * STEPS)
    np.add.at(by_slot, slots, kw.T)
    mean: Floats = by_slot.T / np.where(count > 0, count, np.nan)
    return mean.reshape(len(kw), len(days), STEPS)


async def with_covariates(
    homes: Homes, rows: Rows, series: Series, targets: Sequence[str], known_at: datetime, how: Measuring
) -> Homes:
    """With what some rules look at beside the meters: the temperature, and what was forecast of each day before it."""
    days, zone, fleet = homes.fleet.days, homes.zone, homes.fleet
    span = Span(_midnight(days[0], zone), _midnight(days[-1] + timedelta(days=1), zone))
    edges = np.arange(micros(span.start), micros(span.end) + 1, STEP_S * 1_000_000)

    def laid(one: Covariate) -> Floats:
        by_day: Floats = by_clock(one.on(edges)[None], edges[:-1], zone, days)[0]
        return by_day

    if how.temperature:
        temperature = await covariates.temperature(rows, series, how.temperature, span, known_at)
        fleet = replace(fleet, temperature_c=laid(temperature))
    found = await covariates.day_ahead(rows, series, targets, span, known_at)
    return replace(homes, fleet=replace(fleet, group_kw=laid(found.came), forecast_kw=laid(found.before)))


def is_told(rule: Rule, fleet: Fleet) -> bool:
    """Whether what a rule needs beside the meters is known of most days: rules are compared on the days that each of
    them has, and one must not leave hardly any to the others."""
    needed = [fleet.temperature_c] if rule.wants_temperature else []
    needed += [fleet.group_kw, fleet.forecast_kw] if isinstance(rule.average, Forecast) else []
    return all(one is not None and float(np.isfinite(one).mean()) > MOST_OF for one in needed)


def with_calls(homes: Homes, calls: Mapping[str, Sequence[Call]]) -> Homes:
    """With the days on which other events called each of them."""
    called: Mask = np.zeros(homes.fleet.kw.shape[:2], bool)
    for meter, ven_id in enumerate(homes.ven_ids):
        for start, end in calls.get(ven_id, ()):
            first, last = (one.astimezone(homes.zone).date() for one in (start, end - timedelta(microseconds=1)))
            from_day, until_day = ((day - homes.fleet.first_day).days for day in (first, last))
            called[meter, max(0, from_day) : max(0, until_day + 1)] = True
    return replace(homes, fleet=replace(homes.fleet, called=called))
