"""Webhooks: who may be called, the challenge, and who is told what (Definition, "Subscriptions", "Webhooks")."""

import json
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import httpx
import pytest

from tests.conformance.refusals import refused
from tests.conformance.vtn import Called, Echo, Vtn, created, unique

LATER = {"start": "2090-01-01T00:00:00Z", "duration": "PT1H"}


def subscription(url: str, objects: list[str], operations: list[str], **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"objects": objects, "operations": operations, "callbackUrl": url}
    if "bearerToken" in more:
        told["bearerToken"] = more.pop("bearerToken")
    return {"clientName": "me", "objectOperations": [told], **more}


def subscribed(client: httpx.Client) -> int:
    return sum(1 for _ in client.get("subscriptions").json())


# --- who may be called ------------------------------------------------------------------------------------------------

INSIDE = [
    "http://example.org/hook", "https://127.0.0.1/", "https://localhost/hook", "https://[::1]/", "https://10.0.0.1/",
    "https://192.168.1.1/", "https://172.16.0.1/", "https://169.254.169.254/latest/meta-data/", "https://0.0.0.0/",
    "https://[::ffff:127.0.0.1]/", "https://[fd00:ec2::254]/", "https://[64:ff9b::7f00:1]/", "https://2130706433/",
    "https://0x7f.1/", "https://127.1/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/",
    "https://user:secret@example.org/", "https://", "javascript:alert(1)", "//example.org/",
    "https://example.org\\@127.0.0.1/", "https://100.64.0.1/", "https://224.0.0.1/", "https://255.255.255.255/",
]  # fmt: skip


@pytest.mark.clause("webhooks: HTTPS")
@pytest.mark.clause("webhooks: private addresses")
def test_a_platform_for_real_clients_calls_public_addresses_by_https(fresh_vtn: Callable[..., Vtn]) -> None:
    """Neither on POST nor on PUT; nothing is created, nothing inside is called."""
    vtn = fresh_vtn(development="false")
    vtn.platform.start()
    ven = vtn.client("ven")
    for url in INSIDE:
        problem = refused(ven.post("subscriptions", json=subscription(url, ["EVENT"], ["CREATE"])), 400, told=url)
        assert "secret" not in problem["detail"]
    assert subscribed(ven) == 0
    assert vtn.failures() == []


# --- the challenge ----------------------------------------------------------------------------------------------------


@pytest.mark.clause("webhooks: challenge")
def test_a_callback_is_asked_for_a_random_word_first(vtn: Vtn, echo: Echo) -> None:
    path, ven = f"/{unique()}", vtn.client("ven")
    body = subscription(f"{echo.url}{path}?site=1", ["EVENT"], ["CREATE"], bearerToken="t0ken")
    made = created(ven, "subscriptions", body)
    assert ven.put(f"subscriptions/{made['id']}", json=body).status_code == 200
    first, second = echo.calls(path)
    assert first.method == second.method == "GET"
    assert first.path.startswith(f"{path}?site=1&echo=")
    assert first.path != second.path
    assert first.headers["authorization" if "authorization" in first.headers else "Authorization"] == "Bearer t0ken"


@pytest.mark.clause("webhooks: challenge")
@pytest.mark.parametrize("status", [201, 204, 302, 307, 400, 403, 500, 503])
def test_without_the_word_there_is_no_subscription(vtn: Vtn, echo: Echo, status: int) -> None:
    ven = vtn.client("ven")
    before = subscribed(ven)
    bad = subscription(f"{echo.url}/status/{status}", ["EVENT"], ["CREATE"])
    refused(ven.post("subscriptions", json=bad), 400)
    assert subscribed(ven) == before
    good = created(ven, "subscriptions", subscription(f"{echo.url}/{unique()}", ["EVENT"], ["CREATE"]))
    refused(ven.put(f"subscriptions/{good['id']}", json=bad), 400)
    assert ven.get(f"subscriptions/{good['id']}").json() == good


@pytest.mark.clause("webhooks: challenge")
def test_where_nobody_answers_there_is_no_subscription(vtn: Vtn) -> None:
    refused(
        vtn.client("ven").post("subscriptions", json=subscription("http://127.0.0.1:1/", ["EVENT"], ["CREATE"])), 400
    )


