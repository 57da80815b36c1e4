"""camt.053 statements, camt.054 notifications and camt.052 reports of any version from 2 to 8, read as a stream.

XML from a bank is still XML from outside: a document type is refused at the first element, no entity is resolved and
nothing is fetched. Entries are let go as they are read, so that a file of any size takes the memory of its values.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO

from lxml import etree

from coulance.integrations.bank import camt_facts as facts
from coulance.integrations.bank.camt_facts import Amount, Balance, CamtFactError, Detail, Entry, Header, Record
from coulance.integrations.bank.details import account_number, said
from coulance.integrations.bank.errors import UnableToReadBankFileError
from coulance_core.kernel import Money, currency
from coulance_core.payments.bank import BankEntry, BankStatement, StatementKind

_NAMESPACE = re.compile(r"urn:iso:std:iso:20022:tech:xsd:(camt\.05[234])\.001\.(\d\d)")
_RECORD = {"camt.052": "Rpt", "camt.053": "Stmt", "camt.054": "Ntfctn"}
_KIND = {
    "camt.052": StatementKind.INTERIM,
    "camt.053": StatementKind.STATEMENT,
    "camt.054": StatementKind.NOTIFICATION,
}
_VERSIONS = range(2, 9)
_RETURN_FAMILIES = frozenset({"RRTN", "UPDD", "RPCR", "PRDD", "RIDD", "CAJT", "DAJT"})
"""ISO sub-families of movements that take one back: returned credit transfers, unpaid or reversed direct debits."""


@dataclass(slots=True)
class CamtRecord:
    """One statement, report or notification, taken apart."""

    head: Record
    balances: list[Balance] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class CamtMessage:
    """A whole message, taken apart: `form` is such as `camt.053.001.08`."""

    form: str
    header: Header
    records: list[CamtRecord]


def read_camt(source: Path | IO[bytes], *, name: str) -> Iterator[BankStatement]:
    """The statements of a message, in their order; each is given when its element ends.

    Raises `UnableToReadBankFileError`, also where a statement's balances and booked entries do not add up.
    """
    for form, _, record in _stream(source, name):
        if record is not None:
            yield _statement(form, record, name)


def message(source: Path | IO[bytes], *, name: str) -> CamtMessage:
    """The message with every fact in it, nothing checked beyond its form."""
    whole: CamtMessage | None = None
    for form, header, record in _stream(source, name):
        whole = whole or CamtMessage(form, header, [])
        if record is not None:
            whole.records.append(record)
    if whole is None:
        raise UnableToReadBankFileError(name, "no group header (GrpHdr); expected a whole camt message")
    return whole


def _stream(source: Path | IO[bytes], name: str) -> Iterator[tuple[str, Header, CamtRecord | None]]:
    """The form and header with each record, and once with no record, after the header."""
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                yield from _events(file, name)
        except OSError as fault:
            raise UnableToReadBankFileError(name, f"can't be opened: {fault.strerror or fault}") from fault
    else:
        yield from _events(source, name)


def _events(source: IO[bytes], name: str) -> Iterator[tuple[str, Header, CamtRecord | None]]:
    form = ""
    header: Header | None = None
    found = 0
    balances: list[Balance] = []
    entries: list[Entry] = []
    events = etree.iterparse(
        source,
        events=("start", "end"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        remove_comments=True,
        remove_pis=True,
        huge_tree=False,
    )
    depth = 0
    try:
        for event, element in events:
            if event == "start":
                depth += 1
                if depth == 1:
                    form = _form(element, name)
                continue
            depth -= 1
            if depth not in (2, 3):
                continue
            tag = facts.local(element)
            if depth == 2 and tag == "GrpHdr":
                header = facts.header(element)
                yield form, header, None
            elif depth == 3 and tag == "Bal":
                balances.append(facts.balance(element))
            elif depth == 3 and tag == "Ntry":
                entries.append(facts.entry(element))
                # Let go of the entry, and of the place of the one before it.
                element.clear()
                before = element.getprevious()
                if before is not None and facts.local(before) == "Ntry":
                    element.getparent().remove(before)
            elif depth == 2 and tag == _RECORD[form[:8]]:
                if header is None:
                    raise CamtFactError(element.sourceline or 0, "no group header (GrpHdr) before the statement")
                found += 1
                yield form, header, CamtRecord(facts.record(element), balances, entries)
                balances, entries = [], []
                element.clear()
    except CamtFactError as fault:
        raise UnableToReadBankFileError(f"{name}: line {fault.line}", str(fault)) from fault
    except etree.XMLSyntaxError as fault:
        line = fault.lineno or 1
        raise UnableToReadBankFileError(
            f"{name}: line {line}", f"not well-formed XML ({fault.msg}): is the file cut off or altered?"
        ) from fault
    if not found:
        raise UnableToReadBankFileError(
            name, f"there is no statement in it; expected an element {_RECORD[form[:8]]} after the group header"
        )


def _form(element: facts.Element, name: str) -> str:
    info = element.getroottree().docinfo
    if info.doctype or info.internalDTD is not None:
        raise UnableToReadBankFileError(f"{name}: line 1", "it has a document type (DOCTYPE); bank files have none")
    space = etree.QName(element).namespace or ""
    found = _NAMESPACE.fullmatch(space)
    if found is None or int(found[2]) not in _VERSIONS or facts.local(element) != "Document":
        raise UnableToReadBankFileError(
            f"{name}: line {element.sourceline or 1}",
            f"the root is {facts.local(element)} of {space or 'no namespace'}; "
            "expected Document of camt.052, camt.053 or camt.054, versions 2 to 8",
        )
    return f"{found[1]}.001.{found[2]}"


def _statement(form: str, record: CamtRecord, name: str) -> BankStatement:
    head = record.head
    where = f"{name}: line {head.line}"
    opening, closing = _balance(record.balances, ("OPBD", "PRCD")), _balance(record.balances, ("CLBD",))
    kind = _KIND[form[:8]]
    if kind is StatementKind.STATEMENT and (opening is None or closing is None):
        missing = "opening balance (OPBD or PRCD)" if opening is None else "closing balance (CLBD)"
        raise UnableToReadBankFileError(where, f"statement {head.id or head.electronic_number} has no {missing}")
    booked = [entry for entry in record.entries if entry.status in ("BOOK", "")]
    code = head.account.currency
    if not code and opening is not None:
        code = opening.amount.currency
    if not code and booked:
        code = booked[0].amount.currency
    if not code:
        code = record.entries[0].amount.currency if record.entries else "EUR"
    try:
        currency(code)
    except ValueError as fault:
        raise UnableToReadBankFileError(where, f"the account's currency: {fault}") from fault
    notes = []
    if left := len(record.entries) - len(booked):
        notes.append(f"{left} pending {'entry' if left == 1 else 'entries'} left out: they come again when booked")
    if head.copy:
        notes.append("marked as a copy or duplicate by the bank")
    entries: list[BankEntry] = []
    for entry in booked:
        at = f"{name}: line {entry.line}"
        day = entry.booked_on or entry.value_on or (head.created_at.date() if head.created_at else None)
        if day is None:
            raise UnableToReadBankFileError(at, "an entry without a booking day (BookgDt) or value day (ValDt)")
        entries.extend(_entries(entry, day, at, notes))
    statement = BankStatement(
        account=head.account.identification,
        currency=code,
        entries=tuple(entries),
        kind=kind,
        number=head.electronic_number or head.legal_number or head.id,
        page=head.page,
        opening=None if opening is None else _money(opening.amount, where),
        closing=None if closing is None else _money(closing.amount, where),
        opened_on=None if opening is None else opening.on,
        closed_on=None if closing is None else closing.on,
        form=form,
        place=where,
        notes=tuple(notes),
    )
    if wrong := statement.fault():
        raise UnableToReadBankFileError(where, f"statement {head.id} does not add up: {wrong}")
    return statement


def _balance(balances: list[Balance], kinds: tuple[str, ...]) -> Balance | None:
    """The balance of the first kind there is; a page's interim balance (`ITBD`) serves where there is no other."""
    for kind in kinds:
        for balance in balances:
            if balance.kind == kind:
                return balance
    interim = [balance for balance in balances if balance.kind == "ITBD"]
    if not interim:
        return None
    return interim[0] if kinds[0] == "OPBD" else interim[-1]


