"""The HTTP door of a running platform: problems, pages, ETags, CSV, the live stream, and who may come in."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.platform import LOAD, Platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    one = Platform(tmp_path_factory.mktemp("api")).start()
    for n in range(5):
        one.register(f"home-{n}")
    one.post("/v1/programs", {"program_id": "peak", "name": "Peak"})
    yield one
    one.close()


def test_the_index_says_where_the_doors_are(platform: Platform) -> None:
    index = platform.get("/v1")
    assert (index["name"], index["speed"], index["mqtt_port"]) == ("Tieline", 1.0, platform.mqtt_port)


def test_the_interface_is_described(platform: Platform) -> None:
    schema = platform.get("/openapi.json")
    assert schema["openapi"].startswith("3.1")
    assert {"/v1/vens", "/v1/events", "/v1/statements", "/v1/series/{series_id}/values"} <= set(schema["paths"])


def test_health_names_every_port(platform: Platform) -> None:
    assert platform.get("/health/live") == {"live": True}
    ports = {"log": "ready", "rows": "ready", "series": "ready", "blobs": "ready", "documents": "ready"}
    assert platform.get("/health/ready") == {"ready": True, "ports": ports}


def test_metrics_are_prometheus_text(platform: Platform) -> None:
    answer = platform.answer("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# TYPE tieline_telemetry_messages_total counter" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/v1/vens/nobody", None, 404, "nobody"),
        ("GET", "/v1/nothing", None, 404, ""),
        ("GET", "/v1/events/none", None, 404, "none"),
        ("GET", "/v1/vens?limit=0", None, 400, "limit"),
        ("GET", "/v1/vens?cursor=!!!", None, 422, "cursor"),
        (
            "GET",
            "/v1/series/home-0.power_kw/values?start=2026-01-01T00:00:00&end=2026-01-02T00:00:00",
            None,
            422,
            "time zone",
        ),
        ("GET", "/v1/fleet/power?start=2026-01-01T00:00:00Z&end=2025-01-01T00:00:00Z", None, 422, "end after"),
        ("GET", "/v1/fleet/power?start=2020-01-01T00:00:00Z&end=2026-01-01T00:00:00Z&step_s=1", None, 422, "steps"),
        ("POST", "/v1/vens", {"ven_id": "home-0", "name": "x", "site_id": "site-home-0"}, 409, "registered already"),
        ("POST", "/v1/vens", {"ven_id": "a.b", "name": "x", "site_id": "site-home-0"}, 400, "ven_id"),
        ("POST", "/v1/vens", {"ven_id": "x", "name": "x"}, 422, "site"),
        ("POST", "/v1/sites", {"site_id": "x", "name": "x", "zone": "Mars/Olympus"}, 422, "IANA"),
        ("POST", "/v1/events", {"program_id": "peak", "target_kw": -1}, 400, ""),
        ("POST", "/v1/programs", {"program_id": "peak", "name": "Again"}, 409, "exists"),
        ("PUT", "/v1/clock", {"speed": 0}, 422, "speed"),
        ("DELETE", "/v1/vens", None, 405, ""),
    ],
)
def test_what_is_wrong_is_a_problem_with_its_reason(
    platform: Platform, method: str, path: str, body: object, status: int, said: str
) -> None:
    answer = platform.answer(method, path, json=body) if body is not None else platform.answer(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["status"] == status
    assert said in answer.text


@pytest.mark.parametrize("body", [b"{", b"[" * 200_000, b'{"site_id": NaN}', b"\xff\xfe", b"null", b"1e999999"])
def test_no_body_breaks_it(platform: Platform, body: bytes) -> None:
    answer = platform.answer("POST", "/v1/sites", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_a_body_beyond_the_bound_is_refused(platform: Platform) -> None:
    answer = platform.answer(
        "POST", "/v1/sites", content=b" " * 5_000_000, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413


def test_pages_give_everything_once(platform: Platform) -> None:
    for path, key in [("/v1/vens", "ven_id"), ("/v1/sites", "site_id"), ("/v1/series", "series_id")]:
        whole = [one[key] for one in platform.get(path, limit=1000)["items"]]
        paged, cursor = [], None
        while True:
            page = platform.get(path, limit=2, **({"cursor": cursor} if cursor else {}))
            paged += [one[key] for one in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert paged == whole == sorted(whole)


def test_search_finds_text_and_not_patterns(platform: Platform) -> None:
    assert [one["ven_id"] for one in platform.get("/v1/vens", q="HOME-3")["items"]] == ["home-3"]
    assert platform.get("/v1/sites", q="%")["items"] == []


def test_an_answer_already_had_is_not_sent_again(platform: Platform) -> None:
    first = platform.answer("GET", "/v1/sites")
    again = platform.answer("GET", "/v1/sites", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    other = platform.answer("GET", "/v1/sites?limit=1", headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200


def test_a_list_of_values_is_csv_for_who_asks(platform: Platform) -> None:
    window = "start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z"
    answer = platform.answer("GET", f"/v1/series/home-0.power_kw/values?{window}", headers={"accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text == "at,value_kW,flags,known_at\r\n"


def test_a_page_of_another_origin_and_a_foreign_name_are_refused(platform: Platform) -> None:
    foreign = platform.answer("GET", "/v1/vens", headers={"origin": "https://evil.example"})
    rebound = platform.answer("GET", "/v1/vens", headers={"host": "evil.example"})
    assert (foreign.status_code, rebound.status_code) == (403, 403)


def test_the_live_stream_resumes_where_it_was_left(platform: Platform) -> None:
    """What is called while nobody listens comes to who returns with the last id."""
    start = {
        "start_at": "2099-01-01T00:00:00Z",
        "end_at": "2099-01-01T01:00:00Z",
        "target_kw": 1.0,
        "program_id": "peak",
    }
    heard = _listen(platform, lambda: platform.post("/v1/events", {**start, "event_id": "one"}))
    assert heard[0][1]["event_id"] == "one"
    platform.post("/v1/events", {**start, "event_id": "two"})
    platform.post("/v1/events", {**start, "event_id": "three"})
    later = _listen(platform, lambda: None, last=heard[-1][0], number=2)
    assert [data["event_id"] for _, data in later] == ["two", "three"]


def _listen(platform: Platform, act: Callable[[], Any], last: str = "", number: int = 1) -> list[tuple[str, Any]]:
    """(id, data) of the next `number` events; `act` is done once the stream is open."""
    heard: list[tuple[str, Any]] = []
    headers, acting = ({"last-event-id": last} if last else {}), None
    with httpx.stream("GET", f"{platform.url}/v1/live", headers=headers, timeout=60) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        kind = mark = ""
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "id":
                mark = value
            elif name == "data" and kind == "power":
                if acting is None:
                    acting = threading.Thread(target=act)
                    acting.start()
            elif name == "data" and kind == "event":
                heard.append((mark, json.loads(value)))
                if len(heard) == number:
                    return heard
    raise AssertionError("the stream ended")


def test_beyond_loopback_a_token_is_asked_for(platforms: Callable[..., Platform]) -> None:
    refused = platforms(http_host="0.0.0.0").run("up")
    assert refused.returncode == 2
    assert "TIELINE_API_TOKEN" in refused.stderr
    issuing = platforms(http_host="0.0.0.0", api_token="let me in").run("up")
    assert issuing.returncode == 2
    assert "TIELINE_ISSUER_PUBLIC" in issuing.stderr
    open_to_all = platforms(http_host="0.0.0.0", api_token="let me in", issuer_public="true").start()
    for headers, status in [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer let me in"}, 200),
    ]:
        answer = open_to_all.answer("GET", "/v1/vens", headers=headers)
        assert answer.status_code == status
    assert answer.json()["items"] == []
    rate = open_to_all.answer("PUT", "/v1/clock", json={"speed": 60}, headers={"authorization": "Bearer let me in"})
    assert rate.status_code == 403
    assert "let me in" not in open_to_all.log()


def test_the_registry_by_command_line(platform: Platform) -> None:
    assert platform.run("site", "add", "barn", "--name", "Barn", "--zone", "Europe/Lisbon").returncode == 0
    added = platform.run("ven", "add", "barn-1", "--site", "barn", "--resource", "pump:other:3.5:sheddable", "--json")
    assert json.loads(added.stdout)["secret"]
    shown = platform.run("ven", "show", "barn-1")
    assert "pump" in shown.stdout
    assert "secret" not in shown.stdout
    wrong = platform.run("ven", "add", "barn-1", "--site", "barn")
    assert (wrong.returncode, "registered already" in wrong.stderr) == (2, True)
    assert platform.run("ven", "list", "-q", "barn").stdout.count("barn-1") >= 1
    assert platform.run("resource", "add", "barn-1", "fan", "--rated-kw", "1.5").returncode == 0
    assert "fan" in platform.run("resource", "list", "--ven", "barn-1").stdout
    declared = ("series", "add", "barn.price_eur_per_mwh", "--unit", "EUR/MWh", "--step-s", "3600", "--zone", "UTC")
    assert platform.run(*declared, "--stamp", "start", "--source", "me").returncode == 0
    listed = json.loads(platform.run("series", "list", "--source", "me", "--json").stdout)["items"]
    assert [(one["series_id"], one["hold_s"]) for one in listed] == [("barn.price_eur_per_mwh", 3600)]


def test_commands_say_when_there_is_no_platform(platforms: Callable[..., Platform]) -> None:
    alone = platforms().run("ven", "list")
    assert alone.returncode == 75
    assert "cannot be reached" in alone.stderr
    assert "Traceback" not in alone.stderr


def test_a_resource_is_added_to_a_ven_that_speaks_already(platform: Platform) -> None:
    platform.post("/v1/vens/home-4/resources", LOAD | {"resource_id": "late", "name": "Second heater"})
    assert [one["resource_id"] for one in platform.get("/v1/vens/home-4")["resources"]] == ["heater", "late"]
    assert platform.answer("POST", "/v1/vens/home-4/resources", json=LOAD).status_code == 409


def test_a_second_whole_platform_on_one_folder_is_refused(platform: Platform) -> None:
    second = platform.run("up", "--http-port", "0")
    assert second.returncode == 75
    assert platform.url in second.stderr


def test_a_wrong_setting_is_named_with_its_value(platforms: Callable[..., Platform]) -> None:
    wrong = platforms(log_replicas="many").run("up")
    assert wrong.returncode == 2
    assert "TIELINE_LOG_REPLICAS" in wrong.stderr
    assert "many" in wrong.stderr
