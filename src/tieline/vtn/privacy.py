"""Who sees what: the one rule of object privacy that every list, single object, notification and MQTT topic obeys.

OpenADR 3.1 Definition, "Object Privacy". Business logic sees everything. A VEN client sees

    ven, resource, report, subscription   those that carry its client id
    program, event without targets        all
    program, event with targets           those that its grants meet, and of their targets only its own

Its grants are the targets of its ven objects and of their resources. Targets asked for in a query narrow them; what
is asked but not granted counts as not asked, unless nothing is left of it: then nothing is seen.
"""

from collections.abc import Collection
from typing import TypeVar

import msgspec

from tieline.wires.openadr31.messages import Event, Object, Program, Report

Targeted = TypeVar("Targeted", Program, Event)


class Viewer(msgspec.Struct, frozen=True):
    """A client that asks. `business`: it may read all; else `grants` decide. `scopes` are those of its token."""

    client_id: str
    business: bool
    grants: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()


ANYONE = Viewer("", business=False)
"""Who reads without a token, where that is allowed: what has no targets."""


def shown(viewer: Viewer, thing: Object, asked: Collection[str] = ()) -> Object | None:
    """The object as this viewer may see it, or None."""
    if isinstance(thing, Program):
        return _targeted(viewer, thing, asked)
    if isinstance(thing, Event):
        return _targeted(viewer, thing, asked)
    if not viewer.business and thing.client_id != viewer.client_id:
        return None
    return thing if not asked or isinstance(thing, Report) or set(asked) <= set(thing.targets or ()) else None


def usable(viewer: Viewer, asked: Collection[str]) -> frozenset[str]:
    """The targets by which a VEN may find objects: those asked for that it was granted, or all its grants."""
    return viewer.grants & frozenset(asked) if asked else viewer.grants


def _targeted(viewer: Viewer, thing: Targeted, asked: Collection[str]) -> Targeted | None:
    targets = set(thing.targets or ())
    if viewer.business:
        return thing if set(asked) <= targets else None
    if not targets:
        return None if asked else thing
    own = usable(viewer, asked)
    if not own & targets or (asked and not own <= targets):
        return None
    return msgspec.structs.replace(thing, targets=tuple(one for one in thing.targets or () if one in own))
