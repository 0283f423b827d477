"""A CSV of a fleet, as spreadsheets write it: read, checked cell by cell, and put together by VEN. Pure.

One row a resource; what is said of its VEN and site may be repeated, or said once. A cell that is empty says nothing.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tieline.base.errors import Refused
from tieline.registry.model import NewResource, NewSite, NewVen

T = TypeVar("T")

MOST_BYTES = 10_000_000
MOST_ROWS = 100_000

SITE = ("site_id", "site_name", "zone", "latitude", "longitude", "panel_a")
VEN = ("ven_id", "ven_name", "targets")
RESOURCE = ("resource_id", "resource_name", "kind", "rated_kw", "sheddable")
COLUMNS = (*SITE, *VEN, *RESOURCE)
NEEDED = ("site_id", "ven_id")
ROW = "row"
"""A column that gives rows the numbers by which they are reported, where the file is part of a larger one."""
_TRUE, _FALSE = ("true", "yes", "1", "x"), ("false", "no", "0")
_TEMPLATE = (
    "site-1,Rua Nova 1,Europe/Lisbon,38.71,-9.14,63,home-1,Home 1,lisbon;peak,boiler,Boiler,water_heater,3,yes\n"
    "site-1,,,,,,home-1,,,ev,Car charger,ev,7.4,yes\n"
)


class Row(msgspec.Struct, frozen=True):
    """`number` as a spreadsheet counts, the header being 1; `cells` are those that say something, `beyond` those that
    stand under no column, if any of them does."""

    number: int
    cells: Mapping[str, str]
    beyond: tuple[str, ...] = ()


class Wrong(msgspec.Struct, frozen=True):
    row: int
    reason: str


class Unit(msgspec.Struct, frozen=True):
    """All that a file says of one VEN: taken whole, or not at all. `site` and `ven` hold fields of which a cell says
    something; `resources` are by the row that gives them, `said` are their fields of which it says something."""

    ven_id: str
    rows: list[Row]
    site: dict[str, Any]
    ven: dict[str, Any]
    resources: dict[int, NewResource]
    said: dict[int, dict[str, Any]]
    wrong: list[Wrong]

    @property
    def site_id(self) -> str:
        return str(self.site.get("site_id", ""))

    def new_site(self) -> NewSite:
        """Raises `Refused` for one of which too little is said, or something wrong."""
        if "zone" not in self.site:
            raise Refused(f"site {self.site_id} is new: give its zone, such as Europe/Lisbon")
        return _made(NewSite, {"name": self.site_id} | self.site)

    def new_ven(self) -> NewVen:
        """At a site that is there by then. Raises `Refused`."""
        ven = {"name": self.ven_id} | self.ven
        return _made(NewVen, {**ven, "site_id": self.site_id, "resources": list(self.resources.values())})


def read(data: bytes) -> list[Row]:
    """Raises `Refused` for what is no such sheet, saying what it should be."""
    if len(data) > MOST_BYTES:
        raise Refused(f"{len(data)} bytes; a file has at most {MOST_BYTES}: import it in parts")
    text = _text(data)
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise Refused(f"not a CSV file: {error}") from None
    columns = _columns(lines[0] if lines else [])
    if len(lines) - 1 > MOST_ROWS:
        raise Refused(f"{len(lines) - 1} rows; a file has at most {MOST_ROWS}: import it in parts")
    found = [_row(number, columns, line) for number, line in enumerate(lines[1:], 2)]
    rows = [row for row in found if row.cells or row.beyond]
    if twice := [number for number, count in Counter(row.number for row in rows).items() if count > 1]:
        raise Refused(f"column {ROW} gives {twice[0]} to more than one row: each needs a number of its own")
    return rows


def units(rows: Iterable[Row]) -> list[Unit]:
    """By VEN, in the order in which they come first."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.cells.get("ven_id", ""), []).append(row)
    return [_unit(ven_id, some) for ven_id, some in found.items()]


def write(rows: Iterable[Row]) -> str:
    """As a file that `read` takes, each row by its number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((ROW, *COLUMNS))
    writer.writerows((row.number, *[row.cells.get(name, "") for name in COLUMNS], *row.beyond) for row in rows)
    return out.getvalue()


def template() -> str:
    """A file to start from: the columns, and two loads of one VEN."""
    return f"{','.join(COLUMNS)}\n{_TEMPLATE}"


def _text(data: bytes) -> str:
    """Spreadsheets put a mark before UTF-8, and write "Unicode text" in UTF-16."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise Refused('the file is not in UTF-8: save it as "CSV UTF-8"') from None


