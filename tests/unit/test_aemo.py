"""AEMO's C/I/D files: every rule on a few hand-written rows, then the published files."""

import csv
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tieline.base.series import Stamp
from tieline.wires.sources.files import parse
from tieline.wires.sources.parsed import Parsed

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples" / "aemo_nem"
TOP = "C,NEMP.WORLD,DISPATCHIS,AEMO,PUBLIC,2025/08/20,18:05:13,0000000477155219"
PRICE = "I,DISPATCH,PRICE,5,SETTLEMENTDATE,RUNNO,REGIONID,DISPATCHINTERVAL,INTERVENTION,RRP"
SCADA = "I,DISPATCH,UNIT_SCADA,1,SETTLEMENTDATE,DUID,SCADAVALUE"
REGION = "I,DISPATCH,REGIONSUM,9,SETTLEMENTDATE,REGIONID,INTERVENTION,TOTALDEMAND,AVAILABLEGENERATION,NETINTERCHANGE"


def report(*rows: str, footer: bool = True) -> str:
    end = [f'C,"END OF REPORT",{len(rows) + 2}'] if footer else []
    return "\n".join([TOP, *rows, *end, ""])


def nem(*rows: str) -> Parsed:
    return parse(report(*rows).encode(), "PUBLIC.CSV")


def price(at: str, rrp: str, region: str = "NSW1", intervention: str = "0") -> str:
    return f'D,DISPATCH,PRICE,5,"2025/08/20 {at}:00",1,{region},20250820170,{intervention},{rrp}'


def readings(parsed: Parsed) -> list[tuple[str, str, float]]:
    return [(row["series_id"], f"{row['at']:%dT%H:%M}", row["value"]) for row in parsed.rows.to_pylist()]


def told(parsed: Parsed) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in parsed.quarantined]


def found(parsed: Parsed) -> list[tuple[str, int]]:
    return [(one.kind, one.count) for one in parsed.findings]


# --- one rule each ----------------------------------------------------------------------------------------------------


def test_market_time_is_ten_hours_ahead_of_utc_and_marks_the_end_of_five_minutes() -> None:
    parsed = nem(PRICE, price("18:10", "242.65268"), price("18:10", "-54.48", "SA1"))
    assert readings(parsed) == [
        ("nem.NSW1.price_aud_per_mwh", "20T08:10", 242.65268),
        ("nem.SA1.price_aud_per_mwh", "20T08:10", -54.48),
    ]
    declared = parsed.declarations[0]
    assert (declared.unit, declared.step_s, declared.hold_s, declared.source) == ("AUD/MWh", 300, 300, "nem")
    assert (declared.zone, declared.stamp) == ("Australia/Brisbane", Stamp.END)
    assert (parsed.datasets, parsed.refused, parsed.findings) == (("nem.price",), 0, ())


def test_summer_changes_nothing() -> None:
    row = 'D,DISPATCH,UNIT_SCADA,1,"2025/01/01 00:00:00",X,1'
    assert nem(SCADA, row).rows["at"].to_pylist() == [datetime(2024, 12, 31, 14, tzinfo=UTC)]


def test_each_table_of_a_file_goes_to_its_own_series() -> None:
    region = 'D,DISPATCH,REGIONSUM,9,"2025/08/20 18:10:00",NSW1,0,11997.22,12149.47789,-1381.47'
    unit = 'D,DISPATCH,UNIT_SCADA,1,"2025/08/20 18:10:00",W/HOE#2,-3'
    parsed = nem(PRICE, price("18:10", "5"), REGION, region, SCADA, unit)
    assert {series_id: value for series_id, _, value in readings(parsed)} == {
        "nem.NSW1.price_aud_per_mwh": 5.0,
        "nem.NSW1.demand_mw": 11997.22,
        "nem.NSW1.available_generation_mw": 12149.47789,
        "nem.NSW1.net_interchange_mw": -1381.47,
        "nem.W~2FHOE~232.scada_mw": -3.0,
    }
    assert parsed.datasets == ("nem.price", "nem.region", "nem.scada")


