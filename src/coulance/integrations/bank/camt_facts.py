"""What a camt message says, taken apart and kept whole: every fact of its entries, whatever the version (2 to 8).

Nothing is judged here. Amounts are exact decimals as written, signed by their credit or debit mark; texts are trimmed.
Versions differ in wrapping: since version 8 a party is one level deeper, a status has a code, a BIC another name; all
are looked for.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from lxml import etree

Element = Any
"""An lxml element."""
PARTIES = ("InitgPty", "Dbtr", "UltmtDbtr", "Cdtr", "UltmtCdtr", "TradgPty")
_DECIMAL = re.compile(r"\+?[0-9]{1,18}(\.[0-9]{0,17})?|\.[0-9]{1,17}", re.ASCII)
_REFERENCES = (
    "MsgId",
    "AcctSvcrRef",
    "PmtInfId",
    "InstrId",
    "EndToEndId",
    "UETR",
    "TxId",
    "MndtId",
    "ChqNb",
    "ClrSysRef",
    "AcctOwnrTxId",
    "AcctSvcrTxId",
    "MktInfrstrctrTxId",
    "PrcgId",
)


class CamtFactError(ValueError):
    """A fact that is missing or malformed. `line` is the element's line in the file."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Amount:
    """A decimal in a currency; below zero where it is marked as a debit."""

    value: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Account:
    """Who an account is: its IBAN, or another number, with what names it."""

    identification: str
    is_iban: bool
    currency: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address, as far as given."""

    country: str = ""
    lines: tuple[str, ...] = ()
    street: str = ""
    building: str = ""
    postcode: str = ""
    town: str = ""


@dataclass(frozen=True, slots=True)
class Identification:
    """How a party is identified: an organisation by BIC or number, a person by number or birth."""

    organisation: bool
    bic: str = ""
    number: str = ""
    issuer: str = ""
    scheme: str = ""
    born_on: str = ""
    born_in: tuple[str, str, str] = ("", "", "")
    """Province, city, country."""


@dataclass(frozen=True, slots=True)
class Party:
    """Someone in a payment. `role` is the element's name: `Dbtr`, `Cdtr`, `UltmtDbtr`, ..."""

    role: str
    name: str
    address: Address | None = None
    identification: Identification | None = None
    account: Account | None = None
    country: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """A bank in a payment: `DbtrAgt`, `CdtrAgt`."""

    role: str
    bic: str
    name: str


@dataclass(frozen=True, slots=True)
class BankCode:
    """What kind of movement it is: ISO's domain, family and sub-family, and the bank's own code."""

    domain: str = ""
    family: str = ""
    sub_family: str = ""
    proprietary: str = ""
    issuer: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.domain, self.family, self.sub_family) if part) or self.proprietary


@dataclass(frozen=True, slots=True)
class StructuredText:
    """One structured block of remittance: a reference with its type and issuer, and what was added in words."""

    reference: str = ""
    code: str = ""
    proprietary: str = ""
    issuer: str = ""
    additional: str = ""
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Detail:
    """One payment of an entry."""

    references: dict[str, str]
    proprietary_references: tuple[tuple[str, str], ...]
    amount: Amount | None
    instructed: Amount | None
    is_credit: bool | None
    code: BankCode
    parties: tuple[Party, ...]
    agents: tuple[Agent, ...]
    unstructured: tuple[str, ...]
    structured: tuple[StructuredText, ...]
    return_reason: str
    return_info: str
    is_return: bool
    additional: str
    charges: Amount | None

    def party(self, role: str) -> Party | None:
        """The first party in that role."""
        return next((party for party in self.parties if party.role == role), None)


