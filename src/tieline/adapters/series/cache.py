"""A bounded folder of immutable files fetched from elsewhere; the least recently used go first."""

from __future__ import annotations

import fcntl
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from tieline.base.errors import Broken, Refused

Fetch = Callable[[str, Path], None]


class Cache:
    """Each process takes the first free of the folder's numbered slots, so that none evicts another's files and a
    restarted one finds them again."""

    def __init__(self, folder: Path, max_bytes: int, fetchers: int = 8) -> None:
        self._folder, self._lock_file = _slot(folder)
        self._max_bytes = max_bytes
        self._fetchers = ThreadPoolExecutor(fetchers, "series-fetch")
        self._lock = Lock()
        self._held: Counter[str] = Counter()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        for file in sorted(self._folder.glob("*.parquet"), key=lambda f: f.stat().st_mtime):
            self._sizes[file.name] = file.stat().st_size

    @contextmanager
    def holding(self, sizes: Mapping[str, int], fetch: Fetch) -> Iterator[list[str]]:
        """Local names of the files, there until the block ends. Raises `Refused` when they do not fit."""
        wanted = sum(sizes.values())
        if wanted > self._max_bytes:
            told = f"{wanted >> 20} MiB of files are needed and the cache holds {self._max_bytes >> 20} MiB"
            raise Refused(f"{told}: ask for a shorter span or enlarge the cache")
        names = {path: _name(path) for path in sizes}
        with self._lock:
            self._held.update(names.values())
        try:
            missing = [path for path, name in names.items() if not (self._folder / name).exists()]
            list(self._fetchers.map(lambda path: self._bring(path, sizes[path], fetch), missing))
            self._touch(names.values())
            yield [str(self._folder / name) for name in names.values()]
        finally:
            with self._lock:
                self._held -= Counter(names.values())

    def adopt(self, path: str, file: Path) -> None:
        """Take over a file that was just sent where the others come from."""
        size = file.stat().st_size
        self._make_room(size)
        os.replace(file, self._folder / _name(path))  # noqa: PTH105  both names are known; Path.replace says no more
        with self._lock:
            self._sizes[_name(path)] = size

    def _bring(self, path: str, size: int, fetch: Fetch) -> None:
        self._make_room(size)
        draft = self._folder / f"{_name(path)}.{os.urandom(4).hex()}.part"
        try:
            fetch(path, draft)
            if (got := draft.stat().st_size) != size:
                raise Broken(f"{path} has {got} bytes where the table's log says {size}")
            self.adopt(path, draft)
        finally:
            draft.unlink(missing_ok=True)

    def _touch(self, names: object) -> None:
        with self._lock:
            for name in list(names):  # type: ignore[call-overload]
                if name in self._sizes:
                    self._sizes.move_to_end(name)

    def _make_room(self, size: int) -> None:
        with self._lock:
            left = sum(self._sizes.values()) + size - self._max_bytes
            for name in [name for name in self._sizes if not self._held[name]]:
                if left <= 0:
                    break
                left -= self._sizes.pop(name)
                (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        self._fetchers.shutdown()
        os.close(self._lock_file)


def _name(path: str) -> str:
    return path.replace("/", "~")


def _slot(folder: Path) -> tuple[Path, int]:
    """The first slot no other process holds, and the lock that holds it."""
    number = 0
    while True:
        slot = folder / str(number)
        slot.mkdir(parents=True, exist_ok=True)
        lock = os.open(slot / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            number += 1
            continue
        for part in slot.glob("*.part"):
            part.unlink()
        return slot, lock
