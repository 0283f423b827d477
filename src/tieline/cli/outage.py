"""Commands about outages: spans in which what a meter read was not its home's usual load."""

from typing import Any

import click

from tieline.base.time import iso, parse_instant
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import one


@click.group()
def outage() -> None:
    """Outages: days that no baseline takes, and hours that no statement counts."""


@outage.command("add")
@click.option("--ven", "ven_id", help="Whose it was.")
@click.option("--circuit", "resource_id", help="Of this circuit of the VEN alone.")
@click.option("--site", "site_id", help="Of all VENs of this site.")
@click.option("--start", required=True, help="RFC 3339 instant.")
@click.option("--end", required=True, help="RFC 3339 instant.")
@click.option("--reason", required=True)
@click.option("--by", "said_by", required=True, help="Who says so.")
@click.option("--corrects", "outage_id", metavar="OUTAGE_ID", help="An earlier one, in whose place this stands.")
@click.option("--withdrawn", is_flag=True, help="There was none after all: with --corrects.")
@asking
def outage_add(url: str, token: str | None, as_json: bool, start: str, end: str, **said: Any) -> None:
    """Declare an outage, or correct one: what was said before stays on record."""
    span = {"start_at": iso(parse_instant(start, "--start")), "end_at": iso(parse_instant(end, "--end"))}
    one(ask(url, token, "POST", "/v1/outages", {**said, **span}), as_json)


@outage.command("list")
@click.option("--as-of", help="RFC 3339 instant: what was known then.")
@paged
@asking
def outage_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """Outages, the latest first, each in its newest version."""
    columns = ["outage_id", "ven_id", "resource_id", "site_id", "start_at", "end_at", "reason", "withdrawn"]
    listed("/v1/outages", url, token, as_json, columns, **params)


@outage.command("show")
@click.argument("outage_id")
@asking
def outage_show(url: str, token: str | None, as_json: bool, outage_id: str) -> None:
    """All that was ever said of one, the newest first."""
    columns = ["version", "known_at", "start_at", "end_at", "reason", "said_by", "withdrawn"]
    listed(f"/v1/outages/{outage_id}", url, token, as_json, columns, "versions")


def add_to(group: click.Group) -> None:
    group.add_command(outage)
