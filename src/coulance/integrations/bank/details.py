"""The `:86:` text of an MT940 entry: every bank has its own way to say who paid and what for.

Known: slash codes (`/TRTP/SEPA OVERBOEKING/IBAN/.../NAME/.../REMI/.../EREF/...`: ABN AMRO, ING, Rabobank, bunq), ABN
AMRO's labels (`IBAN: ... NAAM: ... OMSCHRIJVING: ...`) and its older `BETALINGSKENM.`, SNS and ASN (account, name and
text on lines of their own), Knab (`REK: .../NAAM: ...`), Triodos (`>20`, `>31`), and the German `?20` fields, which
the MT940 library takes apart. What none of these fits is kept whole as the text.
"""

import re
from dataclasses import dataclass

_CODES = (
    "TRTP|IBAN|BIC|NAME|REMI|EREF|MARF|CSID|ORDP|BENM|CNTP|RTRN|RTYP|ULTD|ULTC|ULTB|ULDB|PURP|ISDT|TRCD|SVCL|NRTX|"
    "IREF|PREF|CREF|ADDR|ACCW|INIT|EXCH|ACCT|USTD|STRD|ORIG|OAMT|SWOC"
)
_CODE = re.compile(rf"/({_CODES})/")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_LABEL = re.compile(
    r"\b(IBAN|BIC|NAAM|OMSCHRIJVING|BETALINGSKENM\.?|BETALINGSKENMERK|KENMERK|MACHTIGING|INCASSANT):", re.I
)
_GIRO = re.compile(r"BETALINGSKENM\.\s+([0-9][0-9 ]*[0-9])(?:\s|$)")
_KNAB = re.compile(r"(?:^|\n)REK:\s*(\S+?)/NAAM:\s*([^\n]*)")
_FIRST = re.compile(r"([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}|[0-9]{9,10}) +([^\n]*)\n?(.*)", re.S)
_ANGLE = re.compile(r">([0-9]{2})")
_WIDTH = 65
"""How wide a line of `:86:` may be: a line that full goes on in the next one without a space."""
_NOTHING = frozenset({"NOTPROVIDED", "NONREF", "NOTPROVIDE", "NOT PROVIDED"})


@dataclass(frozen=True, slots=True)
class Details:
    """What an entry's text says. All empty where it says nothing."""

    remittance: str = ""
    name: str = ""
    iban: str = ""
    end_to_end_id: str = ""
    structured_reference: str = ""
    mandate_id: str = ""
    return_reason: str = ""


def said(text: str | None) -> str:
    """`text`, without what banks write when they have nothing to say.

    >>> said(" NOTPROVIDED "), said("E2E-1")
    ('', 'E2E-1')
    """
    plain = " ".join((text or "").split())
    return "" if plain.upper() in _NOTHING else plain


def account_number(text: str) -> str:
    """An IBAN or older account number without spaces and dots, in capitals."""
    return re.sub(r"[\s.]", "", text).upper()


def read_details(text: str) -> Details:
    """What `text` (a whole `:86:`, its lines kept) says, by the first way of writing that fits.

    >>> d = read_details("/TRTP/SEPA OVERBOEKING/IBAN/NL91ABNA0417164300/BIC/ABNANL2A/NAME/J. Jansen"
    ...                  "/REMI/Factuur B2026-000017/EREF/NOTPROVIDED")
    >>> d.iban, d.name, d.remittance, d.end_to_end_id
    ('NL91ABNA0417164300', 'J. Jansen', 'Factuur B2026-000017', '')
    """
    if len(_CODE.findall(text)) >= 2 or _CODE.match(text):
        return _slashed(text)
    if found := _KNAB.search(text):
        return Details(
            remittance=_flat(text[: found.start()]), iban=account_number(found[1]), name=" ".join(found[2].split())
        )
    if len(_LABEL.findall(text)) >= 2:
        return _labelled(text)
    if re.match(r"[0-9]{3}\n?>[0-9]{2}", text):
        return _angled(text)
    if found := _GIRO.search(text):
        return Details(remittance=_flat(text), structured_reference=_giro_reference(text[found.start(1) :]))
    if (found := _FIRST.match(text)) and found[3].strip():
        number = found[1]
        return Details(
            remittance=_flat(found[3]), iban=number if _IBAN.fullmatch(number) else "", name=" ".join(found[2].split())
        )
    return Details(remittance=_flat(text))


