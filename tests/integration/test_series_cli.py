"""`tieline series` against the doors of values: lists, tables, a line of blocks, files that other tools open."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
from click.testing import CliRunner

from tests.integration.values_world import POWER, SPAN, opened
from tests.servers.nats import free_port
from tieline import process
from tieline.cli import _Group, series

WHEN = ("--start", SPAN["start"], "--end", SPAN["end"])


@click.group(cls=_Group)
def main() -> None:
    """The command line, with nothing else on it."""


series.add_to(main)


class Shell:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    async def __call__(self, *words: str) -> tuple[int, str]:
        """Exit code and output."""
        done = await asyncio.to_thread(CliRunner().invoke, main, ["series", *words, "--url", self._url])
        return done.exit_code, done.output

    async def json(self, *words: str) -> Any:
        code, output = await self(*words, "--json")
        assert code == 0, output
        return json.loads(output)


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(opened(tmp_path))
        await stack.enter_async_context(process.serving(world.app, "127.0.0.1", port))
        yield Shell(port)


async def test_series_are_listed_shown_and_drawn(shell: Shell) -> None:
    assert len((await shell.json("list", "-q", "power_kw"))["items"]) == 3
    assert (await shell.json("show", POWER))["last"]["unit"] == "kW"
    code, output = await shell("show", POWER)
    assert (code, "Europe/Lisbon" in output, "▁" in output) == (0, True, True)
    steps = await shell.json("values", POWER, *WHEN, "--resolution", "1h")
    assert len(steps["items"]) == 24
    code, output = await shell("values", POWER, *WHEN, "--limit", "2")
    assert (code, "value" in output, "more: --cursor" in output) == (0, True, True)
    code, output = await shell("values", "home-2.power_kw", *WHEN, "--plot")
    assert (code, "█" in output, "   " in output) == (0, True, True)
    code, output = await shell("last", "--within-s", "259200")
    assert (code, output.count("power_kw"), "1 more" in output) == (0, 3, True)
    assert (await shell("last", "nobody.power_kw"))[0] == 2


async def test_files_of_one_and_of_many_open_in_other_tools(shell: Shell, tmp_path: Path) -> None:
    one, many = tmp_path / "one.parquet", tmp_path / "many.parquet"
    assert (await shell("export", POWER, *WHEN, "-o", str(one)))[0] == 0
    assert (await shell("export", "-q", "power_kw", *WHEN, "--resolution", "1h", "-o", str(many)))[0] == 0
    with duckdb.connect(":memory:") as tool:
        assert tool.execute(f"SELECT count(*), max(value) FROM '{one}'").fetchall() == [(1439, 99.0)]
        assert tool.execute(f"SELECT count(DISTINCT series_id) FROM '{many}'").fetchall() == [(3,)]
    code, output = await shell("export", POWER, *WHEN, "--format", "green-button")
    assert (code, "IntervalBlock" in output) == (0, True)
    code, output = await shell("export", POWER, *WHEN)
    assert (code, output.splitlines()[0]) == (0, "at,value_kW,flags,known_at")
    for wrong, said in [
        (("export",), "name a series"),
        (("export", POWER, "-o", str(tmp_path / "one.xlsx")), "--format"),
        (("export", "nobody.power_kw", *WHEN, "-o", str(tmp_path / "none.csv")), "nobody"),
        (("export", "-q", "power_kw", *WHEN, "--format", "green-button"), "one series"),
    ]:
        code, output = await shell(*wrong)
        assert (code, said in output) == (2, True), output
    assert not [one for one in tmp_path.iterdir() if one.name.endswith(("none.csv", ".part"))]  # noqa: ASYNC240
