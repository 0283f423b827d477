"""Revoking a device, through the doors: what it has opens nothing any more, and it is disconnected."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.contract.mqtt_world import CERTIFIED, Authorities, hears, opened
from tests.integration.enrolment_world import Office, running, thrown_out
from tieline.identity import actions
from tieline.identity.model import Denied


@pytest.fixture
async def office(tmp_path: Path, authorities: Authorities) -> AsyncIterator[Office]:
    async with running(tmp_path, authorities, **CERTIFIED) as office:
        yield office


# --- revoking ---------------------------------------------------------------------------------------------------------


async def test_who_is_revoked_is_disconnected_and_its_valid_certificate_opens_nothing(office: Office) -> None:
    device, other = await office.enrolled(), await office.enrolled("home-2", "other")
    async with office.broker.client(await other.context(), mqtt_id="home-2") as unharmed:
        async with thrown_out(), office.broker.client(await device.context(), mqtt_id="home-1") as client:
            told = await office.operator("POST", "/v1/vens/home-1/revoke")
            assert told["revoked_at"]
            await anext(aiter(client.messages))
        assert not await office.takes(device)
        assert office.broker.denied[-1] == ("home-1", Denied.REVOKED)
        assert await hears(unharmed, "ven/cmd/home-2")


@pytest.mark.parametrize("how", ["renewed", "retired", "enrolled anew", "paused"])
async def test_whoever_came_by_what_is_void_is_disconnected(office: Office, how: str) -> None:
    device, rows = await office.enrolled(), office.world.rows
    now = office.world.clock.now()
    async with thrown_out(), office.broker.client(await device.context(), mqtt_id="home-1") as client:
        if how == "renewed":
            await rows.transaction(lambda tx: actions.issue(tx, "home-1", now))
        elif how == "retired":
            await rows.transaction(lambda tx: actions.retire(tx, "home-1", now))
        elif how == "paused":
            await rows.transaction(lambda tx: actions.pause(tx, "home-1", now + timedelta(seconds=60), now))
        else:
            await office.enrolled("home-1", "the new one")
        await anext(aiter(client.messages))
    assert not await office.takes(device)
    if how == "enrolled anew":
        assert await office.takes(office.device("the new one"))
    if how == "paused":
        await office.world.clock.advance(60)
        assert await office.takes(device)


async def test_what_happened_while_nobody_listened_is_found_at_the_start(
    tmp_path: Path, authorities: Authorities
) -> None:
    async with (
        opened(tmp_path, authorities, **CERTIFIED) as broker,
        broker.sessions() as sessions,
        broker.log() as log,
        broker.client(broker.shown("home-2"), mqtt_id="home-2") as unharmed,
    ):
        office = Office(broker, tmp_path, sessions, log)
        async with thrown_out(), broker.client(broker.shown("home-1"), mqtt_id="home-1") as client:
            await broker.world.rows.transaction(lambda tx: actions.revoke(tx, "home-1", broker.world.clock.now()))
            kicking = asyncio.ensure_future(office.part.tasks[0].run())
            await anext(aiter(client.messages))
        assert await hears(unharmed, "ven/cmd/home-2")
        kicking.cancel()
        await asyncio.gather(kicking, return_exceptions=True)


def test_without_a_system_account_nobody_is_kicked(office: Office, tmp_path: Path) -> None:
    assert Office(office.broker, tmp_path, None, None).part.tasks == []  # type: ignore[arg-type]
