"""Dataset: what a family of loaded series is, declared once, whichever file brings them."""

import msgspec

from tieline.base.names import escaped
from tieline.base.series import Declaration, Stamp


class Measure(msgspec.Struct, frozen=True):
    """One quantity of a dataset. `name` ends the series id and carries the unit; `column` is the publisher's word."""

    column: str
    name: str
    unit: str
    description: str


class Dataset(msgspec.Struct, frozen=True):
    """Series of one shape: a source publishes the same measures, in the same step and zone, for each of many things.

    A value stands for its own step only: a missing neighbour is a gap.
    """

    name: str
    description: str
    publisher: str
    licence: str
    source: str
    zone: str
    stamp: Stamp
    step_s: int
    measures: tuple[Measure, ...]

    def series_id(self, thing: str, measure: Measure) -> str:
        """The series of one measure of one thing, such as a region: nem.NSW1.demand_mw."""
        return f"{self.source}.{escaped(thing)}.{measure.name}"

    def declaration(self, thing: str, measure: Measure) -> Declaration:
        return Declaration(
            series_id=self.series_id(thing, measure),
            unit=measure.unit,
            step_s=self.step_s,
            zone=self.zone,
            stamp=self.stamp,
            hold_s=self.step_s,
            source=self.source,
        )
