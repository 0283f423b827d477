"""A CSV of a fleet as spreadsheets write it: read whatever its dress, refused with what to do where it is none."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.registry import sheet
from tieline.registry.model import Kind
from tieline.registry.sheet import COLUMNS, Row

HEADER = "site_id,zone,ven_id,resource_id,kind,rated_kw,sheddable"


def units(*lines: str, header: str = HEADER) -> list[sheet.Unit]:
    return sheet.units(sheet.read("\n".join((header, *lines)).encode()))


def test_the_template_is_one_ven_with_two_loads() -> None:
    (unit,) = sheet.units(sheet.read(sheet.template().encode()))
    assert unit.wrong == []
    assert unit.new_site().zone == "Europe/Lisbon"
    ven = unit.new_ven()
    assert (ven.name, ven.targets) == ("Home 1", ["lisbon", "peak"])
    assert [(one.resource_id, one.kind, one.rated_kw) for one in ven.resources] == [
        ("boiler", Kind.WATER_HEATER, 3.0),
        ("ev", Kind.EV, 7.4),
    ]


@pytest.mark.parametrize(
    "data",
    [
        'site_id;ven_id;rated_kw;resource_id;kind;targets\r\ns;v;4,5;r;ev;"a;b"\r\n'.encode("utf-8-sig"),
        "site_id\tven_id\trated_kw\tresource_id\tkind\ttargets\r\ns\tv\t4.5\tr\tev\ta;b\r\n".encode("utf-16"),
        b'"site_id","ven_id","rated_kw","resource_id","kind","targets"\n"s","v","4.5","r","ev"," a ; b "\n\n',
        b"Site_ID, VEN_id ,rated_kw,resource_id,kind,targets,\ns,v,4.5,r,ev,a;b,\n".replace(b",\n", b"\n"),
    ],
)
def test_it_is_read_whatever_its_dress(data: bytes) -> None:
    (unit,) = sheet.units(sheet.read(data))
    assert (unit.ven_id, unit.site_id, unit.ven["targets"], unit.wrong) == ("v", "s", ["a", "b"], [])
    assert [(row, one.rated_kw) for row, one in unit.resources.items()] == [(2, 4.5)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "names no column site_id and ven_id"),
        (b"site_id,zone\ns,UTC\n", "names no column ven_id"),
        (b"site_id,ven_id,power\n", "there is no column 'power': the columns are site_id,"),
        (b"site_id,ven_id,ven_id\n", "names ven_id twice"),
        (b'site_id,ven_id\ns,"v\n', "not a CSV file"),
        ("site_id,ven_id\ns,casa-ção\n".encode("latin-1"), 'save it as "CSV UTF-8"'),
        (b"x" * (sheet.MOST_BYTES + 1), "at most 10000000"),
        (b"site_id,ven_id\n" + b"s,v\n" * 100_001, "100001 rows; a file has at most 100000"),
    ],
)
def test_what_is_no_such_sheet_is_refused_with_what_would_be(data: bytes, reason: str) -> None:
    with pytest.raises(Refused) as told:
        sheet.read(data)
    assert reason in str(told.value)


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["s,UTC,,r,ev,1,no"], [(2, "no ven_id")]),
        ([",UTC,v,r,ev,1,no"], [(2, "no row of VEN v gives its site_id")]),
        (["s,UTC,v,r,ev,a lot,no"], [(2, "rated_kw 'a lot' is not a number")]),
        (["s,UTC,v,r,ev,1,perhaps"], [(2, "sheddable 'perhaps' is neither yes nor no")]),
        (["s,UTC,v,r,toaster,1,no"], [(2, "Invalid enum value 'toaster'")]),
        (["s,UTC,v,r,ev,-1,no"], [(2, "Expected `float` >= 0")]),
        (["s,UTC,v,,ev,1,no"], [(2, "a resource without resource_id")]),
        (["s,UTC,v,r,ev,1,no", "s,UTC,v,r,ev,1,no"], [(3, "resource r is in row 2 already")]),
        (["s,UTC,v,r,ev,1,no", "t,,v,q,ev,1,no"], [(3, "site_id is 't', but 's' in row 2 of the same VEN")]),
        (["s,UTC,v,r,ev,1,no,more,"], [(2, "cells beyond the last column (2)")]),
        (["s,UTC,v,r,ev,1_0,no"], [(2, "rated_kw '1_0' is not a number")]),
        (["s,UTC,v,r,ev,nan,no"], [(2, "rated_kw 'nan' is not a number")]),
        (['s,UTC,v,r,ev,"1,500",no'], [(2, "may be 1500 or a fraction")]),
        (["s,UTC,v\x00,r,ev,1,no"], [(2, "ven_id holds a NUL")]),
    ],
)
def test_what_is_wrong_is_told_by_row(lines: list[str], wrong: list[tuple[int, str]]) -> None:
    (unit,) = units(*lines)
    assert [one.row for one in unit.wrong] == [row for row, _ in wrong]
    for one, (_, reason) in zip(unit.wrong, wrong, strict=True):
        assert reason in one.reason


@pytest.mark.parametrize(
    ("cell", "number"), [("4.5", 4.5), ("4,5", 4.5), ("0,500", 0.5), ("1500", 1500.0), (".5", 0.5), ("1e3", 1000.0)]
)
def test_numbers_are_read_as_spreadsheets_write_them(cell: str, number: float) -> None:
    (unit,) = units(f's,UTC,v,r,ev,"{cell}",no')
    assert [one.rated_kw for one in unit.resources.values()] == [number]


def test_a_new_site_needs_a_zone_that_there_is() -> None:
    (unit,) = units("s,,v,,,,")
    with pytest.raises(Refused, match="site s is new: give its zone"):
        unit.new_site()
    for zone in ("Mars/Olympus", "Europe", "A" * 5000, "../../etc/passwd"):
        (unit,) = units(f"s,{zone},v,,,,")
        with pytest.raises(Refused, match="is not an IANA time zone"):
            unit.new_site()


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        (("2", "2"), "gives 2 to more than one row"),
        (("3", ""), "gives 3 to more than one row"),
        (("2", "9" * 5000), "which is no row's number"),
        (("2", "x"), "which is no row's number"),
    ],
)
def test_rows_have_numbers_of_their_own(numbers: tuple[str, str], reason: str) -> None:
    lines = [f"{number},s,v,r{n}" for n, number in enumerate(numbers)]
    with pytest.raises(Refused, match=reason):
        sheet.read("\n".join(("row,site_id,ven_id,resource_id", *lines)).encode())


def test_rows_keep_their_numbers_in_a_part_of_the_file() -> None:
    rows = sheet.read(b"site_id,ven_id\n\ns,a\ns,b\n")
    assert [row.number for row in rows] == [3, 4]
    assert sheet.read(sheet.write(rows[1:]).encode()) == rows[1:]


cells = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).map(str.strip).filter(bool)


beyond = st.lists(cells, max_size=2).map(tuple)


@given(st.lists(st.tuples(st.dictionaries(st.sampled_from(COLUMNS), cells, min_size=1), beyond), max_size=5))
def test_what_is_written_is_read_again(found: list[tuple[dict[str, str], tuple[str, ...]]]) -> None:
    rows = [Row(number, *one) for number, one in enumerate(found, 2)]
    assert sheet.read(sheet.write(rows).encode()) == rows


@given(st.binary(max_size=300))
def test_no_bytes_break_it(data: bytes) -> None:
    with contextlib.suppress(Refused):
        sheet.units(sheet.read(data))
