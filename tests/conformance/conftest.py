"""One platform a worker for the tests of this folder; what wants an empty one, or to kill it, makes its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.vtn import DEVELOPMENT, Echo, Vtn, echoing
from tests.e2e.platform import Platform


@pytest.fixture(scope="session")
def vtn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vtn]:
    """Shared: a test makes clients and objects of its own and looks at no others."""
    made = Vtn(Platform(tmp_path_factory.mktemp("vtn"), **DEVELOPMENT))  # type: ignore[arg-type]
    try:
        made.platform.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def fresh_vtn(tmp_path: Path) -> Iterator[Callable[..., Vtn]]:
    """Makes VTNs of the test's own, not started yet."""
    made: list[Vtn] = []

    def make(**settings: object) -> Vtn:
        folder = tmp_path / f"vtn{len(made)}"
        folder.mkdir()
        made.append(Vtn(Platform(folder, **DEVELOPMENT | settings)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def echo() -> Iterator[Echo]:
    with echoing() as server:
        yield server
