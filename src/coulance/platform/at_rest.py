"""Secrets that must be kept in the database so that they can be used again: encrypted with a key of this instance.

A dump of the database alone tells none of them. The key is the secret `webhook_key`: COULANCE_WEBHOOK_KEY, or the file
in the instance's secrets, made when it is first wanted.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken

from coulance.platform import instance, secret_store
from coulance.platform.layout import make_private

KEY = "webhook_key"


class UnableToUnsealError(RuntimeError):
    """What is kept was encrypted with another key, or is damaged."""


def _key() -> str:
    if (kept := secret_store.secret(KEY)) is None:
        here = instance.current()
        if not here.secrets_dir.is_dir():
            make_private(here.secrets_dir)
        here.make_secret(KEY)
        kept = here.secret(KEY)
    return kept or ""


def _cipher() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"coulance.at_rest/1:" + _key().encode()).digest()))


def seal(value: str) -> bytes:
    """The value, encrypted and authenticated."""
    return _cipher().encrypt(value.encode())


def unseal(kept: bytes) -> str:
    """The value that was sealed. Raises `UnableToUnsealError`."""
    try:
        return _cipher().decrypt(bytes(kept)).decode()
    except InvalidToken:
        raise UnableToUnsealError(
            f"a secret in the database can't be read: it was encrypted with another {KEY}; bring that file back from "
            "the instance's secrets, or give the endpoint a new secret (coulance webhook rotate)"
        ) from None
