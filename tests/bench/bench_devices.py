"""A fleet connected over TLS and one event to all of it: memory a device, time to connect, how long until the last has
its command and until all answers are in the ledger. Beside each what the same machine does at best in the same run.

`python -m tests.bench.bench_devices [NUMBER]`: 2,000 devices, or so many. They are thin ones (`swarm`), in a process of
their own; the platform is `tieline up` with its own broker, SQLite and everything else.
"""

import asyncio
import contextlib
import json
import resource
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.bench.swarm import LOAD_KW, packet, packets, publish, text
from tests.e2e.platform import Platform
from tieline.adapters.nats.configuration import USER
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import RatedClock, iso
from tieline.registry import actions as registry
from tieline.registry.importing import import_sheet
from tieline.wires.mqtt.messages import COMMAND, topic

DEVICES = 2000
EVENTS = 3
BARE = 2000
GOAL_HEARD_S, GOAL_LEDGER_S = 1.0, 5.0
PATIENCE_S = 600.0
CALM_S, CALM_PERCENT = 3, 15
PAYLOAD = b'{"command_id":"none","padding":"' + b"." * 300 + b'"}'
"""As long as a command of one load is."""


def said(name: str, value: str, beside: str = "") -> None:
    print(f"{name:<62} {value:>12}   {beside}", flush=True)


