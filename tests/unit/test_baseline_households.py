"""The tournament over the real households in `../shared/samples`: its page, and what its intervals cover."""

import functools

import pytest
from docs.reference.tournament import PAGE, SAMPLES, Trials, placed, section, tried

from tieline.settlement.baseline.intervals import LEVEL
from tieline.settlement.baseline.scores import Score

pytestmark = [
    pytest.mark.skipif(not SAMPLES.exists(), reason="../shared/samples/metering is absent"),
    pytest.mark.timeout(300),
    pytest.mark.lasts(30),
]
REAL = ("Smart Grid Smart City", "CityLearn 2022")


@functools.cache
def everybody() -> Trials:
    return tried()


def test_the_page_tells_what_the_households_say() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert placed(page, section(everybody())) == page, "it is old: run `python docs/reference/tournament.py`"


def test_the_intervals_cover_what_they_say() -> None:
    """Rule by rule and set by set, on business days and on others; nobody knows the temperature, or a forecast."""
    for title in REAL:
        for one in everybody()[title]:
            assert one.coverage == pytest.approx(LEVEL, abs=0.02), (title, one.rule, one.kind)


def score(title: str, rule: str, kind: str = "business") -> Score:
    return next(one for one in everybody()[title] if (one.rule, one.kind) == (rule, kind))


@pytest.mark.parametrize("title", REAL)
@pytest.mark.parametrize("kind", ["business", "other"])
def test_ten_in_ten_beats_the_day_before(title: str, kind: str) -> None:
    naive = score(title, "day-before", kind)
    for rule in ("caiso-10-in-10", "caiso-10-in-10-plain", "aemo-all-days", "hour-of-week"):
        better = score(title, rule, kind)
        assert better.home_rrmse < naive.home_rrmse
        assert better.fleet_rrmse < naive.fleet_rrmse
