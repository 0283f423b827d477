"""Ingest: a stream filled with device messages, and 200 live MQTT publishers, until every reading is committed.

Beside each figure of a filled stream stands how fast the same frames are read and acknowledged with nothing done, in
the same run, and how long the store alone takes for the same rows. Run it on a machine that does nothing else.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from tests.bench.publishers import meter
from tests.servers.nats import free_port
from tieline.adapters.nats import frames
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.line import NatsConnection
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.series import DeltaSeries
from tieline.base.time import RatedClock
from tieline.telemetry.flood import Bounds
from tieline.telemetry.flooding import Flooding
from tieline.telemetry.intake import AT_ONCE, DEVICES, GROUP, Intake
from tieline.telemetry.model import Known, Limits
from tieline.telemetry.tail import WRITER, Tail

VENS = 1000
PUBLISHERS, LIVE_MESSAGES, LIVE_READINGS = 200, 2000, 3
FILL_AT_ONCE = 2000
NO_LIMIT = Bounds(per_s=1e9, burst=1_000_000_000)


def figure(name: str, value: float, unit: str, goal: float) -> None:
    print(f"{name:<64} {value:12,.0f} {unit:<11} goal {goal:,g}: {value / goal:5.2f} of it", flush=True)


class World:
    """One broker, and the intake and tail of one process, all known VENs in memory."""

    def __init__(self, server: NatsServer, connection: NatsConnection, log: NatsLog, folder: Path) -> None:
        self.server, self.connection, self.log, self.folder = server, connection, log, folder
        clock, absent = RatedClock(), None
        nobody: Any = absent  # nothing is refused here, and nobody is unknown
        flooding = Flooding(log, nobody, nobody, clock, clock, NO_LIMIT)
        self.series = DeltaSeries.in_folder(folder / f"series-{time.monotonic_ns()}")
        self.intake = Intake(log, nobody, clock, Limits(), lambda _: None, flooding)
        self.intake.taking.known = {f"home-{n}": Known(f"home-{n}", 24.0, {}) for n in range(VENS)}
        self.tail = Tail(log, self.series, seals=True, seal_seconds=2)

    async def fill(self, messages: int, readings: int) -> None:
        """As the broker would of its clients, without their cost."""
        payloads = _payloads(messages // VENS, readings)
        line, stream = await self.connection.lines.line(), self.connection.jetstream()
        before = (await stream.stream_info("$MQTT_msgs")).state.last_seq
        for first in range(0, messages, FILL_AT_ONCE):
            some = range(first, min(messages, first + FILL_AT_ONCE))
            line.write(
                b"".join(
                    frames.publish(b"$MQTT.msgs.oadr.meter.home-%d" % (n % VENS), payloads[n // VENS]) for n in some
                )
            )
            while (await stream.stream_info("$MQTT_msgs")).state.last_seq < before + some[-1] + 1 - 20_000:
                await asyncio.sleep(0.01)
        while (await stream.stream_info("$MQTT_msgs")).state.last_seq < before + messages:
            await asyncio.sleep(0.01)

    async def idle(self, messages: int) -> float:
        """Seconds to read and acknowledge them, and no more."""
        began, left = time.perf_counter(), messages
        async with contextlib.aclosing(self.log.work(DEVICES, group=GROUP, at_once=AT_ONCE)) as deliveries:  # type: ignore[type-var]
            async for delivery in deliveries:
                await self.connection.lines.acknowledge([one.reply for one in delivery._messages])
                left -= len(delivery._messages)
                if left <= 0:
                    return time.perf_counter() - began
        raise AssertionError

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.tail.run()), asyncio.create_task(self.intake.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def committed(self, readings: int) -> None:
        """Until so many rows are in the table."""
        while self.rows() < readings:
            await asyncio.sleep(0.02)
            if self.tail.position and await self.log.waiting(DEVICES, group=GROUP) == 0:
                await self.tail.seal()

    def rows(self) -> int:
        return sum(file.rows for file in self.series._table.files())

    async def store_alone(self, readings: int) -> float:
        """Seconds that the same rows take to be committed, in as large commits."""
        rows = await asyncio.to_thread(_all_rows, self.series)
        assert rows.num_rows == readings
        again, seconds = DeltaSeries.in_folder(self.folder / f"again-{time.monotonic_ns()}"), 0.0
        for position, first in enumerate(range(0, readings, 250_000), 1):
            began = time.perf_counter()
            await again.append(rows.slice(first, 250_000), writer=WRITER, position=position)
            seconds += time.perf_counter() - began
        await again.close()
        return seconds


def _payloads(each: int, readings: int) -> list[bytes]:
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=60 + each * readings)
    return [meter(first + timedelta(seconds=n * readings), readings) for n in range(each)]


def _all_rows(series: DeltaSeries) -> pa.Table:
    from deltalake import DeltaTable

    found = pa.table(DeltaTable(series._place.url).to_pyarrow_table())
    return found.select([name for name in found.column_names if name != "month"]).cast(series._shape)


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    server = NatsServer(folder / "nats", mqtt_port=free_port())
    await server.start()
    connection = await connect([server.url], user=server.user, password=server.password)
    log = await NatsLog.open(connection)
    async with MqttPublisher(server.mqtt_host, server.mqtt_port, user=server.user, password=server.password):
        await log.prepare(DEVICES, group=GROUP)
        made = World(server, connection, log, folder)
        yield made
        await made.series.close()
    await connection.close()
    await server.stop()


async def filled(folder: Path, messages: int, readings: int, goal: float, unit: str) -> None:
    async with world(folder) as here:
        await here.fill(messages, readings)
        idle_s = await here.idle(messages)
        await here.fill(messages, readings)
        own, theirs = psutil.Process(), _broker()
        before, began = (_cpu(own), _cpu(theirs)), time.perf_counter()
        async with here.running():
            await here.committed(messages * readings)
            seconds = time.perf_counter() - began
        cpu = [1e6 * (_cpu(one) - was) / messages for one, was in zip((own, theirs), before, strict=True)]
        store_s = await here.store_alone(messages * readings)
        times = readings if unit == "readings/s" else 1
        name = f"filled stream to committed, {readings} readings a message"
        figure(name, times * messages / seconds, unit, goal)
        print(f"    the same frames read, acknowledged, nothing done {messages / idle_s:18,.0f} messages/s")
        print(f"    the store alone, the same rows {messages * readings / store_s:36,.0f} readings/s")
        figure("    of that rate, once the store is subtracted", 100 * idle_s / (seconds - store_s), "%", 50)
        print(f"    processor a message: this process {cpu[0]:.1f} us, the broker {cpu[1]:.1f} us")


async def live(folder: Path) -> None:
    async with world(folder) as here:
        arguments = [str(one) for one in (here.server.mqtt_port, PUBLISHERS, LIVE_MESSAGES, LIVE_READINGS)]
        command = [sys.executable, "-m", "tests.bench.publishers", *arguments]
        process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{here.server.user} {here.server.password}\n".encode())
        assert json.loads(await process.stdout.readline())["ready"]
        async with here.running():
            began = time.perf_counter()
            process.stdin.write(b"go\n")
            told = json.loads(await process.stdout.readline())
            await here.committed(told["confirmed"] * LIVE_READINGS)
            seconds = time.perf_counter() - began
        await process.wait()
        assert here.rows() == told["confirmed"] * LIVE_READINGS, "a confirmed reading is missing, or is there twice"
        figure(
            f"live, {PUBLISHERS} publishers, PUBLISH to committed", told["confirmed"] / seconds, "messages/s", 30_000
        )
        print(f"    confirmed by the broker {told['confirmed'] / told['seconds']:43,.0f} messages/s")


def _broker() -> psutil.Process:
    return next(one for one in psutil.Process().children(recursive=True) if "nats" in one.name())


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tieline-bench-") as name:
        for number, work in enumerate(
            [
                lambda folder: filled(folder, 400_000, 3, 100_000, "messages/s"),
                lambda folder: filled(folder, 100_000, 20, 1_000_000, "readings/s"),
                live,
            ]
        ):
            asyncio.run(work(Path(name) / str(number)))


if __name__ == "__main__":
    main()
