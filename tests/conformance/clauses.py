"""What is proven here: each clause by its name, where it stands, what it says, and the words that find it there.

A test names the clauses it proves: `@pytest.mark.clause("lists: limit and skip")`. A clause that no test of a running
VTN can prove says who does instead, or why nobody does. Every sentence of the Definition with SHALL or MUST is in one:
`tests/house/test_conformance.py` looks.
"""

from typing import NamedTuple

DEFINITION, GUIDE, SPECIFICATION = "3.1.0 Definition", "3.1.0 User Guide", "openadr3.yaml, 3.1.0 and 3.0.1"
TIELINE = "Tieline's own"
"""What no document of OpenADR asks for, and this platform promises all the same."""


class Clause(NamedTuple):
    """`words` are how the sentence begins, for each that it says; `instead` is why no test here proves it."""

    document: str
    section: str
    says: str
    words: tuple[str, ...] = ()
    instead: str = ""


def _said(section: str, says: str, *words: str, instead: str = "") -> Clause:
    return Clause(DEFINITION, section, says, words, instead)


def _ours(section: str, says: str) -> Clause:
    return Clause(TIELINE, section, says)


CLAUSES: dict[str, Clause] = {
    # --- the specification as a whole
    "specification: every operation": Clause(
        SPECIFICATION,
        "all operations",
        "Every operation answers as its schema says, refuses what its schema refuses, and asks for a token.",
    ),
    # --- objects
    "objects: metadata": _said(
        "Object Metadata",
        "A VTN stamps id, createdDateTime, modificationDateTime and objectType on creation.",
        "A VTN SHALL populate object representations",
    ),
    "objects: stamps ignored": _said(
        "POST and PUT", "These values in a request are ignored.", "A VTN SHALL ignore objectID"
    ),
    "objects: full update": _said(
        "Required and optional properties", "An optional property that a request leaves out has its default."
    ),
    "objects: references": Clause(
        GUIDE, "8.9 (a program before its events)", "A reference to an object that does not exist is a conflict."
    ),
    "objects: deletion": _ours("objects", "With a program go its events, with a ven its resources."),
    "bodies: required properties": _said(
        "Required and optional properties; Message validation",
        "Without a required property a request is 400; nothing is created or changed.",
        "a VTN SHALL return a 400",
        "A VTN SHALL reject request bodies",
    ),
    "bodies: unknown content ignored": _said(
        "Required and optional properties", "A property that the schema does not have is ignored."
    ),
    "bodies: private strings": _said("Enumerations", "Words of one's own are legal wherever a word is enumerated."),
    "bodies: null": _ours("bodies", "A null counts as left out, as clients of other makers mean it."),
    "statuses": _said(
        "Response Codes and Errors",
        "200, 201, 400, 403, 404 and 409 as listed; 40x with a problem.",
        "A VTN SHALL support the following standard codes",
        "a VTN SHALL respond with a *problem*",
    ),
    "names: unique": _said(
        "Object names", "programName and venName are unique in the VTN, resourceName at its ven; others need not be."
    ),
    # --- reading
    "lists: limit and skip": _said(
        "Response Filtering", "limit (0 to 50) and skip page every list.", "VTN SHALL support limit and skip"
    ),
    "lists: filters add up": _said(
        "Response Filtering", "Results match every filter.", "VTN SHALL treat filtering params as additive"
    ),
    "lists: targets": _said("Response Filtering", "An object is found that carries every target asked for."),
    "lists: active and dates": Clause(
        SPECIFICATION,
        "GET /events",
        "active leaves out what has transpired; dateStart and dateEnd bound the events' time.",
    ),
    "lists: unknown parameters": _ours("lists", "Parameters that a list does not know are ignored."),
    "reads: ETag": _ours("lists", "Every GET has an ETag, and answers 304 to who holds the same."),
    "reads: compression": _said("Compression", "gzip where the client takes it; optional."),
    # --- privacy
    "privacy: client of an object": _said(
        "VEN created object privacy",
        "The VTN writes the client's id into the VENs, subscriptions and reports that a VEN makes.",
        "the VTN SHALL discover a VEN's client identifier",
    ),
    "privacy: own objects only": _said(
        "VEN created object privacy",
        "A VEN reads, changes and deletes vens, resources, subscriptions and reports of its own only.",
        "the VTN SHALL discover the client identifier associated with the requestor's",
    ),
    "privacy: business logic reads all": _said("Object Privacy", "Business logic reads all objects."),
    "privacy: reading programs and events": _said(
        "program and event objects - targeting",
        "A program or event with targets is shown to a VEN whose ven objects and resources were granted them.",
        "a VTN SHALL",
    ),
    "privacy: targets hidden": _said("Target hiding", "A VEN sees of an object's targets only those that are its own."),
    "privacy: only business logic grants": _said(
        "Additional requirements to support targeting",
        "Only business logic writes targets to ven and resource objects.",
    ),
    "privacy: notifications": _said(
        "program and event objects - targeting",
        "Whether a subscriber is notified is decided by its client's grants, as reading is.",
        "the VTN SHALL use the clientID of",
    ),
    # --- events
    "events: cancelled": Clause(
        GUIDE, "7.9 Event Cancellation", "An event given a window without duration, or deleted, is cancelled."
    ),
    "events: changed while they run": Clause(GUIDE, "7.3, 7.9", "An event may be changed after it began."),
    "events: timing": Clause(
        GUIDE,
        "7.1, 7.3, 7.4",
        "Intervals inherit their period, loop, are cut, shifted and divided by their values.",
        instead="Of the VEN that reads them: tests/unit/test_timeline.py",
    ),
    "bridging": _ours("events", "An event of /v1 is an OpenADR event, and the other way round."),
    # --- webhooks
    "webhooks: notification": _said(
        "Subscriptions",
        "A callback URL is called when an operation on an object meets a subscription, with the object.",
        "A VTN SHALL make a request to the callback URL",
    ),
    "webhooks: told at least once": _ours("webhooks", "After a crash every change is told, once at least."),
    "webhooks: older dialect": _ours("webhooks", "A subscription of 3.0.1 is told in its words."),
    "webhooks: HTTPS": _said(
        "Webhooks",
        "A callback URL is https, on POST and on PUT.",
        "The VTN MUST validate that an HTTPS schema is used",
    ),
    "webhooks: private addresses": _said("Webhooks, guidelines", "No callback to private and reserved addresses."),
    "webhooks: challenge": _said(
        "Webhooks",
        "A callback URL that does not answer a random word (`echo`) makes no subscription.",
        "The VTN MUST verify the webhook callback URL",
    ),
    "webhooks: redirects, back-off, broken endpoints": _said(
        "Webhooks, guidelines",
        "Redirects are not followed; deliveries are tried again ever later; an endpoint that fails is left alone.",
        instead="tests/integration/test_webhook_sender.py, tests/integration/test_webhook_failures.py",
    ),
    # --- MQTT
    "mqtt: notifiers": _said(
        "notifiersResponse",
        "WEBHOOK is true; MQTT names the broker and how to show who one is.",
        "Currently MUST be true",
    ),
    "mqtt: topics": _said(
        "Notifications via Additional Protocols", "The names of topics are told to who may hear what they tell."
    ),
    "mqtt: token as password": _said(
        "MQTT Notifier Binding Authentication Enumerations", "OAUTH2_BEARER_TOKEN: the token is the password."
    ),
    "mqtt: anonymous": _said(
        "MQTT Notifier Binding Authentication Enumerations", "ANONYMOUS: who shows nothing hears what has no targets."
    ),
    "mqtt: certificate": _said(
        "MQTT Notifier Binding Authentication Enumerations",
        "CERTIFICATE: a client certificate that /notifiers gives.",
        instead="tests/contract/test_mqtt_tls.py, tests/integration/test_notifier_doors.py",
    ),
    "mqtt: 3.1.1": _said(
        "MQTT", "Broker and clients speak MQTT 3.1.1 or later.", "MQTT brokers and clients **MUST** support MQTT"
    ),
    "mqtt: 5.0": _said(
        "MQTT",
        "Broker and clients should speak MQTT 5.0.",
        instead="Not so: NATS, the broker, speaks 3.1.1 only. It is a SHOULD",
    ),
    "mqtt: access enforced": _said(
        "MQTT", "The broker itself keeps each client to its topics.", "A VTN **MUST** configure, and enforce"
    ),
    "mqtt: TLS": _said(
        "MQTT",
        "Clients use MQTT over TLS.",
        "MQTT clients **MUST** use MQTT over TLS",
        instead="Of the client, and of the setting mqtt_tls: tests/contract/test_mqtt_tls.py, "
        "tests/integration/test_ven_agent_tls.py",
    ),
    # --- security
    "security: token endpoint": _said(
        "Token endpoint discovery; OAuth 2.0 client credential flow",
        "/auth/server names the token endpoint; a client's id and secret buy a token there (RFC 6749).",
        "VTNs MUST still implement at least `/auth/server`",
    ),
    "security: tokens verified": _said(
        "OAuth 2.0 client credential flow", "A token that is invalid or expired is answered 401."
    ),
    "security: scopes": _said(
        "OpenAPI Specification; Step 4", "An operation asks for the scopes that its specification lists; else 403."
    ),
    "security: non-authenticating": _said(
        "Non-Authenticating VTNs", "A VTN may answer who has no token, where the setting says so."
    ),
    "security: HTTPS": _said(
        "HTTPS/TLS",
        "A VTN is reached by HTTPS, with TLS 1.2 or later.",
        "A VTN or VEN **MUST**  use",
        "The TLS version used **MUST** be",
        instead="Of the deployment: TLS ends at a proxy before the platform. Beyond loopback the embedded issuer does "
        "not start until it is told that one stands there (tests/integration/test_identity_part.py)",
    ),
    # --- VENs
    "vens: configuration": _said(
        "VEN enrollment",
        "A VEN's URL, client id and secret are its user's to set.",
        "A VEN **MUST** support end-user configuration",
        "but **MUST** support end-user reconfiguration",
        instead="Of the VEN: `tieline ven run --vtn … --client-id …`, tests/integration/test_ven_agent_process.py",
    ),
    "vens: discovery": _said(
        "Discovery and Configuration of Local VTNs",
        "A local VTN should announce _openadr3._tcp, a VEN should look for it.",
        instead="tests/integration/test_ven_agent_discovery.py",
    ),
    "vens: webhooks": _said(
        "Webhooks",
        "A VEN uses HTTPS for its callback and answers the challenge.",
        "it MUST respond with 200 OK",
        "The VEN client MUST use HTTPS",
        instead="Of the VEN: tests/unit/test_ven_openadr_callbacks.py, tests/integration/test_ven_agent_tls.py",
    ),
    # --- whatever comes
    "bodies: malformed": _ours("bad input", "A body that is no message is refused with a reason, never with 5xx."),
    "bodies: media type": _ours("bad input", "A body that is not JSON in UTF-8, or is packed, is refused."),
    "requests: paths": _ours("bad input", "Paths and requests that are none lead nowhere and break nothing."),
    "requests: queries": _ours("bad input", "Queries that cannot be are 400, those that say nothing are ignored."),
    "requests: methods": _ours("bad input", "Another method is 405, with those that there are."),
    "requests: slow bodies": _ours("bad input", "Who sends slowly or hangs up holds nobody up and leaves nothing."),
    "requests: validators": _ours("bad input", "An If-None-Match that is none is as good as none."),
    "writes: durable once answered": _ours(
        "crash", "What was answered is there after kill -9, and nothing nobody sent."
    ),
    # --- clients of other makers
    "clients: python-oa3-client": _ours("clients", "python-oa3-client 0.5 with openadr3 0.5, from the Python index."),
    "clients: openadr3-client": _ours("clients", "openadr3-client 2.4 (ElaadNL), from the Python index."),
    "clients: parallel runs": _ours("clients", "Two suites at once on an empty platform do not notice each other."),
}
