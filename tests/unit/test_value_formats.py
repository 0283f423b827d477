"""Formats of values: each gives back what was written, in as many portions as you like; what a caller accepts."""

import csv
import io
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.base.series import INSTANT
from tieline.base.time import EPOCH, instant, micros, parse_instant
from tieline.telemetry.values.formats import Format, arrays, chosen, file, records

SCHEMA = pa.schema(
    {"series_id": pa.string(), "at": INSTANT, "value": pa.float64(), "flags": pa.int16()}  # type: ignore[arg-type]
)
COLUMNS = SCHEMA.names

instants = st.integers(0, micros(datetime(2200, 1, 1, tzinfo=UTC))).map(lambda us: EPOCH + timedelta(microseconds=us))
whole = instants.map(lambda at: at.replace(microsecond=0))
values = st.floats() | st.none()
told = st.lists(
    st.tuples(
        st.sampled_from(["home-1.power_kw", "a~2F.b", 'EUR,"MWh"\n', "\\ é\t"]),
        instants | whole,
        values,
        st.integers(0, 255),
    ),
    max_size=30,
)


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows, strict=True)] or [[], [], [], []], schema=SCHEMA)


def plain(value: float | None) -> float | None:
    """As text has it: what is no number is nothing."""
    return None if value is None or not math.isfinite(value) else value


def written(kind: Format, rows: pa.Table, cut: int) -> bytes:
    into = file(kind, rows.schema, COLUMNS)
    return into.add(rows.slice(0, cut)) + into.add(rows.slice(cut)) + into.end()


def read(kind: Format, data: bytes) -> list[tuple[Any, ...]]:
    rows: list[dict[str, Any]]
    match kind:
        case Format.CSV:
            lines = csv.DictReader(io.StringIO(data.decode(), newline=""))
            rows = [
                {**line, "value": float(line["value"]) if line["value"] else None, "flags": int(line["flags"])}
                for line in lines
            ]
        case Format.NDJSON:
            rows = [json.loads(line) for line in data.splitlines()]
        case Format.ARROW:
            return [tuple(row.values()) for row in pa.ipc.open_stream(data).read_all().to_pylist()]
        case _:
            return [tuple(row.values()) for row in pq.read_table(io.BytesIO(data)).to_pylist()]
    return [(row["series_id"], parse_instant(row["at"]), row["value"], row["flags"]) for row in rows]


@settings(max_examples=40, deadline=None)
@given(told, st.integers(0, 30))
def test_every_format_gives_the_same_values(rows: list[tuple[Any, ...]], cut: int) -> None:
    text = [(name, at, plain(value), flags) for name, at, value, flags in rows]
    for kind in (Format.CSV, Format.NDJSON):
        assert read(kind, written(kind, table(rows), cut)) == text
    for kind in (Format.ARROW, Format.PARQUET):
        found = [
            (name, instant(at), value, flags) for name, at, value, flags in read(kind, written(kind, table(rows), cut))
        ]
        assert repr(found) == repr(rows)  # nan is not equal to itself
    assert [tuple(row.values()) for row in json.loads(b"[%s]" % records(table(rows)))] == [
        (name, told_at(at), value, flags) for name, at, value, flags in text
    ]
    columns = json.loads(arrays(table(rows)))
    assert list(zip(*columns.values(), strict=True)) == [
        (name, micros(at) / 1e6, value, flags) for name, at, value, flags in text
    ]


def told_at(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def test_parquet_opens_in_duckdb(tmp_path: Any) -> None:
    rows = table([("home-1.power_kw", EPOCH, 1.5, 0), ("home-1.power_kw", EPOCH + timedelta(hours=1), 2.5, 4)])
    (tmp_path / "values.parquet").write_bytes(written(Format.PARQUET, rows, 1))
    with duckdb.connect(":memory:") as tool:
        found = tool.execute(f"""SELECT sum(value), max(epoch("at")) FROM '{tmp_path}/values.parquet'""").fetchall()
    assert found == [(4.0, 3600.0)]


def test_what_a_spreadsheet_would_run_is_text() -> None:
    data = file(Format.CSV, SCHEMA, ["=1+1,", "at", "value", "flags"]).add(table([("=1+1", EPOCH, 1.0, 0)]))
    assert data == b"\"'=1+1,\",at,value,flags\r\n'=1+1,1970-01-01T00:00:00Z,1,0\r\n"


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/v1/series/a.b/values", "", Format.JSON),
        ("/v1/series/a.csv/values", "*/*", Format.JSON),
        ("/v1/series/a.b/values", "text/html, application/xhtml+xml, */*;q=0.8", Format.JSON),
        ("/v1/series/a.b/values", "text/csv", Format.CSV),
        ("/v1/series/a.b/values", "application/vnd.apache.parquet;q=1, text/csv;q=0.5", Format.PARQUET),
        ("/v1/series/a.b/values.arrow", "text/csv", Format.ARROW),
        ("/v1/series/a.b/values.xml", "", Format.XML),
    ],
)
def test_the_suffix_says_what_is_wanted_then_what_is_accepted(path: str, accept: str, kind: Format) -> None:
    assert chosen(path, accept) is kind


def test_what_nobody_can_give_is_refused_with_what_can_be() -> None:
    with pytest.raises(Refused, match="text/csv"):
        chosen("/v1/series/a/values", "image/png")
