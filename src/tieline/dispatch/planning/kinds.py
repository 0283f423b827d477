"""What each kind of load bears: how long it runs before it is shed again, how long it rests, what it never falls below.

A compressor must not start against the pressure it has just built up: thermostats keep it off for five minutes
(Honeywell T8001, owner's manual 69-1431, "minimum off-timing"), and at the usual three cycles an hour let it run for
about ten. What only heats, or charges, bears any switching.
"""

from collections.abc import Mapping

import msgspec

from tieline.registry.model import Kind


class Bears(msgspec.Struct, frozen=True):
    """Given back, a load runs for `min_on_s` before it is shed again; shed, it stays down for `min_off_s`; it is never
    held below `floor_kw`."""

    min_on_s: float = 0.0
    min_off_s: float = 0.0
    floor_kw: float = 0.0


COMPRESSOR = Bears(min_on_s=600, min_off_s=300)
BEARS: Mapping[Kind, Bears] = dict.fromkeys(Kind, Bears()) | {Kind.HVAC: COMPRESSOR, Kind.REFRIGERATOR: COMPRESSOR}
"""Of every kind; a fleet that bears something else says `{**BEARS, Kind.EV: Bears(floor_kw=1.4)}`."""
