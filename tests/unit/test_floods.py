"""Rates and floods: who may send how much, by the time at which the broker had it."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tieline.identity.rates import Rates
from tieline.ports import Entry
from tieline.telemetry.flood import REFUSED_AT_ONCE, SUMMED_S, Bounds, Floods, Refusals
from tieline.telemetry.model import Dead

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
BOUNDS = Bounds(per_s=10, burst=100, pause_s=60)


def entry(position: int, at_s: float, ven_id: str = "home-1") -> Entry:
    return Entry(position, f"mqtt.oadr.meter.{ven_id}", b"x", NOW + timedelta(seconds=at_s))


@given(st.lists(st.floats(0, 30), max_size=300), st.floats(0.1, 20), st.integers(1, 50))
def test_nobody_gets_more_than_its_rate_and_one_burst(waits: list[float], per_s: float, burst: int) -> None:
    rates, at, taken = Rates(per_s, burst), NOW, 0
    for wait_s in waits:
        at += timedelta(seconds=wait_s)
        taken += rates.take("a", at)
    assert taken <= burst + per_s * (at - NOW).total_seconds() + 1e-6


@given(st.lists(st.floats(0.1, 30), max_size=100))
def test_whoever_keeps_to_the_rate_is_never_refused(waits: list[float]) -> None:
    rates, at = Rates(10, 1), NOW
    for wait_s in waits:
        at += timedelta(seconds=wait_s)
        assert rates.take("a", at)


def test_asking_does_not_count_and_others_are_not_charged() -> None:
    rates = Rates(1, 2)
    assert all(rates.allows("a", NOW) for _ in range(9))
    assert [rates.take("a", NOW) for _ in range(3)] == [True, True, False]
    assert rates.take("b", NOW)
    assert not rates.allows("a", NOW)
    rates.forget("a")
    assert rates.allows("a", NOW)


def test_a_flood_is_dropped_until_its_pause_is_over_and_counted_once() -> None:
    floods = Floods(BOUNDS)
    dropped = [floods.drops(entry(n + 1, n / 1000)) for n in range(500)]
    assert dropped.index(True) == 100 + 1  # the burst, and what the bucket gained meanwhile
    assert dropped.count(True) == 399
    assert not floods.drops(entry(501, 0.5, "home-2"))
    (flood,) = floods.begun()
    assert (flood.ven_id, flood.first.position, flood.dropped) == ("home-1", 102, 399)
    assert floods.end(NOW + timedelta(hours=1)) == []  # whoever is not yet shut out is not done with
    flood.told = True
    assert floods.begun() == []
    assert floods.drops(entry(600, 60))
    assert not floods.drops(entry(601, 60.2))
    assert floods.end(NOW + timedelta(seconds=60)) == []
    assert floods.end(NOW + timedelta(seconds=61)) == [flood]
    assert flood.dropped == 400


def test_one_that_waited_for_us_is_no_flooder() -> None:
    floods = Floods(BOUNDS)
    assert not any(floods.drops(entry(n, n * 0.11)) for n in range(5000))


def test_another_flood_after_the_pause_is_another() -> None:
    floods = Floods(BOUNDS)
    for n in range(1, 201):
        floods.drops(entry(n, 0))
    floods.begun()[0].told = True
    assert len(floods.end(NOW + timedelta(seconds=60))) == 1
    dropped = [floods.drops(entry(n, 61)) for n in range(201, 401)]
    assert dropped.count(True) == 100
    assert len(floods.begun()) == 1


def test_what_is_delivered_again_or_read_by_another_room_is_counted_once() -> None:
    floods = Floods(BOUNDS)
    for _ in range(10):
        assert not any(floods.drops(entry(n, 0)) for n in range(1, 101))
    assert floods.drops(entry(101, 0))
    assert floods.drops(entry(101, 0))
    assert floods.begun()[0].dropped == 1
    assert not floods.drops(entry(100, -1))  # taken before, and not taken back


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=300))
def test_two_streams_of_one_ven_that_are_read_apart_give_it_no_more(steps: list[tuple[bool, float]]) -> None:
    rates, taken = Rates(10, 20), 0
    ats = {True: NOW, False: NOW + timedelta(seconds=60)}
    for which, wait_s in steps:
        ats[which] += timedelta(seconds=wait_s)
        taken += rates.take("a", ats[which])
    assert taken <= 20 + 10 * (max(ats.values()) - NOW).total_seconds() + 1e-6


def test_of_much_that_is_refused_some_is_kept_and_the_rest_counted() -> None:
    refusals, dead = Refusals(), Dead("malformed", "no TwinReport")
    kept = [refusals.keeps(entry(n, 0), "home-1", dead, NOW) for n in range(1, 501)]
    assert kept == [True] * REFUSED_AT_ONCE + [False] * (500 - REFUSED_AT_ONCE)
    assert refusals.keeps(entry(501, 0), "home-2", dead, NOW)
    assert refusals.end(NOW) == []
    (unkept,) = refusals.end(NOW + timedelta(seconds=SUMMED_S))
    assert (unkept.ven_id, unkept.first.position, unkept.count) == ("home-1", REFUSED_AT_ONCE + 1, 480)
    assert refusals.end(None) == []
    assert refusals.keeps(entry(502, 60), "home-1", dead, NOW + timedelta(seconds=60))


@given(st.lists(st.integers(1, 60), max_size=30), st.integers(0, 20))
def test_what_passes_by_the_thousand_is_bounded_as_what_is_asked_of_one_by_one(sizes: list[int], gap_s: int) -> None:
    floods, position, taken, at_s = Floods(BOUNDS), 0, 0, 0.0
    for size in sizes:
        some = [entry(position + n + 1, at_s + n / 1000) for n in range(size)]
        kept = some if floods.passes(some) else [one for one in some if not floods.drops(one)]
        position, taken, at_s = position + size, taken + len(kept), at_s + gap_s
        if taken == position:
            assert not floods.begun()
    assert taken >= min(position, BOUNDS.burst)
    assert taken <= BOUNDS.burst + BOUNDS.per_s * (at_s + 1) + BOUNDS.burst // 20
