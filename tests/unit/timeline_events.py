"""Events for the tests of timelines, in hours since an arbitrary midnight, and a strategy that makes more of them."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st

from tieline.base.time import iso
from tieline.wires.openadr31.messages import EventRequest, ProgramRequest
from tieline.wires.openadr31.timeline import Slot, timeline

MIDNIGHT = datetime(2026, 2, 10, tzinfo=UTC)
HEARD = MIDNIGHT + timedelta(hours=6)
NOW = "0001-01-01"


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


def price(*values: float, kind: str = "PRICE") -> dict[str, Any]:
    return {"type": kind, "values": list(values)}


def interval(number: int = 0, *payloads: dict[str, Any], **period: str) -> dict[str, Any]:
    return {"id": number, "payloads": payloads or [price(number)]} | ({"intervalPeriod": period} if period else {})


def event(*intervals: dict[str, Any], period: dict[str, str] | None = None, **more: object) -> EventRequest:
    said = {"programID": "p", "intervals": intervals} | ({"intervalPeriod": period} if period else {}) | more
    return msgspec.convert(said, EventRequest)


def slots(asked: EventRequest, program: ProgramRequest | None = None, most: int = 50, **how: Any) -> list[Slot]:
    return list(itertools.islice(timeline(asked, program, HEARD, **how), most))


def hours(asked: EventRequest, **how: Any) -> list[tuple[float, float | None, int]]:
    """(start, end, interval id) of each slot."""
    return [(hour_of(s.start), hour_of(s.end) if s.end else None, s.interval_id) for s in slots(asked, **how)]


def hour_of(instant: datetime) -> float:
    return (instant - MIDNIGHT) / timedelta(hours=1)


def hourly(start: float = 0, **more: str) -> dict[str, str]:
    return {"start": iso(at(start)), "duration": "PT1H"} | more


law = settings(deadline=None, max_examples=60)
minutes = st.integers(0, 300)
counts = st.integers(1, 7)


@st.composite
def contiguous(draw: st.DrawFn) -> EventRequest:
    """An event whose intervals follow each other, of any lengths and any numbers of values."""
    parts = draw(st.lists(st.tuples(minutes, counts, counts), min_size=1, max_size=5))
    intervals = [
        interval(number, price(*range(prices)), price(*range(gases), kind="GHG"), duration=f"PT{span}M")
        for number, (span, prices, gases) in enumerate(parts)
    ]
    return event(*intervals, period=hourly())
