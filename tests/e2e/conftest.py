"""Platforms for the tests of this folder, stopped whatever happens."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.platform import Platform


@pytest.fixture
def platforms(tmp_path: Path) -> Iterator[Callable[..., Platform]]:
    """Makes platforms; each is stopped at the end, its child with it."""
    made: list[Platform] = []

    def make(**settings: object) -> Platform:
        folder = tmp_path / f"p{len(made)}"
        folder.mkdir()
        made.append(Platform(folder, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for platform in made:
        platform.close()
