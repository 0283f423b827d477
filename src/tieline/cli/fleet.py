"""Commands about the fleet: what it draws and could give up, who is there, and many VENs at once from a CSV file."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tieline.base.errors import Refused
from tieline.base.time import iso, parse_instant
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import one, print_json, progress, show
from tieline.ven.client import Client

if TYPE_CHECKING:
    from tieline.registry.sheet import Row

ROWS_AT_ONCE = 500
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CLOSED = timedelta(minutes=3)
"""So long after its end a step of the history is closed."""


@click.group()
def fleet() -> None:
    """The fleet: its power, who is there, many VENs at once."""


@fleet.command("show")
@click.option("--by", type=click.Choice(["kind", "target", "site"]), help="In groups as well.")
@paged
@asking
def fleet_show(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """What is used, could still be shed and is shed; who is counted, and who is left out and why."""
    found = ask(url, token, "GET", "/v1/fleet/statistics", **params)
    if as_json:
        print_json(found)
        return
    one({"now_at": found["now_at"], **found["total"]}, False)
    if found["by"]:
        groups = [{found["by"]: each["key"], **_flat(each["sums"])} for each in found["groups"]]
        show(groups, False, "groups")
    if found["next_cursor"]:
        click.echo(f"more: --cursor {found['next_cursor']}")


def _flat(sums: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in sums.items() if not isinstance(value, dict)}


@fleet.command("vens")
@click.option("--state", type=click.Choice(["online", "late", "offline", "never"]), help="Only those.")
@click.option("-q", help="Text in id, name or site.")
@paged
@asking
def fleet_vens(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """Who is there, since when, and what it draws."""
    columns = [
        "ven_id", "name", "presence", "since_at", "flapping", "clock_off_s", "last_seen_at", "left_out", "power_kw",
    ]  # fmt: skip
    listed("/v1/vens", url, token, as_json, columns, **params)


@fleet.command("presence")
@click.argument("ven_id")
@paged
@asking
def fleet_presence(url: str, token: str | None, as_json: bool, ven_id: str, **params: Any) -> None:
    """When a VEN came and went, the newest first."""
    listed(f"/v1/vens/{ven_id}/presence", url, token, as_json, ["at", "state", "cause"], "changes", **params)


@fleet.command("history")
@click.option("--start", help="RFC 3339 instant; default: a day ago.")
@click.option("--end", help="RFC 3339 instant; default: the last step that is closed.")
@click.option("--step-s", default=300, show_default=True, help="A multiple of 300.")
@asking
def fleet_history(url: str, token: str | None, as_json: bool, start: str | None, end: str | None, step_s: int) -> None:
    """What was used, could have been shed and was, by step."""
    span = _span(url, token, start, end)
    found = ask(url, token, "GET", "/v1/fleet/statistics/history", **span, step_s=step_s)
    if as_json:
        print_json(found)
        return
    names = ["used_kw", "controllable_kw", "shed_kw", "counted", "excluded"]
    rows = zip(found["at"], *[found[name] for name in names], strict=True)
    steps = [{"at": iso(datetime.fromtimestamp(at, tz=parse_instant(found["start"]).tzinfo)),
              **dict(zip(names, values, strict=True))} for at, *values in rows]  # fmt: skip
    show(steps, False, "steps")


@fleet.command("rollup")
@click.option("--start", help="RFC 3339 instant; default: a day ago.")
@click.option("--end", help="RFC 3339 instant; default: the last step that is closed.")
@click.option("--verify", is_flag=True, help="Change nothing; exit with 2 where a step differs.")
@asking
def fleet_rollup(url: str, token: str | None, as_json: bool, start: str | None, end: str | None, verify: bool) -> None:
    """Make the history again from raw readings."""
    span, steps, differing = _span(url, token, start, end), 0, list[Any]()
    for hour in progress(_hours(span), "rolling up"):
        found = ask(url, token, "POST", "/v1/fleet/statistics/rebuild", {**hour, "verify": verify})
        steps, differing = steps + found["steps"], differing + found["differing"]
    if as_json:
        print_json({"steps": steps, "differing": differing})
    else:
        show(differing, False, f"differing of {steps} steps")
    if verify and differing:
        raise Refused(f"{len(differing)} of {steps} steps are not what raw readings make: leave out --verify to mend")


def _span(url: str, token: str | None, start: str | None, end: str | None) -> dict[str, str]:
    """Whole steps of five minutes."""
    now = parse_instant(ask(url, token, "GET", "/v1")["now_at"])
    last = parse_instant(end, "--end") if end else now - CLOSED
    first = parse_instant(start, "--start") if start else last - DAY
    return {name: iso(at - timedelta(seconds=at.timestamp() % 300)) for name, at in (("start", first), ("end", last))}


def _hours(span: dict[str, str]) -> list[dict[str, str]]:
    at, end, hours = parse_instant(span["start"]), parse_instant(span["end"]), list[dict[str, str]]()
    while at < end:
        hours.append({"start": iso(at), "end": iso(min(at + HOUR, end))})
        at += HOUR
    return hours


@fleet.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--dry-run", is_flag=True, help="Only tell what would become of each row.")
@click.option("--template", is_flag=True, help="Print a file to start from.")
@asking
def fleet_import(url: str, token: str | None, as_json: bool, file: Path | None, dry_run: bool, template: bool) -> None:
    """Register the VENs of a CSV file: a row a resource. Exits with 2 where rows were refused."""
    from tieline.registry import sheet

    if template:
        click.echo(sheet.template(), nl=False)
        return
    if file is None:
        raise Refused("which FILE? `tieline fleet import --template` prints one to start from")
    parts = [sheet.write(part) for part in _parts(unit.rows for unit in sheet.units(sheet.read(file.read_bytes())))]
    reports = asyncio.run(_import(url, token, parts, dry_run))
    counts = {name: sum(each[name] for each in reports) for name in ("rows", "added", "unchanged", "refused")}
    lines = sorted((line for each in reports for line in each["items"]), key=lambda line: int(line["row"]))
    if as_json:
        print_json({"dry_run": dry_run, **counts, "items": lines})
    else:
        if refused := [line for line in lines if line["outcome"] == "refused"]:
            show(refused, False, "refused rows")
        one({"dry_run": dry_run, **counts}, False)
    if counts["refused"]:
        raise Refused(f"{counts['refused']} of {counts['rows']} rows were refused: mend them and import again")


def _parts(units: "Iterable[list[Row]]") -> "list[list[Row]]":
    """About 500 rows each; the rows of a VEN stay together."""
    parts: list[list[Row]] = []
    for rows in units:
        if not parts or len(parts[-1]) >= ROWS_AT_ONCE:
            parts.append([])
        parts[-1] += rows
    return parts


async def _import(url: str, token: str | None, parts: Sequence[str], dry_run: bool) -> list[Any]:
    async with Client(url, token=token) as client:
        params = {"dry_run": str(dry_run).lower()}
        return [await client.ask("POST", "/v1/vens/import", Any, part, params) for part in progress(parts, "importing")]


def add_to(group: click.Group) -> None:
    group.add_command(fleet)
