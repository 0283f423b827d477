"""Commands about rollups: the proof that they are what raw readings make, and making them again."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import click

from tieline.base.errors import Broken
from tieline.base.time import Span, iso, parse_instant
from tieline.cli.asking import ask, asking
from tieline.cli.printing import one, print_json, progress, show

DAY = timedelta(days=1)
COUNTS = ("steps", "differing", "waiting", "written")


@click.group()
def rollup() -> None:
    """Series by steps of five minutes and an hour, as they are kept."""


def _spanning(command: Any) -> Any:
    command = click.option("--series", "series_ids", multiple=True, help="Only this one; repeat. Default: all.")(
        command
    )
    command = click.option("--end", required=True, help="RFC 3339 instant.")(command)
    return click.option("--start", required=True, help="RFC 3339 instant.")(command)


@rollup.command()
@_spanning
@asking
def verify(url: str, token: str | None, as_json: bool, start: str, end: str, series_ids: tuple[str, ...]) -> None:
    """Make the steps of a span again of raw readings, and compare them with those kept, to the bit.

    Writes nothing. Exits with 1 where a step differs.
    """
    found = _asked(url, token, "verify", _days(start, end), series_ids)
    _told(found, as_json)
    if found["differing"]:
        told = f"{found['differing']} of {found['steps']} steps are not what raw readings make"
        raise Broken(f"{told}: `tieline rollup rebuild` makes them again")


@rollup.command()
@_spanning
@asking
def rebuild(url: str, token: str | None, as_json: bool, start: str, end: str, series_ids: tuple[str, ...]) -> None:
    """Make the steps of a span again of raw readings, and write those that differ."""
    _told(_asked(url, token, "rebuild", _days(start, end), series_ids), as_json)


def _asked(url: str, token: str | None, what: str, days: list[Span], series_ids: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), "differences": []}
    for day in progress(days, what):
        for page in _pages(url, token, what, day, series_ids):
            for name in found:
                found[name] += page[name]
    return found


def _pages(url: str, token: str | None, what: str, day: Span, series_ids: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    asked = {"start": iso(day.start), "end": iso(day.end), "series_ids": series_ids}
    cursor: str | None = None
    while True:
        page = ask(url, token, "POST", f"/v1/rollups/{what}", {**asked, "cursor": cursor})
        yield page
        if not (cursor := page["next_cursor"]):
            return


def _days(start: str, end: str) -> list[Span]:
    """Cut at midnights of UTC."""
    span, days = Span(parse_instant(start, "--start"), parse_instant(end, "--end")), list[Span]()
    at: datetime = span.start
    while at < span.end:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        days.append(Span(at, min(midnight, span.end)))
        at = midnight
    return days


def _told(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    one({name: found[name] for name in COUNTS}, False)
    show([_flat(each) for each in found["differences"]], False, "differing steps")


def _flat(difference: dict[str, Any]) -> dict[str, Any]:
    """What is kept → what raw readings make, where they are not the same."""
    kept, made = (difference[name] or {} for name in ("kept", "made"))
    head = {name: difference[name] for name in ("level", "series_id", "at")}
    names = ("integral", "covered_s", "low", "high", "first", "last", "count", "flags")
    return head | {n: f"{kept.get(n, '-')} → {made.get(n, '-')}" if kept.get(n) != made.get(n) else None for n in names}


def add_to(group: click.Group) -> None:
    group.add_command(rollup)
