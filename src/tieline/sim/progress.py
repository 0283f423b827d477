"""What the simulator tells whoever watches: a live line on a terminal, plain lines otherwise."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.markup import escape

PLAIN_EVERY_S = 60.0


class Progress:
    """A context manager. `say` is for what happened once, `live` for what is always replaced by the next."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        console = Console(stderr=True)
        self._status = console.status("") if console.is_terminal else None
        self._monotonic = monotonic
        self._said = -PLAIN_EVERY_S

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def say(self, text: str) -> None:
        if self._status:
            self._status.console.print(escape(text), highlight=False)
        else:
            click.echo(text, err=True)

    def live(self, text: str) -> None:
        if self._status:
            self._status.update(escape(text))
        elif self._monotonic() - self._said >= PLAIN_EVERY_S:
            self._said = self._monotonic()
            click.echo(text, err=True)
