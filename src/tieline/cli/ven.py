"""Commands of a VEN: the agent that follows an OpenADR VTN, and the search for one on the local network."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import ssl
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tieline.base.errors import Refused
from tieline.base.time import RatedClock, iso
from tieline.cli import agent
from tieline.cli.printing import show

if TYPE_CHECKING:
    from tieline.ven import Credentials, Plan
    from tieline.wires.openadr31.timeline import Held, Outlook

SECRET = "TIELINE_VEN_SECRET"  # noqa: S105  the name of a variable


@click.command()
@click.option("--vtn", "url", required=True, help="URL of the VTN's API, with its version.")
@click.option("--name", required=True, help="The VEN's own name at the VTN.")
@click.option("--client-id", help="Whose secret it has; none for a VTN of public information.")
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"The client's secret; else {SECRET} has it.",
)
@click.option("--basic", is_flag=True, help="Send id and secret by HTTP Basic, not in the form.")
@click.option("--token-url", default="", help="Where tokens are given, if the VTN does not tell.")
@click.option("--program", "programs", multiple=True, help="Name of a program to follow; repeat. Default: all.")
@click.option("--resource", "resources", multiple=True, help="Name of a resource of the VEN; repeat for more.")
@click.option("--target", "targets", multiple=True, help="Ask for this target too; repeat. Tieline needs none.")
@click.option("--poll", "poll_s", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Seconds.")
@click.option("--mqtt", is_flag=True, help="Also hear of changes by the VTN's MQTT notifier.")
@click.option("--webhook", "webhook_url", help="Also hear of changes at this URL, by which the VTN reaches --listen.")
@click.option("--listen", default="127.0.0.1:8443", show_default=True, help="Where the webhook is received.")
@click.option(
    "--tls",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM with certificate and key of --listen.",
)
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM of an authority to trust besides the known.",
)
@click.option("--insecure", is_flag=True, help="Trust any certificate, and speak in clear.")
@click.option("--data", type=click.Path(path_type=Path), default=Path(".tieline/ven"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, for programs.")
def run(url: str, name: str, data: Path, as_json: bool, **options: Any) -> None:
    """Follow a VTN's events and print what holds now and next, each time that changes.

    Cut off, and started again without a connection, it goes on by what it remembers in --data.
    """
    from tieline.ven import Memory, VenAgent, VtnClient

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="tieline: %(message)s")
    logging.getLogger("tieline").setLevel(logging.INFO)
    credentials, verify, plan, clock = _credentials(options), _verify(options), _plan(options), RatedClock()

    def tell(outlooks: Mapping[str, "Outlook"]) -> None:
        _tell(outlooks, iso(clock.now()), as_json)

    async def work() -> None:
        vtn = VtnClient(url, credentials, verify=verify, unreadable=logging.getLogger("tieline").warning)
        async with vtn:
            with Memory(data, vtn.connection.url, name) as memory:
                await VenAgent(vtn, memory, plan, tell, clock=clock).run()

    asyncio.run(_until_stopped(work()))


@click.command()
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=3.0, show_default=True, help="How long to look.")
@click.option("--interface", "interfaces", multiple=True, metavar="ADDRESS", help="Look only there; repeat for more.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def discover(seconds: float, interfaces: tuple[str, ...], as_json: bool) -> None:
    """Look for VTNs on the local network (mDNS, _openadr3._tcp)."""
    from tieline import ven

    found = asyncio.run(ven.discover(seconds, interfaces))
    rows = [
        {
            "name": one.name,
            "url": one.url,
            "version": one.version,
            "requires_auth": one.requires_auth,
            "programs": ", ".join(one.program_names),
        }
        for one in found
    ]
    show(rows, as_json, "VTNs")


# --- options ----------------------------------------------------------------------------------------------------------


def _credentials(options: Mapping[str, Any]) -> "Credentials | None":
    from tieline.ven import Credentials

    client_id, file = options["client_id"], options["secret_file"]
    if not client_id:
        return None
    secret = file.read_text(encoding="utf-8").strip() if file else os.environ.get(SECRET, "")
    if not secret:
        raise Refused(f"--client-id needs its secret: set {SECRET}, or name a file with --secret-file")
    return Credentials(client_id=client_id, secret=secret, basic=options["basic"], token_url=options["token_url"])


def _verify(options: Mapping[str, Any]) -> bool | ssl.SSLContext:
    import httpx

    if not options["ca"]:
        return not options["insecure"]
    context = httpx.create_ssl_context()
    try:
        context.load_verify_locations(options["ca"])
    except ssl.SSLError as error:
        raise Refused(f"--ca {options['ca']}: {error.reason or error}: it must hold certificates, as PEM") from None
    return context


def _plan(options: Mapping[str, Any]) -> "Plan":
    from tieline.ven import Plan, Webhook

    followed = {name: options[name] for name in ("programs", "resources", "targets", "poll_s", "mqtt")}
    if not (url := options["webhook_url"]):
        return Plan(**followed)
    host, _, port = options["listen"].rpartition(":")
    if not (host and port.isdigit()):
        raise Refused(f"--listen {options['listen']!r} is not HOST:PORT")
    webhook = Webhook(url=url, host=host.strip("[]"), port=int(port), tls=_tls(options["tls"]))
    return Plan(**followed, webhook=webhook)


def _tls(pem: Path | None) -> ssl.SSLContext | None:
    if pem is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(pem)
    except ssl.SSLError as error:
        raise Refused(f"--tls {pem}: {error.reason or error}: it must hold certificate and key, as PEM") from None
    return context


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Until SIGINT or SIGTERM, which are no failure."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


# --- printing ---------------------------------------------------------------------------------------------------------


def _tell(outlooks: Mapping[str, "Outlook"], now: str, as_json: bool) -> None:
    if as_json:
        holds = {kind: {"now": _shown(one.now), "next": _shown(one.next)} for kind, one in outlooks.items()}
        click.echo(json.dumps({"at": now, "holds": holds}))
        return
    for kind, outlook in outlooks.items():
        click.echo(f"{now}  {kind}: now {_told(outlook.now, 'until')}; next {_told(outlook.next, 'from')}")
    if not outlooks:
        click.echo(f"{now}  nothing holds")


def _told(held: "Held | None", edge: str) -> str:
    if held is None:
        return "nothing"
    at = held.end if edge == "until" else held.start
    values = ", ".join(str(one) for one in held.payload.values)
    return f"{values} {edge} {iso(at) if at else 'further notice'} ({held.event.event_name or held.event.id})"


def _shown(held: "Held | None") -> dict[str, Any] | None:
    import msgspec

    if held is None:
        return None
    return {
        "values": msgspec.to_builtins(held.payload.values),
        "start_at": iso(held.start),
        "end_at": iso(held.end) if held.end else None,
        "event_id": held.event.id,
        "event_name": held.event.event_name,
        "interval_id": held.interval_id,
    }


def add_to(group: click.Group) -> None:
    agent.add_to(group)
    for command in (run, discover):
        group.add_command(command)
