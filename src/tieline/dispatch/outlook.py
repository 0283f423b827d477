"""What an event can count on in its intervals still to come: by forecast where there is one, else as metered now. Pure,
but for reading the forecasts.

    now ── lead ──▶│ 17:00  50 kW asked │ 18:00  100 kW asked │        each level from the lead on, to its end
                   │ forecast ≥ 140 kW  │ forecast ≥ 80 kW    │        the least of its quarter hours, 19 in 20 (p05)
                                         └▶ short: what is held shortly before is not given back

A forecast is of what all loads could give up, held or not; what is metered now is what is held, and free beside it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from tieline.base.time import Span
from tieline.dispatch.model import Event
from tieline.dispatch.told import Ahead, Basis
from tieline.forecasts import reads as forecasts
from tieline.forecasts.model import STEP, step_start
from tieline.ports import Series

SOON_AGAIN = timedelta(minutes=30)
"""What is wanted again so soon is not given back: it would first draw more than it gave up, and may not be called."""


class Foreseen(NamedTuple):
    """A part of an event still to come; None: nothing is forecast of some of it."""

    span: Span
    target_kw: float
    kw: float | None


async def foreseen(series: Series, event: Event, since: datetime) -> list[Foreseen]:
    """What is forecast, for sure, of each part from an instant on."""
    parts = _parts(event, since)
    if not parts:
        return []
    whole = Span(step_start(parts[0][0].start), parts[-1][0].end)
    found = await forecasts.headroom(series, event.request.targets or (), whole)
    sure_kw = np.array(found.sure_kw, np.float64)  # None becomes NaN
    return [Foreseen(span, target_kw, _least(sure_kw, whole.start, span)) for span, target_kw in parts]


def _parts(event: Event, since: datetime) -> list[tuple[Span, float]]:
    """The levels of an event, as far as they are later than an instant."""
    ends = [*(one.from_at for one in event.levels[1:]), event.end_at]
    spans = [(max(one.from_at, since), end, one.target_kw) for one, end in zip(event.levels, ends, strict=True)]
    return [(Span(start, end), target_kw) for start, end, target_kw in spans if start < end and target_kw > 0]


def _least(sure_kw: np.ndarray[tuple[int], np.dtype[np.float64]], first: datetime, span: Span) -> float | None:
    steps = sure_kw[(step_start(span.start) - first) // STEP : -(-(span.end - first) // STEP)]
    least = float(steps.min())
    return None if np.isnan(least) else least


def ahead(parts: Sequence[Foreseen], metered_kw: float) -> list[Ahead]:
    """Each part with what it can count on, by its forecast, or by what is metered."""
    return [
        Ahead(one.span.start, one.span.end, one.target_kw, round(metered_kw, 3), Basis.METERED)
        if one.kw is None
        else Ahead(one.span.start, one.span.end, one.target_kw, round(one.kw, 3), Basis.FORECAST)
        for one in parts
    ]


def wanted_soon_kw(parts: Sequence[Ahead], now: datetime) -> float:
    """The most that is asked soon, of parts of which is forecast that there will not be enough."""
    short = [one.target_kw for one in parts if one.by is Basis.FORECAST and one.headroom_kw < one.target_kw
             and one.from_at <= now + SOON_AGAIN]  # fmt: skip
    return max(short, default=0.0)
