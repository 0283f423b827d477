"""Commands about baseline rules: which there are, and how well each does on meters of one's own."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from tieline.base.errors import Refused
from tieline.cli.asking import ask, asking, listed, paged
from tieline.cli.printing import print_json, show, underway

WAIT_S = 0.5
ALARM = ["ven_id", "trick", "z", "says"]
PROPOSAL = ["proposal_id", "asked_at", "state"]
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")


@click.group()
def baseline() -> None:
    """Baseline rules, and how well each does on days without an event."""


@baseline.command()
@json_option
def rules(as_json: bool) -> None:
    """The rules there are; with --json each as it is declared."""
    import msgspec

    from tieline.settlement.baseline.markets import RULES

    if as_json:
        show(msgspec.to_builtins(list(RULES.values())), True, "rules")
        return
    show([{"name": one.name, "is": one.title, "source": one.source} for one in RULES.values()], False, "rules")


@baseline.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--columns", default="meter,at,kwh", show_default=True, help="Meter, instant, energy; outdoor °C as well."
)
@click.option("--zone", default="UTC", show_default=True, help="Where the meters are; stamps without a zone are local.")
@click.option("--stamp", type=click.Choice(["start", "end"]), default="start", help="Which edge a stamp marks.")
@click.option("--calendar", help="Its holidays: NERC, TW, US-CA, AU-NSW, …")
@click.option("--start", type=click.IntRange(0, 23), default=17, show_default=True, help="Hour the events start.")
@click.option("--hours", type=click.IntRange(1, 12), default=3, show_default=True, help="How long they are.")
@click.option("--forecast", is_flag=True, help="Try the forecast of the day before as well: it is made for every day.")
@json_option
def tournament(
    file: Path,
    columns: str,
    zone: str,
    stamp: str,
    calendar: str | None,
    start: int,
    hours: int,
    forecast: bool,
    as_json: bool,
) -> None:
    """Every rule on every day of a CSV or Parquet file of readings, as if it had an event, against what was drawn."""
    from dataclasses import replace

    import msgspec

    from tieline.base.series import Stamp
    from tieline.forecasts.backcasting import day_ahead
    from tieline.settlement.baseline.days import holidays_of
    from tieline.settlement.baseline.fleet import Event
    from tieline.settlement.baseline.markets import RULES
    from tieline.settlement.baseline.readings import fleet_of
    from tieline.settlement.baseline.tournament import scores, trial

    _, fleet = fleet_of(*_columns(file, columns.split(","), zone), stamp=Stamp(stamp))
    if calendar:
        fleet = replace(fleet, holidays=holidays_of(calendar, sorted({day.year for day in fleet.days})))
    if forecast:
        group_kw = fleet.mean_kw
        fleet = replace(fleet, group_kw=group_kw, forecast_kw=day_ahead(group_kw, fleet.first_day))
    events = [Event(day, start * 3600, hours * 3600) for day in fleet.days]
    told = msgspec.to_builtins(scores(trial(fleet, RULES.values(), events)))
    found = [{name: None if str(value) == "nan" else value for name, value in one.items()} for one in told]
    if not as_json:
        found = _as_shares(found)
    show(found, as_json, "scores: every rule needs enough days before the first one counts")


def _as_shares(scores: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: f"{value:.1%}" if isinstance(value, float) else value for name, value in one.items()} for one in scores
    ]


@baseline.command()
@click.argument("program_id")
@click.option("--days", type=click.IntRange(30, 400), default=120, show_default=True, help="So many days back.")
@click.option("--start", "start_h", type=float, help="Hour the events start, such as 16.5; default: as they were.")
@click.option("--hours", type=float, help="How long they are; default: as they were.")
@asking
def propose(url: str, token: str | None, as_json: bool, program_id: str, **asked: Any) -> None:
    """Try every rule on the days of a program's VENs, and propose the best, with its evidence.

    An operator accepts it by naming the rule in the program's terms. Prints the gaming alarms of the same look.
    """
    wanted = {name: value for name, value in asked.items() if value is not None}
    made = ask(url, token, "POST", f"/v1/programs/{program_id}/baseline-proposals", wanted)
    found = _worked_out(url, token, made["proposal_id"])
    if as_json:
        print_json(found)
    elif found["state"] == "refused":
        raise Refused(found["refused"])
    else:
        _told(found["evidence"])


def _worked_out(url: str, token: str | None, proposal_id: str) -> dict[str, Any]:
    """Waits for it, with a bar where somebody looks."""
    with underway("trying every rule") as tell:
        while True:
            found: dict[str, Any] = ask(url, token, "GET", f"/v1/baseline-proposals/{proposal_id}")
            tell(found["done"])
            if found["state"] != "asked":
                return found
            time.sleep(WAIT_S)


def _told(evidence: dict[str, Any]) -> None:
    by = {"business": 0, "other": 1}
    rows = sorted(evidence["scores"], key=lambda one: (by[one["kind"]], one["called_rrmse"] or one["fleet_rrmse"]))
    table = _as_shares(rows)
    hour, minute = divmod(round(evidence["start_h"] * 60), 60)
    show(table, False, f"events at {hour:02}:{minute:02} for {evidence['hours']:g} h, {evidence['vens']} VENs")
    click.echo(f"proposed: {evidence['says']}" if evidence["rule"] else evidence["says"])
    show([{name: one[name] for name in ALARM} for one in evidence["alarms"]], False, "gaming alarms")


@baseline.command()
@click.argument("program_id")
@paged
@asking
def proposals(url: str, token: str | None, as_json: bool, program_id: str, **params: Any) -> None:
    """What was proposed for a program, the newest first."""
    answer = ask(url, token, "GET", f"/v1/programs/{program_id}/baseline-proposals", **params)
    if as_json:
        print_json(answer)
        return
    show([{**{name: one[name] for name in PROPOSAL}, **_brief(one)} for one in answer["items"]], False, "proposals")
    if answer.get("next_cursor"):
        click.echo(f"more: --cursor {answer['next_cursor']}")


def _brief(one: dict[str, Any]) -> dict[str, Any]:
    evidence = one["evidence"] or {}
    return {"rule": evidence.get("rule"), "says": evidence.get("says") or one["refused"]}


@baseline.command()
@click.argument("program_id")
@asking
def alarms(url: str, token: str | None, as_json: bool, program_id: str) -> None:
    """Who may be gaming a program's baseline, by its newest proposal: each a reason to ask, and no proof."""
    listed(f"/v1/programs/{program_id}/gaming-alarms", url, token, as_json, ALARM, "gaming alarms")


def _columns(file: Path, names: list[str], zone: str) -> list[Any]:
    """Meter, local stamp, energy, and what else there is, of every row. Raises `Refused`."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv, parquet

    if len(names) not in (3, 4):
        raise Refused(f"three columns were expected (meter, instant, energy), or four, not {','.join(names)!r}")
    table = parquet.read_table(file) if file.suffix == ".parquet" else csv.read_csv(file)
    if missing := [name for name in names if name not in table.column_names]:
        raise Refused(f"{file.name} has no column {missing[0]!r}: it has {', '.join(table.column_names)}")
    meter, at, *values = (table[name] for name in names)
    try:
        aware = isinstance(at.type, pa.TimestampType) and at.type.tz
        local: Any = pc.call_function("local_timestamp", [at.cast(pa.timestamp("us", zone))]) if aware else at
        stamps = local.cast(pa.timestamp("us")).to_numpy()
        return [meter.cast(pa.string()).to_pylist(), stamps, *(one.cast(pa.float64()).to_numpy() for one in values)]
    except pa.ArrowInvalid as error:
        raise Refused(f"{file.name} cannot be read as meter, instant, energy: {error}") from None


def add_to(group: click.Group) -> None:
    group.add_command(baseline)
