"""Sealing: a private key as it is kept, which only a passphrase opens (scrypt, RFC 7914, and AES-256-GCM).

salt 16 │ nonce 12 │ what was sealed, bound to the certificate that it belongs to │ tag 16
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from tieline.base.errors import Refused

_SALT, _NONCE = 16, 12
_COST, _BLOCKS, _LANES = 2**15, 8, 3  # 32 MiB and a third of a second, once a start


def sealed(secret: bytes, passphrase: str, bound_to: bytes) -> bytes:
    """Takes a while: call it in a thread."""
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    return salt + nonce + _cipher(passphrase, salt).encrypt(nonce, secret, bound_to)


def unsealed(kept: bytes, passphrase: str, bound_to: bytes) -> bytes:
    """Raises `Refused` for another passphrase than it was sealed with. Takes a while: call it in a thread."""
    salt, nonce, rest = kept[:_SALT], kept[_SALT : _SALT + _NONCE], kept[_SALT + _NONCE :]
    try:
        return _cipher(passphrase, salt).decrypt(nonce, rest, bound_to)
    except InvalidTag:
        raise Refused(
            "the key of the certificate authority does not open: set TIELINE_CA_KEY to what it was made with, bring "
            "back the file ca.key of its data folder, or make another authority (`tieline ca init --replace`)"
        ) from None


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=32, n=_COST, r=_BLOCKS, p=_LANES).derive(passphrase.encode()))


def kept_passphrase(path: Path) -> str:
    """A random one in a file that only its owner can read, made where there is none by whichever process is first.

    Raises `Refused` when others can read it too.
    """
    if not path.exists():
        _keep_new(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Refused(f"others than its owner may use {path}: chmod 600 it")
    return path.read_text(encoding="ascii").strip()


def _keep_new(path: Path) -> None:
    """Unless another is quicker. A file that is there is whole, though whoever made it was killed meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(fresh)
    fresh.unlink()
