"""Gaming alarms: load lifted where it adjusts the baseline up, and days inflated that will count. Pure, over arrays.

    lifted     on event days, the hours that adjust the baseline less those on either side of them, against what the
               days around say of a day as hot (when all homes draw as much) that is as high in the last step before
    inflated   on the days that count, the event's hours since the first event against those before it; less what the
               hours on either side rose by, so that a home that draws more all evening is none

Both are sums of many small surprises over what they usually are, and then held against all homes: where heat or habit
surprises everybody, nobody stands out (an empirical null; Efron, Journal of the American Statistical Association 99,
2004; from memory). The threshold is so high that an honest home is almost never named: `tests/bench/bench_gaming.py`
measures it on simulated homes. An alarm is a reason to ask, never a proof: a new car that is charged in just those
hours looks the same.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

import msgspec
import numpy as np

from tieline.settlement.baseline.days import kind_of
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.frame import Floats, Mask, span_s
from tieline.settlement.baseline.rules import Kinds, Rule

ALARM_Z = 5.0
LEAST_EVENTS, LEAST_DAYS = 3, 8
AROUND, WEEK, BESIDE_S = 28, 5, 2 * 3600
"""Days on either side of one that are like it; and business days of a week."""
MAD_TO_DEVIATION = 1.4826
CLEAR_Z = 4.0
"""No single event says more than this: one party is not a habit."""


class Trick(StrEnum):
    LIFTED = "load lifted in the adjustment window"
    INFLATED = "baseline days inflated"


class Finding(msgspec.Struct, frozen=True):
    """What is odd of one meter (an index), by how many of its usual surprises, on which events (indices, the oddest
    first), and the kilowatts drawn and expected there."""

    meter: int
    trick: Trick
    z: float
    events: list[int]
    drawn_kw: float
    expected_kw: float


def findings(fleet: Fleet, events: Sequence[Event], called: Mask, rule: Rule) -> list[Finding]:
    """Every meter above a threshold; `called` is [events, meters], `events` in order of time."""
    return [*lifted(fleet, events, called, rule), *inflated(fleet, events, called)]


# --- lifted -----------------------------------------------------------------------------------------------------------


def lifted(fleet: Fleet, events: Sequence[Event], called: Mask, rule: Rule) -> list[Finding]:
    """None for a rule that looks at no hours before the event."""
    looks = [_lift(fleet, event, here, rule) for event, here in zip(events, called, strict=True)]
    if not (looked := [one for one in looks if one is not None]):
        return []
    which = [n for n, one in enumerate(looks) if one is not None]
    z, drawn, expected = (np.stack(part) for part in zip(*looked, strict=True))
    known = ~np.isnan(z)
    count = known.sum(axis=0)
    whole = np.where(known, z, 0.0).sum(axis=0) / np.sqrt(np.maximum(count, 1))
    score = _standing_out(np.where(count >= LEAST_EVENTS, whole, np.nan))
    found = []
    for meter in np.flatnonzero(score >= ALARM_Z).tolist():
        odd = [n for n in np.argsort(-np.where(known[:, meter], z[:, meter], -np.inf)).tolist() if z[n, meter] >= 1]
        means = (float(part[odd, meter].mean()) for part in (drawn, expected))
        found.append(Finding(meter, Trick.LIFTED, float(score[meter]), [which[n] for n in odd], *means))
    return found


def _lift(fleet: Fleet, event: Event, called: Mask, rule: Rule) -> tuple[Floats, Floats, Floats] | None:
    """How odd each called meter's load was in the windows before an event (z, NaN for others), what it was, and what it
    was on the days that were as high just before. None where the rule, or the days, do not allow it."""
    spans = [span_s(window, event.start_s, event.event_s) for window in rule.windows]
    looked = [(event.start_s + a, event.start_s + b) for a, b in spans if b <= 0]
    today = (event.day - fleet.first_day).days
    days = _like(fleet, today)
    if not looked or len(days) < LEAST_DAYS:
        return None
    opens, closes = min(a for a, _ in looked), max(b for _, b in looked)
    inside = _steps(fleet, opens, closes)
    beside = [*_steps(fleet, opens - BESIDE_S, opens), *_steps(fleet, closes, event.start_s)]
    if not inside or not beside:
        return None
    drawn = fleet.kw[:, [*days, today]]
    bump = drawn[:, :, inside].mean(axis=2) - drawn[:, :, beside].mean(axis=2)
    past = _free(fleet, bump[:, :-1], days)
    heat = _mean(np.moveaxis(drawn[:, :, inside].mean(axis=2), 1, 0))
    expected, error = _told_by(past, heat, drawn[:, :, event.start_s // fleet.step_s - 1])
    z = np.where(called, (bump[:, -1] - expected) / error, np.nan)
    now = drawn[:, -1, inside].mean(axis=1)
    expected = now - bump[:, -1] + expected
    return np.minimum(z - _median(z), CLEAR_Z), now, expected


def _told_by(past: Floats, heat: Floats, just_before: Floats) -> tuple[Floats, Floats]:
    """What each meter's last day would be, told by its other days [meters, days] as a straight line of what all homes
    drew [days and the last] and of what it drew just before [meters, days and the last]; and the error of that, which
    grows with how unlike the last day is to the others."""
    known = ~np.isnan(past) & ~np.isnan(just_before[:, :-1])
    both = np.broadcast_to(heat, just_before.shape)
    x = np.stack([np.ones(just_before.shape), both, np.nan_to_num(just_before)], axis=2)
    of_days = np.where(known[..., None], x[:, :-1], 0.0)
    normal = np.einsum("mdi,mdj->mij", of_days, of_days) + 1e-6 * np.eye(3)
    inverse = np.linalg.inv(normal)
    fit = np.einsum("mij,mdj,md->mi", inverse, of_days, np.where(known, past, 0.0))
    rest = np.where(known, past - np.einsum("mdi,mi->md", of_days, fit), 0.0)
    days = known.sum(axis=1)
    variance = (rest**2).sum(axis=1) / np.maximum(days - 3, 1)
    unlike = np.einsum("mi,mij,mj->m", x[:, -1], inverse, x[:, -1])
    least = 0.01 + 0.1 * np.abs(_mean(past))
    error = np.sqrt(np.maximum(variance, least**2) * (1 + unlike))
    return np.einsum("mi,mi->m", x[:, -1], fit), np.where(days >= LEAST_DAYS, error, np.nan)


# --- inflated ---------------------------------------------------------------------------------------------------------


def inflated(fleet: Fleet, events: Sequence[Event], called: Mask) -> list[Finding]:
    """None with too few days before the first event, or since."""
    before, since = _quiet(fleet, events)
    if min(len(before), len(since)) < LEAST_DAYS:
        return []
    opens, closes = min(one.start_s for one in events), max(one.start_s + one.event_s for one in events)
    during = _steps(fleet, opens, closes)
    beside = [*_steps(fleet, opens - BESIDE_S, opens), *_steps(fleet, closes, closes + BESIDE_S)]
    means = fleet.kw[:, :, during].mean(axis=2), fleet.kw[:, :, beside].mean(axis=2) if beside else 0.0
    bump = means[0] - means[1]
    then, now = (_free(fleet, bump[:, days], days) for days in (before, since))
    rise = _mean(now) - _mean(then)
    z = _standing_out((rise - _median(rise)) / np.hypot(_error(then), _error(now)))
    drawn, drew = (_mean(_free(fleet, means[0][:, days], days)) for days in (since, before))
    return [
        Finding(
            meter,
            Trick.INFLATED,
            float(z[meter]),
            np.flatnonzero(called[:, meter]).tolist(),
            float(drawn[meter]),
            float(drew[meter]),
        )
        for meter in np.flatnonzero(z >= ALARM_Z).tolist()
    ]


def _quiet(fleet: Fleet, events: Sequence[Event]) -> tuple[list[int], list[int]]:
    """The days without an event, of the kind that most events are on: before the first event, and from it to the
    last."""
    if not events:
        return [], []
    busy = {(one.day - fleet.first_day).days for one in events}
    kinds = [kind_of(day, Kinds.BUSINESS, fleet.holidays) for day in fleet.days]
    usual, _ = Counter(kinds[n] for n in sorted(busy)).most_common(1)[0]
    quiet = [n for n in range(max(busy)) if kinds[n] is usual and n not in busy]
    return [n for n in quiet if n < min(busy)], [n for n in quiet if n > min(busy)]


# --- of both ----------------------------------------------------------------------------------------------------------


def _steps(fleet: Fleet, from_s: int, until_s: int) -> list[int]:
    """The whole steps of a day between two of its seconds."""
    return [n for n in range(fleet.kw.shape[2]) if from_s <= n * fleet.step_s and (n + 1) * fleet.step_s <= until_s]


def _like(fleet: Fleet, today: int) -> list[int]:
    """The days of a day's kind in the weeks around it: of the same season, and of the same habits."""
    kinds = [kind_of(day, Kinds.BUSINESS, fleet.holidays) for day in fleet.days]
    around = range(max(0, today - AROUND), min(len(kinds), today + AROUND + 1))
    return [n for n in around if kinds[n] is kinds[today] and n != today]


