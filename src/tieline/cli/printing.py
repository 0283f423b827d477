"""What commands print: tables for people, JSON for programs, bars while one waits."""

import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

import click

T = TypeVar("T")
_NUMBER = re.compile(r"^(-|-?\d+(\.\d+)?(e-?\d+)?%?)$")
_PART_OF_A_SECOND = re.compile(r"(?<=:\d\d)\.\d+Z$")


def one(thing: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(thing)
        return
    flat = [(name, value) for name, value in thing.items() if not isinstance(value, dict) and not _table(value)]
    nested = {name: value for name, value in thing.items() if isinstance(value, dict)}
    for name, value in [*flat, *[(f"{n}.{k}", v) for n, d in nested.items() for k, v in d.items()]]:
        click.echo(f"{name:>24}  {_told(value)}")
    for name, value in thing.items():
        if _table(value):
            show(value, False, name)


def _table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


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
    columns = [_column([row.get(name) for row in rows]) for name in rows[0]]
    for name, cells in zip(rows[0], columns, strict=True):
        table.add_column(name, justify="right" if all(map(_NUMBER.match, cells)) else "left", overflow="fold")
    for told in zip(*columns, strict=True):
        table.add_row(*told)
    width = None if sys.stdout.isatty() else max(160, int(os.environ.get("COLUMNS", "0")))
    Console(width=width).print(table)


def _column(values: Sequence[object]) -> list[str]:
    """As told, numbers with as many decimals as the longest of them."""
    told = [_told(value) for value in values]
    most = max(
        (len(each.partition(".")[2]) for each, value in zip(told, values, strict=True) if _plain(value)), default=0
    )
    return [f"{value:.{most}f}" if _plain(value) else each for each, value in zip(told, values, strict=True)]


def _plain(value: object) -> TypeGuard[float]:
    return isinstance(value, float) and math.isfinite(value)


def _told(value: object) -> str:
    """For people: whole seconds and three decimals. JSON has all of it."""
    match value:
        case None | "" | []:
            return "-"
        case float():
            return str(round(value, 3))
        case list():
            return ", ".join(map(_told, value))
        case dict():
            return ", ".join(f"{name} {_told(each)}" for name, each in value.items() if each is not None) or "-"
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
