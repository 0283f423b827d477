"""What the registry offers the process."""

from tieline.base.part import Part
from tieline.registry import routes


def part() -> Part:
    return Part("registry", routes=routes.ROUTES)
