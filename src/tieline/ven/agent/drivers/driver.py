"""What the agent asks of a load, whatever it speaks, and what drivers share: a serial line, the home's broker.

    class Kettle:                                     a driver, in whole
        async def read(self) -> Reading: …            what it draws now
        async def limit(self, limit_kw) -> None: …    hold it there; None: it is free
        async def close(self) -> None: …

`limit` is said again now and then, so it must be harmless to repeat. A driver raises `Unready` when its device cannot
be reached or makes no sense: the load then counts as unknown, and is tried again, less and less often.
"""

from collections.abc import Callable, Hashable
from pathlib import Path
from string import Template
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from tieline.base.errors import Unready
from tieline.base.time import Clock
from tieline.ven.agent.home import HomeBroker
from tieline.ven.agent.secrets import read_secret


class Reading(msgspec.Struct, frozen=True):
    """Now. Power in kW, positive when drawn; None: the driver does not measure it, and what is rated is assumed."""

    power_kw: float | None = None
    temperature_c: float | None = None


class Driver(Protocol):
    """Each call is given a few seconds, and none is made while another one runs."""

    async def read(self) -> Reading: ...
    async def limit(self, limit_kw: float | None) -> None: ...
    async def close(self) -> None: ...


class Shared(Protocol):
    """What several drivers use at once."""

    async def close(self) -> None: ...


T = TypeVar("T", bound=Shared)


class Wiring:
    """What the drivers of one site share; close it after them."""

    def __init__(self, clock: Clock, folder: Path, home: HomeBroker | None = None) -> None:
        self.clock = clock
        self.home = home
        self._folder = folder
        self._shared: dict[Hashable, Any] = {}

    def shared(self, address: Hashable, make: Callable[[], T]) -> T:
        """The one at that address, made for the first who asks."""
        if address not in self._shared:
            self._shared[address] = make()
        found: T = self._shared[address]
        return found

    def secret(self, file: str) -> str:
        """What stands in a file beside the configuration; nothing where none is named. Raises `Refused`."""
        return read_secret(self._folder, file) if file else ""

    async def close(self) -> None:
        for one in self._shared.values():
            await one.close()


class Place(NamedTuple):
    """Which load a driver is put to."""

    wiring: Wiring
    load_id: str
    rated_kw: float


class DriverSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """What the configuration says of a driver. Each has an `open(place)`, which connects nothing yet."""

    @property
    def can_hold(self) -> bool:
        """Whether it can hold its load down, and not only measure."""
        return True

    @property
    def is_stepless(self) -> bool:
        """Whether it can hold its load anywhere between all and nothing, as a relay cannot."""
        return False


def worded(template: str, limit_kw: float, rated_kw: float) -> str:
    """The text with `${limit_kw}`, `${limit_w}` and `${limit_percent}` (of what is rated) filled in."""
    values = {
        "limit_kw": f"{limit_kw:g}",
        "limit_w": f"{limit_kw * 1000:.0f}",
        "limit_percent": f"{100 * limit_kw / rated_kw:.0f}",
    }
    return Template(template).safe_substitute(values)


def number_at(data: bytes, path: str, where: str) -> float:
    """The number at a dotted path of a JSON text, `meters.0.power`; an empty path is the text itself.

    Raises `Unready` when there is none.
    """
    try:
        found = msgspec.json.decode(data)
        for step in path.split(".") if path else ():
            found = found[int(step)] if isinstance(found, list) else found[step]
        return float(found)
    except (msgspec.DecodeError, LookupError, TypeError, ValueError):
        raise Unready(f"{where} tells no number at {path or 'its top'!r}: {data[:80]!r}") from None
