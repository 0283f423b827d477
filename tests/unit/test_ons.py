"""ONS hourly load: every rule on a few hand-written rows, then the published years."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.base.series import Flag, Stamp
from tieline.wires.sources.files import parse
from tieline.wires.sources.parsed import Parsed

HEADER = "id_subsistema;nom_subsistema;din_instante;val_cargaenergiahomwmed"
YEARS = Path(__file__).parents[2].parent / "shared" / "samples" / "ons" / "curva_carga"


def ons(*rows: str, header: str = HEADER) -> Parsed:
    return parse("\n".join([header, *rows, ""]).encode(), "CURVA_CARGA.csv")


def readings(parsed: Parsed) -> list[tuple[str, str, float, int]]:
    return [(r["series_id"], f"{r['at']:%Y-%m-%dT%H:%M}", r["value"], r["flags"]) for r in parsed.rows.to_pylist()]


def told(parsed: Parsed) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in parsed.quarantined]


def finding(parsed: Parsed, kind: str) -> int:
    return sum(one.count for one in parsed.findings if one.kind == kind)


# --- one rule each ----------------------------------------------------------------------------------------------------


def test_an_hour_becomes_a_reading_in_mw_stamped_at_its_start_in_brasilia() -> None:
    parsed = ons("SE;SUDESTE;2022-01-01 00:00:00;35000.50000000", "NE;NORDESTE;2018-01-01 00:00:00;9000")
    assert readings(parsed) == [
        ("ons.SE.load_mw", "2022-01-01T03:00", 35000.5, 0),  # UTC-3
        ("ons.NE.load_mw", "2018-01-01T02:00", 9000.0, 0),  # daylight saving, in the north-east too: UTC-2
    ]
    declared = parsed.declarations[0]
    assert (declared.unit, declared.step_s, declared.hold_s, declared.source) == ("MW", 3600, 3600, "ons")
    assert (declared.zone, declared.stamp) == ("America/Sao_Paulo", Stamp.START)
    assert (parsed.datasets, parsed.refused, parsed.findings) == (("ons.load",), 0, ())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(f"{HEADER}\nN;NORTE;2022-01-01 00:00:00;1,5\n".encode(), id="decimal comma"),
        pytest.param(f"{HEADER}\nN;NORTE;2022-01-01 00:00:00;1.5\n".encode("utf-8-sig"), id="byte-order mark"),
        pytest.param(f"{HEADER}\r\nN;NORTÉ;2022-01-01 00:00:00;1.5\r\n".encode("latin-1"), id="latin-1"),
        pytest.param(f"{HEADER}\r\n\r\nN;NORTE;2022-01-01 00:00:00;1.5\n\n".encode(), id="mixed line ends"),
        pytest.param(f"{HEADER}\rN;NORTE;2022-01-01 00:00:00;1.5\r".encode(), id="old line ends"),
        pytest.param(f"{HEADER}\nN;NORTE;2022-01-01 00:00:00;1.5".encode(), id="no last line end"),
        pytest.param(f'{HEADER}\n"N";"NORTE";"2022-01-01 00:00:00";"1.5"\n'.encode(), id="quotes"),
        pytest.param(f"{HEADER.upper()}\nN ; NORTE;2022-01-01 00:00:00 ; 1.5\n".encode(), id="capitals and spaces"),
        pytest.param(
            b"val_cargaenergiahomwmed;din_instante;new;id_subsistema\n1.5;2022-01-01 00:00:00;x;N\n", id="moved columns"
        ),
    ],
)
def test_the_same_text_in_another_dress_is_the_same_reading(data: bytes) -> None:
    parsed = parse(data, "x.csv")
    assert readings(parsed) == [("ons.N.load_mw", "2022-01-01T03:00", 1.5, 0)]
    assert parsed.refused == 0


def test_a_missing_value_is_a_finding_and_not_a_zero() -> None:
    parsed = ons("S;SUL;2022-01-01 00:00:00;1", "S;SUL;2022-01-01 01:00:00;", "S;SUL;2022-01-01 03:00:00;0E-8")
    assert [value for _, _, value, _ in readings(parsed)] == [1.0, 0.0]
    assert (finding(parsed, "missing"), finding(parsed, "gap"), parsed.refused) == (1, 2, 0)
    assert "first 2022-01-01T04:00:00Z" in next(one.detail for one in parsed.findings if one.kind == "gap")


def test_the_hour_that_clocks_skip_is_padding_when_empty_and_quarantined_with_a_value() -> None:
    night = [f"{one};X;2018-11-04 00:00:00;{value}" for one, value in (("N", ""), ("SE", ""), ("S", "0E-8"))]
    parsed = ons("S;SUL;2018-11-03 23:00:00;5", *night, "S;SUL;2018-11-04 01:00:00;6")
    assert readings(parsed) == [
        ("ons.S.load_mw", "2018-11-04T02:00", 5.0, 0),
        ("ons.S.load_mw", "2018-11-04T03:00", 6.0, 0),
    ]
    assert told(parsed) == [(5, "this hour did not exist in America/Sao_Paulo")]
    assert (finding(parsed, "padding"), finding(parsed, "gap"), finding(parsed, "missing")) == (2, 0, 0)


def test_a_lone_row_for_the_hour_that_happens_twice_is_the_first_and_flagged() -> None:
    parsed = ons(*[f"S;SUL;2018-02-{at};7" for at in ("17 22:00:00", "17 23:00:00", "18 00:00:00")])
    assert [(at, flags) for _, at, _, flags in readings(parsed)] == [
        ("2018-02-18T00:00", 0),
        ("2018-02-18T01:00", Flag.AMBIGUOUS),
        ("2018-02-18T03:00", 0),
    ]
    assert finding(parsed, "gap") == 1


def test_two_rows_for_the_hour_that_happens_twice_are_the_first_and_the_second() -> None:
    parsed = ons("S;SUL;2018-02-17 23:00:00;7", "N;NORTE;2018-02-17 23:00:00;1", "S;SUL;2018-02-17 23:00:00;8")
    assert readings(parsed) == [
        ("ons.S.load_mw", "2018-02-18T01:00", 7.0, 0),
        ("ons.S.load_mw", "2018-02-18T02:00", 8.0, 0),
        ("ons.N.load_mw", "2018-02-18T01:00", 1.0, Flag.AMBIGUOUS),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("S;SUL;2022-02-30 00:00:00;1", "din_instante is not a time such as 2018-11-04 01:00:00"),
        ("S;SUL;9999-12-31 23:00:00;1", "din_instante is not a time such as 2018-11-04 01:00:00"),
        ("S;SUL;yesterday;1", "din_instante is not a time such as 2018-11-04 01:00:00"),
        ("S;SUL;;1", "din_instante is not a time such as 2018-11-04 01:00:00"),
        ("S;SUL;2022-01-01 00:00:00Z;1", "din_instante is not a time such as 2018-11-04 01:00:00"),
        (";SUL;2022-01-01 00:00:00;1", "id_subsistema is empty or too long"),
        (f"{'S' * 65};SUL;2022-01-01 00:00:00;1", "id_subsistema is empty or too long"),
        ("S;SUL;2022-01-01 00:00:00;1.234,5", "val_cargaenergiahomwmed is not a number"),
        ("S;SUL;2022-01-01 00:00:00;nan", "val_cargaenergiahomwmed is not a number"),
        ("S;SUL;2022-01-01 00:00:00;1e999", "val_cargaenergiahomwmed is not a number"),
        ("S;SUL;2022-01-01 00:00:00", "3 columns where the header has 4"),
        ("S;SUL;2022-01-01 00:00:00;1;2", "5 columns where the header has 4"),
    ],
)
def test_what_cannot_be_read_is_quarantined_with_its_line_and_the_rest_is_loaded(row: str, reason: str) -> None:
    parsed = ons("S;SUL;2022-01-01 01:00:00;1", "", row, "S;SUL;2022-01-01 02:00:00;2")
    assert told(parsed) == [(4, reason)]
    assert [value for _, _, value, _ in readings(parsed)] == [1.0, 2.0]


def test_lines_are_those_of_the_file_also_after_bad_and_blank_ones() -> None:
    parsed = ons("bad", "", "S;SUL;x;1", "bad", "S;SUL;2022-01-01 02:00:00;2", "S;SUL;y;1")
    assert sorted(line for line, _ in told(parsed)) == [2, 4, 5, 7]
    assert parsed.rows["line"].to_pylist() == [6]


def test_the_same_reading_twice_counts_once_and_another_value_is_quarantined() -> None:
    hour = "S;SUL;2022-01-01 00:00:00"
    parsed = ons(f"{hour};1", f"{hour};1.0", f"{hour};2")
    assert [value for _, _, value, _ in readings(parsed)] == [2.0]
    assert told(parsed) == [(3, "line 4 of CURVA_CARGA.csv gives this reading another value")]
    assert finding(parsed, "repeated") == 1


def test_a_header_without_a_wanted_column_is_refused_with_what_was_there() -> None:
    with pytest.raises(Refused, match="needs one column id_subsistema and one din_instante"):
        ons(header="subsistema;instante;val_cargaenergiahomwmed")


@pytest.mark.parametrize("data", [b"", b"\n", b"a;b\n1;2\n", b"\x00" * 100, HEADER[:-1].encode()])
def test_an_unknown_file_is_refused_with_what_was_expected(data: bytes) -> None:
    with pytest.raises(Refused, match="expected ONS hourly load"):
        parse(data, "x.csv")


def test_a_file_with_only_a_header_is_empty() -> None:
    assert ons().rows.num_rows == 0


stamps = st.builds(
    "{}-{:02}-{:02} {:02}:00:00".format,
    st.integers(2014, 2022),
    *[st.integers(*r) for r in ((1, 12), (1, 28), (0, 23))],
)


@given(st.lists(st.tuples(st.sampled_from(["N", "SE"]), stamps, st.none() | st.floats(-1e6, 1e6)), max_size=30))
def test_every_row_is_accounted_for(rows: list[tuple[str, str, float | None]]) -> None:
    """Loaded, quarantined, repeated or found missing: nothing vanishes, and what is loaded was there."""
    parsed = ons(*[f"{one};X;{at};{'' if value is None else repr(value)}" for one, at, value in rows])
    kinds = ("repeated", "missing", "padding")
    assert parsed.rows.num_rows + parsed.refused + sum(finding(parsed, kind) for kind in kinds) == len(rows)
    assert set(parsed.rows["value"].to_pylist()) <= {value for _, _, value in rows}


# --- the published years ----------------------------------------------------------------------------------------------


def year(number: int) -> tuple[Parsed, list[dict[str, str]]]:
    """As parsed, and as an independent reader sees it."""
    path = YEARS / f"CURVA_CARGA_{number}.csv"
    if not path.exists():
        pytest.skip(f"no sample {path}")
    with path.open(encoding="utf-8") as lines:
        return parse(path.read_bytes(), path.name), list(csv.DictReader(lines, delimiter=";"))


@pytest.mark.parametrize("number", [2014, 2018, 2022, 2023])
def test_no_value_of_a_published_year_is_lost_or_altered(number: int) -> None:
    parsed, rows = year(number)
    filled = [float(row["val_cargaenergiahomwmed"]) for row in rows if row["val_cargaenergiahomwmed"]]
    assert parsed.rows.num_rows + parsed.refused == len(filled)
    assert sum(value for _, _, value, _ in readings(parsed)) == pytest.approx(sum(filled), rel=1e-12)
    assert finding(parsed, "missing") + finding(parsed, "padding") == len(rows) - len(filled)
    assert {one.series_id for one in parsed.declarations} == {f"ons.{one}.load_mw" for one in ("N", "NE", "S", "SE")}


def at(parsed: Parsed, when: datetime, series_id: str = "ons.SE.load_mw") -> dict[str, Any] | None:
    table: Any = parsed.rows
    rows = table.filter((pc.field("at") == when) & (pc.field("series_id").cast(pa.string()) == series_id))
    return next(iter(rows.to_pylist()), None)


def test_the_clock_changes_of_the_published_2014_and_2018() -> None:
    old, _ = year(2014)
    new, _ = year(2018)
    for parsed, back, forward, load in (
        (old, datetime(2014, 2, 16, 1, tzinfo=UTC), datetime(2014, 10, 19, 3, tzinfo=UTC), 34854.814),
        (new, datetime(2018, 2, 18, 1, tzinfo=UTC), datetime(2018, 11, 4, 3, tzinfo=UTC), 38062.888),
    ):
        first, second = at(parsed, back), at(parsed, back.replace(hour=2))
        assert first is not None
        assert (first["value"], first["flags"], second) == (load, Flag.AMBIGUOUS, None)
        midnight_skipped, before = at(parsed, forward), at(parsed, forward.replace(hour=2))
        assert midnight_skipped is not None  # 01:00, the first hour of summer
        assert before is not None  # 23:00, the last of winter
    assert (finding(old, "padding"), old.refused) == (4, 0)
    assert (finding(new, "padding"), told(new)) == (3, [(29476, "this hour did not exist in America/Sao_Paulo")])
    assert [flag for flag in old.rows["flags"].to_pylist() if flag] == [Flag.AMBIGUOUS] * 4


def test_a_known_instant_of_a_published_year() -> None:
    parsed, _ = year(2023)
    row = at(parsed, datetime(2023, 1, 1, 3, tzinfo=UTC), "ons.N.load_mw")
    assert row is not None
    assert row["value"] == 5990.553
