"""What can be chosen about a simulated fleet."""

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tieline.base.errors import Refused

MAX_HOMES = 9999  # home-{n:04d}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Raises `Refused` for a choice that cannot be. Seconds are of the platform's clock.

    `speed`: set the platform's clock to it; None leaves the clock as it is. `history_days` are delivered before the
    fleet reports live. `no_shows` and `opt_outs` are shares of the (home, event) pairs. `state` keeps the secrets;
    `truth` gets a line of JSON per report: {at, power_kw, without_events_kw}; `weather` a line of CSV per hour: at,
    outdoor_degc. With `story` a first event is published as soon as the fleet is live.
    """

    url: str = "http://127.0.0.1:8400"
    token: str | None = None
    homes: int = 200
    seed: int = 7
    speed: float | None = None
    zone: str = "America/Los_Angeles"
    latitude: float = 36.74  # Fresno, California: a hot dry summer
    longitude: float = -119.79
    history_days: int = 40
    report_every: int = 60
    loads_every: int = 60
    no_shows: float = 0.03
    opt_outs: float = 0.02
    state: Path = Path("tieline-sim.json")
    truth: Path | None = None
    weather: Path | None = None
    story: bool = False

    def __post_init__(self) -> None:
        _within("homes", self.homes, 1, MAX_HOMES)
        _within("seed", self.seed, 0, 2**32)
        _within("speed", 1.0 if self.speed is None else self.speed, 0.001, 3600)
        _within("history_days", self.history_days, 0, 60)
        _within("report_every", self.report_every, 1, 900)
        _within("loads_every", self.loads_every, 1, 900)
        _within("no_shows", self.no_shows, 0, 1)
        _within("opt_outs", self.opt_outs, 0, 1)
        _within("latitude", self.latitude, -66, 66)  # beyond, a summer day has no night
        _within("longitude", self.longitude, -180, 180)
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise Refused(f"zone {self.zone!r} is no IANA time zone such as America/Los_Angeles") from None


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise Refused(f"{name} is {value:g}: it must be from {low:g} to {high:g}")
