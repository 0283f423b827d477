"""Lists: their order, pages, filters, validators and compression (Definition, "Response Filtering", "Compression")."""

import gzip
from typing import Any

import httpx
import pytest

from tests.conformance.refusals import refused
from tests.conformance.samples import KINDS, Sample
from tests.conformance.vtn import DIALECTS, Dialect, Echo, Vtn, created, unique

HOUR = "PT1H"


@pytest.fixture(scope="module", params=DIALECTS)
def sample(request: pytest.FixtureRequest, vtn: Vtn, echo: Echo) -> Sample:
    dialect: Dialect = request.param
    return Sample(vtn, echo, dialect)


def ids(client: httpx.Client, path: str, *query: tuple[str, Any]) -> list[str]:
    answer = client.get(path, params=httpx.QueryParams([(name, str(value)) for name, value in query]))
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()]


def events(sample: Sample, program_id: str, count: int, **more: Any) -> list[str]:
    body = {"programID": program_id, "intervals": [], **more}
    return [created(sample.bl, "events", body)["id"] for _ in range(count)]


def program(sample: Sample) -> str:
    return str(created(sample.bl, "programs", {"programName": unique()})["id"])


@pytest.mark.clause("lists: limit and skip")
def test_pages_in_order_of_creation(sample: Sample) -> None:
    own = program(sample)
    made = events(sample, own, 60)
    of_it = ("programID", own)
    assert ids(sample.bl, "events", of_it) == made[:50]
    assert ids(sample.bl, "events", of_it, ("skip", 50)) == made[50:]
    assert ids(sample.bl, "events", of_it, ("skip", 7), ("limit", 5)) == made[7:12]
    assert ids(sample.bl, "events", of_it, ("limit", 0)) == []
    assert ids(sample.bl, "events", of_it, ("skip", 60)) == []
    assert ids(sample.ven, "events", of_it, ("skip", 58)) == made[58:]
    for bad in ("limit=51", "limit=-1", "skip=-1", "limit=ten"):
        refused(sample.bl.get(f"events?{bad}"), 400)


@pytest.mark.clause("lists: limit and skip")
def test_every_list_has_pages(sample: Sample) -> None:
    for kind in KINDS:
        path = sample.collection(kind)
        created(sample.writer(kind), path, sample.body(kind))
        whole = ids(sample.bl, path)
        assert [*ids(sample.bl, path, ("limit", 1)), *ids(sample.bl, path, ("skip", 1), ("limit", 1))] == whole[:2]


@pytest.mark.clause("lists: filters add up")
def test_filters_of_every_list_add_up(sample: Sample) -> None:
    own, other = program(sample), program(sample)
    event, elsewhere = *events(sample, own, 1), *events(sample, other, 1)
    told = {"clientName": unique(), "resources": []}
    old = sample.dialect == "3.0.1"
    report = created(sample.ven, "reports", {"eventID": event, **told, **({"programID": own} if old else {})})["id"]
    created(sample.ven, "reports", {"eventID": elsewhere, **told, **({"programID": other} if old else {})})
    mine = ("clientName", told["clientName"])
    assert ids(sample.bl, "reports", mine, ("programID", own)) == [report]
    assert ids(sample.bl, "reports", mine, ("eventID", event)) == [report]
    assert ids(sample.bl, "reports", mine, ("eventID", event), ("programID", other)) == []
    assert ids(sample.bl, "reports", ("clientName", "nobody"), ("programID", own)) == []
    subscription = sample.body("subscriptions") | {"programID": own, "clientName": unique()}
    made = created(sample.bl, "subscriptions", subscription)["id"]
    asked = ("programID", own), ("clientName", subscription["clientName"])
    assert ids(sample.bl, "subscriptions", *asked, ("objects", "EVENT")) == [made]
    assert ids(sample.bl, "subscriptions", *asked, ("objects", "EVENT"), ("objects", "VEN")) == []
    assert ids(sample.bl, "subscriptions", *asked, ("objects", "PROGRAM")) == []
    ven = created(sample.bl, "vens", sample.body("vens"))
    assert ids(sample.bl, "vens", ("venName", ven["venName"])) == [ven["id"]]
    resource = created(sample.bl, sample.collection("resources"), sample.body("resources"))
    named = ("resourceName", resource["resourceName"])
    assert ids(sample.bl, sample.collection("resources"), named) == [resource["id"]]
    if not old:
        assert ids(sample.bl, "resources", named, ("venID", sample.ids["vens"])) == [resource["id"]]
        assert ids(sample.bl, "resources", named, ("venID", ven["id"])) == []


