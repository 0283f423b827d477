"""Numbered folders beside each other, one for each process: the first that nobody holds, found again after a crash."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

_LOCK = "lock"


class Slot:
    """Held until `close` or the death of the process."""

    def __init__(self, parent: Path) -> None:
        number = 0
        while (lock := _locked(parent / str(number))) is None:
            number += 1
        self.folder, self._lock = parent / str(number), lock

    def clear(self, pattern: str = "*") -> None:
        """Remove what a process that died may have left."""
        for path in self.folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()

    def close(self) -> None:
        os.close(self._lock)


def _locked(folder: Path) -> int | None:
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
