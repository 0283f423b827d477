"""Commands about forecasts: what is forecast and how well, what was thought when, and having them made now."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from tieline.base.time import iso, parse_instant
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import one, print_json, show

HORIZONS = click.Choice(["day-ahead", "intraday"])
SPAN = {"day-ahead": timedelta(days=2), "intraday": timedelta(hours=6)}


@click.group()
def forecast() -> None:
    """Load, PV and flexible load ahead of time: by fleet, kind of load and target."""


@forecast.command("list")
@click.option("--horizon", type=HORIZONS, help="Only those.")
@paged
@asking
def forecast_list(url: str, token: str | None, as_json: bool, **params: Any) -> None:
    """What is forecast, by which method, and how good the last 28 days' were, over so many steps of a quarter hour.

    Coverage is the share that came within the band, of which 90% should. Bias and RRMSE are shares of the mean, the
    naive's beside it. With --json the pinball loss as well.
    """
    found = ask(url, token, "GET", "/v1/forecasts", **params)
    if as_json:
        print_json(found)
        return
    show([_row(each) for each in found["items"]], False, "forecasts")
    newest = [each["newest"] for each in found["items"]]
    for why in dict.fromkeys(f"{each['state']}: {each['reason']}" for each in newest if each["method"] is None):
        click.echo(why)
    if found["next_cursor"]:
        click.echo(f"more: --cursor {found['next_cursor']}")


def _row(each: dict[str, Any]) -> dict[str, Any]:
    newest, good = each["newest"], each["accuracy"] or {}
    shown = {"forecast_id": each["forecast_id"], "horizon": each["horizon"]}
    shown |= {"made_at": newest["made_at"], "method": newest["method"] or newest["state"], "steps": good.get("n")}
    return shown | {name: _share(good.get(name)) for name in ("coverage", "bias", "rrmse", "naive_rrmse")}


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


@forecast.command("runs")
@click.argument("forecast_id")
@click.option("--horizon", type=HORIZONS, help="Only those.")
@paged
@asking
def forecast_runs(url: str, token: str | None, as_json: bool, forecast_id: str, **params: Any) -> None:
    """Every forecast made of a group, the newest first: by which method, and why."""
    columns = ["horizon", "made_at", "start_at", "end_at", "state", "method", "devices", "took_s", "reason"]
    listed(f"/v1/forecasts/{forecast_id}/runs", url, token, as_json, columns, "runs", **params)


@forecast.command("show")
@click.argument("forecast_id")
@click.option("--horizon", type=HORIZONS, default="day-ahead", show_default=True)
@click.option("--start", help="RFC 3339 instant; default: now.")
@click.option("--end", help="RFC 3339 instant; default: two days on, or six hours of intraday.")
@click.option("--as-of", help="RFC 3339 instant: what was thought then.")
@asking
def forecast_show(  # a command's parameters are its options
    url: str,
    token: str | None,
    as_json: bool,
    forecast_id: str,
    horizon: str,
    start: str | None,
    end: str | None,
    as_of: str | None,
) -> None:
    """What was thought of each quarter hour, beside the naive and what came."""
    begin = parse_instant(start or ask(url, token, "GET", "/v1")["now_at"], "--start")
    until = parse_instant(end, "--end") if end else begin + SPAN[horizon]
    span = {"start": iso(begin), "end": iso(until), "as_of": as_of}
    found = ask(url, token, "GET", f"/v1/forecasts/{forecast_id}/values", horizon=horizon, **span)
    if as_json:
        print_json(found)
        return
    names = ["p05_kw", "p50_kw", "p95_kw", "naive_p50_kw", "actual_kw"]
    steps = zip(found["at"], *[found[name] for name in names], strict=True)
    rows = [{"at": iso(datetime.fromtimestamp(at, tz=UTC)), **dict(zip(names, values, strict=True))}
            for at, *values in steps if any(value is not None for value in values)]  # fmt: skip
    show(rows, False, "steps")
    if not rows:
        _why(url, token, forecast_id, horizon)


def _why(url: str, token: str | None, forecast_id: str, horizon: str) -> None:
    newest = ask(url, token, "GET", f"/v1/forecasts/{forecast_id}/runs", horizon=horizon, limit=1)["items"]
    for run in newest:
        click.echo(f"the newest run, of {run['start_at']} to {run['end_at']}, is {run['state']}: {run['reason']}")


@forecast.command("run")
@click.option("--horizon", type=HORIZONS, help="Only those.")
@asking
def forecast_run(url: str, token: str | None, as_json: bool, horizon: str | None) -> None:
    """Have forecasts made now, due or not; `tieline forecast list` shows when they are there."""
    one(ask(url, token, "POST", "/v1/forecasts/run", {"horizon": horizon}), as_json)


def add_to(group: click.Group) -> None:
    group.add_command(forecast)
