"""A weather station in the simulated town: the temperature outdoors by the hour, a file that `tieline load` reads."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from tieline.base.time import iso

HOUR = timedelta(hours=1)


class Station:
    """Without a path it writes nothing. A new run replaces the file of the one before.

    A line is at,outdoor_degc: the mean of the hour that began then, written when it is over.
    """

    def __init__(self, path: Path | None, since: datetime, outdoor_c: Callable[[datetime], float]) -> None:
        self._path, self._outdoor_c = path, outdoor_c
        self._next = since.replace(minute=0, second=0, microsecond=0)
        if path:
            path.write_text("at,outdoor_degc\n")

    def tell(self, now: datetime) -> None:
        """Of all hours that are over."""
        if not self._path:
            return
        lines = []
        while self._next + HOUR <= now:
            quarters = [self._outdoor_c(self._next + HOUR * (n + 0.5) / 4) for n in range(4)]
            lines.append(f"{iso(self._next)},{sum(quarters) / 4:.3f}\n")
            self._next += HOUR
        if lines:
            with self._path.open("a") as file:
                file.writelines(lines)
