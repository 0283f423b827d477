"""The fleet beside its counterfactual: reports on their marks, no energy lost however late the steps are."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.sim.homes import Fleet, Held, warmed_up
from tieline.sim.stock import SHEDDABLE
from tieline.sim.twins import Report, Snapshot, Twins, after

START = datetime(2026, 7, 15, 0, 7, 13, tzinfo=UTC)
WARM = warmed_up(10, 7, START, zone="America/Los_Angeles", latitude=36.74, longitude=-119.79, days=1)


def twins(fleet: Fleet | None = None, *, start: datetime | None = None, end: datetime | None = None) -> Twins:
    """A fleet that holds everything down from `start` to `end`."""

    def held(at: datetime) -> Held | None:
        if start is None or end is None or not start <= at < end:
            return None
        loads = np.full(WARM.stock.rated_kw.T.shape, np.inf)
        loads[:, list(SHEDDABLE)] = 0.0
        return Held(loads, np.full(len(loads), np.inf))

    def change(at: datetime) -> datetime | None:
        return min((edge for edge in (start, end) if edge and edge > at), default=None)

    return Twins(fleet or WARM.twin(), report_every=60, loads_every=90, held=held, change=change)


def reports(pair: Twins, now: datetime) -> list[Report]:
    return [due for due in pair.advance(now) if isinstance(due, Report)]


def test_reports_and_snapshots_fall_on_their_marks() -> None:
    due = list(twins().advance(START + timedelta(minutes=10)))
    assert [d.at.second for d in due if isinstance(d, Report)] == [0] * 10
    assert [(d.at - START).seconds for d in due if isinstance(d, Snapshot)] == [17 + 90 * k for k in range(7)]
    assert due == sorted(due, key=lambda d: d.at)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_however_late_the_steps_no_energy_is_lost(pauses: list[int]) -> None:
    end, now, late = START + timedelta(seconds=1200), START, twins()
    seen: list[Report] = []
    for pause in pauses:
        now = min(now + timedelta(seconds=pause), end)
        seen += reports(late, now)
    seen += reports(late, end)
    prompt = reports(twins(), end)
    assert [r.at for r in seen] == [r.at for r in prompt]
    assert sum(r.seconds for r in seen) == pytest.approx((seen[-1].at - START).total_seconds())
    assert sum(r.power_kw * r.seconds for r in seen) == pytest.approx(
        sum(r.power_kw * r.seconds for r in prompt), rel=0.05
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_without_events_the_twin_is_the_fleet_exactly(pauses: list[int]) -> None:
    pair, now = twins(), START
    for pause in pauses:
        now += timedelta(seconds=pause)
        assert all(report.power_kw == report.without_events_kw for report in reports(pair, now))


def test_an_event_begins_and_ends_on_its_instant() -> None:
    start, end = datetime(2026, 7, 15, 0, 20, tzinfo=UTC), datetime(2026, 7, 15, 0, 35, tzinfo=UTC)
    seen = reports(twins(start=start, end=end), datetime(2026, 7, 15, 0, 50, tzinfo=UTC))
    before = [r for r in seen if r.at <= start]
    during = [r for r in seen if start < r.at <= end]
    assert all(r.power_kw == r.without_events_kw for r in before)
    assert len(during) == 15
    assert all(r.power_kw < 0.8 * r.without_events_kw for r in during)


def test_a_snapshot_tells_what_was_held_down_since_the_last() -> None:
    start = START + timedelta(seconds=20)
    pair = twins(start=start, end=start + timedelta(seconds=10))
    first, second, third = [d for d in pair.advance(START + timedelta(seconds=200)) if isinstance(d, Snapshot)]
    assert [bool(snapshot.shed.any()) for snapshot in (first, second, third)] == [False, True, False]
    assert [bool(snapshot.withheld_kw.any()) for snapshot in (first, second, third)] == [False, True, False]


@given(st.integers(0, 10**9), st.integers(1, 900))
def test_after_is_the_next_multiple(second: int, every: int) -> None:
    at = datetime.fromtimestamp(second, UTC)
    following = after(at, every)
    assert 0 < (following - at).total_seconds() <= every
    assert following.timestamp() % every == 0
    assert after(following, every, 0) == following
