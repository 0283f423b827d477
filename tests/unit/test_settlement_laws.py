"""What holds of every settlement run, whoever delivered what: nothing is lost, order is nothing, same stays same."""

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.settlement_statements import event, terms
from tieline.settlement.intervals import Intervals, ends, joined, measured, unpacked
from tieline.settlement.model import canonical, digest_of
from tieline.settlement.runs.arithmetic import accounts
from tieline.settlement.runs.drawing import drawn, numbered, repeats
from tieline.settlement.runs.energy import Event
from tieline.settlement.runs.model import Clause, Run
from tieline.settlement.terms.commitments import Committed
from tieline.settlement.terms.model import Netting, Rounding

JUNE, JULY = date(2026, 6, 1), date(2026, 7, 1)
KNOWN = datetime(2026, 7, 2, tzinfo=UTC)
HOMES = ("a", "b", "c")
KWH = st.integers(-5_000_000, 5_000_000).map(lambda mwh: mwh / 1_000_000)
PRICE = st.decimals(-2, 20, places=5).map(str)


@st.composite
def events(draw: Any) -> list[Event]:
    found = []
    for n in range(draw(st.integers(1, 3))):
        steps = draw(st.integers(1, 4))
        homes = draw(st.lists(st.sampled_from(HOMES), min_size=1, unique=True))
        delivered = {home: draw(st.lists(KWH, min_size=steps, max_size=steps)) for home in homes}
        price = draw(st.lists(PRICE, min_size=steps, max_size=steps))
        found.append(event(delivered, event_id=f"event-{n}", asked=2.0, price=price))
    return found


def paying(netting: Netting = Netting.EVENT, rounding: Rounding = Rounding.HALF_EVEN) -> Any:
    return terms(
        netting=netting.value,
        rounding=rounding.value,
        capacity={"price_per_kw_month": "5.10"},
        penalty={"price_per_kwh": "0.7"},
        cap="20",
        floor="-20",
        tax={"name": "GST", "rate": "0.1"},
    )


COMMITTED = [Committed("a", Decimal("1.5"), JUNE, JULY), Committed("c", Decimal(2), JUNE, date(2026, 6, 12))]


def run(found: list[Event], committed: list[Committed], said: Any) -> Run:
    return drawn(said, JUNE, JULY, KNOWN, found, committed)


@settings(deadline=None, max_examples=40)
@given(events(), st.sampled_from(Netting), st.sampled_from(Rounding))
def test_nothing_is_lost(found: list[Event], netting: Netting, rounding: Rounding) -> None:
    whole = run(found, COMMITTED, paying(netting, rounding))
    for name in ("net", "tax", "total"):
        assert getattr(whole, name) == sum(getattr(one, name) for one in whole.accounts)
    assert whole.total == whole.net + whole.tax
    for account in whole.accounts:
        of_tax = sum(one.amount for one in account.entries if one.clause is Clause.TAX)
        assert account.total == sum(one.amount for one in account.entries)
        assert account.tax == of_tax
        assert Decimal(-20) <= account.net <= Decimal(20)
        for one in account.entries:
            assert one.amount == one.amount.quantize(Decimal("0.01"))


@settings(deadline=None, max_examples=40)
@given(events(), st.randoms(use_true_random=False))
def test_order_never_matters(found: list[Event], random: Any) -> None:
    shuffled, committed = list(found), list(COMMITTED)
    random.shuffle(shuffled)
    random.shuffle(committed)
    assert canonical(run(shuffled, committed, paying())) == canonical(run(found, COMMITTED, paying()))


@settings(deadline=None, max_examples=40)
@given(events())
def test_the_same_again_is_the_same_to_the_byte(found: list[Event]) -> None:
    first = numbered(run(found, COMMITTED, paying()), [])
    again = numbered(run(found, COMMITTED, paying()), [])
    assert canonical(first) == canonical(again)
    assert repeats(again, first)
    assert numbered(again, [first]).restates == first.digest != numbered(again, [first]).digest