def _free(fleet: Fleet, kw: Floats, days: Sequence[int]) -> Floats:
    """[meters, days], unknown on the days on which a meter was called or out."""
    for marked in (fleet.called, fleet.out):
        if marked is not None:
            kw = np.where(marked[:, days], np.nan, kw)
    return kw


def _mean(kw: Floats) -> Floats:
    """Over the days that are known; NaN without any."""
    count = (~np.isnan(kw)).sum(axis=1)
    mean: Floats = np.nansum(kw, axis=1) / np.where(count > 0, count, np.nan)
    return mean


def _spread(kw: Floats) -> Floats:
    """Standard deviation over the days, no less than a tenth of the load and ten watts: who never varies is not odd at
    the first watt."""
    mean = _mean(kw)
    return np.maximum(np.sqrt(_mean((kw - mean[:, None]) ** 2)), 0.01 + 0.1 * np.abs(mean))


def _error(kw: Floats) -> Floats:
    """Of the mean over the days: as if they were each for itself, or as the weeks differ, whichever is more."""
    by_day = _spread(kw) / np.sqrt(np.maximum((~np.isnan(kw)).sum(axis=1), 1))
    weeks = np.stack([_mean(kw[:, first : first + WEEK]) for first in range(0, kw.shape[1], WEEK)], axis=1)
    known = np.maximum((~np.isnan(weeks)).sum(axis=1), 2)
    by_week = np.sqrt(_mean((weeks - _mean(weeks)[:, None]) ** 2) / (known - 1))
    error: Floats = np.fmax(by_day, by_week)
    return error


def _median(of: Floats) -> float:
    known = of[~np.isnan(of)]
    return float(np.median(known)) if known.size else 0.0


def _standing_out(z: Floats) -> Floats:
    """How far each stands from the middle of all, in units of how far they usually do, where that is above 1; 0 where
    unknown."""
    apart = z - _median(z)
    usual = max(1.0, MAD_TO_DEVIATION * _median(np.abs(apart)))
    return np.where(np.isnan(apart), 0.0, apart / usual)
