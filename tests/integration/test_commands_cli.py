"""`tieline command` against the doors of direct commands: what is sent, waited for, listed; exit codes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.integration.commands_world import NOW, World, opened, running
from tests.servers.nats import free_port
from tieline import process
from tieline.adapters.nats.server import NatsServer
from tieline.cli import _Group, command
from tieline.dispatch.commands import reads


@click.group(cls=_Group)
def main() -> None:
    """The command line, with nothing else on it."""


command.add_to(main)


class Shell:
    def __init__(self, world: World, port: int) -> None:
        self.world = world
        self._url = f"http://127.0.0.1:{port}"

    async def __call__(self, *words: str) -> tuple[int, str]:
        """Exit code and output."""
        given = ["command", *words, "--url", self._url]
        done = await asyncio.to_thread(CliRunner().invoke, main, given)
        return done.exit_code, done.output

    async def json(self, *words: str) -> Any:
        code, output = await self(*words, "--json")
        assert code == 0, output
        return json.loads(output)


@pytest.fixture
async def shell(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Shell]:
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(opened(nats_server, tmp_path))
        await stack.enter_async_context(process.serving(world.app(), "127.0.0.1", port))
        await stack.enter_async_context(running(world.sender.run))
        yield Shell(world, port)


async def test_one_is_commanded_and_waited_for(shell: Shell) -> None:
    async with shell.world.home("cabin") as home:
        shed = await shell.json(
            "send", "shedLoad", "cabin", "--resource", "boiler", "--until", "2026-07-15T18:00:00Z", "--wait"
        )
        assert (shed["state"], home.control.limits(NOW)) == ("accepted", {"boiler": 0.0})
        got = await shell.json("send", "get", "cabin", "--get", "meter_kw", "--wait")
        assert got["values"] == {"meter_kw": 1.5}
        code, output = await shell("send", "set", "cabin", "--set", "beat_s=soon", "--wait")
        assert (code, "cannot become" in output) == (2, True)
        await shell.json("send", "set", "cabin", "--set", "beat_s=15", "--wait")
        assert home.control.settings == {"beat_s": 15}
        assert (await shell.json("show", got["command_id"]))["values"] == {"meter_kw": 1.5}
        code, table = await shell("list", "--ven", "cabin", "--state", "accepted")
        assert (code, table.count("direct:cabin")) == (0, 3)


async def test_several_are_commanded_and_who_cannot_be_is_told(shell: Shell) -> None:
    await shell.world.register("a", "b")
    rows = await shell.json("send", "ping", "a", "b")
    assert [(row["ven_id"], row["state"]) for row in rows] == [("a", "sent"), ("b", "sent")]
    code, output = await shell("send", "ping", "a", "nobody")
    assert (code, "1 of 2 do not: nobody" in output) == (2, True)


async def test_without_an_answer_it_is_to_be_tried_later(shell: Shell) -> None:
    await shell.world.register("away")
    asking = asyncio.create_task(shell("send", "ping", "away", "--valid-s", "1", "--wait"))
    while not await reads.commands(shell.world.rows):
        await asyncio.sleep(0.05)
    await shell.world.clock.advance(2)
    code, output = await asking
    assert (code, "no answer of away" in output) == (75, True)


@pytest.mark.parametrize(
    "words",
    [
        ["send", "shedLoad", "cabin", "--resource", "boiler"],
        ["send", "set", "cabin", "--set", "beat_s"],
        ["send", "event", "cabin"],
        ["show", "direct:cabin:0"],
    ],
)
async def test_what_cannot_be_asked_exits_2(shell: Shell, words: list[str]) -> None:
    await shell.world.register("cabin")
    assert (await shell(*words))[0] == 2
