"""A bounded folder of immutable files fetched from elsewhere; the least recently used go first."""

from __future__ import annotations

import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from tieline.adapters.series.slots import Slot
from tieline.base.errors import Broken, Refused

Fetch = Callable[[str, Path], None]


class Cache:
    """Each process has a slot of its own, so that none evicts another's files. Any thread may call."""

    def __init__(self, folder: Path, max_bytes: int, fetchers: int = 8) -> None:
        self._slot, self._max_bytes = Slot(folder), max_bytes
        self._slot.clear("*.part")
        self._fetchers = ThreadPoolExecutor(fetchers, "series-fetch")
        self._lock = Lock()
        self._held: Counter[str] = Counter()
        files = sorted(self._slot.folder.glob("*.parquet"), key=lambda file: file.stat().st_mtime)
        self._sizes = OrderedDict((file.name, file.stat().st_size) for file in files)

    @contextmanager
    def holding(self, sizes: Mapping[str, int], fetch: Fetch) -> Iterator[list[str]]:
        """Local names of the files, there until the block ends. Raises `Refused` when they do not fit."""
        wanted = sum(sizes.values())
        if wanted > self._max_bytes:
            told = f"{wanted >> 10} KiB of files are needed and the cache holds {self._max_bytes >> 10} KiB"
            raise Refused(f"{told}: ask for a shorter span or enlarge the cache")
        names = {path: _name(path) for path in sizes}
        with self._lock:
            self._held.update(names.values())
        try:
            missing = [path for path, name in names.items() if not (self._slot.folder / name).exists()]
            list(self._fetchers.map(lambda path: self._bring(path, sizes[path], fetch), missing))
            self._touch(names.values())
            yield [str(self._slot.folder / name) for name in names.values()]
        finally:
            with self._lock:
                self._held -= Counter(names.values())

    def draft(self, path: str) -> Path:
        """Where to write a file that is to be adopted."""
        return self._slot.folder / f"{_name(path)}.{os.urandom(4).hex()}.part"

    def adopt(self, path: str, draft: Path) -> None:
        name, size = _name(path), draft.stat().st_size
        with self._lock:
            self._sizes[name] = size
            self._evict(but=name)
            draft.replace(self._slot.folder / name)

    def _bring(self, path: str, size: int, fetch: Fetch) -> None:
        draft = self.draft(path)
        try:
            fetch(path, draft)
            if (got := draft.stat().st_size) != size:
                raise Broken(f"{path} has {got} bytes where the table's log says {size}")
            self.adopt(path, draft)
        finally:
            draft.unlink(missing_ok=True)

    def _touch(self, names: Iterable[str]) -> None:
        with self._lock:
            for name in names:
                self._sizes.move_to_end(name)

    def _evict(self, *, but: str) -> None:
        left = sum(self._sizes.values()) - self._max_bytes
        for name in [name for name in self._sizes if name != but and not self._held[name]]:
            if left <= 0:
                break
            left -= self._sizes.pop(name)
            (self._slot.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        self._fetchers.shutdown()
        self._slot.close()


def _name(path: str) -> str:
    return path.replace("/", "~")