@pytest.mark.clause("webhooks: challenge")
def test_one_subscription_may_not_have_us_call_everybody(vtn: Vtn, echo: Echo) -> None:
    """Twenty callback URLs, each asked once however often it is named; of more none is asked."""
    bl = vtn.client("bl")

    def asking(paths: list[str]) -> dict[str, Any]:
        told = [{"objects": ["EVENT"], "operations": ["CREATE"], "callbackUrl": echo.url + path} for path in paths]
        return {"clientName": "me", "objectOperations": told}

    place = f"/{unique()}"
    few, many = [f"{place}/few/{n}" for n in range(20)], [f"{place}/many/{n}" for n in range(21)]
    made = created(bl, "subscriptions", asking([*few, *few]))
    assert [len(echo.calls(path)) for path in few] == [1] * 20
    for answer in (
        bl.post("subscriptions", json=asking(many)),
        bl.put(f"subscriptions/{made['id']}", json=asking(many)),
    ):
        assert "20" in refused(answer, 400)["detail"]
    assert not any(echo.calls(path) for path in many)
    assert bl.get(f"subscriptions/{made['id']}").json() == made


# --- who is told what -------------------------------------------------------------------------------------------------


class Hearing:
    """A subscription of a client to a path of its own, and what came there."""

    def __init__(self, vtn: Vtn, echo: Echo, client: httpx.Client, *what: list[str], **more: Any) -> None:
        self._vtn, self._echo = vtn, echo
        self._path = f"/{unique()}"
        self.id = created(client, "subscriptions", subscription(echo.url + self._path, *what, **more))["id"]

    def calls(self) -> list[Called]:
        return [one for one in self._echo.calls(self._path) if one.method == "POST"]

    def told(self) -> list[tuple[str, str, str]]:
        """(object type, operation, id) in the order in which they came; what was said twice, once."""
        said = [json.loads(one.body) for one in self.calls()]
        return list(dict.fromkeys((one["objectType"], one["operation"], one["object"]["id"]) for one in said))

    def wait(self, *expected: tuple[str, str, str]) -> None:
        """Until all is told, and nothing else was: of each object in order, of several in any."""
        self._vtn.platform.eventually(lambda: len(self.told()) >= len(expected), f"{expected} is told")
        assert sorted(self.told(), key=itemgetter(2)) == sorted(expected, key=itemgetter(2))


def program(bl: httpx.Client, **more: Any) -> str:
    return str(created(bl, "programs", {"programName": unique(), **more})["id"])


def event(bl: httpx.Client, program_id: str, **more: Any) -> dict[str, Any]:
    return created(bl, "events", {"programID": program_id, "intervalPeriod": LATER, **more})


@pytest.mark.clause("webhooks: notification")
def test_what_was_subscribed_to_is_told_and_nothing_else(vtn: Vtn, echo: Echo) -> None:
    bl, ven = vtn.client("bl"), vtn.client("ven")
    own, other = program(bl), program(bl)
    hearing = Hearing(vtn, echo, ven, ["EVENT"], ["CREATE", "DELETE"], programID=own)
    first, elsewhere = event(bl, own), event(bl, other)
    bl.put(f"events/{first['id']}", json={"programID": own, "priority": 1, "intervalPeriod": LATER}).raise_for_status()
    bl.put(f"programs/{own}", json={"programName": unique()}).raise_for_status()
    bl.delete(f"events/{elsewhere['id']}").raise_for_status()
    bl.delete(f"events/{first['id']}").raise_for_status()
    hearing.wait(("EVENT", "CREATE", first["id"]), ("EVENT", "DELETE", first["id"]))


