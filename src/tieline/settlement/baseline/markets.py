"""The rules of the markets. A new market is one more declaration here, and a line of tests.

`read` says how we know what the source says: the text of none of these tariffs could be opened where this was written,
so most is from memory, and some was read of them in public pages. Check a rule against its source before you settle
money by it.
"""

from tieline.base.errors import NotFound
from tieline.settlement.baseline.rules import (
    Adjust,
    Anchor,
    Controls,
    Exponential,
    Forecast,
    How,
    Kind,
    Kinds,
    Lasting,
    Order,
    Pick,
    Regression,
    Rule,
    SameDay,
    Window,
)

MEMORY = "from memory"
_WORK_GROUP = (
    "California ISO Baseline Accuracy Work Group, draft proposal of 4 April 2017, its introduction (10 of 10, with a "
    f"same-day adjustment of 20 %); the rest {MEMORY}"
)
BEFORE = (Window(Anchor.START, -4, -1),)
"""The second, third and fourth hour before the event."""
CAPPED_20 = Adjust(How.RATIO, BEFORE, least=0.8, most=1.2)
BUFFERED = (Window(Anchor.START, -4, -2), Window(Anchor.END, 2, 4))
"""Two hours on either side, each two hours from the event."""

# --- California -------------------------------------------------------------------------------------------------------

CAISO_10_IN_10 = Rule(
    name="caiso-10-in-10",
    title="CAISO 10-in-10, adjusted by at most 20 %",
    source="California ISO, Fifth Replacement Electronic Tariff, section 4.13.4",
    read=_WORK_GROUP,
    kinds=Kinds.BUSINESS,
    picks={Kind.BUSINESS: Pick(most=10, least=5), Kind.OTHER: Pick(most=4, least=4)},
    adjust=CAPPED_20,
)

CAISO_10_IN_10_PLAIN = Rule(
    name="caiso-10-in-10-plain",
    title="CAISO 10-in-10 without adjustment",
    source="California ISO, Fifth Replacement Electronic Tariff, section 4.13.4",
    read=_WORK_GROUP,
    kinds=Kinds.BUSINESS,
    picks=CAISO_10_IN_10.picks,
)

CAISO_5_IN_10 = Rule(
    name="caiso-5-in-10",
    title="CAISO 5-in-10 for homes, adjusted by at most 40 %",
    source="California ISO, Fifth Replacement Electronic Tariff, section 4.13.4; Baseline Accuracy Work Group (2017)",
    read=(
        "PG&E, Power Saver Rewards, “FAQ” (5 highest of 10 weekdays, 3 highest of 5 other days, weighed; without days "
        f"of events and outages; adjusted by hours before and after); the weights, hours and bounds {MEMORY}"
    ),
    kinds=Kinds.BUSINESS,
    picks={
        Kind.BUSINESS: Pick(most=10, least=5, keep=5),
        Kind.OTHER: Pick(most=5, least=3, keep=3, shares=(0.5, 0.3, 0.2)),
    },
    adjust=Adjust(How.RATIO, BUFFERED, least=0.71, most=1.4),
)

PGE_5_OF_10 = Rule(
    name="pge-5-of-10",
    title="PG&E 5 highest of 10, weekends 3 highest of 5",
    source="Pacific Gas and Electric, Emergency Load Reduction Program A.6 and Capacity Bidding Program",
    read=MEMORY,
    kinds=Kinds.BUSINESS,
    picks={Kind.BUSINESS: Pick(most=10, least=10, keep=5), Kind.OTHER: Pick(most=5, least=5, keep=3)},
    adjust=Adjust(How.RATIO, BEFORE, least=0.6, most=1.4),
)

# --- The eastern markets of North America -----------------------------------------------------------------------------

PJM_4_OF_5 = Rule(
    name="pjm-4-of-5",
    title="PJM high 4 of 5, symmetric additive adjustment",
    source="PJM Operating Agreement, Schedule 1, sections 3.3A.2 and 3.3A.3; Manual 11, section 10.4.2",
    read=(
        f"{MEMORY}; Japan's guideline for aggregators has the same days (the highest 4 of 5, none below 25 % of their "
        "mean), as i GRID Solutions tells its customers"
    ),
    kinds=Kinds.WEEK,
    picks={
        Kind.WEEKDAY: Pick(most=5, least=4, keep=4),
        Kind.SATURDAY: Pick(most=3, least=2, keep=2),
        Kind.SUNDAY: Pick(most=3, least=2, keep=2),
    },
    adjust=Adjust(How.DIFFERENCE, BEFORE),
    low_use=0.25,
    make_up=True,
    floor_kw=0.0,
)

PJM_SAME_DAY = Rule(
    name="pjm-same-day-3-2",
    title="PJM same day, three hours before and two after",
    source="PJM Manual 11, section 10.4.2",
    read="RTO Insider, “Improved DR Baseline Processes OKd” (PJM Market Implementation Committee)",
    kinds=Kinds.EVERY,
    average=SameDay((*BEFORE, Window(Anchor.END, 1, 3))),
)

