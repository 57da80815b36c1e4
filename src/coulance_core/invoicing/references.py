"""Payment references with check digits: made, checked, and found in what a payer typed.

Three kinds, each so built that a mistyped one is noticed:

- **RF** (ISO 11649 creditor reference): `RF`, two check digits by ISO 7064 mod 97-10, then up to 21 letters and digits.
  Ours carries the document's number without its punctuation. Any SEPA bank carries it.
- **OGM** (Belgian structured communication, Febelfin): ten digits and their remainder by 97, written
  `+++ddd/dddd/ddddd+++`. A remainder of 0 is written 97.
- **Betalingskenmerk** (Dutch, Betaalvereniging Nederland): 7 digits bare; 9 to 14 with a check digit and a length
  digit in front; 16 with a check digit in front. Weights 2, 4, 8, 5, 10, 9, 7, 3, 6, 1 from the right, modulo 11.

A structured reference says which document is paid; nothing in it says how much.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_NOISE = re.compile(r"[\s./\-:,_]+")
_RF = re.compile(r"RF[0-9]{2}[0-9A-Z]{1,21}")
_ALNUM = re.compile(r"[0-9A-Z]{1,21}")
_WEIGHTS = (2, 4, 8, 5, 10, 9, 7, 3, 6, 1)
_OGM_TEXT = re.compile(
    r"(?<![0-9])(?:\+{3}|\*{3})?\s?([0-9]{3})\s?/\s?([0-9]{4})\s?/\s?([0-9]{5})\s?(?:\+{3}|\*{3})?(?![0-9])"
)
# An RF in free text: the two check digits follow at once; single spaces may stand anywhere after, as printed in fours.
_RF_START = re.compile(r"(?<![0-9A-Z])RF\s?[0-9]\s?[0-9]")
_RF_TEXT = re.compile(r"RF\s?[0-9]\s?[0-9](?:\s?[0-9A-Z]){1,21}")
_DIGITS = re.compile(r"(?<![0-9A-Z.,])[0-9](?:[ .]?[0-9]){8,15}(?![0-9A-Z]|[.,][0-9])")


class ReferenceKind(StrEnum):
    """Which standard a reference follows."""

    RF = "rf"
    OGM = "ogm"
    BETALINGSKENMERK = "betalingskenmerk"


class ReferenceFormatError(ValueError):
    """A reference that cannot be made, or that is not what it says: wrong form or wrong check digits."""


@dataclass(frozen=True, slots=True)
class PaymentReference:
    """A structured reference whose check digits are right. `text` has no spaces or punctuation, in capitals."""

    kind: ReferenceKind
    text: str

    @property
    def payload(self) -> str:
        """What it refers to, without check and length digits: for an RF, the document's number as letters and digits.

        >>> PaymentReference(ReferenceKind.OGM, "090933755493").payload
        '0909337554'
        """
        if self.kind is ReferenceKind.RF:
            return self.text[4:]
        if self.kind is ReferenceKind.OGM:
            return self.text[:-2]
        if len(self.text) == 7:
            return self.text
        return self.text[1:] if len(self.text) == 16 else self.text[2:]

    def __str__(self) -> str:
        """As people read it.

        >>> str(parse_creditor_reference("RF18539007547034")), str(parse_ogm("090933755493"))
        ('RF18 5390 0754 7034', '+++090/9337/55493+++')
        """
        if self.kind is ReferenceKind.OGM:
            return f"+++{self.text[:3]}/{self.text[3:7]}/{self.text[7:]}+++"
        return " ".join(self.text[i : i + 4] for i in range(0, len(self.text), 4))


def plain_number(number: str) -> str:
    """A document's number as references carry it: letters and digits only, in capitals.

    >>> plain_number("B2026-000017"), plain_number("f/26.12")
    ('B2026000017', 'F2612')
    """
    return _NOISE.sub("", number).upper()


def creditor_reference(number: str) -> str:
    """The ISO 11649 reference of a document's number, without spaces.

    Raises `ReferenceFormatError` for a number of more than 21 letters and digits, or one with other characters than
    ASCII letters, digits and ` -./:,_`: then the document is paid by its number in words.

    >>> creditor_reference("5390 0754 7034")
    'RF18539007547034'
    >>> creditor_reference("B2026-000017")
    'RF92B2026000017'
    """
    payload = plain_number(number)
    if not _ALNUM.fullmatch(payload):
        raise ReferenceFormatError(
            f"no RF reference can be made of {number!r}: expected 1 to 21 letters and digits, punctuation left out"
        )
    return f"RF{98 - _mod97(payload + 'RF00'):02d}{payload}"


def creditor_reference_if_any(number: str) -> str | None:
    """`creditor_reference`, or None for a number that none can be made of.

    >>> creditor_reference_if_any("Rechnung №7") is None
    True
    """
    return creditor_reference(number) if _ALNUM.fullmatch(plain_number(number)) else None


def parse_creditor_reference(text: str) -> PaymentReference:
    """The RF reference in `text`, spaces and case aside. Raises `ReferenceFormatError` when it isn't one.

    >>> parse_creditor_reference("rf18 5390 0754 7034").payload
    '539007547034'
    >>> parse_creditor_reference("RF17 5390 0754 7034")
    Traceback (most recent call last):
    ...
    coulance_core.invoicing.references.ReferenceFormatError: wrong check digits in RF reference 'RF17539007547034'
    """
    plain = plain_number(text)
    if not _RF.fullmatch(plain):
        raise ReferenceFormatError(f"{text!r} is no RF reference: expected RF, two digits, 1 to 21 letters and digits")
    if _mod97(plain[4:] + plain[:4]) != 1:
        raise ReferenceFormatError(f"wrong check digits in RF reference {plain!r}")
    return PaymentReference(ReferenceKind.RF, plain)


def make_ogm(digits: str) -> str:
    """The Belgian structured communication of up to ten digits, as printed.

    >>> make_ogm("0909337554"), make_ogm("108068171"), make_ogm("97")
    ('+++090/9337/55493+++', '+++010/8068/17183+++', '+++000/0000/09797+++')
    """
    if not re.fullmatch(r"[0-9]{1,10}", digits) or int(digits) == 0:
        raise ReferenceFormatError(f"a Belgian communication carries 1 to 10 digits, not all 0, not {digits!r}")
    payload = digits.zfill(10)
    return str(PaymentReference(ReferenceKind.OGM, f"{payload}{int(payload) % 97 or 97:02d}"))


def parse_ogm(text: str) -> PaymentReference:
    """The Belgian communication in `text`, with or without `+++` and slashes. Raises `ReferenceFormatError`.

    >>> parse_ogm("+++010/8068/17183+++").payload
    '0108068171'
    >>> parse_ogm("010/8068/17180")
    Traceback (most recent call last):
    ...
    coulance_core.invoicing.references.ReferenceFormatError: wrong check digits in Belgian communication '010806817180'
    """
    plain = re.sub(r"[\s/+*]", "", text)
    if not re.fullmatch(r"[0-9]{12}", plain) or int(plain) == 0:
        raise ReferenceFormatError(f"{text!r} is no Belgian communication: expected 12 digits, +++ddd/dddd/ddddd+++")
    if int(plain[10:]) != (int(plain[:10]) % 97 or 97):
        raise ReferenceFormatError(f"wrong check digits in Belgian communication {plain!r}")
    return PaymentReference(ReferenceKind.OGM, plain)


def make_betalingskenmerk(digits: str) -> str:
    """The Dutch 16-digit reference of up to 15 digits: the check digit first.

    The published example of Betaalvereniging Nederland:

    >>> make_betalingskenmerk("000056789012345")
    '5000056789012345'
    """
    if not re.fullmatch(r"[0-9]{1,15}", digits):
        raise ReferenceFormatError(f"a betalingskenmerk carries 1 to 15 digits, not {digits!r}")
    payload = digits.zfill(15)
    return _check_11(payload) + payload


def parse_betalingskenmerk(text: str) -> PaymentReference:
    """The Dutch reference in `text`, spaces and dots aside. Raises `ReferenceFormatError` when it isn't one.

    With 9 to 14 digits the second one says how many follow (its last digit), and the check covers it.

    >>> parse_betalingskenmerk("5000 0567 8901 2345").payload
    '000056789012345'
    >>> parse_betalingskenmerk("5010.0021.6701.0010").payload
    '010002167010010'
    >>> parse_betalingskenmerk("12 2345 3462 2567").payload
    '234534622567'
    """
    plain = re.sub(r"[\s.]", "", text)
    if not re.fullmatch(r"[0-9]{7}|[0-9]{9,14}|[0-9]{16}", plain):
        raise ReferenceFormatError(f"{text!r} is no betalingskenmerk: expected 7, 9 to 14, or 16 digits")
    if 9 <= len(plain) <= 14 and int(plain[1]) != (len(plain) - 2) % 10:
        raise ReferenceFormatError(f"wrong length digit in betalingskenmerk {plain!r}")
    if len(plain) > 7 and _check_11(plain[1:]) != plain[0]:
        raise ReferenceFormatError(f"wrong check digit in betalingskenmerk {plain!r}")
    return PaymentReference(ReferenceKind.BETALINGSKENMERK, plain)


def parse_reference(text: str) -> PaymentReference | None:
    """The one reference that `text` is, of whichever kind; None when it is none or its check digits are wrong.

    A bare 7-digit betalingskenmerk has no check digit, so any 7 digits would be one: it is not recognised here.

    >>> parse_reference("RF18539007547034").kind.value, parse_reference("+++090/9337/55493+++").kind.value
    ('rf', 'ogm')
    >>> parse_reference("4654654654654654") is None
    True
    """
    plain = plain_number(text).strip("+*")
    try:
        if plain.startswith("RF"):
            return parse_creditor_reference(plain)
        if re.fullmatch(r"[0-9]{12}", plain):
            try:
                return parse_ogm(plain)
            except ReferenceFormatError:
                return parse_betalingskenmerk(plain)
        return parse_betalingskenmerk(plain) if len(plain) > 7 else None
    except ReferenceFormatError:
        return None


def find_references(text: str) -> Iterator[PaymentReference]:
    """Every structured reference in free text whose check digits are right, RF first, then OGM, then Dutch ones.

    Line breaks that a bank put inside a reference count as spaces. Each reference comes once.

    >>> [str(r) for r in find_references("Invoice rf18 5390 0754 7034, thanks; +++090/9337/55493+++")]
    ['RF18 5390 0754 7034', '+++090/9337/55493+++']
    >>> [r.text for r in find_references("betalingskenmerk 5000.0567.8901.2345")]
    ['5000056789012345']
    >>> list(find_references("RF17 5390 0754 7034 and 1234567"))
    []
    >>> [r.text for r in find_references("RF92B2026000017 RF65B2026000018 5000056789012345")]
    ['RF92B2026000017', 'RF65B2026000018', '5000056789012345']
    """
    upper = text.upper()
    seen: set[str] = set()
    starts = [found.start() for found in _RF_START.finditer(upper)] if "RF" in upper else []
    rest = upper[: starts[0]] if starts else upper
    for start, end in zip(starts, [*starts, len(upper)][1:], strict=True):
        span = _RF_TEXT.match(upper, start, end)
        if span is None:
            rest += upper[start:end]
            continue
        reference, length = _longest_rf(span.group())
        # The digits inside an RF reference, right or mistyped, are no reference of their own.
        rest += " " + upper[start + length : end]
        if reference is not None and reference.text not in seen:
            seen.add(reference.text)
            yield reference
    upper = rest
    if "/" in upper:
        for found in _OGM_TEXT.finditer(upper):
            digits = "".join(found.groups())
            if digits not in seen and int(digits) and int(digits[10:]) == (int(digits[:10]) % 97 or 97):
                seen.add(digits)
                yield PaymentReference(ReferenceKind.OGM, digits)
        upper = _OGM_TEXT.sub(" ", upper)
    for found in _DIGITS.finditer(upper):
        reference = parse_reference(found.group())
        if reference is not None and reference.text not in seen:
            seen.add(reference.text)
            yield reference


def _longest_rf(text: str) -> tuple[PaymentReference | None, int]:
    """The longest beginning of `text`, cut where it has a space, whose check digits are right, and how long it is."""
    ends = [found.start() for found in re.finditer(r"\s|$", text)]
    for end in reversed(ends):
        plain = "".join(text[:end].split())
        if _RF.fullmatch(plain) and _mod97(plain[4:] + plain[:4]) == 1:
            return PaymentReference(ReferenceKind.RF, plain), end
    return None, len(text)


def _mod97(text: str) -> int:
    """Letters count as two digits, A = 10 to Z = 35 (ISO 7064)."""
    return int("".join(str(int(letter, 36)) for letter in text)) % 97


def _check_11(digits: str) -> str:
    """The check digit by weighted modulo 11; a 10 is written 1 and an 11 is written 0."""
    total = sum(int(digit) * _WEIGHTS[place % 10] for place, digit in enumerate(reversed(digits)))
    found = 11 - total % 11
    return {10: "1", 11: "0"}.get(found, str(found))
