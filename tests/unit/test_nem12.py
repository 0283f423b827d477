"""NEM12 and NEM13 meter files: every rule on a few hand-written records, energy kept, then real files."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.base.series import Flag, Stamp
from tieline.wires.sources.files import parse
from tieline.wires.sources.parsed import Parsed

FILES = Path(__file__).parents[2].parent / "shared" / "samples" / "metering" / "nem12"
HEADER = "100,NEM12,202604210000,MDA1,Ret1"
STREAM = "200,NMI1,E1B1,1,E1,N1,METER1,kWh,30,"
DAY = 48


def nem(*records: str, header: str = HEADER, end: str = "900") -> Parsed:
    return parse("\n".join([header, *records, end, ""]).encode(), "meter.csv")


def day(values: list[float] | list[str], quality: str = "A", date: str = "20260420") -> str:
    return ",".join(["300", date, *map(str, values), quality, "", "", "20260421010203", ""])


def told(parsed: Parsed) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in parsed.quarantined]


def finding(parsed: Parsed, kind: str) -> int:
    return sum(one.count for one in parsed.findings if one.kind == kind)


# --- one rule each ----------------------------------------------------------------------------------------------------


def test_energy_of_an_interval_becomes_mean_power_stamped_at_its_end_in_market_time() -> None:
    parsed = nem(STREAM, day([0.5, *[1.0] * (DAY - 1)]))
    first, last = parsed.rows.to_pylist()[0], parsed.rows.to_pylist()[-1]
    assert (first["series_id"], first["value"], first["flags"]) == ("meter.NMI1.E1_30m_kw", 1.0, Flag.GOOD)
    assert first["at"] == datetime(2026, 4, 19, 14, 30, tzinfo=UTC)  # 00:30 at UTC+10
    assert last["at"] == datetime(2026, 4, 20, 14, 0, tzinfo=UTC)
    declared = parsed.declarations[0]
    assert (declared.unit, declared.step_s, declared.hold_s, declared.stamp) == ("kW", 1800, 1800, Stamp.END)
    assert (declared.zone, parsed.datasets, parsed.refused) == ("Australia/Brisbane", ("meter.nem12.30m",), 0)
    assert parsed.findings == ()


def test_western_australia_has_a_time_of_its_own() -> None:
    parsed = nem(STREAM, day([1.0] * DAY), header="100,NEM12,202604210000,WPNTKS,WPNTKS")
    assert parsed.rows.to_pylist()[0]["at"] == datetime(2026, 4, 19, 16, 30, tzinfo=UTC)
    assert parsed.declarations[0].zone == "Australia/Perth"


@pytest.mark.parametrize(
    ("unit", "name", "value"),
    [
        ("Wh", "E1_30m_kw", 0.002),
        ("MWh", "E1_30m_kw", 2000.0),
        ("kVArh", "E1_30m_kvar", 2.0),
        ("VAh", "E1_30m_kva", 0.002),
    ],
)
def test_units_are_told_apart_and_scaled(unit: str, name: str, value: float) -> None:
    parsed = nem(STREAM.replace("kWh", unit), day([1.0] * DAY))
    assert parsed.declarations[0].series_id == f"meter.NMI1.{name}"
    assert pc.unique(parsed.rows["value"]).to_pylist() == [pytest.approx(value)]


def test_substituted_and_estimated_values_are_flagged_and_null_data_is_counted_as_missing() -> None:
    parsed = nem(
        STREAM,
        day([1.0] * DAY, "S14", "20260420"),
        day([1.0] * DAY, "E52", "20260421"),
        day([0.0] * DAY, "N", "20260422"),
    )
    assert set(parsed.rows["flags"].to_pylist()) == {int(Flag.ESTIMATED)}
    assert (parsed.rows.num_rows, finding(parsed, "missing"), parsed.refused) == (2 * DAY, DAY, 0)


def test_events_tell_the_quality_of_a_various_day() -> None:
    events = ["400,1,20,A,,", "400,21,24,S14,32,", f"400,25,{DAY},N,,"]
    parsed = nem(STREAM, day([1.0] * DAY, "V"), *events)
    assert parsed.rows["flags"].to_pylist() == [0] * 20 + [int(Flag.ESTIMATED)] * 4
    assert (finding(parsed, "missing"), parsed.refused) == (DAY - 24, 0)


def test_what_no_event_tells_of_a_various_day_is_left_out_and_said() -> None:
    parsed = nem(STREAM, day([1.0] * DAY, "V"), "400,1,40,A,,")
    assert parsed.rows.num_rows == 40
    assert told(parsed) == [
        (3, "quality V, and no event (record 400) tells that of interval 41: 8 values are left out")
    ]


@pytest.mark.parametrize(
    ("records", "line", "reason"),
    [
        ([STREAM, "300,20260420,1,2,3,A,,,,"], 3, "not 48 values of 30 minutes and then their quality"),
        ([STREAM, day([1.0] * (DAY + 1))], 3, "not 48 values of 30 minutes and then their quality"),
        ([STREAM, day([1.0] * DAY, date="20260230")], 3, "'20260230' is not a day such as 20260420"),
        ([STREAM, day(["1"] * (DAY - 1) + ["1.2.3"])], 3, "interval 48 is not a number: 1 values left out"),
        ([day([1.0] * DAY)], 2, "whose data stream (record 200) is missing"),
        ([STREAM.replace(",30,", ",7,")], 2, "'7' minutes an interval: expected one of 5, 10, 15, 30"),
        ([STREAM.replace("kWh", "")], 2, "data stream E1 is in '': expected one of Wh, kWh"),
        ([STREAM.replace("NMI1", "")], 2, "NMI '': expected a short name"),
        ([STREAM, "400,1,2,A,,"], 3, "an event (record 400) without a day of values"),
        ([STREAM, day([1.0] * DAY, "V"), "400,0,49,A,,", "400,1,48,A,,"], 4, "an event of intervals '0' to '49'"),
        (["700,what"], 2, "record type '700': MDFF knows 100, 200"),
    ],
)
def test_what_cannot_be_placed_is_quarantined_with_its_reason(records: list[str], line: int, reason: str) -> None:
    parsed = nem(*records)
    assert told(parsed)[0][0] == line
    assert reason in told(parsed)[0][1]


def test_a_later_day_for_the_same_intervals_counts_and_the_earlier_is_named() -> None:
    parsed = nem(STREAM, day([1.0] * DAY), day([1.0] * (DAY - 1) + [2.0]))
    assert parsed.rows["value"].to_pylist()[-1] == 4.0
    assert told(parsed) == [(3, "line 4 of meter.csv gives this reading another value")]


def test_a_file_without_its_end_may_be_cut_off() -> None:
    assert finding(nem(STREAM, day([1.0] * DAY), end=""), "cut") == 1


def test_something_else_is_no_meter_file() -> None:
    with pytest.raises(Refused, match="NEM12 or NEM13 meter files"):
        parse(b"100,NEM99,1\n", "x.csv")


# --- registers --------------------------------------------------------------------------------------------------------

REGISTER = "250,NMI1,E1,E1,E1,N1,M1,E,{},20260101000000,A,,,{},20260401000000,{},,,{},KWH,20260701,,"


def test_a_register_is_kept_as_it_was_read() -> None:
    parsed = nem(REGISTER.format("100.5", "300.5", "E", "200"), header="100,NEM13,202604020000,D,R")
    assert [(row["at"], row["value"], row["flags"]) for row in parsed.rows.to_pylist()] == [
        (datetime(2025, 12, 31, 14, tzinfo=UTC), 100.5, Flag.GOOD),
        (datetime(2026, 3, 31, 14, tzinfo=UTC), 300.5, Flag.ESTIMATED),
    ]
    assert (parsed.declarations[0].series_id, parsed.declarations[0].unit) == ("meter.NMI1.E1_E1_export_kwh", "kWh")
    assert parsed.findings == ()


def test_a_quantity_that_does_not_follow_from_the_readings_is_told() -> None:
    parsed = nem(REGISTER.format("99900", "100", "A", "200"))
    assert [one.detail for one in parsed.findings if one.kind == "quantity"] == [
        "NMI1 E1: the readings differ by -99800, the quantity stated is 200"
    ]


# --- laws -------------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from([5, 10, 15, 30]).flatmap(
        lambda minutes: st.tuples(
            st.just(minutes), st.lists(st.integers(0, 10**6), min_size=1440 // minutes, max_size=1440 // minutes)
        )
    )
)
def test_energy_is_kept(of: tuple[int, list[int]]) -> None:
    minutes, watt_hours = of
    parsed = nem(f"200,NMI1,E1,1,E1,N1,M1,Wh,{minutes},", day([float(one) for one in watt_hours]))
    kwh = parsed.rows["value"].to_numpy().sum() * minutes / 60
    assert kwh == pytest.approx(sum(watt_hours) / 1000)
    steps = np.diff(parsed.rows["at"].to_numpy().astype("M8[m]").astype(int))
    assert set(steps.tolist()) == {minutes}


@given(st.binary(max_size=400) | st.text(alphabet='1234567890,AVNEkWh\n" .', max_size=400).map(str.encode))
def test_whatever_follows_a_header_is_read_or_accounted_for(data: bytes) -> None:
    parsed = parse(HEADER.encode() + b"\n" + STREAM.encode() + b"\n" + data, "meter.csv")
    assert parsed.rows.num_rows == 0 or parsed.declarations


# --- real files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rows", "series", "refused"),
    [
        ("Example_NEM12_multiple_meters.csv", 12 * 96, 6, 0),
        ("Example_NEM12_different_interval_length.csv", 2 * 48, 2, 2),  # a stream without a unit, and its day
        ("Example_WesternPower.csv", 4 * 48, 4, 0),
        ("invalid_Example_NEM12_incomplete_interval.csv", 3 * 48, 2, 1),
        ("sample_nem13.csv", 6, 3, 0),
    ],
)
def test_every_row_of_a_real_file_is_kept_or_named(name: str, rows: int, series: int, refused: int) -> None:
    if not FILES.is_dir():
        pytest.skip("the real meter files are not at hand: ../shared/samples/metering/nem12")
    parsed = parse((FILES / name).read_bytes(), name)
    assert (parsed.rows.num_rows, len(parsed.declarations), parsed.refused) == (rows, series, refused)
