"""Which loads may be called, the first reason why not, and what each could give."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from tests.loads import LoadNow, columns
from tieline.dispatch.planning import (
    BEARS,
    ELIGIBLE,
    REASONS,
    Bears,
    Circumstances,
    Reason,
    could_give_kw,
    judged,
    may_return,
)
from tieline.registry.model import Kind

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
LOAD = LoadNow("home-1", "hvac", Kind.HVAC, sheddable=True, power_kw=3.0, sheddable_kw=2.5, heard_at=NOW)
KNOWN = Circumstances(NOW, stale_s=300, least_hold_s=900)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def why(load: LoadNow, known: Circumstances = KNOWN) -> Reason:
    return REASONS[int(judged(columns([load]), known)[0])]


def test_one_that_nothing_speaks_against_may_be_called() -> None:
    assert judged(columns([LOAD]), KNOWN)[0] == ELIGIBLE
    assert why(LOAD) is Reason.ELIGIBLE


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (msgspec.structs.replace(LOAD, sheddable=False), Reason.NOT_SHEDDABLE),
        (msgspec.structs.replace(LOAD, heard_at=None), Reason.STALE),
        (msgspec.structs.replace(LOAD, heard_at=ago(301)), Reason.STALE),
        (msgspec.structs.replace(LOAD, heard_at=ago(300)), Reason.ELIGIBLE),
        (msgspec.structs.replace(LOAD, restored_at=ago(599)), Reason.MIN_ON),
        (msgspec.structs.replace(LOAD, restored_at=ago(600)), Reason.ELIGIBLE),
        (msgspec.structs.replace(LOAD, kind=Kind.EV, restored_at=ago(1)), Reason.ELIGIBLE),
        (msgspec.structs.replace(LOAD, hold_s=899), Reason.COMFORT),
        (msgspec.structs.replace(LOAD, hold_s=900), Reason.ELIGIBLE),
        (msgspec.structs.replace(LOAD, sheddable_kw=0.04), Reason.TOO_LITTLE),
        (msgspec.structs.replace(LOAD, sheddable_kw=0.05), Reason.ELIGIBLE),
    ],
)
def test_what_a_load_says_of_itself(load: LoadNow, reason: Reason) -> None:
    assert why(load) is reason


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (Circumstances(NOW, 300, granted={"home-2"}), Reason.NOT_GRANTED),
        (Circumstances(NOW, 300, granted={"home-1"}), Reason.ELIGIBLE),
        (Circumstances(NOW, 300, opted_out={("home-1", "hvac")}), Reason.OPTED_OUT),
        (Circumstances(NOW, 300, opted_out={("home-1", "ev")}), Reason.ELIGIBLE),
        (Circumstances(NOW, 300, silent={"home-1"}), Reason.NO_ANSWER),
        (Circumstances(NOW, 300, called={("home-1", "hvac")}), Reason.CALLED),
        (Circumstances(NOW, 300, held={("home-1", "hvac")}), Reason.HELD_ELSEWHERE),
        (Circumstances(NOW, 300, limits={"home-1": Reason.CALL_LIMIT_DAY}), Reason.CALL_LIMIT_DAY),
        (Circumstances(NOW, 300, limits={"home-1": Reason.CALL_LIMIT_MONTH}), Reason.CALL_LIMIT_MONTH),
        (Circumstances(NOW, 300, limits={"home-1": Reason.REST}), Reason.REST),
    ],
)
def test_what_is_known_of_it(known: Circumstances, reason: Reason) -> None:
    assert why(LOAD, known) is reason


def test_of_several_reasons_the_first_in_their_order_is_told() -> None:
    late = msgspec.structs.replace(LOAD, heard_at=None, restored_at=NOW, hold_s=0, sheddable_kw=0)
    assert why(late, Circumstances(NOW, 300, held={("home-1", "hvac")})) is Reason.HELD_ELSEWHERE
    assert why(late) is Reason.STALE


def test_a_load_gives_no_more_than_it_draws_above_its_floor_nor_than_its_ceiling() -> None:
    ev = LoadNow("home-1", "ev", Kind.EV, sheddable=True, power_kw=7.0, sheddable_kw=7.0, heard_at=NOW)
    rows = [ev, msgspec.structs.replace(ev, power_kw=1.0), msgspec.structs.replace(ev, ceiling_kw=5.0)]
    assert could_give_kw(columns(rows)).tolist() == [7.0, 1.0, 5.0]
    floored = {**BEARS, Kind.EV: Bears(floor_kw=1.4)}
    assert could_give_kw(columns(rows), floored).tolist() == [pytest.approx(5.6), 0.0, 5.0]
    assert why(rows[1], Circumstances(NOW, 300, bears=floored)) is Reason.TOO_LITTLE


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf"), -3.0])
def test_one_that_says_nonsense_gives_nothing(odd: float) -> None:
    for load in (
        msgspec.structs.replace(LOAD, power_kw=odd, sheddable_kw=odd),
        msgspec.structs.replace(LOAD, sheddable_kw=-abs(odd)),
    ):
        assert could_give_kw(columns([load])).tolist() == [0.0]
        assert why(load) is Reason.TOO_LITTLE


def test_a_compressor_stays_down_for_its_rest() -> None:
    since_s = np.array([ago(299).timestamp(), ago(300).timestamp(), ago(1).timestamp()])
    assert may_return([Kind.HVAC, Kind.HVAC, Kind.EV], since_s, NOW).tolist() == [False, True, True]


def test_every_kind_says_what_it_bears() -> None:
    assert set(BEARS) == set(Kind)


def test_nobody_is_asked_about() -> None:
    assert len(judged(columns([]), KNOWN)) == 0