ISONE_10_OF_10 = Rule(
    name="isone-10-of-10",
    title="ISO-NE mean 10 of 10 by day type",
    source="ISO New England, Market Rule 1, section III.8.2",
    read=f"Troutman, Washington Energy Report, 2015 (that it is the mean of 10 of 10); the rest {MEMORY}",
    kinds=Kinds.WEEK,
    picks={
        Kind.WEEKDAY: Pick(most=10, least=10),
        Kind.SATURDAY: Pick(most=5, least=5),
        Kind.SUNDAY: Pick(most=5, least=5),
    },
    adjust=Adjust(How.DIFFERENCE, (Window(Anchor.START, -2, 0),)),
)

ISONE_90_10 = Rule(
    name="isone-90-10",
    title="ISO-NE 0.9 of yesterday's baseline and 0.1 of the day",
    source="ISO New England, Market Rule 1, section III.8A (until 2018)",
    read=f"Troutman, Washington Energy Report, 2015 (a rolling average of ten days); the rest {MEMORY}",
    kinds=Kinds.BUSINESS,
    look_back_days=60,
    picks={Kind.BUSINESS: Pick(most=60, least=10)},
    average=Exponential(keep=0.9, seed=10),
    adjust=Adjust(How.DIFFERENCE, (Window(Anchor.START, -2, 0),)),
)

FLEXIBILITY_10 = Rule(
    name="flexibility-10",
    title="Flexibility Services Standard Agreement, 10 days, raised only",
    source="Flexibility Services Standard Agreement, clause “Baseline Adjustment”",
    read="the clause, as markettransfer.info prints it; how the ten days are found is from memory",
    kinds=Kinds.BUSINESS,
    picks={Kind.BUSINESS: Pick(most=10, least=10), Kind.OTHER: Pick(most=10, least=10)},
    adjust=Adjust(How.DIFFERENCE, (Window(Anchor.START, -2, -1),), least=0.0),
)

# --- Texas ------------------------------------------------------------------------------------------------------------

ERCOT_ADJUSTS = Adjust(How.RATIO, (Window(Anchor.START, -3, -1),))

ERCOT_8_OF_10 = Rule(
    name="ercot-8-of-10",
    title="ERCOT middle 8 of 10 like days",
    source="ERCOT, Demand Response Baseline Methodologies, section “Middle 8-of-10 Preceding Like Days”",
    read=f"its introduction and the analysis of March 2009 (a scalar adjustment); the rest {MEMORY}",
    kinds=Kinds.BUSINESS,
    look_back_days=60,
    picks={
        Kind.BUSINESS: Pick(most=10, least=10, keep=8, order=Order.MIDDLE),
        Kind.OTHER: Pick(most=10, least=10, keep=8, order=Order.MIDDLE),
    },
    adjust=ERCOT_ADJUSTS,
)

ERCOT_NEAREST = Rule(
    name="ercot-nearest-20",
    title="ERCOT nearest 20 like days, before or after",
    source="ERCOT, Demand Response Baseline Methodologies, section “Nearest 20 Like Days”",
    read=MEMORY,
    kinds=Kinds.WEEK,
    look_back_days=60,
    look_ahead_days=60,
    picks={
        Kind.WEEKDAY: Pick(most=20, least=20),
        Kind.SATURDAY: Pick(most=20, least=8),
        Kind.SUNDAY: Pick(most=20, least=8),
    },
    adjust=ERCOT_ADJUSTS,
)

# --- Australia and Taiwan ---------------------------------------------------------------------------------------------

_AEMO = "AEMO, Wholesale Demand Response Guidelines (NER clause 3.10.1), Baseline Methodology Register"
_AEMO_READ = (
    f"the register's page and WattClarity (four variants of CAISO's 10 of 10); the figures {MEMORY}, as CAISO's"
)

AEMO_BUSINESS = Rule(
    name="aemo-business",
    title="AEMO business days",
    source=_AEMO,
    read=_AEMO_READ,
    kinds=Kinds.BUSINESS,
    picks={Kind.BUSINESS: Pick(most=10, least=5)},
    adjust=CAPPED_20,
)

AEMO_OTHER = Rule(
    name="aemo-non-business",
    title="AEMO non-business days",
    source=_AEMO,
    read=_AEMO_READ,
    kinds=Kinds.BUSINESS,
    picks={Kind.OTHER: Pick(most=4, least=4)},
    adjust=CAPPED_20,
)

AEMO_ALL = Rule(
    name="aemo-all-days",
    title="AEMO all days",
    source=_AEMO,
    read=_AEMO_READ,
    kinds=Kinds.EVERY,
    picks={Kind.ANY: Pick(most=10, least=5)},
    adjust=CAPPED_20,
)

AEMO_COMPOSITE = Rule(
    name="aemo-composite",
    title="AEMO business and non-business days",
    source=_AEMO,
    read=_AEMO_READ,
    kinds=Kinds.BUSINESS,
    picks={**AEMO_BUSINESS.picks, **AEMO_OTHER.picks},
    adjust=CAPPED_20,
)

