"""What of the event day lasts: believed at first, then learnt from a home's own days, never beyond what was seen."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.baseline_homes import DURING, baselines, day, event, home
from tieline.base.errors import Refused
from tieline.settlement.baseline.adjusting import TOUCHED, UNKNOWN
from tieline.settlement.baseline.engine import apply
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.markets import LASTING_20
from tieline.settlement.baseline.rules import Anchor, Lasting, Window

EVENT = event()


def drawn(just_before: float, in_event: float) -> Floats:
    """A day on which a home of 1 kW draws this in the last two hours before the event, and that in it."""
    kw = day()
    kw[15:17], kw[DURING] = just_before, in_event
    return kw


def test_a_home_of_habit_is_believed_to_go_on() -> None:
    """Its days tell nothing, so the shares are believed: half of the last quarter's 2 kW more and half of the two
    hours'."""
    got = baselines(LASTING_20, home(drawn(3.0, 0.0), lambda _: day()))
    np.testing.assert_allclose(got.kw, [[3.0] * 2])
    np.testing.assert_allclose(got.shift_kw, [2.0])


@pytest.mark.parametrize(("lasts", "least", "most"), [(True, 3.4, 4.0), (False, 1.0, 2.4)])
def test_a_home_is_told_by_its_own_days(lasts: bool, least: float, most: float) -> None:
    """Its car came early on every other day, and charged on through the event, or was full by then."""
    early = drawn(4.0, 4.0 if lasts else 1.0)
    late = drawn(1.0, 1.0)
    got = baselines(LASTING_20, home(drawn(4.0, 0.0), lambda ago: early if ago % 2 else late))
    assert least <= got.kw.min() <= got.kw.max() <= most


def test_nothing_is_beyond_what_was_seen() -> None:
    """Five days of a few watts up and down, and a car today: a slope of a thousand is not followed."""
    noise = np.random.default_rng(0).normal(0, 0.02, 60)
    got = baselines(LASTING_20, home(drawn(8.0, 0.0), lambda n: drawn(1 + noise[n - 1], 1 + 40 * abs(noise[n - 30]))))
    assert got.kw.max() <= 8.0


@pytest.mark.parametrize("why", [TOUCHED, UNKNOWN])
def test_without_a_word_of_the_day_it_is_the_mean(why: str) -> None:
    today = drawn(np.nan if why is UNKNOWN else 5.0, 0.0)
    frame = home(today, lambda _: day()).frame(slice(None), EVENT, [LASTING_20])
    got = apply(LASTING_20, replace(frame, touched=np.array([why is TOUCHED])))
    np.testing.assert_allclose(got.kw, [[1.0] * 2])
    assert got.note(0) == why


def test_a_share_for_each_window() -> None:
    with pytest.raises(Refused, match="a share for each"):
        Lasting((Window(Anchor.START, -1, 0),), (0.5, 0.5), 5)
