"""One platform a worker for the tests of this folder; what wants an empty one, or to kill it, makes its own."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.vtn import DEVELOPMENT, Echo, Vtn, echoing
from tests.e2e.platform import Platform


@pytest.fixture(scope="session")
def vtn(tmp_path_factory: pytest.TempPathFactory, echo: Echo) -> Iterator[Vtn]:
    """Shared: a test makes clients and objects of its own and looks at no others. It stops before it loses `echo`."""
    made = Vtn(Platform(tmp_path_factory.mktemp("vtn"), **DEVELOPMENT))  # type: ignore[arg-type]
    try:
        made.platform.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def fresh_vtn(tmp_path: Path) -> Iterator[Callable[..., Vtn]]:
    """Makes VTNs of the test's own, not started yet."""
    count = itertools.count()

    def make(**settings: object) -> Vtn:
        folder = tmp_path / f"vtn{next(count)}"
        folder.mkdir()
        made = Vtn(Platform(folder, **DEVELOPMENT | settings))  # type: ignore[arg-type]
        stack.callback(made.close)
        return made

    with contextlib.ExitStack() as stack:
        yield make


@pytest.fixture(scope="session")
def echo() -> Iterator[Echo]:
    with echoing() as server:
        yield server
