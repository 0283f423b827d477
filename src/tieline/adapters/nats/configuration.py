"""What nats-server is told: its configuration, and the secrets that stand in it."""

import os
import secrets
from pathlib import Path
from typing import Any

import msgspec
import nkeys  # type: ignore[import-untyped]

from tieline.ports import STREAMS

USER = "tieline"
SYSTEM_USER = "tieline-system"
ACCOUNT = "TIELINE"
MAX_PAYLOAD = 4 << 20
_MAX_BUFFERED = 1_000_000  # past it the server closes QoS 1 publishers and silently drops QoS 0
_MAX_BUFFERED_BYTES = 512 << 20
_LOG_BYTES = 8 << 20
# The sum of what the streams may hold must fit, or the server refuses to make them; MQTT's own streams come on top.
_MAX_STORE = 4 * sum(stream.max_bytes for stream in STREAMS)
_AUTH_TIMEOUT_S = 15  # how long a device waits for the callout, when a whole fleet connects at once
_TLS_TIMEOUT_S = 15  # and for its handshake


class Tls(msgspec.Struct, frozen=True):
    """What the MQTT door speaks TLS with, all PEM: its certificate, the key of that, and the authorities whose client
    certificates it takes. With `verify` it takes nobody without one."""

    certificate: str
    key: str
    authorities: str
    verify: bool

    def __repr__(self) -> str:
        return f"Tls(verify={self.verify})"


class Secrets(msgspec.Struct, frozen=True):
    """The passwords of `USER` and `SYSTEM_USER`, and the seed of the account that signs what devices may do."""

    password: str
    system_password: str
    issuer_seed: str

    def __repr__(self) -> str:
        return "Secrets()"


def configuration(
    folder: Path,
    *,
    port: int,
    mqtt_host: str,
    mqtt_port: int,
    known: Secrets,
    sync_interval: str = "2m",
    name: str = "tieline",
) -> dict[str, Any]:
    """The configuration of one server that keeps all its files in `folder`. Its client port is on loopback only.

    `sync_interval`: "always", or how often the store is synced to disk ("2m"): a power cut may cost what came since.
    """
    return {
        "server_name": name,
        "host": "127.0.0.1",
        "port": port,
        "max_payload": MAX_PAYLOAD,
        "pid_file": str(folder / "nats-server.pid"),
        "log_file": str(folder / "nats-server.log"),
        "logfile_size_limit": _LOG_BYTES,
        "logfile_max_num": 2,
        "jetstream": {
            "store_dir": str(folder / "store"),
            "max_file_store": _MAX_STORE,
            "max_buffered_msgs": _MAX_BUFFERED,
            "max_buffered_size": _MAX_BUFFERED_BYTES,
            "sync_interval": sync_interval,
        },
        "mqtt": {"host": mqtt_host, "port": mqtt_port},
        **_accounts(known),
    }


def keep_tls(folder: Path, tls: Tls) -> dict[str, Any]:
    """The `tls` of the MQTT door's configuration, whose files are written to the folder."""
    files = {"cert_file": tls.certificate, "key_file": tls.key, "ca_file": tls.authorities}
    paths = {name: folder / f"mqtt-{name.removesuffix('_file')}.pem" for name in files}
    for name, text in files.items():
        write_private(paths[name], text)
    places = {name: str(path) for name, path in paths.items()}
    return {**places, "verify": tls.verify, "min_version": "1.2", "timeout": _TLS_TIMEOUT_S}


def _accounts(told: Secrets) -> dict[str, Any]:
    """The platform's own users by their passwords, of which the second one lists and closes connections; every other
    is asked about (the auth callout)."""
    return {
        "accounts": {
            ACCOUNT: {"jetstream": "enabled", "users": [{"user": USER, "password": told.password}]},
            "SYS": {"users": [{"user": SYSTEM_USER, "password": told.system_password}]},
        },
        "system_account": "SYS",
        "authorization": {
            "timeout": _AUTH_TIMEOUT_S,
            "auth_callout": {"issuer": issuer(told.issuer_seed), "auth_users": [USER, SYSTEM_USER], "account": ACCOUNT},
        },
    }


def new_password() -> str:
    return secrets.token_urlsafe(32)


def new_issuer_seed() -> str:
    seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_ACCOUNT)
    return seed.decode()


def issuer(seed: str) -> str:
    """The public key of an account seed."""
    key: bytes = nkeys.from_seed(seed.encode()).public_key
    return key.decode()


def write_private(path: Path, text: str) -> None:
    """Replaces the file whole, readable by its owner only."""
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
