"""Commands about twins: what a VEN is asked to be, what it says that it is, and what it was."""

import json
import time
from typing import Any

import click

from tieline.base.errors import Refused, Unready
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import one, show

CLASSIC = "classic"
LOOK_S = 0.5

_named = click.option("--name", default=CLASSIC, show_default=True, help="Which of the VEN's twins.")


@click.group()
def twin() -> None:
    """Twins of VENs: desired, reported, and the delta between them."""


@twin.command("list")
@click.argument("ven_id")
@paged
@asking
def list_(url: str, token: str | None, as_json: bool, ven_id: str, **params: Any) -> None:
    """List the twins of a VEN; one differs until all that is desired is reported."""
    listed(f"/v1/vens/{ven_id}/twins", url, token, as_json, ["name", "version", "at", "differs"], **params)


@twin.command("show")
@click.argument("ven_id")
@_named
@asking
def show_(url: str, token: str | None, as_json: bool, ven_id: str, name: str) -> None:
    """Show a twin, field by field."""
    _tell(ask(url, token, "GET", _place(ven_id, name)), as_json)


@twin.command("set")
@click.argument("ven_id")
@click.argument("fields", nargs=-1, required=True, metavar="FIELD=VALUE…")
@_named
@click.option("--reported", is_flag=True, help="Set what is reported, for a device that cannot.")
@click.option("--version", type=int, help="Only if the twin is at this version.")
@click.option("--wait-s", type=float, help="Wait for so many seconds until the device has reported it.")
@asking
def set_(
    url: str, token: str | None, as_json: bool, ven_id: str, fields: tuple[str, ...], name: str, reported: bool,
    version: int | None, wait_s: float | None,
) -> None:  # fmt: skip
    """Set fields of what is desired: setpoint_c=21 mode.eco=true fan=low. The value is JSON or else text; null deletes
    the field.

    Exits 75 when --wait-s ended before the device had reported it.
    """
    change = {"reported" if reported else "desired": _state(fields), "version": version}
    found = ask(url, token, "PATCH", _place(ven_id, name), change)
    until = time.monotonic() + (wait_s or 0)
    while wait_s is not None and found["delta"] and time.monotonic() < until:
        time.sleep(LOOK_S)
        found = ask(url, token, "GET", _place(ven_id, name))
    _tell(found, as_json)
    if wait_s is not None and found["delta"]:
        raise Unready(f"VEN {ven_id} has not reported {', '.join(found['delta'])} within {wait_s:g} s")


@twin.command("history")
@click.argument("ven_id")
@_named
@asking
def history(url: str, token: str | None, as_json: bool, ven_id: str, name: str) -> None:
    """What a twin was: its last versions, the oldest first."""
    found = ask(url, token, "GET", f"{_place(ven_id, name)}/history")
    columns = ["version", "at", "desired", "reported", "delta"]
    rows = [{column: _text(each[column]) for column in columns} for each in found["items"]]
    show(found["items"] if as_json else rows, as_json, "versions")


def _place(ven_id: str, name: str) -> str:
    return f"/v1/vens/{ven_id}/twins/{name}"


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        one(found, True)
        return
    one({name: found[name] for name in ("ven_id", "name", "version", "at")}, False)
    names = sorted(found["desired"].keys() | found["reported"].keys())
    sections = ("desired", "reported", "delta")
    show(
        [{"field": name} | {each: _text(found[each].get(name)) for each in sections} for name in names], False, "fields"
    )


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list | bool) else value


def _state(fields: tuple[str, ...]) -> dict[str, Any]:
    """What was given, as nested objects. Raises `Refused`."""
    state: dict[str, Any] = {}
    for field in fields:
        path, given, value = field.partition("=")
        *above, name = path.split(".")
        if not (given and all([*above, name])):
            raise Refused(f"{field!r} is not FIELD=VALUE, such as setpoint_c=21 or mode.eco=true")
        place = state
        for each in above:
            place = place.setdefault(each, {})
            if not isinstance(place, dict):
                raise Refused(f"{field!r} goes into {each}, which is given a value of its own")
        place[name] = _value(value)
    return state


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def add_to(group: click.Group) -> None:
    group.add_command(twin)
