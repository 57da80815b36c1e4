"""WHMCS to a neutral book: clients, contacts, services, invoices, credit, by the rules that WHMCS keeps them by.

Each kind has a file of its own: `whmcs_clients`, `whmcs_invoices`, `whmcs_services`. Invoices go before services, as
what is billed of a service follows from them.
"""

from coulance.integrations.takeover.gathering import Gathered
from coulance.integrations.takeover.whmcs_answers import Answers, Placed, number_of
from coulance.integrations.takeover.whmcs_clients import Clients
from coulance.integrations.takeover.whmcs_invoices import Invoices
from coulance.integrations.takeover.whmcs_services import Services
from coulance.integrations.takeover.whmcs_shared import ADDON, DOMAIN, Shared
from coulance_core.kernel import Money
from coulance_core.taking_over import Where


def build(answers: Answers, gathered: Gathered) -> dict[str, dict[str, Money]]:
    """Put everything the answers hold into `gathered`.

    Gives what was paid of overage in the twelve months before, by account and invoice: what clauses are bounded by.
    """
    of = Shared(answers, gathered)
    for row in answers.transactions:
        invoice = number_of(row.record.get("invoiceid"))
        if invoice not in ("", "0"):
            of.paid_by.setdefault(invoice, []).append(row)
    seen = _clients(of)
    Invoices(of).invoices()
    services = Services(of)
    services.products()
    services.addons()
    services.registrations()
    _paymethods(of)
    _named(of, seen)
    return of.overage_paid


def _clients(of: Shared) -> set[str]:
    answers, into, take = of.answers, of.into, Clients(of)
    listed = {number_of(row.record.get("id")) for row in answers.clients}
    for key in answers.details.keys() - listed if listed else ():
        where = answers.details[key].where
        into.find("not-listed", where, f"client {key} is not in the list of clients", "one of GetClients")
    seen: set[str] = set()
    for row in answers.clients or list(answers.details.values()):
        key = number_of(row.record.get("id"))
        if key in seen:
            into.find("duplicate-customer", row.where, f"client {key} is there twice", "each once")
            continue
        seen.add(key)
        detail = answers.details.get(key)
        if detail is None and answers.details:
            found = f"the details of client {key} are missing"
            into.find("details-missing", row.where, found, "an answer of GetClientsDetails")
            continue
        take.client(key, Placed(row.where, {**row.record, **(detail.record if detail else {})}))
    for row in answers.contacts:
        take.contact(row)
    return seen


def _paymethods(of: Shared) -> None:
    """Pay methods give no IBAN and no signature: mandates come from custom fields, or a file of their own."""
    known = {mandate.account for mandate in of.into.mandates}
    for row in of.answers.paymethods:
        account = of.account(number_of(row.record.get("clientid")))
        if "BankAccount" in number_of(row.record.get("type")) and account not in known:
            found = f"customer {account!r} pays by a bank account there, and its IBAN and signature are not told"
            expected = "a row in mandates.csv, or their custom fields in the mapping"
            of.into.find("mandate-unknown", row.where, found, expected, stops=False)


def _named(of: Shared, clients: set[str]) -> None:
    """Every key of the mapping names something of the source."""
    services = {number_of(row.record.get("id")) for row in of.answers.products}
    for kind, rows in ((ADDON, of.answers.addons), (DOMAIN, of.answers.domains)):
        services |= {f"{kind}/{number_of(row.record.get('id'))}" for row in rows}
    for name, known in (("customers", clients), ("services", services)):
        for key in sorted(getattr(of.mapping, name).keys() - known):
            where = Where(of.mapping.file, 0, f"{name}.{key}")
            of.into.find("bad-mapping", where, "nothing of the source has that id", "an id of it", stops=False)
