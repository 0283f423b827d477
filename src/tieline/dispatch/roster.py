"""The sheddable loads of the registry as columns, with the names of what is read of each. Pure.

Made anew only when the registry says something else: between two looks at ten thousand loads nothing of it changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa

from tieline.base.names import hold_series, power_series, sheddable_series
from tieline.dispatch.habits import Floats
from tieline.dispatch.metered import Load
from tieline.registry.model import Kind

LATEST = (power_series, sheddable_series, hold_series)
"""What is asked of each load at a look, in this order."""
Row = tuple[str, str, str, float]
"""(VEN, load, kind, rated kW), as the registry has it."""


@dataclass(frozen=True, eq=False)
class Roster:
    """Columns of equal length, in order of VEN and load. `latest`: series of each load, one after the other."""

    rows: Sequence[Row]
    loads: Sequence[Load]
    ven_ids: Sequence[str]
    resource_ids: Sequence[str]
    kinds: Sequence[Kind]
    ceiling_kw: Floats
    power: Sequence[str]
    latest: Sequence[str]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        ven_ids, resource_ids = [row[0] for row in rows], [row[1] for row in rows]
        loads = list(zip(ven_ids, resource_ids, strict=True))
        return cls(
            rows=rows,
            loads=loads,
            ven_ids=ven_ids,
            resource_ids=resource_ids,
            kinds=[Kind(row[2]) for row in rows],
            ceiling_kw=np.array([row[3] or np.inf for row in rows], dtype=np.float64),
            power=[power_series(*load) for load in loads],
            latest=[name(*load) for load in loads for name in LATEST],
        )

    @cached_property
    def index(self) -> Mapping[Load, int]:
        return {load: at for at, load in enumerate(self.loads)}

    @cached_property
    def latest_column(self) -> "pa.Array[pa.StringScalar]":
        return pa.array(self.latest, pa.string())

    def places_in(self, other: "Roster") -> Sequence[int]:
        """Where each load stands in another roster; -1: nowhere."""
        return [other.index.get(load, -1) for load in self.loads]
