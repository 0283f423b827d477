"""Any table whose meaning somebody declares: a CSV or Parquet file, read as a mapping says.

dataset = "sgsc.load"            # of which dataset the series are
source = "sgsc"                  # the first part of their ids: sgsc.10006414.supply_kw
zone = "Australia/Sydney"        # of stamps without an offset, and of the source's days
stamp = "start"                  # which edge of its interval a stamp marks
step_s = 1800
thing = "customer_id"            # the column that tells things apart; or thing_is = "home-1" for all rows
at = ["reading_datetime"]        # one column or several (a date and a time)

[[measures]]
column = "general_supply_kwh"
name = "supply_kw"
unit = "kW"
factor = 2.0                     # kWh of half an hour is twice as many kW
"""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

import io
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tieline.base.dataset import Dataset, Measure
from tieline.base.errors import Refused
from tieline.base.names import Id
from tieline.base.series import INSTANT, Stamp
from tieline.wires.sources import delimited
from tieline.wires.sources.cells import (
    Array,
    local_instants,
    nameable,
    numbers,
    pc,
    placed,
    text,
    timely,
    utc_instants,
    utf8,
)
from tieline.wires.sources.parsed import Columns, Draft

PARQUET = b"PAR1"
MOST_ROWS = 50_000_000
_OFFSET = r"(Z|[+-]\d\d:?\d\d)$"
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Mapped(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measure: `column` times `factor` is in `unit`."""

    column: Text
    name: Id
    unit: Text
    factor: float = 1.0
    description: str = ""


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the columns of a table mean; columns are named as in its header.

    `at_format` is strptime's, for stamps that are not ISO 8601; `missing` are texts that stand for no value.
    """

    dataset: Text
    source: Id
    zone: Text
    stamp: Stamp
    step_s: Annotated[int, msgspec.Meta(ge=1, le=366 * 86400)]
    at: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=3)]
    measures: Annotated[list[Mapped], msgspec.Meta(min_length=1, max_length=1000)]
    thing: Text | None = None
    thing_is: Text | None = None
    at_format: Text | None = None
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    missing: list[str] = []
    publisher: str = ""
    licence: str = ""
    description: str = ""


def mapping(toml: bytes) -> Mapping:
    """Raises `Refused` for what is no mapping, with the place."""
    try:
        found = msgspec.toml.decode(toml, type=Mapping)
        ZoneInfo(found.zone)
    except msgspec.DecodeError as error:
        raise Refused(f"the mapping: {error}") from None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(f"the mapping: {found.zone!r} is not a time zone such as Australia/Sydney") from None
    if (found.thing is None) == (found.thing_is is None):
        raise Refused("the mapping: exactly one of thing (a column) and thing_is (a name for all rows) is needed")
    return found


def read(data: bytes, mapping: Mapping, draft: Draft) -> None:
    """Raises `Refused` when a column is missing or of a kind that cannot be meant, or the file is neither CSV nor
    Parquet."""
    try:
        table = _of_parquet(data, mapping, draft) if data.startswith(PARQUET) else _of_csv(data, mapping, draft)
        _read(table, mapping, draft)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Refused(f"{draft.file} cannot be read as the mapping says: {str(error)[:200]}") from None


def _read(table: _Table, mapping: Mapping, draft: Draft) -> None:
    at, flags, good = _instants(table, mapping, draft)
    dataset = _dataset(mapping)
    for number, (one, measure) in enumerate(zip(mapping.measures, dataset.measures, strict=True)):
        value, stated = numbers_of(table.values[number], mapping.missing)
        draft.find("missing", len(value) - stated.true_count, f"rows without {one.column}")
        unread = pc.and_(stated, pc.is_null(value))
        draft.sieve(table.line, (pc.and_(unread, good), f"{one.column} is not a number"))
        kept = pc.and_(good, pc.is_valid(value))
        scaled = pc.multiply(value, one.factor)
        draft.add(dataset, measure, Columns(*(c.filter(kept) for c in (table.thing, at, scaled, table.line, flags))))


class _Table(NamedTuple):
    """Columns as they stand in the file; `at` is text, or already instants with or without a zone."""

    thing: Array
    at: Array
    values: list[Array]
    line: Array


def _wanted(mapping: Mapping) -> list[str]:
    things = [mapping.thing] if mapping.thing else []
    return list(dict.fromkeys([*things, *mapping.at, *[one.column for one in mapping.measures]]))


def _of_csv(data: bytes, mapping: Mapping, draft: Draft) -> _Table:
    wanted, read = _wanted(mapping), utf8(data)
    names = delimited.header(read, mapping.delimiter)
    columns, line = delimited.columns(read, names, wanted, draft, delimiter=mapping.delimiter, quoted=True)
    return _table(dict(zip(wanted, columns, strict=True)), line, mapping)


