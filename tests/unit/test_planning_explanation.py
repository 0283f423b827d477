"""Why each load was called, or not."""

import numpy as np

from tieline.dispatch.planning import ELIGIBLE, REASONS, Candidates, Reason, costs, explained, plan, sentence
from tieline.dispatch.planning.explanation import SENTENCES

KW = np.array([4.0, 2.0, 2.0, 3.0, 6.0])
UNEVEN = np.array([0.0, 0.0, 0.0, 0.4, 0.0])
CODES = np.array([ELIGIBLE, ELIGIBLE, ELIGIBLE, ELIGIBLE, REASONS.index(Reason.OPTED_OUT)], np.int8)
IDS = [f"home-{i}" for i in range(5)]
ALL = Candidates(IDS, ["ev"] * 5, KW, costs(KW, UNEVEN))
PLAN = plan(5.0, ALL.only(CODES == ELIGIBLE))


def test_columns_say_who_was_called_at_which_place_and_price() -> None:
    rows = explained(PLAN, ALL, CODES)
    assert [row.ven_id for row in rows] == IDS
    assert [row.chosen for row in rows] == [True, True, False, False, False]
    assert [row.rank for row in rows] == [1, 2, 2, 4, 0], "those that are alike share a place"
    assert [row.reason for row in rows] == [*[Reason.ELIGIBLE] * 4, Reason.OPTED_OUT]
    assert [round(row.cost_per_kw, 3) for row in rows] == [1.062, 1.125, 1.125, 1.483, 0]
    assert {round(row.threshold_cost_per_kw, 3) for row in rows} == {1.125}


def test_sentences() -> None:
    said = [sentence(row) for row in explained(PLAN, ALL, CODES)]
    assert said == [
        "Called: 4.00 kW at 1.06 a kW, place 1; the target was reached at 1.12.",
        "Called: 2.00 kW at 1.12 a kW, place 2; the target was reached at 1.12.",
        "Not called: 2.00 kW at 1.12 a kW, place 2; the target was reached at 1.12 without it.",
        "Not called: 3.00 kW at 1.48 a kW, place 4; the target was reached at 1.12 by cheaper ones.",
        "Not called: it opted out of this event.",
    ]


def test_one_that_fits_best_is_called_though_it_is_dearer() -> None:
    """5 kW of 5 and 5, and of 2: one of 5 is not enough for 6, and a second one would be too much."""
    kw = np.array([5.0, 5.0, 1.0])
    offer = Candidates(IDS[:3], ["ev"] * 3, kw, costs(kw, np.zeros(3)))
    rows = explained(plan(6.0, offer), offer, CODES[:3])
    assert [row.chosen for row in rows] == [True, False, True]
    assert sentence(rows[2]).endswith("and with this one the plan fits best.")


def test_every_reason_has_its_sentence() -> None:
    assert set(SENTENCES) == set(Reason) - {Reason.ELIGIBLE}
