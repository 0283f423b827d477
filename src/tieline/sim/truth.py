"""What really happened, for whoever checks the platform: a file of JSON lines."""

from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from tieline.sim.twins import Report


class Truth:
    """A context manager; without a path it writes nothing. A new run replaces the file of the one before.

    A line is {at, power_kw, without_events_kw}: fleet totals, means over the interval that ended at `at`.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._file = self._path.open("wb") if self._path else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def write(self, report: Report) -> None:
        if not self._file:
            return
        power_kw, without_events_kw = round(report.power_kw, 4), round(report.without_events_kw, 4)
        line = {"at": report.at, "power_kw": power_kw, "without_events_kw": without_events_kw}
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()
