"""How commands ask a running platform's /v1, wherever it is: their common options, one answer, lists page by page."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import click

from tieline.cli.platform import default_url
from tieline.cli.printing import print_json, show
from tieline.ven.client import Client


def asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that talks to a running platform."""
    command = click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")(command)
    command = click.option("--token", envvar="TIELINE_API_TOKEN", help="Beyond loopback.", hidden=True)(command)
    url = click.option("--url", envvar="TIELINE_URL", default=default_url, show_default="that of the settings")
    return url(command)


def ask(url: str, token: str | None, method: str, path: str, body: object = None, **params: Any) -> Any:
    async def work() -> Any:
        async with Client(url, token=token) as client:
            return await client.ask(method, path, Any, body, {k: v for k, v in params.items() if v is not None})

    return asyncio.run(work())


def listed(
    path: str, url: str, token: str | None, as_json: bool, columns: Sequence[str], title: str = "", **params: Any
) -> None:
    """`title`: what they are, where the path's last word does not say it."""
    answer = ask(url, token, "GET", path, **params)
    if as_json:
        print_json(answer)
        return
    title = title or path.rpartition("/")[2]
    show([{name: row.get(name) for name in columns} for row in answer["items"]], False, title)
    if answer.get("next_cursor"):
        click.echo(f"more: --cursor {answer['next_cursor']}")


def paged(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--limit", default=100, show_default=True)(command)
    return click.option("--cursor", help="Go on after the page before.")(command)
