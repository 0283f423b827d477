"""Tables read as a mapping says: every rule on a few rows, CSV and Parquet alike, then real meters."""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.base.series import INSTANT, Flag, Stamp
from tieline.wires.sources.files import parse
from tieline.wires.sources.mapped import Mapping, mapping
from tieline.wires.sources.parsed import Parsed

METERING = Path(__file__).parents[2].parent / "shared" / "samples" / "metering"
SUPPLY = """
dataset = "homes"
source = "homes"
zone = "Australia/Sydney"
stamp = "start"
step_s = 1800
thing = "id"
at = ["at"]
[[measures]]
column = "kwh"
name = "supply_kw"
unit = "kW"
factor = 2.0
"""


def read(data: str | bytes, toml: str = SUPPLY, name: str = "homes.csv") -> Parsed:
    return parse(data.encode() if isinstance(data, str) else data, name, mapping(toml.encode()))


def readings(parsed: Parsed) -> list[tuple[str, str, float, int]]:
    return [(r["series_id"], f"{r['at']:%Y-%m-%dT%H:%M}", r["value"], r["flags"]) for r in parsed.rows.to_pylist()]


def told(parsed: Parsed) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in parsed.quarantined]


def parquet(**columns: pa.Array[Any]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


# --- one rule each ----------------------------------------------------------------------------------------------------


def test_a_row_becomes_a_reading_of_its_thing_scaled_and_placed() -> None:
    parsed = read("id,kwh,at\n7,0.5,2026-07-01 10:00:00\n8,1,2026-07-01T10:30\n")
    assert readings(parsed) == [
        ("homes.7.supply_kw", "2026-07-01T00:00", 1.0, 0),
        ("homes.8.supply_kw", "2026-07-01T00:30", 2.0, 0),
    ]
    declared = parsed.declarations[0]
    assert (declared.unit, declared.step_s, declared.zone) == ("kW", 1800, "Australia/Sydney")
    assert (declared.stamp, declared.source, parsed.datasets) == (Stamp.START, "homes", ("homes",))


def test_a_stamp_that_tells_its_offset_is_believed() -> None:
    parsed = read("id,kwh,at\n7,1,2026-07-01T10:00:00+02:00\n7,1,2026-07-01T08:30:00Z\n")
    assert [at for _, at, *_ in readings(parsed)] == ["2026-07-01T08:00", "2026-07-01T08:30"]


def test_times_in_several_columns_and_another_form() -> None:
    toml = SUPPLY.replace('at = ["at"]', 'at = ["Day", "Time"]\nat_format = "%d/%m/%Y %H:%M"\ndelimiter = ";"')
    parsed = read("id;kwh;Day;Time\n7;1,5;1/7/2026;10:30\n", toml)
    assert readings(parsed) == [("homes.7.supply_kw", "2026-07-01T00:30", 3.0, 0)]


def test_one_thing_for_all_rows_and_words_for_no_value() -> None:
    toml = SUPPLY.replace('thing = "id"', 'thing_is = "cabin"\nmissing = ["?", "NA"]')
    parsed = read('kwh,at\n"?",2026-07-01 10:00:00\nNA,2026-07-01 10:30:00\n1,2026-07-01 11:00:00\n', toml)
    assert [series for series, *_ in readings(parsed)] == ["homes.cabin.supply_kw"]
    assert [(one.kind, one.count) for one in parsed.findings] == [("missing", 2)]
    assert parsed.refused == 0


def test_the_day_a_clock_is_changed() -> None:
    """Sydney, 2026: 02:00 to 03:00 of 4 October did not exist, 02:00 to 03:00 of 5 April happened twice."""
    parsed = read("id,kwh,at\n7,1,2026-10-04 02:30\n7,2,2026-04-05 02:30\n7,3,2026-04-05 02:30\n8,4,2026-04-05 02:30\n")
    assert readings(parsed) == [
        ("homes.7.supply_kw", "2026-04-04T15:30", 4.0, 0),
        ("homes.7.supply_kw", "2026-04-04T16:30", 6.0, 0),
        ("homes.8.supply_kw", "2026-04-04T15:30", 8.0, int(Flag.AMBIGUOUS)),
    ]
    assert told(parsed) == [(2, "this time did not exist in Australia/Sydney")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("7,x,2026-07-01 10:00:00", "kwh is not a number"),
        ("7,inf,2026-07-01 10:00:00", "kwh is not a number"),
        ("7,1,yesterday", "at is not a time such as 2026-04-20 18:30:00"),
        ("7,1,2026-07-01T10:00:00+99:00", "at is not a time such as"),
        ("7,1,0001-01-01T00:00:00+11:00", "at is not a time such as"),
        (",1,2026-07-01 10:00:00", "id is empty or too long"),
        ("7,1", "2 columns where the header has 3"),
    ],
)
def test_a_row_that_cannot_be_taken_is_quarantined(row: str, reason: str) -> None:
    parsed = read(f"id,kwh,at\n{row}\n8,1,2026-07-01 10:00:00\n")
    ((line, why),) = told(parsed)
    assert (line, parsed.rows.num_rows) == (2, 1)
    assert reason in why


