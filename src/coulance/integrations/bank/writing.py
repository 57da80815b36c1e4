"""Bank files of our own making, for tests and the demo: camt.053 and camt.054 version 8, and MT940.

What is written reads back equal, and camt validates against ISO's schemas. Texts are held to what the formats take:
35 characters in references, 140 in a line of text; longer ones are refused, never cut.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from lxml import etree

from coulance_core.kernel import Money
from coulance_core.payments.bank import BankEntry, BankStatement, StatementKind

_SWIFT = re.compile(r"[A-Za-z0-9/\-?:().,'+ ]*")


class UnableToWriteBankFileError(ValueError):
    """A value that the format can't carry."""


def camt(statements: Sequence[BankStatement], *, message_id: str, created_at: datetime) -> bytes:
    """A camt.053 message of statements, or a camt.054 one of notifications; UTF-8 XML.

    Entries of one batch that stand together become one entry with their sum. Raises `UnableToWriteBankFileError`.
    """
    kinds = {statement.kind for statement in statements}
    if len(kinds) != 1 or StatementKind.INTERIM in kinds:
        raise UnableToWriteBankFileError("a message holds statements or notifications, one kind, and at least one")
    is_statement = StatementKind.STATEMENT in kinds
    form = "camt.053.001.08" if is_statement else "camt.054.001.08"
    space = f"urn:iso:std:iso:20022:tech:xsd:{form}"
    root = etree.Element(f"{{{space}}}Document", nsmap={None: space})
    body = _add(root, "BkToCstmrStmt" if is_statement else "BkToCstmrDbtCdtNtfctn")
    head = _add(body, "GrpHdr")
    _add(head, "MsgId", _short(message_id))
    _add(head, "CreDtTm", created_at.isoformat())
    for statement in statements:
        _statement(_add(body, "Stmt" if is_statement else "Ntfctn"), statement, created_at)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return written


def _add(parent: Any, name: str, text: str | None = None, **attributes: str) -> Any:
    element = etree.SubElement(parent, f"{{{etree.QName(parent).namespace}}}{name}", attrib=attributes)
    if text is not None:
        try:
            element.text = text
        except ValueError as fault:
            raise UnableToWriteBankFileError(f"{text!r} holds what XML can't: {fault}") from fault
    return element


def _short(text: str, most: int = 35) -> str:
    if len(text) > most:
        raise UnableToWriteBankFileError(f"{text!r} is longer than {most} characters")
    return text


def _statement(element: Any, statement: BankStatement, created_at: datetime) -> None:
    _add(element, "Id", _short(f"{statement.account[-10:]}-{statement.number or 0}"))
    if statement.page:
        page = _add(element, "StmtPgntn" if statement.kind is StatementKind.STATEMENT else "NtfctnPgntn")
        _add(page, "PgNb", statement.page)
        _add(page, "LastPgInd", "true")
    if statement.number.isdigit():
        _add(element, "ElctrncSeqNb", statement.number)
    _add(element, "CreDtTm", created_at.isoformat())
    account = _add(element, "Acct")
    _add(_add(account, "Id"), "IBAN", statement.account)
    _add(account, "Ccy", statement.currency)
    for kind, amount, on in (
        ("OPBD", statement.opening, statement.opened_on),
        ("CLBD", statement.closing, statement.closed_on),
    ):
        if amount is None or on is None:
            continue
        balance = _add(element, "Bal")
        _add(_add(_add(balance, "Tp"), "CdOrPrtry"), "Cd", kind)
        _amount(balance, amount)
        _add(_add(balance, "Dt"), "Dt", on.isoformat())
    for batch, entries in groupby(statement.entries, key=lambda entry: entry.batch if not entry.batch_count else None):
        if batch:
            _entry(element, list(entries))
        else:
            for entry in entries:
                _entry(element, [entry])


def _amount(element: Any, amount: Money) -> None:
    _add(element, "Amt", Money(abs(amount.minor), amount.currency).decimal(), Ccy=amount.currency)
    _add(element, "CdtDbtInd", "CRDT" if amount.minor >= 0 else "DBIT")


def _entry(element: Any, parts: Sequence[BankEntry]) -> None:
    first = parts[0]
    whole = Money(sum(part.amount.minor for part in parts), first.amount.currency)
    found = _add(element, "Ntry")
    _amount(found, whole)
    if first.is_reversal:
        _add(found, "RvslInd", "true")
    _add(_add(found, "Sts"), "Cd", "BOOK")
    _add(_add(found, "BookgDt"), "Dt", first.booked_on.isoformat())
    if first.value_on is not None:
        _add(_add(found, "ValDt"), "Dt", first.value_on.isoformat())
    if first.bank_ref:
        _add(found, "AcctSvcrRef", _short(first.bank_ref))
    code = _add(_add(found, "BkTxCd"), "Domn")
    _add(code, "Cd", "PMNT")
    family = _add(code, "Fmly")
    _add(family, "Cd", "RCDT" if whole.minor >= 0 else "ICDT")
    _add(family, "SubFmlyCd", "ESCT")
    if first.charges is not None:
        _add(
            _add(found, "Chrgs"),
            "TtlChrgsAndTaxAmt",
            first.charges.decimal(),
            Ccy=first.charges.currency,
        )
    details = _add(found, "NtryDtls")
    if first.batch:
        batch = _add(details, "Btch")
        _add(batch, "PmtInfId", _short(first.batch))
        _add(batch, "NbOfTxs", str(first.batch_count or len(parts)))
    if first.batch_count:
        return
    for part in parts:
        _detail(details, part)


