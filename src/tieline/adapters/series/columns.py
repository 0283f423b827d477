"""Rows as columns: refused unless whole, put in order, reduced to what is latest, cut by month."""

from __future__ import annotations  # numpy's and pyarrow's generics

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tieline.base.errors import Refused

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_KEYS = ("series_id", "at", "known_at", "seq")
_FIRST, _LAST = np.datetime64("0001-01-01", "us").astype(np.int64), np.datetime64("9999-12-31", "us").astype(np.int64)


def checked(rows: pa.Table, shape: pa.Schema) -> pa.Table:
    """The rows in the shape's own schema. Raises `Refused` for other columns, nulls, or years outside 1 to 9999."""
    if rows.schema.names != shape.names or rows.schema.types != shape.types:
        raise Refused(f"rows must have the columns {_named(shape)}, not {_named(rows.schema)}")
    for name in shape.names:
        if missing := rows[name].null_count:
            raise Refused(f"{missing} of {rows.num_rows} rows have no {name}: leave those rows out")
    for name in ("at", "known_at"):
        instants = micros(rows, name)
        if len(instants) and (instants.min() < _FIRST or instants.max() > _LAST):
            raise Refused(f"{name} has an instant outside the years 1 to 9999: is it in microseconds since 1970?")
    return rows.cast(shape)


def deciding(shape: pa.Schema) -> list[str]:
    """The columns by which one version of an instant is later than another, the first that differs deciding.

    Ties of (known_at, seq) should not be; where they are, the order of arrival must not decide what is latest.
    """
    return ["known_at", "seq", *(name for name in shape.names if name not in _KEYS)]


def _named(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def micros(rows: pa.Table, name: str) -> Ints:
    """A column of instants as microseconds since 1970 UTC."""
    return np.asarray(rows[name].cast(pa.int64()).to_numpy(), np.int64)


def summable(columns: Sequence[str], shape: pa.Schema) -> None:
    """Raises `Refused` unless they are columns of numbers."""
    sums = [field.name for field in shape if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)]
    if wrong := [name for name in columns if name not in sums]:
        raise Refused(f"{wrong[0]!r} cannot be summed: one of {', '.join(sums)} can")


def numbers(rows: pa.Table, name: str) -> npt.NDArray[Any]:
    """A column of numbers as they are, of instants as microseconds."""
    return micros(rows, name) if name.endswith("_at") or name == "at" else rows[name].to_numpy()


def latest(rows: pa.Table) -> pa.Table:
    """For every (series_id, at) the row with the greatest (known_at, seq), in order."""
    return _divided(rows)[0]


def divided(tables: Iterable[pa.Table]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Of every (series_id, at) its latest row, and those before it. Tables that follow another are in order."""
    rest: pa.Table | None = None
    for table in tables:
        if rest is None:
            rest = table
            continue
        cut = _last_run(rest)  # may go on in the next
        yield _divided(rest.slice(0, cut))
        rest = pa.concat_tables([rest.slice(cut), table])
    if rest is not None:
        yield _divided(rest)


def _divided(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    order, series, at = _order(rows)
    if order is None:
        return rows, rows.slice(0, 0)
    last = _last_of_run(series[order], at[order])
    return rows.take(order[last]), rows.take(order[~last])


def _last_run(rows: pa.Table) -> int:
    """Where the rows of the last row's (series_id, at) begin, of rows in order."""
    at, first = micros(rows, "at"), max(rows.num_rows - 1, 0)
    while first and at[first - 1] == at[-1] and rows["series_id"][first - 1] == rows["series_id"][-1]:
        first -= 1
    return first


def newest(rows: pa.Table) -> pa.Table:
    """For every series its latest row of the greatest `at`, in order."""
    order, series, _ = _order(rows)
    if order is None:
        return rows.filter(pa.array(_last_of_run(series)))
    return rows.take(order[_last_of_run(series[order])])


def by_month(rows: pa.Table) -> list[tuple[str, pa.Table]]:
    """The rows of each month of `at` in UTC, by the month's name YYYY-MM."""
    at = micros(rows, "at").view("M8[us]")
    if len(at) and (only := at.min().astype("M8[M]")) == at.max().astype("M8[M]"):
        return [(str(only), rows)]
    months = at.astype("M8[M]")
    names = np.unique(months)
    return [(str(name), rows.filter(pa.array(months == name))) for name in names]


def _order(rows: pa.Table) -> tuple[Ints | None, Ints, Ints]:
    """How to put rows in order (None: they are, and no instant comes twice), the ranks of their series, their `at`."""
    series, at = _ranks(rows["series_id"]), micros(rows, "at")
    if bool(np.all((series[1:] > series[:-1]) | ((series[1:] == series[:-1]) & (at[1:] > at[:-1])))):
        return None, series, at
    order = np.lexsort((at, series))
    last = _last_of_run(series[order], at[order])
    again = ~last
    again[1:] |= ~last[:-1]
    if again.any():
        order[again] = order[again][_versions(rows.take(order[again]), at[order[again]], series[order[again]])]
    return order, series, at


def _versions(rows: pa.Table, at: Ints, series: Ints) -> Ints:
    """The order of rows of which each has others of its instant."""
    return np.lexsort((*reversed([numbers(rows, name) for name in deciding(rows.schema)]), at, series))


def _ranks(names: pa.ChunkedArray[Any]) -> Ints:
    """Whole numbers that compare as the names do."""
    encoded: Any = names.combine_chunks().dictionary_encode()
    by_name = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(by_name), np.int64)
    rank[by_name] = np.arange(len(by_name))
    ranks: Ints = rank[encoded.indices.to_numpy()]
    return ranks


def _last_of_run(*keys: Ints) -> Bools:
    """Where the next row has another key."""
    last = np.zeros(len(keys[0]), np.bool_)
    last[-1:] = True
    for key in keys:
        last[:-1] |= key[1:] != key[:-1]
    return last
