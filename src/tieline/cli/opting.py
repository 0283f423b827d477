"""The commands by which who lives here opts out of what the agent was asked, and in again."""

from pathlib import Path
from typing import Any

import click

from tieline.base.errors import Refused, Unready

TIMEOUT_S = 10.0
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  where it listens, as it can be called

SITE = click.argument("site", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.command("opt-out")
@SITE
@click.option("--event", help="Only of this event, by its id. Default: of everything until midnight.")
@click.option("--load", help="Only with this load.")
@click.option("--from", "from_", metavar="TIME", help="From then on: 18:30, or an RFC 3339 instant. Default: now.")
@click.option("--keep-kw", type=float, help="With --event: still take part, held no lower than so many kW.")
@click.option("--reason", help="Why: whoever asked is told.")
def opt_out(site: Path, event: str | None, from_: str | None, **fields: Any) -> None:
    """Opt out at the agent that runs with SITE: it is free at once, or from a time on, and the platform is told."""
    said = {"subject": f"event:{event}" if event else None, "from": from_, **fields}
    _post(site, "/opt-out" if event else "/opt-out-of-all", said)
    click.echo("opted out")


@click.command("opt-in")
@SITE
def opt_in(site: Path) -> None:
    """Take part again in what is yet to come."""
    _post(site, "/opt-in", {})
    click.echo("takes part")


def _post(site: Path, action: str, fields: dict[str, Any]) -> None:
    """As a form of the agent's page."""
    import httpx

    from tieline.ven.agent.configuration import read

    if (page := read(site).page) is None:
        raise Refused(f"{site} has no [page]: by it the agent is reached")
    where = f"http://{ANYWHERE.get(page.host, page.host)}:{page.port}"
    try:
        with httpx.Client(base_url=where, timeout=TIMEOUT_S, trust_env=False) as client:
            token = client.get("/state").json()["token"]
            form = {name: value for name, value in fields.items() if value is not None}
            reply = client.post(action, data={"token": token, **form})
    except (httpx.TransportError, ValueError, KeyError) as error:
        raise Unready(f"no agent answers at {where}: {error}") from None
    if reply.is_error:
        raise Refused(reply.text.strip())


def add_to(group: click.Group) -> None:
    for command in (opt_out, opt_in):
        group.add_command(command)