def test_the_daily_table_gives_prices_and_demand_also_with_a_heading_filled_in_by_a_tool() -> None:
    header = "I,DREGION,Unnamed: 2,2,SETTLEMENTDATE,RUNNO,REGIONID,INTERVENTION,RRP,TOTALDEMAND,NETINTERCHANGE"
    parsed = nem(header, "D,DREGION,,2,2026/05/14 04:05:00,1,NSW1,0,75.47365,6673.31,-8")
    assert [value for _, _, value in readings(parsed)] == [75.47365, 6673.31, -8.0]
    assert [one.detail for one in parsed.findings] == ["table DREGION has no AVAILABLEGENERATION"]


def test_cells_are_found_by_column_name_since_versions_move_them() -> None:
    moved = "I,DISPATCH,PRICE,6,RRP,NEW,regionid,SETTLEMENTDATE,INTERVENTION"
    row = "D,DISPATCH,PRICE,6,7.5,x,NSW1,2025/08/20 18:15:00,0"
    parsed = nem(PRICE, price("18:10", "5"), moved, row)
    assert [(at, value) for _, at, value in readings(parsed)] == [("20T08:10", 5.0), ("20T08:15", 7.5)]


def test_in_an_intervention_prices_are_of_the_pricing_run_and_megawatts_of_the_physical_run() -> None:
    stem = 'D,DISPATCH,REGIONSUM,9,"2025/08/20 18:{}:00",NSW1,{},{},1,1'
    parsed = nem(
        PRICE,
        *[price("18:10", "62"), price("18:10", "69", intervention="1"), price("18:15", "63")],
        REGION,
        *[stem.format(10, 1, 900), stem.format(10, 0, 800), stem.format(15, 0, 810)],
    )
    by_series: dict[str, list[float]] = {}
    for series_id, _, value in readings(parsed):
        by_series.setdefault(series_id, []).append(value)
    assert by_series["nem.NSW1.price_aud_per_mwh"] == [62.0, 63.0]
    assert by_series["nem.NSW1.demand_mw"] == [900.0, 810.0]
    assert found(parsed) == [("other run", 1), ("other run", 1)]
    assert "DISPATCH.PRICE not of the pricing run" in parsed.findings[0].detail


def test_unknown_tables_are_left_out_by_name_with_their_count() -> None:
    other = "I,DISPATCH,LOCAL_PRICE,1,SETTLEMENTDATE,DUID"
    parsed = nem(other, "D,DISPATCH,LOCAL_PRICE,1,x,y", "D,DISPATCH,LOCAL_PRICE,1,x,z", PRICE, price("18:10", "5"))
    assert (found(parsed), parsed.rows.num_rows) == ([("left out", 2)], 1)
    assert parsed.findings[0].detail == "rows of table DISPATCH.LOCAL_PRICE, which is not loaded"


@pytest.mark.parametrize(
    ("end", "detail"),
    [
        ('C,"END OF REPORT",892\n', "PUBLIC.CSV has 4 rows where its END OF REPORT promises 892"),
        ("", "PUBLIC.CSV does not end with END OF REPORT: it may be cut off"),
    ],
)
def test_a_footer_that_does_not_fit_is_a_finding(end: str, detail: str) -> None:
    body = report(PRICE, price("18:10", "5"), footer=False)
    parsed = parse((body + end).encode(), "PUBLIC.CSV")
    assert (parsed.rows.num_rows, [one.detail for one in parsed.findings]) == (1, [detail])


