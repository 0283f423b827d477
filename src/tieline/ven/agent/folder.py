"""The agent's own folder: whose it is, and that one process at a time has it.

data/schedule.json   what was accepted, and what the owner opted out of
data/readings.db     what the platform does not have yet
data/certificate/    what a claim was exchanged for (tieline.ven.certificates)
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from tieline.base.errors import Refused, Unready

SCHEDULE = "schedule.json"
READINGS = "readings.db"
ENROLLED = "certificate/device.json"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[Path]:
    """Made where it is not there. Raises `Unready` when another agent has it, `Refused` when it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise Refused(f"{folder}: {error.strerror}: choose a folder that can be written") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unready(f"{folder} is in use by another agent: stop it, or choose another folder") from None
        yield folder
