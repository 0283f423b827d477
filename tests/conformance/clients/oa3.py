"""python-oa3-client 0.5 with openadr3 0.5: business logic and a VEN against a VTN. Run in its own environment.

Arguments: the VTN's base URL; `anonymous` where its broker lets in whoever shows nothing. Environment: BL_ID,
BL_SECRET, VEN_ID, VEN_SECRET.
"""

import os
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

from ebus_mqtt_client import MqttClient  # type: ignore[import-not-found]
from openadr3_client import BlClient, VenClient  # type: ignore[import-not-found]
from openadr3_client.mqtt import MQTTMessage, _parse_payload, normalize_broker_uri  # type: ignore[import-not-found]

NOTICE_S = 90.0


def unique() -> str:
    return uuid.uuid4().hex[:12]


def soon(minutes: int) -> str:
    return f"{datetime.now(tz=UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


def price_event(program_id: str, minutes: int, price: float) -> dict[str, Any]:
    return {
        "programID": program_id,
        "eventName": unique(),
        "payloadDescriptors": [
            {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "PRICE", "units": "KWH", "currency": "USD"}
        ],
        "intervalPeriod": {"start": soon(minutes), "duration": "PT1H"},
        "intervals": [{"id": 0, "payloads": [{"type": "PRICE", "values": [price]}]}],
    }


def made(answer: Any) -> dict[str, Any]:
    """The object that a request made."""
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def poll(bl: BlClient, ven: VenClient, program: dict[str, Any]) -> dict[str, Any]:
    """Events of the next days, and not those of another month."""
    near, far = (made(bl.create_event(price_event(program["id"], minutes, 0.17))) for minutes in (60, 60 * 24 * 40))
    found = ven.poll_events(program_name=program["programName"])
    assert [one.id for one in found] == [near["id"]]
    assert [float(value) for value in found[0].intervals[0].payloads[0].values] == [0.17]
    assert {one.id for one in ven.events(programID=program["id"])} == {near["id"], far["id"]}
    assert bl.delete_event(far["id"]).status_code == 200
    return near


def register(ven: VenClient) -> None:
    """Twice the same: it finds itself by its name."""
    name = unique()
    first = ven.register(name).ven_id
    assert ven.register(name).ven_id == first
    resource = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "heater", "venID": first}
    assert made(ven.create_resource(resource))["clientID"] == os.environ["VEN_ID"]
    assert [one.resource_name for one in ven.resources(venID=first)] == ["heater"]


def report(bl: BlClient, ven: VenClient, event: dict[str, Any]) -> None:
    said = {"resourceName": "heater", "intervals": [{"id": 0, "payloads": [{"type": "USAGE", "values": [1.5]}]}]}
    done = made(ven.create_report({"eventID": event["id"], "clientName": ven.ven_name, "resources": [said]}))
    assert [one.id for one in bl.reports(eventID=event["id"], clientName=ven.ven_name)] == [done["id"]]


def hear_by_webhook(bl: BlClient, ven: VenClient, program: dict[str, Any]) -> None:
    webhook = ven.add_webhook(host="127.0.0.1", bearer_token=unique())
    webhook.start()
    ven.subscribe([program["programName"]], ["EVENT"], ["CREATE", "UPDATE", "DELETE"], webhook)
    assert [one.program_id for one in ven.subscriptions(programID=program["id"])] == [program["id"]]
    change_and_hear(bl, program, lambda: webhook.messages)
    webhook.stop()


def change_and_hear(bl: BlClient, program: dict[str, Any], messages: Callable[[], list[Any]]) -> None:
    """Created, changed, deleted: told in that order, each once at least."""
    event = made(bl.create_event(price_event(program["id"], 90, 0.2)))
    assert bl.update_event(event["id"], {**event, "priority": 1}).status_code == 200
    assert bl.delete_event(event["id"]).status_code == 200
    operations = ["CREATE", "UPDATE", "DELETE"]

    def told() -> list[str]:
        return [str(one.payload.operation) for one in distinct(messages()) if one.payload.object.id == event["id"]]

    waited(lambda: len(told()) >= len(operations))
    assert told() == operations


def listening(bl: BlClient, program: dict[str, Any], messages: Callable[[], list[Any]]) -> None:
    """Until the broker has what the client subscribed to: of what was published before it never hears."""

    def heard() -> bool:
        event = made(bl.create_event(price_event(program["id"], 90, 0.2)))
        assert bl.delete_event(event["id"]).status_code == 200
        return bool(messages())

    waited(heard)


def distinct(messages: list[Any]) -> list[Any]:
    """By what they say: the client's own MQTT channel subscribes to each topic, and to all of them by +."""
    return list({one.raw_payload: one for one in messages}.values())


def hear_by_mqtt(bl: BlClient, ven: VenClient, program: dict[str, Any]) -> None:
    """By the client's own channel, which shows the broker nothing."""
    assert ven.vtn_supports_mqtt()
    channel = ven.add_mqtt(ven.get_mqtt_broker_uris()[0])
    channel.start()
    topics = ven.subscribe([program["programName"]], ["EVENT"], ["CREATE", "UPDATE", "DELETE"], channel)
    assert topics
    listening(bl, program, lambda: channel.messages)
    change_and_hear(bl, program, lambda: channel.messages)


def hear_by_mqtt_with_a_token(bl: BlClient, ven: VenClient, program: dict[str, Any]) -> None:
    """By the MQTT client below that channel, which can be given a user and a password."""
    heard: list[bytes] = []
    host, port, tls = normalize_broker_uri(ven.get_mqtt_broker_uris()[0])
    topics = ven.get_mqtt_topics_program_events(program["id"]).json()["topics"]
    user = ven.discover_notifiers()["MQTT"]["authentication"]["username"].format(clientID=os.environ["VEN_ID"])
    client = MqttClient(f"oa3-{unique()}", host, port, username=user, password=ven.token, use_tls=tls)
    client.start()
    client.subscribe(topics["ALL"], lambda _, payload: heard.append(payload))

    def messages() -> list[MQTTMessage]:
        return [MQTTMessage("", _parse_payload(one, ""), 0.0, one) for one in list(heard)]

    listening(bl, program, messages)
    change_and_hear(bl, program, messages)
    client.stop()


def waited(ready: Callable[[], bool]) -> None:
    deadline = monotonic() + NOTICE_S
    while not ready():
        assert monotonic() < deadline
        sleep(0.05)


def main(url: str, broker: str) -> None:
    bl_secret, ven_secret = os.environ["BL_SECRET"], os.environ["VEN_SECRET"]
    with (
        BlClient(url=url, client_id=os.environ["BL_ID"], client_secret=bl_secret) as bl,
        VenClient(url=url, client_id=os.environ["VEN_ID"], client_secret=ven_secret) as ven,
    ):
        program = made(bl.create_program({"programName": unique()}))
        register(ven)
        event = poll(bl, ven, program)
        report(bl, ven, event)
        hear_by_webhook(bl, ven, program)
        (hear_by_mqtt if broker == "anonymous" else hear_by_mqtt_with_a_token)(bl, ven, program)
        assert bl.delete_program(program["id"]).status_code == 200


if __name__ == "__main__":
    main(*sys.argv[1:])
