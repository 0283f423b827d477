"""The simulated fleet against a real broker: it enrols, delivers its past, reports, obeys, and tells the truth.

The HTTP side is a few lines that speak the contract of /v1; the platform's own tests run the two together.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import msgspec
import pytest

from tests.servers.devices import device_door, secret
from tieline.adapters.nats.server import NatsServer
from tieline.base.errors import Unready
from tieline.sim import fleet, reach
from tieline.sim.fleet import Summary
from tieline.sim.options import Options
from tieline.ven.client import Client
from tieline.wires.mqtt.codec import encode
from tieline.wires.mqtt.messages import ACK, COMMAND, METER, Ack, Answer, Command, Limit, Loads, Meter, Op, topic

START = datetime(2026, 7, 14, 23, 38, 20, tzinfo=UTC)  # 16:38 in California


class Platform:
    """The doors of a platform, and what came in through them."""

    def __init__(self, broker: NatsServer) -> None:
        self._broker, self._wall, self.speed = broker, time.time(), 1.0
        self.vens: dict[str, Any] = {}
        self.renewed: list[str] = []
        self.meters: dict[str, list[Meter]] = defaultdict(list)
        self.loads: dict[str, list[Loads]] = defaultdict(list)
        self.acks: dict[str, list[Ack]] = defaultdict(list)

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=(time.time() - self._wall) * self.speed)

    def client(self) -> Client:
        return Client("http://platform", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = msgspec.json.decode(request.content) if request.content else {}
        match request.method, request.url.path.split("/")[2:]:
            case "PUT", ["clock"]:
                self._wall, self.speed = time.time(), body["speed"]
                return self._index()
            case "GET", []:
                return self._index()
            case "POST", ["vens"]:
                known = body["ven_id"] in self.vens
                self.vens[body["ven_id"]] = body
                granted = {"ven": {}, "secret": secret(body["ven_id"])}
                return httpx.Response(409, json={"detail": "exists"}) if known else httpx.Response(201, json=granted)
            case "POST", ["vens", ven_id, "credential"]:
                self.renewed.append(ven_id)
                return httpx.Response(201, json={"ven_id": ven_id, "secret": secret(ven_id)})
        return httpx.Response(404, json={"detail": f"no {request.url}"})

    def _index(self) -> httpx.Response:
        where = {"mqtt_host": self._broker.mqtt_host, "mqtt_port": self._broker.mqtt_port}
        about = {"name": "Tieline", "version": "0", "site_zone": "America/Los_Angeles"}
        now = self.now.isoformat().replace("+00:00", "Z")
        return httpx.Response(200, json={**about, **where, "now_at": now, "speed": self.speed})

    async def listen(self, client: aiomqtt.Client) -> None:
        for kind in ("oadr/meter/+", "ven/loads/+", "ven/ack/+"):
            await client.subscribe(kind)
        async for message in client.messages:
            kind, _, ven_id = message.topic.value.rpartition("/")
            if kind == METER:
                self.meters[ven_id].append(msgspec.json.decode(message.payload, type=Meter))
            elif kind == ACK:
                self.acks[ven_id].append(msgspec.json.decode(message.payload, type=Ack))
            else:
                self.loads[ven_id].append(msgspec.json.decode(message.payload, type=Loads))


@pytest.fixture
async def door(nats_server: NatsServer) -> AsyncIterator[aiomqtt.Client]:
    async with device_door(nats_server) as client:
        yield client


@pytest.fixture
async def platform(nats_server: NatsServer, door: aiomqtt.Client) -> AsyncIterator[Platform]:
    platform = Platform(nats_server)
    listening = asyncio.create_task(platform.listen(door))
    yield platform
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening


def options(tmp_path: Path, **choice: Any) -> Options:
    usual: dict[str, Any] = {
        "homes": 6, "speed": 120.0, "history_days": 2, "no_shows": 0.0, "opt_outs": 0.0,
        "state": tmp_path / "state.json", "truth": tmp_path / "truth.ndjson",
    }  # fmt: skip
    return Options(**usual | choice)


@contextlib.asynccontextmanager
async def running(platform: Platform, chosen: Options) -> AsyncIterator["asyncio.Task[Summary]"]:
    stop = asyncio.Event()
    task = asyncio.create_task(fleet.run(chosen, stop=stop, client=platform.client()))
    try:
        async with asyncio.timeout(90):
            yield task
    finally:
        stop.set()
        await asyncio.wait((task,))
    task.result()


async def until(platform: Platform, at: datetime, homes: int) -> None:
    """Until every home has reported beyond that instant."""
    while True:
        latest = [max(s.at for message in messages for s in message.samples) for messages in platform.meters.values()]
        if len(latest) == homes and min(latest) >= at:
            return
        await asyncio.sleep(0.05)


def event(platform: Platform, ven_id: str, start: datetime, end: datetime) -> Command:
    sheddable = [r["resource_id"] for r in platform.vens[ven_id]["resources"] if r["sheddable"]]
    return Command(
        command_id=f"c-{ven_id}", op=Op.EVENT, event_id="e-1", issued_at=platform.now, expires_at=end,
        start_at=start, end_at=end, limits=[Limit(resource_id=r, limit_kw=0.0) for r in sheddable],
    )  # fmt: skip


def truth(chosen: Options) -> list[tuple[datetime, float, float]]:
    assert chosen.truth is not None
    lines = [msgspec.json.decode(line) for line in chosen.truth.read_bytes().splitlines()]
    return [(datetime.fromisoformat(told["at"]), told["power_kw"], told["without_events_kw"]) for told in lines]


async def test_a_fleet_enrols_delivers_its_past_and_reports(platform: Platform, tmp_path: Path) -> None:
    chosen = options(tmp_path)
    async with running(platform, chosen) as task:
        await until(platform, START + timedelta(minutes=8), 6)
    summary = task.result()
    assert platform.speed == 120.0
    assert sorted(platform.vens) == [f"home-{n:04d}" for n in range(1, 7)]
    assert (summary.homes, summary.commands, summary.dropped) == (6, 0, 0)
    assert summary.used_kwh == summary.without_events_kwh
    for ven_id, messages in platform.meters.items():
        samples = [sample for message in messages for sample in message.samples]
        assert len(messages[0].samples) == 2 * 96
        assert [s.at for s in samples] == sorted({s.at for s in samples})
        assert {s.at.second for s in samples} == {0}
        resources = {r["resource_id"] for r in platform.vens[ven_id]["resources"]}
        assert {load.resource_id for load in platform.loads[ven_id][-1].loads} == resources
    told = truth(chosen)
    for at, power_kw, without_kw in told[:5]:
        measured = [s.power_kw for ms in platform.meters.values() for m in ms for s in m.samples if s.at == at]
        assert sum(measured) == pytest.approx(power_kw, abs=0.001)
        assert power_kw == without_kw
    assert chosen.state.stat().st_mode & 0o777 == 0o600


async def test_homes_obey_an_event_and_restore_themselves(
    platform: Platform, door: aiomqtt.Client, tmp_path: Path
) -> None:
    chosen = options(tmp_path)
    async with running(platform, chosen):
        await until(platform, START, 6)
        start = platform.now.replace(second=0, microsecond=0) + timedelta(minutes=4)
        end = start + timedelta(minutes=10)
        for ven_id in platform.vens:
            command = msgspec.json.encode(event(platform, ven_id, start, end))
            for _ in range(2):  # said twice, acted on once
                await door.publish(topic(COMMAND, ven_id), command, qos=1, retain=True)
        await until(platform, end + timedelta(minutes=3), 6)
    for acks in platform.acks.values():
        assert [ack.answer for ack in acks] == [Answer.ACCEPTED] * 2
        assert acks[0] == acks[1]
    begun = max(start, *(ack.at for acks in platform.acks.values() for ack in acks))  # a slow machine may be late
    lines = truth(chosen)
    assert all(power == without for at, power, without in lines if at <= start)
    assert all(power < without for at, power, without in lines if begun + timedelta(minutes=1) <= at <= end)
    states = {(loads.at, load.state) for all_ in platform.loads.values() for loads in all_ for load in loads.loads}
    assert any(start < at <= end for at, state in states if state == "shed")
    assert not any(at > end + timedelta(minutes=1) for at, state in states if state == "shed")


async def test_homes_obey_an_operator_s_own_commands(platform: Platform, door: aiomqtt.Client, tmp_path: Path) -> None:
    async with running(platform, options(tmp_path, history_days=0)):
        await until(platform, START, 6)
        start = platform.now
        end = start + timedelta(minutes=12)
        for ven_id in platform.vens:
            own = Command("d-1", Op.SHED_PANEL, start, end, end_at=end, limit_kw=0.0)
            get = Command("d-2", Op.GET, start, end, names=["panel.limit_kw", "meter_kw"])
            for command in (own, get):
                await door.publish(topic(COMMAND, ven_id), encode(command, packed=True), qos=1)
        await until(platform, end + timedelta(minutes=3), 6)
    for acks in platform.acks.values():
        assert {ack.command_id: ack.answer for ack in acks} == dict.fromkeys(("d-1", "d-2"), Answer.ACCEPTED)
        values = next(ack.values for ack in acks if ack.command_id == "d-2")
        assert isinstance(values["meter_kw"], float)
    told = [(loads.at, load) for all_ in platform.loads.values() for loads in all_ for load in loads.loads]
    begun = max(ack.at for acks in platform.acks.values() for ack in acks) + timedelta(minutes=2)
    held = [load for at, load in told if begun < at <= end and load.state == "shed"]
    assert held
    assert all(load.withheld_kw for load in held)
    assert any(load.hold_s for load in held)
    assert not any(load.withheld_kw for at, load in told if at > end + timedelta(minutes=1))


async def test_some_are_deaf_some_opt_out(platform: Platform, door: aiomqtt.Client, tmp_path: Path) -> None:
    async with running(platform, options(tmp_path, homes=8, no_shows=0.5, opt_outs=0.5, history_days=0)):
        await until(platform, START, 8)
        start = platform.now + timedelta(minutes=1)
        for ven_id in platform.vens:
            command = event(platform, ven_id, start, start + timedelta(minutes=30))
            await door.publish(topic(COMMAND, ven_id), msgspec.json.encode(command), qos=1, retain=True)
        await until(platform, start + timedelta(minutes=15), 8)  # the absent are back, and have delivered
    answers = [ack.answer for acks in platform.acks.values() for ack in acks]
    assert Answer.OPTED_OUT in answers
    assert len(platform.acks) < 8


async def test_a_second_run_tells_nothing_twice(platform: Platform, tmp_path: Path) -> None:
    chosen = options(tmp_path, history_days=1)
    async with running(platform, chosen):
        await until(platform, START + timedelta(minutes=4), 6)
    async with running(platform, chosen):
        await until(platform, platform.now + timedelta(minutes=4), 6)
    assert platform.renewed == []
    for messages in platform.meters.values():
        at = [sample.at for message in messages for sample in message.samples]
        assert len(at) == len(set(at))


async def test_without_its_state_a_known_home_gets_a_new_secret(platform: Platform, tmp_path: Path) -> None:
    chosen = options(tmp_path, history_days=0)
    async with running(platform, chosen):
        await until(platform, START, 6)
    chosen.state.unlink()
    async with running(platform, chosen):
        await until(platform, platform.now, 6)
    assert sorted(platform.renewed) == sorted(platform.vens)


async def test_a_platform_that_does_not_answer_is_unready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(reach, "READY_S", 0.2)
    with pytest.raises(Unready, match="Is the platform up"):
        await fleet.run(options(tmp_path), client=Client("http://platform", transport=httpx.MockTransport(refuse)))


async def test_a_signal_stops_it_with_everything_delivered(platform: Platform, tmp_path: Path) -> None:
    chosen = options(tmp_path, history_days=0)
    task = asyncio.create_task(fleet.run(chosen, client=platform.client()))
    async with asyncio.timeout(90):
        await until(platform, START, 6)
        os.kill(os.getpid(), signal.SIGTERM)
        summary = await task
        await until(platform, truth(chosen)[-1][0], 6)
    assert summary.reports == len(truth(chosen))