TAIPOWER_20 = Rule(
    name="taipower-20",
    title="Taipower 20-day mean, raised only, within the contract",
    source="Taiwan Power Company, demand response measures, 日選時段型 (day-select type)",
    read="second hand, in a public implementation of it (“DR API Server – 日選時段型 CBL”)",
    kinds=Kinds.BUSINESS,
    picks={Kind.BUSINESS: Pick(most=20, least=20)},
    adjust=Adjust(How.DIFFERENCE, (Window(Anchor.CLOCK, 22, 24),), least=0.0),
    within_contract=True,
)

# --- Of no one market -------------------------------------------------------------------------------------------------

_NAESB = "NAESB WEQ-015, Measurement and Verification of Wholesale Electricity Demand Response"

METER_BEFORE = Rule(
    name="meter-before",
    title="Meter before, meter after",
    source=f"{_NAESB}: Meter Before / Meter After",
    read=f"{MEMORY}; the standard leaves the length to the market, an hour is ours",
    kinds=Kinds.EVERY,
    average=SameDay((Window(Anchor.START, -1, 0),)),
)

CONTROL_GROUP = Rule(
    name="control-group",
    title="Matched control group",
    source="California ISO, Fifth Replacement Electronic Tariff, section 4.13.4 (control group)",
    read=f"{MEMORY}; matching by the usual load, and five controls a meter, are ours",
    kinds=Kinds.BUSINESS,
    picks={Kind.BUSINESS: Pick(most=10, least=5), Kind.OTHER: Pick(most=4, least=4)},
    average=Controls(nearest=5),
    adjust=Adjust(How.DIFFERENCE, BEFORE),
)

WEATHER = Rule(
    name="weather",
    title="Regression on temperature and hour of week",
    source="ASHRAE Guideline 14-2014; Mathieu et al., IEEE Transactions on Smart Grid 2(3), 2011 (hour of week)",
    read=f"{MEMORY}; each hour is fitted for itself, with 15 °C and 20 °C as balance points, are ours",
    kinds=Kinds.EVERY,
    look_back_days=60,
    picks={Kind.ANY: Pick(most=60, least=30)},
    average=Regression(temperature=True),
)

HOUR_OF_WEEK = Rule(
    name="hour-of-week",
    title="Regression on the hour of week alone",
    source=WEATHER.source,
    read=f"{MEMORY}; for where no temperature is known",
    kinds=Kinds.EVERY,
    look_back_days=60,
    picks={Kind.ANY: Pick(most=60, least=30)},
    average=Regression(temperature=False),
)

LASTING_20 = Rule(
    name="lasting-20",
    title="Mean of 20 days, and what of the event day lasts",
    source="none: ours, for fleets of which those are called that draw most; a first-order autoregression per step",
    read="ours; the shares and their weight were chosen on simulated homes and tried on real ones (the tournament)",
    kinds=Kinds.BUSINESS,
    picks={Kind.BUSINESS: Pick(most=20, least=5), Kind.OTHER: Pick(most=12, least=4)},
    lasting=Lasting((Window(Anchor.START, -0.25, 0), Window(Anchor.START, -2, 0)), shares=(0.5, 0.5), weighs=5),
)

FORECAST = Rule(
    name="forecast",
    title="What was forecast before the event was called",
    source="none: ours; the forecasts are those of docs/howto/forecasts.md",
    read="ours: the group's forecast as known when the event was published, shared out by usual load",
    kinds=Kinds.BUSINESS,
    picks={Kind.BUSINESS: Pick(most=10, least=3), Kind.OTHER: Pick(most=4, least=2)},
    average=Forecast(),
)

DAY_BEFORE = Rule(
    name="day-before",
    title="The day before, whatever day it was",
    source="none: the bar that every other rule has to clear",
    read="ours",
    kinds=Kinds.EVERY,
    look_back_days=7,
    picks={Kind.ANY: Pick(most=1, least=1)},
)

RULES = {
    rule.name: rule
    for rule in (
        CAISO_10_IN_10,
        CAISO_10_IN_10_PLAIN,
        CAISO_5_IN_10,
        PGE_5_OF_10,
        PJM_4_OF_5,
        PJM_SAME_DAY,
        ISONE_10_OF_10,
        ISONE_90_10,
        FLEXIBILITY_10,
        ERCOT_8_OF_10,
        ERCOT_NEAREST,
        AEMO_BUSINESS,
        AEMO_OTHER,
        AEMO_ALL,
        AEMO_COMPOSITE,
        TAIPOWER_20,
        METER_BEFORE,
        CONTROL_GROUP,
        WEATHER,
        HOUR_OF_WEEK,
        LASTING_20,
        FORECAST,
        DAY_BEFORE,
    )
}


def rule(name: str) -> Rule:
    """Raises `NotFound`."""
    if name not in RULES:
        raise NotFound(f"there is no baseline rule {name!r}: there are {', '.join(RULES)}")
    return RULES[name]
