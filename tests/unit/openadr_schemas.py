"""The corrected specifications as schemas, the structs that stand for them, and a full example of each."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from tieline.wires.openadr31 import auth, notifiers
from tieline.wires.openadr31 import messages as m31
from tieline.wires.openadr301 import messages as m301
from tieline.wires.openadr301.targets import Target


@cache
def specification(version: str) -> dict[str, Any]:
    """31 or 301."""
    text = files(f"tieline.wires.openadr{version}").joinpath("openadr3.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@cache
def validator(version: str, schema: str) -> Any:
    components = _without_discriminators(specification(version)["components"])
    wanted = {"$ref": f"#/components/schemas/{schema}", "components": components}
    return OAS30Validator(wanted, format_checker=oas30_format_checker)


def _without_discriminators(schema: Any) -> Any:
    """anyOf and oneOf find by themselves what these point to, and this validator trips over odd values of theirs."""
    if isinstance(schema, dict):
        return {key: _without_discriminators(value) for key, value in schema.items() if key != "discriminator"}
    return [_without_discriminators(one) for one in schema] if isinstance(schema, list) else schema


KINDS: dict[str, dict[str, Any]] = {
    "31": {
        "programRequest": m31.ProgramRequest,
        "program": m31.Program,
        "eventRequest": m31.EventRequest,
        "event": m31.Event,
        "reportRequest": m31.ReportRequest,
        "report": m31.Report,
        "subscriptionRequest": m31.SubscriptionRequest,
        "subscription": m31.Subscription,
        "venRequest": m31.VenRequest,
        "BlVenRequest": m31.BlVenRequest,
        "VenVenRequest": m31.VenVenRequest,
        "ven": m31.Ven,
        "resourceRequest": m31.ResourceRequest,
        "BlResourceRequest": m31.BlResourceRequest,
        "VenResourceRequest": m31.VenResourceRequest,
        "resource": m31.Resource,
        "interval": m31.Interval,
        "intervalPeriod": m31.IntervalPeriod,
        "valuesMap": m31.ValuesMap,
        "point": m31.Point,
        "eventPayloadDescriptor": m31.EventPayloadDescriptor,
        "reportPayloadDescriptor": m31.ReportPayloadDescriptor,
        "reportDescriptor": m31.ReportDescriptor,
        "notification": m31.Notification,
        "problem": m31.Problem,
        "clientCredentialRequest": auth.ClientCredentialRequest,
        "clientCredentialResponse": auth.TokenResponse,
        "authError": auth.AuthError,
        "authServerInfo": auth.AuthServerInfo,
        "notifiersResponse": notifiers.NotifiersResponse,
        "mqttNotifierBindingObject": notifiers.MqttNotifier,
        "mqttNotifierAuthenticationAnonymous": notifiers.MqttAnonymous,
        "mqttNotifierAuthenticationOauth2BearerToken": notifiers.MqttBearerToken,
        "mqttNotifierAuthenticationCertificate": notifiers.MqttCertificate,
        "notifierOperationsTopics": notifiers.NotifierTopics,
        "notifierTopicsResponse": notifiers.NotifierTopicsResponse,
    },
    "301": {
        "programRequest": m301.ProgramRequest,
        "program": m301.Program,
        "eventRequest": m301.EventRequest,
        "event": m301.Event,
        "reportRequest": m301.ReportRequest,
        "report": m301.Report,
        "subscriptionRequest": m301.SubscriptionRequest,
        "subscription": m301.Subscription,
        "venRequest": m301.VenRequest,
        "ven": m301.Ven,
        "resourceRequest": m301.ResourceRequest,
        "resource": m301.Resource,
        "interval": m301.Interval,
        "intervalPeriod": m301.IntervalPeriod,
        "reportDescriptor": m301.ReportDescriptor,
        "target": Target,
        "notification": m301.Notification,
    },
}
WORDS = {
    "31": {"objectID", "clientID", "venName", "clientName", "target", "resourceName", "units", "readingType"}
    | {"objectTypes", "dateTime", "beginningOfTime", "duration", "objectMetadata"},
    "301": {"objectID", "objectTypes", "dateTime", "beginningOfTime", "duration", "objectMetadata", "venProperties"}
    | {"valuesMap", "point", "eventPayloadDescriptor", "reportPayloadDescriptor", "problem", "authError"}
    | {"clientCredentialRequest", "clientCredentialResponse"},
}
"""Schemas without a struct of their own: single values, parts of others, and what 3.0.1 has in common with 3.1."""

STAMPS = {"createdDateTime": "2026-02-10T00:00:00Z", "modificationDateTime": "2026-02-10T00:00:00.250000Z"}
VALUES = {"type": "PRICE", "values": [0.17, 3, "x", True, {"x": 1.0, "y": -2.5}]}
LATER = {"start": "2026-02-10T00:00:00.000Z", "duration": "PT1H", "randomizeStart": "PT5M"}
INTERVAL = {"id": 0, "intervalPeriod": LATER, "payloads": [VALUES]}
OF_EVENT = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "PRICE", "units": "KWH", "currency": "USD"}
OF_REPORT = {
    "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
    "payloadType": "USAGE",
    "readingType": "DIRECT_READ",
    "units": "KWH",
    "accuracy": 0.5,
    "confidence": 90,
}
ASKED = {
    "payloadType": "USAGE",
    "readingType": "MEAN",
    "units": "KW",
    "aggregate": True,
    "startInterval": 0,
    "numIntervals": 2,
    "historical": False,
    "frequency": 0,
    "repeat": -1,
}
OPERATION = {
    "objects": ["EVENT", "VEN"],
    "operations": ["CREATE", "READ", "UPDATE", "DELETE"],
    "callbackUrl": "https://ven.example:8443/hook?a=%20b",
    "bearerToken": "secret",
}
PROGRAM = {
    "programName": "ResTOU",
    "intervalPeriod": {"start": "0001-01-01", "duration": "P9999Y"},
    "programDescriptions": [{"URL": "https://example.org/tariff"}],
    "payloadDescriptors": [OF_EVENT, OF_REPORT],
    "attributes": [{"type": "COUNTRY", "values": ["BR"]}],
    "targets": ["group-1"],
}
EVENT = {
    "programID": "program-1",
    "eventName": "peak",
    "duration": "P7D",
    "priority": 0,
    "targets": ["group-1", "group-2"],
    "reportDescriptors": [ASKED | {"targets": ["group-1"], "reportIntervals": "SUB_INTERVALS"}],
    "payloadDescriptors": [OF_EVENT],
    "intervalPeriod": LATER,
    "intervals": [INTERVAL, {"id": 1, "payloads": []}],
}
REPORT = {
    "eventID": "event-1",
    "clientName": "VEN-999",
    "reportName": "usage",
    "payloadDescriptors": [OF_REPORT],
    "resources": [{"resourceName": "heater", "intervalPeriod": LATER, "intervals": [INTERVAL]}],
}
SUBSCRIPTION = {
    "clientName": "VEN-999",
    "programID": "program-1",
    "objectOperations": [OPERATION],
    "targets": ["group-1"],
}
ATTRIBUTES = {"attributes": [{"type": "LOCATION", "values": [40.57, -73.96]}]}
VEN = {"venName": "VEN-999", **ATTRIBUTES}
RESOURCE = {"resourceName": "heater", "venID": "ven-1", **ATTRIBUTES}
GRANT = {"clientID": "client 1", "targets": ["group-1"]}
BEARER = {"method": "OAUTH2_BEARER_TOKEN", "username": "{clientID}"}
CERTIFICATE = {"method": "CERTIFICATE", "caCert": "a", "clientCert": "b", "clientKey": "c"}
BROKER = {"URIS": ["mqtts://broker.example:8883"], "serialization": "JSON", "authentication": BEARER}
TOPICS = {"CREATE": "events/create", "UPDATE": "events/update", "DELETE": "events/delete", "ALL": "events/+"}
GROUP = {"targets": [{"type": "GROUP", "values": ["north", 7]}, {"type": "TARGET", "values": ["group-1"]}]}
PROGRAM_301 = {
    "programName": "ResTOU",
    "programLongName": "Residential time of use",
    "retailerName": "ACME",
    "retailerLongName": "ACME Electric",
    "programType": "PRICING_TARIFF",
    "country": "US",
    "principalSubdivision": "CO",
    "timeZoneOffset": "PT1H",
    "intervalPeriod": {"start": "0000-00-00", "duration": "P1Y"},
    "programDescriptions": [{"URL": "https://example.org/tariff"}],
    "bindingEvents": False,
    "localPrice": True,
    "payloadDescriptors": [OF_EVENT, OF_REPORT],
    **GROUP,
}
EVENT_301 = {key: value for key, value in EVENT.items() if key != "duration"} | GROUP
EVENT_301 |= {"reportDescriptors": [ASKED | GROUP]}
RESOURCE_301 = {"resourceName": "heater", **ATTRIBUTES, **GROUP}


def stamped(kind: str, said: dict[str, Any]) -> dict[str, Any]:
    return said | STAMPS | {"id": "a-1_Z", "objectType": kind}


def told(thing: dict[str, Any], operation: str, targets: dict[str, Any]) -> dict[str, Any]:
    return {"objectType": thing["objectType"], "operation": operation, "object": thing, **targets}


EXAMPLES: dict[str, dict[str, Any]] = {
    "31": {
        "programRequest": PROGRAM,
        "program": stamped("PROGRAM", PROGRAM),
        "eventRequest": EVENT,
        "event": stamped("EVENT", EVENT),
        "reportRequest": REPORT,
        "report": stamped("REPORT", REPORT | {"clientID": "client 1"}),
        "subscriptionRequest": SUBSCRIPTION,
        "subscription": stamped("SUBSCRIPTION", SUBSCRIPTION | {"clientID": "client 1"}),
        "venRequest": VEN | GRANT | {"objectType": "BL_VEN_REQUEST"},
        "BlVenRequest": VEN | GRANT | {"objectType": "BL_VEN_REQUEST"},
        "VenVenRequest": VEN | {"objectType": "VEN_VEN_REQUEST"},
        "ven": stamped("VEN", VEN | GRANT),
        "resourceRequest": RESOURCE | {"objectType": "VEN_RESOURCE_REQUEST"},
        "BlResourceRequest": RESOURCE | GRANT | {"objectType": "BL_RESOURCE_REQUEST"},
        "VenResourceRequest": RESOURCE | {"objectType": "VEN_RESOURCE_REQUEST"},
        "resource": stamped("RESOURCE", RESOURCE | GRANT),
        "interval": INTERVAL,
        "intervalPeriod": LATER,
        "valuesMap": VALUES,
        "point": {"x": 1.0, "y": 2.0},
        "eventPayloadDescriptor": OF_EVENT,
        "reportPayloadDescriptor": OF_REPORT,
        "reportDescriptor": EVENT["reportDescriptors"][0],  # type: ignore[index]
        "notification": told(stamped("EVENT", EVENT), "UPDATE", {"targets": ["group-1"]}),
        "problem": {"type": "about:blank", "title": "a", "status": 404, "detail": "b", "instance": "urn:c"},
        "clientCredentialRequest": {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}
        | {"scope": "read_all"},
        "clientCredentialResponse": {"access_token": "a", "token_type": "Bearer", "expires_in": 3600}
        | {"refresh_token": "b", "scope": ""},
        "authError": {"error": "invalid_scope", "error_description": "a", "error_uri": "https://example.org"},
        "authServerInfo": {"tokenURL": "https://example.org/token"},
        "notifiersResponse": {"WEBHOOK": True, "MQTT": BROKER | {"authentication": CERTIFICATE}},
        "mqttNotifierBindingObject": BROKER,
        "mqttNotifierAuthenticationAnonymous": {"method": "ANONYMOUS"},
        "mqttNotifierAuthenticationOauth2BearerToken": BEARER,
        "mqttNotifierAuthenticationCertificate": CERTIFICATE,
        "notifierOperationsTopics": TOPICS,
        "notifierTopicsResponse": {"topics": TOPICS},
    },
    "301": {
        "programRequest": PROGRAM_301,
        "program": stamped("PROGRAM", PROGRAM_301),
        "eventRequest": EVENT_301,
        "event": stamped("EVENT", EVENT_301),
        "reportRequest": REPORT | {"programID": "program-1"},
        "report": stamped("REPORT", REPORT | {"programID": "program-1"}),
        "subscriptionRequest": SUBSCRIPTION | GROUP,
        "subscription": stamped("SUBSCRIPTION", SUBSCRIPTION | GROUP),
        "venRequest": VEN | GROUP | {"resources": [RESOURCE_301]},
        "ven": stamped("VEN", VEN | GROUP | {"resources": [stamped("RESOURCE", RESOURCE_301 | {"venID": "ven-1"})]}),
        "resourceRequest": RESOURCE_301,
        "resource": stamped("RESOURCE", RESOURCE_301 | {"venID": "ven-1"}),
        "interval": INTERVAL,
        "intervalPeriod": LATER,
        "reportDescriptor": ASKED | GROUP,
        "target": GROUP["targets"][0],
        "notification": told(stamped("EVENT", EVENT_301), "PUT", GROUP),
    },
}
EACH = [(version, schema) for version, kinds in KINDS.items() for schema in kinds]
LENIENT = {"program", "event", "report", "subscription", "ven", "resource", "notification", "notifiersResponse"}
LENIENT |= {one for one in KINDS["31"] if one.startswith("mqtt")} | {"clientCredentialResponse"}
LENIENT |= {"eventPayloadDescriptor", "reportPayloadDescriptor", "BlVenRequest", "VenVenRequest"}
LENIENT |= {"BlResourceRequest", "VenResourceRequest"}
"""Answers, where what has one value may be missing; and parts whose objectType is demanded where one is chosen."""
