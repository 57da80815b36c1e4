"""What is taken as a file of a case: few types, known by their content, under a size, with names made safe."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from coulance.disputes.errors import UnableToKeepFileError

MOST_BYTES = 5 * 1024 * 1024
MOST_FILES = 10
"""Files that one case holds."""

_TYPES: dict[str, tuple[str, tuple[bytes, ...]]] = {
    "pdf": ("application/pdf", (b"%PDF-",)),
    "png": ("image/png", (b"\x89PNG\r\n\x1a\n",)),
    "jpg": ("image/jpeg", (b"\xff\xd8\xff",)),
    "jpeg": ("image/jpeg", (b"\xff\xd8\xff",)),
    "gif": ("image/gif", (b"GIF87a", b"GIF89a")),
    "webp": ("image/webp", (b"RIFF",)),
    "txt": ("text/plain; charset=utf-8", ()),
    "csv": ("text/csv; charset=utf-8", ()),
    "log": ("text/plain; charset=utf-8", ()),
    "eml": ("message/rfc822", ()),
}
"""By ending: the media type it is handed out as, and how its content begins. Text is UTF-8 without control bytes.

No HTML, SVG, office document or archive: what a browser or an office program would run stays outside."""

ENDINGS = tuple(_TYPES)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """A file as it is kept."""

    name: str
    media_type: str
    content: bytes
    sha256: str


def checked(upload: Upload) -> Checked:
    """The file as it is kept. Raises `UnableToKeepFileError`, naming what is expected.

    >>> checked(Upload("../../Über uns\\r\\n.TXT", b"hello")).name
    'Uber uns.txt'
    >>> checked(Upload("bill.pdf", b"<script>"))
    Traceback (most recent call last):
    coulance.disputes.errors.UnableToKeepFileError: bill.pdf is no PDF: its content is something else
    """
    name, ending = _safe(upload.name)
    if ending not in _TYPES:
        raise UnableToKeepFileError(f"{name}: expected a file that ends in {', '.join(ENDINGS)}")
    if not upload.content:
        raise UnableToKeepFileError(f"{name} is empty")
    if len(upload.content) > MOST_BYTES:
        raise UnableToKeepFileError(
            f"{name} is larger than {MOST_BYTES // 1024 // 1024} MB: send it smaller, or in parts"
        )
    media_type, begins = _TYPES[ending]
    if begins:
        if not upload.content.startswith(begins) or (ending == "webp" and upload.content[8:12] != b"WEBP"):
            raise UnableToKeepFileError(f"{name} is no {ending.upper()}: its content is something else")
    else:
        _is_text(name, upload.content)
    return Checked(name, media_type, upload.content, hashlib.sha256(upload.content).hexdigest())


def _is_text(name: str, content: bytes) -> None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnableToKeepFileError(f"{name} is no text in UTF-8: byte {error.start} is something else") from error
    if any(ord(letter) < 32 and letter not in "\t\r\n\f" for letter in text):
        raise UnableToKeepFileError(f"{name} is no text: it has control bytes")


def _safe(name: str) -> tuple[str, str]:
    last = re.split(r"[\\/]", name)[-1]
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._ -]+", "", plain)
    stem, dot, ending = plain.rpartition(".")
    stem = re.sub(r"\s+", " ", stem if dot else plain).strip(" .-_")[:100] or "file"
    return (f"{stem}.{ending.lower()}" if dot else stem), ending.strip().lower() if dot else ""