@pytest.mark.clause("webhooks: notification")
def test_a_notification_holds_the_object_as_a_get_shows_it(vtn: Vtn, echo: Echo) -> None:
    bl, ven = vtn.client("bl"), vtn.client("ven")
    own = program(bl)
    hearing = Hearing(vtn, echo, ven, ["EVENT"], ["CREATE"], programID=own, bearerToken="t0ken")
    made = event(bl, own, eventName="x", priority=3)
    hearing.wait(("EVENT", "CREATE", made["id"]))
    call, *_ = hearing.calls()
    headers = {name.lower(): value for name, value in call.headers.items()}
    assert json.loads(call.body)["object"] == ven.get(f"events/{made['id']}").json()
    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == "Bearer t0ken"
    assert headers["webhook-signature"].startswith("v1,")
    assert headers["webhook-id"]


@pytest.mark.clause("webhooks: notification")
def test_a_deleted_subscription_hears_no_more(vtn: Vtn, echo: Echo) -> None:
    bl, ven = vtn.client("bl"), vtn.client("ven")
    own = program(bl)
    gone = Hearing(vtn, echo, ven, ["EVENT"], ["CREATE"], programID=own)
    stays = Hearing(vtn, echo, ven, ["EVENT"], ["CREATE"], programID=own)
    ven.delete(f"subscriptions/{gone.id}").raise_for_status()
    made = event(bl, own)
    stays.wait(("EVENT", "CREATE", made["id"]))
    gone.wait()


@pytest.mark.clause("privacy: notifications")
def test_a_ven_is_told_of_what_is_meant_for_it_and_of_its_own_targets(vtn: Vtn, echo: Echo) -> None:
    bl, owner = vtn.client("bl"), vtn.enrol("ven")
    ven, mine, others = vtn.client(owner), f"mine-{unique()}", f"others-{unique()}"
    granted = {"objectType": "BL_VEN_REQUEST", "clientID": owner.client_id, "venName": unique(), "targets": [mine]}
    created(bl, "vens", granted)
    own = program(bl)
    hears = Hearing(vtn, echo, ven, ["EVENT"], ["CREATE"], programID=own)
    narrowed = Hearing(vtn, echo, ven, ["EVENT"], ["CREATE"], programID=own, targets=[mine])
    event(bl, own, targets=[others])
    shared = event(bl, own, targets=[others, mine])
    open_ = event(bl, own)
    hears.wait(("EVENT", "CREATE", shared["id"]), ("EVENT", "CREATE", open_["id"]))
    narrowed.wait(("EVENT", "CREATE", shared["id"]))
    seen = {told["id"]: told["targets"] for told in (json.loads(one.body)["object"] for one in hears.calls())}
    assert seen == {shared["id"]: [mine], open_["id"]: None}
    assert others not in "".join(str(one.body) for one in [*hears.calls(), *narrowed.calls()])


@pytest.mark.clause("privacy: notifications")
def test_what_a_ven_makes_is_told_to_it_and_to_business_logic_only(vtn: Vtn, echo: Echo) -> None:
    bl, ven, other = vtn.client("bl"), vtn.client(vtn.enrol("ven")), vtn.client(vtn.enrol("ven"))
    kinds = ["VEN", "RESOURCE", "REPORT"], ["CREATE", "UPDATE", "DELETE"]
    its, theirs = Hearing(vtn, echo, ven, *kinds), Hearing(vtn, echo, other, *kinds)
    made = created(ven, "vens", {"objectType": "VEN_VEN_REQUEST", "venName": unique()})["id"]
    device = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "r", "venID": made}
    resource = created(ven, "resources", device)["id"]
    own = program(bl)
    about = event(bl, own)["id"]
    said = created(ven, "reports", {"eventID": about, "clientName": "c", "resources": []})["id"]
    its.wait(("VEN", "CREATE", made), ("RESOURCE", "CREATE", resource), ("REPORT", "CREATE", said))
    theirs.wait()


@pytest.mark.clause("webhooks: older dialect")
def test_a_subscription_of_3_0_1_is_told_in_its_words(vtn: Vtn, echo: Echo) -> None:
    bl, old = vtn.client("bl"), vtn.client("ven", "3.0.1")
    own = program(bl)
    hearing = Hearing(vtn, echo, old, ["EVENT"], ["CREATE"], programID=own)
    made = event(bl, own)
    hearing.wait(("EVENT", "POST", made["id"]))
    assert json.loads(hearing.calls()[0].body)["object"] == old.get(f"events/{made['id']}").json()
