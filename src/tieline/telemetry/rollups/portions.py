"""Which steps are made together: what was touched, as boxes of series by time that fit into memory. Pure.

time  ─▶   ░░░░░░░░░░▓▓     a series brought in late, all its past            one box  ▭▭▭▭▭▭▭▭▭▭
series     ·········▓▓▓     all others, the newest steps                      one box            ▯
                                                                      and not one box around it all
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tieline.base.series import INSTANT, Stamp
from tieline.base.time import Span, from_micros
from tieline.telemetry.integration import Ints
from tieline.telemetry.rollups.model import Rule, instants

_STEPS: list[pa.Field[Any]] = [pa.field("series_id", pa.string()), pa.field("at", INSTANT)]
STEPS = pa.schema(_STEPS)
MOST_CELLS = 50_000
"""Steps of series made at once: of meters that send every twenty seconds 750,000 readings at five minutes a step."""
_LONGEST = 2016
"""Steps of a box, of one series: a week of five minutes."""
_WINDOW = 12
_WASTE = 1.25
"""How much larger a box may be than the two that it is made of."""


class Box(msgspec.Struct, frozen=True):
    """Every step of some series in a span."""

    series_ids: Sequence[str]
    span: Span

    def halves(self) -> list[Box]:
        """The same in two; itself alone where it has one series and cannot be cut by series."""
        middle = len(self.series_ids) // 2
        parts = [self.series_ids[:middle], self.series_ids[middle:]]
        return [Box(part, self.span) for part in parts if part]


class _Patch(msgspec.Struct, frozen=True):
    """Series by number, the first step and the one after the last."""

    series: Ints
    first: int
    stop: int

    @property
    def cells(self) -> int:
        return len(self.series) * (self.stop - self.first)


def boxes(touched: pa.Table, width_us: int, *, each: int = 1, most: int = MOST_CELLS) -> list[Box]:
    """Boxes that hold every (series_id, at) of a table, the oldest first; `at` is on whole multiples of the width, and
    stands for `each` steps. A box has at most so many steps of series, unless it is of one series."""
    encoded: Any = touched["series_id"].combine_chunks().dictionary_encode()
    names, series = encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)
    found = list[Box]()
    for patch in _merged(_patches(series, instants(touched) // width_us), _LONGEST // each):
        span = Span(from_micros(patch.first * width_us), from_micros(patch.stop * width_us))
        at_once = max(1, most // ((patch.stop - patch.first) * each))
        for start in range(0, len(patch.series), at_once):
            found.append(Box(names.take(pa.array(patch.series[start : start + at_once])).to_pylist(), span))
    return found


def reached(touched: pa.Table, rules: Mapping[str, Rule], width_us: int) -> pa.Table:
    """Every (series_id, at) of which a reading stamped in one of those touched may cover some; each series has its
    rule. Whatever the reading before or after it is, it changes no more than what it could be held for."""
    encoded: Any = touched["series_id"].combine_chunks().dictionary_encode()
    series, at = encoded.indices.to_numpy(), instants(touched)
    ruled = [rules[name] for name in encoded.dictionary.to_pylist()]
    back = np.array([rule.hold_us if rule.stamp is Stamp.END else 0 for rule in ruled], np.int64)[series]
    on = np.array([rule.hold_us if rule.stamp is Stamp.START else 0 for rule in ruled], np.int64)[series]
    first = (at - back) // width_us
    steps = (at + width_us + np.maximum(on, 1) - 2) // width_us - first + 1
    row = np.repeat(np.arange(len(at)), steps)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(steps) - steps, steps)
    wider = pa.table({"series_id": encoded.dictionary.take(pa.array(series[row])), "at": (first[row] + nth) * width_us})
    return distinct(wider.cast(STEPS))


def distinct(steps: pa.Table) -> pa.Table:
    return steps.group_by(["series_id", "at"]).aggregate([]).cast(STEPS)


def _patches(series: Ints, step: Ints) -> Iterator[_Patch]:
    """One of each window in which anything was touched."""
    order = np.lexsort((series, step))
    series, step = series[order], step[order]
    cuts = np.flatnonzero(np.diff(step // _WINDOW)) + 1
    for some, steps in zip(np.split(series, cuts), np.split(step, cuts), strict=True):
        if len(steps):
            yield _Patch(np.unique(some), int(steps[0]), int(steps[-1]) + 1)


def _merged(patches: Iterator[_Patch], longest: int) -> Iterator[_Patch]:
    """Those that follow one another and are of much the same series as one."""
    last: _Patch | None = None
    for patch in patches:
        both = patch if last is None else _Patch(np.union1d(last.series, patch.series), last.first, patch.stop)
        if last is None or (both.stop - both.first <= longest and both.cells <= _WASTE * (last.cells + patch.cells)):
            last = both
        else:
            yield last
            last = patch
    if last is not None:
        yield last
