"""The scripted story for a newcomer: a fleet, one event, and what it was worth, told as it happens.

It starts a platform and a fleet of its own as child processes, with an hour of their time in a minute, is a customer
of their doors like anyone, and checks what the platform says against what the simulator knows.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from tieline.base.errors import Broken, Unready
from tieline.base.time import iso, parse_instant
from tieline.sim import beside
from tieline.sim.story import program, reporting
from tieline.ven.client import Client

SPEED = 60
AHEAD, LENGTH, AFTER = timedelta(minutes=6), timedelta(minutes=30), timedelta(minutes=18)
EVERY = timedelta(minutes=5)  # a line at least so often from the start on
SHARE = 0.35  # of what the fleet could give up
LATE_S = beside.PATIENCE["ack_s"]


class Check(msgspec.Struct, frozen=True):
    """A thing that must hold at the end, and what was found."""

    name: str
    holds: bool
    found: str


class Tale(msgspec.Struct, frozen=True):
    """The closing table."""

    target_kw: float
    planned_kw: float
    accepted_kw: float
    delivered_kwh: float
    target_kwh: float
    true_delivered_kwh: float
    baseline_kwh: float
    true_baseline_kwh: float
    baseline_error_percent: float
    late_acks: int
    loads: int
    checks: list[Check]


class Sample(msgspec.Struct, frozen=True):
    at: datetime
    power_kw: float
    without_events_kw: float


async def tell(homes: int, seed: int, *, as_json: bool, keep: bool) -> int:
    """0 only if every load came back and the books balance; 1 when they do not."""
    console = Console(stderr=as_json)
    folder = Path(tempfile.mkdtemp(prefix="tieline-demo-"))
    try:
        async with _platform(folder, console) as url, Client(url) as client:
            arguments = ["--homes", str(homes), "--seed", str(seed), "--no-shows", "0.03", "--opt-outs", "0.02"]
            files = ["--truth", str(folder / "truth.ndjson"), "--state", str(folder / "sim.json")]
            with (folder / "sim.log").open("wb") as output:
                async with beside.started(url, *arguments, *files, output=output) as child:
                    tale = await _story(client, console, homes, folder, child)
        _close(tale, console, as_json=as_json)
        return 0 if all(check.holds for check in tale.checks) else 1
    finally:
        if keep:
            console.print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def _platform(folder: Path, console: Console) -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIELINE_")}
    environment |= {
        "TIELINE_DATA": str(folder / "data"),
        "TIELINE_HTTP_PORT": str(port),
        "TIELINE_CLOCK_SPEED": str(SPEED),
        "TIELINE_CLOCK_START_AT": iso(beside.start_at()),
        "TIELINE_ZONE": beside.ZONE,
        **{f"TIELINE_{name.upper()}": str(value) for name, value in beside.PATIENCE.items()},
    }
    with (folder / "platform.log").open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tieline.cli", "up", stdout=output, stderr=output, env=environment
        )
        try:
            url = f"http://127.0.0.1:{port}"
            with console.status("starting the platform"):
                await _ready(url, child, folder)
            console.print(f"the platform is up at [bold]{url}[/] (open it and watch)")
            yield url
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            await child.wait()


async def _ready(url: str, child: asyncio.subprocess.Process, folder: Path) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=5) as http:
        for _ in range(300):
            if child.returncode is not None:
                raise Broken(f"the platform ended at once: {(folder / 'platform.log').read_text()[-1000:]}")
            with contextlib.suppress(httpx.TransportError):
                if (await http.get("/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise Unready("the platform was not ready within 30 s")


async def _story(client: Client, console: Console, homes: int, folder: Path, child: asyncio.subprocess.Process) -> Tale:
    with console.status(f"{homes} homes live through forty days, enrol, connect and deliver their history"):
        await _live(client, homes, folder, child)
        fleet = await reporting(client)
    now = (await client.index()).now_at
    console.print(
        f"{fleet.online} homes are live: they draw {fleet.power_kw:.0f} kW; {fleet.controllable_kw:.0f} kW could wait"
    )
    await program(client, "demo", "Demonstration")
    start = (now + AHEAD).replace(second=0, microsecond=0)
    target = max(5.0, 5.0 * round(SHARE * fleet.controllable_kw / 5))
    event = await client.create_event("demo", start, start + LENGTH, target)
    console.print(
        f"called event {event.event_id}: [bold]{target:.0f} kW[/] less from {start:%H:%M} to {start + LENGTH:%H:%M} UTC"
    )
    await _watch(client, console, event.event_id, start)
    with console.status("settling"):
        statement = await _statement(client, event.event_id)
    return await _tale(client, event.event_id, statement, _truth(folder))


async def _live(client: Client, homes: int, folder: Path, child: asyncio.subprocess.Process) -> None:
    for _ in range(900):
        fleet = await client.fleet()
        if fleet.online >= 0.95 * homes and fleet.controllable_kw > 0:
            return
        if child.returncode is not None:
            raise Broken(f"the fleet ended: {(folder / 'sim.log').read_text()[-1000:]}")
        await asyncio.sleep(0.2)
    raise Unready(f"the fleet was not live within 180 s: {(folder / 'sim.log').read_text()[-500:]}")


async def _watch(client: Client, console: Console, event_id: str, start: datetime) -> None:
    """Say each change once; a bar for the hour, with the load beside it."""
    seen, next_line = "", start
    console.print("  clock     fleet load  event")
    total = (AHEAD + LENGTH + AFTER).total_seconds()
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[load]}")]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("waiting", total=total, load="")
        while True:
            event, fleet = await client.event(event_id), await client.fleet()
            rows = {state: n for state, n in event.rows.items() if n}
            told = f"{event.state:<10} {', '.join(f'{n} {state}' for state, n in rows.items())}"
            if told != seen or fleet.now_at >= next_line:
                bar.console.print(f"  {fleet.now_at:%H:%M:%S}  {fleet.power_kw:7.1f} kW  {told}")
                seen = told
                while next_line <= fleet.now_at:
                    next_line += EVERY
            gone = (fleet.now_at - start + AHEAD).total_seconds()
            bar.update(task, completed=gone, description=event.state, load=f"{fleet.power_kw:.0f} kW")
            final = event.rows.get("restored", 0) + event.rows.get("escalated", 0)
            if (
                event.state == "ended"
                and final == sum(event.rows.values())
                and gone >= (AHEAD + LENGTH).total_seconds() + 180
            ):
                return
            if gone > total + 900:
                return
            await asyncio.sleep(0.25)


async def _statement(client: Client, event_id: str) -> dict[str, Any]:
    for _ in range(150):
        page = await client.ask("GET", "/v1/statements", dict[str, Any], params={"event_id": event_id})
        if page["items"]:
            found: dict[str, Any] = page["items"][0]
            return await client.ask("GET", f"/v1/statements/{found['statement_id']}", dict[str, Any])
        await asyncio.sleep(0.2)
    raise Broken(f"no statement of event {event_id} within 30 s")


def _truth(folder: Path) -> list[Sample]:
    lines = (folder / "truth.ndjson").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Sample) for line in lines]


def true_energy(samples: Sequence[Sample], start: datetime, end: datetime) -> tuple[float, float]:
    """(kWh used, kWh without events) of the fleet in [start, end); a sample is the mean since the one before."""
    used = without = 0.0
    for before, sample in itertools.pairwise(samples):
        seconds = (min(sample.at, end) - max(before.at, start)).total_seconds()
        if seconds > 0:
            used += sample.power_kw * seconds / 3600
            without += sample.without_events_kw * seconds / 3600
    return used, without


async def _tale(client: Client, event_id: str, statement: dict[str, Any], samples: list[Sample]) -> Tale:
    event = await client.event(event_id)
    ledger = (await client.ask("GET", f"/v1/events/{event_id}/ledger", dict[str, Any]))["items"]
    baseline = await client.ask("GET", f"/v1/events/{event_id}/baseline", dict[str, Any])
    window = {"start": iso(event.start_at), "end": iso(event.end_at), "step_s": 300}
    metered = await client.ask("GET", "/v1/fleet/power", dict[str, Any], params=window)
    used_kwh, without_kwh = true_energy(samples, event.start_at, event.end_at)
    baseline_kwh = sum(baseline["baseline_kw"]) * baseline["step_s"] / 3600
    metered_kwh = sum(kw or 0.0 for kw in metered["used_kw"]) * 300 / 3600
    lines = statement["lines"]
    sums = {name: sum(line[name] for line in lines) for name in ("baseline_kwh", "used_kwh", "delivered_kwh")}
    apart = max(abs(sums[name] - statement[name]) for name in sums)
    drift = abs(metered_kwh - used_kwh) / used_kwh
    states = [row["state"] for row in ledger]
    checks = [
        Check(
            "every load came back",
            states.count("restored") == len(states),
            f"{states.count('restored')} of {len(states)}",
        ),
        Check("the lines add up to the totals", apart < 0.01, f"{apart:.3f} kWh apart"),
        Check("the meters agree with the homes", drift < 0.01, f"{100 * drift:.2f} % apart"),
        Check("no gap in the statement", statement["gap_seconds"] == 0, f"{statement['gap_seconds']:.0f} s"),
    ]
    return Tale(
        target_kw=event.target_kw,
        planned_kw=event.planned_kw,
        accepted_kw=event.acked_kw,
        delivered_kwh=statement["delivered_kwh"],
        target_kwh=statement["target_kwh"],
        true_delivered_kwh=round(without_kwh - used_kwh, 3),
        baseline_kwh=round(baseline_kwh, 3),
        true_baseline_kwh=round(without_kwh, 3),
        baseline_error_percent=round(100 * (baseline_kwh / without_kwh - 1), 2),
        late_acks=sum(_late(row) for row in ledger),
        loads=len(ledger),
        checks=checks,
    )


def _late(row: dict[str, Any]) -> bool:
    if not (row["sent_at"] and row["acked_at"]):
        return False
    return (parse_instant(row["acked_at"]) - parse_instant(row["sent_at"])).total_seconds() > LATE_S


def _close(tale: Tale, console: Console, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(tale)).decode() + "\n")
        return
    table = Table(title="what the event was worth", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("target", f"{tale.target_kw:.0f} kW, {tale.target_kwh:.1f} kWh")
    table.add_row("planned / accepted", f"{tale.planned_kw:.1f} / {tale.accepted_kw:.1f} kW of {tale.loads} loads")
    table.add_row(
        "delivered, by the statement",
        f"{tale.delivered_kwh:.1f} kWh ({100 * tale.delivered_kwh / tale.target_kwh:.0f} % of target)",
    )
    table.add_row("delivered, as the simulator knows", f"{tale.true_delivered_kwh:.1f} kWh")
    table.add_row("baseline of the fleet against the truth", f"{tale.baseline_error_percent:+.1f} %")
    table.add_row("late acknowledgements", str(tale.late_acks))
    for check in tale.checks:
        table.add_row(("[green]✓[/] " if check.holds else "[red]✗[/] ") + check.name, check.found)
    console.print(table)
    part = 100 * tale.delivered_kwh / tale.target_kwh
    well = all(check.holds for check in tale.checks)
    verdict = "Every load is back and the books balance." if well else "Something does not hold: see above."
    console.print(f"The statement credits {tale.delivered_kwh:.1f} kWh, {part:.0f} % of what was asked.")
    console.print(f"The simulator knows that it was {tale.true_delivered_kwh:.1f} kWh. {verdict}")
