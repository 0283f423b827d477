"""What a group used by step: its energy and mean power, and how many of its members tell; gaps are not filled."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from tieline.telemetry.rollups.reads import Rollups
from tieline.telemetry.values.model import Asked

SUMS = {"at": "at", "energy_kwh": "integral", "mean_kw": "mean", "series": "count", "covered_s": "covered_s"}
"""The columns, and what they are of the rollups' TOTALS. `series` is how many cover some of the step, `covered_s` how
long they do together; a step that none covers is left out."""


async def energy(rollups: Rollups, members: Sequence[str], asked: Asked, zone: str) -> pa.Table:
    """Of series of power, in order of `at`; every step that overlaps the span, whole."""
    rows = await rollups.total(members, asked.span, asked.step, zone=zone)
    return rows.select(list(SUMS.values())).rename_columns(list(SUMS))
