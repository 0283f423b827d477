"""Commands about series: declaring them, which there are, their values, the newest, and files of them."""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import click

from tieline.base.errors import NotFound, Refused
from tieline.base.time import iso, parse_instant
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import one, print_json, show
from tieline.cli.sparkline import bounds, sparkline
from tieline.ven.client import Client

RESOLUTIONS = click.Choice(["raw", "1m", "5m", "15m", "1h", "1d", "1mo", "auto"])
SUFFIX = {"green-button": "xml"}
FORMATS = ["csv", "ndjson", "arrow", "parquet", "json", "green-button"]
PAGE = 1000
COLUMNS = ["series_id", "unit", "step_s", "stamp", "zone", "source"]


def spanning(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that reads values in a span."""
    for option in (
        click.option("--zone", help="Whose days; default: the series' own."),
        click.option("--as-of", help="RFC 3339 instant: what was known then."),
        click.option("--resolution", type=RESOLUTIONS, help="Readings, steps of a length, or what a chart can show."),
        click.option("--end", help="RFC 3339 instant; default: now."),
        click.option("--start", help="RFC 3339 instant; default: a day before the end."),
    ):
        command = option(command)
    return command


@click.group()
def series() -> None:
    """Series: what is measured, published or forecast. Each has its unit, zone and interval convention."""


@series.command("add")
@click.argument("series_id")
@click.option("--unit", required=True, help="Of its values, such as kW or AUD/MWh.")
@click.option("--step-s", type=int, required=True, help="Normal length of an interval in seconds.")
@click.option("--zone", required=True, help="IANA time zone of its days.")
@click.option("--stamp", type=click.Choice(["start", "end"]), required=True, help="Edge of the interval it stamps.")
@click.option("--hold-s", type=int, help="Longest a value may stand where neighbours are missing; default: the step.")
@click.option("--source", required=True, help="Who publishes it.")
@asking
def series_add(url: str, token: str | None, as_json: bool, hold_s: int | None, **new: Any) -> None:
    """Declare a series."""
    one(ask(url, token, "POST", "/v1/series", {**new, "hold_s": hold_s or new["step_s"]}), as_json)


@series.command("list")
@click.option("-q", help="Text in the id.")
@click.option("--source", help="Only of this source, such as mqtt, ons or nem.")
@paged
@asking
def series_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """List series in order of id."""
    listed("/v1/series", url, token, as_json, COLUMNS, **params)


@series.command("show")
@click.argument("series_id")
@asking
def series_show(url: str, token: str | None, as_json: bool, series_id: str) -> None:
    """What a series is, its newest value, and how the last day looked."""
    declared = ask(url, token, "GET", f"/v1/series/{series_id}")
    newest = ask(url, token, "GET", "/v1/series/last", series_id=series_id, within_s=366 * 86_400)
    last: dict[str, Any] = next(iter(newest["items"]), {})
    if as_json:
        print_json({**declared, "last": last or None})
        return
    one({**declared, **{f"last_{name}": last[name] for name in ("at", "value", "age_s") if last}}, False)
    _plot(url, token, series_id, _span(url, token, None, None), {})


@series.command("values")
@click.argument("series_id")
@spanning
@click.option("--limit", default=PAGE, show_default=True)
@click.option("--cursor", help="Go on after the page before.")
@click.option("--plot", is_flag=True, help="A line of blocks instead of a table.")
@asking
def series_values(
    url: str, token: str | None, as_json: bool, series_id: str, start: str | None, end: str | None, plot: bool,
    **params: Any,
) -> None:  # fmt: skip
    """Values of a series: readings as they came, or by step, or thinned so that a chart can show them."""
    span = _span(url, token, start, end)
    if plot:
        _plot(url, token, series_id, span, {name: params[name] for name in ("as_of", "zone")})
        return
    found = ask(url, token, "GET", f"/v1/series/{series_id}/values", **_told(span), **params)
    if as_json:
        print_json(found)
        return
    show(found["items"], False, f"values in {found['series']['unit']}")
    if found["next_cursor"]:
        click.echo(f"more: --cursor {found['next_cursor']}")


@series.command("last")
@click.argument("series_ids", nargs=-1, metavar="[SERIES_ID…]")
@click.option("-q", help="Text in the id.")
@click.option("--within-s", type=float, default=86_400.0, show_default=True, help="Seconds that they may be old.")
@asking
def series_last(
    url: str, token: str | None, as_json: bool, series_ids: Sequence[str], q: str | None, within_s: float
) -> None:
    """The newest value of all series, of some, or of those with some text in their id."""
    found = ask(url, token, "GET", "/v1/series/last", series_id=list(series_ids) or None, q=q, within_s=within_s)
    if as_json:
        print_json(found)
        return
    show(found["items"], False, "values")
    if found["silent"]:
        click.echo(f"{found['silent']} more have sent nothing in {within_s:g} s")
    _know(found["unknown"])


@series.command("export")
@click.argument("series_ids", nargs=-1, metavar="[SERIES_ID…]")
@click.option("-q", help="All with this text in their id.")
@spanning
@click.option("--format", "kind", type=click.Choice(FORMATS), help="Default: as the output's name ends, else csv.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The file to write; default: standard output.")
@asking
def series_export(
    url: str, token: str | None, as_json: bool, series_ids: Sequence[str], q: str | None, start: str | None,
    end: str | None, kind: str | None, output: Path | None, **params: Any,
) -> None:  # fmt: skip
    """Write values of one series, or of many, to a file that other tools open.

    Green Button (ESPI XML) is of one series of power, by steps of 15 minutes unless --resolution says another.
    """
    ids = [*series_ids, *(_matching(url, token, q) if q else [])]
    if not ids:
        raise Refused("name a series, or several by -q")
    kind = kind or ("json" if as_json else _kind_of(output))
    suffix, span = SUFFIX.get(kind, kind), _told(_span(url, token, start, end))
    asked = {name: value for name, value in {**span, **params}.items() if value is not None}
    if len(ids) == 1:
        what: tuple[Any, ...] = ("GET", f"/v1/series/{ids[0]}/values.{suffix}", None, asked)
    elif kind == "green-button":
        raise Refused(f"Green Button is of one series, not of {len(ids)}")
    else:
        what = ("POST", f"/v1/series/values.{suffix}", {**asked, "series_ids": ids}, None)
    with _into(output) as (out, received):
        asyncio.run(_save(url, token, what, out, received))
    if output:
        click.echo(f"{output}: {output.stat().st_size:,} bytes", err=True)


def _kind_of(output: Path | None) -> str:
    ending = output.suffix.removeprefix(".") if output else "csv"
    kinds = {SUFFIX.get(kind, kind): kind for kind in FORMATS}
    if ending not in kinds:
        raise Refused(f"{output} does not end with one of {', '.join(f'.{one}' for one in kinds)}: give --format")
    return kinds[ending]


def _matching(url: str, token: str | None, q: str) -> list[str]:
    found = list[str]()
    cursor: str | None = ""
    while cursor is not None:
        page = ask(url, token, "GET", "/v1/series", q=q, limit=PAGE, cursor=cursor or None)
        found += [each["series_id"] for each in page["items"]]
        cursor = page["next_cursor"]
    if not found:
        raise NotFound(f"no series has {q!r} in its id")
    return found


async def _save(
    url: str, token: str | None, what: tuple[Any, ...], out: IO[bytes], received: Callable[[int], None]
) -> None:
    async with Client(url, token=token) as client, aclosing(client.download(*what)) as parts:
        async for part in parts:
            out.write(part)
            received(len(part))


@contextlib.contextmanager
def _into(output: Path | None) -> Iterator[tuple[IO[bytes], Callable[[int], None]]]:
    """Where to write, and who is told how much came. A file that did not come whole is not left behind."""
    if output is None:
        yield sys.stdout.buffer, lambda _: None
        return
    draft = output.with_name(f".{output.name}.part")
    try:
        with draft.open("wb") as out, _watched(output.name) as received:
            yield out, received
        draft.replace(output)
    except OSError as error:
        raise Refused(f"{output}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _watched(name: str) -> Iterator[Callable[[int], None]]:
    """How much came, on a terminal: how much there will be nobody knows."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda size: bar.advance(task, size)


def _span(url: str, token: str | None, start: str | None, end: str | None) -> tuple[datetime, datetime]:
    until = parse_instant(end or ask(url, token, "GET", "/v1")["now_at"], "--end")
    return parse_instant(start, "--start") if start else until - timedelta(days=1), until


def _told(span: tuple[datetime, datetime]) -> dict[str, str]:
    return {"start": iso(span[0]), "end": iso(span[1])}


def _know(unknown: Sequence[str]) -> None:
    if unknown:
        raise NotFound(f"there is no series {', '.join(unknown)}")


def _plot(
    url: str, token: str | None, series_id: str, span: tuple[datetime, datetime], params: dict[str, str | None]
) -> None:
    width = max(20, min(120, shutil.get_terminal_size().columns - 2))
    path, asked = f"/v1/series/{series_id}/values", {"resolution": "auto", "shape": "columns", "points": 5 * width}
    found = ask(url, token, "GET", path, **_told(span), **asked, **params)
    values = found["columns"]["value"]
    known = [value for value in values if value is not None]
    if not known:
        click.echo(f"no values from {iso(span[0])} to {iso(span[1])}")
        return
    click.echo(sparkline(found["columns"]["at"], values, span[0].timestamp(), span[1].timestamp(), width))
    least, most = bounds(known)
    click.echo(f"{iso(span[0])} to {iso(span[1])}: {least:g} to {most:g} {found['series']['unit']}")


def add_to(group: click.Group) -> None:
    group.add_command(series)
