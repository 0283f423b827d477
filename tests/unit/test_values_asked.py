"""What is asked of values: portions cover all of it once and in order, and `auto` reads what is few and fine enough."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.base.series import Declaration, Stamp
from tieline.base.time import Span
from tieline.telemetry.values import model
from tieline.telemetry.values.model import (
    MOST_FILE_ROWS,
    RAW_ROWS,
    STEP_S,
    Asked,
    Detail,
    level,
    portions,
    rows_each,
)
from tieline.telemetry.values.thinning import A_COLUMN

T0 = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)
spans = st.integers(1, 400 * 86_400).map(lambda seconds: Span(T0, T0 + timedelta(seconds=seconds)))
steps = st.sampled_from([1, 4, 60, 300, 900, 3600, 86_400])


def declared(step_s: int, name: str = "home-1.power_kw") -> Declaration:
    return Declaration(name, "kW", step_s, "UTC", Stamp.START, max(900, step_s), "mqtt")


@settings(deadline=None)
@given(spans, st.lists(steps, min_size=1, max_size=6), st.sampled_from([*Detail]))
def test_portions_cover_all_of_it_once_and_in_order(span: Span, each: list[int], resolution: Detail) -> None:
    asked = Asked(span, resolution=resolution)
    series = [declared(step_s, f"home-{n}.power_kw") for n, step_s in enumerate(each)]
    found = [(one.series_id, part) for some, part in portions(series, asked) for one in some]
    assert [name for name, _ in dict.fromkeys((name, None) for name, _ in found)] == [one.series_id for one in series]
    for one in series:
        parts = [part for name, part in found if name == one.series_id]
        assert (parts[0].start, parts[-1].end) == (span.start, span.end)
        assert all(first.end == second.start for first, second in pairwise(parts))
        assert all(part.end.timestamp() % 86_400 == 0 for part in parts[:-1])  # no step of ours lies across


@settings(deadline=None)
@given(spans, st.lists(st.just(60), min_size=1, max_size=50))
def test_a_portion_fits_into_memory(span: Span, each: list[int]) -> None:
    series = [declared(step_s, f"home-{n}.power_kw") for n, step_s in enumerate(each)]
    for some, part in portions(series, Asked(span)):
        rows = sum(rows_each(one, Asked(part)) for one in some)
        assert rows <= model.PORTION_ROWS + 86_400 / 60


@settings(deadline=None)
@given(spans, steps, st.integers(10, 5000))
def test_auto_reads_few_readings_or_steps_narrower_than_a_column(span: Span, step_s: int, points: int) -> None:
    asked = Asked(span, resolution=Detail.AUTO, points=points)
    found = level(declared(step_s), asked)
    column_s = span.seconds / (points / A_COLUMN)
    if found is not Detail.RAW:
        assert step_s < STEP_S[found] <= column_s
    elif span.seconds / step_s > RAW_ROWS:
        assert not [one for one in (300, 3600) if step_s < one <= column_s]


def test_what_would_take_for_ever_is_refused_before_it_begins() -> None:
    ages = Span(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
    with pytest.raises(Refused, match=f"{MOST_FILE_ROWS:,}"):
        next(portions([declared(1)], Asked(ages)))
