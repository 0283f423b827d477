"""TLS of whoever connects to a broker: whom it trusts, and which certificate it shows, out of PEM text."""

import ssl
import tempfile
from pathlib import Path

from tieline.base.errors import Refused


def context(trusted: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """Trusts that authority and no other, and shows the certificate where there is one. Raises `Refused`."""
    try:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.load_verify_locations(cadata=trusted)
        if certificate:
            _show(made, certificate, key)
    except (ssl.SSLError, ValueError) as error:
        raise Refused(f"no TLS with these certificates: {error}") from None
    return made


def _show(made: ssl.SSLContext, certificate: str, key: str) -> None:
    """By a file that lives a moment and is its owner's only: ssl reads keys from nowhere else."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_text(f"{certificate}\n{key}\n", encoding="ascii")
        made.load_cert_chain(pair, password="")  # a key that wants one is refused: nobody is asked
