"""A rule in words, as the reference page and the command line tell it."""

from tieline.settlement.baseline.rules import (
    Adjust,
    Anchor,
    Controls,
    Exponential,
    Forecast,
    How,
    Kind,
    Lasting,
    Mean,
    Pick,
    Regression,
    Rule,
    SameDay,
    Window,
)

DAYS = {
    Kind.ANY: "days",
    Kind.BUSINESS: "business days",
    Kind.OTHER: "other days",
    Kind.WEEKDAY: "weekdays",
    Kind.SATURDAY: "Saturdays",
    Kind.SUNDAY: "Sundays and holidays",
}


def columns(rule: Rule) -> tuple[str, str, str, str]:
    """Days, average, adjustment, bounds."""
    adjusted = adjustment(rule.adjust) if rule.lasting is None else lasting(rule.lasting)
    return days(rule), average(rule), adjusted, bounds(rule)


def days(rule: Rule) -> str:
    """Which days, and how many of them."""
    if not rule.picks:
        return "the event day"
    ahead = f" and {rule.look_ahead_days} ahead" if rule.look_ahead_days else ""
    picks = "; ".join(_pick(pick, kind) for kind, pick in rule.picks.items())
    low = f"; without those below {rule.low_use:.0%} of their mean" if rule.low_use else ""
    few = "; too few are made up with event days, the highest first" if rule.make_up else ""
    return f"{picks}, of {rule.look_back_days} days back{ahead}{low}{few}"


def _pick(pick: Pick, kind: Kind) -> str:
    least = "" if pick.least == pick.most else f" (at least {pick.least})"
    kept = f"{pick.order} {pick.keep} of the " if pick.keep else ""
    shares = f", weighing {' : '.join(f'{share:g}' for share in pick.shares)}" if pick.shares else ""
    return f"{kept}nearest {pick.most}{least} {DAYS[kind]}{shares}"


def average(rule: Rule) -> str:
    """What is made of those days."""
    match rule.average:
        case Mean():
            return "mean"
        case Exponential(keep=keep, seed=seed):
            return f"mean of the oldest {seed}, then {keep:g} of it and {1 - keep:.2g} of each newer day"
        case Regression(temperature=temperature, heating_c=heating, cooling_c=cooling):
            weather = f", and degrees below {heating:g} °C and above {cooling:g} °C" if temperature else ""
            return f"least squares on the weekday{weather}, hour by hour"
        case SameDay(windows=windows):
            return f"mean of {_windows(windows)}"
        case Forecast():
            return "mean, times the forecast of the group over what it drew on those days"
        case Controls(nearest=nearest):
            return f"mean of the {nearest} uncalled meters of the nearest usual load, on the event day"


def adjustment(rule: Adjust | None) -> str:
    """What the event day itself does to it."""
    if rule is None:
        return "none"
    what = "times the ratio" if rule.how is How.RATIO else "plus the difference"
    least = "" if rule.least is None else f", at least {rule.least:g}"
    most = "" if rule.most is None else f", at most {rule.most:g}"
    return f"{what} over {_windows(rule.windows)}{least}{most}"


def lasting(rule: Lasting) -> str:
    """What of the event day goes on."""
    shares = " and ".join(
        f"{share:g} over {_window(window)}" for share, window in zip(rule.shares, rule.windows, strict=True)
    )
    return f"plus as much of the difference as lasted on those days, at first {shares}, weighing {rule.weighs:g} days"


def bounds(rule: Rule) -> str:
    """What no step is beyond."""
    floor = "" if rule.floor_kw is None else f"at least {rule.floor_kw:g} kW"
    contract = "at most the contract capacity" if rule.within_contract else ""
    return ", ".join(filter(None, (floor, contract))) or "none"


def _windows(windows: tuple[Window, ...]) -> str:
    return " and ".join(map(_window, windows))


def _window(window: Window) -> str:
    if window.anchor is Anchor.CLOCK:
        return f"{window.from_h:02g}:00 to {window.until_h:02g}:00"
    sign, of = (-1, "before the start") if window.anchor is Anchor.START else (1, "after the end")
    return f"{sign * window.from_h:g} h to {sign * window.until_h + 0:g} h {of}"
