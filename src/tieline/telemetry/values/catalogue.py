"""Which series and groups there are, remembered for a moment: tens of thousands are not read for each question."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from tieline.base.errors import NotFound, Refused
from tieline.base.names import power_series
from tieline.ports import Rows
from tieline.registry import reads as registry
from tieline.registry.model import Ven
from tieline.telemetry.sums import By

T = TypeVar("T")
REMEMBERED_S = 3.0


class Group(msgspec.Struct, frozen=True):
    """The power series of its members: of VENs their meters, of a kind its loads. Days are those of where they all are,
    or of UTC."""

    members: list[str]
    zone: str


class _Remembered(Generic[T]):
    """What was read at most REMEMBERED_S ago, on the wall; read once for all who ask at once."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._reading = asyncio.Lock()
        self._last: tuple[float, T] | None = None

    async def get(self) -> T:
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if self._last is None or now - self._last[0] >= REMEMBERED_S:
                self._last = now, await self._read()
            return self._last[1]


class Catalogue:
    """A view for the doors."""

    def __init__(self, rows: Rows) -> None:
        self._units = _Remembered(lambda: rows.read(registry.units))
        self._vens = _Remembered(lambda: registry.vens(rows))
        self._loads = _Remembered(lambda: registry.resources(rows))

    async def units(self) -> dict[str, str]:
        """The unit of every series, in order of id."""
        return await self._units.get()

    async def group(self, by: By | None, key: str | None) -> Group:
        """The whole fleet, or one group of it. Raises `NotFound`."""
        if (by is None) != (key is None):
            raise Refused("give `by` and `key` of one group, or neither for the whole fleet")
        vens = await self._vens.get()
        if by is By.KIND:
            loads = [one for one in await self._loads.get() if one.kind == key]
            theirs = {one.ven_id for one in loads}
            members = [power_series(one.ven_id, one.resource_id) for one in loads]
            vens = [one for one in vens if one.ven_id in theirs]
        else:
            vens = [one for one in vens if by is None or key in _keys(one, by)]
            members = [power_series(one.ven_id) for one in vens]
        if by is not None and not members:
            raise NotFound(f"nothing is in the group {key!r} by {by}")
        zones = {one.zone for one in vens}
        return Group(members, zones.pop() if len(zones) == 1 else "UTC")


def _keys(ven: Ven, by: By) -> tuple[str, ...]:
    return (ven.site_id,) if by is By.SITE else ven.targets or ()
