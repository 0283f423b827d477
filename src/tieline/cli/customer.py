"""Commands that are customers of a running platform's /v1, wherever it is."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import click

from tieline.base.time import iso, parse_instant
from tieline.cli.platform import default_url
from tieline.cli.printing import one, print_json, show
from tieline.ven.client import Client


def _asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that talks to a running platform."""
    command = click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")(command)
    command = click.option("--token", envvar="TIELINE_API_TOKEN", help="Beyond loopback.", hidden=True)(command)
    url = click.option("--url", envvar="TIELINE_URL", default=default_url, show_default="that of the settings")
    return url(command)


def _ask(url: str, token: str | None, method: str, path: str, body: object = None, **params: Any) -> Any:
    async def work() -> Any:
        async with Client(url, token=token) as client:
            return await client.ask(method, path, Any, body, {k: v for k, v in params.items() if v is not None})

    return asyncio.run(work())


def _list(
    path: str, url: str, token: str | None, as_json: bool, columns: Sequence[str], title: str = "", **params: Any
) -> None:
    """`title`: what they are, where the path's last word does not say it."""
    answer = _ask(url, token, "GET", path, **params)
    if as_json:
        print_json(answer)
        return
    title = title or path.rpartition("/")[2]
    show([{name: row.get(name) for name in columns} for row in answer["items"]], False, title)
    if answer.get("next_cursor"):
        click.echo(f"more: --cursor {answer['next_cursor']}")


