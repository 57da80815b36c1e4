"""A repository of restic's whose key is quick to derive. restic takes half a second of scrypt for each of its calls.

The key file as https://restic.readthedocs.io/en/stable/100_references.html describes it ("Keys, Encryption and MAC"):
scrypt gives 32 bytes for AES-256 in counter mode and 2 x 16 for Poly1305-AES; the file holds nonce, text and code.
"""

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from cryptography.hazmat.primitives.poly1305 import Poly1305


def make_repository(where: Path, password: str) -> None:
    """A new repository by restic itself, its key sealed again with scrypt's N = 16."""
    environment = {"RESTIC_PASSWORD": password, "PATH": os.environ["PATH"]}
    subprocess.run(["restic", "-r", where, "--no-cache", "init", "-q"], env=environment, check=True)
    (path,) = (where / "keys").iterdir()
    held = json.loads(path.read_bytes())
    sealed = base64.b64decode(held["data"])
    master = _counted(_derived(password, held)[:32], sealed[:16], sealed[16:-16])
    json.loads(master)
    held["N"] = 16
    derived, nonce = _derived(password, held), os.urandom(16)
    text = _counted(derived[:32], nonce, master)
    code = Poly1305.generate_tag(derived[48:] + _block(derived[32:48], nonce), text)
    held["data"] = base64.b64encode(nonce + text + code).decode()
    written = json.dumps(held).encode()
    path.unlink()
    (where / "keys" / hashlib.sha256(written).hexdigest()).write_bytes(written)


def _derived(password: str, held: dict[str, object]) -> bytes:
    salt = base64.b64decode(str(held["salt"]))
    n, r, p = (int(str(held[name])) for name in ("N", "r", "p"))
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, dklen=64, maxmem=2**28)


def _counted(key: bytes, nonce: bytes, data: bytes) -> bytes:
    worker = Cipher(AES(key), CTR(nonce)).encryptor()
    return worker.update(data) + worker.finalize()


def _block(key: bytes, nonce: bytes) -> bytes:
    worker = Cipher(AES(key), ECB()).encryptor()
    return worker.update(nonce) + worker.finalize()
