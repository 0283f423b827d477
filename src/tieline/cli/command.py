"""Commands about direct commands: what an operator asks of single VENs, and what each answered."""

import time
from datetime import timedelta
from typing import Any

import click
import msgspec

from tieline.base.errors import Refused, Unready
from tieline.base.time import iso, parse_instant
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import one, show

OPS = ("restore", "shedLoad", "setLoad", "shedPanel", "set", "get", "ping")
LOOK_S = 0.5
COLUMNS = ["command_id", "ven_id", "op", "state", "issued_at", "answered_at", "reason"]


@click.group()
def command() -> None:
    """Direct commands to VENs, outside events."""


@command.command("send")
@click.argument("op", type=click.Choice(OPS))
@click.argument("ven_ids", nargs=-1, required=True, metavar="VEN_ID…")
@click.option("--resource", "resource_id", help="The load: of shedLoad, setLoad, restore.")
@click.option("--event", "event_id", help="The event whose loads a restore gives back.")
@click.option("--limit-kw", type=float, help="The limit: of setLoad, shedPanel.")
@click.option("--minutes", type=float, help="For how long, from now.")
@click.option("--until", "end_at", help="Until when: an RFC 3339 instant.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting; repeat for more.")
@click.option("--get", "names", multiple=True, metavar="NAME", help="What to ask for; repeat. Default: all.")
@click.option("--valid-s", type=float, default=60.0, show_default=True, help="Seconds in which it can be begun.")
@click.option("--wait", is_flag=True, help="Until each was answered, or expired without.")
@asking
def send(
    url: str, token: str | None, as_json: bool, op: str, ven_ids: tuple[str, ...], minutes: float | None,
    end_at: str | None, settings: tuple[str, ...], wait: bool, **asked: Any,
) -> None:  # fmt: skip
    """Command one VEN or several: shed a load, hold the panel, change or ask for settings, ping, give back.

    Without --resource and --event a restore gives back everything that the VEN holds. Exits 2 when one was not
    commanded or did not accept, 75 when --wait ended without an answer.
    """
    asked = {name: value for name, value in asked.items() if value is not None}
    until = parse_instant(end_at, "--until") if end_at else _in(url, token, minutes)
    ending = {"end_at": iso(until)} if until else {}
    body = {"op": op, "ven_ids": ven_ids, "values": dict(map(_setting, settings)), **asked, **ending}
    told = ask(url, token, "POST", "/v1/commands", body)
    sent = [each["command_id"] for each in told["items"] if each["command_id"]]
    refused = [{**each, "state": "refused", "reason": each["refused"]} for each in told["items"] if each["refused"]]
    found = [_settled(url, token, each, asked["valid_s"]) if wait else _shown(url, token, each) for each in sent]
    rows = [*found, *refused]
    if len(rows) == 1 and found:
        one(found[0], as_json)
    else:
        show(rows if as_json else [{name: row.get(name) for name in COLUMNS} for row in rows], as_json, "commands")
    _exit(refused, found, wait)


def _exit(refused: list[dict[str, Any]], found: list[dict[str, Any]], wait: bool) -> None:
    declined = [*refused, *(each for each in found if each["state"] in ("refused", "opted_out", "expired"))]
    if declined:
        first = declined[0]
        raise Refused(f"{len(declined)} of {len(refused) + len(found)} do not: {first['ven_id']}: {first['reason']}")
    if wait and (silent := [each["ven_id"] for each in found if each["state"] in ("sent", "unanswered")]):
        raise Unready(f"no answer of {', '.join(silent)}")


def _in(url: str, token: str | None, minutes: float | None) -> Any:
    if minutes is None:
        return None
    return parse_instant(ask(url, token, "GET", "/v1")["now_at"]) + timedelta(minutes=minutes)


def _setting(text: str) -> tuple[str, Any]:
    """A number, true, false or null as JSON has them; anything else is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise Refused(f"--set {text!r} is not NAME=VALUE")
    try:
        return name, msgspec.json.decode(value, type=bool | int | float | None)
    except msgspec.DecodeError:
        return name, value


def _shown(url: str, token: str | None, command_id: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(url, token, "GET", f"/v1/commands/{command_id}")
    return found


def _settled(url: str, token: str | None, command_id: str, valid_s: float) -> dict[str, Any]:
    """Once it is answered or given up; at most twice as long as it is valid, whatever the platform's clock does."""
    for _ in range(int(2 * valid_s / LOOK_S) + 10):
        found = _shown(url, token, command_id)
        if found["state"] != "sent":
            break
        time.sleep(LOOK_S)
    return found


@command.command("list")
@click.option("--ven", "ven_id", help="Only those to this VEN.")
@click.option("--state", help="sent, accepted, refused, opted_out, expired or unanswered.")
@paged
@asking
def list_(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List direct commands, the newest first."""
    listed("/v1/commands", url, token, as_json, COLUMNS, **params)


@command.command("show")
@click.argument("command_id")
@asking
def show_(url: str, token: str | None, as_json: bool, command_id: str) -> None:
    """One direct command: what was asked, what was answered."""
    one(_shown(url, token, command_id), as_json)


def add_to(group: click.Group) -> None:
    group.add_command(command)
