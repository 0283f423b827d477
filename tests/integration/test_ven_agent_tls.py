"""TLS on both sides of a VEN: whose certificates it trusts, and the one it shows to who calls back."""

from pathlib import Path

import pytest

from tests.integration.ven_world import CREDENTIALS, START, SmallVtn
from tests.servers.authority import Authority
from tests.servers.nats import free_port
from tieline.base.errors import Refused
from tieline.ven import VtnClient, Webhook
from tieline.ven.openadr.callbacks import Callbacks
from tieline.vtn.webhooks.sender import Sender


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def world() -> SmallVtn:
    world = SmallVtn(lambda: START)
    world.program("evening")
    return world


async def names(vtn: VtnClient) -> list[str]:
    async with vtn:
        return [one.program_name async for one in vtn.programs.search()]


async def test_a_certificate_that_nobody_known_signed_is_refused(world: SmallVtn, authority: Authority) -> None:
    async with world.served(tls=authority.serving(["127.0.0.1"])) as url:
        with pytest.raises(Refused, match=r"is not trusted: .*certificate"):
            await names(VtnClient(url, CREDENTIALS))
        assert not world.asked
        assert await names(VtnClient(url, CREDENTIALS, verify=authority.trusted())) == ["evening"]
        assert await names(VtnClient(url, CREDENTIALS, verify=False)) == ["evening"]


async def test_a_certificate_of_another_name_is_refused(world: SmallVtn, authority: Authority) -> None:
    async with world.served(tls=authority.serving(["other.example"])) as url:
        with pytest.raises(Refused, match="is not trusted"):
            await names(VtnClient(url, CREDENTIALS, verify=authority.trusted()))


async def test_a_vtn_calls_back_by_https(authority: Authority) -> None:
    port, told = free_port(), list[bool]()
    url = f"https://127.0.0.1:{port}/hook"
    webhook = Webhook(url=url, port=port, tls=authority.serving(["127.0.0.1"]))
    async with Callbacks(webhook, "bearer", lambda: told.append(True)).listening():
        async with Sender(development=True, tls=authority.trusted()) as sender:
            await sender.challenge(url, "bearer")
        async with Sender(development=True) as sender:
            with pytest.raises(Refused):
                await sender.challenge(url, "bearer")
    assert not told
