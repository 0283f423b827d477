"""Worlds of programs, events, VENs and what each is granted, invented by hypothesis and made real through the doors;
and who may see what in them, from the Definition's words alone (3.1.0, "Object Privacy")."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx
from hypothesis import strategies as st

from tests.conformance.vtn import Credentials, created, unique

TARGETS = ["north", "south", "GROUP:a", "GROUP:b", "EVENT_SERVICE:1"]
CLIENTS = 3

targets = st.lists(st.sampled_from(TARGETS), max_size=3, unique=True)
client = st.integers(0, CLIENTS - 1)


class Device(NamedTuple):
    """A resource; its client need not be that of its VEN."""

    client: int
    targets: list[str]


class Node(NamedTuple):
    """A VEN and its resources."""

    client: int
    targets: list[str]
    devices: list[Device]


class Plan(NamedTuple):
    """What there will be: the targets of each program and event, of which program an event is, the VENs."""

    programs: list[list[str]]
    events: list[tuple[int, list[str]]]
    vens: list[Node]


device = st.builds(Device, client, targets)
node = st.builds(Node, client, targets, st.lists(device, max_size=2))
plans = st.builds(
    Plan,
    st.lists(targets, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 9), targets), min_size=1, max_size=4),
    st.lists(node, min_size=1, max_size=4),
)


class World:
    """A plan made real; objects as business logic sees them, in order of creation. Leaves nothing behind."""

    def __init__(self, plan: Plan, bl: httpx.Client, who: Sequence[Credentials]) -> None:
        self.bl, self._who = bl, who
        self.programs = [self._program(one) for one in plan.programs]
        self.events = [self._event(*one) for one in plan.events]
        self.vens: list[dict[str, Any]] = []
        self.resources: list[dict[str, Any]] = []
        for one in plan.vens:
            self._node(one)

    def _program(self, meant: list[str]) -> dict[str, Any]:
        return created(self.bl, "programs", {"programName": unique(), "targets": meant or None})

    def _event(self, program: int, meant: list[str]) -> dict[str, Any]:
        program_id = self.programs[program % len(self.programs)]["id"]
        return created(self.bl, "events", {"programID": program_id, "targets": meant})

    def _node(self, one: Node) -> None:
        owned = {"objectType": "BL_VEN_REQUEST", "clientID": self._who[one.client].client_id}
        ven = created(self.bl, "vens", {**owned, "venName": unique(), "targets": one.targets})
        self.vens.append(ven)
        for each in one.devices:
            owned = {"objectType": "BL_RESOURCE_REQUEST", "clientID": self._who[each.client].client_id}
            named = {"resourceName": unique(), "venID": ven["id"], "targets": each.targets}
            self.resources.append(created(self.bl, "resources", {**owned, **named}))

    def end(self) -> None:
        for program in self.programs:
            assert self.bl.delete(f"programs/{program['id']}").status_code == 200
        for ven in self.vens:
            assert self.bl.delete(f"vens/{ven['id']}").status_code == 200

    # --- the Definition ---

    def granted(self, client_id: str) -> set[str]:
        """To a client: by its ven objects and the resources associated with them."""
        own = [ven for ven in self.vens if ven["clientID"] == client_id]
        near = [one for one in self.resources if one["venID"] in {ven["id"] for ven in own}]
        return {target for one in [*own, *near] for target in one["targets"] or ()}

    def meant_for(self, client_id: str, thing: dict[str, Any], asked: Sequence[str]) -> list[str] | None:
        """The targets that a VEN is shown of a program or event; None where it is shown nothing at all."""
        has = thing["targets"] or []
        if not has:
            return None if asked else []
        used = self.granted(client_id) & set(asked) if asked else self.granted(client_id) & set(has)
        return [one for one in has if one in used] if used and used <= set(has) else None

    def owned(self, client_id: str, kind: str, asked: Sequence[str] = ()) -> list[str]:
        """The ids of the objects of a kind that bear the client's id and every target asked for."""
        things: list[dict[str, Any]] = getattr(self, kind)
        return [
            str(one["id"]) for one in things if one["clientID"] == client_id and set(asked) <= set(one["targets"] or ())
        ]