def test_a_file_cut_within_a_row_gives_the_rows_before_it() -> None:
    whole = report(SCADA, *[f'D,DISPATCH,UNIT_SCADA,1,"2025/08/20 18:10:00",U{n},{n}' for n in range(3)])
    parsed = parse(whole[: whole.index(",U2")].encode(), "PUBLIC.CSV")
    assert [value for _, _, value in readings(parsed)] == [0.0, 1.0]
    assert told(parsed) == [(5, "5 columns where the I row of DISPATCH.UNIT_SCADA has 7")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (price("18:10", "dear"), "RRP is not a number"),
        (price("18:99", "1"), "SETTLEMENTDATE is not a time such as 2025/08/20 18:10:00"),
        (price("18:10", "1", region=""), "REGIONID is empty or too long"),
        (price("18:10", "1") + ",2", "11 columns where the I row of DISPATCH.PRICE has 10"),
        (price("18:10", "1").replace(",5,", ",4,", 1), "no I row before it names the columns of DISPATCH.PRICE 4"),
        ("E,what,is,this,row", "'E,what,is,this,row' is no row of kind C, I or D"),
        ("D,short", "'D,short' is no row of kind C, I or D"),
        ("D,A\x00B,C,1,2", "no I row before it names the columns of A?B.C 1"),
        (f'D,DISPATCH,PRICE,5,"2025{"x" * 30}', "not CSV: a quote that is not closed, or a cell without end"),
        (f"D,{'x' * 200_000}", "not CSV: a quote that is not closed, or a cell without end"),
    ],
)
def test_what_cannot_be_read_is_quarantined_with_its_line_and_the_rest_is_loaded(row: str, reason: str) -> None:
    parsed = nem(PRICE, price("18:00", "1"), "", row, price("18:05", "2"))
    assert told(parsed) == [(5, reason)]
    assert [value for _, _, value in readings(parsed)] == [1.0, 2.0]


def test_a_value_that_is_missing_is_a_finding() -> None:
    parsed = nem(PRICE, price("18:10", ""), price("18:15", "3"))
    assert (parsed.rows.num_rows, found(parsed), parsed.refused) == (1, [("missing", 1)], 0)


def test_a_table_without_its_time_or_region_is_left_out() -> None:
    parsed = nem("I,DISPATCH,PRICE,9,SETTLEMENTDATE,RRP", "D,DISPATCH,PRICE,9,2025/08/20 18:10:00,5")
    assert (parsed.rows.num_rows, found(parsed)) == (0, [("left out", 1)])


def test_any_line_ends_and_a_byte_order_mark() -> None:
    for data in (
        report(PRICE, price("18:10", "5")).replace("\n", "\r\n").encode("utf-8-sig"),
        report(PRICE, price("18:10", "5")).replace("\n", "\r").encode(),
    ):
        parsed = parse(data, "PUBLIC.CSV")
        assert (parsed.rows.num_rows, parsed.refused, parsed.findings) == (1, 0, ())


# --- the published files ----------------------------------------------------------------------------------------------


