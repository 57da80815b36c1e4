"""What the made-up provider's office does once a month is closed: mails it, hears what came back, pays money back.

Everything goes through the flows that a real provider's commands use, to a directory of mails instead of a server. Run
again it finds everything done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows import crediting
from coulance.flows import payments as money
from coulance.flows.sending import queueing, status
from coulance.integrations.demo.fleet import fleet
from coulance.integrations.demo.story import SEED
from coulance.invoicing import queries as invoicing
from coulance.invoicing.einvoice.survey import Survey, survey
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.notices.transport import SECRET, read_transport
from coulance.payments import bank, statements
from coulance.payments import queries as payments
from coulance.payments.pdf import render_statement
from coulance.platform import secret_store
from coulance.services import queries as services
from coulance_core.invoicing import CreditRequest, CreditType
from coulance_core.kernel import Money
from coulance_core.payments import Method

MAILED = ("base_invoice", "overage_invoice", "credit_note")
BOUNCES = (
    ("5.1.1", "550 5.1.1 no such user here"),
    ("5.2.2", "552 5.2.2 the mailbox is full"),
)
"""What the servers of the customers that no mail reaches say."""
E_INVOICES = 12
"""How many e-invoices the demo has judged: the rules take a fifth of a second each."""


def set_mail(folder: Path, *, actor: str, at: datetime) -> None:
    """Have mail written to a directory, unless this was done before."""
    if secret_store.secret(SECRET) is None:
        secret_store.set_secret(name=SECRET, value=f"file://{folder}", actor=actor, at=at, reason="the demo")


@dataclass(frozen=True, slots=True)
class Mailed:
    """A month's documents as mails: how many went to how many addresses, and which came back."""

    documents: int
    addresses: int
    undelivered: tuple[str, ...]


