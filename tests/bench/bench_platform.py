"""The whole platform as its user has it: time to ready, idle memory, processor time with 500 homes, and how long
after an event is published the last of 500 VENs has its command. Each beside the goal that the project set itself."""

import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from tests.e2e.platform import LOAD, Platform
from tieline.base.time import iso
from tieline.ven.session import Session
from tieline.wires.mqtt.messages import (
    ACK,
    LOADS,
    METER,
    Ack,
    Answer,
    Command,
    Load,
    Loads,
    LoadState,
    Meter,
    Op,
    Sample,
)

STARTS = 5
REGISTERED = 200
VENS = 500
SETTLE_S, WATCH_S = 20, 40
EVENTS = 8


def figure(name: str, value: float, unit: str, limit: float) -> None:
    print(f"{name:<62} {value:8.2f} {unit:<4} goal {limit:g} {unit}: {value / limit:5.2f} of it", flush=True)


def family(platform: Platform) -> list[psutil.Process]:
    assert platform.process is not None
    parent = psutil.Process(platform.process.pid)
    return [parent, *parent.children(recursive=True)]


def start_up(folder: Path) -> None:
    seconds = []
    for n in range(STARTS):
        place = folder / f"start-{n}"
        place.mkdir()
        platform = Platform(place)
        began = time.monotonic()
        platform.start()
        seconds.append(time.monotonic() - began)
        platform.close()
    figure(f"start to ready, median of {STARTS}", statistics.median(seconds), "s", 3.0)


def idle_memory(platform: Platform) -> None:
    for n in range(REGISTERED):
        platform.register(f"idle-{n}", *[LOAD | {"resource_id": f"load-{i}"} for i in range(8)])
    time.sleep(SETTLE_S)
    used = sum(one.memory_full_info().uss for one in family(platform)) / 2**20
    resident = sum(one.memory_info().rss for one in family(platform)) / 2**20
    figure(f"idle memory, {REGISTERED} homes registered, child included (resident)", resident, "MB", 300)
    print(f"{'of which nobody else shares':<62} {used:8.2f} MB")


def processor(folder: Path) -> None:
    """Platform, broker and simulator together, one message of each home each 5 s of real time."""
    platform = Platform(folder)
    try:
        platform.start("up", "--fleet", str(VENS))
        everyone = lambda: platform.get("/v1/fleet")["online"] >= VENS  # noqa: E731
        platform.eventually(everyone, "the fleet is live", 180)
        time.sleep(SETTLE_S)
        processes = family(platform)
        before = sum(_cpu(one) for one in processes)
        time.sleep(WATCH_S)
        used = sum(_cpu(one) for one in processes) - before
        figure(f"processor time, {VENS} homes, everything, of one core", 100 * used / WATCH_S, "%", 15)
        for process in processes:
            share = 100 * _cpu(process) / (time.time() - process.create_time())
            print(f"    {process.name():<20} {share:6.2f} % since its start")
    finally:
        platform.close()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class Listener:
    """A VEN with one load that accepts what it is told and notes when it was told."""

    def __init__(self, platform: Platform, ven_id: str, secret: str) -> None:
        self.got: dict[str, float] = {}
        self._session = Session(ven_id, secret, host="127.0.0.1", port=platform.mqtt_port, on_command=self._obey)
        self.run = self._session.run
        self.connected = self._session.connected

    def report(self) -> None:
        now = datetime.now(UTC)
        self._session.send(METER, Meter([Sample(now, 3.0)]))
        self._session.send(LOADS, Loads(now, [Load("heater", 3.0, 3.0, LoadState.ON)]))

    def _obey(self, command: Command) -> None:
        if command.op is Op.EVENT:
            self.got.setdefault(command.event_id, time.monotonic())
        self._session.send(ACK, Ack(command.command_id, Answer.ACCEPTED, datetime.now(UTC)))


async def command_latency(platform: Platform) -> None:
    platform.post("/v1/programs", {"program_id": "bench", "name": "Bench"})
    listeners = [Listener(platform, f"ven-{n}", platform.register(f"ven-{n}")) for n in range(VENS)]
    tasks = [asyncio.create_task(one.run()) for one in listeners]
    await asyncio.gather(*(one.connected.wait() for one in listeners))
    delays: list[float] = []
    last: list[float] = []
    for _ in range(EVENTS):
        for one in listeners:
            one.report()
        await asyncio.sleep(4)
        start = datetime.now(UTC) + timedelta(seconds=30)
        window = {"start_at": iso(start), "end_at": iso(start + timedelta(minutes=5))}
        new = {"program_id": "bench", "target_kw": 10.0 * VENS, **window}
        began = time.monotonic()
        event_id = (await asyncio.to_thread(platform.post, "/v1/events", new))["event_id"]
        while not all(event_id in one.got for one in listeners):
            assert time.monotonic() - began < 30, "a command did not come"
            await asyncio.sleep(0.01)
        delays += [one.got[event_id] - began for one in listeners]
        last.append(max(one.got[event_id] for one in listeners) - began)
        await asyncio.to_thread(platform.post, f"/v1/events/{event_id}/cancel", None, 200)
        await asyncio.sleep(3)
    figure(
        f"event published to command had by each of {VENS} VENs, p99", sorted(delays)[int(0.99 * len(delays))], "s", 1.0
    )
    figure(f"the same, the last of the {VENS}, worst of {EVENTS} events", max(last), "s", 1.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tieline-bench-") as name:
        folder = Path(name)
        start_up(folder)
        (folder / "idle").mkdir()
        platform = Platform(folder / "idle")
        try:
            platform.start()
            idle_memory(platform)
            asyncio.run(command_latency(platform))
        finally:
            platform.close()
        (folder / "processor").mkdir()
        processor(folder / "processor")


if __name__ == "__main__":
    main()