@pytest.mark.clause("lists: targets")
def test_an_object_carries_every_target_that_is_asked_for(vtn: Vtn) -> None:
    bl = vtn.client("bl")
    a, b = f"a-{unique()}", f"b-{unique()}"
    programs = [created(bl, "programs", {"programName": unique(), "targets": meant}) for meant in ([a], [a, b], None)]
    first, both, _ = (one["id"] for one in programs)
    assert ids(bl, "programs", ("targets", a)) == [first, both]
    assert ids(bl, "programs", ("targets", a), ("targets", b)) == [both]
    assert ids(bl, "programs", ("targets", a), ("targets", "nobody's")) == []
    old = vtn.client("bl", "3.0.1")
    assert ids(old, "programs", ("targetType", "TARGET"), ("targetValues", a)) == [first, both]
    assert ids(old, "programs", ("targetType", "TARGET"), ("targetValues", a), ("targetValues", b)) == [both]


@pytest.mark.clause("lists: active and dates")
def test_events_by_time(sample: Sample) -> None:
    own = program(sample)
    past, future, ever = (
        events(sample, own, 1, intervalPeriod={"start": start, "duration": duration})[0]
        for start, duration in (
            ("2001-01-01T00:00:00Z", HOUR),
            ("2090-01-01T00:00:00Z", HOUR),
            ("2001-06-01T00:00:00Z", "P9999Y"),
        )
    )
    of_it = ("programID", own)
    assert ids(sample.bl, "events", of_it, ("active", "true")) == [future, ever]
    assert ids(sample.bl, "events", of_it, ("active", "false")) == [past, future, ever]
    year = ("dateStart", "2001-01-01T00:00:00Z"), ("dateEnd", "2001-02-01T00:00:00Z")
    assert ids(sample.bl, "events", of_it, *year) == [past]
    assert ids(sample.bl, "events", of_it, ("dateStart", "2050-01-01T00:00:00Z")) == [future, ever]
    assert ids(sample.bl, "events", of_it, ("dateEnd", "2001-01-01T00:30:00+00:00")) == [past]


@pytest.mark.clause("lists: unknown parameters")
def test_parameters_that_a_list_does_not_know_are_ignored(sample: Sample) -> None:
    """Some clients ask for targetType PROGRAM_NAME where 3.1 has no such word."""
    for path in sample.lists():
        assert ids(sample.bl, path, ("sort", "name"), ("x", 1), ("fields", "id")) == ids(sample.bl, path)


# --- validators and compression ---------------------------------------------------------------------------------------


@pytest.mark.clause("reads: ETag")
def test_what_a_client_has_already_is_not_sent_again(sample: Sample) -> None:
    for path in [*sample.lists(), *sample.ones()]:
        first = sample.bl.get(path)
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}'):
            again = sample.bl.get(path, headers={"if-none-match": known})
            assert (again.status_code, again.content) == (304, b""), path
            assert again.headers["etag"] == tag
    path = sample.one("programs")
    tag = sample.bl.get(path).headers["etag"]
    assert sample.bl.put(path, json=sample.body("programs")).status_code == 200
    assert sample.bl.get(path, headers={"if-none-match": tag}).status_code == 200


@pytest.mark.clause("reads: ETag")
def test_a_tag_of_one_client_s_answer_is_none_of_another_s(vtn: Vtn) -> None:
    bl, ven, nobody = vtn.client("bl"), vtn.client("ven"), f"nobody-{unique()}"
    created(bl, "programs", {"programName": unique(), "targets": [nobody]})
    path = f"programs?targets={nobody}"
    tag = bl.get(path).headers["etag"]
    assert ven.get(path, headers={"if-none-match": tag}).status_code == 200


@pytest.mark.clause("reads: compression")
def test_what_is_compressed_is_the_same(sample: Sample) -> None:
    events(sample, program(sample), 30)
    plain = raw(sample.bl, "identity")
    assert "content-encoding" not in plain.headers
    for wanted, packed in (("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False)):
        answer = raw(sample.bl, wanted)
        assert (answer.headers.get("content-encoding") == "gzip") == packed, wanted
        assert "accept-encoding" in answer.headers["vary"].lower()
        body = b"".join(answer.iter_raw())
        assert (gzip.decompress(body) if packed else body) == plain.read()


def raw(client: httpx.Client, accept_encoding: str) -> httpx.Response:
    """An answer that is not unpacked yet."""
    request = client.build_request("GET", "events", headers={"accept-encoding": accept_encoding})
    return client.send(request, stream=True)
