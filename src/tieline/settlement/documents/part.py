"""What documents of settlement offer the process: their routes."""

from collections.abc import Callable

from tieline.base.part import Part
from tieline.base.time import Clock
from tieline.ports import Rows
from tieline.settlement.documents.keys import Keys
from tieline.settlement.documents.routes import routes


def part(rows: Rows, wall: Clock, passphrase: Callable[[], str]) -> Part:
    """`passphrase` is what signing keys are sealed with: the authority's, asked for when a key is first needed."""
    return Part("documents", routes=routes(Keys(rows, wall, passphrase)))
