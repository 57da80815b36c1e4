"""The file that a bank collects by: pain.008, made by sepaxml with ids of ours, valid by ISO's schema or not at all.

sepaxml gives messages and batches ids of chance and the clock of the machine; here they are what the run says, so that
the same run makes the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from coulance.payments.errors import UnableToCollectError
from coulance_core.kernel import Money
from coulance_core.payments import MandateSequence, Scheme
from coulance_core.payments.direct_debit import SEQUENCE_CODES


@dataclass(frozen=True, slots=True)
class Creditor:
    """Who collects: name, IBAN and BIC (may be empty) of the account it comes to, and the creditor id."""

    name: str
    iban: str
    bic: str
    creditor_id: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """One collection as the file says it."""

    end_to_end_id: str
    amount: Money
    collect_on: date
    sequence: MandateSequence
    mandate: str
    signed_on: date
    holder: str
    iban: str
    bic: str
    text: str


def batch_id(run: str, sequence: MandateSequence, on: date) -> str:
    """The id of the batch that a collection stands in: what bank statements name a sum by.

    >>> batch_id("DD20261102-1", MandateSequence.RECURRING, date(2026, 11, 9))
    'DD20261102-1-RCUR-1109'
    """
    return f"{run}-{SEQUENCE_CODES[sequence]}-{on:%m%d}"


def debit_file(
    *,
    reference: str,
    form: str,
    scheme: Scheme,
    creditor: Creditor,
    transactions: Sequence[Transaction],
    made_at: datetime,
) -> bytes:
    """The file. Raises `UnableToCollectError` for what the form can't carry; such a file is never made."""
    import sepaxml
    from lxml import etree

    if form.endswith(".02") and not creditor.bic:
        raise UnableToCollectError(f"{form} wants the BIC of your bank: give [provider] bic, or use pain.008.001.08")
    config = {
        "name": creditor.name,
        "IBAN": creditor.iban,
        "batch": True,
        "creditor_id": creditor.creditor_id,
        "currency": "EUR",
        "instrument": scheme.value.upper(),
    }
    if creditor.bic:
        config["BIC"] = creditor.bic
    made = sepaxml.SepaDD(config, schema=form, clean=True)
    batches: dict[str, None] = {}
    for one in transactions:
        if one.amount.currency != "EUR":
            raise UnableToCollectError(f"{one.end_to_end_id}: SEPA collects euros, not {one.amount}")
        payment = {
            "name": one.holder,
            "IBAN": one.iban,
            "amount": one.amount.minor,
            "type": SEQUENCE_CODES[one.sequence],
            "collection_date": one.collect_on,
            "mandate_id": one.mandate,
            "mandate_date": one.signed_on,
            "description": one.text[:140],
            "endtoend_id": one.end_to_end_id,
        }
        if one.bic:
            payment["BIC"] = one.bic
        made.add_payment(payment)
        batches[batch_id(reference, one.sequence, one.collect_on)] = None
    root = etree.fromstring(made.export(validate=False))
    space = {"p": f"urn:iso:std:iso:20022:tech:xsd:{form}"}
    root.find(".//p:GrpHdr/p:MsgId", space).text = reference
    root.find(".//p:GrpHdr/p:CreDtTm", space).text = f"{made_at:%Y-%m-%dT%H:%M:%S}"
    # sepaxml makes a batch of each sequence and day, in the order in which they first come.
    for element, name in zip(root.iterfind(".//p:PmtInfId", space), batches, strict=True):
        element.text = name
    rules = Path(sepaxml.__file__).parent / "schemas" / f"{form}.xsd"
    schema = etree.XMLSchema(etree.fromstring(rules.read_bytes()))
    if not schema.validate(root):
        fault = schema.error_log[0]
        raise UnableToCollectError(f"the file would not be valid by {form}: line {fault.line}: {fault.message}")
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return written
