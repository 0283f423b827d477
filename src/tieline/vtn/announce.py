"""The VTN says on the local network that it is there: mDNS and DNS-SD (Definition, "Discovery … of Local VTNs").

    Tieline on gateway._openadr3._tcp.local.  SRV gateway.local:8400
        TXT version, base_path, local_url, program_names, requires_auth, openapi_url

Program names are told to everybody on the network: only of those that have no targets.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence

import ifaddr
import msgspec
from zeroconf import InterfaceChoice
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from tieline.base.errors import Unready
from tieline.base.part import Task
from tieline.wires.openadr31.messages import Program

SERVICE = "_openadr3._tcp.local."
VERSION = "3.1.0"
BASE_PATH = f"openadr3/{VERSION}"
REFRESH_S = 30.0
LONGEST_VALUE = 255
"""Bytes of one `key=value` in a TXT record (RFC 6763 6.1)."""


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """What is told. `url` is how the network reaches the HTTP door, as https://gateway.local:8443; without one it is
    http at this machine's name. `address` is the one the door listens on; 0.0.0.0 or :: stand for all."""

    address: str
    port: int
    url: str = ""
    requires_auth: bool = True
    openapi_url: str = ""
    host: str = msgspec.field(default_factory=lambda: socket.gethostname().partition(".")[0] or "tieline")

    def service(self, program_names: Sequence[str]) -> AsyncServiceInfo:
        base = self.url or f"http://{self.host}.local:{self.port}"
        told = {
            "version": VERSION,
            "base_path": BASE_PATH,
            "local_url": f"{base.rstrip('/')}/{BASE_PATH}",
            "program_names": _fitting(program_names),
            "requires_auth": str(self.requires_auth),
            "openapi_url": self.openapi_url,
        }
        return AsyncServiceInfo(
            SERVICE,
            f"{f'Tieline on {self.host}'[:60]}.{SERVICE}",
            port=self.port,
            server=f"{self.host}.local.",
            parsed_addresses=self._addresses(),
            properties=told,
        )

    @property
    def interfaces(self) -> list[str] | InterfaceChoice:
        return InterfaceChoice.Default if self._everywhere else [self.address]

    @property
    def _everywhere(self) -> bool:
        return self.address in ("0.0.0.0", "::")  # noqa: S104  compared with, not listened on

    def _addresses(self) -> list[str]:
        if not self._everywhere:
            return [self.address]
        known = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for one in ifaddr.get_adapters() for ip in one.ips]
        told = [one for one in map(ipaddress.ip_address, known) if not one.is_loopback]
        return [str(one) for one in told if one.version == 4 or self.address == "::"]


def public_names(programs: Iterable[Program]) -> list[str]:
    """Of the programs that everybody may see."""
    return [one.program_name for one in programs if not one.targets]


def task(announced: Announced, programs: Callable[[], Iterable[Program]]) -> Task:
    """Announces, follows the programs, and says goodbye when it ends."""

    async def run() -> None:
        try:
            network = AsyncZeroconf(interfaces=announced.interfaces)
        except OSError as error:
            raise Unready(f"mDNS cannot be used on {announced.address}: {error.strerror}") from None
        try:
            await _announce(network, announced, programs)
        finally:
            await network.async_unregister_all_services()
            await network.async_close()

    return Task("vtn.announce", run)


async def _announce(network: AsyncZeroconf, announced: Announced, programs: Callable[[], Iterable[Program]]) -> None:
    names = public_names(programs())
    await (await network.async_register_service(announced.service(names), allow_name_change=True))
    while True:
        await asyncio.sleep(REFRESH_S)
        if (now := public_names(programs())) != names:
            names = now
            await (await network.async_update_service(announced.service(names)))


def _fitting(names: Sequence[str]) -> str:
    """As many as a TXT record has room for; a name that holds a comma cannot be told."""
    room, told = LONGEST_VALUE - len("program_names="), ""
    for name in names:
        longer = f"{told},{name}" if told else name
        if "," not in name and len(longer.encode()) <= room:
            told = longer
    return told