def _flat(text: str) -> str:
    """The lines as one: a full line goes on in the next, any other ends a word."""
    out = ""
    for line in text.split("\n"):
        out += line if len(line) >= _WIDTH else line.rstrip() + " "
    return " ".join(out.split())


def _unwrapped(text: str) -> str:
    """Slash codes over lines. The first line carries `:86:` too, at some banks within the width."""
    lines = text.split("\n")
    out = ""
    for number, line in enumerate(lines):
        full = len(line) >= _WIDTH or (number == 0 and len(line) >= _WIDTH - 4)
        out += line if full or number == len(lines) - 1 else line + " "
    return out


def _slashed(text: str) -> Details:
    flat = _unwrapped(text)
    found = list(_CODE.finditer(flat))
    # A code that stands inside another's text (an address with /BIC/ in it) is told once: the first wins.
    fields: dict[str, str] = {}
    for number, code in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(flat)
        fields.setdefault(code[1], flat[code.end() : end].strip("/ "))
    iban, name = fields.get("IBAN", ""), fields.get("NAME", "")
    if party := fields.get("CNTP"):
        # ING: account, BIC, name and city between slashes.
        parts = [*party.split("/"), "", "", ""]
        iban, name = iban or parts[0], name or parts[2]
    remittance, reference = fields.get("REMI", "") or fields.get("USTD", ""), ""
    if remittance.startswith("USTD/"):
        remittance = remittance.removeprefix("USTD/").strip("/")
    elif remittance.startswith("STRD/") or "STRD" in fields:
        # /REMI/STRD/CUR/1234567890123456/: the issuer, then the reference.
        remittance = (fields.get("STRD") or remittance).removeprefix("STRD/").strip("/")
        reference = remittance.rpartition("/")[2]
    return Details(
        remittance=" ".join(remittance.split()),
        name=" ".join(name.split()),
        iban=account_number(iban) if _IBAN.fullmatch(account_number(iban)) else "",
        end_to_end_id=said(fields.get("EREF")),
        structured_reference=reference.strip(),
        mandate_id=said(fields.get("MARF")),
        return_reason=said(fields.get("RTRN") or fields.get("RTYP")),
    )


def _labelled(text: str) -> Details:
    flat = " ".join(text.split())
    found = list(_LABEL.finditer(flat))
    fields: dict[str, str] = {}
    for number, label in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(flat)
        fields.setdefault(label[1].upper().rstrip("."), flat[label.end() : end].strip())
    iban = re.match(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", fields.get("IBAN", ""))
    reference = fields.get("BETALINGSKENM") or fields.get("BETALINGSKENMERK") or ""
    return Details(
        remittance=fields.get("OMSCHRIJVING", reference),
        name=fields.get("NAAM", ""),
        iban=iban.group() if iban else "",
        end_to_end_id=said(fields.get("KENMERK")),
        structured_reference=re.sub(r"\D", "", reference) if reference else "",
        mandate_id=said(fields.get("MACHTIGING")),
    )


def _angled(text: str) -> Details:
    flat = text.replace("\n", "")
    parts = _ANGLE.split(flat)
    fields: dict[str, list[str]] = {}
    for code, value in zip(parts[1::2], parts[2::2], strict=True):
        fields.setdefault("20" if code[0] == "2" else code, []).append(value)
    number = account_number("".join(fields.get("31", [])))
    # Triodos writes the other account in field 10, older ones without its IBAN.
    return Details(
        remittance=" ".join("".join(fields.get("20", [])).split()),
        name=" ".join(" ".join(fields.get("32", []) + fields.get("33", [])).split()),
        iban=number if _IBAN.fullmatch(number) else "",
    )


def _giro_reference(text: str) -> str:
    """ABN AMRO's columns break the 16 digits over two lines; all digits up to the first word are the reference."""
    found = re.match(r"[0-9\s]+", text)
    return re.sub(r"\s", "", found.group())[:16] if found else ""
