"""How a VTN offers its notifications: what /notifiers and /notifiers/mqtt/topics/… answer."""

from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

from tieline.wires.openadr31.scalars import Uri


class MqttAnonymous(Struct, frozen=True, tag_field="method", tag="ANONYMOUS"):
    """The broker asks for nothing."""


class MqttBearerToken(Struct, frozen=True, tag_field="method", tag="OAUTH2_BEARER_TOKEN"):
    """The password is the client's token; `username` a literal, or "{clientID}" for the client's own id."""

    username: str


class MqttCertificate(Struct, frozen=True, tag_field="method", tag="CERTIFICATE", rename="camel"):
    """The client shows a certificate; all three are PEM."""

    ca_cert: str
    client_cert: str
    client_key: str


MqttAuthentication: TypeAlias = MqttAnonymous | MqttBearerToken | MqttCertificate


class MqttNotifier(Struct, frozen=True, kw_only=True):
    uris: tuple[Uri, ...] = field(name="URIS")
    serialization: Literal["JSON"] = "JSON"
    authentication: MqttAuthentication


class NotifiersResponse(Struct, frozen=True, rename="upper"):
    webhook: bool = True
    mqtt: MqttNotifier | UnsetType = UNSET


class NotifierTopics(Struct, frozen=True, kw_only=True, rename="upper"):
    """A topic for each operation; an object that already has an id has none for its creation."""

    create: str | UnsetType = UNSET
    update: str
    delete: str
    all: str | UnsetType = UNSET


class NotifierTopicsResponse(Struct, frozen=True):
    topics: NotifierTopics
