"""Loading: bytes of a file into Series, with a record of how it ended."""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime

import msgspec
import pyarrow as pa

from tieline import metrics
from tieline.base.errors import Broken, Refused
from tieline.base.series import empty
from tieline.base.time import MICROSECOND, Clock
from tieline.feeds import reads, store
from tieline.feeds.model import LoadedFile, Outcome, account, extent, news
from tieline.ports import Blobs, Rows, Series, Transaction
from tieline.registry import actions as registry
from tieline.wires.sources import files, mapped
from tieline.wires.sources.mapped import Mapping
from tieline.wires.sources.parsed import Parsed

LARGE = 4 << 20  # bytes of a file; a ZIP of so many holds a million readings
AT_ONCE = 500_000  # readings compared with what is known in one question to Series


async def load(
    data: bytes,
    name: str,
    *,
    rows: Rows,
    series: Series,
    blobs: Blobs,
    clock: Clock,
    mapped_by: bytes | None = None,
) -> Outcome:
    """Load a file: loaded, partly loaded, or failed with its reason kept; never raises `Refused` for what is in it.

    The bytes are kept first, and with them those of the mapping (TOML) that says what the table means, if one is given;
    raises `Refused` for what is no mapping. The same bytes again are a no-op, whatever their name, until the mapping
    or the parsers change; a load that was cut off halfway is completed by loading again.
    """
    mapping = None if mapped_by is None else mapped.mapping(mapped_by)
    digest = await blobs.put(data)
    key = None if mapped_by is None else await blobs.put(mapped_by)
    known = await rows.read(lambda reader: reads.find_file(reader, digest))
    if known is not None and (known.version, known.mapping) == (files.VERSION, key):
        return Outcome(known, stored=0, again=True)
    parsed, reason = await _parsed(data, name, mapping)
    now, stored = clock.now(), 0
    if parsed is not None:
        declared = parsed.declarations
        # Before its readings: rollups pass over those of a series that nobody has declared, and do not come back.
        await rows.transaction(lambda tx: registry.declare_series(tx, declared, now))
        stored = await _store(parsed, _writer(digest, key), series, now)
    file = account(digest, name, parsed, now, reason, key)
    await rows.transaction(lambda tx: _record(tx, file, now))
    metrics.FILES.labels(file.state).inc()
    return Outcome(file, stored=stored, again=False)


async def _parsed(data: bytes, name: str, mapping: Mapping | None) -> tuple[Parsed | None, str | None]:
    try:
        if len(data) < LARGE:
            return await asyncio.to_thread(files.parse, data, name, mapping), None
        return await _parsed_apart(data, name, mapping), None
    except Refused as refused:
        return None, str(refused)


async def _parsed_apart(data: bytes, name: str, mapping: Mapping | None) -> Parsed:
    """In a process of its own: a month of every unit takes many seconds, which would starve all else here."""
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, files.parse, data, name, mapping)
    except BrokenProcessPool as died:
        raise Broken(f"the process that read {name} died, perhaps for lack of memory") from died
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


async def _store(parsed: Parsed, writer: str, series: Series, now: datetime) -> int:
    """Append what is not known yet in one commit. A load that was cut off after it finds its own commit there."""
    parts = [await _news(parsed.rows.slice(n, AT_ONCE), series, now) for n in range(0, parsed.rows.num_rows, AT_ONCE)]
    new = pa.concat_tables(parts or [empty()])
    if new.num_rows:
        await series.append(new, writer=writer, position=files.VERSION)
    return new.num_rows


def _writer(digest: str, mapping: str | None) -> str:
    return f"feeds-{digest[:16]}" if mapping is None else f"feeds-{digest[:16]}-{mapping[:16]}"


async def _news(rows: pa.Table, series: Series, now: datetime) -> pa.Table:
    ids, first, last = extent(rows)
    latest = await series.scan(ids, first, last + MICROSECOND)
    return await asyncio.to_thread(news, rows, latest, now)


def _record(tx: Transaction, file: LoadedFile, now: datetime) -> None:
    store.put_file(tx, file)
    said = {"digest": file.digest, "name": file.name, "dataset": file.dataset, "state": file.state, "at": now}
    tx.say("news.file.loaded", msgspec.json.encode(said))
