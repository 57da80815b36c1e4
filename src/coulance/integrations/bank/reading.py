"""A bank file of any kind: what it is is seen from its content, never from its name."""

import io
from collections.abc import Iterator
from pathlib import Path

from coulance.integrations.bank.camt import read_camt
from coulance.integrations.bank.errors import UnableToReadBankFileError
from coulance.integrations.bank.mt940 import is_mt940, read_mt940
from coulance_core.payments.bank import BankStatement, joined

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_GUESSES = ("cp1252", "cp850", "cp852")
LARGEST_TEXT = 512 * 1024 * 1024
"""Bytes of MT940 that are read at once; camt is read as a stream and may be larger."""


def read_bank_file(path: Path, *, encoding: str = "") -> list[BankStatement]:
    """Every statement of a file, its pages joined. `encoding` is for MT940 where the guess is wrong.

    Raises `UnableToReadBankFileError` naming the file, the line and what was expected; then nothing of it counts.
    """
    return list(joined(_statements(path, encoding)))


def _statements(path: Path, encoding: str) -> Iterator[BankStatement]:
    name = path.name
    try:
        with path.open("rb") as file:
            head = file.read(4096)
            size = file.seek(0, io.SEEK_END)
    except OSError as fault:
        raise UnableToReadBankFileError(str(path), f"can't be opened: {fault.strerror}") from fault
    if not head.strip(b"\0 \r\n\t"):
        raise UnableToReadBankFileError(name, "the file is empty")
    if head.startswith(b"PK\x03\x04"):
        raise UnableToReadBankFileError(name, "this is a ZIP archive; unpack it and import the files in it")
    if head.startswith(b"%PDF"):
        raise UnableToReadBankFileError(name, "this is a PDF; ask the bank for MT940 or camt.053")
    if _looks_like_xml(head):
        yield from read_camt(path, name=name)
        return
    if size > LARGEST_TEXT:
        raise UnableToReadBankFileError(name, f"{size} bytes of MT940 in one file; expected at most {LARGEST_TEXT}")
    text = decoded(path.read_bytes(), name=name, encoding=encoding)
    if not is_mt940(text):
        raise UnableToReadBankFileError(
            name, "neither MT940 (lines such as :20: and :61:) nor camt XML; choose one of these at the bank"
        )
    found = False
    for statement in read_mt940(text, name=name):
        found = True
        yield statement
    if not found:
        raise UnableToReadBankFileError(name, "there is no statement in it")


def _looks_like_xml(head: bytes) -> bool:
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return head.decode(encoding, errors="ignore").lstrip().startswith("<")
    return head.lstrip().startswith(b"<") or b"<\0?\0x\0" in head[:8]


def decoded(data: bytes, *, name: str, encoding: str = "") -> str:
    """The text of an MT940 file: UTF-8 or UTF-16 by its mark, else UTF-8, else the guess that gives most letters.

    MT940 says nothing of its encoding, and banks use Windows-1252 and the code pages of DOS alike.

    >>> decoded("Müller".encode("cp1252"), name="a"), decoded("Müller".encode("cp850"), name="a")
    ('Müller', 'Müller')
    """
    if encoding:
        try:
            return data.decode(encoding)
        except LookupError:
            raise UnableToReadBankFileError(name, f"there is no encoding {encoding!r}; try cp1252") from None
        except UnicodeDecodeError as fault:
            raise UnableToReadBankFileError(
                f"{name}: byte {fault.start}", f"not {encoding}; leave --encoding out, or name another"
            ) from fault
    for mark, marked in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(marked)
            except UnicodeDecodeError as fault:
                raise UnableToReadBankFileError(
                    f"{name}: byte {fault.start}", f"it says it is {marked}, but this is not: is the file cut off?"
                ) from fault
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return max((_try(data, guess) for guess in _GUESSES), key=_plausible)


def _try(data: bytes, encoding: str) -> str:
    return data.decode(encoding, errors="replace")


def _plausible(text: str) -> int:
    """Letters that Western European languages have count for, all else that is not ASCII against."""
    return sum(1 if letter in _LETTERS else -2 for letter in text if not letter.isascii())


_LETTERS = frozenset(
    "äöüÄÖÜßéèêëÉÈÊËáàâãåæÁÀÂÃÅÆçÇñÑíìîïÍÌÎÏóòôõøÓÒÔÕØœŒúùûÚÙÛýÿÝŸ€§°´’–ąćęłńśźżĄĆĘŁŃŚŹŻőűŐŰčďěňřšťůžČĎĚŇŘŠŤŮŽ"
)
