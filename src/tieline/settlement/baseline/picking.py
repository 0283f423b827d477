"""Which days count, for each meter by itself: the nearest that are whole and without a call, and which of them stay."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tieline.settlement.baseline.days import candidates
from tieline.settlement.baseline.frame import Floats, Frame, Ints, Mask
from tieline.settlement.baseline.rules import Forecast, Order, Pick, Rule


@dataclass(frozen=True)
class Picked:
    """The days that were looked at (indices into the frame's, nearest first), and for each meter which of them it
    took and its mean power in the event's hours on them [days, meters]."""

    days: list[int]
    taken: Mask
    use_kw: Floats

    @property
    def count(self) -> Ints:
        found: Ints = self.taken.sum(axis=0)
        return found


def pick_days(rule: Rule, pick: Pick, frame: Frame) -> Picked:
    """The eligible days of every meter: at most `most`, and fewer where there are no more."""
    at = {day: index for index, day in enumerate(frame.days)}
    order = [at[day] for day in candidates(rule, frame.event_day, frame.holidays) if day in at]
    barred = _rows(frame.called, order) | _rows(frame.out, order) | _unknown_beside(rule, frame, order)
    picked = _usual(rule, pick, frame, order, barred)
    if rule.make_up and (few := np.flatnonzero(picked.count < pick.least)).size:
        picked = _made_up(rule, pick, frame, order, picked, few)
    seen = int(np.flatnonzero(picked.taken.any(axis=1)).max(initial=-1)) + 1
    return Picked(order[:seen], picked.taken[:seen], picked.use_kw[:seen])


def _rows(marked: Mask | None, order: list[int]) -> Mask:
    """The marks of those days [days, meters], or [days, 1] where there are none."""
    return np.zeros((len(order), 1), bool) if marked is None else marked[order]


def _unknown_beside(rule: Rule, frame: Frame, order: list[int]) -> Mask:
    """The days of which nobody knows the temperature, or the group's load, where a rule needs it, [days, 1]."""
    return ~known_beside(rule, frame)[order, None]


def known_beside(rule: Rule, frame: Frame) -> Mask:
    """Of each of the frame's days, whether all is known of its event's hours that a rule needs beside the meters."""
    by_day: Floats | None = None
    if rule.wants_temperature and frame.weather is not None:
        by_day = frame.weather.days_c
    elif isinstance(rule.average, Forecast) and frame.outlook is not None:
        by_day = frame.outlook.days_kw
    if by_day is None:
        return np.ones(len(frame.days), bool)
    known: Mask = ~np.isnan(by_day[:, frame.during].sum(axis=1))
    return known


def _nearest(rule: Rule, pick: Pick, frame: Frame, order: list[int], barred: Mask) -> Picked:
    """The nearest whole days that are not barred, until every meter has its fill."""
    during, beside = frame.during, frame.within(rule.windows)
    taken = np.zeros((len(order), frame.meters), bool)
    use_kw = np.zeros((len(order), frame.meters))
    count = np.zeros(frame.meters, np.int64)
    for i, day in enumerate(order):
        wanting = count < pick.most
        if not wanting.any():
            break
        use_kw[i] = frame.energy_kws(day, during) / frame.event_s
        # A sum is NaN where any of its terms is, and cheaper than looking at each.
        whole = ~np.isnan(sum((frame.energy_kws(day, span) for span in beside), use_kw[i]))
        taken[i] = whole & wanting & ~barred[i]
        count += taken[i]
    return Picked(order, taken, use_kw)


def _usual(rule: Rule, pick: Pick, frame: Frame, order: list[int], barred: Mask) -> Picked:
    """The nearest days without those of unusually low use, others in their place, as often as it takes."""
    picked = _nearest(rule, pick, frame, order, barred)
    if not rule.low_use:
        return picked
    some, low = _of_low_use(rule, picked)
    if some.size:
        again = _usual(rule, pick, frame.of(some), order, np.broadcast_to(barred, picked.taken.shape)[:, some] | low)
        picked.taken[:, some], picked.use_kw[:, some] = again.taken, again.use_kw
    return picked


def _of_low_use(rule: Rule, picked: Picked) -> tuple[Ints, Mask]:
    """The meters that have such days, and which they are [days, those meters]."""
    seen = np.flatnonzero(picked.taken.any(axis=1))
    taken, use_kw = picked.taken[seen], picked.use_kw[seen]
    mean_kw = np.where(taken, use_kw, 0.0).sum(axis=0) / np.maximum(taken.sum(axis=0), 1)
    low = taken & (use_kw < rule.low_use * mean_kw) & (mean_kw > 0)
    some = np.flatnonzero(low.any(axis=0))
    marked: Mask = np.zeros((len(picked.taken), len(some)), np.bool_)
    marked[seen] = low[:, some]
    return some, marked


def _made_up(rule: Rule, pick: Pick, frame: Frame, order: list[int], picked: Picked, few: Ints) -> Picked:
    """Where days are too few, those on which the meter was called, the highest first, until there are `least`."""
    own = frame.of(few)
    of_all = _nearest(rule, Pick(most=max(1, len(order)), least=1), own, order, _rows(own.out, order))
    spare = of_all.taken & _rows(own.called, order)
    rank = ranked(np.where(spare, of_all.use_kw, -np.inf))
    missing = pick.least - picked.count[few]
    picked.taken[:, few] |= spare & (rank < missing)
    picked.use_kw[:, few] = of_all.use_kw
    return picked


def ranked(use_kw: Floats) -> NDArray[np.int16]:
    """Of each meter's days, by their use: the highest is 0; of equals the nearer day comes first. [days, meters]."""
    rank = np.zeros(use_kw.shape, np.int16)
    for i in range(1, len(use_kw)):
        nearer = use_kw[:i] >= use_kw[i]
        rank[i] += nearer.sum(axis=0, dtype=np.int16)
        rank[:i] += ~nearer
    return rank


def kept(pick: Pick, picked: Picked) -> Floats:
    """How much each day weighs, [days, meters]; not yet divided by their sum."""
    if not pick.keep:
        return picked.taken.astype(float)
    rank = ranked(np.where(picked.taken, picked.use_kw, -np.inf))
    spare = np.maximum(picked.count - pick.keep, 0) // 2 if pick.order is Order.MIDDLE else 0
    place = rank - spare
    stays = picked.taken & (place >= 0) & (place < pick.keep)
    if not pick.shares:
        return stays.astype(float)
    return np.where(stays, np.array(pick.shares)[np.clip(place, 0, pick.keep - 1)], 0.0)


def wanting(rule: Rule, pick: Pick, whole: Ints) -> Mask:
    """The meters that could do with one more day, after so many whole days on which they were not called."""
    return (whole < pick.most) | (rule.low_use > 0)
