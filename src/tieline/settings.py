"""Every setting of Tieline, in one class: from the environment (TIELINE_…), else from one TOML file, else its default.

The file is the one that TIELINE_CONFIG names, or `tieline.toml` in the current folder where there is one. A name that
is not a setting is an error, in either place: a misspelt setting must not be a silent default.
"""

import ipaddress
import os
import tomllib
import zoneinfo
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tieline.base.errors import Refused
from tieline.base.time import instant

PREFIX = "TIELINE_"
CONFIG = "TIELINE_CONFIG"
ELSEWHERE = {CONFIG, "TIELINE_URL", "TIELINE_VEN_SECRET", "TIELINE_CLAIM"}
"""Names that are read before or beside the settings: where the file is, and which platform the commands talk to."""

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]


def _is(description: str) -> Meta:
    return Meta(description=description)


def _secret(description: str) -> Meta:
    return Meta(description=description, extra={"secret": True})


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings with their meaning; `docs/reference/settings.md` is made from this class."""

    data: Annotated[str, _is("Folder of everything the embedded parts keep")] = ".tieline"

    http_host: Annotated[str, _is("Address the HTTP door listens on; beyond loopback it wants api_token")] = "127.0.0.1"
    http_port: Annotated[Port, _is("Port of the HTTP door; 0 is any free one")] = 8400
    public_url: Annotated[
        str, _is("How others reach the HTTP door (https://vtn.example.org) where a proxy stands before it")
    ] = ""
    mdns: Annotated[bool, _is("Announce the OpenADR doors on the local network (_openadr3._tcp)")] = False
    api_token: Annotated[str, _secret("Bearer token that /v1 asks for; none is needed on loopback")] = ""
    mqtt_host: Annotated[str, _is("Address the MQTT door listens on")] = "127.0.0.1"
    mqtt_port: Annotated[Port, _is("Port of the MQTT door; the next free one is taken when it is in use")] = 1883
    mqtt_auth: Annotated[
        Literal["token", "certificate", "anonymous"],
        _is(
            "How who connects by MQTT shows who it is: token (devices their secret, clients their token), certificate "
            "(needs mqtt_tls), anonymous (as token; others hear what has no targets; only in development)"
        ),
    ] = "token"
    mqtt_tls: Annotated[bool, _is("The MQTT door speaks TLS, and nothing else")] = False
    mqtt_names: Annotated[
        str, _is("Names and addresses by which devices reach the MQTT door, comma between: its certificate names them")
    ] = ""
    mqtt_cert: Annotated[str, _is("PEM file of the MQTT door's certificate; empty: one of the built-in authority")] = ""
    mqtt_key: Annotated[str, _is("PEM file of its key")] = ""
    mqtt_ca: Annotated[
        str, _is("PEM file of the authority that signed it, and whose client certificates are taken too")
    ] = ""
    ca_key: Annotated[
        str, _secret("What the key of the built-in authority is sealed with; empty: the file ca.key of the data folder")
    ] = ""
    certificate_hours: Annotated[
        int, Meta(ge=1, le=8760), _is("How long a client certificate of the built-in authority is valid")
    ] = 24
    device_certificate_days: Annotated[
        int,
        Meta(ge=1, le=825),
        _is("How long the certificate of a device that enrolled is valid: cut off for longer, it needs a new claim"),
    ] = 45

    development: Annotated[
        bool, _is("Not for real clients: private addresses for webhooks, plain HTTP to oidc_issuer, anonymous reading")
    ] = False
    anonymous_reads: Annotated[
        bool, _is("OpenADR programs and events without targets are shown to everybody; only in development")
    ] = False
    issuer_public: Annotated[
        bool, _is("The embedded issuer of tokens may run beyond loopback: only with TLS before it")
    ] = False
    token_minutes: Annotated[int, Meta(ge=1, le=1440), _is("How long a token of the embedded issuer is valid")] = 60
    token_algorithm: Annotated[Literal["ES256", "RS256"], _is("What the embedded issuer signs with")] = "ES256"  # noqa: S105
    token_key_days: Annotated[int, Meta(ge=1, le=3650), _is("A key that signs tokens is replaced after so long")] = 90
    oidc_issuer: Annotated[
        str, _is("Another issuer of tokens (Keycloak, Auth0, Cognito…), exactly as its tokens say; empty: the embedded")
    ] = ""
    oidc_audience: Annotated[str, _is("Audiences of oidc_issuer's tokens that are for us, comma between")] = ""
    oidc_algorithms: Annotated[str, _is("What oidc_issuer may sign with, comma between")] = "ES256,RS256"
    oidc_role_claim: Annotated[
        str, _is("Claim that tells BL or VEN, dots into nested ones (realm_access.roles); empty: scopes tell")
    ] = ""
    oidc_bl_values: Annotated[str, _is("Values of oidc_role_claim that mean business logic, comma between")] = "BL"
    oidc_ven_values: Annotated[str, _is("Values of oidc_role_claim that mean a VEN, comma between")] = "VEN"
    oidc_client_claim: Annotated[str, _is("Claim that names the client; empty: client_id, else azp, else sub")] = ""
    oidc_scope_prefix: Annotated[str, _is("What oidc_issuer writes before our scopes (vtn/ of vtn/read_all)")] = ""
    oidc_token_use: Annotated[
        str, _is("What the claim token_use must be (Cognito: access); such tokens need not name an audience")
    ] = ""

    nats_server: Annotated[str, _is("nats-server binary; empty: the one that comes as a Python package")] = ""
    nats_urls: Annotated[str, _is("NATS servers, comma between; empty: a server of our own")] = ""
    nats_user: Annotated[str, _is("User on nats_urls")] = ""
    nats_password: Annotated[str, _secret("Password on nats_urls")] = ""
    nats_system_user: Annotated[
        str, _is("User of the system account on nats_urls; empty: who is revoked stays connected until it leaves")
    ] = ""
    nats_system_password: Annotated[str, _secret("Its password")] = ""
    nats_issuer_seed: Annotated[str, _secret("Account seed that signs device permissions on nats_urls")] = ""
    log_replicas: Annotated[int, Meta(ge=1, le=5), _is("Copies of each stream on a NATS cluster")] = 1
    log_sync: Annotated[
        str, _is("How often our own server syncs to disk: always (a power cut loses nothing) or a time such as 2m")
    ] = "2m"

    rows_url: Annotated[str, _secret("postgresql://… of Rows; empty: SQLite in the data folder")] = ""
    objects: Annotated[str, _is("s3://bucket/prefix of Series and Blobs; empty: the data folder")] = ""
    s3_endpoint: Annotated[str, _is("Endpoint of an S3-compatible store that is not AWS")] = ""
    s3_region: Annotated[str, _is("Region of the bucket")] = "us-east-1"
    s3_key_id: Annotated[str, _is("Access key id; empty: from the environment the AWS way")] = ""
    s3_secret: Annotated[str, _secret("Secret access key")] = ""

    clock_speed: Annotated[
        float, Meta(gt=0, le=3600), _is("Clock seconds per second: above 1 the platform keeps simulated time")
    ] = 1.0
    clock_start_at: Annotated[datetime | None, _is("Instant at which a simulated clock first starts")] = None

    zone: Annotated[str, _is("IANA time zone that the people of this platform live in; pages show it")] = "UTC"

    series_seal_seconds: Annotated[Seconds, _is("How often the newest readings are sealed into Series")] = 30.0
    series_memory_mb: Annotated[int, Meta(ge=64), _is("Memory that a query of Series may use")] = 256

    reading_ahead_s: Annotated[Seconds, _is("A stamp further ahead of the clock is flagged")] = 10.0
    reading_future_s: Annotated[Seconds, _is("A stamp further ahead of the clock is refused")] = 120.0
    reading_late_s: Annotated[Seconds, _is("A reading that arrives later than this is flagged")] = 900.0
    reading_stale_s: Annotated[Seconds, _is("A reading older than this is refused")] = 45 * 86400.0

    flood_per_s: Annotated[
        float, Meta(gt=0), _is("Messages a second that a device may send in the long run, of real time")
    ] = 50.0
    flood_burst: Annotated[
        int, Meta(ge=100), _is("Messages that it may send at once, as after a long time without a connection")
    ] = 20_000
    flood_pause_s: Annotated[Seconds, _is("One that sends more is disconnected, and refused for so long")] = 60.0

    online_s: Annotated[
        Seconds, _is("A VEN whose readings are older is not called; one that says no Presence is not online either")
    ] = 300.0
    presence_gone_s: Annotated[
        Seconds, _is("So long after its last will a VEN that was not heard again is offline")
    ] = 30.0
    lead_s: Annotated[Seconds, _is("VENs are chosen and told so long before an event's start")] = 60.0
    ack_s: Annotated[Seconds, _is("An answer later than this is called late; who gave none is not called for more")] = (
        60.0
    )
    resend_s: Annotated[
        Seconds, _is("A command without an answer is said again after this, and no longer counts: others are called")
    ] = 30.0
    escalate_s: Annotated[Seconds, _is("A restore without an answer for so long is escalated")] = 900.0
    look_s: Annotated[Seconds, _is("What an event's loads give up is compared with its target so often")] = 60.0
    meter_s: Annotated[
        Seconds, _is("An accepted load counts as promised for so long, until its readings show what it does")
    ] = 120.0
    tolerance: Annotated[
        float, Meta(ge=0, le=1), _is("A difference from the target, as a share of it, that is left alone")
    ] = 0.01
    forecast_hour: Annotated[
        int, Meta(ge=0, le=23), _is("Hour, by the clock of zone, at which the next day is forecast")
    ] = 9
    forecast_every_s: Annotated[
        int, Meta(ge=900, le=21_600), _is("The next six hours are forecast so often, in seconds of the clock")
    ] = 3600
    settle_delay_s: Annotated[Seconds, _is("An event is settled so long after its end")] = 120.0

    log_level: Annotated[Literal["debug", "info", "warning", "error"], _is("Least level that is logged")] = "info"
    log_format: Annotated[Literal["plain", "json"], _is("How log lines look")] = "plain"

    def __post_init__(self) -> None:
        if not self.loopback and not self.api_token:
            raise Refused(
                f"http_host {self.http_host} is reachable from other machines: set TIELINE_API_TOKEN, "
                "or listen on 127.0.0.1"
            )
        try:
            zoneinfo.ZoneInfo(self.zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise Refused(f"zone {self.zone!r} is not an IANA time zone, such as Australia/Brisbane") from None
        if self.clock_start_at is not None:
            instant(self.clock_start_at)
        if self.nats_urls and not (self.nats_password and self.nats_issuer_seed):
            raise Refused("nats_urls needs nats_user, nats_password and nats_issuer_seed")
        self._check_mqtt()

    def _check_mqtt(self) -> None:
        if self.mqtt_auth == "certificate" and not self.mqtt_tls:
            raise Refused("mqtt_auth certificate needs TIELINE_MQTT_TLS=true: certificates are shown over TLS")
        if self.mqtt_auth == "certificate" and self.oidc_issuer:
            raise Refused("mqtt_auth certificate knows the clients of the embedded issuer only: unset oidc_issuer")
        if self.mqtt_auth == "anonymous" and not self.development:
            raise Refused("mqtt_auth anonymous tells everybody what has no targets: it needs TIELINE_DEVELOPMENT=true")
        files = [self.mqtt_cert, self.mqtt_key, self.mqtt_ca]
        if any(files[:2]) and not all(files):
            raise Refused("a certificate of your own needs all three: mqtt_cert, mqtt_key and mqtt_ca")
        if self.mqtt_tls and self.nats_urls and not self.mqtt_ca:
            raise Refused("mqtt_tls on nats_urls needs mqtt_ca: the authority of those servers' certificates")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the HTTP door."""
        try:
            return ipaddress.ip_address(self.http_host).is_loopback
        except ValueError:
            return self.http_host == "localhost"

    @property
    def url(self) -> str:
        """Where this machine reaches the HTTP door."""
        host = "127.0.0.1" if self.http_host in ("0.0.0.0", "::") else self.http_host  # noqa: S104  compared with
        return f"http://{host}:{self.http_port}"

    @property
    def folder(self) -> Path:
        return Path(self.data).expanduser().resolve()