def _money(amount: Amount, where: str) -> Money:
    try:
        return Money.of(amount.value, amount.currency)
    except ValueError as fault:
        raise UnableToReadBankFileError(where, str(fault)) from fault


def _entries(entry: Entry, day: date, where: str, notes: list[str]) -> Iterator[BankEntry]:
    """An entry, or each payment of a batch where their amounts are given and sum to it."""
    amount = _money(entry.amount, where)
    if len(entry.details) > 1:
        parts = _parts(entry, where)
        if parts is not None:
            batch = entry.batch_payment or entry.batch_message or entry.servicer_reference or "batch"
            for position, (detail, part) in enumerate(zip(entry.details, parts, strict=True), start=1):
                yield _entry(entry, day, detail, part, f"{where}, payment {position}", batch=batch)
            return
        notes.append(f"{where}: the {len(entry.details)} payments of a batch don't sum to it; it is kept as one entry")
    only = entry.details[0] if entry.details else None
    count = max(entry.batch_count, len(entry.details))
    batch = (entry.batch_payment or entry.batch_message) if count > 1 else ""
    yield _entry(entry, day, only, amount, where, batch=batch, count=count if count > 1 else 0)


def _parts(entry: Entry, where: str) -> list[Money] | None:
    """The payments' amounts, when all are given in the entry's currency and sum to it."""
    parts: list[Money] = []
    for detail in entry.details:
        if detail.amount is None or detail.amount.currency != entry.amount.currency:
            return None
        credit = entry.is_credit if detail.is_credit is None else detail.is_credit
        part = _money(detail.amount, where)
        parts.append(part if credit else -part)
    total = sum(part.minor for part in parts)
    return parts if total == _money(entry.amount, where).minor else None