def quantiles(heard: list[float], since: float) -> tuple[float, float, float]:
    """p50, p99 and the last, in seconds."""
    after = sorted(at - since for at in heard)
    return after[len(after) // 2], after[int(len(after) * 0.99)], after[-1]


class Swarm:
    """The process of the devices, asked line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def do(self, what: str, **more: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what} | more).encode() + b"\n")
        return await self.told()

    async def told(self) -> Any:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self._process.stdout.readline()
        if not line:
            raise SystemExit("the devices are gone")
        return json.loads(line)

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, platform: Platform, secrets: list[tuple[str, str]]) -> AsyncIterator["Swarm"]:
        devices = platform.folder / "devices.json"
        devices.write_text(json.dumps(secrets))
        command = [sys.executable, "-m", "tests.bench.swarm", platform.mqtt_port, authority(platform), devices]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*map(str, command), stdin=pipe, stdout=pipe, limit=1 << 24)
        try:
            yield cls(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


# --- registered -------------------------------------------------------------------------------------------------------


async def registered(folder: Path, number: int) -> list[tuple[str, str]]:
    """Before the platform starts: imported from a sheet, and a secret for each."""
    clock = RatedClock()
    async with SqliteRows(folder / "rows.sqlite", clock) as rows:
        await rows.migrate()
        began = time.monotonic()
        for first in range(0, number, 5000):
            sheet = "site_id,zone,ven_id,resource_id,kind,rated_kw,sheddable\n" + "".join(
                f"site-{n},Europe/Lisbon,home-{n},heater,water_heater,4,yes\n"
                for n in range(first, min(number, first + 5000))
            )
            report = await import_sheet(rows, clock, sheet.encode(), dry_run=False)
            assert report.refused == 0, report.items[0]
        imported = time.monotonic() - began
        names = [f"home-{n}" for n in range(number)]
        given = await asyncio.gather(*(registry.renew_credential(rows, clock, name) for name in names))
    said(
        f"{number} VENs imported, SQLite",
        f"{number / imported:.0f} /s",
        f"with secrets {time.monotonic() - began:.1f} s",
    )
    return [(one.ven_id, one.secret) for one in given]


# --- connected --------------------------------------------------------------------------------------------------------


async def connected(platform: Platform, swarm: Swarm, number: int) -> None:
    assert platform.process is not None
    broker, own = psutil.Process(platform.nats_pid()), psutil.Process(platform.process.pid)
    bare = min(number, BARE)
    handshakes = (await swarm.do("handshake", devices=bare))["seconds"] / bare
    await calm(own)
    before = {one.pid: (one.memory_info().rss, one.cpu_times()) for one in (broker, own)}
    seconds = (await swarm.do("connect"))["seconds"]
    await calm(own)
    least = handshakes * number
    said("all connected: TLS, who they are, subscribed", f"{seconds:.1f} s", f"{number / seconds:.0f} /s")
    said("bare TLS handshakes with the same broker", f"{least:.1f} s", f"connecting takes {seconds / least:.1f} of it")
    for name, process in (("broker", broker), ("platform", own)):
        rss, times = before[process.pid]
        now = process.cpu_times()
        more, cpu = process.memory_info().rss - rss, now.user + now.system - times.user - times.system
        said(f"    {name}, a device", f"{more / 1024 / number:.1f} KiB", f"{cpu / number * 1e3:.2f} ms of a core")


async def reported(platform: Platform, swarm: Swarm, number: int) -> None:
    seconds = (await swarm.do("report"))["seconds"]
    rate = 3 * number / seconds
    began = time.monotonic()

    def live() -> bool:
        fleet = platform.get("/v1/fleet")
        return bool(fleet["online"] >= number and fleet["controllable_kw"] >= 0.999 * number * LOAD_KW)

    await until(live, "all are seen", every_s=0.5)
    said(
        "presence, meter and load of each, confirmed at QoS 1",
        f"{rate:.0f} /s",
        f"all seen {time.monotonic() - began:.1f} s after",
    )


# --- told -------------------------------------------------------------------------------------------------------------


async def transport(platform: Platform, swarm: Swarm, secrets: list[tuple[str, str]]) -> None:
    """One message to each device: bare, and as the platform says it."""
    topics = [topic(COMMAND, ven_id) for ven_id, _ in secrets]
    context = ssl.create_default_context(cafile=authority(platform))
    context.check_hostname = False
    password = (platform.folder / "data" / "nats" / "password").read_text()

    async def bare() -> None:
        await say_bare(platform.mqtt_port, context, password, topics)

    async with MqttPublisher(
        "127.0.0.1", platform.mqtt_port, user=USER, password=password, tls=lambda: context, timeout_s=60
    ) as publisher:

        async def ours() -> None:
            await publisher.publish_all([(one, PAYLOAD) for one in topics])

        ways: list[tuple[str, Callable[[], Awaitable[None]]]] = [("bare loop", bare), ("MqttPublisher", ours)]
        for name, way in ways * 2:
            await swarm.do("listen", answers=False)
            began = time.monotonic()
            await way()
            taken = time.monotonic() - began
            p50, p99, last = quantiles((await swarm.told())["heard"], began)
            said(
                f"one retained message to each, {name}",
                f"{last:.2f} s",
                f"heard p50 {p50:.2f}, p99 {p99:.2f} s; the broker had all after {taken:.2f} s",
            )
            await asyncio.sleep(2)


async def say_bare(port: int, context: ssl.SSLContext, password: str, topics: list[str]) -> None:
    """What no publisher can beat: all packets written at once, their answers counted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    head = text("MQTT") + b"\x04\xc2\x00\x00"
    writer.write(packet(0x10, head + text("bench") + text(USER) + text(password)))
    payload = PAYLOAD
    writer.write(b"".join(b"\x33" + publish(one, payload)[1:] for one in topics))
    held, left = bytearray(), len(topics) + 1
    while left:
        held += await reader.read(1 << 16)
        left -= sum(1 for _ in packets(held))
    writer.close()


class Told(NamedTuple):
    """What became of one message to the whole fleet, in seconds from when it was asked for: until all but a hundredth
    had heard it, and until all answers were in the ledger."""

    what: str
    heard_s: float
    entered_s: float

    def within(self) -> bool:
        return self.heard_s < GOAL_HEARD_S and self.entered_s < GOAL_LEDGER_S


async def event(platform: Platform, swarm: Swarm, number: int, name: str) -> list[Told]:
    """Published, heard by all, answered by all; stopped, and given back by all."""
    await swarm.do("report")
    await until(
        lambda: platform.get("/v1/fleet")["controllable_kw"] >= 0.999 * number * LOAD_KW, "all report", every_s=0.5
    )
    await swarm.do("listen", answers=True)
    start = datetime.now(UTC) + timedelta(seconds=50)
    window = {"start_at": iso(start), "end_at": iso(start + timedelta(hours=1))}
    new = {"program_id": "bench", "target_kw": 2 * LOAD_KW * number, **window}
    began, busy = time.monotonic(), Busy.of(platform, swarm)
    event_id = (await asyncio.to_thread(platform.post, "/v1/events", new))["event_id"]
    heard = (await swarm.told())["heard"]
    await until(lambda: platform.get(f"/v1/events/{event_id}")["rows"]["acked"] == number, "all answered", every_s=0.1)
    entered = time.monotonic() - began
    published = tell(f"{name} published", heard, began, entered)
    busy.tell()
    await swarm.do("listen", answers=True)
    began, busy = time.monotonic(), Busy.of(platform, swarm)
    await asyncio.to_thread(platform.post, f"/v1/events/{event_id}/cancel", None, 200)
    heard = (await swarm.told())["heard"]
    await until(lambda: platform.get(f"/v1/events/{event_id}")["rows"]["restored"] == number, "all back", every_s=0.1)
    cancelled = tell(f"{name} cancelled", heard, began, time.monotonic() - began)
    busy.tell()
    return [published, cancelled]


def tell(what: str, heard: list[float], began: float, entered: float) -> Told:
    first = min(heard)
    p50, p99, last = quantiles(heard, began)
    said(f"{what} ▸ first command heard", f"{first - began:.2f} s")
    said(
        f"{what} ▸ command heard",
        f"{p99:.2f} s",
        f"p99; p50 {p50:.2f}, last {last:.2f} s; goal {GOAL_HEARD_S:g}: {p99 / GOAL_HEARD_S:.1f} of it",
    )
    said("    of which after the first was heard", f"{quantiles(heard, first)[1]:.2f} s", "p99")
    said(
        f"{what} ▸ all answers in the ledger",
        f"{entered:.2f} s",
        f"goal {GOAL_LEDGER_S:g}: {entered / GOAL_LEDGER_S:.1f} of it",
    )
    return Told(what, p99, entered)


def judge(told: Sequence[Told], number: int) -> None:
    """What the issue promises, beside what it was."""
    print(f"\none event to {number} devices over TLS: last command heard (p99) < {GOAL_HEARD_S:g} s, "
          f"all answers in the ledger < {GOAL_LEDGER_S:g} s")  # fmt: skip
    for one in told:
        said(one.what, f"{one.heard_s:.2f} s", f"ledger {one.entered_s:.2f} s: {'within' if one.within() else 'OVER'}")


class Busy:
    """How long cores were at work, process by process: on a machine with other work it says more than the clock."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        self.processes, self.before = processes, {name: spent(one) for name, one in processes.items()}

    @classmethod
    def of(cls, platform: Platform, swarm: Swarm) -> "Busy":
        assert platform.process is not None
        pids = {"platform": platform.process.pid, "broker": platform.nats_pid(), "devices": swarm.pid}
        return cls({name: psutil.Process(pid) for name, pid in pids.items()})

    def tell(self) -> None:
        parts = {name: spent(one) - self.before[name] for name, one in self.processes.items()}
        said(
            "    seconds of a core, until then",
            f"{sum(parts.values()):.2f} s",
            ", ".join(f"{name} {s:.2f}" for name, s in parts.items()),
        )


def spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def calm(process: psutil.Process) -> None:
    """Until it has worked off what came before: registering ten thousand has many consequences."""
    deadline, quiet = time.monotonic() + PATIENCE_S, 0
    while quiet < CALM_S and time.monotonic() < deadline:
        quiet = quiet + 1 if process.cpu_percent(interval=1) < CALM_PERCENT else 0


async def until(found: Callable[[], bool], what: str, every_s: float) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(found):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE_S:g} s: {what}")
        await asyncio.sleep(every_s)


def authority(platform: Platform) -> Path:
    return platform.folder / "data" / "nats" / "mqtt-ca.pem"


def check_files(number: int) -> None:
    """A connection is a file, here and in the broker."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number + 500:
        raise SystemExit(f"{number} devices need as many open files, and this machine allows {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def bench(folder: Path, number: int) -> None:
    platform = Platform(folder, mqtt_tls="true", log_level="warning", resend_s=120)
    secrets = await registered(folder / "data", number)
    try:
        await asyncio.to_thread(platform.start)
        platform.post("/v1/programs", {"program_id": "bench", "name": "Bench"})
        async with Swarm.of(platform, secrets) as swarm:
            await connected(platform, swarm, number)
            await transport(platform, swarm, secrets)
            await reported(platform, swarm, number)
            told: list[Told] = []
            for n in range(1, EVENTS + 1):
                name = f"event {n}" if n > 1 else "first event after the start"
                told += await event(platform, swarm, number, name)
        judge(told, number)
    finally:
        platform.close()


def main(number: int) -> None:
    check_files(number)
    with tempfile.TemporaryDirectory(prefix="tieline-bench-") as folder:
        (Path(folder) / "data").mkdir()
        asyncio.run(bench(Path(folder), number))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DEVICES)
