"""Writes the tournament of `docs/reference/baselines.md` from real households: `python docs/reference/tournament.py`.

The households are in `../shared/samples/metering`, beside the repository. Where they are absent the page keeps what is
committed; `tests/unit/test_baseline_households.py` makes it again and compares, where they are there.
"""

import csv
import gzip
import re
from collections.abc import Iterator
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow.parquet as pq

from tieline.settlement.baseline.days import holidays_of
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.markets import AEMO_BUSINESS, AEMO_OTHER, DAY_BEFORE, RULES
from tieline.settlement.baseline.readings import fleet_of
from tieline.settlement.baseline.scores import Score, winner
from tieline.settlement.baseline.tournament import scores, trial

HERE = Path(__file__).parent
PAGE = HERE / "baselines.md"
SAMPLES = HERE.parents[2] / "shared" / "samples" / "metering"
BEGIN, END = "<!-- tournament: made by docs/reference/tournament.py -->", "<!-- /tournament -->"
START_H, HOURS = 17, 3
CONTENDERS = [rule for rule in RULES.values() if rule not in (AEMO_BUSINESS, AEMO_OTHER)]
"""The composite has the same baselines as the other two, each on its days."""


NOTES = {
    "Smart Grid Smart City": "Ten homes in New South Wales, half-hourly, February 2012 to March 2014; each has the "
    "other nine as controls.",
    "CityLearn 2022": "Two homes in California, hourly, August 2016 to July 2017; their load without what the sun gave "
    "them.",
    "eemeter": "One meter that its makers generated, hourly, November 2015 to February 2018: one hour of it says "
    "nothing of the next. It shows what is left to any rule of noise, and is no household.",
}
COLUMNS = {
    "refused": "refused",
    "RRMSE, a home": "home_rrmse",
    "RRMSE, all": "fleet_rrmse",
    "bias": "bias",
    "RRMSE, called": "called_rrmse",
    "bias, called": "called_bias",
    "CV(RMSE)": "cv_rmse",
    "NMBE": "nmbe",
    "90 % covers": "coverage",
    "its width": "width",
}
Trials: TypeAlias = dict[str, list[Score]]
"""The scores of each set, by its title."""


def smart_grid_smart_city() -> Fleet:
    table = pq.read_table(SAMPLES / "sgsc_gravitas/smart_meter10.parquet")
    ids, at, kwh = (table[name].to_numpy() for name in ("customer_id", "reading_datetime", "general_supply_kwh"))
    _, fleet = fleet_of(ids.tolist(), at, kwh)
    return replace(fleet, holidays=holidays_of("AU-NSW", [2012, 2013, 2014]))


def citylearn() -> Fleet:
    """The files begin with 31 July 2016, 23:00; the loads that can be shifted are not in them."""
    kwh = []
    for number in (1, 2):
        with (SAMPLES / f"citylearn2022/Building_{number}.csv").open(encoding="utf-8") as file:
            kwh.append([float(row["non_shiftable_load"]) for row in csv.DictReader(file)])
    at = np.datetime64("2016-07-31T23:00", "s") + np.arange(len(kwh[0])) * np.timedelta64(3600, "s")
    _, fleet = fleet_of(["1"] * len(at) + ["2"] * len(at), np.tile(at, 2), np.concatenate(kwh))
    return replace(fleet, holidays=holidays_of("US-CA", [2016, 2017]))


def eemeter() -> Fleet:
    with gzip.open(SAMPLES / "eemeter/il-electricity-cdd-hdd-hourly.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    at = np.array([row["start"][:19] for row in rows], "datetime64[s]")
    _, fleet = fleet_of(["il"] * len(rows), at, np.array([float(row["value"]) for row in rows]))
    return replace(fleet, holidays=holidays_of("US-IL", range(2015, 2019)))


def tried() -> Trials:
    """Every rule on every day of every set, from 17:00 to 20:00."""
    found: Trials = {}
    for title, fleet in zip(NOTES, (smart_grid_smart_city(), citylearn(), eemeter()), strict=True):
        events = [Event(day, START_H * 3600, HOURS * 3600) for day in fleet.days]
        found[title] = scores(trial(fleet, CONTENDERS, events))
    return found


def section(trials: Trials) -> str:
    """The text between the marks."""
    return "\n".join([BEGIN, "", *_lines(trials), END])


def placed(page: str, text: str) -> str:
    """The page with the text in its place."""
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: text, page, flags=re.DOTALL)


def _lines(trials: Trials) -> Iterator[str]:
    for title, found in trials.items():
        yield from (f"### {title}", "", NOTES[title], "", _covered(found), "")
        for kind in ("business", "other"):
            yield from _table([one for one in found if one.kind == kind])


def _covered(found: list[Score]) -> str:
    shares = [100 * one.coverage for one in found]
    return (
        f"Rule by rule, and business days apart from others, the 90 % intervals cover {min(shares):.1f} to "
        f"{max(shares):.1f} %."
    )


def _table(found: list[Score]) -> Iterator[str]:
    head = ("rule", *COLUMNS)
    yield from (f"**{found[0].kind.capitalize()} days**, {found[0].days:,} meter-days", "")
    yield from (f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1))
    for one in sorted(found, key=lambda one: one.home_rrmse):
        shares = [getattr(one, name) for name in COLUMNS.values()]
        yield f"| `{one.rule}` | {' | '.join(map(_share, shares))} |"
    yield from ("", _verdict(found), "")


def _share(share: float) -> str:
    return "–" if isnan(share) else f"{round(100 * share, 1) + 0:.1f} %"


def _verdict(found: list[Score]) -> str:
    bar = next(one for one in found if one.rule == DAY_BEFORE.name)
    worse = [f"`{one.rule}`" for one in found if one.home_rrmse >= bar.home_rrmse and one is not bar]
    best = winner(found, bar.kind)
    whose = "those that are called" if best and abs(best.called_bias) <= 0.05 else "all"
    proposed = (
        f"Proposed: `{best.rule}`, the least error of the sum of {whose} with a bias of at most 5 %." if best else ""
    )
    return f"No better than the day before: {', '.join(worse) or 'none'}. {proposed}".strip()


if __name__ == "__main__":
    PAGE.write_text(placed(PAGE.read_text(encoding="utf-8"), section(tried())), encoding="utf-8")
