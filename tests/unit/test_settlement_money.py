"""From statements to cents, worked by hand."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.unit.settlement_statements import event, terms
from tieline.base.errors import Refused
from tieline.settlement.model import edges_us
from tieline.settlement.runs.arithmetic import accounts, by_month
from tieline.settlement.runs.model import Account, Clause, Entry
from tieline.settlement.terms.commitments import Commitment, Committed, NewCommitment, over, parsed
from tieline.settlement.terms.model import NewTerms

D = Decimal
JUNE, JULY = date(2026, 6, 1), date(2026, 7, 1)


def entry(account: Account, clause: Clause) -> Entry:
    (found,) = (one for one in account.entries if one.clause is clause)
    return found


def amounts(account: Account) -> list[str]:
    return [f"{one.clause} {one.amount}" for one in account.entries]


# --- energy -----------------------------------------------------------------------------------------------------------


def test_a_fixed_price() -> None:
    """3.5 kWh at 0.50 are 1.75."""
    (home,) = accounts(terms(), [event({"home-1": [1.5, 2.0]})], [])
    paid = entry(home, Clause.ENERGY)
    assert (paid.quantity, paid.unit, paid.price, paid.amount) == (D("3.500000"), "kWh", D("0.50"), D("1.75"))
    assert (home.net, home.tax, home.total) == (D("1.75"), D("0.00"), D("1.75"))
    assert paid.event_id == "hot"


def test_a_market_price_interval_by_interval() -> None:
    """1 kWh at 80 and 2 kWh at 300 per MWh: 0.08 and 0.60."""
    (home,) = accounts(terms(), [event({"home-1": [1.0, 2.0]}, price=["0.080", "0.300"])], [])
    paid = entry(home, Clause.ENERGY)
    assert (paid.quantity, paid.price, paid.amount) == (D("3.000000"), None, D("0.68"))


def test_small_amounts_are_rounded_once_an_event_and_not_an_interval() -> None:
    """Twelve intervals of 0.4 cents each are 4.8 cents."""
    (home,) = accounts(terms(), [event({"home-1": [0.05] * 12}, price=["0.08"] * 11 + ["0.080"])], [])
    assert entry(home, Clause.ENERGY).amount == D("0.05")


def test_a_negative_price_costs() -> None:
    (home,) = accounts(terms(), [event({"home-1": [1.0, 1.0]}, price=["-1.00", "0.25"])], [])
    assert home.total == D("-0.75")


@pytest.mark.parametrize(
    ("netting", "hot", "cold"),
    [
        ("interval", "1.50", "0.50"),  # 3 of 3 − 2; 1 of 1 − 4
        ("event", "0.50", "0.00"),  # 3 − 2 = 1; 1 − 4 < 0
        ("period", "0.00", "0.00"),  # 1 − 3 < 0: nothing at all
        ("all", "0.50", "-1.50"),
    ],
)
@pytest.mark.parametrize("by_interval", [False, True])
def test_netting(netting: str, hot: str, cold: str, by_interval: bool) -> None:
    """Of 100 kW above the baseline in one interval and 100 below in the next, who pays for which?"""
    price: Any = ["0.50", "0.50"]
    events = [
        event({"home-1": [3.0, -2.0]}, event_id="hot", price=price),
        event({"home-1": [1.0, -4.0]}, event_id="cold", price=price),
    ]
    if not by_interval and netting != "interval":
        events = [replace(one, intervals=None) for one in events]
    (home,) = accounts(terms(netting=netting), events, [])
    assert {one.event_id: str(one.amount) for one in home.entries} == {"hot": hot, "cold": cold}


def test_a_period_that_delivered_counts_its_bad_events_too() -> None:
    events = [event({"home-1": [4.0]}, event_id="a"), event({"home-1": [-1.0]}, event_id="b")]
    (home,) = accounts(terms(netting="period"), events, [])
    assert (amounts(home), home.total) == (["energy 2.00", "energy -0.50"], D("1.50"))


def test_who_was_not_settled_is_owed_nothing_and_owes_nothing() -> None:
    called = event({"home-1": [1.0]}, asked=5.0)
    lines = [
        msgspec.structs.replace(called.statement.lines[0], settled=False, delivered_kwh=0.0, note="not settled: …")
    ]
    called = replace(called, statement=msgspec.structs.replace(called.statement, lines=lines))
    (home,) = accounts(terms(penalty={"price_per_kwh": "9"}), [called], [])
    assert (home.entries, home.total) == ([], D("0.00"))
    assert home.deliveries[0].note == "not settled: …"


# --- capacity, penalties, bounds --------------------------------------------------------------------------------------

STEPS = [{"delivered": "0.5", "factor": "0.6"}, {"delivered": "0.9", "factor": "1"}]


@pytest.mark.parametrize(
    ("delivered", "steps", "amount"),
    [
        (2.0, [], "12.00"),  # 5 kW × 6.00 × 2/5
        (7.0, [], "30.00"),  # never above 1
        (-1.0, [], "0.00"),
        (2.0, STEPS, "0.00"),  # 0.4 is below every step
        (2.5, STEPS, "18.00"),  # 0.5: × 0.6
        (4.4999, STEPS, "18.00"),
        (4.5, STEPS, "30.00"),
    ],
)
def test_capacity_by_performance(delivered: float, steps: list[Any], amount: str) -> None:
    paid = terms(capacity={"price_per_kw_month": "6.00", "steps": steps}, netting="all")
    (home,) = accounts(paid, [event({"home-1": [delivered]}, asked=5.0)], [Committed("home-1", D(5), JUNE, JULY)])
    assert str(entry(home, Clause.CAPACITY).amount) == amount


def test_capacity_without_events_and_for_parts_of_months() -> None:
    """June's last 15 of 30 days and July's 31: a month and a half. Nothing was asked: in full."""
    committed = Committed("home-1", D("4.5"), date(2026, 6, 16), date(2026, 8, 1))
    (home,) = accounts(terms(capacity={"price_per_kw_month": "6.00"}), [], [committed])
    found = entry(home, Clause.CAPACITY)
    assert (found.quantity, found.price, found.amount) == (D("6.750000"), D("6.00"), D("40.50"))
    assert by_month(date(2026, 6, 16), date(2026, 8, 1)) == [
        (date(2026, 6, 16), date(2026, 7, 1)),
        (date(2026, 7, 1), date(2026, 8, 1)),
    ]


@pytest.mark.parametrize(
    ("delivered", "short"), [(10.0, None), (9.0, None), (8.999999, "0.000001"), (8.5, "0.500000"), (-1.0, "9.000000")]
)
def test_a_penalty_beyond_the_tolerance(delivered: float, short: str | None) -> None:
    """Of 10 kWh asked one may be missing."""
    said = terms(penalty={"price_per_kwh": "2", "tolerance": "0.1"})
    (home,) = accounts(said, [event({"home-1": [delivered]}, asked=10.0)], [])
    found = [one for one in home.entries if one.clause is Clause.PENALTY]
    assert [str(one.quantity) for one in found] == ([short] if short else [])
    if short:
        assert found[0].amount == (-2 * D(short)).quantize(D("0.01"))


def test_who_was_asked_for_nothing_is_short_of_nothing() -> None:
    """Drawing more than the baseline costs its energy, where that counts, and no penalty."""
    said = terms(netting="all", penalty={"price_per_kwh": "1"})
    (home,) = accounts(said, [event({"home-1": [-1.0, -1.0]}, asked=0.0)], [])
    assert amounts(home) == ["energy -1.00"]


def test_cap_floor_and_tax() -> None:
    """5.00 earned: capped at 4.20, taxed by 10 %. 0.10 earned: lifted to 1.00."""
    bounded = terms(cap="4.20", floor="1", tax={"name": "GST", "rate": "0.10"})
    much, little = accounts(bounded, [event({"a": [10.0], "b": [0.2]})], [])
    assert amounts(much) == ["energy 5.00", "cap -0.80", "tax 0.42"]
    assert (much.net, much.tax, much.total) == (D("4.20"), D("0.42"), D("4.62"))
    assert amounts(little) == ["energy 0.10", "floor 0.90", "tax 0.10"]
    assert (little.net, little.total) == (D("1.00"), D("1.10"))


@pytest.mark.parametrize(
    ("rounding", "places", "tax"),
    [
        ("ROUND_HALF_EVEN", 2, "0.12"),
        ("ROUND_HALF_UP", 2, "0.13"),
        ("ROUND_DOWN", 2, "0.12"),
        ("ROUND_HALF_EVEN", 3, "0.125"),
        ("ROUND_HALF_UP", 0, "0"),
    ],
)
def test_rounding(rounding: str, places: int, tax: str) -> None:
    """A tenth of 1.25 is 0.125."""
    said = terms(tax={"name": "GST", "rate": "0.10"}, rounding=rounding, places=places)
    (home,) = accounts(said, [event({"home-1": [2.5]})], [])
    assert str(home.tax) == tax


def test_a_day_on_which_clocks_change() -> None:
    """Sydney, 4 April 2026, 2:00 to 4:00 on the clock is three hours: its energy is that of three hours."""
    start = datetime(2026, 4, 4, 15, tzinfo=UTC)
    assert len(edges_us(start, start + timedelta(hours=3))) == 37
    (home,) = accounts(terms(), [event({"home-1": [0.1] * 36}, start=start)], [])
    assert (entry(home, Clause.ENERGY).quantity, home.total) == (D("3.600000"), D("1.80"))


# --- terms and commitments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"energy": {"type": "fixed", "price_per_kwh": "1e9"}}, "energy: price_per_kwh is 1E\\+9"),
        ({"energy": {"type": "fixed", "price_per_kwh": "NaN"}}, "price_per_kwh is NaN"),
        ({"energy": {"type": "fixed", "price_per_kwh": "0.1234567891"}}, "at most 9 decimals"),
        ({"energy": {"type": "market", "series_id": "x", "least_per_mwh": "2", "most_per_mwh": "1"}}, "is above"),
        ({"cap": "1", "floor": "2"}, "cap 1 is below floor 2"),
        ({"most_gap": "1.1"}, "most_gap is 1.1: give 0 to 1"),
        ({"tax": {"name": "GST", "rate": "10"}}, "tax: rate is 10: give 0 to 1"),
        ({"penalty": {"price_per_kwh": "-1"}}, "penalty: price_per_kwh is -1"),
        ({"capacity": {"price_per_kw_month": "1", "steps": STEPS[::-1]}}, "in order"),
    ],
)
def test_terms_that_cannot_be(given: dict[str, Any], said: str) -> None:
    whole = {
        "valid_from": "2026-06-01",
        "zone": "UTC",
        "currency": "AUD",
        "baseline": "caiso-10-in-10",
        "energy": {"type": "fixed", "price_per_kwh": 1},
    }
    with pytest.raises((Refused, msgspec.ValidationError), match=said):
        msgspec.convert(whole | given, NewTerms, strict=False)


def kept(kw: str, valid_from: date, day: int) -> Commitment:
    return Commitment("peak", "home-1", D(kw), valid_from, datetime(2026, 5, day, tzinfo=UTC))


def test_the_newest_commitment_of_a_day_counts_until_the_next() -> None:
    mid = date(2026, 6, 11)
    given = [kept("5", date(2026, 5, 1), 1), kept("3", mid, 2), kept("4", mid, 3), kept("0", date(2026, 6, 21), 4)]
    assert over(given[::-1], JUNE, JULY) == [
        Committed("home-1", D(5), JUNE, mid),
        Committed("home-1", D(4), mid, date(2026, 6, 21)),
    ]


def test_commitments_of_a_file() -> None:
    assert parsed(b"valid_from,ven_id,kw\r\n2026-06-01,home-1,4.5\r\n") == [NewCommitment("home-1", D("4.5"), JUNE)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"ven_id,kw\nhome-1,4\n", "no column valid_from"),
        (b"ven_id,kw,valid_from\nhome-1,many,2026-06-01\n", "line 2: kw as 4.5"),
        (b"ven_id,kw,valid_from\nhome-1,4,2026-06-01\nho me,4,2026-06-01\n", "line 3: ven_id 'ho me'"),
        (b"ven_id,kw,valid_from\nhome-1,-4,2026-06-01\n", "line 2: kw of home-1 is -4"),
        (b"ven_id,kw,valid_from\nhome-1\n", "line 2"),
        (b"\xff\xfe", "no CSV in UTF-8"),
    ],
)
def test_a_file_that_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said):
        parsed(text)
