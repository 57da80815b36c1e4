"""MT940 statements and MT942 interim reports, read by the `mt-940` library and checked by us.

The library takes tags apart; here messages are told from each other (`:20:` begins one, `-` ends it), a message that
stops half-way is refused, and `:86:` is understood per bank (`details.py`).
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from mt940.models import Transactions
from mt940.options import Options
from mt940.tags import StatementASNB, StatementGLS

from coulance.integrations.bank.details import Details, account_number, read_details, said
from coulance.integrations.bank.errors import UnableToReadBankFileError
from coulance_core.kernel import Money, currency
from coulance_core.payments.bank import BankEntry, BankStatement, StatementKind

_OPTIONS = Options.all()
_TAG = re.compile(r":([0-9]{2}[A-Z]?|NS):")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff]")
_IBAN = re.compile(r"([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}?)(?:[A-Z]{3})?")
_RETURNS = frozenset({"059", "105", "108", "109", "159", "181", "184", "185"})
"""German transaction codes that take a payment back (DK Geschäftsvorfallcodes): returned debits and transfers."""
_OPENING = ("final_opening_balance", "intermediate_opening_balance", "opening_balance")
_CLOSING = ("final_closing_balance", "intermediate_closing_balance", "closing_balance")

# The library reports each tag that it cannot read as errors of its own, pattern and all; ours say where.
logging.getLogger("mt940").addHandler(logging.NullHandler())
logging.getLogger("mt940").propagate = False


@dataclass(frozen=True, slots=True)
class Message:
    """One MT940 or MT942 message, taken apart: the library's reading of it, and where its entries stand."""

    read: Transactions
    line: int
    entry_lines: tuple[int, ...]
    interim: bool


def is_mt940(text: str) -> bool:
    """Whether a text looks like MT940 or MT942: a line that begins with the tag of a message."""
    return re.search(r"^:(20|25|28C?|60[FM]):", text, re.M) is not None


def read_mt940(text: str, *, name: str) -> Iterator[BankStatement]:
    """The statements of a text, in their order. `name` is the file's, for what is refused.

    Raises `UnableToReadBankFileError`, also for a message that stops half-way, has no account or no balances, or does
    not add up.
    """
    for message in messages(text, name=name):
        yield _statement(message, name)


def messages(text: str, *, name: str) -> Iterator[Message]:
    """Every message, its tags read and nothing checked beyond that."""
    for line, block in _blocks(text):
        starts = [line + number for number, row in enumerate(block) if re.match(r":61:", row)]
        transactions = _taken_apart(block)
        if transactions is None:
            raise _unreadable(name, line, block)
        interim = any(re.match(r":(34F|13D?|90[CD]):", row) for row in block) and not any(
            re.match(r":6[02][FM]?:", row) for row in block
        )
        yield Message(transactions, line, tuple(starts), interim)


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each message's lines, with the number of its first; what stands between messages is left out."""
    lines = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    block: list[str] = []
    start, closed = 1, False
    for number, line in enumerate(lines, start=1):
        plain = re.sub(r"^\{1:.*\{4:\s*", "", line) if line.startswith("{") else line
        if plain.startswith(":20:") and block:
            yield start, block
            block = []
        tag = _TAG.match(plain)
        if tag:
            if not block:
                start = number
            closed = (closed and bool(block) and tag[1] in ("64", "65", "86")) or tag[1].startswith("62")
            # What follows the closing balance in :86: is about the statement, and no entry's text.
            if closed and tag[1] == "86":
                continue
            block.append(plain)
        elif block and not closed and not _ends(plain, lines, number):
            block.append(plain)
        elif block:
            closed = True
    if block:
        yield start, block


def _ends(line: str, lines: list[str], number: int) -> bool:
    """Whether this line ends a message: `-` or `-}`, unless more of the message follows (a dash in a text)."""
    if not re.match(r"-(\}.*|XXX)?\s*$", line):
        return False
    following = next((tag for row in lines[number:] if (tag := _TAG.match(row))), None)
    return following is None or following[1] in ("20", "21", "25")


def _taken_apart(block: list[str]) -> Transactions | None:
    """The library's reading; None where no way to write an entry fits.

    ASN Bank writes an IBAN where 16 characters of reference may stand, GLS and Atruvia a reference of any length.
    """
    text = "\n".join(block)
    for entry in (None, StatementASNB(), StatementGLS()):
        transactions = Transactions(tags={entry.id: entry} if entry else None, options=_OPTIONS)
        try:
            transactions.parse(text)
        except (RuntimeError, ValueError, ArithmeticError, LookupError, TypeError):
            continue
        return transactions
    return None


def _unreadable(name: str, line: int, block: list[str]) -> UnableToReadBankFileError:
    """The first tag that cannot be read by itself, by its line."""
    starts = [number for number, row in enumerate(block) if _TAG.match(row)]
    for position, start in enumerate(starts):
        end = starts[position + 1] if position + 1 < len(starts) else len(block)
        if _taken_apart(block[start:end]) is None:
            shown = block[start] if len(block[start]) <= 60 else block[start][:60] + "..."
            return UnableToReadBankFileError(f"{name}: line {line + start}", f"can't be read as MT940: {shown!r}")
    return UnableToReadBankFileError(f"{name}: line {line}", "this message can't be read as MT940")


