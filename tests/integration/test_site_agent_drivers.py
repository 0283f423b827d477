"""Drivers against what they speak to: a relay's pin, a plug by HTTP, the broker at home. Modbus has its own room."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from aiohttp import web
from gpiozero import Device as GpioDevice  # type: ignore[import-untyped]
from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]

from tests.integration.driver_world import RATED_KW, START, about, opened, wired
from tests.servers.nats import free_port
from tieline.adapters.nats.server import NatsServer
from tieline.base.errors import Refused, Unready
from tieline.base.time import VirtualClock
from tieline.ven.agent.drivers.driver import Reading, Wiring
from tieline.ven.agent.home import Home, HomeBroker


@pytest.fixture
async def wiring(tmp_path: Path) -> AsyncIterator[Wiring]:
    made = wired(tmp_path)
    yield made
    await made.close()


# --- simulated --------------------------------------------------------------------------------------------------------


async def test_a_simulated_load_obeys_and_cools_down(wiring: Wiring) -> None:
    assert isinstance(wiring.clock, VirtualClock)
    load = opened(wiring, type="simulated", temperature_c=50, heating_c_per_h=12, cooling_c_per_h=2)
    await wiring.clock.advance(1800)
    assert await load.read() == Reading(3.0, about(55.0))
    await load.limit(0.0)
    await wiring.clock.advance(3600)
    assert await load.read() == Reading(0.0, about(53.0))


async def test_a_simulated_load_comes_and_goes(wiring: Wiring) -> None:
    assert isinstance(wiring.clock, VirtualClock)
    load = opened(wiring, type="simulated", power_kw=2, on_s=60, off_s=30)
    seen = []
    for _ in range(6):
        seen.append((await load.read()).power_kw)
        await wiring.clock.advance(20)
    assert seen == [2.0, 2.0, 2.0, 0.0, 0.0, 2.0]


# --- a relay on a pin -------------------------------------------------------------------------------------------------


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    GpioDevice.pin_factory = MockFactory()
    yield GpioDevice.pin_factory
    GpioDevice.pin_factory.reset()
    GpioDevice.pin_factory = None


async def test_a_normally_closed_relay_opens_while_its_coil_is_drawn(wiring: Wiring, pins: MockFactory) -> None:
    relay = opened(wiring, type="gpio", pin=17)
    assert (pins.pin(17).state, await relay.read()) == (0, Reading(RATED_KW))
    await relay.limit(0.0)
    assert (pins.pin(17).state, await relay.read()) == (1, Reading(0.0))
    await relay.limit(None)
    assert (pins.pin(17).state, await relay.read()) == (0, Reading(RATED_KW))
    await relay.limit(RATED_KW)
    assert pins.pin(17).state == 0
    await relay.limit(0.0)
    await relay.close()
    assert pins.pin(17).function == "input"  # let go of: the contact falls closed


async def test_a_normally_open_relay_and_a_board_that_draws_low(wiring: Wiring, pins: MockFactory) -> None:
    relay = opened(wiring, type="gpio", pin=27, contact="normally_open", active_high=False)
    assert (pins.pin(27).state, await relay.read()) == (0, Reading(RATED_KW))
    await relay.limit(1.0)
    assert (pins.pin(27).state, await relay.read()) == (1, Reading(0.0))
    await relay.close()


def test_a_pin_that_another_load_has_is_refused(tmp_path: Path, pins: MockFactory) -> None:
    wiring = wired(tmp_path)
    first = opened(wiring, type="gpio", pin=17)
    with pytest.raises(Refused, match="load boiler, pin 17"):
        opened(wiring, type="gpio", pin=17)
    asyncio.run(first.close())


# --- HTTP -------------------------------------------------------------------------------------------------------------


class Plug:
    """A plug as Shelly makes them, with a charger's limit beside."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.body = json.dumps({"apower": 1830.5, "meters": [{"power": 7}], "temperature": {"tC": 41.2}})
        self.auth = ""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        text = await request.text()
        self.asked.append(f"{request.method} {request.path_qs} {text}".strip())
        self.auth = request.headers.get("Authorization", "")
        return web.Response(status=self.status, text=self.body, content_type="application/json")


