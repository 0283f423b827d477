"""A meter, a relay or a charger on Modbus, by TCP or on a serial line (pymodbus; `tieline[modbus]`).

One connection to each address, whoever is behind it: a serial line has many devices, and gateways take few callers.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tieline.base.errors import Refused, Unready
from tieline.ven.agent.drivers.driver import DriverSettings, Place, Reading

if TYPE_CHECKING:
    from pymodbus.client.base import ModbusBaseClient

TIMEOUT_S = 2.0

Address = Annotated[int, Meta(ge=0, le=65535)]
Kind = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number in registers from address `register` on, counted from 0; in kW, or °C, once multiplied by `scale`."""

    register: Address
    table: Literal["input", "holding"] = "input"
    kind: Kind = "float32"
    words: Literal["big", "little"] = "big"
    scale: Annotated[float, Meta(gt=0)] = 1.0


class Coil(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="coil", tag_field="by"):
    """A relay: the coil has the value `held` while the load is off."""

    coil: Address
    held: bool = True


class Setpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="register", tag_field="by"):
    """The limit itself in holding registers, in kW once multiplied by `scale`; `free` is what to write for none."""

    register: Address
    free: float
    kind: Kind = "uint16"
    words: Literal["big", "little"] = "big"
    scale: Annotated[float, Meta(gt=0)] = 1.0


class Modbus(DriverSettings, frozen=True, tag="modbus"):
    """By TCP at `host`, or on the serial line `serial`; `unit` is the device's own address there."""

    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    host: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 502
    serial: str = ""
    baudrate: Annotated[int, Meta(ge=300)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    power: Number | None = None
    temperature: Number | None = None
    limit: Coil | Setpoint | None = None

    @property
    def can_hold(self) -> bool:
        return self.limit is not None

    @property
    def is_stepless(self) -> bool:
        return isinstance(self.limit, Setpoint)

    def open(self, place: Place) -> "ModbusDevice":
        """Raises `Refused` when it is not said where the device is."""
        if bool(self.host) == bool(self.serial):
            raise Refused(
                f"load {place.load_id}: a Modbus device is at a host or on a serial line: name one of the two"
            )
        address = self.serial or (self.host, self.port)
        line = place.wiring.shared(address, lambda: Line(_client(self, place.load_id), str(address)))
        return ModbusDevice(self, line, place.rated_kw)


class Line:
    """One connection, one call at a time, made again when it was lost."""

    def __init__(self, client: "ModbusBaseClient", name: str) -> None:
        self.client = client
        self._name = name
        self._turn = asyncio.Lock()

    async def call(self, function: str, *arguments: Any, **named: Any) -> Any:
        """The answer of that function of the client. Raises `Unready`."""
        from pymodbus import ModbusException  # noqa: PLC0415  only where there is such a device

        async with self._turn:
            try:
                if not (self.client.connected or await self.client.connect()):
                    raise Unready(f"{self._name} cannot be reached")
                answer = await getattr(self.client, function)(*arguments, **named)
            except (ModbusException, OSError) as error:
                self.client.close()
                raise Unready(f"{self._name}: {error}") from None
        if answer.isError():
            raise Unready(f"{self._name} refuses {function} {arguments[0]}: {answer}")
        return answer

    async def close(self) -> None:
        self.client.close()


class ModbusDevice:
    def __init__(self, settings: Modbus, line: Line, rated_kw: float) -> None:
        self._settings = settings
        self._line = line
        self._rated_kw = rated_kw

    async def read(self) -> Reading:
        settings = self._settings
        power_kw = await self._number(settings.power) if settings.power else None
        temperature_c = await self._number(settings.temperature) if settings.temperature else None
        if power_kw is None and isinstance(settings.limit, Coil):
            power_kw = 0.0 if await self._is_held(settings.limit) else self._rated_kw
        return Reading(power_kw, temperature_c)

    async def limit(self, limit_kw: float | None) -> None:
        limit, unit = self._settings.limit, self._settings.unit
        if isinstance(limit, Coil):
            is_free = limit_kw is None or limit_kw >= self._rated_kw
            await self._line.call("write_coil", limit.coil, limit.held != is_free, device_id=unit)
        elif isinstance(limit, Setpoint):
            value = limit.free if limit_kw is None else limit_kw / limit.scale
            await self._line.call("write_registers", limit.register, self._registers(limit, value), device_id=unit)

    async def close(self) -> None:
        """The line is closed once, for all who use it."""

    async def _number(self, number: Number) -> float:
        kind = self._line.client.DATATYPE[number.kind.upper()]
        read = f"read_{number.table}_registers"
        named = {"count": kind.value[1], "device_id": self._settings.unit}
        answer = await self._line.call(read, number.register, **named)
        value: Any = self._line.client.convert_from_registers(answer.registers, kind, word_order=number.words)
        return float(value) * number.scale

    async def _is_held(self, limit: Coil) -> bool:
        answer = await self._line.call("read_coils", limit.coil, count=1, device_id=self._settings.unit)
        return bool(answer.bits[0]) == limit.held

    def _registers(self, limit: Setpoint, value: float) -> list[int]:
        kind = self._line.client.DATATYPE[limit.kind.upper()]
        exact = value if limit.kind.startswith("float") else round(value)
        return self._line.client.convert_to_registers(exact, kind, word_order=limit.words)


def _client(settings: Modbus, load_id: str) -> "ModbusBaseClient":
    try:
        from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient  # noqa: PLC0415  as above
    except ModuleNotFoundError:
        raise Refused(f"load {load_id} is on Modbus, which needs pymodbus: pip install 'tieline[modbus]'") from None
    patience: dict[str, Any] = {
        "timeout": TIMEOUT_S,
        "retries": 1,
        "reconnect_delay": 0,
    }  # the agent tries again itself
    if settings.host:
        return AsyncModbusTcpClient(settings.host, port=settings.port, **patience)
    serial: dict[str, Any] = {name: getattr(settings, name) for name in ("baudrate", "parity", "stopbits")}
    return AsyncModbusSerialClient(settings.serial, **serial, **patience)