def _columns(header: Sequence[str]) -> list[str]:
    columns = [one.strip().lower() for one in header]
    if missing := [one for one in NEEDED if one not in columns]:
        raise Refused(
            f"the first row names no column {' and '.join(missing)}: it must name the columns, of {', '.join(COLUMNS)}"
        )
    if unknown := [one for one in columns if one not in (*COLUMNS, ROW)]:
        raise Refused(f"there is no column {', '.join(map(repr, unknown))}: the columns are {', '.join(COLUMNS)}")
    if twice := sorted({one for one in columns if columns.count(one) > 1}):
        raise Refused(f"the first row names {', '.join(twice)} twice")
    return columns


def _row(number: int, columns: Sequence[str], line: Sequence[str]) -> Row:
    cells = {name: cell.strip() for name, cell in zip(columns, line, strict=False) if cell.strip()}
    beyond = tuple(line[len(columns) :]) if any(cell.strip() for cell in line[len(columns) :]) else ()
    given = cells.pop(ROW, str(number))
    if not re.fullmatch("[0-9]{1,9}", given):
        raise Refused(f"column {ROW} of row {number} holds {given[:20]!r}, which is no row's number")
    return Row(int(given), cells, beyond)


def _unit(ven_id: str, rows: list[Row]) -> Unit:
    unit = Unit(ven_id, rows, {}, {}, {}, {}, [])
    said: dict[str, Row] = {}
    loads: dict[str, int] = {}
    for row in rows:
        try:
            _check(row)
            _add(unit, row, said)
            _add_resource(unit, row, loads)
        except Refused as error:
            unit.wrong.append(Wrong(row.number, str(error)))
    if not unit.site_id and not unit.wrong:
        unit.wrong.append(Wrong(rows[0].number, f"no row of VEN {ven_id} gives its site_id"))
    return unit


def _check(row: Row) -> None:
    """Raises `Refused` for a row of which nothing can be read."""
    if row.beyond:
        raise Refused(f"cells beyond the last column ({len(row.beyond)}): quote cells that hold the separator")
    if "ven_id" not in row.cells:
        raise Refused("no ven_id")
    if bad := [name for name, cell in row.cells.items() if "\x00" in cell]:  # PostgreSQL takes none in text
        raise Refused(f"{bad[0]} holds a NUL character: leave it out")


def _add(unit: Unit, row: Row, said: dict[str, Row]) -> None:
    for name in (*SITE, *VEN):
        if name not in row.cells:
            continue
        if said.setdefault(name, row).cells[name] != row.cells[name]:
            other = said[name]
            raise Refused(
                f"{name} is {row.cells[name]!r}, but {other.cells[name]!r} in row {other.number} of the same VEN"
            )
        (unit.site if name in SITE else unit.ven)[_FIELDS.get(name, name)] = _value(name, row.cells[name])


def _add_resource(unit: Unit, row: Row, loads: dict[str, int]) -> None:
    given = {_FIELDS.get(name, name): _value(name, row.cells[name]) for name in RESOURCE if name in row.cells}
    if not given:
        return
    if "resource_id" not in given:
        raise Refused(f"a resource without resource_id: {', '.join(name for name in RESOURCE if name in row.cells)}")
    new = _made(NewResource, {"name": given["resource_id"]} | given)
    if (same := loads.setdefault(new.resource_id, row.number)) != row.number:
        raise Refused(f"resource {new.resource_id} is in row {same} already")
    unit.resources[row.number], unit.said[row.number] = new, given


_FIELDS = {"site_name": "name", "ven_name": "name", "resource_name": "name"}
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)


def _value(name: str, cell: str) -> object:
    """Raises `Refused`."""
    return _KINDS[name](name, cell) if name in _KINDS else cell


def _number(name: str, cell: str) -> float:
    if _THOUSANDS.fullmatch(cell):
        raise Refused(f"{name} {cell!r} may be {cell.replace(',', '')} or a fraction: write a fraction with a point")
    if not _NUMBER.fullmatch(cell):
        raise Refused(f"{name} {cell[:40]!r} is not a number, such as 4.5")
    return float(cell.replace(",", "."))


def _truth(name: str, cell: str) -> bool:
    if cell.lower() in _TRUE + _FALSE:
        return cell.lower() in _TRUE
    raise Refused(f"{name} {cell!r} is neither yes nor no")


def _names(_: str, cell: str) -> list[str]:
    return [one.strip() for one in cell.split(";") if one.strip()]


_KINDS: dict[str, Callable[[str, str], object]] = {
    **dict.fromkeys(("latitude", "longitude", "panel_a", "rated_kw"), _number),
    "sheddable": _truth,
    "targets": _names,
}


def _made(kind: type[T], fields: Mapping[str, Any]) -> T:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise Refused(str(error)) from None
