"""Changes of twins a second, beside what they stand on: puts into the bucket, and compare-and-sets with a get before.

Run it with `python -m tests.bench.bench_twins [seconds]`.
"""

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
from nats.aio.client import Client

from tests.servers.nats import free_port
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.documents import NatsDocuments
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import RatedClock
from tieline.ports import Documents
from tieline.registry import actions as registry
from tieline.registry.model import NewSite, NewVen
from tieline.registry.twins import reads
from tieline.registry.twins.actions import Twins
from tieline.registry.twins.model import TwinChange
from tieline.wires.mqtt.messages import TwinReport

CLIENTS = 100
ROUNDS = 6
STATE = {"setpoint_c": 21.5, "fan": "low", "mode": {"eco": True, "until": None}, "limits_kw": [1.0, 2.0, 3.0]}
Work = Callable[[str, int], Awaitable[object]]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Client, NatsDocuments, SqliteRows]]:
    """A server of its own, its store synced as by default, and as many VENs as there are clients."""
    server = NatsServer(folder / "nats", mqtt_port=free_port())
    await server.start()
    connection = await connect([server.url], user=server.user, password=server.password)
    clock = RatedClock()
    async with SqliteRows(folder / "rows.sqlite", clock) as rows:
        await rows.migrate()
        for number in range(CLIENTS):
            site = NewSite(f"s{number}", "Site", "Europe/Lisbon")
            await registry.register_ven(rows, clock, NewVen(f"home-{number}", f"home-{number}", site=site))
        yield connection, await NatsDocuments.open(connection), rows
    await connection.close()
    await server.stop()


async def rate(seconds: float, work: Work) -> float:
    """Of clients that each wait for theirs to be durable before the next, each on a twin of its own."""
    until = time.perf_counter() + seconds

    async def client(ven_id: str) -> int:
        count = 0
        while time.perf_counter() < until:
            await work(ven_id, count)
            count += 1
        return count

    done = await asyncio.gather(*(client(f"home-{number}") for number in range(CLIENTS)))
    return sum(done) / seconds


def puts(connection: Client, data: bytes) -> Work:
    js = connection.jetstream()

    async def put(ven_id: str, _: int) -> None:
        await js.publish(f"$KV.tieline.put.{ven_id}", data)

    return put


def swaps(documents: Documents, data: bytes) -> Work:
    async def swap(ven_id: str, _: int) -> None:
        before = await documents.get(f"swap.{ven_id}")
        await documents.put(f"swap.{ven_id}", data, expected=before.revision if before else 0)

    return swap


def changes(twins: Twins) -> Work:
    async def change(ven_id: str, count: int) -> None:
        await twins.change(ven_id, "changed", TwinChange(desired=STATE, reported=STATE | {"n": count}))

    return change


def reports(twins: Twins) -> Work:
    began = RatedClock().now()
    positions = itertools.count(1)

    async def report(ven_id: str, count: int) -> None:
        said_at = began + timedelta(milliseconds=count)
        await twins.report(ven_id, TwinReport("reported", STATE | {"n": count}), next(positions), said_at)

    return report


async def told(topic: str, payload: bytes, *, retain: bool) -> None:
    """Nobody: none of it differs."""


async def measure(folder: Path, seconds: float) -> None:
    async with opened(folder) as (connection, documents, rows):
        twins = Twins(documents, rows, RatedClock(), told)
        one = await twins.change("home-0", "classic", TwinChange(desired=STATE, reported=STATE))
        kept = await documents.get(reads.key("home-0", "classic"))
        assert kept is not None
        works = {
            "puts into the bucket, the limit": puts(connection, kept.data),
            "Documents: a get, then compare-and-set": swaps(documents, kept.data),
            "reports of devices entered": reports(twins),
            "changes of operators, their VEN known": changes(twins),
        }
        rates = dict.fromkeys(works, 0.0)
        for _ in range(ROUNDS):  # in turns: what else the machine does, each has its share of
            for named, work in works.items():
                rates[named] += await rate(seconds / ROUNDS, work) / ROUNDS
    print(
        f"{CLIENTS} clients, twins of {len(msgspec.json.encode(one.reported))} bytes a section, {len(kept.data)} kept"
    )
    limit, swapped, *_ = rates.values()
    for named, ours in rates.items():
        print(
            f"{named:<40}{ours:>8,.0f} a second   {ours / limit:.2f} of the limit   {ours / swapped:.2f} of get and set"
        )


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:  # on a disk: /tmp may be memory
        asyncio.run(measure(Path(folder), seconds))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 6.0)
