"""Addresses and headers as they may stand in a mail: no line breaks, no control characters, domains in ASCII."""

import re
import unicodedata

from coulance.customers import checks


class AddressFormError(ValueError):
    """What is given can't be an e-mail address."""


def mail_address(text: str) -> str:
    """An address as it goes on the wire: an international domain in its ASCII form.

    >>> mail_address("post@bücher.example")
    'post@xn--bcher-kva.example'
    """
    stripped = text.strip()
    local, _, domain = stripped.rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise AddressFormError(f"{text!r} has a domain that can't be: {error}") from error
    address = f"{local}@{domain}"
    if problem := checks.email(address):
        more = "; a name before the @ that isn't ASCII few servers take" if not local.isascii() else ""
        raise AddressFormError(f"{text!r}: expected {problem}{more}")
    return address


def same_address(text: str) -> str:
    """The form by which addresses are compared: case aside."""
    return text.casefold()


def phone_number(text: str) -> str:
    """A telephone number as it is dialled from anywhere: +, country and number, digits only.

    >>> phone_number("+31 (0)6 12 34 56 78"), phone_number("0031 6 12345678")
    ('+31612345678', '+31612345678')
    """
    plain = re.sub(r"[\s./-]", "", text.strip().replace("(0)", ""))
    plain = plain.replace("(", "").replace(")", "")
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", plain):
        raise AddressFormError(f"{text!r}: expected a telephone number with its country, such as +31 6 12345678")
    return plain


def header_text(text: str, *, most: int = 300) -> str:
    """One line of text for a header: control characters and line breaks become spaces, and it is cut to `most`.

    >>> header_text("Invoice 1\\r\\nBcc: everyone@else.example")
    'Invoice 1 Bcc: everyone@else.example'
    """
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)
    plain = re.sub(r"\s+", " ", plain).strip()
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"
