"""Commands of settlement: terms and commitments of programs, runs to the cent, and each cent explained."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tieline.base.errors import NotFound, Refused
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.customer import statement
from tieline.cli.printing import one, print_json, show

if TYPE_CHECKING:
    from rich.tree import Tree

WIDE = 200
"""Columns where nobody looks: nothing is wrapped."""
DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def settlement() -> None:
    """What participants of programs are owed: runs, restatements, approvals."""


@settlement.command("run")
@click.argument("program_id")
@click.option("--from", "from_day", type=DAY, required=True, help="First day, in the zone of the program's terms.")
@click.option("--until", "until_day", type=DAY, required=True, help="The day after the last one.")
@click.option("--known-at", help="RFC 3339 instant: from what was known then. Default: now.")
@click.option("--anew", is_flag=True, help="Settle its events again first, with what is known now.")
@asking
def settlement_run(url: str, token: str | None, as_json: bool, program_id: str, **given: Any) -> None:
    """Settle a program's period; where nothing changed since, the newest run stands."""
    days = {name: given[name].date().isoformat() for name in ("from_day", "until_day")}
    body = {**days, "known_at": given["known_at"], "anew": given["anew"]}
    _run(ask(url, token, "POST", f"/v1/programs/{program_id}/settlements", body), as_json)


@settlement.command("list")
@click.option("--program", "program_id")
@paged
@asking
def settlement_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List runs, the newest first."""
    columns = ["run_id", "from_day", "until_day", "participants", "events", "delivered_kwh", "net", "tax", "total"]
    listed("/v1/settlements", url, token, as_json, [*columns, "currency", "known_at"], **params)


@settlement.command("show")
@click.argument("run_id")
@paged
@asking
def settlement_show(url: str, token: str | None, as_json: bool, run_id: str, **params: Any) -> None:
    """One run and its accounts."""
    found = ask(url, token, "GET", f"/v1/settlements/{run_id}")
    accounts = ask(url, token, "GET", f"/v1/settlements/{run_id}/accounts", **params)
    if as_json:
        print_json({**found, "accounts": accounts["items"], "next_cursor": accounts["next_cursor"]})
        return
    _run(found, False)
    rows = [
        {"ven_id": each["ven_id"], "events": len(each["deliveries"])}
        | {name: each[name] for name in ("net", "tax", "total")}
        for each in accounts["items"]
    ]
    show(rows, False, "accounts")
    if accounts["next_cursor"]:
        click.echo(f"more: --cursor {accounts['next_cursor']}")


def _run(found: dict[str, Any], as_json: bool) -> None:
    one({**found, "disputed": ", ".join(each or "the whole" for each in found["disputed"])}, as_json)


@settlement.command("diff")
@click.argument("run_id")
@paged
@asking
def settlement_diff(url: str, token: str | None, as_json: bool, run_id: str, **params: Any) -> None:
    """What a restatement changed, participant by participant, and why."""
    columns = ["ven_id", "before", "after", "change", "because"]
    listed(f"/v1/settlements/{run_id}/differences", url, token, as_json, columns, **params)


def _reviewing(verdict: str, told: str) -> click.Command:
    @click.argument("run_id")
    @click.option("--ven", "ven_id", default="", help="Of this VEN's account alone.")
    @click.option("--by", required=True, help="Who says so.")
    @click.option("--note", default="")
    @asking
    def command(url: str, token: str | None, as_json: bool, run_id: str, **said: Any) -> None:
        one(ask(url, token, "POST", f"/v1/settlements/{run_id}/reviews", {"verdict": verdict, **said}), as_json)

    return click.command(help=told)(command)


settlement.add_command(_reviewing("approved", "Approve a run, or one account in it."), "approve")
settlement.add_command(_reviewing("disputed", "Dispute a run, or one account in it."), "dispute")
settlement.add_command(_reviewing("resolved", "Say that a dispute is resolved."), "resolve")


@settlement.command("terms")
@click.argument("program_id")
@click.option("--put", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="New ones: JSON.")
@asking
def settlement_terms(url: str, token: str | None, as_json: bool, program_id: str, file: Path | None) -> None:
    """A program's terms, the newest first; or put new ones."""
    path = f"/v1/programs/{program_id}/terms"
    if file is not None:
        one(ask(url, token, "PUT", path, _json(file)), as_json)
        return
    listed(
        path, url, token, as_json, ["number", "valid_from", "valid_until", "baseline", "netting", "energy", "currency"]
    )


def _json(file: Path) -> Any:
    import json

    try:
        return json.loads(file.read_text(encoding="utf-8"), parse_float=str)  # money stays as it was written
    except (ValueError, UnicodeDecodeError) as error:
        raise Refused(f"{file.name} is not JSON: {error}") from None


@settlement.command("commit")
@click.argument("program_id")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@asking
def settlement_commit(url: str, token: str | None, as_json: bool, program_id: str, file: Path) -> None:
    """Keep what participants committed to give: a CSV file with ven_id, kw, valid_from."""
    import msgspec

    from tieline.settlement.terms.commitments import parsed

    new = msgspec.to_builtins(parsed(file.read_bytes()))
    one(ask(url, token, "POST", f"/v1/programs/{program_id}/commitments", new), as_json)


# --- explained --------------------------------------------------------------------------------------------------------


@statement.command("explain")
@click.argument("known_as", metavar="RUN_ID|STATEMENT_ID|EVENT_ID")
@click.option("--ven", "ven_id", help="This participant's; default: all of them, without intervals.")
@asking
def statement_explain(url: str, token: str | None, as_json: bool, known_as: str, ven_id: str | None) -> None:
    """Each cent of a settlement run, or each kilowatt-hour of a statement: clause, event, interval, days, readings."""
    from rich.console import Console

    found = _found(url, token, known_as, ven_id)
    if as_json:
        print_json(found)
        return
    Console(width=None if sys.stdout.isatty() else WIDE).print(_tree(known_as, found))
    if found.get("next_cursor"):
        click.echo("and more: name a participant with --ven")


