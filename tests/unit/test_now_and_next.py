"""What holds at an instant and what comes next among several events: priorities, gaps, and their laws."""

import random
from datetime import datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.timeline_events import HEARD, NOW, at, contiguous, event, hour_of, hourly, interval, law
from tieline.base.time import iso
from tieline.wires.openadr31.messages import Event, EventRequest, Program
from tieline.wires.openadr31.timeline import Held, Slot, now_and_next, timeline

stamps = {"createdDateTime": iso(at(0)), "modificationDateTime": iso(at(0))}


def kept(number: int, asked: EventRequest, priority: int | None = None, **more: object) -> Event:
    said = msgspec.to_builtins(asked) | {"id": f"e{number}", "priority": priority, "objectType": "EVENT"}
    return msgspec.convert(said | stamps | more, Event)


PROGRAM = msgspec.convert({"programName": "p", "id": "p", "objectType": "PROGRAM"} | stamps, Program)


def told(held: Held | None) -> tuple[str, float] | None:
    return (held.event.id, hour_of(held.start)) if held else None


def outlook(events: list[Event], hour: float, kind: str = "PRICE") -> tuple[object, object]:
    found = now_and_next([PROGRAM], events, at(hour)).get(kind)
    return (told(found.now), told(found.next)) if found else (None, None)


def test_the_lower_priority_number_holds_and_none_goes_last() -> None:
    tariff = kept(1, event(interval(0), period=hourly(), duration="P9999Y"))
    peak = kept(2, event(interval(0), period={"start": iso(at(3)), "duration": "PT2H"}), priority=5)
    storm = kept(3, event(interval(0), period={"start": iso(at(4)), "duration": "PT30M"}), priority=0)
    everything = [tariff, peak, storm]
    assert outlook(everything, 0) == (("e1", 0), ("e1", 1))
    assert outlook(everything, 2.5) == (("e1", 2), ("e2", 3))
    assert outlook(everything, 3) == (("e2", 3), ("e3", 4))
    assert outlook(everything, 4.25) == (("e3", 4), ("e2", 3))
    assert outlook(everything, 4.75) == (("e2", 3), ("e1", 5))


def test_what_comes_may_come_after_a_while_of_nothing() -> None:
    asked = [kept(1, event(interval(0), interval(1, start=iso(at(9))), period=hourly()))]
    assert outlook(asked, -1) == (None, ("e1", 0))
    assert outlook(asked, 0) == (("e1", 0), ("e1", 9))
    assert outlook(asked, 5) == (None, ("e1", 9))
    assert outlook(asked, 9) == (("e1", 9), None)
    assert outlook(asked, 10) == (None, None)


def test_payload_types_do_not_conflict() -> None:
    prices = kept(1, event(interval(0), period=hourly()), priority=0)
    alert = kept(2, event(interval(0, {"type": "ALERT_OTHER", "values": ["x"]}), period={"start": NOW}))
    assert set(now_and_next([PROGRAM], [prices, alert], at(0.5))) == {"PRICE", "ALERT_OTHER"}
    assert outlook([prices, alert], 0.5, "ALERT_OTHER") == (("e2", 0), None)


def test_an_endless_loop_below_a_higher_priority_costs_no_more() -> None:
    ticking = kept(1, event(interval(0), period={"start": iso(at(-9000)), "duration": "PT1S"}, duration="P9999Y"))
    standing = kept(2, event(interval(0), period={"start": iso(at(0))}), priority=1)
    assert outlook([ticking, standing], 20_000) == (("e2", 0), None)


def test_the_program_of_an_event_gives_its_period() -> None:
    program = msgspec.structs.replace(PROGRAM, interval_period=event(period=hourly(2)).interval_period)
    found = now_and_next([program], [kept(1, event(interval(0)))], at(2.5))
    assert told(found["PRICE"].now) == ("e1", 2)


@st.composite
def worlds(draw: st.DrawFn) -> list[Event]:
    asked = draw(st.lists(st.tuples(contiguous(), st.integers(0, 4), st.none() | st.integers(0, 2)), max_size=4))
    return [
        kept(number, msgspec.convert(msgspec.to_builtins(one) | {"intervalPeriod": hourly(start)}, EventRequest), rank)
        for number, (one, start, rank) in enumerate(asked)
    ]


def prices_of(one: Event) -> Event:
    said = msgspec.to_builtins(one)
    said["intervals"] = [each | {"payloads": each["payloads"][:1]} for each in said["intervals"]]
    return msgspec.convert(said, Event)


def brute(events: list[Event], when: datetime) -> Held | None:
    """What holds, by looking at everything."""
    held: list[tuple[float, float, str, Slot, Event]] = [
        (9 if one.priority is None else one.priority, -hour_of(slot.start), one.id, slot, one)
        for one in events
        for slot in timeline(prices_of(one), PROGRAM, one.created_date_time)
        if slot.start <= when and slot.end and when < slot.end
    ]
    if not held:
        return None
    *_, slot, one = min(held, key=lambda row: row[:3])
    return Held(slot.start, slot.end, slot.payloads[0], slot.interval_id, one)


@law
@given(worlds(), st.integers(-60, 1500), st.randoms(use_true_random=False))
def test_what_holds_is_found_whatever_the_order(events: list[Event], minute: int, dice: random.Random) -> None:
    when = at(minute / 60)
    found = now_and_next([PROGRAM], events, when).get("PRICE")
    shuffled = events.copy()
    dice.shuffle(shuffled)
    assert now_and_next([PROGRAM], shuffled, when).get("PRICE") == found
    assert (found.now if found else None) == brute(events, when)


@law
@given(worlds(), st.integers(-60, 1500))
def test_what_comes_next_is_the_next_change(events: list[Event], minute: int) -> None:
    when = at(minute / 60)
    found = now_and_next([PROGRAM], events, when).get("PRICE")
    edges = {
        edge for one in events for s in timeline(prices_of(one), PROGRAM, HEARD) for edge in (s.start, s.end) if edge
    }
    states = [brute(events, edge) for edge in sorted(edges) if edge > when]
    now = brute(events, when)
    assert (found.next if found else None) == next((state for state in states if state and state != now), None)
