"""What an owner wants of an opt-out, as a form or a command line says it. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta, tzinfo

import msgspec

from tieline.base.errors import Refused
from tieline.base.time import parse_instant

LONGEST_REASON = 200
MOST_KW = 1e6


class Wish(msgspec.Struct, frozen=True):
    """Of one thing that is asked, by its `subject`, or of everything until midnight: with all loads, or with one; at
    once, or from an instant on. With `keep_kw` a load may be held, but no lower than that."""

    subject: str = ""
    load_id: str | None = None
    from_at: datetime | None = None
    keep_kw: float | None = None
    reason: str = ""


def wish(form: Mapping[str, str], now: datetime, zone: tzinfo) -> Wish:
    """Empty fields are as if they were not there. Raises `Refused`, with what would be right."""
    said = {name: value.strip() for name, value in form.items() if value.strip()}
    return Wish(
        subject=said.get("subject", ""),
        load_id=said.get("load"),
        from_at=_instant(said["from"], now, zone) if "from" in said else None,
        keep_kw=_kw(said["keep_kw"]) if "keep_kw" in said else None,
        reason=said.get("reason", "")[:LONGEST_REASON],
    )


def midnight(after: datetime, zone: tzinfo) -> datetime:
    """The one that comes."""
    return datetime.combine(after.astimezone(zone).date() + timedelta(days=1), time.min, zone)


def _instant(text: str, now: datetime, zone: tzinfo) -> datetime:
    """An instant, or the next time that clocks in the house show."""
    if not re.fullmatch(r"[0-9]{2}:[0-9]{2}", text):
        return parse_instant(text, "from")
    try:
        shown, local = time.fromisoformat(text), now.astimezone(zone)
    except ValueError:
        raise Refused(f"from {text!r} is no time of the day: write 18:30") from None
    today = datetime.combine(local.date(), shown, zone)
    return today if today > local else datetime.combine(local.date() + timedelta(days=1), shown, zone)


def _kw(text: str) -> float:
    try:
        kw = float(text)
    except ValueError:
        kw = -1.0
    if not 0 <= kw <= MOST_KW:
        raise Refused(f"keep_kw {text!r} is no power: write kilowatts, such as 1.5")
    return kw
