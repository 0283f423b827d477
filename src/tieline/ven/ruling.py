"""What a command says of its subject, and the owner's word against it. Pure."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from tieline.wires.mqtt.messages import OptOut

MAX_OPT_OUTS = 256
Issue = tuple[datetime, str]
"""(issued_at, command_id): the greatest rules."""


class Ruling(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the command issued last says of its subject, and the owner's word against it; one that gave it back holds
    nothing. Without `start_at` it holds at once, without `end_at` until it is given back."""

    issue: Issue
    limits: dict[str, float] = {}
    panel_kw: float | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    opt_outs: list[OptOut] = []

    def is_over(self, now: datetime) -> bool:
        return not self.asks(now) or (self.end_at is not None and self.end_at <= now)

    def holds(self, now: datetime) -> bool:
        return not self.is_over(now) and (self.start_at is None or self.start_at <= now)

    def asks(self, at: datetime) -> bool:
        """Whether anything is left of it that was not opted out of by then."""
        return bool(self.limits_at(at)) or self.panel_at(at) is not None

    def limits_at(self, at: datetime) -> dict[str, float]:
        """Of each load that was not opted out of by then, whatever its window."""
        if not self.opt_outs:
            return self.limits
        left = {resource_id: self._left(resource_id, kw, at) for resource_id, kw in self.limits.items()}
        return {resource_id: kw for resource_id, kw in left.items() if kw is not None}

    def panel_at(self, at: datetime) -> float | None:
        return None if self.panel_kw is None else self._left(None, self.panel_kw, at)

    def turns(self) -> Iterable[datetime]:
        """When something of it starts or ends by itself."""
        instants = (self.start_at, self.end_at, *(out.from_at for out in self.opt_outs))
        return (at for at in instants if at is not None)

    def but(self, out: OptOut) -> "Ruling":
        """The same with one opt-out more, unless an earlier one says as much."""
        if any(_says_more(one, out) for one in self.opt_outs):
            return self
        others = [one for one in self.opt_outs if not _says_more(out, one)]
        return msgspec.structs.replace(self, opt_outs=[*others, out][-MAX_OPT_OUTS:])

    def parts(self) -> list[OptOut]:
        """What of its opt-outs concerns it: its loads, before it ends."""
        return [
            out
            for out in self.opt_outs
            if out.resource_id is None or out.resource_id in self.limits
            if self.end_at is None or out.from_at is None or out.from_at < self.end_at
        ]

    def _left(self, resource_id: str | None, limit_kw: float, at: datetime) -> float | None:
        begun = [out for out in self.opt_outs if out.resource_id in (None, resource_id) and out.has_begun(at)]
        kept = [out.limit_kw for out in begun if out.limit_kw is not None]
        return max([limit_kw, *kept]) if len(kept) == len(begun) else None


def _says_more(one: OptOut, other: OptOut) -> bool:
    """Or as much: of the same load or more, as soon, and leaving it no less."""
    as_soon = one.from_at is None or (other.from_at is not None and one.from_at <= other.from_at)
    as_much = one.limit_kw is None or (other.limit_kw is not None and one.limit_kw >= other.limit_kw)
    return one.resource_id in (None, other.resource_id) and as_soon and as_much
