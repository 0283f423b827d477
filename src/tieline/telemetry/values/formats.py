"""How a table of values is written: JSON in rows or columns, CSV, NDJSON, Arrow, Parquet; a portion at a time."""

import csv
import enum
import io
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tieline.base.errors import Refused
from tieline.doors import cell

Column = Any  # an Array: the stubs of pyarrow do not know what all its functions take


class Format(enum.StrEnum):
    """The suffix of its path."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"
    ARROW = "arrow"
    PARQUET = "parquet"
    XML = "xml"  # Green Button


MEDIA = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
    Format.NDJSON: "application/x-ndjson",
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.XML: "application/atom+xml; charset=utf-8",
}
_ACCEPTED = {media.partition(";")[0]: one for one, media in MEDIA.items()} | {"application/ndjson": Format.NDJSON}
_ANYTHING = {"", "*/*", "application/*"}


def chosen(path: str, accept: str) -> Format:
    """By the suffix of the path, else by the first of what the caller accepts that we have. Raises `Refused`."""
    suffix = path.rpartition("/")[2].partition(".")[2]
    if suffix:
        return Format(suffix)
    offered = [one.partition(";")[0].strip().lower() for one in accept.split(",")]
    for media in offered:
        if media in _ACCEPTED or media in _ANYTHING:
            return _ACCEPTED.get(media, Format.JSON)
    if "text/*" in offered:
        return Format.CSV
    raise Refused(f"nothing of Accept: {accept[:100]} is given here: {', '.join(sorted(_ACCEPTED))}")


# --- text -------------------------------------------------------------------------------------------------------------


def records(rows: pa.Table, between: str = ",") -> bytes:
    """The rows as JSON objects: instants in RFC 3339, null for what is not a number; `between` follows each but the
    last."""
    parts: list[Any] = []
    for number, name in enumerate(rows.column_names):
        parts += [f'{"," if number else "{"}"{name}":', _json(_whole(rows, name))]
    return _joined([*parts, "}" + between], rows.num_rows).removesuffix(between.encode())


def arrays(rows: pa.Table) -> bytes:
    """The columns as a JSON object of arrays: instants in seconds since 1970, null for what is not a number."""
    told = []
    for name in rows.column_names:
        cells = _joined([_json(_in_seconds(_whole(rows, name))), ","], rows.num_rows).removesuffix(b",")
        told.append(b'"%s":[%s]' % (name.encode(), cells))
    return b"{%s}" % b",".join(told)


def lines(rows: pa.Table) -> bytes:
    """The rows as lines of CSV (RFC 4180) without its header; a cell is empty for what is not a number."""
    parts: list[Any] = []
    for name in rows.column_names:
        column = _whole(rows, name)
        text = pa.types.is_string(column.type)
        parts += [pc.fill_null(_each(column, _quoted) if text else _told(column), ""), ","]
    return _joined([*parts[:-1], "\r\n"], rows.num_rows)


def _whole(rows: pa.Table, name: str) -> Column:
    return rows[name].combine_chunks()


def _joined(parts: Sequence[Any], count: int) -> bytes:
    """The parts of all rows one after another. That is how a column of text lies in memory: nothing is copied twice."""
    if not count:
        return b""
    return bytes(_beside(*parts).buffers()[2])


def _beside(*parts: Any) -> Any:
    return pc.binary_join_element_wise(*parts, "")


def _json(column: Column) -> Column:
    told = _told(column)
    if pa.types.is_string(column.type):
        told = _each(column, lambda text: msgspec.json.encode(text).decode())
    elif pa.types.is_timestamp(column.type):
        told = _beside('"', told, '"')
    return pc.fill_null(told, "null")


def _told(column: Column) -> Column:
    """As text; null for what is not a number."""
    if pa.types.is_timestamp(column.type):
        return _rfc3339(column)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, None)
    return column.cast(pa.string())


def _each(column: Column, tell: Callable[[str], str]) -> Column:
    """Text that repeats, each told once."""
    encoded: Any = column.dictionary_encode()
    told = pa.array([tell(text) for text in encoded.dictionary.to_pylist()], pa.string())
    return told.take(encoded.indices)


def _quoted(text: str) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([cell(text)])
    return out.getvalue().removesuffix("\r\n")


def _rfc3339(column: Column) -> Column:
    """In UTC; microseconds only where there are any."""
    micros = column.cast(pa.timestamp("us"))
    seconds = micros.cast(pa.timestamp("s"), safe=False)
    told, whole = seconds.cast(pa.string()), pc.equal(seconds, micros)
    if not pc.all(whole).as_py():
        told = pc.if_else(whole, told, micros.cast(pa.string()))
    return _beside(pc.replace_substring(told, " ", "T"), "Z")


def _in_seconds(column: Column) -> Column:
    if not pa.types.is_timestamp(column.type):
        return column
    return pc.divide(column.cast(pa.int64()).cast(pa.float64()), 1e6)


# --- files ------------------------------------------------------------------------------------------------------------


class File(Protocol):
    """A file that is written while it is read: what `add` and `end` give, one after the other, is all of it."""

    def add(self, rows: pa.Table) -> bytes: ...
    def end(self) -> bytes: ...


def file(kind: Format, schema: pa.Schema, header: Sequence[str]) -> File:
    """`header` names the columns in CSV, where a unit must stand in the name."""
    match kind:
        case Format.CSV:
            return _Csv(header)
        case Format.ARROW | Format.PARQUET:
            return _Binary(kind, schema)
        case _:
            return _Ndjson()


def whole(kind: Format, rows: pa.Table) -> bytes:
    into = file(kind, rows.schema, rows.column_names)
    return into.add(rows) + into.end()


class _Csv:
    def __init__(self, header: Sequence[str]) -> None:
        self._head = ",".join(map(_quoted, header)).encode() + b"\r\n"

    def add(self, rows: pa.Table) -> bytes:
        return self._taken() + lines(rows)

    def end(self) -> bytes:
        return self._taken()

    def _taken(self) -> bytes:
        head, self._head = self._head, b""
        return head


class _Ndjson:
    def add(self, rows: pa.Table) -> bytes:
        return records(rows, "\n") + b"\n" if rows.num_rows else b""

    def end(self) -> bytes:
        return b""


class _Binary:
    def __init__(self, kind: Format, schema: pa.Schema) -> None:
        self._out = _Drained()
        target = pa.PythonFile(self._out, mode="w")
        # Zstandard, which all that reads Parquet knows; not in the stream, which the network's own may compress.
        self._writer: Any = (
            pa.ipc.new_stream(target, schema)
            if kind is Format.ARROW
            else pq.ParquetWriter(target, schema, compression="zstd")
        )

    def add(self, rows: pa.Table) -> bytes:
        self._writer.write_table(rows)
        return self._out.drained()

    def end(self) -> bytes:
        self._writer.close()
        return self._out.drained()


class _Drained(io.RawIOBase):
    """A file whose bytes are taken away as they come."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def tell(self) -> int:
        return self._at

    def writable(self) -> bool:
        return True

    def drained(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