def test_parquet_gives_what_csv_gives() -> None:
    naive = pa.array([datetime(2026, 7, 1, 10), datetime(2026, 7, 1, 10, 30)], pa.timestamp("us"))  # noqa: DTZ001
    local = read(parquet(id=pa.array(["7", "8"]), kwh=pa.array([0.5, None]), at=naive))
    assert readings(local) == [("homes.7.supply_kw", "2026-07-01T00:00", 1.0, 0)]
    zoned = pa.array([datetime(2026, 7, 1, tzinfo=UTC)], INSTANT)
    assert readings(read(parquet(id=pa.array([7]), kwh=pa.array([1]), at=zoned)))[0][1] == "2026-07-01T00:00"


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_stamp_of_no_time_of_ours_is_quarantined(zone: str | None) -> None:
    ats = [datetime(1, 1, 1), datetime(9999, 12, 31), datetime(2026, 7, 1)]  # noqa: DTZ001  the clock of the zone
    at = pa.array([int((one - datetime(1970, 1, 1)).total_seconds()) for one in ats])  # noqa: DTZ001
    parsed = read(parquet(id=pa.array([7, 7, 7]), at=at.cast(pa.timestamp("s", zone)), kwh=pa.array([1.0, 1.0, 1.0])))
    assert [line for line, _ in told(parsed)] == [1, 2]
    assert len(readings(parsed)) == 1


def test_columns_of_kinds_that_nobody_means_are_refused() -> None:
    at, kwh = pa.array(["2026-07-01 00:00"]), pa.array([1.0])
    with pytest.raises(Refused, match="as the mapping says"):
        read(parquet(id=pa.array([[7]]), at=at, kwh=kwh))


def test_a_missing_column_and_a_broken_file_are_refused() -> None:
    with pytest.raises(Refused, match="needs one column kwh"):
        read("id,at\n1,2026-07-01\n")
    with pytest.raises(Refused, match="needs the columns at, kwh"):
        read(parquet(id=pa.array([1])))
    with pytest.raises(Refused, match="not a whole Parquet file"):
        read(b"PAR1 and then nothing")


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("dataset = 1", r"Expected `str`, got `int` - at `\$.dataset`"),
        (SUPPLY.replace("Australia/Sydney", "Australia/Sidney"), "'Australia/Sidney' is not a time zone"),
        (SUPPLY.replace('thing = "id"', ""), "exactly one of thing"),
        (SUPPLY.replace("factor", "faktor"), "unknown field `faktor`"),
        ("= nothing", "the mapping:"),
    ],
)
def test_what_is_no_mapping_is_told_with_its_place(toml: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        mapping(toml.encode())


# --- a law ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.randoms())
def test_the_order_of_rows_is_of_no_matter(values: list[float], random: Any) -> None:
    rows = [f"7,{value!r},2026-07-01 {n // 2:02}:{n % 2 * 30:02}:00" for n, value in enumerate(values)]
    shuffled = random.sample(rows, len(rows))
    one, other = (read("\n".join(["id,kwh,at", *some])) for some in (rows, shuffled))
    assert readings(one) == readings(other)
    assert [value for _, _, value, _ in readings(one)] == [2 * value for value in values]


# --- real meters ------------------------------------------------------------------------------------------------------


def declared(**more: Any) -> Mapping:
    told = {"dataset": "m", "source": "m", "stamp": "start"} | more
    return msgspec.convert(told if "thing" in told else told | {"thing_is": "home"}, Mapping)


def measure(column: str, name: str = "power_kw", factor: float = 1.0) -> dict[str, Any]:
    return {"column": column, "name": name, "unit": "kW", "factor": factor}


REAL = {
    "sgsc_gravitas/smart_meter10.parquet": declared(
        thing="customer_id",
        zone="Etc/GMT-10",
        step_s=1800,
        at=["reading_datetime"],
        measures=[measure("general_supply_kwh", factor=2.0)],
    ),
    "uci_household/household_power_consumption_2007-02-01_02.csv": declared(
        zone="Europe/Paris",
        step_s=60,
        at=["Date", "Time"],
        at_format="%d/%m/%Y %H:%M:%S",
        missing=["?"],
        measures=[measure("Global_active_power"), measure("Sub_metering_3", "heater_kw", 0.06)],
    ),
    "pvanalytics/ac_power_inv_2173.csv": declared(
        zone="UTC", step_s=900, at=["timestamp"], measures=[measure("value_normalized")]
    ),
    "eemeter/il-electricity-cdd-hdd-hourly.csv.gz": declared(
        zone="America/Chicago", step_s=3600, at=["start"], measures=[measure("value")]
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_every_row_of_real_meters_is_kept_or_named(name: str) -> None:
    if not METERING.is_dir():
        pytest.skip("the real meters are not at hand: ../shared/samples/metering")
    parsed = parse((METERING / name).read_bytes(), name, REAL[name])
    missing = sum(one.count for one in parsed.findings if one.kind in ("missing", "repeated"))
    rows = ROWS[name] * len(REAL[name].measures)
    assert parsed.rows.num_rows + missing + parsed.refused == rows
    assert parsed.rows.num_rows > 0.5 * rows


ROWS = {
    "sgsc_gravitas/smart_meter10.parquet": 293_874,
    "uci_household/household_power_consumption_2007-02-01_02.csv": 2880,
    "pvanalytics/ac_power_inv_2173.csv": 3000,
    "eemeter/il-electricity-cdd-hdd-hourly.csv.gz": 19_417,
}