@pytest.fixture
async def plug() -> AsyncIterator[tuple[Plug, str]]:
    made = Plug()
    runner = web.ServerRunner(web.Server(made.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, "http://{}:{}".format(*runner.addresses[0][:2])
    await runner.cleanup()


def shelly(url: str) -> dict[str, Any]:
    return {
        "type": "http",
        "read": f"{url}/rpc/Switch.GetStatus?id=0",
        "power": "apower",
        "scale": 0.001,
        "temperature": "temperature.tC",
        "hold": {"url": f"{url}/rpc/Switch.Set?id=0&on=false&toggle_after=180"},
        "free": {"url": f"{url}/rpc/Switch.Set?id=0&on=true"},
    }


async def test_a_plug_is_read_and_switched(wiring: Wiring, plug: tuple[Plug, str]) -> None:
    made, url = plug
    driver = opened(wiring, **shelly(url))
    assert await driver.read() == Reading(about(1.8305), 41.2)
    await driver.limit(0.0)
    await driver.limit(None)
    assert made.asked[1:] == [
        "GET /rpc/Switch.Set?id=0&on=false&toggle_after=180",
        "GET /rpc/Switch.Set?id=0&on=true",
    ]
    await driver.close()


async def test_a_charger_is_told_its_limit_in_its_own_words(
    wiring: Wiring, plug: tuple[Plug, str], tmp_path: Path
) -> None:
    made, url = plug
    (tmp_path / "password").write_text("s3cret\n")
    hold = {"url": f"{url}/limit", "method": "PUT", "body": '{"watts": ${limit_w}, "percent": ${limit_percent}}'}
    driver = opened(wiring, type="http", user="me", password_file="password", hold=hold, free={"url": f"{url}/free"})
    await driver.limit(1.5)
    assert made.asked == ['PUT /limit {"watts": 1500, "percent": 50}']
    assert made.auth == f"Basic {base64.b64encode(b'me:s3cret').decode()}"
    assert await driver.read() == Reading(None, None)
    await driver.close()


@pytest.mark.parametrize("body", ["{", "{}", "[]", '{"apower": null}', '{"apower": "much"}', "x" * 70_000])
async def test_an_answer_that_makes_no_sense_is_a_fault(wiring: Wiring, plug: tuple[Plug, str], body: str) -> None:
    made, url = plug
    made.body = body
    driver = opened(wiring, **shelly(url))
    with pytest.raises(Unready, match="GetStatus"):
        await driver.read()
    await driver.close()


async def test_an_error_and_a_plug_that_is_gone_are_faults(wiring: Wiring, plug: tuple[Plug, str]) -> None:
    made, url = plug
    made.status = 500
    driver = opened(wiring, **shelly(url))
    with pytest.raises(Unready, match="500"):
        await driver.limit(0.0)
    await driver.close()
    gone = opened(wiring, **shelly(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(Unready, match="GetStatus"):
        await gone.read()
    await gone.close()


# --- the broker at home -----------------------------------------------------------------------------------------------


@pytest.fixture
async def broker(nats_server: NatsServer) -> AsyncIterator[aiomqtt.Client]:
    """The home's own client at its broker."""
    async with aiomqtt.Client(
        nats_server.mqtt_host, nats_server.mqtt_port, username=nats_server.user, password=nats_server.password
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def running(home: HomeBroker) -> AsyncIterator[None]:
    task = asyncio.create_task(home.run())
    try:
        async with asyncio.timeout(90):
            while home.trouble:
                await asyncio.sleep(0.02)
            yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def at_home(server: NatsServer, folder: Path) -> tuple[HomeBroker, Wiring]:
    clock = VirtualClock(START)
    home = HomeBroker(Home(server.mqtt_host, server.mqtt_port, user=server.user), server.password, "cabin", clock)
    return home, Wiring(clock, folder, home)


ZIGBEE = {"type": "mqtt", "power_topic": "zigbee2mqtt/boiler", "power": "power", "scale": 0.001, "temperature": "t"}


async def test_a_plug_is_read_from_its_topic_while_that_is_fresh(
    nats_server: NatsServer, broker: aiomqtt.Client, tmp_path: Path
) -> None:
    home, wiring = at_home(nats_server, tmp_path)
    assert isinstance(wiring.clock, VirtualClock)
    plug = opened(wiring, **ZIGBEE)
    async with running(home):
        with pytest.raises(Unready, match="nothing was heard on zigbee2mqtt/boiler"):
            await plug.read()
        await broker.publish("zigbee2mqtt/boiler", '{"power": 1830, "t": 41.5, "linkquality": 90}')
        while home.heard("zigbee2mqtt/boiler") is None:
            await asyncio.sleep(0.02)
        assert await plug.read() == Reading(about(1.83), 41.5)
        await wiring.clock.advance(timedelta(minutes=6).total_seconds())
        with pytest.raises(Unready, match="nothing was heard"):
            await plug.read()


async def test_a_plug_is_told_its_limit_and_again_when_the_broker_is_back(
    nats_server: NatsServer, broker: aiomqtt.Client, tmp_path: Path
) -> None:
    home, wiring = at_home(nats_server, tmp_path)
    plug = opened(
        wiring, **ZIGBEE, limit_topic="zigbee2mqtt/boiler/set", hold='{"state": "OFF"}', free='{"state": "ON"}'
    )
    await broker.subscribe("zigbee2mqtt/boiler/set", qos=1)
    with pytest.raises(Unready, match="the broker at home"):
        await plug.limit(0.0)
    async with running(home):
        assert (await anext(broker.messages)).payload == b'{"state": "OFF"}'
        await plug.limit(None)
        assert (await anext(broker.messages)).payload == b'{"state": "ON"}'


async def test_an_agent_that_is_gone_is_told_by_its_last_will(
    nats_server: NatsServer, broker: aiomqtt.Client, tmp_path: Path
) -> None:
    home, _ = at_home(nats_server, tmp_path)
    await broker.subscribe(home.availability_topic, qos=1)
    async with running(home):
        assert (await anext(broker.messages)).payload == b"online"
        assert home._client is not None
        line = home._client._client.socket()
        assert line is not None
        line.close()
        assert (await anext(broker.messages)).payload == b"offline"


def test_a_load_on_mqtt_needs_a_broker_at_home(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"\[home\]"):
        opened(wired(tmp_path), **ZIGBEE)
