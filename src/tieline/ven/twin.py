"""The twin of a device at the device: what is desired comes in, what it is goes out, no more of it than has changed.

on_desired   ─▶ version older than one heard? ─▶ apply: the device does what it can ─▶ what it then is, reported
report       ─▶ the difference to what was reported ─▶ ven/twin/{venId}
on_connected ─▶ what was heard and told before counts no more: who is there may have been restored from a backup
"""

import copy
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from tieline.wires.mqtt.messages import CLASSIC, TWIN, TwinDelta, TwinReport

log = logging.getLogger(__name__)

State: TypeAlias = dict[str, Any]
"""Fields of JSON, none of them null."""
Send: TypeAlias = Callable[[str, TwinReport], None]

_encode = msgspec.json.Encoder(order="deterministic").encode


class DeviceTwin:
    """One twin. `send` is the session's, `on_desired` and `on_connected` are for the session's hooks of these names.
    `apply` is given what is desired and not so reported, does of it what the device can, and gives the whole state that
    the device is then in.

    `refused` says why the platform did not take a report; it is empty once that has been heard from again.
    """

    def __init__(self, send: Send, apply: Callable[[State], State], name: str = CLASSIC) -> None:
        self.name = name
        self.version = 0
        self.refused = ""
        self.reported: State = {}
        self._send = send
        self._apply = apply

    def report(self, state: State) -> None:
        """Tell the whole state of the device; what of it was told before is not told again."""
        self._tell(difference(self.reported, state), state)

    def ask(self) -> None:
        """Ask what is desired; a device that says its presence is told without asking."""
        self._send(TWIN, TwinReport(self.name))

    def on_connected(self) -> None:
        self.version, self.reported = 0, {}

    def on_desired(self, delta: TwinDelta) -> None:
        if delta.name != self.name:
            return
        self.refused = delta.refused
        if delta.refused:
            log.warning("a report of the twin %s was not taken: %s", self.name, delta.refused)
            self.reported = {}  # whatever of it was new is still to be told, but not at once: it would be refused again
            return
        if delta.version < self.version:
            return  # overtaken on its way
        self.version = delta.version
        if delta.state:
            state = self._apply(delta.state)
            # What is as desired is told even where it was told before: the platform would not ask if it knew. What
            # cannot be as desired is not, or we would answer one another for ever.
            done = {
                name: state[name] for name, value in delta.state.items() if name in state and _has(state[name], value)
            }
            self._tell(done | difference(self.reported, state), state)

    def _tell(self, report: State, state: State) -> None:
        self.reported = copy.deepcopy(state)
        if report:
            self._send(TWIN, TwinReport(self.name, report))


def _has(value: Any, desired: Any) -> bool:
    if isinstance(value, dict) and isinstance(desired, dict):
        return all(name in value and _has(value[name], one) for name, one in desired.items())
    return bool(value == desired)


def difference(before: State, after: State) -> State:
    """The report that makes one state the other: what is new or other, and null for what is gone."""
    report: State = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        known = before.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            if deeper := difference(known, value):
                report[name] = deeper
        elif _encode(known) != _encode(value):
            report[name] = value
    return report
