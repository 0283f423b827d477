"""What commands print: tables for people, JSON for programs, bars while one waits."""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

T = TypeVar("T")
_PART_OF_A_SECOND = re.compile(r"(?<=:\d\d)\.\d+Z$")


def one(thing: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(thing)
        return
    flat = [(name, value) for name, value in thing.items() if not isinstance(value, list | dict)]
    nested = {name: value for name, value in thing.items() if isinstance(value, dict)}
    for name, value in [*flat, *[(f"{n}.{k}", v) for n, d in nested.items() for k, v in d.items()]]:
        click.echo(f"{name:>24}  {_told(value)}")
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
            click.echo("\t".join(map(_told, row.values())))
        return

    table = Table(title=title, title_justify="left", header_style="bold")
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if isinstance(value, int | float) else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_told, row.values()))
    width = None if sys.stdout.isatty() else max(160, int(os.environ.get("COLUMNS", "0")))
    Console(width=width).print(table)


def _told(value: object) -> str:
    """For people: whole seconds and three decimals. JSON has all of it."""
    match value:
        case None:
            return "-"
        case float():
            return str(round(value, 3))
        case _:
            return _PART_OF_A_SECOND.sub("Z", str(value))


def print_json(thing: Any) -> None:
    click.echo(json.dumps(thing, indent=2, default=str))


def progress(things: Sequence[T], what: str) -> Iterable[T]:
    """A bar on a terminal for long work; nothing where nobody looks."""
    if len(things) < 2 or not sys.stderr.isatty():
        return things
    from rich.progress import track

    return track(things, description=what)


@contextlib.contextmanager
def underway(what: str) -> Iterator[Callable[[float], None]]:
    """Told how much of something is done, from 0 to 1: a bar on a terminal; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda done: bar.update(task, completed=done)
