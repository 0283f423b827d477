"""The command line: parses, calls, prints. Exit codes: 0 done, 1 broken, 2 refused, 75 try again later."""

from typing import Any, NoReturn

import click

from tieline import __version__
from tieline.base.errors import TielineError
from tieline.cli import (
    authority,
    baseline,
    client,
    command,
    customer,
    dead_letter,
    device,
    document,
    event,
    fleet,
    forecast,
    outage,
    platform,
    rollup,
    series,
    settlement,
    twin,
    ven,
)


class _Group(click.Group):
    """Turns the three families of error into a line on standard error and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TielineError as error:
            _fail(error)
        except ModuleNotFoundError as error:
            click.echo(f"tieline: this needs the platform ({error.name}): pip install 'tieline[platform]'", err=True)
            raise SystemExit(2) from None


def _fail(error: TielineError) -> NoReturn:
    click.echo(f"tieline: {error}", err=True)
    raise SystemExit(error.exit_code) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tieline")
def main() -> None:
    """Tieline: an open grid-services platform. Market file → event → load → meter → statement.

    Settings come from TIELINE_… variables and tieline.toml: `tieline config` shows them all.
    """


platform.add_to(main)
customer.add_to(main)
client.add_to(main)
authority.add_to(main)
baseline.add_to(main)
for part in (event, fleet, device, dead_letter, twin, command, forecast, outage, rollup, series, settlement):
    part.add_to(main)
document.add_to(settlement.settlement)
ven.add_to(customer.ven)
