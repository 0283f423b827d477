"""The command that runs the agent at a site's loads."""

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path

import click

from tieline.cli import opting


@click.command()
@click.argument("site", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Only say whether the configuration is right.")
def agent(site: Path, check: bool) -> None:
    """Run the agent at the loads of SITE, a TOML file: drivers, panel guard, schedule, store, page."""
    from tieline.ven.agent.configuration import read

    wanted = read(site)
    if check:
        held = sum(load.sheddable for load in wanted.load)
        click.echo(f"{site} is right: {len(wanted.load)} loads, {held} of them sheddable")
        return
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="tieline: %(message)s")
    logging.getLogger("tieline").setLevel(logging.INFO)
    from tieline.ven.agent.agent import run

    async def until_stopped() -> None:
        """SIGINT and SIGTERM are no failure."""
        task = asyncio.ensure_future(run(wanted, site.parent))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_stopped())


def add_to(group: click.Group) -> None:
    group.add_command(agent)
    opting.add_to(group)
