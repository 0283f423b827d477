"""Makes the environment of each client, once: a virtual one beside ours, of the client's lock, on a Python it runs on.

`python -m tests.conformance.clients.environments` makes them all, and says which it cannot make.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ENVIRONMENTS = Path(sys.prefix) / "clients"
INSTALL_S = 600


class Client(NamedTuple):
    """`needs` is the oldest Python that it runs on."""

    lock: Path
    needs: tuple[int, int]


CLIENTS = {
    "oa3": Client(HERE / "oa3.lock", (3, 11)),
    "elaad": Client(HERE / "elaad.lock", (3, 12)),
}


class Missing(Exception):  # noqa: N818  named by what happened
    """No Python here is new enough."""


def ensure(name: str) -> Path:
    """The Python of a client's environment, made where it is not there or of another lock. Raises `Missing`."""
    client, folder = CLIENTS[name], ENVIRONMENTS / name
    stamp, made_of = folder / "made-of", hashlib.sha256(client.lock.read_bytes()).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as line:
        fcntl.flock(line, fcntl.LOCK_EX)  # tests run in several processes
        if not stamp.exists() or stamp.read_text() != made_of:
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, client)
            stamp.write_text(made_of)
    return folder / "bin" / "python"


def _make(folder: Path, client: Client) -> None:
    made = [str(interpreter(client.needs)), "-m", "venv", str(folder)]
    subprocess.run(made, check=True, capture_output=True, timeout=INSTALL_S)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    asked = [*pip, "--require-hashes", "-r", str(client.lock)]
    done = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode != 0:
        raise RuntimeError(f"{client.lock.name} cannot be installed:\n{done.stderr[-2000:]}")


def interpreter(needs: tuple[int, int]) -> Path:
    """A Python of at least that version: ours, one on the PATH, or one that pyenv or uv keeps. Raises `Missing`."""
    for candidate in _candidates():
        if _version(candidate) >= needs:
            return candidate
    raise Missing(f"Python {needs[0]}.{needs[1]} or newer is not here: neither on the PATH nor with pyenv or uv")


def _candidates() -> Iterator[Path]:
    yield Path(sys.executable)
    for minor in (14, 13, 12):
        if found := shutil.which(f"python3.{minor}"):
            yield Path(found)
    kept = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions", _data_home() / "uv" / "python"]
    for folder in kept:
        yield from sorted(folder.glob("*/bin/python3"), key=_version, reverse=True)


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))


def _version(python: Path) -> tuple[int, int]:
    """(0, 0) of what does not run, such as a shim of a version that is not chosen."""
    asked = [str(python), "-c", "import sys; print(*sys.version_info[:2])"]
    done = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=60)
    major, minor = done.stdout.split() if done.returncode == 0 else ("0", "0")
    return int(major), int(minor)


if __name__ == "__main__":
    for each in CLIENTS:
        try:
            ensure(each)
        except Missing as missing:
            print(f"the client {each} is left out: {missing}")