@dataclass(frozen=True, slots=True)
class Entry:
    """One booking on the account, with the payments it is made of."""

    line: int
    amount: Amount
    is_credit: bool
    is_reversal: bool
    status: str
    booked_on: date | None
    booked_at: datetime | None
    value_on: date | None
    reference: str
    servicer_reference: str
    code: BankCode
    charges: Amount | None
    batch_message: str
    batch_payment: str
    batch_count: int
    additional: str
    details: tuple[Detail, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """A balance of the account. `kind` is ISO's code (`OPBD`, `CLBD`, `PRCD`, ...) or the bank's own."""

    kind: str
    amount: Amount
    on: date | None
    sub_kind: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """The message as a whole."""

    message_id: str
    created_at: datetime | None
    additional: str
    page: str
    recipient: Party | None
    query: tuple[str, str, datetime | None] | None
    """The question that this message answers: its id, its name and its instant."""


@dataclass(frozen=True, slots=True)
class Record:
    """A statement's head: all but its balances and entries."""

    line: int
    id: str
    electronic_number: str
    legal_number: str
    page: str
    created_at: datetime | None
    from_at: datetime | None
    to_at: datetime | None
    copy: str
    account: Account
    servicer: Agent | None
    additional: str


@cache
def _anywhere(path: str) -> str:
    """A path of local names in any namespace."""
    return "/".join(f"{{*}}{part}" for part in path.split("/"))


def text(element: Element, path: str = "") -> str:
    """The trimmed text at a path of local names (`Acct/Id/IBAN`); empty when there is none."""
    found = element.find(_anywhere(path)) if path else element
    return "" if found is None or found.text is None else str(found.text).strip()


def children(element: Element, path: str) -> list[Element]:
    """Every element at a path of local names."""
    return list(element.findall(_anywhere(path)))


def child(element: Element, path: str) -> Element | None:
    """The first element at a path of local names."""
    return element.find(_anywhere(path))


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return str(etree.QName(element).localname)


def header(element: Element) -> Header:
    """The group header."""
    recipient = child(element, "MsgRcpt")
    query = child(element, "OrgnlBizQry")
    return Header(
        text(element, "MsgId"),
        _instant(child(element, "CreDtTm")),
        text(element, "AddtlInf"),
        text(element, "MsgPgntn/PgNb"),
        _party("MsgRcpt", recipient, None) if recipient is not None else None,
        None if query is None else (text(query, "MsgId"), text(query, "MsgNmId"), _instant(child(query, "CreDtTm"))),
    )


def record(element: Element) -> Record:
    """A statement's, report's or notification's head. Raises `CamtFactError` when it has no account."""
    account = child(element, "Acct")
    if account is None:
        raise CamtFactError(element.sourceline or 0, "no account; expected an element Acct with an IBAN")
    servicer = child(account, "Svcr/FinInstnId")
    page = text(element, "StmtPgntn/PgNb") or text(element, "NtfctnPgntn/PgNb") or text(element, "RptPgntn/PgNb")
    return Record(
        element.sourceline or 0,
        text(element, "Id"),
        text(element, "ElctrncSeqNb"),
        text(element, "LglSeqNb"),
        page,
        _instant(child(element, "CreDtTm")),
        _instant(child(element, "FrToDt/FrDtTm")),
        _instant(child(element, "FrToDt/ToDtTm")),
        text(element, "CpyDplctInd"),
        _account(account),
        None if servicer is None else Agent("Svcr", _bic(servicer), text(servicer, "Nm")),
        text(element, "AddtlStmtInf") or text(element, "AddtlNtfctnInf") or text(element, "AddtlRptInf"),
    )


def balance(element: Element) -> Balance:
    """One balance."""
    kind = text(element, "Tp/CdOrPrtry/Cd") or text(element, "Tp/CdOrPrtry/Prtry")
    amount = _amount(child(element, "Amt"))
    if amount is None:
        raise CamtFactError(element.sourceline or 0, f"balance {kind or 'without a type'} has no amount (Amt)")
    on, _ = _day(child(element, "Dt"))
    return Balance(kind, _signed(amount, _credit(element)), on, text(element, "Tp/SubTp/Cd"))


def entry(element: Element) -> Entry:
    """One entry with its details."""
    line = element.sourceline or 0
    amount = _amount(child(element, "Amt"))
    if amount is None:
        raise CamtFactError(line, "an entry without an amount (Amt)")
    credit = _credit(element)
    booked_on, booked_at = _day(child(element, "BookgDt"))
    value_on, _ = _day(child(element, "ValDt"))
    batches = children(element, "NtryDtls/Btch")
    counted = text(batches[0], "NbOfTxs") if batches else ""
    if counted and not (counted.isascii() and counted.isdigit()):
        raise CamtFactError(line, f"NbOfTxs is {counted!r}; expected a number")
    return Entry(
        line,
        _signed(amount, credit),
        credit,
        _flag(child(element, "RvslInd")),
        text(element, "Sts/Cd") or text(element, "Sts"),
        booked_on,
        booked_at,
        value_on,
        text(element, "NtryRef"),
        text(element, "AcctSvcrRef"),
        _code(child(element, "BkTxCd")),
        _charges(element),
        text(batches[0], "MsgId") if batches else "",
        text(batches[0], "PmtInfId") if batches else "",
        int(counted or 0),
        text(element, "AddtlNtryInf"),
        tuple(_detail(detail) for detail in children(element, "NtryDtls/TxDtls")),
    )


def _detail(element: Element) -> Detail:
    refs = child(element, "Refs")
    mark = text(element, "CdtDbtInd")
    credit = None if not mark else _credit(element)
    amount = _amount(child(element, "Amt"))
    if amount is None:
        # Version 2 has the amount only here.
        amount = _amount(child(element, "AmtDtls/TxAmt/Amt"))
    returned = child(element, "RtrInf")
    return Detail(
        {name: said for name in _REFERENCES if refs is not None and (said := text(refs, name))},
        () if refs is None else tuple((text(found, "Tp"), text(found, "Ref")) for found in children(refs, "Prtry")),
        amount,
        _amount(child(element, "AmtDtls/InstdAmt/Amt")),
        credit,
        _code(child(element, "BkTxCd")),
        _parties(child(element, "RltdPties")),
        _agents(child(element, "RltdAgts")),
        tuple(text(found) for found in children(element, "RmtInf/Ustrd")),
        tuple(_structured(found) for found in children(element, "RmtInf/Strd")),
        ""
        if returned is None
        else text(returned, "Rsn/Cd") or text(returned, "RtrRsn/Cd") or text(returned, "Rsn/Prtry"),
        "" if returned is None else " ".join(text(found) for found in children(returned, "AddtlInf")),
        returned is not None,
        text(element, "AddtlTxInf"),
        _charges(element),
    )


def _parties(element: Element | None) -> tuple[Party, ...]:
    if element is None:
        return ()
    return tuple(
        _party(role, found, child(element, f"{role}Acct"))
        for found in element
        if isinstance(found.tag, str) and (role := local(found)) in PARTIES
    )


def _party(role: str, element: Element, account: Element | None) -> Party:
    wrapped = child(element, "Pty")
    if wrapped is None:
        # A bank as a party (version 8): its name stands with the institution.
        wrapped = child(element, "Agt/FinInstnId")
    inner = element if wrapped is None else wrapped
    address = child(inner, "PstlAdr")
    identified = child(inner, "Id")
    return Party(
        role,
        text(inner, "Nm"),
        None
        if address is None
        else Address(
            text(address, "Ctry"),
            tuple(text(line) for line in children(address, "AdrLine")),
            text(address, "StrtNm"),
            text(address, "BldgNb"),
            text(address, "PstCd"),
            text(address, "TwnNm"),
        ),
        None if identified is None else _identification(identified),
        None if account is None or child(account, "Id") is None else _account(account),
        text(inner, "CtryOfRes"),
    )


def _identification(element: Element) -> Identification | None:
    for name in ("OrgId", "PrvtId"):
        found = child(element, name)
        if found is None:
            continue
        scheme = text(found, "Othr/SchmeNm/Cd") or text(found, "Othr/SchmeNm/Prtry")
        birth = child(found, "DtAndPlcOfBirth")
        return Identification(
            name == "OrgId",
            text(found, "BICOrBEI") or text(found, "AnyBIC"),
            text(found, "Othr/Id"),
            text(found, "Othr/Issr"),
            scheme,
            "" if birth is None else text(birth, "BirthDt"),
            ("", "", "")
            if birth is None
            else (text(birth, "PrvcOfBirth"), text(birth, "CityOfBirth"), text(birth, "CtryOfBirth")),
        )
    return None


def _account(element: Element) -> Account:
    iban = text(element, "Id/IBAN")
    other = iban or text(element, "Id/Othr/Id") or text(element, "Id/PrtryAcct/Id") or text(element, "Id/BBAN")
    if not other:
        raise CamtFactError(element.sourceline or 0, "an account without a number; expected Id/IBAN or Id/Othr/Id")
    return Account(other.replace(" ", ""), bool(iban), text(element, "Ccy"), text(element, "Nm"))


def _agents(element: Element | None) -> tuple[Agent, ...]:
    if element is None:
        return ()
    return tuple(
        Agent(local(found), _bic(institution), text(institution, "Nm"))
        for found in element
        if isinstance(found.tag, str) and (institution := child(found, "FinInstnId")) is not None
    )


def _bic(element: Element) -> str:
    return text(element, "BICFI") or text(element, "BIC")


def _code(element: Element | None) -> BankCode:
    if element is None:
        return BankCode()
    return BankCode(
        text(element, "Domn/Cd"),
        text(element, "Domn/Fmly/Cd"),
        text(element, "Domn/Fmly/SubFmlyCd"),
        text(element, "Prtry/Cd"),
        text(element, "Prtry/Issr"),
    )


def _structured(element: Element) -> StructuredText:
    kind = "CdtrRefInf/Tp"
    return StructuredText(
        text(element, "CdtrRefInf/Ref") or text(element, "CdtrRefInf/CdtrRef"),
        text(element, f"{kind}/CdOrPrtry/Cd"),
        text(element, f"{kind}/CdOrPrtry/Prtry"),
        text(element, f"{kind}/Issr"),
        " ".join(text(found) for found in children(element, "AddtlRmtInf")),
        tuple(said for found in children(element, "RfrdDocInf") if (said := text(found, "Nb"))),
    )


def _charges(element: Element) -> Amount | None:
    total = _amount(child(element, "Chrgs/TtlChrgsAndTaxAmt"))
    if total is not None:
        return total
    amounts = [
        _signed(amount, text(found, "CdtDbtInd") != "CRDT")
        for found in (*children(element, "Chrgs/Rcrd"), *children(element, "Chrgs"))
        if (amount := _amount(child(found, "Amt"))) is not None
    ]
    if not amounts or len({amount.currency for amount in amounts}) > 1:
        return None
    return Amount(sum((amount.value for amount in amounts), Decimal(0)), amounts[0].currency)


def _amount(element: Element | None) -> Amount | None:
    if element is None:
        return None
    said = text(element)
    if not _DECIMAL.fullmatch(said):
        raise CamtFactError(element.sourceline or 0, f"{said[:40]!r} is no amount; expected a decimal such as 12.30")
    return Amount(Decimal(said), str(element.get("Ccy", "")))


def _signed(amount: Amount, credit: bool) -> Amount:
    return amount if credit else Amount(-amount.value, amount.currency)


def _credit(element: Element) -> bool:
    mark = text(element, "CdtDbtInd")
    if mark not in ("CRDT", "DBIT"):
        raise CamtFactError(element.sourceline or 0, f"CdtDbtInd is {mark!r}; expected CRDT or DBIT")
    return mark == "CRDT"


def _flag(element: Element | None) -> bool:
    said = "false" if element is None else text(element)
    if said not in ("true", "false", "1", "0"):
        raise CamtFactError(element.sourceline or 0, f"{said!r} is neither true nor false")  # type: ignore[union-attr]
    return said in ("true", "1")


def _day(element: Element | None) -> tuple[date | None, datetime | None]:
    """A day written as one (`Dt`), or as an instant (`DtTm`), whose civil day where it was written is the day."""
    if element is None:
        return None, None
    if instant := _instant(child(element, "DtTm")):
        return instant.date(), instant
    said = text(element, "Dt")
    try:
        return date.fromisoformat(said[:10]), None
    except ValueError:
        raise CamtFactError(element.sourceline or 0, f"{said!r} is no day; expected such as 2026-11-30") from None


def _instant(element: Element | None) -> datetime | None:
    """An instant; naive where the file gives no zone."""
    if element is None:
        return None
    said = text(element)
    try:
        return datetime.fromisoformat(said)
    except ValueError:
        raise CamtFactError(
            element.sourceline or 0, f"{said!r} is no instant; expected such as 2026-11-30T13:15:00+01:00"
        ) from None
