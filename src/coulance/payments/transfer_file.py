"""The file that a bank pays back by: pain.001, made by sepaxml with ids of ours, valid by ISO's schema or not at all.

As with what collects (`debit_file`), ids and the instant are what the run says, so that the same run makes the same
bytes. Each payment is to be booked by itself on the statement (`BtchBookg` false), under the id that we gave it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from coulance.payments.errors import UnableToPayBackError
from coulance_core.kernel import Money


@dataclass(frozen=True, slots=True)
class Debtor:
    """Who pays: the name, IBAN and BIC (may be empty) of our own account."""

    name: str
    iban: str
    bic: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """One payment as the file says it."""

    end_to_end_id: str
    amount: Money
    holder: str
    iban: str
    text: str


def transfer_file(
    *, reference: str, form: str, debtor: Debtor, transfers: Sequence[Transfer], pay_on: date, made_at: datetime
) -> bytes:
    """The file. Raises `UnableToPayBackError` for what the form can't carry; such a file is never made."""
    import sepaxml
    from lxml import etree

    config = {"name": debtor.name, "IBAN": debtor.iban, "batch": True, "currency": "EUR"}
    if debtor.bic:
        config["BIC"] = debtor.bic
    made = sepaxml.SepaTransfer(config, schema=form, clean=True)
    for one in transfers:
        if one.amount.currency != "EUR":
            raise UnableToPayBackError(f"{one.end_to_end_id}: SEPA pays euros, not {one.amount}")
        made.add_payment(
            {
                "name": one.holder,
                "IBAN": one.iban,
                "amount": one.amount.minor,
                "execution_date": pay_on,
                "description": one.text[:140],
                "endtoend_id": one.end_to_end_id,
            }
        )
    root = etree.fromstring(made.export(validate=False))
    space = {"p": f"urn:iso:std:iso:20022:tech:xsd:{form}"}
    root.find(".//p:GrpHdr/p:MsgId", space).text = reference
    root.find(".//p:GrpHdr/p:CreDtTm", space).text = f"{made_at:%Y-%m-%dT%H:%M:%S}"
    for element in root.iterfind(".//p:PmtInfId", space):
        element.text = f"{reference}-{pay_on:%m%d}"
    for element in root.iterfind(".//p:BtchBookg", space):
        element.text = "false"
    rules = Path(sepaxml.__file__).parent / "schemas" / f"{form}.xsd"
    schema = etree.XMLSchema(etree.fromstring(rules.read_bytes()))
    if not schema.validate(root):
        fault = schema.error_log[0]
        raise UnableToPayBackError(f"the file would not be valid by {form}: line {fault.line}: {fault.message}")
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return written
