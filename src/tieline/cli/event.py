"""Commands of operators: programs and their rules, events, what became of them and why."""

from datetime import timedelta
from typing import Any

import click

from tieline.base.errors import Refused
from tieline.base.time import iso, parse_instant
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import one, print_json, show


@click.group()
def event() -> None:
    """Demand-response events."""


@event.command("call")
@click.option("--program", required=True, help="Its id.")
@click.option("--target-kw", required=True, type=float, help="So much less than the fleet would draw.")
@click.option(
    "--start",
    "start_at",
    help="RFC 3339 instant; default: the next whole minute that is two ahead by the platform's clock.",
)
@click.option("--minutes", default=60.0, show_default=True, help="So long it lasts.")
@asking
def event_call(
    url: str, token: str | None, as_json: bool, program: str, target_kw: float, start_at: str | None, minutes: float
) -> None:
    """Call an event. More than is forecast to be there for sure is said on standard error, and called all the same."""
    now = parse_instant(ask(url, token, "GET", "/v1")["now_at"])
    start = (
        parse_instant(start_at, "--start") if start_at else now.replace(second=0, microsecond=0) + timedelta(minutes=3)
    )
    window = {"start_at": iso(start), "end_at": iso(start + timedelta(minutes=minutes))}
    called = ask(url, token, "POST", "/v1/events", {"program_id": program, "target_kw": target_kw, **window})
    one(called, as_json)
    _doubt(ask(url, token, "GET", "/v1/forecasts/headroom", start=window["start_at"], end=window["end_at"]), target_kw)


def _doubt(forecast: dict[str, Any], target_kw: float) -> None:
    sure = [kw for kw in forecast["sure_kw"] if kw is not None]
    if sure and min(sure) < target_kw:
        expected = min(kw for kw in forecast["expected_kw"] if kw is not None)
        said = f"the fleet is forecast to have {expected:.0f} kW to give, {min(sure):.0f} kW for sure (19 in 20)"
        click.echo(f"tieline: {said}: {target_kw:g} kW may not be held", err=True)


@event.command("list")
@paged
@asking
def event_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List events, the newest first."""
    columns = ["event_id", "program_id", "state", "start_at", "end_at", "target_kw", "planned_kw", "acked_kw"]
    listed("/v1/events", url, token, as_json, columns, **params)


@event.command("show")
@click.argument("event_id")
@asking
def event_show(url: str, token: str | None, as_json: bool, event_id: str) -> None:
    """One event as it stands."""
    one(ask(url, token, "GET", f"/v1/events/{event_id}"), as_json)


@event.command("ledger")
@click.argument("event_id")
@asking
def event_ledger(url: str, token: str | None, as_json: bool, event_id: str) -> None:
    """What became of every load of an event."""
    columns = [
        "ven_id", "resource_id", "state", "answer", "planned_kw", "sent_at", "acked_at", "opted_out_from_at",
        "restored_at", "cause",
    ]  # fmt: skip
    listed(f"/v1/events/{event_id}/ledger", url, token, as_json, columns)


@event.command("delivery")
@click.argument("event_id")
@paged
@asking
def event_delivery(url: str, token: str | None, as_json: bool, event_id: str, **params: Any) -> None:
    """Minute by minute: what was asked, what was given up, what else could be called."""
    columns = ["at", "target_kw", "delivered_kw", "expected_kw", "headroom_kw", "held"]
    listed(f"/v1/events/{event_id}/delivery", url, token, as_json, columns, "looks", **params)


@event.command("plan")
@click.argument("event_id")
@click.option("--plan", "plan_id", type=int, help="One of its plans; default: the newest.")
@paged
@asking
def event_plan(url: str, token: str | None, as_json: bool, event_id: str, **params: Any) -> None:
    """Why each load was called, or not; and what the event can count on in its intervals still to come."""
    found = ask(url, token, "GET", f"/v1/events/{event_id}/plan", **params)
    if as_json:
        print_json(found)
        return
    columns = ["ven_id", "resource_id", "kw", "said"]
    show([{name: row.get(name) for name in columns} for row in found["items"]], False, "loads")
    for plan in found["plans"][:1]:
        show(plan["ahead"] or [], False, f"intervals ahead, as of {plan['at']}")
    if found["next_cursor"]:
        click.echo(f"more: --cursor {found['next_cursor']}")


@event.command("reports")
@click.argument("event_id")
@paged
@asking
def event_reports(url: str, token: str | None, as_json: bool, event_id: str, **params: Any) -> None:
    """Which reports of VENs an event asked for: expected, received, late or missing."""
    columns = ["ven_id", "payload_type", "state", "due_at", "received_at", "report_id"]
    listed(f"/v1/events/{event_id}/reports", url, token, as_json, columns, **params)


@event.command("change")
@click.argument("event_id")
@click.option("--target-kw", type=float, help="From now on, for all of it.")
@click.option("--end", "end_at", help="RFC 3339 instant.")
@asking
def event_change(
    url: str, token: str | None, as_json: bool, event_id: str, target_kw: float | None, end_at: str | None
) -> None:
    """Ask for more or less, for longer or shorter: at once more is called, or given back."""
    asked = {"target_kw": target_kw, "end_at": end_at and iso(parse_instant(end_at, "--end"))}
    change = {name: value for name, value in asked.items() if value is not None}
    if not change:
        raise Refused("say what to change: --target-kw, --end, or both")
    one(ask(url, token, "PATCH", f"/v1/events/{event_id}", change), as_json)


@event.command("stop")
@click.argument("event_id")
@asking
def event_stop(url: str, token: str | None, as_json: bool, event_id: str) -> None:
    """Stop an event: whatever it holds is given back."""
    one(ask(url, token, "POST", f"/v1/events/{event_id}/cancel"), as_json)


@click.group()
def program() -> None:
    """Programs that events belong to."""


@program.command("add")
@click.argument("program_id")
@click.option("--name", required=True)
@asking
def program_add(url: str, token: str | None, as_json: bool, **new: Any) -> None:
    """Add a program."""
    one(ask(url, token, "POST", "/v1/programs", new), as_json)


@program.command("list")
@paged
@asking
def program_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List programs."""
    listed("/v1/programs", url, token, as_json, ["program_id", "name", "targets", "rules"], **params)


@program.command("rules")
@click.argument("program_id")
@click.option("--events-a-day", type=click.IntRange(0), help="No VEN is called more often.")
@click.option("--hours-a-month", type=click.FloatRange(0), help="Nor for longer.")
@click.option("--rest-h", type=click.FloatRange(0), help="Hours between two calls of a VEN.")
@click.option("--fair/--unfair", default=True, show_default=True, help="Who was called often is called later.")
@click.option(
    "--return-s", type=click.FloatRange(0), default=3600, show_default=True, help="VENs come back over so long."
)
@asking
def program_rules(url: str, token: str | None, as_json: bool, program_id: str, **rules: Any) -> None:
    """Set how a program treats its VENs; what is not said is not limited."""
    one(ask(url, token, "PATCH", f"/v1/programs/{program_id}", {"rules": rules}), as_json)


def add_to(group: click.Group) -> None:
    for command in (event, program):
        group.add_command(command)
