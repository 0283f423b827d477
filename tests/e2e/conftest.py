"""Platforms for the tests of this folder, stopped whatever happens."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.platform import Platform


@pytest.fixture
def platforms(tmp_path: Path) -> Iterator[Callable[..., Platform]]:
    """Makes platforms; each is stopped at the end, its child with it."""
    count = itertools.count()

    def make(**settings: object) -> Platform:
        folder = tmp_path / f"p{next(count)}"
        folder.mkdir()
        made = Platform(folder, **settings)  # type: ignore[arg-type]
        stack.callback(made.close)
        return made

    with contextlib.ExitStack() as stack:
        yield make
