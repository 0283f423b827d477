"""Commands that are customers of a running platform's /v1, wherever it is."""

from typing import Any

import click

from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import one, print_json, show


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
@asking
def site_add(url: str, token: str | None, as_json: bool, **new: Any) -> None:
    """Add a site."""
    one(ask(url, token, "POST", "/v1/sites", new), as_json)


@site.command("list")
@click.option("-q", help="Text in id or name.")
@paged
@asking
def site_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List sites."""
    listed("/v1/sites", url, token, as_json, ["site_id", "name", "zone", "panel_a"], **params)


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
@asking
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
    one(ask(url, token, "POST", "/v1/vens", body), as_json)


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
@paged
@asking
def ven_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List VENs with their newest values."""
    columns = ["ven_id", "name", "site_name", "online", "power_kw", "sheddable_kw", "shed", "last_seen_at"]
    listed("/v1/vens", url, token, as_json, columns, **params)


@ven.command("show")
@click.argument("ven_id")
@asking
def ven_show(url: str, token: str | None, as_json: bool, ven_id: str) -> None:
    """One VEN with its loads."""
    one(ask(url, token, "GET", f"/v1/vens/{ven_id}"), as_json)


@ven.command("renew")
@click.argument("ven_id")
@asking
def ven_renew(url: str, token: str | None, as_json: bool, ven_id: str) -> None:
    """A new secret, printed this once; the old one stops working."""
    one(ask(url, token, "POST", f"/v1/vens/{ven_id}/credential"), as_json)


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
@asking
def resource_add(url: str, token: str | None, as_json: bool, ven_id: str, name: str | None, **new: Any) -> None:
    """Add a load to a VEN."""
    body = {**new, "name": name or new["resource_id"]}
    one(ask(url, token, "POST", f"/v1/vens/{ven_id}/resources", body), as_json)


@resource.command("list")
@click.option("--ven", "ven_id", help="Only those of this VEN.")
@paged
@asking
def resource_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List loads."""
    columns = ["ven_id", "resource_id", "name", "kind", "rated_kw", "sheddable"]
    listed("/v1/resources", url, token, as_json, columns, **params)


@click.group()
def statement() -> None:
    """What events delivered."""


@statement.command("list")
@click.option("--event", "event_id")
@paged
@asking
def statement_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List statements, the newest first."""
    columns = ["statement_id", "target_kwh", "baseline_kwh", "used_kwh", "delivered_kwh", "gap_seconds", "known_at"]
    listed("/v1/statements", url, token, as_json, columns, **params)


@statement.command("show")
@click.argument("statement_id", metavar="STATEMENT_ID|EVENT_ID")
@asking
def statement_show(url: str, token: str | None, as_json: bool, statement_id: str) -> None:
    """One statement, VEN by VEN; by the id of an event its newest."""
    of_event = ask(url, token, "GET", "/v1/statements", event_id=statement_id)["items"]
    known_as = of_event[0]["statement_id"] if of_event else statement_id
    found = ask(url, token, "GET", f"/v1/statements/{known_as}")
    if as_json:
        print_json(found)
        return
    lines = found.pop("lines")
    for ends in ("low_kwh", "high_kwh"):  # by interval: `GET /v1/statements/{id}/intervals` says them in order
        found.pop(ends, None)
    one(found, False)
    show(lines, False, "lines")


@statement.command("settle")
@click.argument("event_id")
@asking
def statement_settle(url: str, token: str | None, as_json: bool, event_id: str) -> None:
    """Settle an event again with what is known now: a restatement where anything changed."""
    one(ask(url, token, "POST", f"/v1/events/{event_id}/settle"), as_json)


@click.command()
@asking
def openadr(url: str, token: str | None, as_json: bool) -> None:
    """The OpenADR gateway at a glance. Where clients connect, what there is, which webhooks wait or are broken."""
    one(ask(url, token, "GET", "/v1/openadr"), as_json)


@click.group()
def webhooks() -> None:
    """What subscribers are told over HTTP."""


@webhooks.command("dead")
@paged
@asking
def webhooks_dead(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List deliveries that were given up, the longest dead first, each with its reason."""
    columns = ["delivery_id", "dead_at", "callback_url", "object_id", "attempts", "reason"]
    listed("/v1/webhooks/dead", url, token, as_json, columns, "dead deliveries", **params)


@webhooks.command("replay")
@click.argument("delivery_id")
@asking
def webhooks_replay(url: str, token: str | None, as_json: bool, delivery_id: str) -> None:
    """Try a dead delivery again, as if it were new."""
    ask(url, token, "POST", f"/v1/webhooks/dead/{delivery_id}/replay")
    one({"delivery_id": delivery_id, "state": "waiting"}, as_json)


def add_to(group: click.Group) -> None:
    for command in (site, ven, resource, statement, openadr, webhooks):
        group.add_command(command)