def _of_parquet(data: bytes, mapping: Mapping, draft: Draft) -> _Table:
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        if file.metadata.num_rows > MOST_ROWS:
            raise Refused(f"{draft.file} has {file.metadata.num_rows:,} rows: at most {MOST_ROWS:,} at once")
        wanted, names = _wanted(mapping), file.schema_arrow.names
        if missing := [name for name in wanted if name not in names]:
            raise Refused(f"{draft.file} needs the columns {', '.join(missing)}: it has {', '.join(names)[:400]}")
        table = file.read(wanted)
    except pa.ArrowException as error:
        raise Refused(f"{draft.file} is not a whole Parquet file: {str(error)[:200]}") from None
    columns = {name: table[name].combine_chunks() for name in wanted}
    return _table(columns, pa.array(np.arange(1, table.num_rows + 1)), mapping)


def _table(columns: dict[str, Array], line: Array, mapping: Mapping) -> _Table:
    if mapping.thing:
        thing = text(columns[mapping.thing].cast(pa.string()))
    else:
        thing = pa.array([mapping.thing_is] * len(line), pa.string())
    ats = [columns[name] for name in mapping.at]
    at = ats[0] if len(ats) == 1 else pc.binary_join_element_wise(*[one.cast(pa.string()) for one in ats], " ")
    return _Table(thing, at, [columns[one.column] for one in mapping.measures], line)


def _instants(table: _Table, mapping: Mapping, draft: Draft) -> tuple[Array, Array, Array]:
    """The instant of each row, its flags, and whether it can be placed at all; the others are quarantined."""
    zoned, local = (timely(stamps) for stamps in _read_stamps(table.at, mapping.at_format))
    first, second = utc_instants(local, mapping.zone)
    at, flags = placed(table.thing, pc.coalesce(zoned, first), pc.coalesce(zoned, second))
    unread = pc.and_(pc.is_null(zoned), pc.is_null(local))
    wanted = f"as {mapping.at_format}" if mapping.at_format else "such as 2026-04-20 18:30:00"
    good = draft.sieve(
        table.line,
        (pc.invert(nameable(table.thing)), f"{mapping.thing or 'thing_is'} is empty or too long"),
        (unread, f"{' '.join(mapping.at)} is not a time {wanted}"),
        (pc.and_(pc.is_null(at), pc.invert(unread)), f"this time did not exist in {mapping.zone}"),
    )
    return at, flags, good


def _read_stamps(column: Array, format_: str | None) -> tuple[Array, Array]:
    """Instants of those that tell their offset, clock times of those that do not; null elsewhere."""
    nothing = pa.nulls(len(column), INSTANT), pa.nulls(len(column), pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        return (column.cast(INSTANT), nothing[1]) if column.type.tz else (nothing[0], column.cast(pa.timestamp("us")))
    stamps = text(column.cast(pa.string()))
    if format_:
        return nothing[0], pc.strptime(stamps, format_, "us", error_is_null=True)
    told = pc.fill_null(pc.match_substring_regex(stamps, _OFFSET), False)
    with_offset = pc.if_else(told, stamps, None)
    return _offset_instants(with_offset), local_instants(pc.if_else(told, None, stamps))


def _offset_instants(stamps: Array) -> Array:
    try:
        return stamps.cast(INSTANT)
    except pa.ArrowInvalid:
        return pa.array([_one(stamp) for stamp in stamps], INSTANT)


def _one(stamp: Any) -> object:
    try:
        return stamp.cast(INSTANT).as_py()
    except pa.ArrowInvalid:
        return None


def numbers_of(column: Array, missing: list[str]) -> tuple[Array, Array]:
    """Finite numbers, null where there is none, and where something is stated at all."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        value = column.cast(pa.float64())
        stated = pc.and_(pc.is_valid(value), pc.invert(pc.fill_null(pc.is_nan(value), False)))
        return pc.if_else(pc.is_finite(value), value, None), stated
    cells = text(column.cast(pa.string()))
    cells = pc.if_else(pc.is_in(cells, pa.array(missing, pa.string())), None, cells)
    return numbers(cells), pc.is_valid(cells)


def _dataset(mapping: Mapping) -> Dataset:
    return Dataset(
        name=mapping.dataset,
        description=mapping.description,
        publisher=mapping.publisher,
        licence=mapping.licence,
        source=mapping.source,
        zone=mapping.zone,
        stamp=mapping.stamp,
        step_s=mapping.step_s,
        measures=tuple(Measure(one.column, one.name, one.unit, one.description) for one in mapping.measures),
    )
