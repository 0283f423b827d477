"""Why a load may not be called."""

import enum


class Reason(enum.StrEnum):
    """The first that applies, in this order, is a load's reason."""

    ELIGIBLE = "eligible"
    NOT_GRANTED = "not_granted"
    NOT_SHEDDABLE = "not_sheddable"
    OPTED_OUT = "opted_out"
    NO_ANSWER = "no_answer"  # it did not answer earlier in this event
    CALLED = "called"  # already, by this event
    HELD_ELSEWHERE = "held_elsewhere"
    STALE = "stale"  # no fresh data
    CALL_LIMIT_DAY = "call_limit_day"
    CALL_LIMIT_MONTH = "call_limit_month"
    REST = "rest"
    MIN_ON = "min_on"  # given back too recently
    COMFORT = "comfort"  # it could not stay down for long enough
    TOO_LITTLE = "too_little"  # what it could give is not worth a command


REASONS = tuple(Reason)
"""A column of reasons holds positions in here."""
ELIGIBLE = 0
