"""The headers of a notification: what it is, and that it is ours (https://www.standardwebhooks.com, version 1)."""

import base64
import hashlib
import hmac
import re
from datetime import datetime

from tieline import __version__
from tieline.base.errors import Refused

AGENT = f"Tieline/{__version__}"
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


def check_token(bearer: str) -> None:
    """Raises `Refused` for a bearer token that no header can carry."""
    if not _TOKEN.fullmatch(bearer):
        raise Refused("a bearerToken must be 1 to 4096 visible ASCII characters, without spaces: RFC 6750 section 2.1")


def authorization(bearer: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {bearer}"} if bearer else {}


def headers(delivery_id: str, body: bytes, bearer: str | None, now: datetime) -> dict[str, str]:
    """Of one attempt. The key of the signature is the subscription's bearer token, as UTF-8."""
    stamp = str(int(now.timestamp()))
    told = {"Content-Type": "application/json", "webhook-id": delivery_id, "webhook-timestamp": stamp}
    if bearer:
        told["webhook-signature"] = signature(delivery_id, stamp, body, bearer)
    return told | authorization(bearer)


def signature(delivery_id: str, stamp: str, body: bytes, bearer: str) -> str:
    signed = b".".join((delivery_id.encode(), stamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(bearer.encode(), signed, hashlib.sha256)).decode()
