"""A small world of each kind of object in either dialect, and the requests that would make and change them."""

from typing import Any, NamedTuple

import httpx

from tests.conformance.vtn import Dialect, Echo, Vtn, created, unique

KINDS = ("programs", "events", "reports", "subscriptions", "vens", "resources")


class Operation(NamedTuple):
    """A request of a specification: `body` is a valid one, None where it has none."""

    method: str
    path: str
    body: dict[str, Any] | None = None


class Sample:
    """One object of each kind, the clients that own them, and every operation on them. Others may be made beside."""

    def __init__(self, vtn: Vtn, echo: Echo, dialect: Dialect) -> None:
        self.dialect = dialect
        self.bl, self.ven = vtn.client("bl", dialect), vtn.client("ven", dialect)
        self._owner = vtn.usual("ven").client_id
        self._echo = echo
        self.ids: dict[str, str] = {}
        for kind in KINDS:
            self.ids[kind] = created(self.writer(kind), self.collection(kind), self.body(kind))["id"]

    def writer(self, kind: str) -> httpx.Client:
        """A client that may write objects of this kind."""
        return self.ven if kind == "reports" else self.bl

    def collection(self, kind: str) -> str:
        return f"vens/{self.ids['vens']}/resources" if kind == "resources" and self._old else kind

    def one(self, kind: str) -> str:
        return f"{self.collection(kind)}/{self.ids[kind]}"

    @property
    def _old(self) -> bool:
        return self.dialect == "3.0.1"

    def body(self, kind: str) -> dict[str, Any]:
        """A valid request of every field, under a name of its own."""
        program = {"programID": self.ids.get("programs", "")}
        match kind:
            case "programs":
                return {"programName": unique(), "intervalPeriod": PERIOD, "payloadDescriptors": [PRICE]}
            case "events":
                return {**program, "eventName": "e", "priority": 1, "intervalPeriod": PERIOD, "intervals": [INTERVAL]}
            case "reports":
                resources = [{"resourceName": "r", "intervalPeriod": PERIOD, "intervals": [INTERVAL]}]
                old = program if self._old else {}
                return {**old, "eventID": self.ids["events"], "clientName": "c", "resources": resources}
            case "subscriptions":
                told = {"objects": ["EVENT"], "operations": ["UPDATE"]}
                return {**program, "clientName": "c", "objectOperations": [told | {"callbackUrl": self._echo.url}]}
            case "vens":
                return {"venName": unique(), **self._owned("BL_VEN_REQUEST")}
        venue = {} if self._old else {"venID": self.ids["vens"]}
        return {"resourceName": unique(), **venue, **self._owned("BL_RESOURCE_REQUEST")}

    def _owned(self, kind: str) -> dict[str, Any]:
        if self._old:
            return {"attributes": [{"type": "CLIENT_ID", "values": [self._owner]}]}
        return {"objectType": kind, "clientID": self._owner, "attributes": [{"type": "LOCATION", "values": [1.0]}]}

    # --- every operation ---

    def lists(self) -> list[str]:
        return [self.collection(kind) for kind in KINDS]

    def ones(self) -> list[str]:
        return [self.one(kind) for kind in KINDS]

    def writes(self, kind: str) -> list[Operation]:
        return [
            Operation("POST", self.collection(kind), self.body(kind)),
            Operation("PUT", self.one(kind), self.body(kind)),
        ]

    def operations(self) -> list[Operation]:
        """Reads, and writes that change nothing as long as they are refused."""
        reads = [Operation("GET", path) for path in [*self.lists(), *self.ones()]]
        deletes = [Operation("DELETE", path) for path in self.ones()]
        return [*reads, *[write for kind in KINDS for write in self.writes(kind)], *deletes]


PERIOD = {"start": "2030-01-01T00:00:00Z", "duration": "PT1H", "randomizeStart": "PT0S"}
PRICE = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "PRICE", "units": "KWH", "currency": "USD"}
INTERVAL = {"id": 0, "intervalPeriod": PERIOD, "payloads": [{"type": "PRICE", "values": [0.17]}]}