def _found(url: str, token: str | None, known_as: str, ven_id: str | None) -> Any:
    try:
        run = ask(url, token, "GET", f"/v1/settlements/{known_as}")
    except NotFound:
        of_event = ask(url, token, "GET", "/v1/statements", event_id=known_as)["items"]
        path = f"/v1/statements/{of_event[0]['statement_id'] if of_event else known_as}"
        return ask(url, token, "GET", path if ven_id is None else f"{path}/explanation", ven_id=ven_id)
    path = f"/v1/settlements/{known_as}/accounts"
    if ven_id is not None:
        return ask(url, token, "GET", f"{path}/{ven_id}/explanation")
    return {**run, **ask(url, token, "GET", path, limit=1000)}


def _tree(known_as: str, found: dict[str, Any]) -> "Tree":
    from rich.markup import escape
    from rich.tree import Tree

    top = Tree(f"[bold]{known_as}[/bold]")
    if "account" in found:
        _account(top, found["account"], found["currency"], {each["event_id"]: each for each in found["events"]})
    elif "items" in found:
        for each in found["items"]:
            _account(top, each, found["currency"], {})
    elif "lines" in found:
        for line in found["lines"]:
            top.add(escape(_line(line)))
        if made := found.get("calibration"):
            top.add(f"together: {found['delivered_kwh']} kWh{_between(found)}")
            _sure(top, made, found["rule"], "sum_")
    else:
        _event(top.add(escape(_line(found["line"]))), found)
    return top


def _line(line: dict[str, Any]) -> str:
    told = f"{line['ven_id']}: {line['baseline_kwh']} kWh baseline − {line['used_kwh']} used = {line['delivered_kwh']}"
    return f"{told} kWh{_between(line)} from {line['readings']} readings {line['note']}".rstrip()


def _between(delivered: dict[str, Any]) -> str:
    low, high = (delivered.get(f"delivered_{end}_kwh") for end in ("low", "high"))
    return "" if low is None else f" ({low} to {high})"


def _account(top: "Tree", account: dict[str, Any], currency: str, events: dict[str, Any]) -> None:
    from rich.markup import escape

    sums = f"{account['net']} net + {account['tax']} tax = [bold]{account['total']} {currency}[/bold]"
    branch = top.add(f"{account['ven_id']}: {sums}")
    between = {each.get("event_id"): _between(each) for each in account["deliveries"]}
    for entry in account["entries"]:
        price = "" if entry["price"] is None else f" × {entry['price']}"
        told = f"{entry['clause']} {entry['event_id']}".rstrip()
        sure = between.get(entry["event_id"], "") if entry["clause"] == "energy" else ""
        leaf = branch.add(f"{told}: {entry['quantity']} {entry['unit']}{sure}{price} = [bold]{entry['amount']}[/bold]")
        leaf.add(escape(entry["because"]))
        if entry["clause"] == "energy" and entry["event_id"] in events:
            _event(leaf, events[entry["event_id"]])


def _event(branch: "Tree", event: dict[str, Any]) -> None:
    """Intervals, baseline days, readings."""
    intervals = branch.add(f"{len(event['intervals'])} intervals of statement {event['statement_id']}")
    for each in event["intervals"]:
        intervals.add(_interval(each))
    days = ", ".join(event["days"]) or "no days"
    told = f"baseline by {event['rule']}, × {event['factor']:g}, as known at {event['baseline_known_at']}"
    behind = branch.add(told)
    behind.add(f"of {len(event['days'])} days: {days}")
    _sure(behind, event.get("calibration"), event["rule"])
    for used in event.get("beside", []):
        branch.add(_used(used))
    if event.get("outages"):
        branch.add(f"without the days of outages: {', '.join(event['outages'])}")
    branch.add(f"{event['readings']} readings, as known at {event['known_at']}")


def _used(used: dict[str, Any]) -> str:
    told = f"{used['series_id']}: {used['readings']} readings of {used['start_at']} to {used['end_at']}"
    return f"{told} ({used['gap_s']:g} s gap), as known at {used['known_at']}, sha256 {used['digest'][:12]}…"


def _sure(branch: "Tree", made: dict[str, Any] | None, rule: str, of: str = "") -> None:
    """How its interval was made; `of` the sum, or of one."""
    if made is None:
        return
    if made[f"{of}why"]:
        branch.add(f"no interval can be told: {made[f'{of}why']}")
        return
    held = "" if made[f"{of}held"] is None else f"; of those days themselves {made[f'{of}held']:.1%} were held"
    errors = f"{made['errors']} errors of {rule} on {made['days']} like days of {made['vens']} VENs"
    branch.add(f"{made['level']:.0%} interval by {errors}{held}")


def _interval(each: dict[str, Any]) -> str:
    low, high = each.get("low_kwh"), each.get("high_kwh")
    sure = "" if low is None else f" ({low} to {high})"
    told = f"{each['from_at']}: {each['baseline_kwh']}{sure} − {each['used_kwh']} kWh"
    gap = f" ({each['gap_s']:g} s gap)" if each["gap_s"] else ""
    if "amount" not in each:
        return f"{told} = {each['delivered_kwh']} kWh{gap}"
    return f"{told}, {each['paid_kwh']} counted × {each['price_per_kwh']} = {each['amount']}{gap}"


def add_to(group: click.Group) -> None:
    group.add_command(settlement)
