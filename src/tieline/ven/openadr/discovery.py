"""VTNs of the local network, found by mDNS (Definition, "Discovery and Configuration of Local VTNs")."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from tieline.base.errors import Unready

SERVICE = "_openadr3._tcp.local."
PATIENCE_S = 3.0
ASK_S = 2.0


class FoundVtn(msgspec.Struct, frozen=True, kw_only=True):
    """What a VTN announces of itself. Anyone on the network can announce anything: its certificate is still checked."""

    name: str
    url: str
    version: str
    program_names: tuple[str, ...] = ()
    requires_auth: bool = True
    openapi_url: str = ""


async def discover(patience_s: float = PATIENCE_S, interfaces: Sequence[str] | None = None) -> list[FoundVtn]:
    """Those that answer within `patience_s`, by name. Raises `Unready` where multicast cannot be had."""
    from zeroconf import InterfaceChoice, ServiceStateChange  # noqa: PLC0415  only who looks for VTNs needs it
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf  # noqa: PLC0415

    heard: set[str] = set()

    def hear(name: str, state_change: ServiceStateChange, **_: object) -> None:
        (heard.discard if state_change is ServiceStateChange.Removed else heard.add)(name)

    try:
        network = AsyncZeroconf(interfaces=list(interfaces) if interfaces else InterfaceChoice.Default)
    except OSError as error:
        raise Unready(f"mDNS cannot be used here: {error.strerror}") from None
    try:
        browser = AsyncServiceBrowser(network.zeroconf, SERVICE, handlers=[hear])
        await asyncio.sleep(patience_s)
        await browser.async_cancel()
        infos = [AsyncServiceInfo(SERVICE, name) for name in sorted(heard)]
        answered = await asyncio.gather(*(one.async_request(network.zeroconf, ASK_S * 1000) for one in infos))
        return [_vtn(info) for info, came in zip(infos, answered, strict=True) if came]
    finally:
        await network.async_close()


def _vtn(info: Any) -> FoundVtn:
    """Its `.local` name is favoured over its address, which may change."""
    told = {name: value or "" for name, value in info.decoded_properties.items()}
    base_path = told.get("base_path", "").strip("/")
    here = f"https://{info.server.rstrip('.')}:{info.port}/{base_path}".rstrip("/")
    names = told.get("program_names", "")
    return FoundVtn(
        name=info.name.removesuffix(f".{SERVICE}"),
        url=told.get("local_url") or here,
        version=told.get("version", ""),
        program_names=tuple(one.strip() for one in names.split(",") if one.strip()),
        requires_auth=told.get("requires_auth", "").lower() != "false",
        openapi_url=told.get("openapi_url", ""),
    )