def _detail(element: Any, entry: BankEntry) -> None:
    found = _add(element, "TxDtls")
    refs = _add(found, "Refs")
    _add(refs, "EndToEndId", _short(entry.end_to_end_id or "NOTPROVIDED"))
    if entry.mandate_id:
        _add(refs, "MndtId", _short(entry.mandate_id))
    _amount(found, entry.amount)
    incoming = (entry.amount.minor >= 0) is not entry.is_reversal
    role = "Dbtr" if incoming else "Cdtr"
    if entry.counterparty_name or entry.counterparty_iban:
        parties = _add(found, "RltdPties")
        if entry.counterparty_name:
            _add(_add(_add(parties, role), "Pty"), "Nm", _short(entry.counterparty_name, 140))
        else:
            _add(_add(parties, role), "Pty")
        if entry.counterparty_iban:
            _add(_add(_add(parties, f"{role}Acct"), "Id"), "IBAN", entry.counterparty_iban)
    if entry.remittance or entry.structured_reference:
        remittance = _add(found, "RmtInf")
        for line in _lines(entry.remittance):
            _add(remittance, "Ustrd", line)
        if entry.structured_reference:
            info = _add(_add(remittance, "Strd"), "CdtrRefInf")
            _add(_add(_add(info, "Tp"), "CdOrPrtry"), "Cd", "SCOR")
            _add(info, "Ref", _short(entry.structured_reference))
    if entry.return_reason:
        _add(_add(_add(found, "RtrInf"), "Rsn"), "Cd", _short(entry.return_reason, 4))


def _lines(text: str, most: int = 140) -> Iterator[str]:
    """The words of a text in lines; a word that fills more than a line is refused."""
    line = ""
    for word in text.split():
        _short(word, most)
        if line and len(line) + 1 + len(word) > most:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    if line:
        yield line


def mt940(statements: Iterable[BankStatement]) -> str:
    """The statements as MT940 with slash codes in `:86:`, as Dutch banks write them; CRLF between lines.

    A payment of a batch becomes an entry of its own. Raises `UnableToWriteBankFileError` for characters that SWIFT's
    set lacks, and for an entry's charges, which MT940 has no place for.
    """
    out: list[str] = []
    for statement in statements:
        if statement.opening is None or statement.closing is None or not statement.opened_on or not statement.closed_on:
            raise UnableToWriteBankFileError("an MT940 statement has an opening and a closing balance with their days")
        out += [f":20:{_swift(f'ST{statement.number or 0}')[:16]}", f":25:{statement.account}"]
        out.append(f":28C:{statement.number or 0}/{statement.page or 1}")
        out.append(f":60F:{_balance(statement.opening)[0]}{statement.opened_on:%y%m%d}{_balance(statement.opening)[1]}")
        for entry in statement.entries:
            out += _mt940_entry(entry)
        out.append(f":62F:{_balance(statement.closing)[0]}{statement.closed_on:%y%m%d}{_balance(statement.closing)[1]}")
        out.append("-")
    return "\r\n".join(out) + "\r\n"


def _balance(amount: Money) -> tuple[str, str]:
    decimal = Money(abs(amount.minor), amount.currency).decimal().replace(".", ",")
    return ("C" if amount.minor >= 0 else "D"), f"{amount.currency}{decimal if ',' in decimal else decimal + ','}"


def _swift(text: str) -> str:
    if not _SWIFT.fullmatch(text):
        raise UnableToWriteBankFileError(f"{text!r} holds characters that MT940 lacks")
    return text


def _mt940_entry(entry: BankEntry) -> Iterator[str]:
    if entry.charges is not None:
        raise UnableToWriteBankFileError("MT940 has no place for an entry's charges")
    mark = "C" if entry.amount.minor >= 0 else "D"
    if entry.is_reversal:
        mark = "RD" if mark == "C" else "RC"
    amount = _balance(entry.amount)[1][3:]
    value_on = entry.value_on or entry.booked_on
    line = f":61:{value_on:%y%m%d}{entry.booked_on:%m%d}{mark}{amount}NTRFNONREF"
    yield line + (f"//{_short(_swift(entry.bank_ref), 16)}" if entry.bank_ref else "")
    fields = [
        ("RTRN", entry.return_reason),
        ("EREF", entry.end_to_end_id),
        ("MARF", entry.mandate_id),
        ("IBAN", entry.counterparty_iban),
        ("NAME", entry.counterparty_name),
        ("REMI", f"STRD/CUR/{entry.structured_reference}" if entry.structured_reference else entry.remittance),
    ]
    text = "/TRTP/SEPA OVERBOEKING" + "".join(f"/{code}/{_swift(said)}" for code, said in fields if said)
    first, rest = text[:61], text[61:]
    yield f":86:{first}"
    while rest:
        # A line may neither begin like a tag nor end with a space, which readers take off.
        cut = 65
        while cut > 1 and (rest[cut - 1 : cut] == " " or rest[cut : cut + 1] in (":", "-")):
            cut -= 1
        yield rest[:cut]
        rest = rest[cut:]
