"""Gaming alarms: who is named and in which words; heat, a high load just before, and a new habit name nobody."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pytest

from tests.bench.cheaters import inflating, lifting
from tests.unit.baseline_homes import event
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.markets import CAISO_10_IN_10, CAISO_10_IN_10_PLAIN
from tieline.settlement.choosing.gaming import Finding, Trick, findings
from tieline.settlement.choosing.model import alarm

MONDAY, HOMES, DAYS = date(2026, 5, 4), 30, 70
EVENTS = [event(MONDAY + timedelta(days=n)) for n in range(36, 66, 3)]


def fleet() -> Fleet:
    """Homes of about 1 kW, called on every event."""
    random = np.random.default_rng(2)
    kw = 1 + 0.2 * random.random((HOMES, DAYS, 1)) + 0.2 * random.random((HOMES, DAYS, 24))
    called = np.zeros((HOMES, DAYS), bool)
    called[:, [(one.day - MONDAY).days for one in EVENTS]] = True
    return Fleet(kw, MONDAY, called=called)


def found(of: Fleet, events: Sequence[Event] = EVENTS) -> list[Finding]:
    return findings(of, events, np.ones((len(events), HOMES), bool), CAISO_10_IN_10)


def test_honest_homes_are_not_named() -> None:
    assert found(fleet()) == []
    assert found(fleet(), []) == []


def test_who_lifts_its_load_is_named_with_the_events() -> None:
    (one,) = found(lifting(fleet(), EVENTS, [7], 0.8))
    assert (one.meter, one.trick) == (7, Trick.LIFTED)
    assert len(one.events) >= 8
    assert one.drawn_kw > 1.5 * one.expected_kw
    starts = [(f"event-{n}", datetime.combine(at.day, time(17), UTC)) for n, at in enumerate(EVENTS)]
    told = alarm(one, "home-7", starts)
    assert told.event_ids == [f"event-{n}" for n in one.events]
    assert f"before {len(one.events)} events it drew {one.drawn_kw:.2f} kW where" in told.says
    assert f"event-{one.events[0]} (2026-" in told.says
    assert told.says.endswith(f"and {len(one.events) - 3} more")


def test_who_inflates_its_days_is_named() -> None:
    (one,) = found(inflating(fleet(), EVENTS, [3], 0.8))
    assert (one.meter, one.trick) == (3, Trick.INFLATED)
    assert "on days without one, and not beside them" in alarm(one, "home-3", [("hot", MIDDAY)] * len(EVENTS)).says


MIDDAY = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_heat_on_the_days_of_events_names_nobody() -> None:
    """Everybody draws more on the afternoons of events, some twice as much more as others."""
    hot = fleet()
    kw = hot.kw.copy()
    for one in EVENTS:
        kw[:, (one.day - MONDAY).days, 12:20] += np.linspace(0.5, 1.0, HOMES)[:, None]
    assert found(replace(hot, kw=kw)) == []


def test_a_home_that_draws_more_all_evening_has_a_new_habit() -> None:
    kw = fleet().kw.copy()
    kw[5, 36:, 14:23] += 1.5
    assert found(replace(fleet(), kw=kw)) == []


@pytest.mark.parametrize("events", [EVENTS[:2], [event(MONDAY + timedelta(days=2))]])
def test_too_little_to_go_by(events: list[Event]) -> None:
    assert [one for one in found(lifting(fleet(), events, [7], 2.0), events) if one.trick is Trick.LIFTED] == []


def test_a_rule_that_does_not_look_at_the_day_cannot_be_lifted() -> None:
    of = lifting(fleet(), EVENTS, [7], 2.0)
    assert findings(of, EVENTS, np.ones((len(EVENTS), HOMES), bool), CAISO_10_IN_10_PLAIN) == []
