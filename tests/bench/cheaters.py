"""Homes that game a baseline, as a pure change of what their meters say."""

from collections.abc import Sequence
from dataclasses import replace

from tieline.settlement.baseline.fleet import Event, Fleet


def lifting(fleet: Fleet, events: Sequence[Event], homes: Sequence[int], by: float) -> Fleet:
    """They draw so much more (1: twice as much) from four hours to one hour before every event."""
    kw = fleet.kw.copy()
    for event in events:
        day, start = (event.day - fleet.first_day).days, event.start_s
        hours = slice((start - 4 * 3600) // fleet.step_s, (start - 3600) // fleet.step_s)
        for home in homes:
            kw[home, day, hours] += by * abs(fleet.kw[home, day, hours])
    return replace(fleet, kw=kw)


def inflating(fleet: Fleet, events: Sequence[Event], homes: Sequence[int], by: float) -> Fleet:
    """They draw so much more in the hours of events on every day without one, from the first event on."""
    kw = fleet.kw.copy()
    first, hours = (
        (events[0].day - fleet.first_day).days,
        slice(
            min(one.start_s for one in events) // fleet.step_s,
            max(one.start_s + one.event_s for one in events) // fleet.step_s,
        ),
    )
    quiet = [n for n in range(first, kw.shape[1]) if n not in {(one.day - fleet.first_day).days for one in events}]
    for home in homes:
        kw[home, quiet, hours] += by * abs(fleet.kw[home, quiet, hours])
    return replace(fleet, kw=kw)
