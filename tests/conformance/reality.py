"""Generated requests made real: references to objects that exist, callback URLs that answer, names not yet taken.

Schemathesis invents every id, so that hardly any request would get past "there is no such program". What is invalid on
purpose stays as it is.
"""

import itertools
import re
from collections import defaultdict
from typing import Any

import httpx

from tests.conformance.vtn import Credentials, Dialect, created, unique

COLLECTIONS = {
    "programID": "programs",
    "eventID": "events",
    "reportID": "reports",
    "subscriptionID": "subscriptions",
    "venID": "vens",
    "resourceID": "resources",
}
NAMES = ("programName", "venName", "resourceName")
LONGEST_NAME = 128


class Reality:
    """Objects of a VTN that requests may name, made as they are wanted.

    `ven` is a VEN's client and `who` its credentials; `bl` and `subscriber` are clients too. All speak one dialect.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        bl: httpx.Client,
        ven: httpx.Client,
        subscriber: httpx.Client,
        who: Credentials,
        callback: str,
    ) -> None:
        self._old = dialect == "3.0.1"
        self._writers = defaultdict(lambda: bl, reports=ven, subscriptions=subscriber)
        self._who = who
        self._callback = callback
        self._standing: dict[tuple[str, str], str] = {}
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._numbers = itertools.count(1)
        self._alive: set[str] = set()
        self._seen: set[str] = set()

    # --- what a request says ---

    def path(self, parameters: dict[str, Any], path: str, method: str, *, linked: bool) -> None:
        """Ids that exist; what a request changes is nothing that others refer to. `linked`: it may come from an answer,
        and stays what it is though it may be deleted since."""
        last = re.findall(r"{(\w+)}", path)[-1]
        changes = method in ("PUT", "DELETE")
        known = parameters[last] in (self._seen if linked else self._alive)
        if known and not (changes and parameters[last] in self._standing.values()):
            return
        for name in parameters:
            parameters[name] = self._changed(name, method) if changes and name == last else self.standing(name)

    def query(self, parameters: dict[str, Any]) -> None:
        for name in COLLECTIONS.keys() & parameters.keys():
            parameters[name] = self.standing(name)

    def body(self, body: dict[str, Any]) -> None:
        for name in COLLECTIONS.keys() & body.keys():
            if body[name] not in self._alive:
                body[name] = self.standing(name)
        for name in NAMES:
            if name in body:
                body[name] = self._free(name, body[name])
        if "client_secret" in body:
            body |= {"client_id": self._who.client_id, "client_secret": self._who.secret, "scope": "read_all"}

    def callbacks(self, body: Any) -> None:
        """Nobody else is called, by whatever request, and with no token that HTTP could not carry."""
        operations = body.get("objectOperations") if isinstance(body, dict) else None
        for one in operations if isinstance(operations, list) else ():
            if isinstance(one, dict) and str(one.get("callbackUrl")).startswith("http"):
                one["callbackUrl"] = self._callback
            if isinstance(one, dict) and isinstance(one.get("bearerToken"), str):
                one["bearerToken"] = "secret-of-the-callback"

    def learn(self, method: str, told: Any) -> None:
        """What was made may be named from now on; what was deleted, no more."""
        if method == "DELETE":
            self._alive.discard(told["id"])
        elif "id" in told:
            self._alive.add(told["id"])
            self._seen.add(told["id"])

    def _free(self, kind: str, name: str) -> str:
        if name in self._names[kind]:
            name = f"{name} {next(self._numbers)}-{unique()}"[-LONGEST_NAME:]
        self._names[kind].add(name)
        return name

    # --- what there is ---

    def standing(self, name: str, use: str = "refer") -> str:
        """The id of one that is not deleted, the same for the same use."""
        if (name, use) not in self._standing:
            self._standing[name, use] = self._fresh(name)
        return self._standing[name, use]

    def _changed(self, name: str, method: str) -> str:
        return self._fresh(name) if method == "DELETE" else self.standing(name, "change")

    def _fresh(self, name: str) -> str:
        collection = COLLECTIONS[name]
        path = f"vens/{self.standing('venID')}/resources" if self._old and collection == "resources" else collection
        made = created(self._writers[collection], path, self._request(collection))
        self.learn("POST", made)
        return str(made["id"])

    def _request(self, collection: str) -> dict[str, Any]:
        match collection:
            case "programs":
                return {"programName": unique()}
            case "events":
                return {"programID": self.standing("programID"), "intervals": []}
            case "reports":
                program = {"programID": self.standing("programID")} if self._old else {}
                return {"eventID": self.standing("eventID"), "clientName": "me", "resources": [], **program}
            case "subscriptions":
                operations = [{"objects": ["EVENT"], "operations": ["UPDATE"], "callbackUrl": self._callback}]
                return {"clientName": "me", "programID": self.standing("programID"), "objectOperations": operations}
            case "vens":
                return {"venName": unique(), **self._owned("BL_VEN_REQUEST")}
        venue = {} if self._old else {"venID": self.standing("venID")}
        return {"resourceName": unique(), **venue, **self._owned("BL_RESOURCE_REQUEST")}

    def _owned(self, kind: str) -> dict[str, Any]:
        if self._old:
            return {"attributes": [{"type": "CLIENT_ID", "values": [self._who.client_id]}]}
        return {"objectType": kind, "clientID": self._who.client_id}
