"""What feeds offer the process."""

from tieline.base.part import Part
from tieline.feeds import routes


def part() -> Part:
    return Part("feeds", routes=routes.ROUTES)