@settings(deadline=None, max_examples=40)
@given(events(), st.sampled_from(Netting), st.integers(2, 9))
def test_ten_times_the_load_is_ten_times_the_energy(found: list[Event], netting: Netting, times: int) -> None:
    plain = terms(netting=netting.value, places=6)
    scaled = [_scaled(one, times) for one in found]
    for one, other in zip(accounts(plain, found, []), accounts(plain, scaled, []), strict=True):
        assert [many.paid_kwh for many in other.deliveries] == [few.paid_kwh * times for few in one.deliveries]


def _scaled(one: Event, times: int) -> Event:
    kept, statement = one.intervals, one.statement
    assert kept is not None
    delivered = {ven_id: (kept.delivered_mwh[i] * times / 1e6).tolist() for ven_id, i in kept.place.items()}
    prices = [str(price) for price in one.prices.per_kwh]
    return event(delivered, event_id=statement.event_id, price=prices, baseline=9.0)


@settings(deadline=None, max_examples=40)
@given(events(), st.sampled_from([Netting.EVENT, Netting.PERIOD, Netting.ALL]))
def test_the_sum_of_a_line_is_as_good_as_its_intervals_where_the_price_is_one(
    found: list[Event], netting: Netting
) -> None:
    one_price = [replace(one, prices=replace(one.prices, per_kwh=one.prices.per_kwh[:1])) for one in found]
    summed = [replace(one, intervals=None) for one in one_price]
    said = terms(netting=netting.value)
    assert accounts(said, one_price, []) == accounts(said, summed, [])


# --- intervals --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 50), min_size=1, max_size=40))
def test_the_sum_of_intervals_is_as_exact_as_one(kw: list[float]) -> None:
    load = np.array([kw])
    covered = np.full(load.shape, 300.0)
    base, used, covered_us = measured(load, load * 300 / 3600, covered)
    assert abs(int(base.sum()) - float(load.sum()) * 1_000_000 / 12) <= 1
    assert (base == used).all()
    assert int(covered_us.sum()) == 300_000_000 * len(kw)


@settings(deadline=None, max_examples=40)
@given(events())
def test_intervals_come_back_from_their_bytes(found: list[Event]) -> None:
    kept = found[0].intervals
    assert kept is not None
    again = unpacked(kept.packed())
    assert again.packed() == kept.packed()
    parts = [_only(kept, [i]) for i in range(len(kept.ven_ids))]
    assert joined(parts[::-1], kept.edges_us).packed() == kept.packed()


def _only(kept: Intervals, those: list[int]) -> Intervals:
    blocks = (kept.baseline_mwh[those], kept.used_mwh[those], kept.covered_us[those])
    return Intervals([kept.ven_ids[i] for i in those], kept.edges_us, *blocks)


def test_an_end_that_cannot_be_told_comes_back_as_none() -> None:
    ends_mwh = ends(np.array([[0.5, 1.0], [np.nan, np.nan]]))
    edges_us, ones = np.array([0, 300, 600]) * 1_000_000, np.ones((2, 2), np.int64)
    kept = unpacked(Intervals(["a", "b"], edges_us, ones, ones, ones, ends_mwh, ends_mwh).packed())
    assert [one.low_kwh for one in kept.of("a")] == [0.5, 1.0]
    assert [(one.low_kwh, one.high_kwh) for one in kept.of("b")] == [(None, None)] * 2


def test_a_digest_is_of_all_but_itself() -> None:
    made = numbered(run([event({"a": [1.0]})], [], terms()), [])
    assert made.digest == digest_of(
        Run(**{name: getattr(made, name) for name in made.__struct_fields__} | {"digest": ""})
    )


def test_the_bytes_are_the_same_on_any_machine() -> None:
    """What was signed is to be checked for ever: whoever changes these digests breaks every run there is."""
    called = event({"a": [1.0, 0.123456], "b": [-0.5, 2.0]}, asked=3.0, price=["0.08", "0.3"])
    assert called.intervals is not None
    intervals = hashlib.sha256(called.intervals.packed()).hexdigest()
    assert intervals == "7ab4aa232bd39e2ec9ad580a3f9796124c84a5d12071a2dadd587fe57a252ff6"
    assert (
        numbered(run([called], COMMITTED, paying()), []).digest
        == "60706b19d6f3adc720a6908ab5e7fe838430836609c18212fb2fb8835ee0c9ad"
    )
