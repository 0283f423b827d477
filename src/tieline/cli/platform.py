"""Commands that run the platform or work on its store directly. Imports wait for the command that needs them, so that
`tieline --help` is quick and the bare package does without the platform's."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tieline.base.part import Task
from tieline.cli.printing import progress, show


def default_url() -> str:
    """Of the platform that these settings would run."""
    from tieline import settings

    return settings.load().url


@click.command()
@click.option("--data", help="Folder of everything it keeps.")
@click.option("--http-port", type=int, help="Port of the page and the API.")
@click.option("--mqtt-port", type=int, help="Port devices connect to.")
@click.option("--speed", type=float, help="Clock seconds per second: above 1, time is simulated.")
@click.option(
    "--fleet", type=click.IntRange(1, 9999), help="Also run a simulated fleet of so many homes, and its story."
)
@click.option(
    "--development",
    is_flag=True,
    help="For trying out: webhooks to private addresses are allowed, and a receiver may leave out the challenge.",
)
def up(
    data: str | None,
    http_port: int | None,
    mqtt_port: int | None,
    speed: float | None,
    fleet: int | None,
    *,
    development: bool,
) -> None:
    """Run the whole platform in one process."""
    from tieline import app, process, settings
    from tieline.sim import beside

    given: dict[str, Any] = {"data": data, "http_port": http_port, "mqtt_port": mqtt_port, "clock_speed": speed}
    if development:
        given["development"] = True
    if fleet:
        start_at = settings.load().clock_start_at or beside.start_at()
        given |= {"zone": beside.ZONE, "clock_start_at": start_at, **beside.PATIENCE}
    chosen = settings.load(**given)
    _configure_logs(chosen.log_level, chosen.log_format)

    def with_fleet(url: str) -> Sequence[Task]:
        return beside.fleet(url, homes=fleet, folder=chosen.folder, token=chosen.api_token) if fleet else ()

    with process.alone(chosen.folder, chosen.url):
        asyncio.run(app.run(chosen, announce=_announce, beside=with_fleet))


@click.command()
@click.argument("parts", nargs=-1, required=True, metavar="PART…")
def run(parts: tuple[str, ...]) -> None:
    """Run chosen parts in a process of their own. Each is of api, telemetry, forecasts, dispatch, settlement and vtn;
    others may run on the same settings."""
    from tieline import app, settings

    chosen = settings.load()
    _configure_logs(chosen.log_level, chosen.log_format)
    asyncio.run(app.run(chosen, parts, announce=_announce))


def _announce(url: str, ports: Any) -> None:
    if url:
        scheme = "mqtts" if ports.door.trusted else "mqtt"
        click.echo(f"\n  Tieline is at  {url}\n  devices        {scheme}://{ports.mqtt_host}:{ports.mqtt_port}\n")
    else:
        click.echo("tieline: running")


@click.command()
@click.option("--homes", default=200, show_default=True, type=click.IntRange(1, 9999))
@click.option("--seed", default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The closing table as JSON.")
@click.option("--keep", is_flag=True, help="Keep its data folder, and say where it is.")
def demo(homes: int, seed: int, as_json: bool, keep: bool) -> None:
    """An hour of a fleet in a minute, told as it happens. Exits 0 only if all came back and the books balance."""
    from tieline.sim import demo as story

    raise SystemExit(asyncio.run(story.tell(homes, seed, as_json=as_json, keep=keep)))


@click.command()
@click.option(
    "--url", envvar="TIELINE_URL", default=default_url, show_default="that of the settings", help="The platform."
)
@click.option("--token", envvar="TIELINE_API_TOKEN", help="Its token, beyond loopback.", show_envvar=True)
@click.option("--homes", default=200, show_default=True)
@click.option("--speed", type=float, help="Set the platform's clock to so many seconds a second.")
@click.option("--seed", default=7, show_default=True, help="The same seed is the same fleet.")
@click.option("--zone", default="America/Los_Angeles", show_default=True, help="Time zone of the homes.")
@click.option("--history-days", default=40, show_default=True, help="Days of quarter hours to deliver first.")
@click.option("--report-every", default=60, show_default=True, help="Seconds of the clock between a home's reports.")
@click.option("--loads-every", default=60, show_default=True, help="Seconds between a home's load snapshots.")
@click.option("--no-shows", default=0.03, show_default=True, help="Share of homes that drop out of an event.")
@click.option("--opt-outs", default=0.02, show_default=True, help="Share of homes that opt out of one.")
@click.option("--state", type=click.Path(path_type=Path), default=Path(".tieline/sim.json"), show_default=True)
@click.option("--truth", type=click.Path(path_type=Path), help="Write what would have been without events (NDJSON).")
@click.option("--weather", type=click.Path(path_type=Path), help="Write the temperature outdoors by the hour (CSV).")
@click.option("--story", is_flag=True, help="Also call one event, so that there is something to see.")
@click.option("--with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")
def sim(with_parent: bool, **options: Any) -> None:
    """A simulated fleet of homes. It speaks to the platform over MQTT, as real ones do."""
    from tieline.sim.beside import parent_gone
    from tieline.sim.fleet import run as run_fleet
    from tieline.sim.options import Options

    _configure_logs("warning", "plain")

    async def work() -> None:
        await run_fleet(Options(**options), stop=parent_gone() if with_parent else None)

    asyncio.run(work())


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file that says what the columns of a CSV or Parquet file mean.",
)
@click.option("--json", "as_json", is_flag=True)
def load(files: tuple[Path, ...], mapping: Path | None, as_json: bool) -> None:
    """Load market and meter files into the Series of these settings.

    It reads ONS hourly load, AEMO NEM C/I/D files, NEM12 and NEM13 meter files, and, by a mapping, any other CSV or
    Parquet; zipped or not. Works beside a running platform and without one. Exits 2 when a file could not be loaded at
    all.
    """
    from tieline import app, settings
    from tieline.feeds import actions

    chosen = settings.load()
    mapped_by = mapping.read_bytes() if mapping else None
    click.echo(f"into {chosen.objects or chosen.folder}", err=True)

    async def work() -> list[Any]:
        outcomes = []
        async with app.opened_store(chosen) as store:
            for path in progress(files, "loading"):
                outcome = await actions.load(
                    path.read_bytes(),
                    path.name,
                    rows=store.rows,
                    series=store.series,
                    blobs=store.blobs,
                    clock=store.clock,
                    mapped_by=mapped_by,
                )
                outcomes.append(outcome)
        return outcomes

    outcomes = asyncio.run(work())
    rows = [_row(outcome) for outcome in outcomes]
    show(rows, as_json, "loaded files")
    if not as_json:
        for one in outcomes:
            for finding in one.file.findings:
                click.echo(f"  {one.file.name}: {finding.kind} ({finding.count}): {finding.detail}")
    raise SystemExit(2 if any(one.file.state == "failed" for one in outcomes) else 0)


def _row(outcome: Any) -> dict[str, Any]:
    file = outcome.file
    return {
        "file": file.name,
        "state": f"{file.state}, before" if outcome.again else file.state,
        "dataset": file.dataset,
        "series": file.series,
        "readings": file.rows,
        "new": outcome.stored,
        "quarantined": file.quarantined,
        "reason": file.reason or "",
    }


@click.command()
@click.option("--json", "as_json", is_flag=True)
def config(as_json: bool) -> None:
    """Every setting, its value and where it comes from. Secrets are only said to be set."""
    from tieline import settings

    shown = [{"name": s.name, "value": s.value, "source": s.source, "meaning": s.description} for s in settings.show()]
    show(shown, as_json, "settings")


@click.command()
def migrate() -> None:
    """Bring the tables to this version (every start does it too)."""
    from tieline import app, settings

    async def work() -> None:
        async with app.opened_store(settings.load()):
            click.echo("tables are up to date")

    asyncio.run(work())


def _configure_logs(level: str, form: str) -> None:
    from tieline.cli.logs import configure

    configure(level, form)


def add_to(group: click.Group) -> None:
    for command in (up, run, demo, sim, load, config, migrate):
        group.add_command(command)
