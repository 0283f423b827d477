"""What each load usually does: the same however its minutes are cut, never from what nobody saw from end to end."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tieline.dispatch.habits import Floats, Habits, apart, lived

powers = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(0, 40)),
    elements=st.sampled_from([0.0, 2.0, 3.0]) | st.just(np.nan),
)


def minutes(text: str, kw: float = 3.0) -> Floats:
    """A load's minutes: # it runs, _ it does not, · nothing is known."""
    return np.array([[{"#": kw, "_": 0.0, "·": np.nan}[one] for one in text]])


def after(text: str, before: Habits | None = None) -> Habits:
    return lived(before or Habits.none(1), minutes(text))[0]


@given(powers, st.integers(0, 40))
def test_looking_often_learns_the_same_as_looking_once(minute_kw: Floats, cut: int) -> None:
    none = Habits.none(len(minute_kw))
    whole, at_once = lived(none, minute_kw)
    half, first = lived(none, minute_kw[:, :cut])
    halves, second = lived(half, minute_kw[:, cut:])
    for one in dataclasses.fields(Habits):
        assert np.array_equal(getattr(whole, one.name), getattr(halves, one.name), equal_nan=True), one.name
    assert np.array_equal(np.concatenate([first.run, second.run]), at_once.run)


def test_a_run_is_known_when_it_began_and_ended() -> None:
    assert np.isnan(after("####____").run_min[0])  # who knows when it began
    assert after("__####__").run_min[0] == 4.0
    assert after("__####__").pause_min[0] != after("__####__").pause_min[0]
    assert after("__####______#").pause_min[0] == 6.0


def test_the_last_counts_as_much_as_all_before_it() -> None:
    assert after("_####_########_").run_min[0] == 6.0


def test_what_is_not_known_has_no_beginning_and_no_end() -> None:
    assert np.isnan(after("_##··##_").run_min[0])
    assert after("_####_##··##_").run_min[0] == 4.0  # what was usual stays so


def test_after_a_time_of_which_nothing_is_known_habits_stay() -> None:
    before = apart(after("_####____##"))
    assert before.run_min[0] == 4.0
    assert after("##__", before).run_min[0] == 4.0


def test_its_usual_draw_is_that_of_its_minutes_of_running() -> None:
    assert after("__####____").kw[0] == pytest.approx(3.0)
    assert Habits.none(1).kw[0] == 0.0


def test_others_are_new_and_those_that_stay_keep_theirs() -> None:
    both, _ = lived(Habits.none(2), np.concatenate([minutes("_####_#_"), minutes("_##_####")]))
    moved = both.of([1, -1, 0])
    assert moved.run_min[[0, 2]].tolist() == both.run_min[[1, 0]].tolist()
    assert np.isnan(moved.run_min[1])
    assert len(Habits.none(0).of([-1, -1]).kw) == 2
