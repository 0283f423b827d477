"""Commands about baseline rules: which there are, and how well each does on meters of one's own."""

from pathlib import Path
from typing import Any

import click

from tieline.base.errors import Refused
from tieline.cli.printing import show

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
@json_option
def tournament(
    file: Path, columns: str, zone: str, stamp: str, calendar: str | None, start: int, hours: int, as_json: bool
) -> None:
    """Every rule on every day of a CSV or Parquet file of readings, as if it had an event, against what was drawn."""
    from dataclasses import replace

    import msgspec

    from tieline.base.series import Stamp
    from tieline.settlement.baseline.days import holidays_of
    from tieline.settlement.baseline.fleet import Event
    from tieline.settlement.baseline.markets import RULES
    from tieline.settlement.baseline.readings import fleet_of
    from tieline.settlement.baseline.tournament import scores, trial

    _, fleet = fleet_of(*_columns(file, columns.split(","), zone), stamp=Stamp(stamp))
    if calendar:
        fleet = replace(fleet, holidays=holidays_of(calendar, sorted({day.year for day in fleet.days})))
    events = [Event(day, start * 3600, hours * 3600) for day in fleet.days]
    found = msgspec.to_builtins(scores(trial(fleet, RULES.values(), events)))
    shares = ("refused", "home_rrmse", "fleet_rrmse", "bias", "cv_rmse", "nmbe", "coverage", "width")
    if not as_json:
        found = [one | {name: f"{one[name]:.1%}" for name in shares} for one in found]
    show(found, as_json, "scores: every rule needs enough days before the first one counts")


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