def _paged(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--limit", default=100, show_default=True)(command)
    return click.option("--cursor", help="Go on after the page before.")(command)


@click.group()
def site() -> None:
    """Where premises are."""


@site.command("add")
@click.argument("site_id")
@click.option("--name", required=True)
@click.option("--zone", required=True, help="IANA time zone, such as Europe/Lisbon.")
@click.option("--latitude", default=0.0)
@click.option("--longitude", default=0.0)
@click.option("--panel-a", default=200.0, show_default=True, help="Amperes of its panel.")
@_asking
def site_add(url: str, token: str | None, as_json: bool, **new: Any) -> None:
    """Add a site."""
    one(_ask(url, token, "POST", "/v1/sites", new), as_json)


@site.command("list")
@click.option("-q", help="Text in id or name.")
@_paged
@_asking
def site_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List sites."""
    _list("/v1/sites", url, token, as_json, ["site_id", "name", "zone", "panel_a"], **params)


@click.group()
def ven() -> None:
    """VENs: the devices that measure and answer."""


@ven.command("add")
@click.argument("ven_id")
@click.option("--name", help="Default: its id.")
@click.option("--site", "site_id", required=True, help="A site that exists.")
@click.option(
    "--resource", "resources", multiple=True, metavar="ID:KIND:KW[:sheddable]", help="A load; repeat for more."
)
@_asking
def ven_add(
    url: str, token: str | None, as_json: bool, ven_id: str, name: str | None, site_id: str, resources: tuple[str, ...]
) -> None:
    """Register a VEN; its secret is printed this once."""
    body = {
        "ven_id": ven_id,
        "name": name or ven_id,
        "site_id": site_id,
        "resources": [_resource(r) for r in resources],
    }
    one(_ask(url, token, "POST", "/v1/vens", body), as_json)


def _resource(text: str) -> dict[str, Any]:
    parts = text.split(":")
    try:
        return {
            "resource_id": parts[0],
            "name": parts[0],
            "kind": parts[1],
            "rated_kw": float(parts[2]),
            "sheddable": parts[3:] == ["sheddable"],
        }
    except (IndexError, ValueError):
        raise click.BadParameter(
            f"{text!r} is not ID:KIND:KW[:sheddable], such as boiler:water_heater:4.5:sheddable"
        ) from None


@ven.command("list")
@click.option("-q", help="Text in id, name or site.")
@_paged
@_asking
def ven_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List VENs with their newest values."""
    columns = ["ven_id", "name", "site_name", "online", "power_kw", "sheddable_kw", "shed", "last_seen_at"]
    _list("/v1/vens", url, token, as_json, columns, **params)


@ven.command("show")
@click.argument("ven_id")
@_asking
def ven_show(url: str, token: str | None, as_json: bool, ven_id: str) -> None:
    """One VEN with its loads."""
    one(_ask(url, token, "GET", f"/v1/vens/{ven_id}"), as_json)


@ven.command("renew")
@click.argument("ven_id")
@_asking
def ven_renew(url: str, token: str | None, as_json: bool, ven_id: str) -> None:
    """A new secret, printed this once; the old one stops working."""
    one(_ask(url, token, "POST", f"/v1/vens/{ven_id}/credential"), as_json)


@click.group()
def resource() -> None:
    """Loads at VENs."""


@resource.command("add")
@click.argument("ven_id")
@click.argument("resource_id")
@click.option("--name", help="Default: its id.")
@click.option("--kind", default="other", show_default=True, help="hvac, water_heater, ev, dryer, pv, battery…")
@click.option("--rated-kw", type=float, required=True, help="Nameplate power in kW.")
@click.option("--sheddable", is_flag=True, help="It may be commanded.")
@_asking
def resource_add(url: str, token: str | None, as_json: bool, ven_id: str, name: str | None, **new: Any) -> None:
    """Add a load to a VEN."""
    body = {**new, "name": name or new["resource_id"]}
    one(_ask(url, token, "POST", f"/v1/vens/{ven_id}/resources", body), as_json)


@resource.command("list")
@click.option("--ven", "ven_id", help="Only those of this VEN.")
@_paged
@_asking
def resource_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List loads."""
    columns = ["ven_id", "resource_id", "name", "kind", "rated_kw", "sheddable"]
    _list("/v1/resources", url, token, as_json, columns, **params)


@click.group()
def series() -> None:
    """Series: what is measured or published, in which unit, zone and interval convention."""


@series.command("add")
@click.argument("series_id")
@click.option("--unit", required=True, help="Of its values, such as kW or AUD/MWh.")
@click.option("--step-s", type=int, required=True, help="Normal length of an interval in seconds.")
@click.option("--zone", required=True, help="IANA time zone of its days.")
@click.option("--stamp", type=click.Choice(["start", "end"]), required=True, help="Edge of the interval it stamps.")
@click.option("--hold-s", type=int, help="Longest a value may stand where neighbours are missing; default: the step.")
@click.option("--source", required=True, help="Who publishes it.")
@_asking
def series_add(url: str, token: str | None, as_json: bool, hold_s: int | None, **new: Any) -> None:
    """Declare a series."""
    one(_ask(url, token, "POST", "/v1/series", {**new, "hold_s": hold_s or new["step_s"]}), as_json)


@series.command("list")
@click.option("-q", help="Text in the id.")
@click.option("--source", help="mqtt, ons, nem…")
@_paged
@_asking
def series_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List series."""
    columns = ["series_id", "unit", "step_s", "zone", "stamp", "source"]
    _list("/v1/series", url, token, as_json, columns, **params)


@click.group()
def event() -> None:
    """Demand-response events."""


@event.command("call")
@click.option("--program", required=True)
@click.option("--target-kw", required=True, type=float)
@click.option("--start", "start_at", help="RFC 3339 instant; default: in 2 minutes of the platform's clock.")
@click.option("--minutes", default=60.0, show_default=True)
@_asking
def event_call(
    url: str, token: str | None, as_json: bool, program: str, target_kw: float, start_at: str | None, minutes: float
) -> None:
    """Call an event."""
    now = parse_instant(_ask(url, token, "GET", "/v1")["now_at"])
    start = parse_instant(start_at, "--start") if start_at else now + timedelta(minutes=2)
    window = {"start_at": iso(start), "end_at": iso(start + timedelta(minutes=minutes))}
    one(_ask(url, token, "POST", "/v1/events", {"program_id": program, "target_kw": target_kw, **window}), as_json)


@event.command("list")
@_paged
@_asking
def event_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List events, the newest first."""
    columns = ["event_id", "program_id", "state", "start_at", "end_at", "target_kw", "planned_kw", "acked_kw"]
    _list("/v1/events", url, token, as_json, columns, **params)


@event.command("show")
@click.argument("event_id")
@_asking
def event_show(url: str, token: str | None, as_json: bool, event_id: str) -> None:
    """One event as it stands."""
    one(_ask(url, token, "GET", f"/v1/events/{event_id}"), as_json)


@event.command("ledger")
@click.argument("event_id")
@_asking
def event_ledger(url: str, token: str | None, as_json: bool, event_id: str) -> None:
    """What became of every load of an event."""
    columns = ["ven_id", "resource_id", "state", "answer", "planned_kw", "sent_at", "acked_at", "restored_at", "cause"]
    _list(f"/v1/events/{event_id}/ledger", url, token, as_json, columns)


@event.command("reports")
@click.argument("event_id")
@_paged
@_asking
def event_reports(url: str, token: str | None, as_json: bool, event_id: str, **params: Any) -> None:
    """Which reports of VENs an event asked for: expected, received, late or missing."""
    columns = ["ven_id", "payload_type", "state", "due_at", "received_at", "report_id"]
    _list(f"/v1/events/{event_id}/reports", url, token, as_json, columns, **params)


@event.command("stop")
@click.argument("event_id")
@_asking
def event_stop(url: str, token: str | None, as_json: bool, event_id: str) -> None:
    """Stop an event: whatever it holds is given back."""
    one(_ask(url, token, "POST", f"/v1/events/{event_id}/cancel"), as_json)


@click.group()
def program() -> None:
    """Programs that events belong to."""


@program.command("add")
@click.argument("program_id")
@click.option("--name", required=True)
@_asking
def program_add(url: str, token: str | None, as_json: bool, **new: Any) -> None:
    """Add a program."""
    one(_ask(url, token, "POST", "/v1/programs", new), as_json)


@click.group()
def statement() -> None:
    """What events delivered."""


@statement.command("list")
@click.option("--event", "event_id")
@_paged
@_asking
def statement_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List statements, the newest first."""
    columns = ["statement_id", "target_kwh", "baseline_kwh", "used_kwh", "delivered_kwh", "gap_seconds", "known_at"]
    _list("/v1/statements", url, token, as_json, columns, **params)


@statement.command("show")
@click.argument("statement_id", metavar="STATEMENT_ID|EVENT_ID")
@_asking
def statement_show(url: str, token: str | None, as_json: bool, statement_id: str) -> None:
    """One statement, VEN by VEN; by the id of an event its newest."""
    of_event = _ask(url, token, "GET", "/v1/statements", event_id=statement_id)["items"]
    known_as = of_event[0]["statement_id"] if of_event else statement_id
    found = _ask(url, token, "GET", f"/v1/statements/{known_as}")
    if as_json:
        print_json(found)
        return
    lines = found.pop("lines")
    one(found, False)
    show(lines, False, "lines")


@statement.command("settle")
@click.argument("event_id")
@_asking
def statement_settle(url: str, token: str | None, as_json: bool, event_id: str) -> None:
    """Settle an event again with what is known now: a restatement where anything changed."""
    one(_ask(url, token, "POST", f"/v1/events/{event_id}/settle"), as_json)


@click.group("dead-letter")
def dead_letter() -> None:
    """What was refused, and why."""


@dead_letter.command("list")
@_paged
@_asking
def dead_letter_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List refused messages, the newest first."""
    columns = ["position", "said_at", "subject", "reason", "detail", "size"]
    _list("/v1/dead-letters", url, token, as_json, columns, **params)


@click.command()
@_asking
def openadr(url: str, token: str | None, as_json: bool) -> None:
    """The OpenADR gateway: where clients connect, what there is, which webhooks wait or are broken."""
    one(_ask(url, token, "GET", "/v1/openadr"), as_json)


@click.group()
def webhooks() -> None:
    """What subscribers are told over HTTP."""


@webhooks.command("dead")
@_paged
@_asking
def webhooks_dead(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List deliveries that were given up, the longest dead first, each with its reason."""
    columns = ["delivery_id", "dead_at", "callback_url", "object_id", "attempts", "reason"]
    _list("/v1/webhooks/dead", url, token, as_json, columns, "dead deliveries", **params)


@webhooks.command("replay")
@click.argument("delivery_id")
@_asking
def webhooks_replay(url: str, token: str | None, as_json: bool, delivery_id: str) -> None:
    """Try a dead delivery again, as if it were new."""
    _ask(url, token, "POST", f"/v1/webhooks/dead/{delivery_id}/replay")
    one({"delivery_id": delivery_id, "state": "waiting"}, as_json)


def add_to(group: click.Group) -> None:
    for command in (site, ven, resource, series, program, event, statement, dead_letter, openadr, webhooks):
        group.add_command(command)