class Sourced(msgspec.Struct, frozen=True):
    """A setting as `tieline config` shows it."""

    name: str
    value: str
    source: str
    description: str


def load(environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """The settings; `given` ones (of the command line) come before all. Raises `Refused` with what is wrong where."""
    found, _ = _gather(os.environ if environment is None else environment, given)
    try:
        return msgspec.convert(found, Settings, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        name = where.rstrip("`")
        given_as = f": {found[name]!r}" if name in found and name not in secrets() else ""
        raise Refused(f"setting {name} ({PREFIX}{name.upper()}){given_as}: {what}") from None


def show(environment: Mapping[str, str] | None = None) -> list[Sourced]:
    """Every setting with its value and where it comes from; secrets only as set or not."""
    env = os.environ if environment is None else environment
    settings = load(env)
    _, sources = _gather(env, {})
    shown = []
    for field in msgspec.structs.fields(Settings):
        value = getattr(settings, field.name)
        text = ("set" if value else "not set") if is_secret(field.type) else str(value if value is not None else "")
        shown.append(Sourced(field.name, text, sources.get(field.name, "default"), describe(field.type)))
    return shown


def secrets() -> set[str]:
    """The names whose values are never shown."""
    return {field.name for field in msgspec.structs.fields(Settings) if is_secret(field.type)}


def describe(annotated: Any) -> str:
    return next(str(meta.description) for meta in annotated.__metadata__ if meta.description)


def is_secret(annotated: Any) -> bool:
    return any((meta.extra or {}).get("secret") for meta in annotated.__metadata__)


def _gather(environment: Mapping[str, str], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    names = {field.name for field in msgspec.structs.fields(Settings)}
    path = Path(environment.get(CONFIG, "tieline.toml"))
    layers = [
        (str(path), _read_file(path, required=CONFIG in environment)),
        ("environment", {k.removeprefix(PREFIX).lower(): v for k, v in environment.items() if _ours(k)}),
        ("command line", {k: v for k, v in given.items() if v is not None}),
    ]
    found: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in layers:
        if unknown := sorted(set(layer) - names):
            raise Refused(f"{source}: {', '.join(unknown)} is no setting; `tieline config` lists them all")
        found |= layer
        sources |= dict.fromkeys(layer, source)
    return found, sources


def _ours(name: str) -> bool:
    return name.startswith(PREFIX) and name not in ELSEWHERE


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists() and not required:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refused(f"{path}: {error}") from None