def published(name: str) -> tuple[Parsed, list[dict[str, str]]]:
    """As parsed, and all D rows as an independent reader sees them."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"no sample {path}")
    data = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            content = b"".join(archive.read(one) for one in archive.namelist())
    else:
        content = data
    header: list[str] = []
    rows = []
    for row in csv.reader(io.StringIO(content.decode())):
        if row[0] == "I":
            header = ["kind", "report", "table", "version", *row[4:]]
        elif row[0] == "D":
            rows.append(dict(zip(header, row, strict=True)))
    return parse(data, path.name), rows


def total(parsed: Parsed, ending: str) -> float:
    return sum(value for series_id, _, value in readings(parsed) if series_id.endswith(ending))


PRICE_2018 = "mmsdm/MMSDM_2018_05/PUBLIC_DVD_DISPATCHPRICE_201805010000.zip"
SCADA_2018 = "mmsdm/MMSDM_2018_05/PUBLIC_DVD_DISPATCH_UNIT_SCADA_201805010000.zip"
PRICE_2024 = "mmsdm/MMSDM_2024_08/PUBLIC_ARCHIVE%23DISPATCHPRICE%23FILE01%23202408010000.zip"
REGION_2024 = "mmsdm/MMSDM_2024_08/PUBLIC_ARCHIVE%23DISPATCHREGIONSUM%23FILE01%23202408010000.zip"
SCADA_2024 = "mmsdm/MMSDM_2024_08/PUBLIC_ARCHIVE%23DISPATCH_UNIT_SCADA%23FILE01%23202408010000.zip"
DAILY_2026 = "reports_current/PUBLIC_DAILY_202605140000_20260515040504.zip"
SCADA_2021 = "PUBLIC_DISPATCHSCADA_202109021255_0000000348376188.zip"
DISPATCH_2025 = "PUBLIC_DISPATCHIS_202508201810_0000000477155219.CSV"


@pytest.mark.parametrize(
    ("name", "column", "ending"),
    [
        (PRICE_2018, "RRP", "price_aud_per_mwh"),
        (PRICE_2024, "RRP", "price_aud_per_mwh"),
        (REGION_2024, "TOTALDEMAND", "demand_mw"),
        (REGION_2024, "AVAILABLEGENERATION", "available_generation_mw"),
        (REGION_2024, "NETINTERCHANGE", "net_interchange_mw"),
        (SCADA_2018, "SCADAVALUE", "scada_mw"),
        (SCADA_2024, "SCADAVALUE", "scada_mw"),
        (SCADA_2021, "SCADAVALUE", "scada_mw"),
        (DAILY_2026, "RRP", "price_aud_per_mwh"),
        (DAILY_2026, "TOTALDEMAND", "demand_mw"),
        (DISPATCH_2025, "RRP", "price_aud_per_mwh"),
        (DISPATCH_2025, "TOTALDEMAND", "demand_mw"),
    ],
)
def test_no_value_of_a_published_file_is_lost_or_altered(name: str, column: str, ending: str) -> None:
    parsed, rows = published(name)
    values = [float(row[column]) for row in rows if column in row and row.get("INTERVENTION", "0") == "0"]
    assert values
    assert len([1 for series_id, _, _ in readings(parsed) if series_id.endswith(ending)]) == len(values)
    assert total(parsed, ending) == pytest.approx(sum(values), rel=1e-12)
    assert parsed.refused == 0


def test_the_pricing_run_of_the_intervention_of_may_2018() -> None:
    parsed, rows = published(PRICE_2018)
    assert ("other run", sum(row["INTERVENTION"] == "1" for row in rows)) in found(parsed)
    first = [row for row in parsed.rows.to_pylist() if row["at"] == datetime(2018, 4, 30, 14, 5, tzinfo=UTC)]
    assert {row["series_id"]: row["value"] for row in first} == {
        "nem.NSW1.price_aud_per_mwh": 62.08993,
        "nem.SA1.price_aud_per_mwh": 71.11784,  # 69.9317 in the physical run
    }


def test_cut_archives_say_so() -> None:
    parsed, _ = published(SCADA_2024)
    assert [one.count for one in parsed.findings if one.kind == "footer"] == [1]
    assert "2883 rows where its END OF REPORT promises 4136180" in parsed.findings[0].detail


def test_a_published_file_of_seven_tables() -> None:
    parsed, _ = published(DISPATCH_2025)
    assert parsed.rows.num_rows == 20
    assert ("footer", 1) not in found(parsed)
    assert {one.series_id for one in parsed.declarations if "demand" in one.series_id} == {
        f"nem.{region}.demand_mw" for region in ("NSW1", "QLD1", "SA1", "TAS1", "VIC1")
    }
    assert ("nem.SA1.price_aud_per_mwh", "20T08:10", 189.90569) in readings(parsed)


def test_a_table_of_reference_data_is_left_out() -> None:
    parsed, _ = published("PUBLIC_DVD_INTERCONNECTOR_202006010000.CSV")
    assert (parsed.rows.num_rows, found(parsed)) == (0, [("footer", 1), ("left out", 14)])
