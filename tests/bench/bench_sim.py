"""What simulated homes and MQTT sessions cost: `python -m tests.bench.bench_sim`.

A substep is printed beside one numpy operation over as many homes; a session beside the time the same loop takes to
do nothing. The sessions meet a real broker on loopback.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from tests.servers.devices import device_door, secret
from tests.servers.nats import free_port
from tieline.adapters.nats.server import NatsServer
from tieline.sim.homes import warmed_up
from tieline.ven.session import Session
from tieline.wires.mqtt.messages import METER, Meter, Sample

AT = datetime(2026, 7, 14, 23, tzinfo=UTC)
SESSIONS, RATE, SECONDS = 500, 100, 10


def cost(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU each."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times * 1e6


def homes(count: int) -> None:
    fleet = warmed_up(count, 7, AT, zone="America/Los_Angeles", latitude=36.74, longitude=-119.79)
    a, b = np.ones(count), np.zeros(count)
    limit = cost(lambda: np.minimum(a, b), 20_000)
    substep = cost(lambda: fleet.step(fleet.at + timedelta(seconds=60)), 1440)
    start = time.process_time()
    for _ in range(14 * 96):
        fleet.step(fleet.at + timedelta(minutes=15), substep_s=120)
    print(
        f"{count} homes: {substep:.0f} µs a substep ({substep / limit:.0f} numpy operations of {limit:.2f} µs), "
        f"a fortnight in {time.process_time() - start:.1f} s"
    )


async def sessions() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder), mqtt_port=free_port())
        await server.start()
        try:
            async with device_door(server):
                await _sessions(server)
        finally:
            await server.stop()


async def _sessions(server: NatsServer) -> None:
    fleet = [
        Session(f"home-{i}", secret(f"home-{i}"), host=server.mqtt_host, port=server.mqtt_port, on_command=print)
        for i in range(SESSIONS)
    ]
    start = time.perf_counter()
    tasks = [asyncio.create_task(session.run()) for session in fleet]
    await asyncio.gather(*(session.connected.wait() for session in fleet))
    print(f"{SESSIONS} sessions connected in {time.perf_counter() - start:.1f} s, the callout in the same process")
    await asyncio.sleep(2)
    idle = await _share(fleet, 0)
    for rate in (RATE, 10 * RATE):
        busy = await _share(fleet, rate)
        print(
            f"{rate} messages/s: {busy:.1%} of a core, {idle:.1%} when silent: {(busy - idle) / rate * 1e6:.0f} µs each"
        )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _share(fleet: list[Session], rate: int) -> float:
    """Of one core, over some seconds at that rate."""
    message = Meter(samples=[Sample(at=AT, power_kw=1.234)])
    cpu, start, sent = time.process_time(), time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < SECONDS:
        while sent < elapsed * rate:
            fleet[sent % len(fleet)].send(METER, message)
            sent += 1
        await asyncio.sleep(0.05)
    await asyncio.gather(*(session.drained() for session in fleet))
    return (time.process_time() - cpu) / (time.perf_counter() - start)


if __name__ == "__main__":
    for size in (200, 500):
        homes(size)
    asyncio.run(sessions())
