"""Modbus against pymodbus's own simulator: meters, relays and chargers, by TCP and on a serial line; and faults."""

import asyncio
import contextlib
import os
import select
import threading
import tty
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.integration.driver_world import RATED_KW, about, opened, settings, wired
from tests.servers.nats import free_port
from tieline.base.errors import Refused, Unready
from tieline.ven.agent.drivers.driver import Place, Reading, Wiring
from tieline.ven.agent.drivers.fitting import fitted


@pytest.fixture
async def wiring(tmp_path: Path) -> AsyncIterator[Wiring]:
    made = wired(tmp_path)
    yield made
    await made.close()


HOLDING = [SimData(100, values=1250, datatype=DataType.UINT32), SimData(200, values=65535, datatype=DataType.UINT16)]
INPUT = [
    SimData(12, values=2100.0, datatype=DataType.FLOAT32),
    SimData(20, values=-205, datatype=DataType.INT16),
]


def device() -> SimDevice:
    coils = [SimData(0, count=16, values=False, datatype=DataType.BITS)]
    return SimDevice(1, simdata=(coils, [SimData(0, datatype=DataType.BITS, values=False)], HOLDING, INPUT))


@contextlib.asynccontextmanager
async def meter_by_tcp(port: int) -> AsyncIterator[None]:
    server = ModbusTcpServer(device(), address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    try:
        yield
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture
async def modbus_port() -> AsyncIterator[int]:
    port = free_port()
    async with meter_by_tcp(port):
        yield port


async def test_a_meter_is_read_from_its_registers(wiring: Wiring, modbus_port: int) -> None:
    power = {"register": 12, "scale": 0.001}
    temperature = {"register": 20, "kind": "int16", "scale": 0.1}
    meter = opened(
        wiring, type="modbus", host="127.0.0.1", port=modbus_port, power=power, temperature=temperature
    )  # fmt: skip
    assert await meter.read() == Reading(about(2.1), about(-20.5))


async def test_a_charger_is_held_by_its_register(wiring: Wiring, modbus_port: int) -> None:
    table = {"power": {"register": 100, "table": "holding", "kind": "uint32", "scale": 0.001}}
    limit = {"by": "register", "register": 200, "scale": 0.01, "free": 65535}
    charger = opened(wiring, type="modbus", host="127.0.0.1", port=modbus_port, limit=limit, **table)
    assert (await charger.read()).power_kw == about(1.25)
    async with AsyncModbusTcpClient("127.0.0.1", port=modbus_port) as other:
        await charger.limit(1.4)
        assert (await other.read_holding_registers(200, device_id=1)).registers == [140]
        await charger.limit(None)
        assert (await other.read_holding_registers(200, device_id=1)).registers == [65535]


async def test_a_relay_is_switched_by_its_coil(wiring: Wiring, modbus_port: int) -> None:
    relay = opened(wiring, type="modbus", host="127.0.0.1", port=modbus_port, limit={"by": "coil", "coil": 3})
    seen = []
    for limit_kw in (None, 0.5, None, RATED_KW):
        await relay.limit(limit_kw)
        seen.append((await relay.read()).power_kw)
    assert seen == [RATED_KW, 0.0, RATED_KW, RATED_KW]


async def test_a_register_that_is_not_there_is_a_fault(wiring: Wiring, modbus_port: int) -> None:
    meter = opened(wiring, type="modbus", host="127.0.0.1", port=modbus_port, power={"register": 999})
    with pytest.raises(Unready, match="read_input_registers 999"):
        await meter.read()


async def test_a_meter_that_is_gone_is_a_fault_and_is_found_when_it_is_back(wiring: Wiring) -> None:
    port = free_port()
    meter = opened(wiring, type="modbus", host="127.0.0.1", port=port, power={"register": 12, "scale": 0.001})
    with pytest.raises(Unready, match="cannot be reached"):
        await meter.read()
    for _ in range(2):
        async with meter_by_tcp(port):
            assert (await meter.read()).power_kw == about(2.1)
        with pytest.raises(Unready):
            await meter.read()


async def test_devices_of_one_line_share_its_connection_and_take_turns(wiring: Wiring, modbus_port: int) -> None:
    where = {"type": "modbus", "host": "127.0.0.1", "port": modbus_port}
    meter = opened(wiring, **where, power={"register": 12, "scale": 0.001})
    relay = opened(wiring, **where, limit={"by": "coil", "coil": 3})
    reads = await asyncio.gather(*(one.read() for one in (meter, relay) * 10))
    assert reads == [Reading(about(2.1)), Reading(RATED_KW)] * 10
    assert meter._line is relay._line  # type: ignore[attr-defined]


@contextlib.contextmanager
def serial_line() -> Iterator[tuple[str, str]]:
    """Two ends of a line, as two pseudo-terminals and what carries bytes between them."""
    pairs = [os.openpty(), os.openpty()]
    for pair in pairs:
        for end in pair:
            tty.setraw(end)
    stop, wake = os.pipe()

    def carry(source: int, target: int) -> None:
        while True:
            ready, _, _ = select.select([source, stop], [], [])
            if stop in ready:
                return
            os.write(target, os.read(source, 1024))

    (first, near), (second, far) = pairs
    threads = [threading.Thread(target=carry, args=ends) for ends in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    try:
        yield os.ttyname(near), os.ttyname(far)
    finally:
        os.write(wake, b"x")
        for thread in threads:
            thread.join()
        for end in (first, near, second, far, stop, wake):
            os.close(end)


async def test_a_meter_is_read_on_a_serial_line(wiring: Wiring) -> None:
    with serial_line() as (near, far):
        server = ModbusSerialServer(device(), port=far, baudrate=9600)
        await server.serve_forever(background=True)
        try:
            meter = opened(wiring, type="modbus", serial=near, power={"register": 12, "scale": 0.001})
            assert (await meter.read()).power_kw == about(2.1)
        finally:
            await wiring.close()
            await server.shutdown()  # type: ignore[no-untyped-call]


def test_a_modbus_device_is_at_one_place(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="name one of the two"):
        opened(wired(tmp_path), type="modbus")


async def test_a_load_with_a_meter_and_a_sensor_beside_is_one_driver(wiring: Wiring) -> None:
    port = free_port()
    where = {"type": "modbus", "host": "127.0.0.1", "port": port}
    meter = settings(**where, power={"register": 12, "scale": 0.001})
    sensor = settings(**where, temperature={"register": 20, "kind": "int16", "scale": 0.1})
    load = fitted(Place(wiring, "boiler", RATED_KW), settings(type="simulated"), meter, sensor)
    async with meter_by_tcp(port):
        assert await load.read() == Reading(about(2.1), about(-20.5))
    with pytest.raises(Unready):
        await load.read()
    await load.close()