def mail(period: str, folder: Path, *, actor: str, at: datetime, lanes: int = 4) -> Mailed | None:
    """Approve a month's invoices and credit notes and send them; read what came back. None when that was done before.

    Usage statements are left to be sent by whoever looks at the demo.
    """
    ready = [one for one in queueing.plan(period=period).ready if one.document.kind in MAILED]
    way = read_transport(f"file://{folder}?connections={lanes}")
    if not ready and not sent.mail_state(at=at).due:
        return None
    if ready:
        numbers = [one.document.number or "" for one in ready]
        queueing.approve(numbers=numbers, actor=actor, at=at, reason=f"the invoices of {period}, looked through")
    done = notices.send_due(transport=way, clock=lambda: at)
    if done.stopped:
        raise RuntimeError(done.stopped)
    rows = sent.messages(kind="document", state=["accepted"], limit=100_000)
    addresses = sorted({row.address for row in rows})
    third = max(len(addresses) // 3, 1)
    lost = dict(zip(addresses[third::third], BOUNCES, strict=False))
    box = folder.with_name("bounces.mbox")
    reports = [report_of(row, *lost[row.address], at + timedelta(minutes=9)) for row in rows if row.address in lost]
    box.write_bytes(b"".join(b"From MAILER-DAEMON\n" + report + b"\n" for report in reports))
    notices.read_bounces(path=box, at=at + timedelta(hours=1))
    back = tuple(sorted(one.document.number or "" for one in status.undelivered_documents()))
    return Mailed(len({row.about for row in rows}), len(addresses), back)


def report_of(row: sent.DeliveryRow, code: str, said: str, at: datetime) -> bytes:
    """A delivery report (RFC 3464) as the customer's server writes it."""
    host = row.address.rpartition("@")[2]
    outer = EmailMessage()
    outer["From"] = f"MAILER-DAEMON@{host}"
    outer["Subject"] = "Undelivered Mail Returned to Sender"
    outer["Message-ID"] = f"<returned-{row.header_id.strip('<>')}>"
    outer["Date"] = at
    told = (
        f"Reporting-MTA: dns; {host}\n\nFinal-Recipient: rfc822; {row.address}\nAction: failed\nStatus: {code}\n"
        f"Diagnostic-Code: smtp; {said}\nLast-Attempt-Date: {at:%a, %d %b %Y %H:%M:%S +0000}\n"
    )
    parts = (
        ("text/plain", f"Your mail to {row.address} could not be delivered.\n"),
        ("message/delivery-status", told),
        ("text/rfc822-headers", f"Message-ID: {row.header_id}\n"),
    )
    head = outer.as_bytes().rstrip(b"\n").decode()
    body = "".join(f"--=_report\nContent-Type: {kind}\n\n{text}\n" for kind, text in parts)
    kind = 'multipart/report; report-type=delivery-status; boundary="=_report"'
    return f"{head}\nMIME-Version: 1.0\nContent-Type: {kind}\n\n{body}--=_report--\n".encode()


@dataclass(frozen=True, slots=True)
class MadeGood:
    """A paid invoice that was credited in part, and the money that went back for it."""

    invoice: str
    credit_note: str
    account: str
    refunded: Money


def make_good(*, actor: str, at: datetime, on: date) -> MadeGood | None:
    """Meet the customer whose server ran away half-way: a credit note on what they paid, and the money back.

    None when it was done before, or when they have not paid.
    """
    number = _runaways_invoice()
    if number is None:
        return None
    stored = invoicing.document(number=number)
    account = stored.row.account
    given = [row for row in invoicing.documents(account=account, kind="credit_note", state="issued") if row.run is None]
    if given:
        note = given[0].number or ""
    elif _open_of(account, number).minor == 0:
        lines = invoicing.lines(document=stored.row.id)
        half = [CreditRequest(line.no, Money(line.net.minor // 2, line.net.currency)) for line in lines]
        note = crediting.give_credit_note(
            number=number,
            lines=half,
            credit_type=CreditType.PRICE_REDUCTION,
            reason="A runaway process, stopped within the hour of your call: we meet you half-way",
            actor=actor,
            at=at,
        )
    else:
        return None
    back = -_open_of(account, number)
    if back.minor <= 0:
        return None
    money.refund_credit(
        account=account,
        amount=back,
        refunded_on=on,
        source_key=f"demo/refund/{note}",
        actor=actor,
        reason=f"{note}: what was paid too much goes back to where it came from",
        at=at,
        method=Method.BANK,
        iban=payments.known_ibans(accounts=[account])[0].iban,
    )
    return MadeGood(number, note, customers.accounts([account])[0].external_id, back)


def _open_of(account: int, number: str) -> Money:
    return next(item.open for item in payments.items(account=account) if item.number == number)


def _runaway() -> services.ServiceRow:
    made = next(service for service in fleet(SEED).services if service.incident == "runaway")
    return services.service(made.external_id)


def _runaways_invoice() -> str | None:
    """The first overage invoice that names the server."""
    row = _runaway()
    bills = invoicing.documents(account=row.account_id, kind="overage_invoice", state="issued")
    own = (one for one in bills if any(line.service == row.id for line in invoicing.lines(document=one.id)))
    return next((one.number for one in own), None)


def pay_back_doubles(*, actor: str, at: datetime, on: date) -> tuple[int, Money | None]:
    """Pay back whole receipts that nothing was owed for: paid twice. How many, and what they come to."""
    total: Money | None = None
    count = 0
    for receipt in payments.receipts(with_left=True, until=on, limit=10_000):
        if receipt.left == receipt.amount and receipt.payer_iban:
            money.refund_payment(
                receipt=receipt.id,
                amount=receipt.left,
                refunded_on=on,
                source_key=f"demo/refund/receipt/{receipt.id}",
                actor=actor,
                reason="paid twice",
                at=at,
            )
            total = receipt.left if total is None else total + receipt.left
            count += 1
    return count, total


def judge_einvoices(tell: Callable[[int, int], None]) -> Survey:
    """Write a sample of the documents as UBL and have the official rules judge them."""
    rows = [
        row
        for kind in MAILED
        for row in invoicing.documents(kind=kind, state="issued", limit=E_INVOICES // len(MAILED))
    ]
    out = Survey()
    for done, row in enumerate(rows, 1):
        out.add(survey([invoicing.document_by_id(document=row.id).snapshot], with_cii=False))
        tell(done, len(rows))
    return out


def write_statement(folder: Path, *, start: date, end: date) -> Path | None:
    """The statement of account of the runaway's customer over [start, end), as PDF; None when it is there."""
    row = customers.accounts([_runaway().account_id])[0]
    path = folder / f"statement-{row.external_id}.pdf"
    if path.exists():
        return None
    found = statements.account_statement(account=row.id, currency=row.currency, start=start, end=end)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(render_statement(found, seller=catalog.catalog().provider, buyer=row))
    return path


@dataclass(frozen=True, slots=True)
class Standing:
    """Where customers stand on a day, in one currency: what came in, what is owed, how much of it late, what waits."""

    received: Money
    receipts: int
    owed: Money
    late: Money
    late_accounts: int
    queued: Money
    in_queue: int


def standing(*, on: date) -> Standing | None:
    """Where everybody stands at the end of a day; None where no bank file was ever imported."""
    known = bank.status()
    if not known:
        return None
    code = known[0].currency
    aged = [one for one in statements.aged_accounts(on=on) if one.ages.currency == code]
    total = statements.totals(aged).get(code)
    nothing = Money(0, code)
    received = [one for one in payments.receipts(limit=1_000_000) if one.method.is_money and one.reversed_on is None]
    waiting = bank.entries(states=("suggested",), limit=100_000)
    return Standing(
        received=Money(sum(one.amount.minor for one in received if one.amount.currency == code), code),
        receipts=len(received),
        owed=total.debts if total else nothing,
        late=total.debts - total.not_late if total else nothing,
        late_accounts=sum(1 for one in aged if one.ages.debts.minor > one.ages.not_late.minor),
        queued=Money(sum(row.entry.amount.minor for row in waiting), code),
        in_queue=len(waiting),
    )
