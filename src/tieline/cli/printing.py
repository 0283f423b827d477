"""What commands print: tables for people, JSON for programs, bars while one waits."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

T = TypeVar("T")


def one(thing: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(thing)
        return
    flat = [(name, value) for name, value in thing.items() if not isinstance(value, list | dict)]
    nested = {name: value for name, value in thing.items() if isinstance(value, dict)}
    for name, value in [*flat, *[(f"{n}.{k}", v) for n, d in nested.items() for k, v in d.items()]]:
        click.echo(f"{name:>24}  {value if value is not None else '-'}")
    for name, value in thing.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            show(value, False, name)


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, title: str) -> None:
    """A table for people, JSON for programs."""
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(f"no {title}")
        return
    try:
        from rich.console import Console
        from rich.table import Table
    except ModuleNotFoundError:  # the bare package, on a small machine
        for row in rows:
            click.echo("\t".join("-" if value is None else str(value) for value in row.values()))
        return

    table = Table(title=title, title_justify="left", header_style="bold")
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if isinstance(value, int | float) else "left", overflow="fold")
    for row in rows:
        table.add_row(*["-" if value is None else str(value) for value in row.values()])
    width = None if sys.stdout.isatty() else max(160, int(os.environ.get("COLUMNS", "0")))
    Console(width=width).print(table)


def print_json(thing: Any) -> None:
    click.echo(json.dumps(thing, indent=2, default=str))


def progress(things: Sequence[T], what: str) -> Iterable[T]:
    """A bar on a terminal for long work; nothing where nobody looks."""
    if len(things) < 2 or not sys.stderr.isatty():
        return things
    from rich.progress import track

    return track(things, description=what)