def _statement(message: Message, name: str) -> BankStatement:
    where = f"{name}: line {message.line}"
    data: dict[str, Any] = message.read.data
    identification = str(data.get("account_identification") or "").strip()
    if not identification:
        raise UnableToReadBankFileError(where, "a message without an account; expected a line :25:")
    opening = next((data[key] for key in _OPENING if data.get(key)), None)
    closing = next((data[key] for key in _CLOSING if data.get(key)), None)
    if not message.interim and (opening is None or closing is None):
        missing = "opening balance (:60F:)" if opening is None else "closing balance (:62F:)"
        raise UnableToReadBankFileError(
            where, f"this statement has no {missing}: is the file cut off? Ask the bank for it again"
        )
    code = message.read.currency or ""
    try:
        currency(code)
    except ValueError as fault:
        raise UnableToReadBankFileError(where, f"the balances' currency is {code!r}: {fault}") from fault
    number, page = _number(data)
    entries = []
    for place, line in zip(message.read.transactions, message.entry_lines, strict=True):
        entries.append(_entry(place.data, code, f"{name}: line {line}"))
    statement = BankStatement(
        account=_account(identification),
        currency=code,
        entries=tuple(entries),
        kind=StatementKind.INTERIM if message.interim else StatementKind.STATEMENT,
        number=number,
        page=page,
        opening=_balance(opening, where) if opening else None,
        closing=_balance(closing, where) if closing else None,
        opened_on=_day(opening.date) if opening else None,
        closed_on=_day(closing.date) if closing else None,
        form="mt942" if message.interim else "mt940",
        place=where,
    )
    if wrong := statement.fault():
        raise UnableToReadBankFileError(where, f"this statement does not add up: {wrong}")
    return statement


def _account(identification: str) -> str:
    """The IBAN, or the bank's own number: `51210600/9223382012EUR` stays as it is, less a currency behind it."""
    plain = account_number(identification)
    if found := _IBAN.fullmatch(plain):
        return found[1]
    return re.sub(r"(?<=[0-9])[A-Z]{3}$", "", plain)


def _number(data: dict[str, Any]) -> tuple[str, str]:
    number = str(data.get("statement_number") or "").strip()
    page = str(data.get("sequence_number") or "").strip()
    return number, page


def _money(amount: Decimal, code: str, where: str) -> Money:
    try:
        return Money.of(amount, code)
    except ValueError as fault:
        raise UnableToReadBankFileError(where, str(fault)) from fault


def _balance(balance: Any, where: str) -> Money:
    code = str(balance.amount.currency)
    try:
        currency(code)
    except ValueError as fault:
        raise UnableToReadBankFileError(where, f"a balance's currency is {code!r}: {fault}") from fault
    return _money(balance.amount.amount, code, where)


def _day(day: Any) -> date:
    return date(day.year, day.month, day.day)


def _entry(data: dict[str, Any], code: str, where: str) -> BankEntry:
    status = str(data.get("status") or "").upper()
    value_on = _day(data["date"])
    booked_on = _day(data["entry_date"]) if data.get("entry_date") else value_on
    text = data.get("transaction_details")
    details = _german(data) if text is None and "purpose" in data else read_details(str(text or ""))
    extra = account_number(str(data.get("extra_details") or ""))
    iban = details.iban or (extra if re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", extra) else "")
    kind = str(data.get("id") or "").strip()
    return BankEntry(
        booked_on=booked_on,
        value_on=value_on,
        amount=_money(data["amount"].amount, code, where),
        end_to_end_id=details.end_to_end_id,
        structured_reference=details.structured_reference,
        remittance=details.remittance,
        counterparty_name=details.name,
        counterparty_iban=iban,
        bank_ref=said(str(data.get("bank_reference") or "")),
        mandate_id=details.mandate_id,
        return_reason=details.return_reason or ("returned item" if kind[1:] == "RTI" else ""),
        is_reversal=status.startswith("R"),
        code=kind,
        place=where,
    )


def _german(data: dict[str, Any]) -> Details:
    code = str(data.get("transaction_code") or "")
    reason = str(data.get("return_debit_notes") or "")
    # 000 to 899 in ?34 are what the bank adds to any entry; 901 to 999 say why something came back.
    came_back = code in _RETURNS or (len(reason) == 3 and "901" <= reason <= "999")
    purpose = " ".join(str(data.get("purpose") or "").split())
    additional = " ".join(str(data.get("additional_purpose") or "").split())
    return Details(
        remittance=" ".join(part for part in (purpose, additional) if part),
        name=" ".join(str(data.get("applicant_name") or "").split()),
        iban=account_number(str(data.get("gvc_applicant_iban") or data.get("applicant_iban") or "")),
        end_to_end_id=said(data.get("end_to_end_reference")),
        mandate_id=said(data.get("additional_position_reference")),
        return_reason=(reason or f"code {code}") if came_back else "",
    )
