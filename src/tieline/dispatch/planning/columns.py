"""A fleet's loads as columns: what each could give up now, and what it costs to ask for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import msgspec
import numpy as np

from tieline.base.errors import Refused
from tieline.base.units import Kilowatts
from tieline.dispatch.planning.arrays import Floats, Mask
from tieline.dispatch.planning.fairness import costs

LEAST_KW = 0.05
"""A smaller load is not worth a command."""


class Headroom(msgspec.Struct, frozen=True):
    """What one load could give up, as metered, in kW."""

    ven_id: str
    resource_id: str
    kw: Kilowatts


@dataclass(frozen=True)
class Candidates:
    """Loads to choose from, as columns of equal length; a position in them is a load's index.

    `kw` is what it could give now, within its floor: 0 for one that may not be called. `cost` is of calling it, above
    0, in the unit of `costs`. Raises `Refused` for columns that do not fit together.
    """

    ven_ids: Sequence[str]
    resource_ids: Sequence[str]
    kw: Floats
    cost: Floats

    def __post_init__(self) -> None:
        lengths = {len(self.ven_ids), len(self.resource_ids), len(self.kw), len(self.cost)}
        if len(lengths) > 1:
            raise Refused(f"columns of candidates must be of equal length, not {sorted(lengths)}")
        if not (np.isfinite(self.kw).all() and np.isfinite(self.cost).all() and (self.cost > 0).all()):
            raise Refused("every candidate needs a finite kw and a finite cost above 0")

    def __len__(self) -> int:
        return len(self.kw)

    @classmethod
    def of(cls, headroom: Iterable[Headroom], unfairness: Floats | None = None) -> Self:
        """Those loads, in that order; without `unfairness` nobody was called more than others."""
        rows = list(headroom)
        kw = np.array([row.kw for row in rows], dtype=np.float64)
        uneven = np.zeros(len(rows)) if unfairness is None else unfairness
        return cls([row.ven_id for row in rows], [row.resource_id for row in rows], kw, costs(kw, uneven))

    def only(self, eligible: Mask) -> Self:
        """The same columns, so that an index stays what it was; the others give nothing, and are not chosen."""
        return replace(self, kw=np.where(eligible, self.kw, 0.0))
