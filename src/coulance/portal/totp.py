"""One-time codes of an authenticator app (RFC 6238: SHA-1, six digits, 30 seconds). Pure."""

import base64
import hashlib
import hmac
import struct

STEP = 30
AROUND = 1
"""Steps that a telephone's clock may be off, either way."""


def code_at(secret: str, step: int) -> str:
    """The code of a step (RFC 4226); the secret is base32.

    >>> code_at("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 59 // 30)  # RFC 6238, appendix B: 94287082
    '287082'
    >>> code_at("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 1111111109 // 30)  # 07081804
    '081804'
    """
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    start = digest[-1] & 0x0F
    value = struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF
    return f"{value % 1_000_000:06d}"


def step_of(secret: str, code: str, *, seconds: int, after: int) -> int | None:
    """The step that a code is of, near this second of the epoch; none for a wrong one, or one not newer than `after`.

    >>> step_of("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "287 082", seconds=65, after=0)
    1
    >>> step_of("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "287082", seconds=65, after=1) is None
    True
    """
    typed = "".join(code.split())
    now = seconds // STEP
    for step in range(now - AROUND, now + AROUND + 1):
        if step > after and hmac.compare_digest(code_at(secret, step).encode(), typed.encode()):
            return step
    return None
