"""Objects as the Definition has them: stamped, whole, unique by name, answered by the statuses it lists."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.conformance.refusals import refused
from tests.conformance.samples import KINDS, PERIOD, Sample
from tests.conformance.vtn import DIALECTS, Dialect, Echo, Vtn, created, unique

NOBODY = "0123456789abcdef01234567"
STAMPS = ("id", "createdDateTime", "modificationDateTime", "objectType")
REQUIRED = {
    "programs": ["programName"],
    "events": ["programID"],
    "reports": ["eventID", "clientName", "resources"],
    "subscriptions": ["clientName", "objectOperations"],
    "vens": ["objectType", "clientID", "venName"],
    "resources": ["objectType", "clientID", "resourceName", "venID"],
}
REQUIRED_301 = REQUIRED | {
    "events": ["programID", "intervals"],
    "reports": ["programID", "eventID", "clientName", "resources"],
    "subscriptions": ["clientName", "programID", "objectOperations"],
    "vens": ["venName"],
    "resources": ["resourceName"],
}


@pytest.fixture(scope="module", params=DIALECTS)
def sample(request: pytest.FixtureRequest, vtn: Vtn, echo: Echo) -> Iterator[Sample]:
    dialect: Dialect = request.param
    yield Sample(vtn, echo, dialect)
    assert vtn.failures() == []


def holds(answer: Any, sent: Any) -> bool:
    """Whether an answer says all that was sent; what it says beside are stamps and defaults."""
    if isinstance(sent, dict):
        return all(name in answer and holds(answer[name], value) for name, value in sent.items())
    if isinstance(sent, list):
        return len(answer) == len(sent) and all(map(holds, answer, sent))
    return bool(answer == sent)


@pytest.mark.clause("objects: metadata")
@pytest.mark.parametrize("kind", KINDS)
def test_a_created_object_is_stamped(sample: Sample, kind: str) -> None:
    body = sample.body(kind)
    made = [created(sample.writer(kind), sample.collection(kind), sample.body(kind)) for _ in range(2)]
    assert made[0]["id"] != made[1]["id"]
    for one in made:
        assert one["objectType"] == kind.upper().removesuffix("S")
        assert one["createdDateTime"] == one["modificationDateTime"]
        assert datetime.fromisoformat(one["createdDateTime"]).utcoffset() is not None
    names = {"programName", "venName", "resourceName", "objectType"}
    assert holds(made[0], {name: value for name, value in body.items() if name not in names})


@pytest.mark.clause("objects: stamps ignored")
@pytest.mark.parametrize("kind", KINDS)
def test_stamps_in_a_request_are_ignored(sample: Sample, kind: str) -> None:
    client, path = sample.writer(kind), sample.collection(kind)
    asks = {"objectType": "NONSENSE"} if "objectType" not in sample.body(kind) else {}
    lies = {"id": NOBODY, "createdDateTime": "1999-01-01T00:00:00Z", "modificationDateTime": "soon", **asks}
    made = created(client, path, sample.body(kind) | lies)
    assert made["id"] != NOBODY
    assert not made["createdDateTime"].startswith("1999")
    changed = client.put(f"{path}/{made['id']}", json=sample.body(kind) | lies).json()
    assert [changed[name] for name in ("id", "createdDateTime", "objectType")] == [
        made[name] for name in ("id", "createdDateTime", "objectType")
    ]
    assert changed["modificationDateTime"] > made["modificationDateTime"]


@pytest.mark.clause("bodies: required properties")
@pytest.mark.parametrize("kind", KINDS)
def test_without_a_required_property_nothing_is_created(sample: Sample, kind: str) -> None:
    client, path = sample.writer(kind), sample.collection(kind)
    before = client.get(sample.one(kind)).json()
    for name in (REQUIRED if sample.dialect == "3.1.0" else REQUIRED_301)[kind]:
        body = {field: value for field, value in sample.body(kind).items() if field != name}
        count = len(everything(sample, kind))
        problem = refused(client.post(path, json=body), 400)
        assert name in problem["detail"]
        assert len(everything(sample, kind)) == count
        refused(client.put(sample.one(kind), json=body), 400)
    assert client.get(sample.one(kind)).json() == before


def everything(sample: Sample, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := sample.bl.get(sample.collection(kind), params={"skip": len(found)}).json():
        found += page
    return found


@pytest.mark.clause("bodies: unknown content ignored")
@pytest.mark.parametrize("kind", KINDS)
def test_what_no_schema_has_is_ignored(sample: Sample, kind: str) -> None:
    made = created(sample.writer(kind), sample.collection(kind), sample.body(kind) | {"colour": {"deep": ["blue"]}})
    assert "colour" not in made


@pytest.mark.clause("bodies: null")
@pytest.mark.parametrize("kind", KINDS)
def test_a_null_is_as_good_as_nothing(sample: Sample, kind: str) -> None:
    """Clients of other makers write every field they know, with null where it has no value."""
    optional = ("intervalPeriod", "duration", "intervals", "targets", "priority", "attributes", "payloadDescriptors")
    required = (REQUIRED if sample.dialect == "3.1.0" else REQUIRED_301)[kind]
    nulls = {name: None for name in optional if name not in required}
    created(sample.writer(kind), sample.collection(kind), nulls | sample.body(kind))


@pytest.mark.clause("objects: full update")
@pytest.mark.parametrize("kind", KINDS)
def test_a_put_says_all_there_is(sample: Sample, kind: str) -> None:
    """What it leaves out has its default again."""
    client, path = sample.writer(kind), sample.collection(kind)
    made = created(client, path, sample.body(kind))
    required = (REQUIRED if sample.dialect == "3.1.0" else REQUIRED_301)[kind]
    least = {name: value for name, value in sample.body(kind).items() if name in required}
    client.put(f"{path}/{made['id']}", json=least).raise_for_status()
    now = client.get(f"{path}/{made['id']}").json()
    assert holds(now, {name: value for name, value in least.items() if name != "objectType"})
    left_out = set(made) - set(least) - {*STAMPS, "clientID", "venID", "programID", "attributes", "resources"}
    assert not any(now.get(name) for name in left_out), now


# --- statuses ---------------------------------------------------------------------------------------------------------


@pytest.mark.clause("statuses")
@pytest.mark.parametrize("kind", KINDS)
def test_the_life_of_an_object_in_statuses(sample: Sample, kind: str) -> None:
    client, path = sample.writer(kind), sample.collection(kind)
    made = client.post(path, json=sample.body(kind))
    assert made.status_code == 201
    one = f"{path}/{made.json()['id']}"
    assert client.get(one).status_code == 200
    assert client.put(one, json=sample.body(kind)).status_code == 200
    gone = client.delete(one)
    assert gone.status_code == 200
    assert gone.json()["id"] == made.json()["id"]
    for method in ("GET", "PUT", "DELETE"):
        refused(client.request(method, one, json=sample.body(kind) if method == "PUT" else None), 404)


@pytest.mark.clause("statuses")
def test_who_may_not_is_forbidden(sample: Sample) -> None:
    for kind in KINDS:
        for method, path, body in sample.writes(kind):
            if kind in ("programs", "events"):
                refused(sample.ven.request(method, path, json=body), 403)
            if kind == "reports":
                refused(sample.bl.request(method, path, json=body), 403)
    for path in (sample.one("programs"), sample.one("events")):
        refused(sample.ven.delete(path), 403)
    refused(sample.bl.delete(sample.one("reports")), 403)


@pytest.mark.clause("objects: references")
def test_a_reference_to_nothing_conflicts(sample: Sample) -> None:
    for kind, name in (("events", "programID"), ("reports", "eventID"), ("subscriptions", "programID")):
        body = sample.body(kind) | {name: NOBODY}
        client = sample.writer(kind)
        assert NOBODY in refused(client.post(kind, json=body), 409)["detail"]
        assert NOBODY in refused(client.put(sample.one(kind), json=body), 409)["detail"]


@pytest.mark.clause("names: unique")
def test_names_that_must_differ(sample: Sample) -> None:
    for kind, name in (("programs", "programName"), ("vens", "venName"), ("resources", "resourceName")):
        first, second = (created(sample.bl, sample.collection(kind), sample.body(kind)) for _ in range(2))
        taken = sample.body(kind) | {name: first[name]}
        refused(sample.bl.post(sample.collection(kind), json=taken), 409)
        refused(sample.bl.put(f"{sample.collection(kind)}/{second['id']}", json=taken), 409)
        assert sample.bl.put(f"{sample.collection(kind)}/{first['id']}", json=taken).status_code == 200


@pytest.mark.clause("names: unique")
def test_names_that_may_be_the_same(sample: Sample) -> None:
    """Of events and reports, and of resources at different VENs."""
    for kind, name in (("events", "eventName"), ("reports", "reportName")):
        same = {name: unique()}
        for _ in range(2):
            created(sample.writer(kind), kind, sample.body(kind) | same)
    elsewhere = created(sample.bl, "vens", sample.body("vens"))["id"]
    resource = sample.body("resources") | {"resourceName": unique()}
    created(sample.bl, sample.collection("resources"), resource)
    there = f"vens/{elsewhere}/resources" if sample.dialect == "3.0.1" else "resources"
    created(sample.bl, there, resource | ({"venID": elsewhere} if "venID" in resource else {}))


@pytest.mark.clause("objects: deletion")
def test_what_belongs_to_a_deleted_object_goes_with_it(sample: Sample) -> None:
    program = created(sample.bl, "programs", sample.body("programs"))["id"]
    event = created(sample.bl, "events", sample.body("events") | {"programID": program})["id"]
    assert sample.bl.delete(f"programs/{program}").status_code == 200
    refused(sample.bl.get(f"events/{event}"), 404)
    ven = created(sample.bl, "vens", sample.body("vens"))["id"]
    resources = f"vens/{ven}/resources" if sample.dialect == "3.0.1" else "resources"
    body = sample.body("resources") | ({"venID": ven} if sample.dialect == "3.1.0" else {})
    resource = created(sample.bl, resources, body)["id"]
    assert sample.bl.delete(f"vens/{ven}").status_code == 200
    refused(sample.bl.get(f"{resources}/{resource}"), 404)


@pytest.mark.clause("objects: deletion")
def test_what_a_dialect_has_no_word_for_it_does_not_delete(vtn: Vtn, echo: Echo) -> None:
    """A subscription to no program: 3.0.1 cannot show it, and so cannot delete it either."""
    told = {"objects": ["EVENT"], "operations": ["UPDATE"], "callbackUrl": echo.url}
    mine, old = vtn.client("ven"), vtn.client("ven", "3.0.1")
    one = f"subscriptions/{created(mine, 'subscriptions', {'clientName': 'c', 'objectOperations': [told]})['id']}"
    for method in ("GET", "DELETE"):
        assert "later version" in refused(old.request(method, one), 404)["detail"]
    other = vtn.client(vtn.enrol("ven"), "3.0.1")
    assert refused(other.delete(one), 404)["detail"] == f"there is no subscription {one.rpartition('/')[2]!r}"
    assert mine.get(one).status_code == 200
    assert mine.delete(one).status_code == 200


@pytest.mark.clause("objects: deletion")
def test_the_id_of_a_deleted_ven_is_nobody_s_again(vtn: Vtn) -> None:
    """What it did stays on record under its id; its name is free."""
    ven_id, bl = f"home-{unique()}", vtn.client("bl")
    vtn.platform.register(ven_id)
    found = vtn.platform.eventually(lambda: (got := bl.get(f"vens/{ven_id}")).is_success and got, "OpenADR shows it")
    name = found.json()["venName"]
    assert bl.delete(f"vens/{ven_id}").status_code == 200
    new = {"ven_id": ven_id, "name": name, "site_id": f"site-{ven_id}"}
    again = vtn.platform.answer("POST", "/v1/vens", json=new)
    assert (again.status_code, "was retired" in again.json()["detail"]) == (409, True), again.text
    vtn.platform.post("/v1/vens", new | {"ven_id": f"{ven_id}-2"})


# --- words of one's own -----------------------------------------------------------------------------------------------

WORDS = ["PRICE", "x", "CUSTOM_TYPE", "日本語", "with spaces", "ünï", "\u202e", "a" * 128]


@pytest.mark.clause("bodies: private strings")
def test_private_words_come_back_as_they_were_sent(sample: Sample) -> None:
    """Of payload types, units, attributes, targets and values of every kind."""
    values = [1, -1.5, True, False, "text", "", {"x": 1.0, "y": -2.0}, 2**53, 1e-9]
    for word in WORDS:
        payload = {"type": word, "values": values}
        event = sample.body("events") | {"intervals": [{"id": 2**31 - 1, "payloads": [payload]}]}
        made = created(sample.bl, "events", event)
        assert sample.bl.get(f"events/{made['id']}").json()["intervals"][0]["payloads"] == [payload]
        ven = sample.body("vens")
        ven["attributes"] = [*ven["attributes"], {"type": word, "values": values}]
        assert created(sample.bl, "vens", ven)["attributes"][-1] == {"type": word, "values": values}


# --- events -----------------------------------------------------------------------------------------------------------

CANCELLED = {"start": "0001-01-01", "duration": "PT0S"}


@pytest.mark.clause("events: changed while they run")
def test_a_signal_may_change_after_it_began(vtn: Vtn) -> None:
    bl = vtn.client("bl")
    program = created(bl, "programs", {"programName": unique()})["id"]
    body = {"programID": program, "intervalPeriod": {"start": "2000-01-01T00:00:00Z", "duration": "P9999Y"}}
    event = created(bl, "events", body)["id"]
    vtn.platform.eventually(lambda: vtn.platform.get(f"/v1/events/{event}")["state"] == "active", "it begins")
    for start in ("2001-01-01T00:00:00Z", "2090-01-01T00:00:00Z"):
        period = {"start": start, "duration": "PT1H"}
        assert bl.put(f"events/{event}", json=body | {"intervalPeriod": period}).status_code == 200
    assert vtn.platform.get(f"/v1/events/{event}")["state"] == "scheduled"
    assert bl.put(f"events/{event}", json=body | {"intervalPeriod": CANCELLED}).status_code == 200


@pytest.mark.clause("events: cancelled")
def test_a_call_of_the_fleet_is_called_off_by_a_window_without_duration(vtn: Vtn) -> None:
    bl = vtn.client("bl")
    program = created(bl, "programs", {"programName": unique()})["id"]
    asked = [{"id": 0, "payloads": [{"type": "FLEET_REDUCTION", "values": [100]}]}]
    now = {"start": "0001-01-01", "duration": "PT1H"}
    body = {"programID": program, "intervals": asked, "intervalPeriod": now}
    event = created(bl, "events", body)["id"]
    vtn.platform.eventually(lambda: vtn.platform.get(f"/v1/events/{event}")["state"] == "active", "it begins")
    refused(bl.put(f"events/{event}", json=body | {"intervalPeriod": PERIOD}), 409)
    assert bl.put(f"events/{event}", json=body | {"intervalPeriod": CANCELLED}).status_code == 200
    assert vtn.platform.get(f"/v1/events/{event}")["state"] == "cancelled"
    assert bl.get(f"events/{event}").json()["intervalPeriod"] == CANCELLED


@pytest.mark.clause("bridging")
def test_an_operator_s_event_is_an_openadr_event_and_the_other_way_round(vtn: Vtn) -> None:
    bl, name = vtn.client("bl"), unique()
    vtn.platform.post("/v1/programs", {"program_id": name, "name": name})
    window = {"start_at": "2089-01-01T00:00:00Z", "end_at": "2089-01-01T01:00:00Z"}
    asked = {"event_id": f"e-{name}", "program_id": name, "target_kw": 12.5, **window}
    vtn.platform.post("/v1/events", asked)
    found = vtn.platform.eventually(lambda: (got := bl.get(f"events/e-{name}")).is_success and got, "OpenADR shows it")
    shown = found.json()
    assert shown["programID"] == name
    assert shown["intervalPeriod"] == {"start": "2089-01-01T00:00:00Z", "duration": "PT3600S"}
    assert {"type": "FLEET_REDUCTION", "values": [12.5]} in shown["intervals"][0]["payloads"]
    period = {"start": "2089-02-01T00:00:00Z", "duration": "PT2H"}
    made = created(bl, "events", {"programID": name, "intervalPeriod": period, "intervals": shown["intervals"]})
    seen = vtn.platform.get(f"/v1/events/{made['id']}")
    assert (seen["target_kw"], seen["end_at"]) == (12.5, "2089-02-01T02:00:00Z")
    assert bl.delete(f"events/e-{name}").status_code == 200
    assert vtn.platform.get(f"/v1/events/e-{name}")["state"] == "cancelled"