def _entry(
    entry: Entry, day: date, detail: Detail | None, amount: Money, where: str, *, batch: str = "", count: int = 0
) -> BankEntry:
    if detail is None:
        return BankEntry(
            booked_on=day,
            value_on=entry.value_on,
            amount=amount,
            remittance=entry.additional,
            bank_ref=entry.servicer_reference or entry.reference,
            is_reversal=entry.is_reversal,
            batch=batch,
            batch_count=count,
            code=str(entry.code),
            charges=_charges(entry.charges, amount, where),
            place=where,
        )
    # The other side: who paid when money came in, who is paid when it goes out; a reversal turns the roles round.
    incoming = (amount.minor >= 0) is not entry.is_reversal
    role = "Dbtr" if incoming else "Cdtr"
    party, ultimate = detail.party(role), detail.party(f"Ultmt{role}")
    names = [who.name for who in (party, ultimate) if who is not None and who.name]
    account = party.account if party is not None else None
    references = [block for block in detail.structured if block.reference]
    words = [*detail.unstructured, *(block.additional for block in detail.structured if block.additional)]
    words += [document for block in detail.structured for document in block.documents]
    if not count:
        words += [block.reference for block in references[1:]]
    if not words and not references:
        words = [detail.additional or entry.additional]
    code = str(detail.code) or str(entry.code)
    came_back = (
        detail.is_return or detail.code.sub_family in _RETURN_FAMILIES or entry.code.sub_family in _RETURN_FAMILIES
    )
    reason = detail.return_reason or detail.return_info or (code if came_back else "")
    own = detail.references.get("AcctSvcrRef") or detail.references.get("AcctSvcrTxId")
    return BankEntry(
        booked_on=day,
        value_on=entry.value_on,
        amount=amount,
        end_to_end_id="" if count else said(detail.references.get("EndToEndId")),
        structured_reference="" if count or not references else references[0].reference,
        remittance=" ".join(" ".join(words).split()),
        counterparty_name="" if count else " / ".join(dict.fromkeys(names)),
        counterparty_iban="" if count or account is None else account_number(account.identification),
        bank_ref=own or entry.servicer_reference or entry.reference or detail.references.get("TxId", ""),
        mandate_id=said(detail.references.get("MndtId")),
        return_reason=reason,
        is_reversal=entry.is_reversal,
        batch=batch,
        batch_count=count,
        code=code,
        charges=_charges(detail.charges or entry.charges, amount, where),
        place=where,
    )


def _charges(charges: Amount | None, amount: Money, where: str) -> Money | None:
    """What the bank took, when it is in the account's currency; in another it is told by the bank's own file only."""
    if charges is None or charges.currency != amount.currency:
        return None
    return _money(charges, where)
