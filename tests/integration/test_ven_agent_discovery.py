"""A VTN that announces itself by mDNS, and a VEN that looks for one; on loopback."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from tieline.ven import FoundVtn, discover
from tieline.vtn import announce
from tieline.vtn.announce import Announced
from tieline.wires.openadr31.messages import Program

HERE = ["127.0.0.1"]
NOW = datetime(2026, 7, 14, tzinfo=UTC)


def program(name: str, *targets: str) -> Program:
    return Program(
        id=name, program_name=name, created_date_time=NOW, modification_date_time=NOW, targets=targets or None
    )


@contextlib.asynccontextmanager
async def announcing(announced: Announced, programs: list[Program]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(announce.task(announced, lambda: programs).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def found(host: str, until: int) -> list[FoundVtn]:
    """As soon as there are so many of this host: tests beside this one announce theirs on the same network."""
    async with asyncio.timeout(100):
        while len(here := [one for one in await discover(1.5, HERE) if one.name == f"Tieline on {host}"]) != until:
            pass
    return here


async def test_a_vtn_is_found_by_what_it_announces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "REFRESH_S", 0.1)
    programs = [program("prices"), program("secret", "group-1")]
    announced = Announced(
        address="127.0.0.1",
        port=8400,
        url="https://gateway.local:8443/",
        host="tieline-test",
        openapi_url="https://x/y",
    )
    async with announcing(announced, programs):
        [one] = await found("tieline-test", 1)
        assert one == FoundVtn(
            name="Tieline on tieline-test",
            url="https://gateway.local:8443/openadr3/3.1.0",
            version="3.1.0",
            program_names=("prices",),
            requires_auth=True,
            openapi_url="https://x/y",
        )
        programs.append(program("evening"))
        async with asyncio.timeout(100):
            while (await found("tieline-test", 1))[0].program_names != ("prices", "evening"):
                pass
    assert await found("tieline-test", 0) == []  # it said goodbye


async def test_without_a_url_it_is_this_machines_name() -> None:
    async with announcing(Announced(address="127.0.0.1", port=8401, host="tieline-test-2", requires_auth=False), []):
        [one] = await found("tieline-test-2", 1)
    assert (one.url, one.requires_auth, one.program_names) == (
        "http://tieline-test-2.local:8401/openadr3/3.1.0",
        False,
        (),
    )


async def test_the_command_line_lists_what_it_finds() -> None:
    command = [sys.executable, "-m", "tieline.cli", "ven", "discover", "--interface", "127.0.0.1", "--json"]
    async with announcing(Announced(address="127.0.0.1", port=8402, host="tieline-test-3"), [program("prices")]):
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
    [one] = [one for one in json.loads(told) if "tieline-test-3" in one["name"]]
    assert (one["url"], one["programs"]) == ("http://tieline-test-3.local:8402/openadr3/3.1.0", "prices")


def test_what_has_no_room_is_left_out() -> None:
    names = [f"program {number:03}" for number in range(40)] + ["a, b", "x"]
    told = announce._fitting(names)
    assert len(f"program_names={told}") <= 255
    assert told.startswith("program 000,program 001,")
    assert told.endswith(",x")
    assert "a, b" not in told


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_on_all_addresses_none_of_loopback_is_told(address: str) -> None:
    service = Announced(address=address, port=1, host="tieline-test").service([])
    assert not {"127.0.0.1", "::1"} & set(service.parsed_addresses())
